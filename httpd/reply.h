/*
 * reply.h - answers: status line, headers, bodies (JSON, text), compression, errors (http-api.md 3)
 *
 * One reply is built at a time: reply_header() and reply_meta() collect what the next reply_*() sends; that call ends the exchange.
 */
#ifndef HTTPD_REPLY_H
#define HTTPD_REPLY_H

#include "conf.h"
#include "conn.h"
#include "structs.h"

/* exchange.flags */
#define REPLY_PRETTY (1u << 0) /* ?pretty: a line feed at the end */
#define REPLY_GZIP (1u << 1)   /* the client takes it */
#define REPLY_HTTP10 (1u << 2)
#define REPLY_KEEP (1u << 3)        /* the connection stays */
#define REPLY_HEAD (1u << 4)        /* headers alone */
#define REPLY_API (1u << 5)         /* a /v1 route: with the headers of all of these */
#define REPLY_RAW (1u << 6)         /* KV: the value alone */
#define REPLY_MISS (1u << 7)        /* X-Cache: MISS */
#define REPLY_HIT (1u << 8)         /* X-Cache: HIT, Age: 0 */
#define REPLY_STALE (1u << 9)       /* ?stale was asked for */
#define REPLY_CONSISTENT (1u << 10) /* ?consistent */

#define REPLY_JSON "application/json"
#define REPLY_TEXT "text/plain; charset=utf-8"

#define REPLY_BODY_BYTES_MAX (256u * 1024 * 1024)

/* Takes what it needs from the configuration; again after a reload. */
void reply_configure(struct ev_loop *loop, const struct conf *conf);

/* The body under construction: one buffer of the process, emptied by this call. */
struct buf *reply_body(void);
/* An additional header of the next reply. */
void reply_header(const char *name, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* X-Consul-Index and its companions for the next reply. consistency: with X-Consul-Effective-Consistency. */
void reply_meta(const struct query_meta *m, bool consistency);

/* type NULL: no Content-Type. */
void reply_send(struct exchange *x, unsigned status, const char *type, struct bytes body);
/* The body under construction as JSON (compact or indented already, see reply_json_flags). */
void reply_json(struct exchange *x, unsigned status);
/* JSON_PRETTY if this exchange's JSON is to be indented. */
unsigned reply_json_flags(const struct exchange *x);
/* The bare message as text. */
void reply_error(struct exchange *x, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* 200 with an empty body, as all agent PUTs answer. */
void reply_done(struct exchange *x);
/* A neighbour's refusal, or that it could not be asked: status by code, else by the table of http-api.md 3.4. */
void reply_failure(struct exchange *x, const struct ipc_answer *a);
unsigned reply_status_of(struct bytes message, unsigned code);

/*
 * Answers that many wait for (ipc_answer.shared) are encoded once. true: this one was encoded before and has been sent. false: encode and
 * send it; the reply is kept for the next.
 */
bool reply_shared(struct exchange *x, const struct ipc_answer *a);

/* The line for the current second. */
const char *reply_date(void);

/* Head of a streamed answer: no length, no compression. */
void reply_stream(struct exchange *x);
/* One piece of it (chunked for HTTP/1.1). */
bool reply_stream_put(struct exchange *x, struct bytes data);
void reply_stream_end(struct exchange *x);

#endif

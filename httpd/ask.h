/*
 * ask.h - questions to the neighbours, and their indexed answers as JSON
 */
#ifndef HTTPD_ASK_H
#define HTTPD_ASK_H

#include "request.h"
#include "schema.h"

/*
 * How the data of an indexed reply becomes a body. encode appends JSON to out and returns the HTTP status: 200, 404 (out is then not sent,
 * the answer has no body), or -1: the message is not what it should be.
 */
#define ASK_GONE 1404 /* returned by encode: 404 without the query headers */

struct ask_form {
	const char *key; /* of the data in the reply; NULL: the reply is the data, and has no metadata */
	int (*encode)(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out);
	const struct schema *schema;
};

/* For encode: a list of schema, a map of text to schema, one schema or null, any value, a list or null. */
int ask_list(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out);
int ask_map(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out);
int ask_one(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out);
int ask_any(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out);

/* The buffer that arguments are encoded into; emptied by this call. */
struct buf *ask_args(void);

/*
 * ?cached: says whether the question (method, arguments without index and wait) was asked before: sets REPLY_MISS or REPLY_HIT. No cache lies behind
 * it: catalogd answers from the state itself, which is what the reference's agent cache would hold on a connected agent.
 */
void ask_cached(struct exchange *x, const char *method, struct bytes args, bool refresh);
/* A read: sent again if the neighbour is lost; held for ?wait. args is a C form of s. */
void ask_read(struct request *r, const char *peer, const char *method, const struct schema *s, const void *args,
    const struct ask_form *form);
/* Anything once; answer is called with the outcome (also a failure). args: msgpack. */
void ask_once(struct exchange *x, const char *peer, const char *method, struct bytes args,
    void (*answer)(struct exchange *x, const struct ipc_answer *a));
/* The same, for reads that may be sent again; wait_ns 0: not held. */
void ask_again(struct exchange *x, const char *peer, const char *method, struct bytes args, int64_t wait_ns,
    void (*answer)(struct exchange *x, const struct ipc_answer *a));
/* A stream: answer is called for each element (a->more) and at the end. credit: bytes that may come unasked. */
void ask_stream(struct exchange *x, const char *peer, const char *method, struct bytes args, uint32_t credit,
    void (*answer)(struct exchange *x, const struct ipc_answer *a));
/* answer for ask_once: 200 and an empty body, or the failure. */
void ask_done(struct exchange *x, const struct ipc_answer *a);
/* ... 200 true. */
void ask_true(struct exchange *x, const struct ipc_answer *a);
/* ... by x->form, as ask_read does it. */
void ask_formed(struct exchange *x, const struct ipc_answer *a);

#endif

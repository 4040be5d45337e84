/*
 * http1.h - one HTTP/1 request head, decoded (pure: no socket, no clock)
 *
 * The request line is read here, because any token is a method and odd versions have answers of their own
 * (http-api.md 1.1); header fields and body framing are http-parser's work (strict mode). Everything points
 * into the bytes that were given; nothing is copied.
 */
#ifndef HTTPD_HTTP1_H
#define HTTPD_HTTP1_H

#include <http_parser.h>
#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"

enum http1_method { HTTP1_GET, HTTP1_PUT, HTTP1_POST, HTTP1_DELETE, HTTP1_OPTIONS, HTTP1_HEAD, HTTP1_OTHER };

/* The header fields somebody here asks for. */
enum http1_field {
	HTTP1_HOST,
	HTTP1_ACCEPT,
	HTTP1_ACCEPT_ENCODING,
	HTTP1_AUTHORIZATION,
	HTTP1_CACHE_CONTROL,
	HTTP1_EXPECT,
	HTTP1_TRANSFER_ENCODING,
	HTTP1_X_CONSUL_TOKEN,
	HTTP1_X_CONSUL_NAMESPACE,
	HTTP1_X_CONSUL_PARTITION,
	HTTP1_FIELDS,
};

struct http1_head {
	enum http1_method method;
	struct bytes method_text;
	struct bytes path;  /* as sent: percent-encoded, valid escapes, begins with '/' (or is "*") */
	struct bytes query; /* behind the '?' */
	bool has_query;     /* there was a '?' */
	bool http10;
	bool keep_alive;
	bool chunked;
	bool has_length;
	uint64_t length; /* Content-Length, 0 if none */
	bool expect_continue;
	struct bytes field[HTTP1_FIELDS]; /* the first one of its name; size 0: absent or empty */
	unsigned present;                 /* bit 1u << field: it was sent */
	size_t size;                      /* bytes of the whole head, the empty line included */
	struct bytes raw;                 /* they */
	http_parser parser;               /* stands behind the head; goes on with a chunked body (http1_body) */
};

/* Why a head is refused: the answer's status and body. */
struct http1_error {
	unsigned status;
	const char *text;
};

#define HTTP1_INCOMPLETE 0
#define HTTP1_DONE 1
#define HTTP1_BAD (-1)

/*
 * Decodes the head at the front of in. HTTP1_DONE: *head is set. HTTP1_INCOMPLETE: the empty line is not there yet; *scanned (0 at
 * first) remembers how far was looked. HTTP1_BAD: *error says how to answer; nothing after it on the connection can be understood.
 * max: bytes a head may have (431 beyond).
 */
MUST_USE int http1_parse(
    struct bytes in, size_t max, size_t *scanned, struct http1_head *head, struct http1_error *error);

/*
 * Feeds bytes of a chunked body to parser (a copy of head.parser) and appends what they decode to into body. *used: how many were
 * taken. HTTP1_DONE: the body and its trailer have ended; HTTP1_INCOMPLETE: more is wanted, or body has overflowed (look at
 * body->overflow); HTTP1_BAD: not a chunked body.
 */
MUST_USE int http1_body(http_parser *parser, struct bytes in, struct buf *body, size_t *used);

/* value lists gzip (or *) with a q above 0. */
bool http1_accepts_gzip(struct bytes value);

#endif

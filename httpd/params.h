/*
 * params.h - query strings and percent-encoding (pure)
 */
#ifndef HTTPD_PARAMS_H
#define HTTPD_PARAMS_H

#include <stdbool.h>

#include "cdefs.h"
#include "mem.h"

#define PARAMS_MAX 1024 /* a query with more is refused like a malformed one */

struct param {
	struct bytes key;
	struct bytes value;
};

struct params {
	struct param *at;
	size_t count;
};

/* Decodes query into r. -1: a bad escape, a ';', or too many (http-api.md 1.3: status 500, empty body). */
MUST_USE int params_parse(struct bytes query, struct region *r, struct params *out);
/* The first value of key; NULL: the key is not there. */
const struct bytes *params_get(const struct params *p, const char *key);
/* The first value, or an empty run. */
struct bytes params_value(const struct params *p, const char *key);
bool params_has(const struct params *p, const char *key);
/* Next value of key from index *at on (start with 0); false: no more. */
bool params_next(const struct params *p, const char *key, size_t *at, struct bytes *value);
/* Decodes %xx, and + as a blank with plus; into r unless nothing is to be decoded. -1: bad escape. */
MUST_USE int params_unescape(struct bytes in, bool plus, struct region *r, struct bytes *out);
/* The whole query again, keys sorted, as Go's url.Values.Encode writes it. */
struct bytes params_encode(const struct params *p, struct region *r);
/* false: holds a rune that Go's unicode.IsPrint refuses (invalid UTF-8 counts as U+FFFD, which is printable). */
bool params_printable(struct bytes path);

#endif

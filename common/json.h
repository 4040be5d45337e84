/*
 * json.h - JSON text in Go's spelling, and free-form JSON to and from msgpack
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "buf.h"
#include "cdefs.h"
#include "mp.h"
#include "schema.h"

/*
 * How deep JSON that we read may nest. The reference allows 10000; what is taken in here must still be within
 * MP_DEPTH_MAX when it travels inside requests, replies and records.
 */
#define JSON_DEPTH_MAX 90

/* A quoted string: < > & as \u003c \u003e \u0026, U+2028/9 escaped, control characters, invalid UTF-8 as \ufffd. */
void json_put_str(struct buf *out, struct bytes text);
void json_put_cstr(struct buf *out, const char *text);
/* Standard alphabet with padding, quoted; absent or empty: null. */
void json_put_base64(struct buf *out, struct bytes data);
/* Shortest form that round-trips, exponents as Go writes them; NaN and Inf: null. */
void json_put_float(struct buf *out, double value);
void json_put_uint(struct buf *out, uint64_t value);
void json_put_int(struct buf *out, int64_t value);
/* Go's form of a wire time (15 bytes, wire-rpc.md 5.4), quoted. Other sizes: the zero time. */
void json_put_time(struct buf *out, struct bytes wire);

#define TIME_WIRE_BYTES 15
/* RFC 3339, years 1 to 9999, to the wire form. -1: something else. */
MUST_USE int json_parse_time(struct bytes text, uint8_t wire[TIME_WIRE_BYTES]);

/*
 * Structure: commas, line breaks and indentation (flags: JSON_PRETTY: 4 blanks, empty {} and [] on one line, no
 * final line feed). Each value is announced by json_item (in an array) or json_key (in an object), then written by
 * one of the functions above, into the same buffer.
 */
struct json_writer {
	struct buf *out;
	unsigned flags;
	unsigned depth;
	bool first; /* nothing yet in the innermost container */
};

void json_begin(struct json_writer *w, struct buf *out, unsigned flags);
void json_open(struct json_writer *w, char bracket); /* '{' or '[' */
void json_item(struct json_writer *w);
void json_key(struct json_writer *w, struct bytes name);
/* The same for a name known to need no escapes. */
void json_plain_key(struct json_writer *w, const char *name, size_t size);
void json_close(struct json_writer *w, char bracket); /* '}' or ']' */
/* Any msgpack value; in->bad is set if it is none. */
void json_put_any(struct json_writer *w, struct mp *in);
/* A map's pairs sorted by key, each value written by put (which consumes it). nil: {} */
void json_put_map(struct json_writer *w, struct mp *in,
    void (*put)(struct json_writer *w, struct mp *value, const void *context), const void *context);

/* Any msgpack value as JSON; map keys sorted bytewise. -1: not msgpack. flags: JSON_PRETTY. */
MUST_USE int json_from_mp(struct mp *in, struct buf *out, unsigned flags);
/* Any JSON value as msgpack (integers that fit as integers, else doubles). */
MUST_USE int json_to_mp(struct bytes json, struct buf *out, struct json_error *error);
/* Re-indents compact JSON by 4 blanks, empty {} and [] on one line; no final line feed. */
void json_indent(struct bytes compact, struct buf *out);

/* base64 (standard alphabet, padding required) into out. -1: not base64. */
MUST_USE int base64_decode(struct bytes text, struct buf *out);
void base64_encode(struct bytes data, struct buf *out);

#endif

/*
 * json.h - JSON text in Go's spelling, and free-form JSON to and from msgpack
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "buf.h"
#include "cdefs.h"
#include "mp.h"
#include "schema.h"

#define JSON_DEPTH_MAX 10000

/* A quoted string: < > & as \u003c \u003e \u0026, U+2028/9 escaped, control characters, invalid UTF-8 as \ufffd. */
void json_put_str(struct buf *out, struct bytes text);
void json_put_cstr(struct buf *out, const char *text);
/* Standard alphabet with padding, quoted; absent or empty: null. */
void json_put_base64(struct buf *out, struct bytes data);
/* Shortest form that round-trips, exponents as Go writes them; NaN and Inf: null. */
void json_put_float(struct buf *out, double value);
/* Go's form of a wire time (15 bytes, wire-rpc.md 5.4), quoted. */
void json_put_time(struct buf *out, struct bytes wire);

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

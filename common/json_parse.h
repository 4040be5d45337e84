/*
 * json_parse.h - JSON text to a tape that is walked like msgpack
 *
 * The tape is msgpack (mp.h) with one difference: a number is its JSON text, under the msgpack type bin, so that
 * whoever knows the wanted type converts it (and can quote it in an error). Objects are maps in the order of
 * the text, duplicates included. Used by schema_input.c and json_input.c.
 */
#ifndef COMMON_JSON_PARSE_H
#define COMMON_JSON_PARSE_H

#include "buf.h"
#include "mp.h"
#include "schema.h"

/* A tape is never longer than this many times its text. */
#define JSON_TAPE_FACTOR 4

/*
 * The first value of the text; what follows it is ignored. -1: *error has Go's text. tape is born by the caller (max:
 * JSON_TAPE_FACTOR times the text's size and 64).
 */
MUST_USE int json_parse(struct bytes json, struct buf *tape, struct json_error *error);
/* Go's text for what is wrong with the syntax of the first value; nothing wrong: an empty text. */
void json_syntax_error(struct bytes json, struct json_error *error);

static inline bool
json_tape_number(const struct mp *in)
{
	return in->at < in->end && *in->at >= 0xc4 && *in->at <= 0xc6;
}

/* The tape's next value as msgpack proper: maps sorted by key, numbers converted. -1: *error says which number. */
MUST_USE int json_tape_to_mp(struct mp *tape, struct buf *out, struct json_error *error);
/* Numbers in JSON's spelling. -1: another spelling ("1.0" is no integer), or out of range. */
MUST_USE int json_number_int(struct bytes text, int64_t *value);
MUST_USE int json_number_uint(struct bytes text, uint64_t *value);
MUST_USE int json_number_float(struct bytes text, double *value);

/*
 * Pairs of a map in the order of a text, whose values were written one after the other from start on into a
 * buffer; finish replaces them by the map, sorted by key, of equal keys only the last.
 */
struct json_pairs {
	struct json_pair *items;
	size_t count;
	size_t start;
};

void json_pairs_init(struct json_pairs *pairs, const struct buf *out);
/* Before the value is written. key must live on. */
void json_pairs_add(struct json_pairs *pairs, struct bytes key, const struct buf *out);
void json_pairs_finish(struct json_pairs *pairs, struct buf *out);
void json_pairs_free(struct json_pairs *pairs);

/* The text of a string or number in error messages: quoted as Go's %q does, cut at size. */
void json_go_quote(struct bytes text, char *out, size_t size);

#endif

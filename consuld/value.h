/*
 * value.h - what a configuration file says: a tree of values that know their place
 *
 * The readers (JSON, HCL) build it in a region, the decoder walks it. Numbers keep their spelling. In a map the keys stand in the order of
 * the file; of duplicate keys the last one is kept.
 */
#ifndef CONSULD_VALUE_H
#define CONSULD_VALUE_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "mem.h"

enum value_kind { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_LIST, VALUE_MAP };

struct value {
	enum value_kind kind;
	bool boolean;
	bool whole;                 /* a number of HCL without a fraction, which the reference calls int */
	const char *text;           /* string, or number as written; NUL-terminated */
	const char *key;            /* inside a map */
	struct value *first, *last; /* of a list or map */
	struct value *next;
	size_t count;
	const char *file;      /* of a definition; NULL: unknown */
	unsigned line, column; /* of the value, or of its key inside a map; 0: not from a file */
	bool block;            /* a list made of the blocks of one name (HCL) */
	bool taken;            /* for the decoder: this member was understood */
};

#define VALUE_DEPTH_MAX 200
#define VALUE_ERROR_MAX 512
#define VALUE_FILE_MAX (16u * 1024 * 1024)

struct value *value_new(struct region *r, enum value_kind kind);
struct value *value_string(struct region *r, const char *text);
/* Appends v (of no other tree) to the list or map; in a map v->key is set to key, and an older member of that key is dropped. */
void value_append(struct value *list, struct value *v);
void value_set(struct value *map, const char *key, struct value *v);
struct value *value_member(const struct value *map, const char *key);
/* A copy, so that a value can stand in a second tree. */
struct value *value_copy(struct region *r, const struct value *v);
/* A number as a C number. */
double value_number(const struct value *v);

/* As the reference's messages name types ("float64", "map[string]interface {}") and print values (Go's %v). */
const char *value_type_name(const struct value *v);
void value_print(const struct value *v, struct buf *out);
/* As compact JSON, keys in order. */
void value_json(const struct value *v, struct buf *out);

/*
 * Reads one file. NULL: error is the reference's text with the place appended. Empty text (blanks only, or no bytes) is the caller's
 * business: the readers take an empty JSON text for an error.
 */
MUST_USE struct value *json_read(struct region *r, struct bytes text, char error[VALUE_ERROR_MAX]);
MUST_USE struct value *hcl_read(struct region *r, struct bytes text, char error[VALUE_ERROR_MAX]);

#endif

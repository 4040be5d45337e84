/*
 * flags.h - the flags of a command: -x, --x, -x=v, -x v
 *
 * Parsing stops at the first word that is no flag, at "-", and after "--". Values are checked against their kind while parsing and
 * are kept as text; reading a flag that no table declares is our bug (panic). Error texts are those of cli.md 2.
 */
#ifndef CONSULCTL_FLAGS_H
#define CONSULCTL_FLAGS_H

#include <stdbool.h>

#include "cdefs.h"
#include "mem.h"

enum flag_kind {
	FLAG_BOOL, /* takes no separate argument */
	FLAG_STRING,
	FLAG_UINT, /* decimal, 0x hex, 0 octal */
	FLAG_INT,
	FLAG_DURATION,
	FLAG_LIST, /* may be repeated */
	FLAG_MAP,  /* key=value, may be repeated */
	/* like the three above with a value of its own, refused in the words of Go's parsers */
	FLAG_TRISTATE,
	FLAG_STRICT_UINT,
	FLAG_STRICT_DURATION
};

struct flag {
	const char *name; /* NULL ends a table */
	enum flag_kind kind;
	const char *help; /* NULL: accepted, but not in any help */
};

struct flags;

#define FLAG_TABLES_MAX 8
/* Up to FLAG_TABLES_MAX tables; NULL ends the list. All memory is the region's. */
MUST_USE struct flags *flags_new(struct region *region, const struct flag *const *tables);
/* 0: *rest is the index of the first positional. -1: flags_error has the line to print. */
MUST_USE int flags_parse(struct flags *f, int argc, char *const *argv, int *rest);
const char *flags_error(const struct flags *f);

bool flags_has(const struct flags *f, const char *name); /* is it declared at all */
bool flags_given(const struct flags *f, const char *name);
bool flags_bool(const struct flags *f, const char *name); /* false when not given */
bool flags_bool_or(const struct flags *f, const char *name, bool fallback);
/* The last value, or fallback. */
const char *flags_text(const struct flags *f, const char *name, const char *fallback);
uint64_t flags_uint(const struct flags *f, const char *name, uint64_t fallback);
int64_t flags_int(const struct flags *f, const char *name, int64_t fallback);
int64_t flags_duration_ns(const struct flags *f, const char *name, int64_t fallback);
size_t flags_count(const struct flags *f, const char *name);
const char *flags_at(const struct flags *f, const char *name, size_t i);

/* Go's boolean literals. -1: none of them. */
MUST_USE int flags_parse_bool(const char *text, bool *value);

#endif

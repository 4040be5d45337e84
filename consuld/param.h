/*
 * param.h - the one parameter registry
 *
 * A parameter is one row. The row drives the flag, the decoder and its error texts, the default, the bounds, the merge rule, what a reload may
 * change, which daemon's resolved file holds it, the deprecation warning and the manual (consuld-config(5), test/man-params).
 * A name is Consul's key path; every prefix of it that ends before a dot is a block.
 */
#ifndef CONSULD_PARAM_H
#define CONSULD_PARAM_H

#include <stdbool.h>

#include "cdefs.h"

enum param_type {
	PARAM_BOOL,
	PARAM_INT,
	PARAM_FLOAT,
	PARAM_STR,
	PARAM_DURATION,
	PARAM_LIST, /* of text: sources append */
	PARAM_MAP,  /* text to text: sources overlay key by key */
	PARAM_ANY,  /* free-form map: kept as JSON text, overlaid key by key */
	PARAM_OBJECTS, /* list of objects (PARAM_SINGLE: one object), decoded by config_definition.c or kept as they are; sources append */
};

#define PARAM_RELOAD (1u << 0)     /* a changed value takes effect on reload */
#define PARAM_SECRET (1u << 1)     /* never shown */
#define PARAM_ALIAS (1u << 2)      /* an old name of `other`; warns unless PARAM_QUIET */
#define PARAM_IGNORED (1u << 3)    /* no longer exists: accepted, warns */
#define PARAM_QUIET (1u << 4)      /* no warning */
#define PARAM_ENTERPRISE (1u << 5) /* accepted, warns in the reference's words */
#define PARAM_LATER (1u << 6)      /* not built yet and harmless: a value other than the default warns */
#define PARAM_REFUSED (1u << 7)    /* not built yet and unsafe to ignore: a value other than the default is an error */
#define PARAM_DERIVED (1u << 8)    /* ours, computed by consuld: not a key of any file */
#define PARAM_SINGLE (1u << 9)     /* PARAM_OBJECTS: one object, appended to the list `other` */
#define PARAM_FLAG_ONLY (1u << 10) /* a flag without a key */
#define PARAM_NOT_USER (1u << 11)  /* a file may name it, the value is dropped without a word */
#define PARAM_TEMPLATE (1u << 12)  /* addresses: config_template.c */
#define PARAM_MOOT (1u << 13)      /* accepted for compatibility; having no effect is right */

/* Daemons by bit, for the used-by column. */
#define USE_RAFTD (1u << 0)
#define USE_CATALOGD (1u << 1)
#define USE_HTTPD (1u << 2)
#define USE_DNSD (1u << 3)
#define USE_CHECKD (1u << 4)
#define USE_GOSSIPD (1u << 5)
#define USE_CONSULD (1u << 6) /* read by consuld itself; in no file */
#define USE_ALL (USE_RAFTD | USE_CATALOGD | USE_HTTPD | USE_DNSD | USE_CHECKD | USE_GOSSIPD)

struct param {
	const char *name;
	const char *flag; /* without the dash; NULL: none */
	enum param_type type;
	const char *fallback; /* default as text; NULL: unset (computed, or empty) */
	int64_t min, max;     /* numbers and durations (ns); both 0: unbounded */
	unsigned flags;
	unsigned used_by;
	const char *other; /* the name that an alias stands for */
	const char *doc;
};

extern const struct param params[];
extern const size_t param_count;

/* The row called name (exact), or -1. */
int param_index(const char *name);
/* The row of a flag, or -1. */
int param_by_flag(const char *flag);
/* Is there a row below name, i.e. is it a block? */
bool param_is_block(const char *name);
/* A row that a user may set and that nothing reads yet. */
bool param_without_effect(const struct param *p);
/* "bool", "int", ... for the manual. */
const char *param_type_name(enum param_type type);

#endif

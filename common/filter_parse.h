/*
 * filter_parse.h - the syntax of filter expressions (inside common/: filter.c, filter_parse.c)
 */
#ifndef COMMON_FILTER_PARSE_H
#define COMMON_FILTER_PARSE_H

#include "filter.h"
#include "mem.h"

enum filter_op {
	FILTER_EQUAL,
	FILTER_NOT_EQUAL,
	FILTER_IN,
	FILTER_NOT_IN,
	FILTER_EMPTY,
	FILTER_NOT_EMPTY,
	FILTER_MATCHES,
	FILTER_NOT_MATCHES,
};

enum filter_kind { FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_TERM };

struct filter_part {
	struct bytes name;
	struct filter_part *next;
};

struct filter_node {
	enum filter_kind kind;
	struct filter_node *child; /* the first; AND and OR have two or more, NOT one */
	struct filter_node *next;  /* sibling */
	/* Of a term: */
	enum filter_op op;
	struct filter_part *selector;
	struct bytes value;
	void *compiled; /* filter.c's */
};

/* All nodes live in r. NULL: *error. */
struct filter_node *filter_parse(struct bytes expression, struct region *r, struct filter_error *error);

#endif

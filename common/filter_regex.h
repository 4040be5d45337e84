/*
 * filter_regex.h - regular expressions in RE2's syntax (inside common/, for filter.c)
 */
#ifndef COMMON_FILTER_REGEX_H
#define COMMON_FILTER_REGEX_H

#include "cdefs.h"

#define FILTER_REGEX_BYTES_MAX 4096

struct filter_regex;

/* NULL: why has Go's text ("missing closing ): `(`"), cut at size. */
MUST_USE struct filter_regex *filter_regex_new(struct bytes pattern, char *why, size_t size);
void filter_regex_free(struct filter_regex *r); /* r may be NULL */
/* Unanchored. 1: found, 0: not. -1: it took too much work. */
MUST_USE int filter_regex_match(struct filter_regex *r, struct bytes text);

#endif

/*
 * filter.h - the language of ?filter= over elements of a reply
 *
 * An expression is compiled against the schema of the element: selectors are its field names ("Service.Meta.env",
 * "Checks.Status"), the kinds of the fields decide which operators there are (http-api.md 7 of the reference facts).
 * FIELD_NOFILTER and FIELD_HIDDEN fields, times and free-form values are no selectors.
 *
 * matches takes a regular expression in RE2's syntax, run by PCRE2 without what RE2 lacks and with a limit on the
 * work for one value.
 */
#ifndef COMMON_FILTER_H
#define COMMON_FILTER_H

#include "mp.h"
#include "schema.h"

#define FILTER_BYTES_MAX 65536 /* of an expression */
#define FILTER_TERMS_MAX 4096
#define FILTER_DEPTH_MAX 100 /* of parentheses and "not" */
#define FILTER_ERROR_MAX 1024
/* All texts but those of limits at run time begin so. */
#define FILTER_ERROR_PREFIX "Failed to create boolean expression evaluator: "

struct filter;

struct filter_error {
	char text[FILTER_ERROR_MAX];
	bool is_syntax; /* found without the schema: an error even where there is no element */
};

/*
 * Compiles expression for elements of schema s. An empty expression makes no filter: *out is NULL, and
 * filter_match(NULL, ...) is true. -1: the answer is error's text (status 500).
 */
MUST_USE int filter_compile(
    struct bytes expression, const struct schema *s, struct filter **out, struct filter_error *error);
void filter_free(struct filter *f); /* f may be NULL */
/*
 * 1: the element (a map) passes, 0: it does not. -1: a regular expression needed too much work for it;
 * answer FILTER_LIMIT_TEXT.
 */
#define FILTER_LIMIT_TEXT "Failed to evaluate the filter: the regular expression needs too much work"
MUST_USE int filter_match(struct filter *f, struct mp element);

#endif

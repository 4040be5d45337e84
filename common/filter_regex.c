/*
 * filter_regex.c - regular expressions in RE2's syntax, run by PCRE2 (contract: filter_regex.h)
 *
 * What RE2 has, PCRE2 has with the same meaning. What it has not (back references, assertions, possessive and atomic
 * groups, conditions) is refused here before PCRE2 sees it, as the reference refuses it. PCRE2 backtracks: a
 * limit on steps and memory for one match stands in for RE2's linear time.
 */
#include "filter_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define STEPS_MAX 50000
#define HEAP_KIBIBYTES_MAX 1024
#define NESTING_MAX 100

struct filter_regex {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *context;
};

/* ---- what RE2 refuses ---- */

/* at: behind "(?". Flags with ":" or ")", or a name. */
static bool
is_group_known(struct bytes pattern, size_t at)
{
	if (at < pattern.size && pattern.data[at] == 'P')
		at++;
	if (at + 1 < pattern.size && pattern.data[at] == '<')
		return pattern.data[at + 1] != '=' && pattern.data[at + 1] != '!';
	while (at < pattern.size && memchr("imsU-", pattern.data[at], 5) != NULL)
		at++;
	return at < pattern.size && (pattern.data[at] == ':' || pattern.data[at] == ')');
}

static bool
is_repetition(uint8_t c)
{
	return c == '*' || c == '+' || c == '?';
}

/* Moves behind a class "[...]" that begins at at. */
static size_t
class_end(struct bytes pattern, size_t at)
{
	at++;
	if (at < pattern.size && pattern.data[at] == '^')
		at++;
	if (at < pattern.size && pattern.data[at] == ']')
		at++;
	while (at < pattern.size && pattern.data[at] != ']') {
		if (pattern.data[at] == '[' && at + 1 < pattern.size && pattern.data[at + 1] == ':') {
			const uint8_t *end = memmem(pattern.data + at, pattern.size - at, ":]", 2);
			if (end != NULL)
				at = (size_t)(end - pattern.data) + 1;
		}
		at += pattern.data[at] == '\\' ? 2 : 1;
	}
	return at + 1;
}

/* false: why has the text. */
static bool
is_re2(struct bytes pattern, char *why, size_t size)
{
	static const char escapes[] = "1234567890cgGhHkKNRXZeE";
	const uint8_t *c = pattern.data;

	for (size_t at = 0; at < pattern.size; at++) {
		if (c[at] == '\\' && at + 1 < pattern.size) {
			at++;
			if (c[at] == 'Q') { /* literal up to \E */
				const uint8_t *end = memmem(c + at, pattern.size - at, "\\E", 2);
				at = end == NULL ? pattern.size : (size_t)(end - c) + 1;
			} else if (c[at] != '\0' && strchr(escapes, c[at]) != NULL &&
				   !(c[at] == '0' || (c[at] >= '1' && c[at] <= '7' && at + 1 < pattern.size &&
							 c[at + 1] >= '0' && c[at + 1] <= '7'))) {
				snprintf(why, size, "invalid escape sequence: `\\%c`", c[at]);
				return false;
			}
		} else if (c[at] == '[') {
			at = class_end(pattern, at) - 1;
		} else if (c[at] == '(' && at + 1 < pattern.size && (c[at + 1] == '?' || c[at + 1] == '*')) {
			if (c[at + 1] == '*' || !is_group_known(pattern, at + 2)) {
				snprintf(why, size, "invalid or unsupported Perl syntax: `%.*s`",
				    (int)MIN(pattern.size - at, 3), (const char *)c + at);
				return false;
			}
			at++;
		} else if (at > 0 && c[at] == '+' && (is_repetition(c[at - 1]) || c[at - 1] == '}')) {
			snprintf(why, size, "invalid nested repetition operator: `%c%c`", c[at - 1], c[at]);
			return false;
		}
	}
	return true;
}

/* ---- PCRE2 ---- */

/* PCRE2's complaint in Go's words, as far as there are such. */
static void
put_why(int code, struct bytes pattern, size_t offset, char *why, size_t size)
{
	PCRE2_UCHAR text[128] = "";
	int shown = (int)MIN(pattern.size, 100), rest = (int)MIN(pattern.size - MIN(offset, pattern.size), 100);
	const char *all = (const char *)pattern.data;

	switch (code) {
	case PCRE2_ERROR_MISSING_CLOSING_PARENTHESIS:
		snprintf(why, size, "missing closing ): `%.*s`", shown, all);
		break;
	case PCRE2_ERROR_MISSING_SQUARE_BRACKET:
		snprintf(why, size, "missing closing ]: `%.*s`", shown, all);
		break;
	case PCRE2_ERROR_UNMATCHED_CLOSING_PARENTHESIS:
		snprintf(why, size, "unexpected ): `%.*s`", shown, all);
		break;
	case PCRE2_ERROR_QUANTIFIER_INVALID:
		offset = offset > 0 ? offset - 1 : 0;
		snprintf(
		    why, size, "missing argument to repetition operator: `%.*s`", offset < pattern.size, all + offset);
		break;
	case PCRE2_ERROR_CLASS_RANGE_ORDER:
		snprintf(why, size, "invalid character class range: `%.*s`", shown, all);
		break;
	case PCRE2_ERROR_END_BACKSLASH:
		snprintf(why, size, "trailing backslash at end of expression: ``");
		break;
	default:
		(void)pcre2_get_error_message(code, text, sizeof text);
		snprintf(why, size, "%s: `%.*s`", (const char *)text, rest, all + pattern.size - (size_t)rest);
		break;
	}
}

struct filter_regex *
filter_regex_new(struct bytes pattern, char *why, size_t size)
{
	struct filter_regex *r = NULL;
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	PCRE2_SIZE offset = 0;
	int code = 0;

	if (context == NULL)
		goto done;
	if (pattern.size > FILTER_REGEX_BYTES_MAX) {
		snprintf(why, size, "expression too large");
		goto done;
	}
	if (!is_re2(pattern, why, size))
		goto done;
	pcre2_set_parens_nest_limit(context, NESTING_MAX);
	r = xcalloc(1, sizeof *r);
	r->code = pcre2_compile(pattern.data == NULL ? (PCRE2_SPTR) "" : pattern.data, pattern.size,
	    PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE |
		PCRE2_NEVER_BACKSLASH_C,
	    &code, &offset, context);
	if (r->code == NULL) {
		put_why(code, pattern, offset, why, size);
		free(r);
		r = NULL;
		goto done;
	}
	r->data = pcre2_match_data_create(1, NULL);
	r->context = pcre2_match_context_create(NULL);
	if (r->data == NULL || r->context == NULL) {
		snprintf(why, size, "out of memory");
		filter_regex_free(r);
		r = NULL;
		goto done;
	}
	pcre2_set_match_limit(r->context, STEPS_MAX);
	pcre2_set_heap_limit(r->context, HEAP_KIBIBYTES_MAX);
done:
	pcre2_compile_context_free(context);
	return r;
}

void
filter_regex_free(struct filter_regex *r)
{
	if (r == NULL)
		return;
	pcre2_match_context_free(r->context);
	pcre2_match_data_free(r->data);
	pcre2_code_free(r->code);
	free(r);
}

int
filter_regex_match(struct filter_regex *r, struct bytes text)
{
	int found =
	    pcre2_match(r->code, text.size == 0 ? (PCRE2_SPTR) "" : text.data, text.size, 0, 0, r->data, r->context);

	if (found >= 0)
		return 1;
	return found == PCRE2_ERROR_NOMATCH ? 0 : -1;
}

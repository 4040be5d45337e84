/*
 * filter_parse.c - the syntax of filter expressions (contract: filter_parse.h)
 *
 * A recursive descent that goes back and tries the next alternative when one fails. The reference's parser
 * is generated from a parsing expression grammar; its error text names the rightmost place where any token failed, and
 * all the tokens tried there. So each attempt at a token is noted (miss), and the alternatives below are those of
 * the reference, in its order, even where one look would do. Some mistakes have a text of their own and are
 * reported instead (mistake).
 *
 * No alternative parses a nested expression twice, so the time is linear in the length.
 */
#include "filter_parse.h"

#include <stdio.h>
#include <string.h>

#include "utf8.h"

/* What can be expected, in the order of the printed forms' bytes, EOF last. */
enum token {
	T_NOT_EQUAL,
	T_OPEN,
	T_CLOSE,
	T_MINUS,
	T_DOT,
	T_ZERO,
	T_EQUAL,
	T_BRACKET,
	T_QUOTE,
	T_BRACKET_CLOSE,
	T_BACK_QUOTE,
	T_AND,
	T_CONTAINS,
	T_EMPTY,
	T_IN,
	T_IS,
	T_MATCHES,
	T_NOT,
	T_OR,
	T_BLANK,
	T_DIGIT,
	T_DIGIT_1_9,
	T_IDENT,
	T_LETTER,
	T_EOF,
};

static const struct {
	const char *text; /* as it stands in an expression; NULL: a class of characters */
	const char *shown;
} tokens[] = {
    [T_NOT_EQUAL] = {"!=", "\"!=\""},
    [T_OPEN] = {"(", "\"(\""},
    [T_CLOSE] = {")", "\")\""},
    [T_MINUS] = {"-", "\"-\""},
    [T_DOT] = {".", "\".\""},
    [T_ZERO] = {"0", "\"0\""},
    [T_EQUAL] = {"==", "\"==\""},
    [T_BRACKET] = {"[", "\"[\""},
    [T_QUOTE] = {"\"", "\"\\\"\""},
    [T_BRACKET_CLOSE] = {"]", "\"]\""},
    [T_BACK_QUOTE] = {"`", "\"`\""},
    [T_AND] = {"and", "\"and\""},
    [T_CONTAINS] = {"contains", "\"contains\""},
    [T_EMPTY] = {"empty", "\"empty\""},
    [T_IN] = {"in", "\"in\""},
    [T_IS] = {"is", "\"is\""},
    [T_MATCHES] = {"matches", "\"matches\""},
    [T_NOT] = {"not", "\"not\""},
    [T_OR] = {"or", "\"or\""},
    [T_BLANK] = {NULL, "[ \\t\\r\\n]"},
    [T_DIGIT] = {NULL, "[0-9]"},
    [T_DIGIT_1_9] = {NULL, "[1-9]"},
    [T_IDENT] = {NULL, "[a-zA-Z0-9_]"},
    [T_LETTER] = {NULL, "[a-zA-Z]"},
    [T_EOF] = {NULL, "EOF"},
};

struct parser {
	struct bytes text;
	size_t at;
	size_t farthest;   /* the rightmost place of a failure */
	uint32_t expected; /* tokens that failed there, by bit */
	unsigned depth;
	unsigned terms;
	struct region *region;
	char mistake[128]; /* the first one; empty: none */
};

/* ---- tokens ---- */

static void
miss(struct parser *p, enum token token)
{
	if (p->at > p->farthest) {
		p->farthest = p->at;
		p->expected = 0;
	}
	if (p->at == p->farthest)
		p->expected |= 1u << token;
}

static uint8_t
here(const struct parser *p)
{
	return p->at < p->text.size ? p->text.data[p->at] : 0;
}

static bool
take(struct parser *p, enum token token)
{
	size_t size = strlen(tokens[token].text);

	if (p->text.size - p->at < size || memcmp(p->text.data + p->at, tokens[token].text, size) != 0) {
		miss(p, token);
		return false;
	}
	p->at += size;
	return true;
}

static bool
is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
fits_class(uint8_t c, enum token class)
{
	switch (class) {
	case T_BLANK:
		return c == ' ' || c == '\t' || c == '\r' || c == '\n';
	case T_DIGIT:
		return is_digit(c);
	case T_DIGIT_1_9:
		return is_digit(c) && c != '0';
	case T_IDENT:
		return is_letter(c) || is_digit(c) || c == '_';
	default:
		return is_letter(c);
	}
}

static bool
take_class(struct parser *p, enum token class)
{
	if (!fits_class(here(p), class)) {
		miss(p, class);
		return false;
	}
	p->at++;
	return true;
}

/* Any number of them, none included. */
static void
take_all(struct parser *p, enum token class)
{
	while (take_class(p, class))
		;
}

/* One blank or more. */
static bool
blanks(struct parser *p)
{
	if (!take_class(p, T_BLANK))
		return false;
	take_all(p, T_BLANK);
	return true;
}

/* A blank, a word and a blank, as in " contains ". */
static bool
blank_word(struct parser *p, enum token word)
{
	return blanks(p) && take(p, word);
}

/* ---- error texts ---- */

/* "1:4 (3): ", the place of offset: lines and columns from 1, in characters. */
static size_t
put_place(const struct parser *p, size_t offset, char *out, size_t size)
{
	size_t line = 1, column = 0;

	for (size_t i = 0; i <= offset; i++) {
		if (i < p->text.size && p->text.data[i] == '\n') {
			line++;
			column = 0;
		} else if (i == p->text.size || (p->text.data[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	return (size_t)snprintf(out, size, "%zu:%zu (%zu): ", line, column, offset);
}

/* Always false, so that a rule can end with it. */
static bool
mistake(struct parser *p, size_t offset, const char *rule, const char *text)
{
	size_t used;

	if (p->mistake[0] != '\0')
		return false;
	used = put_place(p, offset, p->mistake, sizeof p->mistake);
	snprintf(p->mistake + used, sizeof p->mistake - used, "rule \"%s\": %s", rule, text);
	return false;
}

static void
put_expected(const struct parser *p, struct filter_error *error)
{
	char *out = error->text;
	size_t used, size = sizeof error->text;
	unsigned left = (unsigned)__builtin_popcount(p->expected);

	used = (size_t)snprintf(out, size, "%s", FILTER_ERROR_PREFIX);
	used += put_place(p, p->farthest, out + used, size - used);
	used += (size_t)snprintf(out + used, size - used, "no match found, expected: ");
	for (size_t token = 0; token < COUNTOF(tokens); token++) {
		if (!(p->expected & 1u << token))
			continue;
		left--;
		used += (size_t)snprintf(out + used, size - used, "%s%s", tokens[token].shown,
		    left > 1    ? ", "
		    : left == 1 ? " or "
				: "");
	}
}

/* ---- strings and numbers ---- */

static int
hex_value(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads count digits to base from *at on; moves on. -1: others. */
static int64_t
escape_number(struct bytes quoted, size_t *at, int count, int base)
{
	int64_t value = 0;

	for (; count > 0; count--, (*at)++) {
		int digit = *at < quoted.size ? hex_value(quoted.data[*at]) : -1;
		if (digit == -1 || digit >= base)
			return -1;
		value = value * base + digit;
	}
	return value;
}

/* One escape, *at behind the backslash. Returns how many bytes it writes; 0: no such escape. */
static size_t
unescape(struct bytes quoted, size_t *at, uint8_t out[4])
{
	static const char names[] = "abfnrtv\\\"", values[] = "\a\b\f\n\r\t\v\\\"";
	uint8_t c = *at < quoted.size ? quoted.data[(*at)++] : 0;
	const char *name = c == 0 ? NULL : strchr(names, c);
	int64_t value;

	if (name != NULL) {
		out[0] = (uint8_t)values[name - names];
		return 1;
	}
	if (c == 'x' || (c >= '0' && c <= '7')) {
		if (c != 'x')
			--*at;
		value = c == 'x' ? escape_number(quoted, at, 2, 16) : escape_number(quoted, at, 3, 8);
		out[0] = (uint8_t)value;
		return value >= 0 && value <= 255;
	}
	if (c != 'u' && c != 'U')
		return 0;
	value = escape_number(quoted, at, c == 'u' ? 4 : 8, 16);
	if (value < 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	return utf8_encode((uint32_t)value, out);
}

/* What stands between double quotes. */
static bool
unquote(struct parser *p, struct bytes quoted, struct bytes *value)
{
	uint8_t *out = region_alloc(p->region, quoted.size + 4);
	size_t used = 0;

	for (size_t at = 0; at < quoted.size;) {
		size_t size = 1;

		if (quoted.data[at] == '\n')
			return false;
		if (quoted.data[at] != '\\') {
			out[used] = quoted.data[at++];
		} else {
			at++;
			size = unescape(quoted, &at, out + used);
			if (size == 0)
				return false;
		}
		used += size;
	}
	*value = bytes_of(out, used);
	return true;
}

static bool
string(struct parser *p, struct bytes *value)
{
	size_t start = p->at;
	const uint8_t *end;
	struct bytes inside;

	if (!take(p, T_BACK_QUOTE) && !take(p, T_QUOTE))
		return false;
	inside = bytes_of(p->text.data + p->at, p->text.size - p->at);
	end = inside.size == 0 ? NULL : memchr(inside.data, p->text.data[start], inside.size);
	if (end == NULL) {
		p->at = start;
		return mistake(p, p->text.size, "string", "Unterminated string literal");
	}
	inside.size = (size_t)(end - inside.data);
	p->at += inside.size + 1;
	if (p->text.data[start] == '`')
		*value = inside;
	else if (!unquote(p, inside, value))
		(void)mistake(p, start, "string", "invalid syntax"); /* the parse goes on, the text is known */
	return true;
}

static bool
number(struct parser *p, struct bytes *value)
{
	size_t start = p->at, dot;
	bool ends;

	(void)take(p, T_MINUS);
	if (!take(p, T_ZERO)) {
		if (!take_class(p, T_DIGIT_1_9)) {
			p->at = start;
			return false;
		}
		take_all(p, T_DIGIT);
	}
	dot = p->at;
	if (take(p, T_DOT)) {
		if (take_class(p, T_DIGIT))
			take_all(p, T_DIGIT);
		else
			p->at = dot;
	}
	ends = p->at == p->text.size || here(p) == ')' || fits_class(here(p), T_BLANK);
	if (!ends) {
		dot = p->at;
		p->at = start;
		return mistake(p, dot, "number", "Invalid number literal");
	}
	if (!fits_class(here(p), T_BLANK))
		miss(p, T_BLANK);
	*value = bytes_of(p->text.data + start, p->at - start);
	return true;
}

/* ---- selectors and values ---- */

static struct filter_part *
new_part(struct parser *p, struct bytes name)
{
	struct filter_part *part = region_alloc(p->region, sizeof *part);

	*part = (struct filter_part){name, NULL};
	return part;
}

static bool
identifier(struct parser *p, struct bytes *name)
{
	size_t start = p->at;

	if (!take_class(p, T_LETTER))
		return false;
	take_all(p, T_IDENT);
	*name = bytes_of(p->text.data + start, p->at - start);
	return true;
}

static bool
index_part(struct parser *p, struct bytes *name)
{
	size_t start = p->at, place;

	if (!take(p, T_BRACKET))
		return false;
	take_all(p, T_BLANK);
	place = p->at;
	if (!string(p, name)) {
		p->at = start;
		return mistake(p, place, "index", "Invalid index");
	}
	take_all(p, T_BLANK);
	place = p->at;
	if (!take(p, T_BRACKET_CLOSE)) {
		p->at = start;
		return mistake(p, place, "index", "Unclosed index expression");
	}
	return true;
}

static bool
dot_part(struct parser *p, struct bytes *name)
{
	size_t start = p->at;

	if (take(p, T_DOT) && identifier(p, name))
		return true;
	p->at = start;
	return false;
}

static bool
selector(struct parser *p, struct filter_part **out)
{
	struct filter_part *last;
	struct bytes name;

	if (!identifier(p, &name))
		return false;
	*out = last = new_part(p, name);
	while (dot_part(p, &name) || index_part(p, &name)) {
		last->next = new_part(p, name);
		last = last->next;
	}
	return true;
}

/* A bare word is its text; of a selector with an index, the parts with dots between them. */
static struct bytes
selector_text(struct parser *p, const struct filter_part *selector)
{
	size_t size = 0, used = 0;
	uint8_t *out;

	for (const struct filter_part *part = selector; part != NULL; part = part->next)
		size += part->name.size + 1;
	out = region_alloc(p->region, size);
	for (const struct filter_part *part = selector; part != NULL; part = part->next) {
		if (part != selector)
			out[used++] = '.';
		memcpy(out + used, part->name.data, part->name.size);
		used += part->name.size;
	}
	return bytes_of(out, used);
}

static bool
value(struct parser *p, struct bytes *out)
{
	struct filter_part *word;

	if (selector(p, &word)) {
		*out = selector_text(p, word);
		return true;
	}
	return number(p, out) || string(p, out);
}

/* ---- terms ---- */

/* An operator between selector and value, blanks around it included. */
static bool
operator(struct parser *p, enum filter_op *op)
{
	static const struct {
		enum filter_op op;
		bool blank;   /* a blank before and behind is due */
		bool negated; /* "not" before it */
		enum token token;
	} operators[] = {
	    {FILTER_EQUAL, false, false, T_EQUAL},
	    {FILTER_NOT_EQUAL, false, false, T_NOT_EQUAL},
	    {FILTER_IN, true, false, T_CONTAINS},
	    {FILTER_NOT_IN, true, true, T_CONTAINS},
	    {FILTER_MATCHES, true, false, T_MATCHES},
	    {FILTER_NOT_MATCHES, true, true, T_MATCHES},
	};
	size_t start = p->at;

	for (size_t i = 0; i < COUNTOF(operators); i++) {
		bool found;

		p->at = start;
		*op = operators[i].op;
		if (operators[i].blank) {
			found = (!operators[i].negated || blank_word(p, T_NOT)) && blank_word(p, operators[i].token) &&
				blanks(p);
		} else {
			take_all(p, T_BLANK);
			found = take(p, operators[i].token);
			if (found)
				take_all(p, T_BLANK);
		}
		if (found)
			return true;
	}
	p->at = start;
	return false;
}

/* " is empty", " is not empty" */
static bool
is_empty(struct parser *p, enum filter_op *op)
{
	size_t start = p->at;

	*op = FILTER_EMPTY;
	if (blank_word(p, T_IS) && blank_word(p, T_EMPTY))
		return true;
	p->at = start;
	*op = FILTER_NOT_EMPTY;
	if (blank_word(p, T_IS) && blank_word(p, T_NOT) && blank_word(p, T_EMPTY))
		return true;
	p->at = start;
	return false;
}

/* " in ", " not in " */
static bool
in_operator(struct parser *p, enum filter_op *op)
{
	size_t start = p->at;

	*op = FILTER_IN;
	if (blank_word(p, T_IN) && blanks(p))
		return true;
	p->at = start;
	*op = FILTER_NOT_IN;
	if (blank_word(p, T_NOT) && blank_word(p, T_IN) && blanks(p))
		return true;
	p->at = start;
	return false;
}

static bool
term_parts(struct parser *p, struct filter_node *term)
{
	size_t start = p->at;

	if (selector(p, &term->selector) && operator(p, &term->op) && value(p, &term->value))
		return true;
	p->at = start;
	if (selector(p, &term->selector) && is_empty(p, &term->op))
		return true;
	p->at = start;
	if (value(p, &term->value) && in_operator(p, &term->op)) {
		if (selector(p, &term->selector))
			return true;
		(void)mistake(p, p->at, "match", "Invalid selector");
	}
	p->at = start;
	return false;
}

static struct filter_node *
new_node(struct parser *p, enum filter_kind kind)
{
	struct filter_node *node = region_alloc(p->region, sizeof *node);

	*node = (struct filter_node){.kind = kind};
	return node;
}

static struct filter_node *
term(struct parser *p)
{
	struct filter_node node = {.kind = FILTER_TERM}, *kept;

	if (!term_parts(p, &node))
		return NULL;
	if (++p->terms > FILTER_TERMS_MAX) {
		snprintf(p->mistake, sizeof p->mistake, "more than %d terms", FILTER_TERMS_MAX);
		return NULL;
	}
	kept = new_node(p, FILTER_TERM);
	*kept = node;
	return kept;
}

/* ---- expressions ---- */

static struct filter_node *or_expression(struct parser *p);

static bool
deeper(struct parser *p)
{
	if (++p->depth <= FILTER_DEPTH_MAX)
		return true;
	snprintf(p->mistake, sizeof p->mistake, "nested deeper than %d", FILTER_DEPTH_MAX);
	return false;
}

static struct filter_node *
paren_expression(struct parser *p)
{
	size_t start = p->at;
	struct filter_node *inside = NULL;

	if (take(p, T_OPEN)) {
		take_all(p, T_BLANK);
		if (deeper(p))
			inside = or_expression(p);
		p->depth--;
		if (inside != NULL) {
			take_all(p, T_BLANK);
			if (take(p, T_CLOSE))
				return inside;
			(void)mistake(p, p->at, "grouping", "Unmatched parentheses");
		}
	}
	p->at = start;
	return term(p);
}

static struct filter_node *
not_expression(struct parser *p)
{
	size_t start = p->at;
	struct filter_node *negated = NULL, *node;

	if (take(p, T_NOT) && blanks(p)) {
		if (deeper(p))
			negated = not_expression(p);
		p->depth--;
		if (negated != NULL) {
			node = new_node(p, FILTER_NOT);
			node->child = negated;
			return node;
		}
	}
	p->at = start;
	return paren_expression(p);
}

/* part { word part }; one part stands for itself. */
static struct filter_node *
chain(struct parser *p, enum filter_kind kind, enum token word, struct filter_node *part(struct parser *p))
{
	struct filter_node *first = part(p), *last = first, *next, *node;

	if (first == NULL)
		return NULL;
	for (;;) {
		size_t start = p->at;

		if (!blank_word(p, word) || !blanks(p) || (next = part(p)) == NULL) {
			p->at = start;
			break;
		}
		last->next = next;
		last = next;
	}
	if (first == last)
		return first;
	node = new_node(p, kind);
	node->child = first;
	return node;
}

static struct filter_node *
and_expression(struct parser *p)
{
	return chain(p, FILTER_AND, T_AND, not_expression);
}

static struct filter_node *
or_expression(struct parser *p)
{
	return chain(p, FILTER_OR, T_OR, and_expression);
}

struct filter_node *
filter_parse(struct bytes expression, struct region *r, struct filter_error *error)
{
	struct parser p = {.text = expression, .region = r};
	struct filter_node *node;

	error->is_syntax = true;
	if (expression.size > FILTER_BYTES_MAX) {
		snprintf(
		    error->text, sizeof error->text, "%slonger than %d bytes", FILTER_ERROR_PREFIX, FILTER_BYTES_MAX);
		return NULL;
	}
	if (!utf8_valid(expression)) {
		snprintf(error->text, sizeof error->text, "%sinvalid encoding", FILTER_ERROR_PREFIX);
		return NULL;
	}
	take_all(&p, T_BLANK);
	node = or_expression(&p);
	if (node != NULL) {
		take_all(&p, T_BLANK);
		if (p.at < p.text.size) {
			miss(&p, T_EOF);
			node = NULL;
		}
	}
	if (p.mistake[0] != '\0') {
		snprintf(error->text, sizeof error->text, "%s%s", FILTER_ERROR_PREFIX, p.mistake);
		return NULL;
	}
	if (node == NULL)
		put_expected(&p, error);
	return node;
}

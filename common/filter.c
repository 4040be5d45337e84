/*
 * filter.c - filter expressions against the struct tables (contract: filter.h)
 *
 * A selector becomes a list of steps through the message: a field of a map, a key of a map, any element of a list.
 * What is absent or nil on the way is the zero value of its kind; only a key that a map lacks is "missing", which has
 * rules of its own (http-api.md 7.2). Values are converted once, when the expression is compiled.
 */
#include "filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter_parse.h"
#include "filter_regex.h"
#include "json_parse.h"

/* What stands at the end of a selector, and so which operators it knows. */
enum type {
	TYPE_TEXT,
	TYPE_INT,
	TYPE_UINT,
	TYPE_FLOAT,
	TYPE_BOOL,
	TYPE_TEXTS,
	TYPE_ADDRESS,
	TYPE_MAP,
	TYPE_LIST,
	TYPE_STRUCT
};

#define OPS_COMPARE (1u << FILTER_EQUAL | 1u << FILTER_NOT_EQUAL)
#define OPS_IN (1u << FILTER_IN | 1u << FILTER_NOT_IN)
#define OPS_EMPTY (1u << FILTER_EMPTY | 1u << FILTER_NOT_EMPTY)
#define OPS_MATCH (1u << FILTER_MATCHES | 1u << FILTER_NOT_MATCHES)

static const unsigned operators_of[] = {
    [TYPE_TEXT] = OPS_COMPARE | OPS_IN | OPS_MATCH,
    [TYPE_INT] = OPS_COMPARE,
    [TYPE_UINT] = OPS_COMPARE,
    [TYPE_FLOAT] = OPS_COMPARE,
    [TYPE_BOOL] = OPS_COMPARE,
    [TYPE_TEXTS] = OPS_IN | OPS_EMPTY,
    [TYPE_ADDRESS] = OPS_IN | OPS_EMPTY,
    [TYPE_MAP] = OPS_IN | OPS_EMPTY,
    [TYPE_LIST] = OPS_EMPTY,
    [TYPE_STRUCT] = 0,
};

static const char *const operator_names[] = {
    [FILTER_EQUAL] = "Equal",
    [FILTER_NOT_EQUAL] = "Not Equal",
    [FILTER_IN] = "In",
    [FILTER_NOT_IN] = "Not In",
    [FILTER_EMPTY] = "Is Empty",
    [FILTER_NOT_EMPTY] = "Is Not Empty",
    [FILTER_MATCHES] = "Matches",
    [FILTER_NOT_MATCHES] = "Not Matches",
};

enum step_kind { STEP_FIELD, STEP_KEY, STEP_ANY };

struct step {
	enum step_kind kind;
	struct bytes name; /* of a field or key */
	struct step *next;
};

/* A term, ready to be evaluated. */
struct compiled {
	struct step *steps;
	enum type type;
	int64_t integer;
	uint64_t natural;
	double real;
	bool boolean;
	struct filter_regex *regex;
	struct compiled *next; /* of the filter */
};

struct filter {
	struct region *region;
	struct filter_node *root;
	struct compiled *terms;
	bool too_much; /* a regular expression hit its limit */
};

/* ---- compiling ---- */

struct compiler {
	struct filter *filter;
	const struct schema *schema;
	struct filter_error *error;
};

/* "Node.Meta.os": the selector's first parts up to last, in a buffer that is cut at its size. */
static const char *
selector_name(const struct filter_part *part, const struct filter_part *last, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (; part != NULL && used < size; part = part == last ? NULL : part->next)
		used += (size_t)snprintf(out + used, size - used, "%s%.*s", used > 0 ? "." : "", (int)part->name.size,
		    (const char *)part->name.data);
	return out;
}

static int
bad_selector(struct compiler *c, const struct filter_node *term, const struct filter_part *last)
{
	char name[512];

	snprintf(c->error->text, sizeof c->error->text, "%sSelector \"%s\" is not valid", FILTER_ERROR_PREFIX,
	    selector_name(term->selector, last, name, sizeof name));
	return -1;
}

static const struct field *
selectable_field(const struct schema *s, struct bytes name)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];

		if (!bytes_equal(bytes_of(f->name, f->name_size), name))
			continue;
		if ((f->flags & (FIELD_NOFILTER | FIELD_HIDDEN)) || f->kind == FIELD_ANY || f->kind == FIELD_TIME ||
		    f->kind == FIELD_BYTES)
			return NULL;
		return f;
	}
	return NULL;
}

static enum type
type_of(const struct field *f)
{
	switch (f->kind) {
	case FIELD_BOOL:
		return TYPE_BOOL;
	case FIELD_INT:
	case FIELD_DURATION:
		return TYPE_INT;
	case FIELD_UINT:
		return TYPE_UINT;
	case FIELD_FLOAT:
		return TYPE_FLOAT;
	case FIELD_STRLIST:
		return TYPE_TEXTS;
	case FIELD_STRMAP:
	case FIELD_STRLISTMAP:
	case FIELD_MAP:
		return TYPE_MAP;
	case FIELD_LIST:
		return TYPE_LIST;
	case FIELD_STRUCT:
	case FIELD_PTR:
		return TYPE_STRUCT;
	default:
		return f->flags & FIELD_IP ? TYPE_ADDRESS : TYPE_TEXT;
	}
}

static void
add_step(struct compiler *c, struct step ***end, enum step_kind kind, struct bytes name)
{
	struct step *step = region_alloc(c->filter->region, sizeof *step);

	*step = (struct step){kind, name, NULL};
	**end = step;
	*end = &step->next;
}

/* Finds the way to what a selector names. *field: the row it ends at, for its flags. */
static int
resolve(struct compiler *c, const struct filter_node *term, struct compiled *out, const struct field **field)
{
	const struct schema *s = c->schema;
	const struct field *f = NULL;
	struct step **end = &out->steps;

	out->type = TYPE_STRUCT;
	for (const struct filter_part *part = term->selector; part != NULL; part = part->next) {
		if (out->type == TYPE_LIST)
			add_step(c, &end, STEP_ANY, (struct bytes){NULL, 0});
		if (out->type == TYPE_LIST || out->type == TYPE_STRUCT) {
			f = selectable_field(s, part->name);
			if (f == NULL)
				return bad_selector(c, term, part);
			add_step(c, &end, STEP_FIELD, part->name);
			out->type = type_of(f);
			s = f->of;
		} else if (out->type == TYPE_MAP) {
			add_step(c, &end, STEP_KEY, part->name);
			out->type = f->kind == FIELD_STRMAP       ? TYPE_TEXT
				    : f->kind == FIELD_STRLISTMAP ? TYPE_TEXTS
								  : TYPE_STRUCT;
		} else {
			return bad_selector(c, term, part);
		}
	}
	*field = f;
	return 0;
}

static int
bad_value(struct compiler *c, const struct filter_node *term, const char *function, int why)
{
	char name[256], quoted[256];

	json_go_quote(term->value, quoted, sizeof quoted);
	snprintf(c->error->text, sizeof c->error->text,
	    "%sFailed to coerce value %s for selector \"%s\": strconv.%s: parsing %s: %s", FILTER_ERROR_PREFIX, quoted,
	    selector_name(term->selector, NULL, name, sizeof name), function, quoted,
	    why == ERANGE ? "value out of range" : "invalid syntax");
	return -1;
}

/* Digits as in a Go program: 0x, 0b, 0o or 0 before them give the base, "_" may stand between. Returns 0, EINVAL, ERANGE. */
static int
parse_digits(struct bytes text, uint64_t *value)
{
	unsigned base = 10;
	size_t at = 0;
	bool digit_due = true, overflow = false; /* digit_due: the last one was no digit */
	uint8_t mark = text.size > 1 && text.data[0] == '0' ? text.data[1] | 0x20 : 0;

	if (mark != 0) {
		base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
		at = mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
		digit_due = at == 2 && at == text.size;
	}
	*value = 0;
	for (; at < text.size; at++) {
		uint8_t c = text.data[at];
		unsigned digit = c >= '0' && c <= '9'                     ? c - '0'
				 : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
									  : 16;

		if (c == '_' && !digit_due) {
			digit_due = true;
			continue;
		}
		if (digit >= base)
			return EINVAL;
		overflow = overflow || __builtin_mul_overflow(*value, (uint64_t)base, value) ||
			   __builtin_add_overflow(*value, (uint64_t)digit, value);
		digit_due = false;
	}
	if (digit_due)
		return EINVAL;
	return overflow ? ERANGE : 0;
}

static int
convert_int(struct compiler *c, const struct filter_node *term, struct compiled *out)
{
	struct bytes digits = term->value;
	bool negative = digits.size > 0 && digits.data[0] == '-';
	uint64_t size;
	int why;

	if (digits.size > 0 && (negative || digits.data[0] == '+'))
		digits = bytes_of(digits.data + 1, digits.size - 1);
	why = parse_digits(digits, &size);
	if (why == 0 && size > (uint64_t)INT64_MAX + negative)
		why = ERANGE;
	if (why != 0)
		return bad_value(c, term, "ParseInt", why);
	out->integer = negative ? (int64_t)-size : (int64_t)size;
	return 0;
}

static int
convert_uint(struct compiler *c, const struct filter_node *term, struct compiled *out, const struct field *f)
{
	uint64_t max = f->flags & FIELD_IP || f->flags & FIELD_BITS8 ? UINT8_MAX
		       : f->flags & FIELD_BITS16                     ? UINT16_MAX
								     : UINT64_MAX;
	int why = parse_digits(term->value, &out->natural);

	if (why == 0 && out->natural > max)
		why = ERANGE;
	return why == 0 ? 0 : bad_value(c, term, "ParseUint", why);
}

static int
convert_bool(struct compiler *c, const struct filter_node *term, struct compiled *out)
{
	static const char *const words[] = {
	    "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"};

	for (size_t i = 0; i < COUNTOF(words); i++) {
		if (bytes_is(term->value, words[i])) {
			out->boolean = i < COUNTOF(words) / 2;
			return 0;
		}
	}
	return bad_value(c, term, "ParseBool", EINVAL);
}

static int
convert_float(struct compiler *c, const struct filter_node *term, struct compiled *out)
{
	char text[64], *end;

	if (term->value.size == 0 || bytes_to_str(term->value, text, sizeof text) == -1)
		return bad_value(c, term, "ParseFloat", EINVAL);
	out->real = strtod(text, &end);
	return *end == '\0' && text[0] > ' ' ? 0 : bad_value(c, term, "ParseFloat", EINVAL);
}

static int
compile_regex(struct compiler *c, const struct filter_node *term, struct compiled *out)
{
	char why[256], quoted[512];

	out->regex = filter_regex_new(term->value, why, sizeof why);
	if (out->regex != NULL)
		return 0;
	json_go_quote(term->value, quoted, sizeof quoted);
	snprintf(c->error->text, sizeof c->error->text,
	    "%sFailed to compile regular expression %s: error parsing regexp: %s", FILTER_ERROR_PREFIX, quoted, why);
	return -1;
}

static int
convert_value(struct compiler *c, const struct filter_node *term, struct compiled *out, const struct field *f)
{
	switch (out->type) {
	case TYPE_INT:
		return convert_int(c, term, out);
	case TYPE_UINT:
	case TYPE_ADDRESS:
		return 1u << term->op & OPS_EMPTY ? 0 : convert_uint(c, term, out, f);
	case TYPE_BOOL:
		return convert_bool(c, term, out);
	case TYPE_FLOAT:
		return convert_float(c, term, out);
	default:
		return 1u << term->op & OPS_MATCH ? compile_regex(c, term, out) : 0;
	}
}

static int
compile_term(struct compiler *c, struct filter_node *term)
{
	struct compiled *out = region_alloc(c->filter->region, sizeof *out);
	const struct field *f = NULL;
	char name[512];

	*out = (struct compiled){.next = c->filter->terms};
	c->filter->terms = out; /* from here on filter_free knows it */
	term->compiled = out;
	if (resolve(c, term, out, &f) == -1)
		return -1;
	if (!(operators_of[out->type] & 1u << term->op)) {
		snprintf(c->error->text, sizeof c->error->text, "%sInvalid match operator \"%s\" for selector \"%s\"",
		    FILTER_ERROR_PREFIX, operator_names[term->op],
		    selector_name(term->selector, NULL, name, sizeof name));
		return -1;
	}
	return convert_value(c, term, out, f);
}

/* From left to right, so that the first mistake is the one reported. Recursion: FILTER_DEPTH_MAX times 3. */
static int
compile_node(struct compiler *c, struct filter_node *node)
{
	if (node->kind == FILTER_TERM)
		return compile_term(c, node);
	for (struct filter_node *child = node->child; child != NULL; child = child->next) {
		if (compile_node(c, child) == -1)
			return -1;
	}
	return 0;
}

int
filter_compile(struct bytes expression, const struct schema *s, struct filter **out, struct filter_error *error)
{
	struct compiler c = {.schema = s, .error = error};

	*out = NULL;
	if (expression.size == 0)
		return 0;
	c.filter = xcalloc(1, sizeof *c.filter);
	c.filter->region = region_new();
	c.filter->root = filter_parse(
	    region_copy(c.filter->region, bytes_of(expression.data, MIN(expression.size, FILTER_BYTES_MAX + 1))),
	    c.filter->region, error);
	if (c.filter->root == NULL)
		goto fail;
	error->is_syntax = false;
	if (compile_node(&c, c.filter->root) == -1)
		goto fail;
	*out = c.filter;
	return 0;
fail:
	filter_free(c.filter);
	return -1;
}

void
filter_free(struct filter *f)
{
	if (f == NULL)
		return;
	for (struct compiled *term = f->terms; term != NULL; term = term->next)
		filter_regex_free(term->regex);
	region_free(f->region);
	free(f);
}

/* ---- evaluating ---- */

static struct mp
zero_value(void)
{
	static const uint8_t nil = 0xc0;

	return mp_of(bytes_of(&nil, 1));
}

static bool
contains(struct bytes text, struct bytes part)
{
	return part.size == 0 || (text.size >= part.size && memmem(text.data, text.size, part.data, part.size) != NULL);
}

static bool
list_contains(struct mp list, struct bytes value)
{
	for (uint32_t left = mp_array(&list); left > 0 && mp_ok(&list); left--) {
		struct bytes element = mp_str(&list);
		if (mp_ok(&list) && bytes_equal(element, value))
			return true;
	}
	return false;
}

static bool
map_get(struct mp map, struct bytes key, struct mp *value)
{
	if (mp_peek(&map) != MP_MAP)
		return false;
	for (uint32_t left = mp_map(&map); left > 0 && mp_ok(&map); left--) {
		struct bytes name = mp_str(&map);
		if (mp_ok(&map) && bytes_equal(name, key)) {
			*value = map;
			return true;
		}
		mp_skip(&map);
	}
	return false;
}

/* An IP address as text, of which the language sees the bytes. */
static bool
address_contains(struct bytes text, uint64_t byte)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	size_t size;

	if (bytes_to_str(text, copy, sizeof copy) == -1)
		return false;
	size = inet_pton(AF_INET, copy, bytes) == 1 ? 4 : inet_pton(AF_INET6, copy, bytes) == 1 ? 16 : 0;
	return memchr(bytes, (int)byte, size) != NULL;
}

static bool
text_fits(struct filter *f, const struct filter_node *term, struct bytes text)
{
	const struct compiled *c = term->compiled;
	int found;

	switch (term->op) {
	case FILTER_EQUAL:
	case FILTER_NOT_EQUAL:
		return bytes_equal(text, term->value);
	case FILTER_IN:
	case FILTER_NOT_IN:
		return contains(text, term->value);
	default:
		found = filter_regex_match(c->regex, text);
		if (found == -1)
			f->too_much = true;
		return found == 1;
	}
}

/* The operator without its "not". */
static bool
value_fits(struct filter *f, const struct filter_node *term, struct mp value)
{
	const struct compiled *c = term->compiled;
	bool is_empty = term->op == FILTER_EMPTY || term->op == FILTER_NOT_EMPTY;
	struct mp unused;

	switch (c->type) {
	case TYPE_TEXT:
		return text_fits(f, term, mp_str(&value));
	case TYPE_INT:
		return mp_int(&value) == c->integer;
	case TYPE_UINT:
		return mp_uint(&value) == c->natural;
	case TYPE_FLOAT:
		return mp_float(&value) == c->real;
	case TYPE_BOOL:
		return mp_bool(&value) == c->boolean;
	case TYPE_TEXTS:
		return is_empty ? mp_array(&value) == 0 : list_contains(value, term->value);
	case TYPE_ADDRESS:
		return is_empty ? mp_str(&value).size == 0 : address_contains(mp_str(&value), c->natural);
	case TYPE_MAP:
		return is_empty ? mp_map(&value) == 0 : map_get(value, term->value, &unused);
	case TYPE_LIST:
		return mp_array(&value) == 0;
	case TYPE_STRUCT:
		break;
	}
	return false;
}

static bool
is_negated(enum filter_op op)
{
	return 1u << op &
	       (1u << FILTER_NOT_EQUAL | 1u << FILTER_NOT_IN | 1u << FILTER_NOT_EMPTY | 1u << FILTER_NOT_MATCHES);
}

/* For a key that the map has not. */
static bool
missing_fits(enum filter_op op)
{
	return op != FILTER_EQUAL && op != FILTER_IN && op != FILTER_NOT_EMPTY;
}

static bool
steps_fit(struct filter *f, const struct filter_node *term, const struct step *step, struct mp value)
{
	struct mp found;

	for (; step != NULL; step = step->next) {
		switch (step->kind) {
		case STEP_FIELD:
			value = map_get(value, step->name, &found) ? found : zero_value();
			break;
		case STEP_KEY:
			if (!map_get(value, step->name, &found))
				return missing_fits(term->op);
			value = found;
			break;
		case STEP_ANY:
			for (uint32_t left = mp_array(&value); left > 0 && mp_ok(&value); left--) {
				if (steps_fit(f, term, step->next, value))
					return true;
				mp_skip(&value);
			}
			return false;
		}
	}
	return value_fits(f, term, value) != is_negated(term->op);
}

static bool
node_fits(struct filter *f, const struct filter_node *node, struct mp element)
{
	const struct compiled *c = node->compiled;

	switch (node->kind) {
	case FILTER_TERM:
		return steps_fit(f, node, c->steps, element);
	case FILTER_NOT:
		return !node_fits(f, node->child, element);
	case FILTER_AND:
	case FILTER_OR:
		for (const struct filter_node *child = node->child; child != NULL; child = child->next) {
			if (node_fits(f, child, element) == (node->kind == FILTER_OR))
				return node->kind == FILTER_OR;
		}
		return node->kind == FILTER_AND;
	}
	return false;
}

int
filter_match(struct filter *f, struct mp element)
{
	bool fits;

	if (f == NULL)
		return 1;
	f->too_much = false;
	fits = node_fits(f, f->root, element);
	return f->too_much ? -1 : fits;
}

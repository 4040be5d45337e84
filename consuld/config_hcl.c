/*
 * config_hcl.c - reads an HCL file of version 1 into a value tree (contract: value.h, facts: config.md 1.5)
 *
 * A block, and an object behind "=", is a list of one map; the same name again appends to it. The decoder takes a list of one for the object it
 * wants, and so finds the repeated block that should not be. Nothing is interpolated. What the reference accepts by mistake (a key
 * without a value at the end of the file, an open brace there) is an error.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "value.h"

struct hcl {
	struct region *region;
	const uint8_t *at, *end, *line_start;
	unsigned line;
	char *error;
	struct buf scratch;
};

static unsigned
column(const struct hcl *in)
{
	return (unsigned)(in->at - in->line_start) + 1;
}

static struct value *
fail_at(struct hcl *in, unsigned line, unsigned place, const char *what)
{
	snprintf(in->error, VALUE_ERROR_MAX, "At %u:%u: %s", line, place, what);
	return NULL;
}

static struct value *
fail(struct hcl *in, const char *what)
{
	return fail_at(in, in->line, column(in), what);
}

static void
next_line(struct hcl *in)
{
	in->at++;
	in->line++;
	in->line_start = in->at;
}

/* Blanks and comments. false: a comment that does not end. */
static bool
skip(struct hcl *in)
{
	while (in->at < in->end) {
		const uint8_t c = *in->at, next = in->at + 1 < in->end ? in->at[1] : 0;

		if (c == '\n') {
			next_line(in);
		} else if (c == ' ' || c == '\t' || c == '\r') {
			in->at++;
		} else if (c == '#' || (c == '/' && next == '/')) {
			while (in->at < in->end && *in->at != '\n')
				in->at++;
		} else if (c == '/' && next == '*') {
			const unsigned line = in->line, place = column(in);

			in->at += 2;
			while (in->at < in->end && !(*in->at == '*' && in->at + 1 < in->end && in->at[1] == '/')) {
				if (*in->at == '\n')
					next_line(in);
				else
					in->at++;
			}
			if (in->at >= in->end) {
				fail_at(in, line, place, "comment not terminated");
				return false;
			}
			in->at += 2;
		} else {
			break;
		}
	}
	return true;
}

static bool
at_char(const struct hcl *in, uint8_t c)
{
	return in->at < in->end && *in->at == c;
}

static void
put_code(struct buf *out, unsigned code)
{
	if (code < 0x80) {
		buf_put_u8(out, (uint8_t)code);
		return;
	}
	if (code < 0x800) {
		buf_put_u8(out, (uint8_t)(0xc0 | code >> 6));
	} else {
		if (code < 0x10000) {
			buf_put_u8(out, (uint8_t)(0xe0 | code >> 12));
		} else {
			buf_put_u8(out, (uint8_t)(0xf0 | code >> 18));
			buf_put_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
		}
		buf_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
	}
	buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
}

/* Behind the backslash. */
static bool
read_escape(struct hcl *in)
{
	static const char plain[] = "abfnrtv\\\"", meaning[] = "\a\b\f\n\r\t\v\\\"";
	const uint8_t c = in->at < in->end ? *in->at : 0;
	const char *which = c == 0 ? NULL : strchr(plain, c);
	const int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : c >= '0' && c <= '7' ? 3 : 0;
	unsigned code = 0;

	if (which != NULL) {
		buf_put_u8(&in->scratch, (uint8_t)meaning[which - plain]);
		in->at++;
		return true;
	}
	if (digits != 3)
		in->at++;
	for (int i = 0; i < digits; i++, in->at++) {
		const uint8_t d = in->at < in->end ? *in->at : 0;

		if (!isxdigit(d) || (digits == 3 && d > '7')) {
			fail(in, "illegal char in escape sequence");
			return false;
		}
		code = code * (digits == 3 ? 8 : 16) + (unsigned)(d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10);
	}
	if (digits == 0 || code == 0 || code > 0x10ffff) {
		fail(in, "illegal char escape");
		return false;
	}
	put_code(&in->scratch, code);
	return true;
}

static const char *
taken(struct hcl *in)
{
	if (in->scratch.used > 0 && memchr(in->scratch.data, 0, in->scratch.used) != NULL) {
		fail(in, "illegal character NUL");
		return NULL;
	}
	return region_strndup(
	    in->region, in->scratch.used == 0 ? (const uint8_t *)"" : in->scratch.data, in->scratch.used);
}

/* Stands on the opening quote. Inside ${ } quotes and line ends do not count. */
static const char *
read_quoted(struct hcl *in)
{
	const unsigned line = in->line, place = column(in);
	unsigned braces = 0;

	buf_clear(&in->scratch);
	for (in->at++;;) {
		if (in->at >= in->end || (*in->at == '\n' && braces == 0)) {
			fail_at(in, line, place, "literal not terminated");
			return NULL;
		}
		if (*in->at == '"' && braces == 0)
			break;
		if (*in->at == '\\' && braces == 0) {
			in->at++;
			if (!read_escape(in))
				return NULL;
			continue;
		}
		if (braces == 0 ? *in->at == '$' && in->at + 1 < in->end && in->at[1] == '{' : *in->at == '{') {
			braces++;
			if (*in->at == '$')
				buf_put_u8(&in->scratch, *in->at++);
		} else if (braces > 0 && *in->at == '}') {
			braces--;
		}
		buf_put_u8(&in->scratch, *in->at);
		if (*in->at == '\n')
			next_line(in);
		else
			in->at++;
	}
	in->at++;
	return taken(in);
}

/* Takes the common blanks off the lines of a <<- text, in place. */
static void
unindent(struct buf *text)
{
	size_t common = SIZE_MAX, used = 0;

	for (size_t i = 0; i < text->used;) {
		size_t blanks = 0, line = i;

		while (i < text->used && (text->data[i] == ' ' || text->data[i] == '\t')) {
			i++;
			blanks++;
		}
		while (i < text->used && text->data[i] != '\n')
			i++;
		if (i > line)
			common = MIN(common, blanks);
		i++;
	}
	if (common == SIZE_MAX)
		return;
	for (size_t i = 0; i < text->used;) {
		for (size_t j = 0; j < common && i < text->used && text->data[i] != '\n'; j++)
			i++;
		while (i < text->used) {
			const uint8_t c = text->data[i++];

			text->data[used++] = c;
			if (c == '\n')
				break;
		}
	}
	text->used = used;
}

/* Stands on "<<". */
static const char *
read_heredoc(struct hcl *in)
{
	const unsigned line = in->line, place = column(in);
	const uint8_t *mark;
	size_t length;
	bool indented;

	in->at += 2;
	indented = at_char(in, '-');
	if (indented)
		in->at++;
	mark = in->at;
	while (in->at < in->end && (isalnum(*in->at) || *in->at == '_'))
		in->at++;
	length = (size_t)(in->at - mark);
	if (at_char(in, '\r'))
		in->at++;
	if (length == 0 || !at_char(in, '\n')) {
		fail_at(in, line, place,
		    length == 0 ? "zero-length heredoc anchor" : "invalid characters in heredoc anchor");
		return NULL;
	}
	next_line(in);
	buf_clear(&in->scratch);
	while (in->at < in->end) {
		const uint8_t *stop = memchr(in->at, '\n', (size_t)(in->end - in->at)), *first = in->at, *last;

		stop = stop == NULL ? in->end : stop;
		last = stop > in->at && stop[-1] == '\r' ? stop - 1 : stop;
		while (first < last && (*first == ' ' || *first == '\t'))
			first++;
		if ((size_t)(last - first) == length && memcmp(first, mark, length) == 0) {
			in->at = last;
			if (indented)
				unindent(&in->scratch);
			return taken(in);
		}
		buf_put(&in->scratch, in->at, (size_t)(stop - in->at));
		in->at = stop;
		if (stop < in->end) {
			buf_put_u8(&in->scratch, '\n');
			next_line(in);
		}
	}
	fail_at(in, line, place, "heredoc not terminated");
	return NULL;
}

static struct value *
read_number(struct hcl *in)
{
	const uint8_t *start = in->at;
	struct value *v = value_new(in->region, VALUE_NUMBER);
	char text[64], *end;

	while (in->at < in->end && (isalnum(*in->at) || strchr("+-.", *in->at) != NULL) && *in->at != 0)
		in->at++;
	if (bytes_to_str(bytes_of(start, (size_t)(in->at - start)), text, sizeof text) == -1)
		return fail(in, "illegal number");
	v->whole = strpbrk(text, ".eE") == NULL || strpbrk(text, "xX") != NULL;
	errno = 0;
	if (v->whole)
		v->text = region_printf(in->region, "%lld", strtoll(text, &end, 0));
	else if (strpbrk(text, "nNiI") != NULL || strtod(text, &end) > 1e308 || strtod(text, &end) < -1e308)
		return fail(in, "illegal number");
	else
		v->text = region_printf(in->region, "%.17g", strtod(text, &end));
	if (*end != '\0' || end == text || errno != 0)
		return fail(in, "illegal number");
	return v;
}

/* A word of letters, digits, _ - and . */
static const char *
read_word(struct hcl *in)
{
	const uint8_t *start = in->at;

	if (in->at >= in->end || !(isalpha(*in->at) || *in->at == '_' || *in->at >= 0x80))
		return NULL;
	while (in->at < in->end &&
	       (isalnum(*in->at) || *in->at == '_' || *in->at == '-' || *in->at == '.' || *in->at >= 0x80))
		in->at++;
	return region_strndup(in->region, start, (size_t)(in->at - start));
}

static struct value *read_object(struct hcl *in, unsigned depth);
static struct value *read_value(struct hcl *in, unsigned depth);

static struct value *
read_list(struct hcl *in, unsigned depth)
{
	const unsigned line = in->line, place = column(in);
	struct value *list = value_new(in->region, VALUE_LIST), *v;

	for (in->at++;;) {
		if (!skip(in))
			return NULL;
		if (at_char(in, ']'))
			break;
		if (in->at >= in->end)
			return fail_at(in, line, place, "error parsing list, expected comma or list end, got: EOF");
		v = read_value(in, depth + 1);
		if (v == NULL || !skip(in))
			return NULL;
		/* inside a list an object is an object */
		value_append(list, v->block ? v->first : v);
		if (at_char(in, ','))
			in->at++;
		else if (!at_char(in, ']'))
			return fail(in, "error parsing list, expected comma or list end");
	}
	in->at++;
	return list;
}

static struct value *
as_block(struct hcl *in, struct value *map)
{
	struct value *list = value_new(in->region, VALUE_LIST);

	list->block = true;
	list->line = map->line;
	list->column = map->column;
	value_append(list, map);
	return list;
}

static struct value *
read_value(struct hcl *in, unsigned depth)
{
	const unsigned line = in->line, place = column(in);
	struct value *v = NULL;
	const char *word;

	if (depth > VALUE_DEPTH_MAX)
		return fail(in, "nested too deeply");
	if (in->at >= in->end)
		return fail(in, "Unknown token: EOF");
	if (*in->at == '"' || (*in->at == '<' && in->at + 1 < in->end && in->at[1] == '<')) {
		v = value_new(in->region, VALUE_STRING);
		v->text = *in->at == '"' ? read_quoted(in) : read_heredoc(in);
		if (v->text == NULL)
			return NULL;
	} else if (*in->at == '[') {
		v = read_list(in, depth);
	} else if (*in->at == '{') {
		v = read_object(in, depth + 1);
		if (v != NULL)
			v = as_block(in, v);
	} else if (isdigit(*in->at) || *in->at == '-' || *in->at == '.') {
		v = read_number(in);
	} else {
		word = read_word(in);
		if (word == NULL || (strcmp(word, "true") != 0 && strcmp(word, "false") != 0))
			return fail_at(in, line, place, word == NULL ? "illegal character" : "Unknown token: IDENT");
		v = value_new(in->region, VALUE_BOOL);
		v->boolean = strcmp(word, "true") == 0;
	}
	if (v == NULL)
		return NULL;
	v->line = line;
	v->column = place;
	return v;
}

/* Puts v under key: blocks of one name gather, of scalars the last one wins. */
static void
put_member(struct hcl *in, struct value *map, const char *key, struct value *v, unsigned line, unsigned place)
{
	struct value *old = value_member(map, key);

	(void)in;
	if (old != NULL && old->block && v->block) {
		value_append(old, v->first);
		return;
	}
	v->line = line;
	v->column = place;
	value_set(map, key, v);
}

/* key = value, key { }, key "label" { } */
static bool
read_item(struct hcl *in, struct value *map, unsigned depth)
{
	const unsigned line = in->line, place = column(in);
	const char *key = at_char(in, '"') ? read_quoted(in) : read_word(in), *labels[16];
	struct value *v;
	size_t count = 0;

	if (key == NULL) {
		if (*in->error == '\0')
			fail(in, "expected: IDENT | STRING");
		return false;
	}
	if (!skip(in))
		return false;
	while (count < COUNTOF(labels) && in->at < in->end && (*in->at == '"' || isalpha(*in->at) || *in->at == '_')) {
		labels[count] = *in->at == '"' ? read_quoted(in) : read_word(in);
		if (labels[count++] == NULL || !skip(in))
			return false;
	}
	if (at_char(in, '=') && count == 0) {
		in->at++;
		if (!skip(in))
			return false;
	} else if (!at_char(in, '{')) {
		char text[VALUE_ERROR_MAX / 2];

		snprintf(text, sizeof text, "key '%.100s' expected start of object ('{') or assignment ('=')", key);
		fail(in, text);
		return false;
	}
	v = read_value(in, depth);
	if (v == NULL)
		return false;
	while (count > 0) {
		struct value *outer = value_new(in->region, VALUE_MAP);

		put_member(in, outer, labels[--count], v, line, place);
		v = as_block(in, outer);
	}
	put_member(in, map, key, v, line, place);
	return true;
}

/* Items up to the closing brace, or up to the end of the file (depth 0). */
static struct value *
read_object(struct hcl *in, unsigned depth)
{
	const unsigned line = in->line, place = column(in);
	struct value *map = value_new(in->region, VALUE_MAP);

	if (depth > 0)
		in->at++;
	map->line = line;
	map->column = place;
	for (;;) {
		if (!skip(in))
			return NULL;
		if (depth > 0 && at_char(in, '}'))
			break;
		if (in->at >= in->end)
			return depth == 0 ? map : fail_at(in, line, place, "object expected closing RBRACE got: EOF");
		if (!read_item(in, map, depth + 1) || !skip(in))
			return NULL;
		if (at_char(in, ','))
			in->at++;
	}
	in->at++;
	return map;
}

struct value *
hcl_read(struct region *r, struct bytes text, char error[VALUE_ERROR_MAX])
{
	struct hcl in = {
	    .region = r,
	    .at = text.data,
	    .end = text.data + text.size,
	    .line_start = text.data,
	    .line = 1,
	    .error = error,
	    .scratch = BUF_INIT(VALUE_FILE_MAX),
	};
	struct value *map;

	error[0] = '\0';
	if (text.size > VALUE_FILE_MAX) {
		snprintf(error, VALUE_ERROR_MAX, "file is larger than %u bytes", VALUE_FILE_MAX);
		return NULL;
	}
	if (!skip(&in))
		return NULL;
	if (at_char(&in, '{')) /* plain JSON under the name of HCL */
		return json_read(r, text, error);
	map = read_object(&in, 0);
	buf_free(&in.scratch);
	return map;
}

/*
 * config_json.c - reads a JSON configuration file into a value tree (contract: value.h)
 *
 * A parser of its own, because the texts matter: a broken file is reported in the words of the reference's JSON reader with line and column
 * after them, and later errors name the place of the key. Strict: no comments, no trailing comma, nothing after the top-level object.
 * Input is bounded by VALUE_FILE_MAX, nesting by VALUE_DEPTH_MAX.
 */
#include <stdio.h>

#include "value.h"

struct reader {
	struct region *region;
	const uint8_t *at, *end, *line_start;
	unsigned line;
	char *error;
	struct buf scratch;
};

static unsigned
column(const struct reader *in, const uint8_t *at)
{
	return (unsigned)(at - in->line_start) + 1;
}

/* Go's quoteChar: the byte as the character of that code. */
static void
quote_char(uint8_t c, char out[16])
{
	if (c == '\'')
		snprintf(out, 16, "'\\''");
	else if (c == '\n' || c == '\r' || c == '\t')
		snprintf(out, 16, "'\\%c'", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	else if (c == '\\')
		snprintf(out, 16, "'\\\\'");
	else if (c < 0x20 || c == 0x7f)
		snprintf(out, 16, "'\\x%02x'", c);
	else if (c < 0x80)
		snprintf(out, 16, "'%c'", c);
	else if (c < 0xa0 || c == 0xad)
		snprintf(out, 16, "'\\u%04x'", c);
	else
		snprintf(out, 16, "'%c%c'", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
}

static struct value *
fail(struct reader *in, const char *context)
{
	char character[16];

	if (in->at >= in->end) {
		snprintf(in->error, VALUE_ERROR_MAX, "unexpected end of JSON input (line %u, column %u)", in->line,
		    column(in, in->end));
		return NULL;
	}
	quote_char(*in->at, character);
	snprintf(in->error, VALUE_ERROR_MAX, "invalid character %s %s (line %u, column %u)", character, context,
	    in->line, column(in, in->at));
	return NULL;
}

static void
skip_blanks(struct reader *in)
{
	while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\r' || *in->at == '\n')) {
		if (*in->at++ == '\n') {
			in->line++;
			in->line_start = in->at;
		}
	}
}

static bool
hex4(struct reader *in, unsigned *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++, in->at++) {
		const uint8_t c = in->at < in->end ? *in->at : 0;

		if (c >= '0' && c <= '9')
			*out = *out << 4 | (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			*out = *out << 4 | (unsigned)((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	return true;
}

static void
put_utf8(struct buf *out, unsigned code)
{
	if (code < 0x80) {
		buf_put_u8(out, (uint8_t)code);
	} else if (code < 0x800) {
		buf_put_u8(out, (uint8_t)(0xc0 | code >> 6));
		buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
	} else if (code < 0x10000) {
		buf_put_u8(out, (uint8_t)(0xe0 | code >> 12));
		buf_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
		buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
	} else {
		buf_put_u8(out, (uint8_t)(0xf0 | code >> 18));
		buf_put_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
		buf_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
		buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
	}
}

/* Length of the well-formed UTF-8 sequence at p, 0: none. */
static size_t
utf8_length(const uint8_t *p, const uint8_t *end)
{
	const size_t length = *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;

	if (length == 0 || (size_t)(end - p) < length)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
	    (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

/* After the backslash. */
static bool
read_escape(struct reader *in)
{
	static const char plain[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
	const char *which;
	unsigned code, low;

	if (in->at >= in->end || (*in->at != 'u' && (*in->at == 0 || strchr(plain, *in->at) == NULL))) {
		fail(in, "in string escape code");
		return false;
	}
	if (*in->at != 'u') {
		which = strchr(plain, *in->at++);
		buf_put_u8(&in->scratch, (uint8_t)meaning[which - plain]);
		return true;
	}
	in->at++;
	if (!hex4(in, &code)) {
		fail(in, "in \\u hexadecimal character escape");
		return false;
	}
	if (code >= 0xd800 && code < 0xdc00 && in->end - in->at >= 6 && in->at[0] == '\\' && in->at[1] == 'u') {
		const uint8_t *before = in->at;

		in->at += 2;
		if (hex4(in, &low) && low >= 0xdc00 && low < 0xe000)
			code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		else
			in->at = before;
	}
	put_utf8(&in->scratch, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
	return true;
}

/* Stands on the opening quote. NULL: error set. */
static const char *
read_string(struct reader *in)
{
	in->at++;
	buf_clear(&in->scratch);
	for (;;) {
		if (in->at >= in->end || *in->at < 0x20) {
			fail(in, "in string literal");
			return NULL;
		}
		if (*in->at == '"')
			break;
		if (*in->at == '\\') {
			in->at++;
			if (!read_escape(in))
				return NULL;
		} else if (*in->at < 0x80) {
			buf_put_u8(&in->scratch, *in->at++);
		} else {
			const size_t length = utf8_length(in->at, in->end);

			if (length == 0)
				put_utf8(&in->scratch, 0xfffd);
			else
				buf_put(&in->scratch, in->at, length);
			in->at += length == 0 ? 1 : length;
		}
	}
	in->at++;
	if (memchr(in->scratch.data == NULL ? (const uint8_t *)"" : in->scratch.data, 0, in->scratch.used) != NULL) {
		snprintf(in->error, VALUE_ERROR_MAX, "a string holds a NUL character (line %u, column %u)", in->line,
		    column(in, in->at));
		return NULL;
	}
	return region_strndup(
	    in->region, in->scratch.used == 0 ? "" : (const char *)in->scratch.data, in->scratch.used);
}

static void
skip_digits(struct reader *in)
{
	while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
		in->at++;
}

static struct value *
read_number(struct reader *in)
{
	const uint8_t *start = in->at;
	struct value *v;

	if (*in->at == '-')
		in->at++;
	if (in->at >= in->end || *in->at < '0' || *in->at > '9')
		return fail(in, "in numeric literal");
	if (*in->at == '0')
		in->at++;
	else
		skip_digits(in);
	if (in->at < in->end && *in->at == '.') {
		in->at++;
		if (in->at >= in->end || *in->at < '0' || *in->at > '9')
			return fail(in, "after decimal point in numeric literal");
		skip_digits(in);
	}
	if (in->at < in->end && (*in->at == 'e' || *in->at == 'E')) {
		in->at++;
		if (in->at < in->end && (*in->at == '+' || *in->at == '-'))
			in->at++;
		if (in->at >= in->end || *in->at < '0' || *in->at > '9')
			return fail(in, "in exponent of numeric literal");
		skip_digits(in);
	}
	v = value_new(in->region, VALUE_NUMBER);
	v->text = region_strndup(in->region, start, (size_t)(in->at - start));
	return v;
}

static struct value *
read_literal(struct reader *in, const char *literal, enum value_kind kind, bool boolean)
{
	struct value *v;
	char context[48];

	for (const char *p = literal; *p != '\0'; p++, in->at++) {
		snprintf(context, sizeof context, "in literal %s (expecting '%c')", literal, *p);
		if (in->at >= in->end || *in->at != (uint8_t)*p)
			return fail(in, context);
	}
	v = value_new(in->region, kind);
	v->boolean = boolean;
	return v;
}

static struct value *read_value(struct reader *in, unsigned depth);

static struct value *
read_list(struct reader *in, unsigned depth)
{
	struct value *list = value_new(in->region, VALUE_LIST), *v;

	in->at++;
	skip_blanks(in);
	if (in->at < in->end && *in->at == ']') {
		in->at++;
		return list;
	}
	for (;;) {
		v = read_value(in, depth + 1);
		if (v == NULL)
			return NULL;
		value_append(list, v);
		skip_blanks(in);
		if (in->at < in->end && *in->at == ',')
			in->at++;
		else if (in->at < in->end && *in->at == ']')
			break;
		else
			return fail(in, "after array element");
	}
	in->at++;
	return list;
}

static struct value *
read_map(struct reader *in, unsigned depth)
{
	struct value *map = value_new(in->region, VALUE_MAP), *v;

	in->at++;
	skip_blanks(in);
	if (in->at < in->end && *in->at == '}') {
		in->at++;
		return map;
	}
	for (;;) {
		unsigned line, place;
		const char *key;

		skip_blanks(in);
		if (in->at >= in->end || *in->at != '"')
			return fail(in, "looking for beginning of object key string");
		line = in->line;
		place = column(in, in->at);
		key = read_string(in);
		if (key == NULL)
			return NULL;
		skip_blanks(in);
		if (in->at >= in->end || *in->at != ':')
			return fail(in, "after object key");
		in->at++;
		v = read_value(in, depth + 1);
		if (v == NULL)
			return NULL;
		v->line = line;
		v->column = place;
		value_set(map, key, v);
		skip_blanks(in);
		if (in->at < in->end && *in->at == ',')
			in->at++;
		else if (in->at < in->end && *in->at == '}')
			break;
		else
			return fail(in, "after object key:value pair");
	}
	in->at++;
	return map;
}

static struct value *
read_value(struct reader *in, unsigned depth)
{
	unsigned line, place;
	struct value *v;

	skip_blanks(in);
	line = in->line;
	place = column(in, in->at);
	if (depth > VALUE_DEPTH_MAX) {
		snprintf(in->error, VALUE_ERROR_MAX, "nested too deeply (line %u, column %u)", line, place);
		return NULL;
	}
	if (in->at >= in->end)
		return fail(in, "");
	switch (*in->at) {
	case '{':
		v = read_map(in, depth);
		break;
	case '[':
		v = read_list(in, depth);
		break;
	case '"':
		v = value_new(in->region, VALUE_STRING);
		v->text = read_string(in);
		if (v->text == NULL)
			return NULL;
		break;
	case 't':
		v = read_literal(in, "true", VALUE_BOOL, true);
		break;
	case 'f':
		v = read_literal(in, "false", VALUE_BOOL, false);
		break;
	case 'n':
		v = read_literal(in, "null", VALUE_NULL, false);
		break;
	default:
		if (*in->at != '-' && (*in->at < '0' || *in->at > '9'))
			return fail(in, "looking for beginning of value");
		v = read_number(in);
	}
	if (v == NULL)
		return NULL;
	v->line = line;
	v->column = place;
	return v;
}

struct value *
json_read(struct region *r, struct bytes text, char error[VALUE_ERROR_MAX])
{
	struct reader in = {
	    .region = r,
	    .at = text.data,
	    .end = text.data + text.size,
	    .line_start = text.data,
	    .line = 1,
	    .error = error,
	    .scratch = BUF_INIT(VALUE_FILE_MAX),
	};
	struct value *v;

	if (text.size > VALUE_FILE_MAX) {
		snprintf(error, VALUE_ERROR_MAX, "file is larger than %u bytes", VALUE_FILE_MAX);
		return NULL;
	}
	v = read_value(&in, 0);
	if (v != NULL) {
		skip_blanks(&in);
		if (in.at < in.end)
			v = fail(&in, "after top-level value");
	}
	if (v != NULL && v->kind != VALUE_MAP) {
		static const char *const names[] = {"", "bool", "number", "string", "array", "object"};

		if (v->kind == VALUE_NULL) { /* null is an empty object */
			v->kind = VALUE_MAP;
		} else {
			snprintf(error, VALUE_ERROR_MAX,
			    "json: cannot unmarshal %s into Go value of type map[string]interface {}", names[v->kind]);
			v = NULL;
		}
	}
	buf_free(&in.scratch);
	return v;
}

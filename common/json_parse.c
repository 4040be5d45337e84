/*
 * json_parse.c - JSON text to tape (contract: json_parse.h)
 *
 * yajl parses; its callbacks write the tape. Clients see the error texts of Go's decoder, which name the
 * character and the place in the grammar ("invalid character '}' looking for beginning of object key string"); yajl's
 * say neither. So when yajl has refused a text, json_syntax_error reads it once more, by the grammar alone and
 * only to find those words. It never decides whether a text is good: yajl also takes \v and \f for blanks.
 *
 * Strings are taken as they are, then invalid UTF-8 is replaced by U+FFFD: the reference accepts such bodies.
 */
#include "json_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "json.h"
#include "mem.h"
#include "utf8.h"

/* ---- the parser ---- */

struct parse {
	struct buf *tape;
	size_t depth;
	bool too_deep;
	size_t place[JSON_DEPTH_MAX];       /* of the open containers' heads on the tape */
	uint32_t count[JSON_DEPTH_MAX + 1]; /* values so far; [0] is the top */
};

static int
on_null(void *context)
{
	struct parse *p = context;

	p->count[p->depth]++;
	mp_put_nil(p->tape);
	return 1;
}

static int
on_boolean(void *context, int value)
{
	struct parse *p = context;

	p->count[p->depth]++;
	mp_put_bool(p->tape, value != 0);
	return 1;
}

static int
on_number(void *context, const char *text, size_t size)
{
	struct parse *p = context;

	p->count[p->depth]++;
	buf_put_u8(p->tape, size <= UINT8_MAX ? 0xc4 : 0xc6);
	if (size <= UINT8_MAX)
		buf_put_u8(p->tape, (uint8_t)size);
	else
		buf_put_be32(p->tape, (uint32_t)size);
	buf_put(p->tape, text, size);
	return 1;
}

static void
put_text(struct buf *tape, struct bytes text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	struct buf clean = BUF_INIT(3 * text.size + 1);

	if (utf8_valid(text)) {
		mp_put_bytes(tape, text);
		return;
	}
	for (size_t at = 0; at < text.size;) {
		uint32_t point;
		size_t size = utf8_decode(text.data + at, text.size - at, &point);

		if (size == 0)
			buf_put(&clean, replacement, 3);
		else
			buf_put(&clean, text.data + at, size);
		at += size == 0 ? 1 : size;
	}
	mp_put_bytes(tape, buf_bytes(&clean));
	buf_free(&clean);
}

static int
on_string(void *context, const unsigned char *text, size_t size)
{
	struct parse *p = context;

	p->count[p->depth]++;
	put_text(p->tape, bytes_of(text, size));
	return 1;
}

static int
on_key(void *context, const unsigned char *text, size_t size)
{
	struct parse *p = context;

	put_text(p->tape, bytes_of(text, size)); /* counted with its value */
	return 1;
}

static int
on_open(struct parse *p, bool is_map)
{
	if (p->depth == JSON_DEPTH_MAX) {
		p->too_deep = true;
		return 0;
	}
	p->count[p->depth]++;
	p->place[p->depth++] = is_map ? mp_open_map(p->tape) : mp_open_array(p->tape);
	p->count[p->depth] = 0;
	return 1;
}

static int
on_map(void *context)
{
	return on_open(context, true);
}

static int
on_array(void *context)
{
	return on_open(context, false);
}

static int
on_close(void *context)
{
	struct parse *p = context;

	p->depth--;
	mp_close(p->tape, p->place[p->depth], p->count[p->depth + 1]);
	return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_close,
    .yajl_start_array = on_array,
    .yajl_end_array = on_close,
};

/* yajl does not look at what its allocator returns. */
static void *
on_alloc(void *context, size_t size)
{
	(void)context;
	return xmalloc(size);
}

static void *
on_realloc(void *context, void *old, size_t size)
{
	(void)context;
	return xreallocarray(old, size, 1);
}

static void
on_free(void *context, void *old)
{
	(void)context;
	free(old);
}

static yajl_alloc_funcs allocator = {on_alloc, on_realloc, on_free, NULL};

int
json_parse(struct bytes json, struct buf *tape, struct json_error *error)
{
	struct parse p = {.tape = tape};
	yajl_handle yajl = yajl_alloc(&callbacks, &allocator, &p);
	yajl_status status;

	yajl_config(yajl, yajl_dont_validate_strings, 1);
	yajl_config(yajl, yajl_allow_trailing_garbage, 1);
	status = yajl_parse(yajl, json.data, json.size);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(yajl);
	yajl_free(yajl);
	if (status == yajl_status_ok && !tape->overflow)
		return 0;
	if (p.too_deep)
		snprintf(error->text, sizeof error->text, "exceeded max depth");
	else
		json_syntax_error(json, error);
	if (error->text[0] == '\0')
		snprintf(error->text, sizeof error->text, "invalid JSON");
	return -1;
}

/* ---- error texts ---- */

void
json_go_quote(struct bytes text, char *out, size_t size)
{
	struct buf quoted = BUF_INIT(4 * text.size + 3);
	size_t at = 0;

	buf_put_u8(&quoted, '"');
	while (at < text.size) {
		uint8_t c = text.data[at];
		uint32_t point;
		size_t step = utf8_decode(text.data + at, text.size - at, &point);

		if (c == '"' || c == '\\')
			buf_printf(&quoted, "\\%c", c);
		else if (c == '\n' || c == '\r' || c == '\t')
			buf_printf(&quoted, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
		else if (step == 0 || c < 0x20 || c == 0x7f)
			buf_printf(&quoted, "\\x%02x", c);
		else
			buf_put(&quoted, text.data + at, step);
		at += step == 0 ? 1 : step;
	}
	buf_put_u8(&quoted, '"');
	snprintf(out, size, "%.*s", (int)quoted.used, (const char *)quoted.data);
	buf_free(&quoted);
}

struct scan {
	const uint8_t *at;
	const uint8_t *end;
	const char *context; /* where in the grammar an unfit character stands; NULL: none found */
	bool ended;          /* the text ends too early */
};

/* What may come next, outside of strings, numbers and words. */
enum want { WANT_VALUE, WANT_VALUE_OR_END, WANT_KEY, WANT_KEY_OR_END, WANT_COLON, WANT_MORE };

static void
skip_blanks(struct scan *s)
{
	while (s->at < s->end && memchr(" \t\r\n", *s->at, 4) != NULL)
		s->at++;
}

/* The current character is of the class, or an error is noted. Moves on. */
static bool
need(struct scan *s, bool fits, const char *context)
{
	if (s->at == s->end)
		s->ended = true;
	else if (!fits)
		s->context = context;
	else
		s->at++;
	return s->context == NULL && !s->ended;
}

static bool
is_digit(const struct scan *s)
{
	return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static bool
is_hex(const struct scan *s)
{
	return is_digit(s) || (s->at < s->end && ((*s->at | 0x20) >= 'a' && (*s->at | 0x20) <= 'f'));
}

static bool
is_one_of(const struct scan *s, const char *set)
{
	return s->at < s->end && *s->at != '\0' && strchr(set, *s->at) != NULL;
}

/* After the opening quote. */
static bool
scan_string(struct scan *s)
{
	for (;;) {
		if (!need(s, s->at < s->end && *s->at >= 0x20, "in string literal"))
			return false;
		if (s->at[-1] == '"')
			return true;
		if (s->at[-1] != '\\')
			continue;
		if (!need(s, is_one_of(s, "bfnrt\\/\"u"), "in string escape code"))
			return false;
		for (int left = s->at[-1] == 'u' ? 4 : 0; left > 0; left--) {
			if (!need(s, is_hex(s), "in \\u hexadecimal character escape"))
				return false;
		}
	}
}

static void
skip_digits(struct scan *s)
{
	while (is_digit(s))
		s->at++;
}

/* After the first character, a digit or a minus. */
static bool
scan_number(struct scan *s)
{
	if (s->at[-1] == '-' && !need(s, is_digit(s), "in numeric literal"))
		return false;
	if (s->at[-1] != '0')
		skip_digits(s);
	if (is_one_of(s, ".")) {
		s->at++;
		if (!need(s, is_digit(s), "after decimal point in numeric literal"))
			return false;
		skip_digits(s);
	}
	if (is_one_of(s, "eE")) {
		s->at++;
		if (is_one_of(s, "+-"))
			s->at++;
		if (!need(s, is_digit(s), "in exponent of numeric literal"))
			return false;
		skip_digits(s);
	}
	return true;
}

/* After the first letter. */
static bool
scan_word(struct scan *s)
{
	static const struct {
		const char *word;
		const char *context[4]; /* for the letters after the first */
	} words[] = {
	    {"true", {"in literal true (expecting 'r')", "in literal true (expecting 'u')",
			 "in literal true (expecting 'e')"}},
	    {"false", {"in literal false (expecting 'a')", "in literal false (expecting 'l')",
			  "in literal false (expecting 's')", "in literal false (expecting 'e')"}},
	    {"null", {"in literal null (expecting 'u')", "in literal null (expecting 'l')",
			 "in literal null (expecting 'l')"}},
	};
	size_t which = s->at[-1] == 't' ? 0 : s->at[-1] == 'f' ? 1 : 2;

	for (size_t i = 1; words[which].word[i] != '\0'; i++) {
		if (!need(s, s->at < s->end && *s->at == (uint8_t)words[which].word[i], words[which].context[i - 1]))
			return false;
	}
	return true;
}

/* A value's first character, containers excepted. */
static bool
scan_scalar(struct scan *s)
{
	if (!need(s, is_one_of(s, "\"-0123456789tfn"), "looking for beginning of value"))
		return false;
	if (s->at[-1] == '"')
		return scan_string(s);
	if (s->at[-1] == '-' || (s->at[-1] >= '0' && s->at[-1] <= '9'))
		return scan_number(s);
	return scan_word(s);
}

/* One step of the grammar. open: the brackets so far. */
static bool
scan_step(struct scan *s, enum want *want, char *open, size_t *depth)
{
	bool in_object = *depth > 0 && open[*depth - 1] == '{';

	skip_blanks(s);
	if ((*want == WANT_VALUE_OR_END && is_one_of(s, "]")) || (*want == WANT_KEY_OR_END && is_one_of(s, "}")) ||
	    (*want == WANT_MORE && is_one_of(s, in_object ? "}" : "]"))) {
		s->at++;
		--*depth;
		*want = WANT_MORE;
		return true;
	}
	switch (*want) {
	case WANT_VALUE:
	case WANT_VALUE_OR_END:
		if (is_one_of(s, "{[")) {
			if (*depth == JSON_DEPTH_MAX)
				return false;
			open[(*depth)++] = (char)*s->at;
			*want = *s->at++ == '{' ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
			return true;
		}
		*want = WANT_MORE;
		return scan_scalar(s);
	case WANT_KEY:
	case WANT_KEY_OR_END:
		*want = WANT_COLON;
		return need(s, is_one_of(s, "\""), "looking for beginning of object key string") && scan_string(s);
	case WANT_COLON:
		*want = WANT_VALUE;
		return need(s, is_one_of(s, ":"), "after object key");
	case WANT_MORE:
		*want = in_object ? WANT_KEY : WANT_VALUE;
		return need(s, is_one_of(s, ","), in_object ? "after object key:value pair" : "after array element");
	}
	return false;
}

void
json_syntax_error(struct bytes json, struct json_error *error)
{
	struct scan s = {.at = json.data, .end = json.data + json.size};
	char open[JSON_DEPTH_MAX];
	enum want want = WANT_VALUE;
	size_t depth = 0;
	uint8_t text[4], c;

	error->text[0] = '\0';
	skip_blanks(&s);
	if (s.at == s.end) {
		snprintf(error->text, sizeof error->text, "EOF");
		return;
	}
	while (scan_step(&s, &want, open, &depth)) {
		if (depth == 0 && want == WANT_MORE)
			return;
	}
	if (s.ended) {
		snprintf(error->text, sizeof error->text, "unexpected EOF");
	} else if (s.context != NULL) {
		c = *s.at;
		if (c == '\'' || c == '\\')
			snprintf(error->text, sizeof error->text, "invalid character '\\%c' %s", c, s.context);
		else if (c == '\n' || c == '\r' || c == '\t')
			snprintf(error->text, sizeof error->text, "invalid character '\\%c' %s",
			    c == '\n'   ? 'n'
			    : c == '\r' ? 'r'
					: 't',
			    s.context);
		else if (c < 0x20 || c == 0x7f)
			snprintf(error->text, sizeof error->text, "invalid character '\\x%02x' %s", c, s.context);
		else if (c > 0x7f && c < 0xa0)
			snprintf(error->text, sizeof error->text, "invalid character '\\u%04x' %s", c, s.context);
		else /* a byte is shown as the Latin-1 character */
			snprintf(error->text, sizeof error->text, "invalid character '%.*s' %s",
			    (int)utf8_encode(c, text), (const char *)text, s.context);
	}
}

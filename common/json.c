/*
 * json.c - writing JSON in the spelling of Go's encoder (contract: json.h)
 *
 * Scripts cut answers with sed, so the exact characters are part of the API: which ones are escaped, how
 * floats and times look, the order of keys. Maps that come from our own daemons have sorted keys already; that
 * is checked while they are read, and only others are sorted (the one place here that allocates).
 */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "utf8.h"

/* ---- strings and numbers ---- */

/* Bytes that go out as they are: printable ASCII but " \ < > &. */
static const bool plain[256] = {
    [0x20] = 1,
    [0x21] = 1,
    [0x23] = 1,
    [0x24] = 1,
    [0x25] = 1,
    [0x27 ... 0x3b] = 1,
    [0x3d] = 1,
    [0x3f ... 0x5b] = 1,
    [0x5d ... 0x7f] = 1,
};

static void
put_escaped_ascii(struct buf *out, uint8_t c)
{
	switch (c) {
	case '"':
		buf_put(out, "\\\"", 2);
		break;
	case '\\':
		buf_put(out, "\\\\", 2);
		break;
	case '\n':
		buf_put(out, "\\n", 2);
		break;
	case '\r':
		buf_put(out, "\\r", 2);
		break;
	case '\t':
		buf_put(out, "\\t", 2);
		break;
	default:
		buf_printf(out, "\\u%04x", c);
		break;
	}
}

void
json_put_str(struct buf *out, struct bytes text)
{
	const uint8_t *at = text.data, *end = text.data + text.size;

	buf_put_u8(out, '"');
	while (at < end) {
		const uint8_t *start = at;
		uint32_t point;
		size_t size;

		while (at < end && plain[*at])
			at++;
		if (at > start)
			buf_put(out, start, (size_t)(at - start));
		if (at == end)
			break;
		if (*at < 0x80) {
			put_escaped_ascii(out, *at++);
			continue;
		}
		size = utf8_decode(at, (size_t)(end - at), &point);
		if (size == 0) {
			buf_put(out, "\\ufffd", 6);
			at++;
			continue;
		}
		if (point == 0x2028 || point == 0x2029)
			buf_printf(out, "\\u%04x", (unsigned)point);
		else
			buf_put(out, at, size);
		at += size;
	}
	buf_put_u8(out, '"');
}

void
json_put_cstr(struct buf *out, const char *text)
{
	json_put_str(out, bytes_str(text));
}

void
json_put_uint(struct buf *out, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	buf_put(out, digits + at, sizeof digits - at);
}

void
json_put_int(struct buf *out, int64_t value)
{
	if (value < 0)
		buf_put_u8(out, '-');
	json_put_uint(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void
json_put_float(struct buf *out, double value)
{
	char text[40], digits[20];
	size_t count = 0;
	int precision = 0, power;

	if (!isfinite(value)) {
		buf_put(out, "null", 4);
		return;
	}
	do {
		snprintf(text, sizeof text, "%.*e", precision, value);
	} while (strtod(text, NULL) != value && ++precision < 17);
	power = atoi(strchr(text, 'e') + 1);
	for (const char *c = text; *c != 'e'; c++) {
		if (*c >= '0' && *c <= '9')
			digits[count++] = *c;
	}
	if (signbit(value))
		buf_put_u8(out, '-');
	if (value != 0 && (power < -6 || power >= 21)) { /* 1e-7, 1e-10, 1e+21 */
		buf_put(out, digits, 1);
		if (count > 1)
			buf_put_u8(out, '.');
		buf_put(out, digits + 1, count - 1);
		buf_printf(out, "e%c%d", power < 0 ? '-' : '+', abs(power));
	} else if (power < 0) {
		buf_put(out, "0.00000", (size_t)(1 - power));
		buf_put(out, digits, count);
	} else {
		for (int i = 0; i <= power || (size_t)i < count; i++) {
			if (i == power + 1)
				buf_put_u8(out, '.');
			buf_put_u8(out, (size_t)i < count ? (uint8_t)digits[i] : '0');
		}
	}
}

/* ---- times ---- */

/* Days since 0001-01-01 in the proleptic Gregorian calendar. */
static void
civil_from_days(uint64_t days, uint64_t *year, unsigned *month, unsigned *day)
{
	/* Counted from 0000-03-01, so that the leap day is the last of its year; 306 days before 0001-01-01. */
	uint64_t z = days + 306;
	uint64_t era = z / 146097;
	unsigned of_era = (unsigned)(z % 146097);
	unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned shifted = (5 * of_year + 2) / 153; /* 0: March */

	*day = of_year - (153 * shifted + 2) / 5 + 1;
	*month = shifted < 10 ? shifted + 3 : shifted - 9;
	*year = year_of_era + era * 400 + (*month <= 2);
}

void
json_put_time(struct buf *out, struct bytes wire)
{
	uint64_t seconds = 0, year;
	uint32_t ns = 0;
	int offset_min = 0;
	unsigned month, day, of_day;
	char fraction[12] = "";

	if (wire.size == 15) {
		seconds = be64_at(wire.data + 1);
		ns = be32_at(wire.data + 9) % 1000000000u;
		offset_min = (int16_t)be16_at(wire.data + 13);
	}
	if (offset_min == -1) /* how UTC is marked */
		offset_min = 0;
	if (seconds > UINT64_C(315537897599)) /* the year 9999 ends */
		seconds = UINT64_C(315537897599);
	if (offset_min > 0 || seconds >= (uint64_t)-offset_min * 60)
		seconds = (uint64_t)((int64_t)seconds + (int64_t)offset_min * 60);
	civil_from_days(seconds / 86400, &year, &month, &day);
	of_day = (unsigned)(seconds % 86400);
	if (ns != 0) {
		size_t size = (size_t)snprintf(fraction, sizeof fraction, ".%09u", ns);
		while (fraction[size - 1] == '0')
			fraction[--size] = '\0';
	}
	buf_printf(out, "\"%04u-%02u-%02uT%02u:%02u:%02u%s", (unsigned)year, month, day, of_day / 3600,
	    of_day / 60 % 60, of_day % 60, fraction);
	if (offset_min == 0)
		buf_put(out, "Z\"", 2);
	else
		buf_printf(
		    out, "%c%02d:%02d\"", offset_min < 0 ? '-' : '+', abs(offset_min) / 60, abs(offset_min) % 60);
}

/* ---- base64 ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct bytes data, struct buf *out)
{
	const uint8_t *in = data.data;
	size_t left = data.size;
	uint8_t *p;

	if (left > SIZE_MAX / 2) {
		out->overflow = true;
		return;
	}
	p = buf_space(out, (left + 2) / 3 * 4);
	if (p == NULL)
		return;
	for (; left >= 3; left -= 3, in += 3) {
		*p++ = (uint8_t)alphabet[in[0] >> 2];
		*p++ = (uint8_t)alphabet[(in[0] & 3) << 4 | in[1] >> 4];
		*p++ = (uint8_t)alphabet[(in[1] & 15) << 2 | in[2] >> 6];
		*p++ = (uint8_t)alphabet[in[2] & 63];
	}
	if (left > 0) {
		uint8_t second = left == 2 ? in[1] : 0;
		*p++ = (uint8_t)alphabet[in[0] >> 2];
		*p++ = (uint8_t)alphabet[(in[0] & 3) << 4 | second >> 4];
		*p++ = left == 2 ? (uint8_t)alphabet[(second & 15) << 2] : '=';
		*p++ = '=';
	}
	buf_commit(out, (data.size + 2) / 3 * 4);
}

static int
base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int
base64_decode(struct bytes text, struct buf *out)
{
	size_t padding = 0;

	if (text.size % 4 != 0)
		return -1;
	if (text.size > 0 && text.data[text.size - 1] == '=')
		padding = text.data[text.size - 2] == '=' ? 2 : 1;
	for (size_t at = 0; at < text.size; at += 4) {
		size_t kept = at + 4 == text.size ? 4 - padding : 4;
		uint32_t group = 0;
		uint8_t bytes[3];

		for (size_t i = 0; i < 4; i++) {
			int value = i < kept ? base64_value(text.data[at + i]) : 0;
			if (value == -1)
				return -1;
			group = group << 6 | (uint32_t)value;
		}
		for (size_t i = 0; i < 3; i++)
			bytes[i] = (uint8_t)(group >> (16 - 8 * i));
		buf_put(out, bytes, kept - 1);
	}
	return out->overflow ? -1 : 0;
}

void
json_put_base64(struct buf *out, struct bytes data)
{
	if (data.size == 0) {
		buf_put(out, "null", 4);
		return;
	}
	buf_put_u8(out, '"');
	base64_encode(data, out);
	buf_put_u8(out, '"');
}

/* ---- structure ---- */

void
json_begin(struct json_writer *w, struct buf *out, unsigned flags)
{
	*w = (struct json_writer){.out = out, .flags = flags, .first = true};
}

static void
break_line(struct json_writer *w)
{
	static const char blanks[] = "                                ";
	size_t left = (size_t)w->depth * 4;

	buf_put_u8(w->out, '\n');
	for (; left >= sizeof blanks - 1; left -= sizeof blanks - 1)
		buf_put(w->out, blanks, sizeof blanks - 1);
	buf_put(w->out, blanks, left);
}

void
json_open(struct json_writer *w, char bracket)
{
	buf_put_u8(w->out, (uint8_t)bracket);
	w->depth++;
	w->first = true;
}

void
json_item(struct json_writer *w)
{
	if (!w->first)
		buf_put_u8(w->out, ',');
	w->first = false;
	if (w->flags & JSON_PRETTY)
		break_line(w);
}

void
json_plain_key(struct json_writer *w, const char *name, size_t size)
{
	uint8_t *p;

	json_item(w);
	p = buf_space(w->out, size + 4);
	if (p == NULL)
		return;
	*p++ = '"';
	memcpy(p, name, size);
	p += size;
	*p++ = '"';
	*p++ = ':';
	*p = ' ';
	buf_commit(w->out, size + (w->flags & JSON_PRETTY ? 4 : 3));
}

void
json_key(struct json_writer *w, struct bytes name)
{
	json_item(w);
	json_put_str(w->out, name);
	buf_put_u8(w->out, ':');
	if (w->flags & JSON_PRETTY)
		buf_put_u8(w->out, ' ');
}

void
json_close(struct json_writer *w, char bracket)
{
	w->depth--;
	if ((w->flags & JSON_PRETTY) && !w->first)
		break_line(w);
	buf_put_u8(w->out, (uint8_t)bracket);
	w->first = false;
}

/* ---- maps and free-form values ---- */

struct pair {
	struct bytes key;
	struct mp value;
};

static int
pair_compare(const void *a, const void *b)
{
	return bytes_compare(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

/* Looks at the keys of count pairs without moving in. */
static bool
keys_ascend(struct mp in, uint32_t count)
{
	struct bytes last = {NULL, 0};

	for (uint32_t i = 0; i < count; i++) {
		struct bytes key = mp_str(&in);
		mp_skip(&in);
		if (i > 0 && bytes_compare(last, key) > 0)
			return false;
		last = key;
	}
	return true;
}

void
json_put_map(struct json_writer *w, struct mp *in,
    void (*put)(struct json_writer *w, struct mp *value, const void *context), const void *context)
{
	uint32_t count = mp_map(in);
	struct pair *pairs;

	json_open(w, '{');
	if (count <= 1 || keys_ascend(*in, count)) {
		for (; count > 0 && mp_ok(in); count--) {
			json_key(w, mp_str(in));
			put(w, in, context);
		}
		json_close(w, '}');
		return;
	}
	pairs = xreallocarray(NULL, count, sizeof *pairs); /* count is at most half of the message's bytes */
	for (uint32_t i = 0; i < count; i++) {
		pairs[i].key = mp_str(in);
		pairs[i].value = *in;
		mp_skip(in);
	}
	if (mp_ok(in)) {
		qsort(pairs, count, sizeof *pairs, pair_compare);
		for (uint32_t i = 0; i < count; i++) {
			json_key(w, pairs[i].key);
			put(w, &pairs[i].value, context);
			if (pairs[i].value.bad)
				in->bad = true;
		}
	}
	free(pairs);
	json_close(w, '}');
}

static void
put_any_in_map(struct json_writer *w, struct mp *value, const void *context)
{
	(void)context;
	json_put_any(w, value);
}

void
json_put_any(struct json_writer *w, struct mp *in)
{
	if (w->depth > MP_DEPTH_MAX) { /* the reader's limit, which bounds our recursion */
		in->bad = true;
		in->at = in->end;
		return;
	}
	switch (mp_peek(in)) {
	case MP_NIL:
		(void)mp_nil(in);
		buf_put(w->out, "null", 4);
		break;
	case MP_BOOL:
		buf_put_str(w->out, mp_bool(in) ? "true" : "false");
		break;
	case MP_UINT:
		json_put_uint(w->out, mp_uint(in));
		break;
	case MP_INT:
		json_put_int(w->out, mp_int(in));
		break;
	case MP_FLOAT:
		json_put_float(w->out, mp_float(in));
		break;
	case MP_STR:
		json_put_str(w->out, mp_str(in));
		break;
	case MP_ARRAY:
		json_open(w, '[');
		for (uint32_t left = mp_array(in); left > 0 && mp_ok(in); left--) {
			json_item(w);
			json_put_any(w, in);
		}
		json_close(w, ']');
		break;
	case MP_MAP:
		json_put_map(w, in, put_any_in_map, NULL);
		break;
	default:
		in->bad = true;
		in->at = in->end;
		break;
	}
}

int
json_from_mp(struct mp *in, struct buf *out, unsigned flags)
{
	struct json_writer w;

	json_begin(&w, out, flags);
	json_put_any(&w, in);
	return mp_ok(in) ? 0 : -1;
}

void
json_indent(struct bytes compact, struct buf *out)
{
	struct json_writer w;
	bool quoted = false;

	json_begin(&w, out, JSON_PRETTY);
	for (size_t i = 0; i < compact.size; i++) {
		uint8_t c = compact.data[i];

		if (quoted) {
			buf_put_u8(out, c);
			if (c == '\\' && i + 1 < compact.size)
				buf_put_u8(out, compact.data[++i]);
			quoted = c != '"';
			continue;
		}
		if ((c == '}' || c == ']') && w.depth > 0) {
			json_close(&w, (char)c);
			continue;
		}
		if (c == ',') {
			buf_put_u8(out, ',');
			break_line(&w);
			continue;
		}
		if (w.first && w.depth > 0)
			break_line(&w);
		w.first = false;
		if (c == '{' || c == '[') {
			json_open(&w, (char)c);
		} else {
			buf_put_u8(out, c);
			if (c == ':')
				buf_put_u8(out, ' ');
			quoted = c == '"';
		}
	}
}

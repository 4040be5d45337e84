/*
 * json_input.c - free-form JSON to msgpack, and what schema_input.c shares with it (contract: json.h, json_parse.h)
 *
 * Maps are written with sorted keys, so that writing them out as JSON later needs no sorting.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "json_parse.h"
#include "mem.h"

/* ---- numbers ---- */

int
json_number_uint(struct bytes text, uint64_t *value)
{
	return bytes_to_u64(text, value);
}

int
json_number_int(struct bytes text, int64_t *value)
{
	bool negative = text.size > 0 && text.data[0] == '-';
	uint64_t size;

	if (negative)
		text = bytes_of(text.data + 1, text.size - 1);
	if (bytes_to_u64(text, &size) == -1 || size > (uint64_t)INT64_MAX + negative)
		return -1;
	*value = negative ? (int64_t)-size : (int64_t)size;
	return 0;
}

int
json_number_float(struct bytes text, double *value)
{
	char copy[512];

	/* Longer ones are cut: no digit after the 500th can change a double by more than its last bit. */
	if (text.size >= sizeof copy || bytes_to_str(text, copy, sizeof copy) == -1)
		return -1;
	*value = strtod(copy, NULL);
	return isfinite(*value) ? 0 : -1;
}

/* ---- times ---- */

/* Digits of the text from *at on, by the pattern's letters; other characters must be there as they are. */
static bool
match_digits(struct bytes text, size_t *at, const char *pattern, unsigned values[])
{
	for (; *pattern != '\0'; pattern++, (*at)++) {
		uint8_t c;

		if (*at == text.size)
			return false;
		c = text.data[*at];
		if (*pattern >= '0' && *pattern <= '9') {
			if (c < '0' || c > '9')
				return false;
			values[*pattern - '0'] = values[*pattern - '0'] * 10 + (c - '0');
		} else if (c != (uint8_t)*pattern) {
			return false;
		}
	}
	return true;
}

/* Days from 0001-01-01 to the date, which is a real one. */
static uint64_t
days_from_civil(unsigned year, unsigned month, unsigned day)
{
	unsigned shifted = month > 2 ? month - 3 : month + 9; /* from March on, so that the leap day is the last */
	uint64_t y = year - (month <= 2);

	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * shifted + 2) / 5 + day - 1 - 306;
}

static unsigned
days_of_month(unsigned year, unsigned month)
{
	static const uint8_t days[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

int
json_parse_time(struct bytes text, uint8_t wire[TIME_WIRE_BYTES])
{
	unsigned v[6] = {0}, zone[2] = {0}; /* year, month, day, hour, minute, second; hours, minutes */
	uint64_t seconds;
	uint32_t ns = 0, weight = 100000000;
	int offset_min;
	size_t at = 0;

	if (!match_digits(text, &at, "0000-11-22T33:44:55", v) || v[0] < 1 || v[1] < 1 || v[1] > 12 || v[2] < 1 ||
	    v[2] > days_of_month(v[0], v[1]) || v[3] > 23 || v[4] > 59 || v[5] > 59)
		return -1;
	if (at < text.size && text.data[at] == '.') {
		size_t first = ++at;
		for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++, weight /= 10)
			ns += weight * (text.data[at] - '0');
		if (at == first)
			return -1;
	}
	if (at == text.size)
		return -1;
	if (text.data[at] == 'Z') {
		at++;
		offset_min = -1; /* how UTC is marked */
	} else {
		bool west = text.data[at] == '-';
		if (!match_digits(text, &at, west ? "-00:11" : "+00:11", zone) || zone[0] > 23 || zone[1] > 59)
			return -1;
		offset_min = (int)(zone[0] * 60 + zone[1]) * (west ? -1 : 1);
	}
	seconds = days_from_civil(v[0], v[1], v[2]) * 86400 + v[3] * 3600 + v[4] * 60 + v[5];
	if (at != text.size || (offset_min > 0 && seconds < (uint64_t)offset_min * 60))
		return -1;
	if (offset_min != -1)
		seconds = (uint64_t)((int64_t)seconds - (int64_t)offset_min * 60);
	wire[0] = 1;
	for (size_t i = 0; i < 8; i++)
		wire[1 + i] = (uint8_t)(seconds >> (56 - 8 * i));
	for (size_t i = 0; i < 4; i++)
		wire[9 + i] = (uint8_t)(ns >> (24 - 8 * i));
	wire[13] = (uint8_t)((unsigned)offset_min >> 8);
	wire[14] = (uint8_t)offset_min;
	return 0;
}

/* ---- maps ---- */

struct json_pair {
	struct bytes key;
	size_t at; /* of the value in the buffer */
	size_t size;
	size_t order;
};

void
json_pairs_init(struct json_pairs *pairs, const struct buf *out)
{
	*pairs = (struct json_pairs){.start = out->used};
}

void
json_pairs_add(struct json_pairs *pairs, struct bytes key, const struct buf *out)
{
	if ((pairs->count & (pairs->count - 1)) == 0) /* full at each power of two */
		pairs->items =
		    xreallocarray(pairs->items, pairs->count == 0 ? 1 : pairs->count * 2, sizeof *pairs->items);
	pairs->items[pairs->count] = (struct json_pair){key, out->used, 0, pairs->count};
	pairs->count++;
}

static int
pair_compare(const void *a, const void *b)
{
	const struct json_pair *x = a, *y = b;
	int order = bytes_compare(x->key, y->key);

	if (order != 0)
		return order;
	return x->order < y->order ? -1 : x->order > y->order;
}

void
json_pairs_finish(struct json_pairs *pairs, struct buf *out)
{
	size_t end = out->used, size;
	uint32_t kept = 0;

	for (size_t i = 0; i < pairs->count; i++) {
		size_t next = i + 1 < pairs->count ? pairs->items[i + 1].at : end;
		pairs->items[i].size = next - pairs->items[i].at;
	}
	if (pairs->count > 1)
		qsort(pairs->items, pairs->count, sizeof *pairs->items, pair_compare);
	for (size_t i = 0; i < pairs->count; i++) {
		if (i + 1 == pairs->count || !bytes_equal(pairs->items[i].key, pairs->items[i + 1].key))
			pairs->items[kept++] = pairs->items[i];
	}
	mp_put_map(out, kept);
	for (size_t i = 0; i < kept; i++) {
		mp_put_bytes(out, pairs->items[i].key);
		if (buf_reserve(out, pairs->items[i].size) == 0)
			buf_put(out, out->data + pairs->items[i].at, pairs->items[i].size);
	}
	json_pairs_free(pairs);
	if (out->overflow)
		return;
	size = out->used - end;
	memmove(out->data + pairs->start, out->data + end, size);
	out->used = pairs->start + size;
}

void
json_pairs_free(struct json_pairs *pairs)
{
	free(pairs->items);
	pairs->items = NULL;
	pairs->count = 0;
}

/* ---- free-form values ---- */

static int
put_number(struct mp *tape, struct buf *out, struct json_error *error)
{
	struct bytes text = mp_str(tape);
	uint64_t natural;
	int64_t integer;
	double real;

	if (json_number_uint(text, &natural) == 0)
		mp_put_uint(out, natural);
	else if (json_number_int(text, &integer) == 0 && integer != 0) /* -0 is a float */
		mp_put_int(out, integer);
	else if (json_number_float(text, &real) == 0)
		mp_put_float(out, real);
	else {
		snprintf(error->text, sizeof error->text,
		    "json: cannot unmarshal number %.*s into Go value of type float64", (int)MIN(text.size, 200),
		    (const char *)text.data);
		return -1;
	}
	return 0;
}

int
json_tape_to_mp(struct mp *tape, struct buf *out, struct json_error *error)
{
	struct json_pairs pairs;
	uint32_t left;

	switch (mp_peek(tape)) {
	case MP_ARRAY:
		left = mp_array(tape);
		mp_put_array(out, left);
		for (; left > 0; left--) {
			if (json_tape_to_mp(tape, out, error) == -1)
				return -1;
		}
		return 0;
	case MP_MAP:
		json_pairs_init(&pairs, out);
		for (left = mp_map(tape); left > 0; left--) {
			json_pairs_add(&pairs, mp_str(tape), out);
			if (json_tape_to_mp(tape, out, error) == -1) {
				json_pairs_free(&pairs);
				return -1;
			}
		}
		json_pairs_finish(&pairs, out);
		return 0;
	case MP_STR:
		if (json_tape_number(tape))
			return put_number(tape, out, error);
		mp_put_bytes(out, mp_str(tape));
		return 0;
	default:
		buf_put_bytes(out, mp_raw(tape));
		return 0;
	}
}

int
json_to_mp(struct bytes json, struct buf *out, struct json_error *error)
{
	struct buf tape = BUF_INIT(JSON_TAPE_FACTOR * json.size + 64), scratch = BUF_INIT(2 * out->max);
	struct mp in;
	int result = -1;

	if (json_parse(json, &tape, error) == -1)
		goto done;
	in = mp_of(buf_bytes(&tape));
	if (json_tape_to_mp(&in, &scratch, error) == -1)
		goto done;
	buf_put_bytes(out, buf_bytes(&scratch));
	if (scratch.overflow || out->overflow) {
		snprintf(error->text, sizeof error->text, "body too large");
		goto done;
	}
	result = 0;
done:
	buf_free(&scratch);
	buf_free(&tape);
	return result;
}

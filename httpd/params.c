/*
 * params.c - query strings and percent-encoding (contract: params.h; callers: conn.c's dispatch, handlers)
 */
#include "params.h"

#include <stdlib.h>

#include "buf.h"

static int
hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
params_unescape(struct bytes in, bool plus, struct region *r, struct bytes *out)
{
	uint8_t *to;
	size_t n = 0;

	if (in.size == 0 ||
	    (memchr(in.data, '%', in.size) == NULL && (!plus || memchr(in.data, '+', in.size) == NULL))) {
		*out = in;
		return 0;
	}
	to = region_alloc(r, in.size);
	for (size_t i = 0; i < in.size; i++) {
		uint8_t c = in.data[i];

		if (c == '%') {
			int high, low;

			if (in.size - i < 3 || (high = hex(in.data[i + 1])) == -1 || (low = hex(in.data[i + 2])) == -1)
				return -1;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (plus && c == '+')
			c = ' ';
		to[n++] = c;
	}
	*out = bytes_of(to, n);
	return 0;
}

int
params_parse(struct bytes query, struct region *r, struct params *out)
{
	const uint8_t *at = query.data, *end = query.data + query.size;
	size_t most = 1;

	*out = (struct params){NULL, 0};
	if (query.size == 0)
		return 0;
	if (memchr(query.data, ';', query.size) != NULL)
		return -1;
	for (size_t i = 0; i < query.size; i++)
		most += query.data[i] == '&';
	if (most > PARAMS_MAX)
		return -1;
	out->at = region_alloc(r, most * sizeof *out->at);
	while (at < end) {
		const uint8_t *amp = memchr(at, '&', (size_t)(end - at)), *stop = amp == NULL ? end : amp;
		const uint8_t *equals = memchr(at, '=', (size_t)(stop - at));
		struct param *p = &out->at[out->count];
		struct bytes key = bytes_of(at, (size_t)((equals == NULL ? stop : equals) - at));
		struct bytes value =
		    equals == NULL ? bytes_of(NULL, 0) : bytes_of(equals + 1, (size_t)(stop - equals - 1));

		if (stop > at) {
			if (params_unescape(key, true, r, &p->key) == -1 ||
			    params_unescape(value, true, r, &p->value) == -1)
				return -1;
			out->count++;
		}
		at = amp == NULL ? end : amp + 1;
	}
	return 0;
}

const struct bytes *
params_get(const struct params *p, const char *key)
{
	for (size_t i = 0; i < p->count; i++)
		if (bytes_is(p->at[i].key, key))
			return &p->at[i].value;
	return NULL;
}

struct bytes
params_value(const struct params *p, const char *key)
{
	const struct bytes *value = params_get(p, key);

	return value == NULL ? bytes_of(NULL, 0) : *value;
}

bool
params_has(const struct params *p, const char *key)
{
	return params_get(p, key) != NULL;
}

bool
params_next(const struct params *p, const char *key, size_t *at, struct bytes *value)
{
	for (; *at < p->count; (*at)++)
		if (bytes_is(p->at[*at].key, key)) {
			*value = p->at[(*at)++].value;
			return true;
		}
	return false;
}

static int
by_key(const void *a, const void *b)
{
	const struct param *x = a, *y = b;
	int order = bytes_compare(x->key, y->key);

	/* qsort is not stable; values of one key stay in their order (all lie in one array or ascend in the region). */
	if (order != 0)
		return order;
	return x->value.data < y->value.data ? -1 : x->value.data > y->value.data;
}

static void
put_escaped(struct buf *out, struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		    c == '_' || c == '.' || c == '~')
			buf_put_u8(out, c);
		else if (c == ' ')
			buf_put_u8(out, '+');
		else
			buf_printf(out, "%%%02X", c);
	}
}

struct bytes
params_encode(const struct params *p, struct region *r)
{
	struct buf out = BUF_INIT(4u << 20);
	struct param *sorted = region_alloc(r, (p->count + 1) * sizeof *sorted);
	struct bytes text;

	for (size_t i = 0; i < p->count; i++)
		sorted[i] = p->at[i];
	qsort(sorted, p->count, sizeof *sorted, by_key);
	for (size_t i = 0; i < p->count; i++) {
		if (i > 0)
			buf_put_u8(&out, '&');
		put_escaped(&out, sorted[i].key);
		buf_put_u8(&out, '=');
		put_escaped(&out, sorted[i].value);
	}
	text = region_copy(r, buf_bytes(&out));
	buf_free(&out);
	return text;
}

/*
 * Runes that Go's unicode.IsPrint refuses: controls, format characters, separators other than the blank, private use,
 * surrogates, noncharacters, and planes without characters. (Single unassigned code points inside living blocks are let
 * through: what is assigned changes with each Unicode version.)
 */
static const struct {
	uint32_t first, last;
} UNPRINTABLE[] = {
    {0x0000, 0x001f},
    {0x007f, 0x00a0},
    {0x00ad, 0x00ad},
    {0x0600, 0x0605},
    {0x061c, 0x061c},
    {0x06dd, 0x06dd},
    {0x070f, 0x070f},
    {0x0890, 0x0891},
    {0x08e2, 0x08e2},
    {0x1680, 0x1680},
    {0x180e, 0x180e},
    {0x2000, 0x200f},
    {0x2028, 0x202f},
    {0x205f, 0x206f},
    {0x3000, 0x3000},
    {0xd800, 0xf8ff},
    {0xfdd0, 0xfdef},
    {0xfeff, 0xfeff},
    {0xfff0, 0xfffb},
    {0xfffe, 0xffff},
    {0x110bd, 0x110bd},
    {0x110cd, 0x110cd},
    {0x13430, 0x1343f},
    {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a},
    {0x1fffe, 0x1ffff},
    {0x2fffe, 0x2ffff},
    {0x323b0, 0xe00ff},
    {0xe01f0, 0x10ffff},
};

static bool
is_printable(uint32_t rune)
{
	size_t low = 0, high = COUNTOF(UNPRINTABLE);

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (rune < UNPRINTABLE[middle].first)
			high = middle;
		else if (rune > UNPRINTABLE[middle].last)
			low = middle + 1;
		else
			return false;
	}
	return true;
}

/* One rune at s[0..size); *used bytes. Invalid UTF-8: U+FFFD, one byte. */
static uint32_t
decode_rune(const uint8_t *s, size_t size, size_t *used)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
	uint32_t rune;

	*used = 1;
	if (s[0] < 0x80)
		return s[0];
	if (n == 0 || s[0] > 0xf4 || n > size)
		return 0xfffd;
	rune = s[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0xfffd;
		rune = rune << 6 | (s[i] & 0x3f);
	}
	if (rune < least[n] || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
		return 0xfffd;
	*used = n;
	return rune;
}

bool
params_printable(struct bytes path)
{
	for (size_t i = 0; i < path.size;) {
		size_t used;

		if (path.data[i] >= 0x20 && path.data[i] < 0x7f) {
			i++;
			continue;
		}
		if (!is_printable(decode_rune(path.data + i, path.size - i, &used)))
			return false;
		i += used;
	}
	return true;
}

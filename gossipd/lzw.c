/*
 * lzw.c - LZW both ways (contract: lzw.h; callers: envelope.c)
 *
 * The encoder finds a (code, byte) pair in a hash table of fixed size, small enough to be cleared for each message; the
 * decoder keeps for each code its prefix and last byte, and writes a string from its end.
 */
#include "lzw.h"

#include <assert.h>
#include <string.h>

#define CLEAR 256u
#define END 257u
#define CODE_MAX 4095u
#define WIDTH_MAX 12u
#define TABLE_BITS 13
#define TABLE_SIZE (1u << TABLE_BITS) /* twice the codes there can be */

struct writer {
	struct buf *out;
	uint32_t bits;
	unsigned count;
};

struct encoder {
	struct writer writer;
	unsigned width;
	uint32_t hi, over;
	uint32_t table[TABLE_SIZE]; /* pair << 12 | code; no code is 0 */
};

static void
put(struct writer *w, uint32_t code, unsigned width)
{
	w->bits |= code << w->count;
	for (w->count += width; w->count >= 8; w->count -= 8) {
		buf_put_u8(w->out, (uint8_t)w->bits);
		w->bits >>= 8;
	}
}

static void
encoder_reset(struct encoder *e)
{
	e->width = 9;
	e->hi = END;
	e->over = 512;
	memset(e->table, 0, sizeof e->table);
}

/* The place of the pair in the table, or where it would go. */
static uint32_t
place_of(const struct encoder *e, uint32_t pair)
{
	uint32_t at = pair * UINT32_C(2654435761) >> (32 - TABLE_BITS);

	while (e->table[at] != 0 && e->table[at] >> WIDTH_MAX != pair)
		at = (at + 1) % TABLE_SIZE;
	return at;
}

/* A code was written, the next one is there. true: the table was full and begins anew. */
static bool
encoder_advance(struct encoder *e)
{
	if (++e->hi == e->over) {
		e->width++;
		e->over *= 2;
	}
	if (e->hi < CODE_MAX)
		return false;
	put(&e->writer, CLEAR, e->width);
	encoder_reset(e);
	return true;
}

void
lzw_compress(struct bytes in, struct buf *out)
{
	static struct encoder e; /* 32 KB, and nobody calls this twice at a time */
	uint32_t code;

	e.writer = (struct writer){.out = out};
	encoder_reset(&e);
	put(&e.writer, CLEAR, e.width);
	if (in.size > 0) {
		code = in.data[0];
		for (size_t i = 1; i < in.size; i++) {
			uint32_t pair = code << 8 | in.data[i], at = place_of(&e, pair);

			if (e.table[at] != 0) {
				code = e.table[at] & CODE_MAX;
				continue;
			}
			put(&e.writer, code, e.width);
			code = in.data[i];
			if (encoder_advance(&e))
				continue;
			e.table[at] = pair << WIDTH_MAX | e.hi;
		}
		put(&e.writer, code, e.width);
		encoder_advance(&e);
	}
	put(&e.writer, END, e.width);
	if (e.writer.count > 0)
		buf_put_u8(out, (uint8_t)e.writer.bits);
}

#define NONE UINT32_MAX

struct decoder {
	unsigned width;
	uint32_t hi, over, last;
	uint16_t prefix[CODE_MAX + 1];
	uint8_t byte[CODE_MAX + 1];
	uint16_t length[CODE_MAX + 1]; /* of the string of a code */
};

static void
decoder_reset(struct decoder *d)
{
	d->width = 9;
	d->hi = END;
	d->over = 512;
	d->last = NONE;
}

static uint32_t
length_of(const struct decoder *d, uint32_t code)
{
	assert(code <= CODE_MAX);
	/* cppcheck-suppress arrayIndexOutOfBoundsCond ; it does not see that codes have WIDTH_MAX bits */
	return code < CLEAR ? 1 : d->length[code];
}

/* Writes the string of code to out[0 .. length_of(code)) and returns its first byte. */
static uint8_t
string_write(const struct decoder *d, uint32_t code, uint8_t *out)
{
	uint32_t at = length_of(d, code);

	for (; code >= CLEAR; code = d->prefix[code])
		out[--at] = d->byte[code];
	out[0] = (uint8_t)code;
	return out[0];
}

static int
code_expand(struct decoder *d, uint32_t code, struct buf *out)
{
	bool own = code == d->hi && d->last != NONE; /* the string that this very code completes */
	uint32_t length = own ? length_of(d, d->last) + 1 : length_of(d, code);
	uint8_t *to = buf_space(out, length);
	uint8_t first;

	if (to == NULL)
		return -1;
	first = string_write(d, own ? d->last : code, to);
	if (own)
		to[length - 1] = first;
	buf_commit(out, length);
	if (d->last != NONE) {
		d->prefix[d->hi] = (uint16_t)d->last;
		d->byte[d->hi] = first;
		d->length[d->hi] = (uint16_t)(length_of(d, d->last) + 1);
	}
	return 0;
}

int
lzw_expand(struct bytes in, struct buf *out)
{
	static struct decoder d;
	uint32_t bits = 0;
	unsigned count = 0;

	decoder_reset(&d);
	memset(d.length, 0, sizeof d.length);
	for (size_t at = 0;;) {
		uint32_t code;

		for (; count < d.width; count += 8) {
			if (at == in.size)
				return -1; /* no end code */
			bits |= (uint32_t)in.data[at++] << count;
		}
		code = bits & ((UINT32_C(1) << d.width) - 1);
		bits >>= d.width;
		count -= d.width;
		if (code == END)
			return 0;
		if (code == CLEAR) {
			decoder_reset(&d);
			continue;
		}
		if (code > d.hi || (code >= CLEAR && code == d.hi && d.last == NONE) ||
		    (code > END && code < d.hi && d.length[code] == 0) || code_expand(&d, code, out) == -1)
			return -1;
		d.last = code;
		if (++d.hi >= d.over) {
			if (d.width == WIDTH_MAX) {
				d.last = NONE;
				d.hi--;
			} else {
				d.width++;
				d.over = UINT32_C(1) << d.width;
			}
		}
	}
}

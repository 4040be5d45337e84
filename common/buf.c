/*
 * buf.c - a growing byte buffer that is born with its maximum (contract: buf.h)
 *
 * Invariant: used <= size <= max rounded up to the growth step; data is NULL exactly when size is 0.
 */
#include "buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"

#define BUF_BYTES_MIN 256

void
buf_init(struct buf *b, size_t max)
{
	*b = BUF_INIT(max);
}

void
buf_free(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->max);
}

void
buf_clear(struct buf *b)
{
	b->used = 0;
	b->overflow = false;
}

int
buf_reserve(struct buf *b, size_t more)
{
	size_t size = b->size < BUF_BYTES_MIN ? BUF_BYTES_MIN : b->size;

	if (b->overflow || more > b->max - MIN(b->used, b->max)) {
		b->overflow = true;
		return -1;
	}
	if (b->size - b->used >= more)
		return 0;
	while (size - b->used < more)
		size *= 2;
	b->data = xreallocarray(b->data, size, 1);
	b->size = size;
	return 0;
}

uint8_t *
buf_space(struct buf *b, size_t more)
{
	return buf_reserve(b, more) == -1 ? NULL : b->data + b->used;
}

void
buf_commit(struct buf *b, size_t bytes)
{
	if (bytes > b->size - b->used)
		panic("buf_commit: %zu bytes of %zu", bytes, b->size - b->used);
	b->used += bytes;
}

void
buf_put(struct buf *b, const void *data, size_t size)
{
	if (size == 0 || buf_reserve(b, size) == -1)
		return;
	memcpy(b->data + b->used, data, size);
	b->used += size;
}

void
buf_put_bytes(struct buf *b, struct bytes a)
{
	buf_put(b, a.data, a.size);
}

void
buf_put_str(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

void
buf_put_u8(struct buf *b, uint8_t value)
{
	if (b->used < b->size && b->used < b->max && !b->overflow) {
		b->data[b->used++] = value;
		return;
	}
	buf_put(b, &value, 1);
}

void
buf_put_be16(struct buf *b, uint16_t value)
{
	uint8_t p[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	buf_put(b, p, sizeof p);
}

void
buf_put_be32(struct buf *b, uint32_t value)
{
	uint8_t p[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};

	buf_put(b, p, sizeof p);
}

void
buf_put_be64(struct buf *b, uint64_t value)
{
	buf_put_be32(b, (uint32_t)(value >> 32));
	buf_put_be32(b, (uint32_t)value);
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list args)
{
	va_list again;
	int size;

	va_copy(again, args);
	size = vsnprintf(NULL, 0, fmt, args);
	if (size < 0)
		panic("buf_vprintf: bad format");
	if (buf_reserve(b, (size_t)size + 1) == 0) {
		vsnprintf((char *)b->data + b->used, (size_t)size + 1, fmt, again);
		b->used += (size_t)size;
	}
	va_end(again);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	buf_vprintf(b, fmt, args);
	va_end(args);
}

void
buf_consume(struct buf *b, size_t size)
{
	if (size > b->used)
		panic("buf_consume: %zu bytes of %zu", size, b->used);
	b->used -= size;
	if (b->used > 0 && size > 0)
		memmove(b->data, b->data + size, b->used);
}

struct bytes
buf_bytes(const struct buf *b)
{
	return bytes_of(b->data, b->used);
}

uint16_t
be16_at(const void *p)
{
	const uint8_t *q = p;

	return (uint16_t)(q[0] << 8 | q[1]);
}

uint32_t
be32_at(const void *p)
{
	const uint8_t *q = p;

	return (uint32_t)q[0] << 24 | (uint32_t)q[1] << 16 | (uint32_t)q[2] << 8 | q[3];
}

uint64_t
be64_at(const void *p)
{
	return (uint64_t)be32_at(p) << 32 | be32_at((const uint8_t *)p + 4);
}

/*
 * mem.c - allocation that succeeds or ends the process, byte runs, and regions (contract: mem.h)
 *
 * A region is a list of blocks; an allocation too large for the current block gets a block of its own, so one
 * big request does not waste the rest of a small block. region_reset keeps the first block.
 */
#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"

#define REGION_BLOCK_BYTES 4096
#define REGION_ALIGN 16

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(REGION_ALIGN) uint8_t data[];
};

struct region {
	struct block *current; /* the newest; ends with the first */
};

static NORETURN void
out_of_memory(size_t size)
{
	fatalx("agent", "out of memory: bytes=%zu", size);
}

void *
xmalloc(size_t size)
{
	void *p = malloc(size == 0 ? 1 : size);

	if (p == NULL)
		out_of_memory(size);
	return p;
}

void *
xcalloc(size_t count, size_t size)
{
	void *p = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);

	if (p == NULL)
		out_of_memory(count * size);
	return p;
}

void *
xreallocarray(void *old, size_t count, size_t size)
{
	void *p = reallocarray(old, count == 0 ? 1 : count, size == 0 ? 1 : size);

	if (p == NULL)
		out_of_memory(count * size);
	return p;
}

char *
xstrndup(const void *text, size_t size)
{
	char *p = xmalloc(size + 1);

	if (size > 0)
		memcpy(p, text, size);
	p[size] = '\0';
	return p;
}

char *
xstrdup(const char *text)
{
	return xstrndup(text, strlen(text));
}

char *
xasprintf(const char *fmt, ...)
{
	va_list args;
	char *p;

	va_start(args, fmt);
	if (vasprintf(&p, fmt, args) == -1)
		out_of_memory(0);
	va_end(args);
	return p;
}

bool
bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool
bytes_is(struct bytes a, const char *text)
{
	return bytes_equal(a, bytes_str(text));
}

bool
bytes_equal_fold(struct bytes a, struct bytes b)
{
	if (a.size != b.size)
		return false;
	for (size_t i = 0; i < a.size; i++) {
		uint8_t x = a.data[i], y = b.data[i];

		if (x >= 'A' && x <= 'Z')
			x |= 0x20;
		if (y >= 'A' && y <= 'Z')
			y |= 0x20;
		if (x != y)
			return false;
	}
	return true;
}

int
bytes_compare(struct bytes a, struct bytes b)
{
	size_t common = MIN(a.size, b.size);
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	if (order != 0)
		return order;
	return a.size < b.size ? -1 : a.size > b.size;
}

bool
bytes_has_prefix(struct bytes a, struct bytes prefix)
{
	return a.size >= prefix.size && (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

char *
bytes_dup(struct bytes a)
{
	return xstrndup(a.data, a.size);
}

int
bytes_to_str(struct bytes a, char *out, size_t size)
{
	if (size == 0)
		panic("bytes_to_str: no room for the terminator");
	if (a.size >= size || (a.size > 0 && memchr(a.data, '\0', a.size) != NULL)) {
		out[0] = '\0';
		return -1;
	}
	if (a.size > 0)
		memcpy(out, a.data, a.size);
	out[a.size] = '\0';
	return 0;
}

int
bytes_to_u64(struct bytes a, uint64_t *out)
{
	uint64_t value = 0;

	if (a.size == 0) {
		errno = EINVAL;
		return -1;
	}
	for (size_t i = 0; i < a.size; i++) {
		unsigned digit = a.data[i] - '0';

		if (a.data[i] < '0' || digit > 9) {
			errno = EINVAL;
			return -1;
		}
		if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, digit, &value)) {
			/* a stray character behind the digits is the more useful complaint */
			for (; i < a.size; i++)
				if (!isdigit(a.data[i])) {
					errno = EINVAL;
					return -1;
				}
			errno = ERANGE;
			return -1;
		}
	}
	*out = value;
	return 0;
}

int
bytes_write(int fd, struct bytes a)
{
	while (a.size > 0) {
		ssize_t n = write(fd, a.data, a.size);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		a.data += n;
		a.size -= (size_t)n;
	}
	return 0;
}

static struct block *
block_new(size_t size)
{
	struct block *b = xmalloc(sizeof *b + size);

	b->next = NULL;
	b->size = size;
	b->used = 0;
	return b;
}

struct region *
region_new(void)
{
	struct region *r = xmalloc(sizeof *r);

	r->current = block_new(REGION_BLOCK_BYTES);
	return r;
}

void
region_reset(struct region *r)
{
	while (r->current->next != NULL) {
		struct block *b = r->current;

		r->current = b->next;
		free(b);
	}
	r->current->used = 0;
}

void
region_free(struct region *r)
{
	if (r == NULL)
		return;
	region_reset(r);
	free(r->current);
	free(r);
}

void *
region_alloc(struct region *r, size_t size)
{
	struct block *b = r->current;
	void *p;

	if (size > SIZE_MAX - REGION_ALIGN)
		out_of_memory(size);
	size = (size + REGION_ALIGN - 1) & ~(size_t)(REGION_ALIGN - 1);
	if (b->size - b->used < size) {
		b = block_new(MAX(size, (size_t)REGION_BLOCK_BYTES));
		b->next = r->current;
		r->current = b;
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

char *
region_strndup(struct region *r, const void *text, size_t size)
{
	char *p = region_alloc(r, size + 1);

	if (size > 0)
		memcpy(p, text, size);
	p[size] = '\0';
	return p;
}

char *
region_printf(struct region *r, const char *fmt, ...)
{
	va_list args;
	char *p;
	int size;

	va_start(args, fmt);
	size = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (size < 0)
		panic("region_printf: bad format");
	p = region_alloc(r, (size_t)size + 1);
	va_start(args, fmt);
	vsnprintf(p, (size_t)size + 1, fmt, args);
	va_end(args);
	return p;
}

struct bytes
region_copy(struct region *r, struct bytes a)
{
	return bytes_of(region_strndup(r, a.data, a.size), a.size);
}

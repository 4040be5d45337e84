/*
 * tail.c - the newest entries of the log in memory (contract: tail.h; callers: node.c, serve.c)
 *
 * Entries lie one behind the other in chunks; a chunk is freed as a whole.
 */
#include "tail.h"

#include <inttypes.h>
#include <stdlib.h>

#include "log.h"
#include "mem.h"
#include "mp.h"

#define CHUNK_BYTES (64u * 1024)
#define ELEMENT_HEAD_BYTES_MAX 25u /* array, two 64-bit numbers, type, head of the data */

struct item {
	uint32_t at, data_bytes; /* of the element in its chunk; the data is its end */
};

struct chunk {
	struct chunk *next;
	uint64_t first;
	struct buf bytes;
	struct item *items;
	uint32_t count, size;
};

struct tail {
	struct chunk *oldest, *newest;
	uint64_t last;
	size_t bytes; /* held by chunks */
};

struct tail *
tail_new(uint64_t last)
{
	struct tail *t = xcalloc(1, sizeof *t);

	t->last = last;
	return t;
}

static void
chunk_free(struct tail *t, struct chunk *c)
{
	t->bytes -= c->bytes.size;
	buf_free(&c->bytes);
	free(c->items);
	free(c);
}

void
tail_free(struct tail *t)
{
	struct chunk *next;

	if (t == NULL)
		return;
	for (struct chunk *c = t->oldest; c != NULL; c = next) {
		next = c->next;
		chunk_free(t, c);
	}
	free(t);
}

uint64_t
tail_first(const struct tail *t)
{
	return t->oldest == NULL ? t->last + 1 : t->oldest->first;
}

uint64_t
tail_last(const struct tail *t)
{
	return t->last;
}

size_t
tail_bytes(const struct tail *t)
{
	return t->bytes;
}

static struct chunk *
chunk_of(const struct tail *t, uint64_t index)
{
	struct chunk *c = t->oldest;

	/* asked for in order and mostly near the end; there are few chunks */
	if (t->newest != NULL && index >= t->newest->first)
		c = t->newest;
	while (c != NULL && index >= c->first + c->count)
		c = c->next;
	if (c == NULL || index < c->first)
		panic("tail: entry %" PRIu64 " is not in memory", index);
	return c;
}

/* Drops entry index and all behind it. */
static void
cut(struct tail *t, uint64_t index)
{
	struct chunk *c, *next;

	if (index < tail_first(t)) {
		/* all of it; what comes next need not follow what was here */
		for (c = t->oldest; c != NULL; c = next) {
			next = c->next;
			chunk_free(t, c);
		}
		t->oldest = t->newest = NULL;
		t->last = index - 1;
		return;
	}
	c = chunk_of(t, index);
	for (struct chunk *gone = c->next; gone != NULL; gone = next) {
		next = gone->next;
		chunk_free(t, gone);
	}
	c->next = NULL;
	t->newest = c;
	c->bytes.used = c->items[index - c->first].at;
	c->count = (uint32_t)(index - c->first);
	t->last = index - 1;
}

static struct chunk *
chunk_add(struct tail *t, size_t bytes)
{
	struct chunk *c = xcalloc(1, sizeof *c);

	c->first = t->last + 1;
	buf_init(&c->bytes, SIZE_MAX / 2);
	if (buf_reserve(&c->bytes, MAX(bytes, CHUNK_BYTES)) == -1)
		panic("tail: a chunk of %zu bytes", bytes);
	t->bytes += c->bytes.size;
	if (t->newest == NULL)
		t->oldest = c;
	else
		t->newest->next = c;
	t->newest = c;
	return c;
}

void
tail_element_put(struct buf *out, uint64_t index, uint64_t term, uint8_t type, struct bytes data)
{
	mp_put_array(out, 4);
	mp_put_uint(out, index);
	mp_put_uint(out, term);
	mp_put_uint(out, type);
	mp_put_bytes(out, data);
}

void
tail_put(struct tail *t, uint64_t index, uint64_t term, uint8_t type, struct bytes data)
{
	struct chunk *c;
	size_t bytes = ELEMENT_HEAD_BYTES_MAX + data.size;

	if (index <= t->last)
		cut(t, index);
	if (index != t->last + 1)
		panic("tail: entry %" PRIu64 " behind %" PRIu64, index, t->last);
	c = t->newest;
	if (c == NULL || c->bytes.used + bytes > c->bytes.size)
		c = chunk_add(t, bytes);
	if (c->count == c->size) {
		c->size = c->size == 0 ? 64 : c->size * 2;
		c->items = xreallocarray(c->items, c->size, sizeof *c->items);
	}
	c->items[c->count++] = (struct item){(uint32_t)c->bytes.used, (uint32_t)data.size};
	tail_element_put(&c->bytes, index, term, type, data);
	t->last = index;
}

static uint32_t
item_end(const struct chunk *c, uint32_t i)
{
	return i + 1 < c->count ? c->items[i + 1].at : (uint32_t)c->bytes.used;
}

struct tail_entry
tail_get(const struct tail *t, uint64_t index)
{
	const struct chunk *c = chunk_of(t, index);
	uint32_t i = (uint32_t)(index - c->first), end = item_end(c, i);
	struct mp element = mp_of(bytes_of(c->bytes.data + c->items[i].at, end - c->items[i].at));
	struct tail_entry e;

	(void)mp_array(&element);
	(void)mp_uint(&element);
	e.term = mp_uint(&element);
	e.type = (uint8_t)mp_uint(&element);
	e.data = bytes_of(c->bytes.data + end - c->items[i].data_bytes, c->items[i].data_bytes);
	return e;
}

uint32_t
tail_elements_put(const struct tail *t, uint64_t first, uint64_t last, size_t bytes_max, struct buf *out)
{
	const struct chunk *c = chunk_of(t, first);
	uint32_t total = 0;

	for (; c != NULL && first <= last; c = c->next) {
		uint32_t from = (uint32_t)(first - c->first), to = from;
		uint32_t start = c->items[from].at;

		while (to < c->count && c->first + to <= last && item_end(c, to) - start <= bytes_max)
			to++;
		if (to > from) {
			size_t size = item_end(c, to - 1) - start;

			buf_put(out, c->bytes.data + start, size);
			bytes_max -= size;
			total += to - from;
			first += to - from;
		}
		if (to < c->count)
			break;
	}
	return total;
}

void
tail_trim(struct tail *t, uint64_t index, size_t bytes_keep)
{
	while (t->oldest != NULL && t->bytes > bytes_keep && t->oldest->first + t->oldest->count - 1 <= index) {
		struct chunk *c = t->oldest;

		t->oldest = c->next;
		if (t->oldest == NULL)
			t->newest = NULL;
		chunk_free(t, c);
	}
}

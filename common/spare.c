/*
 * spare.c - blocks kept at hand (contract: spare.h; callers: ipc.c, ipc_conn.c, daemon.c; in httpd conn.c, client.c, trace.c)
 *
 * Small blocks that are freed stay in malloc's arena: after thousands of them the arena is told to give back its empty pages, when no
 * more have come for a second, since that walks through all of it.
 */
#include "spare.h"

#include <malloc.h>
#include <stdlib.h>

#include "mem.h"

#define TRIM_AFTER 4096u

static size_t freed,
    freed_before; /* of all lists, they share the arena: since the last trim; as it was at the call before */

void *
spare_take(struct spare *s, size_t size)
{
	void *block = s->first;

	if (block == NULL)
		return xmalloc(size);
	s->first = *(void **)block;
	s->count--;
	return block;
}

void
spare_give(struct spare *s, void *block)
{
	if (s->count == SPARE_BLOCKS_MAX) {
		free(block);
		freed++;
		return;
	}
	*(void **)block = s->first;
	s->first = block;
	s->count++;
}

void
spare_free(struct spare *s)
{
	while (s->first != NULL) {
		void *next = *(void **)s->first;

		free(s->first);
		s->first = next;
	}
	s->count = 0;
}

void
spare_settle(void)
{
	if (freed >= TRIM_AFTER && freed == freed_before) {
		(void)malloc_trim(0);
		freed = 0;
	}
	freed_before = freed;
}

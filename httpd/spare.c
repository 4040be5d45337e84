/*
 * spare.c - blocks kept at hand (contract: spare.h; callers: conn.c, client.c, trace.c)
 *
 * Small blocks that are freed stay in malloc's arena: after thousands of them the arena is told to give back its empty pages.
 */
#include "spare.h"

#include <malloc.h>
#include <stdlib.h>

#include "mem.h"

#define TRIM_AFTER 4096

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
	static unsigned freed; /* of all lists: they share the arena */

	if (s->count == SPARE_BLOCKS_MAX) {
		free(block);
		if (++freed == TRIM_AFTER) {
			freed = 0;
			(void)malloc_trim(0);
		}
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

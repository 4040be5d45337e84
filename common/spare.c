/*
 * spare.c - blocks kept at hand (contract: spare.h; callers: ipc.c, ipc_conn.c, daemon.c; in httpd conn.c, client.c, trace.c)
 *
 * What is freed stays in malloc's arena: when thousands of blocks were, or its holes have grown, and no more happens for some seconds, the
 * arena is told to give back its empty pages. (Not amid a burst: it walks through all of them.)
 */
#include "spare.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

#include "mem.h"

#define SETTLE_CALLS 4 /* to one look at the arena, which takes as long as it has holes */
#define TRIM_AFTER 4096u
#define TRIM_HOLES_BYTES ((size_t)1024 * 1024)
#define QUIET_BYTES ((size_t)64 * 1024)

static size_t freed; /* blocks of all lists, they share the arena: since the last trim */

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
	static size_t used_before, holes; /* bytes in use at the last look; free ones after the last trim */
	static unsigned calls;
	struct mallinfo2 arena;
	bool quiet;

	if (++calls % SETTLE_CALLS != 0)
		return;
	arena = mallinfo2();
	quiet = MAX(arena.uordblks, used_before) - MIN(arena.uordblks, used_before) <= QUIET_BYTES;
	used_before = arena.uordblks;
	if (!quiet || (freed < TRIM_AFTER && arena.fordblks < holes + TRIM_HOLES_BYTES))
		return;
	(void)malloc_trim(0);
	freed = 0;
	holes = mallinfo2().fordblks;
}

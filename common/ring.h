/*
 * ring.h - an intrusive doubly linked list: the head links to itself when empty, and taking out an element needs no head
 */
#ifndef COMMON_RING_H
#define COMMON_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring {
	struct ring *prev, *next;
};

/* The struct that ring_pointer is a member of. */
#define RING_ENTRY(ring_pointer, type, member) ((type *)(void *)((char *)(ring_pointer)-offsetof(type, member)))

static inline void
ring_init(struct ring *r)
{
	r->prev = r->next = r;
}

static inline bool
ring_empty(const struct ring *r)
{
	return r->next == r;
}

/* Before head: at the end of its list. */
static inline void
ring_append(struct ring *head, struct ring *r)
{
	r->prev = head->prev;
	r->next = head;
	head->prev->next = r;
	head->prev = r;
}

/* r is a list of its own afterwards: removing it twice does no harm. */
static inline void
ring_remove(struct ring *r)
{
	r->prev->next = r->next;
	r->next->prev = r->prev;
	ring_init(r);
}

/* All elements of from go to the end of to. */
static inline void
ring_move(struct ring *from, struct ring *to)
{
	while (!ring_empty(from)) {
		struct ring *first = from->next;

		ring_remove(first);
		ring_append(to, first);
	}
}

#endif

/*
 * timers.c - a binary heap of timers (contract: timers.h; callers: swim*.c, serf*.c, pool.c)
 */
#include "timers.h"

#include <stdlib.h>

#include "mem.h"

static void
put_at(struct timers *s, struct timer *t, size_t place)
{
	s->heap[place] = t;
	t->place = place;
}

static void
rise(struct timers *s, struct timer *t, size_t place)
{
	for (; place > 1 && s->heap[place / 2]->at > t->at; place /= 2)
		put_at(s, s->heap[place / 2], place);
	put_at(s, t, place);
}

static void
sink(struct timers *s, struct timer *t, size_t place)
{
	for (size_t child; (child = 2 * place) <= s->count; place = child) {
		if (child < s->count && s->heap[child + 1]->at < s->heap[child]->at)
			child++;
		if (s->heap[child]->at >= t->at)
			break;
		put_at(s, s->heap[child], place);
	}
	put_at(s, t, place);
}

void
timers_free(struct timers *s)
{
	free(s->heap);
	*s = (struct timers){0};
}

void
timer_set(struct timers *s, struct timer *t, uint64_t at)
{
	uint64_t before = t->at;

	t->at = at;
	if (t->place != 0) {
		if (at < before)
			rise(s, t, t->place);
		else
			sink(s, t, t->place);
		return;
	}
	if (s->count + 2 > s->size) {
		s->size = s->size == 0 ? 16 : s->size * 2;
		s->heap = xreallocarray(s->heap, s->size, sizeof *s->heap);
	}
	rise(s, t, ++s->count);
}

void
timer_stop(struct timers *s, struct timer *t)
{
	size_t place = t->place;
	struct timer *last;

	if (place == 0)
		return;
	t->place = 0;
	last = s->heap[s->count--];
	if (last == t)
		return;
	if (place > 1 && s->heap[place / 2]->at > last->at)
		rise(s, last, place);
	else
		sink(s, last, place);
}

uint64_t
timers_next(const struct timers *s)
{
	return s->count == 0 ? UINT64_MAX : s->heap[1]->at;
}

void
timers_run(struct timers *s, uint64_t now)
{
	while (s->count > 0 && s->heap[1]->at <= now) {
		struct timer *t = s->heap[1];

		timer_stop(s, t);
		t->fire(t, now);
	}
}

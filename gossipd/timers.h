/*
 * timers.h - what is to happen when, in time that the caller gives: a heap of timers embedded in what they belong to
 *
 * Pure: the cores of a pool share one; its shell arms a single timer of the loop for timers_next(). Times are nanoseconds of any steady clock.
 */
#ifndef GOSSIPD_TIMERS_H
#define GOSSIPD_TIMERS_H

#include <stdbool.h>

#include "cdefs.h"

struct timer;
typedef void timer_fn(struct timer *t, uint64_t now);

struct timer {
	uint64_t at;
	size_t place; /* in the heap, from 1; 0: not set */
	timer_fn *fire;
	void *ctx;
};

struct timers {
	struct timer **heap; /* from 1 */
	size_t count, size;
};

/* Frees the heap; the timers are their owners'. */
void timers_free(struct timers *s);
/* Once before the first use. */
static inline void
timer_init(struct timer *t, timer_fn *fire, void *ctx)
{
	*t = (struct timer){.fire = fire, .ctx = ctx};
}
/* Sets or moves it. */
void timer_set(struct timers *s, struct timer *t, uint64_t at);
/* May be called when it is not set. */
void timer_stop(struct timers *s, struct timer *t);
static inline bool
timer_is_set(const struct timer *t)
{
	return t->place != 0;
}
/* When the next one is due; UINT64_MAX: none is set. */
uint64_t timers_next(const struct timers *s);
/* Fires all that are due, each stopped before; what they set for now or before fires too. */
void timers_run(struct timers *s, uint64_t now);

#endif

/*
 * linear.h - is there an order of these operations that explains what each of them answered
 *
 * A search (Wing and Gong, 1993) that remembers which sets of operations it has placed before with the same state behind them (Lowe, 2017).
 * What the operations do is the caller's: a state of 64 bits, and a step that says whether an operation may come next. Callers: the simulator of
 * whole servers (cluster/history.c) and the checker of recorded histories (test/torture/history.c).
 */
#ifndef SIM_LINEAR_H
#define SIM_LINEAR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cdefs.h"
#include "mem.h"

#define LINEAR_NEVER UINT64_MAX
#define LINEAR_CANDIDATES_MAX 48
#define LINEAR_STEPS_MAX 400000
#define LINEAR_TRIED_SLOTS (1u << 20) /* a power of two, above LINEAR_STEPS_MAX */

struct linear_item {
	uint64_t called;
	uint64_t returned; /* LINEAR_NEVER: it may come at any time after its call, or not at all */
};

struct linear {
	const struct linear_item *items; /* by call */
	size_t count;
	uint64_t state; /* before all of them */
	/* Whether item can be the next one after *state; *state becomes what it leaves. */
	bool (*step)(void *ctx, size_t item, uint64_t *state);
	void *ctx;
	/* Where no order is found: the longest beginning of one, in order. Room for count, or NULL. */
	size_t *longest;
	size_t longest_count;
};

enum linear_result {
	LINEAR_NONE,
	LINEAR_FOUND,
	LINEAR_UNDECIDED, /* too many steps, or too many at the same time */
};

struct linear_frame {
	uint64_t state; /* before */
	size_t first;   /* all before it are placed */
	size_t placed;  /* the item that was taken last from here */
	size_t candidates[LINEAR_CANDIDATES_MAX];
	unsigned count, at;
};

struct linear_search {
	struct linear *l;
	bool *placed;
	uint64_t *tried;
	uint32_t *used; /* slots of tried */
	size_t used_count;
	struct linear_frame *frames;
	size_t frames_size;
	uint64_t key; /* of the set of placed ones */
};

static inline uint64_t
linear_mix(uint64_t a, uint64_t b)
{
	uint64_t z = a + (b + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Those that may come next: called before any other one had returned. False: too many to search. */
static inline bool
linear_candidates(const struct linear_search *x, struct linear_frame *f)
{
	const struct linear_item *items = x->l->items;
	uint64_t end = LINEAR_NEVER;

	f->count = f->at = 0;
	while (f->first < x->l->count && x->placed[f->first])
		f->first++;
	for (size_t i = f->first; i < x->l->count && items[i].called <= end; i++) {
		unsigned at;

		if (x->placed[i])
			continue;
		end = MIN(end, items[i].returned);
		if (f->count == LINEAR_CANDIDATES_MAX)
			return false;
		/* who returned first is likely to have come first */
		for (at = f->count++; at > 0 && items[f->candidates[at - 1]].returned > items[i].returned; at--)
			f->candidates[at] = f->candidates[at - 1];
		f->candidates[at] = i;
	}
	/* the window was cut by ends that were found later */
	for (unsigned i = 0; i < f->count;)
		if (items[f->candidates[i]].called > end) {
			memmove(&f->candidates[i], &f->candidates[i + 1], (f->count - i - 1) * sizeof f->candidates[0]);
			f->count--;
		} else
			i++;
	return true;
}

/* false: it was there. */
static inline bool
linear_tried_add(struct linear_search *x, uint64_t key)
{
	uint64_t slot = key & (LINEAR_TRIED_SLOTS - 1);

	key |= 1;
	while (x->tried[slot] != 0) {
		if (x->tried[slot] == key)
			return false;
		slot = (slot + 1) & (LINEAR_TRIED_SLOTS - 1);
	}
	x->tried[slot] = key;
	x->used[x->used_count++] = (uint32_t)slot;
	return true;
}

static inline void
linear_remember(struct linear_search *x, size_t depth)
{
	struct linear *l = x->l;

	if (l->longest == NULL || depth <= l->longest_count)
		return;
	l->longest_count = depth;
	for (size_t i = 0; i < depth; i++)
		l->longest[i] = x->frames[i].placed;
}

static inline struct linear_frame *
linear_frame_at(struct linear_search *x, size_t depth)
{
	if (depth == x->frames_size) {
		x->frames_size = MAX(64, 2 * x->frames_size);
		x->frames = xreallocarray(x->frames, x->frames_size, sizeof *x->frames);
	}
	return &x->frames[depth];
}

static inline enum linear_result
linear_run(struct linear_search *x)
{
	const struct linear_item *items = x->l->items;
	size_t depth = 0, needed = 0, placed_needed = 0;
	struct linear_frame *f;

	for (size_t i = 0; i < x->l->count; i++)
		needed += items[i].returned != LINEAR_NEVER;
	f = linear_frame_at(x, 0);
	f->state = x->l->state;
	f->first = 0;
	if (!linear_candidates(x, f))
		return LINEAR_UNDECIDED;
	for (uint64_t steps = 0; placed_needed < needed; steps++) {
		uint64_t state;
		size_t i, first;

		f = &x->frames[depth];
		if (steps == LINEAR_STEPS_MAX)
			return LINEAR_UNDECIDED;
		if (f->at == f->count) {
			if (depth == 0)
				return LINEAR_NONE;
			linear_remember(x, depth);
			i = x->frames[--depth].placed;
			x->placed[i] = false;
			x->key ^= linear_mix(i + 1, 77);
			placed_needed -= items[i].returned != LINEAR_NEVER;
			continue;
		}
		i = f->candidates[f->at++];
		state = f->state;
		if (!x->l->step(x->l->ctx, i, &state) ||
		    !linear_tried_add(x, linear_mix(x->key ^ linear_mix(i + 1, 77), state)))
			continue;
		x->placed[i] = true;
		x->key ^= linear_mix(i + 1, 77);
		placed_needed += items[i].returned != LINEAR_NEVER;
		f->placed = i;
		first = f->first;
		f = linear_frame_at(x, ++depth);
		f->state = state;
		f->first = first;
		if (!linear_candidates(x, f))
			return LINEAR_UNDECIDED;
	}
	return LINEAR_FOUND;
}

static inline enum linear_result
linear_search(struct linear *l)
{
	static uint64_t tried[LINEAR_TRIED_SLOTS];
	static uint32_t used[LINEAR_STEPS_MAX + 1];
	struct linear_search x = {.l = l, .tried = tried, .used = used};
	enum linear_result result;

	x.placed = xcalloc(l->count + 1, sizeof *x.placed);
	l->longest_count = 0;
	result = linear_run(&x);
	for (size_t i = 0; i < x.used_count; i++)
		tried[used[i]] = 0;
	free(x.placed);
	free(x.frames);
	return result;
}

#endif

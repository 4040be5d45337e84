/*
 * history.c - are the reads and writes that clients saw linearizable, key by key (contract: cluster.h)
 *
 * Twice, by different means. First against the log, which orders the writes: whatever returned before an operation was called
 * must not come after it. Then without it, from what clients know alone: a search for an order that explains all answers
 * (Wing and Gong, 1993, with Lowe's memory of what was tried, 2017). A write of unknown outcome may come at any time after its call, or never; whoever
 * has seen its value sets an end to that time.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cluster.h"

#define NEVER UINT64_MAX
#define CANDIDATES_MAX 32
#define STEPS_MAX 400000
#define TRIED_SLOTS (1u << 20) /* a power of two, above STEPS_MAX */

struct item {
	const struct op *op;
	uint32_t number;
	uint64_t called, returned;
	uint64_t low, high; /* its place in the log: between */
	bool done;
};

struct history {
	struct sim *sim;
	struct item *items; /* by call */
	size_t count;
};

static int
by_call(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->called != y->called)
		return x->called < y->called ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* Index of the version behind the one at index; NEVER: it is the last. */
static uint64_t
version_behind(const struct sim *s, unsigned key, uint64_t index)
{
	size_t low = 0, high = s->version_count[key];

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->versions[key][middle].index <= index)
			low = middle + 1;
		else
			high = middle;
	}
	return low == s->version_count[key] ? NEVER : s->versions[key][low].index;
}

static void
gather(struct history *h, unsigned key)
{
	struct sim *s = h->sim;

	h->count = 0;
	for (uint32_t i = 1; i <= s->op_count; i++) {
		const struct op *op = &s->ops[i];
		struct item item = {.op = op, .number = i, .called = op->called, .returned = op->returned};

		item.done = op->outcome == OUTCOME_DONE;
		if (op->key != key || op->outcome == OUTCOME_FAILED ||
		    (op->kind == OP_GET && (!item.done || op->mode == MODE_STALE)))
			continue;
		/* what has no entry in the log has changed nothing; if somebody saw its value, that is an error found below */
		if (!item.done && op->applied_at == 0)
			continue;
		if (!item.done)
			item.returned = NEVER;
		item.low = item.high = op->applied_at;
		if (op->kind == OP_GET)
			item.low = op->value_index;
		h->items[h->count++] = item;
	}
	for (size_t i = 0; i < h->count; i++) {
		struct item *read = &h->items[i];

		if (read->op->kind != OP_GET || read->op->value == 0 ||
		    (read->op->value <= s->op_count && s->ops[read->op->value].outcome == OUTCOME_DONE))
			continue;
		for (size_t k = 0; k < h->count; k++)
			if (h->items[k].number == read->op->value && !h->items[k].done)
				h->items[k].returned = MIN(h->items[k].returned, read->returned);
	}
	qsort(h->items, h->count, sizeof *h->items, by_call);
}

/* ---- by the log ---- */

static int
by_return(const void *a, const void *b)
{
	const struct item *const *x = a, *const *y = b;

	return (*x)->returned < (*y)->returned ? -1 : (*x)->returned > (*y)->returned;
}

/* The latest place in the log where this read may stand, given that all up to floor returned before it was called. */
static void
read_check(struct history *h, const struct item *read, uint64_t floor)
{
	struct sim *s = h->sim;
	unsigned key = read->op->key;

	if (read->op->value != 0) {
		if (version_behind(s, key, read->op->value_index) <= floor)
			failed(s,
			    "linearizable reads: operation %" PRIu32 " (%s) shows key k%u of entry %" PRIu64
			    ", entry %" PRIu64 " was acknowledged or seen before it",
			    read->number, read->op->mode == MODE_CONSISTENT ? "consistent" : "default", key,
			    read->op->value_index, floor);
		return;
	}
	/* nothing: some time at or after floor the key was not there */
	for (size_t i = s->version_count[key]; i > 0; i--) {
		const struct version *version = &s->versions[key][i - 1];

		if (version->value == 0)
			return;
		if (version->index <= floor)
			failed(s,
			    "linearizable reads: operation %" PRIu32 " shows no key k%u, entry %" PRIu64
			    " was acknowledged or seen before it",
			    read->number, key, version->index);
	}
}

static void
check_by_log(struct history *h)
{
	struct item **returned = xcalloc(h->count + 1, sizeof *returned);
	uint64_t floor = 0;
	size_t next = 0;

	for (size_t i = 0; i < h->count; i++)
		returned[i] = &h->items[i];
	qsort(returned, h->count, sizeof *returned, by_return);
	for (size_t i = 0; i < h->count; i++) {
		const struct item *item = &h->items[i];

		while (next < h->count && returned[next]->returned < item->called) {
			if (returned[next]->done)
				floor = MAX(floor, returned[next]->low);
			next++;
		}
		if (item->op->kind == OP_GET)
			read_check(h, item, floor);
		else if (item->high < floor)
			failed(h->sim,
			    "linearizable writes: operation %" PRIu32 " is entry %" PRIu64 ", entry %" PRIu64
			    " was acknowledged or seen before it",
			    item->number, item->high, floor);
	}
	free(returned);
}

/* ---- by search ---- */

/* Whether the operation can be the next one when the key's value is *value; it becomes what it leaves. */
static bool
step(const struct item *item, uint32_t *value)
{
	const struct op *op = item->op;
	bool fits = *value == op->expect;

	switch (op->kind) {
	case OP_GET:
		return *value == op->value;
	case OP_SET:
		*value = item->number;
		return true;
	case OP_CAS:
		if (item->done && op->good != fits)
			return false;
		if (fits)
			*value = item->number;
		return true;
	case OP_DELETE:
		*value = 0;
		return true;
	case OP_DELETE_CAS:
		fits |= *value == 0;
		if (item->done && op->good != fits)
			return false;
		if (fits)
			*value = 0;
		return true;
	}
	return false;
}

struct frame {
	uint32_t value; /* before */
	size_t first;   /* all before it are placed */
	uint16_t candidates[CANDIDATES_MAX];
	unsigned count, at;
	size_t placed; /* the item that was taken last from here */
};

struct search {
	const struct history *h;
	bool *placed;
	uint64_t *tried;
	uint32_t *used; /* slots of tried */
	size_t used_count;
	struct frame *frames;
	uint64_t key; /* of the set of placed ones */
};

/* Those that may come next: called before any other one had returned. False: too many to search. */
static bool
candidates_find(const struct search *x, struct frame *f)
{
	const struct item *items = x->h->items;
	uint64_t end = NEVER;

	f->count = f->at = 0;
	while (f->first < x->h->count && x->placed[f->first])
		f->first++;
	for (size_t i = f->first; i < x->h->count && items[i].called <= end; i++) {
		unsigned at;

		if (x->placed[i])
			continue;
		end = MIN(end, items[i].returned);
		if (f->count == CANDIDATES_MAX)
			return false;
		/* who returned first is likely to have come first */
		for (at = f->count++; at > 0 && items[f->candidates[at - 1]].returned > items[i].returned; at--)
			f->candidates[at] = f->candidates[at - 1];
		f->candidates[at] = (uint16_t)i;
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
static bool
tried_add(struct search *x, uint64_t key)
{
	uint64_t slot = key & (TRIED_SLOTS - 1);

	key |= 1;
	while (x->tried[slot] != 0) {
		if (x->tried[slot] == key)
			return false;
		slot = (slot + 1) & (TRIED_SLOTS - 1);
	}
	x->tried[slot] = key;
	x->used[x->used_count++] = (uint32_t)slot;
	return true;
}

static bool
all_placed(const struct search *x)
{
	for (size_t i = 0; i < x->h->count; i++)
		if (!x->placed[i] && x->h->items[i].returned != NEVER)
			return false;
	return true;
}

/* 1: an order was found; 0: there is none; -1: given up. */
static int
search(struct search *x)
{
	size_t depth = 0, needed = 0, placed_needed = 0, deepest = 0;
	uint64_t steps = 0;

	for (size_t i = 0; i < x->h->count; i++)
		needed += x->h->items[i].returned != NEVER;
	x->frames[0] = (struct frame){.value = 0};
	if (!candidates_find(x, &x->frames[0]))
		return -1;
	while (placed_needed < needed) {
		struct frame *f = &x->frames[depth];
		const struct item *item;
		uint32_t value = f->value;
		size_t i;

		if (++steps > STEPS_MAX)
			return -1;
		if (f->at == f->count) {
			if (depth == 0)
				return 0;
			f = &x->frames[--depth];
			i = f->placed;
			x->placed[i] = false;
			x->key ^= mix(i + 1, 77);
			placed_needed -= x->h->items[i].returned != NEVER;
			continue;
		}
		i = f->candidates[f->at++];
		item = &x->h->items[i];
		if (!step(item, &value) || !tried_add(x, mix(x->key ^ mix(i + 1, 77), value)))
			continue;
		x->placed[i] = true;
		x->key ^= mix(i + 1, 77);
		placed_needed += item->returned != NEVER;
		f->placed = i;
		x->frames[depth + 1] = (struct frame){.value = value, .first = f->first};
		depth++;
		deepest = MAX(deepest, depth);
		if (!candidates_find(x, &x->frames[depth]))
			return -1;
	}
	return all_placed(x) ? 1 : 0;
}

static void
check_by_search(struct history *h, unsigned key)
{
	static uint64_t tried[TRIED_SLOTS];
	static uint32_t used[STEPS_MAX + 1];
	struct search x = {.h = h, .tried = tried, .used = used};
	int found;

	x.placed = xcalloc(h->count + 1, sizeof *x.placed);
	x.frames = xcalloc(h->count + 2, sizeof *x.frames);
	found = search(&x);
	free(x.placed);
	for (size_t i = 0; i < x.used_count; i++)
		tried[used[i]] = 0;
	free(x.frames);
	if (found == 0)
		failed(
		    h->sim, "linearizable: no order of the operations on key k%u explains what the clients saw", key);
	h->sim->totals.histories += found == 1;
	h->sim->totals.histories_undecided += found == -1;
}

void
history_check(struct sim *s)
{
	struct history h = {.sim = s, .items = xcalloc(s->op_count + 1, sizeof(struct item))};

	for (unsigned key = 0; key < KEYS_MAX; key++) {
		gather(&h, key);
		check_by_log(&h);
		check_by_search(&h, key);
	}
	free(h.items);
}

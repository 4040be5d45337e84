/*
 * history.c - are the reads and writes that clients saw linearizable, key by key (contract: cluster.h)
 *
 * Twice, by different means. First against the log, which orders the writes: whatever returned before an operation was called
 * must not come after it. Then without it, from what clients know alone: a search for an order that explains all answers
 * (../linear.h). A write of unknown outcome may come at any time after its call, or never; whoever
 * has seen its value sets an end to that time.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "../linear.h"
#include "cluster.h"

#define NEVER LINEAR_NEVER

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

/* The state is the key's value: the number of the operation that wrote it. */
static bool
step(void *ctx, size_t number, uint64_t *value)
{
	const struct history *h = ctx;
	const struct item *item = &h->items[number];
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

static void
check_by_search(struct history *h, unsigned key)
{
	struct linear_item *items = xcalloc(h->count + 1, sizeof *items);
	struct linear l = {.items = items, .count = h->count, .step = step, .ctx = h};
	enum linear_result found;

	for (size_t i = 0; i < h->count; i++)
		items[i] = (struct linear_item){.called = h->items[i].called, .returned = h->items[i].returned};
	found = linear_search(&l);
	free(items);
	if (found == LINEAR_NONE)
		failed(
		    h->sim, "linearizable: no order of the operations on key k%u explains what the clients saw", key);
	h->sim->totals.histories += found == LINEAR_FOUND;
	h->sim->totals.histories_undecided += found == LINEAR_UNDECIDED;
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

/*
 * terms.c - which term each entry of a log has (contract: terms.h; callers: raft.c, wal.c)
 */
#include "terms.h"

#include <inttypes.h>
#include <stdlib.h>

#include "log.h"
#include "mem.h"

void
terms_init(struct terms *t, uint64_t base_index, uint64_t base_term)
{
	*t = (struct terms){.base_index = base_index, .base_term = base_term, .last = base_index};
}

void
terms_free(struct terms *t)
{
	free(t->runs);
	t->runs = NULL;
	t->count = t->size = 0;
}

void
terms_copy(struct terms *to, const struct terms *from)
{
	*to = *from;
	to->size = from->count;
	to->runs = from->count == 0 ? NULL : xreallocarray(NULL, from->count, sizeof *to->runs);
	if (from->count > 0)
		memcpy(to->runs, from->runs, from->count * sizeof *to->runs);
}

/* The run that holds index; the caller has checked that one does. */
static size_t
run_of(const struct terms *t, uint64_t index)
{
	size_t low = 0, high = t->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (t->runs[middle].first <= index)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint64_t
terms_at(const struct terms *t, uint64_t index)
{
	if (index == t->base_index)
		return t->base_term;
	if (index < t->base_index || index > t->last)
		return 0;
	return t->runs[run_of(t, index)].term;
}

uint64_t
terms_last_term(const struct terms *t)
{
	return t->count == 0 ? t->base_term : t->runs[t->count - 1].term;
}

void
terms_append(struct terms *t, uint64_t term, uint64_t count)
{
	if (count == 0)
		return;
	if (term < terms_last_term(t))
		panic("terms: entry %" PRIu64 " of term %" PRIu64 " behind one of term %" PRIu64, t->last + 1, term,
		    terms_last_term(t));
	if (t->count == 0 || t->runs[t->count - 1].term != term) {
		if (t->count == t->size) {
			t->size = t->size == 0 ? 4 : t->size * 2;
			t->runs = xreallocarray(t->runs, t->size, sizeof *t->runs);
		}
		t->runs[t->count++] = (struct terms_run){t->last + 1, term};
	}
	t->last += count;
}

void
terms_truncate(struct terms *t, uint64_t first)
{
	if (first <= t->base_index)
		panic("terms: cut at %" PRIu64 ", the base is %" PRIu64, first, t->base_index);
	if (first > t->last)
		return;
	t->last = first - 1;
	while (t->count > 0 && t->runs[t->count - 1].first >= first)
		t->count--;
}

void
terms_compact(struct terms *t, uint64_t index)
{
	uint64_t term = terms_at(t, index);
	size_t drop;

	if (index < t->base_index || index > t->last)
		panic("terms: base %" PRIu64 " is not in the log", index);
	t->base_index = index;
	t->base_term = term;
	if (index == t->last) {
		t->count = 0;
		return;
	}
	drop = run_of(t, index + 1);
	t->count -= drop;
	memmove(t->runs, t->runs + drop, t->count * sizeof *t->runs);
	if (t->runs[0].first <= index)
		t->runs[0].first = index + 1;
}

uint64_t
terms_find(const struct terms *t, uint64_t limit, uint64_t term)
{
	size_t run;

	if (limit > t->last)
		limit = t->last;
	if (limit <= t->base_index || t->count == 0)
		return t->base_index;
	for (run = run_of(t, limit); t->runs[run].term > term; run--) {
		if (run == 0)
			return t->base_index;
		limit = t->runs[run].first - 1;
	}
	return limit;
}

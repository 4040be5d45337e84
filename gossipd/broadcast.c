/*
 * broadcast.c - messages that spread (contract: broadcast.h; callers: swim*.c, serf*.c)
 *
 * A tier for each number of times sent; in it a list for each length, newest first, and a bitmap of the lengths that there are, so that
 * "the longest that fits" is a search of bits. Tiers exist while something is in them.
 */
#include "broadcast.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "log.h"
#include "mem.h"
#include "ring.h"

#define TIERS_MAX 256
#define LENGTHS (BROADCAST_BYTES_MAX + 1)
#define WORDS ((LENGTHS + 63) / 64)

struct entry {
	struct ring of_length;
	struct hash_node by_subject; /* hash 0 and no subject: in no table */
	broadcast_done *done;
	void *ctx;
	unsigned sent;
	size_t size, subject_size;
	uint8_t bytes[]; /* message, subject */
};

struct tier {
	uint64_t lengths[WORDS];
	struct ring entries[LENGTHS];
	size_t count;
};

struct broadcasts {
	unsigned mult;
	const size_t *members;
	struct tier *tiers[TIERS_MAX];
	struct hash_table subjects;
	size_t count;
	struct entry **taken; /* by the call under way */
	size_t taken_size;
	struct ring over; /* sent for the last time in the last call */
};

unsigned
broadcasts_limit(unsigned mult, size_t members)
{
	unsigned digits = 0;

	/* ceil(log10(n + 1)): the number of decimal digits of n */
	for (size_t n = members; n > 0; n /= 10)
		digits++;
	return mult * digits;
}

struct broadcasts *
broadcasts_new(unsigned mult, const size_t *members)
{
	struct broadcasts *q = xcalloc(1, sizeof *q);

	q->mult = mult;
	q->members = members;
	ring_init(&q->over);
	return q;
}

static struct bytes
subject_of(const struct entry *e)
{
	return (struct bytes){e->bytes + e->size, e->subject_size};
}

static void
insert(struct broadcasts *q, struct entry *e)
{
	struct tier *t = q->tiers[MIN(e->sent, TIERS_MAX - 1)];

	if (t == NULL) {
		t = q->tiers[MIN(e->sent, TIERS_MAX - 1)] = xcalloc(1, sizeof *t);
		for (size_t i = 0; i < LENGTHS; i++)
			ring_init(&t->entries[i]);
	}
	ring_append(t->entries[e->size].next, &e->of_length);
	t->lengths[e->size / 64] |= UINT64_C(1) << e->size % 64;
	t->count++;
	q->count++;
}

static void
take_out(struct broadcasts *q, struct entry *e)
{
	struct tier *t = q->tiers[MIN(e->sent, TIERS_MAX - 1)];

	if (t == NULL)
		panic("broadcast: an entry of no tier");
	ring_remove(&e->of_length);
	if (ring_empty(&t->entries[e->size]))
		t->lengths[e->size / 64] &= ~(UINT64_C(1) << e->size % 64);
	q->count--;
	if (--t->count == 0) {
		q->tiers[MIN(e->sent, TIERS_MAX - 1)] = NULL;
		free(t);
	}
}

/* e is in no tier. */
static void
end(struct broadcasts *q, struct entry *e, bool spread)
{
	if (e->subject_size > 0)
		hash_remove(&q->subjects, &e->by_subject);
	if (e->done != NULL)
		e->done(e->ctx, spread);
	free(e);
}

static void
over_free(struct broadcasts *q)
{
	while (!ring_empty(&q->over)) {
		struct entry *e = RING_ENTRY(q->over.next, struct entry, of_length);

		ring_remove(&e->of_length);
		free(e);
	}
}

void
broadcasts_free(struct broadcasts *q)
{
	if (q == NULL)
		return;
	over_free(q);
	for (size_t i = 0; i < TIERS_MAX; i++)
		for (size_t length = 0; q->tiers[i] != NULL && length < LENGTHS; length++)
			while (!ring_empty(&q->tiers[i]->entries[length])) {
				struct entry *e =
				    RING_ENTRY(q->tiers[i]->entries[length].next, struct entry, of_length);

				ring_remove(&e->of_length);
				free(e);
			}
	for (size_t i = 0; i < TIERS_MAX; i++)
		free(q->tiers[i]);
	hash_free(&q->subjects);
	free(q->taken);
	free(q);
}

static struct entry *
find(const struct broadcasts *q, struct bytes subject, uint64_t hash)
{
	for (struct hash_node *n = hash_first(&q->subjects, hash); n != NULL; n = hash_next(n)) {
		struct entry *e = RING_ENTRY(n, struct entry, by_subject);

		if (bytes_equal(subject_of(e), subject))
			return e;
	}
	return NULL;
}

int
broadcasts_put(struct broadcasts *q, struct bytes subject, struct bytes message, broadcast_done *done, void *ctx)
{
	struct entry *e, *before;

	if (message.size > BROADCAST_BYTES_MAX)
		return -1;
	e = xcalloc(1, sizeof *e + message.size + subject.size);
	e->done = done;
	e->ctx = ctx;
	e->size = message.size;
	e->subject_size = subject.size;
	memcpy(e->bytes, message.data, message.size);
	if (subject.size > 0) {
		memcpy(e->bytes + e->size, subject.data, subject.size);
		e->by_subject.hash = hash_bytes(0, subject);
		before = find(q, subject, e->by_subject.hash);
		if (before != NULL) {
			take_out(q, before);
			end(q, before, false);
		}
		hash_insert(&q->subjects, &e->by_subject);
	}
	insert(q, e);
	return 0;
}

/* The longest of at most so many bytes in the tier, the newest of them. */
static struct entry *
longest(const struct tier *t, size_t most)
{
	size_t word;
	uint64_t bits;

	most = MIN(most, BROADCAST_BYTES_MAX);
	word = most / 64;
	bits = t->lengths[word] & (UINT64_MAX >> (63 - most % 64));
	while (bits == 0) {
		if (word == 0)
			return NULL;
		bits = t->lengths[--word];
	}
	return RING_ENTRY(t->entries[word * 64 + 63 - (size_t)__builtin_clzll(bits)].next, struct entry, of_length);
}

size_t
broadcasts_take(struct broadcasts *q, size_t overhead, size_t limit, size_t most,
    void (*each)(void *ctx, struct bytes message), void *ctx)
{
	unsigned last = broadcasts_limit(q->mult, *q->members);
	size_t used = 0, count = 0;

	over_free(q);
	for (size_t i = 0; i < TIERS_MAX && q->count > 0; i++)
		while (q->tiers[i] != NULL && count < most && used + overhead <= limit) {
			struct entry *e = longest(q->tiers[i], limit - used - overhead);

			if (e == NULL)
				break;
			take_out(q, e);
			used += overhead + e->size;
			if (count == q->taken_size) {
				q->taken_size = q->taken_size == 0 ? 16 : q->taken_size * 2;
				q->taken = xreallocarray(q->taken, q->taken_size, sizeof(struct entry *));
			}
			q->taken[count++] = e;
			each(ctx, (struct bytes){e->bytes, e->size});
		}
	/* not before: nothing is handed out twice in one call. In reverse, so that equals keep their order. */
	for (size_t i = count; i-- > 0;) {
		struct entry *e = q->taken[i];

		if (++e->sent < last) {
			insert(q, e);
			continue;
		}
		if (e->subject_size > 0)
			hash_remove(&q->subjects, &e->by_subject);
		ring_append(&q->over, &e->of_length); /* its bytes were handed out */
		if (e->done != NULL)
			e->done(e->ctx, true);
	}
	return used;
}

size_t
broadcasts_count(const struct broadcasts *q)
{
	return q->count;
}

size_t
broadcasts_prune(struct broadcasts *q, size_t max)
{
	size_t dropped = 0;

	for (size_t i = TIERS_MAX; i-- > 0 && q->count > max;)
		while (q->tiers[i] != NULL && q->count > max) {
			struct entry *e = longest(q->tiers[i], BROADCAST_BYTES_MAX);

			if (e == NULL)
				panic("broadcast: an empty tier is kept");
			take_out(q, e);
			end(q, e, false);
			dropped++;
		}
	return dropped;
}

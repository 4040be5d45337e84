/*
 * catalogd_proposals_test.c - every write is answered once, applied at most once, and sent again only when it can not be in the log
 *
 * The log is modelled: a list of entries that loses a tail when its keeper dies (unsynced), and whose terms grow. Replies to proposals
 * are lost with their connection.
 */
#include "proposals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "mp.h"

#define WRITES 400
#define LOG_MAX 8192

static struct proposals *p;

static struct {
	unsigned applied; /* how often */
	unsigned answered;
	enum proposal_outcome outcome;
} writes[WRITES];

static struct logged {
	uint64_t term;
	uint64_t sequence;
	unsigned number; /* of the write; WRITES: a term's first entry */
} entries[LOG_MAX];
static size_t log_count, log_synced, pulled;

static uint64_t seed;

static unsigned
random_to(unsigned bound)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % bound;
}

static void
on_done(void *ctx, const struct proposal_result *result)
{
	size_t number = (size_t)(uintptr_t)ctx;

	assert_int_equal(writes[number].answered, 0);
	writes[number].answered = 1;
	writes[number].outcome = result->outcome;
}

static struct proposal *
add(unsigned number, int64_t send_deadline, int64_t outcome_deadline)
{
	uint8_t body[4] = {(uint8_t)(number >> 8), (uint8_t)number};
	struct proposal_options options = {.type = APPLY_TYPE_KVS,
	    .time_ns = 1,
	    .body = bytes_of(body, 2),
	    .send_deadline_ns = send_deadline,
	    .outcome_deadline_ns = outcome_deadline,
	    .done = on_done,
	    .ctx = (void *)(uintptr_t)number};

	return proposals_add(p, &options);
}

static void
reset(void)
{
	proposals_free(p);
	p = proposals_new(42);
	memset(writes, 0, sizeof writes);
	log_count = log_synced = pulled = 0;
}

/* Takes a batch into the log under term, or (refused) out of nowhere. */
static size_t
send_batch(uint64_t term, size_t bytes_max, bool reaches, uint64_t *first)
{
	struct buf out = BUF_INIT(1u << 20);
	size_t count = proposals_take(p, term, bytes_max, &out, first);
	struct mp in = mp_of(buf_bytes(&out));

	assert_int_equal(mp_array(&in), count);
	for (size_t i = 0; i < count; i++) {
		struct apply_entry entry;

		assert_int_equal(apply_entry_get(mp_str(&in), &entry), 0);
		assert_int_equal(entry.sequence, *first + i);
		assert_int_equal(entry.nonce, 42);
		if (reaches)
			entries[log_count++] = (struct logged){
			    term, entry.sequence, (unsigned)entry.body.data[0] << 8 | entry.body.data[1]};
	}
	buf_free(&out);
	return count;
}

/* What catalogd does with what comes out of the log. */
static void
pull_all(void)
{
	static uint64_t term;

	if (pulled == 0)
		term = 0;
	for (; pulled < log_synced; pulled++) {
		struct logged *e = &entries[pulled];
		struct proposal_result result = {.outcome = PROPOSAL_APPLIED};
		struct proposal *proposal;

		assert_true(e->term >= term);
		if (e->term != term)
			proposals_term(p, e->term);
		term = e->term;
		if (e->number == WRITES)
			continue;
		writes[e->number].applied++;
		proposal = proposals_find(p, 42, e->sequence);
		if (proposal != NULL)
			proposals_end(p, proposal, &result);
	}
}

/* It comes out of the log later: meanwhile writes may be sent in the new term already. */
static void
new_term(uint64_t term)
{
	entries[log_count++] = (struct logged){term, 0, WRITES};
	log_synced = log_count;
}

static void
test_random_deaths(void **state)
{
	(void)state;
	for (seed = 1; seed < 300; seed++) {
		uint64_t term = 1, start = seed, first;
		unsigned next = 0;

		reset();
		new_term(term);
		for (unsigned step = 0; step < 3000 && (next < WRITES || proposals_count(p) > 0); step++) {
			switch (random_to(8)) {
			case 0:
			case 1:
			case 2:
				if (next < WRITES)
					assert_non_null(add(next, INT64_MAX, INT64_MAX)), next++;
				break;
			case 3:
			case 4:
				(void)send_batch(term, random_to(200), true, &first);
				break;
			case 5:
				log_synced += random_to((unsigned)(log_count - log_synced) + 1);
				pull_all();
				break;
			case 6: { /* refused: it never reached the log */
				size_t count = send_batch(term, random_to(200), false, &first);

				proposals_return(p, first, count);
				break;
			}
			case 7: /* the keeper dies with what is not synced; its replies go with it */
				if (random_to(4) != 0)
					break;
				log_count = log_synced + random_to((unsigned)(log_count - log_synced) + 1);
				/* The tail that survived the death is synced by the next term's first entry. */
				new_term(++term);
				break;
			}
		}
		seed = start;
		for (unsigned i = 0; i < next; i++) {
			if (writes[i].applied > 1)
				fail_msg("seed %llu: write %u applied %u times", (unsigned long long)seed, i,
				    writes[i].applied);
			if (writes[i].answered == 1)
				assert_int_equal(writes[i].applied, 1);
		}
		/* A healthy end brings all of them through. */
		(void)send_batch(term, 1u << 20, true, &first);
		while (proposals_waiting(p) > 0)
			(void)send_batch(term, 1u << 20, true, &first);
		log_synced = log_count;
		pull_all();
		new_term(++term);
		pull_all();
		while (proposals_waiting(p) > 0)
			(void)send_batch(term, 1u << 20, true, &first);
		log_synced = log_count;
		pull_all();
		assert_int_equal(proposals_count(p), 0);
		for (unsigned i = 0; i < next; i++)
			assert_int_equal(writes[i].applied * 10 + writes[i].answered, 11);
	}
	proposals_free(p);
	p = NULL;
}

static void
test_deadlines_say_what_is_known(void **state)
{
	uint64_t first;

	(void)state;
	reset();
	assert_non_null(add(0, 100, 1000)); /* never sent */
	assert_int_equal(proposals_expire(p, 99), 1);
	assert_int_equal(proposals_expire(p, 100), 0);
	assert_int_equal(writes[0].outcome, PROPOSAL_NO_LEADER);
	assert_non_null(add(1, 100, 1000)); /* sent, and nothing was heard */
	assert_int_equal(send_batch(1, 1000, true, &first), 1);
	assert_int_equal(proposals_expire(p, 999), 1);
	assert_int_equal(proposals_expire(p, 1000), 0);
	assert_int_equal(writes[1].outcome, PROPOSAL_UNKNOWN);
	assert_non_null(add(2, 100, 1000)); /* sent, refused, and no leader since */
	assert_int_equal(send_batch(1, 1000, false, &first), 1);
	proposals_return(p, first, 1);
	assert_int_equal(proposals_expire(p, 100), 0);
	assert_int_equal(writes[2].outcome, PROPOSAL_NO_LEADER);
	assert_non_null(add(3, 100, 1000));
	assert_int_equal(send_batch(1, 1000, false, &first), 1);
	proposals_fail(p, first, 1, "no space left on device");
	assert_int_equal(writes[3].outcome, PROPOSAL_FAILED);
	proposals_free(p);
	p = NULL;
}

static void
test_who_is_gone_is_not_called(void **state)
{
	struct proposal *proposal;

	(void)state;
	reset();
	proposal = add(0, 100, 1000);
	proposals_forget(proposal);
	assert_int_equal(proposals_expire(p, 100), 0);
	assert_int_equal(writes[0].answered, 0);
	proposals_free(p);
	p = NULL;
}

static void
test_the_queue_has_an_end(void **state)
{
	unsigned count = 0;

	(void)state;
	reset();
	while (add(0, 1, 1) != NULL)
		count++;
	assert_int_equal(count, PROPOSALS_COUNT_MAX);
	proposals_free(p);
	p = NULL;
}

static void
test_other_proposers_entries_are_not_ours(void **state)
{
	uint64_t first;

	(void)state;
	reset();
	(void)add(0, 100, 1000);
	(void)send_batch(1, 1000, true, &first);
	assert_null(proposals_find(p, 41, first));
	assert_null(proposals_find(p, 42, first + 1));
	assert_null(proposals_find(p, 42, 0));
	assert_non_null(proposals_find(p, 42, first));
	proposals_free(p);
	p = NULL;
}

/* Leadership is lost: what is not in the log ends at once, to be judged by the next leader; what may be in it waits for its outcome. */
static void
test_unsent_ones_end_with_leadership(void **state)
{
	uint64_t first;

	(void)state;
	reset();
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(add(i, 100, 1000));
	assert_int_equal(send_batch(3, 1u << 20, true, &first), 4);
	proposals_return(p, first + 2, 2); /* refused */
	for (unsigned i = 4; i < 6; i++)
		assert_non_null(add(i, 100, 1000));
	proposals_unsent_end(p);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(writes[i].answered, i >= 2);
		if (i >= 2)
			assert_int_equal(writes[i].outcome, PROPOSAL_NO_LEADER);
	}
	assert_int_equal(proposals_waiting(p), 0);
	proposals_unsent_end(p);
	assert_int_equal(proposals_count(p), 2);
	/* an entry of a later term shows that these are lost: now they are known not to be in the log */
	proposals_term(p, 4);
	proposals_unsent_end(p);
	assert_int_equal(writes[0].outcome, PROPOSAL_NO_LEADER);
	assert_int_equal(writes[1].outcome, PROPOSAL_NO_LEADER);
	assert_int_equal(proposals_count(p), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random_deaths),
	    cmocka_unit_test(test_deadlines_say_what_is_known),
	    cmocka_unit_test(test_who_is_gone_is_not_called),
	    cmocka_unit_test(test_the_queue_has_an_end),
	    cmocka_unit_test(test_other_proposers_entries_are_not_ours),
	    cmocka_unit_test(test_unsent_ones_end_with_leadership),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

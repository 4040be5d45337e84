/*
 * catalogd_read_place_test.c - where reads and writes are answered, for all facts there can be
 */
#include "read_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* All combinations of facts, by number; false: there are no more. */
static bool
facts_at(unsigned number, struct read_facts *f)
{
	*f = (struct read_facts){.mode = (enum read_mode)(number % 3)};
	number /= 3;
	f->ready = number & 1;
	f->leads = number & 2;
	f->lease = number & 4;
	f->confirmed = number & 8;
	f->heard = number & 16;
	f->leader_elsewhere = number & 32;
	f->sent_to_leader = number & 64;
	return number < 128;
}

/* Nothing but a stale read is answered here without a lease or a quorum's word, and a consistent one never by a lease. */
static void
test_here_only_with_a_reason(void **state)
{
	struct read_facts f;

	(void)state;
	for (unsigned i = 0; facts_at(i, &f); i++) {
		bool reason = f.confirmed || (f.mode == READ_STALE && f.heard) ||
			      (f.ready && f.lease && f.mode != READ_CONSISTENT);

		assert_int_equal(read_place(&f) == READ_HERE, reason);
		if (read_place(&f) == READ_VERIFIED)
			assert_true(f.ready);
	}
}

/* A request that came as to the leader never goes on to another server, or two servers that take each other for it would pass it round. */
static void
test_nothing_goes_round(void **state)
{
	struct read_facts f;

	(void)state;
	for (unsigned i = 0; facts_at(i, &f); i++) {
		if (f.sent_to_leader) {
			assert_int_not_equal(read_place(&f), READ_ELSEWHERE);
			assert_int_not_equal(read_place_of_leader(&f), READ_ELSEWHERE);
		} else {
			assert_int_not_equal(read_place(&f), READ_REFUSED);
			assert_int_not_equal(read_place_of_leader(&f), READ_REFUSED);
		}
		assert_int_not_equal(read_place_of_leader(&f), READ_HERE);
		assert_int_not_equal(read_place_of_leader(&f), READ_VERIFIED);
	}
}

static void
test_who_does_not_lead(void **state)
{
	(void)state;
	assert_int_equal(read_place(&(struct read_facts){.leader_elsewhere = true}), READ_ELSEWHERE);
	assert_int_equal(
	    read_place(&(struct read_facts){.mode = READ_STALE, .leader_elsewhere = true}), READ_ELSEWHERE);
	assert_int_equal(read_place(&(struct read_facts){0}), READ_HELD);
	assert_int_equal(read_place(&(struct read_facts){.sent_to_leader = true}), READ_REFUSED);
	/* elected, and its own first entry is not applied yet: it knows best, and will soon */
	assert_int_equal(
	    read_place(&(struct read_facts){.leads = true, .lease = true, .sent_to_leader = true}), READ_HELD);
}

static void
test_how_far(void **state)
{
	(void)state;
	assert_int_equal(read_index_needed(true, 7, 7, 100), 0);
	assert_int_equal(read_index_needed(false, 7, 7, 100), 100);
	/* it was ready in another term: what was acknowledged between the two is not known */
	assert_int_equal(read_index_needed(true, 8, 7, 100), 100);
	assert_int_equal(read_index_needed(true, 6, 7, 100), 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_here_only_with_a_reason),
	    cmocka_unit_test(test_nothing_goes_round),
	    cmocka_unit_test(test_who_does_not_lead),
	    cmocka_unit_test(test_how_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

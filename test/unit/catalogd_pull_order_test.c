/*
 * catalogd_pull_order_test.c - which entries follow what the store has
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pull_order.h"

static void
test_entries_without_a_gap_follow(void **state)
{
	struct pull_order o = {.index = 7, .term = 2};

	(void)state;
	assert_int_equal(pull_order_from(&o), 8);
	assert_int_equal(pull_order_next(&o, 8, 2), PULL_APPLY);
	assert_int_equal(pull_order_next(&o, 9, 4), PULL_NEW_TERM);
	assert_int_equal(pull_order_next(&o, 10, 4), PULL_APPLY);
	assert_int_equal(o.index, 10);
	assert_int_equal(o.term, 4);
	assert_int_equal(pull_order_from(&o), 11);
}

static void
test_gaps_repetitions_and_older_terms_do_not(void **state)
{
	const struct pull_order before = {.index = 7, .term = 2};
	static const uint64_t wrong[][2] = {{7, 2}, {6, 2}, {9, 2}, {8, 1}, {0, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct pull_order o = before;

		assert_int_equal(pull_order_next(&o, wrong[i][0], wrong[i][1]), PULL_WRONG);
		assert_int_equal(o.index, 7);
		assert_int_equal(o.term, 2);
	}
}

/* After a restart the entry that was applied last is pulled again: the log must have it as it was. */
static void
test_the_first_one_is_compared(void **state)
{
	struct pull_order o = {.index = 7, .term = 2, .verify_first = true};

	(void)state;
	assert_int_equal(pull_order_from(&o), 7);
	assert_int_equal(pull_order_next(&o, 7, 2), PULL_KNOWN);
	assert_int_equal(pull_order_next(&o, 7, 2), PULL_WRONG); /* once */
	assert_int_equal(pull_order_next(&o, 8, 2), PULL_APPLY);

	o = (struct pull_order){.index = 7, .term = 2, .verify_first = true};
	assert_int_equal(pull_order_next(&o, 7, 3), PULL_WRONG); /* another log's */

	/* it is compacted there */
	o = (struct pull_order){.index = 7, .term = 2, .verify_first = true};
	assert_int_equal(pull_order_next(&o, 8, 3), PULL_NEW_TERM);
	assert_false(o.verify_first);
}

static void
test_an_empty_store_begins_at_one(void **state)
{
	struct pull_order o = {0};

	(void)state;
	assert_int_equal(pull_order_from(&o), 1);
	assert_int_equal(pull_order_next(&o, 1, 1), PULL_NEW_TERM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_entries_without_a_gap_follow),
	    cmocka_unit_test(test_gaps_repetitions_and_older_terms_do_not),
	    cmocka_unit_test(test_the_first_one_is_compared),
	    cmocka_unit_test(test_an_empty_store_begins_at_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

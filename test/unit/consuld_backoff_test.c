/*
 * consuld_backoff_test.c - pauses before a restart
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backoff.h"

static struct monotime
at_ms(int64_t ms)
{
	return (struct monotime){ms * NS_PER_MS};
}

static void
test_first_at_once_then_doubling(void **state)
{
	static const int64_t expected[] = {0, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
	struct backoff b = {.deaths = 0};
	int64_t now = 0;

	(void)state;
	for (size_t i = 0; i < COUNTOF(expected); i++) {
		backoff_started(&b, at_ms(now));
		now += 9999; /* just too short to be healthy */
		assert_int_equal(backoff_died(&b, at_ms(now)), expected[i]);
		now += expected[i];
	}
}

static void
test_ten_seconds_of_health_start_afresh(void **state)
{
	struct backoff b = {.deaths = 0};

	(void)state;
	for (int i = 0; i < 5; i++) {
		backoff_started(&b, at_ms(i));
		(void)!backoff_died(&b, at_ms(i));
	}
	backoff_started(&b, at_ms(100));
	assert_int_equal(backoff_died(&b, at_ms(100 + 10000)), 0);
	backoff_started(&b, at_ms(20000));
	assert_int_equal(backoff_died(&b, at_ms(20000)), 50);
}

/* However long it goes on: no overflow. */
static void
test_many_deaths(void **state)
{
	struct backoff b = {.deaths = 0};

	(void)state;
	for (int i = 0; i < 100000; i++) {
		backoff_started(&b, at_ms(i));
		assert_in_range(backoff_died(&b, at_ms(i)), 0, BACKOFF_MAX_MS);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_at_once_then_doubling),
	    cmocka_unit_test(test_ten_seconds_of_health_start_afresh),
	    cmocka_unit_test(test_many_deaths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

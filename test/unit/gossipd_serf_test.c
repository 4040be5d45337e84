/*
 * gossipd_serf_test.c - what those who listen are told of a member, whatever the order of what is heard of it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "serf_internal.h"

#define AT UINT64_C(1000000000)

/* As it was told last. */
struct told {
	unsigned count;
	enum serf_change change;
	enum member_status status;
};

static uint64_t
op_random(void *ctx, uint64_t below)
{
	(void)ctx, (void)below;
	return 0;
}

static void
op_changed(void *ctx, enum serf_change change, const struct serf_member *m, uint64_t now)
{
	struct told *t = ctx;

	(void)now;
	t->count++;
	t->change = change;
	t->status = m->status;
}

static void
op_say(void *ctx, enum log_level level, const char *fmt, va_list args)
{
	(void)ctx, (void)level, (void)fmt, (void)args;
}

static const struct serf_ops ops = {.random = op_random, .changed = op_changed, .say = op_say};

/* An old leave is heard before the member itself, which has come back meanwhile, and then its own word that it did. */
static void
test_one_that_left_comes_back_behind_its_leave(void **state)
{
	const struct serf_config config = serf_config_consul();
	const struct serf_clocks none = {0};
	struct timers timers = {0};
	struct told told = {0};
	struct serf *s = serf_new(&config, &ops, &told, &timers, &none);
	const struct swim_card card = {.name = "b"}, *kept = swim_card_take(&card);
	const struct swim_member b = {.card = kept, .state = GOSSIP_STATE_ALIVE};

	(void)state;
	assert_true(intent_leave_take(s, &(struct serf_leave){.ltime = 5, .node = bytes_str("b")}, AT));
	assert_int_equal(told.count, 0);
	serf_swim_changed(s, SWIM_JOIN, &b, AT);
	assert_int_equal(told.change, SERF_MEMBER_JOIN);
	assert_int_equal(told.status, MEMBER_LEAVING);
	/* an older word changes nothing, nor does hearing it twice */
	assert_false(intent_join_take(s, &(struct serf_join){.ltime = 4, .node = bytes_str("b")}, AT));
	assert_int_equal(told.count, 1);
	assert_true(intent_join_take(s, &(struct serf_join){.ltime = 6, .node = bytes_str("b")}, AT));
	assert_int_equal(told.count, 2);
	assert_int_equal(told.change, SERF_MEMBER_UPDATE);
	assert_int_equal(told.status, MEMBER_ALIVE);
	assert_true(intent_join_take(s, &(struct serf_join){.ltime = 7, .node = bytes_str("b")}, AT));
	assert_int_equal(told.count, 2);
	serf_free(s);
	timers_free(&timers);
	swim_card_release(kept);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_that_left_comes_back_behind_its_leave)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

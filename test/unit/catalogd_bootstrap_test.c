/*
 * catalogd_bootstrap_test.c - who begins a cluster with whom, as the members say
 */
#include "bootstrap.h"

#include "catalogd_members_fixture.h"

static struct members *table;
static struct bootstrap_plan plan;
static const struct lan_member *culprit;

static int
setup(void **state)
{
	(void)state;
	table = members_new("dc1");
	members_begin(table);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	members_free(table);
	return 0;
}

static enum bootstrap_verdict
judge(unsigned self)
{
	return bootstrap_judge(table, 3, server_id(self), &plan, &culprit);
}

/* numbers: of the servers in the plan, in order, 0 at the end */
static void
check_plan(const unsigned *numbers)
{
	char text[NET_ADDR_TEXT_MAX], wanted[NET_ADDR_TEXT_MAX];
	size_t i = 0;

	for (; numbers[i] != 0; i++) {
		assert_true(i < plan.count);
		assert_string_equal(plan.at[i].id, server_id(numbers[i]));
		snprintf(wanted, sizeof wanted, "10.0.0.%u:8300", numbers[i]);
		assert_string_equal(net_addr_text_port(&plan.at[i].rpc, text), wanted);
	}
	assert_int_equal(plan.count, i);
}

static void
test_enough(void **state)
{
	const unsigned three[] = {1, 2, 3, 0}, four[] = {1, 2, 3, 9, 0};
	struct bootstrap_plan before;

	(void)state;
	feed_server(table, 3, MEMBER_ALIVE, "expect", "3");
	feed_server(table, 1, MEMBER_ALIVE, "expect", "3");
	assert_int_equal(judge(3), BOOTSTRAP_FEW);
	/* one that expects nothing counts */
	feed_server(table, 2, MEMBER_ALIVE, NULL, NULL);
	assert_int_equal(judge(3), BOOTSTRAP_ENOUGH);
	check_plan(three);
	assert_int_equal(plan.rank, 2);
	before = plan;
	assert_int_equal(judge(1), BOOTSTRAP_ENOUGH);
	assert_int_equal(plan.rank, 0);
	assert_true(bootstrap_plans_equal(&before, &plan));
	feed_server(table, 9, MEMBER_ALIVE, "expect", "3");
	assert_int_equal(judge(1), BOOTSTRAP_ENOUGH);
	check_plan(four);
	assert_false(bootstrap_plans_equal(&before, &plan));
	/* a server that is not in its own plan begins nothing */
	assert_int_equal(judge(5), BOOTSTRAP_FEW);
}

static void
test_who_does_not_count(void **state)
{
	const char *client[] = {"role", "node", "dc", "dc1", "id", server_id(7), NULL};
	const char *elsewhere[] = {
	    "role", "consul", "dc", "dc2", "id", server_id(8), "port", "8300", "consuld", "1", NULL};
	const char *foreign[] = {"role", "consul", "dc", "dc1", "id", server_id(9), "port", "8300", NULL};
	const char *nameless[] = {"role", "consul", "dc", "dc1", "port", "8300", "consuld", "1", NULL};

	(void)state;
	feed_server(table, 1, MEMBER_ALIVE, "expect", "3");
	feed_server(table, 2, MEMBER_ALIVE, "expect", "3");
	feed_server(table, 3, MEMBER_FAILED, "expect", "3");
	feed_server(table, 4, MEMBER_LEFT, "expect", "3");
	feed_server(table, 5, MEMBER_LEAVING, "expect", "3");
	feed_server(table, 6, MEMBER_ALIVE, "read_replica", "1");
	assert_int_equal(feed_member(table, "member-join", "c", MEMBER_ALIVE, "10.0.1.1", client), 0);
	assert_int_equal(feed_member(table, "member-join", "e", MEMBER_ALIVE, "10.0.1.2", elsewhere), 0);
	assert_int_equal(feed_member(table, "member-join", "f", MEMBER_ALIVE, "10.0.1.3", foreign), 0);
	assert_int_equal(feed_member(table, "member-join", "n", MEMBER_ALIVE, "10.0.1.4", nameless), 0);
	assert_int_equal(judge(1), BOOTSTRAP_FEW);
	feed_server(table, 3, MEMBER_ALIVE, "expect", "3");
	assert_int_equal(judge(1), BOOTSTRAP_ENOUGH);
	assert_int_equal(plan.count, 3);
}

static void
test_conflicts(void **state)
{
	(void)state;
	feed_server(table, 1, MEMBER_ALIVE, "expect", "3");
	feed_server(table, 2, MEMBER_ALIVE, "expect", "3");
	feed_server(table, 3, MEMBER_ALIVE, "expect", "3");
	feed_server(table, 4, MEMBER_ALIVE, "expect", "5");
	assert_int_equal(judge(1), BOOTSTRAP_CONFLICT);
	assert_string_equal(culprit->name, "s4");
	feed_server(table, 4, MEMBER_ALIVE, "bootstrap", "1");
	assert_int_equal(judge(1), BOOTSTRAP_FLAGGED);
	assert_string_equal(culprit->name, "s4");
	/* who is gone hinders nobody */
	feed_server(table, 4, MEMBER_FAILED, "bootstrap", "1");
	assert_int_equal(judge(1), BOOTSTRAP_ENOUGH);
	assert_null(culprit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_enough, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_who_does_not_count, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_conflicts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

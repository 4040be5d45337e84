/*
 * catalogd_autopilot_test.c - what autopilot thinks of servers, and what it does about them
 */
#include "autopilot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "duration.h"

static struct autopilot pilot;
static struct autopilot_input in;
static struct autopilot_step steps[AUTOPILOT_STEPS_MAX];
static const char *const ids[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

/* Server 0 leads; all are healthy. */
static int
setup(void **state)
{
	(void)state;
	autopilot_init(&pilot);
	memset(&in, 0, sizeof in);
	in.settings = (struct autopilot_settings){.cleanup_dead_servers = true,
	    .last_contact_ns = 200 * NS_PER_MS,
	    .max_trailing_logs = 250,
	    .stabilization_ns = 10 * NS_PER_S};
	in.now_ns = 1000 * NS_PER_S;
	in.wall_ns = 5000 * NS_PER_S;
	return 0;
}

static struct autopilot_known *
server(bool voter)
{
	struct autopilot_known *s = &in.at[in.count];

	*s = (struct autopilot_known){.id = ids[in.count],
	    .name = ids[in.count],
	    .address = "",
	    .version = "",
	    .raft_version = "3",
	    .status = MEMBER_ALIVE,
	    .peer = true,
	    .voter = voter,
	    .leader = in.count == 0,
	    .last_index = 1000,
	    .last_term = 7};
	in.count++;
	return s;
}

static void
voters(size_t count)
{
	while (count-- > 0)
		(void)server(true);
}

static void
look_after(int64_t seconds)
{
	in.now_ns += seconds * NS_PER_S;
	in.wall_ns += seconds * NS_PER_S;
	autopilot_look(&pilot, &in);
}

/* The steps as text: "promote 3, leave 2". */
static void
check(bool cleanup, const char *expected)
{
	static const char *const names[] = {"promote", "demote", "remove", "leave", "keep"};
	size_t count = autopilot_decide(&pilot, &in, cleanup, steps);
	char text[1024] = "";

	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof text - used, "%s%s %zu", i == 0 ? "" : ", ", names[steps[i].action],
		    steps[i].server);
	}
	assert_string_equal(text, expected);
}

/* ---- health ---- */

static void
test_health(void **state)
{
	struct autopilot_known *s;

	(void)state;
	voters(3);
	look_after(0);
	assert_true(pilot.healthy);
	assert_int_equal(pilot.failure_tolerance, 1);
	s = &in.at[1];
#define SICK(change, undo)                                                                                             \
	do {                                                                                                           \
		change;                                                                                                \
		look_after(1);                                                                                         \
		assert_false(pilot.at[1].healthy);                                                                     \
		assert_false(pilot.healthy);                                                                           \
		assert_int_equal(pilot.failure_tolerance, 0);                                                          \
		undo;                                                                                                  \
		look_after(1);                                                                                         \
		assert_true(pilot.at[1].healthy);                                                                      \
		assert_true(pilot.healthy);                                                                            \
	} while (0)
	SICK(s->status = MEMBER_FAILED, s->status = MEMBER_LEAVING);
	SICK(s->status = MEMBER_NONE, s->status = MEMBER_ALIVE);
	SICK(s->contact_ns = 201 * NS_PER_MS, s->contact_ns = 200 * NS_PER_MS);
	SICK(s->contact_ns = -1, s->contact_ns = 0);
	SICK(s->last_term = 6, s->last_term = 7);
	SICK(s->last_index = 749, s->last_index = 750);
	SICK(s->blank = true, s->blank = false);
	/* silence shorter than the time between two messages says nothing */
	in.slack_ns = 600 * NS_PER_MS;
	SICK(s->contact_ns = 601 * NS_PER_MS, s->contact_ns = 600 * NS_PER_MS);
}

static void
test_tolerance(void **state)
{
	static const int64_t tolerances[] = {0, 0, 0, 1, 1, 2, 2, 3};

	(void)state;
	for (size_t i = 1; i < COUNTOF(tolerances); i++) {
		voters(1);
		look_after(1);
		assert_int_equal(pilot.failure_tolerance, tolerances[i]);
	}
	/* who has no vote does not count, but makes the cluster unhealthy */
	server(false)->status = MEMBER_FAILED;
	look_after(1);
	assert_int_equal(pilot.failure_tolerance, 3);
	assert_false(pilot.healthy);
	/* who has left, and is no part of the log, does neither */
	in.at[7] = (struct autopilot_known){.id = "7", .status = MEMBER_LEFT, .contact_ns = -1};
	look_after(1);
	assert_true(pilot.healthy);
	/* a voter that nobody knows counts among those there should be */
	in.at[1].status = in.at[2].status = in.at[3].status = in.at[4].status = MEMBER_NONE;
	look_after(1);
	assert_int_equal(pilot.failure_tolerance, 0);
}

static void
test_stable_since(void **state)
{
	(void)state;
	voters(2);
	look_after(0);
	look_after(5);
	assert_int_equal(pilot.at[1].since_wall_ns, 5000 * NS_PER_S);
	in.at[1].contact_ns = NS_PER_S;
	look_after(5);
	look_after(5);
	assert_int_equal(pilot.at[1].since_wall_ns, 5010 * NS_PER_S);
	assert_int_equal(pilot.at[0].since_wall_ns, 5000 * NS_PER_S);
	/* the servers may come in another order */
	in.at[2] = in.at[0];
	in.at[0] = in.at[1];
	in.at[1] = in.at[2];
	look_after(5);
	assert_int_equal(pilot.at[0].since_wall_ns, 5010 * NS_PER_S);
	assert_int_equal(pilot.at[1].since_wall_ns, 5000 * NS_PER_S);
}

static void
test_names(void **state)
{
	(void)state;
	voters(2);
	server(false);
	server(false)->peer = false;
	assert_string_equal(autopilot_state_name(&in.at[0]), "leader");
	assert_string_equal(autopilot_state_name(&in.at[1]), "voter");
	assert_string_equal(autopilot_state_name(&in.at[2]), "non-voter");
	assert_string_equal(autopilot_state_name(&in.at[3]), "none");
	assert_string_equal(autopilot_status_name(MEMBER_LEAVING), "alive");
	assert_string_equal(autopilot_status_name(MEMBER_FAILED), "failed");
	assert_string_equal(autopilot_status_name(MEMBER_LEFT), "left");
	assert_string_equal(autopilot_status_name(MEMBER_NONE), "unknown");
}

/* ---- votes ---- */

static void
test_promotion(void **state)
{
	(void)state;
	voters(1);
	look_after(0);
	look_after(20);
	check(false, "");
	server(false)->contact_ns = -1;
	look_after(0);
	check(false, "");
	look_after(60); /* it was never healthy */
	check(false, "");
	in.at[1].contact_ns = 0;
	look_after(1);
	check(false, "");
	look_after(9);
	check(false, "");
	look_after(1);
	check(false, "promote 1");
	/* a moment of illness begins it anew */
	in.at[1].last_index = 1;
	look_after(1);
	check(false, "");
	in.at[1].last_index = 1000;
	look_after(1);
	look_after(9);
	check(false, "");
	look_after(1);
	in.at[1].no_vote = true;
	check(false, "");
	in.at[1].no_vote = false;
	in.at[1].peer = false;
	check(false, "");
}

/* A leader that has not watched for long does not hold it against servers that it has just met them. */
static void
test_promotion_by_a_new_leader(void **state)
{
	(void)state;
	voters(1);
	server(false);
	look_after(0);
	check(false, "promote 1");
	in.at[1].contact_ns = -1;
	look_after(1);
	check(false, "");
	in.at[1].contact_ns = 0;
	look_after(10);
	check(false, ""); /* 11 s: now it has */
	look_after(10);
	check(false, "promote 1");
}

static void
test_lost_log(void **state)
{
	(void)state;
	voters(3);
	in.at[2].blank = true;
	look_after(0);
	check(true, "demote 2");
	in.at[2].voter = false;
	look_after(1);
	check(true, "");
	in.at[2].blank = false;
	look_after(1);
	check(true, "promote 2");
	/* a dead one is a case for cleaning up */
	in.at[2].blank = in.at[2].voter = true;
	in.at[2].status = MEMBER_FAILED;
	in.at[2].contact_ns = -1;
	look_after(1);
	check(true, "leave 2");
}

/* ---- the dead ---- */

static void
die(size_t i, enum member_status status)
{
	in.at[i].status = status;
	in.at[i].contact_ns = -1;
}

static void
test_dead_voters(void **state)
{
	(void)state;
	voters(2);
	die(1, MEMBER_FAILED);
	look_after(0);
	check(true, "keep 1"); /* of two none can be spared */
	voters(1);
	look_after(1);
	check(false, "");
	check(true, "leave 1");
	in.settings.cleanup_dead_servers = false;
	check(true, "");
	in.settings.cleanup_dead_servers = true;
	in.settings.min_quorum = 3;
	check(true, "keep 1");
	in.settings.min_quorum = 2;
	check(true, "leave 1");
	/* less than half in one round */
	voters(2);
	die(2, MEMBER_FAILED);
	die(3, MEMBER_FAILED);
	look_after(1);
	check(true, "leave 1, leave 2, keep 3");
	in.settings.min_quorum = 4;
	check(true, "leave 1, keep 2, keep 3");
}

static void
test_dead_others(void **state)
{
	(void)state;
	voters(3);
	(void)server(false);
	(void)server(false);
	die(3, MEMBER_FAILED);
	die(4, MEMBER_NONE);
	die(2, MEMBER_NONE);
	server(true)->peer = false; /* no part of the log: gossip's own affair */
	die(5, MEMBER_FAILED);
	look_after(0);
	check(true, "leave 3, remove 4, remove 2");
	in.settings.min_quorum = 3;
	check(true, "leave 3, remove 4, keep 2");
	/* who has left is removed by the rule for those who leave */
	in.at[2].status = in.at[3].status = in.at[4].status = MEMBER_LEFT;
	look_after(1);
	check(true, "");
}

/* Gossip may be wrong, or not have found it yet. */
static void
test_who_answers_is_not_dead(void **state)
{
	(void)state;
	voters(3);
	in.at[1].status = MEMBER_FAILED;
	in.at[2].status = MEMBER_NONE;
	look_after(0);
	check(true, "keep 1, keep 2");
	in.at[2].contact_ns = 201 * NS_PER_MS;
	check(true, "keep 1, remove 2");
}

static void
test_without_a_look(void **state)
{
	(void)state;
	voters(3);
	die(1, MEMBER_FAILED);
	check(true, "");
	in.at[0].leader = false; /* it leads no more */
	look_after(1);
	check(true, "");
	assert_false(pilot.healthy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_health, setup),
	    cmocka_unit_test_setup(test_tolerance, setup),
	    cmocka_unit_test_setup(test_stable_since, setup),
	    cmocka_unit_test_setup(test_names, setup),
	    cmocka_unit_test_setup(test_promotion, setup),
	    cmocka_unit_test_setup(test_promotion_by_a_new_leader, setup),
	    cmocka_unit_test_setup(test_lost_log, setup),
	    cmocka_unit_test_setup(test_dead_voters, setup),
	    cmocka_unit_test_setup(test_dead_others, setup),
	    cmocka_unit_test_setup(test_who_answers_is_not_dead, setup),
	    cmocka_unit_test_setup(test_without_a_look, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * catalogd_raft_members_test.c - members and configuration say which change of the configuration is next
 */
#include "raft_members.h"

#include "catalogd_members_fixture.h"

#define SELF 1

static struct members *table;
static struct raft_peers peers;
static struct raft_members_removed removed;
static struct raft_members_judgement judgement;

static int
setup(void **state)
{
	(void)state;
	table = members_new("dc1");
	members_begin(table);
	peers = (struct raft_peers){0};
	removed.count = 0;
	feed_server(table, SELF, MEMBER_ALIVE, NULL, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	members_free(table);
	return 0;
}

/* Server NUMBER of the configuration, at 10.0.0.NUMBER; it has all that the leader has. */
static struct raft_peer *
peer(unsigned number, bool voter)
{
	struct raft_peer *p = &peers.at[peers.count++];

	*p = (struct raft_peer){.voter = voter, .leader = number == SELF, .replicates = true, .match = 1000};
	memcpy(p->id, server_id(number), sizeof p->id);
	snprintf(p->address, sizeof p->address, "10.0.0.%u:8300", number);
	snprintf(p->configured, sizeof p->configured, "10.0.0.%u:8300", number);
	return p;
}

static void
judge(void)
{
	raft_members_judge(&peers, table, &removed, server_id(SELF), &judgement);
}

static void
check(enum raft_members_op op, unsigned number)
{
	judge();
	assert_true(judgement.wanted);
	assert_int_equal(judgement.change.op, op);
	assert_string_equal(judgement.change.id, server_id(number));
	assert_non_null(judgement.change.reason);
}

static void
check_nothing(void)
{
	judge();
	assert_false(judgement.wanted);
}

static void
test_joining(void **state)
{
	(void)state;
	peer(SELF, true);
	check_nothing();
	feed_server(table, 2, MEMBER_ALIVE, NULL, NULL);
	check(RAFT_MEMBERS_ADD, 2);
	assert_string_equal(judgement.change.address, "10.0.0.2:8300");
	/* its vote is autopilot's business */
	peer(2, false);
	check_nothing();
}

static void
test_address(void **state)
{
	(void)state;
	peer(SELF, true);
	snprintf(peers.at[0].configured, sizeof peers.at[0].configured, "10.9.9.9:8300"); /* its own it sets itself */
	peer(2, true);
	feed_server(table, 2, MEMBER_ALIVE, NULL, NULL);
	check_nothing();
	snprintf(peers.at[1].configured, sizeof peers.at[1].configured, "10.0.0.7:8300");
	check(RAFT_MEMBERS_ADD, 2);
	assert_string_equal(judgement.change.address, "10.0.0.2:8300");
	feed_server(table, 2, MEMBER_FAILED, NULL, NULL);
	check_nothing();
}

static void
test_removed(void **state)
{
	(void)state;
	peer(SELF, true);
	feed_server(table, 2, MEMBER_ALIVE, NULL, NULL);
	feed_server(table, 3, MEMBER_ALIVE, NULL, NULL);
	memcpy(removed.at[removed.count++].id, server_id(2), UUID_TEXT_SIZE);
	check(RAFT_MEMBERS_ADD, 3);
	peer(3, false);
	check_nothing();
	removed.count = 0;
	check(RAFT_MEMBERS_ADD, 2);
}

static void
test_who_gets_no_vote(void **state)
{
	const char *foreign[] = {"role", "consul", "dc", "dc1", "id", server_id(9), "port", "8300", NULL};

	(void)state;
	peer(SELF, true);
	feed_server(table, 2, MEMBER_FAILED, NULL, NULL);
	feed_server(table, 3, MEMBER_LEFT, NULL, NULL);
	assert_int_equal(feed_member(table, "member-join", "f", MEMBER_ALIVE, "10.0.0.9", foreign), 0);
	check_nothing();
	feed_server(table, 4, MEMBER_ALIVE, "read_replica", "1");
	check(RAFT_MEMBERS_ADD, 4);
	peer(4, false);
	check_nothing();
	peer(5, false);
	feed_server(table, 5, MEMBER_FAILED, NULL, NULL);
	check_nothing();
}

static void
test_leaving(void **state)
{
	(void)state;
	peer(SELF, true);
	peer(2, true);
	peer(3, true);
	feed_server(table, 2, MEMBER_ALIVE, NULL, NULL);
	feed_server(table, 3, MEMBER_LEAVING, NULL, NULL);
	check_nothing();
	feed_server(table, 3, MEMBER_FAILED, NULL, NULL);
	check_nothing();
	feed_server(table, 3, MEMBER_LEFT, NULL, NULL);
	check(RAFT_MEMBERS_REMOVE, 3);
	peers.count = 2;
	/* of whom gossip knows nothing it may yet find */
	peer(7, true);
	check_nothing();
	/* this server itself is another matter (leave.h) */
	feed_server(table, SELF, MEMBER_LEFT, NULL, NULL);
	check_nothing();
}

static void
test_replaced(void **state)
{
	(void)state;
	peer(SELF, true);
	peer(2, true);
	peer(3, true);
	feed_server(table, 2, MEMBER_ALIVE, NULL, NULL);
	feed_server(table, 4, MEMBER_ALIVE, NULL, NULL);
	snprintf(peers.at[2].address, sizeof peers.at[2].address, "10.0.0.4:8300");
	/* 4 began with an empty directory where 3 was */
	check(RAFT_MEMBERS_REMOVE, 3);
	peers.count = 2;
	check(RAFT_MEMBERS_ADD, 4);
	/* of two voters none can be spared */
	snprintf(peers.at[1].address, sizeof peers.at[1].address, "10.0.0.4:8300");
	check_nothing();
	assert_string_equal(judgement.crowded->name, "s4");
	/* but others are added all the same */
	feed_server(table, 5, MEMBER_ALIVE, NULL, NULL);
	check(RAFT_MEMBERS_ADD, 5);
	peers.at[1].voter = false;
	check(RAFT_MEMBERS_REMOVE, 2);
}

static void
test_two_beginnings(void **state)
{
	(void)state;
	feed_server(table, SELF, MEMBER_ALIVE, "bootstrap", "1");
	peer(SELF, true);
	feed_server(table, 2, MEMBER_ALIVE, "bootstrap", "1");
	check_nothing();
	assert_string_equal(judgement.twice->name, "s2");
	assert_string_equal(judgement.other->name, "s1");
	feed_server(table, 2, MEMBER_ALIVE, NULL, NULL);
	check(RAFT_MEMBERS_ADD, 2);
	assert_null(judgement.twice);
}

static void
test_answer(void **state)
{
	struct buf b = BUF_INIT(4096);

	(void)state;
	mp_put_map(&b, 3);
	mp_put_cstr(&b, "Servers");
	mp_put_array(&b, 2);
	mp_put_map(&b, 4);
	mp_put_kv_cstr(&b, "ID", server_id(1));
	mp_put_kv_cstr(&b, "Address", "10.0.0.1:8300");
	mp_put_kv_bool(&b, "Voter", true);
	mp_put_kv_bool(&b, "Leader", true);
	mp_put_map(&b, 7);
	mp_put_kv_cstr(&b, "ID", server_id(2));
	mp_put_kv_cstr(&b, "Address", "10.0.0.2:8300");
	mp_put_kv_bool(&b, "Voter", false);
	mp_put_kv_bool(&b, "Leader", false);
	mp_put_kv_cstr(&b, "Progress", "replicate");
	mp_put_kv_uint(&b, "MatchIndex", 17);
	mp_put_kv_uint(&b, "SilentMs", 30);
	mp_put_kv_uint(&b, "Index", 5);
	mp_put_kv_uint(&b, "CommittedIndex", 4);
	assert_int_equal(raft_peers_read(buf_bytes(&b), &peers), 0);
	assert_int_equal(peers.count, 2);
	assert_int_equal(peers.index, 5);
	assert_int_equal(peers.committed_index, 4);
	assert_int_equal(raft_peers_voters(&peers), 1);
	assert_null(raft_peers_find(&peers, server_id(3)));
	assert_true(raft_peers_find(&peers, server_id(2))->replicates);
	assert_int_equal(raft_peers_find(&peers, server_id(2))->match, 17);
	assert_true(raft_peers_find(&peers, server_id(1))->leader);
	/* cut, and with an ID that is none */
	assert_int_equal(raft_peers_read(bytes_of(b.data, 40), &peers), -1);
	b.data[20] = 'x';
	assert_int_equal(raft_peers_read(buf_bytes(&b), &peers), -1);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_joining, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_address, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_removed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_who_gets_no_vote, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_leaving, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_two_beginnings, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

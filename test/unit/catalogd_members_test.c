/*
 * catalogd_members_test.c - the table of members, fed as gossipd feeds it
 */
#include "members.h"

#include "catalogd_members_fixture.h"

#define TOLD_MAX 256
#define ID_1 "11111111-1111-1111-1111-111111111111"
#define ID_2 "22222222-2222-2222-2222-222222222222"

static struct members *table;
/* What the observer was told: "name:before>after " each, "synced " for the mark. */
static char told[TOLD_MAX];

static void
observe(void *ctx, const struct lan_member *m, enum member_status before)
{
	size_t used = strlen(told);

	(void)ctx;
	if (m == NULL)
		snprintf(told + used, sizeof told - used, "synced ");
	else
		snprintf(told + used, sizeof told - used, "%s:%d>%d ", m->name, (int)before, (int)m->status);
}

static int
setup(void **state)
{
	(void)state;
	table = members_new("dc1");
	members_observe(table, observe, NULL);
	members_begin(table);
	told[0] = '\0';
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	members_free(table);
	return 0;
}

static int
feed(const char *event, const char *name, enum member_status status, const char *address, const char *const *tags)
{
	return feed_member(table, event, name, status, address, tags);
}

static void
client(const char *event, const char *name, enum member_status status, const char *id)
{
	const char *tags[] = {"role", "node", "dc", "dc1", "id", id, "build", "1.21.4:", NULL};

	assert_int_equal(feed(event, name, status, "10.0.0.1", tags), 0);
}

static void
mark(void)
{
	assert_int_equal(take_event(table, &(struct gossip_event){.event = bytes_str("synced")}), 0);
}

static void
check_told(const char *what)
{
	assert_string_equal(told, what);
	told[0] = '\0';
}

static const struct lan_member *
find(const char *name)
{
	return members_find(table, bytes_str(name));
}

static void
test_life(void **state)
{
	(void)state;
	assert_false(members_synced(table));
	client("member-join", "a", MEMBER_ALIVE, ID_1);
	client("member-failed", "b", MEMBER_FAILED, ID_2);
	assert_false(members_synced(table));
	mark();
	assert_true(members_synced(table));
	check_told("a:0>1 b:0>4 synced ");
	client("member-failed", "a", MEMBER_FAILED, ID_1);
	client("member-join", "b", MEMBER_ALIVE, ID_2);
	client("member-leave", "b", MEMBER_LEFT, ID_2);
	assert_int_equal(find("b")->status, MEMBER_LEFT);
	client("member-reap", "a", MEMBER_FAILED, ID_1);
	check_told("a:1>4 b:4>1 b:1>3 a:4>0 ");
	assert_null(find("a"));
	assert_int_equal(members_count(table), 1);
	assert_string_equal(members_at(table, 0)->name, "b");
	client("member-reap", "never known", MEMBER_LEFT, ID_1);
	check_told("");
}

static void
test_again(void **state)
{
	(void)state;
	client("member-join", "stays", MEMBER_ALIVE, ID_1);
	client("member-join", "fails", MEMBER_ALIVE, ID_2);
	client("member-join", "goes", MEMBER_ALIVE, "");
	mark();
	told[0] = '\0';
	/* gossipd was away: the list again. Until it is whole nobody has gone. */
	members_begin(table);
	client("member-join", "stays", MEMBER_ALIVE, ID_1);
	client("member-failed", "fails", MEMBER_FAILED, ID_2);
	client("member-join", "new", MEMBER_ALIVE, "");
	assert_non_null(find("goes"));
	assert_true(members_synced(table));
	check_told("fails:1>4 new:0>1 ");
	mark();
	check_told("synced ");
	assert_int_equal(find("goes")->status, MEMBER_ALIVE);
	members_fail_unseen(table);
	check_told("goes:1>4 ");
	members_fail_unseen(table);
	check_told("");
	members_drop_unseen(table);
	check_told("goes:4>0 ");
	assert_null(find("goes"));
	assert_int_equal(members_count(table), 3);
	/* who is found again in time was never gone */
	members_begin(table);
	mark();
	client("member-join", "stays", MEMBER_ALIVE, ID_1);
	client("member-join", "new", MEMBER_FAILED, "");
	check_told("synced new:1>4 ");
	client("member-failed", "fails", MEMBER_FAILED, ID_2);
	members_fail_unseen(table);
	members_drop_unseen(table);
	check_told("");
	assert_int_equal(members_count(table), 3);
}

static void
test_server(void **state)
{
	const char *tags[] = {"role", "consul", "dc", "dc1", "id", ID_1, "port", "8300", "build", "1.21.4:abcdef12",
	    "expect", "3", "raft_vsn", "3", "vsn", "2", "consuld", "1", NULL};
	const char *other[] = {
	    "role", "consul", "dc", "dc2", "port", "8400", "build", "1.10.0:", "bootstrap", "1", "nonvoter", "1", NULL};
	const struct lan_member *m;
	char text[NET_ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(feed("member-join", "s1", MEMBER_ALIVE, "10.0.0.7", tags), 0);
	m = find("s1");
	assert_true(m->server && m->local && !m->bootstrap && !m->read_replica);
	assert_string_equal(net_addr_text_port(&m->rpc, text), "10.0.0.7:8300");
	assert_string_equal(m->id, ID_1);
	assert_string_equal(m->build, "1.21.4");
	assert_string_equal(m->own_kind, "1");
	assert_int_equal(m->expect, 3);
	assert_true(bytes_is(mp_find_str(m->tags, "raft_vsn"), "3"));
	assert_int_equal(feed("member-join", "s2", MEMBER_ALIVE, "fd00::1", other), 0);
	m = find("s2");
	assert_true(m->server && !m->local && m->bootstrap && m->read_replica);
	assert_string_equal(net_addr_text_port(&m->rpc, text), "[fd00::1]:8400");
	assert_string_equal(m->own_kind, "");
	assert_int_equal(m->expect, 0);
	check_told("s1:0>1 s2:0>1 ");
	/* another address is a change, the same again is none */
	assert_int_equal(feed("member-update", "s1", MEMBER_ALIVE, "10.0.0.8", tags), 0);
	assert_int_equal(feed("member-update", "s1", MEMBER_ALIVE, "10.0.0.8", tags), 0);
	check_told("s1:1>1 ");
	assert_string_equal(net_addr_text_port(&find("s1")->rpc, text), "10.0.0.8:8300");
	/* and so are other tags: no port, no server */
	tags[6] = "was-port";
	assert_int_equal(feed("member-update", "s1", MEMBER_ALIVE, "10.0.0.8", tags), 0);
	check_told("s1:1>1 ");
	assert_false(find("s1")->server);
	tags[6] = "port", tags[7] = "65536";
	assert_int_equal(feed("member-update", "s1", MEMBER_ALIVE, "10.0.0.8", tags), 0);
	assert_false(find("s1")->server);
}

static void
test_by_id(void **state)
{
	(void)state;
	client("member-join", "old", MEMBER_LEFT, "abcdefab-1111-1111-1111-111111111111");
	client("member-join", "new", MEMBER_ALIVE, "ABCDEFAB-1111-1111-1111-111111111111");
	client("member-join", "older", MEMBER_LEFT, "abcdefab-1111-1111-1111-111111111111");
	client("member-join", "without", MEMBER_ALIVE, "");
	assert_string_equal(members_find_id(table, bytes_str("abcdefab-1111-1111-1111-111111111111"))->name, "new");
	assert_null(members_find_id(table, bytes_str("")));
	assert_null(members_find_id(table, bytes_str(ID_1)));
}

static void
test_nonsense(void **state)
{
	const char *none[] = {NULL};

	(void)state;
	assert_int_equal(feed("member-join", "", MEMBER_ALIVE, "10.0.0.1", none), -1);
	assert_int_equal(feed("member-join", "a", MEMBER_NONE, "10.0.0.1", none), -1);
	assert_int_equal(feed("member-join", "a", 5, "10.0.0.1", none), -1);
	assert_int_equal(take_event(table, &(struct gossip_event){.event = bytes_str("member-join")}), -1);
	assert_int_equal(members_count(table), 0);
	/* a plain serf agent */
	assert_int_equal(feed("member-join", "serf", MEMBER_ALIVE, "10.0.0.1", none), 0);
	assert_false(find("serf")->server || find("serf")->local);
	check_told("serf:0>1 ");
}

static void
test_many(void **state)
{
	char name[32];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "node-%d", i);
		client("member-join", name, MEMBER_ALIVE, "");
	}
	for (int i = 0; i < 3000; i += 2) {
		snprintf(name, sizeof name, "node-%d", i);
		client("member-reap", name, MEMBER_ALIVE, "");
	}
	assert_int_equal(members_count(table), 1500);
	for (size_t i = 0; i < members_count(table); i++)
		assert_ptr_equal(find(members_at(table, i)->name), members_at(table, i));
	assert_null(find("node-1000"));
	assert_non_null(find("node-1001"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_life, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_server, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_by_id, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

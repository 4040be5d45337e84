/*
 * catalogd_member_record_test.c - what the catalog should have of a member: judged over a store, and the entries applied to it
 */
#include "member_record.h"

#include "catalogd_fixture.h"
#include "catalogd_members_fixture.h"
#include "nodes.h"
#include "session.h"

#define ID "00000001-0000-4000-8000-000000000000" /* of server 1 */

static struct members *table;

static int
setup(void **state)
{
	table = members_new("dc1");
	members_begin(table);
	return fixture_setup(state);
}

static int
teardown(void **state)
{
	members_free(table);
	return fixture_teardown(state);
}

static enum member_action
judge_as(const char *name, enum member_status status)
{
	struct member_record w;

	region_reset(fix.region);
	w = member_record_of(members_find(table, bytes_str(name)), fix.region);
	return member_record_judge(store_read(fix.store), &w, status);
}

static enum member_action
judge(const char *name)
{
	return judge_as(name, members_find(table, bytes_str(name))->status);
}

/* Proposes and applies what judge says. */
static void
act(const char *name, enum member_action wanted)
{
	struct buf body = BUF_INIT(1u << 20);
	struct member_record w;
	enum apply_type type;

	assert_int_equal(judge(name), wanted);
	w = member_record_of(members_find(table, bytes_str(name)), fix.region);
	type = member_record_entry(store_read(fix.store), &w, wanted, "dc1", fix.region, &body);
	if (fixture_apply(type, buf_bytes(&body)) == -1)
		fail_msg("%s", fix.error);
	buf_free(&body);
	assert_int_equal(judge(name), MEMBER_IS_SO);
}

static struct health_check
health(const char *node)
{
	struct health_check c = {0};

	assert_true(nodes_find_check(store_read(fix.store), bytes_str(node), bytes_str("serfHealth"), &c));
	return c;
}

static bool
has_node(const char *name)
{
	struct node node;

	return nodes_find(store_read(fix.store), bytes_str(name), &node);
}

static void
client(const char *name, enum member_status status, const char *address, const char *id)
{
	const char *tags[] = {"role", "node", "dc", "dc1", "id", id, NULL};

	assert_int_equal(feed_member(table, "member-update", name, status, address, tags), 0);
}

static void
test_life(void **state)
{
	struct health_check c;
	struct node node;

	(void)state;
	client("c1", MEMBER_ALIVE, "10.0.1.1", ID);
	act("c1", MEMBER_TO_PASSING);
	c = health("c1");
	assert_true(bytes_is(c.status, "passing") && bytes_is(c.output, "Agent alive and reachable"));
	assert_true(bytes_is(c.name, "Serf Health Status") && c.type.size == 0);
	/* what the agent says of itself stays whatever becomes of the member */
	put("{'Node':'c1','ID':'" ID "','Address':'10.0.1.1','TaggedAddresses':{'lan':'10.0.1.1'},'NodeMeta':{'a':'b'},"
	    "'Service':{'Service':'web'}}");
	assert_int_equal(judge("c1"), MEMBER_IS_SO);
	client("c1", MEMBER_FAILED, "10.0.1.1", ID);
	act("c1", MEMBER_TO_CRITICAL);
	c = health("c1");
	assert_true(bytes_is(c.status, "critical") && bytes_is(c.output, "Agent not live or unreachable"));
	client("c1", MEMBER_ALIVE, "10.0.1.2", ID);
	act("c1", MEMBER_TO_PASSING);
	assert_true(nodes_find(store_read(fix.store), bytes_str("c1"), &node));
	assert_true(bytes_is(node.address, "10.0.1.2") && bytes_is(mp_find_str(node.meta, "a"), "b") &&
		    bytes_is(mp_find_str(node.tagged_addresses, "lan"), "10.0.1.1"));
	client("c1", MEMBER_LEAVING, "10.0.1.2", ID);
	assert_int_equal(judge("c1"), MEMBER_IS_SO);
	client("c1", MEMBER_LEFT, "10.0.1.2", ID);
	act("c1", MEMBER_TO_REMOVE);
	assert_false(has_node("c1"));
}

/* The session of a node that failed ends by the same entry. */
static void
test_session_of_the_failed(void **state)
{
	struct health_check c;

	(void)state;
	client("c1", MEMBER_ALIVE, "10.0.1.1", ID);
	act("c1", MEMBER_TO_PASSING);
	assert_int_equal(fixture_write(session_write, &session_request_schema,
			     "{'Op':'create','Session':{'Node':'c1','NodeChecks':['serfHealth']}}"),
	    0);
	client("c1", MEMBER_FAILED, "10.0.1.1", ID);
	act("c1", MEMBER_TO_CRITICAL);
	c = health("c1");
	assert_true(bytes_is(c.status, "critical"));
	{
		struct store_cursor cursor;
		size_t sessions = 0;

		for (store_scan(&cursor, store_read(fix.store), STORE_SESSIONS, bytes_of(NULL, 0));
		     store_next(&cursor);)
			sessions++;
		store_scan_end(&cursor);
		assert_int_equal(sessions, 0);
	}
}

static void
test_server(void **state)
{
	struct node_service s;

	(void)state;
	feed_server(table, 1, MEMBER_ALIVE, "grpc_tls_port", "8503");
	act("s1", MEMBER_TO_PASSING);
	assert_true(nodes_find_service(store_read(fix.store), bytes_str("s1"), bytes_str("consul"), &s));
	assert_int_equal(s.port, 8300);
	assert_true(bytes_is(mp_find_str(s.meta, "grpc_tls_port"), "8503") &&
		    bytes_is(mp_find_str(s.meta, "version"), "1.21.4") &&
		    bytes_is(mp_find_str(s.meta, "read_replica"), "false"));
	/* another version: the service says so */
	feed_server(table, 1, MEMBER_ALIVE, "read_replica", "1");
	act("s1", MEMBER_TO_PASSING);
	assert_true(nodes_find_service(store_read(fix.store), bytes_str("s1"), bytes_str("consul"), &s));
	assert_true(bytes_is(mp_find_str(s.meta, "read_replica"), "true"));
	drop("{'Node':'s1','ServiceID':'consul'}");
	act("s1", MEMBER_TO_PASSING);
}

static void
test_by_hand(void **state)
{
	(void)state;
	client("ext", MEMBER_FAILED, "10.0.1.1", ID);
	assert_int_equal(judge("ext"), MEMBER_UNKNOWN);
	put("{'Node':'ext','Address':'10.9.9.9'}");
	client("ext", MEMBER_LEFT, "10.0.1.1", ID);
	assert_int_equal(judge("ext"), MEMBER_IS_SO);
	assert_int_equal(judge_as("ext", MEMBER_NONE), MEMBER_IS_SO);
	/* an agent that had left put it there once more */
	drop("{'Node':'ext'}");
	put("{'Node':'ext','ID':'" ID "','Address':'10.0.1.1'}");
	assert_int_equal(judge("ext"), MEMBER_TO_REMOVE);
}

/* Entry and result, without asking judge again. */
static int
try_passing(const char *name)
{
	struct buf body = BUF_INIT(1u << 20);
	struct member_record w;
	enum apply_type type;
	int result;

	region_reset(fix.region);
	w = member_record_of(members_find(table, bytes_str(name)), fix.region);
	type = member_record_entry(store_read(fix.store), &w, MEMBER_TO_PASSING, "dc1", fix.region, &body);
	result = fixture_apply(type, buf_bytes(&body));
	buf_free(&body);
	return result;
}

static void
test_renamed(void **state)
{
	(void)state;
	client("c1", MEMBER_ALIVE, "10.0.1.1", ID);
	act("c1", MEMBER_TO_PASSING);
	client("c2", MEMBER_ALIVE, "10.0.1.2", server_id(2));
	act("c2", MEMBER_TO_PASSING);
	/* another node can not have the name of one that is alive */
	client("c1", MEMBER_ALIVE, "10.0.1.3", server_id(3));
	assert_int_equal(judge("c1"), MEMBER_TO_PASSING);
	assert_int_equal(try_passing("c1"), -1);
	assert_non_null(strstr(fix.error, "is reserved by node " ID));
	/* but that of one that failed; and who comes by another name takes its node along */
	client("c1", MEMBER_FAILED, "10.0.1.1", ID);
	act("c1", MEMBER_TO_CRITICAL);
	client("c1", MEMBER_ALIVE, "10.0.1.3", server_id(3));
	act("c1", MEMBER_TO_PASSING);
	client("c9", MEMBER_ALIVE, "10.0.1.2", server_id(2));
	act("c9", MEMBER_TO_PASSING);
	assert_false(has_node("c2"));
}

static void
test_orphans(void **state)
{
	(void)state;
	client("c1", MEMBER_ALIVE, "10.0.1.1", ID);
	act("c1", MEMBER_TO_PASSING);
	put("{'Node':'ext','Address':'10.9.9.9','Check':{'CheckID':'up','Name':'up','Status':'passing'}}");
	assert_false(member_record_is_orphan(store_read(fix.store), table, bytes_str("c1")));
	assert_false(member_record_is_orphan(store_read(fix.store), table, bytes_str("ext")));
	put("{'Node':'gone','Address':'10.9.9.8','Check':{'CheckID':'serfHealth','Name':'x','Status':'passing'}}");
	assert_true(member_record_is_orphan(store_read(fix.store), table, bytes_str("gone")));
}

static void
test_whom_it_concerns(void **state)
{
	const char *plain[] = {"x", "y", NULL}, *other[] = {"role", "node", "dc", "dc2", NULL},
		   *kind[] = {"role", "mixer", "dc", "dc1", NULL};

	(void)state;
	assert_int_equal(feed_member(table, "member-join", "p", MEMBER_ALIVE, "10.0.1.1", plain), 0);
	assert_int_equal(feed_member(table, "member-join", "o", MEMBER_ALIVE, "10.0.1.1", other), 0);
	assert_int_equal(feed_member(table, "member-join", "k", MEMBER_ALIVE, "10.0.1.1", kind), 0);
	client("c", MEMBER_ALIVE, "10.0.1.1", "");
	feed_server(table, 1, MEMBER_ALIVE, NULL, NULL);
	assert_false(member_record_is_due(members_find(table, bytes_str("p"))));
	assert_false(member_record_is_due(members_find(table, bytes_str("o"))));
	assert_false(member_record_is_due(members_find(table, bytes_str("k"))));
	assert_true(member_record_is_due(members_find(table, bytes_str("c"))));
	assert_true(member_record_is_due(members_find(table, bytes_str("s1"))));
}

/* ---- nodes_each ---- */

static char seen[256];

static void
see(void *ctx, const struct node *node)
{
	(void)ctx;
	snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s ", (int)node->node.size, node->node.data);
}

static void
test_nodes_in_steps(void **state)
{
	struct buf last = BUF_INIT(NODES_KEY_BYTES_MAX);

	(void)state;
	seen[0] = '\0';
	assert_false(nodes_each(store_read(fix.store), &last, 2, see, NULL));
	for (char name = 'a'; name <= 'e'; name++) {
		char json[64];

		snprintf(json, sizeof json, "{'Node':'N%c','Address':'10.0.0.1'}", name);
		put(json);
	}
	assert_true(nodes_each(store_read(fix.store), &last, 2, see, NULL));
	assert_string_equal(seen, "Na Nb ");
	/* where it stands is gone, and another one is new behind it */
	drop("{'Node':'nb'}");
	put("{'Node':'nbb','Address':'10.0.0.1'}");
	assert_true(nodes_each(store_read(fix.store), &last, 2, see, NULL));
	assert_false(nodes_each(store_read(fix.store), &last, 2, see, NULL));
	assert_string_equal(seen, "Na Nb nbb Nc Nd Ne ");
	buf_free(&last);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_life, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_session_of_the_failed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_server, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_renamed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_orphans, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_whom_it_concerns, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nodes_in_steps, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

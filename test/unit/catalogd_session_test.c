/*
 * catalogd_session_test.c - sessions: creation and its errors, what ends them and what their end does
 */
#include "session.h"

#include "catalogd_fixture.h"
#include "nodes.h"

static char id[64]; /* of the session created last */

static int
session_try(const char *json)
{
	int result;

	/* The endpoint's bounds are the configuration's. */
	struct buf args = fixture_message(&session_request_schema, json), body = BUF_INIT(1u << 20);
	struct write w = {.args = buf_bytes(&args),
	    .txn = store_read(fix.store),
	    .region = region_new(),
	    .datacenter = "dc1",
	    .node_name = "self",
	    .session_ttl_min_ns = INT64_C(10000000000),
	    .body = &body};

	result = session_write(&w);
	if (result == -1)
		snprintf(fix.error, sizeof fix.error, "%s", w.error);
	else
		result = fixture_apply(w.type, buf_bytes(&body));
	if (result == 0) {
		struct mp in = mp_of(buf_bytes(&fix.reply));

		assert_int_equal(bytes_to_str(mp_str(&in), id, sizeof id), 0);
	}
	region_free(w.region);
	buf_free(&args);
	buf_free(&body);
	return result;
}

#define CREATE(fields)                                                                                                 \
	do                                                                                                             \
		if (session_try("{'Op':'create','Session':{" fields "}}") == -1)                                       \
			fail_msg("%s", fix.error);                                                                     \
	while (0)
#define REFUSED(fields, text)                                                                                          \
	do {                                                                                                           \
		assert_int_equal(session_try("{'Op':'create','Session':{" fields "}}"), -1);                           \
		assert_string_equal(fix.error, text);                                                                  \
	} while (0)

static const char *
info(const char *session)
{
	char json[128];

	snprintf(json, sizeof json, "{'SessionID':'%s'}", session);
	return ask(session_get, &session_specific_request_schema, json, &indexed_sessions_schema);
}

static const char *
key_get(const char *key)
{
	char json[128];

	snprintf(json, sizeof json, "{'Key':'%s'}", key);
	return ask(kv_get, &key_request_schema, json, &indexed_dir_entries_schema);
}

static void
lock(const char *key, const char *session)
{
	char json[256];

	snprintf(json, sizeof json, "{'Op':'lock','DirEnt':{'Key':'%s','Value':'MQ==','Session':'%s'}}", key, session);
	assert_int_equal(fixture_write(kv_write, &kvs_request_schema, json), 0);
}

static void
nodes_make(void)
{
	put("{'Node':'n1','Address':'10.0.0.1','Check':{'Node':'n1','CheckID':'serfHealth','Name':'s','Status':'"
	    "passing'}}");
	put("{'Node':'n1','Address':'10.0.0.1','Check':{'Node':'n1','CheckID':'bad','Name':'b','Status':'critical'}}");
	put("{'Node':'n1','Address':'10.0.0.1','Service':{'ID':'web1','Service':'web'},'Check':{'Node':'n1','CheckID':'"
	    "web-up','Name':'w','Status':'passing','ServiceID':'web1'}}");
}

static void
check_set(const char *check, const char *status)
{
	char json[256];

	snprintf(json, sizeof json,
	    "{'Node':'n1','Address':'10.0.0.1','Check':{'Node':'n1','CheckID':'%s','Name':'x','Status':'%s'}}", check,
	    status);
	put(json);
}

/* Nothing of any session is left in the side tables. */
static void
assert_no_rows(void)
{
	struct store_txn *t = store_read(fix.store);

	assert_int_equal(store_count(t, STORE_SESSIONS), 0);
	assert_int_equal(store_count(t, STORE_SESSION_NODES), 0);
	assert_int_equal(store_count(t, STORE_SESSION_CHECKS), 0);
	assert_int_equal(store_count(t, STORE_SESSION_KEYS), 0);
	store_read_end(fix.store);
}

static void
test_create_and_read(void **state)
{
	char wanted[512];

	(void)state;
	nodes_make();
	CREATE("'Name':'demo','Node':'N1','LockDelay':15000000000,'TTL':'30s','NodeChecks':['serfHealth']");
	snprintf(wanted, sizeof wanted,
	    "[{'ID':'%s','Name':'demo','Node':'N1','LockDelay':15000000000,'Behavior':'release','TTL':'30s','"
	    "NodeChecks':['serfHealth'],"
	    "'ServiceChecks':null,'CreateIndex':14,'ModifyIndex':14}]",
	    id);
	assert_string_equal(info(id), wanted);
	assert_int_equal(fix.answer_index, 14);
	assert_string_equal(
	    ask(session_list, &session_specific_request_schema, "{}", &indexed_sessions_schema), wanted);
	assert_string_equal(
	    ask(session_node_sessions, &node_request_schema, "{'Node':'n1'}", &indexed_sessions_schema), wanted);
	assert_string_equal(
	    ask(session_node_sessions, &node_request_schema, "{'Node':'n'}", &indexed_sessions_schema), "[]");
	assert_string_equal(info("no such"), "[]");
	assert_true(fix.query.not_found);
	assert_int_equal(fix.answer_index, 14);
}

static void
test_errors_of_creation(void **state)
{
	(void)state;
	nodes_make();
	REFUSED("", "Must provide Node");
	REFUSED("'Node':'n1','Behavior':'foo'", "Invalid Behavior setting 'foo'");
	REFUSED("'Node':'n1','TTL':'abc'", "Session TTL 'abc' invalid: time: invalid duration \"abc\"");
	REFUSED("'Node':'n1','TTL':'9s'", "Invalid Session TTL '9000000000', must be between [10s=24h0m0s]");
	REFUSED("'Node':'n1','TTL':'25h'", "Invalid Session TTL '90000000000000', must be between [10s=24h0m0s]");
	REFUSED("'Node':'n2'", "Missing node registration");
	REFUSED("'Node':'n1','NodeChecks':['nope']", "Missing check 'nope' registration");
	REFUSED("'Node':'n1','ServiceChecks':[{'ID':'nope'}]", "Missing check 'nope' registration");
	REFUSED("'Node':'n1','NodeChecks':['serfHealth','bad']", "Check 'bad' is in critical state");
	REFUSED("'Node':'n1','NodeChecks':['']",
	    "failed check lookup: index error: object is missing a value for this index");
	assert_int_equal(session_try("{'Op':'renew','Session':{'ID':'x'}}"), -1);
	assert_string_equal(fix.error, "Invalid session operation \"renew\"");
	assert_int_equal(session_try("{'Op':'destroy','Session':{}}"), -1);
	assert_string_equal(fix.error, "Must provide ID");
	assert_no_rows();
}

static void
test_destroy_releases_and_deletes(void **state)
{
	char first[64], json[128];

	(void)state;
	nodes_make();
	CREATE("'Node':'n1'");
	strcpy(first, id);
	lock("a", first);
	lock("b", first);
	(void)info(first);
	snprintf(json, sizeof json, "{'Op':'destroy','Session':{'ID':'%s'}}", first);
	assert_int_equal(session_try(json), 0);
	assert_true(wakes());
	assert_true(touched(WATCH_KEY, bytes_str("a")));
	assert_true(touched(WATCH_KEY, bytes_str("b")));
	assert_non_null(strstr(
	    key_get("a"), "{'LockIndex':1,'Key':'a','Flags':0,'Value':'MQ==','CreateIndex':15,'ModifyIndex':17}"));
	assert_string_equal(info(first), "[]");
	assert_int_equal(session_try(json), 0); /* again: true, and nothing happens */
	assert_false(touched_anything());
	CREATE("'Node':'n1','Behavior':'delete'");
	lock("a", id);
	snprintf(json, sizeof json, "{'Op':'destroy','Session':{'ID':'%s'}}", id);
	assert_int_equal(session_try(json), 0);
	assert_string_equal(key_get("a"), "[]");
	assert_no_rows();
}

static void
test_a_bound_check_ends_it_when_critical_or_gone(void **state)
{
	(void)state;
	nodes_make();
	CREATE("'Node':'n1','NodeChecks':['serfHealth'],'LockDelay':1000000000");
	lock("a", id);
	check_set("serfHealth", "warning");
	assert_string_not_equal(info(id), "[]");
	check_set("serfHealth", "critical");
	assert_string_equal(info(id), "[]");
	assert_null(strstr(key_get("a"), "Session"));
	assert_int_equal(store_count(store_read(fix.store), STORE_LOCK_DELAYS), 1);
	check_set("serfHealth", "passing");
	CREATE("'Node':'N1','NodeChecks':['serfHealth']");
	drop("{'Node':'n1','CheckID':'serfHealth'}");
	assert_string_equal(info(id), "[]");
	assert_no_rows();
}

static void
test_a_service_or_node_takes_its_sessions_along(void **state)
{
	char with_service[64], with_node[64];

	(void)state;
	nodes_make();
	CREATE("'Node':'n1','ServiceChecks':[{'ID':'web-up'}]");
	strcpy(with_service, id);
	CREATE("'Node':'n1'");
	strcpy(with_node, id);
	drop("{'Node':'n1','ServiceID':'web1'}");
	assert_string_equal(info(with_service), "[]");
	assert_string_not_equal(info(with_node), "[]");
	drop("{'Node':'n1'}");
	assert_string_equal(info(with_node), "[]");
	assert_no_rows();
}

/* Checks of type "session" follow sessions of their name. */
static void
test_session_checks_follow(void **state)
{
	char json[128];

	(void)state;
	put("{'Node':'ext','Address':'10.0.0.9','Check':{'Node':'ext','CheckID':'lock','Name':'lock','Status':'"
	    "critical','Type':'session','Definition':{'SessionName':'boss'}}}");
	CREATE("'Node':'ext','Name':'boss','NodeChecks':['lock']");
	assert_order(ASK_NODE_CHECKS("{'Node':'ext'}"), "'Status':'passing'", "in force");
	snprintf(json, sizeof json, "{'Op':'destroy','Session':{'ID':'%s'}}", id);
	assert_int_equal(session_try(json), 0);
	assert_order(ASK_NODE_CHECKS("{'Node':'ext'}"), "'Status':'critical'", "is invalid");
	assert_no_rows();
}

static void
test_a_refused_creation_leaves_nothing(void **state)
{
	(void)state;
	nodes_make();
	(void)session_try("{'Op':'create','Session':{'Node':'n1','NodeChecks':['serfHealth','nope']}}");
	assert_false(touched_anything());
	assert_no_rows();
	assert_int_equal(store_index(store_read(fix.store), bytes_str("sessions")), 0);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_create_and_read),
	    TEST(test_errors_of_creation),
	    TEST(test_destroy_releases_and_deletes),
	    TEST(test_a_bound_check_ends_it_when_critical_or_gone),
	    TEST(test_a_service_or_node_takes_its_sessions_along),
	    TEST(test_session_checks_follow),
	    TEST(test_a_refused_creation_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

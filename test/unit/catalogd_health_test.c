/*
 * Health answers, checks in the catalog, and what they do to sessions (http-api.md 4.1, 13; http-api-kv-session.md 2.6)
 */
#include "catalogd_fixture.h"

#define ASK_SESSIONS(json) ask(session_list, &session_specific_request_schema, json, &indexed_sessions_schema)

static void
put_web(void)
{
	put("{'Node':'a1','Address':'10.0.1.1','Service':{'ID':'web1','Service':'web','Tags':['v1','blue'],'Port':80},'"
	    "Checks':["
	    "{'CheckID':'node','Name':'node up','Status':'passing'},"
	    "{'CheckID':'aweb1','Name':'web "
	    "ok','Status':'passing','ServiceID':'web1','Output':'fine'}],'NodeMeta':{'zone':'z1'}}");
	put("{'Node':'a2','Address':'10.0.1.2','Service':{'ID':'web2','Service':'web','Tags':['v2'],'Port':81},'Checks'"
	    ":["
	    "{'CheckID':'node','Status':'passing'},{'CheckID':'web2','Status':'warning','ServiceID':'web2'}]}");
	put("{'Node':'a3','Address':'10.0.1.3','Service':{'ID':'web3','Service':'web','Tags':['blue'],'Port':82},'"
	    "Checks':["
	    "{'CheckID':'node','Status':'critical'},{'CheckID':'web3','Status':'passing','ServiceID':'web3'}]}");
	put("{'Node':'a4','Address':'10.0.1.4','Service':{'ID':'web4','Service':'web','Port':83}}");
}

static void
test_element_of_health_service(void **state)
{
	uint64_t at;
	char expected[1600];

	(void)state;
	at = put("{'Node':'ext1','Address':'10.0.0.9','NodeMeta':{'external-node':'true'},'Service':{'Service':'mysql',"
		 "'Port':3306},"
		 "'Checks':[{'Name':'ping','Status':'passing','ServiceID':'MYSQL','Definition':{'TCP':'10.0.0.9:3306','"
		 "Interval':'10s'}},"
		 "{'Name':'up'}]}");
	snprintf(expected, sizeof expected,
	    "[{'Node':{'ID':'','Node':'ext1','Address':'10.0.0.9','Datacenter':'dc1','TaggedAddresses':null,"
	    "'Meta':{'external-node':'true'},'CreateIndex':%d,'ModifyIndex':%d},"
	    "'Service':{'ID':'mysql','Service':'mysql','Tags':[],'Address':'','Meta':null,'Port':3306,"
	    "'Weights':{'Passing':1,'Warning':1},'EnableTagOverride':false,'Proxy':{'Mode':'','MeshGateway':{},'Expose'"
	    ":{}},"
	    "'Connect':{},'PeerName':'','CreateIndex':%d,'ModifyIndex':%d},"
	    "'Checks':[{'Node':'ext1','CheckID':'up','Name':'up','Status':'critical','Notes':'','Output':'','ServiceID'"
	    ":'',"
	    "'ServiceName':'','ServiceTags':[],'Type':'','Interval':'','Timeout':'','ExposedPort':0,'Definition':{},"
	    "'CreateIndex':%d,'ModifyIndex':%d},"
	    "{'Node':'ext1','CheckID':'ping','Name':'ping','Status':'passing','Notes':'','Output':'','ServiceID':'"
	    "MYSQL',"
	    "'ServiceName':'mysql','ServiceTags':[],'Type':'tcp','Interval':'','Timeout':'','ExposedPort':0,"
	    "'Definition':{'Interval':'10s','TCP':'10.0.0.9:3306'},'CreateIndex':%d,'ModifyIndex':%d}]}]",
	    (int)at, (int)at, (int)at, (int)at, (int)at, (int)at, (int)at, (int)at);
	assert_string_equal(ASK_HEALTH("{'ServiceName':'MySQL'}"), expected);
	assert_int_equal(fix.answer_index, at);
}

static void
test_what_is_left_out(void **state)
{
	(void)state;
	put_web();
	/* Node checks come first, whatever their names. */
	assert_order(ASK_HEALTH("{'ServiceName':'web'}"), "'web1'", "'CheckID':'node'", "'CheckID':'aweb1'", "'web2'",
	    "'web3'", "'web4'", "'Checks':[]");
	assert_order(ASK_HEALTH("{'ServiceName':'web','HealthFilterType':2}"), "'ID':'web1'", "'ID':'web4'");
	assert_int_equal(count_of(ASK_HEALTH("{'ServiceName':'web','HealthFilterType':2}"), "'Port'"), 2);
	assert_int_equal(count_of(ASK_HEALTH("{'ServiceName':'web','HealthFilterType':1}"), "'Port'"), 3);
	assert_int_equal(
	    count_of(ASK_HEALTH("{'ServiceName':'web','TagFilter':true,'ServiceTags':['BLUE']}"), "'Port'"), 2);
	assert_int_equal(count_of(ASK_HEALTH("{'ServiceName':'web','TagFilter':true,'ServiceTag':'v2'}"), "'Port'"), 1);
	assert_int_equal(count_of(ASK_HEALTH("{'ServiceName':'web','NodeMetaFilters':{'zone':'z1'}}"), "'Port'"), 1);
	assert_int_equal(
	    count_of(ASK_HEALTH("{'ServiceName':'web','Filter':'Checks.Status != critical'}"), "'Port'"), 3);
	assert_int_equal(
	    count_of(ASK_HEALTH("{'ServiceName':'web','Filter':'Service.Proxy.Mode == `` and Node.Meta.zone == z1'}"),
		"'Port'"),
	    1);
	assert_string_equal(ASK_HEALTH("{'ServiceName':'web','PeerName':'p'}"), "[]");
	assert_null(ASK_HEALTH("{}"));
	assert_string_equal(fix.error, "Must provide service name");
	assert_null(ASK_HEALTH("{'ServiceName':'web','Filter':'Service.Port in (80)'}"));
	assert_string_equal(
	    fix.error, "Failed to create boolean expression evaluator: 1:17 (16): rule \"match\": Invalid selector");
}

static void
test_watchers_of_health_service(void **state)
{
	uint64_t last;

	(void)state;
	put_web();
	(void)ASK_HEALTH("{'ServiceName':'web'}");
	put("{'Node':'a1','SkipNodeUpdate':true,'Service':{'Service':'db'},'Check':{'Name':'d','ServiceID':'db'}}");
	assert_false(wakes());
	last = put("{'Node':'a1','SkipNodeUpdate':true,'Check':{'CheckID':'aweb1','Name':'web "
		   "ok','Status':'critical','ServiceID':'web1'}}");
	assert_true(wakes());
	assert_int_equal(count_of(ASK_HEALTH("{'ServiceName':'web','HealthFilterType':2}"), "'Port'"), 1);
	assert_int_equal(fix.answer_index, last);
	last = put("{'Node':'a2','SkipNodeUpdate':true,'Check':{'CheckID':'new','Status':'passing'}}");
	assert_true(wakes()); /* a check of the node is one of all its instances */
	(void)ASK_HEALTH("{'ServiceName':'web'}");
	assert_int_equal(fix.answer_index, last);
	last = drop("{'Node':'a2','CheckID':'new'}");
	assert_true(wakes());
	(void)ASK_HEALTH("{'ServiceName':'web'}");
	assert_int_equal(fix.answer_index, last);
	last = drop("{'Node':'a2','CheckID':'web2'}");
	(void)ASK_HEALTH("{'ServiceName':'web'}");
	assert_int_equal(fix.answer_index, last);
	last = put("{'Node':'a4','Address':'10.0.1.44'}");
	assert_true(wakes());
	(void)ASK_HEALTH("{'ServiceName':'web'}");
	assert_int_equal(fix.answer_index, last);
	/* Nothing there: the index is that of all tables, and the first instance wakes. */
	assert_string_equal(ASK_HEALTH("{'ServiceName':'none'}"), "[]");
	assert_int_equal(fix.answer_index, last);
	put("{'Node':'b','Address':'1','Service':{'Service':'None'}}");
	assert_true(wakes());
}

static void
test_a_check_that_moves_to_another_instance(void **state)
{
	uint64_t moved;

	(void)state;
	put("{'Node':'n','Address':'1','Service':{'Service':'a'},'Check':{'CheckID':'c','ServiceID':'a','Status':'"
	    "passing'}}");
	put("{'Node':'n','Address':'1','Service':{'Service':'b'}}");
	(void)ASK_HEALTH("{'ServiceName':'a'}");
	moved = put("{'Node':'n','Address':'1','Check':{'CheckID':'C','ServiceID':'b','Status':'passing'}}");
	assert_true(wakes());
	assert_order(ASK_HEALTH("{'ServiceName':'a'}"), "'Checks':[]");
	assert_int_equal(fix.answer_index, moved);
	assert_order(ASK_HEALTH("{'ServiceName':'b'}"), "'CheckID':'C'");
	assert_string_equal(ASK_CHECKS("{'ServiceName':'a'}"), "[]");
	assert_int_equal(count_of(ASK_CHECKS("{'ServiceName':'b'}"), "'CheckID'"), 1);
}

static void
test_lists_of_checks(void **state)
{
	uint64_t last;

	(void)state;
	put_web();
	last = fix.index - 1; /* the last one that had checks */
	assert_order(ASK_CHECKS("{'ServiceName':'WEB'}"), "'aweb1'", "'ServiceTags':['v1','blue']", "'web2'", "'web3'");
	assert_int_equal(count_of(ASK_CHECKS("{'ServiceName':'web'}"), "'CheckID'"), 3);
	assert_int_equal(fix.answer_index, last);
	assert_int_equal(count_of(ASK_CHECKS("{'ServiceName':'web','NodeMetaFilters':{'zone':'z1'}}"), "'CheckID'"), 1);
	assert_int_equal(fix.answer_index, last + 1);
	assert_null(ASK_CHECKS("{'ServiceName':'web','TagFilter':true}"));
	assert_string_equal(fix.error, "Tag filtering is not supported");
	(void)ASK_CHECKS("{'ServiceName':'web'}");
	put("{'Node':'a1','SkipNodeUpdate':true,'Check':{'CheckID':'node','Status':'warning'}}");
	assert_false(wakes());

	assert_order(ASK_NODE_CHECKS("{'Node':'A1'}"), "'CheckID':'aweb1'", "'CheckID':'node'");
	assert_string_equal(ASK_NODE_CHECKS("{'Node':'nobody'}"), "[]");
	assert_int_equal(fix.answer_index, fix.index);

	assert_order(ASK_STATE("{'State':'Critical'}"), "[{'Node':'a3','CheckID':'node'");
	assert_int_equal(count_of(ASK_STATE("{'State':'warning'}"), "'CheckID'"), 2);
	assert_int_equal(count_of(ASK_STATE("{'State':'any'}"), "'CheckID'"), 6);
	assert_int_equal(count_of(ASK_STATE("{'State':'any','NodeMetaFilters':{'zone':'z1'}}"), "'CheckID'"), 2);
	assert_int_equal(
	    count_of(ASK_STATE("{'State':'any','Filter':'ServiceName == web and Status != passing'}"), "'CheckID'"), 1);
	assert_string_equal(ASK_STATE("{'State':'bogus'}"), "[]");
	(void)ASK_STATE("{'State':'critical'}");
	put("{'Node':'a3','SkipNodeUpdate':true,'Check':{'CheckID':'node','Status':'passing'}}");
	assert_true(wakes());
	assert_string_equal(ASK_STATE("{'State':'critical'}"), "[]");
	put("{'Node':'a3','SkipNodeUpdate':true,'Check':{'CheckID':'odd','Status':'Excellent'}}");
	assert_false(wakes());
	assert_order(ASK_STATE("{'State':'excellent'}"), "'Status':'Excellent'");
}

/* What a check without instance says of a service is kept as sent, and found by it. */
static void
test_check_with_a_service_name_only(void **state)
{
	(void)state;
	put("{'Node':'n','Address':'1','Check':{'CheckID':'c','ServiceName':'ghost','ServiceTags':['x']}}");
	assert_order(ASK_CHECKS("{'ServiceName':'ghost'}"), "'ServiceTags':['x']");
	assert_string_equal(ASK_HEALTH("{'ServiceName':'ghost'}"), "[]");
	drop("{'Node':'n','CheckID':'c'}");
	assert_true(touched(WATCH_CHECKS, bytes_str("ghost")));
	assert_string_equal(ASK_CHECKS("{'ServiceName':'ghost'}"), "[]");
}

static void
test_derived_types(void **state)
{
	static const struct {
		const char *definition;
		const char *type;
	} rows[] = {
	    {"{'HTTP':'http://x','Interval':'1s'}", "http"},
	    {"{'HTTP':'http://x'}", ""},
	    {"{'TTL':'10s'}", "ttl"},
	    {"{'GRPC':'x:1','HTTP':'http://x','Interval':'1s'}", "grpc"},
	    {"{'UDP':'x:1','Interval':'1s'}", "udp"},
	    {"{'AliasNode':'x'}", "alias"},
	    {"{'ScriptArgs':['x'],'DockerContainerID':'d','Interval':'1s'}", "docker"},
	    {"{'ScriptArgs':['x'],'Interval':'1s'}", "script"},
	    {"{'H2PING':'x:1','Interval':'1s'}", "h2ping"},
	    {"{'OSService':'x','Interval':'1s'}", "os_service"},
	};
	char json[256], expected[64];

	(void)state;
	for (size_t i = 0; i < COUNTOF(rows); i++) {
		snprintf(json, sizeof json, "{'Node':'n','Address':'1','Check':{'Name':'c','Definition':%s}}",
		    rows[i].definition);
		put(json);
		snprintf(expected, sizeof expected, "'Type':'%s'", rows[i].type);
		assert_order(ASK_NODE_CHECKS("{'Node':'n'}"), expected);
	}
}

/* ---- sessions ---- */

static void
make_session(const char *checks)
{
	char json[256];
	struct buf body;

	snprintf(json, sizeof json,
	    "{'Op':'create','Session':{'ID':'11111111-2222-3333-4444-555555555555','Name':'s','Node':'n','Behavior':'"
	    "release','NodeChecks':%s}}",
	    checks);
	body = fixture_message(&session_request_schema, json);
	if (fixture_apply(APPLY_TYPE_SESSION, buf_bytes(&body)) == -1)
		fail_msg("%s", fix.error);
	buf_free(&body);
	assert_int_equal(count_of(ASK_SESSIONS("{}"), "'Node':'n'"), 1);
}

static void
test_sessions_end_with_their_checks(void **state)
{
	(void)state;
	put("{'Node':'n','Address':'1','Service':{'Service':'svc'},'Checks':[{'CheckID':'c','Status':'passing'},"
	    "{'CheckID':'s','ServiceID':'svc','Status':'passing'}]}");
	make_session("['c']");
	put("{'Node':'n','Address':'1','Check':{'CheckID':'c','Status':'warning'}}");
	assert_int_equal(count_of(ASK_SESSIONS("{}"), "'Node':'n'"), 1);
	put("{'Node':'n','Address':'1','Check':{'CheckID':'C','Status':'critical'}}");
	assert_string_equal(ASK_SESSIONS("{}"), "[]");
	put("{'Node':'n','Address':'1','Check':{'CheckID':'c','Status':'passing'}}");
	make_session("['C']");
	drop("{'Node':'n','CheckID':'c'}");
	assert_string_equal(ASK_SESSIONS("{}"), "[]");
	make_session("['s']");
	drop("{'Node':'n','ServiceID':'svc'}");
	assert_string_equal(ASK_SESSIONS("{}"), "[]");
	make_session("[]");
	drop("{'Node':'N'}");
	assert_string_equal(ASK_SESSIONS("{}"), "[]");
}

static void
test_checks_follow_sessions(void **state)
{
	(void)state;
	put("{'Node':'n','Address':'1','Service':{'Service':'svc'},'Checks':["
	    "{'CheckID':'lead','ServiceID':'svc','Type':'session','Definition':{'SessionName':'s'}},"
	    "{'CheckID':'else','Type':'session','Definition':{'SessionName':'t'}}]}");
	(void)ASK_HEALTH("{'ServiceName':'svc'}");
	make_session("['lead']");
	assert_order(ASK_NODE_CHECKS("{'Node':'n'}"), "'else'", "'Status':'critical'", "'lead'", "'Status':'passing'",
	    "'Output':'Session '11111111-2222-3333-4444-555555555555' in force'");
	put("{'Node':'n','Address':'1','Check':{'CheckID':'else','Status':'passing','Type':'session','Definition':{'"
	    "SessionName':'t'}}}");
	(void)ASK_HEALTH("{'ServiceName':'svc'}");
	drop("{'Node':'n','CheckID':'else'}");
	/* It follows the session, not the reverse. */
	put("{'Node':'n','Address':'1','Check':{'CheckID':'lead','ServiceID':'svc','Status':'critical','Type':'session'"
	    ",'Definition':{'SessionName':'s'}}}");
	assert_int_equal(count_of(ASK_SESSIONS("{}"), "'Node':'n'"), 1);
	put("{'Node':'n','Address':'1','Check':{'CheckID':'lead','ServiceID':'svc','Status':'passing','Type':'session',"
	    "'Definition':{'SessionName':'s'}}}");
	(void)ASK_HEALTH("{'ServiceName':'svc'}");
	{
		struct buf body = fixture_message(&session_request_schema,
		    "{'Op':'destroy','Session':{'ID':'11111111-2222-3333-4444-555555555555'}}");

		assert_int_equal(fixture_apply(APPLY_TYPE_SESSION, buf_bytes(&body)), 0);
		buf_free(&body);
	}
	assert_true(wakes());
	assert_order(ASK_NODE_CHECKS("{'Node':'n'}"), "'lead'", "'Status':'critical'",
	    "'Output':'Session '11111111-2222-3333-4444-555555555555' is invalid'");
	drop("{'Node':'n'}");
	for (enum store_table t = STORE_NODES; t < STORE_TABLE_COUNT; t++)
		assert_int_equal(store_count(store_read(fix.store), t), 0);
	store_read_end(fix.store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_element_of_health_service),
	    TEST(test_what_is_left_out),
	    TEST(test_watchers_of_health_service),
	    TEST(test_a_check_that_moves_to_another_instance),
	    TEST(test_lists_of_checks),
	    TEST(test_check_with_a_service_name_only),
	    TEST(test_derived_types),
	    TEST(test_sessions_end_with_their_checks),
	    TEST(test_checks_follow_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The catalog's records, counters and answers: registration, renaming, removal, Catalog.* (http-api.md 4.1, 9, 12; behaviour.md 9)
 */
#include "catalogd_fixture.h"
#include "select.h"

#define ID1 "40e4a748-2192-161a-0510-9bf59fe950b5"
#define ID2 "50e4a748-2192-161a-0510-9bf59fe950b5"

static void
test_node_reads_back_and_is_replaced_as_a_whole(void **state)
{
	uint64_t first, second;
	char expected[512];

	(void)state;
	first = put("{'Node':'foo','Address':'10.0.0.10'}");
	snprintf(expected, sizeof expected,
	    "{'Node':{'ID':'','Node':'foo','Address':'10.0.0.10','Datacenter':'dc1','TaggedAddresses':null,'Meta':null,"
	    "'CreateIndex':%d,'ModifyIndex':%d},'Services':{}}",
	    (int)first, (int)first);
	assert_string_equal(ASK_NODE("{'Node':'foo'}"), expected);
	assert_int_equal(fix.answer_index, first);

	second = put("{'Node':'foo','Address':'10.0.0.10','ID':'" ID1
		     "','NodeMeta':{'b':'2','a':'1'},'TaggedAddresses':{'wan':'198.51.100.10'}}");
	snprintf(expected, sizeof expected,
	    "{'Node':{'ID':'" ID1
	    "','Node':'foo','Address':'10.0.0.10','Datacenter':'dc1','TaggedAddresses':{'wan':'198.51.100.10'},"
	    "'Meta':{'a':'1','b':'2'},'CreateIndex':%d,'ModifyIndex':%d},'Services':{}}",
	    (int)first, (int)second);
	assert_string_equal(ASK_NODE("{'Node':'foo'}"), expected);
	assert_true(wakes());

	put("{'Node':'foo','Address':'10.0.0.11','NodeMeta':{'c':'3'}}");
	assert_order(
	    ASK_NODE("{'Node':'FOO'}"), "'ID':''", "'10.0.0.11'", "'TaggedAddresses':null", "'Meta':{'c':'3'}");
}

static void
test_what_is_there_already_moves_nothing(void **state)
{
	static const char request[] =
	    "{'Node':'bar','Address':'10.0.0.20','NodeMeta':{'x':'1','y':'2'},'Service':{'Service':'same','Tags':['a'],"
	    "'Meta':{'k':'v','j':'w'}},'Checks':[{'Name':'c'},{'CheckID':'s','ServiceID':'same','Status':'passing'}]}";
	static const char other_order[] = "{'Checks':[{'Name':'c','Definition':{}},{'Status':'passing','CheckID':'s','"
					  "ServiceID':'same'}],'NodeMeta':{'y':'2','x':'1'},"
					  "'Service':{'Meta':{'j':'w','k':'v'},'Service':'same','Tags':['a'],'Weights':"
					  "{'Passing':1,'Warning':1},'ID':'same'},"
					  "'Address':'10.0.0.20','Node':'bar'}";
	uint64_t first;

	(void)state;
	first = put(request);
	assert_true(touched_anything());
	for (int i = 0; i < 2; i++) {
		put(i == 0 ? request : other_order);
		assert_false(touched_anything());
		(void)ASK_NODES("{}");
		assert_int_equal(fix.answer_index, first);
		(void)ASK_SERVICES("{}");
		assert_int_equal(fix.answer_index, first);
		(void)ASK_NODE("{'Node':'bar'}");
		assert_int_equal(fix.answer_index, first);
		(void)ASK_HEALTH("{'ServiceName':'same'}");
		assert_int_equal(fix.answer_index, first);
		(void)ASK_NODE_CHECKS("{'Node':'bar'}");
		assert_int_equal(fix.answer_index, first);
	}
	/* Another spelling of the node's name alone is no change either. */
	put("{'Node':'BAR','Address':'10.0.0.20','NodeMeta':{'x':'1','y':'2'}}");
	assert_false(touched_anything());
}

/* A peer's message may have maps in any order, duplicates, and numbers in any width. */
static void
test_other_encodings_of_the_same_move_nothing(void **state)
{
	static const struct schema *const s = &register_request_schema;
	uint64_t first;

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		struct buf meta = BUF_INIT(256), service = BUF_INIT(1024), proxy = BUF_INIT(512),
			   request = BUF_INIT(4096);
		struct register_request q = {
		    .node = bytes_str("n"), .address = bytes_str("1"), .datacenter = bytes_str("dc1")};
		struct node_service ns = {.service = bytes_str("s"), .port = 5};
		struct write w = {
		    .txn = store_read(fix.store), .region = region_new(), .datacenter = "dc1", .body = &fix.json};

		mp_put_map(&meta, turn == 0 ? 2 : 3);
		if (turn == 1)
			mp_put_kv_cstr(&meta, "b", "overridden");
		mp_put_kv_cstr(&meta, turn == 0 ? "a" : "b", "x");
		mp_put_kv_cstr(&meta, turn == 0 ? "b" : "a", "x");
		mp_put_map(&proxy, 2); /* the zero value, in part */
		mp_put_kv_cstr(&proxy, "Mode", "");
		mp_put_cstr(&proxy, "Config");
		if (turn == 0) {
			buf_put(&proxy, "\x82\xa1y\x01\xa1x\x81\xa1k\x02", 10);
		} else {
			buf_put(&proxy, "\xde\x00\x02\xa1x\x81\xd9\x01k\x02\xa1y\xcd\x00\x01", 15);
		}
		q.node_meta = buf_bytes(&meta);
		ns.meta = buf_bytes(&meta);
		ns.proxy = buf_bytes(&proxy);
		schema_encode(&node_service_schema, &ns, &service);
		q.service = buf_bytes(&service);
		schema_encode(s, &q, &request);
		w.args = buf_bytes(&request);
		buf_clear(&fix.json);
		assert_int_equal(nodes_register_write(&w), 0);
		assert_int_equal(fixture_apply(w.type, buf_bytes(&fix.json)), 0);
		assert_int_equal(touched_anything(), turn == 0);
		region_free(w.region);
		buf_free(&meta);
		buf_free(&service);
		buf_free(&proxy);
		buf_free(&request);
		if (turn == 0)
			first = fix.index;
	}
	assert_order(ASK_SERVICE("{'ServiceName':'s'}"), "'NodeMeta':{'a':'x','b':'x'}",
	    "'ServiceMeta':{'a':'x','b':'x'}", "'Config':{'x':{'k':2},'y':1}");
	assert_int_equal(fix.answer_index, first);
}

static void
test_nodes_come_by_name_and_their_watchers_sleep_through_services(void **state)
{
	uint64_t last;

	(void)state;
	put("{'Node':'b','Address':'1'}");
	put("{'Node':'C','Address':'1','NodeMeta':{'rack':'1'}}");
	put("{'Node':'a','Address':'1','NodeMeta':{'rack':'1','env':'x'}}");
	assert_order(ASK_NODES("{}"), "'Node':'a'", "'Node':'b'", "'Node':'C'");
	last = put("{'Node':'a','SkipNodeUpdate':true,'Service':{'Service':'web'}}");
	assert_false(wakes());
	(void)ASK_NODES("{}");
	assert_int_equal(fix.answer_index, last); /* the counter moves all the same */
	put("{'Node':'d','Address':'1'}");
	assert_true(wakes());
	(void)ASK_NODES("{}");
	drop("{'Node':'d'}");
	assert_true(wakes());
	assert_int_equal(count_of(ASK_NODES("{'NodeMetaFilters':{'rack':'1'}}"), "'Node'"), 2);
	assert_int_equal(count_of(ASK_NODES("{'NodeMetaFilters':{'rack':'1','env':'x'}}"), "'Node'"), 1);
	assert_string_equal(ASK_NODES("{'NodeMetaFilters':{'rack':''}}"), "[]");
	assert_order(ASK_NODES("{'Filter':'Node != a'}"), "[{'ID':'','Node':'b'", "'Node':'C'");
	assert_null(ASK_NODES("{'Filter':'Nope == a'}"));
	assert_string_equal(fix.error, "Failed to create boolean expression evaluator: Selector \"Nope\" is not valid");
}

static void
test_skip_node_update_leaves_the_record(void **state)
{
	(void)state;
	put("{'Node':'foo','Address':'10.0.0.10','NodeMeta':{'a':'1'}}");
	put("{'Node':'foo','Address':'10.0.0.99','SkipNodeUpdate':true,'Service':{'Service':'late','Port':1}}");
	assert_order(ASK_NODE("{'Node':'foo'}"), "10.0.0.10", "'a':'1'", "'late'");
	/* An unknown node is made even so. */
	put("{'Node':'new','SkipNodeUpdate':true}");
	assert_order(ASK_NODE("{'Node':'new'}"), "'Address':''");
}

static void
test_known_id_under_another_name_renames(void **state)
{
	uint64_t made, renamed;

	(void)state;
	made = put("{'Node':'a','Address':'1.1.1.1','ID':'" ID1 "','Service':{'Service':'web'},'Check':{'Name':'c'}}");
	assert_non_null(ASK_NODE("{'Node':'a'}"));
	renamed = put("{'Node':'b','Address':'1.1.1.2','ID':'" ID1 "'}");
	assert_true(wakes());
	assert_string_equal(ASK_NODE("{'Node':'a'}"), "null");
	assert_int_equal(fix.answer_index, renamed); /* extinction of a node */
	assert_string_equal(ASK_SERVICE("{'ServiceName':'web'}"), "[]");
	assert_int_equal(fix.answer_index, renamed);
	assert_string_equal(ASK_NODE_CHECKS("{'Node':'a'}"), "[]");
	assert_order(ASK_NODE("{'Node':'b'}"), ID1, "'Node':'b'", "1.1.1.2");

	{
		char expected[64];

		snprintf(expected, sizeof expected, "'CreateIndex':%d,'ModifyIndex':%d", (int)made, (int)renamed);
		assert_order(ASK_NODES("{}"), expected);
	}
	/* Another ID for a known name: nothing says that the node lives, so it may. */
	put("{'Node':'b','Address':'1.1.1.3','ID':'" ID2 "'}");
	assert_string_equal(ASK_NODE("{'Node':'40e4'}"), "null");
	assert_order(ASK_NODE("{'Node':'50E4A7'}"), "'Node':'b'");
	assert_order(ASK_NODE("{'Node':'" ID2 "'}"), "'Node':'b'");
	assert_string_equal(ASK_NODE("{'Node':'5'}"), "null");
	put("{'Node':'c','Address':'1','ID':'50e4a748-2192-161a-0510-9bf59fe950b6'}");
	assert_string_equal(ASK_NODE("{'Node':'50e4'}"), "null"); /* not unique */
}

static void
test_a_living_node_keeps_its_name(void **state)
{
	(void)state;
	put("{'Node':'a','Address':'1.1.1.1','ID':'" ID1 "','Check':{'CheckID':'serfHealth','Status':'passing'}}");
	put("{'Node':'b','Address':'2.2.2.2','ID':'" ID2 "'}");
	assert_int_equal(try_register("{'Node':'A','Address':'3','ID':'60e4a748-2192-161a-0510-9bf59fe950b5'}"), -1);
	assert_string_equal(fix.error,
	    "failed inserting node: Error while renaming Node ID: \"60e4a748-2192-161a-0510-9bf59fe950b5\": "
	    "Node name A is reserved by node " ID1 " with name a (1.1.1.1)");
	assert_int_equal(try_register("{'Node':'a','Address':'3.3.3.3','ID':'" ID2 "'}"), -1);
	assert_string_equal(fix.error, "failed inserting node: Error while renaming Node ID: \"" ID2
				       "\" (3.3.3.3): Node name a is reserved by node " ID1 " with name a (1.1.1.1)");
	assert_order(ASK_NODE("{'Node':'b'}"), "2.2.2.2"); /* nothing has happened */
	put("{'Node':'a','SkipNodeUpdate':true,'Check':{'CheckID':'serfHealth','Status':'critical'}}");
	put("{'Node':'a','Address':'3.3.3.3','ID':'" ID2 "'}");
	assert_string_equal(ASK_NODE("{'Node':'b'}"), "null");
	assert_order(ASK_NODE("{'Node':'a'}"), ID2);
	/* A node without ID may be given one, alive or not. */
	put("{'Node':'x','Address':'1','Check':{'CheckID':'serfHealth','Status':'passing'}}");
	put("{'Node':'x','Address':'1','ID':'" ID1 "'}");
	assert_order(ASK_NODE("{'Node':'" ID1 "'}"), "'Node':'x'");
}

static void
test_refused_before_the_log(void **state)
{
	static const struct {
		const char *json;
		const char *text;
	} rows[] = {
	    {"{}", "Must provide node"},
	    {"{'Node':'x'}", "Must provide address if SkipNodeUpdate is not set"},
	    {"{'Node':'x','Address':'1','ID':'not-a-uuid'}", "Bad node ID: uuid string is wrong length"},
	    {"{'Node':'x','Address':'1','ID':'Z0e4a748-2192-161a-0510-9bf59fe950b5'}",
		"Bad node ID: encoding/hex: invalid byte: U+005A 'Z'"},
	    {"{'Node':'x','Address':'1','ID':'40e4a748+2192-161a-0510-9bf59fe950b5'}",
		"Bad node ID: uuid is improperly formatted"},
	    {"{'Node':'x','Address':'1','PeerName':'p'}", "cannot register requests with PeerName in them"},
	    {"{'Node':'x','Address':'1','Service':{}}", "Must provide service name (Service.Service)"},
	    {"{'Node':'x','Address':'1','Service':{'ID':'a'}}",
		"Must provide service name (Service.Service) when service ID is provided"},
	    {"{'Node':'x','Address':'1','Service':{'Service':'a','Address':'0.0.0.0'}}", "Invalid service address"},
	    {"{'Node':'x','Address':'1','Service':{'Service':'a','Address':'::'}}", "Invalid service address"},
	    {"{'Node':'x','Address':'1','Service':{'Service':'p','Kind':'connect-proxy','Connect':{'Native':true}}}",
		"4 errors occurred:\n\t* Port or SocketPath must be set for a connect-proxy\n\t* "
		"Proxy.DestinationServiceName must be "
		"non-empty for Connect proxy services\n\t* A Proxy cannot also be Connect Native, only typical "
		"services\n\t* Port or "
		"SocketPath must be set for a Connect native service.\n\n"},
	    {"{'Node':'x','Address':'1','Service':{'Service':'p','Locality':{'Zone':'z'}}}",
		"1 error occurred:\n\t* zone cannot be set without region\n\n"},
	    {"{'Node':'x','Address':'1','Service':{'Service':'p','Kind':'connect-proxy','Port':1,'Proxy':{'"
	     "DestinationServiceName':'w',"
	     "'Upstreams':[{'DestinationName':'u','LocalBindPort':1},{'DestinationName':'u','LocalBindPort':2},"
	     "{'DestinationName':'v','LocalBindPort':1},{'DestinationName':'','LocalBindPort':3},{'DestinationName':'q'"
	     "}]}}}",
		"4 errors occurred:\n\t* upstreams cannot contain duplicates of [type=\"service\", name=\"u\", "
		"partition=\"\", namespace=\"\", "
		"peer=\"\", datacenter=\"\"]\n\t* upstreams cannot contain duplicates by local bind address and port "
		"or unix path; "
		"\"127.0.0.1:1\" is specified twice\n\t* upstream destination name cannot be empty\n\t* upstream local "
		"bind port or local "
		"socket path must be defined and nonzero\n\n"},
	    {"{'Node':'x','Address':'1','Service':{'Service':'m','Kind':'mesh-gateway','Proxy':{'LocalServicePort':4}}"
	     "}",
		"2 errors occurred:\n\t* Port must be non-zero for a mesh-gateway\n\t* The Proxy.LocalServicePort "
		"configuration is invalid "
		"for a mesh-gateway\n\n"},
	    {"{'Node':'x','Address':'1','Check':{'Name':'single','ServiceID':'nosuch'}}",
		"Unknown service ID 'nosuch' for check ID 'single'"},
	    {"{'Node':'x','Address':'1','Check':{'Node':'other','Name':'y'}}",
		"Node 'other' for check 'y' doesn't match register request node 'x'"},
	    {"{'Node':'x','Address':'1','Check':{'Status':'passing'}}",
		"failed inserting check on node \"x\": failed health check lookup: index error: object is missing a "
		"value for this index"},
	    {"{'Node':'x','Address':'1','Service':{'Service':'s','Meta':{'a b':'c'}}}",
		"failed inserting service: Invalid Service Meta for node x and serviceID s: Couldn't load metadata "
		"pair ('a b', 'c'): Key "
		"contains invalid characters"},
	    {"{'Node':'x','Address':'1','Service':{'Service':'s','Meta':{'consul-x':'c'}}}",
		"failed inserting service: Invalid Service Meta for node x and serviceID s: Couldn't load metadata "
		"pair ('consul-x', 'c'): "
		"Key prefix 'consul-' is reserved for internal use"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(rows); i++) {
		assert_int_equal(try_register(rows[i].json), -1);
		assert_string_equal(fix.error, rows[i].text);
		assert_string_equal(ASK_NODES("{}"), "[]"); /* not even its node */
	}
	assert_int_equal(fixture_write(nodes_deregister_write, &deregister_request_schema, "{'ServiceID':'x'}"), -1);
	assert_string_equal(fix.error, "Must provide node");
}

static void
test_refused_entry_changes_nothing(void **state)
{
	struct buf body;

	(void)state;
	/* The endpoint saw a service that is gone when the entry is applied. */
	body = fixture_message(&register_request_schema,
	    "{'Node':'x','Address':'1','Datacenter':'dc1','Service':{'ID':'s','Service':'s'},"
	    "'Checks':[{'Node':'x','CheckID':'c','ServiceID':'gone'}]}");
	assert_int_equal(fixture_apply(APPLY_TYPE_REGISTER, buf_bytes(&body)), -1);
	assert_string_equal(fix.error, "failed inserting check on node \"x\": Missing service registration");
	buf_free(&body);
	assert_string_equal(ASK_NODES("{}"), "[]");
	assert_string_equal(ASK_SERVICES("{}"), "{}");
}

/* Clients of the reference show these as they come: an instance without tags and meta has empty ones, not none. */
static void
test_instance_without_meta(void **state)
{
	const struct node n = {.node = bytes_str("x")};
	const struct bytes none[] = {bytes_of(NULL, 0), bytes_str("\xc0"), bytes_str("\x80")};
	struct node_service s = {.id = bytes_str("web")};
	struct buf out = BUF_INIT(4096);
	struct mp value;

	(void)state;
	for (size_t i = 0; i < COUNTOF(none); i++) {
		buf_clear(&out);
		s.meta = none[i];
		select_put_service_node(&out, &n, &s);
		assert_true(mp_find(mp_of(buf_bytes(&out)), "ServiceMeta", &value));
		assert_int_equal(mp_peek(&value), MP_MAP);
		assert_int_equal(mp_map(&value), 0);
	}
	s.meta = bytes_str("\x81\xa1k\xa1v");
	buf_clear(&out);
	select_put_service_node(&out, &n, &s);
	assert_true(bytes_equal(mp_find_raw(buf_bytes(&out), "ServiceMeta"), s.meta));
	buf_free(&out);
}

static void
test_instances_of_a_name(void **state)
{
	uint64_t first, second, gone;
	char expected[1024];

	(void)state;
	put("{'Node':'x','Address':'9','Service':{'Service':'other'}}");
	assert_string_equal(ASK_SERVICE("{'ServiceName':'web'}"), "[]");
	assert_int_equal(fix.answer_index, fix.index);
	first = put("{'Node':'b','Address':'10.0.0.2','Service':{'ID':'w2','Service':'web','Tags':['blue'],'Port':80,"
		    "'Weights':{'Passing':-1,'Warning':7}}}");
	assert_true(wakes());
	snprintf(expected, sizeof expected,
	    "[{'ID':'','Node':'b','Address':'10.0.0.2','Datacenter':'dc1','TaggedAddresses':null,'NodeMeta':null,'"
	    "ServiceKind':'',"
	    "'ServiceID':'w2','ServiceName':'web','ServiceTags':['blue'],'ServiceAddress':'','ServiceWeights':{'"
	    "Passing':1,'Warning':1},"
	    "'ServiceMeta':{},'ServicePort':80,'ServiceSocketPath':'','ServiceEnableTagOverride':false,"
	    "'ServiceProxy':{'Mode':'','MeshGateway':{},'Expose':{}},'ServiceConnect':{},'ServiceLocality':null,"
	    "'CreateIndex':%d,'ModifyIndex':%d}]",
	    (int)first, (int)first);
	assert_string_equal(ASK_SERVICE("{'ServiceName':'WEB'}"), expected);
	put("{'Node':'x','Address':'9','Service':{'Service':'another'}}");
	assert_false(wakes());
	second = put("{'Node':'a','Address':'10.0.0.1','NodeMeta':{'rack':'1'},'Service':{'ID':'w1','Service':'web','"
		     "Tags':['red','Blue']}}");
	assert_true(wakes());
	assert_order(ASK_SERVICE("{'ServiceName':'web'}"), "'ServiceID':'w1'", "'ServiceID':'w2'");
	assert_int_equal(fix.answer_index, second);
	assert_int_equal(
	    count_of(ASK_SERVICE("{'ServiceName':'web','TagFilter':true,'ServiceTags':['BLUE']}"), "'ServiceID'"), 2);
	assert_int_equal(
	    count_of(ASK_SERVICE("{'ServiceName':'web','TagFilter':true,'ServiceTags':['blue','red']}"), "'ServiceID'"),
	    1);
	assert_string_equal(ASK_SERVICE("{'ServiceName':'web','TagFilter':true,'ServiceTags':['']}"), "[]");
	assert_int_equal(fix.answer_index, second); /* whatever a filter leaves over */
	assert_order(ASK_SERVICE("{'ServiceName':'web','NodeMetaFilters':{'rack':'1'}}"), "'w1'");
	assert_order(ASK_SERVICE("{'ServiceName':'web','Filter':'ServicePort == 80'}"), "'w2'");
	assert_order(ASK_SERVICE("{'ServiceAddress':'10.0.0.2'}"), "'w2'");
	assert_null(ASK_SERVICE("{}"));
	assert_string_equal(fix.error, "Must provide service name");

	(void)ASK_SERVICE("{'ServiceName':'web'}");
	put("{'Node':'b','Address':'10.0.0.22'}");
	assert_true(wakes()); /* the node's record is part of the answer */
	drop("{'Node':'b','ServiceID':'W2'}");
	(void)ASK_SERVICE("{'ServiceName':'web'}");
	assert_int_equal(fix.answer_index, fix.index);
	gone = drop("{'Node':'a'}");
	assert_true(wakes());
	put("{'Node':'x','Address':'9','Service':{'Service':'third'}}");
	assert_string_equal(ASK_SERVICE("{'ServiceName':'web'}"), "[]");
	assert_int_equal(fix.answer_index, gone); /* extinction of a service */
	assert_string_equal(ASK_SERVICE("{'ServiceName':'never'}"), "[]");
	assert_int_equal(fix.answer_index, gone);
}

static void
test_renamed_instance_leaves_the_old_name_asleep(void **state)
{
	uint64_t was, is;

	(void)state;
	was = put("{'Node':'a','Address':'1','Service':{'ID':'i','Service':'old'}}");
	(void)ASK_SERVICE("{'ServiceName':'old'}");
	is = put("{'Node':'a','Address':'1','Service':{'ID':'I','Service':'new'}}");
	assert_false(wakes());
	assert_true(touched(WATCH_HEALTH, bytes_str("old")));
	assert_true(touched(WATCH_HEALTH, bytes_str("new")));
	assert_string_equal(ASK_SERVICE("{'ServiceName':'old'}"), "[]");
	assert_int_equal(fix.answer_index, was);
	assert_string_equal(ASK_HEALTH("{'ServiceName':'old'}"), "[]");
	assert_int_equal(fix.answer_index, is);                                /* its watcher must see that */
	assert_order(ASK_SERVICE("{'ServiceName':'new'}"), "'ServiceID':'I'"); /* the newer spelling */
	assert_string_equal(ASK_SERVICES("{}"), "{'new':[]}");
	assert_int_equal(count_of(ASK_NODE("{'Node':'a'}"), "'Service':"), 1);
}

static void
test_services_and_their_tags(void **state)
{
	uint64_t last;

	(void)state;
	assert_string_equal(ASK_SERVICES("{}"), "{}");
	put("{'Node':'a','Address':'1','NodeMeta':{'r':'1'},'Service':{'ID':'1','Service':'web','Tags':['x','y','x']}"
	    "}");
	put("{'Node':'a','Address':'1','NodeMeta':{'r':'1'},'Service':{'ID':'2','Service':'web','Tags':['y','','z']}}");
	last = put("{'Node':'b','Address':'1','Service':{'Service':'db'}}");
	assert_string_equal(ASK_SERVICES("{}"), "{'db':[],'web':['','x','y','z']}");
	assert_int_equal(fix.answer_index, last);
	assert_string_equal(ASK_SERVICES("{'NodeMetaFilters':{'r':'1'}}"), "{'web':['','x','y','z']}");
	assert_string_equal(ASK_SERVICES("{'Filter':'ServiceID == 1'}"), "{'web':['x','y']}");
	put("{'Node':'a','SkipNodeUpdate':true,'Service':{'ID':'1','Service':'web','Tags':['y','n']}}");
	assert_string_equal(ASK_SERVICES("{}"), "{'db':[],'web':['','n','y','z']}");
	drop("{'Node':'a','ServiceID':'2'}");
	assert_true(wakes());
	assert_string_equal(ASK_SERVICES("{}"), "{'db':[],'web':['n','y']}");
	drop("{'Node':'a'}");
	assert_string_equal(ASK_SERVICES("{}"), "{'db':[]}");
	put("{'Node':'b','Address':'2'}");
	assert_false(wakes());
}

static void
test_services_of_a_node(void **state)
{
	uint64_t last;

	(void)state;
	put("{'Node':'a','Address':'1'}");
	assert_order(ASK_NODE_LIST("{'Node':'a'}"), "'Node':'a'", "'Services':null");
	assert_order(ASK_NODE_LIST("{'Node':'a','Filter':'Port == 1'}"), "'Node':'a'", "'Services':[]");
	assert_string_equal(ASK_NODE_LIST("{'Node':'none'}"), "{'Node':null,'Services':null}");
	assert_int_equal(fix.answer_index, 0);
	put("{'Node':'a','Address':'1','Service':{'ID':'B','Service':'web','Port':1}}");
	last = put("{'Node':'a','Address':'1','Service':{'ID':'a','Service':'web','Port':2}}");
	assert_order(ASK_NODE_LIST("{'Node':'a'}"), "[{'ID':'a'", "{'ID':'B'");
	put("{'Node':'a','Address':'1','Check':{'Name':'c'}}");
	assert_false(wakes());
	put("{'Node':'b','Address':'1','Service':{'Service':'web'}}");
	assert_false(wakes());
	assert_order(ASK_NODE("{'Node':'a','Filter':'Port == 2'}"), "'Services':{'a':{'ID':'a'");
	assert_int_equal(count_of(ASK_NODE("{'Node':'a','Filter':'Port == 2'}"), "'Service':"), 1);
	assert_int_equal(fix.answer_index, last);
	drop("{'Node':'a','ServiceID':'b'}");
	assert_true(wakes());
	(void)ASK_NODE("{'Node':'a'}");
	assert_int_equal(fix.answer_index, fix.index);
	assert_null(ASK_NODE("{}"));
	assert_string_equal(fix.error, "Must provide node");
}

static void
test_removal_takes_everything_along(void **state)
{
	uint64_t gone;

	(void)state;
	put("{'Node':'a','Address':'1','ID':'" ID1 "','Service':{'Service':'web','Tags':['t']},"
	    "'Checks':[{'Name':'n'},{'Name':'s','ServiceID':'web'}]}");
	drop("{'Node':'a','ServiceID':'nope'}");
	drop("{'Node':'a','CheckID':'nope'}");
	drop("{'Node':'nope'}");
	assert_false(touched_anything());
	gone = drop("{'Node':'a'}");
	assert_string_equal(ASK_NODES("{}"), "[]");
	assert_int_equal(fix.answer_index, gone);
	assert_string_equal(ASK_NODE("{'Node':'" ID1 "'}"), "null");
	assert_string_equal(ASK_SERVICES("{}"), "{}");
	assert_int_equal(fix.answer_index, gone);
	assert_string_equal(ASK_STATE("{'State':'any'}"), "[]");
	assert_int_equal(fix.answer_index, gone);
	/* Not one key is left behind. */
	for (enum store_table t = STORE_SESSIONS; t < STORE_TABLE_COUNT; t++)
		assert_int_equal(store_count(store_read(fix.store), t), 0);
	store_read_end(fix.store);
}

static void
test_removed_node_check_does_not_move_nodes(void **state)
{
	uint64_t made, dropped;

	(void)state;
	made = put("{'Node':'bar','Address':'1','Check':{'CheckID':'two','Name':'two'}}");
	dropped = drop("{'Node':'bar','CheckID':'TWO'}");
	assert_string_equal(ASK_NODE_CHECKS("{'Node':'bar'}"), "[]");
	assert_int_equal(fix.answer_index, dropped);
	(void)ASK_NODES("{}");
	assert_int_equal(fix.answer_index, made);
}

static void
test_mesh_endpoints(void **state)
{
	uint64_t last;

	(void)state;
	put("{'Node':'a','Address':'1','Service':{'Service':'web'}}");
	assert_string_equal(ASK_SERVICE("{'ServiceName':'web','Connect':true}"), "[]");
	last = put("{'Node':'a','Address':'1','Service':{'Service':'web-proxy','Kind':'connect-proxy','Port':1,"
		   "'Proxy':{'DestinationServiceName':'Web','Config':{'b':1,'a':{'y':2,'x':[3]}}}}}");
	assert_true(wakes());
	assert_order(ASK_SERVICE("{'ServiceName':'web','Connect':true}"), "'ServiceKind':'connect-proxy'",
	    "'Config':{'a':{'x':[3],'y':2},'b':1}");
	put("{'Node':'b','Address':'2','Service':{'Service':'api','Port':2,'Connect':{'Native':true}}}");
	assert_order(ASK_SERVICE("{'ServiceName':'api','Connect':true}"), "'ServiceConnect':{'Native':true}");
	(void)ASK_HEALTH("{'ServiceName':'web','Connect':true}");
	assert_int_equal(fix.answer_index, last);
	put("{'Node':'a','SkipNodeUpdate':true,'Check':{'Name':'n'}}");
	assert_true(wakes());
	(void)ASK_HEALTH("{'ServiceName':'web','Connect':true}");
	assert_int_equal(fix.answer_index, fix.index);
	drop("{'Node':'a','ServiceID':'web-proxy'}");
	assert_true(wakes());
	assert_string_equal(ASK_HEALTH("{'ServiceName':'web','Connect':true}"), "[]");
	assert_string_equal(ASK_HEALTH("{'ServiceName':'web','Ingress':true}"), "[]");
	assert_int_equal(fix.answer_index, 1);
}

static void
test_dump_for_the_ui(void **state)
{
	(void)state;
	put("{'Node':'a','Address':'1','NodeMeta':{'z':'b'},'Service':{'Service':'web'},'Checks':[{'Name':'n'},{'Name':"
	    "'s','ServiceID':'web'}]}");
	put("{'Node':'b','Address':'2'}");
	assert_order(ASK_DUMP("{}"), "[{'ID':'','Node':'a','Address':'1'", "'Services':[{'ID':'web'",
	    "'Checks':[{'Node':'a','CheckID':'n'", "'CheckID':'s'", "'Node':'b'", "'Services':[],'Checks':[]}]");
	assert_int_equal(fix.answer_index, fix.index);
	assert_order(
	    ASK_SERVICE_DUMP("{}"), "[{'Node':{'ID':'','Node':'a'", "'ID':'web'", "'CheckID':'n'", "'CheckID':'s'");
	assert_string_equal(ASK_SERVICE_DUMP("{'UseServiceKind':true,'ServiceKind':'mesh-gateway'}"), "[]");
	assert_string_equal(ASK_SERVICE_DUMP("{'Filter':'Service.Service == db'}"), "[]");
	assert_string_equal(ASK_SERVICE_LIST("{}"), "[{'Name':'web'}]");
	assert_order(ASK_INFO("{'Node':'A'}"), "[{'ID':'','Node':'a'");
	assert_string_equal(ASK_INFO("{'Node':'c'}"), "[]");
	assert_int_equal(count_of(ASK_DUMP("{'Filter':'Meta.z == b'}"), "'Address':'1'"), 1);
}

static void
test_many_instances_on_one_node(void **state)
{
	char json[160];

	(void)state;
	for (int i = 0; i < 300; i++) {
		snprintf(json, sizeof json,
		    "{'Node':'a','Address':'1','Service':{'ID':'i%03d','Service':'web'},'Check':{'CheckID':'c%03d','"
		    "ServiceID':'i%03d'}}",
		    i, i, i);
		put(json);
	}
	assert_int_equal(count_of(ASK_HEALTH("{'ServiceName':'web'}"), "'CheckID'"), 300);
	assert_int_equal(count_of(ASK_SERVICE("{'ServiceName':'web'}"), "'ServiceID'"), 300);
	drop("{'Node':'a'}");
	assert_string_equal(ASK_HEALTH("{'ServiceName':'web'}"), "[]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_node_reads_back_and_is_replaced_as_a_whole),
	    TEST(test_what_is_there_already_moves_nothing),
	    TEST(test_other_encodings_of_the_same_move_nothing),
	    TEST(test_nodes_come_by_name_and_their_watchers_sleep_through_services),
	    TEST(test_skip_node_update_leaves_the_record),
	    TEST(test_known_id_under_another_name_renames),
	    TEST(test_a_living_node_keeps_its_name),
	    TEST(test_refused_before_the_log),
	    TEST(test_refused_entry_changes_nothing),
	    TEST(test_instance_without_meta),
	    TEST(test_instances_of_a_name),
	    TEST(test_renamed_instance_leaves_the_old_name_asleep),
	    TEST(test_services_and_their_tags),
	    TEST(test_services_of_a_node),
	    TEST(test_removal_takes_everything_along),
	    TEST(test_removed_node_check_does_not_move_nodes),
	    TEST(test_mesh_endpoints),
	    TEST(test_dump_for_the_ui),
	    TEST(test_many_instances_on_one_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Random registrations and removals, from a seed. After each entry, for every query asked before it: if its answer is another one now, then
 * what it watches was touched and its index has grown (a parked client would have been told); if the entry changed nothing, nothing was
 * touched; and what the answer said it depends on (page.h) must not hold any more, if answer or index are others. At the end everything is removed and no key may be left.
 *
 *	catalogd_catalog_sim [seed [entries]]
 */
#include "../unit/catalogd_fixture.h"

static uint64_t seed_state;

static unsigned
roll(unsigned sides)
{
	seed_state ^= seed_state << 13;
	seed_state ^= seed_state >> 7;
	seed_state ^= seed_state << 17;
	return (unsigned)((seed_state >> 11) % sides);
}

static const char *
one_of(const char *const *list, unsigned count)
{
	return list[roll(count)];
}
#define ONE_OF(...) one_of((const char *const[]){__VA_ARGS__}, COUNTOF(((const char *const[]){__VA_ARGS__})))

#define NODE ONE_OF("a", "b", "B", "c")
#define NODE_ID ONE_OF("40e4a748-2192-161a-0510-9bf59fe950b5", "50e4a748-2192-161a-0510-9bf59fe950b5", "", "")
#define SERVICE_ID ONE_OF("s1", "s2", "S2", "s3")
#define CHECK_ID ONE_OF("c1", "c2", "C2", "serfHealth")
#define SERVICE_NAME ONE_OF("web", "WEB", "db", "api")

static void
put_service(struct buf *json)
{
	buf_printf(json, ",'Service':{'ID':'%s','Service':'%s','Tags':[%s],'Port':%u", SERVICE_ID, SERVICE_NAME,
	    ONE_OF("", "'x'", "'x','y'", "'y','y'"), 1 + roll(2));
	switch (roll(4)) {
	case 0:
		buf_printf(json, ",'Kind':'connect-proxy','Proxy':{'DestinationServiceName':'%s'}", SERVICE_NAME);
		break;
	case 1:
		buf_printf(json, ",'Connect':{'Native':true}");
		break;
	}
	buf_printf(json, "}");
}

static void
put_check(struct buf *json)
{
	buf_printf(json, "{'CheckID':'%s','Status':'%s','Output':'%u'", CHECK_ID,
	    ONE_OF("passing", "warning", "critical", ""), roll(2));
	switch (roll(4)) {
	case 0:
	case 1:
		buf_printf(json, ",'ServiceID':'%s'", SERVICE_ID);
		break;
	case 2:
		if (roll(3) == 0)
			buf_printf(json, ",'ServiceName':'%s'", SERVICE_NAME);
		break;
	}
	if (roll(6) == 0)
		buf_printf(json, ",'Type':'session','Definition':{'SessionName':'s%u'}", roll(2));
	buf_printf(json, "}");
}

/* One random entry. */
static void
step(void)
{
	struct buf json = BUF_INIT(4096);
	const char *text;

	if (roll(5) == 0) {
		buf_printf(&json, "{'Node':'%s'", NODE);
		switch (roll(5)) {
		case 0:
		case 1:
			buf_printf(&json, ",'ServiceID':'%s'", SERVICE_ID);
			break;
		case 2:
		case 3:
			buf_printf(&json, ",'CheckID':'%s'", CHECK_ID);
			break;
		}
		buf_put_str(&json, "}");
		buf_put_u8(&json, 0);
		drop((const char *)json.data);
		buf_free(&json);
		return;
	}
	buf_printf(&json, "{'Node':'%s','Address':'%u','ID':'%s'", NODE, roll(2), NODE_ID);
	text = ONE_OF("", ",'NodeMeta':{'m':'1'}", ",'SkipNodeUpdate':true", ",'SkipNodeUpdate':true");
	buf_put_str(&json, text);
	if (roll(2) == 0)
		put_service(&json);
	if (roll(2) == 0) {
		buf_put_str(&json, ",'Checks':[");
		put_check(&json);
		if (roll(2) == 0) {
			buf_put_str(&json, ",");
			put_check(&json);
		}
		buf_put_str(&json, "]");
	}
	buf_put_str(&json, "}");
	buf_put_u8(&json, 0);
	if (try_register((const char *)json.data) == -1)
		buf_clear(&fix.apply.touched); /* refused, here or in apply: nobody is told */
	buf_free(&json);
}

/* Random sessions, for checks that follow them. */
static void
step_session(unsigned turn)
{
	bool create = roll(2) == 0;
	char json[256];
	struct buf body;

	snprintf(json, sizeof json,
	    create ? "{'Op':'create','Session':{'ID':'11111111-2222-3333-4444-%012u','Name':'s%u','Node':'%s','"
		     "Behavior':'delete','NodeChecks':%s}}"
		   : "{'Op':'destroy','Session':{'ID':'11111111-2222-3333-4444-%012u'}}",
	    create ? turn : turn - roll(50), roll(2), NODE,
	    ONE_OF("[]", "['c1']", "['c2']")); /* IDs are never used again */
	body = fixture_message(&session_request_schema, json);
	if (fixture_apply(APPLY_TYPE_SESSION, buf_bytes(&body)) == -1)
		buf_clear(&fix.apply.touched);
	buf_free(&body);
}

struct question {
	query_fn *endpoint;
	const struct schema *args;
	const char *json;
	const struct schema *reply;
	bool index_may_lag; /* http-api.md 4.1: the index is another name's, or the old name's counter stays */
	bool may_sleep;     /* likewise: an instance that goes to another name does not wake */
	/* as it was before the entry */
	char *answer;
	uint64_t index;
	struct query query;
	struct page_claim claim;
	bool claimed;
	struct region *region;
};

static struct question questions[] = {
    {catalog_list_nodes, &dc_request_schema, "{}", &indexed_nodes_schema, false, false},
    {catalog_list_services, &dc_request_schema, "{}", &indexed_services_schema, false, false},
    {catalog_list_services, &dc_request_schema, "{'NodeMetaFilters':{'m':'1'}}", &indexed_services_schema, false,
	false},
    {catalog_service_nodes, &service_request_schema, "{'ServiceName':'web'}", &indexed_service_nodes_schema, true,
	true},
    {catalog_service_nodes, &service_request_schema, "{'ServiceName':'db','Connect':true}",
	&indexed_service_nodes_schema, true, false},
    {catalog_service_nodes, &service_request_schema, "{'ServiceAddress':'1'}", &indexed_service_nodes_schema, false,
	false},
    {catalog_node_services, &node_request_schema, "{'Node':'a'}", &indexed_node_services_schema, false, false},
    {catalog_node_services, &node_request_schema, "{'Node':'40e4'}", &indexed_node_services_schema, true, false},
    {catalog_node_service_list, &node_request_schema, "{'Node':'b'}", &indexed_node_service_list_schema, false, false},
    {health_service_nodes, &service_request_schema, "{'ServiceName':'web'}", &indexed_check_service_nodes_schema, false,
	false},
    {health_service_nodes, &service_request_schema, "{'ServiceName':'db','HealthFilterType':2}",
	&indexed_check_service_nodes_schema, false, false},
    {health_service_nodes, &service_request_schema, "{'ServiceName':'web','Connect':true}",
	&indexed_check_service_nodes_schema, true, false},
    {health_node_checks, &node_request_schema, "{'Node':'b'}", &indexed_health_checks_schema, false, false},
    {health_service_checks, &service_request_schema, "{'ServiceName':'web'}", &indexed_health_checks_schema, false,
	false},
    {health_service_checks, &service_request_schema, "{'ServiceName':'db','NodeMetaFilters':{'m':'1'}}",
	&indexed_health_checks_schema, true, false},
    {health_checks_in_state, &state_request_schema, "{'State':'critical'}", &indexed_health_checks_schema, false,
	false},
    {health_checks_in_state, &state_request_schema, "{'State':'any'}", &indexed_health_checks_schema, false, false},
    {catalog_list_services, &dc_request_schema, "{'Filter':'Address == `1`'}", &indexed_services_schema, true, true},
    {catalog_list_services, &dc_request_schema, "{'NodeMetaFilters':{'m':'1'},'Filter':'ServiceTags contains `x`'}",
	&indexed_services_schema, true, false},
    {catalog_service_nodes, &service_request_schema, "{'ServiceName':'db','Filter':'NodeMeta.m == `1`'}",
	&indexed_service_nodes_schema, true, true},
    {health_service_nodes, &service_request_schema, "{'ServiceName':'api','Filter':'Node.Meta.m == `1`'}",
	&indexed_check_service_nodes_schema, true, false},
    {session_list, &dc_request_schema, "{}", &indexed_sessions_schema, false, false},
    {session_node_sessions, &node_request_schema, "{'Node':'a'}", &indexed_sessions_schema, false, false},
    {internal_node_info, &node_request_schema, "{'Node':'c'}", &indexed_node_dump_schema, false, false},
    {internal_node_dump, &dc_request_schema, "{}", &indexed_node_dump_schema, false, false},
    {internal_service_dump, &service_dump_request_schema, "{}", &indexed_nodes_with_gateways_schema, false, false},
};

static void
put_question(struct question *q)
{
	const char *answer;
	struct region *region = fix.region;

	if (q->region == NULL)
		q->region = region_new();
	fix.region = q->region; /* its watches live as long as it does */
	answer = ask(q->endpoint, q->args, q->json, q->reply);
	fix.region = region;
	assert_non_null(answer);
	free(q->answer);
	q->answer = xstrdup(answer);
	q->index = fix.answer_index;
	q->query = fix.query;
	q->claim = fix.claim;
	q->claimed = fix.claimed;
}

/* How often an answer that was kept could be given again, and how often it could not although it was the same. */
static unsigned long kept, dropped;

static void
judge(struct question *q, unsigned turn, bool anything)
{
	char *was = xstrdup(q->answer);
	uint64_t was_index = q->index;
	struct query was_query = q->query;
	bool woken, held = q->claimed && page_holds(fix.page, &q->claim, NULL);

	fix.query = was_query;
	woken = wakes();
	put_question(q);
	if (strcmp(was, q->answer) != 0) {
		if (!anything)
			fail_msg(
			    "entry %u: %s has changed, but nothing was touched\n%s\n%s", turn, q->json, was, q->answer);
		if (!woken && !q->may_sleep)
			fail_msg("entry %u: %s was not woken\n%s\n%s", turn, q->json, was, q->answer);
		if (q->index <= was_index && !q->index_may_lag)
			fail_msg("entry %u: the index of %s has not grown: %llu, %llu\n%s\n%s", turn, q->json,
			    (unsigned long long)was_index, (unsigned long long)q->index, was, q->answer);
	} else if (!anything && q->index != was_index) {
		fail_msg("entry %u: nothing was touched, but the index of %s has moved", turn, q->json);
	}
	if (held && (strcmp(was, q->answer) != 0 || q->index != was_index))
		fail_msg("entry %u: %s was kept, but it has changed: %llu, %llu\n%s\n%s", turn, q->json,
		    (unsigned long long)was_index, (unsigned long long)q->index, was, q->answer);
	kept += held;
	dropped += !held && strcmp(was, q->answer) == 0 && q->index == was_index;
	free(was);
}

static void
run(uint64_t seed, unsigned entries)
{
	seed_state = seed * 0x9e3779b97f4a7c15u + 1;
	(void)fixture_setup(NULL);
	for (size_t i = 0; i < COUNTOF(questions); i++)
		put_question(&questions[i]);
	for (unsigned turn = 0; turn < entries; turn++) {
		bool anything;

		buf_clear(&fix.apply.touched);
		if (roll(8) == 0)
			step_session(1000 + turn);
		else
			step();
		anything = touched_anything();
		for (size_t i = 0; i < COUNTOF(questions); i++)
			judge(&questions[i], turn, anything);
	}
	drop("{'Node':'a'}");
	drop("{'Node':'b'}");
	drop("{'Node':'c'}");
	for (enum store_table t = STORE_SESSIONS; t < STORE_TABLE_COUNT; t++)
		if (store_count(store_read(fix.store), t) != 0)
			fail_msg("table %s is not empty", store_table_name(t));
	for (size_t i = 0; i < COUNTOF(questions); i++) {
		free(questions[i].answer);
		region_free(questions[i].region);
		questions[i].answer = NULL;
		questions[i].region = NULL;
	}
	(void)fixture_teardown(NULL);
}

static uint64_t first_seed = 1, seeds = 5;
static unsigned entries_each = 400;

static void
test_changes_are_told(void **state)
{
	(void)state;
	for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		run(seed, entries_each);
	}
	print_message("kept answers that held: %lu, given up without need: %lu\n", kept, dropped);
	assert_true(kept > dropped);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_changes_are_told),
	};

	if (argc > 1) {
		first_seed = strtoull(argv[1], NULL, 10);
		seeds = 1;
	}
	if (argc > 2)
		entries_each = (unsigned)strtoul(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * catalogd_coordinate_test.c - network coordinates: what updates do to the state, what is asked about them, lists sorted by them, batches
 */
#include "coordinate.h"

#include <math.h>

#include "catalogd_fixture.h"
#include "coordinate_pending.h"
#include "coordinate_point.h"
#include "coordinate_updates.h"

#define ASK_COORDINATES() ask(coordinate_list_nodes, &dc_request_schema, "{}", &indexed_coordinates_schema)
#define ASK_COORDINATE(json) ask(coordinate_node, &node_request_schema, json, &indexed_coordinates_schema)

/* Applies updates, a JSON list with ' for ". Returns the entry's index. */
static uint64_t
update(const char *updates)
{
	char *json = xasprintf("{'Updates':%s}", updates);
	struct buf body = fixture_message(&coordinate_batch_schema, json);

	assert_int_equal(fixture_apply(APPLY_TYPE_COORDINATES, buf_bytes(&body)), 0);
	buf_free(&body);
	free(json);
	return fix.index;
}

/* One update: node is at x on the first axis, in segment. */
static uint64_t
place(const char *node, const char *segment, double x)
{
	char json[256];

	snprintf(json, sizeof json,
	    "[{'Node':'%s','Segment':'%s','Coord':{'Vec':[%g,0,0,0,0,0,0,0],'Error':0.5,'Adjustment':0,'Height':0.001}}"
	    "]",
	    node, segment, x);
	return update(json);
}

static void
nodes_make(void)
{
	put("{'Node':'far','Address':'10.0.0.1','Service':{'Service':'web'},'Check':{'Node':'far','CheckID':'c','Name':"
	    "'c','Status':'passing','ServiceID':'web'}}");
	put("{'Node':'lost','Address':'10.0.0.2','Service':{'Service':'web'},'Check':{'Node':'lost','CheckID':'c',"
	    "'Name':'c','Status':'passing','ServiceID':'web'}}");
	put("{'Node':'mid','Address':'10.0.0.3','Service':{'Service':'web'},'Check':{'Node':'mid','CheckID':'c','Name':"
	    "'c','Status':'passing','ServiceID':'web'}}");
	put("{'Node':'near','Address':'10.0.0.4','Service':{'Service':'web'},'Check':{'Node':'near','CheckID':'c',"
	    "'Name':'c','Status':'passing','ServiceID':'web'}}");
}

static void
test_updates_of_registered_nodes_are_stored(void **state)
{
	uint64_t index;

	(void)state;
	nodes_make();
	assert_string_equal(ASK_COORDINATES(), "[]");
	index =
	    update("[{'Node':'near','Segment':'','Coord':{'Vec':[0.25,0,0,0,0,0,0,-1],'Error':0.5,'Adjustment':0.125,"
		   "'Height':0.5}},{'Node':'nobody','Segment':'','Coord':{'Vec':[1,0,0,0,0,0,0,0],'Error':1,"
		   "'Adjustment':0,'Height':1}}]");
	assert_string_equal(ASK_COORDINATES(),
	    "[{'Node':'near','Segment':'','Coord':{'Vec':[0.25,0,0,0,0,0,0,-1],'Error':0.5,'Adjustment':0.125,"
	    "'Height':0.5}}]");
	assert_int_equal(fix.answer_index, index);
	/* whatever the case of the name */
	assert_int_equal(count_of(ASK_COORDINATE("{'Node':'NEAR'}"), "'near'"), 1);
	assert_string_equal(ASK_COORDINATE("{'Node':'nobody'}"), "[]");
	assert_string_equal(ASK_COORDINATE("{'Node':'nea'}"), "[]");
	assert_string_equal(ASK_COORDINATE("{'Node':''}"), "[]");
}

static void
test_what_wakes_and_what_does_not(void **state)
{
	uint64_t index;

	(void)state;
	nodes_make();
	place("near", "", 0.1);
	index = place("far", "", 0.5);
	(void)ASK_COORDINATE("{'Node':'near'}");
	place("far", "", 0.6);
	assert_false(wakes());
	place("Near", "", 0.2);
	assert_true(wakes());
	(void)ASK_COORDINATES();
	assert_true(fix.answer_index > index);
	index = fix.answer_index;
	/* the same again, and one of a node that is not there: nothing has changed */
	place("Near", "", 0.2);
	assert_false(touched_anything());
	place("nobody", "", 0.2);
	assert_false(touched_anything());
	(void)ASK_COORDINATES();
	assert_int_equal(fix.answer_index, index);
}

static void
test_coordinates_go_with_their_node(void **state)
{
	uint64_t index;

	(void)state;
	nodes_make();
	place("near", "", 0.1);
	place("near", "alpha", 0.2);
	place("far", "", 0.5);
	assert_int_equal(count_of(ASK_COORDINATE("{'Node':'near'}"), "'Segment'"), 2);
	index = drop("{'Node':'near'}");
	assert_true(wakes());
	assert_string_equal(ASK_COORDINATE("{'Node':'near'}"), "[]");
	assert_int_equal(fix.answer_index, index);
	assert_int_equal(count_of(ASK_COORDINATES(), "'Node'"), 1);
	/* a node without coordinates moves nothing of theirs */
	drop("{'Node':'lost'}");
	(void)ASK_COORDINATES();
	assert_int_equal(fix.answer_index, index);
	/* who comes back begins anew */
	put("{'Node':'near','Address':'10.0.0.4'}");
	assert_string_equal(ASK_COORDINATE("{'Node':'near'}"), "[]");
}

#define NEAR(node) "'Source':{'Datacenter':'dc1','Node':'" node "'}"

static void
test_lists_are_sorted_by_distance(void **state)
{
	(void)state;
	nodes_make();
	place("far", "", 0.9);
	place("mid", "", 0.4);
	place("near", "", 0.1);
	assert_order(ASK_NODES("{" NEAR("near") "}"), "'near'", "'mid'", "'far'", "'lost'");
	assert_order(ASK_NODES("{" NEAR("FAR") "}"), "'far'", "'mid'", "'near'", "'lost'");
	assert_order(ASK_SERVICE("{'ServiceName':'web'," NEAR("mid") "}"), "'mid'", "'near'", "'far'", "'lost'");
	assert_order(ASK_HEALTH("{'ServiceName':'web'," NEAR("near") "}"), "'Node':'near'", "'Node':'mid'",
	    "'Node':'far'", "'Node':'lost'");
	assert_order(ASK_CHECKS("{'ServiceName':'web'," NEAR("near") "}"), "'near'", "'mid'", "'far'", "'lost'");
	assert_order(ASK_STATE("{'State':'any'," NEAR("near") "}"), "'near'", "'mid'", "'far'", "'lost'");
	assert_order(ASK_STATE("{'State':'passing'," NEAR("far") "}"), "'far'", "'mid'", "'near'", "'lost'");
	/* instances of one node stay together, as they were */
	put("{'Node':'mid','Address':'10.0.0.3','Service':{'ID':'web2','Service':'web'}}");
	put("{'Node':'mid','Address':'10.0.0.3','Service':{'ID':'web3','Service':'web'}}");
	assert_order(ASK_SERVICE("{'ServiceName':'web'," NEAR("near") "}"), "'near'", "'mid'", "'web'", "'mid'",
	    "'web2'", "'mid'", "'web3'", "'far'", "'lost'");
	/* what the filter leaves is sorted */
	assert_order(ASK_NODES("{'Filter':'Node != mid'," NEAR("near") "}"), "'near'", "'far'", "'lost'");
	/* by name where there is nothing to go by */
	assert_order(ASK_NODES("{" NEAR("lost") "}"), "'far'", "'lost'", "'mid'", "'near'");
	assert_order(ASK_NODES("{" NEAR("nobody") "}"), "'far'", "'lost'", "'mid'", "'near'");
	assert_order(ASK_NODES("{'Source':{'Datacenter':'dc2','Node':'near'}}"), "'far'", "'lost'", "'mid'", "'near'");
	assert_order(ASK_NODES("{'Source':{'Datacenter':'dc1','Node':''}}"), "'far'", "'lost'", "'mid'", "'near'");
	assert_string_equal(ASK_SERVICE("{'ServiceName':'none'," NEAR("near") "}"), "[]");
}

static void
test_equal_distances_keep_their_order(void **state)
{
	char json[256], name[16], *all;
	const char *at;

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(json, sizeof json, "{'Node':'n%02d','Address':'10.0.0.1'}", i);
		put(json);
		snprintf(name, sizeof name, "n%02d", i);
		if (i % 4 != 3)
			place(name, "", i % 2 == 0 ? 0.5 : 0.1);
	}
	all = xstrdup(ASK_NODES("{" NEAR("n01") "}"));
	/* 1, 5, 9, ... then 0, 2, 4, ... then 3, 7, 11, ... */
	at = all;
	for (int group = 0; group < 3; group++)
		for (int i = 0; i < 40; i++) {
			bool belongs = group == 0 ? i % 4 == 1 : group == 1 ? i % 2 == 0 : i % 4 == 3;

			snprintf(json, sizeof json, "'Node':'n%02d'", i);
			if (belongs) {
				at = strstr(at, json);
				assert_non_null(at);
			}
		}
	free(all);
}

static void
test_a_sorted_answer_is_kept_until_coordinates_change(void **state)
{
	(void)state;
	nodes_make();
	place("far", "", 0.9);
	place("near", "", 0.1);
	(void)ASK_NODES("{}");
	place("far", "", 0.8);
	assert_true(holds());
	(void)ASK_NODES("{" NEAR("near") "}");
	assert_true(holds());
	place("far", "", 0.05);
	assert_false(holds());
	assert_false(wakes()); /* but who waits for nodes does not hear of it */
	/* the coordinate that was missing comes */
	(void)ASK_SERVICE("{'ServiceName':'web'," NEAR("lost") "}");
	assert_true(holds());
	place("lost", "", 0.05);
	assert_false(holds());
}

static double
distance(const char *a, const char *b)
{
	struct store_txn *t = store_read(fix.store);
	struct coordinate_place x = coordinate_place_of(t, fix.region, bytes_str(a)),
				y = coordinate_place_of(t, fix.region, bytes_str(b));
	double d = coordinate_distance(t, &x, &y);

	store_read_end(fix.store);
	return d;
}

static void
test_segments(void **state)
{
	(void)state;
	nodes_make();
	/* near: a server, in two segments; mid: a client in alpha; far: one in the segment without a name */
	place("near", "", 0.1);
	place("near", "alpha", 0.5);
	place("mid", "alpha", 0.4);
	place("far", "", 0.4);
	assert_true(distance("near", "mid") > 0.1019 && distance("near", "mid") < 0.1021);
	assert_true(distance("mid", "near") > 0.1019 && distance("mid", "near") < 0.1021);
	assert_true(distance("near", "far") > 0.3019 && distance("near", "far") < 0.3021);
	assert_true(distance("mid", "far") > 1e9); /* not in one network: not known */
	assert_true(distance("near", "lost") > 1e9);
	assert_true(distance("near", "near") > 0.0019 && distance("near", "near") < 0.0021);
}

static void
test_update_is_judged(void **state)
{
	static const struct {
		const char *json, *error;
	} rows[] = {
	    {"{'Node':'near'}", "invalid coordinate"},
	    {"{'Node':'near','Coord':null}", "invalid coordinate"},
	    {"{'Node':'near','Coord':{}}", "incompatible coordinate"},
	    {"{'Node':'near','Coord':{'Vec':[1,2]}}", "incompatible coordinate"},
	    {"{'Node':'near','Coord':{'Vec':[1,2,3,4,5,6,7,8,9]}}", "incompatible coordinate"},
	    {"{'Node':'near','Coord':{'Vec':[1,2,3,4,5,6,7,'x']}}", "invalid coordinate"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(rows); i++) {
		assert_int_equal(
		    fixture_write(coordinate_update_write, &coordinate_update_request_schema, rows[i].json), -1);
		assert_string_equal(fix.error, rows[i].error);
	}
}

/* JSON has no such numbers, the wire does. */
static void
test_numbers_that_are_none(void **state)
{
	const double bad[] = {NAN, INFINITY, -INFINITY};
	struct buf args = BUF_INIT(4096), body = BUF_INIT(4096), coord = BUF_INIT(4096);

	(void)state;
	for (size_t i = 0; i < COUNTOF(bad); i++)
		for (int where = 0; where < 4; where++) {
			struct coordinate_update_request request = {.node = bytes_str("near")};
			struct write w = {.txn = store_read(fix.store), .region = fix.region, .body = &body};
			struct coordinate_point point = {.height = 1};

			*(double *[]){&point.vec[7], &point.error, &point.adjustment, &point.height}[where] = bad[i];
			buf_clear(&coord);
			coordinate_point_put(&point, &coord);
			request.coord = buf_bytes(&coord);
			buf_clear(&args);
			schema_encode(&coordinate_update_request_schema, &request, &args);
			w.args = buf_bytes(&args);
			assert_int_equal(coordinate_update_write(&w), -1);
			assert_string_equal(w.error, "invalid coordinate");
		}
	buf_free(&args);
	buf_free(&body);
	buf_free(&coord);
}

/* ---- batches ---- */

static void
put_pending(struct coordinate_pending *p, unsigned node, unsigned value)
{
	char key[16];
	struct buf record = BUF_INIT(256);

	snprintf(key, sizeof key, "n%u", node);
	mp_put_uint(&record, value);
	coordinate_pending_put(p, bytes_str(key), buf_bytes(&record));
	buf_free(&record);
}

/* The values of the next batch. Returns how many there are, 0: no batch. */
static uint32_t
take_pending(struct coordinate_pending *p, uint64_t values[COORDINATE_BATCH_UPDATES])
{
	struct buf body = BUF_INIT(1u << 20);
	uint32_t count = 0;
	struct mp in;

	if (coordinate_pending_take(p, &body)) {
		in = mp_of(mp_find_raw(buf_bytes(&body), "Updates"));
		count = mp_array(&in);
		assert_true(count > 0 && count <= COORDINATE_BATCH_UPDATES);
		for (uint32_t i = 0; i < count; i++)
			values[i] = mp_uint(&in);
		assert_true(mp_ok(&in));
		assert_int_equal(mp_peek(&in), MP_END);
	}
	buf_free(&body);
	return count;
}

static void
test_batches_have_the_latest_of_each(void **state)
{
	struct coordinate_pending *p = coordinate_pending_new();
	uint64_t values[COORDINATE_BATCH_UPDATES];

	(void)state;
	assert_int_equal(take_pending(p, values), 0);
	put_pending(p, 1, 10);
	put_pending(p, 2, 20);
	put_pending(p, 1, 11);
	assert_int_equal(coordinate_pending_count(p), 2);
	assert_true(coordinate_pending_has(p, bytes_str("n1")));
	assert_false(coordinate_pending_has(p, bytes_str("n3")));
	assert_int_equal(take_pending(p, values), 2);
	assert_int_equal(values[0], 20);
	assert_int_equal(values[1], 11);
	assert_false(coordinate_pending_has(p, bytes_str("n1")));
	assert_int_equal(take_pending(p, values), 0);
	coordinate_pending_free(p);
}

static void
test_a_period_has_its_bounds(void **state)
{
	struct coordinate_pending *p = coordinate_pending_new();
	uint64_t values[COORDINATE_BATCH_UPDATES];
	unsigned batches = 0, updates = 0;

	(void)state;
	for (unsigned i = 0; i < 700; i++)
		put_pending(p, i, i);
	put_pending(p, 5, 5005); /* a newer one of a node that is in */
	assert_int_equal(coordinate_pending_dropped(p), 60);
	assert_int_equal(coordinate_pending_dropped(p), 0);
	for (uint32_t n; (n = take_pending(p, values)) > 0; batches++) {
		assert_int_equal(n, 128);
		updates += n;
	}
	assert_int_equal(batches, 5);
	assert_int_equal(updates, 640);
	assert_int_equal(values[127], 5005);
	/* names without end do not fill the memory */
	for (unsigned i = 0; i < 20; i++) {
		char *key = xasprintf("%0100000u", i);

		coordinate_pending_put(p, bytes_str(key), bytes_str("\xc0"));
		free(key);
	}
	assert_int_equal(coordinate_pending_count(p), 10);
	assert_int_equal(coordinate_pending_dropped(p), 10);
	coordinate_pending_clear(p);
	assert_int_equal(coordinate_pending_count(p), 0);
	put_pending(p, 1, 1);
	assert_int_equal(take_pending(p, values), 1);
	put_pending(p, 2, 2);
	coordinate_pending_free(p);
}

static void
test_interval_grows_with_the_pool(void **state)
{
	const int64_t least = INT64_C(15000000000);

	(void)state;
	assert_int_equal(coordinate_updates_interval_ns(least, 0), least);
	assert_int_equal(coordinate_updates_interval_ns(least, 3), least);
	assert_int_equal(coordinate_updates_interval_ns(least, 960), least);
	assert_int_equal(coordinate_updates_interval_ns(least, 6400), INT64_C(100000000000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	    TEST(test_updates_of_registered_nodes_are_stored),
	    TEST(test_what_wakes_and_what_does_not),
	    TEST(test_coordinates_go_with_their_node),
	    TEST(test_lists_are_sorted_by_distance),
	    TEST(test_equal_distances_keep_their_order),
	    TEST(test_a_sorted_answer_is_kept_until_coordinates_change),
	    TEST(test_segments),
	    TEST(test_update_is_judged),
	    TEST(test_numbers_that_are_none),
	    cmocka_unit_test(test_batches_have_the_latest_of_each),
	    cmocka_unit_test(test_a_period_has_its_bounds),
	    cmocka_unit_test(test_interval_grows_with_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

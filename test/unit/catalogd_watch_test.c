/*
 * catalogd_watch_test.c - parked queries: who is woken, with what index, and what the deadline answers; subscriptions
 *
 * Client and server talk over a socketpair in one loop. The state is a table of numbered names; an endpoint answers {Value, ...meta} for the name it is
 * asked for. Time is real but short: deadlines are tens of milliseconds, and tests wait for answers, not for time.
 */
#include "watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "duration.h"
#include "endpoint.h"
#include "mem.h"
#include "query.h"

#define NAMES 4
#define ANSWERS_MAX 3000

static struct ev_loop *loop;
static struct ipc *server, *client;
static struct ipc_peer *peer;
static struct watch *watch;

static uint64_t values[NAMES], indexes[NAMES]; /* value 0: not there */
static uint64_t table_index;
static unsigned runs, questions, gone;
static bool lease;      /* holds */
static bool comes_back; /* what goes is parked here again */
static uint64_t gone_index;
static int64_t gone_wait_ns;

static struct answer {
	unsigned count;
	bool failed;
	uint64_t value, index;
	char text[128];
	const uint8_t *data; /* where the body stood: the same for answers sent together */
} answers[ANSWERS_MAX];

static int
endpoint_read(struct query *q)
{
	uint64_t name = mp_find_uint(q->args, "Name");
	char text[16];

	runs++;
	if (name == 99)
		return query_fail(q, 418, "no");
	snprintf(text, sizeof text, "%llu", (unsigned long long)name);
	query_watch(q, mp_find_bool(q->args, "Prefix") ? WATCH_PREFIX : WATCH_KEY, bytes_str(text));
	query_begin(q, 1);
	mp_put_kv_uint(q->out, "Value", values[name]);
	query_index(q, values[name] == 0 ? table_index : indexes[name]);
	q->not_found = values[name] == 0;
	return 0;
}

static const struct endpoint endpoint = {.method = "Test.Get", .read = endpoint_read};

static int
run(struct query *q, void *ctx)
{
	(void)ctx;
	q->datacenter = "dc1";
	if (query_open(q, q->endpoint, q->args) == -1)
		return -1;
	q->index = 0;
	q->not_found = false;
	q->watch_count = 0;
	return q->endpoint->read(q);
}

/* What serve.c does with a read. */
static void
handle_get(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct buf out = BUF_INIT(4096);
	struct query q = {.region = region_new(), .out = &out, .datacenter = "dc1", .watching = true};

	(void)ctx;
	assert_int_equal(query_open(&q, &endpoint, args), 0);
	if (endpoint_read(&q) == -1)
		ipc_fail(s, q.status, "%s", q.error);
	else if (q.min_index > 0 && q.index <= q.min_index)
		watch_park(watch, s, &q);
	else {
		query_finish(&q, q.index);
		ipc_reply(s, buf_bytes(&out));
	}
	region_free(q.region);
	buf_free(&out);
}

static void
handle_subscribe(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)args, (void)ctx;
	watch_subscribe(watch, s);
}

static const struct ipc_method methods[] = {{"Test.Get", handle_get}, {"Subscribe", handle_subscribe}};
static const struct ipc_service service = {methods, COUNTOF(methods), NULL};

static void
on_answer(void *ctx, const struct ipc_answer *a)
{
	struct answer *answer = ctx;

	answer->count++;
	answer->failed = a->status != IPC_OK;
	answer->value = mp_find_uint(a->body, "Value");
	answer->index = mp_find_uint(a->body, "Index");
	answer->data = a->body.data;
	if (a->more) {
		size_t used = strlen(answer->text);
		struct mp in = mp_of(a->body);

		for (uint32_t n = mp_array(&in); n > 0; n--) {
			struct bytes kind, name;

			assert_int_equal(mp_array(&in), 2);
			kind = mp_str(&in);
			name = mp_str(&in);
			snprintf(answer->text + used, sizeof answer->text - used, "%.*s:%.*s ", (int)kind.size,
			    (const char *)kind.data, (int)name.size, (const char *)name.data);
			used = strlen(answer->text);
		}
	}
}

static int
setup(void **state)
{
	int fds[2];

	(void)state;
	loop = ev_loop_new(EVFLAG_AUTO);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	server = ipc_new(loop, "server");
	client = ipc_new(loop, "client");
	assert_non_null(ipc_peer_from_fd(server, fds[0], false, &service));
	peer = ipc_peer_from_fd(client, fds[1], true, NULL);
	watch = watch_new(loop, run, NULL);
	memset(answers, 0, sizeof answers);
	for (int i = 0; i < NAMES; i++) {
		values[i] = i == 3 ? 0 : 1;
		indexes[i] = 10;
	}
	table_index = 10;
	runs = questions = gone = 0;
	lease = true;
	comes_back = false;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ipc_free(client);
	ipc_free(server);
	watch_free(watch);
	ev_loop_destroy(loop);
	return 0;
}

/* Lets both sides do what they can do now. */
static void
settle(void)
{
	for (int i = 0; i < 8; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static void
wait_for(const struct answer *a, unsigned count)
{
	while (a->count < count)
		ev_run(loop, EVRUN_ONCE);
}

/* mode: a query option that is true. */
static struct ipc_call *
ask_in_mode(struct answer *a, uint64_t name, uint64_t min_index, int64_t wait_ms, const char *mode)
{
	struct buf args = BUF_INIT(256);
	struct ipc_call *call;

	mp_put_map(&args, 4);
	mp_put_kv_bool(&args, mode, true);
	mp_put_kv_uint(&args, "Name", name);
	mp_put_kv_uint(&args, "MinQueryIndex", min_index);
	mp_put_kv_int(&args, "MaxQueryTime", wait_ms * NS_PER_MS);
	call = ipc_call(peer, "Test.Get", buf_bytes(&args), NULL, on_answer, a);
	buf_free(&args);
	settle();
	return call;
}

static struct ipc_call *
ask_with(struct answer *a, uint64_t name, uint64_t min_index, int64_t wait_ms, bool consistent)
{
	return ask_in_mode(a, name, min_index, wait_ms, consistent ? "RequireConsistent" : "Default");
}

static struct ipc_call *
ask(struct answer *a, uint64_t name, uint64_t min_index, int64_t wait_ms)
{
	return ask_with(a, name, min_index, wait_ms, false);
}

static void
verify(void *ctx)
{
	(void)ctx;
	questions++;
}

static bool
lease_holds(void *ctx)
{
	(void)ctx;
	return lease;
}

static void
goes(void *ctx, struct ipc_stream *s, const struct endpoint *e, struct bytes args)
{
	(void)ctx;
	assert_ptr_equal(e, &endpoint);
	gone++;
	gone_index = mp_find_uint(args, "MinQueryIndex");
	gone_wait_ns = mp_find_int(args, "MaxQueryTime");
	if (comes_back)
		handle_get(s, args, NULL);
	else
		ipc_fail(s, 0, "No cluster leader");
}

static const struct watch_leader leader = {.lease_holds = lease_holds, .verify = verify, .goes = goes};

static void
change(unsigned name, uint64_t value, uint64_t index)
{
	char text[16];

	values[name] = value;
	indexes[name] = table_index = index;
	snprintf(text, sizeof text, "%u", name);
	watch_touch(watch, WATCH_KEY, bytes_str(text));
}

static void
wake(void)
{
	watch_wake(watch);
	settle();
}

static void
test_answered_at_once_or_parked(void **state)
{
	(void)state;
	(void)ask(&answers[0], 0, 9, 0);
	assert_int_equal(answers[0].count, 1);
	assert_int_equal(answers[0].index, 10);
	(void)ask(&answers[1], 0, 10, 0);
	(void)ask(&answers[2], 0, 11, 0);
	assert_int_equal(watch_parked(watch), 2);
	assert_int_equal(watch_groups(watch), 1);
	change(0, 2, 11);
	wake();
	assert_int_equal(answers[1].count, 1);
	assert_int_equal(answers[1].value, 2);
	assert_int_equal(answers[1].index, 11);
	assert_int_equal(answers[2].count, 0); /* 11 is not above 11 */
	change(0, 3, 12);
	wake();
	assert_int_equal(answers[2].index, 12);
	assert_int_equal(watch_parked(watch) + watch_groups(watch), 0);
}

static void
test_others_changes_wake_nobody(void **state)
{
	(void)state;
	(void)ask(&answers[0], 0, 10, 0);
	runs = 0;
	change(1, 2, 11);
	wake();
	assert_int_equal(answers[0].count, 0);
	assert_int_equal(runs, 0);
}

/* Equal queries are one group: run once, encoded once. */
static void
test_equal_queries_are_run_once(void **state)
{
	(void)state;
	for (int i = 0; i < ANSWERS_MAX; i++)
		(void)ask(&answers[i], 0, 10 + (uint64_t)i % 2, 60000 + i);
	assert_int_equal(watch_groups(watch), 1);
	runs = 0;
	change(0, 2, 20);
	wake();
	assert_int_equal(runs, 1);
	for (int i = 0; i < ANSWERS_MAX; i++)
		wait_for(&answers[i], 1);
	for (int i = 0; i < ANSWERS_MAX; i++) {
		assert_int_equal(answers[i].index, 20);
		assert_ptr_equal(answers[i].data, answers[0].data);
	}
	assert_int_equal(watch_parked(watch), 0);
}

/* What was not found and is still not found is no answer, however far the index went. */
static void
test_not_found_sleeps_on(void **state)
{
	(void)state;
	(void)ask(&answers[0], 3, 10, 0);
	values[3] = 0;
	change(3, 0, 15); /* came and went within a batch */
	wake();
	assert_int_equal(answers[0].count, 0);
	change(3, 7, 16);
	wake();
	assert_int_equal(answers[0].count, 1);
	assert_int_equal(answers[0].value, 7);
	(void)ask(&answers[1], 3, 16, 0);
	change(3, 0, 17); /* deletion is a change */
	wake();
	assert_int_equal(answers[1].count, 1);
	assert_int_equal(answers[1].index, 17);
}

/* At the deadline: the index of the last run, not what a fresh question would be told. */
static void
test_the_deadline_tells_the_last_runs_index(void **state)
{
	(void)state;
	(void)ask(&answers[0], 3, 12, 30);
	(void)ask(&answers[1], 0, 500, 30);
	table_index = 400; /* nobody was woken by this */
	change(0, 9, 300); /* this wakes the second one, and is not enough for it */
	wake();
	assert_int_equal(answers[1].count, 0);
	indexes[0] = 450;
	wait_for(&answers[0], 1);
	wait_for(&answers[1], 1);
	assert_false(answers[0].failed);
	assert_int_equal(answers[0].index, 10);
	assert_int_equal(answers[1].value, 9);
	assert_int_equal(answers[1].index, 300);
	assert_int_equal(watch_parked(watch) + watch_groups(watch), 0);
}

static void
test_wait_is_capped_and_has_a_default(void **state)
{
	struct monotime start = monotime_now();

	(void)state;
	watch_times(watch, 20 * NS_PER_MS, 40 * NS_PER_MS);
	(void)ask(&answers[0], 0, 10, 0);
	(void)ask(&answers[1], 0, 10, 3600 * 1000);
	(void)ask(&answers[2], 0, 10, -5);
	for (int i = 0; i < 3; i++)
		wait_for(&answers[i], 1);
	assert_true(monotime_since_ns(start) >= 40 * NS_PER_MS);
	assert_true(monotime_since_ns(start) < 10 * NS_PER_S);
}

static void
test_whoever_goes_is_forgotten(void **state)
{
	struct ipc_call *call = ask(&answers[0], 0, 10, 0);

	(void)state;
	(void)ask(&answers[1], 0, 10, 0);
	ipc_cancel(call);
	settle();
	assert_int_equal(watch_parked(watch), 1);
	/* Between the touch and the wake-up, too. */
	call = ask(&answers[2], 1, 10, 0);
	change(1, 2, 11);
	ipc_cancel(call);
	settle();
	wake();
	assert_int_equal(answers[2].count, 0);
	assert_int_equal(watch_parked(watch), 1);
	change(0, 2, 12);
	wake();
	assert_int_equal(answers[1].count, 1);
	assert_int_equal(answers[0].count, 0);
}

static void
test_a_prefix_is_woken_by_its_keys(void **state)
{
	struct buf args = BUF_INIT(256);

	(void)state;
	mp_put_map(&args, 3);
	mp_put_kv_uint(&args, "Name", 2);
	mp_put_kv_bool(&args, "Prefix", true);
	mp_put_kv_uint(&args, "MinQueryIndex", 10);
	(void)ipc_call(peer, "Test.Get", buf_bytes(&args), NULL, on_answer, &answers[0]);
	settle();
	runs = 0;
	watch_touch(watch, WATCH_KEY, bytes_str("12"));
	watch_touch(watch, WATCH_KEY, bytes_str(""));
	wake();
	assert_int_equal(runs, 0);
	indexes[2] = 11;
	watch_touch(watch, WATCH_KEY, bytes_str("2/and/more"));
	wake();
	assert_int_equal(answers[0].count, 1);
	buf_free(&args);
}

/* The state was replaced: everybody is told, also of an index that went back. */
static void
test_a_replaced_state_ends_all(void **state)
{
	(void)state;
	(void)ask(&answers[0], 0, 10, 0);
	(void)ask(&answers[1], 3, 10, 0);
	indexes[0] = 3;
	table_index = 2;
	watch_touch(watch, WATCH_ALL, bytes_of(NULL, 0));
	wake();
	assert_int_equal(answers[0].count, 1);
	assert_int_equal(answers[0].index, 3);
	assert_int_equal(answers[1].count, 1);
	assert_int_equal(answers[1].index, 2);
}

/* A consistent query is not run before somebody has said, since the change, that this node leads. */
static void
test_a_consistent_query_is_verified_before_it_is_answered(void **state)
{
	(void)state;
	watch_lead_by(watch, &leader, NULL);
	(void)ask_with(&answers[0], 0, 10, 0, true);
	(void)ask_with(&answers[1], 1, 10, 0, true);
	(void)ask(&answers[2], 0, 10, 0);
	runs = 0;
	change(0, 2, 11);
	wake();
	assert_int_equal(questions, 1);
	assert_int_equal(answers[2].count, 1); /* the others do not wait */
	assert_int_equal(answers[0].count, 0);
	assert_int_equal(runs, 1);
	/* Changes that come while the question is open: the same name is seen by the run behind it, another one needs its own. */
	change(0, 3, 12);
	change(1, 4, 12);
	wake();
	assert_int_equal(questions, 1);
	watch_verified(watch, true);
	settle();
	assert_int_equal(answers[0].count, 1);
	assert_int_equal(answers[0].value, 3);
	assert_int_equal(answers[0].index, 12);
	assert_int_equal(answers[1].count, 0);
	assert_int_equal(questions, 2);
	watch_verified(watch, true);
	settle();
	assert_int_equal(answers[1].value, 4);
	assert_int_equal(questions, 2);
	assert_int_equal(watch_parked(watch) + watch_groups(watch), 0);
}

static void
test_a_consistent_query_fails_when_this_node_does_not_lead(void **state)
{
	struct ipc_call *call;

	(void)state;
	watch_lead_by(watch, &leader, NULL);
	(void)ask_with(&answers[0], 0, 10, 0, true);
	(void)ask_with(&answers[1], 1, 10, 0, true);
	call = ask_with(&answers[2], 0, 10, 0, true);
	change(0, 2, 11);
	wake();
	ipc_cancel(call);
	settle();
	watch_verified(watch, false);
	settle();
	assert_true(answers[0].failed);
	assert_int_equal(answers[0].count, 1);
	assert_int_equal(answers[2].count, 0);
	assert_int_equal(watch_parked(watch), 1); /* nothing has become of the other one */
	/* All that waits has gone: the answer concerns nobody. */
	call = ask_with(&answers[3], 2, 10, 0, true);
	change(2, 2, 12);
	wake();
	ipc_cancel(call);
	settle();
	watch_verified(watch, true);
	watch_touch(watch, WATCH_ALL, bytes_of(NULL, 0));
	wake();
	watch_verified(watch, true);
	settle();
	assert_int_equal(answers[1].count, 1);
	assert_int_equal(answers[1].index, 10);
	assert_int_equal(watch_parked(watch) + watch_groups(watch), 0);
}

static void
test_the_deadline_of_a_consistent_query_is_verified_too(void **state)
{
	(void)state;
	watch_lead_by(watch, &leader, NULL);
	(void)ask_with(&answers[0], 0, 10, 20, true);
	(void)ask_with(&answers[1], 0, 10, 60000, true);
	while (questions == 0)
		ev_run(loop, EVRUN_ONCE);
	settle();
	assert_int_equal(answers[0].count, 0);
	watch_verified(watch, true);
	settle();
	assert_int_equal(answers[0].count, 1);
	assert_false(answers[0].failed);
	assert_int_equal(answers[0].index, 10);
	assert_int_equal(watch_parked(watch), 1);
	questions = 0;
	(void)ask_with(&answers[2], 0, 10, 20, true);
	while (questions == 0)
		ev_run(loop, EVRUN_ONCE);
	watch_verified(watch, false);
	settle();
	assert_true(answers[2].failed);
	assert_int_equal(answers[1].count, 0);
}

/* Without a lease even a default query is not answered before somebody has said that this node leads; a stale one is. */
static void
test_without_a_lease_the_wake_up_is_verified(void **state)
{
	(void)state;
	watch_lead_by(watch, &leader, NULL);
	(void)ask(&answers[0], 0, 10, 0);
	(void)ask_in_mode(&answers[1], 0, 10, 0, "AllowStale");
	lease = false;
	change(0, 2, 11);
	wake();
	assert_int_equal(questions, 1);
	assert_int_equal(answers[0].count, 0);
	assert_int_equal(answers[1].value, 2);
	watch_verified(watch, true);
	settle();
	assert_int_equal(answers[0].value, 2);
	/* with one it is answered at once */
	lease = true;
	(void)ask(&answers[2], 0, 11, 0);
	change(0, 3, 12);
	wake();
	assert_int_equal(questions, 1);
	assert_int_equal(answers[2].value, 3);
	/* the deadline is no exception, and who does not lead does not answer */
	lease = false;
	(void)ask(&answers[3], 0, 12, 20);
	while (questions == 1)
		ev_run(loop, EVRUN_ONCE);
	settle();
	assert_int_equal(answers[3].count, 0);
	watch_verified(watch, false);
	settle();
	assert_int_equal(gone, 1);
	assert_int_equal(gone_index, 0); /* its time is over: it does not wait again */
	assert_true(answers[3].failed);
	assert_int_equal(watch_parked(watch) + watch_groups(watch), 0);
}

/* Another node leads: what is parked goes there, for the rest of its wait; stale queries stay. */
static void
test_parked_queries_go_to_the_new_leader(void **state)
{
	(void)state;
	watch_lead_by(watch, &leader, NULL);
	(void)ask(&answers[0], 0, 10, 60000);
	(void)ask_with(&answers[1], 0, 10, 60000, true);
	(void)ask_in_mode(&answers[2], 0, 10, 60000, "AllowStale");
	watch_moved(watch);
	settle();
	assert_int_equal(gone, 2);
	assert_int_equal(gone_index, 10);
	assert_true(gone_wait_ns > 0 && gone_wait_ns <= 60000 * NS_PER_MS / 16 * 17);
	assert_true(answers[0].failed);
	assert_true(answers[1].failed);
	assert_int_equal(answers[2].count, 0);
	assert_int_equal(watch_parked(watch), 1);
	/* One that was touched and waits for a verification goes as well; the answer to that concerns nobody. */
	lease = false;
	(void)ask(&answers[3], 1, 10, 60000);
	change(1, 2, 11);
	wake();
	assert_int_equal(questions, 1);
	watch_moved(watch);
	settle();
	assert_true(answers[3].failed);
	watch_verified(watch, true);
	/* This node leads again meanwhile: it comes back, and is woken as before. */
	lease = comes_back = true;
	(void)ask(&answers[4], 0, 10, 60000);
	(void)ask(&answers[5], 0, 10, 60000);
	watch_moved(watch);
	settle();
	assert_int_equal(gone, 5);
	assert_int_equal(watch_parked(watch), 3);
	change(0, 7, 12);
	wake();
	assert_int_equal(answers[4].value, 7);
	assert_int_equal(answers[5].value, 7);
	assert_int_equal(answers[2].value, 7);
	assert_int_equal(watch_parked(watch) + watch_groups(watch), 0);
}

static void
test_subscribers_are_told_names_once_a_batch(void **state)
{
	(void)state;
	(void)ipc_call(
	    peer, "Subscribe", bytes_of(NULL, 0), &(struct ipc_call_options){.credit = 100}, on_answer, &answers[0]);
	settle();
	assert_string_equal(answers[0].text, "reset: ");
	answers[0].text[0] = '\0';
	watch_touch(watch, WATCH_HEALTH, bytes_str("web"));
	watch_touch(watch, WATCH_NODE, bytes_str("n1"));
	watch_touch(watch, WATCH_HEALTH, bytes_str("web"));
	watch_touch(watch, WATCH_KEY, bytes_str("a"));
	wake();
	assert_string_equal(answers[0].text, "service:web node:n1 ");
	answers[0].text[0] = '\0';
	wake();
	assert_string_equal(answers[0].text, "");
}

static void
test_a_subscriber_that_fell_behind_is_reset(void **state)
{
	struct ipc_call *call = ipc_call(
	    peer, "Subscribe", bytes_of(NULL, 0), &(struct ipc_call_options){.credit = 20}, on_answer, &answers[0]);

	(void)state;
	settle();
	watch_touch(watch, WATCH_HEALTH, bytes_str("a-service-with-a-longer-name"));
	wake();
	answers[0].text[0] = '\0';
	ipc_grant(call, 1000);
	settle();
	assert_string_equal(answers[0].text, "reset: ");
	watch_touch(watch, WATCH_HEALTH, bytes_str("web"));
	wake();
	assert_string_equal(answers[0].text, "reset: service:web ");
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_answered_at_once_or_parked),
	    TEST(test_others_changes_wake_nobody),
	    TEST(test_equal_queries_are_run_once),
	    TEST(test_not_found_sleeps_on),
	    TEST(test_the_deadline_tells_the_last_runs_index),
	    TEST(test_wait_is_capped_and_has_a_default),
	    TEST(test_whoever_goes_is_forgotten),
	    TEST(test_a_prefix_is_woken_by_its_keys),
	    TEST(test_a_replaced_state_ends_all),
	    TEST(test_a_consistent_query_is_verified_before_it_is_answered),
	    TEST(test_a_consistent_query_fails_when_this_node_does_not_lead),
	    TEST(test_the_deadline_of_a_consistent_query_is_verified_too),
	    TEST(test_without_a_lease_the_wake_up_is_verified),
	    TEST(test_parked_queries_go_to_the_new_leader),
	    TEST(test_subscribers_are_told_names_once_a_batch),
	    TEST(test_a_subscriber_that_fell_behind_is_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

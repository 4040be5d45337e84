/*
 * catalogd_forward_test.c - requests that are answered elsewhere, over real connections: what is sent again and what is not, who shares a question
 *
 * Both ends live in this process: "here" forwards, "there" serves by an rpcserver on a loopback port.
 */
#include "forward.h"

#include <sys/socket.h>
#include <unistd.h>

#include "catalogd_rpc_fixture.h"
#include "duration.h"
#include "mp.h"
#include "rpcserver.h"

#define BYTES(text) bytes_of(text, sizeof(text) - 1)
#define GUARD_S 60. /* ends a test that hangs */
#define PARKED_MAX 16

static struct ev_loop *loop;
static struct ipc *ipc;
static struct wires *wires;
static struct rpcpool *pool;
static struct forward *forward;
static struct rpcserver *there;
static struct ev_io accepting;
static struct ev_timer guard;
static union net_addr address, second_address;
static bool has_other; /* which is asked when a call to the first has failed */
static const char *target_error;
static bool as_leader, target_here, still_asked;
static unsigned served_here;
static uint64_t served_index;
static int64_t served_wait;
static unsigned failures;

/* what the server has seen, and does */
static unsigned seen, refuse;
static uint64_t seen_index;
static int64_t seen_wait;
static unsigned seen_flags;
static struct ipc_stream *parked[PARKED_MAX];
static size_t parked_count, ended;
static bool closed_port;

static void
echo(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)ctx;
	seen++;
	seen_flags = ipc_stream_flags(s);
	if (refuse > 0) {
		refuse--;
		ipc_fail(s, 0, "No cluster leader");
		return;
	}
	ipc_reply(s, args);
}

static void
on_parked_ended(struct ipc_stream *s, void *ctx)
{
	(void)ctx;
	ended++;
	for (size_t i = 0; i < parked_count; i++)
		if (parked[i] == s)
			parked[i] = NULL;
}

static void
park(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)ctx;
	seen++;
	seen_index = mp_find_uint(args, "MinQueryIndex");
	seen_wait = mp_find_int(args, "MaxQueryTime");
	assert_true(parked_count < PARKED_MAX);
	parked[parked_count++] = s;
	ipc_stream_watch(s, on_parked_ended, NULL, NULL);
}

static void
bad(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)args, (void)ctx;
	seen++;
	ipc_fail(s, 413, "far too large");
}

/* A server that is behind: it says by how much, and leaves it to who asks whether that is too much. */
static void
behind(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct buf body = BUF_INIT(100);

	(void)ctx;
	seen++;
	seen_index = mp_find_uint(args, "MinQueryIndex");
	mp_put_map(&body, 2);
	mp_put_kv_uint(&body, "Index", 9);
	mp_put_kv_int(&body, "LastContact", mp_find_bool(args, "AllowStale") ? 3 * NS_PER_S : 0);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

static const struct ipc_method there_methods[] = {
    {"T.Echo", echo}, {"T.Park", park}, {"T.Bad", bad}, {"T.Behind", behind}};
static const struct ipc_service there_service = {there_methods, COUNTOF(there_methods), NULL};

static void
pass_read(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)ctx;
	forward_request(forward, s, ipc_stream_method(s), args, true);
}

static void
pass_write(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)ctx;
	forward_request(forward, s, "T.Park", args, false);
}

static const struct ipc_method here_methods[] = {{"T.Echo", pass_read}, {"T.Park", pass_read}, {"T.Bad", pass_read},
    {"T.Behind", pass_read}, {"T.Nope", pass_read}, {"T.Write", pass_write}};
static const struct ipc_service here_service = {here_methods, COUNTOF(here_methods), NULL};

static enum forward_where
target(void *ctx, union net_addr *to, bool *leader, const char **error)
{
	(void)ctx;
	*to = address;
	*leader = as_leader;
	*error = target_error;
	if (target_here)
		return FORWARD_HERE;
	return target_error == NULL ? FORWARD_THERE : FORWARD_NOWHERE;
}

static bool
is_asked(void *ctx, const union net_addr *to)
{
	(void)ctx;
	return still_asked && net_addr_equal(to, &address);
}

static void
serve_here(void *ctx, struct ipc_stream *s, struct bytes args)
{
	(void)ctx;
	served_here++;
	served_index = mp_find_uint(args, "MinQueryIndex");
	served_wait = mp_find_int(args, "MaxQueryTime");
	ipc_reply(s, args);
}

static void
on_failed(void *ctx, const union net_addr *to)
{
	(void)ctx, (void)to;
	failures++;
	if (has_other)
		address = second_address;
}

static const struct forward_ops ops = {.target = target, .asked = is_asked, .failed = on_failed, .here = serve_here};

/* ---- the port ---- */

static void
on_connection(struct ev_loop *l, struct ev_io *w, int events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)l, (void)events;
	if (fd == -1)
		return;
	if (closed_port)
		close(fd);
	else
		rpcserver_accepted(there, fd, &address);
}

static void
server_start(void)
{
	static const struct rpcserver_options options = {.handshake_s = 5., .conns_per_client_max = 10};

	there = rpcserver_new(ipc, wires, &there_service, &options);
	closed_port = false;
}

/* All connections are lost; new ones are closed at once. */
static void
server_stop(void)
{
	rpcserver_free(there);
	there = NULL;
	closed_port = true;
}

static void
on_guard(struct ev_loop *l, struct ev_timer *w, int events)
{
	(void)l, (void)w, (void)events;
	fprintf(stderr, "the test hangs\n");
	abort();
}

static int64_t quiet_ns;

static void
forward_times(int64_t hold_ns, int64_t timeout_ns)
{
	const struct forward_options options = {.hold_ns = hold_ns,
	    .timeout_ns = timeout_ns,
	    .quiet_ns = quiet_ns,
	    .default_wait_ns = 300 * NS_PER_S,
	    .max_wait_ns = 600 * NS_PER_S};

	forward_set(forward, &options);
}

static int
setup(void **state)
{
	static const struct forward_options none;
	socklen_t size = sizeof address;
	int fd;

	(void)state;
	loop = ev_loop_new(0);
	ipc = ipc_new(loop, "test");
	wires = wires_new(loop);
	pool = rpcpool_new(loop, wires, NULL);
	forward = forward_new(loop, pool, &none, &ops, NULL);
	quiet_ns = 30 * NS_PER_S;
	forward_times(30 * NS_PER_S, 30 * NS_PER_S);
	assert_int_equal(net_addr_parse("127.0.0.1", 0, &address), 0);
	fd = net_listen_tcp(&address, 16, 0);
	assert_true(fd != -1);
	assert_int_equal(getsockname(fd, &address.sa, &size), 0);
	ev_io_init(&accepting, on_connection, fd, EV_READ);
	ev_io_start(loop, &accepting);
	ev_timer_init(&guard, on_guard, GUARD_S, 0.);
	ev_timer_start(loop, &guard);
	server_start();
	target_error = NULL;
	as_leader = target_here = has_other = false;
	still_asked = true;
	served_here = 0;
	seen = refuse = failures = 0;
	parked_count = ended = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rpcserver_free(there);
	forward_free(forward);
	rpcpool_free(pool);
	ipc_free(ipc);
	wires_free(wires);
	ev_io_stop(loop, &accepting);
	close(accepting.fd);
	ev_timer_stop(loop, &guard);
	ev_loop_destroy(loop);
	return 0;
}

/* ---- asking ---- */

struct asked {
	struct ipc_stream *stream;
	bool done;
	char error[200];
	unsigned status;
	uint64_t index;
	struct buf body;
};

static void
on_answer(void *ctx, const struct ipc_answer *answer)
{
	struct asked *a = ctx;

	assert_false(a->done);
	a->done = true;
	a->stream = NULL;
	a->status = answer->code;
	if (answer->status == IPC_OK) {
		buf_put_bytes(&a->body, answer->body);
		a->index = mp_find_uint(answer->body, "Index");
	} else
		assert_int_equal(bytes_to_str(answer->error, a->error, sizeof a->error), 0);
}

static void
ask(struct asked *a, const char *method, struct bytes args)
{
	*a = (struct asked){.body = BUF_INIT(1 << 26)};
	a->stream = ipc_serve(
	    ipc, &here_service, ipc_method_find(ipc, &here_service, bytes_str(method)), args, 0, on_answer, a);
}

static void
ask_parked(struct asked *a, uint64_t index, int64_t wait_ns)
{
	struct buf args = BUF_INIT(1000);

	mp_put_map(&args, 2);
	mp_put_kv_uint(&args, "MinQueryIndex", index);
	mp_put_kv_int(&args, "MaxQueryTime", wait_ns);
	ask(a, "T.Park", buf_bytes(&args));
	buf_free(&args);
}

/* The server answers what is parked at i. */
static void
answer_parked(size_t i, uint64_t index)
{
	struct ipc_stream *s = parked[i];
	struct buf body = BUF_INIT(100);

	assert_non_null(s);
	parked[i] = NULL;
	mp_put_map(&body, 1);
	mp_put_kv_uint(&body, "Index", index);
	ipc_stream_watch(s, NULL, NULL, NULL);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

#define RUN_UNTIL(condition)                                                                                           \
	while (!(condition))                                                                                           \
	ev_run(loop, EVRUN_ONCE)

/* ---- tests ---- */

static void
test_there_and_back(void **state)
{
	static const size_t sizes[] = {1, 100, 70000, 300000, 5000000};
	struct asked a;

	(void)state;
	for (size_t i = 0; i < COUNTOF(sizes); i++) {
		uint8_t *bytes = xmalloc(sizes[i]);
		struct buf args = BUF_INIT(1 << 26);

		for (size_t n = 0; n < sizes[i]; n++)
			bytes[n] = (uint8_t)(n * 13 + (n >> 9));
		mp_put_map(&args, 1);
		mp_put_kv_str(&args, "Value", bytes_of(bytes, sizes[i]));
		ask(&a, "T.Echo", buf_bytes(&args));
		RUN_UNTIL(a.done);
		assert_string_equal(a.error, "");
		assert_true(bytes_equal(buf_bytes(&a.body), buf_bytes(&args)));
		buf_free(&args);
		buf_free(&a.body);
		free(bytes);
	}
	assert_int_equal(rpcpool_connections(pool), 1);
	assert_int_equal(rpcserver_connections(there), 1);
	assert_int_equal(seen_flags, RPCSERVER_REMOTE);
	as_leader = true;
	ask(&a, "T.Echo", BYTES("\x80"));
	RUN_UNTIL(a.done);
	assert_int_equal(seen_flags, RPCSERVER_FORWARDED | RPCSERVER_REMOTE);
	buf_free(&a.body);
}

static void
test_errors(void **state)
{
	struct asked a;

	(void)state;
	ask(&a, "T.Bad", BYTES("\x80"));
	RUN_UNTIL(a.done);
	assert_string_equal(a.error, "rpc error making call: far too large");
	assert_int_equal(a.status, 413);
	assert_int_equal(seen, 1);
	assert_int_equal(failures, 1);
	ask(&a, "T.Nope", BYTES("\x80"));
	RUN_UNTIL(a.done);
	assert_string_equal(a.error, "rpc error making call: rpc: can't find method T.Nope");
	target_error = "No known Consul servers";
	ask(&a, "T.Echo", BYTES("\x80"));
	assert_true(a.done);
	assert_string_equal(a.error, "No known Consul servers");
}

/* Who asked for an answer that is not older than so much does not get an older one. */
static void
test_too_old(void **state)
{
	static const struct {
		int64_t limit_ns;
		unsigned asked;
	} cases[] = {{0, 1}, {NS_PER_S, 2}, {3 * NS_PER_S - 1, 2}, {3 * NS_PER_S, 1}};
	struct asked a;

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases) * 2; i++) {
		struct buf args = BUF_INIT(200);
		unsigned asked = cases[i / 2].asked;

		seen = 0;
		mp_put_map(&args, 4);
		mp_put_kv_bool(&args, "AllowStale", true);
		mp_put_kv_int(&args, "MaxStaleDuration", cases[i / 2].limit_ns);
		mp_put_kv_uint(&args, "MinQueryIndex", i % 2 == 0 ? 0 : 8);
		mp_put_kv_int(&args, "MaxQueryTime", 20 * NS_PER_S);
		ask(&a, "T.Behind", buf_bytes(&args));
		RUN_UNTIL(a.done);
		assert_string_equal(a.error, "");
		assert_int_equal(a.index, 9);
		assert_int_equal(seen, asked);
		assert_int_equal(seen_index, i % 2 == 0 ? 0 : 8);
		assert_int_equal(mp_find_int(buf_bytes(&a.body), "LastContact"), asked == 2 ? 0 : 3 * NS_PER_S);
		buf_free(&args);
		buf_free(&a.body);
	}
}

/* A refusal is no outcome: it is tried again, and not for ever. */
static void
test_refusals(void **state)
{
	struct asked a;

	(void)state;
	forward_times(2 * NS_PER_S, 30 * NS_PER_S);
	refuse = 2;
	ask(&a, "T.Echo", BYTES("\x80"));
	RUN_UNTIL(a.done);
	assert_string_equal(a.error, "");
	assert_int_equal(seen, 3);
	buf_free(&a.body);
	forward_times(20 * NS_PER_MS, 30 * NS_PER_S);
	refuse = UINT32_MAX;
	ask(&a, "T.Echo", BYTES("\x80"));
	RUN_UNTIL(a.done);
	assert_string_equal(a.error, "rpc error making call: No cluster leader");
	target_error = "No cluster leader";
	ask(&a, "T.Echo", BYTES("\x80"));
	RUN_UNTIL(a.done);
	assert_string_equal(a.error, "No cluster leader");
}

/* A write whose connection is lost: its outcome is unknown, and it is not sent again. */
static void
test_lost_write(void **state)
{
	struct asked a;

	(void)state;
	ask(&a, "T.Write", BYTES("\x80"));
	RUN_UNTIL(seen == 1);
	server_stop();
	server_start();
	RUN_UNTIL(a.done || seen == 2);
	assert_int_equal(seen, 1);
	assert_string_equal(a.error, "rpc error making call: connection lost: the outcome is unknown");
}

/* Nobody took a byte of it: it waits for the server. (A port that accepts and closes may have taken it: that one is lost.) */
static void
test_write_not_sent(void **state)
{
	struct asked a;

	(void)state;
	server_stop();
	ev_io_stop(loop, &accepting);
	close(accepting.fd);
	ask(&a, "T.Write", BYTES("\x80"));
	RUN_UNTIL(failures >= 2 || a.done);
	assert_false(a.done);
	accepting.fd = net_listen_tcp(&address, 16, 0);
	assert_true(accepting.fd != -1);
	ev_io_set(&accepting, accepting.fd, EV_READ);
	ev_io_start(loop, &accepting);
	server_start();
	RUN_UNTIL(seen == 1);
	answer_parked(0, 1);
	RUN_UNTIL(a.done);
	assert_string_equal(a.error, "");
	assert_int_equal(seen, 1);
	buf_free(&a.body);
}

/* A read that waits is sent again, for the rest of its time. */
static void
test_lost_read(void **state)
{
	struct asked a;

	(void)state;
	ask_parked(&a, 5, 100 * NS_PER_S);
	RUN_UNTIL(seen == 1);
	assert_int_equal(seen_index, 5);
	assert_true(seen_wait <= 100 * NS_PER_S && seen_wait > 99 * NS_PER_S);
	server_stop();
	server_start();
	RUN_UNTIL(seen == 2);
	assert_int_equal(seen_index, 5);
	assert_true(seen_wait < 100 * NS_PER_S && seen_wait > 50 * NS_PER_S);
	answer_parked(1, 6);
	RUN_UNTIL(a.done);
	assert_int_equal(a.index, 6);
	buf_free(&a.body);
}

/* Those who ask before the question has left share it; who comes later is answered by the next one. */
static void
test_shared_question(void **state)
{
	struct asked first[3], late[3], other;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		ask_parked(&first[i], 5, 100 * NS_PER_S);
	RUN_UNTIL(seen == 1);
	for (size_t i = 0; i < 3; i++)
		ask_parked(&late[i], 5, 100 * NS_PER_S);
	ask_parked(&other, 6, 100 * NS_PER_S);
	assert_int_equal(forward_flights(forward), 2);
	assert_int_equal(forward_askers(forward), 7);
	RUN_UNTIL(seen == 2);
	answer_parked(0, 7);
	RUN_UNTIL(seen == 3 || late[0].done);
	for (size_t i = 0; i < 3; i++) {
		assert_true(first[i].done);
		assert_int_equal(first[i].index, 7);
		assert_false(late[i].done);
	}
	assert_int_equal(seen_index, 5);
	answer_parked(2, 9);
	RUN_UNTIL(late[0].done && late[1].done && late[2].done);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(late[i].index, 9);
		buf_free(&first[i].body);
		buf_free(&late[i].body);
	}
	assert_false(other.done);
	assert_int_equal(seen, 3);
	ipc_serve_cancel(other.stream);
}

/* When nobody waits any more, the server is told; as long as one does, it is not. */
static void
test_cancelled(void **state)
{
	struct asked a, b;

	(void)state;
	ask_parked(&a, 5, 100 * NS_PER_S);
	ask_parked(&b, 5, 100 * NS_PER_S);
	RUN_UNTIL(seen == 1);
	ipc_serve_cancel(a.stream);
	assert_int_equal(forward_flights(forward), 1);
	ipc_serve_cancel(b.stream);
	assert_int_equal(forward_flights(forward), 0);
	RUN_UNTIL(ended == 1);
}

/* A server that does not answer is not waited for without end. */
static void
test_deadline(void **state)
{
	struct asked a;

	(void)state;
	forward_times(NS_PER_S, 30 * NS_PER_MS);
	ask(&a, "T.Write", BYTES("\x80"));
	RUN_UNTIL(a.done);
	assert_string_equal(a.error, "rpc error making call: i/o deadline reached");
	RUN_UNTIL(ended == 1);
}

/* Who waits longer shares the question of who waits less, and goes on waiting when that time is over. */
static void
test_shared_by_different_waits(void **state)
{
	struct asked brief, late;

	(void)state;
	ask_parked(&brief, 5, 50 * NS_PER_S);
	ask_parked(&late, 5, 100 * NS_PER_S);
	assert_int_equal(forward_flights(forward), 1);
	RUN_UNTIL(seen == 1);
	assert_true(seen_wait <= 50 * NS_PER_S);
	answer_parked(0, 6);
	RUN_UNTIL(brief.done && late.done);
	assert_int_equal(late.index, 6);
	buf_free(&brief.body);
	buf_free(&late.body);
	/* not the other way round: he would wait too long */
	ask_parked(&late, 5, 100 * NS_PER_S);
	RUN_UNTIL(seen == 2);
	ask_parked(&brief, 5, 50 * NS_PER_S);
	assert_int_equal(forward_flights(forward), 2);
	ipc_serve_cancel(late.stream);
	ipc_serve_cancel(brief.stream);
}

/* Another one leads: reads that are under way to the old one are asked anew, also if that is only stopped and will never say so. */
static void
test_leader_changed_under_a_read(void **state)
{
	struct asked parked_one, plain, write;

	(void)state;
	ask_parked(&parked_one, 5, 100 * NS_PER_S);
	ask(&plain, "T.Park", BYTES("\x80"));
	ask(&write, "T.Write", BYTES("\x80"));
	RUN_UNTIL(seen == 3);
	forward_changed(forward); /* of this one nothing has changed */
	assert_int_equal(seen, 3);
	still_asked = false;
	forward_changed(forward);
	RUN_UNTIL(seen == 5);
	RUN_UNTIL(ended == 2); /* the old questions are withdrawn, the write is not */
	assert_false(write.done);
	answer_parked(3, 6);
	answer_parked(4, 6);
	RUN_UNTIL(parked_one.done && plain.done);
	assert_string_equal(parked_one.error, "");
	buf_free(&parked_one.body);
	buf_free(&plain.body);
	ipc_serve_cancel(write.stream);
}

/* This process leads now: it answers itself what waited for a leader, for the rest of its wait. */
static void
test_leader_is_here(void **state)
{
	struct asked waits, parked_one, lost;

	(void)state;
	target_error = "No cluster leader";
	ask(&waits, "T.Echo", BYTES("\x81\xa5Index\x07"));
	ask_parked(&parked_one, 5, 100 * NS_PER_S);
	target_error = NULL;
	ask_parked(&lost, 6, 100 * NS_PER_S);
	RUN_UNTIL(seen == 1);
	target_here = true;
	still_asked = false;
	forward_changed(forward);
	RUN_UNTIL(waits.done && parked_one.done && lost.done);
	assert_int_equal(served_here, 3);
	assert_int_equal(waits.index, 7);
	assert_int_equal(served_index, 6);
	assert_true(served_wait > 50 * NS_PER_S && served_wait <= 100 * NS_PER_S);
	assert_int_equal(forward_flights(forward) + forward_askers(forward), 0);
	buf_free(&waits.body);
	buf_free(&parked_one.body);
	buf_free(&lost.body);
}

/* A server that says nothing: a read is asked of another one, a write is not, and both are not asked of it first any more. */
static void
test_quiet_server(void **state)
{
	struct asked read, write;
	socklen_t size = sizeof second_address;
	struct ev_io second;
	int fd;

	(void)state;
	assert_int_equal(net_addr_parse("127.0.0.1", 0, &second_address), 0);
	fd = net_listen_tcp(&second_address, 16, 0);
	assert_true(fd != -1);
	assert_int_equal(getsockname(fd, &second_address.sa, &size), 0);
	ev_io_init(&second, on_connection, fd, EV_READ);
	ev_io_start(loop, &second);
	has_other = true;
	quiet_ns = 30 * NS_PER_MS;
	forward_times(NS_PER_S, 30 * NS_PER_S);
	ask(&write, "T.Write", BYTES("\x80"));
	ask(&read, "T.Park", BYTES("\x80"));
	RUN_UNTIL(seen == 3); /* the read, again */
	RUN_UNTIL(ended == 1);
	assert_int_equal(rpcpool_connections(pool), 2);
	assert_null(parked[1]);
	answer_parked(2, 1);
	RUN_UNTIL(read.done);
	assert_string_equal(read.error, "");
	assert_int_equal(failures, 2);
	/* the write's answer still comes */
	assert_false(write.done);
	answer_parked(0, 1);
	RUN_UNTIL(write.done);
	assert_string_equal(write.error, "");
	assert_int_equal(seen, 3);
	buf_free(&read.body);
	buf_free(&write.body);
	ev_io_stop(loop, &second);
	close(fd);
}

/* Many at once over one connection: each gets its own answer. */
static void
test_many(void **state)
{
	static struct asked many[3000];
	size_t done = 0;

	(void)state;
	for (size_t i = 0; i < COUNTOF(many); i++) {
		struct buf args = BUF_INIT(100);

		mp_put_map(&args, 1);
		mp_put_kv_uint(&args, "Index", i);
		ask(&many[i], "T.Echo", buf_bytes(&args));
		buf_free(&args);
	}
	while (done < COUNTOF(many)) {
		ev_run(loop, EVRUN_ONCE);
		for (done = 0; done < COUNTOF(many) && many[done].done; done++)
			;
	}
	for (size_t i = 0; i < COUNTOF(many); i++) {
		assert_int_equal(many[i].index, i);
		buf_free(&many[i].body);
	}
	assert_int_equal(rpcpool_connections(pool), 1);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_there_and_back),
	    T(test_errors),
	    T(test_too_old),
	    T(test_refusals),
	    T(test_lost_write),
	    T(test_write_not_sent),
	    T(test_lost_read),
	    T(test_shared_question),
	    T(test_cancelled),
	    T(test_deadline),
	    T(test_shared_by_different_waits),
	    T(test_leader_changed_under_a_read),
	    T(test_leader_is_here),
	    T(test_quiet_server),
	    T(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

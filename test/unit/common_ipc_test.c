/*
 * common_ipc_test.c - calls, streams, descriptors, lost connections and bad frames over real sockets
 *
 * Both ends live in this process, on one loop each turn of which is run by hand until a condition holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "ipc.h"
#include "log.h"
#include "mem.h"
#include "net.h"

#define KEPT_MAX 4096

static struct ev_loop *loop;
static struct ipc *server, *client;
static struct ipc_listener *listener;
static struct ipc_peer *peer;

/* streams that handle_keep holds */
static struct ipc_stream *kept[KEPT_MAX];
static size_t kept_count, ended_count, credit_count;

struct outcome {
	unsigned answers;
	unsigned elements;
	enum ipc_status status;
	unsigned code;
	bool shared;
	int fd;
	char text[128];
	size_t body_size;
};

static void
on_answer(void *ctx, const struct ipc_answer *a)
{
	struct outcome *o = ctx;

	if (a->more) {
		o->elements++;
		o->body_size += a->body.size;
		return;
	}
	o->answers++;
	o->status = a->status;
	o->code = a->code;
	o->shared = a->shared;
	o->fd = a->fd;
	o->body_size = a->body.size;
	if (a->status != IPC_OK) {
		assert_int_equal(bytes_to_str(a->error, o->text, sizeof o->text), 0);
	} else {
		struct mp in = mp_of(a->body);

		/* texts of the tests are short; large values stay unread */
		if (mp_peek(&in) == MP_STR && bytes_to_str(mp_str(&in), o->text, sizeof o->text) == -1)
			o->text[0] = '\0';
	}
}

static void
handle_echo(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)ctx;
	ipc_reply(s, args);
}

static void
handle_fail(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)args, (void)ctx;
	ipc_fail(s, 404, "no such %s", "thing");
}

static void
on_ended(struct ipc_stream *s, void *ctx)
{
	(void)ctx;
	ended_count++;
	for (size_t i = 0; i < kept_count; i++)
		if (kept[i] == s)
			kept[i] = kept[--kept_count];
}

static void
on_credit(struct ipc_stream *s, void *ctx)
{
	(void)s, (void)ctx;
	credit_count++;
}

static void
handle_keep(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)args, (void)ctx;
	assert_true(kept_count < KEPT_MAX);
	kept[kept_count++] = s;
	ipc_stream_watch(s, on_ended, on_credit, NULL);
}

static void
handle_fd(struct ipc_stream *s, struct bytes args, void *ctx)
{
	int fd = ipc_stream_take_fd(s);

	(void)ctx;
	assert_int_not_equal(fd, -1);
	ipc_reply_fd(s, args, fd);
}

static const struct ipc_method methods[] = {
    {"Test.Echo", handle_echo},
    {"Test.Fail", handle_fail},
    {"Test.Keep", handle_keep},
    {"Test.Fd", handle_fd},
};
static const struct ipc_service service = {methods, COUNTOF(methods), NULL};

/* Runs the loop until the condition holds; a watchdog ends a test whose condition never does. */
#define RUN_UNTIL(condition)                                                                                           \
	do {                                                                                                           \
		for (unsigned turns = 0; !(condition); turns++) {                                                      \
			if (turns == 100000)                                                                           \
				fail_msg("never: %s", #condition);                                                     \
			ev_run(loop, EVRUN_ONCE);                                                                      \
		}                                                                                                      \
	} while (0)

static void
serve(void)
{
	int fd = net_listen_unix("test.sock", 0600);

	assert_int_not_equal(fd, -1);
	server = ipc_new(loop, "server");
	listener = ipc_listen(server, fd, &service);
}

static int
setup(void **state)
{
	(void)state;
	loop = ev_loop_new(EVBACKEND_EPOLL);
	kept_count = ended_count = credit_count = 0;
	serve();
	client = ipc_new(loop, "client");
	peer = ipc_peer_new(client, "test.sock", NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ipc_free(client);
	if (server != NULL)
		ipc_free(server);
	ev_loop_destroy(loop);
	unlink("test.sock");
	return 0;
}

static struct bytes
text_args(struct buf *b, const char *text)
{
	buf_clear(b);
	mp_put_cstr(b, text);
	return buf_bytes(b);
}

static void
test_call_and_refusal(void **state)
{
	struct buf args = BUF_INIT(1024);
	struct outcome echo = {0}, refused = {0}, unknown = {0};

	(void)state;
	ipc_call(peer, "Test.Echo", text_args(&args, "hello"), NULL, on_answer, &echo);
	ipc_call(peer, "Test.Fail", bytes_of(NULL, 0), NULL, on_answer, &refused);
	ipc_call(peer, "Test.Nothing", bytes_of(NULL, 0), NULL, on_answer, &unknown);
	RUN_UNTIL(unknown.answers == 1);
	assert_int_equal(echo.status, IPC_OK);
	assert_string_equal(echo.text, "hello");
	assert_int_equal(refused.status, IPC_ERROR);
	assert_int_equal(refused.code, 404);
	assert_string_equal(refused.text, "no such thing");
	assert_string_equal(unknown.text, "rpc: can't find method Test.Nothing");
	buf_free(&args);
}

/* Larger than any socket buffer, both ways. */
static void
test_large_value(void **state)
{
	struct buf args = BUF_INIT(8u * 1024 * 1024);
	uint8_t *data = xcalloc(1, 5000000);
	struct outcome o = {0};

	(void)state;
	mp_put_str(&args, data, 5000000);
	ipc_call(peer, "Test.Echo", buf_bytes(&args), NULL, on_answer, &o);
	RUN_UNTIL(o.answers == 1);
	assert_int_equal(o.status, IPC_OK);
	assert_int_equal(o.body_size, args.used);
	free(data);
	buf_free(&args);
}

/* Many at once: nothing is lost or mixed up when both directions are full. */
static void
test_many_calls_under_back_pressure(void **state)
{
	enum { CALLS = 300, SIZE = 100000 };
	static struct outcome o[CALLS];
	struct buf args = BUF_INIT(1u << 20);
	uint8_t *data = xcalloc(1, SIZE);
	unsigned done;

	(void)state;
	memset(o, 0, sizeof o);
	mp_put_str(&args, data, SIZE);
	for (unsigned i = 0; i < CALLS; i++)
		ipc_call(peer, "Test.Echo", buf_bytes(&args), NULL, on_answer, &o[i]);
	do {
		ev_run(loop, EVRUN_ONCE);
		done = 0;
		for (unsigned i = 0; i < CALLS; i++)
			done += o[i].answers;
	} while (done < CALLS);
	for (unsigned i = 0; i < CALLS; i++) {
		assert_int_equal(o[i].status, IPC_OK);
		assert_int_equal(o[i].body_size, args.used);
	}
	free(data);
	buf_free(&args);
}

static void
test_one_answer_for_many(void **state)
{
	enum { CALLS = 1000 };
	static struct outcome o[CALLS];
	struct buf body = BUF_INIT(64);

	(void)state;
	memset(o, 0, sizeof o);
	for (unsigned i = 0; i < CALLS; i++)
		ipc_call(peer, "Test.Keep", bytes_of(NULL, 0), NULL, on_answer, &o[i]);
	RUN_UNTIL(kept_count == CALLS);
	text_args(&body, "news");
	ipc_reply_many(kept, kept_count, buf_bytes(&body));
	kept_count = 0;
	RUN_UNTIL(o[CALLS - 1].answers == 1 && o[0].answers == 1);
	for (unsigned i = 0; i < CALLS; i++) {
		assert_int_equal(o[i].answers, 1);
		assert_true(o[i].shared);
		assert_string_equal(o[i].text, "news");
	}
	assert_int_equal(ended_count, 0);
	buf_free(&body);
}

static void
test_cancel_ends_the_stream(void **state)
{
	struct outcome o = {0};
	struct ipc_call *c = ipc_call(peer, "Test.Keep", bytes_of(NULL, 0), NULL, on_answer, &o);

	(void)state;
	RUN_UNTIL(kept_count == 1);
	ipc_cancel(c);
	RUN_UNTIL(ended_count == 1);
	assert_int_equal(o.answers, 0);
}

static void
test_credit_bounds_what_is_pushed(void **state)
{
	struct ipc_call_options options = {.credit = 10};
	struct buf body = BUF_INIT(64);
	struct outcome o = {0};
	struct ipc_call *c = ipc_call(peer, "Test.Keep", bytes_of(NULL, 0), &options, on_answer, &o);

	(void)state;
	RUN_UNTIL(kept_count == 1 && credit_count == 1);
	text_args(&body, "12345"); /* 6 bytes */
	assert_true(ipc_push(kept[0], buf_bytes(&body)));
	assert_false(ipc_push(kept[0], buf_bytes(&body)));
	assert_int_equal(ipc_stream_credit(kept[0]), 4);
	RUN_UNTIL(o.elements == 1);
	ipc_grant(c, 2);
	RUN_UNTIL(credit_count == 2);
	assert_true(ipc_push(kept[0], buf_bytes(&body)));
	ipc_reply(kept[0], bytes_of(NULL, 0));
	kept_count = 0;
	RUN_UNTIL(o.answers == 1);
	assert_int_equal(o.elements, 2);
	buf_free(&body);
}

static void
test_descriptor_travels_with_its_frame(void **state)
{
	int pipes[2];
	struct outcome before = {0}, o = {0}, after = {0};
	struct ipc_call_options options = {0};
	char byte = 0;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	options.fd = pipes[1];
	ipc_call(peer, "Test.Echo", bytes_of(NULL, 0), NULL, on_answer, &before);
	ipc_call(peer, "Test.Fd", bytes_of(NULL, 0), &options, on_answer, &o);
	ipc_call(peer, "Test.Echo", bytes_of(NULL, 0), NULL, on_answer, &after);
	RUN_UNTIL(after.answers == 1);
	assert_int_equal(before.fd, -1);
	assert_int_equal(after.fd, -1);
	assert_int_not_equal(o.fd, -1);
	assert_int_equal(write(o.fd, "x", 1), 1);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(o.fd);
	/* ours was closed once sent: no writer is left */
	assert_int_equal(read(pipes[0], &byte, 1), 0);
	close(pipes[0]);
}

static void
test_deadline(void **state)
{
	struct ipc_call_options options = {.timeout_ms = 1};
	struct outcome o = {0};

	(void)state;
	ipc_call(peer, "Test.Keep", bytes_of(NULL, 0), &options, on_answer, &o);
	RUN_UNTIL(o.answers == 1);
	assert_int_equal(o.status, IPC_EXPIRED);
	RUN_UNTIL(ended_count == 1); /* and the other side was told */
}

/* The server dies: a write's outcome is unknown, a read goes to the next server. */
static void
test_lost_connection(void **state)
{
	struct ipc_call_options again = {.flags = IPC_RESEND};
	struct outcome written = {0}, parked = {0}, waiting = {0};

	(void)state;
	ipc_call(peer, "Test.Keep", bytes_of(NULL, 0), NULL, on_answer, &written);
	ipc_call(peer, "Test.Keep", bytes_of(NULL, 0), &again, on_answer, &parked);
	RUN_UNTIL(kept_count == 2);
	ipc_free(server);
	server = NULL;
	assert_int_equal(ended_count, 2);
	RUN_UNTIL(written.answers == 1);
	assert_int_equal(written.status, IPC_LOST);
	assert_int_equal(parked.answers, 0);
	assert_false(ipc_peer_connected(peer));
	ipc_call(peer, "Test.Echo", bytes_of(NULL, 0), NULL, on_answer, &waiting);
	kept_count = 0;
	serve();
	RUN_UNTIL(kept_count == 1 && waiting.answers == 1);
	assert_int_equal(waiting.status, IPC_OK);
	ipc_reply(kept[0], bytes_of(NULL, 0));
	RUN_UNTIL(parked.answers == 1);
	assert_int_equal(parked.status, IPC_OK);
}

static void
test_not_sent(void **state)
{
	struct ipc_call_options options = {.timeout_ms = 5};
	struct outcome o = {0};

	(void)state;
	ipc_free(server);
	server = NULL;
	RUN_UNTIL(!ipc_peer_connected(peer));
	ipc_call(peer, "Test.Echo", bytes_of(NULL, 0), &options, on_answer, &o);
	RUN_UNTIL(o.answers == 1);
	assert_int_equal(o.status, IPC_NOT_SENT);
}

/* The other direction over the same connection. */
static void
test_server_calls_its_client(void **state)
{
	int pair[2];
	struct outcome o = {0};
	struct ipc_peer *a, *b;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	a = ipc_peer_from_fd(server, pair[0], true, &service);
	b = ipc_peer_from_fd(client, pair[1], false, &service);
	ipc_call(b, "Test.Echo", bytes_of(NULL, 0), NULL, on_answer, &o);
	RUN_UNTIL(o.answers == 1);
	assert_int_equal(o.status, IPC_OK);
	ipc_call(a, "Test.Echo", bytes_of(NULL, 0), NULL, on_answer, &o);
	RUN_UNTIL(o.answers == 2);
	ipc_peer_free(a);
	RUN_UNTIL(!ipc_peer_connected(b));
}

static void
send_raw(int fd, const void *data, size_t size)
{
	assert_int_equal(write(fd, data, size), (ssize_t)size);
}

/* A bad frame costs its connection; the others do not notice. */
static void
test_bad_frames(void **state)
{
	static const uint8_t hello[] = {
	    0, 0, 0, 11, 1, 0, 0, 0, 0, 0, 0, 0, 'c', 'o', 'n', 's', 'u', 'l', 'd', ' ', '1', ' ', 'x'};
	static const struct {
		uint8_t bytes[24];
		size_t size;
		bool after_hello;
	} bad[] = {
	    {{0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 0xa0}, 13, false},     /* a request before HELLO */
	    {{0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1}, 12, true},            /* unknown kind */
	    {{0, 0, 0, 0, 2, 8, 0, 0, 0, 0, 0, 1}, 12, true},            /* unknown flag */
	    {{0xff, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1}, 12, true},         /* 4 GB announced */
	    {{0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 0xc1}, 13, true},      /* no method */
	    {{0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 2, 0xa1, 'x'}, 14, true}, /* a number of the other side */
	    {{0, 0, 0, 2, 2, 1, 0, 0, 0, 0, 0, 1, 0xa1, 'x'}, 14, true}, /* a descriptor that did not come */
	    {{0, 0, 0, 3, 6, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 15, true},   /* a short window */
	    {{0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, 12, true},            /* HELLO twice */
	};
	struct outcome o = {0};

	(void)state;
	for (size_t i = 0; i < COUNTOF(bad); i++) {
		int fd = net_connect_unix("test.sock");
		char answer[4096];
		ssize_t n = -1;

		assert_int_not_equal(fd, -1);
		if (bad[i].after_hello)
			send_raw(fd, hello, sizeof hello);
		send_raw(fd, bad[i].bytes, bad[i].size);
		for (unsigned turns = 0; turns < 1000 && n != 0; turns++) {
			ev_run(loop, EVRUN_NOWAIT);
			n = read(fd, answer, sizeof answer);
		}
		if (n != 0)
			fail_msg("bad frame %zu was taken", i);
		close(fd);
	}
	ipc_call(peer, "Test.Echo", bytes_of(NULL, 0), NULL, on_answer, &o);
	RUN_UNTIL(o.answers == 1);
	assert_int_equal(o.status, IPC_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_call_and_refusal, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_large_value, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_calls_under_back_pressure, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_answer_for_many, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cancel_ends_the_stream, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_credit_bounds_what_is_pushed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_descriptor_travels_with_its_frame, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lost_connection, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_sent, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_server_calls_its_client, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bad_frames, setup, teardown),
	};

	log_init("test", LOG_ERROR_LEVEL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

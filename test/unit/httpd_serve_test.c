/*
 * httpd_serve_test.c - HTTP over real sockets: messages, their bounds and faults, connections that are kept, wait or make no progress
 */
#include "httpd_catalogd.h"

#include <zlib.h>

static const struct ipc_method METHODS[] = {PLAYED_METHODS};
static const struct ipc_service SERVICE = {METHODS, COUNTOF(METHODS), NULL};

static int
setup(void **unused)
{
	(void)unused;
	return setup_with(&SERVICE);
}

static void
test_keep_alive(void **unused)
{
	int fd = dial();

	(void)unused;
	for (int i = 0; i < 3; i++) {
		put_str(fd, "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(expect(fd, "ModifyIndex\":8}]"));
		assert_int_equal(count_of("Connection:"), 0);
	}
	put_str(fd, "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_true(expect(fd, "Connection: close\r\n"));
	shutdown(fd, SHUT_WR);
	assert_true(expect_closed(fd));
	close(fd);
	fd = dial();
	put_str(fd, "GET /v1/kv/k HTTP/1.0\r\n\r\n");
	assert_true(expect(fd, "Connection: close\r\n"));
	close(fd);
	fd = dial();
	put_str(fd, "GET /v1/kv/k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_true(expect(fd, "Connection: keep-alive\r\n"));
	close(fd);
	turns(3);
	assert_int_equal(conns_open(conns), 0);
}

/* Answers come in the order of the requests, those of other routes among them, and nothing is lost to a half-closed client. */
static void
test_pipelining(void **unused)
{
	int fd = dial();
	const uint8_t *first, *second, *third;

	(void)unused;
	put_str(fd, "GET /v1/kv/k?raw HTTP/1.1\r\nHost: x\r\n\r\n\r\nPUT /v1/kv/p HTTP/1.1\r\nHost: "
		    "x\r\nContent-Length: 3\r\n\r\nabcGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
		    "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	shutdown(fd, SHUT_WR);
	assert_true(expect(fd, "8300\""));
	first = memmem(answer.data, answer.used, "value", 5);
	second = memmem(answer.data, answer.used, "true", 4);
	third = memmem(answer.data, answer.used, "Invalid URL path", 16);
	assert_non_null(first);
	second = memmem(first, answer.used - (size_t)(first - answer.data), "\r\n\r\ntrue", 8);
	assert_non_null(second);
	assert_true(second > first && third > second);
	assert_int_equal(count_of("HTTP/1.1 "), 4);
	assert_true(expect_closed(fd));
	close(fd);
}

/* Every cut of a request between two packets gives the same answer. */
static void
test_every_cut(void **unused)
{
	static const char *const REQUESTS[] = {
	    "PUT /v1/kv/cut HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
	    "PUT /v1/kv/cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
	    ("PUT /v1/kv/cut HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: "
	     "x\r\n\r\n"),
	};

	(void)unused;
	for (size_t i = 0; i < COUNTOF(REQUESTS); i++) {
		size_t size = strlen(REQUESTS[i]);

		for (size_t cut = 1; cut < size; cut++) {
			int fd = dial();

			last_value_size = 0;
			buf_clear(&answer);
			put(fd, REQUESTS[i], cut);
			turns(2);
			assert_int_equal(last_value_size, 0);
			put(fd, REQUESTS[i] + cut, size - cut);
			if (!expect(fd, "\r\n\r\ntrue"))
				fail_msg("request %zu, cut at %zu", i, cut);
			assert_int_equal(last_value_size, 5);
			/* the connection stands behind the message */
			put_str(fd, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
			assert_true(expect(fd, "8300\""));
			close(fd);
			turns(3);
		}
	}
	assert_int_equal(conns_open(conns), 0);
}

static void
test_sizes(void **unused)
{
	static char value[524289];
	char head[128];
	int fd;

	(void)unused;
	memset(value, 'v', sizeof value);
	fd = dial();
	snprintf(
	    head, sizeof head, "PUT /v1/kv/max HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", sizeof value - 1);
	put_str(fd, head);
	put(fd, value, sizeof value - 1);
	assert_true(expect(fd, "\r\n\r\ntrue"));
	assert_int_equal(last_value_size, 524288);
	close(fd);
	fd = dial();
	snprintf(head, sizeof head, "PUT /v1/kv/over HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", sizeof value);
	put_str(fd, head);
	put(fd, value, sizeof value);
	assert_true(expect(fd, "Request body(524289 bytes) too large, max size: 524288 bytes. See "
			       "https://developer.hashicorp.com/docs/agent/config/config-files#kv_max_value_size."));
	assert_true(expect(fd, "HTTP/1.1 413 "));
	close(fd);
	/* chunked bodies are counted, too */
	fd = dial();
	put_str(fd, "PUT /v1/kv/chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n80001\r\n");
	put(fd, value, sizeof value);
	assert_true(expect(fd, "Request body(524289 bytes) too large"));
	close(fd);
	/* other endpoints have a limit as well */
	fd = dial();
	put_str(fd, "PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
	assert_true(expect(fd, "HTTP/1.1 413 "));
	close(fd);
	turns(5);
}

static void
test_large_heads(void **unused)
{
	static char value[70000];
	int fd = dial();

	(void)unused;
	memset(value, 'y', sizeof value);
	put_str(fd, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nX-Long: ");
	put(fd, value, 50000);
	put(fd, "\r\n\r\n", 4);
	assert_true(expect(fd, "8300\""));
	put_str(fd, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nX-Long: ");
	put(fd, value, sizeof value);
	assert_true(expect(fd, "HTTP/1.1 431 Request Header Fields Too Large\r\n"));
	assert_true(expect(fd, "Connection: close\r\n"));
	/* read on for a while, or a reset would eat the answer */
	put(fd, value, 1000);
	close(fd);
	turns(3);
}

static void
test_malformed(void **unused)
{
	(void)unused;
	EXCHANGE("GARBAGE\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "Connection: close\r\n", "\r\n\r\n400 Bad Request");
	EXCHANGE("GET /v1/status/leader HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header");
	EXCHANGE("GET /v1/status/leader HTTP/9.9\r\nHost: x\r\n\r\n", "HTTP/1.1 505 ",
	    "505 HTTP Version Not Supported: unsupported protocol version");
	EXCHANGE("GET /v1/kv/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("GET v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("GET http://h/v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n", "8300\"");
	EXCHANGE("GET /v1/status/leader HTTP/1.1\nHost: x\n\n", "8300\"");
	EXCHANGE("GET / HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("GET / HTTP/1.1\r\nHost: x\r\nbad name: 1\r\n\r\n", "400 Bad Request: invalid header name");
	EXCHANGE("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 Bad Request: malformed Host header");
	EXCHANGE("GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n folded\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE(
	    "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "HTTP/1.1 400 ");
	EXCHANGE(
	    "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabcd", "HTTP/1.1 400 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    "HTTP/1.1 400 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 ",
	    "Unsupported transfer encoding");
	EXCHANGE(
	    "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 501 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 ");
	EXCHANGE("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "Content-Length: 0\r\n");
	EXCHANGE("GET * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nExpect: something\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 417 ");
	assert_int_equal(conns_open(conns), 0);
}

static void
test_expect_continue(void **unused)
{
	int fd = dial();

	(void)unused;
	put_str(fd, "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	assert_true(expect(fd, "HTTP/1.1 100 Continue\r\n\r\n"));
	put_str(fd, "abc");
	assert_true(expect(fd, "\r\n\r\ntrue"));
	assert_int_equal(last_value_size, 3);
	close(fd);
	turns(3);
}

static void
test_gzip(void **unused)
{
	static uint8_t plain[65536];
	const uint8_t *body;
	z_stream z = {.zalloc = NULL};
	int fd = dial();

	(void)unused;
	put_str(fd, "GET /v1/kv/k?raw HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
	assert_true(expect(fd, "value")); /* too small to be worth it */
	put_str(fd, "GET /v1/kv/big?raw HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\n\r\n");
	assert_true(expect(fd, "Content-Length: 8192\r\n"));
	put_str(fd, "GET /v1/kv/big?raw HTTP/1.1\r\nHost: x\r\nAccept-Encoding: deflate, gzip\r\n\r\n");
	assert_true(expect(fd, "Content-Encoding: gzip\r\n"));
	assert_true(expect(fd, "\r\n\r\n"));
	body = memmem(answer.data, answer.used, "\r\n\r\n", 4);
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)(body + 4);
	z.avail_in = (unsigned)(answer.used - (size_t)(body + 4 - answer.data));
	z.next_out = plain;
	z.avail_out = sizeof plain;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, 8192);
	inflateEnd(&z);
	close(fd);
	turns(3);
}

#define WATCH "GET /v1/kv/k?index=8&wait=1m HTTP/1.1\r\nHost: x\r\n\r\n"

/* One answer for all who wait, in the form each of them asked for. */
static void
test_parked(void **unused)
{
	static const char *const REQUESTS[] = {
	    WATCH,
	    "GET /v1/kv/k?index=8&pretty HTTP/1.1\r\nHost: x\r\n\r\n",
	    "GET /v1/kv/k?index=8&raw HTTP/1.1\r\nHost: x\r\n\r\n",
	    "GET /v1/kv/k?index=8 HTTP/1.0\r\n\r\n",
	    WATCH "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n",
	    WATCH,
	};
	static const char *const WANTED[] = {"[{\"LockIndex\":0", "[\n    {\n        \"LockIndex\": 0",
	    "\r\n\r\nnew value", "Connection: close", "127.0.0.1:8300", "[{\"LockIndex\":0"};
	int fds[COUNTOF(REQUESTS)];
	struct buf b = BUF_INIT(1u << 20);

	(void)unused;
	for (size_t i = 0; i < COUNTOF(REQUESTS); i++) {
		fds[i] = dial();
		put_str(fds[i], REQUESTS[i]);
	}
	turns(10);
	assert_int_equal(held_count, COUNTOF(REQUESTS));
	put_entries(&b, "k", bytes_str("new value"), 11);
	ipc_reply_many(held, held_count, buf_bytes(&b));
	held_count = 0;
	for (size_t i = 0; i < COUNTOF(REQUESTS); i++) {
		buf_clear(&answer);
		assert_true(expect(fds[i], WANTED[i]));
		assert_int_equal(count_of("X-Consul-Index: 11\r\n"), 1);
	}
	/* and once more: nothing of the last answer is taken for the next */
	put_str(fds[0], WATCH);
	put_str(fds[5], WATCH);
	turns(10);
	assert_int_equal(held_count, 2);
	buf_clear(&b);
	put_entries(&b, "k", bytes_str("old value"), 12);
	ipc_reply_many(held, held_count, buf_bytes(&b));
	held_count = 0;
	buf_clear(&answer);
	assert_true(expect(fds[0], "b2xkIHZhbHVl"));
	buf_clear(&answer);
	assert_true(expect(fds[5], "X-Consul-Index: 12\r\n"));
	for (size_t i = 0; i < COUNTOF(REQUESTS); i++)
		close(fds[i]);
	turns(5);
	assert_int_equal(conns_open(conns), 0);
	buf_free(&b);
}

/* A client that goes away ends its wait at the neighbour, too. */
static void
test_client_gone(void **unused)
{
	int fd = dial();

	(void)unused;
	put_str(fd, WATCH);
	turns(10);
	assert_int_equal(held_count, 1);
	close(fd);
	turns(10);
	assert_int_equal(held_count, 0);
	assert_int_equal(held_ended, 1);
	assert_int_equal(conns_open(conns), 0);
}

/* A client that sends without reading is not read without end. */
static void
test_reads_ahead_within_bounds(void **unused)
{
	static const char REQUEST[] = "GET /v1/kv/big?raw HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = dial();
	size_t sent = 0, stuck = 0, answers;

	(void)unused;
	buf_clear(&answer);
	while (stuck < 50 && sent < 200u * 1024 * 1024) {
		ssize_t n = send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL);

		if (n == -1) {
			assert_int_equal(errno, EAGAIN);
			stuck++;
		} else {
			assert_int_equal(n, sizeof REQUEST - 1);
			sent++;
		}
		ev_run(loop, EVRUN_NOWAIT);
	}
	assert_int_equal(stuck, 50);
	answers = sent;
	assert_true(expect_n(fd, "HTTP/1.1 200 OK", answers));
	close(fd);
	turns(5);
}

/* Time ends what makes no progress, and nothing else. */
static void
test_deadlines(void **unused)
{
	int idle = dial(), head = dial(), body = dial(), parked = dial(), stalled = dial(), lingering = dial();
	double later = ev_now(loop) + CONN_STALL_S + 1;

	(void)unused;
	put_str(idle, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(idle, "8300\""));
	put_str(head, "GET /v1/status/leader HTTP/1.1\r\n");
	put_str(body, "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
	put_str(parked, WATCH);
	for (int i = 0; i < 200; i++)
		put(stalled, "GET /v1/kv/big?raw HTTP/1.1\r\nHost: x\r\n\r\n", 40);
	put_str(lingering, "GARBAGE\r\n\r\n");
	assert_true(expect(lingering, "HTTP/1.1 400 "));
	turns(500);
	assert_int_equal(conns_open(conns), 6);
	conns_expire(conns, ev_now(loop) + CONN_LINGER_S + 1);
	assert_int_equal(conns_open(conns), 5);
	conns_expire(conns, later + 10);
	assert_int_equal(conns_open(conns), 2);
	assert_true(expect_closed(head));
	assert_true(expect_closed(body));
	put_str(idle, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(idle, "8300\""));
	assert_int_equal(held_count, 1);
	close(idle);
	close(head);
	close(body);
	close(parked);
	close(stalled);
	close(lingering);
	turns(5);
	assert_int_equal(conns_open(conns), 0);
}

static void
test_connections_per_client(void **unused)
{
	int a, b, c, d;

	(void)unused;
	conns_set_per_client(conns, 2);
	a = dial();
	b = dial();
	c = dial();
	buf_clear(&answer);
	assert_true(expect(c, "HTTP/1.1 429 Too Many Requests\r\n"));
	assert_true(expect(c, "Your IP is issuing too many concurrent connections, please rate limit your calls\n"));
	close(c);
	turns(5);
	d = dial_from("10.0.0.1");
	put_str(d, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(d, "8300\""));
	close(b);
	turns(5);
	b = dial();
	put_str(b, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(b, "8300\""));
	close(a);
	close(b);
	close(d);
	turns(5);
	assert_int_equal(conns_open(conns), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_keep_alive, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pipelining, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_every_cut, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_large_heads, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_expect_continue, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_gzip, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_parked, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_client_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reads_ahead_within_bounds, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_deadlines, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_connections_per_client, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

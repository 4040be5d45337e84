/*
 * gossipd_join_test.c - contacting nodes: our own address, nobody there, somebody there, names; the texts are what operators see
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "join.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

static struct {
	bool done;
	unsigned joined;
	char error[JOIN_ERROR_MAX];
} result;

static void
on_done(void *ctx, unsigned joined, const char *error)
{
	assert_false(result.done);
	result.done = true;
	result.joined = joined;
	snprintf(result.error, sizeof result.error, "%s", error);
	ev_break(ctx, EVBREAK_ALL);
}

static void
join_all(const char *const *addresses, size_t count)
{
	static struct self self = {.address = "127.0.0.1", .port = 8301};
	struct ev_loop *loop = ev_loop_new(0);

	memset(&result, 0, sizeof result);
	(void)!join_start(loop, &self, addresses, count, on_done, loop);
	assert_false(result.done); /* never from within the call */
	ev_run(loop, 0);
	assert_true(result.done);
	ev_loop_destroy(loop);
}

/* A port of the loopback address that is taken, with or without somebody who listens on it. */
static int
take_port(bool listening, char text[NET_ADDR_TEXT_MAX])
{
	union net_addr a;
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(net_addr_parse("127.0.0.1", 0, &a), 0);
	assert_int_equal(bind(fd, &a.sa, net_addr_len(&a)), 0);
	if (listening)
		assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, &a.sa, &size), 0);
	net_addr_text_port(&a, text);
	return fd;
}

static void
test_own_address(void **state)
{
	const char *addresses[] = {"127.0.0.1", "127.0.0.1:8301", "localhost", "localhost:8301"};

	(void)state;
	join_all(addresses, 4);
	assert_int_equal(result.joined, 4);
	assert_string_equal(result.error, "");
}

static void
test_nobody_there(void **state)
{
	char text[NET_ADDR_TEXT_MAX], expected[512];
	int fd = take_port(false, text);
	const char *addresses[] = {text};

	(void)state;
	join_all(addresses, 1);
	assert_int_equal(result.joined, 0);
	snprintf(expected, sizeof expected,
	    "1 error occurred:\n\t* Failed to join %s: dial tcp %s: connect: connection refused\n\n", text, text);
	assert_string_equal(result.error, expected);
	close(fd);
}

/* One success among failures is a success; the failures are told all the same. */
static void
test_some_fail(void **state)
{
	char text[NET_ADDR_TEXT_MAX], expected[1024];
	int fd = take_port(true, text);
	const char *addresses[] = {"nosuch.example", text, "127.0.0.1"};

	(void)state;
	join_all(addresses, 3);
	assert_int_equal(result.joined, 1);
	snprintf(expected, sizeof expected,
	    "2 errors occurred:\n\t* Failed to resolve nosuch.example: only addresses are understood by this version "
	    "of consuld, not names\n"
	    "\t* Failed to join %s: clusters of several nodes are not supported by this version of consuld yet\n\n",
	    text);
	assert_string_equal(result.error, expected);
	close(fd);
}

static void
test_cancel(void **state)
{
	static struct self self = {.address = "127.0.0.1", .port = 8301};
	const char *addresses[] = {"127.0.0.1"};
	struct ev_loop *loop = ev_loop_new(0);

	(void)state;
	memset(&result, 0, sizeof result);
	join_cancel(join_start(loop, &self, addresses, 1, on_done, loop));
	ev_run(loop, EVRUN_NOWAIT);
	assert_false(result.done);
	ev_loop_destroy(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_own_address),
	    cmocka_unit_test(test_nobody_there),
	    cmocka_unit_test(test_some_fail),
	    cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

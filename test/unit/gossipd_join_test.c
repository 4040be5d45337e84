/*
 * gossipd_join_test.c - what an operator writes as a node to join: addresses, names, ports, the name of the node in front
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "join.h"

#include <string.h>

static void
assert_address(const char *text, const char *expected)
{
	char host[JOIN_HOST_MAX], shown[SWIM_ADDRESS_TEXT_MAX];
	struct swim_address a;
	uint16_t port;

	assert_int_equal(join_target(text, 8301, &a, host, &port), 1);
	assert_string_equal(swim_address_text(&a, shown), expected);
}

static void
test_addresses(void **state)
{
	(void)state;
	assert_address("10.0.0.1", "10.0.0.1:8301");
	assert_address("10.0.0.1:9", "10.0.0.1:9");
	assert_address("::1", "[::1]:8301");
	assert_address("[::1]:7946", "[::1]:7946");
	assert_address("::ffff:10.0.0.1", "10.0.0.1:8301");
	assert_address("n1.dc1/10.0.0.1:8302", "10.0.0.1:8302");
}

static void
assert_name(const char *text, const char *name, uint16_t port)
{
	char host[JOIN_HOST_MAX];
	struct swim_address a;
	uint16_t got;

	assert_int_equal(join_target(text, 8301, &a, host, &got), 0);
	assert_string_equal(host, name);
	assert_int_equal(got, port);
}

static void
test_names(void **state)
{
	(void)state;
	assert_name("localhost", "localhost", 8301);
	assert_name("s1.example.net:8400", "s1.example.net", 8400);
	assert_name("node/s1.example.net", "s1.example.net", 8301);
}

static void
test_neither(void **state)
{
	static const char *const texts[] = {"", ":8301", "a:b:c", "n1/"};
	char host[JOIN_HOST_MAX], longest[2 * JOIN_HOST_MAX];
	struct swim_address a;
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < COUNTOF(texts); i++)
		assert_int_equal(join_target(texts[i], 8301, &a, host, &port), -1);
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_int_equal(join_target(longest, 8301, &a, host, &port), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_neither),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

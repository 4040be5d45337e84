/*
 * catalogd_router_test.c - which server is asked next
 */
#include "router.h"

#include "catalogd_rpc_fixture.h"
#include "duration.h"

static struct router *router;

static int
setup(void **state)
{
	(void)state;
	router = router_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	router_free(router);
	return 0;
}

static union net_addr
address(const char *text)
{
	union net_addr a;

	assert_int_equal(net_addr_parse_port(text, &a), 0);
	return a;
}

static void
set(const char *name, const char *text)
{
	union net_addr a = address(text);

	assert_int_equal(router_set(router, name, &a), 0);
}

/* names: those of the servers in order, one letter each */
static void
check(const char *names)
{
	assert_int_equal(router_count(router), strlen(names));
	for (size_t i = 0; names[i] != '\0'; i++) {
		assert_int_equal(router_at(router, i)->name[0], names[i]);
	}
}

static void
call_failed(const char *text)
{
	union net_addr a = address(text);

	router_failed(router, &a);
}

static void
test_members(void **state)
{
	char text[NET_ADDR_TEXT_MAX];

	(void)state;
	check("");
	set("a", "10.0.0.1:8300");
	set("b", "10.0.0.2:8300");
	set("c", "10.0.0.3:8300");
	check("abc");
	set("b", "10.0.0.9:8301"); /* a changed one keeps its place */
	check("abc");
	assert_string_equal(net_addr_text_port(&router_at(router, 1)->address, text), "10.0.0.9:8301");
	router_remove(router, "a");
	router_remove(router, "nobody");
	check("bc");
	set("a", "10.0.0.1:8300");
	check("bca");
}

static void
test_failures_rotate(void **state)
{
	union net_addr b = address("10.0.0.2:8300");

	(void)state;
	set("a", "10.0.0.1:8300");
	call_failed("10.0.0.1:8300");
	check("a");
	set("b", "10.0.0.2:8300");
	set("c", "10.0.0.3:8300");
	call_failed("10.0.0.1:8300");
	check("bca");
	call_failed("10.0.0.1:8300"); /* a late failure of one that is not asked any more */
	check("bca");
	call_failed("10.0.0.2:8300");
	check("cab");
	router_prefer(router, &b);
	check("bca");
	router_prefer(router, &b);
	check("bca");
}

static uint32_t
always_first(void *ctx, uint32_t n)
{
	unsigned *asked = ctx;

	assert_true(n >= 2 && n <= 3);
	++*asked;
	return 0;
}

static void
test_shuffle(void **state)
{
	unsigned asked = 0;

	(void)state;
	set("a", "10.0.0.1:8300");
	set("b", "10.0.0.2:8300");
	set("c", "10.0.0.3:8300");
	router_shuffle(router, always_first, &asked);
	assert_int_equal(asked, 2);
	check("bca");
}

static void
test_bound(void **state)
{
	union net_addr a = address("10.0.0.1:8300");
	char name[ROUTER_NAME_MAX + 1];

	(void)state;
	for (int i = 0; i < ROUTER_SERVERS_MAX; i++) {
		snprintf(name, sizeof name, "%d", i);
		assert_int_equal(router_set(router, name, &a), 0);
	}
	assert_int_equal(router_set(router, "one more", &a), -1);
	assert_int_equal(router_set(router, "7", &a), 0);
	router_remove(router, "7");
	memset(name, 'x', ROUTER_NAME_MAX);
	name[ROUTER_NAME_MAX] = '\0';
	assert_int_equal(router_set(router, name, &a), -1);
}

static void
test_rebalance_times(void **state)
{
	(void)state;
	assert_int_equal(router_rebalance_ns(3, 10, 0), 120 * NS_PER_S);
	assert_int_equal(router_rebalance_ns(3, 10, 1), 180 * NS_PER_S);
	assert_int_equal(router_rebalance_ns(0, 10, 0), 120 * NS_PER_S);
	/* 64 clients a second and server */
	assert_int_equal(router_rebalance_ns(3, 192000, 0), 1000 * NS_PER_S);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_members), T(test_failures_rotate), T(test_shuffle), T(test_bound), T(test_rebalance_times)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

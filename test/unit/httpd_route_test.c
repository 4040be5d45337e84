/*
 * httpd_route_test.c - paths to endpoints, redirects and arguments; query strings
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "mem.h"
#include "params.h"
#include "route.h"

static struct region *region;

static int
setup(void **unused)
{
	(void)unused;
	region = region_new();
	route_init();
	return 0;
}

static int
teardown(void **unused)
{
	(void)unused;
	region_free(region);
	return 0;
}

/* route: found, with this argument. NULL and location: redirected there. Both NULL: unknown. */
static const struct {
	const char *path, *route, *arg, *location;
} PATHS[] = {
    {"/v1/agent/self", "/v1/agent/self", "", NULL},
    {"/v1/agent/self/", NULL, NULL, NULL},
    {"/v1/status/leader", "/v1/status/leader", "", NULL},
    {"/v1/status%2Fleader", NULL, NULL, NULL},
    {"/v1/stat%75s/leader", "/v1/status/leader", "", NULL},
    {"/v1/catalog/node/n1", "/v1/catalog/node/", "n1", NULL},
    {"/v1/catalog/node/", "/v1/catalog/node/", "", NULL},
    {"/v1/catalog/node", NULL, NULL, "/v1/catalog/node/"},
    /* the longest pattern wins, exact ones first */
    {"/v1/agent/service/register", "/v1/agent/service/register", "", NULL},
    {"/v1/agent/service/register/", "/v1/agent/service/", "register/", NULL},
    {"/v1/agent/service/deregister", NULL, NULL, "/v1/agent/service/deregister/"},
    {"/v1/agent/service/deregister/x", "/v1/agent/service/deregister/", "x", NULL},
    {"/v1/acl/policy/name", NULL, NULL, "/v1/acl/policy/name/"},
    {"/v1/acl/policy", "/v1/acl/policy", "", NULL},
    {"/v1/acl/policy/", "/v1/acl/policy/", "", NULL},
    {"/v1/acl/token/self", "/v1/acl/token/self", "", NULL},
    {"/v1/acl/token/selfish", "/v1/acl/token/", "selfish", NULL},
    {"/v1/query", "/v1/query", "", NULL},
    {"/v1/query/x/execute", "/v1/query/", "x/execute", NULL},
    {"/v1/config", "/v1/config", "", NULL},
    {"/v1/internal/federation-states/mesh-gateways", "/v1/internal/federation-states/mesh-gateways", "", NULL},
    /* arguments are decoded once, with literal and encoded slashes alike */
    {"/v1/agent/service/a%2Fb%201", "/v1/agent/service/", "a/b 1", NULL},
    {"/v1/agent/service/a/b%201", "/v1/agent/service/", "a/b 1", NULL},
    {"/v1/kv/pct%2525", "/v1/kv/", "pct%25", NULL},
    {"/v1/kv/a+b", "/v1/kv/", "a+b", NULL},
    {"/v1/kv", NULL, NULL, "/v1/kv/"},
    {"/v1%2Fkv/a", NULL, NULL, NULL},
    {"/v1/kv%2Fa", NULL, NULL, NULL},
    /* cleaning looks at literal slashes and dots alone */
    {"/v1//status/leader", NULL, NULL, "/v1/status/leader"},
    {"/v1/kv/a//b", NULL, NULL, "/v1/kv/a/b"},
    {"/v1/kv/a/./b", NULL, NULL, "/v1/kv/a/b"},
    {"/v1/kv/a/../b", NULL, NULL, "/v1/kv/b"},
    {"/v1/kv/a/..", NULL, NULL, "/v1/kv"},
    {"/v1/kv/a/.", NULL, NULL, "/v1/kv/a"},
    {"/v1/kv/a/b/../", NULL, NULL, "/v1/kv/a/"},
    {"/../../v1/kv/a", NULL, NULL, "/v1/kv/a"},
    {"//", NULL, NULL, "/"},
    {"/v1/kv/.hidden", "/v1/kv/", ".hidden", NULL},
    {"/v1/kv/a..b", "/v1/kv/", "a..b", NULL},
    {"/v1/kv/...", "/v1/kv/", "...", NULL},
    {"/v1/kv/a%2F%2Fb", "/v1/kv/", "a//b", NULL},
    {"/v1/kv/%2Fa", "/v1/kv/", "/a", NULL},
    {"/v1/kv/x%2F..%2Fz", "/v1/kv/", "x/../z", NULL},
    {"/v1/kv/x/%2E%2E/z", "/v1/kv/", "x/../z", NULL},
    {"/v1/kv/a/", "/v1/kv/", "a/", NULL},
    {"/v1", NULL, NULL, NULL},
    {"/v1/", NULL, NULL, NULL},
    {"/", NULL, NULL, NULL},
    {"/V1/status/leader", NULL, NULL, NULL},
    {"/v1/status/leade", NULL, NULL, NULL},
    {"/v1/status/leaderx", NULL, NULL, NULL},
    {"/v1/kvx/a", NULL, NULL, NULL},
};

static void
test_paths(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < COUNTOF(PATHS); i++) {
		struct route_match m = route_find(bytes_str(PATHS[i].path), region);

		if (PATHS[i].route != NULL) {
			if (m.kind != ROUTE_FOUND || strcmp(m.route->path, PATHS[i].route) != 0 ||
			    !bytes_is(m.arg, PATHS[i].arg))
				fail_msg("%s: not %s with %s", PATHS[i].path, PATHS[i].route, PATHS[i].arg);
		} else if (PATHS[i].location != NULL) {
			if (m.kind != ROUTE_REDIRECT || !bytes_is(m.location, PATHS[i].location))
				fail_msg("%s: not redirected to %s but to %.*s", PATHS[i].path, PATHS[i].location,
				    (int)m.location.size, (const char *)m.location.data);
		} else if (m.kind != ROUTE_UNKNOWN)
			fail_msg("%s: known", PATHS[i].path);
		region_reset(region);
	}
}

/* Each row finds itself, alone and with an argument, and allows what it says. */
static void
test_every_row(void **unused)
{
	static const char *const METHODS[] = {"GET", "PUT", "POST", "DELETE"};
	size_t count;
	const struct route *rows = route_table(&count);

	(void)unused;
	assert_int_equal(count, 127);
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(rows[i].path);
		struct route_match m = route_find(bytes_str(rows[i].path), region);

		assert_int_equal(m.kind, ROUTE_FOUND);
		assert_ptr_equal(m.route, &rows[i]);
		if (rows[i].path[n - 1] == '/') {
			m = route_find(bytes_str(region_printf(region, "%sargument", rows[i].path)), region);
			assert_int_equal(m.kind, ROUTE_FOUND);
			assert_true(bytes_is(m.arg, "argument") || m.route != &rows[i]);
		}
		for (unsigned k = 0; k < COUNTOF(METHODS); k++) {
			bool listed = false;

			for (const char *at = rows[i].allow; at != NULL;
			     at = strchr(at, ',') == NULL ? NULL : strchr(at, ',') + 1)
				listed |= strncmp(at, METHODS[k], strlen(METHODS[k])) == 0;
			assert_int_equal(listed, (rows[i].methods & 1u << k) != 0);
		}
		assert_true(rows[i].handler != NULL || rows[i].what != NULL);
		region_reset(region);
	}
}

static void
test_params(void **unused)
{
	struct params p;
	struct bytes value;
	size_t at = 0;

	(void)unused;
	assert_int_equal(params_parse(bytes_str("a=1&b&c=&&d=x%20y+z&a=2&%61%62=%3D"), region, &p), 0);
	assert_int_equal(p.count, 6);
	assert_true(bytes_is(params_value(&p, "a"), "1"));
	assert_true(params_has(&p, "b") && params_has(&p, "c") && !params_has(&p, "e"));
	assert_int_equal(params_value(&p, "c").size, 0);
	assert_true(bytes_is(params_value(&p, "d"), "x y z"));
	assert_true(bytes_is(params_value(&p, "ab"), "="));
	assert_true(params_next(&p, "a", &at, &value) && bytes_is(value, "1"));
	assert_true(params_next(&p, "a", &at, &value) && bytes_is(value, "2"));
	assert_false(params_next(&p, "a", &at, &value));
	assert_true(bytes_is(params_encode(&p, region), "a=1&a=2&ab=%3D&b=&c=&d=x+y+z"));
	assert_int_equal(params_parse(bytes_str(""), region, &p), 0);
	assert_int_equal(p.count, 0);
	assert_int_equal(params_parse(bytes_str("a=%zz"), region, &p), -1);
	assert_int_equal(params_parse(bytes_str("a=%2"), region, &p), -1);
	assert_int_equal(params_parse(bytes_str("%=1"), region, &p), -1);
	assert_int_equal(params_parse(bytes_str("a;b"), region, &p), -1);
}

static void
test_too_many_params(void **unused)
{
	static char query[PARAMS_MAX * 2 + 2];
	struct params p;

	(void)unused;
	for (size_t i = 0; i < sizeof query - 1; i++)
		query[i] = i % 2 == 0 ? 'a' : '&';
	assert_int_equal(params_parse(bytes_of(query, PARAMS_MAX * 2 - 1), region, &p), 0);
	assert_int_equal(p.count, PARAMS_MAX);
	assert_int_equal(params_parse(bytes_of(query, PARAMS_MAX * 2 + 1), region, &p), -1);
}

static void
test_printable(void **unused)
{
	static const char *const GOOD[] = {"/a b", "/\xc3\xa9", "/\xf0\x9f\x98\x80", "/\xff\xfe", "/\xe6\x97\xa5", "/~",
	    "/\xef\xbf\xbd", "/\xe2\x80\x94"};
	static const char *const BAD[] = {"/\n", "/\x7f", "/\x01", "/\xc2\x85", "/\xc2\xa0", "/\xe2\x80\x8b",
	    "/\xe2\x80\xa8", "/\xef\xbb\xbf", "/\xee\x80\x80", "/\xc2\xad", "/\xe3\x80\x80", "/\xf4\x8f\xbf\xbf"};

	(void)unused;
	for (size_t i = 0; i < COUNTOF(GOOD); i++)
		if (!params_printable(bytes_str(GOOD[i])))
			fail_msg("refused: %zu", i);
	for (size_t i = 0; i < COUNTOF(BAD); i++)
		if (params_printable(bytes_str(BAD[i])))
			fail_msg("taken: %zu", i);
	assert_false(params_printable(bytes_of("a\0b", 3)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_every_row),
	    cmocka_unit_test(test_params),
	    cmocka_unit_test(test_too_many_params),
	    cmocka_unit_test(test_printable),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

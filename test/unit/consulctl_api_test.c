/*
 * consulctl_api_test.c - paths, parameters, and which address and credentials a command line means (cli.md 3, 4)
 */
#include "api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct flag own[] = {
    {"http-addr", FLAG_STRING, ""},
    {"token", FLAG_STRING, ""},
    {"token-file", FLAG_STRING, ""},
    {"ca-file", FLAG_STRING, ""},
    {"ca-path", FLAG_STRING, ""},
    {"client-cert", FLAG_STRING, ""},
    {"client-key", FLAG_STRING, ""},
    {"tls-server-name", FLAG_STRING, ""},
    {"datacenter", FLAG_STRING, ""},
    {"stale", FLAG_BOOL, ""},
    {NULL},
};
static const struct flag *const tables[] = {own, NULL};
static const struct command command = {.path = "test", .options = COMMAND_CLIENT | COMMAND_SERVER};

static struct region *region;

static int
set_up(void **state)
{
	static const char *const variables[] = {"CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE",
	    "CONSUL_CACERT", "CONSUL_CAPATH", "CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY", "CONSUL_TLS_SERVER_NAME",
	    "CONSUL_HTTP_SSL", "CONSUL_HTTP_SSL_VERIFY", "CONSUL_HTTP_AUTH"};

	(void)state;
	for (size_t i = 0; i < COUNTOF(variables); i++)
		unsetenv(variables[i]);
	region = region_new();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	region_free(region);
	return 0;
}

/* An invocation with up to three flags. */
static struct invocation
invoked(const char *a, const char *b)
{
	struct invocation in = {.command = &command, .region = region, .flags = flags_new(region, tables)};
	char *argv[] = {(char *)a, (char *)b};
	int rest;

	assert_int_equal(flags_parse(in.flags, b == NULL ? (a == NULL ? 0 : 1) : 2, argv, &rest), 0);
	return in;
}

static void
refused(const char *a, const char *b, const char *expected)
{
	struct invocation in = invoked(a, b);
	const char *error;

	assert_null(api_new(&in, &error));
	assert_string_equal(error, expected);
}

/* The error of a request that can not be answered names what was dialled. */
static void
dials(const char *a, const char *b, const char *expected)
{
	struct invocation in = invoked(a, b);
	const char *error;
	struct api *api = api_new(&in, &error);
	struct response response;

	assert_non_null(api);
	assert_int_equal(api_json_of(api, "/v1/status/leader", &response), -1);
	assert_string_equal(response.error, expected);
	response_free(&response);
	api_free(api);
}

static void
paths(void **state)
{
	struct request r;

	(void)state;
	request_init(&r, region, "GET", "/v1/kv/");
	request_path(&r, "a/b c?d#e%f\xc3\xa4&=", true);
	assert_string_equal(r.path, "/v1/kv/a/b%20c%3Fd%23e%25f%C3%A4&=");
	request_init(&r, region, "PUT", "/v1/agent/service/deregister/");
	request_path(&r, "host:web/1", false);
	assert_string_equal(r.path, "/v1/agent/service/deregister/host:web%2F1");
}

static void
parameters_are_sorted(void **state)
{
	struct request r;

	(void)state;
	request_init(&r, region, "GET", "/v1/x");
	request_param(&r, "wan", "1");
	request_param(&r, "segment", "_all");
	request_param(&r, "tag", "b");
	request_param(&r, "tag", "a");
	assert_int_equal(r.count, 4);
	assert_string_equal(r.params[0].name, "segment");
	assert_string_equal(r.params[1].value, "b");
	assert_string_equal(r.params[2].value, "a");
	assert_string_equal(r.params[3].name, "wan");
}

static void
where_the_agent_is(void **state)
{
	(void)state;
	/* port 1 of this machine: nobody listens, and no other host is asked */
	dials("-http-addr=127.0.0.1:1", NULL,
	    "Get \"http://127.0.0.1:1/v1/status/leader\": dial tcp 127.0.0.1:1: connect: connection refused");
	dials("-http-addr=http://127.0.0.1:1/pre/", "-datacenter=d c",
	    "Get \"http://127.0.0.1:1/pre/v1/status/leader?dc=d%20c\": dial tcp 127.0.0.1:1: connect: connection "
	    "refused");
	dials("-http-addr=unix:///nowhere/x.sock", "-stale",
	    "Get \"http://localhost/v1/status/leader?stale=\": dial unix /nowhere/x.sock: connect: no such file or "
	    "directory");
	setenv("CONSUL_HTTP_ADDR", "127.0.0.1:1", 1);
	setenv("CONSUL_HTTP_SSL", "true", 1);
	dials(NULL, NULL,
	    "Get \"https://127.0.0.1:1/v1/status/leader\": dial tcp 127.0.0.1:1: connect: connection refused");
	dials("-http-addr=127.0.0.2:1", NULL,
	    "Get \"https://127.0.0.2:1/v1/status/leader\": dial tcp 127.0.0.2:1: connect: connection refused");
}

static void
what_can_not_be_used(void **state)
{
	(void)state;
	refused("-http-addr=ftp://x", NULL, "Unknown protocol scheme: ftp");
	refused("-ca-file=/nofile", NULL, "Error loading CA File: open /nofile: no such file or directory");
	refused("-client-cert=x", NULL, "both client cert and client key must be provided");
	refused("-client-key=x", NULL, "both client cert and client key must be provided");
	refused(
	    "-token-file=/nofile", NULL, "Error loading token file /nofile : open /nofile: no such file or directory");
	setenv("CONSUL_HTTP_TOKEN_FILE", "/nofile2", 1);
	refused(NULL, NULL, "Error loading token file /nofile2 : open /nofile2: no such file or directory");
}

static void
a_flag_is_before_the_environment(void **state)
{
	struct invocation in = invoked("-token=x", NULL);
	const char *error;
	struct api *api;

	(void)state;
	setenv("CONSUL_HTTP_TOKEN_FILE", "/nofile", 1);
	api = api_new(&in, &error); /* the file is not even opened */
	assert_non_null(api);
	api_free(api);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(paths, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(parameters_are_sorted, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(where_the_agent_is, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_can_not_be_used, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_flag_is_before_the_environment, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

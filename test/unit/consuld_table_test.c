/*
 * consuld_table_test.c - the daemon table: defaults, changes, refusals; the shipped file is the default
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define PATH "table_test.conf"

static void
write_file(const char *text)
{
	FILE *f = fopen(PATH, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static const struct table_row *
row(const struct table *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->rows[i].name, name) == 0)
			return &t->rows[i];
	fail_msg("no row %s", name);
	return NULL;
}

static void
test_defaults(void **state)
{
	char error[TABLE_ERROR_MAX];
	struct table *t = table_load(NULL, error);

	(void)state;
	assert_non_null(t);
	assert_int_equal(t->count, 6);
	assert_false(t->external);
	assert_true(table_row_runs(row(t, "raftd"), true));
	assert_false(table_row_runs(row(t, "raftd"), false));
	assert_true(table_row_runs(row(t, "httpd"), false));
	assert_int_equal(row(t, "dnsd")->facility, -1);
	assert_true(row(t, "dnsd")->sandbox);
	table_free(t);
}

static void
test_changes_key_by_key(void **state)
{
	char error[TABLE_ERROR_MAX];
	struct table *t;

	(void)state;
	write_file(
	    "run_dir = \"/run/x\"; supervise = \"external\"; group = \"g\";\n"
	    "coordinate_interval_ms = 200; coordinate_period_ms = 86400000;\n"
	    "daemons = ( { name = \"httpd\"; instances = 3; user = \"www\"; facility = \"Local3\"; start_seconds = 5;\n"
	    "  limits = { files = 1000; memory = 5000000000L; core = true; }; },\n"
	    "  { name = \"dnsd\"; instances = 0; sandbox = false; }, { name = \"catalogd\"; role = \"client\"; } );\n");
	t = table_load(PATH, error);
	assert_non_null(t);
	assert_string_equal(t->run_dir, "/run/x");
	assert_string_equal(t->group, "g");
	assert_true(t->external);
	assert_int_equal(t->coordinate_interval_ms, 200);
	assert_int_equal(t->coordinate_period_ms, 86400000);
	assert_int_equal(row(t, "httpd")->instances, 3);
	assert_string_equal(row(t, "httpd")->user, "www");
	assert_int_equal(row(t, "httpd")->facility, LOG_LOCAL3);
	assert_int_equal(row(t, "httpd")->start_ms, 5000);
	assert_int_equal(row(t, "httpd")->files_max, 1000);
	assert_int_equal(row(t, "httpd")->memory_max, 5000000000);
	assert_true(row(t, "httpd")->core);
	assert_false(table_row_runs(row(t, "dnsd"), true));
	assert_false(row(t, "dnsd")->sandbox);
	assert_false(table_row_runs(row(t, "catalogd"), true));
	assert_true(table_row_runs(row(t, "catalogd"), false));
	assert_int_equal(row(t, "gossipd")->instances, 1);
	table_free(t);
}

static void
assert_refused(const char *text, const char *why)
{
	char error[TABLE_ERROR_MAX] = "";

	write_file(text);
	assert_null(table_load(PATH, error));
	assert_string_equal(error, why);
}

static void
test_refusals_say_where_and_why(void **state)
{
	char error[TABLE_ERROR_MAX];

	(void)state;
	assert_refused("bogus = 1;\n", PATH ":1: unknown key bogus");
	assert_refused("\nsupervise = \"no\";\n", PATH ":2: supervise: internal or external is wanted");
	assert_refused("run_dir = 5;\n", PATH ":1: run_dir: a text is wanted");
	assert_refused("coordinate_period_ms = 0;\n", PATH ":1: coordinate_period_ms: 0 is not in 1..86400000");
	assert_refused("coordinate_interval_ms = \"1s\";\n", PATH ":1: coordinate_interval_ms: a number is wanted");
	assert_refused("daemons = 5;\n", PATH ":1: daemons: a list of groups is wanted");
	assert_refused("daemons = ( { user = \"x\"; } );\n", PATH ":1: daemons: each one is a group with a name");
	assert_refused(
	    "daemons = ( { name = \"nosuchd\"; } );\n", PATH ":1: daemons: there is no daemon called nosuchd");
	assert_refused(
	    "daemons = (\n{ name = \"httpd\";\n instances = 65; } );\n", PATH ":3: instances: 65 is not in 0..64");
	assert_refused(
	    "daemons = ( { name = \"httpd\"; instances = \"1\"; } );\n", PATH ":1: instances: a number is wanted");
	assert_refused("daemons = ( { name = \"httpd\"; role = \"king\"; } );\n",
	    PATH ":1: role: one of all, server, client is wanted");
	assert_refused(
	    "daemons = ( { name = \"httpd\"; facility = \"x\"; } );\n", PATH ":1: invalid syslog facility: x");
	assert_refused(
	    "daemons = ( { name = \"httpd\"; sandbox = 1; } );\n", PATH ":1: sandbox: true or false is wanted");
	assert_refused(
	    "daemons = ( { name = \"httpd\"; limits = { speed = 1; }; } );\n", PATH ":1: limits: unknown key speed");
	assert_refused("daemons = ( { name = \"httpd\"; color = 1; } );\n", PATH ":1: daemons: unknown key color");
	assert_refused("daemons = (\n", PATH ":2: syntax error");
	unlink(PATH);
	assert_null(table_load(PATH, error));
	assert_string_equal(error, "open " PATH ": No such file or directory");
}

static void
test_facilities(void **state)
{
	(void)state;
	assert_int_equal(table_facility("LOCAL0"), LOG_LOCAL0);
	assert_int_equal(table_facility("daemon"), LOG_DAEMON);
	assert_int_equal(table_facility("local8"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_changes_key_by_key),
	    cmocka_unit_test(test_refusals_say_where_and_why),
	    cmocka_unit_test(test_facilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * consulctl_output_test.c - tables, indented JSON and the shapes of watch (cli.md 5, 8.10)
 */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json_value.h"
#include "shape.h"

static struct region *region;
static struct buf out, tape;

static int
set_up(void **state)
{
	(void)state;
	region = region_new();
	buf_init(&out, 1 << 20);
	buf_init(&tape, 1 << 20);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	buf_free(&out);
	buf_free(&tape);
	region_free(region);
	return 0;
}

static const char *
written(void)
{
	buf_put_u8(&out, '\0');
	assert_false(out.overflow);
	return (const char *)out.data;
}

static void
row(struct table *t, const char *cell, ...)
{
	va_list args;

	va_start(args, cell);
	for (; cell != NULL; cell = va_arg(args, const char *))
		table_cell(t, "%s", cell);
	va_end(args);
	table_end_row(t);
}

static struct mp
parsed(const char *text)
{
	struct json_error error;

	buf_clear(&tape);
	assert_int_equal(json_parse(bytes_str(text), &tape, &error), 0);
	return mp_of(buf_bytes(&tape));
}

static void
columns(void **state)
{
	struct table *t = table_new(region);

	(void)state;
	row(t, "Node", "Address", "DC", NULL);
	row(t, " s1 ", "127.0.13.1:8301", "dc1", NULL);
	row(t, "longer", "x", "", NULL);
	table_columns(t, &out);
	assert_string_equal(written(), "Node    Address          DC\n"
				       "s1      127.0.13.1:8301  dc1\n"
				       "longer  x                \n");
}

static void
columns_count_bytes(void **state)
{
	struct table *t = table_new(region);

	(void)state;
	row(t, "\xc3\xa4", "b", NULL);
	row(t, "a", "b", NULL);
	table_columns(t, &out);
	assert_string_equal(written(), "\xc3\xa4  b\na   b\n");
}

static void
many_rows_and_cells(void **state)
{
	struct table *t = table_new(region);

	(void)state;
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < 30; j++)
			table_cell(t, "%d", j % 10);
		table_end_row(t);
	}
	assert_int_equal(table_rows(t), 100);
	table_columns(t, &out);
	assert_int_equal(out.used, 100 * (29 * 3 + 2));
}

static void
tabs(void **state)
{
	struct table *t = table_new(region);

	(void)state;
	row(t, "CreateIndex", "19", NULL);
	row(t, "Key", "a", NULL);
	row(t, "Value", "", NULL);
	table_tabs(t, 0, &out);
	assert_string_equal(written(), "CreateIndex      19\nKey              a\nValue            \n");
}

static void
tab_columns_are_blocks(void **state)
{
	struct table *t = table_new(region);

	(void)state;
	row(t, "a", "1", NULL);
	row(t, "alone in its row", NULL);
	row(t, "longer", "2", NULL);
	table_tabs(t, 0, &out);
	assert_string_equal(written(), "a      1\nalone in its row\nlonger      2\n");
	buf_clear(&out);
	table_tabs(t, 8, &out);
	assert_string_equal(written(), "a       1\nalone in its row\nlonger      2\n");
}

static void
sorting(void **state)
{
	struct table *t = table_new(region);

	(void)state;
	row(t, "Name", NULL);
	row(t, "b", "1", NULL);
	row(t, "a", "2", NULL);
	row(t, "a", "1", NULL);
	table_sort(t, 1);
	table_columns(t, &out);
	assert_string_equal(written(), "Name\na     1\na     2\nb     1\n");
}

static void
indented_json(void **state)
{
	(void)state;
	json_render(
	    parsed("{\"b\":[1,2.50,-3e2],\"a\":{},\"c\":[],\"d\":\"<x>\\n\",\"e\":null,\"f\":true}"), "\t", &out);
	assert_string_equal(written(), "{\n\t\"b\": [\n\t\t1,\n\t\t2.50,\n\t\t-3e2\n\t],\n\t\"a\": {},\n\t\"c\": "
				       "[],\n\t\"d\": \"\\u003cx\\u003e\\n\",\n"
				       "\t\"e\": null,\n\t\"f\": true\n}");
	buf_clear(&out);
	json_render(parsed("{\"b\":[1,{\"x\":2}]}"), "", &out);
	assert_string_equal(written(), "{\"b\":[1,{\"x\":2}]}");
}

static void
members_of_json(void **state)
{
	struct mp v = parsed("{\"n\":18446744073709551615,\"t\":\"x\",\"b\":true,\"l\":[1],\"z\":null}"), at;

	(void)state;
	assert_true(json_member_uint(v, "n") == UINT64_MAX);
	assert_true(bytes_is(json_member_text(v, "t"), "x"));
	assert_true(bytes_is(json_member_text(v, "n"), "18446744073709551615"));
	assert_true(json_member_bool(v, "b"));
	assert_int_equal(json_elements(json_member(v, "l"), &at), 1);
	assert_true(json_is_null(json_member(v, "z")));
	/* absent, or of another type */
	assert_true(json_is_null(json_member(v, "no")));
	assert_int_equal(json_member_uint(v, "t"), 0);
	assert_int_equal(json_member_text(v, "l").size, 0);
	assert_false(json_member_bool(v, "n"));
	assert_int_equal(json_elements(json_member(v, "t"), &at), 0);
	assert_int_equal(json_members(json_member(v, "no"), &at), 0);
	assert_true(json_is_null(json_member(json_member(v, "l"), "x")));
}

static void
shapes(void **state)
{
	(void)state;
	shape_write(&shape_key,
	    parsed(
		"{\"LockIndex\":0,\"Key\":\"a\",\"Flags\":7,\"Value\":\"MQ==\",\"CreateIndex\":1,\"ModifyIndex\":2}"),
	    &out);
	assert_string_equal(written(), "{\"Key\":\"a\",\"CreateIndex\":1,\"ModifyIndex\":2,\"LockIndex\":0,\"Flags\":7,"
				       "\"Value\":\"MQ==\",\"Session\":\"\"}");
	buf_clear(&out);
	shape_write(&shape_key_list, parsed("null"), &out);
	assert_string_equal(written(), "null");
	buf_clear(&out);
	shape_write(&shape_key_list, parsed("[]"), &out);
	assert_string_equal(written(), "[]");
	/* left out when empty, kept when not; the inner object is there with its zero values */
	buf_clear(&out);
	shape_write(&shape_service_list,
	    parsed("[{\"Node\":null,\"Service\":{\"ID\":\"w\",\"Kind\":\"\",\"SocketPath\":\"/"
		   "s\",\"Weights\":{\"Passing\":1}},\"Checks\":[]}]"),
	    &out);
	assert_string_equal(written(),
	    "[{\"Node\":null,\"Service\":{\"ID\":\"w\",\"Service\":\"\",\"Tags\":null,\"Meta\":null,\"Port\":0,"
	    "\"Address\":\"\","
	    "\"SocketPath\":\"/"
	    "s\",\"Weights\":{\"Passing\":1,\"Warning\":0},\"EnableTagOverride\":false,\"CreateIndex\":0,"
	    "\"ModifyIndex\":0,\"Proxy\":{\"MeshGateway\":{},\"Expose\":{}},\"Connect\":{}},\"Checks\":[]}]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(columns, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(columns_count_bytes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(many_rows_and_cells, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(tabs, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(tab_columns_are_blocks, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(sorting, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(indented_json, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(members_of_json, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(shapes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

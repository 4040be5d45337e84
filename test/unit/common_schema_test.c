/*
 * common_schema_test.c - structs through their tables: C form, msgpack, JSON in both directions
 */
#include "schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "mem.h"
#include "structs.h"

#define MESSAGE_MAX (1 << 20)

/* A recursive struct with one field of each kind. */
#define SAMPLE_FIELDS(F)                                                                                               \
	F(STR, "Text", text, 0, NULL, "text_alias text_second", "")                                                    \
	F(BOOL, "Bool", boolean, 0, NULL, NULL, "")                                                                    \
	F(INT, "Int", integer, 0, NULL, NULL, "")                                                                      \
	F(UINT, "Uint", natural, 0, NULL, NULL, "")                                                                    \
	F(FLOAT, "Float", real, 0, NULL, NULL, "")                                                                     \
	F(DURATION, "Wait", wait, FIELD_TEXT, NULL, NULL, "")                                                          \
	F(DURATION, "WaitNs", wait_ns, 0, NULL, NULL, "")                                                              \
	F(TIME, "When", when, 0, NULL, NULL, "")                                                                       \
	F(BYTES, "Data", data, 0, NULL, NULL, "")                                                                      \
	F(ANY, "Any", any, 0, NULL, NULL, "")                                                                          \
	F(STRLIST, "List", list, 0, NULL, NULL, "")                                                                    \
	F(STRLIST, "ListShown", list_shown, FIELD_NONNULL, NULL, NULL, "")                                             \
	F(STRMAP, "Map", map, 0, NULL, NULL, "")                                                                       \
	F(STRLISTMAP, "Lists", lists, FIELD_NONNULL, NULL, NULL, "")                                                   \
	F(STRUCT, "Weights", weights, 0, &weights_schema, NULL, "")                                                    \
	F(PTR, "Self", self, FIELD_OMIT, &sample_schema, NULL, "")                                                     \
	F(LIST, "Addresses", addresses, FIELD_OMIT, &service_address_schema, NULL, "")                                 \
	F(MAP, "ByName", by_name, FIELD_OMIT, &service_address_schema, NULL, "")                                       \
	F(STR, "Secret", secret, FIELD_HIDDEN, NULL, NULL, "")                                                         \
	F(STR, "Output", output, FIELD_NOINPUT | FIELD_OMIT, NULL, NULL, "")                                           \
	F(STR, "Old", old, FIELD_IGNORED | FIELD_OMIT, NULL, NULL, "")                                                 \
	F(STRUCT, "Gone", gone, FIELD_OMIT, &weights_schema, NULL, "")
SCHEMA_DECLARE(sample, SAMPLE_FIELDS)
SCHEMA_DEFINE(sample, "Sample", SAMPLE_FIELDS, 0)

static struct buf mp, out;
static struct json_error error;

static int
reset(void **state)
{
	(void)state;
	buf_free(&mp);
	buf_free(&out);
	buf_init(&mp, MESSAGE_MAX);
	buf_init(&out, MESSAGE_MAX);
	return 0;
}

static const char *
text(void)
{
	buf_put_u8(&out, '\0');
	assert_false(out.overflow);
	return (const char *)out.data;
}

static const char *
to_json(const struct schema *s, unsigned flags)
{
	struct mp in = mp_of(buf_bytes(&mp));

	buf_clear(&out);
	assert_int_equal(schema_to_json(s, &in, &out, flags), 0);
	assert_int_equal(mp_peek(&in), MP_END);
	return text();
}

static const char *
round_trip(const struct schema *s, const char *json)
{
	buf_clear(&mp);
	strcpy(error.text, "none");
	if (schema_from_json(s, bytes_str(json), &mp, &error) == -1)
		return error.text;
	return to_json(s, 0);
}

#define SAMPLE_ZERO                                                                                                    \
	"{\"Text\":\"\",\"Bool\":false,\"Int\":0,\"Uint\":0,\"Float\":0,\"Wait\":\"0s\",\"WaitNs\":0,"                 \
	"\"When\":\"0001-01-01T00:00:00Z\",\"Data\":null,\"Any\":null,\"List\":null,\"ListShown\":[],"                 \
	"\"Map\":null,\"Lists\":{},\"Weights\":{\"Passing\":0,\"Warning\":0}}"

static void
test_every_kind(void **state)
{
	(void)state;
	assert_string_equal(round_trip(&sample_schema, "{}"), SAMPLE_ZERO);
	assert_string_equal(round_trip(&sample_schema, "null"), SAMPLE_ZERO);
	assert_string_equal(
	    round_trip(&sample_schema,
		"{\"Gone\":{\"Passing\":1},\"Old\":[1],\"Secret\":\"s\",\"ByName\":{\"b\":{\"Port\":2},\"a\":{}},"
		"\"Addresses\":[{\"Address\":\"x\"}],\"Self\":{\"Text\":\"in\"},\"Weights\":{\"Warning\":7},"
		"\"Lists\":{\"z\":null,\"k\":[\"1\",\"2\"]},\"Map\":{\"n\":null,\"a\":\"b\"},\"ListShown\":null,"
		"\"List\":[\"q\",null],\"Any\":{\"y\":[1.5],\"x\":null},\"Data\":\"aGk=\","
		"\"When\":\"2024-03-01T00:00:00.25+01:00\",\"WaitNs\":\"1m\",\"Wait\":1500000000,"
		"\"Float\":1e-7,\"Uint\":18446744073709551615,\"Int\":-5,\"Bool\":true,\"Text\":\"t\"}"),
	    "{\"Text\":\"t\",\"Bool\":true,\"Int\":-5,\"Uint\":18446744073709551615,\"Float\":1e-7,\"Wait\":\"1.5s\","
	    "\"WaitNs\":60000000000,\"When\":\"2024-03-01T00:00:00.25+01:00\",\"Data\":\"aGk=\",\"Any\":{\"x\":null,"
	    "\"y\":[1.5]},"
	    "\"List\":[\"q\",\"\"],\"ListShown\":[],\"Map\":{\"a\":\"b\",\"n\":\"\"},\"Lists\":{\"k\":[\"1\",\"2\"],"
	    "\"z\":[]},"
	    "\"Weights\":{\"Passing\":0,\"Warning\":7},\"Self\":{\"Text\":\"in\",\"Bool\":false,\"Int\":0,\"Uint\":0,"
	    "\"Float\":0,"
	    "\"Wait\":\"0s\",\"WaitNs\":0,\"When\":\"0001-01-01T00:00:00Z\",\"Data\":null,\"Any\":null,\"List\":null,"
	    "\"ListShown\":[],\"Map\":null,\"Lists\":{},\"Weights\":{\"Passing\":0,\"Warning\":0}},"
	    "\"Addresses\":[{\"Address\":\"x\",\"Port\":0}],\"ByName\":{\"a\":{\"Address\":\"\",\"Port\":0},"
	    "\"b\":{\"Address\":\"\",\"Port\":2}},\"Gone\":{\"Passing\":1,\"Warning\":0}}");
	assert_true(bytes_is(mp_find_str(buf_bytes(&mp), "Secret"), "s"));
}

static void
test_pretty(void **state)
{
	(void)state;
	assert_int_equal(schema_from_json(&dir_entry_schema, bytes_str("{\"Key\":\"a\"}"), &mp, &error), 0);
	assert_string_equal(to_json(&dir_entry_schema, JSON_PRETTY),
	    "{\n    \"LockIndex\": 0,\n    \"Key\": \"a\",\n    \"Flags\": 0,\n    \"Value\": null,\n"
	    "    \"CreateIndex\": 0,\n    \"ModifyIndex\": 0\n}");
}

static void
test_field_names(void **state)
{
	(void)state;
	assert_non_null(strstr(round_trip(&sample_schema, "{\"text\":\"1\"}"), "\"Text\":\"1\""));
	assert_non_null(strstr(round_trip(&sample_schema, "{\"TEXT_ALIAS\":\"2\"}"), "\"Text\":\"2\""));
	assert_non_null(strstr(round_trip(&sample_schema, "{\"text_second\":\"3\"}"), "\"Text\":\"3\""));
	assert_non_null(
	    strstr(round_trip(&sample_schema, "{\"Text\":\"1\",\"Int\":1,\"TEXT\":\"last\"}"), "\"Text\":\"last\""));
	assert_string_equal(round_trip(&sample_schema, "{\"text_\":\"3\"}"), "json: unknown field \"text_\"");
	assert_string_equal(
	    round_trip(&sample_schema, "{\"a\\\"b\\u0001\":\"3\"}"), "json: unknown field \"a\\\"b\\x01\"");
	assert_string_equal(round_trip(&sample_schema, "{\"Output\":\"3\"}"), "json: unknown field \"Output\"");
	assert_string_equal(round_trip(&sample_schema, "{\"Self\":{\"Self\":{\"X\":1}}}"), "json: unknown field \"X\"");
	/* Unknown fields are passed over in open structs and all that is in them. */
	assert_string_equal(round_trip(&connect_schema, "{\"X\":{\"Y\":[1]},\"Native\":true}"), "{\"Native\":true}");
	assert_string_equal(round_trip(&register_request_schema, "{\"Service\":{\"Connect\":{\"X\":1},\"X\":1}}"),
	    "json: unknown field \"X\"");
}

static void
test_type_errors(void **state)
{
	static const struct {
		const struct schema *schema;
		const char *json;
		const char *expected;
	} cases[] = {
	    {&register_request_schema, "\"a string\"",
		"json: cannot unmarshal string into Go value of type structs.RegisterRequest"},
	    {&register_request_schema, "[1]",
		"json: cannot unmarshal array into Go value of type structs.RegisterRequest"},
	    {&register_request_schema, "{\"NodeMeta\":{\"a\":1}}",
		"json: cannot unmarshal number into Go struct field RegisterRequest.NodeMeta of type string"},
	    {&register_request_schema, "{\"Service\":{\"Tags\":\"x\"}}",
		"json: cannot unmarshal string into Go struct field NodeService.Service.Tags of type []string"},
	    {&register_request_schema, "{\"Service\":{\"Port\":\"80\"}}",
		"json: cannot unmarshal string into Go struct field NodeService.Service.Port of type int"},
	    {&register_request_schema, "{\"Node\":[\"e\"]}",
		"json: cannot unmarshal array into Go struct field RegisterRequest.Node of type string"},
	    {&register_request_schema, "{\"Checks\":{}}",
		"json: cannot unmarshal object into Go struct field RegisterRequest.Checks of type "
		"[]structs.HealthCheck"},
	    {&session_schema, "{\"TTL\":15}",
		"json: cannot unmarshal number into Go struct field .Alias.TTL of type string"},
	    {&session_schema, "{\"NodeChecks\":[1]}",
		"json: cannot unmarshal number into Go struct field .Alias.NodeChecks of type string"},
	    {&session_schema, "{\"Name\":{\"a\":1}}",
		"json: cannot unmarshal object into Go struct field .Alias.Name of type string"},
	    {&session_schema, "{\"LockDelay\":\"soon\"}", "time: invalid duration \"soon\""},
	    {&session_schema, "{\"LockDelay\":\"1d\"}", "time: unknown unit \"d\" in duration \"1d\""},
	    {&session_schema, "{\"LockDelay\":\"1\"}", "time: missing unit in duration \"1\""},
	    {&session_schema, "{\"LockDelay\":\"\"}", "time: invalid duration \"\""},
	    /* A struct with a decoder of its own starts anew. */
	    {&node_service_schema, "{\"Proxy\":{\"LocalServicePort\":\"x\"}}",
		"json: cannot unmarshal string into Go struct field .Alias.LocalServicePort of type int"},
	    {&node_service_schema, "{\"Proxy\":{\"Upstreams\":[{}]},\"Port\":true}",
		"json: cannot unmarshal bool into Go struct field NodeService.Port of type int"},
	    {&sample_schema, "{\"Int\":1e3}",
		"json: cannot unmarshal number 1e3 into Go struct field Sample.Int of type int"},
	    {&sample_schema, "{\"Int\":80.0}",
		"json: cannot unmarshal number 80.0 into Go struct field Sample.Int of type int"},
	    {&sample_schema, "{\"Int\":99999999999999999999}",
		"json: cannot unmarshal number 99999999999999999999 into Go struct field Sample.Int of type int"},
	    {&sample_schema, "{\"Int\":9223372036854775808}",
		"json: cannot unmarshal number 9223372036854775808 into Go struct field Sample.Int of type int"},
	    {&sample_schema, "{\"Uint\":-1}",
		"json: cannot unmarshal number -1 into Go struct field Sample.Uint of type uint64"},
	    {&sample_schema, "{\"Float\":1e999}",
		"json: cannot unmarshal number 1e999 into Go struct field Sample.Float of type float64"},
	    {&sample_schema, "{\"Bool\":1}",
		"json: cannot unmarshal number into Go struct field Sample.Bool of type bool"},
	    {&sample_schema, "{\"Self\":{\"Self\":{\"Weights\":{\"Passing\":\"1\"}}}}",
		"json: cannot unmarshal string into Go struct field Weights.Self.Self.Weights.Passing of type int"},
	    {&sample_schema, "{\"Data\":\"a\"}", "illegal base64 data at input byte 0"},
	    /* The first mistake of the text, not of the table. */
	    {&sample_schema, "{\"Int\":\"x\",\"Nope\":1,\"Bool\":1}",
		"json: cannot unmarshal string into Go struct field Sample.Int of type int"},
	    {&sample_schema, "{\"Nope\":1,\"Int\":\"x\"}", "json: unknown field \"Nope\""},
	    {&sample_schema, "{\"Int\":\"x\",}", "invalid character '}' looking for beginning of object key string"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++)
		assert_string_equal(round_trip(cases[i].schema, cases[i].json), cases[i].expected);
	/* Whatever is no text and no number counts as no duration. */
	assert_non_null(
	    strstr(round_trip(&sample_schema, "{\"Wait\":[1],\"WaitNs\":{}}"), "\"Wait\":\"0s\",\"WaitNs\":0"));
	assert_non_null(
	    strstr(round_trip(&sample_schema, "{\"Wait\":1.5e9,\"WaitNs\":true}"), "\"Wait\":\"1.5s\",\"WaitNs\":0"));
	assert_non_null(
	    strstr(round_trip(&sample_schema, "{\"Int\":9223372036854775807}"), "\"Int\":9223372036854775807"));
	assert_non_null(
	    strstr(round_trip(&sample_schema, "{\"Int\":-9223372036854775808}"), "\"Int\":-9223372036854775808"));
}

static void
test_lists(void **state)
{
	struct mp in;

	(void)state;
	assert_int_equal(schema_list_from_json(&weights_schema, bytes_str("[{\"Passing\":1},null]"), &mp, &error), 0);
	in = mp_of(buf_bytes(&mp));
	assert_int_equal(schema_list_to_json(&weights_schema, &in, &out, 0), 0);
	assert_string_equal(text(), "[{\"Passing\":1,\"Warning\":0},{\"Passing\":0,\"Warning\":0}]");
	buf_clear(&mp);
	assert_int_equal(schema_list_from_json(&weights_schema, bytes_str("{}"), &mp, &error), -1);
	assert_string_equal(error.text, "json: cannot unmarshal object into Go value of type []structs.Weights");
	/* nil is shown as empty. */
	buf_clear(&out);
	in = mp_of(bytes_of("\xc0\xc0", 2));
	assert_int_equal(schema_list_to_json(&weights_schema, &in, &out, 0), 0);
	assert_int_equal(schema_map_to_json(&weights_schema, &in, &out, 0), 0);
	assert_string_equal(text(), "[]{}");
}

static void
test_c_form(void **state)
{
	const char *why;
	struct dir_entry entry = {.lock_index = 7,
			     .key = bytes_str("k"),
			     .value = bytes_str("v"),
			     .modify_index = UINT64_MAX},
			 back;
	struct kvs_request request = {.op = bytes_str("set")}, request_back;
	struct buf nested = BUF_INIT(MESSAGE_MAX);

	(void)state;
	schema_encode(&dir_entry_schema, &entry, &mp);
	assert_int_equal(schema_decode(&dir_entry_schema, buf_bytes(&mp), &back, &why), 0);
	assert_int_equal(back.lock_index, 7);
	assert_true(bytes_is(back.key, "k"));
	assert_true(bytes_is(back.value, "v"));
	assert_int_equal(back.session.size, 0);
	assert_true(back.modify_index == UINT64_MAX);

	request.dir_ent = buf_bytes(&mp);
	schema_encode(&kvs_request_schema, &request, &nested);
	assert_int_equal(schema_decode(&kvs_request_schema, buf_bytes(&nested), &request_back, &why), 0);
	assert_true(bytes_equal(request_back.dir_ent, buf_bytes(&mp)));
	/* Cut off anywhere: an error. */
	for (size_t size = 1; size < nested.used; size++)
		assert_int_equal(
		    schema_decode(&kvs_request_schema, bytes_of(nested.data, size), &request_back, &why), -1);
	buf_free(&nested);
}

/* What other peers write: any order, keys missing, keys unknown, nil for anything. */
static void
test_foreign_messages(void **state)
{
	const char *why;
	struct dir_entry entry;
	struct weights weights;

	(void)state;
	mp_put_map(&mp, 6);
	mp_put_kv_uint(&mp, "ModifyIndex", 9);
	mp_put_cstr(&mp, "Unknown");
	mp_put_array(&mp, 1);
	mp_put_map(&mp, 1);
	mp_put_kv_uint(&mp, "x", 1);
	mp_put_kv_cstr(&mp, "Key", "k");
	mp_put_cstr(&mp, "Value");
	mp_put_nil(&mp);
	mp_put_cstr(&mp, "Flags");
	mp_put_nil(&mp);
	mp_put_kv_uint(&mp, "CreateIndex", 8);
	assert_int_equal(schema_decode(&dir_entry_schema, buf_bytes(&mp), &entry, &why), 0);
	assert_int_equal(entry.modify_index, 9);
	assert_int_equal(entry.create_index, 8);
	assert_true(bytes_is(entry.key, "k"));
	assert_string_equal(to_json(&dir_entry_schema, 0),
	    "{\"LockIndex\":0,\"Key\":\"k\",\"Flags\":0,\"Value\":null,\"CreateIndex\":8,\"ModifyIndex\":9}");

	assert_int_equal(schema_decode(&weights_schema, bytes_of("\xc0", 1), &weights, &why), 0);
	assert_int_equal(schema_decode(&weights_schema, bytes_of("\x90", 1), &weights, &why), -1);
	assert_string_equal(why, "Weights: not a map");
	assert_int_equal(schema_decode(&weights_schema, bytes_of("\x81\xa7Passing\xa1x", 11), &weights, &why), -1);
	assert_string_equal(why, "Weights: bad value of Passing");
	assert_int_equal(
	    schema_decode(&weights_schema, bytes_of("\x81\xa7Passing\xcf\xff\0\0\0\0\0\0\0", 17), &weights, &why), -1);
	assert_int_equal(schema_decode(&weights_schema, bytes_of("\x81\xc0\x01", 3), &weights, &why), 0);
}

static void
test_bad_messages_to_json(void **state)
{
	static const struct bytes bad[] = {{(const uint8_t *)"", 0}, {(const uint8_t *)"\x90", 1},
	    {(const uint8_t *)"\x81\xa3Key\x01", 6}, {(const uint8_t *)"\x81\xa3Key", 5},
	    {(const uint8_t *)"\x82\xa3Key\xa0", 6}, {(const uint8_t *)"\x81\xa1x\xc1", 4}};

	(void)state;
	for (size_t i = 0; i < COUNTOF(bad); i++) {
		struct mp in = mp_of(bad[i]);

		buf_clear(&out);
		assert_int_equal(schema_to_json(&dir_entry_schema, &in, &out, 0), -1);
	}
}

/* Every table can be written and read with nothing set, and no name occurs twice. */
static void
test_all_tables(void **state)
{
	static const struct schema *const all[] = {&query_source_schema, &dc_request_schema, &node_request_schema,
	    &service_request_schema, &state_request_schema, &node_schema, &node_service_schema, &health_check_schema,
	    &check_definition_schema, &service_node_schema, &check_service_node_schema, &node_services_schema,
	    &node_service_list_schema, &node_info_schema, &register_request_schema, &deregister_request_schema,
	    &indexed_nodes_schema, &indexed_services_schema, &indexed_node_services_schema,
	    &indexed_node_service_list_schema, &indexed_check_service_nodes_schema, &dir_entry_schema,
	    &kvs_request_schema, &session_schema, &proxy_schema, &upstream_schema, &expose_path_schema};
	const char *why;
	uint8_t c_form[2048];
	struct buf again = BUF_INIT(MESSAGE_MAX);

	(void)state;
	for (size_t i = 0; i < COUNTOF(all); i++) {
		const struct schema *s = all[i];
		struct bytes empty = {(const uint8_t *)"\x80", 1};

		assert_true(s->size <= sizeof c_form);
		assert_int_equal(schema_decode(s, empty, c_form, &why), 0);
		buf_clear(&mp);
		schema_encode(s, c_form, &mp);
		assert_int_equal(schema_decode(s, buf_bytes(&mp), c_form, &why), 0);
		buf_clear(&again);
		schema_encode(s, c_form, &again);
		assert_true(bytes_equal(buf_bytes(&mp), buf_bytes(&again)));
		to_json(s, 0);
		for (size_t f = 0; f < s->count; f++)
			assert_ptr_equal(schema_field(s, s->fields[f].name), &s->fields[f]);
	}
	assert_null(schema_field(&weights_schema, "passing"));
	buf_free(&again);
}

/* An untouched proxy as the API documents it. */
static void
test_documented_forms(void **state)
{
	(void)state;
	assert_string_equal(round_trip(&proxy_schema, "{}"), "{\"Mode\":\"\",\"MeshGateway\":{},\"Expose\":{}}");
	assert_string_equal(round_trip(&proxy_schema, "{\"TransparentProxy\":{\"DialedDirectly\":false}}"),
	    "{\"Mode\":\"\",\"MeshGateway\":{},\"Expose\":{}}");
	assert_string_equal(
	    round_trip(&proxy_schema, "{\"transparent_proxy\":{\"DialedDirectly\":true},\"Config\":{}}"),
	    "{\"TransparentProxy\":{\"DialedDirectly\":true},\"Mode\":\"\",\"MeshGateway\":{},\"Expose\":{}}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_every_kind, reset),
	    cmocka_unit_test_setup(test_pretty, reset),
	    cmocka_unit_test_setup(test_field_names, reset),
	    cmocka_unit_test_setup(test_type_errors, reset),
	    cmocka_unit_test_setup(test_lists, reset),
	    cmocka_unit_test_setup(test_c_form, reset),
	    cmocka_unit_test_setup(test_foreign_messages, reset),
	    cmocka_unit_test_setup(test_bad_messages_to_json, reset),
	    cmocka_unit_test_setup(test_all_tables, reset),
	    cmocka_unit_test_setup_teardown(test_documented_forms, reset, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

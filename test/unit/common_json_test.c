/*
 * common_json_test.c - JSON out of msgpack and into it, in Go's spelling
 */
#include "json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json_parse.h"
#include "mem.h"

static struct buf out;

static const char *
text(void)
{
	buf_put_u8(&out, '\0');
	assert_false(out.overflow);
	return (const char *)out.data;
}

static int
reset(void **state)
{
	(void)state;
	buf_free(&out);
	buf_init(&out, 1 << 20);
	return 0;
}

#define EXPECT(expected, call)                                                                                         \
	do {                                                                                                           \
		buf_clear(&out);                                                                                       \
		call;                                                                                                  \
		assert_string_equal(text(), expected);                                                                 \
	} while (0)

static void
test_strings(void **state)
{
	(void)state;
	EXPECT("\"\"", json_put_cstr(&out, ""));
	EXPECT("\"a b\"", json_put_cstr(&out, "a b"));
	EXPECT("\"\\\"\\\\/\"", json_put_cstr(&out, "\"\\/"));
	EXPECT("\"\\n\\r\\t\\u0008\\u0000\\u001f\x7f\"", json_put_str(&out, bytes_of("\n\r\t\b\0\x1f\x7f", 7)));
	EXPECT("\"\\u003ca\\u003e\\u0026\"", json_put_cstr(&out, "<a>&"));
	EXPECT("\"\xc3\xa9\xf0\x9f\x98\x80\"", json_put_cstr(&out, "\xc3\xa9\xf0\x9f\x98\x80"));
	EXPECT("\"\\u2028\\u2029\xe2\x80\xaa\"", json_put_cstr(&out, "\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"));
	/* Cut off, overlong, surrogate, over the last code point: each bad byte by itself. */
	EXPECT("\"\\ufffd\"", json_put_cstr(&out, "\xc3"));
	EXPECT("\"\\ufffd\\ufffd!\"", json_put_cstr(&out, "\xc0\x80!"));
	EXPECT("\"\\ufffd\\ufffd\\ufffd\"", json_put_cstr(&out, "\xed\xa0\x80"));
	EXPECT("\"\\ufffd\\ufffd\\ufffd\\ufffd\"", json_put_cstr(&out, "\xf4\x90\x80\x80"));
}

static void
test_numbers(void **state)
{
	static const struct {
		double value;
		const char *expected;
	} cases[] = {
	    {0, "0"},
	    {-0.0, "-0"},
	    {1, "1"},
	    {-2.5, "-2.5"},
	    {0.1, "0.1"},
	    {100, "100"},
	    {12345.678, "12345.678"},
	    {1e20, "100000000000000000000"},
	    {123456789012345680000.0, "123456789012345680000"},
	    {1e21, "1e+21"},
	    {1.5e300, "1.5e+300"},
	    {0.000001, "0.000001"},
	    {0.00012, "0.00012"},
	    {1e-7, "1e-7"},
	    {-1.25e-10, "-1.25e-10"},
	    {5e-324, "5e-324"},
	    {1.7976931348623157e308, "1.7976931348623157e+308"},
	    {NAN, "null"},
	    {INFINITY, "null"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++)
		EXPECT(cases[i].expected, json_put_float(&out, cases[i].value));
	EXPECT("18446744073709551615", json_put_uint(&out, UINT64_MAX));
	EXPECT("-9223372036854775808", json_put_int(&out, INT64_MIN));
	EXPECT("0", json_put_int(&out, 0));
}

static void
test_times(void **state)
{
	static const struct {
		const char *text;
		const char *expected; /* NULL: the same */
	} good[] = {
	    {"2026-11-20T06:53:39.437068936Z", NULL},
	    {"0001-01-01T00:00:00Z", NULL},
	    {"9999-12-31T23:59:59.999999999Z", NULL},
	    {"2000-02-29T12:00:00.5Z", NULL},
	    {"2024-03-01T00:00:00+01:30", NULL},
	    {"2024-03-01T00:00:00-07:00", NULL},
	    {"1999-12-31T23:59:59.100Z", "1999-12-31T23:59:59.1Z"},
	    {"1970-01-01T00:00:00+00:00", "1970-01-01T00:00:00Z"},
	};
	static const char *bad[] = {"", "2026-11-20", "2026-11-20T06:53:39", "2026-13-01T00:00:00Z",
	    "2025-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T06:53:39.Z",
	    "2026-11-20T06:53:39Zx", "2026-11-20T06:53:39+1:00", "0001-01-01T00:00:00+01:00"};
	uint8_t wire[TIME_WIRE_BYTES];

	(void)state;
	for (size_t i = 0; i < COUNTOF(good); i++) {
		char quoted[64];

		snprintf(quoted, sizeof quoted, "\"%s\"", good[i].expected != NULL ? good[i].expected : good[i].text);
		assert_int_equal(json_parse_time(bytes_str(good[i].text), wire), 0);
		EXPECT(quoted, json_put_time(&out, bytes_of(wire, sizeof wire)));
	}
	for (size_t i = 0; i < COUNTOF(bad); i++)
		assert_int_equal(json_parse_time(bytes_str(bad[i]), wire), -1);
	/* An example of the wire form, and a time that was never set. */
	EXPECT("\"2026-11-20T06:53:39.437068936Z\"",
	    json_put_time(&out, bytes_of("\x01\0\0\0\x0e\xe2\x91\xe5\x73\x1a\x0d\x24\x88\0\0", 15)));
	EXPECT("\"0001-01-01T00:00:00Z\"", json_put_time(&out, bytes_of(NULL, 0)));
}

/* Every length and every byte there and back. */
static void
test_base64(void **state)
{
	static const char *bad[] = {"a", "ab", "abc", "ab=c", "a===", "====", "ab==abcd", "abc*", "ab c", "abcde"};
	uint8_t data[256];
	struct buf back = BUF_INIT(1024);

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 167 + 13);
	for (size_t size = 0; size <= sizeof data; size++) {
		buf_clear(&out);
		buf_clear(&back);
		base64_encode(bytes_of(data, size), &out);
		assert_int_equal(out.used, (size + 2) / 3 * 4);
		assert_int_equal(base64_decode(buf_bytes(&out), &back), 0);
		assert_true(bytes_equal(buf_bytes(&back), bytes_of(data, size)));
	}
	EXPECT("aGk=", base64_encode(bytes_str("hi"), &out));
	EXPECT("\"+/+/\"", json_put_base64(&out, bytes_of("\xfb\xff\xbf", 3)));
	EXPECT("null", json_put_base64(&out, bytes_of(NULL, 0)));
	for (size_t i = 0; i < COUNTOF(bad); i++) {
		buf_clear(&back);
		assert_int_equal(base64_decode(bytes_str(bad[i]), &back), -1);
	}
	buf_free(&back);
}

/* JSON -> msgpack -> JSON. */
static void
through_msgpack(const char *json, const char *compact, const char *pretty)
{
	struct buf mp = BUF_INIT(1 << 16), indented = BUF_INIT(1 << 16);
	struct json_error error;
	struct mp in;

	assert_int_equal(json_to_mp(bytes_str(json), &mp, &error), 0);
	in = mp_of(buf_bytes(&mp));
	buf_clear(&out);
	assert_int_equal(json_from_mp(&in, &out, 0), 0);
	assert_int_equal(mp_peek(&in), MP_END);
	json_indent(buf_bytes(&out), &indented);
	assert_string_equal(text(), compact);
	in = mp_of(buf_bytes(&mp));
	buf_clear(&out);
	assert_int_equal(json_from_mp(&in, &out, JSON_PRETTY), 0);
	assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&indented)));
	if (pretty != NULL)
		assert_string_equal(text(), pretty);
	buf_free(&indented);
	buf_free(&mp);
}

static void
test_free_form(void **state)
{
	(void)state;
	through_msgpack("null", "null", "null");
	through_msgpack(" [ ] ", "[]", "[]");
	through_msgpack("{}", "{}", "{}");
	through_msgpack("[{},[],null,true,false,\"x,{]\\\"\"]", "[{},[],null,true,false,\"x,{]\\\"\"]",
	    "[\n    {},\n    [],\n    null,\n    true,\n    false,\n    \"x,{]\\\"\"\n]");
	through_msgpack("{\"b\":1,\"a\":{\"c\":[1,2]}}", "{\"a\":{\"c\":[1,2]},\"b\":1}",
	    "{\n    \"a\": {\n        \"c\": [\n            1,\n            2\n        ]\n    },\n    \"b\": 1\n}");
	through_msgpack("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}", NULL);
	through_msgpack("{\"B\":1,\"a\":2,\"\":3,\"aa\":4}", "{\"\":3,\"B\":1,\"a\":2,\"aa\":4}", NULL);
	through_msgpack("[0,-1,127,128,65536,-32,-33,-129,-40000,4294967296,18446744073709551615,-9223372036854775808]",
	    "[0,-1,127,128,65536,-32,-33,-129,-40000,4294967296,18446744073709551615,-9223372036854775808]", NULL);
	through_msgpack("[1.0,1e3,1.5,-0,18446744073709551616]", "[1,1000,1.5,-0,18446744073709552000]", NULL);
	through_msgpack("\"\\u00e9\\ud83d\\ude00\\n\"", "\"\xc3\xa9\xf0\x9f\x98\x80\\n\"", NULL);
	through_msgpack("\"\xff\xfe\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"", NULL);
	through_msgpack("{} trailing", "{}", NULL);
	through_msgpack("[1] ]", "[1]", NULL);
}

/* Keys out of order on the wire (a foreign peer) come out sorted. */
static void
test_unsorted_maps(void **state)
{
	struct buf mp = BUF_INIT(1 << 16);
	struct mp in;

	(void)state;
	mp_put_map(&mp, 3);
	mp_put_kv_uint(&mp, "c", 1);
	mp_put_kv_uint(&mp, "a", 2);
	mp_put_kv_uint(&mp, "b", 3);
	in = mp_of(buf_bytes(&mp));
	buf_clear(&out);
	assert_int_equal(json_from_mp(&in, &out, 0), 0);
	assert_string_equal(text(), "{\"a\":2,\"b\":3,\"c\":1}");
	/* Cut off at every byte: refused, nothing worse. */
	for (size_t size = 0; size < mp.used; size++) {
		in = mp_of(bytes_of(mp.data, size));
		buf_clear(&out);
		assert_int_equal(json_from_mp(&in, &out, 0), -1);
	}
	buf_free(&mp);
}

static void
test_syntax_errors(void **state)
{
	static const struct {
		const char *json;
		const char *expected;
	} cases[] = {
	    {"", "EOF"},
	    {" \n", "EOF"},
	    {"{", "unexpected EOF"},
	    {"{\"unterminated\": ", "unexpected EOF"},
	    {"[1, 2", "unexpected EOF"},
	    {"\"abc", "unexpected EOF"},
	    {"\"abc\\", "unexpected EOF"},
	    {"tru", "unexpected EOF"},
	    {"-", "unexpected EOF"},
	    {"[1.", "unexpected EOF"},
	    {"x", "invalid character 'x' looking for beginning of value"},
	    {"\xef\xbb\xbf{}", "invalid character '\xc3\xaf' looking for beginning of value"},
	    {"[,]", "invalid character ',' looking for beginning of value"},
	    {"[1,]", "invalid character ']' looking for beginning of value"},
	    {"{\"a\":}", "invalid character '}' looking for beginning of value"},
	    {"{'a':1}", "invalid character '\\'' looking for beginning of object key string"},
	    {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
	    {"{1:2}", "invalid character '1' looking for beginning of object key string"},
	    {"{\"a\" 1}", "invalid character '1' after object key"},
	    {"{\"a\":1 /* c */}", "invalid character '/' after object key:value pair"},
	    {"{\"a\":01}", "invalid character '1' after object key:value pair"},
	    {"[1 2]", "invalid character '2' after array element"},
	    {"[1}", "invalid character '}' after array element"},
	    {"\"bad\\escape\"", "invalid character 'e' in string escape code"},
	    {"\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"},
	    {"\"a\nb\"", "invalid character '\\n' in string literal"},
	    {"\"a\001b\"", "invalid character '\\x01' in string literal"},
	    {"[-x]", "invalid character 'x' in numeric literal"},
	    {"[1.x]", "invalid character 'x' after decimal point in numeric literal"},
	    {"[1e+x]", "invalid character 'x' in exponent of numeric literal"},
	    {"[no]", "invalid character 'o' in literal null (expecting 'u')"},
	    {"[trux]", "invalid character 'x' in literal true (expecting 'e')"},
	    {"[fals3]", "invalid character '3' in literal false (expecting 'e')"},
	    {"[1e999]", "json: cannot unmarshal number 1e999 into Go value of type float64"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct json_error error = {"none"};

		buf_clear(&out);
		assert_int_equal(json_to_mp(bytes_str(cases[i].json), &out, &error), -1);
		assert_string_equal(error.text, cases[i].expected);
	}
}

static void
test_depth(void **state)
{
	char json[2 * JSON_DEPTH_MAX + 4];
	struct json_error error;
	struct mp in;

	(void)state;
	memset(json, '[', JSON_DEPTH_MAX);
	memset(json + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	buf_clear(&out);
	assert_int_equal(json_to_mp(bytes_of(json, 2 * JSON_DEPTH_MAX), &out, &error), 0);
	in = mp_of(buf_bytes(&out));
	mp_skip(&in);
	assert_true(mp_ok(&in));
	memset(json, '[', sizeof json);
	assert_int_equal(json_to_mp(bytes_of(json, sizeof json), &out, &error), -1);
	assert_string_equal(error.text, "exceeded max depth");
}

/* A full buffer is an error, not a cut message. */
static void
test_overflow(void **state)
{
	struct buf small = BUF_INIT(20);
	struct json_error error;

	(void)state;
	assert_int_equal(json_to_mp(bytes_str("\"0123456789\""), &small, &error), 0);
	assert_int_equal(json_to_mp(bytes_str("\"0123456789\""), &small, &error), -1);
	assert_string_equal(error.text, "body too large");
	buf_free(&small);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_strings, reset),
	    cmocka_unit_test_setup(test_numbers, reset),
	    cmocka_unit_test_setup(test_times, reset),
	    cmocka_unit_test_setup(test_base64, reset),
	    cmocka_unit_test_setup(test_free_form, reset),
	    cmocka_unit_test_setup(test_unsorted_maps, reset),
	    cmocka_unit_test_setup(test_syntax_errors, reset),
	    cmocka_unit_test_setup(test_depth, reset),
	    cmocka_unit_test_setup_teardown(test_overflow, reset, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

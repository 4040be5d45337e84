/*
 * common_base_test.c - durations, numbers, addresses, buffers, regions, quoting of log values
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "duration.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "spare.h"
#include "uuid.h"

static void
test_durations_that_parse(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
		const char *shown;
	} cases[] = {
	    {"0", 0, "0s"},
	    {"10s", 10 * NS_PER_S, "10s"},
	    {"1h30m", 5400 * NS_PER_S, "1h30m0s"},
	    {"1.5s", 1500 * NS_PER_MS, "1.5s"},
	    {".5s", 500 * NS_PER_MS, "500ms"},
	    {"1.s", NS_PER_S, "1s"},
	    {"-2ms", -2 * NS_PER_MS, "-2ms"},
	    {"+3us", 3 * NS_PER_US, "3\xc2\xb5s"},
	    {"7\xc2\xb5s", 7 * NS_PER_US, "7\xc2\xb5s"},
	    {"1500ns", 1500, "1.5\xc2\xb5s"},
	    {"90m", 5400 * NS_PER_S, "1h30m0s"},
	    {"9223372036854775807ns", INT64_MAX, "2562047h47m16.854775807s"},
	    {"-9223372036854775808ns", INT64_MIN, "-2562047h47m16.854775808s"},
	    {"0.000000001s", 1, "1ns"},
	    {"72h3m0.5s", (72 * 3600 + 180) * NS_PER_S + 500 * NS_PER_MS, "72h3m0.5s"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		char shown[DURATION_TEXT_MAX];
		int64_t ns = 1;

		assert_int_equal(duration_parse(bytes_str(cases[i].text), &ns), DURATION_OK);
		assert_true(ns == cases[i].ns);
		assert_string_equal(duration_format(ns, shown), cases[i].shown);
	}
}

static void
test_durations_that_do_not(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
	    {"", "time: invalid duration \"\""},
	    {"abc", "time: invalid duration \"abc\""},
	    {"-", "time: invalid duration \"-\""},
	    {".s", "time: invalid duration \".s\""},
	    {"1", "time: missing unit in duration \"1\""},
	    {"1s2", "time: missing unit in duration \"1s2\""},
	    {"5q", "time: unknown unit \"q\" in duration \"5q\""},
	    {"1d", "time: unknown unit \"d\" in duration \"1d\""},
	    {"9999999h", "time: invalid duration \"9999999h\""},
	    {"9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""},
	    {"99999999999999999999s", "time: invalid duration \"99999999999999999999s\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct bytes text = bytes_str(cases[i].text);
		char error[128];
		int64_t ns;
		enum duration_error got = duration_parse(text, &ns);

		assert_int_not_equal(got, DURATION_OK);
		duration_error_text(got, text, error, sizeof error);
		assert_string_equal(error, cases[i].error);
	}
}

static void
test_rfc3339(void **state)
{
	char text[RFC3339_TEXT_MAX];

	(void)state;
	assert_string_equal(rfc3339_format(0, text), "1970-01-01T00:00:00Z");
	assert_string_equal(rfc3339_format(INT64_C(1795157604364000000), text), "2026-11-20T06:53:24.364Z");
	assert_string_equal(rfc3339_format(-1, text), "1969-12-31T23:59:59.999999999Z");
}

static void
test_numbers(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(bytes_to_u64(bytes_str("18446744073709551615"), &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(bytes_to_u64(bytes_str("18446744073709551616"), &value), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(bytes_to_u64(bytes_str("99999999999999999999x"), &value), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(bytes_to_u64(bytes_str(""), &value), -1);
	assert_int_equal(bytes_to_u64(bytes_str("-1"), &value), -1);
	assert_int_equal(bytes_to_u64(bytes_str("1 "), &value), -1);
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *text, *shown; /* shown NULL: refused */
	} cases[] = {
	    {"127.0.0.1:8500", "127.0.0.1:8500"},
	    {"[::1]:53", "[::1]:53"},
	    {"::1:53", NULL},
	    {"127.0.0.1", NULL},
	    {"127.0.0.1:", NULL},
	    {"127.0.0.1:65536", NULL},
	    {"[127.0.0.1]:1", "127.0.0.1:1"},
	    {"host:1", NULL},
	    {"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		union net_addr a;
		char shown[NET_ADDR_TEXT_MAX];
		int got = net_addr_parse_port(cases[i].text, &a);

		if (cases[i].shown == NULL) {
			assert_int_equal(got, -1);
			continue;
		}
		assert_int_equal(got, 0);
		assert_string_equal(net_addr_text_port(&a, shown), cases[i].shown);
	}
}

static void
test_buffer_keeps_its_maximum(void **state)
{
	struct buf b = BUF_INIT(10);

	(void)state;
	buf_put_str(&b, "12345678");
	assert_false(b.overflow);
	buf_put_str(&b, "abc");
	assert_true(b.overflow);
	assert_int_equal(b.used, 8);
	buf_put_u8(&b, 'x'); /* would fit, but the message is broken already */
	assert_int_equal(b.used, 8);
	buf_clear(&b);
	buf_put_str(&b, "0123456789");
	assert_false(b.overflow);
	buf_put_u8(&b, 'x');
	assert_true(b.overflow);
	assert_int_equal(b.used, 10);
	buf_free(&b);
}

static void
test_region(void **state)
{
	struct region *r = region_new();
	char *small = region_strndup(r, "abc", 3);

	(void)state;
	for (size_t size = 1; size < 100000; size = size * 3 + 1) {
		uint8_t *p = region_alloc(r, size);

		assert_int_equal((uintptr_t)p % 16, 0);
		memset(p, 0xff, size);
	}
	assert_string_equal(small, "abc");
	region_reset(r);
	assert_string_equal(region_printf(r, "%d-%s", 7, "x"), "7-x");
	region_free(r);
}

static void
test_log_values(void **state)
{
	char big[3000];

	(void)state;
	assert_string_equal(log_quote("plain"), "plain");
	assert_string_equal(log_quote(""), "");
	assert_string_equal(log_quote("two words"), "\"two words\"");
	assert_string_equal(log_quote("a\"b\\c"), "\"a\\\"b\\\\c\"");
	assert_string_equal(log_quote("line\nnext\x01"), "\"line\\nnext\\x01\"");
	memset(big, 'a', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	assert_true(strlen(log_quote(big)) < 1024);
	assert_non_null(strstr(log_quote(big), "..."));
}

static void
test_log_limit(void **state)
{
	struct log_limit limit = {0};
	unsigned suppressed, allowed = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		allowed += log_allowed(&limit, 5, &suppressed);
	/* a minute may end in between */
	assert_true(allowed == 5 || allowed == 10);
}

static void
test_uuid(void **state)
{
	char a[UUID_TEXT_SIZE], b[UUID_TEXT_SIZE];

	(void)state;
	uuid_new(a);
	uuid_new(b);
	assert_true(uuid_is_valid(bytes_str(a)));
	assert_string_not_equal(a, b);
	assert_int_equal(a[14], '4');
	a[8] = 'x';
	assert_false(uuid_is_valid(bytes_str(a)));
	assert_false(uuid_is_valid(bytes_str("")));
}

/* However many come back at once, what stays is bounded, and those that are taken again are records of their own. */
static void
test_spares(void **state)
{
	static uint64_t *records[5000];
	struct spare s = {0};

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNTOF(records); i++) {
			records[i] = spare_take(&s, sizeof **records);
			*records[i] = i;
		}
		assert_int_equal(s.count, 0);
		for (size_t i = 0; i < COUNTOF(records); i++) {
			assert_int_equal(*records[i], i);
			spare_give(&s, records[i]);
		}
		assert_true(s.count < COUNTOF(records) / 2);
	}
	spare_free(&s);
	assert_null(s.first);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_durations_that_parse),
	    cmocka_unit_test(test_durations_that_do_not),
	    cmocka_unit_test(test_rfc3339),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_buffer_keeps_its_maximum),
	    cmocka_unit_test(test_region),
	    cmocka_unit_test(test_log_values),
	    cmocka_unit_test(test_log_limit),
	    cmocka_unit_test(test_spares),
	    cmocka_unit_test(test_uuid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

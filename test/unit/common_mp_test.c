/*
 * common_mp_test.c - msgpack reader and writer
 */
#include "mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct buf out;

static int
reset(void **state)
{
	(void)state;
	buf_free(&out);
	buf_init(&out, 1 << 20);
	return 0;
}

#define BYTES(text) bytes_of(text, sizeof(text) - 1)
#define WRITES(expected, call)                                                                                         \
	do {                                                                                                           \
		buf_clear(&out);                                                                                       \
		call;                                                                                                  \
		assert_int_equal(out.used, sizeof(expected) - 1);                                                      \
		assert_memory_equal(out.data, expected, out.used);                                                     \
	} while (0)

static void
test_written_forms(void **state)
{
	(void)state;
	WRITES("\xc0", mp_put_nil(&out));
	WRITES("\xc2", mp_put_bool(&out, false));
	WRITES("\xc3", mp_put_bool(&out, true));
	WRITES("\x00", mp_put_uint(&out, 0));
	WRITES("\x7f", mp_put_uint(&out, 127));
	WRITES("\xcc\x80", mp_put_uint(&out, 128));
	WRITES("\xcd\x01\x00", mp_put_uint(&out, 256));
	WRITES("\xce\x00\x01\x00\x00", mp_put_uint(&out, 65536));
	WRITES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", mp_put_uint(&out, UINT64_MAX));
	WRITES("\x05", mp_put_int(&out, 5));
	WRITES("\xff", mp_put_int(&out, -1));
	WRITES("\xe0", mp_put_int(&out, -32));
	WRITES("\xd0\xdf", mp_put_int(&out, -33));
	WRITES("\xd1\xff\x7f", mp_put_int(&out, -129));
	WRITES("\xd2\xff\xff\x7f\xff", mp_put_int(&out, -32769));
	WRITES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", mp_put_int(&out, INT64_MIN));
	WRITES("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", mp_put_float(&out, 1.5));
	WRITES("\xa0", mp_put_cstr(&out, ""));
	WRITES("\xa2hi", mp_put_cstr(&out, "hi"));
	WRITES("\x90", mp_put_array(&out, 0));
	WRITES("\xdc\x00\x10", mp_put_array(&out, 16));
	WRITES("\xdd\x00\x01\x00\x00", mp_put_array(&out, 65536));
	WRITES("\x8f", mp_put_map(&out, 15));
	WRITES("\xde\x00\x10", mp_put_map(&out, 16));
	WRITES("\xdf\x00\x01\x00\x00", mp_put_map(&out, 65536));
	WRITES("\xa1k\xd0\x9c", mp_put_kv_int(&out, "k", -100));
}

/* Never str8 or bin, which the original format does not know. */
static void
test_text_sizes(void **state)
{
	static const size_t sizes[] = {31, 32, 255, 256, 65535, 65536};
	static const uint8_t heads[] = {0xbf, 0xda, 0xda, 0xda, 0xda, 0xdb};
	static char text[65536];

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < COUNTOF(sizes); i++) {
		struct mp in;
		struct bytes back;

		buf_clear(&out);
		mp_put_str(&out, text, sizes[i]);
		assert_int_equal(out.data[0], heads[i]);
		in = mp_of(buf_bytes(&out));
		back = mp_str(&in);
		assert_true(mp_ok(&in) && bytes_equal(back, bytes_of(text, sizes[i])));
		assert_int_equal(mp_peek(&in), MP_END);
	}
}

static const int64_t integers[] = {0, 1, -1, 31, -32, -33, 127, 128, -128, -129, 255, 256, 32767, -32768, -32769, 65535,
    65536, INT32_MAX, INT32_MIN, (int64_t)INT32_MIN - 1, UINT32_MAX, (int64_t)UINT32_MAX + 1, INT64_MAX, INT64_MIN};

static void
test_integers_there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNTOF(integers); i++) {
		struct mp in;

		buf_clear(&out);
		mp_put_int(&out, integers[i]);
		in = mp_of(buf_bytes(&out));
		assert_int_equal(mp_peek(&in), integers[i] < 0 ? MP_INT : MP_UINT);
		assert_true(mp_int(&in) == integers[i] && mp_ok(&in));
		in = mp_of(buf_bytes(&out));
		(void)mp_uint(&in);
		assert_int_equal(mp_ok(&in), integers[i] >= 0);
	}
}

static void
test_foreign_forms(void **state)
{
	struct mp in;

	(void)state;
	/* Integers in any width. */
	in = mp_of(BYTES("\xd0\x05\xd1\x00\x05\xd2\x00\x00\x00\x05\xd3\x00\x00\x00\x00\x00\x00\x00\x05\xcd\x00\x05"));
	for (int i = 0; i < 5; i++)
		assert_int_equal(mp_uint(&in), 5);
	/* str8, bin8, bin16, bin32. */
	assert_true(mp_ok(&in));
	in = mp_of(BYTES("\xd9\x01x\xc4\x01x\xc5\x00\x01x\xc6\x00\x00\x00\x01x"));
	for (int i = 0; i < 4; i++)
		assert_true(bytes_is(mp_str(&in), "x"));
	/* nil for anything, 0 and 1 for a bool, integers and float32 for a float. */
	in = mp_of(BYTES("\xc0\xc0\xc0\xc0\xc0\xc0\xc0\x00\x01\x05\xfb\xca\x3f\xc0\x00\x00"));
	assert_false(mp_bool(&in));
	assert_int_equal(mp_uint(&in), 0);
	assert_int_equal(mp_int(&in), 0);
	assert_true(mp_float(&in) == 0);
	assert_int_equal(mp_str(&in).size, 0);
	assert_int_equal(mp_array(&in), 0);
	assert_int_equal(mp_map(&in), 0);
	assert_false(mp_bool(&in));
	assert_true(mp_bool(&in));
	assert_true(mp_float(&in) == 5);
	assert_true(mp_float(&in) == -5);
	assert_true(mp_float(&in) == 1.5);
	assert_true(mp_ok(&in));
	assert_int_equal(mp_peek(&in), MP_END);
}

/* The first error ends all reading. */
static void
test_errors_stick(void **state)
{
	struct mp in = mp_of(BYTES("\xa1x\x05\x05"));

	(void)state;
	assert_int_equal(mp_uint(&in), 0);
	assert_false(mp_ok(&in));
	assert_int_equal(mp_uint(&in), 0);
	assert_int_equal(mp_str(&in).size, 0);
	assert_int_equal(mp_array(&in), 0);
	assert_int_equal(mp_raw(&in).size, 0);
	assert_false(mp_nil(&in));
	assert_int_equal(mp_peek(&in), MP_END);
	in = mp_of(bytes_of(NULL, 0));
	assert_true(mp_ok(&in));
	mp_skip(&in);
	assert_false(mp_ok(&in));
}

static void
test_wrong_types(void **state)
{
	static const struct bytes values[] = {{(const uint8_t *)"\x02", 1}, {(const uint8_t *)"\xff", 1},
	    {(const uint8_t *)"\xca\0\0\0\0", 5}, {(const uint8_t *)"\xa1x", 2}, {(const uint8_t *)"\x91\x01", 2},
	    {(const uint8_t *)"\x81\x01\x01", 3}, {(const uint8_t *)"\xc1", 1}, {(const uint8_t *)"\xd4\0\0", 3}};
	/* bool uint int float str array map skip */
	static const char *const fit[] = {
	    "-xxx---x", "--xx---x", "---x---x", "----x--x", "-----x-x", "------xx", "--------", "--------"};

	(void)state;
	for (size_t i = 0; i < COUNTOF(values); i++) {
		for (size_t read = 0; read < 8; read++) {
			struct mp in = mp_of(values[i]);

			switch (read) {
			case 0:
				(void)mp_bool(&in);
				break;
			case 1:
				(void)mp_uint(&in);
				break;
			case 2:
				(void)mp_int(&in);
				break;
			case 3:
				(void)mp_float(&in);
				break;
			case 4:
				(void)mp_str(&in);
				break;
			case 5:
				(void)mp_array(&in);
				break;
			case 6:
				(void)mp_map(&in);
				break;
			default:
				mp_skip(&in);
				break;
			}
			assert_int_equal(mp_ok(&in), fit[i][read] == 'x');
		}
	}
}

/* Counts and lengths that the rest of the message cannot hold are refused at once. */
static void
test_promises_are_checked(void **state)
{
	static const struct bytes bad[] = {{(const uint8_t *)"\xdd\xff\xff\xff\xff\x01", 6},
	    {(const uint8_t *)"\x92\x01", 2}, {(const uint8_t *)"\xdf\xff\xff\xff\xff\x01", 6},
	    {(const uint8_t *)"\x81\x01", 2}, {(const uint8_t *)"\xa2x", 2},
	    {(const uint8_t *)"\xdb\xff\xff\xff\xffx", 6}, {(const uint8_t *)"\xcd\x01", 2},
	    {(const uint8_t *)"\xdc\x00", 2}, {(const uint8_t *)"\xcb\0\0\0\0\0\0\0", 8}, {(const uint8_t *)"\xd9", 1}};

	(void)state;
	for (size_t i = 0; i < COUNTOF(bad); i++) {
		struct mp in = mp_of(bad[i]), copy = in;

		mp_skip(&in);
		assert_false(mp_ok(&in));
		assert_int_equal(mp_array(&copy), 0);
		assert_false(mp_ok(&copy));
	}
}

static void
test_skip_depth(void **state)
{
	uint8_t nested[2 * MP_DEPTH_MAX + 2];
	struct mp in;

	(void)state;
	memset(nested, 0x91, sizeof nested);
	nested[MP_DEPTH_MAX] = 0x05;
	in = mp_of(bytes_of(nested, sizeof nested));
	assert_int_equal(mp_raw(&in).size, MP_DEPTH_MAX + 1);
	assert_true(mp_ok(&in));
	nested[MP_DEPTH_MAX] = 0x91;
	nested[MP_DEPTH_MAX + 1] = 0x05;
	in = mp_of(bytes_of(nested, sizeof nested));
	mp_skip(&in);
	assert_false(mp_ok(&in));
}

static void
test_find(void **state)
{
	struct bytes map;
	struct mp value;
	size_t place;

	(void)state;
	place = mp_open_map(&out);
	mp_put_kv_cstr(&out, "a", "text");
	mp_put_cstr(&out, "nested");
	mp_put_array(&out, 2);
	mp_put_uint(&out, 1);
	mp_put_map(&out, 0);
	mp_put_kv_uint(&out, "n", 7);
	mp_put_kv_int(&out, "i", -7);
	mp_put_kv_bool(&out, "b", true);
	mp_close(&out, place, 5);
	map = buf_bytes(&out);
	assert_true(bytes_is(mp_find_str(map, "a"), "text"));
	assert_int_equal(mp_find_uint(map, "n"), 7);
	assert_int_equal(mp_find_int(map, "i"), -7);
	assert_true(mp_find_bool(map, "b"));
	assert_int_equal(mp_find_raw(map, "nested").size, 3);
	assert_false(mp_find(mp_of(map), "missing", &value));
	assert_int_equal(mp_find_raw(map, "missing").size, 0);
	assert_false(mp_find(mp_of(BYTES("\x05")), "a", &value));
	assert_false(mp_find(mp_of(bytes_of(map.data, 8)), "n", &value));
	place = mp_open_array(&out);
	mp_close(&out, place, 0);
	assert_memory_equal(out.data + place, "\xdd\0\0\0\0", 5);
}

static void
test_overflow(void **state)
{
	struct buf small = BUF_INIT(8);
	size_t place;

	(void)state;
	place = mp_open_map(&small);
	mp_put_cstr(&small, "too long for it");
	mp_close(&small, place, 1);
	assert_true(small.overflow);
	buf_free(&small);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_written_forms, reset),
	    cmocka_unit_test_setup(test_text_sizes, reset),
	    cmocka_unit_test_setup(test_integers_there_and_back, reset),
	    cmocka_unit_test_setup(test_foreign_forms, reset),
	    cmocka_unit_test_setup(test_errors_stick, reset),
	    cmocka_unit_test_setup(test_wrong_types, reset),
	    cmocka_unit_test_setup(test_promises_are_checked, reset),
	    cmocka_unit_test_setup(test_skip_depth, reset),
	    cmocka_unit_test_setup(test_find, reset),
	    cmocka_unit_test_setup_teardown(test_overflow, reset, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

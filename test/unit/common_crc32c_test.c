/*
 * common_crc32c_test.c - CRC-32C against RFC 3720's values, and the two implementations against each other
 */
#include "crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
test_known_values(void **state)
{
	uint8_t block[32];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, NULL, 0), 0);
	memset(block, 0, sizeof block);
	assert_int_equal(crc32c(0, block, sizeof block), 0x8a9136aa);
	memset(block, 0xff, sizeof block);
	assert_int_equal(crc32c(0, block, sizeof block), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		block[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, block, sizeof block), 0x46dd794e);
}

static void
test_portable_is_equal_at_every_length_and_split(void **state)
{
	uint8_t text[97];

	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 37 + 11);
	for (size_t size = 0; size <= sizeof text; size++) {
		uint32_t whole = crc32c(0, text, size);

		assert_int_equal(crc32c_portable(0, text, size), whole);
		for (size_t cut = 0; cut <= size; cut++)
			assert_int_equal(crc32c_portable(crc32c(0, text, cut), text + cut, size - cut), whole);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known_values),
	    cmocka_unit_test(test_portable_is_equal_at_every_length_and_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * common_sha256_test.c - digests of FIPS 180-4's examples, whole and in pieces of every size
 */
#include "sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"

static void
test_examples(void **state)
{
	char text[SHA256_TEXT_MAX];
	uint8_t *million = malloc(1000000);

	(void)state;
	assert_string_equal(
	    sha256_text(bytes_of(NULL, 0), text), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_string_equal(
	    sha256_text(bytes_str("abc"), text), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(sha256_text(bytes_str("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), text),
	    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	assert_non_null(million);
	memset(million, 'a', 1000000);
	assert_string_equal(sha256_text(bytes_of(million, 1000000), text),
	    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(million);
}

static void
test_pieces_make_the_same_digest(void **state)
{
	uint8_t data[300], whole[SHA256_BYTES], pieces[SHA256_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t size = 0; size < sizeof data; size++)
		for (size_t piece = 1; piece <= 130; piece += 1 + piece / 8) {
			struct sha256 s;

			sha256(bytes_of(data, size), whole);
			sha256_begin(&s);
			for (size_t at = 0; at < size; at += piece)
				sha256_add(&s, bytes_of(data + at, MIN(piece, size - at)));
			sha256_end(&s, pieces);
			assert_memory_equal(whole, pieces, sizeof whole);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_examples),
	    cmocka_unit_test(test_pieces_make_the_same_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * gossipd_stream_test.c - streams as they come, in pieces of any size: the captured ones, cut ones, wrong ones, too large ones
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stream_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "mem.h"

static struct keyring ring;

static void
ring_for(const char *name)
{
	static const uint8_t second[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
	    22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
	bool wan = strncmp(name, "gossip-consul-wan", 17) == 0;

	keyring_clear(&ring);
	if (!wan && strstr(name, "encrypt") == NULL)
		return;
	assert_null(keyring_install(&ring, bytes_str(wan ? "consul-wan-key-1" : "0123456789abcdef")));
	assert_null(keyring_install(&ring, bytes_of(second, sizeof second)));
}

static struct bytes
unhex(char *text)
{
	size_t size = strlen(text) / 2;
	unsigned byte;

	for (size_t i = 0; i < size; i++) {
		assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
		((uint8_t *)text)[i] = (uint8_t)byte;
	}
	return bytes_of(text, size);
}

/* What is whole is known to be so with its last byte, and not before. */
static void
byte_by_byte(const struct envelope *e, const char *name, struct bytes in, bool from_opener)
{
	struct stream_reader r;
	struct bytes message;
	const char *why = "";
	int n = 0;

	stream_reader_init(&r);
	for (size_t i = 0; i < in.size; i++) {
		if (n != 0)
			fail_msg("%s: %d after %zu of %zu bytes: %s", name, n, i, in.size, why);
		buf_put_u8(&r.in, in.data[i]);
		n = stream_reader_next(&r, e, from_opener, &message, &why);
	}
	if (n != 1)
		fail_msg("%s: %d at its end: %s", name, n, why);
	assert_true(message.size > 1);
	stream_reader_free(&r);
}

static void
test_captured(void **state)
{
	FILE *f = fopen(TEST_DATA "/gossip-vectors.hex", "re");
	struct envelope e = {.ring = &ring, .verify_incoming = true};
	static char line[262144], name[256], kind[64], hex[262144];
	unsigned count = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		if (line[0] == '#' || sscanf(line, "%255s %63s %262143s", name, kind, hex) != 3 ||
		    strncmp(kind, "tcp-", 4) != 0)
			continue;
		ring_for(name);
		e.label = bytes_str(strstr(name, "label") != NULL ? "east-1" : "");
		byte_by_byte(&e, name, unhex(hex), strcmp(kind, "tcp-request") == 0);
		count++;
	}
	fclose(f);
	assert_true(count > 10);
}

static int
read_all(const struct envelope *e, const void *data, size_t size, const char **why)
{
	struct stream_reader r;
	struct bytes message;
	int n;

	stream_reader_init(&r);
	buf_put(&r.in, data, size);
	n = stream_reader_next(&r, e, true, &message, why);
	stream_reader_free(&r);
	return n;
}

static void
test_wrong(void **state)
{
	static const uint8_t sealed[] = {GOSSIP_ENCRYPTED, 0, 0, 1, 0}, large[] = {GOSSIP_ENCRYPTED, 0x7f, 0, 0, 0},
			     unknown[] = {99, 0},
			     user[] = {GOSSIP_USER, 0x81, 0xaa, 'U', 's', 'e', 'r', 'M', 's', 'g', 'L', 'e', 'n', 0xce,
				 0x7f, 0xff, 0xff, 0xff},
			     ping[] = {GOSSIP_PING, 0x80};
	struct envelope e = {.ring = &ring, .verify_incoming = true};
	static uint8_t endless[65536] = {GOSSIP_PUSH_PULL, 0xff};
	const char *why = "";

	(void)state;
	ring_for("plain");
	assert_int_equal(read_all(&e, sealed, sizeof sealed, &why), -1);
	assert_string_equal(why, "Remote state is encrypted and encryption is not configured");
	assert_int_equal(read_all(&e, unknown, sizeof unknown, &why), -1);
	assert_int_equal(read_all(&e, user, sizeof user, &why), -1);
	assert_int_equal(read_all(&e, endless, sizeof endless, &why), -1);
	assert_int_equal(read_all(&e, ping, sizeof ping, &why), 1);
	ring_for("encrypted");
	assert_int_equal(read_all(&e, ping, sizeof ping, &why), -1);
	assert_string_equal(why, "Encryption is configured but remote state is not encrypted");
	assert_int_equal(read_all(&e, large, sizeof large, &why), -1);
	assert_string_equal(why, "Remote node state is larger than limit");
	e.verify_incoming = false;
	assert_int_equal(read_all(&e, ping, sizeof ping, &why), 1);
}

/* A compressed message within a compressed one is nobody's honest state. */
static void
test_compressed_twice(void **state)
{
	struct envelope e = {.ring = &ring, .compress = true};
	struct buf once = BUF_INIT(65536), twice = BUF_INIT(65536);
	const uint8_t ping[] = {GOSSIP_PING, 0x80};
	const char *why = "";

	(void)state;
	ring_for("plain");
	envelope_stream_put(&e, bytes_of(ping, sizeof ping), true, &once);
	assert_int_equal(read_all(&e, once.data, once.used, &why), 1);
	envelope_stream_put(&e, buf_bytes(&once), true, &twice);
	assert_int_equal(read_all(&e, twice.data, twice.used, &why), -1);
	buf_free(&once);
	buf_free(&twice);
}

static int
setup(void **state)
{
	char error[KEYRING_ERROR_MAX];

	(void)state;
	return aead_load(error);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_captured),
	    cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_compressed_twice),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

/*
 * gossipd_wire_test.c - messages, envelopes, compression and keys against bytes captured between agents of the reference's libraries
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aead.h"
#include "envelope.h"
#include "lzw.h"
#include "sha256.h"
#include "wire.h"

#define LINE_MAX_BYTES (64u * 1024)

static uint8_t
nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void
hex_put(struct buf *out, const char *hex)
{
	for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2)
		buf_put_u8(out, (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1])));
}

/* ---- bodies ---- */

static void
round_trip(const struct schema *s, struct bytes body, size_t rest)
{
	union {
		uint64_t align;
		uint8_t bytes[1024];
	} c;
	struct buf out = BUF_INIT(LINE_MAX_BYTES);
	struct mp in = mp_of(body);
	const char *error;

	assert_true(s->size <= sizeof c);
	if (schema_decode_at(s, &in, &c, &error) == -1)
		fail_msg("%s", error);
	schema_encode(s, &c, &out);
	assert_int_equal(out.used + rest, body.size);
	assert_memory_equal(out.data, body.data, out.used);
	buf_free(&out);
}

static size_t
relay_head_bytes(struct bytes body)
{
	struct mp in = mp_of(body);

	mp_skip(&in);
	return (size_t)(in.at - body.data);
}

static void
check_user(struct bytes m)
{
	struct bytes body = {m.data + 1, m.size - 1};
	size_t head;

	assert_true(m.size > 1);
	switch (m.data[0]) {
	case SERF_LEAVE:
		round_trip(&serf_leave_schema, body, 0);
		break;
	case SERF_JOIN:
		round_trip(&serf_join_schema, body, 0);
		break;
	case SERF_PUSH_PULL:
		round_trip(&serf_push_pull_schema, body, 0);
		break;
	case SERF_USER_EVENT:
		round_trip(&serf_event_schema, body, 0);
		break;
	case SERF_QUERY:
		round_trip(&serf_query_schema, body, 0);
		break;
	case SERF_QUERY_RESPONSE:
		round_trip(&serf_query_response_schema, body, 0);
		break;
	case SERF_RELAY:
		head = relay_head_bytes(body);
		round_trip(&serf_relay_schema, body, body.size - head);
		check_user((struct bytes){body.data + head, body.size - head});
		break;
	default:
		fail_msg("user message of type %u", m.data[0]);
	}
}

static void
check_push_pull(struct bytes body)
{
	struct gossip_push_pull head;
	struct mp in = mp_of(body);
	const char *error;
	size_t at;

	assert_int_equal(schema_decode_at(&gossip_push_pull_schema, &in, &head, &error), 0);
	at = (size_t)(in.at - body.data);
	round_trip(&gossip_push_pull_schema, body, body.size - at);
	for (uint64_t i = 0; i < head.nodes; i++) {
		struct bytes node = mp_raw(&in);

		round_trip(&gossip_node_schema, node, 0);
	}
	assert_int_equal(in.end - in.at, head.user_state_bytes);
	if (head.user_state_bytes > 0)
		check_user((struct bytes){in.at, (size_t)(in.end - in.at)});
}

static unsigned messages_seen[256];

static void
check_message(void *ctx, struct bytes m)
{
	struct bytes body = {m.data + 1, m.size - 1};

	(void)ctx;
	messages_seen[m.data[0]]++;
	switch (m.data[0]) {
	case GOSSIP_PING:
		round_trip(&gossip_ping_schema, body, 0);
		break;
	case GOSSIP_INDIRECT_PING:
		round_trip(&gossip_indirect_ping_schema, body, 0);
		break;
	case GOSSIP_ACK:
		round_trip(&gossip_ack_schema, body, 0);
		break;
	case GOSSIP_NACK:
		round_trip(&gossip_nack_schema, body, 0);
		break;
	case GOSSIP_SUSPECT:
	case GOSSIP_DEAD:
		round_trip(&gossip_accusation_schema, body, 0);
		break;
	case GOSSIP_ALIVE:
		round_trip(&gossip_alive_schema, body, 0);
		break;
	case GOSSIP_PUSH_PULL:
		check_push_pull(body);
		break;
	case GOSSIP_ERROR:
		round_trip(&gossip_error_schema, body, 0);
		break;
	case GOSSIP_USER:
		if (body.size > 0 && body.data[0] <= SERF_RELAY) /* those of plain memberlist agents say anything */
			check_user(body);
		break;
	default:
		fail_msg("message of type %u", m.data[0]);
	}
}

/* ---- the captures ---- */

static void
envelope_for(const char *name, struct envelope *e)
{
	static const uint8_t second[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
	    22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
	bool wan = strncmp(name, "gossip-consul-wan", 17) == 0;

	char error[KEYRING_ERROR_MAX];

	assert_int_equal(aead_load(error), 0);
	keyring_clear(e->ring);
	e->label = bytes_str(strncmp(name, "gossip-label", 12) == 0 ? "east-1" : "");
	if (!wan && strstr(name, "encrypt") == NULL)
		return;
	assert_null(keyring_install(e->ring, bytes_str(wan ? "consul-wan-key-1" : "0123456789abcdef")));
	assert_null(keyring_install(e->ring, bytes_of(second, sizeof second)));
}

static void
check_stream(const struct envelope *e, const char *name, struct bytes stream, bool from_opener)
{
	struct buf scratch = BUF_INIT(GOSSIP_STREAM_MAX), plain = BUF_INIT(GOSSIP_STREAM_MAX);
	struct bytes message;
	const char *why = "";
	bool whole;

	/* any beginning of it is not wrong, and a sealed one is complete only at its end */
	for (size_t size = 0; size < stream.size; size++) {
		int n = envelope_stream_open(
		    e, (struct bytes){stream.data, size}, from_opener, &scratch, &message, &whole, &why);

		assert_int_not_equal(n, -1);
		assert_true(n == 0 || !whole);
	}
	if (envelope_stream_open(e, stream, from_opener, &scratch, &message, &whole, &why) != 1)
		fail_msg("%s: %s", name, why);
	assert_int_equal(whole, e->ring->count > 0);
	if (message.data[0] == GOSSIP_COMPRESSED) {
		assert_int_equal(envelope_expand((struct bytes){message.data + 1, message.size - 1}, &plain), 0);
		message = buf_bytes(&plain);
	}
	if (message.data[0] == GOSSIP_USER) /* has a head in streams */
		round_trip(&gossip_user_head_schema, (struct bytes){message.data + 1, message.size - 1},
		    message.size - 1 - relay_head_bytes((struct bytes){message.data + 1, message.size - 1}));
	else
		check_message(NULL, message);
	buf_free(&scratch);
	buf_free(&plain);
}

static void
check_packet(const struct envelope *e, const char *name, struct bytes packet)
{
	struct buf scratch = BUF_INIT(GOSSIP_PACKET_MAX), again = BUF_INIT(GOSSIP_PACKET_MAX),
		   scratch_again = BUF_INIT(GOSSIP_PACKET_MAX);
	struct bytes message, back;
	const char *why = "";

	if (envelope_packet_open(e, packet, &scratch, &message, &why) == -1)
		fail_msg("%s: %s", name, why);
	assert_int_equal(envelope_parts(message, check_message, NULL), 0);
	/* what we would send for it is read back as the same */
	envelope_packet_put(e, message, true, &again);
	assert_int_equal(envelope_packet_open(e, buf_bytes(&again), &scratch_again, &back, &why), 0);
	assert_int_equal(back.size, message.size);
	assert_memory_equal(back.data, message.data, back.size);
	/* a bit flipped in a sealed packet is noticed */
	if (e->ring->count > 0) {
		again.data[again.used / 2] ^= 1;
		assert_int_equal(envelope_packet_open(e, buf_bytes(&again), &scratch_again, &back, &why), -1);
	}
	buf_free(&scratch);
	buf_free(&again);
	buf_free(&scratch_again);
}

static void
test_captures(void **state)
{
	static char line[LINE_MAX_BYTES];
	static struct keyring ring;
	struct envelope e = {.ring = &ring, .verify_incoming = true, .verify_outgoing = true};
	FILE *f = fopen(TEST_DATA "/gossip-vectors.hex", "re");
	unsigned count = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		struct buf bytes = BUF_INIT(LINE_MAX_BYTES);
		char name[64], kind[32];
		int at;

		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		assert_int_equal(sscanf(line, "%63s %31s %n", name, kind, &at), 2);
		hex_put(&bytes, line + at);
		envelope_for(name, &e);
		if (strcmp(kind, "udp") == 0)
			check_packet(&e, name, buf_bytes(&bytes));
		else
			check_stream(&e, name, buf_bytes(&bytes), strcmp(kind, "tcp-request") == 0);
		buf_free(&bytes);
		count++;
	}
	(void)fclose(f);
	assert_int_equal(count, 218) /* lines of the file */;
	for (unsigned type = GOSSIP_PING; type <= GOSSIP_PUSH_PULL; type++)
		assert_int_not_equal(messages_seen[type], 0);
}

/* ---- compression ---- */

static void
test_lzw(void **state)
{
	FILE *f = fopen(TEST_DATA "/lzw-vectors.txt", "re");
	static char line[LINE_MAX_BYTES];

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20), back = BUF_INIT(1 << 20);
		static char input[LINE_MAX_BYTES];
		char name[64], digest[SHA256_TEXT_MAX], got[SHA256_TEXT_MAX];
		unsigned size, count, seed, mod;

		if (line[0] == '#')
			continue;
		assert_int_equal(sscanf(line, "%63s %65535s %u %64s", name, input, &size, digest), 4);
		if (sscanf(input, "lcg:%u:%u:%u", &count, &seed, &mod) == 3)
			for (uint32_t i = 0, x = seed; i < count; i++) {
				x = x * 1664525 + 1013904223;
				buf_put_u8(&in, (uint8_t)((x >> 16) % mod));
			}
		else if (strcmp(input, "-") != 0)
			hex_put(&in, input);
		lzw_compress(buf_bytes(&in), &out);
		assert_int_equal(out.used, size);
		assert_string_equal(sha256_text(buf_bytes(&out), got), digest);
		assert_int_equal(lzw_expand(buf_bytes(&out), &back), 0);
		assert_int_equal(back.used, in.used);
		if (in.used > 0)
			assert_memory_equal(back.data, in.data, in.used);
		/* cut off anywhere: an error, never a short text */
		for (size_t cut = 0; cut + 1 < out.used; cut += 1 + out.used / 50) {
			buf_clear(&back);
			assert_int_equal(lzw_expand((struct bytes){out.data, cut}, &back), -1);
		}
		buf_free(&in);
		buf_free(&out);
		buf_free(&back);
	}
	(void)fclose(f);
}

/* A text that expands without end is stopped by the buffer's maximum. */
static void
test_lzw_bound(void **state)
{
	struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20), small = BUF_INIT(4096);

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_put_u8(&in, 'a');
	lzw_compress(buf_bytes(&in), &out);
	assert_true(out.used < 2000);
	assert_int_equal(lzw_expand(buf_bytes(&out), &small), -1);
	assert_true(small.used <= 4096);
	buf_free(&in);
	buf_free(&out);
	buf_free(&small);
}

/* ---- keys ---- */

static void
test_keyring(void **state)
{
	static struct keyring k, back;
	struct buf text = BUF_INIT(4096);
	char error[KEYRING_ERROR_MAX];

	(void)state;
	keyring_clear(&k);
	assert_string_equal(keyring_install(&k, bytes_str("short")), "key size must be 16, 24 or 32 bytes");
	assert_null(keyring_install(&k, bytes_str("0123456789abcdef")));
	assert_null(keyring_install(&k, bytes_str("0123456789abcdef")));
	assert_int_equal(k.count, 1);
	assert_null(keyring_install(&k, bytes_str("0123456789abcdef01234567")));
	assert_string_equal(keyring_use(&k, bytes_str("another one, 16b")), "Requested key is not in the keyring");
	assert_null(keyring_use(&k, bytes_str("0123456789abcdef01234567")));
	assert_int_equal(k.keys[0].size, 24);
	assert_string_equal(
	    keyring_remove(&k, bytes_str("0123456789abcdef01234567")), "Removing the primary key is not allowed");
	assert_null(keyring_remove(&k, bytes_str("another one, 16b")));
	keyring_print(&k, false, &text);
	buf_put_u8(&text, '\0');
	assert_string_equal(
	    (const char *)text.data, "[\n  \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\",\n  \"MDEyMzQ1Njc4OWFiY2RlZg==\"\n]");
	assert_int_equal(keyring_parse((struct bytes){text.data, text.used - 1}, "f", &back, error), 0);
	assert_int_equal(back.count, 2);
	assert_memory_equal(back.keys[1].bytes, "0123456789abcdef", 16);
	assert_null(keyring_remove(&k, bytes_str("0123456789abcdef")));
	assert_int_equal(k.count, 1);
	buf_clear(&text);
	keyring_print(&k, true, &text);
	buf_put_u8(&text, '\0');
	assert_string_equal((const char *)text.data, "[\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\"]");
	buf_free(&text);
	assert_int_equal(keyring_parse(bytes_str("[]"), "d/local.keyring", &back, error), -1);
	assert_string_equal(error, "no keys present in keyring: d/local.keyring");
	assert_int_equal(keyring_parse(bytes_str("[\"bm9uZQ==\"]"), "d/local.keyring", &back, error), -1);
	assert_non_null(strstr(error, "Invalid key"));
	assert_null(strstr(error, "bm9uZQ"));
	assert_int_equal(keyring_parse(bytes_str("{}"), "d/local.keyring", &back, error), -1);
}

/* Who has other keys, or none, does not read it; a rotation in steps never makes a pair of nodes deaf. */
static void
test_envelope_keys(void **state)
{
	static struct keyring one, two, none;
	struct envelope a = {.ring = &one, .verify_incoming = true, .verify_outgoing = true};
	struct envelope b = {.ring = &two, .verify_incoming = true, .verify_outgoing = true};
	struct envelope c = {.ring = &none, .verify_incoming = true, .verify_outgoing = true};
	struct bytes ping = bytes_str("\001 a message"), back;
	struct buf packet = BUF_INIT(4096), scratch = BUF_INIT(4096);
	const char *why;

	(void)state;
	keyring_clear(&one);
	keyring_clear(&two);
	keyring_clear(&none);
	assert_null(keyring_install(&one, bytes_str("0123456789abcdef")));
	assert_null(keyring_install(&two, bytes_str("fedcba9876543210")));
	envelope_packet_put(&a, ping, false, &packet);
	assert_int_equal(packet.used, ping.size + ENVELOPE_SEAL_BYTES);
	assert_int_equal(envelope_packet_open(&b, buf_bytes(&packet), &scratch, &back, &why), -1);
	assert_null(keyring_install(&two, bytes_str("0123456789abcdef")));
	assert_int_equal(envelope_packet_open(&b, buf_bytes(&packet), &scratch, &back, &why), 0);
	assert_memory_equal(back.data, ping.data, ping.size);
	buf_clear(&packet);
	envelope_packet_put(&c, ping, false, &packet);
	assert_int_equal(envelope_packet_open(&a, buf_bytes(&packet), &scratch, &back, &why), -1);
	a.verify_incoming = false;
	assert_int_equal(envelope_packet_open(&a, buf_bytes(&packet), &scratch, &back, &why), 0);
	a.verify_outgoing = false;
	assert_int_equal(envelope_overhead(&a), 0);
	buf_clear(&packet);
	envelope_packet_put(&a, ping, false, &packet);
	assert_int_equal(packet.used, ping.size);
	buf_free(&packet);
	buf_free(&scratch);
}

static unsigned leaves;

static void
count_leaf(void *ctx, struct bytes m)
{
	(void)ctx;
	(void)m;
	leaves++;
}

/* Compounds that end early give what is whole; nesting is bounded. */
static void
test_compound(void **state)
{
	struct bytes parts[3] = {bytes_str("\002aa"), bytes_str("\002bb"), bytes_str("\002cc")};
	struct buf out = BUF_INIT(4096), nested = BUF_INIT(65536), next = BUF_INIT(65536);

	(void)state;
	envelope_compound_put(parts, 3, &out);
	leaves = 0;
	assert_int_equal(envelope_parts(buf_bytes(&out), count_leaf, NULL), 0);
	assert_int_equal(leaves, 3);
	leaves = 0;
	assert_int_equal(envelope_parts((struct bytes){out.data, out.used - 1}, count_leaf, NULL), 1);
	assert_int_equal(leaves, 2);
	assert_int_equal(envelope_parts((struct bytes){out.data, 5}, count_leaf, NULL), 1);
	buf_put_bytes(&nested, parts[0]);
	for (int depth = 0; depth < 20; depth++) {
		struct bytes inner = buf_bytes(&nested);

		buf_clear(&next);
		envelope_compound_put(&inner, 1, &next);
		buf_clear(&nested);
		buf_put_bytes(&nested, buf_bytes(&next));
	}
	leaves = 0;
	assert_int_equal(envelope_parts(buf_bytes(&nested), count_leaf, NULL), 1);
	assert_int_equal(leaves, 0);
	buf_free(&out);
	buf_free(&nested);
	buf_free(&next);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_captures),
	    cmocka_unit_test(test_lzw),
	    cmocka_unit_test(test_lzw_bound),
	    cmocka_unit_test(test_keyring),
	    cmocka_unit_test(test_envelope_keys),
	    cmocka_unit_test(test_compound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * raftd_message_test.c - node IDs, configurations and messages between servers, there and back; anything cut short is refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "message.h"
#include "mp.h"
#include "wal.h"

static void
test_ids(void **state)
{
	struct raft_id id;
	uint8_t bytes[16];
	char text[UUID_TEXT_SIZE];

	(void)state;
	assert_int_equal(raft_id_parse("1AF4f5e4-133f-4575-4d02-1134b66e8ad1", &id), 0);
	assert_true(id.high == UINT64_C(0x1af4f5e4133f4575) && id.low == UINT64_C(0x4d021134b66e8ad1));
	assert_string_equal(raft_id_format(id, text), "1af4f5e4-133f-4575-4d02-1134b66e8ad1");
	raft_id_to_bytes(id, bytes);
	assert_int_equal(bytes[0], 0x1a);
	assert_int_equal(bytes[15], 0xd1);
	assert_true(raft_id_equal(raft_id_from_bytes(bytes), id));
	assert_int_equal(raft_id_parse("1af4f5e4-133f-4575-4d02-1134b66e8ad", &id), -1);
	assert_int_equal(raft_id_parse("1af4f5e4-133f-4575-4d02-1134b66e8adg", &id), -1);
	assert_int_equal(raft_id_parse("", &id), -1);
	/* nobody's */
	assert_int_equal(raft_id_parse("00000000-0000-0000-0000-000000000000", &id), -1);
}

static void
test_configuration(void **state)
{
	struct configuration c = {.count = 2}, back;
	struct buf out = BUF_INIT(10000), text = BUF_INIT(10000);

	(void)state;
	c.members[0] = (struct member){{1, 2}, "10.0.0.1:8300", true, UINT64_MAX};
	c.members[1] = (struct member){{3, 4}, "[2001:db8::1]:8300", false};
	configuration_encode(&c, &out);
	assert_int_equal(configuration_decode(buf_bytes(&out), &back), 0);
	assert_int_equal(back.count, 2);
	assert_true(raft_id_equal(back.members[1].id, c.members[1].id));
	assert_string_equal(back.members[1].address, "[2001:db8::1]:8300");
	assert_true(back.members[0].voter && !back.members[1].voter);
	assert_true(back.members[0].life == UINT64_MAX && back.members[1].life == 0);
	assert_ptr_equal(configuration_find(&c, (struct raft_id){3, 4}), &c.members[1]);
	assert_null(configuration_find(&c, (struct raft_id){3, 5}));
	for (size_t size = 0; size < out.used; size++)
		assert_int_equal(configuration_decode(bytes_of(out.data, size), &back), -1);
	configuration_print(&c, &text);
	assert_true(bytes_is(buf_bytes(&text),
	    "[{Suffrage:Voter ID:00000000-0000-0001-0000-000000000002 Address:10.0.0.1:8300} "
	    "{Suffrage:Nonvoter ID:00000000-0000-0003-0000-000000000004 Address:[2001:db8::1]:8300}]"));
	/* one server twice */
	c.members[1].id = c.members[0].id;
	buf_clear(&out);
	configuration_encode(&c, &out);
	assert_int_equal(configuration_decode(buf_bytes(&out), &back), -1);
	buf_free(&out);
	buf_free(&text);
}

static struct message_entry
entry_of(void *ctx, uint64_t index)
{
	static char text[32];

	(void)ctx;
	snprintf(text, sizeof text, "entry %u", (unsigned)index);
	return (struct message_entry){(uint8_t)(index % 2), bytes_str(text)};
}

static void
test_messages(void **state)
{
	const struct terms_run runs[] = {{6, 2}, {8, 3}};
	struct raft_message m = {.type = RAFT_APPEND,
	    .from = {0, 2},
	    .to = {0, 1},
	    .term = 4,
	    .index = 5,
	    .log_term = 1,
	    .commit = 6,
	    .round = 77,
	    .lease_ns = 88,
	    .life = 99,
	    .entries = 4,
	    .runs = runs,
	    .run_count = 2};
	struct buf out = BUF_INIT(10000);
	struct message_in in;

	(void)state;
	message_encode(&m, entry_of, NULL, &out);
	assert_int_equal(message_decode(buf_bytes(&out), &in), 0);
	assert_int_equal(in.message.type, RAFT_APPEND);
	assert_true(raft_id_equal(in.message.from, m.from) && raft_id_equal(in.message.to, m.to));
	assert_int_equal(in.message.term, 4);
	assert_int_equal(in.message.index, 5);
	assert_int_equal(in.message.log_term, 1);
	assert_int_equal(in.message.commit, 6);
	assert_int_equal(in.message.round, 77);
	assert_int_equal(in.message.lease_ns, 88);
	assert_int_equal(in.message.life, 99);
	assert_false(in.message.transfer);
	assert_int_equal(in.message.entries, 4);
	assert_int_equal(in.message.run_count, 2);
	assert_memory_equal(in.message.runs, runs, sizeof runs);
	assert_true(bytes_is(in.entries[3].data, "entry 9"));
	assert_int_equal(in.entries[3].type, 1);
	message_in_free(&in);
	for (size_t size = 0; size < out.used; size++)
		assert_int_equal(message_decode(bytes_of(out.data, size), &in), -1);
	buf_put_u8(&out, 0);
	assert_int_equal(message_decode(buf_bytes(&out), &in), -1);
	buf_clear(&out);
	m = (struct raft_message){.type = RAFT_APPEND_REPLY,
	    .from = {0, 1},
	    .to = {0, 2},
	    .term = 4,
	    .index = 9,
	    .reject = true,
	    .hint_index = 3,
	    .hint_term = 2};
	message_encode(&m, entry_of, NULL, &out);
	assert_int_equal(message_decode(buf_bytes(&out), &in), 0);
	assert_true(in.message.reject && !in.message.transfer);
	assert_int_equal(in.message.hint_index, 3);
	assert_int_equal(in.message.hint_term, 2);
	message_in_free(&in);
	/* a count that the bytes do not bear out is not believed */
	out.data[107] = 0xff;
	assert_int_equal(message_decode(buf_bytes(&out), &in), -1);
	buf_clear(&out);
	m = (struct raft_message){.type = RAFT_VOTE, .from = {0, 1}, .to = {0, 2}, .term = 4, .transfer = true};
	message_encode(&m, entry_of, NULL, &out);
	assert_int_equal(message_decode(buf_bytes(&out), &in), 0);
	assert_true(in.message.transfer && !in.message.reject);
	message_in_free(&in);
	/* a flag nobody knows */
	out.data[2] = 4;
	assert_int_equal(message_decode(buf_bytes(&out), &in), -1);
	buf_free(&out);
}

/* Two configurations among the entries, one of them the last. */
static struct message_entry
configuration_entry(void *ctx, uint64_t index)
{
	struct configuration c = {.count = 1 + index % 2, .members = {{{1, 2}, "a:1", true}, {{3, 4}, "b:2", false}}};
	struct buf *out = ctx;

	if (index % 3 != 0)
		return (struct message_entry){WAL_DATA, bytes_str("x")};
	buf_clear(out);
	configuration_encode(&c, out);
	return (struct message_entry){WAL_CONFIGURATION, buf_bytes(out)};
}

/* The core is told of the configurations among the entries: of the last ones, if there are many. */
static void
test_configurations_in_messages(void **state)
{
	const struct terms_run runs[] = {{1, 1}};
	struct raft_message m = {
	    .type = RAFT_APPEND, .from = {0, 2}, .to = {0, 1}, .term = 1, .entries = 6, .runs = runs, .run_count = 1};
	struct buf out = BUF_INIT(100000), scratch = BUF_INIT(1000);
	struct message_in in;

	(void)state;
	message_encode(&m, configuration_entry, &scratch, &out);
	assert_int_equal(message_decode(buf_bytes(&out), &in), 0);
	assert_int_equal(in.message.configuration_count, 2);
	assert_ptr_equal(in.message.configurations, in.configurations);
	assert_int_equal(in.configurations[0].index, 3);
	assert_int_equal(in.configurations[0].count, 2);
	assert_true(in.configurations[0].members[0].voter && !in.configurations[0].members[1].voter);
	assert_true(raft_id_equal(in.configurations[0].members[1].id, (struct raft_id){3, 4}));
	assert_int_equal(in.configurations[1].index, 6);
	assert_int_equal(in.configurations[1].count, 1);
	message_in_free(&in);
	/* one that is none */
	out.data[out.used - scratch.used] = 0xc1;
	assert_int_equal(message_decode(buf_bytes(&out), &in), -1);
	buf_clear(&out);
	m.entries = 60;
	message_encode(&m, configuration_entry, &scratch, &out);
	assert_int_equal(message_decode(buf_bytes(&out), &in), 0);
	assert_int_equal(in.message.configuration_count, RAFT_CONFIGURATIONS_MAX);
	assert_int_equal(in.configurations[0].index, 39);
	assert_int_equal(in.configurations[7].index, 60);
	message_in_free(&in);
	buf_free(&out);
	buf_free(&scratch);
}

static void
test_snapshots(void **state)
{
	struct raft_message m = {.type = RAFT_SNAPSHOT,
	    .from = {0, 2},
	    .to = {0, 1},
	    .term = 4,
	    .index = 1000,
	    .log_term = 3,
	    .commit = 1001,
	    .round = 77,
	    .lease_ns = 88,
	    .life = 99,
	    .size = UINT64_C(0x100000000),
	    .bytes = 5};
	struct buf out = BUF_INIT(10000);
	struct message_in in;

	(void)state;
	message_encode_chunk(&m, bytes_str("meta"), bytes_str("bytes"), &out);
	assert_int_equal(message_decode(buf_bytes(&out), &in), 0);
	assert_int_equal(in.message.type, RAFT_SNAPSHOT);
	assert_int_equal(in.message.index, 1000);
	assert_int_equal(in.message.log_term, 3);
	assert_int_equal(in.message.commit, 1001);
	assert_int_equal(in.message.round, 77);
	assert_int_equal(in.message.lease_ns, 88);
	assert_int_equal(in.message.life, 99);
	assert_true(in.message.size == UINT64_C(0x100000000) && in.message.offset == 0 && in.message.bytes == 5);
	assert_true(bytes_is(in.meta, "meta") && bytes_is(in.data, "bytes"));
	message_in_free(&in);
	for (size_t size = 0; size < out.used; size++)
		assert_int_equal(message_decode(bytes_of(out.data, size), &in), -1);
	/* the chunk is as long as it says */
	buf_put_u8(&out, 0);
	assert_int_equal(message_decode(buf_bytes(&out), &in), -1);
	/* only the first one describes the snapshot */
	out.used--;
	out.data[114] = 5;
	assert_int_equal(message_decode(buf_bytes(&out), &in), -1);
	buf_clear(&out);
	m.offset = 500;
	message_encode_chunk(&m, bytes_of(NULL, 0), bytes_str("bytes"), &out);
	assert_int_equal(message_decode(buf_bytes(&out), &in), 0);
	assert_true(in.message.offset == 500 && in.meta.size == 0 && bytes_is(in.data, "bytes"));
	message_in_free(&in);
	buf_clear(&out);
	m = (struct raft_message){.type = RAFT_SNAPSHOT_REPLY,
	    .from = {0, 1},
	    .to = {0, 2},
	    .term = 4,
	    .index = 1000,
	    .offset = 505,
	    .size = 506,
	    .round = 77};
	message_encode(&m, entry_of, NULL, &out);
	assert_int_equal(message_decode(buf_bytes(&out), &in), 0);
	assert_true(in.message.offset == 505 && in.message.size == 506 && in.message.round == 77 && !in.message.reject);
	message_in_free(&in);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_ids), cmocka_unit_test(test_configuration),
	    cmocka_unit_test(test_messages), cmocka_unit_test(test_configurations_in_messages),
	    cmocka_unit_test(test_snapshots)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

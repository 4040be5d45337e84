/*
 * httpd_catalogd.h - the catalogd that tests of requests play: KV answers that the key chooses, and reads that are held
 */
#ifndef HTTPD_CATALOGD_H
#define HTTPD_CATALOGD_H

#include "httpd_fixture.h"

#define STREAMS_MAX 256

/* Requests that the played catalogd holds, and what was written to it last. */
static struct ipc_stream *held[STREAMS_MAX];
static size_t held_count, held_ended;
static char last_op[32], last_key[128];
static size_t last_value_size;

static void
put_entries(struct buf *b, const char *key, struct bytes value, uint64_t index)
{
	struct dir_entry e = {.key = bytes_str(key), .value = value, .create_index = 7, .modify_index = index};
	struct buf list = BUF_INIT(1u << 24);
	struct indexed_dir_entries reply = {
	    .index = index, .known_leader = true, .consistency_level = bytes_str("leader")};

	if (value.data != NULL) {
		mp_put_array(&list, 1);
		schema_encode(&dir_entry_schema, &e, &list);
		reply.entries = buf_bytes(&list);
	}
	schema_encode(&indexed_dir_entries_schema, &reply, b);
	buf_free(&list);
}

static void
ended(struct ipc_stream *s, void *ctx)
{
	(void)ctx;
	for (size_t i = 0; i < held_count; i++)
		if (held[i] == s)
			held[i] = held[--held_count];
	held_ended++;
}

static void
kvs_get(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct key_request q;
	struct buf b = BUF_INIT(1u << 24);
	const char *error;
	static char big[8192];

	(void)ctx;
	assert_int_equal(schema_decode(&key_request_schema, args, &q, &error), 0);
	memset(big, 'x', sizeof big);
	if (q.min_query_index > 0) {
		assert_true(held_count < STREAMS_MAX);
		ipc_stream_watch(s, ended, NULL, NULL);
		held[held_count++] = s;
		return;
	}
	if (bytes_is(q.key, "fail"))
		ipc_fail(s, 0, "No cluster leader");
	else if (bytes_is(q.key, "denied"))
		ipc_fail(s, 0, "rpc error making call: Permission denied: x");
	else {
		if (bytes_is(q.key, "absent"))
			put_entries(&b, "", bytes_of(NULL, 0), 9);
		else if (bytes_is(q.key, "big"))
			put_entries(&b, "big", bytes_of(big, sizeof big), 10);
		else
			put_entries(&b, "k", bytes_str("value"), 8);
		ipc_reply(s, buf_bytes(&b));
	}
	buf_free(&b);
}

static void
kvs_apply(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct kvs_request q;
	struct dir_entry e;
	const char *error;
	static const uint8_t TRUE_BODY[] = {0xc3};

	(void)ctx;
	assert_int_equal(schema_decode(&kvs_request_schema, args, &q, &error), 0);
	assert_int_equal(schema_decode(&dir_entry_schema, q.dir_ent, &e, &error), 0);
	assert_int_equal(bytes_to_str(q.op, last_op, sizeof last_op), 0);
	assert_int_equal(bytes_to_str(e.key, last_key, sizeof last_key), 0);
	last_value_size = e.value.size;
	ipc_reply(s, bytes_of(TRUE_BODY, sizeof TRUE_BODY));
}

static void
status_leader_method(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct buf b = BUF_INIT(256);

	(void)args, (void)ctx;
	mp_put_cstr(&b, "127.0.0.1:8300");
	ipc_reply(s, buf_bytes(&b));
	buf_free(&b);
}

/* The rows that every table of methods has here. */
#define PLAYED_METHODS                                                                                                 \
	{"KVS.Get", kvs_get}, {"KVS.Apply", kvs_apply},                                                                \
	{                                                                                                              \
		"Status.Leader", status_leader_method                                                                  \
	}

static int
setup_with(const struct ipc_service *service)
{
	front_start(service);
	held_count = held_ended = 0;
	return 0;
}

static int
teardown(void **unused)
{
	(void)unused;
	front_stop();
	return 0;
}

#endif

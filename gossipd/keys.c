/*
 * keys.c - key operations on whole pools: asked of all members by a serf query, answered when all have or the time is over (contract: gossip.h)
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gossip.h"
#include "json.h"
#include "mem.h"

#define RELAY_FACTOR_MAX 5
#define REPLY_BYTES_MAX (1024u * 1024)
#define MESSAGES_BYTES_MAX (256u * 1024)

/* How many members have each key; a pool has few. */
struct tally {
	struct tally_key {
		char text[64];
		uint64_t members;
	} keys[KEYRING_KEYS_MAX];
	size_t count;
};

struct operation;

struct pool_operation {
	struct operation *of;
	struct pool *pool;
	struct serf_question *question;
	size_t nodes, answers, refusals;
	uint32_t message_count;
	struct buf messages; /* pairs of text */
	struct tally keys, primary;
	char error[SERF_ERROR_MAX];
};

struct operation {
	struct gossip *gossip;
	struct ipc_stream *stream;
	struct pool_operation pools[2]; /* WAN, LAN */
	size_t count, waiting;
};

static void
tally_add(struct tally *t, struct bytes key)
{
	char text[sizeof t->keys[0].text];

	if (key.size == 0 || bytes_to_str(key, text, sizeof text) == -1)
		return;
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->keys[i].text, text) == 0) {
			t->keys[i].members++;
			return;
		}
	if (t->count < COUNTOF(t->keys)) {
		memcpy(t->keys[t->count].text, text, sizeof text);
		t->keys[t->count++].members = 1;
	}
}

static void
tally_put(const struct tally *t, struct buf *out)
{
	mp_put_map(out, (uint32_t)t->count);
	for (size_t i = 0; i < t->count; i++)
		mp_put_kv_uint(out, t->keys[i].text, t->keys[i].members);
}

static void
pool_put(const struct pool_operation *p, struct buf *out)
{
	struct buf keys = BUF_INIT(64u * 1024), primary = BUF_INIT(64u * 1024), messages = BUF_INIT(REPLY_BYTES_MAX);
	struct keyring_response r = {
	    .wan = pool_is_wan(p->pool),
	    .datacenter = bytes_str(conf_str(daemon_conf(p->of->gossip->daemon), "datacenter", "dc1")),
	    .node_count = (int64_t)p->nodes,
	    .error = bytes_str(p->error),
	};

	tally_put(&p->keys, &keys);
	tally_put(&p->primary, &primary);
	r.keys = buf_bytes(&keys);
	r.primary_keys = buf_bytes(&primary);
	if (p->message_count > 0) {
		mp_put_map(&messages, p->message_count);
		buf_put_bytes(&messages, buf_bytes(&p->messages));
		r.messages = buf_bytes(&messages);
	}
	schema_encode(&keyring_response_schema, &r, out);
	buf_free(&keys);
	buf_free(&primary);
	buf_free(&messages);
}

static void
operation_free(struct operation *o)
{
	for (size_t i = 0; i < o->count; i++) {
		if (o->pools[i].question != NULL)
			pool_query_forget(o->pools[i].pool, o->pools[i].question);
		buf_free(&o->pools[i].messages);
	}
	free(o);
}

static void
pool_over(struct pool_operation *p)
{
	struct operation *o = p->of;
	struct buf list = BUF_INIT(REPLY_BYTES_MAX), body = BUF_INIT(2 * REPLY_BYTES_MAX);
	struct gossip_keyring reply;

	if (p->error[0] == '\0' && p->refusals > 0)
		snprintf(p->error, sizeof p->error, "%zu/%zu nodes reported failure", p->refusals, p->nodes);
	else if (p->error[0] == '\0' && p->answers != p->nodes)
		snprintf(p->error, sizeof p->error, "%zu/%zu nodes reported success", p->answers, p->nodes);
	if (--o->waiting > 0)
		return;
	mp_put_array(&list, (uint32_t)o->count);
	for (size_t i = 0; i < o->count; i++)
		pool_put(&o->pools[i], &list);
	reply.responses = buf_bytes(&list);
	schema_encode(&gossip_keyring_schema, &reply, &body);
	ipc_stream_watch(o->stream, NULL, NULL, NULL);
	ipc_reply(o->stream, buf_bytes(&body));
	buf_free(&list);
	buf_free(&body);
	operation_free(o);
}

static void
note_message(struct pool_operation *p, struct bytes from, struct bytes text)
{
	if (p->messages.used + from.size + text.size + 16 > MESSAGES_BYTES_MAX)
		return;
	mp_put_bytes(&p->messages, from);
	mp_put_bytes(&p->messages, text);
	p->message_count++;
}

static void
on_response(void *ctx, struct bytes from, struct bytes payload, uint64_t now UNUSED)
{
	struct pool_operation *p = ctx;
	struct serf_key_response r;
	const char *error;
	struct mp in;

	p->answers++;
	if (payload.size < 1 || payload.data[0] != SERF_KEY_RESPONSE ||
	    schema_decode(&serf_key_response_schema, bytes_of(payload.data + 1, payload.size - 1), &r, &error) == -1) {
		p->refusals++;
		note_message(p, from, bytes_str("Failed to decode key query response"));
	} else {
		if (!r.result)
			p->refusals++;
		if (!r.result || r.message.size > 0)
			note_message(p, from, r.message);
		in = mp_of(r.keys);
		for (uint32_t n = r.keys.size > 0 && mp_peek(&in) == MP_ARRAY ? mp_array(&in) : 0; n > 0 && mp_ok(&in);
		     n--)
			tally_add(&p->keys, mp_str(&in));
		tally_add(&p->primary, r.primary_key);
	}
	if (p->answers == p->nodes && p->question != NULL) {
		pool_query_forget(p->pool, p->question);
		p->question = NULL;
		pool_over(p);
	}
}

static void
on_done(void *ctx, size_t acks UNUSED, size_t responses UNUSED, uint64_t now UNUSED)
{
	struct pool_operation *p = ctx;

	p->question = NULL;
	pool_over(p);
}

static void
on_abandoned(struct ipc_stream *s UNUSED, void *ctx)
{
	operation_free(ctx);
}

/* error set: it could not even be asked. */
static void
pool_ask(struct pool_operation *p, const char *query, const struct gossip_keyring_request *request)
{
	const struct serf_asking asking = {
	    .response = on_response, .done = on_done, .ctx = p, .relay_factor = (unsigned)request->relay_factor};
	struct buf raw = BUF_INIT(256), payload = BUF_INIT(1024);
	struct serf_key_request key = {.key = {(const uint8_t *)"", 0}};

	p->nodes = serf_count_of(pool_serf(p->pool), MEMBER_ALIVE);
	if (base64_decode(request->key, &raw) == -1) {
		snprintf(p->error, sizeof p->error, "illegal base64 data at input byte 0");
	} else {
		key.key = buf_bytes(&raw);
		buf_put_u8(&payload, SERF_KEY_REQUEST);
		schema_encode(&serf_key_request_schema, &key, &payload);
		p->question = pool_query_send(p->pool, bytes_str(query), buf_bytes(&payload), &asking, p->error);
	}
	if (raw.size > 0)
		explicit_bzero(raw.data, raw.size);
	if (payload.size > 0)
		explicit_bzero(payload.data, payload.size);
	buf_free(&raw);
	buf_free(&payload);
}

static const char *
query_of(struct bytes operation)
{
	static const char *const rows[][2] = {{"list", "_serf_list-keys"}, {"install", "_serf_install-key"},
	    {"use", "_serf_use-key"}, {"remove", "_serf_remove-key"}};

	for (size_t i = 0; i < COUNTOF(rows); i++)
		if (bytes_is(operation, rows[i][0]))
			return rows[i][1];
	return NULL;
}

void
keys_handle(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = daemon_state(ctx);
	struct gossip_keyring_request request;
	struct operation *o;
	const char *error, *query;

	if (schema_decode(&gossip_keyring_request_schema, args, &request, &error) == -1) {
		ipc_fail(s, 400, "%s", error);
		return;
	}
	query = query_of(request.operation);
	if (query == NULL || request.relay_factor > RELAY_FACTOR_MAX) {
		ipc_fail(s, 400, "no such key operation, or a relay factor that is not in the range: [0, 5]");
		return;
	}
	o = xcalloc(1, sizeof *o);
	o->gossip = g;
	o->stream = s;
	ipc_stream_watch(s, on_abandoned, NULL, o);
	for (int which = WAN; which >= LAN; which--)
		if (g->pools[which] != NULL && (which == LAN || !request.local_only)) {
			struct pool_operation *p = &o->pools[o->count++];

			p->of = o;
			p->pool = g->pools[which];
			buf_init(&p->messages, MESSAGES_BYTES_MAX);
		}
	o->waiting = o->count;
	for (size_t i = 0; i < o->count; i++)
		pool_ask(&o->pools[i], query, &request);
	/* answers come from the loop only, ours too; who could not even be asked is through */
	for (size_t i = 0, count = o->count; i < count; i++)
		if (o->pools[i].question == NULL && o->pools[i].error[0] != '\0') {
			bool last = o->waiting == 1;

			pool_over(&o->pools[i]);
			if (last)
				return;
		}
}

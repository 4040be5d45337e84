/*
 * gossipd_packet_fuzz.c - what comes to a gossip port: packets and streams, taken by the real cores, with keys and without
 *
 * First byte: bit 0: a stream, bit 1: the pool has keys, bit 2: what is not sealed is taken too, bit 3: the stream comes in pieces, bit 4: the
 * rest is wrapped by a member first: compressed, and sealed in a pool that has keys (no input could be, by chance), bits 5 and 6: the rest are
 * changes to a state of thousands of members (three bytes say where, one is written there).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "coordinate.h"
#include "mem.h"
#include "serf.h"
#include "stream_reader.h"
#include "swim.h"

struct host {
	struct timers timers;
	struct swim *swim;
	struct serf *serf;
	struct coordinates coordinates;
	struct keyring ring;
	uint64_t random, now;
};

static uint64_t
op_random(void *ctx, uint64_t below)
{
	struct host *n = ctx;

	n->random = n->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (n->random >> 33) % below;
}

static void
op_packet(void *ctx, const struct swim_address *to, struct bytes message, bool crc)
{
	struct host *n = ctx;
	struct envelope e = {.ring = &n->ring, .compress = true};
	struct buf out = BUF_INIT(1024 * 1024);

	(void)to;
	envelope_packet_put(&e, message, crc, &out);
	if (out.overflow)
		abort();
	buf_free(&out);
}

static void
op_stream_ping(void *ctx, const struct swim_address *to, struct bytes message, uint32_t seq)
{
	(void)ctx, (void)to, (void)message, (void)seq;
}

static void
op_push_pull(void *ctx, const struct swim_address *to, const char *name)
{
	(void)ctx, (void)to, (void)name;
}

static size_t
op_overhead(void *ctx)
{
	(void)ctx;
	return ENVELOPE_SEAL_BYTES;
}

static const char *
op_allowed(void *ctx, const struct swim_member *m)
{
	(void)ctx;
	return strcmp(m->card->name, "refused") == 0 ? "it is refused" : NULL;
}

static int
op_merge_allowed(void *ctx, const struct swim_member *members, size_t count, char *error)
{
	(void)ctx, (void)members, (void)count, (void)error;
	return 0;
}

static void
op_changed(void *ctx, enum swim_change change, struct swim_member *m, uint64_t now)
{
	struct host *n = ctx;

	serf_swim_changed(n->serf, change, m, now);
}

static void
op_conflict(void *ctx, const struct swim_member *m, const struct swim_address *other)
{
	struct host *n = ctx;

	serf_swim_conflict(n->serf, m, other, n->now);
}

static void
op_forgotten(void *ctx, struct swim_member *m)
{
	(void)ctx, (void)m;
}

static void
op_left(void *ctx)
{
	struct host *n = ctx;

	serf_swim_left(n->serf);
}

static void
op_user(void *ctx, struct bytes message, uint64_t now)
{
	struct host *n = ctx;

	serf_message(n->serf, message, now);
}

static size_t
op_broadcasts(
    void *ctx, size_t overhead, size_t limit, void (*each)(void *each_ctx, struct bytes message), void *each_ctx)
{
	struct host *n = ctx;

	return serf_broadcasts(n->serf, overhead, limit, each, each_ctx);
}

static void
op_ack_payload(void *ctx, struct buf *out)
{
	struct host *n = ctx;

	coordinate_payload_put(&n->coordinates.own, out);
}

static void
op_acked(void *ctx, const struct swim_member *m, uint64_t rtt, struct bytes payload)
{
	struct host *n = ctx;
	struct coordinate_point p;

	if (coordinate_payload_get(payload, &p) == 0)
		(void)coordinates_update(&n->coordinates, bytes_str(m->card->name), &p, (int64_t)rtt);
}

static void
op_say(void *ctx, enum log_level level, const char *fmt, va_list args)
{
	char text[4096];

	(void)ctx, (void)level;
	(void)vsnprintf(text, sizeof text, fmt, args);
}

static void
op_serf_changed(void *ctx, enum serf_change change, const struct serf_member *m, uint64_t now)
{
	struct buf tags = BUF_INIT(4096);

	(void)ctx, (void)change, (void)now;
	serf_tags_put(m->card->meta, &tags);
	if (tags.overflow)
		abort();
	buf_free(&tags);
}

static void
op_event(void *ctx, uint64_t ltime, struct bytes name, struct bytes payload)
{
	(void)ctx, (void)ltime, (void)name, (void)payload;
}

static void
op_query_seen(void *ctx, uint64_t ltime)
{
	(void)ctx, (void)ltime;
}

static void
op_reconnect(void *ctx, const struct serf_member *m)
{
	(void)ctx, (void)m;
}

static const char *
op_key(void *ctx, enum serf_key_operation op, struct bytes key, const struct keyring **ring)
{
	struct host *n = ctx;

	*ring = &n->ring;
	return op == SERF_KEY_INSTALL  ? keyring_install(&n->ring, key)
	       : op == SERF_KEY_USE    ? keyring_use(&n->ring, key)
	       : op == SERF_KEY_REMOVE ? keyring_remove(&n->ring, key)
				       : NULL;
}

static void
op_conflict_lost(void *ctx)
{
	(void)ctx;
}

static const struct swim_ops swim_ops = {op_random, op_packet, op_stream_ping, op_push_pull, op_overhead, op_allowed,
    op_merge_allowed, op_changed, op_conflict, op_forgotten, op_left, op_user, op_broadcasts, op_ack_payload, op_acked,
    op_say};
static const struct serf_ops serf_ops = {
    op_random, op_serf_changed, op_event, op_query_seen, op_reconnect, op_key, op_conflict_lost, op_say};

static void
node_init(struct host *n, bool keys)
{
	static const uint8_t vsn[GOSSIP_VSN_BYTES] = {1, 5, 2, 2, 5, 4};
	const struct swim_address address = {.ip = {127, 0, 14, 11}, .ip_size = 4, .port = 7946};
	const struct serf_clocks none = {0, 0, 0};
	struct swim_config swim = swim_config_lan();
	struct serf_config serf = serf_config_consul();
	char error[KEYRING_ERROR_MAX];

	serf.resolve_conflicts = true;
	*n = (struct host){.random = 1, .now = 1000000000};
	if (keys && (aead_load(error) == -1 || keyring_install(&n->ring, bytes_str("0123456789abcdef")) != NULL ||
			keyring_install(&n->ring, bytes_str("consul-wan-key-1")) != NULL))
		abort();
	coordinates_init(&n->coordinates, op_random, n);
	n->serf = serf_new(&serf, &serf_ops, n, &n->timers, &none);
	n->swim = swim_new(&swim, &swim_ops, n, &n->timers, "s1", &address, bytes_str("\xff\x80"), vsn);
	serf_start(n->serf, n->swim, n->now);
	swim_start(n->swim, n->now);
}

static void
node_free(struct host *n)
{
	swim_free(n->swim);
	serf_free(n->serf);
	timers_free(&n->timers);
	coordinates_free(&n->coordinates);
	keyring_clear(&n->ring);
}

static void
on_part(void *ctx, struct bytes message)
{
	const struct swim_address from = {.ip = {127, 0, 14, 12}, .ip_size = 4, .port = 7946};
	struct host *n = ctx;

	swim_message(n->swim, &from, message, n->now);
}

static void
packet(struct host *n, const struct envelope *e, struct bytes in)
{
	struct buf scratch = BUF_INIT(GOSSIP_PACKET_MAX);
	struct bytes message;
	const char *why;

	if (envelope_packet_open(e, in, &scratch, &message, &why) == 0)
		(void)envelope_parts(message, on_part, n);
	buf_free(&scratch);
}

static void
taken(struct host *n, struct bytes message)
{
	struct bytes body = bytes_of(message.data + 1, message.size - 1), user;
	struct buf out = BUF_INIT(1024 * 1024);
	char error[SWIM_ERROR_MAX];
	bool join;

	if (message.data[0] == GOSSIP_PUSH_PULL && swim_merge(n->swim, body, &join, &user, error, n->now) == 0)
		serf_state_merge(n->serf, user, join, n->now);
	else if (message.data[0] == GOSSIP_PING)
		(void)!swim_stream_ping(n->swim, body, &out);
	else if (message.data[0] == GOSSIP_USER)
		serf_message(n->serf, stream_user_message(message), n->now);
	buf_free(&out);
}

static void
stream(struct host *n, const struct envelope *e, struct bytes in, bool pieces)
{
	struct stream_reader r;
	struct bytes message;
	const char *why;
	int result = 0;

	stream_reader_init(&r);
	for (size_t at = 0; result == 0 && at < in.size;) {
		size_t size = pieces ? MIN(1 + at / 4, in.size - at) : in.size;

		buf_put(&r.in, in.data + at, size);
		at += size;
		result = stream_reader_next(&r, e, true, &message, &why);
	}
	if (result == 1)
		taken(n, message);
	stream_reader_free(&r);
}

/* A state of STATE_NODES members, as a push/pull message; made once. */
#define STATE_NODES 2000
static const struct buf *
large_state(void)
{
	static struct buf state = BUF_INIT(8u << 20);
	struct gossip_push_pull head = {.nodes = STATE_NODES};
	struct serf_push_pull user = {.ltime = 7, .event_ltime = 3, .query_ltime = 2};
	struct buf ltimes = BUF_INIT(1u << 20), serf = BUF_INIT(2u << 20);

	if (state.used > 0)
		return &state;
	mp_put_map(&ltimes, STATE_NODES);
	for (unsigned i = 0; i < STATE_NODES; i++) {
		char name[16];

		snprintf(name, sizeof name, "member-%u", i);
		mp_put_kv_uint(&ltimes, name, i);
	}
	user.status_ltimes = buf_bytes(&ltimes);
	buf_put_u8(&serf, SERF_PUSH_PULL);
	schema_encode(&serf_push_pull_schema, &user, &serf);
	head.user_state_bytes = serf.used;
	gossip_message_put(&state, GOSSIP_PUSH_PULL, &gossip_push_pull_schema, &head);
	for (unsigned i = 0; i < STATE_NODES; i++) {
		uint8_t ip[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
		char name[16];
		struct gossip_node node = {.addr = bytes_of(ip, sizeof ip),
		    .incarnation = 1 + i % 3,
		    .meta = bytes_str("\xff\x81\xa4role\xa4node"),
		    .name = bytes_of(name, (size_t)snprintf(name, sizeof name, "member-%u", i)),
		    .port = 7946,
		    .state = i % 10 == 0 ? GOSSIP_STATE_SUSPECT : GOSSIP_STATE_ALIVE,
		    .vsn = bytes_str("\x01\x05\x02\x02\x05\x04")};

		schema_encode(&gossip_node_schema, &node, &state);
	}
	buf_put_bytes(&state, buf_bytes(&serf));
	buf_free(&ltimes);
	buf_free(&serf);
	if (state.overflow)
		abort();
	return &state;
}

static void
changed_state(struct bytes changes, struct buf *out)
{
	buf_put_bytes(out, buf_bytes(large_state()));
	for (; changes.size >= 4; changes = bytes_of(changes.data + 4, changes.size - 4)) {
		size_t at =
		    ((size_t)changes.data[0] << 16 | (size_t)changes.data[1] << 8 | changes.data[2]) % (out->used - 1);

		out->data[1 + at] = changes.data[3];
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host n;
	struct envelope e = {.ring = &n.ring, .verify_outgoing = true, .compress = true};
	struct buf state = BUF_INIT(8u << 20), wrapped = BUF_INIT(16u << 20);
	struct bytes in;
	bool is_stream, is_state;

	if (size < 1)
		return 0;
	node_init(&n, (data[0] & 2) != 0);
	e.verify_incoming = (data[0] & 4) == 0;
	is_state = (data[0] & 96) == 96; /* it takes long: not half of all inputs */
	is_stream = (data[0] & 1) != 0 || is_state;
	in = bytes_of(data + 1, size - 1);
	if (is_state) {
		changed_state(in, &state);
		in = buf_bytes(&state);
	}
	if ((data[0] & 16) != 0 && in.size > 0) {
		if (is_stream)
			envelope_stream_put(&e, in, true, &wrapped);
		else
			envelope_packet_put(&e, in, true, &wrapped);
		in = buf_bytes(&wrapped);
	}
	if (is_stream)
		stream(&n, &e, in, (data[0] & 8) != 0);
	else
		packet(&n, &e, in);
	/* what it left behind still works */
	for (int i = 0; i < 50; i++) {
		n.now += 100 * 1000000;
		timers_run(&n.timers, n.now);
	}
	node_free(&n);
	buf_free(&state);
	buf_free(&wrapped);
	return 0;
}

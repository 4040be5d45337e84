/*
 * pool_ops.c - what the cores and the transport ask of their pool (contract: pool_internal.h; tables: swim.h, serf.h, transport.h)
 */
#include <stdio.h>
#include <string.h>

#include "keyfile.h"
#include "mem.h"
#include "pool_internal.h"
#include "uuid.h"

#define WARNINGS_BURST 120

int
pool_state_take(struct pool *p, struct bytes body, bool ours, char error[SWIM_ERROR_MAX])
{
	struct bytes user;
	uint64_t now = now_ns();
	bool join;
	int refused = swim_merge(p->swim, body, &join, &user, error, now);

	if (refused != 0)
		return refused;
	if (user.size > 0)
		serf_state_merge(p->serf, user, ours, now);
	return 0;
}

/* ---- what the cores ask ---- */

static uint64_t
op_random(void *ctx UNUSED, uint64_t below)
{
	return random_below(below);
}

static void
op_packet(void *ctx, const struct swim_address *to, struct bytes message, bool crc)
{
	struct pool *p = ctx;

	transport_packet(p->transport, to, message, crc);
}

static void
op_stream_ping(void *ctx, const struct swim_address *to, struct bytes message, uint32_t seq)
{
	struct pool *p = ctx;

	transport_stream_ping(p->transport, to, message, seq);
}

static void
on_states_compared(void *ctx, const char *error, struct bytes body)
{
	struct pool *p = ctx;
	char why[SWIM_ERROR_MAX];

	if (error != NULL)
		log_errorx(p->memberlist_module, "memberlist: Push/Pull with another member failed: %s", error);
	else if (pool_state_take(p, body, false, why) != 0)
		log_errorx(p->memberlist_module, "memberlist: Push/Pull with another member failed: %s", why);
}

static void
op_push_pull(void *ctx, const struct swim_address *to, const char *name)
{
	struct pool *p = ctx;

	if (transport_push_pull(p->transport, to, false, on_states_compared, p) == NULL)
		log_warnx(
		    p->memberlist_module, "memberlist: Push/Pull with %s is left out: too many are under way", name);
}

static size_t
op_overhead(void *ctx)
{
	const struct pool *p = ctx;

	return envelope_overhead(&p->envelope);
}

static const char *
op_allowed(void *ctx, const struct swim_member *m)
{
	static char error[SWIM_ERROR_MAX];
	const struct pool *p = ctx;

	if (!admit_address(&p->admit, &m->card->address))
		return "its address is not in the allowed networks";
	return admit_members(&p->admit, m, 1, error) != 0 ? error : NULL;
}

static int
op_merge_allowed(void *ctx, const struct swim_member *members, size_t count, char *error)
{
	const struct pool *p = ctx;

	return admit_members(&p->admit, members, count, error);
}

static void
op_changed(void *ctx, enum swim_change change, struct swim_member *m, uint64_t now)
{
	struct pool *p = ctx;

	serf_swim_changed(p->serf, change, m, now);
}

static void
op_conflict(void *ctx, const struct swim_member *m, const struct swim_address *other)
{
	struct pool *p = ctx;
	char mine[SWIM_ADDRESS_TEXT_MAX], theirs[SWIM_ADDRESS_TEXT_MAX];
	unsigned suppressed;

	if (!log_allowed(&p->complaints, 10, &suppressed))
		return;
	log_errorx(p->memberlist_module, "memberlist: Conflicting address for %s. Mine: %s Theirs: %s Old state: %d",
	    m->card->name, swim_address_text(&m->card->address, mine), swim_address_text(other, theirs), (int)m->state);
	serf_swim_conflict(p->serf, m, other, now_ns());
}

static void
op_forgotten(void *ctx UNUSED, struct swim_member *m UNUSED)
{
}

static void
op_left(void *ctx)
{
	struct pool *p = ctx;

	serf_swim_left(p->serf);
}

static void
op_user(void *ctx, struct bytes message, uint64_t now)
{
	struct pool *p = ctx;

	serf_message(p->serf, message, now);
}

static size_t
op_broadcasts(
    void *ctx, size_t overhead, size_t limit, void (*each)(void *each_ctx, struct bytes message), void *each_ctx)
{
	struct pool *p = ctx;

	return serf_broadcasts(p->serf, overhead, limit, each, each_ctx);
}

static void
op_ack_payload(void *ctx, struct buf *out)
{
	struct pool *p = ctx;

	if (p->coordinates_on)
		coordinate_payload_put(&p->coordinates.own, out);
}

static void
op_acked(void *ctx, const struct swim_member *m, uint64_t rtt, struct bytes payload)
{
	struct pool *p = ctx;
	struct coordinate_point other;
	const char *why;

	if (!p->coordinates_on || coordinate_payload_get(payload, &other) == -1)
		return;
	why = coordinates_update(&p->coordinates, bytes_str(m->card->name), &other, (int64_t)rtt);
	if (why != NULL)
		log_debug(p->serf_module, "serf: Rejected coordinate from %s: %s", m->card->name, why);
}

/* Lines of the cores. Warnings are what peers can provoke: so many a minute. */
static void PRINTF_LIKE(4, 0)
    say(struct pool *p, const char *module, enum log_level level, const char *fmt, va_list args, const char *prefix)
{
	char text[1024];
	unsigned suppressed = 0;
	int n;

	if (!log_enabled(level) || (level >= LOG_WARN_LEVEL && !log_allowed(&p->warnings, WARNINGS_BURST, &suppressed)))
		return;
	n = snprintf(text, sizeof text, "%s", prefix);
	vsnprintf(text + n, sizeof text - (size_t)n, fmt, args);
	if (suppressed > 0)
		log_warnx(module, "%slines are suppressed: count=%u", prefix, suppressed);
	switch (level) {
	case LOG_TRACE_LEVEL:
		log_trace(module, "%s", text);
		break;
	case LOG_DEBUG_LEVEL:
		log_debug(module, "%s", text);
		break;
	case LOG_INFO_LEVEL:
		log_info(module, "%s", text);
		break;
	case LOG_WARN_LEVEL:
		log_warnx(module, "%s", text);
		break;
	case LOG_ERROR_LEVEL:
		log_errorx(module, "%s", text);
		break;
	}
}

static void PRINTF_LIKE(3, 0) op_say_swim(void *ctx, enum log_level level, const char *fmt, va_list args)
{
	struct pool *p = ctx;

	say(p, p->memberlist_module, level, fmt, args, "memberlist: ");
}

static void PRINTF_LIKE(3, 0) op_say_serf(void *ctx, enum log_level level, const char *fmt, va_list args)
{
	struct pool *p = ctx;

	say(p, p->serf_module, level, fmt, args, "");
}

/* A client takes servers of either make, but not of both. */
static enum admit_make
servers_make(const struct pool *p)
{
	enum admit_make make = ADMIT_NO_MAKE;

	for (size_t i = 0; make == ADMIT_NO_MAKE && i < serf_count(p->serf); i++) {
		const struct serf_member *m = serf_at(p->serf, i);

		if (m->status == MEMBER_ALIVE || m->status == MEMBER_LEAVING)
			make = admit_make_of(&p->admit, m->card->meta);
	}
	return make;
}

static void
op_serf_changed(void *ctx, enum serf_change change, const struct serf_member *m, uint64_t now UNUSED)
{
	struct pool *p = ctx;

	if (!p->server && admit_make_of(&p->admit, m->card->meta) != ADMIT_NO_MAKE)
		p->admit.make = servers_make(p);

	switch (change) {
	case SERF_MEMBER_JOIN:
		snapshot_alive(p->snapshot, m->card->name, &m->card->address);
		break;
	case SERF_MEMBER_LEAVE:
	case SERF_MEMBER_FAILED:
		snapshot_not_alive(p->snapshot, m->card->name);
		break;
	case SERF_MEMBER_REAP:
		coordinates_forget(&p->coordinates, bytes_str(m->card->name));
		break;
	case SERF_MEMBER_UPDATE:
		break;
	}
	p->watch.member(p->watch.ctx, p, change, m);
}

static void
op_event(void *ctx, uint64_t ltime, struct bytes name, struct bytes payload)
{
	struct pool *p = ctx;

	snapshot_event_clock(p->snapshot, ltime);
	p->watch.event(p->watch.ctx, p, ltime, name, payload);
}

static void
op_query_seen(void *ctx, uint64_t ltime)
{
	struct pool *p = ctx;

	snapshot_query_clock(p->snapshot, ltime);
}

static void
on_reconnected(void *ctx, const char *error, struct bytes body)
{
	struct pool *p = ctx;
	char why[SWIM_ERROR_MAX];

	if (error == NULL && pool_state_take(p, body, false, why) != 0)
		error = why;
	if (error != NULL)
		log_debug(p->serf_module, "serf: reconnect failed: %s", error);
}

static void
op_reconnect(void *ctx, const struct serf_member *m)
{
	struct pool *p = ctx;

	if (transport_push_pull(p->transport, &m->card->address, true, on_reconnected, p) == NULL)
		log_debug(p->serf_module, "serf: reconnect is left out: too many exchanges are under way");
}

/* Changes a copy, and takes it over when the file has it. */
static const char *
op_key(void *ctx, enum serf_key_operation op, struct bytes key, const struct keyring **ring)
{
	struct pool *p = ctx;
	struct keyring next;
	const char *why = NULL;

	*ring = NULL;
	if (p->ring.count == 0)
		return op == SERF_KEY_LIST ? "Keyring is empty (encryption not enabled)"
					   : "No keyring to modify (encryption not enabled)";
	*ring = &p->ring;
	if (op == SERF_KEY_LIST)
		return NULL;
	next = p->ring;
	why = op == SERF_KEY_INSTALL ? keyring_install(&next, key)
	      : op == SERF_KEY_USE   ? keyring_use(&next, key)
				     : keyring_remove(&next, key);
	if (why == NULL && p->keyring_path[0] != '\0')
		why = keyfile_store(p->keyring_path, &next, false);
	if (why == NULL)
		p->ring = next;
	keyring_clear(&next);
	return why;
}

static void
op_conflict_lost(void *ctx)
{
	struct pool *p = ctx;

	p->watch.name_lost(p->watch.ctx, p);
}

const struct swim_ops pool_swim_ops = {
    .random = op_random,
    .packet = op_packet,
    .stream_ping = op_stream_ping,
    .push_pull = op_push_pull,
    .overhead = op_overhead,
    .allowed = op_allowed,
    .merge_allowed = op_merge_allowed,
    .changed = op_changed,
    .conflict = op_conflict,
    .forgotten = op_forgotten,
    .left = op_left,
    .user = op_user,
    .broadcasts = op_broadcasts,
    .ack_payload = op_ack_payload,
    .acked = op_acked,
    .say = op_say_swim,
};

const struct serf_ops pool_serf_ops = {
    .random = op_random,
    .changed = op_serf_changed,
    .event = op_event,
    .query_seen = op_query_seen,
    .reconnect = op_reconnect,
    .key = op_key,
    .conflict_lost = op_conflict_lost,
    .say = op_say_serf,
};

/* ---- what the transport asks ---- */

static void
on_part(void *ctx, const struct swim_address *from, struct bytes message)
{
	struct pool *p = ctx;

	if (message.size > 0 && message.data[0] == GOSSIP_ALIVE && !admit_address(&p->admit, from))
		return;
	swim_message(p->swim, from, message, now_ns());
}

static void
on_state_put(void *ctx, bool join, struct buf *out)
{
	struct pool *p = ctx;
	struct buf user = BUF_INIT(GOSSIP_STREAM_MAX);

	serf_state_put(p->serf, &user);
	swim_state_put(p->swim, join, buf_bytes(&user), out);
	buf_free(&user);
}

static int
on_state_take(void *ctx, struct bytes body, char *error)
{
	return pool_state_take(ctx, body, false, error);
}

static int
on_ping(void *ctx, struct bytes body, struct buf *out)
{
	struct pool *p = ctx;

	return swim_stream_ping(p->swim, body, out);
}

static void
on_user(void *ctx, struct bytes message)
{
	struct pool *p = ctx;

	serf_message(p->serf, message, now_ns());
}

static void
on_stream_acked(void *ctx, uint32_t seq)
{
	struct pool *p = ctx;

	swim_stream_acked(p->swim, seq);
}

const struct transport_ops pool_transport_ops = {
    .part = on_part,
    .state_put = on_state_put,
    .state_take = on_state_take,
    .ping = on_ping,
    .user = on_user,
    .stream_acked = on_stream_acked,
};

/*
 * pool.c - this node in one pool (contract: pool.h; callers: main.c, join.c, serve.c, keys.c, events.c)
 *
 * The cores know no loop: each callback of the loop gives them the present time, and before the loop sleeps (ev_prepare) what they want sent
 * is sent, what they want remembered is written, and one timer is armed for what they wait for.
 */
#include "pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admit.h"
#include "aead.h"
#include "duration.h"
#include "envelope.h"
#include "keyfile.h"
#include "log.h"
#include "mem.h"
#include "ring.h"
#include "snapshot.h"
#include "uuid.h"

#define PATH_BYTES_MAX 4096
#define SNAPSHOT_DELAY_NS (500 * (uint64_t)NS_PER_MS)

struct pool {
	struct daemon *daemon;
	bool wan, server, coordinates_on, left;
	const char *serf_module, *memberlist_module, *module;
	struct pool_watch watch;
	struct self self;
	struct admit admit;
	struct timers timers;
	struct swim *swim;
	struct serf *serf;
	struct coordinates coordinates;
	struct keyring ring;
	char keyring_path[PATH_BYTES_MAX];
	struct envelope envelope;
	struct transport *transport;
	struct snapshot *snapshot;
	struct timer snapshot_timer;
	char **past; /* "name/address" */
	size_t past_count;
	ev_timer timer;
	ev_prepare prepare;
	struct ring contacts;
	void (*on_left)(void *ctx);
	void *on_left_ctx;
	struct log_limit complaints;
};

struct contact {
	struct ring of_pool;
	struct pool *pool;
	struct stream *stream;
	pool_contacted *done;
	void *ctx;
};

static uint64_t
now_ns(void)
{
	return (uint64_t)monotime_now().ns;
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

static int state_take(struct pool *p, struct bytes body, bool ours, char *error);

static void
on_states_compared(void *ctx, const char *error, struct bytes body)
{
	struct pool *p = ctx;
	char why[SWIM_ERROR_MAX];

	if (error != NULL)
		log_errorx(p->memberlist_module, "memberlist: Push/Pull with another member failed: %s", error);
	else if (state_take(p, body, false, why) == -1)
		log_errorx(p->memberlist_module, "memberlist: Push/Pull with another member failed: %s", why);
}

static void
op_push_pull(void *ctx, const struct swim_address *to, const char *name)
{
	struct pool *p = ctx;

	if (transport_push_pull(p->transport, to, false, on_states_compared, p) == NULL)
		log_warnx(p->memberlist_module, "memberlist: Push/Pull with %s is left out: too many are under way", name);
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

	if (!admit_address(&p->admit, &m->address))
		return "its address is not in the allowed networks";
	return admit_members(&p->admit, m, 1, error) == -1 ? error : NULL;
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
	    m->name, swim_address_text(&m->address, mine), swim_address_text(other, theirs), (int)m->state);
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
	why = coordinates_update(&p->coordinates, bytes_str(m->name), &other, (int64_t)rtt);
	if (why != NULL)
		log_debug(p->serf_module, "serf: Rejected coordinate from %s: %s", m->name, why);
}

static void PRINTF_LIKE(3, 0) say(const char *module, enum log_level level, const char *fmt, va_list args,
    const char *prefix)
{
	char text[1024];
	int n;

	if (!log_enabled(level))
		return;
	n = snprintf(text, sizeof text, "%s", prefix);
	vsnprintf(text + n, sizeof text - (size_t)n, fmt, args);
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

static void
op_say_swim(void *ctx, enum log_level level, const char *fmt, va_list args)
{
	const struct pool *p = ctx;

	say(p->memberlist_module, level, fmt, args, "memberlist: ");
}

static void
op_say_serf(void *ctx, enum log_level level, const char *fmt, va_list args)
{
	const struct pool *p = ctx;

	say(p->serf_module, level, fmt, args, "");
}

static void
op_serf_changed(void *ctx, enum serf_change change, const struct serf_member *m, uint64_t now UNUSED)
{
	struct pool *p = ctx;

	switch (change) {
	case SERF_MEMBER_JOIN:
		snapshot_alive(p->snapshot, m->name, &m->address);
		break;
	case SERF_MEMBER_LEAVE:
	case SERF_MEMBER_FAILED:
		snapshot_not_alive(p->snapshot, m->name);
		break;
	case SERF_MEMBER_REAP:
		coordinates_forget(&p->coordinates, bytes_str(m->name));
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

	if (error == NULL && state_take(p, body, false, why) == -1)
		error = why;
	if (error != NULL)
		log_debug(p->serf_module, "serf: reconnect failed: %s", error);
}

static void
op_reconnect(void *ctx, const struct serf_member *m)
{
	struct pool *p = ctx;

	if (transport_push_pull(p->transport, &m->address, true, on_reconnected, p) == NULL)
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

static const struct swim_ops swim_ops = {
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

static const struct serf_ops serf_ops = {
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

/* ours: we came to join, and what was said before is not for us. */
static int
state_take(struct pool *p, struct bytes body, bool ours, char *error)
{
	struct bytes user;
	uint64_t now = now_ns();
	bool join;

	if (swim_merge(p->swim, body, &join, &user, error, now) == -1)
		return -1;
	if (user.size > 0)
		serf_state_merge(p->serf, user, ours, now);
	return 0;
}

static int
on_state_take(void *ctx, struct bytes body, char *error)
{
	return state_take(ctx, body, false, error);
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

static const struct transport_ops transport_ops = {
    .part = on_part,
    .state_put = on_state_put,
    .state_take = on_state_take,
    .ping = on_ping,
    .user = on_user,
    .stream_acked = on_stream_acked,
};

/* ---- the loop ---- */

static void
on_timer(struct ev_loop *loop UNUSED, ev_timer *timer, int events UNUSED)
{
	struct pool *p = timer->data;

	timers_run(&p->timers, now_ns());
}

static void
on_snapshot_timer(struct timer *t, uint64_t now UNUSED)
{
	struct pool *p = t->ctx;

	snapshot_flush(p->snapshot, serf_count_of(p->serf, MEMBER_ALIVE));
}

static void
remember(struct pool *p)
{
	struct serf_clocks clocks = serf_clocks(p->serf);
	enum snapshot_pending pending;

	snapshot_clocks(p->snapshot, &clocks);
	pending = snapshot_pending(p->snapshot);
	if (pending == SNAPSHOT_MEMBERS)
		snapshot_flush(p->snapshot, serf_count_of(p->serf, MEMBER_ALIVE));
	else if (pending == SNAPSHOT_CLOCKS && !timer_is_set(&p->snapshot_timer))
		timer_set(&p->timers, &p->snapshot_timer, now_ns() + SNAPSHOT_DELAY_NS);
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *prepare, int events UNUSED)
{
	struct pool *p = prepare->data;
	uint64_t next, now;

	remember(p);
	transport_flush(p->transport);
	next = timers_next(&p->timers);
	ev_timer_stop(loop, &p->timer);
	if (next == UINT64_MAX)
		return;
	now = now_ns();
	ev_now_update(loop);
	ev_timer_set(&p->timer, next > now ? (double)(next - now) / (double)NS_PER_S : 0., 0.);
	ev_timer_start(loop, &p->timer);
}

/* ---- life ---- */

static void
swim_configure(const struct conf *c, bool wan, struct swim_config *out)
{
	const char *block = wan ? "gossip_wan" : "gossip_lan";
	char name[64];

	*out = wan ? swim_config_wan() : swim_config_lan();
#define DURATION_OF(field, key)                                                                                        \
	snprintf(name, sizeof name, "%s." key, block);                                                                 \
	out->field = (uint64_t)MAX(conf_duration(c, name, (int64_t)out->field), NS_PER_MS)
#define NUMBER_OF(field, key)                                                                                          \
	snprintf(name, sizeof name, "%s." key, block);                                                                 \
	out->field = (unsigned)MIN(MAX(conf_int(c, name, out->field), 1), 64)
	DURATION_OF(gossip_interval, "gossip_interval");
	DURATION_OF(probe_interval, "probe_interval");
	DURATION_OF(probe_timeout, "probe_timeout");
	NUMBER_OF(gossip_nodes, "gossip_nodes");
	NUMBER_OF(suspicion_mult, "suspicion_mult");
	NUMBER_OF(retransmit_mult, "retransmit_mult");
#undef DURATION_OF
#undef NUMBER_OF
	out->port = (uint16_t)conf_int(c, wan ? "ports.serf_wan" : "ports.serf_lan", out->port);
}

static void
put_alive(void *ctx, struct buf *out)
{
	const struct pool *p = ctx;

	for (size_t i = 0; i < serf_count(p->serf); i++) {
		const struct serf_member *m = serf_at(p->serf, i);

		if (m->status == MEMBER_ALIVE)
			snapshot_alive_put(m->name, &m->address, out);
	}
}

static int
state_path(const struct conf *c, const char *file, char out[PATH_BYTES_MAX])
{
	return snprintf(out, PATH_BYTES_MAX, "%s/serf/%s", conf_str(c, "consuld.state_dir", ""), file) < PATH_BYTES_MAX
		   ? 0
		   : -1;
}

static int
keys_open(struct pool *p, const struct conf *c)
{
	char error[KEYRING_ERROR_MAX];
	bool ignored;

	if (conf_str(c, "consuld.state_dir", "")[0] != '\0' && !conf_bool(c, "disable_keyring_file", false) &&
	    state_path(c, p->wan ? "remote.keyring" : "local.keyring", p->keyring_path) == -1) {
		log_errorx(p->module, "data_dir is too long");
		return -1;
	}
	if (keyfile_load(p->keyring_path, conf_str(c, "encrypt", ""), &p->ring, &ignored, error) == -1 ||
	    (p->ring.count > 0 && aead_load(error) == -1)) {
		log_errorx(p->module, "Failed to configure keyring: %s", error);
		return -1;
	}
	if (ignored)
		log_warnx("agent", "keyring doesn't include key provided with -encrypt, using keyring: keyring=%s",
		    p->wan ? "WAN" : "LAN");
	p->envelope = (struct envelope){
	    .ring = &p->ring,
	    .verify_incoming = conf_bool(c, "encrypt_verify_incoming", true),
	    .verify_outgoing = conf_bool(c, "encrypt_verify_outgoing", true),
	    .compress = true,
	};
	return 0;
}

/* Names the nodes of the past by which we may find the pool again; clocks: as they were. */
static int
memory_open(struct pool *p, const struct conf *c, struct serf_clocks *clocks)
{
	char path[PATH_BYTES_MAX];
	const struct snapshot_config config = {
	    .path = path,
	    .module = p->serf_module,
	    .rejoin_after_leave = conf_bool(c, "rejoin_after_leave", false),
	    .put_alive = put_alive,
	    .ctx = p,
	};
	struct snapshot_past past;

	*clocks = (struct serf_clocks){0, 0, 0};
	if (conf_str(c, "consuld.state_dir", "")[0] == '\0')
		return 0;
	if (state_path(c, p->wan ? "remote.snapshot" : "local.snapshot", path) == -1 ||
	    (p->snapshot = snapshot_open(&config, &past)) == NULL) {
		log_error(p->module, "failed to open serf snapshot: path=%s", path);
		return -1;
	}
	*clocks = past.clocks;
	if (past.left && config.rejoin_after_leave)
		log_info(p->serf_module, "serf: Ignoring previous leave in snapshot");
	p->past = xcalloc(past.count + 1, sizeof *p->past);
	for (size_t i = 0; i < past.count; i++)
		if (strcmp(past.nodes[i].name, p->self.name) != 0)
			p->past[p->past_count++] = xasprintf("%s/%s", past.nodes[i].name, past.nodes[i].address);
	for (size_t i = p->past_count; i > 1; i--) { /* in random order, so that not all ask the same one */
		size_t k = (size_t)random_below(i);
		char *text = p->past[i - 1];

		p->past[i - 1] = p->past[k];
		p->past[k] = text;
	}
	snapshot_past_free(&past);
	return 0;
}

static int
transport_open(struct pool *p)
{
	int datagrams[TRANSPORT_SOCKETS_MAX], listeners[TRANSPORT_SOCKETS_MAX];
	struct transport_config config = {
	    .module = p->memberlist_module,
	    .timeout_s = p->wan ? 30. : 10.,
	    .envelope = &p->envelope,
	    .datagrams = datagrams,
	    .listeners = listeners,
	};
	int count = daemon_sockets(p->daemon, p->wan ? "serf-wan-udp" : "serf-lan-udp", datagrams, TRANSPORT_SOCKETS_MAX);

	if (count == -1)
		return -1;
	config.datagram_count = (size_t)count;
	count = daemon_sockets(p->daemon, p->wan ? "serf-wan-tcp" : "serf-lan-tcp", listeners, TRANSPORT_SOCKETS_MAX);
	if (count == -1)
		return -1;
	config.listener_count = (size_t)count;
	p->transport = transport_new(daemon_loop(p->daemon), &config, &transport_ops, p);
	return 0;
}

static int
cores_open(struct pool *p, const struct conf *c, const struct serf_clocks *clocks)
{
	struct swim_config swim;
	struct serf_config serf = serf_config_consul();
	struct buf meta = BUF_INIT(2 * GOSSIP_META_MAX);

	swim_configure(c, p->wan, &swim);
	serf.gossip_interval = swim.gossip_interval;
	serf.retransmit_mult = swim.retransmit_mult;
	serf.reconnect_timeout = (uint64_t)MAX(
	    conf_duration(c, p->wan ? "reconnect_timeout_wan" : "reconnect_timeout", (int64_t)serf.reconnect_timeout),
	    NS_PER_S);
	if (self_meta_put(&p->self, &meta) == -1) {
		log_errorx(p->module, "Encoded length of tags exceeds limit of %d bytes", GOSSIP_META_MAX);
		buf_free(&meta);
		return -1;
	}
	p->serf = serf_new(&serf, &serf_ops, p, &p->timers, clocks);
	p->swim = swim_new(
	    &swim, &swim_ops, p, &p->timers, p->self.name, &p->self.address, buf_bytes(&meta), self_vsn);
	buf_free(&meta);
	return 0;
}

static int
admit_init(struct pool *p, const struct conf *c)
{
	const char *key = p->wan ? "serf_wan_allowed_cidrs" : "serf_lan_allowed_cidrs";

	p->admit = (struct admit){.wan = p->wan,
	    .name = p->self.name,
	    .datacenter = conf_str(c, "datacenter", "dc1"),
	    .id = conf_str(c, "node_id", "")};
	for (size_t i = 0; i < conf_list_count(c, key); i++)
		if (admit_network_add(&p->admit, conf_list_str(c, key, i)) == -1) {
			log_errorx(p->module, "%s: invalid or too many: %s", key, conf_list_str(c, key, i));
			return -1;
		}
	return 0;
}

struct pool *
pool_new(struct daemon *d, bool wan, const struct pool_watch *watch)
{
	const struct conf *c = daemon_conf(d);
	struct pool *p = xcalloc(1, sizeof *p);
	struct serf_clocks clocks;
	const char *why;

	p->daemon = d;
	p->wan = wan;
	p->watch = *watch;
	p->server = conf_bool(c, "server", false);
	p->coordinates_on = !conf_bool(c, "disable_coordinates", false);
	p->module = p->server ? "agent.server" : "agent.client";
	p->serf_module = wan	 ? "agent.server.serf.wan"
			 : p->server ? "agent.server.serf.lan"
				     : "agent.client.serf.lan";
	p->memberlist_module = wan	   ? "agent.server.memberlist.wan"
			       : p->server ? "agent.server.memberlist.lan"
					   : "agent.client.memberlist.lan";
	ring_init(&p->contacts);
	timer_init(&p->snapshot_timer, on_snapshot_timer, p);
	ev_timer_init(&p->timer, on_timer, 0., 0.);
	p->timer.data = p;
	ev_prepare_init(&p->prepare, on_prepare);
	p->prepare.data = p;
	coordinates_init(&p->coordinates, op_random, p);
	if (self_init(&p->self, c, wan, &why) == -1) {
		log_errorx(p->module, "%s", why);
		goto fail;
	}
	if (admit_init(p, c) == -1 || keys_open(p, c) == -1 || memory_open(p, c, &clocks) == -1 ||
	    cores_open(p, c, &clocks) == -1 || transport_open(p) == -1)
		goto fail;
	return p;

fail:
	pool_free(p);
	return NULL;
}

void
pool_start(struct pool *p)
{
	uint64_t now = now_ns();

	serf_start(p->serf, p->swim, now);
	swim_start(p->swim, now);
	ev_prepare_start(daemon_loop(p->daemon), &p->prepare);
}

void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	while (!ring_empty(&p->contacts))
		pool_contact_cancel(RING_ENTRY(p->contacts.next, struct contact, of_pool));
	ev_timer_stop(daemon_loop(p->daemon), &p->timer);
	ev_prepare_stop(daemon_loop(p->daemon), &p->prepare);
	timer_stop(&p->timers, &p->snapshot_timer);
	if (p->transport != NULL)
		transport_flush(p->transport);
	transport_free(p->transport);
	snapshot_close(p->snapshot);
	swim_free(p->swim);
	serf_free(p->serf);
	timers_free(&p->timers);
	coordinates_free(&p->coordinates);
	keyring_clear(&p->ring);
	for (size_t i = 0; i < p->past_count; i++)
		free(p->past[i]);
	free(p->past);
	free(p);
}

/* ---- contacting ---- */

static void
on_contacted(void *ctx, const char *error, struct bytes body)
{
	struct contact *c = ctx;
	struct pool *p = c->pool;
	pool_contacted *done = c->done;
	void *done_ctx = c->ctx;
	char why[SWIM_ERROR_MAX];

	ring_remove(&c->of_pool);
	free(c);
	if (error == NULL && state_take(p, body, true, why) == -1)
		error = why;
	done(done_ctx, error);
}

struct contact *
pool_contact(struct pool *p, const struct swim_address *to, pool_contacted *done, void *ctx)
{
	struct contact *c = xcalloc(1, sizeof *c);

	*c = (struct contact){.pool = p, .done = done, .ctx = ctx};
	c->stream = transport_push_pull(p->transport, to, true, on_contacted, c);
	if (c->stream == NULL) {
		free(c);
		return NULL;
	}
	ring_append(&p->contacts, &c->of_pool);
	return c;
}

void
pool_contact_cancel(struct contact *c)
{
	transport_cancel(c->stream);
	ring_remove(&c->of_pool);
	free(c);
}

void
pool_joined(struct pool *p)
{
	serf_joined(p->serf, now_ns());
}

/* ---- what is asked of the node ---- */

static void
on_leave_done(void *ctx, uint64_t now UNUSED)
{
	struct pool *p = ctx;

	p->left = true;
	if (p->on_left != NULL)
		p->on_left(p->on_left_ctx);
}

void
pool_leave(struct pool *p, void (*done)(void *ctx), void *ctx)
{
	p->on_left = done;
	p->on_left_ctx = ctx;
	snapshot_leave(p->snapshot);
	serf_leave(p->serf, on_leave_done, p, now_ns());
}

bool
pool_has_left(const struct pool *p)
{
	return p->left;
}

int
pool_force_leave(struct pool *p, struct bytes name, bool prune, serf_told *done, void *ctx)
{
	return serf_force_leave(p->serf, name, prune, done, ctx, now_ns());
}

int
pool_event_send(struct pool *p, struct bytes name, struct bytes payload, char error[SERF_ERROR_MAX])
{
	return serf_event_send(p->serf, name, payload, false, error, now_ns());
}

struct serf_question *
pool_query_send(struct pool *p, struct bytes name, struct bytes payload, const struct serf_asking *asking,
    char error[SERF_ERROR_MAX])
{
	return serf_query_send(p->serf, name, payload, asking, error, now_ns());
}

void
pool_query_forget(struct pool *p, struct serf_question *q)
{
	serf_query_forget(p->serf, q);
}

void
pool_configure(struct pool *p, const struct conf *c)
{
	struct buf meta = BUF_INIT(2 * GOSSIP_META_MAX);
	struct self next;
	const char *why;

	p->admit.datacenter = conf_str(c, "datacenter", "dc1"); /* the texts are of the configuration that goes */
	p->admit.id = conf_str(c, "node_id", "");
	if (self_init(&next, c, p->wan, &why) == -1 || self_meta_put(&next, &meta) == -1) {
		log_errorx(p->module, "the tags of this node stay as they are: they would be too long");
	} else if (!bytes_equal(buf_bytes(&meta), swim_self(p->swim)->meta)) {
		p->self = next;
		p->admit.name = p->self.name;
		swim_update(p->swim, buf_bytes(&meta), now_ns());
	}
	buf_free(&meta);
}

/* ---- state ---- */

bool
pool_is_wan(const struct pool *p)
{
	return p->wan;
}

const struct self *
pool_self(const struct pool *p)
{
	return &p->self;
}

const struct serf *
pool_serf(const struct pool *p)
{
	return p->serf;
}

const struct swim *
pool_swim(const struct pool *p)
{
	return p->swim;
}

const struct coordinates *
pool_coordinates(const struct pool *p)
{
	return p->coordinates_on ? &p->coordinates : NULL;
}

bool
pool_encrypted(const struct pool *p)
{
	return p->ring.count > 0;
}

const char *
pool_serf_module(const struct pool *p)
{
	return p->serf_module;
}

const char *
pool_module(const struct pool *p)
{
	return p->module;
}

size_t
pool_past_count(const struct pool *p)
{
	return p->past_count;
}

const char *
pool_past_at(const struct pool *p, size_t i)
{
	return p->past[i];
}

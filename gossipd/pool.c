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

#include "aead.h"
#include "keyfile.h"
#include "mem.h"
#include "pool_internal.h"
#include "uuid.h"

#define SNAPSHOT_DELAY_NS (500 * (uint64_t)NS_PER_MS)

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
			snapshot_alive_put(m->card->name, &m->card->address, out);
	}
}

static int
state_path(const struct conf *c, const char *file, char out[POOL_PATH_BYTES_MAX])
{
	return snprintf(out, POOL_PATH_BYTES_MAX, "%s/serf/%s", conf_str(c, "consuld.state_dir", ""), file) <
		       POOL_PATH_BYTES_MAX
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
	char path[POOL_PATH_BYTES_MAX];
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
	int count =
	    daemon_sockets(p->daemon, p->wan ? "serf-wan-udp" : "serf-lan-udp", datagrams, TRANSPORT_SOCKETS_MAX);

	if (count == -1)
		return -1;
	config.datagram_count = (size_t)count;
	count = daemon_sockets(p->daemon, p->wan ? "serf-wan-tcp" : "serf-lan-tcp", listeners, TRANSPORT_SOCKETS_MAX);
	if (count == -1)
		return -1;
	config.listener_count = (size_t)count;
	p->transport = transport_new(daemon_loop(p->daemon), &config, &pool_transport_ops, p);
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
	p->serf = serf_new(&serf, &pool_serf_ops, p, &p->timers, clocks);
	p->swim =
	    swim_new(&swim, &pool_swim_ops, p, &p->timers, p->self.name, &p->self.address, buf_bytes(&meta), self_vsn);
	buf_free(&meta);
	return 0;
}

static int
admit_init(struct pool *p, const struct conf *c)
{
	const char *key = p->wan ? "serf_wan_allowed_cidrs" : "serf_lan_allowed_cidrs";

	p->admit = (struct admit){.wan = p->wan,
	    .make = p->server ? ADMIT_OWN_MAKE : ADMIT_NO_MAKE,
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
	p->serf_module = wan ? "agent.server.serf.wan" : p->server ? "agent.server.serf.lan" : "agent.client.serf.lan";
	p->memberlist_module = wan         ? "agent.server.memberlist.wan"
			       : p->server ? "agent.server.memberlist.lan"
					   : "agent.client.memberlist.lan";
	ring_init(&p->contacts);
	timer_init(&p->snapshot_timer, on_snapshot_timer, p);
	ev_timer_init(&p->timer, on_timer, 0., 0.);
	p->timer.data = p;
	ev_prepare_init(&p->prepare, on_prepare);
	p->prepare.data = p;
	coordinates_init(&p->coordinates, pool_swim_ops.random, p);
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
	if (error == NULL && pool_state_take(p, body, true, why) != 0)
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
	} else if (!bytes_equal(buf_bytes(&meta), swim_self(p->swim)->card->meta)) {
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

/*
 * leader.c - what the leader does by itself (contract: leader.h; facts: behaviour.md 10 and 15, wire-rpc.md 10; caller: main.c)
 *
 * On gaining leadership it registers its own node at once (from the configuration: gossipd may still be starting), and every minute, and
 * after each change that gossipd reports, all alive members. A member is proposed only if the catalog differs. Tagged addresses
 * and meta of a node are the agent's own business and are kept.
 */
#include "leader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "frame.h"
#include "gossip.h"
#include "kv.h"
#include "log.h"
#include "mem.h"
#include "members.h"
#include "version.h"
#include "nodes.h"
#include "raftlog.h"
#include "structs.h"
#include "structs_gossip.h"

#define MODULE "agent.server"
#define RECONCILE_S 60.
#define SOON_S 0.05
#define REAP_S 30.             /* tombstone_ttl_granularity */
#define TOMBSTONE_AGE_TICKS 30 /* of REAP_S: tombstone_ttl, 15 min */
#define CHECK_ID "serfHealth"
#define CHECK_NAME "Serf Health Status"
#define CHECK_OUTPUT "Agent alive and reachable"
#define SERVICE "consul"

struct leader {
	struct catalogd *c;
	bool running;
	struct ev_timer reconcile, reap;
	struct region *region;              /* of the member at hand */
	uint64_t seen[TOMBSTONE_AGE_TICKS]; /* applied index at each of the last ticks */
	size_t tick;
};

/* A member as the catalog should have it. */
struct wanted {
	struct bytes name, id, address;
	bool server;
	int64_t port;
	struct bytes meta; /* of the service consul, msgpack map */
};

/* ---- the service consul ---- */

static void
meta_pair(struct buf *b, uint32_t *count, const char *key, const char *value)
{
	mp_put_kv_cstr(b, key, value);
	(*count)++;
}

static void
meta_port(struct buf *b, uint32_t *count, const char *key, int64_t port)
{
	char text[24];

	if (port <= 0)
		return;
	snprintf(text, sizeof text, "%lld", (long long)port);
	meta_pair(b, count, key, text);
}

static struct bytes
service_meta(struct region *r, const char *version, const char *raft_version, int64_t grpc, int64_t grpc_tls)
{
	struct buf b = BUF_INIT(4096);
	uint32_t count = 0;
	size_t place = mp_open_map(&b);
	struct bytes meta;

	/* In the order of the keys: that is how maps are stored. */
	meta_port(&b, &count, "grpc_port", grpc);
	meta_port(&b, &count, "grpc_tls_port", grpc_tls);
	meta_pair(&b, &count, "non_voter", "false");
	meta_pair(&b, &count, "raft_version", raft_version);
	meta_pair(&b, &count, "read_replica", "false");
	meta_pair(&b, &count, "serf_protocol_current", "2");
	meta_pair(&b, &count, "serf_protocol_max", "5");
	meta_pair(&b, &count, "serf_protocol_min", "1");
	meta_pair(&b, &count, "version", version);
	mp_close(&b, place, count);
	meta = region_copy(r, buf_bytes(&b));
	buf_free(&b);
	return meta;
}

static bool
maps_equal(struct bytes a, struct bytes b)
{
	struct mp in = mp_of(a), other = mp_of(b), value;
	uint32_t count = a.size == 0 ? 0 : mp_map(&in);
	char key[64];

	if (count != (b.size == 0 ? 0 : mp_map(&other)))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (bytes_to_str(mp_str(&in), key, sizeof key) == -1 || !mp_find(mp_of(b), key, &value) ||
		    !bytes_equal(mp_str(&in), mp_str(&value)))
			return false;
	}
	return mp_ok(&in);
}

/* ---- one member ---- */

static bool
catalog_has(struct store_txn *t, const struct wanted *w, struct node *node)
{
	struct health_check check;
	struct node_service service;

	if (!nodes_find(t, w->name, node)) {
		*node = (struct node){0};
		return false;
	}
	if (!bytes_equal(node->address, w->address) || (w->id.size > 0 && !bytes_equal_fold(node->id, w->id)))
		return false;
	if (!nodes_find_check(t, w->name, bytes_str(CHECK_ID), &check) || !bytes_is(check.status, "passing"))
		return false;
	if (!w->server)
		return true;
	return nodes_find_service(t, w->name, bytes_str(SERVICE), &service) && service.port == w->port &&
	       maps_equal(service.meta, w->meta);
}

static struct bytes
encoded(struct region *r, const struct schema *s, const void *value)
{
	struct buf b = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct bytes copy;

	schema_encode(s, value, &b);
	copy = region_copy(r, buf_bytes(&b));
	buf_free(&b);
	return copy;
}

static void
on_registered(void *ctx, const struct proposal_result *result)
{
	(void)ctx;
	if (result->outcome != PROPOSAL_APPLIED)
		log_errorx(MODULE, "failed to reconcile member: error=%s",
		    log_quote(result->error == NULL ? "" : result->error));
}

static void
member_alive(struct leader *l, const struct wanted *w)
{
	struct store_txn *t = store_read(l->c->store);
	struct register_request request = {.node = w->name, .id = w->id, .address = w->address};
	struct health_check check = {.node = w->name,
	    .check_id = bytes_str(CHECK_ID),
	    .name = bytes_str(CHECK_NAME),
	    .status = bytes_str("passing"),
	    .output = bytes_str(CHECK_OUTPUT)};
	struct buf body = BUF_INIT(FRAME_REQUEST_BYTES_MAX), checks = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct node node;

	if (t == NULL || catalog_has(t, w, &node))
		return;
	request.datacenter = bytes_str(l->c->datacenter);
	request.tagged_addresses = node.tagged_addresses;
	request.node_meta = node.meta;
	mp_put_array(&checks, 1);
	schema_encode(&health_check_schema, &check, &checks);
	request.checks = buf_bytes(&checks);
	if (w->server) {
		static const uint8_t no_tags[] = {0x90};
		struct weights weights = {.passing = 1, .warning = 1};
		struct node_service service = {.id = bytes_str(SERVICE),
		    .service = bytes_str(SERVICE),
		    .tags = bytes_of(no_tags, 1),
		    .meta = w->meta,
		    .port = w->port};

		service.weights = encoded(l->region, &weights_schema, &weights);
		request.service = encoded(l->region, &node_service_schema, &service);
	}
	schema_encode(&register_request_schema, &request, &body);
	log_info(MODULE, "member joined, marking health alive: member=%s partition=default", log_quote_bytes(w->name));
	(void)raftlog_propose(l->c->raftlog, APPLY_TYPE_REGISTER, buf_bytes(&body), on_registered, NULL);
	buf_free(&body);
	buf_free(&checks);
}

static void
own_node_alive(struct leader *l)
{
	const struct conf *conf = daemon_conf(l->c->daemon);
	struct wanted w = {.name = bytes_str(l->c->node_name),
	    .id = bytes_str(conf_str(conf, "node_id", "")),
	    .address = bytes_str(conf_str(conf, "advertise_addr", "127.0.0.1")),
	    .server = true,
	    .port = conf_int(conf, "ports.server", 8300)};

	region_reset(l->region);
	w.meta = service_meta(l->region, conf_str(conf, "consuld.version", CONSULD_COMPAT_VERSION), "3",
	    conf_int(conf, "ports.grpc", -1), conf_int(conf, "ports.grpc_tls", 8503));
	member_alive(l, &w);
}

/* ---- members as gossipd sees them ---- */

static int64_t
tag_port(struct bytes tags, const char *name)
{
	uint64_t port;

	return bytes_to_u64(mp_find_str(tags, name), &port) == 0 && port <= UINT16_MAX ? (int64_t)port : 0;
}

static void
member_seen(struct leader *l, const struct lan_member *m)
{
	struct wanted w = {.name = bytes_str(m->name),
	    .address = bytes_str(m->address),
	    .id = bytes_str(m->id),
	    .server = m->server,
	    .port = m->rpc_port};

	if (m->status != MEMBER_ALIVE || strcmp(m->name, l->c->node_name) == 0 || !m->local)
		return;
	region_reset(l->region);
	if (w.server)
		w.meta = service_meta(l->region, m->build, m->raft_version[0] == '\0' ? "0" : m->raft_version,
		    tag_port(m->tags, "grpc_port"), tag_port(m->tags, "grpc_tls_port"));
	member_alive(l, &w);
}

static void
on_reconcile(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct leader *l = w->data;

	(void)events;
	ev_timer_set(w, RECONCILE_S, 0.);
	ev_timer_start(loop, w);
	own_node_alive(l);
	for (size_t i = 0; i < members_count(l->c->members); i++)
		member_seen(l, members_at(l->c->members, i));
}

/* Who joins, or comes back, is looked at soon, together with what follows at once. */
static void
on_member(void *ctx, const struct lan_member *m, enum member_status before)
{
	struct leader *l = ctx;

	(void)m, (void)before;
	if (l->running && ev_timer_remaining(l->c->loop, &l->reconcile) > SOON_S) {
		ev_timer_stop(l->c->loop, &l->reconcile);
		ev_timer_set(&l->reconcile, SOON_S, 0.);
		ev_timer_start(l->c->loop, &l->reconcile);
	}
}

/* ---- tombstones ---- */

static void
on_reaped(void *ctx, const struct proposal_result *result)
{
	(void)ctx;
	if (result->outcome != PROPOSAL_APPLIED && result->outcome != PROPOSAL_NO_LEADER)
		log_errorx(MODULE, "failed to reap tombstones: error=%s",
		    log_quote(result->error == NULL ? "" : result->error));
}

/* Every tick remembers how far the log was; what was deleted before the oldest of them is old enough. */
static void
on_reap(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct leader *l = w->data;
	size_t slot = l->tick++ % TOMBSTONE_AGE_TICKS;
	uint64_t index = l->seen[slot];
	struct store_txn *t = store_read(l->c->store);
	struct buf body = BUF_INIT(256);

	(void)loop, (void)events;
	l->seen[slot] = store_state(l->c->store).applied_index;
	if (index == 0 || t == NULL || !kv_has_leftovers(t))
		return;
	kv_tombstone_reap_body(&body, index);
	(void)raftlog_propose(l->c->raftlog, APPLY_TYPE_TOMBSTONE_REAP, buf_bytes(&body), on_reaped, NULL);
	buf_free(&body);
}

/* ---- terms of office ---- */

void
leader_start(struct leader *l)
{
	if (l->running)
		return;
	l->running = true;
	log_info(MODULE, "cluster leadership acquired");
	gossip_fire(l->c->gossip, GOSSIP_NEW_LEADER, bytes_str(l->c->node_name)); /* who hears of it logs it */
	memset(l->seen, 0, sizeof l->seen);
	l->tick = 0;
	ev_timer_again(l->c->loop, &l->reap);
	own_node_alive(l);
	ev_timer_set(&l->reconcile, SOON_S, 0.);
	ev_timer_start(l->c->loop, &l->reconcile);
}

void
leader_stop(struct leader *l)
{
	if (!l->running)
		return;
	l->running = false;
	log_info(MODULE, "cluster leadership lost");
	ev_timer_stop(l->c->loop, &l->reap);
	ev_timer_stop(l->c->loop, &l->reconcile);
}

struct leader *
leader_new(struct catalogd *c)
{
	struct leader *l = xcalloc(1, sizeof *l);

	l->c = c;
	l->region = region_new();
	ev_timer_init(&l->reconcile, on_reconcile, RECONCILE_S, 0.);
	ev_timer_init(&l->reap, on_reap, REAP_S, REAP_S);
	l->reconcile.data = l->reap.data = l;
	members_observe(c->members, on_member, l);
	return l;
}

void
leader_free(struct leader *l)
{
	if (l == NULL)
		return;
	ev_timer_stop(l->c->loop, &l->reap);
	ev_timer_stop(l->c->loop, &l->reconcile);
	region_free(l->region);
	free(l);
}

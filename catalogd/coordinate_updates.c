/*
 * coordinate_updates.c - coordinates on their way (contract: coordinate_updates.h; facts: behaviour.md 15, wire-rpc.md 9.1; callers: main.c, the endpoint table)
 */
#include "coordinate_updates.h"

#include <stdlib.h>

#include "coordinate.h"
#include "coordinate_pending.h"
#include "coordinate_point.h"
#include "duration.h"
#include "frame.h"
#include "log.h"
#include "members.h"
#include "query.h"
#include "raftlog.h"
#include "serve.h"
#include "structs.h"
#include "uuid.h"

#define MODULE "agent"
#define SERVER_MODULE "agent.server.coordinate"
#define UPDATES_PER_S 64 /* of all members together */
#define PROTOCOL 3       /* that every server must understand */
#define INTERVAL_MS 15000
#define PERIOD_MS 5000
#define GOSSIP_TIMEOUT_MS 5000
#define TAG_MAX 16

struct coordinate_updates {
	struct catalogd *c;
	struct coordinate_updates_options options;
	/* our own */
	struct ev_timer send;
	struct ipc_call *self_call;
	struct ipc_stream *update; /* under way */
	/* those of others */
	struct coordinate_pending *pending;
	struct ev_timer flush;
	struct buf batch;
};

/* ---- the leader: into the log ---- */

static void
on_applied(void *ctx, const struct proposal_result *result)
{
	(void)ctx;
	if (result->outcome != PROPOSAL_APPLIED && result->outcome != PROPOSAL_NO_LEADER)
		log_warnx(SERVER_MODULE, "Batch update failed: error=%s",
		    log_quote(result->error == NULL ? "" : result->error));
}

static void
on_flush(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct coordinate_updates *u = w->data;
	size_t dropped = coordinate_pending_dropped(u->pending);

	(void)loop, (void)events;
	if (dropped > 0)
		log_warnx(SERVER_MODULE, "Discarded coordinate updates: number_discarded=%zu", dropped);
	if (!raftlog_ready(u->c->raftlog)) {
		coordinate_pending_clear(u->pending);
		return;
	}
	buf_clear(&u->batch);
	while (coordinate_pending_take(u->pending, &u->batch)) {
		(void)raftlog_propose(u->c->raftlog, APPLY_TYPE_COORDINATES, buf_bytes(&u->batch), on_applied, NULL);
		buf_clear(&u->batch);
	}
	buf_free(&u->batch);
}

static void
collect(struct coordinate_updates *u, struct store_txn *t, struct region *r, const struct node_coordinate *c)
{
	struct buf key = BUF_INIT(COORDINATE_PENDING_BYTES_MAX), record = BUF_INIT(FRAME_REQUEST_BYTES_MAX);

	schema_encode(&node_coordinate_schema, c, &record);
	STORE_KEY(&key, c->node, c->segment);
	/* What the state has already is not written again: members that do not move cost the log nothing. */
	if (!key.overflow && !record.overflow &&
	    (coordinate_pending_has(u->pending, buf_bytes(&key)) ||
		!coordinate_is_stored(t, r, c->node, c->segment, buf_bytes(&record)))) {
		coordinate_pending_put(u->pending, buf_bytes(&key), buf_bytes(&record));
		if (!ev_is_active(&u->flush)) {
			ev_timer_set(&u->flush, (double)u->options.period_ns / (double)NS_PER_S, 0.);
			ev_timer_start(u->c->loop, &u->flush);
		}
	}
	buf_free(&key);
	buf_free(&record);
}

int
coordinate_update_write(struct write *w)
{
	struct coordinate_update_request args;
	struct coordinate_point point;
	struct node_coordinate c;
	struct buf coord = BUF_INIT(4096);
	const char *why;

	if (write_args(w, &coordinate_update_request_schema, &args) == -1)
		return -1;
	why = coordinate_point_get(args.coord, &point);
	if (why == NULL && !coordinate_point_valid(&point))
		why = COORDINATE_INVALID;
	if (why != NULL)
		return write_fail(w, 0, "%s", why);
	coordinate_point_put(&point, &coord);
	c = (struct node_coordinate){.node = args.node, .segment = args.segment, .coord = buf_bytes(&coord)};
	collect(w->catalogd->coordinates, w->txn, w->region, &c);
	buf_free(&coord);
	w->answered = true;
	return 0;
}

/* ---- every agent: its own to the servers ---- */

int64_t
coordinate_updates_interval_ns(int64_t min_ns, size_t members)
{
	return MAX(min_ns, (int64_t)members * (NS_PER_S / UPDATES_PER_S));
}

static void
send_later(struct coordinate_updates *u)
{
	int64_t ns = coordinate_updates_interval_ns(u->options.interval_ns, members_count(u->c->members));

	ns += (int64_t)random_below((uint64_t)ns);
	ev_timer_set(&u->send, (double)ns / (double)NS_PER_S, 0.);
	ev_timer_start(u->c->loop, &u->send);
}

static int
tag_number(const struct lan_member *m, const char *name, uint64_t *out)
{
	struct bytes text = mp_find_str(m->tags, name);

	if (bytes_to_u64(text, out) == 0)
		return 0;
	log_errorx(MODULE, "Failed to check servers: error=%s member=%s tag=%s", log_quote("not a number"),
	    log_quote(m->name), name);
	return -1;
}

/* All servers understand updates, and there is one. */
static bool
servers_understand(const struct coordinate_updates *u)
{
	size_t servers = 0;

	for (size_t i = 0; i < members_count(u->c->members); i++) {
		const struct lan_member *m = members_at(u->c->members, i);
		uint64_t min, max;

		if (!bytes_is(mp_find_str(m->tags, "role"), "consul"))
			continue;
		if (tag_number(m, "vsn_min", &min) == -1 || tag_number(m, "vsn_max", &max) == -1)
			return false;
		if (min > PROTOCOL || max < PROTOCOL) {
			log_debug(MODULE, "Skipping coordinate updates until servers are upgraded");
			return false;
		}
		servers++;
	}
	return servers > 0;
}

static void
on_sent(void *ctx, const struct ipc_answer *answer)
{
	struct coordinate_updates *u = ctx;

	u->update = NULL;
	if (answer->status != IPC_OK)
		log_errorx(MODULE, "Coordinate update error: error=%s", log_quote_bytes(answer->error));
	send_later(u);
}

static void
send_coordinate(struct coordinate_updates *u, struct bytes coord)
{
	struct ipc *ipc = daemon_ipc(u->c->daemon);
	struct coordinate_update_request args = {
	    .datacenter = bytes_str(u->c->datacenter), .node = bytes_str(u->c->node_name), .coord = coord};
	const struct ipc_method *method = ipc_method_find(ipc, &serve_remote_service, bytes_str("Coordinate.Update"));
	struct buf body = BUF_INIT(FRAME_REQUEST_BYTES_MAX);

	schema_encode(&coordinate_update_request_schema, &args, &body);
	/* As if we had been asked: on the leader it is collected here, elsewhere it goes where it belongs. */
	u->update = ipc_serve(ipc, &serve_remote_service, method, buf_bytes(&body), 0, on_sent, u);
	buf_free(&body);
}

static void
on_self(void *ctx, const struct ipc_answer *answer)
{
	struct coordinate_updates *u = ctx;
	struct bytes coord = mp_find_raw(answer->body, "Coord");
	struct coordinate_point point;

	u->self_call = NULL;
	if (answer->status != IPC_OK || coordinate_point_get(coord, &point) != NULL) {
		log_errorx(MODULE, "Failed to get coordinate: error=%s",
		    answer->status == IPC_OK ? log_quote("gossipd gave none") : log_quote_bytes(answer->error));
		send_later(u);
		return;
	}
	send_coordinate(u, coord);
}

static void
on_send(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct coordinate_updates *u = w->data;

	(void)loop, (void)events;
	if (!servers_understand(u)) {
		send_later(u);
		return;
	}
	u->self_call = ipc_call(daemon_peer(u->c->daemon, "gossipd"), "Gossip.Self", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = GOSSIP_TIMEOUT_MS, .flags = IPC_RESEND}, on_self, u);
}

struct coordinate_updates_options
coordinate_updates_conf(const struct conf *conf)
{
	return (struct coordinate_updates_options){
	    .sends = !conf_bool(conf, "disable_coordinates", false),
	    .interval_ns = conf_int(conf, "consuld.coordinate_interval_ms", INTERVAL_MS) * NS_PER_MS,
	    .period_ns = conf_int(conf, "consuld.coordinate_period_ms", PERIOD_MS) * NS_PER_MS,
	};
}

struct coordinate_updates *
coordinate_updates_new(struct catalogd *c, const struct coordinate_updates_options *options)
{
	struct coordinate_updates *u = xcalloc(1, sizeof *u);

	u->c = c;
	u->options = *options;
	u->pending = coordinate_pending_new();
	buf_init(&u->batch, 2 * COORDINATE_PENDING_BYTES_MAX);
	ev_init(&u->send, on_send);
	ev_init(&u->flush, on_flush);
	u->send.data = u->flush.data = u;
	if (u->options.sends)
		send_later(u);
	return u;
}

void
coordinate_updates_free(struct coordinate_updates *u)
{
	if (u == NULL)
		return;
	ev_timer_stop(u->c->loop, &u->send);
	ev_timer_stop(u->c->loop, &u->flush);
	if (u->self_call != NULL)
		ipc_cancel(u->self_call);
	if (u->update != NULL)
		ipc_serve_cancel(u->update);
	coordinate_pending_free(u->pending);
	buf_free(&u->batch);
	free(u);
}

/*
 * stats.c - what this server says of itself (contract: stats.h; facts: http-api.md 11.1, 14; caller: serve.c's table)
 *
 * What raftd knows is asked of raftd when the question comes; the answer has no more to do with this process than that it passes
 * through (neighbour.h).
 */
#include "stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "frame.h"
#include "mem.h"
#include "neighbour.h"
#include "raftlog.h"
#include "remote.h"
#include "session_timer.h"
#include "store.h"
#include "watch.h"

#define RAFTD_TIMEOUT_MS 2000
#define SERVERS_MAX 1000

static bool
datacenter_is_ours(struct ipc_stream *s, struct bytes args, const struct catalogd *c)
{
	struct bytes datacenter = mp_find_str(args, "Datacenter");

	if (!c->server) {
		remote_request(c->remote, s, args, true);
		return false;
	}
	if (datacenter.size == 0 || bytes_is(datacenter, c->datacenter))
		return true;
	ipc_fail(s, 0, "No path to datacenter");
	return false;
}

static void
raftd_ask(struct catalogd *c, struct ipc_stream *s, const char *method, ipc_answer_cb *cb)
{
	neighbour_ask(c, s,
	    &(struct neighbour_ask){
		.peer = "raftd", .method = method, .timeout_ms = RAFTD_TIMEOUT_MS, .flags = IPC_RESEND},
	    cb);
}

/* ---- Status.*, Catalog.ListDatacenters ---- */

static void
reply_text(struct ipc_stream *s, const char *text)
{
	struct buf body = BUF_INIT(4096);

	mp_put_cstr(&body, text);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

void
stats_status_leader(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);

	if (datacenter_is_ours(s, args, c))
		reply_text(
		    s, raftlog_status(c->raftlog)->leader_known ? raftlog_status(c->raftlog)->leader_address : "");
}

static void
on_peers(void *ctx, const struct ipc_answer *answer)
{
	struct ipc_stream *s = neighbour_end(ctx).stream;
	struct buf body = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct mp in = mp_of(mp_find_raw(answer->body, "Servers"));
	uint32_t count;

	if (answer->status != IPC_OK) { /* not "none": whoever is about to begin a cluster asks this */
		ipc_fail(s, 0, "the log can not be asked for its peers: %.*s", (int)answer->error.size,
		    (const char *)answer->error.data);
		return;
	}
	count = mp_peek(&in) == MP_ARRAY ? mp_array(&in) : 0;
	mp_put_array(&body, count);
	for (uint32_t i = 0; i < count; i++)
		mp_put_bytes(&body, mp_find_str(mp_raw(&in), "Address"));
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

void
stats_status_peers(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);

	if (datacenter_is_ours(s, args, c))
		raftd_ask(c, s, "Raft.Peers", on_peers);
}

void
stats_list_datacenters(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);
	struct buf body = BUF_INIT(4096);

	if (!c->server) {
		remote_request(c->remote, s, args, true);
		return;
	}
	mp_put_array(&body, 1);
	mp_put_cstr(&body, c->datacenter);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

/* ---- Status.RaftStats ---- */

static void
on_log_stats(void *ctx, const struct ipc_answer *answer)
{
	struct neighbour_asker asker = neighbour_end(ctx);
	struct buf body = BUF_INIT(4096);

	if (answer->status != IPC_OK) {
		neighbour_fail(asker.stream, answer, "");
		return;
	}
	mp_put_map(&body, 4);
	mp_put_kv_str(&body, "LastContact", mp_find_str(answer->body, "LastContact"));
	mp_put_kv_uint(&body, "LastTerm", mp_find_uint(answer->body, "LastTerm"));
	mp_put_kv_uint(&body, "LastIndex", mp_find_uint(answer->body, "LastIndex"));
	mp_put_kv_uint(&body, "Life", mp_find_uint(answer->body, "Life"));
	ipc_reply(asker.stream, buf_bytes(&body));
	buf_free(&body);
}

void
stats_raft_stats(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);

	if (c->server)
		raftd_ask(c, s, "Raft.Peers", on_log_stats);
	else
		remote_request(c->remote, s, args, true);
}

/* ---- Catalogd.Stats ---- */

static void
put_number(struct buf *body, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	mp_put_kv_cstr(body, key, text);
}

static void
on_raft_stats(void *ctx, const struct ipc_answer *answer)
{
	struct neighbour_asker asker = neighbour_end(ctx);
	struct catalogd *c = asker.c;
	const struct raftlog_status *status = raftlog_status(c->raftlog);
	const struct conf *conf = daemon_conf(c->daemon);
	struct buf body = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct mp in = mp_of(answer->body);
	uint32_t pairs = answer->status == IPC_OK && mp_peek(&in) == MP_MAP ? mp_map(&in) : 0, kept = 0;
	size_t place;

	mp_put_map(&body, 3);
	mp_put_cstr(&body, "consul");
	mp_put_map(&body, 6);
	mp_put_kv_cstr(&body, "acl", "disabled");
	mp_put_kv_cstr(&body, "bootstrap", conf_bool(conf, "bootstrap", false) ? "true" : "false");
	mp_put_kv_cstr(&body, "known_datacenters", "1");
	mp_put_kv_cstr(&body, "leader", status->leader ? "true" : "false");
	mp_put_kv_cstr(&body, "leader_addr", status->leader_address);
	mp_put_kv_cstr(&body, "server", "true");
	mp_put_cstr(&body, "raft");
	place = mp_open_map(&body);
	for (; pairs > 0 && mp_ok(&in); pairs--) {
		struct bytes key = mp_str(&in), value = mp_str(&in);

		/* What has been applied is this process's to say. */
		if (!mp_ok(&in) || bytes_is(key, "applied_index") || bytes_is(key, "fsm_pending"))
			continue;
		mp_put_bytes(&body, key);
		mp_put_bytes(&body, value);
		kept++;
	}
	put_number(&body, "applied_index", store_state(c->store).applied_index);
	put_number(&body, "fsm_pending", 0);
	mp_close(&body, place, kept + 2);
	mp_put_cstr(&body, "catalogd");
	mp_put_map(&body, 4);
	put_number(&body, "parked_queries", watch_parked(c->watch));
	put_number(&body, "parked_groups", watch_groups(c->watch));
	put_number(&body, "waiting_writes", raftlog_waiting(c->raftlog));
	put_number(&body, "session_timers", session_timers_count(c->session_timers));
	ipc_reply(asker.stream, buf_bytes(&body));
	buf_free(&body);
}

static void
client_stats(const struct catalogd *c, struct ipc_stream *s)
{
	struct buf body = BUF_INIT(4096);

	mp_put_map(&body, 2);
	mp_put_cstr(&body, "consul");
	mp_put_map(&body, 3);
	mp_put_kv_cstr(&body, "acl", "disabled");
	put_number(&body, "known_servers", remote_servers(c->remote));
	mp_put_kv_cstr(&body, "server", "false");
	mp_put_cstr(&body, "catalogd");
	mp_put_map(&body, 3);
	put_number(&body, "waiting_requests", remote_waiting(c->remote));
	put_number(&body, "calls", remote_calls(c->remote));
	put_number(&body, "watched_names", remote_names(c->remote));
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

void
stats_handle(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);

	(void)args;
	if (c->server)
		raftd_ask(c, s, "Raft.Stats", on_raft_stats);
	else
		client_stats(c, s);
}

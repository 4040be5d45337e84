/*
 * leave.c - a server that leaves the cluster for good (contract: leave.h; facts: behaviour.md 7.3; caller: serve.c's table)
 *
 * Whoever asks may go away meanwhile: what has begun goes on without it.
 */
#include "leave.h"

#include <stdlib.h>
#include <string.h>

#include "catalogd.h"
#include "duration.h"
#include "log.h"
#include "mem.h"
#include "members.h"
#include "raft_members.h"
#include "raft_peers.h"
#include "raftlog.h"
#include "remote.h"

#define MODULE "agent.server"
#define PEERS_TIMEOUT_MS 1000
#define TRANSFER_TIMEOUT_MS 3000
#define TRANSFERS_MAX 3
#define AGAIN_S 0.05
#define REMOVED_S 5. /* so long it waits to be removed by the leader */

struct leaving {
	struct catalogd *c;
	struct ipc_stream *stream; /* NULL: nobody waits any more */
	unsigned transfers;
	struct ev_timer timer;
	ev_tstamp deadline; /* of the removal; 0: the drain is under way */
};

static void
on_asker_gone(struct ipc_stream *s, void *ctx)
{
	struct leaving *l = ctx;

	(void)s;
	l->stream = NULL;
}

static struct leaving *
leaving_new(struct catalogd *c, struct ipc_stream *s)
{
	struct leaving *l = xcalloc(1, sizeof *l);

	l->c = c;
	l->stream = s;
	ipc_stream_watch(s, on_asker_gone, NULL, l);
	return l;
}

static void
leaving_end(struct leaving *l)
{
	ev_timer_stop(l->c->loop, &l->timer);
	if (l->stream != NULL) {
		ipc_stream_watch(l->stream, NULL, NULL, NULL);
		ipc_reply(l->stream, bytes_of(NULL, 0));
	}
	free(l);
}

static void
peers_ask(struct leaving *l, ipc_answer_cb *answered)
{
	(void)ipc_call(daemon_peer(l->c->daemon, "raftd"), "Raft.Peers", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = PEERS_TIMEOUT_MS, .flags = IPC_RESEND}, answered, l);
}

/* ---- before ---- */

static void
on_removed(void *ctx, const char *error)
{
	if (error != NULL)
		log_errorx(MODULE, "failed to remove ourself as raft peer: error=%s", log_quote(error));
	leaving_end(ctx);
}

static void transfer(struct leaving *l);

static void
on_transferred(void *ctx, const struct ipc_answer *answer)
{
	struct leaving *l = ctx;
	struct raft_members_change self = {.op = RAFT_MEMBERS_REMOVE, .reason = "leaving"};

	if (answer->status == IPC_OK || !raftlog_status(l->c->raftlog)->leader) {
		log_info(MODULE, "successfully transferred leadership: attempt=%u retry_limit=%d", l->transfers,
		    TRANSFERS_MAX);
		leaving_end(l);
	} else if (l->transfers < TRANSFERS_MAX) {
		log_warnx(MODULE,
		    "failed to transfer leadership attempt, will retry: attempt=%u retry_limit=%d error=%s",
		    l->transfers, TRANSFERS_MAX, log_quote_bytes(answer->error));
		transfer(l);
	} else {
		log_errorx(MODULE, "failed to transfer leadership, removing the server: error=%s",
		    log_quote_bytes(answer->error));
		if (bytes_to_str(
			bytes_str(conf_str(daemon_conf(l->c->daemon), "node_id", "")), self.id, sizeof self.id) == 0)
			raft_members_change(l->c->raft_members, &self, on_removed, l);
		else
			leaving_end(l);
	}
}

static void
transfer(struct leaving *l)
{
	l->transfers++;
	(void)ipc_call(daemon_peer(l->c->daemon, "raftd"), "Raft.TransferLeadership", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = TRANSFER_TIMEOUT_MS}, on_transferred, l);
}

static void
on_peers_before(void *ctx, const struct ipc_answer *answer)
{
	struct leaving *l = ctx;
	struct raft_peers peers;

	if (answer->status == IPC_OK && raft_peers_read(answer->body, &peers) == 0 && raft_peers_voters(&peers) > 1)
		transfer(l);
	else
		leaving_end(l); /* there is nobody to hand it to */
}

void
leave_handle_begin(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);

	(void)args;
	if (!c->server || !raftlog_status(c->raftlog)->leader)
		ipc_reply(s, bytes_of(NULL, 0));
	else
		peers_ask(leaving_new(c, s), on_peers_before);
}

/* ---- after ---- */

static void
on_peers_after(void *ctx, const struct ipc_answer *answer)
{
	struct leaving *l = ctx;
	struct raft_peers peers;
	const char *own_id = conf_str(daemon_conf(l->c->daemon), "node_id", "");

	if (raftlog_status(l->c->raftlog)->leader ||
	    (answer->status == IPC_OK && raft_peers_read(answer->body, &peers) == 0 &&
		raft_peers_find(&peers, own_id) == NULL)) {
		leaving_end(l);
	} else if (ev_now(l->c->loop) >= l->deadline) {
		log_warnx(MODULE, "failed to leave raft configuration gracefully, timeout");
		leaving_end(l);
	} else {
		ev_timer_set(&l->timer, AGAIN_S, 0.);
		ev_timer_start(l->c->loop, &l->timer);
	}
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct leaving *l = w->data;

	(void)events;
	if (l->deadline == 0.)
		l->deadline = ev_now(loop) + REMOVED_S;
	peers_ask(l, on_peers_after);
}

static bool
has_other_servers(const struct catalogd *c)
{
	for (size_t i = 0; i < members_count(c->members); i++) {
		const struct lan_member *m = members_at(c->members, i);

		if (m->server && m->local && m->status == MEMBER_ALIVE && strcmp(m->name, c->node_name) != 0)
			return true;
	}
	return false;
}

void
leave_handle_end(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);
	struct leaving *l;

	(void)args;
	/* without others there is nobody who could serve, nobody to wait for */
	if (!c->server || !has_other_servers(c)) {
		ipc_reply(s, bytes_of(NULL, 0));
		return;
	}
	remote_refuse(c->remote, "No cluster leader");
	l = leaving_new(c, s);
	ev_timer_init(&l->timer, on_timer,
	    (double)conf_duration(daemon_conf(c->daemon), "performance.leave_drain_time", 5 * NS_PER_S) /
		(double)NS_PER_S,
	    0.);
	l->timer.data = l;
	ev_timer_start(c->loop, &l->timer);
}

/*
 * raft_members.c - which servers belong to the cluster (contract: raft_members.h; facts: behaviour.md 10 and 12.4; callers: main.c, leader.c, leave.c)
 *
 * While it leads it looks: asks raftd for the configuration, judges, asks for one change, looks again when that is committed. It looks when
 * servers among the members change, and from time to time.
 */
#include "raft_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "mem.h"
#include "mp.h"

#define MODULE "agent.server"
#define LOOK_S 10.
#define LOOK_NEXT_S .05 /* after a change: never more often than that */
#define LOOK_SOON_S 1.  /* after a failure */
#define REMOVED_S 60.   /* as long as the reference takes to find it again */
#define PEERS_TIMEOUT_MS 2000

/* ---- pure ---- */

static bool
is_other(const struct lan_member *m, const char *own_id)
{
	return raft_peers_eligible(m) && strcasecmp(m->id, own_id) != 0;
}

static void
want(struct raft_members_judgement *out, enum raft_members_op op, const char *id, const char *reason)
{
	out->wanted = true;
	out->change = (struct raft_members_change){.op = op, .reason = reason};
	memcpy(out->change.id, id, sizeof out->change.id); /* both sources have UUIDs alone */
}

static bool
was_removed(const struct raft_members_removed *removed, const char *id)
{
	for (size_t i = 0; i < removed->count; i++)
		if (strcasecmp(removed->at[i].id, id) == 0)
			return true;
	return false;
}

/* Two servers that were told to begin a cluster alone would each have one: the second is not taken in before that is sorted out. */
static const struct lan_member *
bootstraps_too(const struct members *members, const struct lan_member *m)
{
	for (size_t i = 0; m->bootstrap && i < members_count(members); i++) {
		const struct lan_member *other = members_at(members, i);

		if (other != m && other->bootstrap && raft_peers_eligible(other) && other->status == MEMBER_ALIVE)
			return other;
	}
	return NULL;
}

/* A server that is not in the configuration. false: nothing can be done for it. */
static bool
judge_new(const struct raft_peers *peers, const struct members *members, const struct lan_member *m,
    struct raft_members_judgement *out)
{
	const struct lan_member *other = bootstraps_too(members, m);
	size_t voters = raft_peers_voters(peers);
	char address[NET_ADDR_TEXT_MAX];

	if (other != NULL) {
		out->twice = m;
		out->other = other;
		return false;
	}
	net_addr_text_port(&m->rpc, address);
	for (size_t i = 0; i < peers->count; i++) {
		const struct raft_peer *p = &peers->at[i];

		if (strcmp(p->address, address) != 0)
			continue;
		if (p->leader || (p->voter && (voters - 1) / 2 < 1)) {
			out->crowded = m;
			return false;
		}
		want(out, RAFT_MEMBERS_REMOVE, p->id, "another server has its address");
		return true;
	}
	want(out, RAFT_MEMBERS_ADD, m->id, "joined");
	memcpy(out->change.address, address, sizeof address);
	return true;
}

void
raft_members_judge(const struct raft_peers *peers, const struct members *members,
    const struct raft_members_removed *removed, const char *own_id, struct raft_members_judgement *out)
{
	*out = (struct raft_members_judgement){0};
	for (size_t i = 0; i < peers->count; i++) {
		const struct raft_peer *p = &peers->at[i];
		const struct lan_member *m = members_find_id(members, bytes_str(p->id));

		if (m != NULL && m->status == MEMBER_LEFT && is_other(m, own_id)) {
			want(out, RAFT_MEMBERS_REMOVE, p->id, "left");
			return;
		}
	}
	for (size_t i = 0; i < members_count(members); i++) {
		const struct lan_member *m = members_at(members, i);

		if (m->status == MEMBER_ALIVE && is_other(m, own_id) && raft_peers_find(peers, m->id) == NULL &&
		    !was_removed(removed, m->id) && judge_new(peers, members, m, out))
			return;
	}
	for (size_t i = 0; i < peers->count; i++) {
		const struct raft_peer *p = &peers->at[i];
		const struct lan_member *m = members_find_id(members, bytes_str(p->id));
		char address[NET_ADDR_TEXT_MAX];

		if (m == NULL || m->status != MEMBER_ALIVE || !is_other(m, own_id) ||
		    strcmp(net_addr_text_port(&m->rpc, address), p->configured) == 0)
			continue;
		want(out, RAFT_MEMBERS_ADD, p->id, "its address has changed");
		memcpy(out->change.address, address, sizeof address);
		return;
	}
}

/* ---- the doing ---- */

struct request {
	struct raft_members_change change;
	raft_members_done *done;
	void *ctx;
};

struct raft_members {
	struct catalogd *c;
	bool running;
	struct raft_peers peers;
	struct ipc_call *look, *change;
	struct raft_members_change changing; /* while change is set */
	bool asked;                          /* it is that of queue[0] */
	struct ev_timer timer;
	struct request queue[RAFT_MEMBERS_QUEUE_MAX];
	size_t queued;
	char last_error[RAFT_MEMBERS_ERROR_MAX]; /* logged once as long as it is the same */
	struct log_limit refusals;
	struct raft_members_removed removed;
};

static void look(struct raft_members *r);

static const char *
own_id(const struct raft_members *r)
{
	return conf_str(daemon_conf(r->c->daemon), "node_id", "");
}

static void
look_after(struct raft_members *r, double seconds)
{
	ev_timer_stop(r->c->loop, &r->timer);
	if (!r->running)
		return;
	ev_timer_set(&r->timer, seconds, 0.);
	ev_timer_start(r->c->loop, &r->timer);
}

/* Those whose time is over; id: and that one. */
static void
removed_drop(struct raft_members *r, const char *id)
{
	for (size_t i = 0; i < r->removed.count;)
		if (strcasecmp(r->removed.at[i].id, id) == 0 || r->removed.at[i].until <= ev_now(r->c->loop))
			r->removed.at[i] = r->removed.at[--r->removed.count];
		else
			i++;
}

static void
removed_note(struct raft_members *r, const char *id)
{
	removed_drop(r, id);
	if (r->removed.count == COUNTOF(r->removed.at))
		return; /* it comes back sooner */
	memcpy(r->removed.at[r->removed.count].id, id, sizeof r->removed.at[0].id);
	r->removed.at[r->removed.count++].until = ev_now(r->c->loop) + REMOVED_S;
}

static void
request_end(struct raft_members *r, size_t i, const char *error)
{
	struct request ended = r->queue[i];

	r->queued--;
	memmove(&r->queue[i], &r->queue[i + 1], (r->queued - i) * sizeof *r->queue);
	ended.done(ended.ctx, error);
}

static void
on_changed(void *ctx, const struct ipc_answer *answer)
{
	struct raft_members *r = ctx;
	char error[RAFT_MEMBERS_ERROR_MAX];
	bool asked = r->asked;

	r->change = NULL;
	r->asked = false;
	if (answer->status == IPC_OK) {
		r->last_error[0] = '\0';
		if (asked && r->changing.op == RAFT_MEMBERS_REMOVE)
			removed_note(r, r->changing.id);
		if (asked)
			request_end(r, 0, NULL);
		look_after(r, LOOK_NEXT_S);
		return;
	}
	snprintf(error, sizeof error, "%.*s", (int)MIN(answer->error.size, sizeof error - 1),
	    (const char *)answer->error.data);
	if (asked)
		request_end(r, 0, error);
	else if (strcmp(error, r->last_error) != 0) {
		log_errorx(MODULE,
		    "the cluster's configuration was not changed, trying again: id=%s reason=%s error=%s",
		    r->changing.id, log_quote(r->changing.reason), log_quote(error));
		memcpy(r->last_error, error, sizeof error);
	}
	look_after(r, LOOK_SOON_S);
}

static void
change(struct raft_members *r, const struct raft_members_change *c)
{
	static const char *const methods[] = {"Raft.AddNonvoter", "Raft.Promote", "Raft.Demote", "Raft.RemovePeer"};
	struct buf args = BUF_INIT(512);

	r->changing = *c;
	mp_put_map(&args, 2);
	mp_put_kv_cstr(&args, "ID", c->id);
	mp_put_kv_cstr(&args, "Address", c->address);
	if (c->op == RAFT_MEMBERS_REMOVE)
		log_info(MODULE, "removing server: id=%s reason=%s", c->id, log_quote(c->reason));
	r->change = ipc_call(daemon_peer(r->c->daemon, "raftd"), methods[c->op], buf_bytes(&args), NULL, on_changed, r);
	buf_free(&args);
}

static void
refusal_log(struct raft_members *r, const struct raft_members_judgement *j)
{
	unsigned suppressed;

	if ((j->twice == NULL && j->crowded == NULL) || !log_allowed(&r->refusals, 2, &suppressed))
		return;
	if (j->twice != NULL)
		log_errorx(MODULE,
		    "Two nodes are in bootstrap mode. Only one node should be in bootstrap mode, not adding Raft "
		    "peer.: node_to_add=%s other=%s",
		    log_quote(j->twice->name), log_quote(j->other->name));
	else
		log_errorx(MODULE,
		    "Preventing server addition that would require removal of too many servers and cause cluster "
		    "instability: server=%s",
		    log_quote(j->crowded->name));
}

static void
on_looked(void *ctx, const struct ipc_answer *answer)
{
	struct raft_members *r = ctx;
	struct raft_members_judgement judgement;

	r->look = NULL;
	if (answer->status != IPC_OK || raft_peers_read(answer->body, &r->peers) == -1) {
		r->peers.count = 0;
		look_after(r, LOOK_SOON_S);
		return;
	}
	if (r->queued > 0) {
		r->asked = true;
		change(r, &r->queue[0].change);
		return;
	}
	removed_drop(r, "");
	raft_members_judge(&r->peers, r->c->members, &r->removed, own_id(r), &judgement);
	refusal_log(r, &judgement);
	if (judgement.wanted)
		change(r, &judgement.change);
	else
		look_after(r, LOOK_S);
}

/* Unless it is under way: what is decided then is decided by what is so then. */
static void
look(struct raft_members *r)
{
	if (!r->running || r->look != NULL || r->change != NULL)
		return;
	ev_timer_stop(r->c->loop, &r->timer);
	r->look = ipc_call(daemon_peer(r->c->daemon, "raftd"), "Raft.Peers", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = PEERS_TIMEOUT_MS, .flags = IPC_RESEND}, on_looked, r);
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)events;
	look(w->data);
}

static void
on_reaped_removed(void *ctx, const char *error)
{
	(void)ctx;
	if (error != NULL)
		log_errorx(MODULE, "failed to remove a reaped server: error=%s", log_quote(error));
}

static void
on_member(void *ctx, const struct lan_member *m, enum member_status before)
{
	struct raft_members *r = ctx;
	struct raft_members_change removal = {.op = RAFT_MEMBERS_REMOVE, .reason = "reaped"};

	if (!r->running || (m != NULL && !raft_peers_eligible(m)))
		return;
	/* Once forgotten it is one of those of whom nothing is known: they may be members that gossip has yet to find. */
	if (m != NULL && m->status == MEMBER_NONE && before != MEMBER_LEFT && is_other(m, own_id(r)) &&
	    members_find_id(r->c->members, bytes_str(m->id)) == NULL) {
		memcpy(removal.id, m->id, sizeof removal.id);
		raft_members_change(r, &removal, on_reaped_removed, NULL);
	} else {
		if (m != NULL && m->status == MEMBER_ALIVE && before != MEMBER_ALIVE)
			removed_drop(r, m->id);
		look(r);
	}
}

void
raft_members_change(struct raft_members *r, const struct raft_members_change *c, raft_members_done *done, void *ctx)
{
	if (!r->running)
		done(ctx, "not leader");
	else if (r->queued == RAFT_MEMBERS_QUEUE_MAX)
		done(ctx, "too many changes of the configuration are waiting, try again");
	else {
		r->queue[r->queued++] = (struct request){*c, done, ctx};
		look(r);
	}
}

const struct raft_peers *
raft_members_peers(const struct raft_members *r)
{
	return &r->peers;
}

void
raft_members_start(struct raft_members *r)
{
	r->running = true;
	r->last_error[0] = '\0';
	look(r);
}

void
raft_members_stop(struct raft_members *r)
{
	size_t kept = r->asked ? 1 : 0;

	r->running = false;
	ev_timer_stop(r->c->loop, &r->timer);
	if (r->look != NULL)
		ipc_cancel(r->look);
	r->look = NULL;
	/* What was asked for and is under way raftd answers: that it is done may be why this server does not lead any more. */
	if (r->change != NULL && !r->asked) {
		ipc_cancel(r->change);
		r->change = NULL;
	}
	r->peers.count = 0;
	while (r->queued > kept)
		request_end(r, r->queued - 1, "leadership lost while committing log");
}

struct raft_members *
raft_members_new(struct catalogd *c)
{
	struct raft_members *r = xcalloc(1, sizeof *r);

	r->c = c;
	ev_init(&r->timer, on_timer);
	r->timer.data = r;
	members_observe(c->members, on_member, r);
	return r;
}

void
raft_members_free(struct raft_members *r)
{
	if (r == NULL)
		return;
	if (r->change != NULL)
		ipc_cancel(r->change);
	r->change = NULL;
	r->asked = false;
	raft_members_stop(r);
	free(r);
}

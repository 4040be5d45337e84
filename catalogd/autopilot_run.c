/*
 * autopilot_run.c - autopilot at work (contract: autopilot_run.h; rules: autopilot.c; facts: behaviour.md 12.4, 13; callers: main.c, catalogd.c, operator.c)
 *
 * A look is one question to raftd, joined with the members and the settings. What is decided is carried out step by step, changes of the
 * log's configuration through raft_members.c, each answered before the next; there is no further look before the last of them. Members that come or go
 * bring the next look forward.
 */
#include "autopilot_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autopilot_config.h"
#include "duration.h"
#include "log.h"
#include "mem.h"
#include "members.h"
#include "raft_members.h"
#include "raftlog.h"
#include "version.h"

#define MODULE "agent.server.autopilot"
#define LOOK_S 2.
#define SOON_S 0.05
#define UNHEARD_S 0.25
#define CLEANUP_S 10. /* the dead are removed so often, as the reference does */
#define ASK_TIMEOUT_MS 2000
#define STEP_TIMEOUT_MS 15000 /* raftd's own limit is shorter */
#define SLACK_HEARTBEATS 3

struct autopilot_run {
	struct catalogd *c;
	bool running;
	struct ev_timer timer;
	struct ipc_call *call;
	bool acting; /* a step is under way */
	double cleanup_at;
	bool cleanup;       /* the dead are to be removed at this look */
	bool again;         /* a member has changed since this look began */
	unsigned looks;     /* since the term began */
	uint64_t won_index; /* what the log had when the election was won */
	struct autopilot view;
	struct autopilot_input in;
	struct region *texts; /* of in */
	struct autopilot_step steps[AUTOPILOT_STEPS_MAX];
	size_t step, step_count;
	struct log_limit kept;
};

/* ---- what is known ---- */

static struct autopilot_settings
settings_of(const struct autopilot_run *r)
{
	const struct conf *conf = daemon_conf(r->c->daemon);
	struct store_txn *t = store_read(r->c->store);
	struct autopilot_config config;

	if (t == NULL || !autopilot_config_find(t, &config))
		config = autopilot_config_initial(conf);
	return (struct autopilot_settings){.cleanup_dead_servers = config.cleanup_dead_servers,
	    .last_contact_ns = config.last_contact_threshold,
	    .max_trailing_logs = config.max_trailing_logs,
	    .min_quorum = config.min_quorum,
	    .stabilization_ns = config.server_stabilization_time};
}

static const char *
text(struct autopilot_run *r, const char *s)
{
	return region_strndup(r->texts, s, strlen(s));
}

static struct autopilot_known *
known_add(struct autopilot_run *r, const char *id)
{
	struct autopilot_known *s;

	if (r->in.count == AUTOPILOT_SERVERS_MAX)
		return NULL;
	s = &r->in.at[r->in.count++];
	*s = (struct autopilot_known){
	    .id = text(r, id), .name = "", .address = "", .version = "", .raft_version = "", .contact_ns = -1};
	return s;
}

static void
known_member(struct autopilot_run *r, struct autopilot_known *s, const struct lan_member *m)
{
	char address[NET_ADDR_TEXT_MAX];

	s->name = text(r, m->name);
	s->address = text(r, net_addr_text_port(&m->rpc, address));
	s->version = text(r, m->build);
	s->raft_version = text(r, m->raft_version);
	s->status = m->status;
	s->no_vote = m->read_replica;
}

static void
known_peer(
    struct autopilot_run *r, struct autopilot_known *s, const struct raft_peers *peers, const struct raft_peer *p)
{
	s->peer = true;
	s->voter = p->voter;
	s->leader = p->leader;
	s->blank = p->blank;
	if (s->address[0] == '\0')
		s->address = text(r, p->address);
	if (p->leader) {
		s->contact_ns = 0;
		s->last_index = r->looks == 0 ? r->won_index : peers->last_index;
		s->last_term = peers->last_term;
	} else {
		s->contact_ns = p->match == 0 ? -1 : (int64_t)p->silent_ms * NS_PER_MS;
		s->last_index = p->match;
		s->last_term = p->last_term;
	}
}

/* The own node leads and is alive, also while gossipd is away. */
static void
known_self(struct autopilot_run *r, struct autopilot_known *s)
{
	const struct conf *conf = daemon_conf(r->c->daemon);

	s->status = MEMBER_ALIVE;
	if (s->name[0] != '\0')
		return;
	s->name = r->c->node_name;
	s->version = text(r, conf_str(conf, "consuld.version", CONSULD_COMPAT_VERSION));
	s->raft_version = "3";
}

static void
gather(struct autopilot_run *r, const struct raft_peers *peers)
{
	const struct members *members = r->c->members;
	struct autopilot_known *s;

	region_reset(r->texts);
	r->in.count = 0;
	r->in.settings = settings_of(r);
	r->in.slack_ns = (int64_t)peers->heartbeat_ms * SLACK_HEARTBEATS * NS_PER_MS;
	r->in.now_ns = monotime_now().ns;
	r->in.wall_ns = walltime_ns();
	for (size_t i = 0; i < peers->count; i++) {
		const struct raft_peer *p = &peers->at[i];
		const struct lan_member *m = members_find_id(members, bytes_str(p->id));

		if ((s = known_add(r, p->id)) == NULL)
			return;
		if (m != NULL && m->server)
			known_member(r, s, m);
		known_peer(r, s, peers, p);
		if (s->leader)
			known_self(r, s);
	}
	for (size_t i = 0; i < members_count(members); i++) {
		const struct lan_member *m = members_at(members, i);

		if (!m->local || !m->server || m->id[0] == '\0' || m->status == MEMBER_LEFT ||
		    raft_peers_find(peers, m->id) != NULL || members_find_id(members, bytes_str(m->id)) != m)
			continue;
		if ((s = known_add(r, m->id)) == NULL)
			return;
		known_member(r, s, m);
	}
}

/* ---- looking ---- */

static void step_next(struct autopilot_run *r);

static void
look_in(struct autopilot_run *r, double seconds)
{
	ev_timer_stop(r->c->loop, &r->timer);
	ev_timer_set(&r->timer, seconds, 0.);
	ev_timer_start(r->c->loop, &r->timer);
}

static void
on_peers(void *ctx, const struct ipc_answer *answer)
{
	struct autopilot_run *r = ctx;
	struct raft_peers peers;

	r->call = NULL;
	if (answer->status != IPC_OK || raft_peers_read(answer->body, &peers) == -1) {
		look_in(r, LOOK_S);
		return;
	}
	gather(r, &peers);
	autopilot_look(&r->view, &r->in);
	r->step = r->step_count = 0;
	/* who is no member is not known before all of them are */
	if (members_synced(r->c->members)) {
		r->step_count = autopilot_decide(&r->view, &r->in, r->cleanup, r->steps);
		r->cleanup = false;
	}
	r->looks++;
	step_next(r);
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct autopilot_run *r = w->data;

	(void)events;
	r->again = false;
	r->cleanup |= ev_now(loop) >= r->cleanup_at;
	if (r->cleanup)
		r->cleanup_at = ev_now(loop) + CLEANUP_S;
	r->call = ipc_call(daemon_peer(r->c->daemon, "raftd"), "Raft.Peers", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = ASK_TIMEOUT_MS, .flags = IPC_RESEND}, on_peers, r);
}

static void
on_member(void *ctx, const struct lan_member *m, enum member_status before)
{
	struct autopilot_run *r = ctx;

	(void)before;
	if (!r->running || (m != NULL && (!m->server || !m->local)))
		return;
	r->again = true;
	if (r->call == NULL && !r->acting && ev_timer_remaining(r->c->loop, &r->timer) > SOON_S)
		look_in(r, SOON_S);
}

/* ---- acting ---- */

static void
step_log(struct autopilot_run *r, const struct autopilot_step *step, const struct autopilot_known *s)
{
	const char *id = log_quote(s->id), *name = log_quote(s->name);
	unsigned suppressed;

	switch (step->action) {
	case AUTOPILOT_PROMOTE:
		log_info(MODULE, "Promoting server: id=%s address=%s name=%s", id, s->address, name);
		break;
	case AUTOPILOT_DEMOTE:
		log_warnx(MODULE, "Demoting server: id=%s address=%s name=%s reason=%s", id, s->address, name,
		    log_quote(step->why));
		break;
	case AUTOPILOT_REMOVE:
		log_info(MODULE, "Attempting removal of stale raft peer: id=%s address=%s", id, s->address);
		break;
	case AUTOPILOT_FORCE_LEAVE:
		log_info(
		    MODULE, "Attempting removal of failed server node: id=%s name=%s address=%s", id, name, s->address);
		break;
	case AUTOPILOT_KEEP:
		if (log_allowed(&r->kept, 6, &suppressed))
			log_debug(MODULE, "%s: id=%s name=%s suppressed=%u", step->why, id, name, suppressed);
		break;
	}
}

static void
step_end(struct autopilot_run *r, struct bytes error)
{
	const struct autopilot_known *s = &r->in.at[r->steps[r->step].server];

	if (error.size > 0)
		log_errorx(MODULE, "a server could not be looked after, trying again: id=%s name=%s error=%s",
		    log_quote(s->id), log_quote(s->name), log_quote_bytes(error));
	r->acting = false;
	r->step++;
	step_next(r);
}

static void
on_changed(void *ctx, const char *error)
{
	struct autopilot_run *r = ctx;

	if (r->running)
		step_end(r, error == NULL ? bytes_of(NULL, 0) : bytes_str(error));
}

static void
on_left(void *ctx, const struct ipc_answer *answer)
{
	struct autopilot_run *r = ctx;

	r->call = NULL;
	step_end(r, answer->status == IPC_OK ? bytes_of(NULL, 0) : answer->error);
}

static void
force_leave(struct autopilot_run *r, const struct autopilot_known *s)
{
	struct gossip_force_leave_request request = {.node = bytes_str(s->name)};
	struct buf args = BUF_INIT(4096);

	schema_encode(&gossip_force_leave_request_schema, &request, &args);
	r->call = ipc_call(daemon_peer(r->c->daemon, "gossipd"), "Gossip.ForceLeave", buf_bytes(&args),
	    &(struct ipc_call_options){.timeout_ms = STEP_TIMEOUT_MS}, on_left, r);
	buf_free(&args);
}

static void
change(struct autopilot_run *r, enum raft_members_op op, const struct autopilot_step *step,
    const struct autopilot_known *s)
{
	struct raft_members_change c = {.op = op, .reason = step->why};

	snprintf(c.id, sizeof c.id, "%s", s->id); /* it comes from the configuration: a UUID */
	raft_members_change(r->c->raft_members, &c, on_changed, r);
}

/* A new leader's first look comes before the others' first word. */
static bool
somebody_unheard(const struct autopilot_run *r)
{
	for (size_t i = 0; i < r->in.count; i++)
		if (r->in.at[i].peer && r->in.at[i].status == MEMBER_ALIVE && r->in.at[i].contact_ns < 0)
			return true;
	return false;
}

/* What is next; one step leads to the other, the last one to the next look. */
static void
step_next(struct autopilot_run *r)
{
	const struct autopilot_step *step;
	const struct autopilot_known *s;

	if (r->step == r->step_count) {
		look_in(r, r->again ? SOON_S : somebody_unheard(r) ? UNHEARD_S : LOOK_S);
		return;
	}
	step = &r->steps[r->step];
	s = &r->in.at[step->server];
	step_log(r, step, s);
	r->acting = true;
	switch (step->action) {
	case AUTOPILOT_PROMOTE:
		change(r, RAFT_MEMBERS_PROMOTE, step, s);
		break;
	case AUTOPILOT_DEMOTE:
		change(r, RAFT_MEMBERS_DEMOTE, step, s);
		break;
	case AUTOPILOT_REMOVE:
		change(r, RAFT_MEMBERS_REMOVE, step, s);
		break;
	case AUTOPILOT_FORCE_LEAVE:
		force_leave(r, s);
		break;
	case AUTOPILOT_KEEP:
		step_end(r, bytes_of(NULL, 0));
		break;
	}
}

/* ---- terms of office ---- */

static void
on_initial(void *ctx, const struct proposal_result *result)
{
	(void)ctx;
	if (result->outcome == PROPOSAL_APPLIED || result->outcome == PROPOSAL_NO_LEADER)
		return;
	log_errorx(
	    MODULE, "failed to initialize config: error=%s", log_quote(result->error == NULL ? "" : result->error));
}

static void
settings_begin(struct autopilot_run *r)
{
	struct store_txn *t = store_read(r->c->store);
	struct buf body = BUF_INIT(4096);
	struct autopilot_config config;

	if (t == NULL || autopilot_config_find(t, &config))
		return;
	config = autopilot_config_initial(daemon_conf(r->c->daemon));
	autopilot_config_body(&config, true, &body); /* ModifyIndex 0: only if there are none */
	(void)raftlog_propose(r->c->raftlog, APPLY_TYPE_AUTOPILOT, buf_bytes(&body), on_initial, NULL);
	buf_free(&body);
}

void
autopilot_run_start(struct autopilot_run *r)
{
	if (r->running)
		return;
	r->running = true;
	r->looks = 0;
	r->again = false;
	r->acting = r->cleanup = false;
	r->cleanup_at = ev_now(r->c->loop) + CLEANUP_S;
	r->won_index = store_state(r->c->store).applied_index - 1;
	autopilot_init(&r->view);
	settings_begin(r);
	look_in(r, 0.);
}

void
autopilot_run_stop(struct autopilot_run *r)
{
	if (!r->running)
		return;
	r->running = false;
	ev_timer_stop(r->c->loop, &r->timer);
	if (r->call != NULL)
		ipc_cancel(r->call);
	r->call = NULL;
}

const struct autopilot *
autopilot_run_view(const struct autopilot_run *r, const struct autopilot_input **in)
{
	*in = &r->in;
	return r->running && r->view.looked ? &r->view : NULL;
}

struct autopilot_run *
autopilot_run_new(struct catalogd *c)
{
	struct autopilot_run *r = xcalloc(1, sizeof *r);

	r->c = c;
	r->texts = region_new();
	ev_timer_init(&r->timer, on_timer, LOOK_S, 0.);
	r->timer.data = r;
	members_observe(c->members, on_member, r);
	return r;
}

void
autopilot_run_free(struct autopilot_run *r)
{
	if (r == NULL)
		return;
	autopilot_run_stop(r);
	region_free(r->texts);
	free(r);
}

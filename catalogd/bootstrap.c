/*
 * bootstrap.c - the beginning of a cluster by bootstrap_expect (contract: bootstrap.h; facts: behaviour.md 12.1; callers: main.c, catalogd.c)
 *
 * Each tells the life of its log (raft.h of raftd), by which it gets its vote: one that was here before and lost its log does not get it.
 *
 * That only one begins at first keeps servers that have seen different members from beginning different clusters: its first entry is on the others
 * before they would write one. Who can not be asked is not passed over, unlike in the reference: it may know of a cluster. Servers that failed do
 * not count.
 */
#include "bootstrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "mem.h"
#include "mp.h"
#include "raftlog.h"
#include "remote.h"
#include "rpcpool.h"

#define MODULE "agent.server"
#define RANK_S 5.       /* so much later than the one before it does a server begin by itself */
#define ASK_AGAIN_S 1.  /* doubled with each failure */
#define ASK_FAILURES 4u /* after so many it stays as it is */
#define TELL_AGAIN_S 1.
#define ACCUSED_MAX 64 /* of a member's name */
#define SERVERS_BYTES_MAX (RAFT_PEERS_MAX * 256)

/* ---- pure ---- */

static int
server_compare(const void *a, const void *b)
{
	return strcasecmp(((const struct bootstrap_server *)a)->id, ((const struct bootstrap_server *)b)->id);
}

enum bootstrap_verdict
bootstrap_judge(const struct members *members, int64_t expect, const char *own_id, struct bootstrap_plan *plan,
    const struct lan_member **culprit)
{
	bool found = false;

	plan->count = plan->rank = 0;
	*culprit = NULL;
	for (size_t i = 0; i < members_count(members); i++) {
		const struct lan_member *m = members_at(members, i);

		if (!raft_peers_eligible(m) || m->status != MEMBER_ALIVE)
			continue;
		if (m->expect != 0 && m->expect != expect) {
			*culprit = m;
			return BOOTSTRAP_CONFLICT;
		}
		if (m->bootstrap) {
			*culprit = m;
			return BOOTSTRAP_FLAGGED;
		}
		if (m->read_replica || plan->count == RAFT_PEERS_MAX)
			continue;
		memcpy(plan->at[plan->count].id, m->id, sizeof plan->at->id);
		plan->at[plan->count].life = 0;
		plan->at[plan->count++].rpc = m->rpc;
	}
	qsort(plan->at, plan->count, sizeof *plan->at, server_compare);
	for (size_t i = 0; i < plan->count; i++)
		if (strcasecmp(plan->at[i].id, own_id) == 0) {
			plan->rank = i;
			found = true;
		}
	return found && (int64_t)plan->count >= expect ? BOOTSTRAP_ENOUGH : BOOTSTRAP_FEW;
}

bool
bootstrap_plans_equal(const struct bootstrap_plan *a, const struct bootstrap_plan *b)
{
	char one[NET_ADDR_TEXT_MAX], other[NET_ADDR_TEXT_MAX];
	bool equal = a->count == b->count;

	for (size_t i = 0; equal && i < a->count; i++)
		equal = strcasecmp(a->at[i].id, b->at[i].id) == 0 &&
			strcmp(net_addr_text_port(&a->at[i].rpc, one), net_addr_text_port(&b->at[i].rpc, other)) == 0;
	return equal;
}

/* ---- the doing ---- */

enum step {
	STEP_WATCH, /* there are not enough */
	STEP_ASK,   /* one after the other whether it knows of a cluster */
	STEP_RANK,  /* those before us may begin */
	STEP_TELL,  /* raftd is told */
	STEP_OVER,  /* there is a cluster */
};

struct bootstrap {
	struct catalogd *c;
	int64_t expect;
	enum step step;
	struct bootstrap_plan plan;
	size_t asked;      /* of the plan: they know of none */
	bool peers_known;  /* the next one knows of none either, it is being asked for its life */
	bool waited;       /* those before us had their time */
	bool announced;    /* the attempt is logged */
	unsigned failures; /* of asking the next one */
	struct rpccall *ask;
	struct ipc_call *tell;
	struct ev_timer timer;
	char accused[ACCUSED_MAX]; /* the member that was logged last as hindering */
};

static void ask_next(struct bootstrap *b);

static const char *
own_id(const struct bootstrap *b)
{
	return conf_str(daemon_conf(b->c->daemon), "node_id", "");
}

static void
halt(struct bootstrap *b, enum step step)
{
	if (b->ask != NULL)
		rpcpool_cancel(b->ask);
	b->ask = NULL;
	if (b->tell != NULL)
		ipc_cancel(b->tell);
	b->tell = NULL;
	ev_timer_stop(b->c->loop, &b->timer);
	b->step = step;
}

static void
timer_set(struct bootstrap *b, double seconds)
{
	ev_timer_stop(b->c->loop, &b->timer);
	ev_timer_set(&b->timer, seconds, 0.);
	ev_timer_start(b->c->loop, &b->timer);
}

static void
announce(struct bootstrap *b)
{
	struct buf peers = BUF_INIT(SERVERS_BYTES_MAX);
	char text[NET_ADDR_TEXT_MAX];

	if (b->announced)
		return;
	b->announced = true;
	for (size_t i = 0; i < b->plan.count; i++)
		buf_printf(&peers, "%s%s", i == 0 ? "" : ",", net_addr_text_port(&b->plan.at[i].rpc, text));
	buf_put_u8(&peers, '\0');
	log_info(MODULE, "Found expected number of peers, attempting bootstrap: peers=%s", (const char *)peers.data);
	buf_free(&peers);
}

/* ---- telling raftd ---- */

static void
on_told(void *ctx, const struct ipc_answer *answer)
{
	struct bootstrap *b = ctx;

	b->tell = NULL;
	if (answer->status == IPC_OK) {
		halt(b, STEP_OVER);
		return;
	}
	/* That there is a log meanwhile shows in raftd's status. */
	if (!bytes_has_prefix(answer->error, bytes_str("bootstrap only works on new clusters")))
		log_errorx(MODULE, "Failed to bootstrap cluster: error=%s", log_quote_bytes(answer->error));
	timer_set(b, TELL_AGAIN_S);
}

static void
server_put(struct buf *out, const struct bootstrap_server *s)
{
	char text[NET_ADDR_TEXT_MAX];

	mp_put_map(out, 3);
	mp_put_kv_cstr(out, "ID", s->id);
	mp_put_kv_cstr(out, "Address", net_addr_text_port(&s->rpc, text));
	mp_put_kv_uint(out, "Life", s->life);
}

static void
tell(struct bootstrap *b)
{
	struct buf args = BUF_INIT(SERVERS_BYTES_MAX);

	b->step = STEP_TELL;
	mp_put_map(&args, 1);
	mp_put_cstr(&args, "Servers");
	mp_put_array(&args, (uint32_t)b->plan.count);
	for (size_t i = 0; i < b->plan.count; i++)
		server_put(&args, &b->plan.at[i]);
	b->tell = ipc_call(daemon_peer(b->c->daemon, "raftd"), "Raft.Bootstrap", buf_bytes(&args), NULL, on_told, b);
	buf_free(&args);
}

/* ---- asking the others ---- */

/* What the server says of its peers. true: it belongs to a cluster, there is nothing to begin. */
static bool
has_peers(struct bootstrap *b, struct bytes answer)
{
	struct mp in = mp_of(answer);
	char own[NET_ADDR_TEXT_MAX], text[NET_ADDR_TEXT_MAX];
	uint32_t count = mp_peek(&in) == MP_ARRAY ? mp_array(&in) : 0;
	bool ours = false;

	net_addr_text_port(&b->plan.at[b->plan.rank].rpc, own);
	for (uint32_t i = 0; i < count; i++)
		ours |= bytes_is(mp_str(&in), own);
	if (count == 0)
		return false;
	if (ours) /* one that was asked earlier has begun with us */
		announce(b);
	else
		log_info(MODULE, "Existing Raft peers reported by server, disabling bootstrap mode: server=%s",
		    net_addr_text_port(&b->plan.at[b->asked].rpc, text));
	return true;
}

static void
on_asked(void *ctx, const struct rpc_result *result)
{
	struct bootstrap *b = ctx;
	char text[NET_ADDR_TEXT_MAX];
	double pause_s = ASK_AGAIN_S * (double)(1u << MIN(b->failures, ASK_FAILURES));

	b->ask = NULL;
	if (result->outcome != RPC_ANSWERED || result->error.size > 0) {
		b->failures++;
		log_errorx(MODULE,
		    "Failed to confirm peer status for server (will retry).: server=%s nextRetry=%gs error=%s",
		    net_addr_text_port(&b->plan.at[b->asked].rpc, text), pause_s, log_quote_bytes(result->error));
		timer_set(b, pause_s);
	} else if (!b->peers_known && has_peers(b, result->body)) {
		halt(b, STEP_OVER);
	} else if (!b->peers_known) {
		b->peers_known = true; /* none; and which life has its log? */
		ask_next(b);
	} else {
		b->plan.at[b->asked].life = mp_find_uint(result->body, "Life");
		b->failures = 0;
		b->peers_known = false;
		b->asked++;
		ask_next(b);
	}
}

static void
all_asked(struct bootstrap *b)
{
	announce(b);
	if (b->plan.rank == 0 || b->waited) {
		tell(b);
		return;
	}
	b->step = STEP_RANK;
	timer_set(b, RANK_S * (double)b->plan.rank);
}

static void
ask_next(struct bootstrap *b)
{
	struct buf args = BUF_INIT(256);

	b->step = STEP_ASK;
	b->asked += b->asked == b->plan.rank;
	if (b->asked >= b->plan.count) {
		all_asked(b);
		return;
	}
	mp_put_map(&args, 1);
	mp_put_kv_cstr(&args, "Datacenter", b->c->datacenter);
	b->ask = rpcpool_call(remote_pool(b->c->remote), &b->plan.at[b->asked].rpc,
	    b->peers_known ? "Status.RaftStats" : "Status.Peers", buf_bytes(&args), false, on_asked, b);
	buf_free(&args);
	if (b->ask == NULL)
		timer_set(b, ASK_AGAIN_S);
}

static void
ask_all(struct bootstrap *b)
{
	b->asked = 0;
	b->failures = 0;
	b->peers_known = false;
	ask_next(b);
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct bootstrap *b = w->data;

	(void)loop, (void)events;
	if (b->step == STEP_ASK)
		ask_next(b);
	else {
		b->waited = true;
		ask_all(b); /* what they knew of may have changed meanwhile */
	}
}

/* ---- watching ---- */

static void
accuse(struct bootstrap *b, const struct lan_member *m, const char *text)
{
	char name[ACCUSED_MAX];

	snprintf(name, sizeof name, "%.*s", (int)sizeof name - 1, m->name);
	if (strcmp(b->accused, name) == 0)
		return;
	memcpy(b->accused, name, sizeof b->accused);
	log_errorx(MODULE, "%s: member=%s", text, log_quote(m->name));
}

static void
consider(struct bootstrap *b)
{
	const struct raftlog_status *status = raftlog_status(b->c->raftlog);
	struct bootstrap_plan plan;
	const struct lan_member *culprit;

	if (b->step == STEP_OVER || !status->connected || !members_synced(b->c->members))
		return;
	if (status->last_index > 0) {
		if (b->step != STEP_WATCH) /* another one of the plan was first */
			announce(b);
		else
			log_info(MODULE, "Raft data found, disabling bootstrap mode");
		halt(b, STEP_OVER);
		return;
	}
	switch (bootstrap_judge(b->c->members, b->expect, own_id(b), &plan, &culprit)) {
	case BOOTSTRAP_CONFLICT:
		accuse(b, culprit, "Member has a conflicting expect value. All nodes should expect the same number.");
		break;
	case BOOTSTRAP_FLAGGED:
		accuse(b, culprit, "Member has bootstrap mode. Expect disabled.");
		break;
	case BOOTSTRAP_FEW:
		b->accused[0] = '\0';
		break;
	case BOOTSTRAP_ENOUGH:
		if (b->step != STEP_WATCH && bootstrap_plans_equal(&plan, &b->plan))
			return;
		halt(b, STEP_ASK);
		b->plan = plan;
		b->waited = b->announced = false;
		ask_all(b);
		return;
	}
	halt(b, STEP_WATCH);
}

void
bootstrap_raft_changed(struct bootstrap *b)
{
	if (b != NULL)
		consider(b);
}

static void
on_member(void *ctx, const struct lan_member *m, enum member_status before)
{
	(void)before;
	if (m == NULL || m->server)
		consider(ctx);
}

struct bootstrap *
bootstrap_new(struct catalogd *c)
{
	int64_t expect = conf_int(daemon_conf(c->daemon), "bootstrap_expect", 0);
	struct bootstrap *b;

	if (expect <= 1)
		return NULL;
	b = xcalloc(1, sizeof *b);
	b->c = c;
	b->expect = expect;
	ev_init(&b->timer, on_timer);
	b->timer.data = b;
	members_observe(c->members, on_member, b);
	return b;
}

void
bootstrap_free(struct bootstrap *b)
{
	if (b == NULL)
		return;
	halt(b, STEP_OVER);
	free(b);
}

/*
 * reconcile.c - the leader keeps the catalog and the LAN members in step (contract: reconcile.h; facts: behaviour.md 10; caller: leader.c)
 *
 * Of each name one entry at most is under way: what happens to the member meanwhile is judged when that is applied, by what the catalog has
 * then. An entry that is refused is tried again by the next round.
 *
 * Nodes that are no members are removed by the second round of a term and later: gossip has had that long to find them.
 */
#include "reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "hash.h"
#include "log.h"
#include "mem.h"
#include "member_record.h"
#include "members.h"
#include "nodes.h"
#include "raftlog.h"
#include "ring.h"
#include "store.h"
#include "structs.h"

#define MODULE "agent.server"
#define ROUND_S 60.
#define STEP_S 0.02
#define STEP_COUNT 200u /* members, or nodes, that are looked at in one step */
#define HASH_SEED 11

/* An entry for this name is proposed. */
struct flight {
	struct hash_node by_name;
	struct reconcile *reconcile;
	char *name;
	bool again; /* the member has changed since */
};

/* Where the round is. */
enum stage { STAGE_MEMBERS, STAGE_NODES };

struct reconcile {
	struct catalogd *c;
	bool running;
	unsigned rounds; /* whole ones in this term */
	struct ev_timer timer;
	enum stage stage;
	size_t member;   /* the next one */
	struct buf node; /* the last one that was looked at, its key */
	struct hash_table flights;
	struct region *region; /* of the member at hand */
};

/* ---- one member ---- */

static struct flight *
flight_find(const struct reconcile *r, struct bytes name)
{
	for (struct hash_node *h = hash_first(&r->flights, hash_bytes(HASH_SEED, name)); h != NULL; h = hash_next(h)) {
		struct flight *f = RING_ENTRY(h, struct flight, by_name);

		if (bytes_equal(bytes_str(f->name), name))
			return f;
	}
	return NULL;
}

static void
flight_free(struct flight *f)
{
	hash_remove(&f->reconcile->flights, &f->by_name);
	free(f->name);
	free(f);
}

static void look_at_name(struct reconcile *r, struct bytes name);

static void
on_applied(void *ctx, const struct proposal_result *result)
{
	struct flight *f = ctx;
	struct reconcile *r = f->reconcile;
	char *name = f->name;
	bool again = f->again;

	f->name = NULL;
	/* Of an outcome that is not known the next leader, or round, sees what it was. */
	if (r->running && result->outcome != PROPOSAL_APPLIED && result->outcome != PROPOSAL_UNKNOWN &&
	    result->outcome != PROPOSAL_NO_LEADER)
		log_errorx(MODULE, "failed to reconcile member: member=%s error=%s", log_quote(name),
		    log_quote(result->error == NULL ? "" : result->error));
	hash_remove(&r->flights, &f->by_name);
	free(f);
	if (again)
		look_at_name(r, bytes_str(name));
	free(name);
}

static void
action_log(const struct member_record *w, enum member_action action, enum member_status status)
{
	const char *name = log_quote_bytes(w->name);

	if (action == MEMBER_TO_PASSING)
		log_info(MODULE, "member joined, marking health alive: member=%s partition=default", name);
	else if (action == MEMBER_TO_CRITICAL)
		log_info(MODULE, "member failed, marking health critical: member=%s partition=default", name);
	else
		log_info(MODULE, "deregistering member: member=%s partition=default reason=%s", name,
		    status == MEMBER_LEFT ? "left" : "reaped");
}

/* news: it has just come to be so. */
static void
look_at(struct reconcile *r, const struct member_record *w, enum member_status status, bool news)
{
	struct store_txn *t = store_read(r->c->store);
	struct flight *f = flight_find(r, w->name);
	struct buf body = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	enum member_action action;
	enum apply_type type;

	if (f != NULL) {
		f->again = true;
		return;
	}
	if (t == NULL)
		return;
	action = member_record_judge(t, w, status);
	if (action == MEMBER_UNKNOWN && news)
		log_info(MODULE,
		    "ignoring failed event for member because it does not exist in the catalog: member=%s "
		    "partition=default",
		    log_quote_bytes(w->name));
	if (action == MEMBER_UNKNOWN || action == MEMBER_IS_SO)
		return;
	action_log(w, action, status);
	type = member_record_entry(t, w, action, r->c->datacenter, r->region, &body);
	f = xcalloc(1, sizeof *f);
	f->reconcile = r;
	f->name = bytes_dup(w->name);
	f->by_name.hash = hash_bytes(HASH_SEED, w->name);
	hash_insert(&r->flights, &f->by_name);
	(void)raftlog_propose(r->c->raftlog, type, buf_bytes(&body), on_applied, f);
	buf_free(&body);
}

static void
look_at_own_node(struct reconcile *r)
{
	struct member_record w;

	region_reset(r->region);
	w = member_record_own(r->c, r->region);
	look_at(r, &w, MEMBER_ALIVE, false);
}

static bool
is_own(const struct reconcile *r, struct bytes name)
{
	return bytes_equal_fold(name, bytes_str(r->c->node_name));
}

static void
look_at_member(struct reconcile *r, const struct lan_member *m, bool news)
{
	struct member_record w;

	if (is_own(r, bytes_str(m->name))) {
		/* a leader that leaves is removed by the next one */
		if (m->status == MEMBER_LEFT && news)
			log_warnx(MODULE, "deregistering self should be done by follower: name=%s partition=default",
			    log_quote(m->name));
		return;
	}
	if (!member_record_is_due(m))
		return;
	region_reset(r->region);
	w = member_record_of(m, r->region);
	look_at(r, &w, m->status, news);
}

/* The node of this name is known to no member. */
static void
look_at_orphan(struct reconcile *r, struct bytes name)
{
	struct member_record w = {.name = name};

	if (!is_own(r, name))
		look_at(r, &w, MEMBER_NONE, false);
}

static void
look_at_name(struct reconcile *r, struct bytes name)
{
	const struct lan_member *m = members_find(r->c->members, name);

	if (!r->running)
		return;
	if (is_own(r, name))
		look_at_own_node(r);
	else if (m != NULL)
		look_at_member(r, m, false);
	else
		look_at_orphan(r, name);
}

static void
on_member(void *ctx, const struct lan_member *m, enum member_status before)
{
	struct reconcile *r = ctx;

	(void)before;
	if (r->running && m != NULL)
		look_at_member(r, m, true);
}

/* ---- the round ---- */

static void
timer_set(struct reconcile *r, double seconds)
{
	ev_timer_stop(r->c->loop, &r->timer);
	ev_timer_set(&r->timer, seconds, 0.);
	ev_timer_start(r->c->loop, &r->timer);
}

struct orphans {
	const struct reconcile *reconcile;
	struct store_txn *txn;
	char *names[STEP_COUNT];
	size_t count;
};

static void
on_node(void *ctx, const struct node *node)
{
	struct orphans *o = ctx;

	if (member_record_is_orphan(o->txn, o->reconcile->c->members, node->node))
		o->names[o->count++] = bytes_dup(node->node);
}

/* false: there are no more nodes. */
static bool
nodes_step(struct reconcile *r)
{
	struct orphans o = {.reconcile = r, .txn = store_read(r->c->store)};
	bool more = o.txn != NULL && nodes_each(o.txn, &r->node, STEP_COUNT, on_node, &o);

	for (size_t i = 0; i < o.count; i++) {
		look_at_orphan(r, bytes_str(o.names[i]));
		free(o.names[i]);
	}
	return more;
}

static void
on_step(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct reconcile *r = w->data;
	bool more = true;

	(void)loop, (void)events;
	if (r->stage == STAGE_MEMBERS) {
		/* one whose place changes meanwhile is passed over: its change was looked at, or the next round finds it */
		for (unsigned i = 0; i < STEP_COUNT && r->member < members_count(r->c->members); i++)
			look_at_member(r, members_at(r->c->members, r->member++), false);
		if (r->member >= members_count(r->c->members)) {
			r->stage = STAGE_NODES;
			buf_clear(&r->node);
			more = r->rounds > 0 && members_synced(r->c->members);
		}
	} else
		more = nodes_step(r);
	if (more) {
		timer_set(r, STEP_S);
		return;
	}
	r->rounds++;
	r->stage = STAGE_MEMBERS;
	r->member = 0;
	timer_set(r, ROUND_S);
}

/* ---- terms of office ---- */

void
reconcile_start(struct reconcile *r)
{
	r->running = true;
	r->rounds = 0;
	r->stage = STAGE_MEMBERS;
	r->member = 0;
	look_at_own_node(r);
	timer_set(r, STEP_S);
}

void
reconcile_stop(struct reconcile *r)
{
	r->running = false;
	ev_timer_stop(r->c->loop, &r->timer);
}

struct reconcile *
reconcile_new(struct catalogd *c)
{
	struct reconcile *r = xcalloc(1, sizeof *r);

	r->c = c;
	r->region = region_new();
	buf_init(&r->node, NODES_KEY_BYTES_MAX);
	ev_init(&r->timer, on_step);
	r->timer.data = r;
	members_observe(c->members, on_member, r);
	return r;
}

void
reconcile_free(struct reconcile *r)
{
	if (r == NULL)
		return;
	reconcile_stop(r);
	for (size_t i = 0; i < r->flights.size; i++)
		while (r->flights.buckets[i] != NULL)
			flight_free(RING_ENTRY(r->flights.buckets[i], struct flight, by_name));
	hash_free(&r->flights);
	buf_free(&r->node);
	region_free(r->region);
	free(r);
}

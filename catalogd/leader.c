/*
 * leader.c - what the leader does by itself (contract: leader.h; facts: behaviour.md 10 and 15; callers: main.c, catalogd.c)
 */
#include "leader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gossip.h"
#include "kv.h"
#include "log.h"
#include "mem.h"
#include "raftlog.h"
#include "reconcile.h"
#include "store.h"

#define MODULE "agent.server"
#define REAP_S 30.             /* tombstone_ttl_granularity */
#define TOMBSTONE_AGE_TICKS 30 /* of REAP_S: tombstone_ttl, 15 min */

struct leader {
	struct catalogd *c;
	bool running;
	struct reconcile *reconcile;
	struct ev_timer reap;
	uint64_t seen[TOMBSTONE_AGE_TICKS]; /* applied index at each of the last ticks */
	size_t tick;
};

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
	reconcile_start(l->reconcile);
}

void
leader_stop(struct leader *l)
{
	if (!l->running)
		return;
	l->running = false;
	log_info(MODULE, "cluster leadership lost");
	ev_timer_stop(l->c->loop, &l->reap);
	reconcile_stop(l->reconcile);
}

struct leader *
leader_new(struct catalogd *c)
{
	struct leader *l = xcalloc(1, sizeof *l);

	l->c = c;
	l->reconcile = reconcile_new(c);
	ev_timer_init(&l->reap, on_reap, REAP_S, REAP_S);
	l->reap.data = l;
	return l;
}

void
leader_free(struct leader *l)
{
	if (l == NULL)
		return;
	ev_timer_stop(l->c->loop, &l->reap);
	reconcile_free(l->reconcile);
	free(l);
}

/*
 * bootstrap.h - the beginning of a cluster by bootstrap_expect: so many servers have found each other, and none of them belongs to one
 *
 * Every server with bootstrap_expect > 1 and an empty log watches the members. Are there enough, each is asked by RPC whether it knows a
 * cluster already; if none does, the one with the lowest node ID tells its raftd to begin with all of them, the others wait to be told by that
 * one's raftd, and do it themselves, in the order of their IDs, if nothing comes.
 */
#ifndef CATALOGD_BOOTSTRAP_H
#define CATALOGD_BOOTSTRAP_H

#include "catalogd.h"
#include "members.h"
#include "raft_peers.h"

/* ---- pure ---- */

struct bootstrap_server {
	char id[UUID_TEXT_SIZE];
	union net_addr rpc;
	uint64_t life; /* of its raftd's log, once it was asked; 0: not known */
};

/* Who would begin the cluster, in the order of the node IDs. */
struct bootstrap_plan {
	size_t count, rank; /* rank: our place in it */
	struct bootstrap_server at[RAFT_PEERS_MAX];
};

enum bootstrap_verdict {
	BOOTSTRAP_FEW,      /* not enough servers are known to be alive */
	BOOTSTRAP_CONFLICT, /* *culprit expects another number */
	BOOTSTRAP_FLAGGED,  /* *culprit begins, or has begun, a cluster alone */
	BOOTSTRAP_ENOUGH,   /* plan is set */
};

/* What the members say. expect: > 1; own_id: our node ID. */
enum bootstrap_verdict bootstrap_judge(const struct members *members, int64_t expect, const char *own_id,
    struct bootstrap_plan *plan, const struct lan_member **culprit);
bool bootstrap_plans_equal(const struct bootstrap_plan *a, const struct bootstrap_plan *b);

/* ---- the doing ---- */

struct bootstrap;

/* NULL: the configuration expects no other servers. */
MUST_USE struct bootstrap *bootstrap_new(struct catalogd *c);
void bootstrap_free(struct bootstrap *b); /* b may be NULL */
/* raftd has told its status. */
void bootstrap_raft_changed(struct bootstrap *b); /* b may be NULL */

#endif

/*
 * raft_members.h - which servers belong to the cluster: the leader adds those that join, and removes those that leave
 *
 * One change at a time: each is committed before the next one is thought of. What others of this process want to have changed
 * (operators, dead servers) stands in the same queue.
 */
#ifndef CATALOGD_RAFT_MEMBERS_H
#define CATALOGD_RAFT_MEMBERS_H

#include "catalogd.h"
#include "members.h"
#include "raft_peers.h"

enum raft_members_op {
	RAFT_MEMBERS_ADD, /* without a vote; also gives a member another address */
	RAFT_MEMBERS_PROMOTE,
	RAFT_MEMBERS_DEMOTE,
	RAFT_MEMBERS_REMOVE,
};

struct raft_members_change {
	enum raft_members_op op;
	char id[UUID_TEXT_SIZE];
	char address[NET_ADDR_TEXT_MAX]; /* RAFT_MEMBERS_ADD: with port */
	const char *reason;              /* static, for the log */
};

/* ---- pure ---- */

struct raft_members_judgement {
	bool wanted; /* change is set */
	struct raft_members_change change;
	/* NULL, or a server that is not added: it was told to begin a cluster alone, as *other was */
	const struct lan_member *twice, *other;
	const struct lan_member *crowded; /* NULL, or one whose place another one has, which can not be removed */
};

/* Servers that somebody has removed: they are not added again for a while, though they are alive. */
struct raft_members_removed {
	size_t count;
	struct {
		char id[UUID_TEXT_SIZE];
		double until;
	} at[RAFT_PEERS_MAX];
};

/*
 * The next change that the members call for. Left: removed. Another node at the address of a server that is no more: removed, unless that endangers the
 * quorum. Alive and not in the configuration: added without a vote, unless it was removed; it gets the vote by autopilot. In the configuration
 * with another address: added again, which changes that alone.
 */
void raft_members_judge(const struct raft_peers *peers, const struct members *members,
    const struct raft_members_removed *removed, const char *own_id, struct raft_members_judgement *out);

/* ---- the doing ---- */

struct raft_members;

MUST_USE struct raft_members *raft_members_new(struct catalogd *c);
void raft_members_free(struct raft_members *r); /* r may be NULL */
/* This node leads, or no longer. */
void raft_members_start(struct raft_members *r);
void raft_members_stop(struct raft_members *r);

#define RAFT_MEMBERS_QUEUE_MAX 16
#define RAFT_MEMBERS_ERROR_MAX 256

/* error: NULL: it is committed. */
typedef void raft_members_done(void *ctx, const char *error);
/*
 * Asks for a change behind those that were asked for before. A server that is removed so is not added again within a minute, unless it joins
 * anew. done comes once, perhaps before this returns (not leader, too many wait).
 */
void raft_members_change(
    struct raft_members *r, const struct raft_members_change *change, raft_members_done *done, void *ctx);
/* The configuration as it was at the last look, at most some seconds ago; count 0: this node does not lead, or has not looked yet. */
const struct raft_peers *raft_members_peers(const struct raft_members *r);

#endif

/*
 * node_internal.h - what node.c, node_open.c and node_lead.c share; else only their test includes it
 */
#ifndef RAFTD_NODE_INTERNAL_H
#define RAFTD_NODE_INTERNAL_H

#include "node.h"
#include "syncer.h"

#define MODULE "agent.server.raft"

#define ELECTION_TICKS 10
#define HEARTBEAT_TICKS 2
#define LEASE_TICKS 8u

struct node_configuration {
	uint64_t index;
	struct configuration content;
};

struct node {
	struct ev_loop *loop;
	const struct node_ops *ops;
	void *ctx;
	int raft_dir, log_dir;
	char *raft_path, *log_path;
	struct wal *wal;
	struct raft *raft;
	struct tail *tail;
	struct syncer *syncer; /* NULL: no syncs (development) */
	struct snapshots *snapshots;
	bool dev;

	struct raft_id self;
	char id_text[UUID_TEXT_SIZE], address[MEMBER_ADDRESS_MAX], log_id[UUID_TEXT_SIZE];
	/* Those that the core has, ascending by index; none: this server belongs to no cluster. */
	struct node_configuration *configurations;
	size_t configuration_count;
	bool fresh; /* the log was made in this start */
	int64_t tick_ns;
	bool served;           /* somebody is there who applies */
	uint32_t silent_ticks; /* since it answered; counted while there are other voters */
	uint32_t ping_ticks;

	struct ev_prepare prepare;
	struct ev_timer tick, mark, space, slow, snapshot_timer;
	uint64_t synced_segment; /* the sync helper has this one's descriptor */
	ev_tstamp sync_begun;
	bool syncing_mark; /* what is being synced is a mark, nobody's save */
	bool slow_told;
	size_t pending_bytes; /* data of entries that are not handed to a save */
	bool no_space, write_blocked;
	char space_error[256];
	enum raft_role role_told;
	uint64_t term_told;

	uint64_t snapshot_threshold, trailing_logs;
	int64_t snapshot_interval_ns;
	ev_tstamp snapshot_due, snapshot_retry; /* the threshold is looked at; not before this after a failure */
	uint64_t snapshot_bytes;                /* data committed since the last one */
	/* How long the entries behind the snapshot would be applied again: what it took the first time. */
	uint64_t replay_ns, replay_ns_wanted; /* the second: when the snapshot under way was asked for */
	uint64_t applied_ns;                  /* node_applied's last total; UINT64_MAX: none yet */
	bool snapshotting;
};

/* ---- node.c ---- */

/* Starts the loop's hooks. */
void node_watch(struct node *n);
void node_unwatch(struct node *n);
/* Tells role and term if they are others than the ones told last. */
void node_log_role(struct node *n);
/* The sync helper's callback. */
void node_synced(void *ctx, int error);
/* The latest configuration with an index up to limit; NULL: none. */
const struct node_configuration *node_configuration_at(const struct node *n, uint64_t limit);
/* The core learns what time it is: before whatever of it asks for that. */
void node_time(struct node *n);
/* The newest snapshot is another one: what followers behind the log's base are sent. */
void node_snapshot_tell(struct node *n);
/* Of the newest snapshot; 0: there is none. */
uint64_t node_snapshot_index(const struct node *n);
bool node_is_space_error(int error);

/* ---- node_lead.c ---- */

/* Each tick. */
void node_lead_tick(struct node *n);

#endif

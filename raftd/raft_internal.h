/*
 * raft_internal.h - what the parts of Raft's core share; nobody else includes it
 *
 *	raft.c            queues, roles, elections, ticks, saves, state
 *	raft_follow.c     what a leader sends: entries, snapshots
 *	raft_replicate.c  the leader: how far each follower is, what it is sent, what is committed, handing over
 *	raft_lease.c      rounds, the lease, promises, reads
 *	raft_members.c    configurations, and who counts by them
 *
 * Invariants: base <= commit <= last (a follower's commit may pass stable); stable <= handed <= last, stable == handed while no save is under
 * way; role LEADER or CANDIDATE implies vote == self; a leader never cuts its log; there is always a configuration (perhaps an
 * empty one), and all but the last are committed.
 */
#ifndef RAFTD_RAFT_INTERNAL_H
#define RAFTD_RAFT_INTERNAL_H

#include "raft.h"

/* Known mistakes, planted by the test of the simulator, which compiles the core itself (test/sim/raftd_planted_sim.c); none in any other build. */
#ifdef RAFT_PLANTS
#define PLANTED(mistake) (raft_planted == (mistake))
#else
#define PLANTED(mistake) false
#endif

/* One APPEND with entries under way. */
struct inflight {
	uint64_t last; /* index */
	uint64_t bytes;
};

/* A snapshot under way to a follower. */
struct sending {
	uint64_t index, term, size;
	uint64_t kept, next; /* offsets: kept there; of the next chunk */
	uint64_t kept_round; /* of the word that said so */
	uint32_t elapsed;    /* ticks without progress */
};

/* One member, as a candidate or a leader sees it. */
struct progress {
	struct raft_id id;
	bool voter;    /* of the latest configuration */
	uint64_t due;  /* the life that has the vote */
	bool heard;    /* it has answered us, as leader: */
	uint64_t life; /* as this one */
	enum raft_progress_state state;
	uint64_t match, next;
	bool paused;          /* PROBE: the one is under way; SENDING: wait for the next heartbeat */
	bool granted;         /* to the candidate that we are, or would be */
	bool answered;        /* that candidate */
	uint32_t heard_ticks; /* since it was heard of */
	uint64_t round;       /* the latest of ours that it answered */
	/* REPLICATE: a ring of inflight_max, allocated when it is needed */
	struct inflight *inflight;
	uint32_t inflight_first, inflight_count;
	uint64_t inflight_bytes;
	struct sending sending;
};

/* A snapshot that comes from the leader of a term; leader_term 0: none. */
struct incoming {
	uint64_t leader_term;
	struct raft_id from;
	uint64_t index, term, size;
	uint64_t taken, kept; /* offsets: chunks handed to the shell; kept by it (never size: that is 'installed') */
	uint64_t round;       /* the latest heard */
};

struct held_message {
	struct raft_message message;
	uint64_t save; /* goes out when this save is done */
};

struct queue {
	struct held_message *items;
	size_t first, count, size; /* a ring, size a power of two */
};

struct raft {
	struct raft_id self;
	uint64_t life;
	struct raft_configuration configurations[RAFT_CONFIGURATIONS_MAX]; /* ascending by index */
	size_t configuration_count;                                        /* at least 1 */
	/*
	 * The latest configuration's; for a leader also those that it removes, as long as it is not committed: so they learn of it. Pointers into
	 * it do not outlive members_rebuild().
	 */
	struct progress *members;
	size_t member_count, voter_count;
	struct progress *own; /* in members, or NULL */

	uint32_t election_ticks, heartbeat_ticks, inflight_max, entries_max;
	uint64_t append_bytes_max, inflight_bytes_max, chunk_bytes, window_bytes;
	uint32_t (*entry_bytes)(void *ctx, uint64_t index);
	void *entry_ctx;
	uint64_t (*random)(void *ctx, uint64_t below);
	void *random_ctx;
	bool may_campaign;

	enum raft_role role;
	struct raft_hard hard;
	struct raft_id leader;
	struct terms log;
	uint64_t commit;
	uint32_t elapsed, timeout; /* ticks */
	uint64_t noop;
	bool prevoting; /* a follower asks whether it would be elected */

	uint64_t now, round;             /* our clock; the round that APPENDs belong to (a time of that clock) */
	uint64_t lease_ns, lease_max_ns; /* 0: no lease */
	uint64_t promise;                /* no vote before this time */
	uint64_t term_first;             /* leader: its first entry */
	bool lease_given_up;             /* for the rest of the term */
	struct raft_id transferee;       /* leadership shall go to it */
	uint32_t transfer_elapsed;
	bool transfer_sent;
	bool append_wanted; /* entries or a commit index that the followers do not know */

	uint64_t tick_ns, ticked_at; /* 0: jumps are not looked for; the clock at the last tick */
	bool shell_stalled;

	uint64_t snapshot_index, snapshot_term, snapshot_size; /* our newest; 0: none */
	struct incoming incoming;

	bool hard_dirty;
	uint64_t handed; /* entries up to here were given to a save */
	uint64_t stable;
	bool saving;
	uint32_t saving_ticks;
	uint64_t saves_begun, saves_done;
	uint64_t saving_last;
	struct raft_hard saving_hard;

	struct queue direct, held;
	uint64_t refused;
	uint64_t *values;       /* scratch, one for each member */
	struct terms_run *runs; /* scratch: runs of the message handed out last */
	size_t runs_size;
};

/* ---- raft.c ---- */

void raft_follow(struct raft *r, uint64_t term, struct raft_id leader);
/* The sender and its term are set here. Now: for what a leader says of its log in its term. */
void raft_send_now(struct raft *r, struct raft_message *m);
/* For messages that speak of our state: they wait until all of it is durable. */
void raft_send_durable(struct raft *r, struct raft_message *m);
/* Never falls. */
void raft_commit_to(struct raft *r, uint64_t index);

/* ---- raft_follow.c ---- */

void follow_append(struct raft *r, const struct raft_message *m, struct raft_accepted *accepted);
void follow_snapshot(struct raft *r, const struct raft_message *m, struct raft_accepted *accepted);

/* ---- raft_replicate.c ---- */

/* As a new leader sees a member. */
void replicate_reset(const struct raft *r, struct progress *p);
/* What each follower lacks, as far as its state allows; if that is nothing, an empty APPEND (commit index, heartbeat). */
void replicate_feed_all(struct raft *r);
void replicate_append_reply(struct raft *r, const struct raft_message *m);
void replicate_snapshot_reply(struct raft *r, const struct raft_message *m);
void replicate_commit(struct raft *r);
/* One tick of a leader. */
void replicate_tick(struct raft *r);

/* ---- raft_lease.c ---- */

/* Whatever is sent from now on belongs to a new round. */
void lease_round_begin(struct raft *r);
/* A leader's lease may be running: no vote for anybody. */
bool lease_promised(const struct raft *r);
void lease_promise(struct raft *r, uint64_t lease_ns);

/* ---- raft_members.c ---- */

void members_init(struct raft *r, const struct raft_configuration *configurations, size_t count);
struct progress *members_find(const struct raft *r, struct raft_id id);
/* After a change of the latest configuration, its commit, or the role. */
void members_rebuild(struct raft *r);
/* Those whom the latest configuration removes were sent the commit index; if it is committed, they need not be told any more. */
void members_prune(struct raft *r);
/* The value that most voters have at least; others' are not asked for. */
uint64_t members_quorum(const struct raft *r, uint64_t (*value)(const struct raft *r, const struct progress *p));
/* The configurations in a message make sense in themselves. */
bool members_sane(const struct raft_message *m);
/* The log was cut at first, and then has the message's entries from there. */
void members_take(struct raft *r, const struct raft_message *m, uint64_t first);
/* A snapshot up to index has come, and this is its latest configuration. */
void members_install(struct raft *r, uint64_t index, const struct raft_configuration *configuration, bool tail_kept);
/* What is known to be committed has grown. */
void members_trim(struct raft *r);
/* A voter that is another one now than the one that the vote was given to. */
bool members_blank(const struct raft *r, const struct progress *p);
/* We are the only voter: nobody else's word is needed. */
bool members_alone(const struct raft *r);
/* By configuration. */
bool members_may_stand(const struct raft *r);
/* A leader that the committed latest configuration does not have as a voter. */
bool members_removed(const struct raft *r);
bool members_pending(const struct raft *r); /* the latest configuration is not known to be committed */

#endif

/*
 * raft.h - Raft as a pure state machine: messages, ticks and completions in; effects out
 *
 * No clock, no file, no socket and no randomness of its own is in it. It does not see what entries say either: it knows their indexes and
 * terms, the shell keeps their content and attaches it to messages. (Source of the algorithm: Ongaro, "Consensus:
 * Bridging Theory and Practice", 2014, chapters 3 and 10.)
 *
 * The shell's duty, after each call that takes a non-const struct raft:
 *   - raft_noop() tells of an entry that Raft itself appended (type no-op, empty, of the term that raft_log() says);
 *   - entries that the call appended by raft_step are those in struct raft_accepted, cut from the message it gave; a chunk of a
 *     snapshot that it takes is written, and reported by one of the raft_snapshot_ calls;
 *   - while no save is under way and raft_save_begin() says so: write hard state and entries as one batch, make it durable, then
 *     raft_save_done(); on failure with nothing kept raft_save_failed();
 *   - send what raft_message() hands out, and deliver entries up to MIN(raft_commit(), raft_stable()).
 *
 * Promise: raft_message() never hands out a message whose content depends on something that is not durable yet.
 * All memory is bounded: messages queue up to RAFT_MESSAGES_MAX, more are dropped (Raft takes that as loss).
 *
 * Elections: whoever misses the leader first asks whether it would be elected (pre-vote), so that a server that comes back does not
 * disturb; a leader that hears from no quorum for election_ticks steps back.
 *
 * Reads: each APPEND carries its round, a time of the leader's clock at which, or after which, it was sent; answers repeat it.
 * While now < round that a quorum answered + lease, no other leader can be: who answered grants no vote (its own and in a
 * pre-vote included) before its own clock has advanced by lease and drift bound since it heard; a restarted member waits out
 * the longest lease allowed. The lease is given up for the rest of the term before a TIMEOUT_NOW is handed out, whose
 * candidate alone is voted for inside the promise. What the lease needs of the clock is its speed, not its time of day.
 *
 * Membership: one voter is added or removed at a time, non-voters freely. A member uses the latest configuration in its log, committed or
 * not, and returns to the one before when that entry is cut off; only voters of that configuration count, for elections, commits,
 * rounds and leases alike. A leader changes nothing before an entry of its own term is committed, and nothing while the latest
 * configuration is not (Ongaro's correction of 2015): so all configurations in a log but its last are committed. Who is not a voter
 * does not stand, but for a server that the latest, not yet committed configuration removes: without its log there might be no leader.
 *
 * Lives: a voter that has lost its log has forgotten whom it voted for and what it acknowledged; as the voter that it was it is as good as dead. So
 * each server whose log began empty has a life, a random number that goes with the log, and has a vote only where the configuration gives
 * it to that life (0: a server that began together with the cluster). Who asks for a vote says which life it counts on, and
 * another one refuses; an answer says whose it is, and that of another life counts for nothing. Such a voter gets its vote back as a
 * new server would: the others, a majority without it, take the vote, and give one to its present life.
 *
 * Snapshots: a follower that needs entries before the log's base gets the leader's newest snapshot in chunks, in order; what got
 * lost is sent again after half an election's time. A transfer belongs to one leader's term.
 *
 * Stalls: a leader of more than one voter whose save takes as long as an election, whose clock has jumped by as much between two
 * ticks, or whose shell says so (raft_stalled), steps back; it does not stand before the stall is over.
 */
#ifndef RAFTD_RAFT_H
#define RAFTD_RAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "cdefs.h"
#include "terms.h"

#define RAFT_MEMBERS_MAX 64
#define RAFT_MESSAGES_MAX 4096
#define RAFT_APPEND_ENTRIES_MAX 4096 /* in one message */
#define RAFT_CONFIGURATIONS_MAX 8
#define RAFT_DRIFT_DIVISOR                                                                                             \
	8 /* two clocks' speeds differ by less than 1/8: a promise is longer than the lease by that */

/* A member's identity (its node ID); all zero: nobody. */
struct raft_id {
	uint64_t high, low;
};

static inline bool
raft_id_equal(struct raft_id a, struct raft_id b)
{
	return a.high == b.high && a.low == b.low;
}

static inline bool
raft_id_is_none(struct raft_id id)
{
	return id.high == 0 && id.low == 0;
}

struct raft_member {
	struct raft_id id;
	bool voter;
	uint64_t life; /* of a voter: to whom the vote was given; 0: to the one that began with the cluster */
};

/* Who belongs to the cluster from entry index on (0: from before the log's beginning). */
struct raft_configuration {
	uint64_t index;
	size_t count;
	struct raft_member members[RAFT_MEMBERS_MAX];
};

enum raft_role { RAFT_FOLLOWER, RAFT_CANDIDATE, RAFT_LEADER };

/* What must survive a crash besides the log. */
struct raft_hard {
	uint64_t term;
	struct raft_id vote; /* in this term */
};

enum raft_message_type {
	RAFT_VOTE = 1,
	RAFT_VOTE_REPLY,
	RAFT_APPEND,
	RAFT_APPEND_REPLY,
	RAFT_PRE_VOTE,
	RAFT_PRE_VOTE_REPLY,
	RAFT_TIMEOUT_NOW, /* stand for election at once: the leader hands over */
	RAFT_SNAPSHOT,
	RAFT_SNAPSHOT_REPLY,
};

struct raft_message {
	enum raft_message_type type;
	struct raft_id from, to;
	uint64_t term; /* the sender's */
	/*
	 * VOTE, PRE_VOTE: the candidate's last entry. APPEND: the entry before the first one sent. APPEND_REPLY: accepted: all up to index is
	 * durable and equal to the leader's; rejected: index as it was in the APPEND, hint_* says where to try.
	 * SNAPSHOT: the last entry in it. SNAPSHOT_REPLY: index as it was asked; rejected: start again at offset 0.
	 */
	uint64_t index, log_term;
	uint64_t hint_index, hint_term;
	uint64_t commit; /* APPEND, SNAPSHOT */
	uint64_t
	    round; /* APPEND, SNAPSHOT: when it was sent, by the leader's clock; their replies: the same, or a later one that was heard */
	uint64_t lease_ns; /* APPEND, SNAPSHOT: no vote for anybody for so long */
	uint64_t life; /* VOTE, PRE_VOTE: the receiver's, by the sender's configuration. Replies: the sender's own */
	bool reject;   /* replies */
	bool transfer; /* VOTE: the leader wants it, its lease is given up */
	/* APPEND: number of entries and their terms, in runs (first: index). runs points into raft's or the caller's memory and is valid until the next call. */
	uint32_t entries;
	const struct terms_run *runs;
	uint32_t run_count;
	/*
	 * APPEND in: the configurations among its entries, ascending by index; those before the last RAFT_CONFIGURATIONS_MAX may be left out.
	 * Out: not set, the shell attaches the entries' contents.
	 */
	const struct raft_configuration *configurations;
	uint32_t configuration_count;
	/*
	 * SNAPSHOT: bytes at offset, of size in all; the shell attaches them, and at offset 0 what describes the snapshot. SNAPSHOT_REPLY:
	 * offset: all before it is kept; == size: the snapshot is installed.
	 */
	uint64_t offset, size;
	uint32_t bytes;
};

struct raft_params {
	struct raft_id self;
	/*
	 * Ascending by index: all that are in the log behind commit, and before them the newest one at or before it (in log or snapshot). None:
	 * this server belongs to no cluster yet, it only follows.
	 */
	const struct raft_configuration *configurations;
	size_t configuration_count;
	/* Ticks without word from a leader until an election: election_ticks + random(random_ctx, election_ticks). */
	uint32_t election_ticks;
	uint32_t heartbeat_ticks;
	uint32_t inflight_max; /* APPENDs with entries under way to one follower; 0: 64 */
	uint32_t entries_max;  /* in one APPEND; 0: RAFT_APPEND_ENTRIES_MAX */
	/*
	 * Bytes of entries in one APPEND, and under way to one follower; 0: 1 MiB, 8 MiB. An entry that is larger goes alone. entry_bytes tells an
	 * entry's size (NULL: 0 each); it must know all entries behind the log's base.
	 */
	uint32_t append_bytes_max, inflight_bytes_max;
	uint32_t (*entry_bytes)(void *ctx, uint64_t index);
	void *entry_ctx;
	uint32_t snapshot_chunk_bytes; /* 0: 256 KiB */
	uint32_t snapshot_window;      /* chunks under way to one follower; 0: 4 */
	/*
	 * A leader's lease, and the longest that any member of the cluster may have; 0: none. lease + lease / RAFT_DRIFT_DIVISOR should be below the
	 * time of election_ticks, else elections wait for it.
	 */
	uint64_t lease_ns, lease_max_ns;
	uint64_t now;     /* as raft_time() */
	uint64_t tick_ns; /* one tick. 0: jumps of the clock are not looked for */
	uint64_t (*random)(void *ctx, uint64_t below);
	void *random_ctx;
	/* Recovered state: */
	struct raft_hard hard;
	const struct terms *log;
	uint64_t commit; /* what is known to be committed (a snapshot's index); at least the log's base is */
	bool fresh;      /* this server never ran before: it has promised nothing */
	uint64_t life;   /* of this server's log; 0: it began with the cluster */
};

struct raft;

/* Copies all of params. The recovered log must be durable. */
MUST_USE struct raft *raft_new(const struct raft_params *params);
void raft_free(struct raft *r);

/* ---- in ---- */

/* One tick of time has passed. */
void raft_tick(struct raft *r);
/* Whether it may stand for election (default: no). A candidate or leader that may not any more steps back at the next timeout only. */
void raft_set_campaign(struct raft *r, bool allowed);
/* The time, before the calls that happen at it: CLOCK_BOOTTIME in nanoseconds. It never runs back. */
void raft_time(struct raft *r, uint64_t now_ns);
/* Stands for election now without pre-vote, if allowed, a voter, not leader, not stalled, and no leader was promised to be left alone. */
void raft_campaign(struct raft *r);
/* The shell has found that it can not do a leader's work (its loop is late, whoever applies does not answer), or can again. */
void raft_stalled(struct raft *r, bool stalled);
/*
 * The leader hands over to this voter: it accepts no proposals until that leads, or an election's time has passed without.
 * From the TIMEOUT_NOW on it has no lease in this term; tell whoever reads under it before the message is sent.
 * false: not the leader, not another voter, or a transfer is under way.
 */
MUST_USE bool raft_transfer(struct raft *r, struct raft_id to);
bool raft_transferring(const struct raft *r);

/* The leader appends count entries: index of the first. 0: not the leader, handing over, or removed. */
MUST_USE uint64_t raft_propose(struct raft *r, uint32_t count);

enum raft_change {
	RAFT_CHANGE_OK,
	RAFT_CHANGE_NOT_LEADER, /* or handing over, or removed */
	RAFT_CHANGE_NOT_READY,  /* no entry of this term is committed yet */
	RAFT_CHANGE_PENDING,    /* the latest configuration is not committed yet */
	RAFT_CHANGE_TOO_MUCH, /* more than one voter differs (in its life, too), none is left, or a member stands in it twice */
	RAFT_CHANGE_FULL, /* more than RAFT_MEMBERS_MAX */
};
/*
 * The leader appends this configuration (its index is not looked at): index of the entry, of type configuration, which the shell
 * stores. 0: *why says why not. From now on it counts. A leader that was the only voter has read under a lease without end: whoever reads
 * under it must know of the new one before messages are handed out.
 */
MUST_USE uint64_t raft_propose_configuration(
    struct raft *r, const struct raft_configuration *configuration, enum raft_change *why);

/* From entry first on, the log now holds `taken` entries of the message, its first `skipped` ones left out. */
struct raft_accepted {
	uint64_t first;
	uint32_t skipped, taken; /* taken 0: nothing was appended or cut */
	bool
	    snapshot_chunk; /* the message's chunk is to be written; offset 0: of a new snapshot, one that was under way is given up */
};
/* Any message, also nonsense from a foreign server. */
void raft_step(struct raft *r, const struct raft_message *m, struct raft_accepted *accepted);

/* ---- snapshots ---- */

/* Leader or not: the newest snapshot of this server, durable; it is sent to whom the log can not serve. index 0: there is none. size is not 0. */
void raft_snapshot_set(struct raft *r, uint64_t index, uint64_t term, uint64_t size);
/* A follower is being sent this snapshot: its file should stay, else that begins again with a newer one. */
bool raft_snapshot_used(const struct raft *r, uint64_t index);
/* It can not be read, or is not there any more: nobody is sent it. */
void raft_snapshot_gone(struct raft *r, uint64_t index);

/* A chunk that was taken is kept, up to here. */
void raft_snapshot_chunk_done(struct raft *r, uint64_t index, uint64_t term, uint64_t offset_end);
/* What to do with a snapshot that has come whole and is verified and durable: to be asked in the turn in which the log is touched. */
enum raft_install {
	RAFT_INSTALL_NOT, /* all in it is here and committed: leave log and state machine alone, then call raft_snapshot_installed */
	RAFT_INSTALL_KEEP, /* the log has its last entry and is durable up to there: it keeps what lies behind */
	RAFT_INSTALL_RESET, /* the log on disk is emptied and begins behind it; entries behind it that raft_log() has still are saved again */
};
enum raft_install raft_snapshot_check(const struct raft *r, uint64_t index, uint64_t term);
/*
 * After the last chunk: the snapshot is verified and durable, and the log treated as raft_snapshot_check said, durably. Not while a save is under way
 * (else panic). The core's log begins behind it now; configuration: the snapshot's latest.
 */
void raft_snapshot_installed(
    struct raft *r, uint64_t index, uint64_t term, const struct raft_configuration *configuration);
/* It can not be used (bad checksum), or not be kept (no space). */
void raft_snapshot_refused(struct raft *r, uint64_t index, uint64_t term);

/* ---- reads ---- */

/*
 * The state of all that was delivered may be read until this time, which must lie ahead after the request was read. 0: no lease, or this
 * leader's own first entry is not delivered yet; UINT64_MAX: it is the only voter.
 */
uint64_t raft_lease_until(const struct raft *r);
/*
 * A read that trusts no clock: begins a round and returns its number. When raft_round() has reached that in the same term, a state with
 * all entries up to *index may be read. 0: not the leader, or its own first entry is not committed yet.
 */
MUST_USE uint64_t raft_read_begin(struct raft *r, uint64_t *index);
/* The latest round that a quorum has answered. */
uint64_t raft_round(const struct raft *r);

/* ---- effects ---- */

/* The index of a no-op that Raft appended since the last call and that is still in the log; 0: none. */
uint64_t raft_noop(struct raft *r);

struct raft_save {
	struct raft_hard hard;
	uint64_t first, last; /* entries; first > last: none. What the log has from first on is replaced */
};
/* true: write this as one batch. Until done or failed, further calls return false. */
MUST_USE bool raft_save_begin(struct raft *r, struct raft_save *save);
void raft_save_done(struct raft *r);
void raft_save_failed(struct raft *r);

/* The next message that may be sent; false: none. */
MUST_USE bool raft_message(struct raft *r, struct raft_message *out);

/* Entries up to index are in a snapshot: the log's base moves there. Must be committed and stable. */
void raft_compact(struct raft *r, uint64_t index);

enum raft_role raft_role(const struct raft *r);
const char *raft_role_name(enum raft_role role); /* "follower" ... */
uint64_t raft_term(const struct raft *r);
struct raft_id raft_vote(const struct raft *r);
struct raft_id raft_leader(const struct raft *r); /* none: not known */
uint64_t raft_commit(const struct raft *r);
uint64_t raft_stable(const struct raft *r); /* entries up to here are durable here */
const struct terms *raft_log(const struct raft *r);
/* The latest one in the log; the latest that is committed. Valid until the next call that takes a non-const struct raft. */
const struct raft_configuration *raft_configuration(const struct raft *r);
const struct raft_configuration *raft_configuration_committed(const struct raft *r);
/* By the latest configuration. */
bool raft_is_voter(const struct raft *r, struct raft_id id);
size_t raft_voter_count(const struct raft *r);

enum raft_progress_state {
	RAFT_PROBE,     /* one APPEND, then wait for word: where do the logs part? */
	RAFT_REPLICATE, /* a stream of APPENDs */
	RAFT_SENDING,   /* a snapshot */
};
struct raft_progress {
	enum raft_progress_state state;
	bool voter;
	uint64_t match, next;                    /* durable there up to; the next entry to be sent */
	uint32_t heard_ticks;                    /* since it was last heard of (by this leader) */
	bool heard;                              /* it has answered this leader: */
	uint64_t life;                           /* as this one */
	bool blank;                              /* a voter of another life: it counts for nothing */
	uint64_t snapshot_offset, snapshot_size; /* RAFT_SENDING: kept there, of */
};
/* How far a member (self included) is. false: not leader, or not a member. */
MUST_USE bool raft_progress(const struct raft *r, struct raft_id id, struct raft_progress *out);
/* Messages that were impossible or would have cut committed entries, and were dropped. */
uint64_t raft_refused(const struct raft *r);

#endif

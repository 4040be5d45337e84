/*
 * node.h - the shell around Raft: log on disk, sync helper, memory of recent entries, timers; what raftd does in a loop turn
 *
 * One node per process. Calls that change something only note it; the work (one batch to disk, messages, deliveries) is done once
 * per loop turn, before the connections' output is written.
 */
#ifndef RAFTD_NODE_H
#define RAFTD_NODE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "cdefs.h"
#include "conf.h"
#include "message.h"
#include "raft.h"
#include "snapshot.h"
#include "tail.h"
#include "wal.h"

struct node;

struct node_ops {
	/* After each turn in which something may have changed: deliver committed entries, tell of changes. */
	void (*turned)(void *ctx);
	/* A snapshot of the state machine is wanted; node_snapshot_take or node_snapshot_failed follows. */
	void (*snapshot_wanted)(void *ctx);
	/*
	 * Does whoever applies entries live, and what has that taken? node_answered and node_applied when it says so. Asked where another voter
	 * could lead instead, and while the log grows.
	 */
	void (*ping)(void *ctx);
	/*
	 * Nobody reads under a lease that this server had: all know that it has none, or what they know of is over. What could let another server lead
	 * within the lease waits for that.
	 */
	bool (*lease_is_free)(void *ctx);
};

/*
 * Opens everything below raft_dir, recovers, forks the sync helper, hooks into the loop. NULL: logged why; trying again is of no use. What
 * can be tried again ends the process (fatal).
 */
MUST_USE struct node *node_open(struct ev_loop *loop, const struct conf *conf, const struct node_ops *ops, void *ctx);
/* Marks and syncs the log; nothing is written or delivered any more. */
void node_stop(struct node *n);
/* After the loop has ended; n may be NULL. */
void node_free(struct node *n);
/* Takes over what may change while running. */
void node_configure(struct node *n, const struct conf *conf);

/* Somebody who applies entries is there (or is not any more): without, this server does not stand for election. */
void node_set_served(struct node *n, bool served);
void node_answered(struct node *n);
/* What applying has taken it in all; less than the last time: it counts anew. Decides, with other things, when a snapshot is due. */
void node_applied(struct node *n, uint64_t total_ns);

enum node_refusal { NODE_ACCEPTED, NODE_NOT_LEADER, NODE_TERM_CHANGED, NODE_NO_SPACE, NODE_TOO_MUCH };
/*
 * Appends entries judged in this term: all or none. data: count runs of bytes, copied. index: of the first one.
 * Accepted is not durable and not committed.
 */
MUST_USE enum node_refusal node_propose(
    struct node *n, uint64_t term, const struct bytes *data, size_t count, uint64_t *index);

/* Entries up to here may be handed out: committed, and durable on this server. */
uint64_t node_deliverable(const struct node *n);
/*
 * Appends entries from first (between the log's first and node_deliverable) in the form of Raft.Pull to out, as many as fit into
 * bytes_max. Returns their number; 0: the first one alone is larger. -1: the log can not be read, logged.
 */
MUST_USE int node_entries_put(struct node *n, uint64_t first, size_t bytes_max, struct buf *out);

struct node_status {
	enum raft_role role;
	uint64_t term;
	struct raft_id leader;
	bool no_space;
	uint64_t lease_until; /* CLOCK_BOOTTIME in ns, as raft_lease_until() */
	uint64_t addresses_version;
};
struct node_status node_status(const struct node *n);
/* Whoever was told that lease_until should be told the present one. */
bool node_lease_is_news(const struct node *n, uint64_t told);
/* How far a member is; leader only, else false. */
MUST_USE bool node_progress(const struct node *n, struct raft_id id, struct raft_progress *out);
uint64_t node_ticks_ms(const struct node *n, uint32_t ticks);
/* A leader speaks to each member at least so often. */
uint64_t node_heartbeat_ms(const struct node *n);
/* Why there is no space, for people. */
const char *node_space_error(const struct node *n);
uint64_t node_first_index(const struct node *n);
uint64_t node_last_index(const struct node *n);
uint64_t node_last_term(const struct node *n);
const char *node_id(const struct node *n);
const char *node_log_id(const struct node *n); /* UUID text */
/* Of the log (raft.h); 0: this server began with its cluster. */
uint64_t node_life(const struct node *n);
/* The newest configuration of the log; own address as it is now. */
const struct configuration *node_configuration(const struct node *n);
uint64_t node_configuration_index(const struct node *n);
/* Empty: not known. */
const char *node_address_of(const struct node *n, struct raft_id id);

/* ---- other servers ---- */

#define NODE_ERROR_MAX 512

/* A socket that another server dialled; owned from now on. peer: for the log. */
void node_accept(struct node *n, int fd, const char *peer);
/* Where members are, by whoever knows: replaces what was told before. count: up to RAFT_MEMBERS_MAX. */
void node_addresses_tell(struct node *n, const struct member *members, size_t count);
/* Milliseconds since the leader was last heard of; 0: this is the leader; UINT64_MAX: never. */
uint64_t node_silence_ms(const struct node *n);
/* Of the struct contact in which the same stands, for reading; the caller's. -1 with errno. */
MUST_USE int node_contact_fd(const struct node *n);

/*
 * The log's first entry, in a server that belongs to no cluster: these are its voters, this server among them. With the lives of the others it is
 * enough to tell one of them; without, each has to be told, the same. -1: error says why not.
 */
MUST_USE int node_bootstrap(struct node *n, const struct configuration *voters, char error[NODE_ERROR_MAX]);

enum node_change { NODE_ADD_VOTER, NODE_ADD_NONVOTER, NODE_PROMOTE, NODE_DEMOTE, NODE_REMOVE };
const char *node_change_name(enum node_change change); /* "AddVoter" ... */
enum node_changing {
	NODE_CHANGE_DONE,    /* *index: of the entry, to be committed; 0: it is so already */
	NODE_CHANGE_WAIT,    /* not yet, error says why; ask again in a later turn */
	NODE_CHANGE_REFUSED, /* error says why */
};
/*
 * member: its ID; address where it is added (or has another one now). A vote is given to a member that has been heard of: one that is no member is
 * added without first.
 */
MUST_USE enum node_changing node_change(
    struct node *n, enum node_change change, const struct member *member, uint64_t *index, char error[NODE_ERROR_MAX]);
/* Nobody asks again for a change that had to wait. */
void node_change_end(struct node *n);
/* Hands leadership to this voter; none: the one that is furthest. -1: error says why not. What comes of it shows in the status. */
MUST_USE int node_transfer(struct node *n, struct raft_id to, char error[NODE_ERROR_MAX]);
bool node_transferring(const struct node *n);
/* Index of the last entry that is known to be committed; its term or that of another entry, 0: not in the log. */
uint64_t node_commit(const struct node *n);
uint64_t node_term_at(const struct node *n, uint64_t index);
/* The newest configuration that is committed, as far as the log has it. */
uint64_t node_configuration_committed_index(const struct node *n);
/* Reads that trust no clock: see raft_read_begin and raft_round. */
MUST_USE uint64_t node_read_begin(struct node *n, uint64_t *index);
uint64_t node_round(const struct node *n);

struct snapshots *node_snapshots(struct node *n);
/* The state machine's snapshot has come: fd is owned from now on. */
void node_snapshot_take(struct node *n, int fd, uint64_t index, uint64_t term);
void node_snapshot_failed(struct node *n);

#endif

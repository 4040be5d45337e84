/*
 * node_internal.h - what node.c, node_open.c and node_lead.c share; else only their test includes it
 */
#ifndef RAFTD_NODE_INTERNAL_H
#define RAFTD_NODE_INTERNAL_H

#include "contact.h"
#include "duration.h"
#include "log.h"
#include "node.h"
#include "syncer.h"
#include "transport.h"

#define MODULE "agent.server.raft"

#define ELECTION_TICKS 10
#define HEARTBEAT_TICKS 2
#define LEASE_TICKS 8u

#define LEARNED_MAX 16 /* addresses that servers told of themselves */

/* A snapshot that comes from the leader. */
enum install {
	INSTALL_NONE,
	INSTALL_RECEIVING,
	INSTALL_WHOLE,     /* its last chunk is written */
	INSTALL_FINISHING, /* the helper checks it and makes it durable */
	INSTALL_DURABLE,   /* the log is to be told */
};

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
	bool fresh;    /* the log was made in this start */
	uint64_t life; /* of the log (raft.h) */
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

	struct transport *transport;
	/* Where others are: as whoever knows the members says, and as they said themselves; before what the configuration says. */
	struct transport_peer told[RAFT_MEMBERS_MAX], learned[LEARNED_MAX];
	size_t told_count, learned_count, learned_next;
	uint64_t addresses_version;        /* counts changes of any of these */
	struct entry_source *entry_source; /* of the message that is being sent */
	struct raft_message timeout_now;   /* waits until nobody reads under our lease */
	bool timeout_waits;
	struct log_limit unreadable;
	struct contact *contact; /* the last word from a leader */
	bool lease_hidden;       /* readers are told that there is none */

	enum install install;
	struct snapshot_meta incoming;
	struct monotime chunk_time; /* when its last chunk came */

	struct node_configuration recovered; /* of peers.json, until the log has it; index 0: none */

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
/* Entries that Raft appended by itself: no-ops. */
void node_noop_take(struct node *n);
/* A segment or more may go since there is a newer snapshot. */
void node_log_shorten(struct node *n);
/* What the log holds is not known any more: ends the process. */
NORETURN void node_disk_failed(const struct node *n, const char *what);
/* So many more bytes of entries would be too much to wait for the disk. */
bool node_is_backlogged(const struct node *n, size_t bytes);

/* ---- node_open.c ---- */

/* Writes the log's first entry. -1: errno. */
MUST_USE int node_bootstrap_write(struct node *n, const struct configuration *first);
/* The core and the memory of entries, from what log and snapshots hold. */
void node_raft_start(struct node *n);

/* ---- node_peers.c ---- */

void node_transport_open(struct node *n);
/* While the loop is there. */
void node_transport_close(struct node *n);
void node_transport_free(struct node *n);
/* Configurations or addresses have changed: whom do we speak to, and where? */
void node_peers_update(struct node *n);
/* The entries from first on are gone, or others now. */
void node_configurations_cut(struct node *n, uint64_t first);
/* Appends the one of this entry. */
void node_configuration_put(struct node *n, uint64_t index, const struct configuration *content);
/* The configuration in force at an entry of the log, for a snapshot up to it. -1: the log can not be read, logged. */
MUST_USE int node_configuration_read(struct node *n, uint64_t index, struct node_configuration *out);
/* Hands out what Raft wants to say. */
void node_messages_send(struct node *n);

/* ---- node_install.c ---- */

/* Appends the message with its chunk. false: there is no such snapshot any more. */
MUST_USE bool node_chunk_put(struct node *n, const struct raft_message *m, struct buf *out);
/* Raft has taken the chunk of this message. */
void node_chunk_take(struct node *n, const struct message_in *in);
/* Each turn, before anything is saved: goes on with a snapshot that is whole. */
void node_install_turn(struct node *n);

/* ---- node_members.c ---- */

/* Proposes this configuration: as node_change. */
MUST_USE enum node_changing node_configuration_propose(
    struct node *n, const struct configuration *c, uint64_t *index, char error[NODE_ERROR_MAX]);

/* ---- node_life.c ---- */

/* After the log is open: n->life. -1: logged. */
MUST_USE int node_life_open(struct node *n);
/* This server began with the cluster, or an operator says that it goes on as what it was: it has no life of its own. -1: errno. */
MUST_USE int node_life_drop(struct node *n);

/* ---- node_recover.c ---- */

/* Takes peers.json, if there is one, and what an earlier start took. The log is open. -1: logged. */
MUST_USE int node_recover_open(struct node *n);
/* After the log's configurations are known: the one of peers.json stands in their place. */
void node_recover_configurations(struct node *n);
/* Each turn: it is put into the log. */
void node_recover_turn(struct node *n);

/* ---- node_lead.c ---- */

/* Each tick. */
void node_lead_tick(struct node *n);
/* The voter that is furthest, of those that were heard of lately; none: there is no other. */
struct raft_id node_successor(const struct node *n);

#endif

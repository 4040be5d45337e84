/*
 * cluster.h - a whole cluster of servers in virtual time, from a seed: what the files of this directory share
 *
 * A server is a machine with a disk (raftd_disk.h), a clock, and two processes: raftd (the real core raft.c, the real log wal*.c and
 * tail.c) and catalogd (the real proposals.c, apply.c, query endpoints and store.c over LMDB). What lies between and around them, the
 * loops of node.c, serve.c and raftlog.c, is modelled here by the same rules: a process reads what comes to it in order, at its time,
 * and not while it is stopped; a connection between the two ends when one dies; the network loses, doubles, delays and reorders.
 * Clients send requests to any server, which forwards to the leader; what they saw is judged by history.c, what the servers
 * did by check.c. Everything that happens is an event at a time in microseconds, taken from one heap; a seed decides all of it.
 */
#ifndef CLUSTER_H
#define CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "../../unit/raftd_disk.h"
#include "apply.h"
#include "buf.h"
#include "cdefs.h"
#include "mem.h"
#include "message.h"
#include "plant.h"
#include "proposals.h"
#include "raft.h"
#include "snapshot_store.h"
#include "store.h"
#include "tail.h"
#include "wal.h"

#define SERVERS_MAX 7
#define CLIENTS_MAX 16
#define KEYS_MAX 5
#define OPS_MAX 16384
#define ENTRIES_MAX 65536
#define TERMS_MAX 4096
#define MS UINT64_C(1000) /* of virtual time, in microseconds */
#define CHAOS_US (10000 * MS)
#define HEAL_US (4000 * MS)
#define LEASE_NS UINT64_C(80000000)
#define ELECTION_TICKS 10
#define TICK_US (10 * MS)
#define NOBODY UINT8_MAX
#define EXPIRE_US (40 * MS) /* catalogd's timer */

/* ---- events ---- */

enum event_kind {
	EVENT_TICK,        /* raftd's timer */
	EVENT_DISK_SYNC,   /* the disk has done what it was told to sync */
	EVENT_SYNCED,      /* raftd hears of it */
	EVENT_MARK,        /* raftd's timer: idle */
	EVENT_SPACE,       /* raftd's timer: is there space again */
	EVENT_PACKET,      /* from another raftd */
	EVENT_TO_RAFTD,    /* a note on the connection */
	EVENT_TO_CATALOGD, /* likewise */
	EVENT_RAFTD_START,
	EVENT_CATALOGD_START,
	EVENT_CONNECT,        /* catalogd dials raftd */
	EVENT_REQUEST,        /* catalogd reads a request of a client, or of another catalogd */
	EVENT_EVALUATE,       /* it gets to it, a moment later */
	EVENT_RPC_ANSWER,     /* from another catalogd */
	EVENT_EXPIRE,         /* catalogd's timer */
	EVENT_SNAPSHOT_SAVED, /* raftd's helper */
	EVENT_ANSWER,         /* a client reads it */
	EVENT_CLIENT,         /* a client's next operation */
	EVENT_GIVE_UP,        /* a client waits no longer */
	EVENT_FAULT,          /* time for some */
	EVENT_OPERATOR,       /* likewise: changes of membership */
	EVENT_DISK_HEALS,     /* there is space again, it is as fast as before */
	EVENT_KINDS
};

/* What a message between processes says; meaning of the numbers by type, see where it is sent. */
struct note {
	uint32_t type;
	uint32_t connection;
	uint64_t a, b, c, d;
	struct buf bytes;
};

struct event {
	uint64_t at, order;
	enum event_kind kind;
	uint8_t server; /* or client */
	uint32_t life;  /* of the process it is for; another one lives: dropped */
	uint64_t value;
	struct note *note; /* owned; may be NULL */
};

/* ---- servers ---- */

struct image { /* of hard state and log, as the disk must give it back */
	struct terms log;
	struct raft_hard hard;
};

struct raftd {
	bool alive;
	uint32_t life;
	uint64_t paused_until;
	struct wal *wal;
	struct raft *raft;
	struct tail *tail;
	struct snapshot_store *snapshots;
	struct snapshot_meta incoming; /* of the snapshot that comes */
	bool installing;               /* it is whole, and waits for the end of a save */
	uint64_t chunk_at;             /* when its last chunk came */
	unsigned unserved_ticks;
	size_t tail_keep;
	size_t pending_bytes;
	bool syncing, syncing_mark, write_blocked, no_space;
	uint64_t saves;
	uint64_t led_term;   /* the last term whose leadership was checked */
	uint64_t checked;    /* committed entries up to here were compared */
	uint32_t connection; /* number of the one to catalogd; 0: none */
	uint64_t pull_next;  /* 0: no pull */
	unsigned pull_credit;
	struct {
		enum raft_role role;
		uint64_t term;
		struct raft_id leader;
		bool once;
	} told;
	bool snapshotting;
	uint64_t snapshot_due;
	/* reads by round that wait for their round */
	struct {
		uint64_t round, index, term, id, needed;
	} reads[16];
	size_t read_count;
	bool doomed;
	struct {
		enum raft_role role;
		uint64_t term, configuration;
		struct raft_id leader;
	} traced; /* what trace.c said last */
};

/* Published by raftd, read by catalogd at any time. */
struct lease_page {
	uint64_t term, until;
};

enum request_state {
	REQUEST_READ,      /* taken from its socket */
	REQUEST_HELD,      /* for a leader */
	REQUEST_ASKING,    /* consistent: for the next round */
	REQUEST_ASKED,     /* for the round under way */
	REQUEST_CONFIRMED, /* for the index that the round gave */
	REQUEST_FORWARDED, /* to another server */
};

struct request {
	uint32_t op;
	uint8_t origin; /* the server that the client asked */
	uint8_t to;     /* FORWARDED */
	enum request_state state;
	uint64_t deadline; /* virtual time */
	uint64_t index;    /* CONFIRMED: of the state to wait for */
	bool lease_held;   /* for a planted mistake: what was known before it was read */
};

struct catalogd_process {
	bool alive;
	uint32_t life;
	uint64_t paused_until;
	uint32_t connection; /* number of the one to raftd; 0: none */
	struct proposals *proposals;
	uint64_t nonce;
	struct store *store;
	struct apply apply;
	struct buf reply;
	struct {
		bool leader;
		uint64_t term;
		uint8_t leader_at; /* server, NOBODY */
		char log_id[UUID_TEXT_SIZE];
	} status;
	bool told;             /* the first status of this connection has come */
	uint64_t caught_up_at; /* what was committed then */
	bool ready, verify_first, pulling, restoring;
	struct request *requests;
	size_t request_count, request_size;
	uint64_t asked_id;             /* of the round under way; 0: none */
	bool lease_seen, lease_before; /* for a planted mistake: at the end of this turn, of the one before */
	uint64_t turned_at;
	uint64_t stale_applied; /* what a stale read has shown in this store's life */
};

struct server {
	unsigned number;
	struct disk disk;
	uint64_t boot;
	uint64_t clock_offset, clock_speed; /* ns per us */
	uint64_t tick_every;
	struct raftd raftd;
	struct catalogd_process catalogd;
	struct lease_page page;
	uint64_t channel_at[2]; /* no note on the connection arrives before the one before it */
	char directory[96];     /* of the store */
	bool store_there;
	uint64_t store_boot; /* boot in which it was written */
	uint64_t chain;      /* digest of all that the store has applied */
	struct image durable, written;
	bool written_in_flight;
	bool damaged, refused;
	bool torn;                        /* damaged at most by blocks written in part: the next opening tells */
	unsigned incarnation;             /* number of its identity */
	bool started;                     /* with this one */
	bool removed;                     /* somebody has begun to */
	uint64_t bad_block;               /* the damage: file << 32 | block */
	uint64_t stall_until, slow_until; /* the disk */
};

/* ---- clients ---- */

enum op_kind { OP_GET, OP_SET, OP_CAS, OP_DELETE, OP_DELETE_CAS };
enum op_mode { MODE_DEFAULT, MODE_CONSISTENT, MODE_STALE };
enum outcome {
	OUTCOME_NONE, /* still under way */
	OUTCOME_DONE,
	OUTCOME_FAILED, /* known not to have been executed */
	OUTCOME_UNKNOWN,
	OUTCOME_NOT_LEADER, /* between servers */
	OUTCOME_NOT_SENT,   /* likewise */
};

struct op {
	struct sim *sim;
	enum op_kind kind;
	enum op_mode mode;
	uint8_t client, key, origin;
	uint8_t executor;      /* the server that proposed it */
	uint32_t expect;       /* CAS, DELETE_CAS: the value it wants to replace (an op), 0: none */
	uint64_t expect_index; /* and its ModifyIndex */
	uint64_t called, returned;
	uint64_t needed; /* what was acknowledged when it was called */
	enum outcome outcome;
	bool good;            /* a write: it says true */
	uint32_t value;       /* a read: the op whose value it saw, 0: none */
	uint64_t value_index; /* and its ModifyIndex */
	uint64_t applied_at;  /* index of the log entry; 0: none has it */
};

struct client {
	uint32_t op; /* under way, 0: none */
	struct {
		uint32_t value;
		uint64_t index;
	} seen[KEYS_MAX];
};

/* ---- what is known of the log ---- */

struct committed {
	uint64_t term, hash; /* of the content and its type */
	uint64_t term_by;    /* a term by which it was */
	uint64_t chain;      /* digest of what applying up to here has answered; 0: nobody has */
	uint64_t dump;       /* digest of a store at this index; 0: not looked at */
};

struct version { /* of a key, as the log has made it */
	uint64_t index;
	uint32_t value; /* op, 0: deleted */
};

/* What happened, for the report: T(member, text). All are uint64_t. */
#define TOTALS(T)                                                                                                      \
	T(seeds, "seeds")                                                                                              \
	T(ms, "simulated milliseconds")                                                                                \
	T(events, "events")                                                                                            \
	T(elections, "elections")                                                                                      \
	T(committed, "entries committed")                                                                              \
	T(applied, "entries applied")                                                                                  \
	T(writes, "writes")                                                                                            \
	T(unknown, "of them with unknown outcome")                                                                     \
	T(resent, "of them known not to be in the log and sent again")                                                 \
	T(reads_default, "default reads")                                                                              \
	T(reads_consistent, "consistent reads")                                                                        \
	T(reads_stale, "stale reads")                                                                                  \
	T(histories, "histories found linearizable by search")                                                         \
	T(histories_undecided, "histories too long for the search")                                                    \
	T(lost, "messages lost")                                                                                       \
	T(duplicated, "messages doubled")                                                                              \
	T(reordered, "messages late")                                                                                  \
	T(partitions, "partitions")                                                                                    \
	T(one_way, "of them one-way")                                                                                  \
	T(pauses, "pauses")                                                                                            \
	T(process_crashes, "process crashes")                                                                          \
	T(power_losses, "power losses")                                                                                \
	T(torn_logs, "torn logs cut")                                                                                  \
	T(full_disks, "full disks")                                                                                    \
	T(slow_disks, "slow disks")                                                                                    \
	T(disk_stalls, "stalled disks")                                                                                \
	T(corrupted, "corrupt or lost blocks")                                                                         \
	T(misdirected, "misdirected writes")                                                                           \
	T(refused_logs, "damaged logs refused")                                                                        \
	T(transfers, "transfers of leadership")                                                                        \
	T(torn_sectors, "of them by blocks written in part")                                                           \
	T(latent, "unreadable sectors")                                                                                \
	T(members_added, "members added")                                                                              \
	T(members_promoted, "promoted to voters")                                                                      \
	T(members_demoted, "demoted")                                                                                  \
	T(members_removed, "removed")                                                                                  \
	T(replaced, "damaged servers replaced")                                                                        \
	T(compactions, "logs shortened")                                                                               \
	T(installs, "snapshots installed")                                                                             \
	T(snapshots, "snapshots")                                                                                      \
	T(store_losses, "stores lost")                                                                                 \
	T(store_rebuilds, "stores made again")

struct totals {
#define TOTALS_MEMBER(member, text) uint64_t member;
	TOTALS(TOTALS_MEMBER)
#undef TOTALS_MEMBER
};

/* What a seed looks for most: some mistakes need more luck than days on which everything happens have. */
enum focus {
	FOCUS_NONE,
	FOCUS_LEASES, /* leaders are cut off or stopped when others rely on them, and replaced at once */
	FOCUS_DISKS,  /* large batches, power lost while they are written, damage that is repaired by replacement */
};

struct sim {
	enum focus focus;
	uint64_t seed, random, now, order;
	struct event *heap;
	size_t heap_count, heap_size;
	unsigned count, initial; /* servers; those that the cluster begins with */
	struct server servers[SERVERS_MAX];
	bool cut[SERVERS_MAX][SERVERS_MAX];                  /* from, to */
	uint64_t loss, duplicate;                            /* per thousand */
	uint64_t delay_max, delay_bound;                     /* it changes, up to there */
	uint64_t partition_every, death_every, damage_every; /* in turns of the faults' timer, on the average */
	uint64_t eager;
	bool chaos, malicious;
	uint32_t entries_max; /* in one APPEND */
	uint32_t chunk_bytes;
	uint64_t trailing; /* entries kept before a snapshot */
	bool jumps_judged, sectors_torn;
	bool changing; /* membership */
	uint64_t change_every;
	size_t voters_min;
	struct op *ops; /* by number, from 1 */
	uint32_t op_count;
	unsigned client_count;
	struct client clients[CLIENTS_MAX];
	uint64_t think_max;
	struct committed *committed; /* by index */
	uint64_t committed_last, acknowledged;
	uint32_t delivered_op; /* the write that the entry being applied is */
	struct version *versions[KEYS_MAX];
	size_t version_count[KEYS_MAX];
	uint8_t leader_of[TERMS_MAX]; /* by term, server + 1 */
	struct entry_hash *entries;   /* (index, term) -> content, of all that ever stood in a log */
	uint64_t digest;              /* of all events */
	struct totals totals;
	struct buf scratch;
};

/* ---- sim.c: time, chance, failure ---- */

uint64_t below(struct sim *s, uint64_t bound);
/* One in n; never when all is well again. */
bool chance(struct sim *s, uint64_t n);
uint64_t mix(uint64_t a, uint64_t b);
uint64_t digest_bytes(uint64_t h, struct bytes b);
/* Prints seed, time and reason, and ends the process. */
NORETURN void failed(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
MUST_USE struct note *note_new(uint32_t type);
void note_free(struct note *n);
void event_put(struct sim *s, uint64_t at, enum event_kind kind, unsigned server, uint32_t life, uint64_t value,
    struct note *note);
/* Once in a process. */
void simulation_begin(void);
/* base: directory for the stores. Returns the digest of the events. */
uint64_t run_seed(uint64_t seed, const char *base, struct totals *totals);

/* ---- trace.c: with SIM_LOG=1, else nothing is said ---- */

void trace_begin(void);
/* v NULL: of no single one. */
void trace(const struct sim *s, const struct server *v, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* After each turn of raftd. */
void trace_raftd(const struct sim *s, struct server *v);
/* Each server's state. */
void trace_servers(const struct sim *s);

/* ---- raftd.c ---- */

void raftd_start(struct sim *s, struct server *v);
/* May take e's note. */
void raftd_event(struct sim *s, struct server *v, struct event *e);
/* EVENT_DISK_SYNC, which is the machine's. note a: descriptor, b: the directory too; value: the boot. */
void raftd_disk_sync(struct sim *s, struct server *v, const struct event *e);
/* What the disk holds survives. */
void raftd_die(struct sim *s, struct server *v);
uint64_t raftd_deliverable(const struct raftd *r);
/* The identity it has now. */
struct raft_id id_of(const struct sim *s, unsigned server);
/* NOBODY: nobody has that identity any more. */
unsigned server_of(const struct sim *s, struct raft_id id);
uint64_t clock_of(const struct sim *s, const struct server *v);
void raftd_turn(struct sim *s, struct server *v);
/* An entry that stands in its log now. */
void raftd_entry_keep(struct sim *s, struct server *v, uint64_t index, uint64_t term, uint8_t type, struct bytes data);
/* Its no-op, if the core has appended one. */
void noop_take(struct sim *s, struct server *v);
/* The log is not to be relied on in this life: the process ends, the next start finds out. */
void disk_failed(struct sim *s, struct server *v);
void configuration_read(struct sim *s, struct server *v, uint64_t index, struct configuration *out);

/* ---- raftd_save.c ---- */

void image_take(struct image *i, const struct wal *w);
void image_free(struct image *i);
void save(struct sim *s, struct server *v);
void on_synced(struct sim *s, struct server *v);
void on_mark(struct sim *s, struct server *v, uint64_t saves);
void on_space(struct sim *s, struct server *v);
void space_lost(struct sim *s, struct server *v);
size_t pending_entries(const struct raftd *r);

/* ---- raftd_serve.c ---- */

/* May take e's note. */
void raftd_note(struct sim *s, struct server *v, struct event *e);
void status_tell(struct sim *s, struct server *v);
void reads_answer(struct sim *s, struct server *v);
/* false: the log can not be read, it died over it. */
MUST_USE bool pull_feed(struct sim *s, struct server *v);

/* ---- raftd_snapshot.c ---- */

/* NULL: there is none. */
const struct snapshot_meta *snapshot_newest(const struct server *v);
void snapshot_announce(struct server *v);
void snapshot_consider(struct sim *s, struct server *v);
/* May take e's note. */
void snapshot_made(struct sim *s, struct server *v, struct event *e);
void snapshot_saved(struct sim *s, struct server *v, struct note *n);
MUST_USE struct note *snapshot_note(struct sim *s, struct server *v);
/* false: it is not there any more. */
MUST_USE bool snapshot_chunk_encode(struct sim *s, struct server *v, const struct raft_message *m, struct buf *out);
void snapshot_chunk_take(struct sim *s, struct server *v, const struct message_in *in);
/* If one has come, and the disk is free. It may die over it. */
void snapshot_install(struct sim *s, struct server *v);

/* ---- operator.c ---- */

void operator_turn(struct sim *s);
/* Who leads the latest term, as far as it runs; NULL: nobody. */
struct server *leader_find(struct sim *s);
/* Voter of the leader's latest configuration. */
bool is_voter(struct sim *s, const struct server *v);
/* The others are a majority with whole logs then. */
bool may_be_damaged(struct sim *s, const struct server *v);

/* ---- catalogd.c ---- */

void catalogd_start(struct sim *s, struct server *v);
void catalogd_event(struct sim *s, struct server *v, const struct event *e);
void catalogd_die(struct sim *s, struct server *v);

/* ---- catalogd_store.c ---- */

/* Opens it, or makes it again if what is there is not to be trusted. */
struct store *store_begin(struct sim *s, struct server *v);
/* Removes the store of a server whose catalogd is dead. */
void store_lose(struct server *v);
/* The machine lost power: what the store's file holds is not to be trusted. */
void store_power_loss(struct sim *s, struct server *v);

MUST_USE struct store_txn *write_begin(struct sim *s, struct server *v);
void write_commit(struct sim *s, struct server *v, struct store_txn *t);
/* An archive of the store, for raftd. */
void snapshot_make(struct sim *s, struct server *v);
/* Fills the empty store. */
void snapshot_restore(struct sim *s, struct server *v, const struct note *n);

/* ---- catalogd_serve.c ---- */

bool lease_holds(const struct sim *s, const struct server *v);
struct request *request_find(struct catalogd_process *c, uint32_t op);
/* One step of a request, or of all that wait, if it can be made now. */
void request_try(struct sim *s, struct server *v, struct request *q);
void requests_try(struct sim *s, struct server *v);
/* From a client or another server; what that has answered; raftd's round is over; the time of some is. */
void request_take(struct sim *s, struct server *v, const struct event *e);
void request_answered(struct sim *s, struct server *v, const struct event *e);
void round_done(struct sim *s, struct server *v, const struct note *n);
void requests_expire(struct sim *s, struct server *v);

/* ---- between raftd and catalogd ---- */

/* Kinds of notes between the two. */
enum {
	NOTE_UP = 1,   /* c: connection; the status follows */
	NOTE_DOWN,     /* the other side has died */
	NOTE_STATUS,   /* a: role, b: term, c: leader's server + 1, d: deliverable */
	NOTE_PROPOSE,  /* a: term, b: first sequence, c: count; bytes: msgpack array */
	NOTE_PROPOSED, /* a: refusal, b: first, c: count */
	NOTE_PULL,     /* a: from */
	NOTE_ENTRIES,  /* bytes: msgpack array of [Index, Term, Type, Data] */
	NOTE_GRANT,    /* one more may come */
	NOTE_PULL_END, /* a: enum pull_end */
	NOTE_SNAPSHOT_GET,
	NOTE_SNAPSHOT, /* a: index, 0: none, b: term, bytes: archive */
	NOTE_SNAPSHOT_MAKE,
	NOTE_SNAPSHOT_MADE, /* as NOTE_SNAPSHOT */
	NOTE_READ,          /* a: its number */
	NOTE_READ_DONE,     /* a: number, b: index, 0: not the leader */
};
enum pull_end { PULL_COMPACTED, PULL_AHEAD, PULL_BROKEN };
enum refusal { REFUSAL_NONE, REFUSAL_NOT_LEADER, REFUSAL_TERM, REFUSAL_SPACE };

/* Over the connection, in order; to_catalogd: the direction. */
void note_send(struct sim *s, struct server *v, bool to_catalogd, struct note *n);

/* ---- clients.c ---- */

void client_event(struct sim *s, const struct event *e);
/* The server's answer to a client's operation; leaves with a delay. */
void client_answer(struct sim *s, uint32_t op, enum outcome outcome, bool good, uint32_t value, uint64_t index);
/* The entry's body, as catalogd would get it from httpd. */
void op_body(const struct op *op, uint32_t number, struct buf *out);
/* The operation that made this value, or that this entry of the log is; 0: none of ours. */
uint32_t op_of_value(struct bytes value);
uint32_t op_of_entry(struct bytes data);

/* ---- check.c: what the servers did ---- */

/* An entry was appended to a log. */
void check_entry(struct sim *s, const struct server *v, uint64_t index, uint64_t term, uint8_t type, struct bytes data);
/* After each turn of raftd. */
void check_raftd(struct sim *s, struct server *v);
/* The log has been opened. */
void check_opened(struct sim *s, struct server *v);
/* A leader's catalogd has applied up to index, and tells its clients. */
void check_acknowledged(struct sim *s, uint64_t index);
/* catalogd has got a committed entry, and then what applying it has answered. */
void check_delivered(
    struct sim *s, const struct server *v, uint64_t index, uint64_t term, uint8_t type, struct bytes data);
void check_applied(struct sim *s, struct server *v, uint64_t index, int status, struct bytes reply);
/* The whole store is read and compared with others at the same index. */
void check_store(struct sim *s, struct server *v);
/* A default or consistent read is answered now. */
void check_read(struct sim *s, const struct server *v, const struct op *op);
/* A stale read has shown value at index of the key's state, on a store that has applied up to applied. */
void check_stale(
    struct sim *s, const struct server *v, const struct op *op, uint32_t value, uint64_t index, uint64_t applied);
void check_logs(struct sim *s);

/* ---- history.c: what the clients saw ---- */

void history_check(struct sim *s);

/* ---- faults.c ---- */

void faults_begin(struct sim *s);
void faults_turn(struct sim *s);
/* All is well from now on. */
void faults_end(struct sim *s);
void server_power_loss(struct sim *s, struct server *v);
/* A leader that has just told something is cut off, or those who know of it forget. */
void betray(struct sim *s, struct server *v);
void isolate(struct sim *s, unsigned server);
/* A leader that waits for the answers to a round is stopped, and finds them when it goes on. */
void leader_stop(struct sim *s, struct server *v);

#endif

/*
 * store.h - the state on disk: tables of key and record in LMDB (consuld-store.5)
 *
 * One process, one loop, one writer. Keys and values are runs of bytes; tables are ordered by key (bytewise). Each record ends in a
 * CRC-32C over table, key and value that is checked at every read and never seen by callers. Keys have at least one byte and no
 * upper bound (those over STORE_KEY_DIRECT_MAX are folded; see store_scan for what that means to order).
 *
 * Errors stick to the transaction: the first one (disk full, damage) is kept, makes every later read find nothing and every later
 * write do nothing; whoever began the transaction looks once at its end. Functions in between need no error paths.
 *
 * Values read point into the map. In a read transaction they live until it ends; in a write transaction ONLY UNTIL THE NEXT
 * WRITE of it: copy what is needed longer (apply's region).
 */
#ifndef CATALOGD_STORE_H
#define CATALOGD_STORE_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"

/*
 * All tables: T(enumerator, name, what it maps). Names are kept in the file: append only. "parts" are store_key() keys.
 */
#define STORE_TABLES(T)                                                                                                \
	T(META, "meta", "store.c's own: format, log ID, applied index and term, boot, clean mark")                     \
	T(INDEX, "index", "counter name -> raft index, 8 bytes")                                                       \
	T(KVS, "kvs", "key as it is -> DirEntry")                                                                      \
	T(TOMBSTONES, "tombstones", "key as it is -> raft index of the deletion, 8 bytes, and its time, 8 bytes")      \
	T(TOMBSTONE_ORDER, "tombstone_order", "raft index of the deletion, 8 bytes, then the key -> empty")            \
	T(LOCK_DELAYS, "lock_delays", "key as it is -> wall time in ns until which it can not be acquired, 8 bytes")   \
	T(SESSIONS, "sessions", "session ID -> Session")                                                               \
	T(SESSION_NODES, "session_nodes", "parts node (folded), session ID -> empty")                                  \
	T(SESSION_CHECKS, "session_checks", "parts node (folded), check ID, session ID -> empty")                      \
	T(SESSION_KEYS, "session_keys", "parts session ID, key -> empty")                                              \
	T(NODES, "nodes", "parts node name (folded) -> Node")                                                          \
	T(NODE_IDS, "node_ids", "node ID (folded) -> node name (folded)")                                              \
	T(SERVICES, "services", "parts node (folded), service ID -> NodeService")                                      \
	T(SERVICE_NAMES, "service_names", "parts service name (folded), node (folded), service ID -> empty")           \
	T(SERVICE_CONNECT, "service_connect", "parts destination name (folded), node (folded), service ID -> empty")   \
	T(CHECKS, "checks", "parts node (folded), check ID -> HealthCheck")                                            \
	T(CHECK_SERVICES, "check_services", "parts service name (folded), node (folded), check ID -> empty")           \
	T(CHECK_STATES, "check_states", "parts status, node (folded), check ID -> empty")                              \
	T(CATALOG_EXTRA, "catalog_extra", "what nodes.c keeps besides")                                                \
	T(COORDINATES, "coordinates", "parts node (folded), network segment -> Coordinate")                            \
	T(AUTOPILOT, "autopilot", "config -> AutopilotConfig")

enum store_table {
#define STORE_TABLE_ENUM(enumerator, name, doc) STORE_##enumerator,
	STORE_TABLES(STORE_TABLE_ENUM)
#undef STORE_TABLE_ENUM
	    STORE_TABLE_COUNT
};

const char *store_table_name(enum store_table table);
/* -1: none is called so. */
MUST_USE int store_table_find(struct bytes name, enum store_table *out);

#define STORE_KEY_DIRECT_MAX 479
#define STORE_LOG_ID_MAX 64
#define STORE_ERROR_MAX 256

struct store;     /* the open environment */
struct store_txn; /* one transaction */

/* ---- opening (main.c, log.c) ---- */

struct store_options {
	const char *directory; /* is made if it is missing */
	uint64_t map_bytes;    /* address space to reserve; less is taken when the limits of the process refuse it */
	bool copy;             /* directory is the file that store_copy made; it is only read */
};

/* What the store knows of the log that it is the outcome of. */
struct store_state {
	uint64_t applied_index;
	uint64_t applied_term;
	char log_id[STORE_LOG_ID_MAX]; /* "": a fresh store */
};

enum store_open_status {
	STORE_OPENED,
	STORE_REBUILD, /* it is there but not to be trusted (other boot without clean mark, damage, other format, a start that died in it): store_erase, open again */
	STORE_UNAVAILABLE, /* errno-like trouble that a rebuild does not cure (permissions, no space) */
};

/* On success *out is owned by the caller. error: what and why, for the log. */
MUST_USE enum store_open_status store_open(
    const struct store_options *options, struct store **out, char error[STORE_ERROR_MAX]);
/* Removes the files of a store that is not open. 0 or -1 with errno. */
MUST_USE int store_erase(const char *directory);
/* The start is over: a death from now on is not held against the file. */
void store_started(struct store *s);
/* A record was wrong: the next start makes the store again. */
void store_mark_damaged(struct store *s);
/* Copies the store of another process into the file to (an open descriptor), under a reader that is gone afterwards. 0 or an error for store_copy_error. */
MUST_USE int store_copy(const char *directory, int to);
const char *store_copy_error(int error);
/* clean: syncs and marks it so that another boot may trust it. s may be NULL. */
void store_close(struct store *s, bool clean);
struct store_state store_state(const struct store *s);
/* The same as it stands in the file that t sees (for copies). -1: not there. */
MUST_USE int store_state_read(struct store_txn *t, struct store_state *out);
const char *store_directory(const struct store *s);
/* Bytes that the file system has left for the store; UINT64_MAX when it can not be told. */
uint64_t store_free_bytes(const struct store *s);

/* ---- transactions ---- */

/*
 * The one read transaction of this loop turn: begun at first use, ended by store_read_end (which the loop calls before it sleeps and after
 * each commit). Cheap to call. NULL: the store is damaged or full of readers; reads answer an error.
 */
MUST_USE struct store_txn *store_read(struct store *s);
void store_read_end(struct store *s);

/* NULL with *error set: no transaction. At most one is open. */
MUST_USE struct store_txn *store_write(struct store *s, char error[STORE_ERROR_MAX]);
enum store_result {
	STORE_DONE,
	STORE_FULL,    /* no space: may work later */
	STORE_DAMAGED, /* rebuild */
	STORE_FAILED,  /* something else: may work later */
};
/* Ends t in any case. Only STORE_DONE has changed anything. */
MUST_USE enum store_result store_commit(struct store_txn *t, char error[STORE_ERROR_MAX]);
void store_abort(struct store_txn *t);
/* What t has stumbled over so far, STORE_DONE: nothing. error may be NULL. */
enum store_result store_txn_result(const struct store_txn *t, char *error);
/* The applied position becomes part of t. */
void store_set_applied(struct store_txn *t, uint64_t index, uint64_t term);
void store_set_log_id(struct store_txn *t, const char *log_id);
/*
 * A part of write transaction t that can be taken back: from store_nest on all writes belong to it, until store_nest_end keeps or drops
 * them. Costs some 10 us; not nested further.
 */
void store_nest(struct store_txn *t);
void store_nest_end(struct store_txn *t, bool keep);

/* ---- records ---- */

/* true: *value is set. false: there is none (or t has failed). */
MUST_USE bool store_get(struct store_txn *t, enum store_table table, struct bytes key, struct bytes *value);
bool store_has(struct store_txn *t, enum store_table table, struct bytes key);
void store_put(struct store_txn *t, enum store_table table, struct bytes key, struct bytes value);
/* true: there was one. */
bool store_delete(struct store_txn *t, enum store_table table, struct bytes key);
uint64_t store_count(struct store_txn *t, enum store_table table);
/* Of what LMDB keeps for itself: are the pages that records stand in used once, and in their places? t: a read. -1: damage, error says where. */
MUST_USE int store_check_pages(struct store_txn *t, char error[STORE_ERROR_MAX]);

/*
 * All records of a table whose key begins with prefix (size 0: all), ascending; c->key and c->value are set by each true of
 * store_next. Keys over STORE_KEY_DIRECT_MAX bytes that are equal in the first STORE_KEY_DIRECT_MAX come together, but in no order.
 * Within a write transaction the table must not be changed during the scan except by store_scan_delete (collect first, then
 * change). prefix must live as long as the scan. End each scan by store_scan_end, also after store_next said false.
 *
 *	struct store_cursor c;
 *
 *	for (store_scan(&c, t, STORE_CHECKS, prefix); store_next(&c);)
 *		...
 *	store_scan_end(&c);
 */
struct store_cursor {
	struct bytes key;
	struct bytes value;
	/* private */
	struct store_txn *txn;
	void *cursor;
	enum store_table table;
	struct bytes prefix;
	int state;
};
void store_scan(struct store_cursor *c, struct store_txn *t, enum store_table table, struct bytes prefix);
/* The same, beginning with the first key >= from (which begins with prefix; not over STORE_KEY_DIRECT_MAX). */
void store_scan_from(
    struct store_cursor *c, struct store_txn *t, enum store_table table, struct bytes prefix, struct bytes from);
MUST_USE bool store_next(struct store_cursor *c);
void store_scan_delete(struct store_cursor *c);
void store_scan_end(struct store_cursor *c);

/* ---- keys of parts ---- */

/*
 * Appends part to key so that keys of parts sort by their parts and no part can pass for two (a zero byte becomes 00 FF, each part ends
 * in 00 01). A key of the first n parts is the prefix of all keys that go on with further parts.
 */
void store_key_part(struct buf *key, struct bytes part);
/* Clears key, appends all parts, returns it. STORE_KEY(&key, node, id) counts by itself. */
struct bytes store_key(struct buf *key, const struct bytes *parts, size_t count);
#define STORE_KEY(key, ...)                                                                                            \
	store_key((key), (const struct bytes[]){__VA_ARGS__},                                                          \
	    sizeof((const struct bytes[]){__VA_ARGS__}) / sizeof(struct bytes))
/* Takes the first part off *key; appends it, decoded, to out (may be NULL to skip). false: *key is not made of parts. */
MUST_USE bool store_key_take(struct bytes *key, struct buf *out);

/* ---- counters ---- */

/* Consul's table indexes: the raft index of the last write that touched name ("nodes", "service.web"). 0: never. */
uint64_t store_index(struct store_txn *t, struct bytes name);
void store_index_set(struct store_txn *t, struct bytes name, uint64_t index);
void store_index_drop(struct store_txn *t, struct bytes name);
/* counter is told of each counter that is read outside of write transactions (changed: false), and of each that is set or dropped. NULL: nobody. */
void store_observe(struct store *s, void (*counter)(void *ctx, struct bytes name, bool changed), void *ctx);
/* prefix and name in one: store_index2(t, "service.", name). */
uint64_t store_index2(struct store_txn *t, const char *prefix, struct bytes name);
void store_index2_set(struct store_txn *t, const char *prefix, struct bytes name, uint64_t index);
void store_index2_drop(struct store_txn *t, const char *prefix, struct bytes name);

#endif

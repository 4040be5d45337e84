/*
 * apply.h - log entries and what they do to the state
 *
 * An entry is a type byte, a head (apply version 1 byte, proposer nonce 8, proposal sequence 8, time 8, all big-endian) and a
 * msgpack body. Applying is a pure function of (state, entry): no clock, no randomness, nothing outside the store. Who proposes
 * stamps IDs and the time. An application error ("Missing node registration") is a result like any other: deterministic, answered to
 * whoever waits, and the state is as before.
 */
#ifndef CATALOGD_APPLY_H
#define CATALOGD_APPLY_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "mem.h"
#include "store.h"
#include "watch.h"

#define APPLY_VERSION 1
#define APPLY_HEAD_BYTES 26
#define APPLY_ERROR_MAX 512

/*
 * T(number, enumerator, function, flags). Numbers are in the log: never reused. APPLY_NEST: the function may refuse after it has
 * changed something (its changes are then taken back); the others refuse before their first change.
 */
#define APPLY_NEST 1u
#define APPLY_TYPES(T)                                                                                                 \
	T(1, REGISTER, nodes_register_apply, 0)          /* RegisterRequest -> nil */                                  \
	T(2, DEREGISTER, nodes_deregister_apply, 0)      /* DeregisterRequest -> nil */                                \
	T(3, KVS, kv_apply, 0)                           /* KVSRequest -> bool */                                      \
	T(4, SESSION, session_apply, 0)                  /* SessionRequest -> text (ID) */                             \
	T(5, TOMBSTONE_REAP, kv_tombstone_reap_apply, 0) /* {Index} -> nil */                                          \
	T(6, COORDINATES, coordinate_apply, 0)           /* {Updates: [Coordinate]} -> nil */                          \
	T(9, AUTOPILOT, autopilot_config_apply, 0)       /* AutopilotSetConfigRequest -> bool */

enum apply_type {
#define APPLY_TYPE_ENUM(number, enumerator, function, flags) APPLY_TYPE_##enumerator = number,
	APPLY_TYPES(APPLY_TYPE_ENUM)
#undef APPLY_TYPE_ENUM
};

/* What an apply function works with. */
struct apply {
	struct store_txn *txn; /* the write transaction of the batch */
	uint64_t index;        /* of this entry: CreateIndex, ModifyIndex, counters */
	int64_t time_ns;       /* wall clock of the proposer; never goes back by more than clocks do */
	struct region *region; /* memory that lives until this entry is applied */
	struct buf *reply;     /* msgpack value for the proposer; empty: nil */
	struct watch *watch;   /* NULL in replays that nobody watches */
	unsigned status;       /* with an error: HTTP status, 0: the front end's table */
	char error[APPLY_ERROR_MAX];
	/* private */
	struct buf keys[4];
	struct buf touched; /* of this entry; told to watch when it is done */
};

void apply_init(struct apply *a);
void apply_free(struct apply *a);

/* 0, or -1 after apply_refuse. The body is what the endpoint proposed; another node's leader may be newer: skip unknown fields. */
typedef int apply_fn(struct apply *a, struct bytes body);

#define APPLY_TYPE_PROTOTYPE(number, enumerator, function, flags) apply_fn function;
APPLY_TYPES(APPLY_TYPE_PROTOTYPE)
#undef APPLY_TYPE_PROTOTYPE

/* return apply_refuse(a, 0, "Missing check '%s' registration", ...). Returns -1. */
int apply_refuse(struct apply *a, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* name has changed in a way that its watchers must see (watch.h). Taken back if the entry is refused. Repeats are cheap. */
void apply_touch(struct apply *a, enum watch_kind kind, struct bytes name);
/* A scratch buffer for keys, cleared by each store_key; four of them, by number. */
struct buf *apply_key(struct apply *a, unsigned which);

/* ---- entries (log.c, tests) ---- */

struct apply_entry {
	uint8_t type;
	uint8_t version;
	uint64_t nonce;
	uint64_t sequence;
	int64_t time_ns;
	struct bytes body;
};
void apply_entry_put(struct buf *out, const struct apply_entry *entry);
/* -1: too short. Unknown types and versions are not judged here. */
MUST_USE int apply_entry_get(struct bytes data, struct apply_entry *out);

enum apply_status {
	APPLY_DONE,
	APPLY_REFUSED,     /* a->error, a->status */
	APPLY_UNKNOWN,     /* type or version from the future: stop here, do not go on */
	APPLY_STORE_FAILED /* the transaction stumbled: abort the batch */
};
/* Applies one entry within a->txn. a->reply, a->region are reset first; a->index, a->txn, a->watch are the caller's. */
MUST_USE enum apply_status apply_entry(struct apply *a, const struct apply_entry *entry);

#endif

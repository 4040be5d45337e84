/*
 * serf.h - the layer above SWIM as a pure state machine: who left and who failed, events, queries, all in Lamport time
 *
 * Members are remembered longer than SWIM does: one that failed is tried again and again, one that left stays known as such, until they are
 * reaped. Intents (join, leave), user events and queries spread by broadcasts of their own, each with a Lamport time by which late and double
 * ones are recognised. Wire: wire.h; rules: serf as Consul uses it.
 *
 * No socket, no clock. All calls take the present time (ns of a steady clock) and may call the ops.
 */
#ifndef GOSSIPD_SERF_H
#define GOSSIPD_SERF_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "cdefs.h"
#include "keyring.h"
#include "structs_gossip.h"
#include "swim.h"

#define SERF_TAGS_MAX 48
#define SERF_EVENT_BYTES_MAX 512 /* of an encoded event */
#define SERF_QUERY_BYTES_MAX 1024
#define SERF_ERROR_MAX 256

/* Times in ns. */
struct serf_config {
	uint64_t reap_interval, reconnect_interval, reconnect_timeout, tombstone_timeout, recent_intent_timeout;
	uint64_t broadcast_timeout, leave_propagate_delay, queue_check_interval;
	uint64_t gossip_interval; /* a query waits a multiple of it */
	unsigned retransmit_mult, query_timeout_mult;
	size_t queue_min;       /* of a queue's bound: max(this, 2 * members) */
	bool resolve_conflicts; /* another node with our name: the others vote, the loser is told to end */
};
struct serf_config serf_config_consul(void);

struct serf_member {
	const struct swim_card *card; /* its meta: ff and a map of tags, or the value of the tag "role" */
	uint64_t ltime;               /* of the last intent about it */
	uint64_t gone;                /* when it left or failed */
	enum member_status status;
};

enum serf_change { SERF_MEMBER_JOIN, SERF_MEMBER_LEAVE, SERF_MEMBER_FAILED, SERF_MEMBER_UPDATE, SERF_MEMBER_REAP };

enum serf_key_operation { SERF_KEY_INSTALL, SERF_KEY_USE, SERF_KEY_REMOVE, SERF_KEY_LIST };

/* Pointers in arguments are valid during the call. */
struct serf_ops {
	uint64_t (*random)(void *ctx, uint64_t below);
	/* m is gone after REAP. */
	void (*changed)(void *ctx, enum serf_change change, const struct serf_member *m, uint64_t now);
	void (*event)(void *ctx, uint64_t ltime, struct bytes name, struct bytes payload);
	/* A query of the application's kind was seen; that it came is all that is told. */
	void (*query_seen)(void *ctx, uint64_t ltime);
	/* Push/pull with this failed member, as a join. */
	void (*reconnect)(void *ctx, const struct serf_member *m);
	/*
	 * Does it to the pool's keyring (key: raw, empty with LIST) and keeps the file. NULL, or why not. ring: as it is afterwards, NULL if
	 * nothing is encrypted.
	 */
	const char *(*key)(void *ctx, enum serf_key_operation op, struct bytes key, const struct keyring **ring);
	/* Fewer than half of the others say that we are who we are: another node has our name. */
	void (*conflict_lost)(void *ctx);
	void (*say)(void *ctx, enum log_level level, const char *fmt, va_list args);
};

struct serf;

/* ops, timers and swim are borrowed. minimum times: what a snapshot says (0: nothing). */
struct serf_clocks {
	uint64_t member, event, query;
};
MUST_USE struct serf *serf_new(const struct serf_config *config, const struct serf_ops *ops, void *ctx,
    struct timers *timers, const struct serf_clocks *snapshot);
void serf_free(struct serf *s);
/* Before swim_start(). */
void serf_start(struct serf *s, struct swim *swim, uint64_t now);

/* ---- what SWIM says (struct swim_ops) ---- */

void serf_swim_changed(struct serf *s, enum swim_change change, const struct swim_member *m, uint64_t now);
void serf_swim_conflict(struct serf *s, const struct swim_member *m, const struct swim_address *other, uint64_t now);
void serf_swim_left(struct serf *s);
void serf_message(struct serf *s, struct bytes message, uint64_t now);
size_t serf_broadcasts(
    struct serf *s, size_t overhead, size_t limit, void (*each)(void *ctx, struct bytes message), void *ctx);
/* Our user state for a push/pull; and theirs. */
void serf_state_put(const struct serf *s, struct buf *out);
void serf_state_merge(struct serf *s, struct bytes state, bool join, uint64_t now);

/* ---- what is asked of us ---- */

/* A join has succeeded: tells all. */
void serf_joined(struct serf *s, uint64_t now);
/* Called once. */
typedef void serf_done(void *ctx, uint64_t now);
/* Leaves in order: intent, its spreading, SWIM's leave, a pause; at its end nothing is left to do but to stop. */
void serf_leave(struct serf *s, serf_done *done, void *ctx, uint64_t now);
/*
 * Says of a failed member that it left, with prune that it be forgotten. done (may be NULL): spread, or the time for it is over (then
 * error is not NULL). -1: there is no such member.
 */
typedef void serf_told(void *ctx, const char *error, uint64_t now);
MUST_USE int serf_force_leave(struct serf *s, struct bytes name, bool prune, serf_told *done, void *ctx, uint64_t now);
/* error: SERF_ERROR_MAX bytes. -1: too large. */
MUST_USE int serf_event_send(
    struct serf *s, struct bytes name, struct bytes payload, bool coalesce, char *error, uint64_t now);

/* A query of ours. Answers come until the timeout, each member's once; then done, after which the query is gone. */
struct serf_asking {
	void (*ack)(void *ctx, struct bytes from);
	void (*response)(void *ctx, struct bytes from, struct bytes payload, uint64_t now);
	void (*done)(void *ctx, size_t acks, size_t responses, uint64_t now);
	void *ctx;
	uint64_t timeout;     /* 0: the default for so many members */
	struct bytes filters; /* msgpack as in serf_query, or empty */
	bool ask_acks;
	unsigned relay_factor;
};
/* error: SERF_ERROR_MAX bytes. NULL: too large, or too many under way. */
MUST_USE struct serf_question *serf_query_send(struct serf *s, struct bytes name, struct bytes payload,
    const struct serf_asking *asking, char *error, uint64_t now);
/* Nobody listens any more; no callback. */
void serf_query_forget(struct serf *s, struct serf_question *q);

/* ---- state ---- */

/* Appends the tags as a map of text to text. Our own are sorted. */
void serf_tags_put(struct bytes meta, struct buf *out);
/* The value of a tag; empty: it has none. */
struct bytes serf_tag(struct bytes meta, const char *name);
/* Tags (map) as meta. -1: longer than GOSSIP_META_MAX. */
MUST_USE int serf_meta_put(struct bytes tags, struct buf *out);

size_t serf_count(const struct serf *s);
const struct serf_member *serf_at(const struct serf *s, size_t i);
const struct serf_member *serf_find(const struct serf *s, struct bytes name);
size_t serf_count_of(const struct serf *s, enum member_status status);
const size_t *serf_count_pointer(const struct serf *s);
struct serf_clocks serf_clocks(const struct serf *s);
struct serf_queues {
	size_t intents, events, queries;
};
struct serf_queues serf_queues(const struct serf *s);
const char *serf_status_name(enum member_status status);

#endif

/*
 * serf_internal.h - what serf.c (members, life), serf_intent.c, serf_state.c, serf_leave.c and serf_event.c (events, queries) share; nobody else
 * includes it
 */
#ifndef GOSSIPD_SERF_INTERNAL_H
#define GOSSIPD_SERF_INTERNAL_H

#include "broadcast.h"
#include "hash.h"
#include "ring.h"
#include "serf.h"

#define BUFFER_SLOTS 512 /* of recent events, and of queries */
#define SLOT_EVENTS_MAX 128
#define SLOT_QUERIES_MAX 1024
#define INTENTS_MAX 16384
#define QUESTIONS_MAX 256
#define MESSAGE_MAX (64u * 1024)

/* Thousands in a pool. */
struct member_entry {
	struct serf_member member;
	struct hash_node by_name;
	size_t place;
	uint64_t left_ltime;     /* of the intent to leave; below member.ltime it is outdated */
	struct pruning *pruning; /* it shall be forgotten soon, or NULL */
};

/* What was said of a name that is not a member yet. */
struct intent {
	struct hash_node by_name;
	struct ring by_age; /* oldest first */
	enum serf_type type;
	uint64_t ltime, heard;
	size_t name_size;
	char name[];
};

struct buffered_event {
	struct buffered_event *next;
	size_t name_size, payload_size;
	uint8_t bytes[]; /* name, payload */
};

struct event_slot {
	uint64_t ltime;
	unsigned count;
	struct buffered_event *first, **last;
};

struct query_slot {
	uint64_t ltime;
	uint32_t *ids;
	unsigned count, size;
};

struct serf_question {
	struct ring of_serf;
	struct serf *serf;
	struct timer end;
	struct serf_asking asking;
	uint64_t ltime;
	uint32_t id;
	struct answered {
		uint64_t *names; /* hashes */
		size_t count, size;
	} acks, responses;
};

enum leave_stage { LEAVE_NONE, LEAVE_INTENT, LEAVE_SWIM, LEAVE_PAUSE };

struct serf {
	struct serf_config config;
	const struct serf_ops *ops;
	void *ctx;
	struct timers *timers;
	struct swim *swim;

	struct member_entry **members;
	size_t count, size;
	struct hash_table names;
	struct hash_table intents;
	struct ring intents_by_age;

	struct serf_clocks clock; /* the present values */
	uint64_t event_min, query_min;

	struct broadcasts *intent_queue, *event_queue, *query_queue;
	struct event_slot *events[BUFFER_SLOTS];
	struct query_slot *queries[BUFFER_SLOTS];
	struct ring questions, removals;
	size_t question_count;

	struct timer reap, reconnect, queue_check;
	enum leave_stage leave_stage;
	bool leave_alone, leave_told;
	struct timer leave_timer;
	serf_done *left;
	void *left_ctx;

	/* a vote about our name */
	struct serf_question *conflict;
	size_t conflict_for, conflict_all;
};

void serf_say(const struct serf *s, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* time of the next thing to say, and one step on. */
static inline uint64_t
clock_take(uint64_t *clock)
{
	return (*clock)++;
}

static inline void
clock_witness(uint64_t *clock, uint64_t seen)
{
	if (seen >= *clock && seen < UINT64_MAX)
		*clock = seen + 1;
}

/* ---- serf.c ---- */

struct member_entry *member_find(const struct serf *s, struct bytes name);
const char *self_name(const struct serf *s);
/* Tells all by this queue. */
void serf_spread(struct serf *s, struct broadcasts *queue, struct bytes message);
/* The body of a message of this type: appended as type byte and map. */
void serf_body_put(struct buf *out, enum serf_type type, const struct schema *schema, const void *body);

/* What happened to m, for the log and for whoever listens; how: " (forced)" or nothing. */
void member_event(struct serf *s, enum serf_change change, const struct serf_member *m, const char *how, uint64_t now);

/* Forgets it; one that is leaving after its leave had time to spread. */
void member_prune(struct serf *s, struct member_entry *e, uint64_t now);

/* ---- serf_intent.c ---- */

void intents_init(struct serf *s);
void intents_free(struct serf *s);
/* Those about names that never became members. */
void intents_expire(struct serf *s, uint64_t now);
struct intent *intent_find(const struct serf *s, struct bytes name);
void intent_remove(struct serf *s, struct intent *i);
/* true: it is news, to be told on. */
bool intent_leave_take(struct serf *s, const struct serf_leave *l, uint64_t now);
bool intent_join_take(struct serf *s, const struct serf_join *j, uint64_t now);
/* What is said of a member that we see alive: it shall hear of it, and say otherwise if it is old news. */
void intent_leave_spread(struct serf *s, struct bytes name, uint64_t ltime);
/* That we are here. */
void intent_join_spread(struct serf *s, uint64_t ltime);

/* ---- serf_leave.c ---- */

void leave_init(struct serf *s);
void leave_free(struct serf *s);

/* ---- serf_event.c ---- */

void events_free(struct serf *s);
/* An event heard, from a message or a state. true: it is new, and may be told on. */
bool event_take(struct serf *s, const struct serf_event *e);
void query_take(struct serf *s, const struct serf_query *q, struct bytes message, uint64_t now);
void response_take(struct serf *s, const struct serf_query_response *r, uint64_t now);
void relay_take(struct serf *s, struct bytes body);
/* As [nil or serf_events]. */
void events_put(const struct serf *s, struct buf *out);
void events_merge(struct serf *s, struct bytes events);
/* Asks the others who has our name. */
void conflict_vote(struct serf *s, uint64_t now);

#endif

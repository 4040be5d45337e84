/*
 * swim_internal.h - what swim.c (members), swim_state.c (states compared), swim_probe.c and swim_suspicion.c (failure detection) and
 * swim_spread.c (dissemination) share; nobody else includes it, but the simulator to set up a pool that has been there for long
 */
#ifndef GOSSIPD_SWIM_INTERNAL_H
#define GOSSIPD_SWIM_INTERNAL_H

#include "broadcast.h"
#include "hash.h"
#include "log.h"
#include "ring.h"
#include "swim.h"

#define PACKET_MAX (2 * GOSSIP_PACKET_BYTES)
#define PINGS_MAX 1024 /* of others that we relay at a time */

/* Thousands in a pool, and few of them suspected. */
struct swim_node {
	struct swim_member member;
	struct hash_node by_name;
	size_t place;                /* in the list that is probed */
	struct suspicion *suspicion; /* while SUSPECT, else NULL */
};

/* A ping that we pass on for another member. */
struct relay {
	struct swim *swim;
	struct relay *next;
	uint32_t seq, asked_seq;
	struct swim_address asker;
	bool nack;
	struct timer end;
};

enum probe_stage { PROBE_NONE, PROBE_DIRECT, PROBE_INDIRECT };

struct swim {
	struct swim_config config;
	const struct swim_ops *ops;
	void *ctx;
	struct timers *timers;

	struct swim_node **nodes; /* the list that is probed, in random order */
	size_t count, size;
	struct hash_table names;
	struct swim_node *self;
	uint32_t incarnation; /* our counter */
	uint32_t seq;
	unsigned score;
	bool running, leaving, left;

	struct broadcasts *queue;

	struct timer probe_tick, probe_timer, gossip_tick, push_pull_tick;
	size_t probe_at; /* next place in the list */
	enum probe_stage probe_stage;
	char probe_name[SWIM_NAME_MAX];
	uint32_t probe_seq, probe_incarnation;
	uint64_t probe_began, probe_deadline;
	unsigned nacks_wanted, nacks;
	bool probe_stream_acked;
	struct relay *relays;
	size_t relay_count;
};

void swim_say(const struct swim *s, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- swim.c ---- */

struct swim_node *node_find(const struct swim *s, struct bytes name);
static inline struct bytes
swim_ip_bytes(const struct swim_address *a)
{
	return bytes_of(a->ip, a->ip_size);
}
void swim_alive(struct swim *s, const struct gossip_alive *a, uint64_t now);
void swim_suspect(struct swim *s, const struct gossip_accusation *a, uint64_t now);
void swim_dead(struct swim *s, const struct gossip_accusation *a, uint64_t now);
/* Forgets whoever is dead or gone for long enough, and shuffles the list. */
void nodes_sweep(struct swim *s, uint64_t now);

/* ---- swim_probe.c ---- */

void probe_init(struct swim *s);
/* Ticks go on, if they rest. */
void probe_wake(struct swim *s, uint64_t now);
void probe_stop(struct swim *s);
void probe_free(struct swim *s);
void probe_ping(struct swim *s, const struct swim_address *from, struct bytes body);
void probe_indirect_ping(struct swim *s, const struct swim_address *from, struct bytes body, uint64_t now);
void probe_ack(struct swim *s, struct bytes body, uint64_t now);
void probe_nack(struct swim *s, struct bytes body);
/* score += by, within its bounds. */
void score_add(struct swim *s, int by);

/* ---- swim_suspicion.c ---- */

/* n is suspected now, accused by from; it will be dead at the end unless that is stopped. */
void suspicion_start(struct swim *s, struct swim_node *n, struct bytes from, uint64_t now);
void suspicion_stop(struct swim *s, struct swim_node *n);
/* from accuses n, which is suspected, too. false: that is nothing new. */
bool suspicion_confirm(struct swim *s, struct swim_node *n, struct bytes from, uint64_t now);

/* ---- swim_spread.c ---- */

void spread_init(struct swim *s);
void spread_wake(struct swim *s, uint64_t now);
/* It grows with the pool. */
uint64_t push_pull_interval(const struct swim *s);
void spread_stop(struct swim *s);
/* Tells all, in place of what was to be told of this node. */
void spread(struct swim *s, struct bytes node, enum gossip_type type, const struct schema *schema, const void *body,
    broadcast_done *done);
/* Sends message, with as much of what is queued as fits if piggyback. */
void send_message(struct swim *s, const struct swim_address *to, struct bytes message, bool piggyback, bool crc);

#endif

/*
 * gossip.h - gossipd's state, shared by main.c, background.c, serve.c, keys.c and events.c
 */
#ifndef GOSSIPD_GOSSIP_H
#define GOSSIPD_GOSSIP_H

#include <stdbool.h>

#include "daemon.h"
#include "join.h"
#include "pool.h"

struct gossip;

/* Joining at the start, and again and again until it works, and finding those of the last time again: for each pool. */
struct background_join {
	struct gossip *gossip;
	struct pool *pool;
	bool once; /* start_join */
	int64_t interval_ns, attempts_max, attempts;
	ev_timer pause;
	struct join *join;
};
struct rejoin {
	struct pool *pool;
	size_t next;
	struct contact *contact;
};

struct gossip {
	struct daemon *daemon;
	struct pool *pools[2]; /* LAN; WAN on servers, else NULL */
	bool server;
	struct background_join start[2], retry[2];
	struct rejoin rejoin[2];
	unsigned starting; /* start_joins under way: not ready before they end */
	ev_timer flood;
	struct join *flooding;
	bool flood_again;
	struct events *events;
};

#define LAN 0
#define WAN 1

/* ---- background.c ---- */

/* Joins, now and later; the daemon is ready when those that the start waits for are over. */
void background_begin(struct gossip *g);
void background_end(struct gossip *g);
/* A LAN member has come that is perhaps a server that the WAN pool lacks. */
void background_flood(struct gossip *g);

/* ---- serve.c ---- */

extern const struct ipc_method gossip_methods[];
extern const size_t gossip_method_count;
void serve_member(struct gossip *g, const struct pool *p, enum serf_change change, const struct serf_member *m);
void serve_event(struct gossip *g, const struct pool *p, uint64_t ltime, struct bytes name, struct bytes payload);
/* Leaves all pools, then done. */
void gossip_leave(struct gossip *g, void (*done)(void *ctx), void *ctx);

/* ---- keys.c ---- */

void keys_handle(struct ipc_stream *s, struct bytes args, void *ctx);

/* ---- events.c ---- */

struct events *events_new(struct gossip *g);
/* A user event of the LAN pool whose name begins with EVENT_PREFIX. */
#define EVENT_PREFIX "consul:event:"
void events_heard(struct events *e, uint64_t ltime, struct bytes name, struct bytes payload);
void events_handle_fire(struct ipc_stream *s, struct bytes args, void *ctx);
void events_handle_list(struct ipc_stream *s, struct bytes args, void *ctx);

#endif

/*
 * gossip.h - gossipd's state, shared by main.c and serve.c
 */
#ifndef GOSSIPD_GOSSIP_H
#define GOSSIPD_GOSSIP_H

#include <stdbool.h>

#include "daemon.h"
#include "join.h"
#include "member.h"

/* Joining at the start and again and again until it works, one for each pool. */
struct background_join {
	struct gossip *gossip;
	bool wan, once; /* once: start_join */
	int64_t interval_ns, attempts_max, attempts;
	ev_timer pause;
	struct join *join;
};

struct gossip {
	struct daemon *daemon;
	struct self lan, wan;
	bool server, has_wan, coordinates;
	const char *serf_lan, *serf_wan; /* log modules */
	struct background_join start[2], retry[2];
	unsigned starting; /* start_joins under way: not ready before they end */
};

/* ---- serve.c ---- */

extern const struct ipc_method gossip_methods[];
extern const size_t gossip_method_count;
/* This node's status in the pool has changed: tells subscribers. */
void gossip_publish(struct gossip *g, const struct self *self, const char *event);
/* Leaves both pools. */
void gossip_leave(struct gossip *g);

#endif

/*
 * router.h - the servers of this datacenter, and which of them is asked
 *
 * Pure: a list in the order in which servers are tried. Calls go to the first; one that failed goes to the end. From time to time the list
 * is shuffled (whoever owns it says when), so that clients spread over the servers again after some were away.
 */
#ifndef CATALOGD_ROUTER_H
#define CATALOGD_ROUTER_H

#include <stdbool.h>

#include "cdefs.h"
#include "net.h"

#define ROUTER_SERVERS_MAX 64
#define ROUTER_NAME_MAX 256

struct router_server {
	char name[ROUTER_NAME_MAX]; /* node name; of a configured one its address */
	union net_addr address;     /* of its port between nodes */
};

struct router;

MUST_USE struct router *router_new(void);
void router_free(struct router *r);
/* A server that is new or has changed: appended, or replaced in its place. -1: ROUTER_SERVERS_MAX are there, or the name is too long. */
MUST_USE int router_set(struct router *r, const char *name, const union net_addr *address);
/* It left or failed. */
void router_remove(struct router *r, const char *name);
size_t router_count(const struct router *r);
/* In the order in which they are tried; i < router_count. */
const struct router_server *router_at(const struct router *r, size_t i);
/* A call to it failed: to the end, if it is still the first. */
void router_failed(struct router *r, const union net_addr *address);
/* It answered: to the front. */
void router_prefer(struct router *r, const union net_addr *address);
/* random: numbers below n. */
void router_shuffle(struct router *r, uint32_t (*below)(void *ctx, uint32_t n), void *ctx);
/* Nanoseconds to the next rebalancing of a client of so many nodes. random: 0 to 1. */
int64_t router_rebalance_ns(size_t servers, size_t nodes, double random);

#endif

/*
 * gossip.h - the way to gossipd: its subscription, of which there is one in this process, and events that are told to all members
 */
#ifndef CATALOGD_GOSSIP_H
#define CATALOGD_GOSSIP_H

#include "catalogd.h"

struct gossip;

/* The event that a new leader fires; payload: the name of its node. */
#define GOSSIP_NEW_LEADER "consul:new-leader"

/* Subscribes, and goes on doing so; what comes feeds c->members. */
MUST_USE struct gossip *gossip_new(struct catalogd *c);
void gossip_free(struct gossip *g);
/* Tells all members of the LAN pool; a failure is logged. */
void gossip_fire(struct gossip *g, const char *name, struct bytes payload);

#endif

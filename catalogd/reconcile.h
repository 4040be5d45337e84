/*
 * reconcile.h - the leader keeps the catalog and the LAN members in step
 *
 * Each change of a member is looked at when it comes; all members, and the catalog's nodes that are none, once a minute, in small steps. An entry
 * is proposed only if the catalog differs.
 */
#ifndef CATALOGD_RECONCILE_H
#define CATALOGD_RECONCILE_H

#include "catalogd.h"

struct reconcile;

MUST_USE struct reconcile *reconcile_new(struct catalogd *c);
void reconcile_free(struct reconcile *r); /* r may be NULL */
/* This node leads: its own node is registered at once, all members soon. Or no longer. */
void reconcile_start(struct reconcile *r);
void reconcile_stop(struct reconcile *r);

#endif

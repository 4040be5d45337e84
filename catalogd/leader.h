/*
 * leader.h - what the leader does by itself: members into the catalog, tombstones out of it
 */
#ifndef CATALOGD_LEADER_H
#define CATALOGD_LEADER_H

#include "catalogd.h"

struct leader;

MUST_USE struct leader *leader_new(struct catalogd *c);
void leader_free(struct leader *l);
void leader_start(struct leader *l);
void leader_stop(struct leader *l);

#endif

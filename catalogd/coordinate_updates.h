/*
 * coordinate_updates.h - coordinates on their way: this node's own to the servers, those of others into the log
 *
 * Every agent sends its own coordinate of the LAN pool by Coordinate.Update, the less often the more members there are. The leader collects what comes
 * and proposes it once in a period (coordinate_pending.h); the endpoint answers before that.
 */
#ifndef CATALOGD_COORDINATE_UPDATES_H
#define CATALOGD_COORDINATE_UPDATES_H

#include "catalogd.h"

struct coordinate_updates;

MUST_USE struct coordinate_updates *coordinate_updates_new(struct catalogd *c);
void coordinate_updates_free(struct coordinate_updates *u);
/* Nanoseconds between two updates of one node, before the random part of the same size: min_ns, more in a pool of so many members. */
int64_t coordinate_updates_interval_ns(int64_t min_ns, size_t members);

#endif

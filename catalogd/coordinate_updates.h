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

struct coordinate_updates_options {
	bool sends;          /* our own */
	int64_t interval_ns; /* between two of our own, at least */
	int64_t period_ns;   /* between two writes of those that we were told of */
};
struct coordinate_updates_options coordinate_updates_conf(const struct conf *conf);

MUST_USE struct coordinate_updates *coordinate_updates_new(
    struct catalogd *c, const struct coordinate_updates_options *options);
void coordinate_updates_free(struct coordinate_updates *u);
/* Nanoseconds between two updates of one node, before the random part of the same size: min_ns, more in a pool of so many members. */
int64_t coordinate_updates_interval_ns(int64_t min_ns, size_t members);

#endif

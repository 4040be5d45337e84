/*
 * names.h - on a client: notices for those who subscribe here, from queries that wait at a server
 *
 * A subscriber's cache holds what he asked for. So each name that a connection with a subscription asks about is watched from the index of
 * its answer on, by a blocking query, and the subscribers are told when that returns. NAMES_MAX are watched: who is
 * pushed out of this list is told as changed, and comes back by being asked again.
 */
#ifndef CATALOGD_NAMES_H
#define CATALOGD_NAMES_H

#include "catalogd.h"
#include "forward.h"

#define NAMES_MAX 4096

struct names;

MUST_USE struct names *names_new(struct catalogd *c, struct forward *f);
void names_free(struct names *n);
size_t names_count(const struct names *n);

#endif

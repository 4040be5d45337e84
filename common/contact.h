/*
 * contact.h - when a server last heard of its leader, in memory that raftd shares with catalogd
 *
 * raftd writes the time of each word from the leader into a mapping of its own; catalogd maps the same memory for reading, and so knows at each
 * stale read how old its state may be, without a question and also when raftd is stopped or gone. Nobody else can write there, and nobody can
 * shrink it.
 */
#ifndef COMMON_CONTACT_H
#define COMMON_CONTACT_H

#include <stdint.h>

#include "cdefs.h"

struct contact;

/* The writer's. NULL with errno. */
MUST_USE struct contact *contact_new(void);
/* What was received as fd (borrowed). NULL with errno (EBADMSG: it is not one). */
MUST_USE struct contact *contact_map(int fd);
/* c may be NULL. Those who map it keep it. */
void contact_free(struct contact *c);
/* A descriptor for reading, the caller's; -1 with errno. The writer's only. */
MUST_USE int contact_fd(const struct contact *c);
/* CLOCK_BOOTTIME in ns. The writer's only. */
void contact_set(struct contact *c, uint64_t boottime_ns);
/* 0: never. */
uint64_t contact_get(const struct contact *c);

#endif

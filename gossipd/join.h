/*
 * join.h - contacting nodes by name or address, as the join command and the configuration ask
 */
#ifndef GOSSIPD_JOIN_H
#define GOSSIPD_JOIN_H

#include <ev.h>

#include "cdefs.h"
#include "pool.h"

#define JOIN_ADDRESSES_MAX 256
#define JOIN_ERROR_MAX 8192
#define JOIN_HOST_MAX 256

/* joined: addresses contacted; error: the list of failures in the reference's words ("" : none). */
typedef void join_done_cb(void *ctx, unsigned joined, const char *error);

struct join;

/*
 * Contacts the addresses one after the other ("host", "host:port", "[v6]:port", each perhaps with "NODE/" in front; the texts are copied). Our
 * own address is a success. done comes later from the loop, once.
 */
MUST_USE struct join *join_start(
    struct ev_loop *loop, struct pool *pool, const char *const *addresses, size_t count, join_done_cb *done, void *ctx);
/* done will not be called. */
void join_cancel(struct join *j);

/* Takes such a text apart. 1: *address is it; 0: host (JOIN_HOST_MAX bytes) has to be looked up, and *port goes with it; -1: neither. */
MUST_USE int join_target(
    const char *text, uint16_t default_port, struct swim_address *address, char *host, uint16_t *port);

#endif

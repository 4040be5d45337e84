/*
 * join.h - contacting nodes by address
 */
#ifndef GOSSIPD_JOIN_H
#define GOSSIPD_JOIN_H

#include <ev.h>
#include <stdbool.h>

#include "cdefs.h"
#include "member.h"

#define JOIN_ADDRESSES_MAX 256
#define JOIN_TIMEOUT_S 10. /* for one address */
#define JOIN_ERROR_MAX 8192

/* joined: nodes contacted; error: the list of failures in the reference's words ("" : none). */
typedef void join_done_cb(void *ctx, unsigned joined, const char *error);

struct join;

/*
 * Contacts the addresses one after the other ("host", "host:port", "[v6]:port"; the texts are copied). self: our place in the pool; its own
 * address is a success. done comes later from the loop, once.
 */
MUST_USE struct join *join_start(struct ev_loop *loop, const struct self *self, const char *const *addresses,
    size_t count, join_done_cb *done, void *ctx);
/* done will not be called. */
void join_cancel(struct join *j);

#endif

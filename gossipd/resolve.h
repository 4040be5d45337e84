/*
 * resolve.h - addresses of a host name, looked up by a child process: getaddrinfo(3) blocks, and the loop must not
 */
#ifndef GOSSIPD_RESOLVE_H
#define GOSSIPD_RESOLVE_H

#include <ev.h>

#include "cdefs.h"
#include "swim.h"

#define RESOLVE_ADDRESSES_MAX 64
#define RESOLVE_TIMEOUT_S 10.

struct resolve;

/* count 0: error says why ("lookup x: no such host"). */
typedef void resolve_done(void *ctx, const struct swim_address *addresses, size_t count, const char *error);
/* Addresses of host, with port. done comes once, later from the loop. NULL with errno: no process to be had. */
MUST_USE struct resolve *resolve_start(
    struct ev_loop *loop, const char *host, uint16_t port, resolve_done *done, void *ctx);
/* done will not be called. */
void resolve_cancel(struct resolve *r);

#endif

/*
 * servers.h - the servers that a client knows, and which is asked next
 *
 * From the members of the LAN pool (members.h), and for the time before there are any from the list "servers" of consuld.conf. Every two to three minutes, or
 * later in a large pool, the order is shuffled and the first one that answers a ping is preferred.
 */
#ifndef CATALOGD_SERVERS_H
#define CATALOGD_SERVERS_H

#include "catalogd.h"
#include "net.h"
#include "rpcpool.h"

struct servers;

/* changed: told when a server has come or gone. */
MUST_USE struct servers *servers_new(struct catalogd *c, struct rpcpool *pool, void (*changed)(void *ctx), void *ctx);
void servers_free(struct servers *s);
/* The configuration has changed. */
void servers_configure(struct servers *s);
size_t servers_count(const struct servers *s);
/* The one to be asked; false: none is known. */
bool servers_first(const struct servers *s, union net_addr *out);
/* It is one of them. */
bool servers_has(const struct servers *s, const union net_addr *address);
/* A call to it failed: others first. */
void servers_failed(struct servers *s, const union net_addr *address);

#endif

/*
 * pools.h - what a server does in its gossip pools for those who ask it: events, keys, where the datacenters are
 *
 * On a client each of these is a server's to answer. ctx: the struct daemon.
 */
#ifndef CATALOGD_POOLS_H
#define CATALOGD_POOLS_H

#include "ipc.h"

/* Internal.EventFire: event_fire_request -> {}. Any server may be asked. */
void pools_event_fire(struct ipc_stream *s, struct bytes args, void *ctx);
/* Internal.KeyringOperation: keyring_request -> gossip_keyring: the WAN pool first, then our LAN pool. */
void pools_keyring_operation(struct ipc_stream *s, struct bytes args, void *ctx);
/* Coordinate.ListDatacenters: {} -> [datacenter_map] */
void pools_list_datacenters(struct ipc_stream *s, struct bytes args, void *ctx);

#endif

/*
 * rpcserver.h - requests of other nodes, by the port between nodes
 *
 * A connection says by its first byte what it is: one stream of requests, or many (yamux), or it is not ours to serve. Requests are those of
 * catalogd.sock that belong to the reference's language; the body passes as it is.
 */
#ifndef CATALOGD_RPCSERVER_H
#define CATALOGD_RPCSERVER_H

#include <ev.h>

#include "cdefs.h"
#include "ipc.h"
#include "net.h"
#include "wire.h"

#define RPCSERVER_STREAMS_MAX 65536            /* of one connection */
#define RPCSERVER_HELD_MAX (64u * 1024 * 1024) /* bytes of requests that are not whole, one connection */

/* Flags of requests (ipc_stream_flags): another server takes this one for the leader; it came from another node at all. */
#define RPCSERVER_FORWARDED 1u
#define RPCSERVER_REMOTE 2u

/* The first byte of a connection. */
enum rpc_kind {
	RPC_SINGLE = 0,
	RPC_RAFT_REFERENCE = 1,
	RPC_OLD_MULTIPLEX = 2,
	RPC_TLS = 3,
	RPC_MULTIPLEX = 4,
	RPC_SNAPSHOT = 5,
	RPC_GOSSIP = 6,
	RPC_TLS_INSECURE = 7,
	RPC_GRPC = 8,
	RPC_RAFT_FORWARDING = 9,
	RPC_RAFT = 0xc5, /* ours: Raft between servers of this suite */
};

struct rpcserver_options {
	double handshake_s;
	unsigned conns_per_client_max;
};

struct rpcserver;

/* service: what may be asked; NULL: nothing, this node is no server. Its methods are served by ipc_serve. wires and ipc are borrowed. */
MUST_USE struct rpcserver *rpcserver_new(
    struct ipc *ipc, struct wires *wires, const struct ipc_service *service, const struct rpcserver_options *options);
void rpcserver_free(struct rpcserver *r);
void rpcserver_set(struct rpcserver *r, const struct rpcserver_options *options);
/* Connections of kind RPC_RAFT: their socket, of which only the first byte was read, is given away to take, with who it came from. */
void rpcserver_raft_by(struct rpcserver *r, void (*take)(void *ctx, int fd, const union net_addr *from), void *ctx);
/* From now on each request is answered with error (static). */
void rpcserver_refuse(struct rpcserver *r, const char *error);
/* A connection that was accepted; fd is the server's from now on. */
void rpcserver_accepted(struct rpcserver *r, int fd, const union net_addr *from);
size_t rpcserver_connections(const struct rpcserver *r);

#endif

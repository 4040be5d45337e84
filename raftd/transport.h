/*
 * transport.h - Raft's messages between servers: one outgoing connection to each, those that come in, nothing kept for long
 *
 * A connection carries messages one way, from the server that dialled to the one that accepted; answers take the other's own. It begins
 * with TRANSPORT_FIRST_BYTE (which the port's owner reads before it hands the socket over) and a hello; the answer is a welcome, or the
 * reason for a refusal. What is on the wire: consuld-protocol(7).
 *
 * A message is delivered whole, once and in order of its connection, or not at all: what does not fit into a queue, or was under way
 * when a connection ended, is lost, which Raft takes as loss. All buffers and the number of connections are bounded. Server is known by
 * its ID; where it is, is told by transport_peers_set.
 */
#ifndef RAFTD_TRANSPORT_H
#define RAFTD_TRANSPORT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "cdefs.h"
#include "message.h"

#define TRANSPORT_FIRST_BYTE 0xC5
#define TRANSPORT_MESSAGE_BYTES_MAX (9u * 1024 * 1024) /* the largest entry, and its head */
#define TRANSPORT_QUEUE_BYTES_MAX (24u * 1024 * 1024)  /* to one server */
#define TRANSPORT_PEERS_MAX (2 * RAFT_MEMBERS_MAX)     /* of several configurations, or learned */
#define TRANSPORT_INCOMING_MAX (2 * RAFT_MEMBERS_MAX)
#define TRANSPORT_STRANGERS_MAX 32 /* connections that have not said who they are */

struct transport;

struct transport_ops {
	/* A message from a server that was let in; bytes are valid during the call. */
	void (*message)(void *ctx, struct raft_id from, struct bytes bytes);
	/* A server that was let in says where it is to be found. */
	void (*learned)(void *ctx, struct raft_id from, const char *address);
};

struct transport_peer {
	struct raft_id id;
	char address[MEMBER_ADDRESS_MAX]; /* "127.0.0.1:8300"; empty: not known, nothing is sent */
};

/* address: our own, told to those whom we dial. */
MUST_USE struct transport *transport_new(
    struct ev_loop *loop, struct raft_id self, const char *address, const struct transport_ops *ops, void *ctx);
/* t may be NULL. Not from a callback. */
void transport_free(struct transport *t);

/* The cluster that this server belongs to; none: it belongs to none yet, and is let in and lets in everywhere. */
void transport_cluster_set(struct transport *t, struct raft_id cluster);
/*
 * Whom there is to speak to; connections to others end. One whose address has changed is dialled anew. A server that belongs to no cluster is let
 * in only if it is among these, or we belong to none either.
 */
void transport_peers_set(struct transport *t, const struct transport_peer *peers, size_t count);

/*
 * Where to append one message to this server, to be followed by transport_end. NULL: it is lost. Dials if need be, and not too often.
 */
MUST_USE struct buf *transport_begin(struct transport *t, struct raft_id to);
/* keep false: the message is taken back. */
void transport_end(struct transport *t, bool keep);
/* Writes what was gathered: once per loop turn. */
void transport_flush(struct transport *t);

/* A socket whose first byte was TRANSPORT_FIRST_BYTE; owned from now on. peer: for the log. */
void transport_accept(struct transport *t, int fd, const char *peer);

/* It has let us in, and the connection stands. */
bool transport_connected(const struct transport *t, struct raft_id to);
/* Messages that were lost because a queue was full or nobody was there. */
uint64_t transport_lost(const struct transport *t);

#endif

/*
 * transport_internal.h - what transport.c and transport_in.c share
 */
#ifndef RAFTD_TRANSPORT_INTERNAL_H
#define RAFTD_TRANSPORT_INTERNAL_H

#include "ring.h"
#include "transport.h"
#include "uuid.h"

#define MODULE "agent.server.raft"

#define TRANSPORT_VERSION 1
#define TRANSPORT_REFUSAL_MAX 256
#define HELLO_BYTES (1 + HELLO_HEAD_BYTES) /* without the address */
#define HELLO_HEAD_BYTES 50u               /* version, cluster, from, to, length of the address */
#define FRAME_HEAD_BYTES 8u                /* length, CRC-32C of the message */
#define GREETING_S 1.0

enum peer_state { PEER_AWAY, PEER_GREETING, PEER_UP };

/* A server that we dial. Invariant: fd is -1 and out is empty when it is away. */
struct peer {
	struct transport *transport;
	struct raft_id id;
	char address[MEMBER_ADDRESS_MAX];
	enum peer_state state;
	int fd;
	struct ev_io read, write;
	struct ev_timer greeting;
	struct buf out;    /* hello and messages that are not written whole */
	size_t sent;       /* bytes of it */
	uint64_t messages; /* in it */
	uint8_t reply[2 + TRANSPORT_REFUSAL_MAX];
	size_t reply_bytes;
	ev_tstamp retry_at;
	double backoff_s;
	char error[TRANSPORT_REFUSAL_MAX + 32]; /* the one logged last; empty: it was there since */
	bool wanted;
};

struct transport {
	struct ev_loop *loop;
	struct raft_id self, cluster;
	char address[MEMBER_ADDRESS_MAX];
	const struct transport_ops *ops;
	void *ctx;
	struct peer *peers[TRANSPORT_PEERS_MAX];
	size_t peer_count;
	struct peer *writing; /* between begin and end */
	size_t message_at;
	struct ring incoming; /* oldest first */
	size_t incoming_count, stranger_count;
	uint64_t lost;
	struct log_limit refusals;
};

/* ---- transport.c ---- */

struct peer *transport_peer_find(const struct transport *t, struct raft_id id);
void transport_socket_tune(int fd);

/* ---- transport_in.c ---- */

void transport_in_close_all(struct transport *t);

#endif

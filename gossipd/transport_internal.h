/*
 * transport_internal.h - what transport.c (sockets, packets) and stream.c (exchanges by stream) share; nobody else includes it
 */
#ifndef GOSSIPD_TRANSPORT_INTERNAL_H
#define GOSSIPD_TRANSPORT_INTERNAL_H

#include "log.h"
#include "ring.h"
#include "transport.h"

#define PACKETS_BATCH 32
#define LOG_BURST 10 /* lines a minute that peers can provoke, for each kind */

struct outgoing {
	union net_addr to;
	struct buf packet;
};

struct transport_socket {
	ev_io io;
	struct transport *transport;
};

struct transport {
	struct ev_loop *loop;
	struct transport_config config;
	const struct transport_ops *ops;
	void *ctx;
	struct transport_socket datagrams[TRANSPORT_SOCKETS_MAX], listeners[TRANSPORT_SOCKETS_MAX];
	bool v6[TRANSPORT_SOCKETS_MAX]; /* family of each datagram socket */
	struct outgoing outgoing[PACKETS_BATCH];
	size_t outgoing_count;
	struct buf plain; /* of the packet at hand */
	struct ring streams;
	size_t in_count, out_count;
	ev_timer accept_pause;
	double accept_pause_s;
	struct log_limit bad_packets, bad_streams, failed_sends;
};

/* ---- stream.c ---- */

/* A connection that came in; fd is the stream's. */
void stream_accept(struct transport *t, int fd, const union net_addr *from);
void streams_free(struct transport *t);

#endif

/*
 * transport.h - a pool's sockets: packets in batches, and exchanges by stream, each on a short connection of its own
 *
 * Bounds: inbound streams at a time (STREAMS_IN_MAX), outbound ones (STREAMS_OUT_MAX), bytes of one state (GOSSIP_STREAM_MAX) and of all
 * that are under way in this process (STREAMS_BYTES_MAX); each stage of an exchange has a deadline. What is beyond is closed.
 */
#ifndef GOSSIPD_TRANSPORT_H
#define GOSSIPD_TRANSPORT_H

#include <ev.h>
#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "envelope.h"
#include "net.h"
#include "swim.h"

#define STREAMS_IN_MAX 128
#define STREAMS_OUT_MAX 128
#define STREAMS_BYTES_MAX (96u * 1024 * 1024)
#define TRANSPORT_SOCKETS_MAX 8

/* What the transport asks. Pointers in arguments are valid during the call. */
struct transport_ops {
	/* One message of a packet. */
	void (*part)(void *ctx, const struct swim_address *from, struct bytes message);
	/* Appends our push/pull message. */
	void (*state_put)(void *ctx, bool join, struct buf *out);
	/*
	 * The state of one who came to us (body of its push/pull), after ours was put. Not 0: refused, error (SWIM_ERROR_MAX) says why;
	 * ADMIT_APART (admit.h): and he is told that instead of our state.
	 */
	int (*state_take)(void *ctx, struct bytes body, char *error);
	/* Body of a ping: appends the answer. -1: it is not for us. */
	int (*ping)(void *ctx, struct bytes body, struct buf *out);
	void (*user)(void *ctx, struct bytes message);
	/* A ping of ours by stream was answered. */
	void (*stream_acked)(void *ctx, uint32_t seq);
};

struct transport_config {
	const char *module; /* of log lines */
	double timeout_s;   /* of a stage of an exchange */
	const struct envelope *envelope;
	const int *datagrams, *listeners; /* owned from now on */
	size_t datagram_count, listener_count;
};

struct transport;
struct stream;

MUST_USE struct transport *transport_new(
    struct ev_loop *loop, const struct transport_config *config, const struct transport_ops *ops, void *ctx);
/* Callbacks of exchanges under way are not called. */
void transport_free(struct transport *t);

/* Queues a packet for the next transport_flush(). crc: the receiver understands checksums. */
void transport_packet(struct transport *t, const struct swim_address *to, struct bytes message, bool crc);
/* Sends what is queued. */
void transport_flush(struct transport *t);

/* error NULL: body is the peer's state (body of its push/pull). Called once, later from the loop. */
typedef void transport_done(void *ctx, const char *error, struct bytes body);
/* Exchanges states. NULL: too many are under way. */
MUST_USE struct stream *transport_push_pull(
    struct transport *t, const struct swim_address *to, bool join, transport_done *done, void *ctx);
/* done will not be called. */
void transport_cancel(struct stream *s);
/* Sends a ping message; stream_acked if the answer is its. */
void transport_stream_ping(struct transport *t, const struct swim_address *to, struct bytes message, uint32_t seq);

void transport_address_of(const union net_addr *a, struct swim_address *out);
void transport_net_addr_of(const struct swim_address *a, union net_addr *out);

#endif

/*
 * conn.h - HTTP/1 connections: bytes in, one request at a time out to a handler, answers back in order
 *
 * A connection reads ahead of the request that is being answered only so far (CONN_AHEAD_BYTES), so pipelined requests are
 * answered in order without a queue. While it is idle or its request is parked it owns no buffer: what stays is struct conn
 * with the exchange in it.
 *
 * Bounds: a head has head_bytes_max (431), a body what the handler's body_max says for its path; connections per client address
 * (429). A head or body that makes no progress for CONN_STALL_S, or an answer that is not taken for so long, ends the connection; an idle
 * kept-alive connection may stay.
 */
#ifndef HTTPD_CONN_H
#define HTTPD_CONN_H

#include <ev.h>
#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "http1.h"
#include "ipc.h"
#include "net.h"

#define CONN_AHEAD_BYTES (64u * 1024)
#define CONN_BODY_BYTES_MAX (8u * 1024 * 1024) /* no body_max is above this */
#define CONN_STALL_S 60
#define CONN_LINGER_S 2                  /* after an early answer: read on before closing */
#define CONN_STREAM_BYTES_MAX (1u << 20) /* a streamed answer's unsent bytes; beyond, lines are dropped */

struct conns;
struct conn;
struct trace;
struct wish;
struct route;
struct request;

/* One request and its answer, as long as it is not given. Embedded in its connection; dead once answered. */
struct exchange {
	struct conn *conn;
	struct ipc_call *call; /* the question it waits for; cancelled when the client goes. NULL: none */
	void (*answer)(struct exchange *x, const struct ipc_answer *a);
	const void *form;                  /* for answer */
	void *more;                        /* the handler's own, given back by ended */
	void (*ended)(struct exchange *x); /* the client has gone or the answer is given: free more. May be NULL */
	const struct route *route;
	struct trace *trace; /* trace.h; handed to the handler's ended at the end */
	struct wish *wish;   /* copies.h; likewise */
	uint32_t flags;      /* reply.h */
	bool waits;          /* for a change: given up when the client closes its side */
};

/* A counted run of bytes, sent to many clients from one copy. */
struct blob {
	unsigned users;
	size_t size;
	uint8_t data[];
};
struct blob *blob_new(struct bytes head, struct bytes body);
void blob_release(struct blob *b);

/* What is handed to the handler; all bytes live until it returns. */
struct incoming {
	const struct http1_head *head;
	struct bytes body;
	bool too_large;     /* the body passed body_max and was not read: the connection is closed after the answer */
	uint64_t body_size; /* announced, or counted so far */
};

struct conn_handler {
	/* Bytes a body may have for this request. */
	size_t (*body_max)(const struct http1_head *head);
	/*
	 * An answer that can be given at once to the request at the front of in, all of which has been read: its bytes, and in *used those of
	 * the request. Size 0: dispatch it. The connection stays afterwards.
	 */
	struct bytes (*known)(struct bytes in, size_t *used);
	/* Answers x now or later. */
	void (*dispatch)(struct exchange *x, const struct incoming *in);
	/* x with a trace is answered or given up. */
	void (*ended)(struct exchange *x);
};

MUST_USE struct conns *conns_new(struct ev_loop *loop, const struct conn_handler *handler, size_t head_bytes_max);
/* fd: a listening socket, owned from now on. */
void conns_listen(struct conns *cs, int fd);
/* 0: no limit. Those that are open stay. */
void conns_set_per_client(struct conns *cs, unsigned max);
/* No new connections; idle ones are closed, the others after their answer. */
void conns_stop(struct conns *cs);
size_t conns_open(const struct conns *cs);
void conns_free(struct conns *cs);
/* Ends the connections whose deadline has passed at now; the loop does it by itself (tests). */
void conns_expire(struct conns *cs, double now);
/* Takes a connected socket as if it had been accepted (tests). */
void conns_add(struct conns *cs, int fd, const union net_addr *peer);

/*
 * The whole answer, head and body; copies what the socket does not take now. Ends the exchange. close_after: the client is told so in
 * head, the connection ends.
 */
void conn_answer(struct exchange *x, struct bytes head, struct bytes body, bool close_after);
/* The same with bytes that many share; takes a reference of its own. */
void conn_answer_blob(struct exchange *x, struct blob *b, bool close_after);
/* An answer in pieces: head now, then data as it comes (false: the client is too slow, data was dropped), then the end. */
void conn_stream(struct exchange *x, struct bytes head);
bool conn_stream_put(struct exchange *x, struct bytes data);
void conn_stream_end(struct exchange *x);
/* The client's address; family AF_UNIX for local sockets. */
union net_addr conn_peer(const struct exchange *x);
/* The request is read as a whole and has nothing behind it, so keeping the connection is possible. */
bool conn_may_keep(const struct exchange *x);

#endif

/*
 * ipc.h - requests between the suite's processes: connections, streams, calls
 *
 * One struct ipc per process ties everything to its libev loop. Connections are symmetrical: both ends may call
 * the other and serve it. Output is gathered over one loop turn and written once before the loop sleeps
 * (ev_prepare at the lowest priority; a daemon that batches work does so in an ev_prepare of higher priority).
 *
 * Bounds: FRAME_*_BYTES_MAX per frame; IPC_STREAMS_MAX open streams per connection (beyond: refused with
 * status 503 "too many requests"); a connection whose unsent output passes IPC_OUT_HIGH is not read until the peer has
 * taken it. A bad frame ends its connection and nothing else. Peers: root, our own user, or our own group (SO_PEERCRED).
 *
 * Serving: a handler answers at once or keeps the stream. A stream ends by exactly one of ipc_reply, ipc_fail,
 * ipc_reply_many, or by the peer (cancel or lost connection), which calls the stream's end callback if it has one; after
 * that the pointer is dead.
 */
#ifndef COMMON_IPC_H
#define COMMON_IPC_H

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

#include "buf.h"
#include "cdefs.h"
#include "mp.h"

#define IPC_STREAMS_MAX 200000
#define IPC_OUT_HIGH (8u * 1024 * 1024)
#define IPC_OUT_LOW (1u * 1024 * 1024)

struct ipc;          /* this process */
struct ipc_listener; /* one listening socket */
struct ipc_conn;     /* one connection */
struct ipc_peer;     /* a neighbour: a path that is connected to, again and again */
struct ipc_stream;   /* a request that we are serving */
struct ipc_call;     /* a request of ours that is not answered yet */

/* args: the request's arguments, valid during the call. */
typedef void ipc_handler(struct ipc_stream *s, struct bytes args, void *ctx);

struct ipc_method {
	const char *name; /* "KVS.Get" */
	ipc_handler *handler;
};

/* A set of methods; must outlive what uses it. An unknown method is answered "rpc: can't find method X". */
struct ipc_service {
	const struct ipc_method *methods;
	size_t count;
	void *ctx;
};

/* program: our name, for HELLO. */
MUST_USE struct ipc *ipc_new(struct ev_loop *loop, const char *program);
struct ev_loop *ipc_loop(const struct ipc *ipc);
/* Writes what is gathered, as far as it goes without blocking. For before exit; the loop does it by itself. */
void ipc_flush(struct ipc *ipc);
/* Closes everything; calls end without callbacks. */
void ipc_free(struct ipc *ipc);

/* ---- serving ---- */

/* fd: a listening socket (net_listen_unix), owned from now on. */
MUST_USE struct ipc_listener *ipc_listen(struct ipc *ipc, int fd, const struct ipc_service *service);
void ipc_listener_close(struct ipc_listener *l);

/* Success; body: one msgpack value (size 0: an empty map). */
void ipc_reply(struct ipc_stream *s, struct bytes body);
/* The same with a descriptor, which is closed once sent (or on error). */
void ipc_reply_fd(struct ipc_stream *s, struct bytes body, int fd);
/* Error text; status: the HTTP status a front end should answer with, 0: its own table decides. */
void ipc_fail(struct ipc_stream *s, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* One answer for all of these streams, sent once per connection. The array may be reordered. */
void ipc_reply_many(struct ipc_stream **streams, size_t count, struct bytes body);
/* One element of a stream that goes on. false: the peer has granted less credit than body needs; nothing was sent, the credit callback will tell. */
MUST_USE bool ipc_push(struct ipc_stream *s, struct bytes body);
/* Bytes of DATA payload that may be pushed now. A stream starts with none; the caller grants (ipc_grant). */
size_t ipc_stream_credit(const struct ipc_stream *s);
/* The end callback is called when the peer cancelled or vanished; the credit callback when credit arrived. Either may be NULL. */
void ipc_stream_watch(struct ipc_stream *s, void (*ended)(struct ipc_stream *s, void *ctx),
    void (*credit)(struct ipc_stream *s, void *ctx), void *ctx);
/* The descriptor that came with the request (the caller owns it then), or -1. */
MUST_USE int ipc_stream_take_fd(struct ipc_stream *s);
uid_t ipc_stream_uid(const struct ipc_stream *s);
/* Program name from the peer's HELLO. */
const char *ipc_stream_program(const struct ipc_stream *s);
/* The connection it came by, for calls in the other direction. */
struct ipc_conn *ipc_stream_conn(const struct ipc_stream *s);
/* The name of its method, as it stands in the service. */
const char *ipc_stream_method(const struct ipc_stream *s);

/* A method of service by name; NULL: there is none. */
const struct ipc_method *ipc_method_find(struct ipc *ipc, const struct ipc_service *service, struct bytes name);

/* ---- calling ---- */

/*
 * A neighbour, by the path of its socket (relative to the working directory). Connects now and whenever the connection is lost
 * (1 ms back-off growing to 250 ms, with jitter). service: what it may call on us over this connection; may be NULL.
 */
MUST_USE struct ipc_peer *ipc_peer_new(struct ipc *ipc, const char *path, const struct ipc_service *service);
bool ipc_peer_connected(const struct ipc_peer *p);
/* up/down: called at each change; either may be NULL. */
void ipc_peer_watch(struct ipc_peer *p, void (*up)(void *ctx), void (*down)(void *ctx), void *ctx);
void ipc_peer_free(struct ipc_peer *p);
/* A connected socket instead of a path (the control socket that a supervisor hands down). dialler: this side opens odd streams. Not connected again: down is final. */
MUST_USE struct ipc_peer *ipc_peer_from_fd(struct ipc *ipc, int fd, bool dialler, const struct ipc_service *service);

enum ipc_status {
	IPC_OK,       /* body is set */
	IPC_ERROR,    /* the neighbour refused: error, code */
	IPC_NOT_SENT, /* the deadline passed before there was a connection: it never left */
	IPC_LOST,     /* sent, and the connection was lost: the outcome is unknown (IPC_RESEND: never reported) */
	IPC_EXPIRED,  /* sent, no answer within the deadline; it was cancelled, the outcome is unknown */
};

struct ipc_answer {
	enum ipc_status status;
	unsigned code;      /* with IPC_ERROR: wanted HTTP status or 0 */
	struct bytes error; /* with IPC_ERROR: text; else a text of ours */
	struct bytes body;  /* one msgpack value, valid during the callback */
	int fd;             /* -1, or a descriptor that the callback now owns */
	bool more;          /* a DATA element: the call goes on */
	bool
	    shared; /* this body goes to several calls of ours, one callback after the other, with the same body.data */
	uint64_t
	    frame; /* number of the frame it came in: equal in all callbacks of one shared body, and in no others */
};
typedef void ipc_answer_cb(void *ctx, const struct ipc_answer *answer);

/*
 * Serves a request that came in another way than by our sockets (from a node elsewhere): answered is called once, perhaps before this
 * returns; NULL was returned then. flags: for the handler (ipc_stream_flags). Not for methods that push or give descriptors.
 * answered may ask anew, but must not cancel other requests: one answer may be for many of them.
 */
struct ipc_stream *ipc_serve(struct ipc *ipc, const struct ipc_service *service, const struct ipc_method *method,
    struct bytes args, unsigned flags, ipc_answer_cb *answered, void *ctx);
/* What ipc_serve was given; 0 for what came by a socket of ours. */
unsigned ipc_stream_flags(const struct ipc_stream *s);
/* Whoever asked is gone: no callback will come any more. */
void ipc_serve_cancel(struct ipc_stream *s);

#define IPC_RESEND 1u /* a read: sent again on a new connection for the rest of its time */

struct ipc_call_options {
	int64_t timeout_ms; /* 0: none */
	unsigned flags;
	uint32_t credit; /* DATA bytes granted at the start, for calls that stream */
	int fd;          /* -1 or 0: none; else a descriptor that goes along (closed once sent) */
};

/*
 * Sends a request (or keeps it until there is a connection). args is copied; size 0: an empty map. The callback comes later from the loop,
 * once (or, for a streaming method, once per element and then once with more == false), never from within ipc_call.
 */
struct ipc_call *ipc_call(struct ipc_peer *p, const char *method, struct bytes args,
    const struct ipc_call_options *options, ipc_answer_cb *cb, void *ctx);
/* No callback will come any more; the peer is told. */
void ipc_cancel(struct ipc_call *c);
/* Grants so many more bytes of DATA. */
void ipc_grant(struct ipc_call *c, uint32_t bytes);

#endif

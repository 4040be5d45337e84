/*
 * forward.h - requests that are answered elsewhere: on a client by a server, on a server by the leader
 *
 * The body passes as it is, in both directions; so do errors, with the reference's prefix. What failed is tried again within the hold time
 * (rpc_hold_timeout) if that can do no harm: reads always, writes only when it is known that they did not reach the log. Equal queries that wait
 * for a change, for however long, are asked once for all who wait here. Whoever joins a question that has left is not answered by what was found for
 * it (that may be older than his own writes), but by the question that follows.
 */
#ifndef CATALOGD_FORWARD_H
#define CATALOGD_FORWARD_H

#include <ev.h>
#include <stdbool.h>

#include "cdefs.h"
#include "ipc.h"
#include "net.h"
#include "rpcpool.h"

#define FORWARD_ASKERS_MAX 150000
#define FORWARD_BYTES_MAX (64u * 1024 * 1024) /* of arguments */

struct forward_options {
	int64_t hold_ns;    /* how long it is tried again */
	int64_t timeout_ns; /* for an answer, besides the time that a query asks to wait */
	int64_t
	    quiet_ns; /* a server that has not answered within this is not the first to be asked any more; reads go to another one, once */
	int64_t default_wait_ns, max_wait_ns;
};

enum forward_where {
	FORWARD_THERE,   /* *to is asked; *as_leader: it is taken for the leader */
	FORWARD_HERE,    /* this process can answer by itself now */
	FORWARD_NOWHERE, /* *error says why (static storage) */
};

struct forward_ops {
	enum forward_where (*target)(void *ctx, union net_addr *to, bool *as_leader, const char **error);
	/* It is one of those that are asked: a call under way there is left alone. */
	bool (*asked)(void *ctx, const union net_addr *to);
	/* A call to that server failed. */
	void (*failed)(void *ctx, const union net_addr *to);
	/* Serves a request that came for others. Only called after FORWARD_HERE; may be NULL if that is never said. */
	void (*here)(void *ctx, struct ipc_stream *s, struct bytes args);
};

struct forward;

MUST_USE struct forward *forward_new(struct ev_loop *loop, struct rpcpool *pool, const struct forward_options *options,
    const struct forward_ops *ops, void *ctx);
/* Streams are not answered. */
void forward_free(struct forward *f);
void forward_set(struct forward *f, const struct forward_options *options);
/*
 * Who is asked has changed. What waits for a next try is tried now; what is under way to a server that is not asked any more is asked anew, if it is
 * a read. A write has the hold time left: then its outcome is unknown.
 */
void forward_changed(struct forward *f);
/* Takes the request over. read: it may be sent again whatever happened to it. method: static storage. */
void forward_request(struct forward *f, struct ipc_stream *s, const char *method, struct bytes args, bool read);
/* Told of each answer to a read that does not wait, after it was given; conn: who asked. */
typedef void forward_observer(
    void *ctx, struct ipc_conn *conn, const char *method, struct bytes args, struct bytes body);
void forward_observe(struct forward *f, forward_observer *observer, void *ctx);
size_t forward_askers(const struct forward *f);
size_t forward_flights(const struct forward *f);

#endif

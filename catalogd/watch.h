/*
 * watch.h - who is to be told of a change: parked queries and subscriptions
 *
 * A name of the state that can be waited for is a kind and some bytes. Apply functions touch names (apply_touch); queries declare the names
 * they depend on (query_watch). After a batch is committed each group of equal parked queries that hangs on a touched name
 * is evaluated once. Names are compared bytewise: both sides fold case the same way.
 */
#ifndef CATALOGD_WATCH_H
#define CATALOGD_WATCH_H

#include <stdbool.h>

#include "cdefs.h"
#include "ipc.h"

enum watch_kind {
	WATCH_ALL, /* name "": touched when the whole state was replaced; wakes everybody */
	WATCH_TABLE, /* any change in a table as Consul counts it: "nodes" "services" "checks" "sessions" "kvs" "coordinates" */
	WATCH_KEY,         /* one KV key; touching it also wakes WATCH_PREFIX of its prefixes */
	WATCH_PREFIX,      /* all KV keys that begin with name; watched, never touched by itself */
	WATCH_SESSION,     /* one session ID */
	WATCH_NODE,        /* a node's record or its services (name folded) */
	WATCH_NODE_CHECKS, /* the checks of a node (name folded) */
	WATCH_SERVICE,     /* the instances of a service name and their nodes (name folded) */
	WATCH_HEALTH,      /* the same and their checks: touch it whenever health/service/NAME may have changed */
	WATCH_CHECKS,      /* the checks of a service name (name folded) */
	WATCH_STATE,       /* the checks in a status: "passing" "warning" "critical" */
	WATCH_CONNECT,     /* instances that health/connect/NAME would find, their nodes and checks */
	WATCH_COORDINATE,  /* the network coordinates of a node (name folded) */
	WATCH_KIND_COUNT
};

struct publish; /* publish.h */
struct watch;   /* all of it */
struct query;   /* query.h */

/*
 * Runs q (arguments and endpoint are set) under the turn's read transaction; q->out, q->index and what it watches are the
 * result. 0, or -1: q->error. Given by serve.c.
 */
typedef int watch_run(struct query *q, void *ctx);

MUST_USE struct watch *watch_new(struct ev_loop *loop, watch_run *run, void *ctx);
void watch_free(struct watch *w);
/* How long a query waits that does not say, and the cap on what it says (300 s and 600 s at first). */
void watch_times(struct watch *w, int64_t default_ns, int64_t max_ns);
struct endpoint; /* endpoint.h */

/* What queries that are not stale need besides the state: leadership. */
struct watch_leader {
	/* A lease holds at this moment. */
	bool (*lease_holds)(void *ctx);
	/* Asks whether this node still leads; the answer comes later by watch_verified, once for each call. At most one question is open. */
	void (*verify)(void *ctx);
	/* Takes a parked query whose state is not to be answered from any more, with arguments for the rest of its wait. It may come to be parked again. */
	void (*goes)(void *ctx, struct ipc_stream *s, const struct endpoint *endpoint, struct bytes args);
};
/* Before anything is parked; leader must outlive w. Without it all queries are treated as stale ones. */
void watch_lead_by(struct watch *w, const struct watch_leader *leader, void *ctx);
/* leads: what was touched before the question is evaluated now; else its members go elsewhere. */
void watch_verified(struct watch *w, bool leads);
/* Another node leads: all parked queries that are not stale go there. */
void watch_moved(struct watch *w);
/* The query that runs are made with: whoever made w fills in what does not change (datacenter, node name). */
struct query *watch_query(struct watch *w);

/*
 * Parks stream s whose query has been run once: index is that run's, and not above min_index. The group is found by endpoint and arguments
 * (those that only say how long to wait left out). q->max_time_ns is what was asked for; default, cap and jitter are put on here.
 */
void watch_park(struct watch *w, struct ipc_stream *s, const struct query *q);
/* Names touched by the batch that has just been committed: gathers, then wakes by watch_wake. */
void watch_touch(struct watch *w, enum watch_kind kind, struct bytes name);
/* Evaluates what was touched; once per batch, after the commit. */
void watch_wake(struct watch *w);
/* Names touched are also told to p, at the touch. */
void watch_publish(struct watch *w, struct publish *p);
/* One observer of all touched names of a kind, told at the touch (before the commit). */
void watch_observe(struct watch *w, enum watch_kind kind, void (*touched)(void *ctx, struct bytes name), void *ctx);
size_t watch_parked(const struct watch *w);
size_t watch_groups(const struct watch *w);

/*
 * Serves the method Subscribe: a stream whose elements are arrays of [Kind, Name] pairs, one element for each batch: "service" (WATCH_HEALTH),
 * "node" (WATCH_NODE), and "reset" when everything may have changed (the first element, and after notices that found no credit).
 */
void watch_subscribe(struct watch *w, struct ipc_stream *s);
/* One of its streams is a subscription. */
bool watch_subscribed(const struct watch *w, const struct ipc_conn *conn);

#endif

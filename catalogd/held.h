/*
 * held.h - requests that wait here: for a leader, or for a quorum's word that this node still leads
 *
 * Each waits until the end of its hold time (performance.rpc_hold_timeout from when it came), however often it is tried and held again; then it fails
 * with "No cluster leader". Who is gone is forgotten. Bounded in number and bytes; beyond, requests fail at once.
 */
#ifndef CATALOGD_HELD_H
#define CATALOGD_HELD_H

#include <stdbool.h>

#include "catalogd.h"

struct endpoint;
struct held;

struct request {
	struct ipc_stream *stream;
	const struct endpoint *endpoint;
	struct bytes args;
	ev_tstamp until; /* end of its hold time, by the loop's clock; 0: it has just come */
	bool confirmed;  /* since it came a quorum has confirmed an index, and the store has it */
};

/* Serves a request that was held; r and its arguments are valid during the call. */
typedef void held_serve(void *ctx, const struct request *r);

MUST_USE struct held *held_new(struct catalogd *c, held_serve *serve, void *ctx);
/* Streams are not answered. */
void held_free(struct held *h);
/* When the hold time of a request that has just come is over. */
ev_tstamp held_until(const struct held *h);
/* Until held_leader_changed. */
void held_for_leader(struct held *h, const struct request *r);
/* Until raftd has asked the other servers: one question for all that came while the last one was under way. Served confirmed, if this node leads. */
void held_for_quorum(struct held *h, const struct request *r);
/* Whether this node is ready to lead, or which one leads, has changed. */
void held_leader_changed(struct held *h);
/* The store has got further. */
void held_applied(struct held *h);

/* Asks raftd whether this node still leads. */
void held_ask_quorum(struct held *h, ipc_answer_cb *answered, void *ctx);
/* Its answer: the index up to which the state must have come to be as new as the question; 0: this node does not lead, or nobody knows. */
uint64_t held_quorum_index(const struct ipc_answer *answer);

#endif

/*
 * neighbour.h - a request that another daemon of this node answers: asked for a stream, given up with it
 */
#ifndef CATALOGD_NEIGHBOUR_H
#define CATALOGD_NEIGHBOUR_H

#include "catalogd.h"

struct neighbour_question;

/* For answered: the stream that is to be ended by it, and whose process this is. q is gone. */
struct neighbour_asker {
	struct catalogd *c;
	struct ipc_stream *stream;
};
MUST_USE struct neighbour_asker neighbour_end(struct neighbour_question *q);

/*
 * Asks peer ("raftd", "gossipd") for s. answered is called with the struct neighbour_question as ctx, once, unless whoever asked is gone before;
 * it calls neighbour_end first. flags: of ipc_call.
 */
struct neighbour_ask {
	const char *peer, *method;
	struct bytes args;
	int64_t timeout_ms;
	unsigned flags;
};
void neighbour_ask(struct catalogd *c, struct ipc_stream *s, const struct neighbour_ask *ask, ipc_answer_cb *answered);
/* For answered: the neighbour's refusal is the answer, with prefix in front of it. */
void neighbour_fail(struct ipc_stream *s, const struct ipc_answer *answer, const char *prefix);

#endif

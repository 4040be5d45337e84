/*
 * proposals.h - writes on their way into the log and back: what was asked for, what was sent, what is known of each
 *
 * Pure: no socket, no clock (callers say what time it is). A proposal is WAITING, or SENT in a term; it ends by exactly one call of
 * its callback. Each sending gives it a new sequence number; (nonce, sequence) in an entry that comes out of the log names it.
 *
 * A sent proposal is known not to be in the log when it was refused, or when an entry of a later term has come out of the log
 * before it: entries of older terms can not follow. Then it may be sent again. Otherwise its outcome is unknown, and
 * whoever asked is told so at the deadline: it is never sent twice.
 */
#ifndef CATALOGD_PROPOSALS_H
#define CATALOGD_PROPOSALS_H

#include <stdbool.h>

#include "apply.h"
#include "buf.h"
#include "cdefs.h"

#define PROPOSALS_COUNT_MAX 100000
#define PROPOSALS_BYTES_MAX (64u * 1024 * 1024)

enum proposal_outcome {
	PROPOSAL_APPLIED,   /* reply is set */
	PROPOSAL_REFUSED,   /* by apply: error, status */
	PROPOSAL_NO_LEADER, /* never reached the log: this node does not lead */
	PROPOSAL_FAILED,    /* never reached the log: error */
	PROPOSAL_UNKNOWN,   /* may or may not come to be applied */
};

struct proposal_result {
	enum proposal_outcome outcome;
	struct bytes reply;
	unsigned status;
	const char *error;
};
typedef void proposal_done(void *ctx, const struct proposal_result *result);

struct proposals;
struct proposal;

/* nonce: random, tells this process's entries from all others. */
MUST_USE struct proposals *proposals_new(uint64_t nonce);
/* No callbacks. */
void proposals_free(struct proposals *p);

struct proposal_options {
	enum apply_type type;
	int64_t time_ns; /* wall clock, goes into the entry */
	struct bytes body;
	int64_t send_deadline_ns;    /* monotonic: to be sent until then */
	int64_t outcome_deadline_ns; /* monotonic: to be applied until then */
	proposal_done *done;
	void *ctx;
};
/* NULL: too many wait already. */
MUST_USE struct proposal *proposals_add(struct proposals *p, const struct proposal_options *options);
/* Nobody waits for it any more; what was sent stays sent. */
void proposals_forget(struct proposal *proposal);

/*
 * Takes waiting proposals as sent in term: appends a msgpack array of entries, of some bytes_max bytes, to out. Returns their number;
 * *first is the sequence of the first, the others follow.
 */
size_t proposals_take(struct proposals *p, uint64_t term, size_t bytes_max, struct buf *out, uint64_t *first);
/* They never reached the log: back to waiting. */
void proposals_return(struct proposals *p, uint64_t first, size_t count);
/* They never reached the log and never will. */
void proposals_fail(struct proposals *p, uint64_t first, size_t count, const char *error);
/* The proposal that this entry is, or NULL. It stays until proposals_end. */
struct proposal *proposals_find(struct proposals *p, uint64_t nonce, uint64_t sequence);
void proposals_end(struct proposals *p, struct proposal *proposal, const struct proposal_result *result);
/* An entry of term has come out of the log: what was sent in an earlier one is lost, back to waiting. */
void proposals_term(struct proposals *p, uint64_t term);
/* This node does not lead: those that were not sent, or not into the log, end with PROPOSAL_NO_LEADER, to be judged by whoever leads. */
void proposals_unsent_end(struct proposals *p);
/* Ends those whose deadline has passed. Returns how many are left. */
size_t proposals_expire(struct proposals *p, int64_t now_ns);
size_t proposals_waiting(const struct proposals *p);
size_t proposals_count(const struct proposals *p);

#endif

/*
 * raftlog.h - the way to raftd and back: its state, proposals out, committed entries in
 */
#ifndef CATALOGD_RAFTLOG_H
#define CATALOGD_RAFTLOG_H

#include <stdbool.h>

#include "apply.h"
#include "catalogd.h"
#include "proposals.h"

#define RAFTLOG_TEXT_MAX 128

struct raftlog;

struct raftlog_status {
	bool connected;
	bool leader;
	bool leader_known;
	bool no_space; /* raftd says that its disk is full */
	uint64_t term;
	uint64_t last_index; /* of its log, when its state, term or leader changed last */
	uint64_t
	    lease_until; /* CLOCK_BOOTTIME in ns: so long nobody else leads; 0: not known, UINT64_MAX: the only voter */
	char state[16];  /* "leader" "follower" "candidate" */
	char leader_id[RAFTLOG_TEXT_MAX];
	char leader_address[RAFTLOG_TEXT_MAX];
	char log_id[RAFTLOG_TEXT_MAX];
};

MUST_USE struct raftlog *raftlog_new(struct catalogd *c);
/* This process stops: who waits for a proposal is told that its outcome is unknown, or that it was not sent. */
void raftlog_stop(struct raftlog *l);
void raftlog_free(struct raftlog *l);
const struct raftlog_status *raftlog_status(const struct raftlog *l);
/* A leader was heard of, or was this node: its state may be shown. */
bool raftlog_heard(const struct raftlog *l);
/* Since then, in nanoseconds; 0: this node leads. */
int64_t raftlog_silence_ns(const struct raftlog *l);
/* Reads may be answered without a question to others at this moment; asked after they were read. */
bool raftlog_lease_holds(const struct raftlog *l);
/* This node leads and the store has everything that was acknowledged before: reads may be answered, writes judged. */
bool raftlog_ready(const struct raftlog *l);
/*
 * Proposes in this loop turn; where this node turns out not to lead it ends with PROPOSAL_NO_LEADER. done comes exactly once, from the loop; NULL: it
 * was called already (refused at once).
 */
struct proposal *raftlog_propose(
    struct raftlog *l, enum apply_type type, struct bytes body, proposal_done *done, void *ctx);
/* The clock that entries proposed now are stamped with. */
int64_t raftlog_time_ns(struct raftlog *l);
/* What applying entries has taken in the life of this process, commits not counted: raftd judges by it how long a replay would take. */
int64_t raftlog_apply_ns(const struct raftlog *l);
size_t raftlog_waiting(const struct raftlog *l);

#endif

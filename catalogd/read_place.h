/*
 * read_place.h - where a read is answered: here at once, here when raftd has asked the other servers, by the leader, or not yet
 *
 * Pure; for serve.c, and for the simulator in its place. The facts are those of a moment after the request was read (DESIGN: reads): a lease that
 * held before proves nothing about a write that was acknowledged elsewhere meanwhile. The state that is read is then that of the same or a later
 * moment; how long the process is stopped before it answers does not matter.
 */
#ifndef CATALOGD_READ_PLACE_H
#define CATALOGD_READ_PLACE_H

#include <stdbool.h>
#include <stdint.h>

enum read_mode {
	READ_DEFAULT,    /* as new as the request, by a leader's lease */
	READ_CONSISTENT, /* the same, and no clock is trusted */
	READ_STALE,      /* as this server has it */
};

struct read_facts {
	enum read_mode mode;
	bool
	    ready; /* leads, and has applied an entry of its own term and all that was committed when raftd was found */
	bool leads;     /* by raftd's word */
	bool lease;     /* holds, by the clock */
	bool confirmed; /* after the request was read a quorum has confirmed an index, and the state has come so far */
	bool heard;     /* a leader was heard of: the state may be shown */
	bool leader_elsewhere; /* is known, with its address */
	bool sent_to_leader;   /* another server takes this one for the leader */
};

enum read_place {
	READ_HERE,
	READ_VERIFIED,  /* here, once confirmed */
	READ_ELSEWHERE, /* the leader is asked */
	READ_HELD,      /* until there is a leader, here or elsewhere */
	READ_REFUSED,   /* whoever sent it looks again: nothing goes round */
};

enum read_place read_place(const struct read_facts *f);
/*
 * How far the state must have come for a read that a quorum has confirmed. ready, term: of this server now. A leader that is ready in the very term
 * in which it was confirmed need not wait: what was acknowledged by leaders before it lies before its own first entry, and it acknowledges nothing
 * that it has not applied. So reads go on while an entry can not be applied (a full disk). 0: as it is.
 */
uint64_t read_index_needed(bool ready, uint64_t term, uint64_t confirmed_term, uint64_t confirmed_index);
/* Of what can only be done where the leader is, be it a read or a write. Never READ_HERE or READ_VERIFIED. */
enum read_place read_place_of_leader(const struct read_facts *f);

#endif

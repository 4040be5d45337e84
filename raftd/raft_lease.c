/*
 * raft_lease.c - rounds, the leader's lease, followers' promises, reads (contract: raft.h, raft_internal.h; callers: the core's other parts)
 *
 * A lease holds across a change of the configuration: a majority of the old one and a majority of the new one share a voter,
 * and that one has promised.
 */
#include "raft_internal.h"

/* Rounds are times of our clock, each a new one. */
void
lease_round_begin(struct raft *r)
{
	r->round = MAX(r->round + 1, r->now);
	r->append_wanted = true;
}

static uint64_t
round_of(const struct raft *r, const struct progress *p)
{
	return p == r->own ? UINT64_MAX : p->round;
}

/* Its followers' promises end later: they count from when they heard, and add the bound on the clocks' drift. */
static uint64_t
lease_end(const struct raft *r)
{
	uint64_t round;

	if (r->role != RAFT_LEADER || (r->lease_given_up && !PLANTED(LEASE_KEPT)))
		return 0;
	round = members_quorum(r, round_of);
	if (round == UINT64_MAX)
		return UINT64_MAX;
	if (PLANTED(LEASE_TOO_LONG) && round > 0)
		round += r->lease_ns;
	return round == 0 || r->lease_ns == 0 ? 0 : round + r->lease_ns;
}

bool
lease_promised(const struct raft *r)
{
	return r->lease_max_ns > 0 && (r->now < r->promise || r->now < lease_end(r));
}

void
lease_promise(struct raft *r, uint64_t lease_ns)
{
	if (r->lease_max_ns > 0 && !PLANTED(VOTE_IN_LEASE))
		r->promise = MAX(r->promise, r->now + lease_ns + lease_ns / RAFT_DRIFT_DIVISOR);
}

void
raft_time(struct raft *r, uint64_t now_ns)
{
	r->now = MAX(r->now, now_ns);
}

uint64_t
raft_lease_until(const struct raft *r)
{
	if (r->role != RAFT_LEADER || (MIN(r->commit, r->stable) < r->term_first && !PLANTED(READ_EARLY)))
		return 0;
	return lease_end(r);
}

uint64_t
raft_read_begin(struct raft *r, uint64_t *index)
{
	if (r->role != RAFT_LEADER || (r->commit < r->term_first && !PLANTED(READ_EARLY)))
		return 0;
	lease_round_begin(r);
	*index = r->commit;
	return r->round;
}

uint64_t
raft_round(const struct raft *r)
{
	if (r->role != RAFT_LEADER)
		return 0;
	return PLANTED(READ_UNCONFIRMED) ? UINT64_MAX : members_quorum(r, round_of);
}

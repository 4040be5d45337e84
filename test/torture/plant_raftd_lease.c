/*
 * plant_raftd_lease.c - a planted mistake: a leader believes in its lease for far longer than its followers promised
 *
 * Linked into a raftd in the place of raft_lease_until() (--wrap), for test/torture/planted.
 */
#include "raft.h"

#define TOO_LONG_NS UINT64_C(10000000000)

uint64_t __real_raft_lease_until(const struct raft *r);
uint64_t __wrap_raft_lease_until(const struct raft *r);

uint64_t
__wrap_raft_lease_until(const struct raft *r)
{
	uint64_t until = __real_raft_lease_until(r);

	return until == 0 || until == UINT64_MAX ? until : until + TOO_LONG_NS;
}

/*
 * plant_raftd_quorum.c - a planted mistake: the leader commits what its own disk has, and waits for nobody
 *
 * Linked into a raftd in the place of members_quorum() (--wrap), for test/torture/planted. Of one's own disk alone something other than
 * "always" is known: rounds and silence are counted as ever.
 */
#include "raft_internal.h"

typedef uint64_t value_of(const struct raft *r, const struct progress *p);

uint64_t __real_members_quorum(const struct raft *r, value_of *value);
uint64_t __wrap_members_quorum(const struct raft *r, value_of *value);

uint64_t
__wrap_members_quorum(const struct raft *r, value_of *value)
{
	uint64_t own = r->own == NULL ? UINT64_MAX : value(r, r->own);

	return own == r->stable ? own : __real_members_quorum(r, value);
}

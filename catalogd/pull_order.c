/*
 * pull_order.c - whether entries are those that follow (contract: pull_order.h; callers: raftlog.c, test/sim/cluster/catalogd.c)
 */
#include "pull_order.h"

uint64_t
pull_order_from(const struct pull_order *o)
{
	return o->verify_first ? o->index : o->index + 1;
}

enum pull_step
pull_order_next(struct pull_order *o, uint64_t index, uint64_t term)
{
	bool first = o->verify_first, steps = term != o->term;

	o->verify_first = false;
	if (first && index == o->index)
		return term == o->term ? PULL_KNOWN : PULL_WRONG;
	if (index != o->index + 1 || term < o->term)
		return PULL_WRONG;
	o->index = index;
	o->term = term;
	return steps ? PULL_NEW_TERM : PULL_APPLY;
}

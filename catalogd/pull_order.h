/*
 * pull_order.h - whether entries that come out of the log are those that follow what the store has
 *
 * Pure; for raftlog.c, and for the simulator in its place. Indexes have no gap, terms never go down. The first entry pulled may be the one that was
 * applied last: it tells whether the log still has it.
 */
#ifndef CATALOGD_PULL_ORDER_H
#define CATALOGD_PULL_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct pull_order {
	uint64_t index, term; /* of the entry applied last; 0: none */
	bool verify_first;    /* the next entry is expected to be that one, or the one behind it */
};

enum pull_step {
	PULL_APPLY,    /* it follows */
	PULL_NEW_TERM, /* it follows, and begins a term: nothing of older terms comes any more */
	PULL_KNOWN,    /* it is applied already */
	PULL_WRONG,    /* this is another log, or not the place where it was left */
};

/* Where the first entry is to be pulled from. */
uint64_t pull_order_from(const struct pull_order *o);
/* The next entry. With PULL_APPLY and PULL_NEW_TERM it is the one applied last from now on. */
enum pull_step pull_order_next(struct pull_order *o, uint64_t index, uint64_t term);

#endif

/*
 * catalogd_watch_planted_sim.c - known mistakes in watch layer and KV, which the simulator of watchers must catch (planted.h)
 *
 * Compiles both themselves with WATCH_PLANTS, and the simulator without its main. The first two mistakes are of whoever uses the watch layer,
 * and stand in the simulator's own handler.
 *
 * Usage: catalogd_watch_planted_sim [mistake]
 */
enum mistake {
	NOTHING,
	EVALUATED_EARLY,
	OLD_EVALUATION,
	PREFIX_EXACT,
	DELETE_FORGOTTEN,
	EVENT_FIRST,
	SAME_WRITTEN,
	NOTHING_DELETED,
	ONE_MEMBER,
	NOT_FOUND_WAKES,
	DEADLINE_INDEX,
	WAITS_LONGER,
	UNVERIFIED,
	ROUND_TOO_OLD,
	REPLACED_SLEEPS,
	NOTICE_TWICE,
	RESET_FORGOTTEN
};

static enum mistake watch_planted;

#define WATCH_PLANTS
#include "notice.c"
#include "watch.c"
#undef REPLY_BYTES_MAX
#include "kv.c"
#define SIM_PLANTED
#include "catalogd_watch_sim.c"
#include "planted.h"

static const struct planted mistakes[] = {
    {EVALUATED_EARLY, "a query is parked behind a change that came after its evaluation", 0},
    {OLD_EVALUATION, "a group is evaluated in the state before the batch", 0},
    {PREFIX_EXACT, "a prefix is woken by the key of its own name only", 0},
    {DELETE_FORGOTTEN, "the index of a deletion is not remembered", 0},
    {EVENT_FIRST, "a subscription has changes before its first reset", 0},
    {SAME_WRITTEN, "a write that changes nothing wakes", 0},
    {NOTHING_DELETED, "the deletion of what is not there moves an index", 0},
    {ONE_MEMBER, "one member of a group is answered", 0},
    {NOT_FOUND_WAKES, "what is not there and does not come wakes", 0},
    {DEADLINE_INDEX, "a deadline is answered under a newer index than the last evaluation's", 0},
    {WAITS_LONGER, "a wait is longer by more than its sixteenth", 0},
    {UNVERIFIED, "a consistent query is answered without a verification", 0},
    {ROUND_TOO_OLD, "a verification counts for a query that came after it began", 0},
    {REPLACED_SLEEPS, "a replaced state does not end the waits", 0},
    {NOTICE_TWICE, "a subscription has a name twice in a batch", 0},
    {RESET_FORGOTTEN, "a subscriber without credit loses a change", 0},
};

static void
plant(unsigned mistake)
{
	watch_planted = (enum mistake)mistake;
}

int
main(int argc, char **argv)
{
	const struct planted_run run = {
	    .list = mistakes, .count = COUNTOF(mistakes), .seeds = 300, .plant = plant, .run_seed = run_seed};

	totals_start();
	return planted_run(&run, argc, argv);
}

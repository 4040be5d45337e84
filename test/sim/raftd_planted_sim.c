/*
 * raftd_planted_sim.c - known mistakes in elections, commits, leases and reads, which raftd_raft_sim.c must catch (raftd_planted.h)
 *
 * Usage: raftd_planted_sim [number]
 */
#include "raftd_planted.h"

#include "raftd_raft_sim.c"

static const struct planted mistakes[] = {
    {VOTE_TWICE, "votes twice in a term", 0},
    {VOTE_UNSAVED, "a vote is sent before it is saved", 0},
    {OWN_VOTE_UNSAVED, "its own vote counts, and it asks for others, before it is saved", 0},
    {TERM_UNSAVED, "a new term is not saved", 0},
    {VOTE_FOR_SHORT_LOG, "votes for a candidate whose log is behind", 0},
    {MINORITY_ELECTS, "half of the votes elect", 0},
    {ENTRIES_UNSAVED, "a follower acknowledges entries before they are saved", 0},
    {OWN_ENTRIES_UNSAVED, "the leader counts its own entries before they are saved", 0},
    {OLD_TERM_COUNTED, "entries of an older term are committed by counting replicas", 47},
    {COMMIT_UNCOMPARED, "a follower commits entries that were not compared with the leader's", 0},
    {LEASE_FROM_ANSWER, "the lease is counted from the answer", 103},
    {LEASE_TOO_LONG, "the lease is longer than the promise", 1172},
    {LEASE_KEPT, "the lease is kept while leadership is handed over", 101},
    {VOTE_IN_LEASE, "votes inside a lease that was announced", 0},
    {PROMISE_FORGOTTEN, "a restarted server forgets the lease that it was told of", 725},
    {READ_EARLY, "reads before the leader's own first entry is delivered", 0},
    {READ_UNCONFIRMED, "a read by round does not wait for the round", 0},
};

int
main(int argc, char **argv)
{
	const struct planted_run run = {
	    .list = mistakes, .count = COUNTOF(mistakes), .seeds = PLANTED_SEEDS, .plant = plant, .run_seed = run_seed};

	return planted_run(&run, argc, argv);
}

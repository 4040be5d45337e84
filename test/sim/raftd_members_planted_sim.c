/*
 * raftd_members_planted_sim.c - known mistakes in changes of membership and in snapshots, which raftd_members_sim.c must catch (raftd_planted.h)
 *
 * Usage: raftd_members_planted_sim [number]
 */
#include "raftd_planted.h"

#include "raftd_members_sim.c"

static const struct planted mistakes[] = {
    {CHANGES_TOGETHER, "a change is made while another one is not committed", 0},
    {CHANGE_EARLY, "a change is made before an entry of the leader's own term is committed", 666},
    {CONFIGURATION_LATE, "a configuration counts only when it is committed", 0},
    {NON_VOTER_COUNTED, "what a non-voter answers counts", 0},
    {COUNTED_AFTER_REMOVAL, "a leader that removes itself counts itself", 435},
    {SNAPSHOT_OVER_NEWER, "a snapshot is installed over newer committed entries", 0},
    {COMMIT_BY_CHUNK, "a snapshot's entries count as committed before it is installed", 0},
    {TAIL_UNCOMPARED, "the log behind a snapshot is kept though the snapshot's last entry is another one", 0},
    {BLANK_VOTES, "a voter that has lost its log votes and counts on", 0},
};

int
main(int argc, char **argv)
{
	const struct planted_run run = {
	    .list = mistakes, .count = COUNTOF(mistakes), .seeds = PLANTED_SEEDS, .plant = plant, .run_seed = run_seed};

	return planted_run(&run, argc, argv);
}

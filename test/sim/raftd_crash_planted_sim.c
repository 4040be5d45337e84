/*
 * raftd_crash_planted_sim.c - known mistakes in log and snapshots, which the crash explorer must catch (planted.h)
 *
 * Compiles the code itself with WAL_PLANTS, and the explorer without its main. A mistake is looked for in all workloads.
 *
 * Usage: raftd_crash_planted_sim [mistake]
 */
enum mistake {
	NOTHING,
	DATA_UNSYNCED,
	SEGMENT_NAME_UNSYNCED,
	SEGMENT_HEAD_UNSYNCED,
	OPENED_UNSYNCED,
	DROP_UNSYNCED,
	HARD_STATE_DROPPED,
	SNAPSHOT_STATE_UNSYNCED,
	SNAPSHOT_FILES_UNNAMED,
	SNAPSHOT_NAME_UNSYNCED,
	SNAPSHOTS_UNSYNCED,
	SNAPSHOTS_FOUND_UNSYNCED,
	SNAPSHOT_REMOVED_IN_PLACE,
	LOG_DROPPED_EARLY,
	LOG_RESET_EARLY
};

static enum mistake wal_planted;

#define WAL_PLANTS
#include "wal.c"
#include "wal_scan.c"
#include "snapshot_store.c"
#define CRASH_PLANTED
#include "raftd_crash_sim.c"
#include "planted.h"

static const struct planted mistakes[] = {
    {DATA_UNSYNCED, "a batch is acknowledged before it is synced", 1},
    {SEGMENT_NAME_UNSYNCED, "the directory is not synced after a new segment", 1},
    {SEGMENT_HEAD_UNSYNCED, "a segment gets its number before its head is synced", 1},
    {OPENED_UNSYNCED, "a torn tail is cut, and nothing is synced", 7},
    {DROP_UNSYNCED, "the directory is not synced between two segments that are dropped", 5},
    {HARD_STATE_DROPPED, "the segment with the hard state is dropped while the next one's first batch is under way", 5},
    {SNAPSHOT_STATE_UNSYNCED, "a snapshot gets its name before its state is synced", 8},
    {SNAPSHOT_FILES_UNNAMED, "a snapshot gets its name before those of its files are synced", 8},
    {SNAPSHOT_NAME_UNSYNCED, "a snapshot is said to be durable before its name is", 8},
    {SNAPSHOTS_UNSYNCED, "the name of the directory of snapshots is not synced", 8},
    {SNAPSHOTS_FOUND_UNSYNCED, "the names of snapshots found at the start are not synced", 8},
    {SNAPSHOT_REMOVED_IN_PLACE, "an old snapshot is removed under its own name", 8},
    {LOG_DROPPED_EARLY, "the log is dropped before the snapshot is taken", 8},
    {LOG_RESET_EARLY, "the log is reset before the snapshot that was received is durable", 9},
};

static void
plant(unsigned mistake)
{
	wal_planted = (enum mistake)mistake;
	/* only the report of a failure is wanted */
	if (freopen("/dev/null", "w", stdout) == NULL)
		_exit(1);
	said_to = stderr;
}

/* A workload has the seed's place. */
static bool
run_workload(uint64_t number)
{
	explore_all((size_t)number);
	return true;
}

int
main(int argc, char **argv)
{
	const struct planted_run run = {.list = mistakes,
	    .count = COUNTOF(mistakes),
	    .seeds = COUNTOF(works),
	    .plant = plant,
	    .run_seed = run_workload};

	return planted_run(&run, argc, argv);
}

/*
 * suite_planted_sim.c - known mistakes in Raft's core, in the log's and the store's shells and between servers, which the simulator of whole
 * servers must catch (planted.h)
 *
 * Compiled with SIM_PLANTS, and so is the core (cluster/plant.h). The first one is none: nothing may be found then.
 *
 *	suite_planted_sim [number]
 */
#ifndef SIM_PLANTS /* a compiler that only looks at it */
#define SIM_PLANTS
#endif

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cluster/cluster.h"
#include "planted.h"

enum mistake raft_planted;

/* Those that are left out are rare here; raftd_planted_sim.c and raftd_members_planted_sim.c look for all of the core's. */
static const char *const mistakes[MISTAKES] = {
    [NOTHING] = "nothing",
    [VOTE_TWICE] = "votes twice in a term",
    [VOTE_UNSAVED] = "a vote is sent before it is saved",
    [OWN_VOTE_UNSAVED] = "its own vote counts, and it asks for others, before it is saved",
    [TERM_UNSAVED] = "a new term is not saved",
    [VOTE_FOR_SHORT_LOG] = "votes for a candidate whose log is behind",
    [MINORITY_ELECTS] = "half of the votes elect",
    [ENTRIES_UNSAVED] = "a follower acknowledges entries before they are saved",
    [OWN_ENTRIES_UNSAVED] = "the leader counts its own entries before they are saved",
    [COMMIT_UNCOMPARED] = "a follower commits entries that were not compared with the leader's",
    [LEASE_FROM_ANSWER] = "the lease is counted from the answer",
    [LEASE_TOO_LONG] = "a lease longer than what was promised",
    [VOTE_IN_LEASE] = "a vote is given inside an announced lease",
    [PROMISE_FORGOTTEN] = "a restarted follower forgets what it promised",
    [READ_UNCONFIRMED] = "a consistent read does not wait for its round",
    [READ_JOINS_ROUND] = "a read joins a round that was begun before it was read",
    [READ_EARLY] = "reads before the leader's own first entry is delivered",
    [SYNC_SKIPPED] = "a batch is reported durable without a sync",
    [DELIVER_UNCOMMITTED] = "entries are applied before they are committed",
    [DELIVER_UNSTABLE] = "entries are applied that the server's own disk does not have yet",
    [LEASE_CHECKED_EARLY] = "the lease is checked before the request was read",
    [READ_BEFORE_APPLIED] = "a new leader reads before its own first entry is applied",
    [READ_BEFORE_CAUGHT_UP] = "a leader reads a store that was made again before it has caught up",
    [PROPOSAL_IN_ANY_TERM] = "a proposal is carried over to another term",
    [INDEX_SHARED] = "requests of a batch share an index",
    [WRITE_RESENT] = "a forwarded write without an answer is sent again",
    [LOST_PROPOSAL_RESENT] = "proposals are sent again when the log's process has died",
    [ACKNOWLEDGED_EARLY] = "a write is acknowledged when the log has accepted it",
    [APPLIED_APART] = "the applied index is committed after the changes",
    [STORE_KEPT] = "the store is kept after a loss of power",
    [SNAPSHOT_INDEX_BEHIND] = "a snapshot says an index behind its content",
    [DAMAGE_CUT_OFF] = "a log is cut off at a damaged block",
};

/* Where rarer ones were found last: tried first, since that saves time. Any change of core or simulator may move them. */
static const uint64_t found_at[MISTAKES] = {
    [LEASE_CHECKED_EARLY] = 309,
    [READ_UNCONFIRMED] = 121,
    [READ_BEFORE_CAUGHT_UP] = 398,
    [PROMISE_FORGOTTEN] = 319,
};

static char top[] = "/dev/shm/consuld-sim.XXXXXX", top_tmp[] = "/tmp/consuld-sim.XXXXXX";
static const char *all_stores; /* a directory, with one in it for each mistake */
static char stores[64];        /* of the mistake that is looked for */

static void
directory_remove(const char *path)
{
	char command[256];

	snprintf(command, sizeof command, "rm -rf '%s'", path);
	if (system(command) != 0)
		perror(command);
}

static void
stores_set(unsigned mistake)
{
	snprintf(stores, sizeof stores, "%s/%u", all_stores, mistake);
}

static void
plant(unsigned mistake)
{
	raft_planted = (enum mistake)mistake;
	stores_set(mistake);
}

/* Ends the process when something is wrong. */
static bool
look_at(uint64_t seed)
{
	struct totals totals = {0};

	(void)run_seed(seed, stores, &totals);
	return true;
}

int
main(int argc, char **argv)
{
	struct planted list[MISTAKES];
	struct planted_run run = {.list = list, .seeds = 1000, .seeds_sound = 20, .plant = plant, .run_seed = look_at};
	int status;

	all_stores = mkdtemp(top) != NULL ? top : mkdtemp(top_tmp);
	if (all_stores == NULL) {
		perror("suite_planted_sim");
		return 1;
	}
	for (unsigned i = NOTHING; i < MISTAKES; i++) {
		if (mistakes[i] == NULL)
			continue;
		list[run.count++] = (struct planted){i, mistakes[i], found_at[i]};
		stores_set(i);
		if (mkdir(stores, 0700) == -1) {
			perror(stores);
			return 1;
		}
	}
	simulation_begin();
	status = planted_run(&run, argc, argv);
	directory_remove(all_stores);
	return status;
}

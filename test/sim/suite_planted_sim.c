/*
 * suite_planted_sim.c - the simulator is worth what it finds: known mistakes are planted in Raft's core, in the log's and the
 * store's shells and between servers, and it must catch each
 *
 * Compiled with SIM_PLANTS, and so is the core (cluster/plant.h). Each mistake runs in a process of its own over seeds from 1 on; the seed that
 * exposes it and what was said are printed. A mistake not found within SEEDS is a failed test, and so is one that is found without being made.
 *
 *	suite_planted_sim [mistake]
 */
#ifndef SIM_PLANTS /* a compiler that only looks at it */
#define SIM_PLANTS
#endif

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/cluster.h"

#define SEEDS 1000
#define SEEDS_SOUND 20 /* without a mistake */

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
    [LEASE_FROM_ANSWER] = 14,
    [READ_BEFORE_CAUGHT_UP] = 48,
    [PROPOSAL_IN_ANY_TERM] = 304,
    [DAMAGE_CUT_OFF] = 201,
    [LEASE_CHECKED_EARLY] = 379,
};

static char stores[] = "/dev/shm/consuld-sim.XXXXXX", stores_tmp[] = "/tmp/consuld-sim.XXXXXX";

static void
directory_remove(const char *path)
{
	char command[256];

	snprintf(command, sizeof command, "rm -rf '%s'", path);
	if (system(command) != 0)
		perror(command);
}

static NORETURN void
work(enum mistake mistake, const char *directory, int out)
{
	struct totals totals;

	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO); /* a panic is a catch too */
	raft_planted = mistake;
	if (found_at[mistake] != 0)
		(void)run_seed(found_at[mistake], directory, &totals);
	for (uint64_t seed = 1; seed <= (mistake == NOTHING ? SEEDS_SOUND : SEEDS); seed++)
		(void)run_seed(seed, directory, &totals);
	_exit(0);
}

/* What was said, in text. false: nothing in all seeds. */
static bool
find(enum mistake mistake, char *text, size_t size)
{
	char *directory = mkdtemp(stores) != NULL ? stores : mkdtemp(stores_tmp);
	size_t used = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (directory == NULL || pipe(ends) == -1 || (pid = fork()) == -1) {
		perror("suite_planted_sim");
		exit(1);
	}
	if (pid == 0) {
		close(ends[0]);
		work(mistake, directory, ends[1]);
	}
	close(ends[1]);
	while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(ends[0]);
	if (waitpid(pid, &status, 0) == -1)
		perror("waitpid");
	if (used == 0 && WIFSIGNALED(status))
		snprintf(text, size, "signal %d", WTERMSIG(status));
	text[strcspn(text, "\n")] = '\0';
	directory_remove(directory);
	memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
	return text[0] != '\0';
}

int
main(int argc, char **argv)
{
	unsigned wrong = 0, only = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : MISTAKES;

	simulation_begin();
	for (unsigned i = NOTHING; i < MISTAKES; i++) {
		char text[512];
		bool found;

		if ((only != MISTAKES && i != only) || mistakes[i] == NULL)
			continue;
		found = find((enum mistake)i, text, sizeof text);
		if (found != (i != NOTHING)) {
			printf("not ok %u - %s: %s\n", i + 1, mistakes[i], found ? text : "not found");
			wrong++;
		} else
			printf("ok %u - %s: %s\n", i + 1, mistakes[i],
			    strncmp(text, "not ok 1 - ", 11) == 0 ? text + 11 : text);
	}
	return wrong == 0 ? 0 : 1;
}

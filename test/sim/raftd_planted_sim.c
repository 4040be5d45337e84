/*
 * raftd_planted_sim.c - the simulator is worth what it finds: known mistakes are planted in Raft's core, and it must catch each
 *
 * Compiles the core itself with RAFT_PLANTS, and the simulator without its main. Each mistake runs in a process of its own over
 * seeds from 1 on; the seed that exposes it and what the invariants said are printed. A mistake not found within SEEDS is a failed test.
 *
 * Usage: raftd_planted_sim [mistake]
 */
enum mistake {
	NOTHING,
	VOTE_TWICE,
	VOTE_UNSAVED,
	OWN_VOTE_UNSAVED,
	TERM_UNSAVED,
	VOTE_FOR_SHORT_LOG,
	MINORITY_ELECTS,
	ENTRIES_UNSAVED,
	OWN_ENTRIES_UNSAVED,
	OLD_TERM_COUNTED,
	COMMIT_UNCOMPARED,
	LEASE_FROM_ANSWER,
	LEASE_TOO_LONG,
	LEASE_KEPT,
	VOTE_IN_LEASE,
	PROMISE_FORGOTTEN,
	READ_EARLY,
	READ_UNCONFIRMED,
	MISTAKES,
	/* In changes of membership and in snapshots, which the simulator does not make: not looked for. */
	CHANGES_TOGETHER,
	CHANGE_EARLY,
	CONFIGURATION_LATE,
	NON_VOTER_COUNTED,
	COUNTED_AFTER_REMOVAL,
	SNAPSHOT_OVER_NEWER,
	COMMIT_BY_CHUNK,
	TAIL_UNCOMPARED
};

static enum mistake raft_planted;

#define RAFT_PLANTS
#include "raft.c"
#include "raft_follow.c"
#include "raft_lease.c"
#include "raft_members.c"
#include "raft_replicate.c"
#define SIM_PLANTED
#include "raftd_raft_sim.c"

#include <sys/wait.h>
#include <unistd.h>

#define PLANTED_SEEDS 4000

static const char *const mistakes[MISTAKES] = {
    [VOTE_TWICE] = "votes twice in a term",
    [VOTE_UNSAVED] = "a vote is sent before it is saved",
    [OWN_VOTE_UNSAVED] = "its own vote counts, and it asks for others, before it is saved",
    [TERM_UNSAVED] = "a new term is not saved",
    [VOTE_FOR_SHORT_LOG] = "votes for a candidate whose log is behind",
    [MINORITY_ELECTS] = "half of the votes elect",
    [ENTRIES_UNSAVED] = "a follower acknowledges entries before they are saved",
    [OWN_ENTRIES_UNSAVED] = "the leader counts its own entries before they are saved",
    [OLD_TERM_COUNTED] = "entries of an older term are committed by counting replicas",
    [COMMIT_UNCOMPARED] = "a follower commits entries that were not compared with the leader's",
    [LEASE_FROM_ANSWER] = "the lease is counted from the answer",
    [LEASE_TOO_LONG] = "the lease is longer than the promise",
    [LEASE_KEPT] = "the lease is kept while leadership is handed over",
    [VOTE_IN_LEASE] = "votes inside a lease that was announced",
    [PROMISE_FORGOTTEN] = "a restarted server forgets the lease that it was told of",
    [READ_EARLY] = "reads before the leader's own first entry is delivered",
    [READ_UNCONFIRMED] = "a read by round does not wait for the round",
};

/* Where rarer ones were found last: tried first, since that saves time. Any change of core or simulator may move them. */
static const uint64_t found_at[MISTAKES] = {
    [OLD_TERM_COUNTED] = 283,
    [LEASE_FROM_ANSWER] = 103,
    [LEASE_TOO_LONG] = 101,
    [LEASE_KEPT] = 101,
    [PROMISE_FORGOTTEN] = 1334,
};

/* What the invariants said, in text; 0: nothing in all seeds. */
static size_t
find(enum mistake mistake, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;
	int ends[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) == -1 || (pid = fork()) == -1) {
		perror("raftd_planted_sim");
		exit(1);
	}
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO); /* a panic is a catch too */
		close(ends[0]);
		raft_planted = mistake;
		if (found_at[mistake] != 0)
			run_seed(found_at[mistake]);
		for (uint64_t seed = 1; seed <= PLANTED_SEEDS; seed++)
			run_seed(seed);
		_exit(0);
	}
	close(ends[1]);
	while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	text[strcspn(text, "\n")] = '\0';
	close(ends[0]);
	waitpid(pid, NULL, 0);
	return used;
}

int
main(int argc, char **argv)
{
	unsigned missed = 0, only = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

	for (unsigned i = NOTHING + 1; i < MISTAKES; i++) {
		char text[512];

		if (only != 0 && i != only)
			continue;
		if (find((enum mistake)i, text, sizeof text) > 0)
			printf("ok %u - %s: %s\n", i, mistakes[i],
			    strncmp(text, "not ok 1 - ", 11) == 0 ? text + 11 : text);
		else {
			printf("not ok %u - %s: not found in %d seeds\n", i, mistakes[i], PLANTED_SEEDS);
			missed++;
		}
	}
	return missed == 0 ? 0 : 1;
}

/*
 * raftd_planted.h - a simulator is worth what it finds: Raft's core with known mistakes planted in it, and the runs that must catch each
 *
 * Compiles the core itself with RAFT_PLANTS. Includes no simulator: raftd_planted_sim.c and raftd_members_planted_sim.c do, each for the
 * mistakes that are its own. Each mistake runs in a process of its own over seeds from 1 on; the seed that exposes it and what the
 * invariants said are printed. A mistake not found within PLANTED_SEEDS is a failed test.
 */
#ifndef RAFTD_PLANTED_H
#define RAFTD_PLANTED_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum mistake {
	NOTHING,
	/* raftd_planted_sim.c */
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
	/* raftd_members_planted_sim.c */
	CHANGES_TOGETHER,
	CHANGE_EARLY,
	CONFIGURATION_LATE,
	NON_VOTER_COUNTED,
	COUNTED_AFTER_REMOVAL,
	SNAPSHOT_OVER_NEWER,
	COMMIT_BY_CHUNK,
	TAIL_UNCOMPARED,
	MISTAKES
};

static enum mistake raft_planted;

#define RAFT_PLANTS
#include "raft.c"
#include "raft_follow.c"
#include "raft_lease.c"
#include "raft_members.c"
#include "raft_replicate.c"

#define SIM_PLANTED
#define PLANTED_SEEDS 4000

/* One mistake: what it is, and a seed where it was found last (0: an early one): tried first, since that saves time. Any change may move it. */
struct planted {
	enum mistake mistake;
	const char *text;
	uint64_t found_at;
};

/* What the invariants said, in text; 0: nothing in all seeds. */
static size_t
planted_find(const struct planted *p, void (*run_seed)(uint64_t seed), char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;
	int ends[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) == -1 || (pid = fork()) == -1) {
		perror("planted");
		exit(1);
	}
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO); /* a panic is a catch too */
		close(ends[0]);
		raft_planted = p->mistake;
		if (p->found_at != 0)
			run_seed(p->found_at);
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

/* All of them, or number `only` of the list (from 1). Returns the exit status. */
static int
planted_run(const struct planted *list, size_t count, void (*run_seed)(uint64_t seed), unsigned long only)
{
	unsigned missed = 0;

	for (size_t i = 0; i < count; i++) {
		char text[512];

		if (only != 0 && i + 1 != only)
			continue;
		if (planted_find(&list[i], run_seed, text, sizeof text) > 0)
			printf("ok %zu - %s: %s\n", i + 1, list[i].text,
			    strncmp(text, "not ok 1 - ", 11) == 0 ? text + 11 : text);
		else {
			printf("not ok %zu - %s: not found in %d seeds\n", i + 1, list[i].text, PLANTED_SEEDS);
			missed++;
		}
	}
	return missed == 0 ? 0 : 1;
}

#endif

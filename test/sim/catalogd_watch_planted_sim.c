/*
 * catalogd_watch_planted_sim.c - the simulator is worth what it finds: known mistakes are planted in watch layer and KV, and it must catch each
 *
 * Compiles both themselves with WATCH_PLANTS, and the simulator without its main. The first two mistakes are of whoever uses the watch layer,
 * and stand in the simulator's own handler. Each runs over seeds from 1 on; the seed that exposes it and what was
 * noticed are printed. A mistake not found within PLANTED_SEEDS is a failed test.
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
	RESET_FORGOTTEN,
	MISTAKES
};

static enum mistake watch_planted;

#define WATCH_PLANTS
#include "watch.c"
#undef REPLY_BYTES_MAX
#include "kv.c"
#define SIM_PLANTED
#include "catalogd_watch_sim.c"

#define PLANTED_SEEDS 300

static const char *const mistakes[MISTAKES] = {
    [EVALUATED_EARLY] = "a query is parked behind a change that came after its evaluation",
    [OLD_EVALUATION] = "a group is evaluated in the state before the batch",
    [PREFIX_EXACT] = "a prefix is woken by the key of its own name only",
    [DELETE_FORGOTTEN] = "the index of a deletion is not remembered",
    [EVENT_FIRST] = "a subscription has changes before its first reset",
    [SAME_WRITTEN] = "a write that changes nothing wakes",
    [NOTHING_DELETED] = "the deletion of what is not there moves an index",
    [ONE_MEMBER] = "one member of a group is answered",
    [NOT_FOUND_WAKES] = "what is not there and does not come wakes",
    [DEADLINE_INDEX] = "a deadline is answered under a newer index than the last evaluation's",
    [WAITS_LONGER] = "a wait is longer by more than its sixteenth",
    [UNVERIFIED] = "a consistent query is answered without a verification",
    [ROUND_TOO_OLD] = "a verification counts for a query that came after it began",
    [REPLACED_SLEEPS] = "a replaced state does not end the waits",
    [NOTICE_TWICE] = "a subscription has a name twice in a batch",
    [RESET_FORGOTTEN] = "a subscriber without credit loses a change",
};

/* The seed that exposes it, with the first line of what was said about it; 0: none. */
static uint64_t
find(enum mistake mistake, char *text, size_t size)
{
	uint64_t seed = 0;
	size_t used = 0;
	ssize_t n;
	int ends[2], stdout_saved = dup(STDOUT_FILENO), stderr_saved = dup(STDERR_FILENO);

	fflush(stdout);
	if (stdout_saved == -1 || stderr_saved == -1 || pipe(ends) == -1) {
		perror("catalogd_watch_planted_sim");
		exit(1);
	}
	/* What the seeds' processes say fits into the pipe; a panic is a catch, too. */
	dup2(ends[1], STDOUT_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	watch_planted = mistake;
	do
		seed++;
	while (run_seed(seed) && seed < PLANTED_SEEDS);
	fflush(stdout);
	dup2(stdout_saved, STDOUT_FILENO);
	dup2(stderr_saved, STDERR_FILENO);
	close(stdout_saved);
	close(stderr_saved);
	while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	text[strcspn(text, "\n")] = '\0';
	close(ends[0]);
	return used == 0 ? 0 : seed;
}

int
main(int argc, char **argv)
{
	unsigned missed = 0, only = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

	totals_start();
	for (unsigned i = NOTHING + 1; i < MISTAKES; i++) {
		char text[512];

		if (only != 0 && i != only)
			continue;
		if (find((enum mistake)i, text, sizeof text) != 0) {
			printf("ok %u - %s: %s\n", i, mistakes[i],
			    strncmp(text, "not ok 1 - ", 11) == 0 ? text + 11 : text);
		} else {
			printf("not ok %u - %s: not found in %d seeds\n", i, mistakes[i], PLANTED_SEEDS);
			missed++;
		}
	}
	return missed == 0 ? 0 : 1;
}

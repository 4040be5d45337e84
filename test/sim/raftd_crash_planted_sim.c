/*
 * raftd_crash_planted_sim.c - the crash explorer is worth what it finds: known mistakes are planted in log and snapshots, and it must catch each
 *
 * Compiles the code itself with WAL_PLANTS, and the explorer without its main. Each mistake runs in a process of its own over all
 * workloads; what was said is printed. One that is not found is a failed test.
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
	LOG_RESET_EARLY,
	MISTAKES
};

static enum mistake wal_planted;

#define WAL_PLANTS
#include "wal.c"
#include "wal_scan.c"
#include "snapshot_store.c"
#define CRASH_PLANTED
#include "raftd_crash_sim.c"

#include <sys/wait.h>
#include <unistd.h>

static const char *const mistakes[MISTAKES] = {
    [DATA_UNSYNCED] = "a batch is acknowledged before it is synced",
    [SEGMENT_NAME_UNSYNCED] = "the directory is not synced after a new segment",
    [SEGMENT_HEAD_UNSYNCED] = "a segment gets its number before its head is synced",
    [OPENED_UNSYNCED] = "a torn tail is cut, and nothing is synced",
    [DROP_UNSYNCED] = "the directory is not synced between two segments that are dropped",
    [HARD_STATE_DROPPED] = "the segment with the hard state is dropped while the next one's first batch is under way",
    [SNAPSHOT_STATE_UNSYNCED] = "a snapshot gets its name before its state is synced",
    [SNAPSHOT_FILES_UNNAMED] = "a snapshot gets its name before those of its files are synced",
    [SNAPSHOT_NAME_UNSYNCED] = "a snapshot is said to be durable before its name is",
    [SNAPSHOTS_UNSYNCED] = "the name of the directory of snapshots is not synced",
    [SNAPSHOTS_FOUND_UNSYNCED] = "the names of snapshots found at the start are not synced",
    [SNAPSHOT_REMOVED_IN_PLACE] = "an old snapshot is removed under its own name",
    [LOG_DROPPED_EARLY] = "the log is dropped before the snapshot is taken",
    [LOG_RESET_EARLY] = "the log is reset before the snapshot that was received is durable",
};

/* The workload that exposed it last: tried first, since that saves time. */
static const unsigned found_in[MISTAKES] = {
    [DATA_UNSYNCED] = 1,
    [SEGMENT_NAME_UNSYNCED] = 1,
    [SEGMENT_HEAD_UNSYNCED] = 1,
    [OPENED_UNSYNCED] = 7,
    [DROP_UNSYNCED] = 5,
    [HARD_STATE_DROPPED] = 5,
    [SNAPSHOT_STATE_UNSYNCED] = 8,
    [SNAPSHOT_FILES_UNNAMED] = 8,
    [SNAPSHOT_NAME_UNSYNCED] = 8,
    [SNAPSHOTS_UNSYNCED] = 8,
    [SNAPSHOTS_FOUND_UNSYNCED] = 8,
    [SNAPSHOT_REMOVED_IN_PLACE] = 8,
    [LOG_DROPPED_EARLY] = 8,
    [LOG_RESET_EARLY] = 9,
};

/* What the explorer said, in text; 0: nothing. */
static size_t
find(enum mistake mistake, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;
	int ends[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) == -1 || (pid = fork()) == -1) {
		perror("raftd_crash_planted_sim");
		exit(1);
	}
	if (pid == 0) {
		close(ends[0]);
		wal_planted = mistake;
		/* only the report of a failure is wanted */
		dup2(ends[1], STDERR_FILENO);
		if (freopen("/dev/null", "w", stdout) == NULL)
			_exit(1);
		said_to = stderr;
		explore_all(found_in[mistake]);
		explore_all(0);
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
			printf("not ok %u - %s: not found\n", i, mistakes[i]);
			missed++;
		}
		fflush(stdout);
	}
	return missed == 0 ? 0 : 1;
}

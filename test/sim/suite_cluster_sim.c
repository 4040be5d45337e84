/*
 * suite_cluster_sim.c - whole clusters in virtual time, from seeds: runs them, counts what happened, and can go on where it stopped
 *
 *	suite_cluster_sim seed [count]	these seeds, one after the other, each with the digest of its events
 *	suite_cluster_sim		seeds for SIM_SECONDS of wall time (20) in SIM_JOBS processes (1), from SIM_FIRST on (1)
 *
 * With SIM_STATE=file finished seeds and totals are kept there, and the next run goes on behind them (SIM_FIRST begins anew).
 * A failure prints its seed; that seed alone then does the same again. SIM_LOG=1 tells what happens in it.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cluster/cluster.h"

#define SECONDS_DEFAULT 20
#define JOBS_MAX 64
#define REPORT_S 60
#define AHEAD_MAX 4096 /* seeds finished before an earlier one is */
#define MEMBERS (sizeof(struct totals) / sizeof(uint64_t))

struct result {
	uint64_t seed;
	struct totals totals;
};

/* What the processes share. */
struct shared {
	_Atomic uint64_t next;
	_Atomic uint64_t running[JOBS_MAX];
	_Atomic bool stop;
};

struct run {
	uint64_t first, done_before; /* all seeds from first up to here are finished */
	double seconds_before;       /* wall time of earlier runs */
	struct totals totals;
	struct result *ahead;
	size_t ahead_count;
	struct shared *shared;
	struct timespec start;
};

static char base[] = "/dev/shm/consuld-sim.XXXXXX", base_tmp[4096];
static const char *stores;

static void
stores_remove(void)
{
	char command[4200];

	snprintf(command, sizeof command, "rm -rf '%s'", stores);
	if (system(command) != 0)
		perror(command);
}

static void
stores_make(void)
{
	const char *tmp = getenv("TMPDIR");

	stores = mkdtemp(base);
	if (stores == NULL) {
		snprintf(base_tmp, sizeof base_tmp, "%s/consuld-sim.XXXXXX", tmp == NULL ? "/tmp" : tmp);
		stores = mkdtemp(base_tmp);
	}
	if (stores == NULL) {
		perror("suite_cluster_sim: a directory for the stores");
		exit(2);
	}
}

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL || text[0] == '\0' ? otherwise : strtoull(text, NULL, 10);
}

static double
seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* ---- totals ---- */

static void
totals_add(struct totals *to, const struct totals *from)
{
	uint64_t *sum = (uint64_t *)to;
	const uint64_t *add = (const uint64_t *)from;

	for (size_t i = 0; i < MEMBERS; i++)
		sum[i] += add[i];
}

static void
totals_print(const struct totals *t)
{
#define TOTALS_PRINT(member, text) printf("#   %12" PRIu64 " %s\n", t->member, text);
	TOTALS(TOTALS_PRINT)
#undef TOTALS_PRINT
}

static void
state_read(struct run *r, const char *path)
{
	FILE *f = fopen(path, "r");
	uint64_t value;
	char name[64];

	if (f == NULL)
		return;
	while (fscanf(f, "%63s %" SCNu64, name, &value) == 2) {
		if (strcmp(name, "first") == 0)
			r->first = value;
		else if (strcmp(name, "next") == 0)
			r->done_before = value;
		else if (strcmp(name, "seconds") == 0)
			r->seconds_before = (double)value;
#define TOTALS_READ(member, text) else if (strcmp(name, #member) == 0) r->totals.member = value;
		TOTALS(TOTALS_READ)
#undef TOTALS_READ
	}
	fclose(f);
}

static void
state_write(const struct run *r, const char *path)
{
	char *new = xasprintf("%s.new", path);
	FILE *f = fopen(new, "w");

	if (f == NULL) {
		perror(new);
		exit(2);
	}
	fprintf(f, "first %" PRIu64 "\nnext %" PRIu64 "\nseconds %.0f\n", r->first, r->done_before,
	    r->seconds_before + seconds_since(&r->start));
#define TOTALS_WRITE(member, text) fprintf(f, #member " %" PRIu64 "\n", r->totals.member);
	TOTALS(TOTALS_WRITE)
#undef TOTALS_WRITE
	if (fclose(f) != 0 || rename(new, path) == -1) {
		perror(path);
		exit(2);
	}
	free(new);
}

/* Totals are those of all seeds without a gap, so that going on counts none twice. */
static void
result_take(struct run *r, const struct result *result)
{
	bool more = true;

	if (r->ahead_count == AHEAD_MAX) {
		printf("not ok 1 - seed %" PRIu64 " does not come to an end\n", r->done_before);
		exit(1);
	}
	r->ahead[r->ahead_count++] = *result;
	while (more) {
		more = false;
		for (size_t i = 0; i < r->ahead_count; i++)
			if (r->ahead[i].seed == r->done_before) {
				totals_add(&r->totals, &r->ahead[i].totals);
				r->ahead[i] = r->ahead[--r->ahead_count];
				r->done_before++;
				more = true;
				break;
			}
	}
}

/* ---- processes ---- */

static NORETURN void
work(struct shared *shared, unsigned job, int out)
{
	char directory[4200];

	snprintf(directory, sizeof directory, "%s/%u", stores, job);
	if (mkdtemp(strcat(directory, ".XXXXXX")) == NULL)
		_exit(2);
	while (!shared->stop) {
		struct result result = {.seed = atomic_fetch_add(&shared->next, 1)};

		shared->running[job] = result.seed;
		(void)run_seed(result.seed, directory, &result.totals);
		if (write(out, &result, sizeof result) != sizeof result)
			_exit(2);
	}
	_exit(0);
}

static unsigned
workers_start(struct run *r, unsigned jobs, pid_t *pids, int *from)
{
	int ends[2];

	if (pipe(ends) == -1) {
		perror("pipe");
		exit(2);
	}
	fflush(stdout);
	for (unsigned i = 0; i < jobs; i++) {
		pids[i] = fork();
		if (pids[i] == -1) {
			perror("fork");
			exit(2);
		}
		if (pids[i] == 0) {
			close(ends[0]);
			work(r->shared, i, ends[1]);
		}
	}
	close(ends[1]);
	*from = ends[0];
	return jobs;
}

/* false: one has failed; it has said why unless a signal ended it. */
static bool
workers_end(const struct run *r, unsigned jobs, const pid_t *pids)
{
	bool good = true;

	for (unsigned i = 0; i < jobs; i++) {
		int status = 0;

		if (waitpid(pids[i], &status, 0) == -1)
			perror("waitpid");
		if (status == 0)
			continue;
		good = false;
		if (WIFSIGNALED(status))
			printf("not ok 1 - seed %" PRIu64 ": signal %d\n# again: suite_cluster_sim %" PRIu64 "\n",
			    r->shared->running[i], WTERMSIG(status), r->shared->running[i]);
	}
	return good;
}

static void
report(const struct run *r, bool whole)
{
	printf("# seeds %" PRIu64 " to %" PRIu64 ", %.1f simulated hours, %.0f s of wall time\n", r->first,
	    r->done_before - 1, (double)r->totals.ms / 3.6e6, r->seconds_before + seconds_since(&r->start));
	if (whole)
		totals_print(&r->totals);
	fflush(stdout);
}

/* Seeds until the time is over. 0: all were good. */
static int
run_for(struct run *r, double seconds, unsigned jobs, const char *state)
{
	pid_t pids[JOBS_MAX];
	struct result result;
	double told = 0;
	int from;

	workers_start(r, jobs, pids, &from);
	while (read(from, &result, sizeof result) == sizeof result) {
		double now = seconds_since(&r->start);
		siginfo_t ended = {0};

		result_take(r, &result);
		if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0)
			r->shared->stop = true; /* before its time: it has failed */
		r->shared->stop |= now >= seconds;
		if (now - told < REPORT_S)
			continue;
		told = now;
		report(r, false);
		if (state != NULL)
			state_write(r, state);
	}
	if (!workers_end(r, jobs, pids))
		return 1;
	if (state != NULL)
		state_write(r, state);
	report(r, true);
	printf("ok 2 - %" PRIu64 " seeds\n", r->done_before - r->first);
	free(r->ahead);
	return 0;
}

static int
run_listed(uint64_t seed, uint64_t count)
{
	struct totals totals = {0};

	for (uint64_t i = 0; i < count; i++)
		printf("# seed %" PRIu64 ": events %016" PRIx64 "\n", seed + i, run_seed(seed + i, stores, &totals));
	totals_print(&totals);
	printf("ok 1 - %" PRIu64 " seeds\n", count);
	return 0;
}

/* The same seed twice is the same twice. */
static void
check_replay(uint64_t seed)
{
	struct totals once = {0}, again = {0};
	uint64_t a = run_seed(seed, stores, &once), b = run_seed(seed, stores, &again);

	if (a != b || memcmp(&once, &again, sizeof once) != 0) {
		printf("not ok 1 - seed %" PRIu64 " runs otherwise when it is run again\n", seed);
		exit(1);
	}
	printf("ok 1 - a seed replays exactly\n");
}

int
main(int argc, char **argv)
{
	const char *state = getenv("SIM_STATE"), *first = getenv("SIM_FIRST");
	unsigned jobs = (unsigned)MIN(MAX(number_of("SIM_JOBS", 1), 1), JOBS_MAX);
	struct run r = {.first = MAX(number_of("SIM_FIRST", 1), 1)};

	simulation_begin();
	stores_make();
	atexit(stores_remove);
	if (argc > 1)
		return run_listed(strtoull(argv[1], NULL, 10), argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	r.done_before = r.first;
	if (state != NULL && (first == NULL || first[0] == '\0'))
		state_read(&r, state);
	check_replay(r.done_before);
	r.ahead = xcalloc(AHEAD_MAX, sizeof *r.ahead);
	r.shared = mmap(NULL, sizeof *r.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r.shared == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	r.shared->next = r.done_before;
	clock_gettime(CLOCK_MONOTONIC, &r.start);
	return run_for(&r, (double)number_of("SIM_SECONDS", SECONDS_DEFAULT), jobs, state);
}

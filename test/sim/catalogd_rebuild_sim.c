/*
 * catalogd_rebuild_sim.c - a store that is made again equals one that was never lost, byte for byte by the canonical dump (dump.h)
 *
 * A seed makes a history of entries (catalogd_history.h) and applies it one by one: the dump behind each entry is what every other way
 * must come to at that entry:
 *	- batches of random size;
 *	- a process that is killed at random writes of LMDB, before, within or behind them, and goes on with what it finds;
 *	- power loss: another boot, and of the pages written since some moment any may be missing: not trusted, made again from an archive
 *	  and the rest of the log; but a store that was closed in order is kept;
 *	- damage: flipped bits, a page of zeros, a file cut short or full of noise: noticed (at the start, by the scrub, by a read, by a
 *	  fault that ends the process) and made again, or the state at the start is the right one; what hit LMDB's own lists may do harm later
 *	  (counted);
 *	- an archive made at some entry, and the rest of the log.
 *
 * Usage: catalogd_rebuild_sim [seed]   without: SEEDS seeds or SECONDS of wall time, whichever ends first. A failure prints its seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive_form.h"
#include "catalogd_history.h"
#include "dump.h"
#include "scrub.h"

#define SEEDS 400
#define SEEDS_MIN 4
#define SECONDS 15
#define ENTRIES 260
#define BATCH_MAX 30
#define PAGE_BYTES 4096
#define LIVES_MAX 400
#define ARENA_BYTES (1u << 20)
#define START_NS (1000 * NS_PER_S)
#define BOOT_FILE "/proc/sys/kernel/random/boot_id"
#define EXIT_WRONG 77 /* the process has printed what is wrong */

/* ---- what the store meets: kills within its writes, and another boot ---- */

static unsigned writes_left; /* 0: nobody is killed */
static enum { KILL_BEFORE, KILL_WITHIN, KILL_BEHIND } kill_place;
static unsigned boot;

/* true: this is the write to die in. */
static bool
write_counts(void)
{
	if (writes_left == 0 || --writes_left > 0)
		return false;
	if (kill_place == KILL_BEFORE)
		(void)kill(getpid(), SIGKILL);
	return true;
}

/* Of a write that is cut whole pages arrive. */
static size_t
cut(bool dying, size_t size)
{
	return dying && kill_place == KILL_WITHIN && size >= PAGE_BYTES ? size / PAGE_BYTES / 2 * PAGE_BYTES : size;
}

static ssize_t
die_if(bool dying, ssize_t result)
{
	if (dying)
		(void)kill(getpid(), SIGKILL);
	return result;
}

ssize_t
pwrite(int fd, const void *data, size_t size, off_t at)
{
	bool dying = write_counts();

	return die_if(dying, syscall(SYS_pwrite64, fd, data, cut(dying, size), at));
}

ssize_t
write(int fd, const void *data, size_t size)
{
	bool dying = write_counts();

	return die_if(dying, syscall(SYS_write, fd, data, cut(dying, size)));
}

ssize_t
writev(int fd, const struct iovec *parts, int count)
{
	bool dying = write_counts();

	return die_if(
	    dying, syscall(SYS_writev, fd, parts, dying && kill_place == KILL_WITHIN ? (count + 1) / 2 : count));
}

int
open(const char *path, int flags, ...)
{
	char text[32];
	int fd, size;
	va_list args;
	mode_t mode;

	if (strcmp(path, BOOT_FILE) == 0) {
		fd = memfd_create("boot_id", MFD_CLOEXEC);
		size = snprintf(text, sizeof text, "boot-%u\n", boot);
		return fd != -1 && syscall(SYS_pwrite64, fd, text, size, 0) == size ? fd : -1;
	}
	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* ---- the world ---- */

struct entry {
	unsigned type; /* 0: none of ours, as the first of a term */
	int64_t time_ns;
	uint64_t term;
	struct bytes body; /* in arena */
};

/*
 * Shared by the seed's process and the lives that it starts one after the other. Whatever opens a store is such a life: the boot's identity is read
 * once in a process.
 */
struct sim {
	uint64_t seed;
	struct rng random;
	char dir[64];        /* the seed's */
	char store_dir[128]; /* the store in work */
	struct entry entries[ENTRIES + 1];
	char digests[ENTRIES + 1][SHA256_TEXT_MAX]; /* behind each entry */
	unsigned archive_index;
	unsigned power_boot; /* of the store in "power" */
	size_t arena_used;
	uint8_t arena[ARENA_BYTES];
	/* of the life in progress */
	struct store *store;
	struct apply apply;
	struct buf reply;
};

/* Shared by all processes of all seeds. */
struct totals {
	uint64_t seeds, entries, batches, kills, lives, power_losses, clean_boots, damages, refused_at_start,
	    found_by_scrub, found_by_reads, faults, harmless, lost_later, archives, rebuilds;
};
static struct totals *totals;

NORETURN static void wrong(const struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
wrong(const struct sim *s, const char *fmt, ...)
{
	va_list args;

	writes_left = 0;
	va_start(args, fmt);
	seeded_wrong(s->seed, "", fmt, args);
	va_end(args);
	_exit(EXIT_WRONG);
}

static const char *
path_in(const char *dir, const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % COUNTOF(paths)];

	snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

/* ---- the store ---- */

static enum store_open_status
store_start(struct sim *s, char error[STORE_ERROR_MAX])
{
	enum store_open_status status = store_open(
	    &(struct store_options){.directory = s->store_dir, .map_bytes = UINT64_C(1) << 27}, &s->store, error);

	if (status == STORE_UNAVAILABLE)
		wrong(s, "the store can not be opened: %s", error);
	if (status != STORE_OPENED)
		s->store = NULL;
	return status;
}

static struct store_txn *
begin(struct sim *s)
{
	char error[STORE_ERROR_MAX];

	store_read_end(s->store);
	s->apply.txn = store_write(s->store, error);
	if (s->apply.txn == NULL)
		wrong(s, "no transaction: %s", error);
	return s->apply.txn;
}

/* false: the store is damaged. */
static bool
commit(struct sim *s)
{
	char error[STORE_ERROR_MAX];
	enum store_result result = store_commit(s->apply.txn, error);

	if (result != STORE_DONE && result != STORE_DAMAGED)
		wrong(s, "commit: %s", error);
	return result == STORE_DONE;
}

/* false: likewise. */
static bool
entry_apply(struct sim *s, unsigned index)
{
	const struct entry *e = &s->entries[index];
	struct apply_entry entry = {
	    .type = (uint8_t)e->type, .version = APPLY_VERSION, .time_ns = e->time_ns, .body = e->body};

	s->apply.index = index;
	if (e->type != 0 && apply_entry(&s->apply, &entry) == APPLY_STORE_FAILED)
		return false;
	store_set_applied(s->apply.txn, index, e->term);
	return true;
}

static unsigned
applied(const struct sim *s)
{
	return (unsigned)store_state(s->store).applied_index;
}

/* Applies one batch behind what is applied, up to entry last. false: the store is damaged. */
static bool
batch_apply(struct sim *s, unsigned last, unsigned batch_max)
{
	unsigned at = applied(s), end = MIN(last, at + batch_max);
	bool good = true;

	(void)begin(s);
	if (at == 0)
		store_set_log_id(s->apply.txn, "log-of-the-seed");
	while (good && at < end)
		good = entry_apply(s, ++at);
	if (!good) {
		store_abort(s->apply.txn);
		return false;
	}
	totals->batches++;
	return commit(s);
}

/* The dump is not what it should be: the first line that differs, from a store made by single steps. */
static void
explain(const char *expected, const char *got)
{
	FILE *a = fopen(expected, "r"), *b = fopen(got, "r");
	char x[2000], y[2000];

	while (a != NULL && b != NULL && fgets(x, sizeof x, a) != NULL && fgets(y, sizeof y, b) != NULL)
		if (strcmp(x, y) != 0) {
			printf("expected: %sgot:      %s", x, y);
			break;
		}
	if (a != NULL)
		fclose(a);
	if (b != NULL)
		fclose(b);
}

/* The digest of the store's state; the dump itself is left in file name. -1: it can not be read. */
static int
dump(struct sim *s, const char *name, char digest[SHA256_TEXT_MAX])
{
	int fd = open(path_in(s->dir, name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), failed;

	if (fd == -1)
		wrong(s, "dump: %s", strerror(errno));
	failed = dump_write(store_read(s->store), fd, digest);
	store_read_end(s->store);
	close(fd);
	return failed;
}

static void replay_to(struct sim *s, unsigned index);

/* The store has the state behind the entry that it says. */
static void
check(struct sim *s, const char *way)
{
	char digest[SHA256_TEXT_MAX];
	unsigned index = applied(s);

	if (index > ENTRIES)
		wrong(s, "%s: it says that it has applied entry %u", way, index);
	if (dump(s, "got", digest) == -1)
		wrong(s, "%s: entry %u: no dump", way, index);
	if (index == 0 || strcmp(digest, s->digests[index]) == 0)
		return;
	store_close(s->store, false);
	replay_to(s, index);
	explain(path_in(s->dir, "expected"), path_in(s->dir, "got"));
	wrong(s, "%s: entry %u: the state is another one", way, index);
}

static void
store_fresh(struct sim *s, const char *name)
{
	char error[STORE_ERROR_MAX];

	snprintf(s->store_dir, sizeof s->store_dir, "%s/%s", s->dir, name);
	(void)mkdir(s->store_dir, 0700);
	if (store_erase(s->store_dir) == -1)
		wrong(s, "erase: %s", strerror(errno));
	if (store_start(s, error) != STORE_OPENED)
		wrong(s, "a fresh store can not be opened: %s", error);
	store_started(s->store);
}

/* For explain: the expected dump, made one by one again. */
static void
replay_to(struct sim *s, unsigned index)
{
	char digest[SHA256_TEXT_MAX];

	store_fresh(s, "again");
	while (applied(s) < index)
		if (!batch_apply(s, index, 1))
			break;
	(void)dump(s, "expected", digest);
}

/* ---- archives ---- */

static void
archive_make(struct sim *s)
{
	struct store_state state = store_state(s->store);
	int fd = open(path_in(s->dir, "archive"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1 || archive_write(store_read(s->store), &state, fd) == -1)
		wrong(s, "archive: %s", strerror(errno));
	store_read_end(s->store);
	close(fd);
}

/* As catalogd does it: piece by piece; the position comes with the last one, and the log's identity behind it. */
static void
archive_read(struct sim *s)
{
	char error[STORE_ERROR_MAX];
	int fd = open(path_in(s->dir, "archive"), O_RDONLY | O_CLOEXEC), more = 1;
	struct archive_reader *r;

	if (fd == -1)
		wrong(s, "archive: %s", strerror(errno));
	for (r = archive_reader_new(fd); more == 1;) {
		more = archive_reader_step(r, begin(s), 1, error);
		if (more == -1)
			wrong(s, "archive: %s", error);
		if (more == 0)
			store_set_applied(s->apply.txn, s->archive_index, s->entries[s->archive_index].term);
		if (!commit(s))
			wrong(s, "archive: the store is damaged");
	}
	archive_reader_free(r);
	(void)begin(s);
	store_set_log_id(s->apply.txn, "log-of-the-seed");
	if (!commit(s))
		wrong(s, "archive: the store is damaged");
	totals->archives++;
}

/* The store is not open, and not to be trusted: it is made again, from the archive or from the first entry on. */
static void
rebuild(struct sim *s, bool archived)
{
	char error[STORE_ERROR_MAX];

	if (store_erase(s->store_dir) == -1 || store_start(s, error) != STORE_OPENED)
		wrong(s, "it can not be made again");
	if (archived)
		archive_read(s);
	store_started(s->store);
	totals->rebuilds++;
}

/* ---- processes ---- */

/* Runs a life of the store in a process; its status. */
static int
live(struct sim *s, void life(struct sim *))
{
	struct rlimit no_core = {0, 0};
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == -1)
		wrong(s, "fork: %s", strerror(errno));
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		s->store = NULL;
		buf_init(&s->reply, 1u << 24);
		apply_init(&s->apply);
		s->apply.reply = &s->reply;
		life(s);
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_WRONG)
		_exit(EXIT_WRONG);
	totals->lives++;
	return status;
}

/* ---- the ways ---- */

static struct bytes
kept(struct sim *s, struct bytes body)
{
	uint8_t *at = s->arena + s->arena_used;

	if (body.size > sizeof s->arena - s->arena_used)
		wrong(s, "the arena is too small");
	if (body.size > 0)
		memcpy(at, body.data, body.size);
	s->arena_used += body.size;
	return bytes_of(at, body.size);
}

static void
life_one_by_one(struct sim *s)
{
	struct buf body = BUF_INIT(1u << 20);
	struct op o;
	uint32_t sessions = 0;
	int64_t now_ns = START_NS;
	uint64_t term = 1;

	store_fresh(s, "one");
	for (unsigned i = 1; i <= ENTRIES; i++) {
		struct entry *e = &s->entries[i];

		(void)begin(s);
		term += roll(&s->random, 40) == 0;
		e->term = term;
		buf_clear(&body);
		o = op_random(&s->random, &sessions, NULL, i - 1, &now_ns);
		e->time_ns = o.time_ns;
		if (roll(&s->random, 30) != 0)
			e->type = history_encode(&o, s->apply.txn, &body);
		e->body = kept(s, buf_bytes(&body));
		store_abort(s->apply.txn);
		if (!batch_apply(s, i, 1) || dump(s, "got", s->digests[i]) == -1)
			wrong(s, "entry %u: the store is damaged", i);
		if (i == s->archive_index)
			archive_make(s);
	}
	totals->entries += ENTRIES;
	buf_free(&body);
	store_close(s->store, true);
}

static void
life_in_batches(struct sim *s)
{
	store_fresh(s, "batches");
	while (applied(s) < ENTRIES) {
		if (!batch_apply(s, ENTRIES, 1 + roll(&s->random, BATCH_MAX)))
			wrong(s, "batches: the store is damaged");
		check(s, "batches");
	}
	store_close(s->store, false);
}

static void
life_from_archive(struct sim *s)
{
	store_fresh(s, "archived");
	archive_read(s);
	check(s, "archive");
	while (applied(s) < ENTRIES) {
		if (!batch_apply(s, ENTRIES, 1 + roll(&s->random, BATCH_MAX)))
			wrong(s, "archive: the store is damaged");
		check(s, "archive and the rest of the log");
	}
	store_close(s->store, false);
}

/* One life of a process that will be killed, if it comes so far. */
static void
life_to_kill(struct sim *s)
{
	char error[STORE_ERROR_MAX];
	unsigned writes = writes_left;

	/* Some die in the start, most later. */
	if (roll(&s->random, 8) != 0)
		writes_left = 0;
	if (store_start(s, error) != STORE_OPENED)
		rebuild(s, false);
	writes_left = writes_left == 0 ? 0 : MAX(writes_left, 1u);
	check(s, "killed");
	store_started(s->store);
	writes_left = writes;
	while (applied(s) < ENTRIES)
		if (!batch_apply(s, ENTRIES, 1 + roll(&s->random, 4)))
			wrong(s, "killed: the store is damaged");
	writes_left = 0;
	check(s, "killed, and at its end");
	store_close(s->store, false);
}

static void
way_killed(struct sim *s)
{
	int status = -1;

	snprintf(s->store_dir, sizeof s->store_dir, "%s/killed", s->dir);
	for (unsigned lives = 0; status != 0; lives++) {
		if (lives == LIVES_MAX)
			wrong(s, "killed: it does not come to its end");
		kill_place = roll(&s->random, 3);
		writes_left = 1 + roll(&s->random, lives < 20 ? 30 : 3000);
		status = live(s, life_to_kill);
		if (status != 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
			wrong(s, "killed: status %#x", (unsigned)status);
		totals->kills += status != 0;
	}
	writes_left = 0;
}

static struct buf
file_read(const struct sim *s, const char *path)
{
	struct buf all = BUF_INIT(1u << 30);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *space;
	ssize_t n;

	if (fd == -1)
		wrong(s, "%s: %s", path, strerror(errno));
	while ((space = buf_space(&all, 65536)) != NULL && (n = read(fd, space, 65536)) > 0)
		buf_commit(&all, (size_t)n);
	close(fd);
	return all;
}

static void
file_write(const struct sim *s, const char *path, struct bytes data)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1 || write(fd, data.data, data.size) != (ssize_t)data.size)
		wrong(s, "%s: %s", path, strerror(errno));
	close(fd);
}

/* ---- power ---- */

static bool closes_clean;
static unsigned stops_at;

static void
life_until_power_fails(struct sim *s)
{
	struct buf synced;
	char error[STORE_ERROR_MAX];

	if (store_start(s, error) != STORE_OPENED)
		wrong(s, "power: it can not be opened: %s", error);
	/* A start ends in a sync: what was written until here is on the disk. */
	synced = file_read(s, path_in(s->store_dir, "data.mdb"));
	file_write(s, path_in(s->dir, "synced"), buf_bytes(&synced));
	buf_free(&synced);
	store_started(s->store);
	while (applied(s) < stops_at)
		if (!batch_apply(s, stops_at, 1 + roll(&s->random, BATCH_MAX)))
			wrong(s, "power: the store is damaged");
	store_close(s->store, closes_clean);
}

static void
life_after_power(struct sim *s)
{
	char error[STORE_ERROR_MAX];
	enum store_open_status status = store_start(s, error);

	if (status == STORE_OPENED && !closes_clean)
		wrong(s, "power: a store of another boot is trusted");
	if (status != STORE_OPENED && closes_clean)
		wrong(s, "power: a store that was closed in order is not trusted: %s", error);
	if (status != STORE_OPENED)
		rebuild(s, roll(&s->random, 4) != 0);
	check(s, "power");
	store_started(s->store);
	while (applied(s) < ENTRIES) {
		if (!batch_apply(s, ENTRIES, 1 + roll(&s->random, BATCH_MAX)))
			wrong(s, "power: the store is damaged");
		check(s, "power, and the rest of the log");
	}
	store_close(s->store, false);
}

/* Of the pages that were written since the last sync any may not have arrived. */
static void
pages_lost(struct sim *s)
{
	const char *path = path_in(s->store_dir, "data.mdb");
	struct buf after = file_read(s, path), before = file_read(s, path_in(s->dir, "synced"));
	unsigned every = 1 + roll(&s->random, 4);

	for (size_t at = 0; at + PAGE_BYTES <= after.used; at += PAGE_BYTES)
		if (roll(&s->random, every + 1) == 0) {
			if (at + PAGE_BYTES <= before.used)
				memcpy(after.data + at, before.data + at, PAGE_BYTES);
			else
				memset(after.data + at, 0, PAGE_BYTES);
		}
	file_write(s, path, buf_bytes(&after));
	buf_free(&after);
	buf_free(&before);
}

static void
way_power(struct sim *s)
{
	snprintf(s->store_dir, sizeof s->store_dir, "%s/power", s->dir);
	boot = s->power_boot;
	stops_at = 1 + roll(&s->random, ENTRIES);
	closes_clean = roll(&s->random, 3) == 0;
	if (live(s, life_until_power_fails) != 0)
		wrong(s, "power: the life before failed");
	if (!closes_clean)
		pages_lost(s);
	boot = ++s->power_boot;
	totals->power_losses += !closes_clean;
	totals->clean_boots += closes_clean;
	if (live(s, life_after_power) != 0)
		wrong(s, "power: a life behind the power loss failed");
	boot = 0;
}

/* ---- damage ---- */

static void
damage(struct sim *s)
{
	const char *path = path_in(s->store_dir, "data.mdb");
	struct buf data = file_read(s, path);
	size_t pages = data.used / PAGE_BYTES, at;

	switch (roll(&s->random, 5)) {
	case 0:
		for (unsigned n = 1 + roll(&s->random, 20); n > 0; n--)
			data.data[rng_next(&s->random) % data.used] ^= (uint8_t)(1u << roll(&s->random, 8));
		break;
	case 1: /* in the heads of pages, where the tree is */
		for (unsigned n = 1 + roll(&s->random, 6); n > 0; n--)
			data.data[rng_next(&s->random) % pages * PAGE_BYTES + roll(&s->random, 64)] ^=
			    (uint8_t)(1u << roll(&s->random, 8));
		break;
	case 2:
		at = rng_next(&s->random) % pages * PAGE_BYTES;
		memset(data.data + at, 0, PAGE_BYTES);
		break;
	case 3:
		data.used = rng_next(&s->random) % data.used;
		break;
	default: /* noise from some page on */
		for (at = rng_next(&s->random) % pages * PAGE_BYTES; at < data.used; at++)
			data.data[at] = (uint8_t)rng_next(&s->random);
		break;
	}
	file_write(s, path, buf_bytes(&data));
	buf_free(&data);
	totals->damages++;
}

/* What was noticed makes the store again. */
static void
damage_noticed(struct sim *s, uint64_t *counter)
{
	(*counter)++;
	store_close(s->store, false);
	rebuild(s, roll(&s->random, 2) == 0);
}

/* A start as catalogd's. */
static void
life_after_damage(struct sim *s)
{
	char error[STORE_ERROR_MAX], digest[SHA256_TEXT_MAX];
	bool good = true, noticed = true;

	if (store_start(s, error) != STORE_OPENED)
		damage_noticed(s, &totals->refused_at_start);
	else if (scrub_whole(s->store, SCRUB_START_RECORDS_MAX, error) == -1)
		damage_noticed(s, &totals->found_by_scrub);
	else if (dump(s, "got", digest) == -1)
		damage_noticed(s, &totals->found_by_reads);
	else {
		noticed = applied(s) == 0;
		totals->harmless += !noticed;
		check(s, "damage, at a start that noticed nothing");
	}
	store_started(s->store);
	while (good && applied(s) < ENTRIES)
		good = batch_apply(s, ENTRIES, 1 + roll(&s->random, BATCH_MAX));
	if (!good || dump(s, "got", digest) == -1) {
		noticed = true;
		damage_noticed(s, &totals->found_by_reads);
		while (applied(s) < ENTRIES)
			if (!batch_apply(s, ENTRIES, BATCH_MAX))
				wrong(s, "damage: the store is damaged again");
	}
	/* Nothing guards LMDB's own lists and branches: what a start could not see in them may do harm later (consuld-store.5, BUGS). */
	if (!noticed && dump(s, "got", digest) == 0 && strcmp(digest, s->digests[ENTRIES]) != 0)
		totals->lost_later++;
	else
		check(s, "damage");
	store_close(s->store, false);
}

static void
way_damaged(struct sim *s)
{
	int status = -1;

	snprintf(s->store_dir, sizeof s->store_dir, "%s/damaged", s->dir);
	stops_at = 1 + roll(&s->random, ENTRIES);
	closes_clean = roll(&s->random, 2) == 0;
	if (live(s, life_until_power_fails) != 0)
		wrong(s, "damage: the first life failed");
	damage(s);
	/* A fault ends the process; the second one in a start makes the store again, and so does a supervisor that sees one later. */
	for (unsigned lives = 0; status != 0; lives++) {
		if (lives == 4)
			wrong(s, "damage: it does not come up again: status %#x", (unsigned)status);
		if (lives == 2 && store_erase(s->store_dir) == -1)
			wrong(s, "erase: %s", strerror(errno));
		status = live(s, life_after_damage);
		if (status != 0 && !WIFSIGNALED(status))
			wrong(s, "damage: status %#x", (unsigned)status);
		totals->faults += status != 0;
	}
}

/* ---- seeds ---- */

static void
run_steps(struct sim *s)
{
	static void (*const lives[])(struct sim *) = {life_one_by_one, life_in_batches, life_from_archive};
	static const char *const names[] = {"one by one", "batches", "archive"};

	rng_seed(&s->random, s->seed);
	s->archive_index = 1 + roll(&s->random, ENTRIES);
	for (size_t i = 0; i < COUNTOF(lives); i++)
		if (live(s, lives[i]) != 0)
			wrong(s, "%s: a life failed", names[i]);
	way_killed(s);
	for (int i = 0; i < 3; i++) {
		way_power(s);
		way_damaged(s);
		/* the next one begins with what this one has left, or from nothing */
		for (size_t k = 0; k < 2 && roll(&s->random, 2) == 0; k++)
			if (store_erase(path_in(s->dir, k == 0 ? "power" : "damaged")) == -1)
				wrong(s, "erase: %s", strerror(errno));
	}
	totals->seeds++;
}

static void
clean_up(const char *dir)
{
	static const char *const stores[] = {"one", "batches", "archived", "killed", "power", "damaged", "again"};
	static const char *const files[] = {"archive", "got", "expected", "synced"};

	for (size_t i = 0; i < COUNTOF(stores); i++) {
		if (store_erase(path_in(dir, stores[i])) == 0)
			(void)rmdir(path_in(dir, stores[i]));
	}
	for (size_t i = 0; i < COUNTOF(files); i++)
		(void)unlink(path_in(dir, files[i]));
	if (rmdir(dir) == -1)
		perror(dir);
}

static bool
run_seed(uint64_t seed)
{
	struct sim *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	if (s == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	s->seed = seed;
	snprintf(s->dir, sizeof s->dir, "%s/catalogd_rebuild_sim.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	fflush(stdout);
	if (mkdtemp(s->dir) == NULL || (pid = fork()) == -1) {
		perror("catalogd_rebuild_sim");
		exit(1);
	}
	if (pid == 0) {
		run_steps(s);
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	clean_up(s->dir);
	(void)munmap(s, sizeof *s);
	if (WIFSIGNALED(status))
		printf("not ok 1 - seed %" PRIu64 ": died by signal %d\n", seed, WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int
main(int argc, char **argv)
{
	totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (totals == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	history_init();
	if (!seeded_run(argc, argv, (struct seeded_bounds){SEEDS, SEEDS_MIN, SECONDS}, run_seed))
		return 1;
	printf("ok 1 - %" PRIu64 " seeds of %d entries: %" PRIu64 " batches, %" PRIu64 " processes, %" PRIu64
	       " killed in a write, %" PRIu64 " power losses, %" PRIu64 " boots behind an ordered stop, %" PRIu64
	       " damages (%" PRIu64 " refused at a start, %" PRIu64 " found by the scrub, %" PRIu64
	       " by reads, %" PRIu64 " faults, %" PRIu64 " starts went on, %" PRIu64
	       " of them to another state later), %" PRIu64 " archives read, %" PRIu64
	       " stores made again: all other dumps equal\n",
	    totals->seeds, ENTRIES, totals->batches, totals->lives, totals->kills, totals->power_losses,
	    totals->clean_boots, totals->damages, totals->refused_at_start, totals->found_by_scrub,
	    totals->found_by_reads, totals->faults, totals->harmless, totals->lost_later, totals->archives,
	    totals->rebuilds);
	return 0;
}

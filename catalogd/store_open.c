/*
 * store_open.c - opening the state on disk, making it ours, and closing it (contract: store.h; callers: main.c, catalogd.c, catalogd_snapshot.c)
 *
 * LMDB with MDB_NOSYNC: the file is a cache of the log's outcome. It survives every death of this process (the page cache has all
 * writes, and a commit writes its meta page last), but not a power cut: LMDB then hands pages out again whose successors never reached
 * the disk. So the file says in which boot it was written and whether it was synced and left alone since ("clean"); what can not
 * be trusted is thrown away and made again from snapshot and log. Not MDB_WRITEMAP: with it a full disk is a SIGBUS
 * in the middle of an apply; without, it is an error of the commit.
 *
 * A file that was cut is compared with its last page at opening; later it is a SIGBUS, and the next start finds the size wrong.
 */
#include "store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "store_file.h"

#define READERS_MAX 64

static int
env_open(const struct store_options *options, MDB_env **out)
{
	static const uint64_t smallest = UINT64_C(64) << 20;
	uint64_t map_bytes = MAX(options->map_bytes, smallest);
	unsigned flags = MDB_NOSYNC | MDB_NOTLS;
	int error;

	if (options->copy)
		flags = MDB_NOTLS | MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR;
	for (;;) {
		MDB_env *env;

		if ((error = mdb_env_create(&env)) != 0)
			return error;
		(void)mdb_env_set_maxdbs(env, STORE_TABLE_COUNT);
		(void)mdb_env_set_maxreaders(env, READERS_MAX);
		(void)mdb_env_set_mapsize(env, map_bytes);
		error = mdb_env_open(env, options->directory, flags, 0600);
		if (error == 0) {
			*out = env;
			return 0;
		}
		mdb_env_close(env);
		/* RLIMIT_AS, a sanitizer's layout: less address space does as well for long. */
		if (error != ENOMEM || map_bytes / 4 < smallest)
			return error;
		map_bytes /= 4;
	}
}

/* How long the file must be for its last page, and how long it is. -1: errno. */
static int
file_sizes(MDB_env *env, uint64_t *wanted, uint64_t *there)
{
	MDB_envinfo info;
	MDB_stat stat_of_env;
	struct stat file;
	int fd;

	if (mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &stat_of_env) != 0 || mdb_env_get_fd(env, &fd) != 0 ||
	    fstat(fd, &file) == -1)
		return -1;
	*wanted = ((uint64_t)info.me_last_pgno + 1) * stat_of_env.ms_psize;
	*there = (uint64_t)file.st_size;
	return 0;
}

/* A file that is shorter than its last page says would kill us by SIGBUS. */
static bool
file_is_whole(MDB_env *env)
{
	uint64_t wanted, there;

	return file_sizes(env, &wanted, &there) == 0 && there >= wanted;
}

/*
 * LMDB does not write pages that a transaction took at the file's end and gave back: the file is then shorter than it says, without
 * being cut. So that the two can be told apart it is made as long as that. (Died before that, or no space: the store is made again.)
 */
void
store_open_lengthen(struct store *s)
{
	MDB_envinfo info;
	uint64_t wanted, there;
	int fd;

	if (mdb_env_info(s->env, &info) != 0 || info.me_last_pgno <= s->last_page)
		return;
	if (file_sizes(s->env, &wanted, &there) == -1 || mdb_env_get_fd(s->env, &fd) != 0)
		return;
	if (there >= wanted || ftruncate(fd, (off_t)wanted) == 0)
		s->last_page = info.me_last_pgno;
}

static int
tables_open(struct store *s, bool create)
{
	MDB_txn *txn;
	int error = mdb_txn_begin(s->env, NULL, create ? 0 : MDB_RDONLY, &txn);

	for (size_t i = 0; error == 0 && i < STORE_TABLE_COUNT; i++) {
		unsigned flags = 0;

		error = mdb_dbi_open(txn, store_table_name((enum store_table)i), create ? MDB_CREATE : 0, &s->dbi[i]);
		/* None of ours has any: a flipped bit here would compare keys in another way. */
		if (error == 0 && (error = mdb_dbi_flags(txn, s->dbi[i], &flags)) == 0 && flags != 0)
			error = MDB_INCOMPATIBLE;
	}
	if (error != 0) {
		mdb_txn_abort(txn);
		return error;
	}
	return mdb_txn_commit(txn);
}

/*
 * Reads what the store says of itself and makes it ours: from here on it is not clean, and that is on disk before anything else changes.
 */
static enum store_open_status
state_take_over(struct store *s, bool fresh, char error[STORE_ERROR_MAX])
{
	struct store_txn *t = store_write(s, error);
	struct store_file_state file = {0};
	struct bytes value;
	char boot_id[STORE_FILE_BOOT_MAX];
	enum store_result committed;
	bool found;

	if (t == NULL)
		return STORE_UNAVAILABLE;
	store_file_boot_id(boot_id);
	found = store_get(t, STORE_META, bytes_str("state"), &value);
	if (t->result != STORE_DONE) {
		snprintf(error, STORE_ERROR_MAX, "%s", t->error);
		store_abort(t);
		return STORE_REBUILD;
	}
	if (found && store_file_state_get(value, &file) == -1) {
		snprintf(error, STORE_ERROR_MAX, "it has another format");
		store_abort(t);
		return STORE_REBUILD;
	}
	if (!found && !fresh) {
		snprintf(error, STORE_ERROR_MAX, "it was never finished");
		store_abort(t);
		return STORE_REBUILD;
	}
	if (found && !file.clean && strcmp(file.boot_id, boot_id) != 0) {
		snprintf(error, STORE_ERROR_MAX, "the machine stopped while it was in use");
		store_abort(t);
		return STORE_REBUILD;
	}
	t->state = file.state;
	t->state_changed = true;
	committed = store_commit(t, error);
	if (committed != STORE_DONE)
		return committed == STORE_DAMAGED ? STORE_REBUILD : STORE_UNAVAILABLE;
	if (mdb_env_sync(s->env, 1) != 0) {
		snprintf(error, STORE_ERROR_MAX, "sync: %s", strerror(errno));
		return STORE_UNAVAILABLE;
	}
	return STORE_OPENED;
}

static enum store_open_status
open_marked(struct store *s, const struct store_options *options, char error[STORE_ERROR_MAX])
{
	int fail = env_open(options, &s->env);
	MDB_envinfo info;
	bool fresh;

	if (fail != 0) {
		s->env = NULL;
		snprintf(error, STORE_ERROR_MAX, "open: %s", mdb_strerror(fail));
		return store_result_of(fail) == STORE_DAMAGED ? STORE_REBUILD : STORE_UNAVAILABLE;
	}
	if (mdb_env_info(s->env, &info) != 0 || (fresh = info.me_last_txnid == 0, !fresh && !file_is_whole(s->env))) {
		snprintf(error, STORE_ERROR_MAX, "the file was cut");
		return STORE_REBUILD;
	}
	/* A table that is not where it was is damage: made again it would be empty. */
	if ((fail = tables_open(s, fresh && !options->copy)) != 0) {
		snprintf(error, STORE_ERROR_MAX, "tables: %s", mdb_strerror(fail));
		if (fail == MDB_NOTFOUND)
			return STORE_REBUILD;
		return store_result_of(fail) == STORE_FAILED ? STORE_UNAVAILABLE
		       : store_result_of(fail) == STORE_FULL ? STORE_UNAVAILABLE
							     : STORE_REBUILD;
	}
	if (options->copy)
		return STORE_OPENED;
	return state_take_over(s, fresh, error);
}

enum store_open_status
store_open(const struct store_options *options, struct store **out, char error[STORE_ERROR_MAX])
{
	struct store *s;
	enum store_open_status status;

	if (!options->copy && mkdir(options->directory, 0700) == -1 && errno != EEXIST) {
		snprintf(error, STORE_ERROR_MAX, "mkdir: %s", strerror(errno));
		return STORE_UNAVAILABLE;
	}
	if (!options->copy && store_file_start(options->directory, error) == -1)
		return STORE_REBUILD;
	s = xcalloc(1, sizeof *s);
	s->directory = xstrdup(options->directory);
	s->keeps_marks = !options->copy;
	s->read.store = s->write.store = s;
	buf_init(&s->name, UINT32_MAX);
	status = open_marked(s, options, error);
	if (status != STORE_OPENED) {
		/* What a damaged file did not kill us with is not held against the next one. */
		store_started(s);
		store_close(s, false);
		return status;
	}
	*out = s;
	return STORE_OPENED;
}

int
store_erase(const char *directory)
{
	return store_file_erase(directory);
}

void
store_started(struct store *s)
{
	if (s->keeps_marks)
		store_file_started(s->directory);
}

int
store_copy(const char *directory, int to)
{
	MDB_env *env;
	int error = mdb_env_create(&env);

	if (error != 0)
		return error;
	/* The size of the map is taken from the file's own meta page when it is larger. */
	if ((error = mdb_env_open(env, directory, MDB_RDONLY | MDB_NOTLS, 0600)) == 0)
		error = mdb_env_copyfd(env, to);
	mdb_env_close(env);
	return error;
}

const char *
store_copy_error(int error)
{
	return mdb_strerror(error);
}

void
store_mark_damaged(struct store *s)
{
	store_file_damaged(s->directory);
}

static void
mark_clean(struct store *s)
{
	char error[STORE_ERROR_MAX];
	struct store_txn *t;

	if (mdb_env_sync(s->env, 1) != 0 || (t = store_write(s, error)) == NULL)
		return;
	if (store_file_state_put_record(t, &s->state, true) == -1) {
		store_abort(t);
		return;
	}
	if (store_commit(t, error) == STORE_DONE)
		(void)mdb_env_sync(s->env, 1);
}

void
store_close(struct store *s, bool clean)
{
	if (s == NULL)
		return;
	store_read_end(s);
	if (s->write.open)
		store_abort(&s->write);
	for (size_t i = 0; i < STORE_TABLE_COUNT; i++)
		if (s->spare[i] != NULL)
			mdb_cursor_close(s->spare[i]);
	if (s->read.txn != NULL)
		mdb_txn_abort(s->read.txn);
	if (s->env != NULL) {
		if (clean) {
			mark_clean(s);
			store_file_forget_crashes(s->directory);
		}
		mdb_env_close(s->env);
	}
	buf_free(&s->name);
	free(s->directory);
	free(s);
}

/*
 * store.c - the state on disk (contract: store.h; format: consuld-store.5; callers: all of catalogd)
 *
 * LMDB with MDB_NOSYNC: the file is a cache of the log's outcome. It survives every death of this process (the page cache has all
 * writes, and a commit writes its meta page last), but not a power cut: LMDB then hands pages out again whose successors never reached
 * the disk. So the file says in which boot it was written and whether it was synced and left alone since ("clean"); what can not
 * be trusted is thrown away and made again from snapshot and log. Not MDB_WRITEMAP: with it a full disk is a SIGBUS
 * in the middle of an apply; without, it is an error of the commit.
 *
 * What LMDB does not notice: flipped bits (each record ends in a CRC-32C over table, stored key and value) and a file that was
 * cut (compared with the last page at opening; later it is a SIGBUS, and the next start finds the size wrong).
 *
 * A stored key is the key itself up to STORE_KEY_DIRECT_MAX bytes; a longer one is its first STORE_KEY_DIRECT_MAX bytes and
 * its digest, and its record carries the whole key behind the value: key, length of it in 4 bytes, CRC.
 */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "crc32c.h"
#include "sha256.h"
#include "log.h"
#include "mem.h"
#include "store_file.h"
#include "store_pages.h"

#define KEY_STORED_MAX (STORE_KEY_DIRECT_MAX + SHA256_BYTES)
#define CRC_BYTES 4
#define FOLD_LENGTH_BYTES 4
#define READERS_MAX 64
_Static_assert(KEY_STORED_MAX == 511, "LMDB's longest key");

static const char *const table_names[] = {
#define STORE_TABLE_NAME(enumerator, name, doc) name,
    STORE_TABLES(STORE_TABLE_NAME)
#undef STORE_TABLE_NAME
};

struct store_txn {
	struct store *store;
	MDB_txn *txn;    /* where reads and writes go: the child while nested */
	MDB_txn *parent; /* not NULL: nested */
	bool open;
	bool writing;
	bool state_changed;
	enum store_result result;
	char error[STORE_ERROR_MAX];
	struct store_state state, state_before_nest;
	bool state_changed_before_nest;
};

struct store {
	MDB_env *env;
	MDB_dbi dbi[STORE_TABLE_COUNT];
	char *directory;
	struct store_state state; /* as committed */
	struct store_txn read, write;
	MDB_cursor *spare[STORE_TABLE_COUNT]; /* one read cursor for each table, kept for the next scan */
	struct buf name;
	void (*counter)(void *ctx, struct bytes name, bool changed);
	void *counter_ctx;
	size_t last_page; /* up to which the file is known to be long enough */
	bool keeps_marks; /* a store of our own, not a copy that is only read */
};

const char *
store_table_name(enum store_table table)
{
	return table_names[table];
}

int
store_table_find(struct bytes name, enum store_table *out)
{
	for (size_t i = 0; i < STORE_TABLE_COUNT; i++)
		if (bytes_is(name, table_names[i])) {
			*out = (enum store_table)i;
			return 0;
		}
	return -1;
}

/* ---- errors ---- */

static enum store_result
result_of(int error)
{
	switch (error) {
	case 0:
		return STORE_DONE;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case ENOSPC:
	case EDQUOT:
		return STORE_FULL;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_PANIC:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
	case MDB_BAD_DBI:
	case EIO:
		return STORE_DAMAGED;
	default:
		return STORE_FAILED;
	}
}

static void
txn_fail(struct store_txn *t, enum store_result result, const char *fmt, ...)
{
	va_list args;

	if (t->result != STORE_DONE)
		return;
	t->result = result;
	va_start(args, fmt);
	vsnprintf(t->error, sizeof t->error, fmt, args);
	va_end(args);
}

static void
txn_fail_mdb(struct store_txn *t, int error, const char *what, enum store_table table)
{
	txn_fail(t, result_of(error), "%s %s: %s", what, table_names[table], mdb_strerror(error));
}

enum store_result
store_txn_result(const struct store_txn *t, char *error)
{
	if (error != NULL)
		snprintf(error, STORE_ERROR_MAX, "%s", t->error);
	return t->result;
}

/* ---- opening and closing ---- */

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
static void
file_lengthen(struct store *s)
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

		error = mdb_dbi_open(txn, table_names[i], create ? MDB_CREATE : 0, &s->dbi[i]);
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
		return result_of(fail) == STORE_DAMAGED ? STORE_REBUILD : STORE_UNAVAILABLE;
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
		return result_of(fail) == STORE_FAILED ? STORE_UNAVAILABLE
		       : result_of(fail) == STORE_FULL ? STORE_UNAVAILABLE
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

struct store_state
store_state(const struct store *s)
{
	return s->state;
}

int
store_state_read(struct store_txn *t, struct store_state *out)
{
	struct store_file_state file;
	struct bytes value;

	if (!store_get(t, STORE_META, bytes_str("state"), &value) || store_file_state_get(value, &file) == -1)
		return -1;
	*out = file.state;
	return 0;
}

const char *
store_directory(const struct store *s)
{
	return s->directory;
}

uint64_t
store_free_bytes(const struct store *s)
{
	struct statvfs fs;

	return statvfs(s->directory, &fs) == -1 ? UINT64_MAX : (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* ---- transactions ---- */

struct store_txn *
store_read(struct store *s)
{
	struct store_txn *t = &s->read;
	int error;

	if (t->open)
		return t;
	if (t->txn == NULL)
		error = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->txn);
	else
		error = mdb_txn_renew(t->txn);
	if (error != 0)
		return NULL;
	t->open = true;
	t->result = STORE_DONE;
	t->error[0] = '\0';
	t->state = s->state;
	return t;
}

void
store_read_end(struct store *s)
{
	if (!s->read.open)
		return;
	mdb_txn_reset(s->read.txn);
	s->read.open = false;
}

struct store_txn *
store_write(struct store *s, char error[STORE_ERROR_MAX])
{
	struct store_txn *t = &s->write;
	int fail;

	if (t->open)
		panic("store: two write transactions");
	*t = (struct store_txn){.store = s, .writing = true, .state = s->state};
	if ((fail = mdb_txn_begin(s->env, NULL, 0, &t->txn)) != 0) {
		snprintf(error, STORE_ERROR_MAX, "begin: %s", mdb_strerror(fail));
		return NULL;
	}
	t->open = true;
	return t;
}

void
store_abort(struct store_txn *t)
{
	if (t->parent != NULL)
		store_nest_end(t, false);
	mdb_txn_abort(t->txn);
	t->txn = NULL;
	t->open = false;
}

enum store_result
store_commit(struct store_txn *t, char error[STORE_ERROR_MAX])
{
	int fail;

	assert(t->parent == NULL);
	if (t->state_changed)
		(void)store_file_state_put_record(t, &t->state, false);
	if (t->result != STORE_DONE) {
		snprintf(error, STORE_ERROR_MAX, "%s", t->error);
		store_abort(t);
		return t->result;
	}
	t->open = false;
	fail = mdb_txn_commit(t->txn);
	t->txn = NULL;
	if (fail != 0) {
		snprintf(error, STORE_ERROR_MAX, "commit: %s", mdb_strerror(fail));
		/* A short write, which is how a disk that has just become full answers, is EIO to LMDB; nothing has changed then. */
		return fail == EIO ? STORE_FULL : result_of(fail);
	}
	t->store->state = t->state;
	file_lengthen(t->store);
	return STORE_DONE;
}

void
store_set_applied(struct store_txn *t, uint64_t index, uint64_t term)
{
	t->state.applied_index = index;
	t->state.applied_term = term;
	t->state_changed = true;
}

void
store_set_log_id(struct store_txn *t, const char *log_id)
{
	snprintf(t->state.log_id, sizeof t->state.log_id, "%s", log_id);
	t->state_changed = true;
}

void
store_nest(struct store_txn *t)
{
	MDB_txn *child;
	int error;

	assert(t->writing && t->parent == NULL);
	if (t->result != STORE_DONE)
		return;
	if ((error = mdb_txn_begin(t->store->env, t->txn, 0, &child)) != 0) {
		txn_fail(t, result_of(error), "nest: %s", mdb_strerror(error));
		return;
	}
	t->parent = t->txn;
	t->txn = child;
	t->state_before_nest = t->state;
	t->state_changed_before_nest = t->state_changed;
}

void
store_nest_end(struct store_txn *t, bool keep)
{
	int error;

	if (t->parent == NULL) /* it never began */
		return;
	if (keep && t->result == STORE_DONE) {
		if ((error = mdb_txn_commit(t->txn)) != 0)
			txn_fail(t, result_of(error), "nested commit: %s", mdb_strerror(error));
	} else {
		mdb_txn_abort(t->txn);
		t->state = t->state_before_nest;
		t->state_changed = t->state_changed_before_nest;
	}
	t->txn = t->parent;
	t->parent = NULL;
}

/* ---- records ---- */

static MDB_val
val_of(struct bytes b)
{
	/* LMDB takes a pointer to non-const and does not write to it. */
	return (MDB_val){.mv_size = b.size, .mv_data = (void *)(uintptr_t)b.data};
}

static struct bytes
bytes_of_val(MDB_val v)
{
	return (struct bytes){v.mv_data, v.mv_size};
}

/* The key as it is stored; space holds a folded one. */
static MDB_val
stored_key(struct bytes key, uint8_t space[KEY_STORED_MAX])
{
	if (key.size == 0)
		panic("store: empty key");
	if (key.size <= STORE_KEY_DIRECT_MAX)
		return val_of(key);
	memcpy(space, key.data, STORE_KEY_DIRECT_MAX);
	sha256(key, space + STORE_KEY_DIRECT_MAX);
	return (MDB_val){.mv_size = KEY_STORED_MAX, .mv_data = space};
}

static uint32_t
record_crc(enum store_table table, MDB_val key, const uint8_t *data, size_t size)
{
	uint8_t number = (uint8_t)table;

	return crc32c(crc32c(crc32c(0, &number, 1), key.mv_data, key.mv_size), data, size);
}

/*
 * Checks a record and takes it apart; *whole_key (may be NULL) is the key before folding.
 */
static bool
record_open(struct store_txn *t, enum store_table table, MDB_val key, MDB_val record, struct bytes *value,
    struct bytes *whole_key)
{
	const uint8_t *data = record.mv_data;
	size_t size = record.mv_size;

	if (size < CRC_BYTES || be32_at(data + size - CRC_BYTES) != record_crc(table, key, data, size - CRC_BYTES))
		goto damaged;
	size -= CRC_BYTES;
	if (whole_key != NULL)
		*whole_key = bytes_of_val(key);
	if (key.mv_size == KEY_STORED_MAX) {
		size_t length;

		if (size < FOLD_LENGTH_BYTES ||
		    (length = be32_at(data + size - FOLD_LENGTH_BYTES)) > size - FOLD_LENGTH_BYTES)
			goto damaged;
		size -= FOLD_LENGTH_BYTES + length;
		if (whole_key != NULL)
			*whole_key = bytes_of(data + size, length);
	}
	*value = bytes_of(data, size);
	return true;

damaged:
	txn_fail(t, STORE_DAMAGED, "record in table %s fails its checksum", table_names[table]);
	return false;
}

bool
store_get(struct store_txn *t, enum store_table table, struct bytes key, struct bytes *value)
{
	uint8_t space[KEY_STORED_MAX];
	MDB_val k, record;
	int error;

	if (t->result != STORE_DONE)
		return false;
	k = stored_key(key, space);
	error = mdb_get(t->txn, t->store->dbi[table], &k, &record);
	if (error == MDB_NOTFOUND)
		return false;
	if (error != 0) {
		txn_fail_mdb(t, error, "read", table);
		return false;
	}
	return record_open(t, table, k, record, value, NULL);
}

bool
store_has(struct store_txn *t, enum store_table table, struct bytes key)
{
	struct bytes value;

	return store_get(t, table, key, &value);
}

static void
put_be32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

void
store_put(struct store_txn *t, enum store_table table, struct bytes key, struct bytes value)
{
	uint8_t space[KEY_STORED_MAX], *data;
	size_t size = value.size;
	MDB_val k, record;
	int error;

	if (t->result != STORE_DONE)
		return;
	k = stored_key(key, space);
	record.mv_size = size + CRC_BYTES + (k.mv_size == KEY_STORED_MAX ? key.size + FOLD_LENGTH_BYTES : 0);
	if ((error = mdb_put(t->txn, t->store->dbi[table], &k, &record, MDB_RESERVE)) != 0) {
		txn_fail_mdb(t, error, "write", table);
		return;
	}
	data = record.mv_data;
	if (size > 0)
		memcpy(data, value.data, size);
	if (k.mv_size == KEY_STORED_MAX) {
		memcpy(data + size, key.data, key.size);
		size += key.size;
		put_be32(data + size, (uint32_t)key.size);
		size += FOLD_LENGTH_BYTES;
	}
	put_be32(data + size, record_crc(table, k, data, size));
}

bool
store_delete(struct store_txn *t, enum store_table table, struct bytes key)
{
	uint8_t space[KEY_STORED_MAX];
	MDB_val k;
	int error;

	if (t->result != STORE_DONE)
		return false;
	k = stored_key(key, space);
	error = mdb_del(t->txn, t->store->dbi[table], &k, NULL);
	if (error != 0 && error != MDB_NOTFOUND)
		txn_fail_mdb(t, error, "delete", table);
	return error == 0;
}

uint64_t
store_count(struct store_txn *t, enum store_table table)
{
	MDB_stat stat_of_table;

	if (t->result != STORE_DONE || mdb_stat(t->txn, t->store->dbi[table], &stat_of_table) != 0)
		return 0;
	return stat_of_table.ms_entries;
}

int
store_check_pages(struct store_txn *t, char error[STORE_ERROR_MAX])
{
	return store_pages_check(t->txn, t->store->dbi, STORE_TABLE_COUNT, error);
}

/* ---- scans ---- */

enum { SCAN_FIRST, SCAN_NEXT, SCAN_OVER };

void
store_scan_from(
    struct store_cursor *c, struct store_txn *t, enum store_table table, struct bytes prefix, struct bytes from)
{
	struct store *s = t->store;
	MDB_cursor *cursor = NULL;
	int error = 0;

	*c = (struct store_cursor){.key = from, .txn = t, .table = table, .prefix = prefix, .state = SCAN_OVER};
	if (t->result != STORE_DONE)
		return;
	if (!t->writing && s->spare[table] != NULL) {
		cursor = s->spare[table];
		s->spare[table] = NULL;
		error = mdb_cursor_renew(t->txn, cursor);
	} else
		error = mdb_cursor_open(t->txn, s->dbi[table], &cursor);
	c->cursor = cursor;
	if (error != 0)
		txn_fail_mdb(t, error, "cursor", table);
	else
		c->state = SCAN_FIRST;
}

void
store_scan(struct store_cursor *c, struct store_txn *t, enum store_table table, struct bytes prefix)
{
	store_scan_from(c, t, table, prefix, bytes_of(prefix.data, MIN(prefix.size, (size_t)STORE_KEY_DIRECT_MAX)));
}

bool
store_next(struct store_cursor *c)
{
	struct bytes direct = bytes_of(c->prefix.data, MIN(c->prefix.size, (size_t)STORE_KEY_DIRECT_MAX));
	MDB_cursor_op op;
	MDB_val key, record = {0, NULL}; /* a damaged page may leave it as it is */
	int error;

	while (c->state != SCAN_OVER && c->txn->result == STORE_DONE) {
		op = MDB_NEXT;
		if (c->state == SCAN_FIRST) {
			key = val_of(c->key);
			op = key.mv_size > 0 ? MDB_SET_RANGE : MDB_FIRST;
			c->state = SCAN_NEXT;
		}
		error = mdb_cursor_get(c->cursor, &key, &record, op);
		if (error != 0 && error != MDB_NOTFOUND)
			txn_fail_mdb(c->txn, error, "scan", c->table);
		if (error != 0 || !bytes_has_prefix(bytes_of_val(key), direct))
			break;
		if (!record_open(c->txn, c->table, key, record, &c->value, &c->key))
			break;
		if (c->prefix.size <= STORE_KEY_DIRECT_MAX || bytes_has_prefix(c->key, c->prefix))
			return true;
	}
	c->state = SCAN_OVER;
	return false;
}

void
store_scan_delete(struct store_cursor *c)
{
	int error;

	if (c->state == SCAN_OVER || c->txn->result != STORE_DONE)
		return;
	/* LMDB leaves the cursor so that the next MDB_NEXT delivers the record behind the deleted one. */
	if ((error = mdb_cursor_del(c->cursor, 0)) != 0)
		txn_fail_mdb(c->txn, error, "delete", c->table);
}

void
store_scan_end(struct store_cursor *c)
{
	struct store *s = c->txn->store;

	if (c->cursor == NULL)
		return;
	if (!c->txn->writing && s->spare[c->table] == NULL)
		s->spare[c->table] = c->cursor;
	else
		mdb_cursor_close(c->cursor);
	c->cursor = NULL;
	c->state = SCAN_OVER;
}

/* ---- counters ---- */

void
store_observe(struct store *s, void (*counter)(void *ctx, struct bytes name, bool changed), void *ctx)
{
	s->counter = counter;
	s->counter_ctx = ctx;
}

static void
counter_tell(const struct store_txn *t, struct bytes name, bool changed)
{
	const struct store *s = t->store;

	if (s->counter != NULL && (changed || !t->writing))
		s->counter(s->counter_ctx, name, changed);
}

uint64_t
store_index(struct store_txn *t, struct bytes name)
{
	struct bytes value;

	counter_tell(t, name, false);
	return store_get(t, STORE_INDEX, name, &value) && value.size == 8 ? be64_at(value.data) : 0;
}

void
store_index_set(struct store_txn *t, struct bytes name, uint64_t index)
{
	uint8_t value[8];

	put_be32(value, (uint32_t)(index >> 32));
	put_be32(value + 4, (uint32_t)index);
	store_put(t, STORE_INDEX, name, bytes_of(value, sizeof value));
	counter_tell(t, name, true);
}

void
store_index_drop(struct store_txn *t, struct bytes name)
{
	store_delete(t, STORE_INDEX, name);
	counter_tell(t, name, true);
}

static struct bytes
joined(struct store_txn *t, const char *prefix, struct bytes name)
{
	struct buf *b = &t->store->name;

	buf_clear(b);
	buf_put_str(b, prefix);
	buf_put_bytes(b, name);
	return buf_bytes(b);
}

uint64_t
store_index2(struct store_txn *t, const char *prefix, struct bytes name)
{
	return store_index(t, joined(t, prefix, name));
}

void
store_index2_set(struct store_txn *t, const char *prefix, struct bytes name, uint64_t index)
{
	store_index_set(t, joined(t, prefix, name), index);
}

void
store_index2_drop(struct store_txn *t, const char *prefix, struct bytes name)
{
	store_index_drop(t, joined(t, prefix, name));
}

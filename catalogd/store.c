/*
 * store.c - the state on disk (contract: store.h; format: consuld-store.5; callers: all of catalogd)
 *
 * Transactions, records, scans and counters; store_open.c has opening and closing.
 *
 * What LMDB does not notice is flipped bits: each record ends in a CRC-32C over table, stored key and value.
 *
 * A stored key is the key itself up to STORE_KEY_DIRECT_MAX bytes; a longer one is its first STORE_KEY_DIRECT_MAX bytes and
 * its digest, and its record carries the whole key behind the value: key, length of it in 4 bytes, CRC.
 */
#include "store_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "crc32c.h"
#include "sha256.h"
#include "log.h"
#include "mem.h"
#include "store_file.h"
#include "store_pages.h"

#define KEY_STORED_MAX (STORE_KEY_DIRECT_MAX + SHA256_BYTES)
#define CRC_BYTES 4
#define FOLD_LENGTH_BYTES 4
_Static_assert(KEY_STORED_MAX == 511, "LMDB's longest key");

static const char *const table_names[] = {
#define STORE_TABLE_NAME(enumerator, name, doc) name,
    STORE_TABLES(STORE_TABLE_NAME)
#undef STORE_TABLE_NAME
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

enum store_result
store_result_of(int error)
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
	txn_fail(t, store_result_of(error), "%s %s: %s", what, table_names[table], mdb_strerror(error));
}

enum store_result
store_txn_result(const struct store_txn *t, char *error)
{
	if (error != NULL)
		snprintf(error, STORE_ERROR_MAX, "%s", t->error);
	return t->result;
}

/* ---- what it says of itself ---- */

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
		return fail == EIO ? STORE_FULL : store_result_of(fail);
	}
	t->store->state = t->state;
	store_open_lengthen(t->store);
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
		txn_fail(t, store_result_of(error), "nest: %s", mdb_strerror(error));
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
			txn_fail(t, store_result_of(error), "nested commit: %s", mdb_strerror(error));
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

/*
 * kv.c - keys, values, locks and tombstones (facts: http-api-kv-session.md 1; callers: the endpoint and apply tables)
 *
 * A record is a DirEntry in msgpack, in documented order, and is sent as it is stored. A write that changes nothing moves no index
 * and touches nobody. Deletion leaves a tombstone, so that the index of a prefix does not go back when its newest entry goes; a
 * recursive one leaves one at the prefix.
 *
 * Counters: "kvs" for entries, "tombstones" for tombstones; the larger is the index of the whole.
 */
#include "kv.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "query.h"
#include "structs.h"

/* Known mistakes, planted by test/sim/catalogd_watch_planted_sim.c to see whether the simulator finds them. */
#ifndef WATCH_PLANTS
#define PLANTED(mistake) false
#endif

#define TOMBSTONE_BYTES 16
#define VALUE_BYTES_MAX (3u * 1024 * 1024) /* an entry must fit into one frame whatever the front end's limit says */

enum kv_op { OP_SET, OP_DELETE, OP_DELETE_CAS, OP_DELETE_TREE, OP_CAS, OP_LOCK, OP_UNLOCK, OP_UNKNOWN };

static const char *const op_names[] = {"set", "delete", "delete-cas", "delete-tree", "cas", "lock", "unlock"};

static enum kv_op
op_of(struct bytes name)
{
	size_t i = 0;

	while (i < COUNTOF(op_names) && !bytes_is(name, op_names[i]))
		i++;
	return (enum kv_op)i;
}

static void
put_be64(uint8_t out[8], uint64_t value)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* The entry of key. false: none; *entry is then empty. */
static bool
entry_find(struct store_txn *t, struct bytes key, struct dir_entry *entry)
{
	struct bytes record;
	const char *error;

	memset(entry, 0, sizeof *entry);
	return key.size > 0 && store_get(t, STORE_KVS, key, &record) &&
	       schema_decode(&dir_entry_schema, record, entry, &error) == 0;
}

/* ---- applying ---- */

static void
reply_bool(struct apply *a, bool value)
{
	mp_put_bool(a->reply, value);
}

static void
counter_set(struct apply *a, const char *name)
{
	store_index_set(a->txn, bytes_str(name), a->index);
}

static void
tombstone_put(struct apply *a, struct bytes key)
{
	uint8_t value[TOMBSTONE_BYTES], index[8];
	struct buf *order = apply_key(a, 3);
	struct bytes old;

	if (PLANTED(DELETE_FORGOTTEN))
		return;
	if (store_get(a->txn, STORE_TOMBSTONES, key, &old) && old.size == TOMBSTONE_BYTES) {
		buf_clear(order);
		buf_put(order, old.data, 8);
		buf_put_bytes(order, key);
		store_delete(a->txn, STORE_TOMBSTONE_ORDER, buf_bytes(order));
	}
	put_be64(index, a->index);
	memcpy(value, index, 8);
	put_be64(value + 8, (uint64_t)a->time_ns);
	store_put(a->txn, STORE_TOMBSTONES, key, bytes_of(value, sizeof value));
	buf_clear(order);
	buf_put(order, index, 8);
	buf_put_bytes(order, key);
	store_put(a->txn, STORE_TOMBSTONE_ORDER, buf_bytes(order), bytes_of(NULL, 0));
	counter_set(a, "tombstones");
}

static void
holder_set(struct apply *a, struct bytes session, struct bytes key, bool holds)
{
	struct bytes name;

	if (session.size == 0)
		return;
	name = STORE_KEY(apply_key(a, 2), session, key);
	if (holds)
		store_put(a->txn, STORE_SESSION_KEYS, name, bytes_of(NULL, 0));
	else
		store_delete(a->txn, STORE_SESSION_KEYS, name);
}

static bool
entry_is_same(const struct dir_entry *a, const struct dir_entry *b)
{
	return a->lock_index == b->lock_index && a->flags == b->flags && bytes_equal(a->value, b->value) &&
	       bytes_equal(a->session, b->session);
}

/* Stores entry in place of old (found: there is one). Indexes are set here; nothing happens if nothing would change. */
static void
entry_store(struct apply *a, struct dir_entry *entry, bool found, const struct dir_entry *old)
{
	static struct buf record = BUF_INIT(16u * 1024 * 1024); /* kept: one allocation for all entries */

	if (found && entry_is_same(entry, old) && !PLANTED(SAME_WRITTEN))
		return;
	entry->create_index = found ? old->create_index : a->index;
	entry->modify_index = a->index;
	buf_clear(&record);
	schema_encode(&dir_entry_schema, entry, &record);
	/* old points into the map: what is needed of it is taken before the first write. */
	if (!bytes_equal(old->session, entry->session)) {
		struct bytes holder = region_copy(a->region, old->session);

		holder_set(a, holder, entry->key, false);
		holder_set(a, entry->session, entry->key, true);
	}
	store_put(a->txn, STORE_KVS, entry->key, buf_bytes(&record));
	counter_set(a, "kvs");
	apply_touch(a, WATCH_KEY, entry->key);
}

static void
entry_delete(struct apply *a, const struct dir_entry *old)
{
	struct bytes key = region_copy(a->region, old->key), session = region_copy(a->region, old->session);

	store_delete(a->txn, STORE_KVS, key);
	holder_set(a, session, key, false);
	counter_set(a, "kvs");
	apply_touch(a, WATCH_KEY, key);
}

static int
apply_set(struct apply *a, struct dir_entry *entry)
{
	struct dir_entry old;
	bool found = entry_find(a->txn, entry->key, &old);

	/* Locks are advisory: a plain write keeps the holder (and, as the reference does, forgets LockIndex). */
	entry->session = region_copy(a->region, old.session);
	entry_store(a, entry, found, &old);
	reply_bool(a, true);
	return 0;
}

static int
apply_cas(struct apply *a, struct dir_entry *entry)
{
	struct dir_entry old;
	bool found = entry_find(a->txn, entry->key, &old);

	if (entry->modify_index == 0 ? found : !found || old.modify_index != entry->modify_index) {
		reply_bool(a, false);
		return 0;
	}
	return apply_set(a, entry);
}

static int
apply_delete(struct apply *a, const struct dir_entry *entry, bool cas)
{
	struct dir_entry old;

	if (!entry_find(a->txn, entry->key, &old)) {
		if (PLANTED(NOTHING_DELETED))
			tombstone_put(a, entry->key);
		reply_bool(a, true); /* also with cas */
		return 0;
	}
	if (cas && old.modify_index != entry->modify_index) {
		reply_bool(a, false);
		return 0;
	}
	entry_delete(a, &old);
	tombstone_put(a, entry->key);
	reply_bool(a, true);
	return 0;
}

static int
apply_delete_tree(struct apply *a, struct bytes prefix)
{
	struct store_cursor c;
	struct dir_entry old;
	const char *error;
	bool any = false;

	for (store_scan(&c, a->txn, STORE_KVS, prefix); store_next(&c);) {
		struct bytes key, session;

		if (schema_decode(&dir_entry_schema, c.value, &old, &error) == -1)
			continue;
		key = region_copy(a->region, old.key);
		session = region_copy(a->region, old.session);
		store_scan_delete(&c);
		holder_set(a, session, key, false);
		apply_touch(a, WATCH_KEY, key);
		any = true;
	}
	store_scan_end(&c);
	if (any) {
		counter_set(a, "kvs");
		if (prefix.size > 0)
			tombstone_put(a, prefix);
	}
	reply_bool(a, true);
	return 0;
}

static bool
lock_delay_runs(struct apply *a, struct bytes key)
{
	struct bytes until;

	return store_get(a->txn, STORE_LOCK_DELAYS, key, &until) && until.size == 8 &&
	       a->time_ns < (int64_t)be64_at(until.data);
}

static int
apply_lock(struct apply *a, struct dir_entry *entry)
{
	struct dir_entry old;
	bool found;

	if (lock_delay_runs(a, entry->key)) { /* whoever asks: the reference looks at nothing else then */
		reply_bool(a, false);
		return 0;
	}
	if (entry->session.size == 0)
		return apply_refuse(a, 0, "missing session");
	if (!store_has(a->txn, STORE_SESSIONS, entry->session))
		return apply_refuse(a, 0, "invalid session \"%.*s\"", (int)MIN(entry->session.size, (size_t)200),
		    (const char *)entry->session.data);
	found = entry_find(a->txn, entry->key, &old);
	if (old.session.size > 0 && !bytes_equal(old.session, entry->session)) {
		reply_bool(a, false);
		return 0;
	}
	entry->lock_index = old.session.size > 0 ? old.lock_index : old.lock_index + 1;
	entry_store(a, entry, found, &old);
	reply_bool(a, true);
	return 0;
}

static int
apply_unlock(struct apply *a, struct dir_entry *entry)
{
	struct dir_entry old;

	if (entry->session.size == 0)
		return apply_refuse(a, 0, "missing session");
	if (!entry_find(a->txn, entry->key, &old) || !bytes_equal(old.session, entry->session)) {
		reply_bool(a, false);
		return 0;
	}
	entry->session = bytes_of(NULL, 0);
	entry->lock_index = old.lock_index;
	entry_store(a, entry, true, &old);
	reply_bool(a, true);
	return 0;
}

int
kv_apply(struct apply *a, struct bytes body)
{
	struct kvs_request request;
	struct dir_entry entry;
	enum kv_op op;
	const char *error;

	if (schema_decode(&kvs_request_schema, body, &request, &error) == -1 ||
	    schema_decode(&dir_entry_schema, request.dir_ent, &entry, &error) == -1)
		return apply_refuse(a, 0, "bad entry: %s", error);
	op = op_of(request.op);
	if (entry.key.size == 0 && op != OP_DELETE_TREE)
		return apply_refuse(a, 0, "Must provide key");
	switch (op) {
	case OP_SET:
		return apply_set(a, &entry);
	case OP_CAS:
		return apply_cas(a, &entry);
	case OP_DELETE:
	case OP_DELETE_CAS:
		return apply_delete(a, &entry, op == OP_DELETE_CAS);
	case OP_DELETE_TREE:
		return apply_delete_tree(a, entry.key);
	case OP_LOCK:
		return apply_lock(a, &entry);
	case OP_UNLOCK:
		return apply_unlock(a, &entry);
	default:
		return apply_refuse(a, 0, "unknown KV operation");
	}
}

void
kv_session_ended(struct apply *a, struct bytes key, bool remove, int64_t delay_ns)
{
	struct dir_entry old, entry;
	uint8_t until[8];

	if (!entry_find(a->txn, key, &old))
		return;
	if (remove) {
		entry_delete(a, &old);
		tombstone_put(a, key);
	} else {
		entry = old;
		entry.key = key;
		entry.value = region_copy(a->region, old.value);
		entry.session = bytes_of(NULL, 0);
		entry_store(a, &entry, true, &old);
	}
	if (delay_ns > 0) {
		put_be64(until, (uint64_t)(a->time_ns + MIN(delay_ns, KV_LOCK_DELAY_MAX_NS)));
		store_put(a->txn, STORE_LOCK_DELAYS, key, bytes_of(until, sizeof until));
	}
}

/* ---- tombstones ---- */

void
kv_tombstone_reap_body(struct buf *body, uint64_t index)
{
	mp_put_map(body, 1);
	mp_put_kv_uint(body, "Index", index);
}

bool
kv_has_leftovers(struct store_txn *t)
{
	return store_count(t, STORE_TOMBSTONES) > 0 || store_count(t, STORE_LOCK_DELAYS) > 0;
}

/* No counter moves and nobody is woken; but the index of a prefix may be another one now. */
int
kv_tombstone_reap_apply(struct apply *a, struct bytes body)
{
	uint64_t index = mp_find_uint(body, "Index");
	struct store_cursor c;

	for (store_scan(&c, a->txn, STORE_TOMBSTONE_ORDER, bytes_of(NULL, 0)); store_next(&c);) {
		if (c.key.size <= 8 || be64_at(c.key.data) > index)
			break;
		store_delete(
		    a->txn, STORE_TOMBSTONES, region_copy(a->region, bytes_of(c.key.data + 8, c.key.size - 8)));
		store_scan_delete(&c);
	}
	store_scan_end(&c);
	for (store_scan(&c, a->txn, STORE_LOCK_DELAYS, bytes_of(NULL, 0)); store_next(&c);)
		if (c.value.size != 8 || (int64_t)be64_at(c.value.data) <= a->time_ns)
			store_scan_delete(&c);
	store_scan_end(&c);
	apply_touch(a, WATCH_TABLE, bytes_str("tombstones"));
	return 0;
}

/* ---- writing ---- */

int
kv_write(struct write *w)
{
	struct kvs_request request;
	struct dir_entry entry;
	enum kv_op op;

	if (write_args(w, &kvs_request_schema, &request) == -1)
		return -1;
	op = op_of(request.op);
	if (op == OP_UNKNOWN)
		return write_fail(w, 0, "unknown KV operation: %.*s", (int)MIN(request.op.size, (size_t)100),
		    (const char *)request.op.data);
	if (request.dir_ent.size > 0) {
		struct bytes args = w->args;
		int bad;

		w->args = request.dir_ent;
		bad = write_args(w, &dir_entry_schema, &entry);
		w->args = args;
		if (bad == -1)
			return -1;
	} else
		memset(&entry, 0, sizeof entry);
	if (entry.key.size == 0 && op != OP_DELETE_TREE)
		return write_fail(w, 0, "Must provide key");
	if (entry.value.size > VALUE_BYTES_MAX)
		return write_fail(
		    w, 413, "Value for key is too large (%zu > %u bytes)", entry.value.size, VALUE_BYTES_MAX);
	request.token = bytes_of(NULL, 0);
	request.datacenter = bytes_of(NULL, 0);
	w->type = APPLY_TYPE_KVS;
	w->error_prefix = "raft apply failed: ";
	schema_encode(&kvs_request_schema, &request, w->body);
	return 0;
}

/* ---- reading ---- */

static uint64_t
index_of_all(struct store_txn *t)
{
	uint64_t kvs = store_index(t, bytes_str("kvs")), tombstones = store_index(t, bytes_str("tombstones"));

	return MAX(MAX(kvs, tombstones), 1);
}

int
kv_get(struct query *q)
{
	struct bytes key = mp_find_str(q->args, "Key"), record;

	if (key.size == 0)
		return query_fail(q, 0, "failed kvs lookup: index error: object is missing a value for this index");
	query_watch(q, WATCH_KEY, key);
	query_begin(q, 1);
	mp_put_cstr(q->out, "Entries");
	if (store_get(q->txn, STORE_KVS, key, &record)) {
		mp_put_array(q->out, 1);
		buf_put_bytes(q->out, record);
		query_index(q, mp_find_uint(record, "ModifyIndex"));
	} else {
		mp_put_nil(q->out);
		query_index(q, index_of_all(q->txn));
		q->not_found = true;
	}
	return 0;
}

/* The newest tombstone at or below prefix; 0: none. */
static uint64_t
index_of_tombstones(struct store_txn *t, struct bytes prefix)
{
	struct store_cursor c;
	uint64_t index = 0;

	for (store_scan(&c, t, STORE_TOMBSTONES, prefix); store_next(&c);)
		if (c.value.size == TOMBSTONE_BYTES)
			index = MAX(index, be64_at(c.value.data));
	store_scan_end(&c);
	return index;
}

/* Entries below a prefix, ascending by whole key: the store keeps very long ones in no order among themselves. */
struct walk {
	struct store_cursor cursor;
	struct region *region;
	struct long_entry {
		struct bytes key, record;
	} * held; /* entries with the same first STORE_KEY_DIRECT_MAX bytes, sorted */
	size_t held_count, held_size, held_at;
	bool more;                /* cursor stands on an entry that was not delivered */
	struct bytes key, record; /* of the last walk_next */
};

static int
long_entry_compare(const void *a, const void *b)
{
	return bytes_compare(((const struct long_entry *)a)->key, ((const struct long_entry *)b)->key);
}

static void
walk_hold(struct walk *w)
{
	struct bytes common = bytes_of(w->cursor.key.data, STORE_KEY_DIRECT_MAX);

	w->held_count = w->held_at = 0;
	do {
		if (w->held_count == w->held_size) {
			w->held_size = w->held_size == 0 ? 64 : w->held_size * 2;
			w->held = xreallocarray(w->held, w->held_size, sizeof *w->held);
		}
		w->held[w->held_count++] = (struct long_entry){w->cursor.key, w->cursor.value};
		w->more = store_next(&w->cursor);
	} while (w->more && w->cursor.key.size > STORE_KEY_DIRECT_MAX && bytes_has_prefix(w->cursor.key, common));
	qsort(w->held, w->held_count, sizeof *w->held, long_entry_compare);
}

static bool
walk_next(struct walk *w)
{
	if (w->held_at == w->held_count) {
		if (!w->more && !store_next(&w->cursor))
			return false;
		w->more = false;
		if (w->cursor.key.size <= STORE_KEY_DIRECT_MAX) {
			w->key = w->cursor.key;
			w->record = w->cursor.value;
			return true;
		}
		walk_hold(w);
	}
	w->key = w->held[w->held_at].key;
	w->record = w->held[w->held_at].record;
	w->held_at++;
	return true;
}

static void
walk_end(struct walk *w)
{
	store_scan_end(&w->cursor);
	free(w->held);
}

static void
index_of_prefix(struct query *q, struct bytes prefix, uint64_t newest_entry)
{
	uint64_t index;

	query_depend(q, WATCH_TABLE, bytes_str("tombstones"));
	index = prefix.size == 0 ? 0 : MAX(newest_entry, index_of_tombstones(q->txn, prefix));

	query_index(q, index == 0 ? index_of_all(q->txn) : index);
}

int
kv_list(struct query *q)
{
	struct bytes prefix = mp_find_str(q->args, "Key");
	struct walk w = {.region = q->region};
	uint64_t newest = 0;
	uint32_t count = 0;
	size_t start, place;

	query_watch(q, WATCH_PREFIX, prefix);
	query_begin(q, 1);
	mp_put_cstr(q->out, "Entries");
	start = q->out->used;
	place = mp_open_array(q->out);
	store_scan(&w.cursor, q->txn, STORE_KVS, prefix);
	while (!q->out->overflow && walk_next(&w)) {
		buf_put_bytes(q->out, w.record);
		newest = MAX(newest, mp_find_uint(w.record, "ModifyIndex"));
		count++;
	}
	walk_end(&w);
	mp_close(q->out, place, count);
	if (count == 0) {
		q->out->used = start;
		mp_put_nil(q->out);
	}
	index_of_prefix(q, prefix, newest);
	return 0;
}

/* key up to and with the first separator behind the prefix. */
static struct bytes
key_cut(struct bytes key, size_t prefix_size, struct bytes separator)
{
	const uint8_t *at;

	if (separator.size == 0 || key.size < prefix_size)
		return key;
	at = memmem(key.data + prefix_size, key.size - prefix_size, separator.data, separator.size);
	return at == NULL ? key : bytes_of(key.data, (size_t)(at - key.data) + separator.size);
}

int
kv_list_keys(struct query *q)
{
	struct bytes prefix = mp_find_str(q->args, "Prefix"), separator = mp_find_str(q->args, "Seperator"),
		     last = {NULL, 0};
	struct walk w = {.region = q->region};
	uint64_t newest = 0;
	uint32_t count = 0;
	size_t start, place;

	query_watch(q, WATCH_PREFIX, prefix);
	query_begin(q, 1);
	mp_put_cstr(q->out, "Keys");
	start = q->out->used;
	place = mp_open_array(q->out);
	store_scan(&w.cursor, q->txn, STORE_KVS, prefix);
	while (!q->out->overflow && walk_next(&w)) {
		struct bytes key = key_cut(w.key, prefix.size, separator);

		newest = MAX(newest, mp_find_uint(w.record, "ModifyIndex"));
		if (count > 0 && bytes_equal(key, last))
			continue; /* equal ones come together */
		mp_put_bytes(q->out, key);
		last = key;
		count++;
	}
	walk_end(&w);
	mp_close(q->out, place, count);
	if (count == 0) {
		q->out->used = start;
		mp_put_nil(q->out);
	}
	index_of_prefix(q, prefix, newest);
	return 0;
}

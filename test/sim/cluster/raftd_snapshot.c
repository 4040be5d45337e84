/*
 * raftd_snapshot.c - the process raftd of a simulated server: snapshots of its own, sent, received, installed (contract: cluster.h)
 *
 * The real files (snapshot_store.c) on the simulated disk. What a helper process would do in its own time is done at once, at its end.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cluster.h"
#include "mp.h"

#define RECEIVE_IDLE_US (500 * MS)

const struct snapshot_meta *
snapshot_newest(const struct server *v)
{
	const struct snapshot_store *store = v->raftd.snapshots;

	return snapshot_store_count(store) == 0 ? NULL : snapshot_store_at(store, 0);
}

static uint64_t
newest_index(const struct server *v)
{
	const struct snapshot_meta *newest = snapshot_newest(v);

	return newest == NULL ? 0 : newest->index;
}

void
snapshot_announce(struct server *v)
{
	const struct snapshot_meta *newest = snapshot_newest(v);

	if (newest != NULL)
		raft_snapshot_set(v->raftd.raft, newest->index, newest->term, newest->size_bytes);
}

/* Bytes of a snapshot's state. */
static void
state_read(
    struct sim *s, struct server *v, const struct snapshot_meta *meta, uint64_t offset, size_t size, struct buf *out)
{
	char path[SNAPSHOT_PATH_MAX];
	struct wal_io io = disk_io(&v->disk);
	int fd = io.open(io.ctx, snapshot_store_path(meta->id, "state.bin", path), WAL_IO_READ);
	uint8_t *space = buf_space(out, size);

	if (fd == -1 || io.read(io.ctx, fd, space, size, offset) != (ssize_t)size)
		failed(s, "server %u: snapshot %s can not be read", v->number, meta->id);
	buf_commit(out, size);
	io.close(io.ctx, fd);
}

/* ---- taken ---- */

/* The configuration that was in force at an entry. */
static void
configuration_at(struct sim *s, struct server *v, uint64_t index, struct snapshot_meta *meta)
{
	const struct snapshot_meta *newest = snapshot_newest(v);
	uint64_t at = wal_configuration_index(v->raftd.wal, index);

	if (at != 0) {
		configuration_read(s, v, at, &meta->configuration);
		meta->configuration_index = at;
	} else if (newest != NULL) {
		meta->configuration = newest->configuration;
		meta->configuration_index = newest->configuration_index;
	}
}

void
snapshot_consider(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	size_t count = snapshot_store_count(r->snapshots);

	/* its leader has gone, and the next one serves us from its log: else we would never make one of our own again */
	if (snapshot_store_receiving(r->snapshots) && !r->installing && s->now - r->chunk_at > RECEIVE_IDLE_US)
		snapshot_store_receive_abort(r->snapshots);
	if (r->snapshotting || r->connection == 0 || raftd_deliverable(r) < r->snapshot_due ||
	    snapshot_store_receiving(r->snapshots))
		return;
	/* the oldest one would go, and with it what a follower is being sent */
	if (count == SNAPSHOTS_KEPT && raft_snapshot_used(r->raft, snapshot_store_at(r->snapshots, count - 1)->index))
		return;
	r->snapshotting = true;
	note_send(s, v, true, note_new(NOTE_SNAPSHOT_MAKE));
}

void
snapshot_made(struct sim *s, struct server *v, struct event *e)
{
	struct raftd *r = &v->raftd;
	const struct terms *log = raft_log(r->raft);
	struct note *n = e->note;

	if (n->a <= newest_index(v) || n->a > raftd_deliverable(r) ||
	    (n->a >= log->base_index && terms_at(log, n->a) != n->b)) {
		r->snapshotting = false;
		return;
	}
	event_put(s, s->now + MS + below(s, 60 * MS), EVENT_SNAPSHOT_SAVED, v->number, r->life, 0, n);
	e->note = NULL;
}

static ssize_t
note_read(void *ctx, void *out, size_t size, uint64_t offset)
{
	const struct buf *b = ctx;

	size = MIN(size, b->used - MIN(offset, b->used));
	memcpy(out, b->data + offset, size);
	return (ssize_t)size;
}

static void
log_shorten(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	uint64_t index = newest_index(v);

	if (index > s->trailing && wal_drop(r->wal, index - s->trailing) == -1)
		failed(s, "server %u: old segments can not be removed", v->number);
	if (wal_terms(r->wal)->base_index > raft_log(r->raft)->base_index) {
		raft_compact(r->raft, wal_terms(r->wal)->base_index);
		s->totals.compactions++;
	}
}

/* The power may fail in the middle of the helper's work. */
static bool
power_fails(struct sim *s, struct server *v)
{
	if (!v->disk.stopped) {
		v->disk.stop_at = 0;
		return false;
	}
	server_power_loss(s, v);
	return true;
}

static void
power_doom(struct sim *s, struct server *v)
{
	if (chance(s, 20))
		v->disk.stop_at = v->disk.operations + 1 + below(s, 16);
}

void
snapshot_saved(struct sim *s, struct server *v, struct note *n)
{
	struct raftd *r = &v->raftd;
	struct snapshot_meta meta = {.index = n->a, .term = n->b, .time_ms = s->now / MS};
	char error[SNAPSHOT_ERROR_MAX];

	r->snapshotting = false;
	r->snapshot_due = n->a + 20 + below(s, 150);
	if (n->a <= newest_index(v) || snapshot_store_receiving(r->snapshots))
		return;
	configuration_at(s, v, n->a, &meta);
	power_doom(s, v);
	if (snapshot_store_save(r->snapshots, &meta, note_read, &n->bytes, error) == -1) {
		if (!power_fails(s, v) && v->disk.space_left > UINT64_C(1) << 30)
			failed(s, "server %u: no snapshot can be saved: %s", v->number, error);
		return;
	}
	if (power_fails(s, v))
		return;
	s->totals.snapshots++;
	trace(s, v, "snapshot of entry %" PRIu64, n->a);
	snapshot_announce(v);
	log_shorten(s, v);
}

struct note *
snapshot_note(struct sim *s, struct server *v)
{
	const struct snapshot_meta *newest = snapshot_newest(v);
	struct note *n = note_new(NOTE_SNAPSHOT);
	char error[SNAPSHOT_ERROR_MAX];

	if (newest == NULL)
		return n;
	if (snapshot_store_check_file(v->raftd.snapshots, 0, error) == -1)
		failed(s, "server %u: %s", v->number, error);
	n->a = newest->index;
	n->b = newest->term;
	state_read(s, v, newest, 0, (size_t)newest->size_bytes, &n->bytes);
	return n;
}

/* ---- sent and received ---- */

static void
meta_put(const struct snapshot_meta *meta, struct buf *out)
{
	struct buf configuration = BUF_INIT(1u << 20);

	configuration_encode(&meta->configuration, &configuration);
	mp_put_map(out, 6);
	mp_put_kv_uint(out, "Index", meta->index);
	mp_put_kv_uint(out, "Term", meta->term);
	mp_put_kv_uint(out, "Size", meta->size_bytes);
	mp_put_kv_uint(out, "CRC", meta->crc);
	mp_put_kv_uint(out, "ConfigurationIndex", meta->configuration_index);
	mp_put_kv_str(out, "Configuration", buf_bytes(&configuration));
	buf_free(&configuration);
}

static int
meta_get(struct bytes bytes, struct snapshot_meta *out)
{
	*out = (struct snapshot_meta){.index = mp_find_uint(bytes, "Index"),
	    .term = mp_find_uint(bytes, "Term"),
	    .size_bytes = mp_find_uint(bytes, "Size"),
	    .crc = (uint32_t)mp_find_uint(bytes, "CRC"),
	    .configuration_index = mp_find_uint(bytes, "ConfigurationIndex")};
	return configuration_decode(mp_find_str(bytes, "Configuration"), &out->configuration);
}

bool
snapshot_chunk_encode(struct sim *s, struct server *v, const struct raft_message *m, struct buf *out)
{
	const struct snapshot_store *store = v->raftd.snapshots;
	struct buf meta = BUF_INIT(1u << 20), data = BUF_INIT(1u << 20);
	bool found = false;

	for (size_t i = 0; i < snapshot_store_count(store) && !found; i++) {
		const struct snapshot_meta *at = snapshot_store_at(store, i);

		found = at->index == m->index && at->term == m->log_term && at->size_bytes == m->size;
		if (!found)
			continue;
		if (m->offset == 0)
			meta_put(at, &meta);
		state_read(s, v, at, m->offset, m->bytes, &data);
		message_encode_chunk(m, buf_bytes(&meta), buf_bytes(&data), out);
	}
	buf_free(&meta);
	buf_free(&data);
	return found;
}

void
snapshot_chunk_take(struct sim *s, struct server *v, const struct message_in *in)
{
	struct raftd *r = &v->raftd;
	const struct raft_message *m = &in->message;
	char error[SNAPSHOT_ERROR_MAX];
	uint64_t end = m->offset + m->bytes;

	r->installing = false;
	r->chunk_at = s->now;
	if (m->offset == 0) {
		if (meta_get(in->meta, &r->incoming) == -1 || r->incoming.index != m->index ||
		    r->incoming.term != m->log_term || r->incoming.size_bytes != m->size)
			failed(s, "server %u: what describes a snapshot is not that", v->number);
		if (snapshot_store_receive_begin(r->snapshots, &r->incoming, error) == -1) {
			raft_snapshot_refused(r->raft, m->index, m->log_term);
			return;
		}
	}
	if (snapshot_store_receive_chunk(r->snapshots, m->offset, in->data, error) == -1) {
		if (errno != EINVAL)
			snapshot_store_receive_abort(r->snapshots);
		raft_snapshot_refused(r->raft, m->index, m->log_term);
		return;
	}
	if (end < m->size)
		raft_snapshot_chunk_done(r->raft, m->index, m->log_term, end);
	else
		r->installing = true;
}

/* The log is emptied, or keeps what lies behind the snapshot. */
static void
log_install(struct sim *s, struct server *v, enum raft_install how)
{
	struct raftd *r = &v->raftd;
	const struct snapshot_meta *meta = &r->incoming;

	if (how == RAFT_INSTALL_RESET && (wal_reset(r->wal, meta->index, meta->term) == -1 || wal_sync(r->wal) == -1)) {
		disk_failed(s, v); /* no space: the next start sees to it */
		return;
	}
	if (how == RAFT_INSTALL_RESET)
		image_take(&v->durable, r->wal);
}

void
snapshot_install(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	struct raft_configuration configuration;
	char error[SNAPSHOT_ERROR_MAX];
	enum raft_install how;

	if (!r->installing || r->syncing || r->write_blocked)
		return;
	r->installing = false;
	how = raft_snapshot_check(r->raft, r->incoming.index, r->incoming.term);
	configuration_members(&r->incoming.configuration, r->incoming.configuration_index, &configuration);
	if (how == RAFT_INSTALL_NOT)
		snapshot_store_receive_abort(r->snapshots);
	else {
		power_doom(s, v);
		if (snapshot_store_receive_finish(r->snapshots, error) == -1) {
			if (!power_fails(s, v))
				raft_snapshot_refused(r->raft, r->incoming.index, r->incoming.term);
			return;
		}
		if (power_fails(s, v))
			return;
		s->totals.installs++;
		trace(s, v, "snapshot of entry %" PRIu64 " is installed", r->incoming.index);
		if (chance(s, 10)) { /* kept, and the log does not know of it yet */
			server_power_loss(s, v);
			return;
		}
		log_install(s, v, how);
		if (!r->alive)
			return;
	}
	raft_snapshot_installed(r->raft, r->incoming.index, r->incoming.term, &configuration);
	if (raft_log(r->raft)->last < tail_last(r->tail) || raft_log(r->raft)->last > tail_last(r->tail)) {
		tail_free(r->tail);
		r->tail = tail_new(raft_log(r->raft)->last);
	}
	snapshot_announce(v);
	log_shorten(s, v);
}

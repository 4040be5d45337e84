/*
 * raftd_save.c - the process raftd of a simulated server: what goes to its disk, and when it is there (contract: cluster.h)
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cluster.h"

#define SPACE_WANTED_BYTES (16u * 1024)
#define SPACE_RETRY_US (40 * MS)
#define MARK_IDLE_US (15 * MS)

void
image_free(struct image *i)
{
	terms_free(&i->log);
	*i = (struct image){0};
}

void
image_take(struct image *i, const struct wal *w)
{
	image_free(i);
	terms_copy(&i->log, wal_terms(w));
	i->hard = (struct raft_hard){wal_term(w), raft_id_from_bytes(wal_vote(w))};
}

static uint64_t
sync_time(struct sim *s, const struct server *v)
{
	uint64_t us = 300 + below(s, v->slow_until > s->now ? 60 * MS : 4 * MS);

	if (v->stall_until > s->now)
		us += v->stall_until - s->now;
	return us;
}

static void
sync_begin(struct sim *s, struct server *v, bool mark)
{
	struct note *n = note_new(0);
	uint64_t segment;
	bool directory;

	n->a = (uint64_t)wal_sync_fd(v->raftd.wal, &segment, &directory);
	n->b = directory;
	v->raftd.syncing = true;
	v->raftd.syncing_mark = mark;
	event_put(s, s->now + sync_time(s, v), EVENT_DISK_SYNC, v->number, v->raftd.life, v->boot, n);
}

/* The disk's own time: it does not wait for a process. */
void
raftd_disk_sync(struct sim *s, struct server *v, const struct event *e)
{
	if (e->value != v->boot)
		return;
	if (!PLANTED_HERE(SYNC_SKIPPED) && (disk_sync(&v->disk.top, (int)e->note->a) == -1 ||
					       (e->note->b && disk_sync_directory(&v->disk.top, NULL) == -1)))
		failed(s, "server %u: the disk does not sync", v->number);
	if (e->life != v->raftd.life)
		return;
	if (v->written_in_flight) {
		image_free(&v->durable);
		v->durable = v->written;
		v->written = (struct image){0};
		v->written_in_flight = false;
	}
	event_put(s, s->now, EVENT_SYNCED, v->number, e->life, 0, NULL);
}

void
space_lost(struct sim *s, struct server *v)
{
	if (!v->raftd.no_space)
		event_put(s, s->now + SPACE_RETRY_US, EVENT_SPACE, v->number, v->raftd.life, 0, NULL);
	v->raftd.no_space = true;
}

size_t
pending_entries(const struct raftd *r)
{
	return (size_t)(tail_last(r->tail) - MIN(raft_stable(r->raft), tail_last(r->tail)));
}

void
on_space(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;

	if (wal_reserve(r->wal, pending_entries(r) + 1, r->pending_bytes + SPACE_WANTED_BYTES) == -1)
		event_put(s, s->now + SPACE_RETRY_US, EVENT_SPACE, v->number, r->life, 0, NULL);
	else
		r->no_space = r->write_blocked = false;
}

void
save(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	uint8_t vote[WAL_ID_BYTES];
	struct raft_save save;
	size_t bytes = 0;

	if (r->write_blocked || r->syncing || !raft_save_begin(r->raft, &save))
		return;
	raft_id_to_bytes(save.hard.vote, vote);
	wal_batch_begin(r->wal, save.hard.term, vote);
	for (uint64_t index = save.first; index <= save.last; index++) {
		struct tail_entry e = tail_get(r->tail, index);

		wal_batch_entry(r->wal, index, e.term, e.type, e.data);
		bytes += e.data.size;
	}
	if (wal_batch_write(r->wal) == -1) {
		if (errno != ENOSPC)
			failed(s, "server %u: the log can not be written: %s", v->number, strerror(errno));
		raft_save_failed(r->raft);
		r->write_blocked = true;
		space_lost(s, v);
		return;
	}
	r->pending_bytes -= MIN(bytes, r->pending_bytes);
	r->saves++;
	image_take(&v->written, r->wal);
	v->written_in_flight = true;
	sync_begin(s, v, false);
}

void
on_synced(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;

	r->syncing = false;
	wal_synced(r->wal);
	if (r->syncing_mark)
		return;
	raft_save_done(r->raft);
	noop_take(s, v);
	tail_trim(r->tail, raft_stable(r->raft), r->tail_keep);
	event_put(s, s->now + MARK_IDLE_US, EVENT_MARK, v->number, r->life, r->saves, NULL);
}

void
on_mark(struct sim *s, struct server *v, uint64_t saves)
{
	struct raftd *r = &v->raftd;

	if (r->syncing || r->saves != saves || wal_needs_sync(r->wal))
		return;
	wal_prepare(r->wal);
	if (wal_mark(r->wal) == -1) {
		if (errno != ENOSPC)
			failed(s, "server %u: no mark can be written: %s", v->number, strerror(errno));
		return;
	}
	if (wal_needs_sync(r->wal)) {
		image_take(&v->written, r->wal);
		v->written_in_flight = true;
		sync_begin(s, v, true);
	}
}

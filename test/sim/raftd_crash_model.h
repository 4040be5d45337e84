/*
 * raftd_crash_model.h - what log and snapshots must hold, and what the opening finds
 *
 * Contents are functions of indexes and terms, so that they can be checked without being kept. Opening does what node_open.c does.
 */
#ifndef RAFTD_CRASH_MODEL_H
#define RAFTD_CRASH_MODEL_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../unit/raftd_disk.h"
#include "mem.h"
#include "snapshot_store.h"
#include "wal.h"

#define SEGMENT_BYTES (8u * WAL_BLOCK_BYTES)
#define MODEL_ENTRIES_MAX 64

struct model {
	uint64_t base, last; /* nothing up to base is in the log, but for what was not dropped yet */
	uint64_t term;
	uint8_t vote;
	uint64_t terms[MODEL_ENTRIES_MAX];
	uint32_t sizes[MODEL_ENTRIES_MAX];
	uint64_t snapshot; /* index; 0: none */
};

struct opened {
	struct snapshot_store *store;
	struct wal *wal;
	struct disk_dir log;
	bool refused;   /* the log, with the place */
	bool cut;       /* a torn batch */
	bool finished;  /* a reset that was missing */
	char why[2048]; /* what is wrong with it; empty: nothing */
};

/* ---- contents ---- */

static inline struct bytes
content(uint64_t index, uint64_t term, size_t size)
{
	static uint8_t data[64 * 1024];

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(index * 31 + term * 7 + i);
	return bytes_of(data, size);
}

/* The state in a snapshot: a function of its index. */
static inline struct bytes
snapshot_state(uint64_t index)
{
	return content(index, 77, 3000 + (size_t)(index % 7) * 1700);
}

static inline ssize_t
state_read(void *ctx, void *out, size_t size, uint64_t offset)
{
	struct bytes state = snapshot_state(*(uint64_t *)ctx);

	size = offset >= state.size ? 0 : MIN(size, state.size - offset);
	memcpy(out, state.data + offset, size);
	return (ssize_t)size;
}

static inline uint8_t *
vote_of(uint8_t vote)
{
	static uint8_t id[WAL_ID_BYTES];

	id[0] = vote;
	return id;
}

/* ---- opening, as node_open.c does ---- */

static inline void
log_open(struct opened *o, struct disk *d)
{
	struct wal_options options = {.path = "/log", .segment_bytes = SEGMENT_BYTES};
	const struct snapshot_meta *newest;
	char error[WAL_ERROR_MAX];

	o->log = (struct disk_dir){d, "log"};
	options.io = disk_io_in(&o->log);
	o->wal = wal_open(&options, snapshot_store_count(o->store) == 0, error);
	if (o->wal == NULL) {
		o->refused = errno == EBADMSG && strstr(error, "offset ") != NULL;
		snprintf(o->why, sizeof o->why, "the log is refused: %s", error);
		return;
	}
	o->cut = wal_torn(o->wal) != NULL;
	newest = snapshot_store_count(o->store) == 0 ? NULL : snapshot_store_at(o->store, 0);
	switch (snapshot_fit(newest, wal_terms(o->wal))) {
	case SNAPSHOT_FITS:
		return;
	case SNAPSHOT_AHEAD:
		o->finished = true;
		if (wal_snapshot(o->wal, newest->index, newest->term) == -1 || wal_sync(o->wal) == -1)
			snprintf(o->why, sizeof o->why, "the log can not be reset: %s", strerror(errno));
		return;
	case SNAPSHOT_TOO_OLD:
	case SNAPSHOT_LOG_SHORT:
		snprintf(o->why, sizeof o->why,
		    "the log has %" PRIu64 "-%" PRIu64 ", the newest snapshot ends with %" PRIu64,
		    wal_terms(o->wal)->base_index + 1, wal_terms(o->wal)->last, newest == NULL ? 0 : newest->index);
	}
}

static inline void
open_all(struct opened *o, struct disk *d)
{
	char error[SNAPSHOT_ERROR_MAX];

	memset(o, 0, sizeof *o);
	o->store = snapshot_store_open(disk_io(d), false, error);
	if (o->store == NULL) {
		snprintf(o->why, sizeof o->why, "%s", error);
		return;
	}
	if (snapshot_store_odd(o->store) != NULL)
		snprintf(o->why, sizeof o->why, "%s is not whole", snapshot_store_odd(o->store));
	for (size_t i = 0; i < snapshot_store_count(o->store) && o->why[0] == '\0'; i++)
		if (snapshot_store_check_file(o->store, i, error) == -1)
			snprintf(o->why, sizeof o->why, "%s", error);
	if (o->why[0] == '\0')
		log_open(o, d);
}

static inline void
close_all(struct opened *o)
{
	wal_close(o->wal);
	snapshot_store_free(o->store);
}

struct comparison {
	const struct model *model;
	bool good;
};

static inline bool
entry_compare(void *ctx, const struct wal_entry *e)
{
	struct comparison *c = ctx;

	c->good = e->term == c->model->terms[e->index] && e->data.size == c->model->sizes[e->index] &&
		  bytes_equal(e->data, content(e->index, e->term, e->data.size));
	return c->good;
}

static inline bool
model_matches(const struct model *m, const struct opened *o, uint64_t drop_limit)
{
	const struct terms *t = wal_terms(o->wal);
	struct comparison c = {m, true};
	char error[WAL_ERROR_MAX];

	if (t->last != m->last || wal_term(o->wal) != m->term || wal_vote(o->wal)[0] != m->vote ||
	    t->base_index < m->base || t->base_index > MAX(m->base, drop_limit))
		return false;
	if ((snapshot_store_count(o->store) == 0 ? 0 : snapshot_store_at(o->store, 0)->index) != m->snapshot)
		return false;
	return t->last == t->base_index ||
	       (wal_read(o->wal, t->base_index + 1, t->last, entry_compare, &c, error) == 0 && c.good);
}

#endif

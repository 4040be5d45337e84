/*
 * wal.c - raftd's log on disk: writing, reading and dropping (contract: wal.h; format: raftd-wal(5); caller: node.c)
 *
 * Batch n + 1 is written only after batch n was synced, so that whatever is found of n + 1 proves that n was complete. New
 * segments are preallocated under the name "spare"; a spare gets its head, is synced and only then gets its number: a segment
 * with a number always has a good head and its full size.
 *
 * The blocks ahead of the write position are overwritten with zeros in pieces, together with a batch: a write into extents
 * that the file system has allocated but never written would cost a journal commit at each sync.
 */
#include "wal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "mem.h"
#include "uuid.h"
#include "wal_internal.h"

#define ZERO_AHEAD_BYTES (256u * 1024)
#define READ_CHUNK_BYTES (64u * 1024)
/* Blocks that stay reserved for hard state and marks while entries fill the rest. */
#define RESERVED_BLOCKS 64u
#define BUFFER_KEEP_BYTES (256u * 1024)

char *
wal_segment_name(uint64_t number, char out[SEGMENT_NAME_MAX])
{
	snprintf(out, SEGMENT_NAME_MAX, "%010" PRIu64 ".log", number);
	return out;
}

struct segment *
wal_segment_add(struct wal *w, uint64_t number, int fd, uint32_t size_bytes)
{
	if (w->segment_count == w->segment_size) {
		w->segment_size = w->segment_size == 0 ? 8 : w->segment_size * 2;
		w->segments = xreallocarray(w->segments, w->segment_size, sizeof *w->segments);
	}
	w->segments[w->segment_count] = (struct segment){number, fd, size_bytes};
	return &w->segments[w->segment_count++];
}

int
wal_segment_fd(struct wal *w, struct segment *s)
{
	char name[SEGMENT_NAME_MAX];

	if (s->fd == -1)
		s->fd = w->io.open(w->io.ctx, wal_segment_name(s->number, name), WAL_IO_WRITE);
	return s->fd;
}

static struct segment *
last_segment(const struct wal *w)
{
	return &w->segments[w->segment_count - 1];
}

/* ---- the index ---- */

static size_t
entry_count(const struct wal *w)
{
	return (size_t)(w->terms.last - w->terms.base_index);
}

void
wal_index_reset(struct wal *w, uint64_t index, uint64_t term)
{
	terms_free(&w->terms);
	terms_init(&w->terms, index, term);
	w->configuration_count = 0;
}

void
wal_index_begin(struct wal *w, uint64_t first, uint64_t prev_term)
{
	if (first <= w->terms.base_index) {
		terms_free(&w->terms);
		terms_init(&w->terms, first - 1, prev_term);
	}
	if (first <= w->terms.last)
		terms_truncate(&w->terms, first);
	while (w->configuration_count > 0 && w->configurations[w->configuration_count - 1] >= first)
		w->configuration_count--;
}

void
wal_index_add(struct wal *w, uint64_t index, uint64_t term, uint8_t type, uint64_t place)
{
	size_t at = (size_t)(index - w->terms.base_index - 1);

	if (at >= w->where_size) {
		w->where_size = w->where_size == 0 ? 256 : w->where_size * 2;
		w->where = xreallocarray(w->where, w->where_size, sizeof *w->where);
	}
	w->where[at] = place;
	terms_append(&w->terms, term, 1);
	if (type != WAL_CONFIGURATION)
		return;
	if (w->configuration_count == w->configuration_size) {
		w->configuration_size = w->configuration_size == 0 ? 4 : w->configuration_size * 2;
		w->configurations = xreallocarray(w->configurations, w->configuration_size, sizeof *w->configurations);
	}
	w->configurations[w->configuration_count++] = index;
}

/* ---- opening ---- */

/* A preallocated file of at least bytes under the name "spare". */
static int
spare_make(struct wal *w, uint32_t bytes)
{
	int saved_errno, fd;

	if (w->spare_fd != -1 && w->spare_bytes >= bytes)
		return 0;
	/* a smaller one is what accepted proposals rely on: it goes only when the larger one is there */
	if (w->io.unlink(w->io.ctx, SPARE_NEW_NAME) == -1 && errno != ENOENT)
		return -1;
	fd = w->io.open(w->io.ctx, SPARE_NEW_NAME, WAL_IO_CREATE);
	if (fd == -1)
		return -1;
	if (w->io.allocate(w->io.ctx, fd, bytes) == -1 || w->io.rename(w->io.ctx, SPARE_NEW_NAME, SPARE_NAME) == -1)
		goto fail;
	if (w->spare_fd != -1)
		w->io.close(w->io.ctx, w->spare_fd);
	w->spare_fd = fd;
	w->spare_bytes = bytes;
	return 0;

fail:
	saved_errno = errno;
	w->io.close(w->io.ctx, fd);
	(void)w->io.unlink(w->io.ctx, SPARE_NEW_NAME);
	errno = saved_errno;
	return -1;
}

/* The spare becomes the last segment. Its head and size are durable when it gets its name. */
static int
segment_begin(struct wal *w)
{
	uint64_t number = w->segment_count == 0 ? 1 : last_segment(w)->number + 1;
	const struct wal_segment_head head = {
	    .number = number,
	    .size_bytes = w->spare_bytes,
	    .first_batch = w->next_batch,
	    .prev_index = w->terms.last,
	    .prev_term = terms_last_term(&w->terms),
	};
	struct wal_segment_head full = head;
	uint8_t block[WAL_BLOCK_BYTES] = {0};
	char name[SEGMENT_NAME_MAX];

	memcpy(full.log_id, w->id, WAL_ID_BYTES);
	wal_segment_head_put(block, &full);
	wal_block_seal(block, number, 0);
	if (w->io.write(w->io.ctx, w->spare_fd, block, sizeof block, 0) != (ssize_t)sizeof block)
		return -1;
	if (!w->no_sync && !WAL_PLANTED(SEGMENT_HEAD_UNSYNCED) && w->io.sync(w->io.ctx, w->spare_fd) == -1)
		return -1;
	if (w->io.rename(w->io.ctx, SPARE_NAME, wal_segment_name(number, name)) == -1)
		return -1;
	wal_segment_add(w, number, w->spare_fd, w->spare_bytes);
	w->spare_fd = -1;
	w->at = w->zeroed = WAL_BLOCK_BYTES;
	w->stale_to = 0;
	w->directory_unsynced = !WAL_PLANTED(SEGMENT_NAME_UNSYNCED);
	return 0;
}

static int
create(struct wal *w, char error[WAL_ERROR_MAX])
{
	random_bytes(w->id, sizeof w->id);
	/* a version 4 UUID, as the log's ID is shown */
	w->id[6] = (uint8_t)((w->id[6] & 0x0f) | 0x40);
	w->id[8] = (uint8_t)((w->id[8] & 0x3f) | 0x80);
	w->salt = be32_at(w->id);
	w->next_batch = 1;
	if (spare_make(w, w->segment_bytes) == -1 || segment_begin(w) == -1 || wal_sync(w) == -1) {
		int saved_errno = errno;

		snprintf(error, WAL_ERROR_MAX, "%s: creating the log: %s", w->path, strerror(saved_errno));
		errno = saved_errno;
		return -1;
	}
	return 0;
}

struct wal *
wal_open(const struct wal_options *o, bool may_create, char error[WAL_ERROR_MAX])
{
	struct wal *w = xcalloc(1, sizeof *w);
	int saved_errno;

	error[0] = '\0';
	w->io = o->io;
	w->path = xstrdup(o->path);
	w->segment_bytes = MAX(o->segment_bytes, 4 * WAL_BLOCK_BYTES);
	w->no_sync = o->no_sync;
	w->spare_fd = -1;
	buf_init(&w->batch, WAL_BATCH_BYTES_MAX);
	buf_init(&w->blocks, WAL_BATCH_BYTES_MAX + WAL_BATCH_BYTES_MAX / 64);
	if (w->io.lock(w->io.ctx) == -1) {
		snprintf(error, WAL_ERROR_MAX, "%s: %s", w->path,
		    errno == EWOULDBLOCK ? "another raftd uses this log" : strerror(errno));
		goto fail;
	}
	if (wal_scan(w, error) == -1)
		goto fail;
	if (w->segment_count == 0) {
		if (!may_create) {
			snprintf(error, WAL_ERROR_MAX, "%s: there is no log", w->path);
			errno = ENOENT;
			goto fail;
		}
		if (create(w, error) == -1)
			goto fail;
	}
	/* what was read or cut may be in the page cache only, and so may the names */
	w->unsynced = !WAL_PLANTED(OPENED_UNSYNCED);
	w->directory_unsynced = true;
	if (wal_sync(w) == -1) {
		snprintf(error, WAL_ERROR_MAX, "%s: fdatasync: %s", w->path, strerror(errno));
		goto fail;
	}
	return w;

fail:
	saved_errno = errno;
	wal_close(w);
	errno = saved_errno;
	return NULL;
}

void
wal_close(struct wal *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->segment_count; i++)
		if (w->segments[i].fd != -1)
			w->io.close(w->io.ctx, w->segments[i].fd);
	if (w->spare_fd != -1)
		w->io.close(w->io.ctx, w->spare_fd);
	terms_free(&w->terms);
	buf_free(&w->batch);
	buf_free(&w->blocks);
	free(w->segments);
	free(w->where);
	free(w->configurations);
	free(w->staged);
	free(w->torn);
	free(w->path);
	free(w);
}

/* ---- what there is ---- */

const uint8_t *
wal_id(const struct wal *w)
{
	return w->id;
}

const struct terms *
wal_terms(const struct wal *w)
{
	return &w->terms;
}

uint64_t
wal_term(const struct wal *w)
{
	return w->term;
}

const uint8_t *
wal_vote(const struct wal *w)
{
	return w->vote;
}

uint64_t
wal_configuration_index(const struct wal *w, uint64_t limit)
{
	for (size_t i = w->configuration_count; i > 0; i--)
		if (w->configurations[i - 1] <= limit)
			return w->configurations[i - 1];
	return 0;
}

const char *
wal_torn(const struct wal *w)
{
	return w->torn;
}

size_t
wal_segment_count(const struct wal *w)
{
	return w->segment_count;
}

uint64_t
wal_size_bytes(const struct wal *w)
{
	uint64_t total = w->spare_fd == -1 ? 0 : w->spare_bytes;

	for (size_t i = 0; i < w->segment_count; i++)
		total += w->segments[i].size_bytes;
	return total;
}

/* ---- writing ---- */

static uint64_t
batch_blocks(size_t entries, size_t data_bytes)
{
	return ((uint64_t)WAL_BATCH_HEAD_BYTES + entries * WAL_ENTRY_HEAD_BYTES + data_bytes) /
		   WAL_BLOCK_PAYLOAD_BYTES +
	       1;
}

int
wal_reserve(struct wal *w, size_t entries, size_t data_bytes)
{
	uint64_t need = (batch_blocks(entries, data_bytes) + RESERVED_BLOCKS) * WAL_BLOCK_BYTES;

	if (w->at + need <= last_segment(w)->size_bytes)
		return 0;
	need += WAL_BLOCK_BYTES; /* a segment's head */
	if (need > WAL_SEGMENT_BYTES_MAX) {
		errno = EFBIG;
		return -1;
	}
	return spare_make(w, MAX(w->segment_bytes, (uint32_t)need));
}

void
wal_prepare(struct wal *w)
{
	if (w->spare_fd == -1)
		(void)spare_make(w, w->segment_bytes);
}

void
wal_batch_begin(struct wal *w, uint64_t term, const uint8_t *vote)
{
	if (w->unsynced && !w->no_sync)
		panic("wal: a batch is begun before the former one is durable");
	if (term < w->term)
		panic("wal: the term falls from %" PRIu64 " to %" PRIu64, w->term, term);
	w->head = (struct wal_batch_head){.kind = WAL_BATCH_DATA, .term = term};
	memcpy(w->head.vote, vote, WAL_ID_BYTES);
	buf_clear(&w->batch);
	/* the head is written again when the number of entries is known */
	wal_batch_head_put(&w->batch, &w->head);
}

void
wal_batch_entry(struct wal *w, uint64_t index, uint64_t term, uint8_t type, struct bytes data)
{
	const struct wal_entry_head head = {term, (uint32_t)data.size, type};

	if (w->head.entries == 0) {
		if (index <= w->terms.base_index || index > w->terms.last + 1)
			panic("wal: entry %" PRIu64 " behind %" PRIu64, index, w->terms.last);
		w->head.first = index;
		w->head.prev_term = terms_at(&w->terms, index - 1);
	} else if (index != w->head.first + w->head.entries)
		panic("wal: entry %" PRIu64 " in a batch from %" PRIu64 " on", index, w->head.first);
	if (w->head.entries == w->staged_size) {
		w->staged_size = w->staged_size == 0 ? 64 : w->staged_size * 2;
		w->staged = xreallocarray(w->staged, w->staged_size, sizeof *w->staged);
	}
	w->staged[w->head.entries++] = (struct staged){term, (uint32_t)w->batch.used, type};
	wal_entry_head_put(&w->batch, &head);
	buf_put_bytes(&w->batch, data);
}

/* The batch as sealed blocks for place at in the segment. */
static void
blocks_make(struct wal *w, const struct segment *s)
{
	struct wal_block_head head = {.salt = w->salt, .batch = w->next_batch, .blocks = wal_blocks_for(w->batch.used)};
	const uint8_t *from = w->batch.data;
	size_t left = w->batch.used;

	buf_clear(&w->blocks);
	if (buf_reserve(&w->blocks, (size_t)head.blocks * WAL_BLOCK_BYTES) == -1)
		panic("wal: a batch of %zu bytes", w->batch.used);
	for (head.place = 0; head.place < head.blocks; head.place++) {
		uint8_t *block = buf_space(&w->blocks, WAL_BLOCK_BYTES);

		head.used = (uint16_t)MIN(left, WAL_BLOCK_PAYLOAD_BYTES);
		memset(block, 0, WAL_BLOCK_HEAD_BYTES);
		wal_block_head_put(block, &head);
		memcpy(block + WAL_BLOCK_HEAD_BYTES, from, head.used);
		memset(block + WAL_BLOCK_HEAD_BYTES + head.used, 0, WAL_BLOCK_PAYLOAD_BYTES - head.used);
		wal_block_seal(block, s->number, w->at / WAL_BLOCK_BYTES + head.place);
		buf_commit(&w->blocks, WAL_BLOCK_BYTES);
		from += head.used;
		left -= head.used;
	}
}

static int
zeros_write(struct wal *w, int fd, uint32_t from, uint32_t to)
{
	static const uint8_t zeros[64 * 1024];

	while (from < to) {
		size_t size = MIN(to - from, (uint32_t)sizeof zeros);

		if (w->io.write(w->io.ctx, fd, zeros, size, from) != (ssize_t)size)
			return -1;
		from += (uint32_t)size;
	}
	return 0;
}

/* After a failed write: what it may have left must not lie behind the batches to come. */
static int
stale_clear(struct wal *w)
{
	struct segment *s = last_segment(w);

	if (w->stale_to == 0)
		return 0;
	if (zeros_write(w, s->fd, w->at, w->stale_to) == -1 || (!w->no_sync && w->io.sync(w->io.ctx, s->fd) == -1))
		return -1;
	w->stale_to = 0;
	return 0;
}

/* Makes room for the batch in the last segment, or begins a new one. */
static int
room_make(struct wal *w)
{
	uint32_t need = wal_blocks_for(w->batch.used) * WAL_BLOCK_BYTES;
	bool roll = w->at + need > last_segment(w)->size_bytes;

	if (stale_clear(w) == -1)
		return -1;
	if (!roll)
		return 0;
	if (spare_make(w, MAX(w->segment_bytes, need + WAL_BLOCK_BYTES)) == -1)
		return -1;
	return segment_begin(w);
}

static void
batch_account(struct wal *w, uint32_t batch_at)
{
	uint64_t segment = last_segment(w)->number << 32;

	w->term = w->head.term;
	memcpy(w->vote, w->head.vote, WAL_ID_BYTES);
	w->batch_segment = last_segment(w)->number;
	if (w->head.kind == WAL_BATCH_RESET)
		wal_index_reset(w, w->head.first, w->head.prev_term);
	if (w->head.entries > 0)
		wal_index_begin(w, w->head.first, w->head.prev_term);
	for (uint32_t i = 0; i < w->head.entries; i++)
		wal_index_add(w, w->head.first + i, w->staged[i].term, w->staged[i].type,
		    segment | wal_batch_place(batch_at, w->staged[i].offset));
	w->marked = w->head.kind == WAL_BATCH_MARK;
	w->next_batch++;
}

/* A burst is over: the memory it took goes back. */
static void
buffers_trim(struct wal *w)
{
	if (w->batch.size > BUFFER_KEEP_BYTES)
		buf_free(&w->batch);
	if (w->blocks.size > BUFFER_KEEP_BYTES)
		buf_free(&w->blocks);
	if (w->staged_size > 4096) {
		free(w->staged);
		w->staged = NULL;
		w->staged_size = 0;
	}
}

int
wal_batch_write(struct wal *w)
{
	uint32_t batch_at, end;
	struct segment *s;
	ssize_t n;
	struct buf head = BUF_INIT(WAL_BATCH_HEAD_BYTES);

	if (w->batch.overflow)
		panic("wal: a batch of more than %u bytes", WAL_BATCH_BYTES_MAX);
	wal_batch_head_put(&head, &w->head);
	memcpy(w->batch.data, head.data, WAL_BATCH_HEAD_BYTES);
	buf_free(&head);
	if (room_make(w) == -1)
		return -1;
	s = last_segment(w);
	blocks_make(w, s);
	batch_at = w->at;
	end = batch_at + (uint32_t)w->blocks.used;
	n = w->io.write(w->io.ctx, s->fd, w->blocks.data, w->blocks.used, batch_at);
	if (n != (ssize_t)w->blocks.used) {
		w->stale_to = MAX(w->stale_to, end);
		if (n >= 0)
			errno = ENOSPC;
		return -1;
	}
	if (end > w->zeroed) {
		uint32_t to = MIN(s->size_bytes, end + ZERO_AHEAD_BYTES);

		/* only a matter of speed: what can't be written now will be by its batch */
		if (zeros_write(w, s->fd, end, to) == 0)
			w->zeroed = to;
	}
	batch_account(w, batch_at);
	w->at = end;
	w->unsynced = true;
	buffers_trim(w);
	return 0;
}

int
wal_mark(struct wal *w)
{
	if (w->marked)
		return 0;
	wal_batch_begin(w, w->term, w->vote);
	w->head.kind = WAL_BATCH_MARK;
	return wal_batch_write(w);
}

int
wal_reset(struct wal *w, uint64_t index, uint64_t term)
{
	static const uint8_t nobody[WAL_ID_BYTES];

	if (index == 0 || term == 0)
		panic("wal: reset to entry %" PRIu64 " of term %" PRIu64, index, term);
	if (term > w->term)
		wal_batch_begin(w, term, nobody);
	else
		wal_batch_begin(w, w->term, w->vote);
	w->head.kind = WAL_BATCH_RESET;
	w->head.first = index;
	w->head.prev_term = term;
	return wal_batch_write(w);
}

int
wal_snapshot(struct wal *w, uint64_t index, uint64_t term)
{
	if (index < w->terms.base_index || terms_at(&w->terms, index) == term)
		return 0;
	return wal_reset(w, index, term);
}

bool
wal_needs_sync(const struct wal *w)
{
	return w->unsynced || w->directory_unsynced;
}

int
wal_sync(struct wal *w)
{
	if (!w->no_sync) {
		if (w->unsynced && !WAL_PLANTED(DATA_UNSYNCED) && w->io.sync(w->io.ctx, last_segment(w)->fd) == -1)
			return -1;
		if (w->directory_unsynced && w->io.sync_directory(w->io.ctx, NULL) == -1)
			return -1;
	}
	wal_synced(w);
	return 0;
}

int
wal_sync_fd(const struct wal *w, uint64_t *segment, bool *directory)
{
	*segment = last_segment(w)->number;
	*directory = w->directory_unsynced;
	return last_segment(w)->fd;
}

void
wal_synced(struct wal *w)
{
	w->unsynced = w->directory_unsynced = false;
	w->durable_segment = w->batch_segment;
}

/* ---- reading ---- */

/* A window on one segment's file; its blocks are checked when they come in. */
struct reader {
	struct wal *w;
	struct segment *segment;
	uint32_t from, to; /* what of the file is in chunk */
	uint32_t good_at;  /* the block that was checked last */
	uint8_t *chunk;
	char *error;
};

static int
reader_load(struct reader *r, uint32_t block_at)
{
	uint32_t size = MIN(READ_CHUNK_BYTES, r->segment->size_bytes - block_at);
	int fd = wal_segment_fd(r->w, r->segment);
	char name[SEGMENT_NAME_MAX];
	ssize_t n;

	n = fd == -1 ? -1 : r->w->io.read(r->w->io.ctx, fd, r->chunk, size, block_at);
	if (fd != -1 && n != (ssize_t)size) { /* a bad block further on is no matter of this one */
		size = WAL_BLOCK_BYTES;
		n = r->w->io.read(r->w->io.ctx, fd, r->chunk, size, block_at);
	}
	if (n != (ssize_t)size) {
		if (n >= 0)
			errno = EBADMSG;
		snprintf(r->error, WAL_ERROR_MAX, "%s/%s: reading at offset %" PRIu32 ": %s", r->w->path,
		    wal_segment_name(r->segment->number, name), block_at, strerror(errno));
		return -1;
	}
	r->from = block_at;
	r->to = block_at + size;
	r->good_at = 0;
	return 0;
}

/* size bytes of a batch from file offset *at on; *at moves behind them. */
static int
reader_copy(struct reader *r, uint32_t *at, uint8_t *out, size_t size)
{
	while (size > 0) {
		uint32_t block_at = *at / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;
		const uint8_t *block;
		size_t part;

		if ((block_at < r->from || block_at >= r->to) && reader_load(r, block_at) == -1)
			return -1;
		block = r->chunk + (block_at - r->from);
		if (block_at != r->good_at &&
		    wal_block_check(block, r->segment->number, block_at / WAL_BLOCK_BYTES) != WAL_BLOCK_GOOD) {
			char name[SEGMENT_NAME_MAX];

			snprintf(r->error, WAL_ERROR_MAX,
			    "%s/%s: offset %" PRIu32 ": a block that was good when it was written is not any more",
			    r->w->path, wal_segment_name(r->segment->number, name), block_at);
			errno = EBADMSG;
			return -1;
		}
		r->good_at = block_at;
		part = MIN(size, WAL_BLOCK_BYTES - *at % WAL_BLOCK_BYTES);
		memcpy(out, block + *at % WAL_BLOCK_BYTES, part);
		out += part;
		size -= part;
		*at += (uint32_t)part;
		if (*at % WAL_BLOCK_BYTES == 0)
			*at += WAL_BLOCK_HEAD_BYTES;
	}
	return 0;
}

static struct segment *
segment_of(const struct wal *w, uint64_t number)
{
	return &w->segments[number - w->segments[0].number];
}

uint32_t
wal_entry_bytes(const struct wal *w, uint64_t index)
{
	uint64_t from, to;
	uint32_t end;

	if (index <= w->terms.base_index || index > w->terms.last)
		panic("wal: no entry %" PRIu64, index);
	from = w->where[index - w->terms.base_index - 1];
	to = index < w->terms.last ? w->where[index - w->terms.base_index] : UINT64_MAX;
	if (to >> 32 == from >> 32)
		return (uint32_t)(to - from);
	/* the last one in its segment */
	end = from >> 32 == last_segment(w)->number ? w->at : segment_of(w, from >> 32)->size_bytes;
	return end - (uint32_t)from;
}

int
wal_read(struct wal *w, uint64_t first, uint64_t last, bool (*each)(void *ctx, const struct wal_entry *e), void *ctx,
    char error[WAL_ERROR_MAX])
{
	struct reader r = {.w = w, .error = error};
	struct buf data = BUF_INIT(WAL_BATCH_BYTES_MAX);
	bool more = true;
	int result = -1;

	if (first <= w->terms.base_index || last > w->terms.last)
		panic("wal: entries %" PRIu64 "-%" PRIu64 " are not in the log", first, last);
	r.chunk = xmalloc(READ_CHUNK_BYTES);
	for (uint64_t index = first; more && index <= last; index++) {
		uint64_t place = w->where[index - w->terms.base_index - 1];
		struct segment *s = segment_of(w, place >> 32);
		uint8_t bytes[WAL_ENTRY_HEAD_BYTES], *space;
		uint32_t at = (uint32_t)place;
		struct wal_entry_head head;

		if (s != r.segment) {
			r.segment = s;
			r.from = r.to = 0;
		}
		if (reader_copy(&r, &at, bytes, sizeof bytes) == -1)
			goto out;
		head = wal_entry_head_get(bytes);
		buf_clear(&data);
		space = head.data_bytes < s->size_bytes ? buf_space(&data, head.data_bytes) : NULL;
		if (space == NULL && head.data_bytes > 0) {
			snprintf(error, WAL_ERROR_MAX, "%s: entry %" PRIu64 " has an impossible size", w->path, index);
			errno = EBADMSG;
			goto out;
		}
		if (reader_copy(&r, &at, space, head.data_bytes) == -1)
			goto out;
		more = each(ctx, &(struct wal_entry){index, head.term, head.type, bytes_of(space, head.data_bytes)});
	}
	result = 0;

out:
	buf_free(&data);
	free(r.chunk);
	return result;
}

/* ---- dropping ---- */

/* The first entry that lies behind segment number; last + 1: none does. */
static uint64_t
first_behind(const struct wal *w, uint64_t number)
{
	size_t low = 0, high = entry_count(w);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (w->where[middle] >> 32 <= number)
			low = middle + 1;
		else
			high = middle;
	}
	return w->terms.base_index + 1 + low;
}

/* The oldest segment is gone: the log begins with entry keep_from. */
static void
segment_forget(struct wal *w, uint64_t keep_from)
{
	uint64_t old_base = w->terms.base_index;
	size_t gone = 0;

	if (w->segments[0].fd != -1)
		w->io.close(w->io.ctx, w->segments[0].fd);
	w->segment_count--;
	memmove(w->segments, w->segments + 1, w->segment_count * sizeof *w->segments);
	terms_compact(&w->terms, keep_from - 1);
	if (entry_count(w) > 0)
		memmove(w->where, w->where + (w->terms.base_index - old_base), entry_count(w) * sizeof *w->where);
	if (w->where_size > 4096 && w->where_size / 4 > entry_count(w)) {
		w->where_size = MAX(entry_count(w) * 2, 256);
		w->where = xreallocarray(w->where, w->where_size, sizeof *w->where);
	}
	while (gone < w->configuration_count && w->configurations[gone] <= w->terms.base_index)
		gone++;
	w->configuration_count -= gone;
	if (gone > 0)
		memmove(
		    w->configurations, w->configurations + gone, w->configuration_count * sizeof *w->configurations);
}

int
wal_drop(struct wal *w, uint64_t limit)
{
	int dropped = 0;

	/* a later segment may have a name already, but a batch with the hard state only when that is durable */
	while (
	    w->segment_count > 1 && (w->segments[0].number < w->durable_segment || WAL_PLANTED(HARD_STATE_DROPPED))) {
		uint64_t number = w->segments[0].number, keep_from = first_behind(w, number);
		char name[SEGMENT_NAME_MAX];

		if (keep_from - 1 > limit)
			break;
		if (w->io.unlink(w->io.ctx, wal_segment_name(number, name)) == -1)
			return -1;
		segment_forget(w, keep_from);
		dropped++;
		/* a later name must not be gone before an earlier one: that would be a missing segment */
		if (!w->no_sync && !WAL_PLANTED(DROP_UNSYNCED) && w->io.sync_directory(w->io.ctx, NULL) == -1)
			return -1;
	}
	return dropped;
}

/*
 * wal_scan.c - reads the log at opening (contract: wal_open in wal.h; format and reasons: raftd-wal(5))
 *
 * Every block of every segment is read and checked, the unused ones too. What may be wrong is one thing only: some blocks of
 * the very last batch are still zero, because the machine stopped between its write and its sync. Such a batch was never
 * acknowledged; it is overwritten with zeros. Anything else means that the disk has changed or lost what it had
 * confirmed. Then nothing is changed and the log is refused, with the place.
 */
#include "wal_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "mem.h"

struct names {
	uint64_t *numbers;
	size_t count, size;
};

struct scan {
	struct wal *w;
	struct segment *segment;
	struct wal_segment_head head;
	uint8_t *chunk;
	uint32_t from, to;    /* what of the file is in chunk */
	struct buf batch;     /* payload of the batch's blocks read so far */
	uint32_t batch_at;    /* place of its first block in the segment, in blocks */
	uint32_t got, blocks; /* blocks read, blocks it has (0: not known yet) */
	uint32_t end;         /* place behind the last block that is not zero */
	bool torn;
	char *error;
};

static int damage(struct scan *s, uint32_t block, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Always -1. block: place in the segment. */
static int
damage(struct scan *s, uint32_t block, const char *fmt, ...)
{
	char name[SEGMENT_NAME_MAX], what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof what, fmt, args);
	va_end(args);
	snprintf(s->error, WAL_ERROR_MAX,
	    "%s/%s: offset %" PRIu64 ": the log is damaged: %s. Acknowledged writes may be lost; nothing was changed. "
	    "Restore the data directory from a backup, "
	    "or move the whole raft directory away: a server of a cluster then gets everything from the others, a "
	    "single "
	    "server starts empty (restore its last snapshot)",
	    s->w->path, wal_segment_name(s->segment->number, name), (uint64_t)block * WAL_BLOCK_BYTES, what);
	errno = EBADMSG;
	return -1;
}

static void
names_add(void *arg, const char *name)
{
	struct names *names = arg;
	char expected[SEGMENT_NAME_MAX];
	uint64_t number;
	char *end;

	errno = 0;
	number = strtoull(name, &end, 10);
	if (errno != 0 || end == name || strcmp(end, ".log") != 0 || number == 0 || number > UINT32_MAX ||
	    strcmp(wal_segment_name(number, expected), name) != 0)
		return;
	if (names->count == names->size) {
		names->size = names->size == 0 ? 16 : names->size * 2;
		names->numbers = xreallocarray(names->numbers, names->size, sizeof *names->numbers);
	}
	names->numbers[names->count++] = number;
}

static int
number_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The block at that place of the segment, or NULL. */
static const uint8_t *
block_read(struct scan *s, uint32_t place)
{
	uint32_t at = place * WAL_BLOCK_BYTES;

	if (at < s->from || at >= s->to) {
		uint32_t size = MIN(SCAN_CHUNK_BYTES, s->segment->size_bytes - at);
		ssize_t n = s->w->io.read(s->w->io.ctx, s->segment->fd, s->chunk, size, at);

		if (n != (ssize_t)size) { /* which block is it? */
			size = WAL_BLOCK_BYTES;
			n = s->w->io.read(s->w->io.ctx, s->segment->fd, s->chunk, size, at);
		}
		if (n != (ssize_t)size) {
			(void)damage(s, place, "it can not be read: %s", n == -1 ? strerror(errno) : "the file ends");
			return NULL;
		}
		s->from = at;
		s->to = at + size;
	}
	return s->chunk + (at - s->from);
}

/* Opens the file, checks size and head. */
static int
segment_open(struct scan *s, bool first)
{
	struct wal *w = s->w;
	uint64_t bytes;
	const uint8_t *block;
	char name[SEGMENT_NAME_MAX];

	if (wal_segment_fd(w, s->segment) == -1 || w->io.size(w->io.ctx, s->segment->fd, &bytes) == -1) {
		int saved_errno = errno;

		snprintf(s->error, WAL_ERROR_MAX, "%s/%s: %s", w->path, wal_segment_name(s->segment->number, name),
		    strerror(errno));
		errno = saved_errno;
		return -1;
	}
	if (bytes < 2 * WAL_BLOCK_BYTES || bytes > WAL_SEGMENT_BYTES_MAX || bytes % WAL_BLOCK_BYTES != 0)
		return damage(s, 0, "the file has %" PRIu64 " bytes, which no segment has", bytes);
	s->segment->size_bytes = (uint32_t)bytes;
	s->from = s->to = 0;
	block = block_read(s, 0);
	if (block == NULL)
		return -1;
	if (wal_block_check(block, s->segment->number, 0) != WAL_BLOCK_GOOD || !wal_segment_head_get(block, &s->head) ||
	    s->head.number != s->segment->number)
		return damage(s, 0, "this is not the head of the segment");
	if (s->head.size_bytes != bytes)
		return damage(
		    s, 0, "the file has %" PRIu64 " bytes, its head says %" PRIu64, bytes, s->head.size_bytes);
	if (first) {
		memcpy(w->id, s->head.log_id, WAL_ID_BYTES);
		w->salt = be32_at(w->id);
		w->next_batch = s->head.first_batch;
		terms_init(&w->terms, s->head.prev_index, s->head.prev_term);
		return 0;
	}
	if (memcmp(w->id, s->head.log_id, WAL_ID_BYTES) != 0)
		return damage(s, 0, "the segment belongs to another log");
	if (s->head.first_batch != w->next_batch)
		return damage(s, 0,
		    "the segment begins with batch %" PRIu64 ", but the one before it ends with %" PRIu64,
		    s->head.first_batch, w->next_batch - 1);
	return 0;
}

/* A whole batch with good checksums: takes its entries into the index. */
static int
batch_take(struct scan *s)
{
	struct wal *w = s->w;
	struct bytes batch = buf_bytes(&s->batch);
	struct wal_batch_head head;
	size_t at = WAL_BATCH_HEAD_BYTES;
	uint64_t term;

	if (!wal_batch_head_get(batch, &head) || head.term < w->term ||
	    (head.entries > 0 && head.first > w->terms.last + 1))
		return damage(
		    s, s->batch_at, "batch %" PRIu64 " does not follow from what is before it", w->next_batch);
	w->batch_segment = s->segment->number;
	term = head.prev_term;
	if (head.kind == WAL_BATCH_RESET)
		wal_index_reset(w, head.first, head.prev_term);
	if (head.entries > 0)
		wal_index_begin(w, head.first, head.prev_term);
	for (uint32_t i = 0; i < head.entries; i++) {
		struct wal_entry_head entry;

		if (batch.size - at < WAL_ENTRY_HEAD_BYTES)
			return damage(s, s->batch_at, "batch %" PRIu64 " is shorter than its entries", w->next_batch);
		entry = wal_entry_head_get(batch.data + at);
		if (entry.data_bytes > batch.size - at - WAL_ENTRY_HEAD_BYTES || entry.term < term ||
		    entry.term < terms_last_term(&w->terms))
			return damage(s, s->batch_at, "entry %" PRIu64 " is impossible", head.first + i);
		wal_index_add(w, head.first + i, entry.term, entry.type,
		    s->segment->number << 32 | wal_batch_place(s->batch_at * WAL_BLOCK_BYTES, (uint32_t)at));
		term = entry.term;
		at += WAL_ENTRY_HEAD_BYTES + entry.data_bytes;
	}
	if (at != batch.size)
		return damage(s, s->batch_at, "batch %" PRIu64 " is longer than its entries", w->next_batch);
	w->term = head.term;
	memcpy(w->vote, head.vote, WAL_ID_BYTES);
	w->marked = head.kind == WAL_BATCH_MARK;
	w->next_batch++;
	return 0;
}

/* A good block where the next block of the batch is expected. */
static int
block_take(struct scan *s, uint32_t place, const uint8_t *block)
{
	uint32_t total = s->segment->size_bytes / WAL_BLOCK_BYTES;
	struct wal_block_head head;

	if (!wal_block_head_get(block, &head) || head.salt != s->w->salt)
		return damage(s, place, "a block that does not belong to this log");
	if (s->got == 0) {
		s->batch_at = place;
		s->blocks = head.blocks;
		buf_clear(&s->batch);
	}
	if (head.batch != s->w->next_batch || head.place != s->got || head.blocks != s->blocks ||
	    s->batch_at + head.blocks > total)
		return damage(s, place,
		    "block %" PRIu32 " of batch %" PRIu64 " where block %" PRIu32 " of batch %" PRIu64 " was expected",
		    head.place, head.batch, s->got, s->w->next_batch);
	buf_put(&s->batch, block + WAL_BLOCK_HEAD_BYTES, head.used);
	s->got++;
	s->end = place + 1;
	if (s->got < s->blocks)
		return 0;
	s->got = 0;
	return batch_take(s);
}

/* A good block behind a zero one: only a part of the same, unfinished batch may be there. */
static int
block_behind_gap(struct scan *s, uint32_t place, const uint8_t *block)
{
	uint32_t total = s->segment->size_bytes / WAL_BLOCK_BYTES;
	struct wal_block_head head;

	if (!wal_block_head_get(block, &head) || head.salt != s->w->salt)
		return damage(s, place, "a block that does not belong to this log");
	if (s->blocks == 0)
		s->blocks = head.blocks;
	if (head.batch != s->w->next_batch || place - head.place != s->batch_at || head.blocks != s->blocks ||
	    s->batch_at + head.blocks > total)
		return damage(s, s->batch_at + s->got,
		    "a block of batch %" PRIu64 " is missing, but batch %" PRIu64 " was written behind it",
		    s->w->next_batch, head.batch);
	s->end = place + 1;
	s->torn = true;
	return 0;
}

static int
segment_scan(struct scan *s)
{
	uint32_t total = s->segment->size_bytes / WAL_BLOCK_BYTES;
	bool gap = false;

	s->got = s->blocks = 0;
	s->end = 1;
	s->torn = false;
	for (uint32_t place = 1; place < total; place++) {
		const uint8_t *block = block_read(s, place);

		if (block == NULL)
			return -1;
		switch (wal_block_check(block, s->segment->number, place)) {
		case WAL_BLOCK_BAD:
			return damage(s, place, "the block's checksum does not match");
		case WAL_BLOCK_ZERO:
			if (gap)
				break;
			gap = true;
			if (s->got == 0) {
				s->batch_at = place;
				s->blocks = 0;
			} else
				s->torn = true;
			break;
		case WAL_BLOCK_GOOD:
			if ((gap ? block_behind_gap(s, place, block) : block_take(s, place, block)) == -1)
				return -1;
			break;
		}
	}
	if (!gap) /* full to the last block, and batches end within their segment */
		s->batch_at = total;
	return 0;
}

/* The unfinished batch at the end of the last segment becomes zeros again; wal_open makes that durable before anything is written over it. */
static int
cut(struct scan *s)
{
	struct wal *w = s->w;
	char name[SEGMENT_NAME_MAX];
	uint8_t zeros[WAL_BLOCK_BYTES] = {0};

	for (uint32_t place = s->batch_at; place < s->end; place++)
		if (w->io.write(w->io.ctx, s->segment->fd, zeros, sizeof zeros, (uint64_t)place * WAL_BLOCK_BYTES) !=
		    (ssize_t)sizeof zeros)
			goto fail;
	w->torn = xasprintf("batch %" PRIu64 " at %s offset %" PRIu64 " was being written when the machine stopped",
	    w->next_batch, wal_segment_name(s->segment->number, name), (uint64_t)s->batch_at * WAL_BLOCK_BYTES);
	return 0;

fail:
	snprintf(s->error, WAL_ERROR_MAX, "%s/%s: cutting off an unfinished batch: %s", w->path,
	    wal_segment_name(s->segment->number, name), strerror(errno));
	return -1;
}

static int
segments_scan(struct scan *s, const struct names *names)
{
	struct wal *w = s->w;

	for (size_t i = 0; i < names->count; i++) {
		s->segment = wal_segment_add(w, names->numbers[i], -1, 0);
		if (i > 0 && names->numbers[i] != names->numbers[i - 1] + 1)
			return damage(s, 0, "segment %" PRIu64 " is missing", names->numbers[i - 1] + 1);
		if (segment_open(s, i == 0) == -1 || segment_scan(s) == -1)
			return -1;
		if (s->torn && i + 1 < names->count)
			return damage(s, s->batch_at, "batch %" PRIu64 " is incomplete, but a later segment exists",
			    w->next_batch);
	}
	if (names->count == 0)
		return 0;
	if (s->torn && cut(s) == -1)
		return -1;
	w->at = s->batch_at * WAL_BLOCK_BYTES;
	w->zeroed = MAX(w->at, s->end * WAL_BLOCK_BYTES);
	return 0;
}

int
wal_scan(struct wal *w, char error[WAL_ERROR_MAX])
{
	struct names names = {0};
	struct scan s = {.w = w, .error = error, .batch = BUF_INIT(WAL_SEGMENT_BYTES_MAX)};
	int result = -1;

	if (w->io.list(w->io.ctx, NULL, names_add, &names) == -1) {
		snprintf(error, WAL_ERROR_MAX, "%s: %s", w->path, strerror(errno));
		goto out;
	}
	if (names.count > 0)
		qsort(names.numbers, names.count, sizeof *names.numbers, number_compare);
	s.chunk = xmalloc(SCAN_CHUNK_BYTES);
	if (segments_scan(&s, &names) == -1)
		goto out;
	/* what was preallocated holds nothing */
	if ((w->io.unlink(w->io.ctx, SPARE_NAME) == -1 && errno != ENOENT) ||
	    (w->io.unlink(w->io.ctx, SPARE_NEW_NAME) == -1 && errno != ENOENT)) {
		snprintf(error, WAL_ERROR_MAX, "%s/%s: %s", w->path, SPARE_NAME, strerror(errno));
		goto out;
	}
	result = 0;

out:
	buf_free(&s.batch);
	free(s.chunk);
	free(names.numbers);
	return result;
}

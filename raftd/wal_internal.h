/*
 * wal_internal.h - what wal.c and wal_scan.c share; nobody else includes it
 *
 * Invariants: segments are numbered without gaps, the last one is written to; batch numbers grow by one along the whole log;
 * all blocks of the last segment from at on are zero on disk, but for [at, stale_to) after a failed write.
 * where[i] is the place of entry base_index + 1 + i: segment number << 32 | byte offset in its file.
 */
#ifndef RAFTD_WAL_INTERNAL_H
#define RAFTD_WAL_INTERNAL_H

#include "wal.h"
#include "wal_plants.h"

#define SPARE_NAME "spare"
#define SPARE_NEW_NAME "spare.new"
#define SEGMENT_NAME_MAX 32
#define SCAN_CHUNK_BYTES (256u * 1024)

struct segment {
	uint64_t number;
	int fd; /* -1: not open */
	uint32_t size_bytes;
};

struct staged {
	uint64_t term;
	uint32_t offset; /* in the batch */
	uint8_t type;
};

struct wal {
	struct wal_io io;
	char *path;
	uint32_t segment_bytes;
	bool no_sync;
	uint8_t id[WAL_ID_BYTES];
	uint32_t salt;

	struct segment *segments;
	size_t segment_count, segment_size;
	uint32_t at; /* where the next batch goes in the last segment */
	uint32_t
	    zeroed; /* up to here the file's blocks were written before: no new extents when they are written again */
	uint32_t stale_to; /* 0, or: a failed write may have left something in [at, stale_to) */
	int spare_fd;      /* -1: none */
	uint32_t spare_bytes;

	uint64_t next_batch;
	uint64_t batch_segment,
	    durable_segment; /* numbers of those with the last batch and the last durable one; 0: none */
	struct terms terms;
	uint64_t *where;
	size_t where_size;
	uint64_t *configurations; /* their indexes, ascending */
	size_t configuration_count, configuration_size;
	uint64_t term; /* hard state */
	uint8_t vote[WAL_ID_BYTES];
	bool unsynced, directory_unsynced;
	bool marked; /* the last batch is a mark */
	char *torn;

	/* the batch that is being filled */
	struct buf batch, blocks;
	struct wal_batch_head head;
	struct staged *staged;
	size_t staged_size;
};

/* Name of a segment's file; returns out. */
char *wal_segment_name(uint64_t number, char out[SEGMENT_NAME_MAX]);
struct segment *wal_segment_add(struct wal *w, uint64_t number, int fd, uint32_t size_bytes);
/* The descriptor, opened if need be. -1 with errno. */
int wal_segment_fd(struct wal *w, struct segment *s);
/* Entry index is now the last one and lies at place; what had that index or a higher one is gone. */
void wal_index_add(struct wal *w, uint64_t index, uint64_t term, uint8_t type, uint64_t place);
/* The log is empty, and that entry is its base. */
void wal_index_reset(struct wal *w, uint64_t index, uint64_t term);
/* Prepares for a first entry at index: the base moves down if the index lies at or below it. */
void wal_index_begin(struct wal *w, uint64_t first, uint64_t prev_term);
/* The place in a file of a batch's byte. batch_at: offset of the batch's first block in its file. */
static inline uint32_t
wal_batch_place(uint32_t batch_at, uint32_t offset)
{
	return batch_at + offset / WAL_BLOCK_PAYLOAD_BYTES * WAL_BLOCK_BYTES + WAL_BLOCK_HEAD_BYTES +
	       offset % WAL_BLOCK_PAYLOAD_BYTES;
}

/* wal_scan.c: reads all segments and fills w. -1 with errno and error; see wal_open. */
int wal_scan(struct wal *w, char error[WAL_ERROR_MAX]);

#endif

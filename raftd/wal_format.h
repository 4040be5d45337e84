/*
 * wal_format.h - the bytes of a log segment (raftd-wal(5)): blocks, their checksums, the head of a segment and of a batch
 *
 * Pure: bytes in, bytes out; no file is touched here. All numbers are big-endian.
 *
 * Segment: block 0 is the head, the rest are blocks of batches, then zeros up to the fixed size of the file.
 * Block:   crc (4) salt (4) batch (8) place in the batch (4) blocks in the batch (4) payload bytes (2) zero (2) payload.
 * Batch:   the payloads of its blocks put together: batch head, then its entries.
 * Entry:   term (8) data bytes (4) type (1) data.
 *
 * A checksum covers the segment's number and the block's place in it as well, so that a block written to a wrong place does not
 * pass, and all bytes of the block behind the checksum itself, used or not.
 */
#ifndef RAFTD_WAL_FORMAT_H
#define RAFTD_WAL_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "cdefs.h"

#define WAL_BLOCK_BYTES 4096u
#define WAL_BLOCK_HEAD_BYTES 28u
#define WAL_BLOCK_PAYLOAD_BYTES (WAL_BLOCK_BYTES - WAL_BLOCK_HEAD_BYTES)
#define WAL_BATCH_HEAD_BYTES 48u
#define WAL_ENTRY_HEAD_BYTES 13u
#define WAL_SEGMENT_BYTES_MAX (1u << 30)
#define WAL_ID_BYTES 16

/* Kinds of a batch. */
enum wal_batch_kind {
	WAL_BATCH_DATA = 1,  /* entries, hard state, or both */
	WAL_BATCH_MARK = 2,  /* the batch before it was synced; no entries */
	WAL_BATCH_RESET = 3, /* the log is empty, its base is the entry first with the term prev_term; no entries */
};

struct wal_segment_head {
	uint8_t log_id[WAL_ID_BYTES];
	uint64_t number;     /* of the segment, from 1 */
	uint64_t size_bytes; /* of the file */
	uint64_t first_batch;
	uint64_t prev_index, prev_term; /* the last entry when the segment was begun */
};

struct wal_block_head {
	uint32_t salt; /* the first four bytes of the log's ID */
	uint64_t batch;
	uint32_t place, blocks;
	uint16_t used;
};

struct wal_batch_head {
	enum wal_batch_kind kind;
	uint32_t entries;
	uint64_t term; /* hard state as of this batch */
	uint8_t vote[WAL_ID_BYTES];
	uint64_t first;     /* index of its first entry; 0: none; of a reset: of the base */
	uint64_t prev_term; /* term of the entry before it; of a reset: of the base */
};

struct wal_entry_head {
	uint64_t term;
	uint32_t data_bytes;
	uint8_t type;
};

enum wal_block_state { WAL_BLOCK_GOOD, WAL_BLOCK_ZERO, WAL_BLOCK_BAD };

/* What a block of 4 KiB is by its checksum; says nothing about its content. */
enum wal_block_state wal_block_check(const uint8_t *block, uint64_t segment, uint32_t place_in_file);
/* Sets the checksum of a block whose other bytes are final. */
void wal_block_seal(uint8_t *block, uint64_t segment, uint32_t place_in_file);

/* Fill a zeroed block; the caller seals it. */
void wal_segment_head_put(uint8_t *block, const struct wal_segment_head *head);
void wal_block_head_put(uint8_t *block, const struct wal_block_head *head);
/* Read a block whose checksum was good. false: not such a block, or impossible values. */
MUST_USE bool wal_segment_head_get(const uint8_t *block, struct wal_segment_head *out);
MUST_USE bool wal_block_head_get(const uint8_t *block, struct wal_block_head *out);

void wal_batch_head_put(struct buf *out, const struct wal_batch_head *head);
MUST_USE bool wal_batch_head_get(struct bytes batch, struct wal_batch_head *out);
void wal_entry_head_put(struct buf *out, const struct wal_entry_head *head);
/* bytes: WAL_ENTRY_HEAD_BYTES at least. */
struct wal_entry_head wal_entry_head_get(const uint8_t *bytes);

/* Number of blocks that a batch of so many bytes takes. */
static inline uint32_t
wal_blocks_for(size_t batch_bytes)
{
	return (uint32_t)((batch_bytes + WAL_BLOCK_PAYLOAD_BYTES - 1) / WAL_BLOCK_PAYLOAD_BYTES);
}

#endif

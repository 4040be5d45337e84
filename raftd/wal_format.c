/*
 * wal_format.c - the bytes of a log segment (contract: wal_format.h; format: raftd-wal(5); caller: wal.c)
 */
#include "wal_format.h"

#include <string.h>

#include "crc32c.h"

static const uint8_t magic[8] = {'r', 'a', 'f', 't', 'd', 'w', 'a', 'l'};
#define FORMAT_VERSION 1u

static void
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

static void
put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static uint32_t
block_crc(const uint8_t *block, uint64_t segment, uint32_t place)
{
	uint8_t where[12];

	put64(where, segment);
	put32(where + 8, place);
	return crc32c(crc32c(0, where, sizeof where), block + 4, WAL_BLOCK_BYTES - 4);
}

enum wal_block_state
wal_block_check(const uint8_t *block, uint64_t segment, uint32_t place)
{
	/* all zero: the first byte is, and each byte equals the one before it */
	if (block[0] == 0 && memcmp(block, block + 1, WAL_BLOCK_BYTES - 1) == 0)
		return WAL_BLOCK_ZERO;
	return be32_at(block) == block_crc(block, segment, place) ? WAL_BLOCK_GOOD : WAL_BLOCK_BAD;
}

void
wal_block_seal(uint8_t *block, uint64_t segment, uint32_t place)
{
	put32(block, block_crc(block, segment, place));
}

void
wal_segment_head_put(uint8_t *block, const struct wal_segment_head *head)
{
	memcpy(block + 4, magic, sizeof magic);
	put32(block + 12, FORMAT_VERSION);
	memcpy(block + 16, head->log_id, WAL_ID_BYTES);
	put64(block + 32, head->number);
	put64(block + 40, head->size_bytes);
	put64(block + 48, head->first_batch);
	put64(block + 56, head->prev_index);
	put64(block + 64, head->prev_term);
}

bool
wal_segment_head_get(const uint8_t *block, struct wal_segment_head *out)
{
	if (memcmp(block + 4, magic, sizeof magic) != 0 || be32_at(block + 12) != FORMAT_VERSION)
		return false;
	memcpy(out->log_id, block + 16, WAL_ID_BYTES);
	out->number = be64_at(block + 32);
	out->size_bytes = be64_at(block + 40);
	out->first_batch = be64_at(block + 48);
	out->prev_index = be64_at(block + 56);
	out->prev_term = be64_at(block + 64);
	return out->number > 0 && out->first_batch > 0 && out->size_bytes >= 2 * WAL_BLOCK_BYTES &&
	       out->size_bytes <= WAL_SEGMENT_BYTES_MAX && out->size_bytes % WAL_BLOCK_BYTES == 0;
}

void
wal_block_head_put(uint8_t *block, const struct wal_block_head *head)
{
	put32(block + 4, head->salt);
	put64(block + 8, head->batch);
	put32(block + 16, head->place);
	put32(block + 20, head->blocks);
	put16(block + 24, head->used);
}

bool
wal_block_head_get(const uint8_t *block, struct wal_block_head *out)
{
	out->salt = be32_at(block + 4);
	out->batch = be64_at(block + 8);
	out->place = be32_at(block + 16);
	out->blocks = be32_at(block + 20);
	out->used = be16_at(block + 24);
	/* only the last block of a batch may be less than full */
	return out->batch > 0 && out->place < out->blocks && out->blocks < WAL_SEGMENT_BYTES_MAX / WAL_BLOCK_BYTES &&
	       out->used > 0 && out->used <= WAL_BLOCK_PAYLOAD_BYTES &&
	       (out->used == WAL_BLOCK_PAYLOAD_BYTES || out->place == out->blocks - 1);
}

void
wal_batch_head_put(struct buf *out, const struct wal_batch_head *head)
{
	buf_put_be32(out, head->kind);
	buf_put_be32(out, head->entries);
	buf_put_be64(out, head->term);
	buf_put(out, head->vote, WAL_ID_BYTES);
	buf_put_be64(out, head->first);
	buf_put_be64(out, head->prev_term);
}

bool
wal_batch_head_get(struct bytes batch, struct wal_batch_head *out)
{
	if (batch.size < WAL_BATCH_HEAD_BYTES)
		return false;
	out->kind = (enum wal_batch_kind)be32_at(batch.data);
	out->entries = be32_at(batch.data + 4);
	out->term = be64_at(batch.data + 8);
	memcpy(out->vote, batch.data + 16, WAL_ID_BYTES);
	out->first = be64_at(batch.data + 32);
	out->prev_term = be64_at(batch.data + 40);
	if (out->kind == WAL_BATCH_RESET)
		return out->entries == 0 && out->first > 0 && out->prev_term > 0 && out->prev_term <= out->term;
	if (out->kind != WAL_BATCH_DATA && (out->kind != WAL_BATCH_MARK || out->entries != 0))
		return false;
	return (out->entries == 0) == (out->first == 0) &&
	       out->entries <= (batch.size - WAL_BATCH_HEAD_BYTES) / WAL_ENTRY_HEAD_BYTES;
}

void
wal_entry_head_put(struct buf *out, const struct wal_entry_head *head)
{
	buf_put_be64(out, head->term);
	buf_put_be32(out, head->data_bytes);
	buf_put_u8(out, head->type);
}

struct wal_entry_head
wal_entry_head_get(const uint8_t *bytes)
{
	return (struct wal_entry_head){be64_at(bytes), be32_at(bytes + 8), bytes[12]};
}

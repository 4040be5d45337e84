/*
 * raftd_wal_fuzz.c - any bytes as a segment of the log: opened and read, or refused; never more
 *
 * Input: one byte of flags, then blocks, each as its length (2 bytes) and the bytes at its beginning; the rest of a block is zero. With
 * flag 1 the checksums are made good and the segment's size is put right, so that the decoding behind them is reached.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/raftd_disk.h"

#define BLOCKS_MAX 32
#define FLAG_SEAL 1

static bool
read_entry(void *ctx, const struct wal_entry *e)
{
	uint64_t *bytes = ctx;

	*bytes += e->data.size;
	return true;
}

static uint32_t
fill(uint8_t *file, const uint8_t *data, size_t size)
{
	uint32_t blocks = 0;

	while (size >= 2 && blocks < BLOCKS_MAX) {
		size_t length = MIN((size_t)(data[0] << 8 | data[1]), MIN(size - 2, WAL_BLOCK_BYTES));

		memcpy(file + (size_t)blocks++ * WAL_BLOCK_BYTES, data + 2, length);
		data += 2 + length;
		size -= 2 + length;
	}
	return blocks + 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct disk d;
	static const uint8_t nobody[WAL_ID_BYTES];
	const struct wal_options o = {.io = disk_io(&d), .path = "/log", .segment_bytes = 4 * WAL_BLOCK_BYTES};
	char error[WAL_ERROR_MAX];
	uint64_t bytes = 0;
	uint32_t blocks;
	struct wal *w;
	uint8_t *file;
	int fd;

	if (size == 0)
		return 0;
	disk_init(&d);
	fd = o.io.open(o.io.ctx, "0000000001.log", WAL_IO_CREATE);
	(void)o.io.allocate(o.io.ctx, fd, (BLOCKS_MAX + 4) * WAL_BLOCK_BYTES);
	file = d.files[fd].now;
	blocks = fill(file, data + 1, size - 1);
	d.files[fd].size = blocks * WAL_BLOCK_BYTES;
	if ((data[0] & FLAG_SEAL) != 0) {
		for (int i = 0; i < 8; i++)
			file[40 + i] = (uint8_t)(d.files[fd].size >> (56 - 8 * i));
		for (uint32_t i = 0; i < blocks; i++)
			if (wal_block_check(file + (size_t)i * WAL_BLOCK_BYTES, 1, i) != WAL_BLOCK_ZERO)
				wal_block_seal(file + (size_t)i * WAL_BLOCK_BYTES, 1, i);
	}
	w = wal_open(&o, false, error);
	if (w != NULL) {
		const struct terms *t = wal_terms(w);
		uint64_t last = t->last;

		if (last > t->base_index && wal_read(w, t->base_index + 1, last, read_entry, &bytes, error) == -1)
			abort();
		/* what was accepted can be gone on with, and is accepted again */
		if (last < UINT64_MAX - 1 && wal_term(w) < UINT64_MAX - 1 && terms_last_term(t) < UINT64_MAX) {
			wal_batch_begin(w, wal_term(w) + 1, nobody);
			wal_batch_entry(w, last + 1, MAX(terms_last_term(t), 1), WAL_DATA, bytes_of("x", 1));
			if (wal_batch_write(w) == -1 || wal_sync(w) == -1)
				abort();
			wal_close(w);
			w = wal_open(&o, false, error);
			if (w == NULL || wal_terms(w)->last != last + 1)
				abort();
		}
		wal_close(w);
	}
	disk_free(&d);
	return 0;
}

/*
 * raftd_wal_fixture.h - a log on a disk in memory, entries whose content can be checked without being kept
 */
#ifndef RAFTD_WAL_FIXTURE_H
#define RAFTD_WAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "raftd_disk.h"

#define SEGMENT_BYTES (4u * WAL_BLOCK_BYTES)

static const uint8_t alice[WAL_ID_BYTES] = {1}, nobody[WAL_ID_BYTES];
static char error[WAL_ERROR_MAX];

static inline struct wal *
open_on(struct disk *d, bool create)
{
	const struct wal_options o = {.io = disk_io(d), .path = "/log", .segment_bytes = SEGMENT_BYTES};

	return wal_open(&o, create, error);
}

/* The content of an entry: a function of index and term, so that it can be checked without being kept. */
static inline struct bytes
content(uint64_t index, uint64_t term, size_t size)
{
	static uint8_t data[64 * 1024];

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(index * 31 + term * 7 + i);
	return bytes_of(data, size);
}

static inline int
append(struct wal *w, uint64_t first, uint64_t count, uint64_t term, size_t size)
{
	wal_batch_begin(w, MAX(term, wal_term(w)), alice);
	for (uint64_t i = 0; i < count; i++)
		wal_batch_entry(w, first + i, term, WAL_DATA, content(first + i, term, size));
	return wal_batch_write(w);
}

static inline void
put(struct wal *w, uint64_t first, uint64_t count, uint64_t term, size_t size)
{
	assert_int_equal(append(w, first, count, term, size), 0);
	assert_int_equal(wal_sync(w), 0);
}

static inline bool
check_entry(void *ctx, const struct wal_entry *e)
{
	uint64_t *seen = ctx;
	struct bytes expected = content(e->index, e->term, e->data.size);

	assert_int_equal(e->type, WAL_DATA);
	assert_true(bytes_equal(e->data, expected));
	(*seen)++;
	return true;
}

/* All entries can be read and hold what their index and term say. */
static inline void
check_entries(struct wal *w)
{
	const struct terms *t = wal_terms(w);
	uint64_t seen = 0;

	if (t->last > t->base_index)
		assert_int_equal(wal_read(w, t->base_index + 1, t->last, check_entry, &seen, error), 0);
	assert_int_equal(seen, t->last - t->base_index);
}

#endif

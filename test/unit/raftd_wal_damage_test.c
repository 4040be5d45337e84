/*
 * raftd_wal_damage_test.c - whatever the disk has changed, lost or put elsewhere, the log cuts what was never acknowledged and refuses the rest
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>

#include "raftd_wal_fixture.h"

/* Three segments; the last batch has three blocks and is not marked. */
static void
damaged_log(struct disk *d, bool mark)
{
	struct wal *w;

	disk_init(d);
	w = open_on(d, true);
	put(w, 1, 2, 1, 5000);
	put(w, 3, 1, 1, 100);
	put(w, 4, 1, 1, 10);
	put(w, 5, 1, 2, 10);
	put(w, 6, 1, 2, mark ? 4500 : 9000);
	if (mark) {
		assert_int_equal(wal_mark(w), 0);
		assert_int_equal(wal_sync(w), 0);
	}
	assert_int_equal(wal_segment_count(w), 3);
	wal_close(w);
}

static void
refused(struct disk *d)
{
	struct wal *w;

	errno = 0;
	w = open_on(d, true);
	assert_null(w);
	assert_int_equal(errno, EBADMSG);
	assert_non_null(strstr(error, "/log/"));
	assert_non_null(strstr(error, "offset "));
	assert_non_null(strstr(error, "Restore the data directory"));
}

/*
 * A flipped bit is never passed over, in used bytes or in unused ones. Under a sanitizer one bit of each byte, all of those in heads.
 */
static void
test_every_flip(void **state)
{
	static struct disk d;
	static const char *const names[] = {"0000000001.log", "0000000002.log", "0000000003.log"};

	(void)state;
	damaged_log(&d, false);
	for (size_t i = 0; i < COUNTOF(names); i++) {
		struct disk_file *f = disk_file(&d, names[i]);

		for (uint64_t bit = 0; bit < f->size * 8; bit++) {
#ifdef CONSULD_SANITIZED
			if (bit / 8 % WAL_BLOCK_BYTES >= 96 && (bit % 8 != bit / 8 % 8 || bit / 8 % 7 != 0))
				continue;
#endif
			f->now[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refused(&d);
			f->now[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	disk_free(&d);
}

static void
test_every_cut(void **state)
{
	static struct disk d;
	static const char *const names[] = {"0000000001.log", "0000000002.log", "0000000003.log"};

	(void)state;
	damaged_log(&d, false);
	/* a file is never shorter than its head says: that is not how a crash looks */
	for (size_t i = 0; i < COUNTOF(names); i++) {
		struct disk_file *f = disk_file(&d, names[i]);
		uint64_t whole = f->size;

		for (f->size = 0; f->size < whole; f->size++)
			refused(&d);
		f->size = whole;
	}
	disk_free(&d);
}

static void
test_missing_segments(void **state)
{
	static struct disk d;
	int at;

	(void)state;
	damaged_log(&d, false);
	at = disk_find(&d.names, "0000000002.log");
	snprintf(d.names.at[at].name, sizeof d.names.at[at].name, "elsewhere");
	refused(&d);
	assert_non_null(strstr(error, "segment 2 is missing"));
	disk_free(&d);
}

/* Whatever blocks of the last batch are missing: it is cut off, all before it stays, and the log goes on. */
static void
test_torn_batch(void **state)
{
	(void)state;
	for (unsigned lost = 1; lost < 8; lost++) {
		static struct disk d;
		struct disk_file *f;
		struct wal *w;

		damaged_log(&d, false);
		f = disk_file(&d, "0000000003.log");
		for (unsigned block = 0; block < 3; block++)
			if ((lost & 1u << block) != 0)
				memset(f->now + (1 + block) * WAL_BLOCK_BYTES, 0, WAL_BLOCK_BYTES);
		w = open_on(&d, false);
		assert_non_null(w);
		assert_int_equal(wal_torn(w) == NULL, lost == 7);
		assert_int_equal(wal_terms(w)->last, 5);
		for (uint64_t at = WAL_BLOCK_BYTES; at < f->size; at++)
			assert_int_equal(f->now[at], 0);
		put(w, 6, 2, 5, 12);
		check_entries(w);
		wal_close(w);
		w = open_on(&d, false);
		assert_non_null(w);
		assert_int_equal(wal_terms(w)->last, 7);
		assert_null(wal_torn(w));
		check_entries(w);
		wal_close(w);
		disk_free(&d);
	}
}

/* A missing block anywhere else is damage. */
static void
test_missing_block(void **state)
{
	static const char *const names[] = {"0000000001.log", "0000000002.log", "0000000003.log"};
	static struct disk d;

	(void)state;
	damaged_log(&d, true);
	for (size_t i = 0; i < COUNTOF(names); i++) {
		struct disk_file *f = disk_file(&d, names[i]);
		uint8_t block[WAL_BLOCK_BYTES], zero[WAL_BLOCK_BYTES] = {0};

		/* the last segment ends in the mark, which may be torn itself */
		for (uint64_t at = 0; at < f->size - (i == 2 ? WAL_BLOCK_BYTES : 0); at += WAL_BLOCK_BYTES) {
			memcpy(block, f->now + at, sizeof block);
			if (memcmp(block, zero, sizeof block) == 0)
				continue;
			memset(f->now + at, 0, sizeof block);
			refused(&d);
			memcpy(f->now + at, block, sizeof block);
		}
	}
	disk_free(&d);
}

/* A good block at a wrong place, in the same segment or another, or of another log. */
static void
test_misplaced_block(void **state)
{
	static struct disk d, other;
	uint8_t block[WAL_BLOCK_BYTES];
	struct disk_file *first, *second;

	(void)state;
	damaged_log(&d, true);
	damaged_log(&other, true);
	first = disk_file(&d, "0000000001.log");
	second = disk_file(&d, "0000000002.log");
	memcpy(block, second->now + 2 * WAL_BLOCK_BYTES, sizeof block);
	memcpy(second->now + 2 * WAL_BLOCK_BYTES, second->now + WAL_BLOCK_BYTES, sizeof block);
	refused(&d);
	memcpy(second->now + 2 * WAL_BLOCK_BYTES, first->now + 2 * WAL_BLOCK_BYTES, sizeof block);
	refused(&d);
	memcpy(second->now + 2 * WAL_BLOCK_BYTES, disk_file(&other, "0000000002.log")->now + 2 * WAL_BLOCK_BYTES,
	    sizeof block);
	refused(&d);
	assert_non_null(strstr(error, "does not belong to this log"));
	memcpy(second->now + 2 * WAL_BLOCK_BYTES, block, sizeof block);
	wal_close(open_on(&d, false));
	assert_string_equal(error, "");
	disk_free(&d);
	disk_free(&other);
}

/* Bits that rot while raftd runs are found when the entry is read. */
static void
test_rot_while_open(void **state)
{
	static struct disk d;
	uint64_t seen = 0;
	struct wal *w;

	(void)state;
	damaged_log(&d, true);
	w = open_on(&d, false);
	assert_non_null(w);
	disk_file(&d, "0000000001.log")->now[2 * WAL_BLOCK_BYTES + 2000] ^= 4;
	assert_int_equal(wal_read(w, 1, 1, check_entry, &seen, error), -1);
	assert_int_equal(errno, EBADMSG);
	assert_non_null(strstr(error, "offset 8192"));
	wal_close(w);
	disk_free(&d);
}

/* What the disk does by itself: whatever place the seed chooses, the log is refused and names it, or the entry can not be read. */
static void
test_faults_of_the_disk(void **state)
{
	enum { CORRUPT, LOST, MISDIRECTED, LATENT, FAULTS };
	static struct disk d;
	unsigned failures = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 400; seed++) {
		struct disk_place p, to;
		unsigned fault = (unsigned)(seed % FAULTS);
		char place[64], other[64];
		struct wal *w;
		uint64_t seen = 0;

		damaged_log(&d, seed % 8 < 4);
		d.random = seed;
		assert_true(disk_choose_block(&d, fault == LOST || fault == MISDIRECTED, &p));
		do
			assert_true(disk_choose_block(&d, false, &to));
		while (to.file == p.file && to.block == p.block);
		snprintf(place, sizeof place, "offset %" PRIu64 ":", p.block * WAL_BLOCK_BYTES);
		snprintf(other, sizeof other, "offset %" PRIu64 ":", to.block * WAL_BLOCK_BYTES);
		w = open_on(&d, false);
		assert_non_null(w);
		if (fault == CORRUPT)
			disk_corrupt_block(&d, p);
		else if (fault == LOST)
			disk_lose_block(&d, p);
		else if (fault == MISDIRECTED)
			disk_misdirect(&d, p, to);
		else
			disk_latent_error(&d, p);
		/* found when it is read; heads and marks are not */
		errno = 0;
		if (wal_read(w, 1, 6, check_entry, &seen, error) == -1) {
			failures++;
			assert_int_equal(errno, fault == LATENT ? EIO : EBADMSG);
			assert_true(
			    strstr(error, place) != NULL || (fault == MISDIRECTED && strstr(error, other) != NULL));
		} else
			assert_int_equal(seen, 6);
		wal_close(w);
		refused(&d);
		assert_true(strstr(error, place) != NULL || fault == LOST || fault == MISDIRECTED);
		if (fault == LATENT) { /* until it is written again */
			uint8_t block[WAL_BLOCK_BYTES];

			memcpy(block, d.files[p.file].now + p.block * WAL_BLOCK_BYTES, sizeof block);
			assert_int_equal(
			    disk_write(&d.top, p.file, block, sizeof block, p.block * WAL_BLOCK_BYTES), sizeof block);
			w = open_on(&d, false);
			assert_non_null(w);
			assert_int_equal(wal_terms(w)->last, 6);
			wal_close(w);
		}
		disk_free(&d);
	}
	assert_true(failures > 100);
}

/* Blocks torn into sectors: the log comes back with all that was acknowledged, or is refused with the place. */
static void
test_torn_sectors(void **state)
{
	unsigned refusals = 0, openings = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		static struct disk d;
		struct wal *w;

		disk_init(&d);
		d.random = seed;
		d.sectors_torn = true;
		w = open_on(&d, true);
		put(w, 1, 3, 1, 3000);
		assert_int_equal(append(w, 4, 2, 1, 4000), 0);
		wal_close(w);
		disk_power_loss(&d);
		w = open_on(&d, false);
		if (w == NULL) {
			assert_int_equal(errno, EBADMSG);
			assert_non_null(strstr(error, "offset"));
			refusals++;
			disk_free(&d);
			continue;
		}
		openings++;
		assert_true(wal_terms(w)->last == 3 || wal_terms(w)->last == 5);
		check_entries(w);
		wal_close(w);
		disk_free(&d);
	}
	assert_true(refusals >= 5 && openings >= 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_flip),
	    cmocka_unit_test(test_every_cut),
	    cmocka_unit_test(test_missing_segments),
	    cmocka_unit_test(test_torn_batch),
	    cmocka_unit_test(test_missing_block),
	    cmocka_unit_test(test_misplaced_block),
	    cmocka_unit_test(test_rot_while_open),
	    cmocka_unit_test(test_faults_of_the_disk),
	    cmocka_unit_test(test_torn_sectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

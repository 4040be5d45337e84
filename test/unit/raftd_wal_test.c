/*
 * raftd_wal_test.c - the log keeps what it acknowledged, cuts what was torn, and goes on with the space there is
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd_wal_fixture.h"

static void
test_reopen(void **state)
{
	static struct disk d;
	uint8_t id[WAL_ID_BYTES];
	struct wal *w;

	(void)state;
	disk_init(&d);
	assert_null(open_on(&d, false));
	assert_int_equal(errno, ENOENT);
	w = open_on(&d, true);
	assert_non_null(w);
	memcpy(id, wal_id(w), sizeof id);
	put(w, 1, 1, 1, 0);
	put(w, 2, 3, 1, 5000);   /* several blocks */
	put(w, 5, 20, 2, 700);   /* a segment of its own */
	put(w, 25, 1, 3, 30000); /* larger than a segment usually is */
	wal_batch_begin(w, 7, alice);
	assert_int_equal(wal_batch_write(w), 0);
	assert_int_equal(wal_sync(w), 0);
	assert_int_equal(wal_mark(w), 0);
	assert_int_equal(wal_sync(w), 0);
	assert_int_equal(wal_mark(w), 0);
	assert_false(wal_needs_sync(w));
	wal_close(w);
	w = open_on(&d, false);
	assert_non_null(w);
	assert_memory_equal(wal_id(w), id, sizeof id);
	assert_int_equal(wal_terms(w)->last, 25);
	assert_int_equal(terms_at(wal_terms(w), 4), 1);
	assert_int_equal(terms_at(wal_terms(w), 5), 2);
	assert_int_equal(terms_at(wal_terms(w), 25), 3);
	assert_int_equal(wal_term(w), 7);
	assert_memory_equal(wal_vote(w), alice, sizeof alice);
	assert_null(wal_torn(w));
	check_entries(w);
	wal_close(w);
	disk_free(&d);
}

/* An entry's size, or a bit more: within a batch, at its end, at a segment's end, and at the log's. */
static void
test_entry_bytes(void **state)
{
	static const uint32_t sizes[] = {10, 5000, 700, 700, 700, 30000, 1};
	static struct disk d;
	struct wal *w;

	(void)state;
	disk_init(&d);
	w = open_on(&d, true);
	put(w, 1, 1, 1, 10);
	put(w, 2, 1, 1, 5000);
	put(w, 3, 3, 2, 700);
	put(w, 6, 1, 3, 30000); /* in a segment of its own */
	put(w, 7, 1, 3, 1);
	for (int reopened = 0; reopened < 2; reopened++) {
		for (uint64_t index = 1; index <= COUNTOF(sizes); index++)
			assert_true(wal_entry_bytes(w, index) >= sizes[index - 1]);
		assert_true(wal_entry_bytes(w, 1) <= WAL_BLOCK_BYTES);
		assert_true(wal_entry_bytes(w, 2) <= 5000 + WAL_BLOCK_BYTES);
		assert_true(wal_entry_bytes(w, 3) <= 750);
		assert_true(wal_entry_bytes(w, 7) <= WAL_BLOCK_BYTES);
		wal_close(w);
		w = open_on(&d, false);
		assert_non_null(w);
	}
	wal_close(w);
	disk_free(&d);
}

static void
test_replaced_entries(void **state)
{
	static struct disk d;
	struct wal *w;

	(void)state;
	disk_init(&d);
	w = open_on(&d, true);
	put(w, 1, 30, 1, 900);
	put(w, 11, 2, 2, 40); /* 11-30 are gone */
	assert_int_equal(wal_terms(w)->last, 12);
	check_entries(w);
	put(w, 13, 30, 2, 900);
	/* the base moves; what is behind it may be replaced still */
	assert_true(wal_drop(w, 20) >= 1);
	assert_true(wal_terms(w)->base_index <= 20);
	assert_true(wal_terms(w)->base_index > 0);
	put(w, wal_terms(w)->base_index + 1, 1, 4, 10);
	check_entries(w);
	wal_close(w);
	w = open_on(&d, false);
	assert_non_null(w);
	assert_int_equal(wal_terms(w)->last, wal_terms(w)->base_index + 1);
	assert_int_equal(terms_last_term(wal_terms(w)), 4);
	check_entries(w);
	wal_close(w);
	disk_free(&d);
}

static void
test_configurations(void **state)
{
	static struct disk d;
	struct wal *w;

	(void)state;
	disk_init(&d);
	w = open_on(&d, true);
	wal_batch_begin(w, 1, nobody);
	wal_batch_entry(w, 1, 1, WAL_CONFIGURATION, bytes_str("one"));
	wal_batch_entry(w, 2, 1, WAL_DATA, bytes_str("two"));
	wal_batch_entry(w, 3, 1, WAL_CONFIGURATION, bytes_str("three"));
	assert_int_equal(wal_batch_write(w), 0);
	assert_int_equal(wal_sync(w), 0);
	assert_int_equal(wal_configuration_index(w, UINT64_MAX), 3);
	assert_int_equal(wal_configuration_index(w, 2), 1);
	put(w, 3, 1, 2, 1); /* replaces the second one */
	assert_int_equal(wal_configuration_index(w, UINT64_MAX), 1);
	wal_close(w);
	w = open_on(&d, false);
	assert_int_equal(wal_configuration_index(w, UINT64_MAX), 1);
	wal_close(w);
	disk_free(&d);
}

static void
test_drop(void **state)
{
	static struct disk d;
	struct wal *w;
	size_t before;
	uint64_t base;

	(void)state;
	disk_init(&d);
	w = open_on(&d, true);
	for (uint64_t i = 1; i <= 40; i++)
		put(w, i, 1, 1 + i / 10, 3000);
	before = wal_segment_count(w);
	assert_int_equal(wal_drop(w, 0), 0);
	assert_true(wal_drop(w, 25) > 0);
	base = wal_terms(w)->base_index;
	assert_true(base <= 25 && base >= 20);
	assert_true(wal_segment_count(w) < before);
	assert_int_equal(terms_at(wal_terms(w), base), 1 + base / 10);
	check_entries(w);
	wal_close(w);
	w = open_on(&d, false);
	assert_int_equal(wal_terms(w)->base_index, base);
	assert_int_equal(terms_at(wal_terms(w), base), 1 + base / 10);
	assert_int_equal(wal_terms(w)->last, 40);
	check_entries(w);
	/* the last segment stays whatever the limit */
	assert_true(wal_drop(w, 1000) > 0);
	assert_int_equal(wal_segment_count(w), 1);
	put(w, 41, 1, 9, 1);
	check_entries(w);
	wal_close(w);
	disk_free(&d);
}

/* The segment with the hard state stays until the next one has a durable batch, though all its entries may go. */
static void
test_drop_keeps_hard_state(void **state)
{
	static struct disk d;
	struct wal *w;

	(void)state;
	disk_init(&d);
	w = open_on(&d, true);
	put(w, 1, 1, 7, 9000);
	assert_int_equal(append(w, 2, 1, 7, 9000), 0);
	assert_int_equal(wal_segment_count(w), 2);
	assert_int_equal(wal_drop(w, 1), 0);
	/* what was not synced is lost, but for the names */
	assert_int_equal(disk_sync_directory(&d.top, NULL), 0);
	memset(disk_file(&d, "0000000002.log")->now + WAL_BLOCK_BYTES, 0, 3 * WAL_BLOCK_BYTES);
	wal_close(w);
	w = open_on(&d, false);
	assert_non_null(w);
	assert_int_equal(wal_term(w), 7);
	assert_memory_equal(wal_vote(w), alice, sizeof alice);
	assert_int_equal(wal_terms(w)->last, 1);
	/* with the batch durable it goes */
	put(w, 2, 1, 7, 9000);
	assert_int_equal(wal_drop(w, 1), 1);
	wal_close(w);
	disk_free(&d);
}

/* A snapshot from elsewhere: the log is empty behind its last entry, and goes on from there. */
static void
test_reset(void **state)
{
	static struct disk d;
	struct wal *w;

	(void)state;
	disk_init(&d);
	w = open_on(&d, true);
	wal_batch_begin(w, 3, alice);
	wal_batch_entry(w, 1, 1, WAL_CONFIGURATION, bytes_str("one"));
	assert_int_equal(wal_batch_write(w), 0);
	assert_int_equal(wal_sync(w), 0);
	put(w, 2, 10, 3, 5000);
	assert_int_equal(wal_snapshot(w, 20, 3), 0);
	assert_true(wal_needs_sync(w));
	assert_int_equal(wal_sync(w), 0);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(wal_terms(w)->base_index, 20);
		assert_int_equal(wal_terms(w)->base_term, 3);
		assert_int_equal(wal_terms(w)->last, 20);
		assert_int_equal(wal_term(w), 3);
		assert_memory_equal(wal_vote(w), alice, sizeof alice);
		assert_int_equal(wal_configuration_index(w, UINT64_MAX), 0);
		wal_close(w);
		w = open_on(&d, false);
		assert_non_null(w);
	}
	assert_true(wal_segment_count(w) > 1);
	assert_true(wal_drop(w, 20) > 0);
	assert_int_equal(wal_segment_count(w), 1);
	put(w, 21, 5, 3, 3000);
	check_entries(w);
	wal_close(w);
	w = open_on(&d, false);
	assert_non_null(w);
	assert_int_equal(wal_terms(w)->base_index, 20);
	assert_int_equal(wal_terms(w)->last, 25);
	check_entries(w);
	wal_close(w);
	disk_free(&d);
}

/* What the log holds already stays, with what follows it; an entry of another term is in conflict. */
static void
test_snapshot_of_held_entry(void **state)
{
	static struct disk d;
	static const uint8_t zero[WAL_ID_BYTES];
	struct wal *w;

	(void)state;
	disk_init(&d);
	w = open_on(&d, true);
	for (uint64_t i = 1; i <= 10; i++)
		put(w, i, 1, 2, 3000);
	assert_int_equal(wal_snapshot(w, 6, 2), 0);
	assert_false(wal_needs_sync(w));
	assert_int_equal(wal_terms(w)->last, 10);
	assert_true(wal_drop(w, 6) > 0);
	assert_int_equal(wal_snapshot(w, 1, 1), 0); /* an old one */
	assert_false(wal_needs_sync(w));
	assert_int_equal(wal_terms(w)->last, 10);
	assert_int_equal(wal_snapshot(w, 8, 5), 0);
	assert_int_equal(wal_sync(w), 0);
	assert_int_equal(wal_terms(w)->base_index, 8);
	assert_int_equal(wal_terms(w)->last, 8);
	/* that term was not heard of: nobody had our vote in it */
	assert_int_equal(wal_term(w), 5);
	assert_memory_equal(wal_vote(w), zero, sizeof zero);
	wal_close(w);
	disk_free(&d);
}

/* ---- crashes ---- */

/* What the log must hold after a crash: the state after the last acknowledged batch, or that after the one under way. */
struct model {
	uint64_t last, term;
	uint64_t terms[128]; /* of each index */
};

struct workload {
	struct model acknowledged, under_way;
	bool busy;
};

static void
model_append(struct model *m, uint64_t first, uint64_t count, uint64_t term)
{
	for (uint64_t i = 0; i < count; i++)
		m->terms[first + i] = term;
	m->last = first + count - 1;
	m->term = MAX(m->term, term);
}

/* One batch, made durable. false: the machine stopped. */
static bool
work_batch(struct wal *w, struct workload *l, uint64_t first, uint64_t count, uint64_t term, size_t size)
{
	l->under_way = l->acknowledged;
	model_append(&l->under_way, first, count, term);
	l->busy = true;
	if (append(w, first, count, term, size) == -1 || wal_sync(w) == -1)
		return false;
	l->acknowledged = l->under_way;
	l->busy = false;
	return true;
}

static bool
work_vote(struct wal *w, struct workload *l, uint64_t term)
{
	l->under_way = l->acknowledged;
	l->under_way.term = term;
	l->busy = true;
	wal_batch_begin(w, term, alice);
	if (wal_batch_write(w) == -1 || wal_sync(w) == -1)
		return false;
	l->acknowledged = l->under_way;
	l->busy = false;
	return true;
}

static void
workload_run(struct wal *w, struct workload *l)
{
	uint64_t start = l->acknowledged.last + 1, term = l->acknowledged.term + 1;

	if (!work_vote(w, l, term) || !work_batch(w, l, start, 1, term, 10) ||
	    !work_batch(w, l, start + 1, 3, term, 2500))
		return;
	wal_prepare(w);
	if (!work_batch(w, l, start + 4, 1, term, 100) || wal_mark(w) == -1 || wal_sync(w) == -1 ||
	    !work_batch(w, l, start + 5, 4, term, 4000))
		return;
	/* a conflict: the last two are replaced */
	if (!work_batch(w, l, start + 7, 2, term + 1, 50) || !work_vote(w, l, term + 3) ||
	    !work_batch(w, l, start + 9, 2, term + 3, 6000))
		return;
	if (wal_reserve(w, 3, 3000) == -1 || wal_drop(w, start + 2) == -1)
		return;
	(void)work_batch(w, l, start + 11, 1, term + 3, 9000);
}

static bool
model_matches(const struct model *m, const struct wal *w)
{
	const struct terms *t = wal_terms(w);

	if (t->last != m->last || wal_term(w) != m->term)
		return false;
	for (uint64_t i = t->base_index + 1; i <= t->last; i++)
		if (terms_at(t, i) != m->terms[i])
			return false;
	return true;
}

/* Crash before each operation, as a death of the process and as several losses of power; then the same again on what is left. */
static void
crash_at(uint64_t stop_at, uint64_t seed)
{
	static struct disk d;
	struct workload l = {0};
	struct wal *w;

	disk_init(&d);
	d.random = seed;
	for (unsigned round = 0; round < 3; round++) {
		d.stop_at = stop_at;
		w = open_on(&d, true);
		if (w != NULL)
			workload_run(w, &l);
		wal_close(w);
		if (seed == 0)
			disk_restart(&d);
		else
			disk_power_loss(&d);
		w = open_on(&d, true);
		if (w == NULL)
			fail_msg("operation %" PRIu64 " seed %" PRIu64 " round %u: %s", stop_at, seed, round, error);
		if (!model_matches(&l.acknowledged, w) && !(l.busy && model_matches(&l.under_way, w)))
			fail_msg("operation %" PRIu64 " seed %" PRIu64 " round %u: last %" PRIu64
				 " instead of %" PRIu64,
			    stop_at, seed, round, wal_terms(w)->last, l.acknowledged.last);
		if (l.busy && model_matches(&l.under_way, w))
			l.acknowledged = l.under_way;
		l.busy = false;
		check_entries(w);
		wal_close(w);
	}
	disk_free(&d);
}

static void
test_crash_between_any_two_operations(void **state)
{
	static struct disk d;
	struct workload l = {0};
	uint64_t operations;
	struct wal *w;

	(void)state;
	disk_init(&d);
	w = open_on(&d, true);
	workload_run(w, &l);
	assert_false(l.busy);
	assert_int_equal(l.acknowledged.last, 12);
	operations = d.operations;
	wal_close(w);
	disk_free(&d);
	assert_true(operations > 40);
	for (uint64_t at = 1; at <= operations + 1; at++)
		for (uint64_t seed = 0; seed < 25; seed++)
			crash_at(at, seed == 0 ? 0 : seed * 1000 + at);
}

/* ---- space, errors ---- */

static void
test_no_space(void **state)
{
	static struct disk d;
	struct wal *w;
	uint64_t index = 1;

	(void)state;
	disk_init(&d);
	d.space_left = 60 * SEGMENT_BYTES;
	w = open_on(&d, true);
	/* a reservation that succeeds is a promise */
	while (wal_reserve(w, 1, 3000) == 0)
		put(w, index++, 1, 1, 3000);
	assert_int_equal(errno, ENOSPC);
	assert_true(index > 3);
	check_entries(w);
	assert_int_equal(wal_reserve(w, 1, 3000), -1);
	/* a write without reservation fails and leaves nothing */
	while (append(w, index, 1, 1, 3000) == 0) {
		assert_int_equal(wal_sync(w), 0);
		index++;
	}
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(wal_terms(w)->last, index - 1);
	d.space_left = 40 * SEGMENT_BYTES;
	assert_int_equal(wal_reserve(w, 1, 3000), 0);
	put(w, index, 1, 1, 3000);
	check_entries(w);
	wal_close(w);
	w = open_on(&d, false);
	assert_non_null(w);
	assert_int_equal(wal_terms(w)->last, index);
	check_entries(w);
	wal_close(w);
	disk_free(&d);
}

/* A larger spare that does not fit must not cost the one that accepted proposals rely on. */
static void
test_reservation_is_kept(void **state)
{
	static struct disk d;
	struct wal *w;

	(void)state;
	disk_init(&d);
	d.space_left = 40 * SEGMENT_BYTES;
	w = open_on(&d, true);
	put(w, 1, 1, 1, 8000);
	assert_int_equal(wal_reserve(w, 1, 20000), 0);
	d.space_left = 0;
	assert_int_equal(wal_reserve(w, 1, 200000), -1);
	assert_int_equal(wal_reserve(w, 1, 20000), 0);
	put(w, 2, 1, 1, 20000);
	check_entries(w);
	wal_close(w);
	disk_free(&d);
}

static void
test_failed_sync(void **state)
{
	static struct disk d;
	struct wal *w;

	(void)state;
	disk_init(&d);
	w = open_on(&d, true);
	assert_int_equal(append(w, 1, 1, 1, 10), 0);
	d.fail_sync_errno = EIO;
	assert_int_equal(wal_sync(w), -1);
	assert_true(wal_needs_sync(w));
	wal_close(w);
	disk_free(&d);
}

/* ---- a real directory ---- */

static void
test_real_directory(void **state)
{
	struct wal_options o = {.path = "log", .segment_bytes = SEGMENT_BYTES};
	int dir, second;
	struct wal *w, *w2;
	struct wal_options o2;

	(void)state;
	assert_int_equal(mkdir("log", 0700), 0);
	dir = open("log", O_RDONLY | O_DIRECTORY);
	second = open("log", O_RDONLY | O_DIRECTORY);
	o.io = wal_io_directory(&dir);
	o2 = o;
	o2.io = wal_io_directory(&second);
	w = wal_open(&o, true, error);
	assert_non_null(w);
	w2 = wal_open(&o2, true, error);
	assert_null(w2);
	assert_int_equal(errno, EWOULDBLOCK);
	for (uint64_t i = 1; i < 50; i++)
		put(w, i, 1, 1, 3000);
	check_entries(w);
	assert_true(wal_drop(w, 20) > 0);
	wal_close(w);
	close(dir);
	dir = open("log", O_RDONLY | O_DIRECTORY);
	w = wal_open(&o, false, error);
	assert_non_null(w);
	assert_int_equal(wal_terms(w)->last, 49);
	check_entries(w);
	wal_close(w);
	close(dir);
	close(second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reopen),
	    cmocka_unit_test(test_entry_bytes),
	    cmocka_unit_test(test_replaced_entries),
	    cmocka_unit_test(test_configurations),
	    cmocka_unit_test(test_drop),
	    cmocka_unit_test(test_drop_keeps_hard_state),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_snapshot_of_held_entry),
	    cmocka_unit_test(test_crash_between_any_two_operations),
	    cmocka_unit_test(test_no_space),
	    cmocka_unit_test(test_reservation_is_kept),
	    cmocka_unit_test(test_failed_sync),
	    cmocka_unit_test(test_real_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

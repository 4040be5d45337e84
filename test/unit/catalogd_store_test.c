/*
 * catalogd_store_test.c - the store: records, long keys, nesting, damage, and what a start makes of what it finds
 */
#include "catalogd_store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store_file.h"

static struct store *
open_store(void)
{
	struct store *s;

	assert_int_equal(try_open(&s), STORE_OPENED);
	store_started(s);
	return s;
}

static struct store_txn *
writer(struct store *s)
{
	struct store_txn *t;

	store_read_end(s);
	t = store_write(s, error);
	assert_non_null(t);
	return t;
}

static void
commit(struct store_txn *t)
{
	assert_int_equal(store_commit(t, error), STORE_DONE);
}

static const char *
value_of(struct store *s, struct bytes key)
{
	static char text[64];
	struct bytes value;

	if (!store_get(store_read(s), STORE_KVS, key, &value))
		return NULL;
	assert_int_equal(bytes_to_str(value, text, sizeof text), 0);
	return text;
}

static void
test_records_and_position_survive_a_new_start(void **state)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);

	(void)state;
	store_put(t, STORE_KVS, B("a"), B("1"));
	store_put(t, STORE_KVS, B("b"), B(""));
	store_index_set(t, B("kvs"), 7);
	store_index2_set(t, "service.", B("web"), UINT64_C(1) << 40);
	store_set_log_id(t, "log-1");
	store_set_applied(t, 12, 3);
	commit(t);
	store_close(s, false); /* not clean, the same boot: kept */
	s = open_store();
	assert_string_equal(value_of(s, B("a")), "1");
	assert_string_equal(value_of(s, B("b")), "");
	assert_null(value_of(s, B("c")));
	assert_int_equal(store_index(store_read(s), B("kvs")), 7);
	assert_int_equal(store_index2(store_read(s), "service.", B("web")), UINT64_C(1) << 40);
	assert_int_equal(store_index(store_read(s), B("none")), 0);
	assert_int_equal(store_state(s).applied_index, 12);
	assert_int_equal(store_state(s).applied_term, 3);
	assert_string_equal(store_state(s).log_id, "log-1");
	store_close(s, true);
}

static void
test_abort_changes_nothing(void **state)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);

	(void)state;
	store_put(t, STORE_KVS, B("a"), B("1"));
	store_set_applied(t, 5, 1);
	store_abort(t);
	assert_null(value_of(s, B("a")));
	assert_int_equal(store_state(s).applied_index, 0);
	store_close(s, true);
}

static void
test_a_nested_part_can_be_dropped_alone(void **state)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);

	(void)state;
	store_put(t, STORE_KVS, B("outer"), B("1"));
	store_nest(t);
	store_put(t, STORE_KVS, B("dropped"), B("1"));
	assert_true(store_delete(t, STORE_KVS, B("outer")));
	store_set_applied(t, 9, 9);
	store_nest_end(t, false);
	store_nest(t);
	store_put(t, STORE_KVS, B("kept"), B("1"));
	store_nest_end(t, true);
	commit(t);
	assert_non_null(value_of(s, B("outer")));
	assert_non_null(value_of(s, B("kept")));
	assert_null(value_of(s, B("dropped")));
	assert_int_equal(store_state(s).applied_index, 0);
	store_close(s, true);
}

static size_t
scan_count(struct store_txn *t, struct bytes prefix)
{
	struct store_cursor c;
	size_t count = 0;

	for (store_scan(&c, t, STORE_KVS, prefix); store_next(&c); count++)
		assert_true(bytes_has_prefix(c.key, prefix));
	store_scan_end(&c);
	return count;
}

/* Keys around the length that is folded: each is its own, and prefixes of any length find exactly theirs. */
static void
test_keys_of_any_length(void **state)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);
	static uint8_t key[3000];
	const size_t last = 1200;
	struct bytes value;

	(void)state;
	memset(key, 'k', sizeof key);
	for (size_t size = 1; size <= last; size++) {
		char text[16];

		snprintf(text, sizeof text, "%zu", size);
		store_put(t, STORE_KVS, bytes_of(key, size), B(text));
	}
	commit(t);
	for (size_t size = 1; size <= last; size++) {
		assert_int_equal(atoi(value_of(s, bytes_of(key, size))), size);
		assert_int_equal(scan_count(store_read(s), bytes_of(key, size)), last + 1 - size);
	}
	assert_false(store_get(store_read(s), STORE_KVS, bytes_of(key, last + 1), &value));
	t = writer(s);
	for (size_t size = 2; size <= last; size += 2)
		assert_true(store_delete(t, STORE_KVS, bytes_of(key, size)));
	assert_false(store_delete(t, STORE_KVS, bytes_of(key, 2)));
	commit(t);
	assert_int_equal(scan_count(store_read(s), bytes_of(NULL, 0)), last / 2);
	store_close(s, true);
}

static void
test_scan_deletes_what_it_stands_on(void **state)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);
	struct store_cursor c;
	char key[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "%s%04d", i % 2 == 0 ? "x" : "y", i);
		store_put(t, STORE_KVS, B(key), B("v"));
	}
	for (store_scan(&c, t, STORE_KVS, B("x")); store_next(&c);)
		store_scan_delete(&c);
	store_scan_end(&c);
	commit(t);
	assert_int_equal(scan_count(store_read(s), B("x")), 0);
	assert_int_equal(scan_count(store_read(s), B("y")), 500);
	assert_int_equal(store_count(store_read(s), STORE_KVS), 500);
	store_close(s, true);
}

/* No part can pass for two, whatever bytes it has, and keys sort as their parts do. */
static void
test_keys_of_parts(void **state)
{
	struct buf a = BUF_INIT(1024), b = BUF_INIT(1024), out = BUF_INIT(1024);
	struct bytes zero = bytes_of("a\0b", 3), key;

	(void)state;
	(void)STORE_KEY(&a, zero);
	(void)STORE_KEY(&b, B("a"), B("b"));
	assert_false(bytes_equal(buf_bytes(&a), buf_bytes(&b)));
	assert_false(bytes_has_prefix(buf_bytes(&a), STORE_KEY(&out, B("a"))));
	assert_true(bytes_has_prefix(buf_bytes(&b), STORE_KEY(&out, B("a"))));
	(void)STORE_KEY(&a, B("a"), B("zz"));
	(void)STORE_KEY(&b, B("aa"), B("b"));
	assert_true(bytes_compare(buf_bytes(&a), buf_bytes(&b)) < 0);
	(void)STORE_KEY(&a, zero, B(""), B("end"));
	key = buf_bytes(&a);
	buf_clear(&out);
	assert_true(store_key_take(&key, &out));
	assert_true(bytes_equal(buf_bytes(&out), zero));
	assert_true(store_key_take(&key, NULL));
	buf_clear(&out);
	assert_true(store_key_take(&key, &out));
	assert_true(bytes_is(buf_bytes(&out), "end"));
	assert_int_equal(key.size, 0);
	assert_false(store_key_take(&key, NULL));
	key = B("no terminator");
	assert_false(store_key_take(&key, NULL));
	buf_free(&a);
	buf_free(&b);
	buf_free(&out);
}

/* ---- damage ---- */

static uint8_t file[4 * 1024 * 1024];
static size_t file_size;

static void
data_file(const char *mode, size_t size)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/data.mdb", dir);
	f = fopen(path, mode);
	assert_non_null(f);
	if (mode[0] == 'r')
		file_size = fread(file, 1, sizeof file, f);
	else
		assert_int_equal(fwrite(file, 1, size, f), size);
	fclose(f);
}

#define VALUE "a value that stands nowhere else in the file"

/* Every bit of the record, its value and its checksum. LMDB itself would deliver all of these. */
static void
test_every_flipped_bit_of_a_record_is_noticed(void **state)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);
	uint8_t *at;
	size_t place;

	(void)state;
	store_put(t, STORE_KVS, B("key"), B(VALUE));
	commit(t);
	store_close(s, true);
	data_file("r", 0);
	at = memmem(file, file_size, VALUE, strlen(VALUE));
	assert_non_null(at);
	place = (size_t)(at - file);
	for (size_t bit = 0; bit < (strlen(VALUE) + 4) * 8; bit++) {
		struct bytes value;

		file[place + bit / 8] ^= (uint8_t)(1u << bit % 8);
		data_file("w", file_size);
		assert_int_equal(try_open(&s), STORE_OPENED);
		store_started(s);
		t = store_read(s);
		assert_false(store_get(t, STORE_KVS, B("key"), &value));
		assert_int_equal(store_txn_result(t, error), STORE_DAMAGED);
		assert_int_equal(scan_count(t, bytes_of(NULL, 0)), 0);
		store_read_end(s);
		/* A write transaction that met it can not be committed. */
		t = writer(s);
		assert_false(store_get(t, STORE_KVS, B("key"), &value));
		store_put(t, STORE_KVS, B("other"), B("x"));
		assert_int_equal(store_commit(t, error), STORE_DAMAGED);
		store_close(s, false);
		file[place + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	data_file("w", file_size);
	s = open_store();
	assert_string_equal(value_of(s, B("key")), VALUE);
	store_close(s, true);
}

static void
test_a_record_under_another_key_is_noticed(void **state)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);
	struct bytes value;
	uint8_t *at;

	(void)state;
	store_put(t, STORE_KVS, B("key-one"), B(VALUE));
	commit(t);
	store_close(s, true);
	data_file("r", 0);
	at = memmem(file, file_size, "key-one", 7);
	assert_non_null(at);
	memcpy(at, "key-two", 7);
	data_file("w", file_size);
	s = open_store();
	t = store_read(s);
	assert_false(store_get(t, STORE_KVS, B("key-two"), &value));
	assert_int_equal(store_txn_result(t, NULL), STORE_DAMAGED);
	store_close(s, false);
}

/* Cut anywhere, page by page and in between: opening says rebuild, and nothing dies by SIGBUS. */
static void
test_a_cut_file_is_made_again(void **state)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);
	char key[16];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof key, "key %d", i);
		store_put(t, STORE_KVS, B(key), B(VALUE));
	}
	commit(t);
	store_close(s, true);
	data_file("r", 0);
	for (size_t size = 1; size < file_size; size += size < 8192 ? 501 : 4096) {
		data_file("w", size);
		assert_int_equal(try_open(&s), STORE_REBUILD);
		assert_int_equal(store_erase(dir), 0);
	}
	s = open_store();
	assert_int_equal(scan_count(store_read(s), bytes_of(NULL, 0)), 0);
	store_close(s, true);
}

/* ---- starts ---- */

static void
other_boot(bool clean)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);
	uint8_t record[64] = {0};
	size_t size = 0;

	/* The record as a process of another boot left it. */
	record[3] = 1;
	record[20] = clean;
	record[21] = 5;
	record[22] = 3;
	memcpy(record + 23, "other", 5);
	memcpy(record + 28, "log", 3);
	size = 31;
	store_put(t, STORE_META, B("state"), bytes_of(record, size));
	commit(t);
	store_close(s, false);
}

/* Pages taken and given back within one transaction are never written: the file is not cut for all that. */
static void
test_a_file_with_unwritten_pages_at_its_end_is_whole(void **state)
{
	static uint8_t large[512 * 1024];
	struct store *s = open_store();
	struct store_txn *t;

	(void)state;
	for (int i = 0; i < 20; i++) { /* leaves free pages for all but the large one */
		t = writer(s);
		store_put(t, STORE_KVS, B("a"), B("1"));
		store_put(t, STORE_INDEX, B("a"), B("1"));
		commit(t);
	}
	t = writer(s);
	store_put(t, STORE_KVS, B("large"), bytes_of(large, sizeof large));
	store_delete(t, STORE_KVS, B("large"));
	commit(t);
	store_close(s, true);
	s = open_store();
	assert_string_equal(value_of(s, B("a")), "1");
	store_close(s, true);
}

static void
test_another_boot_trusts_only_a_clean_store(void **state)
{
	struct store *s;

	(void)state;
	other_boot(true);
	assert_int_equal(try_open(&s), STORE_OPENED);
	assert_string_equal(store_state(s).log_id, "log");
	store_started(s);
	store_close(s, false);
	other_boot(false);
	assert_int_equal(try_open(&s), STORE_REBUILD);
	assert_non_null(strstr(error, "in use"));
}

static void
test_clean_is_written_at_the_end_alone(void **state)
{
	struct store *s = open_store();
	struct store_file_state found;
	struct bytes value;

	(void)state;
	assert_true(store_get(store_read(s), STORE_META, B("state"), &value));
	assert_int_equal(store_file_state_get(value, &found), 0);
	assert_false(found.clean);
	store_close(s, true);
	data_file("r", 0);
	assert_int_equal(try_open(&s), STORE_OPENED);
	/* Opening took the mark away again, on disk too. */
	assert_true(store_get(store_read(s), STORE_META, B("state"), &value));
	assert_int_equal(store_file_state_get(value, &found), 0);
	assert_false(found.clean);
	store_started(s);
	store_close(s, false);
}

static void
test_two_deaths_in_a_start_or_a_damage_mark_mean_rebuild(void **state)
{
	struct store *s;

	(void)state;
	assert_int_equal(try_open(&s), STORE_OPENED);
	store_close(s, false); /* never started */
	assert_int_equal(try_open(&s), STORE_OPENED);
	store_close(s, false);
	assert_int_equal(try_open(&s), STORE_REBUILD);
	assert_int_equal(store_erase(dir), 0);
	s = open_store();
	store_mark_damaged(s);
	store_close(s, false);
	assert_int_equal(try_open(&s), STORE_REBUILD);
	assert_int_equal(store_erase(dir), 0);
	store_close(open_store(), true);
}

/* A process that opens the store, starts, and dies later by a signal. */
static void
die_over_it(void)
{
	pid_t child = fork();
	int status;

	assert_true(child != -1);
	if (child == 0) {
		struct store *s;

		store_file_count_crashes(dir);
		if (try_open(&s) != STORE_OPENED)
			_exit(1);
		store_started(s);
		abort();
		_exit(2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

static void
test_two_deaths_by_a_fault_mean_rebuild_unless_a_clean_stop_is_between(void **state)
{
	struct store *s;

	(void)state;
	store_close(open_store(), true);
	die_over_it();
	store_close(open_store(), true);
	die_over_it();
	assert_int_equal(try_open(&s), STORE_OPENED);
	store_started(s);
	store_close(s, false);
	die_over_it();
	assert_int_equal(try_open(&s), STORE_REBUILD);
	assert_non_null(strstr(error, "2 processes died over it"));
	assert_int_equal(store_erase(dir), 0);
	store_close(open_store(), true);
}

static void
test_a_foreign_format_means_rebuild(void **state)
{
	struct store *s = open_store();
	struct store_txn *t = writer(s);

	(void)state;
	store_put(t, STORE_META, B("state"), B("something else of a later version"));
	commit(t);
	store_close(s, false);
	assert_int_equal(try_open(&s), STORE_REBUILD);
	assert_int_equal(store_erase(dir), 0);
	memset(file, 0x5a, 16384);
	data_file("w", 16384);
	assert_int_equal(try_open(&s), STORE_REBUILD);
}

static void
test_a_full_map_is_an_error_that_passes(void **state)
{
	struct store *s;
	struct store_txn *t;
	static uint8_t big[1024 * 1024];
	char key[16];

	(void)state;
	assert_int_equal(
	    store_open(&(struct store_options){.directory = dir, .map_bytes = 1}, &s, error), STORE_OPENED);
	store_started(s);
	t = writer(s);
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "%d", i);
		store_put(t, STORE_KVS, B(key), bytes_of(big, sizeof big));
	}
	assert_int_equal(store_commit(t, error), STORE_FULL);
	t = writer(s);
	store_put(t, STORE_KVS, B("small"), B("fits"));
	commit(t);
	assert_string_equal(value_of(s, B("small")), "fits");
	store_close(s, true);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_records_and_position_survive_a_new_start),
	    TEST(test_abort_changes_nothing),
	    TEST(test_a_nested_part_can_be_dropped_alone),
	    TEST(test_keys_of_any_length),
	    TEST(test_scan_deletes_what_it_stands_on),
	    TEST(test_keys_of_parts),
	    TEST(test_every_flipped_bit_of_a_record_is_noticed),
	    TEST(test_a_record_under_another_key_is_noticed),
	    TEST(test_a_cut_file_is_made_again),
	    TEST(test_a_file_with_unwritten_pages_at_its_end_is_whole),
	    TEST(test_another_boot_trusts_only_a_clean_store),
	    TEST(test_clean_is_written_at_the_end_alone),
	    TEST(test_two_deaths_in_a_start_or_a_damage_mark_mean_rebuild),
	    TEST(test_two_deaths_by_a_fault_mean_rebuild_unless_a_clean_stop_is_between),
	    TEST(test_a_foreign_format_means_rebuild),
	    TEST(test_a_full_map_is_an_error_that_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * catalogd_dump_test.c - the canonical dump: the same for the same records, other for others; and a table that is gone is damage
 */
#include "dump.h"

#include <lmdb.h>
#include <sys/mman.h>

#include "catalogd_store_fixture.h"

/* The dump of a store with these keys, put in this order and, if again, each of them twice and removed between, from another server's log. */
static char *
dump_of(const char *const *keys, size_t count, bool again, char digest[SHA256_TEXT_MAX])
{
	int fd = memfd_create("dump", MFD_CLOEXEC);
	char *text = xcalloc(1, 4096);
	struct store_txn *t;
	struct store *s;

	assert_int_equal(try_open(&s), STORE_OPENED);
	for (size_t i = 0; i < count; i++) {
		t = store_write(s, error);
		assert_non_null(t);
		if (again) {
			store_put(t, STORE_KVS, B(keys[i]), B("older"));
			store_delete(t, STORE_KVS, B(keys[i]));
		}
		store_put(t, STORE_KVS, B(keys[i]), B("a\nb\\\x01"));
		store_set_applied(t, 7, 3);
		store_set_log_id(t, again ? "one" : "other");
		assert_int_equal(store_commit(t, error), STORE_DONE);
	}
	assert_int_equal(dump_write(store_read(s), fd, digest), 0);
	assert_true(pread(fd, text, 4095, 0) > 0);
	store_close(s, again);
	assert_int_equal(store_erase(dir), 0);
	close(fd);
	return text;
}

static void
test_the_same_state_has_the_same_dump(void **state)
{
	const char *const forth[] = {"a", "b"}, *const back[] = {"b", "a"}, *const other[] = {"a", "c"};
	char one[SHA256_TEXT_MAX], two[SHA256_TEXT_MAX], three[SHA256_TEXT_MAX], sum[SHA256_TEXT_MAX];
	char *x = dump_of(forth, 2, false, one), *y = dump_of(back, 2, true, two), *z = dump_of(other, 2, false, three);
	const char *last = strstr(x, "sha256\t");

	(void)state;
	assert_string_equal(x, y);
	assert_string_equal(one, two);
	assert_string_not_equal(one, three);
	assert_non_null(strstr(x, "meta\tapplied_index\t7\nmeta\tapplied_term\t3\n"));
	assert_non_null(strstr(x, "kvs\ta\ta\\x0ab\\\\\\x01\nkvs\tb\t"));
	assert_non_null(last);
	assert_string_equal(sha256_text(bytes_of((const uint8_t *)x, (size_t)(last - x)), sum), one);
	assert_memory_equal(last + 7, one, 64);
	free(x);
	free(y);
	free(z);
}

/* Made again it would be empty, and nobody would know. */
static void
test_a_missing_table_is_damage(void **state)
{
	struct store *s;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi table;

	(void)state;
	assert_int_equal(try_open(&s), STORE_OPENED);
	store_started(s);
	store_close(s, true);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
	assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "sessions", 0, &table), 0);
	assert_int_equal(mdb_drop(txn, table, 1), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	assert_int_equal(try_open(&s), STORE_REBUILD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_the_same_state_has_the_same_dump, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_missing_table_is_damage, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

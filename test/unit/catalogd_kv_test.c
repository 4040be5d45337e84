/*
 * catalogd_kv_test.c - keys and values: what each operation does to entry, index, tombstones and watchers
 */
#include "kv.h"

#include "catalogd_fixture.h"

static bool answer; /* of the last KVS.Apply */

static int
kv(const char *json)
{
	int result = fixture_write(kv_write, &kvs_request_schema, json);
	struct mp in = mp_of(buf_bytes(&fix.reply));

	answer = result == 0 && mp_bool(&in);
	return result;
}

#define KV(answer_wanted, ...)                                                                                         \
	do {                                                                                                           \
		char json[4096];                                                                                       \
		snprintf(json, sizeof json, __VA_ARGS__);                                                              \
		assert_int_equal(kv(json), 0);                                                                         \
		assert_int_equal(answer, answer_wanted);                                                               \
	} while (0)

static const char *
get(const char *key)
{
	char json[4096];

	snprintf(json, sizeof json, "{'Key':'%s'}", key);
	return ask(kv_get, &key_request_schema, json, &indexed_dir_entries_schema);
}

static const char *
list(const char *prefix)
{
	char json[4096];

	snprintf(json, sizeof json, "{'Key':'%s'}", prefix);
	return ask(kv_list, &key_request_schema, json, &indexed_dir_entries_schema);
}

static const char *
keys(const char *prefix, const char *separator)
{
	char json[4096];

	snprintf(json, sizeof json, "{'Prefix':'%s','Seperator':'%s'}", prefix, separator);
	return ask(kv_list_keys, &key_list_request_schema, json, &indexed_key_list_schema);
}

/* Ends what session holds on key, as session.c does. */
static void
holder_gone(const char *key, bool remove, int64_t delay_ns)
{
	char error[STORE_ERROR_MAX];

	store_read_end(fix.store);
	fix.apply.txn = store_write(fix.store, error);
	fix.apply.index = ++fix.index;
	buf_clear(&fix.apply.touched);
	kv_session_ended(&fix.apply, bytes_str(key), remove, delay_ns);
	assert_int_equal(store_commit(fix.apply.txn, error), STORE_DONE);
}

static void
test_set_and_get(void **state)
{
	(void)state;
	KV(true, "{'Op':'set','DirEnt':{'Key':'a','Value':'aGk=','Flags':18446744073709551615}}");
	assert_string_equal(get("a"), "[{'LockIndex':0,'Key':'a','Flags':18446744073709551615,'Value':'aGk=','"
				      "CreateIndex':11,'ModifyIndex':11}]");
	assert_int_equal(fix.answer_index, 11);
	KV(true, "{'Op':'set','DirEnt':{'Key':'a','Value':''}}");
	assert_string_equal(
	    get("a"), "[{'LockIndex':0,'Key':'a','Flags':0,'Value':null,'CreateIndex':11,'ModifyIndex':12}]");
}

static void
test_what_changes_nothing_moves_no_index(void **state)
{
	(void)state;
	KV(true, "{'Op':'set','DirEnt':{'Key':'a','Value':'aGk='}}");
	KV(true, "{'Op':'set','DirEnt':{'Key':'a','Value':'aGk='}}");
	assert_false(touched_anything());
	assert_non_null(strstr(get("a"), "'ModifyIndex':11"));
	assert_int_equal(fix.answer_index, 11);
	KV(true, "{'Op':'delete','DirEnt':{'Key':'absent'}}");
	KV(true, "{'Op':'delete-tree','DirEnt':{'Key':'absent/'}}");
	assert_false(touched_anything());
	(void)get("absent");
	assert_int_equal(fix.answer_index, 11);
}

static void
test_cas(void **state)
{
	(void)state;
	KV(false, "{'Op':'cas','DirEnt':{'Key':'a','Value':'MQ==','ModifyIndex':5}}");
	KV(true, "{'Op':'cas','DirEnt':{'Key':'a','Value':'MQ==','ModifyIndex':0}}");
	KV(false, "{'Op':'cas','DirEnt':{'Key':'a','Value':'Mg==','ModifyIndex':0}}");
	KV(false, "{'Op':'cas','DirEnt':{'Key':'a','Value':'Mg==','ModifyIndex':11}}");
	KV(true, "{'Op':'cas','DirEnt':{'Key':'a','Value':'Mg==','ModifyIndex':12}}");
	assert_non_null(strstr(get("a"), "'Value':'Mg==','CreateIndex':12,'ModifyIndex':15"));
}

static void
test_delete_cas(void **state)
{
	(void)state;
	KV(true, "{'Op':'delete-cas','DirEnt':{'Key':'a','ModifyIndex':7}}");
	KV(true, "{'Op':'set','DirEnt':{'Key':'a','Value':'MQ=='}}");
	KV(false, "{'Op':'delete-cas','DirEnt':{'Key':'a','ModifyIndex':0}}");
	KV(false, "{'Op':'delete-cas','DirEnt':{'Key':'a','ModifyIndex':11}}");
	KV(true, "{'Op':'delete-cas','DirEnt':{'Key':'a','ModifyIndex':12}}");
	assert_string_equal(get("a"), "[]");
	assert_true(fix.query.not_found);
	assert_int_equal(fix.answer_index, 15);
}

static void
test_refusals(void **state)
{
	(void)state;
	assert_int_equal(kv("{'Op':'set','DirEnt':{'Key':''}}"), -1);
	assert_string_equal(fix.error, "Must provide key");
	assert_int_equal(kv("{'Op':'bogus','DirEnt':{'Key':'a'}}"), -1);
	assert_string_equal(fix.error, "unknown KV operation: bogus");
	assert_int_equal(kv("{'Op':'lock','DirEnt':{'Key':'a'}}"), -1);
	assert_string_equal(fix.error, "missing session");
	assert_int_equal(kv("{'Op':'lock','DirEnt':{'Key':'a','Session':'nobody'}}"), -1);
	assert_string_equal(fix.error, "invalid session \"nobody\"");
	KV(false, "{'Op':'unlock','DirEnt':{'Key':'a','Session':'nobody'}}");
	assert_null(get(""));
}

/* http-api-kv-session.md 1.7, the table and its consequences. */
static void
test_indexes_of_prefixes(void **state)
{
	(void)state;
	KV(true, "{'Op':'set','DirEnt':{'Key':'a/x','Value':'MQ=='}}");   /* 11 */
	KV(true, "{'Op':'set','DirEnt':{'Key':'a/b/y','Value':'MQ=='}}"); /* 12 */
	KV(true, "{'Op':'set','DirEnt':{'Key':'other','Value':'MQ=='}}"); /* 13 */
	(void)list("a/");
	assert_int_equal(fix.answer_index, 12);
	(void)keys("a/", "/");
	assert_int_equal(fix.answer_index, 12);
	(void)list("");
	assert_int_equal(fix.answer_index, 13);
	assert_string_equal(list("none/"), "[]");
	assert_int_equal(fix.answer_index, 13);
	KV(true, "{'Op':'delete','DirEnt':{'Key':'a/b/y'}}"); /* 14 */
	(void)list("a/");
	assert_int_equal(fix.answer_index, 14);
	KV(true, "{'Op':'set','DirEnt':{'Key':'a/b/z','Value':'MQ=='}}"); /* 15 */
	(void)list("a/b/");
	KV(true, "{'Op':'delete-tree','DirEnt':{'Key':'a/'}}"); /* 16: one tombstone, at the prefix */
	assert_true(touched(WATCH_KEY, bytes_str("a/b/z")));
	assert_string_equal(list("a/"), "[]");
	assert_int_equal(fix.answer_index, 16);
	(void)list("a/b/");
	assert_int_equal(fix.answer_index, 14);
	KV(true, "{'Op':'delete-tree','DirEnt':{'Key':''}}"); /* 17: no tombstone */
	assert_string_equal(list(""), "[]");
	assert_int_equal(fix.answer_index, 17);
}

static void
test_keys_and_separators(void **state)
{
	const char *const names[] = {"web/bar", "web/foo", "web/subdir/foo", "web/subdir/goo", "web", "wea"};

	(void)state;
	for (size_t i = 0; i < COUNTOF(names); i++)
		KV(true, "{'Op':'set','DirEnt':{'Key':'%s','Value':'MQ=='}}", names[i]);
	assert_string_equal(keys("web/", "/"), "['web/bar','web/foo','web/subdir/']");
	assert_string_equal(keys("", "/"), "['wea','web','web/']");
	assert_string_equal(keys("we", ""), "['wea','web','web/bar','web/foo','web/subdir/foo','web/subdir/goo']");
	assert_string_equal(keys("web/s", "ub"), "['web/sub']");
	assert_string_equal(keys("none", "/"), "null");
}

/* Keys beyond what the store takes directly come in order all the same. */
static void
test_long_keys_are_listed_in_order(void **state)
{
	static char common[700], key[800];
	const char *got;
	const char *at;

	(void)state;
	memset(common, 'p', sizeof common - 1);
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof key, "%s/%02d", common, i * 7 % 40);
		KV(true, "{'Op':'set','DirEnt':{'Key':'%s','Value':'MQ=='}}", key);
	}
	KV(true, "{'Op':'set','DirEnt':{'Key':'q','Value':'MQ=='}}");
	got = keys("p", "");
	assert_int_equal(count_of(got, "pp/"), 40);
	at = got;
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof key, "pp/%02d'", i);
		at = strstr(at, key);
		assert_non_null(at);
	}
	got = list(common);
	assert_int_equal(count_of(got, "'Key'"), 40);
	KV(true, "{'Op':'delete-tree','DirEnt':{'Key':'%s/1'}}", common);
	assert_int_equal(count_of(keys(common, ""), "pp/"), 30);
}

static void
test_watchers_wake_for_their_keys_alone(void **state)
{
	(void)state;
	KV(true, "{'Op':'set','DirEnt':{'Key':'a/x','Value':'MQ=='}}");
	(void)get("a/x");
	KV(true, "{'Op':'set','DirEnt':{'Key':'a/y','Value':'MQ=='}}");
	assert_false(wakes());
	KV(true, "{'Op':'set','DirEnt':{'Key':'a/x','Value':'Mg=='}}");
	assert_true(wakes());
	KV(true, "{'Op':'delete','DirEnt':{'Key':'a/x'}}");
	assert_true(wakes());
	(void)get("absent");
	KV(true, "{'Op':'set','DirEnt':{'Key':'present','Value':'MQ=='}}");
	assert_false(wakes());
	KV(true, "{'Op':'set','DirEnt':{'Key':'absent','Value':'MQ=='}}");
	assert_true(wakes());
}

/* ---- locks ---- */

static void
test_lock_index_counts_fresh_acquisitions(void **state)
{
	(void)state;
	session_make("s1");
	session_make("s2");
	KV(true, "{'Op':'lock','DirEnt':{'Key':'k','Value':'MQ==','Session':'s1'}}");
	assert_non_null(strstr(get("k"), "{'LockIndex':1,'Key':'k','Flags':0,'Value':'MQ==','Session':'s1'"));
	KV(true, "{'Op':'lock','DirEnt':{'Key':'k','Value':'Mg==','Session':'s1'}}"); /* again, by the holder */
	assert_non_null(strstr(get("k"), "{'LockIndex':1,'Key':'k','Flags':0,'Value':'Mg==','Session':'s1'"));
	KV(false, "{'Op':'lock','DirEnt':{'Key':'k','Value':'Mw==','Session':'s2'}}");
	KV(false, "{'Op':'unlock','DirEnt':{'Key':'k','Value':'Mw==','Session':'s2'}}");
	KV(true, "{'Op':'unlock','DirEnt':{'Key':'k','Session':'s1'}}"); /* clears the value */
	assert_non_null(strstr(get("k"), "{'LockIndex':1,'Key':'k','Flags':0,'Value':null,'CreateIndex'"));
	KV(false, "{'Op':'unlock','DirEnt':{'Key':'k','Session':'s1'}}");
	KV(true, "{'Op':'lock','DirEnt':{'Key':'k','Value':'Mw==','Session':'s2'}}");
	assert_non_null(strstr(get("k"), "{'LockIndex':2,"));
	KV(true,
	    "{'Op':'set','DirEnt':{'Key':'k','Value':'NA=='}}"); /* advisory: keeps the holder, forgets the count */
	assert_non_null(strstr(get("k"), "{'LockIndex':0,'Key':'k','Flags':0,'Value':'NA==','Session':'s2'"));
	KV(true, "{'Op':'delete','DirEnt':{'Key':'k'}}");
	assert_int_equal(store_count(store_read(fix.store), STORE_SESSION_KEYS), 0);
}

static void
test_the_end_of_a_holder(void **state)
{
	(void)state;
	session_make("s1");
	session_make("s2");
	KV(true, "{'Op':'lock','DirEnt':{'Key':'kept','Value':'MQ==','Session':'s1'}}");
	KV(true, "{'Op':'lock','DirEnt':{'Key':'gone','Value':'MQ==','Session':'s1'}}");
	holder_gone("kept", false, 0);
	assert_true(touched(WATCH_KEY, bytes_str("kept")));
	assert_non_null(strstr(
	    get("kept"), "{'LockIndex':1,'Key':'kept','Flags':0,'Value':'MQ==','CreateIndex':11,'ModifyIndex':13}"));
	holder_gone("gone", true, 0);
	assert_string_equal(get("gone"), "[]");
	(void)list("gone");
	assert_int_equal(fix.answer_index, 14);
	assert_int_equal(store_count(store_read(fix.store), STORE_SESSION_KEYS), 0);
	/* No delay was asked for. */
	KV(true, "{'Op':'lock','DirEnt':{'Key':'kept','Value':'MQ==','Session':'s2'}}");
}

/* The entry's time decides; other writes are not concerned; 60 s is the most. */
static void
test_lock_delay(void **state)
{
	const int64_t second = 1000000000;
	struct buf args, body = BUF_INIT(4096);
	struct write w = {.txn = NULL, .body = &body, .region = fix.region};

	(void)state;
	session_make("s1");
	session_make("s2");
	KV(true, "{'Op':'lock','DirEnt':{'Key':'k','Value':'MQ==','Session':'s1'}}");
	fix.apply.time_ns = 5 * second;
	holder_gone("k", false, 3600 * second);
	args = fixture_message(&kvs_request_schema, "{'Op':'lock','DirEnt':{'Key':'k','Value':'Mg==','Session':'s2'}}");
	w.args = buf_bytes(&args);
	assert_int_equal(kv_write(&w), 0);
	KV(false, "{'Op':'lock','DirEnt':{'Key':'k','Value':'Mg==','Session':'s2'}}");
	KV(false, "{'Op':'lock','DirEnt':{'Key':'k','Value':'Mg==','Session':'nobody'}}"); /* not even looked at */
	KV(true, "{'Op':'set','DirEnt':{'Key':'k','Value':'Mw=='}}");
	KV(true, "{'Op':'delete','DirEnt':{'Key':'k'}}");
	KV(false, "{'Op':'lock','DirEnt':{'Key':'k','Value':'Mg==','Session':'s2'}}"); /* survives deletion */
	for (int64_t time = 64; time <= 65; time++) {
		struct apply_entry entry = {.type = APPLY_TYPE_KVS,
		    .version = APPLY_VERSION,
		    .time_ns = time * second,
		    .body = buf_bytes(&body)};
		char error[STORE_ERROR_MAX];
		struct mp in;

		store_read_end(fix.store);
		fix.apply.txn = store_write(fix.store, error);
		fix.apply.index = ++fix.index;
		assert_int_equal(apply_entry(&fix.apply, &entry), APPLY_DONE);
		assert_int_equal(store_commit(fix.apply.txn, error), STORE_DONE);
		in = mp_of(buf_bytes(&fix.reply));
		assert_int_equal(mp_bool(&in), time >= 65);
	}
	buf_free(&args);
	buf_free(&body);
}

/* ---- tombstones ---- */

static void
test_reaping_takes_the_old_and_moves_no_index(void **state)
{
	struct buf body = BUF_INIT(256);
	uint64_t before;

	(void)state;
	KV(true, "{'Op':'set','DirEnt':{'Key':'p/1','Value':'MQ=='}}");
	KV(true, "{'Op':'set','DirEnt':{'Key':'p/2','Value':'MQ=='}}");
	KV(true, "{'Op':'delete','DirEnt':{'Key':'p/1'}}"); /* 13 */
	KV(true, "{'Op':'delete','DirEnt':{'Key':'p/2'}}"); /* 14 */
	KV(true, "{'Op':'set','DirEnt':{'Key':'p/1','Value':'MQ=='}}");
	KV(true, "{'Op':'delete','DirEnt':{'Key':'p/1'}}"); /* 16: its tombstone is younger now */
	(void)list("");
	before = fix.answer_index;
	assert_true(kv_has_leftovers(store_read(fix.store)));
	kv_tombstone_reap_body(&body, 14);
	assert_int_equal(fixture_apply(APPLY_TYPE_TOMBSTONE_REAP, buf_bytes(&body)), 0);
	assert_false(wakes());
	assert_false(holds()); /* indexes of prefixes may have changed */
	assert_int_equal(store_count(store_read(fix.store), STORE_TOMBSTONES), 1);
	assert_int_equal(store_count(store_read(fix.store), STORE_TOMBSTONE_ORDER), 1);
	(void)list("p/1");
	assert_int_equal(fix.answer_index, 16);
	buf_clear(&body);
	kv_tombstone_reap_body(&body, 16);
	assert_int_equal(fixture_apply(APPLY_TYPE_TOMBSTONE_REAP, buf_bytes(&body)), 0);
	assert_false(kv_has_leftovers(store_read(fix.store)));
	(void)list("");
	assert_int_equal(fix.answer_index, before);
	buf_free(&body);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_set_and_get),
	    TEST(test_what_changes_nothing_moves_no_index),
	    TEST(test_cas),
	    TEST(test_delete_cas),
	    TEST(test_refusals),
	    TEST(test_indexes_of_prefixes),
	    TEST(test_keys_and_separators),
	    TEST(test_long_keys_are_listed_in_order),
	    TEST(test_watchers_wake_for_their_keys_alone),
	    TEST(test_lock_index_counts_fresh_acquisitions),
	    TEST(test_the_end_of_a_holder),
	    TEST(test_lock_delay),
	    TEST(test_reaping_takes_the_old_and_moves_no_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

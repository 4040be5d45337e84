/*
 * catalogd_apply_test.c - applying is a function of state and log alone: the same log, cut into batches in any way and with a stop and a start between
 * any two, gives the same state; and so does an archive of it
 */
#include "apply.h"

#include "archive_form.h"
#include "catalogd_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#define ENTRIES 1200
#define KEYS 24
#define SESSIONS 6

static struct buf log_entries[ENTRIES];
static uint64_t seed;

static unsigned
random_to(unsigned bound)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % bound;
}

static struct buf
message(const struct schema *s, const char *fmt, ...)
{
	char json[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(json, sizeof json, fmt, args);
	va_end(args);
	return fixture_message(s, json);
}

/* Any request the proposer would let through, most of them to things that are there. */
static struct buf
random_body(enum apply_type *type)
{
	static const char *const ops[] = {"set", "delete", "delete-cas", "delete-tree", "cas", "lock", "unlock"};
	static const char *const states[] = {"passing", "warning", "critical"};
	unsigned node = random_to(3), session = random_to(SESSIONS), key = random_to(KEYS);
	struct buf body = BUF_INIT(1u << 20);

	switch (random_to(10)) {
	case 0:
		*type = APPLY_TYPE_REGISTER;
		return message(&register_request_schema,
		    "{'Node':'n%u','Address':'10.0.0.%u','Service':{'ID':'s%u','Service':'web%u','Tags':['t%u']},"
		    "'Checks':[{'Node':'n%u','CheckID':'c%u','Name':'c','Status':'%s','ServiceID':'s%u'},{'Node':'n%u',"
		    "'CheckID':'serfHealth','Status':'%s'}]}",
		    node, random_to(4), session, random_to(3), random_to(3), node, session, states[random_to(3)],
		    session, node, states[random_to(3)]);
	case 1:
		*type = APPLY_TYPE_DEREGISTER;
		if (random_to(4) == 0)
			return message(&deregister_request_schema, "{'Node':'n%u'}", node);
		return message(&deregister_request_schema, "{'Node':'n%u','%s':'%s%u'}", node,
		    session % 2 ? "ServiceID" : "CheckID", session % 2 ? "s" : "c", session);
	case 2:
		*type = APPLY_TYPE_SESSION;
		if (random_to(3) == 0)
			return message(
			    &session_request_schema, "{'Op':'destroy','Session':{'ID':'session-%u'}}", session);
		return message(&session_request_schema,
		    "{'Op':'create','Session':{'ID':'session-%u','Node':'n%u','Behavior':'%s','LockDelay':%u,'"
		    "NodeChecks':[%s]}}",
		    session, node, random_to(2) ? "delete" : "release", random_to(2) * 1000000000u,
		    random_to(2) ? "'serfHealth'" : "");
	case 3:
		*type = APPLY_TYPE_TOMBSTONE_REAP;
		mp_put_map(&body, 1);
		mp_put_kv_uint(&body, "Index", random_to(ENTRIES));
		return body;
	default:
		*type = APPLY_TYPE_KVS;
		return message(&kvs_request_schema,
		    "{'Op':'%s','DirEnt':{'Key':'%s/"
		    "%u','Value':'%s','Session':'session-%u','ModifyIndex':%u,'Flags':%u}}",
		    ops[random_to(COUNTOF(ops))], key % 3 ? "dir" : "other", key,
		    random_to(2) ? "MQ==" : "Mg==", session, random_to(ENTRIES), random_to(3));
	}
}

static void
log_make(uint64_t from)
{
	seed = from;
	for (size_t i = 0; i < ENTRIES; i++) {
		enum apply_type type;
		struct buf body = random_body(&type);
		struct apply_entry entry = {.type = (uint8_t)type,
		    .version = APPLY_VERSION,
		    .sequence = i,
		    .time_ns = (int64_t)i * 100000000,
		    .body = buf_bytes(&body)};

		buf_init(&log_entries[i], 1u << 20);
		apply_entry_put(&log_entries[i], &entry);
		buf_free(&body);
	}
}

static void
log_drop(void)
{
	for (size_t i = 0; i < ENTRIES; i++)
		buf_free(&log_entries[i]);
}

/* The store's state as text: every row of every table but the store's own, and its applied position. */
static void
dump(struct buf *out)
{
	struct store_txn *t = store_read(fix.store);
	struct store_cursor c;

	for (size_t table = 0; table < STORE_TABLE_COUNT; table++) {
		if (table == STORE_META)
			continue;
		buf_printf(out, "[%s]", store_table_name((enum store_table)table));
		for (store_scan(&c, t, (enum store_table)table, bytes_of(NULL, 0)); store_next(&c);) {
			mp_put_bytes(out, c.key);
			mp_put_bytes(out, c.value);
		}
		store_scan_end(&c);
	}
	buf_printf(out, "%llu", (unsigned long long)store_state(fix.store).applied_index);
	assert_int_equal(store_txn_result(t, NULL), STORE_DONE);
	store_read_end(fix.store);
	assert_false(out->overflow);
}

static void
restart(void)
{
	char error[STORE_ERROR_MAX];

	store_started(fix.store);
	store_close(fix.store, false);
	assert_int_equal(
	    store_open(&(struct store_options){.directory = fix.dir, .map_bytes = 1u << 30}, &fix.store, error),
	    STORE_OPENED);
}

/* Applies the whole log in batches of up to batch_max; aborts some of them first, restarts between some. */
static void
replay(unsigned batch_max, bool rough, bool watched)
{
	struct watch *watch = fix.apply.watch;
	size_t at = 0;
	unsigned refused = 0;

	if (!watched)
		fix.apply.watch = NULL;
	while (at < ENTRIES) {
		size_t wanted = at + 1 + random_to(batch_max), end = MIN(wanted, (size_t)ENTRIES);
		bool abort_first = rough && random_to(5) == 0;
		char error[STORE_ERROR_MAX];

		for (int pass = abort_first ? 0 : 1; pass < 2; pass++) {
			store_read_end(fix.store);
			fix.apply.txn = store_write(fix.store, error);
			for (size_t i = at; i < end; i++) {
				struct apply_entry entry;
				enum apply_status status;

				assert_int_equal(apply_entry_get(buf_bytes(&log_entries[i]), &entry), 0);
				fix.apply.index = i + 1;
				status = apply_entry(&fix.apply, &entry);
				assert_true(status == APPLY_DONE || status == APPLY_REFUSED);
				refused += status == APPLY_REFUSED;
			}
			store_set_applied(fix.apply.txn, end, 1);
			if (pass == 0)
				store_abort(fix.apply.txn);
			else
				assert_int_equal(store_commit(fix.apply.txn, error), STORE_DONE);
		}
		at = end;
		if (rough && random_to(40) == 0)
			restart();
	}
	assert_true(refused > 10); /* errors are part of what is compared */
	fix.apply.watch = watch;
}

static void
test_the_same_log_gives_the_same_state(void **state)
{
	struct buf first = BUF_INIT(1u << 26), second = BUF_INIT(1u << 26);

	for (uint64_t from = 1; from <= 6; from++) {
		log_make(from);
		replay(1, false, true);
		buf_clear(&first);
		dump(&first);
		fixture_teardown(state);
		fixture_setup(state);
		seed = from * 77;
		replay(60, true, from % 2 == 0);
		buf_clear(&second);
		dump(&second);
		if (!bytes_equal(buf_bytes(&first), buf_bytes(&second)))
			fail_msg("seed %llu: the states differ", (unsigned long long)from);
		assert_true(first.used > 2000);
		log_drop();
		fixture_teardown(state);
		fixture_setup(state);
	}
	buf_free(&first);
	buf_free(&second);
}

/* ---- archives ---- */

static int
archive_make(void)
{
	char path[] = "/tmp/catalogd_archive.XXXXXX";
	int fd = mkstemp(path);
	struct store_state position = store_state(fix.store);

	assert_true(fd != -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(archive_write(store_read(fix.store), &position, fd), 0);
	store_read_end(fix.store);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Reads all of fd into an empty store. 0 or -1. */
static int
archive_read(int fd, size_t piece)
{
	struct archive_reader *r = archive_reader_new(fd);
	char error[STORE_ERROR_MAX];
	int more;

	do {
		struct store_txn *t;

		store_read_end(fix.store);
		t = store_write(fix.store, error);
		more = archive_reader_step(r, t, piece, error);
		if (more == -1) {
			store_abort(t);
			break;
		}
		if (more == 0)
			store_set_applied(t, ENTRIES, 1);
		assert_int_equal(store_commit(t, error), STORE_DONE);
	} while (more == 1);
	archive_reader_free(r);
	return more;
}

static void
test_an_archive_gives_the_same_state(void **state)
{
	struct buf first = BUF_INIT(1u << 26), second = BUF_INIT(1u << 26);
	struct archive_head head;
	int fd;

	log_make(9);
	replay(100, false, false);
	dump(&first);
	fd = archive_make();
	fixture_teardown(state);
	fixture_setup(state);
	assert_int_equal(archive_head_read(fd, &head), 0);
	assert_int_equal(head.index, ENTRIES);
	assert_int_equal(head.term, 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(archive_read(fd, 1), 0);
	dump(&second);
	assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
	log_drop();
	buf_free(&first);
	buf_free(&second);
}

/* Wherever it is cut, and whatever bit is flipped, it is not taken for whole. */
static void
test_a_damaged_archive_is_refused(void **state)
{
	static uint8_t bytes[1 << 20];
	ssize_t size;
	int fd;

	(void)state;
	put("{'Node':'n1','Address':'10.0.0.1'}");
	fd = archive_make();
	size = read(fd, bytes, sizeof bytes);
	assert_true(size > 0 && (size_t)size < sizeof bytes);
	close(fd);
	for (ssize_t at = 0; at < size; at++)
		for (int flip = 0; flip < 2; flip++) {
			char path[] = "/tmp/catalogd_archive.XXXXXX";

			fd = mkstemp(path);
			assert_int_equal(unlink(path), 0);
			if (flip)
				bytes[at] ^= 0x10;
			assert_int_equal(write(fd, bytes, flip ? (size_t)size : (size_t)at), flip ? size : at);
			if (flip)
				bytes[at] ^= 0x10;
			assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
			if (archive_read(fd, 1u << 20) != -1)
				fail_msg("%s at %zd was not noticed", flip ? "a flip" : "a cut", at);
		}
}

/* ---- entries ---- */

static void
test_entries_from_the_future_stop(void **state)
{
	struct apply_entry entry = {.type = 250, .version = APPLY_VERSION};
	char error[STORE_ERROR_MAX];
	struct buf out = BUF_INIT(256);
	struct apply_entry read_back;

	(void)state;
	fix.apply.txn = store_write(fix.store, error);
	assert_int_equal(apply_entry(&fix.apply, &entry), APPLY_UNKNOWN);
	entry = (struct apply_entry){.type = APPLY_TYPE_KVS, .version = APPLY_VERSION + 1};
	assert_int_equal(apply_entry(&fix.apply, &entry), APPLY_UNKNOWN);
	store_abort(fix.apply.txn);
	entry = (struct apply_entry){3, 1, UINT64_MAX - 1, UINT64_MAX - 2, INT64_MAX - 3, bytes_str("body")};
	apply_entry_put(&out, &entry);
	for (size_t size = 0; size < APPLY_HEAD_BYTES; size++)
		assert_int_equal(apply_entry_get(bytes_of(out.data, size), &read_back), -1);
	assert_int_equal(apply_entry_get(buf_bytes(&out), &read_back), 0);
	assert_int_equal(read_back.nonce, entry.nonce);
	assert_int_equal(read_back.sequence, entry.sequence);
	assert_int_equal(read_back.time_ns, entry.time_ns);
	assert_true(bytes_is(read_back.body, "body"));
	buf_free(&out);
}

/* Bodies that are no msgpack, or not what the type says, are refused and change nothing. */
static void
test_nonsense_in_an_entry_is_refused(void **state)
{
	static const uint8_t nonsense[][4] = {{0xc1}, {0x93, 1, 2, 3}, {0x81, 0xa2, 'O', 'p'}, {0xa1, 'x'}, {0}};
	struct buf before = BUF_INIT(1u << 20), after = BUF_INIT(1u << 20);

	(void)state;
	dump(&before);
	for (size_t i = 0; i < COUNTOF(nonsense); i++)
		for (enum apply_type type = APPLY_TYPE_REGISTER; type <= APPLY_TYPE_SESSION; type++)
			assert_int_equal(fixture_apply(type, bytes_of(nonsense[i], 4)), -1);
	dump(&after);
	assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	buf_free(&before);
	buf_free(&after);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_the_same_log_gives_the_same_state),
	    TEST(test_an_archive_gives_the_same_state),
	    TEST(test_a_damaged_archive_is_refused),
	    TEST(test_entries_from_the_future_stop),
	    TEST(test_nonsense_in_an_entry_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

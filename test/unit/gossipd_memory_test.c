/*
 * gossipd_memory_test.c - what a pool keeps on disk: the members and clocks of the last time, and its keys
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyfile.h"
#include "mem.h"

#define FILE_MAX (8u * 1024 * 1024)

static char dir[] = "memory_test.XXXXXX", path[64];

static int
setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static void
fresh(const char *name)
{
	snprintf(path, sizeof path, "%s/serf/%s", dir, name);
	(void)unlink(path);
}

static struct buf
content_of(const char *file)
{
	struct buf text = BUF_INIT(FILE_MAX);
	FILE *f = fopen(file, "r");
	uint8_t *space;
	size_t n;

	assert_non_null(f);
	while ((space = buf_space(&text, 4096)) != NULL && (n = fread(space, 1, 4096, f)) > 0)
		buf_commit(&text, n);
	fclose(f);
	return text;
}

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void
no_alive(void *ctx, struct buf *out)
{
	(void)ctx, (void)out;
}

static struct snapshot *
opened(bool rejoin, struct snapshot_past *past)
{
	const struct snapshot_config config = {
	    .path = path, .module = "test", .rejoin_after_leave = rejoin, .put_alive = no_alive};
	struct snapshot *s = snapshot_open(&config, past);

	assert_non_null(s);
	return s;
}

static void
test_of_the_reference(void **state)
{
	struct buf text = content_of(TEST_DATA "/serf-consul.snapshot");
	struct snapshot_past past;

	(void)state;
	snapshot_replay(buf_bytes(&text), false, &past);
	assert_int_equal(past.count, 1);
	assert_string_equal(past.nodes[0].name, "srv1");
	assert_string_equal(past.nodes[0].address, "127.0.14.1:8301");
	assert_int_equal(past.clocks.member, 2);
	assert_int_equal(past.clocks.event, 2);
	assert_int_equal(past.clocks.query, 0);
	assert_false(past.left);
	snapshot_past_free(&past);
	buf_free(&text);
	text = content_of(TEST_DATA "/serf-agent.snapshot");
	snapshot_replay(buf_bytes(&text), true, &past);
	assert_int_equal(past.count, 1);
	assert_string_equal(past.nodes[0].name, "s1");
	assert_int_equal(past.clocks.member, 6);
	assert_int_equal(past.clocks.query, 4);
	assert_true(past.left);
	snapshot_past_free(&past);
	buf_free(&text);
}

static void
replay(const char *text, bool keep, struct snapshot_past *past)
{
	snapshot_replay(bytes_str(text), keep, past);
}

static void
test_lines(void **state)
{
	struct snapshot_past past;

	(void)state;
	replay("# hi\nalive: a b 10.0.0.1:1\nalive: c [::1]:2\ncoordinate: x\nalive: a b 10.0.0.9:1\nalive: cut 10.0.0",
	    false, &past);
	assert_int_equal(past.count, 2);
	assert_string_equal(past.nodes[0].name, "c");
	assert_string_equal(past.nodes[1].name, "a b");
	assert_string_equal(past.nodes[1].address, "10.0.0.9:1");
	snapshot_past_free(&past);
	replay("alive: \nalive: x\nalive:  y\nnot-alive: \nclock: \nclock: x\nleave", false, &past);
	assert_int_equal(past.count, 0);
	assert_false(past.left);
	snapshot_past_free(&past);
}

static void
test_leave(void **state)
{
	static const char text[] = "alive: a 10.0.0.1:1\nclock: 7\nleave\nclock: 8\n";
	struct snapshot_past past;

	(void)state;
	replay(text, false, &past);
	assert_int_equal(past.count, 0);
	assert_int_equal(past.clocks.member, 8);
	snapshot_past_free(&past);
	replay(text, true, &past);
	assert_true(past.left);
	assert_int_equal(past.count, 1);
	snapshot_past_free(&past);
}

static void
test_written_and_read_again(void **state)
{
	const struct swim_address a = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 8301};
	const struct serf_clocks clocks = {.member = 5, .event = 9, .query = 9};
	struct snapshot_past past;
	struct snapshot *s;
	struct buf text;

	(void)state;
	fresh("local.snapshot");
	s = opened(false, &past);
	assert_int_equal(past.count, 0);
	snapshot_past_free(&past);
	snapshot_alive(s, "n1", &a);
	snapshot_alive(s, "n\n2", &a);
	snapshot_alive(s, "n3", &a);
	snapshot_not_alive(s, "n3");
	snapshot_clocks(s, &clocks);
	snapshot_clocks(s, &clocks);
	snapshot_event_clock(s, 3);
	snapshot_query_clock(s, 4);
	assert_int_equal(snapshot_pending(s), SNAPSHOT_MEMBERS);
	snapshot_flush(s, 1);
	assert_int_equal(snapshot_pending(s), SNAPSHOT_NOTHING);
	text = content_of(path); /* before it is closed: kill -9 loses nothing */
	buf_put_u8(&text, '\0');
	assert_string_equal((char *)text.data, "alive: n1 10.0.0.1:8301\nalive: n3 10.0.0.1:8301\nnot-alive: n3\n"
					       "clock: 4\nevent-clock: 3\nquery-clock: 4\n");
	buf_free(&text);
	snapshot_leave(s);
	snapshot_alive(s, "late", &a);
	snapshot_close(s);
	s = opened(true, &past);
	assert_int_equal(past.count, 1);
	assert_string_equal(past.nodes[0].name, "n1");
	assert_int_equal(past.clocks.member, 4);
	snapshot_past_free(&past);
	snapshot_close(s);
}

static void
put_one(void *ctx, struct buf *out)
{
	snapshot_alive_put("n1", ctx, out);
}

/* Members that come and go do not make it grow, and a torn end is not written behind. */
static void
test_compaction(void **state)
{
	static struct swim_address a = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 8301};
	const struct snapshot_config config = {.path = path, .module = "test", .put_alive = put_one, .ctx = &a};
	struct snapshot_past past;
	struct snapshot *s;
	struct stat st;
	struct buf text;

	(void)state;
	fresh("local.snapshot");
	write_file("alive: n1 10.0.0.1:8301\nali");
	s = snapshot_open(&config, &past);
	assert_non_null(s);
	snapshot_past_free(&past);
	for (int i = 0; i < 20000; i++) {
		snapshot_alive(s, "n1", &a);
		snapshot_flush(s, 1);
		assert_int_equal(stat(path, &st), 0);
		assert_true(st.st_size < 160 * 1024);
	}
	snapshot_close(s);
	text = content_of(path);
	snapshot_replay(buf_bytes(&text), false, &past);
	assert_int_equal(past.count, 1);
	snapshot_past_free(&past);
	buf_free(&text);
}

/* ---- keys ---- */

#define KEY_1 "MDEyMzQ1Njc4OWFiY2RlZg=="
#define KEY_2 "YWJjZGVmZ2hpamtsbW5vcA=="

static void
test_keys(void **state)
{
	char error[KEYRING_ERROR_MAX];
	struct keyring ring;
	struct stat st;
	struct buf text;
	bool ignored;

	(void)state;
	fresh("local.keyring");
	assert_int_equal(keyfile_load(path, "", &ring, &ignored, error), 0);
	assert_int_equal(ring.count, 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(keyfile_load(path, KEY_1, &ring, &ignored, error), 0);
	assert_int_equal(ring.count, 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	text = content_of(path);
	assert_true(bytes_is(buf_bytes(&text), "[\"" KEY_1 "\"]"));
	buf_free(&text);
	assert_null(keyring_install(&ring, bytes_str("abcdefghijklmnop")));
	assert_null(keyring_use(&ring, bytes_str("abcdefghijklmnop")));
	assert_null(keyfile_store(path, &ring, false));
	text = content_of(path);
	assert_true(bytes_is(buf_bytes(&text), "[\n  \"" KEY_2 "\",\n  \"" KEY_1 "\"\n]"));
	buf_free(&text);
	/* the file wins over the configuration */
	assert_int_equal(keyfile_load(path, KEY_1, &ring, &ignored, error), 0);
	assert_false(ignored);
	assert_memory_equal(ring.keys[0].bytes, "abcdefghijklmnop", 16);
	assert_int_equal(keyfile_load(path, "enp6enp6enp6enp6enp6eg==", &ring, &ignored, error), 0);
	assert_true(ignored);
	assert_int_equal(ring.count, 2);
	write_file("[]");
	assert_int_equal(keyfile_load(path, KEY_1, &ring, &ignored, error), -1);
	assert_non_null(strstr(error, "no keys present in keyring: "));
	assert_int_equal(keyfile_load("", KEY_1, &ring, &ignored, error), 0);
	assert_int_equal(ring.count, 1);
	assert_int_equal(keyfile_load("", "abc", &ring, &ignored, error), -1);
}

/* What can not be written changes nothing and says where. */
static void
test_keys_that_can_not_be_kept(void **state)
{
	char file[128];
	struct keyring ring = {.count = 0};

	(void)state;
	fresh("local.keyring");
	write_file("x");
	snprintf(file, sizeof file, "%s/below", path);
	assert_non_null(strstr(keyfile_store(file, &ring, true), file));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_of_the_reference),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_leave),
	    cmocka_unit_test(test_written_and_read_again),
	    cmocka_unit_test(test_compaction),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_keys_that_can_not_be_kept),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

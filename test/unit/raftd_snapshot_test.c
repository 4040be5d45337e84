/*
 * raftd_snapshot_test.c - snapshots are whole or not there, the last two stay, and damage is found before one is handed out
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "mem.h"
#include "snapshot.h"

struct outcome {
	bool called;
	char error[SNAPSHOT_ERROR_MAX];
	int fd;
};

static struct ev_loop *loop;
static char error[SNAPSHOT_ERROR_MAX];

static void
on_saved(void *ctx, const char *problem)
{
	struct outcome *o = ctx;

	o->called = true;
	snprintf(o->error, sizeof o->error, "%s", problem == NULL ? "" : problem);
}

static void
on_checked(void *ctx, int fd, const char *problem)
{
	struct outcome *o = ctx;

	o->called = true;
	o->fd = fd;
	snprintf(o->error, sizeof o->error, "%s", problem == NULL ? "" : problem);
}

static int
state_file(const char *text, size_t repeat)
{
	FILE *f = tmpfile();
	int fd;

	assert_non_null(f);
	for (size_t i = 0; i < repeat; i++)
		fputs(text, f);
	fflush(f);
	fd = dup(fileno(f));
	fclose(f);
	return fd;
}

static void
save(struct snapshots *s, uint64_t index, const char *text, size_t repeat, struct outcome *o)
{
	struct snapshot_meta meta = {.index = index,
	    .term = 3,
	    .time_ms = 1700000000000 + index,
	    .configuration_index = 1,
	    .log_id = "03b347af-2683-4cdb-b461-b3d274ab5148"};

	meta.configuration.count = 2;
	meta.configuration.members[0] = (struct member){{1, 2}, "127.0.0.1:8300", true, .life = UINT64_MAX - 4};
	meta.configuration.members[1] = (struct member){{3, 4}, "[::1]:8300", false};
	*o = (struct outcome){0};
	snapshots_save(s, state_file(text, repeat), &meta, on_saved, o);
	while (!o->called)
		ev_run(loop, EVRUN_ONCE);
}

static struct outcome
check(struct snapshots *s, size_t i)
{
	struct outcome o = {.fd = -1};

	snapshots_check(s, i, on_checked, &o);
	while (!o.called)
		ev_run(loop, EVRUN_ONCE);
	return o;
}

static int
fresh_directory(const char *name)
{
	assert_int_equal(mkdir(name, 0700), 0);
	return open(name, O_RDONLY | O_DIRECTORY);
}

static void
test_save_and_find(void **state)
{
	int dir = fresh_directory("find");
	struct snapshots *s = snapshots_open(loop, dir, false, error);
	const struct snapshot_meta *m;
	struct outcome o;
	struct stat st;
	char text[8];

	(void)state;
	assert_non_null(s);
	assert_int_equal(snapshots_count(s), 0);
	save(s, 100, "abc", 200000, &o);
	assert_string_equal(o.error, "");
	save(s, 200, "def", 1, &o);
	save(s, 300, "ghi", 1, &o);
	assert_int_equal(snapshots_count(s), SNAPSHOTS_KEPT);
	snapshots_free(s);
	/* found again; the oldest is gone */
	s = snapshots_open(loop, dir, false, error);
	assert_non_null(s);
	assert_null(snapshots_odd(s));
	assert_int_equal(snapshots_count(s), 2);
	m = snapshots_at(s, 0);
	assert_string_equal(m->id, "3-300-1700000000300");
	assert_int_equal(m->index, 300);
	assert_int_equal(m->term, 3);
	assert_int_equal(m->size_bytes, 3);
	assert_int_equal(m->configuration_index, 1);
	assert_string_equal(m->log_id, "03b347af-2683-4cdb-b461-b3d274ab5148");
	assert_int_equal(m->configuration.count, 2);
	assert_string_equal(m->configuration.members[1].address, "[::1]:8300");
	assert_false(m->configuration.members[1].voter);
	assert_true(m->configuration.members[0].id.low == 2);
	assert_true(m->configuration.members[0].life == UINT64_MAX - 4);
	assert_true(m->configuration.members[1].life == 0);
	assert_int_equal(snapshots_at(s, 1)->index, 200);
	assert_int_equal(fstatat(dir, "snapshots/3-100-1700000000100", &st, 0), -1);
	o = check(s, 0);
	assert_string_equal(o.error, "");
	assert_int_equal(read(o.fd, text, sizeof text), 3);
	assert_memory_equal(text, "ghi", 3);
	close(o.fd);
	snapshots_free(s);
	close(dir);
}

static void
test_damage(void **state)
{
	int dir = fresh_directory("damage"), fd;
	struct snapshots *s = snapshots_open(loop, dir, false, error);
	struct outcome o;

	(void)state;
	save(s, 7, "0123456789", 100000, &o);
	fd = openat(dir, "snapshots/3-7-1700000000007/state.bin", O_RDWR);
	assert_int_equal(pwrite(fd, "X", 1, 654321), 1);
	o = check(s, 0);
	assert_int_equal(o.fd, -1);
	assert_non_null(strstr(o.error, "3-7-1700000000007"));
	assert_non_null(strstr(o.error, "damaged"));
	assert_int_equal(pwrite(fd, "1", 1, 654321), 1);
	o = check(s, 0);
	assert_string_equal(o.error, "");
	close(o.fd);
	assert_int_equal(ftruncate(fd, 999999), 0);
	assert_int_equal(check(s, 0).fd, -1);
	close(fd);
	assert_int_equal(unlinkat(dir, "snapshots/3-7-1700000000007/state.bin", 0), 0);
	assert_int_equal(check(s, 0).fd, -1);
	snapshots_free(s);
	close(dir);
}

static void
test_unfinished_and_foreign(void **state)
{
	int dir = fresh_directory("odd"), fd;
	struct snapshots *s = snapshots_open(loop, dir, false, error);
	struct outcome o;
	struct stat st;

	(void)state;
	save(s, 5, "five", 1, &o);
	snapshots_free(s);
	/* what a crash leaves, and somebody else's directory */
	assert_int_equal(mkdirat(dir, "snapshots/3-9-1700000000009.tmp", 0700), 0);
	fd = openat(dir, "snapshots/3-9-1700000000009.tmp/state.bin", O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(mkdirat(dir, "snapshots/2-4-1600000000000", 0700), 0);
	fd = openat(dir, "snapshots/2-4-1600000000000/meta.json", O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "{\"Version\":1,\"ID\":\"2-4-1600000000000\",\"Index\":4}", 48), 48);
	close(fd);
	s = snapshots_open(loop, dir, false, error);
	assert_int_equal(snapshots_count(s), 1);
	assert_int_equal(snapshots_at(s, 0)->index, 5);
	assert_string_equal(snapshots_odd(s), "snapshots/2-4-1600000000000");
	assert_int_equal(fstatat(dir, "snapshots/3-9-1700000000009.tmp", &st, 0), -1);
	/* one that can't be written leaves nothing and says why */
	assert_int_equal(mkdirat(dir, "snapshots/3-6-1700000000006.tmp", 0700), 0);
	save(s, 6, "six", 1, &o);
	assert_non_null(strstr(o.error, "File exists"));
	assert_int_equal(snapshots_count(s), 1);
	snapshots_free(s);
	close(dir);
}

/* ---- receiving ---- */

static struct snapshot_meta
announced(uint64_t index, const char *text)
{
	struct snapshot_meta meta = {.index = index,
	    .term = 4,
	    .time_ms = 1700000000000 + index,
	    .configuration_index = 2,
	    .log_id = "03b347af-2683-4cdb-b461-b3d274ab5148",
	    .size_bytes = strlen(text),
	    .crc = crc32c(0, text, strlen(text))};

	meta.configuration.count = 1;
	meta.configuration.members[0] = (struct member){{1, 2}, "127.0.0.1:8300", true, .life = UINT64_MAX - 4};
	return meta;
}

static void
receive_end(struct snapshots *s, struct outcome *o)
{
	*o = (struct outcome){0};
	snapshots_receive_end(s, on_saved, o);
	while (!o->called)
		ev_run(loop, EVRUN_ONCE);
}

static void
test_receive(void **state)
{
	static const char text[] = "what another server has";
	int dir = fresh_directory("receive");
	struct snapshots *s = snapshots_open(loop, dir, false, error);
	struct snapshot_meta meta = announced(50, text);
	struct outcome o;
	char read_back[64];

	(void)state;
	save(s, 10, "own", 1, &o);
	assert_int_equal(snapshots_receive_begin(s, &meta, error), 0);
	assert_int_equal(snapshots_receive_chunk(s, 0, bytes_of(text, 7), error), 0);
	/* a gap, an overlap, and more than was announced: refused, and it goes on */
	assert_int_equal(snapshots_receive_chunk(s, 8, bytes_of(text + 8, 2), error), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(snapshots_receive_chunk(s, 6, bytes_of(text + 6, 2), error), -1);
	assert_int_equal(snapshots_receive_chunk(s, 7, bytes_of(text + 7, strlen(text) - 6), error), -1);
	assert_int_equal(snapshots_received(s), 7);
	/* sent again */
	assert_int_equal(snapshots_receive_chunk(s, 2, bytes_of(text + 2, 5), error), 0);
	assert_int_equal(snapshots_received(s), 7);
	/* a snapshot of our own may be taken meanwhile */
	save(s, 20, "own again", 1, &o);
	assert_string_equal(o.error, "");
	assert_int_equal(snapshots_receive_chunk(s, 7, bytes_of(text + 7, strlen(text) - 7), error), 0);
	receive_end(s, &o);
	assert_string_equal(o.error, "");
	assert_int_equal(snapshots_count(s), SNAPSHOTS_KEPT);
	assert_int_equal(snapshots_at(s, 0)->index, 50);
	assert_true(snapshots_at(s, 0)->received);
	assert_int_equal(snapshots_at(s, 0)->configuration_index, 2);
	assert_false(snapshots_at(s, 1)->received);
	o = check(s, 0);
	assert_string_equal(o.error, "");
	assert_int_equal(read(o.fd, read_back, sizeof read_back), (int)strlen(text));
	assert_memory_equal(read_back, text, strlen(text));
	assert_int_equal(write(o.fd, "x", 1), -1); /* whoever gets it can only read */
	close(o.fd);
	/* not older than what is there */
	assert_int_equal(snapshots_receive_begin(s, &meta, error), -1);
	assert_int_equal(errno, EEXIST);
	snapshots_free(s);
	s = snapshots_open(loop, dir, false, error);
	assert_int_equal(snapshots_count(s), 2);
	assert_true(snapshots_at(s, 0)->received);
	snapshots_free(s);
	close(dir);
}

static void
test_receive_wrong(void **state)
{
	int dir = fresh_directory("wrong");
	struct snapshots *s = snapshots_open(loop, dir, false, error);
	struct snapshot_meta meta = announced(5, "abcdef");
	struct outcome o;
	struct stat st;

	(void)state;
	/* too short, and with another checksum */
	assert_int_equal(snapshots_receive_begin(s, &meta, error), 0);
	assert_int_equal(snapshots_receive_chunk(s, 0, bytes_of("abc", 3), error), 0);
	receive_end(s, &o);
	assert_non_null(strstr(o.error, "3 of 6 bytes"));
	assert_int_equal(snapshots_receive_begin(s, &meta, error), 0);
	assert_int_equal(snapshots_receive_chunk(s, 0, bytes_of("abcdeX", 6), error), 0);
	receive_end(s, &o);
	assert_non_null(strstr(o.error, "checksum"));
	assert_int_equal(snapshots_count(s), 0);
	/* given up, by us and by a new beginning; nothing stays */
	assert_int_equal(snapshots_receive_begin(s, &meta, error), 0);
	assert_int_equal(fstatat(dir, "snapshots/4-5-1700000000005.tmp", &st, 0), 0);
	snapshots_receive_abort(s);
	assert_int_equal(fstatat(dir, "snapshots/4-5-1700000000005.tmp", &st, 0), -1);
	assert_int_equal(snapshots_receive_begin(s, &meta, error), 0);
	meta = announced(6, "abcdef");
	assert_int_equal(snapshots_receive_begin(s, &meta, error), 0);
	assert_int_equal(fstatat(dir, "snapshots/4-5-1700000000005.tmp", &st, 0), -1);
	snapshots_receive_abort(s);
	assert_int_equal(snapshots_receive_chunk(s, 0, bytes_of("abc", 3), error), -1);
	/* sizes that nobody means */
	meta.size_bytes = SNAPSHOT_STATE_BYTES_MAX + 1;
	assert_int_equal(snapshots_receive_begin(s, &meta, error), -1);
	assert_int_equal(errno, EFBIG);
	meta.term = 0;
	assert_int_equal(snapshots_receive_begin(s, &meta, error), -1);
	assert_int_equal(errno, EINVAL);
	/* an empty state is one, too */
	meta = announced(7, "");
	assert_int_equal(snapshots_receive_begin(s, &meta, error), 0);
	receive_end(s, &o);
	assert_string_equal(o.error, "");
	assert_int_equal(snapshots_at(s, 0)->size_bytes, 0);
	snapshots_free(s);
	close(dir);
}

/* What a crash leaves of a reception is gone at the next start. */
static void
test_receive_interrupted(void **state)
{
	int dir = fresh_directory("interrupted");
	struct snapshots *s = snapshots_open(loop, dir, false, error);
	struct snapshot_meta meta = announced(5, "abcdef");
	struct stat st;

	(void)state;
	assert_int_equal(snapshots_receive_begin(s, &meta, error), 0);
	assert_int_equal(snapshots_receive_chunk(s, 0, bytes_of("abcdef", 6), error), 0);
	snapshots_free(s);
	s = snapshots_open(loop, dir, false, error);
	assert_int_equal(snapshots_count(s), 0);
	assert_null(snapshots_odd(s));
	assert_int_equal(fstatat(dir, "snapshots/4-5-1700000000005.tmp", &st, 0), -1);
	snapshots_free(s);
	close(dir);
}

static void
test_fit(void **state)
{
	struct snapshot_meta taken = {.index = 8, .term = 2}, received = {.index = 8, .term = 2, .received = true},
			     none = {0};
	struct terms log;

	(void)state;
	terms_init(&log, 0, 0);
	assert_int_equal(snapshot_fit(NULL, &log), SNAPSHOT_FITS);
	assert_int_equal(snapshot_fit(&none, &log), SNAPSHOT_FITS);
	assert_int_equal(snapshot_fit(&taken, &log), SNAPSHOT_LOG_SHORT);
	assert_int_equal(snapshot_fit(&received, &log), SNAPSHOT_AHEAD);
	terms_append(&log, 2, 8);
	assert_int_equal(snapshot_fit(&taken, &log), SNAPSHOT_FITS);
	assert_int_equal(snapshot_fit(&received, &log), SNAPSHOT_FITS);
	taken.term = received.term = 3; /* another entry */
	assert_int_equal(snapshot_fit(&taken, &log), SNAPSHOT_LOG_SHORT);
	assert_int_equal(snapshot_fit(&received, &log), SNAPSHOT_AHEAD);
	terms_free(&log);
	terms_init(&log, 8, 3);
	assert_int_equal(snapshot_fit(NULL, &log), SNAPSHOT_TOO_OLD);
	assert_int_equal(snapshot_fit(&none, &log), SNAPSHOT_TOO_OLD);
	assert_int_equal(snapshot_fit(&taken, &log), SNAPSHOT_FITS);
	terms_init(&log, 9, 3);
	assert_int_equal(snapshot_fit(&taken, &log), SNAPSHOT_TOO_OLD);
	assert_int_equal(snapshot_fit(&received, &log), SNAPSHOT_TOO_OLD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_save_and_find), cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_unfinished_and_foreign), cmocka_unit_test(test_receive),
	    cmocka_unit_test(test_receive_wrong), cmocka_unit_test(test_receive_interrupted),
	    cmocka_unit_test(test_fit)};
	int failed;

	loop = ev_default_loop(0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	ev_loop_destroy(loop);
	return failed;
}

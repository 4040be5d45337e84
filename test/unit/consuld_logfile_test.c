/*
 * consuld_logfile_test.c - the log file: names, rotation, pruning, reopening
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "logfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

static char directory[64];

static int
set_up(void **state)
{
	(void)state;
	strcpy(directory, "logfile_test.XXXXXX");
	return mkdtemp(directory) == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	char path[512];
	struct dirent *entry;
	DIR *d = opendir(directory);

	(void)state;
	while (d != NULL && (entry = readdir(d)) != NULL) {
		snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
		(void)unlink(path);
	}
	if (d != NULL)
		closedir(d);
	return rmdir(directory);
}

static size_t
count_files(const char *prefix)
{
	struct dirent *entry;
	DIR *d = opendir(directory);
	size_t count = 0;

	while ((entry = readdir(d)) != NULL)
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			count++;
	closedir(d);
	return count;
}

static void
assert_content(const char *name, const char *expected)
{
	char path[512], text[4096];
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	fd = open(path, O_RDONLY);
	assert_int_not_equal(fd, -1);
	got = read(fd, text, sizeof text - 1);
	close(fd);
	text[got < 0 ? 0 : got] = '\0';
	assert_string_equal(text, expected);
}

static struct logfile *
open_log(const char *name, int64_t bytes, int64_t files)
{
	char path[512];
	const char *failed;
	struct logfile_options options = {.path = path, .rotate_bytes = bytes, .files_max = files};
	struct logfile *f;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	f = logfile_open(&options, &failed);
	assert_non_null(f);
	return f;
}

static void
put(struct logfile *f, const char *line)
{
	logfile_write(f, bytes_str(line));
	logfile_flush(f);
}

static void
test_directory_means_consul_log(void **state)
{
	struct logfile *f = open_log("", 0, 0);
	struct stat st;
	char path[512];

	(void)state;
	put(f, "one\n");
	assert_content("consul.log", "one\n");
	snprintf(path, sizeof path, "%s/consul.log", directory);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	logfile_close(f);
}

/* The size is judged before a line: the line that passes the limit still goes into the old file. */
static void
test_rotation_by_size(void **state)
{
	struct logfile *f = open_log("a.log", 8, 0);

	(void)state;
	put(f, "1234\n");
	put(f, "5678\n");
	assert_content("a.log", "1234\n5678\n");
	put(f, "9\n");
	assert_content("a.log", "9\n");
	assert_int_equal(count_files("a-"), 1);
	logfile_close(f);
}

static void
test_name_without_extension(void **state)
{
	struct logfile *f = open_log("plain", 1, 0);
	struct dirent *entry;
	DIR *d;
	bool seen = false;

	(void)state;
	put(f, "1\n");
	put(f, "2\n");
	assert_content("plain", "2\n");
	d = opendir(directory);
	while ((entry = readdir(d)) != NULL)
		if (strncmp(entry->d_name, "plain-", 6) == 0) {
			seen = true;
			assert_string_equal(entry->d_name + strlen(entry->d_name) - 4, ".log");
		}
	closedir(d);
	assert_true(seen);
	logfile_close(f);
}

/* Old ones go, those of others with a like name stay. */
static void
test_pruning(void **state)
{
	struct logfile *f;
	char path[512];

	(void)state;
	snprintf(path, sizeof path, "%s/a-backup.log", directory);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	f = open_log("a.log", 1, 2);
	for (int i = 0; i < 6; i++)
		put(f, "x\n");
	assert_int_equal(count_files("a-1"), 2); /* wall time in nanoseconds begins with 1 until 2033 */
	assert_int_equal(count_files("a-backup"), 1);
	logfile_close(f);
	f = open_log("a.log", 1, -1);
	assert_int_equal(count_files("a-1"), 0);
	logfile_close(f);
}

static void
test_reopen_after_rename(void **state)
{
	struct logfile *f = open_log("a.log", 0, 0);
	char from[512], to[512];

	(void)state;
	put(f, "1\n");
	snprintf(from, sizeof from, "%s/a.log", directory);
	snprintf(to, sizeof to, "%s/a.log.1", directory);
	assert_int_equal(rename(from, to), 0);
	put(f, "2\n");
	logfile_reopen(f);
	put(f, "3\n");
	assert_content("a.log.1", "1\n2\n");
	assert_content("a.log", "3\n");
	logfile_close(f);
}

static void
test_failure_names_the_path(void **state)
{
	const char *failed;
	struct logfile_options options = {.path = "/nonexistent/x/y.log"};

	(void)state;
	assert_null(logfile_open(&options, &failed));
	assert_string_equal(failed, "/nonexistent/x/y.log");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_directory_means_consul_log, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_rotation_by_size, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_name_without_extension, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_pruning, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_reopen_after_rename, set_up, tear_down),
	    cmocka_unit_test(test_failure_names_the_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

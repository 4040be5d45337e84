/*
 * catalogd_archive_fuzz.c - any bytes as an archive of the state: refused, or read in pieces of any size to the same rows, which make an archive again
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive_form.h"
#include "mem.h"

static void
check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "catalogd_archive_fuzz: %s\n", what);
	abort();
}

static struct store *
scratch_store(void)
{
	static char dir[] = "/tmp/catalogd_fuzz.XXXXXX";
	struct store_options options = {.directory = mkdtemp(dir), .map_bytes = 1u << 28};
	char error[STORE_ERROR_MAX];
	struct store *s;

	check(store_open(&options, &s, error) == STORE_OPENED, error);
	check(store_erase(dir) == 0, "erase"); /* it lives on without names */
	(void)rmdir(dir);
	return s;
}

static int
file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	check(fd != -1 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0, "memfd");
	return fd;
}

/* Reads fd into t. Returns what the last step said. */
static int
read_all(struct store_txn *t, int fd, size_t piece)
{
	struct archive_reader *r = archive_reader_new(fd);
	char error[STORE_ERROR_MAX] = "";
	int more;

	do
		more = archive_reader_step(r, t, piece, error);
	while (more == 1);
	check(more == 0 || error[0] != '\0', "refused without a reason");
	archive_reader_free(r);
	return more;
}

static uint64_t
rows(struct store_txn *t)
{
	uint64_t count = 0;

	for (size_t i = 0; i < STORE_TABLE_COUNT; i++)
		count += i == STORE_META ? 0 : store_count(t, (enum store_table)i);
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct store *store;
	char error[STORE_ERROR_MAX];
	struct store_state state = {.applied_index = 1, .applied_term = 1};
	struct store_txn *t;
	uint64_t count;
	int first, out;

	if (store == NULL)
		store = scratch_store();
	t = store_write(store, error);
	first = read_all(t, file_of(data, size), 1);
	count = rows(t);
	if (first == 0) {
		out = memfd_create("again", MFD_CLOEXEC);
		check(archive_write(t, &state, out) == 0, "what was read can not be written");
		check(lseek(out, 0, SEEK_SET) == 0, "seek");
		check(read_all(t, out, 1u << 20) == 0, "what was written can not be read");
		check(rows(t) == count, "other rows");
	}
	store_abort(t);
	return 0;
}

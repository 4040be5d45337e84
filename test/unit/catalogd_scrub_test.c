/*
 * catalogd_scrub_test.c - a store that lost records without a wrong checksum is not taken for whole
 */
#include "scrub.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem.h"

#define RECORDS 300
#define PAGE_BYTES 4096
#define LEAF 0x02 /* LMDB's page flag, at 10; the upper end of the record places stands at 12 */

static char dir[64];
static char error[STORE_ERROR_MAX];

static struct store *
open_store(void)
{
	struct store *s;

	assert_int_equal(
	    store_open(&(struct store_options){.directory = dir, .map_bytes = UINT64_C(1) << 28}, &s, error),
	    STORE_OPENED);
	store_started(s);
	return s;
}

static int
setup(void **state)
{
	struct store *s;
	struct store_txn *t;

	(void)state;
	snprintf(dir, sizeof dir, "/tmp/catalogd_scrub.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	s = open_store();
	t = store_write(s, error);
	assert_non_null(t);
	for (unsigned i = 0; i < RECORDS; i++) {
		char key[600];

		/* every tenth key is folded: those come in no order, and that is no damage */
		memset(key, 'k', sizeof key);
		snprintf(key, sizeof key, "key/%04u", i);
		key[8] = i % 10 == 0 ? 'x' : '\0';
		store_put(t, STORE_KVS, bytes_of(key, i % 10 == 0 ? sizeof key : 8), bytes_str("value"));
	}
	assert_int_equal(store_commit(t, error), STORE_DONE);
	store_close(s, true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	assert_int_equal(store_erase(dir), 0);
	return rmdir(dir);
}

static void
test_a_whole_store(void **state)
{
	struct store *s = open_store();

	(void)state;
	assert_int_equal(scrub_whole(s, SCRUB_START_RECORDS_MAX, error), 0);
	store_close(s, false);
}

/* The last record of each leaf page is cut off: what is left has good checksums in good order. */
static void
test_hidden_records(void **state)
{
	char path[128];
	uint8_t page[PAGE_BYTES];
	unsigned cut = 0;
	struct store *s;
	int fd;

	(void)state;
	snprintf(path, sizeof path, "%s/data.mdb", dir);
	fd = open(path, O_RDWR);
	assert_int_not_equal(fd, -1);
	for (off_t at = 2 * PAGE_BYTES; pread(fd, page, sizeof page, at) == PAGE_BYTES; at += PAGE_BYTES) {
		uint16_t flags, lower;

		memcpy(&flags, page + 10, 2);
		memcpy(&lower, page + 12, 2);
		if ((flags & LEAF) == 0 || lower < 16 + 4 * 2 || memmem(page, sizeof page, "key/", 4) == NULL)
			continue;
		lower = (uint16_t)(lower - 2);
		assert_int_equal(pwrite(fd, &lower, 2, at + 12), 2);
		cut++;
	}
	close(fd);
	assert_true(cut > 0);
	s = open_store();
	assert_int_equal(scrub_whole(s, SCRUB_START_RECORDS_MAX, error), -1);
	assert_non_null(strstr(error, "kvs"));
	/* a store over the bound is left to the slow round */
	assert_int_equal(scrub_whole(s, RECORDS / 2, error), 0);
	store_close(s, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_whole_store, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hidden_records, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * catalogd_store_fixture.h - a directory for a store that the test opens itself
 */
#ifndef CATALOGD_STORE_FIXTURE_H
#define CATALOGD_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem.h"
#include "store.h"

static char dir[64];
static char error[STORE_ERROR_MAX];

#define B(text) bytes_str(text)

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/catalogd_test.XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	assert_int_equal(store_erase(dir), 0);
	return rmdir(dir);
}

static enum store_open_status
try_open(struct store **s)
{
	return store_open(&(struct store_options){.directory = dir, .map_bytes = UINT64_C(1) << 28}, s, error);
}

#endif

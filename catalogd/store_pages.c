/*
 * store_pages.c - does LMDB's own bookkeeping of pages hold together? (contract: store_pages.h; caller: store.c)
 *
 * A flipped bit in a root or branch can lead to an older copy of a page, whose records are in order and have good checksums; one in the free list
 * makes LMDB write over a page that is in use, later. Either way a page with records is in the free list, or was: so all pages that records
 * stand in are looked up there. Each page begins with its own number (8 bytes), which tells where it should lie.
 */
#include "store_pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define FREE_TABLE ((MDB_dbi)0) /* LMDB's own: transaction -> count, page numbers */
#define PAGES_FIRST 2           /* behind the two meta pages */
#define KIND_AT 10              /* in a page's head: 2 bytes, of which nothing else may be set */
#define KIND_LEAF 2u
#define KIND_OVERFLOW 4u

struct pages {
	uint8_t *free; /* a bit for each page */
	size_t last;
	size_t page_bytes;
	const uint8_t *base; /* of the map; NULL: not known yet */
	const char *what;    /* is wrong; NULL: nothing */
	size_t page;         /* which */
};

static int
wrong(struct pages *p, const char *what, size_t page)
{
	p->what = what;
	p->page = page;
	return -1;
}

static int
free_add(struct pages *p, MDB_val list)
{
	size_t count, page;

	if (list.mv_size < sizeof count)
		return wrong(p, "the free list is cut", 0);
	memcpy(&count, list.mv_data, sizeof count);
	if (count > list.mv_size / sizeof page - 1)
		return wrong(p, "the free list is cut", count);
	for (size_t i = 0; i < count; i++) {
		memcpy(&page, (const uint8_t *)list.mv_data + (i + 1) * sizeof page, sizeof page);
		if (page < PAGES_FIRST || page > p->last)
			return wrong(p, "the free list has a page that is none", page);
		if ((p->free[page / 8] & 1u << page % 8) != 0)
			return wrong(p, "the free list has a page twice", page);
		p->free[page / 8] |= (uint8_t)(1u << page % 8);
	}
	return 0;
}

/* at: somewhere in a page of the map, which should be of this kind. */
static int
page_check(struct pages *p, const uint8_t *at, unsigned kind)
{
	const uint8_t *start = (const uint8_t *)((uintptr_t)at & ~(uintptr_t)(p->page_bytes - 1));
	uint16_t kind_found;
	size_t page;

	memcpy(&page, start, sizeof page);
	memcpy(&kind_found, start + KIND_AT, sizeof kind_found);
	if (kind_found != kind)
		return wrong(p, "a page is of another kind", page);
	if (page < PAGES_FIRST || page > p->last)
		return wrong(p, "a page has a number that is none", page);
	if (p->base == NULL)
		p->base = start - page * p->page_bytes;
	if (start != p->base + page * p->page_bytes)
		return wrong(p, "a page stands in the place of another", page);
	return (p->free[page / 8] & 1u << page % 8) == 0 ? 0
							 : wrong(p, "a page with records is in the free list", page);
}

/* 0, -1 after wrong, or an error of LMDB's. */
static int
table_walk(struct pages *p, MDB_txn *txn, MDB_dbi table)
{
	const uint8_t *last = NULL;
	MDB_cursor *cursor;
	MDB_val key = {0, NULL}, value = {0, NULL};
	int error = mdb_cursor_open(txn, table, &cursor);

	if (error != 0)
		return error;
	while (error == 0 && (error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		const uint8_t *page = (const uint8_t *)((uintptr_t)key.mv_data & ~(uintptr_t)(p->page_bytes - 1));

		if (table == FREE_TABLE)
			error = free_add(p, value);
		else if (page != last) /* most records share their page with the one before */
			error = page_check(p, key.mv_data, KIND_LEAF);
		if (error == 0 && table != FREE_TABLE &&
		    (size_t)((const uint8_t *)value.mv_data - page) >= p->page_bytes)
			error = page_check(p, value.mv_data, KIND_OVERFLOW);
		last = page;
	}
	mdb_cursor_close(cursor);
	return error == MDB_NOTFOUND ? 0 : error;
}

int
store_pages_check(MDB_txn *txn, const MDB_dbi *tables, size_t count, char error[STORE_ERROR_MAX])
{
	struct pages p = {.free = NULL};
	MDB_envinfo info;
	MDB_stat stat_of_env;
	int failed;

	if ((failed = mdb_env_info(mdb_txn_env(txn), &info)) != 0 ||
	    (failed = mdb_env_stat(mdb_txn_env(txn), &stat_of_env)) != 0) {
		snprintf(error, STORE_ERROR_MAX, "pages: %s", mdb_strerror(failed));
		return -1;
	}
	p.last = info.me_last_pgno;
	p.page_bytes = stat_of_env.ms_psize;
	p.free = xcalloc(p.last / 8 + 1, 1);
	failed = table_walk(&p, txn, FREE_TABLE);
	for (size_t i = 0; failed == 0 && i < count; i++)
		failed = table_walk(&p, txn, tables[i]);
	free(p.free);
	if (p.what != NULL)
		snprintf(error, STORE_ERROR_MAX, "pages: %s: page=%zu", p.what, p.page);
	else if (failed != 0)
		snprintf(error, STORE_ERROR_MAX, "pages: %s", mdb_strerror(failed));
	return failed == 0 ? 0 : -1;
}

/*
 * store_pages.h - does LMDB's own bookkeeping of pages hold together? It has no checksums, and those of the records do not cover it
 */
#ifndef CATALOGD_STORE_PAGES_H
#define CATALOGD_STORE_PAGES_H

#include <lmdb.h>

#include "store.h"

/*
 * txn: of a reader; tables: what records are in. -1: error says what is wrong: a page that is both in use and free (a number in the free list, or a
 * place in the tree, is not what was written), a page that stands in another one's place, or a free list that can not be.
 */
MUST_USE int store_pages_check(MDB_txn *txn, const MDB_dbi *tables, size_t count, char error[STORE_ERROR_MAX]);

#endif

/*
 * store_internal.h - what store.c and store_open.c share
 */
#ifndef CATALOGD_STORE_INTERNAL_H
#define CATALOGD_STORE_INTERNAL_H

#include <lmdb.h>

#include "store.h"

struct store_txn {
	struct store *store;
	MDB_txn *txn;    /* where reads and writes go: the child while nested */
	MDB_txn *parent; /* not NULL: nested */
	bool open;
	bool writing;
	bool state_changed;
	enum store_result result;
	char error[STORE_ERROR_MAX];
	struct store_state state, state_before_nest;
	bool state_changed_before_nest;
};

struct store {
	MDB_env *env;
	MDB_dbi dbi[STORE_TABLE_COUNT];
	char *directory;
	struct store_state state; /* as committed */
	struct store_txn read, write;
	MDB_cursor *spare[STORE_TABLE_COUNT]; /* one read cursor for each table, kept for the next scan */
	struct buf name;
	void (*counter)(void *ctx, struct bytes name, bool changed);
	void *counter_ctx;
	size_t last_page; /* up to which the file is known to be long enough */
	bool keeps_marks; /* a store of our own, not a copy that is only read */
};

/* What an error of LMDB or of the system means to the store. */
enum store_result store_result_of(int error);
/* After a commit: the file is as long as it says. */
void store_open_lengthen(struct store *s);

#endif

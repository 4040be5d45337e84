/*
 * store_file.h - the files around the store: marks of a start, of damage, and the store's word on itself (consuld-store.5)
 */
#ifndef CATALOGD_STORE_FILE_H
#define CATALOGD_STORE_FILE_H

#include "store.h"

#define STORE_FILE_BOOT_MAX 64

struct store_file_state {
	struct store_state state;
	bool clean; /* synced, and nothing was written since */
	char boot_id[STORE_FILE_BOOT_MAX];
};

/* The record "state" of table meta. -1: of another format. */
MUST_USE int store_file_state_get(struct bytes value, struct store_file_state *out);
/* Writes it in t. -1: t has failed. */
int store_file_state_put_record(struct store_txn *t, const struct store_state *state, bool clean);
/* The kernel's identity of this boot; "unknown" where there is none. */
void store_file_boot_id(char out[STORE_FILE_BOOT_MAX]);

/* A start begins. -1: earlier ones died in it, or found damage: rebuild (error says why). */
MUST_USE int store_file_start(const char *directory, char error[STORE_ERROR_MAX]);
void store_file_started(const char *directory);
void store_file_damaged(const char *directory);
/*
 * From now on a death of this process by SIGSEGV, SIGBUS or SIGABRT is counted beside the store: what a damaged page does to LMDB may come late,
 * when a reader or an entry of the log touches it. The second one means rebuild, unless a clean stop was between them.
 */
void store_file_count_crashes(const char *directory);
void store_file_forget_crashes(const char *directory);
/* Removes all of them, the store included. 0 or -1 with errno. */
MUST_USE int store_file_erase(const char *directory);

#endif

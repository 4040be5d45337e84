/*
 * dump.h - the whole state as text, the same bytes for the same state (consuld-store.5)
 *
 * What LMDB makes of it (pages, free space, folded keys, checksums) does not show, nor when and in which boot it was written: two stores that are
 * the outcome of the same entries give the same dump, however they came to it.
 */
#ifndef CATALOGD_DUMP_H
#define CATALOGD_DUMP_H

#include "sha256.h"
#include "store.h"

#define DUMP_FORMAT 1

/*
 * Writes the state that t sees to fd; the last line is the SHA-256 of all before it, which is also put into digest. 0, or -1 with errno (EBADMSG:
 * the store can not be read; store_txn_result says why).
 */
MUST_USE int dump_write(struct store_txn *t, int fd, char digest[SHA256_TEXT_MAX]);

#endif

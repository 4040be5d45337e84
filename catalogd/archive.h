/*
 * archive.h - the whole state as a file: made for raftd, read back when the store is made again
 */
#ifndef CATALOGD_ARCHIVE_H
#define CATALOGD_ARCHIVE_H

#include <stdbool.h>

#include "catalogd.h"
#include "store.h"

struct archive;

MUST_USE struct archive *archive_new(struct catalogd *c);
void archive_free(struct archive *a);
/* Handler of Store.Snapshot: has the helper make one and answers with its descriptor. */
void archive_snapshot(struct archive *a, struct ipc_stream *s);

typedef void archive_done(void *ctx, bool good, const char *error);
/*
 * Fills the store, which is empty, from fd (owned from now on), a piece in each loop turn, and makes index and term its applied position. done comes from
 * the loop.
 */
void archive_restore(struct archive *a, int fd, uint64_t index, uint64_t term, archive_done *done, void *ctx);

#endif

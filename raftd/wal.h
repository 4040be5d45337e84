/*
 * wal.h - raftd's log on disk: batches of entries, durable when wal_sync() or wal_synced() says so
 *
 * One loop, one writer (the directory is locked). Sizes are bytes, indexes are Raft's. Data passed in is copied before the call
 * returns. Format and promises: raftd-wal(5).
 *
 * A batch is begun, filled and written; then it must be made durable before the next one is begun. An entry with an index
 * that the log has already replaces that entry and all behind it (Raft's conflict rule).
 *
 * All file access goes through a table, so that tests can count, fail, lose and reorder each operation.
 */
#ifndef RAFTD_WAL_H
#define RAFTD_WAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cdefs.h"
#include "terms.h"
#include "wal_format.h"

#define WAL_BATCH_BYTES_MAX (64u * 1024 * 1024)
#define WAL_ERROR_MAX 768

/* Entry types; the log itself only knows where configurations are. */
enum wal_entry_type { WAL_NOOP = 0, WAL_DATA = 1, WAL_CONFIGURATION = 2 };

/* How a file is opened; WAL_IO_CREATE: for writing, and it must not be there yet. */
enum wal_io_mode { WAL_IO_READ, WAL_IO_WRITE, WAL_IO_CREATE };

/*
 * One directory, for the log and for snapshots (snapshot_store.h). All return -1 with errno on failure. The log's names have no
 * slash; a name of the form "a/b" is that of a file in a directory below. directory: the name of one below, NULL: this one.
 */
struct wal_io {
	int (*lock)(void *ctx); /* EWOULDBLOCK: another process has it */
	int (*list)(void *ctx, const char *directory, void (*each)(void *arg, const char *name), void *arg);
	int (*open)(void *ctx, const char *name, enum wal_io_mode mode);
	void (*close)(void *ctx, int fd);
	int (*size)(void *ctx, int fd, uint64_t *bytes);
	int (*allocate)(void *ctx, int fd, uint64_t bytes); /* the file reads as zeros, its space is reserved */
	ssize_t (*read)(void *ctx, int fd, void *out, size_t size, uint64_t offset);
	ssize_t (*write)(void *ctx, int fd, const void *data, size_t size, uint64_t offset);
	int (*sync)(void *ctx, int fd);
	int (*sync_directory)(void *ctx, const char *directory);
	int (*rename)(void *ctx, const char *from, const char *to); /* within one directory */
	int (*unlink)(void *ctx, const char *name);
	int (*make_directory)(void *ctx, const char *name);
	int (*remove_directory)(void *ctx, const char *name); /* empty */
	void *ctx;
};

/* The real thing. dirfd is borrowed: it must stay open as long as the table is used. */
struct wal_io wal_io_directory(const int *dirfd);

struct wal_options {
	struct wal_io io;
	const char *path; /* of the directory, for messages only */
	uint32_t
	    segment_bytes; /* of new segments; a batch that needs more gets a larger one. Multiple of WAL_BLOCK_BYTES */
	bool no_sync;      /* development: a loss of power loses everything */
};

struct wal;

/*
 * Opens the log, cuts off a torn last batch, and makes durable what it found. A new log gets a fresh random ID.
 * NULL: errno, and error says what is wrong, where, and what to do.
 *	EWOULDBLOCK	another raftd has it: try again
 *	EBADMSG		damage: acknowledged writes are gone; nothing was changed, do not start
 *	ENOENT		there is no log and create is false
 */
MUST_USE struct wal *wal_open(const struct wal_options *o, bool create, char error[WAL_ERROR_MAX]);
/* Frees w (may be NULL). What is not synced may be lost. */
void wal_close(struct wal *w);

const uint8_t *wal_id(const struct wal *w); /* WAL_ID_BYTES */
/* Which entries there are, and their terms; valid until the next change. */
const struct terms *wal_terms(const struct wal *w);
/* Hard state: the last one written. vote is all zero: none in this term. */
uint64_t wal_term(const struct wal *w);
const uint8_t *wal_vote(const struct wal *w);
/* Index of the last configuration entry up to limit; 0: none in the log. */
uint64_t wal_configuration_index(const struct wal *w, uint64_t limit);
/* At least as many bytes as the data of this entry has, which must be in the log (else panic); mostly hardly more. */
uint32_t wal_entry_bytes(const struct wal *w, uint64_t index);
/* What the opening cut off, as a text for the log; NULL: nothing. */
const char *wal_torn(const struct wal *w);
size_t wal_segment_count(const struct wal *w);
uint64_t wal_size_bytes(const struct wal *w);

/* ---- writing ---- */

/*
 * Makes sure that a batch with so many entries and data bytes can be written, preallocating a segment if it must.
 * -1: it can not (ENOSPC, EDQUOT, ...); nothing has changed.
 */
MUST_USE int wal_reserve(struct wal *w, size_t entries, size_t data_bytes);
/* Preallocates the next segment, so that wal_reserve need not. For idle moments; failure will show in wal_reserve. */
void wal_prepare(struct wal *w);

/* The former batch must be durable (else panic). term never falls. vote: WAL_ID_BYTES. */
void wal_batch_begin(struct wal *w, uint64_t term, const uint8_t *vote);
/* Indexes ascend by one within a batch; the first may lie anywhere behind the base up to last + 1 (else panic). */
void wal_batch_entry(struct wal *w, uint64_t index, uint64_t term, uint8_t type, struct bytes data);
/*
 * Writes the batch. ENOSPC, EDQUOT: nothing was kept, begin it again later. Other errors: the log's state on disk is
 * unknown; exit, the next start finds out.
 */
MUST_USE int wal_batch_write(struct wal *w);
/* Writes a sync mark, unless the log ends in one. Errors as with wal_batch_write. */
MUST_USE int wal_mark(struct wal *w);
/*
 * Writes that the log is empty and its base is this entry: all others are gone, and the next one is index + 1. The hard state stays,
 * unless its term is below that of the entry: then it is that term without a vote. To be called when a snapshot up to the entry is
 * durable, and only then. Like a batch in all else; when it is durable, wal_drop removes what the old segments take.
 */
MUST_USE int wal_reset(struct wal *w, uint64_t index, uint64_t term);
/*
 * A snapshot up to this entry has come from another server and is durable. If the log has the entry, with that term, or its base is behind
 * it, nothing is done: what follows the entry stays, and wal_drop removes the rest. Else wal_reset.
 */
MUST_USE int wal_snapshot(struct wal *w, uint64_t index, uint64_t term);

/* Something was written that is not durable. */
bool wal_needs_sync(const struct wal *w);
/* Syncs here and now. Acknowledge nothing before this returned 0. After -1 exit: the pages may be gone, a second try would lie. */
MUST_USE int wal_sync(struct wal *w);
/*
 * The same in two steps, for a helper: fdatasync this descriptor (of the segment with this number, to recognise a new one), and if
 * *directory the directory too; then tell wal_synced.
 */
int wal_sync_fd(const struct wal *w, uint64_t *segment, bool *directory);
void wal_synced(struct wal *w);

/* ---- reading, dropping ---- */

struct wal_entry {
	uint64_t index, term;
	uint8_t type;
	struct bytes data; /* valid during the call */
};

/*
 * Hands out the entries from first (which must be in the log) to last in order until the callback says false.
 * -1: errno EBADMSG (bit rot; error is set) or that of a read.
 */
MUST_USE int wal_read(struct wal *w, uint64_t first, uint64_t last, bool (*each)(void *ctx, const struct wal_entry *e),
    void *ctx, char error[WAL_ERROR_MAX]);

/*
 * Unlinks the oldest segments as far as all their entries have indexes up to limit; the one with the last durable batch, which holds the
 * hard state, stays. Returns how many, -1 on error (the log stays usable).
 */
int wal_drop(struct wal *w, uint64_t limit);

#endif

/*
 * snapshot_store.h - raftd's snapshots on disk: snapshots/<term>-<index>-<milliseconds>/{meta.json,state.bin} in raftd's directory
 *
 * A snapshot is written, or received from another server, under a name that ends in ".tmp", synced, and then renamed; one that is removed
 * gets such a name again first. So a directory without that ending is whole at every moment. The state is opaque; meta.json has its size
 * and CRC-32C.
 *
 * All file access goes through struct wal_io. Calls block as long as the disk does: snapshot.h has the ones that do not. On -1 error is a
 * text that names step and reason.
 */
#ifndef RAFTD_SNAPSHOT_STORE_H
#define RAFTD_SNAPSHOT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "cdefs.h"
#include "message.h"
#include "terms.h"
#include "wal.h"

#define SNAPSHOTS_KEPT 2
#define SNAPSHOT_ID_MAX 80
#define SNAPSHOT_ERROR_MAX 512
#define SNAPSHOT_PATH_MAX (SNAPSHOT_ID_MAX + 32)
#define SNAPSHOT_CHUNK_BYTES_MAX (1024u * 1024)
#define SNAPSHOT_STATE_BYTES_MAX (UINT64_C(1) << 40) /* of one that is received */

struct snapshot_meta {
	char id[SNAPSHOT_ID_MAX]; /* name of the directory */
	uint64_t index, term;     /* of the last entry in it */
	uint64_t time_ms;         /* wall time it was taken at */
	uint64_t configuration_index;
	struct configuration configuration;
	char log_id[UUID_TEXT_SIZE];
	uint64_t size_bytes; /* of state.bin */
	uint32_t crc;        /* CRC-32C of it */
	bool received;       /* from another server, not taken of this log */
};

struct snapshot_store;

/* io: of raftd's directory. Makes the directory "snapshots" if it is missing, removes unfinished ones, reads the rest. */
MUST_USE struct snapshot_store *snapshot_store_open(struct wal_io io, bool no_sync, char error[SNAPSHOT_ERROR_MAX]);
/* s may be NULL. What is being received stays on disk until the next opening. */
void snapshot_store_free(struct snapshot_store *s);

/* Number of whole ones; 0 is the newest. */
size_t snapshot_store_count(const struct snapshot_store *s);
const struct snapshot_meta *snapshot_store_at(const struct snapshot_store *s, size_t i);
/* A directory that looked like a snapshot but is none, as a text for the log; NULL: none. */
const char *snapshot_store_odd(const struct snapshot_store *s);
/* Reads the list again, after another process has changed it. */
MUST_USE int snapshot_store_reload(struct snapshot_store *s);
/* Path of a file of snapshot id, in raftd's directory; returns out. */
char *snapshot_store_path(const char *id, const char *file, char out[SNAPSHOT_PATH_MAX]);

/* Bytes of a state from offset on; 0: its end, -1: errno. */
typedef ssize_t snapshot_read_fn(void *ctx, void *out, size_t size, uint64_t offset);

/*
 * Copies the state to a new snapshot and removes those beyond SNAPSHOTS_KEPT. id, size_bytes and crc of meta are filled in. 0: all of it is
 * durable, the log may be shortened. -1: it is not to be relied on.
 */
MUST_USE int snapshot_store_save(struct snapshot_store *s, const struct snapshot_meta *meta, snapshot_read_fn *read,
    void *ctx, char error[SNAPSHOT_ERROR_MAX]);
/* Compares a state with size and checksum of snapshot i. */
MUST_USE int snapshot_store_check(
    const struct snapshot_store *s, size_t i, snapshot_read_fn *read, void *ctx, char error[SNAPSHOT_ERROR_MAX]);
/* The same with the snapshot's own file. */
MUST_USE int snapshot_store_check_file(const struct snapshot_store *s, size_t i, char error[SNAPSHOT_ERROR_MAX]);

/* ---- receiving, one at a time ---- */

/*
 * Begins one whose meta came from another server (its id is not looked at) and reserves its space. One that is being received is thrown
 * away first. EEXIST: there is one up to this entry or a later one; EFBIG: larger than SNAPSHOT_STATE_BYTES_MAX; ENOSPC.
 */
MUST_USE int snapshot_store_receive_begin(
    struct snapshot_store *s, const struct snapshot_meta *meta, char error[SNAPSHOT_ERROR_MAX]);
bool snapshot_store_receiving(const struct snapshot_store *s);
/* Bytes received so far: the offset that the next chunk must have. */
uint64_t snapshot_store_received(const struct snapshot_store *s);
/*
 * A chunk that was received already is passed over. EINVAL: one is missing before it, it goes beyond the size that was announced, or it is
 * larger than SNAPSHOT_CHUNK_BYTES_MAX; nothing is written, and the reception goes on. Other errors: snapshot_store_receive_abort.
 */
MUST_USE int snapshot_store_receive_chunk(
    struct snapshot_store *s, uint64_t offset, struct bytes data, char error[SNAPSHOT_ERROR_MAX]);
/*
 * Compares size and checksum with those of meta, and closes the file: what is left to do may be done by another process. -1: EBADMSG, to be
 * aborted.
 */
MUST_USE int snapshot_store_receive_seal(struct snapshot_store *s, char error[SNAPSHOT_ERROR_MAX]);
/*
 * Seals it, makes it durable, gives it its name, and removes those beyond SNAPSHOTS_KEPT. 0: the log may be told (wal_snapshot). -1: it is not
 * to be relied on. The reception is over in either case.
 */
MUST_USE int snapshot_store_receive_finish(struct snapshot_store *s, char error[SNAPSHOT_ERROR_MAX]);
/* Throws away what was received; nothing happens if nothing is being received. */
void snapshot_store_receive_abort(struct snapshot_store *s);
/* Forgets the reception, whose files another process has seen to. */
void snapshot_store_receive_forget(struct snapshot_store *s);

/* ---- log and snapshots ---- */

enum snapshot_fit {
	SNAPSHOT_FITS,      /* the log goes on from the snapshot, or holds its last entry */
	SNAPSHOT_AHEAD,     /* it was received, and a crash came before wal_snapshot: that is to be done now */
	SNAPSHOT_TOO_OLD,   /* the log begins behind it: entries are missing */
	SNAPSHOT_LOG_SHORT, /* it was taken of entries that the log does not have (any more) */
};

/* newest: NULL or of index 0, there is none. */
enum snapshot_fit snapshot_fit(const struct snapshot_meta *newest, const struct terms *log);

#endif

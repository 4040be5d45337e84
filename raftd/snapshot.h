/*
 * snapshot.h - raftd's snapshots on disk: raft_dir/snapshots/<term>-<index>-<milliseconds>/{meta.json,state.bin}
 *
 * A snapshot is written under a name that ends in ".tmp", synced and then renamed: a directory without that ending is whole. Its state is
 * opaque; meta.json has its size and CRC-32C, checked before it is handed out. Both kinds of work take long and are
 * done by a forked child, one at a time.
 */
#ifndef RAFTD_SNAPSHOT_H
#define RAFTD_SNAPSHOT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "cdefs.h"
#include "message.h"

#define SNAPSHOTS_KEPT 2
#define SNAPSHOT_ID_MAX 80
#define SNAPSHOT_ERROR_MAX 512

struct snapshot_meta {
	char id[SNAPSHOT_ID_MAX]; /* name of the directory */
	uint64_t index, term;     /* of the last entry in it */
	uint64_t time_ms;         /* wall time it was taken at */
	uint64_t configuration_index;
	struct configuration configuration;
	char log_id[UUID_TEXT_SIZE];
	uint64_t size_bytes; /* of state.bin */
	uint32_t crc;        /* CRC-32C of it */
};

struct snapshots;

/* Makes the directory "snapshots" in raft_dir (borrowed descriptor) if it is missing, removes unfinished ones, reads the rest. NULL: error says why. */
MUST_USE struct snapshots *snapshots_open(
    struct ev_loop *loop, int raft_dir, bool no_sync, char error[SNAPSHOT_ERROR_MAX]);
/* May be called after the loop has ended; a child that is at work goes on by itself. */
void snapshots_free(struct snapshots *s);

/* Number of whole ones; 0 is the newest. */
size_t snapshots_count(const struct snapshots *s);
const struct snapshot_meta *snapshots_at(const struct snapshots *s, size_t i);
/* Directories that looked like snapshots but are none, as a text for the log; NULL: none. */
const char *snapshots_odd(const struct snapshots *s);

/* A child is at work: neither of the two below may be called. */
bool snapshots_busy(const struct snapshots *s);

/* error NULL: done. */
typedef void snapshot_saved_cb(void *ctx, const char *error);
/*
 * Copies state (owned from now on, read from its beginning) to a new snapshot and removes the ones beyond SNAPSHOTS_KEPT. id, size_bytes and crc of meta
 * are filled in.
 */
void snapshots_save(
    struct snapshots *s, int state, const struct snapshot_meta *meta, snapshot_saved_cb *done, void *ctx);

/* fd: state.bin opened for reading (the callback owns it), or -1 and error. */
typedef void snapshot_checked_cb(void *ctx, int fd, const char *error);
/* Opens the state of snapshot i and compares its checksum. */
void snapshots_check(struct snapshots *s, size_t i, snapshot_checked_cb *done, void *ctx);

#endif

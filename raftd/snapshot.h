/*
 * snapshot.h - raftd's snapshots without blocking its loop (what is on disk: snapshot_store.h)
 *
 * What takes long is done by a forked child, one job at a time: copying a state, checking one, making a received one durable.
 */
#ifndef RAFTD_SNAPSHOT_H
#define RAFTD_SNAPSHOT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "cdefs.h"
#include "snapshot_store.h"

struct snapshots;

/* raft_dir: borrowed descriptor; see snapshot_store_open. NULL: error says why. */
MUST_USE struct snapshots *snapshots_open(
    struct ev_loop *loop, int raft_dir, bool no_sync, char error[SNAPSHOT_ERROR_MAX]);
/* May be called after the loop has ended; a child that is at work goes on by itself. */
void snapshots_free(struct snapshots *s);

/* Number of whole ones; 0 is the newest. */
size_t snapshots_count(const struct snapshots *s);
const struct snapshot_meta *snapshots_at(const struct snapshots *s, size_t i);
/* A directory that looked like a snapshot but is none, as a text for the log; NULL: none. */
const char *snapshots_odd(const struct snapshots *s);

/* Bytes of the state of snapshot i from offset on, all of them. -1 with errno: it can not be read, or is shorter (EBADMSG). */
MUST_USE int snapshots_read(struct snapshots *s, size_t i, uint64_t offset, void *out, size_t size);

/* A child is at work: snapshots_save, _check and _receive_end may not be called. */
bool snapshots_busy(const struct snapshots *s);

/* error NULL: done, and durable. */
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

/*
 * A snapshot comes from another server in chunks: begun, filled in order, ended. Begin and chunk are those of snapshot_store_receive_begin and
 * _chunk, with their errors; they write, but do not sync. One at a time: a new begin throws away what was received.
 */
MUST_USE int snapshots_receive_begin(
    struct snapshots *s, const struct snapshot_meta *meta, char error[SNAPSHOT_ERROR_MAX]);
/* The offset that the next chunk must have. */
uint64_t snapshots_received(const struct snapshots *s);
MUST_USE int snapshots_receive_chunk(
    struct snapshots *s, uint64_t offset, struct bytes data, char error[SNAPSHOT_ERROR_MAX]);
/*
 * Size and checksum are compared at once (done is called from here if they are wrong), the rest is the child's. When done says so, it is the
 * newest of the list and durable: tell the log (wal_snapshot). In either case the reception is over.
 */
void snapshots_receive_end(struct snapshots *s, snapshot_saved_cb *done, void *ctx);
/* The sender has gone, or sends another one. Not while receive_end is under way (else panic). */
void snapshots_receive_abort(struct snapshots *s);

#endif

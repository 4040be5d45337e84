/*
 * snapshot.h - what a pool remembers across restarts: who was there, and the Lamport clocks (serf's own file format)
 *
 * One line for each record, appended: alive, not-alive, clock, event-clock, query-clock, leave. When the file has grown beyond twice what
 * the living need it is written anew beside itself and put in place. A file that can not be written is logged and tried again; nothing fails for it.
 */
#ifndef GOSSIPD_SNAPSHOT_H
#define GOSSIPD_SNAPSHOT_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "serf.h"

struct snapshot;

struct snapshot_node {
	char *name, *address; /* "127.0.0.1:8301" */
};
/* What a file says at the start. */
struct snapshot_past {
	struct serf_clocks clocks;
	struct snapshot_node *nodes; /* alive at the last word of them */
	size_t count;
	bool left; /* there is a leave in it */
};
void snapshot_past_free(struct snapshot_past *p);
/* Takes over a file's text. keep_after_leave: a leave changes nothing. */
void snapshot_replay(struct bytes text, bool keep_after_leave, struct snapshot_past *out);

struct snapshot_config {
	const char *path;   /* directories are made */
	const char *module; /* of log lines */
	bool rejoin_after_leave;
	/* Appends an alive record (snapshot_alive_put) for each member that is. */
	void (*put_alive)(void *ctx, struct buf *out);
	void *ctx;
};
/* Reads and opens. NULL: errno says why. */
MUST_USE struct snapshot *snapshot_open(const struct snapshot_config *config, struct snapshot_past *past);
/* Writes what is pending and syncs. s may be NULL, here and below. */
void snapshot_close(struct snapshot *s);

void snapshot_alive_put(const char *name, const struct swim_address *address, struct buf *out);
void snapshot_alive(struct snapshot *s, const char *name, const struct swim_address *address);
void snapshot_not_alive(struct snapshot *s, const char *name);
/* Notes those that grew since. */
void snapshot_clocks(struct snapshot *s, const struct serf_clocks *clocks);
void snapshot_event_clock(struct snapshot *s, uint64_t ltime);
void snapshot_query_clock(struct snapshot *s, uint64_t ltime);
/* We leave: synced. From now on clocks alone are noted. */
void snapshot_leave(struct snapshot *s);
/* Records that wait to be written: members must be soon, clocks may wait half a second. */
enum snapshot_pending { SNAPSHOT_NOTHING, SNAPSHOT_CLOCKS, SNAPSHOT_MEMBERS };
enum snapshot_pending snapshot_pending(const struct snapshot *s);
void snapshot_flush(struct snapshot *s, size_t alive_count);

#endif

/*
 * sync.h - anti-entropy: what is registered here is brought to the catalog (behaviour.md 3)
 *
 * Partial: what is marked out of sync is pushed, at once. Full: the node's entries are read from the catalog and
 * compared first; at start, every minute or two, after a failure, and when the catalog's daemon was away.
 */
#ifndef CHECKD_SYNC_H
#define CHECKD_SYNC_H

#include <ev.h>

#include "ipc.h"
#include "local.h"

struct sync_options {
	struct ev_loop *loop;
	struct local *local;
	struct ipc_peer *catalog;
	const char *node_id, *node, *address, *datacenter;
	struct bytes tagged_addresses, node_meta, locality; /* msgpack, as the catalog has them */
	const char *default_token, *agent_token, *file_token;
	int64_t check_update_interval; /* ns; 0: every output is pushed at once */
	/* checkd alone was restarted: checks that nothing has touched yet take over what the catalog says. */
	bool resume;
	void (*round_ended)(void *ctx); /* may be NULL */
	void *ctx;
};

struct sync;

/* What the options point to must live as long as s. Begins with a full sync. */
MUST_USE struct sync *sync_new(const struct sync_options *options);
void sync_free(struct sync *s);
/* Other node metadata, tokens or intervals (reload); the node is compared again at the next full sync. */
void sync_set(struct sync *s, const struct sync_options *options);

/* Something is out of sync (local_events.dirty). */
void sync_dirty(struct sync *s);
/* A check has a new status or output (local_events.check). */
void sync_check(struct sync *s, struct local_check *c, bool status);
/* Its memory goes away (local_events.check_gone). */
void sync_check_gone(struct sync *s, struct local_check *c);
/* Nothing is pushed while paused; calls nest. */
void sync_pause(struct sync *s);
void sync_resume(struct sync *s);
/* For good: the node is leaving. */
void sync_stop(struct sync *s);

/*
 * done is called once, from the loop, when a push that began after this call has ended, whatever came of it, or when timeout_ns have passed.
 * The handle is dead then, and by sync_wait_cancel.
 */
struct sync_wait;
struct sync_wait *sync_wait(struct sync *s, int64_t timeout_ns, void (*done)(void *ctx), void *ctx);
void sync_wait_cancel(struct sync_wait *w);

#endif

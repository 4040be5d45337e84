/*
 * pool_internal.h - what pool.c (life, loop, what is asked of the node) and pool_ops.c (what cores and transport ask) share; nobody else includes it
 */
#ifndef GOSSIPD_POOL_INTERNAL_H
#define GOSSIPD_POOL_INTERNAL_H

#include "admit.h"
#include "duration.h"
#include "envelope.h"
#include "log.h"
#include "pool.h"
#include "ring.h"
#include "snapshot.h"

#define POOL_PATH_BYTES_MAX 4096

struct pool {
	struct daemon *daemon;
	bool wan, server, coordinates_on, left;
	const char *serf_module, *memberlist_module, *module;
	struct pool_watch watch;
	struct self self;
	struct admit admit;
	struct timers timers;
	struct swim *swim;
	struct serf *serf;
	struct coordinates coordinates;
	struct keyring ring;
	char keyring_path[POOL_PATH_BYTES_MAX];
	struct envelope envelope;
	struct transport *transport;
	struct snapshot *snapshot;
	struct timer snapshot_timer;
	char **past; /* "name/address" */
	size_t past_count;
	ev_timer timer;
	ev_prepare prepare;
	struct ring contacts;
	void (*on_left)(void *ctx);
	void *on_left_ctx;
	struct log_limit complaints, warnings;
};

struct contact {
	struct ring of_pool;
	struct pool *pool;
	struct stream *stream;
	pool_contacted *done;
	void *ctx;
};

static inline uint64_t
now_ns(void)
{
	return (uint64_t)monotime_now().ns;
}

/* ---- pool_ops.c ---- */

extern const struct swim_ops pool_swim_ops;
extern const struct serf_ops pool_serf_ops;
extern const struct transport_ops pool_transport_ops;
/* Takes over a peer's state (body of its push/pull). ours: we came to join, and what was said before is not for us. Not 0: refused, as swim_merge. */
MUST_USE int pool_state_take(struct pool *p, struct bytes body, bool ours, char error[SWIM_ERROR_MAX]);

#endif

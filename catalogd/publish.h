/*
 * publish.h - catalogd's side of the shared page (common/page.h): which names have changed, and what an answer depends on
 *
 * A name is one of those that queries are parked on (watch.h), or a counter of the store, which is what indexes of answers are made of. While a
 * query is evaluated between publish_ask and publish_answer, all names that it watches and all counters that it reads are
 * gathered; they, as they are then, are what its answer is good for. What an endpoint uses besides it names by query_depends.
 *
 * All calls take NULL for "there is no page": they do nothing then, and no answer can be kept.
 */
#ifndef CATALOGD_PUBLISH_H
#define CATALOGD_PUBLISH_H

#include "buf.h"
#include "cdefs.h"
#include "page.h"
#include "watch.h"

#define PUBLISH_DEPTH_MAX 16 /* of key prefixes; what lies deeper counts for the last of them */

struct publish;

/*
 * Retires the page that an earlier process has left at path, then makes a new one there. To be called before anything is served or asked of
 * others, by the one process that may publish there. NULL: there is none (no space, no rights), which is logged. Ends the process if
 * there is an old page that can not be retired: somebody might go on believing it.
 */
MUST_USE struct publish *publish_open(const char *path);
/* Nobody believes it any more. */
void publish_close(struct publish *p);
/* A descriptor of the page for reading, the caller's; -1: none. */
MUST_USE int publish_fd(const struct publish *p);

/* Default reads may be answered until then (CLOCK_BOOTTIME; 0: not at all; PAGE_LEASE_ALWAYS). */
void publish_lease(struct publish *p, uint64_t until_ns);
/* A name has changed, or a batch that changes it is about to be committed. WATCH_ALL: the whole state. */
void publish_touch(struct publish *p, enum watch_kind kind, struct bytes name);
/* For store_observe: ctx is the struct publish. */
void publish_counter(void *ctx, struct bytes name, bool changed);

/* An answer is being made: gathers from now on. */
void publish_ask(struct publish *p);
/* The answer being made depends on this name. */
void publish_depend(struct publish *p, enum watch_kind kind, struct bytes name);
/* The answer is made: what it depends on as a msgpack value (page_claim_put), nil if that is too much. Gathering ends. */
void publish_answer(struct publish *p, struct buf *out);

#endif

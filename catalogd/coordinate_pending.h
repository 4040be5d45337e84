/*
 * coordinate_pending.h - coordinates that the leader was told of and that are not in the log yet
 *
 * Pure. The latest one of each node and segment is kept until the period is over; then they go into the log, a batch for an entry. What is too
 * much for one period is dropped and counted: whoever sent it sends a newer one soon.
 */
#ifndef CATALOGD_COORDINATE_PENDING_H
#define CATALOGD_COORDINATE_PENDING_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"

#define COORDINATE_BATCH_UPDATES 128
#define COORDINATE_BATCHES_MAX 5 /* in a period */
#define COORDINATE_PENDING_BYTES_MAX (1024u * 1024)

struct coordinate_pending;

MUST_USE struct coordinate_pending *coordinate_pending_new(void);
void coordinate_pending_free(struct coordinate_pending *p);
/* key: of node and segment; record: a node_coordinate, which takes the place of the one before. Both are copied. */
void coordinate_pending_put(struct coordinate_pending *p, struct bytes key, struct bytes record);
bool coordinate_pending_has(const struct coordinate_pending *p, struct bytes key);
size_t coordinate_pending_count(const struct coordinate_pending *p);
/* Moves the oldest ones into body, which becomes the message of a coordinate_batch. false: there are none. */
MUST_USE bool coordinate_pending_take(struct coordinate_pending *p, struct buf *body);
/* How many were dropped since the last call. */
size_t coordinate_pending_dropped(struct coordinate_pending *p);
/* Nobody will propose them: this node does not lead any more. */
void coordinate_pending_clear(struct coordinate_pending *p);

#endif

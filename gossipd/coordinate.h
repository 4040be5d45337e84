/*
 * coordinate.h - network coordinates: where a member lies, so that distances estimate round-trip times
 *
 * Vivaldi (Dabek, Cox, Kaashoek, Morris 2004) in 8 dimensions with height, an adjustment term (Ledlie, Gardner, Seltzer 2007), a filter against
 * outliers and gravity towards the origin: the constants of the reference. Pure. Seconds throughout; rtt in ns.
 */
#ifndef GOSSIPD_COORDINATE_H
#define GOSSIPD_COORDINATE_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "coordinate_point.h"
#include "hash.h"

#define COORDINATE_WINDOW 20 /* of adjustment samples */
#define COORDINATE_FILTER 3  /* latency samples for each node */
#define COORDINATE_RTT_MAX_NS (INT64_C(10) * 1000000000)

struct coordinates {
	struct coordinate_point own;
	double samples[COORDINATE_WINDOW];
	unsigned sample_at;
	uint64_t resets; /* the own one had become rubbish, and began anew */
	struct hash_table peers;
	uint64_t (*random)(void *ctx, uint64_t below);
	void *random_ctx;
};

void coordinate_origin(struct coordinate_point *out);
void coordinates_init(struct coordinates *c, uint64_t (*random)(void *ctx, uint64_t below), void *random_ctx);
void coordinates_free(struct coordinates *c);
/*
 * A round trip to node took so long, and it says that it is at other. NULL, or why that is not used (static text). node's coordinate is
 * remembered.
 */
const char *coordinates_update(
    struct coordinates *c, struct bytes node, const struct coordinate_point *other, int64_t rtt_ns);
/* Of a node that answered before; false: none is known. */
bool coordinates_find(const struct coordinates *c, struct bytes node, struct coordinate_point *out);
void coordinates_forget(struct coordinates *c, struct bytes node);

/* What an ack carries: version byte 1 and the map. */
void coordinate_payload_put(const struct coordinate_point *p, struct buf *out);
/* -1: another version, or not a coordinate. */
MUST_USE int coordinate_payload_get(struct bytes payload, struct coordinate_point *out);

#endif

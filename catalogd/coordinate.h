/*
 * coordinate.h - the network coordinates of nodes: stored by Coordinate.Update, used by ?near= and consulctl rtt
 *
 * A node has one for each network segment that it has sent one for, as a rule that without a name. They live as long as the node. Counter:
 * "coordinates". Watched: table "coordinates" for lists, WATCH_COORDINATE for one node's.
 */
#ifndef CATALOGD_COORDINATE_H
#define CATALOGD_COORDINATE_H

#include "apply.h"
#include "coordinate_point.h"
#include "mem.h"

/* The node (folded) is gone: so are its coordinates, in this entry. */
void coordinate_node_removed(struct apply *a, struct bytes node);
/* Is this what the store has of node (any case) and segment? record: node_coordinate. */
bool coordinate_is_stored(
    struct store_txn *t, struct region *r, struct bytes node, struct bytes segment, struct bytes record);

/* Where one node is, for distances to others. */
struct coordinate_place {
	struct bytes node_key;
	unsigned segments; /* 0: no coordinate; 2: several */
	/* Of the only one: */
	struct bytes segment;
	struct coordinate_point point;
};

/* node: any case. What it points to is in r. */
struct coordinate_place coordinate_place_of(struct store_txn *t, struct region *r, struct bytes node);
/*
 * Estimated round-trip time in seconds; INFINITY: not known. A node with one segment is a client, or a server where there are no others: what it
 * is in decides which coordinates of the other one count.
 */
double coordinate_distance(struct store_txn *t, const struct coordinate_place *a, const struct coordinate_place *b);

#endif

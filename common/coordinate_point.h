/*
 * coordinate_point.h - a network coordinate, and what the distance of two says of the round trip between them
 *
 * A point of 8 dimensions with a height above them, an error and an adjustment, in seconds: what gossipd keeps of members, catalogd of nodes and
 * consulctl is shown. The estimate is the same wherever it is made.
 */
#ifndef COMMON_COORDINATE_POINT_H
#define COMMON_COORDINATE_POINT_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"

#define COORDINATE_DIMENSIONS 8

struct coordinate_point {
	double vec[COORDINATE_DIMENSIONS];
	double error, adjustment, height;
};

/* All its numbers are finite. */
bool coordinate_point_valid(const struct coordinate_point *p);
/* a - b in all dimensions. Returns its length. */
double coordinate_point_difference(
    const struct coordinate_point *a, const struct coordinate_point *b, double out[COORDINATE_DIMENSIONS]);
/* Length of the difference and both heights. */
double coordinate_point_raw_distance(const struct coordinate_point *a, const struct coordinate_point *b);
/* Estimated round-trip time in seconds, of whole nanoseconds: the adjustments count while the sum stays above 0. */
double coordinate_point_distance(const struct coordinate_point *a, const struct coordinate_point *b);

/* Appends the message of coordinate_schema (structs.h). */
void coordinate_point_put(const struct coordinate_point *p, struct buf *out);
#define COORDINATE_INVALID "invalid coordinate"
#define COORDINATE_INCOMPATIBLE "incompatible coordinate" /* other dimensions */

/* From such a message, whatever the order of its fields; the numbers are not judged. NULL, or one of the two texts above. */
MUST_USE const char *coordinate_point_get(struct bytes message, struct coordinate_point *out);

#endif

/*
 * coordinate_point.c - network coordinates (contract: coordinate_point.h; facts: wire-gossip.md 13.9; callers: gossipd, catalogd, consulctl)
 */
#include "coordinate_point.h"

#include <math.h>

#include "mp.h"
#include "structs.h"

bool
coordinate_point_valid(const struct coordinate_point *p)
{
	bool valid = isfinite(p->error) && isfinite(p->adjustment) && isfinite(p->height);

	for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
		valid &= isfinite(p->vec[i]) != 0;
	return valid;
}

double
coordinate_point_difference(
    const struct coordinate_point *a, const struct coordinate_point *b, double out[COORDINATE_DIMENSIONS])
{
	double sum = 0;

	for (int i = 0; i < COORDINATE_DIMENSIONS; i++) {
		out[i] = a->vec[i] - b->vec[i];
		sum += out[i] * out[i];
	}
	return sqrt(sum);
}

double
coordinate_point_raw_distance(const struct coordinate_point *a, const struct coordinate_point *b)
{
	double difference[COORDINATE_DIMENSIONS];

	return coordinate_point_difference(a, b, difference) + a->height + b->height;
}

double
coordinate_point_distance(const struct coordinate_point *a, const struct coordinate_point *b)
{
	double raw = coordinate_point_raw_distance(a, b), adjusted = raw + a->adjustment + b->adjustment;

	return trunc((adjusted > 0 ? adjusted : raw) * 1e9) / 1e9;
}

void
coordinate_point_put(const struct coordinate_point *p, struct buf *out)
{
	struct buf vec = BUF_INIT(256);
	struct coordinate c = {.error = p->error, .adjustment = p->adjustment, .height = p->height};

	mp_put_array(&vec, COORDINATE_DIMENSIONS);
	for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
		mp_put_float(&vec, p->vec[i]);
	c.vec = buf_bytes(&vec);
	schema_encode(&coordinate_schema, &c, out);
	buf_free(&vec);
}

const char *
coordinate_point_get(struct bytes message, struct coordinate_point *out)
{
	struct coordinate c;
	struct mp vec, first = mp_of(message);
	const char *error;

	if (mp_peek(&first) != MP_MAP || schema_decode(&coordinate_schema, message, &c, &error) == -1)
		return COORDINATE_INVALID;
	vec = mp_of(c.vec);
	if (c.vec.size == 0 || mp_peek(&vec) != MP_ARRAY || mp_array(&vec) != COORDINATE_DIMENSIONS)
		return COORDINATE_INCOMPATIBLE;
	for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
		out->vec[i] = mp_float(&vec);
	out->error = c.error;
	out->adjustment = c.adjustment;
	out->height = c.height;
	return mp_ok(&vec) ? NULL : COORDINATE_INVALID;
}

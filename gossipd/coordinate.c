/*
 * coordinate.c - network coordinates (contract: coordinate.h; callers: pool.c)
 */
#include "coordinate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "ring.h"
#include "wire.h"

#define ERROR_MAX 1.5
#define HEIGHT_MIN 1e-5
#define ZERO 1e-6
#define CE 0.25
#define CC 0.25
#define GRAVITY_RHO 150.0
#define PAYLOAD_VERSION 1

struct peer {
	struct hash_node by_name;
	struct coordinate_point point;
	double rtt[COORDINATE_FILTER]; /* latest last */
	unsigned rtt_count;
	size_t name_size;
	char name[];
};

void
coordinate_origin(struct coordinate_point *out)
{
	*out = (struct coordinate_point){.error = ERROR_MAX, .height = HEIGHT_MIN};
}

void
coordinates_init(struct coordinates *c, uint64_t (*random)(void *ctx, uint64_t below), void *random_ctx)
{
	*c = (struct coordinates){.random = random, .random_ctx = random_ctx};
	coordinate_origin(&c->own);
}

/* From b towards a, of length 1; some direction if they are at the same place. Returns how far they are apart (0 then). */
static double
direction(struct coordinates *c, const struct coordinate_point *a, const struct coordinate_point *b,
    double out[COORDINATE_DIMENSIONS])
{
	double length = coordinate_point_difference(a, b, out), sum = 0;

	if (length > ZERO) {
		for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
			out[i] *= 1.0 / length;
		return length;
	}
	for (int i = 0; i < COORDINATE_DIMENSIONS; i++) {
		out[i] = (double)c->random(c->random_ctx, UINT64_C(1) << 53) / (double)(UINT64_C(1) << 53) - 0.5;
		sum += out[i] * out[i];
	}
	length = sqrt(sum);
	for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
		out[i] = length > ZERO ? out[i] / length : i == 0;
	return 0;
}

/* Moves the own one by force, away from b. */
static void
push(struct coordinates *c, double force, const struct coordinate_point *b)
{
	double unit[COORDINATE_DIMENSIONS], apart = direction(c, &c->own, b, unit);

	for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
		c->own.vec[i] += unit[i] * force;
	if (apart > ZERO)
		c->own.height = fmax((c->own.height + b->height) * force / apart + c->own.height, HEIGHT_MIN);
}

static void
vivaldi(struct coordinates *c, const struct coordinate_point *other, double rtt)
{
	double distance = coordinate_point_distance(&c->own, other), measured = fmax(rtt, ZERO);
	double wrong = fabs(distance - measured) / measured;
	double weight = c->own.error / fmax(c->own.error + other->error, ZERO);

	c->own.error = fmin(CE * weight * wrong + c->own.error * (1 - CE * weight), ERROR_MAX);
	push(c, CC * weight * (measured - distance), other);
}

static void
adjust(struct coordinates *c, const struct coordinate_point *other, double rtt)
{
	double sum = 0;

	c->samples[c->sample_at] = rtt - coordinate_point_raw_distance(&c->own, other);
	c->sample_at = (c->sample_at + 1) % COORDINATE_WINDOW;
	for (int i = 0; i < COORDINATE_WINDOW; i++)
		sum += c->samples[i];
	c->own.adjustment = sum / (2.0 * COORDINATE_WINDOW);
}

static void
gravity(struct coordinates *c)
{
	struct coordinate_point origin;
	double distance;

	coordinate_origin(&origin);
	distance = coordinate_point_distance(&origin, &c->own);
	push(c, -1.0 * pow(distance / GRAVITY_RHO, 2.0), &origin);
}

/* ---- peers ---- */

static struct peer *
peer_find(const struct coordinates *c, struct bytes node)
{
	for (struct hash_node *h = hash_first(&c->peers, hash_bytes(0, node)); h != NULL; h = hash_next(h)) {
		struct peer *p = RING_ENTRY(h, struct peer, by_name);

		if (bytes_equal(bytes_of(p->name, p->name_size), node))
			return p;
	}
	return NULL;
}

static int
double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The median of the last round trips to it. */
static double
rtt_filter(struct peer *p, double rtt)
{
	double sorted[COORDINATE_FILTER];

	if (p->rtt_count == COORDINATE_FILTER)
		memmove(p->rtt, p->rtt + 1, --p->rtt_count * sizeof *p->rtt);
	p->rtt[p->rtt_count++] = rtt;
	memcpy(sorted, p->rtt, p->rtt_count * sizeof *p->rtt);
	qsort(sorted, p->rtt_count, sizeof *sorted, double_compare);
	return sorted[p->rtt_count / 2];
}

const char *
coordinates_update(struct coordinates *c, struct bytes node, const struct coordinate_point *other, int64_t rtt_ns)
{
	struct peer *p;
	double rtt;

	if (!coordinate_point_valid(other))
		return "coordinate is invalid";
	if (rtt_ns < 0 || rtt_ns > COORDINATE_RTT_MAX_NS)
		return "round trip time not in valid range";
	p = peer_find(c, node);
	if (p == NULL) {
		p = xcalloc(1, sizeof *p + node.size);
		p->name_size = node.size;
		memcpy(p->name, node.data, node.size);
		p->by_name.hash = hash_bytes(0, node);
		hash_insert(&c->peers, &p->by_name);
	}
	rtt = rtt_filter(p, (double)rtt_ns / 1e9);
	vivaldi(c, other, rtt);
	adjust(c, other, rtt);
	gravity(c);
	if (!coordinate_point_valid(&c->own)) {
		coordinate_origin(&c->own);
		c->resets++;
	}
	p->point = *other;
	return NULL;
}

bool
coordinates_find(const struct coordinates *c, struct bytes node, struct coordinate_point *out)
{
	const struct peer *p = peer_find(c, node);

	if (p != NULL)
		*out = p->point;
	return p != NULL;
}

void
coordinates_forget(struct coordinates *c, struct bytes node)
{
	struct peer *p = peer_find(c, node);

	if (p == NULL)
		return;
	hash_remove(&c->peers, &p->by_name);
	free(p);
}

void
coordinates_free(struct coordinates *c)
{
	for (size_t i = 0; i < c->peers.size; i++)
		for (struct hash_node *h = c->peers.buckets[i], *next; h != NULL; h = next) {
			next = h->next;
			free(RING_ENTRY(h, struct peer, by_name));
		}
	hash_free(&c->peers);
}

/* ---- on the wire ---- */

void
coordinate_payload_put(const struct coordinate_point *p, struct buf *out)
{
	struct buf vec = BUF_INIT(1024);
	struct serf_coordinate w = {.adjustment = p->adjustment, .error = p->error, .height = p->height};

	mp_put_array(&vec, COORDINATE_DIMENSIONS);
	for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
		mp_put_float(&vec, p->vec[i]);
	w.vec = buf_bytes(&vec);
	buf_put_u8(out, PAYLOAD_VERSION);
	schema_encode(&serf_coordinate_schema, &w, out);
	buf_free(&vec);
}

int
coordinate_payload_get(struct bytes payload, struct coordinate_point *out)
{
	if (payload.size < 2 || payload.data[0] != PAYLOAD_VERSION)
		return -1;
	return coordinate_point_get(bytes_of(payload.data + 1, payload.size - 1), out) == NULL ? 0 : -1;
}

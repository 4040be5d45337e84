/*
 * coordinate.c - network coordinates in the state (contract: coordinate.h; facts: behaviour.md 15, http-api.md 16; callers: the endpoint and apply
 * tables, nodes_store.c, near.c, coordinate_updates.c)
 *
 * An entry has the updates of one period. Those of nodes that are not registered are passed over, those that change nothing wake nobody.
 */
#include "coordinate.h"

#include <math.h>

#include "catalog.h"
#include "coordinate_point.h"
#include "query.h"

/* ---- changes ---- */

static void
touch_table(struct apply *a)
{
	store_index_set(a->txn, bytes_str("coordinates"), a->index);
	apply_touch(a, WATCH_TABLE, bytes_str("coordinates"));
}

/* true: the store has changed. */
static bool
update(struct apply *a, const struct node_coordinate *c, struct bytes record)
{
	struct bytes node = nodes_fold(a->region, c->node), key = CATALOG_KEY(a->region, node, c->segment), old;

	if (!store_has(a->txn, STORE_NODES, CATALOG_KEY(a->region, node)) ||
	    (store_get(a->txn, STORE_COORDINATES, key, &old) && bytes_equal(old, record)))
		return false;
	store_put(a->txn, STORE_COORDINATES, key, record);
	apply_touch(a, WATCH_COORDINATE, node);
	return true;
}

int
coordinate_apply(struct apply *a, struct bytes body)
{
	struct coordinate_batch batch;
	bool changed = false;
	const char *error;
	struct mp in;

	if (schema_decode(&coordinate_batch_schema, body, &batch, &error) == -1)
		return apply_refuse(a, 0, "bad entry: %s", error);
	in = mp_of(batch.updates);
	for (uint32_t n = batch.updates.size == 0 ? 0 : mp_array(&in); n > 0; n--) {
		struct bytes record = mp_raw(&in);
		struct node_coordinate c;

		if (schema_decode(&node_coordinate_schema, record, &c, &error) == 0)
			changed |= update(a, &c, record);
	}
	if (changed)
		touch_table(a);
	return 0;
}

void
coordinate_node_removed(struct apply *a, struct bytes node)
{
	struct bytes prefix = CATALOG_KEY(a->region, node);
	struct store_cursor c;
	bool changed = false;

	for (store_scan(&c, a->txn, STORE_COORDINATES, prefix); store_next(&c); changed = true)
		store_scan_delete(&c);
	store_scan_end(&c);
	if (!changed)
		return;
	apply_touch(a, WATCH_COORDINATE, node);
	touch_table(a);
}

bool
coordinate_is_stored(
    struct store_txn *t, struct region *r, struct bytes node, struct bytes segment, struct bytes record)
{
	struct bytes old;

	return store_get(t, STORE_COORDINATES, CATALOG_KEY(r, nodes_fold(r, node), segment), &old) &&
	       bytes_equal(old, record);
}

/* ---- distances ---- */

struct coordinate_place
coordinate_place_of(struct store_txn *t, struct region *r, struct bytes node)
{
	struct coordinate_place p = {.node_key = CATALOG_KEY(r, nodes_fold(r, node))};
	struct store_cursor c;

	for (store_scan(&c, t, STORE_COORDINATES, p.node_key); p.segments < 2 && store_next(&c);) {
		struct bytes segment = mp_find_str(c.value, "Segment");

		if (coordinate_point_get(mp_find_raw(c.value, "Coord"), &p.point) == NULL && ++p.segments == 1)
			p.segment = region_copy(r, segment);
	}
	store_scan_end(&c);
	return p;
}

static bool
point_of(struct store_txn *t, const struct coordinate_place *p, struct bytes segment, struct coordinate_point *out)
{
	struct buf key = BUF_INIT(CATALOG_RECORD_BYTES_MAX);
	struct bytes record;
	bool found;

	if (p->segments == 1) {
		*out = p->point;
		return bytes_equal(p->segment, segment);
	}
	buf_put_bytes(&key, p->node_key);
	store_key_part(&key, segment);
	found = store_get(t, STORE_COORDINATES, buf_bytes(&key), &record) &&
		coordinate_point_get(mp_find_raw(record, "Coord"), out) == NULL;
	buf_free(&key);
	return found;
}

double
coordinate_distance(struct store_txn *t, const struct coordinate_place *a, const struct coordinate_place *b)
{
	struct bytes segment = bytes_str("");
	struct coordinate_point from, to;

	if (a->segments == 1)
		segment = a->segment;
	if (b->segments == 1)
		segment = b->segment;
	if (a->segments == 0 || b->segments == 0 || !point_of(t, a, segment, &from) || !point_of(t, b, segment, &to))
		return INFINITY;
	return coordinate_point_distance(&from, &to);
}

/* ---- reading ---- */

static int
put_coordinates(struct query *q, struct bytes prefix)
{
	struct store_cursor c;
	uint32_t count = 0;
	size_t place;

	query_index(q, store_index(q->txn, bytes_str("coordinates")));
	query_begin(q, 1);
	mp_put_cstr(q->out, "Coordinates");
	place = mp_open_array(q->out);
	for (store_scan(&c, q->txn, STORE_COORDINATES, prefix); store_next(&c); count++)
		buf_put_bytes(q->out, c.value);
	store_scan_end(&c);
	mp_close(q->out, place, count);
	return 0;
}

int
coordinate_list_nodes(struct query *q)
{
	query_watch(q, WATCH_TABLE, bytes_str("coordinates"));
	return put_coordinates(q, bytes_of(NULL, 0));
}

int
coordinate_node(struct query *q)
{
	struct bytes node = nodes_fold(q->region, mp_find_str(q->args, "Node"));

	query_watch(q, WATCH_COORDINATE, node);
	return put_coordinates(q, CATALOG_KEY(q->region, node));
}

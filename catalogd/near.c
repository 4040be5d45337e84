/*
 * near.c - lists by distance (contract: near.h; facts: http-api.md 8; callers: *_query.c)
 */
#include "near.h"

#include <stdlib.h>
#include <string.h>

#include "coordinate.h"

struct element {
	struct bytes bytes; /* in the list */
	double distance;
};

static int
element_order(const void *a, const void *b)
{
	const struct element *x = a, *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return x->bytes.data < y->bytes.data ? -1 : x->bytes.data > y->bytes.data;
}

static struct bytes
node_of(struct bytes element)
{
	struct mp value;

	if (!mp_find(mp_of(element), "Node", &value))
		return bytes_of(NULL, 0);
	return mp_peek(&value) == MP_MAP ? mp_find_str(mp_raw(&value), "Node") : mp_str(&value);
}

static void
measure(struct query *q, const struct coordinate_place *from, struct element *elements, uint32_t count)
{
	struct bytes last = {NULL, 0};

	for (uint32_t i = 0; i < count; i++) {
		struct bytes node = node_of(elements[i].bytes);

		if (i > 0 && bytes_equal(node, last)) { /* neighbours in a list are often on one node */
			elements[i].distance = elements[i - 1].distance;
		} else {
			struct coordinate_place to = coordinate_place_of(q->txn, q->region, node);

			elements[i].distance = coordinate_distance(q->txn, from, &to);
		}
		last = node;
	}
}

static void
reorder(struct query *q, const struct coordinate_place *from, size_t start, uint32_t count)
{
	struct element *elements = xreallocarray(NULL, count, sizeof *elements);
	size_t size = q->out->used - start;
	uint8_t *sorted = xmalloc(size), *to = sorted;
	struct mp in = mp_of(bytes_of(q->out->data + start, size));

	for (uint32_t i = 0; i < count; i++)
		elements[i].bytes = mp_raw(&in);
	measure(q, from, elements, count);
	qsort(elements, count, sizeof *elements, element_order);
	for (uint32_t i = 0; i < count; i++) {
		memcpy(to, elements[i].bytes.data, elements[i].bytes.size);
		to += elements[i].bytes.size;
	}
	memcpy(q->out->data + start, sorted, (size_t)(to - sorted));
	free(sorted);
	free(elements);
}

void
near_sort(struct select *l, struct bytes source)
{
	struct query *q = l->q;
	struct query_source from;
	struct coordinate_place place;
	const char *error;

	if (source.size == 0 || schema_decode(&query_source_schema, source, &from, &error) == -1 ||
	    from.node.size == 0 || !bytes_is(from.datacenter, q->datacenter))
		return;
	query_depend(q, WATCH_TABLE, bytes_str("coordinates"));
	place = coordinate_place_of(q->txn, q->region, from.node);
	if (place.segments > 0 && l->count > 1 && !q->out->overflow)
		reorder(q, &place, l->start, l->count);
}

/*
 * nodes.c - nodes, services and checks: keys and lookups (contracts: nodes.h, catalog.h; callers: session*.c, *_query.c, nodes_*.c)
 */
#include "nodes.h"

#include <string.h>

#include "catalog.h"

struct bytes
nodes_fold(struct region *r, struct bytes name)
{
	uint8_t *fold = region_alloc(r, name.size + 1);

	for (size_t i = 0; i < name.size; i++)
		fold[i] = (uint8_t)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] | 0x20 : name.data[i]);
	return bytes_of(fold, name.size);
}

struct bytes
catalog_key(struct region *r, const struct bytes *parts, size_t count)
{
	size_t worst = 0;
	struct buf key = {0};

	for (size_t i = 0; i < count; i++)
		worst += 2 * parts[i].size + 2;
	key.data = region_alloc(r, worst);
	key.size = key.max = worst;
	for (size_t i = 0; i < count; i++)
		store_key_part(&key, parts[i]);
	return buf_bytes(&key);
}

struct bytes
catalog_id_key(struct region *r, struct bytes id)
{
	struct bytes fold = nodes_fold(r, id);
	uint8_t *key = region_alloc(r, id.size + 1);
	size_t used = 0;

	for (size_t i = 0; i < fold.size; i++)
		if (fold.data[i] != '-')
			key[used++] = fold.data[i];
	return bytes_of(key, used);
}

void
catalog_names_add(struct catalog_names *names, struct region *r, struct bytes name)
{
	if (names->count == names->size) {
		size_t size = names->size == 0 ? 8 : 2 * names->size;
		struct bytes *grown = region_alloc(r, size * sizeof *grown);

		if (names->count > 0)
			memcpy(grown, names->at, names->count * sizeof *grown);
		names->at = grown;
		names->size = size;
	}
	names->at[names->count++] = region_copy(r, name);
}

void
catalog_extra_names(struct store_txn *t, struct bytes prefix, struct region *r, struct catalog_names *out)
{
	struct buf name = BUF_INIT(CATALOG_RECORD_BYTES_MAX);
	struct store_cursor c;

	for (store_scan(&c, t, STORE_CATALOG_EXTRA, prefix); store_next(&c);) {
		struct bytes rest = bytes_of(c.key.data + prefix.size, c.key.size - prefix.size);

		buf_clear(&name);
		if (store_key_take(&rest, &name))
			catalog_names_add(out, r, buf_bytes(&name));
	}
	store_scan_end(&c);
	buf_free(&name);
}

/* Reads one record; with r a copy of it, which outlives the next write. */
static bool
record_get(
    struct store_txn *t, enum store_table table, struct bytes key, struct region *r, const struct schema *s, void *out)
{
	const char *error;
	struct bytes value;

	if (!store_get(t, table, key, &value))
		return false;
	if (r != NULL)
		value = region_copy(r, value);
	return schema_decode(s, value, out, &error) == 0;
}

bool
catalog_get_node(struct store_txn *t, struct bytes key, struct node *out)
{
	return record_get(t, STORE_NODES, key, NULL, &node_schema, out);
}

bool
catalog_get_service(struct store_txn *t, struct bytes key, struct node_service *out)
{
	return record_get(t, STORE_SERVICES, key, NULL, &node_service_schema, out);
}

bool
catalog_get_check(struct store_txn *t, struct bytes key, struct health_check *out)
{
	return record_get(t, STORE_CHECKS, key, NULL, &health_check_schema, out);
}

bool
catalog_copy_node(struct store_txn *t, struct bytes key, struct region *r, struct node *out)
{
	return record_get(t, STORE_NODES, key, r, &node_schema, out);
}

bool
catalog_copy_service(struct store_txn *t, struct bytes key, struct region *r, struct node_service *out)
{
	return record_get(t, STORE_SERVICES, key, r, &node_service_schema, out);
}

bool
catalog_copy_check(struct store_txn *t, struct bytes key, struct region *r, struct health_check *out)
{
	return record_get(t, STORE_CHECKS, key, r, &health_check_schema, out);
}

struct bytes
catalog_connect_name(struct region *r, const struct node_service *s)
{
	if (bytes_is(s->kind, "connect-proxy") && s->proxy.size > 0)
		return nodes_fold(r, mp_find_str(s->proxy, "DestinationServiceName"));
	if (s->connect.size > 0 && mp_find_bool(s->connect, "Native"))
		return nodes_fold(r, s->service);
	return bytes_of(NULL, 0);
}

/* ---- nodes.h ---- */

static bool
find(struct store_txn *t, enum store_table table, struct bytes node, struct bytes id, const struct schema *s, void *out)
{
	struct region *r = region_new();
	struct bytes key = table == STORE_NODES ? CATALOG_KEY(r, nodes_fold(r, node))
						: CATALOG_KEY(r, nodes_fold(r, node), nodes_fold(r, id));
	bool found = record_get(t, table, key, NULL, s, out);

	region_free(r);
	return found;
}

bool
nodes_find(struct store_txn *t, struct bytes name, struct node *out)
{
	return find(t, STORE_NODES, name, bytes_of(NULL, 0), &node_schema, out);
}

bool
nodes_each(
    struct store_txn *t, struct buf *last, size_t max, void (*each)(void *ctx, const struct node *node), void *ctx)
{
	struct bytes from = bytes_of(last->data, MIN(last->used, (size_t)STORE_KEY_DIRECT_MAX));
	struct store_cursor c;
	bool more = false;

	for (store_scan_from(&c, t, STORE_NODES, bytes_of(NULL, 0), from); store_next(&c);) {
		const char *error;
		struct node node;

		if (last->used > 0 && bytes_compare(c.key, buf_bytes(last)) <= 0)
			continue;
		if (max-- == 0) {
			more = true;
			break;
		}
		buf_clear(last);
		buf_put_bytes(last, c.key);
		if (schema_decode(&node_schema, c.value, &node, &error) == 0)
			each(ctx, &node);
	}
	store_scan_end(&c);
	return more;
}

bool
nodes_find_check(struct store_txn *t, struct bytes node, struct bytes check_id, struct health_check *out)
{
	return find(t, STORE_CHECKS, node, check_id, &health_check_schema, out);
}

bool
nodes_find_service(struct store_txn *t, struct bytes node, struct bytes service_id, struct node_service *out)
{
	return find(t, STORE_SERVICES, node, service_id, &node_service_schema, out);
}

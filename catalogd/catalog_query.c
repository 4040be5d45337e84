/*
 * catalog_query.c - answers of Catalog.* (contract: query.h; indexes and what wakes: http-api.md 4.1; contents: 12)
 *
 * merge-central-config changes nothing yet: there are no config entries.
 */
#include <stdlib.h>

#include "near.h"
#include "select.h"

int
catalog_list_nodes(struct query *q)
{
	struct dc_request args;
	struct select l;
	struct store_cursor c;

	if (query_args(q, &dc_request_schema, &args) == -1 || select_filter(&l, q, args.filter, &node_schema) == -1)
		return -1;
	query_index(q, store_index(q->txn, bytes_str("nodes")));
	query_watch(q, WATCH_TABLE, bytes_str("nodes"));
	query_begin(q, 1);
	mp_put_cstr(q->out, "Nodes");
	select_begin(&l);
	for (store_scan(&c, q->txn, STORE_NODES, bytes_of(NULL, 0)); store_next(&c);) {
		if (!select_meta(args.node_meta_filters, mp_find_raw(c.value, "Meta")))
			continue;
		buf_put_bytes(q->out, c.value);
		(void)select_next(&l);
	}
	store_scan_end(&c);
	near_sort(&l, args.source);
	select_close(&l);
	return select_end(&l);
}

/* ---- Catalog.ListServices ---- */

/* From the counts that are kept: no instance is looked at. */
static void
put_all_services(struct query *q)
{
	struct bytes prefix = CATALOG_KEY(q->region, bytes_str("t"));
	struct buf name = BUF_INIT(CATALOG_RECORD_BYTES_MAX), tag = BUF_INIT(CATALOG_RECORD_BYTES_MAX);
	size_t map = mp_open_map(q->out), list = 0;
	uint32_t names = 0, tags = 0;
	struct store_cursor c;

	for (store_scan(&c, q->txn, STORE_CATALOG_EXTRA, prefix); store_next(&c);) {
		struct bytes rest = bytes_of(c.key.data + prefix.size, c.key.size - prefix.size);

		buf_clear(&name);
		buf_clear(&tag);
		if (!store_key_take(&rest, &name))
			continue;
		if (rest.size == 0) { /* the name itself; its tags follow */
			if (names > 0)
				mp_close(q->out, list, tags);
			mp_put_bytes(q->out, buf_bytes(&name));
			list = mp_open_array(q->out);
			names++;
			tags = 0;
		} else if (names > 0 && store_key_take(&rest, &tag)) {
			mp_put_bytes(q->out, buf_bytes(&tag));
			tags++;
		}
	}
	store_scan_end(&c);
	if (names > 0)
		mp_close(q->out, list, tags);
	mp_close(q->out, map, names);
	buf_free(&name);
	buf_free(&tag);
}

struct name_tag {
	struct bytes name;
	struct bytes tag;
	bool has_tag;
};

static int
name_tag_order(const void *a, const void *b)
{
	const struct name_tag *x = a, *y = b;
	int order = bytes_compare(x->name, y->name);

	if (order == 0)
		order = x->has_tag - y->has_tag;
	return order != 0 ? order : bytes_compare(x->tag, y->tag);
}

struct name_tags {
	struct name_tag *at;
	size_t count;
	size_t size;
};

static void
name_tags_add(struct name_tags *l, struct name_tag pair)
{
	if (l->count == l->size) {
		l->size = l->size == 0 ? 64 : 2 * l->size;
		l->at = xreallocarray(l->at, l->size, sizeof *l->at);
	}
	l->at[l->count++] = pair;
}

static void
put_name_tags(struct query *q, struct name_tags *l)
{
	size_t map = mp_open_map(q->out), list = 0;
	uint32_t names = 0, tags = 0;

	if (l->count > 0)
		qsort(l->at, l->count, sizeof *l->at, name_tag_order);
	for (size_t i = 0; i < l->count; i++) {
		const struct name_tag *p = &l->at[i];

		if (i > 0 && name_tag_order(p, p - 1) == 0)
			continue;
		if (!p->has_tag) {
			if (names > 0)
				mp_close(q->out, list, tags);
			mp_put_bytes(q->out, p->name);
			list = mp_open_array(q->out);
			names++;
			tags = 0;
		} else {
			mp_put_bytes(q->out, p->tag);
			tags++;
		}
	}
	if (names > 0)
		mp_close(q->out, list, tags);
	mp_close(q->out, map, names);
}

/* Through all instances: some of them do not count. */
static void
put_selected_services(struct query *q, const struct dc_request *args, struct select *l)
{
	struct buf element = BUF_INIT(CATALOG_RECORD_BYTES_MAX);
	struct name_tags pairs = {0};
	struct store_cursor c;

	for (store_scan(&c, q->txn, STORE_SERVICES, bytes_of(NULL, 0)); store_next(&c);) {
		struct bytes rest = c.key;
		struct node_service s;
		struct node n;
		const char *error;
		struct mp tags;
		uint32_t count;

		if (!store_key_take(&rest, NULL) ||
		    !catalog_get_node(q->txn, bytes_of(c.key.data, c.key.size - rest.size), &n) ||
		    schema_decode(&node_service_schema, c.value, &s, &error) == -1 ||
		    !select_meta(args->node_meta_filters, n.meta))
			continue;
		buf_clear(&element);
		select_put_service_node(&element, &n, &s);
		if (!select_keeps(l, buf_bytes(&element)))
			continue;
		name_tags_add(&pairs, (struct name_tag){.name = s.service});
		tags = mp_of(s.tags);
		count = s.tags.size > 0 ? mp_array(&tags) : 0;
		for (; count > 0; count--)
			name_tags_add(&pairs, (struct name_tag){s.service, mp_str(&tags), true});
	}
	store_scan_end(&c);
	put_name_tags(q, &pairs);
	free(pairs.at);
	buf_free(&element);
}

int
catalog_list_services(struct query *q)
{
	struct dc_request args;
	struct select l;
	bool by_meta;

	if (query_args(q, &dc_request_schema, &args) == -1 ||
	    select_filter(&l, q, args.filter, &service_node_schema) == -1)
		return -1;
	by_meta = select_has_meta_filters(args.node_meta_filters);
	query_index(q, by_meta ? select_index_all(q->txn, false) : store_index(q->txn, bytes_str("services")));
	query_watch(q, WATCH_TABLE, bytes_str("services"));
	if (by_meta)
		query_watch(q, WATCH_TABLE, bytes_str("nodes"));
	else if (l.filter != NULL)
		query_depend(q, WATCH_TABLE, bytes_str("nodes"));
	query_begin(q, 1);
	mp_put_cstr(q->out, "Services");
	if (by_meta || l.filter != NULL)
		put_selected_services(q, &args, &l);
	else
		put_all_services(q);
	return select_end(&l);
}

int
catalog_service_list(struct query *q)
{
	struct bytes prefix = CATALOG_KEY(q->region, bytes_str("t"));
	struct buf name = BUF_INIT(CATALOG_RECORD_BYTES_MAX);
	struct store_cursor c;
	uint32_t count = 0;
	size_t place;

	query_index(q, store_index(q->txn, bytes_str("services")));
	query_watch(q, WATCH_TABLE, bytes_str("services"));
	query_begin(q, 1);
	mp_put_cstr(q->out, "Services");
	place = mp_open_array(q->out);
	for (store_scan(&c, q->txn, STORE_CATALOG_EXTRA, prefix); store_next(&c);) {
		struct bytes rest = bytes_of(c.key.data + prefix.size, c.key.size - prefix.size);

		buf_clear(&name);
		if (!store_key_take(&rest, &name) || rest.size > 0)
			continue; /* one of the name's tags */
		mp_put_map(q->out, 1);
		mp_put_kv_str(q->out, "Name", buf_bytes(&name));
		count++;
	}
	store_scan_end(&c);
	mp_close(q->out, place, count);
	buf_free(&name);
	return 0;
}

/* ---- Catalog.ServiceNodes ---- */

static void
put_instance(struct select *l, struct bytes node, struct bytes service)
{
	struct node_service s;
	struct node n;
	const char *error;

	if (schema_decode(&node_schema, node, &n, &error) == -1 ||
	    schema_decode(&node_service_schema, service, &s, &error) == -1)
		return;
	select_put_service_node(l->q->out, &n, &s);
	(void)select_next(l);
}

static void
put_named_instances(struct query *q, const struct service_request *args, struct select *l)
{
	struct bytes name = nodes_fold(q->region, args->service_name);
	struct select_instances i;
	bool exists = false;

	query_watch(q, WATCH_SERVICE, name);
	query_depend(q, WATCH_HEALTH, name); /* an instance that goes to another name wakes nobody */
	if (args->connect)
		query_watch(q, WATCH_CONNECT, name);
	select_instances(&i, q, args->connect ? STORE_SERVICE_CONNECT : STORE_SERVICE_NAMES, name);
	while (select_next_instance(&i)) {
		exists = true;
		if (select_meta(args->node_meta_filters, mp_find_raw(i.node, "Meta")) &&
		    (args->connect || select_tags(args, mp_find_raw(i.service, "Tags"))))
			put_instance(l, i.node, i.service);
	}
	select_instances_end(&i);
	query_index(q, select_index_service(q->txn, name, exists, false));
}

/* All instances that have this address, the node's counting where they have none. */
static void
put_instances_at(struct query *q, const struct service_request *args, struct select *l)
{
	struct store_cursor c;

	query_watch(q, WATCH_TABLE, bytes_str("services"));
	query_watch(q, WATCH_TABLE, bytes_str("nodes"));
	query_index(q, select_index_all(q->txn, false));
	for (store_scan(&c, q->txn, STORE_SERVICES, bytes_of(NULL, 0)); store_next(&c);) {
		struct bytes rest = c.key, node, address = mp_find_str(c.value, "Address");

		if (!store_key_take(&rest, NULL) ||
		    !store_get(q->txn, STORE_NODES, bytes_of(c.key.data, c.key.size - rest.size), &node))
			continue;
		if (address.size == 0)
			address = mp_find_str(node, "Address");
		if (bytes_equal(address, args->service_address) &&
		    select_meta(args->node_meta_filters, mp_find_raw(node, "Meta")))
			put_instance(l, node, c.value);
	}
	store_scan_end(&c);
}

int
catalog_service_nodes(struct query *q)
{
	struct service_request args;
	struct select l;

	if (query_args(q, &service_request_schema, &args) == -1)
		return -1;
	if (args.service_name.size == 0 && args.service_address.size == 0)
		return query_fail(q, 0, "Must provide service name");
	if (select_filter(&l, q, args.filter, &service_node_schema) == -1)
		return -1;
	query_begin(q, 1);
	mp_put_cstr(q->out, "ServiceNodes");
	select_begin(&l);
	if (args.peer_name.size > 0)
		query_index(q, 1); /* nothing is imported from peers */
	else if (args.service_address.size > 0)
		put_instances_at(q, &args, &l);
	else
		put_named_instances(q, &args, &l);
	near_sort(&l, args.source);
	select_close(&l);
	return select_end(&l);
}

/* ---- Catalog.NodeServices, NodeServiceList ---- */

#define ID_PREFIX_MIN 2

/* The one node whose ID begins with prefix. */
static bool
find_node_by_id(struct query *q, struct bytes prefix, struct bytes *fold)
{
	struct bytes key = catalog_id_key(q->region, prefix);
	struct store_cursor c;
	unsigned found = 0;

	if (prefix.size < ID_PREFIX_MIN || key.size == 0)
		return false;
	store_scan(&c, q->txn, STORE_NODE_IDS, key);
	while (found < 2 && store_next(&c)) {
		*fold = region_copy(q->region, c.value);
		found++;
	}
	store_scan_end(&c);
	return found == 1;
}

/* The node that args name, with index and watches set. record: its bytes. false: there is none. */
static bool
find_node(struct query *q, const struct node_request *args, struct bytes *key, struct bytes *record)
{
	struct bytes fold = nodes_fold(q->region, args->node);

	query_watch(q, WATCH_NODE, fold);
	*key = CATALOG_KEY(q->region, fold);
	if (!store_get(q->txn, STORE_NODES, *key, record)) {
		if (find_node_by_id(q, args->node, &fold)) {
			query_watch(q, WATCH_NODE, fold);
			*key = CATALOG_KEY(q->region, fold);
		} else if (args->node.size >= ID_PREFIX_MIN && args->node.size <= 36) {
			query_watch(q, WATCH_TABLE, bytes_str("nodes")); /* one with that ID may come */
		}
		if (!store_get(q->txn, STORE_NODES, *key, record)) {
			query_index(q, store_index(q->txn, bytes_str("node_last_extinction")));
			return false;
		}
	}
	query_index(q, store_index2(q->txn, "node.", fold));
	return true;
}

int
catalog_node_services(struct query *q)
{
	struct node_request args;
	struct bytes key, record;
	struct select l;
	struct store_cursor c;
	size_t map;
	uint32_t count = 0;

	if (query_args(q, &node_request_schema, &args) == -1)
		return -1;
	if (args.node.size == 0)
		return query_fail(q, 0, "Must provide node");
	if (select_filter(&l, q, args.filter, &node_service_schema) == -1)
		return -1;
	query_begin(q, 1);
	mp_put_cstr(q->out, "NodeServices");
	if (!find_node(q, &args, &key, &record)) {
		mp_put_nil(q->out);
		return select_end(&l);
	}
	mp_put_map(q->out, 2);
	mp_put_cstr(q->out, "Node");
	buf_put_bytes(q->out, record);
	mp_put_cstr(q->out, "Services");
	map = mp_open_map(q->out);
	for (store_scan(&c, q->txn, STORE_SERVICES, key); store_next(&c);) {
		if (!select_keeps(&l, c.value))
			continue;
		mp_put_bytes(q->out, mp_find_str(c.value, "ID"));
		buf_put_bytes(q->out, c.value);
		count++;
	}
	store_scan_end(&c);
	mp_close(q->out, map, count);
	return select_end(&l);
}

int
catalog_node_service_list(struct query *q)
{
	struct node_request args;
	struct bytes key, record;
	struct select l;
	struct store_cursor c;
	size_t before;

	if (query_args(q, &node_request_schema, &args) == -1)
		return -1;
	if (args.node.size == 0)
		return query_fail(q, 0, "Must provide node");
	if (select_filter(&l, q, args.filter, &node_service_schema) == -1)
		return -1;
	query_begin(q, 1);
	mp_put_cstr(q->out, "NodeServices");
	mp_put_map(q->out, 2);
	mp_put_cstr(q->out, "Node");
	if (!find_node(q, &args, &key, &record)) {
		mp_put_nil(q->out);
		mp_put_cstr(q->out, "Services");
		mp_put_nil(q->out);
		return select_end(&l);
	}
	buf_put_bytes(q->out, record);
	mp_put_cstr(q->out, "Services");
	before = q->out->used;
	select_begin(&l);
	for (store_scan(&c, q->txn, STORE_SERVICES, key); store_next(&c);) {
		buf_put_bytes(q->out, c.value);
		(void)select_next(&l);
	}
	store_scan_end(&c);
	if (l.count == 0 && l.filter == NULL && !q->out->overflow) {
		/* No services at all: null. All of them filtered out: an empty list (http-api.md 9). */
		q->out->used = before;
		mp_put_nil(q->out);
	} else {
		select_close(&l);
	}
	return select_end(&l);
}

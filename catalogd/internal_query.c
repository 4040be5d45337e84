/*
 * internal_query.c - answers of Internal.NodeInfo and Internal.NodeDump, for the web UI (contract: query.h; contents: http-api.md 19.1)
 */
#include "select.h"

static void
put_pair(struct buf *out, const char *name, struct bytes raw)
{
	mp_put_cstr(out, name);
	if (raw.size == 0)
		mp_put_nil(out);
	else
		buf_put_bytes(out, raw);
}

/* All records of a table whose keys begin with the node's. */
static void
put_records(struct query *q, const char *name, enum store_table table, struct bytes node_key)
{
	struct store_cursor c;
	size_t place;
	uint32_t count = 0;

	mp_put_cstr(q->out, name);
	place = mp_open_array(q->out);
	for (store_scan(&c, q->txn, table, node_key); store_next(&c); count++)
		buf_put_bytes(q->out, c.value);
	store_scan_end(&c);
	mp_close(q->out, place, count);
}

static void
put_node_info(struct query *q, struct bytes node_key, struct bytes node)
{
	mp_put_map(q->out, 9);
	put_pair(q->out, "ID", mp_find_raw(node, "ID"));
	put_pair(q->out, "Node", mp_find_raw(node, "Node"));
	mp_put_kv_cstr(q->out, "Partition", "");
	mp_put_kv_cstr(q->out, "PeerName", "");
	put_pair(q->out, "Address", mp_find_raw(node, "Address"));
	put_pair(q->out, "TaggedAddresses", mp_find_raw(node, "TaggedAddresses"));
	put_pair(q->out, "Meta", mp_find_raw(node, "Meta"));
	put_records(q, "Services", STORE_SERVICES, node_key);
	put_records(q, "Checks", STORE_CHECKS, node_key);
}

int
internal_node_info(struct query *q)
{
	struct node_request args;
	struct bytes fold, key, node;

	if (query_args(q, &node_request_schema, &args) == -1)
		return -1;
	fold = nodes_fold(q->region, args.node);
	key = CATALOG_KEY(q->region, fold);
	query_index(q, select_index_all(q->txn, true));
	query_watch(q, WATCH_NODE, fold);
	query_watch(q, WATCH_NODE_CHECKS, fold);
	query_begin(q, 1);
	mp_put_cstr(q->out, "Dump");
	if (!store_get(q->txn, STORE_NODES, key, &node)) {
		mp_put_array(q->out, 0);
		return 0;
	}
	mp_put_array(q->out, 1);
	put_node_info(q, key, node);
	return 0;
}

int
internal_node_dump(struct query *q)
{
	struct dc_request args;
	struct select l;
	struct store_cursor c;

	if (query_args(q, &dc_request_schema, &args) == -1 ||
	    select_filter(&l, q, args.filter, &node_info_schema) == -1)
		return -1;
	query_index(q, select_index_all(q->txn, true));
	query_watch(q, WATCH_TABLE, bytes_str("nodes"));
	query_watch(q, WATCH_TABLE, bytes_str("services"));
	query_watch(q, WATCH_TABLE, bytes_str("checks"));
	query_begin(q, 1);
	mp_put_cstr(q->out, "Dump");
	select_begin(&l);
	for (store_scan(&c, q->txn, STORE_NODES, bytes_of(NULL, 0)); store_next(&c);) {
		put_node_info(q, c.key, c.value);
		(void)select_next(&l);
	}
	store_scan_end(&c);
	select_close(&l);
	return select_end(&l);
}

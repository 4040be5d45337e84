/*
 * health_query.c - answers of Health.* and of Internal.ServiceDump, which has the same elements (contract: query.h; indexes and what wakes: http-api.md 4.1; contents: 13)
 *
 * An element of health/service is the concatenation of three kinds of stored records: nothing is decoded that is not asked about.
 */
#include "near.h"
#include "select.h"

/* HealthFilterType of the request. */
enum { KEEP_ALL, KEEP_NOT_CRITICAL, KEEP_PASSING };

struct health_list {
	struct select list;
	const struct service_request *args;
	/* The own checks of one node, which all of its instances share. */
	struct buf checks_of; /* its key; empty: none yet */
	struct buf node_checks;
	uint32_t node_check_count;
	bool node_checks_good;
	struct buf prefix;
	struct buf key;
};

static bool
check_is_good(const struct service_request *args, struct bytes check)
{
	if (args->health_filter_type == KEEP_ALL)
		return true;
	if (args->health_filter_type == KEEP_PASSING)
		return bytes_is(mp_find_str(check, "Status"), "passing");
	return !bytes_is(mp_find_str(check, "Status"), "critical");
}

/*
 * Appends the checks of an instance (id: the service ID's part of its key), or of the node itself, to out. *good is cleared
 * if one of them makes the instance unfit for the answer.
 */
static uint32_t
put_checks(struct health_list *h, struct bytes node_key, struct bytes id, struct buf *out, bool *good)
{
	struct query *q = h->list.q;
	struct store_cursor c;
	uint32_t count = 0;
	struct bytes prefix, check;

	buf_clear(&h->prefix);
	store_key_part(&h->prefix, bytes_str("c"));
	buf_put_bytes(&h->prefix, node_key);
	buf_put_bytes(&h->prefix, id);
	prefix = buf_bytes(&h->prefix);
	for (store_scan(&c, q->txn, STORE_CATALOG_EXTRA, prefix); store_next(&c);) {
		buf_clear(&h->key);
		buf_put_bytes(&h->key, node_key);
		buf_put(&h->key, c.key.data + prefix.size, c.key.size - prefix.size);
		if (!store_get(q->txn, STORE_CHECKS, buf_bytes(&h->key), &check))
			continue;
		*good = *good && check_is_good(h->args, check);
		buf_put_bytes(out, check);
		count++;
	}
	store_scan_end(&c);
	return count;
}

static const struct bytes empty_part = {(const uint8_t *)"\x00\x01", 2}; /* key of the empty service ID */

static void
put_instance(struct health_list *h, const struct select_instances *i)
{
	struct buf *out = h->list.q->out;
	bool good;
	size_t place;
	uint32_t count;

	if (h->checks_of.used == 0 || !bytes_equal(i->node_key, buf_bytes(&h->checks_of))) {
		buf_clear(&h->checks_of);
		buf_put_bytes(&h->checks_of, i->node_key);
		buf_clear(&h->node_checks);
		h->node_checks_good = true;
		h->node_check_count = put_checks(h, i->node_key, empty_part, &h->node_checks, &h->node_checks_good);
	}
	if (!h->node_checks_good)
		return;
	good = true;
	mp_put_map(out, 3);
	mp_put_cstr(out, "Node");
	buf_put_bytes(out, i->node);
	mp_put_cstr(out, "Service");
	buf_put_bytes(out, i->service);
	mp_put_cstr(out, "Checks");
	place = mp_open_array(out);
	buf_put_bytes(out, buf_bytes(&h->node_checks));
	count = put_checks(
	    h, i->node_key, bytes_of(i->key.data + i->node_key.size, i->key.size - i->node_key.size), out, &good);
	mp_close(out, place, h->node_check_count + count);
	if (good)
		(void)select_next(&h->list);
	else
		out->used = h->list.mark;
}

/* Instances of a plain name. */
static void
put_plain(struct query *q, struct health_list *h, struct bytes name)
{
	struct select_instances i;
	bool exists = false;

	query_watch(q, WATCH_HEALTH, name);
	select_instances(&i, q, STORE_SERVICE_NAMES, name);
	while (select_next_instance(&i)) {
		exists = true;
		if (select_meta(h->args->node_meta_filters, mp_find_raw(i.node, "Meta")) &&
		    select_tags(h->args, mp_find_raw(i.service, "Tags")))
			put_instance(h, &i);
	}
	select_instances_end(&i);
	query_index(q, select_index_service(q->txn, name, exists, true));
}

/* Mesh endpoints of a name: other names count for the index. */
static void
put_connect(struct query *q, struct health_list *h, struct bytes name)
{
	struct select_instances i;
	bool exists = false;

	query_watch(q, WATCH_CONNECT, name);
	select_instances(&i, q, STORE_SERVICE_CONNECT, name);
	while (select_next_instance(&i)) {
		struct bytes own = nodes_fold(q->region, mp_find_str(i.service, "Service"));

		exists = true;
		query_index(q, select_index_service(q->txn, own, true, true));
		if (select_meta(h->args->node_meta_filters, mp_find_raw(i.node, "Meta")))
			put_instance(h, &i);
	}
	select_instances_end(&i);
	if (!exists) {
		query_watch(q, WATCH_HEALTH, name);
		query_index(q, select_index_service(q->txn, name, false, true));
	}
}

/* 0, or -1 after query_fail. data_pairs: of the reply, "Nodes" is the first. */
static int
begin_elements(struct query *q, struct health_list *h, struct bytes filter, uint32_t data_pairs)
{
	if (select_filter(&h->list, q, filter, &check_service_node_schema) == -1)
		return -1;
	buf_init(&h->checks_of, CATALOG_RECORD_BYTES_MAX);
	buf_init(&h->node_checks, q->out->max);
	buf_init(&h->prefix, CATALOG_RECORD_BYTES_MAX);
	buf_init(&h->key, CATALOG_RECORD_BYTES_MAX);
	query_begin(q, data_pairs);
	mp_put_cstr(q->out, "Nodes");
	select_begin(&h->list);
	return 0;
}

static int
end_elements(struct health_list *h)
{
	buf_free(&h->checks_of);
	buf_free(&h->node_checks);
	buf_free(&h->prefix);
	buf_free(&h->key);
	return select_end(&h->list);
}

int
health_service_nodes(struct query *q)
{
	struct service_request args;
	struct health_list h = {.args = &args};

	if (query_args(q, &service_request_schema, &args) == -1)
		return -1;
	if (args.service_name.size == 0)
		return query_fail(q, 0, "Must provide service name");
	if (begin_elements(q, &h, args.filter, 1) == -1)
		return -1;
	if (args.peer_name.size > 0 || args.ingress)
		query_index(q, 1); /* nothing is imported from peers, no gateway exposes anything */
	else if (args.connect)
		put_connect(q, &h, nodes_fold(q->region, args.service_name));
	else
		put_plain(q, &h, nodes_fold(q->region, args.service_name));
	near_sort(&h.list, args.source);
	select_close(&h.list);
	return end_elements(&h);
}

int
internal_service_dump(struct query *q)
{
	static const struct service_request keep_all = {.health_filter_type = KEEP_ALL};
	struct service_dump_request args;
	struct health_list h = {.args = &keep_all};
	struct select_instances i;

	if (query_args(q, &service_dump_request_schema, &args) == -1 || begin_elements(q, &h, args.filter, 3) == -1)
		return -1;
	query_index(q, select_index_all(q->txn, true));
	query_watch(q, WATCH_TABLE, bytes_str("nodes"));
	query_watch(q, WATCH_TABLE, bytes_str("services"));
	query_watch(q, WATCH_TABLE, bytes_str("checks"));
	if (args.peer_name.size == 0) {
		select_instances(&i, q, STORE_SERVICE_NAMES, bytes_of(NULL, 0));
		while (select_next_instance(&i))
			if (!args.use_service_kind || bytes_equal(mp_find_str(i.service, "Kind"), args.service_kind))
				put_instance(&h, &i);
		select_instances_end(&i);
	}
	select_close(&h.list);
	mp_put_cstr(q->out, "ImportedNodes");
	mp_put_array(q->out, 0);
	mp_put_cstr(q->out, "Gateways");
	mp_put_nil(q->out);
	return end_elements(&h);
}

/* ---- lists of checks ---- */

static int
begin_checks(struct query *q, struct select *l, struct bytes filter)
{
	if (select_filter(l, q, filter, &health_check_schema) == -1)
		return -1;
	query_begin(q, 1);
	mp_put_cstr(q->out, "HealthChecks");
	select_begin(l);
	return 0;
}

static void
put_check(struct select *l, struct bytes check)
{
	buf_put_bytes(l->q->out, check);
	(void)select_next(l);
}

/* key: of CHECKS. Is the check on a node that has the metadata? */
static bool
on_selected_node(struct query *q, struct bytes filters, struct bytes key)
{
	struct bytes rest = key, node;

	if (!select_has_meta_filters(filters))
		return true;
	return store_key_take(&rest, NULL) &&
	       store_get(q->txn, STORE_NODES, bytes_of(key.data, key.size - rest.size), &node) &&
	       select_meta(filters, mp_find_raw(node, "Meta"));
}

/* All checks that a table leads to under prefix. */
static void
put_led_checks(struct select *l, enum store_table table, struct bytes prefix, struct bytes meta_filters)
{
	struct query *q = l->q;
	struct store_cursor c;

	for (store_scan(&c, q->txn, table, prefix); store_next(&c);) {
		struct bytes key = bytes_of(c.key.data + prefix.size, c.key.size - prefix.size), check;

		if (on_selected_node(q, meta_filters, key) && store_get(q->txn, STORE_CHECKS, key, &check))
			put_check(l, check);
	}
	store_scan_end(&c);
}

static void
put_own_checks(struct select *l, struct bytes prefix, struct bytes meta_filters)
{
	struct store_cursor c;

	for (store_scan(&c, l->q->txn, STORE_CHECKS, prefix); store_next(&c);)
		if (on_selected_node(l->q, meta_filters, c.key))
			put_check(l, c.value);
	store_scan_end(&c);
}

int
health_node_checks(struct query *q)
{
	struct node_request args;
	struct select l;
	struct bytes fold;

	if (query_args(q, &node_request_schema, &args) == -1 || begin_checks(q, &l, args.filter) == -1)
		return -1;
	fold = nodes_fold(q->region, args.node);
	query_index(q, store_index(q->txn, bytes_str("checks")));
	query_watch(q, WATCH_NODE_CHECKS, fold);
	put_own_checks(&l, CATALOG_KEY(q->region, fold), bytes_of(NULL, 0));
	select_close(&l);
	return select_end(&l);
}

int
health_service_checks(struct query *q)
{
	struct service_request args;
	struct select l;
	struct bytes name;

	if (query_args(q, &service_request_schema, &args) == -1)
		return -1;
	if (args.tag_filter)
		return query_fail(q, 0, "Tag filtering is not supported");
	if (begin_checks(q, &l, args.filter) == -1)
		return -1;
	name = nodes_fold(q->region, args.service_name);
	query_watch(q, WATCH_CHECKS, name);
	if (select_has_meta_filters(args.node_meta_filters)) {
		query_index(q, select_index_service(q->txn, name, true, true));
		query_watch(q, WATCH_TABLE, bytes_str("nodes"));
	} else {
		query_index(q, store_index(q->txn, bytes_str("checks")));
	}
	put_led_checks(&l, STORE_CHECK_SERVICES, CATALOG_KEY(q->region, name), args.node_meta_filters);
	near_sort(&l, args.source);
	select_close(&l);
	return select_end(&l);
}

int
health_checks_in_state(struct query *q)
{
	struct state_request args;
	struct select l;
	struct bytes state;

	if (query_args(q, &state_request_schema, &args) == -1 || begin_checks(q, &l, args.filter) == -1)
		return -1;
	state = nodes_fold(q->region, args.state);
	query_index(q, store_index(q->txn, bytes_str("checks")));
	if (select_has_meta_filters(args.node_meta_filters))
		query_watch(q, WATCH_TABLE, bytes_str("nodes"));
	if (bytes_is(state, "any")) {
		query_watch(q, WATCH_TABLE, bytes_str("checks"));
		put_own_checks(&l, bytes_of(NULL, 0), args.node_meta_filters);
	} else {
		query_watch(q, WATCH_STATE, state);
		put_led_checks(&l, STORE_CHECK_STATES, CATALOG_KEY(q->region, state), args.node_meta_filters);
	}
	near_sort(&l, args.source);
	select_close(&l);
	return select_end(&l);
}

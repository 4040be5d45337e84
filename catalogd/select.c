/*
 * select.c - what the catalog's queries have in common (contract: select.h; callers: *_query.c)
 */
#include "select.h"

#include "filter.h"

uint64_t
select_index_all(struct store_txn *t, bool checks)
{
	uint64_t index = store_index(t, bytes_str("nodes"));
	uint64_t services = store_index(t, bytes_str("services"));

	index = MAX(index, services);
	if (checks) {
		uint64_t c = store_index(t, bytes_str("checks"));

		index = MAX(index, c);
	}
	return index;
}

uint64_t
select_index_service(struct store_txn *t, struct bytes name, bool exists, bool checks)
{
	uint64_t index = 0, left = checks ? store_index2(t, "health.", name) : 0;

	if (!exists)
		index = store_index(t, bytes_str("service_last_extinction"));
	if (index == 0)
		index = store_index2(t, "service.", name);
	if (index == 0)
		index = select_index_all(t, checks);
	return MAX(index, left);
}

/* ---- lists ---- */

int
select_filter(struct select *l, struct query *q, struct bytes filter, const struct schema *s)
{
	struct filter_error error;

	*l = (struct select){.q = q};
	if (filter_compile(filter, s, &l->filter, &error) == -1)
		return query_fail(q, 0, "%s", error.text);
	return 0;
}

void
select_begin(struct select *l)
{
	l->place = mp_open_array(l->q->out);
	l->start = l->mark = l->q->out->used;
}

bool
select_keeps(struct select *l, struct bytes element)
{
	int match = l->filter == NULL ? 1 : filter_match(l->filter, mp_of(element));

	if (match == -1)
		l->failed = true;
	return match == 1;
}

bool
select_next(struct select *l)
{
	struct buf *out = l->q->out;

	if (out->overflow || !select_keeps(l, bytes_of(out->data + l->mark, out->used - l->mark))) {
		out->used = l->mark;
		return false;
	}
	l->mark = out->used;
	l->count++;
	return true;
}

void
select_close(struct select *l)
{
	mp_close(l->q->out, l->place, l->count);
}

int
select_end(struct select *l)
{
	filter_free(l->filter);
	l->filter = NULL;
	return l->failed ? query_fail(l->q, 0, "%s", FILTER_LIMIT_TEXT) : 0;
}

/* ---- elements ---- */

bool
select_has_meta_filters(struct bytes filters)
{
	struct mp in = mp_of(filters);

	return filters.size > 0 && mp_map(&in) > 0;
}

bool
select_meta(struct bytes filters, struct bytes meta)
{
	struct mp in = mp_of(filters);
	uint32_t count = filters.size > 0 ? mp_map(&in) : 0;

	for (; count > 0; count--) {
		struct bytes key = mp_str(&in), value = mp_str(&in);
		struct mp pairs = mp_of(meta);
		uint32_t left = meta.size > 0 ? mp_map(&pairs) : 0;

		for (; left > 0; left--) {
			struct bytes k = mp_str(&pairs), v = mp_str(&pairs);

			if (bytes_equal(k, key) && bytes_equal(v, value))
				break;
		}
		if (left == 0)
			return false;
	}
	return true;
}

static bool
has_tag(struct bytes tags, struct bytes tag)
{
	struct mp in = mp_of(tags);
	uint32_t count = tags.size > 0 ? mp_array(&in) : 0;

	for (; count > 0; count--)
		if (bytes_equal_fold(mp_str(&in), tag))
			return true;
	return false;
}

bool
select_tags(const struct service_request *args, struct bytes tags)
{
	struct mp in = mp_of(args->service_tags);
	uint32_t count = args->service_tags.size > 0 ? mp_array(&in) : 0;

	if (!args->tag_filter)
		return true;
	if (args->service_tag.size > 0)
		return has_tag(tags, args->service_tag);
	for (; count > 0; count--)
		if (!has_tag(tags, mp_str(&in)))
			return false;
	return true;
}

void
select_instances(struct select_instances *i, struct query *q, enum store_table table, struct bytes name)
{
	*i = (struct select_instances){.txn = q->txn};
	buf_init(&i->last_node_key, CATALOG_RECORD_BYTES_MAX);
	if (name.data != NULL)
		i->prefix = CATALOG_KEY(q->region, name);
	store_scan(&i->cursor, q->txn, table, i->prefix);
}

bool
select_next_instance(struct select_instances *i)
{
	while (store_next(&i->cursor)) {
		struct bytes rest;

		i->key = bytes_of(i->cursor.key.data + i->prefix.size, i->cursor.key.size - i->prefix.size);
		if (i->prefix.size == 0 && !store_key_take(&i->key, NULL))
			continue;
		rest = i->key;
		if (!store_key_take(&rest, NULL))
			continue;
		i->node_key = bytes_of(i->key.data, i->key.size - rest.size);
		if (i->last_node_key.used == 0 || !bytes_equal(i->node_key, buf_bytes(&i->last_node_key))) {
			if (!store_get(i->txn, STORE_NODES, i->node_key, &i->node))
				continue;
			buf_clear(&i->last_node_key);
			buf_put_bytes(&i->last_node_key, i->node_key);
		}
		if (store_get(i->txn, STORE_SERVICES, i->key, &i->service))
			return true;
	}
	return false;
}

void
select_instances_end(struct select_instances *i)
{
	store_scan_end(&i->cursor);
	buf_free(&i->last_node_key);
}

void
select_put_service_node(struct buf *out, const struct node *n, const struct node_service *s)
{
	struct mp meta = mp_of(s->meta);
	struct service_node sn = {
	    .id = n->id,
	    .node = n->node,
	    .address = n->address,
	    .datacenter = n->datacenter,
	    .tagged_addresses = n->tagged_addresses,
	    .node_meta = n->meta,
	    .service_kind = s->kind,
	    .service_id = s->id,
	    .service_name = s->service,
	    .service_tags = s->tags,
	    .service_address = s->address,
	    .service_tagged_addresses = s->tagged_addresses,
	    .service_weights = s->weights,
	    .service_meta = mp_peek(&meta) == MP_MAP
				? s->meta
				: bytes_str("\x80"), /* never nil: clients of the reference show it as it comes */
	    .service_port = s->port,
	    .service_socket_path = s->socket_path,
	    .service_enable_tag_override = s->enable_tag_override,
	    .service_proxy = s->proxy,
	    .service_connect = s->connect,
	    .service_locality = s->locality,
	    .create_index = s->create_index,
	    .modify_index = s->modify_index,
	};

	schema_encode(&service_node_schema, &sn, out);
}

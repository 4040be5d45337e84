/*
 * nodes_store.c - changing records of nodes, services and checks (contract: catalog.h; callers: nodes_apply.c)
 *
 * Here alone is written what a change moves: secondary keys, counters, watchers (http-api.md 4.1), sessions. Values that the store
 * hands out die with the next write, so everything is copied into the entry's region before the first one, and scans gather
 * before anything is changed.
 */
#include "catalog.h"
#include "coordinate.h"
#include "session.h"

static const struct bytes kind_check = {(const uint8_t *)"c", 1};
static const struct bytes kind_destination = {(const uint8_t *)"d", 1};
static const struct bytes kind_name = {(const uint8_t *)"n", 1};
static const struct bytes kind_session = {(const uint8_t *)"s", 1};
static const struct bytes kind_tag = {(const uint8_t *)"t", 1};
static const struct bytes empty = {NULL, 0};

/* ---- what changes mean to counters and watchers ---- */

/* The answers about the instances of name are other ones now. */
static void
name_changed(struct apply *a, struct bytes name)
{
	store_index2_set(a->txn, "service.", name, a->index);
	apply_touch(a, WATCH_SERVICE, name);
	apply_touch(a, WATCH_HEALTH, name);
}

/* The same for what only health/service shows. */
static void
health_changed(struct apply *a, struct bytes name)
{
	store_index2_set(a->txn, "service.", name, a->index);
	apply_touch(a, WATCH_HEALTH, name);
}

/* name has lost an instance or a check to another name: its own counter stays (http-api.md 4.1). */
static void
health_left(struct apply *a, struct bytes name)
{
	store_index2_set(a->txn, "health.", name, a->index);
	apply_touch(a, WATCH_HEALTH, name);
}

static void
connect_changed(struct apply *a, struct bytes destination)
{
	if (destination.size > 0)
		apply_touch(a, WATCH_CONNECT, destination);
}

static void
instances_changed(struct apply *a, struct bytes node)
{
	store_index_set(a->txn, bytes_str("nodes"), a->index);
	store_index_set(a->txn, bytes_str("services"), a->index);
	store_index2_set(a->txn, "node.", node, a->index);
	apply_touch(a, WATCH_TABLE, bytes_str("services"));
	apply_touch(a, WATCH_NODE, node);
}

/* All names that have an instance on node, and all names that those are mesh endpoints of. */
static void
node_names_changed(struct apply *a, struct bytes node, void changed(struct apply *, struct bytes))
{
	struct catalog_names names = {0}, destinations = {0};

	catalog_extra_names(a->txn, CATALOG_KEY(a->region, kind_name, node), a->region, &names);
	catalog_extra_names(a->txn, CATALOG_KEY(a->region, kind_destination, node), a->region, &destinations);
	for (size_t i = 0; i < names.count; i++)
		changed(a, names.at[i]);
	for (size_t i = 0; i < destinations.count; i++)
		connect_changed(a, destinations.at[i]);
}

/* ---- secondary keys ---- */

/* A counted key of CATALOG_EXTRA goes up or down; it is there while it is above 0. */
static void
count_add(struct apply *a, struct bytes key, bool up)
{
	struct bytes value;
	uint32_t count =
	    store_get(a->txn, STORE_CATALOG_EXTRA, key, &value) && value.size == 4 ? be32_at(value.data) : 0;
	uint8_t bytes[4];

	if (!up && count <= 1) {
		store_delete(a->txn, STORE_CATALOG_EXTRA, key);
		return;
	}
	count = up ? count + 1 : count - 1;
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(count >> (24 - 8 * i));
	store_put(a->txn, STORE_CATALOG_EXTRA, key, bytes_of(bytes, sizeof bytes));
}

/* A tag that is given twice counts twice, up and down. */
static void
count_tags(struct apply *a, const struct node_service *s, bool up)
{
	struct mp in = mp_of(s->tags);
	uint32_t count = s->tags.size > 0 ? mp_array(&in) : 0;

	count_add(a, CATALOG_KEY(a->region, kind_tag, s->service), up);
	for (; count > 0; count--)
		count_add(a, CATALOG_KEY(a->region, kind_tag, s->service, mp_str(&in)), up);
}

/* The keys under which an instance is found besides its own. */
struct leads {
	const struct node_service *record;
	struct bytes name;        /* folded */
	struct bytes destination; /* folded; empty: none */
};

static struct leads
leads_of(struct apply *a, const struct node_service *s)
{
	return (struct leads){s, nodes_fold(a->region, s->service), catalog_connect_name(a->region, s)};
}

static void
set_leads(struct apply *a, struct bytes node, struct bytes id, const struct leads *l, bool on)
{
	struct bytes by_name = CATALOG_KEY(a->region, l->name, node, id);

	if (on)
		store_put(a->txn, STORE_SERVICE_NAMES, by_name, empty);
	else
		store_delete(a->txn, STORE_SERVICE_NAMES, by_name);
	count_add(a, CATALOG_KEY(a->region, kind_name, node, l->name), on);
	if (l->destination.size == 0)
		return;
	by_name = CATALOG_KEY(a->region, l->destination, node, id);
	if (on)
		store_put(a->txn, STORE_SERVICE_CONNECT, by_name, empty);
	else
		store_delete(a->txn, STORE_SERVICE_CONNECT, by_name);
	count_add(a, CATALOG_KEY(a->region, kind_destination, node, l->destination), on);
}

static void
change_leads(struct apply *a, struct bytes node, struct bytes id, const struct leads *was, const struct leads *is)
{
	bool same_tags = was != NULL && is != NULL && bytes_equal(was->record->service, is->record->service) &&
			 bytes_equal(was->record->tags, is->record->tags);
	bool same_names = was != NULL && is != NULL && bytes_equal(was->name, is->name) &&
			  bytes_equal(was->destination, is->destination);

	if (was != NULL && !same_names)
		set_leads(a, node, id, was, false);
	if (is != NULL && !same_names)
		set_leads(a, node, id, is, true);
	if (was != NULL && !same_tags)
		count_tags(a, was->record, false);
	if (is != NULL && !same_tags)
		count_tags(a, is->record, true);
}

static bool
follows_session(const struct health_check *c)
{
	return bytes_is(c->type, "session") && c->definition.size > 0 &&
	       mp_find_str(c->definition, "SessionName").size > 0;
}

/* The keys under which a check is found besides its own, by slot; size 0: not there. */
struct check_leads {
	struct bytes state, instance, service, session;
};

static struct check_leads
check_leads_of(struct apply *a, struct bytes node, const struct health_check *c)
{
	struct region *r = a->region;
	struct bytes id = nodes_fold(r, c->check_id);
	struct check_leads l = {0};

	l.state = CATALOG_KEY(r, nodes_fold(r, c->status), node, id);
	l.instance = CATALOG_KEY(r, kind_check, node, nodes_fold(r, c->service_id), id);
	if (c->service_name.size > 0)
		l.service = CATALOG_KEY(r, nodes_fold(r, c->service_name), node, id);
	if (follows_session(c))
		l.session = CATALOG_KEY(r, kind_session, node, mp_find_str(c->definition, "SessionName"), id);
	return l;
}

static void
change_lead(struct apply *a, enum store_table table, struct bytes was, struct bytes is)
{
	if (bytes_equal(was, is))
		return;
	if (was.size > 0)
		store_delete(a->txn, table, was);
	if (is.size > 0)
		store_put(a->txn, table, is, empty);
}

/* was or is may be NULL. */
static void
change_check_leads(struct apply *a, struct bytes node, const struct health_check *was, const struct health_check *is)
{
	struct check_leads l = {0}, m = {0};

	if (was != NULL)
		l = check_leads_of(a, node, was);
	if (is != NULL)
		m = check_leads_of(a, node, is);
	change_lead(a, STORE_CHECK_STATES, l.state, m.state);
	change_lead(a, STORE_CATALOG_EXTRA, l.instance, m.instance);
	change_lead(a, STORE_CHECK_SERVICES, l.service, m.service);
	change_lead(a, STORE_CATALOG_EXTRA, l.session, m.session);
}

/* ---- records ---- */

static void
record_put(struct apply *a, enum store_table table, struct bytes key, const struct schema *s, const void *record)
{
	struct buf out = BUF_INIT(CATALOG_RECORD_BYTES_MAX);

	schema_encode(s, record, &out);
	store_put(a->txn, table, key, buf_bytes(&out));
	buf_free(&out);
}

/* The table has exactly this already. */
static bool
record_is(struct apply *a, enum store_table table, struct bytes key, const struct schema *s, const void *record)
{
	struct buf out = BUF_INIT(CATALOG_RECORD_BYTES_MAX);
	struct bytes old;
	bool same;

	schema_encode(s, record, &out);
	same = store_get(a->txn, table, key, &old) && bytes_equal(old, buf_bytes(&out));
	buf_free(&out);
	return same;
}

static void
change_node_id(struct apply *a, struct bytes fold, struct bytes was, struct bytes is)
{
	struct bytes was_key = catalog_id_key(a->region, was), is_key = catalog_id_key(a->region, is);
	struct bytes holder;

	if (bytes_equal(was_key, is_key))
		return;
	if (was_key.size > 0 && store_get(a->txn, STORE_NODE_IDS, was_key, &holder) && bytes_equal(holder, fold))
		store_delete(a->txn, STORE_NODE_IDS, was_key);
	if (is_key.size > 0)
		store_put(a->txn, STORE_NODE_IDS, is_key, fold);
}

void
catalog_put_node(struct apply *a, struct bytes fold, struct node *n, const struct node *from)
{
	struct bytes key = CATALOG_KEY(a->region, fold);
	struct node old;
	bool had = catalog_copy_node(a->txn, key, a->region, &old);
	const struct node *before = from != NULL ? from : had ? &old : NULL;

	n->create_index = before != NULL ? before->create_index : a->index;
	n->modify_index = before != NULL ? before->modify_index : a->index;
	if (record_is(a, STORE_NODES, key, &node_schema, n))
		return;
	n->modify_index = a->index;
	record_put(a, STORE_NODES, key, &node_schema, n);
	change_node_id(a, fold, had ? old.id : empty, n->id);
	store_index_set(a->txn, bytes_str("nodes"), a->index);
	store_index2_set(a->txn, "node.", fold, a->index);
	apply_touch(a, WATCH_TABLE, bytes_str("nodes"));
	apply_touch(a, WATCH_NODE, fold);
	node_names_changed(a, fold, name_changed);
}

void
catalog_delete_node(struct apply *a, struct bytes fold)
{
	struct bytes key = CATALOG_KEY(a->region, fold);
	struct catalog_names services = {0}, checks = {0};
	struct buf id = BUF_INIT(CATALOG_RECORD_BYTES_MAX);
	struct store_cursor c;
	struct node old;

	if (!catalog_copy_node(a->txn, key, a->region, &old))
		return;
	session_node_removed(a, fold);
	coordinate_node_removed(a, fold);
	for (store_scan(&c, a->txn, STORE_SERVICES, key); store_next(&c);) {
		struct bytes rest = bytes_of(c.key.data + key.size, c.key.size - key.size);

		buf_clear(&id);
		if (store_key_take(&rest, &id))
			catalog_names_add(&services, a->region, buf_bytes(&id));
	}
	store_scan_end(&c);
	for (size_t i = 0; i < services.count; i++)
		catalog_delete_service(a, fold, services.at[i]);
	for (store_scan(&c, a->txn, STORE_CHECKS, key); store_next(&c);) {
		struct bytes rest = bytes_of(c.key.data + key.size, c.key.size - key.size);

		buf_clear(&id);
		if (store_key_take(&rest, &id))
			catalog_names_add(&checks, a->region, buf_bytes(&id));
	}
	store_scan_end(&c);
	buf_free(&id);
	for (size_t i = 0; i < checks.count; i++)
		catalog_delete_check(a, fold, checks.at[i]);
	store_delete(a->txn, STORE_NODES, key);
	change_node_id(a, fold, old.id, empty);
	store_index_set(a->txn, bytes_str("nodes"), a->index);
	store_index_set(a->txn, bytes_str("node_last_extinction"), a->index);
	store_index2_drop(a->txn, "node.", fold);
	apply_touch(a, WATCH_TABLE, bytes_str("nodes"));
	apply_touch(a, WATCH_NODE, fold);
}

void
catalog_put_service(struct apply *a, struct bytes node, struct node_service *s)
{
	struct bytes id = nodes_fold(a->region, s->id);
	struct bytes key = CATALOG_KEY(a->region, node, id);
	struct node_service old;
	bool had = catalog_copy_service(a->txn, key, a->region, &old);
	struct leads was, is;

	s->create_index = had ? old.create_index : a->index;
	s->modify_index = had ? old.modify_index : a->index;
	if (record_is(a, STORE_SERVICES, key, &node_service_schema, s))
		return;
	s->modify_index = a->index;
	record_put(a, STORE_SERVICES, key, &node_service_schema, s);
	is = leads_of(a, s);
	if (had)
		was = leads_of(a, &old);
	change_leads(a, node, id, had ? &was : NULL, &is);
	instances_changed(a, node);
	name_changed(a, is.name);
	connect_changed(a, is.destination);
	if (had && !bytes_equal(was.name, is.name))
		health_left(a, was.name);
	if (had && !bytes_equal(was.destination, is.destination))
		connect_changed(a, was.destination);
}

/* Is there an instance called name (folded)? */
static bool
name_exists(struct apply *a, struct bytes name)
{
	struct bytes prefix = CATALOG_KEY(a->region, name);
	struct store_cursor c;
	bool exists;

	store_scan(&c, a->txn, STORE_SERVICE_NAMES, prefix);
	exists = store_next(&c);
	store_scan_end(&c);
	return exists;
}

void
catalog_delete_service(struct apply *a, struct bytes node, struct bytes service_id)
{
	struct bytes key = CATALOG_KEY(a->region, node, service_id);
	struct catalog_names checks = {0};
	struct node_service old;
	struct leads was;

	if (!catalog_copy_service(a->txn, key, a->region, &old))
		return;
	was = leads_of(a, &old);
	catalog_extra_names(a->txn, CATALOG_KEY(a->region, kind_check, node, service_id), a->region, &checks);
	for (size_t i = 0; i < checks.count; i++)
		catalog_delete_check(a, node, checks.at[i]);
	store_delete(a->txn, STORE_SERVICES, key);
	change_leads(a, node, service_id, &was, NULL);
	instances_changed(a, node);
	store_index_set(a->txn, bytes_str("checks"), a->index);
	name_changed(a, was.name);
	connect_changed(a, was.destination);
	if (!name_exists(a, was.name)) {
		store_index2_drop(a->txn, "service.", was.name);
		store_index2_drop(a->txn, "health.", was.name);
		store_index_set(a->txn, bytes_str("service_last_extinction"), a->index);
	}
}

/* Check c has come, changed or gone: whom does it concern? A check of the node concerns all instances on it. */
static void
check_changed(
    struct apply *a, struct bytes node, const struct health_check *c, void changed(struct apply *, struct bytes))
{
	struct node_service s;
	struct region *r = a->region;

	apply_touch(a, WATCH_STATE, nodes_fold(r, c->status));
	if (c->service_name.size > 0)
		apply_touch(a, WATCH_CHECKS, nodes_fold(r, c->service_name));
	if (c->service_id.size == 0) {
		node_names_changed(a, node, changed);
	} else if (catalog_copy_service(a->txn, CATALOG_KEY(r, node, nodes_fold(r, c->service_id)), r, &s)) {
		changed(a, nodes_fold(r, s.service));
		connect_changed(a, catalog_connect_name(r, &s));
	}
}

static void
checks_changed(struct apply *a, struct bytes node)
{
	store_index_set(a->txn, bytes_str("checks"), a->index);
	apply_touch(a, WATCH_TABLE, bytes_str("checks"));
	apply_touch(a, WATCH_NODE_CHECKS, node);
}

/* c as it is to be. true: that was a change. */
static bool
put_check(struct apply *a, struct bytes node, struct health_check *c)
{
	struct region *r = a->region;
	struct bytes key = CATALOG_KEY(r, node, nodes_fold(r, c->check_id));
	struct health_check old;
	bool had = catalog_copy_check(a->txn, key, r, &old);

	c->create_index = had ? old.create_index : a->index;
	c->modify_index = had ? old.modify_index : a->index;
	if (record_is(a, STORE_CHECKS, key, &health_check_schema, c))
		return false;
	c->modify_index = a->index;
	record_put(a, STORE_CHECKS, key, &health_check_schema, c);
	change_check_leads(a, node, had ? &old : NULL, c);
	checks_changed(a, node);
	if (had) {
		/* What is no longer this check's instance sees it go. */
		bool moved = !bytes_equal_fold(old.service_id, c->service_id);

		apply_touch(a, WATCH_STATE, nodes_fold(r, old.status));
		if (old.service_name.size > 0)
			apply_touch(a, WATCH_CHECKS, nodes_fold(r, old.service_name));
		if (moved)
			check_changed(a, node, &old, health_left);
	}
	check_changed(a, node, c, health_changed);
	return true;
}

void
catalog_put_check(struct apply *a, struct bytes node, struct health_check *c)
{
	struct region *r = a->region;
	struct node_service s;

	if (c->status.size == 0)
		c->status = bytes_str("critical");
	if (c->service_id.size > 0 &&
	    catalog_copy_service(a->txn, CATALOG_KEY(r, node, nodes_fold(r, c->service_id)), r, &s)) {
		c->service_name = s.service;
		c->service_tags = s.tags;
	}
	if (put_check(a, node, c) && bytes_is(c->status, "critical") && !bytes_is(c->type, "session"))
		session_check_critical(a, node, nodes_fold(r, c->check_id));
}

void
catalog_delete_check(struct apply *a, struct bytes node, struct bytes check_id)
{
	struct bytes key = CATALOG_KEY(a->region, node, check_id);
	struct health_check old;

	if (!catalog_copy_check(a->txn, key, a->region, &old))
		return;
	change_check_leads(a, node, &old, NULL);
	store_delete(a->txn, STORE_CHECKS, key);
	checks_changed(a, node);
	if (old.service_id.size == 0)
		store_index_set(a->txn, bytes_str("services"), a->index);
	check_changed(a, node, &old, health_changed);
	session_check_removed(a, node, check_id);
}

void
nodes_session_checks(
    struct apply *a, struct bytes node, struct bytes session_name, const char *status, const char *output)
{
	struct bytes fold = nodes_fold(a->region, node);
	struct catalog_names ids = {0};
	struct health_check c;

	catalog_extra_names(a->txn, CATALOG_KEY(a->region, kind_session, fold, session_name), a->region, &ids);
	for (size_t i = 0; i < ids.count; i++) {
		if (!catalog_copy_check(a->txn, CATALOG_KEY(a->region, fold, ids.at[i]), a->region, &c))
			continue;
		c.status = bytes_str(status);
		c.output = bytes_str(output);
		(void)put_check(a, fold, &c);
	}
}

/*
 * sync_compare.c - what the catalog has on this node against what is registered (contract: sync_private.h; caller: sync.c)
 */
#include "sync_private.h"

#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "log.h"
#include "mem.h"
#include "structs.h"

/* The keys that servers add are not ours to judge. */
static struct bytes
without_consul_keys(struct bytes map, struct buf *b)
{
	struct mp in = mp_of(map);
	uint32_t pairs = map.size == 0 || mp_peek(&in) != MP_MAP ? 0 : mp_map(&in), kept = 0;
	size_t place = mp_open_map(b);

	for (; pairs > 0; pairs--) {
		struct bytes key = mp_str(&in), value = mp_raw(&in);
		if (bytes_has_prefix(key, bytes_str("consul-")))
			continue;
		mp_put_bytes(b, key);
		buf_put_bytes(b, value);
		kept++;
	}
	mp_close(b, place, kept);
	return buf_bytes(b);
}

static void
compare_service(struct sync *s, struct bytes raw)
{
	struct local *l = s->options.local;
	struct buf addresses = BUF_INIT(REQUEST_BYTES_MAX), theirs = BUF_INIT(REQUEST_BYTES_MAX);
	struct node_service form;
	struct local_service *v;
	const char *bad;

	if (schema_decode(&node_service_schema, raw, &form, &bad) == -1)
		return;
	v = local_service_any(l, form.id);
	if (v == NULL) {
		if (!bytes_is(form.id, "consul")) {
			char *id = bytes_dup(form.id);
			sync_add_item(s, DROP_SERVICE, id, 0);
			free(id);
		}
	} else if (!v->deleted) {
		if (v->service.enable_tag_override)
			local_set_tags(l, v, form.tags);
		form.tagged_addresses = without_consul_keys(form.tagged_addresses, &addresses);
		schema_encode(&node_service_schema, &form, &theirs);
		if (compare_forms(&node_service_schema, buf_bytes(&theirs), buf_bytes(&v->message)))
			v->in_sync = true;
		else
			local_unsync_service(v);
	}
	buf_free(&addresses);
	buf_free(&theirs);
}

void
sync_compare_services(struct sync *s, struct bytes body)
{
	struct bytes list = mp_find_raw(body, "NodeServices");
	struct bytes node = list.size != 0 ? mp_find_raw(list, "Node") : list;
	struct bytes services = list.size != 0 ? mp_find_raw(list, "Services") : list;
	const struct sync_options *o = &s->options;
	struct mp in = mp_of(services);
	uint32_t count = services.size == 0 || mp_peek(&in) != MP_ARRAY ? 0 : mp_array(&in);
	struct node form = {0};
	const char *bad;

	for (size_t i = 0; i < local_service_count(o->local); i++)
		local_unsync_service(local_service_at(o->local, i));
	if (node.size == 0 || schema_decode(&node_schema, node, &form, &bad) == -1)
		form = (struct node){0};
	s->node_in_sync =
	    bytes_equal(form.id, bytes_str(o->node_id)) && bytes_equal(form.address, bytes_str(o->address)) &&
	    compare_strmap(form.tagged_addresses, o->tagged_addresses) && compare_strmap(form.meta, o->node_meta) &&
	    compare_forms(&locality_schema, form.locality, o->locality);
	for (; count > 0; count--)
		compare_service(s, mp_raw(&in));
}

static bool
same_check(const struct sync *s, const struct local_check *c, struct bytes theirs)
{
	static const char *const fields[] = {
	    "Node", "CheckID", "Name", "Status", "Notes", "ServiceID", "ServiceName", "ServiceTags", "Definition"};
	struct buf ours = BUF_INIT(REQUEST_BYTES_MAX);
	bool same = true;

	local_encode_check(s->options.local, c, &ours);
	for (size_t i = 0; i < COUNTOF(fields); i++)
		same = same && compare_field(&health_check_schema, fields[i], buf_bytes(&ours), theirs);
	if (c->deferral == NULL)
		same = same && compare_field(&health_check_schema, "Output", buf_bytes(&ours), theirs);
	buf_free(&ours);
	return same;
}

/* After a restart of checkd alone a check that has not run yet is what the catalog has. */
static void
take_over(struct local_check *c, const struct health_check *theirs)
{
	if (c->touched || c->maintenance || status_parse(theirs->status, &c->status) == -1)
		return;
	c->touched = true;
	if (c->status == STATUS_CRITICAL && c->critical_since.ns == 0)
		c->critical_since = monotime_now();
	buf_clear(&c->output);
	buf_put_bytes(&c->output, theirs->output);
}

static bool
dropped_already(const struct sync *s, struct bytes service_id)
{
	if (service_id.size == 0)
		return false;
	for (size_t i = 0; i < s->item_count; i++)
		if (s->items[i].kind == DROP_SERVICE && bytes_is(service_id, s->items[i].id))
			return true;
	return false;
}

static void
compare_check(struct sync *s, struct bytes raw)
{
	struct health_check form;
	struct local_check *c;
	const char *bad;

	if (schema_decode(&health_check_schema, raw, &form, &bad) == -1)
		return;
	c = local_check_any(s->options.local, form.check_id);
	if (c == NULL) {
		if (bytes_is(form.check_id, "serfHealth")) {
			log_debug(LOG, "Skipping remote check since it is managed automatically: check=serfHealth");
		} else if (!dropped_already(s, form.service_id)) {
			char *id = bytes_dup(form.check_id);
			sync_add_item(s, DROP_CHECK, id, 0);
			free(id);
		}
		return;
	}
	if (c->deleted)
		return;
	if (s->options.resume && !s->read_once)
		take_over(c, &form);
	if (same_check(s, c, raw))
		c->in_sync = true;
	else
		local_unsync_check(c);
}

void
sync_compare_checks(struct sync *s, struct bytes body)
{
	const struct local *l = s->options.local;
	struct bytes list = mp_find_raw(body, "HealthChecks");
	struct mp in = mp_of(list);
	uint32_t count = list.size == 0 || mp_peek(&in) != MP_ARRAY ? 0 : mp_array(&in);

	for (size_t i = 0; i < local_check_count(l); i++)
		local_unsync_check(local_check_at(l, i));
	for (; count > 0; count--)
		compare_check(s, mp_raw(&in));
}

/*
 * local.c - what is registered on this node (contract: local.h; callers: register.c, serve.c, sync.c, check.c, persist.c)
 *
 * Two arrays of pointers, sorted by ID. Invariant: no two elements of one array have the same ID; a tombstone
 * has in_sync false until it is purged.
 */
#include "local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "log.h"
#include "mem.h"

#define MESSAGE_BYTES_MAX (16u * 1024 * 1024)
#define OUTPUT_BYTES_MAX (16u * 1024 * 1024)

struct local {
	struct local_settings settings;
	struct local_events events;
	struct local_service **services;
	size_t service_count, service_size;
	struct local_check **checks;
	size_t check_count, check_size;
};

struct local *
local_new(const struct local_settings *settings, const struct local_events *events)
{
	struct local *l = xcalloc(1, sizeof *l);

	l->settings = *settings;
	if (events != NULL)
		l->events = *events;
	return l;
}

static void
free_service(struct local_service *s)
{
	free(s->id);
	free(s->name);
	free(s->token);
	buf_free(&s->message);
	buf_free(&s->defined);
	free(s);
}

static void
free_check(struct local *l, struct local_check *c)
{
	if (l->events.check_gone != NULL)
		l->events.check_gone(l->events.ctx, c);
	free(c->id);
	free(c->name);
	free(c->notes);
	free(c->service_id);
	free(c->service_name);
	free(c->token);
	free(c->type_text);
	free(c->interval_text);
	free(c->timeout_text);
	buf_free(&c->tags);
	buf_free(&c->message);
	buf_free(&c->output);
	free(c);
}

void
local_free(struct local *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->service_count; i++)
		free_service(l->services[i]);
	for (size_t i = 0; i < l->check_count; i++)
		free_check(l, l->checks[i]);
	free(l->services);
	free(l->checks);
	free(l);
}

void
local_set(struct local *l, const struct local_settings *settings)
{
	l->settings = *settings;
}

const struct local_settings *
local_settings(const struct local *l)
{
	return &l->settings;
}

/* ---- finding ---- */

size_t
local_service_count(const struct local *l)
{
	return l->service_count;
}

struct local_service *
local_service_at(const struct local *l, size_t i)
{
	return l->services[i];
}

size_t
local_check_count(const struct local *l)
{
	return l->check_count;
}

struct local_check *
local_check_at(const struct local *l, size_t i)
{
	return l->checks[i];
}

/* Both element types begin with their ID. */
static size_t
lower_bound(void *const *elements, size_t count, struct bytes id, bool *found)
{
	size_t low = 0, high = count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *other = *(char *const *)elements[middle];
		int order = bytes_compare(bytes_str(other), id);
		if (order == 0)
			*found = true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct local_service *
local_service_any(const struct local *l, struct bytes id)
{
	bool found;
	size_t i = lower_bound((void *const *)l->services, l->service_count, id, &found);

	return found ? l->services[i] : NULL;
}

struct local_check *
local_check_any(const struct local *l, struct bytes id)
{
	bool found;
	size_t i = lower_bound((void *const *)l->checks, l->check_count, id, &found);

	return found ? l->checks[i] : NULL;
}

struct local_service *
local_service(const struct local *l, struct bytes id)
{
	struct local_service *s = local_service_any(l, id);

	return s != NULL && !s->deleted ? s : NULL;
}

struct local_check *
local_check(const struct local *l, struct bytes id)
{
	struct local_check *c = local_check_any(l, id);

	return c != NULL && !c->deleted ? c : NULL;
}

static void
insert(void ***elements, size_t *count, size_t *size, size_t at, void *element)
{
	if (*count == *size) {
		*size = *size == 0 ? 16 : *size * 2;
		*elements = xreallocarray(*elements, *size, sizeof **elements);
	}
	memmove(*elements + at + 1, *elements + at, (*count - at) * sizeof **elements);
	(*elements)[at] = element;
	(*count)++;
}

/* ---- small helpers ---- */

/* true: it was another text before. */
static bool
replace(char **text, struct bytes value)
{
	if (*text != NULL && bytes_equal(bytes_str(*text), value))
		return false;
	free(*text);
	*text = bytes_dup(value);
	return true;
}

static bool
replace_buf(struct buf *b, struct bytes value, size_t max)
{
	if (b->max != 0 && bytes_equal(buf_bytes(b), value))
		return false;
	buf_free(b);
	buf_init(b, max);
	buf_put_bytes(b, value);
	return true;
}

static void
dirty(struct local *l)
{
	if (l->events.dirty != NULL)
		l->events.dirty(l->events.ctx);
}

static void
decode_service(struct local_service *s)
{
	const char *bad;

	if (schema_decode(&node_service_schema, buf_bytes(&s->message), &s->service, &bad) == -1)
		panic("service %s: %s", s->id, bad);
}

static uint64_t
fnv1a(struct bytes data)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < data.size; i++)
		h = (h ^ data.data[i]) * UINT64_C(0x100000001b3);
	return h;
}

static void
hash_service(const struct local *l, struct local_service *s)
{
	struct buf b = BUF_INIT(MESSAGE_BYTES_MAX), json = BUF_INIT(MESSAGE_BYTES_MAX);
	struct mp in;

	/* Over what a client sees: nothing else may change it. */
	local_encode_service(l, s, false, &b);
	in = mp_of(buf_bytes(&b));
	if (schema_to_json(&agent_service_schema, &in, &json, 0) == -1)
		panic("service %s: no JSON form", s->id);
	s->hash = fnv1a(buf_bytes(&json));
	buf_free(&b);
	buf_free(&json);
}

void
local_unsync_service(struct local_service *s)
{
	s->in_sync = false;
	s->version++;
}

void
local_unsync_check(struct local_check *c)
{
	c->in_sync = false;
	c->version++;
}

/* ---- services ---- */

/* The tags of a service stand in its checks, and in the catalog's copy of them. */
static void
spread(struct local *l, const struct local_service *s)
{
	for (size_t i = 0; i < l->check_count; i++) {
		struct local_check *c = l->checks[i];
		bool changed;
		if (c->deleted || strcmp(c->service_id, s->id) != 0)
			continue;
		changed = replace(&c->service_name, bytes_str(s->name));
		if (replace_buf(&c->tags, s->service.tags, MESSAGE_BYTES_MAX) || changed)
			local_unsync_check(c);
	}
}

struct local_service *
local_put_service(struct local *l, const struct service_plan *plan, const struct local_origin *origin)
{
	bool found, changed;
	size_t at = lower_bound((void *const *)l->services, l->service_count, plan->id, &found);
	struct local_service *s;

	if (!found) {
		if (l->service_count >= LOCAL_SERVICES_MAX)
			return NULL;
		s = xcalloc(1, sizeof *s);
		s->id = bytes_dup(plan->id);
		insert((void ***)&l->services, &l->service_count, &l->service_size, at, s);
	} else {
		s = l->services[at];
	}
	changed = !found || s->deleted;
	s->deleted = false;
	changed |= replace(&s->name, plan->name);
	changed |= replace(&s->token, origin->token);
	/* Said the same in other bytes (a restored file and a request, say) it is the same. */
	if (changed || !compare_forms(&node_service_schema, buf_bytes(s->defined.used != 0 ? &s->defined : &s->message),
			   plan->message)) {
		changed |= replace_buf(&s->message, plan->message, MESSAGE_BYTES_MAX);
		buf_free(&s->defined);
	}
	s->source = origin->source;
	s->sidecar = origin->sidecar;
	if (changed) {
		decode_service(s);
		hash_service(l, s);
		local_unsync_service(s);
		spread(l, s);
		if (l->events.service != NULL)
			l->events.service(l->events.ctx, s->id);
		dirty(l);
	}
	return s;
}

void
local_set_tags(struct local *l, struct local_service *s, struct bytes tags)
{
	struct node_service form = s->service;
	struct buf b = BUF_INIT(MESSAGE_BYTES_MAX);

	form.tags = tags;
	schema_encode(&node_service_schema, &form, &b);
	if (!bytes_equal(buf_bytes(&b), buf_bytes(&s->message))) {
		if (s->defined.used == 0)
			s->defined = s->message;
		else
			buf_free(&s->message);
		s->message = b;
		decode_service(s);
		hash_service(l, s);
		spread(l, s);
		if (l->events.service != NULL)
			l->events.service(l->events.ctx, s->id);
	} else {
		buf_free(&b);
	}
}

void
local_remove_service(struct local *l, struct local_service *s)
{
	s->deleted = true;
	local_unsync_service(s);
	if (l->events.service != NULL)
		l->events.service(l->events.ctx, s->id);
	dirty(l);
}

void
local_purge_service(struct local *l, struct local_service *s)
{
	bool found;
	size_t at = lower_bound((void *const *)l->services, l->service_count, bytes_str(s->id), &found);

	l->service_count--;
	memmove(l->services + at, l->services + at + 1, (l->service_count - at) * sizeof *l->services);
	free_service(s);
}

/* ---- checks ---- */

static struct local_check *
check_slot(struct local *l, struct bytes id, bool *found)
{
	size_t at = lower_bound((void *const *)l->checks, l->check_count, id, found);
	struct local_check *c;

	if (*found)
		return l->checks[at];
	if (l->check_count >= LOCAL_CHECKS_MAX)
		return NULL;
	c = xcalloc(1, sizeof *c);
	c->id = bytes_dup(id);
	buf_init(&c->output, OUTPUT_BYTES_MAX);
	insert((void ***)&l->checks, &l->check_count, &l->check_size, at, c);
	return c;
}

static void
set_status(struct local_check *c, enum status status)
{
	if (status == STATUS_CRITICAL && (c->status != STATUS_CRITICAL || c->critical_since.ns == 0))
		c->critical_since = monotime_now();
	c->status = status;
}

static bool
fill_check(struct local *l, struct local_check *c, const struct check_plan *plan, const struct local_origin *origin)
{
	const struct local_service *s = local_service(l, plan->service_id);
	bool changed = false;
	const char *bad;

	changed |= replace(&c->name, plan->name);
	changed |= replace(&c->notes, plan->notes);
	changed |= replace(&c->service_id, plan->service_id);
	changed |= replace(&c->service_name, bytes_str(s != NULL ? s->name : ""));
	changed |= replace_buf(&c->tags, s != NULL ? s->service.tags : bytes_of(NULL, 0), MESSAGE_BYTES_MAX);
	changed |= replace(&c->token, origin->token);
	changed |= replace(&c->type_text, plan->type_text);
	changed |= replace(&c->interval_text, plan->interval_text);
	changed |= replace(&c->timeout_text, plan->timeout_text);
	c->source = origin->source;
	if (replace_buf(&c->message, plan->message, MESSAGE_BYTES_MAX) && plan->message.size != 0 &&
	    schema_decode(&check_type_schema, buf_bytes(&c->message), &c->type, &bad) == -1)
		panic("check %s: %s", c->id, bad);
	c->maintenance = plan->message.size == 0;
	if (c->maintenance)
		c->type = (struct check_type){0};
	return changed;
}

struct local_check *
local_put_check(struct local *l, const struct check_plan *plan, const struct local_origin *origin)
{
	bool found, fresh;
	struct local_check *c = check_slot(l, plan->id, &found);

	if (c == NULL)
		return NULL;
	fresh = !found || c->deleted;
	if (fresh) {
		c->touched = false;
		c->critical_since.ns = 0;
		buf_clear(&c->output);
		set_status(c, plan->status);
	}
	c->deleted = false;
	if (fill_check(l, c, plan, origin) || fresh) {
		local_unsync_check(c);
		dirty(l);
	}
	if (fresh && l->events.check != NULL)
		l->events.check(l->events.ctx, c, true);
	return c;
}

struct local_check *
local_put_maintenance(struct local *l, const struct local_service *service, struct bytes reason, struct bytes token,
    enum local_source source)
{
	char *id =
	    service != NULL ? xasprintf(SERVICE_MAINTENANCE_PREFIX "%s", service->id) : xstrdup(NODE_MAINTENANCE_ID);
	struct local_origin origin = {.token = token, .source = source};
	struct check_plan plan = {
	    .id = bytes_str(id),
	    .name = bytes_str(service != NULL ? "Service Maintenance Mode" : "Node Maintenance Mode"),
	    .notes = reason,
	    .service_id = bytes_str(service != NULL ? service->id : ""),
	    .status = STATUS_CRITICAL,
	    .type_text = bytes_str(CHECK_TYPE_MAINTENANCE),
	};
	struct local_check *c;

	if (reason.size == 0)
		plan.notes = bytes_str(service != NULL ? "Maintenance mode is enabled for this service, but no reason "
							 "was provided. This is a default message."
						       : "Maintenance mode is enabled for this node, but no reason was "
							 "provided. This is a default message.");
	c = local_put_check(l, &plan, &origin);
	free(id);
	return c;
}

void
local_remove_check(struct local *l, struct local_check *c)
{
	c->deleted = true;
	local_unsync_check(c);
	if (l->events.check != NULL)
		l->events.check(l->events.ctx, c, true);
	dirty(l);
}

void
local_purge_check(struct local *l, struct local_check *c)
{
	bool found;
	size_t at = lower_bound((void *const *)l->checks, l->check_count, bytes_str(c->id), &found);

	l->check_count--;
	memmove(l->checks + at, l->checks + at + 1, (l->check_count - at) * sizeof *l->checks);
	free_check(l, c);
}

void
local_update_check(struct local *l, struct local_check *c, enum status status, struct bytes output)
{
	bool status_changed = c->status != status;

	c->touched = true;
	if (l->settings.discard_output)
		output = (struct bytes){NULL, 0};
	if (!status_changed && bytes_equal(buf_bytes(&c->output), output))
		return;
	set_status(c, status);
	buf_clear(&c->output);
	buf_put_bytes(&c->output, output);
	if (l->events.check != NULL)
		l->events.check(l->events.ctx, c, status_changed);
}

/* ---- forms ---- */

void
local_encode_check(const struct local *l, const struct local_check *c, struct buf *out)
{
	struct health_check form = {
	    .node = bytes_str(l->settings.node),
	    .check_id = bytes_str(c->id),
	    .name = bytes_str(c->name),
	    .status = bytes_str(status_text(c->status)),
	    .notes = bytes_str(c->notes),
	    .output = buf_bytes(&c->output),
	    .service_id = bytes_str(c->service_id),
	    .service_name = bytes_str(c->service_name),
	    .service_tags = buf_bytes(&c->tags),
	    .type = bytes_str(c->type_text),
	    .interval = bytes_str(c->interval_text),
	    .timeout = bytes_str(c->timeout_text),
	    .exposed_port = c->exposed_port,
	};

	schema_encode(&health_check_schema, &form, out);
}

static bool
no_tags(const struct buf *tags)
{
	struct mp in = mp_of(buf_bytes(tags));

	return tags->used == 0 || mp_array(&in) == 0;
}

void
local_encode_health_check(const struct local *l, const struct local_check *c, struct buf *out)
{
	struct buf zero = BUF_INIT(4096);
	struct agent_health_definition definition = {0};
	struct agent_health_check form = {
	    .node = bytes_str(l->settings.node),
	    .check_id = bytes_str(c->id),
	    .name = bytes_str(c->name),
	    .status = bytes_str(status_text(c->status)),
	    .notes = bytes_str(c->notes),
	    .output = buf_bytes(&c->output),
	    .service_id = bytes_str(c->service_id),
	    .service_name = bytes_str(c->service_name),
	    .service_tags = no_tags(&c->tags) ? (struct bytes){NULL, 0} : buf_bytes(&c->tags),
	    .exposed_port = c->exposed_port,
	};

	schema_encode(&agent_health_definition_schema, &definition, &zero);
	form.definition = buf_bytes(&zero);
	schema_encode(&agent_health_check_schema, &form, out);
	buf_free(&zero);
}

static bool
is_proxy(struct bytes kind)
{
	static const char *const kinds[] = {
	    "connect-proxy", "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"};

	for (size_t i = 0; i < COUNTOF(kinds); i++)
		if (bytes_is(kind, kinds[i]))
			return true;
	return false;
}

/* The same fields under the agent's rules of what is left out. */
static struct bytes
agent_proxy_message(struct bytes given, struct buf *b)
{
	struct proxy p = {0};
	struct agent_proxy form;
	const char *bad;

	if (given.size != 0 && schema_decode(&proxy_schema, given, &p, &bad) == -1)
		p = (struct proxy){0};
	form = (struct agent_proxy){
	    .envoy_extensions = p.envoy_extensions,
	    .destination_service_name = p.destination_service_name,
	    .destination_service_id = p.destination_service_id,
	    .local_service_address = p.local_service_address,
	    .local_service_port = p.local_service_port,
	    .local_service_socket_path = p.local_service_socket_path,
	    .mode = p.mode,
	    .transparent_proxy = p.transparent_proxy,
	    .config = p.config,
	    .upstreams = p.upstreams,
	    .mesh_gateway = p.mesh_gateway,
	    .expose = p.expose,
	    .access_logs = p.access_logs,
	};
	schema_encode(&agent_proxy_schema, &form, b);
	return buf_bytes(b);
}

char *
local_hash_text(const struct local_service *s, char out[LOCAL_HASH_TEXT_MAX])
{
	snprintf(out, LOCAL_HASH_TEXT_MAX, "%016llx", (unsigned long long)s->hash);
	return out;
}

void
local_encode_service(const struct local *l, const struct local_service *s, bool with_hash, struct buf *out)
{
	const struct node_service *n = &s->service;
	struct buf proxy = BUF_INIT(MESSAGE_BYTES_MAX);
	char hash[LOCAL_HASH_TEXT_MAX];
	struct agent_service form = {
	    .kind = n->kind,
	    .id = n->id,
	    .service = n->service,
	    .tags = n->tags,
	    .meta = n->meta,
	    .port = n->port,
	    .address = n->address,
	    .socket_path = n->socket_path,
	    .tagged_addresses = n->tagged_addresses,
	    .weights = n->weights,
	    .enable_tag_override = n->enable_tag_override,
	    .content_hash = bytes_str(with_hash ? local_hash_text(s, hash) : ""),
	    .connect =
		n->connect.size != 0 && mp_find_bool(n->connect, "Native") ? n->connect : (struct bytes){NULL, 0},
	    .datacenter = bytes_str(l->settings.datacenter),
	    .locality = n->locality,
	};

	if (is_proxy(n->kind))
		form.proxy = agent_proxy_message(n->proxy, &proxy);
	schema_encode(&agent_service_schema, &form, out);
	buf_free(&proxy);
}

/* ---- questions ---- */

const char *
local_health(const struct local *l, const struct local_service *s)
{
	enum status worst = STATUS_PASSING;

	for (size_t i = 0; i < l->check_count; i++) {
		const struct local_check *c = l->checks[i];
		if (c->deleted || (c->service_id[0] != '\0' && strcmp(c->service_id, s->id) != 0))
			continue;
		if (c->maintenance)
			return CHECK_TYPE_MAINTENANCE;
		worst = MAX(worst, c->status);
	}
	return status_text(worst);
}

size_t
local_output_max(const struct local *l, const struct local_check *c)
{
	int64_t most = l->settings.output_max > 0 ? l->settings.output_max : CHECK_OUTPUT_DEFAULT;

	if (c->type.output_max_size > 0 && c->type.output_max_size < most)
		most = c->type.output_max_size;
	return (size_t)MIN(most, (int64_t)OUTPUT_BYTES_MAX - 4096);
}

int64_t
local_sidecar_port(const struct local *l, struct bytes sidecar_id, int64_t min, int64_t max)
{
	const struct local_service *present = local_service(l, sidecar_id);

	if (present != NULL && present->service.port >= min && present->service.port <= max)
		return present->service.port;
	for (int64_t port = min; port <= max && min > 0; port++) {
		size_t i;
		for (i = 0; i < l->service_count; i++)
			if (!l->services[i]->deleted && l->services[i]->service.port == port)
				break;
		if (i == l->service_count)
			return port;
	}
	return 0;
}

/*
 * serve.c - the Agent.* methods (contract: serve.h; caller: main.c)
 *
 * Reads are answered at once from the registry. A registration changes the registry first and is answered when a
 * push to the catalog was tried; the answer does not depend on what came of it.
 */
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter.h"
#include "log.h"
#include "mem.h"
#include "uuid.h"

#define ANSWER_BYTES_MAX (256u * 1024 * 1024)
#define WAIT_DEFAULT_NS (300 * NS_PER_S)
#define WAIT_MAX_NS (600 * NS_PER_S)
#define TEXT(b) (int)(b).size, (const char *)(b).data
#define UNKNOWN_SERVICE "Unknown service ID \"%.*s\". Ensure that the service ID is passed, not the service name."
#define UNKNOWN_CHECK "Unknown check ID \"%.*s\". Ensure that the check ID is passed, not the check name."

/* A registration that waits for its push. */
struct pending {
	struct serve *serve;
	struct ipc_stream *stream;
	struct sync_wait *wait;
	struct pending *next;
};

/* Agent.Service with the present hash. */
struct hash_wait {
	struct serve *serve;
	struct ipc_stream *stream;
	char *id;
	struct ev_timer timer;
	struct hash_wait *next;
};

struct serve {
	struct ev_loop *loop;
	struct registrar *registrar;
	int64_t hold_ns;
	struct pending *pending;
	struct hash_wait *hash_waits;
};

struct serve *
serve_new(struct ev_loop *loop, struct registrar *registrar, int64_t hold_ns)
{
	struct serve *v = xcalloc(1, sizeof *v);

	v->loop = loop;
	v->registrar = registrar;
	v->hold_ns = hold_ns;
	return v;
}

static void
done(struct ipc_stream *s)
{
	ipc_reply(s, (struct bytes){NULL, 0});
}

static void
refused(struct ipc_stream *s, const struct checkd_error *e)
{
	ipc_fail(s, e->code, "%s", e->text);
}

/* ---- waiting for the catalog ---- */

static void
pending_free(struct pending *p)
{
	struct pending **at = &p->serve->pending;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free(p);
}

static void
pending_done(void *ctx)
{
	struct pending *p = ctx;

	done(p->stream);
	pending_free(p);
}

static void
pending_lost(struct ipc_stream *s UNUSED, void *ctx)
{
	struct pending *p = ctx;

	sync_wait_cancel(p->wait);
	pending_free(p);
}

static void
answer_after_push(struct serve *v, struct ipc_stream *s)
{
	struct pending *p = xcalloc(1, sizeof *p);

	p->serve = v;
	p->stream = s;
	p->next = v->pending;
	v->pending = p;
	p->wait = sync_wait(v->registrar->sync, v->hold_ns, pending_done, p);
	ipc_stream_watch(s, pending_lost, NULL, p);
}

/* ---- reading ---- */

/* 1: passes. 0: not. -1: answered with an error. */
static int
passes(struct ipc_stream *s, struct filter *f, struct bytes element)
{
	int result = filter_match(f, mp_of(element));

	if (result == -1)
		ipc_fail(s, 0, FILTER_LIMIT_TEXT);
	return result;
}

static void
list_services(struct serve *v, struct ipc_stream *s, struct bytes args)
{
	const struct local *l = v->registrar->local;
	struct buf out = BUF_INIT(ANSWER_BYTES_MAX), element = BUF_INIT(ANSWER_BYTES_MAX);
	struct agent_query_request q;
	struct filter *filter = NULL;
	struct filter_error error;
	const char *bad;
	uint32_t count = 0;
	size_t place;

	if (schema_decode(&agent_query_request_schema, args, &q, &bad) == -1) {
		ipc_fail(s, 400, "%s", bad);
		return;
	}
	if (filter_compile(q.filter, &agent_service_schema, &filter, &error) == -1) {
		ipc_fail(s, 0, "%s", error.text);
		return;
	}
	place = mp_open_map(&out);
	for (size_t i = 0; i < local_service_count(l); i++) {
		const struct local_service *e = local_service_at(l, i);
		int match;
		if (e->deleted)
			continue;
		buf_clear(&element);
		local_encode_service(l, e, false, &element);
		match = passes(s, filter, buf_bytes(&element));
		if (match == -1)
			goto out;
		if (match == 0)
			continue;
		mp_put_cstr(&out, e->id);
		buf_put_bytes(&out, buf_bytes(&element));
		count++;
	}
	mp_close(&out, place, count);
	ipc_reply(s, buf_bytes(&out));

out:
	filter_free(filter);
	buf_free(&out);
	buf_free(&element);
}

static bool
any_check(const struct local *l)
{
	for (size_t i = 0; i < local_check_count(l); i++)
		if (!local_check_at(l, i)->deleted)
			return true;
	return false;
}

/* Without checks only a syntax error is one; with them a bad selector is named without the usual prefix. */
static int
compile_check_filter(const struct local *l, struct ipc_stream *s, struct bytes expression, struct filter **out)
{
	struct filter_error error;
	const char *text = error.text;
	size_t prefix = strlen(FILTER_ERROR_PREFIX);

	if (filter_compile(expression, &health_check_schema, out, &error) == 0)
		return 0;
	*out = NULL;
	if (!error.is_syntax && !any_check(l))
		return 0;
	if (!error.is_syntax && strncmp(text, FILTER_ERROR_PREFIX, prefix) == 0)
		text += prefix;
	ipc_fail(s, 0, "%s", text);
	return -1;
}

static void
list_checks(struct serve *v, struct ipc_stream *s, struct bytes args)
{
	const struct local *l = v->registrar->local;
	struct buf out = BUF_INIT(ANSWER_BYTES_MAX), element = BUF_INIT(ANSWER_BYTES_MAX);
	struct agent_query_request q;
	struct filter *filter = NULL;
	const char *bad;
	uint32_t count = 0;
	size_t place;

	if (schema_decode(&agent_query_request_schema, args, &q, &bad) == -1) {
		ipc_fail(s, 400, "%s", bad);
		return;
	}
	if (compile_check_filter(l, s, q.filter, &filter) == -1)
		return;
	place = mp_open_map(&out);
	for (size_t i = 0; i < local_check_count(l); i++) {
		const struct local_check *e = local_check_at(l, i);
		int match;
		if (e->deleted)
			continue;
		buf_clear(&element);
		local_encode_check(l, e, &element);
		match = passes(s, filter, buf_bytes(&element));
		if (match == -1)
			goto out;
		if (match == 0)
			continue;
		mp_put_cstr(&out, e->id);
		buf_put_bytes(&out, buf_bytes(&element));
		count++;
	}
	mp_close(&out, place, count);
	ipc_reply(s, buf_bytes(&out));

out:
	filter_free(filter);
	buf_free(&out);
	buf_free(&element);
}

/* ---- one service, by hash ---- */

static void
hash_wait_free(struct hash_wait *w)
{
	struct hash_wait **at = &w->serve->hash_waits;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	ev_timer_stop(w->serve->loop, &w->timer);
	free(w->id);
	free(w);
}

static void
answer_service(struct serve *v, struct ipc_stream *s, struct bytes id)
{
	const struct local *l = v->registrar->local;
	const struct local_service *e = local_service(l, id);
	struct buf out = BUF_INIT(ANSWER_BYTES_MAX);

	if (e == NULL) {
		ipc_fail(s, 404, "unknown service ID: %.*s", TEXT(id));
		return;
	}
	local_encode_service(l, e, true, &out);
	ipc_reply(s, buf_bytes(&out));
	buf_free(&out);
}

static void
hash_wait_over(struct hash_wait *w)
{
	struct ipc_stream *s = w->stream;
	struct serve *v = w->serve;
	char *id = w->id;

	w->id = NULL;
	hash_wait_free(w);
	answer_service(v, s, bytes_str(id));
	free(id);
}

static void
hash_wait_expired(struct ev_loop *loop UNUSED, struct ev_timer *w, int events UNUSED)
{
	hash_wait_over(w->data);
}

static void
hash_wait_lost(struct ipc_stream *s UNUSED, void *ctx)
{
	hash_wait_free(ctx);
}

void
serve_service_changed(struct serve *v, const char *id)
{
	struct hash_wait *w, *next;

	for (w = v->hash_waits; w != NULL; w = next) {
		next = w->next;
		if (strcmp(w->id, id) == 0)
			hash_wait_over(w);
	}
}

static void
one_service(struct serve *v, struct ipc_stream *s, struct bytes args)
{
	struct agent_service_request q;
	const struct local_service *e;
	char hash[LOCAL_HASH_TEXT_MAX];
	struct hash_wait *w;
	const char *bad;
	int64_t wait;

	if (schema_decode(&agent_service_request_schema, args, &q, &bad) == -1) {
		ipc_fail(s, 400, "%s", bad);
		return;
	}
	e = local_service(v->registrar->local, q.service_id);
	if (e == NULL || q.hash.size == 0 || !bytes_is(q.hash, local_hash_text(e, hash))) {
		answer_service(v, s, q.service_id);
		return;
	}
	wait = q.max_query_time <= 0 ? WAIT_DEFAULT_NS : MIN(q.max_query_time, WAIT_MAX_NS);
	wait += (int64_t)random_below((uint64_t)wait / 16 + 1);
	w = xcalloc(1, sizeof *w);
	w->serve = v;
	w->stream = s;
	w->id = bytes_dup(q.service_id);
	w->next = v->hash_waits;
	v->hash_waits = w;
	ev_timer_init(&w->timer, hash_wait_expired, (ev_tstamp)wait / NS_PER_S, 0.);
	w->timer.data = w;
	ev_timer_start(v->loop, &w->timer);
	ipc_stream_watch(s, hash_wait_lost, NULL, w);
}

/* ---- health ---- */

static const struct {
	const char *status;
	uint64_t code;
} health_codes[] = {{"passing", 200}, {"warning", 429}, {"critical", 503}, {"maintenance", 503}};

static size_t
health_rank(const char *status)
{
	size_t i;

	for (i = 0; i + 1 < COUNTOF(health_codes) && strcmp(health_codes[i].status, status) != 0; i++)
		;
	return i;
}

static void
put_instance(const struct local *l, const struct local_service *e, struct buf *out)
{
	struct buf service = BUF_INIT(ANSWER_BYTES_MAX), checks = BUF_INIT(ANSWER_BYTES_MAX);
	struct agent_service_health form = {.aggregated_status = bytes_str(local_health(l, e))};
	size_t place = mp_open_array(&checks);
	uint32_t count = 0;

	for (size_t i = 0; i < local_check_count(l); i++) {
		const struct local_check *c = local_check_at(l, i);
		if (c->deleted || (c->service_id[0] != '\0' && strcmp(c->service_id, e->id) != 0))
			continue;
		local_encode_health_check(l, c, &checks);
		count++;
	}
	mp_close(&checks, place, count);
	local_encode_service(l, e, false, &service);
	form.service = buf_bytes(&service);
	form.checks = count != 0 ? buf_bytes(&checks) : (struct bytes){NULL, 0};
	schema_encode(&agent_service_health_schema, &form, out);
	buf_free(&service);
	buf_free(&checks);
}

static void
answer_health(struct ipc_stream *s, uint64_t code, const char *reason, struct bytes instances)
{
	struct agent_health_answer form = {.code = code, .reason = bytes_str(reason), .instances = instances};
	struct buf out = BUF_INIT(ANSWER_BYTES_MAX);

	schema_encode(&agent_health_answer_schema, &form, &out);
	ipc_reply(s, buf_bytes(&out));
	buf_free(&out);
}

static void
health_by_name(const struct local *l, struct ipc_stream *s, struct bytes name)
{
	struct buf instances = BUF_INIT(ANSWER_BYTES_MAX);
	size_t place = mp_open_array(&instances), worst = 0;
	uint32_t count = 0;

	for (size_t i = 0; i < local_service_count(l); i++) {
		const struct local_service *e = local_service_at(l, i);
		if (e->deleted || !bytes_is(name, e->name))
			continue;
		put_instance(l, e, &instances);
		worst = MAX(worst, health_rank(local_health(l, e)));
		count++;
	}
	mp_close(&instances, place, count);
	if (count == 0) {
		char *reason = xasprintf("ServiceName %.*s Not Found", TEXT(name));
		answer_health(s, 404, reason, buf_bytes(&instances));
		free(reason);
	} else {
		answer_health(s, health_codes[worst].code, health_codes[worst].status, buf_bytes(&instances));
	}
	buf_free(&instances);
}

static void
health_by_id(const struct local *l, struct ipc_stream *s, struct bytes id)
{
	const struct local_service *e = local_service(l, id);
	struct buf instances = BUF_INIT(ANSWER_BYTES_MAX);

	mp_put_array(&instances, 1);
	if (e == NULL) {
		struct agent_service_health none = {.aggregated_status = bytes_str("critical")};
		char *reason = xasprintf("ServiceId %.*s not found", TEXT(id));
		schema_encode(&agent_service_health_schema, &none, &instances);
		answer_health(s, 404, reason, buf_bytes(&instances));
		free(reason);
	} else {
		size_t rank = health_rank(local_health(l, e));
		put_instance(l, e, &instances);
		answer_health(s, health_codes[rank].code, health_codes[rank].status, buf_bytes(&instances));
	}
	buf_free(&instances);
}

static void
health(struct serve *v, struct ipc_stream *s, struct bytes args)
{
	struct agent_health_request q;
	const char *bad;

	if (schema_decode(&agent_health_request_schema, args, &q, &bad) == -1)
		ipc_fail(s, 400, "%s", bad);
	else if (q.service.size == 0)
		ipc_fail(s, 0, q.by_name ? "Missing service Name" : "Missing serviceID");
	else if (q.by_name)
		health_by_name(v->registrar->local, s, q.service);
	else
		health_by_id(v->registrar->local, s, q.service);
}

/* ---- registering ---- */

static void
do_register_service(struct serve *v, struct ipc_stream *s, struct bytes args)
{
	struct agent_register_service_request q;
	struct service_definition form;
	struct service_plan plan, sidecar;
	struct checkd_error e;
	struct region *region;
	const char *bad;

	if (schema_decode(&agent_register_service_request_schema, args, &q, &bad) == -1 ||
	    schema_decode(&service_definition_schema, q.service, &form, &bad) == -1) {
		ipc_fail(s, 400, "Request decode failed: %s", bad);
		return;
	}
	form.token = (struct bytes){NULL, 0};
	region = region_new();
	if (definition_service(&form, &v->registrar->api_env, region, &plan, &sidecar, &e) == -1 ||
	    register_service(v->registrar, &plan, &sidecar, q.token, q.replace_existing_checks, &e) == -1)
		refused(s, &e);
	else
		answer_after_push(v, s);
	region_free(region);
}

static void
do_register_check(struct serve *v, struct ipc_stream *s, struct bytes args)
{
	struct agent_register_check_request q;
	struct check_definition_request form;
	struct check_plan plan;
	struct checkd_error e;
	struct region *region;
	const char *bad;

	if (schema_decode(&agent_register_check_request_schema, args, &q, &bad) == -1 ||
	    schema_decode(&check_definition_request_schema, q.check, &form, &bad) == -1) {
		ipc_fail(s, 400, "Request decode failed: %s", bad);
		return;
	}
	region = region_new();
	if (definition_check(&form, &v->registrar->api_env, region, &plan, &e) == -1 ||
	    register_check(v->registrar, &plan, q.token, &e) == -1)
		refused(s, &e);
	else
		answer_after_push(v, s);
	region_free(region);
}

static void
deregister_service(struct serve *v, struct ipc_stream *s, struct bytes args)
{
	struct bytes id = mp_find_str(args, "ID");
	struct local_service *e = local_service(v->registrar->local, id);

	if (e == NULL) {
		ipc_fail(s, 404, UNKNOWN_SERVICE, TEXT(id));
		return;
	}
	register_remove_service(v->registrar, e);
	answer_after_push(v, s);
}

static void
deregister_check(struct serve *v, struct ipc_stream *s, struct bytes args)
{
	struct bytes id = mp_find_str(args, "ID");
	struct local_check *c = local_check(v->registrar->local, id);

	if (c == NULL) {
		ipc_fail(s, 404, UNKNOWN_CHECK, TEXT(id));
		return;
	}
	register_remove_check(v->registrar, c);
	answer_after_push(v, s);
}

static void
update_check(struct serve *v, struct ipc_stream *s, struct bytes args)
{
	struct agent_update_check_request q;
	struct local_check *c;
	enum status status;
	const char *bad;

	if (schema_decode(&agent_update_check_request_schema, args, &q, &bad) == -1) {
		ipc_fail(s, 400, "%s", bad);
		return;
	}
	if (status_parse(q.status, &status) == -1) {
		ipc_fail(s, 400, "Invalid check status: '%.*s'", TEXT(q.status));
		return;
	}
	c = local_check(v->registrar->local, q.check_id);
	if (c == NULL)
		ipc_fail(s, 404, UNKNOWN_CHECK, TEXT(q.check_id));
	else if (checks_ttl_update(v->registrar->checks, c, status, q.output) == -1)
		ipc_fail(s, 500, "CheckID \"%s\" does not have associated TTL", c->id);
	else
		done(s);
}

static void
maintenance(struct serve *v, struct ipc_stream *s, struct bytes args, bool of_service)
{
	struct agent_maintenance_request q;
	struct local_service *service = NULL;
	struct checkd_error e;
	const char *bad;

	if (schema_decode(&agent_maintenance_request_schema, args, &q, &bad) == -1) {
		ipc_fail(s, 400, "%s", bad);
		return;
	}
	if (of_service) {
		if (q.service_id.size == 0) {
			ipc_fail(s, 400, "Missing service ID");
			return;
		}
		service = local_service(v->registrar->local, q.service_id);
		if (service == NULL) {
			ipc_fail(s, 404, UNKNOWN_SERVICE, TEXT(q.service_id));
			return;
		}
	}
	if (register_maintenance(v->registrar, service, q.enable, q.reason, q.token, &e) == -1)
		refused(s, &e);
	else
		answer_after_push(v, s);
}

static void
stats(struct serve *v, struct ipc_stream *s)
{
	const struct local *l = v->registrar->local;
	size_t services = 0, checks = 0, ttls = checks_count(v->registrar->checks, "ttl");
	struct buf out = BUF_INIT(4096);
	char text[24];

	for (size_t i = 0; i < local_service_count(l); i++)
		services += !local_service_at(l, i)->deleted;
	for (size_t i = 0; i < local_check_count(l); i++)
		checks += !local_check_at(l, i)->deleted;
	mp_put_map(&out, 4);
	snprintf(text, sizeof text, "%zu", checks_count(v->registrar->checks, "script"));
	mp_put_kv_cstr(&out, "check_monitors", text);
	snprintf(text, sizeof text, "%zu", ttls);
	mp_put_kv_cstr(&out, "check_ttls", text);
	snprintf(text, sizeof text, "%zu", checks);
	mp_put_kv_cstr(&out, "checks", text);
	snprintf(text, sizeof text, "%zu", services);
	mp_put_kv_cstr(&out, "services", text);
	ipc_reply(s, buf_bytes(&out));
	buf_free(&out);
}

/* ---- all of them ---- */

void
serve_request(struct serve *v, enum serve_method method, struct ipc_stream *s, struct bytes args)
{
	switch (method) {
	case SERVE_SERVICES:
		list_services(v, s, args);
		break;
	case SERVE_SERVICE:
		one_service(v, s, args);
		break;
	case SERVE_CHECKS:
		list_checks(v, s, args);
		break;
	case SERVE_HEALTH:
		health(v, s, args);
		break;
	case SERVE_REGISTER_SERVICE:
		do_register_service(v, s, args);
		break;
	case SERVE_DEREGISTER_SERVICE:
		deregister_service(v, s, args);
		break;
	case SERVE_REGISTER_CHECK:
		do_register_check(v, s, args);
		break;
	case SERVE_DEREGISTER_CHECK:
		deregister_check(v, s, args);
		break;
	case SERVE_UPDATE_CHECK:
		update_check(v, s, args);
		break;
	case SERVE_SERVICE_MAINTENANCE:
	case SERVE_NODE_MAINTENANCE:
		maintenance(v, s, args, method == SERVE_SERVICE_MAINTENANCE);
		break;
	default:
		stats(v, s);
		break;
	}
}

void
serve_free(struct serve *v)
{
	if (v == NULL)
		return;
	while (v->pending != NULL) {
		ipc_stream_watch(v->pending->stream, NULL, NULL, NULL);
		sync_wait_cancel(v->pending->wait);
		pending_free(v->pending);
	}
	while (v->hash_waits != NULL) {
		ipc_stream_watch(v->hash_waits->stream, NULL, NULL, NULL);
		hash_wait_free(v->hash_waits);
	}
	free(v);
}

/*
 * register.c - registering and removing (contract: register.h; callers: serve.c, main.c)
 */
#include "register.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"

#define LOG "agent"
#define REAP_INTERVAL_S 30.
#define REAP_MIN_NS (60 * NS_PER_S)
#define DEFINITIONS_BYTES_MAX (64u * 1024 * 1024)
#define DNS_LABEL_MAX 63

/* ---- critical for too long ---- */

static bool
reap_due(const struct local_check *c)
{
	int64_t after = c->type.deregister_critical_service_after;

	return !c->deleted && c->service_id[0] != '\0' && after > 0 && c->status == STATUS_CRITICAL &&
	       c->critical_since.ns != 0 && monotime_since_ns(c->critical_since) > MAX(after, REAP_MIN_NS);
}

static void
reap(struct ev_loop *loop UNUSED, struct ev_timer *w, int events UNUSED)
{
	struct registrar *r = w->data;

	for (size_t i = 0; i < local_check_count(r->local); i++) {
		struct local_check *c = local_check_at(r->local, i);
		struct local_service *s;
		if (!reap_due(c))
			continue;
		s = local_service(r->local, bytes_str(c->service_id));
		if (s == NULL)
			continue;
		log_info(LOG,
		    "deregistered service with critical health due to exceeding health check's "
		    "'deregister_critical_service_after' timeout: "
		    "service=%s check=%s",
		    log_quote(s->id), log_quote(c->id));
		register_remove_service(r, s);
	}
}

void
register_init(struct registrar *r, struct ev_loop *loop)
{
	r->loop = loop;
	ev_timer_init(&r->reap_timer, reap, REAP_INTERVAL_S, REAP_INTERVAL_S);
	r->reap_timer.data = r;
	ev_timer_start(loop, &r->reap_timer);
}

void
register_free(struct registrar *r)
{
	ev_timer_stop(r->loop, &r->reap_timer);
}

/* ---- removing ---- */

void
register_remove_check(struct registrar *r, struct local_check *c)
{
	checks_stop(c);
	persist_drop_check(r->persist, c->id);
	log_debug(LOG, "removed check: check=%s", log_quote(c->id));
	local_remove_check(r->local, c);
}

static void
remove_one_service(struct registrar *r, struct local_service *s)
{
	for (size_t i = 0; i < local_check_count(r->local); i++) {
		struct local_check *c = local_check_at(r->local, i);
		if (!c->deleted && strcmp(c->service_id, s->id) == 0)
			register_remove_check(r, c);
	}
	persist_drop_service(r->persist, s->id);
	log_debug(LOG, "removed service: service=%s", log_quote(s->id));
	local_remove_service(r->local, s);
}

void
register_remove_service(struct registrar *r, struct local_service *s)
{
	char *id = xasprintf("%s" SIDECAR_SUFFIX, s->id);
	struct local_service *sidecar = local_service(r->local, bytes_str(id));

	remove_one_service(r, s);
	if (sidecar != NULL && sidecar->sidecar)
		remove_one_service(r, sidecar);
	free(id);
}

/* ---- registering ---- */

static void
warn_name(struct bytes name)
{
	bool odd = name.size > DNS_LABEL_MAX;

	for (size_t i = 0; i < name.size && !odd; i++) {
		uint8_t c = name.data[i];
		odd = !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-');
	}
	if (odd)
		log_warnx(LOG,
		    "Service name will not be discoverable via DNS due to invalid characters. Valid characters include "
		    "all alpha-numerics "
		    "and dashes, and names are at most 63 bytes long.: service=%s",
		    log_quote_bytes(name));
}

/* Takes back what this registration brought, and only that. */
static void
roll_back_check(struct registrar *r, struct local_check *c, bool fresh)
{
	if (!fresh)
		return;
	checks_stop(c);
	persist_drop_check(r->persist, c->id);
	local_purge_check(r->local, c);
}

static int
put_check(struct registrar *r, const struct check_plan *plan, const struct local_origin *origin, struct checkd_error *e)
{
	struct local_check *before = local_check_any(r->local, plan->id), *c;
	bool fresh = before == NULL;

	/* A file's definition takes the place of one that came by the API. */
	if (!fresh && before->source == LOCAL_API && origin->source == LOCAL_FILE)
		persist_drop_check(r->persist, before->id);
	c = local_put_check(r->local, plan, origin);
	if (c == NULL)
		return checkd_refuse(e, 429, "too many checks on this node");
	c->generation = r->generation;
	checks_start(r->checks, c, origin->source == LOCAL_API);
	if (origin->source == LOCAL_API && persist_check(r->persist, r->local, c) == -1) {
		int error = errno;
		roll_back_check(r, c, fresh);
		return checkd_refuse(e, 500, "failed persisting check: %s", strerror(error));
	}
	return 0;
}

static void
remove_other_checks(struct registrar *r, const struct service_plan *plan)
{
	for (size_t i = 0; i < local_check_count(r->local); i++) {
		struct local_check *c = local_check_at(r->local, i);
		size_t k;
		if (c->deleted || !bytes_is(plan->id, c->service_id))
			continue;
		for (k = 0; k < plan->check_count && !bytes_is(plan->checks[k].id, c->id); k++)
			;
		if (k == plan->check_count)
			register_remove_check(r, c);
	}
}

static int
put_service(struct registrar *r, const struct service_plan *plan, const struct local_origin *origin, bool replace,
    struct checkd_error *e)
{
	struct local_service *s = local_service_any(r->local, plan->id);
	bool fresh = s == NULL;
	size_t done = 0;
	int result;

	warn_name(plan->name);
	if (!fresh && s->source == LOCAL_API && origin->source == LOCAL_FILE)
		persist_drop_service(r->persist, s->id);
	s = local_put_service(r->local, plan, origin);
	if (s == NULL)
		return checkd_refuse(e, 429, "too many services on this node");
	s->generation = r->generation;
	if (replace)
		remove_other_checks(r, plan);
	if (origin->source == LOCAL_API && persist_service(r->persist, s) == -1) {
		result = checkd_refuse(e, 500, "failed persisting service %s: %s", s->id, strerror(errno));
		goto fail;
	}
	for (; done < plan->check_count; done++) {
		result = put_check(r, &plan->checks[done], origin, e);
		if (result == -1)
			goto fail;
	}
	return 0;

fail:
	if (fresh) {
		for (size_t i = 0; i < done; i++) {
			struct local_check *c = local_check(r->local, plan->checks[i].id);
			if (c != NULL)
				roll_back_check(r, c, true);
		}
		persist_drop_service(r->persist, s->id);
		local_purge_service(r->local, s);
	}
	return result;
}

int
register_service(struct registrar *r, const struct service_plan *plan, const struct service_plan *sidecar,
    struct bytes token, bool replace, struct checkd_error *e)
{
	struct local_origin origin = {.token = token, .source = LOCAL_API};
	struct local_origin beside = {
	    .token = sidecar->token.size != 0 ? sidecar->token : token, .source = LOCAL_API, .sidecar = true};

	if (put_service(r, plan, &origin, replace, e) == -1)
		return -1;
	if (sidecar->id.size != 0 && put_service(r, sidecar, &beside, replace, e) == -1)
		return -1;
	return 0;
}

int
register_check(struct registrar *r, const struct check_plan *plan, struct bytes token, struct checkd_error *e)
{
	struct local_origin origin = {.token = token, .source = LOCAL_API};

	if (plan->service_id.size != 0 && local_service(r->local, plan->service_id) == NULL)
		return checkd_refuse(e, 404, "ServiceID \"%.*s\" does not exist", (int)plan->service_id.size,
		    (const char *)plan->service_id.data);
	return put_check(r, plan, &origin, e);
}

int
register_maintenance(struct registrar *r, struct local_service *service, bool enable, struct bytes reason,
    struct bytes token, struct checkd_error *e)
{
	char *id =
	    service != NULL ? xasprintf(SERVICE_MAINTENANCE_PREFIX "%s", service->id) : xstrdup(NODE_MAINTENANCE_ID);
	struct local_check *c = local_check(r->local, bytes_str(id));
	int result = 0;

	free(id);
	if (enable == (c != NULL))
		return 0;
	if (!enable) {
		register_remove_check(r, c);
	} else {
		c = local_put_maintenance(r->local, service, reason, token, LOCAL_API);
		if (c == NULL)
			return checkd_refuse(e, 429, "too many checks on this node");
		if (persist_check(r->persist, r->local, c) == -1) {
			result = checkd_refuse(e, 500, "failed persisting check: %s", strerror(errno));
			local_remove_check(r->local, c);
			return result;
		}
	}
	if (service != NULL)
		log_info(LOG, "Service %s maintenance mode: service=%s", enable ? "entered" : "left",
		    log_quote(service->id));
	else
		log_info(LOG, "Node %s maintenance mode", enable ? "entered" : "left");
	return result;
}

/* ---- configuration files ---- */

struct definitions {
	struct region *region;
	struct service_plan *services; /* sidecars behind their parents */
	bool *sidecar;
	size_t service_count;
	struct check_plan *checks;
	struct bytes *check_tokens;
	size_t check_count;
};

static int
read_services(struct registrar *r, struct definitions *d, struct bytes list, struct checkd_error *e)
{
	struct mp in = mp_of(list);
	uint32_t count = list.size != 0 ? mp_array(&in) : 0;
	const char *bad;

	d->services = region_alloc(d->region, (2 * (size_t)count + 1) * sizeof *d->services);
	d->sidecar = region_alloc(d->region, 2 * (size_t)count + 1);
	for (; count > 0; count--) {
		struct service_definition form;
		struct service_plan *plan = &d->services[d->service_count];
		if (schema_decode_at(&service_definition_schema, &in, &form, &bad) == -1)
			return checkd_refuse(e, 0, "%s", bad);
		if (definition_service(&form, &r->file_env, d->region, plan, plan + 1, e) == -1)
			return -1;
		d->sidecar[d->service_count++] = false;
		if (plan[1].id.size != 0)
			d->sidecar[d->service_count++] = true;
	}
	return 0;
}

static bool
defines_service(const struct definitions *d, struct bytes id)
{
	for (size_t i = 0; i < d->service_count; i++)
		if (bytes_equal(d->services[i].id, id))
			return true;
	return false;
}

static int
read_checks(struct registrar *r, struct definitions *d, struct bytes list, struct checkd_error *e)
{
	struct mp in = mp_of(list);
	uint32_t count = list.size != 0 ? mp_array(&in) : 0;
	const char *bad;

	d->checks = region_alloc(d->region, ((size_t)count + 1) * sizeof *d->checks);
	d->check_tokens = region_alloc(d->region, ((size_t)count + 1) * sizeof *d->check_tokens);
	for (; count > 0; count--) {
		struct check_definition_request form;
		struct check_plan *plan = &d->checks[d->check_count];
		const struct local_service *s;
		if (schema_decode_at(&check_definition_request_schema, &in, &form, &bad) == -1)
			return checkd_refuse(e, 0, "%s", bad);
		if (definition_check(&form, &r->file_env, d->region, plan, e) == -1)
			return -1;
		s = plan->service_id.size != 0 ? local_service(r->local, plan->service_id) : NULL;
		if (plan->service_id.size != 0 && !defines_service(d, plan->service_id) &&
		    (s == NULL || s->source == LOCAL_FILE))
			return checkd_refuse(e, 0, "Failed to register check '%.*s': ServiceID \"%.*s\" does not exist",
			    (int)form.name.size, (const char *)form.name.data, (int)plan->service_id.size,
			    (const char *)plan->service_id.data);
		d->check_tokens[d->check_count++] = form.token;
	}
	return 0;
}

struct definitions *
definitions_read(struct registrar *r, struct bytes json, struct checkd_error *e)
{
	struct region *region = region_new();
	struct definitions *d = region_alloc(region, sizeof *d);
	struct buf message = BUF_INIT(DEFINITIONS_BYTES_MAX);
	struct agent_definitions form;
	struct json_error error;
	const char *bad;
	int result = -1;

	*d = (struct definitions){.region = region};
	if (schema_from_json(&agent_definitions_schema, json, &message, &error) == -1)
		result = checkd_refuse(e, 0, "%s", error.text);
	else if (schema_decode(&agent_definitions_schema, region_copy(region, buf_bytes(&message)), &form, &bad) == -1)
		result = checkd_refuse(e, 0, "%s", bad);
	else if (read_services(r, d, form.services, e) == 0 && read_checks(r, d, form.checks, e) == 0)
		result = 0;
	buf_free(&message);
	if (result == 0)
		return d;
	region_free(region);
	return NULL;
}

void
definitions_free(struct definitions *d)
{
	if (d != NULL)
		region_free(d->region);
}

static void
remove_stale(struct registrar *r)
{
	for (size_t i = 0; i < local_service_count(r->local); i++) {
		struct local_service *s = local_service_at(r->local, i);
		if (!s->deleted && s->source == LOCAL_FILE && s->generation != r->generation)
			remove_one_service(r, s);
	}
	for (size_t i = 0; i < local_check_count(r->local); i++) {
		struct local_check *c = local_check_at(r->local, i);
		if (!c->deleted && c->source == LOCAL_FILE && c->generation != r->generation)
			register_remove_check(r, c);
	}
}

void
register_definitions(struct registrar *r, const struct definitions *d)
{
	struct checkd_error e;

	r->generation++;
	for (size_t i = 0; i < d->service_count; i++) {
		const struct service_plan *plan = &d->services[i];
		struct local_origin origin = {.token = plan->token, .source = LOCAL_FILE, .sidecar = d->sidecar[i]};
		if (put_service(r, plan, &origin, false, &e) == -1)
			log_errorx(LOG, "service of the configuration files was not registered: service=%s error=%s",
			    log_quote_bytes(plan->id), log_quote(e.text));
	}
	for (size_t i = 0; i < d->check_count; i++) {
		struct local_origin origin = {.token = d->check_tokens[i], .source = LOCAL_FILE};
		if (put_check(r, &d->checks[i], &origin, &e) == -1)
			log_errorx(LOG, "check of the configuration files was not registered: check=%s error=%s",
			    log_quote_bytes(d->checks[i].id), log_quote(e.text));
	}
	remove_stale(r);
}

/* ---- what came by the API earlier ---- */

void
register_forget(struct registrar *r)
{
	for (size_t i = 0; i < local_service_count(r->local); i++) {
		struct local_service *s = local_service_at(r->local, i);
		if (!s->deleted && s->source == LOCAL_API)
			remove_one_service(r, s);
	}
	for (size_t i = 0; i < local_check_count(r->local); i++) {
		struct local_check *c = local_check_at(r->local, i);
		if (!c->deleted && c->source == LOCAL_API)
			register_remove_check(r, c);
	}
}

static bool
restore_service(void *ctx, const struct persisted_service *form, const struct node_service *service)
{
	struct registrar *r = ctx;
	struct local_origin origin = {.token = form->token, .source = LOCAL_API, .sidecar = form->sidecar};
	struct service_plan plan = {.id = service->id, .name = service->service, .message = form->service};

	if (local_service(r->local, service->id) != NULL) {
		log_debug(LOG, "service exists, not restoring from file: service=%s", log_quote_bytes(service->id));
		return false;
	}
	return local_put_service(r->local, &plan, &origin) != NULL;
}

static bool
restore_check(void *ctx, const struct persisted_check *form, const struct health_check *check,
    const struct persisted_state *state)
{
	struct registrar *r = ctx;
	struct local_origin origin = {.token = form->token, .source = LOCAL_API};
	struct check_plan plan = {
	    .id = check->check_id,
	    .name = check->name,
	    .notes = check->notes,
	    .service_id = check->service_id,
	    .status = STATUS_CRITICAL,
	    .message = form->type,
	    .type_text = check->type,
	    .interval_text = check->interval,
	    .timeout_text = check->timeout,
	};
	struct local_check *c;
	enum status status;

	if (local_check(r->local, check->check_id) != NULL) {
		log_debug(LOG, "check exists, not restoring from file: check=%s", log_quote_bytes(check->check_id));
		return false;
	}
	if (check->service_id.size != 0 && local_service(r->local, check->service_id) == NULL) {
		log_warnx(LOG, "Failed to restore check: check=%s error=\"ServiceID does not exist\"",
		    log_quote_bytes(check->check_id));
		return false;
	}
	c = local_put_check(r->local, &plan, &origin);
	if (c == NULL)
		return false;
	checks_start(r->checks, c, false);
	if (state->status.size != 0 && state->expires > walltime_ns() / NS_PER_S &&
	    status_parse(state->status, &status) == 0)
		local_update_check(r->local, c, status, state->output);
	return true;
}

void
register_restore(struct registrar *r)
{
	struct persist_loader loader = {restore_service, restore_check, r};

	persist_load_services(r->persist, &loader);
	persist_load_checks(r->persist, &loader);
}

/*
 * check_alias.c - checks that follow a service or a node (contract: check.h; facts: behaviour.md 1.9)
 *
 * On this node what the registry says is looked at whenever something in it changes, and every minute. On another
 * node a blocking query on the node's checks does the waiting.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "mem.h"
#include "structs.h"

#define LOOK_S 60.
#define WAIT_NS (60 * NS_PER_S)
#define STALE_NS (15 * NS_PER_S)
#define OUTPUT_BYTES_MAX 65536
#define NOT_FOUND_S 5.
#define BACKOFF_FAILURES 3
#define BACKOFF_MAX_S 60.

/* The worst check so far. */
struct verdict {
	enum status status;
	size_t count;
	struct buf output;
};

static void
verdict_add(struct verdict *v, enum status status, struct bytes name, struct bytes output)
{
	v->count++;
	if (status <= v->status)
		return;
	v->status = status;
	buf_clear(&v->output);
	buf_printf(&v->output, "Aliased check \"%.*s\" failing: ", (int)name.size, (const char *)name.data);
	/* Aliases that follow each other quote each other: that must end somewhere. */
	output.size = MIN(output.size, v->output.max - v->output.used);
	buf_put_bytes(&v->output, output);
}

static void
verdict_give(struct verdict *v, struct check_runner *r)
{
	if (v->count == 0)
		buf_put_str(&v->output, "No checks found.");
	else if (v->status == STATUS_PASSING)
		buf_put_str(&v->output, "All checks passing.");
	check_report(r, v->status, buf_bytes(&v->output));
	buf_free(&v->output);
}

static void
not_found(struct check_runner *r)
{
	struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);

	buf_printf(&text, "Service %.*s could not be found on node %.*s", (int)r->type.alias_service.size,
	    (const char *)r->type.alias_service.data, (int)r->type.alias_node.size,
	    (const char *)r->type.alias_node.data);
	check_report(r, STATUS_CRITICAL, buf_bytes(&text));
	buf_free(&text);
}

static void
again(struct check_runner *r, ev_tstamp after)
{
	struct ev_loop *loop = check_options(r)->loop;

	ev_timer_stop(loop, &r->timer);
	ev_timer_set(&r->timer, after, 0.);
	ev_timer_start(loop, &r->timer);
}

static void
look_here(struct check_runner *r)
{
	const struct local *l = check_options(r)->local;
	struct verdict v = {.status = STATUS_PASSING, .output = BUF_INIT(OUTPUT_BYTES_MAX)};

	again(r, LOOK_S);
	if (r->type.alias_service.size != 0 && local_service(l, r->type.alias_service) == NULL) {
		not_found(r);
		return;
	}
	for (size_t i = 0; i < local_check_count(l); i++) {
		const struct local_check *c = local_check_at(l, i);
		if (c->deleted || c == r->check)
			continue;
		if (c->service_id[0] == '\0' ||
		    (r->type.alias_service.size != 0 && bytes_is(r->type.alias_service, c->service_id)))
			verdict_add(&v, c->status, bytes_str(c->name), buf_bytes(&c->output));
	}
	verdict_give(&v, r);
}

/* ---- another node ---- */

struct remote {
	uint64_t index;    /* of the last answer about checks */
	unsigned failures; /* in a row */
	bool services;     /* the call under way asks which services there are */
};

static void ask(struct check_runner *r);

static void
failed(struct check_runner *r, struct bytes error)
{
	struct remote *m = r->probe;
	ev_tstamp wait = 1.;

	m->index = 0;
	m->failures++;
	if (m->failures >= 2) {
		struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
		buf_put_str(&text, "Failure checking aliased node or service: ");
		buf_put_bytes(&text, error);
		check_report(r, STATUS_CRITICAL, buf_bytes(&text));
		buf_free(&text);
	}
	for (unsigned i = BACKOFF_FAILURES; i < m->failures && wait < BACKOFF_MAX_S; i++)
		wait *= 2;
	again(r, MIN(wait, BACKOFF_MAX_S));
}

static bool
has_service(struct bytes body, struct bytes id, bool *node_known)
{
	struct bytes list = mp_find_raw(body, "NodeServices"), services;
	struct mp in;
	uint32_t count;

	*node_known = list.size != 0 && mp_find_raw(list, "Node").size > 1;
	services = list.size != 0 ? mp_find_raw(list, "Services") : list;
	in = mp_of(services);
	if (services.size == 0 || mp_peek(&in) != MP_ARRAY)
		return false;
	for (count = mp_array(&in); count > 0; count--)
		if (bytes_equal(mp_find_str(mp_raw(&in), "ID"), id))
			return true;
	return false;
}

static void
judge(struct check_runner *r, struct bytes body)
{
	struct verdict v = {.status = STATUS_PASSING, .output = BUF_INIT(OUTPUT_BYTES_MAX)};
	struct bytes list = mp_find_raw(body, "HealthChecks");
	struct mp in = mp_of(list);
	uint32_t count = list.size != 0 ? mp_array(&in) : 0;
	struct health_check c;
	const char *bad;

	for (; count > 0; count--) {
		enum status status;
		if (schema_decode_at(&health_check_schema, &in, &c, &bad) == -1)
			break;
		if (c.service_id.size != 0 && r->type.alias_service.size != 0 &&
		    !bytes_equal(c.service_id, r->type.alias_service))
			continue;
		if (c.service_id.size != 0 && r->type.alias_service.size == 0)
			continue;
		if (status_parse(c.status, &status) == 0)
			verdict_add(&v, status, c.name, c.output);
	}
	verdict_give(&v, r);
}

static void
answered(void *ctx, const struct ipc_answer *answer)
{
	struct check_runner *r = ctx;
	struct remote *m = r->probe;
	bool node_known = true;

	r->call = NULL;
	if (answer->status != IPC_OK) {
		failed(r, answer->error);
		return;
	}
	m->failures = 0;
	if (m->services) {
		if (!has_service(answer->body, r->type.alias_service, &node_known) &&
		    (!node_known || r->type.alias_service.size != 0)) {
			not_found(r);
			again(r, NOT_FOUND_S);
			return;
		}
		m->services = false;
	} else {
		m->index = mp_find_uint(answer->body, "Index");
		judge(r, answer->body);
		m->services = true; /* the service may have gone with its last check */
	}
	ask(r);
}

static void
ask(struct check_runner *r)
{
	const struct checks_options *o = check_options(r);
	struct remote *m = r->probe;
	struct node_request args = {
	    .datacenter = bytes_str(o->datacenter),
	    .node = r->type.alias_node,
	    .token = bytes_str(r->check->token[0] != '\0' ? r->check->token : o->token),
	    .allow_stale = true,
	    .max_stale_duration = STALE_NS,
	};
	struct ipc_call_options call = {.timeout_ms = 2 * WAIT_NS / NS_PER_MS, .flags = IPC_RESEND, .fd = -1};
	struct buf b = BUF_INIT(65536);

	if (!m->services && m->index != 0) {
		args.min_query_index = m->index;
		args.max_query_time = WAIT_NS;
	}
	schema_encode(&node_request_schema, &args, &b);
	r->call = ipc_call(o->catalog, m->services ? "Catalog.NodeServiceList" : "Health.NodeChecks", buf_bytes(&b),
	    &call, answered, r);
	buf_free(&b);
}

bool
check_alias_is_here(const struct check_runner *r)
{
	return r->type.alias_node.size == 0 ||
	       bytes_is(r->type.alias_node, local_settings(check_options(r)->local)->node);
}

void
check_alias_look(struct check_runner *r)
{
	if (r->type.alias_node.size == 0 ||
	    (r->type.alias_service.size != 0 &&
		bytes_is(r->type.alias_node, local_settings(check_options(r)->local)->node))) {
		look_here(r);
		return;
	}
	if (r->call != NULL || check_options(r)->catalog == NULL)
		return;
	if (r->probe == NULL) {
		struct remote *m = xcalloc(1, sizeof *m);
		m->services = true;
		r->probe = m;
	}
	ask(r);
}

static void
cancel(struct check_runner *r)
{
	if (r->call != NULL)
		ipc_cancel(r->call);
	r->call = NULL;
	free(r->probe);
	r->probe = NULL;
}

const struct check_kind check_kind_alias = {.name = "alias", .cancel = cancel};

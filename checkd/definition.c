/*
 * definition.c - from a definition to what is registered (contract: definition.h; callers: serve.c, register.c)
 *
 * The order of the checks is the reference's: a request with several mistakes names the same one.
 */
#include "definition.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "duration.h"
#include "validate.h"

#define MESSAGE_BYTES_MAX (16u * 1024 * 1024)
#define SCRIPTS_OFF_FILE                                                                                               \
	"Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or "                          \
	"'enable_local_script_checks' to true"
#define SCRIPTS_OFF_API                                                                                                \
	"Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true"

/* The message of a C form, in the region. */
static struct bytes
encode(const struct schema *s, const void *form, struct region *r)
{
	struct buf b = BUF_INIT(MESSAGE_BYTES_MAX);
	struct bytes copy;

	schema_encode(s, form, &b);
	copy = region_copy(r, buf_bytes(&b));
	buf_free(&b);
	return copy;
}

static struct bytes
text_in(struct region *r, const char *text)
{
	return region_copy(r, bytes_str(text));
}

static struct bytes
duration_in(struct region *r, int64_t ns)
{
	char text[DURATION_TEXT_MAX];

	return text_in(r, duration_format(ns, text));
}

static bool
is_script(const struct check_type *t)
{
	struct mp args = mp_of(t->script_args);

	return t->script_args.size != 0 && mp_array(&args) > 0;
}

static bool
is_alias(const struct check_type *t)
{
	return t->alias_node.size != 0 || t->alias_service.size != 0;
}

const char *
check_type_text(const struct check_type *t)
{
	bool timed = t->interval > 0;

	if (t->grpc.size != 0 && timed)
		return "grpc";
	if (t->http.size != 0 && timed)
		return "http";
	if (t->ttl > 0)
		return "ttl";
	if (t->tcp.size != 0 && timed)
		return "tcp";
	if (t->udp.size != 0 && timed)
		return "udp";
	if (is_alias(t))
		return "alias";
	if (is_script(t) && timed)
		return t->docker_container_id.size != 0 ? "docker" : "script";
	if (t->h2ping.size != 0 && timed)
		return "h2ping";
	if (t->os_service.size != 0 && timed)
		return "os_service";
	return "";
}

const char *
check_type_problem(const struct check_type *t)
{
	bool periodic = is_script(t) || t->http.size != 0 || t->tcp.size != 0 || t->udp.size != 0 ||
			t->grpc.size != 0 || t->h2ping.size != 0 || t->os_service.size != 0;

	if (t->interval > 0 && t->ttl > 0)
		return "Interval and TTL cannot both be specified";
	if (periodic && t->interval <= 0)
		return "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks";
	if (periodic && is_alias(t))
		return "Interval cannot be set for Alias checks";
	if (is_alias(t) && t->ttl > 0)
		return "TTL must be not be set for Alias checks";
	if (!periodic && !is_alias(t) && t->ttl <= 0)
		return "TTL must be > 0 for TTL checks";
	if (t->output_max_size < 0)
		return "MaxOutputMaxSize must be positive";
	if (t->failures_before_warning > t->failures_before_critical)
		return "FailuresBeforeWarning can't be higher than FailuresBeforeCritical";
	return NULL;
}

/* What no text of the type check covers: the one field whose type the table leaves open, and what this agent may not run. */
static int
check_allowed(const struct check_type *t, const struct definition_env *env, struct checkd_error *e)
{
	if (is_script(t) && !env->scripts_allowed)
		return checkd_refuse(e, 500, "%s", env->from_file ? SCRIPTS_OFF_FILE : SCRIPTS_OFF_API);
	if (t->os_service.size != 0 && bytes_is(bytes_str(check_type_text(t)), "os_service"))
		return checkd_refuse(e, 500, "not implemented");
	return 0;
}

static int
check_decoded(const struct check_type *t, struct checkd_error *e)
{
	struct mp flag = mp_of(t->h2ping_use_tls);
	enum mp_type type = mp_peek(&flag);

	if (t->h2ping_use_tls.size != 0 && type != MP_NIL && type != MP_BOOL)
		return checkd_refuse(e, 400,
		    "Request decode failed: json: cannot unmarshal %s into Go struct field .Alias.H2PingUseTLS of type "
		    "bool",
		    type == MP_STR     ? "string"
		    : type == MP_MAP   ? "object"
		    : type == MP_ARRAY ? "array"
				       : "number");
	return 0;
}

static bool
check_type_empty(const struct check_type *t)
{
	struct check_type zero = {.h2ping_use_tls = t->h2ping_use_tls};
	struct mp flag = mp_of(t->h2ping_use_tls);
	struct buf a = BUF_INIT(MESSAGE_BYTES_MAX), b = BUF_INIT(MESSAGE_BYTES_MAX);
	bool same;

	if (t->h2ping_use_tls.size != 0 && !mp_nil(&flag))
		return false;
	schema_encode(&check_type_schema, t, &a);
	schema_encode(&check_type_schema, &zero, &b);
	same = bytes_equal(buf_bytes(&a), buf_bytes(&b));
	buf_free(&a);
	buf_free(&b);
	return same;
}

/* ---- checks of a service ---- */

static int
service_check(const struct service_definition *d, const struct check_type *given, size_t number, size_t count,
    struct bytes service_id, struct region *r, struct check_plan *out, struct checkd_error *e)
{
	struct check_type *t = &out->type;

	*t = *given;
	out->id = t->check_id;
	if (out->id.size == 0)
		out->id = bytes_str(
		    count == 1 ? region_printf(r, "service:%.*s", (int)service_id.size, (const char *)service_id.data)
			       : region_printf(r, "service:%.*s:%zu", (int)service_id.size,
				     (const char *)service_id.data, number));
	out->name = t->name;
	if (out->name.size == 0)
		out->name =
		    bytes_str(region_printf(r, "Service '%.*s' check", (int)d->name.size, (const char *)d->name.data));
	out->notes = t->notes;
	out->service_id = service_id;
	out->status = STATUS_CRITICAL;
	if (t->status.size != 0 && status_parse(t->status, &out->status) == -1)
		return checkd_refuse(e, 400, "Status for checks must 'passing', 'warning', 'critical'");
	out->type_text = bytes_str(check_type_text(t));
	out->interval_text = t->interval != 0 ? duration_in(r, t->interval) : bytes_str("");
	out->timeout_text = t->timeout != 0 ? duration_in(r, t->timeout) : bytes_str("");
	out->message = encode(&check_type_schema, t, r);
	return 0;
}

static int
check_refused(const struct service_definition *d, const struct check_type *t, const struct definition_env *env,
    const char *prefix, const char *problem, struct checkd_error *e)
{
	if (env->from_file)
		return checkd_refuse(e, 0, "service \"%.*s\": check \"%.*s\": %s", (int)d->name.size,
		    (const char *)d->name.data, (int)t->name.size, (const char *)t->name.data, problem);
	return checkd_refuse(e, 400, "%s%s", prefix, problem);
}

/* Check and Checks, decoded, into one list. */
static int
collect_checks(const struct service_definition *d, struct region *r, struct check_type **list, size_t *count,
    struct checkd_error *e)
{
	struct mp in = mp_of(d->checks);
	uint32_t more = d->checks.size != 0 ? mp_array(&in) : 0;
	const char *bad;

	*list = region_alloc(r, (more + 1) * sizeof **list);
	*count = 0;
	if (d->check.size != 0) {
		if (schema_decode(&check_type_schema, d->check, &(*list)[0], &bad) == -1)
			return checkd_refuse(e, 400, "Request decode failed: %s", bad);
		if (!check_type_empty(&(*list)[0]))
			*count = 1;
	}
	for (; more > 0; more--) {
		if (schema_decode_at(&check_type_schema, &in, &(*list)[*count], &bad) == -1)
			return checkd_refuse(e, 400, "Request decode failed: %s", bad);
		(*count)++;
	}
	return 0;
}

static int
service_checks(const struct service_definition *d, const struct definition_env *env, const char *prefix,
    struct region *r, struct service_plan *out, struct checkd_error *e)
{
	struct check_type *list;
	size_t count;

	if (collect_checks(d, r, &list, &count, e) == -1)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const char *problem = check_type_problem(&list[i]);
		if (check_decoded(&list[i], e) == -1)
			return -1;
		if (problem != NULL)
			return check_refused(d, &list[i], env, prefix, problem, e);
	}
	out->checks = region_alloc(r, (count + 1) * sizeof *out->checks);
	out->check_count = count;
	for (size_t i = 0; i < count; i++)
		if (service_check(d, &list[i], i + 1, count, out->id, r, &out->checks[i], e) == -1)
			return -1;
	return 0;
}

/* ---- the service itself ---- */

static int
address_family(struct bytes address)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t raw[16];

	if (bytes_to_str(address, text, sizeof text) == -1)
		return 0;
	if (inet_pton(AF_INET, text, raw) == 1)
		return 4;
	return inet_pton(AF_INET6, text, raw) == 1 ? 6 : 0;
}

static const char *const lan_wan[2][2] = {{"lan_ipv4", "wan_ipv4"}, {"lan_ipv6", "wan_ipv6"}};

/* The user's tagged addresses and those that follow from an Address that is an IP. */
static struct bytes
tagged_addresses(const struct service_definition *d, struct region *r)
{
	struct service_address own = {.address = d->address, .port = d->port};
	struct buf b = BUF_INIT(MESSAGE_BYTES_MAX);
	struct mp in = mp_of(d->tagged_addresses);
	uint32_t given = d->tagged_addresses.size != 0 ? mp_map(&in) : 0, count = given;
	int family = address_family(d->address);
	size_t place = mp_open_map(&b);
	struct bytes result = {NULL, 0};

	if (given > 0)
		buf_put(&b, in.at, (size_t)(in.end - in.at));
	for (size_t i = 0; family != 0 && i < 2; i++) {
		const char *key = lan_wan[family == 6][i];
		struct mp value;
		if (given > 0 && mp_find(mp_of(d->tagged_addresses), key, &value))
			continue;
		mp_put_cstr(&b, key);
		schema_encode(&service_address_schema, &own, &b);
		count++;
	}
	mp_close(&b, place, count);
	if (count > 0)
		result = region_copy(r, buf_bytes(&b));
	buf_free(&b);
	return result;
}

static int
check_tagged_addresses(const struct service_definition *d, struct checkd_error *e)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < 2; i++) {
			struct bytes one;
			if (d->tagged_addresses.size == 0)
				return 0;
			one = mp_find_raw(d->tagged_addresses, lan_wan[v6][i]);
			if (one.size == 0)
				continue;
			if (address_family(mp_find_str(one, "Address")) != (v6 ? 6 : 4))
				return checkd_refuse(e, 500,
				    "Service tagged address \"%s\" must be a valid ipv%d address", lan_wan[v6][i],
				    v6 ? 6 : 4);
		}
	return 0;
}

/* Upstreams name their destination type; extensions come from configuration entries only. */
static struct bytes
proxy_message(struct bytes given, struct region *r)
{
	struct proxy p;
	struct buf list = BUF_INIT(MESSAGE_BYTES_MAX);
	const char *bad;

	if (given.size == 0 || schema_decode(&proxy_schema, given, &p, &bad) == -1)
		return (struct bytes){NULL, 0};
	p.envoy_extensions = (struct bytes){NULL, 0};
	if (p.upstreams.size != 0) {
		struct mp in = mp_of(p.upstreams);
		uint32_t count = mp_array(&in);
		mp_put_array(&list, count);
		for (; count > 0; count--) {
			struct upstream u;
			if (schema_decode_at(&upstream_schema, &in, &u, &bad) == -1)
				break;
			if (u.destination_type.size == 0)
				u.destination_type = bytes_str("service");
			schema_encode(&upstream_schema, &u, &list);
		}
		p.upstreams = region_copy(r, buf_bytes(&list));
	}
	buf_free(&list);
	return encode(&proxy_schema, &p, r);
}

static void
service_message(const struct service_definition *d, const struct service_connect *connect, struct region *r,
    struct service_plan *out)
{
	struct weights weights = {.passing = 1, .warning = 1};
	struct connect native = {.native = connect->native};
	struct node_service *s = &out->service;

	*s = (struct node_service){
	    .kind = d->kind,
	    .id = out->id,
	    .service = d->name,
	    .tags = d->tags,
	    .address = d->address,
	    .tagged_addresses = tagged_addresses(d, r),
	    .meta = d->meta,
	    .port = d->port,
	    .socket_path = d->socket_path,
	    .weights = d->weights.size != 0 ? d->weights : encode(&weights_schema, &weights, r),
	    .enable_tag_override = d->enable_tag_override,
	    .locality = d->locality,
	    .proxy = proxy_message(d->proxy, r),
	    .connect = native.native ? encode(&connect_schema, &native, r) : (struct bytes){NULL, 0},
	};
	out->message = encode(&node_service_schema, s, r);
}

static int
basics(const struct service_definition *d, const struct definition_env *env, struct checkd_error *e)
{
	char text[CHECKD_ERROR_MAX];

	if (d->name.size == 0)
		return env->from_file ? checkd_refuse(e, 0, "Service name missing")
				      : checkd_refuse(e, 400, "Missing service name");
	if (!env->from_file &&
	    (bytes_is(d->address, "0.0.0.0") || bytes_is(d->address, "::") || bytes_is(d->address, "[::]")))
		return checkd_refuse(e, 400, "Invalid service address");
	if (d->weights.size != 0) {
		const char *problem = validate_weights(d->weights);
		if (problem != NULL)
			return checkd_refuse(e, 400, "Invalid Weights: %s", problem);
	}
	if (validate_meta(d->meta, bytes_is(d->kind, "mesh-gateway"), text, sizeof text) == -1)
		return checkd_refuse(e, 400, "Invalid Service Meta: %s", text);
	return 0;
}

static int
plan_service(const struct service_definition *d, const struct definition_env *env, const char *prefix,
    const char *check_prefix, struct region *r, struct service_plan *out, struct service_connect *connect,
    struct checkd_error *e)
{
	struct multi_error errors = {0};
	const char *bad;

	*connect = (struct service_connect){0};
	if (d->connect.size != 0 && schema_decode(&service_connect_schema, d->connect, connect, &bad) == -1)
		return checkd_refuse(e, 400, "Request decode failed: %s", bad);
	out->id = d->id.size != 0 ? d->id : d->name;
	out->name = d->name;
	out->token = d->token;
	validate_service(d, connect, &errors);
	if (errors.count != 0) {
		char text[CHECKD_ERROR_MAX / 2];
		multi_error_text(&errors, text, sizeof text);
		return env->from_file ? checkd_refuse(e, 0, "service \"%.*s\": %s", (int)d->name.size,
					    (const char *)d->name.data, text)
				      : checkd_refuse(e, 400, "%s%s", prefix, text);
	}
	if (service_checks(d, env, check_prefix, r, out, e) == -1)
		return -1;
	service_message(d, connect, r, out);
	return 0;
}

/* ---- sidecar ---- */

static struct bytes
sidecar_proxy(const struct service_definition *given, const struct service_plan *parent, struct region *r)
{
	struct proxy p = {0};
	const char *bad;

	if (given->proxy.size != 0 && schema_decode(&proxy_schema, given->proxy, &p, &bad) == -1)
		p = (struct proxy){0};
	if (p.destination_service_name.size == 0)
		p.destination_service_name = parent->name;
	if (p.destination_service_id.size == 0)
		p.destination_service_id = parent->id;
	if (parent->service.socket_path.size != 0 && p.local_service_port < 1 && p.local_service_address.size == 0) {
		if (p.local_service_socket_path.size == 0)
			p.local_service_socket_path = parent->service.socket_path;
	} else {
		if (p.local_service_address.size == 0)
			p.local_service_address = bytes_str("127.0.0.1");
		if (p.local_service_port < 1)
			p.local_service_port = parent->service.port;
	}
	return encode(&proxy_schema, &p, r);
}

static struct bytes
sidecar_checks(const struct service_definition *d, const struct service_plan *parent, struct region *r)
{
	struct bytes local = mp_find_str(d->proxy, "LocalServiceAddress");
	struct bytes address = d->address.size != 0 ? d->address : local;
	bool v6 = memchr(address.data != NULL ? (const void *)address.data : "", ':', address.size) != NULL;
	struct check_type listening = {.name = bytes_str("Connect Sidecar Listening"), .interval = 10 * NS_PER_S};
	struct check_type aliasing = {.alias_service = parent->id};
	struct buf b = BUF_INIT(MESSAGE_BYTES_MAX);
	struct bytes list;

	listening.tcp = bytes_str(region_printf(
	    r, v6 ? "[%.*s]:%lld" : "%.*s:%lld", (int)address.size, (const char *)address.data, (long long)d->port));
	aliasing.name = bytes_str(
	    region_printf(r, "Connect Sidecar Aliasing %.*s", (int)parent->id.size, (const char *)parent->id.data));
	mp_put_array(&b, 2);
	schema_encode(&check_type_schema, &listening, &b);
	schema_encode(&check_type_schema, &aliasing, &b);
	list = region_copy(r, buf_bytes(&b));
	buf_free(&b);
	return list;
}

static bool
no_checks(const struct service_definition *d)
{
	struct mp in = mp_of(d->checks);

	return d->check.size == 0 && (d->checks.size == 0 || mp_array(&in) == 0);
}

static bool
no_elements(struct bytes container)
{
	struct mp in = mp_of(container);

	if (container.size == 0 || mp_peek(&in) == MP_NIL)
		return true;
	return mp_peek(&in) == MP_MAP ? mp_map(&in) == 0 : mp_array(&in) == 0;
}

static int
plan_sidecar(struct bytes given, const struct service_plan *parent, const struct definition_env *env, struct region *r,
    struct service_plan *out, struct checkd_error *e)
{
	struct service_definition d;
	struct service_connect connect;
	const char *bad;

	if (schema_decode(&service_definition_schema, given, &d, &bad) == -1)
		return checkd_refuse(e, 400, "Request decode failed: %s", bad);
	d.id = bytes_str(region_printf(r, "%.*s" SIDECAR_SUFFIX, (int)parent->id.size, (const char *)parent->id.data));
	if (d.name.size == 0)
		d.name = bytes_str(
		    region_printf(r, "%.*s" SIDECAR_SUFFIX, (int)parent->name.size, (const char *)parent->name.data));
	if (d.kind.size == 0)
		d.kind = bytes_str("connect-proxy");
	if (d.address.size == 0)
		d.address = parent->service.address;
	if (no_elements(d.meta))
		d.meta = parent->service.meta;
	if (no_elements(d.tags))
		d.tags = parent->service.tags;
	if (d.locality.size == 0)
		d.locality = parent->service.locality;
	d.proxy = sidecar_proxy(&d, parent, r);
	if (d.port == 0 && d.socket_path.size == 0) {
		d.port = env->sidecar_port(env->ctx, d.id);
		if (d.port == 0)
			return checkd_refuse(e, 500,
			    "no port provided for sidecar_service and none left in the configured range [%lld, %lld]",
			    (long long)env->sidecar_min_port, (long long)env->sidecar_max_port);
	}
	if (no_checks(&d))
		d.checks = sidecar_checks(&d, parent, r);
	if (d.token.size == 0)
		d.token = parent->token;
	return plan_service(&d, env, "Failed Validation: ", "Invalid check in sidecar_service: ", r, out, &connect, e);
}

static int
checks_allowed(const struct service_plan *s, const struct definition_env *env, struct checkd_error *e)
{
	for (size_t i = 0; i < s->check_count; i++)
		if (check_allowed(&s->checks[i].type, env, e) == -1)
			return -1;
	return 0;
}

int
definition_service(const struct service_definition *d, const struct definition_env *env, struct region *r,
    struct service_plan *service, struct service_plan *sidecar, struct checkd_error *e)
{
	struct service_connect connect;

	*service = *sidecar = (struct service_plan){0};
	if (basics(d, env, e) == -1 ||
	    plan_service(d, env, "Validation failed: ", "Invalid check: ", r, service, &connect, e) == -1)
		return -1;
	if (connect.sidecar_service.size != 0 &&
	    plan_sidecar(connect.sidecar_service, service, env, r, sidecar, e) == -1)
		return -1;
	if (!env->from_file && check_tagged_addresses(d, e) == -1)
		return -1;
	if (checks_allowed(service, env, e) == -1 || checks_allowed(sidecar, env, e) == -1)
		return -1;
	return 0;
}

int
definition_check(const struct check_definition_request *d, const struct definition_env *env, struct region *r,
    struct check_plan *out, struct checkd_error *e)
{
	struct check_type *t = &out->type;
	const char *problem;

	*out = (struct check_plan){0};
#define COPY(kind, wire, member, flags, sub, aliases, doc) t->member = d->member;
	CHECK_RUN_FIELDS(COPY, NULL)
#undef COPY
	t->check_id = out->id = d->id.size != 0 ? d->id : d->name;
	t->name = out->name = d->name;
	t->notes = out->notes = d->notes;
	t->status = d->status;
	out->service_id = d->service_id;
	if (check_decoded(t, e) == -1)
		return -1;
	if (!env->from_file && d->name.size == 0)
		return checkd_refuse(e, 400, "Missing check name");
	if (out->id.size == 0)
		return checkd_refuse(e, 0, "Failed to register check '': CheckID missing");
	if (out->name.size == 0)
		t->name = out->name = out->id;
	out->status = STATUS_CRITICAL;
	if (d->status.size != 0 && status_parse(d->status, &out->status) == -1)
		return checkd_refuse(e, 400, "Bad check status");
	problem = check_type_problem(t);
	if (problem != NULL)
		return env->from_file ? checkd_refuse(e, 0, "check \"%.*s\": %s", (int)d->name.size,
					    (const char *)d->name.data, problem)
				      : checkd_refuse(e, 400, "Invalid check: %s", problem);
	if (check_allowed(t, env, e) == -1)
		return -1;
	/* The reference shows no type for the checks of configuration files. */
	out->type_text = env->from_file ? bytes_str("") : bytes_str(check_type_text(t));
	out->interval_text = duration_in(r, t->interval);
	out->timeout_text = duration_in(r, t->timeout);
	out->message = encode(&check_type_schema, t, r);
	return 0;
}

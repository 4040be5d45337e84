/*
 * validate.c - the rules for a service's fields (contract: validate.h; caller: definition.c)
 */
#include "validate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define META_PAIRS_MAX 64
#define META_KEY_BYTES_MAX 128
#define META_VALUE_BYTES_MAX 512
#define UPSTREAMS_MAX 1024
#define TEXT(b) (int)(b).size, (const char *)(b).data

void
multi_error_add(struct multi_error *m, const char *fmt, ...)
{
	va_list args;

	if (m->count < MULTI_ERROR_LINES_MAX) {
		va_start(args, fmt);
		vsnprintf(m->lines[m->count], MULTI_ERROR_LINE_MAX, fmt, args);
		va_end(args);
	}
	m->count++;
}

void
multi_error_text(const struct multi_error *m, char *out, size_t size)
{
	size_t used =
	    (size_t)snprintf(out, size, m->count == 1 ? "1 error occurred:\n" : "%zu errors occurred:\n", m->count);

	for (size_t i = 0; i < m->count && i < MULTI_ERROR_LINES_MAX && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "\t* %s\n", m->lines[i]);
	if (used < size)
		snprintf(out + used, size - used, "\n");
}

const char *
validate_weights(struct bytes weights)
{
	struct weights w;
	const char *bad;

	if (schema_decode(&weights_schema, weights, &w, &bad) == -1)
		return "not an object";
	if (w.passing < 1)
		return "Passing must be greater than 0";
	if (w.warning < 0)
		return "Warning must be greater or equal than 0";
	if (w.passing > 65535 || w.warning > 65535)
		return "DNS Weight must be between 0 and 65535";
	return NULL;
}

static bool
meta_key_chars(struct bytes key)
{
	for (size_t i = 0; i < key.size; i++) {
		uint8_t c = key.data[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
			c == '_'))
			return false;
	}
	return true;
}

static const char *
meta_pair_problem(struct bytes key, struct bytes value, bool reserved_ok)
{
	if (key.size == 0)
		return "Key cannot be blank";
	if (!meta_key_chars(key))
		return "Key contains invalid characters";
	if (key.size > META_KEY_BYTES_MAX)
		return "Key is too long (limit: 128 characters)";
	if (bytes_has_prefix(key, bytes_str("consul-")) && !(reserved_ok && bytes_is(key, "consul-wan-federation")))
		return "Key prefix 'consul-' is reserved for internal use";
	if (value.size > META_VALUE_BYTES_MAX)
		return "Value is too long (limit: 512 characters)";
	return NULL;
}

int
validate_meta(struct bytes meta, bool reserved_ok, char *out, size_t size)
{
	struct mp in = mp_of(meta);
	uint32_t pairs;

	if (meta.size == 0)
		return 0;
	pairs = mp_map(&in);
	if (pairs > META_PAIRS_MAX) {
		snprintf(out, size, "Node metadata cannot contain more than 64 key/value pairs");
		return -1;
	}
	for (; pairs > 0; pairs--) {
		struct bytes key = mp_str(&in), value = mp_str(&in);
		const char *problem = meta_pair_problem(key, value, reserved_ok);
		if (problem != NULL) {
			snprintf(out, size, "Couldn't load metadata pair ('%.*s', '%.*s'): %s", TEXT(key), TEXT(value),
			    problem);
			return -1;
		}
	}
	return 0;
}

/* ---- proxies ---- */

static const char *
upstream_problem(const struct upstream *u, char *text, size_t size)
{
	bool socket = u->local_bind_socket_path.size != 0;

	if (u->destination_type.size != 0 && !bytes_is(u->destination_type, "service") &&
	    !bytes_is(u->destination_type, "prepared_query")) {
		snprintf(text, size, "unknown upstream destination type: \"%.*s\"", TEXT(u->destination_type));
		return text;
	}
	if (u->destination_name.size == 0)
		return "upstream destination name cannot be empty";
	if (bytes_is(u->destination_name, "*") && !u->centrally_configured)
		return "upstream destination name cannot be a wildcard";
	if (u->destination_peer.size != 0 && u->datacenter.size != 0)
		return "upstream cannot specify both destination peer and datacenter";
	if (u->local_bind_port == 0 && !socket && !u->centrally_configured)
		return "upstream local bind port or local socket path must be defined and nonzero";
	if (u->local_bind_port != 0 && socket && !u->centrally_configured)
		return "only one of upstream local bind port or local socket path can be defined and nonzero";
	return NULL;
}

static struct bytes
upstream_type(const struct upstream *u)
{
	return u->destination_type.size != 0 ? u->destination_type : bytes_str("service");
}

static bool
same_destination(const struct upstream *a, const struct upstream *b)
{
	return bytes_equal(upstream_type(a), upstream_type(b)) &&
	       bytes_equal(a->destination_name, b->destination_name) &&
	       bytes_equal(a->destination_partition, b->destination_partition) &&
	       bytes_equal(a->destination_namespace, b->destination_namespace) &&
	       bytes_equal(a->destination_peer, b->destination_peer) && bytes_equal(a->datacenter, b->datacenter);
}

static void
upstream_address(const struct upstream *u, char *out, size_t size)
{
	struct bytes address = u->local_bind_address.size != 0 ? u->local_bind_address : bytes_str("127.0.0.1");

	if (u->local_bind_socket_path.size != 0)
		snprintf(out, size, "%.*s", TEXT(u->local_bind_socket_path));
	else
		snprintf(out, size, memchr(address.data, ':', address.size) != NULL ? "[%.*s]:%lld" : "%.*s:%lld",
		    TEXT(address), (long long)u->local_bind_port);
}

static void
validate_upstreams(struct bytes list, struct multi_error *errors)
{
	struct mp in = mp_of(list);
	uint32_t count = list.size != 0 ? mp_array(&in) : 0;
	struct upstream *seen;
	size_t kept = 0;
	const char *bad;

	if (count > UPSTREAMS_MAX) {
		multi_error_add(errors, "more than %d upstreams", UPSTREAMS_MAX);
		return;
	}
	seen = xcalloc(count + 1, sizeof *seen);
	for (; count > 0; count--) {
		struct upstream *u = &seen[kept];
		char text[MULTI_ERROR_LINE_MAX], address[512], other[512];
		const char *problem;
		size_t i;

		if (schema_decode_at(&upstream_schema, &in, u, &bad) == -1)
			break;
		problem = upstream_problem(u, text, sizeof text);
		if (problem != NULL) {
			multi_error_add(errors, "%s", problem);
			continue;
		}
		for (i = 0; i < kept && !same_destination(u, &seen[i]); i++)
			;
		if (i < kept) {
			multi_error_add(errors,
			    "upstreams cannot contain duplicates of [type=\"%.*s\", name=\"%.*s\", partition=\"%.*s\", "
			    "namespace=\"%.*s\", peer=\"%.*s\", datacenter=\"%.*s\"]",
			    TEXT(upstream_type(u)), TEXT(u->destination_name), TEXT(u->destination_partition),
			    TEXT(u->destination_namespace), TEXT(u->destination_peer), TEXT(u->datacenter));
			continue;
		}
		upstream_address(u, address, sizeof address);
		for (i = 0; i < kept; i++) {
			upstream_address(&seen[i], other, sizeof other);
			if (strcmp(address, other) == 0)
				break;
		}
		if (i < kept && !u->centrally_configured)
			multi_error_add(errors,
			    "upstreams cannot contain duplicates by local bind address and port or unix path; "
			    "\"%.200s\" is specified twice",
			    address);
		else
			kept++;
	}
	free(seen);
}

static void
validate_expose(struct bytes expose, struct multi_error *errors)
{
	struct bytes list = expose.size != 0 ? mp_find_raw(expose, "Paths") : expose;
	struct mp in = mp_of(list);
	uint32_t count = list.size != 0 ? mp_array(&in) : 0;
	uint8_t ports[65536 / 8] = {0};
	const char *bad;

	for (; count > 0; count--) {
		struct expose_path p;
		if (schema_decode_at(&expose_path_schema, &in, &p, &bad) == -1)
			return;
		if (p.path.size == 0)
			multi_error_add(errors, "expose.paths: empty path exposed");
		if (p.listener_port <= 0 || p.listener_port > 65535) {
			multi_error_add(
			    errors, "expose.paths: invalid listener port: %lld", (long long)p.listener_port);
		} else {
			uint8_t bit = (uint8_t)(1u << (p.listener_port % 8));
			if (ports[p.listener_port / 8] & bit)
				multi_error_add(errors, "expose.paths: duplicate listener ports exposed");
			ports[p.listener_port / 8] |= bit;
		}
		if (p.protocol.size != 0 && !bytes_equal_fold(p.protocol, bytes_str("http")) &&
		    !bytes_equal_fold(p.protocol, bytes_str("http2")))
			multi_error_add(errors,
			    "protocol '%.*s' not supported for path: %.*s, must be in: [http http2]", TEXT(p.protocol),
			    TEXT(p.path));
	}
}

static void
validate_proxy(const struct service_definition *d, const struct service_connect *connect, const struct proxy *p,
    struct multi_error *errors)
{
	if (d->port == 0 && d->socket_path.size == 0)
		multi_error_add(errors, "Port or SocketPath must be set for a connect-proxy");
	if (p->destination_service_name.size == 0)
		multi_error_add(errors, "Proxy.DestinationServiceName must be non-empty for Connect proxy services");
	if (bytes_is(p->destination_service_name, "*"))
		multi_error_add(
		    errors, "Proxy.DestinationServiceName must not be a wildcard for Connect proxy services");
	if (connect->native)
		multi_error_add(errors, "A Proxy cannot also be Connect Native, only typical services");
	validate_upstreams(p->upstreams, errors);
	validate_expose(p->expose, errors);
}

static bool
is_gateway(struct bytes kind)
{
	static const char *const gateways[] = {"mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"};

	for (size_t i = 0; i < COUNTOF(gateways); i++)
		if (bytes_is(kind, gateways[i]))
			return true;
	return false;
}

static void
validate_gateway(const struct service_definition *d, const struct service_connect *connect, const struct proxy *p,
    struct multi_error *errors)
{
	struct mp upstreams = mp_of(p->upstreams);
	const struct {
		bool set;
		const char *field;
	} fields[] = {
	    {p->destination_service_name.size != 0, "DestinationServiceName"},
	    {p->destination_service_id.size != 0, "DestinationServiceID"},
	    {p->local_service_address.size != 0, "LocalServiceAddress"},
	    {p->local_service_port != 0, "LocalServicePort"},
	    {p->local_service_socket_path.size != 0, "LocalServiceSocketPath"},
	    {p->upstreams.size != 0 && mp_array(&upstreams) > 0, "Upstreams"},
	};

	if (d->port == 0 && (bytes_is(d->kind, "mesh-gateway") || bytes_is(d->kind, "terminating-gateway")))
		multi_error_add(errors, "Port must be non-zero for a %.*s", TEXT(d->kind));
	if (connect->sidecar_service.size != 0)
		multi_error_add(errors, "A %.*s cannot have a sidecar service defined", TEXT(d->kind));
	for (size_t i = 0; i < COUNTOF(fields); i++)
		if (fields[i].set)
			multi_error_add(
			    errors, "The Proxy.%s configuration is invalid for a %.*s", fields[i].field, TEXT(d->kind));
}

static void
validate_sidecar(struct bytes given, struct multi_error *errors)
{
	struct bytes connect = mp_find_raw(given, "Connect");

	if (mp_find_str(given, "ID").size != 0)
		multi_error_add(errors, "A SidecarService cannot specify an ID as this is managed by the agent");
	if (connect.size != 0) {
		struct bytes nested = mp_find_raw(connect, "SidecarService");
		struct mp in = mp_of(nested);
		if (nested.size != 0 && mp_peek(&in) == MP_MAP)
			multi_error_add(errors, "A SidecarService cannot have a nested SidecarService");
	}
}

void
validate_service(const struct service_definition *d, const struct service_connect *connect, struct multi_error *errors)
{
	struct proxy p = {0};
	const char *bad;

	if (d->locality.size != 0 && mp_find_str(d->locality, "Zone").size != 0 &&
	    mp_find_str(d->locality, "Region").size == 0)
		multi_error_add(errors, "zone cannot be set without region");
	if (d->proxy.size != 0 && schema_decode(&proxy_schema, d->proxy, &p, &bad) == -1)
		p = (struct proxy){0};
	if (bytes_is(d->kind, "connect-proxy"))
		validate_proxy(d, connect, &p, errors);
	else if (is_gateway(d->kind))
		validate_gateway(d, connect, &p, errors);
	if (connect->sidecar_service.size != 0)
		validate_sidecar(connect->sidecar_service, errors);
	if (connect->native && !bytes_is(d->kind, "connect-proxy") && d->port == 0 && d->socket_path.size == 0)
		multi_error_add(errors, "Port or SocketPath must be set for a Connect native service.");
}

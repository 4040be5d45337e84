/*
 * service_rules.c - what a service registration must satisfy (contract: service_rules.h; caller: register.c)
 *
 * All rules are tried; each that is broken adds a line, in a fixed order.
 */
#include "service_rules.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(run) (int)(run).size, (const char *)(run).data

/* Upstreams and paths are compared pairwise; more of them are refused. */
#define LIST_MAX 1024

struct findings {
	struct buf *out; /* "\t* text\n" each */
	unsigned count;
};

static void add(struct findings *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
add(struct findings *f, const char *fmt, ...)
{
	va_list args;

	f->count++;
	buf_put_str(f->out, "\t* ");
	va_start(args, fmt);
	buf_vprintf(f->out, fmt, args);
	va_end(args);
	buf_put_str(f->out, "\n");
}

static bool
is_blank(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++)
		if (strchr(" \t\r\n\v\f", text.data[i]) == NULL)
			return false;
	return true;
}

/* Elements of a list of structs, decoded. *count 0 when it is not one or too long. */
static void *
list_of(const struct schema *s, struct bytes list, uint32_t *count)
{
	struct mp in = mp_of(list);
	const char *error;
	char *items;

	*count = list.size > 0 ? mp_array(&in) : 0;
	if (*count > LIST_MAX)
		*count = LIST_MAX;
	items = xcalloc(*count + 1, s->size);
	for (uint32_t i = 0; i < *count; i++)
		if (schema_decode_at(s, &in, items + i * s->size, &error) == -1)
			*count = i;
	return items;
}

static void
put_bind(const struct upstream *u, struct buf *out)
{
	if (u->local_bind_socket_path.size > 0)
		buf_put_bytes(out, u->local_bind_socket_path);
	else
		buf_printf(out, "%.*s:%lld", u->local_bind_address.size > 0 ? (int)u->local_bind_address.size : 9,
		    u->local_bind_address.size > 0 ? (const char *)u->local_bind_address.data : "127.0.0.1",
		    (long long)u->local_bind_port);
}

static struct bytes
type_of(const struct upstream *u)
{
	return u->destination_type.size > 0 ? u->destination_type : bytes_str("service");
}

static bool
same_destination(const struct upstream *x, const struct upstream *y)
{
	return bytes_equal(type_of(x), type_of(y)) && bytes_equal(x->destination_name, y->destination_name) &&
	       bytes_equal(x->destination_peer, y->destination_peer) && bytes_equal(x->datacenter, y->datacenter) &&
	       bytes_equal(x->destination_namespace, y->destination_namespace) &&
	       bytes_equal(x->destination_partition, y->destination_partition);
}

static bool
same_bind(const struct upstream *x, const struct upstream *y)
{
	struct buf a = BUF_INIT(4096), b = BUF_INIT(4096);
	bool same;

	put_bind(x, &a);
	put_bind(y, &b);
	same = bytes_equal(buf_bytes(&a), buf_bytes(&b));
	buf_free(&a);
	buf_free(&b);
	return same;
}

/* true: u in itself is in order. */
static bool
judge_upstream(struct findings *f, const struct upstream *u)
{
	bool path = u->local_bind_socket_path.size > 0, port = u->local_bind_port != 0;

	if (u->destination_type.size > 0 && !bytes_is(u->destination_type, "service") &&
	    !bytes_is(u->destination_type, "prepared_query"))
		add(f, "unknown upstream destination type: \"%.*s\"", TEXT(u->destination_type));
	else if (u->destination_name.size == 0)
		add(f, "upstream destination name cannot be empty");
	else if (bytes_is(u->destination_name, "*") && !u->centrally_configured)
		add(f, "upstream destination name cannot be a wildcard");
	else if (u->destination_peer.size > 0 && u->datacenter.size > 0)
		add(f, "upstream cannot specify both destination peer and datacenter");
	else if (!path && !port && !u->centrally_configured)
		add(f, "upstream local bind port or local socket path must be defined and nonzero");
	else if (path && port)
		add(f, "only one of upstream local bind port or local socket path can be defined and nonzero");
	else
		return true;
	return false;
}

static void
judge_upstreams(struct findings *f, struct bytes list)
{
	uint32_t count;
	struct upstream *u = list_of(&upstream_schema, list, &count);
	bool *good = xcalloc(count + 1, sizeof *good);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t same_name = 0, same_place = 0;

		if (!judge_upstream(f, &u[i]))
			continue;
		while (same_name < i && !(good[same_name] && same_destination(&u[same_name], &u[i])))
			same_name++;
		while (same_place < i && !(good[same_place] && same_bind(&u[same_place], &u[i])))
			same_place++;
		if (same_name < i) {
			add(f,
			    "upstreams cannot contain duplicates of [type=\"%.*s\", name=\"%.*s\", partition=\"%.*s\", "
			    "namespace=\"%.*s\", peer=\"%.*s\", datacenter=\"%.*s\"]",
			    TEXT(type_of(&u[i])), TEXT(u[i].destination_name), TEXT(u[i].destination_partition),
			    TEXT(u[i].destination_namespace), TEXT(u[i].destination_peer), TEXT(u[i].datacenter));
		} else if (same_place < i && !u[i].centrally_configured) {
			struct buf bind = BUF_INIT(4096);

			put_bind(&u[i], &bind);
			add(f,
			    "upstreams cannot contain duplicates by local bind address and port or unix path; \"%.*s\" "
			    "is specified twice",
			    (int)bind.used, (const char *)bind.data);
			buf_free(&bind);
		} else {
			good[i] = true;
		}
	}
	free(good);
	free(u);
}

static void
judge_paths(struct findings *f, struct bytes expose_raw)
{
	struct expose e;
	struct expose_path *p;
	const char *error;
	uint32_t count;

	if (expose_raw.size == 0 || schema_decode(&expose_schema, expose_raw, &e, &error) == -1)
		return;
	p = list_of(&expose_path_schema, e.paths, &count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t same_path = 0, same_port = 0;

		if (p[i].path.size == 0)
			add(f, "expose.paths: empty path exposed");
		while (same_path < i && !bytes_equal(p[same_path].path, p[i].path))
			same_path++;
		if (same_path < i)
			add(f, "expose.paths: duplicate paths exposed");
		while (same_port < i && p[same_port].listener_port != p[i].listener_port)
			same_port++;
		if (same_port < i)
			add(f, "expose.paths: duplicate listener ports exposed");
		if (p[i].listener_port <= 0 || p[i].listener_port > 65535)
			add(f, "expose.paths: invalid listener port: %lld", (long long)p[i].listener_port);
		if (p[i].protocol.size > 0 && !bytes_equal_fold(p[i].protocol, bytes_str("http")) &&
		    !bytes_equal_fold(p[i].protocol, bytes_str("http2")))
			add(f, "protocol '%.*s' not supported for path: %.*s, must be in: [http http2]",
			    TEXT(p[i].protocol), TEXT(p[i].path));
	}
	free(p);
}

static void
judge_sidecar(struct findings *f, const struct node_service *s, const struct proxy *p, bool native)
{
	if (s->port == 0 && s->socket_path.size == 0)
		add(f, "Port or SocketPath must be set for a %.*s", TEXT(s->kind));
	if (is_blank(p->destination_service_name))
		add(f, "Proxy.DestinationServiceName must be non-empty for Connect proxy services");
	if (bytes_is(p->destination_service_name, "*"))
		add(f, "Proxy.DestinationServiceName must not be a wildcard for Connect proxy services");
	if (native)
		add(f, "A Proxy cannot also be Connect Native, only typical services");
	judge_upstreams(f, p->upstreams);
	judge_paths(f, p->expose);
}

static void
judge_gateway(struct findings *f, const struct node_service *s, const struct proxy *p)
{
	struct {
		bool set;
		const char *name;
	} fields[] = {
	    {p->destination_service_name.size > 0, "DestinationServiceName"},
	    {p->destination_service_id.size > 0, "DestinationServiceID"},
	    {p->local_service_address.size > 0, "LocalServiceAddress"},
	    {p->local_service_port != 0, "LocalServicePort"},
	    {p->local_service_socket_path.size > 0, "LocalServiceSocketPath"},
	    {p->upstreams.size > 0 &&
		    mp_array(&(struct mp){p->upstreams.data, p->upstreams.data + p->upstreams.size, false}) > 0,
		"Upstreams"},
	};

	if (s->port == 0 && !bytes_is(s->kind, "ingress-gateway") && !bytes_is(s->kind, "api-gateway"))
		add(f, "Port must be non-zero for a %.*s", TEXT(s->kind));
	for (size_t i = 0; i < COUNTOF(fields); i++)
		if (fields[i].set)
			add(f, "The Proxy.%s configuration is invalid for a %.*s", fields[i].name, TEXT(s->kind));
}

static bool
is_gateway(struct bytes kind)
{
	return bytes_is(kind, "mesh-gateway") || bytes_is(kind, "terminating-gateway") ||
	       bytes_is(kind, "ingress-gateway") || bytes_is(kind, "api-gateway");
}

int
service_rules_judge(const struct node_service *s, struct buf *out)
{
	struct buf lines = BUF_INIT(out->max);
	struct findings f = {.out = &lines};
	struct proxy p = {0};
	const char *error;
	bool native = s->connect.size > 0 && mp_find_bool(s->connect, "Native");

	buf_clear(out);
	if (s->proxy.size > 0 && schema_decode(&proxy_schema, s->proxy, &p, &error) == -1)
		memset(&p, 0, sizeof p);
	if (s->locality.size > 0 && mp_find_str(s->locality, "Region").size == 0 &&
	    mp_find_str(s->locality, "Zone").size > 0)
		add(&f, "zone cannot be set without region");
	if (bytes_is(s->kind, "connect-proxy"))
		judge_sidecar(&f, s, &p, native);
	else if (is_gateway(s->kind))
		judge_gateway(&f, s, &p);
	if (native && s->port == 0 && s->socket_path.size == 0)
		add(&f, "Port or SocketPath must be set for a Connect native service.");
	if (f.count > 0) {
		buf_printf(out, "%u error%s occurred:\n", f.count, f.count == 1 ? "" : "s");
		buf_put(out, lines.data, MIN(lines.used, out->max - out->used - 2));
		buf_put_str(out, "\n");
	}
	buf_free(&lines);
	return f.count > 0 ? -1 : 0;
}

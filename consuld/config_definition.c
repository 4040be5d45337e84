/*
 * config_definition.c - service and check definitions of files (config.md 7, 8), watches (9)
 *
 * Tables say which keys exist and what the HTTP API calls them. A definition is decoded to a tree with the API's names, checked here
 * completely (a reload must be refused before anything is touched), and handed to checkd as JSON.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "config_private.h"
#include "duration.h"
#include "json.h"

enum object_kind { O_VALUE, O_HEADER, O_OBJECT, O_OBJECTS, O_NAMED };

struct object_table;

struct object_field {
	const char *key, *alias; /* lower case */
	const char *name;        /* of the HTTP API */
	enum param_type type;    /* with O_VALUE */
	enum object_kind kind;
	const struct object_table *sub;
};

struct object_table {
	const struct object_field *fields;
	size_t count;
};

#define TABLE(name) static const struct object_table name##_table = {name##_fields, COUNTOF(name##_fields)}
#define TEXT(key, name)                                                                                                \
	{                                                                                                              \
		key, NULL, name, PARAM_STR, O_VALUE, NULL                                                              \
	}
#define TIME(key, name)                                                                                                \
	{                                                                                                              \
		key, NULL, name, PARAM_DURATION, O_VALUE, NULL                                                         \
	}
#define BOOL(key, name)                                                                                                \
	{                                                                                                              \
		key, NULL, name, PARAM_BOOL, O_VALUE, NULL                                                             \
	}
#define NUMBER(key, name)                                                                                              \
	{                                                                                                              \
		key, NULL, name, PARAM_INT, O_VALUE, NULL                                                              \
	}
#define OBJECT(key, name, sub)                                                                                         \
	{                                                                                                              \
		key, NULL, name, PARAM_ANY, O_OBJECT, sub                                                              \
	}
#define OBJECTS(key, name, sub)                                                                                        \
	{                                                                                                              \
		key, NULL, name, PARAM_ANY, O_OBJECTS, sub                                                             \
	}

static const struct object_field check_fields[] = {
    TEXT("id", "ID"),
    TEXT("name", "Name"),
    TEXT("notes", "Notes"),
    {"service_id", "serviceid", "ServiceID", PARAM_STR, O_VALUE, NULL},
    TEXT("token", "Token"),
    TEXT("status", "Status"),
    {"args", "scriptargs", "ScriptArgs", PARAM_LIST, O_VALUE, NULL},
    TEXT("http", "HTTP"),
    {"header", NULL, "Header", PARAM_ANY, O_HEADER, NULL},
    TEXT("method", "Method"),
    TEXT("body", "Body"),
    BOOL("disable_redirects", "DisableRedirects"),
    TEXT("tcp", "TCP"),
    BOOL("tcp_use_tls", "TCPUseTLS"),
    TEXT("udp", "UDP"),
    TIME("interval", "Interval"),
    {"docker_container_id", "dockercontainerid", "DockerContainerID", PARAM_STR, O_VALUE, NULL},
    TEXT("shell", "Shell"),
    TEXT("grpc", "GRPC"),
    BOOL("grpc_use_tls", "GRPCUseTLS"),
    TEXT("h2ping", "H2PING"),
    BOOL("h2ping_use_tls", "H2PingUseTLS"),
    TEXT("os_service", "OSService"),
    TEXT("tls_server_name", "TLSServerName"),
    {"tls_skip_verify", "tlsskipverify", "TLSSkipVerify", PARAM_BOOL, O_VALUE, NULL},
    TEXT("alias_node", "AliasNode"),
    TEXT("alias_service", "AliasService"),
    TIME("timeout", "Timeout"),
    TIME("ttl", "TTL"),
    NUMBER("success_before_passing", "SuccessBeforePassing"),
    NUMBER("failures_before_warning", "FailuresBeforeWarning"),
    NUMBER("failures_before_critical", "FailuresBeforeCritical"),
    {"deregister_critical_service_after", "deregistercriticalserviceafter", "DeregisterCriticalServiceAfter",
	PARAM_DURATION, O_VALUE, NULL},
    NUMBER("output_max_size", "OutputMaxSize"),
};
TABLE(check);

static const struct object_field weights_fields[] = {NUMBER("passing", "Passing"), NUMBER("warning", "Warning")};
TABLE(weights);
static const struct object_field address_fields[] = {TEXT("address", "Address"), NUMBER("port", "Port")};
TABLE(address);
static const struct object_field locality_fields[] = {TEXT("region", "Region"), TEXT("zone", "Zone")};
TABLE(locality);
static const struct object_field gateway_fields[] = {TEXT("mode", "Mode")};
TABLE(gateway);
static const struct object_field transparent_fields[] = {
    NUMBER("outbound_listener_port", "OutboundListenerPort"), BOOL("dialed_directly", "DialedDirectly")};
TABLE(transparent);
static const struct object_field path_fields[] = {NUMBER("listener_port", "ListenerPort"), TEXT("path", "Path"),
    NUMBER("local_path_port", "LocalPathPort"), TEXT("protocol", "Protocol")};
TABLE(path);
static const struct object_field expose_fields[] = {BOOL("checks", "Checks"), OBJECTS("paths", "Paths", &path_table)};
TABLE(expose);
static const struct object_field upstream_fields[] = {
    TEXT("destination_type", "DestinationType"),
    TEXT("destination_namespace", "DestinationNamespace"),
    TEXT("destination_partition", "DestinationPartition"),
    TEXT("destination_peer", "DestinationPeer"),
    TEXT("destination_name", "DestinationName"),
    TEXT("datacenter", "Datacenter"),
    TEXT("local_bind_address", "LocalBindAddress"),
    NUMBER("local_bind_port", "LocalBindPort"),
    TEXT("local_bind_socket_path", "LocalBindSocketPath"),
    TEXT("local_bind_socket_mode", "LocalBindSocketMode"),
    {"config", NULL, "Config", PARAM_ANY, O_VALUE, NULL},
    OBJECT("mesh_gateway", "MeshGateway", &gateway_table),
};
TABLE(upstream);
static const struct object_field proxy_fields[] = {
    TEXT("destination_service_name", "DestinationServiceName"),
    TEXT("destination_service_id", "DestinationServiceID"),
    TEXT("local_service_address", "LocalServiceAddress"),
    NUMBER("local_service_port", "LocalServicePort"),
    TEXT("local_service_socket_path", "LocalServiceSocketPath"),
    TEXT("mode", "Mode"),
    OBJECT("transparent_proxy", "TransparentProxy", &transparent_table),
    {"config", NULL, "Config", PARAM_ANY, O_VALUE, NULL},
    OBJECTS("upstreams", "Upstreams", &upstream_table),
    OBJECT("mesh_gateway", "MeshGateway", &gateway_table),
    OBJECT("expose", "Expose", &expose_table),
};
TABLE(proxy);

static const struct object_table service_table;
static const struct object_field connect_fields[] = {
    BOOL("native", "Native"), OBJECT("sidecar_service", "SidecarService", &service_table)};
TABLE(connect);

static const struct object_field service_fields[] = {
    TEXT("kind", "Kind"),
    TEXT("id", "ID"),
    TEXT("name", "Name"),
    {"tags", NULL, "Tags", PARAM_LIST, O_VALUE, NULL},
    TEXT("address", "Address"),
    {"tagged_addresses", NULL, "TaggedAddresses", PARAM_ANY, O_NAMED, &address_table},
    {"meta", NULL, "Meta", PARAM_MAP, O_VALUE, NULL},
    NUMBER("port", "Port"),
    TEXT("socket_path", "SocketPath"),
    OBJECT("check", "Check", &check_table),
    OBJECTS("checks", "Checks", &check_table),
    OBJECT("weights", "Weights", &weights_table),
    TEXT("token", "Token"),
    BOOL("enable_tag_override", "EnableTagOverride"),
    OBJECT("locality", "Locality", &locality_table),
    OBJECT("proxy", "Proxy", &proxy_table),
    OBJECT("connect", "Connect", &connect_table),
};
static const struct object_table service_table = {service_fields, COUNTOF(service_fields)};

/* ---- decoding ---- */

static struct value *object_decode(struct decoding *d, const struct object_table *t, const char *path, struct value *v);

static struct value *
header_decode(struct decoding *d, const char *path, struct value *v)
{
	struct value *map = value_new(d->config->region, VALUE_MAP), *list;
	const char *element;

	if (v->kind == VALUE_LIST && v->count == 1)
		v = v->first;
	if (v->kind != VALUE_MAP) {
		decoding_type(d, path, "map", v);
		return NULL;
	}
	for (struct value *m = v->first; m != NULL; m = m->next) {
		element = region_printf(d->config->region, "%s[%s]", path, m->key);
		if (m->kind == VALUE_NULL)
			continue;
		list = decode_typed(d, PARAM_LIST, element, m);
		if (list != NULL)
			value_set(map, m->key, list);
	}
	return map;
}

static struct value *
objects_decode(struct decoding *d, const struct object_table *t, const char *path, struct value *v)
{
	struct value *list = value_new(d->config->region, VALUE_LIST), *object;
	const char *element;
	size_t i = 0;

	if (v->kind != VALUE_LIST) {
		decoding_type(d, path, "list", v);
		return NULL;
	}
	for (struct value *m = v->first; m != NULL; m = m->next) {
		element = region_printf(d->config->region, "%s[%zu]", path, i++);
		if (m->kind == VALUE_NULL)
			continue;
		object = object_decode(d, t, element, m);
		if (object != NULL)
			value_append(list, object);
	}
	return list;
}

static struct value *
named_decode(struct decoding *d, const struct object_table *t, const char *path, struct value *v)
{
	struct value *map = value_new(d->config->region, VALUE_MAP), *object;
	const char *element;

	if (v->kind == VALUE_LIST && v->count == 1)
		v = v->first;
	if (v->kind != VALUE_MAP) {
		decoding_type(d, path, "map", v);
		return NULL;
	}
	for (struct value *m = v->first; m != NULL; m = m->next) {
		element = region_printf(d->config->region, "%s[%s]", path, m->key);
		object = object_decode(d, t, element, m);
		if (object != NULL)
			value_set(map, m->key, object);
	}
	return map;
}

static const struct object_field *
find_field(const struct object_table *t, const struct value *map, const struct value *m)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct object_field *f = &t->fields[i];

		if (strcasecmp(f->key, m->key) == 0)
			return strcmp(f->key, m->key) != 0 && value_member(map, f->key) != NULL ? NULL : f;
		if (f->alias != NULL && strcasecmp(f->alias, m->key) == 0)
			return f;
	}
	return NULL;
}

static struct value *
object_decode(struct decoding *d, const struct object_table *t, const char *path, struct value *v)
{
	struct value *object = value_new(d->config->region, VALUE_MAP), *member;
	const char *inner;

	if (v->kind == VALUE_LIST && v->count == 1)
		v = v->first;
	if (v->kind != VALUE_MAP) {
		decoding_type(d, path, "map", v);
		return NULL;
	}
	object->file = d->file;
	object->line = v->line;
	object->column = v->column;
	for (struct value *m = v->first; m != NULL; m = m->next) {
		const struct object_field *f = find_field(t, v, m);

		m->taken = f != NULL;
		if (f == NULL || m->kind == VALUE_NULL)
			continue;
		inner = region_printf(d->config->region, "%s.%s", path, f->key);
		member = f->kind == O_HEADER    ? header_decode(d, inner, m)
			 : f->kind == O_OBJECT  ? object_decode(d, f->sub, inner, m)
			 : f->kind == O_OBJECTS ? objects_decode(d, f->sub, inner, m)
			 : f->kind == O_NAMED   ? named_decode(d, f->sub, inner, m)
						: decode_typed(d, f->type, inner, m);
		/* within one object the key itself wins over its alias */
		if (member != NULL && (strcasecmp(f->key, m->key) == 0 || value_member(object, f->name) == NULL))
			value_set(object, f->name, member);
	}
	for (struct value *m = v->first; m != NULL; m = m->next) {
		if (m->taken)
			continue;
		inner = region_printf(d->config->region, "%s.%s", path, m->key);
		decoding_unknown(d, inner, m);
	}
	return object;
}

struct value *
definition_decode(struct decoding *d, bool is_service, const char *path, struct value *v)
{
	return object_decode(d, is_service ? &service_table : &check_table, path, v);
}

/* ---- reading a canonical definition ---- */

static const char *
text_of(const struct value *object, const char *name)
{
	const struct value *v = object == NULL ? NULL : value_member(object, name);

	return v == NULL ? "" : v->text;
}

static int64_t
number_of(const struct value *object, const char *name, int64_t fallback)
{
	const struct value *v = object == NULL ? NULL : value_member(object, name);

	return v == NULL ? fallback : strtoll(v->text, NULL, 10);
}

static bool
bool_of(const struct value *object, const char *name)
{
	const struct value *v = object == NULL ? NULL : value_member(object, name);

	return v != NULL && v->boolean;
}

static int64_t
time_of(const struct value *object, const char *name)
{
	int64_t ns = 0;

	if (duration_parse(bytes_str(text_of(object, name)), &ns) != DURATION_OK)
		return 0;
	return ns;
}

static bool
has_items(const struct value *object, const char *name)
{
	const struct value *v = value_member(object, name);

	return v != NULL && v->count > 0;
}

/* ---- building: defaults, the collected errors ---- */

static void
check_durations(struct config *c, const struct value *one, struct texts *errors)
{
	static const char *const keys[][2] = {{"Interval", "interval"}, {"Timeout", "timeout"}, {"TTL", "ttl"},
	    {"DeregisterCriticalServiceAfter", "deregister_critical_service_after"}};

	for (size_t i = 0; i < COUNTOF(keys); i++) {
		const struct bytes text = bytes_str(text_of(one, keys[i][0]));
		enum duration_error error;
		char why[256];
		int64_t ns;

		if (text.size == 0)
			continue;
		error = duration_parse(text, &ns);
		if (error == DURATION_OK)
			continue;
		duration_error_text(error, text, why, sizeof why);
		texts_add(c, errors, "check[%s].%s: invalid duration: \"%s\": %s", text_of(one, "ID"), keys[i][1],
		    text.data, why);
	}
}

static void
check_weights(struct config *c, struct value *one, struct texts *errors)
{
	struct value *weights_value = value_member(one, "Weights"), *number;
	int64_t passing, warning;

	passing = number_of(weights_value, "Passing", 1);
	warning = number_of(weights_value, "Warning", 1);
	if (passing < 1)
		texts_add(c, errors, "Invalid weight definition for service %s: Passing must be greater than 0",
		    text_of(one, "Name"));
	else if (warning < 0)
		texts_add(c, errors,
		    "Invalid weight definition for service %s: Warning must be greater or equal than 0",
		    text_of(one, "Name"));
	else if (passing > 65535 || warning > 65535)
		texts_add(c, errors, "Invalid weight definition for service %s: DNS Weight must be between 0 and 65535",
		    text_of(one, "Name"));
	if (weights_value == NULL)
		value_set(one, "Weights", weights_value = value_new(c->region, VALUE_MAP));
	for (int i = 0; i < 2; i++) {
		number = value_new(c->region, VALUE_NUMBER);
		number->text = region_printf(c->region, "%lld", (long long)(i == 0 ? passing : warning));
		value_set(weights_value, i == 0 ? "Passing" : "Warning", number);
	}
}

static void
check_upstreams(struct config *c, const struct value *one, struct texts *errors)
{
	const struct value *p = value_member(one, "Proxy"), *list = p == NULL ? NULL : value_member(p, "Upstreams");

	for (const struct value *u = list == NULL ? NULL : list->first; u != NULL; u = u->next) {
		const char *mode = text_of(u, "LocalBindSocketMode");

		if (strspn(mode, "01234567") != strlen(mode))
			texts_add(c, errors, "local_bind_socket_mode: invalid mode: %s", mode);
	}
}

static bool build_service(struct config *c, struct value *one, bool sidecar, struct texts *errors);

static void
build_sidecar(struct config *c, const struct value *one, struct texts *errors)
{
	const struct value *parent = value_member(one, "Connect");
	struct value *sidecar = parent == NULL ? NULL : value_member(parent, "SidecarService"), *inner;

	if (sidecar == NULL)
		return;
	if (*text_of(sidecar, "ID") != '\0')
		texts_add(c, errors, "sidecar_service can't specify an ID");
	inner = value_member(sidecar, "Connect");
	if (inner != NULL && value_member(inner, "SidecarService") != NULL)
		texts_add(c, errors, "sidecar_service can't have a nested sidecar_service");
	else
		build_service(c, sidecar, true, errors);
}

/* The singular check joins the list, checks get the name that the API has for their id, defaults are written out. */
static bool
build_service(struct config *c, struct value *one, bool sidecar, struct texts *errors)
{
	struct value *list = value_member(one, "Checks"), *single = value_member(one, "Check");
	struct value *meta = value_member(one, "Meta");
	struct buf why = BUF_INIT(4096);

	if (single != NULL) {
		if (list == NULL)
			value_set(one, "Checks", list = value_new(c->region, VALUE_LIST));
		if (single->count > 0)
			value_append(list, value_copy(c->region, single));
		value_set(one, "Check", value_new(c->region, VALUE_NULL));
	}
	for (struct value *k = list == NULL ? NULL : list->first; k != NULL; k = k->next)
		check_durations(c, k, errors);
	if (meta != NULL && meta_check(meta, &why) == -1)
		texts_add(c, errors, "invalid meta for service %s: %s%s", text_of(one, "Name"), (const char *)why.data,
		    value_where(c, one));
	buf_free(&why);
	if (!sidecar || value_member(one, "Weights") != NULL)
		check_weights(c, one, errors);
	check_upstreams(c, one, errors);
	if (*text_of(one, "SocketPath") != '\0' && (*text_of(one, "Address") != '\0' || number_of(one, "Port", 0) != 0))
		texts_add(c, errors, "service %s cannot have both socket path %s and address/port",
		    text_of(one, "Name"), text_of(one, "SocketPath"));
	if (!sidecar)
		build_sidecar(c, one, errors);
	return true;
}

void
definition_build(struct config *c, struct texts *errors)
{
	c->services = config_value(c, "services");
	c->checks = config_value(c, "checks");
	c->watches = config_value(c, "watches");
	for (struct value *s = c->services == NULL ? NULL : c->services->first; s != NULL; s = s->next)
		build_service(c, s, false, errors);
	for (struct value *k = c->checks == NULL ? NULL : c->checks->first; k != NULL; k = k->next)
		check_durations(c, k, errors);
}

/* ---- checking one by one ---- */

static bool
is_script(const struct value *one)
{
	return has_items(one, "ScriptArgs");
}

/* NULL: valid. */
static const char *
check_error(const struct value *one)
{
	const int64_t interval = time_of(one, "Interval"), ttl = time_of(one, "TTL");
	const bool repeated = is_script(one) || *text_of(one, "HTTP") != '\0' || *text_of(one, "TCP") != '\0' ||
			      *text_of(one, "UDP") != '\0' || *text_of(one, "GRPC") != '\0' ||
			      *text_of(one, "H2PING") != '\0' || *text_of(one, "OSService") != '\0';
	const bool alias = *text_of(one, "AliasNode") != '\0' || *text_of(one, "AliasService") != '\0';
	const int64_t critical = number_of(one, "FailuresBeforeCritical", 0);

	if (interval > 0 && ttl > 0)
		return "Interval and TTL cannot both be specified";
	if (repeated && interval <= 0)
		return "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks";
	if (repeated && alias)
		return "Interval cannot be set for Alias checks";
	if (alias && ttl > 0)
		return "TTL must be not be set for Alias checks";
	if (!repeated && !alias && ttl <= 0)
		return "TTL must be > 0 for TTL checks";
	if (number_of(one, "OutputMaxSize", 0) < 0)
		return "MaxOutputMaxSize must be positive";
	if (number_of(one, "FailuresBeforeWarning", critical) > critical)
		return "FailuresBeforeWarning can't be higher than FailuresBeforeCritical";
	return NULL;
}

static void
kind_errors(struct config *c, const struct value *one, struct texts *errors)
{
	const char *kind = text_of(one, "Kind"), *socket = text_of(one, "SocketPath");
	const int64_t port = number_of(one, "Port", 0);
	const struct value *l = value_member(one, "Locality"), *link = value_member(one, "Connect"),
			   *p = value_member(one, "Proxy");

	if (strcmp(kind, "connect-proxy") == 0) {
		if (*text_of(p, "DestinationServiceName") == '\0')
			texts_add(
			    c, errors, "Proxy.DestinationServiceName must be non-empty for Connect proxy services");
		if (port == 0 && *socket == '\0')
			texts_add(c, errors, "Port or SocketPath must be set for a connect-proxy");
	} else if (strcmp(kind, "mesh-gateway") == 0 || strcmp(kind, "terminating-gateway") == 0) {
		if (port == 0)
			texts_add(c, errors, "Port must be non-zero for a %s", kind);
	}
	if (bool_of(link, "Native") && port == 0 && *socket == '\0')
		texts_add(c, errors, "Port or SocketPath must be set for a Connect native service.");
	if (l != NULL && *text_of(l, "Zone") != '\0' && *text_of(l, "Region") == '\0')
		texts_add(c, errors, "zone cannot be set without region");
}

#define SCRIPTS_OFF                                                                                                    \
	"Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or "                          \
	"'enable_local_script_checks' to true"

static int
service_check(struct config *c, const struct value *one, struct config_error *e)
{
	const struct value *list = value_member(one, "Checks");
	const char *name = text_of(one, "Name");
	struct texts errors = {NULL, 0};
	struct buf text = BUF_INIT(CONFIG_ERROR_BYTES_MAX);
	int result = 0;

	if (*name == '\0')
		return config_fail(e, "Service name missing%s", value_where(c, one));
	kind_errors(c, one, &errors);
	if (errors.count > 0) {
		texts_list(&errors, &text);
		result = config_fail(
		    e, "service \"%s\": %.*s%s", name, (int)text.used, (const char *)text.data, value_where(c, one));
		buf_free(&text);
		return result;
	}
	for (const struct value *k = list == NULL ? NULL : list->first; k != NULL; k = k->next) {
		const char *why = check_error(k);

		if (why != NULL)
			return config_fail(
			    e, "service \"%s\": check \"%s\": %s%s", name, text_of(k, "Name"), why, value_where(c, k));
		if (is_script(k) && !config_bool(c, "enable_local_script_checks") && !c->validating)
			return config_fail(
			    e, "Failed to register service \"%s\": " SCRIPTS_OFF "%s", name, value_where(c, k));
	}
	return 0;
}

int
definition_check(struct config *c, struct config_error *e)
{
	for (const struct value *s = c->services == NULL ? NULL : c->services->first; s != NULL; s = s->next)
		if (service_check(c, s, e) == -1)
			return -1;
	for (const struct value *k = c->checks == NULL ? NULL : c->checks->first; k != NULL; k = k->next) {
		const char *why = check_error(k), *name = text_of(k, "Name"), *id = text_of(k, "ID");

		if (why != NULL)
			return config_fail(e, "check \"%s\": %s%s", name, why, value_where(c, k));
		if (*name == '\0' && *id == '\0')
			return config_fail(e, "Failed to register check '': CheckID missing%s", value_where(c, k));
		if (is_script(k) && !config_bool(c, "enable_local_script_checks") && !c->validating)
			return config_fail(e, "Failed to register check '%s': " SCRIPTS_OFF "%s",
			    *id == '\0' ? name : id, value_where(c, k));
	}
	return watch_check(c, e);
}

/* ---- for checkd ---- */

/* Inside a service the API calls a check's id CheckID and knows neither ServiceID nor Token. */
static void
put_object(const struct value *one, bool nested, struct buf *out)
{
	bool first = true;

	buf_put_u8(out, '{');
	for (const struct value *m = one->first; m != NULL; m = m->next) {
		if (m->kind == VALUE_NULL)
			continue;
		if (nested && (strcmp(m->key, "ServiceID") == 0 || strcmp(m->key, "Token") == 0))
			continue;
		if (!first)
			buf_put_u8(out, ',');
		first = false;
		json_put_cstr(out, nested && strcmp(m->key, "ID") == 0 ? "CheckID" : m->key);
		buf_put_u8(out, ':');
		if (strcmp(m->key, "Checks") == 0 && m->kind == VALUE_LIST) {
			buf_put_u8(out, '[');
			for (const struct value *k = m->first; k != NULL; k = k->next) {
				if (k != m->first)
					buf_put_u8(out, ',');
				put_object(k, true, out);
			}
			buf_put_u8(out, ']');
		} else if (strcmp(m->key, "Connect") == 0 || strcmp(m->key, "SidecarService") == 0) {
			put_object(m, false, out);
		} else {
			value_json(m, out);
		}
	}
	buf_put_u8(out, '}');
}

void
definition_write(const struct config *c, struct buf *out)
{
	buf_put_str(out, "{\"Services\":[");
	for (const struct value *s = c->services == NULL ? NULL : c->services->first; s != NULL; s = s->next) {
		buf_put_str(out, s == c->services->first ? "\n" : ",\n");
		put_object(s, false, out);
	}
	buf_put_str(out, "],\n\"Checks\":[");
	for (const struct value *k = c->checks == NULL ? NULL : c->checks->first; k != NULL; k = k->next) {
		buf_put_str(out, k == c->checks->first ? "\n" : ",\n");
		put_object(k, false, out);
	}
	buf_put_str(out, "]}\n");
}

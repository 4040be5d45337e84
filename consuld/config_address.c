/*
 * config_address.c - binds, advertised addresses, ports and the listen rows (config.md 5)
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "config_private.h"

#define LISTENS_MAX 64

struct value *
split_blanks(struct config *c, const char *text)
{
	struct value *list = value_new(c->region, VALUE_LIST), *v;

	for (;;) {
		size_t length;

		text += strspn(text, " \t\r\n");
		length = strcspn(text, " \t\r\n");
		if (length == 0)
			return list;
		v = value_new(c->region, VALUE_STRING);
		v->text = region_strndup(c->region, text, length);
		value_append(list, v);
		text += length;
	}
}

/* 4, 6, or 0: no IP in text form (brackets are no part of one). */
static int
family(const char *text)
{
	unsigned char raw[16];

	if (inet_pton(AF_INET, text, raw) == 1)
		return 4;
	return inet_pton(AF_INET6, text, raw) == 1 ? 6 : 0;
}

static bool
is_any(const char *text)
{
	return strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0 || strcmp(text, "[::]") == 0;
}

static bool
is_unix(const char *text)
{
	return strncmp(text, "unix://", 7) == 0;
}

static const char *
host_port(struct config *c, const char *ip, int64_t port)
{
	return region_printf(c->region, family(ip) == 6 ? "[%s]:%lld" : "%s:%lld", ip, (long long)port);
}

/* Expands templates and splits; IPs and unix sockets only. Errors are collected; NULL then. */
static struct value *
expand(struct config *c, const char *name, const char *text, struct texts *errors)
{
	struct buf out = BUF_INIT(65536);
	struct value *list = NULL;

	if (template_expand(text, &out) == -1) {
		texts_add(
		    c, errors, "%s: error parsing \"%s\": %.*s", name, text, (int)out.used, (const char *)out.data);
	} else {
		buf_put_u8(&out, 0);
		list = split_blanks(c, (const char *)out.data);
		for (const struct value *v = list->first; v != NULL; v = v->next)
			if (!is_unix(v->text) && family(v->text) == 0) {
				texts_add(
				    c, errors, "%s: invalid ip address: %s%s", name, v->text, config_where(c, name));
				list = NULL;
				break;
			}
	}
	buf_free(&out);
	return list;
}

/* A key that holds one IP; unset or bad: fallback. */
static const char *
single(struct config *c, const char *name, const char *fallback, struct texts *errors)
{
	const struct value *v = config_value(c, name);
	struct value *list;

	if (v == NULL || *v->text == '\0')
		return fallback;
	if (strstr(v->text, "{{") == NULL && split_blanks(c, v->text)->count > 1) {
		texts_add(c, errors, "%s: multiple addresses found: %s%s", name, v->text, config_where(c, name));
		return fallback;
	}
	list = expand(c, name, v->text, errors);
	if (list == NULL || list->count == 0)
		return fallback;
	if (list->count > 1) {
		texts_add(c, errors, "%s: multiple addresses found: %s%s", name, v->text, config_where(c, name));
		return fallback;
	}
	if (is_unix(list->first->text)) {
		texts_add(c, errors, "%s cannot be a unix socket", name);
		return fallback;
	}
	return list->first->text;
}

/* ---- ports ---- */

static int
build_ports(struct config *c, struct texts *errors, struct config_error *e)
{
	static const char *const ports[] = {"ports.dns", "ports.http", "ports.https", "ports.grpc", "ports.grpc_tls",
	    "ports.serf_lan", "ports.serf_wan", "ports.server", "ports.sidecar_min_port", "ports.sidecar_max_port",
	    "ports.expose_min_port", "ports.expose_max_port", "ports.proxy_min_port", "ports.proxy_max_port"};
	static const char *const ranges[] = {"proxy", "sidecar", "expose"};

	if (config_value(c, "ports.grpc_tls") == NULL)
		config_set_int(c, "ports.grpc_tls", config_bool(c, "server") ? 8503 : -1);
	for (size_t i = 0; i < COUNTOF(ports); i++) {
		const int64_t port = config_int(c, ports[i]);

		if (port > 65535)
			texts_add(c, errors, "%s: invalid port: %lld%s", ports[i], (long long)port,
			    config_where(c, ports[i]));
		if (port <= 0 && i < 8)
			config_set_int(c, ports[i], -1);
	}
	if (config_int(c, "ports.server") <= 0)
		return config_fail(e, "server-port must be greater than zero");
	if (config_int(c, "ports.serf_lan") <= 0)
		return config_fail(e, "serf-lan-port must be greater than zero");
	for (size_t i = 0; i < COUNTOF(ranges); i++) {
		char low[40], high[40];

		snprintf(low, sizeof low, "ports.%s_min_port", ranges[i]);
		snprintf(high, sizeof high, "ports.%s_max_port", ranges[i]);
		if (config_int(c, high) < config_int(c, low))
			return config_fail(e,
			    "%s_min_port must be less than %s_max_port. To disable, set both to zero.", ranges[i],
			    ranges[i]);
	}
	return 0;
}

/* ---- bind and advertise ---- */

static int
build_bind(struct config *c, struct texts *errors, struct config_error *e)
{
	struct texts unseen = {NULL, 0}; /* the reference says "empty" instead of these */
	struct value *list = expand(c, "bind_addr", config_str(c, "bind_addr"), &unseen);

	(void)errors;
	if (list == NULL || list->count == 0) {
		if (unseen.count > 0)
			return config_fail(e, "bind_addr cannot be empty (%s)", unseen.at[0]);
		return config_fail(e, "bind_addr cannot be empty");
	}
	if (list->count > 1)
		return config_fail(
		    e, "bind_addr cannot contain multiple addresses. Use 'addresses.{dns,http,https}' instead.");
	if (is_unix(list->first->text))
		return config_fail(e, "bind_addr cannot be a unix socket");
	config_set_str(c, "bind_addr", list->first->text);
	return 0;
}

/* The address to advertise when the bind address is "any". */
static int
detect(struct config *c, const char *bind, const char **found, struct config_error *e)
{
	char ip[64];
	int count;

	if (strcmp(bind, "0.0.0.0") == 0) {
		count = template_private_ipv4(ip, sizeof ip);
		if (count == -1)
			return config_fail(e, "Error detecting private IPv4 address: %s", ip);
		if (count == 0)
			return config_fail(e, "No private IPv4 address found");
		if (count > 1)
			return config_fail(e, "Multiple private IPv4 addresses found. Please configure one with 'bind' "
					      "and/or 'advertise'.");
	} else {
		count = template_public_ipv6(ip, sizeof ip);
		if (count == -1)
			return config_fail(e, "Error detecting public IPv6 address: %s", ip);
		if (count == 0)
			return config_fail(e, "No public IPv6 address found");
		if (count > 1)
			return config_fail(e, "Multiple public IPv6 addresses found. Please configure one with 'bind' "
					      "and/or 'advertise'.");
	}
	*found = region_strndup(c->region, ip, strlen(ip));
	return 0;
}

/* advertise_addr_ipv4 and its like: given, or the plain one if it is of that family. */
static int
build_family(
    struct config *c, const char *name, int wanted, const char *plain, struct texts *errors, struct config_error *e)
{
	const char *ip = single(c, name, family(plain) == wanted ? plain : "", errors);

	if (*ip != '\0' && family(ip) != wanted)
		return config_fail(e, "%s must be an ipv%d address", name, wanted);
	config_set_str(c, name, ip);
	return 0;
}

static int
build_advertise(struct config *c, struct texts *errors, struct config_error *e)
{
	const char *bind = config_str(c, "bind_addr"), *lan, *wan, *ip;

	ip = single(c, "advertise_addr_ipv4", single(c, "advertise_addr_ipv6", "", errors), errors);
	lan = single(c, "advertise_addr", *ip != '\0' ? ip : bind, errors);
	if (is_any(lan)) {
		if (config_is_set(c, "advertise_addr") && lan != bind)
			return config_fail(e, "Advertise address cannot be 0.0.0.0, :: or [::]");
		/* validate judges the files: which addresses the machine has that it runs on is not their fault */
		if (detect(c, bind, &lan, e) == -1) {
			if (!c->validating)
				return -1;
			config_error_free(e);
			lan = "127.0.0.1";
		}
	}
	ip = single(c, "advertise_addr_wan_ipv4", single(c, "advertise_addr_wan_ipv6", "", errors), errors);
	wan = single(c, "advertise_addr_wan", *ip != '\0' ? ip : lan, errors);
	if (is_any(wan))
		return config_fail(e, "Advertise WAN address cannot be 0.0.0.0, :: or [::]");
	if (build_family(c, "advertise_addr_ipv4", 4, lan, errors, e) == -1 ||
	    build_family(c, "advertise_addr_ipv6", 6, lan, errors, e) == -1 ||
	    build_family(c, "advertise_addr_wan_ipv4", 4, wan, errors, e) == -1 ||
	    build_family(c, "advertise_addr_wan_ipv6", 6, wan, errors, e) == -1)
		return -1;
	config_set_str(c, "advertise_addr", lan);
	config_set_str(c, "advertise_addr_wan", wan);
	config_set_str(c, "serf_lan", single(c, "serf_lan", bind, errors));
	config_set_str(c, "serf_wan", single(c, "serf_wan", bind, errors));
	return 0;
}

static void
build_tagged(struct config *c)
{
	static const char *const tags[][2] = {{"lan", "advertise_addr"}, {"lan_ipv4", "advertise_addr_ipv4"},
	    {"lan_ipv6", "advertise_addr_ipv6"}, {"wan", "advertise_addr_wan"}, {"wan_ipv4", "advertise_addr_wan_ipv4"},
	    {"wan_ipv6", "advertise_addr_wan_ipv6"}};
	struct value *map = config_value(c, "tagged_addresses");

	if (map == NULL)
		c->values[config_row("tagged_addresses")] = map = value_new(c->region, VALUE_MAP);
	for (size_t i = 0; i < COUNTOF(tags); i++)
		if (*config_str(c, tags[i][1]) != '\0')
			value_set(map, tags[i][0], value_string(c->region, config_str(c, tags[i][1])));
}

/* ---- listeners ---- */

static void
add_listen(struct config *c, const char *daemon, const char *name, const char *address, bool datagram)
{
	if (c->listen_count >= LISTENS_MAX)
		return;
	c->listens[c->listen_count++] = (struct config_listen){
	    .daemon = daemon,
	    .name = name,
	    .address = address,
	    .mode = is_unix(address) ? config_str(c, "unix_sockets.mode") : "",
	    .datagram = datagram,
	};
}

/* The addresses of one client service: addresses.X, else client_addr. */
static struct value *
client_addresses(struct config *c, const char *name, struct value *clients, struct texts *errors)
{
	const struct value *own = config_value(c, name);
	struct value *list;

	if (own == NULL || *own->text == '\0')
		return clients;
	list = expand(c, name, own->text, errors);
	return list == NULL ? value_new(c->region, VALUE_LIST) : list;
}

static int
build_clients(struct config *c, struct texts *errors, struct config_error *e)
{
	struct value *clients = expand(c, "client_addr", config_str(c, "client_addr"), errors), *list;
	struct buf joined = BUF_INIT(65536);

	if (clients == NULL)
		clients = value_new(c->region, VALUE_LIST);
	else if (clients->count == 0)
		texts_add(c, &c->warnings,
		    "client_addr is empty, client services (DNS, HTTP, HTTPS, GRPC) will not be listening for "
		    "connections");
	for (const struct value *v = clients->first; v != NULL; v = v->next) {
		if (is_unix(v->text)) {
			texts_add(c, errors, "client_addr cannot be a unix socket");
			clients = value_new(c->region, VALUE_LIST);
			break;
		}
		buf_printf(&joined, "%s%s", joined.used == 0 ? "" : " ", v->text);
	}
	buf_put_u8(&joined, 0);
	config_set_str(c, "client_addr", (const char *)joined.data);
	buf_free(&joined);
	if (config_int(c, "ports.http") > 0) {
		list = client_addresses(c, "addresses.http", clients, errors);
		for (const struct value *v = list->first; v != NULL; v = v->next)
			add_listen(c, "httpd", "http",
			    is_unix(v->text) ? v->text : host_port(c, v->text, config_int(c, "ports.http")), false);
	}
	client_addresses(c, "addresses.https", clients, errors);
	client_addresses(c, "addresses.grpc", clients, errors);
	client_addresses(c, "addresses.grpc_tls", clients, errors);
	if (config_int(c, "ports.dns") > 0) {
		list = client_addresses(c, "addresses.dns", clients, errors);
		for (const struct value *v = list->first; v != NULL; v = v->next) {
			if (is_unix(v->text))
				return config_fail(e, "DNS address cannot be a unix socket");
			add_listen(c, "dnsd", "dns-udp", host_port(c, v->text, config_int(c, "ports.dns")), true);
			add_listen(c, "dnsd", "dns-tcp", host_port(c, v->text, config_int(c, "ports.dns")), false);
		}
	}
	return 0;
}

int
address_build(struct config *c, struct texts *errors, struct config_error *e)
{
	c->listens = xcalloc(LISTENS_MAX, sizeof *c->listens);
	if (build_ports(c, errors, e) == -1 || build_bind(c, errors, e) == -1 || build_advertise(c, errors, e) == -1)
		return -1;
	build_tagged(c);
	if (build_clients(c, errors, e) == -1)
		return -1;
	if (config_bool(c, "server"))
		add_listen(c, "catalogd", "rpc",
		    host_port(c, config_str(c, "bind_addr"), config_int(c, "ports.server")), false);
	for (int wan = 0; wan < 2; wan++) {
		const char *address;

		if (wan && (!config_bool(c, "server") || config_int(c, "ports.serf_wan") <= 0))
			break;
		address = host_port(c, config_str(c, wan ? "serf_wan" : "serf_lan"),
		    config_int(c, wan ? "ports.serf_wan" : "ports.serf_lan"));
		add_listen(c, "gossipd", wan ? "serf-wan-tcp" : "serf-lan-tcp", address, false);
		add_listen(c, "gossipd", wan ? "serf-wan-udp" : "serf-lan-udp", address, true);
	}
	return 0;
}

/* ---- uniqueness ---- */

struct used {
	const char *what, *address;
	bool datagram;
};

static int
use(struct used *all, size_t *count, struct used one, struct config_error *e)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(all[i].address, one.address) == 0 && all[i].datagram == one.datagram)
			return config_fail(
			    e, "%s address %s already configured for %s", one.what, one.address, all[i].what);
	all[(*count)++] = one;
	return 0;
}

int
address_unique(struct config *c, struct config_error *e)
{
	struct used all[LISTENS_MAX + 4];
	size_t count = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < c->listen_count; i++) {
			const struct config_listen *l = &c->listens[i];
			const bool dns = strncmp(l->name, "dns", 3) == 0, http = strcmp(l->name, "http") == 0;

			if (pass == 0 ? !dns : !http)
				continue;
			if (use(all, &count, (struct used){dns ? "DNS" : "HTTP", l->address, l->datagram}, e) == -1)
				return -1;
		}
	if (use(all, &count,
		(struct used){"RPC Advertise",
		    host_port(c, config_str(c, "advertise_addr"), config_int(c, "ports.server")), false},
		e) == -1 ||
	    use(all, &count,
		(struct used){"Serf Advertise LAN",
		    host_port(c, config_str(c, "advertise_addr"), config_int(c, "ports.serf_lan")), false},
		e) == -1)
		return -1;
	if (config_int(c, "ports.serf_wan") <= 0)
		return 0;
	return use(all, &count,
	    (struct used){"Serf Advertise WAN",
		host_port(c, config_str(c, "advertise_addr_wan"), config_int(c, "ports.serf_wan")), false},
	    e);
}

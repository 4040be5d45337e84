/*
 * config_self.c - what /v1/agent/self shows of the configuration (http-api.md 11.1)
 *
 * DebugConfig is the effective configuration, flat, with the reference's internal names for what tools read, and our key paths in CamelCase for
 * the rest. Secrets are shown as "hidden".
 */
#include <ctype.h>
#include <stdlib.h>

#include "config_private.h"
#include "duration.h"
#include "mp.h"

/* Where the reference's internal name is not the key path in CamelCase. */
static const char *const renamed[][2] = {
    {"domain", "DNSDomain"},
    {"alt_domain", "DNSAltDomain"},
    {"server", "ServerMode"},
    {"acl.enabled", "ACLsEnabled"},
    {"ports.dns", "DNSPort"},
    {"ports.http", "HTTPPort"},
    {"ports.https", "HTTPSPort"},
    {"ports.grpc", "GRPCPort"},
    {"ports.grpc_tls", "GRPCTLSPort"},
    {"ports.serf_lan", "SerfPortLAN"},
    {"ports.serf_wan", "SerfPortWAN"},
    {"ports.server", "ServerPort"},
    {"consuld.dev", "DevMode"},
    {"consuld.version", "Version"},
    {"node_id", "NodeID"},
    {"bind_addr", "BindAddr"},
    {"client_addr", "ClientAddrs"},
    {"advertise_addr", "AdvertiseAddrLAN"},
    {"advertise_addr_wan", "AdvertiseAddrWAN"},
    {"translate_wan_addrs", "TranslateWANAddrs"},
    {"ui_config.enabled", "UIConfigEnabled"},
    {"ui_config.dir", "UIDir"},
    {"ui_config.content_path", "UIContentPath"},
    {"session_ttl_min", "SessionTTLMin"},
    {"services", "Services"},
    {"checks", "Checks"},
};

static const char *
shown_name(const struct param *p, char out[128])
{
	static const char *const upper[] = {
	    "acl", "dns", "http", "https", "rpc", "kv", "ui", "tls", "ca", "ttl", "id", "soa", "xds"};
	size_t used = 0;

	for (size_t i = 0; i < COUNTOF(renamed); i++)
		if (strcmp(renamed[i][0], p->name) == 0)
			return renamed[i][1];
	for (const char *s = p->name; *s != '\0' && used < 120;) {
		const size_t length = strcspn(s, "._");
		bool all = false;

		for (size_t i = 0; i < COUNTOF(upper); i++)
			all = all || (strlen(upper[i]) == length && strncmp(upper[i], s, length) == 0);
		for (size_t i = 0; i < length && used < 120; i++)
			out[used++] = i == 0 || all ? (char)toupper((unsigned char)s[i]) : s[i];
		s += length + (s[length] != '\0');
	}
	out[used] = '\0';
	return out;
}

static void
put_tree(struct buf *out, const struct value *v)
{
	switch (v->kind) {
	case VALUE_NULL:
		mp_put_nil(out);
		return;
	case VALUE_BOOL:
		mp_put_bool(out, v->boolean);
		return;
	case VALUE_NUMBER:
		if (strpbrk(v->text, ".eE") == NULL)
			mp_put_int(out, strtoll(v->text, NULL, 10));
		else
			mp_put_float(out, value_number(v));
		return;
	case VALUE_STRING:
		mp_put_cstr(out, v->text);
		return;
	case VALUE_LIST:
		mp_put_array(out, (uint32_t)v->count);
		for (const struct value *m = v->first; m != NULL; m = m->next)
			put_tree(out, m);
		return;
	case VALUE_MAP:
		mp_put_map(out, (uint32_t)v->count);
		for (const struct value *m = v->first; m != NULL; m = m->next) {
			mp_put_cstr(out, m->key);
			if (strcmp(m->key, "Token") == 0)
				mp_put_cstr(out, "hidden");
			else
				put_tree(out, m);
		}
		return;
	}
}

static void
put_debug(struct buf *out, const struct param *p, const struct value *v)
{
	char text[DURATION_TEXT_MAX];
	int64_t ns;

	if (v == NULL) {
		if (p->type == PARAM_LIST || p->type == PARAM_OBJECTS)
			mp_put_array(out, 0);
		else if (p->type == PARAM_MAP || p->type == PARAM_ANY)
			mp_put_map(out, 0);
		else if (p->type == PARAM_BOOL)
			mp_put_bool(out, false);
		else if (p->type == PARAM_DURATION)
			mp_put_cstr(out, "0s");
		else if (p->type == PARAM_STR)
			mp_put_cstr(out, "");
		else
			mp_put_int(out, 0);
		return;
	}
	if ((p->flags & PARAM_SECRET) != 0 && (v->count > 0 || *v->text != '\0'))
		mp_put_cstr(out, "hidden");
	else if (p->type == PARAM_DURATION && duration_parse(bytes_str(v->text), &ns) == DURATION_OK)
		mp_put_cstr(out, duration_format(ns, text));
	else
		put_tree(out, v);
}

static bool
is_logging(const struct param *p)
{
	return strncmp(p->name, "log_", 4) == 0 || strcmp(p->name, "enable_syslog") == 0 ||
	       strcmp(p->name, "syslog_facility") == 0;
}

/* The rows of the logging group, or all the others. */
static uint32_t
put_rows(const struct config *c, struct buf *out, bool logging)
{
	uint32_t count = 0;
	char name[128];

	for (size_t i = 0; i < param_count; i++) {
		const struct param *p = &params[i];
		const struct value *v = c->values[i];
		const unsigned hidden =
		    PARAM_ALIAS | PARAM_IGNORED | PARAM_ENTERPRISE | PARAM_NOT_USER | PARAM_FLAG_ONLY | PARAM_SINGLE;

		if ((p->flags & hidden) != 0 || is_logging(p) != logging ||
		    (strncmp(p->name, "consuld.", 8) == 0 && strcmp(p->name, "consuld.dev") != 0 &&
			strcmp(p->name, "consuld.version") != 0))
			continue;
		if (c->shown != NULL && (p->flags & PARAM_DERIVED) == 0 && strcmp(p->name, "node_id") != 0)
			v = value_member(c->shown, p->name);
		mp_put_cstr(out, shown_name(p, name));
		put_debug(out, p, v);
		count++;
	}
	return count;
}

static void
put_debug_config(const struct config *c, struct buf *out)
{
	const size_t place = mp_open_map(out);
	const uint32_t count = put_rows(c, out, false);
	size_t group;

	mp_put_cstr(out, "Logging");
	group = mp_open_map(out);
	mp_close(out, group, put_rows(c, out, true));
	mp_put_kv_cstr(out, "VersionMetadata", "consuld-" CONSULD_VERSION);
	mp_close(out, place, count + 2);
}

static void
put_meta(const struct config *c, struct buf *out)
{
	const struct value *meta = config_value(c, "node_meta");

	mp_put_map(out, (uint32_t)(meta == NULL ? 0 : meta->count) + 2);
	for (const struct value *m = meta == NULL ? NULL : meta->first; m != NULL; m = m->next)
		mp_put_kv_cstr(out, m->key, m->text);
	mp_put_kv_cstr(out, "consul-network-segment", "");
	mp_put_kv_cstr(out, "consul-version", CONSULD_COMPAT_VERSION);
}

void
config_agent_self(const struct config *c, struct buf *out)
{
	static const char *const envoy[] = {"1.34.1", "1.33.2", "1.32.5", "1.31.8"};
	const int64_t grpc = config_int(c, "ports.grpc"), tls = config_int(c, "ports.grpc_tls");

	mp_put_map(out, 4);
	mp_put_cstr(out, "Config");
	mp_put_map(out, 8);
	mp_put_kv_cstr(out, "Datacenter", config_str(c, "datacenter"));
	mp_put_kv_cstr(out, "PrimaryDatacenter", config_str(c, "primary_datacenter"));
	mp_put_kv_cstr(out, "NodeName", config_str(c, "node_name"));
	mp_put_kv_cstr(out, "NodeID", c->node_id);
	mp_put_kv_cstr(out, "Revision", "consuld-" CONSULD_VERSION);
	mp_put_kv_bool(out, "Server", config_bool(c, "server"));
	mp_put_kv_cstr(out, "Version", CONSULD_COMPAT_VERSION);
	mp_put_kv_cstr(out, "BuildDate", CONFIG_BUILD_DATE);
	mp_put_cstr(out, "DebugConfig");
	put_debug_config(c, out);
	mp_put_cstr(out, "Meta");
	put_meta(c, out);
	mp_put_cstr(out, "xDS");
	if (grpc <= 0 && tls <= 0) {
		mp_put_nil(out);
		return;
	}
	mp_put_map(out, 3);
	mp_put_cstr(out, "SupportedProxies");
	mp_put_map(out, 1);
	mp_put_cstr(out, "envoy");
	mp_put_array(out, COUNTOF(envoy));
	for (size_t i = 0; i < COUNTOF(envoy); i++)
		mp_put_cstr(out, envoy[i]);
	mp_put_kv_int(out, "Port", tls > 0 ? tls : grpc);
	mp_put_cstr(out, "Ports");
	mp_put_map(out, 2);
	mp_put_kv_int(out, "Plaintext", grpc);
	mp_put_kv_int(out, "TLS", tls);
}

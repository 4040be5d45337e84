/*
 * config_check.c - derivation and validation in the reference's order (config.md 11.1)
 *
 * What can not be carried out by this version yet is refused last, so that a configuration's own mistakes are told first.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "config_private.h"
#include "duration.h"
#include "json.h"

#define SCRIPTS_URL "consuld-config(5)"
#define BOOTSTRAP_URL "consuld-config(5)"

int
syslog_facility_parse(const char *text)
{
	static const struct {
		const char *name;
		int facility;
	} names[] = {{"KERN", LOG_KERN}, {"USER", LOG_USER}, {"MAIL", LOG_MAIL}, {"DAEMON", LOG_DAEMON},
	    {"AUTH", LOG_AUTH}, {"SYSLOG", LOG_SYSLOG}, {"LPR", LOG_LPR}, {"NEWS", LOG_NEWS}, {"UUCP", LOG_UUCP},
	    {"CRON", LOG_CRON}, {"AUTHPRIV", LOG_AUTHPRIV}, {"FTP", LOG_FTP}, {"LOCAL0", LOG_LOCAL0},
	    {"LOCAL1", LOG_LOCAL1}, {"LOCAL2", LOG_LOCAL2}, {"LOCAL3", LOG_LOCAL3}, {"LOCAL4", LOG_LOCAL4},
	    {"LOCAL5", LOG_LOCAL5}, {"LOCAL6", LOG_LOCAL6}, {"LOCAL7", LOG_LOCAL7}};

	for (size_t i = 0; i < COUNTOF(names); i++)
		if (strcasecmp(text, names[i].name) == 0)
			return names[i].facility;
	return -1;
}

/* ---- simple derivations ---- */

static const char *
lower(struct config *c, const char *text)
{
	char *copy = region_strndup(c->region, text, strlen(text));

	for (char *p = copy; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static const char *
trimmed(struct config *c, const char *text)
{
	size_t length;

	text += strspn(text, " \t\r\n\v\f");
	length = strlen(text);
	while (length > 0 && isspace((unsigned char)text[length - 1]))
		length--;
	return region_strndup(c->region, text, length);
}

static void
derive_names(struct config *c)
{
	char host[256] = "";
	const char *name = config_str(c, "node_name"), *path = config_str(c, "ui_config.content_path"), *domain;

	if (*name == '\0') {
		if (gethostname(host, sizeof host - 1) == -1)
			host[0] = '\0';
		name = host;
	}
	config_set_str(c, "node_name", trimmed(c, name));
	config_set_str(c, "datacenter", lower(c, config_str(c, "datacenter")));
	config_set_str(c, "primary_datacenter",
	    lower(c, *config_str(c, "primary_datacenter") == '\0' ? config_str(c, "datacenter")
								  : config_str(c, "primary_datacenter")));
	domain = config_str(c, "domain");
	if (*domain == '\0' || domain[strlen(domain) - 1] != '.')
		config_set_str(c, "domain", region_printf(c->region, "%s.", domain));
	domain = config_str(c, "alt_domain");
	if (*domain != '\0' && domain[strlen(domain) - 1] != '.')
		config_set_str(c, "alt_domain", region_printf(c->region, "%s.", domain));
	config_set_str(c, "node_id", lower(c, config_str(c, "node_id")));
	while (*path == '/')
		path++;
	config_set_str(c, "ui_config.content_path",
	    *path == '\0' ? "/" : region_printf(c->region, "/%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/"));
}

static void
derive_role(struct config *c)
{
	const bool server = config_bool(c, "server");

	if (config_value(c, "leave_on_terminate") == NULL)
		config_set_bool(c, "leave_on_terminate", !server);
	if (config_value(c, "skip_leave_on_interrupt") == NULL)
		config_set_bool(c, "skip_leave_on_interrupt", server);
	if (config_value(c, "rpc.enable_streaming") == NULL)
		config_set_bool(c, "rpc.enable_streaming", server);
	if (config_value(c, "enable_local_script_checks") == NULL || !config_bool(c, "enable_local_script_checks"))
		config_set_bool(c, "enable_local_script_checks", config_bool(c, "enable_script_checks"));
	config_set_str(c, "data_dir", config_absolute(c, config_str(c, "data_dir")));
	config_set_str(c, "pid_file", config_absolute(c, config_str(c, "pid_file")));
	config_set_str(c, "log_file", config_absolute(c, config_str(c, "log_file")));
	config_set_str(c, "ui_config.dir", config_absolute(c, config_str(c, "ui_config.dir")));
	config_set_str(c, "consuld.version", CONSULD_COMPAT_VERSION);
	config_set_str(c, "consuld.release", CONSULD_VERSION);
	config_set_str(c, "consuld.build_date", CONFIG_BUILD_DATE);
}

/* ---- the collected errors: durations, modes ---- */

static void
check_durations(struct config *c, struct texts *errors)
{
	for (size_t i = 0; i < param_count; i++) {
		const struct param *p = &params[i];
		const char *name =
		    strcmp(p->name, "telemetry.prometheus_retention_time") == 0 ? "prometheus_retention_time" : p->name;
		enum duration_error error;
		char text[256], low[DURATION_TEXT_MAX];
		int64_t ns;

		if (p->type != PARAM_DURATION || c->values[i] == NULL || *c->values[i]->text == '\0')
			continue;
		error = duration_parse(bytes_str(c->values[i]->text), &ns);
		if (error != DURATION_OK) {
			duration_error_text(error, bytes_str(c->values[i]->text), text, sizeof text);
			texts_add(c, errors, "%s: invalid duration: \"%s\": %s%s", name, c->values[i]->text, text,
			    config_where(c, p->name));
		} else if (p->min != 0 && ns < p->min) {
			texts_add(c, errors, "%s: duration '%s' cannot be less than: %s%s", name, c->values[i]->text,
			    duration_format(p->min, low), config_where(c, p->name));
		}
	}
}

static bool
cidr_valid(const char *text)
{
	const char *slash = strchr(text, '/');
	unsigned char raw[16];
	char ip[64], *end;
	long bits;
	int family;

	if (slash == NULL || (size_t)(slash - text) >= sizeof ip || slash[1] < '0' || slash[1] > '9')
		return false;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	family = inet_pton(AF_INET, ip, raw) == 1 ? 4 : inet_pton(AF_INET6, ip, raw) == 1 ? 6 : 0;
	bits = strtol(slash + 1, &end, 10);
	return family != 0 && *end == '\0' && bits <= (family == 4 ? 32 : 128);
}

static void
check_collected(struct config *c, struct texts *errors)
{
	static const char *const stanzas[] = {"defaults", "internal_rpc", "https", "grpc"};
	static const char *const versions[] = {"TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"};
	const struct value *map = config_value(c, "dns_config.service_ttl");
	const char *text;
	char name[64], why[256];

	for (size_t i = 0; i < config_list_count(c, "http_config.allow_write_http_from"); i++) {
		text = config_list_at(c, "http_config.allow_write_http_from", i);
		if (!cidr_valid(text))
			texts_add(c, errors, "allow_write_http_from: invalid cidr: %s", text);
	}
	for (size_t i = 0; i < COUNTOF(stanzas); i++) {
		bool known = false;

		snprintf(name, sizeof name, "tls.%s.tls_min_version", stanzas[i]);
		text = config_str(c, name);
		for (size_t j = 0; j < COUNTOF(versions); j++)
			known = known || strcmp(text, versions[j]) == 0;
		if (*text != '\0' && !known)
			texts_add(c, errors,
			    "%s: invalid TLS version: no matching TLS version found for %s, please specify one of "
			    "[TLS_AUTO, "
			    "TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3]",
			    name, text);
	}
	text = config_str(c, "dns_config.recursor_strategy");
	if (*text != '\0' && strcmp(text, "sequential") != 0 && strcmp(text, "random") != 0)
		texts_add(c, errors, "dns_config.recursor_strategy: invalid strategy: \"%s\"", text);
	text = config_str(c, "limits.request_limits.mode");
	if (*text != '\0' && strcmp(text, "disabled") != 0 && strcmp(text, "permissive") != 0 &&
	    strcmp(text, "enforcing") != 0)
		texts_add(c, errors, "limits.request_limits.mode: invalid mode: \"%s\"%s", text,
		    config_where(c, "limits.request_limits.mode"));
	for (const struct value *m = map == NULL ? NULL : map->first; m != NULL; m = m->next) {
		int64_t ns;
		const enum duration_error error = duration_parse(bytes_str(m->text), &ns);

		if (error == DURATION_OK)
			continue;
		duration_error_text(error, bytes_str(m->text), why, sizeof why);
		texts_add(
		    c, errors, "dns_config.service_ttl[\"%s\"]: invalid duration: \"%s\": %s", m->key, m->text, why);
	}
}

/* ---- step by step ---- */

static bool
name_only(const char *text, const char *more)
{
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && strchr(more, *text) == NULL)
			return false;
	return true;
}

/* 11.1 (4) */
static int
check_early(struct config *c, struct config_error *e)
{
	static const char *const stanzas[] = {"defaults", "internal_rpc", "https", "grpc"};
	const int64_t multiplier = config_int(c, "performance.raft_multiplier");
	char name[64];

	if (recursor_expand(c, e) == -1)
		return -1;
	if (multiplier < 1 || multiplier > 10)
		return config_fail(
		    e, "performance.raft_multiplier cannot be %lld. Must be between 1 and 10", (long long)multiplier);
	if (config_bool(c, "connect.enable_mesh_gateway_wan_federation") && !config_bool(c, "connect.enabled"))
		return config_fail(
		    e, "'connect.enable_mesh_gateway_wan_federation=true' requires 'connect.enabled=true'");
	for (int wan = 0; wan < 2; wan++) {
		const char *key = wan ? "serf_wan_allowed_cidrs" : "serf_lan_allowed_cidrs";

		for (size_t i = 0; i < config_list_count(c, key); i++)
			if (!cidr_valid(config_list_at(c, key, i)))
				return config_fail(e, "%s: invalid cidr: %s", key, config_list_at(c, key, i));
	}
	for (size_t i = 0; i < COUNTOF(stanzas); i++) {
		snprintf(name, sizeof name, "tls.%s.verify_server_hostname", stanzas[i]);
		if (i >= 2 && config_is_set(c, name))
			return config_fail(
			    e, "verify_server_hostname is only valid in the tls.defaults and tls.internal_rpc stanzas");
		snprintf(name, sizeof name, "tls.%s.use_auto_cert", stanzas[i]);
		if (i != 3 && config_is_set(c, name))
			return config_fail(e, "use_auto_cert is only valid in the tls.grpc stanza");
		snprintf(name, sizeof name, "tls.%s.tls_cipher_suites", stanzas[i]);
		if (*config_str(c, name) != '\0') {
			char version[64];

			snprintf(version, sizeof version, "tls.%s.tls_min_version", stanzas[i]);
			if (strcmp(config_str(c, version), "TLSv1_3") == 0)
				return config_fail(e, "%s: TLS 1.3 cipher suites are not configurable", name);
		}
	}
	if (config_is_set(c, "tls.grpc.verify_outgoing"))
		return config_fail(e, "verify_outgoing is not valid in the tls.grpc stanza");
	if (config_int(c, "cache.entry_fetch_max_burst") <= 0)
		return config_fail(e, "cache.entry_fetch_max_burst must be strictly positive, was: %s",
		    config_str(c, "cache.entry_fetch_max_burst"));
	if (config_value(c, "cache.entry_fetch_rate") != NULL &&
	    value_number(config_value(c, "cache.entry_fetch_rate")) <= 0)
		return config_fail(e, "cache.entry_fetch_rate must be strictly positive, was: %s",
		    config_str(c, "cache.entry_fetch_rate"));
	return 0;
}

static bool
is_http_url(const char *text)
{
	return (strncmp(text, "http://", 7) == 0 && text[7] != '\0') ||
	       (strncmp(text, "https://", 8) == 0 && text[8] != '\0');
}

static int
check_ui(struct config *c, struct config_error *e)
{
	const char *path = config_str(c, "ui_config.content_path"), *text;
	const struct value *map = config_value(c, "ui_config.dashboard_url_templates");

	if (!name_only(path, "-_/"))
		return config_fail(
		    e, "ui-content-path can only contain alphanumeric, -, _, or /. received: \"%s\"", path);
	for (const char *p = path; *p != '\0'; p++)
		if (p[0] == 'v' && isdigit((unsigned char)p[1]))
			return config_fail(e, "ui-content-path cannot have 'v[0-9]'. received: \"%s\"", path);
	text = config_str(c, "ui_config.metrics_provider");
	for (const char *p = text; *p != '\0'; p++)
		if (isupper((unsigned char)*p) || !name_only(((char[2]){*p, '\0'}), "-_"))
			return config_fail(e,
			    "ui_config.metrics_provider can only contain lowercase alphanumeric, - or _ characters. "
			    "received: "
			    "\"%s\"",
			    text);
	text = config_str(c, "ui_config.metrics_provider_options_json");
	if (*text != '\0') {
		char why[VALUE_ERROR_MAX];

		if (text[strspn(text, " \t\r\n")] != '{' || json_read(c->region, bytes_str(text), why) == NULL)
			return config_fail(e,
			    "ui_config.metrics_provider_options_json must be empty or a string containing a valid JSON "
			    "object. "
			    "received: \"%s\"",
			    text);
	}
	text = config_str(c, "ui_config.metrics_proxy.base_url");
	if (*text != '\0' && !is_http_url(text))
		return config_fail(
		    e, "ui_config.metrics_proxy.base_url must be a valid http or https URL. received: \"%s\"", text);
	for (size_t i = 0; i < config_list_count(c, "ui_config.metrics_proxy.path_allowlist"); i++) {
		text = config_list_at(c, "ui_config.metrics_proxy.path_allowlist", i);
		if (*text != '/')
			return config_fail(
			    e, "ui_config.metrics_proxy.path_allowlist: path \"%s\" is not an absolute path", text);
	}
	for (const struct value *m = map == NULL ? NULL : map->first; m != NULL; m = m->next)
		if (!is_http_url(m->text))
			return config_fail(e,
			    "ui_config.dashboard_url_templates values must be a valid http or https URL. received: "
			    "\"%s\"",
			    m->text);
	return 0;
}

static bool
datacenter_valid(const char *text)
{
	for (; *text != '\0'; text++)
		if (!islower((unsigned char)*text) && !isdigit((unsigned char)*text) && *text != '-' && *text != '_')
			return false;
	return true;
}

/* 11.1 (5) and (6) */
static int
check_names(struct config *c, struct config_error *e)
{
	static const char *const reserved[] = {"service", "connect", "node", "query", "addr"};
	const char *datacenter = config_str(c, "datacenter"), *data_dir = config_str(c, "data_dir"),
		   *alt = config_str(c, "alt_domain");
	struct stat st;

	if (config_int(c, "raft_protocol") != 3)
		return config_fail(e, "raft_protocol version %s is not supported by this version of Consul",
		    config_str(c, "raft_protocol"));
	if (*datacenter == '\0')
		return config_fail(e, "datacenter cannot be empty");
	if (!datacenter_valid(datacenter))
		return config_fail(e,
		    "datacenter can only contain lowercase alphanumeric, - or _ characters. received: \"%s\"",
		    datacenter);
	if (*data_dir == '\0' && !c->dev && !c->fragments)
		return config_fail(e, "data_dir cannot be empty");
	if (check_ui(c, e) == -1)
		return -1;
	if (*data_dir != '\0') {
		if (stat(data_dir, &st) == -1) {
			if (errno != ENOENT)
				return config_fail(
				    e, "Error getting info on data_dir: stat %s: %s", data_dir, strerror(errno));
		} else if (!S_ISDIR(st.st_mode)) {
			return config_fail(e, "data_dir \"%s\" is not a directory", data_dir);
		}
	}
	if (*config_str(c, "node_name") == '\0')
		return config_fail(e, "node_name cannot be empty");
	if (*config_str(c, "locality.zone") != '\0' && *config_str(c, "locality.region") == '\0')
		return config_fail(e, "locality is invalid: zone cannot be set without region");
	if (recursor_check(c, e) == -1)
		return -1;
	for (size_t i = 0; i <= COUNTOF(reserved) && *alt != '\0'; i++) {
		const char *word = i < COUNTOF(reserved) ? reserved[i] : datacenter;

		if (strncmp(alt, word, strlen(word)) == 0 && alt[strlen(word)] == '.')
			return config_fail(
			    e, "alt_domain cannot start with {service,connect,node,query,addr,%s}", datacenter);
	}
	return 0;
}

/* 11.1 (7) */
static int
check_bootstrap(struct config *c, struct config_error *e)
{
	const int64_t expect = config_int(c, "bootstrap_expect");
	const bool server = config_bool(c, "server"), bootstrap = config_bool(c, "bootstrap");

	if (bootstrap && !server)
		return config_fail(e, "'bootstrap = true' requires 'server = true'");
	if (expect < 0)
		return config_fail(
		    e, "bootstrap_expect cannot be %lld. Must be greater than or equal to zero", (long long)expect);
	if (expect > 0 && !server)
		return config_fail(e, "'bootstrap_expect > 0' requires 'server = true'");
	if (expect > 0 && c->dev)
		return config_fail(e, "'bootstrap_expect > 0' not allowed in dev mode");
	if (expect > 1 && bootstrap)
		return config_fail(e, "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive");
	return 0;
}

int
meta_check(const struct value *meta, struct buf *why)
{
	const size_t mark = why->used;

	if (meta->count > 64)
		buf_put_str(why, "Node metadata cannot contain more than 64 key/value pairs");
	for (const struct value *m = meta->first; m != NULL && why->used == mark; m = m->next) {
		const char *problem = NULL;

		if (*m->key == '\0')
			problem = "Key cannot be blank";
		else if (!name_only(m->key, "-_"))
			problem = "Key contains invalid characters";
		else if (strlen(m->key) > 128)
			problem = "Key is too long (limit: 128 characters)";
		else if (strncmp(m->key, "consul-", 7) == 0)
			problem = "Key prefix 'consul-' is reserved for internal use";
		else if (strlen(m->text) > 512)
			problem = "Value is too long (limit: 512 characters)";
		if (problem != NULL)
			buf_printf(why, "Couldn't load metadata pair ('%s', '%s'): %s", m->key, m->text, problem);
	}
	buf_put_u8(why, 0);
	return why->used == mark + 1 ? 0 : -1;
}

/* 11.1 (8) */
static int
check_values(struct config *c, struct config_error *e)
{
	const struct value *meta = config_value(c, "node_meta");
	struct buf why = BUF_INIT(8192);

	if (config_int(c, "check_output_max_size") < 1)
		return config_fail(e, "check_output_max_size must be positive, to discard check output use the "
				      "discard_check_output flag");
	if (config_int(c, "autopilot.max_trailing_logs") < 0)
		return config_fail(e, "autopilot.max_trailing_logs cannot be %s. Must be greater than or equal to zero",
		    config_str(c, "autopilot.max_trailing_logs"));
	if (!datacenter_valid(config_str(c, "primary_datacenter")))
		return config_fail(e,
		    "primary_datacenter can only contain lowercase alphanumeric, - or _ characters. received: \"%s\"",
		    config_str(c, "primary_datacenter"));
	if (config_int(c, "dns_config.udp_answer_limit") < 0)
		return config_fail(e, "dns_config.udp_answer_limit cannot be %s. Must be greater than or equal to zero",
		    config_str(c, "dns_config.udp_answer_limit"));
	if (config_int(c, "dns_config.a_record_limit") < 0)
		return config_fail(e, "dns_config.a_record_limit cannot be %s. Must be greater than or equal to zero",
		    config_str(c, "dns_config.a_record_limit"));
	if (meta != NULL && meta_check(meta, &why) == -1) {
		config_fail(e, "node_meta invalid: %s", (const char *)why.data);
		buf_free(&why);
		return -1;
	}
	buf_free(&why);
	return 0;
}

static int
check_encrypt(struct config *c, struct config_error *e)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *key = config_str(c, "encrypt");
	struct buf raw = BUF_INIT(4096);
	int result = 0;

	if (*key == '\0')
		return 0;
	if (base64_decode(bytes_str(key), &raw) == -1)
		result = config_fail(e, "encrypt has invalid key: illegal base64 data at input byte %zu",
		    key[strspn(key, alphabet)] != '\0' ? strspn(key, alphabet) : strlen(key) & ~(size_t)3);
	else if (raw.used != 16 && raw.used != 24 && raw.used != 32)
		result =
		    config_fail(e, "Failed to configure keyring: Invalid key: key size must be 16, 24 or 32 bytes");
	buf_free(&raw);
	return result;
}

/* 11.1 (9) */
static int
check_rest(struct config *c, struct config_error *e)
{
	const bool federation = config_bool(c, "connect.enable_mesh_gateway_wan_federation"),
		   server = config_bool(c, "server");
	const char *backend = config_str(c, "raft_logstore.backend");
	const int64_t segment = config_int(c, "raft_logstore.wal.segment_size_mb");
	struct stat st;

	if (check_encrypt(c, e) == -1)
		return -1;
	if (federation && strchr(config_str(c, "node_name"), '/') != NULL)
		return config_fail(e,
		    "'connect.enable_mesh_gateway_wan_federation = true' requires that 'node_name' not contain "
		    "'/' characters");
	if (federation && config_list_count(c, "retry_join_wan") > 0)
		return config_fail(
		    e, "'retry_join_wan' is incompatible with 'connect.enable_mesh_gateway_wan_federation = true'");
	if (config_list_count(c, "primary_gateways") > 0) {
		if (!server)
			return config_fail(e, "'primary_gateways' requires 'server = true'");
		if (strcmp(config_str(c, "primary_datacenter"), config_str(c, "datacenter")) == 0)
			return config_fail(e, "'primary_gateways' should only be configured in a secondary datacenter");
	}
	if (*config_str(c, "data_dir") != '\0') {
		const char *mdb = region_printf(c->region, "%s/mdb", config_str(c, "data_dir"));

		if (stat(mdb, &st) == 0)
			return config_fail(e, "CRITICAL: Deprecated data folder found at \"%s\"!", mdb);
	}
	if (!server)
		return 0;
	if (strcmp(backend, "default") != 0 && strcmp(backend, "wal") != 0 && strcmp(backend, "boltdb") != 0)
		return config_fail(e, "raft_logstore.backend must be one of 'boltdb' or 'wal'");
	if (segment < 1)
		return config_fail(e, "raft_logstore.wal.segment_size_mb cannot be less than 1MB");
	if (segment > 1024)
		return config_fail(e, "raft_logstore.wal.segment_size_mb cannot be greater than 1024 (1GiB)");
	return 0;
}

/* 11.1 (12), without the definitions */
static int
check_late(struct config *c, struct config_error *e)
{
	const char *provider = config_str(c, "connect.ca_provider");
	const int64_t connections = config_int(c, "limits.http_max_conns_per_client");
	const bool server = config_bool(c, "server");
	struct rlimit files;

	if (strcmp(provider, "consul") != 0 && strcmp(provider, "vault") != 0 && strcmp(provider, "aws-pca") != 0)
		return config_fail(e, "%s is not a valid CA provider", provider);
	if (server && config_bool(c, "auto_encrypt.tls"))
		return config_fail(e, "auto_encrypt.tls can only be used on a client.");
	if (!server && config_bool(c, "auto_encrypt.allow_tls"))
		return config_fail(e, "auto_encrypt.allow_tls can only be used on a server.");
	if (server && config_duration(c, "advertise_reconnect_timeout") != 0)
		return config_fail(e, "advertise_reconnect_timeout can only be used on a client");
	if (connections > 0 && getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max != RLIM_INFINITY &&
	    files.rlim_max < (rlim_t)connections + 20)
		return config_fail(e,
		    "system allows a max of %llu file descriptors, but limits.http_max_conns_per_client: %lld needs at "
		    "least %lld",
		    (unsigned long long)files.rlim_max, (long long)connections, (long long)connections + 20);
	if (config_bool(c, "auto_encrypt.tls") && config_bool(c, "auto_config.enabled"))
		return config_fail(e, "both auto_encrypt.tls and auto_config.enabled cannot be set to true.");
	return 0;
}

/* What the reference notices only at start, with its texts. */
static int
check_start(struct config *c, struct config_error *e)
{
	static const char *const down[] = {"allow", "deny", "extend-cache", "async-cache"};
	const char *role = config_bool(c, "server") ? "server" : "client", *text = config_str(c, "acl.default_policy");
	const int64_t protocol = config_int(c, "protocol");
	enum log_level level;
	bool known = false;

	if (log_level_parse(config_str(c, "log_level"), &level) == -1) {
		text = config_str(c, "log_level");
		if (c->running == NULL)
			return config_fail(e,
			    "Invalid log level: %s. Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]%s", text,
			    config_where(c, "log_level"));
		texts_add(c, &c->warnings, "Invalid log level in new configuration: level=%s", text);
		config_set_str(c, "log_level", config_str(c->running, "log_level"));
		text = config_str(c, "acl.default_policy");
	}
	if (config_bool(c, "enable_syslog") && syslog_facility_parse(config_str(c, "syslog_facility")) == -1)
		return config_fail(e, "invalid syslog facility: %s", config_str(c, "syslog_facility"));
	if (strspn(config_str(c, "unix_sockets.mode"), "01234567") != strlen(config_str(c, "unix_sockets.mode")))
		return config_fail(e, "Failed setting up socket: invalid mode specified: %s%s",
		    config_str(c, "unix_sockets.mode"), config_where(c, "unix_sockets.mode"));
	if (*config_str(c, "node_id") != '\0' && uuid_problem(config_str(c, "node_id")) != NULL)
		return config_fail(e, "failed to setup node ID: specified NodeID is invalid: %s",
		    uuid_problem(config_str(c, "node_id")));
	if (protocol > 3)
		return config_fail(e,
		    "Failed to start Consul %s: Protocol version '%lld' too high. Must be in range: [2, 3]", role,
		    (long long)protocol);
	if (protocol < 2)
		return config_fail(e,
		    "Failed to start Consul %s: Protocol version '%lld' too low. Must be in range: [2, 3]", role,
		    (long long)protocol);
	if (strcmp(text, "allow") != 0 && strcmp(text, "deny") != 0)
		return config_fail(e, "Failed to start Consul %s: Unsupported default ACL policy: %s", role, text);
	text = config_str(c, "acl.down_policy");
	for (size_t i = 0; i < COUNTOF(down); i++)
		known = known || strcmp(text, down[i]) == 0;
	if (!known)
		return config_fail(e, "Failed to start Consul %s: Unsupported down ACL policy: %s", role, text);
	return 0;
}

/* ---- warnings (11.3) ---- */

static void
warn_bootstrap(struct config *c)
{
	const int64_t expect = config_int(c, "bootstrap_expect");

	if (expect == 1) {
		texts_add(c, &c->warnings, "BootstrapExpect is set to 1; this is the same as Bootstrap mode.");
		config_set_bool(c, "bootstrap", true);
		config_set_int(c, "bootstrap_expect", 0);
	}
	if (config_bool(c, "bootstrap"))
		texts_add(c, &c->warnings, "bootstrap = true: do not enable unless necessary");
	if (expect == 2)
		texts_add(c, &c->warnings,
		    "bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance. "
		    "See " BOOTSTRAP_URL);
	else if (expect > 2 && expect % 2 == 0)
		texts_add(c, &c->warnings,
		    "bootstrap_expect is even number: A cluster with an even number of servers does not achieve "
		    "optimum fault "
		    "tolerance. See " BOOTSTRAP_URL);
	if (expect > 1)
		texts_add(c, &c->warnings, "bootstrap_expect > 0: expecting %lld servers", (long long)expect);
}

static void
warn_names(struct config *c)
{
	const char *node = config_str(c, "node_name"), *datacenter = config_str(c, "datacenter");

	if (strchr(datacenter, '_') != NULL)
		texts_add(c, &c->warnings,
		    "Datacenter : \"%s\" will not be PKI X.509 compatible due to invalid characters. Valid characters "
		    "include "
		    "lowercase alphanumeric characters with dashes in between.",
		    datacenter);
	if (!name_only(node, "-"))
		texts_add(c, &c->warnings,
		    "Node name \"%s\" will not be discoverable via DNS due to invalid characters. Valid characters "
		    "include all "
		    "alpha-numerics and dashes.",
		    node);
	else if (strlen(node) > 63)
		texts_add(c, &c->warnings,
		    "Node name \"%s\" will not be discoverable via DNS due to it being too long. Valid lengths are "
		    "between 1 and "
		    "63 bytes.",
		    node);
}

static void
warn_rest(struct config *c)
{
	const struct value *filters = config_value(c, "telemetry.prefix_filter");

	if (config_bool(c, "enable_script_checks") && !config_bool(c, "acl.enabled") &&
	    config_list_count(c, "http_config.allow_write_http_from") == 0)
		texts_add(c, &c->warnings,
		    "using enable-script-checks without ACLs and without allow_write_http_from is DANGEROUS, use "
		    "enable-local-script-checks instead, see " SCRIPTS_URL);
	if (!config_bool(c, "server") && config_is_set(c, "rpc.enable_streaming") &&
	    config_bool(c, "rpc.enable_streaming"))
		texts_add(c, &c->warnings, "rpc.enable_streaming = true has no effect when not running in server mode");
	if (config_bool(c, "server") && config_bool(c, "use_streaming_backend") &&
	    !config_bool(c, "rpc.enable_streaming"))
		texts_add(c, &c->warnings,
		    "use_streaming_backend = true requires rpc.enable_streaming on servers to work properly");
	for (int wan = 0; wan < 2; wan++) {
		const char *key = wan ? "reconnect_timeout_wan" : "reconnect_timeout";

		if (config_is_set(c, key) && config_duration(c, key) < 8 * 3600 * NS_PER_S)
			texts_add(c, &c->warnings, "%s is below 8h: failed members are forgotten early", key);
	}
	for (const struct value *v = filters == NULL ? NULL : filters->first; v != NULL; v = v->next) {
		if (*v->text == '\0')
			texts_add(c, &c->warnings, "Cannot have empty filter rule in prefix_filter");
		else if (*v->text != '+' && *v->text != '-')
			texts_add(c, &c->warnings, "Filter rule must begin with either '+' or '-': \"%s\"", v->text);
	}
	if (config_bool(c, "ui_config.enabled") && *config_str(c, "ui_config.dir") != '\0' && !c->dev)
		texts_add(c, &c->warnings,
		    "Both ui_config.enabled and ui_config.dir are set: the directory is served if it holds "
		    "an index.html, else the built-in user interface");
	if (*config_str(c, "ui_config.dir") != '\0') {
		config_set_bool(c, "ui_config.enabled", true);
		if (access(region_printf(c->region, "%s/index.html", config_str(c, "ui_config.dir")), R_OK) == -1) {
			texts_add(c, &c->warnings,
			    "ui_config.dir \"%s\" holds no index.html: the built-in user interface is served",
			    config_str(c, "ui_config.dir"));
			config_set_str(c, "ui_config.dir", "");
		}
	}
}

/* ---- what is not built yet ---- */

/* Says the user something else than what happens anyway? */
static bool
asks(const struct config *c, size_t row)
{
	const struct param *p = &params[row];
	const struct value *v = c->values[row];
	const char *fallback = p->fallback == NULL ? "" : p->fallback;

	if (!c->user[row] || v == NULL)
		return false;
	switch (p->type) {
	case PARAM_BOOL:
		return v->boolean != (strcmp(fallback, "true") == 0);
	case PARAM_LIST:
	case PARAM_MAP:
	case PARAM_ANY:
	case PARAM_OBJECTS:
		return v->count > 0;
	default:
		return strcmp(v->text, fallback) != 0;
	}
}

/* A limit that only logs may go unheeded. */
static bool
harmless(const struct config *c, size_t row)
{
	return strcmp(params[row].name, "limits.request_limits.mode") == 0 &&
	       strcmp(c->values[row]->text, "permissive") == 0;
}

static int
check_supported(struct config *c, struct config_error *e)
{
	for (size_t i = 0; i < param_count; i++)
		if ((params[i].flags & PARAM_REFUSED) != 0 && asks(c, i) && !harmless(c, i))
			return config_fail(e, "%s is not supported by this version of consuld%s", params[i].name,
			    config_where(c, params[i].name));
	if (config_int(c, "ports.https") > 0)
		return config_fail(e, "ports.https is not supported by this version of consuld");
	if (config_bool(c, "acl.enabled") && strcmp(config_str(c, "acl.default_policy"), "deny") == 0)
		return config_fail(
		    e, "acl.enabled with acl.default_policy = \"deny\" is not supported by this version of consuld");
	for (size_t i = 0; i < param_count; i++)
		if ((param_without_effect(&params[i]) || (params[i].flags & PARAM_REFUSED) != 0) && asks(c, i))
			texts_add(c, &c->warnings, "%s is not supported by this version of consuld and has no effect",
			    params[i].name);
	if (config_list_count(c, "watches") > 0)
		texts_add(c, &c->warnings, "watches are not supported by this version of consuld and are not run");
	config_set_bool(c, "acl.enabled", false);
	return 0;
}

int
config_build(struct config *c, struct config_error *e)
{
	struct texts errors = {NULL, 0};
	struct buf list = BUF_INIT(CONFIG_ERROR_BYTES_MAX);

	derive_names(c);
	derive_role(c);
	if (address_build(c, &errors, e) == -1 || check_early(c, e) == -1 || check_names(c, e) == -1 ||
	    check_bootstrap(c, e) == -1 || check_values(c, e) == -1 || check_rest(c, e) == -1 ||
	    address_unique(c, e) == -1)
		return -1;
	check_durations(c, &errors);
	check_collected(c, &errors);
	definition_build(c, &errors);
	if (errors.count > 0) {
		texts_list(&errors, &list);
		config_fail(e, "%.*s", (int)list.used, (const char *)list.data);
		buf_free(&list);
		return -1;
	}
	if (!c->validating && recursor_resolve(c, e) == -1)
		return -1;
	if (definition_check(c, e) == -1 || check_late(c, e) == -1 || check_start(c, e) == -1)
		return -1;
	warn_bootstrap(c);
	warn_names(c);
	warn_rest(c);
	return check_supported(c, e);
}

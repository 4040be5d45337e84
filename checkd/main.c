/*
 * main.c - checkd: what is registered on this node, its checks, and anti-entropy into the catalog (checkd(8))
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "helper.h"
#include "log.h"
#include "mem.h"
#include "version.h"
#include "net.h"
#include "register.h"
#include "run.h"
#include "serve.h"

#define LOG "agent"
#define DEFINITIONS_BYTES_MAX (64u * 1024 * 1024)
#define RUN_STATE_DIR "checkd.d" /* where registrations are kept while there is no state directory */

struct checkd {
	struct daemon *daemon;
	struct helper *helper;
	struct registrar registrar;
	struct serve *serve;
	struct definitions *next; /* prepared */
	struct buf tagged_addresses, node_meta, locality;
	bool resume;
};

/* ---- events of the registry ---- */

static void
on_dirty(void *ctx)
{
	struct checkd *k = ctx;

	if (k->registrar.sync != NULL)
		sync_dirty(k->registrar.sync);
}

static void
on_service(void *ctx, const char *id)
{
	struct checkd *k = ctx;

	checks_services_changed(k->registrar.checks);
	if (k->serve != NULL)
		serve_service_changed(k->serve, id);
}

static void
on_check(void *ctx, struct local_check *c, bool status)
{
	struct checkd *k = ctx;

	if (status)
		checks_changed(k->registrar.checks, c);
	if (k->registrar.sync != NULL)
		sync_check(k->registrar.sync, c, status);
}

static void
on_check_gone(void *ctx, struct local_check *c)
{
	struct checkd *k = ctx;

	checks_stop(c);
	if (k->registrar.sync != NULL)
		sync_check_gone(k->registrar.sync, c);
}

/* ---- configuration ---- */

static void
fill_settings(const struct conf *c, struct local_settings *s)
{
	*s = (struct local_settings){
	    .node = conf_str(c, "node_name", ""),
	    .datacenter = conf_str(c, "datacenter", "dc1"),
	    .discard_output = conf_bool(c, "discard_check_output", false),
	    .output_max = conf_int(c, "check_output_max_size", CHECK_OUTPUT_DEFAULT),
	};
}

static int64_t
sidecar_port(void *ctx, struct bytes sidecar_id)
{
	struct checkd *k = ctx;

	return local_sidecar_port(k->registrar.local, sidecar_id, k->registrar.api_env.sidecar_min_port,
	    k->registrar.api_env.sidecar_max_port);
}

static void
fill_envs(struct checkd *k, const struct conf *c)
{
	bool scripts = conf_bool(c, "enable_script_checks", false);
	struct definition_env env = {
	    .sidecar_min_port = conf_int(c, "ports.sidecar_min_port", 21000),
	    .sidecar_max_port = conf_int(c, "ports.sidecar_max_port", 21255),
	    .sidecar_port = sidecar_port,
	    .ctx = k,
	};

	k->registrar.api_env = k->registrar.file_env = env;
	k->registrar.api_env.scripts_allowed = scripts;
	k->registrar.file_env.from_file = true;
	k->registrar.file_env.scripts_allowed = scripts || conf_bool(c, "enable_local_script_checks", false);
}

static void
put_pair(struct buf *b, uint32_t *count, const char *key, const char *value)
{
	mp_put_kv_cstr(b, key, value);
	(*count)++;
}

/* lan, wan and their forms of the family that the address has. */
static void
fill_addresses(const struct conf *c, struct buf *b)
{
	const char *lan = conf_str(c, "advertise_addr", "127.0.0.1"), *wan = conf_str(c, "advertise_addr_wan", lan);
	size_t given = conf_map_count(c, "tagged_addresses"), place;
	uint32_t count = 0;
	union net_addr a;

	buf_clear(b);
	place = mp_open_map(b);
	for (size_t i = 0; i < given; i++)
		put_pair(b, &count, conf_map_key(c, "tagged_addresses", i), conf_map_value(c, "tagged_addresses", i));
	if (given == 0) {
		put_pair(b, &count, "lan", lan);
		if (net_addr_parse(lan, 0, &a) == 0)
			put_pair(b, &count, a.sa.sa_family == AF_INET ? "lan_ipv4" : "lan_ipv6", lan);
		put_pair(b, &count, "wan", wan);
		if (net_addr_parse(wan, 0, &a) == 0)
			put_pair(b, &count, a.sa.sa_family == AF_INET ? "wan_ipv4" : "wan_ipv6", wan);
	}
	mp_close(b, place, count);
}

static void
fill_meta(const struct conf *c, struct buf *b)
{
	size_t place;
	uint32_t count = 0;

	buf_clear(b);
	place = mp_open_map(b);
	for (size_t i = 0; i < conf_map_count(c, "node_meta"); i++) {
		const char *key = conf_map_key(c, "node_meta", i);
		if (strcmp(key, "consul-network-segment") != 0 && strcmp(key, "consul-version") != 0)
			put_pair(b, &count, key, conf_map_value(c, "node_meta", i));
	}
	put_pair(b, &count, "consul-network-segment", "");
	put_pair(b, &count, "consul-version", conf_str(c, "consuld.version", CONSULD_COMPAT_VERSION));
	mp_close(b, place, count);
}

static void
fill_locality(const struct conf *c, struct buf *b)
{
	struct locality form = {
	    .region = bytes_str(conf_str(c, "locality.region", "")),
	    .zone = bytes_str(conf_str(c, "locality.zone", "")),
	};

	buf_clear(b);
	if (form.region.size != 0)
		schema_encode(&locality_schema, &form, b);
}

static void
fill_sync(struct checkd *k, const struct conf *c, struct sync_options *o)
{
	fill_addresses(c, &k->tagged_addresses);
	fill_meta(c, &k->node_meta);
	fill_locality(c, &k->locality);
	*o = (struct sync_options){
	    .loop = daemon_loop(k->daemon),
	    .local = k->registrar.local,
	    .catalog = daemon_peer(k->daemon, "catalogd"),
	    .node_id = conf_str(c, "node_id", ""),
	    .node = conf_str(c, "node_name", ""),
	    .address = conf_str(c, "advertise_addr", "127.0.0.1"),
	    .datacenter = conf_str(c, "datacenter", "dc1"),
	    .tagged_addresses = buf_bytes(&k->tagged_addresses),
	    .node_meta = buf_bytes(&k->node_meta),
	    .locality = buf_bytes(&k->locality),
	    .default_token = conf_str(c, "acl.tokens.default", ""),
	    .agent_token = conf_str(c, "acl.tokens.agent", ""),
	    .file_token = conf_str(c, "acl.tokens.config_file_service_registration", ""),
	    .check_update_interval = conf_duration(c, "check_update_interval", 300 * NS_PER_S),
	    .resume = k->resume,
	};
}

static struct definitions *
load_definitions(struct checkd *k, const char *path, struct checkd_error *e)
{
	struct buf json = BUF_INIT(DEFINITIONS_BYTES_MAX);
	struct definitions *d = NULL;

	if (run_read_file(AT_FDCWD, path, &json) == -1 && errno != ENOENT)
		(void)!checkd_refuse(e, 0, "%s: %s", path, strerror(errno));
	else
		d = definitions_read(&k->registrar, json.used != 0 ? buf_bytes(&json) : bytes_str("{}"), e);
	buf_free(&json);
	return d;
}

/* ---- start ---- */

static void
helper_lost(void *ctx)
{
	struct checkd *k = ctx;

	/* It can not be started again from within the sandbox: consuld starts all of us anew. */
	daemon_exit(k->daemon, EXIT_RETRY);
}

static struct persist *
open_persist(struct checkd *k, const struct conf *c)
{
	const char *dir = conf_str(c, "consuld.state_dir", "");
	bool transient = dir[0] == '\0';
	struct persist *p = persist_open(transient ? RUN_STATE_DIR : dir, !transient);

	if (p == NULL)
		log_error(LOG, "registrations can not be kept -- a restart loses them: dir=%s",
		    transient ? RUN_STATE_DIR : dir);
	else if (transient && !k->resume)
		persist_clear(p);
	return p;
}

static void
fill_checks(struct checkd *k, const struct conf *c, struct checks_options *o)
{
	bool agent_tls = conf_bool(c, "enable_agent_tls_for_checks", false);

	*o = (struct checks_options){
	    .loop = daemon_loop(k->daemon),
	    .local = k->registrar.local,
	    .helper = k->helper,
	    .catalog = daemon_peer(k->daemon, "catalogd"),
	    .persist = k->registrar.persist,
	    .datacenter = conf_str(c, "datacenter", "dc1"),
	    .token = conf_str(c, "acl.tokens.default", ""),
	    .ca_file = agent_tls ? conf_str(c, "tls.internal_rpc.ca_file", "") : "",
	    .cert_file = agent_tls ? conf_str(c, "tls.internal_rpc.cert_file", "") : "",
	    .key_file = agent_tls ? conf_str(c, "tls.internal_rpc.key_file", "") : "",
	};
}

static int
start(struct daemon *d)
{
	struct checkd *k = daemon_state(d);
	const struct conf *c = daemon_conf(d);
	struct local_events events = {on_dirty, on_service, on_check, on_check_gone, k};
	struct local_settings settings;
	struct checks_options checks;
	struct sync_options options;
	struct definitions *definitions;
	struct checkd_error e;

	k->daemon = d;
	buf_init(&k->tagged_addresses, 65536);
	buf_init(&k->node_meta, 1u << 20);
	buf_init(&k->locality, 4096);
	k->helper = helper_new(daemon_ipc(d), helper_lost, k);
	if (k->helper == NULL)
		log_error(LOG, "script and HTTP checks can not be run: check-exec");
	k->resume = run_is_same(conf_int(c, "consuld.pid", 0));
	fill_settings(c, &settings);
	fill_envs(k, c);
	k->registrar.local = local_new(&settings, &events);
	k->registrar.persist = open_persist(k, c);
	fill_checks(k, c, &checks);
	k->registrar.checks = checks_new(&checks);
	definitions = load_definitions(k, "current/checkd-definitions.json", &e);
	if (definitions == NULL) {
		log_errorx(LOG, "%s", e.text);
		return -1;
	}
	register_definitions(&k->registrar, definitions);
	definitions_free(definitions);
	register_restore(&k->registrar);
	fill_sync(k, c, &options);
	k->registrar.sync = sync_new(&options);
	register_init(&k->registrar, daemon_loop(d));
	k->serve =
	    serve_new(daemon_loop(d), &k->registrar, conf_duration(c, "performance.rpc_hold_timeout", 7 * NS_PER_S));
	daemon_ready(d);
	return 0;
}

/* ---- reload ---- */

static int
prepare(struct daemon *d, const struct conf *next, char error[CONF_ERROR_MAX])
{
	struct checkd *k = daemon_state(d);
	struct definition_env file_env = k->registrar.file_env, api_env = k->registrar.api_env;
	struct checkd_error e;
	char path[64];

	definitions_free(k->next);
	snprintf(path, sizeof path, "gen.%u/checkd-definitions.json", conf_generation(next));
	fill_envs(k, next);
	k->next = load_definitions(k, path, &e);
	k->registrar.file_env = file_env;
	k->registrar.api_env = api_env;
	if (k->next != NULL)
		return 0;
	snprintf(error, CONF_ERROR_MAX, "%.*s", CONF_ERROR_MAX - 1, e.text);
	return -1;
}

static void
commit(struct daemon *d, const struct conf *old UNUSED)
{
	struct checkd *k = daemon_state(d);
	const struct conf *c = daemon_conf(d);
	struct local_settings settings;
	struct checks_options checks;
	struct sync_options options;

	sync_pause(k->registrar.sync);
	fill_settings(c, &settings);
	local_set(k->registrar.local, &settings);
	fill_envs(k, c);
	fill_checks(k, c, &checks);
	checks_set(k->registrar.checks, &checks);
	if (k->next != NULL)
		register_definitions(&k->registrar, k->next);
	definitions_free(k->next);
	k->next = NULL;
	if (conf_str(c, "consuld.state_dir", "")[0] == '\0')
		register_forget(&k->registrar);
	fill_sync(k, c, &options);
	sync_set(k->registrar.sync, &options);
	sync_resume(k->registrar.sync);
}

static void
stop(struct daemon *d, bool leave UNUSED)
{
	struct checkd *k = daemon_state(d);

	/* A push after the node has left would register it again. */
	sync_stop(k->registrar.sync);
	daemon_exit(d, 0);
}

/* ---- methods ---- */

#define METHOD(name, place)                                                                                            \
	static void name(struct ipc_stream *s, struct bytes args, void *ctx)                                           \
	{                                                                                                              \
		struct checkd *k = daemon_state(ctx);                                                                  \
		serve_request(k->serve, place, s, args);                                                               \
	}
METHOD(agent_services, SERVE_SERVICES)
METHOD(agent_service_one, SERVE_SERVICE)
METHOD(agent_checks, SERVE_CHECKS)
METHOD(agent_health, SERVE_HEALTH)
METHOD(agent_register_service, SERVE_REGISTER_SERVICE)
METHOD(agent_deregister_service, SERVE_DEREGISTER_SERVICE)
METHOD(agent_register_check, SERVE_REGISTER_CHECK)
METHOD(agent_deregister_check, SERVE_DEREGISTER_CHECK)
METHOD(agent_update_check, SERVE_UPDATE_CHECK)
METHOD(agent_service_maintenance, SERVE_SERVICE_MAINTENANCE)
METHOD(agent_node_maintenance, SERVE_NODE_MAINTENANCE)
METHOD(agent_local_stats, SERVE_STATS)

int
main(int argc, char **argv)
{
	static const struct ipc_method methods[] = {
	    {"Agent.Services", agent_services},
	    {"Agent.Service", agent_service_one},
	    {"Agent.Checks", agent_checks},
	    {"Agent.HealthService", agent_health},
	    {"Agent.RegisterService", agent_register_service},
	    {"Agent.DeregisterService", agent_deregister_service},
	    {"Agent.RegisterCheck", agent_register_check},
	    {"Agent.DeregisterCheck", agent_deregister_check},
	    {"Agent.UpdateCheck", agent_update_check},
	    {"Agent.ServiceMaintenance", agent_service_maintenance},
	    {"Agent.NodeMaintenance", agent_node_maintenance},
	    {"Agent.LocalStats", agent_local_stats},
	};
	static const char *const syscalls[] = {
	    "rename", "renameat", "renameat2", "mkdir", "mkdirat", "fsync", "fdatasync", NULL};
	static const struct daemon_ops ops = {
	    .name = "checkd",
	    .module = LOG,
	    .start = start,
	    .prepare = prepare,
	    .commit = commit,
	    .stop = stop,
	    .methods = methods,
	    .method_count = COUNTOF(methods),
	    .syscalls = syscalls,
	};
	static struct checkd state;

	return daemon_main(argc, argv, &ops, &state);
}

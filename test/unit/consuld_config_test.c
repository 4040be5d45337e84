/*
 * The agent's configuration as a whole: order and merge of sources, derivation, warnings, reload, resolved files (config.md 1, 5, 10-12, 14.3, 16)
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "config.h"
#include "json.h"
#include "duration.h"
#include "mem.h"
#include "param.h"
#include "sha512.h"

#define ARGUMENTS_MAX 24
#define SERVER "-server -bootstrap-expect=1 -data-dir=data -bind=127.0.0.1"

static void
put_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* flags: blank-separated. */
static struct config *
load(const char *flags, struct config_error *e)
{
	static char copy[2048];
	char *argv[ARGUMENTS_MAX + 1];
	int argc = 0;

	snprintf(copy, sizeof copy, "%s", flags);
	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
		assert_true(argc < ARGUMENTS_MAX);
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	*e = (struct config_error){NULL, false};
	return config_load(argc, argv, e);
}

static struct config *
loaded(const char *flags)
{
	struct config_error e;
	struct config *c = load(flags, &e);

	if (c == NULL)
		fail_msg("%s: %s", flags, e.text);
	return c;
}

static bool
warned(const struct config *c, const char *text)
{
	for (size_t i = 0; i < config_warning_count(c); i++)
		if (strstr(config_warning(c, i), text) != NULL)
			return true;
	return false;
}

static int
setup(void **state)
{
	(void)state;
	return mkdir("conf.d", 0755) == -1 || mkdir("data", 0755) == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	return system("rm -rf conf.d data gen out logs run *.json *.hcl") == 0 ? 0 : -1;
}

static void
test_dev_needs_nothing_and_derives_everything(void **state)
{
	struct config *c = loaded("-dev");

	(void)state;
	assert_true(config_is_dev(c));
	assert_true(config_bool(c, "server"));
	assert_false(config_bool(c, "bootstrap"));
	assert_string_equal(config_str(c, "bind_addr"), "127.0.0.1");
	assert_string_equal(config_str(c, "advertise_addr"), "127.0.0.1");
	assert_string_equal(config_str(c, "log_level"), "DEBUG");
	assert_int_equal(config_log_level(c), LOG_DEBUG_LEVEL);
	assert_int_equal(config_int(c, "performance.raft_multiplier"), 1);
	assert_int_equal(config_int(c, "ports.grpc"), 8502);
	assert_int_equal(config_int(c, "ports.grpc_tls"), 8503);
	assert_true(config_bool(c, "ui_config.enabled"));
	assert_false(config_bool(c, "leave_on_terminate"));
	assert_true(config_bool(c, "skip_leave_on_interrupt"));
	assert_int_equal(config_duration(c, "session_ttl_min"), INT64_C(10000000000));
	assert_int_equal(config_warning_count(c), 0);
	assert_int_equal(config_syslog_facility(c), -1);
	config_free(c);
}

/* Seed command lines (cli.md 6.1, 6.3-6.5), with addresses of this machine. */
static void
test_seed_command_lines_load(void **state)
{
	static const char *const lines[] = {
	    "-server -bootstrap-expect 2 -data-dir data -node=n1 -bind=127.0.0.1 -ui -config-dir conf.d -rejoin -join "
	    "127.0.0.1 -client 0.0.0.0",
	    "-data-dir data -node=n3 -bind=127.0.0.1 -config-dir conf.d -rejoin -join 127.0.0.1",
	    "-server -bootstrap -syslog -ui-dir=web -data-dir=data -config-dir=conf.d -pid-file=run/consul.pid "
	    "-client=127.0.0.1 -bind=127.0.0.1 "
	    "-node=consul-server01 -disable-host-node-id",
	    "-server -bootstrap -syslog -ui -data-dir=data -config-dir=conf.d -pid-file=run/consul.pid "
	    "-client=127.0.0.1 -bind=127.0.0.1 "
	    "-node=consul-server01 -node-id=b76ff298-accd-05ff-8c64-5d79d866dfa9",
	    "-bind=127.0.0.1 -bootstrap-expect=1 -client=0.0.0.0 -data-dir=data/ -log-file=logs/consul.log "
	    "-pid-file=run/consul.pid -server -ui "
	    "-ui-content-path=ui/",
	    "-server -bootstrap-expect 1 -data-dir data -node=agent-one -bind=127.0.0.1 -config-dir conf.d/ "
	    "--http-port=8501",
	    "-server -dc dc2 -bootstrap -data-dir data -bind 127.0.0.1 -protocol 3 -retry-join 127.0.0.1 "
	    "-retry-interval 10s -retry-max 3 "
	    "-log-level info -advertise 127.0.0.1",
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(lines); i++) {
		struct config *c = loaded(lines[i]);

		assert_string_equal(config_str(c, "advertise_addr"), "127.0.0.1");
		config_free(c);
	}
}

/* Every key that the documents name (cli.md 6.3). */
static void
test_seed_keys_load(void **state)
{
	struct config *c;

	(void)state;
	put_file("server.json",
	    "{\"acl_datacenter\":\"dc1\",\"acl_default_policy\":\"allow\",\"acl_token\":\"x\",\"acl_ttl\":\"30s\","
	    "\"addresses\":{\"dns\":\"127.0.0.1\",\"http\":\"127.0.0.1\",\"rpc\":\"127.0.0.1\"},\"advertise_addr\":"
	    "\"127.0.0.1\","
	    "\"bootstrap\":false,\"bootstrap_expect\":1,\"bind_addr\":\"127.0.0.1\",\"ca_file\":\"a\",\"cert_file\":"
	    "\"b\","
	    "\"client_addr\":\"127.0.0.1\",\"datacenter\":\"dc1\",\"data_dir\":\"data\",\"disable_anonymous_"
	    "signature\":true,"
	    "\"disable_remote_exec\":true,\"disable_update_check\":true,\"dns_config\":{\"allow_stale\":true,\"max_"
	    "stale\":\"5s\","
	    "\"node_ttl\":\"1s\",\"service_ttl\":{\"*\":\"5s\"},\"enable_truncate\":true},\"domain\":\"consul.\","
	    "\"enable_debug\":false,"
	    "\"enable_syslog\":true,\"encrypt\":\"\",\"key_file\":\"c\",\"leave_on_terminate\":false,\"log_level\":"
	    "\"INFO\","
	    "\"node_name\":\"consul-server01\",\"ports\":{\"dns\":8600,\"http\":8500,\"https\":-1,\"rpc\":8400,\"serf_"
	    "lan\":8301,"
	    "\"serf_wan\":8302,\"server\":8300},\"protocol\":2,\"rejoin_after_leave\":true,\"retry_join\":[\"127.0.0."
	    "1\"],"
	    "\"retry_interval\":\"30s\",\"server\":true,\"server_name\":\"\",\"skip_leave_on_interrupt\":true,"
	    "\"start_join\":[\"127.0.0.1\"],\"syslog_facility\":\"local0\",\"ui_dir\":\"web\",\"verify_incoming\":"
	    "false,"
	    "\"verify_outgoing\":false,\"watches\":[]}");
	c = loaded("-config-file=server.json");
	assert_true(config_bool(c, "bootstrap"));
	assert_int_equal(config_int(c, "bootstrap_expect"), 0);
	assert_int_equal(config_syslog_facility(c), 16 << 3);
	assert_string_equal(config_str(c, "acl.tokens.default"), "x");
	assert_true(warned(c, "The 'ui_dir' field is deprecated. Use the 'ui_config.dir' field instead."));
	assert_true(warned(c, "BootstrapExpect is set to 1; this is the same as Bootstrap mode."));
	assert_true(warned(c, "bootstrap = true: do not enable unless necessary"));
	assert_true(warned(c, "The 'ports.rpc' field is no longer supported and is ignored."));
	assert_true(warned(c, "The 'addresses.rpc' field is no longer supported and is ignored."));
	assert_false(warned(c, "start_join"));
	config_free(c);
}

static void
test_later_sources_win_and_lists_grow(void **state)
{
	struct config *c;

	(void)state;
	put_file("conf.d/b.json",
	    "{\"node_name\":\"from-b\",\"datacenter\":\"B\",\"retry_join\":[\"127.0.0.3\"],\"ports\":{\"dns\":9053},"
	    "\"node_meta\":{\"k\":\"b\",\"only-b\":\"1\"}}");
	put_file("conf.d/a.json",
	    "{\"node_name\":\"from-a\",\"datacenter\":\"a\",\"retry_join\":[\"127.0.0.2\"],\"ports\":{\"http\":9080},"
	    "\"node_meta\":{\"k\":\"a\",\"only-a\":\"1\"}}");
	put_file("conf.d/c.json~", "broken");
	put_file("conf.d/d.json", "");
	c = loaded(SERVER " -config-dir conf.d -retry-join 127.0.0.1 -hcl domain=\"example\" -node-meta=only-flag:x:y "
			  "-http-port=9081");
	assert_string_equal(config_str(c, "node_name"), "from-b");
	assert_string_equal(config_str(c, "datacenter"), "b");
	assert_string_equal(config_str(c, "primary_datacenter"), "b");
	assert_string_equal(config_str(c, "domain"), "example.");
	assert_int_equal(config_int(c, "ports.http"), 9081);
	assert_int_equal(config_int(c, "ports.dns"), 9053);
	assert_int_equal(config_list_count(c, "retry_join"), 3);
	assert_string_equal(config_list_at(c, "retry_join", 0), "127.0.0.1");
	assert_string_equal(config_list_at(c, "retry_join", 2), "127.0.0.3");
	assert_int_equal(config_map_count(c, "node_meta"), 4);
	assert_true(
	    warned(c, "skipping file conf.d/c.json~, extension must be .hcl or .json, or config format must be set"));
	config_free(c);

	c = loaded(SERVER " -config-file conf.d/b.json -config-file conf.d/a.json -node=flag");
	assert_string_equal(config_str(c, "node_name"), "flag");
	assert_string_equal(config_str(c, "datacenter"), "a");
	config_free(c);
}

static void
test_link_counts_by_its_target(void **state)
{
	struct config *c;

	(void)state;
	put_file("one.json", "{\"node_name\":\"one\"}");
	put_file("two.txt", "{\"node_name\":\"two\"}");
	assert_int_equal(symlink("../one.json", "conf.d/a.txt"), 0);
	assert_int_equal(symlink("../two.txt", "conf.d/b.json"), 0);
	c = loaded(SERVER " -config-dir conf.d");
	assert_string_equal(config_str(c, "node_name"), "one");
	assert_true(warned(c, "two.txt, extension must be"));
	config_free(c);
}

static void
test_hcl_is_read(void **state)
{
	struct config *c;

	(void)state;
	put_file("a.hcl",
	    "# comment\nports { http = 9080, dns = -1 }\nnode_meta { a = \"b\" }\nrecursors = [\"127.0.0.1\",]\n");
	put_file("b.hcl", "{\"node_name\": \"json-in-hcl\"}");
	c = loaded(SERVER " -config-file a.hcl -config-file b.hcl -hcl node_meta={c=\"d\"}");
	assert_int_equal(config_int(c, "ports.http"), 9080);
	assert_int_equal(config_int(c, "ports.dns"), -1);
	assert_int_equal(config_map_count(c, "node_meta"), 2);
	assert_string_equal(config_str(c, "node_name"), "json-in-hcl");
	assert_string_equal(config_list_at(c, "recursors", 0), "127.0.0.1:53");
	config_free(c);
}

static bool
listens(const struct config *c, const char *daemon, const char *name, const char *address)
{
	for (size_t i = 0; i < config_listen_count(c); i++) {
		const struct config_listen l = config_listen_at(c, i);

		if (strcmp(l.daemon, daemon) == 0 && strcmp(l.name, name) == 0 && strcmp(l.address, address) == 0)
			return true;
	}
	return false;
}

static void
test_listeners(void **state)
{
	struct config *c;

	(void)state;
	put_file("a.json", "{\"addresses\":{\"http\":\"unix:///tmp/h.sock "
			   "127.0.0.1\"},\"unix_sockets\":{\"mode\":\"0770\"},\"serf_lan\":\"127.0.0.3\"}");
	c = loaded(SERVER " -config-file a.json -client=127.0.0.2 -serf-wan-port=-1");
	assert_true(listens(c, "httpd", "http", "unix:///tmp/h.sock"));
	assert_true(listens(c, "httpd", "http", "127.0.0.1:8500"));
	assert_true(listens(c, "dnsd", "dns-udp", "127.0.0.2:8600"));
	assert_true(listens(c, "dnsd", "dns-tcp", "127.0.0.2:8600"));
	assert_true(listens(c, "catalogd", "rpc", "127.0.0.1:8300"));
	assert_true(listens(c, "gossipd", "serf-lan-udp", "127.0.0.3:8301"));
	assert_true(listens(c, "gossipd", "serf-lan-tcp", "127.0.0.3:8301"));
	assert_int_equal(config_listen_count(c), 7);
	assert_string_equal(config_listen_at(c, 0).mode, "0770");
	config_free(c);

	c = loaded("-data-dir=data -bind=::1 -client=::1 -dns-port=0");
	assert_true(listens(c, "httpd", "http", "[::1]:8500"));
	assert_true(listens(c, "gossipd", "serf-lan-udp", "[::1]:8301"));
	assert_string_equal(config_str(c, "advertise_addr_ipv6"), "::1");
	assert_string_equal(config_str(c, "advertise_addr_ipv4"), "");
	assert_int_equal(config_listen_count(c), 3); /* a client has neither RPC nor WAN */
	assert_int_equal(config_int(c, "ports.grpc_tls"), -1);
	assert_true(config_bool(c, "leave_on_terminate"));
	config_free(c);
}

static void
test_node_id_is_kept(void **state)
{
	struct config_error e = {NULL, false};
	struct config *c = loaded(SERVER " -log-file=logs/deep/consul.log -pid-file=run/consul.pid");
	char first[64];
	struct stat st;

	(void)state;
	assert_int_equal(config_prepare(c, &e), 0);
	snprintf(first, sizeof first, "%s", config_node_id(c));
	assert_int_equal(strlen(first), 36);
	assert_int_equal(stat("data/node-id", &st), 0);
	assert_int_equal(st.st_size, 36);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat("logs/deep", &st), 0);
	assert_int_equal(stat("run", &st), 0);
	config_free(c);

	c = loaded(SERVER);
	assert_int_equal(config_prepare(c, &e), 0);
	assert_string_equal(config_node_id(c), first);
	config_free(c);

	c = loaded(SERVER " -node-id=B76FF298-accd-05ff-8c64-5d79d866dfa9");
	assert_int_equal(config_prepare(c, &e), 0);
	assert_string_equal(config_node_id(c), "b76ff298-accd-05ff-8c64-5d79d866dfa9");
	config_free(c);
	c = loaded(SERVER);
	assert_int_equal(config_prepare(c, &e), 0);
	assert_string_equal(config_node_id(c), "b76ff298-accd-05ff-8c64-5d79d866dfa9");
	config_free(c);

	put_file("data/node-id", "nonsense");
	c = loaded(SERVER);
	assert_int_equal(config_prepare(c, &e), -1);
	assert_non_null(strstr(e.text, "/data/node-id is invalid: uuid string is wrong length"));
	config_error_free(&e);
	config_free(c);
}

static void
test_sha512_by_its_standard(void **state)
{
	uint8_t digest[64];
	char text[240];

	(void)state;
	sha512((const uint8_t *)"abc", 3, digest);
	assert_int_equal(digest[0], 0xdd);
	assert_int_equal(digest[63], 0x9f);
	memset(text, 'a', sizeof text); /* two padding blocks and a whole one */
	sha512((const uint8_t *)text, sizeof text, digest);
	assert_int_equal(digest[0], 0x4c);
	assert_int_equal(digest[63], 0x5f);
}

static void
test_resolved_files_read_back(void **state)
{
	struct config_error e = {NULL, false};
	char error[CONF_ERROR_MAX];
	struct config *c;
	struct conf *f;
	struct stat st;
	int dir;

	(void)state;
	put_file("a.json", "{\"dns_config\":{\"service_ttl\":{\"kubernetes.io/"
			   "x\":\"5s\",\"*\":\"1m\"}},\"node_meta\":{\"q\":\"a\\\"b\\\\c\\u0001\"},"
			   "\"recursors\":[\"127.0.0.9\"],\"acl\":{\"tokens\":{\"default\":\"secret-token\"}},"
			   "\"limits\":{\"kv_max_value_size\":1000},"
			   "\"service\":{\"Name\":\"web\",\"port\":80,\"check\":{\"id\":\"c\",\"ttl\":\"5s\"},"
			   "\"checks\":[{\"ttl\":\"6s\"}],"
			   "\"token\":\"t\",\"connect\":{\"sidecar_service\":{}}},\"check\":{\"id\":\"m\",\"name\":"
			   "\"mem\",\"ttl\":\"5s\","
			   "\"serviceid\":\"web\"}}");
	c = loaded(SERVER " -config-file a.json");
	assert_int_equal(config_prepare(c, &e), 0);
	config_set_run_dir(c, "/run/consuld");
	config_set_coordinates(c, 200, 0);
	assert_int_equal(mkdir("out", 0755), 0);
	dir = open("out", O_RDONLY | O_DIRECTORY);
	assert_int_equal(config_write(c, 3, dir), 0);
	close(dir);

	assert_int_equal(stat("out/raftd.conf", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0400);
	f = conf_load("out/dnsd.conf", error);
	if (f == NULL)
		fail_msg("%s", error);
	assert_int_equal(conf_generation(f), 3);
	assert_int_equal(conf_map_count(f, "dns_config.service_ttl"), 2);
	assert_string_equal(conf_map_key(f, "dns_config.service_ttl", 0), "kubernetes.io/x");
	assert_string_equal(conf_map_value(f, "dns_config.service_ttl", 1), "1m");
	assert_string_equal(conf_list_str(f, "recursors", 0), "127.0.0.9:53");
	assert_int_equal(conf_int(f, "dns_config.soa.expire", 0), 86400);
	assert_int_equal(conf_listen_count(f), 2);
	assert_string_equal(conf_listen_at(f, 0).name, "dns-udp");
	assert_false(conf_has(f, "acl.tokens"));
	conf_free(f);

	f = conf_load("out/checkd.conf", error);
	assert_non_null(f);
	assert_string_equal(conf_map_value(f, "node_meta", 0), "a\"b\\c\1");
	assert_string_equal(conf_str(f, "acl.tokens.default", ""), "secret-token");
	assert_non_null(strstr(conf_str(f, "consuld.state_dir", ""), "/data"));
	conf_free(f);
	f = conf_load("out/catalogd.conf", error);
	assert_non_null(f);
	assert_int_equal(conf_int(f, "limits.kv_max_value_size", 0), 1000);
	assert_false(conf_has(f, "dns_config"));
	assert_int_equal(conf_int(f, "consuld.catalog_map_size", 0), INT64_C(1) << 40);
	assert_int_equal(conf_int(f, "consuld.coordinate_interval_ms", 0), 200);
	assert_int_equal(conf_int(f, "consuld.coordinate_period_ms", 0), 5000);
	conf_free(f);
	f = conf_load("out/httpd.conf", error);
	assert_non_null(f);
	assert_false(conf_has(f, "acl.tokens"));
	assert_true(conf_has(f, "acl.default_policy"));
	conf_free(f);
	config_free(c);

	assert_int_equal(
	    system("printf '%s' "
		   "'{\"Services\":[\n{\"Name\":\"web\",\"Port\":80,\"Checks\":[{\"TTL\":\"6s\"},{\"CheckID\":\"c\","
		   "\"TTL\":\"5s\"}],\"Token\":\"t\",\"Connect\":{\"SidecarService\":{}},\"Weights\":{\"Passing\":1,"
		   "\"Warning\":1}}],\n"
		   "\"Checks\":[\n{\"ID\":\"m\",\"Name\":\"mem\",\"TTL\":\"5s\",\"ServiceID\":\"web\"}]}\n' |"
		   " tr -d '\\n' > out/expected; tr -d '\\n' < out/checkd-definitions.json | cmp - out/expected"),
	    0);
}

static void
test_reload_takes_what_may_change(void **state)
{
	struct config_error e = {NULL, false};
	struct config *c, *next;
	bool told = false;

	(void)state;
	put_file(
	    "conf.d/a.json", "{\"node_meta\":{\"a\":\"1\"},\"domain\":\"one\",\"dns_config\":{\"node_ttl\":\"1s\"}}");
	c = loaded(SERVER " -config-dir conf.d");
	assert_int_equal(config_prepare(c, &e), 0);
	put_file("conf.d/a.json", "{\"node_meta\":{\"a\":\"2\"},\"domain\":\"two\",\"dns_config\":{\"node_ttl\":\"2s\"}"
				  ",\"ports\":{\"http\":9999}}");
	next = config_reload(c, &e);
	assert_non_null(next);
	assert_string_equal(config_map_value(next, "node_meta", 0), "2");
	assert_string_equal(config_str(next, "dns_config.node_ttl"), "2s");
	assert_string_equal(config_str(next, "domain"), "one.");
	assert_int_equal(config_int(next, "ports.http"), 8500);
	assert_true(listens(next, "httpd", "http", "127.0.0.1:8500"));
	assert_string_equal(config_node_id(next), config_node_id(c));
	for (size_t i = 0; i < config_notice_count(next); i++)
		told = told || strstr(config_notice(next, i), "key=domain") != NULL;
	assert_true(told);
	assert_int_equal(config_notice_count(next), 2);
	config_free(c); /* the new one stands alone */
	assert_string_equal(config_listen_at(next, 0).address, "127.0.0.1:8500");
	c = next;

	put_file("conf.d/a.json", "{\"log_level\":\"bogus\",\"node_meta\":{\"a\":\"3\"}}");
	next = config_reload(c, &e);
	assert_non_null(next);
	assert_true(warned(next, "Invalid log level in new configuration: level=bogus"));
	assert_string_equal(config_str(next, "log_level"), "INFO");
	assert_string_equal(config_map_value(next, "node_meta", 0), "3");
	config_free(c);
	c = next;

	put_file("conf.d/a.json", "{\"node_meta\":\n  {\"a\":}}");
	assert_null(config_reload(c, &e));
	assert_string_equal(e.text,
	    "failed to parse conf.d/a.json: invalid character '}' looking for beginning of value (line 2, column 8)");
	config_error_free(&e);
	config_free(c);
}

/* Relative paths belong to the directory of the start, not to wherever consuld has gone since. */
static void
test_reload_after_chdir(void **state)
{
	struct config_error e = {NULL, false};
	struct config *c, *next;

	(void)state;
	put_file("conf.d/a.json", "{\"node_name\":\"a\"}");
	c = loaded(SERVER " -config-dir conf.d");
	assert_int_equal(chdir("/"), 0);
	next = config_reload(c, &e);
	assert_non_null(next);
	assert_int_equal(config_notice_count(next), 0);
	assert_non_null(strstr(config_str(next, "data_dir"), "/data"));
	assert_int_equal(*config_str(next, "data_dir"), '/');
	config_free(next);
	/* back for the other tests */
	assert_int_equal(chdir(config_str(c, "data_dir")), 0);
	assert_int_equal(chdir(".."), 0);
	config_free(c);
}

static void
test_agent_self(void **state)
{
	struct config_error e = {NULL, false};
	struct buf packed = BUF_INIT(1 << 20), json = BUF_INIT(1 << 20);
	struct config *c = loaded("-dev -node=n -node-meta=a:b -hcl acl{tokens{default=\"s3cret\"}}");
	struct mp in;

	(void)state;
	assert_int_equal(config_prepare(c, &e), 0);
	config_agent_self(c, &packed);
	in = mp_of(buf_bytes(&packed));
	assert_int_equal(json_from_mp(&in, &json, 0), 0);
	buf_put_u8(&json, 0);
	assert_non_null(strstr((char *)json.data, "\"Version\":\"1.21.4\""));
	assert_non_null(strstr(
	    (char *)json.data, "\"Meta\":{\"a\":\"b\",\"consul-network-segment\":\"\",\"consul-version\":\"1.21.4\"}"));
	assert_non_null(strstr((char *)json.data, "\"DevMode\":true"));
	assert_non_null(strstr((char *)json.data, "\"DNSDomain\":\"consul.\""));
	assert_non_null(strstr((char *)json.data, "\"ServerMode\":true"));
	assert_non_null(strstr((char *)json.data, "\"EnableDebug\":true"));
	assert_non_null(strstr((char *)json.data, "\"GRPCPort\":8502"));
	assert_non_null(strstr((char *)json.data, "\"ACLsEnabled\":false"));
	assert_non_null(strstr((char *)json.data, "\"Ports\":{\"Plaintext\":8502,\"TLS\":8503}"));
	assert_null(strstr((char *)json.data, "s3cret"));
	buf_free(&packed);
	buf_free(&json);
	config_free(c);
}

static void
test_warnings(void **state)
{
	static const char *const cases[][2] = {
	    {"-server -bootstrap-expect=2 -data-dir=data -bind=127.0.0.1",
		"bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance."},
	    {"-server -bootstrap-expect=4 -data-dir=data -bind=127.0.0.1",
		"bootstrap_expect is even number: A cluster with an even number of servers does not achieve optimum "
		"fault tolerance."},
	    {"-server -bootstrap-expect=3 -data-dir=data -bind=127.0.0.1", "bootstrap_expect > 0: expecting 3 servers"},
	    {"-dev -node=a_b", "Node name \"a_b\" will not be discoverable via DNS due to invalid characters."},
	    {"-dev -datacenter=A_b", "Datacenter : \"a_b\" will not be PKI X.509 compatible"},
	    {"-dev -client=", "client_addr is empty, client services (DNS, HTTP, HTTPS, GRPC) will not be listening"},
	    {"-dev -enable-script-checks",
		"using enable-script-checks without ACLs and without allow_write_http_from is DANGEROUS"},
	    {"-dev -hcl reconnect_timeout=\"1h\"", "reconnect_timeout is below 8h"},
	    {"-dev -hcl telemetry{prefix_filter=[\"x\"]}", "Filter rule must begin with either '+' or '-': \"x\""},
	    {"-dev -atlas-join -atlas=x/y -atlas-token=z", "Atlas is no longer supported; -atlas flags are ignored."},
	    {"-dev -dc=dc9", "The flag '-dc' is deprecated. Use the '-datacenter' flag instead."},
	    {"-dev -read-replica",
		"\"read_replica (or the deprecated non_voting_server)\" is a Consul Enterprise configuration"},
	    {"-dev -segment=x", "\"segment\" is a Consul Enterprise configuration and will have no effect"},
	    {"-dev -hcl tls_min_version=\"tls12\"",
		"'tls_min_version' value 'tls12' is deprecated, please specify 'TLSv1_2' instead"},
	    {"-dev -hcl telemetry{statsd_address=\"a:1\"}",
		"telemetry.statsd_address is not supported by this version of consuld"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct config *c = loaded(cases[i][0]);

		if (!warned(c, cases[i][1]))
			fail_msg("%s: no warning \"%s\"", cases[i][0], cases[i][1]);
		config_free(c);
	}
}

/* Each row has a text or a reason to have none; names and flags are there once; aliases lead to a row of their own. */
static void
test_the_registry_is_sound(void **state)
{
	const unsigned silent = PARAM_ALIAS | PARAM_IGNORED | PARAM_ENTERPRISE | PARAM_NOT_USER;
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < param_count; i++) {
		const struct param *p = &params[i];

		assert_int_equal(param_index(p->name), i);
		if (p->flag != NULL)
			assert_int_equal(param_by_flag(p->flag), i);
		if ((p->doc != NULL && p->doc[0] != '\0') == ((p->flags & silent) != 0))
			fail_msg("%s: text and no use, or use and no text", p->name);
		if (p->other != NULL &&
		    (param_index(p->other) == -1 || (params[param_index(p->other)].flags & silent) != 0))
			fail_msg("%s leads to %s", p->name, p->other);
		if (p->fallback != NULL && p->type == PARAM_DURATION)
			assert_int_equal(duration_parse(bytes_str(p->fallback), &ns), DURATION_OK);
		if (p->fallback != NULL && p->type == PARAM_BOOL)
			assert_true(strcmp(p->fallback, "true") == 0 || strcmp(p->fallback, "false") == 0);
		if ((p->flags & PARAM_SECRET) != 0 && (p->used_by & (USE_HTTPD | USE_DNSD)) != 0)
			fail_msg("%s: no secret for httpd or dnsd", p->name);
	}
	assert_true(param_is_block("dns_config.soa"));
	assert_false(param_is_block("dns_config.so"));
	assert_false(param_is_block("consuld"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_dev_needs_nothing_and_derives_everything, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_seed_command_lines_load, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_seed_keys_load, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_later_sources_win_and_lists_grow, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_link_counts_by_its_target, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hcl_is_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_listeners, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_node_id_is_kept, setup, teardown),
	    cmocka_unit_test(test_the_registry_is_sound),
	    cmocka_unit_test(test_sha512_by_its_standard),
	    cmocka_unit_test_setup_teardown(test_resolved_files_read_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reload_takes_what_may_change, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reload_after_chdir, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_agent_self, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_warnings, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

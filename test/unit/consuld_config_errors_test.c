/*
 * What a wrong configuration is told, word for word (config.md 1.3-1.5, 2, 7-9, 11), with the place where it stands
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "mem.h"
#include "value.h"

#define ARGUMENTS_MAX 24

static char last[16384];

/* The error of these flags (blank-separated), or "" when they load. */
static const char *
error_of(const char *flags)
{
	struct config_error e = {NULL, false};
	char copy[4096], *argv[ARGUMENTS_MAX + 1];
	struct config *c;
	int argc = 0;

	snprintf(copy, sizeof copy, "%s", flags);
	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
		assert_true(argc < ARGUMENTS_MAX);
		argv[argc++] = word;
	}
	c = config_load(argc, argv, &e);
	snprintf(last, sizeof last, "%s", c == NULL && e.text != NULL ? e.text : "");
	config_error_free(&e);
	config_free(c);
	return last;
}

/* The error of a file of this text besides a complete server's flags. */
static const char *
error_of_text(const char *name, const char *text)
{
	char flags[256];
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	snprintf(flags, sizeof flags, "-server -bootstrap -data-dir=data -bind=127.0.0.1 -config-file=%s", name);
	return error_of(flags);
}

static int
teardown(void **state)
{
	(void)state;
	return system("rm -rf a.json a.hcl a.conf d data") == 0 ? 0 : -1;
}

#define PARSE "failed to parse a.json: "

static void
test_json_texts(void **state)
{
	static const char *const cases[][2] = {
	    {"{\"a\":}", PARSE "invalid character '}' looking for beginning of value (line 1, column 6)"},
	    {"{\"server\":true,}",
		PARSE "invalid character '}' looking for beginning of object key string (line 1, column 16)"},
	    {"{\n\"server\": true\n", PARSE "unexpected end of JSON input (line 3, column 1)"},
	    {"{}\n x", PARSE "invalid character 'x' after top-level value (line 2, column 2)"},
	    {"\xef\xbb\xbf{}", PARSE "invalid character '\xc3\xaf' looking for beginning of value (line 1, column 1)"},
	    {"[]", PARSE "json: cannot unmarshal array into Go value of type map[string]interface {}"},
	    {"{\"a\" 1}", PARSE "invalid character '1' after object key (line 1, column 6)"},
	    {"{\"a\":1 \"b\"}", PARSE "invalid character '\"' after object key:value pair (line 1, column 8)"},
	    {"{\"a\":[1 2]}", PARSE "invalid character '2' after array element (line 1, column 9)"},
	    {"{\"a\":tru}", PARSE "invalid character '}' in literal true (expecting 'e') (line 1, column 9)"},
	    {"{\"a\":\"\\q\"}", PARSE "invalid character 'q' in string escape code (line 1, column 8)"},
	    {"{\"a\":\"\n\"}", PARSE "invalid character '\\n' in string literal (line 1, column 7)"},
	    {"{\"a\":01}", PARSE "invalid character '1' after object key:value pair (line 1, column 7)"},
	    {"{// comment\n}",
		PARSE "invalid character '/' looking for beginning of object key string (line 1, column 2)"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++)
		assert_string_equal(error_of_text("a.json", cases[i][0]), cases[i][1]);
}

static void
test_keys_and_types(void **state)
{
	static const char *const cases[][2] = {
	    {"{\"bar\":1,\"ports\":{\"foo\":1}}",
		PARSE "2 errors occurred:\n\t* invalid config key ports.foo (line 1, column 19)\n"
		      "\t* invalid config key bar (line 1, column 2)"},
	    {"{\"nodeName\":\"x\"}", PARSE "1 error occurred:\n\t* invalid config key nodeName (line 1, column 2)"},
	    {"{\"NODE_NAME\":\"a\",\"Ports\":{\"HTTP\":8501}}", ""},
	    {"{\"Server\":true,\"server\":true}",
		PARSE "1 error occurred:\n\t* invalid config key Server (line 1, column 2)"},
	    {"{\"ports\":{\"http\":\"8500\"},\n\"zzz\":1}",
		PARSE "1 error(s) decoding:\n\n* 'ports.http' expected type 'int', got unconvertible type 'string', "
		      "value: '8500' "
		      "(line 1, column 11)"},
	    {"{\"node_meta\":{\"a\":1}}",
		PARSE "1 error(s) decoding:\n\n* 'node_meta[a]' expected type 'string', got unconvertible type "
		      "'float64', value: '1' (line 1, column 15)"},
	    {"{\"retry_join\":[1]}",
		PARSE "1 error(s) decoding:\n\n* 'retry_join[0]' expected type 'string', got unconvertible type "
		      "'float64', value: '1' (line 1, column 16)"},
	    {"{\"retry_join\":\"x\"}", PARSE "1 error(s) decoding:\n\n* 'retry_join': source data must be an array or "
					     "slice, got string (line 1, column 2)"},
	    {"{\"ports\":\"x\"}",
		PARSE "1 error(s) decoding:\n\n* 'ports' expected a map, got 'string' (line 1, column 2)"},
	    {"{\"services\":{}}", PARSE "1 error(s) decoding:\n\n* 'services': source data must be an array or slice, "
					"got map (line 1, column 2)"},
	    {"{\"ports\":[{\"http\":8501}],\"node_name\":[\"x\"],\"ports\":[{\"http\":8501}]}", ""},
	    {"{\"node_name\":null,\"ports\":null,\"services\":null}", ""},
	    {"{\"raft_snapshot_threshold\":8192.9}", ""},
	    {"{\"services\":[{\"name\":\"a\"},{\"name\":\"b\",\"foo\":1}]}",
		PARSE "1 error occurred:\n\t* invalid config key services[1].foo (line 1, column 39)"},
	    {"{\"service\":{\"name\":\"a\",\"EnableTagOverride\":true}}",
		PARSE "1 error occurred:\n\t* invalid config key service.EnableTagOverride (line 1, column 24)"},
	    {"{\"service\":{\"name\":\"a\",\"checks\":[{\"script\":\"x\"}]}}",
		PARSE "1 error occurred:\n\t* invalid config key service.checks[0].script (use \"args\": [\"/bin/sh\", "
		      "\"-c\", \"...\"] "
		      "instead) (line 1, column 35)"},
	    {"{\"advertise_addrs\":{}}",
		PARSE "1 error occurred:\n\t* invalid config key advertise_addrs (line 1, column 2)"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++)
		assert_string_equal(error_of_text("a.json", cases[i][0]), cases[i][1]);
}

static void
test_hcl_texts(void **state)
{
	static const char *const cases[][2] = {
	    {"datacenter = \"a", "failed to parse a.hcl: At 1:14: literal not terminated"},
	    {"ports {} ports {}", "failed to parse a.hcl: 1 error(s) decoding:\n\n* 'ports' expected a map, got "
				  "'slice' (line 1, column 1)"},
	    {"service \"web\" {}",
		"failed to parse a.hcl: 1 error occurred:\n\t* invalid config key service.web (line 1, column 1)"},
	    {"foo =", "failed to parse a.hcl: At 1:6: Unknown token: EOF"},
	    {"ports {", "failed to parse a.hcl: At 1:7: object expected closing RBRACE got: EOF"},
	    {"\n  foo", "failed to parse a.hcl: At 2:6: key 'foo' expected start of object ('{') or assignment ('=')"},
	    {"server = \"true\"", "failed to parse a.hcl: 1 error(s) decoding:\n\n* 'server' expected type 'bool', got "
				  "unconvertible type "
				  "'string', value: 'true' (line 1, column 1)"},
	    {"node_meta { a = 1 }",
		"failed to parse a.hcl: 1 error(s) decoding:\n\n* 'node_meta[a]' expected type 'string', got "
		"unconvertible type 'int', value: '1' (line 1, column 13)"},
	    {"services { name = \"a\" } services { name = \"b\" }", ""},
	    {"/* x", "failed to parse a.hcl: At 1:1: comment not terminated"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++)
		assert_string_equal(error_of_text("a.hcl", cases[i][0]), cases[i][1]);
}

static void
test_flag_errors(void **state)
{
	static const char *const cases[][2] = {
	    {"-x", "error parsing flags: flag provided but not defined: -x"},
	    {"-retry-join-ec2-region=x", "error parsing flags: flag provided but not defined: -retry-join-ec2-region"},
	    {"-bootstrap-expect=x", "error parsing flags: invalid value \"x\" for flag -bootstrap-expect: "
				    "strconv.Atoi: parsing \"x\": invalid syntax"},
	    {"-server=maybe", "error parsing flags: invalid boolean value \"maybe\" for -server: strconv.ParseBool: "
			      "parsing \"maybe\": invalid syntax"},
	    {"-node", "error parsing flags: flag needs an argument: -node"},
	    {"-dev a b", "Unexpected extra arguments: [a b]"},
	    {"-dev -config-format=xml", "config: -config-format must be either 'hcl' or 'json'"},
	    {"-dev -config-dir /nofile", "config: Open failed on /nofile. open /nofile: no such file or directory"},
	    {"-atlas-join -atlas=x/y -atlas-token=z -bind=127.0.0.1", "data_dir cannot be empty"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++)
		assert_string_equal(error_of(cases[i][0]), cases[i][1]);
}

static void
test_file_errors(void **state)
{
	(void)state;
	assert_string_equal(error_of_text("a.conf", "{}"),
	    "file a.conf has unknown extension; must be .hcl or .json, or config format must be set");
	assert_string_equal(error_of("-dev -config-format=json -config-file=a.conf"), "");
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(mkdir("d/sub.json", 0755), 0);
	assert_string_equal(error_of("-dev -config-dir=d/"), "");
	assert_int_equal(symlink("/nowhere/x.json", "d/x.json"), 0);
	assert_string_equal(error_of("-dev -config-dir=d"), "lstat /nowhere/x.json: no such file or directory");
}

/* One case: more flags after "-server -bootstrap -data-dir=data -bind=127.0.0.1". */
static void
test_validation(void **state)
{
	static const char *const cases[][2] = {
	    {"-server-port=0", "server-port must be greater than zero"},
	    {"-serf-lan-port=-1", "serf-lan-port must be greater than zero"},
	    {"-hcl ports{sidecar_min_port=3,sidecar_max_port=2}",
		"sidecar_min_port must be less than sidecar_max_port. To disable, set both to zero."},
	    {"-hcl bind_addr=\"127.0.0.1\\u0020127.0.0.2\"",
		"bind_addr cannot contain multiple addresses. Use 'addresses.{dns,http,https}' instead."},
	    {"-bind=unix:///x", "bind_addr cannot be a unix socket"},
	    {"-bind=", "bind_addr cannot be empty"},
	    {"-bind=[::1]", "bind_addr cannot be empty (bind_addr: invalid ip address: [::1])"},
	    {"-advertise=0.0.0.0", "Advertise address cannot be 0.0.0.0, :: or [::]"},
	    {"-advertise-wan=::", "Advertise WAN address cannot be 0.0.0.0, :: or [::]"},
	    {"-hcl advertise_addr_ipv4=\"::1\"", "advertise_addr_ipv4 must be an ipv4 address"},
	    {"-recursor=unix:///x", "DNS Recursors cannot be unix sockets: unix:///x"},
	    {"-recursor=0.0.0.0", "DNS recursor address cannot be 0.0.0.0, :: or [::]"},
	    {"-hcl performance{raft_multiplier=11}",
		"performance.raft_multiplier cannot be 11. Must be between 1 and 10"},
	    {"-hcl cache{entry_fetch_max_burst=0}", "cache.entry_fetch_max_burst must be strictly positive, was: 0"},
	    {"-raft-protocol=2", "raft_protocol version 2 is not supported by this version of Consul"},
	    {"-datacenter=", "datacenter cannot be empty"},
	    {"-datacenter=a.b",
		"datacenter can only contain lowercase alphanumeric, - or _ characters. received: \"a.b\""},
	    {"-data-dir=", "data_dir cannot be empty"},
	    {"-ui-content-path=a*b", "ui-content-path can only contain alphanumeric, -, _, or /. received: \"/a*b/\""},
	    {"-ui-content-path=v1", "ui-content-path cannot have 'v[0-9]'. received: \"/v1/\""},
	    {"-hcl ui_config{metrics_proxy{base_url=\"x\"}}",
		"ui_config.metrics_proxy.base_url must be a valid http or https URL. received: \"x\""},
	    {"-hcl ui_config{metrics_provider_options_json=\"x\"}",
		"ui_config.metrics_provider_options_json must be empty or a string containing a valid JSON object. "
		"received: \"x\""},
	    {"-hcl locality{zone=\"z\"}", "locality is invalid: zone cannot be set without region"},
	    {"-hcl addresses{dns=\"unix:///x\"}", "DNS address cannot be a unix socket"},
	    {"-alt-domain=node.x", "alt_domain cannot start with {service,connect,node,query,addr,dc1}"},
	    {"-server=false", "'bootstrap = true' requires 'server = true'"},
	    {"-bootstrap-expect=-1", "bootstrap_expect cannot be -1. Must be greater than or equal to zero"},
	    {"-bootstrap-expect=3", "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive"},
	    {"-bootstrap-expect=1", ""},
	    {"-check_output_max_size=0",
		"check_output_max_size must be positive, to discard check output use the discard_check_output flag"},
	    {"-hcl autopilot{max_trailing_logs=-1}",
		"autopilot.max_trailing_logs cannot be -1. Must be greater than or equal to zero"},
	    {"-hcl dns_config{udp_answer_limit=-1}",
		"dns_config.udp_answer_limit cannot be -1. Must be greater than or equal to zero"},
	    {"-node-meta=consul-x:1", "node_meta invalid: Couldn't load metadata pair ('consul-x', '1'): Key prefix "
				      "'consul-' is reserved for internal use"},
	    {"-node-meta=a/b:1",
		"node_meta invalid: Couldn't load metadata pair ('a/b', '1'): Key contains invalid characters"},
	    {"-node-meta=:1", "node_meta invalid: Couldn't load metadata pair ('', '1'): Key cannot be blank"},
	    {"-encrypt=a!c=", "encrypt has invalid key: illegal base64 data at input byte 1"},
	    {"-encrypt=YWJj", "Failed to configure keyring: Invalid key: key size must be 16, 24 or 32 bytes"},
	    {"-hcl raft_logstore{backend=\"x\"}", "raft_logstore.backend must be one of 'boltdb' or 'wal'"},
	    {"-hcl raft_logstore{wal{segment_size_mb=2000}}",
		"raft_logstore.wal.segment_size_mb cannot be greater than 1024 (1GiB)"},
	    {"-dns-port=8500 -client=127.0.0.1", "HTTP address 127.0.0.1:8500 already configured for DNS"},
	    {"-serf-wan-port=8301",
		"Serf Advertise WAN address 127.0.0.1:8301 already configured for Serf Advertise LAN"},
	    {"-retry-interval=30", "1 error occurred:\n\t* retry_interval: invalid duration: \"30\": time: missing "
				   "unit in duration \"30\""},
	    {"-retry-interval=3d", "1 error occurred:\n\t* retry_interval: invalid duration: \"3d\": time: unknown "
				   "unit \"d\" in duration \"3d\""},
	    {"-hcl server_rejoin_age_max=\"1h\"", "1 error occurred:\n\t* server_rejoin_age_max: duration '1h' cannot "
						  "be less than: 6h0m0s (flags-1.hcl, line 1, column 1)"},
	    {"-http-port=70000 -client=foo",
		"2 errors occurred:\n\t* ports.http: invalid port: 70000\n\t* client_addr: invalid ip address: foo"},
	    {"-client=unix:///x", "1 error occurred:\n\t* client_addr cannot be a unix socket"},
	    {"-allow-write-http-from=x", "1 error occurred:\n\t* allow_write_http_from: invalid cidr: x"},
	    {"-hcl dns_config{recursor_strategy=\"x\"}",
		"1 error occurred:\n\t* dns_config.recursor_strategy: invalid strategy: \"x\""},
	    {"-hcl dns_config{service_ttl{a=\"x\"}}", "1 error occurred:\n\t* dns_config.service_ttl[\"a\"]: invalid "
						      "duration: \"x\": time: invalid duration \"x\""},
	    {"-hcl telemetry{prometheus_retention_time=\"x\"}",
		"1 error occurred:\n\t* prometheus_retention_time: invalid duration: \"x\": time: invalid duration "
		"\"x\" (flags-1.hcl, line 1, "
		"column 11)"},
	    {"-hcl connect{ca_provider=\"x\"}", "x is not a valid CA provider"},
	    {"-hcl auto_encrypt{tls=true}", "auto_encrypt.tls can only be used on a client."},
	    {"-log-level=bogus", "Invalid log level: bogus. Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]"},
	    {"-syslog -hcl syslog_facility=\"x\"", "invalid syslog facility: x"},
	    {"-node-id=x", "failed to setup node ID: specified NodeID is invalid: uuid string is wrong length"},
	    {"-protocol=9", "Failed to start Consul server: Protocol version '9' too high. Must be in range: [2, 3]"},
	    {"-hcl acl{default_policy=\"x\"}", "Failed to start Consul server: Unsupported default ACL policy: x"},
	    {"-recursor=nosuch.invalid.", "Invalid recursor address: lookup nosuch.invalid.: no such host"},
	};
	char flags[1024];

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		snprintf(flags, sizeof flags, "-server -bootstrap -data-dir=data -bind=127.0.0.1 %s", cases[i][0]);
		if (strcmp(error_of(flags), cases[i][1]) != 0)
			fail_msg("%s:\nwant %s\ngot  %s", cases[i][0], cases[i][1], last);
	}
	assert_string_equal(error_of("-dev -bootstrap-expect=1"), "'bootstrap_expect > 0' not allowed in dev mode");
}

/* What would be unsafe to ignore is refused and says so; it is told after the configuration's own mistakes. */
static void
test_unsupported_is_refused(void **state)
{
	static const char *const cases[][2] = {
	    {"-https-port=8501", "ports.https is not supported by this version of consuld"},
	    {"-hcl verify_incoming=true", "tls.defaults.verify_incoming is not supported by this version of consuld "
					  "(flags-1.hcl, line 1, column 1)"},
	    {"-hcl tls{internal_rpc{verify_server_hostname=true}}",
		"tls.internal_rpc.verify_server_hostname is not supported by this version of consuld (flags-1.hcl, "
		"line 1, column 18)"},
	    {"-hcl auto_encrypt{allow_tls=true}",
		"auto_encrypt.allow_tls is not supported by this version of consuld (flags-1.hcl, line 1, column 14)"},
	    {"-hcl acl{enabled=true,default_policy=\"deny\"}",
		"acl.enabled with acl.default_policy = \"deny\" is not supported by this version of consuld"},
	    {"-hcl connect{ca_provider=\"vault\"}",
		"connect.ca_provider is not supported by this version of consuld (flags-1.hcl, line 1, column 9)"},
	    {"-hcl limits{request_limits{mode=\"enforcing\"}}", "limits.request_limits.mode is not supported by this "
								"version of consuld (flags-1.hcl, line 1, column 23)"},
	    {"-hcl config_entries{bootstrap=[{kind=\"x\"}]}",
		"config_entries.bootstrap is not supported by this version of consuld (flags-1.hcl)"},
	    {"-encrypt=x", "encrypt has invalid key: illegal base64 data at input byte 0"},
	    {"-hcl verify_incoming=false", ""},
	    {"-hcl connect{enabled=true}", ""},
	    {"-hcl peering{enabled=false}", ""},
	};
	char flags[1024];

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		snprintf(flags, sizeof flags, "-dev %s", cases[i][0]);
		if (strcmp(error_of(flags), cases[i][1]) != 0)
			fail_msg("%s:\nwant %s\ngot  %s", cases[i][0], cases[i][1], last);
	}
}

#define AT(column) " (a.json, line 1, column " #column ")"

static void
test_definitions(void **state)
{
	static const char *const cases[][2] = {
	    {"{\"service\":{\"port\":1}}", "Service name missing" AT(2)},
	    {"{\"service\":{\"name\":\"w\",\"check\":{\"http\":\"x\"}}}",
		"service \"w\": check \"\": Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService "
		"checks" AT(24)},
	    {"{\"check\":{\"name\":\"k\",\"ttl\":\"1s\",\"interval\":\"1s\"}}",
		"check \"k\": Interval and TTL cannot both be specified" AT(2)},
	    {"{\"check\":{\"name\":\"k\",\"tcp\":\"x\",\"interval\":\"1s\",\"alias_node\":\"n\"}}",
		"check \"k\": Interval cannot be set for Alias checks" AT(2)},
	    {"{\"check\":{\"name\":\"k\",\"alias_node\":\"n\",\"interval\":\"1s\"}}", ""},
	    {"{\"check\":{\"name\":\"k\",\"alias_node\":\"n\",\"ttl\":\"1s\"}}",
		"check \"k\": TTL must be not be set for Alias checks" AT(2)},
	    {"{\"check\":{\"name\":\"no kind\"}}", "check \"no kind\": TTL must be > 0 for TTL checks" AT(2)},
	    {"{\"check\":{\"ttl\":\"1s\"}}", "Failed to register check '': CheckID missing" AT(2)},
	    {"{\"check\":{\"name\":\"k\",\"ttl\":\"1s\",\"output_max_size\":-1}}",
		"check \"k\": MaxOutputMaxSize must be positive" AT(2)},
	    {"{\"check\":{\"name\":\"k\",\"ttl\":\"1s\",\"failures_before_warning\":2,\"failures_before_critical\":1}}",
		"check \"k\": FailuresBeforeWarning can't be higher than FailuresBeforeCritical" AT(2)},
	    {"{\"check\":{\"name\":\"k\",\"args\":[\"true\"],\"interval\":\"1s\"}}",
		"Failed to register check 'k': Scripts are disabled on this agent; to enable, configure "
		"'enable_script_checks' or "
		"'enable_local_script_checks' to true" AT(2)},
	    {"{\"enable_local_script_checks\":true,\"check\":{\"name\":\"k\",\"args\":[\"true\"],\"interval\":\"1s\"}}",
		""},
	    {"{\"service\":{\"name\":\"w\",\"meta\":{\"a b\":\"c\"}}}",
		"1 error occurred:\n\t* invalid meta for service w: Couldn't load metadata pair ('a b', 'c'): Key "
		"contains invalid "
		"characters" AT(2)},
	    {"{\"service\":{\"name\":\"w\",\"weights\":{\"passing\":0}}}",
		"1 error occurred:\n\t* Invalid weight definition for service w: Passing must be greater than 0"},
	    {"{\"service\":{\"name\":\"w\",\"socket_path\":\"/x\",\"port\":1}}",
		"1 error occurred:\n\t* service w cannot have both socket path /x and address/port"},
	    {"{\"service\":{\"name\":\"w\",\"connect\":{\"sidecar_service\":{\"id\":\"x\"}}}}",
		"1 error occurred:\n\t* sidecar_service can't specify an ID"},
	    {"{\"service\":{\"name\":\"w\",\"kind\":\"connect-proxy\"}}",
		"service \"w\": 2 errors occurred:\n\t* Proxy.DestinationServiceName must be non-empty for Connect "
		"proxy services\n\t* Port or "
		"SocketPath must be set for a connect-proxy" AT(2)},
	    {"{\"service\":{\"name\":\"w\",\"locality\":{\"zone\":\"z\"}}}",
		"service \"w\": 1 error occurred:\n\t* zone cannot be set without region" AT(2)},
	    {"{\"watches\":[{\"type\":\"bogus\",\"args\":\"x\"}]}",
		"Failed to parse watch (map[args:x type:bogus]): Unsupported watch type: bogus"},
	    {"{\"watches\":[{\"type\":\"services\"}]}", "Must define a watch handler"},
	    {"{\"watches\":[{\"type\":\"connect_roots\",\"args\":[\"x\"]}]}",
		"Watch type connect_roots is not allowed in agent config"},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++)
		assert_string_equal(error_of_text("a.json", cases[i][0]), cases[i][1]);
}

/* Duplicate keys: the last one; numbers keep what Go would print; the tree survives deep nesting without the stack. */
static void
test_reader_details(void **state)
{
	struct region *r = region_new();
	struct buf out = BUF_INIT(4096), deep = BUF_INIT(4096);
	char error[VALUE_ERROR_MAX];
	struct value *v;

	(void)state;
	v = json_read(r,
	    bytes_str("{\"a\":1,\"b\":[1.50,\"\\u00e9\\ud83d\\ude00\\ud800\",true,null],\"a\":{\"z\":2,\"y\":1e3}}"),
	    error);
	assert_non_null(v);
	value_print(v, &out);
	buf_put_u8(&out, 0);
	assert_string_equal(
	    (char *)out.data, "map[a:map[y:1000 z:2] b:[1.5 \xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd true <nil>]]");
	for (int i = 0; i < 2000; i++)
		buf_put_u8(&deep, '[');
	assert_null(json_read(r, buf_bytes(&deep), error));
	assert_non_null(strstr(error, "nested too deeply"));
	buf_free(&deep);
	buf_put_str(&deep, "a=");
	for (int i = 0; i < 2000; i++)
		buf_put_u8(&deep, '[');
	assert_null(hcl_read(r, buf_bytes(&deep), error));
	assert_non_null(strstr(error, "nested too deeply"));
	buf_free(&deep);
	buf_free(&out);
	region_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_json_texts, teardown),
	    cmocka_unit_test_teardown(test_keys_and_types, teardown),
	    cmocka_unit_test_teardown(test_hcl_texts, teardown),
	    cmocka_unit_test_teardown(test_flag_errors, teardown),
	    cmocka_unit_test_teardown(test_file_errors, teardown),
	    cmocka_unit_test_teardown(test_validation, teardown),
	    cmocka_unit_test_teardown(test_unsupported_is_refused, teardown),
	    cmocka_unit_test_teardown(test_definitions, teardown),
	    cmocka_unit_test(test_reader_details),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

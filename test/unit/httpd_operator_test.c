/*
 * httpd_operator_test.c - /v1/operator/raft and autopilot: what is asked of catalogd, and the form in which its answers are shown
 */
#include "httpd_catalogd.h"

#include "json.h"
#include "structs_operator.h"

/* Nanoseconds .5 and .25 of the second 2026-11-20T06:52:22Z, as Go writes them. */
static const uint8_t HALF[] = {1, 0, 0, 0, 0x0e, 0xe2, 0x91, 0xe5, 0x26, 0x1d, 0xcd, 0x65, 0x00, 0xff, 0xff};
static const uint8_t QUARTER[] = {1, 0, 0, 0, 0x0e, 0xe2, 0x91, 0xe5, 0x26, 0x0e, 0xe6, 0xb2, 0x80, 0xff, 0xff};

static bool healthy, looked;
static char last_method[64], last_text[512];

static void
note(const char *method, const struct schema *schema, struct bytes args)
{
	struct buf json = BUF_INIT(sizeof last_text);
	struct mp in = mp_of(args);

	snprintf(last_method, sizeof last_method, "%s", method);
	assert_int_equal(schema_to_json(schema, &in, &json, 0), 0);
	assert_int_equal(bytes_to_str(buf_bytes(&json), last_text, sizeof last_text), 0);
	buf_free(&json);
}

static void
remove_by_id(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)ctx;
	note("by ID", &raft_remove_peer_request_schema, args);
	ipc_reply(s, bytes_of(NULL, 0));
}

static void
remove_by_address(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)ctx;
	note("by address", &raft_remove_peer_request_schema, args);
	ipc_fail(s, 0, "address \"a:1\" was not found in the Raft configuration");
}

static void
transfer(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct transfer_leader_response response = {.success = true};
	struct buf b = BUF_INIT(256);

	(void)ctx;
	note("transfer", &transfer_leader_request_schema, args);
	schema_encode(&transfer_leader_response_schema, &response, &b);
	ipc_reply(s, buf_bytes(&b));
	buf_free(&b);
}

static void
config_set(struct ipc_stream *s, struct bytes args, void *ctx)
{
	static const uint8_t yes[] = {0xc3};

	(void)ctx;
	note("set", &autopilot_set_config_request_schema, args);
	ipc_reply(s, bytes_of(yes, 1));
}

static void
health(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct autopilot_server_health server = {.id = bytes_str("i"),
	    .name = bytes_str("n"),
	    .serf_status = 4,
	    .last_contact = 342481,
	    .last_term = 2,
	    .stable_since = bytes_of(HALF, sizeof HALF)};
	struct autopilot_health_reply reply = {.healthy = healthy, .failure_tolerance = 1};
	struct buf b = BUF_INIT(4096), list = BUF_INIT(4096);

	(void)args, (void)ctx;
	if (looked) {
		mp_put_array(&list, 2);
		schema_encode(&autopilot_server_health_schema, &server, &list);
		server.serf_status = 1;
		server.stable_since = bytes_of(QUARTER, sizeof QUARTER);
		schema_encode(&autopilot_server_health_schema, &server, &list);
		reply.servers = buf_bytes(&list);
	}
	schema_encode(&autopilot_health_reply_schema, &reply, &b);
	ipc_reply(s, buf_bytes(&b));
	buf_free(&b);
	buf_free(&list);
}

static void
state(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct autopilot_server server = {.id = bytes_str("i"),
	    .name = bytes_str("n"),
	    .node_status = bytes_str("alive"),
	    .node_type = bytes_str("voter")};
	struct autopilot_stats stats = {.last_index = 9};
	struct autopilot_stable stable = {.healthy = true, .stable_since = bytes_of(HALF, sizeof HALF)};
	struct buf parts[3] = {BUF_INIT(4096), BUF_INIT(4096), BUF_INIT(4096)}, map = BUF_INIT(4096),
		   b = BUF_INIT(8192);
	struct autopilot_server_state one = {.state = bytes_str("leader")};
	struct autopilot_state reply = {.healthy = true, .failure_tolerance = 2, .leader = bytes_str("i")};

	(void)args, (void)ctx;
	schema_encode(&autopilot_server_schema, &server, &parts[0]);
	schema_encode(&autopilot_stats_schema, &stats, &parts[1]);
	schema_encode(&autopilot_stable_schema, &stable, &parts[2]);
	one.server = buf_bytes(&parts[0]);
	one.stats = buf_bytes(&parts[1]);
	one.health = buf_bytes(&parts[2]);
	mp_put_map(&map, 1);
	mp_put_cstr(&map, "i");
	schema_encode(&autopilot_server_state_schema, &one, &map);
	reply.servers = buf_bytes(&map);
	schema_encode(&autopilot_state_schema, &reply, &b);
	ipc_reply(s, buf_bytes(&b));
	for (size_t i = 0; i < COUNTOF(parts); i++)
		buf_free(&parts[i]);
	buf_free(&map);
	buf_free(&b);
}

static const struct ipc_method METHODS[] = {PLAYED_METHODS, {"Operator.RaftRemovePeerByID", remove_by_id},
    {"Operator.RaftRemovePeerByAddress", remove_by_address}, {"Operator.TransferLeader", transfer},
    {"Operator.AutopilotSetConfiguration", config_set}, {"Operator.ServerHealth", health},
    {"Operator.AutopilotState", state}};
static const struct ipc_service SERVICE = {METHODS, COUNTOF(METHODS), NULL};

static int
setup(void **unused)
{
	(void)unused;
	healthy = looked = true;
	return setup_with(&SERVICE);
}

static void
test_raft(void **unused)
{
	(void)unused;
	EXCHANGE("DELETE /v1/operator/raft/peer?id=x&dc=d HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ",
	    "Content-Length: 0\r\n");
	assert_string_equal(last_method, "by ID");
	assert_string_equal(last_text, "{\"Datacenter\":\"d\",\"Address\":\"\",\"ID\":\"x\",\"Token\":\"\"}");
	EXCHANGE("DELETE /v1/operator/raft/peer?address=a:1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 500 ",
	    "address \"a:1\" was not found in the Raft configuration");
	assert_string_equal(last_method, "by address");
	last_method[0] = '\0';
	EXCHANGE("DELETE /v1/operator/raft/peer?id= HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ",
	    "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove");
	EXCHANGE("DELETE /v1/operator/raft/peer?id=x&address=a:1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ",
	    "Must specify only one of ?id or ?address");
	assert_string_equal(last_method, "");
	EXCHANGE("POST /v1/operator/raft/transfer-leader?id=y HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 200 ", "{\"Success\":true}");
	assert_string_equal(last_text, "{\"Datacenter\":\"\",\"ID\":\"y\",\"Token\":\"\"}");
}

#define PUT_CONFIG(query, body, ...)                                                                                   \
	do {                                                                                                           \
		char request[1024];                                                                                    \
                                                                                                                       \
		snprintf(request, sizeof request,                                                                      \
		    "PUT /v1/operator/autopilot/configuration%s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", \
		    query, strlen(body), body);                                                                        \
		EXCHANGE(request, __VA_ARGS__);                                                                        \
	} while (0)

static void
test_settings(void **unused)
{
	(void)unused;
	PUT_CONFIG("", "{}", "HTTP/1.1 200 ", "\r\n\r\ntrue");
	assert_non_null(strstr(last_text,
	    "\"CleanupDeadServers\":true,\"LastContactThreshold\":\"200ms\",\"MaxTrailingLogs\":250,\"MinQuorum\":0,"
	    "\"ServerStabilizationTime\":\"10s\","));
	assert_non_null(strstr(last_text, "\"CAS\":false"));
	PUT_CONFIG("?cas=17",
	    "{\"cleanupdeadservers\":false,\"LastContactThreshold\":1000000000,\"MaxTrailingLogs\":0,"
	    "\"ServerStabilizationTime\":\"0s\",\"UpgradeVersionTag\":\"t\",\"ModifyIndex\":3,\"What\":1}",
	    "HTTP/1.1 200 ");
	assert_non_null(strstr(last_text,
	    "\"CleanupDeadServers\":false,\"LastContactThreshold\":\"1s\",\"MaxTrailingLogs\":0,\"MinQuorum\":0,"
	    "\"ServerStabilizationTime\":\"0s\",\"RedundancyZoneTag\":\"\",\"DisableUpgradeMigration\":false,"
	    "\"UpgradeVersionTag\":\"t\",\"CreateIndex\":0,\"ModifyIndex\":17}"));
	assert_non_null(strstr(last_text, "\"CAS\":true"));
	last_method[0] = '\0';
	PUT_CONFIG("?cas=x", "{}", "HTTP/1.1 400 ",
	    "Error parsing cas value: strconv.ParseUint: parsing \"x\": invalid syntax");
	PUT_CONFIG("?cas=", "{}", "HTTP/1.1 400 ", "Error parsing cas value: strconv.ParseUint: parsing \"\": ");
	PUT_CONFIG("", "{\"LastContactThreshold\":\"soon\"}", "HTTP/1.1 400 ",
	    "Error parsing autopilot config: time: invalid duration \"soon\"");
	PUT_CONFIG("", "nope", "HTTP/1.1 400 ", "Error parsing autopilot config: ");
	PUT_CONFIG("", "\"a\"", "HTTP/1.1 400 ",
	    "Error parsing autopilot config: json: cannot unmarshal string into Go value of type "
	    "api.AutopilotConfiguration");
	assert_string_equal(last_method, "");
}

static void
test_health(void **unused)
{
	(void)unused;
	EXCHANGE("GET /v1/operator/autopilot/health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ",
	    "Content-Type: application/json\r\n",
	    "{\"Healthy\":true,\"FailureTolerance\":1,\"Servers\":[{\"ID\":\"i\",\"Name\":\"n\",\"Address\":\"\","
	    "\"SerfStatus\":\"failed\",\"Version\":\"\",\"Leader\":false,\"LastContact\":\"342.481µs\",\"LastTerm\":2,"
	    "\"LastIndex\":0,\"Healthy\":false,\"Voter\":false,\"StableSince\":\"2026-11-20T06:52:23Z\"},",
	    "\"SerfStatus\":\"alive\"", "\"StableSince\":\"2026-11-20T06:52:22Z\"}]}");
	healthy = false;
	EXCHANGE("GET /v1/operator/autopilot/health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 429 ",
	    "Content-Type: text/plain; charset=utf-8\r\n", "{\"Healthy\":false,");
	EXCHANGE("GET /v1/operator/autopilot/health HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
	    "HTTP/1.1 429 ", "Content-Type: application/json\r\n");
	looked = false;
	EXCHANGE("GET /v1/operator/autopilot/health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 429 ", "\"Servers\":null}");
}

static void
test_state(void **unused)
{
	(void)unused;
	EXCHANGE("GET /v1/operator/autopilot/state HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ",
	    "{\"Healthy\":true,\"FailureTolerance\":2,\"OptimisticFailureTolerance\":2,\"Servers\":{\"i\":{\"ID\":"
	    "\"i\","
	    "\"Name\":\"n\",\"Address\":\"\",\"NodeStatus\":\"alive\",\"Version\":\"\",\"LastContact\":\"0s\","
	    "\"LastTerm\":0,\"LastIndex\":9,\"Healthy\":true,\"StableSince\":\"2026-11-20T06:52:22.5Z\","
	    "\"ReadReplica\":false,\"Status\":\"leader\",\"Meta\":null,\"NodeType\":\"voter\"}},\"Leader\":\"i\","
	    "\"Voters\":null}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_raft, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_health, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_state, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

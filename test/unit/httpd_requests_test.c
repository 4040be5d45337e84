/*
 * httpd_requests_test.c - what requests mean: routing, parameters, bodies, what of them is asked of catalogd and what is answered and logged
 */
#include "httpd_catalogd.h"

#include "json.h"

/* What a session was asked to be, as JSON. */
static char last_session[1024];

static void
session_apply(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct session_request q;
	struct buf json = BUF_INIT(sizeof last_session), id = BUF_INIT(64);
	const char *error;
	struct mp in;

	(void)ctx;
	assert_int_equal(schema_decode(&session_request_schema, args, &q, &error), 0);
	in = mp_of(q.session);
	assert_int_equal(schema_to_json(&session_schema, &in, &json, 0), 0);
	assert_int_equal(bytes_to_str(buf_bytes(&json), last_session, sizeof last_session), 0);
	mp_put_cstr(&id, "some-id");
	ipc_reply(s, buf_bytes(&id));
	buf_free(&json);
	buf_free(&id);
}

static void
session_renew_method(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct indexed_sessions none = {.index = 3};
	struct buf b = BUF_INIT(1024);

	(void)args, (void)ctx;
	schema_encode(&indexed_sessions_schema, &none, &b);
	ipc_reply(s, buf_bytes(&b));
	buf_free(&b);
}

static void
put_instance(struct buf *b, const char *node_json, const char *service_json, const char *checks_json)
{
	struct check_service_node e;
	struct buf node = BUF_INIT(4096), service = BUF_INIT(4096), checks = BUF_INIT(4096);
	struct json_error error;

	assert_int_equal(schema_from_json(&node_schema, bytes_str(node_json), &node, &error), 0);
	assert_int_equal(schema_from_json(&node_service_schema, bytes_str(service_json), &service, &error), 0);
	assert_int_equal(json_to_mp(bytes_str(checks_json), &checks, &error), 0);
	e = (struct check_service_node){buf_bytes(&node), buf_bytes(&service), buf_bytes(&checks)};
	schema_encode(&check_service_node_schema, &e, b);
	buf_free(&node);
	buf_free(&service);
	buf_free(&checks);
}

/* Two instances of web on two nodes, one of them behind a proxy, and a node check that both share with nobody. */
static void
service_dump(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct indexed_check_service_nodes reply = {.index = 12, .known_leader = true};
	struct buf list = BUF_INIT(1u << 16), b = BUF_INIT(1u << 16);

	(void)args, (void)ctx;
	mp_put_array(&list, 3);
	put_instance(&list, "{\"Node\":\"n2\",\"Datacenter\":\"dc1\"}",
	    "{\"ID\":\"web2\",\"Service\":\"web\",\"Tags\":[\"b\",\"a\"],\"Meta\":{\"external-source\":\"nomad\"}}",
	    "[{\"Node\":\"n2\",\"CheckID\":\"up\",\"Status\":\"critical\"}]");
	put_instance(&list, "{\"Node\":\"n1\",\"Datacenter\":\"dc1\"}",
	    "{\"ID\":\"web1\",\"Service\":\"web\",\"Tags\":[\"a\"]}",
	    "[{\"Node\":\"n1\",\"CheckID\":\"node\",\"Status\":\"passing\"},{\"Node\":\"n1\",\"CheckID\":\"up\","
	    "\"Status\":\"warning\"}]");
	put_instance(&list, "{\"Node\":\"n1\",\"Datacenter\":\"dc1\"}",
	    "{\"Kind\":\"connect-proxy\",\"ID\":\"p\",\"Service\":\"web-proxy\",\"Proxy\":{\"DestinationServiceName\":"
	    "\"web\",\"Mode\":\"transparent\"}}",
	    "[{\"Node\":\"n1\",\"CheckID\":\"node\",\"Status\":\"passing\"},{\"Node\":\"n1\",\"CheckID\":\"p\","
	    "\"Status\":\"passing\"}]");
	reply.nodes = buf_bytes(&list);
	schema_encode(&indexed_check_service_nodes_schema, &reply, &b);
	ipc_reply(s, buf_bytes(&b));
	buf_free(&list);
	buf_free(&b);
}

static const struct ipc_method METHODS[] = {PLAYED_METHODS, {"Session.Apply", session_apply},
    {"Session.Renew", session_renew_method}, {"Internal.ServiceDump", service_dump}};
static const struct ipc_service SERVICE = {METHODS, COUNTOF(METHODS), NULL};

static int
setup(void **unused)
{
	(void)unused;
	return setup_with(&SERVICE);
}

static void
test_get_and_put(void **unused)
{
	(void)unused;
	EXCHANGE("GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n",
	    "Content-Type: application/json\r\n", "Vary: Accept-Encoding\r\n", "X-Consul-Default-Acl-Policy: allow\r\n",
	    "Content-Length: 16\r\n\r\n\"127.0.0.1:8300\"");
	EXCHANGE("GET /v1/kv/k HTTP/1.1\r\nHost: x\r\n\r\n", "X-Consul-Index: 8\r\n", "X-Consul-Knownleader: true\r\n",
	    "X-Consul-Lastcontact: 0\r\n",
	    "[{\"LockIndex\":0,\"Key\":\"k\",\"Flags\":0,\"Value\":\"dmFsdWU=\",\"CreateIndex\":7,\"ModifyIndex\":8}]");
	assert_int_equal(count_of("Effective-Consistency"), 0);
	EXCHANGE("GET /v1/kv/k?raw HTTP/1.1\r\nHost: x\r\n\r\n", "Content-Type: text/plain\r\n",
	    "X-Content-Type-Options: nosniff\r\n", "Content-Security-Policy: sandbox\r\n",
	    "Content-Length: 5\r\n\r\nvalue");
	EXCHANGE("GET /v1/kv/k?pretty HTTP/1.1\r\nHost: x\r\n\r\n", "[\n    {\n        \"LockIndex\": 0,", "\n]\n");
	EXCHANGE("GET /v1/kv/absent HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 Not Found\r\n", "X-Consul-Index: 9\r\n",
	    "Content-Length: 0\r\n\r\n");
	assert_int_equal(count_of("Content-Type"), 0);
	EXCHANGE("PUT /v1/kv/a%2Fb?cas=4 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n",
	    "\r\n\r\ntrue");
	assert_string_equal(last_op, "cas");
	assert_string_equal(last_key, "a/b");
	assert_int_equal(last_value_size, 5);
	EXCHANGE("DELETE /v1/kv/a?recurse HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\ntrue");
	assert_string_equal(last_op, "delete-tree");
}

static void
test_routing(void **unused)
{
	(void)unused;
	EXCHANGE("get /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 ", "Allow: OPTIONS,GET\r\n",
	    "method get not allowed");
	EXCHANGE("OPTIONS /v1/kv/x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "Allow: OPTIONS,GET,PUT,DELETE\r\n",
	    "Content-Type: application/json\r\n", "Content-Length: 0\r\n");
	EXCHANGE("HEAD /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 ", "Content-Length: 23\r\n");
	assert_int_equal(count_of("method HEAD"), 0);
	EXCHANGE("GET /v1//kv/x?a=b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 301 ", "Location: /v1/kv/x?a=b\r\n",
	    "text/html");
	EXCHANGE("PUT /v1/kv HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 301 ",
	    "Location: /v1/kv/\r\n", "Content-Length: 0\r\n");
	EXCHANGE("GET /v1/kv/a%00b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ", "Content-Length: 0\r\n");
	EXCHANGE("GET /v1/status/leader?x=%zz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 500 ", "text/plain",
	    "Content-Length: 0\r\n");
	EXCHANGE("GET /v1/status/leader?a;b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 500 ");
	EXCHANGE("GET /v1/none HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ",
	    "Invalid URL path: not a recognized HTTP API endpoint\n");
	assert_int_equal(count_of("X-Consul-Default"), 0);
	EXCHANGE("GET /V1/x HTTP/1.1\r\nHost: x\r\n\r\n", "ensure the path starts with '/v1/'\n");
	EXCHANGE("GET /v1/acl/tokens HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 401 ", "ACL support disabled");
	EXCHANGE("PUT /v1/txn HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]", "HTTP/1.1 500 ",
	    "not supported by this version of consuld: transactions");
}

static void
test_parameters(void **unused)
{
	(void)unused;
	EXCHANGE("GET /v1/kv/k?index=abc HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ", "Invalid index");
	EXCHANGE("GET /v1/kv/k?index=-1 HTTP/1.1\r\nHost: x\r\n\r\n", "Invalid index");
	EXCHANGE("GET /v1/kv/k?wait=5&index=x HTTP/1.1\r\nHost: x\r\n\r\n", "Invalid wait time");
	EXCHANGE("GET /v1/kv/k?stale&consistent&wait=q HTTP/1.1\r\nHost: x\r\n\r\n",
	    "Cannot specify ?stale with ?consistent, conflicting semantics.");
	EXCHANGE("GET /v1/kv/k?cached&consistent HTTP/1.1\r\nHost: x\r\n\r\n",
	    "Cannot specify ?cached with ?consistent, conflicting semantics.");
	EXCHANGE(
	    "GET /v1/kv/k?max_stale=xx&stale&consistent HTTP/1.1\r\nHost: x\r\n\r\n", "Invalid max_stale value \"xx\"");
	EXCHANGE(
	    "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nCache-Control: max-age=abc\r\n\r\n", "Invalid Cache-Control header.");
	EXCHANGE("GET /v1/kv/k?ns=a HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ",
	    "Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise feature");
	EXCHANGE("GET /v1/health/node/?partition=a HTTP/1.1\r\nHost: x\r\n\r\n",
	    "Invalid query parameter: \"partition\" - Partitions are a Consul Enterprise feature");
	EXCHANGE("GET /v1/session/info/ HTTP/1.1\r\nHost: x\r\nX-Consul-Namespace: a\r\n\r\n",
	    "Invalid header: \"X-Consul-Namespace\" - Namespaces are");
	EXCHANGE("GET /v1/kv/?ns=a HTTP/1.1\r\nHost: x\r\n\r\n", "Missing key name");
	EXCHANGE("PUT /v1/kv/k?cas=0&acquire=x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 400 ",
	    "Conflicting flags: acquire=x&cas=0\n");
	EXCHANGE("PUT /v1/kv/k?flags=0x10 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 500 ",
	    "strconv.ParseUint: parsing \"0x10\": invalid syntax");
	EXCHANGE("PUT /v1/kv/k?flags=18446744073709551616 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	    "value out of range");
	EXCHANGE("GET /v1/kv/fail HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 500 ", "text/plain; charset=utf-8",
	    "\r\n\r\nNo cluster leader");
	EXCHANGE("GET /v1/kv/denied HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 403 ");
}

static void
create_session(const char *body, const char *wanted)
{
	char request[1024];

	snprintf(request, sizeof request, "PUT /v1/session/create HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
	    strlen(body), body);
	last_session[0] = '\0';
	if (wanted[0] == '{') {
		EXCHANGE(request, "HTTP/1.1 200 OK", "{\"ID\":\"some-id\"}");
		assert_string_equal(last_session, wanted);
	} else
		EXCHANGE(request, "HTTP/1.1 400 Bad Request", wanted);
}

/* Defaults, and what of the three lists of checks remains (http-api-kv-session.md 2.2). */
static void
test_session_bodies(void **unused)
{
#define SESSION(name, node, delay, behavior, ttl, checks)                                                              \
	"{\"ID\":\"\",\"Name\":\"" name "\",\"Node\":\"" node "\",\"LockDelay\":" delay ",\"Behavior\":\"" behavior    \
	"\",\"TTL\":\"" ttl "\"," checks ",\"CreateIndex\":0,\"ModifyIndex\":0}"
#define SERF "\"NodeChecks\":[\"serfHealth\"],\"ServiceChecks\":null"
#define NONE "\"NodeChecks\":[],\"ServiceChecks\":null"
	static const struct {
		const char *body, *wanted;
	} CASES[] = {
	    {"", SESSION("", "n1", "15000000000", "release", "", SERF)},
	    {"null", SESSION("", "n1", "15000000000", "release", "", SERF)},
	    {"{\"name\":\"a\",\"BEHAVIOR\":\"delete\",\"TTL\":\"30s\",\"Node\":\"other\",\"ID\":\"mine\",\"Unknown\":{}"
	     "}",
		SESSION("a", "other", "15000000000", "delete", "30s", SERF)},
	    {"{\"Node\":\"\"}", SESSION("", "", "15000000000", "release", "", SERF)},
	    {"{\"LockDelay\":15}", SESSION("", "n1", "15000000000", "release", "", SERF)},
	    {"{\"LockDelay\":1500}", SESSION("", "n1", "1500", "release", "", SERF)},
	    {"{\"LockDelay\":\"1m\"}", SESSION("", "n1", "60000000000", "release", "", SERF)},
	    {"{\"LockDelay\":\"500ns\"}", SESSION("", "n1", "500000000000", "release", "", SERF)},
	    {"{\"LockDelay\":0}", SESSION("", "n1", "0", "release", "", SERF)},
	    {"{\"LockDelay\":1.9}", SESSION("", "n1", "1000000000", "release", "", SERF)},
	    {"{\"LockDelay\":null}", SESSION("", "n1", "15000000000", "release", "", SERF)},
	    {"{\"LockDelay\":true}", SESSION("", "n1", "0", "release", "", SERF)},
	    {"{\"NodeChecks\":[]}", SESSION("", "n1", "15000000000", "release", "", NONE)},
	    {"{\"NodeChecks\":null}", SESSION("", "n1", "15000000000", "release", "", NONE)},
	    {"{\"Checks\":[],\"NodeChecks\":[\"a\"]}", SESSION("", "n1", "15000000000", "release", "", NONE)},
	    {"{\"checks\":null}", SESSION("", "n1", "15000000000", "release", "", NONE)},
	    {"{\"Checks\":[\"serfHealth\"],\"NodeChecks\":[\"a\"]}",
		SESSION("", "n1", "15000000000", "release", "", "\"NodeChecks\":[\"a\"],\"ServiceChecks\":null")},
	    {"{\"Checks\":[\"a\"],\"NodeChecks\":[]}", SESSION("", "n1", "15000000000", "release", "", NONE)},
	    {"{\"Checks\":[\"a\"]}", SESSION("", "n1", "15000000000", "release", "", SERF ",\"Checks\":[\"a\"]")},
	    {"{\"ServiceChecks\":[{\"ID\":\"c\"}]}",
		SESSION("", "n1", "15000000000", "release", "",
		    "\"NodeChecks\":[\"serfHealth\"],\"ServiceChecks\":[{\"ID\":\"c\",\"Namespace\":\"\"}]")},
	    {"{\"LockDelay\":\"abc\"}", "Request decode failed: time: invalid duration \"abc\""},
	    {"{\"TTL\":30}",
		"Request decode failed: json: cannot unmarshal number into Go struct field .Alias.TTL of type string"},
	    {"{", "Request decode failed: unexpected EOF"},
	};

	(void)unused;
	for (size_t i = 0; i < COUNTOF(CASES); i++)
		create_session(CASES[i].body, CASES[i].wanted);
	EXCHANGE("PUT /v1/session/renew/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 ",
	    "Session id 'nobody' not found");
	EXCHANGE("PUT /v1/session/destroy/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 400 ",
	    "Missing session");
}

static void
test_service_summaries(void **unused)
{
	(void)unused;
	EXCHANGE("GET /v1/internal/ui/services HTTP/1.1\r\nHost: x\r\n\r\n", "X-Consul-Index: 12\r\n",
	    "[{\"Name\":\"web\",\"Datacenter\":\"dc1\",\"Tags\":[\"a\",\"b\"],\"Nodes\":[\"n1\",\"n2\"],"
	    "\"ExternalSources\":[\"nomad\"],\"InstanceCount\":2,"
	    "\"ChecksPassing\":2,\"ChecksWarning\":1,\"ChecksCritical\":1,\"GatewayConfig\":{},\"TransparentProxy\":"
	    "true,\"ConnectNative\":false,"
	    "\"ConnectedWithProxy\":true,\"ConnectedWithGateway\":false},"
	    "{\"Kind\":\"connect-proxy\",\"Name\":\"web-proxy\",\"Datacenter\":\"dc1\",\"Tags\":null,\"Nodes\":[\"n1\"]"
	    ",\"ExternalSources\":null,\"InstanceCount\":1,"
	    "\"ChecksPassing\":2,\"ChecksWarning\":0,\"ChecksCritical\":0,");
}

/* What the log says of requests, and that tokens are not in it. */
static void
test_log_lines(void **unused)
{
	static char text[8192];
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	(void)unused;
	assert_int_equal(pipe(fds), 0);
	assert_int_not_equal(dup2(fds[1], STDERR_FILENO), -1);
	log_set_level(LOG_DEBUG_LEVEL);
	EXCHANGE("GET /v1/kv/fail?token=s3cret&stale HTTP/1.1\r\nHost: x\r\nX-Consul-Token: s3cret\r\n\r\n",
	    "No cluster leader");
	EXCHANGE("GET /v1/kv/?a=b&token=s3cret HTTP/1.1\r\nHost: x\r\n\r\n", "Missing key name");
	log_set_level(LOG_ERROR_LEVEL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	n = read(fds[0], text, sizeof text - 1);
	close(fds[0]);
	assert_true(n > 0);
	text[n] = '\0';
	assert_null(strstr(text, "s3cret"));
	assert_non_null(
	    strstr(text, "[ERROR] agent.http: Request error: method=GET url=/v1/kv/fail?token=<hidden>&stale "
			 "from=127.0.0.1:1234 error=\"No cluster leader\""));
	assert_non_null(strstr(text, "[ERROR] agent.http: Request error: method=GET url=/v1/kv/?a=b&token=<hidden> "
				     "from=127.0.0.1:1234 error=\"Missing key name\""));
	assert_non_null(strstr(text, "[DEBUG] agent.http: Request finished: method=GET "
				     "url=/v1/kv/fail?token=<hidden>&stale from=127.0.0.1:1234 latency="));
}

static void
test_configured_limits(void **unused)
{
	int fd;

	(void)unused;
	configure("http_config = { block_endpoints = [\"/v1/agent/self\", \"/v1/kv/secret\"]; response_headers = ({key "
		  "= \"X-Extra\"; value = \"one\";}); "
		  "allow_write_http_from = [\"10.0.0.0/8\"]; }; limits = { kv_max_value_size = 10; };");
	EXCHANGE("GET /v1/kv/secrets?recurse HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 403 ",
	    "Endpoint is blocked by agent configuration", "X-Extra: one\r\n");
	EXCHANGE("GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", "X-Extra: one\r\n");
	EXCHANGE(
	    "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 403 ", "Access is restricted");
	fd = dial_from("10.1.2.3");
	put_str(fd, "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n12345678901");
	assert_true(expect(fd, "Request body(11 bytes) too large, max size: 10 bytes."));
	close(fd);
	turns(5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_get_and_put, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_routing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_parameters, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_log_lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_session_bodies, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_service_summaries, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_configured_limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

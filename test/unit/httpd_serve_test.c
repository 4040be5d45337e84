/*
 * httpd_serve_test.c - requests over real sockets through connections, routing, the API and a neighbour played by this test
 *
 * All ends live in this process, on one loop each turn of which is run by hand until a condition holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "conn.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "request.h"

#define STREAMS_MAX 256

static struct ev_loop *loop;
static struct ipc *front_ipc, *catalog_ipc;
static struct ipc_listener *listener;
static struct ipc_peer *catalog;
static struct conns *conns;
static struct conf *conf;
static char directory[64];
static struct buf answer; /* what the client has received */

/* Requests that the played catalogd holds, and what was written to it last. */
static struct ipc_stream *held[STREAMS_MAX];
static size_t held_count, held_ended;
static char last_op[32], last_key[128];
static size_t last_value_size;

/* ---- what common/daemon.c has in a daemon ---- */

const struct conf *
daemon_conf(const struct daemon *d)
{
	(void)d;
	return conf;
}

struct ev_loop *
daemon_loop(const struct daemon *d)
{
	(void)d;
	return loop;
}

struct ipc_peer *
daemon_peer(struct daemon *d, const char *name)
{
	(void)d, (void)name;
	return catalog;
}

/* ---- the played catalogd ---- */

static void
put_entries(struct buf *b, const char *key, struct bytes value, uint64_t index)
{
	struct dir_entry e = {.key = bytes_str(key), .value = value, .create_index = 7, .modify_index = index};
	struct buf list = BUF_INIT(1u << 24);
	struct indexed_dir_entries reply = {
	    .index = index, .known_leader = true, .consistency_level = bytes_str("leader")};

	if (value.data != NULL) {
		mp_put_array(&list, 1);
		schema_encode(&dir_entry_schema, &e, &list);
		reply.entries = buf_bytes(&list);
	}
	schema_encode(&indexed_dir_entries_schema, &reply, b);
	buf_free(&list);
}

static void
ended(struct ipc_stream *s, void *ctx)
{
	(void)ctx;
	for (size_t i = 0; i < held_count; i++)
		if (held[i] == s)
			held[i] = held[--held_count];
	held_ended++;
}

static void
kvs_get(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct key_request q;
	struct buf b = BUF_INIT(1u << 24);
	const char *error;
	static char big[8192];

	(void)ctx;
	assert_int_equal(schema_decode(&key_request_schema, args, &q, &error), 0);
	memset(big, 'x', sizeof big);
	if (q.min_query_index > 0) {
		assert_true(held_count < STREAMS_MAX);
		ipc_stream_watch(s, ended, NULL, NULL);
		held[held_count++] = s;
		return;
	}
	if (bytes_is(q.key, "fail"))
		ipc_fail(s, 0, "No cluster leader");
	else if (bytes_is(q.key, "denied"))
		ipc_fail(s, 0, "rpc error making call: Permission denied: x");
	else {
		if (bytes_is(q.key, "absent"))
			put_entries(&b, "", bytes_of(NULL, 0), 9);
		else if (bytes_is(q.key, "big"))
			put_entries(&b, "big", bytes_of(big, sizeof big), 10);
		else
			put_entries(&b, "k", bytes_str("value"), 8);
		ipc_reply(s, buf_bytes(&b));
	}
	buf_free(&b);
}

static void
kvs_apply(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct kvs_request q;
	struct dir_entry e;
	const char *error;
	static const uint8_t TRUE_BODY[] = {0xc3};

	(void)ctx;
	assert_int_equal(schema_decode(&kvs_request_schema, args, &q, &error), 0);
	assert_int_equal(schema_decode(&dir_entry_schema, q.dir_ent, &e, &error), 0);
	assert_int_equal(bytes_to_str(q.op, last_op, sizeof last_op), 0);
	assert_int_equal(bytes_to_str(e.key, last_key, sizeof last_key), 0);
	last_value_size = e.value.size;
	ipc_reply(s, bytes_of(TRUE_BODY, sizeof TRUE_BODY));
}

static void
status_leader_method(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct buf b = BUF_INIT(256);

	(void)args, (void)ctx;
	mp_put_cstr(&b, "127.0.0.1:8300");
	ipc_reply(s, buf_bytes(&b));
	buf_free(&b);
}

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

static const struct ipc_method METHODS[] = {{"Session.Apply", session_apply}, {"Session.Renew", session_renew_method},
    {"Internal.ServiceDump", service_dump},

    {"KVS.Get", kvs_get}, {"KVS.Apply", kvs_apply}, {"Status.Leader", status_leader_method}};
static const struct ipc_service SERVICE = {METHODS, COUNTOF(METHODS), NULL};

/* ---- the front and its clients ---- */

static const struct conn_handler HANDLER = {request_body_max, request_known, request_dispatch, request_ended};

static void
configure(const char *text)
{
	char path[128], error[CONF_ERROR_MAX];
	FILE *f;

	snprintf(path, sizeof path, "%s/httpd.conf", directory);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	conf_free(conf);
	conf = conf_load(path, error);
	assert_non_null(conf);
	request_configure(NULL);
}

static int
setup(void **unused)
{
	char path[128];
	int fd;

	(void)unused;
	log_init("httpd", LOG_ERROR_LEVEL);
	snprintf(directory, sizeof directory, "/tmp/httpd-test.XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/catalogd.sock", directory);
	loop = ev_loop_new(0);
	catalog_ipc = ipc_new(loop, "catalogd");
	fd = net_listen_unix(path, 0600);
	assert_int_not_equal(fd, -1);
	listener = ipc_listen(catalog_ipc, fd, &SERVICE);
	front_ipc = ipc_new(loop, "httpd");
	catalog = ipc_peer_new(front_ipc, path, NULL);
	configure("datacenter = \"dc1\"; node_name = \"n1\";");
	conns = conns_new(loop, &HANDLER, 64u * 1024);
	buf_init(&answer, 64u << 20);
	held_count = held_ended = 0;
	return 0;
}

static int
teardown(void **unused)
{
	char path[128];

	(void)unused;
	conns_free(conns);
	ipc_free(front_ipc);
	ipc_free(catalog_ipc);
	ev_loop_destroy(loop);
	buf_free(&answer);
	conf_free(conf);
	conf = NULL;
	snprintf(path, sizeof path, "%s/httpd.conf", directory);
	unlink(path);
	snprintf(path, sizeof path, "%s/catalogd.sock", directory);
	unlink(path);
	rmdir(directory);
	return 0;
}

/* A connected pair; one end goes to the front. */
static int
dial_from(const char *address)
{
	union net_addr peer;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(net_addr_parse(address, 1234, &peer), 0);
	conns_add(conns, fds[1], &peer);
	return fds[0];
}

static int
dial(void)
{
	return dial_from("127.0.0.1");
}

/* Reads what is there; false: the front has closed. */
static bool
drain(int fd)
{
	for (;;) {
		uint8_t *to = buf_space(&answer, 65536);
		ssize_t n = recv(fd, to, 65536, 0);

		if (n == 0)
			return false;
		if (n == -1)
			return errno == EAGAIN;
		buf_commit(&answer, (size_t)n);
	}
}

static size_t
count_of(const char *text)
{
	size_t count = 0;
	const uint8_t *at = answer.data, *end = answer.data + answer.used;

	while (at != NULL && (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
		count++;
		at += strlen(text);
	}
	return count;
}

/* Runs the loop until text has come n times, or the front closes, or it is clear that it will not. */
static bool
expect_n(int fd, const char *text, size_t n)
{
	for (size_t turn = 0; turn < 2000 + 20 * n; turn++) {
		bool open = drain(fd);

		/* where many are awaited, there is much to search */
		if ((n < 10 || turn % 1000 == 999) && count_of(text) >= n)
			return true;
		if (!open)
			break;
		ev_run(loop, EVRUN_NOWAIT);
	}
	buf_put_u8(&answer, 0);
	print_message("wanted %zu times: %s\ngot: %s\n", n, text, (const char *)answer.data);
	return false;
}

static bool
expect(int fd, const char *text)
{
	return expect_n(fd, text, 1);
}

static bool
expect_closed(int fd)
{
	for (int turn = 0; turn < 2000; turn++) {
		if (!drain(fd))
			return true;
		ev_run(loop, EVRUN_NOWAIT);
	}
	return false;
}

static void
put(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n == -1) {
			assert_int_equal(errno, EAGAIN);
			ev_run(loop, EVRUN_NOWAIT);
			drain(fd);
			continue;
		}
		data += n;
		size -= (size_t)n;
	}
}

static void
put_str(int fd, const char *text)
{
	buf_clear(&answer);
	put(fd, text, strlen(text));
}

static void
turns(int n)
{
	while (n-- > 0)
		ev_run(loop, EVRUN_NOWAIT);
}

/* One request on a connection of its own; what is wanted must stand in the answer. */
static void
exchange(const char *request, const char *const *wanted)
{
	int fd = dial();

	put_str(fd, request);
	for (; *wanted != NULL; wanted++)
		assert_true(expect(fd, *wanted));
	close(fd);
	turns(3);
}
#define EXCHANGE(request, ...) exchange(request, (const char *const[]){__VA_ARGS__, NULL})

/* ---- tests ---- */

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
test_keep_alive(void **unused)
{
	int fd = dial();

	(void)unused;
	for (int i = 0; i < 3; i++) {
		put_str(fd, "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(expect(fd, "ModifyIndex\":8}]"));
		assert_int_equal(count_of("Connection:"), 0);
	}
	put_str(fd, "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_true(expect(fd, "Connection: close\r\n"));
	shutdown(fd, SHUT_WR);
	assert_true(expect_closed(fd));
	close(fd);
	fd = dial();
	put_str(fd, "GET /v1/kv/k HTTP/1.0\r\n\r\n");
	assert_true(expect(fd, "Connection: close\r\n"));
	close(fd);
	fd = dial();
	put_str(fd, "GET /v1/kv/k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_true(expect(fd, "Connection: keep-alive\r\n"));
	close(fd);
	turns(3);
	assert_int_equal(conns_open(conns), 0);
}

/* Answers come in the order of the requests, those of other routes among them, and nothing is lost to a half-closed client. */
static void
test_pipelining(void **unused)
{
	int fd = dial();
	const uint8_t *first, *second, *third;

	(void)unused;
	put_str(fd, "GET /v1/kv/k?raw HTTP/1.1\r\nHost: x\r\n\r\n\r\nPUT /v1/kv/p HTTP/1.1\r\nHost: "
		    "x\r\nContent-Length: 3\r\n\r\nabcGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
		    "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	shutdown(fd, SHUT_WR);
	assert_true(expect(fd, "8300\""));
	first = memmem(answer.data, answer.used, "value", 5);
	second = memmem(answer.data, answer.used, "true", 4);
	third = memmem(answer.data, answer.used, "Invalid URL path", 16);
	assert_non_null(first);
	second = memmem(first, answer.used - (size_t)(first - answer.data), "\r\n\r\ntrue", 8);
	assert_non_null(second);
	assert_true(second > first && third > second);
	assert_int_equal(count_of("HTTP/1.1 "), 4);
	assert_true(expect_closed(fd));
	close(fd);
}

/* Every cut of a request between two packets gives the same answer. */
static void
test_every_cut(void **unused)
{
	static const char *const REQUESTS[] = {
	    "PUT /v1/kv/cut HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
	    "PUT /v1/kv/cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
	    ("PUT /v1/kv/cut HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: "
	     "x\r\n\r\n"),
	};

	(void)unused;
	for (size_t i = 0; i < COUNTOF(REQUESTS); i++) {
		size_t size = strlen(REQUESTS[i]);

		for (size_t cut = 1; cut < size; cut++) {
			int fd = dial();

			last_value_size = 0;
			buf_clear(&answer);
			put(fd, REQUESTS[i], cut);
			turns(2);
			assert_int_equal(last_value_size, 0);
			put(fd, REQUESTS[i] + cut, size - cut);
			if (!expect(fd, "\r\n\r\ntrue"))
				fail_msg("request %zu, cut at %zu", i, cut);
			assert_int_equal(last_value_size, 5);
			/* the connection stands behind the message */
			put_str(fd, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
			assert_true(expect(fd, "8300\""));
			close(fd);
			turns(3);
		}
	}
	assert_int_equal(conns_open(conns), 0);
}

static void
test_sizes(void **unused)
{
	static char value[524289];
	char head[128];
	int fd;

	(void)unused;
	memset(value, 'v', sizeof value);
	fd = dial();
	snprintf(
	    head, sizeof head, "PUT /v1/kv/max HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", sizeof value - 1);
	put_str(fd, head);
	put(fd, value, sizeof value - 1);
	assert_true(expect(fd, "\r\n\r\ntrue"));
	assert_int_equal(last_value_size, 524288);
	close(fd);
	fd = dial();
	snprintf(head, sizeof head, "PUT /v1/kv/over HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", sizeof value);
	put_str(fd, head);
	put(fd, value, sizeof value);
	assert_true(expect(fd, "Request body(524289 bytes) too large, max size: 524288 bytes. See "
			       "https://developer.hashicorp.com/docs/agent/config/config-files#kv_max_value_size."));
	assert_true(expect(fd, "HTTP/1.1 413 "));
	close(fd);
	/* chunked bodies are counted, too */
	fd = dial();
	put_str(fd, "PUT /v1/kv/chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n80001\r\n");
	put(fd, value, sizeof value);
	assert_true(expect(fd, "Request body(524289 bytes) too large"));
	close(fd);
	/* other endpoints have a limit as well */
	fd = dial();
	put_str(fd, "PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
	assert_true(expect(fd, "HTTP/1.1 413 "));
	close(fd);
	turns(5);
}

static void
test_large_heads(void **unused)
{
	static char value[70000];
	int fd = dial();

	(void)unused;
	memset(value, 'y', sizeof value);
	put_str(fd, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nX-Long: ");
	put(fd, value, 50000);
	put(fd, "\r\n\r\n", 4);
	assert_true(expect(fd, "8300\""));
	put_str(fd, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nX-Long: ");
	put(fd, value, sizeof value);
	assert_true(expect(fd, "HTTP/1.1 431 Request Header Fields Too Large\r\n"));
	assert_true(expect(fd, "Connection: close\r\n"));
	/* read on for a while, or a reset would eat the answer */
	put(fd, value, 1000);
	close(fd);
	turns(3);
}

static void
test_malformed(void **unused)
{
	(void)unused;
	EXCHANGE("GARBAGE\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "Connection: close\r\n", "\r\n\r\n400 Bad Request");
	EXCHANGE("GET /v1/status/leader HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header");
	EXCHANGE("GET /v1/status/leader HTTP/9.9\r\nHost: x\r\n\r\n", "HTTP/1.1 505 ",
	    "505 HTTP Version Not Supported: unsupported protocol version");
	EXCHANGE("GET /v1/kv/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("GET v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("GET http://h/v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n", "8300\"");
	EXCHANGE("GET /v1/status/leader HTTP/1.1\nHost: x\n\n", "8300\"");
	EXCHANGE("GET / HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("GET / HTTP/1.1\r\nHost: x\r\nbad name: 1\r\n\r\n", "400 Bad Request: invalid header name");
	EXCHANGE("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 Bad Request: malformed Host header");
	EXCHANGE("GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n folded\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE(
	    "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "HTTP/1.1 400 ");
	EXCHANGE(
	    "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabcd", "HTTP/1.1 400 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    "HTTP/1.1 400 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 ",
	    "Unsupported transfer encoding");
	EXCHANGE(
	    "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 501 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 ");
	EXCHANGE("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "Content-Length: 0\r\n");
	EXCHANGE("GET * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ");
	EXCHANGE("PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nExpect: something\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 417 ");
	assert_int_equal(conns_open(conns), 0);
}

static void
test_expect_continue(void **unused)
{
	int fd = dial();

	(void)unused;
	put_str(fd, "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	assert_true(expect(fd, "HTTP/1.1 100 Continue\r\n\r\n"));
	put_str(fd, "abc");
	assert_true(expect(fd, "\r\n\r\ntrue"));
	assert_int_equal(last_value_size, 3);
	close(fd);
	turns(3);
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
test_gzip(void **unused)
{
	static uint8_t plain[65536];
	const uint8_t *body;
	z_stream z = {.zalloc = NULL};
	int fd = dial();

	(void)unused;
	put_str(fd, "GET /v1/kv/k?raw HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
	assert_true(expect(fd, "value")); /* too small to be worth it */
	put_str(fd, "GET /v1/kv/big?raw HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\n\r\n");
	assert_true(expect(fd, "Content-Length: 8192\r\n"));
	put_str(fd, "GET /v1/kv/big?raw HTTP/1.1\r\nHost: x\r\nAccept-Encoding: deflate, gzip\r\n\r\n");
	assert_true(expect(fd, "Content-Encoding: gzip\r\n"));
	assert_true(expect(fd, "\r\n\r\n"));
	body = memmem(answer.data, answer.used, "\r\n\r\n", 4);
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)(body + 4);
	z.avail_in = (unsigned)(answer.used - (size_t)(body + 4 - answer.data));
	z.next_out = plain;
	z.avail_out = sizeof plain;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, 8192);
	inflateEnd(&z);
	close(fd);
	turns(3);
}

#define WATCH "GET /v1/kv/k?index=8&wait=1m HTTP/1.1\r\nHost: x\r\n\r\n"

/* One answer for all who wait, in the form each of them asked for. */
static void
test_parked(void **unused)
{
	static const char *const REQUESTS[] = {
	    WATCH,
	    "GET /v1/kv/k?index=8&pretty HTTP/1.1\r\nHost: x\r\n\r\n",
	    "GET /v1/kv/k?index=8&raw HTTP/1.1\r\nHost: x\r\n\r\n",
	    "GET /v1/kv/k?index=8 HTTP/1.0\r\n\r\n",
	    WATCH "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n",
	    WATCH,
	};
	static const char *const WANTED[] = {"[{\"LockIndex\":0", "[\n    {\n        \"LockIndex\": 0",
	    "\r\n\r\nnew value", "Connection: close", "127.0.0.1:8300", "[{\"LockIndex\":0"};
	int fds[COUNTOF(REQUESTS)];
	struct buf b = BUF_INIT(1u << 20);

	(void)unused;
	for (size_t i = 0; i < COUNTOF(REQUESTS); i++) {
		fds[i] = dial();
		put_str(fds[i], REQUESTS[i]);
	}
	turns(10);
	assert_int_equal(held_count, COUNTOF(REQUESTS));
	put_entries(&b, "k", bytes_str("new value"), 11);
	ipc_reply_many(held, held_count, buf_bytes(&b));
	held_count = 0;
	for (size_t i = 0; i < COUNTOF(REQUESTS); i++) {
		buf_clear(&answer);
		assert_true(expect(fds[i], WANTED[i]));
		assert_int_equal(count_of("X-Consul-Index: 11\r\n"), 1);
	}
	/* and once more: nothing of the last answer is taken for the next */
	put_str(fds[0], WATCH);
	put_str(fds[5], WATCH);
	turns(10);
	assert_int_equal(held_count, 2);
	buf_clear(&b);
	put_entries(&b, "k", bytes_str("old value"), 12);
	ipc_reply_many(held, held_count, buf_bytes(&b));
	held_count = 0;
	buf_clear(&answer);
	assert_true(expect(fds[0], "b2xkIHZhbHVl"));
	buf_clear(&answer);
	assert_true(expect(fds[5], "X-Consul-Index: 12\r\n"));
	for (size_t i = 0; i < COUNTOF(REQUESTS); i++)
		close(fds[i]);
	turns(5);
	assert_int_equal(conns_open(conns), 0);
	buf_free(&b);
}

/* A client that goes away ends its wait at the neighbour, too. */
static void
test_client_gone(void **unused)
{
	int fd = dial();

	(void)unused;
	put_str(fd, WATCH);
	turns(10);
	assert_int_equal(held_count, 1);
	close(fd);
	turns(10);
	assert_int_equal(held_count, 0);
	assert_int_equal(held_ended, 1);
	assert_int_equal(conns_open(conns), 0);
}

/* A client that sends without reading is not read without end. */
static void
test_reads_ahead_within_bounds(void **unused)
{
	static const char REQUEST[] = "GET /v1/kv/big?raw HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = dial();
	size_t sent = 0, stuck = 0, answers;

	(void)unused;
	buf_clear(&answer);
	while (stuck < 50 && sent < 200u * 1024 * 1024) {
		ssize_t n = send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL);

		if (n == -1) {
			assert_int_equal(errno, EAGAIN);
			stuck++;
		} else {
			assert_int_equal(n, sizeof REQUEST - 1);
			sent++;
		}
		ev_run(loop, EVRUN_NOWAIT);
	}
	assert_int_equal(stuck, 50);
	answers = sent;
	assert_true(expect_n(fd, "HTTP/1.1 200 OK", answers));
	close(fd);
	turns(5);
}

/* Time ends what makes no progress, and nothing else. */
static void
test_deadlines(void **unused)
{
	int idle = dial(), head = dial(), body = dial(), parked = dial(), stalled = dial(), lingering = dial();
	double later = ev_now(loop) + CONN_STALL_S + 1;

	(void)unused;
	put_str(idle, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(idle, "8300\""));
	put_str(head, "GET /v1/status/leader HTTP/1.1\r\n");
	put_str(body, "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
	put_str(parked, WATCH);
	for (int i = 0; i < 200; i++)
		put(stalled, "GET /v1/kv/big?raw HTTP/1.1\r\nHost: x\r\n\r\n", 40);
	put_str(lingering, "GARBAGE\r\n\r\n");
	assert_true(expect(lingering, "HTTP/1.1 400 "));
	turns(500);
	assert_int_equal(conns_open(conns), 6);
	conns_expire(conns, ev_now(loop) + CONN_LINGER_S + 1);
	assert_int_equal(conns_open(conns), 5);
	conns_expire(conns, later + 10);
	assert_int_equal(conns_open(conns), 2);
	assert_true(expect_closed(head));
	assert_true(expect_closed(body));
	put_str(idle, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(idle, "8300\""));
	assert_int_equal(held_count, 1);
	close(idle);
	close(head);
	close(body);
	close(parked);
	close(stalled);
	close(lingering);
	turns(5);
	assert_int_equal(conns_open(conns), 0);
}

static void
test_connections_per_client(void **unused)
{
	int a, b, c, d;

	(void)unused;
	conns_set_per_client(conns, 2);
	a = dial();
	b = dial();
	c = dial();
	buf_clear(&answer);
	assert_true(expect(c, "HTTP/1.1 429 Too Many Requests\r\n"));
	assert_true(expect(c, "Your IP is issuing too many concurrent connections, please rate limit your calls\n"));
	close(c);
	turns(5);
	d = dial_from("10.0.0.1");
	put_str(d, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(d, "8300\""));
	close(b);
	turns(5);
	b = dial();
	put_str(b, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(b, "8300\""));
	close(a);
	close(b);
	close(d);
	turns(5);
	assert_int_equal(conns_open(conns), 0);
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
	    cmocka_unit_test_setup_teardown(test_keep_alive, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pipelining, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_every_cut, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_large_heads, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_expect_continue, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_routing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_parameters, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_gzip, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_parked, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_client_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reads_ahead_within_bounds, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_deadlines, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_connections_per_client, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_log_lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_session_bodies, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_service_summaries, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_configured_limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

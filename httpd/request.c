/*
 * request.c - one request on its way to its handler (contract: request.h; caller: conn.c)
 *
 * The order of the checks is the reference's (http-api.md 1.3 and 2.1): clients see the first one that fails.
 */
#include "request.h"

#include <stdio.h>
#include <stdlib.h>

#include "assets.h"
#include "copies.h"
#include "duration.h"
#include "json.h"
#include "later.h"
#include "log.h"
#include "reply.h"
#include "trace.h"
#include "version.h"

#define MODULE "agent.http"
#define CIDRS_MAX 64

struct request_config config;

static struct {
	struct region *region;
	char **blocked;
	size_t blocked_count;
	struct {
		uint8_t address[16];
		unsigned bits;
	} writers[CIDRS_MAX]; /* http_config.allow_write_http_from */
	size_t writers_count;
	struct log_limit get_body_log;
} state;

static void
address_bytes(const union net_addr *a, uint8_t out[16])
{
	memset(out, 0, 16);
	if (a->sa.sa_family == AF_INET) {
		out[10] = out[11] = 0xff;
		memcpy(out + 12, &a->in.sin_addr, 4);
	} else
		memcpy(out, &a->in6.sin6_addr, 16);
}

static void
add_writer(const char *cidr)
{
	char host[NET_ADDR_TEXT_MAX];
	const char *slash = strchr(cidr, '/');
	union net_addr a;
	unsigned long bits;

	if (slash == NULL || state.writers_count == CIDRS_MAX ||
	    bytes_to_str(bytes_of(cidr, (size_t)(slash - cidr)), host, sizeof host) == -1 ||
	    net_addr_parse(host, 0, &a) == -1) {
		log_warnx(
		    MODULE, "http_config.allow_write_http_from: not a network, left out: value=%s", log_quote(cidr));
		return;
	}
	bits = strtoul(slash + 1, NULL, 10) + (a.sa.sa_family == AF_INET ? 96 : 0);
	address_bytes(&a, state.writers[state.writers_count].address);
	state.writers[state.writers_count++].bits = (unsigned)MIN(bits, 128ul);
}

void
request_configure(struct daemon *d)
{
	const struct conf *c = daemon_conf(d);

	config = (struct request_config){
	    .daemon = d,
	    .datacenter = conf_str(c, "datacenter", "dc1"),
	    .node_name = conf_str(c, "node_name", ""),
	    .version = conf_str(c, "consuld.version", CONSULD_COMPAT_VERSION),
	    .build_date = conf_str(c, "consuld.build_date", "2025-08-13T17:24:49Z"),
	    .content_path = conf_str(c, "ui_config.content_path", "/ui/"),
	    .ui = conf_bool(c, "ui_config.enabled", false),
	    .acl = conf_bool(c, "acl.enabled", false),
	    .use_cache = conf_bool(c, "http_config.use_cache", true),
	    .printable_filter = !conf_bool(c, "disable_http_unprintable_char_filter", false),
	    .kv_value_max = conf_int(c, "limits.kv_max_value_size", 524288),
	    .txn_bytes_max = conf_int(c, "limits.txn_max_req_len", 524288),
	    .default_query_ns = conf_duration(c, "default_query_time", 300 * NS_PER_S),
	    .max_query_ns = conf_duration(c, "max_query_time", 600 * NS_PER_S),
	    .rpc_hold_ns = conf_duration(c, "performance.rpc_hold_timeout", 7 * NS_PER_S),
	    .discovery_max_stale_ns = conf_duration(c, "discovery_max_stale", 0),
	};
	config.kv_value_max = MIN(config.kv_value_max, (int64_t)CONN_BODY_BYTES_MAX);
	config.txn_bytes_max = MIN(MAX(config.txn_bytes_max, config.kv_value_max), (int64_t)CONN_BODY_BYTES_MAX);
	if (state.region == NULL) {
		state.region = region_new();
		route_init();
	}
	for (size_t i = 0; i < state.blocked_count; i++)
		free(state.blocked[i]);
	free(state.blocked);
	state.blocked_count = conf_list_count(c, "http_config.block_endpoints");
	state.blocked = xcalloc(state.blocked_count + 1, sizeof *state.blocked);
	for (size_t i = 0; i < state.blocked_count; i++)
		state.blocked[i] = xstrdup(conf_list_str(c, "http_config.block_endpoints", i));
	state.writers_count = 0;
	for (size_t i = 0; i < conf_list_count(c, "http_config.allow_write_http_from"); i++)
		add_writer(conf_list_str(c, "http_config.allow_write_http_from", i));
	reply_configure(daemon_loop(d), c);
	copies_forget();
}

size_t
request_body_max(const struct http1_head *head)
{
	static const char KV[] = "/v1/kv/", TXN[] = "/v1/txn";

	/* The common case without a search of the table; the escaped spellings of these paths get the general limit, which is larger. */
	if (head->path.size >= sizeof KV - 1 && memcmp(head->path.data, KV, sizeof KV - 1) == 0)
		return (size_t)config.kv_value_max;
	if (bytes_is(head->path, TXN))
		return (size_t)config.txn_bytes_max;
	return REQUEST_BODY_BYTES_MAX;
}

struct bytes
request_value(const struct request *r, const char *key)
{
	return params_value(&r->params, key);
}

bool
request_has(const struct request *r, const char *key)
{
	return params_has(&r->params, key);
}

int
request_parse_bool(struct bytes text, bool *out)
{
	static const char *const TRUE_WORDS[] = {"1", "t", "T", "TRUE", "true", "True"}, *const FALSE_WORDS[] = {"0",
											     "f", "F", "FALSE", "false",
											     "False"};

	for (size_t i = 0; i < COUNTOF(TRUE_WORDS); i++) {
		if (bytes_is(text, TRUE_WORDS[i]) || bytes_is(text, FALSE_WORDS[i])) {
			*out = bytes_is(text, TRUE_WORDS[i]);
			return 0;
		}
	}
	return -1;
}

int
request_parse_uint(struct bytes text, uint64_t *out, char why[REQUEST_UINT_ERROR_MAX])
{
	bool digits = text.size > 0;

	for (size_t i = 0; i < text.size; i++)
		digits = digits && text.data[i] >= '0' && text.data[i] <= '9';
	if (digits && bytes_to_u64(text, out) == 0)
		return 0;
	snprintf(why, REQUEST_UINT_ERROR_MAX, "strconv.ParseUint: parsing \"%.*s\": %s",
	    (int)MIN(text.size, (size_t)1024), text.size == 0 ? "" : (const char *)text.data,
	    digits ? "value out of range" : "invalid syntax");
	return -1;
}

bool
request_uint(struct request *r, const char *key, uint64_t *out)
{
	char why[REQUEST_UINT_ERROR_MAX];

	if (request_parse_uint(request_value(r, key), out, why) == 0)
		return true;
	reply_error(r->x, 500, "%s", why);
	return false;
}

bool
request_decode(struct request *r, const struct schema *s, struct buf *out)
{
	struct json_error error;

	if (r->too_large) {
		reply_error(r->x, 413, "Request body(%llu bytes) too large, max size: %u bytes.",
		    (unsigned long long)r->body_size, REQUEST_BODY_BYTES_MAX);
		return false;
	}
	if (schema_from_json(s, r->body, out, &error) == 0)
		return true;
	reply_error(r->x, 400, "Request decode failed: %s", error.text);
	return false;
}

struct bytes
request_node_meta(struct request *r)
{
	struct buf b = BUF_INIT(1u << 20);
	struct bytes value, out;
	size_t at = 0, place;
	uint32_t count = 0;

	if (!request_has(r, "node-meta"))
		return bytes_of(NULL, 0);
	place = mp_open_map(&b);
	while (params_next(&r->params, "node-meta", &at, &value)) {
		const uint8_t *colon = value.size == 0 ? NULL : memchr(value.data, ':', value.size);
		struct bytes key = colon == NULL ? value : bytes_of(value.data, (size_t)(colon - value.data)), later;
		bool again = false;

		/* Of a repeated key the last one counts. */
		for (size_t next = at; params_next(&r->params, "node-meta", &next, &later);)
			again |= later.size >= key.size && memcmp(later.data, key.data, key.size) == 0 &&
				 (later.size == key.size || later.data[key.size] == ':');
		if (again)
			continue;
		mp_put_bytes(&b, key);
		mp_put_bytes(&b, colon == NULL ? bytes_of(NULL, 0) : bytes_of(colon + 1, value.size - key.size - 1));
		count++;
	}
	mp_close(&b, place, count);
	out = region_copy(r->region, buf_bytes(&b));
	buf_free(&b);
	return out;
}

struct bytes
request_tags(struct request *r)
{
	struct buf b = BUF_INIT(1u << 20);
	struct bytes value, out;
	size_t at = 0, place;
	uint32_t count = 0;

	if (!request_has(r, "tag"))
		return bytes_of(NULL, 0);
	place = mp_open_array(&b);
	for (; params_next(&r->params, "tag", &at, &value); count++)
		mp_put_bytes(&b, value);
	mp_close(&b, place, count);
	out = region_copy(r->region, buf_bytes(&b));
	buf_free(&b);
	return out;
}

struct bytes
request_source(struct request *r)
{
	struct bytes near = request_value(r, "near");
	struct query_source source = {.datacenter = bytes_str(config.datacenter), .node = near};
	struct buf b = BUF_INIT(64u * 1024);
	struct bytes out;

	if (near.size == 0)
		return bytes_of(NULL, 0);
	if (bytes_is(near, "_agent"))
		source.node = bytes_str(config.node_name);
	schema_encode(&query_source_schema, &source, &b);
	out = region_copy(r->region, buf_bytes(&b));
	buf_free(&b);
	return out;
}

bool
request_refuses_enterprise(struct request *r, bool partition_only)
{
	static const struct {
		const char *key, *header, *what;
		enum http1_field field;
	} ENTERPRISE[] = {
	    {"ns", "X-Consul-Namespace", "Namespaces", HTTP1_X_CONSUL_NAMESPACE},
	    {"partition", "X-Consul-Partition", "Partitions", HTTP1_X_CONSUL_PARTITION},
	};

	for (size_t i = partition_only ? 1 : 0; i < COUNTOF(ENTERPRISE); i++) {
		if (request_value(r, ENTERPRISE[i].key).size > 0) {
			reply_error(r->x, 400, "Invalid query parameter: \"%s\" - %s are a Consul Enterprise feature",
			    ENTERPRISE[i].key, ENTERPRISE[i].what);
			return true;
		}
		if (r->head->field[ENTERPRISE[i].field].size > 0) {
			reply_error(r->x, 400, "Invalid header: \"%s\" - %s are a Consul Enterprise feature",
			    ENTERPRISE[i].header, ENTERPRISE[i].what);
			return true;
		}
	}
	return false;
}

/* One Cache-Control directive. false: a bad integer. */
static bool
cache_directive(struct query *q, struct bytes item)
{
	static const char AGE[] = "max-age=", STALE[] = "stale-if-error=";
	uint64_t seconds;

	while (item.size > 0 && (item.data[0] == ' ' || item.data[0] == '\t'))
		item = bytes_of(item.data + 1, item.size - 1);
	while (item.size > 0 && (item.data[item.size - 1] == ' ' || item.data[item.size - 1] == '\t'))
		item.size--;
	if (bytes_equal_fold(item, bytes_str("must-revalidate")))
		q->must_revalidate = true;
	else if (item.size >= sizeof AGE - 1 && strncasecmp((const char *)item.data, AGE, sizeof AGE - 1) == 0) {
		if (bytes_to_u64(bytes_of(item.data + sizeof AGE - 1, item.size - sizeof AGE + 1), &seconds) == -1 ||
		    seconds > INT32_MAX)
			return false;
		q->max_age_s = (int64_t)seconds;
		q->must_revalidate |= seconds == 0;
	} else if (item.size >= sizeof STALE - 1 && strncasecmp((const char *)item.data, STALE, sizeof STALE - 1) == 0)
		return bytes_to_u64(bytes_of(item.data + sizeof STALE - 1, item.size - sizeof STALE + 1), &seconds) ==
		       0;
	return true;
}

static bool
cache_control(struct query *q, struct bytes value)
{
	const uint8_t *at = value.data, *end = value.data + value.size;

	while (at < end) {
		const uint8_t *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma == NULL ? end : comma;

		if (!cache_directive(q, bytes_of(at, (size_t)(stop - at))))
			return false;
		at = comma == NULL ? end : comma + 1;
	}
	return true;
}

/* The options of reads, in the reference's order. false: refused. */
static bool
parse_options(struct request *r)
{
	struct query *q = &r->query;
	struct bytes max_stale = request_value(r, "max_stale"), wait = request_value(r, "wait"),
		     index = request_value(r, "index");

	q->stale = request_has(r, "stale");
	q->consistent = request_has(r, "consistent");
	q->leader = request_has(r, "leader");
	q->cached = config.use_cache && request_has(r, "cached");
	if (max_stale.size > 0 && duration_parse(max_stale, &q->max_stale_ns) != DURATION_OK) {
		reply_error(r->x, 400, "Invalid max_stale value \"%.*s\"", (int)MIN(max_stale.size, (size_t)1024),
		    (const char *)max_stale.data);
		return false;
	}
	if (config.discovery_max_stale_ns > 0 && (r->route->flags & ROUTE_CONSISTENCY) != 0 && !q->stale &&
	    !q->consistent && !q->leader && !q->cached && max_stale.size == 0)
		q->max_stale_ns = config.discovery_max_stale_ns;
	if (q->stale && q->consistent) {
		reply_error(r->x, 400, "Cannot specify ?stale with ?consistent, conflicting semantics.");
		return false;
	}
	if (q->cached && q->consistent) {
		reply_error(r->x, 400, "Cannot specify ?cached with ?consistent, conflicting semantics.");
		return false;
	}
	if (!cache_control(q, r->head->field[HTTP1_CACHE_CONTROL])) {
		reply_error(r->x, 400, "Invalid Cache-Control header.");
		return false;
	}
	if (wait.size > 0 && duration_parse(wait, &q->wait_ns) != DURATION_OK) {
		reply_error(r->x, 400, "Invalid wait time");
		return false;
	}
	if (index.size > 0 && bytes_to_u64(index, &q->index) == -1) {
		reply_error(r->x, 400, "Invalid index");
		return false;
	}
	r->x->flags |= (q->stale || q->max_stale_ns > 0 ? REPLY_STALE : 0) | (q->consistent ? REPLY_CONSISTENT : 0);
	if (r->method == HTTP1_GET && q->index == 0 && !q->consistent && !q->cached && !r->head->chunked &&
	    r->head->length == 0 && (r->x->flags & REPLY_KEEP) != 0)
		q->versions = copies_want(r->x, r->head->raw);
	return true;
}

/* ?token, X-Consul-Token, Authorization: Bearer. */
static struct bytes
find_token(const struct request *r)
{
	static const char BEARER[] = "bearer";
	struct bytes token = request_value(r, "token"), value = r->head->field[HTTP1_AUTHORIZATION];
	size_t at, end;

	if (token.size > 0)
		return token;
	if (r->head->field[HTTP1_X_CONSUL_TOKEN].size > 0)
		return r->head->field[HTTP1_X_CONSUL_TOKEN];
	if (value.size <= sizeof BEARER || strncasecmp((const char *)value.data, BEARER, sizeof BEARER - 1) != 0 ||
	    value.data[sizeof BEARER - 1] != ' ')
		return bytes_of(NULL, 0);
	for (at = sizeof BEARER - 1; at < value.size && value.data[at] == ' '; at++)
		;
	for (end = at; end < value.size && value.data[end] != ' '; end++)
		;
	return bytes_of(value.data + at, end - at);
}

static bool
is_blocked(struct bytes path)
{
	for (size_t i = 0; i < state.blocked_count; i++)
		if (bytes_has_prefix(path, bytes_str(state.blocked[i])))
			return true;
	return false;
}

static bool
may_write(const struct exchange *x)
{
	union net_addr peer = conn_peer(x);
	uint8_t address[16];

	if (state.writers_count == 0 || peer.sa.sa_family == AF_UNIX || peer.sa.sa_family == AF_UNSPEC)
		return true;
	address_bytes(&peer, address);
	for (size_t i = 0; i < state.writers_count; i++) {
		unsigned whole = state.writers[i].bits / 8, rest = state.writers[i].bits % 8;

		if (memcmp(address, state.writers[i].address, whole) != 0)
			continue;
		if (rest == 0 || (address[whole] ^ state.writers[i].address[whole]) >> (8 - rest) == 0)
			return true;
	}
	return false;
}

static void
redirect(struct exchange *x, const struct http1_head *head, struct bytes location)
{
	struct buf *b = reply_body();
	bool html = head->method == HTTP1_GET || head->method == HTTP1_HEAD;

	x->flags &= ~REPLY_API;
	reply_header("Location", "%.*s%s%.*s", (int)location.size, (const char *)location.data,
	    head->has_query ? "?" : "", (int)head->query.size, (const char *)head->query.data);
	if (!html) {
		reply_send(x, 301, NULL, bytes_of(NULL, 0));
		return;
	}
	buf_put_str(b, "<a href=\"");
	for (int part = 0; part < 2; part++) {
		struct bytes text = part == 0 ? location : head->query;

		if (part == 1 && head->has_query)
			buf_put_u8(b, '?');
		for (size_t i = 0; i < text.size; i++)
			switch (text.data[i]) {
			case '&':
				buf_put_str(b, "&amp;");
				break;
			case '<':
				buf_put_str(b, "&lt;");
				break;
			case '>':
				buf_put_str(b, "&gt;");
				break;
			case '"':
				buf_put_str(b, "&#34;");
				break;
			case '\'':
				buf_put_str(b, "&#39;");
				break;
			default:
				buf_put_u8(b, text.data[i]);
			}
	}
	buf_put_str(b, "\">Moved Permanently</a>.\n\n");
	reply_send(x, 301, "text/html; charset=utf-8", buf_bytes(b));
}

static void
not_found(struct exchange *x, struct bytes path)
{
	x->flags &= ~REPLY_API;
	if (memmem(path.data, path.size, "/v1/", 4) != NULL)
		reply_error(x, 404, "Invalid URL path: not a recognized HTTP API endpoint\n");
	else
		reply_error(x, 404,
		    "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n");
}

static void
put_allow(const struct route *route)
{
	reply_header("Allow", "OPTIONS,%s", route->allow);
}

/* Steps 2 to 8 of http-api.md 1.3. */
static void
handle(struct request *r, struct bytes path)
{
	struct exchange *x = r->x;
	const struct http1_head *head = r->head;
	unsigned suppressed;

	if (params_parse(head->query, r->region, &r->params) == -1) {
		reply_send(x, 500, REPLY_TEXT, bytes_of(NULL, 0));
		return;
	}
	if (request_has(r, "pretty"))
		x->flags |= REPLY_PRETTY;
	if (is_blocked(path)) {
		reply_error(x, 403, "Endpoint is blocked by agent configuration");
		return;
	}
	if (head->method == HTTP1_OPTIONS) {
		put_allow(r->route);
		reply_send(x, 200, REPLY_JSON, bytes_str((r->route->flags & ROUTE_OWN_OPTIONS) != 0 ? "{}" : ""));
		return;
	}
	if ((r->route->methods & 1u << head->method) == 0) {
		put_allow(r->route);
		reply_error(x, 405, "method %.*s not allowed", (int)MIN(head->method_text.size, (size_t)256),
		    (const char *)head->method_text.data);
		return;
	}
	if (head->method != HTTP1_GET && !may_write(x)) {
		reply_error(x, 403, "Access is restricted");
		return;
	}
	if (head->method == HTTP1_GET && r->body.size > 0 && log_allowed(&state.get_body_log, 10, &suppressed))
		log_warnx(MODULE,
		    "GET request has a non-empty body that will be ignored; check for mistakes in the client: url=%s "
		    "suppressed=%u",
		    log_quote_bytes(path), suppressed);
	if ((r->route->flags & ROUTE_LATER) != 0) {
		later_answer(r);
		return;
	}
	r->token = find_token(r);
	r->dc = request_value(r, "datacenter");
	if (r->dc.size == 0)
		r->dc = request_value(r, "dc");
	if ((r->route->flags & (ROUTE_NS_FIRST | ROUTE_PARTITION)) != 0 &&
	    request_refuses_enterprise(r, (r->route->flags & ROUTE_PARTITION) != 0))
		return;
	if ((r->route->flags & ROUTE_OPTIONS) != 0 && !parse_options(r))
		return;
	if ((r->route->flags & ROUTE_NS_AFTER) != 0 && request_refuses_enterprise(r, false))
		return;
	r->route->handler(r);
}

struct bytes
request_known(struct bytes in, size_t *used)
{
	return copies_find(in, reply_date(), used);
}

void
request_ended(struct exchange *x)
{
	copies_ended(x);
	trace_end(x);
}

void
request_dispatch(struct exchange *x, const struct incoming *in)
{
	const struct http1_head *head = in->head;
	struct request r = {
	    .x = x,
	    .head = head,
	    .method = head->method,
	    .body = in->body,
	    .too_large = in->too_large,
	    .body_size = in->body_size,
	    .region = state.region,
	    .query = {.max_age_s = -1},
	};
	struct route_match m;

	region_reset(state.region);
	trace_begin(x, head);
	x->flags = (head->keep_alive ? REPLY_KEEP : 0) | (head->http10 ? REPLY_HTTP10 : 0) |
		   (head->method == HTTP1_HEAD ? REPLY_HEAD : 0);
	if (http1_accepts_gzip(head->field[HTTP1_ACCEPT_ENCODING]))
		x->flags |= REPLY_GZIP;
	if (bytes_is(head->path, "*")) {
		reply_send(x, head->method == HTTP1_OPTIONS ? 200 : 400, NULL, bytes_of(NULL, 0));
		return;
	}
	m = route_find(head->path, state.region);
	if (config.printable_filter && !params_printable(m.path)) {
		reply_send(x, 400, NULL, bytes_of(NULL, 0));
		return;
	}
	if (m.kind == ROUTE_REDIRECT) {
		redirect(x, head, m.location);
		return;
	}
	if (m.kind == ROUTE_UNKNOWN) {
		if (!assets_answer(x, head, m.path, &m.location))
			not_found(x, m.path);
		else if (m.location.size > 0)
			redirect(x, head, m.location);
		return;
	}
	x->flags |= REPLY_API;
	x->route = r.route = m.route;
	r.arg = m.arg;
	handle(&r, m.path);
}

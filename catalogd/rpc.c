/*
 * rpc.c - requests and responses between nodes (contract: rpc.h; callers: rpcserver.c, rpcpool.c)
 */
#include "rpc.h"

#include <stdio.h>
#include <string.h>

#define ELEMENTS_MAX (1u << 20) /* of one array or map */

void
rpc_scan_init(struct rpc_scan *scan)
{
	scan->at = 0;
	scan->depth = 0;
	scan->left[0] = 2; /* header and body */
}

/* What the value that begins with p means for the scan. */
struct value {
	size_t head;    /* bytes of type and length */
	size_t payload; /* bytes behind them */
	uint64_t elements;
	bool container;
};

static uint32_t
length_at(const uint8_t *p, size_t bytes)
{
	return bytes == 1 ? p[0] : bytes == 2 ? be16_at(p) : be32_at(p);
}

/* 1: *v is set. 0: the head is not whole. -1: no value that we take. */
static int
value_read(const uint8_t *p, size_t size, struct value *v)
{
	static const uint8_t fixed[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8}; /* ca to d3 */
	uint8_t type = p[0];
	size_t length_bytes = 0;

	*v = (struct value){.head = 1};
	if (type <= 0x7f || type >= 0xe0 || type == 0xc0 || type == 0xc2 || type == 0xc3)
		return 1;
	if (type <= 0x9f) {
		v->container = true;
		v->elements = (type & 0x0f) * (type <= 0x8f ? 2u : 1u);
		return 1;
	}
	if (type <= 0xbf) {
		v->payload = type & 0x1f;
		return 1;
	}
	if (type >= 0xca && type <= 0xd3) {
		v->payload = fixed[type - 0xca];
		return 1;
	}
	if (type >= 0xc4 && type <= 0xc6)
		length_bytes = (size_t)1 << (type - 0xc4);
	else if (type >= 0xd9 && type <= 0xdb)
		length_bytes = (size_t)1 << (type - 0xd9);
	else if (type >= 0xdc)
		length_bytes = (type & 1) == 0 ? 2 : 4;
	else
		return -1; /* c1, extensions */
	if (size < 1 + length_bytes)
		return 0;
	v->head = 1 + length_bytes;
	if (type >= 0xdc) {
		v->container = true;
		v->elements = (uint64_t)length_at(p + 1, length_bytes) * (type >= 0xde ? 2u : 1u);
	} else
		v->payload = length_at(p + 1, length_bytes);
	return 1;
}

int
rpc_scan(struct rpc_scan *scan, struct bytes in, size_t max, size_t *size)
{
	while (scan->depth > 0 || scan->left[0] > 0) {
		struct value v;
		int got;

		if (scan->at >= in.size)
			return 0;
		got = value_read(in.data + scan->at, in.size - scan->at, &v);
		if (got != 1)
			return got;
		/* each element takes a byte at least */
		if (v.head + v.payload > max - scan->at || v.elements > max - scan->at || v.elements > 2 * ELEMENTS_MAX)
			return -1;
		scan->at += v.head + v.payload;
		scan->left[scan->depth]--;
		if (v.container && v.elements > 0) {
			if (scan->depth == RPC_DEPTH_MAX)
				return -1;
			scan->left[++scan->depth] = (uint32_t)v.elements;
		}
		while (scan->depth > 0 && scan->left[scan->depth] == 0)
			scan->depth--;
	}
	if (scan->at > in.size)
		return 0;
	*size = scan->at;
	return 1;
}

/* ---- headers ---- */

/* The pairs of both headers; what is unknown is skipped. -1: not a header. */
static int
header_read(struct bytes message, struct rpc_response *r, bool *forwarded)
{
	struct mp in = mp_of(message);
	uint64_t status = 0;

	*r = (struct rpc_response){0};
	*forwarded = false;
	if (mp_peek(&in) != MP_MAP)
		return -1;
	for (uint32_t pairs = mp_map(&in); pairs > 0 && mp_ok(&in); pairs--) {
		struct bytes name = mp_str(&in);

		if (bytes_is(name, "Seq"))
			r->seq = mp_uint(&in);
		else if (bytes_is(name, "ServiceMethod"))
			r->method = mp_str(&in);
		else if (bytes_is(name, "Error"))
			r->error = mp_str(&in);
		else if (bytes_is(name, "Forwarded"))
			*forwarded = mp_bool(&in);
		else if (bytes_is(name, "Status"))
			status = mp_uint(&in);
		else
			mp_skip(&in);
	}
	r->status = (unsigned)MIN(status, (uint64_t)999);
	r->body = mp_raw(&in);
	return mp_ok(&in) && (size_t)(r->body.data - message.data) <= RPC_HEADER_BYTES_MAX ? 0 : -1;
}

int
rpc_request_read(struct bytes message, struct rpc_request *out)
{
	struct rpc_response r;
	bool forwarded;

	if (header_read(message, &r, &forwarded) == -1 || r.method.size > RPC_METHOD_MAX)
		return -1;
	*out = (struct rpc_request){.seq = r.seq, .method = r.method, .forwarded = forwarded, .body = r.body};
	return 0;
}

int
rpc_response_read(struct bytes message, struct rpc_response *out)
{
	bool forwarded;

	return header_read(message, out, &forwarded);
}

static void
body_put(struct buf *out, struct bytes body)
{
	if (body.size == 0)
		mp_put_map(out, 0);
	else
		buf_put_bytes(out, body);
}

void
rpc_request_put(struct buf *out, const struct rpc_request *r)
{
	mp_put_map(out, 2 + r->forwarded);
	if (r->forwarded)
		mp_put_kv_bool(out, "Forwarded", true);
	mp_put_kv_uint(out, "Seq", r->seq);
	mp_put_kv_str(out, "ServiceMethod", r->method);
	body_put(out, r->body);
}

void
rpc_response_put(struct buf *out, const struct rpc_response *r)
{
	struct bytes error = bytes_of(r->error.data, MIN(r->error.size, (size_t)RPC_HEADER_BYTES_MAX / 2));
	bool status = error.size > 0 && r->status != 0;

	mp_put_map(out, 3 + status);
	mp_put_kv_str(out, "Error", error);
	mp_put_kv_uint(out, "Seq", r->seq);
	mp_put_kv_str(out, "ServiceMethod", r->method);
	if (status)
		mp_put_kv_uint(out, "Status", r->status);
	body_put(out, error.size > 0 ? bytes_of(NULL, 0) : r->body);
}

void
rpc_args_but(struct buf *out, struct bytes args, const char *left_out)
{
	struct mp in = mp_of(args);
	size_t place = mp_open_map(out);
	uint32_t count = 0;

	for (uint32_t pairs = mp_map(&in); pairs > 0 && mp_ok(&in); pairs--) {
		struct bytes name = mp_raw(&in), value = mp_raw(&in);
		struct mp key = mp_of(name);

		if (!mp_ok(&in) || bytes_is(mp_str(&key), left_out))
			continue;
		buf_put_bytes(out, name);
		buf_put_bytes(out, value);
		count++;
	}
	mp_close(out, place, count);
}

char *
rpc_unknown_method(struct bytes method, bool service_known, char out[RPC_ERROR_MAX])
{
	int size = (int)MIN(method.size, (size_t)RPC_METHOD_MAX);
	const char *text = (const char *)method.data;

	if (size == 0 || memchr(text, '.', (size_t)size) == NULL)
		snprintf(
		    out, RPC_ERROR_MAX, "rpc: service/method request ill-formed: %.*s", size, size == 0 ? "" : text);
	else
		snprintf(
		    out, RPC_ERROR_MAX, "rpc: can't find %s %.*s", service_known ? "method" : "service", size, text);
	return out;
}

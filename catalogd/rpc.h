/*
 * rpc.h - requests and responses between nodes: two msgpack values each, a header and a body (wire-rpc.md 4)
 *
 * Pure. A message has no length in front: rpc_scan finds its end as bytes come in, looking at each of them once, and refuses
 * what is nested too deeply, announces more than may come, or is no msgpack, before anything is kept for it.
 *
 * Beside the reference's pairs our headers may have: in a request Forwarded (bool: this server is taken for the leader; if it is not, it
 * refuses), in a response Status (uint: the HTTP status that a front end should answer an error with). The reference skips what it does not know.
 */
#ifndef CATALOGD_RPC_H
#define CATALOGD_RPC_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "mp.h"

#define RPC_HEADER_BYTES_MAX 8192                /* of a header that we read, error text included */
#define RPC_REQUEST_BYTES_MAX (8u * 1024 * 1024) /* header and body */
#define RPC_RESPONSE_BYTES_MAX (256u * 1024 * 1024)
#define RPC_METHOD_MAX 128
#define RPC_DEPTH_MAX (MP_DEPTH_MAX + 1)

/* How far a message has been looked at; zeroed by rpc_scan_init. */
struct rpc_scan {
	size_t at; /* the next value's first byte; beyond what has come: inside of a text */
	unsigned depth;
	uint32_t left[RPC_DEPTH_MAX + 1]; /* values still to come, by depth */
};

void rpc_scan_init(struct rpc_scan *scan);
/*
 * in: the message from its beginning, as far as it has come; never less than at the call before. 1: whole, *size bytes. 0: more is needed.
 * -1: no message, or over max bytes.
 */
MUST_USE int rpc_scan(struct rpc_scan *scan, struct bytes in, size_t max, size_t *size);

struct rpc_request {
	uint64_t seq;
	struct bytes method; /* "KVS.Get" */
	bool forwarded;
	struct bytes body; /* one msgpack value */
};

struct rpc_response {
	uint64_t seq;
	struct bytes method;
	struct bytes error; /* empty: success */
	unsigned status;
	struct bytes body;
};

/* message: one whole message. -1: its header is none. */
MUST_USE int rpc_request_read(struct bytes message, struct rpc_request *out);
MUST_USE int rpc_response_read(struct bytes message, struct rpc_response *out);
/* Appends a message. An empty body is written as an empty map; so is that of an error. */
void rpc_request_put(struct buf *out, const struct rpc_request *r);
void rpc_response_put(struct buf *out, const struct rpc_response *r);
/* Appends a request's arguments, a map, without one of them. */
void rpc_args_but(struct buf *out, struct bytes args, const char *left_out);
/* What a request for a method that there is not is answered with. Returns out. */
#define RPC_ERROR_MAX 256
char *rpc_unknown_method(struct bytes method, bool service_known, char out[RPC_ERROR_MAX]);

#endif

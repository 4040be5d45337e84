/*
 * rpcpool.h - requests to other nodes: one multiplexed connection to each address, made when needed
 *
 * A call is answered once, from the loop. What a call's outcome says decides whether it may be sent again (DESIGN: a write only if it never
 * left). Idle connections are closed after 127 s.
 */
#ifndef CATALOGD_RPCPOOL_H
#define CATALOGD_RPCPOOL_H

#include <ev.h>
#include <stdbool.h>

#include "cdefs.h"
#include "net.h"
#include "wire.h"

#define RPCPOOL_STREAMS_MAX 65536             /* of one connection */
#define RPCPOOL_CALLS_MAX 200000              /* open calls, all addresses */
#define RPCPOOL_HELD_MAX (512u * 1024 * 1024) /* bytes of answers that are not whole, one connection */

enum rpc_outcome {
	RPC_ANSWERED, /* error, status, body */
	RPC_NOT_SENT, /* no byte of it left: error says why */
	RPC_LOST,     /* the connection was lost, the outcome is unknown: error says why */
};

struct rpc_result {
	enum rpc_outcome outcome;
	struct bytes error; /* empty: success */
	unsigned status;
	struct bytes body; /* valid during the callback */
};

struct rpcpool;
struct rpccall;
typedef void rpc_done(void *ctx, const struct rpc_result *result);

/* from: local address to connect from; NULL: the system chooses. */
MUST_USE struct rpcpool *rpcpool_new(struct ev_loop *loop, struct wires *wires, const union net_addr *from);
/* Calls end without callbacks. */
void rpcpool_free(struct rpcpool *p);
/* forwarded: the server is taken for the leader, and refuses if it is not. args are copied. NULL: RPCPOOL_CALLS_MAX are open. */
MUST_USE struct rpccall *rpcpool_call(struct rpcpool *p, const union net_addr *to, const char *method,
    struct bytes args, bool forwarded, rpc_done *done, void *ctx);
/* No callback will come any more; the other side is told. */
void rpcpool_cancel(struct rpccall *call);
/* Some byte of it may have left this process: what is read of the other side's state may be older than now. */
bool rpcpool_left(const struct rpccall *call);
size_t rpcpool_connections(const struct rpcpool *p);

#endif

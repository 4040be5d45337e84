/*
 * rpcpool.c - requests to other nodes (contract: rpcpool.h; facts: wire-rpc.md 9.3; callers: forward.c, router.c)
 *
 * A lane is a stream of ours: it carries one call at a time and is kept for the next one, unless the answer was an error: the reference
 * closes its end then.
 */
#include "rpcpool.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "duration.h"
#include "log.h"
#include "mem.h"
#include "ring.h"
#include "rpc.h"
#include "rpcserver.h"
#include "yamux.h"

#define LANES_IDLE_MAX 32
#define IDLE_MS 127000
#define TICK_S 1.
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define WHY_MAX 128
#define KEEP_BYTES 4096

struct rpcpool {
	struct ev_loop *loop;
	struct wires *wires;
	union net_addr from;
	bool has_from;
	struct ring peers;
	size_t connections, calls;
	uint64_t seq;
	struct ev_timer tick;
	struct buf request; /* scratch */
};

struct peer {
	struct ring all;
	struct rpcpool *pool;
	union net_addr to;
	struct wire *wire; /* NULL: not connected */
	struct yamux *yamux;
	struct ring queue; /* calls without a lane, oldest first */
	struct ring busy;  /* lanes with a call */
	struct ring idle;  /* lanes without */
	size_t idle_count, lanes;
	size_t held; /* bytes of answers that are not whole */
	uint64_t used_ms, not_before_ms;
	unsigned backoff_ms;
	struct ev_timer refuse; /* what is in the queue can not be sent now */
	bool ending;            /* its calls are being told of the end */
	char why[WHY_MAX];
};

struct lane {
	struct ring all;
	struct peer *peer;
	struct yamux_stream *stream;
	struct rpccall *call; /* NULL: idle */
	struct buf in;
	struct rpc_scan scan;
	uint64_t seq;
	uint64_t sent_at; /* place of the request in the connection's output */
};

struct rpccall {
	struct ring all; /* in the queue */
	struct peer *peer;
	struct lane *lane; /* NULL: in the queue */
	const char *method;
	bool forwarded;
	bool refused; /* stays in the queue until the loop comes by */
	rpc_done *done;
	void *ctx;
	size_t args_size;
	uint8_t args[];
};

static uint64_t
now_ms(void)
{
	return (uint64_t)(monotime_now().ns / NS_PER_MS);
}

/* ---- calls and lanes ---- */

static void
call_finish(struct rpccall *call, const struct rpc_result *result)
{
	rpc_done *done = call->done;
	void *ctx = call->ctx;

	ring_remove(&call->all);
	call->peer->pool->calls--;
	free(call);
	done(ctx, result);
}

/* Its stream is closed, or gone. */
static void
lane_free(struct lane *lane)
{
	struct peer *p = lane->peer;

	if (lane->call == NULL)
		p->idle_count--;
	ring_remove(&lane->all);
	p->lanes--;
	p->held -= lane->in.used;
	buf_free(&lane->in);
	free(lane);
}

static void
lane_idle(struct lane *lane)
{
	struct peer *p = lane->peer;

	lane->call = NULL;
	ring_remove(&lane->all);
	ring_append(&p->idle, &lane->all);
	p->idle_count++;
	if (lane->in.size > KEEP_BYTES)
		buf_free(&lane->in);
}

/* Ends the stream of a lane whose call is not its own any more. */
static void
lane_cancel(struct lane *lane)
{
	lane->call = NULL;
	lane->peer->idle_count++; /* which lane_free takes back */
	yamux_reset(lane->stream);
	lane_free(lane);
}

static void
lane_lost(struct lane *lane, const char *why)
{
	struct peer *p = lane->peer;
	struct rpccall *call = lane->call;
	bool sent = p->wire == NULL || wire_written(p->wire) > lane->sent_at;

	lane_free(lane);
	if (call != NULL)
		call_finish(
		    call, &(struct rpc_result){.outcome = sent ? RPC_LOST : RPC_NOT_SENT, .error = bytes_str(why)});
}

/* Puts call on a lane and sends it. -1: there is none for it now. */
static int
call_send(struct peer *p, struct rpccall *call)
{
	struct buf *request = &p->pool->request;
	struct lane *lane;

	if (!ring_empty(&p->idle)) {
		lane = RING_ENTRY(p->idle.prev, struct lane, all);
		ring_remove(&lane->all);
		p->idle_count--;
	} else {
		struct yamux_stream *stream;

		if (!yamux_may_open(p->yamux))
			return -1;
		lane = xcalloc(1, sizeof *lane);
		lane->peer = p;
		buf_init(&lane->in, RPC_RESPONSE_BYTES_MAX + YAMUX_WINDOW);
		ring_init(&lane->all);
		lane->sent_at = wire_appended(p->wire);
		stream = yamux_open(p->yamux, lane);
		if (stream == NULL)
			panic("rpcpool: a stream that may be opened was not");
		lane->stream = stream;
		p->lanes++;
	}
	ring_append(&p->busy, &lane->all);
	rpc_scan_init(&lane->scan);
	lane->call = call;
	lane->seq = ++p->pool->seq;
	lane->sent_at = wire_appended(p->wire);
	ring_remove(&call->all);
	call->lane = lane;
	buf_clear(request);
	rpc_request_put(request, &(struct rpc_request){.seq = lane->seq,
				     .method = bytes_str(call->method),
				     .forwarded = call->forwarded,
				     .body = bytes_of(call->args, call->args_size)});
	if (yamux_send(lane->stream, buf_bytes(request)) == 0)
		return 0;
	lane_cancel(lane);
	call->lane = NULL;
	call->refused = true;
	ring_append(p->queue.next, &call->all); /* first again */
	snprintf(p->why, sizeof p->why, "the connection is overloaded");
	ev_timer_start(p->pool->loop, &p->refuse);
	return -1;
}

static void
queue_send(struct peer *p)
{
	while (p->yamux != NULL && !p->ending && !ring_empty(&p->queue)) {
		struct rpccall *first = RING_ENTRY(p->queue.next, struct rpccall, all);

		if (first->refused || call_send(p, first) == -1)
			return;
	}
}

/* ---- answers ---- */

static void
on_answer(struct lane *lane, const struct rpc_response *r)
{
	struct peer *p = lane->peer;
	struct rpccall *call = lane->call;
	struct rpc_result result = {.outcome = RPC_ANSWERED, .error = r->error, .status = r->status, .body = r->body};
	struct buf in = lane->in; /* the result points into it */

	p->used_ms = now_ms();
	p->held -= lane->in.used;
	buf_init(&lane->in, RPC_RESPONSE_BYTES_MAX + YAMUX_WINDOW);
	call->lane = NULL;
	if (r->error.size > 0 || p->idle_count >= LANES_IDLE_MAX) {
		yamux_close(lane->stream);
		lane_free(lane);
	} else
		lane_idle(lane);
	call_finish(call, &result);
	buf_free(&in);
}

static void
on_data(void *ctx, struct bytes data)
{
	struct lane *lane = ctx;
	struct peer *p = lane->peer;
	struct rpc_response response;
	size_t size;
	int got;

	if (lane->call == NULL || p->held + data.size > RPCPOOL_HELD_MAX) {
		yamux_reset(lane->stream);
		lane_lost(lane, "an answer that nobody asked for, or too long");
		return;
	}
	buf_put_bytes(&lane->in, data);
	p->held += data.size;
	yamux_consumed(lane->stream, data.size);
	got = lane->in.overflow ? -1 : rpc_scan(&lane->scan, buf_bytes(&lane->in), RPC_RESPONSE_BYTES_MAX, &size);
	if (got == 0)
		return;
	if (got == 1 && size == lane->in.used && rpc_response_read(buf_bytes(&lane->in), &response) == 0 &&
	    response.seq == lane->seq) {
		on_answer(lane, &response);
		queue_send(p);
		return;
	}
	yamux_reset(lane->stream);
	lane_lost(lane, "an answer that can not be read");
}

static void
on_stream_ended(void *ctx)
{
	struct lane *lane = ctx;
	struct peer *p = lane->peer;

	yamux_close(lane->stream);
	lane_lost(lane, "stream closed");
	queue_send(p);
}

static void
on_stream_gone(void *ctx)
{
	struct lane *lane = ctx;

	lane_lost(lane, lane->peer->ending ? lane->peer->why : "stream reset");
}

/* Servers open no streams to us. */
static void *
on_opened(void *ctx, struct yamux_stream *s)
{
	(void)ctx, (void)s;
	return NULL;
}

static void
on_output(void *ctx)
{
	struct peer *p = ctx;

	wire_output(p->wire);
}

static const struct yamux_ops yamux_ops = {
    .opened = on_opened, .data = on_data, .ended = on_stream_ended, .gone = on_stream_gone, .output = on_output};

/* ---- connections ---- */

/* Answers what waits and can not be sent; with a connection that is only what did not fit into it. */
static void
queue_refuse(struct peer *p)
{
	struct ring refused;

	/* those that are called again meanwhile are not of these */
	ring_init(&refused);
	for (struct ring *r = p->queue.next, *next; r != &p->queue; r = next) {
		next = r->next;
		if (p->yamux != NULL && !RING_ENTRY(r, struct rpccall, all)->refused)
			continue;
		ring_remove(r);
		ring_append(&refused, r);
	}
	while (!ring_empty(&refused))
		call_finish(RING_ENTRY(refused.next, struct rpccall, all),
		    &(struct rpc_result){.outcome = RPC_NOT_SENT, .error = bytes_str(p->why)});
	queue_send(p);
}

static void
on_refuse(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)events;
	queue_refuse(w->data);
}

static int peer_connect(struct peer *p);

/* The connection is no more: its wire is freed by whoever calls, after this. */
static void
peer_down(struct peer *p, const char *why)
{
	struct yamux *yamux = p->yamux;
	bool worked = wire_written(p->wire) > 0;

	snprintf(p->why, sizeof p->why, "%s", yamux_error(yamux)[0] != '\0' ? yamux_error(yamux) : why);
	p->ending = true;
	p->yamux = NULL;
	yamux_free(yamux); /* lanes are lost, they look at what the wire has written */
	p->ending = false;
	p->wire = NULL;
	p->pool->connections--;
	p->backoff_ms = worked ? 0 : p->backoff_ms == 0 ? BACKOFF_MIN_MS : MIN(p->backoff_ms * 2, BACKOFF_MAX_MS);
	p->not_before_ms = now_ms() + p->backoff_ms;
	if (!ring_empty(&p->queue) && worked && peer_connect(p) == 0)
		queue_send(p);
	else
		queue_refuse(p);
}

static int
on_input(void *ctx, struct bytes in)
{
	struct peer *p = ctx;

	if (yamux_input(p->yamux, in) == -1)
		return -1;
	queue_send(p); /* acknowledgements make room for more */
	return 0;
}

static void
on_wire_ended(void *ctx, const char *why)
{
	peer_down(ctx, why);
}

static const struct wire_ops wire_ops = {.input = on_input, .ended = on_wire_ended};

static int
dial(const struct rpcpool *pool, const union net_addr *to)
{
	int on = 1, fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	if (pool->has_from && pool->from.sa.sa_family == to->sa.sa_family &&
	    bind(fd, &pool->from.sa, net_addr_len(&pool->from)) == -1)
		goto fail;
	if (connect(fd, &to->sa, net_addr_len(to)) == -1 && errno != EINPROGRESS)
		goto fail;
	return fd;

fail:
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

/* 0, or -1: p->why. */
static int
peer_connect(struct peer *p)
{
	struct rpcpool *pool = p->pool;
	int fd;

	if (now_ms() < p->not_before_ms)
		return -1;
	fd = dial(pool, &p->to);
	if (fd == -1) {
		snprintf(p->why, sizeof p->why, "%s", strerror(errno));
		return -1;
	}
	p->wire = wire_new(pool->wires, fd, &wire_ops, p);
	p->yamux = yamux_new(true, RPCPOOL_STREAMS_MAX, wire_out(p->wire), &yamux_ops, p);
	p->used_ms = now_ms();
	pool->connections++;
	buf_put_u8(wire_out(p->wire), RPC_MULTIPLEX);
	wire_output(p->wire);
	return 0;
}

static struct peer *
peer_of(struct rpcpool *pool, const union net_addr *to)
{
	struct peer *p;

	for (struct ring *r = pool->peers.next; r != &pool->peers; r = r->next) {
		p = RING_ENTRY(r, struct peer, all);
		if (net_addr_len(&p->to) == net_addr_len(to) && memcmp(&p->to, to, net_addr_len(to)) == 0)
			return p;
	}
	p = xcalloc(1, sizeof *p);
	p->pool = pool;
	p->to = *to;
	ring_init(&p->queue);
	ring_init(&p->busy);
	ring_init(&p->idle);
	ev_timer_init(&p->refuse, on_refuse, 0., 0.);
	p->refuse.data = p;
	ring_append(&pool->peers, &p->all);
	return p;
}

static void
peer_free(struct peer *p)
{
	ev_timer_stop(p->pool->loop, &p->refuse);
	ring_remove(&p->all);
	free(p);
}

/* Without connection and calls it is known for as long as its back-off. */
static void
peer_close(struct peer *p, const char *why)
{
	struct wire *wire = p->wire;

	peer_down(p, why);
	wire_free(wire);
}

static void
on_tick(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct rpcpool *pool = w->data;
	uint64_t now = now_ms();

	(void)loop, (void)events;
	for (struct ring *r = pool->peers.next, *next; r != &pool->peers; r = next) {
		struct peer *p = RING_ENTRY(r, struct peer, all);

		next = r->next;
		if (p->yamux != NULL &&
		    (yamux_tick(p->yamux, now) == -1 || (ring_empty(&p->busy) && now - p->used_ms >= IDLE_MS)))
			peer_close(p, "idle");
		else if (p->yamux == NULL && ring_empty(&p->queue) && now >= p->not_before_ms + IDLE_MS)
			peer_free(p);
	}
}

/* ---- the pool ---- */

struct rpccall *
rpcpool_call(struct rpcpool *pool, const union net_addr *to, const char *method, struct bytes args, bool forwarded,
    rpc_done *done, void *ctx)
{
	struct rpccall *call;
	struct peer *p;

	if (pool->calls >= RPCPOOL_CALLS_MAX)
		return NULL;
	p = peer_of(pool, to);
	call = xmalloc(sizeof *call + args.size);
	*call = (struct rpccall){.peer = p, .method = method, .forwarded = forwarded, .done = done, .ctx = ctx};
	call->args_size = args.size;
	if (args.size > 0)
		memcpy(call->args, args.data, args.size);
	pool->calls++;
	ring_append(&p->queue, &call->all);
	if (p->ending || (p->yamux == NULL && peer_connect(p) == -1)) {
		ev_timer_start(pool->loop, &p->refuse);
		return call;
	}
	p->used_ms = now_ms();
	queue_send(p);
	return call;
}

void
rpcpool_cancel(struct rpccall *call)
{
	struct lane *lane = call->lane;

	if (lane != NULL)
		lane_cancel(lane);
	ring_remove(&call->all);
	call->peer->pool->calls--;
	free(call);
}

bool
rpcpool_left(const struct rpccall *call)
{
	return call->lane != NULL && wire_written(call->peer->wire) > call->lane->sent_at;
}

size_t
rpcpool_connections(const struct rpcpool *pool)
{
	return pool->connections;
}

struct rpcpool *
rpcpool_new(struct ev_loop *loop, struct wires *wires, const union net_addr *from)
{
	struct rpcpool *pool = xcalloc(1, sizeof *pool);

	pool->loop = loop;
	pool->wires = wires;
	if (from != NULL) {
		pool->from = *from;
		pool->has_from = true;
	}
	ring_init(&pool->peers);
	buf_init(&pool->request, RPC_REQUEST_BYTES_MAX + RPC_HEADER_BYTES_MAX);
	ev_timer_init(&pool->tick, on_tick, TICK_S, TICK_S);
	pool->tick.data = pool;
	ev_timer_start(loop, &pool->tick);
	return pool;
}

void
rpcpool_free(struct rpcpool *pool)
{
	if (pool == NULL)
		return;
	ev_timer_stop(pool->loop, &pool->tick);
	while (!ring_empty(&pool->peers)) {
		struct peer *p = RING_ENTRY(pool->peers.next, struct peer, all);

		while (!ring_empty(&p->queue))
			rpcpool_cancel(RING_ENTRY(p->queue.next, struct rpccall, all));
		while (!ring_empty(&p->busy))
			rpcpool_cancel(RING_ENTRY(p->busy.next, struct lane, all)->call);
		if (p->wire != NULL)
			peer_close(p, "closed");
		peer_free(p);
	}
	buf_free(&pool->request);
	free(pool);
}

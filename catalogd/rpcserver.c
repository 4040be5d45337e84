/*
 * rpcserver.c - requests of other nodes (contract: rpcserver.h; facts: wire-rpc.md 1, 4; caller: rpcport.c)
 *
 * A channel is one stream of requests: one after the other, each answered before the next is looked at. What comes meanwhile stays in
 * the channel's buffer, unaccounted to the peer, whose window ends; on a connection that is one channel, reading is paused.
 */
#include "rpcserver.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duration.h"
#include "log.h"
#include "mem.h"
#include "ring.h"
#include "rpc.h"
#include "yamux.h"

#define MODULE "agent.server.rpc"
#define CONNECTIONS_MAX 20000
#define TICK_S 1.
#define SINGLE_AHEAD_MAX (256u * 1024) /* bytes taken from a connection of one channel while it is served */
#define KEEP_BYTES 4096
#define NO_SNAPSHOTS "archives between nodes are not served by this version of consuld"
#define BAD_ARGUMENTS "rpc: bad arguments"

struct rpcserver {
	const char *refusal; /* what every request is answered; NULL: they are served */
	struct ipc *ipc;
	struct wires *wires;
	const struct ipc_service *service;
	struct rpcserver_options options;
	struct ring connections;
	size_t count;
	struct ev_timer tick;
	void (*raft)(void *ctx, int fd, const union net_addr *from);
	void *raft_ctx;
	struct log_limit limit;
	struct buf reply; /* scratch */
};

struct channel {
	struct connection *connection;
	struct yamux_stream *stream; /* NULL: the connection has but this one */
	struct buf in;
	size_t unconsumed; /* of in, not yet given back to the peer's window */
	struct rpc_scan scan;
	bool serving, closing;
	struct ipc_stream *request; /* NULL while its handler runs */
	uint64_t seq;
	char method[RPC_METHOD_MAX + 1];
};

struct connection {
	struct ring all;
	struct rpcserver *server;
	union net_addr from;
	char host[NET_ADDR_TEXT_MAX];
	/* before its kind is known */
	struct ev_io first;
	struct ev_timer handshake;
	int fd;
	/* then */
	struct wire *wire;
	struct yamux *yamux;
	struct channel *single;
	size_t held; /* bytes of its channels' requests; of a refused archive, those that were dropped */
};

static void channel_go_on(struct channel *ch);

/* ---- connections ---- */

static void
connection_free(struct connection *c)
{
	struct rpcserver *r = c->server;

	ev_io_stop(ipc_loop(r->ipc), &c->first);
	ev_timer_stop(ipc_loop(r->ipc), &c->handshake);
	ring_remove(&c->all);
	r->count--;
	if (c->fd != -1)
		close(c->fd);
	free(c);
}

static void channel_free(struct channel *ch);

/* Its wire is gone, or goes. */
static void
connection_end(struct connection *c)
{
	if (c->yamux != NULL)
		yamux_free(c->yamux);
	if (c->single != NULL)
		channel_free(c->single);
	connection_free(c);
}

static void
on_wire_ended(void *ctx, const char *why)
{
	struct connection *c = ctx;
	char text[NET_ADDR_TEXT_MAX];

	if (c->yamux != NULL && yamux_error(c->yamux)[0] != '\0')
		why = yamux_error(c->yamux);
	log_debug(MODULE, "connection ended: from=%s reason=%s", net_addr_text_port(&c->from, text), log_quote(why));
	connection_end(c);
}

/* ---- answers ---- */

static void
channel_free(struct channel *ch)
{
	if (ch->request != NULL)
		ipc_serve_cancel(ch->request);
	ch->connection->held -= ch->in.used;
	buf_free(&ch->in);
	free(ch);
}

/* Nothing more is to be served here. */
static void
channel_close(struct channel *ch)
{
	struct connection *c = ch->connection;

	if (ch->stream == NULL) {
		wire_finish(c->wire);
		return;
	}
	yamux_close(ch->stream);
	channel_free(ch);
}

static void
respond(struct channel *ch, struct bytes error, unsigned status, struct bytes body)
{
	struct connection *c = ch->connection;
	struct buf *reply = &c->server->reply;
	struct rpc_response response = {
	    .seq = ch->seq, .method = bytes_str(ch->method), .error = error, .status = status, .body = body};

	ch->serving = false;
	ch->request = NULL;
	if (ch->stream == NULL) {
		rpc_response_put(wire_out(c->wire), &response);
		wire_output(c->wire);
		return;
	}
	buf_clear(reply);
	rpc_response_put(reply, &response);
	if (reply->overflow || yamux_send(ch->stream, buf_bytes(reply)) == -1) {
		log_warnx(MODULE, "answer dropped, its reader is too slow: method=%s bytes=%zu", log_quote(ch->method),
		    body.size);
		ch->closing = true;
	}
	if (reply->size > KEEP_BYTES * 64)
		buf_free(reply);
}

static void
on_answer(void *ctx, const struct ipc_answer *answer)
{
	struct channel *ch = ctx;
	bool inside = ch->request == NULL; /* answered from within the handler: whoever called that goes on */

	/* Arguments that can not be decoded end the stream, as the reference has it. */
	if (answer->status != IPC_OK && bytes_has_prefix(answer->error, bytes_str(BAD_ARGUMENTS)))
		ch->closing = true;
	respond(ch, answer->error, answer->code, answer->body);
	if (!inside)
		channel_go_on(ch);
}

/* ---- requests ---- */

static bool
service_known(const struct ipc_service *service, struct bytes method)
{
	const uint8_t *dot = method.size == 0 ? NULL : memchr(method.data, '.', method.size);

	if (dot == NULL)
		return false;
	for (size_t i = 0; i < service->count; i++)
		if (bytes_has_prefix(
			bytes_str(service->methods[i].name), bytes_of(method.data, (size_t)(dot - method.data) + 1)))
			return true;
	return false;
}

/* Serves the request at the beginning of the buffer, size bytes of it. */
static void
channel_serve(struct channel *ch, size_t size)
{
	struct connection *c = ch->connection;
	struct rpcserver *r = c->server;
	const struct ipc_method *method;
	struct rpc_request request;
	struct ipc_stream *stream;
	char text[RPC_ERROR_MAX];

	if (rpc_request_read(bytes_of(ch->in.data, size), &request) == -1 ||
	    bytes_to_str(request.method, ch->method, sizeof ch->method) == -1) {
		ch->closing = true;
		return;
	}
	ch->seq = request.seq;
	ch->serving = true;
	method = ipc_method_find(r->ipc, r->service, request.method);
	if (method == NULL) {
		rpc_unknown_method(request.method, service_known(r->service, request.method), text);
		ch->closing = true;
		respond(ch, bytes_str(text), 0, bytes_of(NULL, 0));
	} else if (r->refusal != NULL)
		respond(ch, bytes_str(r->refusal), 0, bytes_of(NULL, 0));
	else {
		stream = ipc_serve(r->ipc, r->service, method, request.body,
		    RPCSERVER_REMOTE | (request.forwarded ? RPCSERVER_FORWARDED : 0), on_answer, ch);
		if (stream != NULL)
			ch->request = stream;
	}
}

/* Serves what is whole in the buffer. ch may be gone afterwards. */
static void
channel_go_on(struct channel *ch)
{
	struct connection *c = ch->connection;

	while (!ch->serving && !ch->closing) {
		size_t size = 0;
		int got;

		if (ch->stream != NULL && ch->unconsumed > 0) {
			yamux_consumed(ch->stream, ch->unconsumed);
			ch->unconsumed = 0;
		}
		got = rpc_scan(&ch->scan, buf_bytes(&ch->in), RPC_REQUEST_BYTES_MAX, &size);
		if (got == 0) {
			if (ch->in.used == 0 && ch->in.size > KEEP_BYTES)
				buf_free(&ch->in);
			if (ch->stream == NULL)
				wire_pause(c->wire, false);
			return;
		}
		if (got == 1)
			channel_serve(ch, size);
		else
			ch->closing = true;
		buf_consume(&ch->in, MIN(size, ch->in.used));
		c->held -= size;
		rpc_scan_init(&ch->scan);
	}
	if (ch->closing && !ch->serving)
		channel_close(ch);
	else if (ch->stream == NULL && ch->in.used > SINGLE_AHEAD_MAX)
		wire_pause(c->wire, true);
}

static void
on_data(void *ctx, struct bytes data)
{
	struct channel *ch = ctx;
	struct connection *c = ch->connection;

	if (ch->closing) /* what comes behind the last request */
		return;
	/* The window bounds each stream; this bounds them together. */
	if (c->held + data.size > RPCSERVER_HELD_MAX ||
	    ch->in.used + data.size > RPC_REQUEST_BYTES_MAX + YAMUX_WINDOW) {
		if (ch->stream == NULL) {
			ch->closing = true;
			wire_finish(c->wire);
			return;
		}
		yamux_reset(ch->stream);
		channel_free(ch);
		return;
	}
	buf_put_bytes(&ch->in, data);
	c->held += data.size;
	ch->unconsumed += data.size;
	channel_go_on(ch);
}

static struct channel *
channel_new(struct connection *c, struct yamux_stream *stream)
{
	struct channel *ch = xcalloc(1, sizeof *ch);

	ch->connection = c;
	ch->stream = stream;
	buf_init(&ch->in, RPC_REQUEST_BYTES_MAX + YAMUX_WINDOW);
	rpc_scan_init(&ch->scan);
	return ch;
}

static void *
on_opened(void *ctx, struct yamux_stream *s)
{
	return channel_new(ctx, s);
}

/* Nobody waits for what is asked here any more. */
static void
on_stream_ended(void *ctx)
{
	struct channel *ch = ctx;

	yamux_close(ch->stream);
	channel_free(ch);
}

static void
on_stream_gone(void *ctx)
{
	channel_free(ctx);
}

static void
on_output(void *ctx)
{
	struct connection *c = ctx;

	wire_output(c->wire);
}

static const struct yamux_ops yamux_ops = {
    .opened = on_opened, .data = on_data, .ended = on_stream_ended, .gone = on_stream_gone, .output = on_output};

/*
 * Archives by stream (wire-rpc.md 13) are not served yet. Who asks is told, and what he goes on sending is dropped until he ends: an answer would be
 * lost with a connection that is closed over unread bytes.
 */
static int
snapshot_refuse(struct connection *c, struct bytes in)
{
	char text[NET_ADDR_TEXT_MAX];
	unsigned suppressed;

	if (c->held == 0) {
		mp_put_map(wire_out(c->wire), 1);
		mp_put_kv_cstr(wire_out(c->wire), "Error", NO_SNAPSHOTS);
		wire_output(c->wire);
		if (log_allowed(&c->server->limit, 5, &suppressed))
			log_warnx(MODULE, "an archive is refused: from=%s reason=%s suppressed=%u",
			    net_addr_text_port(&c->from, text), log_quote(NO_SNAPSHOTS), suppressed);
	}
	c->held += in.size;
	return c->held > RPCSERVER_HELD_MAX ? -1 : 0;
}

static int
on_input(void *ctx, struct bytes in)
{
	struct connection *c = ctx;

	if (c->yamux != NULL)
		return yamux_input(c->yamux, in);
	if (c->single == NULL)
		return snapshot_refuse(c, in);
	on_data(c->single, in);
	return 0;
}

static const struct wire_ops wire_ops = {.input = on_input, .ended = on_wire_ended};

/* ---- the first byte ---- */

static const char *
refusal(const struct rpcserver *r, uint8_t kind)
{
	switch (kind) {
	case RPC_SINGLE:
	case RPC_MULTIPLEX:
	case RPC_SNAPSHOT:
		return r->service == NULL ? "this node is no server" : NULL;
	case RPC_RAFT:
		return r->raft == NULL ? "this node is no server" : NULL;
	case RPC_RAFT_REFERENCE:
		return "a server of the reference takes this one for a member of its cluster, which it can not be";
	case RPC_TLS:
	case RPC_TLS_INSECURE:
		return "TLS is not configured";
	case RPC_GRPC:
		return "gRPC is not served by this version; clients of the reference need use_streaming_backend=false";
	default:
		return "unknown kind of connection";
	}
}

static void
on_first_byte(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct connection *c = w->data;
	struct rpcserver *r = c->server;
	const char *why;
	char text[NET_ADDR_TEXT_MAX];
	unsigned suppressed;
	uint8_t kind;
	ssize_t n = recv(c->fd, &kind, 1, 0);

	(void)events;
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		connection_free(c);
		return;
	}
	why = refusal(r, kind);
	if (why != NULL) {
		if (log_allowed(&r->limit, 5, &suppressed))
			log_warnx(MODULE, "connection closed: from=%s byte=%u reason=%s suppressed=%u",
			    net_addr_text_port(&c->from, text), kind, log_quote(why), suppressed);
		connection_free(c);
		return;
	}
	if (kind == RPC_RAFT) {
		int fd = c->fd;

		c->fd = -1;
		r->raft(r->raft_ctx, fd, &c->from);
		connection_free(c);
		return;
	}
	ev_io_stop(loop, &c->first);
	ev_timer_stop(loop, &c->handshake);
	c->wire = wire_new(r->wires, c->fd, &wire_ops, c);
	c->fd = -1;
	if (kind == RPC_MULTIPLEX)
		c->yamux = yamux_new(false, RPCSERVER_STREAMS_MAX, wire_out(c->wire), &yamux_ops, c);
	else if (kind == RPC_SINGLE)
		c->single = channel_new(c, NULL);
}

static void
on_handshake_late(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)events;
	connection_free(w->data);
}

void
rpcserver_accepted(struct rpcserver *r, int fd, const union net_addr *from)
{
	struct ev_loop *loop = ipc_loop(r->ipc);
	struct connection *c;
	unsigned of_client = 0, suppressed;
	char host[NET_ADDR_TEXT_MAX];
	int on = 1;

	net_addr_text(from, host);
	for (struct ring *at = r->connections.next; at != &r->connections; at = at->next)
		of_client += strcmp(RING_ENTRY(at, struct connection, all)->host, host) == 0;
	if (of_client >= r->options.conns_per_client_max || r->count >= CONNECTIONS_MAX) {
		if (log_allowed(&r->limit, 5, &suppressed))
			log_warnx(MODULE, "too many connections, one more closed: from=%s limit=%u suppressed=%u", host,
			    r->options.conns_per_client_max, suppressed);
		close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	c = xcalloc(1, sizeof *c);
	c->server = r;
	c->from = *from;
	memcpy(c->host, host, sizeof host);
	c->fd = fd;
	ring_append(&r->connections, &c->all);
	r->count++;
	ev_io_init(&c->first, on_first_byte, fd, EV_READ);
	ev_timer_init(&c->handshake, on_handshake_late, r->options.handshake_s, 0.);
	c->first.data = c->handshake.data = c;
	ev_io_start(loop, &c->first);
	ev_timer_start(loop, &c->handshake);
}

/* ---- the server ---- */

static void
on_tick(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct rpcserver *r = w->data;
	uint64_t now_ms = (uint64_t)(monotime_now().ns / NS_PER_MS);

	(void)loop, (void)events;
	for (struct ring *at = r->connections.next, *next; at != &r->connections; at = next) {
		struct connection *c = RING_ENTRY(at, struct connection, all);

		next = at->next;
		if (c->yamux != NULL && yamux_tick(c->yamux, now_ms) == -1) {
			struct wire *wire = c->wire;

			on_wire_ended(c, "");
			wire_free(wire);
		}
	}
}

void
rpcserver_raft_by(struct rpcserver *r, void (*take)(void *ctx, int fd, const union net_addr *from), void *ctx)
{
	r->raft = take;
	r->raft_ctx = ctx;
}

void
rpcserver_set(struct rpcserver *r, const struct rpcserver_options *options)
{
	r->options = *options;
}

void
rpcserver_refuse(struct rpcserver *r, const char *error)
{
	r->refusal = error;
}

size_t
rpcserver_connections(const struct rpcserver *r)
{
	return r->count;
}

struct rpcserver *
rpcserver_new(
    struct ipc *ipc, struct wires *wires, const struct ipc_service *service, const struct rpcserver_options *options)
{
	struct rpcserver *r = xcalloc(1, sizeof *r);

	r->ipc = ipc;
	r->wires = wires;
	r->service = service;
	r->options = *options;
	ring_init(&r->connections);
	buf_init(&r->reply, RPC_RESPONSE_BYTES_MAX);
	ev_timer_init(&r->tick, on_tick, TICK_S, TICK_S);
	r->tick.data = r;
	ev_timer_start(ipc_loop(ipc), &r->tick);
	return r;
}

void
rpcserver_free(struct rpcserver *r)
{
	if (r == NULL)
		return;
	ev_timer_stop(ipc_loop(r->ipc), &r->tick);
	while (!ring_empty(&r->connections)) {
		struct connection *c = RING_ENTRY(r->connections.next, struct connection, all);
		struct wire *wire = c->wire;

		connection_end(c);
		if (wire != NULL)
			wire_free(wire);
	}
	buf_free(&r->reply);
	free(r);
}

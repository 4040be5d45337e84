/*
 * yamux.c - many streams over one connection (contract: yamux.h; facts: wire-rpc.md 3; callers: rpcserver.c, rpcpool.c)
 *
 * A stream is freed when both sides have closed it, or by a reset. Until then it stands in the table, also after the caller
 * has closed it (ctx is NULL then): what the peer still sends on it is dropped, and after five minutes the peer is told by a reset.
 */
#include "yamux.h"

#include <stdlib.h>
#include <string.h>

#include "ipc_table.h"
#include "log.h"
#include "mem.h"
#include "ring.h"

#define HEAD_BYTES 12
#define ID_MAX (UINT32_MAX - 2)

enum type { DATA, WINDOW_UPDATE, PING, GO_AWAY };
enum flag { SYN = 1, ACK = 2, FIN = 4, RST = 8 };

struct yamux_stream {
	struct slot slot;
	struct ring timed; /* in waiting (opened, not acknowledged) or closing (closed by us alone), or by itself */
	uint64_t since_ms;
	struct yamux *y;
	void *ctx;          /* NULL: closed by the caller */
	uint32_t send_left; /* of the window the peer gave */
	uint32_t receive_left;
	uint32_t held; /* received and not consumed */
	bool unacked, fin_sent, fin_received;
	struct buf pending; /* waits for window */
};

struct yamux {
	const struct yamux_ops *ops;
	void *ctx;
	struct buf *out;
	struct table streams;
	struct ring waiting, closing; /* oldest first */
	size_t streams_max, unacked, pending;
	uint32_t next_id;
	bool dialler, peer_goes_away, over;
	const char *error;
	/* input */
	uint8_t head[HEAD_BYTES];
	size_t head_used;
	uint32_t body_left, body_stream;
	bool body_fin; /* the frame that is being read ends its stream */
	/* liveness */
	uint64_t now_ms, pinged_ms;
	uint32_t ping_id;
	bool ping_open, has_time;
};

static int
over(struct yamux *y, const char *error)
{
	if (!y->over) {
		y->over = true;
		y->error = error;
	}
	return -1;
}

static void
put_frame(struct yamux *y, enum type type, unsigned flags, uint32_t id, uint32_t length)
{
	uint8_t head[HEAD_BYTES] = {0, (uint8_t)type, 0, (uint8_t)flags, (uint8_t)(id >> 24), (uint8_t)(id >> 16),
	    (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
	    (uint8_t)length};

	buf_put(y->out, head, sizeof head);
	y->ops->output(y->ctx);
}

void
yamux_go_away(struct yamux *y, enum yamux_reason reason)
{
	put_frame(y, GO_AWAY, 0, 0, reason);
}

static int
protocol_error(struct yamux *y, const char *error)
{
	if (!y->over)
		yamux_go_away(y, YAMUX_PROTOCOL_ERROR);
	return over(y, error);
}

/* ---- streams ---- */

static struct yamux_stream *
stream_new(struct yamux *y, uint32_t id, void *ctx)
{
	struct yamux_stream *s = xcalloc(1, sizeof *s);

	s->slot.id = id;
	s->y = y;
	s->ctx = ctx;
	s->send_left = s->receive_left = YAMUX_WINDOW;
	ring_init(&s->timed);
	buf_init(&s->pending, YAMUX_PENDING_MAX);
	ipc_table_insert(&y->streams, &s->slot);
	return s;
}

static void
stream_free(struct yamux_stream *s)
{
	struct yamux *y = s->y;

	ipc_table_remove(&y->streams, &s->slot);
	ring_remove(&s->timed);
	if (s->unacked)
		y->unacked--;
	y->pending -= s->pending.used;
	buf_free(&s->pending);
	free(s);
}

static struct yamux_stream *
find(const struct yamux *y, uint32_t id)
{
	return (struct yamux_stream *)ipc_table_find(&y->streams, id);
}

/* The peer or the session ended it. */
static void
stream_lost(struct yamux_stream *s)
{
	const struct yamux *y = s->y;
	void *ctx = s->ctx;

	stream_free(s);
	if (ctx != NULL)
		y->ops->gone(ctx);
}

/* Writes data as far as the window goes; returns how much that was. */
static size_t
put_data(struct yamux_stream *s, struct bytes data)
{
	size_t sent = 0;

	while (sent < data.size && s->send_left > 0) {
		uint32_t n = (uint32_t)MIN(MIN(data.size - sent, (size_t)s->send_left), (size_t)YAMUX_FRAME_BYTES_MAX);

		put_frame(s->y, DATA, 0, s->slot.id, n);
		buf_put(s->y->out, data.data + sent, n);
		s->send_left -= n;
		sent += n;
	}
	return sent;
}

/* Closed by the caller and everything sent: tells the peer; the stream is freed if the peer has closed it too. */
static void
stream_finish(struct yamux_stream *s)
{
	if (s->ctx != NULL || s->pending.used > 0)
		return;
	if (!s->fin_sent) {
		s->fin_sent = true;
		put_frame(s->y, WINDOW_UPDATE, FIN, s->slot.id, 0);
	}
	if (s->fin_received)
		stream_free(s);
}

bool
yamux_may_open(const struct yamux *y)
{
	return !y->over && !y->peer_goes_away && y->next_id < ID_MAX && y->unacked < YAMUX_OPEN_UNACKED_MAX &&
	       y->streams.count < y->streams_max;
}

struct yamux_stream *
yamux_open(struct yamux *y, void *stream_ctx)
{
	struct yamux_stream *s;

	if (!yamux_may_open(y))
		return NULL;
	s = stream_new(y, y->next_id, stream_ctx);
	y->next_id += 2;
	s->unacked = true;
	s->since_ms = y->now_ms;
	y->unacked++;
	ring_append(&y->waiting, &s->timed);
	put_frame(y, WINDOW_UPDATE, SYN, s->slot.id, 0);
	return s;
}

int
yamux_send(struct yamux_stream *s, struct bytes data)
{
	size_t sent = 0;

	if (s->ctx == NULL)
		panic("yamux: data for a stream that was closed");
	if (s->pending.used == 0) {
		size_t fits = s->send_left;

		if (data.size > fits && s->y->pending + (data.size - fits) > YAMUX_PENDING_MAX)
			return -1;
		sent = put_data(s, data);
	} else if (s->y->pending + data.size > YAMUX_PENDING_MAX)
		return -1;
	if (sent < data.size) {
		buf_put(&s->pending, data.data + sent, data.size - sent);
		s->y->pending += data.size - sent;
	}
	return 0;
}

void
yamux_consumed(struct yamux_stream *s, size_t bytes)
{
	uint32_t delta;

	if (bytes > s->held)
		panic("yamux: %zu bytes consumed of %u", bytes, s->held);
	s->held -= (uint32_t)bytes;
	delta = YAMUX_WINDOW - s->held - s->receive_left;
	if (delta < YAMUX_WINDOW / 2 || s->fin_received)
		return;
	s->receive_left += delta;
	put_frame(s->y, WINDOW_UPDATE, 0, s->slot.id, delta);
}

void
yamux_close(struct yamux_stream *s)
{
	struct yamux *y = s->y;

	if (s->ctx == NULL)
		panic("yamux: a stream closed twice");
	s->ctx = NULL;
	if (!s->unacked) { /* who waits for an acknowledgement waits less long */
		s->since_ms = y->now_ms;
		ring_append(&y->closing, &s->timed);
	}
	stream_finish(s);
}

void
yamux_reset(struct yamux_stream *s)
{
	if (s->ctx == NULL)
		panic("yamux: a stream closed twice");
	put_frame(s->y, WINDOW_UPDATE, RST, s->slot.id, 0);
	stream_free(s);
}

size_t
yamux_pending(const struct yamux_stream *s)
{
	return s->pending.used;
}

/* ---- input ---- */

/* The peer's new stream: 0, or -1. *out is NULL if it was refused. */
static int
on_syn(struct yamux *y, uint32_t id, struct yamux_stream **out)
{
	struct yamux_stream *s;
	void *ctx;

	*out = NULL;
	if (find(y, id) != NULL)
		return protocol_error(y, "a stream was opened twice");
	if (id == 0 || ((id & 1) != 0) == y->dialler)
		return protocol_error(y, "a stream was opened with a number that is ours to give");
	if (y->streams.count >= y->streams_max) {
		put_frame(y, WINDOW_UPDATE, RST, id, 0);
		return 0;
	}
	s = stream_new(y, id, y); /* a context, until the caller's is known */
	ctx = y->ops->opened(y->ctx, s);
	if (ctx == NULL) {
		yamux_reset(s);
		return 0;
	}
	s->ctx = ctx;
	put_frame(y, WINDOW_UPDATE, ACK, id, 0);
	*out = s;
	return 0;
}

static int
on_fin(struct yamux *y, struct yamux_stream *s)
{
	if (s->fin_received)
		return protocol_error(y, "a stream was closed twice");
	s->fin_received = true;
	if (s->ctx != NULL)
		y->ops->ended(s->ctx);
	else
		stream_finish(s);
	return 0;
}

static void
on_ack(struct yamux_stream *s)
{
	if (!s->unacked)
		return;
	s->unacked = false;
	s->y->unacked--;
	ring_remove(&s->timed);
	if (s->ctx == NULL) {
		s->since_ms = s->y->now_ms;
		ring_append(&s->y->closing, &s->timed);
	}
}

static int
on_window(struct yamux *y, struct yamux_stream *s, uint32_t delta)
{
	size_t sent;

	if (delta > UINT32_MAX - s->send_left)
		return protocol_error(y, "a window is over 32 bits");
	s->send_left += delta;
	if (s->pending.used == 0)
		return 0;
	sent = put_data(s, buf_bytes(&s->pending));
	buf_consume(&s->pending, sent);
	y->pending -= sent;
	if (s->pending.used == 0) {
		buf_free(&s->pending);
		stream_finish(s);
	}
	return 0;
}

static int
on_stream_frame(struct yamux *y, enum type type, unsigned flags, uint32_t id, uint32_t length)
{
	struct yamux_stream *s = find(y, id);

	y->body_left = type == DATA ? length : 0;
	y->body_stream = id;
	y->body_fin = false;
	if ((flags & SYN) != 0 && on_syn(y, id, &s) == -1)
		return -1;
	if (s == NULL)
		return 0; /* of a stream that has ended here: its payload is dropped */
	if ((flags & ACK) != 0)
		on_ack(s);
	if ((flags & RST) != 0) {
		stream_lost(s);
		return 0;
	}
	if (type == WINDOW_UPDATE) {
		if (on_window(y, s, length) == -1)
			return -1;
		/* what waited may have been all: a stream that the caller has closed is freed then */
		s = find(y, id);
	} else {
		if (s->fin_received && length > 0)
			return protocol_error(y, "data on a stream that was closed");
		if (length > s->receive_left)
			return protocol_error(y, "more data than the window allows");
		s->receive_left -= length;
		s->held += length;
	}
	if ((flags & FIN) == 0 || s == NULL)
		return 0;
	if (y->body_left > 0) {
		y->body_fin = true;
		return 0;
	}
	return on_fin(y, s);
}

static int
on_head(struct yamux *y)
{
	uint32_t flags = be16_at(y->head + 2), id = be32_at(y->head + 4), length = be32_at(y->head + 8);

	if (y->head[0] != 0)
		return over(y, "not a frame: wrong version");
	switch (y->head[1]) {
	case DATA:
	case WINDOW_UPDATE:
		return on_stream_frame(y, y->head[1], flags, id, length);
	case PING:
		if ((flags & SYN) != 0)
			put_frame(y, PING, ACK, 0, length);
		else if ((flags & ACK) != 0 && length == y->ping_id)
			y->ping_open = false;
		return 0;
	case GO_AWAY:
		y->peer_goes_away = true;
		if (length == YAMUX_NORMAL)
			return 0;
		return over(y, length == YAMUX_PROTOCOL_ERROR ? "the peer reports a protocol error"
							      : "the peer reports an internal error");
	default:
		return over(y, "not a frame: unknown type");
	}
}

/* Some of the payload of the frame that is being read. */
static int
on_body(struct yamux *y, struct bytes part)
{
	struct yamux_stream *s = find(y, y->body_stream);

	y->body_left -= (uint32_t)part.size;
	if (s == NULL)
		return 0;
	if (s->ctx != NULL)
		y->ops->data(s->ctx, part);
	else /* nobody reads it: the window stays used, the peer stops by itself */
		s->held -= (uint32_t)part.size;
	if (y->body_left > 0 || !y->body_fin)
		return 0;
	s = find(y, y->body_stream);
	return s == NULL ? 0 : on_fin(y, s);
}

int
yamux_input(struct yamux *y, struct bytes in)
{
	while (in.size > 0 && !y->over) {
		size_t n;

		if (y->body_left > 0) {
			n = MIN(in.size, (size_t)y->body_left);
			if (on_body(y, bytes_of(in.data, n)) == -1)
				return -1;
		} else {
			n = MIN(in.size, HEAD_BYTES - y->head_used);
			memcpy(y->head + y->head_used, in.data, n);
			y->head_used += n;
			if (y->head_used == HEAD_BYTES) {
				y->head_used = 0;
				if (on_head(y) == -1)
					return -1;
			}
		}
		in.data += n;
		in.size -= n;
	}
	return y->over ? -1 : 0;
}

/* ---- time ---- */

int
yamux_tick(struct yamux *y, uint64_t now_ms)
{
	if (!y->has_time) { /* what was opened before has no time yet */
		y->has_time = true;
		y->pinged_ms = now_ms;
		for (struct ring *r = y->waiting.next; r != &y->waiting; r = r->next)
			RING_ENTRY(r, struct yamux_stream, timed)->since_ms = now_ms;
		for (struct ring *r = y->closing.next; r != &y->closing; r = r->next)
			RING_ENTRY(r, struct yamux_stream, timed)->since_ms = now_ms;
	}
	y->now_ms = now_ms;
	if (y->over)
		return -1;
	if (y->ping_open && now_ms - y->pinged_ms >= YAMUX_PING_WAIT_MS)
		return over(y, "no answer to a ping");
	if (!y->ping_open && now_ms - y->pinged_ms >= YAMUX_PING_MS) {
		y->ping_open = true;
		y->pinged_ms = now_ms;
		put_frame(y, PING, SYN, 0, ++y->ping_id);
	}
	if (!ring_empty(&y->waiting) &&
	    now_ms - RING_ENTRY(y->waiting.next, struct yamux_stream, timed)->since_ms >= YAMUX_OPEN_WAIT_MS)
		return over(y, "a stream was not acknowledged");
	while (!ring_empty(&y->closing)) {
		struct yamux_stream *s = RING_ENTRY(y->closing.next, struct yamux_stream, timed);

		if (now_ms - s->since_ms < YAMUX_CLOSE_WAIT_MS)
			break;
		put_frame(y, WINDOW_UPDATE, RST, s->slot.id, 0);
		stream_free(s);
	}
	return 0;
}

/* ---- the session ---- */

const char *
yamux_error(const struct yamux *y)
{
	return y->error == NULL ? "" : y->error;
}

size_t
yamux_count(const struct yamux *y)
{
	return y->streams.count;
}

struct yamux *
yamux_new(bool dialler, size_t streams_max, struct buf *out, const struct yamux_ops *ops, void *ctx)
{
	struct yamux *y = xcalloc(1, sizeof *y);

	y->ops = ops;
	y->ctx = ctx;
	y->out = out;
	y->streams_max = streams_max;
	y->dialler = dialler;
	y->next_id = dialler ? 1 : 2;
	ring_init(&y->waiting);
	ring_init(&y->closing);
	return y;
}

void
yamux_free(struct yamux *y)
{
	if (y == NULL)
		return;
	y->over = true; /* no new streams: the table stays as large as it is */
	for (size_t i = 0; i < y->streams.size; i++)
		while (y->streams.buckets[i] != NULL)
			stream_lost((struct yamux_stream *)y->streams.buckets[i]);
	free(y->streams.buckets);
	free(y);
}

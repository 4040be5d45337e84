/*
 * yamux.h - many streams over one connection between nodes, in the reference's framing (version 0 of yamux)
 *
 * Pure: bytes in (yamux_input), bytes out (appended to a buffer of the caller's), no socket, no clock but the milliseconds that
 * yamux_tick is given. The caller is told of what happens by the functions of struct yamux_ops, from within yamux_input,
 * yamux_tick and yamux_free. They may call anything here but yamux_input, yamux_tick and yamux_free of the same session.
 *
 * Bounds: streams_max streams; what a peer may send unasked is the window, 256 KiB for each stream: who takes data and does not give it back
 * with yamux_consumed bounds it. What waits here because the peer gives no window is at most YAMUX_PENDING_MAX for
 * all streams: a stream that would pass it is reset.
 */
#ifndef CATALOGD_YAMUX_H
#define CATALOGD_YAMUX_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"

#define YAMUX_WINDOW (256u * 1024)             /* bytes, each stream and direction, at first and at most */
#define YAMUX_FRAME_BYTES_MAX (64u * 1024)     /* of data that we write in one frame */
#define YAMUX_PENDING_MAX (320u * 1024 * 1024) /* bytes that wait for window, whole session */
#define YAMUX_OPEN_UNACKED_MAX 256             /* streams of ours that the peer has not acknowledged */
#define YAMUX_PING_MS 30000
#define YAMUX_PING_WAIT_MS 10000
#define YAMUX_OPEN_WAIT_MS 75000
#define YAMUX_CLOSE_WAIT_MS 300000

enum yamux_reason { YAMUX_NORMAL, YAMUX_PROTOCOL_ERROR, YAMUX_INTERNAL_ERROR };

struct yamux;
struct yamux_stream;

struct yamux_ops {
	/* The peer opens s. Returns what the other functions get as stream_ctx; NULL: refused, the stream is reset. */
	void *(*opened)(void *ctx, struct yamux_stream *s);
	/* Bytes, in order; they count against the window until yamux_consumed. data is valid during the call. */
	void (*data)(void *stream_ctx, struct bytes data);
	/* The peer will send no more. */
	void (*ended)(void *stream_ctx);
	/* Reset by the peer, or the session is over: the stream is dead after this call. */
	void (*gone)(void *stream_ctx);
	/* Something was appended to the output. */
	void (*output)(void *ctx);
};

/* dialler: this side opens odd streams. out: where frames are appended; the caller's, as ops and ctx are. */
MUST_USE struct yamux *yamux_new(
    bool dialler, size_t streams_max, struct buf *out, const struct yamux_ops *ops, void *ctx);
/* All streams are gone (ops->gone for each). y may be NULL. */
void yamux_free(struct yamux *y);
/* -1: the session is over (yamux_error says why): write what is in the output, close, yamux_free. All of in was taken. */
MUST_USE int yamux_input(struct yamux *y, struct bytes in);
/* To be called about once a second, with a clock that only grows: pings, and what was waited for too long. -1: as above. */
MUST_USE int yamux_tick(struct yamux *y, uint64_t now_ms);
const char *yamux_error(const struct yamux *y);
/* Streams that are open or not yet closed by both sides. */
size_t yamux_count(const struct yamux *y);
/* False: no new streams here (the peer is going away, numbers are used up, or there are too many). */
bool yamux_may_open(const struct yamux *y);
void yamux_go_away(struct yamux *y, enum yamux_reason reason);

/* A new stream; NULL: see yamux_may_open. */
MUST_USE struct yamux_stream *yamux_open(struct yamux *y, void *stream_ctx);
/*
 * Sends data, what does not fit into the window as the peer gives it. -1: that would pass YAMUX_PENDING_MAX; nothing was sent, and the
 * stream is to be reset. Not after yamux_close.
 */
MUST_USE int yamux_send(struct yamux_stream *s, struct bytes data);
/* Bytes of data that were given to us and used up: the peer may send as many more. */
void yamux_consumed(struct yamux_stream *s, size_t bytes);
/* Nothing is to be sent or received on s any more: what was sent still leaves. s is dead for the caller, no function of ops is called for it. */
void yamux_close(struct yamux_stream *s);
/* The same at once, and what was not sent is dropped. */
void yamux_reset(struct yamux_stream *s);
/* Bytes that wait for window. */
size_t yamux_pending(const struct yamux_stream *s);

#endif

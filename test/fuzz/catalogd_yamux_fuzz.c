/*
 * catalogd_yamux_fuzz.c - frames of a peer: whatever comes in, cut anywhere, a session takes it or ends, and what it keeps stays within its bounds
 *
 * The first byte of the input: bits 0-5, how much is given at once; bit 6, this side dialled and has opened streams; bit 7, what comes is not consumed.
 */
#include <stdlib.h>

#include "mem.h"
#include "yamux.h"

#define STREAMS_MAX 16

struct stream {
	struct yamux_stream *s;
	size_t unconsumed;
	unsigned pieces;
};

static size_t living;
static bool hold;

static void *
on_opened(void *ctx, struct yamux_stream *s)
{
	struct stream *st = xcalloc(1, sizeof *st);

	(void)ctx;
	st->s = s;
	living++;
	return st;
}

static void
stream_free(struct stream *st)
{
	living--;
	free(st);
}

static void
on_data(void *ctx, struct bytes data)
{
	struct stream *st = ctx;

	st->unconsumed += data.size;
	if (st->unconsumed > YAMUX_WINDOW)
		abort();
	switch (++st->pieces % 5) {
	case 3:
		if (yamux_send(st->s, data) == -1)
			abort();
		break;
	case 4:
		yamux_reset(st->s);
		stream_free(st);
		return;
	default:
		break;
	}
	if (!hold) {
		yamux_consumed(st->s, st->unconsumed);
		st->unconsumed = 0;
	}
}

static void
on_ended(void *ctx)
{
	struct stream *st = ctx;

	yamux_close(st->s);
	stream_free(st);
}

static void
on_gone(void *ctx)
{
	stream_free(ctx);
}

static void
on_output(void *ctx)
{
	(void)ctx;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct yamux_ops ops = {on_opened, on_data, on_ended, on_gone, on_output};
	struct buf out = BUF_INIT(64 * 1024 * 1024);
	struct yamux *y;
	size_t step, at = 1;
	int result = 0;

	if (size < 2)
		return 0;
	step = (data[0] & 0x3f) + 1u;
	hold = (data[0] & 0x80) != 0;
	y = yamux_new((data[0] & 0x40) != 0, STREAMS_MAX, &out, &ops, NULL);
	for (int i = 0; i < 3 && (data[0] & 0x40) != 0; i++) {
		struct stream *st = on_opened(NULL, NULL);

		st->s = yamux_open(y, st);
	}
	for (uint64_t now = 0; at < size && result == 0; at += step, now += 500) {
		result = yamux_input(y, bytes_of(data + at, step < size - at ? step : size - at));
		if (result == 0)
			result = yamux_tick(y, now);
		if (yamux_count(y) > STREAMS_MAX || living > STREAMS_MAX)
			abort();
	}
	if (result == -1 && yamux_error(y)[0] == '\0')
		abort();
	yamux_free(y);
	if (living != 0)
		abort();
	buf_free(&out);
	return 0;
}

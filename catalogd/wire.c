/*
 * wire.c - TCP connections between nodes (contract: wire.h; callers: rpcserver.c, rpcpool.c)
 *
 * One input buffer serves all connections: whoever takes bytes keeps what it needs of them.
 */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "ring.h"

#define READ_BYTES (64u * 1024)
#define READ_TURN_BYTES (1024u * 1024) /* then other connections get their turn */
#define KEEP_BYTES (64u * 1024)
#define WRITE_WAIT_S 10.

struct wires {
	struct ev_loop *loop;
	struct ev_prepare flush;
	struct ring dirty; /* those with output gathered in this turn */
	struct ev_timer
	    kick; /* runs while there is something dirty: what is gathered behind the flush must not wait for the next event */
	uint8_t in[READ_BYTES];
};

struct wire {
	struct ring dirty;
	struct wires *all;
	const struct wire_ops *ops;
	void *ctx;
	int fd;
	struct ev_io read, write;
	struct ev_timer stuck;
	struct buf out;
	size_t sent; /* bytes of out that are written */
	uint64_t out_base;
	const char *broken;                            /* why it ends at the next turn; NULL: it does not */
	bool busy, connected, paused, finishing, full; /* full: not read because its output is not taken */
};

struct buf *
wire_out(struct wire *w)
{
	return &w->out;
}

uint64_t
wire_written(const struct wire *w)
{
	return w->out_base + w->sent;
}

uint64_t
wire_appended(const struct wire *w)
{
	return w->out_base + w->out.used;
}

void
wire_output(struct wire *w)
{
	if (!ring_empty(&w->dirty))
		return;
	ring_append(&w->all->dirty, &w->dirty);
	if (!ev_is_active(&w->all->kick)) {
		ev_timer_set(&w->all->kick, 0., 0.);
		ev_timer_start(w->all->loop, &w->all->kick);
	}
}

static void
reading(struct wire *w)
{
	if (w->paused || w->full || w->finishing || !w->connected)
		ev_io_stop(w->all->loop, &w->read);
	else
		ev_io_start(w->all->loop, &w->read);
}

void
wire_pause(struct wire *w, bool pause)
{
	w->paused = pause;
	reading(w);
}

void
wire_finish(struct wire *w)
{
	w->finishing = true;
	reading(w);
	wire_output(w);
}

void
wire_free(struct wire *w)
{
	if (w->busy)
		panic("wire: freed from within its input");
	ev_io_stop(w->all->loop, &w->read);
	ev_io_stop(w->all->loop, &w->write);
	ev_timer_stop(w->all->loop, &w->stuck);
	ring_remove(&w->dirty);
	close(w->fd);
	buf_free(&w->out);
	free(w);
}

static void
wire_end(struct wire *w, const char *why)
{
	w->ops->ended(w->ctx, why);
	wire_free(w);
}

/* -1: the connection is broken (errno). */
static int
wire_write(struct wire *w)
{
	while (w->sent < w->out.used) {
		ssize_t n = send(w->fd, w->out.data + w->sent, w->out.used - w->sent, MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
		w->sent += (size_t)n;
		if (ev_is_active(&w->stuck))
			ev_timer_again(w->all->loop, &w->stuck);
	}
	return 0;
}

/* Ends it from the loop: whoever is told may answer others, whose output would be gathered behind the flush of this turn. */
static void
wire_break(struct wire *w, const char *why)
{
	w->broken = why;
	ev_timer_stop(w->all->loop, &w->stuck);
	ev_timer_set(&w->stuck, 0., 0.);
	ev_timer_start(w->all->loop, &w->stuck);
}

static void
wire_flush(struct wire *w)
{
	struct ev_loop *loop = w->all->loop;

	if (w->broken != NULL)
		return;
	if (w->out.overflow) {
		wire_break(w, "more waits to be sent than may");
		return;
	}
	if (!w->connected)
		return;
	if (wire_write(w) == -1) {
		wire_break(w, strerror(errno));
		return;
	}
	if (w->sent == w->out.used) {
		w->out_base += w->sent;
		w->sent = 0;
		buf_clear(&w->out);
		if (w->out.size > KEEP_BYTES)
			buf_free(&w->out);
		ev_io_stop(loop, &w->write);
		ev_timer_stop(loop, &w->stuck);
		if (w->finishing)
			wire_break(w, "");
	} else {
		ev_io_start(loop, &w->write);
		if (!ev_is_active(&w->stuck))
			ev_timer_again(loop, &w->stuck);
		if (w->sent > KEEP_BYTES && w->sent > w->out.used / 2) {
			buf_consume(&w->out, w->sent);
			w->out_base += w->sent;
			w->sent = 0;
		}
	}
	if (w->out.used - w->sent > WIRE_OUT_HIGH)
		w->full = true;
	else if (w->out.used - w->sent <= WIRE_OUT_LOW)
		w->full = false;
	reading(w);
}

static void
on_kick(struct ev_loop *loop, struct ev_timer *t, int events)
{
	(void)loop, (void)t, (void)events; /* the flush comes before the loop sleeps again */
}

static void
on_flush(struct ev_loop *loop, struct ev_prepare *p, int events)
{
	struct wires *all = p->data;

	(void)events;
	ev_timer_stop(loop, &all->kick);
	while (!ring_empty(&all->dirty)) {
		struct wire *w = RING_ENTRY(all->dirty.next, struct wire, dirty);

		ring_remove(&w->dirty);
		wire_flush(w);
	}
}

static void
on_stuck(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct wire *w = t->data;

	(void)loop, (void)events;
	wire_end(w, w->broken != NULL ? w->broken : w->connected ? "the peer takes nothing" : "no connection in time");
}

static void
on_writable(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct wire *w = io->data;

	(void)events;
	if (!w->connected) {
		int error = 0;
		socklen_t size = sizeof error;

		if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1)
			error = errno;
		if (error != 0) {
			wire_end(w, strerror(error));
			return;
		}
		w->connected = true;
		ev_timer_stop(loop, &w->stuck);
		ev_io_stop(loop, &w->write);
	}
	wire_flush(w);
}

static void
on_readable(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct wire *w = io->data;
	const char *why = NULL;

	(void)loop, (void)events;
	w->busy = true;
	for (size_t turn = 0; why == NULL && turn < READ_TURN_BYTES && !w->paused && !w->finishing;) {
		ssize_t n = recv(w->fd, w->all->in, READ_BYTES, 0);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0)
			why = n == 0 ? "EOF" : strerror(errno);
		else if (w->ops->input(w->ctx, bytes_of(w->all->in, (size_t)n)) == -1) {
			why = "";
			(void)wire_write(w); /* the connection ends anyway */
		}
		if (n > 0)
			turn += (size_t)n;
		if (n < (ssize_t)READ_BYTES || w->out.used - w->sent > WIRE_OUT_HIGH)
			break;
	}
	w->busy = false;
	if (why != NULL)
		wire_end(w, why);
}

struct wire *
wire_new(struct wires *all, int fd, const struct wire_ops *ops, void *ctx)
{
	struct wire *w = xcalloc(1, sizeof *w);

	w->all = all;
	w->ops = ops;
	w->ctx = ctx;
	w->fd = fd;
	ring_init(&w->dirty);
	buf_init(&w->out, WIRE_OUT_MAX);
	ev_io_init(&w->read, on_readable, fd, EV_READ);
	ev_io_init(&w->write, on_writable, fd, EV_WRITE);
	ev_init(&w->stuck, on_stuck);
	w->stuck.repeat = WRITE_WAIT_S;
	w->read.data = w->write.data = w->stuck.data = w;
	ev_io_start(all->loop, &w->write); /* at once if it is connected */
	ev_timer_again(all->loop, &w->stuck);
	return w;
}

struct wires *
wires_new(struct ev_loop *loop)
{
	struct wires *all = xcalloc(1, sizeof *all);

	all->loop = loop;
	ring_init(&all->dirty);
	ev_init(&all->kick, on_kick);
	ev_prepare_init(&all->flush, on_flush);
	ev_set_priority(&all->flush, EV_MINPRI);
	all->flush.data = all;
	ev_prepare_start(loop, &all->flush);
	ev_unref(loop);
	return all;
}

void
wires_free(struct wires *all)
{
	if (all == NULL)
		return;
	ev_timer_stop(all->loop, &all->kick);
	ev_ref(all->loop);
	ev_prepare_stop(all->loop, &all->flush);
	free(all);
}

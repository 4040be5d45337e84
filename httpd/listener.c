/*
 * listener.c - listening sockets (contract: listener.h; caller: conn.c)
 */
#include "listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"

#define MODULE "agent.http"
#define ACCEPT_BATCH 64
#define RETRY_S 0.1
#define KEEPALIVE_S 30

struct listener {
	struct ev_loop *loop;
	struct ev_io io;
	struct ev_timer retry; /* after EMFILE: the socket stays readable, do not spin on it */
	void (*accepted)(void *ctx, int fd, const union net_addr *peer);
	void *ctx;
	struct log_limit full_log;
};

static void
on_retry(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct listener *l = w->data;

	(void)events;
	ev_io_start(loop, &l->io);
}

static void
on_accept(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct listener *l = w->data;
	unsigned suppressed;

	(void)events;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		union net_addr peer = {.storage = {0}};
		socklen_t size = sizeof peer;
		int fd = accept4(w->fd, &peer.sa, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd == -1) {
			if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
				return;
			if (log_allowed(&l->full_log, 2, &suppressed))
				log_warn(MODULE, "can not accept a connection, trying again in 100 ms");
			ev_io_stop(loop, w);
			ev_timer_set(&l->retry, RETRY_S, 0.);
			ev_timer_start(loop, &l->retry);
			return;
		}
		l->accepted(l->ctx, fd, &peer);
	}
}

struct listener *
listener_new(struct ev_loop *loop, int fd, void (*accepted)(void *ctx, int fd, const union net_addr *peer), void *ctx)
{
	struct listener *l = xcalloc(1, sizeof *l);
	int on = 1, seconds = KEEPALIVE_S;

	/* Accepted sockets inherit these; on a Unix socket they mean nothing. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
	l->loop = loop;
	l->accepted = accepted;
	l->ctx = ctx;
	ev_io_init(&l->io, on_accept, fd, EV_READ);
	ev_timer_init(&l->retry, on_retry, RETRY_S, 0.);
	l->io.data = l->retry.data = l;
	ev_io_start(loop, &l->io);
	return l;
}

void
listener_free(struct listener *l)
{
	ev_io_stop(l->loop, &l->io);
	ev_timer_stop(l->loop, &l->retry);
	close(l->io.fd);
	free(l);
}

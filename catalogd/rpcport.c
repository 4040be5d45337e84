/*
 * rpcport.c - the port between nodes (contract: rpcport.h; caller: main.c)
 *
 * Accepts; what a connection is for is remote.c's and rpcserver.c's to find out.
 */
#include "rpcport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"
#include "remote.h"

#define SOCKETS_MAX 8
#define ACCEPT_TURN_MAX 16
#define PAUSE_S 0.1

struct port {
	struct ev_io io;
	struct ev_timer pause; /* without descriptors the socket stays readable: do not spin on it */
	struct remote *remote;
};

static void
on_pause(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct port *p = w->data;

	(void)events;
	ev_io_start(loop, &p->io);
}

static void
on_connection(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct port *p = w->data;

	(void)events;
	for (int i = 0; i < ACCEPT_TURN_MAX; i++) {
		union net_addr from;
		socklen_t size = sizeof from;
		int fd = accept4(w->fd, &from.sa, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
				ev_io_stop(loop, w);
				ev_timer_set(&p->pause, PAUSE_S, 0.);
				ev_timer_start(loop, &p->pause);
			}
			return;
		}
		remote_accepted(p->remote, fd, &from);
	}
}

int
rpcport_open(struct catalogd *c)
{
	static struct port ports[SOCKETS_MAX]; /* open as long as the process */
	int fds[SOCKETS_MAX], count = daemon_sockets(c->daemon, "rpc", fds, SOCKETS_MAX);

	for (int i = 0; i < count; i++) {
		struct port *p = &ports[i];

		ev_io_init(&p->io, on_connection, fds[i], EV_READ);
		ev_timer_init(&p->pause, on_pause, 0., 0.);
		p->io.data = p->pause.data = p;
		p->remote = c->remote;
		ev_io_start(c->loop, &p->io);
	}
	return count == -1 ? -1 : 0;
}

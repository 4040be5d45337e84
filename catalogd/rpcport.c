/*
 * rpcport.c - the port between nodes (contract: rpcport.h; caller: main.c)
 *
 * This version runs one server alone, so nobody has business here; the port is held so that others find it taken by the right program.
 */
#include "rpcport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"

#define MODULE "agent.server.rpc"
#define SOCKETS_MAX 8
#define ACCEPT_TURN_MAX 16
#define PAUSE_S 0.1

struct port {
	struct ev_io io;
	struct ev_timer pause; /* without descriptors the socket stays readable: do not spin on it */
	struct log_limit limit;
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
	unsigned suppressed;

	(void)events;
	for (int i = 0; i < ACCEPT_TURN_MAX; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
				ev_io_stop(loop, w);
				ev_timer_set(&p->pause, PAUSE_S, 0.);
				ev_timer_start(loop, &p->pause);
			}
			return;
		}
		close(fd);
		if (log_allowed(&p->limit, 3, &suppressed))
			log_warnx(MODULE,
			    "calls from other nodes are not served by this version, connection closed: suppressed=%u",
			    suppressed);
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
		ev_io_start(c->loop, &p->io);
	}
	return count == -1 ? -1 : 0;
}

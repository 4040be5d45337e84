/*
 * rpcport.c - the port between nodes (contract: rpcport.h; caller: main.c)
 *
 * The first byte says what a connection is. One of Raft goes to raftd before anything else is read; others are not served by this version.
 */
#include "rpcport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "mp.h"
#include "net.h"

#define MODULE "agent.server.rpc"
#define SOCKETS_MAX 8
#define ACCEPT_TURN_MAX 16
#define PAUSE_S 0.1
#define FIRST_BYTE_RAFT 0xC5
#define FIRST_BYTE_S 5.0
#define HANDOVER_MS 1000
#define WAITING_MAX 256 /* connections that have said nothing */

struct port {
	struct ev_io io;
	struct catalogd *c;
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

/* A connection whose first byte is awaited. */
struct newcomer {
	struct ev_io io;
	struct ev_timer late;
	struct port *port;
	char peer[NET_ADDR_TEXT_MAX];
};

static size_t waiting;

static void
newcomer_free(struct ev_loop *loop, struct newcomer *n)
{
	ev_io_stop(loop, &n->io);
	ev_timer_stop(loop, &n->late);
	free(n);
	waiting--;
}

static void
on_handed(void *ctx, const struct ipc_answer *answer)
{
	(void)ctx, (void)answer; /* raftd owns the socket, or the other side dials again */
}

static void
raft_hand_over(struct newcomer *n)
{
	struct buf args = BUF_INIT(256);

	mp_put_map(&args, 1);
	mp_put_kv_cstr(&args, "From", n->peer);
	(void)ipc_call(daemon_peer(n->port->c->daemon, "raftd"), "Raft.Accept", buf_bytes(&args),
	    &(struct ipc_call_options){.timeout_ms = HANDOVER_MS, .fd = n->io.fd}, on_handed, NULL);
	buf_free(&args);
}

static void
on_first_byte(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct newcomer *n = w->data;
	uint8_t first = 0;
	unsigned suppressed;

	(void)events;
	if (recv(w->fd, &first, 1, 0) == 1 && first == FIRST_BYTE_RAFT) {
		raft_hand_over(n);
	} else {
		close(w->fd);
		if (log_allowed(&n->port->limit, 3, &suppressed))
			log_warnx(MODULE,
			    "calls from other nodes are not served by this version, connection closed: from=%s "
			    "suppressed=%u",
			    n->peer, suppressed);
	}
	newcomer_free(loop, n);
}

static void
on_late(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct newcomer *n = w->data;

	(void)events;
	close(n->io.fd);
	newcomer_free(loop, n);
}

static void
newcomer_add(struct ev_loop *loop, struct port *p, int fd, const union net_addr *from)
{
	struct newcomer *n = xcalloc(1, sizeof *n);

	n->port = p;
	net_addr_text_port(from, n->peer);
	ev_io_init(&n->io, on_first_byte, fd, EV_READ);
	ev_timer_init(&n->late, on_late, FIRST_BYTE_S, 0.);
	n->io.data = n->late.data = n;
	ev_io_start(loop, &n->io);
	ev_timer_start(loop, &n->late);
	waiting++;
}

static void
on_connection(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct port *p = w->data;

	(void)events;
	for (int i = 0; i < ACCEPT_TURN_MAX; i++) {
		union net_addr from = {0};
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
		if (waiting == WAITING_MAX)
			close(fd);
		else
			newcomer_add(loop, p, fd, &from);
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
		p->c = c;
		ev_io_start(c->loop, &p->io);
	}
	return count == -1 ? -1 : 0;
}

/*
 * packets.c - the pools' sockets (contract: packets.h; caller: main.c)
 *
 * This node is alone in its pools: it holds its ports, so that nobody else gets them and a later version changes nothing for the operator,
 * but it takes part in no conversation. What arrives is counted and dropped, connections are closed.
 */
#include "packets.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "net.h"

#define SOCKETS_MAX 16
#define BATCH 64    /* packets or connections taken in one turn */
#define LOG_BURST 5 /* lines a minute that a peer can provoke */

struct pool_socket {
	ev_io io;
	const char *module;
	bool datagram;
};

static struct {
	struct pool_socket sockets[SOCKETS_MAX];
	size_t count;
	uint64_t dropped;
	struct log_limit limit;
} packets;

static void
dropped(const struct pool_socket *s, const union net_addr *from)
{
	char text[NET_ADDR_TEXT_MAX];
	unsigned suppressed;

	packets.dropped++;
	if (log_allowed(&packets.limit, LOG_BURST, &suppressed))
		log_warnx(s->module,
		    "memberlist: %s dropped, this node does not take part in a pool yet: from=%s suppressed=%u",
		    s->datagram ? "packet" : "connection", net_addr_text_port(from, text), suppressed);
}

static void
on_packet(struct ev_loop *loop UNUSED, ev_io *io, int events UNUSED)
{
	struct pool_socket *s = io->data;
	union net_addr from;
	uint8_t byte;

	for (int i = 0; i < BATCH; i++) {
		socklen_t length = sizeof from;

		if (recvfrom(io->fd, &byte, sizeof byte, MSG_DONTWAIT | MSG_TRUNC, &from.sa, &length) == -1)
			return;
		dropped(s, &from);
	}
}

static void
on_connection(struct ev_loop *loop UNUSED, ev_io *io, int events UNUSED)
{
	struct pool_socket *s = io->data;
	union net_addr from;

	for (int i = 0; i < BATCH; i++) {
		socklen_t length = sizeof from;
		int fd = accept4(io->fd, &from.sa, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd == -1)
			return;
		close(fd);
		dropped(s, &from);
	}
}

int
packets_open(struct daemon *d)
{
	bool server = conf_bool(daemon_conf(d), "server", false);
	const struct {
		const char *name, *module;
		bool datagram;
	} kinds[] = {
	    {"serf-lan-udp", server ? "agent.server.memberlist.lan" : "agent.client.memberlist.lan", true},
	    {"serf-lan-tcp", server ? "agent.server.memberlist.lan" : "agent.client.memberlist.lan", false},
	    {"serf-wan-udp", "agent.server.memberlist.wan", true},
	    {"serf-wan-tcp", "agent.server.memberlist.wan", false},
	};
	int fds[SOCKETS_MAX];

	for (size_t i = 0; i < COUNTOF(kinds); i++) {
		int count = daemon_sockets(d, kinds[i].name, fds, SOCKETS_MAX - packets.count);

		if (count == -1)
			return -1;
		for (int k = 0; k < count; k++) {
			struct pool_socket *s = &packets.sockets[packets.count++];

			s->module = kinds[i].module;
			s->datagram = kinds[i].datagram;
			ev_io_init(&s->io, s->datagram ? on_packet : on_connection, fds[k], EV_READ);
			s->io.data = s;
			ev_io_start(daemon_loop(d), &s->io);
		}
	}
	return 0;
}

void
packets_close(struct daemon *d)
{
	while (packets.count > 0) {
		struct pool_socket *s = &packets.sockets[--packets.count];

		ev_io_stop(daemon_loop(d), &s->io);
		close(s->io.fd);
	}
}

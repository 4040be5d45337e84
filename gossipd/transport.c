/*
 * transport.c - a pool's sockets and packets (contract: transport.h; caller: pool.c)
 *
 * Packets go out and come in by batches, one system call for up to 32 of them. A receive buffer of 2 MiB is asked for, halved until the
 * kernel agrees: a burst of gossip must not push out the acks.
 */
#include "transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"
#include "transport_internal.h"

#define RECEIVE_BUFFER_BYTES (2 * 1024 * 1024)
#define RECEIVE_BUFFER_BYTES_MIN (64 * 1024)
#define RECEIVE_BATCH 16
#define RECEIVE_ROUNDS 8 /* batches in one turn of the loop */
#define OUTGOING_KEEP_BYTES 8192
#define ACCEPT_BATCH 64
#define ACCEPT_PAUSE_S 0.005
#define ACCEPT_PAUSE_MAX_S 1.

/* ---- addresses ---- */

void
transport_address_of(const union net_addr *a, struct swim_address *out)
{
	if (a->sa.sa_family == AF_INET)
		swim_address_of(bytes_of(&a->in.sin_addr, 4), ntohs(a->in.sin_port), 0, out);
	else
		swim_address_of(bytes_of(&a->in6.sin6_addr, 16), ntohs(a->in6.sin6_port), 0, out);
}

void
transport_net_addr_of(const struct swim_address *a, union net_addr *out)
{
	memset(out, 0, sizeof *out);
	if (a->ip_size == 4) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(a->port);
		memcpy(&out->in.sin_addr, a->ip, 4);
	} else {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons(a->port);
		memcpy(&out->in6.sin6_addr, a->ip, 16);
	}
}

static void
map_to_v6(union net_addr *a)
{
	struct in_addr ip = a->in.sin_addr;
	in_port_t port = a->in.sin_port;

	memset(a, 0, sizeof *a);
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = port;
	a->in6.sin6_addr.s6_addr[10] = a->in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&a->in6.sin6_addr.s6_addr[12], &ip, 4);
}

/* ---- sending ---- */

/* The socket that can reach it: of its family, else one of IPv6 for an IPv4 address. -1: none. */
static int
socket_for(const struct transport *t, union net_addr *to)
{
	for (size_t i = 0; i < t->config.datagram_count; i++)
		if (t->v6[i] == (to->sa.sa_family == AF_INET6))
			return t->datagrams[i].io.fd;
	if (t->config.datagram_count == 0 || to->sa.sa_family == AF_INET6)
		return -1;
	map_to_v6(to);
	return t->datagrams[0].io.fd;
}

void
transport_packet(struct transport *t, const struct swim_address *to, struct bytes message, bool crc)
{
	struct outgoing *o;

	if (t->outgoing_count == PACKETS_BATCH)
		transport_flush(t);
	o = &t->outgoing[t->outgoing_count];
	transport_net_addr_of(to, &o->to);
	buf_clear(&o->packet);
	envelope_packet_put(t->config.envelope, message, crc, &o->packet);
	if (!o->packet.overflow)
		t->outgoing_count++;
}

static void
not_sent(struct transport *t, const union net_addr *to)
{
	char text[NET_ADDR_TEXT_MAX];
	unsigned suppressed;

	/* a full buffer or a node that is gone is what the protocol is made for */
	if (errno == EAGAIN || errno == ECONNREFUSED || errno == ENOBUFS)
		return;
	if (log_allowed(&t->failed_sends, LOG_BURST, &suppressed))
		log_warn(t->config.module, "memberlist: failed to send a packet: to=%s suppressed=%u",
		    net_addr_text_port(to, text), suppressed);
}

void
transport_flush(struct transport *t)
{
	struct mmsghdr headers[PACKETS_BATCH];
	struct iovec vectors[PACKETS_BATCH];
	size_t at = 0;

	while (at < t->outgoing_count) {
		int fd = socket_for(t, &t->outgoing[at].to), sent;
		unsigned count = 0;

		if (fd == -1) {
			errno = EAFNOSUPPORT;
			not_sent(t, &t->outgoing[at++].to);
			continue;
		}
		/* a run of packets that leave by the same socket */
		do {
			struct outgoing *o = &t->outgoing[at + count];

			vectors[count] = (struct iovec){o->packet.data, o->packet.used};
			headers[count] = (struct mmsghdr){.msg_hdr = {.msg_name = &o->to.sa,
							      .msg_namelen = net_addr_len(&o->to),
							      .msg_iov = &vectors[count],
							      .msg_iovlen = 1}};
			count++;
		} while (at + count < t->outgoing_count && socket_for(t, &t->outgoing[at + count].to) == fd);
		sent = sendmmsg(fd, headers, count, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent == -1) { /* the first one: on with the next */
			not_sent(t, &t->outgoing[at].to);
			sent = 1;
		}
		at += (size_t)sent;
	}
	for (size_t i = 0; i < t->outgoing_count; i++)
		if (t->outgoing[i].packet.size > OUTGOING_KEEP_BYTES)
			buf_free(&t->outgoing[i].packet);
	t->outgoing_count = 0;
}

/* ---- receiving ---- */

struct part_ctx {
	struct transport *t;
	struct swim_address from;
};

static void
on_part(void *ctx, struct bytes message)
{
	struct part_ctx *p = ctx;

	p->t->ops->part(p->t->ctx, &p->from, message);
}

static void
packet_take(struct transport *t, const union net_addr *from, struct bytes packet)
{
	struct part_ctx part = {.t = t};
	char text[NET_ADDR_TEXT_MAX];
	struct bytes message;
	const char *why = "a part of it is cut off or not understood";
	unsigned suppressed;

	transport_address_of(from, &part.from);
	if (envelope_packet_open(t->config.envelope, packet, &t->plain, &message, &why) == 0 &&
	    envelope_parts(message, on_part, &part) == 0)
		return;
	if (log_allowed(&t->bad_packets, LOG_BURST, &suppressed))
		log_errorx(t->config.module, "memberlist: dropped a packet: error=%s from=%s suppressed=%u",
		    log_quote(why), net_addr_text_port(from, text), suppressed);
}

static void
on_packets(struct ev_loop *loop, ev_io *io, int events)
{
	static uint8_t space[RECEIVE_BATCH][GOSSIP_PACKET_MAX];
	struct transport_socket *s = io->data;
	struct mmsghdr headers[RECEIVE_BATCH];
	struct iovec vectors[RECEIVE_BATCH];
	union net_addr from[RECEIVE_BATCH];

	(void)loop, (void)events;
	for (int round = 0; round < RECEIVE_ROUNDS; round++) {
		int count;

		for (int i = 0; i < RECEIVE_BATCH; i++) {
			vectors[i] = (struct iovec){space[i], sizeof space[i]};
			headers[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &from[i],
							  .msg_namelen = sizeof from[i],
							  .msg_iov = &vectors[i],
							  .msg_iovlen = 1}};
		}
		count = recvmmsg(io->fd, headers, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < count; i++)
			packet_take(s->transport, &from[i], bytes_of(space[i], headers[i].msg_len));
		if (count < RECEIVE_BATCH)
			return;
	}
}

/* ---- connections ---- */

static void
listeners_watch(struct transport *t, bool on)
{
	for (size_t i = 0; i < t->config.listener_count; i++)
		if (on)
			ev_io_start(t->loop, &t->listeners[i].io);
		else
			ev_io_stop(t->loop, &t->listeners[i].io);
}

static void
on_accept_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	listeners_watch(timer->data, true);
}

static void
accept_failed(struct transport *t)
{
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	/* no descriptors: a while without looking, longer each time */
	t->accept_pause_s = MIN(t->accept_pause_s == 0. ? ACCEPT_PAUSE_S : 2. * t->accept_pause_s, ACCEPT_PAUSE_MAX_S);
	log_error(t->config.module, "memberlist: Error accepting TCP connection");
	listeners_watch(t, false);
	ev_timer_set(&t->accept_pause, t->accept_pause_s, 0.);
	ev_timer_start(t->loop, &t->accept_pause);
}

static void
on_connections(struct ev_loop *loop, ev_io *io, int events)
{
	struct transport_socket *s = io->data;

	(void)loop, (void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		union net_addr from;
		socklen_t length = sizeof from;
		int fd = accept4(io->fd, &from.sa, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd == -1) {
			accept_failed(s->transport);
			return;
		}
		s->transport->accept_pause_s = 0.;
		stream_accept(s->transport, fd, &from);
	}
}

/* ---- life ---- */

static void
receive_buffer_grow(int fd)
{
	for (int bytes = RECEIVE_BUFFER_BYTES; bytes >= RECEIVE_BUFFER_BYTES_MIN; bytes /= 2)
		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0)
			return;
}

static bool
is_v6(int fd)
{
	union net_addr a = {.sa = {.sa_family = AF_UNSPEC}};
	socklen_t length = sizeof a;

	return getsockname(fd, &a.sa, &length) == 0 && a.sa.sa_family == AF_INET6;
}

static void
socket_watch(struct transport *t, struct transport_socket *s, int fd, void (*on_event)(struct ev_loop *, ev_io *, int))
{
	s->transport = t;
	ev_io_init(&s->io, on_event, fd, EV_READ);
	s->io.data = s;
	ev_io_start(t->loop, &s->io);
}

struct transport *
transport_new(struct ev_loop *loop, const struct transport_config *config, const struct transport_ops *ops, void *ctx)
{
	struct transport *t = xcalloc(1, sizeof *t);

	t->loop = loop;
	t->config = *config;
	t->ops = ops;
	t->ctx = ctx;
	ring_init(&t->streams);
	buf_init(&t->plain, GOSSIP_PACKET_MAX);
	for (size_t i = 0; i < PACKETS_BATCH; i++)
		buf_init(&t->outgoing[i].packet, 2 * GOSSIP_PACKET_MAX);
	ev_timer_init(&t->accept_pause, on_accept_pause_over, 0., 0.);
	t->accept_pause.data = t;
	for (size_t i = 0; i < config->datagram_count; i++) {
		receive_buffer_grow(config->datagrams[i]);
		t->v6[i] = is_v6(config->datagrams[i]);
		socket_watch(t, &t->datagrams[i], config->datagrams[i], on_packets);
	}
	for (size_t i = 0; i < config->listener_count; i++)
		socket_watch(t, &t->listeners[i], config->listeners[i], on_connections);
	return t;
}

void
transport_free(struct transport *t)
{
	if (t == NULL)
		return;
	streams_free(t);
	ev_timer_stop(t->loop, &t->accept_pause);
	for (size_t i = 0; i < t->config.datagram_count; i++) {
		ev_io_stop(t->loop, &t->datagrams[i].io);
		close(t->datagrams[i].io.fd);
	}
	for (size_t i = 0; i < t->config.listener_count; i++) {
		ev_io_stop(t->loop, &t->listeners[i].io);
		close(t->listeners[i].io.fd);
	}
	for (size_t i = 0; i < PACKETS_BATCH; i++)
		buf_free(&t->outgoing[i].packet);
	buf_free(&t->plain);
	free(t);
}

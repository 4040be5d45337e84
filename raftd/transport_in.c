/*
 * transport_in.c - connections of other servers to this one (contract: transport.h; caller: serve.c hands over the sockets)
 *
 * First a hello within GREETING_S, answered once: by a welcome, or by the reason why not and the end. Then messages, each behind its
 * length and checksum, until one is wrong. There is one connection per server: a newer one replaces the older, which may be half dead.
 *
 * Lengths are judged before anything is allocated; a stranger gets no more than the hello's few bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crc32c.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "transport_internal.h"

#define READ_BYTES (256u * 1024)
#define IN_KEEP_BYTES (512u * 1024)

struct incoming {
	struct ring all;
	struct transport *transport;
	struct raft_id id; /* none: it has not said */
	char peer[NET_ADDR_TEXT_MAX];
	int fd;
	struct ev_io read;
	struct ev_timer greeting;
	struct buf in;
};

static void
incoming_close(struct incoming *c)
{
	struct transport *t = c->transport;

	ring_remove(&c->all);
	t->incoming_count--;
	t->stranger_count -= raft_id_is_none(c->id);
	ev_io_stop(t->loop, &c->read);
	ev_timer_stop(t->loop, &c->greeting);
	close(c->fd);
	buf_free(&c->in);
	free(c);
}

void
transport_in_close_all(struct transport *t)
{
	while (!ring_empty(&t->incoming))
		incoming_close(RING_ENTRY(t->incoming.next, struct incoming, all));
}

/* Says why, there and here. c is gone afterwards. */
static void PRINTF_LIKE(2, 3) incoming_refuse(struct incoming *c, const char *fmt, ...)
{
	uint8_t reply[2 + TRANSPORT_REFUSAL_MAX];
	char *text = (char *)reply + 2;
	unsigned suppressed;
	va_list args;
	size_t size;

	va_start(args, fmt);
	vsnprintf(text, TRANSPORT_REFUSAL_MAX, fmt, args);
	va_end(args);
	size = strlen(text);
	reply[0] = (uint8_t)(size >> 8);
	reply[1] = (uint8_t)size;
	if (log_allowed(&c->transport->refusals, 6, &suppressed))
		log_warnx(MODULE, "a server's connection was refused: from=%s error=%s suppressed=%u", c->peer,
		    log_quote(text), suppressed);
	/* a socket without anything in it takes so little at once; if not, the other side learns less */
	(void)send(c->fd, reply, 2 + size, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(c->fd, SHUT_WR);
	incoming_close(c);
}

/* ---- hello ---- */

struct hello {
	struct raft_id cluster, from, to;
	char address[MEMBER_ADDRESS_MAX];
};

/* The connections of that server before this one. */
static void
replace_former(struct transport *t, const struct incoming *by)
{
	struct ring *next;

	for (struct ring *r = t->incoming.next; r != &t->incoming; r = next) {
		struct incoming *c = RING_ENTRY(r, struct incoming, all);

		next = r->next;
		if (c != by && raft_id_equal(c->id, by->id))
			incoming_close(c);
	}
}

/* false: refused, c is gone. */
static bool
hello_judge(struct incoming *c, const struct hello *h)
{
	struct transport *t = c->transport;
	char one[UUID_TEXT_SIZE], other[UUID_TEXT_SIZE];

	if (!raft_id_equal(h->to, t->self)) {
		incoming_refuse(
		    c, "this is server %s, not %s", raft_id_format(t->self, one), raft_id_format(h->to, other));
		return false;
	}
	if (raft_id_is_none(h->from) || raft_id_equal(h->from, t->self)) {
		incoming_refuse(c, "server %s has this server's node ID", raft_id_format(h->from, one));
		return false;
	}
	if (!raft_id_is_none(h->cluster) && !raft_id_is_none(t->cluster) && !raft_id_equal(h->cluster, t->cluster)) {
		incoming_refuse(c, "this server belongs to cluster %s, not %s", raft_id_format(t->cluster, one),
		    raft_id_format(h->cluster, other));
		return false;
	}
	if (raft_id_is_none(h->cluster) && !raft_id_is_none(t->cluster) && transport_peer_find(t, h->from) == NULL) {
		incoming_refuse(c, "server %s is not a member of this cluster", raft_id_format(h->from, one));
		return false;
	}
	return true;
}

/* 1: read and answered; 0: incomplete; -1: c is gone. */
static int
hello_take(struct incoming *c)
{
	static const uint8_t welcome[2];
	struct transport *t = c->transport;
	const uint8_t *p = c->in.data;
	struct hello h;
	size_t size;

	if (c->in.used > 0 && p[0] != TRANSPORT_VERSION) {
		incoming_refuse(
		    c, "version %u of the protocol is not spoken here, version %u is", p[0], TRANSPORT_VERSION);
		return -1;
	}
	if (c->in.used < HELLO_HEAD_BYTES)
		return 0;
	h.cluster = raft_id_from_bytes(p + 1);
	h.from = raft_id_from_bytes(p + 17);
	h.to = raft_id_from_bytes(p + 33);
	size = p[49];
	if (size >= sizeof h.address) {
		incoming_refuse(c, "an address of %zu bytes is too long", size);
		return -1;
	}
	if (c->in.used < HELLO_HEAD_BYTES + size)
		return 0;
	if (bytes_to_str(bytes_of(p + HELLO_HEAD_BYTES, size), h.address, sizeof h.address) == -1) {
		incoming_refuse(c, "the address is not a text");
		return -1;
	}
	if (!hello_judge(c, &h))
		return -1;
	if (send(c->fd, welcome, sizeof welcome, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof welcome) {
		incoming_close(c);
		return -1;
	}
	buf_consume(&c->in, HELLO_HEAD_BYTES + size);
	c->in.max = FRAME_HEAD_BYTES + TRANSPORT_MESSAGE_BYTES_MAX + READ_BYTES;
	c->id = h.from;
	t->stranger_count--;
	ev_timer_stop(t->loop, &c->greeting);
	replace_former(t, c);
	t->ops->learned(t->ctx, h.from, h.address);
	return 1;
}

/* ---- messages ---- */

static void
broken(struct incoming *c, const char *what)
{
	char id[UUID_TEXT_SIZE];
	unsigned suppressed;

	if (log_allowed(&c->transport->refusals, 6, &suppressed))
		log_warnx(MODULE, "a server's connection is broken: server-id=%s from=%s error=%s suppressed=%u",
		    raft_id_format(c->id, id), c->peer, log_quote(what), suppressed);
	incoming_close(c);
}

/* All that are whole. c may be gone afterwards. */
static void
messages_take(struct incoming *c)
{
	struct transport *t = c->transport;
	size_t at = 0;

	while (c->in.used - at >= FRAME_HEAD_BYTES) {
		const uint8_t *p = c->in.data + at;
		uint32_t size = be32_at(p);

		if (size > TRANSPORT_MESSAGE_BYTES_MAX) {
			broken(c, "a message is too long");
			return;
		}
		if (c->in.used - at - FRAME_HEAD_BYTES < size)
			break;
		if (crc32c(0, p + FRAME_HEAD_BYTES, size) != be32_at(p + 4)) {
			broken(c, "a message has another checksum");
			return;
		}
		t->ops->message(t->ctx, c->id, bytes_of(p + FRAME_HEAD_BYTES, size));
		at += FRAME_HEAD_BYTES + size;
	}
	buf_consume(&c->in, at);
	if (c->in.used == 0 && c->in.size > IN_KEEP_BYTES)
		buf_free(&c->in);
}

static void
on_read(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct incoming *c = w->data;
	size_t wanted = raft_id_is_none(c->id) ? c->in.max - c->in.used : READ_BYTES;
	uint8_t *space = buf_space(&c->in, wanted);
	ssize_t n;

	(void)loop, (void)events;
	if (space == NULL)
		panic("transport: a message has outgrown its bound");
	n = recv(c->fd, space, wanted, 0);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) { /* the dialler logs its end; here nothing is lost */
		incoming_close(c);
		return;
	}
	buf_commit(&c->in, (size_t)n);
	if (raft_id_is_none(c->id) && hello_take(c) != 1)
		return;
	messages_take(c);
}

static void
on_greeting_late(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)events;
	incoming_refuse(w->data, "no hello in time");
}

/* Room for one more: the oldest of those who have not said who they are goes. */
static void
strangers_limit(struct transport *t)
{
	if (t->stranger_count < TRANSPORT_STRANGERS_MAX)
		return;
	for (struct ring *r = t->incoming.next; r != &t->incoming; r = r->next) {
		struct incoming *c = RING_ENTRY(r, struct incoming, all);

		if (raft_id_is_none(c->id)) {
			incoming_refuse(c, "too many connections wait for their hello");
			return;
		}
	}
}

void
transport_accept(struct transport *t, int fd, const char *peer)
{
	struct incoming *c = xcalloc(1, sizeof *c);

	strangers_limit(t);
	c->transport = t;
	c->fd = fd;
	snprintf(c->peer, sizeof c->peer, "%s", peer);
	buf_init(&c->in, HELLO_HEAD_BYTES + MEMBER_ADDRESS_MAX);
	ring_append(&t->incoming, &c->all);
	t->incoming_count++;
	t->stranger_count++;
	ev_io_init(&c->read, on_read, fd, EV_READ);
	ev_timer_init(&c->greeting, on_greeting_late, GREETING_S, 0.);
	c->read.data = c->greeting.data = c;
	ev_io_start(t->loop, &c->read);
	ev_timer_start(t->loop, &c->greeting);
	if (net_set_nonblock(fd, true) == -1) {
		incoming_close(c);
		return;
	}
	transport_socket_tune(fd);
	if (t->incoming_count > TRANSPORT_INCOMING_MAX)
		incoming_refuse(c, "too many connections");
}

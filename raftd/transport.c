/*
 * transport.c - outgoing connections to the other servers (contract: transport.h; incoming ones: transport_in.c; caller: node_peers.c)
 *
 * A connection is dialled when there is something to send, at the earliest after a back-off with jitter. While it is being made, messages
 * gather up to a small bound; afterwards the queue holds what Raft has under way (its own flow control), so that the bound is met only
 * if that fails. Nothing is read on it after the welcome: whatever comes is its end.
 *
 * A peer that is stopped or cut off: the kernel gives up after UNACKED_MS, and a connection that does not come about in GREETING_S is
 * closed, so that it takes about a second to be back after the network is.
 */
#include "transport.h"

#include <errno.h>
#include <netinet/tcp.h>
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

#define BACKOFF_FIRST_S 0.02
#define BACKOFF_MAX_S 1.0
#define UNACKED_MS 3000
#define KEEPALIVE_S 5
#define KEEPALIVE_PROBES 3
#define CONNECTING_BYTES_MAX (256u * 1024)
#define CONSUME_BYTES_MIN (1024u * 1024)
#define OUT_KEEP_BYTES (256u * 1024)

/* ---- sockets ---- */

void
transport_socket_tune(int fd)
{
	const int on = 1, idle = KEEPALIVE_S, probes = KEEPALIVE_PROBES, unacked = UNACKED_MS;

	/* a socket of another kind, in tests, has none of these */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof idle);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked, sizeof unacked);
}

/* A non-blocking connect that has begun. -1: errno. */
static int
dial(const char *address)
{
	union net_addr a;
	int fd, saved_errno;

	if (net_addr_parse_port(address, &a) == -1) {
		errno = EDESTADDRREQ;
		return -1;
	}
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	transport_socket_tune(fd);
	if (connect(fd, &a.sa, net_addr_len(&a)) == 0 || errno == EINPROGRESS)
		return fd;
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return -1;
}

/* ---- one peer ---- */

static void
peer_hang_up(struct peer *p)
{
	if (p->fd == -1)
		return;
	ev_io_stop(p->transport->loop, &p->read);
	ev_io_stop(p->transport->loop, &p->write);
	ev_timer_stop(p->transport->loop, &p->greeting);
	close(p->fd);
	p->fd = -1;
	p->state = PEER_AWAY;
	p->transport->lost += p->messages;
	p->messages = 0;
	buf_free(&p->out);
	p->sent = 0;
	p->reply_bytes = 0;
}

/* The connection is of no use; why is logged when it is news. */
static void
peer_failed(struct peer *p, const char *why)
{
	char id[UUID_TEXT_SIZE];

	peer_hang_up(p);
	p->backoff_s = MIN(MAX(p->backoff_s * 2, BACKOFF_FIRST_S), BACKOFF_MAX_S);
	/* half of it to the whole, so that servers that lost each other do not meet in step */
	p->retry_at = ev_now(p->transport->loop) + p->backoff_s * (0.5 + (double)random_below(1000) / 2000);
	if (strcmp(why, p->error) == 0)
		return;
	snprintf(p->error, sizeof p->error, "%s", why);
	log_warnx(MODULE, "no connection to a server, trying again: server-id=%s address=%s error=%s",
	    raft_id_format(p->id, id), p->address, log_quote(why));
}

static void
peer_failed_errno(struct peer *p)
{
	peer_failed(p, strerror(errno));
}

static void
hello_put(const struct peer *p, struct buf *out)
{
	const struct transport *t = p->transport;
	size_t size = strlen(t->address);

	buf_put_u8(out, TRANSPORT_FIRST_BYTE);
	buf_put_u8(out, TRANSPORT_VERSION);
	buf_put_be64(out, t->cluster.high);
	buf_put_be64(out, t->cluster.low);
	buf_put_be64(out, t->self.high);
	buf_put_be64(out, t->self.low);
	buf_put_be64(out, p->id.high);
	buf_put_be64(out, p->id.low);
	buf_put_u8(out, (uint8_t)size);
	buf_put(out, t->address, size);
}

static void
peer_dial(struct peer *p)
{
	struct transport *t = p->transport;

	p->fd = dial(p->address);
	if (p->fd == -1) {
		peer_failed_errno(p);
		return;
	}
	p->state = PEER_GREETING;
	buf_clear(&p->out);
	hello_put(p, &p->out);
	ev_io_set(&p->read, p->fd, EV_READ);
	ev_io_set(&p->write, p->fd, EV_WRITE);
	ev_io_start(t->loop, &p->read);
	ev_io_start(t->loop, &p->write);
	ev_timer_set(&p->greeting, GREETING_S, 0.);
	ev_timer_start(t->loop, &p->greeting);
}

static void
peer_write(struct peer *p)
{
	/* messages wait for the welcome: a server that refuses us is sent nothing but the hello */
	size_t limit =
	    p->state == PEER_UP ? p->out.used : MIN(p->out.used, HELLO_BYTES + strlen(p->transport->address));
	ssize_t n;

	while (p->sent < limit) {
		n = send(p->fd, p->out.data + p->sent, limit - p->sent, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			ev_io_start(p->transport->loop, &p->write);
			if (p->sent >= CONSUME_BYTES_MIN && p->sent >= p->out.used / 2) {
				buf_consume(&p->out, p->sent);
				p->sent = 0;
			}
			return;
		}
		if (n == -1) {
			peer_failed_errno(p);
			return;
		}
		p->sent += (size_t)n;
	}
	ev_io_stop(p->transport->loop, &p->write);
	if (p->state != PEER_UP)
		return;
	p->sent = 0;
	p->messages = 0;
	if (p->out.size > OUT_KEEP_BYTES)
		buf_free(&p->out);
	else
		buf_clear(&p->out);
}

static void
on_write(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct peer *p = w->data;
	int error = 0;
	socklen_t size = sizeof error;

	(void)loop, (void)events;
	if (p->state == PEER_GREETING && p->sent == 0 && getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
	    error != 0) {
		peer_failed(p, strerror(error));
		return;
	}
	peer_write(p);
}

static void
peer_up(struct peer *p)
{
	char id[UUID_TEXT_SIZE];

	p->state = PEER_UP;
	p->backoff_s = 0;
	ev_timer_stop(p->transport->loop, &p->greeting);
	if (p->error[0] != '\0')
		log_info(MODULE, "connected to the server again: server-id=%s address=%s", raft_id_format(p->id, id),
		    p->address);
	p->error[0] = '\0';
	peer_write(p);
}

/* The welcome is two zero bytes; else a length and so many bytes of text. */
static void
on_read(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct peer *p = w->data;
	char text[TRANSPORT_REFUSAL_MAX + 32];
	size_t size;
	ssize_t n = recv(p->fd, p->reply + p->reply_bytes, sizeof p->reply - p->reply_bytes, 0);

	(void)loop, (void)events;
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n == -1) {
		peer_failed_errno(p);
		return;
	}
	if (n == 0) {
		peer_failed(p, p->state == PEER_UP ? "the other side has ended it"
						   : "the other side has ended it without a welcome");
		return;
	}
	p->reply_bytes += (size_t)n;
	if (p->state == PEER_UP || p->reply_bytes > 2u + be16_at(p->reply)) {
		peer_failed(p, "something else than a welcome came");
		return;
	}
	if (p->reply_bytes < 2)
		return;
	size = be16_at(p->reply);
	if (size > TRANSPORT_REFUSAL_MAX) {
		peer_failed(p, "something else than a welcome came");
		return;
	}
	if (p->reply_bytes < 2 + size)
		return;
	if (size == 0) {
		peer_up(p);
		return;
	}
	snprintf(text, sizeof text, "refused: %.*s", (int)size, (const char *)p->reply + 2);
	peer_failed(p, text);
}

static void
on_greeting_late(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)events;
	peer_failed(w->data, "no welcome in time");
}

static struct peer *
peer_new(struct transport *t, struct raft_id id)
{
	struct peer *p = xcalloc(1, sizeof *p);

	p->transport = t;
	p->id = id;
	p->fd = -1;
	buf_init(&p->out, TRANSPORT_QUEUE_BYTES_MAX);
	ev_init(&p->read, on_read);
	ev_init(&p->write, on_write);
	ev_init(&p->greeting, on_greeting_late);
	p->read.data = p->write.data = p->greeting.data = p;
	return p;
}

static void
peer_free(struct peer *p)
{
	peer_hang_up(p);
	buf_free(&p->out);
	free(p);
}

struct peer *
transport_peer_find(const struct transport *t, struct raft_id id)
{
	for (size_t i = 0; i < t->peer_count; i++)
		if (raft_id_equal(t->peers[i]->id, id))
			return t->peers[i];
	return NULL;
}

/* ---- all of them ---- */

struct transport *
transport_new(
    struct ev_loop *loop, struct raft_id self, const char *address, const struct transport_ops *ops, void *ctx)
{
	struct transport *t = xcalloc(1, sizeof *t);

	t->loop = loop;
	t->self = self;
	snprintf(t->address, sizeof t->address, "%s", address);
	t->ops = ops;
	t->ctx = ctx;
	ring_init(&t->incoming);
	return t;
}

void
transport_free(struct transport *t)
{
	if (t == NULL)
		return;
	transport_in_close_all(t);
	for (size_t i = 0; i < t->peer_count; i++)
		peer_free(t->peers[i]);
	free(t);
}

void
transport_cluster_set(struct transport *t, struct raft_id cluster)
{
	t->cluster = cluster;
}

static void
peer_address_set(struct peer *p, const char *address)
{
	if (strcmp(p->address, address) == 0)
		return;
	peer_hang_up(p);
	snprintf(p->address, sizeof p->address, "%s", address);
	p->retry_at = p->backoff_s = 0;
	p->error[0] = '\0';
}

void
transport_peers_set(struct transport *t, const struct transport_peer *peers, size_t count)
{
	struct peer *next[TRANSPORT_PEERS_MAX];
	size_t used = 0;

	if (count > TRANSPORT_PEERS_MAX)
		panic("transport: %zu peers", count);
	for (size_t i = 0; i < count; i++) {
		struct peer *p = transport_peer_find(t, peers[i].id);

		if (p == NULL)
			p = peer_new(t, peers[i].id);
		peer_address_set(p, peers[i].address);
		p->wanted = true;
		next[used++] = p;
	}
	for (size_t i = 0; i < t->peer_count; i++)
		if (!t->peers[i]->wanted)
			peer_free(t->peers[i]);
	for (size_t i = 0; i < used; i++)
		next[i]->wanted = false;
	memcpy(t->peers, next, used * sizeof *next);
	t->peer_count = used;
}

/* ---- sending ---- */

struct buf *
transport_begin(struct transport *t, struct raft_id to)
{
	struct peer *p = transport_peer_find(t, to);

	if (t->writing != NULL)
		panic("transport: two messages at once");
	if (p != NULL && p->state == PEER_AWAY && p->address[0] != '\0' && ev_now(t->loop) >= p->retry_at)
		peer_dial(p);
	if (p == NULL || p->state == PEER_AWAY || (p->state == PEER_GREETING && p->out.used > CONNECTING_BYTES_MAX)) {
		t->lost++;
		return NULL;
	}
	t->writing = p;
	t->message_at = p->out.used;
	buf_put_be32(&p->out, 0);
	buf_put_be32(&p->out, 0);
	return &p->out;
}

void
transport_end(struct transport *t, bool keep)
{
	struct peer *p = t->writing;
	size_t size;
	uint32_t crc;
	uint8_t *head;

	t->writing = NULL;
	size = p->out.used - MIN(t->message_at + FRAME_HEAD_BYTES, p->out.used);
	if (!keep || p->out.overflow || size > TRANSPORT_MESSAGE_BYTES_MAX) {
		t->lost += keep;
		p->out.used = t->message_at;
		p->out.overflow = false;
		return;
	}
	head = p->out.data + t->message_at;
	crc = crc32c(0, head + FRAME_HEAD_BYTES, size);
	for (int i = 0; i < 4; i++) {
		head[i] = (uint8_t)(size >> (24 - 8 * i));
		head[4 + i] = (uint8_t)(crc >> (24 - 8 * i));
	}
	p->messages++;
}

void
transport_flush(struct transport *t)
{
	for (size_t i = 0; i < t->peer_count; i++) {
		struct peer *p = t->peers[i];

		/* whoever waits for the socket is written to when that is ready */
		if (p->state == PEER_UP && p->sent < p->out.used && !ev_is_active(&p->write))
			peer_write(p);
	}
}

bool
transport_connected(const struct transport *t, struct raft_id to)
{
	const struct peer *p = transport_peer_find(t, to);

	return p != NULL && p->state == PEER_UP;
}

uint64_t
transport_lost(const struct transport *t)
{
	return t->lost;
}

/*
 * server.c - the sockets (contract: server.h)
 *
 * UDP: what waits is read, answered and sent in batches (batch.c).
 * TCP: each connection reads into a bounded buffer, answers in the order in which they are ready, and is closed after QUERIES_MAX queries or its
 * time. A connection that does not take its answers is not read.
 */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "batch.h"
#include "buf.h"
#include "duration.h"
#include "log.h"
#include "net.h"

#define ACCEPT_MAX 64                      /* in one turn */
#define UDP_BUFFER_BYTES (2 * 1024 * 1024) /* asked of the kernel for each direction; it may give less */
#define FIRST_READ_S 2.
#define IDLE_S 8.
#define WRITE_S 2.
#define QUERIES_MAX 128
#define TCP_OUT_MAX (4u * 1024 * 1024)
#define TCP_OUT_HIGH (256u * 1024)

struct server {
	struct daemon *daemon;
	struct resolver *resolver;
	struct udp_socket {
		struct server *server;
		struct ev_io io;
	} udp[SERVER_SOCKETS_MAX];
	size_t udp_count;
	struct tcp_socket {
		struct server *server;
		struct ev_io io;
	} tcp[SERVER_SOCKETS_MAX];
	size_t tcp_count;
	struct tcp_conn *conns; /* newest first */
	size_t conn_count;
};

struct tcp_conn {
	struct tcp_conn *next, *prev;
	struct server *server; /* NULL: closed, freed when nothing is under way */
	int fd;
	struct ev_io read, write;
	struct ev_timer timer;
	struct buf in, out;
	size_t sent;
	unsigned queries, under_way;
	bool last; /* no more reading: close when all is answered */
	union net_addr peer;
};

/* A query that waits for its answer. */
struct pending {
	struct udp_socket *socket; /* UDP */
	struct tcp_conn *conn;     /* TCP */
	union net_addr peer;
	struct monotime began;
};

/* ---- log ---- */

static const char *
type_text(uint16_t type, char out[16])
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {{DNS_A, "A"}, {DNS_NS, "NS"}, {DNS_CNAME, "CNAME"}, {DNS_SOA, "SOA"}, {DNS_PTR, "PTR"},
	    {DNS_MX, "MX"}, {DNS_TXT, "TXT"}, {DNS_AAAA, "AAAA"}, {DNS_SRV, "SRV"}, {DNS_ANY, "ANY"},
	    {DNS_AXFR, "AXFR"}, {DNS_IXFR, "IXFR"}};

	for (size_t i = 0; i < COUNTOF(names); i++)
		if (names[i].type == type)
			return names[i].name;
	snprintf(out, 16, "TYPE%u", type);
	return out;
}

static void
log_served(const struct dns_query *q, const union net_addr *peer, bool udp, struct monotime began)
{
	char name[NAME_TEXT_MAX], type[16], client[NET_ADDR_TEXT_MAX], latency[DURATION_TEXT_MAX];

	if (!log_enabled(LOG_DEBUG_LEVEL))
		return;
	log_debug("agent.dns",
	    "request served from client: name=%s type=%s class=%s latency=%s client=%s client_network=%s",
	    log_quote(name_text(&q->name, name)), type_text(q->type, type), q->class == 1 ? "IN" : "other",
	    log_quote(duration_format(monotime_since_ns(began), latency)), net_addr_text_port(peer, client),
	    udp ? "udp" : "tcp");
}

/* ---- answering ---- */

/* Writes what was resolved. Returns its size. */
static size_t
write_resolution(struct server *s, const struct dns_query *q, struct resolution *r, bool udp, uint8_t *out, size_t size)
{
	struct packet *packet;
	size_t written;

	if (r->recursed.size > 0) {
		if (r->recursed.size > size)
			return 0;
		memcpy(out, r->recursed.data, r->recursed.size);
		return r->recursed.size;
	}
	packet = resolution_packet(r);
	written = packet == NULL ? 0 : packet_write(packet, r->context.settings, q, udp, out, size);
	if (packet != NULL)
		cache_keep_packet(resolver_cache(s->resolver), r->entry, &q->name, q->type, packet);
	return written > 0 ? written : answer_write(&r->context, &r->answer, udp, out, size);
}

static size_t
write_servfail(const struct dns_query *q, uint8_t *out, size_t size)
{
	struct dns_answer a = {.rcode = DNS_SERVFAIL, .authoritative = true};

	return dns_answer_write(q, &a, true, out, size);
}

enum handled { HANDLED, NO_ANSWER, WAITING };

/*
 * The part that both transports share. HANDLED: the answer, *written octets, is in out. WAITING: *q is to be started with
 * resolve_start.
 */
static enum handled
handle(
    struct server *s, struct bytes message, bool udp, struct dns_query *q, uint8_t *out, size_t size, size_t *written)
{
	static struct resolution resolution;
	enum dns_rcode rcode = DNS_NOERROR;
	enum dns_verdict verdict = dns_query_read(message, q, &rcode);
	struct packet *packet;

	if (verdict == DNS_DROP)
		return NO_ANSWER;
	if (verdict != DNS_ACCEPT) {
		*written = dns_reject_write(q, verdict, rcode, out, size);
		return HANDLED;
	}
	packet = cache_packet(resolver_cache(s->resolver), &q->name, q->type);
	if (packet != NULL) {
		*written = packet_write(packet, resolver_settings(s->resolver), q, udp, out, size);
		if (*written > 0)
			return HANDLED;
	}
	if (!resolve_now(s->resolver, q, &resolution))
		return WAITING;
	*written = write_resolution(s, q, &resolution, udp, out, size);
	return *written == 0 ? NO_ANSWER : HANDLED;
}

/* ---- UDP ---- */

static void
udp_answered(void *ctx, const struct dns_query *q, struct resolution *result)
{
	struct pending *p = ctx;
	uint8_t out[DNS_MESSAGE_MAX];
	size_t size = write_resolution(p->socket->server, q, result, true, out, sizeof out);

	if (size > 0 && sendto(p->socket->io.fd, out, size, MSG_NOSIGNAL, &p->peer.sa, net_addr_len(&p->peer)) == -1 &&
	    errno != EAGAIN)
		log_debug("agent.dns", "failed to respond: error=%s", log_quote(strerror(errno)));
	log_served(q, &p->peer, true, p->began);
	free(p);
}

/* Starts what has to wait. Returns the size of an answer to send now instead, 0: none. */
static size_t
udp_wait(struct udp_socket *u, const struct dns_query *q, struct bytes message, const union net_addr *peer,
    struct monotime began, uint8_t *out)
{
	struct pending *p = xcalloc(1, sizeof *p);

	p->socket = u;
	p->peer = *peer;
	p->began = began;
	if (resolve_start(u->server->resolver, q, message, true, udp_answered, p) == 0)
		return 0;
	free(p);
	return write_servfail(q, out, DNS_MESSAGE_MAX);
}

static void
on_udp(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct udp_socket *u = w->data;
	unsigned count = batch_receive(w->fd);

	(void)loop, (void)events;
	for (unsigned i = 0; i < count; i++) {
		struct bytes message = batch_message(i);
		struct monotime began = log_enabled(LOG_DEBUG_LEVEL) ? monotime_now() : (struct monotime){0};
		static struct dns_query q;
		size_t written = 0;
		enum handled h = handle(u->server, message, true, &q, batch_room(), DNS_MESSAGE_MAX, &written);

		if (h == WAITING)
			written = udp_wait(u, &q, message, batch_peer(i), began, batch_room());
		else if (h == NO_ANSWER)
			written = 0;
		else
			log_served(&q, batch_peer(i), true, began);
		if (written > 0)
			batch_answer(i, written);
	}
	batch_send(w->fd);
}

/* ---- TCP ---- */

static void conn_update(struct tcp_conn *c);

static void
conn_release(struct tcp_conn *c)
{
	if (c->server == NULL && c->under_way == 0) {
		buf_free(&c->in);
		buf_free(&c->out);
		free(c);
	}
}

static void
conn_close(struct tcp_conn *c)
{
	struct server *s = c->server;
	struct ev_loop *loop;

	if (s == NULL)
		panic("dnsd: a connection closed twice");
	loop = daemon_loop(s->daemon);
	ev_io_stop(loop, &c->read);
	ev_io_stop(loop, &c->write);
	ev_timer_stop(loop, &c->timer);
	close(c->fd);
	*(c->prev != NULL ? &c->prev->next : &s->conns) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	s->conn_count--;
	c->server = NULL;
	conn_release(c);
}

static void
conn_rearm(struct tcp_conn *c, double seconds)
{
	struct ev_loop *loop = daemon_loop(c->server->daemon);

	ev_timer_stop(loop, &c->timer);
	ev_timer_set(&c->timer, seconds, 0.);
	ev_timer_start(loop, &c->timer);
}

static void
conn_put(struct tcp_conn *c, const uint8_t *message, size_t size)
{
	buf_put_be16(&c->out, (uint16_t)size);
	buf_put(&c->out, message, size);
}

static void
tcp_answered(void *ctx, const struct dns_query *q, struct resolution *result)
{
	struct pending *p = ctx;
	struct tcp_conn *c = p->conn;
	uint8_t out[DNS_MESSAGE_MAX];

	c->under_way--;
	if (c->server != NULL) {
		size_t size = write_resolution(c->server, q, result, false, out, sizeof out);

		if (size > 0)
			conn_put(c, out, size);
		log_served(q, &p->peer, false, p->began);
		conn_update(c);
	} else {
		conn_release(c);
	}
	free(p);
}

static void
conn_query(struct tcp_conn *c, struct bytes message)
{
	uint8_t out[DNS_MESSAGE_MAX];
	static struct dns_query q;
	size_t written = 0;
	struct monotime began = monotime_now();
	struct pending *p;

	c->queries++;
	switch (handle(c->server, message, false, &q, out, sizeof out, &written)) {
	case NO_ANSWER:
		return;
	case HANDLED:
		log_served(&q, &c->peer, false, began);
		conn_put(c, out, written);
		return;
	case WAITING:
		break;
	}
	p = xcalloc(1, sizeof *p);
	p->conn = c;
	p->peer = c->peer;
	p->began = began;
	c->under_way++;
	if (resolve_start(c->server->resolver, &q, message, false, tcp_answered, p) == -1) {
		c->under_way--;
		free(p);
		written = write_servfail(&q, out, sizeof out);
		conn_put(c, out, written);
	}
}

/* Takes the complete messages out of the input. */
static void
conn_parse(struct tcp_conn *c)
{
	size_t at = 0;

	while (c->server != NULL && !c->last && c->in.used - at >= 2) {
		size_t length = be16_at(c->in.data + at);

		if (c->in.used - at - 2 < length)
			break;
		conn_query(c, bytes_of(c->in.data + at + 2, length));
		at += 2 + length;
		c->last = c->queries >= QUERIES_MAX;
	}
	if (c->server != NULL)
		buf_consume(&c->in, at);
}

static void
on_tcp_read(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct tcp_conn *c = w->data;
	uint8_t *space = buf_space(&c->in, 4096);
	ssize_t n;

	(void)loop, (void)events;
	if (space == NULL) { /* can not be: a complete message is taken out, an incomplete one fits */
		conn_close(c);
		return;
	}
	n = recv(c->fd, space, 4096, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1) {
		conn_close(c);
		return;
	}
	if (n == 0)
		c->last = true;
	else
		buf_commit(&c->in, (size_t)n);
	c->under_way++; /* an answer at once must not free it under us */
	conn_parse(c);
	c->under_way--;
	if (c->server == NULL) {
		conn_release(c);
		return;
	}
	conn_rearm(c, IDLE_S);
	conn_update(c);
}

static void
conn_write(struct tcp_conn *c)
{
	while (c->sent < c->out.used) {
		ssize_t n = send(c->fd, c->out.data + c->sent, c->out.used - c->sent, MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return;
		if (n == -1) {
			conn_close(c);
			return;
		}
		c->sent += (size_t)n;
		conn_rearm(c, IDLE_S);
	}
	buf_clear(&c->out);
	c->sent = 0;
}

/* Writes what goes, and watches for what the connection waits for now. */
static void
conn_update(struct tcp_conn *c)
{
	struct ev_loop *loop = daemon_loop(c->server->daemon);
	bool blocked;

	if (c->out.overflow) {
		conn_close(c);
		return;
	}
	conn_write(c);
	if (c->server == NULL)
		return;
	blocked = c->sent < c->out.used;
	if (!blocked && c->last && c->under_way == 0) {
		conn_close(c);
		return;
	}
	if (blocked && !ev_is_active(&c->write)) {
		ev_io_start(loop, &c->write);
		conn_rearm(c, WRITE_S);
	} else if (!blocked) {
		ev_io_stop(loop, &c->write);
	}
	if (c->last || c->out.used - c->sent > TCP_OUT_HIGH)
		ev_io_stop(loop, &c->read);
	else
		ev_io_start(loop, &c->read);
}

static void
on_tcp_write(struct ev_loop *loop, struct ev_io *w, int events)
{
	(void)loop, (void)events;
	conn_update(w->data);
}

static void
on_tcp_timeout(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)events;
	conn_close(w->data);
}

/* Room for one more: the connection that is there longest and waits for nothing gives way. */
static bool
make_room(struct server *s)
{
	struct tcp_conn *idle = NULL;

	if (s->conn_count < SERVER_TCP_MAX)
		return true;
	for (struct tcp_conn *c = s->conns; c != NULL; c = c->next)
		if (c->under_way == 0)
			idle = c;
	if (idle == NULL)
		return false;
	conn_close(idle);
	return true;
}

static void
on_tcp_accept(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct tcp_socket *t = w->data;
	struct server *s = t->server;

	(void)events;
	for (unsigned i = 0; i < ACCEPT_MAX; i++) {
		union net_addr peer;
		socklen_t size = sizeof peer;
		int fd = accept4(w->fd, &peer.sa, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct tcp_conn *c;

		if (fd == -1)
			return;
		if (!make_room(s)) {
			close(fd);
			continue;
		}
		c = xcalloc(1, sizeof *c);
		c->server = s;
		c->fd = fd;
		c->peer = peer;
		buf_init(&c->in, DNS_MESSAGE_MAX + 2 + 4096);
		buf_init(&c->out, TCP_OUT_MAX);
		ev_io_init(&c->read, on_tcp_read, fd, EV_READ);
		ev_io_init(&c->write, on_tcp_write, fd, EV_WRITE);
		ev_timer_init(&c->timer, on_tcp_timeout, FIRST_READ_S, 0.);
		c->read.data = c->write.data = c->timer.data = c;
		c->next = s->conns;
		if (c->next != NULL)
			c->next->prev = c;
		s->conns = c;
		s->conn_count++;
		ev_io_start(loop, &c->read);
		ev_timer_start(loop, &c->timer);
	}
}

/* ---- life ---- */

static void
log_listener(const char *module, const char *what, int fd, const char *network)
{
	union net_addr address = {0};
	socklen_t size = sizeof address;
	char text[NET_ADDR_TEXT_MAX];

	if (getsockname(fd, &address.sa, &size) == 0)
		log_info(module, "%s address=%s network=%s", what, net_addr_text_port(&address, text), network);
}

/* Room for the queries that come while a batch is answered: the kernel's default is some 250 of them. */
static void
udp_buffers(int fd)
{
	int size = UDP_BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == -1)
		log_warn("agent.dns", "socket buffers stay as they are: bytes=%d", size);
}

struct server *
server_new(struct daemon *d, struct resolver *r)
{
	struct server *s = xcalloc(1, sizeof *s);
	int fds[SERVER_SOCKETS_MAX], udp, tcp;

	s->daemon = d;
	s->resolver = r;
	udp = daemon_sockets(d, "dns-udp", fds, COUNTOF(fds));
	for (int i = 0; i < udp; i++) {
		struct udp_socket *u = &s->udp[s->udp_count++];

		log_listener("agent", "Started DNS server:", fds[i], "udp");

		udp_buffers(fds[i]);
		u->server = s;
		ev_io_init(&u->io, on_udp, fds[i], EV_READ);
		u->io.data = u;
		ev_io_start(daemon_loop(d), &u->io);
	}
	tcp = daemon_sockets(d, "dns-tcp", fds, COUNTOF(fds));
	for (int i = 0; i < tcp; i++) {
		struct tcp_socket *t = &s->tcp[s->tcp_count++];

		log_listener("agent", "Started DNS server:", fds[i], "tcp");

		t->server = s;
		ev_io_init(&t->io, on_tcp_accept, fds[i], EV_READ);
		t->io.data = t;
		ev_io_start(daemon_loop(d), &t->io);
	}
	if (udp == -1 || tcp == -1) {
		server_free(s);
		return NULL;
	}
	return s;
}

void
server_free(struct server *s)
{
	struct ev_loop *loop = daemon_loop(s->daemon);

	while (s->conns != NULL)
		conn_close(s->conns);
	for (size_t i = 0; i < s->udp_count; i++) {
		log_listener("agent.dns", "Stopping server: protocol=DNS", s->udp[i].io.fd, "udp");
		ev_io_stop(loop, &s->udp[i].io);
		close(s->udp[i].io.fd);
	}
	for (size_t i = 0; i < s->tcp_count; i++) {
		log_listener("agent.dns", "Stopping server: protocol=DNS", s->tcp[i].io.fd, "tcp");
		ev_io_stop(loop, &s->tcp[i].io);
		close(s->tcp[i].io.fd);
	}
	free(s);
}

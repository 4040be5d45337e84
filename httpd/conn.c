/*
 * conn.c - HTTP/1 connections: their life, deadlines, output (contract: conn.h, conn_private.h; input: conn_in.c; callers: main.c, reply.c)
 *
 * An answer is written at once by one call; what the socket does not take is kept, and while anything is kept no further request is looked
 * at.
 *
 * Deadlines are coarse (half a second) and kept in one list, walked by one timer that runs only while the list has members: a parked or
 * idle connection has none.
 */
#include "conn_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mem.h"

#define MODULE "agent.http"
#define TICK_S 0.5
#define OUT_BYTES_MAX (300u * 1024 * 1024)
#define REFUSED_MAX 64 /* refused connections that linger at a time */

static void on_io(struct ev_loop *loop, struct ev_io *w, int events);

struct blob *
blob_new(struct bytes head, struct bytes body)
{
	struct blob *b = xmalloc(sizeof *b + head.size + body.size);

	b->users = 1;
	b->size = head.size + body.size;
	memcpy(b->data, head.data, head.size);
	if (body.size > 0)
		memcpy(b->data + head.size, body.data, body.size);
	return b;
}

void
blob_release(struct blob *b)
{
	if (b != NULL && --b->users == 0)
		free(b);
}

/* ---- deadlines ---- */

void
conn_deadline_clear(struct conn *c)
{
	struct conns *cs = c->all;

	if (!c->has_deadline)
		return;
	c->has_deadline = false;
	if (c->slow_prev != NULL)
		c->slow_prev->slow_next = c->slow_next;
	else
		cs->slow = c->slow_next;
	if (c->slow_next != NULL)
		c->slow_next->slow_prev = c->slow_prev;
	if (cs->slow == NULL)
		ev_timer_stop(cs->loop, &cs->tick);
}

void
conn_deadline_set(struct conn *c, double seconds)
{
	struct conns *cs = c->all;

	c->deadline = ev_now(cs->loop) + seconds;
	if (c->has_deadline)
		return;
	c->has_deadline = true;
	c->slow_prev = NULL;
	c->slow_next = cs->slow;
	if (cs->slow != NULL)
		cs->slow->slow_prev = c;
	cs->slow = c;
	if (!ev_is_active(&cs->tick))
		ev_timer_again(cs->loop, &cs->tick);
}

void
conns_expire(struct conns *cs, double now)
{
	for (struct conn *c = cs->slow, *next; c != NULL; c = next) {
		next = c->slow_next;
		if (c->deadline <= now)
			conn_close(c);
	}
}

static void
on_tick(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)events;
	conns_expire(w->data, ev_now(loop));
}

/* ---- life ---- */

struct conn_message *
conn_message_new(struct conns *cs)
{
	struct conn_message *m = spare_take(&cs->spare_messages, sizeof *m);

	memset(m, 0, sizeof *m);
	return m;
}

void
conn_message_drop(struct conn *c)
{
	struct conn_message *m = c->message;

	if (m == NULL)
		return;
	buf_free(&m->body);
	spare_give(&c->all->spare_messages, m);
	c->message = NULL;
}

/* The exchange is over, answered or not. */
static void
exchange_end(struct conn *c)
{
	struct exchange *x = &c->x;

	if (x->call != NULL)
		ipc_cancel(x->call);
	x->call = NULL;
	if (x->ended != NULL)
		x->ended(x);
	if (x->trace != NULL)
		c->all->handler->ended(x);
	x->ended = NULL;
	x->more = NULL;
	x->answer = NULL;
}

void
conn_free(struct conn *c)
{
	struct conns *cs = c->all;

	exchange_end(c);
	conn_deadline_clear(c);
	conn_message_drop(c);
	buf_free(&c->in);
	buf_free(&c->out);
	blob_release(c->blob);
	ev_io_stop(cs->loop, &c->io);
	close(c->io.fd);
	if (c->client != NULL)
		clients_remove(cs->clients, c->client);
	if (c->refused)
		cs->refused--;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		cs->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	cs->count--;
	spare_give(&cs->spare_conns, c);
}

void
conn_close(struct conn *c)
{
	c->dead = true;
	if (c->busy == 0)
		conn_free(c);
}

static void
conn_events(struct conn *c, int events)
{
	if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->all->loop, &c->io);
	if (events != 0) {
		ev_io_set(&c->io, c->io.fd, events);
		ev_io_start(c->all->loop, &c->io);
	}
}

void
conn_arm(struct conn *c)
{
	int events = 0;

	if (!c->eof && !c->throttled)
		events |= EV_READ;
	if (c->out.used > c->sent || c->blob != NULL)
		events |= EV_WRITE;
	conn_events(c, events);
}

void
conn_finish(struct conn *c)
{
	if (c->eof || c->state == LINGERING || shutdown(c->io.fd, SHUT_WR) == -1) {
		conn_close(c);
		return;
	}
	c->state = LINGERING;
	c->throttled = false;
	buf_free(&c->in);
	conn_message_drop(c);
	conn_deadline_set(c, CONN_LINGER_S);
	conn_arm(c);
}

/* ---- output ---- */

size_t
conn_unsent(const struct conn *c)
{
	return c->out.used + (c->blob == NULL ? 0 : c->blob->size) - c->sent;
}

/* Writes what is kept. -1: the connection is gone. */
static int
conn_flush(struct conn *c)
{
	while (conn_unsent(c) > 0) {
		struct iovec iov[2];
		struct msghdr message = {.msg_iov = iov};
		size_t blob_at = c->sent > c->out.used ? c->sent - c->out.used : 0;
		ssize_t n;

		if (c->sent < c->out.used)
			iov[message.msg_iovlen++] = (struct iovec){c->out.data + c->sent, c->out.used - c->sent};
		if (c->blob != NULL)
			iov[message.msg_iovlen++] = (struct iovec){c->blob->data + blob_at, c->blob->size - blob_at};
		n = sendmsg(c->io.fd, &message, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n == -1)
			return -1;
		c->sent += (size_t)n;
		conn_deadline_set(c, CONN_STALL_S);
	}
	if (conn_unsent(c) > 0) {
		/* A stream's buffer may never be empty: give back what is done. */
		if (c->blob == NULL && c->sent >= CONN_AHEAD_BYTES && c->sent > c->out.used / 2) {
			buf_consume(&c->out, c->sent);
			c->sent = 0;
		}
		return 0;
	}
	buf_free(&c->out);
	blob_release(c->blob);
	c->blob = NULL;
	c->sent = 0;
	conn_deadline_clear(c);
	return 0;
}

void
conn_advance(struct conn *c)
{
	if (conn_unsent(c) > 0) {
		if (!c->has_deadline)
			conn_deadline_set(c, CONN_STALL_S);
	} else if (c->busy > 0) {
		return; /* conn_work goes on */
	} else if (c->state == READING && (c->close_after || (c->eof && c->in.used == 0))) {
		conn_finish(c);
		return;
	} else if (c->state == READING && c->in.used > 0) {
		conn_work(c, bytes_of(NULL, 0));
		return;
	}
	conn_arm(c);
}

int
conn_put(struct conn *c, struct bytes head, struct bytes body, struct blob *blob)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)head.data, head.size}, {(void *)(uintptr_t)body.data, body.size}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	size_t done = 0;
	ssize_t n;

	if (conn_unsent(c) == 0) {
		do
			n = body.size == 0 ? send(c->io.fd, head.data, head.size, MSG_NOSIGNAL)
					   : sendmsg(c->io.fd, &message, MSG_NOSIGNAL);
		while (n == -1 && errno == EINTR);
		if (n == -1 && errno != EAGAIN && errno != EWOULDBLOCK)
			return -1;
		done = n > 0 ? (size_t)n : 0;
	}
	if (done == head.size + body.size)
		return 0;
	if (blob != NULL && conn_unsent(c) == 0) {
		blob->users++;
		c->blob = blob;
		c->sent = done;
		return 0;
	}
	assert(c->blob == NULL);
	if (c->out.max == 0)
		buf_init(&c->out, OUT_BYTES_MAX);
	if (done < head.size)
		buf_put(&c->out, head.data + done, head.size - done);
	done = done > head.size ? done - head.size : 0;
	if (done < body.size)
		buf_put(&c->out, body.data + done, body.size - done);
	return c->out.overflow ? -1 : 0;
}

static void
conn_answered(struct conn *c, int put, bool close_after)
{
	c->busy++;
	exchange_end(c);
	c->busy--;
	c->state = READING;
	c->close_after |= close_after;
	if (put == -1 || c->dead) {
		conn_close(c);
		return;
	}
	conn_advance(c);
}

void
conn_answer(struct exchange *x, struct bytes head, struct bytes body, bool close_after)
{
	struct conn *c = x->conn;

	conn_answered(c, conn_put(c, head, body, NULL), close_after);
}

void
conn_answer_blob(struct exchange *x, struct blob *b, bool close_after)
{
	struct conn *c = x->conn;

	conn_answered(c, conn_put(c, bytes_of(b->data, b->size), bytes_of(NULL, 0), b), close_after);
}

void
conn_stream(struct exchange *x, struct bytes head)
{
	struct conn *c = x->conn;

	c->state = STREAMING;
	c->close_after = true;
	(void)conn_stream_put(x, head);
}

bool
conn_stream_put(struct exchange *x, struct bytes data)
{
	struct conn *c = x->conn;

	if (c->eof || conn_unsent(c) + data.size > CONN_STREAM_BYTES_MAX)
		return false;
	if (conn_put(c, data, bytes_of(NULL, 0), NULL) == -1) {
		/* Ended by the loop, not from within the caller. */
		c->eof = true;
		ev_feed_event(c->all->loop, &c->io, EV_READ);
		return false;
	}
	conn_advance(c);
	return true;
}

void
conn_stream_end(struct exchange *x)
{
	conn_answered(x->conn, 0, true);
}

void
conn_refuse(struct conn *c, const struct http1_error *e)
{
	char head[256];
	int n = snprintf(head, sizeof head,
	    "HTTP/1.1 %u %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: "
	    "%zu\r\n\r\n",
	    e->status, http_status_str((enum http_status)e->status), strlen(e->text));

	c->close_after = true;
	c->state = READING;
	if (conn_put(c, bytes_of(head, (size_t)n), bytes_str(e->text), NULL) == -1)
		conn_close(c);
	else
		conn_advance(c);
}

static void
on_io(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct conn *c = w->data;

	(void)loop;
	if ((events & EV_WRITE) != 0) {
		c->busy++;
		if (conn_flush(c) == -1)
			c->dead = true;
		c->busy--;
		if (c->dead) {
			conn_free(c);
			return;
		}
		if (conn_unsent(c) == 0) {
			/* At most one of both a turn, so that c is alive below. */
			conn_advance(c);
			return;
		}
	}
	if ((events & EV_READ) != 0)
		conn_read(c);
}

/* ---- accepting ---- */

static void
conn_refuse_client(struct conn *c)
{
	static const char TEXT[] = "Your IP is issuing too many concurrent connections, please rate limit your calls\n";
	char answer[256];
	unsigned suppressed;
	char text[NET_ADDR_TEXT_MAX];
	union net_addr peer = conn_peer(&c->x);

	if (log_allowed(&c->all->refused_log, 10, &suppressed))
		log_warnx(MODULE, "too many connections of one client, refused: client=%s suppressed=%u",
		    net_addr_text(&peer, text), suppressed);
	snprintf(answer, sizeof answer,
	    "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: "
	    "close\r\n\r\n%s",
	    sizeof TEXT - 1, TEXT);
	/* What is refused does not count: the client would stay refused by its own attempts. */
	clients_remove(c->all->clients, c->client);
	c->client = NULL;
	c->close_after = true;
	if (conn_put(c, bytes_str(answer), bytes_of(NULL, 0), NULL) == -1 || c->all->refused >= REFUSED_MAX) {
		conn_close(c);
		return;
	}
	c->refused = true;
	c->all->refused++;
	conn_advance(c);
}

void
conns_add(struct conns *cs, int fd, const union net_addr *peer)
{
	struct conn *c = spare_take(&cs->spare_conns, sizeof *c);
	struct client *k = NULL;

	*c = (struct conn){.all = cs, .next = cs->first, .family = (uint8_t)peer->sa.sa_family, .state = READING};
	c->x.conn = c;
	if (cs->first != NULL)
		cs->first->prev = c;
	cs->first = c;
	cs->count++;
	ev_io_init(&c->io, on_io, fd, EV_READ);
	c->io.data = c;
	if (c->family == AF_INET || c->family == AF_INET6) {
		c->port = net_addr_port(peer);
		k = clients_add(cs->clients, peer);
		c->client = k;
		if (cs->per_client_max > 0 && k->count > cs->per_client_max) {
			conn_refuse_client(c);
			return;
		}
	}
	ev_io_start(cs->loop, &c->io);
}

static void
accepted(void *ctx, int fd, const union net_addr *peer)
{
	conns_add(ctx, fd, peer);
}

void
conns_listen(struct conns *cs, int fd)
{
	if (cs->listener_count == CONN_LISTENERS_MAX)
		panic("httpd: over %d listening sockets", CONN_LISTENERS_MAX);
	cs->listeners[cs->listener_count++] = listener_new(cs->loop, fd, accepted, cs);
}

struct conns *
conns_new(struct ev_loop *loop, const struct conn_handler *handler, size_t head_bytes_max)
{
	struct conns *cs = xcalloc(1, sizeof *cs);

	cs->loop = loop;
	cs->clients = clients_new();
	cs->handler = handler;
	cs->head_bytes_max = head_bytes_max;
	cs->in_bytes_max = head_bytes_max + CONN_BODY_BYTES_MAX + CONN_AHEAD_BYTES + 2 * CONN_READ_BYTES;
	ev_init(&cs->tick, on_tick);
	cs->tick.repeat = TICK_S;
	cs->tick.data = cs;
	return cs;
}

void
conns_set_per_client(struct conns *cs, unsigned max)
{
	cs->per_client_max = max;
}

size_t
conns_open(const struct conns *cs)
{
	return cs->count;
}

void
conns_stop(struct conns *cs)
{
	cs->stopping = true;
	while (cs->listener_count > 0)
		listener_free(cs->listeners[--cs->listener_count]);
	for (struct conn *c = cs->first, *next; c != NULL; c = next) {
		next = c->next;
		c->close_after = true;
		if ((c->state == READING && conn_unsent(c) == 0) || c->state == STREAMING ||
		    (c->state == ANSWERING && c->x.waits))
			conn_close(c);
	}
}

void
conns_free(struct conns *cs)
{
	conns_stop(cs);
	while (cs->first != NULL)
		conn_free(cs->first);
	spare_free(&cs->spare_conns);
	clients_free(cs->clients);
	spare_free(&cs->spare_messages);
	free(cs);
}

union net_addr
conn_peer(const struct exchange *x)
{
	const struct conn *c = x->conn;
	union net_addr a = {.storage = {0}};

	a.sa.sa_family = c->family;
	if (c->client == NULL)
		return a;
	if (c->family == AF_INET) {
		memcpy(&a.in.sin_addr, c->client->address + 12, 4);
		a.in.sin_port = htons(c->port);
	} else {
		memcpy(&a.in6.sin6_addr, c->client->address, 16);
		a.in6.sin6_port = htons(c->port);
	}
	return a;
}

bool
conn_may_keep(const struct exchange *x)
{
	return !x->conn->close_after && !x->conn->all->stopping;
}

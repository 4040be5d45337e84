/*
 * recursor.c - questions that are not ours, handed to upstream resolvers (contract: recursor.h)
 *
 * Each recursion has a socket of its own, connected to the upstream: the kernel picks the port and drops what other hosts send. The message keeps
 * the client's id, so the answer can go back as it came; a datagram with another id or question is not an answer.
 */
#include "recursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "duration.h"
#include "log.h"
#include "net.h"
#include "uuid.h"

struct recursion {
	struct ev_loop *loop;
	struct settings *settings;
	struct bytes message; /* our copy */
	bool udp, any;
	recursion_cb *cb;
	void *ctx;
	int fd;
	struct ev_io io;
	struct ev_timer timeout;
	size_t *order, next; /* upstreams left to try */
	struct buf in;       /* TCP: what has come */
	size_t sent;         /* TCP: bytes of length and message that went */
	struct monotime started;
};

static size_t under_way;

static void try_next(struct recursion *r);

static void
close_socket(struct recursion *r)
{
	ev_io_stop(r->loop, &r->io);
	ev_timer_stop(r->loop, &r->timeout);
	if (r->fd != -1)
		close(r->fd);
	r->fd = -1;
}

static void
recursion_free(struct recursion *r)
{
	close_socket(r);
	under_way--;
	buf_free(&r->in);
	free(r->order);
	free((void *)(uintptr_t)r->message.data);
	settings_unref(r->settings);
	free(r);
}

void
recursion_cancel(struct recursion *r)
{
	recursion_free(r);
}

static void
finish(struct recursion *r, struct bytes answer)
{
	recursion_cb *cb = r->cb;
	void *ctx = r->ctx;

	cb(ctx, answer);
	recursion_free(r);
}

static const char *
upstream(const struct recursion *r)
{
	return r->settings->recursors[r->order[r->next - 1]];
}

static void
failed(struct recursion *r, const char *why)
{
	log_debug("agent.dns", "recurse failed: recursor=%s error=%s", upstream(r), log_quote(why));
	try_next(r);
}

/* Is it the answer to what we sent? */
static bool
belongs(const struct recursion *r, struct bytes answer)
{
	struct name asked, echoed;

	if (answer.size < DNS_HEADER_BYTES || memcmp(answer.data, r->message.data, 2) != 0 ||
	    (answer.data[2] & 0x80) == 0)
		return false;
	if (be16_at(answer.data + 4) == 0)
		return true;
	return name_read(r->message, DNS_HEADER_BYTES, &asked) != 0 &&
	       name_read(answer, DNS_HEADER_BYTES, &echoed) != 0 && name_equal(&asked, &echoed);
}

static void
judge(struct recursion *r, struct bytes answer)
{
	unsigned rcode = answer.data[3] & 15;
	char rtt[DURATION_TEXT_MAX];

	if (!r->any && rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN) {
		failed(r, "unusable answer");
		return;
	}
	if (log_enabled(LOG_DEBUG_LEVEL))
		log_debug("agent.dns", "recurse succeeded for question: rtt=%s recursor=%s",
		    duration_format(monotime_since_ns(r->started), rtt), upstream(r));
	finish(r, answer);
}

static void
on_udp(struct recursion *r)
{
	uint8_t packet[DNS_MESSAGE_MAX];
	ssize_t n;

	while ((n = recv(r->fd, packet, sizeof packet, 0)) >= 0) {
		struct bytes answer = bytes_of(packet, (size_t)n);

		if (belongs(r, answer)) {
			judge(r, answer);
			return;
		}
	}
	if (errno != EAGAIN && errno != EINTR)
		failed(r, strerror(errno));
}

/* The two octets of length, then the message. */
static void
tcp_write(struct recursion *r)
{
	uint8_t head[2] = {(uint8_t)(r->message.size >> 8), (uint8_t)r->message.size};

	while (r->sent < r->message.size + 2) {
		struct iovec iov[2] = {{head, 2}, {(void *)(uintptr_t)r->message.data, r->message.size}};
		struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
		ssize_t n;

		if (r->sent < 2) {
			iov[0].iov_base = head + r->sent;
			iov[0].iov_len = 2 - r->sent;
		} else {
			iov[0].iov_len = 0;
			iov[1].iov_base = (void *)(uintptr_t)(r->message.data + r->sent - 2);
			iov[1].iov_len = r->message.size - (r->sent - 2);
		}
		n = sendmsg(r->fd, &m, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == ENOTCONN))
			return;
		if (n == -1) {
			failed(r, strerror(errno));
			return;
		}
		r->sent += (size_t)n;
	}
	ev_io_stop(r->loop, &r->io);
	ev_io_set(&r->io, r->fd, EV_READ);
	ev_io_start(r->loop, &r->io);
}

static void
tcp_read(struct recursion *r)
{
	for (;;) {
		size_t want = r->in.used < 2 ? 2 : 2 + (size_t)be16_at(r->in.data);
		uint8_t *space;
		ssize_t n;

		if (r->in.used >= 2 && r->in.used == want) {
			struct bytes answer = bytes_of(r->in.data + 2, want - 2);

			if (belongs(r, answer))
				judge(r, answer);
			else
				failed(r, "answer to another question");
			return;
		}
		space = buf_space(&r->in, want - r->in.used);
		n = space == NULL ? -1 : recv(r->fd, space, want - r->in.used, 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0) {
			failed(r, n == 0 ? "connection closed" : strerror(errno));
			return;
		}
		buf_commit(&r->in, (size_t)n);
	}
}

static void
on_io(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct recursion *r = w->data;

	(void)loop;
	if (r->udp)
		on_udp(r);
	else if ((events & EV_WRITE) != 0)
		tcp_write(r);
	else
		tcp_read(r);
}

static void
on_timeout(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)events;
	failed(w->data, "i/o timeout");
}

/* 0 or -1 with errno. */
static int
start_one(struct recursion *r, const char *address)
{
	union net_addr a;

	r->fd = -1;
	if (net_addr_parse_port(address, &a) == -1) {
		errno = EINVAL;
		return -1;
	}
	r->fd = socket(a.sa.sa_family, (r->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->fd == -1 || (connect(r->fd, &a.sa, net_addr_len(&a)) == -1 && errno != EINPROGRESS))
		return -1;
	if (r->udp && send(r->fd, r->message.data, r->message.size, MSG_NOSIGNAL) == -1)
		return -1;
	return 0;
}

static void
try_next(struct recursion *r)
{
	close_socket(r);
	while (r->next < r->settings->recursor_count) {
		const char *address = r->settings->recursors[r->order[r->next++]];

		r->started = monotime_now();
		r->sent = 0;
		buf_clear(&r->in);
		if (start_one(r, address) == -1) {
			log_debug(
			    "agent.dns", "recurse failed: recursor=%s error=%s", address, log_quote(strerror(errno)));
			close_socket(r);
			continue;
		}
		ev_io_set(&r->io, r->fd, r->udp ? EV_READ : EV_WRITE);
		ev_io_start(r->loop, &r->io);
		ev_timer_set(&r->timeout, (double)r->settings->recursor_timeout_ns / 1e9, 0.);
		ev_timer_start(r->loop, &r->timeout);
		return;
	}
	log_errorx("agent.dns", "all resolvers failed for question");
	finish(r, bytes_of(NULL, 0));
}

/* The first failure must not call back from within recursion_start: the timer does it. */
static void
on_begin(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct recursion *r = w->data;

	(void)loop, (void)events;
	ev_set_cb(&r->timeout, on_timeout);
	try_next(r);
}

struct recursion *
recursion_start(struct ev_loop *loop, struct settings *settings, struct bytes message, bool udp, bool any,
    recursion_cb *cb, void *ctx)
{
	struct recursion *r;

	if (under_way == RECURSIONS_MAX || settings->recursor_count == 0 || message.size > DNS_MESSAGE_MAX)
		return NULL;
	under_way++;
	r = xcalloc(1, sizeof *r);
	r->loop = loop;
	r->settings = settings_ref(settings);
	r->message = bytes_of(xstrndup(message.data, message.size), message.size);
	r->udp = udp;
	r->any = any;
	r->cb = cb;
	r->ctx = ctx;
	r->fd = -1;
	buf_init(&r->in, DNS_MESSAGE_MAX + 2);
	r->order = xcalloc(settings->recursor_count, sizeof *r->order);
	for (size_t i = 0; i < settings->recursor_count; i++)
		r->order[i] = i;
	for (size_t i = settings->recursor_count; settings->recursor_random && i > 1; i--) {
		size_t other = (size_t)random_below(i), keep = r->order[i - 1];

		r->order[i - 1] = r->order[other];
		r->order[other] = keep;
	}
	ev_io_init(&r->io, on_io, -1, EV_READ);
	ev_timer_init(&r->timeout, on_begin, 0., 0.);
	r->io.data = r->timeout.data = r;
	ev_timer_start(loop, &r->timeout);
	return r;
}

/*
 * join.c - contacting nodes by address (contract: join.h; callers: main.c, serve.c)
 *
 * An address of our own is a success without a packet: the state that would be exchanged is our own. With any other node there is no conversation
 * yet; it is dialled all the same, so that the operator is told the truth about it: nobody there, or somebody whom this
 * version can not join.
 */
#include "join.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"
#include "net.h"

struct join {
	struct ev_loop *loop;
	const struct self *self;
	char **addresses;
	size_t count, next;
	unsigned joined, failed;
	struct buf errors; /* "\t* text\n" each */
	union net_addr target;
	ev_io io;
	ev_timer timer; /* the attempt's limit; also begins the first one, out of the loop */
	join_done_cb *done;
	void *ctx;
};

static void next_address(struct join *j);

static const char *
reason(int number)
{
	static char text[128];

	snprintf(text, sizeof text, "%s", strerror(number));
	if (text[0] >= 'A' && text[0] <= 'Z')
		text[0] = (char)(text[0] | 0x20);
	return text;
}

static void PRINTF_LIKE(2, 3) note_failure(struct join *j, const char *fmt, ...)
{
	va_list args;

	j->failed++;
	buf_put_str(&j->errors, "\t* ");
	va_start(args, fmt);
	buf_vprintf(&j->errors, fmt, args);
	va_end(args);
	buf_put_u8(&j->errors, '\n');
}

static void
join_free(struct join *j)
{
	if (ev_is_active(&j->io)) {
		ev_io_stop(j->loop, &j->io);
		close(j->io.fd);
	}
	ev_timer_stop(j->loop, &j->timer);
	for (size_t i = 0; i < j->count; i++)
		free(j->addresses[i]);
	free(j->addresses);
	buf_free(&j->errors);
	free(j);
}

static void
finish(struct join *j)
{
	char error[JOIN_ERROR_MAX] = "";
	join_done_cb *done = j->done;
	unsigned joined = j->joined;
	void *ctx = j->ctx;

	if (j->failed > 0)
		snprintf(error, sizeof error, "%u error%s occurred:\n%.*s\n", j->failed, j->failed == 1 ? "" : "s",
		    (int)MIN(j->errors.used, sizeof error - 64), (const char *)j->errors.data);
	join_free(j);
	done(ctx, joined, error);
}

static void
attempt_over(struct join *j, int number)
{
	char text[NET_ADDR_TEXT_MAX];

	ev_io_stop(j->loop, &j->io);
	close(j->io.fd);
	ev_timer_stop(j->loop, &j->timer);
	net_addr_text_port(&j->target, text);
	if (number == ETIMEDOUT)
		note_failure(j, "Failed to join %s: dial tcp %s: i/o timeout", text, text);
	else if (number != 0)
		note_failure(j, "Failed to join %s: dial tcp %s: connect: %s", text, text, reason(number));
	else
		note_failure(j,
		    "Failed to join %s: clusters of several nodes are not supported by this version of consuld yet",
		    text);
	next_address(j);
}

static void
on_connected(struct ev_loop *loop UNUSED, ev_io *io, int events UNUSED)
{
	int number = 0;
	socklen_t size = sizeof number;

	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &number, &size) == -1)
		number = errno;
	attempt_over(io->data, number);
}

static void
on_timer(struct ev_loop *loop, ev_timer *t, int events UNUSED)
{
	struct join *j = t->data;

	ev_timer_stop(loop, t);
	if (ev_is_active(&j->io))
		attempt_over(j, ETIMEDOUT);
	else
		next_address(j);
}

/* 0, or -1 with the failure noted. */
static int
resolve(struct join *j, const char *address)
{
	char host[256];
	uint16_t port;

	if (net_addr_parse(address, j->self->port, &j->target) == 0 || net_addr_parse_port(address, &j->target) == 0)
		return 0;
	if (net_split_port(address, host, sizeof host, &port) == -1) {
		snprintf(host, sizeof host, "%s", address);
		port = j->self->port;
	}
	if (strcmp(host, "localhost") == 0 && net_addr_parse("127.0.0.1", port, &j->target) == 0)
		return 0;
	note_failure(
	    j, "Failed to resolve %s: only addresses are understood by this version of consuld, not names", address);
	return -1;
}

/* true: goes on when the socket tells. */
static bool
dial(struct join *j)
{
	int fd = socket(j->target.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char text[NET_ADDR_TEXT_MAX];

	if (fd != -1 && (connect(fd, &j->target.sa, net_addr_len(&j->target)) == 0 || errno == EINPROGRESS)) {
		ev_io_init(&j->io, on_connected, fd, EV_WRITE);
		j->io.data = j;
		ev_io_start(j->loop, &j->io);
		ev_timer_set(&j->timer, JOIN_TIMEOUT_S, 0.);
		ev_timer_start(j->loop, &j->timer);
		return true;
	}
	net_addr_text_port(&j->target, text);
	note_failure(j, "Failed to join %s: dial tcp %s: connect: %s", text, text, reason(errno));
	if (fd != -1)
		close(fd);
	return false;
}

static bool
is_self(const struct join *j)
{
	char text[NET_ADDR_TEXT_MAX];

	return net_addr_port(&j->target) == j->self->port &&
	       strcmp(net_addr_text(&j->target, text), j->self->address) == 0;
}

static void
next_address(struct join *j)
{
	while (j->next < j->count) {
		const char *address = j->addresses[j->next++];

		if (resolve(j, address) == -1)
			continue;
		if (is_self(j))
			j->joined++;
		else if (dial(j))
			return;
	}
	finish(j);
}

struct join *
join_start(struct ev_loop *loop, const struct self *self, const char *const *addresses, size_t count,
    join_done_cb *done, void *ctx)
{
	struct join *j = xcalloc(1, sizeof *j);

	*j = (struct join){.loop = loop, .self = self, .done = done, .ctx = ctx};
	j->count = MIN(count, JOIN_ADDRESSES_MAX);
	j->addresses = xcalloc(j->count + 1, sizeof *j->addresses);
	for (size_t i = 0; i < j->count; i++)
		j->addresses[i] = xstrdup(addresses[i]);
	buf_init(&j->errors, JOIN_ERROR_MAX);
	ev_timer_init(&j->timer, on_timer, 0., 0.);
	j->timer.data = j;
	ev_timer_start(loop, &j->timer);
	return j;
}

void
join_cancel(struct join *j)
{
	join_free(j);
}

/*
 * resolve.c - names to addresses (contract: resolve.h; caller: join.c)
 *
 * The child has nothing but its end of a pipe and the sandbox that we have; it writes addresses of 17 bytes (length, address) and ends.
 */
#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"
#include "net.h"
#include "transport.h"

#define RECORD_BYTES 17
#define HOST_MAX 256

struct resolve {
	struct ev_loop *loop;
	pid_t pid;
	ev_io io;
	ev_timer deadline;
	struct buf in;
	char host[HOST_MAX];
	uint16_t port;
	resolve_done *done;
	void *ctx;
};

static NORETURN void
child(const char *host, int out)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *list = NULL;
	uint8_t records[RESOLVE_ADDRESSES_MAX][RECORD_BYTES];
	size_t count = 0;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, SIG_DFL);
	if (dup2(out, 0) == 0)
		(void)close_range(1, ~0u, 0);
	if (getaddrinfo(host, NULL, &hints, &list) == 0)
		for (const struct addrinfo *a = list; a != NULL && count < RESOLVE_ADDRESSES_MAX; a = a->ai_next) {
			struct swim_address address;
			union net_addr net;

			if (a->ai_addrlen > sizeof net || (a->ai_family != AF_INET && a->ai_family != AF_INET6))
				continue;
			memcpy(&net, a->ai_addr, a->ai_addrlen);
			transport_address_of(&net, &address);
			records[count][0] = address.ip_size;
			memcpy(&records[count++][1], address.ip, sizeof address.ip);
		}
	_exit(write(0, records, count * RECORD_BYTES) == (ssize_t)(count * RECORD_BYTES) ? 0 : 1);
}

static void
resolve_free(struct resolve *r)
{
	ev_io_stop(r->loop, &r->io);
	close(r->io.fd);
	ev_timer_stop(r->loop, &r->deadline);
	(void)kill(r->pid, SIGKILL);
	while (waitpid(r->pid, NULL, 0) == -1 && errno == EINTR)
		;
	buf_free(&r->in);
	free(r);
}

static void
finish(struct resolve *r, const char *what)
{
	struct swim_address addresses[RESOLVE_ADDRESSES_MAX];
	char error[HOST_MAX + 64];
	resolve_done *done = r->done;
	void *ctx = r->ctx;
	size_t count = 0;

	for (size_t at = 0; what == NULL && at + RECORD_BYTES <= r->in.used && count < COUNTOF(addresses);
	     at += RECORD_BYTES)
		swim_address_of(bytes_of(r->in.data + at + 1, r->in.data[at]), r->port, r->port, &addresses[count++]);
	snprintf(error, sizeof error, "lookup %s: %s", r->host, what == NULL ? "no such host" : what);
	resolve_free(r);
	done(ctx, addresses, count, error);
}

static void
on_readable(struct ev_loop *loop UNUSED, ev_io *io, int events UNUSED)
{
	struct resolve *r = io->data;
	uint8_t space[RESOLVE_ADDRESSES_MAX * RECORD_BYTES];
	ssize_t n = read(io->fd, space, sizeof space);

	if (n > 0)
		buf_put(&r->in, space, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		finish(r, NULL);
}

static void
on_deadline(struct ev_loop *loop UNUSED, ev_timer *timer, int events UNUSED)
{
	finish(timer->data, "i/o timeout");
}

struct resolve *
resolve_start(struct ev_loop *loop, const char *host, uint16_t port, resolve_done *done, void *ctx)
{
	struct resolve *r;
	int ends[2], saved_errno;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return NULL;
	pid = net_set_nonblock(ends[0], true) == -1 ? -1 : fork();
	if (pid == 0)
		child(host, ends[1]);
	saved_errno = errno;
	close(ends[1]);
	if (pid == -1) {
		close(ends[0]);
		errno = saved_errno;
		return NULL;
	}
	r = xcalloc(1, sizeof *r);
	*r = (struct resolve){.loop = loop, .pid = pid, .port = port, .done = done, .ctx = ctx};
	snprintf(r->host, sizeof r->host, "%s", host);
	buf_init(&r->in, RESOLVE_ADDRESSES_MAX * RECORD_BYTES);
	ev_io_init(&r->io, on_readable, ends[0], EV_READ);
	r->io.data = r;
	ev_io_start(loop, &r->io);
	ev_timer_init(&r->deadline, on_deadline, RESOLVE_TIMEOUT_S, 0.);
	r->deadline.data = r;
	ev_timer_start(loop, &r->deadline);
	return r;
}

void
resolve_cancel(struct resolve *r)
{
	resolve_free(r);
}

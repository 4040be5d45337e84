/*
 * check_net.c - TCP and UDP checks of numeric addresses (contract: check.h)
 *
 * Names and TLS are left to check-http, which may wait for a resolver. Texts are the reference's (behaviour.md 1.5, 1.6).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "check_text.h"
#include "mem.h"
#include "net.h"

struct net_probe {
	struct check_runner *runner;
	int fd;
	bool udp;
	struct ev_io io;
	struct ev_timer timeout;
	char target[256];
};

static void
probe_free(struct check_runner *r)
{
	struct net_probe *p = r->probe;
	struct ev_loop *loop = check_options(r)->loop;

	if (p == NULL)
		return;
	r->probe = NULL;
	ev_io_stop(loop, &p->io);
	ev_timer_stop(loop, &p->timeout);
	if (p->fd != -1)
		close(p->fd);
	free(p);
}

static void
finish(struct net_probe *p, enum status status, const char *text)
{
	struct check_runner *r = p->runner;

	probe_free(r);
	check_done(r, status, bytes_str(text));
}

static void
succeed(struct net_probe *p)
{
	char text[512];

	snprintf(text, sizeof text, "%s connect %s: Success", p->udp ? "UDP" : "TCP", p->target);
	finish(p, STATUS_PASSING, text);
}

/* "dial tcp 127.0.0.1:1: connect: connection refused" */
static void
refuse(struct net_probe *p, int error)
{
	char reason[128], text[640];

	check_text_errno(error, reason, sizeof reason);
	if (p->udp && p->fd != -1) {
		union net_addr own = {0};
		socklen_t size = sizeof own;
		char from[NET_ADDR_TEXT_MAX] = "";
		if (getsockname(p->fd, &own.sa, &size) == 0)
			net_addr_text_port(&own, from);
		snprintf(text, sizeof text, "read udp %s->%s: read: %s", from, p->target, reason);
	} else {
		snprintf(text, sizeof text, "dial %s %s: connect: %s", p->udp ? "udp" : "tcp", p->target, reason);
	}
	finish(p, STATUS_CRITICAL, text);
}

static void
ready(struct ev_loop *loop UNUSED, struct ev_io *w, int events UNUSED)
{
	struct net_probe *p = w->data;
	int error = 0;
	socklen_t size = sizeof error;
	char byte;

	if (p->udp) {
		if (recv(p->fd, &byte, 1, 0) == -1) {
			if (errno != EAGAIN && errno != EINTR)
				refuse(p, errno);
			return;
		}
	} else if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1 || error != 0) {
		refuse(p, error);
		return;
	}
	succeed(p);
}

static void
timed_out(struct ev_loop *loop UNUSED, struct ev_timer *w, int events UNUSED)
{
	struct net_probe *p = w->data;
	char text[512];

	if (p->udp) { /* silence is the usual answer to an empty datagram */
		succeed(p);
		return;
	}
	snprintf(text, sizeof text, "dial tcp %s: i/o timeout", p->target);
	finish(p, STATUS_CRITICAL, text);
}

/* An answer that is known at once is still given from the loop. */
static void
failed_early(struct ev_loop *loop UNUSED, struct ev_timer *w, int events UNUSED)
{
	struct net_probe *p = w->data;

	refuse(p, (int)(intptr_t)p->io.data);
}

static bool
open_probe(struct net_probe *p, const union net_addr *to)
{
	p->fd = socket(to->sa.sa_family, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd == -1)
		return false;
	if (connect(p->fd, &to->sa, net_addr_len(to)) == -1 && errno != EINPROGRESS)
		return false;
	if (p->udp && send(p->fd, "", 0, MSG_NOSIGNAL) == -1)
		return false;
	return true;
}

static void
begin(struct check_runner *r, struct bytes target, bool udp)
{
	struct net_probe *p;
	union net_addr to;
	char text[256];
	struct ev_loop *loop = check_options(r)->loop;

	if (bytes_to_str(target, text, sizeof text) == -1 || net_addr_parse_port(text, &to) == -1 ||
	    r->type.tcp_use_tls) {
		check_kind_probe.begin(r);
		return;
	}
	p = xcalloc(1, sizeof *p);
	p->runner = r;
	p->udp = udp;
	p->fd = -1;
	snprintf(p->target, sizeof p->target, "%s", text);
	r->probe = p;
	ev_init(&p->io, ready);
	if (open_probe(p, &to)) {
		p->io.data = p;
		ev_io_set(&p->io, p->fd, udp ? EV_READ : EV_WRITE);
		ev_io_start(loop, &p->io);
		ev_timer_init(&p->timeout, timed_out, (ev_tstamp)check_timeout_ns(r) / NS_PER_S, 0.);
	} else {
		p->io.data = (void *)(intptr_t)errno;
		ev_timer_init(&p->timeout, failed_early, 0., 0.);
	}
	p->timeout.data = p;
	ev_timer_start(loop, &p->timeout);
}

static void
begin_tcp(struct check_runner *r)
{
	begin(r, r->type.tcp, false);
}

static void
begin_udp(struct check_runner *r)
{
	begin(r, r->type.udp, true);
}

/* The run may be ours or the helper's. */
static void
cancel(struct check_runner *r)
{
	check_helper_cancel(r);
	probe_free(r);
}

const struct check_kind check_kind_tcp = {.name = "tcp", .begin = begin_tcp, .cancel = cancel};
const struct check_kind check_kind_udp = {.name = "udp", .begin = begin_udp, .cancel = cancel};

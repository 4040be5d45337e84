/*
 * probe_udp.c - UDP checks of names (contract: probe.h; facts: behaviour.md 1.6)
 *
 * The resolver may take its time: a short-lived child asks it and does the exchange; its answer is one byte of status and
 * a text on a pipe. (Numeric addresses, the usual case, never come here: check_net.c.)
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_text.h"
#include "duration.h"
#include "probe.h"

#define GRACE_S 2

struct child {
	struct probe *probe;
	pid_t pid;
	int fd;
	struct ev_io io;
};

NORETURN static void
tell(int fd, enum status status, const char *text)
{
	char answer[PROBE_ERROR_MAX];
	int size = snprintf(answer, sizeof answer, "%c%s", '0' + (char)status, text);

	_exit(write(fd, answer, (size_t)MIN(size, (int)sizeof answer - 1)) == -1);
}

NORETURN static void
ask(int fd, const char *target, int64_t timeout_ms)
{
	char host[256], text[PROBE_ERROR_MAX], reason[128], byte;
	const char *colon = strrchr(target, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list;
	struct pollfd wait = {.events = POLLIN};
	int error;

	alarm((unsigned)(timeout_ms / 1000 + GRACE_S));
	if (colon == NULL) {
		snprintf(text, sizeof text, "dial udp: address %s: missing port in address", target);
		tell(fd, STATUS_CRITICAL, text);
	}
	snprintf(host, sizeof host, "%.*s", (int)(colon - target), target);
	error = getaddrinfo(host, colon + 1, &hints, &list);
	if (error != 0) {
		snprintf(text, sizeof text, "dial udp: lookup %s: %s", host,
		    error == EAI_NONAME ? "no such host" : gai_strerror(error));
		tell(fd, STATUS_CRITICAL, text);
	}
	wait.fd = socket(list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	error = 0;
	if (wait.fd == -1 || connect(wait.fd, list->ai_addr, list->ai_addrlen) == -1 ||
	    send(wait.fd, "", 0, MSG_NOSIGNAL) == -1)
		error = errno;
	else if (poll(&wait, 1, (int)timeout_ms) == 1 && recv(wait.fd, &byte, 1, 0) == -1)
		error = errno;
	if (error != 0) {
		snprintf(
		    text, sizeof text, "read udp %s: read: %s", target, check_text_errno(error, reason, sizeof reason));
		tell(fd, STATUS_CRITICAL, text);
	}
	snprintf(text, sizeof text, "UDP connect %s: Success", target);
	tell(fd, STATUS_PASSING, text);
}

static void
answered(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct child *c = w->data;
	struct probe *p = c->probe;
	char text[PROBE_ERROR_MAX];
	ssize_t n = read(c->fd, text, sizeof text - 1);

	(void)loop, (void)events;
	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 1) {
		probe_finish(p, STATUS_CRITICAL,
		    region_printf(p->region, "dial udp %s: i/o timeout", probe_text(p, p->request.target)));
		return;
	}
	text[n] = '\0';
	probe_finish(p, text[0] == '0' ? STATUS_PASSING : STATUS_CRITICAL, text + 1);
}

static int
begin(struct probe *p)
{
	struct child *c = region_alloc(p->region, sizeof *c);
	const char *target = probe_text(p, p->request.target);
	int pipes[2];

	*c = (struct child){.probe = p, .fd = -1};
	if (pipe2(pipes, O_CLOEXEC) == -1) {
		probe_finish(p, STATUS_CRITICAL, strerror(errno));
		return -1;
	}
	c->pid = fork();
	if (c->pid == 0)
		ask(pipes[1], target, p->request.timeout / NS_PER_MS);
	close(pipes[1]);
	c->fd = pipes[0];
	p->own = c;
	ev_io_init(&c->io, answered, c->fd, EV_READ);
	c->io.data = c;
	ev_io_start(probe_loop(), &c->io);
	return -1; /* libcurl has no part in it */
}

/* The loop's child handling reaps it. */
static void
release(struct probe *p)
{
	struct child *c = p->own;

	if (c == NULL)
		return;
	ev_io_stop(probe_loop(), &c->io);
	close(c->fd);
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
}

static void
done(struct probe *p, CURLcode result)
{
	(void)result;
	probe_finish(p, STATUS_CRITICAL, "not a transfer");
}

const struct probe_kind probe_kind_udp = {"udp", begin, done, release};

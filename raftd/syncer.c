/*
 * syncer.c - the sync helper (contract: syncer.h; caller: node.c)
 *
 * The requests: 's' sync the segment, 'd' the segment and then the directory; with a descriptor attached that is the
 * segment from then on. The answer is the errno as one byte.
 */
#include "syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "net.h"
#include "sandbox.h"

#define HELPER_DIRECTORY_FD 3
#define HELPER_SOCKET_FD 4

struct syncer {
	struct ev_loop *loop;
	struct ev_io io;
	pid_t pid;
	syncer_done_cb *done;
	void *ctx;
	bool busy;
};

/* ---- the child ---- */

/* One request; *segment changes if one came along. false: raftd has ended. */
static bool
helper_receive(int socket, char *request, int *segment)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {request, 1};
	struct msghdr msg = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n != 1)
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		if (*segment != -1)
			close(*segment);
		memcpy(segment, CMSG_DATA(c), sizeof *segment);
	}
	return true;
}

static NORETURN void
helper_run(void)
{
	static const char *const syscalls[] = {"fdatasync", "fsync", NULL};
	int segment = -1;
	char request;

	(void)prctl(PR_SET_NAME, "raftd-sync");
	if (sandbox_enter(syscalls) == -1)
		log_warn("agent.server.raft", "sandbox of the sync helper: not available, going on without");
	while (helper_receive(HELPER_SOCKET_FD, &request, &segment)) {
		uint8_t answer = 0;

		if (segment == -1 || fdatasync(segment) == -1 || (request == 'd' && fsync(HELPER_DIRECTORY_FD) == -1))
			answer = (uint8_t)(segment == -1 ? EBADF : errno);
		while (write(HELPER_SOCKET_FD, &answer, 1) == -1)
			if (errno != EINTR)
				_exit(0);
	}
	_exit(0);
}

/* In the child: only what it needs stays open. */
static NORETURN void
helper_start(int directory, int socket)
{
	/* raftd decides when to end; its end closes the socket */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* both out of the way first: one may be where the other is to go */
	directory = fcntl(directory, F_DUPFD, 10);
	socket = fcntl(socket, F_DUPFD, 10);
	if (directory == -1 || socket == -1 || dup2(directory, HELPER_DIRECTORY_FD) == -1 ||
	    dup2(socket, HELPER_SOCKET_FD) == -1)
		_exit(1);
	(void)close_range(HELPER_SOCKET_FD + 1, ~0u, 0);
	helper_run();
}

/* ---- raftd's side ---- */

static void
on_answer(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct syncer *s = w->data;
	uint8_t answer;
	ssize_t n = read(w->fd, &answer, 1);

	(void)events;
	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	s->busy = false;
	if (n == 1) {
		s->done(s->ctx, answer);
		return;
	}
	ev_io_stop(loop, w);
	s->done(s->ctx, -1);
}

struct syncer *
syncer_start(struct ev_loop *loop, int directory, syncer_done_cb *done, void *ctx)
{
	int pair[2], own_directory;
	struct syncer *s;
	pid_t pid;

	/* a description of its own: the helper must not keep the lock of a raftd that is gone */
	own_directory = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own_directory == -1)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1) {
		close(own_directory);
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		helper_start(own_directory, pair[1]);
	close(own_directory);
	close(pair[1]);
	if (pid == -1 || net_set_nonblock(pair[0], true) == -1) {
		int saved_errno = errno;

		close(pair[0]);
		errno = saved_errno;
		return NULL;
	}
	s = xcalloc(1, sizeof *s);
	s->loop = loop;
	s->pid = pid;
	s->done = done;
	s->ctx = ctx;
	ev_io_init(&s->io, on_answer, pair[0], EV_READ);
	s->io.data = s;
	ev_set_priority(&s->io, 1);
	ev_io_start(loop, &s->io);
	return s;
}

void
syncer_free(struct syncer *s)
{
	if (s == NULL)
		return;
	ev_io_stop(s->loop, &s->io);
	close(s->io.fd);
	free(s);
}

int
syncer_request(struct syncer *s, int fd, bool directory)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char request = directory ? 'd' : 's';
	struct iovec iov = {&request, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (s->busy)
		panic("syncer: a second request");
	if (fd != -1) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = sizeof control.space;
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	do
		n = sendmsg(s->io.fd, &msg, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	if (n != 1)
		return -1;
	s->busy = true;
	return 0;
}

bool
syncer_busy(const struct syncer *s)
{
	return s->busy;
}

/*
 * helper.c - the helper processes, seen from checkd (contract: helper.h; callers: main.c, check_helper.c)
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "duration.h"
#include "log.h"
#include "mem.h"
#include "place.h"

#define LOG "agent"
#define PATH_BYTES_MAX 4096
#define RESTART_MIN_NS (5 * NS_PER_S)

SCHEMA_DEFINE(exec_request, "ExecRequest", EXEC_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(exec_answer, "ExecAnswer", EXEC_ANSWER_FIELDS, 0)
SCHEMA_DEFINE(spawn_request, "SpawnRequest", SPAWN_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(probe_request, "ProbeRequest", PROBE_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(probe_answer, "ProbeAnswer", PROBE_ANSWER_FIELDS, 0)

struct helper {
	struct ipc *ipc;
	struct ipc_peer *exec;
	struct ipc_peer *probe;
	bool probe_down;
	struct monotime probe_start;
	void (*lost)(void *ctx);
	void *ctx;
};

/* In the child, between fork and exec: nothing that allocates. */
NORETURN static void
become(const char *path, char *name, int fd)
{
	char *argv[] = {name, NULL};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd == HELPER_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, HELPER_FD);
	execv(path, argv);
	_exit(127);
}

static int
start_exec(int fd)
{
	char path[PATH_BYTES_MAX], name[] = "check-exec";
	pid_t pid;

	if (place_beside(name, path, sizeof path) == -1 || access(path, X_OK) == -1)
		return -1;
	pid = fork();
	if (pid == 0)
		become(path, name, fd);
	return pid == -1 ? -1 : 0;
}

static void
exec_down(void *ctx)
{
	struct helper *h = ctx;

	log_errorx(LOG, "the process that runs scripts has died");
	if (h->lost != NULL)
		h->lost(h->ctx);
}

static void
probe_down(void *ctx)
{
	struct helper *h = ctx;

	log_warnx(LOG, "the process that makes HTTP checks has died -- the next check starts another one");
	h->probe_down = true;
}

struct helper *
helper_new(struct ipc *ipc, void (*lost)(void *ctx), void *ctx)
{
	struct helper *h;
	int pair[2], saved_errno;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == -1)
		return NULL;
	if (start_exec(pair[1]) == -1) {
		saved_errno = errno;
		close(pair[0]);
		close(pair[1]);
		errno = saved_errno;
		return NULL;
	}
	close(pair[1]);
	h = xcalloc(1, sizeof *h);
	h->ipc = ipc;
	h->lost = lost;
	h->ctx = ctx;
	h->exec = ipc_peer_from_fd(ipc, pair[0], true, NULL);
	ipc_peer_watch(h->exec, NULL, exec_down, h);
	return h;
}

void
helper_free(struct helper *h)
{
	if (h == NULL)
		return;
	if (h->probe != NULL)
		ipc_peer_free(h->probe);
	ipc_peer_free(h->exec);
	free(h);
}

struct ipc_peer *
helper_exec(struct helper *h)
{
	return h->exec;
}

static void
spawned(void *ctx UNUSED, const struct ipc_answer *answer)
{
	if (answer->status != IPC_OK)
		log_errorx(LOG, "could not start check-http: error=%s", log_quote_bytes(answer->error));
}

struct ipc_peer *
helper_probe(struct helper *h)
{
	struct spawn_request args = {.program = bytes_str("check-http")};
	struct ipc_call_options options = {.timeout_ms = 5000};
	struct buf b = BUF_INIT(1024);
	int pair[2];

	if (h->probe != NULL && !h->probe_down)
		return h->probe;
	if (h->probe != NULL && monotime_since_ns(h->probe_start) < RESTART_MIN_NS)
		return NULL; /* it dies at once: no more often than this */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == -1)
		return NULL;
	if (h->probe != NULL)
		ipc_peer_free(h->probe);
	h->probe_down = false;
	h->probe_start = monotime_now();
	options.fd = pair[1];
	schema_encode(&spawn_request_schema, &args, &b);
	ipc_call(h->exec, "Exec.Spawn", buf_bytes(&b), &options, spawned, NULL);
	buf_free(&b);
	h->probe = ipc_peer_from_fd(h->ipc, pair[0], true, NULL);
	ipc_peer_watch(h->probe, NULL, probe_down, h);
	return h->probe;
}

/*
 * check_exec.c - check-exec: starts programs for checkd (contract: helper.h)
 *
 * Outside the sandbox, for what it starts must be free. It speaks to checkd alone, over descriptor HELPER_FD, and ends with it. Each
 * program is the head of its own process group, with the agent's environment and working directory, an empty stdin, and both
 * outputs in one pipe of which the last bytes are kept.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_text.h"
#include "duration.h"
#include "helper.h"
#include "ipc.h"
#include "log.h"
#include "mem.h"
#include "place.h"
#include "tail.h"

#define ARGS_MAX 4096
#define PATH_BYTES_MAX 4096
#define ANSWER_BYTES_MAX (32u * 1024 * 1024)
#define OUTPUT_BYTES_MAX (16u * 1024 * 1024)
#define READS_PER_TURN 64

struct run {
	struct ipc_stream *stream; /* NULL: nobody waits for it any more */
	pid_t pid;
	int fd;
	bool exited, timed_out;
	int status;
	struct tail tail;
	struct ev_io io;
	struct ev_child child;
	struct ev_timer timeout;
};

static struct ev_loop *loop;

/* ---- starting ---- */

static void
free_args(char **args)
{
	for (size_t i = 0; args != NULL && args[i] != NULL; i++)
		free(args[i]);
	free(args);
}

static char **
read_args(struct bytes list)
{
	struct mp in = mp_of(list);
	uint32_t count = mp_array(&in);
	char **args;

	if (count == 0 || count > ARGS_MAX)
		return NULL;
	args = xcalloc(count + 1, sizeof *args);
	for (uint32_t i = 0; i < count; i++)
		args[i] = bytes_dup(mp_str(&in));
	return args;
}

/* The program as a path: as it is with a slash, else searched for in PATH. */
static bool
find_program(const char *name, char *path, size_t size)
{
	const char *at = getenv("PATH");

	if (strchr(name, '/') != NULL)
		return snprintf(path, size, "%s", name) < (int)size;
	for (; at != NULL && *at != '\0'; at += *at == ':') {
		size_t length = strcspn(at, ":");
		if (length > 0 && snprintf(path, size, "%.*s/%s", (int)length, at, name) < (int)size &&
		    access(path, X_OK) == 0)
			return true;
		at += length;
	}
	return false;
}

NORETURN static void
become(const char *path, char *const *args, int output, int report)
{
	sigset_t none;
	int error, null;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	null = open("/dev/null", O_RDONLY);
	if (null != -1 && null != STDIN_FILENO)
		dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execv(path, args);
	error = errno;
	if (write(report, &error, sizeof error) == -1)
		_exit(126);
	_exit(127);
}

/* Its output's descriptor, or -1 with *error: errno of what failed. */
static int
start(const char *path, char *const *args, pid_t *pid, int *error)
{
	int output[2], report[2];
	ssize_t n;

	if (pipe2(output, O_CLOEXEC) == -1) {
		*error = errno;
		return -1;
	}
	if (pipe2(report, O_CLOEXEC) == -1) {
		*error = errno;
		close(output[0]);
		close(output[1]);
		return -1;
	}
	*pid = fork();
	if (*pid == 0)
		become(path, args, output[1], report[1]);
	*error = *pid == -1 ? errno : 0;
	close(output[1]);
	close(report[1]);
	if (*pid != -1) {
		do
			n = read(report[0], error, sizeof *error);
		while (n == -1 && errno == EINTR);
		if (n != sizeof *error)
			*error = 0;
		else
			waitpid(*pid, NULL, 0);
	}
	close(report[0]);
	if (*error == 0) {
		fcntl(output[0], F_SETFL, O_NONBLOCK);
		return output[0];
	}
	close(output[0]);
	return -1;
}

/* ---- one run ---- */

static void
run_free(struct run *r)
{
	ev_io_stop(loop, &r->io);
	ev_child_stop(loop, &r->child);
	ev_timer_stop(loop, &r->timeout);
	close(r->fd);
	tail_free(&r->tail);
	free(r);
}

static void
encode_answer(struct run *r, struct buf *b)
{
	struct exec_answer a = {
	    .exit = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1,
	    .timed_out = r->timed_out,
	    .output = tail_bytes(&r->tail),
	    .total = tail_total(&r->tail),
	};

	schema_encode(&exec_answer_schema, &a, b);
}

/* true: end of output. */
static bool
drain(struct run *r)
{
	char chunk[16384];

	for (int turn = 0; turn < READS_PER_TURN; turn++) {
		ssize_t n = read(r->fd, chunk, sizeof chunk);
		if (n == 0)
			return true;
		if (n == -1)
			return errno != EAGAIN && errno != EINTR;
		tail_put(&r->tail, chunk, (size_t)n);
	}
	return false;
}

static void
ended(struct run *r)
{
	struct buf b = BUF_INIT(ANSWER_BYTES_MAX);

	drain(r);
	if (r->stream != NULL) {
		encode_answer(r, &b);
		ipc_reply(r->stream, buf_bytes(&b));
	}
	buf_free(&b);
	run_free(r);
}

static void
readable(struct ev_loop *l UNUSED, struct ev_io *w, int events UNUSED)
{
	struct run *r = w->data;

	if (drain(r))
		ev_io_stop(loop, &r->io);
}

/* What it left running in its group keeps the pipe, but is not waited for. */
static void
reaped(struct ev_loop *l UNUSED, struct ev_child *w, int events UNUSED)
{
	struct run *r = w->data;

	r->status = w->rstatus;
	r->exited = true;
	ended(r);
}

static void
timed_out(struct ev_loop *l UNUSED, struct ev_timer *w, int events UNUSED)
{
	struct run *r = w->data;
	struct buf b = BUF_INIT(ANSWER_BYTES_MAX);

	kill(-r->pid, SIGKILL);
	drain(r);
	r->timed_out = true;
	r->status = 0;
	if (r->stream != NULL) {
		encode_answer(r, &b);
		if (!ipc_push(r->stream, buf_bytes(&b)))
			log_warnx("agent", "no room to report a script's timeout");
	}
	buf_free(&b);
}

static void
cancelled(struct ipc_stream *s UNUSED, void *ctx)
{
	struct run *r = ctx;

	r->stream = NULL;
	kill(-r->pid, SIGKILL);
}

static void
refuse(struct ipc_stream *s, const char *text)
{
	struct exec_answer a = {.exit = -1};
	struct buf b = BUF_INIT(ANSWER_BYTES_MAX);

	a.error = bytes_str(text);
	schema_encode(&exec_answer_schema, &a, &b);
	ipc_reply(s, buf_bytes(&b));
	buf_free(&b);
}

static void
watch(struct run *r, const struct exec_request *q)
{
	ev_io_init(&r->io, readable, r->fd, EV_READ);
	ev_child_init(&r->child, reaped, r->pid, 0);
	ev_timer_init(&r->timeout, timed_out, (ev_tstamp)q->timeout / NS_PER_S, 0.);
	r->io.data = r->child.data = r->timeout.data = r;
	ev_io_start(loop, &r->io);
	ev_child_start(loop, &r->child);
	if (q->timeout > 0)
		ev_timer_start(loop, &r->timeout);
	ipc_stream_watch(r->stream, cancelled, NULL, r);
}

static void
exec_run(struct ipc_stream *s, struct bytes args, void *ctx UNUSED)
{
	struct exec_request q;
	const char *bad;
	char **argv, path[PATH_BYTES_MAX], text[PATH_BYTES_MAX + 256], reason[128];
	struct run *r;
	int error = 0, fd;
	pid_t pid;

	if (schema_decode(&exec_request_schema, args, &q, &bad) == -1 || (argv = read_args(q.args)) == NULL) {
		ipc_fail(s, 0, "no command");
		return;
	}
	if (!find_program(argv[0], path, sizeof path)) {
		snprintf(text, sizeof text, "exec: \"%s\": executable file not found in $PATH", argv[0]);
		refuse(s, text);
		free_args(argv);
		return;
	}
	fd = start(path, argv, &pid, &error);
	if (fd == -1) {
		snprintf(text, sizeof text, "fork/exec %s: %s", path, check_text_errno(error, reason, sizeof reason));
		refuse(s, text);
	} else {
		r = xcalloc(1, sizeof *r);
		r->stream = s;
		r->pid = pid;
		r->fd = fd;
		tail_init(&r->tail, (size_t)MIN(MAX(q.output_max, 1), (int64_t)OUTPUT_BYTES_MAX));
		watch(r, &q);
	}
	free_args(argv);
}

/* ---- check-http ---- */

NORETURN static void
become_helper(const char *path, char *name, int fd)
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

static void
exec_spawn(struct ipc_stream *s, struct bytes args, void *ctx UNUSED)
{
	char path[PATH_BYTES_MAX], name[] = "check-http";
	int fd = ipc_stream_take_fd(s);
	pid_t pid = -1;

	if (fd != -1 && bytes_is(mp_find_str(args, "Program"), name) && place_beside(name, path, sizeof path) == 0) {
		pid = fork();
		if (pid == 0)
			become_helper(path, name, fd);
	}
	if (fd != -1)
		close(fd);
	if (pid == -1)
		ipc_fail(s, 0, "%s", strerror(errno));
	else
		ipc_reply(s, (struct bytes){NULL, 0});
}

/* ---- main ---- */

static void
checkd_gone(void *ctx UNUSED)
{
	ev_break(loop, EVBREAK_ALL);
}

/* checkd works in the run directory; programs work where the agent was started. */
static void
go_home(void)
{
	const char *home = getenv("CHECKD_HOME");

	if (home == NULL || chdir(home) == -1) {
		if (chdir("/") == -1)
			log_warn("agent", "chdir");
	}
	unsetenv("CHECKD_HOME");
	unsetenv("CONSULD_CONTROL");
	unsetenv("CONSULD_LISTEN");
}

int
main(void)
{
	static const struct ipc_method methods[] = {{"Exec.Run", exec_run}, {"Exec.Spawn", exec_spawn}};
	static const struct ipc_service service = {methods, COUNTOF(methods), NULL};
	struct ipc *ipc;
	struct ipc_peer *checkd;

	log_init("check-exec", LOG_INFO_LEVEL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (fcntl(HELPER_FD, F_SETFD, FD_CLOEXEC) == -1)
		fatal("agent", "check-exec is started by checkd");
	go_home();
	loop = ev_default_loop(0);
	ipc = ipc_new(loop, "check-exec");
	checkd = ipc_peer_from_fd(ipc, HELPER_FD, false, &service);
	ipc_peer_watch(checkd, NULL, checkd_gone, NULL);
	ev_run(loop, 0);
	ipc_free(ipc);
	return 0;
}

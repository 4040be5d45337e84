/*
 * snapshot.c - raftd's snapshots without blocking its loop (contract: snapshot.h; callers: node.c, serve.c)
 *
 * The parent only lists, opens and receives. Copying, checking and syncing are done by a child that is forked for the purpose, tells its
 * result as one line of text through a pipe ("ok", or why not), and ends. A child that is killed leaves a directory
 * ending in ".tmp", which the next start removes.
 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "net.h"
#include "priority.h"

enum work { WORK_SAVE, WORK_CHECK, WORK_RECEIVE };

struct snapshots {
	struct ev_loop *loop;
	int dir; /* raftd's own */
	struct snapshot_store *store;

	/* the child at work */
	bool busy;
	enum work work;
	struct ev_io io;
	char result[SNAPSHOT_ERROR_MAX];
	size_t result_size;
	size_t checked; /* WORK_CHECK: which one */
	snapshot_saved_cb *saved;
	snapshot_checked_cb *checked_cb;
	void *ctx;
};

struct snapshots *
snapshots_open(struct ev_loop *loop, int raft_dir, bool no_sync, char error[SNAPSHOT_ERROR_MAX])
{
	struct snapshots *s = xcalloc(1, sizeof *s);

	s->loop = loop;
	s->dir = openat(raft_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir == -1) {
		snprintf(error, SNAPSHOT_ERROR_MAX, "snapshots: %s", strerror(errno));
		free(s);
		return NULL;
	}
	s->store = snapshot_store_open(wal_io_directory(&s->dir), no_sync, error);
	if (s->store == NULL) {
		close(s->dir);
		free(s);
		return NULL;
	}
	return s;
}

void
snapshots_free(struct snapshots *s)
{
	if (s == NULL)
		return;
	if (s->busy)
		close(s->io.fd);
	snapshot_store_free(s->store);
	close(s->dir);
	free(s);
}

size_t
snapshots_count(const struct snapshots *s)
{
	return snapshot_store_count(s->store);
}

const struct snapshot_meta *
snapshots_at(const struct snapshots *s, size_t i)
{
	return snapshot_store_at(s->store, i);
}

const char *
snapshots_odd(const struct snapshots *s)
{
	return snapshot_store_odd(s->store);
}

bool
snapshots_busy(const struct snapshots *s)
{
	return s->busy;
}

int
snapshots_read(struct snapshots *s, size_t i, uint64_t offset, void *out, size_t size)
{
	char path[SNAPSHOT_PATH_MAX];
	int fd, saved_errno;
	ssize_t n;

	fd = openat(
	    s->dir, snapshot_store_path(snapshots_at(s, i)->id, "state.bin", path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return -1;
	n = pread(fd, out, size, (off_t)offset);
	saved_errno = n == -1 ? errno : EBADMSG;
	close(fd);
	errno = saved_errno;
	return n == (ssize_t)size ? 0 : -1;
}

/* ---- the child ---- */

struct job {
	struct snapshots *s;
	int state; /* read from; -1: none */
	struct snapshot_meta meta;
};

static ssize_t
state_read(void *ctx, void *out, size_t size, uint64_t offset)
{
	const struct job *j = ctx;
	ssize_t n;

	do
		n = pread(j->state, out, size, (off_t)offset);
	while (n == -1 && errno == EINTR);
	return n;
}

static int
job_do(struct job *j, char error[SNAPSHOT_ERROR_MAX])
{
	switch (j->s->work) {
	case WORK_SAVE:
		return snapshot_store_save(j->s->store, &j->meta, state_read, j, error);
	case WORK_CHECK:
		return snapshot_store_check(j->s->store, j->s->checked, state_read, j, error);
	case WORK_RECEIVE:
		return snapshot_store_receive_finish(j->s->store, error);
	}
	panic("snapshots: work %d", (int)j->s->work);
}

/* Only these stay open: above all not the directory that carries the log's lock. */
static void
child_descriptors(struct job *j, int *result)
{
	int *const fds[] = {&j->s->dir, result, &j->state};
	size_t count = j->state == -1 ? 2 : 3;

	for (size_t i = 0; i < count; i++)
		if ((*fds[i] = fcntl(*fds[i], F_DUPFD, 10)) == -1)
			_exit(1);
	for (size_t i = 0; i < count; i++)
		if ((*fds[i] = dup2(*fds[i], 3 + (int)i)) == -1)
			_exit(1);
	(void)close_range(3 + (unsigned)count, ~0u, 0);
}

static NORETURN void
child_run(struct job *j, int result)
{
	char text[SNAPSHOT_ERROR_MAX];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "raftd-snapshot");
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	child_descriptors(j, &result);
	priority_lowest();
	if (job_do(j, text) == 0)
		snprintf(text, sizeof text, "ok");
	_exit(write(result, text, strlen(text)) == -1);
}

/* ---- the parent ---- */

static void
job_finished(struct snapshots *s)
{
	const char *error = strcmp(s->result, "ok") == 0 ? NULL
			    : s->result_size == 0        ? "the helper was killed"
							 : s->result;
	int fd = -1;

	s->busy = false;
	if (s->work != WORK_CHECK) {
		if (s->work == WORK_RECEIVE && error != NULL)
			snapshot_store_receive_abort(s->store);
		else if (s->work == WORK_RECEIVE)
			snapshot_store_receive_forget(s->store);
		if (error == NULL && snapshot_store_reload(s->store) == -1)
			error = "the snapshots can not be listed";
		s->saved(s->ctx, error);
		return;
	}
	if (error == NULL) {
		char path[SNAPSHOT_PATH_MAX];

		fd = openat(s->dir, snapshot_store_path(snapshots_at(s, s->checked)->id, "state.bin", path),
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd == -1)
			error = strerror(errno);
	}
	s->checked_cb(s->ctx, fd, error);
}

static void
on_result(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct snapshots *s = w->data;
	ssize_t n = read(w->fd, s->result + s->result_size, sizeof s->result - 1 - s->result_size);

	(void)events;
	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		s->result_size += (size_t)n;
		s->result[s->result_size] = '\0';
		return;
	}
	ev_io_stop(loop, w);
	close(w->fd);
	job_finished(s);
}

/* Answers by the callback at once when the child can't be made. */
static void
job_start(struct snapshots *s, struct job *j)
{
	int ends[2];
	pid_t pid;

	s->busy = true;
	s->result_size = 0;
	s->result[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) == -1) {
		snprintf(s->result, sizeof s->result, "pipe: %s", strerror(errno));
		s->result_size = 1;
		job_finished(s);
		return;
	}
	pid = fork();
	if (pid == 0)
		child_run(j, ends[1]);
	if (pid == -1) {
		snprintf(s->result, sizeof s->result, "fork: %s", strerror(errno));
		s->result_size = 1;
	}
	close(ends[1]);
	if (pid == -1 || net_set_nonblock(ends[0], true) == -1) {
		close(ends[0]);
		job_finished(s);
		return;
	}
	ev_io_init(&s->io, on_result, ends[0], EV_READ);
	s->io.data = s;
	ev_io_start(s->loop, &s->io);
}

static void
work_begin(struct snapshots *s, enum work work, void *ctx)
{
	if (s->busy)
		panic("snapshots: two jobs at once");
	s->work = work;
	s->ctx = ctx;
}

void
snapshots_save(struct snapshots *s, int state, const struct snapshot_meta *meta, snapshot_saved_cb *done, void *ctx)
{
	struct job j = {.s = s, .state = state, .meta = *meta};

	work_begin(s, WORK_SAVE, ctx);
	s->saved = done;
	job_start(s, &j);
	close(state);
}

void
snapshots_check(struct snapshots *s, size_t i, snapshot_checked_cb *done, void *ctx)
{
	struct job j = {.s = s};
	char path[SNAPSHOT_PATH_MAX], error[SNAPSHOT_ERROR_MAX];

	work_begin(s, WORK_CHECK, ctx);
	snapshot_store_path(snapshots_at(s, i)->id, "state.bin", path);
	j.state = openat(s->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (j.state == -1) {
		snprintf(error, sizeof error, "%s: %s", path, strerror(errno));
		done(ctx, -1, error);
		return;
	}
	s->checked = i;
	s->checked_cb = done;
	job_start(s, &j);
	close(j.state);
}

/* ---- receiving ---- */

int
snapshots_receive_begin(struct snapshots *s, const struct snapshot_meta *meta, char error[SNAPSHOT_ERROR_MAX])
{
	return snapshot_store_receive_begin(s->store, meta, error);
}

uint64_t
snapshots_received(const struct snapshots *s)
{
	return snapshot_store_received(s->store);
}

int
snapshots_receive_chunk(struct snapshots *s, uint64_t offset, struct bytes data, char error[SNAPSHOT_ERROR_MAX])
{
	return snapshot_store_receive_chunk(s->store, offset, data, error);
}

void
snapshots_receive_end(struct snapshots *s, snapshot_saved_cb *done, void *ctx)
{
	struct job j = {.s = s, .state = -1};
	char error[SNAPSHOT_ERROR_MAX];

	work_begin(s, WORK_RECEIVE, ctx);
	s->saved = done;
	if (snapshot_store_receive_seal(s->store, error) == -1) {
		snapshot_store_receive_abort(s->store);
		done(ctx, error);
		return;
	}
	job_start(s, &j);
}

void
snapshots_receive_abort(struct snapshots *s)
{
	if (s->busy && s->work == WORK_RECEIVE)
		panic("snapshots: aborted while it is being finished");
	snapshot_store_receive_abort(s->store);
}

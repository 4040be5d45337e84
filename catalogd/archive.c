/*
 * archive.c - the whole state as a file (contract: archive.h; format: consuld-store.5; callers: serve.c, raftlog.c, catalogd_snapshot.c)
 *
 * Making one is the helper's work, in a process and an LMDB environment of its own: a reader that stays open makes the file grow and
 * writes slow. Here it is only started, waited for, and its file handed on. Reading one back is done here, some
 * PIECE_BYTES in a loop turn, each piece one write transaction, so that the loop stays alive; until the last of them the store has no
 * log ID and would be thrown away by the next start.
 */
#include "archive.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive_form.h"
#include "log.h"
#include "mem.h"
#include "place.h"

#define MODULE "agent.server.snapshot"
#define HELPER "catalogd-snapshot"
#define PIECE_BYTES (1u * 1024 * 1024)

struct archive {
	struct catalogd *c;
	/* making one */
	struct ev_child child;
	struct ipc_stream *stream; /* NULL: whoever asked is gone */
	int out;                   /* -1: no helper runs */
	/* reading one */
	struct archive_reader *reader;
	struct ev_timer piece;
	uint64_t index, term;
	archive_done *done;
	void *ctx;
};

/* ---- making ---- */

static int
file_open(const char *directory)
{
	char path[4096];
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd != -1 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	/* A file system without nameless files. */
	if ((size_t)snprintf(path, sizeof path, "%s/archive.XXXXXX", directory) >= sizeof path)
		return -1;
	if ((fd = mkostemp(path, O_CLOEXEC)) != -1)
		(void)unlink(path);
	return fd;
}

static void
on_stream_ended(struct ipc_stream *s, void *ctx)
{
	struct archive *a = ctx;

	(void)s;
	a->stream = NULL;
}

static void
answer(struct archive *a, int status)
{
	struct ipc_stream *s = a->stream;
	struct archive_head head;
	struct buf body = BUF_INIT(256);
	int fd = a->out;

	a->out = -1;
	a->stream = NULL;
	if (s == NULL) {
		close(fd);
		return;
	}
	ipc_stream_watch(s, NULL, NULL, NULL);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || lseek(fd, 0, SEEK_SET) == -1 ||
	    archive_head_read(fd, &head) == -1 || lseek(fd, 0, SEEK_SET) == -1) {
		log_errorx(MODULE, "no snapshot was made: helper=%s wait_status=%d", HELPER, status);
		close(fd);
		ipc_fail(s, 0, "no snapshot was made: the helper failed");
		return;
	}
	mp_put_map(&body, 2);
	mp_put_kv_uint(&body, "Index", head.index);
	mp_put_kv_uint(&body, "Term", head.term);
	ipc_reply_fd(s, buf_bytes(&body), fd);
	buf_free(&body);
}

static void
on_child(struct ev_loop *loop, struct ev_child *w, int events)
{
	(void)events;
	ev_child_stop(loop, w);
	answer(w->data, w->rstatus);
}

static int
helper_start(struct archive *a, pid_t *pid)
{
	char path[4096];
	char *argv[] = {(char *)(uintptr_t)HELPER, (char *)(uintptr_t)store_directory(a->c->store), NULL};
	char *envp[] = {NULL};
	posix_spawn_file_actions_t actions;
	int error;

	if (place_beside(HELPER, path, sizeof path) == -1)
		return -1;
	if ((error = posix_spawn_file_actions_init(&actions)) == 0) {
		error = posix_spawn_file_actions_adddup2(&actions, a->out, ARCHIVE_HELPER_FD);
		if (error == 0)
			error = posix_spawn(pid, path, &actions, NULL, argv, envp);
		posix_spawn_file_actions_destroy(&actions);
	}
	errno = error;
	return error == 0 ? 0 : -1;
}

void
archive_snapshot(struct archive *a, struct ipc_stream *s)
{
	pid_t pid;

	if (a->out != -1 || a->reader != NULL) {
		ipc_fail(s, 0, "a snapshot is under way already");
		return;
	}
	if ((a->out = file_open(store_directory(a->c->store))) == -1 || helper_start(a, &pid) == -1) {
		log_error(MODULE, "no snapshot was made: helper=%s", HELPER);
		ipc_fail(s, 0, "no snapshot was made: %s", strerror(errno));
		if (a->out != -1)
			close(a->out);
		a->out = -1;
		return;
	}
	a->stream = s;
	ipc_stream_watch(s, on_stream_ended, NULL, a);
	ev_child_init(&a->child, on_child, pid, 0);
	a->child.data = a;
	ev_child_start(a->c->loop, &a->child);
}

/* ---- reading back ---- */

static void
restore_end(struct archive *a, bool good, const char *error)
{
	archive_done *done = a->done;

	ev_timer_stop(a->c->loop, &a->piece);
	archive_reader_free(a->reader);
	a->reader = NULL;
	a->done = NULL;
	done(a->ctx, good, error);
}

static void
on_piece(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct archive *a = w->data;
	char error[STORE_ERROR_MAX] = "";
	struct store_txn *t;
	int more;

	(void)loop, (void)events;
	store_read_end(a->c->store);
	if ((t = store_write(a->c->store, error)) == NULL) {
		restore_end(a, false, error);
		return;
	}
	more = archive_reader_step(a->reader, t, PIECE_BYTES, error);
	if (more == -1) {
		store_abort(t);
		restore_end(a, false, error);
		return;
	}
	if (more == 0)
		store_set_applied(t, a->index, a->term);
	if (store_commit(t, error) != STORE_DONE)
		restore_end(a, false, error);
	else if (more == 0)
		restore_end(a, true, NULL);
	else {
		ev_timer_set(w, 0., 0.);
		ev_timer_start(loop, w);
	}
}

void
archive_restore(struct archive *a, int fd, uint64_t index, uint64_t term, archive_done *done, void *ctx)
{
	a->index = index;
	a->term = term;
	a->done = done;
	a->ctx = ctx;
	a->reader = archive_reader_new(fd);
	ev_timer_init(&a->piece, on_piece, 0., 0.);
	a->piece.data = a;
	ev_timer_start(a->c->loop, &a->piece);
}

struct archive *
archive_new(struct catalogd *c)
{
	struct archive *a = xcalloc(1, sizeof *a);

	a->c = c;
	a->out = -1;
	return a;
}

void
archive_free(struct archive *a)
{
	if (a == NULL)
		return;
	/* the asker's connection is closed after us */
	if (a->stream != NULL)
		ipc_stream_watch(a->stream, NULL, NULL, NULL);
	if (a->out != -1) {
		ev_child_stop(a->c->loop, &a->child);
		close(a->out);
	}
	if (a->reader != NULL) {
		ev_timer_stop(a->c->loop, &a->piece);
		archive_reader_free(a->reader);
	}
	free(a);
}

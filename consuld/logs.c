/*
 * logs.c - what the suite's processes log, from their pipes to the sinks (contract: logs.h; callers: main.c, child.c, control.c)
 *
 * stdout must not become non-blocking for those who share its open file description (the operator's shell): a terminal or a pipe is opened
 * anew through /proc, a socket is sent to with MSG_DONTWAIT, a regular file does not block. What stdout does not take is kept up to
 * PENDING_BYTES_MAX; lines beyond are counted and dropped.
 *
 * Our own lines come by a pipe, too, so that there is one way for all. At exit and at abort that pipe is emptied to stdout by hand.
 */
#include "logs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef CONSULD_SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

#include "buf.h"
#include "duration.h"
#include "logline.h"
#include "mem.h"

#define PENDING_BYTES_MAX (256u * 1024)
#define TURN_BYTES_MAX (64u * 1024) /* read from one process per loop turn */
#define FINISH_WAIT_MS 200

struct logs_source {
	struct logs *logs;
	struct logs_source *next;
	ev_io io;
	char program[32];
	char last_words[512];
	struct buf partial; /* a line whose end has not come yet */
	bool skipping;      /* the rest of a line that was too long */
};

struct logs_monitor {
	struct logs *logs;
	struct logs_monitor *next;
	enum log_level level;
	bool json;
	logs_line_cb *line;
	void *ctx;
};

enum stdout_kind { STDOUT_FILE, STDOUT_STREAM, STDOUT_SOCKET };

struct logs {
	struct ev_loop *loop;
	enum log_level level;
	bool json;
	enum stdout_kind stdout_kind;
	int stdout_fd;
	ev_io stdout_io;
	struct buf pending; /* for stdout */
	unsigned long dropped;
	struct logfile *file;
	struct logs_source *sources;
	struct logs_source *self;
	struct logs_monitor *monitors;
	char *history[LOGS_HISTORY_LINES]; /* a ring; next is the oldest */
	size_t history_next;
	void (*changed)(void *ctx, enum log_level level);
	void *changed_ctx;
	struct buf json_line;
};

/* For the handlers of exit and abort. */
static int self_read_fd = -1;
static int old_stderr_fd = -1;

/* ---- stdout ---- */

static void
stdout_open(struct logs *l)
{
	struct stat st;

	l->stdout_fd = STDOUT_FILENO;
	l->stdout_kind = STDOUT_FILE;
	if (fstat(STDOUT_FILENO, &st) == -1)
		return;
	if (S_ISSOCK(st.st_mode)) {
		l->stdout_kind = STDOUT_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		l->stdout_kind = STDOUT_STREAM;
		l->stdout_fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (l->stdout_fd == -1)
			l->stdout_fd = STDOUT_FILENO;
	}
}

/* What the descriptor takes now; -1: nothing, errno EAGAIN or worse. */
static ssize_t
stdout_write(const struct logs *l, const void *data, size_t size)
{
	struct pollfd writable = {.fd = l->stdout_fd, .events = POLLOUT};

	if (l->stdout_kind == STDOUT_SOCKET)
		return send(l->stdout_fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* Could not be opened anew: the descriptor blocks, so ask first and write little. */
	if (l->stdout_kind == STDOUT_STREAM && l->stdout_fd == STDOUT_FILENO) {
		if (poll(&writable, 1, 0) != 1) {
			errno = EAGAIN;
			return -1;
		}
		size = MIN(size, 512);
	}
	return write(l->stdout_fd, data, size);
}

static void
stdout_flush(struct logs *l)
{
	ssize_t written;

	while (l->pending.used > 0) {
		written = stdout_write(l, l->pending.data, l->pending.used);
		if (written > 0) {
			buf_consume(&l->pending, (size_t)written);
			continue;
		}
		if (written == -1 && errno == EINTR)
			continue;
		if (written == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			ev_io_start(l->loop, &l->stdout_io);
			return;
		}
		buf_clear(&l->pending); /* a failing stdout is ignored */
	}
	ev_io_stop(l->loop, &l->stdout_io);
	buf_free(&l->pending);
	if (l->dropped > 0) {
		unsigned long dropped = l->dropped;

		l->dropped = 0;
		log_warnx("agent", "log lines dropped: count=%lu", dropped);
	}
}

static void
stdout_writable(struct ev_loop *loop UNUSED, ev_io *io, int events UNUSED)
{
	stdout_flush(io->data);
}

static void
stdout_put(struct logs *l, struct bytes line)
{
	if (l->pending.used + line.size + 1 > PENDING_BYTES_MAX) {
		l->dropped++;
		return;
	}
	buf_put_bytes(&l->pending, line);
	buf_put_u8(&l->pending, '\n');
}

/* ---- the way of a line ---- */

static struct bytes
as_json(struct logs *l, const struct logline *line)
{
	buf_clear(&l->json_line);
	logline_json(line, walltime_ns(), &l->json_line);
	return buf_bytes(&l->json_line);
}

static void
keep_history(struct logs *l, const struct logline *line)
{
	free(l->history[l->history_next]);
	l->history[l->history_next] = bytes_dup(line->whole);
	l->history_next = (l->history_next + 1) % LOGS_HISTORY_LINES;
}

static void
take_line(struct logs_source *s, struct bytes text)
{
	struct logs *l = s->logs;
	struct logline line;
	struct bytes form;

	if (text.size == 0)
		return;
	logline_parse(text, &line);
	if (line.level == LOG_ERROR_LEVEL)
		snprintf(s->last_words, sizeof s->last_words, "%.*s",
		    (int)MIN(line.text.size, sizeof s->last_words - 1), (const char *)line.text.data);
	if (line.level >= l->level) {
		form = l->json ? as_json(l, &line) : line.whole;
		stdout_put(l, form);
		if (l->file != NULL) {
			logfile_write(l->file, form);
			logfile_write(l->file, bytes_str("\n"));
		}
		keep_history(l, &line);
	}
	for (struct logs_monitor *m = l->monitors, *next; m != NULL; m = next) {
		next = m->next;
		if (line.level >= m->level)
			m->line(m->ctx, m->json ? as_json(l, &line) : line.whole);
	}
}

/* Takes whole lines out of data; what is left of the last one waits in partial. */
static void
take_bytes(struct logs_source *s, const uint8_t *data, size_t size)
{
	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t part = end == NULL ? size : (size_t)(end - data);

		if (!s->skipping && s->partial.used + part > LOGS_LINE_BYTES_MAX) {
			size_t room = LOGS_LINE_BYTES_MAX - s->partial.used;

			buf_put(&s->partial, data, room);
			take_line(s, buf_bytes(&s->partial));
			buf_clear(&s->partial);
			s->skipping = true;
		}
		if (end == NULL) {
			if (!s->skipping)
				buf_put(&s->partial, data, part);
			return;
		}
		if (s->skipping) {
			s->skipping = false;
		} else if (s->partial.used > 0) {
			buf_put(&s->partial, data, part);
			take_line(s, buf_bytes(&s->partial));
			buf_free(&s->partial);
		} else {
			take_line(s, bytes_of(data, part));
		}
		data += part + 1;
		size -= part + 1;
	}
}

/* Reads at most max bytes. true: the writer is gone. */
static bool
read_source(struct logs_source *s, size_t max)
{
	static uint8_t block[16384];
	ssize_t got;

	while (max > 0) {
		got = read(s->io.fd, block, MIN(sizeof block, max));
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return errno != EAGAIN && errno != EWOULDBLOCK;
		if (got == 0)
			return true;
		take_bytes(s, block, (size_t)got);
		max -= (size_t)got;
		if ((size_t)got < sizeof block)
			return false;
	}
	return false;
}

static void
flush_sinks(struct logs *l)
{
	if (!ev_is_active(&l->stdout_io))
		stdout_flush(l);
	if (l->file != NULL)
		logfile_flush(l->file);
}

static void
source_readable(struct ev_loop *loop, ev_io *io, int events UNUSED)
{
	struct logs_source *s = io->data;

	if (read_source(s, TURN_BYTES_MAX))
		ev_io_stop(loop, io);
	flush_sinks(s->logs);
}

/* ---- sources ---- */

struct logs_source *
logs_source_new(struct logs *l, const char *program, int *write_fd)
{
	struct logs_source *s;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		return NULL;
	s = xcalloc(1, sizeof *s);
	s->logs = l;
	snprintf(s->program, sizeof s->program, "%s", program);
	buf_init(&s->partial, LOGS_LINE_BYTES_MAX);
	ev_io_init(&s->io, source_readable, fds[0], EV_READ);
	s->io.data = s;
	ev_io_start(l->loop, &s->io);
	s->next = l->sources;
	l->sources = s;
	*write_fd = fds[1];
	return s;
}

void
logs_source_drain(struct logs_source *s)
{
	(void)read_source(s, SIZE_MAX);
	flush_sinks(s->logs);
}

void
logs_source_end(struct logs_source *s)
{
	struct logs_source **at = &s->logs->sources;

	logs_source_drain(s);
	if (s->partial.used > 0) /* it died in the middle of a line */
		take_line(s, buf_bytes(&s->partial));
	flush_sinks(s->logs);
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	ev_io_stop(s->logs->loop, &s->io);
	close(s->io.fd);
	buf_free(&s->partial);
	free(s);
}

const char *
logs_source_last_words(const struct logs_source *s)
{
	return s->last_words;
}

/* Async-signal-safe: our own pipe to stdout. */
static void
empty_self(void)
{
	char block[4096];
	ssize_t got, written;

	while (self_read_fd != -1 && (got = read(self_read_fd, block, sizeof block)) > 0) {
		written = write(STDOUT_FILENO, block, (size_t)got);
		(void)written;
	}
}

static void
on_abort(int signal_number UNUSED)
{
	empty_self(); /* the handler returns and abort() goes on */
}

void
logs_capture_self(struct logs *l)
{
	struct sigaction action = {.sa_handler = on_abort};
	int write_fd;

	l->self = logs_source_new(l, "consuld", &write_fd);
	if (l->self == NULL)
		return;
	old_stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
#ifdef CONSULD_SANITIZED
	/* A report comes when nobody empties the pipe any more. */
	__sanitizer_set_report_fd((void *)(intptr_t)old_stderr_fd);
#endif
	if (dup2(write_fd, STDERR_FILENO) != -1)
		self_read_fd = l->self->io.fd;
	close(write_fd);
	sigaction(SIGABRT, &action, NULL);
	atexit(empty_self);
}

/* ---- settings ---- */

enum log_level
logs_wanted(const struct logs *l)
{
	enum log_level level = l->level;

	for (const struct logs_monitor *m = l->monitors; m != NULL; m = m->next)
		level = MIN(level, m->level);
	return level;
}

static void
tell_wanted(struct logs *l, enum log_level before)
{
	enum log_level now = logs_wanted(l);

	if (now == before)
		return;
	log_widen(now);
	if (l->changed != NULL)
		l->changed(l->changed_ctx, now);
}

void
logs_watch_wanted(struct logs *l, void (*changed)(void *ctx, enum log_level level), void *ctx)
{
	l->changed = changed;
	l->changed_ctx = ctx;
}

void
logs_set_level(struct logs *l, enum log_level level)
{
	enum log_level before = logs_wanted(l);

	l->level = level;
	log_set_level(level);
	tell_wanted(l, before);
}

struct logfile *
logs_set_file(struct logs *l, struct logfile *f)
{
	struct logfile *old = l->file;

	l->file = f;
	return old;
}

void
logs_reopen(struct logs *l)
{
	if (l->file != NULL)
		logfile_reopen(l->file);
}

struct logs *
logs_new(struct ev_loop *loop, enum log_level level, bool json)
{
	struct logs *l = xcalloc(1, sizeof *l);

	l->loop = loop;
	l->level = level;
	l->json = json;
	buf_init(&l->pending, PENDING_BYTES_MAX);
	buf_init(&l->json_line, 8 * LOGS_LINE_BYTES_MAX);
	stdout_open(l);
	ev_io_init(&l->stdout_io, stdout_writable, l->stdout_fd, EV_WRITE);
	l->stdout_io.data = l;
	return l;
}

void
logs_finish(struct logs *l)
{
	struct pollfd writable = {.fd = l->stdout_fd, .events = POLLOUT};
	int64_t end_ns = monotime_now().ns + FINISH_WAIT_MS * NS_PER_MS;

	for (struct logs_source *s = l->sources; s != NULL; s = s->next)
		(void)read_source(s, SIZE_MAX);
	stdout_flush(l);
	while (l->pending.used > 0 && monotime_now().ns < end_ns) {
		(void)poll(&writable, 1, 10);
		stdout_flush(l);
	}
	if (l->file != NULL)
		logfile_flush(l->file);
}

void
logs_free(struct logs *l)
{
	if (l == NULL)
		return;
	self_read_fd = -1;
	if (old_stderr_fd != -1)
		(void)dup2(old_stderr_fd, STDERR_FILENO);
	for (struct logs_source *source = l->sources, *next; source != NULL; source = next) {
		next = source->next;
		logs_source_end(source);
	}
	for (struct logs_monitor *m = l->monitors, *next; m != NULL; m = next) {
		next = m->next;
		logs_monitor_free(m);
	}
	ev_io_stop(l->loop, &l->stdout_io);
	if (l->stdout_fd != STDOUT_FILENO)
		close(l->stdout_fd);
	for (size_t i = 0; i < LOGS_HISTORY_LINES; i++)
		free(l->history[i]);
	logfile_close(l->file);
	buf_free(&l->pending);
	buf_free(&l->json_line);
	free(l);
}

/* ---- monitors ---- */

struct logs_monitor *
logs_monitor_new(struct logs *l, enum log_level level, bool json, logs_line_cb *line, void *ctx)
{
	struct logs_monitor *m = xcalloc(1, sizeof *m);
	enum log_level before = logs_wanted(l);
	struct logline parsed;

	*m = (struct logs_monitor){
	    .logs = l, .next = l->monitors, .level = level, .json = json, .line = line, .ctx = ctx};
	for (size_t i = 0; i < LOGS_HISTORY_LINES; i++) {
		const char *old = l->history[(l->history_next + i) % LOGS_HISTORY_LINES];

		if (old == NULL)
			continue;
		logline_parse(bytes_str(old), &parsed);
		if (parsed.level >= level)
			line(ctx, json ? as_json(l, &parsed) : parsed.whole);
	}
	l->monitors = m;
	tell_wanted(l, before);
	return m;
}

void
logs_monitor_free(struct logs_monitor *m)
{
	struct logs *l = m->logs;
	enum log_level before = logs_wanted(l);
	struct logs_monitor **at = &l->monitors;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	free(m);
	tell_wanted(l, before);
}

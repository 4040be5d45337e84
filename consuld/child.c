/*
 * child.c - one daemon under supervision (contract: child.h; callers: main.c, reload.c, stop.c)
 *
 * DOWN waits for its back-off timer, STARTING for the answer to Daemon.Ready, READY is pinged each second, STOPPING is not started
 * again, GONE is the end. The process' death (ev_child) leads from STARTING and READY to DOWN, from STOPPING to GONE. A process that lives on
 * without its control connection is of no use: it is killed, and its death does the rest.
 */
#include "child.h"

#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backoff.h"
#include "logs.h"
#include "mem.h"
#include "mp.h"
#include "spawn.h"
#include "suite.h"

#define LOST_S 2                /* so long may a daemon live on without its control connection */
#define CLOSE_LISTENERS_MS 1000 /* a back-off longer than this: refuse clients instead of keeping them waiting */

enum child_state { CHILD_DOWN, CHILD_STARTING, CHILD_READY, CHILD_STOPPING, CHILD_GONE };

/* A call on the control connection, answered even when the connection is dropped by us. */
struct request {
	struct request *next;
	struct child *child;
	ipc_answer_cb *cb;
	void *ctx;
};

struct child {
	struct suite *suite;
	const struct table_row *row;
	char name[64]; /* "httpd", further instances "httpd.2" */
	char *program; /* path */
	enum child_state state;
	pid_t pid;
	bool external; /* not our child process */
	bool was_ready;
	unsigned incarnation;
	unsigned silent_s; /* ticks since the ping that is unanswered, or since lost */
	bool lost;         /* its control connection is gone */
	int64_t starting_s;
	struct backoff backoff;
	struct ipc_peer *control;
	struct ipc_call *ping;
	struct request *requests;
	struct logs_source *log;
	ev_child watcher;
	ev_timer restart;
};

static void
set_state(struct child *c, enum child_state state)
{
	c->state = state;
	c->silent_s = 0;
	c->starting_s = 0;
}

const char *
child_name(const struct child *c)
{
	return c->name;
}

const struct table_row *
child_row(const struct child *c)
{
	return c->row;
}

pid_t
child_pid(const struct child *c)
{
	return c->pid;
}

bool
child_ready(const struct child *c)
{
	return c->state == CHILD_READY;
}

bool
child_stopped(const struct child *c)
{
	return c->state == CHILD_GONE;
}

unsigned
child_incarnation(const struct child *c)
{
	return c->incarnation;
}

void
child_kill(struct child *c, int signal_number)
{
	if (c->pid > 0)
		(void)kill(c->pid, signal_number);
}

/* ---- control connection ---- */

static void
drop_control(struct child *c)
{
	static const struct ipc_answer lost = {.status = IPC_LOST, .fd = -1};
	struct ipc_peer *control = c->control;
	struct request *requests = c->requests;

	c->control = NULL;
	c->ping = NULL;
	c->requests = NULL;
	if (control != NULL)
		ipc_peer_free(control);
	while (requests != NULL) {
		struct request *next = requests->next;

		requests->cb(requests->ctx, &lost);
		free(requests);
		requests = next;
	}
}

static void
on_answer(void *ctx, const struct ipc_answer *answer)
{
	struct request *r = ctx, **at = &r->child->requests;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	r->cb(r->ctx, answer);
	free(r);
}

static void
on_control_down(void *ctx)
{
	struct child *c = ctx;

	if (c->external) {
		/* The peer is freed at the next attach or end; it may be in use just now. */
		if (c->state == CHILD_STOPPING) {
			set_state(c, CHILD_GONE);
			suite_child_stopped(c->suite, c);
		} else {
			log_warnx("agent", "daemon is gone: daemon=%s", c->name);
			set_state(c, CHILD_DOWN);
		}
		return;
	}
	/* As a rule it is on its way out, with a status to tell: one that lives on without a connection is killed by child_tick. */
	c->lost = true;
}

static void
on_pong(void *ctx, const struct ipc_answer *answer)
{
	struct child *c = ctx;

	c->ping = NULL;
	if (answer->status == IPC_OK)
		c->silent_s = 0;
}

static void
on_ready(void *ctx, const struct ipc_answer *answer)
{
	struct child *c = ctx;

	if (answer->status != IPC_OK || c->state != CHILD_STARTING)
		return;
	set_state(c, CHILD_READY);
	c->was_ready = true;
	suite_child_ready(c->suite, c);
}

bool
child_call(struct child *c, const char *method, struct bytes args, int64_t timeout_ms, ipc_answer_cb *cb, void *ctx)
{
	const struct ipc_call_options options = {.timeout_ms = timeout_ms};
	struct request *r;

	if (c->control == NULL || !ipc_peer_connected(c->control))
		return false;
	r = xcalloc(1, sizeof *r);
	*r = (struct request){.next = c->requests, .child = c, .cb = cb, .ctx = ctx};
	c->requests = r;
	(void)ipc_call(c->control, method, args, &options, on_answer, r);
	return true;
}

static void
ignore_answer(void *ctx UNUSED, const struct ipc_answer *answer UNUSED)
{
}

void
child_log_level(struct child *c, enum log_level level)
{
	struct buf args = BUF_INIT(256);

	mp_put_map(&args, 1);
	mp_put_kv_cstr(&args, "Level", log_level_name(level));
	(void)child_call(c, "Daemon.LogLevel", buf_bytes(&args), 0, ignore_answer, NULL);
	buf_free(&args);
}

static void
greet(struct child *c)
{
	ipc_peer_watch(c->control, NULL, on_control_down, c);
	c->lost = false;
	set_state(c, CHILD_STARTING);
	c->incarnation++;
	(void)child_call(c, "Daemon.Ready", bytes_of(NULL, 0), 0, on_ready, c);
	if (logs_wanted(c->suite->logs) < config_log_level(c->suite->config))
		child_log_level(c, logs_wanted(c->suite->logs));
}

static void
on_attached_prepared(void *ctx, const struct ipc_answer *answer)
{
	struct child *c = ctx;
	struct buf args = BUF_INIT(64);

	if (answer->status != IPC_OK) {
		if (answer->status == IPC_ERROR)
			log_errorx("agent", "daemon does not take the configuration: daemon=%s error=%s", c->name,
			    log_quote_bytes(answer->error));
		return;
	}
	mp_put_map(&args, 1);
	mp_put_kv_uint(&args, "Generation", c->suite->generation);
	child_call(c, "Daemon.Commit", buf_bytes(&args), 0, ignore_answer, NULL);
	buf_free(&args);
}

void
child_attach(struct child *c, struct ipc_peer *peer)
{
	struct buf args = BUF_INIT(64);

	drop_control(c);
	c->external = true;
	c->control = peer;
	greet(c);
	/* It may have outlived an earlier consuld and run with that one's configuration. */
	mp_put_map(&args, 1);
	mp_put_kv_uint(&args, "Generation", c->suite->generation);
	child_call(c, "Daemon.Prepare", buf_bytes(&args), 0, on_attached_prepared, c);
	buf_free(&args);
}

/* ---- death ---- */

static void
status_text(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, size, "exit status %d", WEXITSTATUS(status));
}

/* Takes the last words and closes the log pipe; out is "" if it died silently. */
static void
last_words(struct child *c, char *out, size_t size)
{
	out[0] = '\0';
	if (c->log == NULL)
		return;
	logs_source_drain(c->log);
	snprintf(out, size, "%s", logs_source_last_words(c->log));
	logs_source_end(c->log);
	c->log = NULL;
}

static void
restart_later(struct child *c, const char *how)
{
	int64_t delay_ms = backoff_died(&c->backoff, monotime_now());

	log_errorx("agent", "daemon died -- restarting: daemon=%s status=%s delay=%" PRId64 "ms", c->name,
	    log_quote(how), delay_ms);
	if (delay_ms > CLOSE_LISTENERS_MS)
		listeners_close_of(c->suite->listeners, c->row->name);
	set_state(c, CHILD_DOWN);
	ev_timer_set(&c->restart, (double)delay_ms / 1000, 0.);
	ev_timer_start(c->suite->loop, &c->restart);
}

static void
died(struct child *c, bool permanent, const char *how)
{
	char words[512], why[768];

	last_words(c, words, sizeof words);
	drop_control(c);
	c->pid = 0;
	if (c->state == CHILD_STOPPING || c->suite->state == SUITE_STOPPING) {
		set_state(c, CHILD_GONE);
		suite_child_stopped(c->suite, c);
		return;
	}
	snprintf(why, sizeof why, "%s: %s", c->name, words[0] == '\0' ? how : words);
	if (permanent ||
	    (!c->was_ready && c->suite->state == SUITE_STARTING && c->backoff.deaths + 1 >= CHILD_START_DEATHS_MAX)) {
		set_state(c, CHILD_GONE);
		suite_child_hopeless(c->suite, c, why);
		return;
	}
	restart_later(c, how);
}

static void
on_death(struct ev_loop *loop, ev_child *w, int events UNUSED)
{
	struct child *c = w->data;
	char how[128];

	ev_child_stop(loop, w);
	status_text(w->rstatus, how, sizeof how);
	died(c, WIFEXITED(w->rstatus) && WEXITSTATUS(w->rstatus) == EXIT_PERMANENT, how);
}

/* ---- start ---- */

static void
on_restart(struct ev_loop *loop, ev_timer *t, int events UNUSED)
{
	ev_timer_stop(loop, t);
	child_start(t->data);
}

struct child *
child_new(struct suite *suite, const struct table_row *row, unsigned instance)
{
	struct child *c = xcalloc(1, sizeof *c);

	c->suite = suite;
	c->row = row;
	if (instance == 0)
		snprintf(c->name, sizeof c->name, "%s", row->name);
	else
		snprintf(c->name, sizeof c->name, "%s.%u", row->name, instance + 1);
	c->program = xasprintf("%s/%s", suite->libexec, row->name);
	ev_timer_init(&c->restart, on_restart, 0., 0.);
	c->restart.data = c;
	c->watcher.data = c;
	return c;
}

void
child_free(struct child *c)
{
	if (c == NULL)
		return;
	ev_timer_stop(c->suite->loop, &c->restart);
	ev_child_stop(c->suite->loop, &c->watcher);
	drop_control(c);
	if (c->log != NULL)
		logs_source_end(c->log);
	free(c->program);
	free(c);
}

/* -1 with errno. */
static int
spawn(struct child *c, const struct spawn_user *user)
{
	int fds[SPAWN_LISTEN_MAX], pair[2], log_fd, saved_errno;
	struct buf text = BUF_INIT(16384);
	struct spawn s = {.path = c->program,
	    .run_dir = rundir_path(c->suite->rundir),
	    .row = c->row,
	    .user = user,
	    .listen_fds = fds};
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return -1;
	c->log = logs_source_new(c->suite->logs, c->name, &log_fd);
	if (c->log == NULL) {
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	s.log_fd = log_fd;
	s.control_fd = pair[1];
	s.listen_count = listeners_of(c->suite->listeners, c->row->name, SPAWN_LISTEN_FD, fds, COUNTOF(fds), &text);
	buf_put_u8(&text, '\0');
	s.listen_text = (const char *)text.data;
	pid = spawn_daemon(&s);
	saved_errno = errno;
	buf_free(&text);
	close(log_fd);
	close(pair[1]);
	if (pid == -1) {
		close(pair[0]);
		errno = saved_errno;
		return -1;
	}
	c->pid = pid;
	ev_child_init(&c->watcher, on_death, pid, 0);
	ev_child_start(c->suite->loop, &c->watcher);
	c->control = ipc_peer_from_fd(c->suite->ipc, pair[0], true, NULL);
	greet(c);
	return 0;
}

void
child_start(struct child *c)
{
	char error[LISTENERS_ERROR_MAX], how[128];
	struct spawn_user user;

	if (c->external)
		return;
	backoff_started(&c->backoff, monotime_now());
	if (listeners_open_of(c->suite->listeners, c->row->name, error) == -1) {
		restart_later(c, error);
		return;
	}
	if (spawn_user(c->row, c->suite->table->group, &user, error) == -1) {
		set_state(c, CHILD_GONE);
		suite_child_hopeless(c->suite, c, error);
		return;
	}
	if (spawn(c, &user) == -1) {
		snprintf(how, sizeof how, "not started: %s", strerror(errno));
		died(c, false, how);
	}
}

/* ---- watching and stopping ---- */

void
child_tick(struct child *c)
{
	const struct ipc_call_options options = {.timeout_ms = 0};

	if (c->lost && !c->external) {
		if (++c->silent_s >= LOST_S)
			child_kill(c, SIGKILL);
		return;
	}
	if (c->state == CHILD_STARTING && !c->external && ++c->starting_s * 1000 >= c->row->start_ms) {
		log_errorx(
		    "agent", "daemon does not become ready -- killing it: daemon=%s pid=%ld", c->name, (long)c->pid);
		child_kill(c, SIGKILL);
		return;
	}
	if (c->state != CHILD_READY)
		return;
	if (c->ping == NULL) {
		c->silent_s = 0;
		c->ping = ipc_call(c->control, "Daemon.Ping", bytes_of(NULL, 0), &options, on_pong, c);
		return;
	}
	/* Counted in our own ticks: when all of us slept, nobody was silent. */
	if (++c->silent_s < CHILD_SILENT_S || c->external)
		return;
	log_errorx("agent", "daemon is silent -- killing it: daemon=%s pid=%ld silent=%us", c->name, (long)c->pid,
	    c->silent_s);
	child_kill(c, SIGKILL);
}

void
child_stop(struct child *c, bool leave)
{
	struct buf args = BUF_INIT(64);

	if (c->state == CHILD_STOPPING || c->state == CHILD_GONE)
		return;
	ev_timer_stop(c->suite->loop, &c->restart);
	/* One that somebody else started outlives us; only a leave is its business. */
	if (c->pid == 0 && (!c->external || !leave)) {
		set_state(c, CHILD_GONE);
		return;
	}
	set_state(c, CHILD_STOPPING);
	mp_put_map(&args, 1);
	mp_put_kv_bool(&args, "Leave", leave);
	if (!child_call(c, "Daemon.Stop", buf_bytes(&args), 0, ignore_answer, NULL)) {
		if (c->external)
			set_state(c, CHILD_GONE);
		else
			child_kill(c, SIGKILL);
	}
	buf_free(&args);
}

/*
 * suite.c - the running suite: its start, its events, its end (contract: suite.h; caller: main.c)
 *
 * Order of a start: run directory and locks, sockets, generation 1, control socket, pid file, daemons. Everything is started in parallel; the
 * suite runs when each daemon has said so.
 */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "duration.h"
#include "mem.h"
#include "net.h"
#include "notify.h"
#include "owner.h"
#include "rejoin.h"
#include "reload.h"
#include "stop.h"

#define UNCLEAN_PATIENCE_MS 1000 /* for processes of a killed suite to vanish */
#define START_ERROR_MAX 2048

/* ---- told by the children ---- */

void
suite_own_file(void *ctx, int dirfd, const char *name)
{
	struct suite *s = ctx;

	if (owner_file(s->table, dirfd, name) == -1)
		log_warn("agent", "configuration can not be given to its daemon: file=%s", name);
}

void
suite_child_ready(struct suite *s, struct child *c)
{
	if (s->state != SUITE_STARTING) {
		log_info("agent", "daemon is back: daemon=%s pid=%ld", child_name(c), (long)child_pid(c));
		return;
	}
	for (size_t i = 0; i < s->child_count; i++)
		if (!child_ready(s->children[i]))
			return;
	s->state = SUITE_RUNNING;
	log_info("agent", "Consul agent running!");
	notify_manager("READY=1");
}

void
suite_child_stopped(struct suite *s, struct child *c UNUSED)
{
	stop_child_gone(s);
}

void
suite_child_hopeless(struct suite *s, struct child *c, const char *why)
{
	if (s->state == SUITE_STARTING)
		log_errorx("agent", "Error starting agent: error=%s", log_quote(why));
	else
		log_errorx("agent", "daemon can not go on, stopping the suite: daemon=%s error=%s", child_name(c),
		    log_quote(why));
	stop_begin(s, 1);
	stop_child_gone(s);
}

/* ---- events ---- */

static void
on_tick(struct ev_loop *loop UNUSED, ev_timer *t, int events UNUSED)
{
	struct suite *s = t->data;

	for (size_t i = 0; i < s->child_count; i++)
		child_tick(s->children[i]);
}

static void
on_reloaded(void *ctx UNUSED, const char *error)
{
	if (error != NULL)
		log_errorx("agent", "Reload config failed: error=%s", log_quote(error));
}

static void
on_signal(struct ev_loop *loop UNUSED, ev_signal *w, int events UNUSED)
{
	struct suite *s = w->data;

	if (w->signum != SIGHUP) {
		stop_signal(s, w->signum);
		return;
	}
	logs_reopen(s->logs);
	if (s->state == SUITE_STARTING) {
		log_errorx("agent.startup", "Caught: signal=hangup error=\"cannot reload before agent started\"");
		return;
	}
	log_info("agent", "Caught: signal=hangup");
	reload_request(s, on_reloaded, NULL);
}

static void
on_wanted_level(void *ctx, enum log_level level)
{
	struct suite *s = ctx;

	for (size_t i = 0; i < s->child_count; i++)
		child_log_level(s->children[i], level);
}

static void
on_note(struct ev_loop *loop UNUSED, ev_timer *t, int events UNUSED)
{
	struct suite *s = t->data;

	if (rejoin_note(config_str(s->config, "data_dir"), walltime_ns()) == -1)
		log_error("agent", "server metadata can not be written: directory=%s",
		    log_quote(config_str(s->config, "data_dir")));
}

static bool
is_durable_server(const struct suite *s)
{
	return config_bool(s->config, "server") && !config_is_dev(s->config);
}

static void
watch_events(struct suite *s)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < COUNTOF(numbers); i++) {
		ev_signal_init(&s->signals[i], on_signal, numbers[i]);
		s->signals[i].data = s;
		ev_signal_start(s->loop, &s->signals[i]);
	}
	ev_timer_init(&s->tick, on_tick, 1., 1.);
	s->tick.data = s;
	ev_timer_start(s->loop, &s->tick);
	ev_timer_init(&s->note, on_note, 0., REJOIN_NOTE_S);
	s->note.data = s;
	if (is_durable_server(s))
		ev_timer_start(s->loop, &s->note);
}

/* ---- start ---- */

/* Go's spelling of an errno. */
static const char *
reason(void)
{
	static char text[128];

	snprintf(text, sizeof text, "%s", strerror(errno));
	if (text[0] >= 'A' && text[0] <= 'Z')
		text[0] = (char)(text[0] | 0x20);
	return text;
}

static int
write_pid_file(const char *path, char error[START_ERROR_MAX])
{
	char text[32];
	int fd;

	if (path[0] == '\0')
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd == -1) {
		snprintf(error, START_ERROR_MAX, "Could not open pid file: open %s: %s", path, reason());
		return -1;
	}
	snprintf(text, sizeof text, "%ld", (long)getpid());
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		snprintf(error, START_ERROR_MAX, "Could not write to pid file: write %s: %s", path, reason());
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

static int
open_control(struct suite *s, char error[START_ERROR_MAX])
{
	int fd = net_listen_unix("consuld.sock", 0660);

	if (fd == -1 || owner_group(s->table, "consuld.sock") == -1) {
		snprintf(error, START_ERROR_MAX, "listen unix %s/consuld.sock: %s", rundir_path(s->rundir), reason());
		return -1;
	}
	s->control = ipc_listen(s->ipc, fd, control_service(s));
	return 0;
}

static void
start_children(struct suite *s)
{
	bool server = config_bool(s->config, "server");

	for (size_t i = 0; i < s->table->count; i++) {
		const struct table_row *row = &s->table->rows[i];

		for (unsigned k = 0;
		     table_row_runs(row, server) && k < row->instances && s->child_count < SUITE_CHILDREN_MAX; k++)
			s->children[s->child_count++] = child_new(s, row, k);
	}
	for (size_t i = 0; i < s->child_count && !s->table->external && s->state == SUITE_STARTING; i++)
		child_start(s->children[i]);
}

/* -1: this server was away for too long. */
static int
check_rejoin(const struct suite *s, char error[START_ERROR_MAX])
{
	int64_t age_max_ns = config_duration(s->config, "server_rejoin_age_max");
	char text[DURATION_TEXT_MAX];

	if (!is_durable_server(s) || !rejoin_is_stale(config_str(s->config, "data_dir"), walltime_ns(), age_max_ns))
		return 0;
	snprintf(error, START_ERROR_MAX,
	    "refusing to rejoin cluster because server has been offline for more than the configured "
	    "server_rejoin_age_max (%s) - consider wiping your data dir",
	    duration_format(age_max_ns, text));
	return -1;
}

/* Everything between the first log line and the loop. -1: error. */
static int
start_suite(struct suite *s, char error[START_ERROR_MAX])
{
	const struct rundir_options options = {
	    .wanted = s->table->run_dir,
	    .group = s->table->group,
	    .data_dir = config_str(s->config, "data_dir"),
	    .dev = config_is_dev(s->config),
	    .shared = s->table->external,
	};
	unsigned before;

	if (check_rejoin(s, error) == -1)
		return -1;
	s->rundir = rundir_open(&options, error);
	if (s->rundir == NULL)
		return -1;
	config_set_run_dir(s->config, rundir_path(s->rundir));
	config_set_servers(s->config, s->table->servers);
	config_set_coordinates(s->config, s->table->coordinate_interval_ms, s->table->coordinate_period_ms);
	if (owner_run_dir(s->table, error) == -1 ||
	    owner_state_dirs(s->table, s->config, config_bool(s->config, "server"), error) == -1)
		return -1;
	/* Somebody else's daemons open their own sockets. */
	if (!s->table->external) {
		s->listeners =
		    listeners_open(s->config, rundir_was_unclean(s->rundir) ? UNCLEAN_PATIENCE_MS : 0, error);
		if (s->listeners == NULL)
			return -1;
	}
	before = rundir_committed(s->rundir);
	s->generation = before + 1;
	rundir_remove(s->rundir, s->generation); /* what a killed consuld was about to commit */
	if (rundir_write(s->rundir, s->config, s->generation, suite_own_file, s, error) == -1)
		return -1;
	if (rundir_commit(s->rundir, s->generation) == -1) {
		snprintf(error, START_ERROR_MAX, "rename %s/current: %s", rundir_path(s->rundir), reason());
		return -1;
	}
	if (before != 0)
		rundir_remove(s->rundir, before);
	if (open_control(s, error) == -1)
		return -1;
	return write_pid_file(config_str(s->config, "pid_file"), error);
}

void
suite_free(struct suite *s)
{
	for (size_t i = 0; i < s->child_count; i++)
		child_free(s->children[i]);
	if (s->rundir != NULL && config_str(s->config, "pid_file")[0] != '\0')
		(void)unlink(config_str(s->config, "pid_file"));
	listeners_free(s->listeners);
	if (s->ipc != NULL)
		ipc_free(s->ipc);
	rundir_close(s->rundir);
	logs_finish(s->logs);
	logs_free(s->logs);
	table_free(s->table);
	config_free(s->config);
	free(s->libexec);
}

int
suite_run(struct suite *s)
{
	char error[START_ERROR_MAX];

	logs_capture_self(s->logs);
	log_set_level(config_log_level(s->config));
	log_syslog(config_syslog_facility(s->config));
	for (size_t i = 0; i < config_warning_count(s->config); i++)
		log_warnx("agent", "%s", config_warning(s->config, i));
	s->ipc = ipc_new(s->loop, "consuld");
	if (start_suite(s, error) == -1) {
		log_errorx("agent", "Error starting agent: error=%s", log_quote(error));
		log_info("agent", "Exit code: code=1");
		s->status = 1;
	} else {
		watch_events(s);
		logs_watch_wanted(s->logs, on_wanted_level, s);
		start_children(s);
		if (!s->ended)
			ev_run(s->loop, 0);
	}
	return s->status;
}

/*
 * main.c - consuld, the supervisor: from the command line to the running suite (consuld(8))
 *
 * Order of a start: configuration, table, node ID, log file (errors so far: "==> text" on standard error), banner, log, run directory
 * and locks, sockets, generation 1, pid file, daemons (errors so far: log lines), loop. Everything is started in parallel; the suite runs when
 * each daemon has said so.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "banner.h"
#include "buf.h"
#include "control.h"
#include "mem.h"
#include "net.h"
#include "notify.h"
#include "reload.h"
#include "spawn.h"
#include "stop.h"
#include "suite.h"

#define UNCLEAN_PATIENCE_MS 1000 /* for processes of a killed suite to vanish */
#define START_ERROR_MAX 2048

/* ---- where we are installed ---- */

/* PREFIX/sbin/consuld -> PREFIX; also found when run from a build tree. */
static char *
install_prefix(void)
{
	char path[PATH_MAX];
	ssize_t got = readlink("/proc/self/exe", path, sizeof path - 1);

	if (got <= 0)
		return xstrdup("/usr");
	path[got] = '\0';
	return xstrdup(dirname(dirname(path)));
}

static struct table *
load_table(const char *prefix, char error[TABLE_ERROR_MAX])
{
	const char *given = getenv("CONSULD_CONF");
	struct table *t;
	char *own;

	if (given != NULL && given[0] != '\0')
		return table_load(given, error);
	own = xasprintf("%s/etc/consuld.conf", prefix);
	if (access(own, F_OK) == 0)
		t = table_load(own, error);
	else
		t = table_load(access("/etc/consuld.conf", F_OK) == 0 ? "/etc/consuld.conf" : NULL, error);
	free(own);
	return t;
}

/* ---- told by the children ---- */

void
suite_own_file(void *ctx, int dirfd, const char *name)
{
	struct suite *s = ctx;
	char error[TABLE_ERROR_MAX];
	struct spawn_user user;
	size_t length = strcspn(name, ".-");

	for (size_t i = 0; i < s->table->count; i++) {
		const struct table_row *row = &s->table->rows[i];

		if (strlen(row->name) != length || strncmp(row->name, name, length) != 0 ||
		    spawn_user(row, s->table->group, &user, error) == -1 || !user.change)
			continue;
		if (fchownat(dirfd, name, user.uid, user.gid, AT_SYMLINK_NOFOLLOW) == -1)
			log_warn("agent", "configuration can not be given to its daemon: file=%s", name);
	}
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

	if (fd == -1) {
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

	s->rundir = rundir_open(&options, error);
	if (s->rundir == NULL)
		return -1;
	config_set_run_dir(s->config, rundir_path(s->rundir));
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

static void
free_suite(struct suite *s)
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

/* "==> text" before there is a log. Always 1. */
static int
early_error(const char *text)
{
	fprintf(stderr, "==> %s\n", text);
	return 1;
}

static int
open_log_file(struct suite *s)
{
	const struct logfile_options options = {
	    .path = config_str(s->config, "log_file"),
	    .rotate_ns = config_duration(s->config, "log_rotate_duration"),
	    .rotate_bytes = config_int(s->config, "log_rotate_bytes"),
	    .files_max = config_int(s->config, "log_rotate_max_files"),
	};
	const char *path;
	struct logfile *f;
	char text[PATH_MAX + 256];

	if (options.path[0] == '\0')
		return 0;
	f = logfile_open(&options, &path);
	if (f == NULL) {
		snprintf(text, sizeof text, "Failed to setup logging: open %s: %s", path, reason());
		early_error(text);
		return -1;
	}
	logfile_close(logs_set_file(s->logs, f));
	return 0;
}

static void
print_banner(const struct config *c)
{
	struct buf text = BUF_INIT(8192);
	ssize_t written;

	banner_print(c, &text);
	written = write(STDOUT_FILENO, text.data, text.used);
	(void)written;
	buf_free(&text);
}

static int
run_suite(struct suite *s)
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

static int
agent_main(int argc, char **argv)
{
	static struct suite suite;
	char table_error[TABLE_ERROR_MAX], *prefix;
	struct config_error e = {.text = NULL};
	struct suite *s = &suite;
	int status = 1;

	log_init("consuld", LOG_INFO_LEVEL);
	s->config = config_load(argc, argv, &e);
	if (s->config == NULL) {
		if (e.usage)
			config_usage(e.text == NULL ? stdout : stderr);
		status = e.text == NULL ? 0 : early_error(e.text);
		config_error_free(&e);
		return status;
	}
	prefix = install_prefix();
	s->libexec = xasprintf("%s/libexec/consuld", prefix);
	s->table = load_table(prefix, table_error);
	free(prefix);
	if (s->table == NULL)
		return early_error(table_error);
	if (config_prepare(s->config, &e) == -1) {
		early_error(e.text);
		config_error_free(&e);
		return 1;
	}
	s->loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (s->loop == NULL)
		return early_error("no event loop");
	s->logs = logs_new(s->loop, config_log_level(s->config), config_bool(s->config, "log_json"));
	if (open_log_file(s) == -1)
		return 1;
	if (!config_bool(s->config, "log_json"))
		print_banner(s->config);
	status = run_suite(s);
	free_suite(s);
	return status;
}

int
main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "agent") == 0)
		return agent_main(argc - 2, argv + 2);
	if (strcmp(command, "validate") == 0 || strcmp(command, "configtest") == 0)
		return config_validate_main(argc - 2, argv + 2, strcmp(command, "configtest") == 0);
	if (strcmp(command, "--dump-params") == 0) {
		config_dump_params(stdout);
		return 0;
	}
	if (strcmp(command, "-V") == 0 || strcmp(command, "--version") == 0) {
		printf("consuld %s\n", CONSULD_VERSION);
		return 0;
	}
	fprintf(stderr, "usage: consuld agent [flags]\n"
			"       consuld validate [-quiet] [-config-format format] path ...\n"
			"       consuld configtest [-config-dir directory] [-config-file file]\n"
			"       consuld -V | --dump-params\n");
	return command[0] == '\0' ? 1 : 127;
}

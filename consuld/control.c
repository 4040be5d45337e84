/*
 * control.c - the methods of consuld.sock (contract: control.h; callers: httpd, daemons started by hand)
 */
#include "control.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "log.h"
#include "mem.h"
#include "mp.h"
#include "reload.h"
#include "stop.h"
#include "suite.h"

#define SELF_BYTES_MAX (4u * 1024 * 1024)
#define MONITOR_LINES_MAX 512u /* waiting for credit; beyond they are dropped and counted */
#define MONITORS_MAX 64u

/* ---- Agent.Self, Agent.Host ---- */

static void
handle_self(struct ipc_stream *s, struct bytes args UNUSED, void *ctx)
{
	struct suite *suite = ctx;
	struct buf body = BUF_INIT(SELF_BYTES_MAX);

	config_agent_self(suite->config, &body);
	if (body.overflow)
		ipc_fail(s, 500, "the configuration is too large to show");
	else
		ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

static void
handle_host(struct ipc_stream *s, struct bytes args UNUSED, void *ctx UNUSED)
{
	struct buf body = BUF_INIT(SELF_BYTES_MAX);

	host_describe(&body);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

/* ---- Agent.Reload, Agent.Leave: the stream is the waiter ---- */

static struct suite *the_suite; /* for callbacks whose context is the stream */

static void
reload_answer(void *ctx, const char *error)
{
	if (error != NULL)
		ipc_fail(ctx, 500, "%s", error);
	else
		ipc_reply(ctx, bytes_of(NULL, 0));
}

static void
reload_abandoned(struct ipc_stream *s, void *ctx UNUSED)
{
	reload_forget(the_suite, s);
}

static void
handle_reload(struct ipc_stream *s, struct bytes args UNUSED, void *ctx)
{
	ipc_stream_watch(s, reload_abandoned, NULL, NULL);
	reload_request(ctx, reload_answer, s);
}

static void
leave_answer(void *ctx, const char *error)
{
	reload_answer(ctx, error);
	ipc_flush(the_suite->ipc); /* before the fronts are stopped */
}

static void
leave_abandoned(struct ipc_stream *s, void *ctx UNUSED)
{
	stop_forget(the_suite, s);
}

static void
handle_leave(struct ipc_stream *s, struct bytes args UNUSED, void *ctx)
{
	ipc_stream_watch(s, leave_abandoned, NULL, NULL);
	stop_leave(ctx, leave_answer, s);
}

/* ---- Agent.Monitor ---- */

struct monitor {
	struct ipc_stream *stream;
	struct logs_monitor *logs;
	char *waiting[MONITOR_LINES_MAX]; /* a ring */
	unsigned first, count;
	unsigned long dropped;
};

static unsigned monitors_open;

static bool
monitor_push(struct monitor *m, struct bytes line)
{
	struct buf body = BUF_INIT(8 * LOGS_LINE_BYTES_MAX + 16);
	bool sent;

	mp_put_bytes(&body, line);
	sent = ipc_push(m->stream, buf_bytes(&body));
	buf_free(&body);
	return sent;
}

static void
monitor_line(void *ctx, struct bytes line)
{
	struct monitor *m = ctx;

	if (m->count == 0 && monitor_push(m, line))
		return;
	if (m->count == MONITOR_LINES_MAX) {
		m->dropped++;
		return;
	}
	m->waiting[(m->first + m->count++) % MONITOR_LINES_MAX] = bytes_dup(line);
}

static void
monitor_credit(struct ipc_stream *s UNUSED, void *ctx)
{
	struct monitor *m = ctx;
	unsigned long dropped;

	while (m->count > 0 && monitor_push(m, bytes_str(m->waiting[m->first]))) {
		free(m->waiting[m->first]);
		m->first = (m->first + 1) % MONITOR_LINES_MAX;
		m->count--;
	}
	if (m->count > 0 || m->dropped == 0)
		return;
	dropped = m->dropped;
	m->dropped = 0;
	log_warnx("agent", "monitor is slow, log lines dropped: count=%lu", dropped);
}

static void
monitor_ended(struct ipc_stream *s UNUSED, void *ctx)
{
	struct monitor *m = ctx;

	logs_monitor_free(m->logs);
	while (m->count > 0) {
		free(m->waiting[m->first]);
		m->first = (m->first + 1) % MONITOR_LINES_MAX;
		m->count--;
	}
	free(m);
	monitors_open--;
}

static void
handle_monitor(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct suite *suite = ctx;
	enum log_level level = LOG_INFO_LEVEL;
	struct bytes name = mp_find_str(args, "LogLevel");
	char text[64];
	struct monitor *m;

	if (bytes_to_str(bytes_of(name.data, MIN(name.size, sizeof text - 1)), text, sizeof text) == -1 ||
	    (text[0] != '\0' && log_level_parse(text, &level) == -1)) {
		ipc_fail(s, 400, "Unknown log level: %s", text);
		return;
	}
	if (monitors_open == MONITORS_MAX) {
		ipc_fail(s, 503, "too many monitors");
		return;
	}
	monitors_open++;
	m = xcalloc(1, sizeof *m);
	m->stream = s;
	ipc_stream_watch(s, monitor_ended, monitor_credit, m);
	m->logs = logs_monitor_new(suite->logs, level, mp_find_bool(args, "LogJSON"), monitor_line, m);
}

/* ---- Daemon.Attach ---- */

static void
handle_attach(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct suite *suite = ctx;
	int fd = ipc_stream_take_fd(s);
	char name[64];

	if (!suite->table->external) {
		ipc_fail(s, 0, "consuld starts the daemons itself (supervise in consuld.conf)");
		goto fail;
	}
	if (fd == -1 || bytes_to_str(mp_find_str(args, "Name"), name, sizeof name) == -1) {
		ipc_fail(s, 0, "Daemon.Attach: a name and a socket are wanted");
		goto fail;
	}
	for (size_t i = 0; i < suite->child_count; i++)
		if (strcmp(child_row(suite->children[i])->name, name) == 0) {
			ipc_reply(s, bytes_of(NULL, 0));
			log_info("agent", "daemon attached: daemon=%s", name);
			child_attach(suite->children[i], ipc_peer_from_fd(suite->ipc, fd, true, NULL));
			return;
		}
	ipc_fail(s, 0, "there is no daemon called %s in this role", name);

fail:
	if (fd != -1)
		close(fd);
}

static const struct ipc_method methods[] = {
    {"Agent.Self", handle_self},
    {"Agent.Reload", handle_reload},
    {"Agent.Leave", handle_leave},
    {"Agent.Monitor", handle_monitor},
    {"Agent.Host", handle_host},
    {"Daemon.Attach", handle_attach},
};

const struct ipc_service *
control_service(struct suite *s)
{
	static struct ipc_service service = {methods, COUNTOF(methods), NULL};

	the_suite = s;
	service.ctx = s;
	return &service;
}

/*
 * main.c - httpd: the HTTP front of the suite (man/httpd.8)
 *
 * Holds no state: every answer comes from a neighbour, over one connection each.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "assets.h"
#include "conn.h"
#include "copies.h"
#include "daemon.h"
#include "log.h"
#include "mem.h"
#include "request.h"

#define MODULE "agent.http"
#define SOCKETS_MAX 64
#define HEAD_BYTES_DEFAULT (1024u * 1024)
#define HEAD_BYTES_SLOP 4096 /* as the reference allows on top */
#define HEAD_BYTES_MAX (16u * 1024 * 1024)
#define STOP_SECONDS 2.

static struct {
	struct daemon *daemon;
	struct conns *conns;
	struct ev_timer stop, drained;
} state;

static const struct conn_handler HANDLER = {request_body_max, request_known, request_dispatch, request_ended};

static const char *const NEIGHBOURS[] = {"catalogd", "checkd", "gossipd", "consuld"};

/* A connection is a descriptor: as many as the system lets us have. */
static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
			log_warn(MODULE, "limit of open files not raised");
	}
}

static unsigned
per_client(const struct conf *c)
{
	int64_t max = conf_int(c, "limits.http_max_conns_per_client", 200);

	return max < 0 ? 0 : (unsigned)MIN(max, INT64_C(1000000));
}

static int
start(struct daemon *d)
{
	const struct conf *c = daemon_conf(d);
	int fds[SOCKETS_MAX];
	int64_t head_max = conf_int(c, "http_config.max_header_bytes", 0);
	int count;

	state.daemon = d;
	raise_file_limit();
	request_configure(d);
	if (config.ui)
		assets_load(conf_str(c, "ui_config.dir", ""));
	head_max = head_max <= 0 ? HEAD_BYTES_DEFAULT : MIN(head_max, (int64_t)HEAD_BYTES_MAX);
	state.conns = conns_new(daemon_loop(d), &HANDLER, (size_t)head_max + HEAD_BYTES_SLOP);
	conns_set_per_client(state.conns, per_client(c));
	for (size_t i = 0; i < COUNTOF(NEIGHBOURS); i++)
		(void)daemon_peer(d, NEIGHBOURS[i]);
	copies_open(daemon_peer(d, "catalogd"));
	count = daemon_sockets(d, "http", fds, SOCKETS_MAX);
	if (count == -1)
		return -1;
	for (int i = 0; i < count; i++)
		conns_listen(state.conns, fds[i]);
	daemon_ready(d);
	return 0;
}

static void
commit(struct daemon *d, const struct conf *old)
{
	(void)old;
	request_configure(d);
	conns_set_per_client(state.conns, per_client(daemon_conf(d)));
}

static void
on_stop(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)events;
	if (w == &state.drained && conns_open(state.conns) > 0)
		return;
	ev_timer_stop(loop, &state.stop);
	ev_timer_stop(loop, &state.drained);
	daemon_exit(state.daemon, EXIT_SUCCESS);
}

/* Requests under way get their answers, as far as they come soon; waits are given up. */
static void
stop(struct daemon *d, bool leave)
{
	struct ev_loop *loop = daemon_loop(d);

	(void)leave;
	conns_stop(state.conns);
	ev_timer_init(&state.stop, on_stop, STOP_SECONDS, 0.);
	ev_timer_init(&state.drained, on_stop, 0., 0.02);
	ev_timer_start(loop, &state.stop);
	ev_timer_start(loop, &state.drained);
}

int
main(int argc, char **argv)
{
	static const char *const SYSCALLS[] = {NULL};
	static const struct daemon_ops OPS = {
	    .name = "httpd",
	    .module = MODULE,
	    .start = start,
	    .commit = commit,
	    .stop = stop,
	    .syscalls = SYSCALLS,
	};

	return daemon_main(argc, argv, &OPS, NULL);
}

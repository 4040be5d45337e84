/*
 * daemon.c - the skeleton of every daemon but consuld (contract: daemon.h)
 *
 * Order in daemon_main: options, run directory, loop, control connection, configuration, own socket, start, sandbox, loop. A daemon that
 * consuld started ends when the control connection ends: without its supervisor it must not go on.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "mp.h"
#include "net.h"
#include "sandbox.h"
#include "spare.h"

#define CONTROL_ENVIRONMENT "CONSULD_CONTROL"
#define LISTEN_ENVIRONMENT "CONSULD_LISTEN"
#define FACILITY_ENVIRONMENT "CONSULD_FACILITY" /* a number of syslog.h */
#define SANDBOX_ENVIRONMENT "CONSULD_SANDBOX"   /* "off": none */
#define PATH_BYTES_MAX 128
#define PEERS_MAX 8
#define CONF_POLL_S 0.02
#define TCP_BACKLOG 4096

struct daemon {
	const struct daemon_ops *ops;
	void *state;
	struct ev_loop *loop;
	struct ipc *ipc;
	struct ipc_service service, control_service;
	struct ipc_peer *control;
	struct ipc_peer *attached; /* started alone: what consuld calls us by */
	bool supervised;           /* consuld started us: its end is ours */
	struct conf *conf, *next;
	unsigned next_generation;
	struct {
		const char *name;
		struct ipc_peer *peer;
	} peers[PEERS_MAX];
	size_t peer_count;
	struct ev_signal hup, term, interrupt;
	struct ipc_stream *ready_stream, *stop_stream;
	bool ready, stopping;
	int status;
};

/* ---- what the daemon asks ---- */

struct ev_loop *
daemon_loop(const struct daemon *d)
{
	return d->loop;
}

struct ipc *
daemon_ipc(const struct daemon *d)
{
	return d->ipc;
}

const struct conf *
daemon_conf(const struct daemon *d)
{
	return d->conf;
}

void *
daemon_state(const struct daemon *d)
{
	return d->state;
}

const struct ipc_service *
daemon_service(const struct daemon *d)
{
	return &d->service;
}

struct ipc_peer *
daemon_peer(struct daemon *d, const char *name)
{
	char path[PATH_BYTES_MAX];

	for (size_t i = 0; i < d->peer_count; i++)
		if (strcmp(d->peers[i].name, name) == 0)
			return d->peers[i].peer;
	if (d->peer_count == PEERS_MAX)
		panic("daemon_peer: more than %d neighbours", PEERS_MAX);
	if (snprintf(path, sizeof path, "%s.sock", name) >= (int)sizeof path)
		panic("daemon_peer: name too long: %s", name);
	d->peers[d->peer_count].name = name;
	d->peers[d->peer_count].peer = ipc_peer_new(d->ipc, path, d->ops->methods == NULL ? NULL : &d->service);
	return d->peers[d->peer_count++].peer;
}

/* Descriptors handed down as "name=fd,...". */
static size_t
handed_down(const char *name, int *fds, size_t max)
{
	const char *at = getenv(LISTEN_ENVIRONMENT);
	size_t count = 0, length = strlen(name);

	while (at != NULL && *at != '\0') {
		if (strncmp(at, name, length) == 0 && at[length] == '=' && count < max)
			fds[count++] = atoi(at + length + 1);
		at = strchr(at, ',');
		if (at != NULL)
			at++;
	}
	for (size_t i = 0; i < count; i++)
		if (net_set_nonblock(fds[i], true) == -1 || net_set_cloexec(fds[i], true) == -1)
			fatal("agent", "%s: descriptor %d of %s", LISTEN_ENVIRONMENT, fds[i], name);
	return count;
}

static int
open_row(const struct conf_listen *row)
{
	union net_addr a;
	size_t length = strlen(row->name);
	bool datagram = length > 4 && strcmp(row->name + length - 4, "-udp") == 0;

	if (strncmp(row->address, "unix://", 7) == 0)
		return net_listen_unix(
		    row->address + 7, row->mode[0] == '\0' ? 0600 : (unsigned)strtoul(row->mode, NULL, 8));
	if (net_addr_parse_port(row->address, &a) == -1) {
		errno = EINVAL;
		return -1;
	}
	return datagram ? net_bind_udp(&a, 0) : net_listen_tcp(&a, TCP_BACKLOG, 0);
}

int
daemon_sockets(struct daemon *d, const char *name, int *fds, size_t max)
{
	size_t count = handed_down(name, fds, max);

	if (count > 0 || d->supervised)
		return (int)count;
	for (size_t i = 0; i < conf_listen_count(d->conf); i++) {
		struct conf_listen row = conf_listen_at(d->conf, i);

		if (strcmp(row.name, name) != 0)
			continue;
		if (count == max || (fds[count] = open_row(&row)) == -1) {
			log_error(d->ops->module, "can not listen: name=%s address=%s", row.name, row.address);
			while (count > 0)
				close(fds[--count]);
			return -1;
		}
		count++;
	}
	return (int)count;
}

static void
answer_empty(struct ipc_stream **s)
{
	struct ipc_stream *stream = *s;

	*s = NULL;
	if (stream != NULL) {
		ipc_stream_watch(stream, NULL, NULL, NULL);
		ipc_reply(stream, bytes_of(NULL, 0));
	}
}

void
daemon_ready(struct daemon *d)
{
	d->ready = true;
	answer_empty(&d->ready_stream);
}

void
daemon_exit(struct daemon *d, int status)
{
	d->status = status;
	answer_empty(&d->stop_stream);
	ipc_flush(d->ipc);
	ev_break(d->loop, EVBREAK_ALL);
}

/* ---- configuration ---- */

static void
conf_path(const struct daemon *d, unsigned generation, char path[PATH_BYTES_MAX])
{
	int n;

	if (generation == 0)
		n = snprintf(path, PATH_BYTES_MAX, "current/%s.conf", d->ops->name);
	else
		n = snprintf(path, PATH_BYTES_MAX, "gen.%u/%s.conf", generation, d->ops->name);
	if (n >= PATH_BYTES_MAX)
		panic("daemon: name too long: %s", d->ops->name);
}

/* What every daemon takes from its configuration. */
static void
conf_apply_common(struct daemon *d)
{
	const char *own = getenv(FACILITY_ENVIRONMENT);
	enum log_level level;
	int facility;

	if (log_level_parse(conf_str(d->conf, "log_level", "INFO"), &level) == 0)
		log_set_level(level);
	facility = (int)conf_int(d->conf, "consuld.syslog_facility", -1);
	if (facility != -1 && own != NULL) /* consuld.conf gives this daemon one of its own */
		facility = atoi(own);
	log_syslog(facility);
}

/* Waits for the committed configuration: in external mode consuld may start after us. */
static int
conf_wait(struct daemon *d)
{
	char path[PATH_BYTES_MAX], error[CONF_ERROR_MAX];
	bool told = false;

	conf_path(d, 0, path);
	for (;;) {
		d->conf = conf_load(path, error);
		if (d->conf != NULL)
			return 0;
		if (errno != ENOENT || d->supervised) {
			log_errorx(d->ops->module, "configuration: error=%s", log_quote(error));
			return -1;
		}
		if (!told)
			log_info(d->ops->module, "waiting for the configuration: path=%s", path);
		told = true;
		ev_sleep(CONF_POLL_S);
	}
}

static int
reload_prepare(struct daemon *d, unsigned generation, char error[CONF_ERROR_MAX])
{
	char path[PATH_BYTES_MAX];

	conf_free(d->next);
	conf_path(d, generation, path);
	d->next = conf_load(path, error);
	if (d->next == NULL)
		return -1;
	d->next_generation = generation;
	if (d->ops->prepare != NULL && d->ops->prepare(d, d->next, error) == -1) {
		conf_free(d->next);
		d->next = NULL;
		return -1;
	}
	return 0;
}

static void
reload_commit(struct daemon *d)
{
	struct conf *old = d->conf;

	d->conf = d->next;
	d->next = NULL;
	conf_apply_common(d);
	if (d->ops->commit != NULL)
		d->ops->commit(d, old);
	conf_free(old);
}

/* ---- what consuld asks ---- */

static void
on_ready_ended(struct ipc_stream *s, void *ctx)
{
	struct daemon *d = ctx;

	(void)s;
	d->ready_stream = NULL;
}

static void
handle_ready(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct daemon *d = ctx;

	(void)args;
	if (d->ready || d->ready_stream != NULL) {
		ipc_reply(s, bytes_of(NULL, 0));
		return;
	}
	d->ready_stream = s;
	ipc_stream_watch(s, on_ready_ended, NULL, d);
}

static void
handle_ping(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)args, (void)ctx;
	spare_settle(); /* consuld's question comes every second */
	ipc_reply(s, bytes_of(NULL, 0));
}

static void
handle_prepare(struct ipc_stream *s, struct bytes args, void *ctx)
{
	char error[CONF_ERROR_MAX] = "";

	if (reload_prepare(ctx, (unsigned)mp_find_uint(args, "Generation"), error) == -1)
		ipc_fail(s, 0, "%s", error);
	else
		ipc_reply(s, bytes_of(NULL, 0));
}

static void
handle_commit(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct daemon *d = ctx;

	if (d->next == NULL || d->next_generation != (unsigned)mp_find_uint(args, "Generation")) {
		ipc_fail(s, 0, "generation %u is not prepared", (unsigned)mp_find_uint(args, "Generation"));
		return;
	}
	reload_commit(d);
	ipc_reply(s, bytes_of(NULL, 0));
}

static void
handle_abort(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct daemon *d = ctx;

	(void)args;
	conf_free(d->next);
	d->next = NULL;
	ipc_reply(s, bytes_of(NULL, 0));
}

static void
handle_log_level(struct ipc_stream *s, struct bytes args, void *ctx)
{
	char text[16];
	enum log_level level;

	(void)ctx;
	if (bytes_to_str(mp_find_str(args, "Level"), text, sizeof text) == -1 || log_level_parse(text, &level) == -1) {
		ipc_fail(s, 0, "not a log level");
		return;
	}
	log_widen(level);
	ipc_reply(s, bytes_of(NULL, 0));
}

static void
stop(struct daemon *d, bool leave)
{
	if (d->stopping)
		return;
	d->stopping = true;
	if (d->ops->stop != NULL)
		d->ops->stop(d, leave);
	else
		daemon_exit(d, 0);
}

static void
on_stop_ended(struct ipc_stream *s, void *ctx)
{
	struct daemon *d = ctx;

	(void)s;
	d->stop_stream = NULL;
}

static void
handle_stop(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct daemon *d = ctx;

	if (d->stop_stream != NULL) {
		ipc_fail(s, 0, "already stopping");
		return;
	}
	d->stop_stream = s;
	ipc_stream_watch(s, on_stop_ended, NULL, d);
	stop(d, mp_find_bool(args, "Leave"));
}

static const struct ipc_method control_methods[] = {
    {"Daemon.Ready", handle_ready},
    {"Daemon.Ping", handle_ping},
    {"Daemon.Prepare", handle_prepare},
    {"Daemon.Commit", handle_commit},
    {"Daemon.Abort", handle_abort},
    {"Daemon.LogLevel", handle_log_level},
    {"Daemon.Stop", handle_stop},
};

static void
on_attached(void *ctx, const struct ipc_answer *answer)
{
	struct daemon *d = ctx;

	if (answer->status == IPC_ERROR)
		log_warnx(d->ops->module, "consuld refused this daemon: error=%s", log_quote_bytes(answer->error));
}

/* Started alone: tell consuld, now and whenever it comes back, that we are here; the socket that goes along is its way to call us. */
static void
on_control_up(void *ctx)
{
	struct ipc_call_options options = {.timeout_ms = 0};
	struct daemon *d = ctx;
	struct buf args = BUF_INIT(256);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1) {
		log_warn(d->ops->module, "consuld can not be told of this daemon");
		return;
	}
	if (d->attached != NULL)
		ipc_peer_free(d->attached);
	d->attached = ipc_peer_from_fd(d->ipc, pair[0], false, &d->control_service);
	options.fd = pair[1];
	mp_put_map(&args, 1);
	mp_put_kv_cstr(&args, "Name", d->ops->name);
	(void)ipc_call(d->control, "Daemon.Attach", buf_bytes(&args), &options, on_attached, d);
	buf_free(&args);
}

static void
on_control_down(void *ctx)
{
	struct daemon *d = ctx;

	if (d->supervised && !d->stopping)
		_exit(EXIT_RETRY); /* consuld is gone; what is durable is durable */
}

static void
control_open(struct daemon *d)
{
	const char *fd = getenv(CONTROL_ENVIRONMENT);

	d->control_service = (struct ipc_service){control_methods, COUNTOF(control_methods), d};
	if (fd != NULL) {
		d->supervised = true;
		d->control = ipc_peer_from_fd(d->ipc, atoi(fd), false, &d->control_service);
		ipc_peer_watch(d->control, NULL, on_control_down, d);
		return;
	}
	d->control = ipc_peer_new(d->ipc, "consuld.sock", &d->control_service);
	ipc_peer_watch(d->control, on_control_up, on_control_down, d);
	if (ipc_peer_connected(d->control))
		on_control_up(d);
}

/* ---- signals ---- */

static void
on_term(struct ev_loop *loop, struct ev_signal *w, int events)
{
	(void)loop, (void)events;
	stop(w->data, false);
}

static void
on_hup(struct ev_loop *loop, struct ev_signal *w, int events)
{
	struct daemon *d = w->data;
	char error[CONF_ERROR_MAX] = "";

	(void)loop, (void)events;
	if (reload_prepare(d, 0, error) == -1) {
		log_errorx(d->ops->module, "not reloading: error=%s", log_quote(error));
		return;
	}
	reload_commit(d);
	log_info(d->ops->module, "configuration read again: generation=%u", conf_generation(d->conf));
}

static void
signals_open(struct daemon *d)
{
	signal(SIGPIPE, SIG_IGN);
	ev_signal_init(&d->hup, on_hup, SIGHUP);
	ev_signal_init(&d->term, on_term, SIGTERM);
	ev_signal_init(&d->interrupt, on_term, SIGINT);
	d->hup.data = d->term.data = d->interrupt.data = d;
	ev_signal_start(d->loop, &d->hup);
	ev_signal_start(d->loop, &d->term);
	if (d->supervised)
		signal(SIGINT, SIG_IGN); /* Ctrl-C reaches the whole group of the terminal; consuld decides */
	else
		ev_signal_start(d->loop, &d->interrupt);
}

/*
 * One daemon of a name in a run directory: a second one must not take the socket of the first. The lock is the process's and goes with
 * it; the descriptor stays open.
 */
static int
own_lock(const struct daemon *d)
{
	char path[PATH_BYTES_MAX];
	int fd;

	if (snprintf(path, sizeof path, "%s.lock", d->ops->name) >= (int)sizeof path)
		panic("daemon: name too long: %s", d->ops->name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1 || flock(fd, LOCK_EX | LOCK_NB) == -1) {
		if (fd != -1 && errno == EWOULDBLOCK)
			log_errorx(d->ops->module, "another %s runs in this run directory", d->ops->name);
		else
			log_error(d->ops->module, "can not lock: path=%s", path);
		if (fd != -1)
			close(fd);
		return -1;
	}
	return 0;
}

static int
own_socket_open(struct daemon *d)
{
	char path[PATH_BYTES_MAX];
	int fd;

	if (d->ops->methods == NULL)
		return 0;
	d->service = (struct ipc_service){d->ops->methods, d->ops->method_count, d};
	if (snprintf(path, sizeof path, "%s.sock", d->ops->name) >= (int)sizeof path)
		panic("daemon: name too long: %s", d->ops->name);
	if (own_lock(d) == -1)
		return -1;
	fd = net_listen_unix(path, 0660);
	if (fd == -1) {
		log_error(d->ops->module, "can not listen: path=%s", path);
		return -1;
	}
	if (ipc_listen(d->ipc, fd, &d->service) == NULL)
		return -1;
	return 0;
}

static NORETURN void
usage(const char *name)
{
	fprintf(stderr, "usage: %s -r run_directory\n       %s -V\n", name, name);
	exit(EXIT_PERMANENT);
}

int
daemon_main(int argc, char **argv, const struct daemon_ops *ops, void *state)
{
	struct daemon *d = xcalloc(1, sizeof *d);
	const char *run_dir = NULL, *sandbox;
	int option;

	while ((option = getopt(argc, argv, "r:V")) != -1) {
		if (option == 'V') {
			printf("%s %s\n", ops->name, CONSULD_VERSION);
			return 0;
		}
		if (option != 'r')
			usage(ops->name);
		run_dir = optarg;
	}
	if (run_dir == NULL || optind != argc)
		usage(ops->name);
	log_init(ops->name, LOG_INFO_LEVEL);
	if (getenv(CONTROL_ENVIRONMENT) != NULL)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(run_dir) == -1)
		fatal_permanent(ops->module, "run directory: path=%s error=%s", run_dir, log_quote(strerror(errno)));
	d->ops = ops;
	d->state = state;
	d->loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (d->loop == NULL)
		fatal(ops->module, "event loop");
	d->ipc = ipc_new(d->loop, ops->name);
	control_open(d);
	signals_open(d);
	if (conf_wait(d) == -1)
		return EXIT_PERMANENT;
	conf_apply_common(d);
	if (own_socket_open(d) == -1)
		return EXIT_RETRY;
	if (ops->start(d) == -1)
		return EXIT_PERMANENT;
	sandbox = getenv(SANDBOX_ENVIRONMENT);
	if ((sandbox == NULL || strcmp(sandbox, "off") != 0) && sandbox_enter(ops->syscalls) == -1)
		log_warn(ops->module, "sandbox: not available, going on without");
	ev_run(d->loop, 0);
	ipc_flush(d->ipc);
	ipc_free(d->ipc);
	conf_free(d->next);
	conf_free(d->conf);
	option = d->status;
	ev_loop_destroy(d->loop);
	free(d);
	return option;
}

/*
 * main.c - catalogd: the state machine and every query (catalogd(8))
 *
 * Opens the store and puts the parts together; from then on serve.c has what comes in by the socket, raftlog.c what comes out of the log.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive.h"
#include "catalogd.h"
#include "daemon.h"
#include "duration.h"
#include "leader.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "raftlog.h"
#include "rpcport.h"
#include "serve.h"
#include "session_timer.h"
#include "store_file.h"
#include "watch.h"

#define MODULE "agent.server"
#define MAP_BYTES_DEFAULT (UINT64_C(1) << 40)

static struct catalogd self;

const char *
catalogd_rpc_address(const struct catalogd *c)
{
	static char text[NET_ADDR_TEXT_MAX];
	const struct conf *conf = daemon_conf(c->daemon);
	union net_addr address;

	if (net_addr_parse(conf_str(conf, "advertise_addr", "127.0.0.1"),
		(uint16_t)conf_int(conf, "ports.server", 8300), &address) == -1)
		return "";
	return net_addr_text_port(&address, text);
}

/* ---- the store ---- */

int
catalogd_store_open(struct catalogd *c)
{
	const struct conf *conf = daemon_conf(c->daemon);
	struct store_options options = {.directory = conf_str(conf, "consuld.catalog_dir", "catalog")};
	char error[STORE_ERROR_MAX] = "";
	enum store_open_status status = STORE_REBUILD;

	if (bytes_to_u64(bytes_str(conf_str(conf, "consuld.catalog_map_size", "")), &options.map_bytes) == -1)
		options.map_bytes = MAP_BYTES_DEFAULT;
	for (int attempt = 0; attempt < 2 && status == STORE_REBUILD; attempt++) {
		status = store_open(&options, &c->store, error);
		if (status == STORE_REBUILD) {
			log_warnx(MODULE, "the store is made again from the log: directory=%s reason=%s",
			    options.directory, log_quote(error));
			if (store_erase(options.directory) == -1) {
				log_error(MODULE, "the store can not be removed: directory=%s", options.directory);
				return -1;
			}
		}
	}
	if (status == STORE_OPENED)
		return 0;
	log_errorx(MODULE, "the store can not be opened: directory=%s error=%s", options.directory, log_quote(error));
	return -1;
}

void
catalogd_store_renew(struct catalogd *c)
{
	const char *directory = conf_str(daemon_conf(c->daemon), "consuld.catalog_dir", "catalog");

	store_close(c->store, false);
	c->store = NULL;
	if (store_erase(directory) == -1)
		fatal(MODULE, "the store can not be removed: directory=%s", directory);
	if (catalogd_store_open(c) == -1)
		exit(EXIT_RETRY);
	store_started(c->store);
}

NORETURN void
catalogd_store_damaged(struct catalogd *c, const char *error)
{
	store_mark_damaged(c->store);
	fatalx(MODULE, "the store is damaged, it is made again at the next start: error=%s", log_quote(error));
}

/* ---- who leads ---- */

void
catalogd_leader_ready(struct catalogd *c)
{
	leader_start(c->leader);
	session_timers_start(c->session_timers);
	serve_leader_ready(c->serve);
}

void
catalogd_leader_lost(struct catalogd *c)
{
	leader_stop(c->leader);
	session_timers_stop(c->session_timers);
}

/* ---- the daemon ---- */

static void
times_set(struct catalogd *c)
{
	const struct conf *conf = daemon_conf(c->daemon);

	watch_times(c->watch, conf_duration(conf, "default_query_time", 300 * NS_PER_S),
	    conf_duration(conf, "max_query_time", 600 * NS_PER_S));
}

static int
start(struct daemon *d)
{
	struct catalogd *c = daemon_state(d);
	const struct conf *conf = daemon_conf(d);

	c->daemon = d;
	c->loop = daemon_loop(d);
	c->datacenter = xstrdup(conf_str(conf, "datacenter", "dc1"));
	c->node_name = xstrdup(conf_str(conf, "node_name", ""));
	c->server = conf_bool(conf, "server", true);
	if (!c->server) {
		log_warnx(MODULE,
		    "this version of consuld serves no client agents: every request that needs a server is refused");
		daemon_ready(d);
		return 0;
	}
	store_file_count_crashes(conf_str(conf, "consuld.catalog_dir", "catalog"));
	if (catalogd_store_open(c) == -1)
		return -1;
	c->watch = watch_new(c->loop, serve_run, c);
	times_set(c);
	c->serve = serve_new(c);
	c->session_timers = session_timers_new(c);
	c->leader = leader_new(c);
	c->archive = archive_new(c);
	c->raftlog = raftlog_new(c);
	if (rpcport_open(c) == -1)
		return -1;
	store_started(c->store);
	daemon_ready(d);
	return 0;
}

static void
commit(struct daemon *d, const struct conf *old)
{
	struct catalogd *c = daemon_state(d);

	(void)old;
	if (c->server)
		times_set(c);
}

static void
stop(struct daemon *d, bool leave)
{
	struct catalogd *c = daemon_state(d);

	(void)leave;
	if (!c->server) {
		daemon_exit(d, 0);
		return;
	}
	leader_free(c->leader);
	session_timers_free(c->session_timers);
	archive_free(c->archive);
	raftlog_free(c->raftlog);
	serve_free(c->serve);
	watch_free(c->watch);
	store_close(c->store, !conf_bool(daemon_conf(d), "consuld.dev", false));
	daemon_exit(d, 0);
}

/* LMDB's file work, and starting the snapshot helper (which inherits this list). */
static const char *const syscalls[] = {"pwrite64", "pwritev", "preadv", "fdatasync", "fsync", "msync", "ftruncate",
    "fstatfs", "statfs", "flock", "mkdir", "mincore", "clone", "clone3", "vfork", "execve", "wait4", "waitid",
    "arch_prctl", "set_tid_address", "setpriority", "ioprio_set", "fadvise64", NULL};

int
main(int argc, char **argv)
{
	struct daemon_ops ops = {.name = "catalogd",
	    .module = MODULE,
	    .start = start,
	    .commit = commit,
	    .stop = stop,
	    .methods = serve_methods,
	    .method_count = serve_method_count,
	    .syscalls = syscalls};

	return daemon_main(argc, argv, &ops, &self);
}

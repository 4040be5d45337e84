/*
 * main.c - catalogd: the state machine and every query (catalogd(8))
 *
 * Opens the store and puts the parts together; from then on serve.c has what comes in by the socket, raftlog.c what comes out of the log.
 */
#include "archive.h"
#include "bootstrap.h"
#include "autopilot_run.h"
#include "catalogd.h"
#include "coordinate_updates.h"
#include "daemon.h"
#include "duration.h"
#include "gossip.h"
#include "leader.h"
#include "log.h"
#include "mem.h"
#include "members.h"
#include "publish.h"
#include "raft_members.h"
#include "raft_peers.h"
#include "raftlog.h"
#include "remote.h"
#include "rpcport.h"
#include "scrub.h"
#include "serve.h"
#include "session_timer.h"
#include "store_file.h"
#include "watch.h"

#define MODULE "agent.server"

static struct catalogd self;

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
	const struct coordinate_updates_options coordinates = coordinate_updates_conf(conf);

	c->daemon = d;
	c->loop = daemon_loop(d);
	c->datacenter = xstrdup(conf_str(conf, "datacenter", "dc1"));
	c->node_name = xstrdup(conf_str(conf, "node_name", ""));
	c->server = conf_bool(conf, "server", true);
	c->members = members_new(c->datacenter);
	serve_init(c);
	if (!c->server) {
		c->watch = watch_new(c->loop, serve_run, c);
		c->remote = remote_new(c);
		c->gossip = gossip_new(c);
		c->coordinates = coordinate_updates_new(c, &coordinates);
		daemon_ready(d);
		return 0;
	}
	c->publish = publish_open("catalogd.page");
	store_file_count_crashes(conf_str(conf, "consuld.catalog_dir", "catalog"));
	if (catalogd_store_open(c) == -1)
		return -1;
	c->watch = watch_new(c->loop, serve_run, c);
	watch_publish(c->watch, c->publish);
	times_set(c);
	c->serve = serve_new(c);
	c->remote = remote_new(c);
	c->session_timers = session_timers_new(c);
	c->leader = leader_new(c);
	c->raft_addresses = raft_addresses_new(c);
	c->raft_members = raft_members_new(c);
	c->bootstrap = bootstrap_new(c);
	c->autopilot = autopilot_run_new(c);
	c->archive = archive_new(c);
	c->scrub = scrub_new(c);
	c->raftlog = raftlog_new(c);
	if (rpcport_open(c) == -1)
		return -1;
	c->gossip = gossip_new(c);
	c->coordinates = coordinate_updates_new(c, &coordinates);
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
	remote_configure(c->remote);
}

static void
stop(struct daemon *d, bool leave)
{
	struct catalogd *c = daemon_state(d);

	(void)leave;
	if (c->server)
		serve_stop(c->serve);
	coordinate_updates_free(c->coordinates);
	gossip_free(c->gossip);
	bootstrap_free(c->bootstrap);
	remote_free(c->remote);
	if (!c->server) {
		members_free(c->members);
		watch_free(c->watch);
		daemon_exit(d, 0);
		return;
	}
	raftlog_stop(c->raftlog);
	raft_members_free(c->raft_members);
	raft_addresses_free(c->raft_addresses);
	autopilot_run_free(c->autopilot);
	leader_free(c->leader);
	session_timers_free(c->session_timers);
	scrub_free(c->scrub);
	archive_free(c->archive);
	raftlog_free(c->raftlog);
	members_free(c->members);
	serve_free(c->serve);
	watch_free(c->watch);
	publish_close(c->publish);
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

/*
 * daemon.h - the skeleton of every daemon but consuld: options, log, configuration, neighbours, signals, reload, loop
 *
 * A daemon is started as  NAME -r RUN_DIR  by consuld or by a systemd unit. It changes to the run directory, reads
 * current/NAME.conf (waiting for it when it is not there yet), listens on NAME.sock, and talks to consuld over
 * descriptor CONSULD_CONTROL (environment), or, started alone, over consuld.sock. Sockets that consuld opened are
 * listed in CONSULD_LISTEN as "name=fd,name=fd".
 *
 * consuld calls on the control connection (man/consuld-protocol.7):
 *	Daemon.Ready {}			answered once daemon_ready() was called
 *	Daemon.Ping {}			at once; consuld kills a daemon that is silent for 5 s
 *	Daemon.Prepare {Generation}	read generation N, check everything, change nothing; error: the reason
 *	Daemon.Commit {Generation} / Daemon.Abort {}
 *	Daemon.LogLevel {Level}		lines down to this level are wanted
 *	Daemon.Stop {Leave}		finish, answer, exit 0
 */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include <ev.h>
#include <stdbool.h>

#include "cdefs.h"
#include "conf.h"
#include "ipc.h"

struct daemon;

struct daemon_ops {
	const char *name;   /* "raftd" */
	const char *module; /* logger name of its general lines: "agent.server.raft" */
	/*
	 * Configuration is loaded, loop and ipc exist, the working directory is the run directory. Opens state and sockets, installs watchers,
	 * connects to neighbours. 0, or -1 having logged why (the process then exits EXIT_PERMANENT). Calls daemon_ready now or later.
	 */
	int (*start)(struct daemon *d);
	/* May be NULL. Checks next; on -1 error says why and nothing has changed. */
	int (*prepare)(struct daemon *d, const struct conf *next, char error[CONF_ERROR_MAX]);
	/* May be NULL. next has become daemon_conf(d); the old one is freed after the call. Can not fail. */
	void (*commit)(struct daemon *d, const struct conf *old);
	/* May be NULL: exit at once. Finishes work, then calls daemon_exit. leave: the node leaves the cluster for good. */
	void (*stop)(struct daemon *d, bool leave);
	/* Methods served on NAME.sock; NULL: no socket. Handlers get the struct daemon as ctx. */
	const struct ipc_method *methods;
	size_t method_count;
	const char *const *syscalls; /* beyond the skeleton's own, NULL-terminated; see sandbox.h */
};

/* The whole main(). */
MUST_USE int daemon_main(int argc, char **argv, const struct daemon_ops *ops, void *state);

struct ev_loop *daemon_loop(const struct daemon *d);
struct ipc *daemon_ipc(const struct daemon *d);
const struct conf *daemon_conf(const struct daemon *d);
void *daemon_state(const struct daemon *d);
/* The service of NAME.sock, for connections that we dial but that may call us. */
const struct ipc_service *daemon_service(const struct daemon *d);

/*
 * A neighbour daemon by name ("catalogd"): one shared connection for the whole process, made on first use.
 */
struct ipc_peer *daemon_peer(struct daemon *d, const char *name);

/*
 * The listening sockets called name, those handed down or else opened here by the configuration's listen rows. Fills fds (owned by
 * the caller) and returns their number; -1: could not open one, logged.
 */
MUST_USE int daemon_sockets(struct daemon *d, const char *name, int *fds, size_t max);

/* The daemon serves: consuld and the log may know. Called once. */
void daemon_ready(struct daemon *d);
/* Answers Daemon.Stop if it is why we end, flushes, leaves the loop; main returns status. */
void daemon_exit(struct daemon *d, int status);

#endif

/*
 * suite.h - the running suite: what suite.c, child.c, reload.c, stop.c and control.c share
 *
 * States: STARTING until every daemon has said that it is ready, RUNNING, LEAVING while a graceful leave is on its way, STOPPING while the
 * daemons are being stopped in order, then the loop ends with status.
 */
#ifndef CONSULD_SUITE_H
#define CONSULD_SUITE_H

#include <ev.h>
#include <stdbool.h>

#include "cdefs.h"
#include "child.h"
#include "config.h"
#include "ipc.h"
#include "listeners.h"
#include "logs.h"
#include "rundir.h"
#include "table.h"

#define SUITE_CHILDREN_MAX 256

enum suite_state { SUITE_STARTING, SUITE_RUNNING, SUITE_LEAVING, SUITE_STOPPING };

struct reload;
struct leave_waiter;

struct suite {
	struct ev_loop *loop;
	struct ipc *ipc;
	struct logs *logs;
	struct config *config;
	struct table *table;
	struct rundir *rundir;
	struct listeners *listeners;
	struct ipc_listener *control;
	char *libexec; /* directory of the daemons' programs */
	unsigned generation;
	enum suite_state state;
	bool ended; /* the loop is to end, or never to begin */
	int status; /* of our process */
	struct child *children[SUITE_CHILDREN_MAX];
	size_t child_count;
	ev_timer tick; /* each second: watchdog */
	ev_timer note; /* of a server: when it last ran */
	ev_signal signals[3];
	struct reload *reload; /* NULL: none is going on */
	/* stop.c */
	unsigned stop_stage;
	bool stop_leave;
	ev_timer stop_timer;
	ev_timer leave_timer;
	struct ipc_peer *gossip, *catalog; /* while it leaves; catalog: on a server */
	struct leave_waiter *leave_waiters;
};

/*
 * Log, sockets, daemons, loop, and the end; config, table, logs, loop and libexec are set. Returns the exit status.
 */
MUST_USE int suite_run(struct suite *s);
/* Everything but s itself. */
void suite_free(struct suite *s);
/* Gives a file of a new generation to the user of its daemon (rundir_owner_cb). */
void suite_own_file(void *ctx, int dirfd, const char *name);

/* ---- told by child.c ---- */

void suite_child_ready(struct suite *s, struct child *c);
/* The process is gone, and it was to go. */
void suite_child_stopped(struct suite *s, struct child *c);
/* It can not be helped by another start: the suite ends. why: its last words. */
void suite_child_hopeless(struct suite *s, struct child *c, const char *why);

#endif

/*
 * child.h - one daemon under supervision: started, watched, restarted, asked, stopped
 */
#ifndef CONSULD_CHILD_H
#define CONSULD_CHILD_H

#include <stdbool.h>

#include "cdefs.h"
#include "ipc.h"
#include "log.h"
#include "table.h"

#define CHILD_SILENT_S 5         /* a daemon that does not answer for so long is killed */
#define CHILD_START_DEATHS_MAX 6 /* deaths in a row before it was ever ready: the suite does not start */

struct child;
struct suite;

MUST_USE struct child *child_new(struct suite *suite, const struct table_row *row, unsigned instance);
void child_free(struct child *c);
/* A daemon that somebody else started has connected by itself: peer (owned from now on) is its control connection. */
void child_attach(struct child *c, struct ipc_peer *peer);
const char *child_name(const struct child *c);
const struct table_row *child_row(const struct child *c);
pid_t child_pid(const struct child *c); /* 0: not running */
bool child_ready(const struct child *c);
/* Counts the starts: another number is another process. 0: never started. */
unsigned child_incarnation(const struct child *c);

/* Starts it; what goes wrong is handled like a death. */
void child_start(struct child *c);
/* Each second. */
void child_tick(struct child *c);
void child_log_level(struct child *c, enum log_level level);
/* Calls Daemon.METHOD on its control connection. false: it is not connected, cb will not be called. */
bool child_call(
    struct child *c, const char *method, struct bytes args, int64_t timeout_ms, ipc_answer_cb *cb, void *ctx);
/* No more restarts; Daemon.Stop if it runs. suite_child_stopped tells the end. */
void child_stop(struct child *c, bool leave);
bool child_stopped(const struct child *c);
void child_kill(struct child *c, int signal_number);

#endif

/*
 * logs.h - what the suite's processes log, from their pipes to stdout, log file and monitors
 *
 * Each process writes lines (log.h) into a pipe of its own; consuld too. Here they are filtered by level and handed to the sinks. Nothing blocks:
 * a sink that does not take its lines loses them, and the number lost is logged.
 */
#ifndef CONSULD_LOGS_H
#define CONSULD_LOGS_H

#include <ev.h>
#include <stdbool.h>

#include "cdefs.h"
#include "log.h"
#include "logfile.h"

#define LOGS_LINE_BYTES_MAX 8192u
#define LOGS_HISTORY_LINES 512u

struct logs;
struct logs_source;  /* one process */
struct logs_monitor; /* somebody who reads along */

/* json: lines on stdout and in the file are JSON objects. */
MUST_USE struct logs *logs_new(struct ev_loop *loop, enum log_level level, bool json);
void logs_free(struct logs *l);
/* From now on this process' own lines (log_*) come here: descriptor 2 becomes a pipe. Lines still in it at exit or abort go to stdout. */
void logs_capture_self(struct logs *l);
void logs_set_level(struct logs *l, enum log_level level);
/* f may be NULL; the old one is returned for the caller to close. */
struct logfile *logs_set_file(struct logs *l, struct logfile *f);
void logs_reopen(struct logs *l);
/* The most verbose level that anybody wants; changed is called when it changes. */
enum log_level logs_wanted(const struct logs *l);
void logs_watch_wanted(struct logs *l, void (*changed)(void *ctx, enum log_level level), void *ctx);

/* A process to be. *write_fd is its standard output and error (close it once it runs). */
MUST_USE struct logs_source *logs_source_new(struct logs *l, const char *program, int *write_fd);
/* Reads what is left, then forgets it. */
void logs_source_end(struct logs_source *s);
/* Reads what is there now. */
void logs_source_drain(struct logs_source *s);
/* Text of the last line at ERROR (or without our layout), without module and time; "" : none. Lives as long as the source. */
const char *logs_source_last_words(const struct logs_source *s);

/*
 * line: one line as the monitor wants it, without newline. The last lines of the past at or above level come at once, within this call.
 */
typedef void logs_line_cb(void *ctx, struct bytes line);
MUST_USE struct logs_monitor *logs_monitor_new(
    struct logs *l, enum log_level level, bool json, logs_line_cb *line, void *ctx);
void logs_monitor_free(struct logs_monitor *m);

/* Before exit: takes what is in all pipes and writes it, waiting a moment for a slow stdout. */
void logs_finish(struct logs *l);

#endif

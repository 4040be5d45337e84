/*
 * log.h - log lines in the reference's layout, written without ever blocking
 *
 * One line is one write(2) of at most PIPE_BUF bytes to standard error: a pipe to consuld, which sends it to
 * stdout, log file, `monitor` and (for itself) syslog, or a terminal when the daemon was started by hand.
 * A line that can not be written now is counted, and the count is logged when writing works again.
 * Layout: 2026-11-20T06:56:02.939Z [WARN]  agent.server: message: key=value
 *
 * Library code in common/ does not log; it returns, and the caller who knows what it means logs once.
 * errno is kept by all functions. Values from outside go through LOG_Q / log_quote.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

#include "cdefs.h"

enum log_level { LOG_TRACE_LEVEL, LOG_DEBUG_LEVEL, LOG_INFO_LEVEL, LOG_WARN_LEVEL, LOG_ERROR_LEVEL };

/* program: "raftd"; for syslog ident and the protocol to consuld. Lines below level are not formatted. */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);
/* Somebody reads standard error who wants lines down to level, too; syslog goes on getting those of log_set_level. */
void log_widen(enum log_level level);
enum log_level log_get_level(void);
bool log_enabled(enum log_level level);
/* "trace" "debug" "info" "warn" "err" "error", any case. -1: none of these. */
MUST_USE int log_level_parse(const char *text, enum log_level *out);
/* Upper case: "TRACE" ... "ERROR". */
const char *log_level_name(enum log_level level);
/* The daemon logs to syslog as ident consul/PROGRAM with its own pid, besides standard error. facility: LOG_* of syslog.h, -1: off. */
void log_syslog(int facility);

/* module: the reference's logger name, "agent.http", "agent.server.raft". fmt has no newline. */
void log_trace(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_debug(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_info(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* log_warn and log_error append `: error="strerror(errno)"`; the x forms do not. */
void log_warn(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_warnx(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_error(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_errorx(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * A value for key=value: as it is, or in double quotes with \" \\ \n \t \xNN when it holds blanks, quotes or
 * control characters. The result lives in one of 8 static buffers of 1 KiB (longer values end in "...").
 */
const char *log_quote(const char *value);
const char *log_quote_bytes(struct bytes value);

/* Our own bug: logs, aborts with a core. */
NORETURN void panic(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Hopeless environment, trying again may help: logs with strerror (fatal) or without, exits 111. */
NORETURN void fatal(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);
NORETURN void fatalx(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Trying again can not help (configuration, damage): logs, exits 100. */
NORETURN void fatal_permanent(const char *module, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define EXIT_RETRY 111
#define EXIT_PERMANENT 100

/*
 * Rate limit for lines that a peer can provoke: true at most burst times per minute for this struct; when
 * lines were left out, the next true sets *suppressed to their number.
 */
struct log_limit {
	uint64_t minute;
	unsigned used;
	unsigned dropped;
};
MUST_USE bool log_allowed(struct log_limit *limit, unsigned burst, unsigned *suppressed);

#endif

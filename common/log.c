/*
 * log.c - log lines in the reference's layout, written without ever blocking (contract: log.h)
 *
 * A line is formatted into a stack buffer and written by one write(2); lines over PIPE_BUF are cut (marked "...") so that
 * writes of several processes into one pipe never mix. Standard error is made non-blocking only when it is a pipe or socket: on a
 * terminal the flag would be shared with the operator's shell, there poll(2) asks first whether a write would block.
 */
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX PIPE_BUF
#define QUOTE_BYTES_MAX 1024

static struct {
	char ident[64];
	enum log_level level; /* what is formatted at all: the lower one of the two that follow */
	enum log_level set;   /* log_set_level */
	enum log_level wide;  /* log_widen */
	bool syslog_open;
	unsigned long dropped;
} state = {.level = LOG_INFO_LEVEL, .set = LOG_INFO_LEVEL, .wide = LOG_ERROR_LEVEL};

static const struct {
	const char *name;   /* as log_level_name and the bracket say it */
	const char *column; /* bracket padded to 7 */
	int priority;       /* of syslog */
} levels[] = {
    [LOG_TRACE_LEVEL] = {"TRACE", "[TRACE]", LOG_DEBUG},
    [LOG_DEBUG_LEVEL] = {"DEBUG", "[DEBUG]", LOG_INFO},
    [LOG_INFO_LEVEL] = {"INFO", "[INFO] ", LOG_NOTICE},
    [LOG_WARN_LEVEL] = {"WARN", "[WARN] ", LOG_WARNING},
    [LOG_ERROR_LEVEL] = {"ERROR", "[ERROR]", LOG_ERR},
};

void
log_init(const char *program, enum log_level level)
{
	snprintf(state.ident, sizeof state.ident, "consul/%s", program);
	log_set_level(level);
}

void
log_set_level(enum log_level level)
{
	state.set = level;
	state.level = MIN(state.set, state.wide);
}

void
log_widen(enum log_level level)
{
	state.wide = level;
	state.level = MIN(state.set, state.wide);
}

enum log_level
log_get_level(void)
{
	return state.level;
}

bool
log_enabled(enum log_level level)
{
	return level >= state.level;
}

int
log_level_parse(const char *text, enum log_level *out)
{
	if (strcasecmp(text, "err") == 0) {
		*out = LOG_ERROR_LEVEL;
		return 0;
	}
	for (size_t i = 0; i < COUNTOF(levels); i++)
		if (strcasecmp(text, levels[i].name) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	return -1;
}

const char *
log_level_name(enum log_level level)
{
	return levels[level].name;
}

void
log_syslog(int facility)
{
	if (state.syslog_open)
		closelog();
	state.syslog_open = facility != -1;
	if (state.syslog_open)
		openlog(state.ident, LOG_PID | LOG_NDELAY, facility);
}

/* Local time with milliseconds; Z or +hhmm. */
static size_t
put_time(char *out, size_t size)
{
	struct timespec now;
	struct tm tm;
	char zone[8];
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	used = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof zone, "%z", &tm);
	used += (size_t)snprintf(
	    out + used, size - used, ".%03ld%s", now.tv_nsec / 1000000, tm.tm_gmtoff == 0 ? "Z" : zone);
	return used;
}

/* -1: would block or failed. */
static int
write_line(const char *line, size_t size)
{
	struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&writable, 1, 0) != 1 || (writable.revents & POLLOUT) == 0)
		return -1;
	return write(STDERR_FILENO, line, size) == (ssize_t)size ? 0 : -1;
}

static void
report_dropped(void)
{
	char line[256];
	size_t used = put_time(line, sizeof line);

	used += (size_t)snprintf(line + used, sizeof line - used,
	    " [WARN]  agent: log lines dropped: count=%lu program=%s\n", state.dropped, state.ident);
	if (write_line(line, used) == 0)
		state.dropped = 0;
}

static void PRINTF_LIKE(4, 0) emit(enum log_level level, const char *module, int error, const char *fmt, va_list args)
{
	char line[LINE_BYTES_MAX + 1];
	size_t used, text, room = LINE_BYTES_MAX - 1; /* the line feed */
	int n;

	used = put_time(line, sizeof line);
	used += (size_t)snprintf(line + used, room - used, " %s ", levels[level].column);
	text = used;
	n = snprintf(line + used, room - used, "%s: ", module);
	used += n < 0 ? 0 : MIN((size_t)n, room - used - 1);
	n = vsnprintf(line + used, room - used, fmt, args);
	used += n < 0 ? 0 : MIN((size_t)n, room - used - 1);
	if (error != 0) {
		n = snprintf(line + used, room - used, ": error=%s", log_quote(strerror(error)));
		used += n < 0 ? 0 : MIN((size_t)n, room - used - 1);
	}
	if (used == room - 1)
		memcpy(line + used - 3, "...", 3);
	if (state.syslog_open && level >= state.set)
		syslog(levels[level].priority, "%.*s", (int)(used - text), line + text);
	line[used++] = '\n';
	if (state.dropped > 0)
		report_dropped();
	if (write_line(line, used) == -1)
		state.dropped++;
}

#define LOG_FUNCTION(name, line_level, error_value)                                                                    \
	void name(const char *module, const char *fmt, ...)                                                            \
	{                                                                                                              \
		int saved_errno = errno;                                                                               \
		va_list args;                                                                                          \
                                                                                                                       \
		if ((line_level) < state.level)                                                                        \
			return;                                                                                        \
		va_start(args, fmt);                                                                                   \
		emit(line_level, module, error_value, fmt, args);                                                      \
		va_end(args);                                                                                          \
		errno = saved_errno;                                                                                   \
	}

LOG_FUNCTION(log_trace, LOG_TRACE_LEVEL, 0)
LOG_FUNCTION(log_debug, LOG_DEBUG_LEVEL, 0)
LOG_FUNCTION(log_info, LOG_INFO_LEVEL, 0)
LOG_FUNCTION(log_warn, LOG_WARN_LEVEL, saved_errno)
LOG_FUNCTION(log_warnx, LOG_WARN_LEVEL, 0)
LOG_FUNCTION(log_error, LOG_ERROR_LEVEL, saved_errno)
LOG_FUNCTION(log_errorx, LOG_ERROR_LEVEL, 0)

const char *
log_quote_bytes(struct bytes value)
{
	static char buffers[8][QUOTE_BYTES_MAX];
	static unsigned next;
	char *out = buffers[next++ % COUNTOF(buffers)];
	size_t used = 0, room = QUOTE_BYTES_MAX - 8; /* an escape, "..." and the end */
	bool plain = true;

	for (size_t i = 0; i < value.size && plain; i++)
		plain = value.data[i] > ' ' && value.data[i] != '"' && value.data[i] != '\\' && value.data[i] != 0x7f &&
			value.data[i] < 0x80;
	if (!plain)
		out[used++] = '"';
	for (size_t i = 0; i < value.size; i++) {
		uint8_t c = value.data[i];

		if (used >= room) {
			memcpy(out + used, "...", 3);
			used += 3;
			break;
		}
		if (c == '"' || c == '\\')
			used += (size_t)sprintf(out + used, "\\%c", c);
		else if (c == '\n')
			used += (size_t)sprintf(out + used, "\\n");
		else if (c == '\t')
			used += (size_t)sprintf(out + used, "\\t");
		else if (c < ' ' || c == 0x7f)
			used += (size_t)sprintf(out + used, "\\x%02x", c);
		else
			out[used++] = (char)c;
	}
	if (!plain)
		out[used++] = '"';
	out[used] = '\0';
	return out;
}

const char *
log_quote(const char *value)
{
	return log_quote_bytes((struct bytes){(const uint8_t *)value, strlen(value)});
}

void
panic(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	log_errorx("agent", "panic: program=%s %s", state.ident, text);
	abort();
}

#define FATAL_FUNCTION(name, error_value, exit_status)                                                                 \
	void name(const char *module, const char *fmt, ...)                                                            \
	{                                                                                                              \
		int saved_errno UNUSED = errno;                                                                        \
		va_list args;                                                                                          \
                                                                                                                       \
		va_start(args, fmt);                                                                                   \
		emit(LOG_ERROR_LEVEL, module, error_value, fmt, args);                                                 \
		va_end(args);                                                                                          \
		exit(exit_status);                                                                                     \
	}

FATAL_FUNCTION(fatal, saved_errno, EXIT_RETRY)
FATAL_FUNCTION(fatalx, 0, EXIT_RETRY)
FATAL_FUNCTION(fatal_permanent, 0, EXIT_PERMANENT)

bool
log_allowed(struct log_limit *limit, unsigned burst, unsigned *suppressed)
{
	struct timespec now;
	uint64_t minute;

	*suppressed = 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	minute = (uint64_t)now.tv_sec / 60 + 1;
	if (limit->minute != minute) {
		limit->minute = minute;
		limit->used = 0;
	}
	if (limit->used >= burst) {
		limit->dropped++;
		return false;
	}
	limit->used++;
	*suppressed = limit->dropped;
	limit->dropped = 0;
	return true;
}

/*
 * logline.h - one log line of a daemon taken apart, and as JSON (config.md 13.1, 13.2 of the reference facts)
 */
#ifndef CONSULD_LOGLINE_H
#define CONSULD_LOGLINE_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "log.h"

/* All runs point into the line. */
struct logline {
	struct bytes whole;
	struct bytes
	    time; /* empty: the line has not our layout (an assertion, a sanitizer's report): it counts as an error */
	struct bytes module; /* "agent.server.raft" */
	struct bytes text;   /* message and pairs */
	enum log_level level;
};

/* line: without its newline. */
void logline_parse(struct bytes line, struct logline *out);
/* The message without its pairs; *pairs is what follows ": " (empty: none). */
struct bytes logline_message(const struct logline *line, struct bytes *pairs);
/*
 * {"@level":"info","@message":"...","@module":"agent","@timestamp":"...","key":"value"} without newline. now_ns dates a line
 * that carries no time.
 */
void logline_json(const struct logline *line, int64_t now_ns, struct buf *out);

#endif

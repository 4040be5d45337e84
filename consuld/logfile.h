/*
 * logfile.h - the agent's log_file with its rotation (config.md 13.4 of the reference facts)
 *
 * Writes go through to the file at once; a failing disk loses lines, it never stops the agent.
 */
#ifndef CONSULD_LOGFILE_H
#define CONSULD_LOGFILE_H

#include "cdefs.h"

struct logfile;

struct logfile_options {
	const char *path;     /* as configured, absolute; with a trailing slash consul.log in that directory */
	int64_t rotate_ns;    /* age at which a new file is begun; 0: 24 h */
	int64_t rotate_bytes; /* size at which a new file is begun; 0: no limit */
	int64_t files_max;    /* rotated files kept; 0: all, negative: none */
};

/* NULL with errno; *path_text (static) is the path that failed. The options' text is copied. */
MUST_USE struct logfile *logfile_open(const struct logfile_options *options, const char **path_text);
void logfile_close(struct logfile *f); /* may be NULL */
/* One line, with its newline. */
void logfile_write(struct logfile *f, struct bytes line);
/* To be called when a run of lines is over: what was gathered goes to the file. */
void logfile_flush(struct logfile *f);
/* Opens the path again (an external rotation has renamed the file). */
void logfile_reopen(struct logfile *f);

#endif

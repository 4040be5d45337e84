/*
 * consuld.h - what consuld does for the command line: the agent itself, and everything that reads configuration files
 */
#ifndef CONSULCTL_CONSULD_H
#define CONSULCTL_CONSULD_H

#include "buf.h"
#include "command.h"

/* Marks the commands that are consuld's own (agent, validate, configtest). */
int consuld_run(struct invocation *in);
/* Becomes consuld with the same arguments; returns (1) only if that fails. */
MUST_USE int consuld_exec(char **argv);
/*
 * Runs `consuld definitions FILE`; its standard output (JSON, an object with Services and Checks in the HTTP API's form) goes into out.
 * -1: *out has nothing useful, error (size bytes) says why.
 */
MUST_USE int consuld_definitions(const char *path, struct buf *out, char *error, size_t size);

#endif

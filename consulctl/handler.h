/*
 * handler.h - child commands of watch and lock
 */
#ifndef CONSULCTL_HANDLER_H
#define CONSULCTL_HANDLER_H

#include <sys/types.h>

#include <stdbool.h>

#include "cdefs.h"

struct handler {
	char *const *argv; /* words of the command */
	int argc;
	bool shell;           /* $SHELL -c "words" */
	const char *variable; /* added to the environment, "NAME=value", or NULL */
	int input;            /* descriptor for its standard input; -1: /dev/null */
};

/* -1: *why is "exec: ...", "fork/exec x: no such file or directory" (size bytes). */
MUST_USE pid_t handler_start(const struct handler *h, char *why, size_t size);
/* "exit status 3", "signal: killed" of waitpid's status; "" for success. */
void handler_outcome(int status, char *text, size_t size);

#endif

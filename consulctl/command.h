/*
 * command.h - the table of commands, and what a running command is given
 */
#ifndef CONSULCTL_COMMAND_H
#define CONSULCTL_COMMAND_H

#include <stdio.h>

#include "cdefs.h"
#include "flags.h"

/* Which common flags a command has (cli.md 3). */
#define COMMAND_CLIENT (1u << 0)
#define COMMAND_SERVER (1u << 1)
#define COMMAND_NAMESPACE (1u << 2)
#define COMMAND_PARTITION (1u << 3)
#define COMMAND_TENANCY (COMMAND_NAMESPACE | COMMAND_PARTITION)
#define COMMAND_REPEATS_ERROR (1u << 4) /* a flag error is printed before and after the dump of flags */

#define COMMAND_RAW (1u << 5) /* arguments are not looked at */

struct invocation {
	const struct command *command;
	struct flags *flags;
	int argc; /* positionals */
	char **argv;
	struct region *region; /* lives as long as the command */
};

struct command {
	const char *path;         /* "kv get"; NULL ends a table */
	const char *synopsis;     /* one line, for the lists of commands */
	const char *arguments;    /* "[options] KEY", behind the path in the usage line */
	const char *about;        /* lines of the description, without indentation */
	unsigned options;         /* COMMAND_* */
	const struct flag *flags; /* its own; may be NULL */
	/* The exit status. NULL: a group, which only has sub-commands. */
	int (*run)(struct invocation *in);
};

/* Tables by family, each ended by a row without path. */
extern const struct command agent_commands[], members_commands[], catalog_commands[], kv_commands[], info_commands[],
    services_commands[], monitor_commands[], watch_commands[], lock_commands[], operator_commands[],
    snapshot_commands[], event_commands[], later_commands[];

/* The whole program; the exit status. */
MUST_USE int command_main(int argc, char **argv);

/* Help of a command or group, as -h prints it. */
void command_help(const struct command *c, FILE *out);
/* Prints the message and the help below it to stderr; 1. */
int command_misuse(const struct invocation *in, const char *message);
/* One line on stderr; 1. */
int command_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif

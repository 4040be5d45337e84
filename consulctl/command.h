/*
 * command.h - the table of commands
 */
#ifndef CONSULCTL_COMMAND_H
#define CONSULCTL_COMMAND_H

#include "cdefs.h"

/* The whole program; the exit status. */
MUST_USE int command_main(int argc, char **argv);

#endif

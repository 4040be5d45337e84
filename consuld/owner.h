/*
 * owner.h - what belongs to whom when the daemons run as users of their own (consuld.conf(5))
 *
 * Without root, or without users in the table, all of this does nothing.
 */
#ifndef CONSULD_OWNER_H
#define CONSULD_OWNER_H

#include "cdefs.h"
#include "config.h"
#include "table.h"

#define OWNER_ERROR_MAX 1024

/*
 * Prepares the run directory (the working directory): the daemons make their sockets in it, and none may remove another's. -1: error.
 */
MUST_USE int owner_run_dir(const struct table *t, char error[OWNER_ERROR_MAX]);
/* Makes the directories of raftd, catalogd and checkd and gives them to their users. -1: error. */
MUST_USE int owner_state_dirs(const struct table *t, const struct config *c, bool server, char error[OWNER_ERROR_MAX]);
/* A file of a new generation, by its name, to the daemon that reads it. -1 with errno. */
MUST_USE int owner_file(const struct table *t, int dirfd, const char *name);
/* consuld.sock, or a directory of a generation, to the daemons' common group. -1 with errno. */
MUST_USE int owner_group(const struct table *t, const char *path);

#endif

/*
 * rundir.h - the run directory: sockets and generations; and the lock that keeps a second agent out
 */
#ifndef CONSULD_RUNDIR_H
#define CONSULD_RUNDIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "cdefs.h"
#include "config.h"

#define RUNDIR_ERROR_MAX 1024

struct rundir;

struct rundir_options {
	const char *wanted;   /* run_dir of consuld.conf, "" */
	const char *group;    /* owner group by name, "": ours */
	const char *data_dir; /* "": none */
	bool dev;             /* a private directory, removed at the end */
	bool shared; /* daemons that we do not start live in it: their sockets and the committed generation stay */
};

/*
 * Chooses, makes and locks the directory, locks data_dir, removes what an earlier run left, and makes it the working directory. NULL: error.
 */
MUST_USE struct rundir *rundir_open(const struct rundir_options *options, char error[RUNDIR_ERROR_MAX]);
/* Absolute. */
const char *rundir_path(const struct rundir *r);
/* An earlier agent on these directories was killed; its sockets may be in use for a moment yet. */
bool rundir_was_unclean(const struct rundir *r);

/* The generation that `current` points to, 0: none (always so unless shared). */
unsigned rundir_committed(const struct rundir *r);
/* Called for each file of a new generation: who may read it. */
typedef void rundir_owner_cb(void *ctx, int dirfd, const char *name);
/* Writes gen.N; nothing points to it yet. -1: error. */
MUST_USE int rundir_write(struct rundir *r, const struct config *c, unsigned generation, rundir_owner_cb *owner,
    void *ctx, char error[RUNDIR_ERROR_MAX]);
/* `current` points to gen.N from now on. -1 with errno. */
MUST_USE int rundir_commit(struct rundir *r, unsigned generation);
void rundir_remove(struct rundir *r, unsigned generation);

/* Removes sockets and generations, with -dev all of it, and lets go of the locks. */
void rundir_close(struct rundir *r);

#endif

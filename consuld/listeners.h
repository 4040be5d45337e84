/*
 * listeners.h - the suite's listening sockets, opened by consuld and handed down
 */
#ifndef CONSULD_LISTENERS_H
#define CONSULD_LISTENERS_H

#include "buf.h"
#include "cdefs.h"
#include "config.h"

#define LISTENERS_MAX 256
#define LISTENERS_ERROR_MAX 1024

struct listeners;

/*
 * Opens all of them. patience_ms: an address that is in use is tried again for so long (our own processes of an earlier
 * run are on their way out). NULL: error in the reference's words.
 */
MUST_USE struct listeners *listeners_open(const struct config *c, int64_t patience_ms, char error[LISTENERS_ERROR_MAX]);
/* Closes all; removes the files of unix sockets. */
void listeners_free(struct listeners *l);
/*
 * The sockets of one daemon: their descriptors, and "name=fd,name=fd" counted from first_fd for CONSULD_LISTEN. Returns their number.
 */
MUST_USE size_t listeners_of(
    const struct listeners *l, const char *daemon, int first_fd, int *fds, size_t max, struct buf *environment);
/* So that clients are refused while the daemon is away; and back. -1: error. */
void listeners_close_of(struct listeners *l, const char *daemon);
MUST_USE int listeners_open_of(struct listeners *l, const char *daemon, char error[LISTENERS_ERROR_MAX]);

#endif

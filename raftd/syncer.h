/*
 * syncer.h - the sync helper: a child process that does nothing but fdatasync
 *
 * It holds the descriptor of the segment that is written (passed to it) and that of the log's directory. One byte goes to it for a
 * sync, one comes back when it is done, so that the loop gathers the next batch meanwhile and a disk that hangs is noticed. It
 * ends when raftd does.
 */
#ifndef RAFTD_SYNCER_H
#define RAFTD_SYNCER_H

#include <ev.h>
#include <stdbool.h>

#include "cdefs.h"

struct syncer;

/* error: 0, or the errno of the sync that failed; -1: the helper is gone. */
typedef void syncer_done_cb(void *ctx, int error);

/* Forks; call it before there is anything in the process that a child must not have. directory is borrowed. NULL with errno. */
MUST_USE struct syncer *syncer_start(struct ev_loop *loop, int directory, syncer_done_cb *done, void *ctx);
/* Ends the helper. */
void syncer_free(struct syncer *s);
/*
 * Asks for one sync of the descriptor that was passed last. fd: -1, or the new one to be used from now on (borrowed).
 * The callback comes from the loop. No other request may be under way. -1 with errno.
 */
MUST_USE int syncer_request(struct syncer *s, int fd, bool directory);
bool syncer_busy(const struct syncer *s);

#endif

/*
 * serve.h - raftd's methods on its socket: Raft.Status, Propose, Pull, Snapshot, Stats, Peers (man/consuld-protocol.7)
 */
#ifndef RAFTD_SERVE_H
#define RAFTD_SERVE_H

#include "daemon.h"

extern const struct daemon_ops raftd_ops;

/* The state that daemon_main is given. */
struct serve;
MUST_USE struct serve *serve_new(void);
/* After daemon_main. */
void serve_free(struct serve *s);

#endif

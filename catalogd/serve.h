/*
 * serve.h - what comes in by catalogd.sock
 */
#ifndef CATALOGD_SERVE_H
#define CATALOGD_SERVE_H

#include "catalogd.h"
#include "ipc.h"

struct query;

extern const struct ipc_method serve_methods[];
extern const size_t serve_method_count;

MUST_USE struct serve *serve_new(struct catalogd *c);
void serve_free(struct serve *s);
/* This node leads now: what was held for that is served. */
void serve_leader_ready(struct serve *s);
/* For watch.c: runs a parked query again. ctx: the struct catalogd. */
int serve_run(struct query *q, void *ctx);

#endif

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
/* Those of them that other nodes may ask for. ctx: the struct daemon. */
extern struct ipc_service serve_remote_service;

MUST_USE struct serve *serve_new(struct catalogd *c);
/* On every node, before anything is served. */
void serve_init(struct catalogd *c);
void serve_free(struct serve *s);
/* This node leads now: what was held for that is served. */
void serve_leader_ready(struct serve *s);
/* Another node leads: what was held goes there. */
void serve_leader_known(struct serve *s);
/* For watch.c: runs a parked query again. ctx: the struct catalogd. */
int serve_run(struct query *q, void *ctx);

#endif

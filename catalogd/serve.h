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
/* This process stops: nothing is sent on to others any more. */
void serve_stop(struct serve *s);
/* Whether this node is ready to lead, or which one leads, has changed: what waits for a leader is served, here or there. */
void serve_leader_changed(struct serve *s);
/* The store has got further: what waits for an index is served. */
void serve_applied(struct serve *s);
/* For watch.c: runs a parked query again. ctx: the struct catalogd. */
int serve_run(struct query *q, void *ctx);

#endif

/*
 * notice.h - what subscribers are told: the names that a batch has changed, one element for each batch
 */
#ifndef CATALOGD_NOTICE_H
#define CATALOGD_NOTICE_H

#include "watch.h"

struct notices;

MUST_USE struct notices *notices_new(void);
/* Streams that are still open are let go without an end. */
void notices_free(struct notices *n);
/* A stream as watch_subscribe() describes it. */
void notices_subscribe(struct notices *n, struct ipc_stream *s);
/* One of the streams of conn is a subscription. */
bool notices_subscribed(const struct notices *n, const struct ipc_conn *conn);
/* Remembers a name until the batch's end, once. kind: WATCH_HEALTH or WATCH_NODE. */
void notices_add(struct notices *n, enum watch_kind kind, struct bytes name);
/* The batch is committed: sends what was added to all. all: the whole state was replaced, and they are told that instead. */
void notices_send(struct notices *n, bool all);

#endif

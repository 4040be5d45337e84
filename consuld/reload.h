/*
 * reload.h - a new configuration for the running suite: all of it or nothing
 */
#ifndef CONSULD_RELOAD_H
#define CONSULD_RELOAD_H

#include "cdefs.h"

struct suite;
struct child;

/* error NULL: the new configuration is in force. */
typedef void reload_done_cb(void *ctx, const char *error);

/*
 * Reads all sources again and carries it through; done is called once, later or at once. Requests that come while a reload goes on
 * are served together by one more reload after it.
 */
void reload_request(struct suite *s, reload_done_cb *done, void *ctx);
/* The caller has lost interest: done will not be called. */
void reload_forget(struct suite *s, void *ctx);
/* Ends a reload that is going on, for the end of the suite: who waits is told. */
void reload_cancel(struct suite *s);

#endif

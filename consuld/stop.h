/*
 * stop.h - the end of the suite: by signal, by leave, by a daemon that can not go on
 */
#ifndef CONSULD_STOP_H
#define CONSULD_STOP_H

#include <stdbool.h>

#include "cdefs.h"

struct suite;
struct child;

/* error NULL: the node has left; the process ends after the call. */
typedef void stop_left_cb(void *ctx, const char *error);

/* SIGINT or SIGTERM. */
void stop_signal(struct suite *s, int signal_number);
/* Agent.Leave: leaves whatever the configuration says. */
void stop_leave(struct suite *s, stop_left_cb *done, void *ctx);
void stop_forget(struct suite *s, void *ctx);
/* Stops the daemons in order, then the loop; status is what our process exits with. */
void stop_begin(struct suite *s, int status);
/* A daemon is gone: goes on with the next stage when its stage is empty. */
void stop_child_gone(struct suite *s);

#endif

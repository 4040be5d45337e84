/*
 * listener.h - listening sockets: connections as they come, also when descriptors run out
 */
#ifndef HTTPD_LISTENER_H
#define HTTPD_LISTENER_H

#include <ev.h>

#include "cdefs.h"
#include "net.h"

struct listener;

/* Owns fd afterwards, which is non-blocking. accepted owns each descriptor it is given (non-blocking, close-on-exec). */
MUST_USE struct listener *listener_new(
    struct ev_loop *loop, int fd, void (*accepted)(void *ctx, int fd, const union net_addr *peer), void *ctx);
void listener_free(struct listener *l);

#endif

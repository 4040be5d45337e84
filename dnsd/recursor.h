/*
 * recursor.h - questions that are not ours, handed to upstream resolvers
 */
#ifndef DNSD_RECURSOR_H
#define DNSD_RECURSOR_H

#include <ev.h>
#include <stdbool.h>

#include "answer.h"
#include "cdefs.h"

#define RECURSIONS_MAX 1024 /* under way; beyond: refused */

struct recursion;

/* answer: the upstream message as it came, valid during the callback; size 0: every upstream failed. */
typedef void recursion_cb(void *ctx, struct bytes answer);

/*
 * Sends message unchanged to the recursors of settings, one after the other (or in random order), over UDP or TCP, each for recursor_timeout; the first answer with NOERROR or
 * NXDOMAIN wins (any: the first answer at all). NULL: RECURSIONS_MAX are under way, or there is no recursor. Holds a reference to settings.
 */
struct recursion *recursion_start(struct ev_loop *loop, struct settings *settings, struct bytes message, bool udp,
    bool any, recursion_cb *cb, void *ctx);
/* The callback will not come. */
void recursion_cancel(struct recursion *r);

#endif

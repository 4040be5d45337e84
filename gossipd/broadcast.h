/*
 * broadcast.h - a queue of messages that spread by being told to a few members at a time
 *
 * Order of sending: those sent least often first, among them longer ones first, among those newer ones. A message goes out
 * mult * ceil(log10(members + 1)) times and is then forgotten. A message about a subject replaces the one queued about it before.
 */
#ifndef GOSSIPD_BROADCAST_H
#define GOSSIPD_BROADCAST_H

#include <stdbool.h>

#include "cdefs.h"

#define BROADCAST_BYTES_MAX 1400 /* longer ones fit into no packet */

struct broadcasts;

/* Called once when the message was sent often enough (spread), replaced or dropped. NULL: nobody wants to know. */
typedef void broadcast_done(void *ctx, bool spread);

/* mult: of retransmissions. members (borrowed): how many there are, read when it matters. */
MUST_USE struct broadcasts *broadcasts_new(unsigned mult, const size_t *members);
/* Without calling anybody. */
void broadcasts_free(struct broadcasts *q);
/* Copies message and subject (empty: it replaces nothing). -1: longer than BROADCAST_BYTES_MAX, nothing is queued. */
MUST_USE int broadcasts_put(
    struct broadcasts *q, struct bytes subject, struct bytes message, broadcast_done *done, void *ctx);
/*
 * Hands out messages that fit: each counts overhead more than its length, all together up to limit, at most `most` of them. They
 * are valid until the next call. Returns the bytes used.
 */
size_t broadcasts_take(struct broadcasts *q, size_t overhead, size_t limit, size_t most,
    void (*each)(void *ctx, struct bytes message), void *ctx);
size_t broadcasts_count(const struct broadcasts *q);
/* Drops those sent most often, down to max. Returns how many. */
size_t broadcasts_prune(struct broadcasts *q, size_t max);
/* How often a message goes out among so many members. */
unsigned broadcasts_limit(unsigned mult, size_t members);

#endif

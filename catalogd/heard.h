/*
 * heard.h - when this server's state was last known to be the leader's: QueryMeta's LastContact
 *
 * From the memory that raftd shares (common/contact.h), and from its own terms of office: whoever leads, or led a moment ago, needs nobody's word.
 */
#ifndef CATALOGD_HEARD_H
#define CATALOGD_HEARD_H

#include <stdbool.h>
#include <stdint.h>

#include "cdefs.h"
#include "ipc.h"

struct heard;

MUST_USE struct heard *heard_new(void);
void heard_free(struct heard *h);
/* A raftd is there, perhaps another one: asks for its memory. What the one before said stays true. */
void heard_raftd_up(struct heard *h, struct ipc_peer *raftd);
/* leads: by the newest status; lease_until_ns: likewise (CLOCK_BOOTTIME, 0: none, UINT64_MAX: without end). now_ns: the same clock. */
void heard_status(struct heard *h, bool leads, uint64_t lease_until_ns, uint64_t now_ns);
/* A leader was heard of, or was this server, since raftd or this process started: its state may be shown. */
bool heard_ever(const struct heard *h);
/* Nanoseconds since then; 0: this server leads. Of no meaning before heard_ever. */
int64_t heard_silence_ns(const struct heard *h, uint64_t now_ns);

#endif

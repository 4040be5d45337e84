/*
 * kv.h - keys and values: what sessions and leader duties ask of them
 *
 * The endpoints and apply functions themselves are declared by the lists in query.h and apply.h.
 */
#ifndef CATALOGD_KV_H
#define CATALOGD_KV_H

#include "apply.h"

#define KV_LOCK_DELAY_MAX_NS (60 * INT64_C(1000000000))

/*
 * The session that holds key ends: the key is released or (remove) deleted, and can not be acquired before delay_ns (capped) are over.
 */
void kv_session_ended(struct apply *a, struct bytes key, bool remove, int64_t delay_ns);
/* Body of a tombstone reap entry: everything deleted at or before index goes. */
void kv_tombstone_reap_body(struct buf *body, uint64_t index);
/* Whether there is anything that a reap could remove. */
bool kv_has_leftovers(struct store_txn *t);

#endif

/*
 * tail.h - the newest entries of the log in memory: those not yet on disk, and the last ones that are
 *
 * Each is kept as the msgpack element [Index, Term, Type, Data] that Raft.Pull sends, so that a run of them is sent by one copy.
 * The caller sees to the bound: what is not stable must stay, the rest goes by tail_trim.
 */
#ifndef RAFTD_TAIL_H
#define RAFTD_TAIL_H

#include <stdint.h>

#include "buf.h"
#include "cdefs.h"

struct tail;

struct tail_entry {
	uint64_t term;
	uint8_t type;
	struct bytes data;
};

/* last: index of the entry before the first one that will be put. */
MUST_USE struct tail *tail_new(uint64_t last);
void tail_free(struct tail *t);
/* index: last + 1, or lower: then it replaces that entry and all behind it. It must not lie before tail_first. */
void tail_put(struct tail *t, uint64_t index, uint64_t term, uint8_t type, struct bytes data);
/* The entries in memory are first..last; first > last: none. */
uint64_t tail_first(const struct tail *t);
uint64_t tail_last(const struct tail *t);
size_t tail_bytes(const struct tail *t);
/* index must be in memory. Valid until the next put or trim. */
struct tail_entry tail_get(const struct tail *t, uint64_t index);
/* One entry in the form of Raft.Pull, appended to out. */
void tail_element_put(struct buf *out, uint64_t index, uint64_t term, uint8_t type, struct bytes data);
/*
 * Appends the elements from first (in memory) up to last, as many as fit into bytes_max. Returns their number.
 */
uint32_t tail_elements_put(const struct tail *t, uint64_t first, uint64_t last, size_t bytes_max, struct buf *out);
/* Frees entries up to index, the oldest first, while more than bytes_keep bytes are held. */
void tail_trim(struct tail *t, uint64_t index, size_t bytes_keep);

#endif

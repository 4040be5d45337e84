/*
 * terms.h - which term each entry of a log has, in a few runs
 *
 * A log spans the entries base_index + 1 .. last; base is the entry before the first one (0, 0 for a log from the
 * beginning). Terms never fall along the log, so that a run per term is all there is to keep: a log of a million entries
 * written under one leader is one run.
 */
#ifndef RAFTD_TERMS_H
#define RAFTD_TERMS_H

#include <stdint.h>

#include "cdefs.h"

struct terms_run {
	uint64_t first; /* index */
	uint64_t term;
};

struct terms {
	uint64_t base_index, base_term;
	uint64_t last;
	struct terms_run *runs; /* ascending; none when last == base_index */
	size_t count, size;
};

void terms_init(struct terms *t, uint64_t base_index, uint64_t base_term);
void terms_free(struct terms *t);
/* A deep copy; to is overwritten. */
void terms_copy(struct terms *to, const struct terms *from);
/* The term of an entry, or of the base; 0: not in the log. */
uint64_t terms_at(const struct terms *t, uint64_t index);
uint64_t terms_last_term(const struct terms *t);
/* count further entries of this term, which must not be below the last one's (else panic). */
void terms_append(struct terms *t, uint64_t term, uint64_t count);
/* Drops the entry first and all behind it; first must lie above the base (else panic). */
void terms_truncate(struct terms *t, uint64_t first);
/* The base becomes index, which must be in the log (else panic). */
void terms_compact(struct terms *t, uint64_t index);
/* The last index up to limit whose term is at most term; may be the base (whatever its term). */
uint64_t terms_find(const struct terms *t, uint64_t limit, uint64_t term);

#endif

/*
 * tail.h - the last bytes of a stream
 */
#ifndef CHECKD_TAIL_H
#define CHECKD_TAIL_H

#include "buf.h"

struct tail {
	struct buf b;
	size_t keep;
	uint64_t total;
};

/* Keeps the last keep bytes. */
void tail_init(struct tail *t, size_t keep);
void tail_free(struct tail *t);
void tail_put(struct tail *t, const void *data, size_t size);
struct bytes tail_bytes(const struct tail *t);
/* How many bytes there were. */
uint64_t tail_total(const struct tail *t);

#endif

/*
 * spare.h - blocks of one size that come and go with connections and requests: some are kept at hand, the rest goes back to the system
 */
#ifndef COMMON_SPARE_H
#define COMMON_SPARE_H

#include <stddef.h>

/* With sanitizers none: they see every use of a dead block. */
#ifdef CONSULD_SANITIZED
#define SPARE_BLOCKS_MAX 0u
#else
#define SPARE_BLOCKS_MAX 256u
#endif

struct spare {
	void *first; /* each block begins with a pointer to the next */
	size_t count;
};

/* A block of size bytes (always the same for one list, at least a pointer's), content undefined. The caller gives it back or frees it. */
void *spare_take(struct spare *s, size_t size);
void spare_give(struct spare *s, void *block);
/* Frees what is at hand. */
void spare_free(struct spare *s);
/* To be called about once a second: when a burst of blocks is over, the memory it took goes back to the system. */
void spare_settle(void);

#endif

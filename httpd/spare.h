/*
 * spare.h - blocks of one size that come and go with connections and requests: a few are kept at hand, the rest goes back to the system
 */
#ifndef HTTPD_SPARE_H
#define HTTPD_SPARE_H

#include <stddef.h>

#define SPARE_BLOCKS_MAX 256

struct spare {
	void *first; /* each block begins with a pointer to the next */
	size_t count;
};

/* A block of size bytes (always the same for one list, at least a pointer's), content undefined. The caller gives it back or frees it. */
void *spare_take(struct spare *s, size_t size);
void spare_give(struct spare *s, void *block);
/* Frees what is at hand. */
void spare_free(struct spare *s);

#endif

/*
 * mem.h - allocation that succeeds or ends the process, byte runs, and regions
 *
 * Small allocations whose size we choose ourselves use x*(): failure is fatal (style: hopeless
 * environment). Sizes that a peer chooses are bounded first and go through struct buf (buf.h).
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stdbool.h>
#include <string.h>

#include "cdefs.h"

MUST_USE void *xmalloc(size_t size);
MUST_USE void *xcalloc(size_t count, size_t size);
/* Overflow-checked; like realloc otherwise. */
MUST_USE void *xreallocarray(void *old, size_t count, size_t size);
MUST_USE char *xstrdup(const char *text);
MUST_USE char *xstrndup(const void *text, size_t size);
/* printf into a fresh string that the caller frees. */
MUST_USE char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

static inline struct bytes
bytes_of(const void *data, size_t size)
{
	return (struct bytes){data, size};
}

static inline struct bytes
bytes_str(const char *text)
{
	return (struct bytes){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_is(struct bytes a, const char *text);
/* ASCII case folded. */
bool bytes_equal_fold(struct bytes a, struct bytes b);
/* memcmp order, the shorter one first. */
int bytes_compare(struct bytes a, struct bytes b);
bool bytes_has_prefix(struct bytes a, struct bytes prefix);
/* A NUL-terminated copy that the caller frees. */
MUST_USE char *bytes_dup(struct bytes a);
/*
 * Copies a into out as a C string. Returns 0, or -1 with nothing useful in out (but terminated) if a does
 * not fit into size bytes or holds a NUL.
 */
MUST_USE int bytes_to_str(struct bytes a, char *out, size_t size);
/* Decimal, all of a, no sign, no blank. -1: not a number or over 64 bits (errno EINVAL, ERANGE). */
MUST_USE int bytes_to_u64(struct bytes a, uint64_t *out);
/* All of a to a blocking descriptor, in as many writes as that takes. -1 with errno: a part may be written. */
MUST_USE int bytes_write(int fd, struct bytes a);

/*
 * region: all memory of one request, freed at one place. region_alloc never returns NULL; the caller
 * bounds what a peer may ask for. Memory is not zeroed; alignment is 16.
 */
struct region;

MUST_USE struct region *region_new(void);
void region_free(struct region *r);  /* r may be NULL */
void region_reset(struct region *r); /* frees all but the first block */
MUST_USE void *region_alloc(struct region *r, size_t size);
MUST_USE char *region_strndup(struct region *r, const void *text, size_t size);
MUST_USE char *region_printf(struct region *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
MUST_USE struct bytes region_copy(struct region *r, struct bytes a);

#endif

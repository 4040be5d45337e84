/*
 * buf.h - a growing byte buffer that is born with its maximum
 *
 * Appending beyond max changes nothing but sets overflow, and so does every later append: write a whole
 * message, then look at overflow once. Memory comes in powers of two from 256 bytes on.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdarg.h>
#include <stdbool.h>

#include "cdefs.h"

struct buf {
	uint8_t *data;
	size_t used; /* bytes [0, used) are content */
	size_t size; /* allocated */
	size_t max;
	bool overflow;
};

#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

void buf_init(struct buf *b, size_t max);
/* Frees the memory; the buffer stays usable and empty. */
void buf_free(struct buf *b);
/* Empties, keeps the memory, clears overflow. */
void buf_clear(struct buf *b);
/* Makes room for more bytes behind used. -1 (and overflow set) if that passes max. */
MUST_USE int buf_reserve(struct buf *b, size_t more);
/* Makes room and returns where to write; account with buf_commit. NULL on overflow. */
MUST_USE uint8_t *buf_space(struct buf *b, size_t more);
void buf_commit(struct buf *b, size_t bytes);
void buf_put(struct buf *b, const void *data, size_t size);
void buf_put_bytes(struct buf *b, struct bytes a);
void buf_put_str(struct buf *b, const char *text);
void buf_put_u8(struct buf *b, uint8_t value);
void buf_put_be16(struct buf *b, uint16_t value);
void buf_put_be32(struct buf *b, uint32_t value);
void buf_put_be64(struct buf *b, uint64_t value);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list args);
/* Drops size bytes at the front (moves the rest). */
void buf_consume(struct buf *b, size_t size);
struct bytes buf_bytes(const struct buf *b);

/* Big-endian reads; the caller has checked the length. */
uint16_t be16_at(const void *p);
uint32_t be32_at(const void *p);
uint64_t be64_at(const void *p);

#endif

/*
 * cdefs.h - compiler attributes and small macros used everywhere
 */
#ifndef COMMON_CDEFS_H
#define COMMON_CDEFS_H

#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))

#define COUNTOF(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* A run of bytes that somebody else owns. size 0 with any data is "empty"; data may then be NULL. */
struct bytes {
	const uint8_t *data;
	size_t size;
};

#endif

/*
 * utf8.h - UTF-8 as Go's decoder sees it
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>

#include "cdefs.h"

/*
 * The code point that at[0..left) starts with. Returns its size in bytes; 0 if it is not valid (overlong,
 * surrogate, over U+10FFFF, cut off): one byte then counts as one U+FFFD.
 */
size_t utf8_decode(const uint8_t *at, size_t left, uint32_t *point);
/* Writes 1 to 4 bytes, returns how many; a value that is no code point is written as U+FFFD. */
size_t utf8_encode(uint32_t point, uint8_t out[4]);
bool utf8_valid(struct bytes text);

#endif

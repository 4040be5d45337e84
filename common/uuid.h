/*
 * uuid.h - random identifiers in the 8-4-4-4-12 form
 */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include <stdbool.h>

#include "cdefs.h"

#define UUID_TEXT_SIZE 37 /* 36 and the NUL */

/* 122 random bits from getrandom(2), version 4. */
void uuid_new(char out[UUID_TEXT_SIZE]);
/* 36 characters, hex in any case, dashes in their places. */
bool uuid_is_valid(struct bytes text);
/* len bytes from getrandom(2); ends the process if the kernel has none. */
void random_bytes(void *out, size_t len);
/* Uniform in [0, bound); bound > 0. Not for secrets. */
uint64_t random_below(uint64_t bound);

#endif

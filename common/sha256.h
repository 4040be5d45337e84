/*
 * sha256.h - SHA-256 (FIPS 180-4)
 *
 * Of our own: it names files and folds long keys, and an idle daemon that links a cryptographic library for that alone would cost more memory than
 * all the rest of it. Nothing secret passes here; speed does not matter.
 */
#ifndef COMMON_SHA256_H
#define COMMON_SHA256_H

#include "cdefs.h"

#define SHA256_BYTES 32
#define SHA256_TEXT_MAX 65

void sha256(struct bytes data, uint8_t out[SHA256_BYTES]);
/* Lower-case hexadecimal digits of the digest. Returns out. */
char *sha256_text(struct bytes data, char out[SHA256_TEXT_MAX]);

#endif

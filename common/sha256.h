/*
 * sha256.h - SHA-256 (FIPS 180-4)
 *
 * Of our own: it names files and folds long keys, and an idle daemon that links a cryptographic library for that alone would cost more memory than
 * all the rest of it. Nothing secret passes here; speed does not matter.
 */
#ifndef COMMON_SHA256_H
#define COMMON_SHA256_H

#include <stddef.h>

#include "cdefs.h"

#define SHA256_BYTES 32
#define SHA256_TEXT_MAX 65

void sha256(struct bytes data, uint8_t out[SHA256_BYTES]);
/* The same of data that comes in pieces. */
struct sha256 {
	uint32_t hash[8];
	uint64_t size;
	uint8_t block[64];
};
void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, struct bytes data);
void sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES]);
/* Lower-case hexadecimal digits. Return out. */
char *sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_TEXT_MAX]);
char *sha256_text(struct bytes data, char out[SHA256_TEXT_MAX]);

#endif

/*
 * sha256.h - the digest that names the files of a registration (FIPS 180-4)
 *
 * Of our own because it is all that checkd would need a cryptographic library for; nothing secret passes here.
 */
#ifndef CHECKD_SHA256_H
#define CHECKD_SHA256_H

#include "cdefs.h"

#define SHA256_TEXT_MAX 65

/* Lower-case hexadecimal digits of the digest. Returns out. */
char *sha256_text(struct bytes data, char out[SHA256_TEXT_MAX]);

#endif

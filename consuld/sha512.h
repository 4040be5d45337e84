/*
 * sha512.h - SHA-512 (FIPS 180-4), for the node ID that is derived from the host's identifier
 */
#ifndef CONSULD_SHA512_H
#define CONSULD_SHA512_H

#include <stddef.h>
#include <stdint.h>

void sha512(const uint8_t *data, size_t size, uint8_t digest[64]);

#endif

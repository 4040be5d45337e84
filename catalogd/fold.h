/*
 * fold.h - a digest for keys that are too long for the store
 */
#ifndef CATALOGD_FOLD_H
#define CATALOGD_FOLD_H

#include "cdefs.h"

#define FOLD_BYTES 32

/* SHA-256 (FIPS 180-4) of data: two keys never share it, whoever chose them. */
void fold_digest(struct bytes data, uint8_t out[FOLD_BYTES]);

#endif

/*
 * aead.h - AES-GCM by OpenSSL's libcrypto, which is loaded when a pool has keys and not before
 *
 * Linked, it costs each idle gossipd some 750 KB of resident memory (measured as PSS; two thirds of what else there is), and most nodes of
 * a small installation have no key.
 */
#ifndef GOSSIPD_AEAD_H
#define GOSSIPD_AEAD_H

#include <stdbool.h>

#include "cdefs.h"
#include "keyring.h"

#define AEAD_NONCE_BYTES 12
#define AEAD_TAG_BYTES 16

/* Loads what the others need. 0, or -1: error says why. */
MUST_USE int aead_load(char error[KEYRING_ERROR_MAX]);
/* aad: two runs, one behind the other, either may be empty. out: as many bytes as plain, then the tag. */
void aead_seal(const struct keyring_key *key, const uint8_t nonce[AEAD_NONCE_BYTES], const struct bytes aad[2],
    struct bytes plain, uint8_t *out);
/* sealed: with the tag. plain: room for all of it but the tag. false: it was not sealed by this key, or was changed. */
MUST_USE bool aead_open(const struct keyring_key *key, const uint8_t nonce[AEAD_NONCE_BYTES], const struct bytes aad[2],
    struct bytes sealed, uint8_t *plain);

#endif

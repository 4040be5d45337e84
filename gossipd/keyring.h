/*
 * keyring.h - the keys of a gossip pool: the first one seals, any opens; and the file that they are kept in
 *
 * A key has 16, 24 or 32 bytes (AES-128, -192, -256). Keys are wiped when they go; they are never logged.
 */
#ifndef GOSSIPD_KEYRING_H
#define GOSSIPD_KEYRING_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"

#define KEYRING_KEYS_MAX 64u
#define KEYRING_KEY_MAX 32
#define KEYRING_ERROR_MAX 320

struct keyring_key {
	uint8_t bytes[KEYRING_KEY_MAX];
	size_t size; /* 16, 24 or 32 */
};

/* Without keys: nothing is encrypted. */
struct keyring {
	struct keyring_key keys[KEYRING_KEYS_MAX];
	size_t count;
};

/* Wipes it: empty. */
void keyring_clear(struct keyring *k);
/* All return NULL, or the text of the refusal that the reference's operators know (static). Adding what is there and removing what is not are successes. */
const char *keyring_install(struct keyring *k, struct bytes key);
const char *keyring_use(struct keyring *k, struct bytes key);
const char *keyring_remove(struct keyring *k, struct bytes key);
/* A key as text: base64 with padding. -1: not base64, or not the size of a key. */
MUST_USE int keyring_key_parse(struct bytes text, struct keyring_key *out);
void keyring_key_print(const struct keyring_key *key, struct buf *out);

/*
 * The file: a JSON array of base64 keys, the primary one first. Parses its content.
 * -1: error says why, without any key in it; path is for the text only.
 */
MUST_USE int keyring_parse(struct bytes json, const char *path, struct keyring *out, char error[KEYRING_ERROR_MAX]);
/* compact: as a file made from the configuration; else with one key per line, as after any change. */
void keyring_print(const struct keyring *k, bool compact, struct buf *out);

#endif

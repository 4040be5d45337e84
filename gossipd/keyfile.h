/*
 * keyfile.h - a pool's keys at the start, and their file: DATA/serf/local.keyring, remote.keyring (0600, in a directory of 0700)
 */
#ifndef GOSSIPD_KEYFILE_H
#define GOSSIPD_KEYFILE_H

#include <stdbool.h>

#include "keyring.h"

/*
 * The ring at the start: the file's keys if it exists, else `encrypt` (base64; may be empty: no encryption), which then becomes the file.
 * path empty: no file is kept. *ignored: encrypt is not among the file's keys. -1: error says why.
 */
MUST_USE int keyfile_load(
    const char *path, const char *encrypt, struct keyring *ring, bool *ignored, char error[KEYRING_ERROR_MAX]);
/* Replaces the file, durably. NULL, or why not (valid until the next call). */
const char *keyfile_store(const char *path, const struct keyring *ring, bool compact);

#endif

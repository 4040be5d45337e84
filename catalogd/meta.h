/*
 * meta.h - the rules for metadata of services (http-api.md 11.16, 12.1)
 */
#ifndef CATALOGD_META_H
#define CATALOGD_META_H

#include "cdefs.h"

#define META_ERROR_MAX 448
#define META_PAIRS_MAX 64
#define META_KEY_BYTES_MAX 128
#define META_VALUE_BYTES_MAX 512

/* meta: canonical msgpack map of texts, or size 0. 0, or -1 and why says which pair is wrong. */
int meta_judge_service(struct bytes kind, struct bytes meta, char why[META_ERROR_MAX]);

#endif

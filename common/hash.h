/*
 * hash.h - a table of records that carry their own links, keyed against chosen collisions
 */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include "cdefs.h"

/* Embedded in a record. */
struct hash_node {
	struct hash_node *next;
	uint64_t hash;
};

struct hash_table {
	struct hash_node **buckets;
	size_t size; /* a power of two, or 0 */
	size_t count;
};

/* SipHash-1-3 under a key that this process drew. seed keeps apart what has the same bytes. */
uint64_t hash_bytes(uint64_t seed, struct bytes data);
/* node->hash is set. Never refuses. */
void hash_insert(struct hash_table *t, struct hash_node *node);
/* node must be in t. */
void hash_remove(struct hash_table *t, struct hash_node *node);
/* First record of this hash, NULL: none; go on with hash_next. The caller compares what it looks for. */
struct hash_node *hash_first(const struct hash_table *t, uint64_t hash);
struct hash_node *hash_next(const struct hash_node *node);
/* Frees the buckets; the records are the caller's. */
void hash_free(struct hash_table *t);

#endif

/*
 * hash.c - tables of records (contract: hash.h; callers: watch.c, session_timer.c)
 *
 * Names come from clients, who may choose many of one bucket if they can guess the hash: hence SipHash with a key of our own.
 */
#include "hash.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "uuid.h"

#define SIZE_MIN 64

static uint64_t
rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

uint64_t
hash_bytes(uint64_t seed, struct bytes data)
{
	static uint64_t key[2];
	static bool key_is_drawn;
	uint64_t v[4], word;
	size_t at = 0;

	if (!key_is_drawn) {
		random_bytes(key, sizeof key);
		key_is_drawn = true;
	}
	v[0] = key[0] ^ UINT64_C(0x736f6d6570736575);
	v[1] = key[1] ^ UINT64_C(0x646f72616e646f6d);
	v[2] = key[0] ^ UINT64_C(0x6c7967656e657261);
	v[3] = key[1] ^ UINT64_C(0x7465646279746573) ^ seed;
	for (; at + 8 <= data.size; at += 8) {
		memcpy(&word, data.data + at, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)data.size << 56;
	if (data.size > at)
		memcpy(&word, data.data + at, data.size - at);
	((uint8_t *)&word)[7] = (uint8_t)data.size;
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void
resize(struct hash_table *t, size_t size)
{
	struct hash_node **buckets = xcalloc(size, sizeof *buckets);

	for (size_t i = 0; i < t->size; i++)
		for (struct hash_node *node = t->buckets[i], *next; node != NULL; node = next) {
			struct hash_node **place = &buckets[node->hash & (size - 1)];

			next = node->next;
			node->next = *place;
			*place = node;
		}
	free(t->buckets);
	t->buckets = buckets;
	t->size = size;
}

void
hash_insert(struct hash_table *t, struct hash_node *node)
{
	struct hash_node **place;

	if (t->count >= t->size)
		resize(t, t->size == 0 ? SIZE_MIN : t->size * 2);
	place = &t->buckets[node->hash & (t->size - 1)];
	node->next = *place;
	*place = node;
	t->count++;
}

void
hash_remove(struct hash_table *t, struct hash_node *node)
{
	struct hash_node **place = &t->buckets[node->hash & (t->size - 1)];

	while (*place != node) {
		if (*place == NULL)
			panic("hash: record is not in its table");
		place = &(*place)->next;
	}
	*place = node->next;
	t->count--;
}

static struct hash_node *
of_hash(struct hash_node *node, uint64_t hash)
{
	while (node != NULL && node->hash != hash)
		node = node->next;
	return node;
}

struct hash_node *
hash_first(const struct hash_table *t, uint64_t hash)
{
	return t->size == 0 ? NULL : of_hash(t->buckets[hash & (t->size - 1)], hash);
}

struct hash_node *
hash_next(const struct hash_node *node)
{
	return of_hash(node->next, node->hash);
}

void
hash_free(struct hash_table *t)
{
	free(t->buckets);
	*t = (struct hash_table){0};
}

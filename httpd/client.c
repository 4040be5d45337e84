/*
 * client.c - how many connections each client address has (contract: client.h; caller: conn.c)
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "spare.h"

#define BUCKETS 1024

struct clients {
	struct client *buckets[BUCKETS];
	struct spare spare;
};

struct clients *
clients_new(void)
{
	return xcalloc(1, sizeof(struct clients));
}

static void
free_chain(struct client *k)
{
	while (k != NULL) {
		struct client *next = k->next;

		free(k);
		k = next;
	}
}

void
clients_free(struct clients *all)
{
	for (size_t i = 0; i < BUCKETS; i++)
		free_chain(all->buckets[i]);
	spare_free(&all->spare);
	free(all);
}

static struct client **
bucket_of(struct clients *all, const uint8_t address[16])
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < 16; i++)
		h = (h ^ address[i]) * 16777619u;
	return &all->buckets[h % BUCKETS];
}

struct client *
clients_add(struct clients *all, const union net_addr *a)
{
	uint8_t address[16] = {0};
	struct client *k, **bucket;

	if (a->sa.sa_family == AF_INET) {
		address[10] = address[11] = 0xff;
		memcpy(address + 12, &a->in.sin_addr, 4);
	} else
		memcpy(address, &a->in6.sin6_addr, 16);
	bucket = bucket_of(all, address);
	for (k = *bucket; k != NULL; k = k->next)
		if (memcmp(k->address, address, 16) == 0) {
			k->count++;
			return k;
		}
	k = spare_take(&all->spare, sizeof *k);
	memcpy(k->address, address, 16);
	k->count = 1;
	k->next = *bucket;
	*bucket = k;
	return k;
}

void
clients_remove(struct clients *all, struct client *k)
{
	struct client **at;

	if (--k->count > 0)
		return;
	for (at = bucket_of(all, k->address); *at != k; at = &(*at)->next)
		;
	*at = k->next;
	spare_give(&all->spare, k);
}

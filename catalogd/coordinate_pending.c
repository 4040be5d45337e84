/*
 * coordinate_pending.c - coordinates on their way into the log (contract: coordinate_pending.h; facts: behaviour.md 15; caller: coordinate_updates.c)
 */
#include "coordinate_pending.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "mem.h"
#include "mp.h"
#include "ring.h"

#define HASH_SEED 11

struct update {
	struct ring ring; /* oldest first */
	struct hash_node by_key;
	size_t key_size, record_size;
	uint8_t data[]; /* key, then record */
};

struct coordinate_pending {
	struct hash_table by_key;
	struct ring ring;
	size_t count, bytes, dropped;
};

static size_t
size_of(const struct update *u)
{
	return u->key_size + u->record_size;
}

static struct update *
find(const struct coordinate_pending *p, struct bytes key)
{
	for (struct hash_node *h = hash_first(&p->by_key, hash_bytes(HASH_SEED, key)); h != NULL; h = hash_next(h)) {
		struct update *u = RING_ENTRY(h, struct update, by_key);

		if (bytes_equal(bytes_of(u->data, u->key_size), key))
			return u;
	}
	return NULL;
}

static void
update_free(struct coordinate_pending *p, struct update *u)
{
	p->count--;
	p->bytes -= size_of(u);
	hash_remove(&p->by_key, &u->by_key);
	ring_remove(&u->ring);
	free(u);
}

static bool
has_room(const struct coordinate_pending *p, size_t size)
{
	return p->count < COORDINATE_BATCH_UPDATES * COORDINATE_BATCHES_MAX &&
	       size <= COORDINATE_PENDING_BYTES_MAX - p->bytes;
}

void
coordinate_pending_put(struct coordinate_pending *p, struct bytes key, struct bytes record)
{
	struct update *u = find(p, key);

	if (u != NULL)
		update_free(p, u);
	if (!has_room(p, key.size + record.size)) {
		p->dropped++;
		return;
	}
	u = xcalloc(1, sizeof *u + key.size + record.size);
	u->key_size = key.size;
	u->record_size = record.size;
	memcpy(u->data, key.data, key.size);
	memcpy(u->data + key.size, record.data, record.size);
	u->by_key.hash = hash_bytes(HASH_SEED, key);
	hash_insert(&p->by_key, &u->by_key);
	ring_append(&p->ring, &u->ring);
	p->count++;
	p->bytes += size_of(u);
}

bool
coordinate_pending_has(const struct coordinate_pending *p, struct bytes key)
{
	return find(p, key) != NULL;
}

size_t
coordinate_pending_count(const struct coordinate_pending *p)
{
	return p->count;
}

bool
coordinate_pending_take(struct coordinate_pending *p, struct buf *body)
{
	uint32_t count = (uint32_t)MIN(p->count, (size_t)COORDINATE_BATCH_UPDATES);

	if (count == 0)
		return false;
	mp_put_map(body, 1);
	mp_put_cstr(body, "Updates");
	mp_put_array(body, count);
	for (; count > 0; count--) {
		struct update *u = RING_ENTRY(p->ring.next, struct update, ring);

		buf_put(body, u->data + u->key_size, u->record_size);
		update_free(p, u);
	}
	return true;
}

size_t
coordinate_pending_dropped(struct coordinate_pending *p)
{
	size_t dropped = p->dropped;

	p->dropped = 0;
	return dropped;
}

void
coordinate_pending_clear(struct coordinate_pending *p)
{
	while (!ring_empty(&p->ring))
		update_free(p, RING_ENTRY(p->ring.next, struct update, ring));
}

struct coordinate_pending *
coordinate_pending_new(void)
{
	struct coordinate_pending *p = xcalloc(1, sizeof *p);

	ring_init(&p->ring);
	return p;
}

void
coordinate_pending_free(struct coordinate_pending *p)
{
	if (p == NULL)
		return;
	coordinate_pending_clear(p);
	hash_free(&p->by_key);
	free(p);
}

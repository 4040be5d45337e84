/*
 * swim_card.c - what members say of themselves, each kept once (contract: swim.h; callers: swim.c, serf.c)
 *
 * A table by content over the whole process: the LAN and the WAN pool, SWIM and serf, or the thousands of nodes of a simulation hold the same
 * card. Most of a known member's memory is in it.
 */
#include "swim.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "mem.h"
#include "ring.h"

struct kept {
	struct hash_node by_content;
	size_t holders;
	struct swim_card card;
	char bytes[]; /* name, NUL, meta */
};

static struct hash_table cards;

static uint64_t
content_hash(const struct swim_card *c)
{
	uint64_t hash = hash_bytes(4, bytes_str(c->name));

	hash = hash_bytes(hash, c->meta);
	hash = hash_bytes(hash ^ c->address.port, bytes_of(c->address.ip, c->address.ip_size));
	return hash_bytes(hash, bytes_of(c->vsn, sizeof c->vsn));
}

static bool
is_same(const struct swim_card *a, const struct swim_card *b)
{
	return strcmp(a->name, b->name) == 0 && bytes_equal(a->meta, b->meta) &&
	       swim_address_equal(&a->address, &b->address) && memcmp(a->vsn, b->vsn, sizeof a->vsn) == 0;
}

static struct kept *
kept_of(const struct swim_card *c)
{
	return RING_ENTRY(c, struct kept, card);
}

const struct swim_card *
swim_card_take(const struct swim_card *like)
{
	uint64_t hash = content_hash(like);
	size_t name_size = strlen(like->name) + 1;
	struct kept *k;

	for (struct hash_node *h = hash_first(&cards, hash); h != NULL; h = hash_next(h)) {
		k = RING_ENTRY(h, struct kept, by_content);
		if (is_same(&k->card, like))
			return swim_card_hold(&k->card);
	}
	k = xcalloc(1, sizeof *k + name_size + like->meta.size);
	k->card = *like;
	k->holders = 1;
	memcpy(k->bytes, like->name, name_size);
	if (like->meta.size > 0)
		memcpy(k->bytes + name_size, like->meta.data, like->meta.size);
	k->card.name = k->bytes;
	k->card.meta = bytes_of(k->bytes + name_size, like->meta.size);
	k->by_content.hash = hash;
	hash_insert(&cards, &k->by_content);
	return &k->card;
}

const struct swim_card *
swim_card_hold(const struct swim_card *c)
{
	kept_of(c)->holders++;
	return c;
}

void
swim_card_release(const struct swim_card *c)
{
	struct kept *k = kept_of(c);

	if (--k->holders > 0)
		return;
	hash_remove(&cards, &k->by_content);
	free(k);
	if (cards.count == 0)
		hash_free(&cards);
}

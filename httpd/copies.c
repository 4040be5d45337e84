/*
 * copies.c - encoded answers that are given again (contract: copies.h; callers: request.c, ask.c, reply.c, main.c)
 *
 * The table has sets of WAYS places; a copy has its place in the set of its hash, whose key is drawn by this process. A full set gives up the place
 * that was used longest ago; when the bytes of all are too many, a hand goes round over the places and takes what was not used since it
 * last came by.
 *
 * A request is first remembered by its hash alone (seen): what is asked for once costs nothing. The second one asks for versions and carries
 * a struct wish until it is answered; an epoch tells wishes that began under another page or configuration.
 */
#include "copies.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "uuid.h"

#define MODULE "agent.http"
#define WAYS 4u
#define SEEN 4096u /* a power of two */
#define WISHES_MAX 256u

struct copy {
	uint64_t hash;
	uint64_t used; /* number of the finding */
	struct page_claim claim;
	uint32_t head_size, size, date_at;
	bool fresh;     /* used since the hand came by */
	uint8_t data[]; /* the request's head, then the answer */
};

struct wish {
	struct wish *next; /* of the free ones */
	uint64_t hash;
	uint64_t epoch;
	struct page_claim claim;
	bool claimed;
	uint32_t head_size;
	uint8_t head[COPY_HEAD_BYTES_MAX];
};

static struct {
	const struct page *page;
	uint64_t (*clock)(void);
	struct ipc_peer *catalogd;
	struct copy *places[COPIES_MAX];
	uint64_t seen[SEEN];
	uint64_t key[2];
	uint64_t epoch, finding;
	size_t count, bytes, hand;
	struct wish *free_wishes;
	size_t wishes;
} copies;

/* Multiply and fold; the key is ours, so that nobody chooses what falls together. */
static uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
word_at(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return word;
}

static uint64_t
hash_of(struct bytes a)
{
	uint64_t h = copies.key[0] ^ a.size;
	size_t at = 0;

	for (; at + 8 <= a.size; at += 8)
		h = fold(h ^ word_at(a.data + at), copies.key[1]);
	if (at < a.size) {
		uint64_t rest = 0;

		memcpy(&rest, a.data + at, a.size - at);
		h = fold(h ^ rest, copies.key[1]);
	}
	return fold(h, copies.key[1] ^ UINT64_C(0x9e3779b97f4a7c15));
}

static size_t
size_of(const struct copy *c)
{
	return sizeof *c + c->head_size + c->size;
}

static void
drop(struct copy **place)
{
	struct copy *c = *place;

	if (c == NULL)
		return;
	copies.count--;
	copies.bytes -= size_of(c);
	*place = NULL;
	free(c);
}

static struct copy **
set_of(uint64_t hash)
{
	return &copies.places[(hash & (COPIES_MAX / WAYS - 1)) * WAYS];
}

/* Its place, or NULL. */
static struct copy **
find(uint64_t hash, struct bytes head)
{
	struct copy **set = set_of(hash);

	for (size_t i = 0; i < WAYS; i++)
		if (set[i] != NULL && set[i]->hash == hash && set[i]->head_size == head.size &&
		    memcmp(set[i]->data, head.data, head.size) == 0)
			return &set[i];
	return NULL;
}

void
copies_forget(void)
{
	copies.epoch++;
	for (size_t i = 0; i < COPIES_MAX && copies.count > 0; i++)
		drop(&copies.places[i]);
}

size_t
copies_count(void)
{
	return copies.count;
}

size_t
copies_bytes(void)
{
	return copies.bytes;
}

/* ---- the page ---- */

void
copies_set_page(const struct page *p, uint64_t (*clock)(void))
{
	copies_forget();
	memset(copies.seen, 0, sizeof copies.seen);
	page_unmap(copies.page);
	copies.page = p;
	copies.clock = clock;
	if (copies.key[1] == 0) {
		random_bytes(copies.key, sizeof copies.key);
		copies.key[1] |= 1;
	}
}

static void
on_page(void *ctx, const struct ipc_answer *a)
{
	const struct page *p = NULL;

	(void)ctx;
	if (a->status != IPC_OK || a->fd == -1) {
		log_debug(MODULE, "catalogd has no shared page: error=%s", log_quote_bytes(a->error));
		return;
	}
	p = page_map(a->fd);
	if (p == NULL)
		log_warn(MODULE, "catalogd's shared page can not be used, each read takes the long way");
	close(a->fd);
	copies_set_page(p, page_clock);
}

static void
on_catalogd_up(void *ctx)
{
	(void)ctx;
	(void)ipc_call(copies.catalogd, "Catalogd.Page", bytes_of(NULL, 0), NULL, on_page, NULL);
}

/* The next catalogd has a page of its own. */
static void
on_catalogd_down(void *ctx)
{
	(void)ctx;
	copies_set_page(NULL, page_clock);
}

void
copies_open(struct ipc_peer *catalogd)
{
	copies.catalogd = catalogd;
	ipc_peer_watch(catalogd, on_catalogd_up, on_catalogd_down, NULL);
	if (ipc_peer_connected(catalogd))
		on_catalogd_up(NULL);
}

/* ---- giving ---- */

static bool
in_use(void)
{
	return copies.page != NULL && !log_enabled(LOG_DEBUG_LEVEL);
}

struct bytes
copies_find(struct bytes in, const char date[COPY_DATE_BYTES + 1], size_t *used)
{
	static const char GET[] = "GET ", END[] = "\r\n\r\n";
	const uint8_t *end;
	struct bytes head;
	struct copy **place, *c;
	uint64_t hash;

	if (copies.count == 0 || in.size < sizeof GET || memcmp(in.data, GET, sizeof GET - 1) != 0 || !in_use())
		return bytes_of(NULL, 0);
	end = memmem(in.data, MIN(in.size, (size_t)COPY_HEAD_BYTES_MAX), END, sizeof END - 1);
	if (end == NULL)
		return bytes_of(NULL, 0);
	head = bytes_of(in.data, (size_t)(end - in.data) + sizeof END - 1);
	hash = hash_of(head);
	place = find(hash, head);
	if (place == NULL || !page_holds(copies.page, &(*place)->claim, copies.clock))
		return bytes_of(NULL, 0);
	c = *place;
	c->used = ++copies.finding;
	c->fresh = true;
	memcpy(c->data + c->head_size + c->date_at, date, COPY_DATE_BYTES);
	*used = head.size;
	return bytes_of(c->data + c->head_size, c->size);
}

/* ---- keeping ---- */

bool
copies_want(struct exchange *x, struct bytes head)
{
	struct wish *w = copies.free_wishes;
	uint64_t hash;

	if (!in_use() || head.size > COPY_HEAD_BYTES_MAX || (w == NULL && copies.wishes == WISHES_MAX))
		return false;
	hash = hash_of(head);
	if (copies.seen[hash & (SEEN - 1)] != hash) {
		copies.seen[hash & (SEEN - 1)] = hash;
		return false;
	}
	if (w != NULL) {
		copies.free_wishes = w->next;
	} else {
		w = xmalloc(sizeof *w);
		copies.wishes++;
	}
	w->hash = hash;
	w->epoch = copies.epoch;
	w->claimed = false;
	w->head_size = (uint32_t)head.size;
	memcpy(w->head, head.data, head.size);
	x->wish = w;
	return true;
}

void
copies_claim(struct exchange *x, struct mp *in)
{
	if (x->wish == NULL)
		mp_skip(in);
	else
		x->wish->claimed = page_claim_take(in, &x->wish->claim);
}

/* Where a new copy of this hash goes: its set's free place, or the one used longest ago. */
static struct copy **
place_for(uint64_t hash)
{
	struct copy **set = set_of(hash), **best = &set[0];

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i] == NULL)
			return &set[i];
		if (set[i]->used < (*best)->used)
			best = &set[i];
	}
	return best;
}

/* Makes room for size more bytes. */
static void
shrink(size_t size)
{
	while (copies.bytes + size > COPIES_BYTES_MAX) {
		struct copy **place = &copies.places[copies.hand];

		copies.hand = (copies.hand + 1) & (COPIES_MAX - 1);
		if (*place != NULL && (*place)->fresh)
			(*place)->fresh = false;
		else
			drop(place);
	}
}

void
copies_keep(struct exchange *x, struct bytes head, struct bytes body, size_t date_at)
{
	const struct wish *w = x->wish;
	struct copy *c, **place;
	size_t size = head.size + body.size;

	if (w == NULL || !w->claimed || w->epoch != copies.epoch || size > COPY_BYTES_MAX)
		return;
	place = find(w->hash, bytes_of(w->head, w->head_size));
	if (place != NULL)
		drop(place);
	c = xmalloc(sizeof *c + w->head_size + size);
	*c = (struct copy){.hash = w->hash,
	    .used = ++copies.finding,
	    .claim = w->claim,
	    .head_size = w->head_size,
	    .size = (uint32_t)size,
	    .date_at = (uint32_t)date_at};
	memcpy(c->data, w->head, w->head_size);
	memcpy(c->data + w->head_size, head.data, head.size);
	if (body.size > 0)
		memcpy(c->data + w->head_size + head.size, body.data, body.size);
	shrink(size_of(c));
	place = place_for(c->hash);
	drop(place);
	*place = c;
	copies.count++;
	copies.bytes += size_of(c);
}

void
copies_ended(struct exchange *x)
{
	if (x->wish == NULL)
		return;
	x->wish->next = copies.free_wishes;
	copies.free_wishes = x->wish;
	x->wish = NULL;
}

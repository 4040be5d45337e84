/*
 * notice.c - what subscribers are told (contract: notice.h; caller: watch.c)
 *
 * A subscriber that a notice could not be sent to, for want of credit, is behind: the next one that it gets is "reset".
 */
#include "notice.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "mem.h"
#include "mp.h"
#include "ring.h"

/* Known mistakes, planted by test/sim/catalogd_watch_planted_sim.c to see whether the simulator finds them. */
#ifdef WATCH_PLANTS
#define PLANTED(mistake) (watch_planted == (mistake))
#else
#define PLANTED(mistake) false
#endif

#define NOTICE_BYTES_MAX (64u * 1024)

struct subscriber {
	struct ring ring;
	struct ipc_stream *stream;
	bool behind; /* a notice could not be sent: the next one is "reset" */
};

struct told {
	struct hash_node node;
	enum watch_kind kind;
	uint32_t name_size;
	uint8_t name[];
};

struct notices {
	struct ring subscribers;
	/* of this batch */
	struct hash_table told;
	struct region *told_region;
	struct buf pairs; /* [Kind, Name] for each of told */
	uint32_t pair_count;
};

struct notices *
notices_new(void)
{
	struct notices *n = xcalloc(1, sizeof *n);

	ring_init(&n->subscribers);
	buf_init(&n->pairs, NOTICE_BYTES_MAX);
	n->told_region = region_new();
	return n;
}

void
notices_free(struct notices *n)
{
	while (!ring_empty(&n->subscribers)) {
		struct subscriber *subscriber = RING_ENTRY(n->subscribers.next, struct subscriber, ring);

		ipc_stream_watch(subscriber->stream, NULL, NULL, NULL);
		ring_remove(&subscriber->ring);
		free(subscriber);
	}
	hash_free(&n->told);
	region_free(n->told_region);
	buf_free(&n->pairs);
	free(n);
}

void
notices_add(struct notices *n, enum watch_kind kind, struct bytes name)
{
	uint64_t hash = hash_bytes(kind, name);
	struct told *t;

	if (ring_empty(&n->subscribers))
		return;
	for (struct hash_node *node = hash_first(&n->told, hash); node != NULL; node = hash_next(node)) {
		t = (struct told *)node;
		if (t->kind == kind && bytes_equal(bytes_of(t->name, t->name_size), name) && !PLANTED(NOTICE_TWICE))
			return;
	}
	t = region_alloc(n->told_region, sizeof *t + name.size);
	*t = (struct told){.node.hash = hash, .kind = kind, .name_size = (uint32_t)name.size};
	if (name.size > 0)
		memcpy(t->name, name.data, name.size);
	hash_insert(&n->told, &t->node);
	mp_put_array(&n->pairs, 2);
	mp_put_cstr(&n->pairs, kind == WATCH_NODE ? "node" : "service");
	mp_put_bytes(&n->pairs, name);
	n->pair_count++;
}

static void
subscriber_tell(struct subscriber *subscriber, struct bytes notice)
{
	static const uint8_t reset[] = {0x91, 0x92, 0xa5, 'r', 'e', 's', 'e', 't', 0xa0};

	if (subscriber->behind)
		notice = bytes_of(reset, sizeof reset);
	subscriber->behind = !ipc_push(subscriber->stream, notice) && !PLANTED(RESET_FORGOTTEN);
}

static void
on_subscriber_credit(struct ipc_stream *s, void *ctx)
{
	struct subscriber *subscriber = ctx;

	(void)s;
	if (subscriber->behind)
		subscriber_tell(subscriber, bytes_of(NULL, 0));
}

static void
on_subscriber_ended(struct ipc_stream *s, void *ctx)
{
	struct subscriber *subscriber = ctx;

	(void)s;
	ring_remove(&subscriber->ring);
	free(subscriber);
}

void
notices_subscribe(struct notices *n, struct ipc_stream *s)
{
	struct subscriber *subscriber = xcalloc(1, sizeof *subscriber);

	subscriber->stream = s;
	/* What it knew before this stream began may be anything: the first element is "reset". */
	subscriber->behind = !PLANTED(EVENT_FIRST);
	ring_append(&n->subscribers, &subscriber->ring);
	ipc_stream_watch(s, on_subscriber_ended, on_subscriber_credit, subscriber);
	on_subscriber_credit(s, subscriber);
}

bool
notices_subscribed(const struct notices *n, const struct ipc_conn *conn)
{
	for (const struct ring *r = n->subscribers.next; r != &n->subscribers; r = r->next)
		if (ipc_stream_conn(RING_ENTRY(r, struct subscriber, ring)->stream) == conn)
			return true;
	return false;
}

void
notices_send(struct notices *n, bool all)
{
	struct buf element = BUF_INIT(NOTICE_BYTES_MAX + 16);

	if (n->pair_count > 0 || all) {
		bool lost = all || n->pairs.overflow;

		if (!lost) {
			mp_put_array(&element, n->pair_count);
			buf_put_bytes(&element, buf_bytes(&n->pairs));
		}
		for (struct ring *r = n->subscribers.next; r != &n->subscribers; r = r->next) {
			struct subscriber *subscriber = RING_ENTRY(r, struct subscriber, ring);

			subscriber->behind |= lost;
			subscriber_tell(subscriber, buf_bytes(&element));
		}
	}
	buf_free(&element);
	hash_free(&n->told);
	region_reset(n->told_region);
	buf_clear(&n->pairs);
	n->pair_count = 0;
}

/*
 * names.c - notices for subscribers on a client (contract: names.h; subscriptions: watch.h; caller: remote.c)
 */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "mem.h"
#include "mp.h"
#include "ring.h"
#include "serve.h"
#include "watch.h"

#define BUCKETS 1024
#define NAME_BYTES_MAX 512 /* longer ones are not kept by anybody (dnsd's questions are 255) */
#define AGAIN_S 1.

static const struct kind {
	const char *method, *argument;
	enum watch_kind watch;
} kinds[] = {
    {"Health.ServiceNodes", "ServiceName", WATCH_HEALTH},
    {"Catalog.NodeServices", "Node", WATCH_NODE},
};

struct names {
	struct catalogd *c;
	struct forward *forward;
	struct ring all; /* oldest first */
	struct ring buckets[BUCKETS];
	size_t count;
};

struct watched {
	struct ring all, bucket;
	struct names *names;
	const struct kind *kind;
	uint64_t index;
	struct ipc_stream *asked; /* NULL: waits for again */
	bool asking;
	struct ev_timer again;
	struct bytes name;
	uint8_t text[];
};

static void
watched_free(struct watched *w)
{
	if (w->asked != NULL)
		ipc_serve_cancel(w->asked);
	ev_timer_stop(w->names->c->loop, &w->again);
	ring_remove(&w->all);
	ring_remove(&w->bucket);
	w->names->count--;
	free(w);
}

static void
tell(const struct names *n, const struct kind *kind, struct bytes name)
{
	watch_touch(n->c->watch, kind->watch, name);
	watch_wake(n->c->watch);
}

static void ask(struct watched *w);

static void
again(struct watched *w)
{
	ev_timer_set(&w->again, AGAIN_S, 0.);
	ev_timer_start(w->names->c->loop, &w->again);
}

static void
on_again(struct ev_loop *loop, struct ev_timer *t, int events)
{
	(void)loop, (void)events;
	ask(t->data);
}

static void
on_answer(void *ctx, const struct ipc_answer *answer)
{
	struct watched *w = ctx;
	uint64_t index;

	w->asked = NULL;
	index = answer->status == IPC_OK ? mp_find_uint(answer->body, "Index") : 0;
	if (index == 0) {
		again(w); /* servers are away: what was told before stands */
		return;
	}
	if (index != w->index) {
		w->index = index;
		tell(w->names, w->kind, w->name);
	}
	if (!w->asking)
		ask(w);
}

/* One query that waits for a change behind the index. */
static void
ask(struct watched *w)
{
	struct ipc *ipc = daemon_ipc(w->names->c->daemon);
	struct buf args = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	uint64_t index = w->index;

	mp_put_map(&args, 3);
	mp_put_kv_cstr(&args, "Datacenter", w->names->c->datacenter);
	mp_put_kv_uint(&args, "MinQueryIndex", w->index);
	mp_put_kv_str(&args, w->kind->argument, w->name);
	w->asking = true;
	w->asked = ipc_serve(ipc, &serve_remote_service,
	    ipc_method_find(ipc, &serve_remote_service, bytes_str(w->kind->method)), buf_bytes(&args), 0, on_answer, w);
	w->asking = false;
	buf_free(&args);
	if (w->asked == NULL && w->index != index)
		again(w); /* answered at once: not more often than that */
}

static uint32_t
hash_of(const struct kind *kind, struct bytes name)
{
	uint32_t h = 2166136261u + (uint32_t)(kind - kinds);

	for (size_t i = 0; i < name.size; i++)
		h = (h ^ name.data[i]) * 16777619u;
	return h;
}

static void
watch_name(struct names *n, const struct kind *kind, struct bytes name, uint64_t index)
{
	struct ring *bucket = &n->buckets[hash_of(kind, name) % BUCKETS];
	struct watched *w;

	for (struct ring *r = bucket->next; r != bucket; r = r->next) {
		w = RING_ENTRY(r, struct watched, bucket);
		if (w->kind == kind && bytes_equal(w->name, name)) {
			/* the answer may have come behind the notice that should have ended it */
			if (index < w->index)
				tell(n, kind, w->name);
			return;
		}
	}
	if (n->count == NAMES_MAX) {
		w = RING_ENTRY(n->all.next, struct watched, all);
		tell(n, w->kind, w->name);
		watched_free(w);
	}
	w = xcalloc(1, sizeof *w + name.size);
	w->names = n;
	w->kind = kind;
	w->index = index;
	memcpy(w->text, name.data, name.size);
	w->name = bytes_of(w->text, name.size);
	ev_init(&w->again, on_again);
	w->again.data = w;
	ring_append(&n->all, &w->all);
	ring_append(bucket, &w->bucket);
	n->count++;
	ask(w);
}

static void
on_forwarded(void *ctx, struct ipc_conn *conn, const char *method, struct bytes args, struct bytes body)
{
	struct names *n = ctx;

	if (!watch_subscribed(n->c->watch, conn))
		return;
	for (size_t i = 0; i < COUNTOF(kinds); i++)
		if (strcmp(method, kinds[i].method) == 0) {
			struct bytes name = mp_find_str(args, kinds[i].argument);
			uint64_t index = mp_find_uint(body, "Index");

			if (name.size > 0 && name.size <= NAME_BYTES_MAX && index > 0)
				watch_name(n, &kinds[i], name, index);
		}
}

size_t
names_count(const struct names *n)
{
	return n->count;
}

struct names *
names_new(struct catalogd *c, struct forward *f)
{
	struct names *n = xcalloc(1, sizeof *n);

	n->c = c;
	n->forward = f;
	ring_init(&n->all);
	for (size_t i = 0; i < BUCKETS; i++)
		ring_init(&n->buckets[i]);
	forward_observe(f, on_forwarded, n);
	return n;
}

void
names_free(struct names *n)
{
	if (n == NULL)
		return;
	forward_observe(n->forward, NULL, NULL);
	while (!ring_empty(&n->all))
		watched_free(RING_ENTRY(n->all.next, struct watched, all));
	free(n);
}

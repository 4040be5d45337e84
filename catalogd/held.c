/*
 * held.c - requests that wait for a leader or for a quorum's word (contract: held.h; caller: serve.c)
 */
#include "held.h"

#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "mem.h"
#include "raftlog.h"
#include "read_place.h"
#include "ring.h"
#include "store.h"

#define COUNT_MAX 20000
#define BYTES_MAX (32u * 1024 * 1024)

struct held {
	struct catalogd *c;
	held_serve *serve;
	void *ctx;
	double hold_s;
	struct ring for_leader; /* oldest first, as are all */
	/* For a quorum: to be asked for; those that the question under way is for; and confirmed, until the store has come so far. */
	struct ring to_ask, asked, confirmed;
	bool asking;
	uint64_t asked_term;
	size_t count, bytes;
};

struct waiting {
	struct ring ring;
	struct held *held;
	struct request request;
	uint64_t index; /* up to which the state must have come */
	struct ev_timer deadline;
	uint8_t args[];
};

static void ask(struct held *h);

/* ---- one of them ---- */

static void
waiting_free(struct waiting *w)
{
	struct held *h = w->held;

	ev_timer_stop(h->c->loop, &w->deadline);
	ring_remove(&w->ring);
	h->count--;
	h->bytes -= w->request.args.size;
	free(w);
}

static void
on_ended(struct ipc_stream *stream, void *ctx)
{
	(void)stream;
	waiting_free(ctx);
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct waiting *w = timer->data;
	struct ipc_stream *stream = w->request.stream;

	(void)loop, (void)events;
	waiting_free(w);
	ipc_fail(stream, 0, "No cluster leader");
}

static void
wait_in(struct held *h, struct ring *ring, const struct request *r)
{
	ev_tstamp until = r->until == 0. ? held_until(h) : r->until, rest_s = until - ev_now(h->c->loop);
	struct waiting *w;

	if (rest_s <= 0. || h->count >= COUNT_MAX || h->bytes + r->args.size > BYTES_MAX) {
		ipc_fail(r->stream, 0, "No cluster leader");
		return;
	}
	w = xmalloc(sizeof *w + r->args.size);
	*w = (struct waiting){.held = h, .request = *r};
	memcpy(w->args, r->args.data, r->args.size);
	w->request.args.data = w->args;
	w->request.until = until;
	w->request.confirmed = false;
	ring_append(ring, &w->ring);
	h->count++;
	h->bytes += r->args.size;
	ev_timer_init(&w->deadline, on_deadline, rest_s, 0.);
	w->deadline.data = w;
	ev_timer_start(h->c->loop, &w->deadline);
	ipc_stream_watch(r->stream, on_ended, NULL, w);
}

/* Serves it again; it may come to be held again. */
static void
serve(struct waiting *w)
{
	struct held *h = w->held;

	ipc_stream_watch(w->request.stream, NULL, NULL, NULL);
	ev_timer_stop(h->c->loop, &w->deadline);
	ring_remove(&w->ring);
	ring_init(&w->ring);
	h->serve(h->ctx, &w->request);
	waiting_free(w);
}

/* All that are in the ring now; what comes to be held there meanwhile stays. */
static void
serve_all(struct ring *ring)
{
	struct ring now;

	ring_init(&now);
	ring_move(ring, &now);
	while (!ring_empty(&now))
		serve(RING_ENTRY(now.next, struct waiting, ring));
}

ev_tstamp
held_until(const struct held *h)
{
	return ev_now(h->c->loop) + h->hold_s;
}

/* ---- for a leader ---- */

void
held_for_leader(struct held *h, const struct request *r)
{
	wait_in(h, &h->for_leader, r);
}

void
held_leader_changed(struct held *h)
{
	serve_all(&h->for_leader);
}

/* ---- for a quorum ---- */

void
held_ask_quorum(struct held *h, ipc_answer_cb *answered, void *ctx)
{
	(void)ipc_call(daemon_peer(h->c->daemon, "raftd"), "Raft.ReadIndex", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = (int64_t)(h->hold_s * 1000), .flags = IPC_RESEND}, answered, ctx);
}

uint64_t
held_quorum_index(const struct ipc_answer *answer)
{
	return answer->status == IPC_OK ? mp_find_uint(answer->body, "Index") : 0;
}

static void
on_quorum(void *ctx, const struct ipc_answer *answer)
{
	struct held *h = ctx;
	uint64_t index = held_quorum_index(answer), needed = 0;
	struct ring asked;

	ring_init(&asked);
	ring_move(&h->asked, &asked);
	h->asking = false;
	if (index > 0)
		needed = read_index_needed(raftlog_ready(h->c->raftlog), raftlog_status(h->c->raftlog)->term,
		    mp_find_uint(answer->body, "Term"), index);
	for (struct ring *r = asked.next; r != &asked; r = r->next)
		RING_ENTRY(r, struct waiting, ring)->index = needed;
	if (index > 0) {
		ring_move(&asked, &h->confirmed);
		held_applied(h);
	} else if (raftlog_ready(h->c->raftlog) && raftlog_status(h->c->raftlog)->term == h->asked_term)
		/* raftd knows more than it has told yet: its status follows */
		ring_move(&asked, &h->for_leader);
	else
		serve_all(&asked);
	if (!h->asking && !ring_empty(&h->to_ask))
		ask(h);
}

static void
ask(struct held *h)
{
	ring_move(&h->to_ask, &h->asked);
	h->asking = true;
	h->asked_term = raftlog_status(h->c->raftlog)->term;
	held_ask_quorum(h, on_quorum, h);
}

void
held_for_quorum(struct held *h, const struct request *r)
{
	wait_in(h, &h->to_ask, r);
	if (!h->asking && !ring_empty(&h->to_ask))
		ask(h);
}

void
held_applied(struct held *h)
{
	struct ring now;

	if (ring_empty(&h->confirmed))
		return;
	ring_init(&now);
	while (!ring_empty(&h->confirmed)) {
		struct waiting *w = RING_ENTRY(h->confirmed.next, struct waiting, ring);

		if (w->index > store_state(h->c->store).applied_index)
			break;
		ring_remove(&w->ring);
		ring_append(&now, &w->ring);
		w->request.confirmed = true;
	}
	serve_all(&now);
}

/* ---- all of it ---- */

struct held *
held_new(struct catalogd *c, held_serve *serve_one, void *ctx)
{
	struct held *h = xcalloc(1, sizeof *h);

	h->c = c;
	h->serve = serve_one;
	h->ctx = ctx;
	h->hold_s = (double)conf_duration(daemon_conf(c->daemon), "performance.rpc_hold_timeout", 7 * NS_PER_S) /
		    (double)NS_PER_S;
	ring_init(&h->for_leader);
	ring_init(&h->to_ask);
	ring_init(&h->asked);
	ring_init(&h->confirmed);
	return h;
}

static void
drop_all(struct ring *ring)
{
	while (!ring_empty(ring)) {
		struct waiting *w = RING_ENTRY(ring->next, struct waiting, ring);

		ipc_stream_watch(w->request.stream, NULL, NULL, NULL);
		waiting_free(w);
	}
}

void
held_free(struct held *h)
{
	if (h == NULL)
		return;
	drop_all(&h->for_leader);
	drop_all(&h->to_ask);
	drop_all(&h->asked);
	drop_all(&h->confirmed);
	free(h);
}

/*
 * forward.c - requests that are answered elsewhere (contract: forward.h; facts: wire-rpc.md 7, 8; callers: serve.c, main.c)
 *
 * A flight is one question under way with all who wait for its answer, in the order in which they came. It has one timer: to the next
 * try while it has no call, else to the time at which an answer is not waited for any more.
 */
#include "forward.h"

#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "frame.h"
#include "mem.h"
#include "mp.h"
#include "ring.h"
#include "rpc.h"
#include "uuid.h"

#define BUCKETS 4096
#define LONG_CALL_NS NS_PER_S /* a failure after so long is the first of its kind */
#define QUICK_TRIES 3         /* at servers other than the one that failed */
#define QUICK_NS (10 * NS_PER_MS)
#define PAUSE_DIVISOR 16 /* of the hold time: the longest pause between tries */
#define PREFIX "rpc error making call: "

struct forward {
	struct ev_loop *loop;
	struct rpcpool *pool;
	struct forward_options options;
	const struct forward_ops *ops;
	void *ctx;
	forward_observer *observer;
	void *observer_ctx;
	struct ring flights;
	struct ring buckets[BUCKETS]; /* flights that can be joined, by hash */
	size_t askers, count, bytes;
};

struct flight {
	struct ring all, bucket;
	struct forward *f;
	const char *method;
	bool read, stale;
	bool fresh;         /* what a server of the reference found was too old: asked anew, not to be stale */
	bool hopped;        /* its server was quiet for too long: this is the second one, or there is none */
	bool ending;        /* its askers are being answered, for the last time */
	uint64_t min_index; /* 0: does not wait for a change */
	uint32_t hash;
	struct rpccall *call;
	struct ev_timer timer;
	union net_addr to;
	int64_t begun_ns;
	int64_t sent_ns, rest_ns; /* of the call: when, and how long it was to wait */
	unsigned tries;           /* that failed */
	struct ring askers;
	size_t args_size; /* without MaxQueryTime, if it waits for a change */
	uint8_t args[];
};

struct asker {
	struct ring ring;
	struct flight *flight;
	struct ipc_stream *stream;
	int64_t wait_ns, until_ns; /* how long it asked to wait, and the end of that */
	bool late;                 /* came when the question had left */
};

static void flight_send(struct flight *fl);

static int64_t
now_ns(void)
{
	return monotime_now().ns;
}

/* ---- askers and flights ---- */

static void
flight_free(struct flight *fl)
{
	struct forward *f = fl->f;

	if (fl->call != NULL)
		rpcpool_cancel(fl->call);
	ev_timer_stop(f->loop, &fl->timer);
	ring_remove(&fl->all);
	ring_remove(&fl->bucket);
	f->count--;
	f->bytes -= fl->args_size;
	free(fl);
}

/* The stream, who is no asker any more. */
static struct ipc_stream *
asker_end(struct asker *a)
{
	struct ipc_stream *s = a->stream;

	ipc_stream_watch(s, NULL, NULL, NULL);
	ring_remove(&a->ring);
	a->flight->f->askers--;
	free(a);
	return s;
}

static void
on_asker_ended(struct ipc_stream *s, void *ctx)
{
	struct asker *a = ctx;
	struct flight *fl = a->flight;

	(void)s;
	(void)asker_end(a);
	if (ring_empty(&fl->askers) && !fl->ending)
		flight_free(fl);
}

static void
asker_add(struct flight *fl, struct ipc_stream *s, int64_t wait_ns, bool late)
{
	struct asker *a = xmalloc(sizeof *a);

	*a =
	    (struct asker){.flight = fl, .stream = s, .late = late, .wait_ns = wait_ns, .until_ns = now_ns() + wait_ns};
	ring_append(&fl->askers, &a->ring);
	fl->f->askers++;
	ipc_stream_watch(s, on_asker_ended, NULL, a);
}

/* Takes the askers away, and the flight from those that can be joined: streams that are answered may bring new requests at once. */
static void
askers_take(struct flight *fl, struct ring *out)
{
	ring_init(out);
	ring_move(&fl->askers, out);
	ring_remove(&fl->bucket);
	fl->ending = true;
}

/* Ends the flight with an error for all. */
static void
flight_fail(struct flight *fl, unsigned status, const char *prefix, struct bytes error)
{
	char *text = xasprintf("%s%.*s", prefix, (int)error.size, error.size == 0 ? "" : (const char *)error.data);
	struct ring ended;

	askers_take(fl, &ended);
	while (!ring_empty(&ended))
		ipc_fail(asker_end(RING_ENTRY(ended.next, struct asker, ring)), status, "%s", text);
	flight_free(fl);
	free(text);
}

/* ---- answers ---- */

/* The answer is not for a: he goes on waiting. timeout: the wait that was asked for is over, and nothing has changed. */
static bool
waits_on(const struct asker *a, bool timeout, int64_t now)
{
	return a->late || (timeout && a->until_ns - now > a->wait_ns / 16);
}

/* A question that does not wait for a change is nobody else's. */
static void
answer_one(struct flight *fl, struct bytes body)
{
	struct forward *f = fl->f;
	struct ipc_stream *s = asker_end(RING_ENTRY(fl->askers.next, struct asker, ring));
	struct ipc_conn *conn = ipc_stream_conn(s);

	ipc_reply(s, body);
	if (fl->read && f->observer != NULL)
		f->observer(f->observer_ctx, conn, fl->method, bytes_of(fl->args, fl->args_size), body);
	flight_free(fl);
}

static void
flight_answer(struct flight *fl, struct bytes body)
{
	int64_t now = now_ns();
	bool timeout = now - fl->sent_ns >= fl->rest_ns && mp_find_uint(body, "Index") <= fl->min_index;
	struct ipc_stream *one = NULL, **streams = &one;
	size_t count = 0, askers = 0;

	if (fl->min_index == 0) {
		answer_one(fl, body);
		return;
	}
	for (struct ring *r = fl->askers.next; r != &fl->askers; r = r->next)
		askers++;
	if (askers > 1)
		streams = xreallocarray(NULL, askers, sizeof(*streams));
	for (struct ring *r = fl->askers.next, *next; r != &fl->askers; r = next) {
		struct asker *a = RING_ENTRY(r, struct asker, ring);

		next = r->next;
		if (waits_on(a, timeout, now))
			a->late = false;
		else
			streams[count++] = asker_end(a);
	}
	fl->tries = 0;
	fl->fresh = false;
	if (ring_empty(&fl->askers))
		flight_free(fl);
	else
		flight_send(fl);
	if (count == 1)
		ipc_reply(streams[0], body);
	else if (count > 1)
		ipc_reply_many(streams, count, body);
	if (streams != &one)
		free(streams);
}

/* Our servers see to that themselves; those of the reference leave it to who asks. */
static bool
is_too_old(const struct flight *fl, struct bytes body)
{
	struct bytes args = bytes_of(fl->args, fl->args_size);
	int64_t limit_ns;

	if (!fl->read || fl->fresh || !mp_find_bool(args, "AllowStale"))
		return false;
	limit_ns = mp_find_int(args, "MaxStaleDuration");
	return limit_ns > 0 && mp_find_int(body, "LastContact") > limit_ns;
}

static bool
contains(struct bytes text, const char *part)
{
	return text.size > 0 && memmem(text.data, text.size, part, strlen(part)) != NULL;
}

/* Nothing was done, and another try may succeed. */
static bool
is_refusal(struct bytes error)
{
	return contains(error, "No cluster leader") || contains(error, "please resubmit call for rechunking") ||
	       contains(error, "rate limit exceeded, try again later or against a different server");
}

static bool
is_eof(struct bytes error)
{
	struct bytes end = bytes_str(": EOF");

	return bytes_is(error, "EOF") || contains(error, "stream closed") || contains(error, "session shutdown") ||
	       (error.size > end.size && memcmp(error.data + error.size - end.size, end.data, end.size) == 0);
}

/* When the first of those who wait has waited long enough. */
static int64_t
first_until(const struct flight *fl)
{
	int64_t first = INT64_MAX;

	for (struct ring *r = fl->askers.next; r != &fl->askers; r = r->next)
		first = MIN(first, RING_ENTRY(r, struct asker, ring)->until_ns);
	return first;
}

/* Another one would be asked than the one that failed. */
static bool
is_elsewhere(const struct flight *fl)
{
	union net_addr to;
	bool as_leader;
	const char *error;

	return fl->f->ops->target(fl->f->ctx, &to, &as_leader, &error) == FORWARD_THERE &&
	       !net_addr_equal(&to, &fl->to);
}

static void
timer_set(struct flight *fl, int64_t ns)
{
	ev_timer_stop(fl->f->loop, &fl->timer);
	ev_timer_set(&fl->timer, (double)ns / (double)NS_PER_S, 0.);
	ev_timer_start(fl->f->loop, &fl->timer);
}

/* Waits and tries again; false: the hold time is over. */
static bool
flight_retry(struct flight *fl)
{
	struct forward *f = fl->f;
	int64_t now = now_ns(), most = MAX(f->options.hold_ns / PAUSE_DIVISOR, NS_PER_MS);

	if (now >= (fl->min_index > 0 ? first_until(fl) : fl->begun_ns) + f->options.hold_ns)
		return false;
	if (now - fl->sent_ns >= LONG_CALL_NS)
		fl->tries = 0;
	if (fl->tries < QUICK_TRIES && is_elsewhere(fl))
		most = QUICK_NS;
	fl->tries++;
	timer_set(fl, (int64_t)random_below((uint64_t)most));
	return true;
}

static void
on_done(void *ctx, const struct rpc_result *result)
{
	struct flight *fl = ctx;
	bool again;

	fl->call = NULL;
	if (result->outcome == RPC_ANSWERED && result->error.size == 0) {
		if (is_too_old(fl, result->body)) {
			fl->fresh = true;
			flight_send(fl);
		} else
			flight_answer(fl, result->body);
		return;
	}
	fl->f->ops->failed(fl->f->ctx, &fl->to);
	switch (result->outcome) {
	case RPC_NOT_SENT:
		again = true;
		break;
	case RPC_LOST:
		again = fl->read;
		break;
	default:
		again = is_refusal(result->error) || (fl->read && is_eof(result->error));
		break;
	}
	if (again && flight_retry(fl))
		return;
	if (result->outcome == RPC_LOST && !fl->read)
		flight_fail(fl, 0, PREFIX, bytes_str("connection lost: the outcome is unknown"));
	else if (result->outcome == RPC_NOT_SENT)
		flight_fail(fl, 0, "rpc error getting client: failed to get conn: ", result->error);
	else
		flight_fail(fl, result->status, PREFIX, result->error);
}

/* ---- sending ---- */

/* The arguments, which have no time to wait, with one. */
static void
put_args_waiting(struct buf *out, struct bytes args, int64_t wait_ns)
{
	struct mp in = mp_of(args);
	uint32_t pairs = mp_map(&in);

	mp_put_map(out, pairs + 1);
	buf_put(out, in.at, args.size - (size_t)(in.at - args.data));
	mp_put_kv_int(out, "MaxQueryTime", wait_ns);
}

/* This process answers all who ask, each for the rest of its wait. */
static void
flight_here(struct flight *fl)
{
	struct forward *f = fl->f;
	struct bytes args = bytes_of(fl->args, fl->args_size);
	struct ring askers;

	askers_take(fl, &askers);
	while (!ring_empty(&askers)) {
		struct asker *a = RING_ENTRY(askers.next, struct asker, ring);
		int64_t rest_ns = MAX(a->until_ns - now_ns(), NS_PER_MS);
		struct ipc_stream *s = asker_end(a);
		struct buf waiting = BUF_INIT(FRAME_REQUEST_BYTES_MAX);

		if (fl->min_index > 0)
			put_args_waiting(&waiting, args, rest_ns);
		f->ops->here(f->ctx, s, fl->min_index > 0 ? buf_bytes(&waiting) : args);
		buf_free(&waiting);
	}
	flight_free(fl);
}

static void
flight_send(struct flight *fl)
{
	struct forward *f = fl->f;
	struct bytes args = bytes_of(fl->args, fl->args_size);
	struct buf waiting = BUF_INIT(FRAME_REQUEST_BYTES_MAX), fresh = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	bool as_leader = false;
	const char *error = "";
	int64_t wait_ns = f->options.timeout_ns;

	switch (f->ops->target(f->ctx, &fl->to, &as_leader, &error)) {
	case FORWARD_HERE:
		flight_here(fl);
		return;
	case FORWARD_NOWHERE:
		fl->sent_ns = now_ns();
		/* a client without servers says so at once; a server waits for a leader */
		if (!is_refusal(bytes_str(error)) || !flight_retry(fl))
			flight_fail(fl, 0, "", bytes_str(error));
		return;
	case FORWARD_THERE:
		break;
	}
	fl->sent_ns = now_ns();
	if (fl->fresh) {
		rpc_args_but(&fresh, args, "AllowStale");
		args = buf_bytes(&fresh);
	}
	if (fl->min_index > 0) {
		fl->rest_ns = MAX(first_until(fl) - fl->sent_ns, NS_PER_MS);
		put_args_waiting(&waiting, args, fl->rest_ns);
		args = buf_bytes(&waiting);
		wait_ns = fl->rest_ns + fl->rest_ns / 16 + f->options.hold_ns;
	} else if (!fl->hopped)
		wait_ns = MIN(wait_ns, f->options.quiet_ns);
	for (struct ring *r = fl->askers.next; r != &fl->askers; r = r->next)
		RING_ENTRY(r, struct asker, ring)->late = false;
	fl->call = waiting.overflow ? NULL : rpcpool_call(f->pool, &fl->to, fl->method, args, as_leader, on_done, fl);
	buf_free(&waiting);
	buf_free(&fresh);
	if (fl->call == NULL) {
		flight_fail(fl, 503, "", bytes_str("too many requests"));
		return;
	}
	timer_set(fl, wait_ns);
}

static void
flight_changed(struct flight *fl)
{
	struct forward *f = fl->f;

	if (fl->call == NULL) {
		flight_send(fl);
	} else if (f->ops->asked(f->ctx, &fl->to)) {
		return;
	} else if (fl->read) {
		rpcpool_cancel(fl->call);
		fl->call = NULL;
		flight_send(fl);
	} else if (ev_timer_remaining(f->loop, &fl->timer) > (double)f->options.hold_ns / (double)NS_PER_S) {
		fl->hopped = true;
		timer_set(fl, f->options.hold_ns);
	}
}

void
forward_changed(struct forward *f)
{
	struct ring all;

	/* what is asked anew may end, and bring new ones */
	ring_init(&all);
	ring_move(&f->flights, &all);
	while (!ring_empty(&all)) {
		struct flight *fl = RING_ENTRY(all.next, struct flight, all);

		ring_remove(&fl->all);
		ring_append(&f->flights, &fl->all);
		flight_changed(fl);
	}
}

/* Its server may be stopped, or cut off: it is not asked first any more, and a read goes to another one. */
static void
flight_quiet(struct flight *fl)
{
	struct forward *f = fl->f;

	fl->hopped = true;
	f->ops->failed(f->ctx, &fl->to);
	if (fl->read && is_elsewhere(fl)) {
		rpcpool_cancel(fl->call);
		fl->call = NULL;
		flight_send(fl);
	} else
		timer_set(fl, MAX(fl->sent_ns + f->options.timeout_ns - now_ns(), 0));
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct flight *fl = w->data;

	(void)loop, (void)events;
	if (fl->call == NULL) {
		flight_send(fl);
		return;
	}
	if (fl->min_index == 0 && !fl->hopped) {
		flight_quiet(fl);
		return;
	}
	fl->f->ops->failed(fl->f->ctx, &fl->to);
	flight_fail(fl, 0, PREFIX, bytes_str("i/o deadline reached"));
}

/* ---- requests ---- */

static uint32_t
hash_of(const char *method, struct bytes args)
{
	uint32_t h = 2166136261u;

	for (; *method != '\0'; method++)
		h = (h ^ (uint8_t)*method) * 16777619u;
	for (size_t i = 0; i < args.size; i++)
		h = (h ^ args.data[i]) * 16777619u;
	return h;
}

/* A question for the same that does not wait longer than until. */
static struct flight *
joinable(struct forward *f, uint32_t hash, const char *method, struct bytes args, int64_t until_ns)
{
	struct ring *bucket = &f->buckets[hash % BUCKETS];

	for (struct ring *r = bucket->next; r != bucket; r = r->next) {
		struct flight *fl = RING_ENTRY(r, struct flight, bucket);

		if (fl->hash == hash && strcmp(fl->method, method) == 0 &&
		    bytes_equal(bytes_of(fl->args, fl->args_size), args) &&
		    (fl->call == NULL || fl->sent_ns + fl->rest_ns <= until_ns))
			return fl;
	}
	return NULL;
}

static struct flight *
flight_new(struct forward *f, const char *method, struct bytes args, bool read)
{
	struct flight *fl = xcalloc(1, sizeof *fl + args.size);

	fl->f = f;
	fl->method = method;
	fl->read = read;
	fl->begun_ns = now_ns();
	fl->args_size = args.size;
	if (args.size > 0)
		memcpy(fl->args, args.data, args.size);
	ring_init(&fl->askers);
	ring_init(&fl->bucket);
	ring_append(&f->flights, &fl->all);
	f->count++;
	f->bytes += args.size;
	ev_init(&fl->timer, on_timer);
	fl->timer.data = fl;
	return fl;
}

/* A query that waits for a change. */
static void
request_waiting(struct forward *f, struct ipc_stream *s, const char *method, struct bytes args, uint64_t min_index)
{
	int64_t wait_ns = mp_find_int(args, "MaxQueryTime");
	struct buf key = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct flight *fl;
	uint32_t hash;

	wait_ns = MIN(wait_ns <= 0 ? f->options.default_wait_ns : wait_ns, f->options.max_wait_ns);
	rpc_args_but(&key, args, "MaxQueryTime");
	hash = hash_of(method, buf_bytes(&key));
	fl = joinable(f, hash, method, buf_bytes(&key), now_ns() + wait_ns);
	if (fl != NULL) {
		asker_add(fl, s, wait_ns, fl->call != NULL && !fl->stale && rpcpool_left(fl->call));
	} else {
		fl = flight_new(f, method, buf_bytes(&key), true);
		fl->min_index = min_index;
		fl->hash = hash;
		fl->stale = mp_find_bool(args, "AllowStale");
		ring_append(&f->buckets[hash % BUCKETS], &fl->bucket);
		asker_add(fl, s, wait_ns, false);
		flight_send(fl);
	}
	buf_free(&key);
}

void
forward_request(struct forward *f, struct ipc_stream *s, const char *method, struct bytes args, bool read)
{
	uint64_t min_index = read && args.size > 0 ? mp_find_uint(args, "MinQueryIndex") : 0;
	struct flight *fl;

	if (f->askers >= FORWARD_ASKERS_MAX || f->bytes + args.size > FORWARD_BYTES_MAX) {
		ipc_fail(s, 503, "too many requests");
		return;
	}
	if (min_index > 0) {
		request_waiting(f, s, method, args, min_index);
		return;
	}
	fl = flight_new(f, method, args, read);
	asker_add(fl, s, 0, false);
	flight_send(fl);
}

void
forward_observe(struct forward *f, forward_observer *observer, void *ctx)
{
	f->observer = observer;
	f->observer_ctx = ctx;
}

size_t
forward_askers(const struct forward *f)
{
	return f->askers;
}

size_t
forward_flights(const struct forward *f)
{
	return f->count;
}

void
forward_set(struct forward *f, const struct forward_options *options)
{
	f->options = *options;
}

struct forward *
forward_new(struct ev_loop *loop, struct rpcpool *pool, const struct forward_options *options,
    const struct forward_ops *ops, void *ctx)
{
	struct forward *f = xcalloc(1, sizeof *f);

	f->loop = loop;
	f->pool = pool;
	f->options = *options;
	f->ops = ops;
	f->ctx = ctx;
	ring_init(&f->flights);
	for (size_t i = 0; i < BUCKETS; i++)
		ring_init(&f->buckets[i]);
	return f;
}

void
forward_free(struct forward *f)
{
	if (f == NULL)
		return;
	while (!ring_empty(&f->flights)) {
		struct flight *fl = RING_ENTRY(f->flights.next, struct flight, all);

		while (!ring_empty(&fl->askers))
			(void)asker_end(RING_ENTRY(fl->askers.next, struct asker, ring));
		flight_free(fl);
	}
	free(f);
}

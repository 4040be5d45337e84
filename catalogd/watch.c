/*
 * watch.c - parked queries (contract: watch.h; callers: serve.c parks, apply.c touches, log.c wakes)
 *
 * A point is a name that somebody waits for; a group is a set of equal parked queries; a link hangs a group on a point. A touch looks up
 * its point and puts the groups found there on the dirty ring; the wake-up after the commit runs each of them once and sends its answer
 * to all members at once. A member is one small record.
 *
 * A member whose query stays "not found" is not answered, however far the index has gone; and at its deadline each is told
 * the index of the last run that concerned it, not of the run that then makes the payload (http-api.md 4.1).
 *
 * Without a lease a group is not run at the wake-up, and one of consistent queries never is: it waits for a verification of leadership that is begun
 * after it (one at a time, for all groups that wait when it begins). The same holds for a member's deadline. Members that came during a verification
 * wait for the next one. Stale queries need none of this.
 *
 * Prefixes: the lengths of all watched prefixes are few; a touched key is looked up once for each length it has.
 */
#include "watch.h"

#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "endpoint.h"
#include "frame.h"
#include "hash.h"
#include "log.h"
#include "mem.h"
#include "notice.h"
#include "publish.h"
#include "query.h"
#include "ring.h"
#include "uuid.h"

/* Known mistakes, planted by test/sim/catalogd_watch_planted_sim.c to see whether the simulator finds them. */
#ifdef WATCH_PLANTS
#define PLANTED(mistake) (watch_planted == (mistake))
#else
#define PLANTED(mistake) false
#endif

#define REPLY_BYTES_MAX (250u * 1024 * 1024)
#define PARKED_MAX 400000
#define REPLY_KEEP_BYTES (1u * 1024 * 1024)

struct link {
	struct watch_point *point;
	struct watch_group *group;
	struct link *prev, *next; /* of the point */
};

struct watch_point {
	struct hash_node node;
	struct link *links;
	enum watch_kind kind;
	uint32_t name_size;
	uint8_t name[];
};

struct watch_group {
	struct hash_node node;
	struct ring dirty; /* in dirty, unverified or verifying; to itself: nothing is to be done */
	bool touched;      /* its query has to be run again; while it is verified: once more after that */
	bool run_verified; /* it was touched before the verification under way */
	bool going;        /* some of its members are being sent away: it is not freed under them */
	enum read_mode mode;
	struct ring members;
	const struct endpoint *endpoint;
	size_t member_count;
	struct link *links;
	size_t link_count;
	size_t args_size;
	uint8_t args[];
};

struct member {
	struct ring ring;
	struct watch *watch;
	struct watch_group *group;
	struct ipc_stream *stream;
	uint64_t min_index;
	uint64_t last_index;
	bool not_found;
	bool replaced; /* the state was replaced since it was parked: it is answered, whatever the index */
	bool expired;  /* its deadline is over, and it waits for a verification */
	bool in_round; /* it was there when the verification under way began */
	struct ev_timer deadline;
};

struct length {
	size_t length;
	size_t count;
};

struct watch {
	struct ev_loop *loop;
	watch_run *run;
	void *ctx;
	int64_t default_ns, max_ns;
	struct hash_table points, groups;
	struct ring dirty;
	/* Groups that are to be run when verified: those that wait for the next verification, and those that the one under way is for. */
	struct ring unverified, verifying;
	bool question_open;                /* also when all that it is for has gone */
	const struct watch_leader *leader; /* NULL: all are stale */
	void *leader_ctx;
	struct length *lengths; /* of watched prefixes */
	size_t length_count;
	size_t parked;
	struct query query; /* of the run in progress */
	struct buf reply, args;
	struct ipc_stream **streams;
	size_t streams_size;
	struct notices *notices;
	bool all; /* this batch has replaced the state */
	enum watch_kind observed;
	void (*observer)(void *ctx, struct bytes name);
	void *observer_ctx;
	struct publish *publish;
};

struct watch *
watch_new(struct ev_loop *loop, watch_run *run, void *ctx)
{
	struct watch *w = xcalloc(1, sizeof *w);

	w->loop = loop;
	w->run = run;
	w->ctx = ctx;
	watch_times(w, 300 * NS_PER_S, 600 * NS_PER_S);
	ring_init(&w->dirty);
	ring_init(&w->unverified);
	ring_init(&w->verifying);
	buf_init(&w->reply, REPLY_BYTES_MAX);
	buf_init(&w->args, FRAME_REQUEST_BYTES_MAX);
	w->query.region = region_new();
	w->notices = notices_new();
	return w;
}

void
watch_times(struct watch *w, int64_t default_ns, int64_t max_ns)
{
	w->default_ns = default_ns;
	w->max_ns = max_ns;
}

void
watch_lead_by(struct watch *w, const struct watch_leader *leader, void *ctx)
{
	w->leader = leader;
	w->leader_ctx = ctx;
}

size_t
watch_parked(const struct watch *w)
{
	return w->parked;
}

size_t
watch_groups(const struct watch *w)
{
	return w->groups.count;
}

void
watch_observe(struct watch *w, enum watch_kind kind, void (*touched)(void *ctx, struct bytes name), void *ctx)
{
	w->observed = kind;
	w->observer = touched;
	w->observer_ctx = ctx;
}

void
watch_publish(struct watch *w, struct publish *p)
{
	w->publish = p;
}

struct query *
watch_query(struct watch *w)
{
	return &w->query;
}

/* ---- points ---- */

static struct watch_point *
point_find(const struct watch *w, enum watch_kind kind, struct bytes name)
{
	for (struct hash_node *n = hash_first(&w->points, hash_bytes(kind, name)); n != NULL; n = hash_next(n)) {
		struct watch_point *p = (struct watch_point *)n;

		if (p->kind == kind && bytes_equal(bytes_of(p->name, p->name_size), name))
			return p;
	}
	return NULL;
}

static void
length_add(struct watch *w, size_t length)
{
	for (size_t i = 0; i < w->length_count; i++)
		if (w->lengths[i].length == length) {
			w->lengths[i].count++;
			return;
		}
	w->lengths = xreallocarray(w->lengths, w->length_count + 1, sizeof *w->lengths);
	w->lengths[w->length_count++] = (struct length){length, 1};
}

static void
length_drop(struct watch *w, size_t length)
{
	for (size_t i = 0; i < w->length_count; i++)
		if (w->lengths[i].length == length) {
			if (--w->lengths[i].count == 0)
				w->lengths[i] = w->lengths[--w->length_count];
			return;
		}
}

static struct watch_point *
point_get(struct watch *w, enum watch_kind kind, struct bytes name)
{
	struct watch_point *p = point_find(w, kind, name);

	if (p != NULL)
		return p;
	p = xmalloc(sizeof *p + name.size);
	*p = (struct watch_point){.node.hash = hash_bytes(kind, name), .kind = kind, .name_size = (uint32_t)name.size};
	if (name.size > 0)
		memcpy(p->name, name.data, name.size);
	hash_insert(&w->points, &p->node);
	if (kind == WATCH_PREFIX)
		length_add(w, name.size);
	return p;
}

static void
group_unlink(struct watch *w, struct watch_group *g)
{
	for (size_t i = 0; i < g->link_count; i++) {
		struct link *l = &g->links[i];
		struct watch_point *p = l->point;

		if (l->prev != NULL)
			l->prev->next = l->next;
		else
			p->links = l->next;
		if (l->next != NULL)
			l->next->prev = l->prev;
		if (p->links == NULL) {
			if (p->kind == WATCH_PREFIX)
				length_drop(w, p->name_size);
			hash_remove(&w->points, &p->node);
			free(p);
		}
	}
	free(g->links);
	g->links = NULL;
	g->link_count = 0;
}

static bool
links_are(const struct watch_group *g, const struct query *q)
{
	if (g->link_count != q->watch_count)
		return false;
	for (size_t i = 0; i < g->link_count; i++) {
		const struct watch_point *p = g->links[i].point;

		if (p->kind != q->watches[i].kind || !bytes_equal(bytes_of(p->name, p->name_size), q->watches[i].name))
			return false;
	}
	return true;
}

/* Hangs g on what its last run depended on. */
static void
group_link(struct watch *w, struct watch_group *g, const struct query *q)
{
	if (links_are(g, q))
		return;
	group_unlink(w, g);
	g->links = xreallocarray(NULL, MAX(q->watch_count, 1), sizeof *g->links);
	g->link_count = q->watch_count;
	for (size_t i = 0; i < q->watch_count; i++) {
		struct watch_point *p = point_get(w, q->watches[i].kind, q->watches[i].name);
		struct link *l = &g->links[i];

		*l = (struct link){.point = p, .group = g, .next = p->links};
		if (p->links != NULL)
			p->links->prev = l;
		p->links = l;
	}
}

/* ---- groups and members ---- */

/* The arguments without those that only say when to answer: what makes two parked queries equal. */
static struct bytes
args_that_matter(struct watch *w, struct bytes args)
{
	struct mp in = mp_of(args);
	uint32_t pairs = mp_map(&in), kept = 0;
	size_t place;

	buf_clear(&w->args);
	place = mp_open_map(&w->args);
	for (; pairs > 0 && mp_ok(&in); pairs--) {
		const uint8_t *start = in.at;
		struct bytes name = mp_str(&in);

		mp_skip(&in);
		if (bytes_is(name, "MinQueryIndex") || bytes_is(name, "MaxQueryTime"))
			continue;
		buf_put(&w->args, start, (size_t)(in.at - start));
		kept++;
	}
	mp_close(&w->args, place, kept);
	return buf_bytes(&w->args);
}

static struct watch_group *
group_get(struct watch *w, const struct endpoint *endpoint, struct bytes args)
{
	uint64_t hash = hash_bytes((uint64_t)(uintptr_t)endpoint, args);
	struct watch_group *g;

	for (struct hash_node *n = hash_first(&w->groups, hash); n != NULL; n = hash_next(n)) {
		g = (struct watch_group *)n;
		if (g->endpoint == endpoint && bytes_equal(bytes_of(g->args, g->args_size), args))
			return g;
	}
	g = xmalloc(sizeof *g + args.size);
	*g = (struct watch_group){.node.hash = hash, .endpoint = endpoint, .args_size = args.size};
	memcpy(g->args, args.data, args.size);
	ring_init(&g->dirty);
	ring_init(&g->members);
	hash_insert(&w->groups, &g->node);
	return g;
}

/* Takes g out of everything. */
static void
group_detach(struct watch *w, struct watch_group *g)
{
	group_unlink(w, g);
	ring_remove(&g->dirty);
	hash_remove(&w->groups, &g->node);
}

static void
group_free_if_empty(struct watch *w, struct watch_group *g)
{
	if (g->member_count > 0 || g->going)
		return;
	group_detach(w, g);
	free(g);
}

/* The stream is answered or gone; the group may be empty now. */
static void
member_free(struct member *m)
{
	ev_timer_stop(m->watch->loop, &m->deadline);
	ring_remove(&m->ring);
	m->group->member_count--;
	m->watch->parked--;
	free(m);
}

static void
on_member_ended(struct ipc_stream *s, void *ctx)
{
	struct member *m = ctx;
	struct watch_group *g = m->group;
	struct watch *w = m->watch;

	(void)s;
	member_free(m);
	group_free_if_empty(w, g);
}

/* After the answer is sent: a large one is not kept for the next. */
static void
reply_release(struct watch *w)
{
	if (w->reply.size > REPLY_KEEP_BYTES)
		buf_free(&w->reply);
}

/* Evaluates g's query into w->query, without QueryMeta. */
static int
group_run(struct watch *w, const struct watch_group *g)
{
	struct query *q = &w->query;
	struct bytes args = bytes_of(g->args, g->args_size);

	region_reset(q->region);
	buf_clear(&w->reply);
	q->out = &w->reply;
	q->endpoint = g->endpoint;
	q->args = args;
	q->watching = true;
	return w->run(q, w->ctx);
}

/* Ends member m, whose time is over: a fresh payload under the index of the last run that concerned it. */
static void
member_expire(struct watch *w, struct member *m)
{
	struct ipc_stream *s = m->stream;
	uint64_t index = m->last_index;
	int failed = group_run(w, m->group);

	if (PLANTED(DEADLINE_INDEX))
		index = w->query.index;
	member_free(m);
	if (failed == 0)
		query_finish(&w->query, index);
	if (failed == 0 && w->reply.overflow)
		failed = query_fail(&w->query, 500, "the answer is over %u bytes", REPLY_BYTES_MAX);
	if (failed == 0)
		ipc_reply(s, buf_bytes(&w->reply));
	else
		ipc_fail(s, w->query.status, "%s", w->query.error);
	reply_release(w);
}

/* g must not be run before leadership is verified. */
static bool
needs_verification(const struct watch *w, const struct watch_group *g)
{
	switch (g->mode) {
	case READ_STALE:
		return false;
	case READ_CONSISTENT:
		return true;
	case READ_DEFAULT:
		break;
	}
	return !w->leader->lease_holds(w->leader_ctx);
}

/* Asks for a verification if one is wanted and none is under way. */
static void
verification_start(struct watch *w)
{
	if (ring_empty(&w->unverified) || w->question_open)
		return;
	w->question_open = true;
	while (!ring_empty(&w->unverified)) {
		struct watch_group *g = RING_ENTRY(w->unverified.next, struct watch_group, dirty);

		ring_remove(&g->dirty);
		ring_append(&w->verifying, &g->dirty);
		g->run_verified = g->touched;
		g->touched = false;
		for (struct ring *r = g->members.next; r != &g->members; r = r->next)
			RING_ENTRY(r, struct member, ring)->in_round = true;
	}
	w->leader->verify(w->leader_ctx);
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct member *m = timer->data;
	struct watch *w = m->watch;
	struct watch_group *g = m->group;

	(void)loop, (void)events;
	if (needs_verification(w, g)) {
		m->expired = true;
		if (ring_empty(&g->dirty))
			ring_append(&w->unverified, &g->dirty);
		verification_start(w);
		return;
	}
	member_expire(w, m);
	group_free_if_empty(w, g);
}

static double
wait_seconds(const struct watch *w, int64_t asked_ns)
{
	int64_t ns = asked_ns <= 0 ? w->default_ns : MIN(asked_ns, w->max_ns);

	/* Spread, so that what was parked together does not come back together. */
	if (ns >= 16)
		ns += (int64_t)random_below((uint64_t)ns / (PLANTED(WAITS_LONGER) ? 4 : 16));
	return (double)ns / (double)NS_PER_S;
}

void
watch_park(struct watch *w, struct ipc_stream *s, const struct query *q)
{
	struct watch_group *g;
	struct member *m;

	if (w->parked >= PARKED_MAX) {
		ipc_fail(s, 503, "too many blocking queries are waiting");
		return;
	}
	g = group_get(w, q->endpoint, args_that_matter(w, q->args));
	m = xmalloc(sizeof *m);
	*m = (struct member){.watch = w,
	    .group = g,
	    .stream = s,
	    .min_index = q->min_index,
	    .last_index = q->index,
	    .not_found = q->not_found};
	g->mode = w->leader == NULL || PLANTED(UNVERIFIED) ? READ_STALE : query_mode(q);
	ring_append(&g->members, &m->ring);
	g->member_count++;
	w->parked++;
	group_link(w, g, q);
	ev_timer_init(&m->deadline, on_deadline, wait_seconds(w, q->max_time_ns), 0.);
	m->deadline.data = m;
	ev_timer_start(w->loop, &m->deadline);
	ipc_stream_watch(s, on_member_ended, NULL, m);
}

/* ---- touching and waking ---- */

static void
group_mark(struct watch *w, struct watch_group *g)
{
	g->touched = true;
	if (ring_empty(&g->dirty))
		ring_append(&w->dirty, &g->dirty);
}

static void
point_mark(struct watch *w, enum watch_kind kind, struct bytes name)
{
	struct watch_point *p = w->points.count == 0 ? NULL : point_find(w, kind, name);

	if (p == NULL)
		return;
	for (struct link *l = p->links; l != NULL; l = l->next)
		group_mark(w, l->group);
}

void
watch_touch(struct watch *w, enum watch_kind kind, struct bytes name)
{
	publish_touch(w->publish, kind, name);
	if (kind == WATCH_ALL) {
		w->all = true;
		return;
	}
	if (kind == w->observed && w->observer != NULL)
		w->observer(w->observer_ctx, name);
	point_mark(w, kind, name);
	if (kind == WATCH_KEY)
		for (size_t i = 0; i < w->length_count; i++)
			if (w->lengths[i].length <= name.size &&
			    (w->lengths[i].length == name.size || !PLANTED(PREFIX_EXACT)))
				point_mark(w, WATCH_PREFIX, bytes_of(name.data, w->lengths[i].length));
	if ((kind == WATCH_HEALTH || kind == WATCH_NODE) && !w->all)
		notices_add(w->notices, kind, name);
}

void
watch_subscribe(struct watch *w, struct ipc_stream *s)
{
	notices_subscribe(w->notices, s);
}

bool
watch_subscribed(const struct watch *w, const struct ipc_conn *conn)
{
	return notices_subscribed(w->notices, conn);
}

/* Runs g once and answers the members whose time has come; verified: of those that were there when the verification began. */
static void
group_wake(struct watch *w, struct watch_group *g, bool verified)
{
	struct query *q = &w->query;
	int failed = group_run(w, g);
	size_t count = 0;

	if (w->streams_size < g->member_count) {
		w->streams_size = MAX(g->member_count, w->streams_size * 2);
		w->streams = xreallocarray(w->streams, w->streams_size, sizeof(*w->streams));
	}
	for (struct ring *r = g->members.next, *next; r != &g->members; r = next) {
		struct member *m = RING_ENTRY(r, struct member, ring);

		next = r->next;
		if (verified && !m->in_round && !PLANTED(ROUND_TOO_OLD))
			continue;
		if (count > 0 && PLANTED(ONE_MEMBER))
			continue;
		if (failed == 0 && (!m->replaced || PLANTED(REPLACED_SLEEPS))) {
			m->last_index = q->index;
			if (q->not_found && m->not_found && !PLANTED(NOT_FOUND_WAKES))
				m->min_index = MAX(m->min_index, q->index);
			m->not_found = q->not_found;
			if (q->index <= m->min_index)
				continue;
		}
		w->streams[count++] = m->stream;
		ipc_stream_watch(m->stream, NULL, NULL, NULL);
		member_free(m);
	}
	if (failed == 0 && g->member_count > 0)
		group_link(w, g, q);
	if (count == 0)
		return;
	if (failed == 0)
		query_finish(q, q->index);
	if (failed == 0 && w->reply.overflow)
		failed = query_fail(q, 500, "the answer is over %u bytes", REPLY_BYTES_MAX);
	if (failed == 0)
		ipc_reply_many(w->streams, count, buf_bytes(&w->reply));
	else
		for (size_t i = 0; i < count; i++)
			ipc_fail(w->streams[i], q->status, "%s", q->error);
	reply_release(w);
}

void
watch_wake(struct watch *w)
{
	bool all = w->all;

	notices_send(w->notices, all);
	w->all = false;
	if (all)
		for (size_t i = 0; i < w->groups.size; i++)
			for (struct hash_node *n = w->groups.buckets[i]; n != NULL; n = n->next) {
				struct watch_group *g = (struct watch_group *)n;

				group_mark(w, g);
				for (struct ring *r = g->members.next; r != &g->members; r = r->next)
					RING_ENTRY(r, struct member, ring)->replaced = true;
			}
	while (!ring_empty(&w->dirty)) {
		struct watch_group *g = RING_ENTRY(w->dirty.next, struct watch_group, dirty);

		ring_remove(&g->dirty);
		if (needs_verification(w, g)) {
			ring_append(&w->unverified, &g->dirty);
			continue;
		}
		g->touched = false;
		group_wake(w, g, false);
		group_free_if_empty(w, g);
	}
	verification_start(w);
}

/* The arguments of m's query for the rest of its wait; one that is to be answered now does not wait for a change. */
static void
member_args_put(const struct member *m, struct buf *out)
{
	const struct watch_group *g = m->group;
	struct mp in = mp_of(bytes_of(g->args, g->args_size));
	bool waits = !m->expired && !m->replaced;
	double rest_s = ev_timer_remaining(m->watch->loop, (struct ev_timer *)(uintptr_t)&m->deadline);

	buf_clear(out);
	mp_put_map(out, mp_map(&in) + (waits ? 2 : 0));
	buf_put(out, in.at, g->args_size - (size_t)(in.at - g->args));
	if (!waits)
		return;
	mp_put_kv_uint(out, "MinQueryIndex", m->min_index);
	mp_put_kv_int(out, "MaxQueryTime", (int64_t)(MAX(rest_s, .001) * (double)NS_PER_S));
}

/* Sends members of g away, which came to hang in going. g stays; they may come to be parked again, in g or elsewhere. */
static void
members_go(struct watch *w, struct watch_group *g, struct ring *going)
{
	struct buf args = BUF_INIT(FRAME_REQUEST_BYTES_MAX);

	g->going = true;
	while (!ring_empty(going)) {
		struct member *m = RING_ENTRY(going->next, struct member, ring);
		struct ipc_stream *s = m->stream;

		member_args_put(m, &args);
		ipc_stream_watch(s, NULL, NULL, NULL);
		member_free(m);
		w->leader->goes(w->leader_ctx, s, g->endpoint, buf_bytes(&args));
	}
	g->going = false;
	buf_free(&args);
}

/* This node does not lead: those who would have been answered by a verification go. */
static void
group_go_due(struct watch *w, struct watch_group *g)
{
	struct ring going;

	ring_init(&going);
	for (struct ring *r = g->members.next, *next; r != &g->members; r = next) {
		struct member *m = RING_ENTRY(r, struct member, ring);

		next = r->next;
		if (m->in_round && (g->run_verified || m->expired)) {
			ring_remove(r);
			ring_append(&going, r);
		}
	}
	members_go(w, g, &going);
}

/* Ends those whose time is over. true: some need another verification. */
static bool
group_expire(struct watch *w, struct watch_group *g)
{
	bool again = false;

	for (struct ring *r = g->members.next, *next; r != &g->members; r = next) {
		struct member *m = RING_ENTRY(r, struct member, ring);

		next = r->next;
		if (m->expired && m->in_round)
			member_expire(w, m);
		else
			again |= m->expired;
	}
	return again;
}

void
watch_verified(struct watch *w, bool leads)
{
	while (!ring_empty(&w->verifying)) {
		struct watch_group *g = RING_ENTRY(w->verifying.next, struct watch_group, dirty);

		ring_remove(&g->dirty);
		if (!leads)
			group_go_due(w, g);
		else if (g->run_verified)
			group_wake(w, g, true);
		if (group_expire(w, g) || g->touched)
			ring_append(&w->unverified, &g->dirty);
		for (struct ring *r = g->members.next; r != &g->members; r = r->next)
			RING_ENTRY(r, struct member, ring)->in_round = false;
		group_free_if_empty(w, g);
	}
	w->question_open = false;
	verification_start(w);
}

void
watch_moved(struct watch *w)
{
	struct ring groups, going;

	/* taken out first: those that come to be parked again have groups of their own */
	ring_init(&groups);
	for (size_t i = 0; i < w->groups.size; i++)
		for (struct hash_node *n = w->groups.buckets[i], *next; n != NULL; n = next) {
			struct watch_group *g = (struct watch_group *)n;

			next = n->next;
			if (g->mode == READ_STALE)
				continue;
			group_detach(w, g);
			g->going = true;
			ring_append(&groups, &g->dirty);
		}
	while (!ring_empty(&groups)) {
		struct watch_group *g = RING_ENTRY(groups.next, struct watch_group, dirty);

		ring_remove(&g->dirty);
		ring_init(&going);
		ring_move(&g->members, &going);
		members_go(w, g, &going);
		free(g);
	}
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->groups.size; i++)
		while (w->groups.buckets[i] != NULL) {
			struct watch_group *g = (struct watch_group *)w->groups.buckets[i];

			while (g->members.next != &g->members) {
				struct member *m = RING_ENTRY(g->members.next, struct member, ring);

				ipc_stream_watch(m->stream, NULL, NULL, NULL);
				member_free(m);
			}
			group_free_if_empty(w, g);
		}
	hash_free(&w->points);
	hash_free(&w->groups);
	notices_free(w->notices);
	region_free(w->query.region);
	buf_free(&w->reply);
	buf_free(&w->args);
	free(w->lengths);
	free(w->streams);
	free(w);
}

/*
 * catalogd_watch_sim.c - what watchers see: blocking queries and subscriptions over the real apply, store, queries and watch layer, beside a model
 *
 * A seed decides everything: batches of entries (catalogd_history.h), who asks what with which index and wait, who goes away, how much
 * credit a subscriber has, when time passes, when the process is started again with its store or with one that is made again.
 * Time is virtual (the clock that libev reads), requests go over a socketpair in the same loop.
 *
 * Checked against the model (catalogd_model.h) for every watcher at every step:
 *	- a change of what it watches wakes it at once (no lost wake-up, equal parked queries all), unless the index that the spec
 *	  gives to the answer is not above its own;
 *	- nothing else wakes it, except where the spec allows it (counted);
 *	- answer and index are those of the model at that moment; an index never goes back for a watcher, except that of a prefix
 *	  (http-api-kv-session.md 1.7; counted);
 *	- a wait ends at its time, within its sixteenth, with the index of the last evaluation;
 *	- who has gone is not answered; a consistent query is answered only behind a verification begun after the wake-up, and refused
 *	  if that fails;
 *	- a subscription begins with "reset", then has one element for each batch with exactly the names that have changed, in order,
 *	  and "reset" again for what found no credit: a copy that follows it equals the state.
 *
 * Usage: catalogd_watch_sim [seed]   without: SEEDS seeds or SECONDS of wall time, whichever ends first. A failure prints its seed.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "catalogd_answer.h"
#include "catalogd_watch_world.h"

#define SEEDS 4000
#define SEEDS_MIN 20
#define SECONDS 18

/* ---- the client's side ---- */

static void
on_answer(void *ctx, const struct ipc_answer *a)
{
	struct watcher *w = ctx;

	if (w->state == GONE)
		fail(w->sim, "%s: answered although it has gone", question_text(w->q));
	w->answers++;
	w->call = NULL;
	w->failed = a->status != IPC_OK;
	if (bytes_to_str(a->error, w->error, sizeof w->error) == -1)
		w->error[0] = '\0';
	buf_clear(&w->body);
	buf_put_bytes(&w->body, a->body);
	w->sim->delivered = true;
}

static void
settle(struct sim *s)
{
	for (int quiet = 0; quiet < 6; quiet++) {
		s->delivered = false;
		ev_run(s->loop, EVRUN_NOWAIT);
		if (s->delivered)
			quiet = 0;
	}
}

static void
put_args(const struct watcher *w, struct buf *args)
{
	char id[40];
	struct question q = w->q;

	mp_put_map(args, 5);
	mp_put_kv_cstr(args, asked[q.kind].name != NULL ? asked[q.kind].name : "Token", question_what(q, id));
	mp_put_kv_cstr(args, "Seperator", q.kind == ASK_KEYS ? "/" : "");
	mp_put_kv_uint(args, "MinQueryIndex", w->min_index);
	mp_put_kv_int(args, "MaxQueryTime", w->wait_ns);
	mp_put_kv_bool(args, "RequireConsistent", w->consistent);
}

/* ---- judging watchers ---- */

static void
judge_content(struct sim *s, struct watcher *w)
{
	struct buf got = BUF_INIT(1u << 24), expected = BUF_INIT(1u << 24);

	decode(w->q.kind, buf_bytes(&w->body), &got);
	model_answer(s->model, w->q, &expected);
	if (!bytes_equal(buf_bytes(&got), buf_bytes(&expected)))
		fail(s, "%s: the answer is\n%.*s\ninstead of\n%.*s", question_text(w->q), TEXT(buf_bytes(&got)),
		    TEXT(buf_bytes(&expected)));
	buf_free(&got);
	buf_free(&expected);
}

/* The answer has come: its content is the state's; its index, in this range. */
static void
judge_answer(struct sim *s, struct watcher *w, uint64_t index_min, uint64_t index_max)
{
	uint64_t index = mp_find_uint(buf_bytes(&w->body), "Index");

	if (w->failed)
		fail(s, "%s: failed: %s", question_text(w->q), w->error);
	if (index < index_min || index > index_max)
		fail(s, "%s: asked with index %" PRIu64 ", answered with %" PRIu64 ", not %" PRIu64,
		    question_text(w->q), w->min_index, index, index_min);
	judge_content(s, w);
	if (index < w->seen) {
		if (w->q.kind != ASK_LIST && w->q.kind != ASK_KEYS)
			fail(s, "%s: the index went back from %" PRIu64 " to %" PRIu64, question_text(w->q), w->seen,
			    index);
		totals->went_back++;
	}
	w->seen = index;
	w->state = IDLE;
	w->answers = 0;
}

/* It may have been evaluated. */
static void
widen_last_index(struct sim *s, struct watcher *w)
{
	uint64_t index = model_index(s->model, w->q);

	w->last_index = MIN(w->last_index, index);
	w->last_index_max = MAX(w->last_index_max, index);
}

/* It was evaluated and not answered. */
static void
watcher_evaluated(struct sim *s, struct watcher *w)
{
	if (w->due.must)
		w->last_index = w->last_index_max = model_index(s->model, w->q);
	else
		widen_last_index(s, w);
	w->not_found = model_not_found(s->model, w->q);
}

/* What was touched since has been evaluated now, all: whatever the index. */
static void
judge_wake(struct sim *s, struct watcher *w, bool all)
{
	uint64_t index = model_index(s->model, w->q);
	bool still_nothing = w->not_found && model_not_found(s->model, w->q);
	bool due = all || (index > w->min_index && !still_nothing);

	if (w->answers > 1)
		fail(s, "%s: answered twice", question_text(w->q));
	if (w->due.must && due && w->answers == 0)
		fail(s, "%s%s: a wake-up is lost: it waits with index %" PRIu64 ", the state has %" PRIu64,
		    w->consistent ? "consistent " : "", question_text(w->q), w->min_index, index);
	if (w->answers == 1 && !w->due.must && !w->due.may)
		fail(s, "%s: woken although nothing that it watches has changed", question_text(w->q));
	if (w->answers == 1 && !due)
		fail(s, "%s: woken although its answer has the index %" PRIu64 ", and it asked for more than %" PRIu64,
		    question_text(w->q), index, w->min_index);
	if (w->answers == 1) {
		totals->woken++;
		totals->allowed += !w->due.must;
		judge_answer(s, w, index, index);
	} else if (w->due.must || w->due.may) {
		totals->slept += w->due.must;
		watcher_evaluated(s, w);
	}
	w->due.must = w->due.may = w->due.replaced = false;
}

/* After a batch: the others are judged at once, the consistent ones when their verification is over. */
static void
judge_batch(struct sim *s, bool replaced)
{
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];
		enum concern concern;
		struct due *due;

		if (w->state != ASKED)
			continue;
		concern = model_concern(s->model, w->q);
		due = w->in_round && s->question_new ? &w->round_due : &w->due;
		due->must |= concern == MUST_WAKE;
		due->may |= concern == MAY_WAKE;
		if (!w->consistent)
			judge_wake(s, w, replaced);
		else if (w->answers > 0)
			fail(s, "%s: consistent, and answered without a verification", question_text(w->q));
		else
			due->replaced |= replaced;
	}
}

/* ---- watchers ---- */

static struct question
question_random(struct sim *s)
{
	struct question q = {.kind = (enum question_kind)roll(&s->random, QUESTION_KINDS)};

	switch (q.kind) {
	case ASK_KEY:
		q.what = roll(&s->random, KEYS);
		break;
	case ASK_LIST:
	case ASK_KEYS:
		q.what = roll(&s->random, PREFIXES);
		break;
	case ASK_SESSION:
		q.what = up_to(&s->random, MIN(s->sessions, 5u));
		q.what = s->sessions - q.what + roll(&s->random, 2);
		break;
	case ASK_NODE_SESSIONS:
	case ASK_NODE:
	case ASK_NODE_CHECKS:
		q.what = roll(&s->random, NODES);
		break;
	case ASK_SERVICE:
	case ASK_HEALTH:
	case ASK_SERVICE_CHECKS:
		q.what = roll(&s->random, NAMES);
		break;
	case ASK_STATE:
		q.what = roll(&s->random, 4);
		break;
	default:
		break;
	}
	return q;
}

/* Another consistent watcher of the same thing is to be evaluated: this one then may be, too. */
static bool
group_is_pending(const struct sim *s, const struct watcher *w)
{
	for (size_t i = 0; i < WATCHERS; i++) {
		const struct watcher *o = &s->watchers[i];

		if (o != w && o->state == ASKED && o->consistent && (o->due.must || o->due.may) &&
		    o->q.kind == w->q.kind && o->q.what == w->q.what)
			return true;
	}
	return false;
}

/* Sends w's question. */
static void
watcher_ask(struct sim *s, struct watcher *w)
{
	struct buf args = BUF_INIT(4096);
	uint64_t index = model_index(s->model, w->q);

	put_args(w, &args);
	w->state = ASKED;
	w->answers = 0;
	w->asked_at_ns = virtual_ns;
	w->due = (struct due){false, false, false};
	w->due.may = w->consistent && group_is_pending(s, w);
	w->in_round = false;
	w->call = ipc_call(s->peer, asked[w->q.kind].endpoint.method, buf_bytes(&args), NULL, on_answer, w);
	buf_free(&args);
	settle(s);
	totals->asked++;
	w->not_found = model_not_found(s->model, w->q);
	w->last_index = w->last_index_max = index;
	if (w->min_index == 0 || index > w->min_index) {
		if (w->answers != 1)
			fail(s, "%s: not answered at once", question_text(w->q));
		totals->at_once++;
		judge_answer(s, w, index, index);
	} else if (w->answers != 0) {
		fail(s, "%s: answered at once although it asked for more than %" PRIu64, question_text(w->q),
		    w->min_index);
	}
}

static void
watchers_ask(struct sim *s)
{
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];

		if (w->state == GONE)
			w->state = IDLE;
		if (w->state != IDLE || roll(&s->random, 3) == 0)
			continue;
		/* Most clients go on with what they had; some ask what their neighbour asks. */
		if (w->seen == 0 || roll(&s->random, 6) == 0) {
			w->q = i > 0 && roll(&s->random, 3) == 0 ? s->watchers[i - 1].q : question_random(s);
			w->seen = 0;
		}
		w->min_index = w->seen;
		if (roll(&s->random, 8) == 0)
			w->min_index = model_index(s->model, w->q) + roll(&s->random, 12);
		w->consistent = roll(&s->random, 5) == 0;
		w->wait_ns = roll(&s->random, 3) == 0 ? (int64_t)(1 + roll(&s->random, 20)) * NS_PER_S : 0;
		watcher_ask(s, w);
	}
}

static void
watchers_leave(struct sim *s)
{
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];

		if (w->state != ASKED || roll(&s->random, 40) != 0)
			continue;
		ipc_cancel(w->call);
		w->call = NULL;
		w->state = GONE;
		totals->cancelled++;
	}
	settle(s);
}

/* How long w waits at least; it was told nothing else than 0 (the default) or a time under the cap. */
static int64_t
wait_of(const struct watcher *w)
{
	return w->wait_ns > 0 ? w->wait_ns : 300 * NS_PER_S;
}

static void
time_passes(struct sim *s)
{
	int64_t step = (int64_t)roll(&s->random, 3000) * NS_PER_MS;

	if (roll(&s->random, 30) == 0)
		step = 100 * NS_PER_S;
	virtual_ns += step;
	settle(s);
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];
		int64_t waited = virtual_ns - w->asked_at_ns, wait = wait_of(w);

		if (w->state != ASKED)
			continue;
		if (w->consistent) {
			if (w->answers > 0)
				fail(s, "%s: consistent, and answered without a verification", question_text(w->q));
			continue;
		}
		if (w->answers > 0 && waited < wait)
			fail(s, "%s: answered before its time is over", question_text(w->q));
		if (w->answers == 0 && waited > wait + wait / 16 + NS_PER_MS)
			fail(s, "%s: not answered at the end of its time", question_text(w->q));
		if (w->answers > 0) {
			totals->timeouts++;
			judge_answer(s, w, w->last_index, w->last_index_max);
		}
	}
}

/* w was there when the verification that is over began. */
static void
judge_verified(struct sim *s, struct watcher *w, struct due due, bool leads)
{
	bool expired = virtual_ns - w->asked_at_ns >= wait_of(w);
	struct due later = w->due;

	w->due = due;
	if (!leads) {
		if (w->answers > 0 && !(w->failed && strcmp(w->error, "No cluster leader") == 0))
			fail(s, "%s: consistent, and answered by one that does not lead", question_text(w->q));
		if (w->answers == 0 && due.must)
			fail(s, "%s: consistent, and not refused by one that does not lead", question_text(w->q));
		totals->refused += w->answers;
		w->state = w->answers > 0 ? IDLE : ASKED;
		w->answers = 0;
	} else if (w->answers > 0 && expired) {
		/* It may have been run for a touch first, and then ended with the index of that run. */
		totals->timeouts++;
		if (due.must || due.may)
			widen_last_index(s, w);
		judge_answer(s, w, w->last_index, w->last_index_max);
	} else {
		w->due.may |= expired;
		judge_wake(s, w, due.replaced);
	}
	w->due = later;
}

/* The answer to a verification: leads or not. */
static void
verification_ends(struct sim *s)
{
	struct due due[WATCHERS];
	bool round[WATCHERS], replaced[WATCHERS], leads = roll(&s->random, 6) != 0;

	if (!s->question_open || roll(&s->random, 3) == 0)
		return;
	for (size_t i = 0; i < WATCHERS; i++) {
		round[i] = s->watchers[i].in_round;
		due[i] = s->watchers[i].round_due;
		replaced[i] = s->watchers[i].due.replaced;
		s->watchers[i].in_round = false;
	}
	s->question_open = false;
	watch_verified(s->watch, leads);
	settle(s);
	totals->verified++;
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];

		if (w->state != ASKED || !w->consistent)
			continue;
		/* A replacement during the verification is seen by the run behind it. */
		due[i].replaced |= replaced[i] && w->answers > 0;
		if (round[i])
			judge_verified(s, w, due[i], leads);
		else if (w->answers > 0)
			fail(s, "%s: answered by a verification begun before it was parked", question_text(w->q));
	}
}

/* ---- subscribers ---- */

static void
on_element(void *ctx, const struct ipc_answer *a)
{
	struct follower *b = ctx;
	struct sim *s = b->sim;
	struct mp in = mp_of(a->body);

	if (!a->more)
		fail(s, "a subscription ended");
	b->elements++;
	s->delivered = true;
	for (uint32_t n = mp_array(&in); n > 0; n--) {
		struct bytes kind, name;
		bool known = false;

		if (mp_array(&in) != 2)
			fail(s, "a subscription's element is not a list of pairs");
		kind = mp_str(&in);
		name = mp_str(&in);
		if (bytes_is(kind, "reset")) {
			b->reset = known = true;
			totals->resets++;
		}
		for (unsigned i = 0; i < NODES && bytes_is(kind, "node"); i++)
			if (bytes_equal_fold(name, bytes_str(node_names[i]))) {
				if (b->nodes[i])
					fail(s, "a subscription has a node twice");
				b->nodes[i] = known = true;
			}
		for (unsigned i = 0; i < NAMES && bytes_is(kind, "service"); i++)
			if (bytes_is(name, asked_names[i])) {
				if (b->healths[i])
					fail(s, "a subscription has a service twice");
				b->healths[i] = known = true;
			}
		if (!known)
			fail(s, "a subscription has %.*s %.*s", TEXT(kind), TEXT(name));
	}
}

/* The copy that b would have: refreshed where it was told to. */
static void
copy_refresh(struct sim *s, struct buf *copy, struct question q, bool told, bool judged)
{
	struct buf now = BUF_INIT(1u << 20);

	model_answer(s->model, q, &now);
	if (told) {
		buf_clear(copy);
		buf_put_bytes(copy, buf_bytes(&now));
	} else if (judged && !bytes_equal(buf_bytes(copy), buf_bytes(&now))) {
		fail(s, "a subscriber was not told of a change of %s", question_text(q));
	}
	buf_free(&now);
}

static void
judge_subscriber(struct sim *s, struct follower *b)
{
	const struct model_touched *t = &s->model->touched;
	bool exact =
	    memcmp(b->nodes, t->nodes, sizeof b->nodes) == 0 && memcmp(b->healths, t->healths, sizeof b->healths) == 0;
	bool any = t->all;

	for (unsigned i = 0; i < NODES; i++)
		any |= t->nodes[i];
	for (unsigned i = 0; i < NAMES; i++)
		any |= t->healths[i];
	if (b->elements > 1)
		fail(s, "a subscription has %u elements for one batch", b->elements);
	if (b->elements == 0 && any && !b->slow)
		fail(s, "a subscription has no element for a batch");
	if (b->elements == 1 && !any)
		fail(s, "a subscription has an element for nothing");
	if (b->elements == 1 && b->reset && !t->all && !b->behind)
		fail(s, "a subscription was reset for no reason");
	if (b->elements == 1 && !b->reset && (t->all || b->behind))
		fail(s, "a subscription goes on although it is behind");
	if (b->elements == 1 && !b->reset && !exact)
		fail(s, "a subscription's names are not those that have changed");
	b->behind = b->elements == 0 ? b->behind || any : false;
	for (unsigned i = 0; i < NODES; i++)
		copy_refresh(
		    s, &b->node_copies[i], (struct question){ASK_NODE, i}, b->reset || b->nodes[i], !b->behind);
	for (unsigned i = 0; i < NAMES; i++)
		copy_refresh(
		    s, &b->health_copies[i], (struct question){ASK_HEALTH, i}, b->reset || b->healths[i], !b->behind);
	totals->elements += b->elements;
	b->elements = 0;
	b->reset = false;
	memset(b->nodes, 0, sizeof b->nodes);
	memset(b->healths, 0, sizeof b->healths);
}

static void
subscribers_start(struct sim *s)
{
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		struct follower *b = &s->subscribers[i];

		b->sim = s;
		b->slow = i % 2 == 1;
		b->behind = true;
		b->call = ipc_call(s->peer, "Subscribe", bytes_of(NULL, 0),
		    &(struct ipc_call_options){.credit = b->slow ? 0 : 1u << 30}, on_element, b);
		settle(s);
		if (!b->slow && !(b->elements == 1 && b->reset))
			fail(s, "a subscription does not begin with \"reset\"");
		judge_subscriber(s, b);
	}
}

/* Slow ones get credit now and then: a little, which may not be enough, or much. */
static void
subscribers_read(struct sim *s)
{
	memset(&s->model->touched, 0, sizeof s->model->touched);
	s->model->touched.all = true; /* an element now can only be "reset" */
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		struct follower *b = &s->subscribers[i];
		bool was_behind = b->behind;
		uint32_t credit = roll(&s->random, 3) == 0 ? 300 : roll(&s->random, 24);

		if (!b->slow || roll(&s->random, 3) != 0)
			continue;
		ipc_grant(b->call, credit);
		settle(s);
		if (!was_behind && b->elements > 0)
			fail(s, "credit alone brought an element");
		if (was_behind && credit == 300 && b->elements == 0)
			fail(s, "a subscriber that has credit again is not reset");
		if (b->elements > 0)
			judge_subscriber(s, b);
	}
	memset(&s->model->touched, 0, sizeof s->model->touched);
}

/* ---- steps ---- */

/* NULL: the leader refuses it. */
static struct entry *
entry_new(struct sim *s, struct op *o)
{
	struct entry *e = &s->entries[s->entry_count];
	uint64_t modify[KEYS];

	for (unsigned i = 0; i < KEYS; i++)
		modify[i] = s->model->keys[i].there ? s->model->keys[i].modify : 0;
	*o = op_random(&s->random, &s->sessions, modify, s->model->index, &s->entry_time_ns);
	*e = (struct entry){.time_ns = o->time_ns, .index = s->model->index + 1, .body = BUF_INIT(1u << 20)};
	e->type = history_encode(o, s->apply.txn, &e->body);
	if (e->type == 0) {
		buf_free(&e->body);
		return NULL;
	}
	s->entry_count++;
	return e;
}

static void
step_batch(struct sim *s)
{
	unsigned count = 1 + (roll(&s->random, 3) == 0 ? roll(&s->random, BATCH_MAX) : 0);
	struct op o;

	memset(&s->model->touched, 0, sizeof s->model->touched);
	(void)batch_begin(s);
	for (; count > 0; count--) {
		const struct entry *e = entry_new(s, &o);

		if (e == NULL)
			continue;
		entry_apply(s, e);
		model_apply(s->model, &o, e->index);
		totals->entries++;
	}
	batch_commit(s);
	s->question_new = false;
	watch_wake(s->watch);
	park_now(s);
	settle(s);
	totals->batches++;
	judge_batch(s, false);
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		judge_subscriber(s, &s->subscribers[i]);
}

/* The state is made again under the watchers. */
static void
step_replace(struct sim *s)
{
	memset(&s->model->touched, 0, sizeof s->model->touched);
	s->model->touched.all = true;
	store_rebuild(s);
	watch_touch(s->watch, WATCH_ALL, bytes_of(NULL, 0));
	s->question_new = false;
	watch_wake(s->watch);
	settle(s);
	judge_batch(s, true);
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		judge_subscriber(s, &s->subscribers[i]);
	memset(&s->model->touched, 0, sizeof s->model->touched);
	totals->replaced++;
}

static void
step_restart(struct sim *s)
{
	server_stop(s);
	if (roll(&s->random, 2) == 0) {
		store_rebuild(s);
		totals->rebuilds++;
	} else {
		store_close(s->store, roll(&s->random, 2) == 0);
		store_start(s);
		totals->restarts++;
	}
	server_start(s);
	for (size_t i = 0; i < WATCHERS; i++)
		if (s->watchers[i].state != IDLE) {
			s->watchers[i].state = IDLE;
			s->watchers[i].answers = 0;
		}
	memset(&s->model->touched, 0, sizeof s->model->touched);
	s->model->touched.all = true;
	subscribers_start(s);
	/* Clients ask again, with the index that they have. */
	memset(&s->model->touched, 0, sizeof s->model->touched);
}

static void
sim_start(struct sim *s, uint64_t seed)
{
	s->seed = seed;
	rng_seed(&s->random, seed);
	rng_seed(&chance, seed + 1);
	s->model = xcalloc(1, sizeof *s->model);
	model_init(s->model);
	s->entries = xcalloc(ENTRIES_MAX, sizeof *s->entries);
	s->entry_time_ns = START_NS;
	s->model->index = 10;
	s->loop = ev_loop_new(EVFLAG_AUTO);
	buf_init(&s->reply, 1u << 24);
	buf_init(&s->out, 1u << 26);
	buf_init(&s->late.args, 1u << 16);
	apply_init(&s->apply);
	s->apply.reply = &s->reply;
	s->query = (struct query){.region = region_new(), .out = &s->out, .datacenter = "dc1", .node_name = "self"};
	for (size_t i = 0; i < WATCHERS; i++) {
		s->watchers[i].sim = s;
		buf_init(&s->watchers[i].body, 1u << 26);
	}
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		for (size_t k = 0; k < NODES; k++)
			buf_init(&s->subscribers[i].node_copies[k], 1u << 20);
		for (size_t k = 0; k < NAMES; k++)
			buf_init(&s->subscribers[i].health_copies[k], 1u << 20);
	}
	store_start(s);
	server_start(s);
	s->model->touched.all = true;
	subscribers_start(s);
}

static void
sim_end(struct sim *s)
{
	server_stop(s);
	store_close(s->store, false);
	apply_free(&s->apply);
	buf_free(&s->reply);
	buf_free(&s->out);
	buf_free(&s->late.args);
	region_free(s->query.region);
	for (size_t i = 0; i < WATCHERS; i++)
		buf_free(&s->watchers[i].body);
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		for (size_t k = 0; k < NODES; k++)
			buf_free(&s->subscribers[i].node_copies[k]);
		for (size_t k = 0; k < NAMES; k++)
			buf_free(&s->subscribers[i].health_copies[k]);
	}
	for (size_t i = 0; i < s->entry_count; i++)
		buf_free(&s->entries[i].body);
	free(s->entries);
	free(s->model);
	ev_loop_destroy(s->loop);
}

static void
run_steps(struct sim *s)
{
	for (int step = 0; step < STEPS; step++) {
		watchers_ask(s);
		watchers_leave(s);
		step_batch(s);
		verification_ends(s);
		subscribers_read(s);
		time_passes(s);
		if (roll(&s->random, 60) == 0)
			step_replace(s);
		if (roll(&s->random, 60) == 0)
			step_restart(s);
	}
	totals->seeds++;
}

/* Each seed in a process of its own, so that one alone goes as it went among others. true: it passed. */
static bool
run_seed(uint64_t seed)
{
	struct sim *s = xcalloc(1, sizeof *s);
	int status;
	pid_t pid;

	snprintf(
	    s->dir, sizeof s->dir, "%s/catalogd_watch_sim.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	fflush(stdout);
	if (mkdtemp(s->dir) == NULL || (pid = fork()) == -1) {
		perror("catalogd_watch_sim");
		exit(1);
	}
	if (pid == 0) {
		sim_start(s, seed);
		run_steps(s);
		sim_end(s);
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (store_erase(s->dir) == -1 || rmdir(s->dir) == -1)
		perror(s->dir);
	free(s);
	if (WIFSIGNALED(status))
		printf("not ok 1 - seed %" PRIu64 ": died by signal %d\n", seed, WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
totals_start(void)
{
	totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (totals == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	history_init();
}

#ifndef SIM_PLANTED
int
main(int argc, char **argv)
{
	totals_start();
	if (!seeded_run(argc, argv, (struct seeded_bounds){SEEDS, SEEDS_MIN, SECONDS}, run_seed))
		return 1;
	printf("ok 1 - %" PRIu64 " seeds, %" PRIu64 " entries in %" PRIu64 " batches: %" PRIu64 " questions, %" PRIu64
	       " answered at once, %" PRIu64 " woken (%" PRIu64 " without a change, as the spec allows), %" PRIu64
	       " slept on below their index, %" PRIu64 " timeouts, %" PRIu64 " cancelled, %" PRIu64
	       " verifications, %" PRIu64 " refused by them, %" PRIu64 " indexes of prefixes gone back, %" PRIu64
	       " notices, %" PRIu64 " resets, %" PRIu64 " restarts, %" PRIu64 " with a store made again, %" PRIu64
	       " states replaced\n",
	    totals->seeds, totals->entries, totals->batches, totals->asked, totals->at_once, totals->woken,
	    totals->allowed, totals->slept, totals->timeouts, totals->cancelled, totals->verified, totals->refused,
	    totals->went_back, totals->elements, totals->resets, totals->restarts, totals->rebuilds, totals->replaced);
	return 0;
}
#endif

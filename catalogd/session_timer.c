/*
 * session_timer.c - the TTLs of sessions (contract: session_timer.h; facts: http-api-kv-session.md 2.5 and 2.6)
 *
 * A timer runs twice the TTL from creation or the last renewal; its end proposes the session's end. Renewals are not log entries,
 * so nobody but this process knows of them. Hence the rule: whoever begins to count (start, new leader, a loop that was late by more than
 * LATE_NS) counts from zero, and before a timer strikes, everything that waits in the sockets of that turn is served: the renewal may
 * be among it. Timers therefore have the lowest priority, and lateness is looked at before all else.
 */
#include "session_timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "frame.h"
#include "hash.h"
#include "log.h"
#include "mem.h"
#include "query.h"
#include "raftlog.h"
#include "structs.h"

#define MODULE "agent.server"
#define BEAT_S 0.5
#define LATE_NS (1 * NS_PER_S)
#define ATTEMPTS_MAX 6
#define RETRY_S 10.

struct timer {
	struct hash_node node;
	struct session_timers *all;
	struct ev_timer timer;
	int64_t ttl_ns;
	unsigned attempts;
	bool ending; /* its end is proposed */
	size_t id_size;
	uint8_t id[];
};

struct session_timers {
	struct catalogd *c;
	struct hash_table timers;
	bool running;
	struct buf touched; /* session IDs, msgpack texts */
	struct ev_timer beat;
	struct ev_check check;
	int64_t checked_ns;
};

static struct timer *
timer_find(const struct session_timers *t, struct bytes id)
{
	for (struct hash_node *n = hash_first(&t->timers, hash_bytes(0, id)); n != NULL; n = hash_next(n)) {
		struct timer *timer = (struct timer *)n;

		if (bytes_equal(bytes_of(timer->id, timer->id_size), id))
			return timer;
	}
	return NULL;
}

/* Only while there is something to be late for: an idle server sleeps. */
static void
beat_set(struct session_timers *t, bool on)
{
	if (on == (ev_is_active(&t->beat) != 0))
		return;
	if (on) {
		t->checked_ns = monotime_now().ns;
		ev_timer_again(t->c->loop, &t->beat);
	} else
		ev_timer_stop(t->c->loop, &t->beat);
}

static void
timer_free(struct timer *timer)
{
	ev_timer_stop(timer->all->c->loop, &timer->timer);
	hash_remove(&timer->all->timers, &timer->node);
	if (timer->all->timers.count == 0)
		beat_set(timer->all, false);
	free(timer);
}

static void
timer_arm(struct timer *timer)
{
	ev_timer_stop(timer->all->c->loop, &timer->timer);
	ev_timer_set(&timer->timer, 2. * (double)timer->ttl_ns / (double)NS_PER_S, 0.);
	ev_timer_start(timer->all->c->loop, &timer->timer);
}

/* ---- the end ---- */

struct ending {
	struct session_timers *all;
	size_t id_size;
	uint8_t id[];
};

static void
on_ended(void *ctx, const struct proposal_result *result)
{
	struct ending *ending = ctx;
	struct timer *timer = timer_find(ending->all, bytes_of(ending->id, ending->id_size));

	free(ending);
	if (timer == NULL)
		return; /* gone, as it should be */
	timer->ending = false;
	if (result->outcome == PROPOSAL_APPLIED || ++timer->attempts >= ATTEMPTS_MAX)
		return;
	log_warnx(MODULE, "session destroy failed: session=%s error=%s",
	    log_quote_bytes(bytes_of(timer->id, timer->id_size)),
	    log_quote(result->error == NULL ? "" : result->error));
	ev_timer_set(&timer->timer, RETRY_S * (double)(1u << (timer->attempts - 1)), 0.);
	ev_timer_start(timer->all->c->loop, &timer->timer);
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct timer *timer = w->data;
	struct session_timers *t = timer->all;
	struct session session = {.id = bytes_of(timer->id, timer->id_size)};
	struct session_request request = {.op = bytes_str("destroy")};
	struct buf encoded = BUF_INIT(FRAME_REQUEST_BYTES_MAX), body = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct ending *ending = xmalloc(sizeof *ending + timer->id_size);

	(void)loop, (void)events;
	*ending = (struct ending){.all = t, .id_size = timer->id_size};
	memcpy(ending->id, timer->id, timer->id_size);
	schema_encode(&session_schema, &session, &encoded);
	request.session = buf_bytes(&encoded);
	schema_encode(&session_request_schema, &request, &body);
	log_debug(MODULE, "Session TTL expired: session=%s", log_quote_bytes(session.id));
	timer->ending = true;
	(void)raftlog_propose(t->c->raftlog, APPLY_TYPE_SESSION, buf_bytes(&body), on_ended, ending);
	buf_free(&encoded);
	buf_free(&body);
}

/* ---- who has one ---- */

static void
timer_add(struct session_timers *t, struct bytes id, int64_t ttl_ns)
{
	struct timer *timer = xmalloc(sizeof *timer + id.size);

	*timer = (struct timer){.node.hash = hash_bytes(0, id), .all = t, .ttl_ns = ttl_ns, .id_size = id.size};
	memcpy(timer->id, id.data, id.size);
	ev_timer_init(&timer->timer, on_timer, 0., 0.);
	ev_set_priority(&timer->timer, EV_MINPRI);
	timer->timer.data = timer;
	hash_insert(&t->timers, &timer->node);
	beat_set(t, true);
	timer_arm(timer);
}

static void
session_look_at(struct session_timers *t, struct bytes id, struct bytes record)
{
	struct bytes text = mp_find_str(record, "TTL");
	int64_t ttl_ns;

	if (text.size == 0 || duration_parse(text, &ttl_ns) != DURATION_OK || ttl_ns <= 0 || timer_find(t, id) != NULL)
		return;
	timer_add(t, id, ttl_ns);
}

static void
on_touch(void *ctx, struct bytes id)
{
	struct session_timers *t = ctx;

	if (t->running)
		mp_put_bytes(&t->touched, id);
}

void
session_timers_settle(struct session_timers *t)
{
	struct store_txn *txn;
	struct mp in;

	if (t->touched.used == 0)
		return;
	if (t->touched.overflow) {
		buf_clear(&t->touched);
		session_timers_start(t);
		return;
	}
	txn = store_read(t->c->store);
	in = mp_of(buf_bytes(&t->touched));
	while (txn != NULL && mp_peek(&in) == MP_STR) {
		struct bytes id = mp_str(&in), record;
		struct timer *timer;

		if (store_get(txn, STORE_SESSIONS, id, &record))
			session_look_at(t, id, record);
		else if ((timer = timer_find(t, id)) != NULL)
			timer_free(timer);
	}
	buf_clear(&t->touched);
}

void
session_timers_stop(struct session_timers *t)
{
	t->running = false;
	buf_clear(&t->touched);
	for (size_t i = 0; i < t->timers.size; i++)
		while (t->timers.buckets[i] != NULL)
			timer_free((struct timer *)t->timers.buckets[i]);
}

void
session_timers_start(struct session_timers *t)
{
	struct store_txn *txn = store_read(t->c->store);
	struct store_cursor c;

	session_timers_stop(t);
	t->running = true;
	if (txn == NULL)
		return;
	for (store_scan(&c, txn, STORE_SESSIONS, bytes_of(NULL, 0)); store_next(&c);)
		session_look_at(t, c.key, c.value);
	store_scan_end(&c);
}

size_t
session_timers_count(const struct session_timers *t)
{
	return t->timers.count;
}

/* ---- lateness ---- */

static void
rearm_all(struct session_timers *t)
{
	for (size_t i = 0; i < t->timers.size; i++)
		for (struct hash_node *n = t->timers.buckets[i]; n != NULL; n = n->next) {
			struct timer *timer = (struct timer *)n;

			if (!timer->ending)
				timer_arm(timer);
		}
}

/* Right after the loop has waited, before any callback. The beat bounds how long it waits, so a longer gap is a loop that was stopped or stuck. */
static void
on_check(struct ev_loop *loop, struct ev_check *w, int events)
{
	struct session_timers *t = w->data;
	int64_t now = monotime_now().ns;

	(void)loop, (void)events;
	if (t->running && t->timers.count > 0 && now - t->checked_ns > LATE_NS + (int64_t)(BEAT_S * (double)NS_PER_S)) {
		log_warnx(MODULE, "this process stood still, session TTLs begin again: late_ms=%lld",
		    (long long)((now - t->checked_ns) / NS_PER_MS));
		rearm_all(t);
	}
	t->checked_ns = now;
}

static void
on_beat(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)w, (void)events; /* on_check does the work */
}

struct session_timers *
session_timers_new(struct catalogd *c)
{
	struct session_timers *t = xcalloc(1, sizeof *t);

	t->c = c;
	t->checked_ns = monotime_now().ns;
	buf_init(&t->touched, 16u * 1024 * 1024);
	ev_timer_init(&t->beat, on_beat, BEAT_S, BEAT_S);
	ev_check_init(&t->check, on_check);
	ev_set_priority(&t->check, EV_MAXPRI);
	t->check.data = t;
	ev_check_start(c->loop, &t->check);
	ev_unref(c->loop);
	watch_observe(c->watch, WATCH_SESSION, on_touch, t);
	return t;
}

void
session_timers_free(struct session_timers *t)
{
	if (t == NULL)
		return;
	session_timers_stop(t);
	ev_ref(t->c->loop);
	ev_check_stop(t->c->loop, &t->check);
	hash_free(&t->timers);
	buf_free(&t->touched);
	free(t);
}

/* ---- renewing ---- */

/* Session.Renew: answered by the leader without a log entry. */
int
session_renew_write(struct write *w)
{
	struct session_specific_request request;
	struct bytes id, record;
	struct timer *timer;
	bool found;

	if (write_args(w, &session_specific_request_schema, &request) == -1)
		return -1;
	id = request.session_id.size > 0 ? request.session_id : request.session;
	w->answered = true;
	found = id.size > 0 && store_get(w->txn, STORE_SESSIONS, id, &record);
	mp_put_map(w->body, 1 + QUERY_META_PAIRS);
	mp_put_cstr(w->body, "Sessions");
	if (found) {
		mp_put_array(w->body, 1);
		buf_put_bytes(w->body, record);
	} else
		mp_put_nil(w->body);
	mp_put_kv_uint(w->body, "Index", found ? mp_find_uint(record, "ModifyIndex") : 0);
	mp_put_kv_int(w->body, "LastContact", 0);
	mp_put_kv_bool(w->body, "KnownLeader", false);
	mp_put_kv_cstr(w->body, "ConsistencyLevel", "");
	mp_put_kv_bool(w->body, "ResultsFilteredByACLs", false);
	if (found && (timer = timer_find(w->catalogd->session_timers, id)) != NULL && !timer->ending) {
		timer->attempts = 0;
		timer_arm(timer);
	}
	return 0;
}

/*
 * serf_leave.c - leaving in order, and saying of another one that it left (contract: serf.h, serf_internal.h)
 */
#include "serf_internal.h"

#include <stdlib.h>

#include "mem.h"

static void
leave_proceed(struct serf *s, uint64_t now)
{
	serf_done *left = s->left;

	timer_stop(s->timers, &s->leave_timer);
	switch (s->leave_stage) {
	case LEAVE_INTENT:
		s->leave_stage = LEAVE_SWIM;
		swim_leave(s->swim, now);
		timer_set(s->timers, &s->leave_timer, now + s->config.broadcast_timeout);
		break;
	case LEAVE_SWIM:
		s->leave_stage = LEAVE_PAUSE;
		/* time for the word to go round, if anybody hears it */
		timer_set(s->timers, &s->leave_timer, s->leave_alone ? now : now + s->config.leave_propagate_delay);
		break;
	case LEAVE_PAUSE:
		s->left = NULL;
		if (left != NULL)
			left(s->left_ctx, now);
		break;
	case LEAVE_NONE:
		break;
	}
}

static void
on_leave_timer(struct timer *t, uint64_t now)
{
	struct serf *s = t->ctx;

	if (s->leave_stage == LEAVE_INTENT && !s->leave_told && !s->leave_alone)
		serf_say(s, LOG_WARN_LEVEL, "serf: timeout while waiting for graceful leave");
	leave_proceed(s, now);
}

/* The word is out: on at the next look at the timers, since broadcasts are being taken just now. */
static void
on_leave_told(void *ctx, bool spread)
{
	struct serf *s = ctx;

	if (!spread || s->leave_stage != LEAVE_INTENT)
		return;
	s->leave_told = true;
	timer_set(s->timers, &s->leave_timer, 0);
}

void
serf_swim_left(struct serf *s)
{
	if (s->leave_stage == LEAVE_SWIM)
		timer_set(s->timers, &s->leave_timer, 0);
}

void
serf_leave(struct serf *s, serf_done *done, void *ctx, uint64_t now)
{
	struct serf_leave l = {.node = bytes_str(self_name(s))};
	struct buf out = BUF_INIT(MESSAGE_MAX);
	bool alone = swim_alive_count(s->swim) <= 1;

	s->left = done;
	s->left_ctx = ctx;
	s->leave_stage = LEAVE_INTENT;
	s->leave_alone = alone;
	l.ltime = clock_take(&s->clock.member);
	(void)intent_leave_take(s, &l, now);
	serf_body_put(&out, SERF_LEAVE, &serf_leave_schema, &l);
	if (!alone && broadcasts_put(s->intent_queue, (struct bytes){NULL, 0}, buf_bytes(&out), on_leave_told, s) == -1)
		alone = true; /* a name of such a length spreads by comparing states alone */
	timer_set(s->timers, &s->leave_timer, alone ? now : now + s->config.broadcast_timeout);
	buf_free(&out);
}

struct removal {
	struct ring of_serf;
	struct serf *serf;
	serf_told *done;
	void *ctx;
	struct timer end;
	bool told, over;
};

static void
removal_free(struct removal *r)
{
	timer_stop(r->serf->timers, &r->end);
	ring_remove(&r->of_serf);
	free(r);
}

static void
on_removal_end(struct timer *t, uint64_t now)
{
	struct removal *r = t->ctx;

	if (r->done != NULL)
		r->done(r->ctx, r->told ? NULL : "timed out broadcasting node removal", now);
	r->over = true;
	if (r->told)
		removal_free(r);
	/* else its broadcast is still queued, and tells of its end */
}

static void
on_removal_told(void *ctx, bool spread)
{
	struct removal *r = ctx;

	(void)spread;
	r->told = true;
	if (r->over)
		removal_free(r);
	else
		timer_set(r->serf->timers, &r->end, 0);
}

int
serf_force_leave(struct serf *s, struct bytes name, bool prune, serf_told *done, void *ctx, uint64_t now)
{
	struct serf_leave l = {.node = name, .prune = prune};
	struct buf out = BUF_INIT(MESSAGE_MAX);
	struct removal *r;

	if (member_find(s, name) == NULL)
		return -1;
	l.ltime = clock_take(&s->clock.member);
	serf_body_put(&out, SERF_LEAVE, &serf_leave_schema, &l);
	r = xcalloc(1, sizeof *r);
	*r = (struct removal){.serf = s, .done = done, .ctx = ctx};
	timer_init(&r->end, on_removal_end, r);
	ring_append(&s->removals, &r->of_serf);
	(void)intent_leave_take(s, &l, now);
	if (swim_alive_count(s->swim) > 1 &&
	    broadcasts_put(s->intent_queue, (struct bytes){NULL, 0}, buf_bytes(&out), on_removal_told, r) == 0)
		timer_set(s->timers, &r->end, now + s->config.broadcast_timeout);
	else
		on_removal_told(r, true);
	buf_free(&out);
	return 0;
}

void
serf_joined(struct serf *s, uint64_t now)
{
	struct serf_join j = {.ltime = s->clock.member, .node = bytes_str(self_name(s))};

	(void)intent_join_take(s, &j, now);
	intent_join_spread(s, j.ltime);
}

/* ---- life ---- */

void
leave_init(struct serf *s)
{
	ring_init(&s->removals);
	timer_init(&s->leave_timer, on_leave_timer, s);
}

void
leave_free(struct serf *s)
{
	timer_stop(s->timers, &s->leave_timer);
	while (!ring_empty(&s->removals))
		removal_free(RING_ENTRY(s->removals.next, struct removal, of_serf));
}

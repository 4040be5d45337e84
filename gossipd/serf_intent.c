/*
 * serf_intent.c - joins and leaves as they are announced, before, after or without what SWIM sees of them (contract: serf_internal.h;
 * callers: serf.c, serf_leave.c, serf_state.c)
 */
#include "serf_internal.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* ---- about names that are no members ---- */

struct intent *
intent_find(const struct serf *s, struct bytes name)
{
	for (struct hash_node *h = hash_first(&s->intents, hash_bytes(0, name)); h != NULL; h = hash_next(h)) {
		struct intent *i = RING_ENTRY(h, struct intent, by_name);

		if (bytes_equal(name, bytes_of(i->name, i->name_size)))
			return i;
	}
	return NULL;
}

void
intent_remove(struct serf *s, struct intent *i)
{
	hash_remove(&s->intents, &i->by_name);
	ring_remove(&i->by_age);
	free(i);
}

/* false: something newer is known. */
static bool
intent_store(struct serf *s, struct bytes name, enum serf_type type, uint64_t ltime, uint64_t now)
{
	struct intent *i = intent_find(s, name);

	if (i != NULL && ltime <= i->ltime)
		return false;
	if (i != NULL)
		intent_remove(s, i);
	if (s->intents.count >= INTENTS_MAX)
		intent_remove(s, RING_ENTRY(s->intents_by_age.next, struct intent, by_age));
	i = xcalloc(1, sizeof *i + name.size + 1);
	i->type = type;
	i->ltime = ltime;
	i->heard = now;
	i->name_size = name.size;
	memcpy(i->name, name.data, name.size);
	i->by_name.hash = hash_bytes(0, name);
	hash_insert(&s->intents, &i->by_name);
	ring_append(&s->intents_by_age, &i->by_age);
	return true;
}

void
intents_expire(struct serf *s, uint64_t now)
{
	while (!ring_empty(&s->intents_by_age)) {
		struct intent *i = RING_ENTRY(s->intents_by_age.next, struct intent, by_age);

		if (now - i->heard < s->config.recent_intent_timeout)
			return;
		intent_remove(s, i);
	}
}

void
intent_leave_spread(struct serf *s, struct bytes name, uint64_t ltime)
{
	struct serf_leave l = {.ltime = ltime, .node = name};
	struct buf out = BUF_INIT(MESSAGE_MAX);

	serf_body_put(&out, SERF_LEAVE, &serf_leave_schema, &l);
	serf_spread(s, s->intent_queue, buf_bytes(&out));
	buf_free(&out);
}

void
intents_init(struct serf *s)
{
	ring_init(&s->intents_by_age);
}

void
intents_free(struct serf *s)
{
	while (!ring_empty(&s->intents_by_age))
		intent_remove(s, RING_ENTRY(s->intents_by_age.next, struct intent, by_age));
	hash_free(&s->intents);
}

/* ---- what is said of members ---- */

void
intent_join_spread(struct serf *s, uint64_t ltime)
{
	struct serf_join j = {.ltime = ltime, .node = bytes_str(self_name(s))};
	struct buf out = BUF_INIT(MESSAGE_MAX);

	serf_body_put(&out, SERF_JOIN, &serf_join_schema, &j);
	serf_spread(s, s->intent_queue, buf_bytes(&out));
	buf_free(&out);
}

bool
intent_leave_take(struct serf *s, const struct serf_leave *l, uint64_t now)
{
	struct member_entry *e = member_find(s, l->node);

	clock_witness(&s->clock.member, l->ltime);
	if (e == NULL)
		return intent_store(s, l->node, SERF_LEAVE, l->ltime, now);
	if (l->ltime <= e->member.ltime)
		return false;
	if (s->leave_stage == LEAVE_NONE && bytes_is(l->node, self_name(s))) {
		serf_say(s, LOG_DEBUG_LEVEL, "serf: Refuting an older leave intent");
		intent_join_spread(s, s->clock.member);
		return false;
	}
	e->member.ltime = l->ltime;
	e->left_ltime = l->ltime;
	if (e->member.status == MEMBER_ALIVE)
		e->member.status = MEMBER_LEAVING;
	else if (e->member.status == MEMBER_FAILED) {
		e->member.status = MEMBER_LEFT;
		e->member.gone = now;
		member_event(s, SERF_MEMBER_LEAVE, &e->member, " (forced)", now);
	}
	if (l->prune)
		member_prune(s, e, now);
	return true;
}

bool
intent_join_take(struct serf *s, const struct serf_join *j, uint64_t now)
{
	struct member_entry *e = member_find(s, j->node);

	clock_witness(&s->clock.member, j->ltime);
	if (e == NULL)
		return intent_store(s, j->node, SERF_JOIN, j->ltime, now);
	if (j->ltime <= e->member.ltime)
		return false;
	e->member.ltime = j->ltime;
	if (e->member.status == MEMBER_LEAVING) {
		/* Who was told of one that came and was leaving (an older intent was waiting for it) has to hear that it stays. */
		e->member.status = MEMBER_ALIVE;
		s->ops->changed(s->ctx, SERF_MEMBER_UPDATE, &e->member, now);
	}
	return true;
}

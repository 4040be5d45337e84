/*
 * serf.c - members as people see them: what SWIM says of them, messages, reaping, reconnecting (contract: serf.h; callers: pool.c, the simulator)
 *
 * SWIM says that a node is gone; whether it left or failed is a question of intents: one that said that it would leave has left.
 */
#include "serf.h"

#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "mem.h"
#include "serf_internal.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)

struct serf_config
serf_config_consul(void)
{
	return (struct serf_config){
	    .reap_interval = 15 * S,
	    .reconnect_interval = 30 * S,
	    .reconnect_timeout = 72 * 3600 * S,
	    .tombstone_timeout = 24 * 3600 * S,
	    .recent_intent_timeout = 300 * S,
	    .broadcast_timeout = 5 * S,
	    .leave_propagate_delay = 3 * S,
	    .queue_check_interval = 30 * S,
	    .gossip_interval = 200 * MS,
	    .retransmit_mult = 4,
	    .query_timeout_mult = 16,
	    .queue_min = 4096,
	};
}

void
serf_say(const struct serf *s, enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	s->ops->say(s->ctx, level, fmt, args);
	va_end(args);
}

const char *
self_name(const struct serf *s)
{
	return swim_self(s->swim)->card->name;
}

void
serf_body_put(struct buf *out, enum serf_type type, const struct schema *schema, const void *body)
{
	buf_put_u8(out, (uint8_t)type);
	schema_encode(schema, body, out);
}

const char *
serf_status_name(enum member_status status)
{
	static const char *const names[] = {"none", "alive", "leaving", "left", "failed"};

	return names[status];
}

/* ---- members ---- */

/* What happened to it, for the log and for whoever listens. */
void
member_event(struct serf *s, enum serf_change change, const struct serf_member *m, const char *how, uint64_t now)
{
	static const char *const names[] = {"Join", "Leave", "Failed", "Update", "Reap"};
	char ip[SWIM_ADDRESS_TEXT_MAX];

	if (change == SERF_MEMBER_UPDATE)
		serf_say(s, LOG_INFO_LEVEL, "serf: EventMemberUpdate: %s", m->card->name);
	else
		serf_say(s, LOG_INFO_LEVEL, "serf: EventMember%s%s: %s %s", names[change], how, m->card->name,
		    swim_ip_text(&m->card->address, ip));
	s->ops->changed(s->ctx, change, m, now);
}

struct member_entry *
member_find(const struct serf *s, struct bytes name)
{
	for (struct hash_node *h = hash_first(&s->names, hash_bytes(0, name)); h != NULL; h = hash_next(h)) {
		struct member_entry *e = RING_ENTRY(h, struct member_entry, by_name);

		if (bytes_is(name, e->member.card->name))
			return e;
	}
	return NULL;
}

static struct member_entry *
member_add(struct serf *s, const struct swim_card *says)
{
	struct member_entry *e = xcalloc(1, sizeof *e);

	e->member.card = swim_card_hold(says);
	e->by_name.hash = hash_bytes(0, bytes_str(says->name));
	hash_insert(&s->names, &e->by_name);
	if (s->count == s->size) {
		s->size = s->size == 0 ? 8 : s->size * 2;
		s->members = xreallocarray(s->members, s->size, sizeof(struct member_entry *));
	}
	e->place = s->count;
	s->members[s->count++] = e;
	return e;
}

static void
member_refresh(struct member_entry *e, const struct swim_card *says)
{
	const struct swim_card *before = e->member.card;

	e->member.card = swim_card_hold(says);
	swim_card_release(before);
}

/* ---- members forgotten ---- */

struct pruning {
	struct timer due;
	struct serf *serf;
	struct member_entry *entry;
};

static void
prune_stop(struct serf *s, struct member_entry *e)
{
	if (e->pruning == NULL)
		return;
	timer_stop(s->timers, &e->pruning->due);
	free(e->pruning);
	e->pruning = NULL;
}

static void
member_free(struct serf *s, struct member_entry *e)
{
	prune_stop(s, e);
	swim_card_release(e->member.card);
	free(e);
}

static void
member_reap(struct serf *s, struct member_entry *e, const char *how, uint64_t now)
{
	hash_remove(&s->names, &e->by_name);
	s->members[e->place] = s->members[--s->count];
	s->members[e->place]->place = e->place;
	member_event(s, SERF_MEMBER_REAP, &e->member, how, now);
	member_free(s, e);
}

static void
on_prune(struct timer *t, uint64_t now)
{
	const struct pruning *p = t->ctx;

	member_reap(p->serf, p->entry, " (forced)", now);
}

void
member_prune(struct serf *s, struct member_entry *e, uint64_t now)
{
	uint64_t pause = s->config.broadcast_timeout + s->config.leave_propagate_delay;

	if (e->pruning == NULL) {
		e->pruning = xcalloc(1, sizeof *e->pruning);
		e->pruning->serf = s;
		e->pruning->entry = e;
		timer_init(&e->pruning->due, on_prune, e->pruning);
	}
	timer_set(s->timers, &e->pruning->due, now + (e->member.status == MEMBER_LEAVING ? pause : 0));
}

void
serf_spread(struct serf *s, struct broadcasts *queue, struct bytes message)
{
	if (broadcasts_put(queue, (struct bytes){NULL, 0}, message, NULL, NULL) == -1)
		serf_say(s, LOG_WARN_LEVEL, "serf: a message is too long to be told: bytes=%zu", message.size);
}

/* ---- what SWIM says ---- */

static void
member_joins(struct serf *s, const struct swim_member *m, uint64_t now)
{
	struct bytes name = bytes_str(m->card->name);
	struct member_entry *e = member_find(s, name);
	struct intent *i;

	if (e == NULL) {
		e = member_add(s, m->card);
		e->member.status = MEMBER_ALIVE;
		i = intent_find(s, name);
		if (i != NULL) {
			e->member.ltime = i->ltime;
			if (i->type == SERF_LEAVE) {
				e->member.status = MEMBER_LEAVING;
				e->left_ltime = i->ltime;
				intent_leave_spread(s, name, i->ltime);
			}
			intent_remove(s, i);
		}
	} else {
		e->member.status = MEMBER_ALIVE;
		e->member.gone = 0;
		prune_stop(s, e);
	}
	member_refresh(e, m->card);
	member_event(s, SERF_MEMBER_JOIN, &e->member, "", now);
}

static void
member_leaves(struct serf *s, const struct swim_member *m, uint64_t now)
{
	struct member_entry *e = member_find(s, bytes_str(m->card->name));

	if (e == NULL)
		return;
	if (e->member.status == MEMBER_ALIVE && m->state == GOSSIP_STATE_LEFT) {
		/* its own word that it goes is enough, should the intent have been lost on the way: as if it had come */
		e->member.status = MEMBER_LEAVING;
		e->left_ltime = ++e->member.ltime;
		clock_witness(&s->clock.member, e->left_ltime);
	}
	if (e->member.status == MEMBER_LEAVING) {
		e->member.status = MEMBER_LEFT;
		e->member.gone = now;
		member_event(s, SERF_MEMBER_LEAVE, &e->member, "", now);
	} else if (e->member.status == MEMBER_ALIVE) {
		e->member.status = MEMBER_FAILED;
		e->member.gone = now;
		member_event(s, SERF_MEMBER_FAILED, &e->member, "", now);
	}
}

void
serf_swim_changed(struct serf *s, enum swim_change change, const struct swim_member *m, uint64_t now)
{
	struct member_entry *e;

	switch (change) {
	case SWIM_JOIN:
		member_joins(s, m, now);
		break;
	case SWIM_LEAVE:
		member_leaves(s, m, now);
		break;
	case SWIM_UPDATE:
		e = member_find(s, bytes_str(m->card->name));
		if (e == NULL)
			break;
		member_refresh(e, m->card);
		member_event(s, SERF_MEMBER_UPDATE, &e->member, "", now);
		break;
	}
}

void
serf_swim_conflict(struct serf *s, const struct swim_member *m, const struct swim_address *other, uint64_t now)
{
	char a[SWIM_ADDRESS_TEXT_MAX], b[SWIM_ADDRESS_TEXT_MAX];

	if (m != swim_self(s->swim)) {
		serf_say(s, LOG_WARN_LEVEL, "serf: Name conflict for '%s' both %s and %s are claiming", m->card->name,
		    swim_address_text(&m->card->address, a), swim_address_text(other, b));
		return;
	}
	serf_say(s, LOG_ERROR_LEVEL,
	    "serf: Node name conflicts with another node at %s. Names must be unique! (Resolution enabled: %s)",
	    swim_address_text(other, b), s->config.resolve_conflicts ? "true" : "false");
	if (s->config.resolve_conflicts)
		conflict_vote(s, now);
}

/* ---- messages ---- */

void
serf_message(struct serf *s, struct bytes message, uint64_t now)
{
	struct bytes body = bytes_of(message.data + 1, message.size - 1);
	union {
		struct serf_leave leave;
		struct serf_join join;
		struct serf_event event;
		struct serf_query query;
		struct serf_query_response response;
	} m;
	const char *error = NULL;

	if (message.size == 0)
		return;
	switch (message.data[0]) {
	case SERF_LEAVE:
		if (schema_decode(&serf_leave_schema, body, &m.leave, &error) == 0 && swim_is_name(m.leave.node) &&
		    intent_leave_take(s, &m.leave, now))
			serf_spread(s, s->intent_queue, message);
		break;
	case SERF_JOIN:
		if (schema_decode(&serf_join_schema, body, &m.join, &error) == 0 && swim_is_name(m.join.node) &&
		    intent_join_take(s, &m.join, now))
			serf_spread(s, s->intent_queue, message);
		break;
	case SERF_USER_EVENT:
		if (schema_decode(&serf_event_schema, body, &m.event, &error) == 0 && event_take(s, &m.event))
			serf_spread(s, s->event_queue, message);
		break;
	case SERF_QUERY:
		if (schema_decode(&serf_query_schema, body, &m.query, &error) == 0)
			query_take(s, &m.query, message, now);
		break;
	case SERF_QUERY_RESPONSE:
		if (schema_decode(&serf_query_response_schema, body, &m.response, &error) == 0)
			response_take(s, &m.response, now);
		break;
	case SERF_RELAY:
		relay_take(s, body);
		break;
	default:
		serf_say(s, LOG_WARN_LEVEL, "serf: Received message of unknown type: %u", message.data[0]);
	}
	if (error != NULL)
		serf_say(s, LOG_DEBUG_LEVEL, "serf: Error decoding message: %s", error);
}

size_t
serf_broadcasts(struct serf *s, size_t overhead, size_t limit, void (*each)(void *ctx, struct bytes message), void *ctx)
{
	size_t used = broadcasts_take(s->intent_queue, overhead, limit, SIZE_MAX, each, ctx);

	used += broadcasts_take(s->query_queue, overhead, limit - used, SIZE_MAX, each, ctx);
	return used + broadcasts_take(s->event_queue, overhead, limit - used, SIZE_MAX, each, ctx);
}

/* ---- ticks ---- */

static uint64_t
timeout_of(const struct serf *s, const struct serf_member *m)
{
	/* a member may ask to be forgotten sooner or later than others */
	struct bytes text = serf_tag(m->card->meta, "rc_tm");
	int64_t own;

	if (text.size > 0 && duration_parse(text, &own) == 0 && own > 0)
		return (uint64_t)own;
	return m->status == MEMBER_LEFT ? s->config.tombstone_timeout : s->config.reconnect_timeout;
}

static void
on_reap(struct timer *t, uint64_t now)
{
	struct serf *s = t->ctx;

	timer_set(s->timers, t, now + s->config.reap_interval);
	intents_expire(s, now);
	for (size_t i = 0; i < s->count;) {
		struct member_entry *e = s->members[i];
		const struct serf_member *m = &e->member;

		if ((m->status == MEMBER_LEFT || m->status == MEMBER_FAILED) && now - m->gone > timeout_of(s, m)) {
			member_reap(s, e, "", now);
		} else
			i++;
	}
}

static void
on_reconnect(struct timer *t, uint64_t now)
{
	struct serf *s = t->ctx;
	size_t failed = serf_count_of(s, MEMBER_FAILED), left = serf_count_of(s, MEMBER_LEFT), others, chosen;

	timer_set(s->timers, t, now + s->config.reconnect_interval);
	if (failed == 0 || s->leave_stage != LEAVE_NONE)
		return;
	/* all members together try some one of the failed ones each time */
	others = MAX(s->count - failed - left, 1);
	if (failed < others && s->ops->random(s->ctx, others) >= failed)
		return;
	chosen = (size_t)s->ops->random(s->ctx, failed);
	for (size_t i = 0; i < s->count; i++)
		if (s->members[i]->member.status == MEMBER_FAILED && chosen-- == 0) {
			char address[SWIM_ADDRESS_TEXT_MAX];

			serf_say(s, LOG_INFO_LEVEL, "serf: attempting reconnect to %s %s",
			    s->members[i]->member.card->name,
			    swim_address_text(&s->members[i]->member.card->address, address));
			s->ops->reconnect(s->ctx, &s->members[i]->member);
			return;
		}
}

static void
on_queue_check(struct timer *t, uint64_t now)
{
	struct serf *s = t->ctx;
	size_t max = MAX(s->config.queue_min, 2 * s->count), dropped;

	timer_set(s->timers, t, now + s->config.queue_check_interval);
	dropped = broadcasts_prune(s->intent_queue, max) + broadcasts_prune(s->event_queue, max) +
		  broadcasts_prune(s->query_queue, max);
	if (dropped > 0)
		serf_say(s, LOG_WARN_LEVEL, "serf: queue depth exceeds limit, dropping messages: count=%zu", dropped);
}

/* ---- life ---- */

struct serf *
serf_new(const struct serf_config *config, const struct serf_ops *ops, void *ctx, struct timers *timers,
    const struct serf_clocks *snapshot)
{
	struct serf *s = xcalloc(1, sizeof *s);

	s->config = *config;
	s->ops = ops;
	s->ctx = ctx;
	s->timers = timers;
	s->clock = (struct serf_clocks){1, 1, 1};
	clock_witness(&s->clock.member, snapshot->member);
	if (snapshot->event > 0) {
		clock_witness(&s->clock.event, snapshot->event);
		s->event_min = snapshot->event + 1;
	}
	if (snapshot->query > 0) {
		clock_witness(&s->clock.query, snapshot->query);
		s->query_min = snapshot->query + 1;
	}
	ring_init(&s->questions);
	s->intent_queue = broadcasts_new(config->retransmit_mult, &s->count);
	s->event_queue = broadcasts_new(config->retransmit_mult, &s->count);
	s->query_queue = broadcasts_new(config->retransmit_mult, &s->count);
	timer_init(&s->reap, on_reap, s);
	timer_init(&s->reconnect, on_reconnect, s);
	timer_init(&s->queue_check, on_queue_check, s);
	intents_init(s);
	leave_init(s);
	return s;
}

void
serf_start(struct serf *s, struct swim *swim, uint64_t now)
{
	s->swim = swim;
	timer_set(s->timers, &s->reap, now + s->config.reap_interval);
	timer_set(s->timers, &s->reconnect, now + s->config.reconnect_interval);
	timer_set(s->timers, &s->queue_check, now + s->config.queue_check_interval);
}

void
serf_free(struct serf *s)
{
	if (s == NULL)
		return;
	timer_stop(s->timers, &s->reap);
	timer_stop(s->timers, &s->reconnect);
	timer_stop(s->timers, &s->queue_check);
	events_free(s);
	intents_free(s);
	leave_free(s);
	for (size_t i = 0; i < s->count; i++)
		member_free(s, s->members[i]);
	free(s->members);
	hash_free(&s->names);
	broadcasts_free(s->intent_queue);
	broadcasts_free(s->event_queue);
	broadcasts_free(s->query_queue);
	free(s);
}

/* ---- state ---- */

size_t
serf_count(const struct serf *s)
{
	return s->count;
}

const size_t *
serf_count_pointer(const struct serf *s)
{
	return &s->count;
}

const struct serf_member *
serf_at(const struct serf *s, size_t i)
{
	return &s->members[i]->member;
}

const struct serf_member *
serf_find(const struct serf *s, struct bytes name)
{
	const struct member_entry *e = member_find(s, name);

	return e == NULL ? NULL : &e->member;
}

size_t
serf_count_of(const struct serf *s, enum member_status status)
{
	size_t count = 0;

	for (size_t i = 0; i < s->count; i++)
		count += s->members[i]->member.status == status;
	return count;
}

struct serf_clocks
serf_clocks(const struct serf *s)
{
	return s->clock;
}

struct serf_queues
serf_queues(const struct serf *s)
{
	return (struct serf_queues){
	    broadcasts_count(s->intent_queue), broadcasts_count(s->event_queue), broadcasts_count(s->query_queue)};
}

/*
 * serf.c - members as people see them, intents, leaving, reaping (contract: serf.h; callers: pool.c, the simulator)
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
#define TAGS_MAGIC 0xff

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
	return swim_self(s->swim)->name;
}

void
serf_body_put(struct buf *out, enum serf_type type, const struct schema *schema, const void *body)
{
	buf_put_u8(out, (uint8_t)type);
	schema_encode(schema, body, out);
}

/* ---- tags ---- */

/* In a map of text to text. */
static struct bytes
map_value(struct bytes map, const char *key)
{
	struct mp value;

	return map.size > 0 && mp_find(mp_of(map), key, &value) ? mp_str(&value) : (struct bytes){NULL, 0};
}

static bool
has_map(struct bytes meta)
{
	struct mp in = mp_of(bytes_of(meta.data + 1, meta.size == 0 ? 0 : meta.size - 1));

	return meta.size > 1 && meta.data[0] == TAGS_MAGIC && mp_peek(&in) == MP_MAP;
}

struct bytes
serf_tag(struct bytes meta, const char *name)
{
	if (has_map(meta))
		return map_value(bytes_of(meta.data + 1, meta.size - 1), name);
	if (meta.size > 0 && meta.data[0] != TAGS_MAGIC && strcmp(name, "role") == 0)
		return meta;
	return (struct bytes){NULL, 0};
}

void
serf_tags_put(struct bytes meta, struct buf *out)
{
	struct mp in = mp_of(bytes_of(meta.data + 1, meta.size == 0 ? 0 : meta.size - 1));
	uint32_t pairs, count = 0;
	size_t place = mp_open_map(out);

	if (has_map(meta)) {
		pairs = mp_map(&in);
		for (; count < pairs && mp_peek(&in) == MP_STR; count++) {
			mp_put_bytes(out, mp_str(&in));
			mp_put_bytes(out, mp_peek(&in) == MP_STR ? mp_str(&in) : (struct bytes){NULL, 0});
			if (!mp_ok(&in))
				break;
		}
	} else if (meta.size > 0 && meta.data[0] != TAGS_MAGIC) {
		mp_put_kv_str(out, "role", meta);
		count = 1;
	}
	mp_close(out, place, count);
}

int
serf_meta_put(struct bytes tags, struct buf *out)
{
	if (tags.size + 1 > GOSSIP_META_MAX)
		return -1;
	buf_put_u8(out, TAGS_MAGIC);
	buf_put_bytes(out, tags);
	return 0;
}

const char *
serf_status_name(enum member_status status)
{
	static const char *const names[] = {"none", "alive", "leaving", "left", "failed"};

	return names[status];
}

/* ---- members ---- */

/* What happened to it, for the log and for whoever listens. */
static void
member_event(struct serf *s, enum serf_change change, const struct serf_member *m, const char *how, uint64_t now)
{
	static const char *const names[] = {"Join", "Leave", "Failed", "Update", "Reap"};
	char ip[SWIM_ADDRESS_TEXT_MAX];

	if (change == SERF_MEMBER_UPDATE)
		serf_say(s, LOG_INFO_LEVEL, "serf: EventMemberUpdate: %s", m->name);
	else
		serf_say(s, LOG_INFO_LEVEL, "serf: EventMember%s%s: %s %s", names[change], how, m->name,
		    swim_ip_text(&m->address, ip));
	s->ops->changed(s->ctx, change, m, now);
}

struct member_entry *
member_find(const struct serf *s, struct bytes name)
{
	for (struct hash_node *h = hash_first(&s->names, hash_bytes(0, name)); h != NULL; h = hash_next(h)) {
		struct member_entry *e = RING_ENTRY(h, struct member_entry, by_name);

		if (bytes_is(name, e->name))
			return e;
	}
	return NULL;
}

static void on_prune(struct timer *t, uint64_t now);

static struct member_entry *
member_add(struct serf *s, struct bytes name)
{
	struct member_entry *e = xcalloc(1, sizeof *e + name.size + 1);

	memcpy(e->name, name.data, name.size);
	e->member.name = e->name;
	e->serf = s;
	timer_init(&e->prune, on_prune, e);
	e->by_name.hash = hash_bytes(0, name);
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
member_free(struct serf *s, struct member_entry *e)
{
	timer_stop(s->timers, &e->prune);
	free(e->meta);
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
	struct member_entry *e = t->ctx;

	member_reap(e->serf, e, " (forced)", now);
}

static void
member_refresh(struct member_entry *e, const struct swim_member *m)
{
	e->member.address = m->address;
	memcpy(e->member.vsn, m->vsn, sizeof e->member.vsn);
	if (e->meta == NULL || m->meta.size != e->member.meta.size)
		e->meta = xreallocarray(e->meta, m->meta.size + 1, 1);
	if (m->meta.size > 0)
		memcpy(e->meta, m->meta.data, m->meta.size);
	e->member.meta = bytes_of(e->meta, m->meta.size);
}

/* ---- intents about names that are no members ---- */

static struct intent *
intent_find(const struct serf *s, struct bytes name)
{
	for (struct hash_node *h = hash_first(&s->intents, hash_bytes(0, name)); h != NULL; h = hash_next(h)) {
		struct intent *i = RING_ENTRY(h, struct intent, by_name);

		if (bytes_equal(name, bytes_of(i->name, i->name_size)))
			return i;
	}
	return NULL;
}

static void
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

static void
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
serf_spread(struct serf *s, struct broadcasts *queue, struct bytes message)
{
	if (broadcasts_put(queue, (struct bytes){NULL, 0}, message, NULL, NULL) == -1)
		serf_say(s, LOG_WARN_LEVEL, "serf: a message is too long to be told: bytes=%zu", message.size);
}

/* What is said of a member that we see alive: it shall hear of it, and say otherwise if it is old news. */
static void
leave_spread(struct serf *s, struct bytes name, uint64_t ltime)
{
	struct serf_leave l = {.ltime = ltime, .node = name};
	struct buf out = BUF_INIT(MESSAGE_MAX);

	serf_body_put(&out, SERF_LEAVE, &serf_leave_schema, &l);
	serf_spread(s, s->intent_queue, buf_bytes(&out));
	buf_free(&out);
}

/* ---- what SWIM says ---- */

static void
member_joins(struct serf *s, const struct swim_member *m, uint64_t now)
{
	struct bytes name = bytes_str(m->name);
	struct member_entry *e = member_find(s, name);
	struct intent *i;

	if (e == NULL) {
		e = member_add(s, name);
		e->member.status = MEMBER_ALIVE;
		i = intent_find(s, name);
		if (i != NULL) {
			e->member.ltime = i->ltime;
			if (i->type == SERF_LEAVE) {
				e->member.status = MEMBER_LEAVING;
				e->left_ltime = i->ltime;
				leave_spread(s, name, i->ltime);
			}
			intent_remove(s, i);
		}
	} else {
		e->member.status = MEMBER_ALIVE;
		e->member.gone = 0;
		timer_stop(s->timers, &e->prune);
	}
	member_refresh(e, m);
	member_event(s, SERF_MEMBER_JOIN, &e->member, "", now);
}

static void
member_leaves(struct serf *s, const struct swim_member *m, uint64_t now)
{
	struct member_entry *e = member_find(s, bytes_str(m->name));

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
		e = member_find(s, bytes_str(m->name));
		if (e == NULL)
			break;
		member_refresh(e, m);
		member_event(s, SERF_MEMBER_UPDATE, &e->member, "", now);
		break;
	}
}

void
serf_swim_conflict(struct serf *s, const struct swim_member *m, const struct swim_address *other, uint64_t now)
{
	char a[SWIM_ADDRESS_TEXT_MAX], b[SWIM_ADDRESS_TEXT_MAX];

	if (m != swim_self(s->swim)) {
		serf_say(s, LOG_WARN_LEVEL, "serf: Name conflict for '%s' both %s and %s are claiming", m->name,
		    swim_address_text(&m->address, a), swim_address_text(other, b));
		return;
	}
	serf_say(s, LOG_ERROR_LEVEL,
	    "serf: Node name conflicts with another node at %s. Names must be unique! (Resolution enabled: %s)",
	    swim_address_text(other, b), s->config.resolve_conflicts ? "true" : "false");
	if (s->config.resolve_conflicts)
		conflict_vote(s, now);
}

/* ---- intents ---- */

static void
join_spread(struct serf *s, uint64_t ltime)
{
	struct serf_join j = {.ltime = ltime, .node = bytes_str(self_name(s))};
	struct buf out = BUF_INIT(MESSAGE_MAX);

	serf_body_put(&out, SERF_JOIN, &serf_join_schema, &j);
	serf_spread(s, s->intent_queue, buf_bytes(&out));
	buf_free(&out);
}

/* Forgets it; one that is leaving after its leave had time to spread. */
static void
member_prune(struct serf *s, struct member_entry *e, uint64_t now)
{
	if (e->member.status == MEMBER_LEAVING)
		timer_set(s->timers, &e->prune, now + s->config.broadcast_timeout + s->config.leave_propagate_delay);
	else
		timer_set(s->timers, &e->prune, now);
}

/* true: it is news, to be told on. */
static bool
leave_take(struct serf *s, const struct serf_leave *l, uint64_t now)
{
	struct member_entry *e = member_find(s, l->node);

	clock_witness(&s->clock.member, l->ltime);
	if (e == NULL)
		return intent_store(s, l->node, SERF_LEAVE, l->ltime, now);
	if (l->ltime <= e->member.ltime)
		return false;
	if (s->leave_stage == LEAVE_NONE && bytes_is(l->node, self_name(s))) {
		serf_say(s, LOG_DEBUG_LEVEL, "serf: Refuting an older leave intent");
		join_spread(s, s->clock.member);
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

static bool
join_take(struct serf *s, const struct serf_join *j, uint64_t now)
{
	struct member_entry *e = member_find(s, j->node);

	clock_witness(&s->clock.member, j->ltime);
	if (e == NULL)
		return intent_store(s, j->node, SERF_JOIN, j->ltime, now);
	if (j->ltime <= e->member.ltime)
		return false;
	e->member.ltime = j->ltime;
	if (e->member.status == MEMBER_LEAVING)
		e->member.status = MEMBER_ALIVE;
	return true;
}

/* ---- messages ---- */

static bool
is_name(struct bytes name)
{
	return name.size > 0 && name.size < SWIM_NAME_MAX && memchr(name.data, 0, name.size) == NULL;
}

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
		if (schema_decode(&serf_leave_schema, body, &m.leave, &error) == 0 && is_name(m.leave.node) &&
		    leave_take(s, &m.leave, now))
			serf_spread(s, s->intent_queue, message);
		break;
	case SERF_JOIN:
		if (schema_decode(&serf_join_schema, body, &m.join, &error) == 0 && is_name(m.join.node) &&
		    join_take(s, &m.join, now))
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

/* ---- states compared ---- */

void
serf_state_put(const struct serf *s, struct buf *out)
{
	struct buf events = BUF_INIT(GOSSIP_STREAM_MAX), left = BUF_INIT(GOSSIP_STREAM_MAX),
		   ltimes = BUF_INIT(GOSSIP_STREAM_MAX);
	struct serf_push_pull p = {
	    .event_ltime = s->clock.event, .ltime = s->clock.member, .query_ltime = s->clock.query};
	size_t place = mp_open_array(&left);
	uint32_t gone = 0;

	mp_put_map(&ltimes, (uint32_t)s->count);
	for (size_t i = 0; i < s->count; i++) {
		const struct serf_member *m = &s->members[i]->member;

		if (m->status == MEMBER_LEFT && m->ltime == s->members[i]->left_ltime) {
			mp_put_cstr(&left, m->name);
			gone++;
		}
		mp_put_kv_uint(&ltimes, m->name, m->ltime);
	}
	mp_close(&left, place, gone);
	events_put(s, &events);
	p.events = buf_bytes(&events);
	p.left_members = buf_bytes(&left);
	p.status_ltimes = buf_bytes(&ltimes);
	serf_body_put(out, SERF_PUSH_PULL, &serf_push_pull_schema, &p);
	buf_free(&events);
	buf_free(&left);
	buf_free(&ltimes);
}

static void
clock_witness_state(uint64_t *clock, uint64_t time)
{
	if (time > 0) /* theirs is what comes next */
		clock_witness(clock, time - 1);
}

/* Linear in the list, which is the tombstones of one pool. */
static bool
list_has(struct bytes list, struct bytes name)
{
	struct mp in = mp_of(list);

	for (uint32_t n = list.size > 0 ? mp_array(&in) : 0; n > 0 && mp_ok(&in); n--)
		if (bytes_equal(mp_str(&in), name))
			return true;
	return false;
}

/*
 * Somebody lists it as left, by an intent of that time. (Others of the serf kind add one step at each such merge, so that times of the gone creep
 * up to where those of the living are; there is no need.) Heard by us alone, one that lives would be leaving for us for ever.
 */
static void
left_merge(struct serf *s, struct bytes name, uint64_t ltime, uint64_t now)
{
	const struct member_entry *e = member_find(s, name);
	struct serf_leave l = {.ltime = ltime, .node = name};
	bool was_alive = e != NULL && e->member.status == MEMBER_ALIVE;

	if (leave_take(s, &l, now) && was_alive)
		leave_spread(s, name, ltime);
}

static void
intents_merge(struct serf *s, const struct serf_push_pull *p, uint64_t now)
{
	struct mp ltimes = mp_of(p->status_ltimes);
	uint32_t count = p->status_ltimes.size > 0 && mp_peek(&ltimes) == MP_MAP ? mp_map(&ltimes) : 0;

	for (; count > 0 && mp_ok(&ltimes); count--) {
		struct bytes name = mp_str(&ltimes);
		uint64_t ltime = mp_uint(&ltimes);

		if (!mp_ok(&ltimes) || !is_name(name))
			continue;
		if (list_has(p->left_members, name))
			left_merge(s, name, ltime, now);
		else
			(void)join_take(s, &(struct serf_join){.ltime = ltime, .node = name}, now);
	}
}

void
serf_state_merge(struct serf *s, struct bytes state, bool join, uint64_t now)
{
	struct serf_push_pull p;
	const char *error;

	if (state.size == 0 || state.data[0] != SERF_PUSH_PULL) {
		serf_say(s, LOG_ERROR_LEVEL, "serf: Remote state has bad type prefix: %u",
		    state.size == 0 ? 0 : state.data[0]);
		return;
	}
	if (schema_decode(&serf_push_pull_schema, bytes_of(state.data + 1, state.size - 1), &p, &error) == -1) {
		serf_say(s, LOG_ERROR_LEVEL, "serf: Failed to decode remote state: %s", error);
		return;
	}
	clock_witness_state(&s->clock.member, p.ltime);
	clock_witness_state(&s->clock.event, p.event_ltime);
	clock_witness_state(&s->clock.query, p.query_ltime);
	intents_merge(s, &p, now);
	if (join) /* what was said before we came is not for us */
		s->event_min = MAX(s->event_min, p.event_ltime);
	events_merge(s, p.events);
}

/* ---- ticks ---- */

static uint64_t
timeout_of(const struct serf *s, const struct serf_member *m)
{
	/* a member may ask to be forgotten sooner or later than others */
	struct bytes text = serf_tag(m->meta, "rc_tm");
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

			serf_say(s, LOG_INFO_LEVEL, "serf: attempting reconnect to %s %s", s->members[i]->name,
			    swim_address_text(&s->members[i]->member.address, address));
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

/* ---- leaving ---- */

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
	(void)leave_take(s, &l, now);
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
	(void)leave_take(s, &l, now);
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

	(void)join_take(s, &j, now);
	join_spread(s, j.ltime);
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
	ring_init(&s->intents_by_age);
	ring_init(&s->questions);
	ring_init(&s->removals);
	s->intent_queue = broadcasts_new(config->retransmit_mult, &s->count);
	s->event_queue = broadcasts_new(config->retransmit_mult, &s->count);
	s->query_queue = broadcasts_new(config->retransmit_mult, &s->count);
	timer_init(&s->reap, on_reap, s);
	timer_init(&s->reconnect, on_reconnect, s);
	timer_init(&s->queue_check, on_queue_check, s);
	timer_init(&s->leave_timer, on_leave_timer, s);
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
	timer_stop(s->timers, &s->leave_timer);
	events_free(s);
	while (!ring_empty(&s->intents_by_age))
		intent_remove(s, RING_ENTRY(s->intents_by_age.next, struct intent, by_age));
	while (!ring_empty(&s->removals))
		removal_free(RING_ENTRY(s->removals.next, struct removal, of_serf));
	for (size_t i = 0; i < s->count; i++)
		member_free(s, s->members[i]);
	free(s->members);
	hash_free(&s->names);
	hash_free(&s->intents);
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

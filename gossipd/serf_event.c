/*
 * serf_event.c - user events, queries and their answers (contract: serf.h, serf_internal.h)
 *
 * What was seen lately lies in rings of 512 slots by Lamport time: an event by its name and payload, a query by its number. So each is
 * taken once, whatever way and however often it comes; what is older than the ring is dropped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter_regex.h"
#include "mem.h"
#include "serf_internal.h"

#define INTERNAL_PREFIX "_serf_"
#define REGEX_ERROR_MAX 128
#define RELAY_MAX 5
#define KEYS_BYTES_MAX (16u * 1024)

/* ---- events ---- */

static bool
is_too_old(uint64_t clock, uint64_t ltime)
{
	return clock > BUFFER_SLOTS && ltime < clock - BUFFER_SLOTS;
}

static void
slot_clear(struct event_slot *slot)
{
	while (slot->first != NULL) {
		struct buffered_event *e = slot->first;

		slot->first = e->next;
		free(e);
	}
	slot->last = &slot->first;
	slot->count = 0;
}

static bool
slot_has(const struct event_slot *slot, struct bytes name, struct bytes payload)
{
	for (const struct buffered_event *e = slot->first; e != NULL; e = e->next)
		if (bytes_equal(bytes_of(e->bytes, e->name_size), name) &&
		    bytes_equal(bytes_of(e->bytes + e->name_size, e->payload_size), payload))
			return true;
	return false;
}

static void
slot_add(struct event_slot *slot, struct bytes name, struct bytes payload)
{
	struct buffered_event *e = xcalloc(1, sizeof *e + name.size + payload.size);

	e->name_size = name.size;
	e->payload_size = payload.size;
	if (name.size > 0)
		memcpy(e->bytes, name.data, name.size);
	if (payload.size > 0)
		memcpy(e->bytes + name.size, payload.data, payload.size);
	*slot->last = e;
	slot->last = &e->next;
	slot->count++;
}

bool
event_take(struct serf *s, const struct serf_event *e)
{
	struct event_slot **at = &s->events[e->ltime % BUFFER_SLOTS], *slot = *at;

	clock_witness(&s->clock.event, e->ltime);
	if (e->ltime < s->event_min)
		return false;
	if (is_too_old(s->clock.event, e->ltime)) {
		serf_say(s, LOG_WARN_LEVEL, "serf: received old event %.*s from time %llu (current: %llu)",
		    (int)MIN(e->name.size, 128), (const char *)e->name.data, (unsigned long long)e->ltime,
		    (unsigned long long)s->clock.event);
		return false;
	}
	if (slot == NULL) {
		slot = *at = xcalloc(1, sizeof *slot);
		slot->last = &slot->first;
	} else if (slot->ltime != e->ltime) {
		slot_clear(slot);
	} else if (slot_has(slot, e->name, e->payload) || slot->count == SLOT_EVENTS_MAX) {
		return false;
	}
	slot->ltime = e->ltime;
	slot_add(slot, e->name, e->payload);
	s->ops->event(s->ctx, e->ltime, e->name, e->payload);
	return true;
}

int
serf_event_send(struct serf *s, struct bytes name, struct bytes payload, bool coalesce, char *error, uint64_t now)
{
	struct serf_event e = {.coalesce = coalesce, .name = name, .payload = payload};
	struct buf out = BUF_INIT(MESSAGE_MAX);
	int result = -1;

	(void)now;
	if (name.size + payload.size > SERF_EVENT_BYTES_MAX) {
		snprintf(error, SERF_ERROR_MAX, "user event exceeds configured limit of %d bytes before encoding",
		    SERF_EVENT_BYTES_MAX);
		return -1;
	}
	e.ltime = s->clock.event;
	serf_body_put(&out, SERF_USER_EVENT, &serf_event_schema, &e);
	if (out.used > SERF_EVENT_BYTES_MAX)
		snprintf(error, SERF_ERROR_MAX,
		    "encoded user event exceeds configured limit of %d bytes after encoding", SERF_EVENT_BYTES_MAX);
	else {
		s->clock.event++;
		(void)event_take(s, &e);
		result = broadcasts_put(s->event_queue, (struct bytes){NULL, 0}, buf_bytes(&out), NULL, NULL);
	}
	buf_free(&out);
	return result;
}

static void
slot_put(const struct event_slot *slot, struct buf *out)
{
	struct buf list = BUF_INIT(GOSSIP_STREAM_MAX);
	struct serf_events events = {.ltime = slot->ltime};

	mp_put_array(&list, slot->count);
	for (const struct buffered_event *e = slot->first; e != NULL; e = e->next) {
		struct serf_buffered_event b = {.name = bytes_of(e->bytes, e->name_size),
		    .payload = bytes_of(e->bytes + e->name_size, e->payload_size)};

		schema_encode(&serf_buffered_event_schema, &b, &list);
	}
	events.events = buf_bytes(&list);
	schema_encode(&serf_events_schema, &events, out);
	buf_free(&list);
}

void
events_put(const struct serf *s, struct buf *out)
{
	uint32_t count = 0;

	for (size_t i = 0; i < BUFFER_SLOTS; i++)
		count += s->events[i] != NULL;
	mp_put_array(out, count);
	for (size_t i = 0; i < BUFFER_SLOTS; i++)
		if (s->events[i] != NULL)
			slot_put(s->events[i], out);
}

static void
slot_merge(struct serf *s, const struct serf_events *events)
{
	struct mp in = mp_of(events->events);
	const char *error;

	for (uint32_t n = events->events.size > 0 && mp_peek(&in) == MP_ARRAY ? mp_array(&in) : 0; n > 0; n--) {
		struct serf_buffered_event b;

		if (schema_decode_at(&serf_buffered_event_schema, &in, &b, &error) == -1)
			return;
		(void)event_take(s, &(struct serf_event){.ltime = events->ltime, .name = b.name, .payload = b.payload});
	}
}

void
events_merge(struct serf *s, struct bytes events)
{
	struct mp in = mp_of(events);
	const char *error;

	for (uint32_t n = events.size > 0 && mp_peek(&in) == MP_ARRAY ? mp_array(&in) : 0; n > 0; n--) {
		struct serf_events slot;

		if (mp_nil(&in))
			continue;
		if (schema_decode_at(&serf_events_schema, &in, &slot, &error) == -1)
			return;
		slot_merge(s, &slot);
	}
}

/* ---- queries of ours ---- */

static bool
answered_add(struct answered *a, struct bytes from)
{
	uint64_t hash = hash_bytes(2, from);

	for (size_t i = 0; i < a->count; i++)
		if (a->names[i] == hash)
			return false;
	if (a->count == a->size) {
		a->size = a->size == 0 ? 8 : a->size * 2;
		a->names = xreallocarray(a->names, a->size, sizeof *a->names);
	}
	a->names[a->count++] = hash;
	return true;
}

static void
question_free(struct serf_question *q)
{
	timer_stop(q->serf->timers, &q->end);
	ring_remove(&q->of_serf);
	q->serf->question_count--;
	free(q->acks.names);
	free(q->responses.names);
	free(q);
}

static void
on_question_end(struct timer *t, uint64_t now)
{
	struct serf_question *q = t->ctx;
	struct serf_asking asking = q->asking;
	size_t acks = q->acks.count, responses = q->responses.count;

	question_free(q);
	if (asking.done != NULL)
		asking.done(asking.ctx, acks, responses, now);
}

void
serf_query_forget(struct serf *s, struct serf_question *q)
{
	(void)s;
	question_free(q);
}

static uint64_t
query_timeout(const struct serf *s)
{
	size_t alive = serf_count_of(s, MEMBER_ALIVE);

	return s->config.gossip_interval * broadcasts_limit(s->config.query_timeout_mult, MAX(alive, 1));
}

struct serf_question *
serf_query_send(struct serf *s, struct bytes name, struct bytes payload, const struct serf_asking *asking, char *error,
    uint64_t now)
{
	const struct swim_member *self = swim_self(s->swim);
	struct buf out = BUF_INIT(MESSAGE_MAX);
	struct serf_question *q;
	struct serf_query m = {
	    .addr = bytes_of(self->card->address.ip, self->card->address.ip_size),
	    .filters = asking->filters,
	    .flags = asking->ask_acks ? SERF_QUERY_ACK : 0,
	    .id = (uint32_t)s->ops->random(s->ctx, INT32_MAX),
	    .ltime = s->clock.query,
	    .name = name,
	    .payload = payload,
	    .port = self->card->address.port,
	    .relay_factor = asking->relay_factor,
	    .source_node = bytes_str(self->card->name),
	    .timeout = (int64_t)(asking->timeout > 0 ? asking->timeout : query_timeout(s)),
	};

	serf_body_put(&out, SERF_QUERY, &serf_query_schema, &m);
	if (out.used > SERF_QUERY_BYTES_MAX || s->question_count == QUESTIONS_MAX) {
		if (s->question_count == QUESTIONS_MAX)
			snprintf(error, SERF_ERROR_MAX, "too many queries are under way");
		else
			snprintf(error, SERF_ERROR_MAX, "query exceeds limit of %d bytes", SERF_QUERY_BYTES_MAX);
		buf_free(&out);
		return NULL;
	}
	s->clock.query++;
	q = xcalloc(1, sizeof *q);
	q->serf = s;
	q->asking = *asking;
	q->asking.filters = (struct bytes){NULL, 0}; /* the caller's memory */
	q->ltime = m.ltime;
	q->id = (uint32_t)m.id;
	timer_init(&q->end, on_question_end, q);
	timer_set(s->timers, &q->end, now + (uint64_t)m.timeout);
	ring_append(&s->questions, &q->of_serf);
	s->question_count++;
	query_take(s, &m, buf_bytes(&out), now);
	buf_free(&out);
	return q;
}

void
response_take(struct serf *s, const struct serf_query_response *r, uint64_t now)
{
	for (struct ring *at = s->questions.next; at != &s->questions; at = at->next) {
		struct serf_question *q = RING_ENTRY(at, struct serf_question, of_serf);

		if (q->ltime != r->ltime || q->id != r->id)
			continue;
		if ((r->flags & SERF_QUERY_ACK) != 0) {
			if (answered_add(&q->acks, r->from) && q->asking.ack != NULL)
				q->asking.ack(q->asking.ctx, r->from);
		} else if (answered_add(&q->responses, r->from) && q->asking.response != NULL)
			q->asking.response(q->asking.ctx, r->from, r->payload, now);
		return;
	}
	serf_say(s, LOG_DEBUG_LEVEL, "serf: reply for non-running query (LTime: %llu, ID: %llu) From: %.*s",
	    (unsigned long long)r->ltime, (unsigned long long)r->id, (int)MIN(r->from.size, 128),
	    (const char *)r->from.data);
}

/* ---- queries of others ---- */

static bool
can_relay(const struct swim_member *m, void *ctx)
{
	(void)ctx;
	return m->state == GOSSIP_STATE_ALIVE && m->card->vsn[1] >= 5;
}

static void
response_relay(struct serf *s, const struct serf_query *q, const struct swim_address *to, struct bytes response)
{
	struct swim_member *by[RELAY_MAX];
	struct buf out = BUF_INIT(MESSAGE_MAX), address = BUF_INIT(256);
	struct serf_address a = {.ip = bytes_of(to->ip, to->ip_size), .port = to->port};
	struct serf_relay head = {.dest_name = q->source_node};
	size_t count;

	if (q->relay_factor == 0 || s->count < q->relay_factor + 1)
		return;
	schema_encode(&serf_address_schema, &a, &address);
	head.dest_addr = buf_bytes(&address);
	serf_body_put(&out, SERF_RELAY, &serf_relay_schema, &head);
	buf_put_bytes(&out, response);
	count = out.used > SERF_QUERY_BYTES_MAX
		    ? 0
		    : swim_choose(s->swim, (size_t)MIN(q->relay_factor, RELAY_MAX), can_relay, NULL, by);
	for (size_t i = 0; i < count; i++)
		swim_send_user(s->swim, &by[i]->card->address, buf_bytes(&out), false);
	buf_free(&out);
	buf_free(&address);
}

/* Sends an answer, or the acknowledgement. */
static void
respond(struct serf *s, const struct serf_query *q, uint32_t flags, struct bytes payload)
{
	struct serf_query_response r = {
	    .flags = flags, .from = bytes_str(self_name(s)), .id = q->id, .ltime = q->ltime, .payload = payload};
	struct buf out = BUF_INIT(MESSAGE_MAX);
	struct swim_address to;

	swim_address_of(q->addr, q->port, swim_self(s->swim)->card->address.port, &to);
	serf_body_put(&out, SERF_QUERY_RESPONSE, &serf_query_response_schema, &r);
	if (out.used > SERF_QUERY_BYTES_MAX)
		serf_say(s, LOG_ERROR_LEVEL, "serf: response exceeds limit of %d bytes", SERF_QUERY_BYTES_MAX);
	else if (to.ip_size != 0) {
		swim_send_user(s->swim, &to, buf_bytes(&out), false);
		response_relay(s, q, &to, buf_bytes(&out));
	}
	buf_free(&out);
}

void
relay_take(struct serf *s, struct bytes body)
{
	struct serf_relay head;
	struct serf_address a;
	struct mp in = mp_of(body);
	struct swim_address to;
	const char *error;

	if (schema_decode_at(&serf_relay_schema, &in, &head, &error) == -1 ||
	    schema_decode(&serf_address_schema, head.dest_addr, &a, &error) == -1 || a.port < 1 || a.port > UINT16_MAX)
		return;
	swim_address_of(a.ip, (uint64_t)a.port, 0, &to);
	if (to.ip_size != 0)
		swim_send_user(s->swim, &to, bytes_of(in.at, (size_t)(in.end - in.at)), false);
}

/* ---- whom it is for ---- */

static bool
names_pass(const struct serf *s, struct mp *in)
{
	uint32_t count = mp_peek(in) == MP_ARRAY ? mp_array(in) : 0;

	for (; count > 0 && mp_ok(in); count--)
		if (bytes_is(mp_str(in), self_name(s)))
			return true;
	return false;
}

static bool
tag_passes(const struct serf *s, struct mp *in)
{
	struct mp map = *in, expr, tag;
	char name[GOSSIP_META_MAX], why[REGEX_ERROR_MAX];
	struct filter_regex *regex;
	bool passes;

	if (mp_peek(&map) != MP_MAP || !mp_find(map, "Expr", &expr) || !mp_find(map, "Tag", &tag) ||
	    bytes_to_str(mp_str(&tag), name, sizeof name) == -1)
		return false;
	regex = filter_regex_new(mp_str(&expr), why, sizeof why);
	if (regex == NULL) {
		serf_say(s, LOG_WARN_LEVEL, "serf: failed to compile filter regex: %s", why);
		return false;
	}
	passes = filter_regex_match(regex, serf_tag(swim_self(s->swim)->card->meta, name)) == 1;
	filter_regex_free(regex);
	return passes;
}

static bool
filters_pass(const struct serf *s, struct bytes filters)
{
	struct mp in = mp_of(filters);

	if (filters.size == 0 || mp_nil(&in))
		return true;
	if (mp_peek(&in) != MP_ARRAY)
		return false;
	for (uint32_t n = mp_array(&in); n > 0; n--) {
		struct bytes filter = mp_str(&in);
		struct mp body = mp_of(bytes_of(filter.data + 1, filter.size == 0 ? 0 : filter.size - 1));

		if (!mp_ok(&in) || filter.size == 0)
			return false;
		if (!(filter.data[0] == 0 ? names_pass(s, &body) : filter.data[0] == 1 && tag_passes(s, &body)))
			return false;
	}
	return true;
}

/* ---- queries within serf ---- */

static void
conflict_answer(struct serf *s, const struct serf_query *q)
{
	const struct member_entry *e = member_find(s, q->payload);
	struct buf out = BUF_INIT(MESSAGE_MAX), tags = BUF_INIT(MESSAGE_MAX);

	if (bytes_is(q->payload, self_name(s)))
		return; /* whoever is asked about is no witness */
	buf_put_u8(&out, SERF_CONFLICT_RESPONSE);
	if (e == NULL) {
		mp_put_nil(&out);
	} else {
		const struct serf_member *m = &e->member;
		struct serf_member_wire w = {
		    .addr = bytes_of(m->card->address.ip, m->card->address.ip_size),
		    .delegate_cur = m->card->vsn[5],
		    .delegate_max = m->card->vsn[4],
		    .delegate_min = m->card->vsn[3],
		    .name = bytes_str(m->card->name),
		    .port = m->card->address.port,
		    .protocol_cur = m->card->vsn[2],
		    .protocol_max = m->card->vsn[1],
		    .protocol_min = m->card->vsn[0],
		    .status = m->status,
		};

		serf_tags_put(m->card->meta, &tags);
		w.tags = buf_bytes(&tags);
		schema_encode(&serf_member_wire_schema, &w, &out);
	}
	respond(s, q, 0, buf_bytes(&out));
	buf_free(&out);
	buf_free(&tags);
}

/* The answer with the first `shown` keys of the ring. */
static void
key_answer_put(const struct serf_key_response *r, const struct keyring *ring, size_t shown, struct buf *out)
{
	struct serf_key_response answer = *r;
	struct buf keys = BUF_INIT(KEYS_BYTES_MAX), text = BUF_INIT(256), primary = BUF_INIT(256);

	if (ring != NULL) {
		mp_put_array(&keys, (uint32_t)shown);
		for (size_t i = 0; i < shown; i++) {
			buf_clear(&text);
			keyring_key_print(&ring->keys[i], &text);
			mp_put_bytes(&keys, buf_bytes(&text));
		}
		keyring_key_print(&ring->keys[0], &primary);
		answer.keys = buf_bytes(&keys);
		answer.primary_key = buf_bytes(&primary);
	}
	buf_put_u8(out, SERF_KEY_RESPONSE);
	schema_encode(&serf_key_response_schema, &answer, out);
	buf_free(&keys);
	buf_free(&text);
	buf_free(&primary);
}

/* Room for From and numbers around the payload. */
#define RESPONSE_HEAD_BYTES 64

static void
key_answer(struct serf *s, const struct serf_query *q, enum serf_key_operation op)
{
	struct serf_key_request request = {.key = {NULL, 0}};
	struct serf_key_response r = {.result = true};
	const struct keyring *ring = NULL;
	struct buf out = BUF_INIT(MESSAGE_MAX);
	char message[128];
	const char *error;
	size_t shown, room = SERF_QUERY_BYTES_MAX - RESPONSE_HEAD_BYTES - strlen(self_name(s));

	if (q->payload.size < 1 || q->payload.data[0] != SERF_KEY_REQUEST ||
	    schema_decode(
		&serf_key_request_schema, bytes_of(q->payload.data + 1, q->payload.size - 1), &request, &error) == -1) {
		serf_say(s, LOG_ERROR_LEVEL, "serf: failed to decode key request");
		return;
	}
	error = s->ops->key(s->ctx, op, request.key, &ring);
	if (error != NULL) {
		serf_say(s, LOG_ERROR_LEVEL, "serf: keyring operation failed: %s", error);
		r = (struct serf_key_response){.message = bytes_str(error)};
		ring = NULL;
	}
	if (op != SERF_KEY_LIST)
		ring = NULL;
	shown = ring == NULL ? 0 : ring->count;
	key_answer_put(&r, ring, shown, &out);
	while (out.used > room && shown > 1) {
		snprintf(message, sizeof message, "truncated key list response, showing first %zu of %zu keys", --shown,
		    ring->count);
		r.message = bytes_str(message);
		buf_clear(&out);
		key_answer_put(&r, ring, shown, &out);
	}
	respond(s, q, 0, buf_bytes(&out));
	buf_free(&out);
}

static void
internal_query(struct serf *s, const struct serf_query *q)
{
	struct bytes name = bytes_of(q->name.data + strlen(INTERNAL_PREFIX), q->name.size - strlen(INTERNAL_PREFIX));

	if (bytes_is(name, "ping"))
		return; /* the acknowledgement says it all */
	if (bytes_is(name, "conflict"))
		conflict_answer(s, q);
	else if (bytes_is(name, "install-key"))
		key_answer(s, q, SERF_KEY_INSTALL);
	else if (bytes_is(name, "use-key"))
		key_answer(s, q, SERF_KEY_USE);
	else if (bytes_is(name, "remove-key"))
		key_answer(s, q, SERF_KEY_REMOVE);
	else if (bytes_is(name, "list-keys"))
		key_answer(s, q, SERF_KEY_LIST);
	else
		serf_say(s, LOG_WARN_LEVEL, "serf: Unhandled internal query '%.*s'", (int)MIN(q->name.size, 128),
		    (const char *)q->name.data);
}

/* false: seen before, or too old. */
static bool
query_note(struct serf *s, const struct serf_query *q)
{
	struct query_slot **at = &s->queries[q->ltime % BUFFER_SLOTS], *slot = *at;

	if (q->ltime < s->query_min || is_too_old(s->clock.query, q->ltime))
		return false;
	if (slot == NULL)
		slot = *at = xcalloc(1, sizeof *slot);
	if (slot->ltime != q->ltime) {
		slot->ltime = q->ltime;
		slot->count = 0;
	}
	for (unsigned i = 0; i < slot->count; i++)
		if (slot->ids[i] == q->id)
			return false;
	if (slot->count == SLOT_QUERIES_MAX)
		return false;
	if (slot->count == slot->size) {
		slot->size = slot->size == 0 ? 2 : slot->size * 2;
		slot->ids = xreallocarray(slot->ids, slot->size, sizeof *slot->ids);
	}
	slot->ids[slot->count++] = (uint32_t)q->id;
	return true;
}

void
query_take(struct serf *s, const struct serf_query *q, struct bytes message, uint64_t now)
{
	(void)now;
	clock_witness(&s->clock.query, q->ltime);
	if (q->id > UINT32_MAX || q->port > UINT16_MAX || !query_note(s, q))
		return;
	if ((q->flags & SERF_QUERY_NO_BROADCAST) == 0)
		serf_spread(s, s->query_queue, message);
	if (!filters_pass(s, q->filters))
		return;
	if ((q->flags & SERF_QUERY_ACK) != 0)
		respond(s, q, SERF_QUERY_ACK, (struct bytes){NULL, 0});
	if (bytes_has_prefix(q->name, bytes_str(INTERNAL_PREFIX)))
		internal_query(s, q);
	else
		s->ops->query_seen(s->ctx, q->ltime);
}

/* ---- another one with our name ---- */

static void
on_conflict_response(void *ctx, struct bytes from, struct bytes payload, uint64_t now)
{
	struct serf *s = ctx;
	const struct swim_member *self = swim_self(s->swim);
	struct serf_member_wire w;
	struct swim_address address;
	const char *error;

	(void)from, (void)now;
	if (payload.size < 2 || payload.data[0] != SERF_CONFLICT_RESPONSE ||
	    schema_decode(&serf_member_wire_schema, bytes_of(payload.data + 1, payload.size - 1), &w, &error) == -1)
		return;
	swim_address_of(w.addr, w.port, self->card->address.port, &address);
	s->conflict_all++;
	s->conflict_for += swim_address_equal(&address, &self->card->address);
}

static void
on_conflict_end(void *ctx, size_t acks, size_t responses, uint64_t now)
{
	struct serf *s = ctx;

	(void)acks, (void)responses, (void)now;
	s->conflict = NULL;
	if (s->conflict_for >= s->conflict_all / 2 + 1) {
		serf_say(s, LOG_INFO_LEVEL, "serf: majority in name conflict resolution [%zu / %zu]", s->conflict_for,
		    s->conflict_all);
		return;
	}
	serf_say(s, LOG_WARN_LEVEL, "serf: minority in name conflict resolution, quiting [%zu / %zu]", s->conflict_for,
	    s->conflict_all);
	s->ops->conflict_lost(s->ctx);
}

void
conflict_vote(struct serf *s, uint64_t now)
{
	const struct serf_asking asking = {.response = on_conflict_response, .done = on_conflict_end, .ctx = s};
	char error[SERF_ERROR_MAX];

	if (s->conflict != NULL)
		return;
	s->conflict_for = s->conflict_all = 0;
	s->conflict =
	    serf_query_send(s, bytes_str(INTERNAL_PREFIX "conflict"), bytes_str(self_name(s)), &asking, error, now);
	if (s->conflict == NULL)
		serf_say(s, LOG_ERROR_LEVEL, "serf: Failed to start name conflict resolution: %s", error);
}

void
events_free(struct serf *s)
{
	while (!ring_empty(&s->questions))
		question_free(RING_ENTRY(s->questions.next, struct serf_question, of_serf));
	for (size_t i = 0; i < BUFFER_SLOTS; i++) {
		if (s->events[i] != NULL)
			slot_clear(s->events[i]);
		if (s->queries[i] != NULL)
			free(s->queries[i]->ids);
		free(s->events[i]);
		free(s->queries[i]);
	}
}

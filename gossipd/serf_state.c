/*
 * serf_state.c - the state that members compare: Lamport times, intents, events (contract: serf.h)
 */
#include "serf_internal.h"

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
			mp_put_cstr(&left, m->card->name);
			gone++;
		}
		mp_put_kv_uint(&ltimes, m->card->name, m->ltime);
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

	if (intent_leave_take(s, &l, now) && was_alive)
		intent_leave_spread(s, name, ltime);
}

static void
intents_merge(struct serf *s, const struct serf_push_pull *p, uint64_t now)
{
	struct mp ltimes = mp_of(p->status_ltimes);
	uint32_t count = p->status_ltimes.size > 0 && mp_peek(&ltimes) == MP_MAP ? mp_map(&ltimes) : 0;

	for (; count > 0 && mp_ok(&ltimes); count--) {
		struct bytes name = mp_str(&ltimes);
		uint64_t ltime = mp_uint(&ltimes);

		if (!mp_ok(&ltimes) || !swim_is_name(name))
			continue;
		if (list_has(p->left_members, name))
			left_merge(s, name, ltime, now);
		else
			(void)intent_join_take(s, &(struct serf_join){.ltime = ltime, .node = name}, now);
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

/*
 * raft_replicate.c - the leader: how far each follower is, what it is sent, what is committed (contract: raft.h, raft_internal.h; caller: raft.c)
 *
 * A follower is probed until its log and ours are known to meet, then gets a stream of APPENDs, bounded by their number and bytes;
 * a word that it misses some makes it be probed again. Whom our log can not serve is sent a snapshot: chunks within a window, from the
 * last kept one on again when no progress was heard of for half an election's time.
 */
#include "raft_internal.h"

#include <stdlib.h>

#include "mem.h"

static void
stream_forget(struct progress *p)
{
	p->inflight_first = p->inflight_count = 0;
	p->inflight_bytes = 0;
}

static void
probe(struct progress *p, uint64_t next)
{
	p->state = RAFT_PROBE;
	p->next = next;
	p->paused = false;
	stream_forget(p);
}

void
replicate_reset(const struct raft *r, struct progress *p)
{
	probe(p, r->log.last + 1);
	p->match = 0;
	p->heard_ticks = 0;
	p->round = 0;
	p->heard = false;
	p->life = 0;
}

/* ---- commits ---- */

static uint64_t
match_of(const struct raft *r, const struct progress *p)
{
	if (p != r->own)
		return p->match;
	return PLANTED(OWN_ENTRIES_UNSAVED) ? r->log.last : r->stable;
}

/* Entries of an older term are never committed by counting replicas: only by an entry of this term behind them. */
void
replicate_commit(struct raft *r)
{
	uint64_t index;

	if (r->role != RAFT_LEADER)
		return;
	index = members_quorum(r, match_of);
	if (index > r->commit && (PLANTED(OLD_TERM_COUNTED) || terms_at(&r->log, index) == r->hard.term)) {
		raft_commit_to(r, index);
		r->append_wanted = true;
	}
}

/* ---- snapshots ---- */

/* false: we have none that would do. */
static bool
sending_begin(struct raft *r, struct progress *p)
{
	if (r->snapshot_index == 0 || r->snapshot_index < r->log.base_index) {
		p->state = RAFT_PROBE;
		return false;
	}
	p->state = RAFT_SENDING;
	p->paused = false;
	stream_forget(p);
	p->sending = (struct sending){r->snapshot_index, r->snapshot_term, r->snapshot_size, 0, 0, 0, 0};
	return true;
}

static bool
snapshot_feed(struct raft *r, struct progress *p)
{
	struct sending *s = &p->sending;
	bool sent = false;

	if ((p->state != RAFT_SENDING || s->index < r->log.base_index) && !sending_begin(r, p))
		return false;
	while (!p->paused && s->next < s->size && s->next - s->kept < r->window_bytes) {
		uint32_t bytes = (uint32_t)MIN(s->size - s->next, r->chunk_bytes);

		raft_send_now(r, &(struct raft_message){
				     .type = RAFT_SNAPSHOT,
				     .to = p->id,
				     .index = s->index,
				     .log_term = s->term,
				     .commit = r->commit,
				     .round = r->round,
				     .lease_ns = r->lease_ns,
				     .offset = s->next,
				     .size = s->size,
				     .bytes = bytes,
				 });
		s->next += bytes;
		sent = true;
	}
	return sent;
}

void
raft_snapshot_set(struct raft *r, uint64_t index, uint64_t term, uint64_t size)
{
	r->snapshot_index = size == 0 ? 0 : index;
	r->snapshot_term = term;
	r->snapshot_size = size;
}

void
raft_snapshot_gone(struct raft *r, uint64_t index)
{
	if (r->snapshot_index == index)
		r->snapshot_index = 0;
	for (size_t i = 0; i < r->member_count; i++)
		if (r->members[i].state == RAFT_SENDING && r->members[i].sending.index == index)
			r->members[i].state = RAFT_PROBE; /* the next feed looks for another one */
}

bool
raft_snapshot_used(const struct raft *r, uint64_t index)
{
	for (size_t i = 0; r->role == RAFT_LEADER && i < r->member_count; i++)
		if (r->members[i].state == RAFT_SENDING && r->members[i].sending.index == index)
			return true;
	return false;
}

/* ---- entries ---- */

static void
append_send(struct raft *r, const struct progress *p, uint64_t prev, uint32_t entries)
{
	raft_send_now(r, &(struct raft_message){
			     .type = RAFT_APPEND,
			     .to = p->id,
			     .index = prev,
			     .log_term = terms_at(&r->log, prev),
			     .commit = r->commit,
			     .round = r->round,
			     .lease_ns = r->lease_ns,
			     .entries = entries,
			 });
}

/* How many entries from first on go into one APPEND: one at least, if there is any. */
static uint32_t
append_cut(const struct raft *r, uint64_t first, uint64_t bytes_max, uint64_t *bytes)
{
	uint32_t limit = (uint32_t)MIN(r->log.last - first + 1, r->entries_max), entries = 0;

	*bytes = 0;
	if (r->entry_bytes == NULL)
		return limit;
	while (entries < limit) {
		uint32_t size = r->entry_bytes(r->entry_ctx, first + entries);

		if (entries > 0 && *bytes + size > bytes_max)
			break;
		*bytes += size;
		entries++;
	}
	return entries;
}

/* As much as may be under way to it. */
static bool
stream_feed(struct raft *r, struct progress *p)
{
	bool sent = false;

	if (p->inflight == NULL)
		p->inflight = xcalloc(r->inflight_max, sizeof *p->inflight);
	while (p->next <= r->log.last && p->inflight_count < r->inflight_max) {
		uint64_t room = r->inflight_bytes_max - MIN(p->inflight_bytes, r->inflight_bytes_max), bytes;
		uint32_t entries = append_cut(r, p->next, MIN(room, r->append_bytes_max), &bytes);

		if (p->inflight_count > 0 && bytes > room)
			break;
		append_send(r, p, p->next - 1, entries);
		p->next += entries;
		p->inflight[(p->inflight_first + p->inflight_count++) % r->inflight_max] =
		    (struct inflight){p->next - 1, bytes};
		p->inflight_bytes += bytes;
		sent = true;
	}
	return sent;
}

static void
probe_feed(struct raft *r, struct progress *p, bool even_empty)
{
	uint64_t bytes;

	if (!p->paused)
		append_send(r, p, p->next - 1, append_cut(r, p->next, r->append_bytes_max, &bytes));
	else if (even_empty)
		append_send(r, p, p->next - 1, 0);
	p->paused = true;
}

static void
feed(struct raft *r, struct progress *p, bool even_empty)
{
	if (p->state == RAFT_SENDING || p->next <= r->log.base_index) {
		/* it shall at least not start elections */
		if (!snapshot_feed(r, p) && even_empty)
			append_send(r, p, r->log.base_index, 0);
	} else if (p->state == RAFT_PROBE)
		probe_feed(r, p, even_empty);
	else if (!stream_feed(r, p) && even_empty)
		append_send(r, p, p->next - 1, 0);
}

void
replicate_feed_all(struct raft *r)
{
	for (size_t i = 0; i < r->member_count; i++)
		if (&r->members[i] != r->own)
			feed(r, &r->members[i], true);
}

/* ---- handing over ---- */

/* When the next leader has all that we have, it need not wait; but first our lease must be over, and it is not taken again in this term. */
static void
transfer_try(struct raft *r, const struct progress *p)
{
	if (!raft_id_equal(p->id, r->transferee) || r->transfer_sent || p->match != r->log.last)
		return;
	r->lease_given_up = r->transfer_sent = true;
	raft_send_now(r, &(struct raft_message){.type = RAFT_TIMEOUT_NOW, .to = p->id, .index = r->log.last});
}

bool
raft_transfer(struct raft *r, struct raft_id to)
{
	const struct progress *p = members_find(r, to);

	if (r->role != RAFT_LEADER || p == NULL || p == r->own || !p->voter || members_blank(r, p) ||
	    raft_transferring(r))
		return false;
	r->transferee = to;
	r->transfer_elapsed = 0;
	r->transfer_sent = false;
	transfer_try(r, p);
	return true;
}

bool
raft_transferring(const struct raft *r)
{
	return !raft_id_is_none(r->transferee);
}

/* ---- answers ---- */

/* The member that answers, heard of now. NULL: nobody of interest. */
static struct progress *
answer_take(struct raft *r, const struct raft_message *m)
{
	struct progress *p = members_find(r, m->from);

	if (r->role != RAFT_LEADER || p == NULL)
		return NULL;
	if (m->round > r->round) {
		r->refused++;
		return NULL;
	}
	/* one that has begun anew has nothing of what it said before */
	if (p->heard && p->life != m->life && !PLANTED(BLANK_VOTES))
		replicate_reset(r, p);
	p->heard = true;
	p->life = m->life;
	p->heard_ticks = 0;
	p->round = MAX(p->round, PLANTED(LEASE_FROM_ANSWER) ? r->now : m->round);
	return p;
}

static void
append_rejected(struct raft *r, struct progress *p, const struct raft_message *m)
{
	uint64_t next = m->hint_index + 1;

	if (p->state == RAFT_SENDING || m->index <= p->match || (p->state == RAFT_PROBE && m->index != p->next - 1))
		return; /* late */
	/* the logs part at the hint or before it: perhaps where ours has ended already */
	if (next > r->log.base_index)
		next = MIN(m->index, terms_find(&r->log, m->hint_index, m->hint_term) + 1);
	probe(p, MAX(next, p->match + 1));
	feed(r, p, false);
}

/* All up to index is there. */
static void
matched(struct raft *r, struct progress *p, uint64_t index)
{
	p->match = MAX(p->match, index);
	if (p->state == RAFT_SENDING && p->match >= r->log.base_index)
		probe(p, p->match + 1); /* the log serves it again */
	p->next = MAX(p->next, p->match + 1);
	while (p->inflight_count > 0 && p->inflight[p->inflight_first].last <= p->match) {
		p->inflight_bytes -= p->inflight[p->inflight_first].bytes;
		p->inflight_first = (p->inflight_first + 1) % r->inflight_max;
		p->inflight_count--;
	}
	if (p->state == RAFT_PROBE) {
		p->paused = false;
		if (p->match + 1 >= p->next)
			p->state = RAFT_REPLICATE;
	}
	replicate_commit(r);
	if (p->next <= r->log.last)
		feed(r, p, false);
	transfer_try(r, p);
}

void
replicate_append_reply(struct raft *r, const struct raft_message *m)
{
	struct progress *p = answer_take(r, m);

	if (p == NULL)
		return;
	if (m->reject)
		append_rejected(r, p, m);
	else if (m->index > r->log.last)
		r->refused++;
	else
		matched(r, p, m->index);
}

/*
 * How much it has kept. A follower's rounds never fall, nor does what it has kept: where a later round comes with less, it has lost what it
 * had (a restart), and goes on from there.
 */
static void
kept(struct raft *r, struct progress *p, uint64_t offset, uint64_t round)
{
	struct sending *s = &p->sending;

	if (offset > s->kept) {
		s->next = MAX(s->next, offset);
		s->elapsed = 0;
	} else if (offset < s->kept && round > s->kept_round)
		s->next = offset;
	else
		return;
	s->kept = offset;
	s->kept_round = MAX(s->kept_round, round);
	feed(r, p, false);
}

void
replicate_snapshot_reply(struct raft *r, const struct raft_message *m)
{
	struct progress *p = answer_take(r, m);
	struct sending *s;

	if (p == NULL || p->state != RAFT_SENDING || m->index != p->sending.index)
		return;
	s = &p->sending;
	if (m->offset > s->size) {
		r->refused++;
		return;
	}
	if (m->reject) {
		/* nothing kept before: chunks have overtaken each other, or it has no space; it is tried again when time has passed */
		p->paused |= s->kept > 0 && m->round > s->kept_round;
		kept(r, p, 0, m->round);
	} else if (m->offset == s->size) {
		probe(p, s->index + 1);
		matched(r, p, s->index);
	} else
		kept(r, p, m->offset, m->round);
}

/* ---- time ---- */

/* A leader that hears from no quorum is none: it steps back, so that clients look elsewhere. */
static uint64_t
heard_of(const struct raft *r, const struct progress *p)
{
	return p == r->own || p->heard_ticks < r->election_ticks;
}

static void
sending_tick(struct raft *r, struct progress *p)
{
	if (p->state != RAFT_SENDING || ++p->sending.elapsed < MAX(r->election_ticks / 2, 1))
		return;
	p->sending.elapsed = 0;
	p->sending.next = p->sending.kept;
	feed(r, p, false);
}

void
replicate_tick(struct raft *r)
{
	for (size_t i = 0; i < r->member_count; i++)
		r->members[i].heard_ticks += r->members[i].heard_ticks < UINT32_MAX;
	if (members_quorum(r, heard_of) == 0) {
		raft_follow(r, r->hard.term, (struct raft_id){0});
		return;
	}
	if (raft_transferring(r) && ++r->transfer_elapsed >= r->election_ticks)
		r->transferee = (struct raft_id){0};
	for (size_t i = 0; i < r->member_count; i++)
		if (&r->members[i] != r->own)
			sending_tick(r, &r->members[i]);
	if (r->elapsed < r->heartbeat_ticks)
		return;
	r->elapsed = 0;
	/* a probe without an answer was lost: once more */
	for (size_t i = 0; i < r->member_count; i++)
		r->members[i].paused = false;
	r->append_wanted = true; /* begins a round */
}

bool
raft_progress(const struct raft *r, struct raft_id id, struct raft_progress *out)
{
	const struct progress *p = members_find(r, id);
	bool own = p != NULL && p == r->own;

	if (r->role != RAFT_LEADER || p == NULL)
		return false;
	*out = (struct raft_progress){
	    .state = own ? RAFT_REPLICATE : p->state,
	    .voter = p->voter,
	    .match = own ? r->stable : p->match,
	    .next = own ? r->log.last + 1 : p->next,
	    .heard_ticks = own ? 0 : p->heard_ticks,
	    .heard = own || p->heard,
	    .life = own ? r->life : p->life,
	    .blank = members_blank(r, p),
	};
	if (!own && p->state == RAFT_SENDING) {
		out->snapshot_offset = p->sending.kept;
		out->snapshot_size = p->sending.size;
	}
	return true;
}

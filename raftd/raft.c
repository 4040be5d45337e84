/*
 * raft.c - Raft as a pure state machine: roles, elections, ticks, saves (contract: raft.h; callers: node.c, the trace tests, the simulator)
 *
 * Durability before words: each change of hard state or log belongs to the next save. A message that speaks of such a change (a
 * vote asked or given, an entry acknowledged) is held until that save is done; it goes to the queue `held` with the number of
 * the save it waits for. A leader's APPENDs speak only of its log in its term, which was durable before it was elected, and
 * leave at once, while its own disk still writes: its own entry in the count of replicas is raft_stable.
 */
#include "raft_internal.h"

#include <stdlib.h>

#include "log.h"
#include "mem.h"

#define INFLIGHT_DEFAULT 64
#define APPEND_BYTES_DEFAULT (1024u * 1024)
#define INFLIGHT_BYTES_DEFAULT (8u * 1024 * 1024)
#define CHUNK_BYTES_DEFAULT (256u * 1024)
#define WINDOW_DEFAULT 4

static void become_leader(struct raft *r);
static void stand(struct raft *r, bool transfer);

/* ---- queues ---- */

static void
queue_put(struct queue *q, const struct raft_message *m, uint64_t save)
{
	if (q->count == RAFT_MESSAGES_MAX)
		return;
	if (q->count == q->size) {
		size_t size = q->size == 0 ? 16 : q->size * 2;
		struct held_message *items = xreallocarray(NULL, size, sizeof *items);

		for (size_t i = 0; i < q->count; i++)
			items[i] = q->items[(q->first + i) & (q->size - 1)];
		free(q->items);
		q->items = items;
		q->first = 0;
		q->size = size;
	}
	q->items[(q->first + q->count++) & (q->size - 1)] = (struct held_message){*m, save};
}

static void
queue_pop(struct queue *q)
{
	q->first = (q->first + 1) & (q->size - 1);
	q->count--;
}

static bool
is_reply(const struct raft_message *m)
{
	return m->type == RAFT_VOTE_REPLY || m->type == RAFT_PRE_VOTE_REPLY || m->type == RAFT_APPEND_REPLY ||
	       m->type == RAFT_SNAPSHOT_REPLY;
}

void
raft_send_now(struct raft *r, struct raft_message *m)
{
	m->from = r->self;
	m->term = r->hard.term;
	queue_put(&r->direct, m, 0);
}

void
raft_send_durable(struct raft *r, struct raft_message *m)
{
	bool dirty = r->hard_dirty || r->handed < r->log.last;
	uint64_t save = dirty ? r->saves_begun + 1 : r->saves_begun;

	if ((PLANTED(VOTE_UNSAVED) && m->type == RAFT_VOTE_REPLY) ||
	    (PLANTED(OWN_VOTE_UNSAVED) && m->type == RAFT_VOTE) ||
	    (PLANTED(ENTRIES_UNSAVED) && m->type == RAFT_APPEND_REPLY))
		save = 0;
	if (is_reply(m))
		m->life = r->life;
	m->from = r->self;
	m->term = r->hard.term;
	queue_put(&r->held, m, save);
}

/* ---- roles ---- */

static void
timeout_reset(struct raft *r)
{
	r->elapsed = 0;
	r->timeout = r->election_ticks + (uint32_t)r->random(r->random_ctx, r->election_ticks);
}

void
raft_follow(struct raft *r, uint64_t term, struct raft_id leader)
{
	if (term > r->hard.term) {
		r->hard = (struct raft_hard){.term = term};
		r->hard_dirty = !PLANTED(TERM_UNSAVED);
	}
	r->role = RAFT_FOLLOWER;
	r->prevoting = false;
	r->transferee = (struct raft_id){0};
	r->leader = leader;
	timeout_reset(r);
}

void
raft_commit_to(struct raft *r, uint64_t index)
{
	r->commit = MAX(r->commit, index);
	members_trim(r);
}

/* We can not do a leader's work. Alone nobody else can either. */
static bool
is_stalled(const struct raft *r)
{
	return !members_alone(r) && (r->shell_stalled || (r->saving && r->saving_ticks >= r->election_ticks));
}

static bool
may_stand(const struct raft *r)
{
	return r->may_campaign && members_may_stand(r) && !is_stalled(r);
}

static void
votes_count(struct raft *r)
{
	size_t granted = 0, answered = 0;

	for (size_t i = 0; i < r->member_count; i++) {
		granted += r->members[i].voter && r->members[i].granted;
		answered += r->members[i].voter && r->members[i].answered;
	}
	if (granted > r->voter_count / 2 || (PLANTED(MINORITY_ELECTS) && granted == r->voter_count / 2)) {
		if (r->prevoting)
			stand(r, false);
		else
			become_leader(r);
	} else if (answered - granted > r->voter_count / 2)
		raft_follow(r, r->hard.term, (struct raft_id){0});
}

/* Asks all voters. Our own answer counts if we are one. */
static void
votes_ask(struct raft *r, enum raft_message_type type, bool transfer, bool own)
{
	for (size_t i = 0; i < r->member_count; i++) {
		struct progress *p = &r->members[i];

		p->granted = p->answered = own && p == r->own;
		if (p->voter && p != r->own)
			raft_send_durable(r, &(struct raft_message){.type = type,
						 .to = p->id,
						 .transfer = transfer,
						 .life = p->due,
						 .index = r->log.last,
						 .log_term = terms_last_term(&r->log)});
	}
}

/* transfer: the leader has asked for it, and has given up its lease before. */
static void
stand(struct raft *r, bool transfer)
{
	r->prevoting = false;
	r->hard = (struct raft_hard){.term = r->hard.term + 1, .vote = r->self};
	r->hard_dirty = true;
	r->role = RAFT_CANDIDATE;
	r->leader = (struct raft_id){0};
	timeout_reset(r);
	/* our own vote counts when it is durable: raft_save_done */
	votes_ask(r, RAFT_VOTE, transfer, PLANTED(OWN_VOTE_UNSAVED));
	if (PLANTED(OWN_VOTE_UNSAVED))
		votes_count(r);
}

void
raft_campaign(struct raft *r)
{
	if (may_stand(r) && r->role != RAFT_LEADER && !lease_promised(r))
		stand(r, false);
}

/* Nothing changes, not even the term, until most say that they would vote for us. */
static void
prevote(struct raft *r)
{
	raft_follow(r, r->hard.term, (struct raft_id){0});
	r->prevoting = true;
	votes_ask(r, RAFT_PRE_VOTE, false, true);
	votes_count(r);
}

static void
become_leader(struct raft *r)
{
	r->role = RAFT_LEADER;
	r->leader = r->self;
	r->elapsed = 0;
	members_rebuild(r);
	for (size_t i = 0; i < r->member_count; i++)
		replicate_reset(r, &r->members[i]);
	r->lease_given_up = false;
	r->ticked_at = r->now;
	terms_append(&r->log, r->hard.term, 1);
	r->noop = r->term_first = r->log.last;
	r->append_wanted = true;
}

/* ---- messages in ---- */

/* The candidate counts on the voter that we are, not on one that we were before our log was lost. */
static bool
is_meant(const struct raft *r, const struct raft_message *m)
{
	return r->life == 0 || m->life == r->life || PLANTED(BLANK_VOTES);
}

static void
step_vote(struct raft *r, const struct raft_message *m)
{
	uint64_t last_term = terms_last_term(&r->log);
	bool current = m->log_term > last_term || (m->log_term == last_term && m->index >= r->log.last);
	bool free = raft_id_is_none(r->hard.vote) || raft_id_equal(r->hard.vote, m->from);
	bool grant = (current || PLANTED(VOTE_FOR_SHORT_LOG)) && (free || PLANTED(VOTE_TWICE)) && is_meant(r, m);

	if (grant) {
		if (raft_id_is_none(r->hard.vote)) {
			r->hard.vote = m->from;
			r->hard_dirty = true;
		}
		r->prevoting = false;
		timeout_reset(r);
	}
	raft_send_durable(r, &(struct raft_message){.type = RAFT_VOTE_REPLY, .to = m->from, .reject = !grant});
}

static void
step_vote_reply(struct raft *r, const struct raft_message *m)
{
	struct progress *p = members_find(r, m->from);

	if (r->role != RAFT_CANDIDATE || p == NULL || p->answered)
		return;
	p->answered = true;
	p->granted = !m->reject;
	votes_count(r);
}

/* Whether we would vote for it: not while there is a leader. */
static void
step_pre_vote(struct raft *r, const struct raft_message *m)
{
	uint64_t last_term = terms_last_term(&r->log);
	bool current = m->log_term > last_term || (m->log_term == last_term && m->index >= r->log.last);
	bool led = r->role == RAFT_LEADER || (!raft_id_is_none(r->leader) && r->elapsed < r->election_ticks);

	raft_send_durable(
	    r, &(struct raft_message){
		   .type = RAFT_PRE_VOTE_REPLY, .to = m->from, .reject = !current || led || !is_meant(r, m)});
}

static void
step_pre_vote_reply(struct raft *r, const struct raft_message *m)
{
	struct progress *p = members_find(r, m->from);

	if (!r->prevoting || p == NULL || p->answered)
		return;
	p->answered = true;
	p->granted = !m->reject;
	votes_count(r);
}

static void
step_timeout_now(struct raft *r, const struct raft_message *m)
{
	if (r->role == RAFT_FOLLOWER && may_stand(r) && raft_id_equal(m->from, r->leader))
		stand(r, true);
}

/* An older term speaks: tell it ours. */
static void
step_outdated(struct raft *r, const struct raft_message *m)
{
	if (m->type == RAFT_VOTE || m->type == RAFT_PRE_VOTE)
		raft_send_durable(
		    r, &(struct raft_message){.type = m->type == RAFT_VOTE ? RAFT_VOTE_REPLY : RAFT_PRE_VOTE_REPLY,
			   .to = m->from,
			   .reject = true});
	else if (m->type == RAFT_APPEND)
		raft_send_durable(r, &(struct raft_message){
					 .type = RAFT_APPEND_REPLY, .to = m->from, .index = m->index, .reject = true});
	else if (m->type == RAFT_SNAPSHOT)
		raft_send_durable(
		    r, &(struct raft_message){
			   .type = RAFT_SNAPSHOT_REPLY, .to = m->from, .index = m->index, .reject = true});
}

void
raft_step(struct raft *r, const struct raft_message *m, struct raft_accepted *accepted)
{
	*accepted = (struct raft_accepted){0};
	if (raft_id_is_none(m->from) || raft_id_equal(m->from, r->self) ||
	    (m->term == 0 && m->type != RAFT_PRE_VOTE && m->type != RAFT_PRE_VOTE_REPLY) || m->type < RAFT_VOTE ||
	    m->type > RAFT_SNAPSHOT_REPLY) {
		r->refused++;
		return;
	}
	if (PLANTED(CONFIGURATION_LATE))
		members_rebuild(r);
	/* not even its term is taken: the leader is alive, and would have to go */
	if ((m->type == RAFT_VOTE || m->type == RAFT_PRE_VOTE) && !m->transfer && lease_promised(r))
		return;
	if (m->term > r->hard.term)
		raft_follow(r, m->term, (struct raft_id){0});
	if (m->term < r->hard.term) {
		step_outdated(r, m);
		return;
	}
	switch (m->type) {
	case RAFT_VOTE:
		step_vote(r, m);
		break;
	case RAFT_VOTE_REPLY:
		step_vote_reply(r, m);
		break;
	case RAFT_APPEND:
		follow_append(r, m, accepted);
		break;
	case RAFT_APPEND_REPLY:
		replicate_append_reply(r, m);
		break;
	case RAFT_PRE_VOTE:
		step_pre_vote(r, m);
		break;
	case RAFT_PRE_VOTE_REPLY:
		step_pre_vote_reply(r, m);
		break;
	case RAFT_TIMEOUT_NOW:
		step_timeout_now(r, m);
		break;
	case RAFT_SNAPSHOT:
		follow_snapshot(r, m, accepted);
		break;
	case RAFT_SNAPSHOT_REPLY:
		replicate_snapshot_reply(r, m);
		break;
	}
}

/* ---- time, proposals ---- */

/* Between two ticks more time has passed than an election takes: we were asleep. */
static bool
has_jumped(struct raft *r)
{
	uint64_t passed = r->now - r->ticked_at;

	r->ticked_at = r->now;
	return r->tick_ns > 0 && passed / r->tick_ns > r->election_ticks;
}

void
raft_tick(struct raft *r)
{
	bool jumped = has_jumped(r);

	if (PLANTED(CONFIGURATION_LATE))
		members_rebuild(r);
	r->elapsed++;
	r->saving_ticks += r->saving && r->saving_ticks < r->election_ticks;
	if (r->role == RAFT_LEADER) {
		if ((jumped && !members_alone(r)) || is_stalled(r))
			raft_follow(r, r->hard.term, (struct raft_id){0});
		else
			replicate_tick(r);
		return;
	}
	if (r->elapsed < r->timeout || lease_promised(r))
		return;
	if (!may_stand(r))
		raft_follow(r, r->hard.term, (struct raft_id){0});
	else if (members_alone(r))
		raft_campaign(r);
	else
		prevote(r);
}

void
raft_stalled(struct raft *r, bool stalled)
{
	r->shell_stalled = stalled;
	if (r->role == RAFT_LEADER && is_stalled(r))
		raft_follow(r, r->hard.term, (struct raft_id){0});
}

void
raft_set_campaign(struct raft *r, bool allowed)
{
	r->may_campaign = allowed;
}

uint64_t
raft_propose(struct raft *r, uint32_t count)
{
	uint64_t first = r->log.last + 1;

	if (r->role != RAFT_LEADER || count == 0 || raft_transferring(r) || members_removed(r))
		return 0;
	terms_append(&r->log, r->hard.term, count);
	r->append_wanted = true;
	return first;
}

/* ---- effects ---- */

uint64_t
raft_noop(struct raft *r)
{
	uint64_t index = r->noop;

	r->noop = 0;
	return index;
}

bool
raft_save_begin(struct raft *r, struct raft_save *save)
{
	if (r->saving || (!r->hard_dirty && r->handed >= r->log.last))
		return false;
	*save = (struct raft_save){r->hard, r->handed + 1, r->log.last};
	r->saving = true;
	r->saving_ticks = 0;
	r->saves_begun++;
	r->saving_last = r->handed = r->log.last;
	r->saving_hard = r->hard;
	r->hard_dirty = false;
	return true;
}

void
raft_save_done(struct raft *r)
{
	if (!r->saving)
		panic("raft: a save is done that was not begun");
	r->saving = false;
	r->saves_done = r->saves_begun;
	/* entries that were replaced meanwhile are not what was saved */
	r->stable = MAX(r->stable, MIN(r->saving_last, r->handed));
	if (r->role == RAFT_CANDIDATE && r->saving_hard.term == r->hard.term && r->own != NULL && !r->own->granted) {
		r->own->granted = r->own->answered = true;
		votes_count(r);
	}
	replicate_commit(r);
}

void
raft_save_failed(struct raft *r)
{
	if (!r->saving)
		panic("raft: a save has failed that was not begun");
	r->saving = false;
	r->saves_begun--; /* the next one takes its number: what waits for it goes on waiting */
	r->handed = r->stable;
	r->hard_dirty = true;
}

/* Cuts the runs of a range of our log into r->runs. */
static uint32_t
runs_cut(struct raft *r, uint64_t first, uint64_t last)
{
	uint32_t count = 0;

	for (size_t i = 0; i < r->log.count; i++) {
		uint64_t run_last = i + 1 < r->log.count ? r->log.runs[i + 1].first - 1 : r->log.last;

		if (run_last < first || r->log.runs[i].first > last)
			continue;
		if (count == r->runs_size) {
			r->runs_size = r->runs_size == 0 ? 8 : r->runs_size * 2;
			r->runs = xreallocarray(r->runs, r->runs_size, sizeof *r->runs);
		}
		r->runs[count++] = (struct terms_run){MAX(r->log.runs[i].first, first), r->log.runs[i].term};
	}
	return count;
}

bool
raft_message(struct raft *r, struct raft_message *out)
{
	if (r->append_wanted && r->role == RAFT_LEADER) {
		lease_round_begin(r);
		replicate_feed_all(r);
		members_prune(r);
	}
	r->append_wanted = false;
	while (r->direct.count > 0) {
		*out = r->direct.items[r->direct.first].message;
		queue_pop(&r->direct);
		/* of a term that is over, or of entries that were compacted away meanwhile */
		if (r->role != RAFT_LEADER || out->term != r->hard.term || out->index < r->log.base_index)
			continue;
		if (out->entries > 0) {
			out->run_count = runs_cut(r, out->index + 1, out->index + out->entries);
			out->runs = r->runs;
		}
		return true;
	}
	if (members_removed(r)) /* and all are told */
		raft_follow(r, r->hard.term, (struct raft_id){0});
	while (r->held.count > 0 && r->held.items[r->held.first].save <= r->saves_done) {
		*out = r->held.items[r->held.first].message;
		queue_pop(&r->held);
		if (out->term == r->hard.term)
			return true;
	}
	return false;
}

void
raft_compact(struct raft *r, uint64_t index)
{
	if (index > r->commit || index > r->stable)
		panic("raft: compacting what is not committed and stable");
	if (index > r->log.base_index)
		terms_compact(&r->log, index);
}

/* ---- state ---- */

/*
 * What it promised before it ended it does not know any more. The only voter has promised nothing in a term in which it voted for itself:
 * nobody leads without its vote.
 */
static bool
may_have_promised(const struct raft *r, const struct raft_params *params)
{
	bool own_term = members_alone(r) && raft_id_equal(r->hard.vote, r->self);

	return r->hard.term > 0 && !params->fresh && !own_term && !PLANTED(PROMISE_FORGOTTEN);
}

struct raft *
raft_new(const struct raft_params *params)
{
	struct raft *r = xcalloc(1, sizeof *r);

	if (params->election_ticks == 0 || params->heartbeat_ticks == 0)
		panic("raft: impossible parameters");
	r->self = params->self;
	r->life = params->life;
	r->inflight_max = params->inflight_max == 0 ? INFLIGHT_DEFAULT : params->inflight_max;
	r->entries_max =
	    params->entries_max == 0 ? RAFT_APPEND_ENTRIES_MAX : MIN(params->entries_max, RAFT_APPEND_ENTRIES_MAX);
	r->append_bytes_max = params->append_bytes_max == 0 ? APPEND_BYTES_DEFAULT : params->append_bytes_max;
	r->inflight_bytes_max = params->inflight_bytes_max == 0 ? INFLIGHT_BYTES_DEFAULT : params->inflight_bytes_max;
	r->entry_bytes = params->entry_bytes;
	r->entry_ctx = params->entry_ctx;
	r->chunk_bytes = params->snapshot_chunk_bytes == 0 ? CHUNK_BYTES_DEFAULT : params->snapshot_chunk_bytes;
	r->window_bytes = r->chunk_bytes * (params->snapshot_window == 0 ? WINDOW_DEFAULT : params->snapshot_window);
	r->election_ticks = params->election_ticks;
	r->heartbeat_ticks = params->heartbeat_ticks;
	r->random = params->random;
	r->random_ctx = params->random_ctx;
	r->hard = params->hard;
	r->now = r->ticked_at = params->now;
	r->tick_ns = params->tick_ns;
	r->lease_ns = params->lease_ns;
	r->lease_max_ns = params->lease_max_ns;
	if (r->lease_ns > r->lease_max_ns)
		panic("raft: a longer lease than is allowed");
	terms_copy(&r->log, params->log);
	r->commit = MAX(params->commit, r->log.base_index);
	if (r->commit > r->log.last)
		panic("raft: what is committed is not in the log");
	r->handed = r->stable = r->log.last;
	members_init(r, params->configurations, params->configuration_count);
	if (may_have_promised(r, params))
		lease_promise(r, r->lease_max_ns);
	timeout_reset(r);
	return r;
}

void
raft_free(struct raft *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->member_count; i++)
		free(r->members[i].inflight);
	terms_free(&r->log);
	free(r->members);
	free(r->values);
	free(r->direct.items);
	free(r->held.items);
	free(r->runs);
	free(r);
}

enum raft_role
raft_role(const struct raft *r)
{
	return r->role;
}

const char *
raft_role_name(enum raft_role role)
{
	static const char *const names[] = {"follower", "candidate", "leader"};

	return names[role];
}

uint64_t
raft_term(const struct raft *r)
{
	return r->hard.term;
}

struct raft_id
raft_vote(const struct raft *r)
{
	return r->hard.vote;
}

struct raft_id
raft_leader(const struct raft *r)
{
	return r->leader;
}

uint64_t
raft_commit(const struct raft *r)
{
	return r->commit;
}

uint64_t
raft_stable(const struct raft *r)
{
	return r->stable;
}

const struct terms *
raft_log(const struct raft *r)
{
	return &r->log;
}

uint64_t
raft_refused(const struct raft *r)
{
	return r->refused;
}

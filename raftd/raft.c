/*
 * raft.c - Raft as a pure state machine (contract: raft.h; callers: node.c, the trace tests, the simulator)
 *
 * Durability before words: each change of hard state or log belongs to the next save. A message that speaks of such a change (a
 * vote asked or given, an entry acknowledged) is held until that save is done; it goes to the queue `held` with the number of
 * the save it waits for. A leader's APPENDs speak only of its log in its term, which was durable before it was elected, and
 * leave at once, while its own disk still writes: its own entry in the count of replicas is raft_stable.
 *
 * Invariants: base <= commit <= last (a follower's commit may pass stable); stable <= handed <= last; role LEADER or CANDIDATE implies vote == self;
 * a leader never cuts its log.
 */
#include "raft.h"

#include <stdlib.h>

#include "log.h"
#include "mem.h"

#define INFLIGHT_DEFAULT 64

/* Known mistakes, planted by the test of the simulator, which compiles this file itself (test/sim/raftd_planted_sim.c); none in any other build. */
#ifdef RAFT_PLANTS
#define PLANTED(mistake) (raft_planted == (mistake))
#else
#define PLANTED(mistake) false
#endif

enum progress_state {
	PROGRESS_PROBE,     /* one APPEND, then wait for word: where do the logs part? */
	PROGRESS_REPLICATE, /* a stream of APPENDs */
};

struct progress {
	struct raft_id id;
	enum progress_state state;
	uint64_t match, next;
	bool paused;    /* PROBE: the one is under way */
	bool granted;   /* to the candidate that we are, or would be */
	bool answered;  /* that candidate */
	bool active;    /* heard of since the leader last counted */
	uint64_t round; /* the latest of ours that it answered */
	/* REPLICATE: last index of each APPEND under way, a ring */
	uint64_t *inflight;
	uint32_t inflight_first, inflight_count;
};

struct held_message {
	struct raft_message message;
	uint64_t save; /* goes out when this save is done */
};

struct queue {
	struct held_message *items;
	size_t first, count, size; /* a ring, size a power of two */
};

struct raft {
	struct raft_id self;
	struct progress *voters; /* self among them, if it is one */
	size_t voter_count;
	struct progress *own; /* in voters, or NULL */
	uint32_t election_ticks, heartbeat_ticks, inflight_max, entries_max;
	uint64_t (*random)(void *ctx, uint64_t below);
	void *random_ctx;
	bool may_campaign;

	enum raft_role role;
	struct raft_hard hard;
	struct raft_id leader;
	struct terms log;
	uint64_t commit;
	uint32_t elapsed, timeout; /* ticks */
	uint64_t noop;
	bool prevoting; /* a follower asks whether it would be elected */

	uint64_t now, round;             /* our clock; the round that APPENDs belong to (a time of that clock) */
	uint64_t lease_ns, lease_max_ns; /* 0: no lease */
	uint64_t promise;                /* no vote before this time */
	uint64_t term_first;             /* leader: its first entry */
	uint32_t quorum_elapsed;         /* leader: ticks since the followers were counted */
	bool lease_given_up;             /* for the rest of the term */
	struct raft_id transferee;       /* leadership shall go to it */
	uint32_t transfer_elapsed;
	bool transfer_sent;
	bool append_wanted; /* entries or a commit index that the followers do not know */

	bool hard_dirty;
	uint64_t handed; /* entries up to here were given to a save */
	uint64_t stable;
	bool saving;
	uint64_t saves_begun, saves_done;
	uint64_t saving_last;
	struct raft_hard saving_hard;

	struct queue direct, held;
	uint64_t refused;
	uint64_t *matches;      /* scratch, one for each voter */
	struct terms_run *runs; /* scratch: runs of the message handed out last */
	size_t runs_size;
};

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

static void
send_now(struct raft *r, struct raft_message *m)
{
	m->from = r->self;
	m->term = r->hard.term;
	queue_put(&r->direct, m, 0);
}

/* For messages that speak of our state: they wait until all of it is durable. */
static void
send_durable(struct raft *r, struct raft_message *m)
{
	bool dirty = r->hard_dirty || r->handed < r->log.last;
	uint64_t save = dirty ? r->saves_begun + 1 : r->saves_begun;

	if ((PLANTED(VOTE_UNSAVED) && m->type == RAFT_VOTE_REPLY) ||
	    (PLANTED(OWN_VOTE_UNSAVED) && m->type == RAFT_VOTE) ||
	    (PLANTED(ENTRIES_UNSAVED) && m->type == RAFT_APPEND_REPLY))
		save = 0;
	m->from = r->self;
	m->term = r->hard.term;
	queue_put(&r->held, m, save);
}

/* ---- rounds and the lease ---- */

static int
u64_descending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x > y ? -1 : x < y;
}

/* Rounds are times of our clock, each a new one: whatever is sent from now on belongs to this one. */
static void
round_begin(struct raft *r)
{
	r->round = MAX(r->round + 1, r->now);
	r->append_wanted = true;
}

/* The latest round that most voters, ourselves among them, have answered. */
static uint64_t
round_answered(const struct raft *r)
{
	for (size_t i = 0; i < r->voter_count; i++)
		r->matches[i] = &r->voters[i] == r->own ? UINT64_MAX : r->voters[i].round;
	qsort(r->matches, r->voter_count, sizeof *r->matches, u64_descending);
	return r->matches[r->voter_count / 2];
}

/* Its followers' promises end later: they count from when they heard, and add the bound on the clocks' drift. */
static uint64_t
lease_end(const struct raft *r)
{
	uint64_t round;

	if (r->role != RAFT_LEADER || (r->lease_given_up && !PLANTED(LEASE_KEPT)))
		return 0;
	round = round_answered(r);
	if (round == UINT64_MAX)
		return UINT64_MAX;
	if (PLANTED(LEASE_TOO_LONG) && round > 0)
		round += r->lease_ns;
	return round == 0 || r->lease_ns == 0 ? 0 : round + r->lease_ns;
}

/* A leader's lease may be running: no vote for anybody. */
static bool
promised(const struct raft *r)
{
	return r->lease_max_ns > 0 && (r->now < r->promise || r->now < lease_end(r));
}

static void
promise_make(struct raft *r, uint64_t lease_ns)
{
	if (!PLANTED(VOTE_IN_LEASE))
		r->promise = MAX(r->promise, r->now + lease_ns + lease_ns / RAFT_DRIFT_DIVISOR);
}

void
raft_time(struct raft *r, uint64_t now_ns)
{
	r->now = MAX(r->now, now_ns);
}

uint64_t
raft_lease_until(const struct raft *r)
{
	if (r->role != RAFT_LEADER || (MIN(r->commit, r->stable) < r->term_first && !PLANTED(READ_EARLY)))
		return 0;
	return lease_end(r);
}

uint64_t
raft_read_begin(struct raft *r, uint64_t *index)
{
	if (r->role != RAFT_LEADER || (r->commit < r->term_first && !PLANTED(READ_EARLY)))
		return 0;
	round_begin(r);
	*index = r->commit;
	return r->round;
}

uint64_t
raft_round(const struct raft *r)
{
	if (r->role != RAFT_LEADER)
		return 0;
	return PLANTED(READ_UNCONFIRMED) ? UINT64_MAX : round_answered(r);
}

/* ---- roles ---- */

static struct progress *
progress_of(struct raft *r, struct raft_id id)
{
	for (size_t i = 0; i < r->voter_count; i++)
		if (raft_id_equal(r->voters[i].id, id))
			return &r->voters[i];
	return NULL;
}

static void
timeout_reset(struct raft *r)
{
	r->elapsed = 0;
	r->timeout = r->election_ticks + (uint32_t)r->random(r->random_ctx, r->election_ticks);
}

static void
become_follower(struct raft *r, uint64_t term, struct raft_id leader)
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

static void
votes_count(struct raft *r)
{
	size_t granted = 0, answered = 0;

	for (size_t i = 0; i < r->voter_count; i++) {
		granted += r->voters[i].granted;
		answered += r->voters[i].answered;
	}
	if (granted > r->voter_count / 2 || (PLANTED(MINORITY_ELECTS) && granted == r->voter_count / 2)) {
		if (r->prevoting)
			stand(r, false);
		else
			become_leader(r);
	} else if (answered - granted > r->voter_count / 2)
		become_follower(r, r->hard.term, (struct raft_id){0});
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
	for (size_t i = 0; i < r->voter_count; i++) {
		struct progress *p = &r->voters[i];

		/* our own vote counts when it is durable: raft_save_done */
		p->granted = p->answered = PLANTED(OWN_VOTE_UNSAVED) && p == r->own;
		if (p != r->own)
			send_durable(r, &(struct raft_message){.type = RAFT_VOTE,
					    .to = p->id,
					    .transfer = transfer,
					    .index = r->log.last,
					    .log_term = terms_last_term(&r->log)});
	}
	if (PLANTED(OWN_VOTE_UNSAVED))
		votes_count(r);
}

void
raft_campaign(struct raft *r)
{
	if (r->may_campaign && r->own != NULL && r->role != RAFT_LEADER && !promised(r))
		stand(r, false);
}

/* Nothing changes, not even the term, until most say that they would vote for us. */
static void
prevote(struct raft *r)
{
	become_follower(r, r->hard.term, (struct raft_id){0});
	r->prevoting = true;
	for (size_t i = 0; i < r->voter_count; i++) {
		struct progress *p = &r->voters[i];

		p->granted = p->answered = p == r->own;
		if (p != r->own)
			send_durable(r, &(struct raft_message){.type = RAFT_PRE_VOTE,
					    .to = p->id,
					    .index = r->log.last,
					    .log_term = terms_last_term(&r->log)});
	}
	votes_count(r);
}

static void
become_leader(struct raft *r)
{
	r->role = RAFT_LEADER;
	r->leader = r->self;
	r->elapsed = 0;
	for (size_t i = 0; i < r->voter_count; i++) {
		struct progress *p = &r->voters[i];

		p->state = PROGRESS_PROBE;
		p->match = 0;
		p->next = r->log.last + 1;
		p->paused = false;
		p->inflight_count = 0;
		p->active = false;
		p->round = 0;
	}
	r->quorum_elapsed = 0;
	r->lease_given_up = false;
	terms_append(&r->log, r->hard.term, 1);
	r->noop = r->term_first = r->log.last;
	r->append_wanted = true;
}

/* ---- the leader ---- */

/* Entries of an older term are never committed by counting replicas: only by an entry of this term behind them. */
static void
commit_advance(struct raft *r)
{
	uint64_t own = PLANTED(OWN_ENTRIES_UNSAVED) ? r->log.last : r->stable;
	uint64_t index;

	if (r->role != RAFT_LEADER)
		return;
	for (size_t i = 0; i < r->voter_count; i++)
		r->matches[i] = &r->voters[i] == r->own ? own : r->voters[i].match;
	qsort(r->matches, r->voter_count, sizeof *r->matches, u64_descending);
	index = r->matches[r->voter_count / 2];
	if (index > r->commit && (PLANTED(OLD_TERM_COUNTED) || terms_at(&r->log, index) == r->hard.term)) {
		r->commit = index;
		r->append_wanted = true;
	}
}

static void
append_send(struct raft *r, struct progress *p, uint64_t prev, uint32_t entries)
{
	send_now(r, &(struct raft_message){
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

/* What this follower lacks, as far as its state allows; if that is nothing, an empty APPEND (commit index, heartbeat) when told so. */
static void
follower_feed(struct raft *r, struct progress *p, bool even_empty)
{
	bool sent = false;

	if (p->next <= r->log.base_index) {
		/* it needs a snapshot, which comes with the cluster; it shall at least not start elections */
		if (even_empty)
			append_send(r, p, r->log.base_index, 0);
		return;
	}
	if (p->state == PROGRESS_PROBE) {
		if (!p->paused)
			append_send(r, p, p->next - 1, (uint32_t)MIN(r->log.last - p->next + 1, r->entries_max));
		else if (even_empty)
			append_send(r, p, p->next - 1, 0);
		p->paused = true;
		return;
	}
	while (p->next <= r->log.last && p->inflight_count < r->inflight_max) {
		uint32_t entries = (uint32_t)MIN(r->log.last - p->next + 1, r->entries_max);

		append_send(r, p, p->next - 1, entries);
		p->next += entries;
		p->inflight[(p->inflight_first + p->inflight_count++) % r->inflight_max] = p->next - 1;
		sent = true;
	}
	if (!sent && even_empty)
		append_send(r, p, p->next - 1, 0);
}

static void
followers_feed(struct raft *r, bool even_empty)
{
	for (size_t i = 0; i < r->voter_count; i++)
		if (&r->voters[i] != r->own)
			follower_feed(r, &r->voters[i], even_empty);
}

/* ---- messages in ---- */

static void
step_vote(struct raft *r, const struct raft_message *m)
{
	uint64_t last_term = terms_last_term(&r->log);
	bool current = m->log_term > last_term || (m->log_term == last_term && m->index >= r->log.last);
	bool free = raft_id_is_none(r->hard.vote) || raft_id_equal(r->hard.vote, m->from);
	bool grant = (current || PLANTED(VOTE_FOR_SHORT_LOG)) && (free || PLANTED(VOTE_TWICE));

	if (grant) {
		if (raft_id_is_none(r->hard.vote)) {
			r->hard.vote = m->from;
			r->hard_dirty = true;
		}
		r->prevoting = false;
		timeout_reset(r);
	}
	send_durable(r, &(struct raft_message){.type = RAFT_VOTE_REPLY, .to = m->from, .reject = !grant});
}

static void
step_vote_reply(struct raft *r, const struct raft_message *m)
{
	struct progress *p = progress_of(r, m->from);

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

	send_durable(r, &(struct raft_message){.type = RAFT_PRE_VOTE_REPLY, .to = m->from, .reject = !current || led});
}

static void
step_pre_vote_reply(struct raft *r, const struct raft_message *m)
{
	struct progress *p = progress_of(r, m->from);

	if (!r->prevoting || p == NULL || p->answered)
		return;
	p->answered = true;
	p->granted = !m->reject;
	votes_count(r);
}

static void
step_timeout_now(struct raft *r, const struct raft_message *m)
{
	if (r->role == RAFT_FOLLOWER && r->may_campaign && r->own != NULL && raft_id_equal(m->from, r->leader))
		stand(r, true);
}

/* The entries of an APPEND make sense in themselves. */
static bool
runs_are_sane(const struct raft_message *m)
{
	uint64_t term = m->log_term, first = m->index;

	if (m->entries == 0)
		return true;
	if (m->entries > RAFT_APPEND_ENTRIES_MAX || m->run_count == 0 || m->runs == NULL || m->index > UINT64_MAX / 2 ||
	    m->runs[0].first != m->index + 1)
		return false;
	for (uint32_t i = 0; i < m->run_count; i++) {
		if (m->runs[i].first <= first || m->runs[i].first > m->index + m->entries ||
		    m->runs[i].term < MAX(term, 1) || m->runs[i].term > m->term)
			return false;
		first = m->runs[i].first;
		term = m->runs[i].term;
	}
	return true;
}

static uint64_t
run_end(const struct raft_message *m, uint32_t run)
{
	return run + 1 < m->run_count ? m->runs[run + 1].first - 1 : m->index + m->entries;
}

/* The first entry of the message that our log lacks or has otherwise; index + entries + 1: none. */
static uint64_t
conflict_find(const struct raft *r, const struct raft_message *m)
{
	for (uint32_t run = 0; run < m->run_count; run++)
		for (uint64_t index = MAX(m->runs[run].first, r->log.base_index + 1); index <= run_end(m, run); index++)
			if (index > r->log.last || terms_at(&r->log, index) != m->runs[run].term)
				return index;
	return m->index + m->entries + 1;
}

static void
entries_take(struct raft *r, const struct raft_message *m, uint64_t first, struct raft_accepted *accepted)
{
	*accepted = (struct raft_accepted){
	    first, (uint32_t)(first - m->index - 1), (uint32_t)(m->index + m->entries + 1 - first)};
	if (first <= r->noop)
		r->noop = 0;
	if (first <= r->log.last) {
		terms_truncate(&r->log, first);
		r->handed = MIN(r->handed, first - 1);
		r->stable = MIN(r->stable, first - 1);
	}
	for (uint32_t run = 0; run < m->run_count; run++) {
		uint64_t from = MAX(m->runs[run].first, first);

		if (from <= run_end(m, run))
			terms_append(&r->log, m->runs[run].term, run_end(m, run) - from + 1);
	}
}

static void
append_reject(struct raft *r, const struct raft_message *m)
{
	uint64_t hint = terms_find(&r->log, m->index, m->log_term);

	send_durable(r, &(struct raft_message){.type = RAFT_APPEND_REPLY,
			    .to = m->from,
			    .index = m->index,
			    .reject = true,
			    .round = m->round,
			    .hint_index = hint,
			    .hint_term = terms_at(&r->log, hint)});
}

static void
step_append(struct raft *r, const struct raft_message *m, struct raft_accepted *accepted)
{
	uint64_t end = m->index + m->entries, conflict;

	if (r->role == RAFT_LEADER || !runs_are_sane(m) || (r->lease_max_ns > 0 && m->lease_ns > r->lease_max_ns)) {
		r->refused++; /* two leaders in a term, or nonsense */
		return;
	}
	become_follower(r, m->term, m->from);
	if (r->lease_max_ns > 0)
		promise_make(r, m->lease_ns);
	/* what is committed here is in every later leader's log: nothing to compare */
	if (end <= r->commit) {
		send_durable(r, &(struct raft_message){
				    .type = RAFT_APPEND_REPLY, .to = m->from, .round = m->round, .index = r->commit});
		return;
	}
	if (m->index > r->log.last || (m->index >= r->log.base_index && terms_at(&r->log, m->index) != m->log_term)) {
		append_reject(r, m);
		return;
	}
	conflict = m->entries == 0 ? end + 1 : conflict_find(r, m);
	if (conflict <= r->commit) {
		r->refused++; /* would cut what is committed: not a server of this cluster */
		return;
	}
	if (conflict <= end)
		entries_take(r, m, conflict, accepted);
	r->commit = MAX(r->commit, MIN(m->commit, PLANTED(COMMIT_UNCOMPARED) ? r->log.last : end));
	send_durable(
	    r, &(struct raft_message){.type = RAFT_APPEND_REPLY, .to = m->from, .round = m->round, .index = end});
}

static void
step_rejected(struct raft *r, struct progress *p, const struct raft_message *m)
{
	uint64_t next;

	if (m->index <= p->match || (p->state == PROGRESS_PROBE && m->index != p->next - 1))
		return; /* late */
	next = MIN(m->index, terms_find(&r->log, m->hint_index, m->hint_term) + 1);
	p->next = MAX(next, p->match + 1);
	p->state = PROGRESS_PROBE;
	p->inflight_count = 0;
	p->paused = false;
	follower_feed(r, p, false);
}

/* When the next leader has all that we have, it need not wait; but first our lease must be over, and it is not taken again in this term. */
static void
transfer_try(struct raft *r, struct progress *p)
{
	if (r->transfer_sent || p->match != r->log.last)
		return;
	r->lease_given_up = r->transfer_sent = true;
	send_now(r, &(struct raft_message){.type = RAFT_TIMEOUT_NOW, .to = p->id, .index = r->log.last});
}

bool
raft_transfer(struct raft *r, struct raft_id to)
{
	struct progress *p = progress_of(r, to);

	if (r->role != RAFT_LEADER || p == NULL || p == r->own || !raft_id_is_none(r->transferee))
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

static void
step_append_reply(struct raft *r, const struct raft_message *m)
{
	struct progress *p = progress_of(r, m->from);

	if (r->role != RAFT_LEADER || p == NULL)
		return;
	if (m->round > r->round) {
		r->refused++;
		return;
	}
	p->active = true;
	p->round = MAX(p->round, PLANTED(LEASE_FROM_ANSWER) ? r->now : m->round);
	if (m->reject) {
		step_rejected(r, p, m);
		return;
	}
	if (m->index > r->log.last) {
		r->refused++;
		return;
	}
	p->match = MAX(p->match, m->index);
	p->next = MAX(p->next, p->match + 1);
	while (p->inflight_count > 0 && p->inflight[p->inflight_first] <= p->match) {
		p->inflight_first = (p->inflight_first + 1) % r->inflight_max;
		p->inflight_count--;
	}
	if (p->state == PROGRESS_PROBE && p->match + 1 >= p->next) {
		p->state = PROGRESS_REPLICATE;
		p->inflight_first = p->inflight_count = 0;
	}
	p->paused = false;
	commit_advance(r);
	if (p->next <= r->log.last)
		follower_feed(r, p, false);
	if (raft_id_equal(p->id, r->transferee))
		transfer_try(r, p);
}

/* An older term speaks: tell it ours. */
static void
step_outdated(struct raft *r, const struct raft_message *m)
{
	if (m->type == RAFT_VOTE || m->type == RAFT_PRE_VOTE)
		send_durable(
		    r, &(struct raft_message){.type = m->type == RAFT_VOTE ? RAFT_VOTE_REPLY : RAFT_PRE_VOTE_REPLY,
			   .to = m->from,
			   .reject = true});
	else if (m->type == RAFT_APPEND)
		send_durable(r, &(struct raft_message){
				    .type = RAFT_APPEND_REPLY, .to = m->from, .index = m->index, .reject = true});
}

void
raft_step(struct raft *r, const struct raft_message *m, struct raft_accepted *accepted)
{
	*accepted = (struct raft_accepted){0};
	if (raft_id_is_none(m->from) || raft_id_equal(m->from, r->self) ||
	    (m->term == 0 && m->type != RAFT_PRE_VOTE && m->type != RAFT_PRE_VOTE_REPLY) || m->type < RAFT_VOTE ||
	    m->type > RAFT_TIMEOUT_NOW) {
		r->refused++;
		return;
	}
	/* not even its term is taken: the leader is alive, and would have to go */
	if ((m->type == RAFT_VOTE || m->type == RAFT_PRE_VOTE) && !m->transfer && promised(r))
		return;
	if (m->term > r->hard.term)
		become_follower(r, m->term, (struct raft_id){0});
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
		step_append(r, m, accepted);
		break;
	case RAFT_APPEND_REPLY:
		step_append_reply(r, m);
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
	}
}

/* ---- time, proposals ---- */

/* A leader that hears from no quorum is none: it steps back, so that clients look elsewhere. */
static bool
quorum_heard(struct raft *r)
{
	size_t heard = 0;

	if (++r->quorum_elapsed < r->election_ticks)
		return true;
	r->quorum_elapsed = 0;
	for (size_t i = 0; i < r->voter_count; i++) {
		heard += r->voters[i].active || &r->voters[i] == r->own;
		r->voters[i].active = false;
	}
	return heard > r->voter_count / 2;
}

static void
leader_tick(struct raft *r)
{
	if (!quorum_heard(r)) {
		become_follower(r, r->hard.term, (struct raft_id){0});
		return;
	}
	if (!raft_id_is_none(r->transferee) && ++r->transfer_elapsed >= r->election_ticks)
		r->transferee = (struct raft_id){0};
	if (r->elapsed < r->heartbeat_ticks)
		return;
	r->elapsed = 0;
	/* a probe without an answer was lost: once more */
	for (size_t i = 0; i < r->voter_count; i++)
		r->voters[i].paused = false;
	r->append_wanted = true; /* begins a round */
}

void
raft_tick(struct raft *r)
{
	r->elapsed++;
	if (r->role == RAFT_LEADER) {
		leader_tick(r);
		return;
	}
	if (r->elapsed < r->timeout || promised(r))
		return;
	if (r->may_campaign && r->own != NULL) {
		if (r->voter_count == 1)
			raft_campaign(r);
		else
			prevote(r);
		return;
	}
	become_follower(r, r->hard.term, (struct raft_id){0});
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

	if (r->role != RAFT_LEADER || count == 0 || raft_transferring(r))
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
	if (r->role == RAFT_CANDIDATE && r->saving_hard.term == r->hard.term && !r->own->granted) {
		r->own->granted = r->own->answered = true;
		votes_count(r);
	}
	commit_advance(r);
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
		round_begin(r);
		followers_feed(r, true);
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

struct raft *
raft_new(const struct raft_params *params)
{
	struct raft *r = xcalloc(1, sizeof *r);

	if (params->voter_count > RAFT_MEMBERS_MAX || params->election_ticks == 0 || params->heartbeat_ticks == 0)
		panic("raft: impossible parameters");
	r->self = params->self;
	r->voter_count = params->voter_count;
	r->voters = xcalloc(params->voter_count + 1, sizeof *r->voters);
	r->matches = xcalloc(params->voter_count + 1, sizeof *r->matches);
	r->inflight_max = params->inflight_max == 0 ? INFLIGHT_DEFAULT : params->inflight_max;
	r->entries_max =
	    params->entries_max == 0 ? RAFT_APPEND_ENTRIES_MAX : MIN(params->entries_max, RAFT_APPEND_ENTRIES_MAX);
	for (size_t i = 0; i < params->voter_count; i++) {
		r->voters[i].id = params->voters[i];
		if (raft_id_equal(params->voters[i], params->self))
			r->own = &r->voters[i];
		else
			r->voters[i].inflight = xcalloc(r->inflight_max, sizeof *r->voters[i].inflight);
	}
	r->election_ticks = params->election_ticks;
	r->heartbeat_ticks = params->heartbeat_ticks;
	r->random = params->random;
	r->random_ctx = params->random_ctx;
	r->hard = params->hard;
	r->now = params->now;
	r->lease_ns = params->lease_ns;
	r->lease_max_ns = params->lease_max_ns;
	if (r->lease_ns > r->lease_max_ns)
		panic("raft: a longer lease than is allowed");
	/* what it promised before it ended it does not know any more */
	if (r->voter_count > 1 && r->hard.term > 0 && !PLANTED(PROMISE_FORGOTTEN))
		promise_make(r, r->lease_max_ns);
	terms_copy(&r->log, params->log);
	r->commit = MAX(params->commit, r->log.base_index);
	if (r->commit > r->log.last)
		panic("raft: what is committed is not in the log");
	r->handed = r->stable = r->log.last;
	timeout_reset(r);
	return r;
}

void
raft_free(struct raft *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->voter_count; i++)
		free(r->voters[i].inflight);
	terms_free(&r->log);
	free(r->voters);
	free(r->matches);
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

bool
raft_is_voter(const struct raft *r, struct raft_id id)
{
	for (size_t i = 0; i < r->voter_count; i++)
		if (raft_id_equal(r->voters[i].id, id))
			return true;
	return false;
}

size_t
raft_voter_count(const struct raft *r)
{
	return r->voter_count;
}

uint64_t
raft_refused(const struct raft *r)
{
	return r->refused;
}

/*
 * catalogd.c - the process catalogd of a simulated server: its life, raftlog.c's rules for what comes out of the log and what goes in, with the
 * real proposals and the real apply (contract: cluster.h)
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cluster.h"
#include "mp.h"
#include "pull_order.h"

#define PROPOSE_BYTES_MAX (64u * 1024)
#define PROPOSE_TURN_MAX 16
#define STORE_CHECK_EVERY 64 /* entries */

/* ---- life and death ---- */

void
catalogd_start(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;
	uint32_t life = c->life;

	*c = (struct catalogd_process){.alive = true, .life = life, .nonce = below(s, UINT64_MAX)};
	c->proposals = proposals_new(c->nonce);
	trace(s, v, "catalogd starts");
	c->store = store_begin(s, v);
	c->status.leader_at = NOBODY;
	apply_init(&c->apply);
	buf_init(&c->reply, 16u * 1024 * 1024);
	c->apply.reply = &c->reply;
	event_put(s, s->now + EXPIRE_US, EVENT_EXPIRE, v->number, life, 0, NULL);
	if (v->raftd.alive)
		event_put(s, s->now + below(s, 2 * MS), EVENT_CONNECT, v->number, life, 0, NULL);
}

void
catalogd_die(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;

	c->life++;
	if (!c->alive)
		return;
	trace(s, v, "catalogd ends");
	c->alive = false;
	proposals_free(c->proposals);
	store_close(c->store, false);
	apply_free(&c->apply);
	buf_free(&c->reply);
	free(c->requests);
	c->requests = NULL;
	if (c->connection != 0 && v->raftd.alive)
		note_send(s, v, false, note_new(NOTE_DOWN));
	c->connection = 0;
}

static void
crash(struct sim *s, struct server *v)
{
	s->totals.process_crashes++;
	catalogd_die(s, v);
	event_put(s, s->now + MS + below(s, 60 * MS), EVENT_CATALOGD_START, v->number, v->catalogd.life, 0, NULL);
}

void
note_send(struct sim *s, struct server *v, bool to_catalogd, struct note *n)
{
	uint64_t *last = &v->channel_at[to_catalogd];
	uint64_t delay = below(s, below(s, 16) == 0 ? 4 * MS : 150);

	if (chance(s, 1500)) /* whoever reads there is busy with others */
		delay += below(s, 300 * MS);

	*last = MAX(*last + 1, s->now + 10 + delay);
	n->connection = to_catalogd ? v->raftd.connection : v->catalogd.connection;
	event_put(s, *last, to_catalogd ? EVENT_TO_CATALOGD : EVENT_TO_RAFTD, v->number,
	    to_catalogd ? v->catalogd.life : v->raftd.life, 0, n);
}

/* ---- applying ---- */

struct told {
	struct proposal *proposal;
	bool refused;
	uint8_t reply[16];
	size_t size;
};

struct batch {
	struct told told[512];
	size_t count;
};

static void
apply_one(struct sim *s, struct server *v, uint64_t index, struct bytes data, struct batch *batch)
{
	struct catalogd_process *c = &v->catalogd;
	struct apply_entry entry;
	struct proposal *proposal;
	enum apply_status status;
	struct told *t;

	if (apply_entry_get(data, &entry) == -1)
		failed(s, "server %u: entry %" PRIu64 " is not one of ours", v->number, index);
	c->apply.index = index;
	s->delivered_op = op_of_entry(data);
	status = apply_entry(&c->apply, &entry);
	if (status != APPLY_DONE && status != APPLY_REFUSED)
		failed(s, "server %u: entry %" PRIu64 " can not be applied", v->number, index);
	check_applied(s, v, index, status, buf_bytes(&c->reply));
	proposal = proposals_find(c->proposals, entry.nonce, entry.sequence);
	if (proposal == NULL)
		return;
	if (batch->count == COUNTOF(batch->told) || c->reply.used > sizeof t->reply)
		failed(s, "server %u: too many entries in a batch", v->number);
	t = &batch->told[batch->count++];
	*t = (struct told){.proposal = proposal, .refused = status == APPLY_REFUSED, .size = c->reply.used};
	memcpy(t->reply, c->reply.data, c->reply.used);
}

static void
apply_data(struct sim *s, struct server *v, uint64_t index, struct bytes data, struct batch *batch)
{
	if (!PLANTED_HERE(INDEX_SHARED)) {
		apply_one(s, v, index, data, batch);
		return;
	}
	for (size_t at = 1; at < data.size;) {
		uint32_t size = be32_at(data.data + at);

		apply_one(s, v, index, bytes_of(data.data + at + 4, size), batch);
		at += 4 + size;
	}
}

/* The entries of an element behind o, which goes along. -1: these are not the entries that follow. */
static int
apply_entries(struct sim *s, struct server *v, struct bytes element, struct pull_order *o, struct batch *batch)
{
	struct catalogd_process *c = &v->catalogd;
	struct mp in = mp_of(element);

	for (uint32_t n = mp_array(&in); n > 0; n--) {
		uint64_t index, term, type;
		struct bytes data;
		enum pull_step step;

		(void)mp_array(&in);
		index = mp_uint(&in);
		term = mp_uint(&in);
		type = mp_uint(&in);
		data = mp_str(&in);
		if (!mp_ok(&in))
			failed(s, "server %u: an element of entries is not one", v->number);
		step = pull_order_next(o, index, term);
		if (step == PULL_WRONG)
			return -1;
		if (step == PULL_KNOWN)
			continue;
		check_delivered(s, v, index, term, (uint8_t)type, data);
		if (step == PULL_NEW_TERM)
			proposals_term(c->proposals, term);
		if (type == WAL_DATA)
			apply_data(s, v, index, data, batch);
		else
			check_applied(s, v, index, -1, bytes_of(NULL, 0));
	}
	return 0;
}

static void
ready_check(struct server *v)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_state state = store_state(c->store);

	c->ready = c->connection != 0 && c->status.leader && c->pulling && state.applied_index > 0 &&
		   (state.applied_term == c->status.term || PLANTED_HERE(READ_BEFORE_APPLIED)) &&
		   (state.applied_index >= c->caught_up_at || PLANTED_HERE(READ_BEFORE_CAUGHT_UP));
}

/* The store does not belong to the log: it is made again from raftd's snapshot. */
static void
rebuild(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;

	store_close(c->store, false);
	store_lose(v);
	c->store = store_begin(s, v);
	c->pulling = false;
	c->restoring = true;
	c->stale_applied = 0;
	ready_check(v);
	note_send(s, v, false, note_new(NOTE_SNAPSHOT_GET));
}

static void
on_entries(struct sim *s, struct server *v, const struct note *n)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_state state = store_state(c->store);
	struct pull_order o = {state.applied_index, state.applied_term, c->verify_first};
	uint64_t before = o.index, chain = v->chain;
	struct batch batch;

	if (!c->pulling)
		return;
	batch.count = 0;
	c->apply.txn = write_begin(s, v);
	if (apply_entries(s, v, buf_bytes(&n->bytes), &o, &batch) == -1) {
		store_abort(c->apply.txn);
		v->chain = chain;
		s->totals.store_rebuilds++;
		rebuild(s, v);
		return;
	}
	if (PLANTED_HERE(APPLIED_APART)) {
		write_commit(s, v, c->apply.txn);
		if (chance(s, 30)) {
			v->chain = chain;
			crash(s, v);
			return;
		}
		c->apply.txn = write_begin(s, v);
	}
	if (chance(s, 1000)) { /* in the middle of it */
		store_abort(c->apply.txn);
		v->chain = chain;
		crash(s, v);
		return;
	}
	store_set_applied(c->apply.txn, o.index, o.term);
	write_commit(s, v, c->apply.txn);
	c->verify_first = o.verify_first;
	if (chance(s, 1000)) { /* done, but nobody is told */
		crash(s, v);
		return;
	}
	for (size_t i = 0; i < batch.count; i++) {
		const struct told *t = &batch.told[i];
		struct proposal_result result = {.outcome = t->refused ? PROPOSAL_REFUSED : PROPOSAL_APPLIED,
		    .reply = bytes_of(t->reply, t->size),
		    .error = "refused"};

		proposals_end(c->proposals, t->proposal, &result);
	}
	if (c->ready)
		check_acknowledged(s, o.index);
	if (before / STORE_CHECK_EVERY != o.index / STORE_CHECK_EVERY)
		check_store(s, v);
	note_send(s, v, false, note_new(NOTE_GRANT));
	if (s->malicious && c->ready && chance(s, 48))
		betray(s, v);
}

/* ---- snapshots ---- */

static void
pull_start(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_state state = store_state(c->store);
	struct pull_order o = {state.applied_index, state.applied_term, c->verify_first};
	struct note *n = note_new(NOTE_PULL);

	c->pulling = true;
	n->a = pull_order_from(&o);
	note_send(s, v, false, n);
}

static void
on_snapshot(struct sim *s, struct server *v, const struct note *n)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_txn *t;

	if (!c->restoring)
		return;
	if (n->a > 0) {
		snapshot_restore(s, v, n);
		if (chance(s, 10)) { /* made, but of no log yet */
			crash(s, v);
			return;
		}
	}
	t = write_begin(s, v);
	store_set_log_id(t, c->status.log_id);
	write_commit(s, v, t);
	c->restoring = c->verify_first = false;
	pull_start(s, v);
}

/* ---- raftd ---- */

static void
on_connect(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;

	if (!v->raftd.alive || c->connection != 0)
		return;
	c->connection = (uint32_t)below(s, UINT32_MAX - 1) + 1;
	c->status.leader = c->told = false;
	c->status.leader_at = NOBODY;
	note_send(s, v, false, note_new(NOTE_UP));
}

/* The first status of a connection: is it the log that the store was made from? */
static void
identify(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_state state = store_state(c->store);

	if (c->pulling || c->restoring)
		return;
	raft_id_format(raft_id_from_bytes(wal_id(v->raftd.wal)), c->status.log_id);
	if (state.log_id[0] == '\0' || strcmp(state.log_id, c->status.log_id) != 0)
		rebuild(s, v);
	else {
		c->verify_first = state.applied_index > 0;
		pull_start(s, v);
	}
}

static void
on_status(struct sim *s, struct server *v, const struct note *n)
{
	struct catalogd_process *c = &v->catalogd;

	if (!c->told)
		c->caught_up_at = n->d;
	c->told = true;
	c->status.leader = n->a == RAFT_LEADER;
	c->status.term = n->b;
	c->status.leader_at = n->c == 0 ? NOBODY : (uint8_t)(n->c - 1);
	if (v->raftd.alive)
		identify(s, v);
}

static void
on_proposed(struct sim *s, struct server *v, const struct note *n)
{
	struct catalogd_process *c = &v->catalogd;

	switch ((enum refusal)n->a) {
	case REFUSAL_NONE:
		for (uint64_t i = 0; PLANTED_HERE(ACKNOWLEDGED_EARLY) && i < n->c; i++) {
			static const uint8_t yes = 0xc3;
			struct proposal *proposal = proposals_find(c->proposals, c->nonce, n->b + i);

			if (proposal != NULL)
				proposals_end(c->proposals, proposal,
				    &(struct proposal_result){.outcome = PROPOSAL_APPLIED, .reply = bytes_of(&yes, 1)});
		}
		break;
	case REFUSAL_NOT_LEADER:
	case REFUSAL_TERM:
		s->totals.resent += n->c;
		proposals_return(c->proposals, n->b, (size_t)n->c);
		break;
	case REFUSAL_SPACE:
		proposals_fail(c->proposals, n->b, (size_t)n->c, "no space");
		break;
	}
}

static void
on_down(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;

	if (PLANTED_HERE(LOST_PROPOSAL_RESENT))
		proposals_term(c->proposals, UINT64_MAX);
	c->connection = 0;
	c->status.leader = c->pulling = c->restoring = false;
	c->status.leader_at = NOBODY;
	c->asked_id = 0;
	for (size_t i = 0; i < c->request_count; i++)
		if (c->requests[i].state == REQUEST_ASKING || c->requests[i].state == REQUEST_ASKED)
			c->requests[i].state = REQUEST_HELD;
	event_put(s, s->now + below(s, 5 * MS), EVENT_CONNECT, v->number, c->life, 0, NULL);
}

static void
on_pull_end(struct sim *s, struct server *v, enum pull_end why)
{
	struct catalogd_process *c = &v->catalogd;

	if (why == PULL_COMPACTED && c->verify_first) {
		/* the entry that was applied last is in the snapshot already; the next one may be there */
		c->verify_first = false;
		pull_start(s, v);
		return;
	}
	s->totals.store_rebuilds++;
	rebuild(s, v);
}

static void
on_note(struct sim *s, struct server *v, const struct note *n)
{
	struct catalogd_process *c = &v->catalogd;

	if (n->connection != c->connection)
		return;
	switch (n->type) {
	case NOTE_DOWN:
		on_down(s, v);
		break;
	case NOTE_STATUS:
		on_status(s, v, n);
		break;
	case NOTE_PROPOSED:
		on_proposed(s, v, n);
		break;
	case NOTE_ENTRIES:
		on_entries(s, v, n);
		break;
	case NOTE_PULL_END:
		on_pull_end(s, v, (enum pull_end)n->a);
		break;
	case NOTE_SNAPSHOT:
		on_snapshot(s, v, n);
		break;
	case NOTE_SNAPSHOT_MAKE:
		if (c->pulling && store_state(c->store).applied_index > 0)
			snapshot_make(s, v);
		else
			note_send(s, v, false, note_new(NOTE_SNAPSHOT_MADE)); /* of nothing: later, perhaps */
		break;
	case NOTE_READ_DONE:
		round_done(s, v, n);
		break;
	}
}

/* ---- the turn ---- */

static void
gather(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;

	for (int i = 0; i < PROPOSE_TURN_MAX && c->ready && proposals_waiting(c->proposals) > 0; i++) {
		struct note *n = note_new(NOTE_PROPOSE);

		n->a = c->status.term;
		n->c = proposals_take(c->proposals, c->status.term, PROPOSE_BYTES_MAX, &n->bytes, &n->b);
		if (n->c == 0) {
			note_free(n);
			break;
		}
		note_send(s, v, false, n);
	}
}

static void
turn(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;

	ready_check(v);
	requests_try(s, v);
	gather(s, v);
	c->lease_seen = c->ready && lease_holds(s, v);
}

void
catalogd_event(struct sim *s, struct server *v, const struct event *e)
{
	struct catalogd_process *c = &v->catalogd;
	struct request *q;

	if (c->turned_at != s->now) /* all that waits is taken in one turn */
		c->lease_before = c->lease_seen;
	c->turned_at = s->now;

	switch (e->kind) {
	case EVENT_TO_CATALOGD:
		on_note(s, v, e->note);
		break;
	case EVENT_CONNECT:
		on_connect(s, v);
		break;
	case EVENT_REQUEST:
		request_take(s, v, e);
		break;
	case EVENT_EVALUATE:
		q = request_find(c, (uint32_t)e->value);
		if (q != NULL && q->state == REQUEST_READ)
			request_try(s, v, q);
		break;
	case EVENT_RPC_ANSWER:
		request_answered(s, v, e);
		break;
	case EVENT_EXPIRE:
		requests_expire(s, v);
		break;
	default:
		break;
	}
	if (c->alive)
		turn(s, v);
}

/*
 * catalogd_serve.c - the process catalogd of a simulated server: serve.c's rules for requests, here or forwarded (contract: cluster.h)
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cluster.h"
#include "mp.h"
#include "query.h"
#include "read_place.h"

#define HOLD_US (150 * MS) /* for a leader, and a forwarded request for its answer */
#define HOLD_READ_US (500 * MS)
#define OUTCOME_US (500 * MS)

/* ---- answers ---- */

static void
rpc_answer(struct sim *s, struct server *v, unsigned to, uint32_t op, enum outcome outcome, bool good, uint32_t value,
    uint64_t index)
{
	struct note *n;

	if (s->cut[v->number][to] || below(s, 1000) < s->loss) {
		s->totals.lost++;
		return;
	}
	n = note_new(outcome);
	n->a = op;
	n->b = (uint64_t)value << 1 | good;
	n->c = index;
	event_put(
	    s, s->now + 100 + below(s, s->delay_max), EVENT_RPC_ANSWER, to, s->servers[to].catalogd.life, v->number, n);
}

static void
answer(struct sim *s, struct server *v, uint32_t op, unsigned origin, enum outcome outcome, bool good, uint32_t value,
    uint64_t index)
{
	if (origin == v->number)
		client_answer(s, op, outcome, good, value, index);
	else
		rpc_answer(s, v, origin, op, outcome, good, value, index);
}

struct request *
request_find(struct catalogd_process *c, uint32_t op)
{
	for (size_t i = 0; i < c->request_count; i++)
		if (c->requests[i].op == op)
			return &c->requests[i];
	return NULL;
}

static void
request_remove(struct catalogd_process *c, struct request *q)
{
	*q = c->requests[--c->request_count];
}

static void
request_end(
    struct sim *s, struct server *v, struct request *q, enum outcome outcome, bool good, uint32_t value, uint64_t index)
{
	struct request request = *q;

	request_remove(&v->catalogd, q);
	answer(s, v, request.op, request.origin, outcome, good, value, index);
}

/* ---- reads ---- */

bool
lease_holds(const struct sim *s, const struct server *v)
{
	return v->page.term == v->catalogd.status.term && v->page.until > clock_of(s, v);
}

static void
read_store(struct sim *s, struct server *v, struct request *q)
{
	struct catalogd_process *c = &v->catalogd;
	static const char *const modes[] = {"leader", "consistent", "stale"};
	static struct region *region;
	struct op *op = &s->ops[q->op];
	struct buf args = BUF_INIT(1024), out = BUF_INIT(1024 * 1024);
	char key[8];
	struct query query;
	struct mp entries;
	struct bytes record = {NULL, 0};
	uint32_t value = 0;
	uint64_t index = 0;

	if (region == NULL)
		region = region_new();
	region_reset(region);
	snprintf(key, sizeof key, "k%u", op->key);
	mp_put_map(&args, 1);
	mp_put_kv_cstr(&args, "Key", key);
	query = (struct query){.txn = store_read(c->store),
	    .args = buf_bytes(&args),
	    .region = region,
	    .out = &out,
	    .datacenter = "dc1",
	    .node_name = "n",
	    .consistency = modes[op->mode]};
	if (query.txn == NULL || kv_get(&query) == -1 || store_txn_result(query.txn, NULL) != STORE_DONE)
		failed(s, "server %u: a read fails", v->number);
	query_finish(&query, query.index);
	if (mp_find(mp_of(buf_bytes(&out)), "Entries", &entries) && mp_peek(&entries) == MP_ARRAY &&
	    mp_array(&entries) == 1)
		record = mp_raw(&entries);
	store_read_end(c->store);
	if (record.size > 0) {
		value = op_of_value(mp_find_str(record, "Value"));
		index = mp_find_uint(record, "ModifyIndex");
	}
	buf_free(&args);
	if (op->mode != MODE_STALE)
		check_read(s, v, op);
	else
		check_stale(s, v, op, value, index, store_state(c->store).applied_index);
	request_end(s, v, q, OUTCOME_DONE, true, value, index);
	buf_free(&out);
}

/* One question to raftd for all consistent reads that came while the last one was under way. */
static void
round_ask(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;
	struct note *n;

	for (size_t i = 0; i < c->request_count; i++)
		if (c->requests[i].state == REQUEST_ASKING)
			c->requests[i].state = REQUEST_ASKED;
	n = note_new(NOTE_READ);
	n->a = c->asked_id = below(s, UINT64_MAX - 1) + 1;
	note_send(s, v, false, n);
}

void
round_done(struct sim *s, struct server *v, const struct note *n)
{
	struct catalogd_process *c = &v->catalogd;
	bool more = false;

	if (n->a != c->asked_id)
		return;
	c->asked_id = 0;
	for (size_t i = 0; i < c->request_count; i++) {
		struct request *q = &c->requests[i];

		if (q->state == REQUEST_ASKED && n->b != 0) {
			q->state = REQUEST_CONFIRMED;
			q->index = read_index_needed(c->ready, c->status.term, n->c, n->b);
		} else if (q->state == REQUEST_ASKED)
			q->state = REQUEST_HELD;
		more |= q->state == REQUEST_ASKING;
	}
	if (more)
		round_ask(s, v);
}

/* ---- requests ---- */

static void
on_done(void *ctx, const struct proposal_result *result)
{
	struct op *op = ctx;
	struct sim *s = op->sim;
	struct server *v = &s->servers[op->executor];
	uint32_t number = (uint32_t)(op - s->ops);
	struct mp reply = mp_of(result->reply);

	switch (result->outcome) {
	case PROPOSAL_APPLIED:
		answer(s, v, number, op->origin, OUTCOME_DONE, mp_bool(&reply), 0, 0);
		break;
	case PROPOSAL_REFUSED:
		failed(s, "server %u: apply refuses a write: %s", v->number, result->error);
	case PROPOSAL_NO_LEADER:
	case PROPOSAL_FAILED:
		answer(s, v, number, op->origin, OUTCOME_FAILED, false, 0, 0);
		break;
	case PROPOSAL_UNKNOWN:
		answer(s, v, number, op->origin, OUTCOME_UNKNOWN, false, 0, 0);
		break;
	}
}

/* Judges a write against the state as it is, and proposes it. */
static void
write_propose(struct sim *s, struct server *v, struct request *q)
{
	struct catalogd_process *c = &v->catalogd;
	struct op *op = &s->ops[q->op];
	struct buf args = BUF_INIT(64 * 1024), body = BUF_INIT(64 * 1024);
	struct write w = {.args = buf_bytes(&args), .datacenter = "dc1", .node_name = "n", .body = &body};
	int64_t now = (int64_t)clock_of(s, v);
	uint8_t origin = q->origin;
	uint32_t number = q->op;

	op_body(op, number, &args);
	w.args = buf_bytes(&args);
	w.time_ns = now;
	w.txn = store_read(c->store);
	if (w.txn == NULL || kv_write(&w) == -1)
		failed(s, "server %u: a write is refused: %s", v->number, w.error);
	store_read_end(c->store);
	request_remove(c, q);
	op->executor = (uint8_t)v->number;
	if (proposals_add(c->proposals, &(struct proposal_options){.type = w.type,
					    .time_ns = now,
					    .body = buf_bytes(&body),
					    .send_deadline_ns = now + (int64_t)HOLD_US * 1000,
					    .outcome_deadline_ns = now + (int64_t)OUTCOME_US * 1000,
					    .done = on_done,
					    .ctx = op}) == NULL)
		answer(s, v, number, origin, OUTCOME_FAILED, false, 0, 0);
	buf_free(&args);
	buf_free(&body);
}

/* To the leader, as far as this server knows one. */
static void
request_forward(struct sim *s, struct server *v, struct request *q)
{
	unsigned to = v->catalogd.status.leader_at;

	if (s->cut[v->number][to] && below(s, 2) == 0)
		return; /* no connection: it waits on */
	q->state = REQUEST_FORWARDED;
	q->to = (uint8_t)to;
	if (s->cut[v->number][to] || below(s, 1000) < s->loss) {
		s->totals.lost++;
		return;
	}
	event_put(
	    s, s->now + 100 + below(s, s->delay_max), EVENT_REQUEST, to, 0, (uint64_t)v->number << 32 | q->op, NULL);
}

static struct read_facts
facts_of(const struct sim *s, const struct server *v, const struct request *q)
{
	static const enum read_mode modes[] = {
	    [MODE_DEFAULT] = READ_DEFAULT, [MODE_CONSISTENT] = READ_CONSISTENT, [MODE_STALE] = READ_STALE};
	const struct catalogd_process *c = &v->catalogd;
	bool ours = q->origin == v->number;

	return (struct read_facts){.mode = modes[s->ops[q->op].mode],
	    .ready = c->ready,
	    .leads = c->status.leader,
	    .lease = PLANTED_HERE(LEASE_CHECKED_EARLY) && q->state == REQUEST_READ ? q->lease_held : lease_holds(s, v),
	    .confirmed = q->state == REQUEST_CONFIRMED,
	    .heard = ours && store_state(c->store).applied_index > 0,
	    .leader_elsewhere = c->status.leader_at != NOBODY && c->status.leader_at != v->number,
	    .sent_to_leader = !ours};
}

/* One step of a request, if it can be made now. */
void
request_try(struct sim *s, struct server *v, struct request *q)
{
	struct catalogd_process *c = &v->catalogd;
	const struct op *op = &s->ops[q->op];
	struct read_facts facts;
	bool write = op->kind != OP_GET;

	if (q->state == REQUEST_FORWARDED || q->state == REQUEST_ASKED || q->state == REQUEST_ASKING)
		return;
	if (q->state == REQUEST_CONFIRMED && store_state(c->store).applied_index < q->index)
		return;
	if (write && c->ready) {
		write_propose(s, v, q);
		return;
	}
	facts = facts_of(s, v, q);
	switch (write ? read_place_of_leader(&facts) : read_place(&facts)) {
	case READ_HERE:
		read_store(s, v, q);
		break;
	case READ_VERIFIED:
		q->state = REQUEST_ASKING;
		if (c->asked_id == 0)
			round_ask(s, v);
		else if (PLANTED_HERE(READ_JOINS_ROUND))
			q->state = REQUEST_ASKED;
		break;
	case READ_ELSEWHERE:
		q->state = REQUEST_HELD;
		request_forward(s, v, q);
		break;
	case READ_HELD:
		q->state = REQUEST_HELD;
		break;
	case READ_REFUSED:
		request_end(s, v, q, OUTCOME_NOT_LEADER, false, 0, 0);
		break;
	}
}

void
requests_try(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;

	/* backwards: what ends is replaced by one that was looked at already */
	for (size_t i = c->request_count; i > 0; i--)
		if (c->requests[i - 1].state != REQUEST_READ)
			request_try(s, v, &c->requests[i - 1]);
}

void
request_take(struct sim *s, struct server *v, const struct event *e)
{
	struct catalogd_process *c = &v->catalogd;
	uint32_t op = (uint32_t)e->value;
	unsigned from = (unsigned)(e->value >> 32);

	if (request_find(c, op) != NULL)
		return; /* sent again while the first one is still here: a read */
	if (c->request_count == c->request_size) {
		c->request_size = c->request_size == 0 ? 16 : c->request_size * 2;
		c->requests = xreallocarray(c->requests, c->request_size, sizeof *c->requests);
	}
	c->requests[c->request_count++] = (struct request){.op = op,
	    .origin = (uint8_t)(from == NOBODY ? v->number : from),
	    .state = REQUEST_READ,
	    .deadline = s->now + (s->ops[op].kind == OP_GET ? HOLD_READ_US : HOLD_US),
	    .lease_held = c->lease_before};
	event_put(s, s->now + below(s, 200), EVENT_EVALUATE, v->number, c->life, op, NULL);
}

void
request_answered(struct sim *s, struct server *v, const struct event *e)
{
	const struct note *n = e->note;
	struct request *q = request_find(&v->catalogd, (uint32_t)n->a);

	if (q == NULL || q->state != REQUEST_FORWARDED || q->to != e->value)
		return;
	if (n->type == OUTCOME_NOT_LEADER || n->type == OUTCOME_NOT_SENT)
		q->state = REQUEST_HELD; /* it never reached a log */
	else
		request_end(s, v, q, (enum outcome)n->type, n->b & 1, (uint32_t)(n->b >> 1), n->c);
}

void
requests_expire(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;

	(void)proposals_expire(c->proposals, (int64_t)clock_of(s, v));
	for (size_t i = c->request_count; i > 0; i--) {
		struct request *q = &c->requests[i - 1];
		bool write = s->ops[q->op].kind != OP_GET;

		if (q->deadline > s->now)
			continue;
		if (q->state == REQUEST_FORWARDED && write && PLANTED_HERE(WRITE_RESENT)) {
			q->state = REQUEST_HELD;
			q->deadline = s->now + HOLD_US;
		} else
			request_end(s, v, q, q->state == REQUEST_FORWARDED && write ? OUTCOME_UNKNOWN : OUTCOME_FAILED,
			    false, 0, 0);
	}
	event_put(s, s->now + EXPIRE_US, EVENT_EXPIRE, v->number, c->life, 0, NULL);
}

/*
 * catalogd.c - the process catalogd of a simulated server: raftlog.c's and serve.c's rules around the real proposals, apply, endpoints
 * and store (contract: cluster.h)
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_form.h"
#include "cluster.h"
#include "mp.h"
#include "query.h"

#define MAP_BYTES (64u * 1024 * 1024)
#define HOLD_US (150 * MS) /* for a leader, and a forwarded request for its answer */
#define OUTCOME_US (500 * MS)
#define EXPIRE_US (40 * MS)
#define PROPOSE_BYTES_MAX (64u * 1024)
#define PROPOSE_TURN_MAX 16
#define STORE_CHECK_EVERY 64 /* entries */

static void turn(struct sim *s, struct server *v);

/* ---- the store ---- */

static void
path_of(const struct server *v, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", v->directory, name);
}

/* Planted: pages of the file as they were when the store was opened, as far as the disk has not got later ones. */
static void
pages_mix(struct sim *s, const struct server *v)
{
	char path[128], old_path[128];
	uint8_t page[4096], old[4096];
	int fd, old_fd;

	path_of(v, "data.mdb", path);
	path_of(v, "data.old", old_path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	old_fd = open(old_path, O_RDONLY | O_CLOEXEC);
	for (off_t at = 2 * (off_t)sizeof page;
	     fd != -1 && old_fd != -1 && pread(fd, page, sizeof page, at) == sizeof page &&
	     pread(old_fd, old, sizeof old, at) == sizeof old;
	     at += sizeof page)
		if (below(s, 2) == 0 && pwrite(fd, old, sizeof old, at) != sizeof old)
			failed(s, "a page can not be written");
	close(fd);
	close(old_fd);
}

static void
pages_keep(const struct server *v)
{
	char path[128], old_path[128], command[300];

	path_of(v, "data.mdb", path);
	path_of(v, "data.old", old_path);
	snprintf(command, sizeof command, "cp %s %s", path, old_path);
	if (system(command) != 0)
		abort();
}

static struct store *
store_begin(struct sim *s, struct server *v)
{
	const struct store_options o = {.directory = v->directory, .map_bytes = MAP_BYTES};
	char error[STORE_ERROR_MAX];
	struct store *store = NULL;
	enum store_open_status status = store_open(&o, &store, error);

	if (status == STORE_OPENED && v->store_there && v->store_boot != v->boot && !PLANTED_HERE(STORE_KEPT))
		failed(s, "server %u: a store of another boot was taken over", v->number);
	if (status == STORE_REBUILD) {
		if (v->store_boot == v->boot)
			failed(s, "server %u: the store is not whole: %s", v->number, error);
		s->totals.store_rebuilds++;
		v->store_there = false;
		if (store_erase(v->directory) == -1)
			failed(s, "server %u: the store can not be erased", v->number);
		status = store_open(&o, &store, error);
	}
	if (status != STORE_OPENED)
		failed(s, "server %u: the store can not be opened: %s", v->number, error);
	store_started(store);
	if (!v->store_there)
		v->chain = 0;
	v->store_there = true;
	v->store_boot = v->boot;
	if (PLANTED_HERE(STORE_KEPT))
		pages_keep(v);
	return store;
}

void
store_lose(struct server *v)
{
	char path[128];

	v->store_there = false;
	if (store_erase(v->directory) == -1)
		abort();
	path_of(v, "data.old", path);
	(void)unlink(path);
}

void
store_power_loss(struct sim *s, struct server *v)
{
	const struct store_options o = {.directory = v->directory, .map_bytes = MAP_BYTES};
	char error[STORE_ERROR_MAX];
	struct store *store;
	struct store_txn *t;
	struct bytes value;
	uint8_t copy[256];

	if (!v->store_there || v->store_boot + 1 != v->boot)
		return; /* it is from before already */
	if (PLANTED_HERE(STORE_KEPT)) {
		pages_mix(s, v);
		return;
	}
	/* what it says of the boot it was written in is another one's from now on */
	if (store_open(&o, &store, error) != STORE_OPENED || (t = store_write(store, error)) == NULL)
		failed(s, "server %u: %s", v->number, error);
	store_started(store);
	if (!store_get(t, STORE_META, bytes_str("state"), &value) || value.size < 32 || value.size > sizeof copy)
		failed(s, "server %u: the store says nothing of itself", v->number);
	memcpy(copy, value.data, value.size);
	copy[23] = copy[23] == 'x' ? 'y' : 'x';
	store_put(t, STORE_META, bytes_str("state"), bytes_of(copy, value.size));
	if (store_commit(t, error) != STORE_DONE)
		failed(s, "server %u: %s", v->number, error);
	store_close(store, false);
}

/* ---- life and death ---- */

void
catalogd_start(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;
	uint32_t life = c->life;

	*c = (struct catalogd_process){.alive = true, .life = life, .nonce = below(s, UINT64_MAX)};
	c->proposals = proposals_new(c->nonce);
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

	*last = MAX(*last + 1, s->now + 10 + delay);
	n->connection = to_catalogd ? v->raftd.connection : v->catalogd.connection;
	event_put(s, *last, to_catalogd ? EVENT_TO_CATALOGD : EVENT_TO_RAFTD, v->number,
	    to_catalogd ? v->catalogd.life : v->raftd.life, 0, n);
}

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

static struct request *
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

static bool
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
	if (op->mode == MODE_STALE)
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

static void
on_round(struct sim *s, struct server *v, const struct note *n)
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
			q->index = n->b;
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

/* One step of a request, if it can be made now. */
static void
request_try(struct sim *s, struct server *v, struct request *q)
{
	struct catalogd_process *c = &v->catalogd;
	const struct op *op = &s->ops[q->op];
	bool ours = q->origin == v->number;

	if (op->kind == OP_GET && op->mode == MODE_STALE && ours) {
		if (store_state(c->store).applied_index > 0)
			read_store(s, v, q);
		return;
	}
	if (q->state == REQUEST_FORWARDED || q->state == REQUEST_ASKED || q->state == REQUEST_ASKING)
		return;
	if (q->state == REQUEST_CONFIRMED) {
		if (store_state(c->store).applied_index >= q->index)
			read_store(s, v, q);
		return;
	}
	if (c->ready && op->kind != OP_GET)
		write_propose(s, v, q);
	else if (c->ready && op->mode == MODE_CONSISTENT) {
		q->state = REQUEST_ASKING;
		if (c->asked_id == 0)
			round_ask(s, v);
		else if (PLANTED_HERE(READ_JOINS_ROUND))
			q->state = REQUEST_ASKED;
	} else if (c->ready &&
		   (PLANTED_HERE(LEASE_CHECKED_EARLY) && q->state == REQUEST_READ ? q->lease_held : lease_holds(s, v)))
		read_store(s, v, q);
	else if (!ours)
		request_end(s, v, q, OUTCOME_NOT_LEADER, false, 0, 0);
	else {
		q->state = REQUEST_HELD;
		if (!c->status.leader && c->status.leader_at != NOBODY && c->status.leader_at != v->number)
			request_forward(s, v, q);
	}
}

static void
requests_try(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;

	/* backwards: what ends is replaced by one that was looked at already */
	for (size_t i = c->request_count; i > 0; i--)
		if (c->requests[i - 1].state != REQUEST_READ)
			request_try(s, v, &c->requests[i - 1]);
}

static void
on_request(struct sim *s, struct server *v, const struct event *e)
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
	    .deadline = s->now + HOLD_US,
	    .lease_held = c->lease_seen};
	event_put(s, s->now + below(s, 200), EVENT_EVALUATE, v->number, c->life, op, NULL);
}

static void
on_rpc_answer(struct sim *s, struct server *v, const struct event *e)
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

static void
on_expire(struct sim *s, struct server *v)
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

/* The entries of an element behind *applied. -1: these are not the entries that follow. */
static int
apply_entries(struct sim *s, struct server *v, struct bytes element, struct store_state *applied, struct batch *batch)
{
	struct catalogd_process *c = &v->catalogd;
	struct mp in = mp_of(element);

	for (uint32_t n = mp_array(&in); n > 0; n--) {
		uint64_t index, term, type;
		struct bytes data;

		(void)mp_array(&in);
		index = mp_uint(&in);
		term = mp_uint(&in);
		type = mp_uint(&in);
		data = mp_str(&in);
		if (!mp_ok(&in))
			failed(s, "server %u: an element of entries is not one", v->number);
		if (c->verify_first) {
			c->verify_first = false;
			if (index == applied->applied_index) {
				if (term != applied->applied_term)
					return -1;
				continue;
			}
		}
		if (index != applied->applied_index + 1)
			return -1;
		check_delivered(s, v, index, term, (uint8_t)type, data);
		if (term != applied->applied_term)
			proposals_term(c->proposals, term);
		if (type == WAL_DATA)
			apply_data(s, v, index, data, batch);
		else
			check_applied(s, v, index, -1, bytes_of(NULL, 0));
		applied->applied_index = index;
		applied->applied_term = term;
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
commit(struct sim *s, struct server *v, struct store_txn *t)
{
	char error[STORE_ERROR_MAX];

	if (store_commit(t, error) != STORE_DONE)
		failed(s, "server %u: the store does not commit: %s", v->number, error);
}

static struct store_txn *
write_begin(struct sim *s, struct server *v)
{
	char error[STORE_ERROR_MAX];
	struct store_txn *t = store_write(v->catalogd.store, error);

	if (t == NULL)
		failed(s, "server %u: no transaction: %s", v->number, error);
	return t;
}

static void
on_entries(struct sim *s, struct server *v, const struct note *n)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_state applied = store_state(c->store);
	uint64_t before = applied.applied_index, chain = v->chain;
	struct batch batch;

	if (!c->pulling)
		return;
	batch.count = 0;
	c->apply.txn = write_begin(s, v);
	if (apply_entries(s, v, buf_bytes(&n->bytes), &applied, &batch) == -1) {
		store_abort(c->apply.txn);
		v->chain = chain;
		s->totals.store_rebuilds++;
		rebuild(s, v);
		return;
	}
	if (PLANTED_HERE(APPLIED_APART)) {
		commit(s, v, c->apply.txn);
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
	store_set_applied(c->apply.txn, applied.applied_index, applied.applied_term);
	commit(s, v, c->apply.txn);
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
		check_acknowledged(s, applied.applied_index);
	if (before / STORE_CHECK_EVERY != applied.applied_index / STORE_CHECK_EVERY)
		check_store(s, v);
	note_send(s, v, false, note_new(NOTE_GRANT));
	if (s->malicious && c->ready && chance(s, 48))
		betray(s, v);
}

/* ---- snapshots ---- */

static int
scratch_file(struct sim *s)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC);

	if (fd == -1)
		failed(s, "no file for a snapshot");
	return fd;
}

static void
snapshot_make(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_state state = store_state(c->store);
	struct note *n = note_new(NOTE_SNAPSHOT_MADE);
	struct store_txn *t = store_read(c->store);
	int fd = scratch_file(s);
	struct stat file;
	uint8_t *space;

	if (t == NULL || archive_write(t, &state, fd) == -1 || fstat(fd, &file) == -1)
		failed(s, "server %u: no snapshot can be written", v->number);
	store_read_end(c->store);
	space = buf_space(&n->bytes, (size_t)file.st_size);
	if (space == NULL || pread(fd, space, (size_t)file.st_size, 0) != file.st_size)
		failed(s, "server %u: a snapshot can not be read", v->number);
	close(fd);
	buf_commit(&n->bytes, (size_t)file.st_size);
	n->a = state.applied_index;
	n->b = state.applied_term;
	if (PLANTED_HERE(SNAPSHOT_INDEX_BEHIND) && n->a > 4)
		n->a -= 4;
	check_store(s, v);
	note_send(s, v, false, n);
}

static void
pull_start(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_state state = store_state(c->store);
	struct note *n = note_new(NOTE_PULL);

	c->pulling = true;
	n->a = state.applied_index + !c->verify_first;
	note_send(s, v, false, n);
}

static void
on_snapshot(struct sim *s, struct server *v, const struct note *n)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_txn *t;
	char error[STORE_ERROR_MAX];
	struct archive_reader *reader;
	int result, fd;

	if (!c->restoring)
		return;
	if (n->a > 0) {
		fd = scratch_file(s);
		if (pwrite(fd, n->bytes.data, n->bytes.used, 0) != (ssize_t)n->bytes.used)
			failed(s, "no file for a snapshot");
		reader = archive_reader_new(fd);
		t = write_begin(s, v);
		do
			result = archive_reader_step(reader, t, 1024 * 1024, error);
		while (result == 1);
		if (result == -1)
			failed(s, "server %u: the snapshot can not be read: %s", v->number, error);
		archive_reader_free(reader);
		store_set_applied(t, n->a, n->b);
		commit(s, v, t);
		v->chain = s->committed[n->a].chain;
		check_store(s, v);
		if (chance(s, 10)) { /* made, but of no log yet */
			crash(s, v);
			return;
		}
	}
	t = write_begin(s, v);
	store_set_log_id(t, c->status.log_id);
	commit(s, v, t);
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
		break;
	case NOTE_READ_DONE:
		on_round(s, v, n);
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

	switch (e->kind) {
	case EVENT_TO_CATALOGD:
		on_note(s, v, e->note);
		break;
	case EVENT_CONNECT:
		on_connect(s, v);
		break;
	case EVENT_REQUEST:
		on_request(s, v, e);
		break;
	case EVENT_EVALUATE:
		q = request_find(c, (uint32_t)e->value);
		if (q != NULL && q->state == REQUEST_READ)
			request_try(s, v, q);
		break;
	case EVENT_RPC_ANSWER:
		on_rpc_answer(s, v, e);
		break;
	case EVENT_EXPIRE:
		on_expire(s, v);
		break;
	default:
		break;
	}
	if (c->alive)
		turn(s, v);
}

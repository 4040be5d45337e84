/*
 * raftd_serve.c - the process raftd of a simulated server: what catalogd asks of it and is told (contract: cluster.h)
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cluster.h"
#include "mp.h"

#define PENDING_ENTRIES_MAX 4096u
#define PULL_BYTES_MAX (16u * 1024)
#define PULL_CREDIT 3u

static enum refusal
propose(struct sim *s, struct server *v, const struct note *n)
{
	struct raftd *r = &v->raftd;
	struct mp in = mp_of(buf_bytes(&n->bytes));
	uint32_t count = mp_array(&in), entries = PLANTED_HERE(INDEX_SHARED) ? 1 : count;
	size_t bytes = n->bytes.used;
	uint64_t index, term;
	struct buf shared = BUF_INIT(64u * 1024 * 1024);

	if (raft_role(r->raft) != RAFT_LEADER || raft_transferring(r->raft))
		return REFUSAL_NOT_LEADER;
	if (n->a != raft_term(r->raft) && !PLANTED_HERE(PROPOSAL_IN_ANY_TERM))
		return REFUSAL_TERM;
	if (pending_entries(r) + count > PENDING_ENTRIES_MAX || r->no_space ||
	    raft_log(r->raft)->last + 2 * count + 64 > ENTRIES_MAX)
		return REFUSAL_SPACE;
	if (wal_reserve(r->wal, pending_entries(r) + count, r->pending_bytes + bytes) == -1) {
		space_lost(s, v);
		return REFUSAL_SPACE;
	}
	index = raft_propose(r->raft, entries);
	if (index == 0)
		failed(s, "server %u: the leader accepts nothing", v->number);
	term = raft_term(r->raft);
	for (uint32_t i = 0; i < entries; i++) {
		struct bytes data = mp_str(&in);

		if (PLANTED_HERE(INDEX_SHARED)) {
			/* all of them in one, each behind its size */
			buf_put_u8(&shared, 0xff);
			for (uint32_t k = 0; k < count; k++) {
				buf_put_be32(&shared, (uint32_t)data.size);
				buf_put_bytes(&shared, data);
				if (k + 1 < count)
					data = mp_str(&in);
			}
			data = buf_bytes(&shared);
		}
		raftd_entry_keep(s, v, index + i, term, WAL_DATA, data);
	}
	buf_free(&shared);
	r->pending_bytes += bytes;
	return REFUSAL_NONE;
}

static void
on_propose(struct sim *s, struct server *v, const struct note *n)
{
	struct note *answer = note_new(NOTE_PROPOSED);

	answer->a = propose(s, v, n);
	answer->b = n->b;
	answer->c = n->c;
	note_send(s, v, true, answer);
}

static void
pull_end(struct sim *s, struct server *v, enum pull_end why)
{
	struct note *n = note_new(NOTE_PULL_END);

	n->a = why;
	v->raftd.pull_next = 0;
	note_send(s, v, true, n);
}

struct element {
	struct buf *out;
	uint32_t count;
};

static bool
on_element_read(void *ctx, const struct wal_entry *e)
{
	struct element *into = ctx;

	tail_element_put(into->out, e->index, e->term, e->type, e->data);
	into->count++;
	return into->out->used < PULL_BYTES_MAX;
}

/* false: the log can not be read. */
bool
pull_feed(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;

	while (r->pull_next != 0 && r->pull_next <= raftd_deliverable(r) && r->pull_credit > 0) {
		uint64_t last = raftd_deliverable(r);
		struct note *n;
		size_t place;
		char error[WAL_ERROR_MAX];
		struct element into;

		if (r->pull_next <= raft_log(r->raft)->base_index) {
			pull_end(s, v, PULL_COMPACTED);
			break;
		}
		n = note_new(NOTE_ENTRIES);
		into = (struct element){&n->bytes, 0};
		place = mp_open_array(&n->bytes);
		if (r->pull_next >= tail_first(r->tail))
			into.count = tail_elements_put(r->tail, r->pull_next, last, PULL_BYTES_MAX, &n->bytes);
		else if (wal_read(r->wal, r->pull_next, MIN(last, tail_first(r->tail) - 1), on_element_read, &into,
			     error) == -1) {
			if (!v->damaged)
				failed(s, "server %u can not read its log: %s", v->number, error);
			note_free(n);
			disk_failed(s, v);
			return false;
		}
		if (into.count == 0)
			into.count = tail_elements_put(r->tail, r->pull_next, r->pull_next, SIZE_MAX, &n->bytes);
		mp_close(&n->bytes, place, into.count);
		r->pull_next += into.count;
		r->pull_credit--;
		note_send(s, v, true, n);
	}
	return true;
}

static void
on_pull(struct sim *s, struct server *v, uint64_t from)
{
	const struct terms *log = raft_log(v->raftd.raft);

	if (from <= log->base_index)
		pull_end(s, v, PULL_COMPACTED);
	else if (from > log->last + 1)
		pull_end(s, v, PULL_AHEAD);
	else {
		v->raftd.pull_next = from;
		v->raftd.pull_credit = PULL_CREDIT;
	}
}

void
status_tell(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	enum raft_role role = raft_role(r->raft);
	uint64_t term = raft_term(r->raft);
	struct raft_id leader = raft_leader(r->raft);
	struct note *n;

	if (r->told.once && r->told.role == role && r->told.term == term && raft_id_equal(r->told.leader, leader))
		return;
	r->told.once = true;
	r->told.role = role;
	r->told.term = term;
	r->told.leader = leader;
	n = note_new(NOTE_STATUS);
	n->a = role;
	n->b = term;
	n->c = server_of(s, leader) == NOBODY ? 0 : server_of(s, leader) + 1;
	n->d = raftd_deliverable(r);
	note_send(s, v, true, n);
}

void
reads_answer(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;

	for (size_t i = 0; i < r->read_count;) {
		bool leads = r->reads[i].round != 0 && raft_role(r->raft) == RAFT_LEADER &&
			     raft_term(r->raft) == r->reads[i].term;
		struct note *n;

		if (leads && raft_round(r->raft) < r->reads[i].round) {
			i++;
			continue;
		}
		if (leads && r->reads[i].index < r->reads[i].needed)
			failed(s,
			    "linearizable reads: server %u reads entry %" PRIu64 " after a round, %" PRIu64
			    " was acknowledged before it",
			    v->number, r->reads[i].index, r->reads[i].needed);
		n = note_new(NOTE_READ_DONE);
		n->a = r->reads[i].id;
		n->b = leads ? r->reads[i].index : 0;
		n->c = r->reads[i].term;
		note_send(s, v, true, n);
		r->reads[i] = r->reads[--r->read_count];
	}
}

void
raftd_note(struct sim *s, struct server *v, struct event *e)
{
	struct raftd *r = &v->raftd;
	struct note *n = e->note;

	if (n->type == NOTE_UP)
		r->connection = n->connection;
	if (n->connection != r->connection)
		return;
	switch (n->type) {
	case NOTE_UP:
		r->told.once = false;
		r->pull_next = 0;
		r->read_count = 0;
		r->snapshotting = false;
		raft_set_campaign(r->raft, true);
		if (raft_voter_count(r->raft) == 1)
			raft_campaign(r->raft);
		break;
	case NOTE_DOWN:
		r->connection = 0;
		r->pull_next = 0;
		r->read_count = 0;
		r->snapshotting = false;
		raft_set_campaign(r->raft, false);
		break;
	case NOTE_PROPOSE:
		on_propose(s, v, n);
		break;
	case NOTE_PULL:
		on_pull(s, v, n->a);
		break;
	case NOTE_GRANT:
		r->pull_credit++;
		break;
	case NOTE_SNAPSHOT_GET: /* whoever asks has cancelled its pull */
		r->pull_next = 0;
		note_send(s, v, true, snapshot_note(s, v));
		break;
	case NOTE_SNAPSHOT_MADE:
		snapshot_made(s, v, e);
		break;
	case NOTE_READ:
		if (r->read_count < COUNTOF(r->reads)) {
			r->reads[r->read_count].id = n->a;
			r->reads[r->read_count].needed = s->acknowledged;
			r->reads[r->read_count].term = raft_term(r->raft);
			r->reads[r->read_count].round = raft_read_begin(r->raft, &r->reads[r->read_count].index);
			r->read_count++;
		}
		break;
	}
}

/*
 * raftd.c - the process raftd of a simulated server: node.c's and serve.c's rules around the real core and the real log (contract: cluster.h)
 *
 * Each event is a turn of the loop: what came in goes to the core; then at most one batch goes to disk, messages leave, whoever
 * reads under the lease is told of it, and committed entries are handed out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "mp.h"
#include "uuid.h"

#define SEGMENT_BYTES (160u * WAL_BLOCK_BYTES)
#define PENDING_ENTRIES_MAX 4096u
#define SPACE_WANTED_BYTES (16u * 1024)
#define SPACE_RETRY_US (40 * MS)
#define MARK_IDLE_US (15 * MS)
#define PULL_BYTES_MAX (16u * 1024)
#define PULL_CREDIT 3u

struct raft_id
id_of(unsigned server)
{
	return (struct raft_id){7, server + 1};
}

uint64_t
clock_of(const struct sim *s, const struct server *v)
{
	return v->clock_offset + s->now * v->clock_speed;
}

static uint64_t
raft_random(void *ctx, uint64_t bound)
{
	struct sim *s = ctx;

	/* timeouts that collide are what elections fear */
	return s->malicious && s->chaos ? below(s, 2) * (bound / 2) : below(s, bound);
}

uint64_t
raftd_deliverable(const struct raftd *r)
{
	if (PLANTED_HERE(DELIVER_UNCOMMITTED))
		return raft_stable(r->raft);
	if (PLANTED_HERE(DELIVER_UNSTABLE))
		return raft_commit(r->raft);
	return MIN(raft_commit(r->raft), raft_stable(r->raft));
}

void
image_free(struct image *i)
{
	terms_free(&i->log);
	*i = (struct image){0};
}

static void
image_take(struct image *i, const struct wal *w)
{
	image_free(i);
	terms_copy(&i->log, wal_terms(w));
	i->hard = (struct raft_hard){wal_term(w), raft_id_from_bytes(wal_vote(w))};
}

/* ---- life and death ---- */

/* Cuts the log at a damaged block, as a careless recovery would. */
static void
damage_cut_off(struct server *v)
{
	uint64_t file = v->bad_block >> 32, at = (v->bad_block & UINT32_MAX) * WAL_BLOCK_BYTES;

	for (int i = 0; i < DISK_FILES_MAX; i++) {
		struct disk_file *f = &v->disk.files[i];

		if ((uint64_t)i == file && at < f->size) {
			memset(f->now + at, 0, f->size - at);
			memset(f->durable + at, 0, f->size - at);
		}
	}
}

static struct wal *
log_open(struct sim *s, struct server *v, char error[WAL_ERROR_MAX])
{
	const struct wal_options o = {.io = disk_io(&v->disk), .path = "/log", .segment_bytes = SEGMENT_BYTES};
	struct wal *w = wal_open(&o, v->snapshots[0].index == 0, error);

	if (w == NULL && PLANTED_HERE(DAMAGE_CUT_OFF)) {
		damage_cut_off(v);
		w = wal_open(&o, true, error);
	}
	if (w == NULL && errno == EBADMSG && v->damaged) {
		v->refused = true;
		s->totals.refused_logs++;
		return NULL;
	}
	if (w == NULL)
		failed(s, "server %u: %s", v->number, error);
	return w;
}

void
raftd_start(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	uint32_t life = r->life;
	struct raft_configuration voters = {.count = s->count};
	char error[WAL_ERROR_MAX];
	struct wal *w = v->refused ? NULL : log_open(s, v, error);
	struct raft_params p = {
	    .self = id_of(v->number),
	    .configurations = &voters,
	    .configuration_count = 1,
	    .election_ticks = ELECTION_TICKS,
	    .heartbeat_ticks = 2,
	    .inflight_max = 8,
	    .entries_max = s->entries_max,
	    .lease_ns = LEASE_NS,
	    .lease_max_ns = LEASE_NS,
	    .now = clock_of(s, v),
	    .random = raft_random,
	    .random_ctx = s,
	};

	if (w == NULL)
		return;
	s->totals.torn_logs += wal_torn(w) != NULL;
	*r = (struct raftd){.alive = true, .life = life, .wal = w, .tail_keep = below(s, 2) * 256 * 1024};
	check_opened(s, v);
	image_take(&v->durable, w);
	v->written_in_flight = false;
	for (unsigned i = 0; i < s->count; i++)
		voters.members[i] = (struct raft_member){id_of(i), true};
	p.hard = v->durable.hard;
	p.log = wal_terms(w);
	p.commit = v->snapshots[0].index;
	if (p.commit > p.log->last)
		failed(s, "server %u: the log ends with entry %" PRIu64 ", its snapshot with %" PRIu64, v->number,
		    p.log->last, p.commit);
	r->raft = raft_new(&p);
	r->tail = tail_new(raft_log(r->raft)->last);
	r->snapshot_due = raftd_deliverable(r) + 30 + below(s, 150);
	event_put(s, s->now + below(s, v->tick_every), EVENT_TICK, v->number, life, 0, NULL);
	if (v->catalogd.alive)
		event_put(s, s->now + below(s, 2 * MS), EVENT_CONNECT, v->number, v->catalogd.life, 0, NULL);
}

void
raftd_die(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;

	r->life++;
	if (!r->alive)
		return;
	r->alive = false;
	raft_free(r->raft);
	tail_free(r->tail);
	wal_close(r->wal);
	if (r->connection != 0)
		note_send(s, v, true, note_new(NOTE_DOWN));
}

/* The log is not to be relied on in this life: the next start finds out. */
static void
disk_failed(struct sim *s, struct server *v)
{
	raftd_die(s, v);
	event_put(s, s->now + 5 * MS + below(s, 20 * MS), EVENT_RAFTD_START, v->number, v->raftd.life, 0, NULL);
}

/* ---- entries ---- */

static void
entry_keep(struct sim *s, struct server *v, uint64_t index, uint64_t term, uint8_t type, struct bytes data)
{
	tail_put(v->raftd.tail, index, term, type, data);
	check_entry(s, v, index, term, type, data);
}

static void
noop_take(struct sim *s, struct server *v)
{
	struct raft *raft = v->raftd.raft;
	uint64_t index = raft_noop(raft);

	if (index != 0)
		entry_keep(s, v, index, terms_at(raft_log(raft), index), WAL_NOOP, bytes_of(NULL, 0));
}

/* What the tail does not hold any more of first..last, read from the log. */
struct old_entries {
	struct server *v;
	uint64_t first;
	struct buf bytes;
	struct {
		uint8_t type;
		size_t at, size;
	} * at;
	size_t count, size;
};

static bool
on_old_entry(void *ctx, const struct wal_entry *e)
{
	struct old_entries *o = ctx;

	if (o->count == o->size) {
		o->size = o->size == 0 ? 64 : o->size * 2;
		o->at = xreallocarray(o->at, o->size, sizeof *o->at);
	}
	o->at[o->count].type = e->type;
	o->at[o->count].at = o->bytes.used;
	o->at[o->count++].size = e->data.size;
	buf_put_bytes(&o->bytes, e->data);
	return true;
}

static struct message_entry
entry_of(void *ctx, uint64_t index)
{
	struct old_entries *o = ctx;
	struct tail_entry e;

	if (index < tail_first(o->v->raftd.tail)) {
		size_t i = (size_t)(index - o->first);

		return (struct message_entry){o->at[i].type, bytes_of(o->bytes.data + o->at[i].at, o->at[i].size)};
	}
	e = tail_get(o->v->raftd.tail, index);
	return (struct message_entry){e.type, e.data};
}

/* ---- the network ---- */

static void
packet_put(struct sim *s, unsigned from, unsigned to, struct bytes bytes)
{
	struct note *n = note_new(0);
	bool late = below(s, 10) == 0;

	/* mostly quick, sometimes late: that is what reorders */
	s->totals.reordered += late;
	buf_put_bytes(&n->bytes, bytes);
	event_put(s, s->now + 100 + below(s, late ? s->delay_max * 10 : s->delay_max), EVENT_PACKET, to, 0, from, n);
}

enum spoken { SAID_NOTHING, SAID_SOMETHING, SAID_VOTE };

/* false: the log can not be read. */
static bool
message_send(struct sim *s, struct server *v, const struct raft_message *m)
{
	struct old_entries old = {.v = v, .first = m->index + 1, .bytes = BUF_INIT(64u * 1024 * 1024)};
	unsigned to = (unsigned)m->to.low - 1;
	uint64_t last_old = MIN(m->index + m->entries, tail_first(v->raftd.tail) - 1);
	char error[WAL_ERROR_MAX];
	bool good = true;

	if (m->type == RAFT_APPEND && m->entries > 0 && last_old > m->index)
		good = wal_read(v->raftd.wal, m->index + 1, last_old, on_old_entry, &old, error) == 0;
	if (!good && !v->damaged)
		failed(s, "server %u can not read its log: %s", v->number, error);
	buf_clear(&s->scratch);
	if (good)
		message_encode(m, entry_of, &old, &s->scratch);
	if (good && (s->cut[v->number][to] || below(s, 1000) < s->loss))
		s->totals.lost++;
	else if (good) {
		packet_put(s, v->number, to, buf_bytes(&s->scratch));
		if (below(s, 1000) < s->duplicate) {
			packet_put(s, v->number, to, buf_bytes(&s->scratch));
			s->totals.duplicated++;
		}
	}
	buf_free(&old.bytes);
	free(old.at);
	return good;
}

/* What it said: how much it would matter if it forgot that. -1: it died over it. */
static int
messages_send(struct sim *s, struct server *v)
{
	struct raft_message m;
	enum spoken said = SAID_NOTHING;

	while (raft_message(v->raftd.raft, &m)) {
		said = MAX(said, m.type == RAFT_VOTE_REPLY && !m.reject ? SAID_VOTE : SAID_SOMETHING);
		if (m.term > v->durable.hard.term)
			failed(s, "durability: server %u speaks in term %" PRIu64 ", only %" PRIu64 " is saved",
			    v->number, m.term, v->durable.hard.term);
		if (!message_send(s, v, &m)) {
			disk_failed(s, v);
			return -1;
		}
	}
	return (int)said;
}

static void
packet_take(struct sim *s, struct server *v, const struct event *e)
{
	struct raft *raft = v->raftd.raft;
	struct raft_accepted accepted;
	struct message_in in;

	/* what was under way before the cut may still come */
	if (!s->malicious && s->cut[e->value][v->number])
		return;
	if (message_decode(buf_bytes(&e->note->bytes), &in) == -1)
		failed(s, "a message does not decode");
	raft_step(raft, &in.message, &accepted);
	noop_take(s, v);
	for (uint32_t i = 0; i < accepted.taken; i++) {
		const struct message_entry *entry = &in.entries[accepted.skipped + i];
		uint64_t index = accepted.first + i;

		entry_keep(s, v, index, terms_at(raft_log(raft), index), entry->type, entry->data);
	}
	if (raft_refused(raft) > 0)
		failed(s, "server %u refused a message of server %" PRIu64, v->number, e->value);
	message_in_free(&in);
}

/* ---- saving ---- */

static uint64_t
sync_time(struct sim *s, const struct server *v)
{
	uint64_t us = 300 + below(s, v->slow_until > s->now ? 60 * MS : 4 * MS);

	if (v->stall_until > s->now)
		us += v->stall_until - s->now;
	return us;
}

static void
sync_begin(struct sim *s, struct server *v, bool mark)
{
	struct note *n = note_new(0);
	uint64_t segment;
	bool directory;

	n->a = (uint64_t)wal_sync_fd(v->raftd.wal, &segment, &directory);
	n->b = directory;
	v->raftd.syncing = true;
	v->raftd.syncing_mark = mark;
	event_put(s, s->now + sync_time(s, v), EVENT_DISK_SYNC, v->number, v->raftd.life, v->boot, n);
}

/* The disk's own time: it does not wait for a process. */
void
raftd_disk_sync(struct sim *s, struct server *v, const struct event *e)
{
	if (e->value != v->boot)
		return;
	if (!PLANTED_HERE(SYNC_SKIPPED) && (disk_sync(&v->disk.top, (int)e->note->a) == -1 ||
					       (e->note->b && disk_sync_directory(&v->disk.top, NULL) == -1)))
		failed(s, "server %u: the disk does not sync", v->number);
	if (e->life != v->raftd.life)
		return;
	if (v->written_in_flight) {
		image_free(&v->durable);
		v->durable = v->written;
		v->written = (struct image){0};
		v->written_in_flight = false;
	}
	event_put(s, s->now, EVENT_SYNCED, v->number, e->life, 0, NULL);
}

static void
space_lost(struct sim *s, struct server *v)
{
	if (!v->raftd.no_space)
		event_put(s, s->now + SPACE_RETRY_US, EVENT_SPACE, v->number, v->raftd.life, 0, NULL);
	v->raftd.no_space = true;
}

static size_t
pending_entries(const struct raftd *r)
{
	return (size_t)(tail_last(r->tail) - MIN(raft_stable(r->raft), tail_last(r->tail)));
}

static void
on_space(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;

	if (wal_reserve(r->wal, pending_entries(r) + 1, r->pending_bytes + SPACE_WANTED_BYTES) == -1)
		event_put(s, s->now + SPACE_RETRY_US, EVENT_SPACE, v->number, r->life, 0, NULL);
	else
		r->no_space = r->write_blocked = false;
}

static void
save(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	uint8_t vote[WAL_ID_BYTES];
	struct raft_save save;
	size_t bytes = 0;

	if (r->write_blocked || r->syncing || !raft_save_begin(r->raft, &save))
		return;
	raft_id_to_bytes(save.hard.vote, vote);
	wal_batch_begin(r->wal, save.hard.term, vote);
	for (uint64_t index = save.first; index <= save.last; index++) {
		struct tail_entry e = tail_get(r->tail, index);

		wal_batch_entry(r->wal, index, e.term, e.type, e.data);
		bytes += e.data.size;
	}
	if (wal_batch_write(r->wal) == -1) {
		if (errno != ENOSPC)
			failed(s, "server %u: the log can not be written: %s", v->number, strerror(errno));
		raft_save_failed(r->raft);
		r->write_blocked = true;
		space_lost(s, v);
		return;
	}
	r->pending_bytes -= MIN(bytes, r->pending_bytes);
	r->saves++;
	image_take(&v->written, r->wal);
	v->written_in_flight = true;
	sync_begin(s, v, false);
}

static void
on_synced(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;

	r->syncing = false;
	wal_synced(r->wal);
	if (r->syncing_mark)
		return;
	raft_save_done(r->raft);
	noop_take(s, v);
	tail_trim(r->tail, raft_stable(r->raft), r->tail_keep);
	event_put(s, s->now + MARK_IDLE_US, EVENT_MARK, v->number, r->life, r->saves, NULL);
}

static void
on_mark(struct sim *s, struct server *v, uint64_t saves)
{
	struct raftd *r = &v->raftd;

	if (r->syncing || r->saves != saves || wal_needs_sync(r->wal))
		return;
	wal_prepare(r->wal);
	if (wal_mark(r->wal) == -1) {
		if (errno != ENOSPC)
			failed(s, "server %u: no mark can be written: %s", v->number, strerror(errno));
		return;
	}
	if (wal_needs_sync(r->wal)) {
		image_take(&v->written, r->wal);
		v->written_in_flight = true;
		sync_begin(s, v, true);
	}
}

/* ---- catalogd ---- */

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
		entry_keep(s, v, index + i, term, WAL_DATA, data);
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
static bool
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

static struct note *
snapshot_note(const struct server *v, uint32_t type)
{
	const struct snapshot *newest = &v->snapshots[0];
	struct note *n = note_new(type);

	n->a = newest->index;
	n->b = newest->term;
	n->c = newest->chain;
	buf_put_bytes(&n->bytes, buf_bytes(&newest->blob));
	return n;
}

static void
on_snapshot_made(struct sim *s, struct server *v, struct event *e)
{
	struct raftd *r = &v->raftd;
	const struct terms *log = raft_log(r->raft);
	struct note *n = e->note;

	if (n->a <= v->snapshots[0].index || n->a > raftd_deliverable(r) ||
	    (n->a >= log->base_index && terms_at(log, n->a) != n->b)) {
		r->snapshotting = false;
		return;
	}
	event_put(s, s->now + MS + below(s, 60 * MS), EVENT_SNAPSHOT_SAVED, v->number, r->life, 0, n);
	e->note = NULL;
}

static void
on_snapshot_saved(struct sim *s, struct server *v, struct note *n)
{
	struct raftd *r = &v->raftd;

	buf_free(&v->snapshots[SNAPSHOTS_MAX - 1].blob);
	memmove(&v->snapshots[1], &v->snapshots[0], sizeof v->snapshots - sizeof v->snapshots[0]);
	v->snapshots[0] = (struct snapshot){.index = n->a, .term = n->b, .chain = n->c, .blob = n->bytes};
	buf_init(&n->bytes, 0);
	r->snapshotting = false;
	r->snapshot_due = n->a + 30 + below(s, 150);
	s->totals.snapshots++;
}

static void
on_note(struct sim *s, struct server *v, struct event *e)
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
		if (s->count == 1)
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
		note_send(s, v, true, snapshot_note(v, NOTE_SNAPSHOT));
		break;
	case NOTE_SNAPSHOT_MADE:
		on_snapshot_made(s, v, e);
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

/* ---- the turn ---- */

static void
page_publish(struct server *v)
{
	v->page = (struct lease_page){raft_term(v->raftd.raft), raft_lease_until(v->raftd.raft)};
}

static void
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
	n->c = leader.low;
	n->d = raftd_deliverable(r);
	note_send(s, v, true, n);
}

static void
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
		note_send(s, v, true, n);
		r->reads[i] = r->reads[--r->read_count];
	}
}

static void
on_tick(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;

	raft_tick(r->raft);
	event_put(s, s->now + v->tick_every, EVENT_TICK, v->number, r->life, 0, NULL);
	if (s->eager > 0 && raft_role(r->raft) == RAFT_FOLLOWER && chance(s, s->eager))
		raft_campaign(r->raft);
	if (raft_role(r->raft) == RAFT_LEADER && s->count > 1 &&
	    (chance(s, 100) || (r->connection == 0 && below(s, 10) == 0)))
		s->totals.transfers += raft_transfer(r->raft, id_of((unsigned)below(s, s->count)));
	if (!r->snapshotting && r->connection != 0 && raftd_deliverable(r) >= r->snapshot_due) {
		r->snapshotting = true;
		note_send(s, v, true, note_new(NOTE_SNAPSHOT_MAKE));
	}
}

static void
turn(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	int said;

	save(s, v);
	page_publish(v);
	said = messages_send(s, v);
	if (said == -1)
		return;
	page_publish(v);
	if (r->connection != 0) {
		status_tell(s, v);
		reads_answer(s, v);
		if (!pull_feed(s, v))
			return;
	}
	check_raftd(s, v);
	if (s->malicious && said != SAID_NOTHING && r->syncing && chance(s, said == SAID_VOTE ? 2 : 48))
		r->doomed = true;
	if (!r->doomed)
		return;
	if (below(s, 4) > 0) {
		server_power_loss(s, v);
		return;
	}
	s->totals.process_crashes++;
	raftd_die(s, v);
	event_put(s, s->now + MS + below(s, 30 * MS), EVENT_RAFTD_START, v->number, r->life, 0, NULL);
}

void
raftd_event(struct sim *s, struct server *v, struct event *e)
{
	raft_time(v->raftd.raft, clock_of(s, v));
	switch (e->kind) {
	case EVENT_TICK:
		on_tick(s, v);
		break;
	case EVENT_SYNCED:
		on_synced(s, v);
		break;
	case EVENT_MARK:
		on_mark(s, v, e->value);
		break;
	case EVENT_SPACE:
		on_space(s, v);
		break;
	case EVENT_PACKET:
		packet_take(s, v, e);
		break;
	case EVENT_TO_RAFTD:
		on_note(s, v, e);
		break;
	case EVENT_SNAPSHOT_SAVED:
		on_snapshot_saved(s, v, e->note);
		break;
	default:
		break;
	}
	if (v->raftd.alive)
		turn(s, v);
}

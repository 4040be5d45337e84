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
#include "entry_source.h"

#define SEGMENT_BYTES (48u * WAL_BLOCK_BYTES)
#define STALLED_TICKS ELECTION_TICKS /* without catalogd */

struct raft_id
id_of(const struct sim *s, unsigned server)
{
	return (struct raft_id){7, server + 1 + 256 * (uint64_t)s->servers[server].incarnation};
}

unsigned
server_of(const struct sim *s, struct raft_id id)
{
	unsigned server = (unsigned)(id.low & 0xff) - 1;

	return server < s->count && raft_id_equal(id, id_of(s, server)) ? server : NOBODY;
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

static void
start_again(struct sim *s, struct server *v)
{
	event_put(s, s->now + 5 * MS + below(s, 20 * MS), EVENT_RAFTD_START, v->number, v->raftd.life, 0, NULL);
}

static struct wal *
log_open(struct sim *s, struct server *v, char error[WAL_ERROR_MAX])
{
	const struct wal_options o = {.io = disk_io(&v->disk), .path = "/log", .segment_bytes = SEGMENT_BYTES};
	struct wal *w = wal_open(&o, snapshot_newest(v) == NULL, error);

	if (w == NULL && PLANTED_HERE(DAMAGE_CUT_OFF)) {
		damage_cut_off(v);
		w = wal_open(&o, true, error);
	}
	if (w == NULL && errno == EBADMSG && v->damaged) {
		trace(s, v, "refuses its log: %s", error);
		v->refused = true;
		s->totals.refused_logs++;
		s->totals.torn_sectors += v->torn;
		return NULL;
	}
	if (w == NULL && errno == ENOSPC) {
		start_again(s, v);
		return NULL;
	}
	if (w == NULL)
		failed(s, "server %u: %s", v->number, error);
	if (v->torn) /* it was not */
		v->damaged = v->torn = false;
	return w;
}

/* The same first entry in the log of each server that the cluster begins with. */
static void
bootstrap(struct sim *s, struct server *v)
{
	static const uint8_t nobody[WAL_ID_BYTES];
	struct configuration content = {.count = s->initial};
	struct buf data = BUF_INIT(64 * 1024);
	struct wal *w = v->raftd.wal;

	for (unsigned i = 0; i < s->initial; i++) {
		content.members[i] = (struct member){.id = {7, i + 1}, .voter = true};
		snprintf(content.members[i].address, MEMBER_ADDRESS_MAX, "server:%u", i);
	}
	configuration_encode(&content, &data);
	wal_batch_begin(w, 1, nobody);
	wal_batch_entry(w, 1, 1, WAL_CONFIGURATION, buf_bytes(&data));
	if (wal_batch_write(w) == -1 || wal_sync(w) == -1) /* the first segment has room */
		failed(s, "server %u can not be bootstrapped", v->number);
	check_entry(s, v, 1, 1, WAL_CONFIGURATION, buf_bytes(&data));
	buf_free(&data);
}

static bool
on_configuration(void *ctx, const struct wal_entry *e)
{
	struct configuration *c = ctx;

	if (configuration_decode(e->data, c) == -1)
		c->count = 0;
	return false;
}

void
configuration_read(struct sim *s, struct server *v, uint64_t index, struct configuration *out)
{
	char error[WAL_ERROR_MAX];

	if ((wal_read(v->raftd.wal, index, index, on_configuration, out, error) == -1 || out->count == 0) &&
	    !v->damaged)
		failed(s, "server %u: entry %" PRIu64 " is no configuration", v->number, index);
}

/* All that the log has behind commit, and the newest one before; ascending. */
static size_t
configurations_find(struct sim *s, struct server *v, uint64_t commit, struct raft_configuration *out)
{
	const struct snapshot_meta *newest = snapshot_newest(v);
	uint64_t indexes[RAFT_CONFIGURATIONS_MAX], limit = UINT64_MAX;
	size_t count = 0, used = 0;
	struct configuration c;

	while (count < RAFT_CONFIGURATIONS_MAX && (count == 0 || indexes[count - 1] > commit) &&
	       (indexes[count] = wal_configuration_index(v->raftd.wal, limit)) != 0)
		limit = indexes[count++] - 1;
	if (newest != NULL && (count == 0 || indexes[count - 1] > newest->configuration_index))
		configuration_members(&newest->configuration, newest->configuration_index, &out[used++]);
	for (size_t i = count; i > 0; i--) {
		configuration_read(s, v, indexes[i - 1], &c);
		configuration_members(&c, indexes[i - 1], &out[used++]);
	}
	return used;
}

/* The log and the snapshots must belong together. false: no space for what is to be done. */
static bool
fit_check(struct sim *s, struct server *v)
{
	const struct snapshot_meta *newest = snapshot_newest(v);
	struct wal *w = v->raftd.wal;

	switch (snapshot_fit(newest, wal_terms(w))) {
	case SNAPSHOT_FITS:
		break;
	case SNAPSHOT_AHEAD:
		if (wal_snapshot(w, newest->index, newest->term) == 0 && wal_sync(w) == 0)
			break;
		if (errno == ENOSPC)
			return false;
		failed(s, "server %u: the log can not go on from a snapshot: %s", v->number, strerror(errno));
	case SNAPSHOT_TOO_OLD:
		failed(s, "server %u: the log begins behind entry %" PRIu64 ", which no snapshot holds", v->number,
		    wal_terms(w)->base_index);
	case SNAPSHOT_LOG_SHORT:
		failed(s, "server %u: the log ends with entry %" PRIu64 ", its snapshot with %" PRIu64, v->number,
		    wal_terms(w)->last, newest->index);
	}
	return true;
}

static uint32_t
entry_bytes(void *ctx, uint64_t index)
{
	const struct server *v = ctx;

	return index < tail_first(v->raftd.tail) ? 512 : (uint32_t)tail_get(v->raftd.tail, index).data.size;
}

static void
core_start(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	struct raft_configuration configurations[RAFT_CONFIGURATIONS_MAX + 1];
	struct raft_params p = {
	    .self = id_of(s, v->number),
	    .configurations = configurations,
	    .election_ticks = ELECTION_TICKS,
	    .heartbeat_ticks = 2,
	    .inflight_max = 8,
	    .entries_max = s->entries_max,
	    .append_bytes_max = 16 * 1024,
	    .inflight_bytes_max = 64 * 1024,
	    .entry_bytes = entry_bytes,
	    .entry_ctx = v,
	    .snapshot_chunk_bytes = s->chunk_bytes,
	    .lease_ns = LEASE_NS,
	    .lease_max_ns = LEASE_NS,
	    .now = clock_of(s, v),
	    .tick_ns = s->jumps_judged ? TICK_US * 1000 : 0,
	    .random = raft_random,
	    .random_ctx = s,
	    .hard = v->durable.hard,
	    .log = wal_terms(r->wal),
	    .commit = snapshot_newest(v) == NULL ? 0 : snapshot_newest(v)->index,
	    .fresh = !v->started,
	};

	p.configuration_count = configurations_find(s, v, MAX(p.commit, p.log->base_index), configurations);
	r->tail = tail_new(p.log->last);
	r->raft = raft_new(&p);
	v->started = true;
	snapshot_announce(v);
}

void
raftd_start(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	uint32_t life = r->life;
	char error[SNAPSHOT_ERROR_MAX], wal_error[WAL_ERROR_MAX];
	struct wal *w;

	if (v->refused)
		return;
	*r = (struct raftd){.life = life, .tail_keep = below(s, 2) * 256 * 1024};
	r->snapshots = snapshot_store_open(disk_io(&v->disk), false, error);
	if (r->snapshots == NULL)
		failed(s, "server %u: %s", v->number, error);
	w = log_open(s, v, wal_error);
	if (w == NULL) {
		snapshot_store_free(r->snapshots);
		return;
	}
	r->wal = w;
	s->totals.torn_logs += wal_torn(w) != NULL;
	check_opened(s, v);
	if (!fit_check(s, v)) {
		wal_close(w);
		snapshot_store_free(r->snapshots);
		start_again(s, v);
		return;
	}
	trace(s, v, "raftd starts%s%s", wal_torn(w) == NULL ? "" : ", torn: ", wal_torn(w) == NULL ? "" : wal_torn(w));
	r->alive = true;
	if (v->number < s->initial && v->incarnation == 0 && wal_terms(w)->last == 0 && wal_term(w) == 0)
		bootstrap(s, v);
	image_take(&v->durable, w);
	v->written_in_flight = false;
	core_start(s, v);
	r->snapshot_due = raftd_deliverable(r) + 20 + below(s, 150);
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
	snapshot_store_free(r->snapshots);
	trace(s, v, "raftd ends");
	/* catalogd may have dialled what was stopped and never read of it */
	r->connection = v->catalogd.connection;
	if (v->catalogd.alive && r->connection != 0)
		note_send(s, v, true, note_new(NOTE_DOWN));
}

/* The log is not to be relied on in this life: the next start finds out. */
void
disk_failed(struct sim *s, struct server *v)
{
	trace(s, v, "its disk fails");
	raftd_die(s, v);
	start_again(s, v);
}

/* ---- entries ---- */

void
raftd_entry_keep(struct sim *s, struct server *v, uint64_t index, uint64_t term, uint8_t type, struct bytes data)
{
	tail_put(v->raftd.tail, index, term, type, data);
	check_entry(s, v, index, term, type, data);
}

void
noop_take(struct sim *s, struct server *v)
{
	struct raft *raft = v->raftd.raft;
	uint64_t index = raft_noop(raft);

	if (index != 0)
		raftd_entry_keep(s, v, index, terms_at(raft_log(raft), index), WAL_NOOP, bytes_of(NULL, 0));
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
	struct entry_source *source;
	unsigned to = server_of(s, m->to);
	char error[WAL_ERROR_MAX];
	bool good, whole = true;

	if (to == NOBODY)
		return true; /* that one is no more */
	source = entry_source_new(64u * 1024 * 1024);
	good = entry_source_load(source, v->raftd.wal, v->raftd.tail, m, error) == 0;
	if (!good && !v->damaged)
		failed(s, "server %u can not read its log: %s", v->number, error);
	buf_clear(&s->scratch);
	if (good && m->type == RAFT_SNAPSHOT)
		whole = snapshot_chunk_encode(s, v, m, &s->scratch);
	else if (good)
		message_encode(m, entry_source_get, source, &s->scratch);
	if (good && whole && (s->cut[v->number][to] || below(s, 1000) < s->loss))
		s->totals.lost++;
	else if (good && whole) {
		packet_put(s, v->number, to, buf_bytes(&s->scratch));
		if (below(s, 1000) < s->duplicate) {
			packet_put(s, v->number, to, buf_bytes(&s->scratch));
			s->totals.duplicated++;
		}
	}
	entry_source_free(source);
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
	if (!raft_id_equal(in.message.to, id_of(s, v->number))) {
		message_in_free(&in);
		return; /* for who was here before */
	}
	raft_step(raft, &in.message, &accepted);
	noop_take(s, v);
	for (uint32_t i = 0; i < accepted.taken; i++) {
		const struct message_entry *entry = &in.entries[accepted.skipped + i];
		uint64_t index = accepted.first + i;

		raftd_entry_keep(s, v, index, terms_at(raft_log(raft), index), entry->type, entry->data);
	}
	if (accepted.snapshot_chunk)
		snapshot_chunk_take(s, v, &in);
	if (raft_refused(raft) > 0)
		failed(s, "server %u refused a message of server %" PRIu64, v->number, e->value);
	message_in_free(&in);
}

/* ---- the turn ---- */

static void
page_publish(struct server *v)
{
	v->page = (struct lease_page){raft_term(v->raftd.raft), raft_lease_until(v->raftd.raft)};
}

static void
on_tick(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;

	r->unserved_ticks = r->connection == 0 ? r->unserved_ticks + 1 : 0;
	raft_stalled(r->raft, r->unserved_ticks >= STALLED_TICKS);
	raft_tick(r->raft);
	event_put(s, s->now + v->tick_every, EVENT_TICK, v->number, r->life, 0, NULL);
	if (s->eager > 0 && raft_role(r->raft) == RAFT_FOLLOWER && chance(s, s->eager))
		raft_campaign(r->raft);
	if (raft_role(r->raft) == RAFT_LEADER && chance(s, 100))
		s->totals.transfers += raft_transfer(r->raft, id_of(s, (unsigned)below(s, s->count)));
	snapshot_consider(s, v);
}

void
raftd_turn(struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	int said;

	snapshot_install(s, v);
	if (!r->alive)
		return;
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
	if (s->focus == FOCUS_LEASES && r->read_count > 0 && raft_role(r->raft) == RAFT_LEADER && chance(s, 30))
		leader_stop(s, v);
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
		raftd_note(s, v, e);
		break;
	case EVENT_SNAPSHOT_SAVED:
		snapshot_saved(s, v, e->note);
		break;
	default:
		break;
	}
	if (v->raftd.alive)
		raftd_turn(s, v);
}

/*
 * check.c - what must be true of the servers at each step (contract: cluster.h)
 *
 * Election safety, log matching, leader completeness, state machine safety, and that a disk gives back what was made durable.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cluster.h"
#include "mp.h"

#define ENTRIES_SEEN (1u << 17) /* slots; a power of two */

struct entry_hash {
	uint64_t index, term, hash;
};

static uint64_t
content_hash(uint8_t type, struct bytes data)
{
	return digest_bytes(type + 1, data);
}

/* ---- logs ---- */

void
check_entry(struct sim *s, const struct server *v, uint64_t index, uint64_t term, uint8_t type, struct bytes data)
{
	uint64_t hash = content_hash(type, data), slot = mix(index, term) & (ENTRIES_SEEN - 1);
	struct entry_hash *e;

	if (s->entries == NULL)
		s->entries = xcalloc(ENTRIES_SEEN, sizeof *s->entries);
	while ((e = &s->entries[slot])->index != 0 && (e->index != index || e->term != term))
		slot = (slot + 1) & (ENTRIES_SEEN - 1);
	if (e->index != 0 && e->hash != hash)
		failed(s, "log matching: server %u has another entry %" PRIu64 " of term %" PRIu64, v->number, index,
		    term);
	*e = (struct entry_hash){index, term, hash};
}

/* The first index at or below limit from which on, downwards, a and b have equal terms; they must then be equal all the way. */
static void
pair_check(struct sim *s, const struct server *a, const struct server *b)
{
	const struct terms *x = raft_log(a->raftd.raft), *y = raft_log(b->raftd.raft);
	uint64_t first = MAX(x->base_index, y->base_index) + 1;
	bool same = false;

	for (uint64_t index = MIN(x->last, y->last); index >= first; index--) {
		bool equal = terms_at(x, index) == terms_at(y, index);

		if (same && !equal)
			failed(s, "log matching: servers %u and %u differ at entry %" PRIu64 ", but not behind it",
			    a->number, b->number, index);
		same |= equal;
	}
}

void
check_logs(struct sim *s)
{
	for (unsigned a = 0; a < s->count; a++)
		for (unsigned b = a + 1; b < s->count; b++)
			if (s->servers[a].raftd.alive && s->servers[b].raftd.alive)
				pair_check(s, &s->servers[a], &s->servers[b]);
}

static bool
image_is(const struct image *i, const struct wal *w)
{
	const struct terms *log = wal_terms(w);

	if (i->hard.term != wal_term(w) || !raft_id_equal(i->hard.vote, raft_id_from_bytes(wal_vote(w))) ||
	    i->log.last != log->last)
		return false;
	for (uint64_t index = MAX(i->log.base_index, log->base_index) + 1; index <= log->last; index++)
		if (terms_at(&i->log, index) != terms_at(log, index))
			return false;
	return true;
}

void
check_opened(struct sim *s, struct server *v)
{
	const struct wal *w = v->raftd.wal;

	if (image_is(&v->durable, w) || (v->written_in_flight && image_is(&v->written, w)))
		return;
	failed(s,
	    "durability: the log of server %u comes back with term %" PRIu64 " and entries to %" PRIu64
	    ", durable were term %" PRIu64 " and entries to %" PRIu64,
	    v->number, wal_term(w), wal_terms(w)->last, v->durable.hard.term, v->durable.log.last);
}

static void
check_leader(struct sim *s, struct server *v)
{
	const struct terms *log = raft_log(v->raftd.raft);
	uint64_t term = raft_term(v->raftd.raft);

	if (raft_role(v->raftd.raft) != RAFT_LEADER || term == v->raftd.led_term)
		return;
	v->raftd.led_term = term;
	s->totals.elections++;
	if (term >= TERMS_MAX)
		failed(s, "term %" PRIu64, term);
	if (s->leader_of[term] != 0) /* also the same one after a restart: it can not have been elected twice */
		failed(s, "election safety: servers %u and %u lead term %" PRIu64, s->leader_of[term] - 1u, v->number,
		    term);
	s->leader_of[term] = (uint8_t)(v->number + 1);
	/* a leader of an older term than the one that committed may be late, and learn of it */
	for (uint64_t index = log->base_index + 1; index <= s->committed_last && s->committed[index].term_by < term;
	     index++)
		if (terms_at(log, index) != s->committed[index].term)
			failed(s,
			    "leader completeness: server %u leads term %" PRIu64 " without committed entry %" PRIu64,
			    v->number, term, index);
	if (s->malicious && chance(s, 4))
		isolate(s, v->number);
}

/* What this server takes for committed is so for all, whether it has handed it out or not. */
static void
check_commit(struct sim *s, struct server *v)
{
	const struct terms *log = raft_log(v->raftd.raft);
	uint64_t to = raft_commit(v->raftd.raft);

	if (to >= ENTRIES_MAX)
		failed(s, "entry %" PRIu64, to);
	for (uint64_t index = MAX(v->raftd.checked, log->base_index) + 1; index <= to; index++) {
		struct committed *c = &s->committed[index];

		if (index > s->committed_last) {
			*c = (struct committed){.term = terms_at(log, index), .term_by = raft_term(v->raftd.raft)};
			s->committed_last = index;
			s->totals.committed++;
			if (s->malicious && chance(s, 32))
				v->raftd.doomed = true;
		} else if (c->term != terms_at(log, index))
			failed(s,
			    "state machine safety: server %u has committed entry %" PRIu64 " of term %" PRIu64
			    ", another one that of term %" PRIu64,
			    v->number, index, terms_at(log, index), c->term);
	}
	v->raftd.checked = MAX(v->raftd.checked, to);
}

/* Whoever may read under a lease has all that was acknowledged. */
static void
check_lease(struct sim *s, struct server *v)
{
	if (raft_role(v->raftd.raft) == RAFT_LEADER && raft_commit(v->raftd.raft) < s->acknowledged &&
	    raft_lease_until(v->raftd.raft) > clock_of(s, v))
		failed(s,
		    "linearizable reads: server %u may read entry %" PRIu64 " under its lease, %" PRIu64
		    " was acknowledged",
		    v->number, raft_commit(v->raftd.raft), s->acknowledged);
}

void
check_acknowledged(struct sim *s, uint64_t index)
{
	s->acknowledged = MAX(s->acknowledged, index);
	for (unsigned i = 0; i < s->count; i++)
		if (s->servers[i].raftd.alive)
			check_lease(s, &s->servers[i]);
}

void
check_raftd(struct sim *s, struct server *v)
{
	trace_raftd(s, v);
	check_leader(s, v);
	check_commit(s, v);
	check_lease(s, v);
}

/* ---- state ---- */

void
check_delivered(struct sim *s, const struct server *v, uint64_t index, uint64_t term, uint8_t type, struct bytes data)
{
	struct committed *c = &s->committed[index];
	uint64_t hash = content_hash(type, data);

	if (index > s->committed_last)
		failed(s, "server %u applies entry %" PRIu64 ", which is not committed", v->number, index);
	if (index > v->durable.log.last)
		failed(
		    s, "server %u applies entry %" PRIu64 ", which its own disk does not have yet", v->number, index);
	if (c->hash == 0)
		c->hash = hash;
	if (c->term != term || c->hash != hash)
		failed(s, "state machine safety: server %u applies another entry %" PRIu64 " than others did",
		    v->number, index);
}

/* The write behind an entry takes effect, for the first time anywhere. */
static void
op_applied(struct sim *s, uint64_t index, int status, struct bytes reply)
{
	const struct committed *c = &s->committed[index];
	uint32_t number = s->delivered_op;
	struct op *op = &s->ops[number];
	struct mp in = mp_of(reply);
	struct version *versions;

	(void)c;
	if (status == -1 || number == 0 || number > s->op_count)
		return;
	if (op->applied_at != 0)
		failed(s, "write %" PRIu32 " is applied twice, by entries %" PRIu64 " and %" PRIu64, number,
		    op->applied_at, index);
	if (op->outcome == OUTCOME_FAILED)
		failed(s, "write %" PRIu32 " was refused, but entry %" PRIu64 " applies it", number, index);
	op->applied_at = index;
	if (!mp_bool(&in))
		return;
	if (s->version_count[op->key] % 256 == 0)
		s->versions[op->key] =
		    xreallocarray(s->versions[op->key], s->version_count[op->key] + 256, sizeof **s->versions);
	versions = s->versions[op->key];
	versions[s->version_count[op->key]++] =
	    (struct version){index, op->kind == OP_SET || op->kind == OP_CAS ? number : 0};
}

void
check_applied(struct sim *s, struct server *v, uint64_t index, int status, struct bytes reply)
{
	struct committed *c = &s->committed[index];

	s->totals.applied++;
	v->chain = mix(digest_bytes(v->chain, reply), mix(index, (uint64_t)(status + 2)));
	if (c->chain != 0 && c->chain != v->chain)
		failed(s, "state machine safety: server %u answers entry %" PRIu64 " otherwise than others did",
		    v->number, index);
	if (c->chain == 0)
		op_applied(s, index, status, reply);
	c->chain = v->chain;
}

void
check_store(struct sim *s, struct server *v)
{
	struct store *store = v->catalogd.store;
	uint64_t index = store_state(store).applied_index, digest = 1;
	struct store_txn *t = store_read(store);
	struct store_cursor c;

	for (size_t table = 0; table < STORE_TABLE_COUNT; table++) {
		if (table == STORE_META)
			continue;
		digest = mix(digest, table);
		for (store_scan(&c, t, (enum store_table)table, bytes_of(NULL, 0)); store_next(&c);)
			digest = digest_bytes(digest_bytes(digest, c.key), c.value);
		store_scan_end(&c);
	}
	if (store_txn_result(t, NULL) != STORE_DONE)
		failed(s, "server %u: the store can not be read", v->number);
	store_read_end(store);
	if (s->committed[index].dump != 0 && s->committed[index].dump != digest)
		failed(s, "state machine safety: server %u has another state than others had at entry %" PRIu64,
		    v->number, index);
	s->committed[index].dump = digest;
}

void
check_read(struct sim *s, const struct server *v, const struct op *op)
{
	uint64_t applied = store_state(v->catalogd.store).applied_index;

	if (applied < op->needed)
		failed(s,
		    "linearizable reads: server %u answers a %s read at entry %" PRIu64 ", %" PRIu64
		    " was acknowledged before it was asked",
		    v->number, op->mode == MODE_CONSISTENT ? "consistent" : "default", applied, op->needed);
}

void
check_stale(
    struct sim *s, const struct server *v, const struct op *op, uint32_t value, uint64_t index, uint64_t applied)
{
	const struct version *versions = s->versions[op->key];
	size_t low = 0, high = s->version_count[op->key];
	struct version expected = {0, 0};

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (versions[middle].index <= applied)
			low = middle + 1;
		else
			high = middle;
	}
	if (low > 0)
		expected = versions[low - 1];
	if (applied < v->catalogd.stale_applied)
		failed(s, "stale reads: server %u goes back from entry %" PRIu64 " to %" PRIu64, v->number,
		    v->catalogd.stale_applied, applied);
	if (value != expected.value || (value != 0 && index != expected.index))
		failed(s,
		    "stale reads: server %u shows value %" PRIu32 " of entry %" PRIu64 ", at entry %" PRIu64
		    " it was value %" PRIu32 " of entry %" PRIu64,
		    v->number, value, index, applied, expected.value, expected.index);
}

/*
 * raft_follow.c - what a leader sends: entries and snapshots (contract: raft.h, raft_internal.h; callers: raft.c; the shell for snapshots)
 */
#include "raft_internal.h"

#include "log.h"

/* A leader of our term speaks. false: nonsense, or two leaders in a term. */
static bool
leader_heard(struct raft *r, const struct raft_message *m)
{
	if (r->role == RAFT_LEADER || (r->lease_max_ns > 0 && m->lease_ns > r->lease_max_ns)) {
		r->refused++;
		return false;
	}
	raft_follow(r, m->term, m->from);
	lease_promise(r, m->lease_ns);
	return true;
}

/* ---- entries ---- */

/* The entries of an APPEND make sense in themselves. */
static bool
runs_are_sane(const struct raft_message *m)
{
	uint64_t term = m->log_term, first = m->index;

	if (m->entries == 0)
		return m->configuration_count == 0;
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
	return members_sane(m);
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
	*accepted = (struct raft_accepted){.first = first,
	    .skipped = (uint32_t)(first - m->index - 1),
	    .taken = (uint32_t)(m->index + m->entries + 1 - first)};
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
	members_take(r, m, first);
}

static void
append_accept(struct raft *r, const struct raft_message *m, uint64_t index)
{
	raft_send_durable(
	    r, &(struct raft_message){.type = RAFT_APPEND_REPLY, .to = m->from, .round = m->round, .index = index});
}

static void
append_reject(struct raft *r, const struct raft_message *m)
{
	uint64_t hint = terms_find(&r->log, m->index, m->log_term);

	raft_send_durable(r, &(struct raft_message){.type = RAFT_APPEND_REPLY,
				 .to = m->from,
				 .index = m->index,
				 .reject = true,
				 .round = m->round,
				 .hint_index = hint,
				 .hint_term = terms_at(&r->log, hint)});
}

void
follow_append(struct raft *r, const struct raft_message *m, struct raft_accepted *accepted)
{
	uint64_t end = m->index + m->entries, conflict;

	if (!runs_are_sane(m)) {
		r->refused++;
		return;
	}
	if (!leader_heard(r, m))
		return;
	/* what is committed here is in every later leader's log: nothing to compare */
	if (end <= r->commit) {
		append_accept(r, m, r->commit);
		return;
	}
	if (m->index > r->log.last || (m->index >= r->log.base_index && terms_at(&r->log, m->index) != m->log_term)) {
		append_reject(r, m);
		return;
	}
	conflict = m->entries == 0 ? end + 1 : conflict_find(r, m);
	if (conflict <= end && conflict <= MAX(r->commit, r->configurations[0].index)) {
		r->refused++; /* would cut what is committed: not a server of this cluster */
		return;
	}
	if (conflict <= end)
		entries_take(r, m, conflict, accepted);
	raft_commit_to(r, MIN(m->commit, PLANTED(COMMIT_UNCOMPARED) ? r->log.last : end));
	append_accept(r, m, end);
}

/* ---- snapshots ---- */

static void
snapshot_reply(struct raft *r, const struct incoming *in, uint64_t offset, bool reject)
{
	raft_send_durable(r, &(struct raft_message){.type = RAFT_SNAPSHOT_REPLY,
				 .to = in->from,
				 .index = in->index,
				 .log_term = in->term,
				 .offset = offset,
				 .size = in->size,
				 .round = in->round,
				 .reject = reject});
}

static bool
snapshot_is_sane(const struct raft_message *m)
{
	return m->index > 0 && m->index <= UINT64_MAX / 2 && m->log_term > 0 && m->log_term <= m->term &&
	       m->bytes > 0 && m->bytes <= m->size && m->offset <= m->size - m->bytes;
}

/* The log has the entry, and so all before it. */
static bool
log_has(const struct raft *r, uint64_t index, uint64_t term)
{
	if (PLANTED(SNAPSHOT_OVER_NEWER))
		return false;
	return terms_at(&r->log, index) == term || (PLANTED(TAIL_UNCOMPARED) && terms_at(&r->log, index) != 0);
}

static bool
is_needless(const struct raft *r, uint64_t index)
{
	return index <= r->commit && !PLANTED(SNAPSHOT_OVER_NEWER);
}

void
follow_snapshot(struct raft *r, const struct raft_message *m, struct raft_accepted *accepted)
{
	const struct incoming begun = {r->hard.term, m->from, m->index, m->log_term, m->size, 0, 0, m->round};
	struct incoming *in = &r->incoming;

	if (!snapshot_is_sane(m)) {
		r->refused++;
		return;
	}
	if (!leader_heard(r, m))
		return;
	if (PLANTED(COMMIT_BY_CHUNK))
		raft_commit_to(r, MIN(m->index, r->log.last));
	if (is_needless(r, m->index) || log_has(r, m->index, m->log_term)) {
		raft_commit_to(r, m->index);
		snapshot_reply(r, &begun, m->size, false);
		return;
	}
	if (in->leader_term == r->hard.term && m->index < in->index)
		return; /* late: the leader has begun a newer one since */
	if (in->leader_term != r->hard.term || in->index != m->index || in->term != m->log_term ||
	    in->size != m->size) {
		if (m->offset != 0) {
			snapshot_reply(r, &begun, 0, true);
			return;
		}
		*in = begun;
	}
	in->round = MAX(in->round, m->round);
	if (m->offset != in->taken) {
		snapshot_reply(r, in, in->kept, false); /* it was here, or one before it got lost */
		return;
	}
	in->taken += m->bytes;
	accepted->snapshot_chunk = true;
}

/* The transfer under way is that one, and its leader still leads. */
static bool
incoming_is(const struct raft *r, uint64_t index, uint64_t term)
{
	return r->incoming.leader_term == r->hard.term && r->incoming.index == index && r->incoming.term == term;
}

void
raft_snapshot_chunk_done(struct raft *r, uint64_t index, uint64_t term, uint64_t offset_end)
{
	struct incoming *in = &r->incoming;

	if (!incoming_is(r, index, term) || offset_end > in->taken || offset_end <= in->kept || offset_end == in->size)
		return;
	in->kept = offset_end;
	snapshot_reply(r, in, in->kept, false);
}

void
raft_snapshot_refused(struct raft *r, uint64_t index, uint64_t term)
{
	if (!incoming_is(r, index, term))
		return;
	snapshot_reply(r, &r->incoming, 0, true);
	r->incoming = (struct incoming){0};
}

enum raft_install
raft_snapshot_check(const struct raft *r, uint64_t index, uint64_t term)
{
	if (is_needless(r, index))
		return RAFT_INSTALL_NOT;
	if (log_has(r, index, term))
		return r->stable >= index ? RAFT_INSTALL_KEEP : RAFT_INSTALL_RESET;
	/* a leader has all that is committed: this is not of its cluster */
	return r->role == RAFT_LEADER ? RAFT_INSTALL_NOT : RAFT_INSTALL_RESET;
}

/* The log begins behind the snapshot's last entry. */
static void
log_rebase(struct raft *r, uint64_t index, uint64_t term, bool tail_kept)
{
	if (tail_kept)
		terms_compact(&r->log, index);
	else {
		terms_free(&r->log);
		terms_init(&r->log, index, term);
		r->handed = r->stable = index;
	}
	if (r->stable < index) /* the log on disk was emptied: what lies behind is written again */
		r->handed = r->stable = index;
	if (r->noop <= index)
		r->noop = 0;
	if (PLANTED(SNAPSHOT_OVER_NEWER))
		r->commit = index;
}

void
raft_snapshot_installed(struct raft *r, uint64_t index, uint64_t term, const struct raft_configuration *configuration)
{
	enum raft_install install = raft_snapshot_check(r, index, term);
	bool tail_kept = log_has(r, index, term);

	if (r->saving)
		panic("raft: a snapshot is installed while a save is under way");
	if (install != RAFT_INSTALL_NOT) {
		if (r->role == RAFT_CANDIDATE || r->prevoting)
			raft_follow(r, r->hard.term, (struct raft_id){0});
		log_rebase(r, index, term, tail_kept);
		members_install(r, index, configuration, tail_kept);
		raft_commit_to(r, index);
		/* messages may wait for the save of entries that are not there any more */
		r->hard_dirty |= r->held.count > 0;
	}
	if (!incoming_is(r, index, term))
		return;
	snapshot_reply(r, &r->incoming, r->incoming.size, false);
	r->incoming = (struct incoming){0};
}

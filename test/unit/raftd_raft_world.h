/*
 * raftd_raft_world.h - a few servers of Raft's core, their shells and the network between them, for raftd_raft_test.c
 *
 * Everything that a core does is printed to world.out. A shell keeps logs as terms and configurations, and snapshots as sizes.
 */
#ifndef RAFTD_RAFT_WORLD_H
#define RAFTD_RAFT_WORLD_H

#include <inttypes.h>
#include <string.h>

#include "buf.h"
#include "mem.h"
#include "raft.h"

#define NODES_MAX 7
#define NETWORK_MAX 256
#define RUNS_MAX 16
#define CONFIGURATIONS_MAX 32
#define CHUNKS_MAX 8

struct packet {
	struct raft_message m;
	struct terms_run runs[RUNS_MAX];
	struct raft_configuration configurations[RAFT_CONFIGURATIONS_MAX];
};

/* What a disk has, or will have when a save is done. */
struct stored {
	struct raft_hard hard;
	struct terms log;
	struct raft_configuration configurations[CONFIGURATIONS_MAX]; /* ascending; the first may lie before the log */
	size_t configuration_count;
};

struct sim_node {
	struct raft *raft;      /* NULL: not there yet */
	bool may_campaign, cut; /* cut off from the network */
	struct stored durable, now, saving_state;
	bool saving;
	uint64_t snapshot_index;
	struct raft_message chunks[CHUNKS_MAX]; /* taken, not written yet */
	size_t chunk_count;
	uint64_t read; /* the round of the last one */
	uint64_t random[32];
	size_t random_count, random_used;
};

struct world {
	struct sim_node nodes[NODES_MAX + 1];
	unsigned count;
	uint32_t election, heartbeat, inflight;
	uint64_t lease, now, tick; /* ns */
	uint32_t append_bytes, inflight_bytes, entry_bytes, chunk, window;
	struct packet network[NETWORK_MAX];
	size_t packets;
	struct buf out;
};

static unsigned
number(struct raft_id id)
{
	return (unsigned)id.low;
}

static uint64_t
scripted_random(void *ctx, uint64_t below)
{
	struct sim_node *n = ctx;

	if (n->random_used == n->random_count)
		return 0;
	assert_true(n->random[n->random_used] < below);
	return n->random[n->random_used++];
}

/* Entries whose index ends in 5 are ten times as large as the others. */
static uint32_t
scripted_bytes(void *ctx, uint64_t index)
{
	struct world *w = ctx;

	return index % 10 == 5 ? w->entry_bytes * 10 : w->entry_bytes;
}

static void
stored_copy(struct stored *to, const struct stored *from)
{
	terms_free(&to->log);
	*to = *from;
	terms_copy(&to->log, &from->log);
}

/* The entry of the last configuration that was told of. */
static void
configuration_put(struct stored *s, const struct raft_configuration *c)
{
	assert_true(s->configuration_count < CONFIGURATIONS_MAX);
	s->configurations[s->configuration_count++] = *c;
}

static void
configurations_cut(struct stored *s, uint64_t first)
{
	while (s->configuration_count > 0 && s->configurations[s->configuration_count - 1].index >= first)
		s->configuration_count--;
}

/* ---- nodes ---- */

/* With what is durable. */
static void
node_start(struct world *w, unsigned i, bool fresh)
{
	struct sim_node *n = &w->nodes[i];
	struct raft_params p = {
	    .self = {0, i},
	    .configurations = n->durable.configurations,
	    .configuration_count = n->durable.configuration_count,
	    .election_ticks = w->election,
	    .heartbeat_ticks = w->heartbeat,
	    .inflight_max = w->inflight,
	    .append_bytes_max = w->append_bytes,
	    .inflight_bytes_max = w->inflight_bytes,
	    .entry_bytes = scripted_bytes,
	    .entry_ctx = w,
	    .snapshot_chunk_bytes = w->chunk,
	    .snapshot_window = w->window,
	    .lease_ns = w->lease,
	    .lease_max_ns = w->lease,
	    .now = w->now,
	    .tick_ns = w->tick,
	    .random = scripted_random,
	    .random_ctx = n,
	    .hard = n->durable.hard,
	    .log = &n->durable.log,
	    .commit = MIN(n->snapshot_index, n->durable.log.last),
	    .fresh = fresh,
	};

	stored_copy(&n->now, &n->durable);
	n->saving = false;
	n->chunk_count = 0;
	n->raft = raft_new(&p);
	raft_set_campaign(n->raft, n->may_campaign);
	if (n->snapshot_index > 0)
		raft_snapshot_set(n->raft, n->snapshot_index, terms_at(&n->durable.log, n->snapshot_index), 100);
}

static void
world_clear(struct world *w)
{
	for (unsigned i = 1; i <= NODES_MAX; i++) {
		raft_free(w->nodes[i].raft);
		terms_free(&w->nodes[i].durable.log);
		terms_free(&w->nodes[i].now.log);
		terms_free(&w->nodes[i].saving_state.log);
		w->nodes[i] = (struct sim_node){0};
	}
	w->count = 0;
	w->packets = 0;
}

/* ---- printing ---- */

static void
show_configuration(struct world *w, const struct raft_configuration *c)
{
	buf_printf(&w->out, "@%" PRIu64 "=", c->index);
	for (size_t i = 0; i < c->count; i++)
		buf_printf(
		    &w->out, "%s%u%s", i == 0 ? "" : ",", number(c->members[i].id), c->members[i].voter ? "" : "n");
}

static void
show_message(struct world *w, const struct raft_message *m)
{
	static const char *const names[] = {"?", "vote", "vote-reply", "append", "append-reply", "pre-vote",
	    "pre-vote-reply", "timeout-now", "snapshot", "snapshot-reply"};

	buf_printf(&w->out, "  %u->%u %s term=%" PRIu64, number(m->from), number(m->to), names[m->type], m->term);
	switch (m->type) {
	case RAFT_TIMEOUT_NOW:
		break;
	case RAFT_VOTE:
	case RAFT_PRE_VOTE:
		buf_printf(
		    &w->out, " last=%" PRIu64 "/%" PRIu64 "%s", m->index, m->log_term, m->transfer ? " transfer" : "");
		break;
	case RAFT_VOTE_REPLY:
	case RAFT_PRE_VOTE_REPLY:
		buf_put_str(&w->out, m->reject ? " no" : " yes");
		break;
	case RAFT_APPEND:
		buf_printf(
		    &w->out, " prev=%" PRIu64 "/%" PRIu64 " entries=%" PRIu32, m->index, m->log_term, m->entries);
		for (uint32_t i = 0; i < m->run_count; i++)
			buf_printf(&w->out, " %" PRIu64 "/%" PRIu64, m->runs[i].first, m->runs[i].term);
		for (uint32_t i = 0; i < m->configuration_count; i++) {
			buf_put_str(&w->out, " ");
			show_configuration(w, &m->configurations[i]);
		}
		buf_printf(&w->out, " commit=%" PRIu64, m->commit);
		break;
	case RAFT_APPEND_REPLY:
		buf_printf(&w->out, " index=%" PRIu64, m->index);
		if (m->reject)
			buf_printf(&w->out, " no hint=%" PRIu64 "/%" PRIu64, m->hint_index, m->hint_term);
		break;
	case RAFT_SNAPSHOT:
		buf_printf(&w->out, " last=%" PRIu64 "/%" PRIu64 " bytes=%" PRIu64 "-%" PRIu64 "/%" PRIu64, m->index,
		    m->log_term, m->offset, m->offset + m->bytes, m->size);
		break;
	case RAFT_SNAPSHOT_REPLY:
		buf_printf(&w->out, " last=%" PRIu64 " kept=%" PRIu64 "/%" PRIu64 "%s", m->index, m->offset, m->size,
		    m->reject ? " no" : "");
		break;
	}
	buf_put_str(&w->out, "\n");
}

static void
show_state(struct world *w, unsigned i)
{
	const struct raft *r = w->nodes[i].raft;
	const struct terms *log = raft_log(r);

	buf_printf(&w->out, "%u: %s term=%" PRIu64 " vote=%u leader=%u commit=%" PRIu64 " stable=%" PRIu64 " log=", i,
	    raft_role_name(raft_role(r)), raft_term(r), number(raft_vote(r)), number(raft_leader(r)), raft_commit(r),
	    raft_stable(r));
	if (log->base_index > 0)
		buf_printf(&w->out, "(%" PRIu64 "/%" PRIu64 ")", log->base_index, log->base_term);
	for (uint64_t index = log->base_index + 1; index <= log->last; index++)
		buf_printf(&w->out, "%s%" PRIu64, index == log->base_index + 1 ? "" : ",", terms_at(log, index));
	if (raft_refused(r) > 0)
		buf_printf(&w->out, " refused=%" PRIu64, raft_refused(r));
	buf_put_str(&w->out, "\n");
}

static void
show_members(struct world *w, unsigned i)
{
	const struct raft *r = w->nodes[i].raft;

	buf_printf(&w->out, "%u: ", i);
	show_configuration(w, raft_configuration(r));
	if (raft_configuration(r)->index != raft_configuration_committed(r)->index) {
		buf_put_str(&w->out, " committed ");
		show_configuration(w, raft_configuration_committed(r));
	}
	buf_put_str(&w->out, "\n");
}

static void
show_progress(struct world *w, const struct raft *r)
{
	static const char *const names[] = {"probe", "replicate", "sending"};
	struct raft_progress p;

	for (unsigned i = 1; i <= NODES_MAX; i++) {
		if (!raft_progress(r, (struct raft_id){0, i}, &p))
			continue;
		buf_printf(&w->out, "  %u%s: %s match=%" PRIu64 " next=%" PRIu64 " heard=%" PRIu32, i,
		    p.voter ? "" : "n", names[p.state], p.match, p.next, p.heard_ticks);
		if (p.state == RAFT_SENDING)
			buf_printf(&w->out, " kept=%" PRIu64 "/%" PRIu64, p.snapshot_offset, p.snapshot_size);
		buf_put_str(&w->out, "\n");
	}
}

/* ---- the shell ---- */

static bool
save_begin(struct world *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];
	struct raft_save save;

	(void)raft_noop(n->raft);
	if (!raft_save_begin(n->raft, &save))
		return false;
	buf_printf(&w->out, "  %u saves term=%" PRIu64 " vote=%u", i, save.hard.term, number(save.hard.vote));
	if (save.first <= save.last)
		buf_printf(&w->out, " entries=%" PRIu64 "-%" PRIu64, save.first, save.last);
	buf_put_str(&w->out, "\n");
	n->saving = true;
	n->now.hard = save.hard;
	terms_free(&n->now.log);
	terms_copy(&n->now.log, raft_log(n->raft));
	stored_copy(&n->saving_state, &n->now);
	return true;
}

static void
save_done(struct world *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];

	assert_true(n->saving);
	n->saving = false;
	stored_copy(&n->durable, &n->saving_state);
	raft_save_done(n->raft);
}

/* Contents of entries: all that matters of them are the configurations. */
static void
contents_attach(const struct sim_node *n, struct packet *p)
{
	for (size_t i = 0; i < n->now.configuration_count; i++) {
		const struct raft_configuration *c = &n->now.configurations[i];

		if (c->index > p->m.index && c->index <= p->m.index + p->m.entries)
			p->configurations[p->m.configuration_count++] = *c;
		assert_true(p->m.configuration_count < RAFT_CONFIGURATIONS_MAX);
	}
	p->m.configurations = p->configurations;
}

static bool
send_all(struct world *w, unsigned i)
{
	struct raft_message m;
	bool any = false;

	while (raft_message(w->nodes[i].raft, &m)) {
		struct packet *p = &w->network[w->packets];

		any = true;
		if (w->nodes[i].cut || w->nodes[number(m.to)].cut)
			continue;
		w->packets++;
		assert_true(w->packets < NETWORK_MAX && m.run_count <= RUNS_MAX);
		p->m = m;
		if (m.run_count > 0)
			memcpy(p->runs, m.runs, m.run_count * sizeof *m.runs);
		if (m.type == RAFT_APPEND)
			contents_attach(&w->nodes[i], p);
		p->m.runs = p->runs;
		show_message(w, &p->m);
	}
	return any;
}

static void
step(struct world *w, unsigned to, const struct raft_message *m)
{
	struct sim_node *n = &w->nodes[to];
	struct raft_accepted accepted;

	if (n->raft == NULL)
		return;
	raft_step(n->raft, m, &accepted);
	if (accepted.taken > 0) {
		buf_printf(&w->out, "  %u takes %" PRIu32 " entries from %" PRIu64 " on, skipping %" PRIu32 "\n", to,
		    accepted.taken, accepted.first, accepted.skipped);
		configurations_cut(&n->now, accepted.first);
		for (uint32_t i = 0; i < m->configuration_count; i++)
			if (m->configurations[i].index >= accepted.first)
				configuration_put(&n->now, &m->configurations[i]);
	}
	if (accepted.snapshot_chunk) {
		assert_true(n->chunk_count < CHUNKS_MAX);
		n->chunks[n->chunk_count++] = *m;
		buf_printf(&w->out, "  %u takes the chunk at %" PRIu64 "\n", to, m->offset);
	}
}

/* The whole snapshot m->index of the leader m->from is there and good. */
static void
install(struct world *w, unsigned i, const struct raft_message *m)
{
	static const char *const names[] = {"needs it not", "keeps its log behind it", "begins its log behind it"};
	struct sim_node *n = &w->nodes[i];
	const struct stored *from = &w->nodes[number(m->from)].now;
	enum raft_install what = raft_snapshot_check(n->raft, m->index, m->log_term);
	struct raft_configuration configuration = {0};

	buf_printf(&w->out, "  %u %s\n", i, names[what]);
	for (size_t k = 0; k < from->configuration_count; k++)
		if (from->configurations[k].index <= m->index)
			configuration = from->configurations[k];
	raft_snapshot_installed(n->raft, m->index, m->log_term, &configuration);
	if (what == RAFT_INSTALL_NOT)
		return;
	n->snapshot_index = m->index;
	raft_snapshot_set(n->raft, m->index, m->log_term, m->size);
	if (what == RAFT_INSTALL_RESET) {
		terms_free(&n->durable.log);
		terms_init(&n->durable.log, m->index, m->log_term);
		n->durable.configuration_count = 0;
		configuration_put(&n->durable, &configuration);
		terms_free(&n->now.log);
		terms_copy(&n->now.log, raft_log(n->raft));
		if (n->now.log.last == m->index)
			configurations_cut(&n->now, 0);
		if (n->now.configuration_count == 0)
			configuration_put(&n->now, &configuration);
	} else
		terms_compact(&n->durable.log, m->index);
}

/* Writes the chunks that were taken; a snapshot that is whole is installed. */
static bool
chunks_keep(struct world *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];
	size_t count = n->chunk_count;

	n->chunk_count = 0;
	for (size_t k = 0; k < count; k++) {
		const struct raft_message *m = &n->chunks[k];

		raft_snapshot_chunk_done(n->raft, m->index, m->log_term, m->offset + m->bytes);
		if (m->offset + m->bytes == m->size)
			install(w, i, m);
	}
	return count > 0;
}

/* ---- the network ---- */

enum fate { DELIVER, DROP, DUPLICATE };

/* from, to: 0 is any. */
static bool
network(struct world *w, unsigned from, unsigned to, enum fate fate)
{
	size_t count = w->packets, kept = 0;
	static struct packet now[NETWORK_MAX];
	bool any = false;

	memcpy(now, w->network, count * sizeof *now);
	w->packets = 0;
	for (size_t i = 0; i < count; i++) {
		struct packet *p = &now[i];

		p->m.runs = p->runs;
		p->m.configurations = p->configurations;
		if ((from != 0 && number(p->m.from) != from) || (to != 0 && number(p->m.to) != to)) {
			w->network[kept++] = *p;
			continue;
		}
		any = true;
		if (fate == DELIVER)
			step(w, number(p->m.to), &p->m);
		if (fate == DUPLICATE) {
			w->network[kept++] = *p;
			w->network[kept++] = *p;
		}
	}
	w->packets = kept;
	return any;
}

static void
run_quiet(struct world *w)
{
	bool any = true;

	while (any) {
		any = false;
		for (unsigned i = 1; i <= w->count; i++) {
			if (w->nodes[i].raft == NULL)
				continue;
			any |= send_all(w, i);
			while (save_begin(w, i)) {
				save_done(w, i);
				any = true;
			}
			any |= chunks_keep(w, i);
			any |= send_all(w, i);
		}
		any |= network(w, 0, 0, DELIVER);
	}
}

#endif

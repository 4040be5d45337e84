/*
 * raftd_members_world.h - the servers of raftd_members_sim.c: Raft's core, a shell, a disk that is an array, and the network between them
 */
#ifndef RAFTD_MEMBERS_WORLD_H
#define RAFTD_MEMBERS_WORLD_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "raft.h"

#define SERVERS 7
#define ENTRIES_MAX 8192
#define CHANGES_MAX 4096
#define PACKETS_MAX 2048
#define RUNS_MAX 64
#define LEASE_NS UINT64_C(80000000) /* 8 ticks */
#define CHUNK_BYTES 100
#define ELECTION_TICKS 10
#define TICK_NS UINT64_C(10000000)

/* change: number of the configuration that it is, 0: none */
struct entry {
	uint64_t term, value;
	unsigned change;
};

struct snapshot {
	uint64_t index, term, size;
	uint64_t digest; /* of all entries up to index */
	unsigned change;
};

/* What a server's disk has. The log is entries base + 1 .. last. */
struct disk {
	struct entry log[ENTRIES_MAX];
	uint64_t base, base_term, last;
	struct raft_hard hard;
	struct snapshot snapshot, snapshot_before;
};

struct server {
	struct raft *raft; /* NULL: down */
	struct disk disk;
	uint64_t life;                 /* of the log on it */
	struct entry log[ENTRIES_MAX]; /* the shell's */
	struct entry saving[ENTRIES_MAX];
	struct raft_save save;
	uint64_t sync_at; /* 0: none under way */
	uint64_t delivered, led_term;
	uint64_t tick_at, tick_every, up_at, paused_until;
	uint64_t clock_offset, clock_speed;
	uint64_t read_round, read_index, read_needed, read_term;
	struct snapshot incoming; /* a transfer */
	uint64_t incoming_bytes;
	uint64_t install_at; /* the whole is there, and is checked until then; 0: it is not */
	bool stalled;
};

struct packet {
	uint64_t at;
	unsigned from, to;
	struct raft_message m;
	struct terms_run runs[RUNS_MAX];
	struct entry *entries;
	struct snapshot snapshot;
};

struct sim {
	uint64_t seed, random, now;
	struct server *servers;
	struct packet packets[PACKETS_MAX];
	size_t packet_count;
	bool cut[SERVERS][SERVERS];
	uint64_t loss, duplicate, delay_max, partition_every, death_every, propose_every, change_every, snapshot_every,
	    eager, disk_every;
	struct raft_configuration changes[CHANGES_MAX];
	unsigned change_count;
	struct entry committed[ENTRIES_MAX];
	uint64_t digests[ENTRIES_MAX];
	uint64_t committed_in[ENTRIES_MAX];
	uint64_t committed_last, commit_known, acked;
	unsigned leader_of[ENTRIES_MAX];
	uint64_t next_value;
	bool chaos, malicious; /* changes are made, and cut off, at the worst moments */
};

static struct {
	uint64_t seeds, ms, elections, committed, deaths, partitions, lost, duplicated, pauses, transfers, stalls,
	    joined, promoted, demoted, removed, self_removed, snapshots, compactions, chunks, installed, needless,
	    lease_reads, round_reads, disks, given_up;
} totals;

#define SERVER_COUNT(s) SERVERS
#include "raftd_common.h"

static uint64_t
raft_random(void *ctx, uint64_t bound)
{
	struct sim *s = ctx;

	return below(s, 3) == 0 ? below(s, 2) * (bound / 2) : below(s, bound);
}

static unsigned
server_of(struct raft_id id)
{
	return (unsigned)id.low - 1;
}

static uint32_t
entry_bytes(void *ctx, uint64_t index)
{
	const struct server *v = ctx;

	return (uint32_t)(v->log[index].value % 5 * 40);
}

static uint64_t
mix(uint64_t digest, const struct entry *e)
{
	return (digest ^ e->value ^ e->term << 32) * UINT64_C(0x9e3779b97f4a7c15) + e->change;
}

/* ---- a server's life ---- */

static void
start(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	const struct disk *d = &v->disk;
	static struct raft_configuration configurations[CHANGES_MAX];
	size_t count = 0;
	struct terms log;
	struct raft_params p = {
	    .self = id_of(i),
	    .configurations = configurations,
	    .election_ticks = ELECTION_TICKS,
	    .heartbeat_ticks = 2,
	    .inflight_max = 8,
	    .entries_max = 1 + s->seed % 40,
	    .append_bytes_max = 400,
	    .inflight_bytes_max = 1200,
	    .entry_bytes = entry_bytes,
	    .entry_ctx = v,
	    .snapshot_chunk_bytes = CHUNK_BYTES,
	    .snapshot_window = 1 + s->seed % 3,
	    .lease_ns = LEASE_NS,
	    .lease_max_ns = LEASE_NS,
	    .now = clock_of(s, v),
	    .tick_ns = TICK_NS,
	    .random = raft_random,
	    .random_ctx = s,
	    .hard = d->hard,
	    .commit = d->snapshot.index,
	    .life = v->life,
	};

	memcpy(v->log, d->log, sizeof v->log);
	terms_init(&log, d->base, d->base_term);
	if (d->snapshot.change != 0)
		configurations[count++] = s->changes[d->snapshot.change];
	for (uint64_t index = d->base + 1; index <= d->last; index++) {
		terms_append(&log, d->log[index].term, 1);
		if (d->log[index].change != 0 && index > d->snapshot.index)
			configurations[count++] = s->changes[d->log[index].change];
	}
	/* the first one, before all logs, is number 1: those that belong to it know it */
	if (v->life == 0 && d->snapshot.change == 0 && (d->last == 0 || d->base == 0)) {
		const struct raft_configuration *first = &s->changes[1];

		for (size_t k = 0; k < first->count; k++)
			if (raft_id_equal(first->members[k].id, id_of(i))) {
				memmove(configurations + 1, configurations, count * sizeof *configurations);
				configurations[0] = *first;
				count++;
			}
	}
	p.configuration_count = count;
	p.log = &log;
	v->raft = raft_new(&p);
	terms_free(&log);
	raft_set_campaign(v->raft, true);
	if (d->snapshot.index > 0)
		raft_snapshot_set(v->raft, d->snapshot.index, d->snapshot.term, d->snapshot.size);
	v->delivered = d->snapshot.index;
	v->sync_at = v->led_term = v->read_round = 0;
	v->incoming = (struct snapshot){0};
	v->install_at = 0;
	v->stalled = false;
	v->tick_at = s->now + below(s, v->tick_every);
}

/* Voters of c that are what they were when they got their vote. */
static unsigned
whole_voters(const struct sim *s, const struct raft_configuration *c, unsigned *voters)
{
	unsigned whole = 0;

	*voters = 0;
	for (size_t i = 0; i < c->count; i++) {
		uint64_t life = s->servers[server_of(c->members[i].id)].life;

		*voters += c->members[i].voter;
		whole += c->members[i].voter && (life == 0 || life == c->members[i].life);
	}
	return whole;
}

/* The latest configuration that is committed. */
static const struct raft_configuration *
committed_configuration(const struct sim *s)
{
	unsigned change = 1;

	for (uint64_t index = s->committed_last; index > 0 && change == 1; index--)
		if (s->committed[index].change != 0)
			change = s->committed[index].change;
	return &s->changes[change];
}

/* It comes back with an empty disk and the ID that it had. Not if that is more than the cluster promises to bear. */
static void
lose_disk(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	uint64_t life = v->life;
	unsigned voters, whole;

	v->life = below(s, UINT64_C(1) << 32) + 1;
	whole = whole_voters(s, committed_configuration(s), &voters);
	if (whole <= voters / 2) {
		v->life = life;
		return;
	}
	memset(&v->disk, 0, sizeof v->disk);
	memset(v->log, 0, sizeof v->log);
	totals.disks++;
}

static void
stop(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];

	raft_free(v->raft);
	v->raft = NULL;
	v->up_at = s->now + 1 + below(s, below(s, 3) == 0 ? 10 : s->death_every * 2);
	totals.deaths++;
	if (s->chaos && below(s, s->disk_every) == 0)
		lose_disk(s, i);
}

static void
noop_take(struct server *v)
{
	uint64_t index = raft_noop(v->raft);

	if (index != 0)
		v->log[index] = (struct entry){terms_at(raft_log(v->raft), index), 0, 0};
}

/* Those from first on that the log has are replaced. */
static void
saved(struct server *v)
{
	struct disk *d = &v->disk;

	v->sync_at = 0;
	d->hard = v->save.hard;
	if (v->save.first <= v->save.last) {
		memcpy(d->log + v->save.first, v->saving + v->save.first,
		    (v->save.last - v->save.first + 1) * sizeof *d->log);
		d->last = v->save.last;
	}
	raft_save_done(v->raft);
	noop_take(v);
}

static void
save(struct sim *s, struct server *v)
{
	if (v->sync_at != 0 || !raft_save_begin(v->raft, &v->save))
		return;
	if (s->chaos && below(s, 500) == 0) {
		raft_save_failed(v->raft);
		return;
	}
	if (v->save.first <= v->save.last)
		memcpy(v->saving + v->save.first, v->log + v->save.first,
		    (v->save.last - v->save.first + 1) * sizeof *v->log);
	v->sync_at = s->now + 1 + below(s, s->chaos && below(s, 50) == 0 ? 400 : 6);
}

/* ---- snapshots ---- */

static unsigned
change_at(const struct server *v, uint64_t index)
{
	unsigned change = v->disk.snapshot.change == 0 ? 1 : v->disk.snapshot.change;

	for (uint64_t i = v->disk.snapshot.index + 1; i <= index; i++)
		if (v->log[i].change != 0)
			change = v->log[i].change;
	return change;
}

static void
snapshot_take(struct sim *s, struct server *v)
{
	struct disk *d = &v->disk;
	uint64_t index = v->delivered, to;

	if (index > d->snapshot.index) {
		struct snapshot snapshot = {index, terms_at(raft_log(v->raft), index), 1 + below(s, 700),
		    s->digests[index], change_at(v, index)};

		d->snapshot_before = d->snapshot;
		d->snapshot = snapshot;
		raft_snapshot_set(v->raft, index, snapshot.term, snapshot.size);
		totals.snapshots++;
	}
	to = d->snapshot.index - MIN(d->snapshot.index, below(s, 20));
	if (below(s, 2) == 0 || to <= d->base || v->sync_at != 0 || to > raft_stable(v->raft))
		return;
	d->base_term = terms_at(raft_log(v->raft), to);
	d->base = to;
	if (to > raft_log(v->raft)->base_index)
		raft_compact(v->raft, to);
	totals.compactions++;
}

/* The whole snapshot is there. */
static void
install(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	struct disk *d = &v->disk;
	const struct snapshot *in = &v->incoming;
	enum raft_install what;

	if (v->install_at == 0 || v->install_at > s->now || v->sync_at != 0)
		return;
	v->install_at = 0;
	if (s->chaos && below(s, 10) == 0) {
		raft_snapshot_refused(v->raft, in->index, in->term);
		return;
	}
	what = raft_snapshot_check(v->raft, in->index, in->term);
	raft_snapshot_installed(v->raft, in->index, in->term, &s->changes[in->change]);
	if (what == RAFT_INSTALL_NOT) {
		totals.needless++;
		return;
	}
	if (in->index > s->committed_last || s->digests[in->index] != in->digest)
		failed(s,
		    "state machine safety: server %u installs a snapshot of entry %" PRIu64
		    " that is not what was delivered",
		    i, in->index);
	if (in->index > d->snapshot.index) {
		d->snapshot_before = d->snapshot;
		d->snapshot = *in;
		raft_snapshot_set(v->raft, in->index, in->term, in->size);
	}
	if (what == RAFT_INSTALL_RESET || in->index > d->base) {
		d->base = in->index;
		d->base_term = in->term;
	}
	if (what == RAFT_INSTALL_RESET)
		d->last = in->index;
	totals.installed++;
	v->delivered = MAX(v->delivered, in->index);
}

static void
chunk_take(struct sim *s, struct server *v, const struct packet *p)
{
	const struct raft_message *m = &p->m;

	if (m->offset == 0) {
		v->incoming = p->snapshot;
		v->incoming_bytes = 0;
		v->install_at = 0;
	}
	if (v->incoming.index != m->index || v->incoming.digest != p->snapshot.digest || m->offset != v->incoming_bytes)
		failed(s, "a chunk of another snapshot is taken");
	v->incoming_bytes += m->bytes;
	totals.chunks++;
	raft_snapshot_chunk_done(v->raft, m->index, m->log_term, v->incoming_bytes);
	if (v->incoming_bytes == m->size)
		v->install_at = s->now + 1 + below(s, below(s, 4) == 0 ? 600 : 20);
}

/* ---- network ---- */

/* false: its content is not there any more: two newer snapshots are. */
static bool
packet_fill(struct sim *s, struct packet *p, const struct raft_message *m)
{
	const struct server *v = &s->servers[p->from];

	p->m = *m;
	if (m->run_count > RUNS_MAX)
		failed(s, "%" PRIu32 " runs", m->run_count);
	if (m->run_count > 0)
		memcpy(p->runs, m->runs, m->run_count * sizeof *m->runs);
	if (m->entries > 0) {
		p->entries = xcalloc(m->entries, sizeof *p->entries);
		memcpy(p->entries, v->log + m->index + 1, m->entries * sizeof *p->entries);
	}
	if (m->type != RAFT_SNAPSHOT)
		return true;
	p->snapshot = m->index == v->disk.snapshot.index ? v->disk.snapshot : v->disk.snapshot_before;
	return p->snapshot.index == m->index && p->snapshot.size == m->size;
}

static void
packet_put(struct sim *s, unsigned from, unsigned to, const struct raft_message *m)
{
	struct packet *p;

	if (s->packet_count == PACKETS_MAX)
		return;
	p = &s->packets[s->packet_count];
	*p = (struct packet){.from = from, .to = to};
	p->at = s->now + 1 + below(s, below(s, 10) == 0 ? s->delay_max * 10 : s->delay_max);
	if (packet_fill(s, p, m))
		s->packet_count++;
	else
		raft_snapshot_gone(s->servers[from].raft, m->index);
}

static void
packet_free(struct packet *p)
{
	free(p->entries);
}

static void
messages_send(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	struct raft_message m;

	while (raft_message(v->raft, &m)) {
		unsigned to = server_of(m.to);

		if (m.term > v->disk.hard.term)
			failed(s, "durability: server %u speaks in term %" PRIu64 ", only %" PRIu64 " is saved", i,
			    m.term, v->disk.hard.term);
		if (s->cut[i][to] || below(s, 1000) < s->loss) {
			totals.lost++;
			continue;
		}
		packet_put(s, i, to, &m);
		if (below(s, 1000) < s->duplicate) {
			packet_put(s, i, to, &m);
			totals.duplicated++;
		}
	}
}

static void
packet_deliver(struct sim *s, struct packet *p)
{
	static struct raft_configuration configurations[RAFT_CONFIGURATIONS_MAX];
	struct server *v = &s->servers[p->to];
	struct raft_accepted accepted;
	uint32_t first;

	if (v->raft == NULL || s->cut[p->from][p->to])
		return;
	p->m.runs = p->runs;
	for (first = p->m.entries; first > 0 && p->m.configuration_count < RAFT_CONFIGURATIONS_MAX; first--)
		p->m.configuration_count += p->entries[first - 1].change != 0;
	for (uint32_t k = first, count = 0; k < p->m.entries; k++)
		if (p->entries[k].change != 0)
			configurations[count++] = s->changes[p->entries[k].change];
	p->m.configurations = configurations;
	raft_time(v->raft, clock_of(s, v));
	raft_step(v->raft, &p->m, &accepted);
	noop_take(v);
	for (uint32_t k = 0; k < accepted.taken; k++)
		v->log[accepted.first + k] = p->entries[accepted.skipped + k];
	if (accepted.snapshot_chunk)
		chunk_take(s, v, p);
	if (raft_refused(v->raft) > 0)
		failed(s, "server %u refused a message of server %u", p->to, p->from);
}

#endif

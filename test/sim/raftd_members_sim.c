/*
 * raftd_members_sim.c - Raft's core alone while servers join, are promoted, removed and sent snapshots, under faults of network and processes
 *
 * Seven servers, of which some belong to the cluster. A disk is an array here (the log's code has raftd_raft_sim.c), so that
 * many more seeds run. A seed decides everything: delays, loss, doubling and reordering of messages, partitions, deaths, slow saves, pauses, clocks of
 * different speed, handing over, stalls, disks that are lost, who joins and leaves, who takes a snapshot and how far its log is shortened.
 *
 * Checked: election safety, leader completeness, state machine safety (also of installed snapshots), that no configuration but the last one
 * of a log is uncommitted, linearizable reads (by lease and by round), durability, and at the end liveness.
 *
 * Usage: raftd_members_sim [seed]   without: SEEDS seeds or SECONDS of wall time, whichever ends first. A failure prints its seed.
 */
#include "raftd_members_world.h"

#define SEEDS 3000
#define SEEDS_MIN 20
#define SECONDS 12
#define CHAOS_MS 8000
#define HEAL_MS 4000

/* Nobody hears it for a while but perhaps one, and perhaps it hears not all of them. */
static void
isolate(struct sim *s, unsigned i)
{
	uint64_t deaf = below(s, 2) == 0 ? UINT64_MAX : below(s, UINT64_C(1) << SERVERS);
	unsigned friend = (unsigned)below(s, 2 * SERVERS);

	for (unsigned k = 0; k < SERVERS; k++) {
		s->cut[i][k] = k != friend;
		s->cut[k][i] = k != friend && (deaf >> k & 1) != 0;
	}
	totals.partitions++;
}

/* ---- changes of membership ---- */

static struct raft_member *
member_find(struct raft_configuration *c, struct raft_id id)
{
	for (size_t i = 0; i < c->count; i++)
		if (raft_id_equal(c->members[i].id, id))
			return &c->members[i];
	return NULL;
}

static void
change_propose(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	struct raft_configuration c = *raft_configuration(v->raft);
	unsigned which = (unsigned)below(s, SERVERS);
	struct raft_member *m = member_find(&c, id_of(which));
	uint64_t *total = &totals.joined, life = s->servers[which].life;
	struct raft_progress progress;
	enum raft_change why;
	uint64_t index;

	if (s->change_count == CHANGES_MAX || raft_log(v->raft)->last > ENTRIES_MAX - 64)
		return;
	for (size_t k = 0; below(s, 2) == 0 && k < c.count; k++)
		if (raft_progress(v->raft, c.members[k].id, &progress) && progress.blank)
			m = &c.members[k]; /* that is what a leader takes care of first */
	if (m == NULL) {
		bool voter = below(s, 4) == 0;

		c.members[c.count++] = (struct raft_member){id_of(which), voter, voter ? life : 0};
	} else if (!m->voter) {
		if (!raft_progress(v->raft, m->id, &progress) || !progress.heard)
			return;
		m->voter = true;
		m->life = progress.life;
		total = &totals.promoted;
	} else if (below(s, 2) == 0) {
		m->voter = false;
		m->life = 0;
		total = &totals.demoted;
	} else {
		*m = c.members[--c.count];
		total = which == i ? &totals.self_removed : &totals.removed;
	}
	index = raft_propose_configuration(v->raft, &c, &why);
	if (index == 0)
		return;
	if (s->malicious && below(s, 3) == 0)
		isolate(s, i);
	(*total)++;
	c.index = index;
	s->changes[s->change_count] = c;
	v->log[index] = (struct entry){raft_term(v->raft), s->next_value++, s->change_count++};
}

/* ---- invariants ---- */

static void
check_leader(struct sim *s, unsigned i)
{
	if (!leader_is_new(s, i))
		return;
	if (s->malicious && s->chaos && below(s, 2) == 0)
		change_propose(s, i);
	check_complete(s, i);
}

static void
check_delivery(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	uint64_t to = MIN(raft_commit(v->raft), raft_stable(v->raft));

	for (uint64_t index = v->delivered + 1; index <= to; index++) {
		const struct entry *e = &v->log[index];

		if (terms_at(raft_log(v->raft), index) != e->term)
			failed(s, "server %u: the shell's entry %" PRIu64 " is not the core's", i, index);
		if (index > s->committed_last) {
			s->committed[index] = *e;
			s->committed_in[index] = raft_term(v->raft);
			s->digests[index] = mix(s->digests[index - 1], e);
			s->committed_last = index;
			totals.committed++;
		} else if (s->committed[index].term != e->term || s->committed[index].value != e->value)
			failed(s, "state machine safety: server %u delivers another entry %" PRIu64, i, index);
	}
	v->delivered = MAX(v->delivered, to);
	s->commit_known = MAX(s->commit_known, raft_commit(v->raft));
	if (raft_role(v->raft) == RAFT_LEADER)
		s->acked = MAX(s->acked, v->delivered);
	if (raft_configuration_committed(v->raft)->index > s->commit_known)
		failed(s, "server %u has two uncommitted configurations: %" PRIu64 ", %" PRIu64, i,
		    raft_configuration_committed(v->raft)->index, raft_configuration(v->raft)->index);
}

/* ---- one server's turn ---- */

static void
provoke(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];

	if (s->eager > 0 && raft_role(v->raft) == RAFT_FOLLOWER && below(s, s->eager) == 0)
		raft_campaign(v->raft);
	if (below(s, 300) == 0)
		totals.transfers += raft_transfer(v->raft, id_of((unsigned)below(s, SERVERS)));
	if (below(s, v->stalled ? 200 : 4000) == 0) {
		v->stalled = !v->stalled;
		raft_stalled(v->raft, v->stalled);
		totals.stalls++;
	}
	if (below(s, s->snapshot_every) == 0)
		snapshot_take(s, v);
	if (raft_role(v->raft) == RAFT_LEADER && below(s, s->change_every) == 0)
		change_propose(s, i);
}

static void
propose(struct sim *s, struct server *v)
{
	uint32_t count = 1 + (uint32_t)below(s, 4);
	uint64_t first;

	if (raft_role(v->raft) != RAFT_LEADER || raft_log(v->raft)->last >= ENTRIES_MAX - 64 ||
	    below(s, s->propose_every) != 0)
		return;
	first = raft_propose(v->raft, count);
	for (uint32_t k = 0; first != 0 && k < count; k++)
		v->log[first + k] = (struct entry){raft_term(v->raft), s->next_value++, 0};
}

static void
turn(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];

	if (v->paused_until > s->now)
		return;
	if (v->raft == NULL) {
		if (v->up_at > s->now)
			return;
		start(s, i);
	}
	raft_time(v->raft, clock_of(s, v));
	if (s->chaos)
		provoke(s, i);
	if (v->sync_at != 0 && v->sync_at <= s->now)
		saved(v);
	install(s, i);
	if (v->tick_at <= s->now) {
		raft_tick(v->raft);
		v->tick_at = s->now + v->tick_every;
	}
	propose(s, v);
	save(s, v);
	messages_send(s, i);
	check_leader(s, i);
	check_delivery(s, i);
	check_reads(s, i);
}

/* ---- faults ---- */

static void
faults(struct sim *s)
{
	if (below(s, s->partition_every) == 0)
		partition(s);
	if (below(s, s->death_every) == 0) {
		unsigned i = (unsigned)below(s, SERVERS);

		if (s->servers[i].raft != NULL)
			stop(s, i);
	}
	pause_somebody(s);
	if (below(s, 6000) == 0)
		for (unsigned i = 0; i < SERVERS; i++)
			if (s->servers[i].raft != NULL)
				stop(s, i);
	weather_change(s);
}

static void
run_for(struct sim *s, uint64_t ms)
{
	for (uint64_t end = s->now + ms; s->now < end; s->now++) {
		if (s->chaos)
			faults(s);
		packets_deliver(s);
		for (unsigned i = 0; i < SERVERS; i++)
			turn(s, i);
	}
}

static void
heal(struct sim *s)
{
	calm(s);
	for (unsigned i = 0; i < SERVERS; i++) {
		struct server *v = &s->servers[i];

		v->up_at = MIN(v->up_at, s->now + 50);
		v->paused_until = 0;
		v->stalled = false;
		if (v->raft != NULL)
			raft_stalled(v->raft, false);
	}
}

#ifndef SIM_PLANTED /* there a mistake must be seen when it is made, not by what it leads to */
static void
check_end(const struct sim *s, uint64_t before, uint64_t promised)
{
	struct raft_configuration latest = {0};

	/* a change that was under way when a disk was lost can make one loss too much: then nothing may go on, but nothing wrong may happen either */
	for (unsigned i = 0; i < SERVERS; i++) {
		unsigned voters, whole = whole_voters(s, raft_configuration(s->servers[i].raft), &voters);

		if (whole <= voters / 2 && voters > 0) {
			totals.given_up++;
			return;
		}
	}
	if (s->committed_last == before && before < ENTRIES_MAX - 64)
		failed(s, "liveness: nothing was committed after all was healed");
	for (unsigned i = 0; i < SERVERS; i++)
		if (raft_role(s->servers[i].raft) == RAFT_LEADER)
			latest = *raft_configuration(s->servers[i].raft);
	for (size_t i = 0; i < latest.count; i++) {
		const struct server *v = &s->servers[server_of(latest.members[i].id)];

		if (v->delivered < promised)
			failed(s, "durability: server %u has delivered up to %" PRIu64 " of %" PRIu64,
			    server_of(latest.members[i].id), v->delivered, promised);
	}
}
#else
#define check_end(s, before, promised) ((void)(before), (void)(promised))
#endif

static bool
run_seed(uint64_t seed)
{
	static struct sim s;
	uint64_t before, promised;

	memset(&s, 0, sizeof s);
	s.seed = s.random = seed;
	s.servers = xcalloc(SERVERS, sizeof *s.servers);
	s.next_value = 1;
	s.delay_max = 10;
	s.chaos = true;
	s.malicious = below(&s, 2) == 0;
	s.eager = below(&s, 3) == 0 ? 0 : 20 + below(&s, 400);
	s.partition_every = 30 + below(&s, 400);
	s.death_every = 30 + below(&s, 400);
	s.propose_every = 4 + below(&s, 60);
	s.change_every = 5 + below(&s, 200);
	s.snapshot_every = 50 + below(&s, 1000);
	s.disk_every = below(&s, 3) == 0 ? UINT64_MAX : 2 + below(&s, 20);
	s.changes[1].count = 1 + below(&s, 4);
	for (unsigned i = 0; i < s.changes[1].count; i++)
		s.changes[1].members[i] = (struct raft_member){id_of(i), true, 0};
	s.change_count = 2;
	for (unsigned i = 0; i < SERVERS; i++) {
		s.servers[i].life = i < s.changes[1].count ? 0 : below(&s, 1000) + 1;
		s.servers[i].clock_offset = below(&s, UINT64_C(1) << 50);
		s.servers[i].clock_speed = 950000 + below(&s, 100001);
		s.servers[i].tick_every = 9 + below(&s, 3);
	}
	run_for(&s, CHAOS_MS);
	/* all is well again: what was delivered is still there, and the cluster goes on */
	heal(&s);
	promised = s.committed_last;
	run_for(&s, HEAL_MS / 2);
	before = s.committed_last;
	run_for(&s, HEAL_MS / 2);
	check_end(&s, before, promised);
	for (unsigned i = 0; i < SERVERS; i++)
		raft_free(s.servers[i].raft);
	for (size_t i = 0; i < s.packet_count; i++)
		packet_free(&s.packets[i]);
	free(s.servers);
	totals.seeds++;
	totals.ms += s.now;
	return true;
}

#ifndef SIM_PLANTED
int
main(int argc, char **argv)
{
	if (!seeded_run(argc, argv, (struct seeded_bounds){SEEDS, SEEDS_MIN, SECONDS}, run_seed))
		return 1;
	printf("ok 1 - %" PRIu64 " seeds, %" PRIu64 " simulated seconds: %" PRIu64 " elections, %" PRIu64
	       " entries committed, %" PRIu64 " deaths, %" PRIu64 " partitions, %" PRIu64 " messages lost, %" PRIu64
	       " doubled, %" PRIu64 " pauses, %" PRIu64 " transfers, %" PRIu64 " stalls; %" PRIu64
	       " servers joined, %" PRIu64 " promoted, %" PRIu64 " demoted, %" PRIu64 " removed, %" PRIu64
	       " by themselves; %" PRIu64 " snapshots, %" PRIu64 " logs shortened, %" PRIu64 " chunks, %" PRIu64
	       " installed, %" PRIu64 " not needed any more, %" PRIu64 " disks lost, %" PRIu64
	       " seeds in which that was too much; %" PRIu64 " times ready to read by lease, %" PRIu64
	       " reads by round\n",
	    totals.seeds, totals.ms / 1000, totals.elections, totals.committed, totals.deaths, totals.partitions,
	    totals.lost, totals.duplicated, totals.pauses, totals.transfers, totals.stalls, totals.joined,
	    totals.promoted, totals.demoted, totals.removed, totals.self_removed, totals.snapshots, totals.compactions,
	    totals.chunks, totals.installed, totals.needless, totals.disks, totals.given_up, totals.lease_reads,
	    totals.round_reads);
	return 0;
}
#endif

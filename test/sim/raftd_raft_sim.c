/*
 * raftd_raft_sim.c - Raft's real core and the real log code in virtual time, under every fault the network and the disk can do
 *
 * 1 to 7 servers, each with a disk in memory (raftd_disk.h) under the log. A seed decides everything: delays, loss, doubling and
 * reordering of messages, partitions (one-way ones too), deaths of processes, losses of power in the middle of writes, slow
 * disks, full disks, pauses, clocks of different speed, transfers of leadership, who proposes what. Some seeds are malicious:
 * timeouts collide, and servers die or are cut off at the worst moments: with a save under way right after they spoke, when
 * they were elected, when they committed.
 *
 * Checked: election safety (one leader a term, once), log matching, leader completeness, state machine safety (no two servers
 * deliver different entries at an index, nothing delivered is ever lost), no word in a term that is not saved, linearizable
 * reads (by lease and by round), durability (an acknowledged entry is delivered by all in the end), liveness (when all is
 * healed, a leader is elected and an entry commits).
 *
 * Usage: raftd_raft_sim [seed]   without: SEEDS seeds or SECONDS of wall time, whichever ends first. A failure prints its seed.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/raftd_disk.h"
#include "mem.h"
#include "message.h"
#include "raft.h"
#include "wal.h"

#define SEEDS 600
#define SEEDS_MIN 12
#define SECONDS 18
#define SERVERS_MAX 7
#define ENTRIES_MAX 8192
#define PACKETS_MAX 2048
#define CHAOS_MS 8000
#define HEAL_MS 3000
#define LEASE_NS UINT64_C(80000000) /* 8 ticks */
#define SEGMENT_BYTES (64u * WAL_BLOCK_BYTES)

struct entry {
	uint64_t term, value;
};

struct server {
	struct disk disk;
	struct wal *wal;
	struct raft *raft; /* NULL: down */
	struct entry log[ENTRIES_MAX];
	uint8_t types[ENTRIES_MAX];
	uint64_t delivered;
	uint64_t tick_at, up_at, sync_at;   /* sync_at 0: none under way */
	uint64_t tick_every;                /* clocks differ a little */
	uint64_t led_term;                  /* the last term whose leadership was checked */
	bool doomed;                        /* dies at the end of its turn */
	uint64_t clock_offset, clock_speed; /* ns per ms */
	uint64_t paused_until;
	uint64_t saving_term, durable_term;
	uint64_t read_round, read_index, read_needed, read_term; /* one read by round; round 0: none */
	uint64_t full_until;
	bool hasty; /* stands for election as soon as it is up again */
};

enum spoken { SAID_NOTHING, SAID_SOMETHING, SAID_VOTE };

struct packet {
	uint64_t at;
	unsigned from, to;
	struct buf bytes;
};

struct sim {
	uint64_t seed, random, now;
	unsigned count;
	struct server *servers;
	struct packet packets[PACKETS_MAX];
	size_t packet_count;
	bool cut[SERVERS_MAX][SERVERS_MAX]; /* from, to */
	uint64_t loss, duplicate;           /* per thousand */
	uint64_t delay_max;
	uint64_t partition_every, death_every, propose_every; /* ms, on the average */
	struct entry committed[ENTRIES_MAX];                  /* what some server delivered */
	uint64_t committed_last;
	uint64_t acked; /* what a leader delivered: its writers were told */
	uint64_t
	    eager; /* ms, on the average, after which servers stand for election if they are let; 0: not before their time */
	uint64_t committed_in[ENTRIES_MAX]; /* a term by which it was */
	unsigned leader_of[ENTRIES_MAX];    /* by term, server + 1 */
	bool malicious;
	uint32_t entries_max; /* in one APPEND */
	uint64_t next_value;
	bool chaos;
};

static struct {
	uint64_t seeds, ms, elections, committed, crashes, power_losses, partitions, lost, duplicated, cut_logs,
	    full_disks, lease_reads, round_reads, transfers, pauses;
} totals;

#define SERVER_COUNT(s) ((s)->count)
#include "raftd_common.h"

static uint64_t
raft_random(void *ctx, uint64_t bound)
{
	struct sim *s = ctx;

	return s->malicious && s->chaos ? below(s, 2) * (bound / 2) : below(s, bound);
}

/* An entry's content: its value, padded so that batches have one or more blocks. No-ops are empty. */
static struct bytes
content(const struct server *v, uint64_t index)
{
	static uint8_t data[8 * 1024];
	uint64_t value = v->log[index].value;

	if (v->types[index] == WAL_NOOP)
		return bytes_of(data, 0);
	for (int i = 0; i < 8; i++)
		data[i] = (uint8_t)(value >> (56 - 8 * i));
	return bytes_of(data, 8 + value % 8 * 600);
}

static uint64_t
value_of(struct bytes data)
{
	return data.size >= 8 ? be64_at(data.data) : 0;
}

/* ---- a server's life ---- */

struct recovery {
	struct server *v;
};

static bool
recover_entry(void *ctx, const struct wal_entry *e)
{
	struct recovery *r = ctx;

	r->v->log[e->index] = (struct entry){e->term, value_of(e->data)};
	r->v->types[e->index] = e->type;
	return true;
}

static void
start(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	const struct wal_options o = {.io = disk_io(&v->disk), .path = "/log", .segment_bytes = SEGMENT_BYTES};
	struct raft_configuration voters = {.count = s->count};
	struct recovery recovery = {v};
	char error[WAL_ERROR_MAX];
	struct raft_params p = {
	    .self = id_of(i),
	    .configurations = &voters,
	    .configuration_count = 1,
	    .election_ticks = 10,
	    .heartbeat_ticks = 2,
	    .inflight_max = 8,
	    .entries_max = s->entries_max,
	    .lease_ns = LEASE_NS,
	    .lease_max_ns = LEASE_NS,
	    .now = clock_of(s, v),
	    .random = raft_random,
	    .random_ctx = s,
	};

	v->wal = wal_open(&o, true, error);
	if (v->wal == NULL)
		failed(s, "server %u: %s", i, error);
	totals.cut_logs += wal_torn(v->wal) != NULL;
	if (wal_terms(v->wal)->last > 0 &&
	    wal_read(v->wal, 1, wal_terms(v->wal)->last, recover_entry, &recovery, error) == -1)
		failed(s, "server %u: %s", i, error);
	for (unsigned k = 0; k < s->count; k++)
		voters.members[k] = (struct raft_member){id_of(k), true};
	p.hard = (struct raft_hard){wal_term(v->wal), raft_id_from_bytes(wal_vote(v->wal))};
	v->durable_term = p.hard.term;
	p.log = wal_terms(v->wal);
	v->raft = raft_new(&p);
	raft_set_campaign(v->raft, true);
	v->delivered = 0;
	v->sync_at = 0;
	v->led_term = 0;
	v->doomed = false;
	v->read_round = 0;
	v->tick_at = s->now + below(s, v->tick_every);
}

static void
stop(struct sim *s, unsigned i, bool power)
{
	struct server *v = &s->servers[i];

	raft_free(v->raft);
	v->raft = NULL;
	wal_close(v->wal);
	v->wal = NULL;
	if (power) {
		disk_power_loss(&v->disk);
		totals.power_losses++;
	} else {
		disk_restart(&v->disk);
		totals.crashes++;
	}
	v->up_at = s->now + 5 + below(s, s->death_every * 2);
}

static void
noop_take(struct server *v)
{
	uint64_t index = raft_noop(v->raft);

	if (index != 0) {
		v->log[index] = (struct entry){terms_at(raft_log(v->raft), index), 0};
		v->types[index] = WAL_NOOP;
	}
}

/* ---- network ---- */

static void
packet_put(struct sim *s, unsigned from, unsigned to, struct bytes bytes)
{
	struct packet *p;

	if (s->packet_count == PACKETS_MAX)
		return;
	p = &s->packets[s->packet_count++];
	*p = (struct packet){.from = from, .to = to, .bytes = BUF_INIT(32 * 1024 * 1024)};
	/* mostly quick, sometimes late: that is what reorders */
	p->at = s->now + 1 + below(s, below(s, 10) == 0 ? s->delay_max * 10 : s->delay_max);
	buf_put_bytes(&p->bytes, bytes);
}

static void
packet_free(struct packet *p)
{
	buf_free(&p->bytes);
}

static struct message_entry
encode_entry(void *ctx, uint64_t index)
{
	struct server *v = ctx;

	return (struct message_entry){v->types[index], content(v, index)};
}

/* What it said: how much it would matter if it forgot that. */
static enum spoken
messages_send(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	struct raft_message m;
	enum spoken said = SAID_NOTHING;

	while (raft_message(v->raft, &m)) {
		struct buf bytes = BUF_INIT(32 * 1024 * 1024);
		unsigned to = (unsigned)m.to.low - 1;

		said = MAX(said, m.type == RAFT_VOTE_REPLY && !m.reject ? SAID_VOTE : SAID_SOMETHING);
		if (m.term > v->durable_term)
			failed(s, "durability: server %u speaks in term %" PRIu64 ", only %" PRIu64 " is saved", i,
			    m.term, v->durable_term);
		message_encode(&m, encode_entry, v, &bytes);
		if (s->cut[i][to] || below(s, 1000) < s->loss)
			totals.lost++;
		else {
			packet_put(s, i, to, buf_bytes(&bytes));
			if (below(s, 1000) < s->duplicate) {
				packet_put(s, i, to, buf_bytes(&bytes));
				totals.duplicated++;
			}
		}
		buf_free(&bytes);
	}
	return said;
}

static void
packet_deliver(struct sim *s, struct packet *p)
{
	struct server *v = &s->servers[p->to];
	struct raft_accepted accepted;
	struct message_in in;

	/* what was under way before the cut may still come */
	if (v->raft == NULL || (!s->malicious && s->cut[p->from][p->to]))
		return;
	if (message_decode(buf_bytes(&p->bytes), &in) == -1)
		failed(s, "a message does not decode");
	raft_time(v->raft, clock_of(s, v));
	raft_step(v->raft, &in.message, &accepted);
	noop_take(v);
	for (uint32_t i = 0; i < accepted.taken; i++) {
		const struct message_entry *e = &in.entries[accepted.skipped + i];
		uint64_t index = accepted.first + i;

		v->log[index] = (struct entry){terms_at(raft_log(v->raft), index), value_of(e->data)};
		v->types[index] = e->type;
	}
	if (raft_refused(v->raft) > 0)
		failed(s, "server %u refused a message of server %u", p->to, p->from);
	message_in_free(&in);
}

/* ---- invariants ---- */

/* Nobody hears it for a while, and perhaps it hears not all of them. */
static void
isolate(struct sim *s, unsigned i)
{
	uint64_t deaf = below(s, 2) == 0 ? UINT64_MAX : below(s, UINT64_C(1) << s->count);

	for (unsigned k = 0; k < s->count; k++) {
		s->cut[i][k] = true;
		s->cut[k][i] = (deaf >> k & 1) != 0;
	}
	totals.partitions++;
}

/* A leader that has just acknowledged is cut off. Perhaps it sleeps over what follows, perhaps the others forget what they know of it. */
static void
betray(struct sim *s, unsigned i)
{
	bool forget = below(s, 3) == 0;

	isolate(s, i);
	if (below(s, 3) == 0) {
		s->servers[i].paused_until = s->now + below(s, 250);
		totals.pauses++;
	}
	for (unsigned k = 0; forget && k < s->count; k++)
		if (k != i && s->servers[k].raft != NULL) {
			stop(s, k, below(s, 2) == 0);
			/* what is under way to it mostly comes before it is there */
			s->servers[k].up_at = s->now + 1 + below(s, 10) + below(s, 2) * s->delay_max;
			s->servers[k].hasty = below(s, 2) == 0;
		}
}

static void
check_leader(struct sim *s, unsigned i)
{
	if (!leader_is_new(s, i))
		return;
	if (s->malicious && s->chaos && below(s, 4) == 0)
		isolate(s, i);
	check_complete(s, i);
}

static void
check_delivery(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	uint64_t to = MIN(raft_commit(v->raft), raft_stable(v->raft));

	for (uint64_t index = v->delivered + 1; index <= to; index++) {
		const struct entry *e = &v->log[index];

		if (index > s->committed_last) {
			s->committed[index] = *e;
			s->committed_in[index] = raft_term(v->raft);
			s->committed_last = index;
			totals.committed++;
			if (s->malicious && s->chaos && below(s, 24) == 0)
				v->doomed = true;
		} else if (s->committed[index].term != e->term || s->committed[index].value != e->value)
			failed(s,
			    "state machine safety: server %u delivers entry %" PRIu64 " %" PRIu64 "/%" PRIu64
			    ", another one delivered %" PRIu64 "/%" PRIu64,
			    i, index, e->term, e->value, s->committed[index].term, s->committed[index].value);
	}
	v->delivered = MAX(v->delivered, to);
	if (raft_role(v->raft) != RAFT_LEADER || v->delivered <= s->acked)
		return;
	s->acked = v->delivered;
	if (s->malicious && s->chaos && below(s, 24) == 0)
		betray(s, i);
}

static void
check_log_matching(struct sim *s)
{
	for (unsigned a = 0; a < s->count; a++)
		for (unsigned b = a + 1; b < s->count; b++) {
			struct server *x = &s->servers[a], *y = &s->servers[b];
			uint64_t last;
			bool same = false;

			if (x->raft == NULL || y->raft == NULL)
				continue;
			last = MIN(raft_log(x->raft)->last, raft_log(y->raft)->last);
			for (uint64_t index = last; index > 0; index--) {
				bool equal = x->log[index].term == y->log[index].term;

				if (x->log[index].term != terms_at(raft_log(x->raft), index))
					failed(
					    s, "server %u: the shell's entry %" PRIu64 " is not the core's", a, index);
				if (same && (!equal || x->log[index].value != y->log[index].value))
					failed(s,
					    "log matching: servers %u and %u differ at entry %" PRIu64
					    ", but not behind it",
					    a, b, index);
				same |= equal;
			}
		}
}

/* ---- one server's turn ---- */

static void
save(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	uint8_t vote[WAL_ID_BYTES];
	struct raft_save save;

	if (v->sync_at != 0 || v->full_until > s->now || !raft_save_begin(v->raft, &save))
		return;
	if (s->chaos && below(s, 500) == 0) {
		/* the disk is full for a while */
		raft_save_failed(v->raft);
		v->full_until = s->now + below(s, 300);
		totals.full_disks++;
		return;
	}
	v->saving_term = save.hard.term;
	raft_id_to_bytes(save.hard.vote, vote);
	wal_batch_begin(v->wal, save.hard.term, vote);
	for (uint64_t index = save.first; index <= save.last; index++)
		wal_batch_entry(v->wal, index, v->log[index].term, v->types[index], content(v, index));
	if (wal_batch_write(v->wal) == -1)
		failed(s, "server %u: the log can not be written", i);
	v->sync_at = s->now + 1 + below(s, s->chaos && below(s, 50) == 0 ? 400 : 6);
}

static void
turn(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	enum spoken said;

	if (v->paused_until > s->now)
		return;
	if (v->raft == NULL) {
		if (v->up_at > s->now)
			return;
		start(s, i);
	}
	raft_time(v->raft, clock_of(s, v));
	if (s->chaos && v->hasty)
		raft_campaign(v->raft);
	v->hasty = false;
	if (s->chaos && s->eager > 0 && raft_role(v->raft) == RAFT_FOLLOWER && below(s, s->eager) == 0)
		raft_campaign(v->raft);
	if (s->chaos && below(s, 300) == 0)
		totals.transfers += raft_transfer(v->raft, id_of((unsigned)below(s, s->count)));
	if (v->sync_at != 0 && v->sync_at <= s->now) {
		v->sync_at = 0;
		if (wal_sync(v->wal) == -1)
			failed(s, "server %u: the log can not be synced", i);
		v->durable_term = v->saving_term;
		raft_save_done(v->raft);
		noop_take(v);
	}
	if (v->tick_at <= s->now) {
		raft_tick(v->raft);
		v->tick_at = s->now + v->tick_every;
	}
	if (raft_role(v->raft) == RAFT_LEADER && raft_log(v->raft)->last < ENTRIES_MAX - 64 &&
	    below(s, s->propose_every) == 0) {
		uint32_t count = 1 + (uint32_t)below(s, 4);
		uint64_t first;

		first = raft_propose(v->raft, count);
		for (uint32_t k = 0; first != 0 && k < count; k++) {
			v->log[first + k] = (struct entry){raft_term(v->raft), s->next_value++};
			v->types[first + k] = WAL_DATA;
		}
	}
	save(s, i);
	said = messages_send(s, i);
	check_leader(s, i);
	check_delivery(s, i);
	check_reads(s, i);
	if (s->malicious && s->chaos && said != SAID_NOTHING && v->sync_at != 0 &&
	    below(s, said == SAID_VOTE ? 2 : 32) == 0)
		v->doomed = true;
	if (v->doomed) {
		stop(s, i, below(s, 4) > 0);
		if (below(s, 2) == 0)
			v->up_at = s->now + 1 + below(s, 10);
	}
}

/* ---- faults ---- */

static void
faults(struct sim *s)
{
	if (below(s, s->partition_every) == 0)
		partition(s);
	if (below(s, s->death_every) == 0) {
		unsigned i = (unsigned)below(s, s->count);

		if (s->servers[i].raft != NULL)
			stop(s, i, below(s, 2) == 0);
	}
	pause_somebody(s);
	/* all at once, as when the power fails */
	if (below(s, 6000) == 0)
		for (unsigned i = 0; i < s->count; i++)
			if (s->servers[i].raft != NULL)
				stop(s, i, true);
	weather_change(s);
}

static void
run_for(struct sim *s, uint64_t ms)
{
	for (uint64_t end = s->now + ms; s->now < end; s->now++) {
		if (s->chaos)
			faults(s);
		packets_deliver(s);
		for (unsigned i = 0; i < s->count; i++)
			turn(s, i);
		if (s->now % 100 == 0)
			check_log_matching(s);
	}
}

#ifndef SIM_PLANTED /* there a mistake must be seen when it is made, not by what it leads to */
static void
check_end(const struct sim *s, uint64_t before, uint64_t promised)
{
	if (s->committed_last == before && before < ENTRIES_MAX - 64)
		failed(s, "liveness: nothing was committed after all was healed");
	for (unsigned i = 0; i < s->count; i++)
		if (s->servers[i].delivered < promised)
			failed(s, "durability: server %u has delivered up to %" PRIu64 " of %" PRIu64, i,
			    s->servers[i].delivered, promised);
}
#else
#define check_end(s, before, promised) ((void)(before), (void)(promised))
#endif

static bool
run_seed(uint64_t seed)
{
	static const unsigned counts[] = {3, 5, 3, 3, 5, 3, 1, 3, 5, 7};
	static struct sim s;
	uint64_t before, promised;

	memset(&s, 0, sizeof s);
	s.seed = s.random = seed;
	s.count = counts[seed % COUNTOF(counts)];
	s.servers = xcalloc(s.count, sizeof *s.servers);
	s.next_value = 1;
	s.delay_max = 10;
	s.chaos = true;
	s.malicious = below(&s, 2) == 0;
	s.eager = below(&s, 3) == 0 ? 0 : 20 + below(&s, 200);
	s.entries_max = below(&s, 2) == 0 ? 1 + (uint32_t)below(&s, 3) : 0;
	/* from calm days with much traffic to storms in which hardly anything is ever committed */
	s.partition_every = 30 + below(&s, 400);
	s.death_every = 50 + below(&s, 600);
	s.propose_every = 4 + below(&s, 60);
	for (unsigned i = 0; i < s.count; i++) {
		disk_init(&s.servers[i].disk);
		s.servers[i].disk.random = below(&s, UINT64_MAX);
		s.servers[i].clock_offset = below(&s, UINT64_C(1) << 50);
		s.servers[i].clock_speed = 950000 + below(&s, 100001);
		s.servers[i].tick_every = 9 + below(&s, 3);
	}
	run_for(&s, CHAOS_MS);
	/* all is well again: what was delivered is still there, and the cluster goes on */
	promised = s.committed_last;
	calm(&s);
	for (unsigned i = 0; i < s.count; i++) {
		s.servers[i].up_at = MIN(s.servers[i].up_at, s.now + 50);
		s.servers[i].full_until = s.servers[i].paused_until = 0;
	}
	run_for(&s, HEAL_MS / 2);
	before = s.committed_last;
	run_for(&s, HEAL_MS / 2);
	check_end(&s, before, promised);
	for (unsigned i = 0; i < s.count; i++) {
		raft_free(s.servers[i].raft);
		wal_close(s.servers[i].wal);
		disk_free(&s.servers[i].disk);
	}
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
	       " entries committed, %" PRIu64 " process deaths, %" PRIu64 " power losses, %" PRIu64
	       " torn logs cut, %" PRIu64 " full disks, %" PRIu64 " partitions, %" PRIu64 " messages lost, %" PRIu64
	       " doubled, %" PRIu64 " pauses, %" PRIu64 " transfers, %" PRIu64 " times ready to read by lease, %" PRIu64
	       " reads by round\n",
	    totals.seeds, totals.ms / 1000, totals.elections, totals.committed, totals.crashes, totals.power_losses,
	    totals.cut_logs, totals.full_disks, totals.partitions, totals.lost, totals.duplicated, totals.pauses,
	    totals.transfers, totals.lease_reads, totals.round_reads);
	return 0;
}
#endif

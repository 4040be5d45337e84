/*
 * raftd_common.h - what both simulators of Raft's core have in common: clocks, packets on their way, bad weather, and what must hold of
 * leaders and readers
 *
 * Included behind the definitions of struct sim, server, packet and totals: their members of the same names mean the same. SERVER_COUNT(s) is how
 * many servers there are. What a packet carries is the simulator's own: packet_deliver() and packet_free().
 */
#ifndef RAFTD_COMMON_H
#define RAFTD_COMMON_H

#include "seeded.h"

static NORETURN void failed(const struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static NORETURN void
failed(const struct sim *s, const char *fmt, ...)
{
	char when[40];
	va_list args;

	snprintf(when, sizeof when, " at %" PRIu64 " ms", s->now);
	va_start(args, fmt);
	seeded_wrong(s->seed, when, fmt, args);
	va_end(args);
	exit(1);
}

static uint64_t
below(struct sim *s, uint64_t bound)
{
	return seeded_below(&s->random, bound);
}

/* Differs in speed by up to a tenth between two servers, and in what it says by anything. */
static uint64_t
clock_of(const struct sim *s, const struct server *v)
{
	return v->clock_offset + s->now * v->clock_speed;
}

static struct raft_id
id_of(unsigned server)
{
	return (struct raft_id){7, server + 1};
}

/* ---- packets ---- */

static void packet_deliver(struct sim *s, struct packet *p);
static void packet_free(struct packet *p);

static void
packets_deliver(struct sim *s)
{
	for (size_t i = 0; i < s->packet_count;) {
		struct packet p = s->packets[i];

		if (p.at > s->now || s->servers[p.to].paused_until > s->now) {
			i++;
			continue;
		}
		s->packets[i] = s->packets[--s->packet_count];
		packet_deliver(s, &p);
		packet_free(&p);
	}
}

/* ---- weather ---- */

static void
partition(struct sim *s)
{
	unsigned kind = (unsigned)below(s, 4), one = (unsigned)below(s, SERVER_COUNT(s));
	uint64_t side = below(s, UINT64_C(1) << SERVER_COUNT(s));

	memset(s->cut, 0, sizeof s->cut);
	if (kind == 0)
		return;
	totals.partitions++;
	for (unsigned a = 0; a < SERVER_COUNT(s); a++)
		for (unsigned b = 0; b < SERVER_COUNT(s); b++)
			if (kind == 1) /* two sides */
				s->cut[a][b] = (side >> a & 1) != (side >> b & 1);
			else if (kind == 2) /* one hears nobody */
				s->cut[a][b] = b == one;
			else /* some pairs, one way */
				s->cut[a][b] = below(s, 3) == 0;
}

static void
pause_somebody(struct sim *s)
{
	if (below(s, 400) == 0) {
		s->servers[below(s, SERVER_COUNT(s))].paused_until = s->now + below(s, 400);
		totals.pauses++;
	}
}

static void
weather_change(struct sim *s)
{
	if (below(s, 1000) == 0) {
		s->loss = below(s, 4) * 60;
		s->duplicate = below(s, 3) * 80;
		s->delay_max = 2 + below(s, 40);
	}
}

/* From now on nothing goes wrong but what already has. */
static void
calm(struct sim *s)
{
	s->chaos = false;
	memset(s->cut, 0, sizeof s->cut);
	s->loss = s->duplicate = 0;
	s->delay_max = 5;
}

/* ---- invariants ---- */

/* Does i lead since its last turn? Nobody else may have led its term: also not itself before a restart, it can not be elected twice. */
static bool
leader_is_new(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];
	uint64_t term = raft_term(v->raft);

	if (raft_role(v->raft) != RAFT_LEADER || term == v->led_term)
		return false;
	v->led_term = term;
	totals.elections++;
	if (term >= ENTRIES_MAX)
		failed(s, "term %" PRIu64, term);
	if (s->leader_of[term] != 0)
		failed(s, "election safety: servers %u and %u lead term %" PRIu64, s->leader_of[term] - 1, i, term);
	s->leader_of[term] = i + 1;
	return true;
}

/* A leader has all that was committed before its term; one of an older term than the one that committed may be late, and learn of it. */
static void
check_complete(const struct sim *s, unsigned i)
{
	const struct server *v = &s->servers[i];
	const struct terms *log = raft_log(v->raft);
	uint64_t term = raft_term(v->raft);

	for (uint64_t index = log->base_index + 1; index <= s->committed_last && s->committed_in[index] < term; index++)
		if (index > log->last || v->log[index].term != s->committed[index].term ||
		    v->log[index].value != s->committed[index].value)
			failed(s,
			    "leader completeness: server %u leads term %" PRIu64 " without committed entry %" PRIu64, i,
			    term, index);
}

/* Whoever may read, by lease or by round, sees all that was acknowledged before. */
static void
check_reads(struct sim *s, unsigned i)
{
	struct server *v = &s->servers[i];

	if (raft_lease_until(v->raft) > clock_of(s, v)) {
		totals.lease_reads++;
		if (v->delivered < s->acked)
			failed(s,
			    "linearizable reads: server %u reads entry %" PRIu64 " under its lease, %" PRIu64
			    " was acknowledged",
			    i, v->delivered, s->acked);
	}
	if (raft_term(v->raft) != v->read_term || raft_role(v->raft) != RAFT_LEADER)
		v->read_round = 0;
	if (v->read_round != 0 && raft_round(v->raft) >= v->read_round) {
		totals.round_reads++;
		if (v->read_index < v->read_needed)
			failed(s,
			    "linearizable reads: server %u reads entry %" PRIu64 " after a round, %" PRIu64
			    " was acknowledged before it",
			    i, v->read_index, v->read_needed);
		v->read_round = 0;
	}
	if (v->read_round == 0 && below(s, 20) == 0) {
		v->read_round = raft_read_begin(v->raft, &v->read_index);
		v->read_needed = s->acked;
		v->read_term = raft_term(v->raft);
	}
}

#endif

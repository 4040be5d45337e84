/*
 * operator.c - who changes the membership of a simulated cluster: adds, promotes, demotes, removes, and replaces what is damaged
 *
 * A server that is removed is emptied when that is committed, and gets a new identity before it may come back. Nobody is removed or
 * demoted without need while a log is damaged: the others must be a majority with whole logs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"

#define OPERATOR_US (25 * MS)
#define PROMOTE_LAG 20 /* entries */

struct server *
leader_find(struct sim *s)
{
	struct server *leader = NULL;

	for (unsigned i = 0; i < s->count; i++) {
		struct server *v = &s->servers[i];

		if (v->raftd.alive && v->raftd.paused_until <= s->now && raft_role(v->raftd.raft) == RAFT_LEADER &&
		    (leader == NULL || raft_term(v->raftd.raft) > raft_term(leader->raftd.raft)))
			leader = v;
	}
	return leader;
}

static const struct raft_member *
member_of(const struct raft_configuration *c, struct raft_id id)
{
	for (size_t i = 0; i < c->count; i++)
		if (raft_id_equal(c->members[i].id, id))
			return &c->members[i];
	return NULL;
}

static size_t
voters_of(const struct raft_configuration *c)
{
	size_t count = 0;

	for (size_t i = 0; i < c->count; i++)
		count += c->members[i].voter;
	return count;
}

/* It leads for sure, and knows the latest configuration: what it says of the cluster can be relied on. */
static bool
is_certain(const struct sim *s, const struct server *leader)
{
	return leader != NULL && raft_lease_until(leader->raftd.raft) > clock_of(s, leader);
}

/* The configuration with the member of this ID as it is to be; neither: removed. */
static struct raft_configuration
changed(const struct raft_configuration *c, struct raft_id id, bool member, bool voter)
{
	struct raft_configuration out = {.count = 0};

	for (size_t i = 0; i < c->count; i++)
		if (!raft_id_equal(c->members[i].id, id))
			out.members[out.count++] = c->members[i];
	if (member)
		out.members[out.count++] = (struct raft_member){id, voter};
	return out;
}

static bool
propose(struct sim *s, struct server *leader, const struct raft_configuration *c)
{
	struct configuration content = {.count = c->count};
	struct raft *raft = leader->raftd.raft;
	struct buf data = BUF_INIT(64 * 1024);
	enum raft_change why;
	uint64_t index;

	if (raft_log(raft)->last + 64 > ENTRIES_MAX || leader->raftd.no_space)
		return false;
	raft_time(raft, clock_of(s, leader));
	index = raft_propose_configuration(raft, c, &why);
	trace(s, leader, "configuration %" PRIu64 " proposed: %d", index, why);
	if (index == 0)
		return false;
	for (size_t i = 0; i < c->count; i++) {
		content.members[i].id = c->members[i].id;
		content.members[i].voter = c->members[i].voter;
		snprintf(content.members[i].address, MEMBER_ADDRESS_MAX, "server:%u",
		    (unsigned)(c->members[i].id.low & 0xff));
	}
	configuration_encode(&content, &data);
	raftd_entry_keep(s, leader, index, raft_term(raft), WAL_CONFIGURATION, buf_bytes(&data));
	buf_free(&data);
	raftd_turn(s, leader);
	return true;
}

/* An empty machine, that nobody knows. */
static void
server_empty(struct sim *s, struct server *v)
{
	trace(s, v, "emptied, comes back as another one");
	raftd_die(s, v);
	catalogd_die(s, v);
	store_lose(v);
	disk_free(&v->disk);
	disk_init(&v->disk);
	v->disk.random = below(s, UINT64_MAX);
	image_free(&v->durable);
	image_free(&v->written);
	v->written_in_flight = false;
	s->totals.replaced += v->damaged;
	v->damaged = v->refused = v->removed = v->torn = false;
	v->incarnation++;
	v->started = false;
	v->boot++;
	event_put(s, s->now + below(s, 100 * MS), EVENT_RAFTD_START, v->number, v->raftd.life, 0, NULL);
	event_put(s, s->now + below(s, 100 * MS), EVENT_CATALOGD_START, v->number, v->catalogd.life, 0, NULL);
}

static bool
some_damaged(const struct sim *s)
{
	for (unsigned i = 0; i < s->count; i++)
		if (s->servers[i].damaged)
			return true;
	return false;
}

/* What is damaged goes; what is out of the committed configuration is emptied. */
static bool
repair(struct sim *s, struct server *leader)
{
	const struct raft_configuration *latest = raft_configuration(leader->raftd.raft);
	bool pending = latest->index > raft_commit(leader->raftd.raft);

	for (unsigned i = 0; i < s->count; i++) {
		struct server *v = &s->servers[i];
		bool member = member_of(latest, id_of(s, i)) != NULL;

		if (v->refused && member) {
			struct raft_configuration c = changed(latest, id_of(s, i), false, false);

			return voters_of(&c) > 0 && propose(s, leader, &c);
		}
		if (member && !pending)
			v->removed = false; /* that entry was lost */
		if (!member && !pending && (v->refused || (v->removed && below(s, 8) == 0)))
			server_empty(s, v);
	}
	return false;
}

static void
member_change(struct sim *s, struct server *leader, struct server *v)
{
	const struct raft_configuration *latest = raft_configuration(leader->raftd.raft);
	const struct raft_member *m = member_of(latest, id_of(s, v->number));
	struct raft_id id = id_of(s, v->number);
	struct raft_configuration c;
	struct raft_progress progress;
	bool needed = voters_of(latest) <= s->voters_min || some_damaged(s);

	if (v->damaged || v->removed)
		return;
	if (m == NULL) {
		c = changed(latest, id, true, false);
		s->totals.members_added += propose(s, leader, &c);
	} else if (!m->voter) {
		bool near = raft_progress(leader->raftd.raft, id, &progress) &&
			    progress.match + PROMOTE_LAG >= raft_log(leader->raftd.raft)->last;

		c = changed(latest, id, near, near);
		if (near)
			s->totals.members_promoted += propose(s, leader, &c);
		else if (chance(s, 50) && propose(s, leader, &c)) {
			v->removed = true;
			s->totals.members_removed++;
		}
	} else if (!needed && chance(s, s->change_every)) {
		bool stays = below(s, 2) == 0;

		c = changed(latest, id, stays, false);
		if (!propose(s, leader, &c))
			return;
		s->totals.members_demoted += stays;
		s->totals.members_removed += !stays;
		v->removed = !stays;
	}
}

void
operator_turn(struct sim *s)
{
	struct server *leader = leader_find(s);

	event_put(s, s->now + OPERATOR_US, EVENT_OPERATOR, 0, 0, 0, NULL);
	if (!is_certain(s, leader) || (s->chaos && !s->changing))
		return;
	if (!repair(s, leader) && leader->raftd.alive)
		member_change(s, leader, &s->servers[below(s, s->count)]);
}

bool
is_voter(struct sim *s, const struct server *v)
{
	const struct server *leader = leader_find(s);

	return leader != NULL && raft_is_voter(leader->raftd.raft, id_of(s, v->number));
}

bool
may_be_damaged(struct sim *s, const struct server *v)
{
	const struct server *leader = leader_find(s);
	const struct raft_configuration *latest;
	size_t damaged = 0;

	if (!is_certain(s, leader) || v->damaged || v->removed)
		return false;
	latest = raft_configuration(leader->raftd.raft);
	if (latest->index > raft_commit(leader->raftd.raft) || raft_stable(leader->raftd.raft) < latest->index)
		return false;
	for (unsigned i = 0; i < s->count; i++)
		damaged += s->servers[i].damaged;
	return member_of(latest, id_of(s, v->number)) != NULL && member_of(latest, id_of(s, v->number))->voter &&
	       damaged < (voters_of(latest) - 1) / 2;
}

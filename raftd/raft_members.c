/*
 * raft_members.c - configurations, and who counts by them (contract: raft.h, raft_internal.h; callers: the core's other parts)
 *
 * The list holds the configurations of the log from the newest committed one on; all but its last are committed whether this server
 * knows it or not, so that one step back is all that a cut of the log can ask for.
 */
#include "raft_internal.h"

#include <stdlib.h>

#include "log.h"
#include "mem.h"

static const struct raft_configuration *
latest(const struct raft *r)
{
	return &r->configurations[r->configuration_count - 1];
}

const struct raft_configuration *
raft_configuration(const struct raft *r)
{
	return latest(r);
}

const struct raft_configuration *
raft_configuration_committed(const struct raft *r)
{
	return &r->configurations[0];
}

static const struct raft_member *
member_in(const struct raft_configuration *c, struct raft_id id)
{
	for (size_t i = 0; i < c->count; i++)
		if (raft_id_equal(c->members[i].id, id))
			return &c->members[i];
	return NULL;
}

static bool
votes_in(const struct raft_configuration *c, struct raft_id id)
{
	const struct raft_member *m = member_in(c, id);

	return m != NULL && m->voter;
}

/* The same, in the same life. */
static bool
votes_likewise(const struct raft_configuration *c, const struct raft_member *voter)
{
	const struct raft_member *m = member_in(c, voter->id);

	return m != NULL && m->voter && m->life == voter->life;
}

/* A server of this life may use the vote that was given to that one. */
static bool
life_is(uint64_t life, uint64_t due)
{
	return life == 0 || life == due || PLANTED(BLANK_VOTES);
}

bool
members_blank(const struct raft *r, const struct progress *p)
{
	if (p == r->own)
		return p->voter && !life_is(r->life, p->due);
	return p->voter && p->heard && !life_is(p->life, p->due);
}

/* Each member once, somebody votes. */
static bool
is_sane(const struct raft_configuration *c)
{
	size_t voters = 0;

	if (c->count > RAFT_MEMBERS_MAX)
		return false;
	for (size_t i = 0; i < c->count; i++) {
		if (raft_id_is_none(c->members[i].id) || member_in(c, c->members[i].id) != &c->members[i])
			return false;
		voters += c->members[i].voter;
	}
	return voters > 0;
}

bool
members_sane(const struct raft_message *m)
{
	uint64_t before = m->index;

	for (uint32_t i = 0; i < m->configuration_count; i++) {
		const struct raft_configuration *c = &m->configurations[i];

		if (c->index <= before || c->index > m->index + m->entries || !is_sane(c))
			return false;
		before = c->index;
	}
	return true;
}

/* ---- the list ---- */

/* A full list forgets its first one, which is committed. */
static void
list_put(struct raft *r, const struct raft_configuration *c)
{
	if (r->configuration_count == RAFT_CONFIGURATIONS_MAX) {
		memmove(r->configurations, r->configurations + 1,
		    (RAFT_CONFIGURATIONS_MAX - 1) * sizeof *r->configurations);
		r->configuration_count--;
	}
	r->configurations[r->configuration_count++] = *c;
}

void
members_init(struct raft *r, const struct raft_configuration *configurations, size_t count)
{
	if (count == 0 || configurations[0].index > r->commit)
		list_put(r, &(struct raft_configuration){0});
	for (size_t i = 0; i < count; i++) {
		if (configurations[i].count > RAFT_MEMBERS_MAX || configurations[i].index > r->log.last ||
		    (i > 0 && configurations[i].index <= configurations[i - 1].index))
			panic("raft: impossible configurations");
		list_put(r, &configurations[i]);
	}
	members_trim(r);
	members_rebuild(r);
}

void
members_trim(struct raft *r)
{
	size_t old = 0;

	while (old + 1 < r->configuration_count && r->configurations[old + 1].index <= r->commit)
		old++;
	r->configuration_count -= old;
	memmove(r->configurations, r->configurations + old, r->configuration_count * sizeof *r->configurations);
}

void
members_take(struct raft *r, const struct raft_message *m, uint64_t first)
{
	uint64_t before = latest(r)->index;

	while (r->configuration_count > 1 && latest(r)->index >= first)
		r->configuration_count--;
	for (uint32_t i = 0; i < m->configuration_count; i++)
		if (m->configurations[i].index >= first)
			list_put(r, &m->configurations[i]);
	if (latest(r)->index != before || before >= first)
		members_rebuild(r);
}

void
members_install(struct raft *r, uint64_t index, const struct raft_configuration *configuration, bool tail_kept)
{
	struct raft_configuration tail[RAFT_CONFIGURATIONS_MAX];
	size_t count = 0;

	for (size_t i = 0; tail_kept && i < r->configuration_count; i++)
		if (r->configurations[i].index > index)
			tail[count++] = r->configurations[i];
	r->configuration_count = 0;
	list_put(r, configuration);
	for (size_t i = 0; i < count; i++)
		list_put(r, &tail[i]);
	members_rebuild(r);
}

/* ---- progress ---- */

/* Members of c that are not in to yet; what is known of them is taken along. */
static size_t
progress_take(struct raft *r, struct progress *to, size_t count, const struct raft_configuration *c, bool current)
{
	size_t had = count;

	for (size_t i = 0; i < c->count; i++) {
		struct progress *old = members_find(r, c->members[i].id);
		bool there = false;

		for (size_t k = 0; k < had; k++)
			there |= raft_id_equal(to[k].id, c->members[i].id);
		if (there)
			continue;
		to[count] = (struct progress){.id = c->members[i].id};
		if (old != NULL) {
			to[count] = *old;
			old->inflight = NULL;
		} else
			replicate_reset(r, &to[count]);
		to[count].due = c->members[i].life;
		to[count++].voter = current && c->members[i].voter;
	}
	return count;
}

void
members_rebuild(struct raft *r)
{
	const struct raft_configuration *c = PLANTED(CONFIGURATION_LATE) ? &r->configurations[0] : latest(r);
	bool told = r->role == RAFT_LEADER && r->configuration_count > 1; /* also those whom it removes */
	const struct raft_configuration *before = told ? c - (c != r->configurations) : c;
	struct progress *members = xcalloc(c->count + before->count + 1, sizeof *members);
	size_t count = progress_take(r, members, 0, c, true);
	bool alone = r->voter_count <= 1;

	count = progress_take(r, members, count, before, false);
	for (size_t i = 0; i < r->member_count; i++)
		free(r->members[i].inflight);
	free(r->members);
	r->members = members;
	r->member_count = count;
	r->values = xreallocarray(r->values, count + 1, sizeof *r->values);
	r->own = NULL;
	r->voter_count = 0;
	for (size_t i = 0; i < count; i++) {
		r->voter_count += members[i].voter;
		if (raft_id_equal(members[i].id, r->self))
			r->own = &members[i];
	}
	if (alone)
		r->ticked_at = r->now; /* the shell of a sole voter need not tick */
}

void
members_prune(struct raft *r)
{
	if (r->member_count > latest(r)->count && !members_pending(r))
		members_rebuild(r);
}

struct progress *
members_find(const struct raft *r, struct raft_id id)
{
	for (size_t i = 0; i < r->member_count; i++)
		if (raft_id_equal(r->members[i].id, id))
			return &r->members[i];
	return NULL;
}

static int
u64_descending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x > y ? -1 : x < y;
}

uint64_t
members_quorum(const struct raft *r, uint64_t (*value)(const struct raft *r, const struct progress *p))
{
	size_t count = 0;

	for (size_t i = 0; i < r->member_count; i++) {
		const struct progress *p = &r->members[i];

		if (p->voter || PLANTED(NON_VOTER_COUNTED) || (PLANTED(COUNTED_AFTER_REMOVAL) && p == r->own))
			r->values[count++] = members_blank(r, p) ? 0 : value(r, p);
	}
	if (r->voter_count == 0 || count <= r->voter_count / 2)
		return 0;
	qsort(r->values, count, sizeof *r->values, u64_descending);
	return r->values[r->voter_count / 2];
}

bool
members_alone(const struct raft *r)
{
	return r->voter_count == 1 && r->own != NULL && r->own->voter;
}

bool
members_pending(const struct raft *r)
{
	return latest(r)->index > r->commit;
}

bool
members_may_stand(const struct raft *r)
{
	if (r->own != NULL && r->own->voter)
		return !members_blank(r, r->own);
	/* the only one who has the entry that removes it may be the only one who can be elected (dissertation, figure 4.6) */
	return members_pending(r) && r->configuration_count > 1 && votes_in(latest(r) - 1, r->self) &&
	       life_is(r->life, member_in(latest(r) - 1, r->self)->life);
}

bool
members_removed(const struct raft *r)
{
	return r->role == RAFT_LEADER && !members_pending(r) && (r->own == NULL || !r->own->voter);
}

bool
raft_is_voter(const struct raft *r, struct raft_id id)
{
	return votes_in(latest(r), id);
}

size_t
raft_voter_count(const struct raft *r)
{
	return r->voter_count;
}

/* ---- changes ---- */

static size_t
voters_differ(const struct raft_configuration *a, const struct raft_configuration *b)
{
	size_t count = 0;

	for (size_t i = 0; i < a->count; i++)
		count += a->members[i].voter && !votes_likewise(b, &a->members[i]);
	for (size_t i = 0; i < b->count; i++)
		count += b->members[i].voter && !votes_likewise(a, &b->members[i]);
	return count;
}

static enum raft_change
change_judge(const struct raft *r, const struct raft_configuration *c)
{
	if (r->role != RAFT_LEADER || raft_transferring(r) || members_removed(r))
		return RAFT_CHANGE_NOT_LEADER;
	if (r->commit < r->term_first && !PLANTED(CHANGE_EARLY))
		return RAFT_CHANGE_NOT_READY;
	if (members_pending(r) && !PLANTED(CHANGES_TOGETHER))
		return RAFT_CHANGE_PENDING;
	if (c->count > RAFT_MEMBERS_MAX)
		return RAFT_CHANGE_FULL;
	return is_sane(c) && voters_differ(latest(r), c) <= 1 ? RAFT_CHANGE_OK : RAFT_CHANGE_TOO_MUCH;
}

uint64_t
raft_propose_configuration(struct raft *r, const struct raft_configuration *configuration, enum raft_change *why)
{
	struct raft_configuration c;

	*why = change_judge(r, configuration);
	if (*why != RAFT_CHANGE_OK)
		return 0;
	terms_append(&r->log, r->hard.term, 1);
	c = *configuration;
	c.index = r->log.last;
	list_put(r, &c);
	members_rebuild(r);
	r->append_wanted = true;
	return c.index;
}

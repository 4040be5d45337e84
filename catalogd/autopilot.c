/*
 * autopilot.c - health of servers, and what follows from it (contract: autopilot.h; callers: autopilot_run.c, tests)
 *
 * Three rules keep this from doing harm. Who answers the leader is not dead, whatever gossip says. A dead voter is removed only while the voters removed in one round are less than half of those there
 * were: who is left is a majority that can commit it. And a vote is given only to a server that has been healthy, thus has the
 * log, for a while: it can be counted on at once.
 */
#include "autopilot.h"

#include <stdio.h>
#include <string.h>

/* The reference's measure: before it has watched for so long, a leader does not hold it against servers that it has just met them. */
#define WATCHED_ENOUGH(stabilization_ns) ((stabilization_ns) + (stabilization_ns) / 10)

const char *
autopilot_status_name(enum member_status status)
{
	switch (status) {
	case MEMBER_ALIVE:
	case MEMBER_LEAVING:
		return "alive";
	case MEMBER_FAILED:
		return "failed";
	case MEMBER_LEFT:
		return "left";
	case MEMBER_NONE:
		break;
	}
	return "unknown";
}

const char *
autopilot_state_name(const struct autopilot_known *s)
{
	if (!s->peer)
		return "none";
	if (s->leader)
		return "leader";
	return s->voter ? "voter" : "non-voter";
}

void
autopilot_init(struct autopilot *a)
{
	memset(a, 0, sizeof *a);
}

/* ---- health ---- */

static const struct autopilot_known *
leader_of(const struct autopilot_input *in)
{
	for (size_t i = 0; i < in->count; i++)
		if (in->at[i].leader)
			return &in->at[i];
	return NULL;
}

/* It has answered the leader just now. */
static bool
answers(const struct autopilot_input *in, const struct autopilot_known *s)
{
	return s->contact_ns >= 0 && s->contact_ns <= MAX(in->settings.last_contact_ns, in->slack_ns);
}

static bool
is_healthy(const struct autopilot_input *in, const struct autopilot_known *s, const struct autopilot_known *leader)
{
	if (leader == NULL || (s->status != MEMBER_ALIVE && s->status != MEMBER_LEAVING) || s->blank)
		return false;
	if (!answers(in, s))
		return false;
	if (s->last_term != leader->last_term)
		return false;
	return s->last_index >= leader->last_index ||
	       leader->last_index - s->last_index <= in->settings.max_trailing_logs;
}

static const struct autopilot_health *
health_find(const struct autopilot *a, const char *id)
{
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->at[i].id, id) == 0)
			return &a->at[i];
	return NULL;
}

void
autopilot_look(struct autopilot *a, const struct autopilot_input *in)
{
	const struct autopilot_known *leader = leader_of(in);
	static struct autopilot next; /* some 12 KiB */
	int64_t voters = 0, healthy = 0;

	next = (struct autopilot){
	    .looked = true, .first_ns = a->looked ? a->first_ns : in->now_ns, .healthy = true, .count = in->count};
	for (size_t i = 0; i < in->count; i++) {
		const struct autopilot_known *s = &in->at[i];
		const struct autopilot_health *old = health_find(a, s->id);
		struct autopilot_health *h = &next.at[i];

		snprintf(h->id, sizeof h->id, "%s", s->id);
		h->healthy = is_healthy(in, s, leader);
		if (old != NULL && old->healthy == h->healthy) {
			h->since_ns = old->since_ns;
			h->since_wall_ns = old->since_wall_ns;
		} else {
			h->since_ns = in->now_ns;
			h->since_wall_ns = in->wall_ns;
		}
		/* who has left and is no part of the log any more concerns nobody */
		if (s->peer || s->status != MEMBER_LEFT)
			next.healthy = next.healthy && h->healthy;
		voters += s->peer && s->voter;
		healthy += s->peer && s->voter && h->healthy;
	}
	next.failure_tolerance = MAX(healthy - (voters / 2 + 1), 0);
	*a = next;
}

/* ---- steps ---- */

struct deciding {
	const struct autopilot *a;
	const struct autopilot_input *in;
	struct autopilot_step *steps;
	size_t count;
	uint64_t voters;  /* as they would be after the steps */
	uint64_t removed; /* voters that the steps of this round remove */
	uint64_t removed_max;
};

static void
step(struct deciding *d, enum autopilot_action action, size_t server, const char *why)
{
	d->steps[d->count++] = (struct autopilot_step){.action = action, .server = server, .why = why};
}

/* A dead voter may go. */
static bool
may_remove(struct deciding *d, size_t server)
{
	if (d->voters <= d->in->settings.min_quorum || d->voters <= 1) {
		step(d, AUTOPILOT_KEEP, server,
		    "will not remove server node as it would leave less voters than the minimum number allowed");
		return false;
	}
	if (d->removed >= d->removed_max) {
		step(d, AUTOPILOT_KEEP, server,
		    "will not remove server node as removal of a majority of servers is not safe");
		return false;
	}
	d->voters--;
	d->removed++;
	return true;
}

/* A voter that began anew with an empty log: its vote is void, and the cluster has one failure less to spare until it is taken. */
static bool
is_void(const struct autopilot_known *s)
{
	return s->voter && s->blank && (s->status == MEMBER_ALIVE || s->status == MEMBER_LEAVING);
}

static bool
is_stable(const struct deciding *d, const struct autopilot_known *s)
{
	const struct autopilot_input *in = d->in;
	const struct autopilot_health *h = health_find(d->a, s->id);
	bool watched = in->now_ns - d->a->first_ns >= WATCHED_ENOUGH(in->settings.stabilization_ns);

	return h != NULL && h->healthy && in->now_ns - h->since_ns >= (watched ? in->settings.stabilization_ns : 0);
}

static void
decide_votes(struct deciding *d)
{
	for (size_t i = 0; i < d->in->count; i++) {
		const struct autopilot_known *s = &d->in->at[i];

		if (!s->peer || s->leader)
			continue;
		if (is_void(s)) {
			step(d, AUTOPILOT_DEMOTE, i, "it has lost its log");
			d->voters--;
		} else if (!s->voter && !s->no_vote && is_stable(d, s)) {
			step(d, AUTOPILOT_PROMOTE, i, "it is stable");
			d->voters++;
		}
	}
}

/* The dead of the log's configuration, those without a vote first. */
static void
decide_cleanup(struct deciding *d)
{
	for (int voters = 0; voters < 2; voters++)
		for (size_t i = 0; i < d->in->count; i++) {
			const struct autopilot_known *s = &d->in->at[i];
			bool stale = s->status == MEMBER_NONE, failed = s->status == MEMBER_FAILED;

			if (!s->peer || s->leader || s->voter != (voters == 1) || (!stale && !failed))
				continue;
			if (answers(d->in, s)) {
				step(d, AUTOPILOT_KEEP, i, "will not remove server node as it answers");
				continue;
			}
			if (s->voter && !may_remove(d, i))
				continue;
			/* whom gossip does not know can not be told to leave */
			step(d, stale ? AUTOPILOT_REMOVE : AUTOPILOT_FORCE_LEAVE, i, stale ? "stale" : "failed");
		}
}

size_t
autopilot_decide(const struct autopilot *a, const struct autopilot_input *in, bool cleanup,
    struct autopilot_step steps[AUTOPILOT_STEPS_MAX])
{
	struct deciding d = {.a = a, .in = in, .steps = steps};

	if (!a->looked || leader_of(in) == NULL)
		return 0;
	for (size_t i = 0; i < in->count; i++)
		d.voters += in->at[i].peer && in->at[i].voter;
	d.removed_max = d.voters == 0 ? 0 : (d.voters - 1) / 2;
	decide_votes(&d);
	if (cleanup && in->settings.cleanup_dead_servers)
		decide_cleanup(&d);
	return d.count;
}

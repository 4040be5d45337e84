/*
 * node_lead.c - whether this server is fit to lead: somebody must be there who judges and applies entries (contract: node.h; callers: serve.c, node.c)
 *
 * A leader whose catalogd is gone, or has not answered for an election's time, hands leadership on to the voter that is furthest; if that did
 * not help within as long again, it steps back. The only voter stays: nobody else could do better, and so it asks nobody.
 */
#include "log.h"
#include "node_internal.h"

#define PING_TICKS (ELECTION_TICKS / 2)

static bool
is_fit(const struct node *n)
{
	return n->served && (raft_voter_count(n->raft) <= 1 || n->silent_ticks < ELECTION_TICKS);
}

static void
fitness_tell(struct node *n)
{
	raft_set_campaign(n->raft, is_fit(n));
	if (is_fit(n))
		raft_stalled(n->raft, false);
}

void
node_set_served(struct node *n, bool served)
{
	n->served = served;
	n->silent_ticks = 0;
	node_time(n);
	fitness_tell(n);
	/* nobody else could answer: no time to lose */
	if (served && raft_voter_count(n->raft) == 1)
		raft_campaign(n->raft);
}

void
node_answered(struct node *n)
{
	if (!n->served)
		return; /* it lives, but does not apply */
	n->silent_ticks = 0;
	fitness_tell(n);
}

struct raft_id
node_successor(const struct node *n)
{
	const struct raft_configuration *c = raft_configuration(n->raft);
	struct raft_progress p, best = {0};
	struct raft_id id = {0};

	for (size_t i = 0; i < c->count; i++)
		if (!raft_id_equal(c->members[i].id, n->self) && raft_progress(n->raft, c->members[i].id, &p) &&
		    p.voter && !p.blank && p.heard_ticks < ELECTION_TICKS && p.match >= best.match) {
			best = p;
			id = c->members[i].id;
		}
	return id;
}

static void
hand_on(struct node *n)
{
	struct raft_id to = node_successor(n);
	char text[UUID_TEXT_SIZE];

	if (!raft_transfer(n->raft, to))
		return;
	log_warnx(MODULE, "catalogd does not answer, handing leadership on: to=%s address=%s", raft_id_format(to, text),
	    node_address_of(n, to));
}

void
node_lead_tick(struct node *n)
{
	if (raft_voter_count(n->raft) <= 1)
		return;
	n->silent_ticks += n->silent_ticks < 2 * ELECTION_TICKS;
	fitness_tell(n);
	if (n->ping_ticks++ % PING_TICKS == 0)
		n->ops->ping(n->ctx);
	if (raft_role(n->raft) != RAFT_LEADER)
		return;
	if (n->silent_ticks == ELECTION_TICKS)
		hand_on(n);
	else if (n->silent_ticks == 2 * ELECTION_TICKS) {
		log_warnx(MODULE, "catalogd does not answer, stepping back");
		raft_stalled(n->raft, true);
	}
}

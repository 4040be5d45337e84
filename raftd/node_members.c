/*
 * node_members.c - who belongs to the cluster: its beginning, changes, handing leadership on (contract: node.h; caller: serve_members.c)
 *
 * A change is one entry that differs from the latest configuration by one member. As long as it may not be made yet the caller asks again: that keeps
 * the order of requests in one place.
 *
 * The first entry of a cluster is the same on each server that begins with it: members in the order of their IDs, and a tag made of
 * these and their lives. So servers that were told the same list have the same log, and those that were told different ones refuse each other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "node_internal.h"
#include "sha256.h"

/* Returns -1. */
static int PRINTF_LIKE(2, 3) refused(char error[NODE_ERROR_MAX], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(error, NODE_ERROR_MAX, fmt, args);
	va_end(args);
	return -1;
}

/* ---- the beginning ---- */

static int
member_compare(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->id.high != y->id.high)
		return x->id.high < y->id.high ? -1 : 1;
	return x->id.low < y->id.low ? -1 : x->id.low > y->id.low;
}

static struct raft_id
cluster_of(const struct configuration *c)
{
	struct buf text = BUF_INIT(RAFT_MEMBERS_MAX * 24);
	uint8_t digest[SHA256_BYTES];

	for (size_t i = 0; i < c->count; i++) {
		buf_put_be64(&text, c->members[i].id.high);
		buf_put_be64(&text, c->members[i].id.low);
		buf_put_be64(&text, c->members[i].life);
	}
	sha256(buf_bytes(&text), digest);
	buf_free(&text);
	return raft_id_from_bytes(digest);
}

static int
voters_check(const struct node *n, const struct configuration *c, char error[NODE_ERROR_MAX])
{
	char id[UUID_TEXT_SIZE];

	if (c->count == 0 || configuration_find(c, n->self) == NULL)
		return refused(error, "this server (%s) is not among those that are to begin the cluster", n->id_text);
	for (size_t i = 0; i < c->count; i++)
		if (configuration_find(c, c->members[i].id) != &c->members[i])
			return refused(error, "server %s is named twice", raft_id_format(c->members[i].id, id));
	return 0;
}

/* All vote. Where the others' lives are known they have their votes by these, and so has this server. */
static void
lives_set(const struct node *n, struct configuration *c)
{
	bool known = false;

	for (size_t i = 0; i < c->count; i++)
		known |= c->members[i].life != 0 && !raft_id_equal(c->members[i].id, n->self);
	for (size_t i = 0; i < c->count; i++) {
		c->members[i].voter = true;
		if (raft_id_equal(c->members[i].id, n->self))
			c->members[i].life = known ? n->life : 0;
	}
}

int
node_bootstrap(struct node *n, const struct configuration *voters, char error[NODE_ERROR_MAX])
{
	struct configuration first = *voters;

	if (node_last_index(n) > 0 || raft_configuration(n->raft)->count > 0 || snapshots_count(n->snapshots) > 0)
		return refused(error, "bootstrap only works on new clusters");
	/* it has promised something to a cluster that is there */
	if (raft_term(n->raft) > 0 || n->install != INSTALL_NONE)
		return refused(error, "bootstrap only works on new clusters: another server has been heard of");
	if (voters_check(n, &first, error) == -1)
		return -1;
	if (wal_needs_sync(n->wal) || (n->syncer != NULL && syncer_busy(n->syncer)))
		return refused(error, "the log is being written, try again");
	qsort(first.members, first.count, sizeof *first.members, member_compare);
	lives_set(n, &first);
	first.cluster = cluster_of(&first);
	if (node_bootstrap_write(n, &first) == -1) {
		if (!node_is_space_error(errno))
			node_disk_failed(n, "write");
		return refused(error, "failed to bootstrap: %s", strerror(errno));
	}
	raft_free(n->raft);
	tail_free(n->tail);
	n->configuration_count = 0;
	node_configuration_put(n, 1, &first);
	node_raft_start(n);
	node_peers_update(n);
	node_set_served(n, n->served);
	log_info(MODULE, "bootstrapped: servers=%zu", first.count);
	return 0;
}

/* ---- changes ---- */

const char *
node_change_name(enum node_change change)
{
	static const char *const names[] = {"AddVoter", "AddNonvoter", "Promote", "DemoteVoter", "RemoveServer"};

	return names[change];
}

/* A vote is given to a life, and stays with it. */
static void
vote_give(struct member *m, uint64_t life)
{
	if (!m->voter)
		m->life = life;
	m->voter = true;
}

/* Member is to get a vote, and has not said yet who it is. */
static bool
is_unheard(const struct node *n, enum node_change change, struct member *member)
{
	const struct member *m = configuration_find(node_configuration(n), member->id);
	struct raft_progress p;

	if ((change != NODE_PROMOTE && change != NODE_ADD_VOTER) || m == NULL || m->voter)
		return false;
	if (!raft_progress(n->raft, member->id, &p) || !p.heard)
		return true;
	member->life = p.life;
	return false;
}

/* What the configuration would be. *same: no other than it is. -1: it can not be, error says why. */
static int
change_make(const struct node *n, enum node_change change, const struct member *member, struct configuration *c,
    bool *same, char error[NODE_ERROR_MAX])
{
	char id[UUID_TEXT_SIZE];
	size_t i = 0;

	raft_id_format(member->id, id);
	while (i < c->count && !raft_id_equal(c->members[i].id, member->id))
		i++;
	*same = false;
	switch (change) {
	case NODE_ADD_VOTER:
	case NODE_ADD_NONVOTER:
		if (change == NODE_ADD_VOTER && i == c->count)
			return refused(error, "server %s is to be added without a vote first", id);
		if (member->address[0] == '\0')
			return refused(error, "server %s has no address", id);
		for (size_t k = 0; k < c->count; k++)
			if (k != i && strcmp(c->members[k].address, member->address) == 0)
				return refused(error, "address %s is that of another server", member->address);
		if (i == c->count) {
			if (c->count == RAFT_MEMBERS_MAX)
				return refused(error, "there are %d servers already", RAFT_MEMBERS_MAX);
			c->members[c->count++] = *member;
			c->members[i].voter = false;
			c->members[i].life = 0;
			return 0;
		}
		/* a voter stays one: taking its vote is another request */
		*same = strcmp(c->members[i].address, member->address) == 0 &&
			(c->members[i].voter || change == NODE_ADD_NONVOTER);
		memcpy(c->members[i].address, member->address, sizeof c->members[i].address);
		if (change == NODE_ADD_VOTER)
			vote_give(&c->members[i], member->life);
		return 0;
	case NODE_PROMOTE:
	case NODE_DEMOTE:
		if (i == c->count)
			return refused(error, "server %s is not a member of the cluster", id);
		*same = c->members[i].voter == (change == NODE_PROMOTE);
		if (change == NODE_PROMOTE)
			vote_give(&c->members[i], member->life);
		else {
			c->members[i].voter = false;
			c->members[i].life = 0;
		}
		return 0;
	case NODE_REMOVE:
		*same = i == c->count;
		if (i < c->count)
			memmove(&c->members[i], &c->members[i + 1], (--c->count - i) * sizeof *c->members);
		return 0;
	}
	(void)n;
	panic("node: change %d", (int)change);
}

static void
change_log(const struct node *n, enum node_change change, const struct member *member, const struct configuration *c)
{
	struct buf text = BUF_INIT(64 * 1024);
	char id[UUID_TEXT_SIZE];

	(void)n;
	configuration_print(c, &text);
	buf_put_u8(&text, '\0');
	log_info(MODULE, "updating configuration: command=%s server-id=%s server-addr=%s servers=\"%s\"",
	    node_change_name(change), raft_id_format(member->id, id), member->address,
	    text.overflow ? "..." : (const char *)text.data);
	buf_free(&text);
}

enum node_changing
node_configuration_propose(struct node *n, const struct configuration *c, uint64_t *index, char error[NODE_ERROR_MAX])
{
	struct raft_configuration members;
	struct buf data = BUF_INIT(64 * 1024);
	enum raft_change why;

	configuration_encode(c, &data);
	if (data.overflow)
		panic("node: a configuration of %zu members does not fit", c->count);
	if (n->no_space || wal_reserve(n->wal, 1, n->pending_bytes + data.used) == -1) {
		buf_free(&data);
		(void)refused(error, "no space left on device");
		return NODE_CHANGE_REFUSED;
	}
	configuration_members(c, 0, &members);
	*index = raft_propose_configuration(n->raft, &members, &why);
	if (*index != 0) {
		tail_put(n->tail, *index, raft_term(n->raft), WAL_CONFIGURATION, buf_bytes(&data));
		n->pending_bytes += data.used;
		node_configuration_put(n, *index, c);
		node_peers_update(n);
	}
	buf_free(&data);
	switch (why) {
	case RAFT_CHANGE_OK:
		return NODE_CHANGE_DONE;
	case RAFT_CHANGE_NOT_READY:
	case RAFT_CHANGE_PENDING:
		return NODE_CHANGE_WAIT;
	case RAFT_CHANGE_NOT_LEADER:
		(void)refused(error, "not leader");
		break;
	case RAFT_CHANGE_TOO_MUCH:
		(void)refused(error, "that would leave no voter");
		break;
	case RAFT_CHANGE_FULL:
		(void)refused(error, "there are %d servers already", RAFT_MEMBERS_MAX);
		break;
	}
	return NODE_CHANGE_REFUSED;
}

/* Where they are now, whatever the log says: an address that was given up may be another server's. true: the log says something else. */
static bool
addresses_refresh(const struct node *n, struct configuration *c)
{
	bool changed = false;

	for (size_t i = 0; i < c->count; i++) {
		const char *address = node_address_of(n, c->members[i].id);

		changed |= strcmp(c->members[i].address, address) != 0;
		snprintf(c->members[i].address, sizeof c->members[i].address, "%s", address);
	}
	return changed;
}

enum node_changing
node_change(
    struct node *n, enum node_change change, const struct member *member, uint64_t *index, char error[NODE_ERROR_MAX])
{
	struct configuration c = *node_configuration(n);
	struct member whom = *member;
	enum node_changing result;
	bool same, alone, moved;

	*index = 0;
	if (raft_role(n->raft) != RAFT_LEADER || raft_transferring(n->raft)) {
		(void)refused(error, "not leader");
		return NODE_CHANGE_REFUSED;
	}
	(void)refused(error, "another change of the configuration is not committed yet");
	if (node_configuration_index(n) > raft_commit(n->raft))
		return NODE_CHANGE_WAIT;
	moved = addresses_refresh(n, &c);
	if (is_unheard(n, change, &whom)) {
		(void)refused(error, "the server has not been heard of yet");
		return NODE_CHANGE_WAIT;
	}
	if (change_make(n, change, &whom, &c, &same, error) == -1)
		return NODE_CHANGE_REFUSED;
	if (same && !moved)
		return NODE_CHANGE_DONE;
	/* the only voter's lease has no end: before there is another one nobody may read under it */
	alone = raft_voter_count(n->raft) == 1;
	n->lease_hidden = alone;
	if (alone && (!n->served || !n->ops->lease_is_free(n->ctx)))
		return NODE_CHANGE_WAIT;
	if (raft_id_is_none(c.cluster)) /* of a log from before there were tags */
		c.cluster = raft_id_from_bytes(wal_id(n->wal));
	result = node_configuration_propose(n, &c, index, error);
	if (result != NODE_CHANGE_WAIT)
		n->lease_hidden = false;
	if (result == NODE_CHANGE_DONE)
		change_log(n, change, member, &c);
	return result;
}

void
node_change_end(struct node *n)
{
	n->lease_hidden = false;
}

/* ---- leadership ---- */

int
node_transfer(struct node *n, struct raft_id to, char error[NODE_ERROR_MAX])
{
	char id[UUID_TEXT_SIZE];

	if (raft_role(n->raft) != RAFT_LEADER)
		return refused(error, "not leader");
	if (raft_transferring(n->raft))
		return refused(error, "leadership transfer is already under way");
	if (raft_id_is_none(to))
		to = node_successor(n);
	if (raft_id_is_none(to))
		return refused(error, "cannot find peer");
	if (!raft_is_voter(n->raft, to))
		return refused(error, "server %s is not a voter", raft_id_format(to, id));
	if (raft_id_equal(to, n->self))
		return refused(error, "server %s leads already", raft_id_format(to, id));
	if (!raft_transfer(n->raft, to))
		return refused(error, "leadership can not be handed to server %s now", raft_id_format(to, id));
	log_info(
	    MODULE, "starting leadership transfer: id=%s address=%s", raft_id_format(to, id), node_address_of(n, to));
	return 0;
}

bool
node_transferring(const struct node *n)
{
	return raft_transferring(n->raft);
}

/* ---- what the callers wait for ---- */

uint64_t
node_commit(const struct node *n)
{
	return raft_commit(n->raft);
}

uint64_t
node_term_at(const struct node *n, uint64_t index)
{
	return terms_at(raft_log(n->raft), index);
}

uint64_t
node_configuration_committed_index(const struct node *n)
{
	const struct node_configuration *c = node_configuration_at(n, raft_commit(n->raft));

	return c == NULL ? 0 : c->index;
}

uint64_t
node_read_begin(struct node *n, uint64_t *index)
{
	node_time(n);
	return raft_read_begin(n->raft, index);
}

uint64_t
node_round(const struct node *n)
{
	return raft_round(n->raft);
}

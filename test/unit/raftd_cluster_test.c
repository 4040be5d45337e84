/*
 * raftd_cluster_test.c - several servers' shells over real connections in one loop: membership, hand-over, conflicts, snapshots
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"
#include "mem.h"
#include "mp.h"
#include "net.h"
#include "node.h"
#include "node_internal.h"
#include "transport.h"

#define SERVERS 3
#define BIG_BYTES (512u * 1024)

struct server {
	unsigned number;
	struct raft_id id;
	struct node *node;
	struct conf *conf;
	int listener;
	struct ev_io accept;
	union net_addr addr;
	char address[NET_ADDR_TEXT_MAX];
	bool lease_believed; /* somebody reads under a lease that it had */
};

static struct ev_loop *loop;
static struct server servers[SERVERS];

/* ---- the servers ---- */

static void
on_nothing(void *ctx)
{
	(void)ctx;
}

/* Whoever applies lives. */
static void
on_ping(void *ctx)
{
	struct server *s = ctx;

	if (s->node != NULL)
		node_answered(s->node);
}

static bool
on_lease_is_free(void *ctx)
{
	const struct server *s = ctx;

	return !s->lease_believed;
}

static const struct node_ops ops = {
    .turned = on_nothing, .snapshot_wanted = on_nothing, .ping = on_ping, .lease_is_free = on_lease_is_free};

struct first_byte {
	struct ev_io io;
	struct server *server;
};

static void
on_first_byte(struct ev_loop *l, struct ev_io *w, int events)
{
	struct first_byte *f = (struct first_byte *)w;
	uint8_t first;

	(void)events;
	ev_io_stop(l, w);
	if (f->server->node != NULL && recv(w->fd, &first, 1, 0) == 1)
		node_accept(f->server->node, w->fd, "test");
	else
		close(w->fd);
	free(f);
}

static void
on_accept(struct ev_loop *l, struct ev_io *w, int events)
{
	struct first_byte *f = xcalloc(1, sizeof *f);

	(void)events;
	f->server = w->data;
	ev_io_init(&f->io, on_first_byte, accept(w->fd, NULL, NULL), EV_READ);
	ev_io_start(l, &f->io);
}

static void
server_open(struct server *s, const char *dir)
{
	char error[CONF_ERROR_MAX], path[64], id[UUID_TEXT_SIZE], host[NET_ADDR_TEXT_MAX];
	FILE *f;

	snprintf(path, sizeof path, "%s-%u", dir, s->number);
	(void)mkdir(path, 0700);
	snprintf(path, sizeof path, "%s-%u.conf", dir, s->number);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f,
	    "node_id = \"%s\";\nadvertise_addr = \"%s\";\nports = { server = %u; };\nraft_trailing_logs = 0;\n"
	    "performance = { raft_multiplier = 3; };\nconsuld = { raft_dir = \"%s-%u\"; };\n",
	    raft_id_format(s->id, id), net_addr_text(&s->addr, host), net_addr_port(&s->addr), dir, s->number);
	fclose(f);
	s->conf = conf_load(path, error);
	if (s->conf == NULL)
		fail_msg("%s", error);
	s->node = node_open(loop, s->conf, &ops, s);
	assert_non_null(s->node);
	node_set_served(s->node, true);
}

static void
server_close(struct server *s)
{
	if (s->node == NULL)
		return;
	node_stop(s->node);
	node_free(s->node);
	conf_free(s->conf);
	s->node = NULL;
}

/* Addresses are those of the whole test: each server keeps its own. */
static void
open_all(const char *dir, unsigned count)
{
	for (unsigned i = 0; i < SERVERS; i++)
		servers[i].lease_believed = false;
	for (unsigned i = 0; i < count; i++)
		server_open(&servers[i], dir);
}

static void
close_all(void)
{
	for (unsigned i = 0; i < SERVERS; i++)
		server_close(&servers[i]);
}

static void
ports_open(void)
{
	for (unsigned i = 0; i < SERVERS; i++) {
		struct server *s = &servers[i];
		socklen_t size = sizeof s->addr;

		s->number = i;
		s->id = (struct raft_id){i + 1, i + 1};
		assert_int_equal(net_addr_parse("127.33.0.2", 0, &s->addr), 0);
		s->listener = net_listen_tcp(&s->addr, 16, 0);
		assert_int_not_equal(s->listener, -1);
		assert_int_equal(getsockname(s->listener, &s->addr.sa, &size), 0);
		net_addr_text_port(&s->addr, s->address);
		ev_io_init(&s->accept, on_accept, s->listener, EV_READ);
		s->accept.data = s;
		ev_io_start(loop, &s->accept);
	}
}

/* ---- asking them ---- */

static void
on_guard(struct ev_loop *l, struct ev_timer *w, int events)
{
	(void)l, (void)w, (void)events;
	fail_msg("nothing more happens");
}

/* Turns the loop until the condition holds; a minute without it is a failure. */
#define UNTIL(condition)                                                                                               \
	do {                                                                                                           \
		struct ev_timer guard;                                                                                 \
		ev_now_update(loop);                                                                                   \
		ev_timer_init(&guard, on_guard, 60., 0.);                                                              \
		ev_timer_start(loop, &guard);                                                                          \
		while (!(condition))                                                                                   \
			ev_run(loop, EVRUN_ONCE);                                                                      \
		ev_timer_stop(loop, &guard);                                                                           \
	} while (0)

static bool
leads(const struct server *s)
{
	return s->node != NULL && node_status(s->node).role == RAFT_LEADER &&
	       node_commit(s->node) >= node_last_index(s->node);
}

/* One of these that leads and has committed an entry of its own; waits for it. */
static struct server *
leader_of(struct server *a, struct server *b)
{
	UNTIL(leads(a) || leads(b));
	return leads(a) ? a : b;
}

static struct member
member_of(const struct server *s)
{
	struct member m = {.id = s->id};

	memcpy(m.address, s->address, sizeof s->address);
	return m;
}

static struct configuration
list_of(unsigned a, unsigned b, unsigned c)
{
	return (struct configuration){
	    .count = 3, .members = {member_of(&servers[a]), member_of(&servers[b]), member_of(&servers[c])}};
}

static uint64_t
propose(struct server *s, struct bytes data)
{
	uint64_t index = 0;

	assert_int_equal(node_propose(s->node, node_status(s->node).term, &data, 1, &index), NODE_ACCEPTED);
	return index;
}

/* The text of entry index as it is handed out; "": another kind. */
static char *
entry_at(struct server *s, uint64_t index)
{
	static char text[64];
	struct buf out = BUF_INIT(4 * 1024 * 1024);
	struct mp m;

	assert_true(node_entries_put(s->node, index, 2 * 1024 * 1024, &out) >= 1);
	m = mp_of(buf_bytes(&out));
	assert_int_equal(mp_array(&m), 4);
	assert_int_equal(mp_uint(&m), index);
	(void)mp_uint(&m);
	text[0] = '\0';
	if (mp_uint(&m) == WAL_DATA && bytes_to_str(mp_str(&m), text, sizeof text) == -1)
		text[0] = '\0';
	buf_free(&out);
	return text;
}

static void
change(struct server *leader, enum node_change what, struct server *whom)
{
	const struct member m = member_of(whom);
	char error[NODE_ERROR_MAX] = "";
	enum node_changing result = NODE_CHANGE_WAIT;
	uint64_t index;

	UNTIL((result = node_change(leader->node, what, &m, &index, error)) != NODE_CHANGE_WAIT);
	if (result != NODE_CHANGE_DONE)
		fail_msg("%s: %s", node_change_name(what), error);
	UNTIL(node_commit(leader->node) >= index);
}

/* Nobody says anything to server s, nor does it to anybody. */
static void
cut_off(struct server *s, bool off)
{
	struct member all[SERVERS];

	for (unsigned i = 0; i < SERVERS; i++) {
		if (servers[i].node == NULL)
			continue;
		for (unsigned k = 0; k < SERVERS; k++) {
			all[k] = member_of(&servers[k]);
			if (off && (&servers[i] == s || &servers[k] == s))
				all[k].address[0] = '\0';
		}
		node_addresses_tell(servers[i].node, all, SERVERS);
	}
}

/* ---- tests ---- */

/* The same list in any order begins the same cluster; another list another one, and a log that is there is not begun again. */
static void
test_bootstrap(void **state)
{
	struct configuration list = list_of(2, 0, 1), foreign = list_of(0, 1, 1);
	char error[NODE_ERROR_MAX];
	struct server *leader;
	uint64_t index;

	(void)state;
	open_all("begun", SERVERS);
	assert_int_equal(node_bootstrap(servers[0].node, &foreign, error), -1);
	assert_non_null(strstr(error, "named twice"));
	foreign.count = 2;
	assert_int_equal(node_bootstrap(servers[2].node, &foreign, error), -1);
	assert_non_null(strstr(error, "not among those"));
	for (unsigned i = 0; i < SERVERS; i++) {
		list = list_of(i, (i + 1) % 3, (i + 2) % 3);
		assert_int_equal(node_bootstrap(servers[i].node, &list, error), 0);
		assert_true(raft_id_equal(
		    node_configuration(servers[i].node)->cluster, node_configuration(servers[0].node)->cluster));
	}
	assert_int_equal(node_bootstrap(servers[1].node, &list, error), -1);
	assert_non_null(strstr(error, "only works on new clusters"));
	UNTIL(leads(&servers[0]) || leads(&servers[1]) || leads(&servers[2]));
	leader = leads(&servers[0]) ? &servers[0] : leader_of(&servers[1], &servers[2]);
	index = propose(leader, bytes_str("first"));
	for (unsigned i = 0; i < SERVERS; i++) {
		UNTIL(node_deliverable(servers[i].node) >= index);
		assert_string_equal(entry_at(&servers[i], index), "first");
		assert_true(raft_id_equal(node_status(servers[i].node).leader, leader->id));
		assert_string_equal(node_address_of(servers[i].node, leader->id), leader->address);
	}
	close_all();
}

/* The only voter's lease has no end: another voter is added when nobody believes in it any more. And a follower that is told to stand waits, too. */
static void
test_leases_first(void **state)
{
	struct server *a = &servers[0], *b = &servers[1];
	struct configuration alone = {.count = 1, .members = {member_of(a)}};
	const struct member other = member_of(b);
	char error[NODE_ERROR_MAX];
	uint64_t index, term;
	struct bytes data = bytes_str("x");

	(void)state;
	open_all("leases", 2);
	assert_int_equal(node_bootstrap(a->node, &alone, error), 0);
	UNTIL(leads(a));
	assert_true(node_status(a->node).lease_until == UINT64_MAX);
	assert_int_equal(node_change(a->node, NODE_ADD_VOTER, &other, &index, error), NODE_CHANGE_REFUSED);
	assert_non_null(strstr(error, "without a vote first"));
	change(a, NODE_ADD_NONVOTER, b);
	UNTIL(node_last_index(b->node) == node_last_index(a->node));
	assert_true(node_status(a->node).lease_until == UINT64_MAX);
	a->lease_believed = true;
	assert_int_equal(node_change(a->node, NODE_ADD_VOTER, &other, &index, error), NODE_CHANGE_WAIT);
	assert_true(node_status(a->node).lease_until == 0);
	assert_false(node_configuration(a->node)->members[1].voter);
	/* nobody asks for it any more */
	node_change_end(a->node);
	assert_true(node_status(a->node).lease_until == UINT64_MAX);
	a->lease_believed = false;
	change(a, NODE_ADD_VOTER, b);
	assert_true(node_configuration(a->node)->members[1].voter);
	assert_true(node_status(a->node).lease_until != UINT64_MAX);
	/* handing over: as long as the lease is believed in, the other one is not told */
	a->lease_believed = true;
	term = node_status(a->node).term;
	assert_int_equal(node_transfer(a->node, b->id, error), 0);
	assert_int_equal(node_propose(a->node, term, &data, 1, &index), NODE_NOT_LEADER);
	UNTIL(!node_transferring(a->node)); /* it has not come about in time */
	assert_int_equal(node_status(a->node).role, RAFT_LEADER);
	assert_int_equal(node_status(a->node).term, term);
	a->lease_believed = false;
	assert_int_equal(node_transfer(a->node, b->id, error), 0);
	UNTIL(leads(b));
	close_all();
}

struct offer {
	struct ev_check check;
	struct server *leader;
	unsigned accepted, refused;
};

/* Behind the messages of this turn, and before what the leader makes of them. */
static void
on_offer(struct ev_loop *l, struct ev_check *w, int events)
{
	struct offer *o = w->data;
	struct bytes data = bytes_str("offered");
	uint64_t index = 0;

	(void)l, (void)events;
	if (node_status(o->leader->node).role != RAFT_LEADER)
		return;
	if (node_propose(o->leader->node, node_status(o->leader->node).term, &data, 1, &index) != NODE_ACCEPTED) {
		o->refused++;
		return;
	}
	assert_int_equal(index, node_last_index(o->leader->node));
	o->accepted++;
}

/* A leader that is not a member any more takes nothing, also in the turn in which it hears that this is so. */
static void
test_removed_leader(void **state)
{
	struct configuration list = list_of(0, 1, 2);
	struct offer offer = {.accepted = 0};
	char error[NODE_ERROR_MAX];
	struct server *leader;

	(void)state;
	open_all("removed", SERVERS);
	for (unsigned i = 0; i < SERVERS; i++)
		assert_int_equal(node_bootstrap(servers[i].node, &list, error), 0);
	UNTIL(leads(&servers[0]) || leads(&servers[1]) || leads(&servers[2]));
	leader = leads(&servers[0]) ? &servers[0] : leader_of(&servers[1], &servers[2]);
	offer.leader = leader;
	ev_check_init(&offer.check, on_offer);
	ev_set_priority(&offer.check, EV_MINPRI);
	offer.check.data = &offer;
	ev_check_start(loop, &offer.check);
	change(leader, NODE_REMOVE, leader);
	UNTIL(node_status(leader->node).role != RAFT_LEADER);
	ev_check_stop(loop, &offer.check);
	assert_true(offer.accepted > 0 && offer.refused > 0);
	UNTIL((leader != &servers[0] && leads(&servers[0])) || (leader != &servers[1] && leads(&servers[1])) ||
	      (leader != &servers[2] && leads(&servers[2])));
	close_all();
}

/* What a leader that was cut off took, and nobody else has, gives way to what the others committed; so does a configuration. */
static void
test_conflict(void **state)
{
	struct configuration list = list_of(0, 1, 2);
	const struct member third = member_of(&servers[2]);
	struct server *old = &servers[0], *new, *other;
	char error[NODE_ERROR_MAX], id[UUID_TEXT_SIZE];
	uint64_t index, lost, at;

	(void)state;
	open_all("conflict", SERVERS);
	for (unsigned i = 0; i < SERVERS; i++)
		assert_int_equal(node_bootstrap(servers[i].node, &list, error), 0);
	UNTIL(leads(&servers[0]) || leads(&servers[1]) || leads(&servers[2]));
	for (unsigned i = 0; i < SERVERS; i++)
		if (leads(&servers[i]))
			old = &servers[i];
	new = &servers[(old->number + 1) % 3];
	other = &servers[(old->number + 2) % 3];
	index = propose(old, bytes_str("common"));
	UNTIL(node_deliverable(new->node) >= index && node_deliverable(other->node) >= index);
	cut_off(old, true);
	lost = propose(old, bytes_str("lost"));
	assert_int_equal(node_change(old->node, NODE_REMOVE, &third, &at, error), NODE_CHANGE_DONE);
	assert_int_equal(at, lost + 1);
	assert_int_equal(node_configuration(old->node)->count, 2);
	new = leader_of(new, other);
	assert_true(node_last_index(new->node) >= index);
	at = propose(new, bytes_str("kept"));
	UNTIL(node_commit(new->node) >= at);
	/* the old one hears from nobody and has stepped back */
	UNTIL(node_status(old->node).role != RAFT_LEADER);
	assert_true(node_deliverable(old->node) < lost);
	cut_off(old, false);
	UNTIL(node_deliverable(old->node) >= at);
	assert_string_equal(entry_at(old, index), "common");
	assert_string_equal(entry_at(old, at), "kept");
	assert_int_equal(node_configuration(old->node)->count, 3);
	assert_int_equal(raft_configuration(old->node->raft)->count, 3);
	assert_non_null(raft_id_format(node_status(old->node).leader, id));
	close_all();
}

/* A new member gets what the log has not any more as a snapshot, and goes on from there, also after a restart. */
static void
test_snapshot(void **state)
{
	struct server *a = &servers[0], *b = &servers[1];
	struct configuration alone = {.count = 1, .members = {member_of(a)}};
	uint8_t *big = xcalloc(1, BIG_BYTES), *state_read = xmalloc(BIG_BYTES);
	char error[NODE_ERROR_MAX];
	uint64_t index = 0;
	FILE *f = tmpfile();

	(void)state;
	memset(big, 's', BIG_BYTES);
	open_all("snapshot", 2);
	assert_int_equal(node_bootstrap(a->node, &alone, error), 0);
	UNTIL(leads(a));
	/* more than two segments of the log */
	for (unsigned i = 0; i < 80; i++) {
		index = propose(a, bytes_of(big, BIG_BYTES));
		UNTIL(node_deliverable(a->node) >= index);
	}
	assert_int_equal(fwrite(big, 1, BIG_BYTES, f), BIG_BYTES);
	fflush(f);
	node_snapshot_take(a->node, dup(fileno(f)), index, node_status(a->node).term);
	fclose(f);
	UNTIL(!snapshots_busy(node_snapshots(a->node)));
	assert_true(node_first_index(a->node) > 2);
	change(a, NODE_ADD_NONVOTER, b);
	UNTIL(node_first_index(b->node) == index + 1);
	assert_int_equal(snapshots_count(node_snapshots(b->node)), 1);
	assert_int_equal(snapshots_at(node_snapshots(b->node), 0)->index, index);
	assert_int_equal(snapshots_read(node_snapshots(b->node), 0, 0, state_read, BIG_BYTES), 0);
	assert_memory_equal(state_read, big, BIG_BYTES);
	index = propose(a, bytes_str("behind it"));
	UNTIL(node_deliverable(b->node) >= index);
	assert_string_equal(entry_at(b, index), "behind it");
	assert_int_equal(node_configuration(b->node)->count, 2);
	/* it becomes a voter: the leader can not go on without it then */
	change(a, NODE_PROMOTE, b);
	server_close(b);
	index = propose(a, bytes_str("alone"));
	server_open(b, "snapshot");
	assert_int_equal(node_configuration(b->node)->count, 2);
	UNTIL(node_deliverable(b->node) >= index);
	assert_string_equal(entry_at(b, index), "alone");
	close_all();
	free(big);
	free(state_read);
}

static bool
is_blank(const struct server *leader, const struct server *s)
{
	struct raft_progress p;

	return node_progress(leader->node, s->id, &p) && p.blank;
}

/*
 * A voter that comes back with the same ID and no log gets the log, but counts for nothing: neither does it help to commit, nor to elect. It
 * counts again when its vote was taken and given to what it is now.
 */
static void
test_lost_log(void **state)
{
	struct configuration list = list_of(0, 1, 2);
	struct server *leader, *lost, *third;
	char error[NODE_ERROR_MAX];
	uint64_t index;

	(void)state;
	open_all("loses", SERVERS);
	for (unsigned i = 0; i < SERVERS; i++)
		assert_int_equal(node_bootstrap(servers[i].node, &list, error), 0);
	UNTIL(leads(&servers[0]) || leads(&servers[1]) || leads(&servers[2]));
	leader = leads(&servers[0]) ? &servers[0] : leader_of(&servers[1], &servers[2]);
	lost = &servers[(leader->number + 1) % 3];
	third = &servers[(leader->number + 2) % 3];
	index = propose(leader, bytes_str("kept"));
	UNTIL(node_deliverable(lost->node) >= index && node_deliverable(third->node) >= index);
	assert_true(node_life(lost->node) == 0);
	server_close(lost);
	server_open(lost, "lost"); /* another directory, an empty one */
	assert_true(node_life(lost->node) != 0);
	UNTIL(is_blank(leader, lost));
	UNTIL(node_deliverable(lost->node) >= index);
	/* two of three that are there are no majority if one of them counts for nothing */
	cut_off(third, true);
	index = propose(leader, bytes_str("by two"));
	UNTIL(node_status(leader->node).role != RAFT_LEADER);
	assert_true(node_last_index(leader->node) == index && node_commit(leader->node) < index);
	assert_true(raft_id_is_none(node_status(lost->node).leader) ||
		    raft_id_equal(node_status(lost->node).leader, leader->id));
	cut_off(third, false);
	leader = leader_of(leader, third);
	third = &servers[3 - leader->number - lost->number];
	/* it may vote again */
	UNTIL(is_blank(leader, lost));
	assert_int_equal(node_transfer(leader->node, lost->id, error), -1);
	change(leader, NODE_DEMOTE, lost);
	change(leader, NODE_PROMOTE, lost);
	UNTIL(node_configuration(lost->node)->members[lost->number].voter);
	assert_true(node_configuration(lost->node)->members[lost->number].life == node_life(lost->node));
	assert_false(is_blank(leader, lost));
	cut_off(third, true);
	index = propose(leader, bytes_str("by two"));
	UNTIL(node_commit(leader->node) >= index);
	/* a restart is no loss */
	server_close(lost);
	server_open(lost, "lost");
	UNTIL(node_deliverable(lost->node) >= index && leads(leader));
	assert_false(is_blank(leader, lost));
	close_all();
}

/* With the lives of the others it is enough that one is told; one that has begun anew since does not get the vote of the one that was asked. */
static void
test_bootstrap_by_lives(void **state)
{
	struct configuration list = list_of(0, 1, 2);
	char error[NODE_ERROR_MAX];
	struct server *leader;

	(void)state;
	open_all("lives", SERVERS);
	for (unsigned i = 1; i < SERVERS; i++)
		list.members[i].life = node_life(servers[i].node);
	/* a start is no loss, though there is nothing in the log yet; another log is */
	server_close(&servers[1]);
	server_open(&servers[1], "lives");
	assert_true(node_life(servers[1].node) == list.members[1].life);
	server_close(&servers[2]);
	server_open(&servers[2], "others");
	assert_true(node_life(servers[2].node) != 0 && node_life(servers[2].node) != list.members[2].life);
	assert_int_equal(node_bootstrap(servers[0].node, &list, error), 0);
	assert_true(node_life(servers[0].node) != 0);
	leader = leader_of(&servers[0], &servers[1]);
	UNTIL(is_blank(leader, &servers[2]));
	assert_false(is_blank(leader, &servers[1 - leader->number]));
	close_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bootstrap),
	    cmocka_unit_test(test_leases_first),
	    cmocka_unit_test(test_removed_leader),
	    cmocka_unit_test(test_lost_log),
	    cmocka_unit_test(test_bootstrap_by_lives),
	    cmocka_unit_test(test_conflict),
	    cmocka_unit_test(test_snapshot),
	};
	int failed;

	log_init("raftd", LOG_ERROR_LEVEL);
	loop = ev_loop_new(EVFLAG_AUTO);
	ports_open();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (unsigned i = 0; i < SERVERS; i++) {
		ev_io_stop(loop, &servers[i].accept);
		close(servers[i].listener);
	}
	ev_loop_destroy(loop);
	return failed;
}

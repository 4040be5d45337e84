/*
 * raftd_node_test.c - the shell: a lone server becomes leader, delivers what it made durable, finds it again, and refuses what is damaged
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "duration.h"
#include "log.h"
#include "mem.h"
#include "mp.h"
#include "node.h"
#include "node_internal.h"

#define NODE_ID "1af4f5e4-133f-4575-4d02-1134b66e8ad1"

static struct ev_loop *loop;
static unsigned turns, snapshots_wanted, pings;

static void
on_turned(void *ctx)
{
	(void)ctx;
	turns++;
}

static void
on_snapshot_wanted(void *ctx)
{
	(void)ctx;
	snapshots_wanted++;
}

static void
on_ping(void *ctx)
{
	(void)ctx;
	pings++;
}

static bool lease_free = true;

static bool
on_lease_is_free(void *ctx)
{
	(void)ctx;
	return lease_free;
}

static const struct node_ops ops = {
    .turned = on_turned, .snapshot_wanted = on_snapshot_wanted, .ping = on_ping, .lease_is_free = on_lease_is_free};

/* A configuration for the data directory dir, which is made. */
static struct conf *
configure(const char *dir, const char *extra)
{
	char error[CONF_ERROR_MAX], path[64];
	struct conf *c;
	FILE *f;

	(void)mkdir(dir, 0700);
	snprintf(path, sizeof path, "%s.conf", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f,
	    "node_id = \"" NODE_ID "\";\nadvertise_addr = \"127.0.0.1\";\nports = { server = 8300; };\nconsuld = { "
	    "raft_dir = \"%s\"; dev = %s; };\n%s\n",
	    dir, strstr(extra, "/* dev */") != NULL ? "true" : "false",
	    strstr(extra, "/* dev */") != NULL ? "" : extra);
	fclose(f);
	c = conf_load(path, error);
	if (c == NULL)
		fail_msg("%s", error);
	return c;
}

static void
until_leader(struct node *n)
{
	ev_run(loop, EVRUN_NOWAIT); /* without syncs that is all it takes */
	while (node_status(n).role != RAFT_LEADER || node_deliverable(n) < node_last_index(n))
		ev_run(loop, EVRUN_ONCE);
}

static void
until_delivered(struct node *n, uint64_t index)
{
	ev_run(loop, EVRUN_NOWAIT);
	while (node_deliverable(n) < index)
		ev_run(loop, EVRUN_ONCE);
}

static void
end(struct node *n, struct conf *c)
{
	node_stop(n);
	node_free(n);
	conf_free(c);
}

static uint64_t
propose(struct node *n, const char *text)
{
	struct bytes data = bytes_str(text);
	uint64_t index = 0;

	assert_int_equal(node_propose(n, node_status(n).term, &data, 1, &index), NODE_ACCEPTED);
	return index;
}

/* Entry index as Raft.Pull hands it out. */
static void
expect_entry(struct node *n, uint64_t index, unsigned type, const char *text)
{
	struct buf out = BUF_INIT(1024 * 1024);
	struct mp m;
	int count = node_entries_put(n, index, 100000, &out);

	assert_true(count >= 1);
	m = mp_of(buf_bytes(&out));
	assert_int_equal(mp_array(&m), 4);
	assert_int_equal(mp_uint(&m), index);
	assert_true(mp_uint(&m) >= 1);
	assert_int_equal(mp_uint(&m), type);
	if (text != NULL)
		assert_true(bytes_is(mp_str(&m), text));
	buf_free(&out);
}

static void
test_life(void **state)
{
	struct conf *c = configure("life", "bootstrap_expect = 1;");
	struct node *n = node_open(loop, c, &ops, NULL);
	struct bytes data = bytes_str("x");
	uint64_t index, last;
	char log_id[UUID_TEXT_SIZE];

	(void)state;
	assert_non_null(n);
	/* nobody is there to apply: no election */
	for (int i = 0; i < 10; i++)
		ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(node_status(n).role, RAFT_FOLLOWER);
	assert_true(node_status(n).lease_until == 0);
	assert_int_equal(node_propose(n, 1, &data, 1, &index), NODE_NOT_LEADER);
	assert_int_equal(node_configuration(n)->count, 1);
	assert_int_equal(node_configuration_index(n), 1);
	node_set_served(n, true);
	until_leader(n);
	/* alone: it needs no clock, and no tick wakes an idle server */
	assert_true(node_status(n).lease_until == UINT64_MAX);
	assert_false(ev_is_active(&n->tick));
	assert_string_equal(node_address_of(n, node_status(n).leader), "127.0.0.1:8300");
	assert_int_equal(node_propose(n, node_status(n).term - 1, &data, 1, &index), NODE_TERM_CHANGED);
	index = propose(n, "first");
	assert_int_equal(index, 3); /* behind configuration and no-op */
	assert_true(node_deliverable(n) < index);
	last = propose(n, "second");
	until_delivered(n, last);
	expect_entry(n, 1, WAL_CONFIGURATION, NULL);
	expect_entry(n, 2, WAL_NOOP, "");
	expect_entry(n, 3, WAL_DATA, "first");
	expect_entry(n, 4, WAL_DATA, "second");
	snprintf(log_id, sizeof log_id, "%s", node_log_id(n));
	end(n, c);
	/* the same log, read from disk; its entries are committed again by an entry of the new term */
	c = configure("life", "bootstrap_expect = 1;");
	n = node_open(loop, c, &ops, NULL);
	assert_non_null(n);
	assert_string_equal(node_log_id(n), log_id);
	assert_int_equal(node_last_index(n), 4);
	node_set_served(n, true);
	until_leader(n);
	assert_int_equal(node_last_index(n), 5);
	expect_entry(n, 3, WAL_DATA, "first");
	expect_entry(n, 4, WAL_DATA, "second");
	expect_entry(n, 5, WAL_NOOP, "");
	end(n, c);
}

static void
test_development(void **state)
{
	struct conf *c = configure("dev", "/* dev */");
	struct node *n = node_open(loop, c, &ops, NULL);
	uint64_t last = 0;

	(void)state;
	assert_non_null(n);
	node_set_served(n, true);
	until_leader(n);
	for (int i = 0; i < 2000; i++)
		last = propose(n, "some entry that takes a little room in the log of a server in development mode");
	until_delivered(n, last);
	expect_entry(n, 3, WAL_DATA, NULL);
	expect_entry(n, last, WAL_DATA, NULL);
	end(n, c);
}

/* Neither a log nor the order to begin one. */
static void
test_no_bootstrap(void **state)
{
	struct conf *c = configure("nobody", "bootstrap_expect = 3;");
	struct node *n = node_open(loop, c, &ops, NULL);

	(void)state;
	assert_non_null(n);
	node_set_served(n, true);
	for (int i = 0; i < 20; i++)
		ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(node_status(n).role, RAFT_FOLLOWER);
	assert_true(raft_id_is_none(node_status(n).leader));
	assert_int_equal(node_configuration(n)->count, 0);
	assert_int_equal(node_last_index(n), 0);
	end(n, c);
}

static void
make_log(const char *dir)
{
	struct conf *c = configure(dir, "bootstrap = true;");
	struct node *n = node_open(loop, c, &ops, NULL);

	node_set_served(n, true);
	until_leader(n);
	until_delivered(n, propose(n, "kept"));
	end(n, c);
}

static void
test_damaged(void **state)
{
	struct conf *c;
	uint8_t byte = 0x55;
	int fd;

	(void)state;
	make_log("damaged");
	fd = open("damaged/log/0000000001.log", O_RDWR);
	assert_int_equal(pwrite(fd, &byte, 1, 2 * 4096 + 100), 1);
	close(fd);
	c = configure("damaged", "bootstrap = true;");
	assert_null(node_open(loop, c, &ops, NULL));
	conf_free(c);
}

static void
snapshot_put(const char *dir, unsigned index)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "%s/snapshots/2-%u-1", dir, index);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/snapshots/2-%u-1/meta.json", dir, index);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f,
	    "{\"Version\":1,\"ID\":\"2-%u-1\",\"Index\":%u,\"Term\":2,\"Configuration\":{\"Servers\":[]},"
	    "\"ConfigurationIndex\":1,"
	    "\"Size\":0,\"CRC\":\"00000000\",\"LogID\":\"\",\"TimeMS\":1}",
	    index, index);
	fclose(f);
}

/* A snapshot says that there was a log: a new one is not made in its place. */
static void
test_lost_log(void **state)
{
	struct conf *c;

	(void)state;
	make_log("lost");
	snapshot_put("lost", 3);
	assert_int_equal(unlink("lost/log/0000000001.log"), 0);
	c = configure("lost", "bootstrap = true;");
	assert_null(node_open(loop, c, &ops, NULL));
	conf_free(c);
	/* one of entries that the log has not: acknowledged writes are missing */
	make_log("behind");
	snapshot_put("behind", 9);
	c = configure("behind", "bootstrap = true;");
	assert_null(node_open(loop, c, &ops, NULL));
	conf_free(c);
}

static void
test_snapshot_is_wanted(void **state)
{
	struct conf *c = configure("wanted",
	    "bootstrap = true; raft_snapshot_threshold = 50; raft_snapshot_interval = \"1s\"; raft_trailing_logs = 0;");
	struct node *n = node_open(loop, c, &ops, NULL);
	uint64_t last = 0;
	FILE *f = tmpfile();

	(void)state;
	node_set_served(n, true);
	until_leader(n);
	for (int i = 0; i < 100; i++)
		last = propose(n, "entry");
	until_delivered(n, last);
	while (snapshots_wanted == 0)
		ev_run(loop, EVRUN_ONCE);
	/* not of this log: refused; the next one is taken */
	node_snapshot_take(n, dup(fileno(f)), last + 10, 2);
	assert_int_equal(snapshots_count(node_snapshots(n)), 0);
	fputs("state", f);
	fflush(f);
	node_snapshot_take(n, dup(fileno(f)), last, node_status(n).term);
	fclose(f);
	while (snapshots_busy(node_snapshots(n)))
		ev_run(loop, EVRUN_ONCE);
	assert_int_equal(snapshots_count(node_snapshots(n)), 1);
	assert_int_equal(snapshots_at(node_snapshots(n), 0)->index, last);
	assert_int_equal(snapshots_at(node_snapshots(n), 0)->configuration.count, 1);
	end(n, c);
}

/* A few entries that took long to apply would take as long again: they are due for a snapshot, below any threshold. */
static void
test_long_replay(void **state)
{
	struct conf *c = configure("replay", "bootstrap = true; raft_snapshot_interval = \"1h\";");
	struct node *n = node_open(loop, c, &ops, NULL);
	unsigned wanted = snapshots_wanted, before = pings;

	(void)state;
	node_set_served(n, true);
	until_leader(n);
	until_delivered(n, propose(n, "entry"));
	/* what it took before we knew is not the log's; then 4 s, and 2 more in another life */
	node_applied(n, 100 * (uint64_t)NS_PER_S);
	node_applied(n, 104 * (uint64_t)NS_PER_S);
	while (pings == before)
		ev_run(loop, EVRUN_ONCE);
	assert_int_equal(snapshots_wanted, wanted);
	node_applied(n, 2 * (uint64_t)NS_PER_S);
	until_delivered(n, propose(n, "entry"));
	while (snapshots_wanted == wanted)
		ev_run(loop, EVRUN_ONCE);
	end(n, c);
}

/* ---- several servers ---- */

static const struct raft_id self = {UINT64_C(0x1af4f5e4133f4575), UINT64_C(0x4d021134b66e8ad1)};

/* Entry 1: three voters; 2: data; 3: the third one is none; and data up to `last`. */
static void
make_cluster_log(const char *dir, uint64_t last)
{
	static const uint8_t nobody[WAL_ID_BYTES];
	struct configuration three = {.count = 3,
	    .members = {
		{self, "127.0.0.9:8300", true}, {{0, 2}, "127.0.0.2:8300", true}, {{0, 3}, "127.0.0.3:8300", true}}};
	struct buf first = BUF_INIT(4096), third = BUF_INIT(4096);
	char path[64], error[WAL_ERROR_MAX];
	struct wal *w;
	int fd;

	configuration_encode(&three, &first);
	three.members[2].voter = false;
	configuration_encode(&three, &third);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof path, "%s/log", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	w = wal_open(&(struct wal_options){.io = wal_io_directory(&fd), .path = path, .segment_bytes = 1024 * 1024},
	    true, error);
	assert_non_null(w);
	wal_batch_begin(w, 1, nobody);
	for (uint64_t index = 1; index <= last; index++)
		wal_batch_entry(w, index, 1, index == 1 || index == 3 ? WAL_CONFIGURATION : WAL_DATA,
		    index == 1   ? buf_bytes(&first)
		    : index == 3 ? buf_bytes(&third)
				 : bytes_str("data"));
	assert_int_equal(wal_batch_write(w), 0);
	assert_int_equal(wal_sync(w), 0);
	wal_close(w);
	close(fd);
	buf_free(&first);
	buf_free(&third);
}

/* The core knows the latest configuration and the one before it; the address is our present one. */
static void
test_configurations(void **state)
{
	struct conf *c;
	struct node *n;

	(void)state;
	make_cluster_log("cluster", 5);
	c = configure("cluster", "");
	n = node_open(loop, c, &ops, NULL);
	assert_non_null(n);
	assert_int_equal(node_configuration_index(n), 3);
	assert_int_equal(node_configuration(n)->count, 3);
	assert_false(node_configuration(n)->members[2].voter);
	assert_string_equal(node_configuration(n)->members[0].address, "127.0.0.1:8300");
	assert_int_equal(raft_configuration(n->raft)->index, 3);
	assert_int_equal(raft_voter_count(n->raft), 2);
	assert_int_equal(node_configuration_at(n, 2)->index, 1);
	assert_true(node_configuration_at(n, 2)->content.members[2].voter);
	assert_null(node_configuration_at(n, 0));
	end(n, c);
}

/* A snapshot that came from another server, and a log that ends before it: the configuration is the snapshot's. */
static void
test_configuration_of_a_snapshot(void **state)
{
	struct conf *c;
	struct node *n;
	FILE *f;

	(void)state;
	make_cluster_log("received", 2);
	assert_int_equal(mkdir("received/snapshots", 0700), 0);
	assert_int_equal(mkdir("received/snapshots/2-9-1", 0700), 0);
	f = fopen("received/snapshots/2-9-1/state.bin", "w");
	fclose(f);
	f = fopen("received/snapshots/2-9-1/meta.json", "w");
	fprintf(f,
	    "{\"Version\":1,\"ID\":\"2-9-1\",\"Index\":9,\"Term\":2,\"Configuration\":{\"Servers\":["
	    "{\"Suffrage\":0,\"ID\":\"" NODE_ID "\",\"Address\":\"127.0.0.9:1\"},"
	    "{\"Suffrage\":1,\"ID\":\"00000000-0000-0000-0000-000000000002\",\"Address\":\"127.0.0.2:8300\"}]},"
	    "\"ConfigurationIndex\":7,\"Size\":0,\"CRC\":\"00000000\",\"LogID\":\"\",\"TimeMS\":1,\"Received\":true}");
	fclose(f);
	c = configure("received", "");
	n = node_open(loop, c, &ops, NULL);
	assert_non_null(n);
	assert_int_equal(node_first_index(n), 10);
	assert_int_equal(node_configuration_index(n), 7);
	assert_int_equal(node_configuration(n)->count, 2);
	assert_string_equal(node_configuration(n)->members[0].address, "127.0.0.1:8300");
	assert_int_equal(raft_voter_count(n->raft), 1);
	assert_true(raft_is_voter(n->raft, self));
	/* a sole voter that may have promised something waits that out, and then leads */
	node_set_served(n, true);
	assert_int_equal(node_status(n).role, RAFT_FOLLOWER);
	until_leader(n);
	end(n, c);
}

static void
settle(struct node *n)
{
	do
		ev_run(loop, EVRUN_NOWAIT);
	while (syncer_busy(n->syncer));
}

/* Another voter agrees to all. */
static void
agree(struct node *n)
{
	struct raft_message m = {.type = raft_role(n->raft) == RAFT_CANDIDATE ? RAFT_VOTE_REPLY : RAFT_APPEND_REPLY,
	    .from = {0, 2},
	    .to = self,
	    .term = raft_term(n->raft),
	    .index = raft_log(n->raft)->last};
	struct raft_accepted accepted;

	if (raft_role(n->raft) != RAFT_FOLLOWER)
		raft_step(n->raft, &m, &accepted);
	settle(n);
}

static void
tick(struct node *n)
{
	ev_invoke(loop, &n->tick, EV_TIMER);
	agree(n);
}

/* Leadership is handed on when catalogd is silent, and given up where nobody takes it. */
static void
test_silent(void **state)
{
	struct conf *c;
	struct node *n;

	(void)state;
	make_cluster_log("silent", 3);
	c = configure("silent", "");
	n = node_open(loop, c, &ops, NULL);
	assert_non_null(n);
	/* time goes by hand; what it may have promised before is over */
	n->tick.repeat = 1000;
	raft_time(n->raft, (uint64_t)boottime_now().ns + 3600 * (uint64_t)NS_PER_S);
	node_set_served(n, true);
	raft_campaign(n->raft);
	assert_int_equal(raft_role(n->raft), RAFT_CANDIDATE);
	agree(n); /* its own vote is saved after that */
	assert_int_equal(raft_role(n->raft), RAFT_LEADER);
	/* as long as it answers, nothing happens */
	pings = 0;
	for (unsigned i = 0; i < 10 * ELECTION_TICKS; i++) {
		node_answered(n);
		tick(n);
	}
	assert_int_equal(pings, 20);
	assert_int_equal(raft_role(n->raft), RAFT_LEADER);
	node_answered(n);
	for (unsigned i = 0; i < ELECTION_TICKS; i++) {
		assert_false(raft_transferring(n->raft));
		tick(n);
	}
	assert_true(raft_transferring(n->raft));
	/* the lease is given up before the next one is told to stand */
	assert_true(node_status(n).lease_until == 0);
	for (unsigned i = 0; i < ELECTION_TICKS; i++) {
		assert_int_equal(raft_role(n->raft), RAFT_LEADER);
		tick(n);
	}
	assert_int_equal(raft_role(n->raft), RAFT_FOLLOWER);
	/* nor does it stand again, before catalogd answers and follows */
	raft_campaign(n->raft);
	assert_int_equal(raft_role(n->raft), RAFT_FOLLOWER);
	node_set_served(n, false);
	node_answered(n);
	raft_campaign(n->raft);
	assert_int_equal(raft_role(n->raft), RAFT_FOLLOWER);
	node_set_served(n, true);
	raft_campaign(n->raft);
	assert_int_equal(raft_role(n->raft), RAFT_CANDIDATE);
	end(n, c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_life),
	    cmocka_unit_test(test_development),
	    cmocka_unit_test(test_no_bootstrap),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_lost_log),
	    cmocka_unit_test(test_snapshot_is_wanted),
	    cmocka_unit_test(test_long_replay),
	    cmocka_unit_test(test_configurations),
	    cmocka_unit_test(test_configuration_of_a_snapshot),
	    cmocka_unit_test(test_silent),
	};
	int failed;

	log_init("raftd", LOG_ERROR_LEVEL);
	loop = ev_default_loop(0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	ev_loop_destroy(loop);
	return failed;
}

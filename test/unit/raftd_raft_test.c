/*
 * raftd_raft_test.c - Raft's scenarios as text scripts with their traces (test/unit/raft/ *.trace), and runs of terms
 *
 * A script is blocks of commands, "----", and what they must print, ended by an empty line. With RAFT_TRACE_REWRITE=1 the files are written anew
 * with what was printed: review the difference. Commands (N: a node's number):
 *
 *	new N [election [heartbeat [inflight [lease]]]]	N voters, empty logs, all may campaign
 *	random N v ...		the next random numbers for that node's timeouts (0 when there is none)
 *	tick N [times]		campaign N		forbid N (it may not campaign)
 *	time N ns		lease N (until when)	read N (by a round)	confirmed N (that read)	transfer N to
 *	propose N count
 *	save N			writes and syncs what there is to save, until there is nothing
 *	begin N / done N / fail N	the steps of one save
 *	send N			its messages go to the network
 *	deliver [A B]		what the network holds (from A to B) arrives, what it causes is not delivered
 *	drop [A B]		is lost instead		dup [A B]	is doubled
 *	step N key=value ...	a message made by hand: type from term index logterm commit entries (list of terms, comma) round lease reject hint hintterm
 *	run			save, send and deliver everything until all is quiet
 *	crash N			a restart with what was durable
 *	compact N index		state			print all nodes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "mem.h"
#include "raft.h"

#define NODES_MAX 7
#define NETWORK_MAX 256
#define RUNS_MAX 16

struct packet {
	struct raft_message m;
	struct terms_run runs[RUNS_MAX];
};

struct sim_node {
	struct raft *raft;
	bool may_campaign;
	struct raft_hard durable_hard, saving_hard;
	struct terms durable_log, saving_log;
	bool saving;
	uint64_t read; /* the round of the last one */
	uint64_t random[32];
	size_t random_count, random_used;
};

struct world {
	struct sim_node nodes[NODES_MAX + 1];
	unsigned count;
	uint32_t election, heartbeat, inflight;
	uint64_t lease, now; /* ns */
	struct packet network[NETWORK_MAX];
	size_t packets;
	struct buf out;
};

static unsigned
number(struct raft_id id)
{
	return (unsigned)id.low;
}

static uint64_t
scripted_random(void *ctx, uint64_t below)
{
	struct sim_node *n = ctx;

	if (n->random_used == n->random_count)
		return 0;
	assert_true(n->random[n->random_used] < below);
	return n->random[n->random_used++];
}

static void
node_start(struct world *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];
	struct raft_id voters[NODES_MAX];
	struct raft_params p = {
	    .self = {0, i},
	    .voters = voters,
	    .voter_count = w->count,
	    .election_ticks = w->election,
	    .heartbeat_ticks = w->heartbeat,
	    .inflight_max = w->inflight,
	    .lease_ns = w->lease,
	    .lease_max_ns = w->lease,
	    .now = w->now,
	    .random = scripted_random,
	    .random_ctx = n,
	    .hard = n->durable_hard,
	    .log = &n->durable_log,
	};

	for (unsigned v = 0; v < w->count; v++)
		voters[v] = (struct raft_id){0, v + 1};
	n->raft = raft_new(&p);
	raft_set_campaign(n->raft, n->may_campaign);
}

static void
world_clear(struct world *w)
{
	for (unsigned i = 1; i <= w->count; i++) {
		raft_free(w->nodes[i].raft);
		terms_free(&w->nodes[i].durable_log);
		terms_free(&w->nodes[i].saving_log);
		w->nodes[i] = (struct sim_node){0};
	}
	w->count = 0;
	w->packets = 0;
}

/* ---- printing ---- */

static void
show_message(struct world *w, const struct raft_message *m)
{
	static const char *const names[] = {
	    "?", "vote", "vote-reply", "append", "append-reply", "pre-vote", "pre-vote-reply", "timeout-now"};

	buf_printf(&w->out, "  %u->%u %s term=%" PRIu64, number(m->from), number(m->to), names[m->type], m->term);
	switch (m->type) {
	case RAFT_TIMEOUT_NOW:
		break;
	case RAFT_VOTE:
	case RAFT_PRE_VOTE:
		buf_printf(
		    &w->out, " last=%" PRIu64 "/%" PRIu64 "%s", m->index, m->log_term, m->transfer ? " transfer" : "");
		break;
	case RAFT_VOTE_REPLY:
	case RAFT_PRE_VOTE_REPLY:
		buf_put_str(&w->out, m->reject ? " no" : " yes");
		break;
	case RAFT_APPEND:
		buf_printf(
		    &w->out, " prev=%" PRIu64 "/%" PRIu64 " entries=%" PRIu32, m->index, m->log_term, m->entries);
		for (uint32_t i = 0; i < m->run_count; i++)
			buf_printf(&w->out, " %" PRIu64 "/%" PRIu64, m->runs[i].first, m->runs[i].term);
		buf_printf(&w->out, " commit=%" PRIu64, m->commit);
		break;
	case RAFT_APPEND_REPLY:
		buf_printf(&w->out, " index=%" PRIu64, m->index);
		if (m->reject)
			buf_printf(&w->out, " no hint=%" PRIu64 "/%" PRIu64, m->hint_index, m->hint_term);
		break;
	}
	buf_put_str(&w->out, "\n");
}

static void
show_state(struct world *w, unsigned i)
{
	const struct raft *r = w->nodes[i].raft;
	const struct terms *log = raft_log(r);

	buf_printf(&w->out, "%u: %s term=%" PRIu64 " vote=%u leader=%u commit=%" PRIu64 " stable=%" PRIu64 " log=", i,
	    raft_role_name(raft_role(r)), raft_term(r), number(raft_vote(r)), number(raft_leader(r)), raft_commit(r),
	    raft_stable(r));
	if (log->base_index > 0)
		buf_printf(&w->out, "(%" PRIu64 "/%" PRIu64 ")", log->base_index, log->base_term);
	for (uint64_t index = log->base_index + 1; index <= log->last; index++)
		buf_printf(&w->out, "%s%" PRIu64, index == log->base_index + 1 ? "" : ",", terms_at(log, index));
	if (raft_refused(r) > 0)
		buf_printf(&w->out, " refused=%" PRIu64, raft_refused(r));
	buf_put_str(&w->out, "\n");
}

/* ---- commands ---- */

static bool
save_begin(struct world *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];
	struct raft_save save;

	(void)raft_noop(n->raft);
	if (!raft_save_begin(n->raft, &save))
		return false;
	buf_printf(&w->out, "  %u saves term=%" PRIu64 " vote=%u", i, save.hard.term, number(save.hard.vote));
	if (save.first <= save.last)
		buf_printf(&w->out, " entries=%" PRIu64 "-%" PRIu64, save.first, save.last);
	buf_put_str(&w->out, "\n");
	n->saving = true;
	n->saving_hard = save.hard;
	terms_free(&n->saving_log);
	terms_copy(&n->saving_log, raft_log(n->raft));
	return true;
}

static void
save_done(struct world *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];

	assert_true(n->saving);
	n->saving = false;
	n->durable_hard = n->saving_hard;
	terms_free(&n->durable_log);
	terms_copy(&n->durable_log, &n->saving_log);
	raft_save_done(n->raft);
}

static bool
send_all(struct world *w, unsigned i)
{
	struct raft_message m;
	bool any = false;

	while (raft_message(w->nodes[i].raft, &m)) {
		struct packet *p = &w->network[w->packets++];

		assert_true(w->packets < NETWORK_MAX && m.run_count <= RUNS_MAX);
		show_message(w, &m);
		p->m = m;
		if (m.run_count > 0)
			memcpy(p->runs, m.runs, m.run_count * sizeof *m.runs);
		any = true;
	}
	return any;
}

static void
step(struct world *w, unsigned to, const struct raft_message *m)
{
	struct raft_accepted accepted;

	raft_step(w->nodes[to].raft, m, &accepted);
	if (accepted.taken > 0)
		buf_printf(&w->out, "  %u takes %" PRIu32 " entries from %" PRIu64 " on, skipping %" PRIu32 "\n", to,
		    accepted.taken, accepted.first, accepted.skipped);
}

enum fate { DELIVER, DROP, DUPLICATE };

/* from, to: 0 is any. */
static bool
network(struct world *w, unsigned from, unsigned to, enum fate fate)
{
	size_t count = w->packets, kept = 0, doubled = 0;
	static struct packet now[NETWORK_MAX];
	bool any = false;

	memcpy(now, w->network, count * sizeof *now);
	w->packets = 0;
	for (size_t i = 0; i < count; i++) {
		struct packet *p = &now[i];

		p->m.runs = p->runs;
		if ((from != 0 && number(p->m.from) != from) || (to != 0 && number(p->m.to) != to)) {
			w->network[kept++] = *p;
			continue;
		}
		any = true;
		if (fate == DELIVER)
			step(w, number(p->m.to), &p->m);
		if (fate == DUPLICATE) {
			w->network[kept++] = *p;
			w->network[kept++] = *p;
			doubled++;
		}
	}
	w->packets = kept;
	return any;
}

static void
run_quiet(struct world *w)
{
	bool any = true;

	while (any) {
		any = false;
		for (unsigned i = 1; i <= w->count; i++) {
			any |= send_all(w, i);
			while (save_begin(w, i)) {
				save_done(w, i);
				any = true;
			}
			any |= send_all(w, i);
		}
		any |= network(w, 0, 0, DELIVER);
	}
}

static void
step_by_hand(struct world *w, unsigned to, char *text)
{
	static const char *const types[] = {
	    "", "vote", "vote-reply", "append", "append-reply", "pre-vote", "pre-vote-reply", "timeout-now"};
	struct raft_message m = {.to = {0, to}};
	struct terms_run runs[RUNS_MAX];
	char *save = NULL;

	for (char *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');
		uint64_t v;

		assert_non_null(value);
		*value++ = '\0';
		v = strtoull(value, NULL, 10);
		if (strcmp(word, "type") == 0) {
			for (unsigned i = 1; i < COUNTOF(types); i++)
				if (strcmp(types[i], value) == 0)
					m.type = (enum raft_message_type)i;
		} else if (strcmp(word, "from") == 0)
			m.from = (struct raft_id){0, v};
		else if (strcmp(word, "term") == 0)
			m.term = v;
		else if (strcmp(word, "index") == 0)
			m.index = v;
		else if (strcmp(word, "logterm") == 0)
			m.log_term = v;
		else if (strcmp(word, "commit") == 0)
			m.commit = v;
		else if (strcmp(word, "round") == 0)
			m.round = v;
		else if (strcmp(word, "lease") == 0)
			m.lease_ns = v;
		else if (strcmp(word, "reject") == 0)
			m.reject = v != 0;
		else if (strcmp(word, "hint") == 0)
			m.hint_index = v;
		else if (strcmp(word, "hintterm") == 0)
			m.hint_term = v;
		else if (strcmp(word, "entries") == 0) {
			m.runs = runs;
			for (char *at = value; *at != '\0'; at += *at == ',') {
				uint64_t term = strtoull(at, &at, 10);

				if (m.run_count == 0 || runs[m.run_count - 1].term != term)
					runs[m.run_count++] = (struct terms_run){m.index + 1 + m.entries, term};
				m.entries++;
			}
		} else
			fail_msg("unknown key %s", word);
	}
	step(w, to, &m);
}

static void
command_new(struct world *w, unsigned count, const char *rest)
{
	world_clear(w);
	w->count = count;
	w->election = 10;
	w->heartbeat = 2;
	w->inflight = 0;
	w->lease = w->now = 0;
	(void)sscanf(rest, "%*u %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu64, &w->election, &w->heartbeat,
	    &w->inflight, &w->lease);
	for (unsigned i = 1; i <= count; i++) {
		terms_init(&w->nodes[i].durable_log, 0, 0);
		w->nodes[i].may_campaign = true;
		node_start(w, i);
	}
}

static void
command(struct world *w, char *line)
{
	char name[32] = "", *rest;
	unsigned a = 0, b = 0;
	uint64_t times = 1;
	struct sim_node *n;

	(void)sscanf(line, "%31s %u %u", name, &a, &b);
	rest = line + strlen(name);
	n = &w->nodes[MIN(a, NODES_MAX)];
	if (strcmp(name, "new") == 0)
		command_new(w, a, rest);
	else if (strcmp(name, "random") == 0) {
		int used;

		n->random_count = n->random_used = 0;
		for ((void)sscanf(rest, "%*u%n", &used), rest += used;
		     sscanf(rest, "%" SCNu64 "%n", &times, &used) == 1; rest += used)
			n->random[n->random_count++] = times;
	} else if (strcmp(name, "tick") == 0) {
		for (times = b == 0 ? 1 : b; times > 0; times--)
			raft_tick(n->raft);
	} else if (strcmp(name, "time") == 0)
		raft_time(n->raft, w->now = b);
	else if (strcmp(name, "lease") == 0)
		buf_printf(&w->out, "  until %" PRIu64 "\n", raft_lease_until(n->raft));
	else if (strcmp(name, "read") == 0) {
		n->read = raft_read_begin(n->raft, &times);
		if (n->read == 0)
			buf_put_str(&w->out, "  no\n");
		else
			buf_printf(&w->out, "  index %" PRIu64 "\n", times);
	} else if (strcmp(name, "confirmed") == 0)
		buf_printf(&w->out, "  %s\n", raft_round(n->raft) >= n->read ? "yes" : "no");
	else if (strcmp(name, "transfer") == 0)
		buf_printf(&w->out, "  %s\n", raft_transfer(n->raft, (struct raft_id){0, b}) ? "yes" : "no");
	else if (strcmp(name, "campaign") == 0)
		raft_campaign(n->raft);
	else if (strcmp(name, "forbid") == 0)
		raft_set_campaign(n->raft, n->may_campaign = false);
	else if (strcmp(name, "propose") == 0)
		buf_printf(&w->out, "  index %" PRIu64 "\n", raft_propose(n->raft, b));
	else if (strcmp(name, "save") == 0) {
		while (save_begin(w, a))
			save_done(w, a);
	} else if (strcmp(name, "begin") == 0) {
		if (!save_begin(w, a))
			buf_put_str(&w->out, "  nothing to save\n");
	} else if (strcmp(name, "done") == 0)
		save_done(w, a);
	else if (strcmp(name, "fail") == 0) {
		n->saving = false;
		raft_save_failed(n->raft);
	} else if (strcmp(name, "send") == 0)
		(void)send_all(w, a);
	else if (strcmp(name, "deliver") == 0)
		(void)network(w, a, b, DELIVER);
	else if (strcmp(name, "drop") == 0)
		(void)network(w, a, b, DROP);
	else if (strcmp(name, "dup") == 0)
		(void)network(w, a, b, DUPLICATE);
	else if (strcmp(name, "step") == 0)
		step_by_hand(w, a, strchr(rest + 1, ' ') + 1);
	else if (strcmp(name, "run") == 0)
		run_quiet(w);
	else if (strcmp(name, "compact") == 0) {
		raft_compact(n->raft, b);
		terms_compact(&n->durable_log, b);
	} else if (strcmp(name, "crash") == 0) {
		raft_free(n->raft);
		n->saving = false;
		node_start(w, a);
	} else if (strcmp(name, "state") == 0) {
		for (unsigned i = 1; i <= w->count; i++)
			show_state(w, i);
	} else
		fail_msg("unknown command: %s", line);
}

/* ---- files ---- */

static char *
read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	struct buf text = BUF_INIT(4 * 1024 * 1024);
	char line[4096];
	char *result;

	if (f == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof line, f) != NULL)
		buf_put_str(&text, line);
	fclose(f);
	result = bytes_dup(buf_bytes(&text));
	buf_free(&text);
	return result;
}

/* Runs one file; *rewritten gets it with what was really printed. Returns the number of blocks that differ. */
static unsigned
run_file(const char *path, char *text, struct buf *rewritten)
{
	static struct world w;
	bool expecting = false;
	struct buf expected = BUF_INIT(1024 * 1024);
	unsigned differences = 0;
	char *next, *end = text + strlen(text);

	buf_init(&w.out, 1024 * 1024);
	for (char *line = text; line <= end; line = next) {
		char *newline = strchr(line, '\n');

		next = newline == NULL ? end + 1 : newline + 1;
		if (newline != NULL)
			*newline = '\0';
		if (expecting && line[0] != '\0') {
			buf_printf(&expected, "%s\n", line);
			continue;
		}
		if (expecting) {
			buf_put_bytes(rewritten, buf_bytes(&w.out));
			if (!bytes_equal(buf_bytes(&expected), buf_bytes(&w.out))) {
				differences++;
				print_error("%s: expected\n%.*sgot\n%.*s", path, (int)expected.used,
				    (const char *)expected.data, (int)w.out.used, (const char *)w.out.data);
			}
			expecting = false;
			buf_clear(&expected);
			buf_clear(&w.out);
		}
		if (line != end)
			buf_printf(rewritten, "%s\n", line);
		if (strcmp(line, "----") == 0)
			expecting = true;
		else if (line[0] != '\0' && line[0] != '#')
			command(&w, line);
	}
	world_clear(&w);
	buf_free(&w.out);
	buf_free(&expected);
	return differences;
}

static void
test_traces(void **state)
{
	char directory[4096], path[5000];
	ssize_t n = readlink("/proc/self/exe", directory, sizeof directory - 64);
	unsigned files = 0, differences = 0;
	struct dirent *e;
	DIR *d;

	(void)state;
	assert_true(n > 0);
	directory[n] = '\0';
	*strrchr(directory, '/') = '\0';
	strcat(directory, "/../../test/unit/raft");
	d = opendir(directory);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		struct buf rewritten = BUF_INIT(4 * 1024 * 1024);
		char *text;

		if (strlen(e->d_name) < 7 || strcmp(e->d_name + strlen(e->d_name) - 6, ".trace") != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
		text = read_file(path);
		differences += run_file(path, text, &rewritten);
		if (getenv("RAFT_TRACE_REWRITE") != NULL) {
			FILE *f = fopen(path, "w");

			assert_non_null(f);
			fwrite(rewritten.data, 1, rewritten.used, f);
			fclose(f);
		}
		free(text);
		buf_free(&rewritten);
		files++;
	}
	closedir(d);
	assert_true(files >= 8);
	assert_int_equal(differences, 0);
}

static void
test_terms(void **state)
{
	struct terms t;

	(void)state;
	terms_init(&t, 10, 2);
	assert_int_equal(terms_at(&t, 10), 2);
	assert_int_equal(terms_at(&t, 11), 0);
	assert_int_equal(terms_at(&t, 9), 0);
	assert_int_equal(terms_find(&t, 20, 9), 10);
	terms_append(&t, 2, 3); /* 11-13 */
	terms_append(&t, 5, 2); /* 14-15 */
	terms_append(&t, 6, 1); /* 16 */
	assert_int_equal(t.count, 3);
	assert_int_equal(terms_at(&t, 13), 2);
	assert_int_equal(terms_at(&t, 14), 5);
	assert_int_equal(terms_last_term(&t), 6);
	assert_int_equal(terms_find(&t, 16, 5), 15);
	assert_int_equal(terms_find(&t, 99, 4), 13);
	assert_int_equal(terms_find(&t, 12, 4), 12);
	assert_int_equal(terms_find(&t, 16, 1), 10);
	terms_truncate(&t, 15);
	assert_int_equal(t.last, 14);
	terms_append(&t, 7, 1);
	assert_int_equal(terms_at(&t, 15), 7);
	terms_compact(&t, 12);
	assert_int_equal(terms_at(&t, 11), 0);
	assert_int_equal(terms_at(&t, 12), 2);
	assert_int_equal(terms_at(&t, 13), 2);
	terms_compact(&t, 15);
	assert_int_equal(t.count, 0);
	assert_int_equal(terms_last_term(&t), 7);
	terms_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_terms), cmocka_unit_test(test_traces)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * raftd_raft_test.c - Raft's scenarios as text scripts with their traces (test/unit/raft/ *.trace), and runs of terms
 *
 * A script is blocks of commands, "----", and what they must print, ended by an empty line. With RAFT_TRACE_REWRITE=1 the files are written anew
 * with what was printed: review the difference. Commands (N: a node's number):
 *
 *	set key=value ...	for the next new: append, inflight (bytes), entry (bytes of one; those at indexes ending in 5 have ten times as many), chunk,
 *				window, tick (ns)
 *	new N [election [heartbeat [inflight [lease]]]]	N voters, empty logs, all may campaign
 *	join N			a further server, which knows of no configuration
 *	random N v ...		the next random numbers for that node's timeouts (0 when there is none)
 *	tick N [times]		campaign N		forbid N (it may not campaign)
 *	time N ns		lease N (until when)	read N (by a round)	confirmed N (that read)	transfer N to
 *	propose N count		change N 1 2 3n ...	proposes a configuration, n: non-voter
 *	stalled N 0|1		the shell's word
 *	snapshot N index size	N has taken one		keep N		writes the chunks it has taken, installs what is whole
 *	installed N index term	a snapshot of N's own making is there		refuse N	the chunks it has taken can not be kept
 *	used N index		gone N index
 *	save N			writes and syncs what there is to save, until there is nothing
 *	begin N / done N / fail N	the steps of one save
 *	send N			its messages go to the network
 *	deliver [A B]		what the network holds (from A to B) arrives, what it causes is not delivered
 *	cut N / heal N		what N sends, or is sent, is lost
 *	drop [A B]		is lost instead		dup [A B]	is doubled
 *	step N key=value ...	a message made by hand: type from term index logterm commit entries (list of terms, comma) round lease reject hint hintterm
 *				offset size bytes members (1.2.3n: the last entry is that configuration)
 *	hush			forgets what the block has printed so far: how it came to that is told elsewhere
 *	run			save, send and deliver everything until all is quiet
 *	crash N			a restart with what was durable
 *	compact N index		state / members		print all nodes		progress N
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

#include "raftd_raft_world.h"

/* Numbers with anything between them; n behind one: a non-voter. */
static void
members_parse(const char *text, struct raft_configuration *out)
{
	*out = (struct raft_configuration){0};
	while (*(text += strspn(text, " .")) != '\0') {
		char *end;
		unsigned long id = strtoul(text, &end, 10);

		out->members[out->count++] = (struct raft_member){{0, id}, *end != 'n'};
		text = end + (*end == 'n');
	}
}

static void
step_by_hand(struct world *w, unsigned to, char *text)
{
	static const char *const types[] = {"", "vote", "vote-reply", "append", "append-reply", "pre-vote",
	    "pre-vote-reply", "timeout-now", "snapshot", "snapshot-reply"};
	struct raft_configuration configuration = {0};
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
		else if (strcmp(word, "offset") == 0)
			m.offset = v;
		else if (strcmp(word, "size") == 0)
			m.size = v;
		else if (strcmp(word, "bytes") == 0)
			m.bytes = (uint32_t)v;
		else if (strcmp(word, "members") == 0) {
			members_parse(value, &configuration);
			m.configurations = &configuration;
			m.configuration_count = 1;
		} else if (strcmp(word, "entries") == 0) {
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
	configuration.index = m.index + m.entries;
	step(w, to, &m);
}

static void
command_set(struct world *w, char *text)
{
	char *save = NULL;

	for (char *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		uint32_t v = 0;
		char key[32] = "";

		(void)sscanf(word, "%31[^=]=%" SCNu32, key, &v);
		if (strcmp(key, "append") == 0)
			w->append_bytes = v;
		else if (strcmp(key, "inflight") == 0)
			w->inflight_bytes = v;
		else if (strcmp(key, "entry") == 0)
			w->entry_bytes = v;
		else if (strcmp(key, "chunk") == 0)
			w->chunk = v;
		else if (strcmp(key, "window") == 0)
			w->window = v;
		else if (strcmp(key, "tick") == 0)
			w->tick = v;
		else
			fail_msg("unknown key %s", key);
	}
}

static void
command_join(struct world *w, unsigned i)
{
	w->count = MAX(w->count, i);
	terms_init(&w->nodes[i].durable.log, 0, 0);
	w->nodes[i].may_campaign = true;
	node_start(w, i, true);
}

static void
command_new(struct world *w, unsigned count, const char *rest)
{
	struct raft_configuration all = {.count = count};

	world_clear(w);
	w->election = 10;
	w->heartbeat = 2;
	w->inflight = 0;
	w->lease = w->now = 0;
	(void)sscanf(rest, "%*u %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu64, &w->election, &w->heartbeat,
	    &w->inflight, &w->lease);
	for (unsigned i = 1; i <= count; i++)
		all.members[i - 1] = (struct raft_member){{0, i}, true};
	for (unsigned i = 1; i <= count; i++) {
		configuration_put(&w->nodes[i].durable, &all);
		command_join(w, i);
	}
}

static void
command_change(struct world *w, unsigned i, const char *members)
{
	static const char *const names[] = {"ok", "not leader", "not ready", "pending", "too much", "full"};
	struct sim_node *n = &w->nodes[i];
	struct raft_configuration c;
	enum raft_change why;

	members_parse(members, &c);
	c.index = raft_propose_configuration(n->raft, &c, &why);
	if (c.index == 0)
		buf_printf(&w->out, "  %s\n", names[why]);
	else {
		configuration_put(&n->now, &c);
		buf_printf(&w->out, "  index %" PRIu64 "\n", c.index);
	}
}

/* What the shell does with snapshots. false: not such a command. */
static bool
command_snapshot(struct world *w, const char *name, unsigned i, const char *rest)
{
	struct sim_node *n = &w->nodes[i];
	uint64_t a = 0, b = 0;

	(void)sscanf(rest, "%*u %" SCNu64 " %" SCNu64, &a, &b);
	if (strcmp(name, "snapshot") == 0) {
		raft_snapshot_set(n->raft, a, terms_at(raft_log(n->raft), a), b);
		n->snapshot_index = a;
	} else if (strcmp(name, "keep") == 0)
		(void)chunks_keep(w, i);
	else if (strcmp(name, "installed") == 0)
		install(w, i, &(struct raft_message){.from = {0, i}, .index = a, .log_term = b, .size = 100});
	else if (strcmp(name, "refuse") == 0) {
		for (size_t k = 0; k < n->chunk_count; k++)
			raft_snapshot_refused(n->raft, n->chunks[k].index, n->chunks[k].log_term);
		n->chunk_count = 0;
	} else if (strcmp(name, "gone") == 0)
		raft_snapshot_gone(n->raft, a);
	else if (strcmp(name, "used") == 0)
		buf_printf(&w->out, "  %s\n", raft_snapshot_used(n->raft, a) ? "yes" : "no");
	else
		return false;
	return true;
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
	else if (strcmp(name, "set") == 0)
		command_set(w, rest);
	else if (strcmp(name, "join") == 0)
		command_join(w, a);
	else if (strcmp(name, "change") == 0)
		command_change(w, a, rest + 2);
	else if (strcmp(name, "stalled") == 0)
		raft_stalled(n->raft, b != 0);
	else if (command_snapshot(w, name, a, rest))
		;
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
	else if (strcmp(name, "hush") == 0)
		buf_clear(&w->out);
	else if (strcmp(name, "cut") == 0 || strcmp(name, "heal") == 0)
		n->cut = name[0] == 'c';
	else if (strcmp(name, "run") == 0)
		run_quiet(w);
	else if (strcmp(name, "compact") == 0) {
		raft_compact(n->raft, b);
		terms_compact(&n->durable.log, b);
	} else if (strcmp(name, "crash") == 0) {
		raft_free(n->raft);
		node_start(w, a, false);
	} else if (strcmp(name, "state") == 0) {
		for (unsigned i = 1; i <= w->count; i++)
			if (w->nodes[i].raft != NULL)
				show_state(w, i);
	} else if (strcmp(name, "members") == 0) {
		for (unsigned i = 1; i <= w->count; i++)
			if (w->nodes[i].raft != NULL)
				show_members(w, i);
	} else if (strcmp(name, "progress") == 0)
		show_progress(w, n->raft);
	else
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

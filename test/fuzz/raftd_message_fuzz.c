/*
 * raftd_message_fuzz.c - any bytes as a message between servers and as a configuration; what decodes is stepped through Raft
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "message.h"
#include "raft.h"

static uint64_t
no_random(void *ctx, uint64_t below)
{
	(void)ctx, (void)below;
	return 0;
}

static struct message_entry
entry_of(void *ctx, uint64_t index)
{
	struct message_in *in = ctx;

	return in->entries[index - in->message.index - 1];
}

/* A follower or a leader, with a few entries. */
static void
step_all(const struct raft_message *m, bool lead)
{
	const struct raft_configuration voters = {
	    .count = 4, .members = {{{0, 1}, true}, {{0, 2}, true}, {{0, 3}, true}, {{0, 4}, false}}};
	struct raft_accepted accepted;
	struct raft_message out;
	struct raft_save save;
	struct terms log;
	struct raft *r;

	terms_init(&log, 2, 1);
	terms_append(&log, 1, 3);
	terms_append(&log, 2, 2);
	r = raft_new(&(struct raft_params){.self = voters.members[0].id,
	    .configurations = &voters,
	    .configuration_count = 1,
	    .election_ticks = 10,
	    .heartbeat_ticks = 2,
	    .lease_ns = 100,
	    .lease_max_ns = 200,
	    .random = no_random,
	    .hard = {.term = 2},
	    .log = &log,
	    .commit = 4});
	raft_set_campaign(r, true);
	raft_time(r, 1000); /* what it may have promised is over */
	if (lead) {
		raft_campaign(r);
		if (raft_save_begin(r, &save))
			raft_save_done(r);
		raft_step(r, &(struct raft_message){.type = RAFT_VOTE_REPLY, .from = voters.members[1].id, .term = 3},
		    &accepted);
	}
	raft_snapshot_set(r, 6, 2, 1000);
	for (int i = 0; i < 2; i++) {
		raft_step(r, m, &accepted);
		(void)raft_noop(r);
		if (accepted.taken > 0 &&
		    (accepted.first <= 4 || accepted.first + accepted.taken - 1 != raft_log(r)->last))
			abort();
		if (raft_save_begin(r, &save))
			raft_save_done(r);
		if (accepted.snapshot_chunk) {
			raft_snapshot_chunk_done(r, m->index, m->log_term, m->offset + m->bytes);
			if (m->offset + m->bytes == m->size)
				raft_snapshot_installed(r, m->index, m->log_term, &voters);
			else if (i == 1)
				raft_snapshot_refused(r, m->index, m->log_term);
		}
		raft_tick(r);
		while (raft_message(r, &out))
			continue;
	}
	if (raft_lease_until(r) > 1100 || raft_commit(r) > raft_log(r)->last || raft_stable(r) > raft_log(r)->last ||
	    raft_commit(r) < 4 || raft_voter_count(r) == 0 || raft_configuration(r)->index > raft_log(r)->last ||
	    raft_configuration_committed(r)->index > raft_configuration(r)->index)
		abort();
	raft_free(r);
	terms_free(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct configuration configuration;
	struct message_in in;

	if (configuration_decode(bytes_of(data, size), &configuration) == 0) {
		struct configuration again;
		struct buf out = BUF_INIT(1024 * 1024);

		configuration_encode(&configuration, &out);
		if (configuration_decode(buf_bytes(&out), &again) == -1 || again.count != configuration.count)
			abort();
		buf_free(&out);
	}
	if (message_decode(bytes_of(data, size), &in) == 0) {
		struct buf out = BUF_INIT(64 * 1024 * 1024);

		/* one message, one form */
		if (in.message.type == RAFT_SNAPSHOT)
			message_encode_chunk(&in.message, in.meta, in.data, &out);
		else
			message_encode(&in.message, entry_of, &in, &out);
		if (!bytes_equal(buf_bytes(&out), bytes_of(data, size)))
			abort();
		buf_free(&out);
		step_all(&in.message, false);
		step_all(&in.message, true);
		message_in_free(&in);
	}
	return 0;
}

/*
 * serve.c - raftd's methods (contract: serve.h; what they mean: man/consuld-protocol.7; caller: daemon skeleton)
 *
 * A Status or Pull stream lives as long as its caller wants. Deliveries are made once per loop turn (node_ops.turned): first the
 * status, then entries, as far as each stream has credit; the log itself is the queue, nothing waits here. Replies to
 * proposals were put on the connection before, so that a caller learns the index of its entries before it sees them.
 */
#include "serve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duration.h"
#include "frame.h"
#include "log.h"
#include "mem.h"
#include "mp.h"
#include "serve_internal.h"

#define PULL_BYTES_MAX (1024u * 1024) /* of one DATA */
#define PULL_BUFFER_KEEP (64u * 1024)
#define PROPOSE_ENTRIES_MAX 65536u
#define SNAPSHOT_TIMEOUT_MS (30 * 60 * 1000)
#define PING_TIMEOUT_MS 5000

static struct serve *
serve_of(void *ctx)
{
	return daemon_state(ctx);
}

struct serve *
serve_new(void)
{
	struct serve *s = xcalloc(1, sizeof *s);

	buf_init(&s->out, 1024 * 1024);
	buf_init(&s->entries, PULL_BYTES_MAX + FRAME_REQUEST_BYTES_MAX + 64);
	return s;
}

void
serve_free(struct serve *s)
{
	node_free(s->node);
	buf_free(&s->out);
	buf_free(&s->entries);
	free(s->proposal);
	free(s);
}

/* ---- Raft.Status ---- */

static void
status_put(const struct serve *s, const struct node_status *status, struct buf *out)
{
	char leader[UUID_TEXT_SIZE] = "";

	if (!raft_id_is_none(status->leader))
		raft_id_format(status->leader, leader);
	mp_put_map(out, 11);
	mp_put_kv_cstr(out, "State", raft_role_name(status->role));
	mp_put_kv_uint(out, "Term", status->term);
	mp_put_kv_cstr(out, "LeaderID", leader);
	mp_put_kv_cstr(out, "LeaderAddress", node_address_of(s->node, status->leader));
	mp_put_kv_cstr(out, "NodeID", node_id(s->node));
	mp_put_kv_uint(out, "CommitIndex", node_deliverable(s->node));
	mp_put_kv_uint(out, "LastIndex", node_last_index(s->node));
	mp_put_kv_uint(out, "FirstIndex", node_first_index(s->node));
	mp_put_kv_cstr(out, "LogID", node_log_id(s->node));
	mp_put_kv_bool(out, "NoSpace", status->no_space);
	mp_put_kv_uint(out, "LeaseUntil", status->lease_until);
}

/* What its reader may believe: what it was told last, once it has taken note of it (its credit is back). */
static uint64_t
lease_most(struct status_stream *t)
{
	if (t->told_once && ipc_stream_credit(t->stream) >= t->credit_full)
		t->lease_most = t->told.lease_until;
	return t->lease_most;
}

static void
status_tell(struct status_stream *t)
{
	struct node_status now = node_status(t->serve->node);

	(void)lease_most(t);
	if (t->told_once && now.role == t->told.role && now.term == t->told.term &&
	    raft_id_equal(now.leader, t->told.leader) && now.no_space == t->told.no_space &&
	    now.addresses_version == t->told.addresses_version &&
	    !node_lease_is_news(t->serve->node, t->told.lease_until))
		return;
	if (!t->told_once)
		t->credit_full = ipc_stream_credit(t->stream);
	buf_clear(&t->serve->out);
	status_put(t->serve, &now, &t->serve->out);
	if (!ipc_push(t->stream, buf_bytes(&t->serve->out)))
		return; /* no credit; tried again in the turn in which it comes */
	t->lease_most = MAX(t->lease_most, now.lease_until);
	t->told = now;
	t->told_once = true;
}

/* It publishes the lease on a page that outlives it. */
static bool
is_catalogd(const struct ipc_stream *stream)
{
	return strcmp(ipc_stream_program(stream), "catalogd") == 0;
}

static bool
on_lease_is_free(void *ctx)
{
	struct serve *s = ctx;
	uint64_t now = (uint64_t)boottime_now().ns;

	if (s->lease_orphan != 0 && s->lease_orphan >= now)
		return false;

	for (size_t i = 0; i < s->status_count; i++) {
		uint64_t until = lease_most(&s->status[i]);

		if (until != 0 && until >= now)
			return false;
	}
	return true;
}

/* A stream's context pointer must follow it when it moves in its array. */
static void
status_ended(struct ipc_stream *stream, void *ctx)
{
	struct serve *s = ctx;

	for (size_t i = 0; i < s->status_count; i++)
		if (s->status[i].stream == stream) {
			if (is_catalogd(stream))
				s->lease_orphan = MAX(s->lease_orphan, lease_most(&s->status[i]));
			s->status[i] = s->status[--s->status_count];
			break;
		}
	if (s->status_count == 0)
		node_set_served(s->node, false);
}

static void
handle_status(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct serve *s = serve_of(ctx);

	(void)args;
	if (s->status_count == STREAMS_MAX) {
		ipc_fail(stream, 503, "too many Raft.Status streams");
		return;
	}
	if (is_catalogd(stream)) /* it has retired the page of the one before */
		s->lease_orphan = 0;
	s->status[s->status_count++] = (struct status_stream){.serve = s, .stream = stream};
	ipc_stream_watch(stream, status_ended, NULL, s);
	node_set_served(s->node, true);
}

static void
handle_contact(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	int fd = node_contact_fd(serve_of(ctx)->node);

	(void)args;
	if (fd == -1)
		ipc_fail(stream, 0, "Raft.Contact: %s", strerror(errno));
	else
		ipc_reply_fd(stream, bytes_of(NULL, 0), fd);
}

/* ---- Raft.Propose ---- */

/* The runs of the array that in stands before. -1: too many, or not texts. */
static int
proposal_read(struct serve *s, struct mp *in, size_t *count)
{
	*count = mp_peek(in) == MP_ARRAY ? mp_array(in) : 0;
	if (*count == 0 || *count > PROPOSE_ENTRIES_MAX)
		return -1;
	if (*count > s->proposal_size) {
		s->proposal_size = *count;
		s->proposal = xreallocarray(s->proposal, s->proposal_size, sizeof *s->proposal);
	}
	for (size_t i = 0; i < *count; i++)
		s->proposal[i] = mp_str(in);
	return mp_ok(in) ? 0 : -1;
}

static void
handle_propose(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct serve *s = serve_of(ctx);
	uint64_t term = mp_find_uint(args, "Term"), index;
	struct mp entries;
	size_t count;

	if (!mp_find(mp_of(args), "Entries", &entries) || proposal_read(s, &entries, &count) == -1) {
		ipc_fail(stream, 400, "Raft.Propose: Entries must be 1 to %u byte strings", PROPOSE_ENTRIES_MAX);
		return;
	}
	switch (node_propose(s->node, term, s->proposal, count, &index)) {
	case NODE_ACCEPTED:
		buf_clear(&s->out);
		mp_put_map(&s->out, 2);
		mp_put_kv_uint(&s->out, "Index", index);
		mp_put_kv_uint(&s->out, "Term", term);
		ipc_reply(stream, buf_bytes(&s->out));
		break;
	case NODE_NOT_LEADER:
		serve_refuse(s, stream, "not leader");
		break;
	case NODE_TERM_CHANGED:
		ipc_fail(stream, 0, "term changed");
		break;
	case NODE_NO_SPACE:
		ipc_fail(stream, 0, "no space left on device: %s", node_space_error(s->node));
		break;
	case NODE_TOO_MUCH:
		ipc_fail(stream, 503, "too many writes wait for the disk");
		break;
	}
}

/* ---- Raft.Pull ---- */

static void
pull_remove(struct serve *s, struct pull_stream *p)
{
	*p = s->pulls[--s->pull_count];
}

/* false: the stream has ended, its place holds another one. */
static bool
pull_feed(struct serve *s, struct pull_stream *p)
{
	while (p->next <= node_deliverable(s->node)) {
		size_t credit = ipc_stream_credit(p->stream), place;
		int count;

		if (p->next < node_first_index(s->node)) {
			ipc_fail(p->stream, 0, "compacted");
			pull_remove(s, p);
			return false;
		}
		if (credit < 64)
			break;
		buf_clear(&s->entries);
		place = mp_open_array(&s->entries);
		count = node_entries_put(s->node, p->next, MIN(PULL_BYTES_MAX, credit) - s->entries.used, &s->entries);
		if (count == 0 && credit > PULL_BYTES_MAX) /* a large one travels alone */
			count = node_entries_put(s->node, p->next,
			    MIN(PULL_BYTES_MAX + FRAME_REQUEST_BYTES_MAX, credit) - s->entries.used, &s->entries);
		if (count == -1) {
			ipc_fail(p->stream, 0, "the log can not be read");
			pull_remove(s, p);
			return false;
		}
		if (count == 0)
			break;
		mp_close(&s->entries, place, (uint32_t)count);
		if (!ipc_push(p->stream, buf_bytes(&s->entries)))
			break;
		p->next += (uint64_t)count;
	}
	return true;
}

static void
pull_ended(struct ipc_stream *stream, void *ctx)
{
	struct serve *s = ctx;

	for (size_t i = 0; i < s->pull_count; i++)
		if (s->pulls[i].stream == stream) {
			pull_remove(s, &s->pulls[i]);
			return;
		}
}

static void
handle_pull(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct serve *s = serve_of(ctx);
	uint64_t from = mp_find_uint(args, "From");

	if (s->pull_count == STREAMS_MAX)
		ipc_fail(stream, 503, "too many Raft.Pull streams");
	else if (from < node_first_index(s->node))
		ipc_fail(stream, 0, "compacted");
	else if (from > node_last_index(s->node) + 1)
		ipc_fail(stream, 0, "ahead");
	else {
		s->pulls[s->pull_count++] = (struct pull_stream){.serve = s, .stream = stream, .next = from};
		ipc_stream_watch(stream, pull_ended, NULL, s);
	}
}

/* ---- Raft.Snapshot ---- */

static void
snapshot_ended(struct ipc_stream *stream, void *ctx)
{
	struct serve *s = ctx;

	(void)stream;
	s->snapshot_stream = NULL;
}

static void snapshot_try(struct serve *s);

static void
on_snapshot_checked(void *ctx, int fd, const char *error)
{
	struct serve *s = ctx;
	struct snapshots *snapshots = node_snapshots(s->node);

	if (fd == -1)
		log_errorx(MODULE, "a snapshot is not usable: error=%s", log_quote(error));
	if (s->snapshot_stream == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	if (fd == -1) {
		/* the one before it serves as well if the log goes on from there */
		s->snapshot_at++;
		if (s->snapshot_at < snapshots_count(snapshots) &&
		    snapshots_at(snapshots, s->snapshot_at)->index + 1 >= node_first_index(s->node)) {
			snapshot_try(s);
			return;
		}
		ipc_stream_watch(s->snapshot_stream, NULL, NULL, NULL);
		ipc_fail(s->snapshot_stream, 500, "%s", error);
	} else {
		const struct snapshot_meta *meta = snapshots_at(snapshots, s->snapshot_at);

		buf_clear(&s->out);
		mp_put_map(&s->out, 3);
		mp_put_kv_uint(&s->out, "Index", meta->index);
		mp_put_kv_uint(&s->out, "Term", meta->term);
		mp_put_kv_cstr(&s->out, "LogID", meta->log_id);
		ipc_stream_watch(s->snapshot_stream, NULL, NULL, NULL);
		ipc_reply_fd(s->snapshot_stream, buf_bytes(&s->out), fd);
	}
	s->snapshot_stream = NULL;
}

static void
snapshot_try(struct serve *s)
{
	snapshots_check(node_snapshots(s->node), s->snapshot_at, on_snapshot_checked, s);
}

static void
handle_snapshot(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct serve *s = serve_of(ctx);

	(void)args;
	if (snapshots_count(node_snapshots(s->node)) == 0) {
		buf_clear(&s->out);
		mp_put_map(&s->out, 3);
		mp_put_kv_uint(&s->out, "Index", 0);
		mp_put_kv_uint(&s->out, "Term", 0);
		mp_put_kv_cstr(&s->out, "LogID", node_log_id(s->node));
		ipc_reply(stream, buf_bytes(&s->out));
		return;
	}
	if (s->snapshot_stream != NULL || snapshots_busy(node_snapshots(s->node))) {
		ipc_fail(stream, 503, "a snapshot is being written or checked, try again");
		return;
	}
	s->snapshot_stream = stream;
	s->snapshot_at = 0;
	ipc_stream_watch(stream, snapshot_ended, NULL, s);
	snapshot_try(s);
}

static void
on_store_snapshot(void *ctx, const struct ipc_answer *answer)
{
	struct serve *s = ctx;

	if (answer->status != IPC_OK || answer->fd == -1) {
		log_warnx(MODULE, "catalogd has made no snapshot, the log is kept: error=%s",
		    answer->status == IPC_OK ? "no-descriptor" : log_quote_bytes(answer->error));
		if (answer->fd != -1)
			close(answer->fd);
		node_snapshot_failed(s->node);
		return;
	}
	node_snapshot_take(
	    s->node, answer->fd, mp_find_uint(answer->body, "Index"), mp_find_uint(answer->body, "Term"));
}

static void
on_snapshot_wanted(void *ctx)
{
	struct serve *s = ctx;

	(void)ipc_call(daemon_peer(s->daemon, "catalogd"), "Store.Snapshot", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = SNAPSHOT_TIMEOUT_MS, .fd = -1}, on_store_snapshot, s);
}

static void
on_pong(void *ctx, const struct ipc_answer *answer)
{
	struct serve *s = ctx;

	s->ping = NULL;
	if (answer->status != IPC_OK)
		return;
	node_answered(s->node);
	node_applied(s->node, mp_find_uint(answer->body, "ApplyNS"));
}

static void
on_ping(void *ctx)
{
	struct serve *s = ctx;

	if (s->ping == NULL)
		s->ping = ipc_call(daemon_peer(s->daemon, "catalogd"), "Store.Ping", bytes_of(NULL, 0),
		    &(struct ipc_call_options){.timeout_ms = PING_TIMEOUT_MS, .fd = -1}, on_pong, s);
}

/* ---- Raft.Stats, Raft.Peers ---- */

static void
put_number(struct buf *out, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, value);
	mp_put_kv_cstr(out, key, text);
}

/* What was handed out to those who apply. */
static uint64_t
applied_index(const struct serve *s)
{
	uint64_t applied = 0;

	for (size_t i = 0; i < s->pull_count; i++)
		applied = MAX(applied, s->pulls[i].next - 1);
	return applied;
}

/* As the reference shows it. */
static const char *
last_contact(const struct serve *s, char out[DURATION_TEXT_MAX])
{
	uint64_t ms = node_silence_ms(s->node);

	if (ms == 0)
		return "0";
	return ms == UINT64_MAX ? "never" : duration_format((int64_t)ms * NS_PER_MS, out);
}

static void
handle_stats(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	static const char *const titles[] = {"Follower", "Candidate", "Leader"};
	struct serve *s = serve_of(ctx);
	struct node_status status = node_status(s->node);
	struct snapshots *snapshots = node_snapshots(s->node);
	const struct snapshot_meta *newest = snapshots_count(snapshots) == 0 ? NULL : snapshots_at(snapshots, 0);
	const struct configuration *configuration = node_configuration(s->node);
	struct buf servers = BUF_INIT(64 * 1024);
	size_t voters = 0, count;
	char text[DURATION_TEXT_MAX];

	(void)args;
	configuration_print(configuration, &servers);
	for (size_t i = 0; i < configuration->count; i++)
		voters += configuration->members[i].voter;
	buf_clear(&s->out);
	count = mp_open_map(&s->out);
	put_number(&s->out, "applied_index", applied_index(s));
	put_number(&s->out, "commit_index", node_deliverable(s->node));
	put_number(&s->out, "fsm_pending", 0);
	mp_put_kv_cstr(&s->out, "last_contact", last_contact(s, text));
	put_number(&s->out, "last_log_index", node_last_index(s->node));
	put_number(&s->out, "last_log_term", node_last_term(s->node));
	put_number(&s->out, "last_snapshot_index", newest == NULL ? 0 : newest->index);
	put_number(&s->out, "last_snapshot_term", newest == NULL ? 0 : newest->term);
	mp_put_kv_str(&s->out, "latest_configuration", buf_bytes(&servers));
	put_number(&s->out, "latest_configuration_index", 0); /* as the reference shows it */
	put_number(&s->out, "num_peers", voters == 0 ? 0 : voters - 1);
	put_number(&s->out, "protocol_version", 3);
	put_number(&s->out, "protocol_version_max", 3);
	put_number(&s->out, "protocol_version_min", 0);
	put_number(&s->out, "snapshot_version_max", 1);
	put_number(&s->out, "snapshot_version_min", 0);
	mp_put_kv_cstr(&s->out, "state", titles[status.role]);
	put_number(&s->out, "term", status.term);
	mp_close(&s->out, count, 18);
	ipc_reply(stream, buf_bytes(&s->out));
	buf_free(&servers);
}

static void
progress_put(struct serve *s, const struct raft_progress *p)
{
	static const char *const states[] = {"probe", "replicate", "snapshot"};

	mp_put_kv_cstr(&s->out, "Progress", states[p->state]);
	mp_put_kv_uint(&s->out, "MatchIndex", p->match);
	mp_put_kv_uint(&s->out, "SilentMs", node_ticks_ms(s->node, p->heard_ticks));
	mp_put_kv_uint(&s->out, "SnapshotOffset", p->snapshot_offset);
	mp_put_kv_uint(&s->out, "LastTerm", node_term_at(s->node, p->match));
	mp_put_kv_bool(&s->out, "Blank", p->blank);
}

static void
handle_peers(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct serve *s = serve_of(ctx);
	const struct configuration *configuration = node_configuration(s->node);
	struct node_status status = node_status(s->node);
	char id[UUID_TEXT_SIZE], contact[DURATION_TEXT_MAX];

	(void)args;
	buf_clear(&s->out);
	mp_put_map(&s->out, 8);
	mp_put_cstr(&s->out, "Servers");
	mp_put_array(&s->out, (uint32_t)configuration->count);
	for (size_t i = 0; i < configuration->count; i++) {
		const struct member *m = &configuration->members[i];
		struct raft_progress progress;
		bool led = node_progress(s->node, m->id, &progress);

		mp_put_map(&s->out, led ? 11 : 5);
		mp_put_kv_cstr(&s->out, "ID", raft_id_format(m->id, id));
		mp_put_kv_cstr(&s->out, "Address", node_address_of(s->node, m->id));
		mp_put_kv_cstr(&s->out, "Configured", m->address);
		mp_put_kv_bool(&s->out, "Voter", m->voter);
		mp_put_kv_bool(&s->out, "Leader", raft_id_equal(m->id, status.leader));
		if (led)
			progress_put(s, &progress);
	}
	mp_put_kv_uint(&s->out, "Index", node_configuration_index(s->node));
	mp_put_kv_uint(&s->out, "CommittedIndex", node_configuration_committed_index(s->node));
	mp_put_kv_uint(&s->out, "LastIndex", node_last_index(s->node));
	mp_put_kv_uint(&s->out, "LastTerm", node_last_term(s->node));
	mp_put_kv_cstr(&s->out, "LastContact", last_contact(s, contact));
	mp_put_kv_uint(&s->out, "HeartbeatMs", node_heartbeat_ms(s->node));
	mp_put_kv_uint(&s->out, "Life", node_life(s->node));
	ipc_reply(stream, buf_bytes(&s->out));
}

/* ---- the daemon ---- */

static void
on_turned(void *ctx)
{
	struct serve *s = ctx;

	if (s->node == NULL)
		return;
	for (size_t i = 0; i < s->status_count; i++)
		status_tell(&s->status[i]);
	serve_members_turn(s);
	for (size_t i = 0; i < s->pull_count;)
		if (pull_feed(s, &s->pulls[i]))
			i++;
	if (s->entries.size > PULL_BUFFER_KEEP)
		buf_free(&s->entries);
}

static const struct node_ops node_ops = {
    .turned = on_turned, .snapshot_wanted = on_snapshot_wanted, .ping = on_ping, .lease_is_free = on_lease_is_free};

static int
start(struct daemon *d)
{
	struct serve *s = daemon_state(d);

	s->daemon = d;
	serve_members_init(s);
	s->node = node_open(daemon_loop(d), daemon_conf(d), &node_ops, s);
	if (s->node == NULL)
		return -1;
	daemon_ready(d);
	return 0;
}

static void
commit(struct daemon *d, const struct conf *old)
{
	struct serve *s = daemon_state(d);

	(void)old;
	node_configure(s->node, daemon_conf(d));
}

static void
stop(struct daemon *d, bool leave)
{
	struct serve *s = daemon_state(d);

	(void)leave;
	node_stop(s->node);
	daemon_exit(d, 0);
}

static const struct ipc_method methods[] = {
    {"Raft.Status", handle_status},
    {"Raft.Contact", handle_contact},
    {"Raft.Propose", handle_propose},
    {"Raft.Pull", handle_pull},
    {"Raft.Snapshot", handle_snapshot},
    {"Raft.Stats", handle_stats},
    {"Raft.Peers", handle_peers},
    {"Raft.Accept", serve_accept},
    {"Raft.Addresses", serve_addresses},
    {"Raft.Bootstrap", serve_bootstrap},
    {"Raft.AddVoter", serve_add_voter},
    {"Raft.AddNonvoter", serve_add_nonvoter},
    {"Raft.Promote", serve_promote},
    {"Raft.Demote", serve_demote},
    {"Raft.RemovePeer", serve_remove},
    {"Raft.TransferLeadership", serve_transfer},
    {"Raft.ReadIndex", serve_read_index},
};

static const char *const syscalls[] = {"memfd_create", "pwrite64", "fallocate", "fdatasync", "fsync", "ftruncate",
    "flock", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "rmdir",
    /* the child that writes or checks a snapshot */
    "clone", "clone3", "fork", "vfork", "wait4", "pwritev", "close_range", "setpriority", "ioprio_set", NULL};

const struct daemon_ops raftd_ops = {
    .name = "raftd",
    .module = MODULE,
    .start = start,
    .commit = commit,
    .stop = stop,
    .methods = methods,
    .method_count = COUNTOF(methods),
    .syscalls = syscalls,
};

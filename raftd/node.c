/*
 * node.c - the shell around Raft (contract: node.h; caller: serve.c)
 *
 * A turn of the loop: what came in was given to raft.c by its handlers. Then, in an ev_prepare that runs before the connections
 * write: if no save is under way, everything Raft wants to keep goes to disk as one batch, and the sync helper gets its byte;
 * deliveries follow. What arrives while the disk is busy is the next batch. So a batch grows with the load, and one
 * client alone waits for one sync.
 *
 * Space: a proposal is accepted only when a preallocated segment has room for all that is accepted and not written. Without
 * space nothing is accepted, and a timer looks whether there is some again.
 *
 * An error of the disk (EIO) at a write or sync ends the process: what is on disk then only a new start can tell.
 */
#include "node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "duration.h"
#include "log.h"
#include "mem.h"
#include "node_internal.h"
#include "uuid.h"

/* Free for entries before writes are accepted again. */
#define SPACE_WANTED_BYTES (512u * 1024)
#define TAIL_KEEP_BYTES (256u * 1024)
#define PENDING_BYTES_MAX (24u * 1024 * 1024)
#define PENDING_ENTRIES_MAX 262144u
#define SPACE_RETRY_S 0.25
#define MARK_IDLE_S 0.2
#define SYNC_SLOW_S 1.0
#define SNAPSHOT_LOOK_S 1.0
#define SNAPSHOT_RETRY_S 10.0
/* A log that takes longer to apply or to read again than this is due for a snapshot, whatever the threshold says. */
#define REPLAY_NS_MAX (5u * (uint64_t)NS_PER_S)
#define REPLAY_ENTRY_NS (10 * (uint64_t)NS_PER_US) /* of those that were in the log at the start: a guess */
#define REPLAY_BYTES_MAX (256u * 1024 * 1024)

/* ---- log lines ---- */

void
node_log_role(struct node *n)
{
	static const char *const titles[] = {"Follower", "Candidate", "Leader"};
	enum raft_role role = raft_role(n->raft);
	uint64_t term = raft_term(n->raft);
	struct raft_id leader = raft_leader(n->raft);
	char node[128], leader_id[UUID_TEXT_SIZE] = "";

	if (role == n->role_told && term == n->term_told)
		return;
	if (n->role_told == RAFT_LEADER && role != RAFT_LEADER)
		/* it was in contact with a quorum until it stepped back, at most an election's time ago */
		contact_set(n->contact, (uint64_t)boottime_now().ns - ELECTION_TICKS * (uint64_t)n->tick_ns);
	snprintf(node, sizeof node, "Node at %s [%s]", n->address, titles[role]);
	if (!raft_id_is_none(leader))
		raft_id_format(leader, leader_id);
	switch (role) {
	case RAFT_FOLLOWER:
		log_info(MODULE, "entering follower state: follower=%s leader-address=%s leader-id=%s", log_quote(node),
		    node_address_of(n, leader), leader_id);
		break;
	case RAFT_CANDIDATE:
		log_info(MODULE, "entering candidate state: node=%s term=%" PRIu64, log_quote(node), term);
		break;
	case RAFT_LEADER:
		if (n->role_told != RAFT_CANDIDATE || n->term_told != term) /* all within one turn */
			log_info(MODULE, "entering candidate state: node=\"Node at %s [Candidate]\" term=%" PRIu64,
			    n->address, term);
		log_info(MODULE, "election won: term=%" PRIu64 " tally=%zu", term, raft_voter_count(n->raft) / 2 + 1);
		log_info(MODULE, "entering leader state: leader=%s", log_quote(node));
		break;
	}
	n->role_told = role;
	n->term_told = term;
}

NORETURN void
node_disk_failed(const struct node *n, const char *what)
{
	fatal(MODULE, "%s: %s; what the log holds is not known any more, starting again", n->log_path, what);
}

/* ---- space ---- */

bool
node_is_space_error(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

static void
space_lost(struct node *n, const char *reason)
{
	snprintf(n->space_error, sizeof n->space_error, "%s: %s", n->log_path, reason);
	if (!n->no_space)
		log_errorx(MODULE, "no space left for the log, writes are refused until there is: path=%s error=%s",
		    log_quote(n->log_path), log_quote(reason));
	n->no_space = true;
	if (!ev_is_active(&n->space))
		ev_timer_again(n->loop, &n->space);
}

static size_t
pending_entries(const struct node *n)
{
	return (size_t)(tail_last(n->tail) - MIN(raft_stable(n->raft), tail_last(n->tail)));
}

static void
on_space_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct node *n = w->data;

	(void)events;
	if (wal_reserve(n->wal, pending_entries(n) + 1, n->pending_bytes + SPACE_WANTED_BYTES) == -1)
		return;
	ev_timer_stop(loop, w);
	n->no_space = n->write_blocked = false;
	log_info(MODULE, "there is space for the log again, writes are accepted: path=%s", log_quote(n->log_path));
}

/* ---- saving ---- */

void
node_noop_take(struct node *n)
{
	uint64_t index = raft_noop(n->raft);

	if (index != 0)
		tail_put(n->tail, index, terms_at(raft_log(n->raft), index), WAL_NOOP, bytes_of(NULL, 0));
}

static void
on_saved(struct node *n)
{
	wal_synced(n->wal);
	raft_save_done(n->raft);
	node_noop_take(n);
	tail_trim(n->tail, raft_stable(n->raft), TAIL_KEEP_BYTES);
}

void
node_synced(void *ctx, int error)
{
	struct node *n = ctx;
	ev_tstamp took = ev_now(n->loop) - n->sync_begun;

	if (error == -1)
		fatalx(MODULE, "the sync helper has ended");
	if (error != 0) {
		errno = error;
		node_disk_failed(n, "fdatasync");
	}
	ev_timer_stop(n->loop, &n->slow);
	if (n->slow_told)
		log_warnx(MODULE, "the disk answers again: seconds=%.1f", took);
	n->slow_told = false;
	if (n->syncing_mark)
		wal_synced(n->wal);
	else
		on_saved(n);
}

static void
on_slow(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct node *n = w->data;

	(void)loop, (void)events;
	log_warnx(MODULE, "the disk has not confirmed a write for %.0f s, writes are waiting: path=%s", SYNC_SLOW_S,
	    log_quote(n->log_path));
	n->slow_told = true;
}

/* The written batch shall become durable; on_synced follows. */
static void
sync_begin(struct node *n, bool mark)
{
	uint64_t segment;
	bool directory;
	int fd = wal_sync_fd(n->wal, &segment, &directory);

	if (syncer_request(n->syncer, segment == n->synced_segment ? -1 : fd, directory) == -1)
		fatal(MODULE, "sync helper");
	n->synced_segment = segment;
	n->sync_begun = ev_now(n->loop);
	n->syncing_mark = mark;
	ev_timer_set(&n->slow, SYNC_SLOW_S, 0.);
	ev_timer_start(n->loop, &n->slow);
}

/* One batch to disk if there is something to keep. false: nothing was begun. */
static bool
save(struct node *n)
{
	uint8_t vote[WAL_ID_BYTES];
	struct raft_save s;
	size_t bytes = 0;

	if (n->write_blocked || (n->syncer != NULL && syncer_busy(n->syncer)) || !raft_save_begin(n->raft, &s))
		return false;
	raft_id_to_bytes(s.hard.vote, vote);
	wal_batch_begin(n->wal, s.hard.term, vote);
	for (uint64_t index = s.first; index <= s.last; index++) {
		struct tail_entry e = tail_get(n->tail, index);

		wal_batch_entry(n->wal, index, e.term, e.type, e.data);
		bytes += e.data.size;
	}
	if (wal_batch_write(n->wal) == -1) {
		if (!node_is_space_error(errno))
			node_disk_failed(n, "write");
		raft_save_failed(n->raft);
		n->write_blocked = true;
		space_lost(n, strerror(errno));
		return false;
	}
	/* what was cut off meanwhile was counted, too */
	n->pending_bytes = s.last == tail_last(n->tail) ? 0 : n->pending_bytes - MIN(bytes, n->pending_bytes);
	n->snapshot_bytes += bytes;
	if (!ev_is_active(&n->snapshot_timer))
		ev_timer_again(n->loop, &n->snapshot_timer);
	if (n->syncer == NULL)
		on_saved(n);
	else
		sync_begin(n, false);
	return true;
}

static void
on_mark(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct node *n = w->data;

	(void)loop, (void)events;
	if (n->syncer == NULL || syncer_busy(n->syncer) || wal_needs_sync(n->wal))
		return;
	wal_prepare(n->wal);
	if (wal_mark(n->wal) == -1) {
		if (!node_is_space_error(errno))
			node_disk_failed(n, "write");
		return;
	}
	if (wal_needs_sync(n->wal))
		sync_begin(n, true);
}

/* ---- the turn ---- */

void
node_time(struct node *n)
{
	raft_time(n->raft, (uint64_t)boottime_now().ns);
}

/* A leader that is the only member has nothing to wait for: an idle server sleeps. */
static void
ticks_arm(struct node *n)
{
	bool wanted = raft_configuration(n->raft)->count > 1 ||
		      (n->served && raft_role(n->raft) != RAFT_LEADER && raft_is_voter(n->raft, n->self));

	if (wanted && !ev_is_active(&n->tick))
		ev_timer_again(n->loop, &n->tick);
	else if (!wanted)
		ev_timer_stop(n->loop, &n->tick);
}

static void
on_prepare(struct ev_loop *loop, struct ev_prepare *w, int events)
{
	struct node *n = w->data;
	bool saved = false;

	(void)events;
	node_time(n);
	node_install_turn(n);
	node_recover_turn(n);
	/* without syncs a save is done at once and may lead to the next: vote, no-op, commit */
	while (save(n)) {
		saved = true;
		if (n->syncer != NULL)
			break;
	}
	if (saved && n->syncer != NULL) {
		ev_timer_set(&n->mark, MARK_IDLE_S, 0.);
		ev_timer_stop(loop, &n->mark);
		ev_timer_start(loop, &n->mark);
	}
	node_messages_send(n);
	node_log_role(n);
	ticks_arm(n);
	n->ops->turned(n->ctx);
}

static void
on_tick(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct node *n = w->data;

	(void)loop, (void)events;
	node_time(n);
	raft_tick(n->raft);
	node_lead_tick(n);
}

bool
node_is_backlogged(const struct node *n, size_t bytes)
{
	return n->pending_bytes + bytes > PENDING_BYTES_MAX;
}

enum node_refusal
node_propose(struct node *n, uint64_t term, const struct bytes *data, size_t count, uint64_t *index)
{
	size_t bytes = 0;

	if (raft_role(n->raft) != RAFT_LEADER || raft_transferring(n->raft))
		return NODE_NOT_LEADER;
	if (term != raft_term(n->raft))
		return NODE_TERM_CHANGED;
	for (size_t i = 0; i < count; i++)
		bytes += data[i].size;
	if (node_is_backlogged(n, bytes) || pending_entries(n) + count > PENDING_ENTRIES_MAX)
		return NODE_TOO_MUCH;
	if (n->no_space)
		return NODE_NO_SPACE;
	if (wal_reserve(n->wal, pending_entries(n) + count, n->pending_bytes + bytes) == -1) {
		space_lost(n, strerror(errno));
		return NODE_NO_SPACE;
	}
	*index = raft_propose(n->raft, (uint32_t)count);
	if (*index == 0) /* the removal of this leader is committed, and it steps back in this turn */
		return NODE_NOT_LEADER;
	for (size_t i = 0; i < count; i++)
		tail_put(n->tail, *index + i, term, WAL_DATA, data[i]);
	n->pending_bytes += bytes;
	return NODE_ACCEPTED;
}

uint64_t
node_deliverable(const struct node *n)
{
	return MIN(raft_commit(n->raft), raft_stable(n->raft));
}

/* ---- entries for Raft.Pull ---- */

struct read_into {
	struct buf *out;
	size_t bytes_max;
	int count;
};

static bool
on_entry_read(void *ctx, const struct wal_entry *e)
{
	struct read_into *into = ctx;
	size_t before = into->out->used;

	tail_element_put(into->out, e->index, e->term, e->type, e->data);
	if (into->out->used - before > into->bytes_max) {
		into->out->used = before;
		return false;
	}
	into->bytes_max -= into->out->used - before;
	into->count++;
	return true;
}

int
node_entries_put(struct node *n, uint64_t first, size_t bytes_max, struct buf *out)
{
	uint64_t last = node_deliverable(n);
	struct read_into into = {out, bytes_max, 0};
	char error[WAL_ERROR_MAX];

	if (first >= tail_first(n->tail))
		return (int)tail_elements_put(n->tail, first, last, bytes_max, out);
	/* up to where memory takes over */
	if (wal_read(n->wal, first, MIN(last, tail_first(n->tail) - 1), on_entry_read, &into, error) == -1) {
		log_errorx(MODULE, "the log can not be read: error=%s", log_quote(error));
		return -1;
	}
	return into.count;
}

/* ---- snapshots ---- */

uint64_t
node_snapshot_index(const struct node *n)
{
	return snapshots_count(n->snapshots) == 0 ? 0 : snapshots_at(n->snapshots, 0)->index;
}

void
node_snapshot_tell(struct node *n)
{
	const struct snapshot_meta *newest;

	if (snapshots_count(n->snapshots) == 0)
		return;
	newest = snapshots_at(n->snapshots, 0);
	raft_snapshot_set(n->raft, newest->index, newest->term, newest->size_bytes);
}

void
node_applied(struct node *n, uint64_t total_ns)
{
	if (n->applied_ns != UINT64_MAX)
		n->replay_ns += total_ns >= n->applied_ns ? total_ns - n->applied_ns : total_ns;
	n->applied_ns = total_ns;
}

static bool
replay_is_long(const struct node *n)
{
	return n->replay_ns >= REPLAY_NS_MAX || n->snapshot_bytes >= REPLAY_BYTES_MAX;
}

/* A new snapshot would remove what a follower is being sent. */
static bool
oldest_is_sent(const struct node *n)
{
	size_t count = snapshots_count(n->snapshots);

	return count >= SNAPSHOTS_KEPT && raft_snapshot_used(n->raft, snapshots_at(n->snapshots, count - 1)->index);
}

static void
on_snapshot_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct node *n = w->data;
	uint64_t entries = node_deliverable(n) - MIN(node_snapshot_index(n), node_deliverable(n));
	bool look = ev_now(loop) >= n->snapshot_due;

	(void)events;
	if (look) /* one to two intervals, so that servers do not all do it at once */
		n->snapshot_due =
		    ev_now(loop) + (double)n->snapshot_interval_ns / 1e9 * (1 + (double)random_below(1000) / 1000);
	n->ops->ping(n->ctx); /* the answer counts at the next look */
	if (entries < n->snapshot_threshold && !replay_is_long(n)) {
		ev_timer_stop(loop, w); /* the next save starts it again */
		return;
	}
	if (n->snapshotting || snapshots_busy(n->snapshots) || n->install != INSTALL_NONE ||
	    ev_now(loop) < n->snapshot_retry || oldest_is_sent(n))
		return;
	if (!(look && entries >= n->snapshot_threshold) && !replay_is_long(n))
		return;
	n->snapshotting = true;
	n->replay_ns_wanted = n->replay_ns;
	n->ops->snapshot_wanted(n->ctx);
}

void
node_log_shorten(struct node *n)
{
	uint64_t index = node_snapshot_index(n);
	int dropped;

	if (index <= n->trailing_logs)
		return;
	dropped = wal_drop(n->wal, index - n->trailing_logs);
	if (dropped == -1)
		log_warn(MODULE, "old log segments can not be removed: path=%s", log_quote(n->log_path));
	if (wal_terms(n->wal)->base_index > raft_log(n->raft)->base_index) {
		raft_compact(n->raft, wal_terms(n->wal)->base_index);
		log_info(MODULE, "compacting logs: to=%" PRIu64, wal_terms(n->wal)->base_index);
	}
}

static void
on_snapshot_saved(void *ctx, const char *error)
{
	struct node *n = ctx;

	if (error != NULL) {
		node_snapshot_failed(n);
		log_errorx(MODULE, "failed to take snapshot, the log is kept: error=%s", log_quote(error));
		return;
	}
	n->snapshotting = false;
	n->snapshot_bytes = 0;
	n->replay_ns -= n->replay_ns_wanted;
	n->replay_ns_wanted = 0;
	node_snapshot_tell(n);
	log_info(MODULE, "snapshot complete up to: index=%" PRIu64, node_snapshot_index(n));
	node_log_shorten(n);
}

void
node_snapshot_take(struct node *n, int fd, uint64_t index, uint64_t term)
{
	struct snapshot_meta meta = {.index = index, .term = term, .time_ms = (uint64_t)(walltime_ns() / NS_PER_MS)};
	struct node_configuration configuration;

	if (n->install != INSTALL_NONE || index <= node_snapshot_index(n) || index > node_deliverable(n) ||
	    (index >= raft_log(n->raft)->base_index && terms_at(raft_log(n->raft), index) != term)) {
		log_warnx(MODULE,
		    "snapshot of the state machine not taken, it is not one of this log: index=%" PRIu64
		    " term=%" PRIu64,
		    index, term);
		close(fd);
		node_snapshot_failed(n);
		return;
	}
	if (node_configuration_read(n, index, &configuration) == -1) {
		close(fd);
		node_snapshot_failed(n);
		return;
	}
	log_info(MODULE, "starting snapshot up to: index=%" PRIu64, index);
	meta.configuration = configuration.content;
	meta.configuration_index = configuration.index;
	memcpy(meta.log_id, n->log_id, sizeof meta.log_id);
	snapshots_save(n->snapshots, fd, &meta, on_snapshot_saved, n);
}

void
node_snapshot_failed(struct node *n)
{
	n->snapshotting = false;
	n->snapshot_retry = ev_now(n->loop) + SNAPSHOT_RETRY_S;
}

struct snapshots *
node_snapshots(struct node *n)
{
	return n->snapshots;
}

/* ---- state ---- */

struct node_status
node_status(const struct node *n)
{
	return (struct node_status){raft_role(n->raft), raft_term(n->raft), raft_leader(n->raft), n->no_space,
	    n->lease_hidden ? 0 : raft_lease_until(n->raft), n->addresses_version};
}

/* Not each round that makes it longer: only when half of what was told is over. */
bool
node_lease_is_news(const struct node *n, uint64_t told)
{
	uint64_t now = node_status(n).lease_until, half = (uint64_t)n->tick_ns * LEASE_TICKS / 2;

	return now < told || (now > told && told < (uint64_t)boottime_now().ns + half);
}

bool
node_progress(const struct node *n, struct raft_id id, struct raft_progress *out)
{
	return raft_progress(n->raft, id, out);
}

uint64_t
node_ticks_ms(const struct node *n, uint32_t ticks)
{
	return (uint64_t)(n->tick_ns / NS_PER_MS) * ticks;
}

uint64_t
node_heartbeat_ms(const struct node *n)
{
	return node_ticks_ms(n, HEARTBEAT_TICKS);
}

const char *
node_space_error(const struct node *n)
{
	return n->space_error;
}

uint64_t
node_first_index(const struct node *n)
{
	return raft_log(n->raft)->base_index + 1;
}

uint64_t
node_last_index(const struct node *n)
{
	return raft_log(n->raft)->last;
}

uint64_t
node_last_term(const struct node *n)
{
	return terms_last_term(raft_log(n->raft));
}

const char *
node_id(const struct node *n)
{
	return n->id_text;
}

const char *
node_log_id(const struct node *n)
{
	return n->log_id;
}

const struct node_configuration *
node_configuration_at(const struct node *n, uint64_t limit)
{
	for (size_t i = n->configuration_count; i > 0; i--)
		if (n->configurations[i - 1].index <= limit)
			return &n->configurations[i - 1];
	return NULL;
}

const struct configuration *
node_configuration(const struct node *n)
{
	static const struct configuration none;
	const struct node_configuration *latest = node_configuration_at(n, UINT64_MAX);

	return latest == NULL ? &none : &latest->content;
}

uint64_t
node_configuration_index(const struct node *n)
{
	const struct node_configuration *latest = node_configuration_at(n, UINT64_MAX);

	return latest == NULL ? 0 : latest->index;
}

/* ---- hooks ---- */

void
node_watch(struct node *n)
{
	ev_prepare_init(&n->prepare, on_prepare);
	/* before the connections write, which is at the lowest priority */
	ev_set_priority(&n->prepare, 0);
	ev_init(&n->tick, on_tick);
	n->tick.repeat = (double)n->tick_ns / 1e9;
	ev_init(&n->mark, on_mark);
	ev_init(&n->slow, on_slow);
	ev_init(&n->space, on_space_timer);
	n->space.repeat = SPACE_RETRY_S;
	ev_init(&n->snapshot_timer, on_snapshot_timer);
	n->snapshot_timer.repeat = SNAPSHOT_LOOK_S;
	n->prepare.data = n->tick.data = n->mark.data = n->slow.data = n->space.data = n->snapshot_timer.data = n;
	ev_prepare_start(n->loop, &n->prepare);
	n->snapshot_due = ev_now(n->loop) + (double)n->snapshot_interval_ns / 1e9;
	n->applied_ns = UINT64_MAX;
	n->replay_ns = (node_last_index(n) - MIN(node_snapshot_index(n), node_last_index(n))) * REPLAY_ENTRY_NS;
	ev_timer_again(n->loop, &n->snapshot_timer); /* the log may be long already */
}

void
node_unwatch(struct node *n)
{
	ev_prepare_stop(n->loop, &n->prepare);
	ev_timer_stop(n->loop, &n->tick);
	ev_timer_stop(n->loop, &n->mark);
	ev_timer_stop(n->loop, &n->slow);
	ev_timer_stop(n->loop, &n->space);
	ev_timer_stop(n->loop, &n->snapshot_timer);
}

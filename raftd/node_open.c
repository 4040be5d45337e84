/*
 * node_open.c - opening the node: directories, log, snapshots, configuration, sync helper (contract: node.h; caller: serve.c)
 *
 * Log and snapshots are read and held against each other before anything is written. What does not fit together is refused with the
 * reason and the remedy: a server that goes on without what it acknowledged would do more harm than one that is away.
 */
#include "node_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "duration.h"
#include "log.h"
#include "mem.h"
#include "uuid.h"

#define SEGMENT_BYTES (16u * 1024 * 1024)
#define SEGMENT_BYTES_DEV (1u * 1024 * 1024)
#define LOCK_WAIT_S 5.0
#define TICK_NS_PER_MULTIPLIER (10 * NS_PER_MS)
#define TICK_NS_MIN (15 * NS_PER_MS)
#define LEASE_MAX_NS ((uint64_t)(800 * NS_PER_MS)) /* that of multiplier 10, the largest: members may differ */

/* ---- opening ---- */

static int
directory_open(const char *path)
{
	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The name of the directory itself, when this start has made it (or one that died before this). */
static int
parent_sync(int dir)
{
	int fd = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;

	if (fd == -1) /* whoever may not read it has not made anything in it */
		return errno == EACCES ? 0 : -1;
	result = fsync(fd);
	close(fd);
	return result;
}

static int
directories_open(struct node *n, const char *path)
{
	n->raft_path = xstrdup(path);
	n->log_path = xasprintf("%s/log", path);
	n->raft_dir = directory_open(n->raft_path);
	if (n->raft_dir == -1 || (!n->dev && parent_sync(n->raft_dir) == -1)) {
		log_error(MODULE, "failed to open the raft directory: path=%s", log_quote(n->raft_path));
		return -1;
	}
	n->log_dir = directory_open(n->log_path);
	if (n->log_dir == -1 || (!n->dev && fsync(n->raft_dir) == -1)) {
		log_error(MODULE, "failed to open the log directory: path=%s", log_quote(n->log_path));
		return -1;
	}
	return 0;
}

/* A raftd that was just killed may hold the lock for a moment still. */
static struct wal *
wal_open_patiently(struct node *n, bool create)
{
	const struct wal_options options = {
	    .io = wal_io_directory(&n->log_dir),
	    .path = n->log_path,
	    .segment_bytes = n->dev ? SEGMENT_BYTES_DEV : SEGMENT_BYTES,
	    .no_sync = n->dev,
	};
	struct monotime start = monotime_now();
	char error[WAL_ERROR_MAX];
	struct wal *w;

	while ((w = wal_open(&options, create, error)) == NULL && errno == EWOULDBLOCK &&
	       monotime_since_ns(start) < (int64_t)(LOCK_WAIT_S * 1e9))
		ev_sleep(0.01);
	if (w == NULL && errno == EWOULDBLOCK)
		fatalx(MODULE, "%s", error);
	if (w == NULL && node_is_space_error(errno))
		fatalx(MODULE, "failed to start Raft: %s", error);
	if (w == NULL)
		log_errorx(MODULE, "failed to start Raft: error=%s", log_quote(error));
	return w;
}

/* The log and the snapshots must belong together. */
static int
recovery_check(struct node *n)
{
	static const struct snapshot_meta none;
	const struct terms *log = wal_terms(n->wal);
	const struct snapshot_meta *snapshot =
	    snapshots_count(n->snapshots) == 0 ? &none : snapshots_at(n->snapshots, 0);

	if (snapshots_odd(n->snapshots) != NULL)
		log_warnx(MODULE, "not a snapshot, left alone: %s", snapshots_odd(n->snapshots));
	switch (snapshot_fit(snapshot, log)) {
	case SNAPSHOT_FITS:
		return 0;
	case SNAPSHOT_AHEAD:
		log_info(MODULE, "the log goes on from a snapshot that was received: index=%" PRIu64, snapshot->index);
		if (wal_snapshot(n->wal, snapshot->index, snapshot->term) == 0 && wal_sync(n->wal) == 0)
			return 0;
		if (node_is_space_error(errno))
			fatal(MODULE, "failed to start Raft: %s", n->log_path);
		log_error(MODULE, "failed to start Raft: path=%s", log_quote(n->log_path));
		return -1;
	case SNAPSHOT_TOO_OLD:
		log_errorx(MODULE,
		    "failed to start Raft: the log begins behind entry %" PRIu64
		    " and no snapshot holds what was before; restore the data directory from a backup, or move "
		    "it away and let the server join as a new one: path=%s",
		    log->base_index, log_quote(n->raft_path));
		return -1;
	case SNAPSHOT_LOG_SHORT:
		log_errorx(MODULE,
		    "failed to start Raft: the log ends with entry %" PRIu64 ", but a snapshot up to %" PRIu64
		    " was taken of it: acknowledged writes are missing; restore the "
		    "data directory from a backup, or move it away and let the server join as a new one: path=%s",
		    log->last, snapshot->index, log_quote(n->raft_path));
		return -1;
	}
	return -1;
}

static bool
on_configuration_read(void *ctx, const struct wal_entry *e)
{
	struct node_configuration *c = ctx;

	if (configuration_decode(e->data, &c->content) == 0)
		c->index = e->index;
	return false;
}

/* Room for one more at the list's end. */
static struct node_configuration *
configuration_add(struct node *n)
{
	n->configurations = xreallocarray(n->configurations, n->configuration_count + 1, sizeof *n->configurations);
	n->configurations[n->configuration_count] = (struct node_configuration){0};
	return &n->configurations[n->configuration_count++];
}

static int
configuration_read(struct node *n, uint64_t index)
{
	struct node_configuration *c = configuration_add(n);
	char error[WAL_ERROR_MAX];

	if (wal_read(n->wal, index, index, on_configuration_read, c, error) == -1) {
		log_errorx(MODULE, "failed to start Raft: error=%s", log_quote(error));
		return -1;
	}
	if (c->index == index)
		return 0;
	log_errorx(MODULE, "failed to start Raft: entry %" PRIu64 " of the log is not a configuration: path=%s", index,
	    log_quote(n->log_path));
	return -1;
}

/* All that may still be cut off, and the one before them: in the log, or in the snapshot. */
static int
configurations_recover(struct node *n)
{
	uint64_t indexes[RAFT_CONFIGURATIONS_MAX], limit = UINT64_MAX, index;
	const struct snapshot_meta *snapshot =
	    snapshots_count(n->snapshots) == 0 ? NULL : snapshots_at(n->snapshots, 0);
	size_t count = 0;

	while (count < RAFT_CONFIGURATIONS_MAX && limit > node_snapshot_index(n) &&
	       (index = wal_configuration_index(n->wal, limit)) != 0) {
		indexes[count++] = index;
		limit = index - 1;
	}
	if (snapshot != NULL && (count == 0 || indexes[count - 1] > snapshot->index))
		*configuration_add(n) =
		    (struct node_configuration){snapshot->configuration_index, snapshot->configuration};
	while (count > 0)
		if (configuration_read(n, indexes[--count]) == -1)
			return -1;
	return 0;
}

/* A member is its ID: our own address is what we have now. */
static void
own_address_set(struct node *n)
{
	for (size_t i = 0; i < n->configuration_count; i++) {
		struct configuration *c = &n->configurations[i].content;

		for (size_t k = 0; k < c->count; k++)
			if (raft_id_equal(c->members[k].id, n->self))
				snprintf(c->members[k].address, MEMBER_ADDRESS_MAX, "%s", n->address);
	}
}

static void
configuration_log(const struct node *n)
{
	struct buf text = BUF_INIT(64 * 1024);

	configuration_print(node_configuration(n), &text);
	buf_put_u8(&text, '\0');
	log_info(MODULE, "initial configuration: index=%" PRIu64 " servers=\"%s\"", node_configuration_index(n),
	    text.overflow ? "..." : (const char *)text.data);
	buf_free(&text);
}

int
node_bootstrap_write(struct node *n, const struct configuration *first)
{
	static const uint8_t nobody[WAL_ID_BYTES];
	struct buf data = BUF_INIT(64 * 1024);
	int result;

	if (configuration_find(first, n->self)->life == 0 && node_life_drop(n) == -1)
		return -1;
	configuration_encode(first, &data);
	wal_batch_begin(n->wal, 1, nobody);
	wal_batch_entry(n->wal, 1, 1, WAL_CONFIGURATION, buf_bytes(&data));
	buf_free(&data);
	result = wal_batch_write(n->wal) == -1 ? -1 : wal_sync(n->wal);
	n->fresh |= result == 0;
	return result;
}

/* An empty log and nobody else to ask: this server alone is the cluster. */
static int
bootstrap(struct node *n)
{
	struct configuration own = {.count = 1, .cluster = raft_id_from_bytes(wal_id(n->wal))};

	own.members[0] = (struct member){.id = n->self, .voter = true};
	snprintf(own.members[0].address, MEMBER_ADDRESS_MAX, "%s", n->address);
	if (node_bootstrap_write(n, &own) == 0)
		return 0;
	log_error(MODULE, "failed to bootstrap: path=%s", log_quote(n->log_path));
	return -1;
}

static uint64_t
random_of(void *ctx, uint64_t below)
{
	(void)ctx;
	return random_below(below);
}

/* From memory, or by the log's index. */
static uint32_t
entry_bytes(void *ctx, uint64_t index)
{
	const struct node *n = ctx;

	return index >= tail_first(n->tail) ? (uint32_t)tail_get(n->tail, index).data.size
					    : wal_entry_bytes(n->wal, index);
}

void
node_raft_start(struct node *n)
{
	struct raft_configuration configurations[RAFT_CONFIGURATIONS_MAX + 1];
	struct raft_params params = {
	    .self = n->self,
	    .configurations = configurations,
	    .configuration_count = n->configuration_count,
	    .election_ticks = ELECTION_TICKS,
	    .heartbeat_ticks = HEARTBEAT_TICKS,
	    .entry_bytes = entry_bytes,
	    .entry_ctx = n,
	    .lease_ns = (uint64_t)n->tick_ns * LEASE_TICKS,
	    .lease_max_ns = LEASE_MAX_NS,
	    .now = (uint64_t)boottime_now().ns,
	    .tick_ns = (uint64_t)n->tick_ns,
	    .random = random_of,
	    .hard = {wal_term(n->wal), raft_id_from_bytes(wal_vote(n->wal))},
	    .log = wal_terms(n->wal),
	    .commit = node_snapshot_index(n),
	    .fresh = n->fresh,
	    .life = n->life,
	};

	for (size_t i = 0; i < n->configuration_count; i++)
		configuration_members(&n->configurations[i].content, n->configurations[i].index, &configurations[i]);
	n->raft = raft_new(&params);
	node_snapshot_tell(n);
	n->tail = tail_new(raft_log(n->raft)->last);
	n->term_told = UINT64_MAX;
	node_log_role(n);
	if (raft_voter_count(n->raft) == 0)
		log_warnx(MODULE, "no known peers, aborting election");
	else if (!raft_is_voter(n->raft, n->self))
		log_errorx(MODULE,
		    "this node is not a voter of the configuration in its log, it will not become leader: node-id=%s",
		    n->id_text);
}

/*
 * raft_multiplier 5, the default: an election after 500 to 1000 ms without a leader, a lease of 400 ms; never below 150 ms. A lease ends
 * before the first election begins, with the bound on the clocks' drift (raft.h) taken into account.
 */
static void
timing_take(struct node *n, const struct conf *conf)
{
	n->tick_ns = MAX(conf_int(conf, "performance.raft_multiplier", 5) * TICK_NS_PER_MULTIPLIER, TICK_NS_MIN);
}

void
node_configure(struct node *n, const struct conf *conf)
{
	n->snapshot_threshold = (uint64_t)MAX(conf_int(conf, "raft_snapshot_threshold", 16384), 1);
	n->trailing_logs = (uint64_t)MAX(conf_int(conf, "raft_trailing_logs", 10240), 0);
	n->snapshot_interval_ns = MAX(conf_duration(conf, "raft_snapshot_interval", 30 * NS_PER_S), NS_PER_S);
	/* a shorter interval does not wait for the end of the longer one */
	n->snapshot_due = MIN(n->snapshot_due, ev_now(n->loop) + (double)n->snapshot_interval_ns / 1e9);
}

/* Who we are, from the configuration. */
static int
identity_take(struct node *n, const struct conf *conf)
{
	const char *address = conf_str(conf, "advertise_addr", "127.0.0.1");
	bool v6 = strchr(address, ':') != NULL;

	snprintf(n->id_text, sizeof n->id_text, "%s", conf_str(conf, "node_id", ""));
	if (raft_id_parse(n->id_text, &n->self) == -1) {
		log_errorx(MODULE, "failed to start Raft: node_id is not a UUID: node_id=%s", log_quote(n->id_text));
		return -1;
	}
	snprintf(n->address, sizeof n->address, "%s%s%s:%" PRId64, v6 ? "[" : "", address, v6 ? "]" : "",
	    conf_int(conf, "ports.server", 8300));
	return 0;
}

/* Everything that may fail for good. */
static int
recover(struct node *n, const struct conf *conf)
{
	bool bootstraps = n->dev || conf_bool(conf, "bootstrap", false) || conf_int(conf, "bootstrap_expect", 0) == 1;
	char error[SNAPSHOT_ERROR_MAX];

	timing_take(n, conf);
	if (identity_take(n, conf) == -1 || directories_open(n, conf_str(conf, "consuld.raft_dir", "raft")) == -1)
		return -1;
	n->snapshots = snapshots_open(n->loop, n->raft_dir, n->dev, error);
	if (n->snapshots == NULL) {
		log_errorx(MODULE, "failed to start Raft: error=%s", log_quote(error));
		return -1;
	}
	/* with snapshots there was a log: making a new one would hide its loss */
	n->wal = wal_open_patiently(n, snapshots_count(n->snapshots) == 0);
	if (n->wal == NULL || recovery_check(n) == -1)
		return -1;
	raft_id_format(raft_id_from_bytes(wal_id(n->wal)), n->log_id);
	if (wal_torn(n->wal) != NULL)
		log_warnx(MODULE, "the end of the log was cut off, it was never acknowledged: %s", wal_torn(n->wal));
	if (node_life_open(n) == -1)
		return -1;
	if (bootstraps && wal_terms(n->wal)->last == 0 && wal_term(n->wal) == 0 && bootstrap(n) == -1)
		return -1;
	if ((!n->dev && node_recover_open(n) == -1) || configurations_recover(n) == -1)
		return -1;
	node_recover_configurations(n);
	own_address_set(n);
	configuration_log(n);
	return 0;
}

struct node *
node_open(struct ev_loop *loop, const struct conf *conf, const struct node_ops *ops, void *ctx)
{
	struct node *n = xcalloc(1, sizeof *n);

	n->loop = loop;
	n->ops = ops;
	n->ctx = ctx;
	n->raft_dir = n->log_dir = -1;
	n->dev = conf_bool(conf, "consuld.dev", false);
	node_configure(n, conf);
	n->contact = contact_new();
	if (n->contact == NULL)
		fatal(MODULE, "memory shared with catalogd");
	if (recover(n, conf) == -1) {
		node_free(n);
		return NULL;
	}
	if (!n->dev) {
		n->syncer = syncer_start(loop, n->log_dir, node_synced, n);
		if (n->syncer == NULL)
			fatal(MODULE, "sync helper");
	}
	node_raft_start(n);
	node_transport_open(n);
	node_watch(n);
	return n;
}

void
node_stop(struct node *n)
{
	node_unwatch(n);
	node_transport_close(n);
	syncer_free(n->syncer);
	n->syncer = NULL;
	if (!n->dev && (wal_sync(n->wal) == -1 || wal_mark(n->wal) == -1 || wal_sync(n->wal) == -1))
		log_warn(MODULE, "the log was not marked as synced: path=%s", log_quote(n->log_path));
}

void
node_free(struct node *n)
{
	if (n == NULL)
		return;
	node_transport_free(n);
	snapshots_free(n->snapshots);
	raft_free(n->raft);
	tail_free(n->tail);
	wal_close(n->wal);
	if (n->log_dir != -1)
		close(n->log_dir);
	if (n->raft_dir != -1)
		close(n->raft_dir);
	contact_free(n->contact);
	free(n->configurations);
	free(n->raft_path);
	free(n->log_path);
	free(n);
}

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
	const struct terms *log = wal_terms(n->wal);
	const struct snapshot_meta *snapshot =
	    snapshots_count(n->snapshots) == 0 ? NULL : snapshots_at(n->snapshots, 0);

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
	struct node *n = ctx;

	if (configuration_decode(e->data, &n->configuration) == -1)
		n->configuration_index = 0;
	return false;
}

/* The newest configuration: in the log, or in the snapshot. */
static int
configuration_recover(struct node *n)
{
	char error[WAL_ERROR_MAX];
	struct buf text = BUF_INIT(64 * 1024);
	uint64_t index = wal_configuration_index(n->wal, UINT64_MAX);

	if (index == 0) {
		if (snapshots_count(n->snapshots) > 0) {
			n->configuration = snapshots_at(n->snapshots, 0)->configuration;
			n->configuration_index = snapshots_at(n->snapshots, 0)->configuration_index;
		}
	} else {
		n->configuration_index = index;
		if (wal_read(n->wal, index, index, on_configuration_read, n, error) == -1) {
			log_errorx(MODULE, "failed to start Raft: error=%s", log_quote(error));
			return -1;
		}
		if (n->configuration_index == 0) {
			log_errorx(MODULE,
			    "failed to start Raft: entry %" PRIu64 " of the log is not a configuration: path=%s", index,
			    log_quote(n->log_path));
			return -1;
		}
	}
	/* a member is its ID: its own address is what it has now */
	for (size_t i = 0; i < n->configuration.count; i++)
		if (raft_id_equal(n->configuration.members[i].id, n->self))
			snprintf(n->configuration.members[i].address, MEMBER_ADDRESS_MAX, "%s", n->address);
	configuration_print(&n->configuration, &text);
	buf_put_u8(&text, '\0');
	log_info(MODULE, "initial configuration: index=%" PRIu64 " servers=\"%s\"", n->configuration_index,
	    text.overflow ? "..." : (const char *)text.data);
	buf_free(&text);
	return 0;
}

/* An empty log and nobody else to ask: this server alone is the cluster. */
static int
bootstrap(struct node *n)
{
	static const uint8_t nobody[WAL_ID_BYTES];
	struct configuration own = {.count = 1};
	struct buf data = BUF_INIT(1024);

	own.members[0] = (struct member){.id = n->self, .voter = true};
	snprintf(own.members[0].address, MEMBER_ADDRESS_MAX, "%s", n->address);
	configuration_encode(&own, &data);
	wal_batch_begin(n->wal, 1, nobody);
	wal_batch_entry(n->wal, 1, 1, WAL_CONFIGURATION, buf_bytes(&data));
	buf_free(&data);
	if (wal_batch_write(n->wal) == -1 || wal_sync(n->wal) == -1) {
		log_error(MODULE, "failed to bootstrap: path=%s", log_quote(n->log_path));
		return -1;
	}
	return 0;
}

static uint64_t
random_of(void *ctx, uint64_t below)
{
	(void)ctx;
	return random_below(below);
}

static void
raft_start(struct node *n)
{
	struct raft_configuration configuration;
	struct raft_params params = {
	    .self = n->self,
	    .configurations = &configuration,
	    .configuration_count = 1,
	    .election_ticks = 10,
	    .heartbeat_ticks = 2,
	    .random = random_of,
	    .hard = {wal_term(n->wal), raft_id_from_bytes(wal_vote(n->wal))},
	    .log = wal_terms(n->wal),
	    .commit = node_snapshot_index(n),
	};

	configuration_members(&n->configuration, n->configuration_index, &configuration);
	n->raft = raft_new(&params);
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
	if (bootstraps && wal_terms(n->wal)->last == 0 && wal_term(n->wal) == 0 && bootstrap(n) == -1)
		return -1;
	return configuration_recover(n);
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
	if (recover(n, conf) == -1) {
		node_free(n);
		return NULL;
	}
	if (!n->dev) {
		n->syncer = syncer_start(loop, n->log_dir, node_synced, n);
		if (n->syncer == NULL)
			fatal(MODULE, "sync helper");
	}
	raft_start(n);
	node_watch(n, conf);
	return n;
}

void
node_stop(struct node *n)
{
	node_unwatch(n);
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
	snapshots_free(n->snapshots);
	raft_free(n->raft);
	tail_free(n->tail);
	wal_close(n->wal);
	if (n->log_dir != -1)
		close(n->log_dir);
	if (n->raft_dir != -1)
		close(n->raft_dir);
	free(n->raft_path);
	free(n->log_path);
	free(n);
}

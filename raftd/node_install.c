/*
 * node_install.c - snapshots between servers: chunks to followers, and what comes from the leader (contract: node_internal.h; callers: node.c, node_peers.c)
 *
 * A snapshot that comes is written as its chunks arrive; when it is whole a helper process compares its checksum and makes it durable. Then,
 * in a turn in which the log is not being written, the log is told: it keeps what follows the snapshot, or is emptied. Whoever
 * applies entries finds that the log begins behind what it has, and asks for the snapshot.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "mp.h"
#include "node_internal.h"

#define META_BYTES_MAX (256u * 1024)
#define RECEIVE_IDLE_NS (10 * NS_PER_S) /* much longer than a leader waits before it sends a chunk again */

static void
meta_put(const struct snapshot_meta *meta, struct buf *out)
{
	mp_put_map(out, 7);
	mp_put_kv_uint(out, "Index", meta->index);
	mp_put_kv_uint(out, "Term", meta->term);
	mp_put_kv_uint(out, "Size", meta->size_bytes);
	mp_put_kv_uint(out, "CRC", meta->crc);
	mp_put_kv_uint(out, "TimeMS", meta->time_ms);
	mp_put_kv_uint(out, "ConfigurationIndex", meta->configuration_index);
	mp_put_cstr(out, "Configuration");
	configuration_encode(&meta->configuration, out);
}

static int
meta_get(struct bytes bytes, struct snapshot_meta *out)
{
	*out = (struct snapshot_meta){.index = mp_find_uint(bytes, "Index"),
	    .term = mp_find_uint(bytes, "Term"),
	    .size_bytes = mp_find_uint(bytes, "Size"),
	    .crc = (uint32_t)mp_find_uint(bytes, "CRC"),
	    .time_ms = mp_find_uint(bytes, "TimeMS"),
	    .configuration_index = mp_find_uint(bytes, "ConfigurationIndex"),
	    .received = true};
	return configuration_decode(mp_find_raw(bytes, "Configuration"), &out->configuration);
}

/* ---- to a follower ---- */

bool
node_chunk_put(struct node *n, const struct raft_message *m, struct buf *out)
{
	const struct snapshot_meta *meta = NULL;
	struct buf text = BUF_INIT(META_BYTES_MAX), chunk = BUF_INIT(SNAPSHOT_CHUNK_BYTES_MAX);
	bool good;
	size_t i;

	for (i = 0; i < snapshots_count(n->snapshots) && meta == NULL; i++) {
		const struct snapshot_meta *at = snapshots_at(n->snapshots, i);

		if (at->index == m->index && at->term == m->log_term && at->size_bytes == m->size)
			meta = at;
	}
	good = meta != NULL && buf_reserve(&chunk, m->bytes) == 0 &&
	       snapshots_read(n->snapshots, i - 1, m->offset, chunk.data, m->bytes) == 0;
	if (good) {
		buf_commit(&chunk, m->bytes);
		if (m->offset == 0)
			meta_put(meta, &text);
		message_encode_chunk(m, buf_bytes(&text), buf_bytes(&chunk), out);
	} else {
		if (meta != NULL)
			log_error(MODULE, "a snapshot can not be read, it is not sent: index=%" PRIu64, m->index);
		raft_snapshot_gone(n->raft, m->index);
	}
	buf_free(&text);
	buf_free(&chunk);
	return good;
}

/* ---- from the leader ---- */

static void
refuse(struct node *n, const struct raft_message *m, const char *error)
{
	log_errorx(MODULE, "failed to receive a snapshot: index=%" PRIu64 " error=%s", m->index, log_quote(error));
	raft_snapshot_refused(n->raft, m->index, m->log_term);
}

/* false: refused. */
static bool
receive_begin(struct node *n, const struct message_in *in)
{
	const struct raft_message *m = &in->message;
	char error[SNAPSHOT_ERROR_MAX];

	n->install = INSTALL_NONE;
	if (meta_get(in->meta, &n->incoming) == -1 || n->incoming.index != m->index ||
	    n->incoming.term != m->log_term || n->incoming.size_bytes != m->size) {
		refuse(n, m, "what describes it is not that");
		return false;
	}
	memcpy(n->incoming.log_id, n->log_id, sizeof n->incoming.log_id);
	if (snapshots_receive_begin(n->snapshots, &n->incoming, error) == -1) {
		refuse(n, m, error);
		return false;
	}
	log_info(MODULE, "receiving a snapshot: index=%" PRIu64 " term=%" PRIu64 " bytes=%" PRIu64, m->index,
	    m->log_term, m->size);
	n->install = INSTALL_RECEIVING;
	return true;
}

void
node_chunk_take(struct node *n, const struct message_in *in)
{
	const struct raft_message *m = &in->message;
	uint64_t end = m->offset + m->bytes;
	char error[SNAPSHOT_ERROR_MAX];

	/* the former one has to be done first: the sender tries again */
	if (n->install == INSTALL_FINISHING || n->install == INSTALL_DURABLE) {
		raft_snapshot_refused(n->raft, m->index, m->log_term);
		return;
	}
	if (m->offset == 0 && !receive_begin(n, in))
		return;
	if (n->install != INSTALL_RECEIVING) {
		raft_snapshot_refused(n->raft, m->index, m->log_term);
		return;
	}
	n->chunk_time = monotime_now();
	if (snapshots_receive_chunk(n->snapshots, m->offset, in->data, error) == -1) {
		snapshots_receive_abort(n->snapshots);
		n->install = INSTALL_NONE;
		refuse(n, m, error);
		return;
	}
	if (end < m->size)
		raft_snapshot_chunk_done(n->raft, m->index, m->log_term, end);
	else
		n->install = INSTALL_WHOLE;
}

static void
on_received(void *ctx, const char *error)
{
	struct node *n = ctx;

	if (error == NULL) {
		n->install = INSTALL_DURABLE;
		return;
	}
	n->install = INSTALL_NONE;
	log_errorx(
	    MODULE, "failed to receive a snapshot: index=%" PRIu64 " error=%s", n->incoming.index, log_quote(error));
	raft_snapshot_refused(n->raft, n->incoming.index, n->incoming.term);
}

/* The log on disk is emptied. Rare, and short: it may block. */
static void
log_reset(struct node *n)
{
	if (wal_reset(n->wal, n->incoming.index, n->incoming.term) == 0 && wal_sync(n->wal) == 0)
		return;
	if (node_is_space_error(errno)) /* the next start goes on from the snapshot */
		fatal(MODULE, "the log can not go on from a snapshot: path=%s", n->log_path);
	node_disk_failed(n, "write");
}

/* Core and log begin behind the snapshot's last entry. */
static void
log_rebase(struct node *n)
{
	struct node_configuration kept[RAFT_CONFIGURATIONS_MAX];
	struct raft_configuration configuration;
	size_t count = 0;

	configuration_members(&n->incoming.configuration, n->incoming.configuration_index, &configuration);
	raft_snapshot_installed(n->raft, n->incoming.index, n->incoming.term, &configuration);
	if (raft_log(n->raft)->last == n->incoming.index) { /* nothing behind it was kept */
		tail_free(n->tail);
		n->tail = tail_new(n->incoming.index);
		n->pending_bytes = 0;
		node_configurations_cut(n, n->incoming.index + 1);
	}
	for (size_t i = 0; i < n->configuration_count; i++)
		if (n->configurations[i].index > n->incoming.index)
			kept[count++] = n->configurations[i];
	n->configuration_count = 0;
	node_configuration_put(n, n->incoming.configuration_index, &n->incoming.configuration);
	for (size_t i = 0; i < count; i++)
		node_configuration_put(n, kept[i].index, &kept[i].content);
	node_peers_update(n);
}

static void
install(struct node *n)
{
	enum raft_install how = raft_snapshot_check(n->raft, n->incoming.index, n->incoming.term);
	struct raft_configuration configuration;

	n->install = INSTALL_NONE;
	if (how == RAFT_INSTALL_NOT) {
		configuration_members(&n->incoming.configuration, n->incoming.configuration_index, &configuration);
		raft_snapshot_installed(n->raft, n->incoming.index, n->incoming.term, &configuration);
	} else {
		if (how == RAFT_INSTALL_RESET)
			log_reset(n);
		log_rebase(n);
		n->snapshot_bytes = n->replay_ns = 0;
		log_info(MODULE, "Installed remote snapshot: index=%" PRIu64 " term=%" PRIu64, n->incoming.index,
		    n->incoming.term);
	}
	node_snapshot_tell(n);
	node_log_shorten(n);
}

void
node_install_turn(struct node *n)
{
	if (n->install == INSTALL_RECEIVING && monotime_since_ns(n->chunk_time) > RECEIVE_IDLE_NS) {
		/* its sender is gone; while it is there no snapshot of our own is taken */
		log_warnx(MODULE, "no more of a snapshot has come, it is given up: index=%" PRIu64, n->incoming.index);
		snapshots_receive_abort(n->snapshots);
		n->install = INSTALL_NONE;
	}
	if (n->install == INSTALL_WHOLE && !snapshots_busy(n->snapshots)) {
		if (raft_snapshot_check(n->raft, n->incoming.index, n->incoming.term) == RAFT_INSTALL_NOT) {
			snapshots_receive_abort(n->snapshots);
			install(n);
			return;
		}
		n->install = INSTALL_FINISHING;
		snapshots_receive_end(n->snapshots, on_received, n);
	}
	/* the log is between two batches */
	if (n->install == INSTALL_DURABLE && !n->write_blocked && (n->syncer == NULL || !syncer_busy(n->syncer)))
		install(n);
}

/*
 * snapshot_store.c - raftd's snapshots on disk (contract: snapshot_store.h; callers: snapshot.c, node_open.c)
 *
 * The order that keeps the promise: files synced, their directory synced, renamed, the directory of names synced; only then is anybody
 * told, and only then are older ones removed. Removal is the same backwards: the name first, and synced, then the content.
 */
#include "snapshot_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crc32c.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "mp.h"
#include "wal_plants.h"

#define DIRECTORY "snapshots"
#define META_NAME "meta.json"
#define STATE_NAME "state.bin"
#define TEMPORARY_SUFFIX ".tmp"
#define COPY_BYTES (256u * 1024)
#define SYNC_PIECE_BYTES (4u * 1024 * 1024)
#define META_BYTES_MAX (256u * 1024)
#define NAMES_MAX 4096u

struct reception {
	bool active;
	struct snapshot_meta meta;
	int fd; /* -1: sealed */
	uint64_t received;
	uint32_t crc;
};

struct snapshot_store {
	struct wal_io io;
	bool no_sync;
	struct snapshot_meta *list; /* newest first */
	size_t count, size;
	char *odd;
	struct reception reception;
};

struct name_list {
	char (*at)[SNAPSHOT_ID_MAX];
	size_t count, size;
};

/* ---- names ---- */

char *
snapshot_store_path(const char *id, const char *file, char out[SNAPSHOT_PATH_MAX])
{
	snprintf(out, SNAPSHOT_PATH_MAX, DIRECTORY "/%s%s%s", id, file[0] == '\0' ? "" : "/", file);
	return out;
}

static bool
is_temporary(const char *name)
{
	size_t length = strlen(name), suffix = strlen(TEMPORARY_SUFFIX);

	return length > suffix && strcmp(name + length - suffix, TEMPORARY_SUFFIX) == 0;
}

static void
temporary_name(const char *id, char out[SNAPSHOT_ID_MAX])
{
	snprintf(out, SNAPSHOT_ID_MAX, "%.70s" TEMPORARY_SUFFIX, id);
}

static void
id_make(struct snapshot_meta *meta)
{
	snprintf(meta->id, sizeof meta->id, "%" PRIu64 "-%" PRIu64 "-%" PRIu64, meta->term, meta->index, meta->time_ms);
}

/* -1 with errno and error, which says what failed. */
static int
failed(char error[SNAPSHOT_ERROR_MAX], const char *what)
{
	int saved_errno = errno;

	snprintf(error, SNAPSHOT_ERROR_MAX, "%s: %s", what,
	    errno == EBADMSG ? "it is damaged: checksum or size are not those of " META_NAME : strerror(errno));
	errno = saved_errno;
	return -1;
}

static void
name_list_add(void *arg, const char *name)
{
	struct name_list *names = arg;

	if (name[0] == '.' || strlen(name) >= SNAPSHOT_ID_MAX || names->count == NAMES_MAX)
		return;
	if (names->count == names->size) {
		names->size = names->size == 0 ? 8 : names->size * 2;
		names->at = xreallocarray(names->at, names->size, sizeof *names->at);
	}
	memcpy(names->at[names->count++], name, strlen(name) + 1);
}

/* ---- meta.json ---- */

static int
meta_read_file(const struct snapshot_store *s, const char *id, struct buf *out)
{
	char path[SNAPSHOT_PATH_MAX];
	ssize_t n = -1;
	int fd = s->io.open(s->io.ctx, snapshot_store_path(id, META_NAME, path), WAL_IO_READ);

	if (fd == -1)
		return -1;
	for (;;) {
		uint8_t *space = buf_space(out, 4096);

		n = space == NULL ? -1 : s->io.read(s->io.ctx, fd, space, 4096, out->used);
		if (n <= 0)
			break;
		buf_commit(out, (size_t)n);
	}
	s->io.close(s->io.ctx, fd);
	return n == 0 ? 0 : -1;
}

/* false: not a snapshot of ours. */
static bool
meta_decode(struct bytes json, const char *id, struct snapshot_meta *out)
{
	struct buf message = BUF_INIT(META_BYTES_MAX);
	struct json_error error;
	struct bytes map;
	char crc[16], *end;
	bool good = false;

	memset(out, 0, sizeof *out);
	if (json_to_mp(json, &message, &error) == -1)
		goto out;
	map = buf_bytes(&message);
	if (!bytes_is(mp_find_str(map, "ID"), id) ||
	    bytes_to_str(mp_find_str(map, "ID"), out->id, sizeof out->id) == -1)
		goto out;
	out->index = mp_find_uint(map, "Index");
	out->term = mp_find_uint(map, "Term");
	out->time_ms = mp_find_uint(map, "TimeMS");
	out->configuration_index = mp_find_uint(map, "ConfigurationIndex");
	out->size_bytes = mp_find_uint(map, "Size");
	out->received = mp_find_bool(map, "Received");
	if (bytes_to_str(mp_find_str(map, "CRC"), crc, sizeof crc) == -1 ||
	    bytes_to_str(mp_find_str(map, "LogID"), out->log_id, sizeof out->log_id) == -1)
		goto out;
	out->crc = (uint32_t)strtoul(crc, &end, 16);
	good = mp_find_uint(map, "Version") == 1 && out->index > 0 && out->term > 0 && strlen(crc) == 8 &&
	       *end == '\0' && configuration_decode(mp_find_raw(map, "Configuration"), &out->configuration) == 0;

out:
	buf_free(&message);
	return good;
}

static void
meta_encode(const struct snapshot_meta *meta, struct buf *out)
{
	struct buf peers = BUF_INIT(64 * 1024), text = BUF_INIT(64 * 1024);
	char id[UUID_TEXT_SIZE];

	mp_put_array(&peers, (uint32_t)meta->configuration.count);
	for (size_t i = 0; i < meta->configuration.count; i++)
		mp_put_cstr(&peers, meta->configuration.members[i].address);
	base64_encode(buf_bytes(&peers), &text);
	buf_printf(out, "{\"Version\":1,\"ID\":\"%s\",\"Index\":%" PRIu64 ",\"Term\":%" PRIu64 ",\"Peers\":", meta->id,
	    meta->index, meta->term);
	json_put_str(out, buf_bytes(&text));
	buf_put_str(out, ",\"Configuration\":{\"Servers\":[");
	for (size_t i = 0; i < meta->configuration.count; i++) {
		const struct member *m = &meta->configuration.members[i];

		buf_printf(out, "%s{\"Suffrage\":%d,\"ID\":\"%s\",\"Address\":", i == 0 ? "" : ",", m->voter ? 0 : 1,
		    raft_id_format(m->id, id));
		json_put_cstr(out, m->address);
		if (m->life != 0)
			buf_printf(out, ",\"Life\":%" PRIu64, m->life);
		buf_put_u8(out, '}');
	}
	buf_put_str(out, "]");
	if (!raft_id_is_none(meta->configuration.cluster))
		buf_printf(out, ",\"Cluster\":\"%s\"", raft_id_format(meta->configuration.cluster, id));
	buf_printf(out,
	    "},\"ConfigurationIndex\":%" PRIu64 ",\"Size\":%" PRIu64 ",\"CRC\":\"%08" PRIx32
	    "\",\"LogID\":\"%s\",\"TimeMS\":%" PRIu64 "%s}\n",
	    meta->configuration_index, meta->size_bytes, meta->crc, meta->log_id, meta->time_ms,
	    meta->received ? ",\"Received\":true" : "");
	buf_free(&peers);
	buf_free(&text);
}

/* ---- the list ---- */

static int
meta_compare(const void *a, const void *b)
{
	const struct snapshot_meta *x = a, *y = b;

	if (x->index != y->index)
		return x->index > y->index ? -1 : 1;
	return x->time_ms > y->time_ms ? -1 : x->time_ms < y->time_ms;
}

static void
take_directory(struct snapshot_store *s, const char *name)
{
	struct buf json = BUF_INIT(META_BYTES_MAX);
	struct snapshot_meta meta;

	if (meta_read_file(s, name, &json) == 0 && meta_decode(buf_bytes(&json), name, &meta)) {
		if (s->count == s->size) {
			s->size = s->size == 0 ? 4 : s->size * 2;
			s->list = xreallocarray(s->list, s->size, sizeof *s->list);
		}
		s->list[s->count++] = meta;
	} else if (s->odd == NULL)
		s->odd = xasprintf(DIRECTORY "/%s", name);
	buf_free(&json);
}

int
snapshot_store_reload(struct snapshot_store *s)
{
	struct name_list names = {0};

	if (s->io.list(s->io.ctx, DIRECTORY, name_list_add, &names) == -1) {
		free(names.at);
		return -1;
	}
	s->count = 0;
	free(s->odd);
	s->odd = NULL;
	for (size_t i = 0; i < names.count; i++)
		if (!is_temporary(names.at[i]))
			take_directory(s, names.at[i]);
	free(names.at);
	if (s->count > 1)
		qsort(s->list, s->count, sizeof *s->list, meta_compare);
	return 0;
}

/* Files and directory of one that is not finished, or not any more. */
static int
temporary_remove(const struct snapshot_store *s, const char *name)
{
	static const char *const files[] = {META_NAME, STATE_NAME};
	char path[SNAPSHOT_PATH_MAX];

	for (size_t i = 0; i < COUNTOF(files); i++)
		if (s->io.unlink(s->io.ctx, snapshot_store_path(name, files[i], path)) == -1 && errno != ENOENT)
			return -1;
	return s->io.remove_directory(s->io.ctx, snapshot_store_path(name, "", path));
}

static void
temporaries_remove(const struct snapshot_store *s)
{
	struct name_list names = {0};

	(void)s->io.list(s->io.ctx, DIRECTORY, name_list_add, &names);
	for (size_t i = 0; i < names.count; i++)
		if (is_temporary(names.at[i]))
			(void)temporary_remove(s, names.at[i]);
	free(names.at);
}

struct snapshot_store *
snapshot_store_open(struct wal_io io, bool no_sync, char error[SNAPSHOT_ERROR_MAX])
{
	struct snapshot_store *s = xcalloc(1, sizeof *s);

	s->io = io;
	s->no_sync = no_sync;
	s->reception.fd = -1;
	if (io.make_directory(io.ctx, DIRECTORY) == -1 && errno != EEXIST)
		goto fail;
	if (!no_sync && !WAL_PLANTED(SNAPSHOTS_UNSYNCED) && io.sync_directory(io.ctx, NULL) == -1)
		goto fail;
	/* names may be in the page cache only: whoever gave them may have died before he synced them */
	if (!no_sync && !WAL_PLANTED(SNAPSHOTS_FOUND_UNSYNCED) && io.sync_directory(io.ctx, DIRECTORY) == -1)
		goto fail;
	temporaries_remove(s);
	if (snapshot_store_reload(s) == -1)
		goto fail;
	return s;

fail:
	(void)failed(error, DIRECTORY);
	snapshot_store_free(s);
	return NULL;
}

void
snapshot_store_free(struct snapshot_store *s)
{
	if (s == NULL)
		return;
	if (s->reception.fd != -1)
		s->io.close(s->io.ctx, s->reception.fd);
	free(s->list);
	free(s->odd);
	free(s);
}

size_t
snapshot_store_count(const struct snapshot_store *s)
{
	return s->count;
}

const struct snapshot_meta *
snapshot_store_at(const struct snapshot_store *s, size_t i)
{
	return &s->list[i];
}

const char *
snapshot_store_odd(const struct snapshot_store *s)
{
	return s->odd;
}

/* ---- writing ---- */

static int
write_all(const struct snapshot_store *s, int fd, const void *data, size_t size, uint64_t offset)
{
	ssize_t n = s->io.write(s->io.ctx, fd, data, size, offset);

	if (n == (ssize_t)size)
		return 0;
	if (n >= 0)
		errno = ENOSPC;
	return -1;
}

static int
sync_close(const struct snapshot_store *s, int fd)
{
	int result = s->no_sync ? 0 : s->io.sync(s->io.ctx, fd), saved_errno = errno;

	s->io.close(s->io.ctx, fd);
	errno = saved_errno;
	return result;
}

/*
 * Reads all of the state; with fd != -1 writes it there. Size and checksum into meta. What is written is synced in pieces: one sync of all of
 * it would stand in the way of the log's own for as long as the disk takes for that much.
 */
static int
state_pass(
    const struct snapshot_store *s, snapshot_read_fn *read, void *ctx, int fd, uint64_t *size_bytes, uint32_t *crc)
{
	uint8_t *chunk = xmalloc(COPY_BYTES);
	size_t unsynced = 0;
	int result = -1;
	ssize_t n;

	*size_bytes = 0;
	*crc = 0;
	while ((n = read(ctx, chunk, COPY_BYTES, *size_bytes)) > 0) {
		*crc = crc32c(*crc, chunk, (size_t)n);
		if (fd != -1 && write_all(s, fd, chunk, (size_t)n, *size_bytes) == -1)
			goto out;
		*size_bytes += (uint64_t)n;
		unsynced += (size_t)n;
		if (fd != -1 && !s->no_sync && unsynced >= SYNC_PIECE_BYTES) {
			if (s->io.sync(s->io.ctx, fd) == -1)
				goto out;
			unsynced = 0;
		}
	}
	if (n == 0)
		result = 0;

out:
	free(chunk);
	return result;
}

/* Failing is no harm: what is left only takes space, and the next save or start tries again. */
static void
old_remove(struct snapshot_store *s)
{
	char from[SNAPSHOT_PATH_MAX], to[SNAPSHOT_PATH_MAX], temporary[SNAPSHOT_ID_MAX];

	for (size_t i = SNAPSHOTS_KEPT; i < s->count; i++) {
		temporary_name(s->list[i].id, temporary);
		if (WAL_PLANTED(SNAPSHOT_REMOVED_IN_PLACE)) {
			(void)temporary_remove(s, s->list[i].id);
			continue;
		}
		if (s->io.rename(s->io.ctx, snapshot_store_path(s->list[i].id, "", from),
			snapshot_store_path(temporary, "", to)) == 0 &&
		    (s->no_sync || s->io.sync_directory(s->io.ctx, DIRECTORY) == 0))
			(void)temporary_remove(s, temporary);
	}
	s->count = MIN(s->count, SNAPSHOTS_KEPT);
}

/* The state is durable: meta.json, the name, and the removal of old ones. *what: the step. */
static int
finish(struct snapshot_store *s, const struct snapshot_meta *meta, const char *temporary, const char **what)
{
	char from[SNAPSHOT_PATH_MAX], to[SNAPSHOT_PATH_MAX];
	struct buf json = BUF_INIT(META_BYTES_MAX);
	int fd, result;

	*what = "writing " META_NAME;
	meta_encode(meta, &json);
	fd = s->io.open(s->io.ctx, snapshot_store_path(temporary, META_NAME, from), WAL_IO_CREATE);
	result = fd == -1 ? -1 : write_all(s, fd, json.data, json.used, 0);
	buf_free(&json);
	if (fd != -1 && sync_close(s, fd) == -1)
		result = -1;
	if (result == -1)
		return -1;
	*what = "giving it its name";
	snapshot_store_path(temporary, "", from);
	snapshot_store_path(meta->id, "", to);
	if ((!s->no_sync && !WAL_PLANTED(SNAPSHOT_FILES_UNNAMED) && s->io.sync_directory(s->io.ctx, from) == -1) ||
	    s->io.rename(s->io.ctx, from, to) == -1)
		return -1;
	if (!s->no_sync && !WAL_PLANTED(SNAPSHOT_NAME_UNSYNCED) && s->io.sync_directory(s->io.ctx, DIRECTORY) == -1)
		return -1;
	if (snapshot_store_reload(s) == -1)
		return -1;
	old_remove(s);
	return 0;
}

static int
save(struct snapshot_store *s, struct snapshot_meta *meta, snapshot_read_fn *read, void *ctx, const char *temporary,
    const char **what)
{
	char path[SNAPSHOT_PATH_MAX];
	int fd, result;

	*what = "writing " STATE_NAME;
	fd = s->io.open(s->io.ctx, snapshot_store_path(temporary, STATE_NAME, path), WAL_IO_CREATE);
	if (fd == -1)
		return -1;
	result = state_pass(s, read, ctx, fd, &meta->size_bytes, &meta->crc);
	if (WAL_PLANTED(SNAPSHOT_STATE_UNSYNCED))
		s->io.close(s->io.ctx, fd);
	else if (sync_close(s, fd) == -1)
		result = -1;
	return result == -1 ? -1 : finish(s, meta, temporary, what);
}

int
snapshot_store_save(struct snapshot_store *s, const struct snapshot_meta *given, snapshot_read_fn *read, void *ctx,
    char error[SNAPSHOT_ERROR_MAX])
{
	struct snapshot_meta meta = *given;
	char temporary[SNAPSHOT_ID_MAX], path[SNAPSHOT_PATH_MAX];
	const char *what;

	id_make(&meta);
	temporary_name(meta.id, temporary);
	if (s->io.make_directory(s->io.ctx, snapshot_store_path(temporary, "", path)) == -1)
		return failed(error, "making the directory");
	if (save(s, &meta, read, ctx, temporary, &what) == 0)
		return 0;
	(void)failed(error, what);
	(void)temporary_remove(s, temporary);
	return -1;
}

/* ---- checking ---- */

int
snapshot_store_check(
    const struct snapshot_store *s, size_t i, snapshot_read_fn *read, void *ctx, char error[SNAPSHOT_ERROR_MAX])
{
	const struct snapshot_meta *expected = &s->list[i];
	char path[SNAPSHOT_PATH_MAX];
	uint64_t size_bytes;
	uint32_t crc;

	snapshot_store_path(expected->id, STATE_NAME, path);
	if (state_pass(s, read, ctx, -1, &size_bytes, &crc) == -1)
		return failed(error, path);
	if (size_bytes == expected->size_bytes && crc == expected->crc)
		return 0;
	errno = EBADMSG;
	return failed(error, path);
}

struct open_file {
	const struct snapshot_store *s;
	int fd;
};

static ssize_t
file_read(void *ctx, void *out, size_t size, uint64_t offset)
{
	const struct open_file *f = ctx;

	return f->s->io.read(f->s->io.ctx, f->fd, out, size, offset);
}

int
snapshot_store_check_file(const struct snapshot_store *s, size_t i, char error[SNAPSHOT_ERROR_MAX])
{
	char path[SNAPSHOT_PATH_MAX];
	struct open_file f = {
	    s, s->io.open(s->io.ctx, snapshot_store_path(s->list[i].id, STATE_NAME, path), WAL_IO_READ)};
	int result;

	if (f.fd == -1)
		return failed(error, path);
	result = snapshot_store_check(s, i, file_read, &f, error);
	s->io.close(s->io.ctx, f.fd);
	return result;
}

/* ---- receiving ---- */

bool
snapshot_store_receiving(const struct snapshot_store *s)
{
	return s->reception.active;
}

uint64_t
snapshot_store_received(const struct snapshot_store *s)
{
	return s->reception.received;
}

void
snapshot_store_receive_forget(struct snapshot_store *s)
{
	if (s->reception.fd != -1)
		s->io.close(s->io.ctx, s->reception.fd);
	s->reception = (struct reception){.fd = -1};
}

void
snapshot_store_receive_abort(struct snapshot_store *s)
{
	char temporary[SNAPSHOT_ID_MAX];

	if (!s->reception.active)
		return;
	temporary_name(s->reception.meta.id, temporary);
	snapshot_store_receive_forget(s);
	(void)temporary_remove(s, temporary);
}

int
snapshot_store_receive_begin(struct snapshot_store *s, const struct snapshot_meta *meta, char error[SNAPSHOT_ERROR_MAX])
{
	struct reception *r = &s->reception;
	char temporary[SNAPSHOT_ID_MAX], path[SNAPSHOT_PATH_MAX];

	snapshot_store_receive_abort(s);
	if (meta->index == 0 || meta->term == 0 || meta->size_bytes > SNAPSHOT_STATE_BYTES_MAX ||
	    (s->count > 0 && s->list[0].index >= meta->index)) {
		errno = meta->index == 0 || meta->term == 0           ? EINVAL
			: meta->size_bytes > SNAPSHOT_STATE_BYTES_MAX ? EFBIG
								      : EEXIST;
		return failed(error, "receiving a snapshot");
	}
	*r = (struct reception){.meta = *meta, .fd = -1};
	r->meta.received = true;
	id_make(&r->meta);
	temporary_name(r->meta.id, temporary);
	if (s->io.make_directory(s->io.ctx, snapshot_store_path(temporary, "", path)) == -1)
		return failed(error, "making the directory");
	r->active = true;
	r->fd = s->io.open(s->io.ctx, snapshot_store_path(temporary, STATE_NAME, path), WAL_IO_CREATE);
	if (r->fd != -1 && (meta->size_bytes == 0 || s->io.allocate(s->io.ctx, r->fd, meta->size_bytes) == 0))
		return 0;
	(void)failed(error, "reserving its space");
	snapshot_store_receive_abort(s);
	return -1;
}

int
snapshot_store_receive_chunk(
    struct snapshot_store *s, uint64_t offset, struct bytes data, char error[SNAPSHOT_ERROR_MAX])
{
	struct reception *r = &s->reception;

	if (!r->active || offset > r->received || data.size > SNAPSHOT_CHUNK_BYTES_MAX ||
	    data.size > r->meta.size_bytes - offset || (offset < r->received && offset + data.size > r->received)) {
		snprintf(error, SNAPSHOT_ERROR_MAX,
		    "a chunk of %zu bytes at offset %" PRIu64 " where %" PRIu64 " of %" PRIu64 " bytes are there",
		    data.size, offset, r->received, r->meta.size_bytes);
		errno = EINVAL;
		return -1;
	}
	if (offset < r->received || data.size == 0)
		return 0;
	if (write_all(s, r->fd, data.data, data.size, offset) == -1)
		return failed(error, "writing " STATE_NAME);
	r->crc = crc32c(r->crc, data.data, data.size);
	r->received += data.size;
	return 0;
}

int
snapshot_store_receive_seal(struct snapshot_store *s, char error[SNAPSHOT_ERROR_MAX])
{
	struct reception *r = &s->reception;

	if (r->active && r->received == r->meta.size_bytes && r->crc == r->meta.crc) {
		if (r->fd != -1)
			s->io.close(s->io.ctx, r->fd);
		r->fd = -1;
		return 0;
	}
	snprintf(error, SNAPSHOT_ERROR_MAX,
	    "what was received is not the snapshot: %" PRIu64 " of %" PRIu64 " bytes, checksum %08" PRIx32
	    " instead of %08" PRIx32,
	    r->received, r->meta.size_bytes, r->crc, r->meta.crc);
	errno = EBADMSG;
	return -1;
}

int
snapshot_store_receive_finish(struct snapshot_store *s, char error[SNAPSHOT_ERROR_MAX])
{
	struct reception *r = &s->reception;
	char temporary[SNAPSHOT_ID_MAX], path[SNAPSHOT_PATH_MAX];
	const char *what = "syncing " STATE_NAME;
	int fd;

	if (snapshot_store_receive_seal(s, error) == -1) {
		snapshot_store_receive_abort(s);
		return -1;
	}
	temporary_name(r->meta.id, temporary);
	fd = s->io.open(s->io.ctx, snapshot_store_path(temporary, STATE_NAME, path), WAL_IO_WRITE);
	if (fd != -1 && sync_close(s, fd) == 0 && finish(s, &r->meta, temporary, &what) == 0) {
		snapshot_store_receive_forget(s);
		return 0;
	}
	(void)failed(error, what);
	snapshot_store_receive_abort(s);
	return -1;
}

/* ---- log and snapshots ---- */

enum snapshot_fit
snapshot_fit(const struct snapshot_meta *newest, const struct terms *log)
{
	uint64_t index = newest == NULL ? 0 : newest->index;

	if (index < log->base_index)
		return SNAPSHOT_TOO_OLD;
	if (newest != NULL && (index > log->last || terms_at(log, index) != newest->term))
		return newest->received ? SNAPSHOT_AHEAD : SNAPSHOT_LOG_SHORT;
	return SNAPSHOT_FITS;
}

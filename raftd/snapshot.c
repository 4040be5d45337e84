/*
 * snapshot.c - raftd's snapshots on disk (contract: snapshot.h; caller: node.c, serve.c)
 *
 * The parent only lists and opens. Copying and checking are done by a child that is forked for the purpose, tells its result as one line of
 * text through a pipe ("ok", or why not), and ends. A child that is killed leaves a directory ending in ".tmp", which
 * the next start removes.
 */
#include "snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "mp.h"
#include "net.h"

#define COPY_BYTES (256u * 1024)
#define META_BYTES_MAX (256u * 1024)
#define TEMPORARY_SUFFIX ".tmp"

struct snapshots {
	struct ev_loop *loop;
	int dir;
	bool no_sync;
	struct snapshot_meta *list; /* newest first */
	size_t count, size;
	char *odd;

	/* the child at work */
	bool busy;
	struct ev_io io;
	char result[SNAPSHOT_ERROR_MAX];
	size_t result_size;
	size_t checked; /* which one; SIZE_MAX: a save */
	snapshot_saved_cb *saved;
	snapshot_checked_cb *checked_cb;
	void *ctx;
};

/* ---- reading what there is ---- */

static int
meta_read_file(int dir, const char *id, struct buf *out)
{
	char path[SNAPSHOT_ID_MAX + 16];
	int fd, result = -1;
	ssize_t n;

	snprintf(path, sizeof path, "%s/meta.json", id);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return -1;
	for (;;) {
		uint8_t *space = buf_space(out, 4096);

		n = space == NULL ? -1 : read(fd, space, 4096);
		if (n <= 0)
			break;
		buf_commit(out, (size_t)n);
	}
	if (n == 0)
		result = 0;
	close(fd);
	return result;
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
		buf_put_u8(out, '}');
	}
	buf_printf(out,
	    "]},\"ConfigurationIndex\":%" PRIu64 ",\"Size\":%" PRIu64 ",\"CRC\":\"%08" PRIx32
	    "\",\"LogID\":\"%s\",\"TimeMS\":%" PRIu64 "}\n",
	    meta->configuration_index, meta->size_bytes, meta->crc, meta->log_id, meta->time_ms);
	buf_free(&peers);
	buf_free(&text);
}

static int
meta_compare(const void *a, const void *b)
{
	const struct snapshot_meta *x = a, *y = b;

	if (x->index != y->index)
		return x->index > y->index ? -1 : 1;
	return x->time_ms > y->time_ms ? -1 : x->time_ms < y->time_ms;
}

/* Files and directory of one snapshot. */
static int
remove_one(int dir, const char *name)
{
	static const char *const files[] = {"meta.json", "state.bin"};
	char path[2 * SNAPSHOT_ID_MAX];

	for (size_t i = 0; i < COUNTOF(files); i++) {
		snprintf(path, sizeof path, "%s/%s", name, files[i]);
		if (unlinkat(dir, path, 0) == -1 && errno != ENOENT)
			return -1;
	}
	return unlinkat(dir, name, AT_REMOVEDIR);
}

static bool
is_temporary(const char *name)
{
	size_t length = strlen(name), suffix = strlen(TEMPORARY_SUFFIX);

	return length > suffix && strcmp(name + length - suffix, TEMPORARY_SUFFIX) == 0;
}

static void
take_directory(struct snapshots *s, const char *name)
{
	struct buf json = BUF_INIT(META_BYTES_MAX);
	struct snapshot_meta meta;

	if (strlen(name) < SNAPSHOT_ID_MAX && meta_read_file(s->dir, name, &json) == 0 &&
	    meta_decode(buf_bytes(&json), name, &meta)) {
		if (s->count == s->size) {
			s->size = s->size == 0 ? 4 : s->size * 2;
			s->list = xreallocarray(s->list, s->size, sizeof *s->list);
		}
		s->list[s->count++] = meta;
	} else if (s->odd == NULL)
		s->odd = xasprintf("snapshots/%s", name);
	buf_free(&json);
}

static int
list_read(struct snapshots *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *d;

	if (fd == -1)
		return -1;
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return -1;
	}
	s->count = 0;
	free(s->odd);
	s->odd = NULL;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && !is_temporary(e->d_name))
			take_directory(s, e->d_name);
	closedir(d);
	if (s->count > 1)
		qsort(s->list, s->count, sizeof *s->list, meta_compare);
	return 0;
}

static void
temporaries_remove(struct snapshots *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (is_temporary(e->d_name))
			(void)remove_one(s->dir, e->d_name);
	closedir(d);
}

struct snapshots *
snapshots_open(struct ev_loop *loop, int raft_dir, bool no_sync, char error[SNAPSHOT_ERROR_MAX])
{
	struct snapshots *s = xcalloc(1, sizeof *s);

	s->loop = loop;
	s->no_sync = no_sync;
	if (mkdirat(raft_dir, "snapshots", 0700) == -1 && errno != EEXIST)
		goto fail;
	s->dir = openat(raft_dir, "snapshots", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir == -1)
		goto fail;
	temporaries_remove(s);
	if (list_read(s) == -1) {
		close(s->dir);
		goto fail;
	}
	return s;

fail:
	snprintf(error, SNAPSHOT_ERROR_MAX, "snapshots: %s", strerror(errno));
	free(s);
	return NULL;
}

void
snapshots_free(struct snapshots *s)
{
	if (s == NULL)
		return;
	if (s->busy)
		close(s->io.fd);
	close(s->dir);
	free(s->list);
	free(s->odd);
	free(s);
}

size_t
snapshots_count(const struct snapshots *s)
{
	return s->count;
}

const struct snapshot_meta *
snapshots_at(const struct snapshots *s, size_t i)
{
	return &s->list[i];
}

const char *
snapshots_odd(const struct snapshots *s)
{
	return s->odd;
}

bool
snapshots_busy(const struct snapshots *s)
{
	return s->busy;
}

/* ---- the child ---- */

struct job {
	const struct snapshots *s;
	int state; /* read from */
	struct snapshot_meta meta;
	int dir;        /* snapshots */
	char what[128]; /* the step, for the error */
};

/* Reads all of the state; with out != -1 writes it there. Size and checksum into meta. */
static int
state_pass(struct job *j, int out)
{
	uint8_t *chunk = xmalloc(COPY_BYTES);
	uint64_t offset = 0;
	uint32_t crc = 0;
	ssize_t n;

	while ((n = pread(j->state, chunk, COPY_BYTES, (off_t)offset)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		crc = crc32c(crc, chunk, (size_t)n);
		for (ssize_t done = 0; out != -1 && done < n;) {
			ssize_t written = write(out, chunk + done, (size_t)(n - done));

			if (written == -1 && errno != EINTR)
				return -1;
			done += MAX(written, 0);
		}
		offset += (uint64_t)n;
	}
	j->meta.size_bytes = offset;
	j->meta.crc = crc;
	free(chunk);
	return 0;
}

static int
sync_close(const struct job *j, int fd)
{
	int result = j->s->no_sync ? 0 : fsync(fd);

	close(fd);
	return result;
}

static int
job_save(struct job *j)
{
	struct buf json = BUF_INIT(META_BYTES_MAX);
	char temporary[SNAPSHOT_ID_MAX + 8];
	int dir, fd;

	snprintf(temporary, sizeof temporary, "%s%s", j->meta.id, TEMPORARY_SUFFIX);
	snprintf(j->what, sizeof j->what, "making the directory");
	if (mkdirat(j->dir, temporary, 0700) == -1 ||
	    (dir = openat(j->dir, temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	snprintf(j->what, sizeof j->what, "writing state.bin");
	fd = openat(dir, "state.bin", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1 || state_pass(j, fd) == -1 || sync_close(j, fd) == -1)
		goto fail;
	snprintf(j->what, sizeof j->what, "writing meta.json");
	meta_encode(&j->meta, &json);
	fd = openat(dir, "meta.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1 || write(fd, json.data, json.used) != (ssize_t)json.used || sync_close(j, fd) == -1)
		goto fail;
	snprintf(j->what, sizeof j->what, "giving it its name");
	if (sync_close(j, dir) == -1 || renameat(j->dir, temporary, j->dir, j->meta.id) == -1 ||
	    (!j->s->no_sync && fsync(j->dir) == -1))
		goto fail;
	for (size_t i = SNAPSHOTS_KEPT - 1; i < j->s->count; i++)
		(void)remove_one(j->dir, j->s->list[i].id);
	return 0;

fail:
	fd = errno;
	(void)remove_one(j->dir, temporary);
	errno = fd;
	return -1;
}

static int
job_check(struct job *j)
{
	const struct snapshot_meta *expected = &j->s->list[j->s->checked];

	snprintf(j->what, sizeof j->what, "snapshots/%s/state.bin", expected->id);
	if (state_pass(j, -1) == -1)
		return -1;
	if (j->meta.size_bytes == expected->size_bytes && j->meta.crc == expected->crc)
		return 0;
	errno = EBADMSG;
	return -1;
}

/* Only these stay open: above all not the directory that carries the log's lock. */
static void
child_descriptors(struct job *j, int *result)
{
	int *const fds[] = {&j->dir, &j->state, result};

	for (size_t i = 0; i < COUNTOF(fds); i++)
		if ((*fds[i] = fcntl(*fds[i], F_DUPFD, 10)) == -1)
			_exit(1);
	for (size_t i = 0; i < COUNTOF(fds); i++)
		if ((*fds[i] = dup2(*fds[i], 3 + (int)i)) == -1)
			_exit(1);
	(void)close_range(3 + COUNTOF(fds), ~0u, 0);
}

static NORETURN void
child_run(struct job *j, int result, bool save)
{
	char text[SNAPSHOT_ERROR_MAX] = "ok";

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "raftd-snapshot");
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	child_descriptors(j, &result);
	(void)setpriority(PRIO_PROCESS, 0, 19);
	if ((save ? job_save(j) : job_check(j)) == -1)
		snprintf(text, sizeof text, "%s: %s", j->what,
		    errno == EBADMSG ? "it is damaged: checksum or size are not those of meta.json" : strerror(errno));
	_exit(write(result, text, strlen(text)) == -1);
}

/* ---- the parent ---- */

static void
job_finished(struct snapshots *s)
{
	const char *error = strcmp(s->result, "ok") == 0 ? NULL
			    : s->result_size == 0        ? "the helper was killed"
							 : s->result;
	int fd = -1;

	s->busy = false;
	if (s->checked == SIZE_MAX) {
		if (error == NULL && list_read(s) == -1)
			error = "the snapshots can not be listed";
		s->saved(s->ctx, error);
		return;
	}
	if (error == NULL) {
		char path[SNAPSHOT_ID_MAX + 16];

		snprintf(path, sizeof path, "%s/state.bin", s->list[s->checked].id);
		fd = openat(s->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd == -1)
			error = strerror(errno);
	}
	s->checked_cb(s->ctx, fd, error);
}

static void
on_result(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct snapshots *s = w->data;
	ssize_t n = read(w->fd, s->result + s->result_size, sizeof s->result - 1 - s->result_size);

	(void)events;
	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		s->result_size += (size_t)n;
		s->result[s->result_size] = '\0';
		return;
	}
	ev_io_stop(loop, w);
	close(w->fd);
	job_finished(s);
}

/* Answers by the callback at once when the child can't be made. */
static void
job_start(struct snapshots *s, struct job *j, bool save)
{
	int ends[2];
	pid_t pid;

	j->dir = s->dir;
	s->busy = true;
	s->result_size = 0;
	s->result[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) == -1) {
		snprintf(s->result, sizeof s->result, "pipe: %s", strerror(errno));
		s->result_size = 1;
		job_finished(s);
		return;
	}
	pid = fork();
	if (pid == 0)
		child_run(j, ends[1], save);
	if (pid == -1) {
		snprintf(s->result, sizeof s->result, "fork: %s", strerror(errno));
		s->result_size = 1;
	}
	close(ends[1]);
	if (pid == -1 || net_set_nonblock(ends[0], true) == -1) {
		close(ends[0]);
		job_finished(s);
		return;
	}
	ev_io_init(&s->io, on_result, ends[0], EV_READ);
	s->io.data = s;
	ev_io_start(s->loop, &s->io);
}

void
snapshots_save(struct snapshots *s, int state, const struct snapshot_meta *meta, snapshot_saved_cb *done, void *ctx)
{
	struct job j = {.s = s, .state = state, .meta = *meta};

	if (s->busy)
		panic("snapshots: two jobs at once");
	snprintf(
	    j.meta.id, sizeof j.meta.id, "%" PRIu64 "-%" PRIu64 "-%" PRIu64, meta->term, meta->index, meta->time_ms);
	s->checked = SIZE_MAX;
	s->saved = done;
	s->ctx = ctx;
	job_start(s, &j, true);
	close(state);
}

void
snapshots_check(struct snapshots *s, size_t i, snapshot_checked_cb *done, void *ctx)
{
	struct job j = {.s = s};
	char path[SNAPSHOT_ID_MAX + 16], error[SNAPSHOT_ERROR_MAX];

	if (s->busy)
		panic("snapshots: two jobs at once");
	snprintf(path, sizeof path, "%s/state.bin", s->list[i].id);
	j.state = openat(s->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (j.state == -1) {
		snprintf(error, sizeof error, "snapshots/%s: %s", path, strerror(errno));
		done(ctx, -1, error);
		return;
	}
	s->checked = i;
	s->checked_cb = done;
	s->ctx = ctx;
	job_start(s, &j, false);
	close(j.state);
}

/*
 * catalogd_store.c - the process catalogd of a simulated server: its real store in a directory, what a loss of power does to it, archives
 * (contract: cluster.h)
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_form.h"
#include "cluster.h"

#define MAP_BYTES (64u * 1024 * 1024)

static void
path_of(const struct server *v, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", v->directory, name);
}

/* Planted: pages of the file as they were when the store was opened, as far as the disk has not got later ones. */
static void
pages_mix(struct sim *s, const struct server *v)
{
	char path[128], old_path[128];
	uint8_t page[4096], old[4096];
	int fd, old_fd;

	path_of(v, "data.mdb", path);
	path_of(v, "data.old", old_path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	old_fd = open(old_path, O_RDONLY | O_CLOEXEC);
	for (off_t at = 2 * (off_t)sizeof page;
	     fd != -1 && old_fd != -1 && pread(fd, page, sizeof page, at) == sizeof page &&
	     pread(old_fd, old, sizeof old, at) == sizeof old;
	     at += sizeof page)
		if (below(s, 2) == 0 && pwrite(fd, old, sizeof old, at) != sizeof old)
			failed(s, "a page can not be written");
	close(fd);
	close(old_fd);
}

static void
pages_keep(const struct server *v)
{
	char path[128], old_path[128], command[300];

	path_of(v, "data.mdb", path);
	path_of(v, "data.old", old_path);
	snprintf(command, sizeof command, "cp %s %s", path, old_path);
	if (system(command) != 0)
		abort();
}

struct store *
store_begin(struct sim *s, struct server *v)
{
	const struct store_options o = {.directory = v->directory, .map_bytes = MAP_BYTES};
	char error[STORE_ERROR_MAX];
	struct store *store = NULL;
	enum store_open_status status = store_open(&o, &store, error);

	if (status == STORE_OPENED && v->store_there && v->store_boot != v->boot && !PLANTED_HERE(STORE_KEPT))
		failed(s, "server %u: a store of another boot was taken over", v->number);
	if (status == STORE_REBUILD) {
		if (v->store_boot == v->boot)
			failed(s, "server %u: the store is not whole: %s", v->number, error);
		s->totals.store_rebuilds++;
		v->store_there = false;
		if (store_erase(v->directory) == -1)
			failed(s, "server %u: the store can not be erased", v->number);
		status = store_open(&o, &store, error);
	}
	if (status != STORE_OPENED)
		failed(s, "server %u: the store can not be opened: %s", v->number, error);
	store_started(store);
	if (!v->store_there)
		v->chain = 0;
	v->store_there = true;
	v->store_boot = v->boot;
	if (PLANTED_HERE(STORE_KEPT))
		pages_keep(v);
	return store;
}

void
store_lose(struct server *v)
{
	char path[128];

	v->store_there = false;
	if (store_erase(v->directory) == -1)
		abort();
	path_of(v, "data.old", path);
	(void)unlink(path);
}

void
store_power_loss(struct sim *s, struct server *v)
{
	const struct store_options o = {.directory = v->directory, .map_bytes = MAP_BYTES};
	char error[STORE_ERROR_MAX];
	struct store *store;
	struct store_txn *t;
	struct bytes value;
	uint8_t copy[256];

	if (!v->store_there || v->store_boot + 1 != v->boot)
		return; /* it is from before already */
	if (PLANTED_HERE(STORE_KEPT)) {
		pages_mix(s, v);
		return;
	}
	/* what it says of the boot it was written in is another one's from now on */
	if (store_open(&o, &store, error) != STORE_OPENED || (t = store_write(store, error)) == NULL)
		failed(s, "server %u: %s", v->number, error);
	store_started(store);
	if (!store_get(t, STORE_META, bytes_str("state"), &value) || value.size < 32 || value.size > sizeof copy)
		failed(s, "server %u: the store says nothing of itself", v->number);
	memcpy(copy, value.data, value.size);
	copy[23] = copy[23] == 'x' ? 'y' : 'x';
	store_put(t, STORE_META, bytes_str("state"), bytes_of(copy, value.size));
	if (store_commit(t, error) != STORE_DONE)
		failed(s, "server %u: %s", v->number, error);
	store_close(store, false);
}

/* ---- transactions ---- */

void
write_commit(struct sim *s, struct server *v, struct store_txn *t)
{
	char error[STORE_ERROR_MAX];

	if (store_commit(t, error) != STORE_DONE)
		failed(s, "server %u: the store does not commit: %s", v->number, error);
}

struct store_txn *
write_begin(struct sim *s, struct server *v)
{
	char error[STORE_ERROR_MAX];
	struct store_txn *t = store_write(v->catalogd.store, error);

	if (t == NULL)
		failed(s, "server %u: no transaction: %s", v->number, error);
	return t;
}

/* ---- archives ---- */

static int
scratch_file(struct sim *s)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC);

	if (fd == -1)
		failed(s, "no file for a snapshot");
	return fd;
}

void
snapshot_make(struct sim *s, struct server *v)
{
	struct catalogd_process *c = &v->catalogd;
	struct store_state state = store_state(c->store);
	struct note *n = note_new(NOTE_SNAPSHOT_MADE);
	struct store_txn *t = store_read(c->store);
	int fd = scratch_file(s);
	struct stat file;
	uint8_t *space;

	if (t == NULL || archive_write(t, &state, fd) == -1 || fstat(fd, &file) == -1)
		failed(s, "server %u: no snapshot can be written", v->number);
	store_read_end(c->store);
	space = buf_space(&n->bytes, (size_t)file.st_size);
	if (space == NULL || pread(fd, space, (size_t)file.st_size, 0) != file.st_size)
		failed(s, "server %u: a snapshot can not be read", v->number);
	close(fd);
	buf_commit(&n->bytes, (size_t)file.st_size);
	n->a = state.applied_index;
	n->b = state.applied_term;
	if (PLANTED_HERE(SNAPSHOT_INDEX_BEHIND) && n->a > 4)
		n->a -= 4;
	check_store(s, v);
	note_send(s, v, false, n);
}

void
snapshot_restore(struct sim *s, struct server *v, const struct note *n)
{
	struct archive_reader *reader;
	struct store_txn *t;
	char error[STORE_ERROR_MAX];
	int result, fd;

	fd = scratch_file(s);
	if (pwrite(fd, n->bytes.data, n->bytes.used, 0) != (ssize_t)n->bytes.used)
		failed(s, "no file for a snapshot");
	reader = archive_reader_new(fd);
	t = write_begin(s, v);
	do
		result = archive_reader_step(reader, t, 1024 * 1024, error);
	while (result == 1);
	if (result == -1)
		failed(s, "server %u: the snapshot can not be read: %s", v->number, error);
	archive_reader_free(reader);
	store_set_applied(t, n->a, n->b);
	write_commit(s, v, t);
	v->chain = s->committed[n->a].chain;
	check_store(s, v);
}

/*
 * raftd_disk.h - a directory in memory behind struct wal_io, for tests: counts operations, stops at one of them, loses what was not synced
 *
 * Each file has what the processes see and what is durable. A crash of the machine (disk_power_loss) keeps of each block of 4 KiB that was
 * written since the last sync either the new or the old content, as a coin says, and of the changes of names a prefix.
 */
#ifndef RAFTD_DISK_H
#define RAFTD_DISK_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "wal.h"

#define DISK_FILES_MAX 64
#define DISK_CHANGES_MAX 64

struct disk_file {
	uint8_t *now, *durable;
	uint64_t size, durable_size;
	uint64_t dirty_from, dirty_to; /* written since the last sync; from >= to: nothing */
	bool used;
};

struct disk_names {
	struct {
		char name[32];
		int file; /* -1: none */
	} at[DISK_FILES_MAX];
};

struct disk {
	struct disk_file files[DISK_FILES_MAX];
	struct disk_names names;
	struct disk_names history[DISK_CHANGES_MAX]; /* 0: durable; then after each change since */
	size_t changes;
	uint64_t operations, stop_at; /* 0: never */
	bool stopped;
	uint64_t space_left; /* bytes that can be allocated */
	uint64_t random;
	int fail_sync_errno;
};

static inline uint64_t
disk_random(struct disk *d)
{
	uint64_t z = (d->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Counts one operation that changes something; false: the machine has stopped. */
static inline bool
disk_step(struct disk *d)
{
	d->operations++;
	if (d->stop_at != 0 && d->operations >= d->stop_at)
		d->stopped = true;
	if (d->stopped)
		errno = EIO;
	return !d->stopped;
}

static inline int
disk_find(const struct disk_names *names, const char *name)
{
	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (names->at[i].file != -1 && strcmp(names->at[i].name, name) == 0)
			return i;
	return -1;
}

static inline void
disk_name_put(struct disk_names *names, const char *name, int file)
{
	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (names->at[i].file == -1) {
			snprintf(names->at[i].name, sizeof names->at[i].name, "%s", name);
			names->at[i].file = file;
			return;
		}
	abort();
}

static inline void
disk_names_changed(struct disk *d)
{
	if (++d->changes == DISK_CHANGES_MAX)
		abort();
	d->history[d->changes] = d->names;
}

static inline int
disk_lock(void *ctx)
{
	(void)ctx;
	return 0;
}

static inline int
disk_list(void *ctx, void (*each)(void *arg, const char *name), void *arg)
{
	struct disk *d = ctx;

	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (d->names.at[i].file != -1)
			each(arg, d->names.at[i].name);
	return 0;
}

static inline int
disk_open(void *ctx, const char *name, bool create)
{
	struct disk *d = ctx;
	int at = disk_find(&d->names, name);

	if (!create || at != -1) {
		errno = create ? EEXIST : ENOENT;
		return at == -1 || create ? -1 : d->names.at[at].file;
	}
	if (!disk_step(d))
		return -1;
	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (!d->files[i].used) {
			d->files[i] = (struct disk_file){.used = true};
			disk_name_put(&d->names, name, i);
			disk_names_changed(d);
			return i;
		}
	abort();
}

static inline void
disk_close(void *ctx, int fd)
{
	(void)ctx, (void)fd;
}

static inline int
disk_size(void *ctx, int fd, uint64_t *bytes)
{
	struct disk *d = ctx;

	*bytes = d->files[fd].size;
	return 0;
}

static inline int
disk_allocate(void *ctx, int fd, uint64_t bytes)
{
	struct disk *d = ctx;
	struct disk_file *f = &d->files[fd];

	if (!disk_step(d))
		return -1;
	if (bytes > d->space_left) {
		errno = ENOSPC;
		return -1;
	}
	d->space_left -= bytes;
	f->now = xcalloc(1, bytes);
	f->durable = xcalloc(1, bytes);
	f->size = bytes;
	return 0;
}

static inline ssize_t
disk_read(void *ctx, int fd, void *out, size_t size, uint64_t offset)
{
	struct disk *d = ctx;
	struct disk_file *f = &d->files[fd];

	if (offset >= f->size)
		return 0;
	size = MIN(size, f->size - offset);
	memcpy(out, f->now + offset, size);
	return (ssize_t)size;
}

static inline ssize_t
disk_write(void *ctx, int fd, const void *data, size_t size, uint64_t offset)
{
	struct disk *d = ctx;
	struct disk_file *f = &d->files[fd];
	bool whole = disk_step(d);

	if (offset + size > f->size)
		abort();
	/* a write that is interrupted has written some of its blocks */
	if (!whole)
		size =
		    d->operations == d->stop_at ? disk_random(d) % (size / WAL_BLOCK_BYTES + 1) * WAL_BLOCK_BYTES : 0;
	memcpy(f->now + offset, data, size);
	if (f->dirty_from >= f->dirty_to)
		f->dirty_from = offset;
	f->dirty_from = MIN(f->dirty_from, offset);
	f->dirty_to = MAX(f->dirty_to, offset + size);
	return whole ? (ssize_t)size : -1;
}

static inline int
disk_sync(void *ctx, int fd)
{
	struct disk *d = ctx;
	struct disk_file *f = &d->files[fd];

	if (!disk_step(d))
		return -1;
	if (d->fail_sync_errno != 0) {
		errno = d->fail_sync_errno;
		return -1;
	}
	if (f->dirty_from < f->dirty_to)
		memcpy(f->durable + f->dirty_from, f->now + f->dirty_from, f->dirty_to - f->dirty_from);
	f->dirty_from = f->dirty_to = 0;
	f->durable_size = f->size;
	return 0;
}

static inline int
disk_sync_directory(void *ctx)
{
	struct disk *d = ctx;

	if (!disk_step(d))
		return -1;
	d->history[0] = d->names;
	d->changes = 0;
	return 0;
}

static inline void
disk_file_release(struct disk *d, int file)
{
	d->space_left += d->files[file].size;
}

static inline int
disk_rename(void *ctx, const char *from, const char *to)
{
	struct disk *d = ctx;
	int at = disk_find(&d->names, from), old = disk_find(&d->names, to);

	if (!disk_step(d))
		return -1;
	if (at == -1) {
		errno = ENOENT;
		return -1;
	}
	if (old != -1) {
		disk_file_release(d, d->names.at[old].file);
		d->names.at[old].file = -1;
	}
	snprintf(d->names.at[at].name, sizeof d->names.at[at].name, "%s", to);
	disk_names_changed(d);
	return 0;
}

static inline int
disk_unlink(void *ctx, const char *name)
{
	struct disk *d = ctx;
	int at = disk_find(&d->names, name);

	if (at == -1) {
		errno = ENOENT;
		return -1;
	}
	if (!disk_step(d))
		return -1;
	disk_file_release(d, d->names.at[at].file);
	d->names.at[at].file = -1;
	disk_names_changed(d);
	return 0;
}

static inline struct wal_io
disk_io(struct disk *d)
{
	return (struct wal_io){disk_lock, disk_list, disk_open, disk_close, disk_size, disk_allocate, disk_read,
	    disk_write, disk_sync, disk_sync_directory, disk_rename, disk_unlink, d};
}

static inline void
disk_init(struct disk *d)
{
	memset(d, 0, sizeof *d);
	for (int i = 0; i < DISK_FILES_MAX; i++)
		d->names.at[i].file = -1;
	d->history[0] = d->names;
	d->space_left = UINT64_C(1) << 32;
}

static inline void
disk_free(struct disk *d)
{
	for (int i = 0; i < DISK_FILES_MAX; i++) {
		free(d->files[i].now);
		free(d->files[i].durable);
	}
}

/* The process died, the machine goes on: everything written is there. */
static inline void
disk_restart(struct disk *d)
{
	d->stopped = false;
	d->operations = d->stop_at = 0;
}

/* The machine died. */
static inline void
disk_power_loss(struct disk *d)
{
	d->names = d->history[disk_random(d) % (d->changes + 1)];
	for (int i = 0; i < DISK_FILES_MAX; i++) {
		struct disk_file *f = &d->files[i];

		if (!f->used || f->now == NULL)
			continue;
		for (uint64_t at = f->dirty_from; at < f->dirty_to; at += WAL_BLOCK_BYTES) {
			bool lost = disk_random(d) % 2 == 0;

			memcpy(lost ? f->now + at : f->durable + at, lost ? f->durable + at : f->now + at,
			    WAL_BLOCK_BYTES);
		}
		f->dirty_from = f->dirty_to = 0;
		if (f->durable_size != f->size && disk_random(d) % 2 == 0)
			f->size = f->durable_size;
		f->durable_size = f->size;
	}
	d->history[0] = d->names;
	d->changes = 0;
	disk_restart(d);
}

/* The file's content by name, or NULL. */
static inline struct disk_file *
disk_file(struct disk *d, const char *name)
{
	int at = disk_find(&d->names, name);

	return at == -1 ? NULL : &d->files[d->names.at[at].file];
}

#endif

/*
 * raftd_disk.h - a file system in memory behind struct wal_io, for tests: counts operations, stops at one of them, loses what was not synced
 *
 * Each file has what the processes see and what is durable. A crash of the machine (disk_power_loss) keeps of each block of 4 KiB that was
 * written since the last sync either the new or the old content, as a coin says, and of the changes of names a prefix. Directories
 * may be nested; a name is durable when its directory was synced.
 *
 * Faults of the disk itself: flipped bits, writes that were lost or went elsewhere, sectors that can not be read, blocks torn into sectors. With
 * a trace attached, every change is recorded in order; raftd_crash.h rebuilds from it all that a crash may leave.
 */
#ifndef RAFTD_DISK_H
#define RAFTD_DISK_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/seeded.h"
#include "mem.h"
#include "wal.h"

#define DISK_FILES_MAX 64
#define DISK_CHANGES_MAX 64
#define DISK_NAME_MAX 88
#define DISK_ROOT (-2)
#define DISK_LATENT_MAX 16
#define DISK_SECTOR_BYTES 512u

struct disk_file {
	uint8_t *now, *durable; /* both of capacity bytes, zero behind size */
	uint64_t size, durable_size, capacity;
	uint64_t dirty_from, dirty_to; /* written since the last sync, in whole blocks; from >= to: nothing */
	bool used, directory;
	bool fixed; /* preallocated: writing behind its end is a mistake */
};

struct disk_names {
	struct {
		char name[DISK_NAME_MAX];
		int parent; /* a directory's file, or DISK_ROOT */
		int file;   /* -1: none */
	} at[DISK_FILES_MAX];
};

enum disk_change_kind { DISK_LINK, DISK_MOVE, DISK_REMOVE };

struct disk_change {
	enum disk_change_kind kind;
	int parent, file;
	char name[DISK_NAME_MAX], to[DISK_NAME_MAX];
};

enum disk_op_kind { DISK_CREATE, DISK_ALLOCATE, DISK_WRITE, DISK_SYNC, DISK_SYNC_DIRECTORY, DISK_RENAME, DISK_UNLINK };

/* One change, as it is recorded. A write is recorded block by block. */
struct disk_op {
	enum disk_op_kind kind;
	int file; /* of SYNC_DIRECTORY the directory */
	bool directory;
	struct disk_change change;
	uint64_t offset, size;
	uint8_t *data;
};

struct disk_trace {
	struct disk_op *ops;
	size_t count, size;
};

struct disk_place {
	int file;
	uint64_t block;
};

struct disk;

/* What a struct wal_io has as ctx. */
struct disk_dir {
	struct disk *disk;
	char path[DISK_NAME_MAX]; /* "": the top */
};

struct disk {
	struct disk_dir top;
	struct disk_file files[DISK_FILES_MAX];
	struct disk_names names, durable_names;
	struct disk_change changes_made[DISK_CHANGES_MAX]; /* since the directory's last sync */
	size_t changes;
	uint64_t operations, stop_at; /* 0: never */
	bool stopped;
	uint64_t space_left; /* bytes that can be allocated */
	uint64_t random;
	int fail_sync_errno;
	bool fail_write;   /* the next write ends in its middle: no space */
	bool sectors_torn; /* a power loss may leave a part of a block */
	struct disk_place latent[DISK_LATENT_MAX];
	size_t latent_count;
	struct disk_trace *trace; /* borrowed; NULL: none */
};

static inline uint64_t
disk_random(struct disk *d)
{
	return seeded_next(&d->random);
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

/* ---- the trace ---- */

static inline void
disk_record(struct disk *d, const struct disk_op *op, const void *data)
{
	struct disk_trace *t = d->trace;

	if (t == NULL)
		return;
	if (t->count == t->size) {
		t->size = t->size == 0 ? 256 : t->size * 2;
		t->ops = xreallocarray(t->ops, t->size, sizeof *t->ops);
	}
	t->ops[t->count] = *op;
	if (data != NULL) {
		t->ops[t->count].data = xmalloc(op->size);
		memcpy(t->ops[t->count].data, data, op->size);
	}
	t->count++;
}

static inline void
disk_trace_free(struct disk_trace *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->ops[i].data);
	free(t->ops);
	*t = (struct disk_trace){0};
}

/* ---- names ---- */

static inline int
disk_entry(const struct disk_names *names, int parent, const char *name)
{
	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (names->at[i].file != -1 && names->at[i].parent == parent && strcmp(names->at[i].name, name) == 0)
			return i;
	return -1;
}

/* Index of a name in the top directory; -1: none. */
static inline int
disk_find(const struct disk_names *names, const char *name)
{
	return disk_entry(names, DISK_ROOT, name);
}

static inline void
disk_names_apply(struct disk_names *names, const struct disk_change *c)
{
	int at = disk_entry(names, c->parent, c->kind == DISK_MOVE ? c->to : c->name);

	if (at != -1) /* replaced or removed */
		names->at[at].file = -1;
	if (c->kind == DISK_REMOVE)
		return;
	at = c->kind == DISK_MOVE ? disk_entry(names, c->parent, c->name) : -1;
	for (int i = 0; at == -1 && i < DISK_FILES_MAX; i++)
		if (names->at[i].file == -1)
			at = i;
	if (at == -1)
		abort();
	snprintf(names->at[at].name, DISK_NAME_MAX, "%s", c->kind == DISK_MOVE ? c->to : c->name);
	names->at[at].parent = c->parent;
	names->at[at].file = c->file;
}

static inline void
disk_name_change(struct disk *d, enum disk_op_kind kind, const struct disk_change *c)
{
	const struct disk_op op = {
	    .kind = kind, .file = c->file, .directory = d->files[c->file].directory, .change = *c};

	if (d->changes == DISK_CHANGES_MAX)
		abort();
	disk_names_apply(&d->names, c);
	d->changes_made[d->changes++] = *c;
	disk_record(d, &op, NULL);
}

/* What was changed in that directory is durable. */
static inline void
disk_names_sync(struct disk *d, int parent)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->changes; i++)
		if (d->changes_made[i].parent == parent)
			disk_names_apply(&d->durable_names, &d->changes_made[i]);
		else
			d->changes_made[kept++] = d->changes_made[i];
	d->changes = kept;
}

/* Finds path below dir: the directory it is in and its last part. false (ENOENT): one of the directories is missing. */
static inline bool
disk_walk(const struct disk_dir *dir, const char *path, int *parent, char last[DISK_NAME_MAX])
{
	char full[2 * DISK_NAME_MAX], *part = full, *slash;

	snprintf(full, sizeof full, "%s%s%s", dir->path, dir->path[0] == '\0' ? "" : "/", path == NULL ? "." : path);
	*parent = DISK_ROOT;
	for (; (slash = strchr(part, '/')) != NULL; part = slash + 1) {
		int at;

		*slash = '\0';
		at = disk_entry(&dir->disk->names, *parent, part);
		if (at == -1) {
			errno = ENOENT;
			return false;
		}
		*parent = dir->disk->names.at[at].file;
	}
	snprintf(last, DISK_NAME_MAX, "%.*s", DISK_NAME_MAX - 1, part);
	return true;
}

/* Index of a path in names; -1 with ENOENT. */
static inline int
disk_path(const struct disk_dir *dir, const char *path, int *parent, char last[DISK_NAME_MAX])
{
	int at = disk_walk(dir, path, parent, last) ? disk_entry(&dir->disk->names, *parent, last) : -1;

	if (at == -1)
		errno = ENOENT;
	return at;
}

/* The file of a directory; -1 with ENOENT. */
static inline int
disk_directory(const struct disk_dir *dir, const char *name)
{
	char last[DISK_NAME_MAX];
	int parent, at;

	if (!disk_walk(dir, name, &parent, last))
		return -1;
	if (strcmp(last, ".") == 0)
		return parent;
	at = disk_entry(&dir->disk->names, parent, last);
	if (at == -1)
		errno = ENOENT;
	return at == -1 ? -1 : dir->disk->names.at[at].file;
}

/* Nobody can reach it any more, crash or not. */
static inline bool
disk_is_gone(const struct disk *d, int file)
{
	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (d->names.at[i].file == file || d->durable_names.at[i].file == file)
			return false;
	for (size_t i = 0; i < d->changes; i++)
		if (d->changes_made[i].file == file)
			return false;
	return true;
}

static inline void
disk_file_clear(struct disk_file *f, bool directory)
{
	free(f->now);
	free(f->durable);
	*f = (struct disk_file){.used = true, .directory = directory};
}

/* The number of a directory that is gone is used again: what stood in it is gone as well, whether its own removal was durable or not. */
static inline void
disk_orphans_drop(struct disk *d, int directory)
{
	size_t kept = 0;

	for (int i = 0; i < DISK_FILES_MAX; i++) {
		if (d->names.at[i].parent == directory)
			d->names.at[i].file = -1;
		if (d->durable_names.at[i].parent == directory)
			d->durable_names.at[i].file = -1;
	}
	for (size_t i = 0; i < d->changes; i++)
		if (d->changes_made[i].parent != directory)
			d->changes_made[kept++] = d->changes_made[i];
	d->changes = kept;
}

static inline int
disk_create(struct disk *d, int parent, const char *name, bool directory)
{
	struct disk_change c = {.kind = DISK_LINK, .parent = parent, .file = -1};

	snprintf(c.name, sizeof c.name, "%s", name);
	for (int i = 0; i < DISK_FILES_MAX && c.file == -1; i++)
		if (!d->files[i].used)
			c.file = i;
	for (int i = 0; i < DISK_FILES_MAX && c.file == -1; i++)
		if (disk_is_gone(d, i))
			c.file = i;
	if (c.file == -1) {
		fprintf(stderr, "raftd_disk: more than %d files\n", DISK_FILES_MAX);
		abort();
	}
	disk_orphans_drop(d, c.file);
	disk_file_clear(&d->files[c.file], directory);
	disk_name_change(d, DISK_CREATE, &c);
	return c.file;
}

/* ---- struct wal_io ---- */

static inline int
disk_lock(void *ctx)
{
	(void)ctx;
	return 0;
}

static inline int
disk_list(void *ctx, const char *directory, void (*each)(void *arg, const char *name), void *arg)
{
	const struct disk_dir *dir = ctx;
	const struct disk *d = dir->disk;
	int parent = disk_directory(dir, directory);

	if (parent == -1)
		return -1;
	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (d->names.at[i].file != -1 && d->names.at[i].parent == parent)
			each(arg, d->names.at[i].name);
	return 0;
}

static inline int
disk_open(void *ctx, const char *name, enum wal_io_mode mode)
{
	struct disk_dir *dir = ctx;
	struct disk *d = dir->disk;
	char last[DISK_NAME_MAX];
	int parent, at;

	if (!disk_walk(dir, name, &parent, last))
		return -1;
	at = disk_entry(&d->names, parent, last);
	if (mode != WAL_IO_CREATE || at != -1) {
		errno = at == -1 ? ENOENT : EEXIST;
		return at == -1 || mode == WAL_IO_CREATE ? -1 : d->names.at[at].file;
	}
	if (!disk_step(d))
		return -1;
	return disk_create(d, parent, last, false);
}

static inline void
disk_close(void *ctx, int fd)
{
	(void)ctx, (void)fd;
}

static inline int
disk_size(void *ctx, int fd, uint64_t *bytes)
{
	*bytes = ((struct disk_dir *)ctx)->disk->files[fd].size;
	return 0;
}

/* Makes the file that large. false: no space. */
static inline bool
disk_grow(struct disk *d, struct disk_file *f, uint64_t size)
{
	uint64_t capacity = (size + WAL_BLOCK_BYTES - 1) / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;

	if (size - f->size > d->space_left) {
		errno = ENOSPC;
		return false;
	}
	d->space_left -= size - f->size;
	f->size = size;
	if (capacity <= f->capacity)
		return true;
	f->now = xreallocarray(f->now, capacity, 1);
	f->durable = xreallocarray(f->durable, capacity, 1);
	memset(f->now + f->capacity, 0, capacity - f->capacity);
	memset(f->durable + f->capacity, 0, capacity - f->capacity);
	f->capacity = capacity;
	return true;
}

static inline int
disk_allocate(void *ctx, int fd, uint64_t bytes)
{
	struct disk *d = ((struct disk_dir *)ctx)->disk;
	const struct disk_op op = {.kind = DISK_ALLOCATE, .file = fd, .size = bytes};

	if (!disk_step(d) || !disk_grow(d, &d->files[fd], bytes))
		return -1;
	d->files[fd].fixed = true;
	disk_record(d, &op, NULL);
	return 0;
}

static inline bool
disk_is_latent(const struct disk *d, int file, uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < d->latent_count; i++)
		if (d->latent[i].file == file && d->latent[i].block * WAL_BLOCK_BYTES < to &&
		    (d->latent[i].block + 1) * WAL_BLOCK_BYTES > from)
			return true;
	return false;
}

static inline ssize_t
disk_read(void *ctx, int fd, void *out, size_t size, uint64_t offset)
{
	struct disk *d = ((struct disk_dir *)ctx)->disk;
	struct disk_file *f = &d->files[fd];

	if (offset >= f->size)
		return 0;
	size = MIN(size, f->size - offset);
	if (disk_is_latent(d, fd, offset, offset + size)) {
		errno = EIO;
		return -1;
	}
	memcpy(out, f->now + offset, size);
	return (ssize_t)size;
}

/* The bytes are there, for the processes; recorded block by block, as far as they are new. */
static inline void
disk_put(struct disk *d, int file, const uint8_t *data, size_t size, uint64_t offset)
{
	struct disk_file *f = &d->files[file];

	for (size_t done = 0, part; done < size; done += part) {
		uint64_t at = offset + done;
		const struct disk_op op = {.kind = DISK_WRITE,
		    .file = file,
		    .offset = at,
		    .size = part = MIN(size - done, WAL_BLOCK_BYTES - at % WAL_BLOCK_BYTES)};

		if (d->trace != NULL && (memcmp(f->now + at, data + done, part) != 0 || at + part > f->size))
			disk_record(d, &op, data + done);
	}
	memcpy(f->now + offset, data, size);
	if (f->dirty_from >= f->dirty_to)
		f->dirty_from = offset / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;
	f->dirty_from = MIN(f->dirty_from, offset / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES);
	f->dirty_to = MAX(f->dirty_to, (offset + size + WAL_BLOCK_BYTES - 1) / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES);
	for (size_t i = d->latent_count; i > 0; i--) /* written again: the drive takes another sector */
		if (d->latent[i - 1].file == file && d->latent[i - 1].block * WAL_BLOCK_BYTES >= offset &&
		    (d->latent[i - 1].block + 1) * WAL_BLOCK_BYTES <= offset + size)
			d->latent[i - 1] = d->latent[--d->latent_count];
}

static inline ssize_t
disk_write(void *ctx, int fd, const void *data, size_t size, uint64_t offset)
{
	struct disk *d = ((struct disk_dir *)ctx)->disk;
	struct disk_file *f = &d->files[fd];
	bool whole = disk_step(d);

	if (offset + size > f->size && f->fixed)
		abort();
	/* a write that is interrupted has written some of its blocks */
	if (!whole)
		size =
		    d->operations == d->stop_at ? disk_random(d) % (size / WAL_BLOCK_BYTES + 1) * WAL_BLOCK_BYTES : 0;
	if (d->fail_write) {
		size = size / WAL_BLOCK_BYTES / 2 * WAL_BLOCK_BYTES;
		d->fail_write = false;
	}
	if (offset + size > f->size && !disk_grow(d, f, offset + size))
		return -1;
	if (size > 0)
		disk_put(d, fd, data, size, offset);
	return whole ? (ssize_t)size : -1;
}

static inline int
disk_sync(void *ctx, int fd)
{
	struct disk *d = ((struct disk_dir *)ctx)->disk;
	struct disk_file *f = &d->files[fd];
	const struct disk_op op = {.kind = DISK_SYNC, .file = fd};

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
	disk_record(d, &op, NULL);
	return 0;
}

static inline int
disk_sync_directory(void *ctx, const char *directory)
{
	struct disk_dir *dir = ctx;
	struct disk *d = dir->disk;
	struct disk_op op = {.kind = DISK_SYNC_DIRECTORY, .file = disk_directory(dir, directory)};

	if (op.file == -1 || !disk_step(d))
		return -1;
	disk_names_sync(d, op.file);
	disk_record(d, &op, NULL);
	return 0;
}

static inline int
disk_rename(void *ctx, const char *from, const char *to)
{
	struct disk_dir *dir = ctx;
	struct disk *d = dir->disk;
	struct disk_change c = {.kind = DISK_MOVE};
	int at = disk_path(dir, from, &c.parent, c.name), parent, old;

	if (at == -1 || !disk_step(d))
		return -1;
	old = disk_path(dir, to, &parent, c.to);
	if (parent != c.parent)
		abort();
	if (old != -1 && d->files[d->names.at[old].file].directory) {
		errno = ENOTEMPTY;
		return -1;
	}
	if (old != -1)
		d->space_left += d->files[d->names.at[old].file].size;
	c.file = d->names.at[at].file;
	disk_name_change(d, DISK_RENAME, &c);
	return 0;
}

static inline int
disk_remove(struct disk_dir *dir, const char *name, bool directory)
{
	struct disk *d = dir->disk;
	struct disk_change c = {.kind = DISK_REMOVE};
	int at = disk_path(dir, name, &c.parent, c.name);

	if (at == -1)
		return -1;
	c.file = d->names.at[at].file;
	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (directory && d->names.at[i].file != -1 && d->names.at[i].parent == c.file) {
			errno = ENOTEMPTY;
			return -1;
		}
	if (!disk_step(d))
		return -1;
	d->space_left += d->files[c.file].size;
	disk_name_change(d, DISK_UNLINK, &c);
	return 0;
}

static inline int
disk_unlink(void *ctx, const char *name)
{
	return disk_remove(ctx, name, false);
}

static inline int
disk_remove_directory(void *ctx, const char *name)
{
	return disk_remove(ctx, name, true);
}

static inline int
disk_make_directory(void *ctx, const char *name)
{
	struct disk_dir *dir = ctx;
	char last[DISK_NAME_MAX];
	int parent;

	if (disk_path(dir, name, &parent, last) != -1) {
		errno = EEXIST;
		return -1;
	}
	if (!disk_step(dir->disk))
		return -1;
	(void)disk_create(dir->disk, parent, last, true);
	return 0;
}

/* Of a directory; dir is borrowed. */
static inline struct wal_io
disk_io_in(struct disk_dir *dir)
{
	return (struct wal_io){disk_lock, disk_list, disk_open, disk_close, disk_size, disk_allocate, disk_read,
	    disk_write, disk_sync, disk_sync_directory, disk_rename, disk_unlink, disk_make_directory,
	    disk_remove_directory, dir};
}

/* Of the top directory. The disk must stay where it is. */
static inline struct wal_io
disk_io(struct disk *d)
{
	d->top = (struct disk_dir){.disk = d};
	return disk_io_in(&d->top);
}

static inline void
disk_init(struct disk *d)
{
	memset(d, 0, sizeof *d);
	for (int i = 0; i < DISK_FILES_MAX; i++)
		d->names.at[i].file = -1;
	d->durable_names = d->names;
	d->top.disk = d;
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

/* ---- crashes ---- */

/* The process died, the machine goes on: everything written is there. */
static inline void
disk_restart(struct disk *d)
{
	d->stopped = false;
	d->operations = d->stop_at = 0;
}

/* The block is lost, kept, or (sectors_torn) kept in part. */
static inline void
disk_block_settle(struct disk *d, struct disk_file *f, uint64_t at)
{
	bool lost = disk_random(d) % 2 == 0;

	if (d->sectors_torn && disk_random(d) % 4 == 0)
		for (uint64_t i = 0, kept = disk_random(d); i < WAL_BLOCK_BYTES; i += DISK_SECTOR_BYTES, kept >>= 1)
			if ((kept & 1) != 0)
				memcpy(f->durable + at + i, f->now + at + i, DISK_SECTOR_BYTES);
	memcpy(lost ? f->now + at : f->durable + at, lost ? f->durable + at : f->now + at, WAL_BLOCK_BYTES);
}

/* The machine died. */
static inline void
disk_power_loss(struct disk *d)
{
	size_t kept = (size_t)(disk_random(d) % (d->changes + 1));

	for (size_t i = 0; i < kept; i++)
		disk_names_apply(&d->durable_names, &d->changes_made[i]);
	d->names = d->durable_names;
	for (int i = 0; i < DISK_FILES_MAX; i++) {
		struct disk_file *f = &d->files[i];

		if (!f->used || f->now == NULL)
			continue;
		for (uint64_t at = f->dirty_from; at < f->dirty_to; at += WAL_BLOCK_BYTES)
			disk_block_settle(d, f, at);
		f->dirty_from = f->dirty_to = 0;
		if (f->durable_size != f->size && disk_random(d) % 2 == 0)
			f->size = f->durable_size;
		f->durable_size = f->size;
	}
	d->changes = 0;
	disk_restart(d);
}

/* ---- faults of the disk itself ---- */

/* The file of a name in the top directory, or NULL. */
static inline struct disk_file *
disk_file(struct disk *d, const char *name)
{
	int at = disk_find(&d->names, name);

	return at == -1 ? NULL : &d->files[d->names.at[at].file];
}

/* The last batch of the log in the top directory: its number, and the segment's file. 0: there is none. */
static inline uint64_t
disk_last_batch(const struct disk *d, int *file)
{
	uint64_t batch = 0;

	for (int i = 0; i < DISK_FILES_MAX; i++) {
		const struct disk_file *f = d->names.at[i].file == -1 ? NULL : &d->files[d->names.at[i].file];

		if (f == NULL || strstr(d->names.at[i].name, ".log") == NULL)
			continue;
		for (uint64_t at = WAL_BLOCK_BYTES; at < f->size; at += WAL_BLOCK_BYTES) {
			struct wal_block_head head;

			if (wal_block_head_get(f->now + at, &head) && head.batch > batch) {
				batch = head.batch;
				*file = d->names.at[i].file;
			}
		}
	}
	return batch;
}

/*
 * A block of the log that is in use, chosen by the disk's seed. A write of the very last batch that is lost or lands elsewhere can not be
 * told from one that never happened (raftd-wal(5)): with spare_last_batch its blocks are not chosen. false: there is none.
 */
static inline bool
disk_choose_block(struct disk *d, bool spare_last_batch, struct disk_place *out)
{
	static const uint8_t zero[WAL_BLOCK_BYTES];
	int last_file = -1;
	uint64_t last = disk_last_batch(d, &last_file), seen = 0;

	for (int i = 0; i < DISK_FILES_MAX; i++) {
		int file = d->names.at[i].file;

		if (file == -1 || d->names.at[i].parent != DISK_ROOT || strstr(d->names.at[i].name, ".log") == NULL)
			continue;
		for (uint64_t at = 0; at < d->files[file].size; at += WAL_BLOCK_BYTES) {
			const uint8_t *block = d->files[file].now + at;
			struct wal_block_head head;

			if (memcmp(block, zero, sizeof zero) == 0 ||
			    (spare_last_batch && at > 0 && file == last_file && wal_block_head_get(block, &head) &&
				head.batch == last))
				continue;
			if (disk_random(d) % ++seen == 0)
				*out = (struct disk_place){file, at / WAL_BLOCK_BYTES};
		}
	}
	return seen > 0;
}

static inline void
disk_block_set(struct disk *d, struct disk_place p, const uint8_t *block)
{
	memcpy(d->files[p.file].now + p.block * WAL_BLOCK_BYTES, block, WAL_BLOCK_BYTES);
	memcpy(d->files[p.file].durable + p.block * WAL_BLOCK_BYTES, block, WAL_BLOCK_BYTES);
}

/* Flips one to three bits that the seed chooses. */
static inline void
disk_corrupt_block(struct disk *d, struct disk_place p)
{
	uint8_t block[WAL_BLOCK_BYTES];
	uint64_t bits[3] = {disk_random(d) % (8 * WAL_BLOCK_BYTES), disk_random(d) % (8 * WAL_BLOCK_BYTES),
	    disk_random(d) % (8 * WAL_BLOCK_BYTES)};
	unsigned count = 1 + (unsigned)(disk_random(d) % 3);

	memcpy(block, d->files[p.file].now + p.block * WAL_BLOCK_BYTES, sizeof block);
	for (unsigned i = 0; i < count; i++)
		if (i == 0 || (bits[i] != bits[0] && (i == 1 || bits[2] != bits[1])))
			block[bits[i] / 8] ^= (uint8_t)(1u << bits[i] % 8);
	disk_block_set(d, p, block);
}

/* The write of this block never came to the disk, which had zeros there. */
static inline void
disk_lose_block(struct disk *d, struct disk_place p)
{
	static const uint8_t zero[WAL_BLOCK_BYTES];

	disk_block_set(d, p, zero);
}

/* The write of the block from went to another place, of the same file or another. */
static inline void
disk_misdirect(struct disk *d, struct disk_place from, struct disk_place to)
{
	uint8_t block[WAL_BLOCK_BYTES];

	memcpy(block, d->files[from.file].now + from.block * WAL_BLOCK_BYTES, sizeof block);
	disk_lose_block(d, from);
	disk_block_set(d, to, block);
}

/* Reads that touch this block fail (EIO) until it is written again. */
static inline void
disk_latent_error(struct disk *d, struct disk_place p)
{
	if (d->latent_count < DISK_LATENT_MAX)
		d->latent[d->latent_count++] = p;
}

#endif

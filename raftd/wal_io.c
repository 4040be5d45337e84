/*
 * wal_io.c - the file operations of log and snapshots on a real directory (contract: struct wal_io in wal.h)
 */
#include "wal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int
dir_of(void *ctx)
{
	return *(const int *)ctx;
}

static int
io_lock(void *ctx)
{
	return flock(dir_of(ctx), LOCK_EX | LOCK_NB);
}

static int
directory_open(void *ctx, const char *directory)
{
	return openat(dir_of(ctx), directory == NULL ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
io_list(void *ctx, const char *directory, void (*each)(void *arg, const char *name), void *arg)
{
	int fd = directory_open(ctx, directory), saved_errno;
	struct dirent *e;
	DIR *d;

	if (fd == -1)
		return -1;
	d = fdopendir(fd);
	if (d == NULL) {
		saved_errno = errno;
		close(fd);
		errno = saved_errno;
		return -1;
	}
	while (errno = 0, (e = readdir(d)) != NULL)
		each(arg, e->d_name);
	saved_errno = errno;
	closedir(d);
	errno = saved_errno;
	return saved_errno == 0 ? 0 : -1;
}

static int
io_open(void *ctx, const char *name, enum wal_io_mode mode)
{
	static const int flags[] = {
	    [WAL_IO_READ] = O_RDONLY, [WAL_IO_WRITE] = O_RDWR, [WAL_IO_CREATE] = O_RDWR | O_CREAT | O_EXCL};

	return openat(dir_of(ctx), name, flags[mode] | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void
io_close(void *ctx, int fd)
{
	(void)ctx;
	close(fd);
}

static int
io_size(void *ctx, int fd, uint64_t *bytes)
{
	struct stat st;

	(void)ctx;
	if (fstat(fd, &st) == -1)
		return -1;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

static ssize_t
io_write(void *ctx, int fd, const void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	(void)ctx;
	while (done < size) {
		ssize_t n = pwrite(fd, (const char *)data + done, size - done, (off_t)(offset + done));

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = ENOSPC;
			return done > 0 ? (ssize_t)done : -1;
		}
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int
io_allocate(void *ctx, int fd, uint64_t bytes)
{
	static const uint8_t zeros[64 * 1024];

	if (fallocate(fd, 0, 0, (off_t)bytes) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -1;
	for (uint64_t at = 0; at < bytes; at += sizeof zeros) {
		size_t size = bytes - at < sizeof zeros ? (size_t)(bytes - at) : sizeof zeros;
		ssize_t n = io_write(ctx, fd, zeros, size, at);

		if (n != (ssize_t)size) {
			if (n >= 0)
				errno = ENOSPC;
			return -1;
		}
	}
	return 0;
}

static ssize_t
io_read(void *ctx, int fd, void *out, size_t size, uint64_t offset)
{
	size_t done = 0;

	(void)ctx;
	while (done < size) {
		ssize_t n = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int
io_sync(void *ctx, int fd)
{
	(void)ctx;
	return fdatasync(fd);
}

static int
io_sync_directory(void *ctx, const char *directory)
{
	int fd, result, saved_errno;

	if (directory == NULL)
		return fsync(dir_of(ctx));
	fd = directory_open(ctx, directory);
	if (fd == -1)
		return -1;
	result = fsync(fd);
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return result;
}

static int
io_rename(void *ctx, const char *from, const char *to)
{
	return renameat(dir_of(ctx), from, dir_of(ctx), to);
}

static int
io_unlink(void *ctx, const char *name)
{
	return unlinkat(dir_of(ctx), name, 0);
}

static int
io_make_directory(void *ctx, const char *name)
{
	return mkdirat(dir_of(ctx), name, 0700);
}

static int
io_remove_directory(void *ctx, const char *name)
{
	return unlinkat(dir_of(ctx), name, AT_REMOVEDIR);
}

struct wal_io
wal_io_directory(const int *dirfd)
{
	return (struct wal_io){
	    .lock = io_lock,
	    .list = io_list,
	    .open = io_open,
	    .close = io_close,
	    .size = io_size,
	    .allocate = io_allocate,
	    .read = io_read,
	    .write = io_write,
	    .sync = io_sync,
	    .sync_directory = io_sync_directory,
	    .rename = io_rename,
	    .unlink = io_unlink,
	    .make_directory = io_make_directory,
	    .remove_directory = io_remove_directory,
	    .ctx = (void *)(uintptr_t)dirfd,
	};
}

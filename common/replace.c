/*
 * replace.c - a small file made anew as a whole (contract: replace.h; callers: consuld, gossipd, raftd, checkd)
 */
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "mem.h"

static int
fail(int dir, const char *temporary, int fd)
{
	int saved_errno = errno;

	if (fd != -1)
		close(fd);
	(void)unlinkat(dir, temporary, 0);
	errno = saved_errno;
	return -1;
}

int
replace_file(int dir, const char *name, struct bytes content, mode_t mode, bool durable)
{
	char temporary[REPLACE_NAME_MAX + 5];
	int fd;

	if ((size_t)snprintf(temporary, sizeof temporary, "%s.tmp", name) >= sizeof temporary) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd == -1)
		return -1;
	if (bytes_write(fd, content) == -1 || (durable && fsync(fd) == -1))
		return fail(dir, temporary, fd);
	if (close(fd) == -1 || renameat(dir, temporary, dir, name) == -1)
		return fail(dir, temporary, -1);
	return durable ? fsync(dir) : 0;
}

/*
 * logfile.c - the agent's log_file with its rotation (contract: logfile.h; caller: logs.c)
 *
 * Lines of one loop turn are gathered and written together; rotation is judged before each line, so the gathered part is written first
 * when a new file begins. Age counts from the opening of a new file, or the change time of one that was there already.
 */
#include "logfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "duration.h"
#include "mem.h"

#define AGE_DEFAULT_NS (24 * 3600 * NS_PER_S)
#define GATHER_BYTES_MAX (64u * 1024)
#define ROTATED_MAX 100000 /* rotated files looked at when pruning */

struct logfile {
	int fd; /* -1: the last opening failed; tried again at the next rotation or SIGHUP */
	char *directory;
	char *name; /* of the active file */
	char *base; /* rotated files are BASE-TIME EXT */
	char *extension;
	int64_t rotate_ns;
	int64_t rotate_bytes;
	int64_t files_max;
	int64_t created_ns; /* wall time */
	int64_t bytes;      /* written since it was opened */
	struct buf gathered;
};

static char path_buffer[PATH_MAX];

static const char *
active_path(const struct logfile *f)
{
	snprintf(path_buffer, sizeof path_buffer, "%s/%s", f->directory, f->name);
	return path_buffer;
}

static int
open_active(struct logfile *f)
{
	struct stat st;

	f->fd = open(active_path(f), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (f->fd == -1)
		return -1;
	f->created_ns = walltime_ns();
	if (fstat(f->fd, &st) == 0 && st.st_size > 0)
		f->created_ns = (int64_t)st.st_ctim.tv_sec * NS_PER_S + st.st_ctim.tv_nsec;
	f->bytes = 0;
	return 0;
}

/* Splits "/var/log/consul.log" or "/var/log/" into directory, name, base and extension. */
static void
name_parts(struct logfile *f, const char *path)
{
	const char *slash = strrchr(path, '/'), *dot;

	if (slash == NULL) {
		f->directory = xstrdup(".");
		f->name = xstrdup(path);
	} else {
		f->directory = slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
		f->name = xstrdup(slash[1] == '\0' ? "consul.log" : slash + 1);
	}
	dot = strrchr(f->name, '.');
	f->base = dot == NULL ? xstrdup(f->name) : xstrndup(f->name, (size_t)(dot - f->name));
	f->extension = xstrdup(dot == NULL ? ".log" : dot);
}

static int
text_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Is name one of our rotated files? Digits only between base and extension: nobody else's file is ever removed. */
static bool
is_rotated(const struct logfile *f, const char *name)
{
	size_t base = strlen(f->base), extension = strlen(f->extension), length = strlen(name);

	if (length < base + 2 + extension || strncmp(name, f->base, base) != 0 || name[base] != '-' ||
	    strcmp(name + length - extension, f->extension) != 0)
		return false;
	for (size_t i = base + 1; i < length - extension; i++)
		if (name[i] < '0' || name[i] > '9')
			return false;
	return true;
}

static void
prune(const struct logfile *f)
{
	char path[PATH_MAX], **names = NULL;
	size_t count = 0, keep;
	struct dirent *entry;
	DIR *directory;

	if (f->files_max == 0 || (directory = opendir(f->directory)) == NULL)
		return;
	while (count < ROTATED_MAX && (entry = readdir(directory)) != NULL) {
		if (!is_rotated(f, entry->d_name))
			continue;
		if ((count & (count - 1)) == 0)
			names = xreallocarray(names, count == 0 ? 1 : count * 2, sizeof *names);
		names[count++] = xstrdup(entry->d_name);
	}
	closedir(directory);
	if (count > 1)
		qsort(names, count, sizeof *names, text_order);
	keep = f->files_max < 0 ? 0 : (size_t)f->files_max;
	for (size_t i = 0; i < count; i++) {
		if (i + keep < count) {
			snprintf(path, sizeof path, "%s/%s", f->directory, names[i]);
			(void)unlink(path);
		}
		free(names[i]);
	}
	free(names);
}

struct logfile *
logfile_open(const struct logfile_options *options, const char **path_text)
{
	struct logfile *f = xcalloc(1, sizeof *f);

	name_parts(f, options->path);
	f->rotate_ns = options->rotate_ns > 0 ? options->rotate_ns : AGE_DEFAULT_NS;
	f->rotate_bytes = options->rotate_bytes;
	f->files_max = options->files_max;
	buf_init(&f->gathered, GATHER_BYTES_MAX);
	if (open_active(f) == -1) {
		int saved_errno = errno;

		*path_text = active_path(f);
		logfile_close(f);
		errno = saved_errno;
		return NULL;
	}
	prune(f);
	return f;
}

void
logfile_close(struct logfile *f)
{
	if (f == NULL)
		return;
	logfile_flush(f);
	if (f->fd != -1)
		close(f->fd);
	buf_free(&f->gathered);
	free(f->directory);
	free(f->name);
	free(f->base);
	free(f->extension);
	free(f);
}

void
logfile_flush(struct logfile *f)
{
	ssize_t written;

	if (f->gathered.used == 0)
		return;
	if (f->fd != -1) {
		/* A short write means a full disk: the rest is lost like the lines that follow. */
		written = write(f->fd, f->gathered.data, f->gathered.used);
		(void)written;
	}
	buf_clear(&f->gathered);
}

void
logfile_reopen(struct logfile *f)
{
	logfile_flush(f);
	if (f->fd != -1)
		close(f->fd);
	(void)open_active(f);
}

static void
rotate(struct logfile *f)
{
	char to[PATH_MAX];

	logfile_flush(f);
	if (f->fd != -1)
		close(f->fd);
	snprintf(to, sizeof to, "%s/%s-%" PRId64 "%s", f->directory, f->base, walltime_ns(), f->extension);
	(void)rename(active_path(f), to);
	prune(f);
	(void)open_active(f);
}

void
logfile_write(struct logfile *f, struct bytes line)
{
	if ((f->rotate_bytes > 0 && f->bytes >= f->rotate_bytes) || walltime_ns() - f->created_ns >= f->rotate_ns)
		rotate(f);
	if (f->gathered.used + line.size > GATHER_BYTES_MAX)
		logfile_flush(f);
	buf_put_bytes(&f->gathered, line);
	f->bytes += (int64_t)line.size;
}

/*
 * rundir.c - the run directory and the locks (contract: rundir.h; callers: main.c, reload.c)
 *
 * A lock is flock(2) on the file `consuld.lock`, whose content is the holder's pid: the kernel lets go of it whatever ends the holder. The content
 * is emptied at a clean end; a pid found there tells of an unclean one.
 */
#include "rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

#define LOCK_NAME "consuld.lock"
#define PRIVATE_PREFIX "consuld-dev."

struct rundir {
	char *path;
	int fd;
	int run_lock, data_lock; /* -1: none */
	bool private_dir;
	bool shared;
	bool unclean;
};

/* Go's spelling: "mkdir /x: permission denied". Always -1. */
static int
refuse(char error[RUNDIR_ERROR_MAX], const char *step, const char *path)
{
	char text[128];

	snprintf(text, sizeof text, "%s", strerror(errno));
	if (text[0] >= 'A' && text[0] <= 'Z')
		text[0] = (char)(text[0] | 0x20);
	snprintf(error, RUNDIR_ERROR_MAX, "%s %s: %s", step, path, text);
	return -1;
}

/* Takes the lock in directory. subject names the directory for the error. */
static int
take_lock(struct rundir *r, const char *directory, const char *subject, int *lock, char error[RUNDIR_ERROR_MAX])
{
	char path[PATH_MAX], text[32];
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "%s/%s", directory, LOCK_NAME);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd == -1)
		return refuse(error, "open", path);
	got = read(fd, text, sizeof text - 1);
	text[got > 0 ? got : 0] = '\0';
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno == EWOULDBLOCK)
			snprintf(error, RUNDIR_ERROR_MAX, "%s is locked by process %s", subject, got > 0 ? text : "?");
		else
			refuse(error, "flock", path);
		close(fd);
		return -1;
	}
	if (got > 0)
		r->unclean = true;
	snprintf(text, sizeof text, "%ld", (long)getpid());
	if (ftruncate(fd, 0) == -1 || pwrite(fd, text, strlen(text), 0) == -1) {
		refuse(error, "write", path);
		close(fd);
		return -1;
	}
	*lock = fd;
	return 0;
}

static void
drop_lock(int fd)
{
	if (fd == -1)
		return;
	if (ftruncate(fd, 0) == -1) {
		/* The next start takes this end for an unclean one: harmless. */
	}
	close(fd);
}

/* mkdir -p, the last one with mode. */
static int
make_path(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t length = strlen(path);

	if (length == 0 || length >= sizeof part) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (size_t i = 1; i < length; i++)
		if (path[i] == '/') {
			memcpy(part, path, i);
			part[i] = '\0';
			if (mkdir(part, 0755) == -1 && errno != EEXIST)
				return -1;
		}
	return mkdir(path, mode) == -1 && errno != EEXIST ? -1 : 0;
}

static int
remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED, struct FTW *at UNUSED)
{
	(void)remove(path);
	return 0;
}

static void
remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Private directories of -dev agents that were killed: ours, and their lock is free. */
static void
remove_stale_private(const char *parent)
{
	char path[PATH_MAX], lock[PATH_MAX + 32];
	struct dirent *entry;
	struct stat st;
	DIR *directory = opendir(parent);
	int fd;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL) {
		if (strncmp(entry->d_name, PRIVATE_PREFIX, sizeof PRIVATE_PREFIX - 1) != 0 ||
		    snprintf(path, sizeof path, "%s/%s", parent, entry->d_name) >= (int)sizeof path)
			continue;
		if (lstat(path, &st) == -1 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
			continue;
		snprintf(lock, sizeof lock, "%s/%s", path, LOCK_NAME);
		fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd == -1)
			continue; /* one that is being made just now has no lock yet */
		/* whoever wrote its number into it had locked it before, until its end; an empty one may be about to be locked */
		if (fstat(fd, &st) == 0 && st.st_size > 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			remove_tree(path);
		close(fd);
	}
	closedir(directory);
}

static int
make_private(struct rundir *r, char error[RUNDIR_ERROR_MAX])
{
	const char *parent = getenv("TMPDIR");
	char path[PATH_MAX];

	if (parent == NULL || parent[0] != '/')
		parent = "/tmp";
	remove_stale_private(parent);
	snprintf(path, sizeof path, "%s/%sXXXXXX", parent, PRIVATE_PREFIX);
	if (mkdtemp(path) == NULL)
		return refuse(error, "mkdir", path);
	r->private_dir = true;
	r->path = xstrdup(path);
	return 0;
}

static int
make_shared(struct rundir *r, const struct rundir_options *options, char error[RUNDIR_ERROR_MAX])
{
	const char *given = getenv("RUNTIME_DIRECTORY");
	size_t length;

	if (options->wanted[0] != '\0')
		r->path = xstrdup(options->wanted);
	else if (given != NULL && given[0] == '/') /* systemd gives several separated by colons: the first is ours */
		r->path = xstrndup(given, strcspn(given, ":"));
	else
		r->path = xasprintf("%s/run", options->data_dir);
	length = strlen(r->path);
	while (length > 1 && r->path[length - 1] == '/')
		r->path[--length] = '\0';
	if (make_path(r->path, 0750) == -1)
		return refuse(error, "mkdir", r->path);
	return 0;
}

unsigned
rundir_committed(const struct rundir *r)
{
	char target[64];
	ssize_t length = readlinkat(r->fd, "current", target, sizeof target - 1);
	unsigned generation;

	if (length <= 0)
		return 0;
	target[length] = '\0';
	return sscanf(target, "gen.%u", &generation) == 1 ? generation : 0;
}

/* Sockets, the daemons' locks, generations and `current` of an earlier run. */
static void
sweep(const struct rundir *r)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *directory;
	size_t length;

	if (r->shared) {
		(void)unlinkat(r->fd, "consuld.sock", 0);
		return;
	}
	directory = opendir(r->path);
	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL) {
		length = strlen(entry->d_name);
		if (snprintf(path, sizeof path, "%s/%s", r->path, entry->d_name) >= (int)sizeof path)
			continue;
		if (strncmp(entry->d_name, "gen.", 4) == 0)
			remove_tree(path);
		else if (strncmp(entry->d_name, "current", 7) == 0 ||
			 (length > 5 && strcmp(entry->d_name + length - 5, ".sock") == 0) ||
			 (length > 5 && strcmp(entry->d_name + length - 5, ".lock") == 0 &&
			     strcmp(entry->d_name, "consuld.lock") != 0))
			(void)unlink(path);
	}
	closedir(directory);
}

static int
give_to_group(const struct rundir *r, const char *name, char error[RUNDIR_ERROR_MAX])
{
	struct group *group;

	if (name[0] == '\0')
		return 0;
	errno = 0;
	group = getgrnam(name);
	if (group == NULL) {
		snprintf(error, RUNDIR_ERROR_MAX, "consuld.conf: there is no group called %s", name);
		return -1;
	}
	if (fchown(r->fd, (uid_t)-1, group->gr_gid) == -1)
		return refuse(error, "chown", r->path);
	return 0;
}

/* Script checks run in the directory in which the agent was started (checkd's check-exec reads it). */
static void
remember_home(void)
{
	char *home = getcwd(NULL, 0);

	if (home != NULL)
		setenv("CHECKD_HOME", home, 1);
	free(home);
}

struct rundir *
rundir_open(const struct rundir_options *options, char error[RUNDIR_ERROR_MAX])
{
	struct rundir *r = xcalloc(1, sizeof *r);

	r->fd = r->run_lock = r->data_lock = -1;
	r->shared = options->shared && !options->dev;
	if (options->data_dir[0] != '\0' && take_lock(r, options->data_dir, "data_dir", &r->data_lock, error) == -1)
		goto fail;
	if ((options->dev ? make_private(r, error) : make_shared(r, options, error)) == -1)
		goto fail;
	r->fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->fd == -1 || fchmod(r->fd, 0750) == -1) {
		refuse(error, "open", r->path);
		goto fail;
	}
	if (give_to_group(r, options->group, error) == -1 ||
	    take_lock(r, r->path, "run_dir", &r->run_lock, error) == -1)
		goto fail;
	remember_home();
	if (fchdir(r->fd) == -1) {
		refuse(error, "chdir", r->path);
		goto fail;
	}
	sweep(r);
	return r;

fail:
	drop_lock(r->data_lock);
	drop_lock(r->run_lock);
	if (r->private_dir)
		remove_tree(r->path);
	if (r->fd != -1)
		close(r->fd);
	free(r->path);
	free(r);
	return NULL;
}

const char *
rundir_path(const struct rundir *r)
{
	return r->path;
}

bool
rundir_was_unclean(const struct rundir *r)
{
	return r->unclean;
}

static void
call_owner(int dirfd, rundir_owner_cb *owner, void *ctx)
{
	DIR *directory = fdopendir(dup(dirfd));
	struct dirent *entry;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			owner(ctx, dirfd, entry->d_name);
	closedir(directory);
}

int
rundir_write(struct rundir *r, const struct config *c, unsigned generation, rundir_owner_cb *owner, void *ctx,
    char error[RUNDIR_ERROR_MAX])
{
	struct stat st;
	char name[32];
	int fd, result = -1;

	snprintf(name, sizeof name, "gen.%u", generation);
	if (mkdirat(r->fd, name, 0750) == -1)
		return refuse(error, "mkdir", name);
	fd = openat(r->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* The group of the run directory, whoever that is given to. */
	if (fd == -1 || fstat(r->fd, &st) == -1 || fchown(fd, (uid_t)-1, st.st_gid) == -1 || fchmod(fd, 0750) == -1) {
		refuse(error, "open", name);
	} else if (config_write(c, generation, fd) == -1) {
		refuse(error, "write", name);
	} else {
		if (owner != NULL)
			call_owner(fd, owner, ctx);
		result = 0;
	}
	if (fd != -1)
		close(fd);
	if (result == -1)
		rundir_remove(r, generation);
	return result;
}

int
rundir_commit(struct rundir *r, unsigned generation)
{
	char name[32];

	snprintf(name, sizeof name, "gen.%u", generation);
	(void)unlinkat(r->fd, "current.new", 0);
	if (symlinkat(name, r->fd, "current.new") == -1)
		return -1;
	return renameat(r->fd, "current.new", r->fd, "current");
}

void
rundir_remove(struct rundir *r, unsigned generation)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/gen.%u", r->path, generation);
	remove_tree(path);
}

void
rundir_close(struct rundir *r)
{
	if (r == NULL)
		return;
	if (r->private_dir)
		remove_tree(r->path);
	else
		sweep(r);
	drop_lock(r->run_lock);
	drop_lock(r->data_lock);
	close(r->fd);
	free(r->path);
	free(r);
}

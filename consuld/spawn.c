/*
 * spawn.c - starting one daemon (contract: spawn.h; caller: child.c)
 *
 * Between fork and exec only async-signal-safe calls: names are resolved and the environment is built before. The child is a session of its own, so
 * that the terminal's Ctrl-C reaches consuld alone, and dies with us (PR_SET_PDEATHSIG; set after the change of user, which clears it).
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"

extern char **environ;

int
spawn_user(const struct table_row *row, const char *suite_group, struct spawn_user *out, char error[TABLE_ERROR_MAX])
{
	const char *group_name = row->group[0] != '\0' ? row->group : suite_group;
	int count = SPAWN_GROUPS_MAX;
	struct passwd *user;
	struct group *group;

	*out = (struct spawn_user){.change = false};
	if (row->user[0] == '\0' || geteuid() != 0)
		return 0;
	user = getpwnam(row->user);
	if (user == NULL) {
		snprintf(error, TABLE_ERROR_MAX, "consuld.conf: %s: there is no user called %s", row->name, row->user);
		return -1;
	}
	out->uid = user->pw_uid;
	out->gid = user->pw_gid;
	if (group_name[0] != '\0') {
		group = getgrnam(group_name);
		if (group == NULL) {
			snprintf(error, TABLE_ERROR_MAX, "consuld.conf: %s: there is no group called %s", row->name,
			    group_name);
			return -1;
		}
		out->gid = group->gr_gid;
	}
	if (getgrouplist(row->user, out->gid, out->groups, &count) == -1)
		count = SPAWN_GROUPS_MAX; /* more than fit: the first ones */
	out->group_count = (size_t)count;
	out->change = true;
	return 0;
}

/* Written raw: log.c is not for a forked child. */
static NORETURN void
child_fail(const char *step, int status)
{
	const char *reason = strerrordesc_np(errno);
	char line[256];
	size_t used = 0;
	ssize_t written;

	for (const char *p = step; *p != '\0' && used < 100; p++)
		line[used++] = *p;
	line[used++] = ':';
	line[used++] = ' ';
	for (const char *p = reason == NULL ? "unknown error" : reason; *p != '\0' && used < 250; p++)
		line[used++] = *p;
	line[used++] = '\n';
	written = write(STDERR_FILENO, line, used);
	(void)written;
	_exit(status);
}

static void
child_descriptors(const struct spawn *s)
{
	int base = SPAWN_LISTEN_FD + (int)s->listen_count, null_fd, log_fd, control_fd;
	int listen_fds[SPAWN_LISTEN_MAX];

	/* First out of the way of their places, then into them. */
	log_fd = fcntl(s->log_fd, F_DUPFD, base);
	control_fd = fcntl(s->control_fd, F_DUPFD, base);
	null_fd = open("/dev/null", O_RDONLY);
	if (log_fd == -1 || control_fd == -1 || null_fd == -1)
		_exit(EXIT_RETRY);
	for (size_t i = 0; i < s->listen_count; i++)
		if ((listen_fds[i] = fcntl(s->listen_fds[i], F_DUPFD, base)) == -1)
			_exit(EXIT_RETRY);
	if (dup2(log_fd, STDERR_FILENO) == -1 || dup2(log_fd, STDOUT_FILENO) == -1 ||
	    dup2(null_fd, STDIN_FILENO) == -1 || dup2(control_fd, SPAWN_CONTROL_FD) == -1)
		_exit(EXIT_RETRY);
	for (size_t i = 0; i < s->listen_count; i++)
		if (dup2(listen_fds[i], SPAWN_LISTEN_FD + (int)i) == -1)
			child_fail("dup2", EXIT_RETRY);
	if (close_range((unsigned)base, ~0U, 0) == -1)
		child_fail("close_range", EXIT_RETRY);
}

static void
child_limits(const struct table_row *row)
{
	struct rlimit limit;

	/* Without a word in the table a daemon may open what the system lets it. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		if (row->files_max != 0)
			limit.rlim_max = limit.rlim_cur =
			    geteuid() == 0 ? row->files_max : MIN(row->files_max, limit.rlim_max);
		else
			limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (row->memory_max != 0) {
		limit.rlim_cur = limit.rlim_max = row->memory_max;
		if (setrlimit(RLIMIT_AS, &limit) == -1)
			child_fail("setrlimit", EXIT_RETRY);
	}
	if (!row->core) {
		limit.rlim_cur = limit.rlim_max = 0;
		(void)setrlimit(RLIMIT_CORE, &limit);
	}
}

static NORETURN void
child_run(const struct spawn *s, pid_t parent, char *const *argv, char *const *environment)
{
	sigset_t none;

	child_descriptors(s);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	child_limits(s->row);
	if (s->user->change && (setgroups(s->user->group_count, s->user->groups) == -1 ||
				   setresgid(s->user->gid, s->user->gid, s->user->gid) == -1 ||
				   setresuid(s->user->uid, s->user->uid, s->user->uid) == -1))
		child_fail("change of user", EXIT_PERMANENT);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		child_fail("prctl", EXIT_RETRY);
	if (getppid() != parent)
		_exit(EXIT_RETRY);
	execve(s->path, argv, environment);
	child_fail(s->path, errno == ENOENT || errno == EACCES || errno == ENOEXEC ? EXIT_PERMANENT : EXIT_RETRY);
}

/* Ours without what is for us alone, and with the descriptors' places. The caller frees the array and its last entries. */
static char **
environment_for(const struct spawn *s)
{
	size_t count = 0, used = 0;
	char **out;

	while (environ[count] != NULL)
		count++;
	out = xreallocarray(NULL, count + 5, sizeof *out);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0 && strncmp(environ[i], "CONSULD_", 8) != 0)
			out[used++] = environ[i];
	out[used++] = xasprintf("CONSULD_LISTEN=%s", s->listen_text);
	out[used++] = xasprintf("CONSULD_CONTROL=%d", SPAWN_CONTROL_FD);
	if (!s->row->sandbox)
		out[used++] = xstrdup("CONSULD_SANDBOX=off");
	if (s->row->facility != -1)
		out[used++] = xasprintf("CONSULD_FACILITY=%d", s->row->facility);
	out[used] = NULL;
	return out;
}

pid_t
spawn_daemon(const struct spawn *s)
{
	char *argv[] = {s->row->name, (char[]){"-r"}, (char *)(uintptr_t)s->run_dir, NULL};
	char **environment;
	pid_t parent = getpid(), pid;
	int saved_errno;

	if (s->listen_count > SPAWN_LISTEN_MAX) {
		errno = E2BIG;
		return -1;
	}
	environment = environment_for(s);
	pid = fork();
	if (pid == 0)
		child_run(s, parent, argv, environment);
	saved_errno = errno;
	for (char **e = environment; *e != NULL; e++)
		if (strncmp(*e, "CONSULD_", 8) == 0)
			free(*e);
	free(environment);
	errno = saved_errno;
	return pid;
}

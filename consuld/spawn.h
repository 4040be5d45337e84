/*
 * spawn.h - starting one daemon: fork, descriptors in their places, limits, user, exec
 */
#ifndef CONSULD_SPAWN_H
#define CONSULD_SPAWN_H

#include <sys/types.h>

#include "cdefs.h"
#include "table.h"

#define SPAWN_CONTROL_FD 3 /* where the child finds its control connection */
#define SPAWN_LISTEN_FD 4  /* and from where on its listening sockets */
#define SPAWN_LISTEN_MAX 200
#define SPAWN_GROUPS_MAX 64

/* Who a daemon runs as. */
struct spawn_user {
	bool change; /* else as we are */
	uid_t uid;
	gid_t gid;
	gid_t groups[SPAWN_GROUPS_MAX];
	size_t group_count;
};

/* The row's user and group by name. Without root or without a user: no change. -1: error says which name is unknown. */
MUST_USE int spawn_user(
    const struct table_row *row, const char *suite_group, struct spawn_user *out, char error[TABLE_ERROR_MAX]);

struct spawn {
	const char *path;
	const char *run_dir;
	const struct table_row *row;
	const struct spawn_user *user;
	int log_fd;     /* becomes 1 and 2 */
	int control_fd; /* becomes SPAWN_CONTROL_FD */
	const int *listen_fds;
	size_t listen_count;
	const char *listen_text; /* CONSULD_LISTEN */
};

/* The child's pid; -1 with errno: nothing was started. What fails in the child is told on log_fd, and it exits 111 (100: no such program). */
MUST_USE pid_t spawn_daemon(const struct spawn *s);

#endif

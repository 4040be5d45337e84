/*
 * owner.c - what belongs to whom when the daemons run as users of their own (contract: owner.h; caller: suite.c)
 */
#include "owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spawn.h"

#define PATH_BYTES_MAX 4096

/* The first row that changes its user. */
static bool
any_user(const struct table *t, struct spawn_user *out)
{
	char error[TABLE_ERROR_MAX];

	for (size_t i = 0; i < t->count; i++)
		if (t->rows[i].instances > 0 && spawn_user(&t->rows[i], t->group, out, error) == 0 && out->change)
			return true;
	return false;
}

static const struct table_row *
row_of(const struct table *t, const char *name, size_t length)
{
	for (size_t i = 0; i < t->count; i++)
		if (strlen(t->rows[i].name) == length && strncmp(t->rows[i].name, name, length) == 0)
			return &t->rows[i];
	return NULL;
}

int
owner_run_dir(const struct table *t, char error[OWNER_ERROR_MAX])
{
	struct spawn_user user;

	if (!any_user(t, &user))
		return 0;
	/* Our own effective group, too: peers on our sockets are told by it (ipc.h). */
	if (chown(".", (uid_t)-1, user.gid) == 0 && chmod(".", 01770) == 0 && setegid(user.gid) == 0)
		return 0;
	snprintf(error, OWNER_ERROR_MAX, "run directory can not be given to its group: %s", strerror(errno));
	return -1;
}

int
owner_group(const struct table *t, const char *path)
{
	struct spawn_user user;

	return any_user(t, &user) ? chown(path, (uid_t)-1, user.gid) : 0;
}

int
owner_file(const struct table *t, int dirfd, const char *name)
{
	const struct table_row *row =
	    row_of(t, name, strcspn(name, ".-")); /* "checkd.conf", "checkd-definitions.json" */
	char error[TABLE_ERROR_MAX];
	struct spawn_user user;

	if (row == NULL || spawn_user(row, t->group, &user, error) == -1 || !user.change)
		return 0;
	return fchownat(dirfd, name, user.uid, user.gid, AT_SYMLINK_NOFOLLOW);
}

static int
give(const char *path, mode_t mode, const struct spawn_user *user, char error[OWNER_ERROR_MAX])
{
	struct stat st;

	if (mkdir(path, mode) == -1 && errno != EEXIST)
		goto fail;
	if (lstat(path, &st) == -1)
		goto fail;
	/* What is there keeps its content's owners: a change of user in the table is the operator's to carry through. */
	if (!S_ISDIR(st.st_mode) || st.st_uid == user->uid)
		return 0;
	if (lchown(path, user->uid, user->gid) == 0)
		return 0;
fail:
	snprintf(error, OWNER_ERROR_MAX, "mkdir %.800s: %s", path, strerror(errno));
	return -1;
}

int
owner_state_dirs(const struct table *t, const struct config *c, bool server, char error[OWNER_ERROR_MAX])
{
	const char *state = config_str(c, "consuld.state_dir");
	const struct {
		const char *daemon, *base, *below;
		mode_t mode;
	} rows[] = {
	    {"raftd", config_str(c, "consuld.raft_dir"), "", 0755},
	    {"catalogd", config_str(c, "consuld.catalog_dir"), "", 0700},
	    {"checkd", state, "/services", 0700},
	    {"checkd", state, "/checks", 0700},
	    {"checkd", state, "/checks/state", 0700},
	    {"gossipd", state, "/serf", 0700},
	};
	char path[PATH_BYTES_MAX];
	struct spawn_user user;

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		const struct table_row *row = row_of(t, rows[i].daemon, strlen(rows[i].daemon));

		if (rows[i].base[0] == '\0' || row == NULL || !table_row_runs(row, server))
			continue;
		if (spawn_user(row, t->group, &user, error) == -1)
			return -1;
		snprintf(path, sizeof path, "%s%s", rows[i].base, rows[i].below);
		if (user.change && give(path, rows[i].mode, &user, error) == -1)
			return -1;
	}
	return 0;
}

/*
 * node_life.c - the life of a server's log (raft.h; contract: node_internal.h; callers: node_open.c, node_members.c, node_recover.c)
 *
 * A log that begins empty gets a new life, a random number in the file "life" beside it, at each start until it has an entry. A server that
 * begins the cluster itself has none: the file goes before the log's first entry is written. So one that has lost its log can not
 * pass for what it was, whatever its node ID; one whose log is there has kept its life with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"
#include "log.h"
#include "node_internal.h"
#include "replace.h"
#include "uuid.h"

#define NAME "life"
#define TEXT_BYTES 16

static int
life_read(struct node *n)
{
	char text[TEXT_BYTES + 2], *end;
	int fd = openat(n->raft_dir, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t size;

	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	size = read(fd, text, sizeof text - 1);
	close(fd);
	text[MAX(size, 0)] = '\0';
	n->life = strtoull(text, &end, 16);
	if (size == TEXT_BYTES + 1 && *end == '\n' && n->life != 0)
		return 0;
	errno = EBADMSG;
	return -1;
}

static int
life_begin(struct node *n)
{
	char text[TEXT_BYTES + 2];

	do
		random_bytes(&n->life, sizeof n->life);
	while (n->life == 0);
	snprintf(text, sizeof text, "%016" PRIx64 "\n", n->life);
	return replace_file(n->raft_dir, NAME, bytes_str(text), 0600, true);
}

int
node_life_open(struct node *n)
{
	bool empty = wal_terms(n->wal)->last == 0 && snapshots_count(n->snapshots) == 0;

	if (n->dev || (empty ? life_begin(n) : life_read(n)) == 0)
		return 0;
	log_error(MODULE, "failed to start Raft: path=%s/" NAME, n->raft_path);
	return -1;
}

int
node_life_drop(struct node *n)
{
	n->life = 0;
	if (n->dev || (unlinkat(n->raft_dir, NAME, 0) == -1 && errno == ENOENT))
		return 0;
	return fsync(n->raft_dir);
}

uint64_t
node_life(const struct node *n)
{
	return n->life;
}

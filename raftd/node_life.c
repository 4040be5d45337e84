/*
 * node_life.c - the life of a server's log (raft.h; contract: node_internal.h; callers: node_open.c, node_members.c, node_recover.c)
 *
 * A life is a part of the log's own random ID, so that it goes with the log: another log is another life. The file "life" beside the log says
 * that it counts. It is made as long as the log is empty; a server that begins the cluster without knowing the others' lives removes it before it
 * writes the log's first entry. So one that has lost its log can not pass for what it was, whatever its node ID.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "node_internal.h"
#include "replace.h"

#define NAME "life"

int
node_life_open(struct node *n)
{
	bool empty = wal_terms(n->wal)->last == 0 && snapshots_count(n->snapshots) == 0, there;

	if (n->dev)
		return 0;
	there = faccessat(n->raft_dir, NAME, F_OK, 0) == 0;
	if ((!there && errno != ENOENT) ||
	    (!there && empty &&
		replace_file(n->raft_dir, NAME, bytes_str("the log's ID counts\n"), 0600, true) == -1)) {
		log_error(MODULE, "failed to start Raft: path=%s/" NAME, n->raft_path);
		return -1;
	}
	n->life = there || empty ? be64_at(wal_id(n->wal)) : 0;
	return 0;
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

/*
 * serve_internal.h - what serve.c and serve_members.c share
 */
#ifndef RAFTD_SERVE_INTERNAL_H
#define RAFTD_SERVE_INTERNAL_H

#include "ipc.h"
#include "node.h"
#include "serve.h"

#define MODULE "agent.server.raft"
#define STREAMS_MAX 64 /* of each kind */

struct status_stream {
	struct serve *serve;
	struct ipc_stream *stream;
	struct node_status told;
	bool told_once;
	size_t credit_full;  /* before the first element: what it is again when all are taken note of */
	uint64_t lease_most; /* the longest lease that its reader may believe in */
};

struct pull_stream {
	struct serve *serve;
	struct ipc_stream *stream;
	uint64_t next;
};

/* A request that is answered when something has come about. */
enum wait_for {
	WAIT_TURN,     /* a change that may not be made yet */
	WAIT_COMMIT,   /* an entry */
	WAIT_TRANSFER, /* another leader */
	WAIT_ROUND,    /* a quorum's answer */
};

struct wait {
	enum wait_for what;
	struct ipc_stream *stream;
	enum node_change change;
	struct member member;
	bool promote; /* once it is added, it is to get a vote */
	uint64_t index, term, round;
	ev_tstamp deadline; /* of WAIT_TURN */
};

struct serve {
	struct daemon *daemon;
	struct node *node;
	struct status_stream status[STREAMS_MAX];
	size_t status_count;
	uint64_t
	    lease_orphan; /* what front ends may believe in that read the page of a catalogd that is gone; 0: nothing */
	struct pull_stream pulls[STREAMS_MAX];
	size_t pull_count;
	struct buf out;         /* replies */
	struct buf entries;     /* one DATA of Pull */
	struct bytes *proposal; /* scratch: the runs of one */
	size_t proposal_size;
	struct ipc_stream *snapshot_stream; /* waits for the check of the newest snapshot */
	size_t snapshot_at;
	struct ipc_call *ping;          /* catalogd has not answered it yet */
	struct wait waits[STREAMS_MAX]; /* in the order of their requests */
	size_t wait_count;
	struct ev_timer wake; /* while there are waits: deadlines pass in idle servers, too */
};

/* ---- serve_members.c ---- */

void serve_members_init(struct serve *s);
/* Answers what has come about. */
void serve_members_turn(struct serve *s);
/* A refusal; that of a server that does not lead says who does. */
void serve_refuse(struct serve *s, struct ipc_stream *stream, const char *error);

ipc_handler serve_accept, serve_addresses, serve_bootstrap, serve_transfer, serve_read_index;
ipc_handler serve_add_voter, serve_add_nonvoter, serve_promote, serve_demote, serve_remove;

#endif

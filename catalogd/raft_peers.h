/*
 * raft_peers.h - the servers of the cluster: as raftd says they are, and where they are, as raftd is told
 */
#ifndef CATALOGD_RAFT_PEERS_H
#define CATALOGD_RAFT_PEERS_H

#include <stdbool.h>

#include "buf.h"
#include "catalogd.h"
#include "members.h"
#include "net.h"
#include "uuid.h"

#define RAFT_PEERS_MAX 64 /* raftd's own limit */

/* One of the configuration; what follows voter and leader is what the leader alone knows. */
struct raft_peer {
	char id[UUID_TEXT_SIZE];
	char address[NET_ADDR_TEXT_MAX];    /* where it is, with port */
	char configured[NET_ADDR_TEXT_MAX]; /* what the log's entry says */
	bool voter, leader;
	bool replicates;    /* entries go there as they come; not a snapshot, and it answers */
	bool blank;         /* a voter that has lost its log: its vote does not count */
	uint64_t match;     /* last entry that is durable there */
	uint64_t last_term; /* of that entry; 0: not known */
	uint64_t silent_ms;
};

struct raft_peers {
	size_t count;
	struct raft_peer at[RAFT_PEERS_MAX];
	uint64_t index, committed_index; /* of the configuration; of the newest that is committed */
	uint64_t last_index, last_term;  /* of this server's log */
	uint64_t heartbeat_ms;           /* a leader speaks to each at least so often */
};

/* The answer of Raft.Peers. -1: it is not one. */
MUST_USE int raft_peers_read(struct bytes answer, struct raft_peers *out);
/* By node ID, whatever its case; NULL: not in the configuration. */
const struct raft_peer *raft_peers_find(const struct raft_peers *p, const char *id);
size_t raft_peers_voters(const struct raft_peers *p);

/* A member that can be in the configuration: a server of ours, of this datacenter, with a node ID. */
bool raft_peers_eligible(const struct lan_member *m);
/* One pair of requests to raftd, {ID, Address}. */
void raft_peers_put(struct buf *out, const char *id, const union net_addr *address);

/* ---- Raft.Addresses ---- */

struct raft_addresses;

/* Tells raftd where the servers among the members are, and again when that changes. */
MUST_USE struct raft_addresses *raft_addresses_new(struct catalogd *c);
void raft_addresses_free(struct raft_addresses *a);
/* raftd is there, for the first time or again: it knows nothing. */
void raft_addresses_again(struct raft_addresses *a);

#endif

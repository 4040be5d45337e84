/*
 * catalogd.h - the parts of this process and how they find each other
 */
#ifndef CATALOGD_CATALOGD_H
#define CATALOGD_CATALOGD_H

#include <ev.h>
#include <stdbool.h>

#include "daemon.h"
#include "ipc.h"

struct store;
struct watch;
struct raftlog;
struct serve;
struct leader;
struct session_timers;
struct archive;
struct scrub;
struct publish;
struct remote;
struct members;
struct gossip;
struct coordinate_updates;
struct raft_addresses;
struct raft_members;
struct bootstrap;
struct autopilot_run;

struct catalogd {
	struct daemon *daemon;
	struct ev_loop *loop;
	bool server; /* on a client there is no state here */
	const char *datacenter;
	const char *node_name;
	struct store *store;     /* replaced when it is made again: never keep it */
	struct publish *publish; /* NULL: there is no shared page */
	struct watch *watch;
	struct raftlog *raftlog;
	struct serve *serve;
	struct leader *leader;
	struct session_timers *session_timers;
	struct archive *archive;
	struct scrub *scrub;
	struct remote *remote;   /* other nodes */
	struct members *members; /* of the LAN pool */
	struct gossip *gossip;
	struct coordinate_updates *coordinates;
	struct raft_addresses *raft_addresses; /* these three on a server */
	struct raft_members *raft_members;
	struct bootstrap *bootstrap; /* NULL: no other servers are expected */
	struct autopilot_run *autopilot;
};

/* main.c: opens the store, making it again if it is not to be trusted. 0 or -1, logged. */
MUST_USE int catalogd_store_open(struct catalogd *c);
/* Throws the store away and opens an empty one. Ends the process if that fails. */
void catalogd_store_renew(struct catalogd *c);
/* The store turned out to be damaged: marks it and ends the process; the next start makes it again. */
NORETURN void catalogd_store_damaged(struct catalogd *c, const char *error);
/* raftlog.c tells: this node leads and has applied an entry of its own term; or no longer. */
void catalogd_leader_ready(struct catalogd *c);
void catalogd_leader_lost(struct catalogd *c);
/* The same: another node leads now, or nobody is known to. */
void catalogd_leader_changed(struct catalogd *c);
/* The same: raftd's status has come; found: it is there for the first time, or again. */
void catalogd_raft_status(struct catalogd *c, bool found);
/* The address under which this node and its RPC port are known: "10.0.0.1:8300". */
const char *catalogd_rpc_address(const struct catalogd *c);

#endif

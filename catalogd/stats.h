/*
 * stats.h - what this server says of itself (methods answered locally, never waiting for a leader)
 */
#ifndef CATALOGD_STATS_H
#define CATALOGD_STATS_H

#include "catalogd.h"

/* Catalogd.Stats: {consul: {text: text}, raft: {text: text}}, as in /v1/agent/self. */
void stats_handle(struct ipc_stream *s, struct bytes args, void *ctx);
/* Status.Leader: text, empty without a leader. Status.Peers: [text]. */
void stats_status_leader(struct ipc_stream *s, struct bytes args, void *ctx);
void stats_status_peers(struct ipc_stream *s, struct bytes args, void *ctx);
/* Status.RaftStats: {LastContact, LastTerm, LastIndex} of this server's log, and its Life. */
void stats_raft_stats(struct ipc_stream *s, struct bytes args, void *ctx);
/* Catalog.ListDatacenters: [text], ours first. */
void stats_list_datacenters(struct ipc_stream *s, struct bytes args, void *ctx);

#endif

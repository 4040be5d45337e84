/*
 * remote.h - what this process has to do with other nodes: it answers servers and clients, and asks servers
 */
#ifndef CATALOGD_REMOTE_H
#define CATALOGD_REMOTE_H

#include "catalogd.h"
#include "net.h"
#include "rpcpool.h"

struct remote;

MUST_USE struct remote *remote_new(struct catalogd *c);
void remote_free(struct remote *r);
/* The configuration has changed. */
void remote_configure(struct remote *r);
/* A connection to the port between nodes; fd is taken over. */
void remote_accepted(struct remote *r, int fd, const union net_addr *from);
/* Has s answered elsewhere: on a client by a server, on a server by the leader. read: may be sent again whatever happened to it. */
void remote_request(struct remote *r, struct ipc_stream *s, struct bytes args, bool read);
/* Who leads, or which servers there are, has changed: what waits for that goes on. */
void remote_changed(struct remote *r);
/* On a server: there is a leader to ask, and it is not this one. */
bool remote_leader_known(const struct remote *r);
/* The connections to other nodes, for requests that this process makes by itself. */
struct rpcpool *remote_pool(const struct remote *r);
/* This server leaves: other nodes are answered with error from now on. */
void remote_refuse(struct remote *r, const char *error);
/* For those who ask how it goes. */
size_t remote_servers(const struct remote *r);
size_t remote_waiting(const struct remote *r); /* requests that are answered elsewhere */
size_t remote_calls(const struct remote *r);   /* the questions that they are */
size_t remote_names(const struct remote *r);   /* watched for subscribers here */

#endif

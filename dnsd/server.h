/*
 * server.h - the sockets: queries in, answers out, over UDP and TCP
 */
#ifndef DNSD_SERVER_H
#define DNSD_SERVER_H

#include "daemon.h"
#include "resolve.h"

#define SERVER_SOCKETS_MAX 16
#define SERVER_TCP_MAX 1024 /* connections; beyond: the oldest idle one is closed */

struct server;

/* Opens "dns-udp" and "dns-tcp" (daemon_sockets). NULL: logged. */
MUST_USE struct server *server_new(struct daemon *d, struct resolver *r);
/* Stops reading; answers under way are given up. */
void server_free(struct server *s);

#endif

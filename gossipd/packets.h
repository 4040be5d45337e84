/*
 * packets.h - the pools' sockets
 */
#ifndef GOSSIPD_PACKETS_H
#define GOSSIPD_PACKETS_H

#include "daemon.h"

/* Opens (or takes over) the sockets of both pools and watches them. -1: logged. */
MUST_USE int packets_open(struct daemon *d);
void packets_close(struct daemon *d);

#endif

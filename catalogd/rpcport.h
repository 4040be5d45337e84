/*
 * rpcport.h - the port between nodes
 */
#ifndef CATALOGD_RPCPORT_H
#define CATALOGD_RPCPORT_H

#include "catalogd.h"

/* Listens where "rpc" says, for c->remote. 0 or -1, logged. */
MUST_USE int rpcport_open(struct catalogd *c);

#endif

/*
 * host.h - the machine we run on, for /v1/agent/host
 */
#ifndef CONSULD_HOST_H
#define CONSULD_HOST_H

#include "buf.h"

/* {Memory, CPU, Host, Disk, CollectionTime, Errors} as msgpack (http-api.md 11.2 of the reference facts). */
void host_describe(struct buf *out);

#endif

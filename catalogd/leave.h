/*
 * leave.h - a server that leaves the cluster for good: what this process does of it, before and after gossipd has told the members
 *
 * consuld asks for both (local methods of catalogd.sock), each is answered when it is done, whatever came of it:
 *	Catalogd.LeaveBegin	a leader with other voters hands its office on, or, if nobody takes it, removes itself from the configuration
 *	Catalogd.LeaveEnd	refuses the requests of other nodes, so that they go elsewhere, for leave_drain_time; then waits until it is out of the
 *				configuration, unless it still leads
 */
#ifndef CATALOGD_LEAVE_H
#define CATALOGD_LEAVE_H

#include "ipc.h"

void leave_handle_begin(struct ipc_stream *s, struct bytes args, void *ctx);
void leave_handle_end(struct ipc_stream *s, struct bytes args, void *ctx);

#endif

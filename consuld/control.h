/*
 * control.h - the methods of consuld.sock (man/consuld-protocol.7)
 *
 *	Agent.Self {}			{Config, DebugConfig, Meta, xDS}
 *	Agent.Reload {}			answered when the new configuration is in force; error: why not
 *	Agent.Leave {}			answered when the node has left; the process ends then
 *	Agent.Monitor {LogLevel, LogJSON}	DATA: one text per log line, the last lines of the past first
 *	Agent.Host {}			the machine (host.h)
 *	Daemon.Attach {Name}, with a socket	a daemon that was not started by us: its control connection
 */
#ifndef CONSULD_CONTROL_H
#define CONSULD_CONTROL_H

#include "ipc.h"

struct suite;

/* The service; s must outlive it. */
const struct ipc_service *control_service(struct suite *s);

#endif

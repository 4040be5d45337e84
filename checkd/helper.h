/*
 * helper.h - the processes that do for checkd what would block its loop or burden it
 *
 * check-exec starts programs; it is started before the sandbox and its end is ours. check-http speaks to
 * what is checked (libcurl); check-exec starts it when the first such check runs, and again when it has died.
 * Both are called over a socket pair: check-exec serves Exec.Run and Exec.Spawn, check-http serves Probe.Run.
 */
#ifndef CHECKD_HELPER_H
#define CHECKD_HELPER_H

#include "ipc.h"
#include "schema.h"

#define HELPER_FD 3 /* the helpers' end of the pair */

/* Exec.Run: DATA exec_answer at the timeout (the process group is killed then), and the reply once the process is gone. */
#define EXEC_REQUEST_FIELDS(F)                                                                                         \
	F(STRLIST, "Args", args, 0, NULL, NULL, "program and arguments")                                               \
	F(DURATION, "Timeout", timeout, 0, NULL, NULL, "")                                                             \
	F(INT, "OutputMax", output_max, 0, NULL, NULL, "bytes of output that are kept, the last ones")
SCHEMA_DECLARE(exec_request, EXEC_REQUEST_FIELDS)

#define EXEC_ANSWER_FIELDS(F)                                                                                          \
	F(STR, "Error", error, 0, NULL, NULL, "could not be started: why")                                             \
	F(INT, "Exit", exit, 0, NULL, NULL, "status; -1: killed by a signal")                                          \
	F(BOOL, "TimedOut", timed_out, 0, NULL, NULL, "")                                                              \
	F(STR, "Output", output, 0, NULL, NULL, "")                                                                    \
	F(UINT, "Total", total, 0, NULL, NULL, "bytes that were written")
SCHEMA_DECLARE(exec_answer, EXEC_ANSWER_FIELDS)

/* Exec.Spawn {Program}, with the socket for it: a program of our own directory. */
#define SPAWN_REQUEST_FIELDS(F) F(STR, "Program", program, 0, NULL, NULL, "check-http")
SCHEMA_DECLARE(spawn_request, SPAWN_REQUEST_FIELDS)

#define PROBE_REQUEST_FIELDS(F)                                                                                        \
	F(STR, "Kind", kind, 0, NULL, NULL, "http, tcp, udp, grpc, h2ping, docker")                                    \
	F(STR, "Target", target, 0, NULL, NULL, "URL, host:port, container ID")                                        \
	F(STR, "Method", method, 0, NULL, NULL, "")                                                                    \
	F(STRLISTMAP, "Header", header, 0, NULL, NULL, "")                                                             \
	F(STR, "Body", body, 0, NULL, NULL, "")                                                                        \
	F(BOOL, "DisableRedirects", disable_redirects, 0, NULL, NULL, "")                                              \
	F(BOOL, "TLS", tls, 0, NULL, NULL, "")                                                                         \
	F(BOOL, "TLSSkipVerify", tls_skip_verify, 0, NULL, NULL, "")                                                   \
	F(STR, "TLSServerName", tls_server_name, 0, NULL, NULL, "")                                                    \
	F(STR, "CAFile", ca_file, 0, NULL, NULL, "")                                                                   \
	F(STR, "CertFile", cert_file, 0, NULL, NULL, "")                                                               \
	F(STR, "KeyFile", key_file, 0, NULL, NULL, "")                                                                 \
	F(STRLIST, "Args", args, 0, NULL, NULL, "docker: the command")                                                 \
	F(DURATION, "Timeout", timeout, 0, NULL, NULL, "")                                                             \
	F(INT, "OutputMax", output_max, 0, NULL, NULL, "")
SCHEMA_DECLARE(probe_request, PROBE_REQUEST_FIELDS)

#define PROBE_ANSWER_FIELDS(F)                                                                                         \
	F(STR, "Status", status, 0, NULL, NULL, "")                                                                    \
	F(STR, "Output", output, 0, NULL, NULL, "")
SCHEMA_DECLARE(probe_answer, PROBE_ANSWER_FIELDS)

struct helper;

/* Starts check-exec from the directory of our own program. lost: it has died. NULL with errno. */
MUST_USE struct helper *helper_new(struct ipc *ipc, void (*lost)(void *ctx), void *ctx);
void helper_free(struct helper *h);
/* check-exec. */
struct ipc_peer *helper_exec(struct helper *h);
/* check-http, started when it is not there. NULL: not now (no descriptors left, or it died just after its start). */
struct ipc_peer *helper_probe(struct helper *h);

#endif

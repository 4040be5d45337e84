/*
 * probe.h - one question of check-http to what is checked (Probe.Run of helper.h)
 *
 * check_http.c owns the loop and libcurl's multi handle; each kind prepares an easy handle and makes the answer.
 */
#ifndef CHECKD_PROBE_H
#define CHECKD_PROBE_H

#include <curl/curl.h>
#include <ev.h>

#include "checkd.h"
#include "helper.h"
#include "ipc.h"
#include "mem.h"
#include "tail.h"

struct probe;

struct probe_kind {
	const char *name;
	/* Sets the easy handle up. -1: libcurl is not needed: the answer was given, or comes by itself. */
	int (*begin)(struct probe *p);
	/* libcurl is done with the transfer. Ends in probe_finish, now or later. */
	void (*done)(struct probe *p, CURLcode result);
	void (*free)(struct probe *p); /* may be NULL */
};

struct probe {
	struct ipc_stream *stream;
	const struct probe_kind *kind;
	struct region *region; /* what the request points into, and the kind's texts */
	struct probe_request request;
	CURL *easy;
	bool added; /* to the multi handle */
	struct curl_slist *headers, *connect_to;
	char error[CURL_ERROR_SIZE];
	char status_line[256]; /* of the last answer: "200 OK" */
	char tried[64];        /* last address that was connected to, without port */
	struct tail body;
	void *own; /* the kind's */
};

extern const struct probe_kind probe_kind_http, probe_kind_tcp, probe_kind_grpc, probe_kind_h2ping, probe_kind_udp,
    probe_kind_docker;

/* The loop of the process. */
struct ev_loop *probe_loop(void);
/* Hands the easy handle to libcurl (again). */
void probe_go(struct probe *p);
/* Answers, and frees p. */
void probe_finish(struct probe *p, enum status status, const char *text);
void probe_finish_bytes(struct probe *p, enum status status, struct bytes text);
/* What all transfers have: timeout, TLS, no signals, status line and body kept. */
void probe_common(struct probe *p);
/* Looks for a name under another one: TLS server name. host: what is connected to. */
void probe_connect_to(struct probe *p, const char *host_port);
const char *probe_text(struct probe *p, struct bytes text);
void probe_header(struct probe *p, const char *line);

#define PROBE_ERROR_MAX 1024
/* Go's text for why address (host:port) could not be reached: "dial tcp 127.0.0.1:1: connect: connection refused". */
void probe_dial_error(struct probe *p, CURLcode result, const char *address, char out[PROBE_ERROR_MAX]);

#endif

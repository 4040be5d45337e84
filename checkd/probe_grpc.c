/*
 * probe_grpc.c - gRPC health checks: grpc.health.v1.Health/Check over HTTP/2 (contract: probe.h; facts: behaviour.md 1.7)
 *
 * The request is one message with one text field (1: service), the answer one with one number (1: status), each
 * behind five bytes (flag, length). The call's own outcome is in the trailers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"

#define SERVICE_BYTES_MAX 120 /* so that its length is one byte */
#define SERVING 1

struct call {
	char grpc_status[16];
	char grpc_message[512];
	uint8_t request[5 + 2 + SERVICE_BYTES_MAX];
	const char *address; /* target without the service */
};

static const char *const codes[] = {"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound",
    "AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange",
    "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"};
static const char *const serving[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};

static void
keep(const char *line, size_t size, const char *name, char *out, size_t out_size)
{
	size_t length = strlen(name);

	if (size <= length || strncasecmp(line, name, length) != 0)
		return;
	line += length;
	size -= length;
	while (size > 0 && *line == ' ') {
		line++;
		size--;
	}
	snprintf(out, out_size, "%.*s", (int)size, line);
	out[strcspn(out, "\r\n")] = '\0';
}

static size_t
keep_header(char *data, size_t one, size_t size, void *ctx)
{
	struct probe *p = ctx;
	struct call *c = p->own;

	keep(data, one * size, "grpc-status:", c->grpc_status, sizeof c->grpc_status);
	keep(data, one * size, "grpc-message:", c->grpc_message, sizeof c->grpc_message);
	return one * size;
}

static int
begin(struct probe *p)
{
	const char *target = probe_text(p, p->request.target), *slash = strchr(target, '/');
	const char *service = slash != NULL ? slash + 1 : "";
	bool named = p->request.tls && p->request.tls_server_name.size != 0;
	struct call *c = region_alloc(p->region, sizeof *c);
	size_t size = strlen(service), message = size != 0 ? 2 + size : 0;

	*c = (struct call){
	    .address = region_strndup(p->region, target, slash != NULL ? (size_t)(slash - target) : strlen(target))};
	p->own = c;
	if (size > SERVICE_BYTES_MAX) {
		probe_finish(p, STATUS_CRITICAL, "the service name of a gRPC check may have 120 bytes");
		return -1;
	}
	c->request[4] = (uint8_t)message;
	c->request[5] = 1 << 3 | 2;
	c->request[6] = (uint8_t)size;
	memcpy(c->request + 7, service, size);
	if (named)
		probe_connect_to(p, c->address);
	curl_easy_setopt(p->easy, CURLOPT_URL,
	    region_printf(p->region, "%s://%s%s/grpc.health.v1.Health/Check", p->request.tls ? "https" : "http",
		named ? probe_text(p, p->request.tls_server_name) : c->address,
		named && strrchr(c->address, ':') != NULL ? strrchr(c->address, ':') : ""));
	curl_easy_setopt(p->easy, CURLOPT_HTTP_VERSION,
	    (long)(p->request.tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
	curl_easy_setopt(p->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE, (long)(5 + message));
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDS, (const char *)c->request);
	curl_easy_setopt(p->easy, CURLOPT_HEADERFUNCTION, keep_header);
	probe_header(p, "Content-Type: application/grpc");
	probe_header(p, "TE: trailers");
	probe_header(p, "Expect:");
	curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->headers);
	return 0;
}

static void
fail(struct probe *p, const char *code, const char *reason)
{
	probe_finish(p, STATUS_CRITICAL, region_printf(p->region, "rpc error: code = %s desc = %s", code, reason));
}

/* The status number of the answer, or -1. */
static int
answer_status(struct bytes body)
{
	if (body.size < 5 || be32_at(body.data + 1) != body.size - 5)
		return -1;
	if (body.size == 5)
		return 0;
	return body.size >= 7 && body.data[5] == (1 << 3) ? body.data[6] : -1;
}

static void
done(struct probe *p, CURLcode result)
{
	struct call *c = p->own;
	const char *target = probe_text(p, p->request.target);
	char reason[PROBE_ERROR_MAX];
	unsigned long status = strtoul(c->grpc_status, NULL, 10);
	long code = 0;
	int answer;

	curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &code);
	if (result == CURLE_OPERATION_TIMEDOUT) {
		fail(p, "DeadlineExceeded", "context deadline exceeded");
	} else if (code == 0) {
		probe_dial_error(p, result, c->address, reason);
		fail(p, "Unavailable",
		    region_printf(
			p->region, "connection error: desc = \"transport: Error while dialing: %s\"", reason));
	} else if (code != 200) {
		fail(p, code == 404 ? "Unimplemented" : "Unavailable",
		    region_printf(p->region, "unexpected HTTP status code received from server: %ld", code));
	} else if (c->grpc_status[0] == '\0') {
		fail(p, "Internal", "server closed the stream without sending trailers");
	} else if (status != 0) {
		fail(p, status < COUNTOF(codes) ? codes[status] : "Unknown", c->grpc_message);
	} else if ((answer = answer_status(tail_bytes(&p->body))) == SERVING) {
		probe_finish(p, STATUS_PASSING, region_printf(p->region, "gRPC check %s: success", target));
	} else {
		probe_finish(p, STATUS_CRITICAL,
		    region_printf(p->region, "gRPC %s serving status: %s", target,
			answer >= 0 && answer < (int)COUNTOF(serving) ? serving[answer] : "UNKNOWN"));
	}
}

const struct probe_kind probe_kind_grpc = {"grpc", begin, done, NULL};

/*
 * probe.c - what the kinds of probes share (contract: probe.h)
 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_text.h"
#include "duration.h"
#include "net.h"

#define CONNECT_TEXT_MAX 300

const char *
probe_text(struct probe *p, struct bytes text)
{
	return region_strndup(p->region, text.data, text.size);
}

void
probe_header(struct probe *p, const char *line)
{
	p->headers = curl_slist_append(p->headers, line);
}

static size_t
keep_body(char *data, size_t one, size_t size, void *ctx)
{
	struct probe *p = ctx;

	tail_put(&p->body, data, one * size);
	return one * size;
}

/* The status line as the server sent it, without the protocol's version. */
static size_t
keep_status(char *data, size_t one, size_t size, void *ctx)
{
	struct probe *p = ctx;
	size_t bytes = one * size, skip = 0;

	if (bytes > 5 && memcmp(data, "HTTP/", 5) == 0) {
		while (skip < bytes && data[skip] != ' ')
			skip++;
		while (skip < bytes && data[skip] == ' ')
			skip++;
		snprintf(p->status_line, sizeof p->status_line, "%.*s", (int)(bytes - skip), data + skip);
		p->status_line[strcspn(p->status_line, "\r\n")] = '\0';
	}
	return bytes;
}

/* libcurl forgets which address refused; error texts name it. */
static curl_socket_t
open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct probe *p = ctx;
	union net_addr a = {0};

	(void)purpose;
	if (to->family == AF_INET || to->family == AF_INET6) {
		memcpy(&a, &to->addr, MIN(sizeof a, (size_t)to->addrlen));
		net_addr_text(&a, p->tried);
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

void
probe_common(struct probe *p)
{
	const struct probe_request *q = &p->request;
	CURL *e = p->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, p);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)MAX(q->timeout / NS_PER_MS, 1));
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, p->error);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, keep_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, p);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, keep_status);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, p);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, p);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	if (q->tls_skip_verify) {
		curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (q->ca_file.size != 0)
		curl_easy_setopt(e, CURLOPT_CAINFO, probe_text(p, q->ca_file));
	if (q->cert_file.size != 0)
		curl_easy_setopt(e, CURLOPT_SSLCERT, probe_text(p, q->cert_file));
	if (q->key_file.size != 0)
		curl_easy_setopt(e, CURLOPT_SSLKEY, probe_text(p, q->key_file));
}

void
probe_connect_to(struct probe *p, const char *host_port)
{
	char text[CONNECT_TEXT_MAX];

	snprintf(text, sizeof text, "::%s", host_port);
	p->connect_to = curl_slist_append(p->connect_to, text);
	curl_easy_setopt(p->easy, CURLOPT_CONNECT_TO, p->connect_to);
}

/* "127.0.0.53:53", as Go names who was asked. */
static void
resolver_text(char *out, size_t size)
{
	FILE *f = fopen("/etc/resolv.conf", "re");
	char line[256], address[64] = "127.0.0.1";

	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "nameserver %63s", address) == 1)
			break;
	if (f != NULL)
		fclose(f);
	snprintf(out, size, strchr(address, ':') != NULL ? "[%s]:53" : "%s:53", address);
}

/* The address that was tried: the number, else what was asked for. */
static void
tried(struct probe *p, const char *address, char *out, size_t size)
{
	const char *colon = strrchr(address, ':');

	if (p->tried[0] != '\0' && colon != NULL)
		snprintf(out, size, strchr(p->tried, ':') != NULL ? "[%s]%s" : "%s%s", p->tried, colon);
	else
		snprintf(out, size, "%s", address);
}

static void
tls_error(struct probe *p, CURLcode result, const char *address, char *out)
{
	if (result == CURLE_PEER_FAILED_VERIFICATION && strstr(p->error, "subject name") != NULL)
		snprintf(out, PROBE_ERROR_MAX,
		    "tls: failed to verify certificate: x509: certificate is not valid for %.*s",
		    (int)strcspn(address, ":"), address);
	else if (result == CURLE_PEER_FAILED_VERIFICATION)
		snprintf(out, PROBE_ERROR_MAX,
		    "tls: failed to verify certificate: x509: certificate signed by unknown authority (%s)", p->error);
	else if (strstr(p->error, "wrong version number") != NULL || strstr(p->error, "packet length") != NULL)
		snprintf(out, PROBE_ERROR_MAX, "tls: first record does not look like a TLS handshake");
	else
		snprintf(out, PROBE_ERROR_MAX, "tls: %s", p->error[0] != '\0' ? p->error : curl_easy_strerror(result));
}

void
probe_dial_error(struct probe *p, CURLcode result, const char *address, char out[PROBE_ERROR_MAX])
{
	char to[CONNECT_TEXT_MAX], reason[128], resolver[96];
	const char *colon = strrchr(address, ':');
	long error = 0;

	tried(p, address, to, sizeof to);
	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
		resolver_text(resolver, sizeof resolver);
		snprintf(out, PROBE_ERROR_MAX, "dial tcp: lookup %.*s on %s: no such host",
		    (int)(colon != NULL ? colon - address : (long)strlen(address)), address, resolver);
		break;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(p->easy, CURLINFO_OS_ERRNO, &error);
		snprintf(out, PROBE_ERROR_MAX, "dial tcp %s: connect: %s", to,
		    error != 0 ? check_text_errno((int)error, reason, sizeof reason) : "connection refused");
		break;
	case CURLE_OPERATION_TIMEDOUT:
		snprintf(out, PROBE_ERROR_MAX, "dial tcp %s: i/o timeout", to);
		break;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		tls_error(p, result, address, out);
		break;
	case CURLE_GOT_NOTHING:
		snprintf(out, PROBE_ERROR_MAX, "EOF");
		break;
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		snprintf(out, PROBE_ERROR_MAX, "read tcp %s: read: connection reset by peer", to);
		break;
	default:
		snprintf(out, PROBE_ERROR_MAX, "%s", p->error[0] != '\0' ? p->error : curl_easy_strerror(result));
		break;
	}
}

void
probe_finish(struct probe *p, enum status status, const char *text)
{
	probe_finish_bytes(p, status, bytes_str(text));
}

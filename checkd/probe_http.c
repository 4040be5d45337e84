/*
 * probe_http.c - HTTP checks (contract: probe.h; facts: behaviour.md 1.4)
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"

#define REDIRECTS_MAX 10
#define ANSWER_BYTES_MAX (32u * 1024 * 1024)

static const char *
method(struct probe *p)
{
	return p->request.method.size != 0 ? probe_text(p, p->request.method) : "GET";
}

static bool
is_named(const char *line, const char *name)
{
	size_t size = strlen(name);

	return strncasecmp(line, name, size) == 0 && line[size] == ':';
}

static void
add_header(struct probe *p, struct bytes name, struct bytes value, bool *agent, bool *accept)
{
	const char *line = region_printf(p->region, value.size != 0 ? "%.*s: %.*s" : "%.*s;", (int)name.size,
	    (const char *)name.data, (int)value.size, (const char *)value.data);

	/* A line feed would begin a header that nobody asked for. */
	if (strpbrk(line, "\r\n") != NULL)
		return;
	*agent |= is_named(line, "User-Agent");
	*accept |= is_named(line, "Accept");
	probe_header(p, line);
}

static void
add_headers(struct probe *p)
{
	struct mp in = mp_of(p->request.header);
	uint32_t pairs = p->request.header.size != 0 ? mp_map(&in) : 0;
	bool agent = false, accept = false;

	for (; pairs > 0; pairs--) {
		struct bytes name = mp_str(&in);
		for (uint32_t count = mp_array(&in); count > 0; count--)
			add_header(p, name, mp_str(&in), &agent, &accept);
	}
	if (!agent)
		probe_header(p, "User-Agent: Consul Health Check");
	if (!accept)
		probe_header(p, "Accept: text/plain, text/*, */*");
	probe_header(p, "Connection: close");
	probe_header(p, "Expect:");
	if (p->request.body.size != 0)
		probe_header(p, "Content-Type;"); /* none of libcurl's own */
	curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->headers);
}

static void
set_method(struct probe *p)
{
	const char *name = method(p);
	CURL *e = p->easy;

	if (p->request.body.size != 0) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->request.body.size);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, (const char *)p->request.body.data);
	} else if (strcmp(name, "POST") == 0) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
	} else if (strcmp(name, "HEAD") == 0) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	}
	if (strcmp(name, "GET") != 0 || p->request.body.size != 0)
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, name);
}

/* Host and port of a URL; p->own keeps them for error texts. */
static void
remember_address(struct probe *p, const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL, *port = NULL;

	p->own = region_strndup(p->region, "", 0);
	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
		p->own = region_printf(p->region, "%s:%s", host, port);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
}

/* The name that TLS asks for is not the one that is connected to. */
static const char *
under_server_name(struct probe *p, const char *url)
{
	CURLU *u = curl_url();
	char *other = NULL;
	const char *result = url;

	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_HOST, probe_text(p, p->request.tls_server_name), 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &other, 0) == CURLUE_OK) {
		result = region_strndup(p->region, other, strlen(other));
		probe_header(p, region_printf(p->region, "Host: %s", (const char *)p->own));
		probe_connect_to(p, p->own);
	}
	curl_free(other);
	curl_url_cleanup(u);
	return result;
}

static int
begin(struct probe *p)
{
	const char *url = probe_text(p, p->request.target);

	remember_address(p, url);
	if (p->request.tls_server_name.size != 0 && strncasecmp(url, "https:", 6) == 0)
		url = under_server_name(p, url);
	curl_easy_setopt(p->easy, CURLOPT_URL, url);
	curl_easy_setopt(p->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(p->easy, CURLOPT_FOLLOWLOCATION, p->request.disable_redirects ? 0L : 1L);
	curl_easy_setopt(p->easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	set_method(p);
	add_headers(p);
	return 0;
}

/* Get "http://...": ... */
static void
fail(struct probe *p, CURLcode result)
{
	char name[32], reason[PROBE_ERROR_MAX], *text;
	const char *url = probe_text(p, p->request.target);

	snprintf(name, sizeof name, "%s", method(p));
	for (size_t i = 1; name[i] != '\0'; i++)
		name[i] = (char)tolower((unsigned char)name[i]);
	if (result == CURLE_UNSUPPORTED_PROTOCOL)
		snprintf(reason, sizeof reason, "unsupported protocol scheme \"%.*s\"",
		    strchr(url, ':') != NULL ? (int)strcspn(url, ":") : 0, url);
	else if (result == CURLE_OPERATION_TIMEDOUT)
		snprintf(reason, sizeof reason,
		    "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
	else if (result == CURLE_TOO_MANY_REDIRECTS)
		snprintf(reason, sizeof reason, "stopped after %d redirects", REDIRECTS_MAX);
	else
		probe_dial_error(p, result, p->own, reason);
	text = region_printf(p->region, "%s \"%s\": %s", name, url, reason);
	probe_finish(p, STATUS_CRITICAL, text);
}

static void
done(struct probe *p, CURLcode result)
{
	struct buf text = BUF_INIT(ANSWER_BYTES_MAX);
	struct bytes target = p->request.target;
	enum status status;
	long code = 0;

	curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &code);
	/* With an answer's head the answer counts, even if the body did not come to its end. */
	if (result != CURLE_OK && (code == 0 || result == CURLE_TOO_MANY_REDIRECTS)) {
		fail(p, result);
		return;
	}
	status = code >= 200 && code < 300 ? STATUS_PASSING : code == 429 ? STATUS_WARNING : STATUS_CRITICAL;
	buf_printf(&text, "HTTP %s ", method(p));
	buf_put_bytes(&text, target);
	buf_printf(&text, ": %s Output: ", p->status_line);
	buf_put_bytes(&text, tail_bytes(&p->body));
	probe_finish_bytes(p, status, buf_bytes(&text));
	buf_free(&text);
}

const struct probe_kind probe_kind_http = {"http", begin, done, NULL};

/* ---- TCP of names, and with TLS ---- */

static int
begin_tcp(struct probe *p)
{
	const char *target = probe_text(p, p->request.target), *colon = strrchr(target, ':');
	bool named = p->request.tls && p->request.tls_server_name.size != 0;
	const char *host = named ? probe_text(p, p->request.tls_server_name) : target;

	if (colon == NULL) {
		probe_finish(p, STATUS_CRITICAL,
		    region_printf(p->region, "dial tcp: address %s: missing port in address", target));
		return -1;
	}
	curl_easy_setopt(p->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(p->easy, CURLOPT_PROXY, "");
	if (named)
		probe_connect_to(p, target);
	curl_easy_setopt(p->easy, CURLOPT_URL,
	    region_printf(p->region, "%s://%s%s", p->request.tls ? "https" : "http", host, named ? colon : ""));
	return 0;
}

static void
done_tcp(struct probe *p, CURLcode result)
{
	const char *target = probe_text(p, p->request.target);
	char reason[PROBE_ERROR_MAX];

	if (result == CURLE_OK) {
		probe_finish(p, STATUS_PASSING,
		    region_printf(p->region, "%s connect %s: Success", p->request.tls ? "TCP+TLS" : "TCP", target));
		return;
	}
	probe_dial_error(p, result, target, reason);
	probe_finish(p, STATUS_CRITICAL, reason);
}

const struct probe_kind probe_kind_tcp = {"tcp", begin_tcp, done_tcp, NULL};

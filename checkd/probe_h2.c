/*
 * probe_h2.c - HTTP/2 ping checks (contract: probe.h; facts: behaviour.md 1.7, RFC 9113 6.7)
 *
 * libcurl connects (TCP, or TLS with h2 offered) and then only carries bytes: preface, empty settings and a ping go out,
 * and frames are passed over until the ping comes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "probe.h"

#define FRAME_HEAD_BYTES 9
#define FRAME_PING 6
#define FRAME_GOAWAY 7
#define FLAG_ACK 1
#define FRAME_BYTES_MAX 16777216

static const uint8_t hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
			       "\0\0\0\4\0\0\0\0\0"
			       "\0\0\x08\6\0\0\0\0\0consul-1";

struct ping {
	struct probe *probe;
	struct ev_io io;
	struct ev_timer timer;
	size_t sent;
	uint8_t head[FRAME_HEAD_BYTES];
	size_t have; /* bytes of head */
	size_t skip; /* bytes of payload still to come */
};

static int
begin(struct probe *p)
{
	const char *target = probe_text(p, p->request.target), *colon = strrchr(target, ':');
	bool named = p->request.tls && p->request.tls_server_name.size != 0;

	if (colon == NULL) {
		probe_finish(p, STATUS_CRITICAL,
		    region_printf(p->region, "Failed to dial to %s: dial tcp: address %s: missing port in address",
			target, target));
		return -1;
	}
	curl_easy_setopt(p->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(p->easy, CURLOPT_FORBID_REUSE, 0L); /* the connection is ours once it stands */
	curl_easy_setopt(p->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(p->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	if (named)
		probe_connect_to(p, target);
	curl_easy_setopt(p->easy, CURLOPT_URL,
	    region_printf(p->region, "%s://%s%s", p->request.tls ? "https" : "http",
		named ? probe_text(p, p->request.tls_server_name) : target, named ? colon : ""));
	return 0;
}

static void
fail(struct probe *p, const char *reason)
{
	probe_finish(p, STATUS_CRITICAL, region_printf(p->region, "HTTP2 ping failed: %s", reason));
}

/* 1: the ping came back. -1: it will not. */
static int
frame(struct ping *g)
{
	size_t size = (size_t)g->head[0] << 16 | (size_t)g->head[1] << 8 | g->head[2];

	if (size > FRAME_BYTES_MAX || g->head[3] == FRAME_GOAWAY)
		return -1;
	g->skip = size;
	g->have = 0;
	return g->head[3] == FRAME_PING && (g->head[4] & FLAG_ACK) != 0;
}

static int
take(struct ping *g, const uint8_t *data, size_t size)
{
	while (size > 0) {
		size_t n;
		int result;
		if (g->skip > 0) {
			n = MIN(g->skip, size);
			g->skip -= n;
		} else {
			n = MIN(FRAME_HEAD_BYTES - g->have, size);
			memcpy(g->head + g->have, data, n);
			g->have += n;
			if (g->have == FRAME_HEAD_BYTES && (result = frame(g)) != 0)
				return result;
		}
		data += n;
		size -= n;
	}
	return 0;
}

static void
exchange(struct ping *g)
{
	struct probe *p = g->probe;
	uint8_t data[4096];
	size_t n;
	CURLcode code = CURLE_OK;
	int result = 0;

	while (g->sent < sizeof hello - 1) {
		code = curl_easy_send(p->easy, hello + g->sent, sizeof hello - 1 - g->sent, &n);
		if (code != CURLE_OK)
			break;
		g->sent += n;
	}
	while ((code == CURLE_OK || code == CURLE_AGAIN) && result == 0) {
		code = curl_easy_recv(p->easy, data, sizeof data, &n);
		if (code != CURLE_OK)
			break;
		if (n == 0) {
			fail(p, "EOF");
			return;
		}
		result = take(g, data, n);
	}
	if (result == 1)
		probe_finish(p, STATUS_PASSING, "HTTP2 ping was successful");
	else if (result == -1)
		fail(p, "http2: server sent GOAWAY or no HTTP/2 frame");
	else if (code != CURLE_AGAIN)
		fail(p, curl_easy_strerror(code));
}

static void
ready(struct ev_loop *loop, struct ev_io *w, int events)
{
	(void)loop, (void)events;
	exchange(w->data);
}

static void
expired(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct ping *g = w->data;

	(void)loop, (void)events;
	fail(g->probe, "context deadline exceeded");
}

static void
done(struct probe *p, CURLcode result)
{
	const char *target = probe_text(p, p->request.target);
	char reason[PROBE_ERROR_MAX];
	curl_socket_t fd = CURL_SOCKET_BAD;
	struct ping *g;
	double used = 0.;

	if (result != CURLE_OK || curl_easy_getinfo(p->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
	    fd == CURL_SOCKET_BAD) {
		probe_dial_error(p, result, target, reason);
		probe_finish(p, STATUS_CRITICAL, region_printf(p->region, "Failed to dial to %s: %s", target, reason));
		return;
	}
	curl_easy_getinfo(p->easy, CURLINFO_TOTAL_TIME, &used);
	g = region_alloc(p->region, sizeof *g);
	*g = (struct ping){.probe = p};
	p->own = g;
	ev_io_init(&g->io, ready, fd, EV_READ);
	ev_timer_init(&g->timer, expired, MAX((ev_tstamp)p->request.timeout / NS_PER_S - used, 0.001), 0.);
	g->io.data = g->timer.data = g;
	ev_io_start(probe_loop(), &g->io);
	ev_timer_start(probe_loop(), &g->timer);
	exchange(g);
}

static void
release(struct probe *p)
{
	struct ping *g = p->own;

	if (g == NULL)
		return;
	ev_io_stop(probe_loop(), &g->io);
	ev_timer_stop(probe_loop(), &g->timer);
}

const struct probe_kind probe_kind_h2ping = {"h2ping", begin, done, release};

/*
 * trace.c - the log lines of requests (contract: trace.h; callers: request.c, reply.c, conn.c through its handler)
 *
 * Records have one size and come from a free list: they are made for every request, also when the line is not wanted, because whether
 * a request fails is known only at its end.
 */
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "log.h"
#include "mem.h"
#include "spare.h"

#define MODULE "agent.http"
#define FAILED_LINES_MAX 60

struct trace {
	struct monotime start;
	char method[12];
	char url[164];
};

static struct spare spare;

static void
copy_cut(char *out, size_t size, struct bytes text)
{
	size_t n = MIN(text.size, size - 1);

	if (n > 0)
		memcpy(out, text.data, n);
	out[n] = '\0';
	if (n < text.size)
		memcpy(out + size - 4, "...", 4);
}

/* The query with the values of token= replaced. */
static void
put_query(char *out, size_t size, struct bytes query)
{
	static const char KEY[] = "token=";
	const char *at = (const char *)query.data, *end = at + query.size;
	struct buf b = BUF_INIT(1u << 20);

	if (memmem(query.data, query.size, KEY, sizeof KEY - 1) == NULL) {
		copy_cut(out, size, query);
		return;
	}
	while (at < end) {
		const char *stop = memchr(at, '&', (size_t)(end - at));

		stop = stop == NULL ? end : stop;
		if ((size_t)(stop - at) >= sizeof KEY - 1 && memcmp(at, KEY, sizeof KEY - 1) == 0)
			buf_put_str(&b, "token=<hidden>");
		else
			buf_put(&b, at, (size_t)(stop - at));
		if (stop < end)
			buf_put_u8(&b, '&');
		at = stop + 1;
	}
	copy_cut(out, size, buf_bytes(&b));
	buf_free(&b);
}

void
trace_begin(struct exchange *x, const struct http1_head *head)
{
	struct trace *t = spare_take(&spare, sizeof *t);
	size_t used;

	t->start = monotime_now();
	copy_cut(t->method, sizeof t->method, head->method_text);
	copy_cut(t->url, sizeof t->url, head->path);
	used = strlen(t->url);
	if (head->has_query && used + 8 < sizeof t->url) {
		t->url[used++] = '?';
		put_query(t->url + used, sizeof t->url - used, head->query);
	}
	x->trace = t;
}

static const char *
client_of(const struct exchange *x, char text[NET_ADDR_TEXT_MAX])
{
	union net_addr peer = conn_peer(x);

	return peer.sa.sa_family == AF_INET || peer.sa.sa_family == AF_INET6 ? net_addr_text_port(&peer, text) : "@";
}

void
trace_failed(struct exchange *x, struct bytes text)
{
	static struct log_limit limit;
	const struct trace *t = x->trace;
	char client[NET_ADDR_TEXT_MAX];
	unsigned suppressed;

	if (t == NULL || !log_allowed(&limit, FAILED_LINES_MAX, &suppressed))
		return;
	if (suppressed > 0)
		log_errorx(MODULE, "Request errors were not logged: count=%u", suppressed);
	log_errorx(MODULE, "Request error: method=%s url=%s from=%s error=%s", t->method, log_quote(t->url),
	    client_of(x, client), log_quote_bytes(text));
}

void
trace_end(struct exchange *x)
{
	struct trace *t = x->trace;
	char client[NET_ADDR_TEXT_MAX], latency[DURATION_TEXT_MAX];

	x->trace = NULL;
	if (log_enabled(LOG_DEBUG_LEVEL))
		log_debug(MODULE, "Request finished: method=%s url=%s from=%s latency=%s", t->method, log_quote(t->url),
		    client_of(x, client), log_quote(duration_format(monotime_since_ns(t->start), latency)));
	spare_give(&spare, t);
}

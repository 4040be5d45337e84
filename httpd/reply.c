/*
 * reply.c - answers (contract: reply.h; callers: request.c and the handlers)
 *
 * The head is written into one buffer of the process and goes out with the body by one writev, so an answer that the socket
 * takes costs no allocation.
 */
#include "reply.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zlib.h>

#include "copies.h"
#include "json.h"
#include "mem.h"
#include "trace.h"

#define GZIP_BYTES_MIN 1400
#define HEAD_BYTES_MAX (40u * 1024 * 1024) /* a redirect repeats a target as long as heads may be */
#define SHARED_FORMS 8
#define KEEP_BYTES (1u << 20) /* a larger body buffer is given back */

static struct {
	struct ev_loop *loop;
	bool indent;
	char *always;   /* headers of every answer, after the status line */
	char *response; /* the operator's own alone, for paths that are no endpoints */
	time_t second;
	char date[COPY_DATE_BYTES + 1];
	size_t date_at; /* where it stands in head */
	struct buf head, extra, body, packed;
	z_stream deflate;
	bool deflate_ready;
} state = {
    .head = {.max = HEAD_BYTES_MAX},
    .extra = {.max = HEAD_BYTES_MAX},
    .body = {.max = REPLY_BODY_BYTES_MAX},
    .packed = {.max = REPLY_BODY_BYTES_MAX},
};

/* The last shared answer, by form. */
static struct {
	uint64_t frame;
	size_t count;
	struct {
		const void *form;
		uint32_t flags;
		struct blob *blob;
	} forms[SHARED_FORMS];
	bool capture; /* the reply being built is to be kept */
	struct ev_prepare drop;
} shared;

static void
shared_clear(void)
{
	for (size_t i = 0; i < shared.count; i++)
		blob_release(shared.forms[i].blob);
	shared.count = 0;
	shared.frame = 0;
}

/* All who wait for one frame are served in one turn; nothing is kept beyond it. */
static void
on_drop(struct ev_loop *loop, struct ev_prepare *w, int events)
{
	(void)events;
	shared_clear();
	ev_prepare_stop(loop, w);
}

void
reply_configure(struct ev_loop *loop, const struct conf *conf)
{
	struct buf b = BUF_INIT(HEAD_BYTES_MAX);

	if (state.loop == NULL)
		ev_prepare_init(&shared.drop, on_drop);
	state.loop = loop;
	state.indent = conf_bool(conf, "consuld.dev", false);
	for (size_t i = 0; i < conf_map_count(conf, "http_config.response_headers"); i++)
		buf_printf(&b, "%s: %s\r\n", conf_map_key(conf, "http_config.response_headers", i),
		    conf_map_value(conf, "http_config.response_headers", i));
	free(state.response);
	state.response = bytes_dup(buf_bytes(&b));
	if (conf_bool(conf, "translate_wan_addrs", false))
		buf_put_str(&b, "X-Consul-Translate-Addresses: true\r\n");
	buf_printf(&b, "X-Consul-Default-Acl-Policy: %s\r\n", conf_str(conf, "acl.default_policy", "allow"));
	free(state.always);
	state.always = bytes_dup(buf_bytes(&b));
	buf_free(&b);
}

struct buf *
reply_body(void)
{
	if (state.body.size > KEEP_BYTES)
		buf_free(&state.body);
	buf_clear(&state.body);
	return &state.body;
}

void
reply_header(const char *name, const char *fmt, ...)
{
	size_t at;
	va_list args;

	buf_printf(&state.extra, "%s: ", name);
	at = state.extra.used;
	va_start(args, fmt);
	buf_vprintf(&state.extra, fmt, args);
	va_end(args);
	/* A value from outside must not end the header. */
	for (; at < state.extra.used; at++)
		if (state.extra.data[at] < ' ' || state.extra.data[at] == 0x7f)
			state.extra.data[at] = ' ';
	buf_put_str(&state.extra, "\r\n");
}

static void
put_decimal(struct buf *b, uint64_t value)
{
	char text[24];
	size_t at = sizeof text;

	do
		text[--at] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	buf_put(b, text + at, sizeof text - at);
}

void
reply_meta(const struct query_meta *m, bool consistency)
{
	struct buf *b = &state.extra;

	buf_put_str(b, "X-Consul-Index: ");
	put_decimal(b, m->index == 0 ? 1 : m->index);
	buf_put_str(b, m->known_leader ? "\r\nX-Consul-Knownleader: true" : "\r\nX-Consul-Knownleader: false");
	buf_put_str(b, "\r\nX-Consul-Lastcontact: ");
	put_decimal(b, m->last_contact < 0 ? 0 : (uint64_t)m->last_contact / 1000000);
	buf_put_str(b, "\r\nX-Consul-Query-Backend: blocking-query\r\n");
	if (consistency && m->consistency_level.size > 0) {
		buf_put_str(b, "X-Consul-Effective-Consistency: ");
		buf_put_bytes(b, m->consistency_level);
		buf_put_str(b, "\r\n");
	}
	if (m->results_filtered_by_acls)
		buf_put_str(b, "X-Consul-Results-Filtered-By-Acls: true\r\n");
}

const char *
reply_date(void)
{
	time_t now = state.loop == NULL ? 0 : (time_t)ev_now(state.loop);
	struct tm tm;

	if (now != state.second || state.date[0] == '\0') {
		gmtime_r(&now, &tm);
		strftime(state.date, sizeof state.date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		state.second = now;
	}
	return state.date;
}

static const char *
reason_of(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 301:
		return "Moved Permanently";
	case 413:
		return "Request Entity Too Large";
	default:
		return http_status_str((enum http_status)status);
	}
}

/* Up to the line before Content-Length. */
static struct buf *
put_head(struct exchange *x, unsigned status, const char *type)
{
	struct buf *b = &state.head;

	if (b->size > KEEP_BYTES)
		buf_free(b);
	buf_clear(b);
	buf_put_str(b, "HTTP/1.1 ");
	put_decimal(b, status);
	buf_put_u8(b, ' ');
	buf_put_str(b, reason_of(status));
	buf_put_str(b, "\r\n");
	if (type != NULL) {
		buf_put_str(b, "Content-Type: ");
		buf_put_str(b, type);
		buf_put_str(b, "\r\n");
	}
	if ((x->flags & REPLY_API) != 0) {
		buf_put_str(b, "Vary: Accept-Encoding\r\n");
		buf_put_str(b, state.always == NULL ? "" : state.always);
	} else if (state.response != NULL)
		buf_put_str(b, state.response);
	if ((x->flags & REPLY_MISS) != 0 && status < 400)
		buf_put_str(b, "X-Cache: MISS\r\n");
	if ((x->flags & REPLY_HIT) != 0 && status < 400)
		buf_put_str(b, "X-Cache: HIT\r\nAge: 0\r\n");
	buf_put_bytes(b, buf_bytes(&state.extra));
	if (state.extra.size > KEEP_BYTES)
		buf_free(&state.extra);
	buf_clear(&state.extra);
	state.date_at = b->used;
	buf_put_str(b, reply_date());
	return b;
}

/* false: not worth it or not possible. */
static bool
pack(struct bytes body)
{
	z_stream *z = &state.deflate;
	size_t most;
	int ok;

	if (!state.deflate_ready) {
		if (deflateInit2(z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
			return false;
		state.deflate_ready = true;
	} else if (deflateReset(z) != Z_OK)
		return false;
	if (state.packed.size > KEEP_BYTES)
		buf_free(&state.packed);
	buf_clear(&state.packed);
	most = deflateBound(z, body.size);
	z->next_out = buf_space(&state.packed, most);
	if (z->next_out == NULL || body.size > UINT32_MAX || most > UINT32_MAX)
		return false;
	z->next_in = (Bytef *)(uintptr_t)body.data;
	z->avail_in = (unsigned)body.size;
	z->avail_out = (unsigned)most;
	ok = deflate(z, Z_FINISH);
	if (ok != Z_STREAM_END)
		return false;
	buf_commit(&state.packed, most - z->avail_out);
	return true;
}

void
reply_send(struct exchange *x, unsigned status, const char *type, struct bytes body)
{
	struct buf *b;
	bool keep = (x->flags & REPLY_KEEP) != 0 && conn_may_keep(x);
	struct blob *blob;

	if ((x->flags & REPLY_GZIP) != 0 && body.size >= GZIP_BYTES_MIN && pack(body)) {
		buf_put_str(&state.extra, "Content-Encoding: gzip\r\n");
		body = buf_bytes(&state.packed);
	}
	b = put_head(x, status, type);
	buf_put_str(b, "Content-Length: ");
	put_decimal(b, body.size);
	if (!keep)
		buf_put_str(b, "\r\nConnection: close\r\n\r\n");
	else if ((x->flags & REPLY_HTTP10) != 0)
		buf_put_str(b, "\r\nConnection: keep-alive\r\n\r\n");
	else
		buf_put_str(b, "\r\n\r\n");
	if ((x->flags & REPLY_HEAD) != 0)
		body = bytes_of(NULL, 0);
	if (keep)
		copies_keep(x, buf_bytes(b), body, state.date_at);
	if (!shared.capture) {
		conn_answer(x, buf_bytes(b), body, !keep);
		return;
	}
	shared.capture = false;
	blob = blob_new(buf_bytes(b), body);
	if (keep && shared.count < SHARED_FORMS) {
		shared.forms[shared.count].form = x->form;
		shared.forms[shared.count].flags = x->flags;
		shared.forms[shared.count++].blob = blob;
		blob->users++;
	}
	conn_answer_blob(x, blob, !keep);
	blob_release(blob);
}

bool
reply_shared(struct exchange *x, const struct ipc_answer *a)
{
	shared.capture = false;
	if (!a->shared)
		return false;
	if (shared.frame != a->frame) {
		shared_clear();
		shared.frame = a->frame;
		if (!ev_is_active(&shared.drop))
			ev_prepare_start(state.loop, &shared.drop);
	}
	for (size_t i = 0; i < shared.count && conn_may_keep(x); i++)
		if (shared.forms[i].form == x->form && shared.forms[i].flags == x->flags) {
			conn_answer_blob(x, shared.forms[i].blob, false);
			return true;
		}
	shared.capture = true;
	return false;
}

unsigned
reply_json_flags(const struct exchange *x)
{
	return state.indent || (x->flags & REPLY_PRETTY) != 0 ? JSON_PRETTY : 0;
}

void
reply_json(struct exchange *x, unsigned status)
{
	if ((x->flags & REPLY_PRETTY) != 0)
		buf_put_u8(&state.body, '\n');
	if (state.body.overflow) {
		reply_error(x, 500, "rpc error: the answer is over %u MiB", REPLY_BODY_BYTES_MAX >> 20);
		return;
	}
	reply_send(x, status, REPLY_JSON, buf_bytes(&state.body));
}

void
reply_error(struct exchange *x, unsigned status, const char *fmt, ...)
{
	static struct buf text = {.max = 64u * 1024};
	va_list args;

	shared.capture = false;
	copies_ended(x); /* nobody shall have this again */
	buf_clear(&text);
	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	trace_failed(x, buf_bytes(&text));
	reply_send(x, status, REPLY_TEXT, buf_bytes(&text));
}

void
reply_done(struct exchange *x)
{
	reply_send(x, 200, REPLY_JSON, bytes_of(NULL, 0));
}

static bool
contains(struct bytes message, const char *text)
{
	return memmem(message.data, message.size, text, strlen(text)) != NULL;
}

unsigned
reply_status_of(struct bytes message, unsigned code)
{
	if (message.size == 0)
		return code != 0 ? code : 500;
	if (contains(message, "Permission denied") || contains(message, "ACL not found"))
		return 403;
	if (contains(message, "RPC rate limit exceeded") || bytes_is(message, "Rate limit reached, try again later") ||
	    contains(message, "rate limit exceeded, try again later or against a different server"))
		return 429;
	if (contains(
		message, "rate limit exceeded for operation that can only be performed by the leader, try again later"))
		return 503;
	return code != 0 ? code : 500;
}

void
reply_failure(struct exchange *x, const struct ipc_answer *a)
{
	shared.capture = false;
	if (a->status == IPC_ERROR) {
		trace_failed(x, a->error);
		reply_send(x, reply_status_of(a->error, a->code), REPLY_TEXT, a->error);
	} else
		reply_error(x, 500, "rpc error: %.*s", (int)a->error.size, (const char *)a->error.data);
}

void
reply_stream(struct exchange *x)
{
	struct buf *b = put_head(x, 200, NULL);

	if ((x->flags & REPLY_HTTP10) == 0)
		buf_put_str(b, "Transfer-Encoding: chunked\r\n");
	buf_put_str(b, "Connection: close\r\n\r\n");
	conn_stream(x, buf_bytes(b));
}

bool
reply_stream_put(struct exchange *x, struct bytes data)
{
	struct buf *b = &state.head;

	if ((x->flags & REPLY_HTTP10) != 0)
		return conn_stream_put(x, data);
	buf_clear(b);
	buf_printf(b, "%zx\r\n", data.size);
	buf_put_bytes(b, data);
	buf_put_str(b, "\r\n");
	return !b->overflow && conn_stream_put(x, buf_bytes(b));
}

void
reply_stream_end(struct exchange *x)
{
	if ((x->flags & REPLY_HTTP10) == 0)
		(void)conn_stream_put(x, bytes_str("0\r\n\r\n"));
	conn_stream_end(x);
}

/*
 * httpd_http_fuzz.c - what a client's bytes go through before a handler sees them: head, chunked body, path, query
 *
 * The first byte says where the rest is cut in two: whatever the cut, the outcome is the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http1.h"
#include "mem.h"
#include "params.h"
#include "route.h"

#define HEAD_MAX 4096
#define BODY_MAX 256

struct outcome {
	int got;
	size_t size;
	unsigned status;
	int body_got;
	size_t body_used, body_size;
};

/* A chunked body behind the head, given in the pieces that cut makes. */
static void
feed_body(const struct http1_head *head, struct bytes in, size_t cut, struct outcome *o)
{
	http_parser parser = head->parser;
	struct buf body = BUF_INIT(BODY_MAX);
	size_t at = head->size, used;

	o->body_got = HTTP1_INCOMPLETE;
	while (at < in.size && o->body_got == HTTP1_INCOMPLETE && !body.overflow) {
		size_t end = cut > at ? cut : in.size;

		o->body_got = http1_body(&parser, bytes_of(in.data + at, end - at), &body, &used);
		assert(used <= end - at);
		assert(o->body_got != HTTP1_INCOMPLETE || body.overflow || used == end - at);
		at += used;
	}
	o->body_used = o->body_got == HTTP1_DONE ? at : 0;
	o->body_size = o->body_got == HTTP1_DONE ? body.used : 0;
	if (body.overflow)
		o->body_got = 2;
	buf_free(&body);
}

static struct outcome
run(struct bytes in, size_t cut)
{
	struct outcome o;
	struct http1_head head;
	struct http1_error error = {0, NULL};
	size_t scanned = 0;

	memset(&o, 0, sizeof o); /* the padding, too: outcomes are compared as memory */
	o.got = HTTP1_INCOMPLETE;
	if (cut < in.size)
		o.got = http1_parse(bytes_of(in.data, cut), HEAD_MAX, &scanned, &head, &error);
	if (o.got == HTTP1_INCOMPLETE)
		o.got = http1_parse(in, HEAD_MAX, &scanned, &head, &error);
	if (o.got == HTTP1_BAD) {
		assert(error.status >= 400 && error.text != NULL);
		o.status = error.status;
	}
	if (o.got != HTTP1_DONE)
		return o;
	assert(head.size <= in.size && head.size <= HEAD_MAX);
	o.size = head.size;
	if (head.chunked)
		feed_body(&head, in, cut, &o);
	return o;
}

static void
look_up(struct bytes in)
{
	struct http1_head head;
	struct http1_error error;
	size_t scanned = 0;
	struct region *r;
	struct params params;

	if (http1_parse(in, HEAD_MAX, &scanned, &head, &error) != HTTP1_DONE)
		return;
	r = region_new();
	(void)http1_accepts_gzip(head.field[HTTP1_ACCEPT_ENCODING]);
	if (head.path.data[0] == '/') {
		struct route_match m = route_find(head.path, r);

		assert(m.path.size <= head.path.size);
		assert((m.kind == ROUTE_FOUND) == (m.route != NULL));
		(void)params_printable(m.path);
		/* what one is redirected to is clean */
		if (m.kind == ROUTE_REDIRECT)
			assert(route_clean(m.location, r).data == m.location.data);
	}
	if (params_parse(head.query, r, &params) == 0) {
		struct bytes text = params_encode(&params, r);
		struct params again;

		assert(params_parse(text, r, &again) == 0 && again.count == params.count);
	}
	region_free(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in;
	struct outcome whole, parts;

	if (size < 2)
		return 0;
	route_init();
	in = bytes_of(data + 1, size - 1);
	whole = run(in, in.size);
	parts = run(in, data[0] % in.size);
	/* a bad first line is refused before the head is too large, or the other way round */
	assert(whole.got == parts.got);
	assert(whole.got == HTTP1_BAD || memcmp(&whole, &parts, sizeof whole) == 0);
	look_up(in);
	return 0;
}

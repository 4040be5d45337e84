/*
 * conn_in.c - what comes in by HTTP/1 connections: messages, one after the other (contract: conn_private.h; caller: conn.c)
 *
 * Reading goes into one buffer of the process; only what can not be handled yet (half a message, requests behind the one that is
 * being answered) is copied into a buffer of the connection's own, which is given back when it is empty.
 */
#include "conn_private.h"

#include <errno.h>

#include "mem.h"

#define LINGER_BYTES_MAX (8u * 1024 * 1024) /* swallowed after an early answer */

static void
dispatch(struct conn *c, const struct http1_head *head, struct bytes body, bool too_large, uint64_t body_size)
{
	struct incoming in = {.head = head, .body = body, .too_large = too_large, .body_size = body_size};

	c->scanned = 0;
	conn_deadline_clear(c);
	c->state = ANSWERING;
	if (too_large || !head->keep_alive)
		c->close_after = true;
	c->x = (struct exchange){.conn = c};
	c->all->handler->dispatch(&c->x, &in);
}

/* A body of announced length. Returns the bytes of in that the message takes, 0: more is wanted. */
static size_t
take_plain(struct conn *c, struct bytes in, const struct http1_head *head, size_t body_max)
{
	if (head->length > body_max) {
		dispatch(c, head, bytes_of(NULL, 0), true, head->length);
		return in.size;
	}
	if (in.size - head->size < head->length)
		return 0;
	dispatch(c, head, bytes_of(in.data + head->size, (size_t)head->length), false, head->length);
	return head->size + (size_t)head->length;
}

/* A chunked body: its bytes are decoded as they come. Returns the bytes of in that are done with; *more: all, and the message goes on. */
static size_t
take_chunked(struct conn *c, struct bytes in, const struct http1_head *head, bool *more, bool *bad)
{
	struct conn_message *m = c->message;
	struct buf whole;
	size_t used;
	int got = http1_body(&m->parser, bytes_of(in.data + m->head_size, in.size - m->head_size), &m->body, &used);

	*more = *bad = false;
	used += m->head_size;
	if (got == HTTP1_BAD) {
		*bad = true;
		return in.size;
	}
	if (got == HTTP1_DONE || m->body.overflow) {
		whole = m->body;
		m->body = (struct buf){0};
		conn_message_drop(c);
		if (whole.overflow)
			dispatch(c, head, bytes_of(NULL, 0), true, (uint64_t)whole.max + 1);
		else
			dispatch(c, head, buf_bytes(&whole), false, whole.used);
		buf_free(&whole);
		return used;
	}
	*more = true;
	return used;
}

/* Keeps size bytes at the front of in alone; in may lie in c->in itself. */
static void
conn_keep(struct conn *c, struct bytes in, size_t size)
{
	if (size == 0) {
		buf_free(&c->in);
	} else if (c->in.used > 0 && in.data >= c->in.data && in.data < c->in.data + c->in.used) {
		buf_consume(&c->in, (size_t)(in.data - c->in.data));
		c->in.used = size;
	} else {
		buf_init(&c->in, c->all->in_bytes_max);
		buf_put(&c->in, in.data, size);
	}
}

/* Answers what needs no thought. Returns the bytes of the request, 0: it is to be looked at. */
static size_t
take_known(struct conn *c, struct bytes in)
{
	size_t used = 0;
	struct bytes answer = c->all->handler->known(in, &used);

	if (answer.size == 0)
		return 0;
	c->scanned = 0;
	conn_deadline_clear(c);
	if (conn_put(c, answer, bytes_of(NULL, 0), NULL) == -1)
		conn_close(c);
	else
		conn_advance(c);
	return used;
}

/* One message from the front of in. Returns the bytes it used, 0: more input is wanted; *keep bytes are to be kept for then. */
static size_t
take_message(struct conn *c, struct bytes in, size_t *keep)
{
	static const char CONTINUE[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct conns *cs = c->all;
	struct http1_head head;
	struct http1_error error;
	size_t used, body_max, scanned = c->message == NULL ? c->scanned : 0;
	bool more, bad;
	int got;

	*keep = in.size;
	if (c->message == NULL && (used = take_known(c, in)) > 0)
		return used;
	got = http1_parse(in, cs->head_bytes_max, &scanned, &head, &error);
	c->scanned = scanned;
	if (got == HTTP1_BAD) {
		conn_refuse(c, &error);
		return in.size;
	}
	if (got == HTTP1_INCOMPLETE)
		return 0;
	body_max = cs->handler->body_max(&head);
	if (!head.chunked) {
		used = take_plain(c, in, &head, body_max);
		if (used > 0) {
			conn_message_drop(c);
			return used;
		}
	}
	if (c->message == NULL) {
		c->message = conn_message_new(cs);
		c->message->parser = head.parser;
		c->message->head_size = head.size;
		buf_init(&c->message->body, body_max);
		if (head.expect_continue && in.size == head.size &&
		    conn_put(c, bytes_str(CONTINUE), bytes_of(NULL, 0), NULL) == -1) {
			conn_close(c);
			return in.size;
		}
	}
	if (!head.chunked)
		return 0;
	used = take_chunked(c, in, &head, &more, &bad);
	if (bad) {
		error = (struct http1_error){400, "400 Bad Request"};
		conn_refuse(c, &error);
		return in.size;
	}
	if (more) {
		*keep = head.size; /* what came of the body has moved to the message */
		return 0;
	}
	return used;
}

void
conn_work(struct conn *c, struct bytes fresh)
{
	struct bytes in = c->in.used > 0 ? buf_bytes(&c->in) : fresh;
	size_t keep = in.size;

	c->busy++;
	while (!c->dead && c->state == READING && !c->close_after && in.size > 0 && conn_unsent(c) == 0) {
		size_t used = take_message(c, in, &keep);

		if (used == 0)
			break;
		in = bytes_of(in.data + used, in.size - used);
		keep = in.size;
	}
	c->busy--;
	if (c->dead) {
		conn_free(c);
		return;
	}
	conn_keep(c, in, keep);
	if (c->state == READING && conn_unsent(c) == 0) {
		if (c->close_after || c->eof) {
			conn_finish(c);
			return;
		}
		/* A head has one deadline, however slowly it trickles in; a body one for each piece. */
		if (c->in.used > 0 && (c->message != NULL || !c->has_deadline))
			conn_deadline_set(c, CONN_STALL_S);
	}
	c->throttled = (c->state != READING || conn_unsent(c) > 0) && c->in.used > CONN_AHEAD_BYTES;
	conn_arm(c);
}

/* The client has closed its side. */
static void
conn_ended(struct conn *c)
{
	c->eof = true;
	/* A wait is given up; a question that is under way is answered to a half-closed client. */
	if (c->state == ANSWERING && !c->x.waits) {
		conn_arm(c);
		return;
	}
	if (c->state == READING && conn_unsent(c) > 0) {
		conn_arm(c);
		return;
	}
	conn_close(c);
}

static void
conn_linger(struct conn *c, size_t n)
{
	c->lingered += n;
	if (c->lingered > LINGER_BYTES_MAX)
		conn_close(c);
}

void
conn_read(struct conn *c)
{
	struct conns *cs = c->all;
	bool own = c->in.used > 0 && c->state != LINGERING;
	uint8_t *to = cs->input;
	ssize_t n;

	if (c->eof) {
		conn_close(c);
		return;
	}
	if (own && (to = buf_space(&c->in, CONN_READ_BYTES)) == NULL) {
		conn_close(c);
		return;
	}
	n = recv(c->io.fd, to, CONN_READ_BYTES, 0);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n == -1) {
		conn_close(c);
		return;
	}
	if (n == 0) {
		conn_ended(c);
		return;
	}
	if (c->state == LINGERING) {
		conn_linger(c, (size_t)n);
		return;
	}
	if (own)
		buf_commit(&c->in, (size_t)n);
	if (c->state == READING && conn_unsent(c) == 0) {
		conn_work(c, bytes_of(cs->input, (size_t)n));
		return;
	}
	if (!own)
		conn_keep(c, bytes_of(cs->input, (size_t)n), (size_t)n);
	if (c->in.used > CONN_AHEAD_BYTES) {
		c->throttled = true;
		conn_arm(c);
	}
}

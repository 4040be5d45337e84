/*
 * ipc_conn.c - connections: frames in and out, streams that we serve (contract: ipc.h, ipc_private.h; format: frame.h, consuld-protocol(7))
 *
 * A connection owns its input and output buffers and the streams it serves. Frames are handled in place in the input buffer. Output is
 * appended to one buffer and written once per loop turn by the prepare watcher; only what the socket did not take waits for writability.
 *
 * Callbacks may do anything, also end the connection they came by: while frames of a connection are handled, busy
 * keeps it alive, and dropping it only marks it dead.
 *
 * Only accepted connections stop reading when their output is not taken. If the dialling side did the same,
 * two full queues could wait for each other; its own bound is PEER_BYTES_MAX (ipc.c) of requests that were not sent.
 */
#include "ipc_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "log.h"
#include "mem.h"

#define READ_BYTES (64u * 1024)        /* room for one read */
#define READ_TURN_BYTES (1024u * 1024) /* then other connections get their turn */
#define KEEP_BYTES (256u * 1024)       /* larger buffers are given back when empty */
#define HELLO_TEXT "consuld 1 "

/* ---- output ---- */

void
ipc_conn_dirty(struct ipc_conn *c)
{
	if (c->is_dirty || c->dead)
		return;
	c->is_dirty = true;
	ring_append(&c->ipc->dirty, &c->dirty);
}

void
ipc_conn_queue_fd(struct ipc_conn *c, int fd)
{
	if (c->fds_out_count == FDS_MAX)
		panic("ipc: %d descriptors wait to be sent to %s", FDS_MAX, c->program);
	c->fds_out[c->fds_out_count++] = (struct passed_fd){c->out_base + c->out.used, fd};
}

/* One sendmsg: as much as goes, up to the next descriptor; a descriptor goes with its frame's first byte. */
static ssize_t
conn_send(struct ipc_conn *c)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {c->out.data + c->sent, c->out.used - c->sent};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	uint64_t here = c->out_base + c->sent;
	bool with_fd = c->fds_out_count > 0 && c->fds_out[0].at == here;
	size_t next = with_fd ? 1 : 0;
	ssize_t n;

	if (c->fds_out_count > next)
		iov.iov_len = MIN(iov.iov_len, (size_t)(c->fds_out[next].at - here));
	if (with_fd) {
		struct cmsghdr *h;

		memset(&control, 0, sizeof control);
		message.msg_control = control.space;
		message.msg_controllen = sizeof control.space;
		h = CMSG_FIRSTHDR(&message);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &c->fds_out[0].fd, sizeof(int));
	}
	n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
	if (n > 0 && with_fd) {
		close(c->fds_out[0].fd);
		c->fds_out_count--;
		memmove(c->fds_out, c->fds_out + 1, c->fds_out_count * sizeof c->fds_out[0]);
	}
	return n;
}

static void
conn_flush(struct ipc_conn *c)
{
	if (c->out.overflow) { /* the last frame is not whole: none of it may leave */
		log_errorx("agent", "ipc: more waits to be sent than may, connection dropped: peer=%s bytes=%zu",
		    c->program, c->out.used - c->sent);
		ipc_conn_drop(c);
		return;
	}
	while (!c->dead && c->sent < c->out.used) {
		ssize_t n = conn_send(c);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n == -1) {
			ipc_conn_drop(c);
			return;
		}
		c->sent += (size_t)n;
	}
	if (c->dead)
		return;
	if (c->sent == c->out.used) {
		c->out_base += c->sent;
		c->sent = 0;
		buf_clear(&c->out);
		if (c->out.size > KEEP_BYTES)
			buf_free(&c->out);
		ev_io_stop(c->ipc->loop, &c->write);
	} else {
		ev_io_start(c->ipc->loop, &c->write);
		if (c->sent > KEEP_BYTES && c->sent > c->out.used / 2) {
			buf_consume(&c->out, c->sent);
			c->out_base += c->sent;
			c->sent = 0;
		}
	}
	if (c->paused && c->out.used - c->sent <= IPC_OUT_LOW) {
		c->paused = false;
		ev_io_start(c->ipc->loop, &c->read);
		ev_feed_event(c->ipc->loop, &c->read, EV_READ); /* frames may wait in the buffer */
	}
}

void
ipc_flush(struct ipc *ipc)
{
	while (ipc->dirty.next != &ipc->dirty) {
		struct ipc_conn *c = RING_ENTRY(ipc->dirty.next, struct ipc_conn, dirty);

		ring_remove(&c->dirty);
		c->is_dirty = false;
		conn_flush(c);
	}
}

static void
on_writable(struct ev_loop *loop, struct ev_io *w, int events)
{
	(void)loop, (void)events;
	conn_flush(w->data);
}

/* ---- serving ---- */

static struct ipc_stream *
stream_new(struct ipc_conn *c, uint32_t id)
{
	struct ipc_stream *s = spare_take(&c->ipc->streams, sizeof *s);

	*s = (struct ipc_stream){.slot = {.id = id}, .conn = c, .fd = -1};
	ipc_table_insert(&c->streams, &s->slot);
	return s;
}

static void
stream_free(struct ipc_stream *s)
{
	struct ipc *ipc;

	if (s->conn == NULL)
		panic("ipc: a stream ended twice");
	ipc = s->conn->ipc;
	ipc_table_remove(&s->conn->streams, &s->slot);
	if (s->fd != -1)
		close(s->fd);
	s->conn = NULL;
	spare_give(&ipc->streams, s);
}

const uint8_t ipc_empty_map[1] = {0x80};

/* error, status and body of a REPLY: the head's length is known only when they are written. */
static void
put_reply(struct ipc_conn *c, struct bytes error, unsigned status, struct bytes body, unsigned flags,
    struct ipc_stream **streams, size_t count)
{
	struct buf *out = &c->out;
	size_t start = out->used;

	frame_put_head(out, FRAME_REPLY, flags, streams[0]->slot.id, (uint16_t)(count - 1), 0);
	for (size_t i = 1; i < count; i++)
		buf_put_be32(out, streams[i]->slot.id);
	mp_put_bytes(out, error);
	mp_put_uint(out, status);
	if (body.size == 0)
		body = bytes_of(ipc_empty_map, sizeof ipc_empty_map);
	buf_put_bytes(out, body);
	frame_set_length(out, start);
	ipc_conn_dirty(c);
}

/* The same for a stream of ipc_serve, by its callback, which must not end other streams of the same answer. */
static void
reply_local(struct ipc_stream *s, struct bytes error, unsigned status, struct bytes body, bool shared)
{
	struct ipc_answer answer = {.status = error.size > 0 ? IPC_ERROR : IPC_OK,
	    .code = status,
	    .error = error,
	    .body = body.size == 0 ? bytes_of(ipc_empty_map, sizeof ipc_empty_map) : body,
	    .fd = -1,
	    .shared = shared,
	    .frame = s->conn->ipc->frames};
	ipc_answer_cb *answered = s->answered;
	void *ctx = s->answered_ctx;

	stream_free(s);
	answered(ctx, &answer);
}

/* Ends count streams of one connection with the same answer. */
static void
reply(struct ipc_stream **streams, size_t count, struct bytes error, unsigned status, struct bytes body, unsigned flags)
{
	struct ipc_conn *c = streams[0]->conn;

	if (c == c->ipc->local) {
		c->ipc->frames++;
		for (size_t i = 0; i < count; i++)
			reply_local(streams[i], error, status, body, count > 1);
		return;
	}
	put_reply(c, error, status, body, flags, streams, count);
	for (size_t i = 0; i < count; i++)
		stream_free(streams[i]);
}

void
ipc_reply(struct ipc_stream *s, struct bytes body)
{
	reply(&s, 1, bytes_of(NULL, 0), 0, body, 0);
}

void
ipc_reply_fd(struct ipc_stream *s, struct bytes body, int fd)
{
	ipc_conn_queue_fd(s->conn, fd);
	reply(&s, 1, bytes_of(NULL, 0), 0, body, FRAME_FD);
}

void
ipc_fail(struct ipc_stream *s, unsigned status, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) == -1)
		panic("ipc_fail: bad format");
	va_end(args);
	reply(&s, 1, bytes_str(text), status, bytes_of(NULL, 0), 0);
	free(text);
}

static int
by_conn(const void *a, const void *b)
{
	const struct ipc_stream *const *x = a, *const *y = b;

	return (*x)->conn < (*y)->conn ? -1 : (*x)->conn > (*y)->conn;
}

void
ipc_reply_many(struct ipc_stream **streams, size_t count, struct bytes body)
{
	qsort(streams, count, sizeof *streams, by_conn);
	for (size_t i = 0, n; i < count; i += n) {
		struct ipc_conn *c = streams[i]->conn;

		for (n = 1; i + n < count && n <= FRAME_STREAMS_MAX && streams[i + n]->conn == c; n++)
			;
		reply(streams + i, n, bytes_of(NULL, 0), 0, body, 0);
	}
}

bool
ipc_push(struct ipc_stream *s, struct bytes body)
{
	struct ipc_conn *c = s->conn;

	if (body.size > s->credit)
		return false;
	s->credit -= body.size;
	frame_put_head(&c->out, FRAME_DATA, 0, s->slot.id, 0, body.size);
	buf_put_bytes(&c->out, body);
	ipc_conn_dirty(c);
	return true;
}

size_t
ipc_stream_credit(const struct ipc_stream *s)
{
	return (size_t)s->credit;
}

void
ipc_stream_watch(struct ipc_stream *s, void (*ended)(struct ipc_stream *s, void *ctx),
    void (*credit)(struct ipc_stream *s, void *ctx), void *ctx)
{
	s->ended = ended;
	s->on_credit = credit;
	s->ctx = ctx;
}

int
ipc_stream_take_fd(struct ipc_stream *s)
{
	int fd = s->fd;

	s->fd = -1;
	return fd;
}

uid_t
ipc_stream_uid(const struct ipc_stream *s)
{
	return s->conn->uid;
}

const char *
ipc_stream_program(const struct ipc_stream *s)
{
	return s->conn->program;
}

struct ipc_conn *
ipc_stream_conn(const struct ipc_stream *s)
{
	return s->conn;
}

const char *
ipc_stream_method(const struct ipc_stream *s)
{
	return s->method;
}

/* ---- requests that came another way ---- */

static void
local_new(struct ipc *ipc)
{
	struct ipc_conn *c = xcalloc(1, sizeof *c);

	c->ipc = ipc;
	c->fd = -1;
	c->greeted = true;
	snprintf(c->program, sizeof c->program, "rpc");
	ring_append(&ipc->conns, &c->all);
	ring_init(&c->dirty);
	ev_init(&c->read, NULL);
	ev_init(&c->write, NULL);
	ipc->local = c;
}

struct ipc_stream *
ipc_serve(struct ipc *ipc, const struct ipc_service *service, const struct ipc_method *method, struct bytes args,
    unsigned flags, ipc_answer_cb *answered, void *ctx)
{
	struct ipc_stream *s;
	struct ipc_conn *c;
	uint32_t id;

	if (ipc->local == NULL)
		local_new(ipc);
	c = ipc->local;
	do
		c->next_id += 2;
	while (ipc_table_find(&c->streams, c->next_id) != NULL);
	id = c->next_id;
	s = stream_new(c, id);
	s->method = method->name;
	s->answered = answered;
	s->answered_ctx = ctx;
	s->flags = flags;
	if (c->streams.count > IPC_STREAMS_MAX)
		ipc_fail(s, 503, "too many requests");
	else
		method->handler(s, args, service->ctx);
	return (struct ipc_stream *)ipc_table_find(&c->streams, id);
}

unsigned
ipc_stream_flags(const struct ipc_stream *s)
{
	return s->flags;
}

void
ipc_serve_cancel(struct ipc_stream *s)
{
	if (s->ended != NULL)
		s->ended(s, s->ctx);
	stream_free(s);
}

/* ---- input ---- */

/* -1: a bad frame. */
static int
take_fd(struct ipc_conn *c, const struct frame *f, int *fd)
{
	*fd = -1;
	if ((f->flags & FRAME_FD) == 0)
		return 0;
	if (c->fds_in_count == 0)
		return -1;
	*fd = c->fds_in[0];
	c->fds_in_count--;
	memmove(c->fds_in, c->fds_in + 1, c->fds_in_count * sizeof c->fds_in[0]);
	return 0;
}

static int
on_hello(struct ipc_conn *c, const struct frame *f)
{
	size_t fixed = strlen(HELLO_TEXT);

	if (c->greeted || f->payload.size <= fixed || memcmp(f->payload.data, HELLO_TEXT, fixed) != 0 ||
	    bytes_to_str(bytes_of(f->payload.data + fixed, f->payload.size - fixed), c->program, sizeof c->program) ==
		-1)
		return -1;
	c->greeted = true;
	return 0;
}

static int
on_request(struct ipc_conn *c, const struct frame *f)
{
	struct mp in = mp_of(f->payload);
	struct bytes name = mp_str(&in);
	const struct ipc_method *method;
	struct ipc_stream *s;
	int fd;

	if (take_fd(c, f, &fd) == -1)
		return -1;
	/* the other side opens the numbers that we do not */
	if (!mp_ok(&in) || (f->stream & 1) == (c->next_id & 1) || ipc_table_find(&c->streams, f->stream) != NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	s = stream_new(c, f->stream);
	s->fd = fd;
	if (c->streams.count > IPC_STREAMS_MAX) {
		ipc_fail(s, 503, "too many requests");
		return 0;
	}
	method = ipc_dispatch_find(c->dispatch, name);
	if (method == NULL) {
		ipc_fail(
		    s, 0, "rpc: can't find method %.*s", (int)MIN(name.size, (size_t)128), (const char *)name.data);
		return 0;
	}
	s->method = method->name;
	method->handler(s, bytes_of(in.at, (size_t)(in.end - in.at)), c->dispatch->service->ctx);
	return 0;
}

static int
on_reply(struct ipc_conn *c, const struct frame *f)
{
	struct mp in = mp_of(f->payload);
	struct ipc_answer answer = {.shared = f->more_streams > 0, .frame = ++c->ipc->frames};

	if (take_fd(c, f, &answer.fd) == -1)
		return -1;
	answer.error = mp_str(&in);
	answer.code = (unsigned)mp_uint(&in);
	answer.body = bytes_of(in.at, (size_t)(in.end - in.at));
	answer.status = answer.error.size > 0 ? IPC_ERROR : IPC_OK;
	if (!mp_ok(&in)) {
		if (answer.fd != -1)
			close(answer.fd);
		return -1;
	}
	for (unsigned i = 0; i <= f->more_streams && !c->dead; i++) {
		uint32_t id = i == 0 ? f->stream : be32_at(f->streams + 4 * (size_t)(i - 1));
		struct slot *slot = ipc_table_find(&c->calls, id);

		if (slot != NULL)
			ipc_call_finish((struct ipc_call *)slot, &answer);
		else if (answer.fd != -1) /* cancelled while the answer was under way */
			close(answer.fd);
		answer.fd = -1;
	}
	return 0;
}

static int
on_frame(struct ipc_conn *c, const struct frame *f)
{
	struct slot *slot;
	struct ipc_stream *s;

	if (!c->greeted && f->kind != FRAME_HELLO)
		return -1;
	switch (f->kind) {
	case FRAME_HELLO:
		return on_hello(c, f);
	case FRAME_REQUEST:
		return on_request(c, f);
	case FRAME_REPLY:
		return on_reply(c, f);
	case FRAME_DATA:
		slot = ipc_table_find(&c->calls, f->stream);
		if (slot != NULL) {
			struct ipc_call *call = (struct ipc_call *)slot;
			struct ipc_answer answer = {.status = IPC_OK, .body = f->payload, .fd = -1, .more = true};

			call->cb(call->ctx, &answer);
		}
		return 0;
	case FRAME_CANCEL:
	case FRAME_WINDOW:
		slot = ipc_table_find(&c->streams, f->stream);
		if (slot == NULL) /* answered while this was under way */
			return 0;
		s = (struct ipc_stream *)slot;
		if (f->kind == FRAME_CANCEL) {
			if (s->ended != NULL)
				s->ended(s, s->ctx);
			stream_free(s);
		} else {
			s->credit += be32_at(f->payload.data);
			if (s->on_credit != NULL)
				s->on_credit(s, s->ctx);
		}
		return 0;
	}
	return -1;
}

/* Handles the complete frames in the buffer. The caller holds busy; c may be dead afterwards. */
static void
conn_parse(struct ipc_conn *c)
{
	size_t at = 0, used, need;
	struct frame f;
	int got = 0;

	while (!c->dead && !c->paused) {
		got = frame_decode(bytes_of(c->in.data + at, c->in.used - at), &f, &used, &need);
		if (got != 1)
			break;
		if (on_frame(c, &f) == -1) {
			got = -1;
			break;
		}
		at += used;
		if (c->peer == NULL && c->out.used - c->sent > IPC_OUT_HIGH)
			c->paused = true;
	}
	if (got == -1) {
		log_warnx(
		    "agent", "ipc: bad frame, connection dropped: peer=%s", c->program[0] == '\0' ? "?" : c->program);
		c->dead = true;
	}
	if (c->dead)
		return;
	buf_consume(&c->in, at);
	if (c->paused)
		ev_io_stop(c->ipc->loop, &c->read);
	if (c->in.used == 0 && c->in.size > KEEP_BYTES)
		buf_free(&c->in);
}

/* One read with whatever descriptors come along. Bytes, 0 at the end, -1 with errno. */
static ssize_t
conn_receive(struct ipc_conn *c)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * 8)];
	} control;
	struct iovec iov;
	struct msghdr message = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
	ssize_t n;

	/* grown by what has come, not by what a head announces */
	if (buf_reserve(&c->in, MAX((size_t)READ_BYTES, MIN(c->in.used, c->in.max - c->in.used))) == -1) {
		errno = ENOBUFS;
		return -1;
	}
	iov.iov_base = c->in.data + c->in.used;
	iov.iov_len = c->in.size - c->in.used;
	n = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return n;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h != NULL; h = CMSG_NXTHDR(&message, h)) {
		size_t count;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
			if (c->fds_in_count == FDS_MAX) {
				close(fd);
				errno = EBADMSG;
				n = -1;
				continue;
			}
			c->fds_in[c->fds_in_count++] = fd;
		}
	}
	if (n > 0)
		buf_commit(&c->in, (size_t)n);
	return n;
}

/* Reads and handles what is there, within one turn's share. c may be dead afterwards. */
static void
conn_input(struct ipc_conn *c)
{
	size_t turn = 0;

	if (c->in.used > 0) /* left from a pause */
		conn_parse(c);
	while (!c->dead && !c->paused && turn < READ_TURN_BYTES) {
		size_t room = MAX(c->in.size - c->in.used, (size_t)READ_BYTES);
		ssize_t n = conn_receive(c);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0) {
			c->dead = true;
			return;
		}
		turn += (size_t)n;
		conn_parse(c);
		if ((size_t)n < room)
			return; /* a short read: nothing more now, the loop tells when there is */
	}
}

static void
on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct ipc_conn *c = w->data;

	(void)loop, (void)events;
	c->busy++;
	conn_input(c);
	c->busy--;
	if (c->dead)
		ipc_conn_drop(c);
}

/* ---- connections ---- */

struct ipc_conn *
ipc_conn_new(struct ipc *ipc, int fd, struct ipc_peer *peer, struct dispatch *dispatch, bool dialler)
{
	struct ipc_conn *c = xcalloc(1, sizeof *c);

	c->ipc = ipc;
	c->fd = fd;
	c->peer = peer;
	c->dispatch = dispatch;
	c->next_id = dialler ? 1 : 2;
	ring_append(&ipc->conns, &c->all);
	ring_init(&c->dirty);
	buf_init(&c->in, FRAME_REPLY_BYTES_MAX + READ_BYTES);
	buf_init(&c->out, (size_t)FRAME_REPLY_BYTES_MAX * 2);
	ev_io_init(&c->read, on_readable, fd, EV_READ);
	ev_io_init(&c->write, on_writable, fd, EV_WRITE);
	c->read.data = c->write.data = c;
	ev_io_start(ipc->loop, &c->read);
	frame_put_head(&c->out, FRAME_HELLO, 0, 0, 0, strlen(HELLO_TEXT) + strlen(ipc->program));
	buf_put_str(&c->out, HELLO_TEXT);
	buf_put_str(&c->out, ipc->program);
	ipc_conn_dirty(c);
	return c;
}

static void
conn_free(struct ipc_conn *c)
{
	ev_io_stop(c->ipc->loop, &c->read);
	ev_io_stop(c->ipc->loop, &c->write);
	if (c == c->ipc->local)
		c->ipc->local = NULL;
	else
		close(c->fd);
	for (size_t i = 0; i < c->fds_out_count; i++)
		close(c->fds_out[i].fd);
	for (size_t i = 0; i < c->fds_in_count; i++)
		close(c->fds_in[i]);
	ring_remove(&c->all);
	ring_remove(&c->dirty);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c->streams.buckets);
	free(c->calls.buckets);
	free(c);
}

void
ipc_conn_drop(struct ipc_conn *c)
{
	struct ipc_peer *p = c->peer;
	struct slot *slot;
	size_t place = 0;

	c->dead = true;
	if (c->busy > 0)
		return;
	c->busy++; /* callbacks below may come back here */
	while ((slot = ipc_table_any(&c->streams, &place)) != NULL) {
		struct ipc_stream *s = (struct ipc_stream *)slot;

		if (s->ended != NULL)
			s->ended(s, s->ctx);
		stream_free(s);
	}
	if (p != NULL && p->conn == c) {
		ipc_peer_lost(p, c);
	}
	c->busy--;
	conn_free(c);
}

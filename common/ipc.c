/*
 * ipc.c - requests between the suite's processes (contract: ipc.h; format: frame.h, consuld-protocol(7))
 *
 * A connection owns its input and output buffers, the streams it serves and (with its peer) the calls it carries. Frames are
 * handled in place in the input buffer. Output is appended to one buffer and written once per loop turn by the
 * prepare watcher; only what the socket did not take waits for writability.
 *
 * Callbacks may do anything, also end the connection they came by: while frames of a connection are handled, busy
 * keeps it alive, and dropping it only marks it dead.
 *
 * Only accepted connections stop reading when their output is not taken. If the dialling side did the same,
 * two full queues could wait for each other; its own bound is PEER_BYTES_MAX of requests that were not sent.
 */
#include "ipc.h"

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
#include "net.h"
#include "ring.h"
#include "uuid.h"

#define READ_BYTES (64u * 1024)        /* room for one read */
#define READ_TURN_BYTES (1024u * 1024) /* then other connections get their turn */
#define KEEP_BYTES (256u * 1024)       /* larger buffers are given back when empty */
#define PEER_BYTES_MAX (64u * 1024 * 1024)
#define CALL_ARGS_INLINE 160
#define FDS_MAX 64
#define HELLO_TEXT "consuld 1 "
#define BACKOFF_MIN_S 0.001
#define BACKOFF_MAX_S 0.25

/* What a table of streams holds; first member of struct ipc_stream and struct ipc_call. */
struct slot {
	struct slot *next;
	uint32_t id;
};

/* Streams by number. Numbers of one side go up by two, so their lower bits spread well. */
struct table {
	struct slot **buckets;
	size_t size; /* a power of two */
	size_t count;
};

struct dispatch {
	const struct ipc_service *service;
	const struct ipc_method **buckets; /* open addressing */
	size_t size;
};

struct ipc {
	struct ev_loop *loop;
	struct ev_prepare flush;
	char program[32];
	struct ring conns; /* all */
	struct ring dirty; /* those with output gathered in this turn */
	struct ring peers;
	struct ring listeners;
	struct slot *free_streams, *free_calls;
	uint64_t frames; /* replies received, all connections */
	struct dispatch **dispatches;
	size_t dispatch_count;
};

struct ipc_listener {
	struct ring all;
	struct ipc *ipc;
	struct ev_io accept;
	struct ev_timer retry; /* after EMFILE: the socket stays readable, do not spin on it */
	struct dispatch *dispatch;
};

struct passed_fd {
	uint64_t at; /* place in the output, counted from the connection's beginning */
	int fd;
};

struct ipc_conn {
	struct ring all, dirty;
	struct ipc *ipc;
	struct ipc_peer *peer;     /* NULL: accepted */
	struct dispatch *dispatch; /* NULL: serves nothing */
	int fd;
	struct ev_io read, write;
	struct buf in, out;
	size_t sent;       /* bytes of out that are written */
	uint64_t out_base; /* place of out.data[0] in the output */
	struct passed_fd fds_out[FDS_MAX];
	size_t fds_out_count;
	int fds_in[FDS_MAX];
	size_t fds_in_count;
	struct table streams; /* opened by the other side */
	struct table calls;   /* opened by us */
	uint32_t next_id;
	unsigned busy;
	bool is_dirty, dead, greeted, paused;
	uid_t uid;
	char program[32];
};

struct ipc_peer {
	struct ring all;
	struct ipc *ipc;
	char *path; /* NULL: a given descriptor */
	struct dispatch *dispatch;
	struct ipc_conn *conn;
	struct ev_timer retry;
	double backoff;
	struct ring calls; /* all that are not answered, oldest first */
	size_t call_count;
	size_t waiting_bytes; /* arguments of calls that are not sent */
	void (*up)(void *ctx);
	void (*down)(void *ctx);
	void *ctx;
};

struct ipc_stream {
	struct slot slot;
	struct ipc_conn *conn;
	uint64_t credit;
	void (*ended)(struct ipc_stream *s, void *ctx);
	void (*on_credit)(struct ipc_stream *s, void *ctx);
	void *ctx;
	int fd;
};

struct ipc_call {
	struct slot slot;
	struct ring all;
	struct ipc_peer *peer;
	struct ipc_conn *conn; /* NULL: not sent */
	const char *method;
	ipc_answer_cb *cb;
	void *ctx;
	struct ev_timer deadline;
	unsigned flags;
	bool refused; /* the deadline is now: too many requests */
	uint32_t credit;
	int fd;
	size_t args_size;
	uint8_t *args; /* NULL once sent, unless IPC_RESEND */
	uint8_t args_inline[CALL_ARGS_INLINE];
};

static void conn_drop(struct ipc_conn *c);
static void peer_connect(struct ipc_peer *p);
static void call_finish(struct ipc_call *c, const struct ipc_answer *answer);

/* ---- tables of streams ---- */

static struct slot **
table_place(const struct table *t, uint32_t id)
{
	struct slot **at;

	if (t->size == 0)
		return NULL;
	for (at = &t->buckets[(id >> 1) & (t->size - 1)]; *at != NULL; at = &(*at)->next)
		if ((*at)->id == id)
			break;
	return at;
}

static struct slot *
table_find(const struct table *t, uint32_t id)
{
	struct slot **at = table_place(t, id);

	return at == NULL ? NULL : *at;
}

static void
table_insert(struct table *t, struct slot *s)
{
	struct slot **at;

	if (t->count >= t->size) {
		struct table bigger = {.size = t->size == 0 ? 64 : t->size * 2};

		bigger.buckets = xcalloc(bigger.size, sizeof *bigger.buckets);
		for (size_t i = 0; i < t->size; i++)
			while (t->buckets[i] != NULL) {
				struct slot *moved = t->buckets[i];

				t->buckets[i] = moved->next;
				moved->next = NULL;
				table_insert(&bigger, moved);
			}
		free(t->buckets);
		*t = bigger;
	}
	at = &t->buckets[(s->id >> 1) & (t->size - 1)];
	s->next = *at;
	*at = s;
	t->count++;
}

static void
table_remove(struct table *t, struct slot *s)
{
	struct slot **at = table_place(t, s->id);

	if (at == NULL || *at != s)
		panic("ipc: stream %u is not in its table", s->id);
	*at = s->next;
	s->next = NULL;
	t->count--;
}

/* Any one of them, or NULL. */
static struct slot *
table_any(const struct table *t)
{
	for (size_t i = 0; t->count > 0 && i < t->size; i++)
		if (t->buckets[i] != NULL)
			return t->buckets[i];
	return NULL;
}

/* ---- methods by name ---- */

static uint32_t
name_hash(struct bytes name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.size; i++)
		h = (h ^ name.data[i]) * 16777619u;
	return h;
}

static struct dispatch *
dispatch_of(struct ipc *ipc, const struct ipc_service *service)
{
	struct dispatch *d;

	if (service == NULL)
		return NULL;
	for (size_t i = 0; i < ipc->dispatch_count; i++)
		if (ipc->dispatches[i]->service == service)
			return ipc->dispatches[i];
	d = xcalloc(1, sizeof *d);
	d->service = service;
	for (d->size = 16; d->size < service->count * 2; d->size *= 2)
		;
	d->buckets = xcalloc(d->size, sizeof *d->buckets);
	for (size_t i = 0; i < service->count; i++) {
		size_t at = name_hash(bytes_str(service->methods[i].name)) & (d->size - 1);

		while (d->buckets[at] != NULL)
			at = (at + 1) & (d->size - 1);
		d->buckets[at] = &service->methods[i];
	}
	ipc->dispatches = xreallocarray(ipc->dispatches, ipc->dispatch_count + 1, sizeof *ipc->dispatches);
	ipc->dispatches[ipc->dispatch_count++] = d;
	return d;
}

static const struct ipc_method *
dispatch_find(const struct dispatch *d, struct bytes name)
{
	size_t at;

	if (d == NULL)
		return NULL;
	for (at = name_hash(name) & (d->size - 1); d->buckets[at] != NULL; at = (at + 1) & (d->size - 1))
		if (bytes_is(name, d->buckets[at]->name))
			return d->buckets[at];
	return NULL;
}

/* ---- output ---- */

static void
conn_dirty(struct ipc_conn *c)
{
	if (c->is_dirty || c->dead)
		return;
	c->is_dirty = true;
	ring_append(&c->ipc->dirty, &c->dirty);
}

static void
conn_queue_fd(struct ipc_conn *c, int fd)
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
	while (!c->dead && c->sent < c->out.used) {
		ssize_t n = conn_send(c);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n == -1) {
			conn_drop(c);
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

static void
on_flush(struct ev_loop *loop, struct ev_prepare *w, int events)
{
	struct ipc *ipc = w->data;

	(void)loop, (void)events;
	ipc_flush(ipc);
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
	struct ipc *ipc = c->ipc;
	struct ipc_stream *s = (struct ipc_stream *)ipc->free_streams;

	if (s != NULL)
		ipc->free_streams = s->slot.next;
	else
		s = xmalloc(sizeof *s);
	*s = (struct ipc_stream){.slot = {.id = id}, .conn = c, .fd = -1};
	table_insert(&c->streams, &s->slot);
	return s;
}

static void
stream_free(struct ipc_stream *s)
{
	struct ipc *ipc;

	if (s->conn == NULL)
		panic("ipc: a stream ended twice");
	ipc = s->conn->ipc;
	table_remove(&s->conn->streams, &s->slot);
	if (s->fd != -1)
		close(s->fd);
	s->conn = NULL;
	s->slot.next = ipc->free_streams;
	ipc->free_streams = &s->slot;
}

static const uint8_t empty_map[] = {0x80};

/* error, status and body of a REPLY: the head's length is known only when they are written. */
static void
put_reply(struct ipc_conn *c, struct bytes error, unsigned status, struct bytes body, unsigned flags,
    struct ipc_stream **streams, size_t count)
{
	struct buf *out = &c->out;
	size_t start = out->used, length;

	frame_put_head(out, FRAME_REPLY, flags, streams[0]->slot.id, (uint16_t)(count - 1), 0);
	for (size_t i = 1; i < count; i++)
		buf_put_be32(out, streams[i]->slot.id);
	mp_put_bytes(out, error);
	mp_put_uint(out, status);
	if (body.size == 0)
		body = bytes_of(empty_map, sizeof empty_map);
	buf_put_bytes(out, body);
	if (out->overflow) { /* over 256 MiB wait for this peer, or the answer alone is that large */
		log_errorx(
		    "agent", "ipc: answer too large, connection dropped: peer=%s bytes=%zu", c->program, body.size);
		conn_drop(c);
		return;
	}
	length = out->used - start - FRAME_HEAD_BYTES;
	out->data[start] = (uint8_t)(length >> 24);
	out->data[start + 1] = (uint8_t)(length >> 16);
	out->data[start + 2] = (uint8_t)(length >> 8);
	out->data[start + 3] = (uint8_t)length;
	conn_dirty(c);
}

/* Ends count streams of one connection with the same answer. */
static void
reply(struct ipc_stream **streams, size_t count, struct bytes error, unsigned status, struct bytes body, unsigned flags)
{
	struct ipc_conn *c = streams[0]->conn;

	c->busy++; /* an answer too large drops it */
	put_reply(c, error, status, body, flags, streams, count);
	for (size_t i = 0; i < count; i++)
		stream_free(streams[i]);
	c->busy--;
	if (c->dead)
		conn_drop(c);
}

void
ipc_reply(struct ipc_stream *s, struct bytes body)
{
	reply(&s, 1, bytes_of(NULL, 0), 0, body, 0);
}

void
ipc_reply_fd(struct ipc_stream *s, struct bytes body, int fd)
{
	conn_queue_fd(s->conn, fd);
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
	conn_dirty(c);
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
	if (!mp_ok(&in) || (f->stream & 1) == (c->next_id & 1) || table_find(&c->streams, f->stream) != NULL) {
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
	method = dispatch_find(c->dispatch, name);
	if (method == NULL) {
		ipc_fail(
		    s, 0, "rpc: can't find method %.*s", (int)MIN(name.size, (size_t)128), (const char *)name.data);
		return 0;
	}
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
		struct slot *slot = table_find(&c->calls, id);

		if (slot != NULL)
			call_finish((struct ipc_call *)slot, &answer);
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
		slot = table_find(&c->calls, f->stream);
		if (slot != NULL) {
			struct ipc_call *call = (struct ipc_call *)slot;
			struct ipc_answer answer = {.status = IPC_OK, .body = f->payload, .fd = -1, .more = true};

			call->cb(call->ctx, &answer);
		}
		return 0;
	case FRAME_CANCEL:
	case FRAME_WINDOW:
		slot = table_find(&c->streams, f->stream);
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
		conn_drop(c);
}

/* ---- connections ---- */

static bool
peer_is_ours(int fd, uid_t *uid)
{
	struct ucred cred;
	socklen_t size = sizeof cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == -1)
		return false;
	*uid = cred.uid;
	return cred.uid == 0 || cred.uid == geteuid() || cred.gid == getegid();
}

static struct ipc_conn *
conn_new(struct ipc *ipc, int fd, struct ipc_peer *peer, struct dispatch *dispatch, bool dialler)
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
	conn_dirty(c);
	return c;
}

static void
conn_free(struct ipc_conn *c)
{
	ev_io_stop(c->ipc->loop, &c->read);
	ev_io_stop(c->ipc->loop, &c->write);
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

static void
answer_local(struct ipc_call *c, enum ipc_status status, const char *text)
{
	struct ipc_answer answer = {.status = status, .error = bytes_str(text), .fd = -1};

	call_finish(c, &answer);
}

/* The calls that the lost connection carried: back to waiting (IPC_RESEND), or their outcome is unknown. */
static void
peer_lost(struct ipc_peer *p, struct ipc_conn *c)
{
	struct ring lost;

	ring_init(&lost);
	for (struct ring *r = p->calls.next, *next; r != &p->calls; r = next) {
		struct ipc_call *call = RING_ENTRY(r, struct ipc_call, all);

		next = r->next;
		if (call->conn != c)
			continue;
		table_remove(&c->calls, &call->slot);
		call->conn = NULL;
		if ((call->flags & IPC_RESEND) != 0) {
			p->waiting_bytes += call->args_size;
		} else {
			ring_remove(&call->all);
			ring_append(&lost, &call->all);
		}
	}
	p->conn = NULL;
	if (p->down != NULL)
		p->down(p->ctx);
	while (lost.next != &lost)
		answer_local(
		    RING_ENTRY(lost.next, struct ipc_call, all), IPC_LOST, "connection lost: the outcome is unknown");
}

static void
conn_drop(struct ipc_conn *c)
{
	struct ipc_peer *p = c->peer;
	struct slot *slot;

	c->dead = true;
	if (c->busy > 0)
		return;
	c->busy++; /* callbacks below may come back here */
	while ((slot = table_any(&c->streams)) != NULL) {
		struct ipc_stream *s = (struct ipc_stream *)slot;

		if (s->ended != NULL)
			s->ended(s, s->ctx);
		stream_free(s);
	}
	if (p != NULL && p->conn == c) {
		peer_lost(p, c);
		if (p->path != NULL && !ev_is_active(&p->retry)) {
			ev_timer_set(&p->retry, p->backoff, 0.);
			ev_timer_start(p->ipc->loop, &p->retry);
		}
	}
	c->busy--;
	conn_free(c);
}

static void
on_accept(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct ipc_listener *l = w->data;

	(void)events;
	for (unsigned i = 0; i < 64; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		uid_t uid = 0;

		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
				log_warn("agent", "ipc: can not accept a connection, trying again in 100 ms");
				ev_io_stop(loop, w);
				ev_timer_set(&l->retry, 0.1, 0.);
				ev_timer_start(loop, &l->retry);
			}
			return;
		}
		if (!peer_is_ours(fd, &uid)) {
			log_warnx("agent", "ipc: connection of a foreign user refused: uid=%u", (unsigned)uid);
			close(fd);
			continue;
		}
		conn_new(l->ipc, fd, NULL, l->dispatch, false)->uid = uid;
	}
}

static void
on_accept_retry(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct ipc_listener *l = w->data;

	(void)events;
	ev_io_start(loop, &l->accept);
}

struct ipc_listener *
ipc_listen(struct ipc *ipc, int fd, const struct ipc_service *service)
{
	struct ipc_listener *l = xcalloc(1, sizeof *l);

	l->ipc = ipc;
	l->dispatch = dispatch_of(ipc, service);
	ring_append(&ipc->listeners, &l->all);
	ev_io_init(&l->accept, on_accept, fd, EV_READ);
	ev_timer_init(&l->retry, on_accept_retry, 0.1, 0.);
	l->accept.data = l->retry.data = l;
	ev_io_start(ipc->loop, &l->accept);
	return l;
}

void
ipc_listener_close(struct ipc_listener *l)
{
	ev_io_stop(l->ipc->loop, &l->accept);
	ev_timer_stop(l->ipc->loop, &l->retry);
	close(l->accept.fd);
	ring_remove(&l->all);
	free(l);
}

struct ipc *
ipc_new(struct ev_loop *loop, const char *program)
{
	struct ipc *ipc = xcalloc(1, sizeof *ipc);

	ipc->loop = loop;
	snprintf(ipc->program, sizeof ipc->program, "%s", program);
	ring_init(&ipc->conns);
	ring_init(&ipc->dirty);
	ring_init(&ipc->peers);
	ring_init(&ipc->listeners);
	ev_prepare_init(&ipc->flush, on_flush);
	ipc->flush.data = ipc;
	ev_set_priority(&ipc->flush, EV_MINPRI);
	ev_prepare_start(loop, &ipc->flush);
	ev_unref(loop); /* the watcher alone does not keep a loop alive */
	return ipc;
}

struct ev_loop *
ipc_loop(const struct ipc *ipc)
{
	return ipc->loop;
}

static void
free_slots(struct slot *s)
{
	while (s != NULL) {
		struct slot *next = s->next;

		free(s);
		s = next;
	}
}

void
ipc_free(struct ipc *ipc)
{
	while (ipc->peers.next != &ipc->peers)
		ipc_peer_free(RING_ENTRY(ipc->peers.next, struct ipc_peer, all));
	while (ipc->listeners.next != &ipc->listeners)
		ipc_listener_close(RING_ENTRY(ipc->listeners.next, struct ipc_listener, all));
	while (ipc->conns.next != &ipc->conns)
		conn_drop(RING_ENTRY(ipc->conns.next, struct ipc_conn, all));
	ev_ref(ipc->loop);
	ev_prepare_stop(ipc->loop, &ipc->flush);
	free_slots(ipc->free_streams);
	free_slots(ipc->free_calls);
	for (size_t i = 0; i < ipc->dispatch_count; i++) {
		free(ipc->dispatches[i]->buckets);
		free(ipc->dispatches[i]);
	}
	free(ipc->dispatches);
	free(ipc);
}

/* ---- calling ---- */

static void
call_free(struct ipc_call *c)
{
	struct ipc *ipc = c->peer->ipc;

	ev_timer_stop(ipc->loop, &c->deadline);
	ring_remove(&c->all);
	c->peer->call_count--;
	if (c->conn != NULL)
		table_remove(&c->conn->calls, &c->slot);
	else
		c->peer->waiting_bytes -= c->args == NULL ? 0 : c->args_size;
	if (c->args != NULL && c->args != c->args_inline)
		free(c->args);
	if (c->fd > 0)
		close(c->fd);
	c->slot.next = ipc->free_calls;
	ipc->free_calls = &c->slot;
}

/* The record goes back first: the callback may start the next call. */
static void
call_finish(struct ipc_call *c, const struct ipc_answer *answer)
{
	ipc_answer_cb *cb = c->cb;
	void *ctx = c->ctx;

	call_free(c);
	cb(ctx, answer);
}

static void
call_send(struct ipc_call *c, struct ipc_conn *conn, struct bytes args)
{
	struct buf *out = &conn->out;
	size_t start = out->used, length;

	c->conn = conn;
	do { /* a number that is not in use; they wrap after 2^31 calls */
		c->slot.id = conn->next_id;
		conn->next_id += 2;
	} while (c->slot.id < 2 - (conn->next_id & 1) || table_find(&conn->calls, c->slot.id) != NULL);
	table_insert(&conn->calls, &c->slot);
	if (c->fd > 0)
		conn_queue_fd(conn, c->fd);
	frame_put_head(out, FRAME_REQUEST, c->fd > 0 ? FRAME_FD : 0, c->slot.id, 0, 0);
	c->fd = -1; /* closed once sent */
	mp_put_cstr(out, c->method);
	buf_put_bytes(out, args);
	length = out->used - start - FRAME_HEAD_BYTES;
	if (!out->overflow) {
		out->data[start] = (uint8_t)(length >> 24);
		out->data[start + 1] = (uint8_t)(length >> 16);
		out->data[start + 2] = (uint8_t)(length >> 8);
		out->data[start + 3] = (uint8_t)length;
	}
	if (c->credit > 0) {
		frame_put_head(out, FRAME_WINDOW, 0, c->slot.id, 0, 4);
		buf_put_be32(out, c->credit);
	}
	if (out->overflow)
		panic("ipc: the bound on waiting requests does not hold");
	conn_dirty(conn);
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct ipc_call *c = w->data;

	(void)loop, (void)events;
	if (c->refused) {
		struct ipc_answer answer = {
		    .status = IPC_ERROR, .code = 503, .error = bytes_str("too many requests"), .fd = -1};

		call_finish(c, &answer);
	} else if (c->conn == NULL) {
		answer_local(c, IPC_NOT_SENT, "the daemon that serves this did not answer in time: not reached");
	} else {
		struct ipc_conn *conn = c->conn;

		frame_put_head(&conn->out, FRAME_CANCEL, 0, c->slot.id, 0, 0);
		conn_dirty(conn);
		answer_local(
		    c, IPC_EXPIRED, "the daemon that serves this did not answer in time: the outcome is unknown");
	}
}

struct ipc_call *
ipc_call(struct ipc_peer *p, const char *method, struct bytes args, const struct ipc_call_options *options,
    ipc_answer_cb *cb, void *ctx)
{
	static const struct ipc_call_options none;
	struct ipc *ipc = p->ipc;
	struct ipc_call *c = (struct ipc_call *)ipc->free_calls;
	struct ipc_conn *conn = p->conn != NULL && !p->conn->dead ? p->conn : NULL;

	if (options == NULL)
		options = &none;
	if (args.size == 0)
		args = bytes_of(empty_map, sizeof empty_map);
	if (c != NULL)
		ipc->free_calls = c->slot.next;
	else
		c = xmalloc(sizeof *c);
	memset(c, 0, offsetof(struct ipc_call, args_inline));
	c->peer = p;
	c->method = method;
	c->cb = cb;
	c->ctx = ctx;
	c->flags = options->flags;
	c->credit = options->credit;
	c->fd = options->fd;
	ring_append(&p->calls, &c->all);
	p->call_count++;
	ev_timer_init(&c->deadline, on_deadline, (double)options->timeout_ms / 1000, 0.);
	c->deadline.data = c;
	if (p->call_count > IPC_STREAMS_MAX || args.size > FRAME_REQUEST_BYTES_MAX - 256 ||
	    p->waiting_bytes + (conn == NULL ? 0 : conn->out.used - conn->sent) > PEER_BYTES_MAX) {
		c->refused = true;
		ev_timer_set(&c->deadline, 0., 0.);
		ev_timer_start(ipc->loop, &c->deadline);
		return c;
	}
	if (conn == NULL || (c->flags & IPC_RESEND) != 0) {
		c->args_size = args.size;
		c->args = args.size <= CALL_ARGS_INLINE ? c->args_inline : xmalloc(args.size);
		memcpy(c->args, args.data, args.size);
	}
	if (conn == NULL)
		p->waiting_bytes += c->args_size;
	else
		call_send(c, conn, args);
	if (options->timeout_ms > 0)
		ev_timer_start(ipc->loop, &c->deadline);
	return c;
}

void
ipc_cancel(struct ipc_call *c)
{
	struct ipc_conn *conn = c->conn;

	if (conn != NULL && !conn->dead) {
		frame_put_head(&conn->out, FRAME_CANCEL, 0, c->slot.id, 0, 0);
		conn_dirty(conn);
	}
	call_free(c);
}

void
ipc_grant(struct ipc_call *c, uint32_t bytes)
{
	struct ipc_conn *conn = c->conn;

	if (conn == NULL || conn->dead) {
		c->credit += bytes;
		return;
	}
	frame_put_head(&conn->out, FRAME_WINDOW, 0, c->slot.id, 0, 4);
	buf_put_be32(&conn->out, bytes);
	conn_dirty(conn);
}

/* ---- neighbours ---- */

static void
peer_established(struct ipc_peer *p, int fd, bool dialler)
{
	struct ipc_conn *conn = conn_new(p->ipc, fd, p, p->dispatch, dialler);

	p->conn = conn;
	p->backoff = BACKOFF_MIN_S;
	for (struct ring *r = p->calls.next; r != &p->calls; r = r->next) {
		struct ipc_call *c = RING_ENTRY(r, struct ipc_call, all);

		if (c->conn != NULL || c->refused)
			continue;
		p->waiting_bytes -= c->args_size;
		call_send(c, conn, bytes_of(c->args, c->args_size));
		if ((c->flags & IPC_RESEND) == 0) {
			if (c->args != c->args_inline)
				free(c->args);
			c->args = NULL;
		}
	}
	if (p->up != NULL)
		p->up(p->ctx);
}

static void
on_retry(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)events;
	peer_connect(w->data);
}

static void
peer_connect(struct ipc_peer *p)
{
	int fd = net_connect_unix(p->path);
	uid_t uid = 0;

	if (fd != -1 && !peer_is_ours(fd, &uid)) {
		log_warnx("agent", "ipc: the socket belongs to a foreign user, not used: path=%s uid=%u", p->path,
		    (unsigned)uid);
		close(fd);
		fd = -1;
	}
	if (fd == -1) {
		double jitter = p->backoff * (double)random_below(1000) / 2000;

		ev_timer_set(&p->retry, p->backoff + jitter, 0.);
		ev_timer_start(p->ipc->loop, &p->retry);
		p->backoff = MIN(p->backoff * 2, BACKOFF_MAX_S);
		return;
	}
	peer_established(p, fd, true);
}

static struct ipc_peer *
peer_new(struct ipc *ipc, const struct ipc_service *service)
{
	struct ipc_peer *p = xcalloc(1, sizeof *p);

	p->ipc = ipc;
	p->dispatch = dispatch_of(ipc, service);
	p->backoff = BACKOFF_MIN_S;
	ring_init(&p->calls);
	ring_append(&ipc->peers, &p->all);
	ev_timer_init(&p->retry, on_retry, 0., 0.);
	p->retry.data = p;
	return p;
}

struct ipc_peer *
ipc_peer_new(struct ipc *ipc, const char *path, const struct ipc_service *service)
{
	struct ipc_peer *p = peer_new(ipc, service);

	p->path = xstrdup(path);
	peer_connect(p);
	return p;
}

struct ipc_peer *
ipc_peer_from_fd(struct ipc *ipc, int fd, bool dialler, const struct ipc_service *service)
{
	struct ipc_peer *p = peer_new(ipc, service);

	if (net_set_nonblock(fd, true) == -1 || net_set_cloexec(fd, true) == -1)
		panic("ipc: not a descriptor: %d", fd);
	peer_established(p, fd, dialler);
	return p;
}

bool
ipc_peer_connected(const struct ipc_peer *p)
{
	return p->conn != NULL && !p->conn->dead;
}

void
ipc_peer_watch(struct ipc_peer *p, void (*up)(void *ctx), void (*down)(void *ctx), void *ctx)
{
	p->up = up;
	p->down = down;
	p->ctx = ctx;
}

void
ipc_peer_free(struct ipc_peer *p)
{
	struct ipc_conn *conn = p->conn;

	ev_timer_stop(p->ipc->loop, &p->retry);
	while (p->calls.next != &p->calls)
		call_free(RING_ENTRY(p->calls.next, struct ipc_call, all));
	p->conn = NULL;
	if (conn != NULL) {
		conn->peer = NULL;
		conn_drop(conn);
	}
	ring_remove(&p->all);
	free(p->path);
	free(p);
}

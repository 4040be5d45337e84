/*
 * ipc.c - requests between the suite's processes: the process, listeners, calls and neighbours (contract: ipc.h; connections: ipc_conn.c)
 */
#include "ipc_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "uuid.h"

#define PEER_BYTES_MAX (64u * 1024 * 1024) /* requests of one neighbour that are not sent */
#define BACKOFF_MIN_S 0.001
#define BACKOFF_MAX_S 0.25

static void peer_connect(struct ipc_peer *p);

/* ---- the process and its listeners ---- */

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
		ipc_conn_new(l->ipc, fd, NULL, l->dispatch, false)->uid = uid;
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
	l->dispatch = ipc_dispatch_of(ipc, service);
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

static void
on_flush(struct ev_loop *loop, struct ev_prepare *w, int events)
{
	struct ipc *ipc = w->data;

	(void)loop, (void)events;
	ipc_flush(ipc);
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

void
ipc_free(struct ipc *ipc)
{
	while (ipc->peers.next != &ipc->peers)
		ipc_peer_free(RING_ENTRY(ipc->peers.next, struct ipc_peer, all));
	while (ipc->listeners.next != &ipc->listeners)
		ipc_listener_close(RING_ENTRY(ipc->listeners.next, struct ipc_listener, all));
	while (ipc->conns.next != &ipc->conns)
		ipc_conn_drop(RING_ENTRY(ipc->conns.next, struct ipc_conn, all));
	ev_ref(ipc->loop);
	ev_prepare_stop(ipc->loop, &ipc->flush);
	spare_free(&ipc->streams);
	spare_free(&ipc->calls);
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
		ipc_table_remove(&c->conn->calls, &c->slot);
	else
		c->peer->waiting_bytes -= c->args == NULL ? 0 : c->args_size;
	if (c->args != NULL && c->args != c->args_inline)
		free(c->args);
	if (c->fd > 0)
		close(c->fd);
	spare_give(&ipc->calls, c);
}

/* The record goes back first: the callback may start the next call. */
void
ipc_call_finish(struct ipc_call *c, const struct ipc_answer *answer)
{
	ipc_answer_cb *cb = c->cb;
	void *ctx = c->ctx;

	call_free(c);
	cb(ctx, answer);
}

static void
answer_local(struct ipc_call *c, enum ipc_status status, const char *text)
{
	struct ipc_answer answer = {.status = status, .error = bytes_str(text), .fd = -1};

	ipc_call_finish(c, &answer);
}

static void
call_send(struct ipc_call *c, struct ipc_conn *conn, struct bytes args)
{
	struct buf *out = &conn->out;
	size_t start = out->used;

	c->conn = conn;
	do { /* a number that is not in use; they wrap after 2^31 calls */
		c->slot.id = conn->next_id;
		conn->next_id += 2;
	} while (c->slot.id < 2 - (conn->next_id & 1) || ipc_table_find(&conn->calls, c->slot.id) != NULL);
	ipc_table_insert(&conn->calls, &c->slot);
	if (c->fd > 0)
		ipc_conn_queue_fd(conn, c->fd);
	frame_put_head(out, FRAME_REQUEST, c->fd > 0 ? FRAME_FD : 0, c->slot.id, 0, 0);
	c->fd = -1; /* closed once sent */
	mp_put_cstr(out, c->method);
	buf_put_bytes(out, args);
	frame_set_length(out, start);
	if (c->credit > 0) {
		frame_put_head(out, FRAME_WINDOW, 0, c->slot.id, 0, 4);
		buf_put_be32(out, c->credit);
	}
	if (out->overflow)
		panic("ipc: the bound on waiting requests does not hold");
	ipc_conn_dirty(conn);
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct ipc_call *c = w->data;

	(void)loop, (void)events;
	if (c->refused) {
		struct ipc_answer answer = {
		    .status = IPC_ERROR, .code = 503, .error = bytes_str("too many requests"), .fd = -1};

		ipc_call_finish(c, &answer);
	} else if (c->conn == NULL) {
		answer_local(c, IPC_NOT_SENT, "the daemon that serves this did not answer in time: not reached");
	} else {
		struct ipc_conn *conn = c->conn;

		frame_put_head(&conn->out, FRAME_CANCEL, 0, c->slot.id, 0, 0);
		ipc_conn_dirty(conn);
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
	struct ipc_call *c = spare_take(&ipc->calls, sizeof *c);
	struct ipc_conn *conn = p->conn != NULL && !p->conn->dead ? p->conn : NULL;

	if (options == NULL)
		options = &none;
	if (args.size == 0)
		args = bytes_of(ipc_empty_map, sizeof ipc_empty_map);
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
		ipc_conn_dirty(conn);
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
	ipc_conn_dirty(conn);
}

/* ---- neighbours ---- */

/* The calls that the lost connection carried: back to waiting (IPC_RESEND), or their outcome is unknown. */
void
ipc_peer_lost(struct ipc_peer *p, struct ipc_conn *c)
{
	struct ring lost;

	ring_init(&lost);
	for (struct ring *r = p->calls.next, *next; r != &p->calls; r = next) {
		struct ipc_call *call = RING_ENTRY(r, struct ipc_call, all);

		next = r->next;
		if (call->conn != c)
			continue;
		ipc_table_remove(&c->calls, &call->slot);
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
	if (p->path != NULL && !ev_is_active(&p->retry)) {
		ev_timer_set(&p->retry, p->backoff, 0.);
		ev_timer_start(p->ipc->loop, &p->retry);
	}
}

static void
peer_established(struct ipc_peer *p, int fd, bool dialler)
{
	struct ipc_conn *conn = ipc_conn_new(p->ipc, fd, p, p->dispatch, dialler);

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
	p->dispatch = ipc_dispatch_of(ipc, service);
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
		ipc_conn_drop(conn);
	}
	ring_remove(&p->all);
	free(p->path);
	free(p);
}

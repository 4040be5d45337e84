/*
 * ipc_private.h - what the sources of ipc.h share: ipc.c (process, listeners, calls, neighbours), ipc_conn.c (connections, serving), ipc_table.c
 */
#ifndef COMMON_IPC_PRIVATE_H
#define COMMON_IPC_PRIVATE_H

#include "ipc.h"
#include "ipc_table.h"
#include "ring.h"
#include "spare.h"

#define FDS_MAX 64
#define CALL_ARGS_INLINE 160

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
	struct spare streams, calls; /* for the next */
	uint64_t frames;             /* replies received, all connections */
	struct dispatch **dispatches;
	size_t dispatch_count;
	struct ipc_conn *local; /* of requests that came another way (ipc_serve); NULL: none yet */
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
	const char *method;
	ipc_answer_cb *answered; /* of ipc_serve */
	void *answered_ctx;
	unsigned flags;
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

/* ---- ipc_table.c ---- */

/* The same for the same service; lives as long as ipc. NULL for NULL. */
struct dispatch *ipc_dispatch_of(struct ipc *ipc, const struct ipc_service *service);
const struct ipc_method *ipc_dispatch_find(const struct dispatch *d, struct bytes name);

/* ---- ipc_conn.c ---- */

extern const uint8_t ipc_empty_map[1];

/* fd is owned from now on; HELLO is gathered. */
struct ipc_conn *ipc_conn_new(struct ipc *ipc, int fd, struct ipc_peer *peer, struct dispatch *dispatch, bool dialler);
/* Ends it now, or marks it dead while its frames are handled. Streams end, calls go back to the peer. */
void ipc_conn_drop(struct ipc_conn *c);
/* Output was gathered: to be written at the end of the turn. */
void ipc_conn_dirty(struct ipc_conn *c);
/* fd goes with the frame that is gathered next. */
void ipc_conn_queue_fd(struct ipc_conn *c, int fd);

/* ---- ipc.c ---- */

/* Ends c by its callback. */
void ipc_call_finish(struct ipc_call *c, const struct ipc_answer *answer);
/* c, the connection of p, is gone: what it carried waits again or is answered as lost, and p dials again. */
void ipc_peer_lost(struct ipc_peer *p, struct ipc_conn *c);

#endif

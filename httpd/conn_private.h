/*
 * conn_private.h - connections from the inside (conn.c: life and output; conn_in.c: what comes in)
 *
 * Callbacks may end the connection they came by: while a connection is worked on (busy > 0), ending it only marks it dead.
 */
#ifndef HTTPD_CONN_PRIVATE_H
#define HTTPD_CONN_PRIVATE_H

#include "client.h"
#include "conn.h"
#include "listener.h"
#include "log.h"
#include "spare.h"

#define CONN_READ_BYTES (64u * 1024)
#define CONN_LISTENERS_MAX 64

enum conn_state { READING, ANSWERING, STREAMING, LINGERING };

/* A message that has not come as a whole: its head is known, its body is not there. */
struct conn_message {
	http_parser parser; /* chunked: where the body stands */
	struct buf body;    /* chunked: what it decoded to */
	size_t body_max;
	size_t head_size;
};

struct conn {
	struct ev_io io;
	struct conns *all;
	struct conn *prev, *next;           /* of all connections */
	struct conn *slow_prev, *slow_next; /* of those with a deadline */
	struct client *client;              /* NULL: a local socket, or refused */
	struct exchange x;
	struct buf in;
	struct conn_message *message;
	size_t scanned;
	struct buf out;
	size_t sent; /* of out, or of out and then blob */
	struct blob *blob;
	double deadline;
	size_t lingered;
	uint16_t port;
	uint8_t family;
	uint8_t state;
	uint8_t busy;
	bool dead, has_deadline, eof, close_after, refused, throttled;
};

struct conns {
	struct ev_loop *loop;
	const struct conn_handler *handler;
	size_t head_bytes_max, in_bytes_max;
	unsigned per_client_max;
	struct conn *first;
	struct conn *slow; /* those with a deadline */
	struct ev_timer tick;
	struct listener *listeners[CONN_LISTENERS_MAX];
	size_t listener_count;
	struct clients *clients;
	struct spare spare_conns;
	struct spare spare_messages;
	size_t count, refused;
	bool stopping;
	struct log_limit refused_log;
	uint8_t input[CONN_READ_BYTES];
};

/* Ends in so many seconds what is under way now, unless the deadline is set again or cleared. */
void conn_deadline_set(struct conn *c, double seconds);
void conn_deadline_clear(struct conn *c);
struct conn_message *conn_message_new(struct conns *cs);
/* c->message may be NULL. */
void conn_message_drop(struct conn *c);
/* Frees c now; conn_close does so once nobody works on it. */
void conn_free(struct conn *c);
void conn_close(struct conn *c);
/* Waits for what c now needs. */
void conn_arm(struct conn *c);
/* All answers are out and the connection ends: after an early one the client may still be sending, and a reset would eat it. */
void conn_finish(struct conn *c);
/* Bytes that the socket has not taken yet. */
size_t conn_unsent(const struct conn *c);
/* Writes head and body (or blob) now as far as it goes, keeps the rest. -1: the connection is gone. */
MUST_USE int conn_put(struct conn *c, struct bytes head, struct bytes body, struct blob *blob);
/* After bytes were put out or taken by the socket: goes on with the connection. */
void conn_advance(struct conn *c);
/* Answers e by itself; what follows on the connection can not be understood. */
void conn_refuse(struct conn *c, const struct http1_error *e);

/* conn_in.c: handles the messages in fresh (or, if that is empty, in c's own buffer, which holds all that came before). */
void conn_work(struct conn *c, struct bytes fresh);
/* The socket has something. */
void conn_read(struct conn *c);

#endif

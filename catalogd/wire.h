/*
 * wire.h - TCP connections between nodes: reading, gathered writing, their deadlines
 *
 * What is appended to a connection's output in one loop turn is written once before the loop sleeps. A connection whose unsent output
 * passes WIRE_OUT_HIGH is not read until the peer has taken it; one whose peer takes nothing for 10 s ends.
 */
#ifndef CATALOGD_WIRE_H
#define CATALOGD_WIRE_H

#include <ev.h>
#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"

#define WIRE_OUT_HIGH (8u * 1024 * 1024)
#define WIRE_OUT_LOW (1u * 1024 * 1024)
#define WIRE_OUT_MAX (512u * 1024 * 1024)

struct wires; /* all of this process */
struct wire;

struct wire_ops {
	/* in: what came, all of it to be taken; valid during the call. -1: the connection is to end; what is in the output is tried once more. */
	int (*input)(void *ctx, struct bytes in);
	/* It has ended (not by wire_free): w is freed after the call, not by others. why: static storage or errno's text. */
	void (*ended)(void *ctx, const char *why);
};

MUST_USE struct wires *wires_new(struct ev_loop *loop);
void wires_free(struct wires *all);
/* fd: a connected or connecting socket, the wire's from now on. Input is told from the loop. */
MUST_USE struct wire *wire_new(struct wires *all, int fd, const struct wire_ops *ops, void *ctx);
/* Ends it, without ops->ended. Not from within ops->input of the same wire: return -1 there. */
void wire_free(struct wire *w);
/* Where to append output; then wire_output. */
struct buf *wire_out(struct wire *w);
void wire_output(struct wire *w);
/* Bytes of output that the socket has taken, and those appended, since the beginning. */
uint64_t wire_written(const struct wire *w);
uint64_t wire_appended(const struct wire *w);
/* Reads nothing more, and ends (ops->ended with "") when all output has been taken. */
void wire_finish(struct wire *w);
/* No input until told otherwise. */
void wire_pause(struct wire *w, bool pause);

#endif

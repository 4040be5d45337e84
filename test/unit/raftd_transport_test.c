/*
 * raftd_transport_test.c - connections between servers: who is let in, what arrives, what a stranger, a bad frame or a full queue costs
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crc32c.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "transport.h"

#define TEXT_MAX 64
#define LOG_MAX (256u * 1024)

static struct ev_loop *loop;

static const struct raft_id id_a = {1, 0xa}, id_b = {2, 0xb}, id_c = {3, 0xc}, cluster_1 = {9, 1}, cluster_2 = {9, 2};

/* One server: its transport, its port, and what came. */
struct server {
	struct transport *transport;
	int listener;
	struct ev_io accept;
	char address[NET_ADDR_TEXT_MAX];
	struct raft_id from;
	char last[TEXT_MAX];
	unsigned messages, learned;
	size_t bytes;
	char learned_address[MEMBER_ADDRESS_MAX];
};

static void
on_message(void *ctx, struct raft_id from, struct bytes bytes)
{
	struct server *s = ctx;

	s->from = from;
	s->messages++;
	s->bytes += bytes.size;
	if (bytes_to_str(bytes, s->last, sizeof s->last) == -1)
		s->last[0] = '\0';
}

static void
on_learned(void *ctx, struct raft_id from, const char *address)
{
	struct server *s = ctx;

	s->from = from;
	s->learned++;
	snprintf(s->learned_address, sizeof s->learned_address, "%s", address);
}

static const struct transport_ops ops = {.message = on_message, .learned = on_learned};

/* What the port's owner does: reads the first byte, hands over the rest. */
struct first_byte {
	struct ev_io io;
	struct server *server;
};

static void
on_first_byte(struct ev_loop *l, struct ev_io *w, int events)
{
	struct first_byte *f = (struct first_byte *)w;
	uint8_t first = 0;
	int fd = w->fd;

	(void)events;
	ev_io_stop(l, w);
	if (recv(fd, &first, 1, 0) == 1) {
		assert_int_equal(first, TRANSPORT_FIRST_BYTE);
		transport_accept(f->server->transport, fd, "test");
	} else
		close(fd);
	free(f);
}

static void
on_accept(struct ev_loop *l, struct ev_io *w, int events)
{
	struct first_byte *f = xcalloc(1, sizeof *f);
	int fd = accept(w->fd, NULL, NULL);

	(void)events;
	assert_int_not_equal(fd, -1);
	f->server = w->data;
	ev_io_init(&f->io, on_first_byte, fd, EV_READ);
	ev_io_start(l, &f->io);
}

static void
server_start(struct server *s, struct raft_id id, struct raft_id cluster)
{
	union net_addr a;
	socklen_t size = sizeof a;

	*s = (struct server){0};
	assert_int_equal(net_addr_parse("127.33.0.1", 0, &a), 0);
	s->listener = net_listen_tcp(&a, 16, 0);
	assert_int_not_equal(s->listener, -1);
	assert_int_equal(getsockname(s->listener, &a.sa, &size), 0);
	net_addr_text_port(&a, s->address);
	s->transport = transport_new(loop, id, s->address, &ops, s);
	transport_cluster_set(s->transport, cluster);
	ev_io_init(&s->accept, on_accept, s->listener, EV_READ);
	s->accept.data = s;
	ev_io_start(loop, &s->accept);
}

static void
server_stop(struct server *s)
{
	ev_io_stop(loop, &s->accept);
	close(s->listener);
	transport_free(s->transport);
}

static void
knows(struct server *s, struct raft_id id, const char *address)
{
	struct transport_peer peer = {.id = id};

	snprintf(peer.address, sizeof peer.address, "%s", address);
	transport_peers_set(s->transport, &peer, 1);
}

static bool
say(struct server *s, struct raft_id to, const char *text)
{
	struct buf *out = transport_begin(s->transport, to);

	if (out == NULL)
		return false;
	buf_put_str(out, text);
	transport_end(s->transport, true);
	transport_flush(s->transport);
	return true;
}

static void
on_guard(struct ev_loop *l, struct ev_timer *w, int events)
{
	(void)l, (void)w, (void)events;
	fail_msg("nothing more happens");
}

/* Turns the loop until the condition holds; a minute without it is a failure. */
#define UNTIL(condition)                                                                                               \
	do {                                                                                                           \
		struct ev_timer guard;                                                                                 \
		ev_timer_init(&guard, on_guard, 60., 0.);                                                              \
		ev_timer_start(loop, &guard);                                                                          \
		while (!(condition))                                                                                   \
			ev_run(loop, EVRUN_ONCE);                                                                      \
		ev_timer_stop(loop, &guard);                                                                           \
	} while (0)

static void
test_messages(void **state)
{
	struct server a, b;

	(void)state;
	server_start(&a, id_a, cluster_1);
	server_start(&b, id_b, cluster_1);
	knows(&a, id_b, b.address);
	knows(&b, id_a, a.address);
	assert_false(transport_connected(a.transport, id_b));
	assert_true(say(&a, id_b, "one")); /* gathers while the connection is made */
	assert_true(say(&a, id_b, "two"));
	UNTIL(b.messages == 2);
	assert_true(transport_connected(a.transport, id_b));
	assert_string_equal(b.last, "two");
	assert_true(raft_id_equal(b.from, id_a));
	assert_string_equal(b.learned_address, a.address);
	/* a message taken back leaves nothing */
	buf_put_str(transport_begin(a.transport, id_b), "half");
	transport_end(a.transport, false);
	assert_true(say(&a, id_b, "three"));
	assert_true(say(&b, id_a, "answer"));
	UNTIL(b.messages == 3 && a.messages == 1);
	assert_string_equal(b.last, "three");
	assert_string_equal(a.last, "answer");
	assert_int_equal(transport_lost(a.transport), 0);
	/* nobody knows this one */
	assert_false(say(&a, id_c, "who"));
	assert_int_equal(transport_lost(a.transport), 1);
	server_stop(&a);
	server_stop(&b);
}

/* More than any socket buffer takes at once; it comes whole and in order. */
static void
test_large(void **state)
{
	struct server a, b;
	char *text = xmalloc(4 * 1024 * 1024 + 1);
	struct buf *out;

	(void)state;
	memset(text, 'x', 4 * 1024 * 1024);
	text[4 * 1024 * 1024] = '\0';
	server_start(&a, id_a, cluster_1);
	server_start(&b, id_b, cluster_1);
	knows(&a, id_b, b.address);
	assert_true(say(&a, id_b, "hello"));
	UNTIL(b.messages == 1);
	for (int i = 0; i < 4; i++)
		assert_true(say(&a, id_b, text));
	assert_true(say(&a, id_b, "end"));
	UNTIL(b.messages == 6);
	assert_string_equal(b.last, "end");
	assert_int_equal(b.bytes, 5 + 4 * 4 * 1024 * 1024 + 3);
	/* beyond the bound of one message, and of the queue: lost, and what follows is not */
	out = transport_begin(a.transport, id_b);
	for (int i = 0; i < 3; i++)
		buf_put_str(out, text);
	transport_end(a.transport, true);
	assert_int_equal(transport_lost(a.transport), 1);
	for (int i = 0; i < 7; i++) {
		out = transport_begin(a.transport, id_b);
		buf_put_str(out, text);
		transport_end(a.transport, true);
	}
	assert_true(transport_lost(a.transport) >= 2);
	assert_true(say(&a, id_b, "after"));
	UNTIL(strcmp(b.last, "after") == 0);
	server_stop(&a);
	server_stop(&b);
	free(text);
}

/* Appends the lines that were logged meanwhile. */
static const char *
logged(int from, char lines[LOG_MAX])
{
	size_t used = strlen(lines);
	ssize_t n = read(from, lines + used, LOG_MAX - 1 - used);

	lines[used + (size_t)MAX(n, 0)] = '\0';
	return lines;
}

/* a dials b and is refused: a's log has the reason. */
static void
expect_refusal(struct server *a, struct server *b, struct raft_id to, const char *why)
{
	int ends[2], saved = dup(STDERR_FILENO);
	char lines[LOG_MAX] = "";

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(net_set_nonblock(ends[0], true), 0);
	dup2(ends[1], STDERR_FILENO);
	knows(a, to, b->address);
	assert_true(say(a, to, "let me in"));
	UNTIL(strstr(logged(ends[0], lines), "refused: ") != NULL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
	if (strstr(lines, why) == NULL)
		fail_msg("not \"%s\" but: %s", why, lines);
	assert_int_equal(b->messages, 0);
	assert_int_equal(b->learned, 0);
	assert_false(transport_connected(a->transport, to));
	knows(a, to, "");
}

static void
test_who_is_let_in(void **state)
{
	const struct raft_id nobody = {0};
	struct server a, b;

	(void)state;
	server_start(&a, id_a, cluster_1);
	server_start(&b, id_b, cluster_2);
	expect_refusal(&a, &b, id_b,
	    "belongs to cluster 00000000-0000-0009-0000-000000000002, not "
	    "00000000-0000-0009-0000-000000000001");
	transport_cluster_set(b.transport, cluster_1);
	expect_refusal(&a, &b, id_c,
	    "this is server 00000000-0000-0002-0000-00000000000b, not "
	    "00000000-0000-0003-0000-00000000000c");
	/* of no cluster: only who is expected */
	transport_cluster_set(a.transport, nobody);
	expect_refusal(&a, &b, id_b, "server 00000000-0000-0001-0000-00000000000a is not a member of this cluster");
	knows(&b, id_a, "");
	knows(&a, id_b, b.address);
	assert_true(say(&a, id_b, "in"));
	UNTIL(b.messages == 1);
	server_stop(&a);
	/* two servers with one ID */
	server_start(&a, id_b, cluster_1);
	b.messages = b.learned = 0;
	expect_refusal(&a, &b, id_b, "has this server's node ID");
	server_stop(&a);
	server_stop(&b);
}

/* A peer that went and came back on another port; the same ID. */
static void
test_again_elsewhere(void **state)
{
	struct server a, b;
	char former[NET_ADDR_TEXT_MAX];

	(void)state;
	server_start(&a, id_a, cluster_1);
	server_start(&b, id_b, cluster_1);
	knows(&a, id_b, b.address);
	assert_true(say(&a, id_b, "one"));
	UNTIL(b.messages == 1);
	snprintf(former, sizeof former, "%s", b.address);
	server_stop(&b);
	UNTIL(!transport_connected(a.transport, id_b));
	server_start(&b, id_b, cluster_1);
	knows(&a, id_b, b.address);
	assert_true(say(&a, id_b, "two")); /* a new address is tried at once */
	UNTIL(b.messages == 1);
	assert_string_equal(b.last, "two");
	/* whoever is not among the peers any more is not spoken to */
	transport_peers_set(a.transport, NULL, 0);
	assert_false(say(&a, id_b, "three"));
	server_stop(&a);
	server_stop(&b);
}

/* ---- hostile bytes ---- */

static int
knock(struct server *s)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(net_set_nonblock(ends[0], true), 0);
	transport_accept(s->transport, ends[1], "pair");
	return ends[0];
}

static void
hello(struct buf *out, struct raft_id from, struct raft_id to, const char *address)
{
	buf_clear(out);
	buf_put_u8(out, 1);
	buf_put_be64(out, cluster_1.high);
	buf_put_be64(out, cluster_1.low);
	buf_put_be64(out, from.high);
	buf_put_be64(out, from.low);
	buf_put_be64(out, to.high);
	buf_put_be64(out, to.low);
	buf_put_u8(out, (uint8_t)strlen(address));
	buf_put_str(out, address);
}

static void
send_all(int fd, const struct buf *b)
{
	assert_int_equal(send(fd, b->data, b->used, MSG_NOSIGNAL), b->used);
}

static bool
ended(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void
skip_reply(int fd, size_t size)
{
	uint8_t text[512];
	ssize_t n;

	UNTIL((n = recv(fd, text, size, MSG_PEEK)) == (ssize_t)size);
	assert_int_equal(recv(fd, text, size, 0), size);
}

/* One connection with a good hello and these bytes behind; a frame with another length or checksum ends it. */
static void
expect_end(struct server *s, uint32_t size, uint32_t crc, const char *text)
{
	struct buf out = BUF_INIT(4096);
	int fd = knock(s);
	unsigned before = s->messages;

	hello(&out, id_a, id_b, "127.0.0.1:1");
	buf_put_be32(&out, size);
	buf_put_be32(&out, crc);
	buf_put_str(&out, text);
	send_all(fd, &out);
	skip_reply(fd, 2);
	UNTIL(ended(fd));
	assert_int_equal(s->messages, before);
	close(fd);
	buf_free(&out);
}

static void
test_bad_frames(void **state)
{
	struct buf out = BUF_INIT(4096);
	struct server b;
	int fd, newer;

	(void)state;
	server_start(&b, id_b, cluster_1);
	expect_end(&b, TRANSPORT_MESSAGE_BYTES_MAX + 1, 0, "");
	expect_end(&b, UINT32_MAX, 0, "");
	expect_end(&b, 4, crc32c(0, "evil", 4), "good");
	/* byte by byte is as good as at once */
	fd = knock(&b);
	hello(&out, id_a, id_b, "127.0.0.1:1");
	buf_put_be32(&out, 4);
	buf_put_be32(&out, crc32c(0, "good", 4));
	buf_put_str(&out, "good");
	for (size_t i = 0; i < out.used; i++) {
		assert_int_equal(send(fd, out.data + i, 1, MSG_NOSIGNAL), 1);
		ev_run(loop, EVRUN_NOWAIT);
	}
	UNTIL(b.messages == 1);
	assert_string_equal(b.last, "good");
	/* a newer connection of the same server replaces it */
	newer = knock(&b);
	send_all(newer, &out);
	UNTIL(b.messages == 2);
	skip_reply(fd, 2);
	UNTIL(ended(fd));
	close(fd);
	close(newer);
	/* a foreign protocol */
	fd = knock(&b);
	assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
	UNTIL(recv(fd, out.data, 1, MSG_PEEK) == 1);
	assert_true(recv(fd, out.data, 512, 0) > 20);
	assert_true(memmem(out.data, 100, "version 71 of the protocol", 26) != NULL);
	close(fd);
	/* no NUL and no overlong address */
	fd = knock(&b);
	hello(&out, id_a, id_b, "0123456789");
	out.data[55] = '\0';
	send_all(fd, &out);
	UNTIL(recv(fd, out.data, 512, 0) > 2);
	UNTIL(ended(fd));
	close(fd);
	server_stop(&b);
	buf_free(&out);
}

/* Who does not speak is sent away for those who come. */
static void
test_silent_strangers(void **state)
{
	int fds[TRANSPORT_STRANGERS_MAX + 1];
	struct buf out = BUF_INIT(4096);
	struct server b;
	uint8_t reply[512];

	(void)state;
	server_start(&b, id_b, cluster_1);
	for (size_t i = 0; i < COUNTOF(fds); i++)
		fds[i] = knock(&b);
	assert_true(recv(fds[0], reply, sizeof reply, 0) > 2);
	assert_true(ended(fds[0]));
	assert_int_equal(recv(fds[1], reply, 1, 0), -1);
	hello(&out, id_a, id_b, "127.0.0.1:1");
	send_all(fds[COUNTOF(fds) - 1], &out);
	UNTIL(b.learned == 1);
	/* the others in time */
	UNTIL(recv(fds[1], reply, sizeof reply, 0) > 2);
	UNTIL(ended(fds[COUNTOF(fds) - 2]) || recv(fds[COUNTOF(fds) - 2], reply, sizeof reply, 0) > 2);
	assert_int_equal(recv(fds[COUNTOF(fds) - 1], reply, sizeof reply, 0), 2);
	assert_int_equal(recv(fds[COUNTOF(fds) - 1], reply, sizeof reply, 0), -1);
	for (size_t i = 0; i < COUNTOF(fds); i++)
		close(fds[i]);
	server_stop(&b);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_messages),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_who_is_let_in),
	    cmocka_unit_test(test_again_elsewhere),
	    cmocka_unit_test(test_bad_frames),
	    cmocka_unit_test(test_silent_strangers),
	};
	int failed;

	log_init("raftd", LOG_WARN_LEVEL);
	loop = ev_loop_new(EVFLAG_AUTO);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	ev_loop_destroy(loop);
	return failed;
}

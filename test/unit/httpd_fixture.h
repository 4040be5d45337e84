/*
 * httpd_fixture.h - for tests of whole requests: connections, routing and the API behind real sockets, the clients, and a place for the
 * neighbour that a test plays
 *
 * All ends live in the test's process, on one loop each turn of which is run by hand until a condition holds.
 */
#ifndef HTTPD_FIXTURE_H
#define HTTPD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "request.h"

static struct ev_loop *loop;
static struct ipc *front_ipc, *catalog_ipc;
static struct ipc_peer *catalog;
static struct conns *conns;
static struct conf *conf;
static char directory[64];
static struct buf answer; /* what the client has received */
static int server_end;    /* of the connection made last */

/* ---- what common/daemon.c has in a daemon ---- */

const struct conf *
daemon_conf(const struct daemon *d)
{
	(void)d;
	return conf;
}

struct ev_loop *
daemon_loop(const struct daemon *d)
{
	(void)d;
	return loop;
}

struct ipc_peer *
daemon_peer(struct daemon *d, const char *name)
{
	(void)d, (void)name;
	return catalog;
}

/* ---- the front ---- */

static const struct conn_handler HANDLER = {request_body_max, request_known, request_dispatch, request_ended};

static inline void
configure(const char *text)
{
	char path[128], error[CONF_ERROR_MAX];
	FILE *f;

	snprintf(path, sizeof path, "%s/httpd.conf", directory);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	conf_free(conf);
	conf = conf_load(path, error);
	assert_non_null(conf);
	request_configure(NULL);
}

/* played: what the test answers as catalogd. */
static inline void
front_start(const struct ipc_service *played)
{
	char path[128];
	int fd;

	log_init("httpd", LOG_ERROR_LEVEL);
	snprintf(directory, sizeof directory, "/tmp/httpd-test.XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/catalogd.sock", directory);
	loop = ev_loop_new(0);
	catalog_ipc = ipc_new(loop, "catalogd");
	fd = net_listen_unix(path, 0600);
	assert_int_not_equal(fd, -1);
	assert_non_null(ipc_listen(catalog_ipc, fd, played));
	front_ipc = ipc_new(loop, "httpd");
	catalog = ipc_peer_new(front_ipc, path, NULL);
	configure("datacenter = \"dc1\"; node_name = \"n1\";");
	conns = conns_new(loop, &HANDLER, 64u * 1024);
	buf_init(&answer, 64u << 20);
}

static inline void
front_stop(void)
{
	char path[128];

	conns_free(conns);
	ipc_free(front_ipc);
	ipc_free(catalog_ipc);
	ev_loop_destroy(loop);
	buf_free(&answer);
	conf_free(conf);
	conf = NULL;
	snprintf(path, sizeof path, "%s/httpd.conf", directory);
	unlink(path);
	snprintf(path, sizeof path, "%s/catalogd.sock", directory);
	unlink(path);
	rmdir(directory);
}

/* ---- its clients ---- */

/* A connected pair; one end goes to the front. */
static inline int
dial_from(const char *address)
{
	union net_addr peer;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(net_addr_parse(address, 1234, &peer), 0);
	server_end = fds[1];
	conns_add(conns, fds[1], &peer);
	return fds[0];
}

static inline int
dial(void)
{
	return dial_from("127.0.0.1");
}

/* Reads what is there; false: the front has closed. */
static inline bool
drain(int fd)
{
	for (;;) {
		uint8_t *to = buf_space(&answer, 65536);
		ssize_t n = recv(fd, to, 65536, 0);

		if (n == 0)
			return false;
		if (n == -1)
			return errno == EAGAIN;
		buf_commit(&answer, (size_t)n);
	}
}

static inline size_t
count_of(const char *text)
{
	size_t count = 0;
	const uint8_t *at = answer.data, *end = answer.data + answer.used;

	while (at != NULL && (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
		count++;
		at += strlen(text);
	}
	return count;
}

/* Runs the loop until text has come n times, or the front closes, or it is clear that it will not. */
static inline bool
expect_n(int fd, const char *text, size_t n)
{
	for (size_t turn = 0; turn < 2000 + 20 * n; turn++) {
		bool open = drain(fd);

		/* where many are awaited, there is much to search */
		if ((n < 10 || turn % 1000 == 999) && count_of(text) >= n)
			return true;
		if (!open)
			break;
		ev_run(loop, EVRUN_NOWAIT);
	}
	buf_put_u8(&answer, 0);
	print_message("wanted %zu times: %s\ngot: %s\n", n, text, (const char *)answer.data);
	return false;
}

static inline bool
expect(int fd, const char *text)
{
	return expect_n(fd, text, 1);
}

static inline bool
expect_closed(int fd)
{
	for (int turn = 0; turn < 2000; turn++) {
		if (!drain(fd))
			return true;
		ev_run(loop, EVRUN_NOWAIT);
	}
	return false;
}

static inline void
put(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n == -1) {
			assert_int_equal(errno, EAGAIN);
			ev_run(loop, EVRUN_NOWAIT);
			drain(fd);
			continue;
		}
		data += n;
		size -= (size_t)n;
	}
}

static inline void
put_str(int fd, const char *text)
{
	buf_clear(&answer);
	put(fd, text, strlen(text));
}

static inline void
turns(int n)
{
	while (n-- > 0)
		ev_run(loop, EVRUN_NOWAIT);
}

/* One request on a connection of its own; what is wanted must stand in the answer. */
static inline void
exchange(const char *request, const char *const *wanted)
{
	int fd = dial();

	put_str(fd, request);
	for (; *wanted != NULL; wanted++)
		assert_true(expect(fd, *wanted));
	close(fd);
	turns(3);
}
#define EXCHANGE(request, ...) exchange(request, (const char *const[]){__VA_ARGS__, NULL})

#endif

/*
 * listeners.c - the suite's listening sockets (contract: listeners.h; callers: main.c, child.c)
 */
#include "listeners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "duration.h"
#include "mem.h"
#include "net.h"

#define BACKLOG 4096
#define RETRY_MS 10

struct listener {
	char *daemon, *name, *address;
	unsigned mode;
	bool datagram;
	int fd; /* -1: closed for now */
};

struct listeners {
	bool server;
	size_t count;
	struct listener all[];
};

static const char *
unix_path(const struct listener *l)
{
	return strncmp(l->address, "unix://", 7) == 0 ? l->address + 7 : NULL;
}

/* "listen tcp 127.0.0.1:8500: bind: address already in use" */
static void
go_text(const struct listener *l, char *out, size_t size)
{
	char reason[128];
	const char *path = unix_path(l);

	snprintf(reason, sizeof reason, "%s", strerror(errno));
	if (reason[0] >= 'A' && reason[0] <= 'Z')
		reason[0] = (char)(reason[0] | 0x20);
	if (path != NULL)
		snprintf(out, size, "listen unix %s: bind: %s", path, reason);
	else
		snprintf(out, size, "listen %s %s: bind: %s", l->datagram ? "udp" : "tcp", l->address, reason);
}

/* The reference's words depend on which part of it failed. */
static void
refuse(const struct listener *l, bool server, char error[LISTENERS_ERROR_MAX])
{
	const char *role = server ? "server" : "client", *pool;
	char text[384], host[NET_ADDR_TEXT_MAX];
	uint16_t port = 0;

	go_text(l, text, sizeof text);
	if (strcmp(l->name, "rpc") == 0) {
		snprintf(
		    error, LISTENERS_ERROR_MAX, "Failed to start Consul %s: Failed to start RPC layer: %s", role, text);
	} else if (strncmp(l->name, "serf-", 5) == 0) {
		if (net_split_port(l->address, host, sizeof host, &port) == -1)
			host[0] = '\0';
		pool = strncmp(l->name, "serf-wan", 8) == 0 ? "WAN Serf" : server ? "LAN Serf" : "lan serf";
		snprintf(error, LISTENERS_ERROR_MAX,
		    "Failed to start Consul %s: Failed to start %s: Failed to create memberlist: Could not set up "
		    "network transport: "
		    "failed to obtain an address: Failed to start %s listener on \"%s\" port %u: %s",
		    role, pool, l->datagram ? "UDP" : "TCP", host, (unsigned)port, text);
	} else if (strncmp(l->name, "dns", 3) == 0) {
		snprintf(error, LISTENERS_ERROR_MAX, "1 error occurred:\n\t* %s\n\n", text);
	} else {
		snprintf(error, LISTENERS_ERROR_MAX, "%s", text);
	}
}

static int
open_one(struct listener *l)
{
	const char *path = unix_path(l);
	union net_addr a;

	if (path != NULL) {
		l->fd = net_listen_unix(path, l->mode);
	} else if (net_addr_parse_port(l->address, &a) == -1) {
		errno = EADDRNOTAVAIL;
		return -1;
	} else {
		l->fd = l->datagram ? net_bind_udp(&a, 0) : net_listen_tcp(&a, BACKLOG, 0);
	}
	return l->fd == -1 ? -1 : 0;
}

static int
open_patiently(struct listener *l, int64_t *patience_ms)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * NS_PER_MS};

	while (open_one(l) == -1) {
		if (errno != EADDRINUSE || *patience_ms <= 0)
			return -1;
		*patience_ms -= RETRY_MS;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* The order in which the reference starts its parts decides whose failure is told. */
static int
rank(const char *name)
{
	static const char *const order[] = {
	    "rpc", "serf-lan-tcp", "serf-lan-udp", "serf-wan-tcp", "serf-wan-udp", "dns-udp", "dns-tcp"};

	for (size_t i = 0; i < COUNTOF(order); i++)
		if (strcmp(name, order[i]) == 0)
			return (int)i;
	return COUNTOF(order);
}

static int
by_rank(const void *a, const void *b)
{
	return rank(((const struct listener *)a)->name) - rank(((const struct listener *)b)->name);
}

struct listeners *
listeners_open(const struct config *c, int64_t patience_ms, char error[LISTENERS_ERROR_MAX])
{
	size_t count = config_listen_count(c);
	struct listeners *l;

	if (count > LISTENERS_MAX) {
		snprintf(error, LISTENERS_ERROR_MAX, "too many addresses to listen on: %zu, at most %d", count,
		    LISTENERS_MAX);
		return NULL;
	}
	l = xcalloc(1, sizeof *l + count * sizeof l->all[0]);
	l->server = config_bool(c, "server");
	for (size_t i = 0; i < count; i++) {
		struct config_listen row = config_listen_at(c, i);

		l->all[l->count++] = (struct listener){
		    .daemon = xstrdup(row.daemon),
		    .name = xstrdup(row.name),
		    .address = xstrdup(row.address),
		    .mode = row.mode == NULL || row.mode[0] == '\0' ? 0755 : (unsigned)strtoul(row.mode, NULL, 8),
		    .datagram = row.datagram,
		    .fd = -1,
		};
	}
	if (count > 1)
		qsort(l->all, count, sizeof l->all[0], by_rank);
	for (size_t i = 0; i < count; i++)
		if (open_patiently(&l->all[i], &patience_ms) == -1) {
			refuse(&l->all[i], l->server, error);
			listeners_free(l);
			return NULL;
		}
	return l;
}

void
listeners_free(struct listeners *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->count; i++) {
		struct listener *one = &l->all[i];

		if (one->fd != -1) {
			close(one->fd);
			if (unix_path(one) != NULL)
				(void)unlink(unix_path(one));
		}
		free(one->daemon);
		free(one->name);
		free(one->address);
	}
	free(l);
}

size_t
listeners_of(const struct listeners *l, const char *daemon, int first_fd, int *fds, size_t max, struct buf *environment)
{
	size_t count = 0;

	for (size_t i = 0; i < l->count && count < max; i++) {
		if (l->all[i].fd == -1 || strcmp(l->all[i].daemon, daemon) != 0)
			continue;
		buf_printf(environment, "%s%s=%d", count == 0 ? "" : ",", l->all[i].name, first_fd + (int)count);
		fds[count++] = l->all[i].fd;
	}
	return count;
}

void
listeners_close_of(struct listeners *l, const char *daemon)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->all[i].fd != -1 && strcmp(l->all[i].daemon, daemon) == 0) {
			close(l->all[i].fd);
			l->all[i].fd = -1;
		}
}

int
listeners_open_of(struct listeners *l, const char *daemon, char error[LISTENERS_ERROR_MAX])
{
	for (size_t i = 0; i < l->count; i++)
		if (l->all[i].fd == -1 && strcmp(l->all[i].daemon, daemon) == 0 && open_one(&l->all[i]) == -1) {
			refuse(&l->all[i], l->server, error);
			return -1;
		}
	return 0;
}

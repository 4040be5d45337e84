/*
 * net.h - addresses and sockets
 */
#ifndef COMMON_NET_H
#define COMMON_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "cdefs.h"

union net_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage storage;
};

#define NET_ADDR_TEXT_MAX 64

/* "127.0.0.1", "::1", "[::1]" (no names). -1: not an address. */
MUST_USE int net_addr_parse(const char *text, uint16_t port, union net_addr *out);
/* "127.0.0.1:8500" "[::1]:8500". */
MUST_USE int net_addr_parse_port(const char *text, union net_addr *out);
/* Without port: "127.0.0.1", "::1". Returns out. */
char *net_addr_text(const union net_addr *a, char out[NET_ADDR_TEXT_MAX]);
/* With port: "127.0.0.1:8500", "[::1]:8500". Returns out. */
char *net_addr_text_port(const union net_addr *a, char out[NET_ADDR_TEXT_MAX]);
/* The same address and port. */
bool net_addr_equal(const union net_addr *a, const union net_addr *b);
socklen_t net_addr_len(const union net_addr *a);
uint16_t net_addr_port(const union net_addr *a);
/* Splits "host:port", "[v6]:port"; host into out. -1: no port or does not fit. */
MUST_USE int net_split_port(const char *text, char *host, size_t host_size, uint16_t *port);

#define NET_REUSEPORT 1u

/* Non-blocking, close-on-exec listeners. -1 with errno. */
MUST_USE int net_listen_tcp(const union net_addr *a, int backlog, unsigned flags);
MUST_USE int net_bind_udp(const union net_addr *a, unsigned flags);
/* path is relative to the working directory (sun_path is short); an old socket is replaced. mode as for chmod. */
MUST_USE int net_listen_unix(const char *path, unsigned mode);
/* Non-blocking connect; EINPROGRESS counts as success. */
MUST_USE int net_connect_unix(const char *path);
MUST_USE int net_set_nonblock(int fd, bool on);
MUST_USE int net_set_cloexec(int fd, bool on);

/*
 * Sends one byte with a descriptor, or receives it (SCM_RIGHTS); used where a socket is handed over
 * outside the frame protocol. 0 or -1 with errno.
 */
MUST_USE int net_send_fd(int socket, int fd);
MUST_USE int net_recv_fd(int socket, int *fd);

#endif

/*
 * net.c - addresses and sockets (contract: net.h)
 */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mem.h"

int
net_addr_parse(const char *text, uint16_t port, union net_addr *out)
{
	char bare[INET6_ADDRSTRLEN];
	size_t length = strlen(text);

	memset(out, 0, sizeof *out);
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
		if (length - 2 >= sizeof bare)
			return -1;
		memcpy(bare, text + 1, length - 2);
		bare[length - 2] = '\0';
		if (strchr(bare, ':') == NULL)
			return -1;
		text = bare;
	}
	if (inet_pton(AF_INET, text, &out->in.sin_addr) == 1) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1) {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons(port);
		return 0;
	}
	return -1;
}

int
net_split_port(const char *text, char *host, size_t host_size, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	uint64_t value;
	size_t length;

	if (colon == NULL || bytes_to_u64(bytes_str(colon + 1), &value) == -1 || value > UINT16_MAX)
		return -1;
	length = (size_t)(colon - text);
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	} else if (memchr(text, ':', length) != NULL) {
		return -1; /* a bare IPv6 address: no telling where the port begins */
	}
	if (length >= host_size)
		return -1;
	memcpy(host, text, length);
	host[length] = '\0';
	*port = (uint16_t)value;
	return 0;
}

int
net_addr_parse_port(const char *text, union net_addr *out)
{
	char host[INET6_ADDRSTRLEN];
	uint16_t port;

	if (net_split_port(text, host, sizeof host, &port) == -1)
		return -1;
	return net_addr_parse(host, port, out);
}

char *
net_addr_text(const union net_addr *a, char out[NET_ADDR_TEXT_MAX])
{
	const void *ip = a->sa.sa_family == AF_INET6 ? (const void *)&a->in6.sin6_addr : (const void *)&a->in.sin_addr;

	out[0] = '\0';
	if (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6)
		(void)inet_ntop(a->sa.sa_family, ip, out, NET_ADDR_TEXT_MAX);
	return out;
}

char *
net_addr_text_port(const union net_addr *a, char out[NET_ADDR_TEXT_MAX])
{
	char ip[NET_ADDR_TEXT_MAX];

	net_addr_text(a, ip);
	snprintf(out, NET_ADDR_TEXT_MAX, a->sa.sa_family == AF_INET6 ? "[%.45s]:%u" : "%.45s:%u", ip, net_addr_port(a));
	return out;
}

bool
net_addr_equal(const union net_addr *a, const union net_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family || net_addr_port(a) != net_addr_port(b))
		return false;
	if (a->sa.sa_family == AF_INET6)
		return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
	return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

socklen_t
net_addr_len(const union net_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof a->in6 : sizeof a->in;
}

uint16_t
net_addr_port(const union net_addr *a)
{
	if (a->sa.sa_family == AF_INET6)
		return ntohs(a->in6.sin6_port);
	return a->sa.sa_family == AF_INET ? ntohs(a->in.sin_port) : 0;
}

static int
bind_socket(const union net_addr *a, int type, unsigned flags)
{
	int one = 1, saved_errno, fd = socket(a->sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	/* UDP has no TIME_WAIT: there SO_REUSEADDR would let two agents share a port without a word. */
	if ((type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == -1) ||
	    ((flags & NET_REUSEPORT) != 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == -1) ||
	    (a->sa.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == -1) ||
	    bind(fd, &a->sa, net_addr_len(a)) == -1)
		goto fail;
	return fd;

fail:
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return -1;
}

int
net_listen_tcp(const union net_addr *a, int backlog, unsigned flags)
{
	int saved_errno, fd = bind_socket(a, SOCK_STREAM, flags);

	if (fd != -1 && listen(fd, backlog) == -1) {
		saved_errno = errno;
		close(fd);
		errno = saved_errno;
		return -1;
	}
	return fd;
}

int
net_bind_udp(const union net_addr *a, unsigned flags)
{
	return bind_socket(a, SOCK_DGRAM, flags);
}

static int
unix_addr(const char *path, struct sockaddr_un *out)
{
	size_t length = strlen(path);

	if (length >= sizeof out->sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memset(out, 0, sizeof *out);
	out->sun_family = AF_UNIX;
	memcpy(out->sun_path, path, length);
	return 0;
}

int
net_listen_unix(const char *path, unsigned mode)
{
	struct sockaddr_un un;
	int fd, saved_errno;

	if (unix_addr(path, &un) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (unlink(path) == -1 && errno != ENOENT)
		goto fail;
	if (bind(fd, (const struct sockaddr *)&un, sizeof un) == -1 || chmod(path, (mode_t)mode) == -1 ||
	    listen(fd, 1024) == -1)
		goto fail;
	return fd;

fail:
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return -1;
}

int
net_connect_unix(const char *path)
{
	struct sockaddr_un un;
	int fd, saved_errno;

	if (unix_addr(path, &un) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (const struct sockaddr *)&un, sizeof un) == -1 && errno != EINPROGRESS) {
		saved_errno = errno;
		close(fd);
		errno = saved_errno;
		return -1;
	}
	return fd;
}

int
net_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return -1;
	return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

int
net_set_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

union fd_control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

int
net_send_fd(int socket, int fd)
{
	char byte = 0;
	union fd_control control;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
	struct cmsghdr *c;

	memset(&control, 0, sizeof control);
	c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int
net_recv_fd(int socket, int *fd)
{
	char byte;
	union fd_control control;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
	struct cmsghdr *c;
	ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (n <= 0) {
		if (n == 0)
			errno = ECONNRESET;
		return -1;
	}
	c = CMSG_FIRSTHDR(&message);
	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof *fd)) {
		errno = EBADMSG;
		return -1;
	}
	memcpy(fd, CMSG_DATA(c), sizeof *fd);
	return 0;
}

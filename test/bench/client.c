/* client.c - what the load generators of `make bench` share (contract: client.h) */
#include "client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define PER_SOURCE 150

void
client_die(const char *what)
{
	perror(what);
	exit(1);
}

void
client_diex(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

uint64_t
client_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct sockaddr_in
client_address(const char *host, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		client_diex("%s is no IPv4 address", host);
	return a;
}

void
client_files(unsigned wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		client_die("getrlimit");
	if (limit.rlim_max < wanted)
		client_diex(
		    "%u descriptors are wanted, a process may have %llu", wanted, (unsigned long long)limit.rlim_max);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		client_die("setrlimit");
}

int
client_connect(const struct sockaddr_in *to, uint32_t source, unsigned i)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source + 2 + i / PER_SOURCE)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == -1 ||
	    bind(fd, (struct sockaddr *)&from, sizeof from) == -1 ||
	    connect(fd, (const struct sockaddr *)to, sizeof *to) == -1)
		client_die("connect");
	return fd;
}

/* The number behind a header's name, 0 if it is not there. */
static uint64_t
header_number(const char *head, size_t size, const char *name)
{
	size_t length = strlen(name);
	const char *line = memchr(head, '\n', size);

	while (line != NULL && (size_t)(head + size - ++line) > length) {
		if (strncasecmp(line, name, length) == 0)
			return strtoull(line + length, NULL, 10);
		line = memchr(line, '\n', (size_t)(head + size - line));
	}
	return 0;
}

size_t
client_head(const char *text, size_t size, struct client_head *out)
{
	const char *end = memmem(text, size, "\r\n\r\n", 4);
	size_t head;

	if (end == NULL)
		return 0;
	head = (size_t)(end - text) + 4;
	if (head < 16 || strncmp(text, "HTTP/1.1 ", 9) != 0)
		client_diex("no HTTP answer: %.60s", text);
	out->status = (unsigned)strtoul(text + 9, NULL, 10);
	out->body = (size_t)header_number(text, head, "Content-Length:");
	out->index = header_number(text, head, "X-Consul-Index:");
	if (out->body == 0 && memmem(text, head, "chunked", 7) != NULL)
		client_diex("an answer in chunks, which this client does not read");
	return head;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void
client_sort(uint32_t *samples, size_t count)
{
	qsort(samples, count, sizeof *samples, compare);
}

uint32_t
client_quantile(const uint32_t *sorted, size_t count, double p)
{
	size_t at = (size_t)((double)count * p);

	return sorted[at < count ? at : count - 1];
}

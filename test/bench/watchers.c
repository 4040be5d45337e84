/*
 * watchers.c - parks many blocking queries, and says when the last one was answered
 *
 *	watchers [-b] [-k keys] HOST PORT COUNT PATH SOURCE
 *
 * Query i asks PATH/(i modulo keys) with ?index=N&wait=10m on a connection of its own, from addresses of the /16 network that begins at SOURCE
 * + 2 (client.h). The keys are there beforehand; N is the index of the last one. Prints "parked COUNT" when all are asked, and waits for a
 * line on standard input, the caller measures memory meanwhile. Then:
 *
 *	wake	with one key: it is written by one PUT, and "woken_ms X answers COUNT bytes N" tells how long the last answer took from the
 *		sending of the PUT, how many there were, and the bytes of the first
 *	read	somebody else has written the keys: the answers are read, the time means nothing
 *
 * -b measures the reference and ends: COUNT connections over loopback, each written once by a bare loop of write(2) in another process, with
 * SIZE (PATH) bytes, and read by the same reader: "bare_ms X".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define ANSWER_BYTES 65536u

static struct sockaddr_in server;
static uint32_t source;

static double
ms_since(uint64_t start_ns)
{
	return (double)(client_now_ns() - start_ns) / 1e6;
}

static void
request(int fd, const char *method, const char *path, const char *body)
{
	char text[1024];
	int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", method, path,
	    strlen(body), body);

	if (n < 0 || (size_t)n >= sizeof text)
		client_diex("too long a path");
	if (write(fd, text, (size_t)n) != n)
		client_die("write");
}

/* Reads one answer; the index of it. */
static uint64_t
answer_index(int fd)
{
	static char text[ANSWER_BYTES];
	struct client_head head;
	size_t used = 0, bytes;

	do {
		ssize_t n = read(fd, text + used, sizeof text - used);

		if (n <= 0)
			client_die("read");
		used += (size_t)n;
		bytes = client_head(text, used, &head);
	} while (bytes == 0 || used < bytes + head.body);
	if (head.status != 200)
		client_diex("refused: %.200s", text);
	return head.index;
}

/* Reads each of count descriptors once: an answer here is shorter than a segment. Each must have an index above the one that was asked with.
 * The bytes of the first one. */
static size_t
read_all(int epoll, unsigned count, uint64_t index)
{
	static struct epoll_event events[1024];
	static char text[ANSWER_BYTES];
	struct client_head head;
	size_t first = 0;
	unsigned done = 0;

	while (done < count) {
		int n = epoll_wait(epoll, events, 1024, 60000);

		if (n == 0)
			client_diex("%u of %u were answered, then none for 60 s", done, count);
		if (n == -1)
			client_die("epoll_wait");
		for (int i = 0; i < n; i++) {
			ssize_t got = read(events[i].data.fd, text, sizeof text);

			if (got <= 0)
				client_die("read");
			if (client_head(text, (size_t)got, &head) == 0 || head.status != 200)
				client_diex("refused: %.200s", text);
			if (head.index <= index)
				client_diex("woken with index %" PRIu64 ", asked with %" PRIu64, head.index, index);
			epoll_ctl(epoll, EPOLL_CTL_DEL, events[i].data.fd, NULL);
			if (done++ == 0)
				first = (size_t)got;
		}
	}
	return first;
}

static void
watch(int epoll, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == -1)
		client_die("epoll_ctl");
}

/* The other process of the bare loop: accepts, waits for the word, writes. */
static void
bare_writer(int listener, int go, unsigned count, size_t size)
{
	int *accepted = calloc(count, sizeof *accepted);
	static const char head[] = "HTTP/1.1 200 OK\r\nX-Consul-Index: 1\r\n\r\n";
	char *answer = calloc(1, size + sizeof head);
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (accepted == NULL || answer == NULL)
		client_die("bare loop");
	memset(answer, 'x', size);
	memcpy(answer, head, sizeof head - 1);
	for (unsigned i = 0; i < count; i++)
		if ((accepted[i] = accept(listener, NULL, NULL)) == -1)
			client_die("accept");
	if (read(go, &byte, 1) != 1)
		client_die("go");
	for (unsigned i = 0; i < count; i++)
		if (write(accepted[i], answer, size) != (ssize_t)size)
			client_die("write");
	pause();
}

static double
bare_loop(unsigned count, size_t size)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), go[2];
	uint64_t start_ns;
	double took_ms;
	pid_t child;

	if (bind(listener, (struct sockaddr *)&a, sizeof a) == -1 || listen(listener, 4096) == -1 ||
	    getsockname(listener, (struct sockaddr *)&a, &length) == -1 || pipe(go) == -1 || epoll == -1)
		client_die("bare loop");
	child = fork();
	if (child == -1)
		client_die("fork");
	if (child == 0)
		bare_writer(listener, go[0], count, size);
	for (unsigned i = 0; i < count; i++)
		watch(epoll, client_connect(&a, source, i));
	start_ns = client_now_ns();
	if (write(go[1], "x", 1) != 1)
		client_die("go");
	read_all(epoll, count, 0);
	took_ms = ms_since(start_ns);
	kill(child, SIGKILL);
	return took_ms;
}

static void
park_and_read(unsigned count, unsigned keys, const char *key)
{
	int epoll = epoll_create1(0), control = client_connect(&server, source, 0);
	char path[512], line[64];
	uint64_t index, start_ns;
	size_t bytes;

	snprintf(path, sizeof path, "%s/%u", key, keys - 1);
	request(control, "GET", path, "");
	index = answer_index(control);
	for (unsigned i = 0; i < count; i++) {
		int fd = client_connect(&server, source, i + 1);

		snprintf(path, sizeof path, "%s/%u?index=%" PRIu64 "&wait=10m", key, i % keys, index);
		request(fd, "GET", path, "");
		watch(epoll, fd);
	}
	printf("parked %u\n", count);
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		return; /* the caller ended */
	start_ns = client_now_ns();
	if (strcmp(line, "wake\n") == 0) {
		snprintf(path, sizeof path, "%s/0", key);
		request(control, "PUT", path, "woken");
	}
	bytes = read_all(epoll, count, index);
	printf("woken_ms %.2f answers %u bytes %zu\n", ms_since(start_ns), count, bytes);
}

int
main(int argc, char **argv)
{
	unsigned keys = 1, count;
	bool bare = false;
	int c;

	while ((c = getopt(argc, argv, "bk:")) != -1) {
		if (c == 'b')
			bare = true;
		else if (c == 'k')
			keys = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	argv += optind;
	if (argc - optind != 5 || keys == 0)
		client_diex("usage: watchers [-b] [-k keys] HOST PORT COUNT PATH SOURCE");
	server = client_address(argv[0], argv[1]);
	source = ntohl(client_address(argv[4], "0").sin_addr.s_addr);
	count = (unsigned)strtoul(argv[2], NULL, 10);
	client_files(count + 32);
	if (bare)
		printf("bare_ms %.2f\n", bare_loop(count, strtoul(argv[3], NULL, 10)));
	else
		park_and_read(count, keys, argv[3]);
	return 0;
}

/*
 * watchers.c - parks many blocking queries, wakes them by one write, and says when the last one was answered
 *
 *	watchers HOST PORT COUNT PATH	PATH is asked with ?index=N&wait=600s on COUNT connections
 *
 * First the reference of the same run: COUNT socket pairs, each written once by a bare loop and read by the same reader. Then the
 * watchers: parked, the process waits for a line on standard input (the caller measures memory meanwhile), writes the key by one PUT, and
 * reads all answers. Prints "parked COUNT", then "bare_ms X woken_ms Y answers COUNT".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in server;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Each connection from its own source address in 127/8 per 200: the limit per client counts addresses, and ports are not endless. */
static int
dial(unsigned i)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	source.sin_addr.s_addr = htonl(0x7f640000u + 2 + i / 150);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&source, sizeof source) == -1 ||
	    connect(fd, (struct sockaddr *)&server, sizeof server) == -1)
		die("connect");
	return fd;
}

static void
request(int fd, const char *method, const char *path, const char *body)
{
	char text[1024];
	int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", method, path,
	    strlen(body), body);

	if (write(fd, text, (size_t)n) != n)
		die("write");
}

/* Reads one answer's head at least; the index of it. */
static unsigned long
answer_index(int fd)
{
	char text[4096];
	ssize_t n = read(fd, text, sizeof text - 1);
	char *at;

	if (n <= 0)
		die("read");
	text[n] = '\0';
	at = strcasestr(text, "x-consul-index:");
	return at == NULL ? 0 : strtoul(at + 15, NULL, 10);
}

/* Reads each of count descriptors once. */
static void
read_all(int epoll, unsigned count)
{
	static struct epoll_event events[1024];
	static char text[65536];
	unsigned done = 0;

	while (done < count) {
		int n = epoll_wait(epoll, events, 1024, 60000);

		if (n <= 0)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			if (read(events[i].data.fd, text, sizeof text) <= 0)
				die("read");
			epoll_ctl(epoll, EPOLL_CTL_DEL, events[i].data.fd, NULL);
			done++;
		}
	}
}

static void
watch(int epoll, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == -1)
		die("epoll_ctl");
}

/* The bare loop, in a process of its own as a server is: TCP connections over loopback, one small write(2) each. */
static double
bare_loop(unsigned count)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), *fds = calloc(count, sizeof *fds);
	int go[2];
	struct sockaddr_in keep = server;
	double start, end;
	pid_t child;
	char byte = 0;

	if (bind(listener, (struct sockaddr *)&a, sizeof a) == -1 || listen(listener, 4096) == -1 ||
	    getsockname(listener, (struct sockaddr *)&a, &size) == -1 || pipe(go) == -1)
		die("bare loop");
	child = fork();
	if (child == 0) {
		int *accepted = calloc(count, sizeof *accepted);

		for (unsigned i = 0; i < count; i++)
			if ((accepted[i] = accept(listener, NULL, NULL)) == -1)
				die("accept");
		if (read(go[0], &byte, 1) != 1)
			die("go");
		for (unsigned i = 0; i < count; i++)
			if (write(accepted[i], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38) != 38)
				die("write");
		pause();
	}
	server = a;
	for (unsigned i = 0; i < count; i++) {
		fds[i] = dial(i);
		watch(epoll, fds[i]);
	}
	start = now_ms();
	if (write(go[1], "x", 1) != 1)
		die("go");
	read_all(epoll, count);
	end = now_ms();
	kill(child, 9);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	close(listener);
	close(epoll);
	free(fds);
	server = keep;
	return end - start;
}

int
main(int argc, char **argv)
{
	unsigned count;
	int *fds, epoll, control;
	char path[512], line[64];
	unsigned long index;
	double bare, start, end;
	struct rlimit limit;

	if (argc != 5) {
		fprintf(stderr, "usage: watchers HOST PORT COUNT PATH\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	server.sin_family = AF_INET;
	server.sin_port = htons((unsigned short)atoi(argv[2]));
	if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
		return 2;
	count = (unsigned)atoi(argv[3]);
	bare = bare_loop(count);
	control = dial(0);
	request(control, "PUT", argv[4], "one");
	answer_index(control);
	request(control, "GET", argv[4], "");
	index = answer_index(control);
	snprintf(path, sizeof path, "%s?index=%lu&wait=600s", argv[4], index);
	fds = calloc(count, sizeof *fds);
	epoll = epoll_create1(0);
	for (unsigned i = 0; i < count; i++) {
		fds[i] = dial(i + 150);
		request(fds[i], "GET", path, "");
		watch(epoll, fds[i]);
	}
	printf("parked %u\n", count);
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		return 1;
	start = now_ms();
	request(control, "PUT", argv[4], "two");
	read_all(epoll, count);
	end = now_ms();
	printf("bare_ms %.1f woken_ms %.1f ratio %.2f answers %u\n", bare, end - start, (end - start) / bare, count);
	return 0;
}

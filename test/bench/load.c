/*
 * load.c - HTTP requests over keep-alive connections, as fast as they are answered
 *
 *	load [-c connections] [-n requests | -t seconds] [-p pipeline] [-f first] [-m modulus] [-d divisor] [-b body] [-o samples]
 *	    HOST PORT METHOD PATH
 *
 * Each connection has pipeline requests (1) under way. In path and body, %u is the number of the request, from first on and modulo modulus
 * (0: no modulus), %g that number divided by divisor, %i the rest of it, %r the number modulo 1,000, %a as an address 10.x.y.z. Prints JSON:
 * answered, refused (status not 200, with the text of the first one), seconds, rate, and the latencies of an answer, from the writing of
 * its request to the reading of its end, in microseconds: median, p99, max. -o writes them all: for each answer the time in ns (8 bytes) and
 * the latency in ns (8), in the machine's order.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define PIPELINE_MAX 64u
#define CONNECTIONS_MAX 4096u
#define REQUEST_BYTES_MAX 8192u
#define ANSWER_BYTES 65536u
#define NUMBER_BYTES_MAX 24u
#define SOURCE 0x7fc80000u /* 127.200.0.0 */

struct conn {
	int fd;
	unsigned under_way, oldest; /* the ring of sent_ns */
	uint64_t sent_ns[PIPELINE_MAX];
	size_t used;      /* of in */
	size_t body_left; /* of the answer being read */
	unsigned status;  /* of it; 0: its head is not there yet */
	char in[ANSWER_BYTES];
};

static struct {
	unsigned connections, pipeline;
	uint64_t requests, seconds, first, modulus, divisor;
	const char *host, *method, *path, *body, *samples;
} option = {.connections = 64, .pipeline = 1, .divisor = 1, .body = ""};

static uint64_t asked, answered, refused, end_ns;
static char refusal[256];
static uint32_t *latency_us;
static size_t latency_size;
static FILE *samples;

/* text with its marks replaced; the bytes it has. */
static size_t
expand(char *out, size_t size, const char *text, uint64_t n)
{
	size_t used = 0;

	for (; *text != '\0'; text++) {
		size_t left = size - used;

		if (left < NUMBER_BYTES_MAX)
			client_diex("a request of more than %u bytes", REQUEST_BYTES_MAX);
		if (*text != '%') {
			out[used++] = *text;
			continue;
		}
		switch (*++text) {
		case 'u':
			used += (size_t)snprintf(out + used, left, "%" PRIu64, n);
			break;
		case 'g':
			used += (size_t)snprintf(out + used, left, "%" PRIu64, n / option.divisor);
			break;
		case 'i':
			used += (size_t)snprintf(out + used, left, "%" PRIu64, n % option.divisor);
			break;
		case 'r':
			used += (size_t)snprintf(out + used, left, "%" PRIu64, n % 1000);
			break;
		case 'a':
			used += (size_t)snprintf(out + used, left, "10.%u.%u.%u", (unsigned)(n >> 16 & 255),
			    (unsigned)(n >> 8 & 255), (unsigned)(n & 255));
			break;
		default:
			client_diex("%%%c in a path or body is none of %%u %%g %%i %%r %%a", *text);
		}
	}
	return used;
}

static size_t
request(char *out, uint64_t number)
{
	char body[REQUEST_BYTES_MAX / 2], path[REQUEST_BYTES_MAX / 4];
	uint64_t n = option.first + (option.modulus == 0 ? number : number % option.modulus);
	size_t body_bytes = expand(body, sizeof body, option.body, n),
	       path_bytes = expand(path, sizeof path, option.path, n);
	int head = body_bytes == 0
		       ? snprintf(out, REQUEST_BYTES_MAX, "%s %.*s HTTP/1.1\r\nHost: %s\r\n\r\n", option.method,
			     (int)path_bytes, path, option.host)
		       : snprintf(out, REQUEST_BYTES_MAX, "%s %.*s HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n",
			     option.method, (int)path_bytes, path, option.host, body_bytes);

	if (head < 0 || (size_t)head + body_bytes > REQUEST_BYTES_MAX)
		client_diex("a request of more than %u bytes", REQUEST_BYTES_MAX);
	memcpy(out + head, body, body_bytes);
	return (size_t)head + body_bytes;
}

/* Fills the pipeline: one write for all of it. */
static void
ask(struct conn *c, uint64_t now_ns)
{
	static char out[PIPELINE_MAX * REQUEST_BYTES_MAX];
	size_t size = 0;

	while (c->under_way < option.pipeline && (option.requests == 0 || asked < option.requests) &&
	       (end_ns == 0 || now_ns < end_ns)) {
		size += request(out + size, asked++);
		c->sent_ns[(c->oldest + c->under_way++) % PIPELINE_MAX] = now_ns;
	}
	for (size_t done = 0; done < size;) {
		ssize_t n = send(c->fd, out + done, size - done, MSG_NOSIGNAL);

		if (n <= 0)
			client_die("send");
		done += (size_t)n;
	}
}

static void
note(struct conn *c, uint64_t now_ns)
{
	uint64_t took = now_ns - c->sent_ns[c->oldest], pair[2] = {now_ns, took};

	c->oldest = (c->oldest + 1) % PIPELINE_MAX;
	c->under_way--;
	if (answered == latency_size) {
		latency_size = latency_size == 0 ? 1 << 20 : latency_size * 2;
		latency_us = reallocarray(latency_us, latency_size, sizeof *latency_us);
		if (latency_us == NULL)
			client_die("samples");
	}
	latency_us[answered++] = (uint32_t)(took / 1000);
	if (samples != NULL && fwrite(pair, sizeof pair, 1, samples) != 1)
		client_die("samples");
}

static void
note_refusal(const struct conn *c, const char *body, size_t size)
{
	if (refused++ > 0)
		return;
	size = size > sizeof refusal - 8 ? sizeof refusal - 8 : size;
	snprintf(refusal, sizeof refusal, "%u %.*s", c->status, (int)size, body);
	for (char *p = refusal; *p != '\0'; p++)
		if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ')
			*p = ' ';
}

/* Reads what is there and counts the answers that end in it. */
static void
take(struct conn *c)
{
	ssize_t got = recv(c->fd, c->in + c->used, sizeof c->in - c->used, MSG_DONTWAIT);
	uint64_t now_ns;
	size_t at = 0;

	if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0)
		client_diex("a connection was closed: %s", got == 0 ? "end of file" : strerror(errno));
	now_ns = client_now_ns();
	c->used += (size_t)got;
	while (at < c->used) {
		size_t part;

		if (c->status == 0) {
			struct client_head head;
			size_t bytes = client_head(c->in + at, c->used - at, &head);

			if (bytes == 0)
				break;
			at += bytes;
			c->status = head.status;
			c->body_left = head.body;
			if (head.status != 200)
				note_refusal(c, c->in + at, c->used - at < head.body ? c->used - at : head.body);
		}
		part = c->used - at < c->body_left ? c->used - at : c->body_left;
		at += part;
		c->body_left -= part;
		if (c->body_left > 0)
			break;
		if (c->under_way == 0)
			client_diex("an answer nobody asked for");
		c->status = 0;
		note(c, now_ns);
	}
	c->used -= at;
	memmove(c->in, c->in + at, c->used);
	if (c->used == sizeof c->in)
		client_diex("the head of an answer is too long");
	ask(c, now_ns);
}

static void
run(const struct sockaddr_in *to)
{
	struct conn *conns = calloc(option.connections, sizeof *conns);
	int poll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t start_ns;
	double seconds;

	if (conns == NULL || poll == -1)
		client_die("start");
	for (unsigned i = 0; i < option.connections; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &conns[i]};

		conns[i].fd = client_connect(to, SOURCE, i);
		if (epoll_ctl(poll, EPOLL_CTL_ADD, conns[i].fd, &e) == -1)
			client_die("epoll_ctl");
	}
	start_ns = client_now_ns();
	end_ns = option.requests == 0 ? start_ns + option.seconds * 1000000000u : 0;
	for (unsigned i = 0; i < option.connections; i++)
		ask(&conns[i], start_ns);
	while (answered < asked) {
		struct epoll_event events[256];
		int n = epoll_wait(poll, events, 256, 60000);

		if (n == 0)
			client_diex("no answer for 60 s; %" PRIu64 " of %" PRIu64 " are there", answered, asked);
		if (n == -1 && errno != EINTR)
			client_die("epoll_wait");
		for (int i = 0; i < n; i++)
			take(events[i].data.ptr);
	}
	seconds = (double)(client_now_ns() - start_ns) / 1e9;
	client_sort(latency_us, answered);
	printf("{\"answered\": %" PRIu64 ", \"refused\": %" PRIu64
	       ", \"refusal\": \"%s\", \"seconds\": %.4f, \"rate\": %.1f, "
	       "\"median_us\": %u, \"p99_us\": %u, \"max_us\": %u}\n",
	    answered, refused, refusal, seconds, (double)answered / seconds, client_quantile(latency_us, answered, 0.5),
	    client_quantile(latency_us, answered, 0.99), latency_us[answered - 1]);
	for (unsigned i = 0; i < option.connections; i++)
		close(conns[i].fd);
	close(poll);
	free(conns);
	free(latency_us);
}

static unsigned
bounded(const char *text, unsigned max)
{
	unsigned long n = strtoul(text, NULL, 10);

	if (n == 0 || n > max)
		client_diex("%s is not between 1 and %u", text, max);
	return (unsigned)n;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in to;
	int c;

	while ((c = getopt(argc, argv, "c:n:t:p:f:m:d:b:o:")) != -1) {
		switch (c) {
		case 'c':
			option.connections = bounded(optarg, CONNECTIONS_MAX);
			break;
		case 'n':
			option.requests = strtoull(optarg, NULL, 10);
			break;
		case 't':
			option.seconds = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			option.pipeline = bounded(optarg, PIPELINE_MAX);
			break;
		case 'f':
			option.first = strtoull(optarg, NULL, 10);
			break;
		case 'm':
			option.modulus = strtoull(optarg, NULL, 10);
			break;
		case 'd':
			option.divisor = bounded(optarg, 1u << 30);
			break;
		case 'b':
			option.body = optarg;
			break;
		case 'o':
			option.samples = optarg;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 4 || (option.requests == 0) == (option.seconds == 0))
		client_diex(
		    "usage: load [-c connections] [-n requests | -t seconds] [-p pipeline] [-f first] [-m modulus] "
		    "[-d divisor] [-b body] [-o samples] HOST PORT METHOD PATH");
	option.host = argv[optind];
	option.method = argv[optind + 2];
	option.path = argv[optind + 3];
	to = client_address(option.host, argv[optind + 1]);
	client_files(option.connections + 16);
	if (option.samples != NULL && (samples = fopen(option.samples, "wb")) == NULL)
		client_die(option.samples);
	run(&to);
	if (samples != NULL && fclose(samples) != 0)
		client_die(option.samples);
	return 0;
}

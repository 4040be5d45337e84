/*
 * dnsask.c - DNS questions one after the other, each asked when the one before is answered
 *
 *	dnsask udp|tcp HOST PORT FILE COUNT	the questions of FILE, lines of name and type (A or SRV) as dnsperf has them, in turn
 *
 * UDP questions carry EDNS with 1232 bytes; a TCP connection carries 100, its opening is not measured. Prints JSON: the fewest and the most records in the answer section, the
 * bytes of the longest message, how many answers were cut (TC) or errors, and the latency in microseconds: median, p99.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "client.h"
#include "questions.h"

#define MESSAGE_MAX 65535u
#define PER_CONNECTION 100u
#define SOURCE 0x7fc90000u /* 127.201.0.0 */

static int
dial(const struct sockaddr_in *to, bool tcp)
{
	struct timeval patience = {.tv_sec = 20};
	int fd = tcp ? client_connect(to, SOURCE, 0) : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || (!tcp && connect(fd, (const struct sockaddr *)to, sizeof *to) == -1) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == -1)
		client_die("connect");
	return fd;
}

static void
receive_all(int fd, uint8_t *to, size_t size)
{
	while (size > 0) {
		ssize_t n = recv(fd, to, size, 0);

		if (n <= 0)
			client_die("no answer");
		to += n;
		size -= (size_t)n;
	}
}

int
main(int argc, char **argv)
{
	static uint8_t answer[MESSAGE_MAX];
	unsigned least = MESSAGE_MAX, most = 0, cut = 0, errors = 0;
	size_t count = argc == 6 ? strtoul(argv[5], NULL, 10) : 0, longest = 0;
	const struct question *questions;
	size_t question_count;
	struct sockaddr_in to;
	uint32_t *took_us;
	bool tcp;
	int fd;

	if (count == 0 || (took_us = calloc(count, sizeof *took_us)) == NULL)
		client_diex("usage: dnsask udp|tcp HOST PORT FILE COUNT");
	tcp = strcmp(argv[1], "tcp") == 0;
	to = client_address(argv[2], argv[3]);
	questions = questions_read(argv[4], &question_count);
	fd = dial(&to, tcp);
	for (size_t i = 0; i < count; i++) {
		const struct question *q = &questions[i % question_count];
		uint64_t start_ns;
		size_t size;

		if (tcp && i > 0 && i % PER_CONNECTION == 0) {
			close(fd);
			fd = dial(&to, tcp);
		}
		start_ns = client_now_ns();
		if (send(fd, q->packet + (tcp ? 0 : 2), q->size + (tcp ? 2u : 0u), 0) == -1)
			client_die("send");
		if (tcp) {
			uint8_t length[2];

			receive_all(fd, length, 2);
			size = questions_get16(length);
			receive_all(fd, answer, size);
		} else {
			ssize_t n = recv(fd, answer, sizeof answer, 0);

			if (n == -1)
				client_die("no answer");
			size = (size_t)n;
		}
		took_us[i] = (uint32_t)((client_now_ns() - start_ns) / 1000);
		if (size < 12)
			client_diex("an answer of %zu bytes", size);
		longest = size > longest ? size : longest;
		least = questions_get16(answer + 6) < least ? questions_get16(answer + 6) : least;
		most = questions_get16(answer + 6) > most ? questions_get16(answer + 6) : most;
		cut += (answer[2] & 2) != 0;
		errors += (answer[3] & 15) != 0;
	}
	close(fd);
	client_sort(took_us, count);
	printf("{\"answers_min\": %u, \"answers_max\": %u, \"bytes_max\": %zu, \"cut\": %u, \"errors\": %u, "
	       "\"median_us\": %u, "
	       "\"p99_us\": %u}\n",
	    least, most, longest, cut, errors, client_quantile(took_us, count, 0.5),
	    client_quantile(took_us, count, 0.99));
	free(took_us);
	return 0;
}

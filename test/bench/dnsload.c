/*
 * dnsload.c - DNS questions over UDP, as fast as they are answered
 *
 *	dnsload [-q window] HOST PORT FILE SECONDS	the questions of FILE (questions.h) in turn, window (128) of them under way
 *
 * What is answered in one turn is asked anew in the next by one sendmmsg(2): far less work than dnsperf's call for each message, so that
 * it is the server that is measured. Prints JSON: rate, answered, lost (no answer for 1 s), and bad ones (an error, or no record).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "client.h"
#include "questions.h"

#define WINDOW_MAX 4096u
#define BATCH 64u
#define ANSWER_BYTES 4096u

static struct {
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_iov[BATCH], out_iov[BATCH];
	uint8_t answer[BATCH][ANSWER_BYTES];
	uint8_t packet[BATCH][sizeof(struct question)];
} batch;

static const struct question *questions;
static size_t question_count, next;

/* IDs under way: an answer counts once. */
static bool under_way[65536];
static uint16_t id;

static void
ask(int fd, unsigned count)
{
	while (count > 0) {
		unsigned n = count < BATCH ? count : BATCH;

		for (unsigned i = 0; i < n; i++) {
			const struct question *q = &questions[next++ % question_count];

			while (under_way[id])
				id++;
			memcpy(batch.packet[i], q->packet + 2, q->size);
			questions_put16(batch.packet[i], id);
			under_way[id++] = true;
			batch.out_iov[i].iov_len = q->size;
		}
		for (unsigned done = 0; done < n;) {
			int sent = sendmmsg(fd, batch.out + done, n - done, 0);

			if (sent == -1)
				client_die("sendmmsg");
			done += (unsigned)sent;
		}
		count -= n;
	}
}

int
main(int argc, char **argv)
{
	struct timeval patience = {.tv_sec = 1};
	unsigned window = 128, lost = 0, waiting, bad = 0;
	uint64_t answered = 0, start_ns, end_ns;
	struct sockaddr_in to;
	double seconds;
	int fd, c;

	while ((c = getopt(argc, argv, "q:")) != -1) {
		if (c != 'q')
			return 2;
		window = (unsigned)strtoul(optarg, NULL, 10);
	}
	argv += optind;
	if (argc - optind != 4 || window == 0 || window > WINDOW_MAX)
		client_diex("usage: dnsload [-q window] HOST PORT FILE SECONDS");
	to = client_address(argv[0], argv[1]);
	questions = questions_read(argv[2], &question_count);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || connect(fd, (struct sockaddr *)&to, sizeof to) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == -1)
		client_die("connect");
	for (unsigned i = 0; i < BATCH; i++) {
		batch.in_iov[i] = (struct iovec){batch.answer[i], ANSWER_BYTES};
		batch.in[i].msg_hdr = (struct msghdr){.msg_iov = &batch.in_iov[i], .msg_iovlen = 1};
		batch.out_iov[i] = (struct iovec){batch.packet[i], 0};
		batch.out[i].msg_hdr = (struct msghdr){.msg_iov = &batch.out_iov[i], .msg_iovlen = 1};
	}
	start_ns = client_now_ns();
	end_ns = start_ns + strtoull(argv[3], NULL, 10) * 1000000000u;
	ask(fd, window);
	waiting = window;
	while (client_now_ns() < end_ns) {
		int n = recvmmsg(fd, batch.in, BATCH, MSG_WAITFORONE, NULL);
		unsigned fresh = 0;

		if (n == -1 && errno != EAGAIN && errno != EINTR)
			client_die("recvmmsg");
		if (n == -1) {
			lost += waiting;
			memset(under_way, 0, sizeof under_way);
			ask(fd, waiting);
			continue;
		}
		for (int i = 0; i < n; i++) {
			const uint8_t *m = batch.answer[i];
			unsigned of = batch.in[i].msg_len < 12 ? 0 : questions_get16(m);

			if (batch.in[i].msg_len < 12 || !under_way[of])
				continue;
			under_way[of] = false;
			bad += (m[3] & 15) != 0 || questions_get16(m + 6) == 0;
			fresh++;
		}
		answered += fresh;
		ask(fd, fresh);
	}
	seconds = (double)(client_now_ns() - start_ns) / 1e9;
	close(fd);
	printf("{\"rate\": %.1f, \"answered\": %llu, \"lost\": %u, \"bad\": %u}\n", (double)answered / seconds,
	    (unsigned long long)answered, lost, bad);
	return 0;
}

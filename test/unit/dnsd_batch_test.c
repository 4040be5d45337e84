/*
 * dnsd_batch_test.c - datagrams read and answered in batches over real sockets: every answer reaches its asker, whole and alone
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "batch.h"
#include "mem.h"

#define CLIENTS 3
#define QUERIES 20 /* of each client: together less than a batch */

static int server, clients[CLIENTS];

static int
socket_new(struct sockaddr_in *address)
{
	struct timeval patience = {.tv_sec = 10};
	socklen_t size = sizeof *address;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &size), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
	return fd;
}

static int
setup(void **state)
{
	struct sockaddr_in address, own;

	(void)state;
	server = socket_new(&address);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = socket_new(&own);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&address, sizeof address), 0);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(server);
	for (unsigned i = 0; i < CLIENTS; i++)
		close(clients[i]);
	return 0;
}

/* The answer to query number n of client c: its size and what it is filled with. */
static size_t
answer_size(unsigned n)
{
	/* most of one size, some shorter, one too large to leave together with others */
	return n == 7 ? 4000 : n % 5 == 0 ? 60 : 100;
}

static void
ask_all(void)
{
	for (uint8_t n = 0; n < QUERIES; n++)
		for (uint8_t c = 0; c < CLIENTS; c++)
			assert_int_equal(send(clients[c], (uint8_t[]){c, n}, 2, 0), 2);
}

/* Query 3 of each client gets no answer. */
static void
answer_all_of_batch(void)
{
	unsigned count = batch_receive(server);

	assert_int_equal(count, CLIENTS * QUERIES);
	for (unsigned i = 0; i < count; i++) {
		struct bytes message = batch_message(i);
		uint8_t *room = batch_room();

		assert_int_equal(message.size, 2);
		if (message.data[1] == 3)
			continue;
		memset(room, message.data[0] * QUERIES + message.data[1], answer_size(message.data[1]));
		batch_answer(i, answer_size(message.data[1]));
	}
	batch_send(server);
	assert_int_equal(batch_receive(server), 0);
}

static void
expect_all(void)
{
	for (unsigned c = 0; c < CLIENTS; c++) {
		uint32_t seen = 0;

		for (unsigned n = 0; n < QUERIES - 1; n++) {
			uint8_t data[8192];
			ssize_t size = recv(clients[c], data, sizeof data, 0);
			unsigned which;

			assert_int_not_equal(size, -1);
			assert_in_range(data[0], c * QUERIES, c * QUERIES + QUERIES - 1);
			which = data[0] - c * QUERIES;
			assert_int_equal(size, answer_size(which));
			for (ssize_t i = 1; i < size; i++)
				assert_int_equal(data[i], data[0]);
			seen |= 1u << which;
		}
		assert_int_equal(seen, ((1u << QUERIES) - 1) & ~(1u << 3));
	}
}

static void
test_answers_arrive(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		ask_all();
		answer_all_of_batch();
		expect_all();
	}
}

/* A socket without checksums can not send several datagrams as one message: they leave one by one, none is lost. Last: it is remembered. */
static void
test_answers_arrive_one_by_one(void **state)
{
	int on = 1;

	(void)state;
	assert_int_equal(setsockopt(server, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), 0);
	for (unsigned round = 0; round < 3; round++) {
		ask_all();
		answer_all_of_batch();
		expect_all();
	}
}

static void
test_a_full_batch(void **state)
{
	uint8_t data[2];

	(void)state;
	for (unsigned i = 0; i < BATCH_MAX + 5; i++)
		assert_int_equal(send(clients[0], (uint8_t[]){(uint8_t)i, 1}, 2, 0), 2);
	for (unsigned got = 0; got < BATCH_MAX + 5;) {
		unsigned count = batch_receive(server);

		assert_int_equal(count, got == 0 ? BATCH_MAX : 5);
		for (unsigned i = 0; i < count; i++) {
			memcpy(batch_room(), batch_message(i).data, 2);
			batch_answer(i, 2);
		}
		batch_send(server);
		got += count;
	}
	for (unsigned i = 0; i < BATCH_MAX + 5; i++) {
		assert_int_equal(recv(clients[0], data, sizeof data, 0), 2);
		assert_int_equal(data[0], i);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_answers_arrive),
	    TEST(test_a_full_batch),
	    TEST(test_answers_arrive_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

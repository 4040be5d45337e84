/*
 * raftd_transport_fuzz.c - any bytes as another server's connection: the hello, then messages; the first byte of the input cuts it into two deliveries
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "net.h"
#include "transport.h"

static size_t bytes_seen;

static void
on_message(void *ctx, struct raft_id from, struct bytes bytes)
{
	struct message_in in;

	(void)ctx;
	assert(!raft_id_is_none(from));
	bytes_seen += bytes.size;
	if (message_decode(bytes, &in) == 0)
		message_in_free(&in);
}

static void
on_learned(void *ctx, struct raft_id from, const char *address)
{
	(void)ctx;
	assert(!raft_id_is_none(from) && strlen(address) < MEMBER_ADDRESS_MAX);
}

static const struct transport_ops ops = {.message = on_message, .learned = on_learned};

static void
deliver(struct ev_loop *loop, int fd, const uint8_t *data, size_t size)
{
	/* what the other side has ended can not be written to any more */
	if (size > 0 && send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
		return;
	for (int i = 0; i < 3; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ev_loop *loop;
	const struct raft_id self = {0x1111111111111111, 0x1111111111111111};
	struct transport *t;
	size_t cut;
	int ends[2];

	if (loop == NULL) {
		loop = ev_loop_new(EVFLAG_AUTO);
		log_init("fuzz", LOG_ERROR_LEVEL);
	}
	if (size < 1 || size > 100000 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
		return 0;
	t = transport_new(loop, self, "127.0.0.1:8300", &ops, NULL);
	transport_accept(t, ends[1], "fuzz");
	cut = MIN((size_t)data[0], size - 1);
	bytes_seen = 0;
	deliver(loop, ends[0], data + 1, cut);
	deliver(loop, ends[0], data + 1 + cut, size - 1 - cut);
	assert(bytes_seen <= size);
	close(ends[0]);
	ev_run(loop, EVRUN_NOWAIT);
	transport_free(t);
	return 0;
}

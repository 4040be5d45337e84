/*
 * batch.c - datagrams and answers of one turn (contract: batch.h; called by server.c)
 *
 * Answers stand one behind the other, so that a turn of short ones stays in few pages. Those that leave together form a run: same peer, same
 * size. A run that can not be sent as one message (no checksum offload on the way, IPsec, an old kernel) is sent datagram by datagram, and no
 * more runs are tried in this process.
 */
#include "batch.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "mem.h"

/* Datagrams do not begin at the same place of a page each: caches would hold few of them. */
#define IN_BYTES (DNS_MESSAGE_MAX + 1 + 192)
#define RUN_SIZE_MAX 1232 /* octets of a datagram that fits every path */
#define RUN_BYTES_MAX 65000
#define RUN_BUCKETS 128 /* a power of two above BATCH_MAX */

struct answer {
	size_t at, size;
	struct answer *next; /* of its run */
};

struct run {
	const union net_addr *peer;
	struct answer *first, *last;
	size_t size; /* of each */
	unsigned count;
};

/* Of the whole process. Only pages that were needed are ever touched. */
static struct {
	uint8_t in[BATCH_MAX][IN_BYTES];
	union net_addr peer[BATCH_MAX];
	struct mmsghdr received[BATCH_MAX];
	struct iovec in_iov[BATCH_MAX];
	unsigned received_count; /* whose headers the kernel has written to */
	bool ready;

	uint8_t out[(BATCH_MAX + 1) * DNS_MESSAGE_MAX];
	size_t out_used;
	struct answer answers[BATCH_MAX];
	unsigned answer_count;
	struct run runs[BATCH_MAX];
	unsigned run_count;
	uint8_t bucket[RUN_BUCKETS]; /* index of the newest run with this hash, plus one */
	struct mmsghdr messages[BATCH_MAX];
	struct iovec out_iov[BATCH_MAX];
	_Alignas(struct cmsghdr) uint8_t control[BATCH_MAX][CMSG_SPACE(sizeof(uint16_t))];
	bool runs_fail; /* learned */
} batch;

static void
prepare(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		batch.received[i].msg_hdr = (struct msghdr){.msg_name = &batch.peer[i],
		    .msg_namelen = sizeof batch.peer[i],
		    .msg_iov = &batch.in_iov[i],
		    .msg_iovlen = 1};
}

unsigned
batch_receive(int fd)
{
	int count;

	if (!batch.ready) {
		for (unsigned i = 0; i < BATCH_MAX; i++)
			batch.in_iov[i] = (struct iovec){batch.in[i], DNS_MESSAGE_MAX};
		prepare(0, BATCH_MAX);
		batch.ready = true;
	}
	prepare(0, batch.received_count);
	memset(batch.bucket, 0, sizeof batch.bucket);
	batch.out_used = 0;
	batch.answer_count = batch.run_count = 0;
	count = recvmmsg(fd, batch.received, BATCH_MAX, MSG_DONTWAIT, NULL);
	batch.received_count = count > 0 ? (unsigned)count : 0;
	return batch.received_count;
}

struct bytes
batch_message(unsigned i)
{
	return bytes_of(batch.in[i], batch.received[i].msg_len);
}

const union net_addr *
batch_peer(unsigned i)
{
	return &batch.peer[i];
}

uint8_t *
batch_room(void)
{
	return batch.out + batch.out_used;
}

static unsigned
bucket_of(const union net_addr *peer, size_t size)
{
	const uint8_t *p = (const uint8_t *)peer;
	uint32_t h = (uint32_t)size;

	for (size_t i = 0; i < net_addr_len(peer); i++)
		h = (h ^ p[i]) * 16777619u;
	return (h ^ h >> 15) % RUN_BUCKETS;
}

/* The run that an answer of this size to this peer joins, or a new one. */
static struct run *
run_for(const union net_addr *peer, size_t size)
{
	uint8_t *bucket = &batch.bucket[bucket_of(peer, size)];
	struct run *r;

	if (*bucket != 0 && !batch.runs_fail && size <= RUN_SIZE_MAX) {
		r = &batch.runs[*bucket - 1];
		if (r->size == size && (r->count + 1) * size <= RUN_BYTES_MAX &&
		    net_addr_len(r->peer) == net_addr_len(peer) && memcmp(r->peer, peer, net_addr_len(peer)) == 0)
			return r;
	}
	r = &batch.runs[batch.run_count++];
	*bucket = (uint8_t)batch.run_count;
	*r = (struct run){.peer = peer, .size = size};
	return r;
}

void
batch_answer(unsigned i, size_t size)
{
	struct answer *a;
	struct run *r;

	if (batch.answer_count == BATCH_MAX || size == 0 || size > DNS_MESSAGE_MAX)
		panic("dnsd: answer %u of %zu octets in a batch", batch.answer_count, size);
	a = &batch.answers[batch.answer_count++];
	*a = (struct answer){.at = batch.out_used, .size = size};
	batch.out_used += size;
	r = run_for(&batch.peer[i], size);
	*(r->count == 0 ? &r->first : &r->last->next) = a;
	r->last = a;
	r->count++;
}

static void
describe(struct mmsghdr *m, const struct run *r, struct iovec *iov, uint8_t *control)
{
	unsigned count = 0;

	for (const struct answer *a = r->first; a != NULL; a = a->next)
		iov[count++] = (struct iovec){batch.out + a->at, a->size};
	m->msg_hdr = (struct msghdr){.msg_name = (void *)(uintptr_t)r->peer,
	    .msg_namelen = net_addr_len(r->peer),
	    .msg_iov = iov,
	    .msg_iovlen = count};
	if (count > 1) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)control;
		uint16_t size = (uint16_t)r->size;

		m->msg_hdr.msg_control = control;
		m->msg_hdr.msg_controllen = CMSG_SPACE(sizeof size);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof size);
		memcpy(CMSG_DATA(c), &size, sizeof size);
	}
}

static void
send_one_by_one(int fd, const struct run *r)
{
	for (const struct answer *a = r->first; a != NULL; a = a->next)
		(void)sendto(
		    fd, batch.out + a->at, a->size, MSG_DONTWAIT | MSG_NOSIGNAL, &r->peer->sa, net_addr_len(r->peer));
}

void
batch_send(int fd)
{
	struct iovec *iov = batch.out_iov;

	for (unsigned i = 0; i < batch.run_count; i++) {
		describe(&batch.messages[i], &batch.runs[i], iov, batch.control[i]);
		iov += batch.runs[i].count;
	}
	for (unsigned sent = 0; sent < batch.run_count;) {
		int n = sendmmsg(fd, batch.messages + sent, batch.run_count - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			sent += (unsigned)n;
			continue;
		}
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			break;
		/* an error belongs to the first of them: the others are not lost */
		if (batch.runs[sent].count > 1) {
			if (!batch.runs_fail)
				log_debug(
				    "agent.dns", "answers leave one by one: error=%s", log_quote(strerror(errno)));
			batch.runs_fail = true;
			send_one_by_one(fd, &batch.runs[sent]);
		}
		sent++;
	}
}

/*
 * stream.c - exchanges by stream: states compared, pings, user messages (contract: transport.h, transport_internal.h)
 *
 * A connection carries one message and at most one answer. Whoever came gets our state as it was before his was merged, and also if we refuse
 * him: so he learns who we are. But servers of another make learn the reason instead: they would make our servers members of their cluster. After an error of his the connection is drained, so that the answer is not lost with what he still sends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admit.h"
#include "mem.h"
#include "stream_reader.h"
#include "transport_internal.h"

#define READ_BYTES 65536
#define READ_ROUNDS 16 /* in one turn of the loop */
#define DRAIN_S 1.
#define ERROR_MAX (SWIM_ERROR_MAX + 128)

enum stage { DIALLING, WRITING, READING, DRAINING };
enum purpose { INBOUND, STATES, PING };

struct stream {
	struct transport *transport;
	struct ring of_transport;
	ev_io io;
	ev_timer deadline;
	enum stage stage;
	enum purpose purpose;
	union net_addr peer;
	struct stream_reader reader;
	struct buf out;
	size_t out_at;
	size_t counted; /* bytes of ours in bytes_held */
	bool join, refused;
	int dial_error; /* told by the timer, so that no callback comes from within the call that dials */
	uint32_t seq;
	struct buf ping;
	transport_done *done;
	void *ctx;
};

/* Of all streams of the process. */
static size_t bytes_held;

static void on_io(struct ev_loop *loop, ev_io *io, int events);
static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events);

/* ---- life ---- */

static struct stream *
stream_new(struct transport *t, enum purpose purpose, const union net_addr *peer)
{
	struct stream *s = xcalloc(1, sizeof *s);

	s->transport = t;
	s->purpose = purpose;
	s->peer = *peer;
	stream_reader_init(&s->reader);
	buf_init(&s->out, 2 * GOSSIP_STREAM_MAX);
	buf_init(&s->ping, GOSSIP_PACKET_MAX);
	ring_append(&t->streams, &s->of_transport);
	if (purpose == INBOUND)
		t->in_count++;
	else
		t->out_count++;
	ev_timer_init(&s->deadline, on_deadline, 0., t->config.timeout_s);
	s->deadline.data = s;
	ev_timer_again(t->loop, &s->deadline);
	return s;
}

static void
stream_free(struct stream *s)
{
	struct transport *t = s->transport;

	if (ev_is_active(&s->io)) {
		ev_io_stop(t->loop, &s->io);
		close(s->io.fd);
	}
	ev_timer_stop(t->loop, &s->deadline);
	ring_remove(&s->of_transport);
	if (s->purpose == INBOUND)
		t->in_count--;
	else
		t->out_count--;
	bytes_held -= s->counted;
	stream_reader_free(&s->reader);
	buf_free(&s->out);
	buf_free(&s->ping);
	free(s);
}

void
streams_free(struct transport *t)
{
	while (!ring_empty(&t->streams))
		stream_free(RING_ENTRY(t->streams.next, struct stream, of_transport));
}

static void
watch(struct stream *s, int events)
{
	int fd = s->io.fd;

	if (ev_is_active(&s->io))
		ev_io_stop(s->transport->loop, &s->io);
	ev_io_init(&s->io, on_io, fd, events);
	s->io.data = s;
	ev_io_start(s->transport->loop, &s->io);
}

/* -1: this process holds enough already. */
static int
count_bytes(struct stream *s)
{
	size_t held = s->reader.in.size + s->reader.plain.size + s->reader.expanded.size + s->out.size;

	bytes_held += held - s->counted;
	s->counted = held;
	return bytes_held > STREAMS_BYTES_MAX ? -1 : 0;
}

/* ---- the end of one of ours ---- */

static void
finish(struct stream *s, const char *error, struct bytes body)
{
	transport_done *done = s->done;

	s->done = NULL;
	if (done != NULL)
		done(s->ctx, error, body);
	stream_free(s);
}

static void PRINTF_LIKE(2, 3) fail(struct stream *s, const char *fmt, ...)
{
	char text[NET_ADDR_TEXT_MAX], error[ERROR_MAX];
	unsigned suppressed;
	va_list args;

	va_start(args, fmt);
	vsnprintf(error, sizeof error, fmt, args);
	va_end(args);
	if (s->purpose == INBOUND && log_allowed(&s->transport->bad_streams, LOG_BURST, &suppressed))
		log_errorx(s->transport->config.module, "memberlist: failed to receive: %s from=%s suppressed=%u",
		    error, net_addr_text_port(&s->peer, text), suppressed);
	finish(s, error, (struct bytes){NULL, 0});
}

/* strerror as the reference spells it. */
static const char *
reason(int number, char text[128])
{
	snprintf(text, 128, "%s", strerror(number));
	if (text[0] >= 'A' && text[0] <= 'Z')
		text[0] = (char)(text[0] | 0x20);
	return text;
}

/* What happened between the two ends of the connection. */
static void
fail_io(struct stream *s, const char *operation, const char *what)
{
	char from[NET_ADDR_TEXT_MAX] = "", to[NET_ADDR_TEXT_MAX];
	union net_addr own;
	socklen_t length = sizeof own;

	net_addr_text_port(&s->peer, to);
	if (s->stage == DIALLING)
		fail(s, "dial tcp %s: %s", to, what);
	else {
		if (getsockname(s->io.fd, &own.sa, &length) == 0)
			net_addr_text_port(&own, from);
		fail(s, "%s tcp %s->%s: %s", operation, from, to, what);
	}
}

/* ---- writing ---- */

static void
out_begin(struct stream *s, struct bytes message, bool opener)
{
	envelope_stream_put(s->transport->config.envelope, message, opener, &s->out);
	s->stage = WRITING;
	watch(s, EV_WRITE);
}

static void
written(struct stream *s)
{
	if (s->purpose != INBOUND) {
		s->stage = READING;
		watch(s, EV_READ);
		ev_timer_again(s->transport->loop, &s->deadline);
	} else if (s->refused) {
		s->stage = DRAINING;
		shutdown(s->io.fd, SHUT_WR);
		s->deadline.repeat = DRAIN_S;
		ev_timer_again(s->transport->loop, &s->deadline);
		watch(s, EV_READ);
	} else
		stream_free(s);
}

static void
write_some(struct stream *s)
{
	while (s->out_at < s->out.used) {
		ssize_t n = send(s->io.fd, s->out.data + s->out_at, s->out.used - s->out_at, MSG_NOSIGNAL);
		char text[160], why[128];

		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n == -1) {
			snprintf(text, sizeof text, "write: %s", reason(errno, why));
			fail_io(s, "write", text);
			return;
		}
		s->out_at += (size_t)n;
	}
	written(s);
}

/* ---- one of ours: connected, answered ---- */

static void
connected(struct stream *s)
{
	struct buf state = BUF_INIT(2 * GOSSIP_STREAM_MAX);
	int number = 0;
	socklen_t size = sizeof number;
	char text[160], why[128];

	if (getsockopt(s->io.fd, SOL_SOCKET, SO_ERROR, &number, &size) == -1)
		number = errno;
	if (number != 0) {
		snprintf(text, sizeof text, "connect: %s", reason(number, why));
		fail_io(s, "dial", text);
		return;
	}
	if (s->purpose == STATES)
		s->transport->ops->state_put(s->transport->ctx, s->join, &state);
	out_begin(s, s->purpose == STATES ? buf_bytes(&state) : buf_bytes(&s->ping), true);
	buf_free(&state);
	ev_timer_again(s->transport->loop, &s->deadline);
	if (count_bytes(s) == -1)
		fail(s, "too much state is under way");
}

static void
answered(struct stream *s, struct bytes message)
{
	struct bytes body = bytes_of(message.data + 1, message.size - 1);
	struct gossip_error refusal;
	struct gossip_ack ack;
	const char *error;

	if (message.data[0] == GOSSIP_ERROR && schema_decode(&gossip_error_schema, body, &refusal, &error) == 0)
		fail(s, "remote error: %.*s", (int)MIN(refusal.error.size, SWIM_ERROR_MAX),
		    refusal.error.size == 0 ? "" : (const char *)refusal.error.data);
	else if (s->purpose == STATES && message.data[0] == GOSSIP_PUSH_PULL)
		finish(s, NULL, body);
	else if (s->purpose == PING && message.data[0] == GOSSIP_ACK) {
		if (schema_decode(&gossip_ack_schema, body, &ack, &error) == 0 && ack.seq == s->seq)
			s->transport->ops->stream_acked(s->transport->ctx, s->seq);
		stream_free(s);
	} else
		fail(s, "received invalid msgType (%u), expected %u", message.data[0],
		    s->purpose == STATES ? GOSSIP_PUSH_PULL : GOSSIP_ACK);
}

/* ---- one of theirs ---- */

/* He is told why. */
static void
refuse(struct stream *s, const char *why)
{
	struct gossip_error e = {.error = bytes_str(why)};
	struct buf message = BUF_INIT(GOSSIP_PACKET_MAX);

	s->refused = true;
	gossip_message_put(&message, GOSSIP_ERROR, &gossip_error_schema, &e);
	out_begin(s, buf_bytes(&message), false);
	buf_free(&message);
}

static void
states_answer(struct stream *s, struct bytes body)
{
	struct transport *t = s->transport;
	struct buf state = BUF_INIT(2 * GOSSIP_STREAM_MAX);
	char error[SWIM_ERROR_MAX], text[NET_ADDR_TEXT_MAX];
	unsigned suppressed;
	int refused;

	t->ops->state_put(t->ctx, mp_find_bool(body, "Join"), &state);
	refused = t->ops->state_take(t->ctx, body, error);
	if (refused == ADMIT_APART)
		refuse(s, error);
	else
		out_begin(s, buf_bytes(&state), false);
	buf_free(&state);
	if (refused != 0 && log_allowed(&t->bad_streams, LOG_BURST, &suppressed))
		log_errorx(t->config.module, "memberlist: Failed push/pull merge: %s from=%s", error,
		    net_addr_text_port(&s->peer, text));
}

static void
inbound_message(struct stream *s, struct bytes message)
{
	struct bytes body = bytes_of(message.data + 1, message.size - 1);
	struct buf answer = BUF_INIT(GOSSIP_PACKET_MAX);

	switch (message.data[0]) {
	case GOSSIP_PUSH_PULL:
		states_answer(s, body);
		break;
	case GOSSIP_PING:
		if (s->transport->ops->ping(s->transport->ctx, body, &answer) == 0)
			out_begin(s, buf_bytes(&answer), false);
		else
			stream_free(s);
		buf_free(&answer);
		break;
	case GOSSIP_USER:
		s->transport->ops->user(s->transport->ctx, stream_user_message(message));
		stream_free(s);
		break;
	default:
		fail(s, "received invalid msgType (%u)", message.data[0]);
	}
}

/* What came can not be read. */
static void
inbound_refuse(struct stream *s, const char *why)
{
	char text[NET_ADDR_TEXT_MAX];
	unsigned suppressed;

	if (log_allowed(&s->transport->bad_streams, LOG_BURST, &suppressed))
		log_errorx(s->transport->config.module, "memberlist: failed to receive: %s from=%s suppressed=%u", why,
		    net_addr_text_port(&s->peer, text), suppressed);
	refuse(s, why);
}

/* ---- reading ---- */

static void
take(struct stream *s)
{
	struct bytes message;
	const char *why = "";
	int n = stream_reader_next(&s->reader, s->transport->config.envelope, s->purpose == INBOUND, &message, &why);

	if (n == 0 && count_bytes(s) == -1)
		fail(s, "too much state is under way");
	else if (n == -1 && s->purpose == INBOUND)
		inbound_refuse(s, why);
	else if (n == -1)
		fail(s, "%s", why);
	else if (n == 1 && s->purpose == INBOUND)
		inbound_message(s, message);
	else if (n == 1)
		answered(s, message);
}

enum outcome { MORE, LATER, GONE };

/* GONE: s has been freed. */
static enum outcome
read_some(struct stream *s)
{
	static uint8_t space[READ_BYTES];
	ssize_t n = recv(s->io.fd, space, sizeof space, MSG_DONTWAIT);
	char text[160], why[128];

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return LATER;
	if (s->stage == DRAINING) {
		if (n > 0)
			return MORE;
		stream_free(s);
		return GONE;
	}
	if (n == -1) {
		snprintf(text, sizeof text, "read: %s", reason(errno, why));
		fail_io(s, "read", text);
		return GONE;
	}
	if (n == 0) {
		if (s->purpose == INBOUND && s->reader.in.used == 0)
			stream_free(s); /* somebody looked whether the port is open */
		else
			fail(s, "EOF");
		return GONE;
	}
	buf_put(&s->reader.in, space, (size_t)n);
	return s->reader.in.overflow || (size_t)n < sizeof space ? LATER : MORE;
}

static void
on_readable(struct stream *s)
{
	size_t before = s->reader.in.used;
	enum outcome outcome = MORE;

	for (int i = 0; i < READ_ROUNDS && outcome == MORE; i++)
		outcome = read_some(s);
	if (outcome == GONE || s->stage != READING || s->reader.in.used == before)
		return;
	if (s->reader.in.overflow)
		fail(s, "Remote node state is larger than limit");
	else
		take(s);
}

static void
on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct stream *s = io->data;

	(void)loop, (void)events;
	switch (s->stage) {
	case DIALLING:
		connected(s);
		break;
	case WRITING:
		write_some(s);
		break;
	case READING:
	case DRAINING:
		on_readable(s);
		break;
	}
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct stream *s = timer->data;
	char text[160], why[128];

	(void)loop, (void)events;
	if (s->stage == DRAINING)
		stream_free(s);
	else if (s->dial_error != 0) {
		snprintf(text, sizeof text, "connect: %s", reason(s->dial_error, why));
		fail_io(s, "dial", text);
	} else
		fail_io(s, s->stage == WRITING ? "write" : "read", "i/o timeout");
}

/* ---- beginning ---- */

void
stream_accept(struct transport *t, int fd, const union net_addr *from)
{
	struct stream *s;
	char text[NET_ADDR_TEXT_MAX];
	unsigned suppressed;

	if (t->in_count >= STREAMS_IN_MAX) {
		if (log_allowed(&t->bad_streams, LOG_BURST, &suppressed))
			log_errorx(t->config.module, "memberlist: Too many pending push/pull requests from=%s",
			    net_addr_text_port(from, text));
		close(fd);
		return;
	}
	s = stream_new(t, INBOUND, from);
	s->stage = READING;
	s->io.fd = fd;
	watch(s, EV_READ);
}

/* NULL: too many. A failure to dial is told later, from the loop. */
static struct stream *
dial(struct transport *t, enum purpose purpose, const struct swim_address *to)
{
	union net_addr peer;
	struct stream *s;
	int fd;

	if (t->out_count >= STREAMS_OUT_MAX)
		return NULL;
	transport_net_addr_of(to, &peer);
	s = stream_new(t, purpose, &peer);
	s->stage = DIALLING;
	fd = socket(peer.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd != -1 && (connect(fd, &peer.sa, net_addr_len(&peer)) == 0 || errno == EINPROGRESS)) {
		s->io.fd = fd;
		watch(s, EV_WRITE);
		return s;
	}
	s->dial_error = errno;
	if (fd != -1)
		close(fd);
	ev_timer_stop(t->loop, &s->deadline);
	ev_timer_set(&s->deadline, 0., 0.);
	ev_timer_start(t->loop, &s->deadline);
	return s;
}

struct stream *
transport_push_pull(struct transport *t, const struct swim_address *to, bool join, transport_done *done, void *ctx)
{
	struct stream *s = dial(t, STATES, to);

	if (s == NULL)
		return NULL;
	s->join = join;
	s->done = done;
	s->ctx = ctx;
	return s;
}

void
transport_cancel(struct stream *s)
{
	s->done = NULL;
	stream_free(s);
}

void
transport_stream_ping(struct transport *t, const struct swim_address *to, struct bytes message, uint32_t seq)
{
	struct stream *s = dial(t, PING, to);

	if (s == NULL)
		return;
	s->seq = seq;
	buf_put_bytes(&s->ping, message);
}

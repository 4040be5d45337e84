/*
 * stream_reader.c - taking apart what comes by stream (contract: stream_reader.h)
 */
#include "stream_reader.h"

#include "mem.h"

#define BODY_SMALL_MAX 8192 /* of all kinds but push/pull and user messages */

void
stream_reader_init(struct stream_reader *r)
{
	*r = (struct stream_reader){
	    .in = BUF_INIT(STREAM_IN_MAX), .plain = BUF_INIT(STREAM_IN_MAX), .expanded = BUF_INIT(STREAM_EXPANDED_MAX)};
}

void
stream_reader_free(struct stream_reader *r)
{
	buf_free(&r->in);
	buf_free(&r->plain);
	buf_free(&r->expanded);
}

/* Bytes of the map that body begins with; 0: it is not whole. */
static size_t
map_bytes(struct bytes body)
{
	struct mp in = mp_of(body);

	if (mp_peek(&in) != MP_MAP)
		return 0;
	mp_skip(&in);
	return mp_ok(&in) ? (size_t)(in.at - body.data) : 0;
}

static int
more(bool whole, const char **why)
{
	if (!whole)
		return 0;
	*why = "message is cut off";
	return -1;
}

static int
user_next(struct bytes body, bool whole, const char **why)
{
	size_t head_bytes = map_bytes(body);
	struct gossip_user_head head;
	struct mp in = mp_of(body);

	if (head_bytes == 0) {
		if (body.size < BODY_SMALL_MAX)
			return more(whole, why);
		*why = "bad user message";
		return -1;
	}
	if (schema_decode_at(&gossip_user_head_schema, &in, &head, why) == -1)
		return -1;
	if (head.bytes > GOSSIP_STREAM_MAX) {
		*why = "user message is larger than limit";
		return -1;
	}
	return body.size - head_bytes >= head.bytes ? 1 : more(whole, why);
}

struct bytes
stream_user_message(struct bytes message)
{
	struct bytes body = bytes_of(message.data + 1, message.size - 1);
	size_t head_bytes = map_bytes(body);

	return bytes_of(body.data + head_bytes, (size_t)mp_find_uint(body, "UserMsgLen"));
}

/* A message that is neither sealed nor compressed any more. */
static int
plain_next(struct stream_reader *r, struct bytes *message, bool whole, const char **why)
{
	struct bytes body = bytes_of(message->data + 1, message->size - 1);
	size_t size;
	int n;

	switch (message->data[0]) {
	case GOSSIP_PUSH_PULL:
		n = swim_state_scan(&r->progress, body, &size);
		if (n == -1)
			*why = "bad state";
		if (n == 1)
			message->size = 1 + size;
		return n == 0 ? more(whole, why) : n;
	case GOSSIP_USER:
		return user_next(body, whole, why);
	case GOSSIP_PING:
	case GOSSIP_ACK:
	case GOSSIP_ERROR:
		if (map_bytes(body) > 0)
			return 1;
		if (body.size < BODY_SMALL_MAX)
			return more(whole, why);
		*why = "message is larger than limit";
		return -1;
	default:
		*why = "unknown message type";
		return -1;
	}
}

int
stream_reader_next(
    struct stream_reader *r, const struct envelope *e, bool from_opener, struct bytes *message, const char **why)
{
	bool whole;
	int n;

	if (r->expanded.used == 0) {
		n = envelope_stream_open(e, buf_bytes(&r->in), from_opener, &r->plain, message, &whole, why);
		if (n != 1)
			return n;
		if (message->size == 0)
			return more(whole, why);
		if (message->data[0] != GOSSIP_COMPRESSED)
			return plain_next(r, message, whole, why);
		if (map_bytes(bytes_of(message->data + 1, message->size - 1)) == 0)
			return more(whole, why);
		if (envelope_expand(bytes_of(message->data + 1, message->size - 1), &r->expanded) == -1) {
			*why = "failed to decompress";
			return -1;
		}
	}
	*message = buf_bytes(&r->expanded);
	if (message->size == 0 || message->data[0] == GOSSIP_COMPRESSED) {
		*why = "bad compressed message";
		return -1;
	}
	return plain_next(r, message, true, why);
}

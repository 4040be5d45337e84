/*
 * frame.c - the frame of the suite's Unix sockets (contract and format: frame.h, consuld-protocol(7))
 */
#include "frame.h"

#include "mem.h"

/* Each kind's largest payload and whether it may name further streams. */
static size_t
payload_max(uint8_t kind)
{
	switch ((enum frame_kind)kind) {
	case FRAME_HELLO:
		return 256;
	case FRAME_REQUEST:
		return FRAME_REQUEST_BYTES_MAX;
	case FRAME_REPLY:
	case FRAME_DATA:
		return FRAME_REPLY_BYTES_MAX;
	case FRAME_CANCEL:
		return 0;
	case FRAME_WINDOW:
		return 4;
	}
	return 0;
}

int
frame_decode(struct bytes in, struct frame *out, size_t *used, size_t *need)
{
	const uint8_t *p = in.data;
	size_t length, names;
	uint8_t kind;

	*need = FRAME_HEAD_BYTES;
	if (in.size < FRAME_HEAD_BYTES)
		return 0;
	length = be32_at(p);
	kind = p[4];
	if (kind < FRAME_HELLO || kind > FRAME_WINDOW || (p[5] & ~FRAME_FD) != 0)
		return -1;
	out->kind = kind;
	out->flags = p[5];
	out->more_streams = be16_at(p + 6);
	out->stream = be32_at(p + 8);
	names = (size_t)out->more_streams * 4;
	if ((out->stream == 0) != (kind == FRAME_HELLO) || (names > 0 && kind != FRAME_REPLY) || names > length ||
	    length - names > payload_max(kind) || (kind == FRAME_WINDOW && length != 4))
		return -1;
	*need = FRAME_HEAD_BYTES + length;
	if (in.size < *need)
		return 0;
	out->streams = p + FRAME_HEAD_BYTES;
	out->payload = bytes_of(out->streams + names, length - names);
	*used = *need;
	return 1;
}

void
frame_put_head(
    struct buf *out, enum frame_kind kind, unsigned flags, uint32_t stream, uint16_t more_streams, size_t payload)
{
	uint8_t *p = buf_space(out, FRAME_HEAD_BYTES);
	size_t length = payload + (size_t)more_streams * 4;

	if (p == NULL)
		return;
	p[0] = (uint8_t)(length >> 24);
	p[1] = (uint8_t)(length >> 16);
	p[2] = (uint8_t)(length >> 8);
	p[3] = (uint8_t)length;
	p[4] = (uint8_t)kind;
	p[5] = (uint8_t)flags;
	p[6] = (uint8_t)(more_streams >> 8);
	p[7] = (uint8_t)more_streams;
	p[8] = (uint8_t)(stream >> 24);
	p[9] = (uint8_t)(stream >> 16);
	p[10] = (uint8_t)(stream >> 8);
	p[11] = (uint8_t)stream;
	buf_commit(out, FRAME_HEAD_BYTES);
}

void
frame_set_length(struct buf *out, size_t start)
{
	size_t length = out->used - start - FRAME_HEAD_BYTES;

	if (out->overflow)
		return;
	out->data[start] = (uint8_t)(length >> 24);
	out->data[start + 1] = (uint8_t)(length >> 16);
	out->data[start + 2] = (uint8_t)(length >> 8);
	out->data[start + 3] = (uint8_t)length;
}

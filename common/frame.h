/*
 * frame.h - the frame of the suite's Unix sockets (man/consuld-protocol.7)
 *
 * Twelve bytes, big-endian: payload length (4), kind (1), flags (1), number of further streams (2),
 * stream (4). If the number n of further streams is not 0, the payload begins with n stream numbers of 4 bytes.
 *
 *	HELLO	stream 0: text "consuld 1 PROGRAM"; the first frame in each direction
 *	REQUEST	opens the stream: msgpack text (method), msgpack value (arguments)
 *	REPLY	ends the stream(s): msgpack text (error, empty: success), msgpack integer (wanted HTTP status, 0: none), msgpack value
 *	DATA	one element of a stream that goes on: msgpack value
 *	CANCEL	the opener has lost interest; the stream is ended, no answer follows
 *	WINDOW	payload: 4 bytes, so many more bytes of DATA payload may be sent on the stream
 *
 * The dialling side opens odd streams, the listening side even ones. Stream numbers are not used twice on a connection
 * until they wrap. A descriptor travels with the first byte of the frame that has FRAME_FD set.
 */
#ifndef COMMON_FRAME_H
#define COMMON_FRAME_H

#include "buf.h"
#include "cdefs.h"

#define FRAME_HEAD_BYTES 12
#define FRAME_REQUEST_BYTES_MAX (8u * 1024 * 1024)
#define FRAME_REPLY_BYTES_MAX (256u * 1024 * 1024)
#define FRAME_STREAMS_MAX 65535

enum frame_kind { FRAME_HELLO = 1, FRAME_REQUEST, FRAME_REPLY, FRAME_DATA, FRAME_CANCEL, FRAME_WINDOW };

#define FRAME_FD 1u /* flags: a descriptor comes with this frame */

struct frame {
	enum frame_kind kind;
	unsigned flags;
	uint32_t stream;
	uint16_t more_streams; /* their numbers: be32 at streams */
	const uint8_t *streams;
	struct bytes payload; /* behind the stream numbers */
};

/*
 * Decodes the frame at the front of in. 1: *out is set (pointing into in) and *used is its size. 0: incomplete; *need is the total
 * size once the head is there, else FRAME_HEAD_BYTES. -1: not a frame of ours (bad kind, flags or length); drop the connection.
 */
MUST_USE int frame_decode(struct bytes in, struct frame *out, size_t *used, size_t *need);
void frame_put_head(
    struct buf *out, enum frame_kind kind, unsigned flags, uint32_t stream, uint16_t more_streams, size_t payload);
/* The frame whose head stands at start of out ends here: its length becomes what was put behind the head. Nothing if out has overflowed. */
void frame_set_length(struct buf *out, size_t start);

#endif

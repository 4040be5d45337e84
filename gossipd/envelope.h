/*
 * envelope.h - what is around gossip messages: label, encryption, checksum, compression, compounds
 *
 * Pure but for the random nonces. Packets: label( sealed( crc( compressed( message or compound )))). Streams: label once by whoever
 * opens, then in each direction one message, compressed and sealed. Encryption is AES-GCM with the label (packets) or the stream's
 * head and the label as authenticated data; version 1 (no padding) is written, versions 0 and 1 are read. With keys in the ring aead_load()
 * must have succeeded.
 */
#ifndef GOSSIPD_ENVELOPE_H
#define GOSSIPD_ENVELOPE_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "keyring.h"

#define ENVELOPE_LABEL_MAX 255
#define ENVELOPE_SEAL_BYTES 29 /* what sealing adds */
#define ENVELOPE_STREAM_HEAD_BYTES 5
#define ENVELOPE_NESTING_MAX 8 /* compounds and compressions within each other */

struct envelope {
	struct keyring *ring;
	bool verify_incoming; /* with keys: what is not sealed is dropped */
	bool verify_outgoing; /* with keys: what leaves is sealed */
	bool compress;
	struct bytes label; /* empty: none */
};

/* Bytes that sealing and label add to a packet. */
size_t envelope_overhead(const struct envelope *e);

/* Appends the packet that carries message (type byte and body, or a compound). crc: the receiver understands checksums. */
void envelope_packet_put(const struct envelope *e, struct bytes message, bool crc, struct buf *out);
/*
 * What a packet carries, without label, seal and checksum; points into packet or into scratch (cleared first).
 * -1: not for us; *why is a static text.
 */
MUST_USE int envelope_packet_open(
    const struct envelope *e, struct bytes packet, struct buf *scratch, struct bytes *message, const char **why);

/*
 * Hands out the single messages of message: takes compounds and compression apart. A part is valid during its call.
 * Returns the number of parts that were cut off or not understood.
 */
typedef void envelope_part_fn(void *ctx, struct bytes message);
unsigned envelope_parts(struct bytes message, envelope_part_fn *each, void *ctx);

/* Begins a compound of count (up to 255) messages; the lengths and then the messages follow by the caller: compound_put does all. */
void envelope_compound_put(const struct bytes *messages, size_t count, struct buf *out);

/* Appends one stream message. opener: we opened the connection, the label goes first. */
void envelope_stream_put(const struct envelope *e, struct bytes message, bool opener, struct buf *out);
/*
 * Looks at what has come of a stream: 0: more is needed; 1: *message is what it carries so far, *whole whether it can not grow
 * any more (it was sealed); -1: *why says what is wrong. from_opener: it begins with the label. Compression is taken off by
 * envelope_expand when the compressed message is there as a whole.
 */
MUST_USE int envelope_stream_open(const struct envelope *e, struct bytes stream, bool from_opener, struct buf *scratch,
    struct bytes *message, bool *whole, const char **why);
/* Expands a COMPRESSED message's body (behind the type byte) into out (appended). -1: bad, or beyond out's maximum. */
MUST_USE int envelope_expand(struct bytes body, struct buf *out);

#endif

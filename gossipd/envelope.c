/*
 * envelope.c - around gossip messages (contract: envelope.h; callers: transport.c, fuzz targets)
 */
#include "envelope.h"

#include <string.h>

#include "aead.h"
#include "log.h"
#include "lzw.h"
#include "mem.h"
#include "uuid.h"
#include "wire.h"

#define PADDED_SEAL_BYTES 45               /* version 0, at least */
#define PACKET_EXPANDED_MAX (1024u * 1024) /* of a compressed packet: no honest one had more than GOSSIP_PACKET_MAX */
#define COMPOUND_PARTS_MAX 255

/* ---- checksum: CRC-32 (IEEE 802.3), reflected ---- */

static uint32_t
crc32(struct bytes data)
{
	static uint32_t table[256];
	uint32_t crc = UINT32_MAX;

	if (table[1] == 0)
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int bit = 0; bit < 8; bit++)
				c = (c & 1) != 0 ? c >> 1 ^ UINT32_C(0xedb88320) : c >> 1;
			table[i] = c;
		}
	for (size_t i = 0; i < data.size; i++)
		crc = table[(crc ^ data.data[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

/* ---- sealing ---- */

/* Appends version, nonce, ciphertext, tag. aad: up to two runs, one behind the other. */
static void
seal(const struct keyring_key *key, struct bytes plain, const struct bytes aad[2], struct buf *out)
{
	uint8_t *to = buf_space(out, plain.size + ENVELOPE_SEAL_BYTES);

	if (to == NULL)
		return;
	to[0] = 1;
	random_bytes(to + 1, AEAD_NONCE_BYTES);
	aead_seal(key, to + 1, aad, plain, to + 1 + AEAD_NONCE_BYTES);
	buf_commit(out, plain.size + ENVELOPE_SEAL_BYTES);
}

static bool
open_with(const struct keyring_key *key, struct bytes sealed, const struct bytes aad[2], uint8_t *plain)
{
	const uint8_t *nonce = sealed.data + 1;

	return aead_open(
	    key, nonce, aad, bytes_of(nonce + AEAD_NONCE_BYTES, sealed.size - 1 - AEAD_NONCE_BYTES), plain);
}

/* Any key of the ring may have sealed it. Appends the plain text to out. */
static int
unseal(const struct keyring *ring, struct bytes sealed, const struct bytes aad[2], struct buf *out)
{
	uint8_t *plain;
	size_t size;

	if (sealed.size < ENVELOPE_SEAL_BYTES || sealed.data[0] > 1 ||
	    (sealed.data[0] == 0 && sealed.size < PADDED_SEAL_BYTES))
		return -1;
	size = sealed.size - ENVELOPE_SEAL_BYTES;
	plain = buf_space(out, size + 1);
	if (plain == NULL)
		return -1;
	for (size_t i = 0; i < ring->count; i++) {
		if (!open_with(&ring->keys[i], sealed, aad, plain))
			continue;
		if (sealed.data[0] == 0) {
			uint8_t padding = plain[size - 1];

			if (padding == 0 || padding > 16 || padding > size)
				return -1;
			size -= padding;
		}
		buf_commit(out, size);
		return 0;
	}
	return -1;
}

/* ---- compression ---- */

int
envelope_expand(struct bytes body, struct buf *out)
{
	struct gossip_compressed c;
	const char *error;

	if (schema_decode(&gossip_compressed_schema, body, &c, &error) == -1 || c.algorithm != 0)
		return -1;
	return lzw_expand(c.data, out);
}

static void
compress(struct bytes message, struct buf *out)
{
	static struct buf packed = BUF_INIT(2 * GOSSIP_STREAM_MAX);
	struct gossip_compressed c = {0};

	buf_clear(&packed);
	lzw_compress(message, &packed);
	c.data = buf_bytes(&packed);
	gossip_message_put(out, GOSSIP_COMPRESSED, &gossip_compressed_schema, &c);
	if (packed.size > 1024 * 1024)
		buf_free(&packed);
}

/* ---- packets ---- */

static bool
seals(const struct envelope *e)
{
	return e->ring->count > 0 && e->verify_outgoing;
}

size_t
envelope_overhead(const struct envelope *e)
{
	return (e->label.size > 0 ? 2 + e->label.size : 0) + (seals(e) ? ENVELOPE_SEAL_BYTES : 0);
}

static void
label_put(const struct envelope *e, struct buf *out)
{
	if (e->label.size == 0)
		return;
	buf_put_u8(out, GOSSIP_LABEL);
	buf_put_u8(out, (uint8_t)e->label.size);
	buf_put_bytes(out, e->label);
}

void
envelope_packet_put(const struct envelope *e, struct bytes message, bool crc, struct buf *out)
{
	static struct buf packed = BUF_INIT(2 * GOSSIP_PACKET_MAX), summed = BUF_INIT(2 * GOSSIP_PACKET_MAX);
	const struct bytes aad[2] = {e->label};

	if (e->compress) {
		buf_clear(&packed);
		compress(message, &packed);
		if (packed.used < message.size)
			message = buf_bytes(&packed);
	}
	if (crc) {
		buf_clear(&summed);
		buf_put_u8(&summed, GOSSIP_HAS_CRC);
		buf_put_be32(&summed, crc32(message));
		buf_put_bytes(&summed, message);
		message = buf_bytes(&summed);
	}
	label_put(e, out);
	if (seals(e))
		seal(&e->ring->keys[0], message, aad, out);
	else
		buf_put_bytes(out, message);
}

/* Takes the label off. -1: it is another one. */
static int
label_take(const struct envelope *e, struct bytes *in, const char **why)
{
	struct bytes label = {NULL, 0};

	if (in->size > 0 && in->data[0] == GOSSIP_LABEL) {
		if (in->size < 2 || in->data[1] == 0 || in->size < 2 + (size_t)in->data[1]) {
			*why = "label header is cut off";
			return -1;
		}
		label = (struct bytes){in->data + 2, in->data[1]};
		in->data += 2 + label.size;
		in->size -= 2 + label.size;
	}
	if (label.size != e->label.size || (label.size > 0 && memcmp(label.data, e->label.data, label.size) != 0)) {
		*why = "unexpected label";
		return -1;
	}
	return 0;
}

int
envelope_packet_open(
    const struct envelope *e, struct bytes packet, struct buf *scratch, struct bytes *message, const char **why)
{
	const struct bytes aad[2] = {e->label};
	struct bytes in = packet;

	buf_clear(scratch);
	if (label_take(e, &in, why) == -1)
		return -1;
	if (e->ring->count > 0) {
		if (unseal(e->ring, in, aad, scratch) == 0)
			in = buf_bytes(scratch);
		else if (e->verify_incoming) {
			*why = "no installed keys could decrypt the message";
			return -1;
		}
	}
	if (in.size >= 5 && in.data[0] == GOSSIP_HAS_CRC) {
		struct bytes summed = {in.data + 5, in.size - 5};

		if (crc32(summed) != be32_at(in.data + 1)) {
			*why = "checksum does not match";
			return -1;
		}
		in = summed;
	}
	if (in.size == 0) {
		*why = "empty packet";
		return -1;
	}
	*message = in;
	return 0;
}

static unsigned parts(struct bytes message, unsigned depth, envelope_part_fn *each, void *ctx);

static unsigned
compound_parts(struct bytes body, unsigned depth, envelope_part_fn *each, void *ctx)
{
	unsigned count, lost = 0;
	size_t at;

	if (body.size < 1 || body.size - 1 < 2 * (size_t)body.data[0])
		return 1;
	count = body.data[0];
	at = 1 + 2 * (size_t)count;
	for (unsigned i = 0; i < count; i++) {
		size_t size = be16_at(body.data + 1 + 2 * i);

		if (size > body.size - at)
			return lost + count - i;
		lost += parts((struct bytes){body.data + at, size}, depth, each, ctx);
		at += size;
	}
	return lost;
}

static unsigned
parts(struct bytes message, unsigned depth, envelope_part_fn *each, void *ctx)
{
	struct bytes body = {message.data + 1, message.size - 1};
	unsigned lost = 1;

	if (message.size == 0 || depth > ENVELOPE_NESTING_MAX)
		return 1;
	if (message.data[0] == GOSSIP_COMPOUND)
		return compound_parts(body, depth + 1, each, ctx);
	if (message.data[0] == GOSSIP_COMPRESSED) {
		struct buf plain = BUF_INIT(PACKET_EXPANDED_MAX);

		if (envelope_expand(body, &plain) == 0)
			lost = parts(buf_bytes(&plain), depth + 1, each, ctx);
		buf_free(&plain);
		return lost;
	}
	each(ctx, message);
	return 0;
}

unsigned
envelope_parts(struct bytes message, envelope_part_fn *each, void *ctx)
{
	return parts(message, 0, each, ctx);
}

void
envelope_compound_put(const struct bytes *messages, size_t count, struct buf *out)
{
	if (count > COMPOUND_PARTS_MAX)
		panic("gossip: a compound of %zu messages", count);
	buf_put_u8(out, GOSSIP_COMPOUND);
	buf_put_u8(out, (uint8_t)count);
	for (size_t i = 0; i < count; i++)
		buf_put_be16(out, (uint16_t)messages[i].size);
	for (size_t i = 0; i < count; i++)
		buf_put_bytes(out, messages[i]);
}

/* ---- streams ---- */

void
envelope_stream_put(const struct envelope *e, struct bytes message, bool opener, struct buf *out)
{
	struct buf packed = BUF_INIT(2 * GOSSIP_STREAM_MAX);
	uint8_t head[ENVELOPE_STREAM_HEAD_BYTES];
	size_t sealed;

	if (e->compress) {
		compress(message, &packed);
		message = buf_bytes(&packed);
	}
	if (opener)
		label_put(e, out);
	if (seals(e)) {
		sealed = message.size + ENVELOPE_SEAL_BYTES;
		head[0] = GOSSIP_ENCRYPTED;
		for (int i = 0; i < 4; i++)
			head[1 + i] = (uint8_t)(sealed >> (24 - 8 * i));
		buf_put(out, head, sizeof head);
		seal(&e->ring->keys[0], message, (const struct bytes[2]){{head, sizeof head}, e->label}, out);
	} else
		buf_put_bytes(out, message);
	buf_free(&packed);
}

int
envelope_stream_open(const struct envelope *e, struct bytes stream, bool from_opener, struct buf *scratch,
    struct bytes *message, bool *whole, const char **why)
{
	struct bytes in = stream;
	size_t sealed;

	*whole = false;
	if (in.size == 0)
		return 0;
	if (from_opener) {
		if (in.data[0] == GOSSIP_LABEL && (in.size < 2 || in.size < 2 + (size_t)in.data[1]))
			return 0;
		if (label_take(e, &in, why) == -1)
			return -1;
		if (in.size == 0)
			return 0;
	}
	if (in.data[0] != GOSSIP_ENCRYPTED) {
		if (e->ring->count > 0 && e->verify_incoming) {
			*why = "Encryption is configured but remote state is not encrypted";
			return -1;
		}
		*message = in;
		return 1;
	}
	if (e->ring->count == 0) {
		*why = "Remote state is encrypted and encryption is not configured";
		return -1;
	}
	if (in.size < ENVELOPE_STREAM_HEAD_BYTES)
		return 0;
	sealed = be32_at(in.data + 1);
	if (sealed > GOSSIP_STREAM_MAX) {
		*why = "Remote node state is larger than limit";
		return -1;
	}
	if (in.size - ENVELOPE_STREAM_HEAD_BYTES < sealed)
		return 0;
	buf_clear(scratch);
	if (unseal(e->ring, (struct bytes){in.data + ENVELOPE_STREAM_HEAD_BYTES, sealed},
		(const struct bytes[2]){{in.data, ENVELOPE_STREAM_HEAD_BYTES}, e->label}, scratch) == -1) {
		*why = "No installed keys could decrypt the message";
		return -1;
	}
	*message = buf_bytes(scratch);
	*whole = true;
	return 1;
}

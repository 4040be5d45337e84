/*
 * message.c - node IDs, configuration entries, messages between servers (contract: message.h; callers: node.c, the simulator)
 *
 * A message is one version byte, then fixed fields, all big-endian:
 *	type (1) flags (1) from (16) to (16) term (8) index (8) log term (8) hint index (8) hint term (8) commit (8)
 *	round (8) lease in ns (8) life (8) entries (4) runs (4) offset (8) size (8) bytes (4)
 * and then, APPEND: for each run: first (8) term (8), for each entry: type (1) bytes (4) data; SNAPSHOT: bytes of meta data (4) meta data, the
 * chunk. Fields that a type does not use are 0.
 */
#include "message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "mem.h"
#include "mp.h"
#include "wal.h"

#define MESSAGE_VERSION 4
#define MESSAGE_HEAD_BYTES 135u
#define MESSAGE_REJECT 1u
#define MESSAGE_TRANSFER 2u
#define RUN_BYTES 16u
#define ENTRY_HEAD_BYTES 5u
#define META_HEAD_BYTES 4u

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int
raft_id_parse(const char *text, struct raft_id *out)
{
	uint64_t half[2] = {0, 0};
	unsigned digits = 0;

	if (!uuid_is_valid(bytes_str(text)))
		return -1;
	for (; *text != '\0'; text++) {
		if (*text == '-')
			continue;
		half[digits / 16] = half[digits / 16] << 4 | (unsigned)hex_digit(*text);
		digits++;
	}
	*out = (struct raft_id){half[0], half[1]};
	return raft_id_is_none(*out) ? -1 : 0;
}

char *
raft_id_format(struct raft_id id, char out[UUID_TEXT_SIZE])
{
	snprintf(out, UUID_TEXT_SIZE, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
	    id.high >> 32, id.high >> 16 & 0xffff, id.high & 0xffff, id.low >> 48, id.low & 0xffffffffffff);
	return out;
}

void
raft_id_to_bytes(struct raft_id id, uint8_t out[16])
{
	for (int i = 0; i < 8; i++) {
		out[i] = (uint8_t)(id.high >> (56 - 8 * i));
		out[8 + i] = (uint8_t)(id.low >> (56 - 8 * i));
	}
}

struct raft_id
raft_id_from_bytes(const uint8_t bytes[16])
{
	return (struct raft_id){be64_at(bytes), be64_at(bytes + 8)};
}

/* ---- configurations ---- */

void
configuration_encode(const struct configuration *c, struct buf *out)
{
	char id[UUID_TEXT_SIZE];
	bool tagged = !raft_id_is_none(c->cluster);

	mp_put_map(out, tagged ? 2 : 1);
	mp_put_cstr(out, "Servers");
	mp_put_array(out, (uint32_t)c->count);
	for (size_t i = 0; i < c->count; i++) {
		mp_put_map(out, c->members[i].life != 0 ? 4 : 3);
		mp_put_kv_uint(out, "Suffrage", c->members[i].voter ? 0 : 1);
		mp_put_kv_cstr(out, "ID", raft_id_format(c->members[i].id, id));
		mp_put_kv_cstr(out, "Address", c->members[i].address);
		if (c->members[i].life != 0)
			mp_put_kv_uint(out, "Life", c->members[i].life);
	}
	if (tagged)
		mp_put_kv_cstr(out, "Cluster", raft_id_format(c->cluster, id));
}

int
configuration_decode(struct bytes data, struct configuration *out)
{
	struct mp map = mp_of(data), servers;
	struct bytes cluster = mp_find_str(data, "Cluster");
	char text[UUID_TEXT_SIZE];

	out->count = 0;
	out->cluster = (struct raft_id){0};
	if (cluster.size > 0 &&
	    (bytes_to_str(cluster, text, sizeof text) == -1 || raft_id_parse(text, &out->cluster) == -1))
		return -1;
	if (mp_peek(&map) != MP_MAP || !mp_find(map, "Servers", &servers))
		return -1;
	for (uint32_t left = mp_array(&servers); left > 0; left--) {
		struct bytes server = mp_raw(&servers);
		struct member *m = &out->members[out->count];
		char id[UUID_TEXT_SIZE];

		if (out->count == RAFT_MEMBERS_MAX || bytes_to_str(mp_find_str(server, "ID"), id, sizeof id) == -1 ||
		    raft_id_parse(id, &m->id) == -1 ||
		    bytes_to_str(mp_find_str(server, "Address"), m->address, sizeof m->address) == -1 ||
		    configuration_find(out, m->id) != NULL)
			return -1;
		m->voter = mp_find_uint(server, "Suffrage") == 0;
		m->life = mp_find_uint(server, "Life");
		out->count++;
	}
	return mp_ok(&servers) ? 0 : -1;
}

const struct member *
configuration_find(const struct configuration *c, struct raft_id id)
{
	for (size_t i = 0; i < c->count; i++)
		if (raft_id_equal(c->members[i].id, id))
			return &c->members[i];
	return NULL;
}

void
configuration_print(const struct configuration *c, struct buf *out)
{
	char id[UUID_TEXT_SIZE];

	buf_put_str(out, "[");
	for (size_t i = 0; i < c->count; i++)
		buf_printf(out, "%s{Suffrage:%s ID:%s Address:%s}", i == 0 ? "" : " ",
		    c->members[i].voter ? "Voter" : "Nonvoter", raft_id_format(c->members[i].id, id),
		    c->members[i].address);
	buf_put_str(out, "]");
}

void
configuration_members(const struct configuration *c, uint64_t index, struct raft_configuration *out)
{
	*out = (struct raft_configuration){.index = index, .count = c->count};
	for (size_t i = 0; i < c->count; i++)
		out->members[i] = (struct raft_member){c->members[i].id, c->members[i].voter, c->members[i].life};
}

/* ---- messages ---- */

static void
id_put(struct buf *out, struct raft_id id)
{
	buf_put_be64(out, id.high);
	buf_put_be64(out, id.low);
}

static void
head_put(struct buf *out, const struct raft_message *m)
{
	buf_put_u8(out, MESSAGE_VERSION);
	buf_put_u8(out, (uint8_t)m->type);
	buf_put_u8(out, (uint8_t)((m->reject ? MESSAGE_REJECT : 0) | (m->transfer ? MESSAGE_TRANSFER : 0)));
	id_put(out, m->from);
	id_put(out, m->to);
	buf_put_be64(out, m->term);
	buf_put_be64(out, m->index);
	buf_put_be64(out, m->log_term);
	buf_put_be64(out, m->hint_index);
	buf_put_be64(out, m->hint_term);
	buf_put_be64(out, m->commit);
	buf_put_be64(out, m->round);
	buf_put_be64(out, m->lease_ns);
	buf_put_be64(out, m->life);
	buf_put_be32(out, m->entries);
	buf_put_be32(out, m->run_count);
	buf_put_be64(out, m->offset);
	buf_put_be64(out, m->size);
	buf_put_be32(out, m->bytes);
}

void
message_encode_chunk(const struct raft_message *m, struct bytes meta, struct bytes data, struct buf *out)
{
	if (data.size != m->bytes || (m->offset != 0 && meta.size != 0))
		panic(
		    "message: %zu bytes are not the chunk of %" PRIu32 " at %" PRIu64, data.size, m->bytes, m->offset);
	head_put(out, m);
	buf_put_be32(out, (uint32_t)meta.size);
	buf_put_bytes(out, meta);
	buf_put_bytes(out, data);
}

void
message_encode(
    const struct raft_message *m, struct message_entry (*entry)(void *ctx, uint64_t index), void *ctx, struct buf *out)
{
	head_put(out, m);
	for (uint32_t i = 0; i < m->run_count; i++) {
		buf_put_be64(out, m->runs[i].first);
		buf_put_be64(out, m->runs[i].term);
	}
	for (uint32_t i = 0; i < m->entries; i++) {
		struct message_entry e = entry(ctx, m->index + 1 + i);

		buf_put_u8(out, e.type);
		buf_put_be32(out, (uint32_t)e.data.size);
		buf_put_bytes(out, e.data);
	}
}

static int
entries_decode(const uint8_t *at, size_t left, struct message_in *out)
{
	struct raft_message *m = &out->message;

	for (uint32_t i = 0; i < m->entries; i++) {
		uint32_t size;

		if (left < ENTRY_HEAD_BYTES)
			return -1;
		size = be32_at(at + 1);
		if (size > left - ENTRY_HEAD_BYTES)
			return -1;
		out->entries[i] = (struct message_entry){at[0], bytes_of(at + ENTRY_HEAD_BYTES, size)};
		at += ENTRY_HEAD_BYTES + size;
		left -= ENTRY_HEAD_BYTES + size;
	}
	return left == 0 ? 0 : -1;
}

/* Those among the entries: the last ones suffice (raft.h). */
static int
configurations_decode(struct message_in *out)
{
	struct raft_message *m = &out->message;
	struct configuration c;
	uint32_t first = m->entries, count = 0;

	while (first > 0 && count < RAFT_CONFIGURATIONS_MAX)
		count += out->entries[--first].type == WAL_CONFIGURATION;
	if (count == 0)
		return 0;
	out->configurations = xcalloc(count, sizeof *out->configurations);
	m->configurations = out->configurations;
	for (uint32_t i = first; i < m->entries; i++) {
		if (out->entries[i].type != WAL_CONFIGURATION)
			continue;
		if (configuration_decode(out->entries[i].data, &c) == -1)
			return -1;
		configuration_members(&c, m->index + 1 + i, &out->configurations[m->configuration_count++]);
	}
	return 0;
}

static int
chunk_decode(const uint8_t *at, size_t left, struct message_in *out)
{
	const struct raft_message *m = &out->message;
	uint32_t size;

	if (left < META_HEAD_BYTES)
		return -1;
	size = be32_at(at);
	left -= META_HEAD_BYTES;
	if (size > left || left - size != m->bytes || (size != 0 && m->offset != 0))
		return -1;
	out->meta = bytes_of(at + META_HEAD_BYTES, size);
	out->data = bytes_of(at + META_HEAD_BYTES + size, m->bytes);
	return 0;
}

/* What follows the head. */
static int
body_decode(const uint8_t *p, size_t left, struct message_in *out)
{
	struct raft_message *m = &out->message;

	if (m->type != RAFT_APPEND && (m->entries != 0 || m->run_count != 0))
		return -1;
	if (m->type == RAFT_SNAPSHOT)
		return chunk_decode(p, left, out);
	if (m->bytes != 0 || m->entries > RAFT_APPEND_ENTRIES_MAX || m->run_count > m->entries ||
	    left / RUN_BYTES < m->run_count || (left - m->run_count * RUN_BYTES) / ENTRY_HEAD_BYTES < m->entries)
		return -1;
	out->runs = xcalloc(m->run_count + 1, sizeof *out->runs);
	out->entries = xcalloc(m->entries + 1, sizeof *out->entries);
	for (uint32_t i = 0; i < m->run_count; i++, p += RUN_BYTES, left -= RUN_BYTES)
		out->runs[i] = (struct terms_run){be64_at(p), be64_at(p + 8)};
	m->runs = out->runs;
	if (entries_decode(p, left, out) == -1)
		return -1;
	return configurations_decode(out);
}

int
message_decode(struct bytes data, struct message_in *out)
{
	struct raft_message *m = &out->message;
	const uint8_t *p = data.data;

	*out = (struct message_in){0};
	if (data.size < MESSAGE_HEAD_BYTES || p[0] != MESSAGE_VERSION || p[1] < RAFT_VOTE ||
	    p[1] > RAFT_SNAPSHOT_REPLY || (p[2] & ~(MESSAGE_REJECT | MESSAGE_TRANSFER)) != 0)
		return -1;
	m->type = (enum raft_message_type)p[1];
	m->reject = (p[2] & MESSAGE_REJECT) != 0;
	m->transfer = (p[2] & MESSAGE_TRANSFER) != 0;
	m->from = raft_id_from_bytes(p + 3);
	m->to = raft_id_from_bytes(p + 19);
	m->term = be64_at(p + 35);
	m->index = be64_at(p + 43);
	m->log_term = be64_at(p + 51);
	m->hint_index = be64_at(p + 59);
	m->hint_term = be64_at(p + 67);
	m->commit = be64_at(p + 75);
	m->round = be64_at(p + 83);
	m->lease_ns = be64_at(p + 91);
	m->life = be64_at(p + 99);
	m->entries = be32_at(p + 107);
	m->run_count = be32_at(p + 111);
	m->offset = be64_at(p + 115);
	m->size = be64_at(p + 123);
	m->bytes = be32_at(p + 131);
	if (body_decode(p + MESSAGE_HEAD_BYTES, data.size - MESSAGE_HEAD_BYTES, out) == -1) {
		message_in_free(out);
		return -1;
	}
	return 0;
}

void
message_in_free(struct message_in *in)
{
	free(in->runs);
	free(in->entries);
	free(in->configurations);
	*in = (struct message_in){0};
}

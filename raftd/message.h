/*
 * message.h - what Raft's shell writes for others to read: node IDs, configuration entries, messages between servers
 *
 * Pure: bytes in, bytes out. Decoders take any bytes; all counts are bounded before they are believed.
 */
#ifndef RAFTD_MESSAGE_H
#define RAFTD_MESSAGE_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "raft.h"
#include "uuid.h"

#define MEMBER_ADDRESS_MAX 72

struct member {
	struct raft_id id;
	char address[MEMBER_ADDRESS_MAX]; /* host:port, a hint: a member is its ID */
	bool voter;
	uint64_t life; /* of a voter: to whom the vote was given (raft.h) */
};

/* The content of an entry of type WAL_CONFIGURATION. */
struct configuration {
	struct member members[RAFT_MEMBERS_MAX];
	size_t count;
	struct raft_id cluster; /* which cluster's; none: made before there were such tags */
};

/* UUID text (hex in any case); -1: not one, or all zero. */
MUST_USE int raft_id_parse(const char *text, struct raft_id *out);
/* Lower case. Returns out. */
char *raft_id_format(struct raft_id id, char out[UUID_TEXT_SIZE]);
/* 16 bytes, big-endian. */
void raft_id_to_bytes(struct raft_id id, uint8_t out[16]);
struct raft_id raft_id_from_bytes(const uint8_t bytes[16]);

/* msgpack {Servers: [{Suffrage, ID, Address, Life (0: left out)}], Cluster}, Suffrage 0: voter, 1: not. */
void configuration_encode(const struct configuration *c, struct buf *out);
/* -1: not a configuration. */
MUST_USE int configuration_decode(struct bytes data, struct configuration *out);
const struct member *configuration_find(const struct configuration *c, struct raft_id id);
/* As the reference prints it: [{Suffrage:Voter ID:... Address:...} ...]. */
void configuration_print(const struct configuration *c, struct buf *out);

/* What Raft's core is to know of it, as the entry with this index. */
void configuration_members(const struct configuration *c, uint64_t index, struct raft_configuration *out);

/*
 * One message between servers, without its length. For APPEND the content of the entries follows the terms: the encoder asks
 * for each (data valid until it asks for the next), the decoder hands out where they lie. Configurations among them (type
 * WAL_CONFIGURATION) are decoded for the core. For SNAPSHOT the chunk follows, and at offset 0 what describes the snapshot.
 */
struct message_entry {
	uint8_t type;
	struct bytes data;
};
void message_encode(
    const struct raft_message *m, struct message_entry (*entry)(void *ctx, uint64_t index), void *ctx, struct buf *out);

/* A SNAPSHOT; data is m->bytes long, meta empty unless m->offset is 0. Both are the shell's business. */
void message_encode_chunk(const struct raft_message *m, struct bytes meta, struct bytes data, struct buf *out);

/* A decoded message; message.runs and .configurations point to runs and configurations here, entries, meta and data into the bytes that were given. */
struct message_in {
	struct raft_message message;
	struct terms_run *runs;
	struct message_entry *entries;
	struct raft_configuration *configurations; /* the last RAFT_CONFIGURATIONS_MAX */
	struct bytes meta, data;                   /* SNAPSHOT */
};
/* Allocates at most in proportion to data, and RAFT_CONFIGURATIONS_MAX configurations. -1: not a message. */
MUST_USE int message_decode(struct bytes data, struct message_in *out);
void message_in_free(struct message_in *in);

#endif

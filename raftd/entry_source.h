/*
 * entry_source.h - the entries that a message to another server takes along: from memory (tail.h), and what that does not hold any more from the log
 */
#ifndef RAFTD_ENTRY_SOURCE_H
#define RAFTD_ENTRY_SOURCE_H

#include "cdefs.h"
#include "message.h"
#include "raft.h"
#include "tail.h"
#include "wal.h"

struct entry_source;

/* bytes_max: of the entries of one message. */
MUST_USE struct entry_source *entry_source_new(size_t bytes_max);
void entry_source_free(struct entry_source *s);
/* Reads what encoding m will ask for; wal and tail are used until the next load. -1: the log can not be read, error says why. */
MUST_USE int entry_source_load(struct entry_source *s, struct wal *wal, const struct tail *tail,
    const struct raft_message *m, char error[WAL_ERROR_MAX]);
/* For message_encode, ctx is the struct entry_source: an entry of the message that was loaded. Valid until the next load. */
struct message_entry entry_source_get(void *ctx, uint64_t index);
/* Gives memory back that a large message took. */
void entry_source_trim(struct entry_source *s);

#endif

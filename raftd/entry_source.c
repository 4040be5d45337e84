/*
 * entry_source.c - the entries that a message to another server takes along (contract: entry_source.h; callers: node_peers.c, the simulator of servers)
 */
#include "entry_source.h"

#include <inttypes.h>
#include <stdlib.h>

#include "buf.h"
#include "log.h"
#include "mem.h"

#define KEEP_BYTES (64u * 1024)

struct place {
	uint8_t type;
	size_t at, size; /* in bytes */
};

struct entry_source {
	const struct tail *tail;
	uint64_t first; /* index of places[0] */
	struct buf bytes;
	struct place *places;
	size_t count, size;
};

static bool
on_entry(void *ctx, const struct wal_entry *e)
{
	struct entry_source *s = ctx;

	if (s->count == s->size) {
		s->size = s->size == 0 ? 64 : s->size * 2;
		s->places = xreallocarray(s->places, s->size, sizeof *s->places);
	}
	s->places[s->count++] = (struct place){.type = e->type, .at = s->bytes.used, .size = e->data.size};
	buf_put_bytes(&s->bytes, e->data);
	return !s->bytes.overflow;
}

int
entry_source_load(struct entry_source *s, struct wal *wal, const struct tail *tail, const struct raft_message *m,
    char error[WAL_ERROR_MAX])
{
	uint64_t last = MIN(m->index + m->entries, tail_first(tail) - 1);

	s->tail = tail;
	s->first = m->index + 1;
	s->count = 0;
	buf_clear(&s->bytes);
	if (m->type != RAFT_APPEND || last <= m->index)
		return 0;
	return wal_read(wal, m->index + 1, last, on_entry, s, error);
}

struct message_entry
entry_source_get(void *ctx, uint64_t index)
{
	const struct entry_source *s = ctx;
	const struct place *p;
	struct tail_entry e;

	if (index >= tail_first(s->tail)) {
		e = tail_get(s->tail, index);
		return (struct message_entry){e.type, e.data};
	}
	if (index < s->first || index - s->first >= s->count)
		panic("entry_source: entry %" PRIu64 " was not read", index);
	p = &s->places[index - s->first];
	return (struct message_entry){p->type, bytes_of(s->bytes.data + p->at, p->size)};
}

void
entry_source_trim(struct entry_source *s)
{
	if (s->bytes.size > KEEP_BYTES)
		buf_free(&s->bytes);
}

struct entry_source *
entry_source_new(size_t bytes_max)
{
	struct entry_source *s = xcalloc(1, sizeof *s);

	buf_init(&s->bytes, bytes_max);
	return s;
}

void
entry_source_free(struct entry_source *s)
{
	if (s == NULL)
		return;
	buf_free(&s->bytes);
	free(s->places);
	free(s);
}

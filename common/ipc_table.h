/*
 * ipc_table.h - streams of a connection by number (ipc.h; catalogd's yamux.h)
 *
 * The table owns its buckets, whose memory is freed by free(t->buckets), and nothing else. A zeroed table is an empty one.
 */
#ifndef COMMON_IPC_TABLE_H
#define COMMON_IPC_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* What a table of streams holds; first member of the stream's struct. */
struct slot {
	struct slot *next;
	uint32_t id;
};

/* Streams by number. Numbers of one side go up by two, so their lower bits spread well. */
struct table {
	struct slot **buckets;
	size_t size; /* a power of two */
	size_t count;
};

struct slot *ipc_table_find(const struct table *t, uint32_t id); /* NULL: none */
void ipc_table_insert(struct table *t, struct slot *s);
void ipc_table_remove(struct table *t, struct slot *s); /* panics if it is not there */
/*
 * Any one, NULL: empty. *place: 0 at first, then what the last call left, so that whoever empties a table looks at each bucket once.
 */
struct slot *ipc_table_any(const struct table *t, size_t *place);

#endif

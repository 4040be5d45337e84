/*
 * cache.h - what the catalog says, kept fresh by catalogd's change notices, and the packets made from it
 *
 * An entry is one answer of catalogd (the healthy instances of a service under one tag, or one node), decoded. catalogd's Subscribe stream names
 * what changed, in order with its replies on the same connection, so an entry that is there is as fresh as an answer asked for now.
 * While catalogd is away entries are served as they are if stale answers are allowed; when it is back everything is dropped.
 *
 * Bounds: CACHE_ENTRIES_MAX entries, CACHE_BYTES_MAX bytes with their packets; the least recently used go first. Unknown names are entries, too.
 */
#ifndef DNSD_CACHE_H
#define DNSD_CACHE_H

#include <stdbool.h>

#include "answer.h"
#include "daemon.h"
#include "packet.h"

#define CACHE_ENTRIES_MAX 65536
#define CACHE_BYTES_MAX (64u * 1024 * 1024)
#define CACHE_LOOKUPS_MAX 4096 /* under way */

enum cache_kind { CACHE_SERVICE, CACHE_CONNECT, CACHE_INGRESS, CACHE_NODE };

struct cache;
struct cache_entry;

MUST_USE struct cache *cache_new(struct daemon *d, const struct settings *settings);
void cache_free(struct cache *c);
/* New settings may select other instances: everything is dropped. */
void cache_reload(struct cache *c, const struct settings *settings);

/* The entry if it is there and may be served, else NULL. name and tag in lower case; tag "" for none. Valid until the loop turns. */
struct cache_entry *cache_find(struct cache *c, enum cache_kind kind, const char *name, const char *tag);
const struct service_set *cache_set(const struct cache_entry *e);
/* NULL: there is no such node. */
const struct node_record *cache_node(const struct cache_entry *e);

enum cache_outcome { CACHE_FOUND, CACHE_FAILED, CACHE_NO_PATH /* no such datacenter */ };
/* CACHE_FOUND: cache_find will give the entry during the callback. */
typedef void cache_cb(void *ctx, enum cache_outcome outcome);
/*
 * Asks catalogd; equal lookups under way are joined. The callback comes later, once. NULL: CACHE_LOOKUPS_MAX are under way.
 */
struct cache_wait;
struct cache_wait *cache_lookup(struct cache *c, enum cache_kind kind, const char *name, const char *tag,
    const char *datacenter, cache_cb *cb, void *ctx);
/* The callback will not come. */
void cache_cancel(struct cache_wait *w);

/* The packet kept for a question, its name in any letter case; NULL: make one. Valid until the cache is called again. */
struct packet *cache_packet(struct cache *c, const struct name *name, uint16_t type);
/* Keeps packet, which is the cache's now, for as long as e is fresh and there is room: it may be gone at once. */
void cache_keep_packet(
    struct cache *c, struct cache_entry *e, const struct name *name, uint16_t type, struct packet *packet);

#endif

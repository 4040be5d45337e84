/*
 * resolve.h - from a query to its answer: which zone, which lookup, which records
 */
#ifndef DNSD_RESOLVE_H
#define DNSD_RESOLVE_H

#include <stdbool.h>

#include "answer.h"
#include "cache.h"
#include "daemon.h"

#define REQUESTS_MAX 8192 /* that wait for a lookup; beyond: SERVFAIL */

struct resolver;

MUST_USE struct resolver *resolver_new(struct daemon *d, struct settings *settings);
void resolver_free(struct resolver *r);
/* Takes a reference to settings and drops the old one. */
void resolver_reload(struct resolver *r, struct settings *settings);
struct cache *resolver_cache(const struct resolver *r);
/* In force: until the next reload. */
const struct settings *resolver_settings(const struct resolver *r);

/* What came out. Valid until the next call of the resolver. */
struct resolution {
	struct answer_context context;
	struct dns_answer answer;
	struct bytes recursed;     /* not empty: an upstream's message instead of answer */
	struct cache_entry *entry; /* the whole answer depends on this alone: its packets may be kept; else NULL */
};

/* The answer as a packet for its question, if its entry is known and it can be kept; else NULL. */
MUST_USE struct packet *resolution_packet(struct resolution *r);

/* Answers q if nothing has to be asked first: true and *out, else false. */
MUST_USE bool resolve_now(struct resolver *r, const struct dns_query *q, struct resolution *out);

typedef void resolve_cb(void *ctx, const struct dns_query *q, struct resolution *result);
/*
 * For when resolve_now said no. message: the query as it came (for upstreams); both are copied. The callback comes once, later or from within the call, at the
 * latest when every lookup and upstream had its time. -1: REQUESTS_MAX wait already, no callback.
 */
MUST_USE int resolve_start(
    struct resolver *r, const struct dns_query *q, struct bytes message, bool udp, resolve_cb *cb, void *ctx);

#endif

/*
 * route.h - which endpoint a path is (pure; http-api.md 1.2 and http-api-routes.md)
 */
#ifndef HTTPD_ROUTE_H
#define HTTPD_ROUTE_H

#include <stdbool.h>

#include "cdefs.h"
#include "http1.h"
#include "mem.h"

struct request;

/* When ns and partition are refused, and what else is looked at before the handler runs (http-api.md 2.1). */
#define ROUTE_OPTIONS (1u << 0)     /* consistency, Cache-Control, wait, index are parsed */
#define ROUTE_NS_FIRST (1u << 1)    /* ns and partition are refused before them */
#define ROUTE_NS_AFTER (1u << 2)    /* ... after them */
#define ROUTE_PARTITION (1u << 3)   /* partition alone is refused, before them */
#define ROUTE_CACHED (1u << 4)      /* ?cached is honoured */
#define ROUTE_CONSISTENCY (1u << 5) /* answers carry X-Consul-Effective-Consistency */
#define ROUTE_META_ALWAYS (1u << 6) /* failed answers carry the query headers, too */
#define ROUTE_OWN_OPTIONS (1u << 7) /* OPTIONS is answered with {} (prepared queries) */
#define ROUTE_BODY_TXN (1u << 9)    /* body limit: the larger of limits.txn_max_req_len and kv_max_value_size */
#define ROUTE_LATER (1u << 10)      /* not in this version; what: the capability's name */

struct route {
	const char *path;  /* ends in '/': what follows is the argument */
	const char *allow; /* methods in the reference's order, comma separated */
	void (*handler)(struct request *r);
	unsigned flags;
	const char *what;
	unsigned methods; /* bits 1u << enum http1_method, from allow */
};

enum route_kind {
	ROUTE_FOUND,
	ROUTE_UNKNOWN,
	ROUTE_REDIRECT, /* to location (percent-encoded, without the query) */
};

struct route_match {
	enum route_kind kind;
	const struct route *route;
	struct bytes arg;  /* of a prefix route, decoded */
	struct bytes path; /* decoded */
	struct bytes location;
};

/* Prepares the table; called once. */
void route_init(void);
/* path: percent-encoded, begins with '/', its escapes are valid. Memory comes from r. */
struct route_match route_find(struct bytes path, struct region *r);
/* The path as Go's ServeMux cleans it: //, /./ and /../ taken out. Equal to path (same data): it was clean. */
struct bytes route_clean(struct bytes path, struct region *r);
/* All rows, for the manual and the tests. */
const struct route *route_table(size_t *count);

#endif

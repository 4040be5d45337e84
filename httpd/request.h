/*
 * request.h - one request on its way to its handler: parameters, token, the options of reads (http-api.md 1.3 and 2)
 */
#ifndef HTTPD_REQUEST_H
#define HTTPD_REQUEST_H

#include "conf.h"
#include "conn.h"
#include "daemon.h"
#include "params.h"
#include "route.h"
#include "structs.h"

#define REQUEST_BODY_BYTES_MAX (2u * 1024 * 1024) /* where no limit of the reference says otherwise */

/* What ?stale, ?index and the like say; the QueryOptions of the request language. */
struct query {
	uint64_t index;
	int64_t wait_ns;
	int64_t max_stale_ns;
	bool stale, consistent, leader, cached;
	bool must_revalidate;
	bool versions;     /* the answer is to be kept: copies.h */
	int64_t max_age_s; /* -1: not given */
};

/* Lives until the handler returns. */
struct request {
	struct exchange *x;
	const struct http1_head *head;
	const struct route *route;
	enum http1_method method;
	struct bytes arg;
	struct params params;
	struct query query;
	struct bytes token;
	struct bytes dc;
	struct bytes body;
	bool too_large;
	uint64_t body_size;
	struct region *region;
};

/* What handlers know of the configuration; refilled at a reload. */
struct request_config {
	struct daemon *daemon;
	const char *datacenter, *node_name, *version, *build_date;
	const char *content_path;
	bool ui, acl, use_cache, printable_filter;
	int64_t kv_value_max, txn_bytes_max;
	int64_t default_query_ns, max_query_ns, rpc_hold_ns, discovery_max_stale_ns;
};
extern struct request_config config;

void request_configure(struct daemon *d);
/* For struct conn_handler. */
size_t request_body_max(const struct http1_head *head);
struct bytes request_known(struct bytes in, size_t *used);
void request_dispatch(struct exchange *x, const struct incoming *in);
void request_ended(struct exchange *x);

/* true: ns or partition is given; the request has been refused. partition_only: ns is not looked at. */
MUST_USE bool request_refuses_enterprise(struct request *r, bool partition_only);
struct bytes request_value(const struct request *r, const char *key);
bool request_has(const struct request *r, const char *key);
/* Go's ParseBool. -1: none of its words. */
MUST_USE int request_parse_bool(struct bytes text, bool *out);

#define REQUEST_UINT_ERROR_MAX 1200
/* Go's ParseUint. -1: why has its text. */
MUST_USE int request_parse_uint(struct bytes text, uint64_t *out, char why[REQUEST_UINT_ERROR_MAX]);
/*
 * ?flags and ?cas: Go's ParseUint. false: refused with its text (500).
 */
MUST_USE bool request_uint(struct request *r, const char *key, uint64_t *out);
/* Body JSON -> msgpack appended to out. false: refused with 400 `Request decode failed: ...`. */
MUST_USE bool request_decode(struct request *r, const struct schema *s, struct buf *out);

/* ?node-meta=key:value as msgpack map; ?tag as msgpack list; they live in r's region. */
struct bytes request_node_meta(struct request *r);
struct bytes request_tags(struct request *r);
/* The msgpack of a query_source with near. */
struct bytes request_source(struct request *r);

/* Fills the fields that all read arguments have: s is the C form's type. */
#define REQUEST_OPTIONS(r, s)                                                                                          \
	do {                                                                                                           \
		(s)->datacenter = (r)->dc;                                                                             \
		(s)->token = (r)->token;                                                                               \
		(s)->min_query_index = (r)->query.index;                                                               \
		(s)->max_query_time = (r)->query.wait_ns;                                                              \
		(s)->allow_stale = (r)->query.stale || (r)->query.max_stale_ns > 0;                                    \
		(s)->require_consistent = (r)->query.consistent;                                                       \
		(s)->versions = (r)->query.versions;                                                                   \
		(s)->use_cache = (r)->query.cached;                                                                    \
		(s)->max_stale_duration = (r)->query.max_stale_ns;                                                     \
		(s)->filter = request_value((r), "filter");                                                            \
	} while (0)

#endif

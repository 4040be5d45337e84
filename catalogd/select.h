/*
 * select.h - what the catalog's queries have in common: which elements belong to an answer, and its index
 */
#ifndef CATALOGD_SELECT_H
#define CATALOGD_SELECT_H

#include <stdbool.h>

#include "catalog.h"
#include "query.h"

/* ---- indexes (http-api.md 4.1) ---- */

/* The highest of the counters nodes, services and, if asked for, checks. */
uint64_t select_index_all(struct store_txn *t, bool checks);
/*
 * Of the answer about service name (folded). exists: there are instances. checks: health/service, else catalog/service.
 */
uint64_t select_index_service(struct store_txn *t, struct bytes name, bool exists, bool checks);

/* ---- a list that is being written ---- */

struct filter;

/*
 * An array in q->out whose elements are written whole first and then judged: select_next says whether the one written since the last
 * call stays; else it is cut off again.
 */
struct select {
	struct query *q;
	struct filter *filter; /* NULL: all stay */
	size_t place;
	size_t start; /* of the first element */
	size_t mark;
	uint32_t count;
	bool failed; /* the filter could not be evaluated: select_end says so */
};

/* 0, or -1 after query_fail: filter is not an expression over s. After 0 end it by select_end. */
MUST_USE int select_filter(struct select *l, struct query *q, struct bytes filter, const struct schema *s);
void select_begin(struct select *l);
bool select_next(struct select *l);
/* Does a whole element stay that is not in the list? */
bool select_keeps(struct select *l, struct bytes element);
void select_close(struct select *l);
/* 0, or -1 after query_fail: the query's result. */
MUST_USE int select_end(struct select *l);

/* ---- elements ---- */

/* All of filters (map of texts, or size 0) stand in meta (the same). */
bool select_meta(struct bytes filters, struct bytes meta);
bool select_has_meta_filters(struct bytes filters);
/* The tag rules of a ServiceSpecificRequest: all asked for are there, without letter case. */
bool select_tags(const struct service_request *args, struct bytes tags);

/*
 * Walks the instances that a leading table knows of name (folded; data NULL: of all names), ordered by node and service ID. Each step sets key, node_key and the raw
 * records. Instances whose records are missing are passed over.
 */
struct select_instances {
	struct bytes key;      /* of SERVICES */
	struct bytes node_key; /* of NODES */
	struct bytes node;     /* record */
	struct bytes service;  /* record */
	/* private */
	struct store_cursor cursor;
	struct store_txn *txn;
	struct bytes prefix; /* size 0: of all names */
	struct buf last_node_key;
};
void select_instances(struct select_instances *i, struct query *q, enum store_table table, struct bytes name);
MUST_USE bool select_next_instance(struct select_instances *i);
void select_instances_end(struct select_instances *i);

/* The ServiceNode of a node's record and an instance's. */
void select_put_service_node(struct buf *out, const struct node *n, const struct node_service *s);

#endif

/*
 * catalog.h - the records of nodes, services and checks, and all that hangs on them
 *
 * The nodes*.c and *_query.c files alone include this; others see nodes.h. Names, service IDs and check IDs are compared without
 * letter case (http-api.md 9): keys have them folded (nodes_fold), records as they were written last.
 *
 * Tables (store.h): NODES, SERVICES and CHECKS hold the records, canonical (canon.h). Keys of SERVICE_NAMES, SERVICE_CONNECT,
 * CHECK_SERVICES and CHECK_STATES end in the key of the record that they lead to. CATALOG_EXTRA begins with a letter:
 *
 *	c, node, service ID, check ID -> empty	checks of an instance; service ID empty: of the node itself
 *	d, node, destination -> count		instances on the node that WATCH_CONNECT of destination is about
 *	n, node, service name -> count		instances of the name on the node
 *	s, node, session name, check ID -> empty	checks that follow sessions of that name
 *	t, service name as written[, tag] -> count	instances that have it: catalog/services
 *
 * Counters: "nodes", "services", "checks", "service.NAME", "node.NAME", "service_last_extinction", "node_last_extinction" as
 * http-api.md 4.1 says; "health.NAME" is ours: the last time instances or checks went from NAME to another name, which NAME's own
 * counter does not show.
 */
#ifndef CATALOGD_CATALOG_H
#define CATALOGD_CATALOG_H

#include <stdbool.h>

#include "apply.h"
#include "nodes.h"
#include "structs.h"

#define CATALOG_RECORD_BYTES_MAX (16u * 1024 * 1024)

/* A store key of these parts in region r. */
struct bytes catalog_key(struct region *r, const struct bytes *parts, size_t count);
#define CATALOG_KEY(r, ...)                                                                                            \
	catalog_key((r), (const struct bytes[]){__VA_ARGS__},                                                          \
	    sizeof((const struct bytes[]){__VA_ARGS__}) / sizeof(struct bytes))

/* A node ID as a key: folded, without dashes. */
struct bytes catalog_id_key(struct region *r, struct bytes id);

/* Names in a region. */
struct catalog_names {
	struct bytes *at;
	size_t count;
	size_t size;
};
/* Copies name. */
void catalog_names_add(struct catalog_names *names, struct region *r, struct bytes name);
/* The last parts of all CATALOG_EXTRA keys that begin with prefix. */
void catalog_extra_names(struct store_txn *t, struct bytes prefix, struct region *r, struct catalog_names *out);

/*
 * Records. key is the table's. false: none. The C form points into the store (see store.h for how long), in catalog_copy_* into
 * region r. A record that can not be decoded is damage and read as absent.
 */
MUST_USE bool catalog_get_node(struct store_txn *t, struct bytes key, struct node *out);
MUST_USE bool catalog_get_service(struct store_txn *t, struct bytes key, struct node_service *out);
MUST_USE bool catalog_get_check(struct store_txn *t, struct bytes key, struct health_check *out);
MUST_USE bool catalog_copy_node(struct store_txn *t, struct bytes key, struct region *r, struct node *out);
MUST_USE bool catalog_copy_service(struct store_txn *t, struct bytes key, struct region *r, struct node_service *out);
MUST_USE bool catalog_copy_check(struct store_txn *t, struct bytes key, struct region *r, struct health_check *out);

/* The name whose mesh endpoint s is (a proxy's destination, a native service's own name), folded; empty: none. */
struct bytes catalog_connect_name(struct region *r, const struct node_service *s);

/* ---- changes; each does nothing when the record is there as it is to be. Nested members are canonical. ---- */

/* fold: node's name folded. from: the record that is renamed to this (gone already), or NULL. */
void catalog_put_node(struct apply *a, struct bytes fold, struct node *n, const struct node *from);
/* With its instances, checks and sessions. Nothing when there is none. */
void catalog_delete_node(struct apply *a, struct bytes fold);
void catalog_put_service(struct apply *a, struct bytes node, struct node_service *s);
/* With its checks. service_id folded. */
void catalog_delete_service(struct apply *a, struct bytes node, struct bytes service_id);
/* The instance that c names, if any, gives it service name and tags. */
void catalog_put_check(struct apply *a, struct bytes node, struct health_check *c);
/* check_id folded. */
void catalog_delete_check(struct apply *a, struct bytes node, struct bytes check_id);

#endif

/*
 * nodes_apply.c - what log entries of Catalog.Register and Catalog.Deregister do (contract: apply.h; callers: apply.c)
 *
 * The bodies are as register.c has written them: canonical, all checks in Checks. An entry is judged as a whole before its first
 * change, so that one that is refused has changed nothing.
 */
#include <stdio.h>
#include <string.h>

#include "catalog.h"
#include "meta.h"

struct registration {
	struct register_request request;
	struct bytes fold; /* of the node's name */
	bool node_changes;
	struct node node; /* as it is to be */
	bool has_service;
	struct node_service service;
	struct health_check *checks;
	uint32_t check_count;
	struct bytes rename; /* folded name of the node that has the ID so far; size 0: none */
	struct node renamed;
};

static bool
same_id(struct apply *a, struct bytes x, struct bytes y)
{
	return bytes_equal(catalog_id_key(a->region, x), catalog_id_key(a->region, y));
}

/* A node whose serfHealth is there and not critical keeps its name. Others are external ones or dead. */
static bool
is_alive(struct apply *a, struct bytes fold)
{
	struct health_check c;

	return catalog_get_check(a->txn, CATALOG_KEY(a->region, fold, bytes_str("serfhealth")), &c) &&
	       !bytes_is(c.status, "critical");
}

#define TEXT(run) (int)(run).size, (const char *)(run).data

/* behaviour.md 9: may the node of this entry take the name? */
static int
judge_name(struct apply *a, struct registration *g, const struct node *holder)
{
	struct bytes id_key = catalog_id_key(a->region, g->node.id), owner;
	bool known = id_key.size > 0 && store_get(a->txn, STORE_NODE_IDS, id_key, &owner);

	if (id_key.size == 0)
		return 0;
	if (known && bytes_equal(owner, g->fold))
		return 0;
	if (known)
		g->rename = region_copy(a->region, owner);
	if (holder != NULL && !same_id(a, holder->id, g->node.id) && (known || holder->id.size > 0) &&
	    is_alive(a, g->fold)) {
		char address[128] = "";

		if (known)
			snprintf(address, sizeof address, " (%.*s)", TEXT(g->node.address));
		return apply_refuse(a, 0,
		    "failed inserting node: Error while renaming Node ID: \"%.*s\"%s: Node name %.*s is reserved by "
		    "node %.*s with name %.*s (%.*s)",
		    TEXT(g->node.id), address, TEXT(g->node.node), TEXT(holder->id), TEXT(holder->node),
		    TEXT(holder->address));
	}
	return 0;
}

static int
judge_node(struct apply *a, struct registration *g)
{
	struct bytes key = CATALOG_KEY(a->region, g->fold);
	const struct register_request *q = &g->request;
	struct node holder;
	bool held = catalog_copy_node(a->txn, key, a->region, &holder);

	g->node = (struct node){
	    .id = q->id,
	    .node = q->node,
	    .address = q->address,
	    .datacenter = q->datacenter,
	    .tagged_addresses = q->tagged_addresses,
	    .meta = q->node_meta,
	    .locality = q->locality,
	};
	g->node_changes =
	    !held || (!q->skip_node_update &&
			 !(bytes_equal(q->id, holder.id) && bytes_equal(q->address, holder.address) &&
			     bytes_equal(q->datacenter, holder.datacenter) &&
			     bytes_equal(q->tagged_addresses, holder.tagged_addresses) &&
			     bytes_equal(q->node_meta, holder.meta) && bytes_equal(q->locality, holder.locality)));
	if (!g->node_changes) {
		g->node.node = holder.node;
		return 0;
	}
	return judge_name(a, g, held ? &holder : NULL);
}

static int
judge_service(struct apply *a, struct registration *g)
{
	char why[META_ERROR_MAX];

	if (!g->has_service || meta_judge_service(g->service.kind, g->service.meta, why) == 0)
		return 0;
	return apply_refuse(a, 0, "failed inserting service: Invalid Service Meta for node %.*s and serviceID %.*s: %s",
	    TEXT(g->request.node), TEXT(g->service.id), why);
}

static int
judge_checks(struct apply *a, struct registration *g)
{
	for (uint32_t i = 0; i < g->check_count; i++) {
		const struct health_check *c = &g->checks[i];

		if (!bytes_equal_fold(c->node, g->request.node))
			return apply_refuse(a, 0, "check node \"%.*s\" does not match node \"%.*s\"", TEXT(c->node),
			    TEXT(g->request.node));
		if (c->check_id.size == 0)
			return apply_refuse(a, 0,
			    "failed inserting check on node \"%.*s\": failed health check lookup: index error: object "
			    "is missing a value for this index",
			    TEXT(c->node));
		if (c->service_id.size == 0 || (g->has_service && bytes_equal_fold(c->service_id, g->service.id)))
			continue;
		if (!store_has(
			a->txn, STORE_SERVICES, CATALOG_KEY(a->region, g->fold, nodes_fold(a->region, c->service_id))))
			return apply_refuse(a, 0,
			    "failed inserting check on node \"%.*s\": Missing service registration", TEXT(c->node));
	}
	return 0;
}

static int
read_registration(struct apply *a, struct bytes body, struct registration *g)
{
	const char *error;
	struct mp list;

	memset(g, 0, sizeof *g);
	if (schema_decode(&register_request_schema, body, &g->request, &error) == -1)
		return apply_refuse(a, 0, "%s", error);
	g->fold = nodes_fold(a->region, g->request.node);
	if (g->request.service.size > 0) {
		g->has_service = true;
		if (schema_decode(&node_service_schema, g->request.service, &g->service, &error) == -1)
			return apply_refuse(a, 0, "%s", error);
	}
	list = mp_of(g->request.checks);
	g->check_count = g->request.checks.size > 0 ? mp_array(&list) : 0;
	g->checks = region_alloc(a->region, (size_t)g->check_count * sizeof *g->checks + 1);
	for (uint32_t i = 0; i < g->check_count; i++)
		if (schema_decode_at(&health_check_schema, &list, &g->checks[i], &error) == -1)
			return apply_refuse(a, 0, "%s", error);
	return 0;
}

int
nodes_register_apply(struct apply *a, struct bytes body)
{
	struct registration g;
	bool renames;

	if (read_registration(a, body, &g) == -1 || judge_node(a, &g) == -1 || judge_service(a, &g) == -1 ||
	    judge_checks(a, &g) == -1)
		return -1;
	renames =
	    g.rename.size > 0 && catalog_copy_node(a->txn, CATALOG_KEY(a->region, g.rename), a->region, &g.renamed);
	if (renames)
		catalog_delete_node(a, g.rename);
	if (g.node_changes)
		catalog_put_node(a, g.fold, &g.node, renames ? &g.renamed : NULL);
	if (g.has_service)
		catalog_put_service(a, g.fold, &g.service);
	for (uint32_t i = 0; i < g.check_count; i++) {
		g.checks[i].node = g.node.node;
		catalog_put_check(a, g.fold, &g.checks[i]);
	}
	return 0;
}

int
nodes_deregister_apply(struct apply *a, struct bytes body)
{
	struct deregister_request q;
	struct bytes fold;
	const char *error;

	if (schema_decode(&deregister_request_schema, body, &q, &error) == -1)
		return apply_refuse(a, 0, "%s", error);
	fold = nodes_fold(a->region, q.node);
	if (q.service_id.size > 0)
		catalog_delete_service(a, fold, nodes_fold(a->region, q.service_id));
	else if (q.check_id.size > 0)
		catalog_delete_check(a, fold, nodes_fold(a->region, q.check_id));
	else
		catalog_delete_node(a, fold);
	return 0;
}

/*
 * nodes.h - nodes, services and checks: what the rest of catalogd asks of them
 */
#ifndef CATALOGD_NODES_H
#define CATALOGD_NODES_H

#include <stdbool.h>

#include "apply.h"
#include "structs.h"

/* The node called name, in any case. false: none. */
MUST_USE bool nodes_find(struct store_txn *t, struct bytes name, struct node *out);
/* The name as keys and watches have it (letter case folded), in region r. */
struct bytes nodes_fold(struct region *r, struct bytes name);
/* Check check_id (any case) of node (any case). false: none. */
MUST_USE bool nodes_find_check(struct store_txn *t, struct bytes node, struct bytes check_id, struct health_check *out);
/* Service instance service_id (any case) of node (any case). false: none. */
MUST_USE bool nodes_find_service(
    struct store_txn *t, struct bytes node, struct bytes service_id, struct node_service *out);
/*
 * each is called for up to max nodes behind the last one that was looked at (last: its key; empty: from the first), in the order of
 * their names. false: there are no more.
 */
#define NODES_KEY_BYTES_MAX (64u * 1024 * 1024)
MUST_USE bool nodes_each(
    struct store_txn *t, struct buf *last, size_t max, void (*each)(void *ctx, const struct node *node), void *ctx);
/*
 * All checks of node with Type "session" whose Definition.SessionName is session_name get status and output, with counters and
 * watchers, in entry a. Called when a session of that name begins ("passing") or ends ("critical").
 */
void nodes_session_checks(
    struct apply *a, struct bytes node, struct bytes session_name, const char *status, const char *output);

#endif

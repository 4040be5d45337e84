/*
 * session.h - sessions: what the catalog tells them (nodes.c calls these from apply functions)
 *
 * Each ends the sessions concerned, in the same entry: releases or deletes their keys, sets lock-delays, touches watchers.
 */
#ifndef CATALOGD_SESSION_H
#define CATALOGD_SESSION_H

#include "apply.h"

/* Check check_id of node (name as registered or folded) has just become critical. Not for checks of type "session". */
void session_check_critical(struct apply *a, struct bytes node, struct bytes check_id);
/* It is gone. */
void session_check_removed(struct apply *a, struct bytes node, struct bytes check_id);
/* The node is gone, with all its checks. */
void session_node_removed(struct apply *a, struct bytes node);

#endif

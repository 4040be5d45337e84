/*
 * member_record.h - what the catalog should have of a member: its node, the check serfHealth, and of a server the service consul
 *
 * Pure over a transaction of the store: judges what has to change, and makes the entry that does it.
 */
#ifndef CATALOGD_MEMBER_RECORD_H
#define CATALOGD_MEMBER_RECORD_H

#include "apply.h"
#include "catalogd.h"
#include "members.h"

/* Points into what it was made of, and into the region. */
struct member_record {
	struct bytes name, id, address;
	bool server;
	int64_t port;
	struct bytes meta; /* of the service consul, msgpack map */
};

/* Whether the catalog is to have it at all: a server or client of this datacenter. */
bool member_record_is_due(const struct lan_member *m);
struct member_record member_record_of(const struct lan_member *m, struct region *r);
/* This node, by its configuration: gossipd may still be starting. */
struct member_record member_record_own(const struct catalogd *c, struct region *r);

enum member_action {
	MEMBER_IS_SO,      /* nothing to do */
	MEMBER_TO_PASSING, /* register node and service, serfHealth passing */
	MEMBER_TO_CRITICAL,
	MEMBER_TO_REMOVE,
	MEMBER_UNKNOWN, /* it failed, and the catalog has never heard of it */
};

/* status: MEMBER_NONE: forgotten. What was registered by hand under its name, without serfHealth and under another ID, is not touched when it goes. */
enum member_action member_record_judge(struct store_txn *t, const struct member_record *w, enum member_status status);
/* The entry for one of the first three actions. Tagged addresses and meta of a node are the agent's own business and stay. */
enum apply_type member_record_entry(struct store_txn *t, const struct member_record *w, enum member_action action,
    const char *datacenter, struct region *r, struct buf *body);
/* The node has serfHealth, and is no member: it went while nobody led. */
bool member_record_is_orphan(struct store_txn *t, const struct members *members, struct bytes node);

#endif

/*
 * members.h - all members of the LAN pool, as gossipd tells of them
 *
 * Pure: a table that is fed the elements of Gossip.Subscribe (gossip.h has the subscription). A subscription begins with all members and a mark
 * behind the last of them; one that begins anew after an interruption is compared with what is known, so that observers hear of what
 * has changed meanwhile and of nothing else. Who is not in it stays for a while as it was: a gossipd that has just been started knows itself alone, and never
 * hears of those who failed before.
 */
#ifndef CATALOGD_MEMBERS_H
#define CATALOGD_MEMBERS_H

#include <stdbool.h>

#include "hash.h"
#include "net.h"
#include "structs_gossip.h"
#include "uuid.h"

#define MEMBERS_OBSERVERS_MAX 16
#define LAN_MEMBER_ID_MAX 40
#define LAN_MEMBER_TEXT_MAX 32
#define LAN_MEMBER_NUMBER_MAX 8

/* One member; valid until it is forgotten, its contents until the next element. */
struct lan_member {
	struct hash_node by_name;
	size_t place; /* in the table's order */
	bool seen;    /* since the subscription began */
	enum member_status status;
	char *name;
	char *tags_copy;
	struct bytes tags;               /* as they came, a msgpack map of texts; in tags_copy */
	char id[LAN_MEMBER_ID_MAX];      /* of the node; "": it has none */
	char address[NET_ADDR_TEXT_MAX]; /* without port */
	/* From the tags: */
	bool local;        /* of this datacenter */
	bool server;       /* of whatever datacenter: role consul, and it says at which port it serves */
	bool bootstrap;    /* it was told to elect itself */
	bool read_replica; /* a server that is to have no vote */
	uint16_t rpc_port;
	int32_t expect;                  /* bootstrap_expect, 0: none */
	union net_addr rpc;              /* of a server: where it serves requests of other nodes */
	char build[LAN_MEMBER_TEXT_MAX]; /* version, what stands before the colon */
	char raft_version[LAN_MEMBER_NUMBER_MAX];
	char own_kind[LAN_MEMBER_NUMBER_MAX]; /* of a server: what ours say to each other; "": a foreign one */
};

struct members;

/*
 * Something has changed: before is its status until now (MEMBER_NONE: it was not known), m->status the one from now on (MEMBER_NONE: it is
 * forgotten, m is valid for this call). Equal: address or tags have changed. m NULL: the list is complete, for the first time or again. An observer must
 * not feed the table.
 */
typedef void members_observer(void *ctx, const struct lan_member *m, enum member_status before);

/* datacenter: ours; must outlive the table. */
MUST_USE struct members *members_new(const char *datacenter);
void members_free(struct members *t);
/* What is known already is not told. There are MEMBERS_OBSERVERS_MAX places. */
void members_observe(struct members *t, members_observer *observer, void *ctx);

size_t members_count(const struct members *t);
/* In no particular order; i < members_count. */
const struct lan_member *members_at(const struct members *t, size_t i);
/* NULL: no such member. */
const struct lan_member *members_find(const struct members *t, struct bytes name);
/* By node ID, whatever its case; of several that have or had it the one that is alive. */
const struct lan_member *members_find_id(const struct members *t, struct bytes id);
/* The first list was complete. Stays so while gossipd is away. */
bool members_synced(const struct members *t);

/* A subscription begins. */
void members_begin(struct members *t);
/* Whoever the subscription has not told of until now has failed, unless it had left; is forgotten. */
void members_fail_unseen(struct members *t);
void members_drop_unseen(struct members *t);
/* One element of it about a member, or the mark. -1: it is not understood, *error says why. */
MUST_USE int members_take(struct members *t, const struct gossip_event *event, const char **error);

#endif

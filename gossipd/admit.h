/*
 * admit.h - who may be a member of which pool: one datacenter in the LAN pool, servers in the WAN pool, node IDs that are unique (pure)
 */
#ifndef GOSSIPD_ADMIT_H
#define GOSSIPD_ADMIT_H

#include <stdbool.h>

#include "cdefs.h"
#include "swim.h"

#define ADMIT_NETWORKS_MAX 64
/* Tag of our own servers; value: the version of what their raftd say to each other. */
#define ADMIT_OWN_TAG "consuld"

struct admit {
	bool wan;
	bool server; /* we are one: others of our datacenter must be of our make, for they share one log */
	const char *name, *datacenter, *id; /* ours */
	struct admit_network {
		uint8_t ip[16];
		uint8_t ip_size, bits;
	} networks[ADMIT_NETWORKS_MAX]; /* members' addresses lie in one of them; none: any address will do */
	size_t network_count;
};

/* "10.0.0.0/8". -1: not one, or too many. */
MUST_USE int admit_network_add(struct admit *a, const char *cidr);
bool admit_address(const struct admit *a, const struct swim_address *address);
/* All of members together; 0, or -1 with the reference's text in error (SWIM_ERROR_MAX). */
MUST_USE int admit_members(const struct admit *a, const struct swim_member *members, size_t count, char *error);

/* What the tags of a server say; false: it is none (wire: serf's meta). */
struct admit_server {
	int64_t port;
	char datacenter[64];
};
bool admit_is_server(struct bytes meta, struct admit_server *out);

#endif

/*
 * admit.h - who may be a member of which pool: one datacenter in the LAN pool, servers in the WAN pool, servers of a datacenter of one make,
 * node IDs that are unique (pure)
 */
#ifndef GOSSIPD_ADMIT_H
#define GOSSIPD_ADMIT_H

#include <stdbool.h>

#include "cdefs.h"
#include "swim.h"

#define ADMIT_NETWORKS_MAX 64
/* Tag of our own servers; value: the version of what their raftd say to each other. */
#define ADMIT_OWN_TAG "consuld"

/*
 * Which program the servers of our datacenter are. They share one log, and what the makes say to each other about it differs: servers of two makes
 * would be two clusters, and a client between them would ask now one, now the other.
 */
enum admit_make { ADMIT_NO_MAKE, ADMIT_OWN_MAKE, ADMIT_FOREIGN_MAKE };

struct admit {
	bool wan;
	enum admit_make make;               /* of those that are known; ADMIT_NO_MAKE: none is, either make may come */
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
/*
 * All of members together: 0; -1: refused, with the reference's text in error (SWIM_ERROR_MAX); ADMIT_APART: refused for its servers' make, and to
 * be told so instead of who we are: who has our state makes its servers members of its own.
 */
#define ADMIT_APART (-2)
MUST_USE int admit_members(const struct admit *a, const struct swim_member *members, size_t count, char *error);
/* ADMIT_NO_MAKE: no server of our datacenter. meta: as in admit_is_server. */
enum admit_make admit_make_of(const struct admit *a, struct bytes meta);

/* What the tags of a server say; false: it is none (wire: serf's meta). */
struct admit_server {
	int64_t port;
	char datacenter[64];
};
bool admit_is_server(struct bytes meta, struct admit_server *out);

#endif

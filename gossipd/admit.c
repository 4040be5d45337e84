/*
 * admit.c - who may be a member (contract: admit.h; caller: pool.c)
 */
#include "admit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hash.h"
#include "mem.h"
#include "ring.h"
#include "serf.h"

int
admit_network_add(struct admit *a, const char *cidr)
{
	struct admit_network *n = &a->networks[a->network_count];
	const char *slash = strchr(cidr, '/');
	char ip[INET6_ADDRSTRLEN];
	uint64_t bits;

	if (slash == NULL || (size_t)(slash - cidr) >= sizeof ip || a->network_count == ADMIT_NETWORKS_MAX ||
	    bytes_to_u64(bytes_str(slash + 1), &bits) == -1)
		return -1;
	memcpy(ip, cidr, (size_t)(slash - cidr));
	ip[slash - cidr] = '\0';
	if (inet_pton(AF_INET, ip, n->ip) == 1)
		n->ip_size = 4;
	else if (inet_pton(AF_INET6, ip, n->ip) == 1)
		n->ip_size = 16;
	else
		return -1;
	if (bits > 8u * n->ip_size)
		return -1;
	n->bits = (uint8_t)bits;
	a->network_count++;
	return 0;
}

static bool
network_has(const struct admit_network *n, const struct swim_address *address)
{
	if (n->ip_size != address->ip_size || memcmp(n->ip, address->ip, n->bits / 8) != 0)
		return false;
	return n->bits % 8 == 0 || ((n->ip[n->bits / 8] ^ address->ip[n->bits / 8]) >> (8 - n->bits % 8)) == 0;
}

bool
admit_address(const struct admit *a, const struct swim_address *address)
{
	if (a->network_count == 0)
		return true;
	for (size_t i = 0; i < a->network_count; i++)
		if (network_has(&a->networks[i], address))
			return true;
	return false;
}

/* ---- servers ---- */

static bool
is_integer(struct bytes text)
{
	size_t i = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');

	if (i == text.size || text.size > 10)
		return false;
	for (; i < text.size; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	return true;
}

/* d.d.d somewhere in it; numbers: what they are. */
static bool
has_version(struct bytes build, unsigned numbers[3])
{
	for (size_t i = 0; i < build.size; i++) {
		size_t at = i, part = 0;

		for (; part < 3; part++) {
			size_t begin = at;

			for (numbers[part] = 0; at < build.size && build.data[at] >= '0' && build.data[at] <= '9'; at++)
				numbers[part] = MIN(numbers[part], 100000u) * 10 + build.data[at] - '0';
			if (at == begin || (part < 2 && (at == build.size || build.data[at++] != '.')))
				break;
		}
		if (part == 3)
			return true;
	}
	return false;
}

static bool
features_are_integers(struct bytes meta)
{
	struct buf tags = BUF_INIT(4096);
	struct mp in;
	bool good = true;

	serf_tags_put(meta, &tags);
	in = mp_of(buf_bytes(&tags));
	for (uint32_t n = mp_map(&in); n > 0 && mp_ok(&in); n--) {
		struct bytes name = mp_str(&in), value = mp_str(&in);

		if (bytes_has_prefix(name, bytes_str("ft_")) && !is_integer(value))
			good = false;
	}
	buf_free(&tags);
	return good;
}

bool
admit_is_server(struct bytes meta, struct admit_server *out)
{
	static const char *const optional[] = {"expect", "wan_join_port", "raft_vsn"};
	struct bytes port = serf_tag(meta, "port");
	char text[16];
	unsigned version[3];

	if (!bytes_is(serf_tag(meta, "role"), "consul") || !is_integer(port) || !is_integer(serf_tag(meta, "vsn")) ||
	    !has_version(serf_tag(meta, "build"), version) || !features_are_integers(meta))
		return false;
	for (size_t i = 0; i < COUNTOF(optional); i++)
		if (serf_tag(meta, optional[i]).size > 0 && !is_integer(serf_tag(meta, optional[i])))
			return false;
	if (bytes_to_str(port, text, sizeof text) == -1 ||
	    bytes_to_str(serf_tag(meta, "dc"), out->datacenter, sizeof out->datacenter) == -1)
		return false;
	out->port = strtol(text, NULL, 10);
	return true;
}

/* ---- node IDs ---- */

/* Older ones did not see to it that their IDs are unique. */
static bool
id_counts(struct bytes meta)
{
	unsigned v[3];

	return has_version(serf_tag(meta, "build"), v) && (v[0] > 0 || v[1] > 8 || (v[1] == 8 && v[2] >= 5));
}

struct seen_id {
	struct hash_node by_id;
	struct bytes id;
	const char *name;
};

static const char *
seen_find(const struct hash_table *t, struct bytes id)
{
	for (struct hash_node *h = hash_first(t, hash_bytes(3, id)); h != NULL; h = hash_next(h)) {
		const struct seen_id *s = RING_ENTRY(h, struct seen_id, by_id);

		if (bytes_equal(s->id, id))
			return s->name;
	}
	return NULL;
}

static int
id_check(const struct admit *a, const struct swim_member *m, struct hash_table *seen, struct seen_id *slot, char *error)
{
	struct bytes id = serf_tag(m->card->meta, "id");
	const char *other;

	if (id.size == 0 || m->state == GOSSIP_STATE_LEFT)
		return 0;
	if (bytes_is(id, a->id)) {
		if (strcasecmp(m->card->name, a->name) == 0)
			return 0;
		snprintf(error, SWIM_ERROR_MAX, "Member '%s' has conflicting node ID '%.*s' with this agent's ID",
		    m->card->name, (int)id.size, (const char *)id.data);
		return -1;
	}
	if (!id_counts(m->card->meta))
		return 0;
	other = seen_find(seen, id);
	if (other != NULL) {
		snprintf(error, SWIM_ERROR_MAX, "Member '%s' has conflicting node ID '%.*s' with member '%s'",
		    m->card->name, (int)id.size, (const char *)id.data, other);
		return -1;
	}
	*slot = (struct seen_id){.id = id, .name = m->card->name};
	slot->by_id.hash = hash_bytes(3, id);
	hash_insert(seen, &slot->by_id);
	return 0;
}

/* ---- members ---- */

enum admit_make
admit_make_of(const struct admit *a, struct bytes meta)
{
	struct admit_server server;

	if (!admit_is_server(meta, &server) || strcmp(server.datacenter, a->datacenter) != 0)
		return ADMIT_NO_MAKE;
	return serf_tag(meta, ADMIT_OWN_TAG).size > 0 ? ADMIT_OWN_MAKE : ADMIT_FOREIGN_MAKE;
}

/* *make: of the servers before this one. Those that are gone do no harm. */
static int
make_check(const struct admit *a, const struct swim_member *m, enum admit_make *make, char *error)
{
	enum admit_make its = m->state == GOSSIP_STATE_LEFT || m->state == GOSSIP_STATE_DEAD
				  ? ADMIT_NO_MAKE
				  : admit_make_of(a, m->card->meta);

	if (*make == ADMIT_NO_MAKE)
		*make = its;
	if (its == *make || its == ADMIT_NO_MAKE)
		return 0;
	snprintf(error, SWIM_ERROR_MAX,
	    "Member '%s' is %s server of consuld (%s tag '%s'): servers of one datacenter must all be of one make",
	    m->card->name, its == ADMIT_OWN_MAKE ? "a" : "not a", its == ADMIT_OWN_MAKE ? "it has the" : "no",
	    ADMIT_OWN_TAG);
	return ADMIT_APART;
}

static int
lan_check(const struct admit *a, const struct swim_member *m, char *error)
{
	struct bytes role = serf_tag(m->card->meta, "role"), dc = serf_tag(m->card->meta, "dc");
	struct admit_server server;

	if (!bytes_is(dc, a->datacenter) && (bytes_is(role, "node") || admit_is_server(m->card->meta, &server))) {
		snprintf(error, SWIM_ERROR_MAX, "Member '%s' part of wrong datacenter '%.*s'", m->card->name,
		    (int)dc.size, dc.size == 0 ? "" : (const char *)dc.data);
		return -1;
	}
	return 0;
}

static int
wan_check(const struct swim_member *m, char *error)
{
	struct admit_server server;

	if (admit_is_server(m->card->meta, &server))
		return 0;
	snprintf(error, SWIM_ERROR_MAX, "Member '%s' is not a server", m->card->name);
	return -1;
}

int
admit_members(const struct admit *a, const struct swim_member *members, size_t count, char *error)
{
	struct seen_id *slots = xcalloc(count + 1, sizeof *slots);
	struct hash_table seen = {0};
	enum admit_make make = a->make;
	int result = 0;

	for (size_t i = 0; result == 0 && i < count; i++) {
		const struct swim_member *m = &members[i];

		if (a->wan ? wan_check(m, error) == -1
			   : id_check(a, m, &seen, &slots[i], error) == -1 || lan_check(a, m, error) == -1)
			result = -1;
		else
			result = make_check(a, m, &make, error);
	}
	hash_free(&seen);
	free(slots);
	return result;
}

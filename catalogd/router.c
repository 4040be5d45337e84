/*
 * router.c - the servers of this datacenter (contract: router.h; facts: wire-rpc.md 9.2; caller: servers.c)
 */
#include "router.h"

#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "mem.h"

#define REBALANCE_MIN_S 120.
#define REBALANCE_JITTER_S 60.
#define CLIENTS_PER_S 64.

struct router {
	size_t count;
	struct router_server servers[ROUTER_SERVERS_MAX];
};

static void
move(struct router *r, size_t from, size_t to)
{
	struct router_server moved = r->servers[from];

	if (from < to)
		memmove(&r->servers[from], &r->servers[from + 1], (to - from) * sizeof moved);
	else
		memmove(&r->servers[to + 1], &r->servers[to], (from - to) * sizeof moved);
	r->servers[to] = moved;
}

static size_t
place_of(const struct router *r, const char *name)
{
	size_t i = 0;

	while (i < r->count && strcmp(r->servers[i].name, name) != 0)
		i++;
	return i;
}

int
router_set(struct router *r, const char *name, const union net_addr *address)
{
	size_t i = place_of(r, name);

	if (i == ROUTER_SERVERS_MAX || strlen(name) >= ROUTER_NAME_MAX)
		return -1;
	if (i == r->count)
		r->count++;
	memcpy(r->servers[i].name, name, strlen(name) + 1);
	r->servers[i].address = *address;
	return 0;
}

void
router_remove(struct router *r, const char *name)
{
	size_t i = place_of(r, name);

	if (i == r->count)
		return;
	move(r, i, r->count - 1);
	r->count--;
}

size_t
router_count(const struct router *r)
{
	return r->count;
}

const struct router_server *
router_at(const struct router *r, size_t i)
{
	return &r->servers[i];
}

void
router_failed(struct router *r, const union net_addr *address)
{
	if (r->count > 1 && net_addr_equal(&r->servers[0].address, address))
		move(r, 0, r->count - 1);
}

void
router_prefer(struct router *r, const union net_addr *address)
{
	for (size_t i = 1; i < r->count; i++)
		if (net_addr_equal(&r->servers[i].address, address)) {
			move(r, i, 0);
			return;
		}
}

void
router_shuffle(struct router *r, uint32_t (*below)(void *ctx, uint32_t n), void *ctx)
{
	for (size_t i = r->count; i > 1; i--) {
		size_t other = below(ctx, (uint32_t)i);
		struct router_server kept = r->servers[i - 1];

		r->servers[i - 1] = r->servers[other];
		r->servers[other] = kept;
	}
}

int64_t
router_rebalance_ns(size_t servers, size_t nodes, double random)
{
	double seconds = REBALANCE_MIN_S + random * REBALANCE_JITTER_S;

	if (servers > 0)
		seconds = MAX(seconds, (double)nodes / CLIENTS_PER_S / (double)servers);
	return (int64_t)(seconds * (double)NS_PER_S);
}

struct router *
router_new(void)
{
	return xcalloc(1, sizeof(struct router));
}

void
router_free(struct router *r)
{
	free(r);
}

/*
 * servers.c - the servers that a client knows (contract: servers.h; list: router.h; callers: client.c, stats.c)
 */
#include "servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "log.h"
#include "mem.h"
#include "members.h"
#include "router.h"
#include "uuid.h"

#define MODULE "agent.client"

struct servers {
	struct catalogd *c;
	struct rpcpool *pool;
	struct router *router;
	void (*changed)(void *ctx);
	void *changed_ctx;
	struct ev_timer rebalance;
	size_t nodes; /* members that are alive */
	struct rpccall *ping;
	union net_addr pinged;
	size_t pings_left;
};

/* ---- the configured ones ---- */

void
servers_configure(struct servers *s)
{
	const char *at = conf_str(daemon_conf(s->c->daemon), "consuld.servers", "");

	while (*at != '\0') {
		char text[NET_ADDR_TEXT_MAX];
		size_t size = strcspn(at, " ");
		union net_addr address;

		if (size > 0 &&
		    (bytes_to_str(bytes_of(at, size), text, sizeof text) == -1 ||
			net_addr_parse_port(text, &address) == -1 || router_set(s->router, text, &address) == -1))
			log_warnx(MODULE, "not the address of a server: servers in consuld.conf: %s",
			    log_quote_bytes(bytes_of(at, size)));
		at += size;
		at += strspn(at, " ");
	}
}

/* ---- gossipd's ---- */

static bool
is_alive(enum member_status status)
{
	return status == MEMBER_ALIVE || status == MEMBER_LEAVING;
}

static void
on_member(void *ctx, const struct lan_member *m, enum member_status before)
{
	struct servers *s = ctx;
	char text[NET_ADDR_TEXT_MAX];

	if (m == NULL)
		return;
	s->nodes += is_alive(m->status);
	s->nodes -= is_alive(before);
	if (!m->server || !m->local)
		return;
	if (!is_alive(m->status)) {
		if (is_alive(before))
			log_debug(MODULE, "removing server: server=%s", log_quote(m->name));
		router_remove(s->router, m->name);
	} else if (router_set(s->router, m->name, &m->rpc) == 0)
		log_debug(MODULE, "adding server: server=%s address=%s", log_quote(m->name),
		    net_addr_text_port(&m->rpc, text));
	else
		log_warnx(MODULE, "there are too many servers, one more is not used: server=%s", log_quote(m->name));
	if (is_alive(m->status) != is_alive(before))
		s->changed(s->changed_ctx);
}

/* ---- rebalancing ---- */

static uint32_t
below(void *ctx, uint32_t n)
{
	(void)ctx;
	return (uint32_t)random_below(n);
}

static void
rebalance_later(struct servers *s)
{
	int64_t ns = router_rebalance_ns(router_count(s->router), s->nodes, (double)random_below(1000000) / 1000000.);

	ev_timer_set(&s->rebalance, (double)ns / (double)NS_PER_S, 0.);
	ev_timer_start(s->c->loop, &s->rebalance);
}

static void ping(struct servers *s);

static void
on_ping(void *ctx, const struct rpc_result *result)
{
	struct servers *s = ctx;

	s->ping = NULL;
	if (result->outcome == RPC_ANSWERED && result->error.size == 0) {
		router_prefer(s->router, &s->pinged);
		return;
	}
	router_failed(s->router, &s->pinged);
	ping(s);
}

/* The first one of the list, if all have not yet been tried. */
static void
ping(struct servers *s)
{
	if (s->pings_left == 0 || router_count(s->router) == 0)
		return;
	s->pings_left--;
	s->pinged = router_at(s->router, 0)->address;
	s->ping = rpcpool_call(s->pool, &s->pinged, "Status.Ping", bytes_of(NULL, 0), false, on_ping, s);
}

static void
on_rebalance(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct servers *s = w->data;

	(void)loop, (void)events;
	if (router_count(s->router) > 1 && s->ping == NULL) {
		router_shuffle(s->router, below, NULL);
		s->pings_left = router_count(s->router);
		ping(s);
	}
	rebalance_later(s);
}

/* ---- for others ---- */

size_t
servers_count(const struct servers *s)
{
	return router_count(s->router);
}

bool
servers_first(const struct servers *s, union net_addr *out)
{
	if (router_count(s->router) == 0)
		return false;
	*out = router_at(s->router, 0)->address;
	return true;
}

bool
servers_has(const struct servers *s, const union net_addr *address)
{
	for (size_t i = 0; i < router_count(s->router); i++)
		if (net_addr_equal(&router_at(s->router, i)->address, address))
			return true;
	return false;
}

void
servers_failed(struct servers *s, const union net_addr *address)
{
	router_failed(s->router, address);
}

struct servers *
servers_new(struct catalogd *c, struct rpcpool *pool, void (*changed)(void *ctx), void *ctx)
{
	struct servers *s = xcalloc(1, sizeof *s);

	s->c = c;
	s->pool = pool;
	s->changed = changed;
	s->changed_ctx = ctx;
	s->router = router_new();
	servers_configure(s);
	ev_init(&s->rebalance, on_rebalance);
	s->rebalance.data = s;
	members_observe(c->members, on_member, s);
	rebalance_later(s);
	return s;
}

void
servers_free(struct servers *s)
{
	if (s == NULL)
		return;
	if (s->ping != NULL)
		rpcpool_cancel(s->ping);
	ev_timer_stop(s->c->loop, &s->rebalance);
	router_free(s->router);
	free(s);
}

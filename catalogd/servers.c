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
#include "mp.h"
#include "router.h"
#include "structs_gossip.h"
#include "uuid.h"

#define MODULE "agent.client"
#define SUBSCRIBE_CREDIT (1024u * 1024)
#define SUBSCRIBE_AGAIN_S 1.

struct servers {
	struct catalogd *c;
	struct rpcpool *pool;
	struct router *router;
	struct ipc_call *subscription;
	struct ev_timer again, rebalance;
	bool fresh;   /* the next event begins the list anew */
	size_t nodes; /* members, as far as told */
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

static void
forget(struct servers *s)
{
	while (router_count(s->router) > 0)
		router_remove(s->router, router_at(s->router, 0)->name);
	s->nodes = 0;
	servers_configure(s);
}

/* Where the member serves requests; false: it is no server of ours. */
static bool
server_address(const struct servers *s, const struct member *m, char name[ROUTER_NAME_MAX], union net_addr *out)
{
	char address[NET_ADDR_TEXT_MAX];
	uint64_t port;

	return bytes_is(mp_find_str(m->tags, "role"), "consul") &&
	       bytes_is(mp_find_str(m->tags, "dc"), s->c->datacenter) &&
	       bytes_to_str(m->name, name, ROUTER_NAME_MAX) == 0 &&
	       bytes_to_str(m->addr, address, sizeof address) == 0 &&
	       bytes_to_u64(mp_find_str(m->tags, "port"), &port) == 0 && port > 0 && port <= UINT16_MAX &&
	       net_addr_parse(address, (uint16_t)port, out) == 0;
}

static void
on_event(struct servers *s, const struct gossip_event *event, const struct member *member)
{
	char name[ROUTER_NAME_MAX], text[NET_ADDR_TEXT_MAX];
	union net_addr address;
	bool gone = !bytes_is(event->event, "member-join") && !bytes_is(event->event, "member-update");

	if (bytes_is(event->event, "member-join"))
		s->nodes++;
	else if (gone && s->nodes > 0)
		s->nodes--;
	if (!server_address(s, member, name, &address))
		return;
	if (gone) {
		log_info(MODULE, "removing server: server=%s", log_quote(name));
		router_remove(s->router, name);
	} else if (router_set(s->router, name, &address) == 0)
		log_info(
		    MODULE, "adding server: server=%s address=%s", log_quote(name), net_addr_text_port(&address, text));
	else
		log_warnx(MODULE, "there are too many servers, one more is not used: server=%s", log_quote(name));
}

static void
on_gossip(void *ctx, const struct ipc_answer *answer)
{
	struct servers *s = ctx;
	struct gossip_event event;
	struct member member;
	const char *error;

	if (!answer->more) {
		s->subscription = NULL;
		ev_timer_set(&s->again, SUBSCRIBE_AGAIN_S, 0.);
		ev_timer_start(s->c->loop, &s->again);
		return;
	}
	ipc_grant(s->subscription, (uint32_t)answer->body.size);
	if (s->fresh) { /* what was known before may have changed in between */
		s->fresh = false;
		forget(s);
	}
	if (schema_decode(&gossip_event_schema, answer->body, &event, &error) == 0 &&
	    schema_decode(&member_schema, event.member, &member, &error) == 0)
		on_event(s, &event, &member);
	else
		log_warnx(MODULE, "an event of gossipd is not understood: error=%s", log_quote(error));
}

static void
subscribe(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct servers *s = w->data;

	(void)loop, (void)events;
	s->fresh = true;
	s->subscription = ipc_call(daemon_peer(s->c->daemon, "gossipd"), "Gossip.Subscribe", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.credit = SUBSCRIBE_CREDIT}, on_gossip, s);
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

void
servers_failed(struct servers *s, const union net_addr *address)
{
	router_failed(s->router, address);
}

struct servers *
servers_new(struct catalogd *c, struct rpcpool *pool)
{
	struct servers *s = xcalloc(1, sizeof *s);

	s->c = c;
	s->pool = pool;
	s->router = router_new();
	servers_configure(s);
	ev_timer_init(&s->again, subscribe, 0., 0.);
	ev_init(&s->rebalance, on_rebalance);
	s->again.data = s->rebalance.data = s;
	subscribe(c->loop, &s->again, 0);
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
	if (s->subscription != NULL)
		ipc_cancel(s->subscription);
	ev_timer_stop(s->c->loop, &s->again);
	ev_timer_stop(s->c->loop, &s->rebalance);
	router_free(s->router);
	free(s);
}

/*
 * main.c - gossipd: membership of this node in the LAN and the WAN pool (gossipd(8))
 */
#include "admit.h"
#include "gossip.h"
#include "log.h"
#include "mem.h"

/* ---- what the pools tell ---- */

/* Servers that requests may be sent to come and go: lines that operators look for. */
static void
log_server(const struct gossip *g, enum serf_change change, const struct serf_member *m)
{
	struct swim_address rpc = m->card->address;
	struct admit_server server;
	char text[SWIM_ADDRESS_TEXT_MAX];
	bool comes = change == SERF_MEMBER_JOIN;

	if (!admit_is_server(m->card->meta, &server) || change == SERF_MEMBER_UPDATE)
		return;
	rpc.port = (uint16_t)server.port;
	log_info(g->server ? "agent.server" : "agent.client", "%s: server=\"%s (Addr: tcp/%s) (DC: %s)\"",
	    g->server ? comes ? "Adding LAN server" : "Removing LAN server"
	    : comes   ? "adding server"
		      : "removing server",
	    m->card->name, swim_address_text(&rpc, text), server.datacenter);
}

static void
on_member(void *ctx, struct pool *p, enum serf_change change, const struct serf_member *m)
{
	static const char *const names[] = {"join", "leave", "failed", "update", "reap"};
	struct gossip *g = ctx;
	struct admit_server server;

	if (!pool_is_wan(p)) {
		log_server(g, change, m);
		if (change == SERF_MEMBER_JOIN && g->server)
			background_flood(g);
	} else if (admit_is_server(m->card->meta, &server) && strcmp(m->card->name, pool_self(p)->name) != 0)
		log_info("agent.server", "Handled event for server in area: event=member-%s server=%s area=wan",
		    names[change], m->card->name);
	serve_member(g, p, change, m);
}

static void
on_event(void *ctx, struct pool *p, uint64_t ltime, struct bytes name, struct bytes payload)
{
	struct gossip *g = ctx;

	if (pool_is_wan(p))
		return;
	serve_event(g, p, ltime, name, payload);
	if (bytes_has_prefix(name, bytes_str(EVENT_PREFIX)))
		events_heard(g->events, ltime, name, payload);
}

static void
on_name_lost(void *ctx, struct pool *p)
{
	struct gossip *g = ctx;

	log_errorx(pool_module(p), "another node has this node's name -- ending: node=%s", pool_self(p)->name);
	daemon_exit(g->daemon, EXIT_PERMANENT);
}

/* ---- life ---- */

static int
gossip_start(struct daemon *d)
{
	struct gossip *g = daemon_state(d);
	const struct conf *c = daemon_conf(d);
	const struct pool_watch watch = {.member = on_member, .event = on_event, .name_lost = on_name_lost, .ctx = g};

	g->daemon = d;
	g->server = conf_bool(c, "server", false);
	g->events = events_new(g);
	g->pools[LAN] = pool_new(d, false, &watch);
	if (g->pools[LAN] == NULL)
		return -1;
	if (g->server && conf_int(c, "ports.serf_wan", 8302) > 0) {
		g->pools[WAN] = pool_new(d, true, &watch);
		if (g->pools[WAN] == NULL)
			return -1;
		pool_start(g->pools[WAN]);
	}
	pool_start(g->pools[LAN]);
	background_begin(g);
	return 0;
}

static void
gossip_commit(struct daemon *d, const struct conf *old UNUSED)
{
	struct gossip *g = daemon_state(d);

	for (int which = LAN; which <= WAN; which++)
		if (g->pools[which] != NULL)
			pool_configure(g->pools[which], daemon_conf(d));
}

static void
end(void *ctx)
{
	struct gossip *g = ctx;

	background_end(g);
	for (int which = WAN; which >= LAN; which--) {
		pool_free(g->pools[which]);
		g->pools[which] = NULL;
	}
	daemon_exit(g->daemon, 0);
}

static void
gossip_stop(struct daemon *d, bool leave)
{
	struct gossip *g = daemon_state(d);

	if (leave)
		gossip_leave(g, end, g);
	else
		end(g);
}

int
main(int argc, char **argv)
{
	static struct gossip state;
	/* files: keys and what is remembered; a child process looks names up */
	static const char *const calls[] = {
	    "mkdir", "rename", "renameat", "renameat2", "fsync", "clone", "wait4", "close_range", NULL};
	const struct daemon_ops ops = {
	    .name = "gossipd",
	    .module = "agent",
	    .start = gossip_start,
	    .commit = gossip_commit,
	    .stop = gossip_stop,
	    .methods = gossip_methods,
	    .method_count = gossip_method_count,
	    .syscalls = calls,
	};

	return daemon_main(argc, argv, &ops, &state);
}

/*
 * main.c - gossipd: membership of this node in the LAN and the WAN pool (gossipd(8))
 *
 * In this version every node is alone in its pools: its sockets are held, its own membership is served, joining its own address succeeds.
 */
#include "duration.h"
#include "gossip.h"
#include "log.h"
#include "net.h"
#include "packets.h"

static void begin_attempt(struct background_join *b);

static const char *
pool_name(const struct background_join *b)
{
	return b->wan ? "WAN" : "LAN";
}

static const char *
list_name(const struct background_join *b)
{
	if (b->once)
		return b->wan ? "start_join_wan" : "start_join";
	return b->wan ? "retry_join_wan" : "retry_join";
}

/* ---- joining from the configuration ---- */

static void
start_join_over(struct background_join *b, unsigned joined, const char *error)
{
	struct gossip *g = b->gossip;
	bool retries = conf_list_count(daemon_conf(g->daemon), b->wan ? "retry_join_wan" : "retry_join") > 0;

	g->starting--;
	if (joined > 0) {
		log_info("agent", "(%s) joined: number_of_nodes=%u", pool_name(b), joined);
	} else {
		log_warnx("agent", "(%s) couldn't join: number_of_nodes=0 error=%s", pool_name(b), log_quote(error));
		if (!retries) {
			log_errorx("agent", "%s", log_quote(error));
			daemon_exit(g->daemon, EXIT_PERMANENT);
			return;
		}
	}
	if (g->starting == 0)
		daemon_ready(g->daemon);
}

static void
retry_join_over(struct background_join *b, unsigned joined, const char *error)
{
	char pause[DURATION_TEXT_MAX];

	if (joined > 0) {
		log_info("agent", "(%s) joined: number_of_nodes=%u", pool_name(b), joined);
		log_info("agent", "Join cluster completed. Synced with initial agents: cluster=%s num_agents=%u",
		    pool_name(b), joined);
		return;
	}
	log_warnx("agent", "(%s) couldn't join: number_of_nodes=0 error=%s", pool_name(b), log_quote(error));
	b->attempts++;
	if (b->attempts_max > 0 && b->attempts > b->attempts_max) {
		log_errorx(
		    "agent", "Retry join failed: error=\"agent: max join %s retry exhausted, exiting\"", pool_name(b));
		daemon_exit(b->gossip->daemon, EXIT_PERMANENT);
		return;
	}
	log_warnx("agent", "Join cluster failed, will retry: cluster=%s retry_interval=%s error=%s", pool_name(b),
	    duration_format(b->interval_ns, pause), log_quote(error));
	ev_timer_set(&b->pause, (double)b->interval_ns / (double)NS_PER_S, 0.);
	ev_timer_start(daemon_loop(b->gossip->daemon), &b->pause);
}

static void
on_attempt_over(void *ctx, unsigned joined, const char *error)
{
	struct background_join *b = ctx;

	b->join = NULL;
	if (b->once)
		start_join_over(b, joined, error);
	else
		retry_join_over(b, joined, error);
}

static void
begin_attempt(struct background_join *b)
{
	const struct conf *c = daemon_conf(b->gossip->daemon);
	const char *addresses[JOIN_ADDRESSES_MAX];
	size_t count = MIN(conf_list_count(c, list_name(b)), COUNTOF(addresses));
	struct buf text = BUF_INIT(JOIN_ERROR_MAX);

	for (size_t i = 0; i < count; i++) {
		addresses[i] = conf_list_str(c, list_name(b), i);
		buf_printf(&text, "%s\"%s\"", i == 0 ? "" : ", ", addresses[i]);
	}
	buf_put_u8(&text, '\0');
	if (!b->once)
		log_info("agent", "Joining cluster...: cluster=%s", pool_name(b));
	log_info("agent", "(%s) joining: %s_addresses=[%s]", pool_name(b), b->wan ? "wan" : "lan",
	    text.overflow ? "..." : (char *)text.data);
	buf_free(&text);
	b->join = join_start(daemon_loop(b->gossip->daemon), b->wan ? &b->gossip->wan : &b->gossip->lan, addresses,
	    count, on_attempt_over, b);
}

static void
on_pause_over(struct ev_loop *loop UNUSED, ev_timer *t, int events UNUSED)
{
	begin_attempt(t->data);
}

static void
begin_joins(struct gossip *g)
{
	const struct conf *c = daemon_conf(g->daemon);

	for (int wan = 0; wan <= (g->has_wan ? 1 : 0); wan++) {
		g->start[wan] = (struct background_join){.gossip = g, .wan = wan == 1, .once = true};
		g->retry[wan] = (struct background_join){
		    .gossip = g,
		    .wan = wan == 1,
		    .interval_ns = conf_duration(c, wan == 1 ? "retry_interval_wan" : "retry_interval", 30 * NS_PER_S),
		    .attempts_max = conf_int(c, wan == 1 ? "retry_max_wan" : "retry_max", 0),
		};
		ev_timer_init(&g->retry[wan].pause, on_pause_over, 0., 0.);
		g->retry[wan].pause.data = &g->retry[wan];
		if (conf_list_count(c, list_name(&g->start[wan])) > 0) {
			g->starting++;
			begin_attempt(&g->start[wan]);
		}
		if (conf_list_count(c, list_name(&g->retry[wan])) > 0)
			begin_attempt(&g->retry[wan]);
	}
}

/* ---- life ---- */

static void
leave_pool(struct gossip *g, struct self *self, const char *module)
{
	if (self->status != MEMBER_ALIVE)
		return;
	/* Nobody else is in the pool: there is nothing to spread and nobody to wait for. */
	self->status = MEMBER_LEFT;
	log_info(module, "serf: EventMemberLeave: %s %s", self->name, self->address);
	gossip_publish(g, self, "member-leave");
}

void
gossip_leave(struct gossip *g)
{
	if (g->has_wan)
		leave_pool(g, &g->wan, g->serf_wan);
	leave_pool(g, &g->lan, g->serf_lan);
}

static void
log_added(const struct gossip *g)
{
	const struct conf *c = daemon_conf(g->daemon);
	char text[NET_ADDR_TEXT_MAX] = "";
	union net_addr a;

	if (net_addr_parse(g->lan.address, (uint16_t)conf_int(c, "ports.server", 8300), &a) == 0)
		net_addr_text_port(&a, text);
	log_info("agent.server", "Adding LAN server: server=\"%s (Addr: tcp/%s) (DC: %s)\"", g->lan.name, text,
	    conf_str(c, "datacenter", "dc1"));
}

static int
gossip_start(struct daemon *d)
{
	struct gossip *g = daemon_state(d);
	const struct conf *c = daemon_conf(d);

	g->daemon = d;
	g->server = conf_bool(c, "server", false);
	g->has_wan = g->server && conf_int(c, "ports.serf_wan", 8302) > 0;
	g->coordinates = !conf_bool(c, "disable_coordinates", false);
	g->serf_lan = g->server ? "agent.server.serf.lan" : "agent.client.serf.lan";
	g->serf_wan = "agent.server.serf.wan";
	self_init(&g->lan, c, false);
	if (g->has_wan)
		self_init(&g->wan, c, true);
	if (packets_open(d) == -1)
		return -1;
	if (g->has_wan)
		log_info(g->serf_wan, "serf: EventMemberJoin: %s %s", g->wan.name, g->wan.address);
	log_info(g->serf_lan, "serf: EventMemberJoin: %s %s", g->lan.name, g->lan.address);
	if (g->server)
		log_added(g);
	begin_joins(g);
	if (g->starting == 0)
		daemon_ready(d);
	return 0;
}

static void
gossip_stop(struct daemon *d, bool leave)
{
	struct gossip *g = daemon_state(d);

	if (leave)
		gossip_leave(g);
	packets_close(d);
	daemon_exit(d, 0);
}

int
main(int argc, char **argv)
{
	static struct gossip state;
	static const char *const calls[] = {"socket", "connect", "bind", "accept4", "recvfrom", "getsockopt", NULL};
	const struct daemon_ops ops = {
	    .name = "gossipd",
	    .module = "agent",
	    .start = gossip_start,
	    .stop = gossip_stop,
	    .methods = gossip_methods,
	    .method_count = gossip_method_count,
	    .syscalls = calls,
	};

	return daemon_main(argc, argv, &ops, &state);
}

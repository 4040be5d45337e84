/*
 * background.c - joins that nobody waits for: from the configuration, from the memory of the last time, and servers of the LAN pool into the WAN
 * pool (contract: gossip.h; caller: main.c)
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admit.h"
#include "duration.h"
#include "gossip.h"
#include "log.h"
#include "mem.h"

#define FLOOD_S 60.
#define FLOOD_SOON_S 0.1
#define FLOOD_ADDRESSES_MAX 64
#define STARTED_NOTE "gossipd.started" /* in the run directory: pid of the consuld whose agent has started */

/* ---- whether the agent has started already ---- */

/* One that consuld started again after a crash must not end the agent because the nodes to join at the start are away now. */
static bool
is_restart(const struct gossip *g)
{
	char note[32] = "";
	int fd = open(STARTED_NOTE, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : read(fd, note, sizeof note - 1);

	if (fd != -1)
		close(fd);
	return n > 0 && strtoll(note, NULL, 10) == conf_int(daemon_conf(g->daemon), "consuld.pid", 0);
}

static void
started(const struct gossip *g)
{
	char note[32];
	int fd = open(STARTED_NOTE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	snprintf(note, sizeof note, "%" PRId64 "\n", conf_int(daemon_conf(g->daemon), "consuld.pid", 0));
	if (fd == -1 || write(fd, note, strlen(note)) == -1)
		log_warn("agent",
		    "no note of the start -- after a crash of gossipd a failed join would end the agent: file=%s",
		    STARTED_NOTE);
	if (fd != -1)
		close(fd);
	daemon_ready(g->daemon);
}

/* ---- joining from the configuration ---- */

static void begin_attempt(struct background_join *b);

static const char *
pool_name(const struct background_join *b)
{
	return pool_is_wan(b->pool) ? "WAN" : "LAN";
}

static const char *
list_name(const struct background_join *b)
{
	if (b->once)
		return pool_is_wan(b->pool) ? "start_join_wan" : "start_join";
	return pool_is_wan(b->pool) ? "retry_join_wan" : "retry_join";
}

static void
start_join_over(struct background_join *b, unsigned joined, const char *error)
{
	struct gossip *g = b->gossip;
	bool retries =
	    conf_list_count(daemon_conf(g->daemon), pool_is_wan(b->pool) ? "retry_join_wan" : "retry_join") > 0;

	g->starting--;
	if (joined > 0) {
		log_info("agent", "(%s) joined: number_of_nodes=%u", pool_name(b), joined);
	} else {
		log_warnx("agent", "(%s) couldn't join: number_of_nodes=0 error=%s", pool_name(b), log_quote(error));
		if (!retries && !is_restart(g)) {
			log_errorx("agent", "%s", log_quote(error));
			daemon_exit(g->daemon, EXIT_PERMANENT);
			return;
		}
	}
	if (g->starting == 0)
		started(g);
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
	size_t count = 0;
	struct buf text = BUF_INIT(JOIN_ERROR_MAX);

	for (size_t i = 0; i < conf_list_count(c, list_name(b)) && count < COUNTOF(addresses); i++) {
		const char *address = conf_list_str(c, list_name(b), i);

		if (strstr(address, "provider=") != NULL) {
			log_errorx("agent",
			    "Cannot discover address: address=%s error=\"discover: no provider is built in\"",
			    log_quote(address));
			continue;
		}
		addresses[count] = address;
		buf_printf(&text, "%s\"%s\"", count++ == 0 ? "" : ", ", address);
	}
	buf_put_u8(&text, '\0');
	if (!b->once)
		log_info("agent", "Joining cluster...: cluster=%s", pool_name(b));
	log_info("agent", "(%s) joining: %s_addresses=[%s]", pool_name(b), pool_is_wan(b->pool) ? "wan" : "lan",
	    text.overflow ? "..." : (char *)text.data);
	buf_free(&text);
	b->join = join_start(daemon_loop(b->gossip->daemon), b->pool, addresses, count, on_attempt_over, b);
}

static void
on_pause_over(struct ev_loop *loop UNUSED, ev_timer *t, int events UNUSED)
{
	begin_attempt(t->data);
}

static void
joins_begin(struct gossip *g, int which)
{
	const struct conf *c = daemon_conf(g->daemon);

	g->start[which] = (struct background_join){.gossip = g, .pool = g->pools[which], .once = true};
	g->retry[which] = (struct background_join){
	    .gossip = g,
	    .pool = g->pools[which],
	    .interval_ns = conf_duration(c, which == WAN ? "retry_interval_wan" : "retry_interval", 30 * NS_PER_S),
	    .attempts_max = conf_int(c, which == WAN ? "retry_max_wan" : "retry_max", 0),
	};
	ev_timer_init(&g->retry[which].pause, on_pause_over, 0., 0.);
	g->retry[which].pause.data = &g->retry[which];
	if (conf_list_count(c, list_name(&g->start[which])) > 0) {
		g->starting++;
		begin_attempt(&g->start[which]);
	}
	if (conf_list_count(c, list_name(&g->retry[which])) > 0)
		begin_attempt(&g->retry[which]);
}

/* ---- those of the last time ---- */

static void rejoin_next(struct rejoin *r);

/* "name/address" as "name: address" */
static const char *
past_text(const struct rejoin *r, char out[SWIM_NAME_MAX + SWIM_ADDRESS_TEXT_MAX + 4])
{
	const char *past = pool_past_at(r->pool, r->next), *slash = strrchr(past, '/');

	snprintf(out, SWIM_NAME_MAX + SWIM_ADDRESS_TEXT_MAX + 4, "%.*s: %s", (int)(slash - past), past, slash + 1);
	return out;
}

static void
on_rejoined(void *ctx, const char *error)
{
	struct rejoin *r = ctx;
	char text[SWIM_NAME_MAX + SWIM_ADDRESS_TEXT_MAX + 4];

	r->contact = NULL;
	if (error == NULL) {
		log_info(pool_serf_module(r->pool), "serf: Re-joined to previously known node: %s", past_text(r, text));
		return;
	}
	log_debug(pool_serf_module(r->pool), "serf: Failed to re-join %s: %s", past_text(r, text), error);
	r->next++;
	rejoin_next(r);
}

static void
rejoin_next(struct rejoin *r)
{
	char text[SWIM_NAME_MAX + SWIM_ADDRESS_TEXT_MAX + 4], host[JOIN_HOST_MAX];
	struct swim_address address;
	uint16_t port;

	for (; r->next < pool_past_count(r->pool); r->next++) {
		const char *slash = strrchr(pool_past_at(r->pool, r->next), '/');

		if (join_target(slash + 1, 0, &address, host, &port) != 1)
			continue;
		log_info(pool_serf_module(r->pool), "serf: Attempting re-join to previously known node: %s",
		    past_text(r, text));
		r->contact = pool_contact(r->pool, &address, on_rejoined, r);
		if (r->contact != NULL)
			return;
	}
	if (pool_past_count(r->pool) > 0)
		log_warnx(pool_serf_module(r->pool), "serf: Failed to re-join any previously known node");
}

/* ---- servers of the LAN pool into the WAN pool ---- */

static bool
is_known(const struct serf *wan, const char *name, const char *datacenter)
{
	struct buf full = BUF_INIT(2 * SWIM_NAME_MAX);
	const struct serf_member *m;

	buf_printf(&full, "%s.%s", name, datacenter);
	m = serf_find(wan, buf_bytes(&full));
	buf_free(&full);
	return m != NULL && m->status != MEMBER_LEFT;
}

static void
on_flooded(void *ctx, unsigned joined, const char *error)
{
	struct gossip *g = ctx;

	g->flooding = NULL;
	if (joined > 0)
		log_debug("agent.server", "Successfully performed flood-join: area=wan servers=%u", joined);
	if (error[0] != '\0')
		log_debug("agent.server", "Failed to flood-join: area=wan error=%s", log_quote(error));
	if (g->flood_again)
		background_flood(g);
}

static void
flood(struct gossip *g)
{
	const char *datacenter = conf_str(daemon_conf(g->daemon), "datacenter", "dc1");
	const struct serf *lan = pool_serf(g->pools[LAN]), *wan = pool_serf(g->pools[WAN]);
	char *addresses[FLOOD_ADDRESSES_MAX];
	size_t count = 0;

	g->flood_again = false;
	for (size_t i = 0; i < serf_count(lan) && count < COUNTOF(addresses); i++) {
		const struct serf_member *m = serf_at(lan, i);
		struct bytes port = serf_tag(m->card->meta, "wan_join_port");
		struct swim_address to = m->card->address;
		struct admit_server server;
		char text[SWIM_ADDRESS_TEXT_MAX];
		uint64_t number;

		if (m->status != MEMBER_ALIVE || !admit_is_server(m->card->meta, &server) ||
		    strcmp(server.datacenter, datacenter) != 0 || is_known(wan, m->card->name, datacenter) ||
		    bytes_to_u64(port, &number) == -1 || number == 0 || number > UINT16_MAX)
			continue;
		to.port = (uint16_t)number;
		addresses[count++] = xasprintf("%s.%s/%s", m->card->name, datacenter, swim_address_text(&to, text));
	}
	if (count > 0)
		g->flooding = join_start(
		    daemon_loop(g->daemon), g->pools[WAN], (const char *const *)addresses, count, on_flooded, g);
	while (count > 0)
		free(addresses[--count]);
}

static void
on_flood(struct ev_loop *loop UNUSED, ev_timer *t, int events UNUSED)
{
	struct gossip *g = t->data;

	if (g->flooding == NULL)
		flood(g);
	t->repeat = FLOOD_S;
	ev_timer_again(daemon_loop(g->daemon), t);
}

void
background_flood(struct gossip *g)
{
	if (g->pools[WAN] == NULL || !ev_is_active(&g->flood))
		return;
	if (g->flooding != NULL) {
		g->flood_again = true;
		return;
	}
	g->flood.repeat = FLOOD_SOON_S;
	ev_timer_again(daemon_loop(g->daemon), &g->flood);
}

/* ---- life ---- */

void
background_begin(struct gossip *g)
{
	for (int which = LAN; which <= WAN; which++) {
		if (g->pools[which] == NULL)
			continue;
		joins_begin(g, which);
		g->rejoin[which] = (struct rejoin){.pool = g->pools[which]};
		rejoin_next(&g->rejoin[which]);
	}
	if (g->starting == 0)
		started(g);
	if (g->pools[WAN] != NULL) {
		ev_timer_init(&g->flood, on_flood, FLOOD_S, FLOOD_S);
		g->flood.data = g;
		ev_timer_start(daemon_loop(g->daemon), &g->flood);
	}
}

void
background_end(struct gossip *g)
{
	ev_timer_stop(daemon_loop(g->daemon), &g->flood);
	if (g->flooding != NULL)
		join_cancel(g->flooding);
	g->flooding = NULL;
	for (int which = LAN; which <= WAN; which++) {
		struct background_join *const joins[] = {&g->start[which], &g->retry[which]};

		for (size_t i = 0; i < COUNTOF(joins); i++) {
			if (joins[i]->join != NULL)
				join_cancel(joins[i]->join);
			joins[i]->join = NULL;
			ev_timer_stop(daemon_loop(g->daemon), &joins[i]->pause);
		}
		if (g->rejoin[which].contact != NULL)
			pool_contact_cancel(g->rejoin[which].contact);
		g->rejoin[which].contact = NULL;
	}
}

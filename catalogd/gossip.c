/*
 * gossip.c - the way to gossipd (contract: gossip.h; facts: wire-gossip.md 15.6; callers: main.c, leader.c)
 *
 * The subscription ends when gossipd does, or when this process was too slow for it; it is asked for again after a pause that doubles as long as
 * nothing comes. A gossipd that was started anew then has a minute to find again whom it knew: those
 * whom it does not find have failed, and are forgotten when that was long ago.
 */
#include "gossip.h"

#include <stdlib.h>

#include "duration.h"
#include "log.h"
#include "mem.h"
#include "members.h"
#include "mp.h"
#include "structs_gossip.h"

#define SUBSCRIBE_CREDIT (1024u * 1024)
#define AGAIN_MIN_S .05
#define AGAIN_MAX_S 5.
#define FOUND_S 60.
#define FORGOTTEN_DEFAULT (72 * 3600 * NS_PER_S)
#define FIRE_TIMEOUT_MS 5000
#define FIRE_BYTES_MAX 4096

struct gossip {
	struct catalogd *c;
	const char *module;
	struct ipc_call *subscription;
	struct ev_timer again, found;
	double pause_s;
	bool failed; /* those who were not found are taken for that */
};

/* ---- what comes ---- */

static void
on_user_event(const struct gossip *g, const struct gossip_event *event)
{
	if (bytes_is(event->name, GOSSIP_NEW_LEADER))
		log_info(g->module, "New leader elected: payload=%s", log_quote_bytes(event->payload));
}

static void
found_set(struct gossip *g, double seconds)
{
	ev_timer_stop(g->c->loop, &g->found);
	ev_timer_set(&g->found, seconds, 0.);
	ev_timer_start(g->c->loop, &g->found);
}

static void
on_element(struct gossip *g, struct bytes element)
{
	struct gossip_event event;
	const char *error;

	if (schema_decode(&gossip_event_schema, element, &event, &error) == -1)
		log_warnx(g->module, "an event of gossipd is not understood: error=%s", log_quote(error));
	else if (bytes_is(event.event, "user"))
		on_user_event(g, &event);
	else if (members_take(g->c->members, &event, &error) == -1)
		log_warnx(g->module, "an event of gossipd is not understood: error=%s", log_quote(error));
	else if (bytes_is(event.event, "synced"))
		found_set(g, FOUND_S);
}

static void
on_answer(void *ctx, const struct ipc_answer *answer)
{
	struct gossip *g = ctx;

	if (answer->more) {
		g->pause_s = AGAIN_MIN_S;
		ipc_grant(g->subscription, (uint32_t)answer->body.size);
		on_element(g, answer->body);
		return;
	}
	g->subscription = NULL;
	if (answer->status == IPC_ERROR)
		log_warnx(g->module, "gossipd ended its subscription, subscribing again: error=%s",
		    log_quote_bytes(answer->error));
	ev_timer_set(&g->again, g->pause_s, 0.);
	ev_timer_start(g->c->loop, &g->again);
	g->pause_s = MIN(2. * g->pause_s, AGAIN_MAX_S);
}

static void
subscribe(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct gossip *g = w->data;

	(void)events;
	members_begin(g->c->members);
	ev_timer_stop(loop, &g->found);
	g->failed = false;
	g->subscription = ipc_call(daemon_peer(g->c->daemon, "gossipd"), "Gossip.Subscribe", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.credit = SUBSCRIBE_CREDIT}, on_answer, g);
}

static void
on_found(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct gossip *g = w->data;

	(void)loop, (void)events;
	if (g->failed) {
		members_drop_unseen(g->c->members);
		return;
	}
	members_fail_unseen(g->c->members);
	g->failed = true;
	found_set(g, (double)conf_duration(daemon_conf(g->c->daemon), "reconnect_timeout", FORGOTTEN_DEFAULT) /
			 (double)NS_PER_S);
}

/* ---- what goes ---- */

static void
on_fired(void *ctx, const struct ipc_answer *answer)
{
	(void)ctx;
	if (answer->status != IPC_OK)
		log_warnx(
		    "agent.server", "an event was not told to the members: error=%s", log_quote_bytes(answer->error));
}

void
gossip_fire(struct gossip *g, const char *name, struct bytes payload)
{
	struct gossip_fire_request request = {.name = bytes_str(name), .payload = payload};
	struct buf args = BUF_INIT(FIRE_BYTES_MAX);

	schema_encode(&gossip_fire_request_schema, &request, &args);
	(void)ipc_call(daemon_peer(g->c->daemon, "gossipd"), "Gossip.Event", buf_bytes(&args),
	    &(struct ipc_call_options){.timeout_ms = FIRE_TIMEOUT_MS}, on_fired, NULL);
	buf_free(&args);
}

struct gossip *
gossip_new(struct catalogd *c)
{
	struct gossip *g = xcalloc(1, sizeof *g);

	g->c = c;
	g->module = c->server ? "agent.server" : "agent.client";
	g->pause_s = AGAIN_MIN_S;
	ev_timer_init(&g->again, subscribe, 0., 0.);
	ev_timer_init(&g->found, on_found, 0., 0.);
	g->again.data = g->found.data = g;
	subscribe(c->loop, &g->again, 0);
	return g;
}

void
gossip_free(struct gossip *g)
{
	if (g == NULL)
		return;
	if (g->subscription != NULL)
		ipc_cancel(g->subscription);
	ev_timer_stop(g->c->loop, &g->again);
	ev_timer_stop(g->c->loop, &g->found);
	free(g);
}

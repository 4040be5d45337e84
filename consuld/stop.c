/*
 * stop.c - the end of the suite (contract: stop.h; callers: main.c, control.c, child.c by suite_*)
 *
 * Fronts first, so that nobody is served from a half stopped house, then what they ask, raftd last: stage by stage, each with a time
 * limit after which it is killed. A graceful leave goes before: gossipd spreads it and answers. A server's catalogd hands leadership on before
 * that, and behind it waits until the others do without this server.
 */
#include "stop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "notify.h"
#include "reload.h"
#include "suite.h"

#define LEAVE_S 15.   /* as the reference */
#define HAND_ON_S 4.  /* for another leader; without an answer the members are told all the same */
#define CATALOG_S 11. /* of which 10 s are what leave_drain_time and being removed may take by default */
#define STAGE_S 3.    /* one stage may take so long before it is killed */

struct leave_waiter {
	struct leave_waiter *next;
	stop_left_cb *done;
	void *ctx;
};

/* Stage of each daemon; one that is not listed stops with the fronts. */
static const char *const stages[][3] = {{"httpd", "dnsd"}, {"checkd"}, {"gossipd"}, {"catalogd"}, {"raftd"}};

static unsigned
stage_of(const struct child *c)
{
	for (unsigned i = 0; i < COUNTOF(stages); i++)
		for (size_t k = 0; k < COUNTOF(stages[i]) && stages[i][k] != NULL; k++)
			if (strcmp(stages[i][k], child_row(c)->name) == 0)
				return i;
	return 0;
}

static bool
stage_empty(const struct suite *s)
{
	for (size_t i = 0; i < s->child_count; i++)
		if (stage_of(s->children[i]) == s->stop_stage && !child_stopped(s->children[i]))
			return false;
	return true;
}

static void
end_loop(struct suite *s)
{
	ev_timer_stop(s->loop, &s->stop_timer);
	log_info("agent", "Endpoints down");
	log_info("agent", "Exit code: code=%d", s->status);
	s->ended = true;
	ev_break(s->loop, EVBREAK_ALL);
}

/* Begins stage after stage until one has somebody to wait for. */
static void
next_stages(struct suite *s)
{
	while (s->stop_stage < COUNTOF(stages)) {
		for (size_t i = 0; i < s->child_count; i++)
			if (stage_of(s->children[i]) == s->stop_stage)
				child_stop(s->children[i], s->stop_leave);
		if (!stage_empty(s)) {
			ev_timer_set(&s->stop_timer, STAGE_S, 0.);
			ev_timer_start(s->loop, &s->stop_timer);
			return;
		}
		s->stop_stage++;
	}
	end_loop(s);
}

static void
on_stage_over(struct ev_loop *loop UNUSED, ev_timer *t, int events UNUSED)
{
	struct suite *s = t->data;

	for (size_t i = 0; i < s->child_count; i++)
		if (stage_of(s->children[i]) == s->stop_stage && !child_stopped(s->children[i])) {
			log_errorx(
			    "agent", "daemon does not stop -- killing it: daemon=%s", child_name(s->children[i]));
			child_kill(s->children[i], SIGKILL);
		}
}

void
stop_child_gone(struct suite *s)
{
	if (s->state != SUITE_STOPPING || !stage_empty(s))
		return;
	ev_timer_stop(s->loop, &s->stop_timer);
	s->stop_stage++;
	next_stages(s);
}

void
stop_begin(struct suite *s, int status)
{
	const char *role = config_bool(s->config, "server") ? "server" : "client";

	if (s->state == SUITE_STOPPING)
		return;
	s->state = SUITE_STOPPING;
	s->status = status;
	notify_manager("STOPPING=1");
	ev_timer_stop(s->loop, &s->leave_timer);
	reload_cancel(s);
	log_info("agent", "Requesting shutdown");
	log_info(role[0] == 's' ? "agent.server" : "agent.client", "shutting down %s", role);
	log_info("agent", "consul %s down", role);
	log_info("agent", "shutdown complete");
	log_info("agent", "Waiting for endpoints to shut down");
	ev_timer_init(&s->stop_timer, on_stage_over, STAGE_S, 0.);
	s->stop_timer.data = s;
	s->stop_stage = 0;
	next_stages(s);
}

/* ---- leaving ---- */

static void
tell_left(struct suite *s, const char *error)
{
	struct leave_waiter *w = s->leave_waiters;

	s->leave_waiters = NULL;
	while (w != NULL) {
		struct leave_waiter *next = w->next;

		if (w->done != NULL)
			w->done(w->ctx, error);
		free(w);
		w = next;
	}
}

static void
leave_done(struct suite *s)
{
	log_info("agent", "Graceful exit completed");
	tell_left(s, NULL);
	stop_begin(s, 0);
}

/* What a server does besides; if it can not, the others remove it all the same, or it is found to have failed. */
static void
catalog_ask(struct suite *s, const char *method, double seconds, ipc_answer_cb *answered)
{
	(void)ipc_call(s->catalog, method, bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = (int64_t)(seconds * 1000)}, answered, s);
}

static void
catalog_failed_log(const struct ipc_answer *answer)
{
	if (answer->status != IPC_OK)
		log_errorx(
		    "agent.server", "leaving without all that belongs to it: error=%s", log_quote_bytes(answer->error));
}

static void
on_ended(void *ctx, const struct ipc_answer *answer)
{
	struct suite *s = ctx;

	if (s->state != SUITE_LEAVING)
		return;
	catalog_failed_log(answer);
	leave_done(s);
}

static void
on_left(void *ctx, const struct ipc_answer *answer)
{
	struct suite *s = ctx;

	if (s->state != SUITE_LEAVING)
		return;
	if (answer->status == IPC_OK && s->catalog != NULL)
		catalog_ask(s, "Catalogd.LeaveEnd", CATALOG_S, on_ended);
	else if (answer->status == IPC_OK)
		leave_done(s);
	else {
		log_errorx("agent", "Error on leave: error=%s", log_quote_bytes(answer->error));
		tell_left(s, "the node could not leave; it is shutting down without");
		stop_begin(s, 1);
	}
}

static void
on_leave_over(struct ev_loop *loop UNUSED, ev_timer *t, int events UNUSED)
{
	struct suite *s = t->data;

	log_errorx("agent", "Timeout on graceful leave. Exiting");
	tell_left(s, "timeout on graceful leave");
	stop_begin(s, 1);
}

static void
gossip_leave(struct suite *s)
{
	const struct ipc_call_options options = {.timeout_ms = (int64_t)(LEAVE_S * 1000)};

	s->gossip = ipc_peer_new(s->ipc, "gossipd.sock", NULL);
	(void)ipc_call(s->gossip, "Gossip.Leave", bytes_of(NULL, 0), &options, on_left, s);
}

static void
on_handed_on(void *ctx, const struct ipc_answer *answer)
{
	struct suite *s = ctx;

	if (s->state != SUITE_LEAVING)
		return;
	catalog_failed_log(answer);
	gossip_leave(s);
}

static void
leave_begin(struct suite *s)
{
	s->state = SUITE_LEAVING;
	s->stop_leave = true;
	log_info("agent", "Gracefully shutting down agent...");
	if (config_bool(s->config, "server"))
		log_info("agent.server", "server starting leave");
	else
		log_info("agent.client", "client starting leave");
	ev_timer_init(&s->leave_timer, on_leave_over, LEAVE_S, 0.);
	s->leave_timer.data = s;
	ev_timer_start(s->loop, &s->leave_timer);
	if (config_bool(s->config, "server")) {
		s->catalog = ipc_peer_new(s->ipc, "catalogd.sock", NULL);
		catalog_ask(s, "Catalogd.LeaveBegin", HAND_ON_S, on_handed_on);
	} else
		gossip_leave(s);
}

void
stop_leave(struct suite *s, stop_left_cb *done, void *ctx)
{
	struct leave_waiter *w;

	if (s->state == SUITE_STOPPING) {
		done(ctx, "the agent is shutting down");
		return;
	}
	w = xcalloc(1, sizeof *w);
	*w = (struct leave_waiter){.next = s->leave_waiters, .done = done, .ctx = ctx};
	s->leave_waiters = w;
	if (s->state != SUITE_LEAVING) {
		leave_begin(s);
	}
}

void
stop_forget(struct suite *s, void *ctx)
{
	for (struct leave_waiter *w = s->leave_waiters; w != NULL; w = w->next)
		if (w->ctx == ctx)
			w->done = NULL;
}

/* ---- signals ---- */

static void
kill_all(struct suite *s)
{
	for (size_t i = 0; i < s->child_count; i++)
		child_kill(s->children[i], SIGKILL);
}

void
stop_signal(struct suite *s, int signal_number)
{
	const char *name = signal_number == SIGINT ? "interrupt" : "terminated";
	bool leave = signal_number == SIGINT ? !config_bool(s->config, "skip_leave_on_interrupt")
					     : config_bool(s->config, "leave_on_terminate");

	switch (s->state) {
	case SUITE_LEAVING:
		log_info("agent", "Caught second signal, Exiting: signal=%s", name);
		tell_left(s, "interrupted by a signal");
		kill_all(s);
		stop_begin(s, 1);
		return;
	case SUITE_STOPPING:
		log_info("agent", "Caught second signal, Exiting: signal=%s", name);
		kill_all(s);
		return;
	case SUITE_STARTING:
		log_info("agent.startup", "Caught: signal=%s", name);
		stop_begin(s, 1);
		return;
	case SUITE_RUNNING:
		break;
	}
	log_info("agent", "Caught: signal=%s", name);
	if (leave) {
		leave_begin(s);
		return;
	}
	log_info("agent", "Graceful shutdown disabled. Exiting");
	stop_begin(s, 1);
}

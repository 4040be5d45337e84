/*
 * reload.c - a new configuration for the running suite (contract: reload.h; callers: main.c, control.c)
 *
 * Generation N+1 is written, every daemon checks it (Daemon.Prepare), then `current` is pointed to it and every daemon takes it
 * (Daemon.Commit), or, when one refused, nobody does (Daemon.Abort) and it is removed. What a daemon reads at its start is `current`: one that died
 * meanwhile and came back before the switch has read the old generation; it prepares and commits after the switch, and if it can not it is
 * killed to start with the new one.
 */
#include "reload.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "duration.h"
#include "log.h"
#include "mem.h"
#include "mp.h"
#include "notify.h"
#include "suite.h"

#define PREPARE_MS 30000
#define COMMIT_MS 30000
#define WAITERS_MAX 1024

struct waiter {
	struct waiter *next;
	reload_done_cb *done;
	void *ctx;
};

struct participant {
	struct reload *reload;
	struct child *child;
	unsigned incarnation; /* of the process that was asked */
	bool prepared;
};

struct reload {
	struct suite *suite;
	struct config *next;
	unsigned generation;
	bool committing;
	unsigned open; /* answers to come, one more while we are still asking */
	char *error;   /* the first refusal */
	struct participant *participants;
	size_t participant_count;
	struct waiter *waiters, *later; /* later: came while this one was on its way */
	size_t waiter_count;
};

static void reload_begin(struct suite *s, struct waiter *waiters);

static void
add_waiter(struct waiter **list, reload_done_cb *done, void *ctx)
{
	struct waiter *w = xcalloc(1, sizeof *w);

	*w = (struct waiter){.done = done, .ctx = ctx};
	while (*list != NULL)
		list = &(*list)->next;
	*list = w;
}

static void
tell_waiters(struct waiter *w, const char *error)
{
	while (w != NULL) {
		struct waiter *next = w->next;

		if (w->done != NULL)
			w->done(w->ctx, error);
		free(w);
		w = next;
	}
}

static struct bytes
generation_args(unsigned generation, struct buf *out)
{
	mp_put_map(out, 1);
	mp_put_kv_uint(out, "Generation", generation);
	return buf_bytes(out);
}

/* The end, good or bad: answers, and begins again for those who came later. */
static void
finish(struct reload *r)
{
	struct suite *s = r->suite;
	struct waiter *later = r->later;

	s->reload = NULL;
	config_free(r->next);
	notify_manager("READY=1");
	tell_waiters(r->waiters, r->error);
	free(r->error);
	free(r->participants);
	free(r);
	if (later != NULL)
		reload_begin(s, later);
}

static void PRINTF_LIKE(2, 3) note_error(struct reload *r, const char *fmt, ...)
{
	va_list args;

	if (r->error != NULL)
		return;
	r->error = xmalloc(CONF_ERROR_MAX);
	va_start(args, fmt);
	vsnprintf(r->error, CONF_ERROR_MAX, fmt, args);
	va_end(args);
}

static void
ignore_answer(void *ctx UNUSED, const struct ipc_answer *answer UNUSED)
{
}

static void
give_up(struct reload *r)
{
	for (size_t i = 0; i < r->participant_count; i++)
		if (r->participants[i].prepared)
			child_call(r->participants[i].child, "Daemon.Abort", bytes_of(NULL, 0), 0, ignore_answer, NULL);
	rundir_remove(r->suite->rundir, r->generation);
	finish(r);
}

/* What consuld itself takes from the new configuration. */
static void
take_own(struct reload *r)
{
	struct suite *s = r->suite;
	struct config *old = s->config;

	s->config = r->next;
	r->next = NULL;
	logs_set_level(s->logs, config_log_level(s->config));
	if (logs_wanted(s->logs) < config_log_level(s->config))
		for (size_t i = 0; i < s->child_count; i++)
			child_log_level(s->children[i], logs_wanted(s->logs));
	for (size_t i = 0; i < config_warning_count(s->config); i++)
		log_warnx("agent", "%s", config_warning(s->config, i));
	for (size_t i = 0; i < config_notice_count(s->config); i++)
		log_info("agent", "%s", config_notice(s->config, i));
	config_free(old);
}

static void
on_committed(void *ctx, const struct ipc_answer *answer)
{
	struct participant *p = ctx;
	struct reload *r = p->reload;

	/* LOST: it died and reads the new generation at its next start. */
	if (answer->status == IPC_ERROR || answer->status == IPC_EXPIRED) {
		log_errorx("agent", "daemon did not take the new configuration -- restarting it: daemon=%s error=%s",
		    child_name(p->child), log_quote_bytes(answer->error));
		child_kill(p->child, SIGKILL);
	}
	if (--r->open == 0) {
		take_own(r);
		rundir_remove(r->suite->rundir, r->suite->generation);
		r->suite->generation = r->generation;
		finish(r);
	}
}

static void
on_late_prepared(void *ctx, const struct ipc_answer *answer)
{
	struct participant *p = ctx;
	struct buf args = BUF_INIT(64);

	if (answer->status != IPC_OK || !child_call(p->child, "Daemon.Commit",
					    generation_args(p->reload->generation, &args), COMMIT_MS, on_committed, p))
		on_committed(ctx, answer);
	buf_free(&args);
}

static void
commit(struct reload *r)
{
	struct buf args = BUF_INIT(64);
	struct ipc_answer none = {.status = IPC_LOST};

	if (rundir_commit(r->suite->rundir, r->generation) == -1) {
		note_error(r, "run directory: %s", strerror(errno));
		give_up(r);
		return;
	}
	r->committing = true;
	(void)generation_args(r->generation, &args);
	r->open = 1;
	for (size_t i = 0; i < r->participant_count; i++) {
		struct participant *p = &r->participants[i];
		bool same = p->prepared && p->incarnation == child_incarnation(p->child);

		if (child_call(p->child, same ? "Daemon.Commit" : "Daemon.Prepare", buf_bytes(&args), COMMIT_MS,
			same ? on_committed : on_late_prepared, p))
			r->open++;
	}
	buf_free(&args);
	on_committed(&(struct participant){.reload = r}, &none);
}

static void
one_prepared(struct reload *r)
{
	if (--r->open > 0)
		return;
	if (r->error != NULL)
		give_up(r);
	else
		commit(r);
}

static void
on_prepared(void *ctx, const struct ipc_answer *answer)
{
	struct participant *p = ctx;

	if (answer->status == IPC_OK) {
		p->prepared = true;
	} else if (answer->status == IPC_ERROR) {
		note_error(
		    p->reload, "%.*s", (int)MIN(answer->error.size, CONF_ERROR_MAX), (const char *)answer->error.data);
	} else if (answer->status == IPC_EXPIRED) {
		note_error(p->reload, "%s did not answer in time", child_name(p->child));
	}
	one_prepared(p->reload);
}

static void
prepare(struct reload *r)
{
	struct suite *s = r->suite;
	struct buf args = BUF_INIT(64);

	(void)generation_args(r->generation, &args);
	r->open = 1;
	r->participants = xcalloc(s->child_count + 1, sizeof *r->participants);
	r->participant_count = s->child_count;
	for (size_t i = 0; i < s->child_count; i++) {
		struct participant *p = &r->participants[i];

		*p = (struct participant){
		    .reload = r, .child = s->children[i], .incarnation = child_incarnation(s->children[i])};
		if (child_call(p->child, "Daemon.Prepare", buf_bytes(&args), PREPARE_MS, on_prepared, p))
			r->open++;
	}
	buf_free(&args);
	one_prepared(r);
}

static void
reload_begin(struct suite *s, struct waiter *waiters)
{
	struct reload *r = xcalloc(1, sizeof *r);
	char error[RUNDIR_ERROR_MAX], text[64];
	struct config_error e = {.text = NULL};

	r->suite = s;
	r->waiters = waiters;
	s->reload = r;
	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(monotime_now().ns / NS_PER_US));
	notify_manager(text);
	r->next = config_reload(s->config, &e);
	if (r->next == NULL) {
		r->error = e.text == NULL ? xstrdup("the configuration can not be read") : xstrdup(e.text);
		config_error_free(&e);
		finish(r);
		return;
	}
	config_set_run_dir(r->next, rundir_path(s->rundir));
	config_set_servers(r->next, s->table->servers);
	config_set_coordinates(r->next, s->table->coordinate_interval_ms, s->table->coordinate_period_ms);
	r->generation = s->generation + 1;
	if (rundir_write(s->rundir, r->next, r->generation, suite_own_file, s, error) == -1) {
		r->error = xstrdup(error);
		finish(r);
		return;
	}
	prepare(r);
}

void
reload_request(struct suite *s, reload_done_cb *done, void *ctx)
{
	struct waiter *waiters = NULL;

	if (s->state != SUITE_RUNNING) {
		done(ctx,
		    s->state == SUITE_STARTING ? "cannot reload before agent started" : "the agent is shutting down");
		return;
	}
	if (s->reload == NULL) {
		add_waiter(&waiters, done, ctx);
		reload_begin(s, waiters);
	} else if (s->reload->waiter_count >= WAITERS_MAX) {
		done(ctx, "too many reloads are waiting");
	} else {
		s->reload->waiter_count++;
		add_waiter(&s->reload->later, done, ctx);
	}
}

static void
forget_in(struct waiter *w, void *ctx)
{
	for (; w != NULL; w = w->next)
		if (w->ctx == ctx)
			w->done = NULL;
}

void
reload_forget(struct suite *s, void *ctx)
{
	if (s->reload == NULL)
		return;
	forget_in(s->reload->waiters, ctx);
	forget_in(s->reload->later, ctx);
}

void
reload_cancel(struct suite *s)
{
	struct reload *r = s->reload;

	if (r == NULL)
		return;
	s->reload = NULL;
	tell_waiters(r->waiters, "the agent is shutting down");
	tell_waiters(r->later, "the agent is shutting down");
	/* Answers may still come with our participants as their context: they live as long as the process, which ends now. */
	r->waiters = r->later = NULL;
}

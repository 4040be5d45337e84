/*
 * check.c - running the checks (contract: check.h; callers: register.c, serve.c)
 *
 * TTL checks are a timer that a client pushes on. Periodic ones begin a run of their kind when the timer fires, and
 * the timer is set again when the run ends. Aliases have no interval: check_alias.c looks when something changed.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "uuid.h"

#define LOG "agent"
#define INTERVAL_MIN_NS NS_PER_S
#define TIMEOUT_DEFAULT_NS (10 * NS_PER_S)
#define SCRIPT_TIMEOUT_DEFAULT_NS (30 * NS_PER_S)
#define VOID_RETRY_S 1.0

struct checks {
	struct checks_options options;
	struct check_runner *first;
	size_t aliases;              /* runners of aliases */
	struct ev_timer alias_timer; /* one look for all that changed in this turn */
	bool closing;
};

/* ---- thresholds ---- */

void
check_threshold_init(struct check_threshold *t, const struct check_type *type)
{
	t->passing = type->success_before_passing;
	t->critical = type->failures_before_critical;
	t->warning = type->failures_before_warning != 0 ? type->failures_before_warning : t->critical;
	/* Full counters: the first result takes effect at once. */
	t->successes = t->passing;
	t->failures = t->critical;
}

bool
check_threshold_result(struct check_threshold *t, enum status result, enum status *report)
{
	if (result != STATUS_CRITICAL) {
		t->failures = 0;
		t->successes++;
		*report = result;
		return t->successes >= t->passing;
	}
	t->successes = 0;
	t->failures++;
	*report = t->failures >= t->critical ? STATUS_CRITICAL : STATUS_WARNING;
	return t->failures >= t->critical || t->failures >= t->warning;
}

/* ---- results ---- */

static void
log_change(const struct local_check *c, enum status before)
{
	if (c->status == before)
		return;
	if (c->status == STATUS_PASSING)
		log_info(LOG, "Check is now passing: check=%s", log_quote(c->id));
	else
		log_warnx(LOG, "Check is now %s: check=%s", status_text(c->status), log_quote(c->id));
}

void
check_report(struct check_runner *r, enum status result, struct bytes output)
{
	struct local_check *c = r->check;
	enum status before = c->status;

	local_update_check(r->engine->options.local, c, result, output);
	log_change(c, before);
}

static ev_tstamp
interval_s(const struct check_runner *r)
{
	return (ev_tstamp)MAX(r->type.interval, INTERVAL_MIN_NS) / NS_PER_S;
}

static void
arm(struct check_runner *r, ev_tstamp after)
{
	ev_timer_stop(r->engine->options.loop, &r->timer);
	ev_timer_set(&r->timer, after, 0.);
	ev_timer_start(r->engine->options.loop, &r->timer);
}

void
check_over(struct check_runner *r)
{
	r->running = false;
	arm(r, interval_s(r));
}

void
check_done(struct check_runner *r, enum status result, struct bytes output)
{
	enum status report;

	if (check_threshold_result(&r->threshold, result, &report))
		check_report(r, report, output);
	else
		log_debug(LOG, "Check result is below its threshold: check=%s result=%s", log_quote(r->check->id),
		    status_text(result));
	check_over(r);
}

void
check_void(struct check_runner *r)
{
	r->running = false;
	arm(r, VOID_RETRY_S);
}

int64_t
check_timeout_ns(const struct check_runner *r)
{
	if (r->type.timeout > 0)
		return r->type.timeout;
	return r->kind == &check_kind_script ? SCRIPT_TIMEOUT_DEFAULT_NS : TIMEOUT_DEFAULT_NS;
}

size_t
check_output_max(const struct check_runner *r)
{
	return local_output_max(r->engine->options.local, r->check);
}

const struct checks_options *
check_options(const struct check_runner *r)
{
	return &r->engine->options;
}

struct check_runner *
checks_first(const struct checks *k)
{
	return k->first;
}

/* ---- TTL ---- */

static const struct check_kind kind_ttl = {.name = "ttl"};

static void
ttl_expired(struct check_runner *r)
{
	struct local_check *c = r->check;
	struct buf text = BUF_INIT(c->output.max + 256);

	buf_put_str(&text, "TTL expired");
	if (c->output.used != 0) {
		buf_put_str(&text, " (last output before timeout follows): ");
		buf_put_bytes(&text, buf_bytes(&c->output));
	}
	log_warnx(LOG, "Check missed TTL, is now critical: check=%s", log_quote(c->id));
	local_update_check(r->engine->options.local, c, STATUS_CRITICAL, buf_bytes(&text));
	buf_free(&text);
}

/* The head of the output is kept, and how much there was. */
static void
cut_output(struct bytes output, size_t max, struct buf *out)
{
	if (output.size <= max) {
		buf_put_bytes(out, output);
		return;
	}
	buf_put(out, output.data, max);
	buf_printf(out, " ... (captured %zu of %zu bytes)", max, output.size);
}

int
checks_ttl_update(struct checks *k, struct local_check *c, enum status status, struct bytes output)
{
	struct check_runner *r = c->runner;
	size_t max = local_output_max(k->options.local, c);
	struct buf text = BUF_INIT(max + 256);
	enum status before = c->status;

	if (r == NULL || r->kind != &kind_ttl)
		return -1;
	cut_output(output, max, &text);
	local_update_check(k->options.local, c, status, buf_bytes(&text));
	buf_free(&text);
	if (c->status != before)
		log_debug(LOG, "Check status updated: check=%s status=%s", log_quote(c->id), status_text(c->status));
	arm(r, (ev_tstamp)r->type.ttl / NS_PER_S);
	if (c->source == LOCAL_API)
		persist_state(k->options.persist, c, (walltime_ns() + r->type.ttl) / NS_PER_S);
	return 0;
}

/* ---- runners ---- */

static void
timer_fired(struct ev_loop *loop UNUSED, struct ev_timer *w, int events UNUSED)
{
	struct check_runner *r = w->data;

	if (r->kind == &kind_ttl) {
		ttl_expired(r);
	} else if (r->kind == &check_kind_alias) {
		check_alias_look(r);
	} else {
		r->running = true;
		r->kind->begin(r);
	}
}

static const struct check_kind *
kind_of(const struct check_type *t)
{
	static const struct {
		const char *name;
		const struct check_kind *kind;
	} kinds[] = {
	    {"grpc", &check_kind_probe},
	    {"http", &check_kind_probe},
	    {"ttl", &kind_ttl},
	    {"tcp", &check_kind_tcp},
	    {"udp", &check_kind_udp},
	    {"alias", &check_kind_alias},
	    {"docker", &check_kind_probe},
	    {"script", &check_kind_script},
	    {"h2ping", &check_kind_probe},
	};
	const char *name = check_type_text(t);

	for (size_t i = 0; i < COUNTOF(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	return NULL;
}

static void
first_run(struct check_runner *r)
{
	if (r->kind == &kind_ttl) {
		arm(r, (ev_tstamp)r->type.ttl / NS_PER_S);
	} else if (r->kind == &check_kind_alias) {
		arm(r, 0.);
	} else {
		if (r->type.interval < INTERVAL_MIN_NS)
			log_warnx(LOG, "check has interval below minimum: check=%s minimum_interval=1s",
			    log_quote(r->check->id));
		arm(r, interval_s(r) * (ev_tstamp)random_below(1u << 30) / (1u << 30));
	}
}

void
checks_start(struct checks *k, struct local_check *c, bool restart)
{
	struct check_runner *r;
	const struct check_kind *kind;
	const char *bad;

	if (c->runner != NULL && !restart && bytes_equal(buf_bytes(&c->runner->message), buf_bytes(&c->message)))
		return;
	checks_stop(c);
	if (c->maintenance)
		return;
	kind = kind_of(&c->type);
	if (kind == NULL)
		return;
	r = xcalloc(1, sizeof *r);
	r->engine = k;
	r->check = c;
	r->kind = kind;
	buf_init(&r->message, c->message.max);
	buf_put_bytes(&r->message, buf_bytes(&c->message));
	if (schema_decode(&check_type_schema, buf_bytes(&r->message), &r->type, &bad) == -1)
		panic("check %s: %s", c->id, bad);
	check_threshold_init(&r->threshold, &r->type);
	ev_init(&r->timer, timer_fired);
	r->timer.data = r;
	r->next = k->first;
	if (k->first != NULL)
		k->first->previous = r;
	k->first = r;
	k->aliases += kind == &check_kind_alias;
	c->runner = r;
	first_run(r);
}

void
checks_stop(struct local_check *c)
{
	struct check_runner *r = c->runner;

	if (r == NULL)
		return;
	c->runner = NULL;
	ev_timer_stop(r->engine->options.loop, &r->timer);
	if (r->kind->cancel != NULL)
		r->kind->cancel(r);
	if (r->previous != NULL)
		r->previous->next = r->next;
	else
		r->engine->first = r->next;
	if (r->next != NULL)
		r->next->previous = r->previous;
	r->engine->aliases -= r->kind == &check_kind_alias;
	buf_free(&r->message);
	free(r);
}

/* ---- aliases ---- */

static void
look_again(struct ev_loop *loop UNUSED, struct ev_timer *w, int events UNUSED)
{
	struct checks *k = w->data;

	for (struct check_runner *r = k->first; r != NULL; r = r->next)
		if (r->kind == &check_kind_alias && check_alias_is_here(r))
			check_alias_look(r);
}

void
checks_services_changed(struct checks *k)
{
	if (k->aliases == 0 || ev_is_active(&k->alias_timer) || k->closing)
		return;
	ev_timer_set(&k->alias_timer, 0., 0.);
	ev_timer_start(k->options.loop, &k->alias_timer);
}

void
checks_changed(struct checks *k, const struct local_check *c UNUSED)
{
	checks_services_changed(k);
}

/* ---- engine ---- */

struct checks *
checks_new(const struct checks_options *options)
{
	struct checks *k = xcalloc(1, sizeof *k);

	k->options = *options;
	ev_init(&k->alias_timer, look_again);
	k->alias_timer.data = k;
	return k;
}

void
checks_free(struct checks *k)
{
	if (k == NULL)
		return;
	k->closing = true;
	ev_timer_stop(k->options.loop, &k->alias_timer);
	while (k->first != NULL)
		checks_stop(k->first->check);
	free(k);
}

void
checks_set(struct checks *k, const struct checks_options *options)
{
	k->options = *options;
}

size_t
checks_count(const struct checks *k, const char *kind)
{
	size_t count = 0;

	for (const struct check_runner *r = k->first; r != NULL; r = r->next)
		count += strcmp(r->kind->name, kind) == 0;
	return count;
}

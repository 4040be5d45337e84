/*
 * sync.c - anti-entropy (contract: sync.h; facts: behaviour.md 3; callers: main.c, serve.c)
 *
 * One round at a time: a full one reads (services, then checks), compares and marks; then, as in a partial one, the work is
 * listed once and pushed with a few calls under way. An item remembers the version of its element: only if that is still the
 * same when the catalog has answered is the element in sync (or a tombstone gone). A push whose outcome is unknown makes the
 * next round a full one, so that nothing is pushed twice.
 */
#include "sync_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "structs.h"
#include "uuid.h"

#define LOG_SYNC "agent.anti_entropy"
#define FULL_INTERVAL_S 60.
#define FULL_RETRY_S 15.
#define LEADER_RETRY_S 1.
#define RECONNECT_S 1.
#define READ_TIMEOUT_MS 60000
#define PUSH_TIMEOUT_MS 30000
#define PUSHES_MAX 32 /* under way */
#define WAITS_MAX 10000

static void turn(struct sync *s);

/* ---- timers, waits ---- */

static void
soon(struct sync *s)
{
	if (s->stopped || ev_is_active(&s->turn_timer))
		return;
	ev_timer_set(&s->turn_timer, 0., 0.);
	ev_timer_start(s->options.loop, &s->turn_timer);
}

static void
full_after(struct sync *s, ev_tstamp base)
{
	ev_tstamp after = base + base * (ev_tstamp)random_below(1u << 20) / (1u << 20);

	ev_timer_stop(s->options.loop, &s->full_timer);
	if (s->stopped)
		return;
	ev_timer_set(&s->full_timer, after, 0.);
	ev_timer_start(s->options.loop, &s->full_timer);
}

static void
full_due(struct ev_loop *loop UNUSED, struct ev_timer *w, int events UNUSED)
{
	struct sync *s = w->data;

	s->full_wanted = s->dirty = true;
	soon(s);
}

static void
turn_due(struct ev_loop *loop UNUSED, struct ev_timer *w, int events UNUSED)
{
	turn(w->data);
}

static void
wait_free(struct sync_wait *w)
{
	struct sync_wait **at = &w->sync->waits;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->sync->wait_count--;
	ev_timer_stop(w->sync->options.loop, &w->timer);
	free(w);
}

static void
wait_over(struct sync_wait *w)
{
	void (*done)(void *ctx) = w->done;
	void *ctx = w->ctx;

	wait_free(w);
	done(ctx);
}

static void
wait_expired(struct ev_loop *loop UNUSED, struct ev_timer *timer, int events UNUSED)
{
	wait_over(timer->data);
}

struct sync_wait *
sync_wait(struct sync *s, int64_t timeout_ns, void (*done)(void *ctx), void *ctx)
{
	struct sync_wait *w = xcalloc(1, sizeof *w);
	bool hopeless = s->stopped || s->wait_count >= WAITS_MAX;

	w->sync = s;
	w->round = s->round + 1;
	w->done = done;
	w->ctx = ctx;
	w->next = s->waits;
	s->waits = w;
	s->wait_count++;
	ev_timer_init(&w->timer, wait_expired, hopeless ? 0. : (ev_tstamp)timeout_ns / NS_PER_S, 0.);
	w->timer.data = w;
	ev_timer_start(s->options.loop, &w->timer);
	if (!s->stopped)
		sync_dirty(s);
	return w;
}

void
sync_wait_cancel(struct sync_wait *w)
{
	wait_free(w);
}

static void
end_waits(struct sync *s)
{
	struct sync_wait *w, *next;

	for (w = s->waits; w != NULL; w = next) {
		next = w->next;
		if (w->round <= s->round)
			wait_over(w);
	}
}

/* ---- what is held back ---- */

struct deferral {
	struct sync *sync;
	struct local_check *check;
	struct ev_timer timer;
};

static void
deferral_end(struct local_check *c)
{
	struct deferral *d = c->deferral;

	if (d == NULL)
		return;
	ev_timer_stop(d->sync->options.loop, &d->timer);
	free(d);
	c->deferral = NULL;
}

static void
deferral_due(struct ev_loop *loop UNUSED, struct ev_timer *w, int events UNUSED)
{
	struct deferral *d = w->data;
	struct local_check *c = d->check;
	struct sync *s = d->sync;

	deferral_end(c);
	local_unsync_check(c);
	sync_dirty(s);
}

void
sync_check(struct sync *s, struct local_check *c, bool status)
{
	struct deferral *d;
	ev_tstamp interval = (ev_tstamp)s->options.check_update_interval / NS_PER_S;

	if (status || interval <= 0.) {
		deferral_end(c);
		local_unsync_check(c);
		sync_dirty(s);
		return;
	}
	if (c->deferral != NULL || !c->in_sync)
		return;
	d = xcalloc(1, sizeof *d);
	d->sync = s;
	d->check = c;
	ev_timer_init(
	    &d->timer, deferral_due, interval / 2 + interval * (ev_tstamp)random_below(1u << 20) / (1u << 20), 0.);
	d->timer.data = d;
	ev_timer_start(s->options.loop, &d->timer);
	c->deferral = d;
}

void
sync_check_gone(struct sync *s UNUSED, struct local_check *c)
{
	deferral_end(c);
}

/* ---- the list of work ---- */

static void
item_clear(struct item *i)
{
	free(i->id);
	for (size_t r = 0; r < i->rider_count; r++)
		free(i->riders[r].id);
	free(i->riders);
}

static void
items_clear(struct sync *s)
{
	for (size_t i = 0; i < s->item_count; i++)
		item_clear(&s->items[i]);
	s->item_count = s->item_next = 0;
}

struct item *
sync_add_item(struct sync *s, enum item_kind kind, const char *id, uint64_t version)
{
	if (s->item_count == s->item_size) {
		s->item_size = s->item_size == 0 ? 16 : s->item_size * 2;
		s->items = xreallocarray(s->items, s->item_size, sizeof *s->items);
	}
	s->items[s->item_count] = (struct item){.kind = kind, .id = xstrdup(id), .version = version};
	return &s->items[s->item_count++];
}

static const char *
token_of(const struct sync *s, const char *own, enum local_source source)
{
	if (own[0] != '\0')
		return own;
	if (source == LOCAL_FILE && s->options.file_token[0] != '\0')
		return s->options.file_token;
	return s->options.default_token;
}

static const char *
agent_token(const struct sync *s)
{
	return s->options.agent_token[0] != '\0' ? s->options.agent_token : s->options.default_token;
}

/* A service's checks go along with it if they have its token. */
static bool
rides(const struct sync *s, const struct local_check *c)
{
	const struct local_service *v;

	if (c->service_id[0] == '\0' || c->in_sync || c->deleted)
		return false;
	v = local_service(s->options.local, bytes_str(c->service_id));
	return v != NULL && !v->in_sync &&
	       strcmp(token_of(s, v->token, v->source), token_of(s, c->token, c->source)) == 0;
}

static int
compare_item(const void *id, const void *item)
{
	return strcmp(id, ((const struct item *)item)->id);
}

/* items: PUT_SERVICE, sorted by ID. */
static void
add_rider(struct item *items, size_t count, const struct local_check *c)
{
	struct item *item = bsearch(c->service_id, items, count, sizeof *items, compare_item);

	if (item == NULL)
		panic("sync: no service for check %s", c->id);
	item->riders = xreallocarray(item->riders, item->rider_count + 1, sizeof *item->riders);
	item->riders[item->rider_count++] = (struct rider){xstrdup(c->id), c->version};
}

/* Its service goes too, and takes the check with it. */
static bool
goes_with_service(const struct sync *s, const struct local_check *c)
{
	const struct local_service *v =
	    c->service_id[0] != '\0' ? local_service_any(s->options.local, bytes_str(c->service_id)) : NULL;

	return v != NULL && v->deleted;
}

static void
list_work(struct sync *s)
{
	const struct local *l = s->options.local;
	size_t first, services;

	if (!s->node_in_sync)
		sync_add_item(s, PUT_NODE, s->options.node, 0);
	for (size_t i = 0; i < local_service_count(l); i++) {
		const struct local_service *v = local_service_at(l, i);
		if (v->deleted)
			sync_add_item(s, DROP_SERVICE, v->id, v->version);
	}
	first = s->item_count;
	for (size_t i = 0; i < local_service_count(l); i++) {
		const struct local_service *v = local_service_at(l, i);
		if (!v->deleted && !v->in_sync)
			sync_add_item(s, PUT_SERVICE, v->id, v->version);
	}
	services = s->item_count - first;
	for (size_t i = 0; i < local_check_count(l); i++) {
		const struct local_check *c = local_check_at(l, i);
		if (c->deleted && !goes_with_service(s, c))
			sync_add_item(s, DROP_CHECK, c->id, c->version);
		else if (!c->deleted && !c->in_sync && rides(s, c))
			add_rider(s->items + first, services, c);
		else if (!c->deleted && !c->in_sync)
			sync_add_item(s, PUT_CHECK, c->id, c->version);
	}
}

/* ---- requests ---- */

static void
encode_riders(struct sync *s, const struct item *item, struct register_request *args, struct buf *b)
{
	if (item->rider_count > 1)
		mp_put_array(b, (uint32_t)item->rider_count);
	for (size_t i = 0; i < item->rider_count; i++) {
		struct local_check *c = local_check_any(s->options.local, bytes_str(item->riders[i].id));
		item->riders[i].version = c->version;
		deferral_end(c);
		local_encode_check(s->options.local, c, b);
	}
	if (item->rider_count == 1)
		args->check = buf_bytes(b);
	else if (item->rider_count > 1)
		args->checks = buf_bytes(b);
}

static void
encode_register(struct sync *s, const struct item *item, struct buf *out)
{
	struct buf nested = BUF_INIT(REQUEST_BYTES_MAX);
	const struct sync_options *o = &s->options;
	struct register_request args = {
	    .datacenter = bytes_str(o->datacenter),
	    .id = bytes_str(o->node_id),
	    .node = bytes_str(o->node),
	    .address = bytes_str(o->address),
	    .tagged_addresses = o->tagged_addresses,
	    .node_meta = o->node_meta,
	    .locality = o->locality,
	    .token = bytes_str(agent_token(s)),
	    .skip_node_update = item->kind != PUT_NODE && s->node_in_sync,
	};

	if (item->kind == PUT_SERVICE) {
		const struct local_service *v = local_service_any(o->local, bytes_str(item->id));
		args.service = buf_bytes(&v->message);
		args.token = bytes_str(token_of(s, v->token, v->source));
		encode_riders(s, item, &args, &nested);
	} else if (item->kind == PUT_CHECK) {
		struct local_check *c = local_check_any(o->local, bytes_str(item->id));
		const struct local_service *v =
		    c->service_id[0] != '\0' ? local_service(o->local, bytes_str(c->service_id)) : NULL;
		deferral_end(c);
		local_encode_check(o->local, c, &nested);
		args.check = buf_bytes(&nested);
		args.service = v != NULL && !v->in_sync ? buf_bytes(&v->message) : (struct bytes){NULL, 0};
		args.token = bytes_str(token_of(s, c->token, c->source));
	}
	schema_encode(&register_request_schema, &args, out);
	buf_free(&nested);
}

static void
encode_deregister(const struct sync *s, const struct item *item, struct buf *out)
{
	struct deregister_request args = {
	    .datacenter = bytes_str(s->options.datacenter),
	    .node = bytes_str(s->options.node),
	    .token = bytes_str(agent_token(s)),
	};

	if (item->kind == DROP_SERVICE)
		args.service_id = bytes_str(item->id);
	else
		args.check_id = bytes_str(item->id);
	schema_encode(&deregister_request_schema, &args, out);
}

/* ---- outcomes ---- */

static const char *const kind_names[] = {
    [PUT_NODE] = "Node info update",
    [PUT_SERVICE] = "Service registration",
    [PUT_CHECK] = "Check registration",
    [DROP_SERVICE] = "Service deregistration",
    [DROP_CHECK] = "Check deregistration",
};

static void
mark_check(struct sync *s, const char *id, uint64_t version)
{
	struct local_check *c = local_check_any(s->options.local, bytes_str(id));

	if (c == NULL || c->version != version || c->deleted)
		return;
	c->in_sync = true;
	log_info(LOG, "Synced check: check=%s", log_quote(id));
}

static void
dropped_service(struct sync *s, const struct item *item)
{
	struct local *l = s->options.local;
	struct local_service *v = local_service_any(l, bytes_str(item->id));

	log_info(LOG, "Deregistered service: service=%s", log_quote(item->id));
	if (v == NULL || !v->deleted || v->version != item->version) {
		/* It has come back meanwhile: the catalog has lost its checks. */
		for (size_t i = 0; v != NULL && i < local_check_count(l); i++)
			if (strcmp(local_check_at(l, i)->service_id, v->id) == 0)
				local_unsync_check(local_check_at(l, i));
		return;
	}
	for (size_t i = local_check_count(l); i > 0; i--) {
		struct local_check *c = local_check_at(l, i - 1);
		if (c->deleted && strcmp(c->service_id, item->id) == 0)
			local_purge_check(l, c);
	}
	local_purge_service(l, v);
}

static void
succeeded(struct sync *s, const struct item *item)
{
	struct local *l = s->options.local;
	struct local_service *v;
	struct local_check *c;

	if (item->kind != DROP_SERVICE && item->kind != DROP_CHECK)
		s->node_in_sync = true;
	switch (item->kind) {
	case PUT_NODE:
		log_info(LOG, "Synced node info");
		break;
	case PUT_SERVICE:
		v = local_service_any(l, bytes_str(item->id));
		if (v != NULL && v->version == item->version && !v->deleted)
			v->in_sync = true;
		log_info(LOG, "Synced service: service=%s", log_quote(item->id));
		for (size_t i = 0; i < item->rider_count; i++)
			mark_check(s, item->riders[i].id, item->riders[i].version);
		break;
	case PUT_CHECK:
		mark_check(s, item->id, item->version);
		break;
	case DROP_SERVICE:
		dropped_service(s, item);
		break;
	case DROP_CHECK:
		log_info(LOG, "Deregistered check: check=%s", log_quote(item->id));
		c = local_check_any(l, bytes_str(item->id));
		if (c != NULL && c->deleted && c->version == item->version)
			local_purge_check(l, c);
		break;
	}
}

/* Not tried again before the next full sync. */
static void
blocked(struct sync *s, const struct item *item)
{
	struct local *l = s->options.local;
	struct local_service *v;
	struct local_check *c;

	log_warnx(LOG, "%s blocked by ACLs: id=%s", kind_names[item->kind], log_quote(item->id));
	if (item->kind == PUT_NODE) {
		s->node_in_sync = true;
	} else if (item->kind == PUT_SERVICE || item->kind == DROP_SERVICE) {
		v = local_service_any(l, bytes_str(item->id));
		if (v != NULL && v->version == item->version)
			v->in_sync = true;
		for (size_t i = 0; i < item->rider_count; i++) {
			c = local_check_any(l, bytes_str(item->riders[i].id));
			if (c != NULL && c->version == item->riders[i].version)
				c->in_sync = true;
		}
	} else {
		c = local_check_any(l, bytes_str(item->id));
		if (c != NULL && c->version == item->version)
			c->in_sync = true;
	}
}

static bool
contains(struct bytes text, const char *part)
{
	return text.size != 0 && memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void
note_failure(struct sync *s, const struct ipc_answer *a)
{
	s->failures++;
	if (a->status == IPC_LOST || a->status == IPC_EXPIRED)
		s->unknown_outcome = true;
	/* both pass soon, and without our doing */
	if (a->status == IPC_ERROR && (contains(a->error, "leader") || contains(a->error, "No known Consul servers")))
		s->no_leader = true;
	snprintf(s->error, sizeof s->error, "%.*s", (int)a->error.size, (const char *)a->error.data);
}

/* ---- rounds ---- */

static void
end_round(struct sync *s)
{
	bool full = s->full;

	s->phase = IDLE;
	s->full = false;
	items_clear(s);
	if (s->failures != 0) {
		if (!s->error_logged)
			log_errorx(full ? LOG_SYNC : LOG, "failed to sync %s: error=%s",
			    full ? "remote state" : "changes", log_quote(s->error));
		s->error_logged = true;
		s->full_wanted |= full || s->unknown_outcome;
		full_after(s, s->no_leader || s->unknown_outcome ? LEADER_RETRY_S : FULL_RETRY_S);
	} else {
		s->error_logged = false;
		s->full_wanted = false;
		if (full || !ev_is_active(&s->full_timer))
			full_after(s, FULL_INTERVAL_S);
	}
	if (s->options.round_ended != NULL)
		s->options.round_ended(s->options.ctx);
	end_waits(s);
	if (s->dirty)
		soon(s);
}

static void push_more(struct sync *s);

static void
pushed(void *ctx, const struct ipc_answer *answer)
{
	struct push *p = ctx, **at;
	struct sync *s = p->sync;
	struct item *item = p->item;

	for (at = &s->pushes; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	s->push_count--;
	free(p);
	if (answer->status == IPC_OK)
		succeeded(s, item);
	else if (answer->status == IPC_ERROR &&
		 (contains(answer->error, "Permission denied") || contains(answer->error, "ACL not found")))
		blocked(s, item);
	else
		note_failure(s, answer);
	push_more(s);
}

/* false: the element was changed or went away since the list was made; the change brought another round. */
static bool
still_wanted(struct sync *s, struct item *item)
{
	const struct local_service *v = NULL;
	const struct local_check *c = NULL;

	if (item->kind == PUT_NODE)
		return true;
	if (item->kind == PUT_SERVICE || item->kind == DROP_SERVICE)
		v = local_service_any(s->options.local, bytes_str(item->id));
	else
		c = local_check_any(s->options.local, bytes_str(item->id));
	if (item->version == 0)
		return v == NULL && c == NULL;
	if ((v == NULL || v->version != item->version) && (c == NULL || c->version != item->version))
		return false;
	for (size_t i = 0; i < item->rider_count; i++) {
		c = local_check_any(s->options.local, bytes_str(item->riders[i].id));
		if (c == NULL || c->deleted)
			return false;
	}
	return true;
}

static void
push_one(struct sync *s, struct item *item)
{
	struct ipc_call_options options = {.timeout_ms = PUSH_TIMEOUT_MS, .fd = -1};
	bool drop = item->kind == DROP_SERVICE || item->kind == DROP_CHECK;
	struct buf b = BUF_INIT(REQUEST_BYTES_MAX);
	struct push *p = xcalloc(1, sizeof *p);

	if (drop)
		encode_deregister(s, item, &b);
	else
		encode_register(s, item, &b);
	p->sync = s;
	p->item = item;
	p->next = s->pushes;
	s->pushes = p;
	s->push_count++;
	p->call = ipc_call(
	    s->options.catalog, drop ? "Catalog.Deregister" : "Catalog.Register", buf_bytes(&b), &options, pushed, p);
	buf_free(&b);
}

static void
push_more(struct sync *s)
{
	/* Whoever comes first makes the node's entry: nothing else is under way then. */
	size_t most = s->node_in_sync ? PUSHES_MAX : 1;

	if (s->paused != 0 || s->stopped)
		s->item_next = s->item_count;
	while (s->push_count < most && s->item_next < s->item_count && !s->unknown_outcome) {
		struct item *item = &s->items[s->item_next++];
		if (still_wanted(s, item))
			push_one(s, item);
		else
			s->dirty = true;
	}
	if (s->push_count == 0)
		end_round(s);
}

static void
begin_push(struct sync *s)
{
	s->phase = PUSHING;
	s->round++;
	s->dirty = false;
	list_work(s);
	push_more(s);
}

/* ---- reading ---- */

static void
read_failed(struct sync *s, const struct ipc_answer *answer)
{
	note_failure(s, answer);
	s->unknown_outcome = false;
	s->round++; /* who waits is told that this attempt came to nothing */
	end_round(s);
}

static void
read_checks_answered(void *ctx, const struct ipc_answer *answer)
{
	struct sync *s = ctx;

	s->read = NULL;
	if (answer->status != IPC_OK) {
		read_failed(s, answer);
		return;
	}
	sync_compare_services(s, buf_bytes(&s->services));
	sync_compare_checks(s, answer->body);
	buf_free(&s->services);
	s->read_once = true;
	begin_push(s);
}

static void
read_from_catalog(struct sync *s, const char *method, ipc_answer_cb *cb)
{
	struct ipc_call_options options = {.timeout_ms = READ_TIMEOUT_MS, .flags = IPC_RESEND, .fd = -1};
	struct node_request args = {
	    .datacenter = bytes_str(s->options.datacenter),
	    .node = bytes_str(s->options.node),
	    .token = bytes_str(agent_token(s)),
	};
	struct buf b = BUF_INIT(REQUEST_BYTES_MAX);

	schema_encode(&node_request_schema, &args, &b);
	s->read = ipc_call(s->options.catalog, method, buf_bytes(&b), &options, cb, s);
	buf_free(&b);
}

static void
read_services_answered(void *ctx, const struct ipc_answer *answer)
{
	struct sync *s = ctx;

	s->read = NULL;
	if (answer->status != IPC_OK) {
		read_failed(s, answer);
		return;
	}
	buf_clear(&s->services);
	buf_put_bytes(&s->services, answer->body);
	s->phase = READ_CHECKS;
	read_from_catalog(s, "Health.NodeChecks", read_checks_answered);
}

static void
turn(struct sync *s)
{
	if (s->stopped || s->paused != 0 || s->phase != IDLE || !s->dirty)
		return;
	s->failures = 0;
	s->unknown_outcome = s->no_leader = false;
	/* What fails is tried again by the timer of full rounds, not at once. */
	s->dirty = false;
	items_clear(s);
	/* Nothing may be pushed before what the catalog has was taken over. */
	s->full = s->full_wanted || (s->options.resume && !s->read_once);
	if (s->full) {
		s->phase = READ_SERVICES;
		read_from_catalog(s, "Catalog.NodeServiceList", read_services_answered);
	} else {
		begin_push(s);
	}
}

/* ---- outside ---- */

static void
catalog_up(void *ctx)
{
	struct sync *s = ctx;

	if (s->was_down && s->phase == IDLE) {
		s->full_wanted = true;
		full_after(s, RECONNECT_S / 2);
	}
	s->was_down = false;
}

static void
catalog_down(void *ctx)
{
	struct sync *s = ctx;

	s->was_down = true;
}

struct sync *
sync_new(const struct sync_options *options)
{
	struct sync *s = xcalloc(1, sizeof *s);

	s->options = *options;
	buf_init(&s->services, 256u * 1024 * 1024);
	ev_init(&s->full_timer, full_due);
	ev_init(&s->turn_timer, turn_due);
	s->full_timer.data = s->turn_timer.data = s;
	ipc_peer_watch(options->catalog, catalog_up, catalog_down, s);
	s->full_wanted = s->dirty = true;
	soon(s);
	return s;
}

void
sync_set(struct sync *s, const struct sync_options *options)
{
	bool resume = s->options.resume;

	s->options = *options;
	s->options.resume = resume;
}

void
sync_dirty(struct sync *s)
{
	s->dirty = true;
	soon(s);
}

void
sync_pause(struct sync *s)
{
	s->paused++;
}

void
sync_resume(struct sync *s)
{
	s->paused--;
	if (s->paused == 0)
		sync_dirty(s);
}

static void
abandon(struct sync *s)
{
	struct push *p, *next;

	if (s->read != NULL)
		ipc_cancel(s->read);
	s->read = NULL;
	for (p = s->pushes; p != NULL; p = next) {
		next = p->next;
		ipc_cancel(p->call);
		free(p);
	}
	s->pushes = NULL;
	s->push_count = 0;
	s->phase = IDLE;
}

void
sync_stop(struct sync *s)
{
	s->stopped = true;
	ev_timer_stop(s->options.loop, &s->full_timer);
	ev_timer_stop(s->options.loop, &s->turn_timer);
	abandon(s);
	s->round = UINT64_MAX - 1;
	end_waits(s);
}

void
sync_free(struct sync *s)
{
	if (s == NULL)
		return;
	ipc_peer_watch(s->options.catalog, NULL, NULL, NULL);
	s->stopped = true;
	ev_timer_stop(s->options.loop, &s->full_timer);
	ev_timer_stop(s->options.loop, &s->turn_timer);
	abandon(s);
	while (s->waits != NULL)
		wait_free(s->waits);
	for (size_t i = 0; i < local_check_count(s->options.local); i++)
		deferral_end(local_check_at(s->options.local, i));
	items_clear(s);
	free(s->items);
	buf_free(&s->services);
	free(s);
}

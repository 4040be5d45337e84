/*
 * events.c - user events as the HTTP API knows them: fired, heard, filtered, kept (contract: gossip.h, structs_gossip.h; caller: serve.c, main.c)
 *
 * An event is for a node whose name matches, and that has a service whose name matches, with a tag that matches. Services are checkd's: an
 * event with such a filter is kept when checkd has answered. The last 256 are kept, in the order in which they were taken.
 */
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "filter_regex.h"
#include "gossip.h"
#include "log.h"
#include "mem.h"
#include "uuid.h"

#define EVENTS_KEPT 256
#define LISTENERS_MAX 4096
#define VERSION 1
#define FIRE_TIMEOUT_MS 60000
#define WAIT_MAX_NS (600 * NS_PER_S)
#define SERVICES_TIMEOUT_MS 5000
#define ASKING_MAX 64 /* events that wait for checkd at a time */
#define REPLY_BYTES_MAX (4u * 1024 * 1024)
#define WHY_MAX 256
#define REMOTE_EXEC "_rexec"

struct kept_event {
	struct user_event event; /* points into bytes */
	uint8_t *bytes;
};

struct listener {
	struct listener *next;
	struct events *events;
	struct ipc_stream *stream;
	ev_timer deadline;
	uint64_t index;
	size_t name_size;
	char name[];
};

/* One that checkd has to tell about. */
struct asking {
	struct asking *next;
	struct events *events;
	struct ipc_call *call;
	struct kept_event event;
};

struct events {
	struct gossip *gossip;
	struct kept_event kept[EVENTS_KEPT];
	size_t first, count;
	struct listener *listeners;
	size_t listener_count;
	struct asking *asking;
	size_t asking_count;
	struct log_limit complaints;
};

/* ---- the payload: text and bytes in the newer formats ---- */

static void
put_text(struct buf *out, struct bytes text)
{
	if (text.size < 32)
		buf_put_u8(out, (uint8_t)(0xa0 | text.size));
	else if (text.size <= UINT8_MAX) {
		buf_put_u8(out, 0xd9);
		buf_put_u8(out, (uint8_t)text.size);
	} else {
		buf_put_u8(out, 0xda);
		buf_put_be16(out, (uint16_t)text.size);
	}
	buf_put_bytes(out, text);
}

static void
put_binary(struct buf *out, struct bytes data)
{
	if (data.size <= UINT8_MAX) {
		buf_put_u8(out, 0xc4);
		buf_put_u8(out, (uint8_t)data.size);
	} else {
		buf_put_u8(out, 0xc5);
		buf_put_be16(out, (uint16_t)data.size);
	}
	buf_put_bytes(out, data);
}

static void
payload_put(const struct user_event *e, struct buf *out)
{
	const struct {
		const char *key;
		struct bytes value;
	} filters[] = {{"nf", e->node_filter}, {"sf", e->service_filter}, {"tf", e->tag_filter}};
	uint32_t pairs = 3 + (e->payload.size > 0);

	for (size_t i = 0; i < COUNTOF(filters); i++)
		pairs += filters[i].value.size > 0;
	mp_put_map(out, pairs);
	put_text(out, bytes_str("ID"));
	put_text(out, e->id);
	put_text(out, bytes_str("n"));
	put_text(out, e->name);
	for (size_t i = 0; i < COUNTOF(filters); i++) {
		if (i == 1 && e->payload.size > 0) { /* keys are sorted: n nf p sf tf v */
			put_text(out, bytes_str("p"));
			put_binary(out, e->payload);
		}
		if (filters[i].value.size > 0) {
			put_text(out, bytes_str(filters[i].key));
			put_text(out, filters[i].value);
		}
	}
	put_text(out, bytes_str("v"));
	mp_put_int(out, VERSION);
}

static int
payload_get(struct bytes payload, struct user_event *out)
{
	struct mp in = mp_of(payload);

	if (mp_peek(&in) != MP_MAP)
		return -1;
	mp_skip(&in);
	if (!mp_ok(&in))
		return -1;
	*out = (struct user_event){
	    .id = mp_find_str(payload, "ID"),
	    .name = mp_find_str(payload, "n"),
	    .payload = mp_find_str(payload, "p"),
	    .node_filter = mp_find_str(payload, "nf"),
	    .service_filter = mp_find_str(payload, "sf"),
	    .tag_filter = mp_find_str(payload, "tf"),
	    .version = mp_find_int(payload, "v"),
	};
	return 0;
}

/* ---- keeping ---- */

static struct kept_event
event_copy(const struct user_event *e)
{
	const struct bytes *from[] = {
	    &e->id, &e->name, &e->payload, &e->node_filter, &e->service_filter, &e->tag_filter};
	struct kept_event k = {.event = *e};
	struct bytes *to[] = {&k.event.id, &k.event.name, &k.event.payload, &k.event.node_filter,
	    &k.event.service_filter, &k.event.tag_filter};
	size_t size = 0, at = 0;

	for (size_t i = 0; i < COUNTOF(from); i++)
		size += from[i]->size;
	k.bytes = xmalloc(size + 1);
	for (size_t i = 0; i < COUNTOF(from); i++) {
		if (from[i]->size > 0)
			memcpy(k.bytes + at, from[i]->data, from[i]->size);
		*to[i] = bytes_of(k.bytes + at, from[i]->size);
		at += from[i]->size;
	}
	return k;
}

static const struct user_event *
event_at(const struct events *e, size_t i)
{
	return &e->kept[(e->first + i) % EVENTS_KEPT].event;
}

static unsigned
hex_digit(uint8_t c)
{
	return c >= 'a' ? c - 'a' + 10u : c >= 'A' ? c - 'A' + 10u : c - (unsigned)'0';
}

/* The two halves of the UUID, XORed. */
static uint64_t
index_of(struct bytes id)
{
	uint64_t halves[2] = {0, 0};
	size_t digits = 0;

	if (!uuid_is_valid(id))
		return 1;
	for (size_t i = 0; i < id.size; i++)
		if (id.data[i] != '-') {
			halves[digits / 16] = halves[digits / 16] << 4 | hex_digit(id.data[i]);
			digits++;
		}
	return halves[0] ^ halves[1];
}

/* Appends the answer for this name. Returns its index. */
static uint64_t
list_put(const struct events *e, struct bytes name, struct buf *out)
{
	struct buf list = BUF_INIT(REPLY_BYTES_MAX);
	struct gossip_event_list reply = {.index = 1};
	size_t place = mp_open_array(&list);
	uint32_t count = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct user_event *one = event_at(e, i);

		if (name.size > 0 && !bytes_equal(name, one->name))
			continue;
		schema_encode(&user_event_schema, one, &list);
		reply.index = index_of(one->id);
		count++;
	}
	mp_close(&list, place, count);
	reply.events = buf_bytes(&list);
	schema_encode(&gossip_event_list_schema, &reply, out);
	buf_free(&list);
	return reply.index;
}

static void
listener_free(struct listener *l)
{
	struct listener **at = &l->events->listeners;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->events->listener_count--;
	ev_timer_stop(daemon_loop(l->events->gossip->daemon), &l->deadline);
	free(l);
}

static void
listener_answer(struct listener *l, struct bytes body)
{
	ipc_stream_watch(l->stream, NULL, NULL, NULL);
	ipc_reply(l->stream, body);
	listener_free(l);
}

static void
wake(struct events *e)
{
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);

	for (struct listener *l = e->listeners, *next; l != NULL; l = next) {
		next = l->next;
		buf_clear(&body);
		if (list_put(e, bytes_of(l->name, l->name_size), &body) != l->index)
			listener_answer(l, buf_bytes(&body));
	}
	buf_free(&body);
}

static void
keep(struct events *e, struct kept_event k)
{
	size_t place = (e->first + e->count) % EVENTS_KEPT;

	if (e->count == EVENTS_KEPT) {
		free(e->kept[place].bytes);
		e->first = (e->first + 1) % EVENTS_KEPT;
	} else
		e->count++;
	e->kept[place] = k;
	log_debug("agent", "new event: event_name=%s event_id=%s", log_quote_bytes(k.event.name),
	    log_quote_bytes(k.event.id));
	wake(e);
}

/* ---- filters ---- */

/* An expression that is none, or takes too much work, matches nothing. */
static bool
matches(struct bytes pattern, struct bytes text)
{
	char why[WHY_MAX];
	struct filter_regex *regex = filter_regex_new(pattern, why, sizeof why);
	bool found = regex != NULL && filter_regex_match(regex, text) == 1;

	filter_regex_free(regex);
	return found;
}

static bool
tag_matches(struct bytes pattern, struct bytes tags)
{
	struct mp in = mp_of(tags);

	for (uint32_t n = tags.size > 0 && mp_peek(&in) == MP_ARRAY ? mp_array(&in) : 0; n > 0 && mp_ok(&in); n--)
		if (matches(pattern, mp_str(&in)))
			return true;
	return false;
}

static bool
services_match(const struct user_event *e, struct bytes services)
{
	struct mp in = mp_of(services);

	for (uint32_t n = mp_peek(&in) == MP_MAP ? mp_map(&in) : 0; n > 0 && mp_ok(&in); n--) {
		struct bytes service;

		(void)mp_str(&in);
		service = mp_raw(&in);
		if (matches(e->service_filter, mp_find_str(service, "Service")) &&
		    (e->tag_filter.size == 0 || tag_matches(e->tag_filter, mp_find_raw(service, "Tags"))))
			return true;
	}
	return false;
}

static void
asking_free(struct asking *a)
{
	struct asking **at = &a->events->asking;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	a->events->asking_count--;
	free(a);
}

static void
on_services(void *ctx, const struct ipc_answer *answer)
{
	struct asking *a = ctx;
	struct kept_event k = a->event;
	struct events *e = a->events;

	asking_free(a);
	if (answer->status == IPC_OK && services_match(&k.event, answer->body))
		keep(e, k);
	else
		free(k.bytes);
}

void
events_heard(struct events *e, uint64_t ltime, struct bytes name, struct bytes payload)
{
	const struct ipc_call_options options = {.timeout_ms = SERVICES_TIMEOUT_MS, .flags = IPC_RESEND};
	struct user_event event;
	struct asking *a;
	unsigned suppressed;

	if (payload_get(payload, &event) == -1) {
		if (log_allowed(&e->complaints, 5, &suppressed))
			log_errorx("agent", "Failed to decode event: name=%s", log_quote_bytes(name));
		return;
	}
	event.ltime = ltime;
	if (bytes_is(event.name, REMOTE_EXEC))
		return;
	if (event.node_filter.size > 0 &&
	    !matches(event.node_filter, bytes_str(pool_self(e->gossip->pools[LAN])->name)))
		return;
	if (event.service_filter.size == 0) {
		keep(e, event_copy(&event));
		return;
	}
	if (e->asking_count == ASKING_MAX) {
		if (log_allowed(&e->complaints, 5, &suppressed))
			log_warnx("agent", "an event is dropped: too many wait for their service filter: name=%s",
			    log_quote_bytes(event.name));
		return;
	}
	a = xcalloc(1, sizeof *a);
	*a = (struct asking){.next = e->asking, .events = e, .event = event_copy(&event)};
	e->asking = a;
	e->asking_count++;
	a->call = ipc_call(
	    daemon_peer(e->gossip->daemon, "checkd"), "Agent.Services", bytes_of(NULL, 0), &options, on_services, a);
}

/* ---- requests ---- */

/* Answers if an expression is none. true: it was answered. */
static bool
refused(struct ipc_stream *s, const char *what, struct bytes pattern)
{
	char why[WHY_MAX];
	struct filter_regex *regex;

	if (pattern.size == 0)
		return false;
	regex = filter_regex_new(pattern, why, sizeof why);
	if (regex == NULL)
		ipc_fail(s, 500, "Invalid %s filter: error parsing regexp: %s", what, why);
	filter_regex_free(regex);
	return regex == NULL;
}

/* ---- firing ---- */

/* An event that a server sends for us. */
struct firing {
	struct ipc_stream *stream;
	struct ipc_call *call;
	struct kept_event event;
};

static void
fired(struct ipc_stream *s, const struct user_event *e)
{
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);

	schema_encode(&user_event_schema, e, &body);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

static void
firing_free(struct firing *f)
{
	free(f->event.bytes);
	free(f);
}

static void
on_firing_abandoned(struct ipc_stream *s UNUSED, void *ctx)
{
	struct firing *f = ctx;

	ipc_cancel(f->call);
	firing_free(f);
}

static void
on_fired(void *ctx, const struct ipc_answer *answer)
{
	struct firing *f = ctx;

	ipc_stream_watch(f->stream, NULL, NULL, NULL);
	if (answer->status == IPC_OK)
		fired(f->stream, &f->event.event);
	else
		ipc_fail(f->stream, answer->code == 0 ? 500 : answer->code, "%.*s", (int)answer->error.size,
		    (const char *)answer->error.data);
	firing_free(f);
}

/* On a client: by a server, as all members of a pool expect it of events of this kind. */
static void
fire_by_server(struct gossip *g, struct ipc_stream *s, const struct user_event *e, struct bytes payload)
{
	struct event_fire_request request = {
	    .datacenter = bytes_str(conf_str(daemon_conf(g->daemon), "datacenter", "dc1")),
	    .name = e->name,
	    .payload = payload,
	    .allow_stale = true,
	};
	struct buf args = BUF_INIT(REPLY_BYTES_MAX);
	struct firing *f = xcalloc(1, sizeof *f);

	schema_encode(&event_fire_request_schema, &request, &args);
	f->stream = s;
	f->event = event_copy(e);
	f->call = ipc_call(daemon_peer(g->daemon, "catalogd"), "Internal.EventFire", buf_bytes(&args),
	    &(struct ipc_call_options){.timeout_ms = FIRE_TIMEOUT_MS}, on_fired, f);
	ipc_stream_watch(s, on_firing_abandoned, NULL, f);
	buf_free(&args);
}

static void
fire(struct gossip *g, struct ipc_stream *s, const struct user_event *e, struct bytes payload)
{
	struct buf name = BUF_INIT(64u * 1024);
	char text[SERF_ERROR_MAX];

	buf_put_str(&name, EVENT_PREFIX);
	buf_put_bytes(&name, e->name);
	if (pool_event_send(g->pools[LAN], buf_bytes(&name), payload, text) == -1)
		ipc_fail(s, 500, "error broadcasting event: %s", text);
	else
		fired(s, e);
	buf_free(&name);
}

void
events_handle_fire(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = daemon_state(ctx);
	struct buf payload = BUF_INIT(1024u * 1024);
	char id[UUID_TEXT_SIZE];
	struct user_event e;
	const char *error;

	if (schema_decode(&user_event_schema, args, &e, &error) == -1) {
		ipc_fail(s, 400, "%s", error);
		return;
	}
	if (e.tag_filter.size > 0 && e.service_filter.size == 0) {
		ipc_fail(s, 500, "Cannot provide tag filter without service filter");
		return;
	}
	if (refused(s, "node", e.node_filter) || refused(s, "service", e.service_filter) ||
	    refused(s, "tag", e.tag_filter))
		return;
	uuid_new(id);
	e.id = bytes_str(id);
	e.version = VERSION;
	e.ltime = 0;
	if (e.payload.size > UINT16_MAX) {
		ipc_fail(s, 500,
		    "error broadcasting event: user event exceeds configured limit of %d bytes before encoding",
		    SERF_EVENT_BYTES_MAX);
		return;
	}
	payload_put(&e, &payload);
	if (conf_bool(daemon_conf(g->daemon), "server", true))
		fire(g, s, &e, buf_bytes(&payload));
	else
		fire_by_server(g, s, &e, buf_bytes(&payload));
	buf_free(&payload);
}

/* ---- listening ---- */

static void
on_listener_abandoned(struct ipc_stream *s UNUSED, void *ctx)
{
	listener_free(ctx);
}

static void
on_listener_deadline(struct ev_loop *loop UNUSED, ev_timer *t, int events UNUSED)
{
	struct listener *l = t->data;
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);

	(void)list_put(l->events, bytes_of(l->name, l->name_size), &body);
	listener_answer(l, buf_bytes(&body));
	buf_free(&body);
}

static void
listen_on(struct events *e, struct ipc_stream *s, const struct gossip_event_list_request *request)
{
	struct listener *l = xcalloc(1, sizeof *l + request->name.size);
	int64_t wait = request->max_query_time;

	if (wait <= 0 || wait > WAIT_MAX_NS)
		wait = WAIT_MAX_NS;
	*l = (struct listener){.next = e->listeners, .events = e, .stream = s, .index = request->index};
	l->name_size = request->name.size;
	if (request->name.size > 0)
		memcpy(l->name, request->name.data, request->name.size);
	e->listeners = l;
	e->listener_count++;
	ipc_stream_watch(s, on_listener_abandoned, NULL, l);
	ev_timer_init(&l->deadline, on_listener_deadline, (double)wait / (double)NS_PER_S, 0.);
	l->deadline.data = l;
	ev_timer_start(daemon_loop(e->gossip->daemon), &l->deadline);
}

void
events_handle_list(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = daemon_state(ctx);
	struct events *e = g->events;
	struct gossip_event_list_request request;
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);
	const char *error;

	if (schema_decode(&gossip_event_list_request_schema, args, &request, &error) == -1)
		ipc_fail(s, 400, "%s", error);
	else if (list_put(e, request.name, &body) != request.index || request.index == 0)
		ipc_reply(s, buf_bytes(&body));
	else if (e->listener_count == LISTENERS_MAX)
		ipc_fail(s, 503, "too many wait for events");
	else
		listen_on(e, s, &request);
	buf_free(&body);
}

struct events *
events_new(struct gossip *g)
{
	struct events *e = xcalloc(1, sizeof *e);

	e->gossip = g;
	return e;
}

/*
 * serve.c - the methods of gossipd.sock (structs_gossip.h; callers: httpd, catalogd, consuld)
 */
#include "gossip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter.h"
#include "log.h"
#include "mem.h"

#define REPLY_BYTES_MAX (64u * 1024 * 1024)
#define TEXT_MAX 512
#define SUBSCRIBERS_MAX 64
#define SUBSCRIBER_BYTES_MAX (16u * 1024 * 1024) /* that wait for credit */
#define JOINS_MAX 16

static struct gossip *
gossip_of(void *ctx)
{
	return daemon_state(ctx);
}

/* A text argument, cut to what fits. */
static const char *
text_of(struct bytes value, char out[TEXT_MAX])
{
	size_t size = MIN(value.size, TEXT_MAX - 1);

	if (size > 0)
		memcpy(out, value.data, size);
	out[size] = '\0';
	return out;
}

/* ---- members ---- */

/* Appends the pool's members that pass the filter. -1: the filter needs too much work. */
static int
put_members(const struct serf *serf, struct filter *filter, struct buf *out)
{
	struct buf member = BUF_INIT(64u * 1024);
	size_t place = mp_open_array(out);
	uint32_t count = 0;
	int passes = 0;

	for (size_t i = 0; passes != -1 && i < serf_count(serf); i++) {
		buf_clear(&member);
		member_encode(serf_at(serf, i), &member);
		passes = filter_match(filter, mp_of(buf_bytes(&member)));
		if (passes == 1) {
			buf_put_bytes(out, buf_bytes(&member));
			count++;
		}
	}
	mp_close(out, place, count);
	buf_free(&member);
	return passes == -1 ? -1 : 0;
}

/* Answers what can not be asked. true: it was answered. */
static bool
members_refused(const struct gossip *g, struct ipc_stream *s, const struct gossip_members_request *request)
{
	char segment[TEXT_MAX];

	text_of(request->segment, segment);
	if (request->wan && segment[0] != '\0' && strcmp(segment, "_all") != 0)
		ipc_fail(s, 400, "Cannot provide a segment with wan=true");
	else if (segment[0] == '\0' || strcmp(segment, "_all") == 0)
		return false;
	else if (g->server)
		ipc_fail(s, 500, "Network segments are not supported in this version of Consul");
	else
		ipc_fail(s, 500, "segment \"%s\" not found", segment);
	return true;
}

static void
handle_members(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	struct buf body = BUF_INIT(REPLY_BYTES_MAX), list = BUF_INIT(REPLY_BYTES_MAX);
	struct gossip_members_request request;
	struct gossip_members reply = {.members = {NULL, 0}};
	struct filter_error filter_error;
	struct filter *filter;
	const char *error;

	if (schema_decode(&gossip_members_request_schema, args, &request, &error) == -1) {
		ipc_fail(s, 400, "%s", error);
		return;
	}
	if (members_refused(g, s, &request))
		return;
	if (filter_compile(request.filter, &member_schema, &filter, &filter_error) == -1) {
		ipc_fail(s, 500, "%s", filter_error.text);
		return;
	}
	if (request.wan && g->pools[WAN] == NULL) {
		schema_encode(&gossip_members_schema, &reply, &body);
		ipc_reply(s, buf_bytes(&body));
	} else if (put_members(pool_serf(g->pools[request.wan ? WAN : LAN]), filter, &list) == -1) {
		ipc_fail(s, 500, "%s", FILTER_LIMIT_TEXT);
	} else {
		reply.members = buf_bytes(&list);
		schema_encode(&gossip_members_schema, &reply, &body);
		ipc_reply(s, buf_bytes(&body));
	}
	filter_free(filter);
	buf_free(&list);
	buf_free(&body);
}

static const struct serf_member *
self_of(const struct pool *p)
{
	const struct serf_member *m = serf_find(pool_serf(p), bytes_str(pool_self(p)->name));

	if (m == NULL)
		panic("gossip: %s is not a member of its own pool", pool_self(p)->name);
	return m;
}

static void
handle_self(struct ipc_stream *s, struct bytes args UNUSED, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	const struct coordinates *c = pool_coordinates(g->pools[LAN]);
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);

	mp_put_map(&body, 2);
	mp_put_cstr(&body, "Member");
	member_encode(self_of(g->pools[LAN]), &body);
	mp_put_cstr(&body, "Coord");
	if (c != NULL)
		coordinate_point_put(&c->own, &body);
	else
		mp_put_nil(&body);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

static void
put_stats(const struct pool *p, struct buf *out)
{
	const struct serf *serf = pool_serf(p);
	const struct coordinates *c = pool_coordinates(p);
	struct serf_clocks clocks = serf_clocks(serf);
	struct serf_queues queues = serf_queues(serf);
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = {
	    {"coordinate_resets", c == NULL ? 0 : c->resets},
	    {"encrypted", 0},
	    {"event_queue", queues.events},
	    {"event_time", clocks.event},
	    {"failed", serf_count_of(serf, MEMBER_FAILED)},
	    {"health_score", swim_score(pool_swim(p))},
	    {"intent_queue", queues.intents},
	    {"left", serf_count_of(serf, MEMBER_LEFT)},
	    {"member_time", clocks.member},
	    {"members", serf_count(serf)},
	    {"query_queue", queues.queries},
	    {"query_time", clocks.query},
	};
	char text[24];

	mp_put_map(out, COUNTOF(rows));
	for (size_t i = 0; i < COUNTOF(rows); i++) {
		snprintf(text, sizeof text, "%" PRIu64, rows[i].value);
		if (strcmp(rows[i].key, "encrypted") == 0)
			snprintf(text, sizeof text, "%s", pool_encrypted(p) ? "true" : "false");
		mp_put_kv_cstr(out, rows[i].key, text);
	}
}

static void
handle_stats(struct ipc_stream *s, struct bytes args UNUSED, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);

	mp_put_map(&body, 2);
	mp_put_cstr(&body, "serf_lan");
	put_stats(g->pools[LAN], &body);
	mp_put_cstr(&body, "serf_wan");
	if (g->pools[WAN] != NULL)
		put_stats(g->pools[WAN], &body);
	else
		mp_put_map(&body, 0);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

/* ---- coordinates ---- */

static void
handle_coordinates(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	const struct pool *p = g->pools[mp_find_bool(args, "WAN") ? WAN : LAN];
	const struct coordinates *c = p == NULL ? NULL : pool_coordinates(p);
	struct buf body = BUF_INIT(REPLY_BYTES_MAX), list = BUF_INIT(REPLY_BYTES_MAX), one = BUF_INIT(4096);
	struct gossip_coordinates reply = {.disabled = pool_coordinates(g->pools[LAN]) == NULL};
	size_t place = mp_open_array(&list);
	uint32_t count = 0;

	for (size_t i = 0; c != NULL && i < serf_count(pool_serf(p)); i++) {
		const struct serf_member *m = serf_at(pool_serf(p), i);
		struct gossip_coordinate element = {.node = bytes_str(m->card->name)};
		struct coordinate_point point = c->own;

		if (m->status != MEMBER_ALIVE ||
		    (m != self_of(p) && !coordinates_find(c, bytes_str(m->card->name), &point)))
			continue;
		buf_clear(&one);
		coordinate_point_put(&point, &one);
		element.coord = buf_bytes(&one);
		schema_encode(&gossip_coordinate_schema, &element, &list);
		count++;
	}
	mp_close(&list, place, count);
	reply.coordinates = buf_bytes(&list);
	schema_encode(&gossip_coordinates_schema, &reply, &body);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&one);
	buf_free(&list);
	buf_free(&body);
}

/* ---- joining ---- */

struct join_request {
	struct ipc_stream *stream;
	struct join *join;
};

static unsigned joins_open;

static void
on_joined(void *ctx, unsigned joined, const char *error)
{
	struct join_request *r = ctx;
	struct buf body = BUF_INIT(256);
	struct gossip_joined reply = {.joined = joined};

	joins_open--;
	if (joined == 0) {
		ipc_fail(r->stream, 500, "%s", error);
	} else {
		schema_encode(&gossip_joined_schema, &reply, &body);
		ipc_reply(r->stream, buf_bytes(&body));
		buf_free(&body);
	}
	free(r);
}

static void
on_join_abandoned(struct ipc_stream *s UNUSED, void *ctx)
{
	struct join_request *r = ctx;

	joins_open--;
	join_cancel(r->join);
	free(r);
}

static void
start_join(struct gossip *g, struct ipc_stream *s, bool wan, const char *const *addresses, size_t count)
{
	struct join_request *r = xcalloc(1, sizeof *r);
	struct buf text = BUF_INIT(JOIN_ERROR_MAX);

	for (size_t i = 0; i < count; i++)
		buf_printf(&text, "%s\"%s\"", i == 0 ? "" : ", ", addresses[i]);
	buf_put_u8(&text, '\0');
	log_info("agent", "(%s) joining: %s_addresses=[%s]", wan ? "WAN" : "LAN", wan ? "wan" : "lan",
	    text.overflow ? "..." : (char *)text.data);
	buf_free(&text);
	joins_open++;
	r->stream = s;
	ipc_stream_watch(s, on_join_abandoned, NULL, r);
	r->join = join_start(daemon_loop(g->daemon), g->pools[wan ? WAN : LAN], addresses, count, on_joined, r);
}

static void
handle_join(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	struct gossip_join_request request;
	char *addresses[JOIN_ADDRESSES_MAX];
	const char *error;
	struct mp list;
	size_t count = 0;

	if (schema_decode(&gossip_join_request_schema, args, &request, &error) == -1) {
		ipc_fail(s, 400, "%s", error);
		return;
	}
	if (request.wan && !g->server) {
		ipc_fail(s, 500, "Must be a server to join WAN cluster");
		return;
	}
	if (request.wan && g->pools[WAN] == NULL) {
		ipc_fail(s, 500, "WAN join is not possible: ports.serf_wan is off");
		return;
	}
	if (joins_open == JOINS_MAX) {
		ipc_fail(s, 503, "too many joins are under way");
		return;
	}
	list = mp_of(request.addresses);
	for (uint32_t left = request.addresses.size == 0 ? 0 : mp_array(&list);
	     left > 0 && mp_ok(&list) && count < COUNTOF(addresses); left--)
		addresses[count++] = bytes_dup(mp_str(&list));
	if (count == 0 || addresses[0][0] == '\0')
		ipc_fail(s, 500, "1 error occurred:\n\t* an address to join is wanted\n\n");
	else
		start_join(g, s, request.wan, (const char *const *)addresses, count);
	while (count > 0)
		free(addresses[--count]);
}

/* ---- leaving ---- */

/* Two pools at most are told; the request is answered when the last has. */
struct removal {
	struct ipc_stream *stream; /* NULL: nobody waits any more */
	unsigned waiting;
	char error[128];
};

static void
removal_over(struct removal *r)
{
	if (--r->waiting > 0)
		return;
	if (r->stream != NULL) {
		ipc_stream_watch(r->stream, NULL, NULL, NULL);
		if (r->error[0] != '\0')
			ipc_fail(r->stream, 500, "%s", r->error);
		else
			ipc_reply(r->stream, bytes_of(NULL, 0));
	}
	free(r);
}

static void
on_removal_told(void *ctx, const char *error, uint64_t now UNUSED)
{
	struct removal *r = ctx;

	if (error != NULL)
		snprintf(r->error, sizeof r->error, "%s", error);
	removal_over(r);
}

static void
on_removal_abandoned(struct ipc_stream *s UNUSED, void *ctx)
{
	struct removal *r = ctx;

	r->stream = NULL;
}

/* The member by this name; in the WAN pool also without the datacenter behind it. */
static const struct serf_member *
find_member(const struct gossip *g, int which, const char *name)
{
	const struct serf *serf = pool_serf(g->pools[which]);
	const struct serf_member *m = serf_find(serf, bytes_str(name));
	char full[2 * TEXT_MAX];

	if (m != NULL || which == LAN)
		return m;
	snprintf(full, sizeof full, "%s.%s", name, conf_str(daemon_conf(g->daemon), "datacenter", "dc1"));
	return serf_find(serf, bytes_str(full));
}

static void
handle_force_leave(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	struct gossip_force_leave_request request;
	const struct serf_member *m;
	char name[TEXT_MAX];
	const char *error;
	struct removal *r;

	if (schema_decode(&gossip_force_leave_request_schema, args, &request, &error) == -1) {
		ipc_fail(s, 400, "%s", error);
		return;
	}
	text_of(request.node, name);
	if (request.wan && !g->server) {
		ipc_fail(s, 500, "Must be a server to force-leave a node from the WAN cluster");
		return;
	}
	/* The reference loses the name of an unknown WAN member. */
	if ((request.wan && g->pools[WAN] == NULL) || find_member(g, request.wan ? WAN : LAN, name) == NULL) {
		ipc_fail(s, 500, "agent: No node found with name '%s'", request.wan ? "" : name);
		return;
	}
	log_info("agent", "Force leaving node: node=%s", log_quote(name));
	r = xcalloc(1, sizeof *r);
	*r = (struct removal){.stream = s, .waiting = 1};
	ipc_stream_watch(s, on_removal_abandoned, NULL, r);
	for (int which = request.wan ? WAN : LAN; which <= WAN; which++) {
		if (g->pools[which] == NULL || (m = find_member(g, which, name)) == NULL)
			continue;
		r->waiting++;
		if (pool_force_leave(g->pools[which], bytes_str(m->card->name), request.prune, on_removal_told, r) ==
		    -1)
			r->waiting--;
	}
	removal_over(r);
}

static struct {
	struct leave_done {
		void (*done)(void *ctx);
		void *ctx;
	} waiters[16];
	size_t count;
	unsigned pools;
	bool begun;
} leaving;

static void
on_pool_left(void *ctx UNUSED)
{
	if (--leaving.pools > 0)
		return;
	for (size_t i = 0; i < leaving.count; i++)
		leaving.waiters[i].done(leaving.waiters[i].ctx);
	leaving.count = 0;
}

void
gossip_leave(struct gossip *g, void (*done)(void *ctx), void *ctx)
{
	if (leaving.begun && leaving.pools == 0) {
		done(ctx);
		return;
	}
	if (leaving.count < COUNTOF(leaving.waiters))
		leaving.waiters[leaving.count++] = (struct leave_done){done, ctx};
	if (leaving.begun)
		return;
	leaving.begun = true;
	background_end(g); /* who leaves joins nobody */
	for (int which = WAN; which >= LAN; which--)
		leaving.pools += g->pools[which] != NULL;
	for (int which = WAN; which >= LAN; which--)
		if (g->pools[which] != NULL)
			pool_leave(g->pools[which], on_pool_left, g);
}

static void
on_left(void *ctx)
{
	ipc_stream_watch(ctx, NULL, NULL, NULL);
	ipc_reply(ctx, bytes_of(NULL, 0));
}

static void
on_leave_abandoned(struct ipc_stream *s, void *ctx UNUSED)
{
	for (size_t i = 0; i < leaving.count; i++)
		if (leaving.waiters[i].ctx == s)
			leaving.waiters[i] = leaving.waiters[--leaving.count];
}

static void
handle_leave(struct ipc_stream *s, struct bytes args UNUSED, void *ctx)
{
	if (leaving.count == COUNTOF(leaving.waiters)) {
		ipc_fail(s, 503, "this node is leaving already");
		return;
	}
	ipc_stream_watch(s, on_leave_abandoned, NULL, NULL);
	gossip_leave(gossip_of(ctx), on_left, s);
}

/* ---- subscriptions ---- */

struct subscriber {
	struct subscriber *next;
	struct ipc_stream *stream;
	const struct pool *pool; /* NULL: one that this node is not in */
	struct buf pending;      /* elements: four bytes of length each, then that many */
};

static struct subscriber *subscribers;
static unsigned subscriber_count;

static void
subscriber_remove(struct subscriber *u)
{
	struct subscriber **at = &subscribers;

	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	subscriber_count--;
	buf_free(&u->pending);
	free(u);
}

static void
subscriber_send(struct subscriber *u)
{
	size_t at = 0;

	while (at < u->pending.used) {
		size_t size = be32_at(u->pending.data + at);

		if (!ipc_push(u->stream, bytes_of(u->pending.data + at + 4, size)))
			break;
		at += 4 + size;
	}
	buf_consume(&u->pending, at);
	if (u->pending.used == 0)
		buf_free(&u->pending);
}

static void
subscriber_tell(struct subscriber *u, struct bytes element)
{
	buf_put_be32(&u->pending, (uint32_t)element.size);
	buf_put_bytes(&u->pending, element);
}

static void
on_subscriber_credit(struct ipc_stream *s UNUSED, void *ctx)
{
	subscriber_send(ctx);
}

static void
on_subscriber_ended(struct ipc_stream *s UNUSED, void *ctx)
{
	subscriber_remove(ctx);
}

static void
put_member_event(enum serf_change change, const struct serf_member *m, struct buf *out)
{
	static const char *const names[] = {
	    "member-join", "member-leave", "member-failed", "member-update", "member-reap"};
	struct buf member = BUF_INIT(64u * 1024);
	struct gossip_event e = {.event = bytes_str(names[change])};

	member_encode(m, &member);
	e.member = buf_bytes(&member);
	schema_encode(&gossip_event_schema, &e, out);
	buf_free(&member);
}

static enum serf_change
last_change(const struct serf_member *m)
{
	return m->status == MEMBER_FAILED ? SERF_MEMBER_FAILED
	       : m->status == MEMBER_LEFT ? SERF_MEMBER_LEAVE
					  : SERF_MEMBER_JOIN;
}

static void
handle_subscribe(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	struct buf element = BUF_INIT(64u * 1024);
	struct subscriber *u;

	if (subscriber_count == SUBSCRIBERS_MAX) {
		ipc_fail(s, 503, "too many subscribers");
		return;
	}
	u = xcalloc(1, sizeof *u);
	*u = (struct subscriber){
	    .next = subscribers, .stream = s, .pool = g->pools[mp_find_bool(args, "WAN") ? WAN : LAN]};
	buf_init(&u->pending, SUBSCRIBER_BYTES_MAX);
	subscribers = u;
	subscriber_count++;
	ipc_stream_watch(s, on_subscriber_ended, on_subscriber_credit, u);
	for (size_t i = 0; u->pool != NULL && i < serf_count(pool_serf(u->pool)); i++) {
		const struct serf_member *m = serf_at(pool_serf(u->pool), i);

		buf_clear(&element);
		put_member_event(last_change(m), m, &element);
		subscriber_tell(u, buf_bytes(&element));
	}
	buf_clear(&element);
	schema_encode(&gossip_event_schema, &(struct gossip_event){.event = bytes_str("synced")}, &element);
	subscriber_tell(u, buf_bytes(&element));
	subscriber_send(u);
	buf_free(&element);
}

static void
publish(const struct pool *p, struct bytes element)
{
	for (struct subscriber *u = subscribers, *next; u != NULL; u = next) {
		next = u->next;
		if (u->pool != p)
			continue;
		subscriber_tell(u, element);
		if (u->pending.overflow) {
			ipc_stream_watch(u->stream, NULL, NULL, NULL);
			ipc_fail(u->stream, 503, "the subscriber is too slow");
			subscriber_remove(u);
		} else
			subscriber_send(u);
	}
}

void
serve_member(struct gossip *g UNUSED, const struct pool *p, enum serf_change change, const struct serf_member *m)
{
	struct buf element = BUF_INIT(64u * 1024);

	if (subscribers == NULL)
		return;
	put_member_event(change, m, &element);
	publish(p, buf_bytes(&element));
	buf_free(&element);
}

void
serve_event(struct gossip *g UNUSED, const struct pool *p, uint64_t ltime, struct bytes name, struct bytes payload)
{
	struct gossip_event e = {.event = bytes_str("user"), .name = name, .payload = payload, .ltime = ltime};
	struct buf element = BUF_INIT(64u * 1024);

	if (subscribers == NULL)
		return;
	schema_encode(&gossip_event_schema, &e, &element);
	publish(p, buf_bytes(&element));
	buf_free(&element);
}

static void
handle_event(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	struct gossip_fire_request request;
	char text[SERF_ERROR_MAX];
	const char *error;

	if (schema_decode(&gossip_fire_request_schema, args, &request, &error) == -1)
		ipc_fail(s, 400, "%s", error);
	else if (pool_event_send(g->pools[LAN], request.name, request.payload, text) == -1)
		ipc_fail(s, 500, "%s", text);
	else
		ipc_reply(s, bytes_of(NULL, 0));
}

const struct ipc_method gossip_methods[] = {
    {"Gossip.Members", handle_members},
    {"Gossip.Self", handle_self},
    {"Gossip.Stats", handle_stats},
    {"Gossip.Coordinates", handle_coordinates},
    {"Gossip.Join", handle_join},
    {"Gossip.ForceLeave", handle_force_leave},
    {"Gossip.Leave", handle_leave},
    {"Gossip.Subscribe", handle_subscribe},
    {"Gossip.Event", handle_event},
    {"Gossip.EventFire", events_handle_fire},
    {"Gossip.EventList", events_handle_list},
    {"Gossip.Keyring", keys_handle},
};
const size_t gossip_method_count = COUNTOF(gossip_methods);

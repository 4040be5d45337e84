/*
 * serve.c - the methods of gossipd.sock (structs_gossip.h; callers: httpd, catalogd, consuld)
 */
#include "gossip.h"

#include <stdlib.h>
#include <string.h>

#include "filter.h"
#include "log.h"
#include "mem.h"

#define REPLY_BYTES_MAX (1u * 1024 * 1024)
#define TEXT_MAX 512
#define SUBSCRIBERS_MAX 64
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
put_members(const struct self *self, struct filter *filter, struct buf *out)
{
	struct buf member = BUF_INIT(REPLY_BYTES_MAX);
	int passes;

	self_encode(self, &member);
	passes = filter_match(filter, mp_of(buf_bytes(&member)));
	if (passes != -1) {
		mp_put_array(out, passes == 1 ? 1 : 0);
		if (passes == 1)
			buf_put_bytes(out, buf_bytes(&member));
	}
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
	if (request.wan && !g->has_wan) {
		schema_encode(&gossip_members_schema, &reply, &body);
		ipc_reply(s, buf_bytes(&body));
	} else if (put_members(request.wan ? &g->wan : &g->lan, filter, &list) == -1) {
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

static void
handle_self(struct ipc_stream *s, struct bytes args UNUSED, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);

	mp_put_map(&body, 2);
	mp_put_cstr(&body, "Member");
	self_encode(&g->lan, &body);
	mp_put_cstr(&body, "Coord");
	if (g->coordinates)
		coordinate_encode_origin(&body);
	else
		mp_put_nil(&body);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

static void
put_stats(const struct gossip *g, bool wan, struct buf *out)
{
	bool left = (wan ? &g->wan : &g->lan)->status == MEMBER_LEFT;
	const struct {
		const char *key, *value;
	} rows[] = {
	    {"coordinate_resets", "0"},
	    {"encrypted", "false"},
	    {"event_queue", "0"},
	    {"event_time", "1"},
	    {"failed", "0"},
	    {"health_score", "0"},
	    {"intent_queue", "0"},
	    {"left", left ? "1" : "0"},
	    {"member_time", left ? "2" : "1"},
	    {"members", "1"},
	    {"query_queue", "0"},
	    {"query_time", "1"},
	};

	mp_put_map(out, COUNTOF(rows));
	for (size_t i = 0; i < COUNTOF(rows); i++)
		mp_put_kv_cstr(out, rows[i].key, rows[i].value);
}

static void
handle_stats(struct ipc_stream *s, struct bytes args UNUSED, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);

	mp_put_map(&body, 2);
	mp_put_cstr(&body, "serf_lan");
	put_stats(g, false, &body);
	mp_put_cstr(&body, "serf_wan");
	if (g->has_wan)
		put_stats(g, true, &body);
	else
		mp_put_map(&body, 0);
	ipc_reply(s, buf_bytes(&body));
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
	r->join = join_start(daemon_loop(g->daemon), wan ? &g->wan : &g->lan, addresses, count, on_joined, r);
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
	if (request.wan && !g->has_wan) {
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

/* Is name ours in the pool, with or without the datacenter behind it? */
static bool
names_self(const struct gossip *g, bool wan, const char *name)
{
	return strcmp(name, wan ? g->wan.name : g->lan.name) == 0 || (wan && strcmp(name, g->lan.name) == 0);
}

static void
handle_force_leave(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	struct gossip_force_leave_request request;
	char name[TEXT_MAX];
	const char *error;

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
	if (!names_self(g, request.wan, name)) {
		ipc_fail(s, 500, "agent: No node found with name '%s'", request.wan ? "" : name);
		return;
	}
	/* We are alive and would refute it at once: nothing changes. */
	log_info("agent", "Force leaving node: node=%s", log_quote(name));
	ipc_reply(s, bytes_of(NULL, 0));
}

static void
handle_leave(struct ipc_stream *s, struct bytes args UNUSED, void *ctx)
{
	gossip_leave(gossip_of(ctx));
	ipc_reply(s, bytes_of(NULL, 0));
}

/* ---- subscriptions ---- */

struct subscriber {
	struct subscriber *next;
	struct ipc_stream *stream;
	const struct self *self;
	const char *pending; /* event to send when credit comes; a later one replaces it: it carries all of the state */
};

static struct subscriber *subscribers;
static unsigned subscriber_count;

static void
subscriber_send(struct subscriber *u)
{
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);

	if (u->pending == NULL)
		return;
	mp_put_map(&body, 2);
	mp_put_kv_cstr(&body, "Event", u->pending);
	mp_put_cstr(&body, "Member");
	self_encode(u->self, &body);
	if (ipc_push(u->stream, buf_bytes(&body)))
		u->pending = NULL;
	buf_free(&body);
}

static void
on_subscriber_credit(struct ipc_stream *s UNUSED, void *ctx)
{
	subscriber_send(ctx);
}

static void
on_subscriber_ended(struct ipc_stream *s UNUSED, void *ctx)
{
	struct subscriber *u = ctx, **at = &subscribers;

	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	subscriber_count--;
	free(u);
}

static void
handle_subscribe(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct gossip *g = gossip_of(ctx);
	bool wan = mp_find_bool(args, "WAN");
	struct subscriber *u;

	if (subscriber_count == SUBSCRIBERS_MAX) {
		ipc_fail(s, 503, "too many subscribers");
		return;
	}
	u = xcalloc(1, sizeof *u);
	*u = (struct subscriber){.next = subscribers, .stream = s, .self = wan ? &g->wan : &g->lan};
	u->pending = wan && !g->has_wan ? NULL : "member-join";
	subscribers = u;
	subscriber_count++;
	ipc_stream_watch(s, on_subscriber_ended, on_subscriber_credit, u);
	subscriber_send(u);
}

void
gossip_publish(struct gossip *g UNUSED, const struct self *self, const char *event)
{
	for (struct subscriber *u = subscribers; u != NULL; u = u->next)
		if (u->self == self) {
			u->pending = event;
			subscriber_send(u);
		}
}

const struct ipc_method gossip_methods[] = {
    {"Gossip.Members", handle_members},
    {"Gossip.Self", handle_self},
    {"Gossip.Stats", handle_stats},
    {"Gossip.Join", handle_join},
    {"Gossip.ForceLeave", handle_force_leave},
    {"Gossip.Leave", handle_leave},
    {"Gossip.Subscribe", handle_subscribe},
};
const size_t gossip_method_count = COUNTOF(gossip_methods);

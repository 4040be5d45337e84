/*
 * api_agent.c - /v1/agent: the node itself, its members, its log (http-api.md 11.1-11.12)
 *
 * What is registered on the node is in api_local.c.
 */
#include "api.h"
#include "ask.h"
#include "duration.h"
#include "json.h"
#include "log.h"
#include "reply.h"
#include "structs_gossip.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define SELF_CONFIG_FIELDS(F)                                                                                          \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "PrimaryDatacenter", primary_datacenter, 0, NULL, NULL, "")                                             \
	F(STR, "NodeName", node_name, 0, NULL, NULL, "")                                                               \
	F(STR, "NodeID", node_id, 0, NULL, NULL, "")                                                                   \
	F(STR, "Revision", revision, 0, NULL, NULL, "")                                                                \
	F(BOOL, "Server", server, 0, NULL, NULL, "")                                                                   \
	F(STR, "Version", version, 0, NULL, NULL, "of the reference that we are compatible with")                      \
	F(STR, "BuildDate", build_date, 0, NULL, NULL, "")
SCHEMA_DECLARE(self_config, SELF_CONFIG_FIELDS)
SCHEMA_DEFINE(self_config, "Config", SELF_CONFIG_FIELDS, 0)

/* ---- self: put together from the answers of four neighbours ---- */

enum self_part { SELF_AGENT, SELF_GOSSIP, SELF_GOSSIP_STATS, SELF_CHECKS, SELF_CATALOG, SELF_PARTS };

static const struct {
	const char *peer, *method;
} SELF[SELF_PARTS] = {
    [SELF_AGENT] = {"consuld", "Agent.Self"},
    [SELF_GOSSIP] = {"gossipd", "Gossip.Self"},
    [SELF_GOSSIP_STATS] = {"gossipd", "Gossip.Stats"},
    [SELF_CHECKS] = {"checkd", "Agent.LocalStats"},
    [SELF_CATALOG] = {"catalogd", "Catalogd.Stats"},
};

/* Asked one after the other: at most one call belongs to an exchange, and each takes but a round trip. */
struct self {
	enum self_part next;
	struct buf part[SELF_PARTS];
};

static void
self_free(struct exchange *x)
{
	struct self *s = x->more;

	for (size_t i = 0; i < SELF_PARTS; i++)
		buf_free(&s->part[i]);
	free(s);
}

static void
put_build_stats(struct buf *b)
{
	mp_put_cstr(b, "build");
	mp_put_map(b, 4);
	mp_put_kv_cstr(b, "prerelease", "");
	mp_put_kv_cstr(b, "revision", "");
	mp_put_kv_cstr(b, "version", config.version);
	mp_put_kv_cstr(b, "version_metadata", "");
}

static void
put_runtime_stats(struct buf *b)
{
	struct utsname name;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char text[32];
	const char *arch;

	if (uname(&name) == -1)
		memset(&name, 0, sizeof name);
	arch = strcmp(name.machine, "x86_64") == 0    ? "amd64"
	       : strcmp(name.machine, "aarch64") == 0 ? "arm64"
						      : name.machine;
	snprintf(text, sizeof text, "%ld", cpus);
	mp_put_cstr(b, "runtime");
	mp_put_map(b, 6);
	mp_put_kv_cstr(b, "arch", arch);
	mp_put_kv_cstr(b, "cpu_count", text);
	mp_put_kv_cstr(b, "goroutines", "1");
	mp_put_kv_cstr(b, "max_procs", text);
	mp_put_kv_cstr(b, "os", "linux");
	mp_put_kv_cstr(b, "version", "consuld " CONSULD_VERSION);
}

/* The map called key inside part, or part itself with key NULL; absent: not written. Returns how many were written. */
static uint32_t
put_stats(struct buf *b, const char *name, const struct buf *part, const char *key)
{
	struct bytes raw = key == NULL ? buf_bytes(part) : mp_find_raw(buf_bytes(part), key);
	struct mp in = mp_of(raw);

	if (raw.size == 0 || mp_peek(&in) != MP_MAP || (key != NULL && mp_map(&in) == 0))
		return 0;
	mp_put_cstr(b, name);
	buf_put_bytes(b, raw);
	return 1;
}

/* The keys stand in the order of http-api.md 11.1; json_from_mp sorts maps, so the outer one is written by hand. */
static void
put_json_member(struct buf *out, const char *key, struct bytes raw, bool last)
{
	static struct buf one = {.max = 8u << 20};
	struct mp in = mp_of(raw);

	buf_clear(&one);
	json_put_cstr(out, key);
	buf_put_u8(out, ':');
	if (raw.size == 0 || json_from_mp(&in, &one, 0) == -1) {
		buf_clear(&one);
		buf_put_str(&one, "null");
	}
	buf_put_bytes(out, buf_bytes(&one));
	if (!last)
		buf_put_u8(out, ',');
}

/* A struct by its table; one that a neighbour did not give is null. */
static void
put_struct(struct buf *out, const struct schema *schema, struct bytes raw)
{
	struct mp in = mp_of(raw);
	size_t before = out->used;

	if (raw.size > 0 && mp_peek(&in) == MP_MAP && schema_to_json(schema, &in, out, 0) == 0)
		return;
	out->used = before;
	buf_put_str(out, "null");
}

static void
self_reply(struct exchange *x, const struct self *s)
{
	struct buf stats = BUF_INIT(1u << 20), plain = BUF_INIT(8u << 20);
	struct bytes agent = buf_bytes(&s->part[SELF_AGENT]), gossip = buf_bytes(&s->part[SELF_GOSSIP]);
	size_t place = mp_open_map(&stats);
	uint32_t count = 0;

	count += put_stats(&stats, "agent", &s->part[SELF_CHECKS], NULL);
	put_build_stats(&stats);
	count++;
	count += put_stats(&stats, "consul", &s->part[SELF_CATALOG], "consul");
	count += put_stats(&stats, "raft", &s->part[SELF_CATALOG], "raft");
	count += put_stats(&stats, "catalogd", &s->part[SELF_CATALOG], "catalogd");
	put_runtime_stats(&stats);
	count++;
	count += put_stats(&stats, "serf_lan", &s->part[SELF_GOSSIP_STATS], "serf_lan");
	count += put_stats(&stats, "serf_wan", &s->part[SELF_GOSSIP_STATS], "serf_wan");
	mp_close(&stats, place, count);
	buf_put_u8(&plain, '{');
	buf_put_str(&plain, "\"Config\":");
	put_struct(&plain, &self_config_schema, mp_find_raw(agent, "Config"));
	buf_put_u8(&plain, ',');
	put_json_member(&plain, "DebugConfig", mp_find_raw(agent, "DebugConfig"), false);
	buf_put_str(&plain, "\"Coord\":");
	put_struct(&plain, &coordinate_schema, mp_find_raw(gossip, "Coord"));
	buf_put_str(&plain, ",\"Member\":");
	put_struct(&plain, &member_schema, mp_find_raw(gossip, "Member"));
	buf_put_u8(&plain, ',');
	put_json_member(&plain, "Stats", buf_bytes(&stats), false);
	put_json_member(&plain, "Meta", mp_find_raw(agent, "Meta"), mp_find_raw(agent, "xDS").size == 0);
	if (mp_find_raw(agent, "xDS").size > 0)
		put_json_member(&plain, "xDS", mp_find_raw(agent, "xDS"), true);
	buf_put_u8(&plain, '}');
	if (reply_json_flags(x) != 0)
		json_indent(buf_bytes(&plain), reply_body());
	else
		buf_put_bytes(reply_body(), buf_bytes(&plain));
	buf_free(&stats);
	buf_free(&plain);
	reply_json(x, 200);
}

static void self_ask(struct exchange *x);

static void
self_answer(struct exchange *x, const struct ipc_answer *a)
{
	struct self *s = x->more;

	if (a->status != IPC_OK && s->next == SELF_AGENT) {
		reply_failure(x, a);
		return;
	}
	/* Another neighbour that is away is left out: this is what one looks at to find out why. */
	if (a->status == IPC_OK)
		buf_put_bytes(&s->part[s->next], a->body);
	s->next++;
	self_ask(x);
}

static void
self_ask(struct exchange *x)
{
	struct self *s = x->more;

	while (s->next < SELF_PARTS && s->next != SELF_AGENT &&
	       !ipc_peer_connected(daemon_peer(config.daemon, SELF[s->next].peer)))
		s->next++;
	if (s->next == SELF_PARTS) {
		self_reply(x, s);
		return;
	}
	ask_once(x, SELF[s->next].peer, SELF[s->next].method, bytes_of(NULL, 0), self_answer);
}

void
agent_self(struct request *r)
{
	struct self *s = xcalloc(1, sizeof *s);

	for (size_t i = 0; i < SELF_PARTS; i++)
		buf_init(&s->part[i], 4u << 20);
	r->x->more = s;
	r->x->ended = self_free;
	self_ask(r->x);
}

/* ---- version, host, metrics ---- */

void
agent_version(struct request *r)
{
	struct buf *b = reply_body(), plain = BUF_INIT(4096);

	buf_put_str(&plain, "{\"SHA\":\"\",\"BuildDate\":");
	json_put_cstr(&plain, config.build_date);
	buf_put_str(&plain, ",\"HumanVersion\":");
	json_put_cstr(&plain, config.version);
	buf_put_str(&plain, ",\"FIPS\":\"\"}");
	if (reply_json_flags(r->x) != 0)
		json_indent(buf_bytes(&plain), b);
	else
		buf_put_bytes(b, buf_bytes(&plain));
	buf_free(&plain);
	reply_json(r->x, 200);
}

static const struct ask_form ANY = {NULL, ask_any, NULL};

void
agent_host(struct request *r)
{
	r->x->form = &ANY;
	ask_once(r->x, "consuld", "Agent.Host", bytes_of(NULL, 0), ask_formed);
}

void
agent_metrics(struct request *r)
{
	struct bytes format = request_value(r, "format"), accept = r->head->field[HTTP1_ACCEPT];
	time_t now = (time_t)(walltime_ns() / NS_PER_S);
	struct tm tm;
	char text[64];
	struct buf *b = reply_body();

	if (bytes_is(format, "prometheus") || bytes_has_prefix(accept, bytes_str("application/openmetrics-text")) ||
	    bytes_has_prefix(accept, bytes_str("text/plain;version=0.4.0"))) {
		reply_header("X-Consul-Reason", "Prometheus is not enabled since its retention time is not positive");
		reply_done(r->x);
		return;
	}
	now -= now % 10;
	gmtime_r(&now, &tm);
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S +0000 UTC", &tm);
	buf_printf(b, "{\"Timestamp\":\"%s\",\"Gauges\":[],\"Points\":[],\"Counters\":[],\"Samples\":[]}", text);
	if (reply_json_flags(r->x) != 0) {
		struct buf plain = *b;

		*b = BUF_INIT(b->max);
		json_indent(buf_bytes(&plain), b);
		buf_free(&plain);
	}
	reply_json(r->x, 200);
}

/* ---- members ---- */

/* The list itself; nil (the WAN pool of a client) is null. No query headers. */
static void
members_answer(struct exchange *x, const struct ipc_answer *a)
{
	struct mp list;
	struct buf *b = reply_body();

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	if (!mp_find(mp_of(a->body), "Members", &list) || mp_nil(&list))
		buf_put_str(b, "null");
	else if (schema_list_to_json(&member_schema, &list, b, reply_json_flags(x)) == -1) {
		reply_error(x, 500, "rpc error: malformed answer");
		return;
	}
	reply_json(x, 200);
}

void
agent_members(struct request *r)
{
	struct gossip_members_request args = {
	    .wan = request_value(r, "wan").size > 0,
	    .segment = request_value(r, "segment"),
	    .filter = request_value(r, "filter"),
	};
	struct buf *b = ask_args();

	if (args.wan && args.segment.size > 0 && !bytes_is(args.segment, "_all")) {
		reply_error(r->x, 400, "Cannot provide a segment with wan=true");
		return;
	}
	schema_encode(&gossip_members_request_schema, &args, b);
	ask_again(r->x, "gossipd", "Gossip.Members", buf_bytes(b), 0, members_answer);
}

void
agent_join(struct request *r)
{
	struct buf list = BUF_INIT(64u * 1024), *b = ask_args();
	struct gossip_join_request args = {.wan = request_value(r, "wan").size > 0};

	mp_put_array(&list, 1);
	mp_put_bytes(&list, r->arg);
	args.addresses = buf_bytes(&list);
	schema_encode(&gossip_join_request_schema, &args, b);
	buf_free(&list);
	ask_once(r->x, "gossipd", "Gossip.Join", buf_bytes(b), ask_done);
}

void
agent_force_leave(struct request *r)
{
	struct gossip_force_leave_request args = {
	    .node = r->arg, .wan = request_has(r, "wan"), .prune = request_has(r, "prune")};
	struct buf *b = ask_args();

	schema_encode(&gossip_force_leave_request_schema, &args, b);
	ask_once(r->x, "gossipd", "Gossip.ForceLeave", buf_bytes(b), ask_done);
}

void
agent_leave(struct request *r)
{
	ask_once(r->x, "consuld", "Agent.Leave", bytes_of(NULL, 0), ask_done);
}

void
agent_reload(struct request *r)
{
	ask_once(r->x, "consuld", "Agent.Reload", bytes_of(NULL, 0), ask_done);
}

/* ---- monitor ---- */

#define MONITOR_CREDIT (256u * 1024)

static void
monitor_line(struct exchange *x, const struct ipc_answer *a)
{
	struct mp in = mp_of(a->body);
	struct bytes line;

	if (!a->more) {
		reply_stream_end(x);
		return;
	}
	line = mp_str(&in);
	ipc_grant(x->call, (uint32_t)a->body.size);
	if (line.size > 0) {
		struct buf *b = reply_body();

		buf_put_bytes(b, line);
		if (line.data[line.size - 1] != '\n')
			buf_put_u8(b, '\n');
		(void)reply_stream_put(x, buf_bytes(b)); /* a client that does not read loses lines */
	}
}

void
agent_monitor(struct request *r)
{
	struct bytes level = request_value(r, "loglevel");
	char text[32];
	enum log_level parsed;
	struct buf *b = ask_args();

	if (level.size == 0)
		level = bytes_str("INFO");
	if (bytes_to_str(level, text, sizeof text) == -1 || log_level_parse(text, &parsed) == -1) {
		reply_error(
		    r->x, 400, "Unknown log level: %.*s", (int)MIN(level.size, (size_t)256), (const char *)level.data);
		return;
	}
	mp_put_map(b, 3);
	mp_put_kv_cstr(b, "LogLevel", log_level_name(parsed));
	mp_put_kv_bool(b, "LogJSON", request_has(r, "logjson"));
	mp_put_kv_str(b, "Token", r->token);
	reply_stream(r->x);
	ask_stream(r->x, "consuld", "Agent.Monitor", buf_bytes(b), MONITOR_CREDIT, monitor_line);
}

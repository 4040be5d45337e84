/*
 * api_operator.c - /v1/operator/raft and /v1/operator/autopilot (http-api.md 17)
 *
 * Autopilot's view is shown in another form than the servers tell it in: the structs of that form stand here.
 */
#include "api.h"
#include "ask.h"
#include "json.h"
#include "reply.h"
#include "structs_operator.h"

#include <stdio.h>

#define BODY_BYTES_MAX (REQUEST_BODY_BYTES_MAX * 2)
#define REPLY_PARTS_MAX (8u << 20)
#define TIME_BYTES 15

#define API_HEALTH_SERVER_FIELDS(F)                                                                                    \
	F(STR, "ID", id, 0, NULL, NULL, "")                                                                            \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(STR, "Address", address, 0, NULL, NULL, "")                                                                  \
	F(STR, "SerfStatus", serf_status, 0, NULL, NULL, "alive, leaving, left, failed, none")                         \
	F(STR, "Version", version, 0, NULL, NULL, "")                                                                  \
	F(BOOL, "Leader", leader, 0, NULL, NULL, "")                                                                   \
	F(DURATION, "LastContact", last_contact, FIELD_TEXT, NULL, NULL, "")                                           \
	F(UINT, "LastTerm", last_term, 0, NULL, NULL, "")                                                              \
	F(UINT, "LastIndex", last_index, 0, NULL, NULL, "")                                                            \
	F(BOOL, "Healthy", healthy, 0, NULL, NULL, "")                                                                 \
	F(BOOL, "Voter", voter, 0, NULL, NULL, "")                                                                     \
	F(TIME, "StableSince", stable_since, 0, NULL, NULL, "whole seconds")
SCHEMA_DECLARE(api_health_server, API_HEALTH_SERVER_FIELDS)
SCHEMA_DEFINE(api_health_server, "api.ServerHealth", API_HEALTH_SERVER_FIELDS, 0)

#define API_HEALTH_FIELDS(F)                                                                                           \
	F(BOOL, "Healthy", healthy, 0, NULL, NULL, "")                                                                 \
	F(INT, "FailureTolerance", failure_tolerance, 0, NULL, NULL, "")                                               \
	F(LIST, "Servers", servers, 0, &api_health_server_schema, NULL, "null: not looked at yet")
SCHEMA_DECLARE(api_health, API_HEALTH_FIELDS)
SCHEMA_DEFINE(api_health, "api.OperatorHealthReply", API_HEALTH_FIELDS, 0)

#define API_STATE_SERVER_FIELDS(F)                                                                                     \
	F(STR, "ID", id, 0, NULL, NULL, "")                                                                            \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(STR, "Address", address, 0, NULL, NULL, "")                                                                  \
	F(STR, "NodeStatus", node_status, 0, NULL, NULL, "")                                                           \
	F(STR, "Version", version, 0, NULL, NULL, "")                                                                  \
	F(DURATION, "LastContact", last_contact, FIELD_TEXT, NULL, NULL, "")                                           \
	F(UINT, "LastTerm", last_term, 0, NULL, NULL, "")                                                              \
	F(UINT, "LastIndex", last_index, 0, NULL, NULL, "")                                                            \
	F(BOOL, "Healthy", healthy, 0, NULL, NULL, "")                                                                 \
	F(TIME, "StableSince", stable_since, 0, NULL, NULL, "")                                                        \
	F(BOOL, "ReadReplica", read_replica, 0, NULL, NULL, "")                                                        \
	F(STR, "Status", status, 0, NULL, NULL, "leader, voter, non-voter, staging, none")                             \
	F(STRMAP, "Meta", meta, 0, NULL, NULL, "")                                                                     \
	F(STR, "NodeType", node_type, 0, NULL, NULL, "")
SCHEMA_DECLARE(api_state_server, API_STATE_SERVER_FIELDS)
SCHEMA_DEFINE(api_state_server, "api.AutopilotServer", API_STATE_SERVER_FIELDS, 0)

#define API_STATE_FIELDS(F)                                                                                            \
	F(BOOL, "Healthy", healthy, 0, NULL, NULL, "")                                                                 \
	F(INT, "FailureTolerance", failure_tolerance, 0, NULL, NULL, "")                                               \
	F(INT, "OptimisticFailureTolerance", optimistic_failure_tolerance, 0, NULL, NULL, "the same")                  \
	F(MAP, "Servers", servers, 0, &api_state_server_schema, NULL, "")                                              \
	F(STR, "Leader", leader, 0, NULL, NULL, "")                                                                    \
	F(STRLIST, "Voters", voters, 0, NULL, NULL, "")
SCHEMA_DECLARE(api_state, API_STATE_FIELDS)
SCHEMA_DEFINE(api_state, "api.AutopilotState", API_STATE_FIELDS, 0)

static const struct ask_form ANY = {NULL, ask_any, NULL};

/* ---- Raft ---- */

void
operator_raft_configuration(struct request *r)
{
	struct dc_request args = {.allow_stale = r->query.stale};

	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Operator.RaftGetConfiguration", &dc_request_schema, &args, &ANY);
}

void
operator_raft_peer(struct request *r)
{
	struct raft_remove_peer_request args = {.datacenter = r->dc,
	    .token = r->token,
	    .id = request_value(r, "id"),
	    .address = request_value(r, "address")};
	struct buf *b = ask_args();

	if (args.id.size == 0 && args.address.size == 0) {
		reply_error(r->x, 400,
		    "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove");
		return;
	}
	if (args.id.size > 0 && args.address.size > 0) {
		reply_error(r->x, 400, "Must specify only one of ?id or ?address");
		return;
	}
	schema_encode(&raft_remove_peer_request_schema, &args, b);
	ask_once(r->x, "catalogd",
	    args.id.size > 0 ? "Operator.RaftRemovePeerByID" : "Operator.RaftRemovePeerByAddress", buf_bytes(b),
	    ask_done);
}

void
operator_transfer_leader(struct request *r)
{
	struct transfer_leader_request args = {.datacenter = r->dc, .token = r->token, .id = request_value(r, "id")};
	struct buf *b = ask_args();

	schema_encode(&transfer_leader_request_schema, &args, b);
	r->x->form = &ANY;
	ask_once(r->x, "catalogd", "Operator.TransferLeader", buf_bytes(b), ask_formed);
}

/* ---- autopilot's settings ---- */

static int
config_encode(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	(void)form;
	return schema_to_json(&autopilot_config_schema, in, out, reply_json_flags(x)) == -1 ? -1 : 200;
}

static void
config_get(struct request *r)
{
	static const struct ask_form form = {NULL, config_encode, NULL};
	struct dc_request args = {.allow_stale = r->query.stale};

	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Operator.AutopilotGetConfiguration", &dc_request_schema, &args, &form);
}

/* The body has a value for name. */
static bool
is_given(struct bytes body, const char *name)
{
	struct mp in = mp_of(body);

	for (uint32_t pairs = mp_peek(&in) == MP_MAP ? mp_map(&in) : 0; pairs > 0 && mp_ok(&in); pairs--) {
		struct bytes key = mp_str(&in);

		if (bytes_equal_fold(key, bytes_str(name)) && mp_peek(&in) != MP_NIL)
			return true;
		mp_skip(&in);
	}
	return false;
}

/* Body JSON to settings, what is left out being the default. Texts of *out live in b. false: refused. */
static bool
config_read(struct request *r, struct buf *b, struct autopilot_config *out)
{
	struct buf free_form = BUF_INIT(BODY_BYTES_MAX);
	struct json_error error;
	const char *why;

	if (schema_from_json(&autopilot_config_schema, r->body, b, &error) == -1) {
		reply_error(r->x, 400, "Error parsing autopilot config: %s", error.text);
		return false;
	}
	if (schema_decode(&autopilot_config_schema, buf_bytes(b), out, &why) == -1) {
		reply_error(r->x, 400, "Error parsing autopilot config: %s", why);
		return false;
	}
	if (json_to_mp(r->body, &free_form, &error) == 0) {
		struct bytes given = buf_bytes(&free_form);

		if (!is_given(given, "CleanupDeadServers"))
			out->cleanup_dead_servers = true;
		if (!is_given(given, "LastContactThreshold"))
			out->last_contact_threshold = AUTOPILOT_LAST_CONTACT_NS;
		if (!is_given(given, "MaxTrailingLogs"))
			out->max_trailing_logs = AUTOPILOT_MAX_TRAILING_LOGS;
		if (!is_given(given, "ServerStabilizationTime"))
			out->server_stabilization_time = AUTOPILOT_STABILIZATION_NS;
	}
	buf_free(&free_form);
	out->create_index = out->modify_index = 0;
	return true;
}

static void
config_put(struct request *r)
{
	struct autopilot_set_config_request args = {.datacenter = r->dc, .token = r->token};
	struct buf body = BUF_INIT(BODY_BYTES_MAX), encoded = BUF_INIT(BODY_BYTES_MAX), *b;
	struct autopilot_config settings;
	char why[REQUEST_UINT_ERROR_MAX];

	if (!config_read(r, &body, &settings))
		goto out;
	args.cas = request_has(r, "cas");
	if (args.cas && request_parse_uint(request_value(r, "cas"), &settings.modify_index, why) == -1) {
		reply_error(r->x, 400, "Error parsing cas value: %s", why);
		goto out;
	}
	schema_encode(&autopilot_config_schema, &settings, &encoded);
	args.config = buf_bytes(&encoded);
	b = ask_args();
	schema_encode(&autopilot_set_config_request_schema, &args, b);
	r->x->form = &ANY;
	ask_once(r->x, "catalogd", "Operator.AutopilotSetConfiguration", buf_bytes(b), ask_formed);
out:
	buf_free(&body);
	buf_free(&encoded);
}

void
operator_autopilot_configuration(struct request *r)
{
	if (r->method == HTTP1_GET)
		config_get(r);
	else
		config_put(r);
}

/* ---- autopilot's view ---- */

static void
ask_view(struct request *r, const char *method, void (*answer)(struct exchange *, const struct ipc_answer *))
{
	struct dc_request args = {.allow_stale = false};
	struct buf *b = ask_args();

	REQUEST_OPTIONS(r, &args);
	args.allow_stale = false;
	schema_encode(&dc_request_schema, &args, b);
	ask_again(r->x, "catalogd", method, buf_bytes(b), 0, answer);
}

static const char *
serf_status_name(int64_t status)
{
	static const char *const names[] = {"none", "alive", "leaving", "left", "failed"};

	return status >= 0 && status < (int64_t)COUNTOF(names) ? names[status] : names[0];
}

/* To the nearest second, as the reference shows it here. */
static struct bytes
rounded(struct bytes time, uint8_t out[TIME_BYTES])
{
	uint64_t seconds;

	if (time.size != TIME_BYTES)
		return time;
	seconds = be64_at(time.data + 1) + (be32_at(time.data + 9) >= 500000000);
	memcpy(out, time.data, TIME_BYTES);
	for (int i = 0; i < 8; i++)
		out[1 + i] = (uint8_t)(seconds >> (56 - 8 * i));
	memset(out + 9, 0, 4);
	return bytes_of(out, TIME_BYTES);
}

/* 0, or -1: the list is not what it should be. */
static int
health_servers(struct bytes list, struct buf *out)
{
	struct autopilot_server_health from;
	struct mp in = mp_of(list);
	const char *error;
	uint32_t count;

	if (list.size == 0 || mp_nil(&in)) {
		mp_put_nil(out);
		return 0;
	}
	count = mp_array(&in);
	mp_put_array(out, count);
	for (; count > 0; count--) {
		uint8_t since[TIME_BYTES];
		struct api_health_server to;

		if (schema_decode_at(&autopilot_server_health_schema, &in, &from, &error) == -1)
			return -1;
		to = (struct api_health_server){.id = from.id,
		    .name = from.name,
		    .address = from.address,
		    .serf_status = bytes_str(serf_status_name(from.serf_status)),
		    .version = from.version,
		    .leader = from.leader,
		    .last_contact = from.last_contact,
		    .last_term = from.last_term,
		    .last_index = from.last_index,
		    .healthy = from.healthy,
		    .voter = from.voter,
		    .stable_since = rounded(from.stable_since, since)};
		schema_encode(&api_health_server_schema, &to, out);
	}
	return 0;
}

static void
malformed(struct exchange *x)
{
	reply_error(x, 500, "rpc error: malformed answer");
}

/* Appends to, a struct of schema, to out. -1: it can not be shown. */
static int
show(struct exchange *x, const struct schema *schema, const void *to, struct buf *out)
{
	struct buf encoded = BUF_INIT(REPLY_PARTS_MAX);
	struct mp in;
	int result;

	schema_encode(schema, to, &encoded);
	in = mp_of(buf_bytes(&encoded));
	result = schema_to_json(schema, &in, out, reply_json_flags(x));
	buf_free(&encoded);
	return result;
}

static void
health_answer(struct exchange *x, const struct ipc_answer *a)
{
	struct buf servers = BUF_INIT(REPLY_PARTS_MAX), *out = reply_body();
	struct autopilot_health_reply from;
	struct api_health to;
	const char *error;

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	if (schema_decode(&autopilot_health_reply_schema, a->body, &from, &error) == -1 ||
	    health_servers(from.servers, &servers) == -1) {
		malformed(x);
	} else {
		to = (struct api_health){.healthy = from.healthy,
		    .failure_tolerance = from.failure_tolerance,
		    .servers = buf_bytes(&servers)};
		if (show(x, &api_health_schema, &to, out) == -1)
			malformed(x);
		else if (from.healthy)
			reply_json(x, 200);
		else /* the reference writes the status before it knows the type */
			reply_send(x, 429, (x->flags & REPLY_GZIP) != 0 ? REPLY_JSON : REPLY_TEXT, buf_bytes(out));
	}
	buf_free(&servers);
}

void
operator_autopilot_health(struct request *r)
{
	ask_view(r, "Operator.ServerHealth", health_answer);
}

/* 0, or -1: the map is not what it should be. */
static int
state_servers(struct bytes map, struct buf *out)
{
	struct mp in = mp_of(map);
	uint32_t count = map.size == 0 ? 0 : mp_map(&in);
	const char *error;

	mp_put_map(out, count);
	for (; count > 0; count--) {
		struct bytes id = mp_str(&in);
		struct autopilot_server_state state;
		struct autopilot_server server;
		struct autopilot_stats stats;
		struct autopilot_stable health;
		struct api_state_server to;

		if (schema_decode_at(&autopilot_server_state_schema, &in, &state, &error) == -1 ||
		    schema_decode(&autopilot_server_schema, state.server, &server, &error) == -1 ||
		    schema_decode(&autopilot_stats_schema, state.stats, &stats, &error) == -1 ||
		    schema_decode(&autopilot_stable_schema, state.health, &health, &error) == -1)
			return -1;
		to = (struct api_state_server){.id = server.id,
		    .name = server.name,
		    .address = server.address,
		    .node_status = server.node_status,
		    .version = server.version,
		    .last_contact = stats.last_contact,
		    .last_term = stats.last_term,
		    .last_index = stats.last_index,
		    .healthy = health.healthy,
		    .stable_since = health.stable_since,
		    .status = state.state,
		    .meta = server.meta,
		    .node_type = server.node_type};
		mp_put_bytes(out, id);
		schema_encode(&api_state_server_schema, &to, out);
	}
	return mp_ok(&in) ? 0 : -1;
}

static void
state_answer(struct exchange *x, const struct ipc_answer *a)
{
	struct buf servers = BUF_INIT(REPLY_PARTS_MAX);
	struct autopilot_state from;
	struct api_state to;
	const char *error;

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	if (schema_decode(&autopilot_state_schema, a->body, &from, &error) == -1 ||
	    state_servers(from.servers, &servers) == -1) {
		malformed(x);
	} else {
		to = (struct api_state){.healthy = from.healthy,
		    .failure_tolerance = from.failure_tolerance,
		    .optimistic_failure_tolerance = from.failure_tolerance,
		    .servers = buf_bytes(&servers),
		    .leader = from.leader,
		    .voters = from.voters};
		if (show(x, &api_state_schema, &to, reply_body()) == -1)
			malformed(x);
		else
			reply_json(x, 200);
	}
	buf_free(&servers);
}

void
operator_autopilot_state(struct request *r)
{
	ask_view(r, "Operator.AutopilotState", state_answer);
}

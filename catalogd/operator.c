/*
 * operator.c - the methods for those who run a cluster (facts: wire-rpc.md 11.6, http-api.md 17, cli.md 8.18; caller: serve.c's table)
 *
 * Who belongs to the log is raftd's to know and to change: it is asked when the question comes. Autopilot's view is that of its last look.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autopilot_run.h"
#include "log.h"
#include "mem.h"
#include "members.h"
#include "nodes.h"
#include "query.h"
#include "raft_members.h"
#include "structs_operator.h"

#define MODULE "agent.server.operator"
#define RAFTD_TIMEOUT_MS 2000
#define CHANGE_TIMEOUT_MS 15000 /* raftd's own limit is shorter */
#define ID_MAX 128
#define REPLY_BYTES_MAX (4u << 20)
#define NODE_TYPE "voter"

/* A question to raftd, until it is answered or whoever asked is gone. A change that was asked for goes on without him. */
struct asked {
	struct catalogd *c;
	struct ipc_stream *stream; /* NULL: gone */
	enum { BY_NOTHING, BY_ID, BY_ADDRESS, TRANSFER } what;
	char subject[ID_MAX];
};

static void
on_asker_ended(struct ipc_stream *s, void *ctx)
{
	struct asked *a = ctx;

	(void)s;
	a->stream = NULL;
}

static struct asked *
asked_new(struct catalogd *c, struct ipc_stream *s)
{
	struct asked *a = xcalloc(1, sizeof *a);

	a->c = c;
	a->stream = s;
	ipc_stream_watch(s, on_asker_ended, NULL, a);
	return a;
}

/* The stream, whose question is over; NULL: nobody waits for the answer. */
static struct ipc_stream *
asked_end(struct asked *a)
{
	struct ipc_stream *s = a->stream;

	if (s != NULL)
		ipc_stream_watch(s, NULL, NULL, NULL);
	free(a);
	return s;
}

static void PRINTF_LIKE(2, 3) asked_fail(struct asked *a, const char *fmt, ...)
{
	struct ipc_stream *s;
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args); /* perhaps of what a holds */
	va_end(args);
	s = asked_end(a);
	if (s != NULL)
		ipc_fail(s, 0, "%s", text);
}

static void
reply(struct ipc_stream *s, const struct schema *schema, const void *value)
{
	struct buf body = BUF_INIT(REPLY_BYTES_MAX);

	schema_encode(schema, value, &body);
	ipc_reply(s, buf_bytes(&body));
	buf_free(&body);
}

static void
ask_peers(struct asked *a, ipc_answer_cb *cb)
{
	(void)ipc_call(daemon_peer(a->c->daemon, "raftd"), "Raft.Peers", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = RAFTD_TIMEOUT_MS, .flags = IPC_RESEND}, cb, a);
}

/* The configuration in raftd's answer. false: there is none, the question has been answered. */
static bool
peers_of(struct asked *a, const struct ipc_answer *answer, struct raft_peers *peers)
{
	if (answer->status == IPC_OK && raft_peers_read(answer->body, peers) == 0)
		return true;
	asked_fail(a, "No cluster leader");
	return false;
}

/* ---- Operator.RaftGetConfiguration ---- */

/* How far the log of a server was when autopilot last looked; 0: not known. */
static uint64_t
last_index_of(const struct catalogd *c, const char *id)
{
	const struct autopilot_input *in;

	if (autopilot_run_view(c->autopilot, &in) == NULL)
		return 0;
	for (size_t i = 0; i < in->count; i++)
		if (strcmp(in->at[i].id, id) == 0)
			return in->at[i].last_index;
	return 0;
}

static void
put_server(const struct catalogd *c, const struct raft_peer *p, struct buf *out)
{
	const struct lan_member *m = members_find_id(c->members, bytes_str(p->id));
	bool own = strcmp(p->id, conf_str(daemon_conf(c->daemon), "node_id", "")) == 0;
	struct raft_server server = {.id = bytes_str(p->id),
	    .node = bytes_str(own         ? c->node_name
			      : m == NULL ? "(unknown)"
					  : m->name),
	    .address = bytes_str(p->address),
	    .leader = p->leader,
	    .protocol_version = bytes_str(own         ? "3"
					  : m == NULL ? "unknown"
						      : m->raft_version),
	    .voter = p->voter,
	    .last_index = last_index_of(c, p->id)};

	schema_encode(&raft_server_schema, &server, out);
}

static void
on_configuration(void *ctx, const struct ipc_answer *answer)
{
	struct asked *a = ctx;
	struct raft_configuration_response response = {.index = 0};
	struct buf servers = BUF_INIT(REPLY_BYTES_MAX);
	struct raft_peers peers;
	struct ipc_stream *s;

	if (!peers_of(a, answer, &peers))
		return;
	mp_put_array(&servers, (uint32_t)peers.count);
	for (size_t i = 0; i < peers.count; i++)
		put_server(a->c, &peers.at[i], &servers);
	response.servers = buf_bytes(&servers);
	s = asked_end(a);
	if (s != NULL)
		reply(s, &raft_configuration_response_schema, &response);
	buf_free(&servers);
}

void
operator_raft_configuration(struct catalogd *c, struct ipc_stream *s, struct bytes args)
{
	(void)args;
	ask_peers(asked_new(c, s), on_configuration);
}

/* ---- Operator.RaftRemovePeerByID, RaftRemovePeerByAddress ---- */

static void
on_removed(void *ctx, const char *error)
{
	struct asked *a = ctx;
	struct ipc_stream *s;

	if (error != NULL) {
		log_warnx(
		    MODULE, "Failed to remove Raft peer: peer=%s error=%s", log_quote(a->subject), log_quote(error));
		asked_fail(a, "%s", error);
		return;
	}
	log_warnx(MODULE, a->what == BY_ID ? "Removed Raft peer with id: peer_id=%s" : "Removed Raft peer: peer=%s",
	    log_quote(a->subject));
	s = asked_end(a);
	if (s != NULL)
		ipc_reply(s, bytes_of(NULL, 0));
}

static bool
is_subject(const struct asked *a, const struct raft_peer *p)
{
	if (a->what == BY_ID)
		return strcmp(p->id, a->subject) == 0;
	return strcmp(p->address, a->subject) == 0 || strcmp(p->configured, a->subject) == 0;
}

static void
on_peers_to_remove(void *ctx, const struct ipc_answer *answer)
{
	struct raft_members_change change = {.op = RAFT_MEMBERS_REMOVE, .reason = "requested"};
	struct asked *a = ctx;
	struct raft_peers peers;

	if (!peers_of(a, answer, &peers))
		return;
	for (size_t i = 0; i < peers.count; i++)
		if (is_subject(a, &peers.at[i])) {
			memcpy(change.id, peers.at[i].id, sizeof change.id);
			raft_members_change(a->c->raft_members, &change, on_removed, a);
			return;
		}
	asked_fail(
	    a, "%s \"%s\" was not found in the Raft configuration", a->what == BY_ID ? "id" : "address", a->subject);
}

/* subject names a server; NULL: it can not, the request has been refused. */
static struct asked *
asked_about(struct catalogd *c, struct ipc_stream *s, struct bytes subject, const char *what)
{
	char text[ID_MAX];
	struct asked *a;

	if (bytes_to_str(subject, text, sizeof text) == -1) {
		ipc_fail(s, 400, "%s is not that of any server", what);
		return NULL;
	}
	a = asked_new(c, s);
	memcpy(a->subject, text, sizeof text);
	return a;
}

void
operator_remove_peer_by_id(struct catalogd *c, struct ipc_stream *s, struct bytes args)
{
	struct asked *a = asked_about(c, s, mp_find_str(args, "ID"), "ID");

	if (a == NULL)
		return;
	a->what = BY_ID;
	ask_peers(a, on_peers_to_remove);
}

void
operator_remove_peer_by_address(struct catalogd *c, struct ipc_stream *s, struct bytes args)
{
	struct asked *a = asked_about(c, s, mp_find_str(args, "Address"), "Address");

	if (a == NULL)
		return;
	a->what = BY_ADDRESS;
	ask_peers(a, on_peers_to_remove);
}

/* ---- Operator.TransferLeader ---- */

static void
on_transferred(void *ctx, const struct ipc_answer *answer)
{
	struct asked *a = ctx;
	struct ipc_stream *s;

	if (answer->status != IPC_OK) {
		asked_fail(a, "%.*s", (int)MIN(answer->error.size, 400), (const char *)answer->error.data);
		return;
	}
	s = asked_end(a);
	if (s != NULL)
		reply(s, &transfer_leader_response_schema, &(struct transfer_leader_response){.success = true});
}

static void
ask_transfer(struct asked *a)
{
	struct buf args = BUF_INIT(4096);

	mp_put_map(&args, 1);
	mp_put_kv_cstr(&args, "ID", a->subject);
	(void)ipc_call(daemon_peer(a->c->daemon, "raftd"), "Raft.TransferLeadership", buf_bytes(&args),
	    &(struct ipc_call_options){.timeout_ms = CHANGE_TIMEOUT_MS}, on_transferred, a);
	buf_free(&args);
}

static void
on_peers_to_transfer(void *ctx, const struct ipc_answer *answer)
{
	struct asked *a = ctx;
	struct raft_peers peers;

	if (!peers_of(a, answer, &peers))
		return;
	if (a->subject[0] != '\0' && raft_peers_find(&peers, a->subject) == NULL)
		asked_fail(a, "Could not find address for server id %s", a->subject);
	else
		ask_transfer(a);
}

void
operator_transfer_leader(struct catalogd *c, struct ipc_stream *s, struct bytes args)
{
	struct asked *a = asked_about(c, s, mp_find_str(args, "ID"), "ID");

	if (a == NULL)
		return;
	a->what = TRANSFER;
	ask_peers(a, on_peers_to_transfer);
}

/* ---- Operator.ServerHealth, Operator.AutopilotState ---- */

#define TIME_BYTES 15
#define UNIX_EPOCH_S UINT64_C(62135596800) /* since the year 1 */

static struct bytes
time_of(int64_t wall_ns, uint8_t out[TIME_BYTES])
{
	uint64_t seconds = UNIX_EPOCH_S + (uint64_t)(wall_ns / 1000000000);
	uint32_t ns = (uint32_t)(wall_ns % 1000000000);

	out[0] = 1;
	for (int i = 0; i < 8; i++)
		out[1 + i] = (uint8_t)(seconds >> (56 - 8 * i));
	for (int i = 0; i < 4; i++)
		out[9 + i] = (uint8_t)(ns >> (24 - 8 * i));
	out[13] = out[14] = 0xff; /* UTC */
	return bytes_of(out, TIME_BYTES);
}

/* Shown: all but those that have left and are no part of the log. */
static bool
is_shown(const struct autopilot_known *s)
{
	return s->peer || s->status != MEMBER_LEFT;
}

static const char *
shown_name(const struct autopilot_known *s)
{
	return s->name[0] == '\0' ? "(unknown)" : s->name;
}

void
operator_server_health(struct catalogd *c, struct ipc_stream *s, struct bytes args)
{
	const struct autopilot_input *in;
	const struct autopilot *view = autopilot_run_view(c->autopilot, &in);
	struct autopilot_health_reply response = {.healthy = false};
	struct buf servers = BUF_INIT(REPLY_BYTES_MAX);
	uint32_t count = 0;
	size_t place;

	(void)args;
	if (view == NULL) {
		reply(s, &autopilot_health_reply_schema, &response);
		return;
	}
	place = mp_open_array(&servers);
	for (size_t i = 0; i < in->count; i++) {
		const struct autopilot_known *k = &in->at[i];
		uint8_t since[TIME_BYTES];
		struct autopilot_server_health health = {.id = bytes_str(k->id),
		    .name = bytes_str(shown_name(k)),
		    .address = bytes_str(k->address),
		    .serf_status = k->status,
		    .version = bytes_str(k->version),
		    .leader = k->leader,
		    .last_contact = k->contact_ns,
		    .last_term = k->last_term,
		    .last_index = k->last_index,
		    .healthy = view->at[i].healthy,
		    .voter = k->voter,
		    .stable_since = time_of(view->at[i].since_wall_ns, since)};

		if (!is_shown(k))
			continue;
		schema_encode(&autopilot_server_health_schema, &health, &servers);
		count++;
	}
	mp_close(&servers, place, count);
	response.healthy = view->healthy;
	response.failure_tolerance = view->failure_tolerance;
	response.servers = buf_bytes(&servers);
	reply(s, &autopilot_health_reply_schema, &response);
	buf_free(&servers);
}

/* The metadata of a node; empty: it is not in the catalog. */
static struct bytes
meta_of(const struct catalogd *c, const char *name)
{
	struct store_txn *t = store_read(c->store);
	struct node node;

	return t != NULL && name[0] != '\0' && nodes_find(t, bytes_str(name), &node) ? node.meta : bytes_of(NULL, 0);
}

static void
put_state(const struct catalogd *c, const struct autopilot_known *k, const struct autopilot_health *h, struct buf *out)
{
	struct buf parts[3] = {BUF_INIT(REPLY_BYTES_MAX), BUF_INIT(4096), BUF_INIT(4096)};
	uint8_t since[TIME_BYTES];
	struct autopilot_server server = {.id = bytes_str(k->id),
	    .name = bytes_str(shown_name(k)),
	    .address = bytes_str(k->address),
	    .node_status = bytes_str(autopilot_status_name(k->status)),
	    .version = bytes_str(k->version),
	    .meta = meta_of(c, k->name),
	    .raft_version = strtol(k->raft_version, NULL, 10),
	    .is_leader = k->leader,
	    .node_type = bytes_str(NODE_TYPE)};
	struct autopilot_stats stats = {
	    .last_contact = k->contact_ns, .last_term = k->last_term, .last_index = k->last_index};
	struct autopilot_stable health = {.healthy = h->healthy, .stable_since = time_of(h->since_wall_ns, since)};
	struct autopilot_server_state state = {.state = bytes_str(autopilot_state_name(k))};

	schema_encode(&autopilot_server_schema, &server, &parts[0]);
	schema_encode(&autopilot_stats_schema, &stats, &parts[1]);
	schema_encode(&autopilot_stable_schema, &health, &parts[2]);
	state.server = buf_bytes(&parts[0]);
	state.stats = buf_bytes(&parts[1]);
	state.health = buf_bytes(&parts[2]);
	mp_put_cstr(out, k->id);
	schema_encode(&autopilot_server_state_schema, &state, out);
	for (size_t i = 0; i < COUNTOF(parts); i++)
		buf_free(&parts[i]);
}

static int
text_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
put_voters(const struct autopilot_input *in, struct buf *out)
{
	const char *ids[AUTOPILOT_SERVERS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < in->count; i++)
		if (in->at[i].peer && in->at[i].voter)
			ids[count++] = in->at[i].id;
	if (count > 0)
		qsort(ids, count, sizeof *ids, text_compare);
	mp_put_array(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		mp_put_cstr(out, ids[i]);
}

void
operator_autopilot_state(struct catalogd *c, struct ipc_stream *s, struct bytes args)
{
	const struct autopilot_input *in;
	const struct autopilot *view = autopilot_run_view(c->autopilot, &in);
	struct buf servers = BUF_INIT(REPLY_BYTES_MAX), voters = BUF_INIT(64 * 1024);
	struct autopilot_state state = {.healthy = false};
	uint32_t count = 0;
	size_t place;

	(void)args;
	if (view == NULL) {
		ipc_fail(s, 0, "Failed to get autopilot state: no state found");
		return;
	}
	place = mp_open_map(&servers);
	for (size_t i = 0; i < in->count; i++)
		if (is_shown(&in->at[i])) {
			put_state(c, &in->at[i], &view->at[i], &servers);
			count++;
			if (in->at[i].leader)
				state.leader = bytes_str(in->at[i].id);
		}
	mp_close(&servers, place, count);
	put_voters(in, &voters);
	state.healthy = view->healthy;
	state.failure_tolerance = view->failure_tolerance;
	state.servers = buf_bytes(&servers);
	state.voters = buf_bytes(&voters);
	reply(s, &autopilot_state_schema, &state);
	buf_free(&servers);
	buf_free(&voters);
}

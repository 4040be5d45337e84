/*
 * serve.c - what comes in by catalogd.sock (contract: serve.h)
 *
 * One table row for each method, one handler for each row. Reads: where may it be answered from, then evaluated under the turn's read
 * transaction, then answered or parked. Writes: judged on the leader, proposed, answered when applied; one that did not come into the log because
 * leadership was lost is judged by the next leader. What needs a leader while there is none is held (held.h). Methods of later versions fail with one
 * clear error.
 *
 * Where a read may be answered is judged after it was read (read_place.h). The transaction may have been begun earlier in the turn: nobody but
 * this process writes to the store, and it ends all read transactions first, so it sees what one begun now would see.
 *
 * One query and one reply buffer serve all reads: nothing is allocated for a read that is answered at once.
 */
#include "serve.h"

#include <stdlib.h>
#include <string.h>

#include "archive.h"
#include "duration.h"
#include "endpoint.h"
#include "frame.h"
#include "held.h"
#include "leader.h"
#include "leave.h"
#include "log.h"
#include "mem.h"
#include "pools.h"
#include "proposals.h"
#include "publish.h"
#include "query.h"
#include "raftlog.h"
#include "read_place.h"
#include "remote.h"
#include "rpc.h"
#include "rpcserver.h"
#include "stats.h"
#include "watch.h"

#define REPLY_BYTES_MAX (250u * 1024 * 1024)
#define REPLY_KEEP_BYTES (1u * 1024 * 1024)
struct serve {
	struct catalogd *c;
	struct query query;
	struct region *write_region;
	struct buf reply, body;
	struct held *held;
	bool stopping;
	int64_t session_ttl_min_ns;
};

static void serve_read(struct serve *s, const struct request *r);
static void serve_write(struct serve *s, const struct request *r);
static void serve_ask(struct serve *s, const struct request *r);

/* ---- where ---- */

static struct read_facts
facts_of(const struct serve *s, const struct request *r, enum read_mode mode)
{
	const struct raftlog *l = s->c->raftlog;

	return (struct read_facts){.mode = mode,
	    .ready = raftlog_ready(l),
	    .leads = raftlog_status(l)->leader,
	    .lease = raftlog_lease_holds(l),
	    .confirmed = r->confirmed,
	    .heard = mode == READ_STALE && raftlog_heard(l) && store_state(s->c->store).applied_index > 0,
	    .leader_elsewhere = remote_leader_known(s->c->remote),
	    .sent_to_leader = (ipc_stream_flags(r->stream) & RPCSERVER_FORWARDED) != 0};
}

/* What is not answered here now. */
static void
put_off(struct serve *s, const struct request *r, enum read_place place)
{
	switch (place) {
	case READ_VERIFIED:
		held_for_quorum(s->held, r);
		break;
	case READ_ELSEWHERE:
		remote_request(s->c->remote, r->stream, r->args, r->endpoint->read != NULL || r->endpoint->repeatable);
		break;
	case READ_HELD:
		held_for_leader(s->held, r);
		break;
	case READ_HERE:
	case READ_REFUSED:
		ipc_fail(r->stream, 0, "No cluster leader");
		break;
	}
}

static void
serve_held(void *ctx, const struct request *r)
{
	if (r->endpoint->read != NULL)
		serve_read(ctx, r);
	else if (r->endpoint->ask != NULL)
		serve_ask(ctx, r);
	else
		serve_write(ctx, r);
}

void
serve_leader_changed(struct serve *s)
{
	held_leader_changed(s->held);
	if (!raftlog_ready(s->c->raftlog) && remote_leader_known(s->c->remote))
		watch_moved(s->c->watch);
}

void
serve_applied(struct serve *s)
{
	held_applied(s->held);
}

void
serve_stop(struct serve *s)
{
	s->stopping = true;
}

/* ---- parked queries ---- */

static bool
watch_lease_holds(void *ctx)
{
	const struct serve *s = ctx;

	return raftlog_ready(s->c->raftlog) && raftlog_lease_holds(s->c->raftlog);
}

static void
on_watch_quorum(void *ctx, const struct ipc_answer *answer)
{
	struct serve *s = ctx;

	watch_verified(s->c->watch, held_quorum_index(answer) > 0);
}

static void
watch_verifies(void *ctx)
{
	struct serve *s = ctx;

	held_ask_quorum(s->held, on_watch_quorum, s);
}

static void
watch_goes(void *ctx, struct ipc_stream *stream, const struct endpoint *endpoint, struct bytes args)
{
	serve_read(ctx, &(struct request){.stream = stream, .endpoint = endpoint, .args = args});
}

static const struct watch_leader watch_leader = {
    .lease_holds = watch_lease_holds, .verify = watch_verifies, .goes = watch_goes};

/* ---- reading ---- */

/* Evaluates q, which is open, into q->out, without QueryMeta. */
static int
evaluate(struct serve *s, struct query *q)
{
	const struct raftlog_status *status = raftlog_status(s->c->raftlog);
	char error[STORE_ERROR_MAX];

	q->index = 0;
	q->not_found = q->filtered_by_acls = false;
	q->watch_count = 0;
	q->known_leader = status->leader_known;
	q->last_contact_ns = raftlog_silence_ns(s->c->raftlog);
	q->txn = store_read(s->c->store);
	if (q->txn == NULL)
		return query_fail(q, 0, "the store can not be read");
	if (q->endpoint->read(q) == -1)
		return -1;
	switch (store_txn_result(q->txn, NULL)) {
	case STORE_DONE:
		return 0;
	case STORE_DAMAGED:
		(void)store_txn_result(q->txn, error);
		catalogd_store_damaged(s->c, error);
	default:
		(void)store_txn_result(q->txn, error);
		return query_fail(q, 0, "the store can not be read: %s", error);
	}
}

int
serve_run(struct query *q, void *ctx)
{
	struct catalogd *c = ctx;

	if (query_open(q, q->endpoint, q->args) == -1)
		return -1;
	return evaluate(c->serve, q);
}

/* Its state is older than whoever asked wants: the leader is asked in his place, and not for a stale answer. */
static void
serve_too_stale(struct serve *s, const struct request *r)
{
	struct request fresh = *r;
	struct buf args = BUF_INIT(FRAME_REQUEST_BYTES_MAX);

	rpc_args_but(&args, r->args, "AllowStale");
	fresh.args = buf_bytes(&args);
	serve_read(s, &fresh);
	buf_free(&args);
}

static void
serve_read(struct serve *s, const struct request *r)
{
	struct query *q = &s->query;
	struct ipc_stream *stream = r->stream;
	struct read_facts facts;
	enum read_place place;

	if (query_open(q, r->endpoint, r->args) == -1) {
		ipc_fail(stream, q->status, "%s", q->error);
		return;
	}
	facts = facts_of(s, r, query_mode(q));
	if (facts.heard && q->max_stale_ns > 0 && raftlog_silence_ns(s->c->raftlog) > q->max_stale_ns) {
		serve_too_stale(s, r);
		return;
	}
	place = read_place(&facts);
	if (place != READ_HERE) {
		put_off(s, r, place);
		return;
	}
	region_reset(q->region);
	buf_clear(&s->reply);
	q->watching = q->min_index > 0;
	/* Another node has not this page, and may have one of its own. */
	q->versions = q->versions && (ipc_stream_flags(stream) & RPCSERVER_REMOTE) == 0;
	/* Only what the leader says is good for others, for as long as it leads: a stale answer of this moment may be older than the state. */
	q->publish = q->versions && q->consistency[0] != 'c' && raftlog_ready(s->c->raftlog) ? s->c->publish : NULL;
	publish_ask(q->publish);
	if (evaluate(s, q) == -1) {
		ipc_fail(stream, q->status, "%s", q->error);
		return;
	}
	if (q->min_index > 0 && q->index <= q->min_index) {
		watch_park(s->c->watch, stream, q);
		return;
	}
	query_finish(q, q->index);
	if (s->reply.overflow)
		ipc_fail(stream, 500, "the answer is over %u bytes", REPLY_BYTES_MAX);
	else
		ipc_reply(stream, buf_bytes(&s->reply));
	if (s->reply.size > REPLY_KEEP_BYTES)
		buf_free(&s->reply);
}

/* ---- writing ---- */

static enum read_place
place_of_leader(const struct serve *s, const struct request *r)
{
	struct read_facts facts = facts_of(s, r, READ_DEFAULT);

	return read_place_of_leader(&facts);
}

/* What a stream's proposal needs at its end. */
struct writing {
	struct serve *serve;
	struct request request; /* stream NULL: it is gone */
	const char *error_prefix;
	uint8_t args[];
};

static void
on_writing_ended(struct ipc_stream *stream, void *ctx)
{
	struct writing *writing = ctx;

	(void)stream;
	writing->request.stream = NULL; /* the write goes on */
}

static void
on_written(void *ctx, const struct proposal_result *result)
{
	struct writing *writing = ctx;
	struct serve *s = writing->serve;
	struct ipc_stream *stream = writing->request.stream;
	const char *prefix = writing->error_prefix == NULL ? "" : writing->error_prefix;

	if (stream != NULL) {
		ipc_stream_watch(stream, NULL, NULL, NULL);
		switch (result->outcome) {
		case PROPOSAL_APPLIED:
			ipc_reply(stream, result->reply);
			break;
		case PROPOSAL_NO_LEADER:
			put_off(
			    s, &writing->request, s->stopping ? READ_REFUSED : place_of_leader(s, &writing->request));
			break;
		default:
			ipc_fail(stream, result->status, "%s%s", prefix, result->error);
			break;
		}
	}
	free(writing);
}

/* The answer to a write that is not proposed. It comes from the state as this node has it: like a read it needs a lease, or a quorum's word. */
static void
write_answer(struct serve *s, const struct request *r, const struct write *w, bool refused)
{
	if (!r->confirmed && !raftlog_lease_holds(s->c->raftlog))
		held_for_quorum(s->held, r);
	else if (refused)
		ipc_fail(r->stream, w->status, "%s", w->error);
	else
		ipc_reply(r->stream, buf_bytes(w->body));
}

static void
serve_write(struct serve *s, const struct request *r)
{
	struct write w = {.args = r->args,
	    .region = s->write_region,
	    .body = &s->body,
	    .datacenter = s->c->datacenter,
	    .node_name = s->c->node_name,
	    .catalogd = s->c,
	    .session_ttl_min_ns = s->session_ttl_min_ns};
	struct bytes datacenter = mp_find_str(r->args, "Datacenter");
	struct writing *writing;
	bool refused;

	if (datacenter.size > 0 && !bytes_is(datacenter, s->c->datacenter)) {
		ipc_fail(r->stream, 0, "No path to datacenter");
		return;
	}
	if (!raftlog_ready(s->c->raftlog)) {
		put_off(s, r, place_of_leader(s, r));
		return;
	}
	region_reset(s->write_region);
	buf_clear(&s->body);
	w.time_ns = raftlog_time_ns(s->c->raftlog);
	w.txn = store_read(s->c->store);
	if (w.txn == NULL) {
		ipc_fail(r->stream, 0, "the store can not be read");
		return;
	}
	refused = r->endpoint->write(&w) == -1;
	if (refused || w.answered) {
		write_answer(s, r, &w, refused);
		return;
	}
	writing = xmalloc(sizeof *writing + r->args.size);
	*writing = (struct writing){.serve = s, .request = *r, .error_prefix = w.error_prefix};
	memcpy(writing->args, r->args.data, r->args.size);
	writing->request.args.data = writing->args;
	if (r->until == 0.)
		writing->request.until = held_until(s->held);
	ipc_stream_watch(r->stream, on_writing_ended, NULL, writing);
	(void)raftlog_propose(s->c->raftlog, w.type, buf_bytes(&s->body), on_written, writing);
}

/* ---- what only the leader knows ---- */

static void
serve_ask(struct serve *s, const struct request *r)
{
	struct bytes datacenter = mp_find_str(r->args, "Datacenter");

	if (datacenter.size > 0 && !bytes_is(datacenter, s->c->datacenter))
		ipc_fail(r->stream, 0, "No path to datacenter");
	else if (raftlog_ready(s->c->raftlog) || (r->endpoint->stale && mp_find_bool(r->args, "AllowStale")))
		r->endpoint->ask(s->c, r->stream, r->args);
	else
		put_off(s, r, place_of_leader(s, r));
}

/* ---- the table ---- */

/* NULL: this is a client, whose requests a server answers: it was asked. */
static struct serve *
serve_of(struct ipc_stream *stream, struct bytes args, void *ctx, bool read)
{
	struct catalogd *c = daemon_state(ctx);

	if (c->serve == NULL)
		remote_request(c->remote, stream, args, read);
	return c->serve;
}

/* NULL: this is a client, which has nothing of the kind: refused. */
static struct serve *
serve_here(struct ipc_stream *stream, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);

	if (c->serve == NULL)
		ipc_fail(stream, 0, "this node is no server");
	return c->serve;
}

#define READ_HANDLER(name, function)                                                                                   \
	static void handle_##function(struct ipc_stream *stream, struct bytes args, void *ctx)                         \
	{                                                                                                              \
		static const struct endpoint endpoint = {.method = name, .read = function};                            \
		struct serve *s = serve_of(stream, args, ctx, true);                                                   \
                                                                                                                       \
		if (s != NULL)                                                                                         \
			serve_read(s, &(struct request){stream, &endpoint, args});                                     \
	}
#define WRITE_HANDLER(name, function)                                                                                  \
	static void handle_##function(struct ipc_stream *stream, struct bytes args, void *ctx)                         \
	{                                                                                                              \
		static const struct endpoint endpoint = {.method = name, .write = function};                           \
		struct serve *s = serve_of(stream, args, ctx, false);                                                  \
                                                                                                                       \
		if (s != NULL)                                                                                         \
			serve_write(s, &(struct request){stream, &endpoint, args});                                    \
	}
#define LEADER_HANDLER(name, function, again, any)                                                                     \
	static void handle_##function(struct ipc_stream *stream, struct bytes args, void *ctx)                         \
	{                                                                                                              \
		static const struct endpoint endpoint = {                                                              \
		    .method = name, .ask = function, .repeatable = again, .stale = any};                               \
		struct serve *s = serve_of(stream, args, ctx, again);                                                  \
                                                                                                                       \
		if (s != NULL)                                                                                         \
			serve_ask(s, &(struct request){stream, &endpoint, args});                                      \
	}
ENDPOINTS_READ(READ_HANDLER)
ENDPOINTS_WRITE(WRITE_HANDLER)
ENDPOINTS_LEADER(LEADER_HANDLER)

static void
handle_ping(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	(void)args, (void)ctx;
	ipc_reply(stream, bytes_of(NULL, 0));
}

static void
handle_store_ping(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);
	struct buf body = BUF_INIT(64);

	(void)args;
	mp_put_map(&body, 1);
	mp_put_kv_uint(&body, "ApplyNS", (uint64_t)raftlog_apply_ns(c->raftlog));
	ipc_reply(stream, buf_bytes(&body));
	buf_free(&body);
}

static void
handle_subscribe(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct catalogd *c = daemon_state(ctx);

	(void)args;
	watch_subscribe(c->watch, stream);
}

/* The shared page, for those who read it. */
static void
handle_page(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct serve *s = serve_here(stream, ctx);
	int fd;

	(void)args;
	if (s == NULL)
		return;
	fd = publish_fd(s->c->publish);
	if (fd == -1)
		ipc_fail(stream, 0, "there is no shared page");
	else
		ipc_reply_fd(stream, bytes_of(NULL, 0), fd);
}

static void
handle_snapshot(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct serve *s = serve_here(stream, ctx);

	(void)args;
	if (s != NULL)
		archive_snapshot(s->c->archive, stream);
}

/* Known methods whose turn comes later: the error says so, and is the same for all. */
static void
handle_later(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	if (serve_of(stream, args, ctx, false) == NULL)
		return;
	ipc_fail(stream, 501, "this version of consuld does not have this feature yet");
}

#define LATER_METHODS(L)                                                                                               \
	L("Txn.Apply")                                                                                                 \
	L("Txn.Read")                                                                                                  \
	L("PreparedQuery.Apply")                                                                                       \
	L("PreparedQuery.Get")                                                                                         \
	L("PreparedQuery.List")                                                                                        \
	L("PreparedQuery.Explain")                                                                                     \
	L("PreparedQuery.Execute")                                                                                     \
	L("PreparedQuery.ExecuteRemote")                                                                               \
	L("Catalog.ServiceList")                                                                                       \
	L("Catalog.GatewayServices")                                                                                   \
	L("Catalog.VirtualIPForService")                                                                               \
	L("ConfigEntry.Apply")                                                                                         \
	L("ConfigEntry.Get")                                                                                           \
	L("ConfigEntry.List")                                                                                          \
	L("ConfigEntry.ListAll")                                                                                       \
	L("ConfigEntry.Delete")                                                                                        \
	L("ConfigEntry.ResolveServiceConfig")                                                                          \
	L("ConnectCA.ConfigurationGet")                                                                                \
	L("ConnectCA.ConfigurationSet")                                                                                \
	L("ConnectCA.Roots")                                                                                           \
	L("ConnectCA.Sign")                                                                                            \
	L("ConnectCA.SignIntermediate")                                                                                \
	L("Intention.Apply")                                                                                           \
	L("Intention.Get")                                                                                             \
	L("Intention.List")                                                                                            \
	L("Intention.Match")                                                                                           \
	L("Intention.Check")                                                                                           \
	L("DiscoveryChain.Get")                                                                                        \
	L("FederationState.Apply")                                                                                     \
	L("FederationState.Get")                                                                                       \
	L("FederationState.List")                                                                                      \
	L("FederationState.ListMeshGateways")                                                                          \
	L("Internal.ServiceDump")                                                                                      \
	L("Internal.ServiceTopology")                                                                                  \
	L("Internal.GatewayServiceDump")                                                                               \
	L("Internal.GatewayIntentions")                                                                                \
	L("Internal.IntentionUpstreams")                                                                               \
	L("Internal.CatalogOverview")                                                                                  \
	L("Operator.Usage")                                                                                            \
	L("ACL.BootstrapTokens")                                                                                       \
	L("ACL.TokenRead")                                                                                             \
	L("ACL.TokenClone")                                                                                            \
	L("ACL.TokenSet")                                                                                              \
	L("ACL.TokenDelete")                                                                                           \
	L("ACL.TokenList")                                                                                             \
	L("ACL.PolicyRead")                                                                                            \
	L("ACL.PolicySet")                                                                                             \
	L("ACL.PolicyDelete")                                                                                          \
	L("ACL.PolicyList")                                                                                            \
	L("ACL.PolicyResolve")                                                                                         \
	L("ACL.RoleRead")                                                                                              \
	L("ACL.RoleSet")                                                                                               \
	L("ACL.RoleDelete")                                                                                            \
	L("ACL.RoleList")                                                                                              \
	L("ACL.RoleResolve")                                                                                           \
	L("ACL.BindingRuleRead")                                                                                       \
	L("ACL.BindingRuleSet")                                                                                        \
	L("ACL.BindingRuleDelete")                                                                                     \
	L("ACL.BindingRuleList")                                                                                       \
	L("ACL.AuthMethodRead")                                                                                        \
	L("ACL.AuthMethodSet")                                                                                         \
	L("ACL.AuthMethodDelete")                                                                                      \
	L("ACL.AuthMethodList")                                                                                        \
	L("ACL.Login")                                                                                                 \
	L("ACL.Logout")                                                                                                \
	L("ACL.Authorize")                                                                                             \
	L("ACL.ReplicationStatus")

#define ENDPOINT_ROW(name, function) {name, handle_##function},
#define LEADER_ROW(name, function, again, any) {name, handle_##function},
#define LATER_ROW(name) {name, handle_later},

/* What only our own daemons may ask for stands last. */
#define LOCAL_METHODS 7
const struct ipc_method serve_methods[] = {ENDPOINTS_READ(ENDPOINT_ROW) ENDPOINTS_WRITE(ENDPOINT_ROW) ENDPOINTS_LEADER(
					       LEADER_ROW) LATER_METHODS(LATER_ROW){"Status.Ping", handle_ping},
    {"Status.Leader", stats_status_leader}, {"Status.Peers", stats_status_peers},
    {"Status.RaftStats", stats_raft_stats}, {"Catalog.ListDatacenters", stats_list_datacenters},
    {"Coordinate.ListDatacenters", pools_list_datacenters}, {"Internal.EventFire", pools_event_fire},
    {"Internal.KeyringOperation", pools_keyring_operation}, {"Subscribe", handle_subscribe},
    {"Catalogd.Stats", stats_handle}, {"Catalogd.Page", handle_page}, {"Store.Ping", handle_store_ping},
    {"Store.Snapshot", handle_snapshot}, {"Catalogd.LeaveBegin", leave_handle_begin},
    {"Catalogd.LeaveEnd", leave_handle_end}};
const size_t serve_method_count = COUNTOF(serve_methods);
struct ipc_service serve_remote_service = {serve_methods, COUNTOF(serve_methods) - LOCAL_METHODS, NULL};

void
serve_init(struct catalogd *c)
{
	serve_remote_service.ctx = c->daemon;
}

struct serve *
serve_new(struct catalogd *c)
{
	struct serve *s = xcalloc(1, sizeof *s);
	struct query *parked = watch_query(c->watch);

	s->c = c;
	s->held = held_new(c, serve_held, s);
	s->session_ttl_min_ns = conf_duration(daemon_conf(c->daemon), "session_ttl_min", 10 * NS_PER_S);
	buf_init(&s->reply, REPLY_BYTES_MAX);
	buf_init(&s->body, FRAME_REQUEST_BYTES_MAX);
	s->write_region = region_new();
	s->query.region = region_new();
	s->query.out = &s->reply;
	watch_lead_by(c->watch, &watch_leader, s);
	s->query.datacenter = parked->datacenter = c->datacenter;
	s->query.node_name = parked->node_name = c->node_name;
	return s;
}

void
serve_free(struct serve *s)
{
	if (s == NULL)
		return;
	held_free(s->held);
	region_free(s->write_region);
	region_free(s->query.region);
	buf_free(&s->reply);
	buf_free(&s->body);
	free(s);
}

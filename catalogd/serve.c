/*
 * serve.c - what comes in by catalogd.sock (contract: serve.h)
 *
 * One table row for each method, one handler for each row. Reads: where may it be answered from, then evaluated under the turn's read
 * transaction, then answered or parked. Writes: judged on the leader, proposed, answered when applied. What needs a leader while there is none is held
 * for rpc_hold_timeout, then fails with "No cluster leader". Methods of later versions fail with one clear error.
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
#include "leader.h"
#include "log.h"
#include "mem.h"
#include "pools.h"
#include "proposals.h"
#include "publish.h"
#include "query.h"
#include "raftlog.h"
#include "remote.h"
#include "ring.h"
#include "rpcserver.h"
#include "stats.h"
#include "watch.h"

#define REPLY_BYTES_MAX (250u * 1024 * 1024)
#define REPLY_KEEP_BYTES (1u * 1024 * 1024)
#define HELD_COUNT_MAX 20000
#define HELD_BYTES_MAX (32u * 1024 * 1024)

/* A request that waits for a leader. */
struct held {
	struct ring ring;
	struct serve *serve;
	struct ipc_stream *stream;
	const struct endpoint *endpoint;
	struct ev_timer deadline;
	size_t args_size;
	uint8_t args[];
};

struct serve {
	struct catalogd *c;
	struct query query;
	struct region *write_region;
	struct buf reply, body;
	struct ring held; /* waiting for a leader, oldest first */
	/* Consistent reads: those that came since the last question to raftd, and those that the question under way is for. */
	struct ring asking, asked;
	bool asking_raftd;
	size_t held_count, held_bytes;
	double hold_s;
	int64_t session_ttl_min_ns;
};

static void serve_read(
    struct serve *s, struct ipc_stream *stream, const struct endpoint *endpoint, struct bytes args, bool verified);
static void serve_write(struct serve *s, struct ipc_stream *stream, const struct endpoint *endpoint, struct bytes args);

/* ---- holding ---- */

static void
held_free(struct held *h)
{
	struct serve *s = h->serve;

	ev_timer_stop(s->c->loop, &h->deadline);
	ring_remove(&h->ring);
	s->held_count--;
	s->held_bytes -= h->args_size;
	free(h);
}

static void
on_held_ended(struct ipc_stream *stream, void *ctx)
{
	(void)stream;
	held_free(ctx);
}

static void
on_held_deadline(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct held *h = w->data;
	struct ipc_stream *stream = h->stream;

	(void)loop, (void)events;
	held_free(h);
	ipc_fail(stream, 0, "No cluster leader");
}

/* Keeps the request at the end of the ring until it is taken from there, or rpc_hold_timeout is over. */
static void
hold(struct serve *s, struct ring *ring, struct ipc_stream *stream, const struct endpoint *endpoint, struct bytes args)
{
	struct held *h;

	if (s->held_count >= HELD_COUNT_MAX || s->held_bytes + args.size > HELD_BYTES_MAX) {
		ipc_fail(stream, 0, "No cluster leader");
		return;
	}
	h = xmalloc(sizeof *h + args.size);
	*h = (struct held){.serve = s, .stream = stream, .endpoint = endpoint, .args_size = args.size};
	memcpy(h->args, args.data, args.size);
	ring_append(ring, &h->ring);
	s->held_count++;
	s->held_bytes += args.size;
	ev_timer_init(&h->deadline, on_held_deadline, s->hold_s, 0.);
	h->deadline.data = h;
	ev_timer_start(s->c->loop, &h->deadline);
	ipc_stream_watch(stream, on_held_ended, NULL, h);
}

/*
 * This node does not lead: the request goes to the node that does, or is held until there is one. What another server has sent here as to the leader
 * is refused, so that it looks again: nothing goes round.
 */
static void
not_leading(struct serve *s, struct ipc_stream *stream, const struct endpoint *endpoint, struct bytes args)
{
	if (raftlog_status(s->c->raftlog)->leader)
		hold(s, &s->held, stream, endpoint, args); /* not ready yet */
	else if ((ipc_stream_flags(stream) & RPCSERVER_FORWARDED) != 0)
		ipc_fail(stream, 0, "No cluster leader");
	else if (remote_leader_known(s->c->remote))
		remote_request(s->c->remote, stream, args, endpoint->read != NULL);
	else
		hold(s, &s->held, stream, endpoint, args);
}

/* Serves the first request of ring again. verified: raftd has just said that this node leads. */
static void
held_serve(struct serve *s, struct ring *ring, bool verified)
{
	struct held *h = RING_ENTRY(ring->next, struct held, ring);
	struct ipc_stream *stream = h->stream;
	const struct endpoint *endpoint = h->endpoint;
	struct buf args = BUF_INIT(FRAME_REQUEST_BYTES_MAX);

	buf_put(&args, h->args, h->args_size);
	ipc_stream_watch(stream, NULL, NULL, NULL);
	held_free(h);
	if (endpoint->read != NULL)
		serve_read(s, stream, endpoint, buf_bytes(&args), verified);
	else
		serve_write(s, stream, endpoint, buf_bytes(&args));
	buf_free(&args);
}

void
serve_leader_ready(struct serve *s)
{
	/* What is held again, because leadership was lost meanwhile, comes behind these. */
	for (size_t n = s->held_count; n > 0 && !ring_empty(&s->held); n--)
		held_serve(s, &s->held, false);
}

void
serve_leader_known(struct serve *s)
{
	serve_leader_ready(s);
}

/* ---- consistent reads ---- */

static bool
says_we_lead(const struct ipc_answer *answer, const char *node_id)
{
	struct mp in = mp_of(mp_find_raw(answer->body, "Servers"));

	if (answer->status != IPC_OK || mp_peek(&in) != MP_ARRAY)
		return false;
	for (uint32_t n = mp_array(&in); n > 0; n--) {
		struct bytes server = mp_raw(&in);

		if (mp_find_bool(server, "Leader") && bytes_is(mp_find_str(server, "ID"), node_id))
			return true;
	}
	return false;
}

static void verify(struct serve *s);

static void
on_verified(void *ctx, const struct ipc_answer *answer)
{
	struct serve *s = ctx;
	bool lead = says_we_lead(answer, conf_str(daemon_conf(s->c->daemon), "node_id", ""));

	s->asking_raftd = false;
	while (!ring_empty(&s->asked)) {
		struct held *h = RING_ENTRY(s->asked.next, struct held, ring);
		struct ipc_stream *stream = h->stream;

		if (lead)
			held_serve(s, &s->asked, true);
		else {
			ipc_stream_watch(stream, NULL, NULL, NULL);
			held_free(h);
			ipc_fail(stream, 0, "No cluster leader");
		}
	}
	if (!ring_empty(&s->asking))
		verify(s);
}

static void
ask_raftd(struct serve *s, ipc_answer_cb *answered)
{
	(void)ipc_call(daemon_peer(s->c->daemon, "raftd"), "Raft.Peers", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = (int64_t)(s->hold_s * 1000), .flags = IPC_RESEND}, answered, s);
}

/* One question to raftd for all consistent reads that came while the last one was under way. */
static void
verify(struct serve *s)
{
	while (!ring_empty(&s->asking)) {
		struct ring *first = s->asking.next;

		ring_remove(first);
		ring_append(&s->asked, first);
	}
	s->asking_raftd = true;
	ask_raftd(s, on_verified);
}

static void
on_watch_verified(void *ctx, const struct ipc_answer *answer)
{
	struct serve *s = ctx;

	watch_verified(s->c->watch, says_we_lead(answer, conf_str(daemon_conf(s->c->daemon), "node_id", "")));
}

static void
watch_verifies(void *ctx)
{
	struct serve *s = ctx;

	ask_raftd(s, on_watch_verified);
}

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
	q->last_contact_ns = 0;
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

static bool
may_answer(struct serve *s, const struct query *q)
{
	if (raftlog_ready(s->c->raftlog))
		return true;
	/* A server that has state has heard of a leader. */
	return strcmp(q->consistency, "stale") == 0 && store_state(s->c->store).applied_index > 0;
}

static void
serve_read(
    struct serve *s, struct ipc_stream *stream, const struct endpoint *endpoint, struct bytes args, bool verified)
{
	struct query *q = &s->query;

	if (query_open(q, endpoint, args) == -1) {
		ipc_fail(stream, q->status, "%s", q->error);
		return;
	}
	if (!may_answer(s, q)) {
		not_leading(s, stream, endpoint, args);
		return;
	}
	if (q->consistency[0] == 'c' && !verified) {
		hold(s, &s->asking, stream, endpoint, args);
		if (!s->asking_raftd && !ring_empty(&s->asking))
			verify(s);
		return;
	}
	region_reset(q->region);
	buf_clear(&s->reply);
	q->watching = q->min_index > 0;
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

/* What a stream's proposal needs at its end, besides the stream. */
struct writing {
	struct ipc_stream *stream; /* NULL: it is gone */
	struct proposal *proposal;
	const char *error_prefix;
	struct writing *next_free;
};

static struct writing *free_writings;

static void
on_writing_ended(struct ipc_stream *stream, void *ctx)
{
	struct writing *writing = ctx;

	(void)stream;
	writing->stream = NULL; /* the write goes on */
}

static void
on_written(void *ctx, const struct proposal_result *result)
{
	struct writing *writing = ctx;
	struct ipc_stream *stream = writing->stream;
	const char *prefix = writing->error_prefix == NULL ? "" : writing->error_prefix;

	writing->next_free = free_writings;
	free_writings = writing;
	if (stream == NULL)
		return;
	ipc_stream_watch(stream, NULL, NULL, NULL);
	switch (result->outcome) {
	case PROPOSAL_APPLIED:
		ipc_reply(stream, result->reply);
		break;
	case PROPOSAL_NO_LEADER:
		ipc_fail(stream, 0, "No cluster leader");
		break;
	default:
		ipc_fail(stream, result->status, "%s%s", prefix, result->error);
		break;
	}
}

static void
serve_write(struct serve *s, struct ipc_stream *stream, const struct endpoint *endpoint, struct bytes args)
{
	struct write w = {.args = args,
	    .region = s->write_region,
	    .body = &s->body,
	    .datacenter = s->c->datacenter,
	    .node_name = s->c->node_name,
	    .catalogd = s->c,
	    .session_ttl_min_ns = s->session_ttl_min_ns};
	struct bytes datacenter = mp_find_str(args, "Datacenter");
	struct writing *writing;

	if (datacenter.size > 0 && !bytes_is(datacenter, s->c->datacenter)) {
		ipc_fail(stream, 0, "No path to datacenter");
		return;
	}
	if (!raftlog_ready(s->c->raftlog)) {
		not_leading(s, stream, endpoint, args);
		return;
	}
	region_reset(s->write_region);
	buf_clear(&s->body);
	w.time_ns = raftlog_time_ns(s->c->raftlog);
	w.txn = store_read(s->c->store);
	if (w.txn == NULL) {
		ipc_fail(stream, 0, "the store can not be read");
		return;
	}
	if (endpoint->write(&w) == -1) {
		ipc_fail(stream, w.status, "%s", w.error);
		return;
	}
	if (w.answered) {
		ipc_reply(stream, buf_bytes(&s->body));
		return;
	}
	writing = free_writings;
	if (writing != NULL)
		free_writings = writing->next_free;
	else
		writing = xmalloc(sizeof *writing);
	*writing = (struct writing){.stream = stream, .error_prefix = w.error_prefix};
	ipc_stream_watch(stream, on_writing_ended, NULL, writing);
	(void)raftlog_propose(s->c->raftlog, w.type, buf_bytes(&s->body), on_written, writing);
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
			serve_read(s, stream, &endpoint, args, false);                                                 \
	}
#define WRITE_HANDLER(name, function)                                                                                  \
	static void handle_##function(struct ipc_stream *stream, struct bytes args, void *ctx)                         \
	{                                                                                                              \
		static const struct endpoint endpoint = {.method = name, .write = function};                           \
		struct serve *s = serve_of(stream, args, ctx, false);                                                  \
                                                                                                                       \
		if (s != NULL)                                                                                         \
			serve_write(s, stream, &endpoint, args);                                                       \
	}
ENDPOINTS_READ(READ_HANDLER)
ENDPOINTS_WRITE(WRITE_HANDLER)

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
	L("Operator.RaftRemovePeerByAddress")                                                                          \
	L("Operator.RaftRemovePeerByID")                                                                               \
	L("Operator.TransferLeader")                                                                                   \
	L("Operator.AutopilotGetConfiguration")                                                                        \
	L("Operator.AutopilotSetConfiguration")                                                                        \
	L("Operator.ServerHealth")                                                                                     \
	L("Operator.AutopilotState")                                                                                   \
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
#define LATER_ROW(name) {name, handle_later},

/* What only our own daemons may ask for stands last. */
#define LOCAL_METHODS 5
const struct ipc_method serve_methods[] = {ENDPOINTS_READ(ENDPOINT_ROW) ENDPOINTS_WRITE(ENDPOINT_ROW)
					       LATER_METHODS(LATER_ROW){"Status.Ping", handle_ping},
    {"Status.Leader", stats_status_leader}, {"Status.Peers", stats_status_peers},
    {"Catalog.ListDatacenters", stats_list_datacenters}, {"Coordinate.ListDatacenters", pools_list_datacenters},
    {"Internal.EventFire", pools_event_fire}, {"Internal.KeyringOperation", pools_keyring_operation},
    {"Operator.RaftGetConfiguration", stats_raft_configuration}, {"Subscribe", handle_subscribe},
    {"Catalogd.Stats", stats_handle}, {"Catalogd.Page", handle_page}, {"Store.Ping", handle_store_ping},
    {"Store.Snapshot", handle_snapshot}};
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
	ring_init(&s->held);
	ring_init(&s->asking);
	ring_init(&s->asked);
	s->hold_s = (double)conf_duration(daemon_conf(c->daemon), "performance.rpc_hold_timeout", 7 * NS_PER_S) /
		    (double)NS_PER_S;
	s->session_ttl_min_ns = conf_duration(daemon_conf(c->daemon), "session_ttl_min", 10 * NS_PER_S);
	buf_init(&s->reply, REPLY_BYTES_MAX);
	buf_init(&s->body, FRAME_REQUEST_BYTES_MAX);
	s->write_region = region_new();
	s->query.region = region_new();
	s->query.out = &s->reply;
	watch_verify_by(c->watch, watch_verifies, s);
	s->query.datacenter = parked->datacenter = c->datacenter;
	s->query.node_name = parked->node_name = c->node_name;
	return s;
}

static void
held_drop(struct ring *ring)
{
	while (!ring_empty(ring)) {
		struct held *h = RING_ENTRY(ring->next, struct held, ring);

		ipc_stream_watch(h->stream, NULL, NULL, NULL);
		held_free(h);
	}
}

void
serve_free(struct serve *s)
{
	if (s == NULL)
		return;
	held_drop(&s->held);
	held_drop(&s->asking);
	held_drop(&s->asked);
	while (free_writings != NULL) {
		struct writing *writing = free_writings;

		free_writings = writing->next_free;
		free(writing);
	}
	region_free(s->write_region);
	region_free(s->query.region);
	buf_free(&s->reply);
	buf_free(&s->body);
	free(s);
}

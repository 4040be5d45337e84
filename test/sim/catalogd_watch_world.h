/*
 * catalogd_watch_world.h - what catalogd_watch_sim.c moves about in: virtual time, one server with its store and watch layer, and who asks it
 *
 * The server's side is what serve.c and raftlog.c do around store, queries and watch layer; its functions end the process by fail().
 */
#ifndef TEST_CATALOGD_WATCH_WORLD_H
#define TEST_CATALOGD_WATCH_WORLD_H

#include <inttypes.h>
#include <stdarg.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "catalogd_model.h"
#include "endpoint.h"
#include "ipc.h"
#include "watch.h"

#define STEPS 160
#define WATCHERS 48
#define SUBSCRIBERS 4
#define BATCH_MAX 6
#define ENTRIES_MAX (STEPS * BATCH_MAX)
#define START_NS (1000 * NS_PER_S)

#ifndef SIM_PLANTED
static const int watch_planted = 0;
enum { EVALUATED_EARLY = 1, OLD_EVALUATION };
#endif

/* ---- virtual time and chance: what libev and random_below ask for ---- */

static int64_t virtual_ns = START_NS;
static struct rng chance;

int
clock_gettime(clockid_t clock, struct timespec *out)
{
	(void)clock;
	out->tv_sec = virtual_ns / NS_PER_S;
	out->tv_nsec = virtual_ns % NS_PER_S;
	return 0;
}

ssize_t
getrandom(void *out, size_t size, unsigned flags)
{
	uint8_t *p = out;

	(void)flags;
	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)rng_next(&chance);
	return (ssize_t)size;
}

/* ---- the world ---- */

struct entry {
	unsigned type;
	int64_t time_ns;
	uint64_t index;
	struct buf body;
};

struct watcher {
	struct sim *sim;
	enum { IDLE, ASKED, GONE } state;
	struct question q;
	struct ipc_call *call;
	bool consistent;
	uint64_t min_index;
	int64_t asked_at_ns, wait_ns;
	/* what the model expects */
	struct due {
		bool must, may;              /* it was touched and not judged since */
		bool replaced;               /* the same, and it is answered whatever the index */
	} due, round_due;                    /* round_due: before the verification under way began */
	bool not_found;                      /* at the last evaluation */
	uint64_t last_index, last_index_max; /* of the last evaluation; the range where the spec leaves it open */
	bool in_round;                       /* the verification under way is for it */
	uint64_t seen;                       /* index of its last answer to this question */
	/* the answer */
	unsigned answers;
	bool failed;
	char error[128];
	struct buf body;
};

struct follower {
	struct sim *sim;
	struct ipc_call *call;
	bool slow, behind;
	unsigned elements; /* since the last judgement */
	bool reset;        /* the first of them */
	bool nodes[NODES], healths[NAMES];
	struct buf node_copies[NODES], health_copies[NAMES];
};

struct sim {
	uint64_t seed;
	struct rng random;
	char dir[64];
	struct ev_loop *loop;
	struct store *store;
	struct apply apply;
	struct buf reply;
	struct ipc *server, *client;
	struct ipc_peer *peer;
	struct watch *watch;
	struct query query; /* of the handler */
	struct buf out;
	bool question_open, question_new; /* of a verification; asked in this batch's wake-up */
	struct model *model;
	uint32_t sessions;
	int64_t entry_time_ns;
	struct entry *entries;
	size_t entry_count;
	struct watcher watchers[WATCHERS];
	struct follower subscribers[SUBSCRIBERS];
	bool delivered; /* something came in this turn */
	/* planted: evaluated, and parked only after the next batch */
	struct late {
		struct sim *sim;
		struct ipc_stream *stream; /* NULL: none */
		enum question_kind kind;
		struct buf args;
	} late;
};

/* Counts over all seeds, in memory that the seeds' processes share. */
struct totals {
	uint64_t seeds, entries, batches, asked, at_once, woken, allowed, slept, timeouts, cancelled, verified, refused,
	    went_back, elements, resets, restarts, rebuilds, replaced;
};
static struct totals *totals;

NORETURN static void fail(const struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
fail(const struct sim *s, const char *fmt, ...)
{
	char where[40];
	va_list args;

	snprintf(where, sizeof where, ": index %" PRIu64, s->model->index);
	va_start(args, fmt);
	seeded_wrong(s->seed, where, fmt, args);
	va_end(args);
	_exit(1);
}

/* What q asks for; session IDs are written to id. */
static const char *
question_what(struct question q, char id[40])
{
	if (q.kind == ASK_KEY)
		return key_names[q.what];
	if (q.kind == ASK_LIST || q.kind == ASK_KEYS)
		return prefix_names[q.what];
	if (q.kind == ASK_SESSION)
		return session_text(q.what, id);
	if (q.kind == ASK_NODE || q.kind == ASK_NODE_SESSIONS || q.kind == ASK_NODE_CHECKS)
		return node_names[q.what];
	if (q.kind == ASK_SERVICE || q.kind == ASK_HEALTH || q.kind == ASK_SERVICE_CHECKS)
		return asked_names[q.what];
	if (q.kind == ASK_STATE)
		return q.what == 3 ? "any" : statuses[q.what];
	return "";
}

static const char *
question_text(struct question q)
{
	static const char *const kinds[QUESTION_KINDS] = {"key", "list", "keys", "session", "sessions", "sessions of",
	    "nodes", "services", "service", "node", "health", "checks of node", "checks of service", "state"};
	static char text[256];
	char id[40];

	snprintf(text, sizeof text, "%s \"%.60s\"", kinds[q.kind], question_what(q, id));
	return text;
}

/* ---- the server's side: what serve.c does with a read ---- */

struct asked {
	struct endpoint endpoint;
	const char *name; /* of the argument */
};

static const struct asked asked[QUESTION_KINDS] = {
    [ASK_KEY] = {{.method = "KVS.Get", .read = kv_get}, "Key"},
    [ASK_LIST] = {{.method = "KVS.List", .read = kv_list}, "Key"},
    [ASK_KEYS] = {{.method = "KVS.ListKeys", .read = kv_list_keys}, "Prefix"},
    [ASK_SESSION] = {{.method = "Session.Get", .read = session_get}, "SessionID"},
    [ASK_SESSIONS] = {{.method = "Session.List", .read = session_list}, NULL},
    [ASK_NODE_SESSIONS] = {{.method = "Session.NodeSessions", .read = session_node_sessions}, "Node"},
    [ASK_NODES] = {{.method = "Catalog.ListNodes", .read = catalog_list_nodes}, NULL},
    [ASK_SERVICES] = {{.method = "Catalog.ListServices", .read = catalog_list_services}, NULL},
    [ASK_SERVICE] = {{.method = "Catalog.ServiceNodes", .read = catalog_service_nodes}, "ServiceName"},
    [ASK_NODE] = {{.method = "Catalog.NodeServices", .read = catalog_node_services}, "Node"},
    [ASK_HEALTH] = {{.method = "Health.ServiceNodes", .read = health_service_nodes}, "ServiceName"},
    [ASK_NODE_CHECKS] = {{.method = "Health.NodeChecks", .read = health_node_checks}, "Node"},
    [ASK_SERVICE_CHECKS] = {{.method = "Health.ServiceChecks", .read = health_service_checks}, "ServiceName"},
    [ASK_STATE] = {{.method = "Health.ChecksInState", .read = health_checks_in_state}, "State"},
};

static int
evaluate(struct sim *s, struct query *q)
{
	q->index = 0;
	q->not_found = false;
	q->watch_count = 0;
	q->txn = store_read(s->store);
	if (q->txn == NULL)
		fail(s, "the store can not be read");
	if (q->endpoint->read(q) == -1)
		fail(s, "%s: %s", q->endpoint->method, q->error);
	if (store_txn_result(q->txn, NULL) != STORE_DONE)
		fail(s, "the store has failed");
	return 0;
}

static int
run(struct query *q, void *ctx)
{
	if (query_open(q, q->endpoint, q->args) == -1)
		fail(ctx, "%s: %s", q->endpoint->method, q->error);
	return evaluate(ctx, q);
}

static void
on_late_ended(struct ipc_stream *stream, void *ctx)
{
	struct late *late = ctx;

	(void)stream;
	late->stream = NULL;
}

static void
park_late(struct sim *s, struct ipc_stream *stream, enum question_kind kind, struct bytes args)
{
	s->late.stream = stream;
	s->late.kind = kind;
	buf_clear(&s->late.args);
	buf_put_bytes(&s->late.args, args);
	ipc_stream_watch(stream, on_late_ended, NULL, &s->late);
}

/* Parks it now, as if nothing had happened since it was evaluated. */
static void
park_now(struct sim *s)
{
	struct query *q = &s->query;

	if (s->late.stream == NULL)
		return;
	if (query_open(q, &asked[s->late.kind].endpoint, buf_bytes(&s->late.args)) == -1)
		fail(s, "%s", q->error);
	region_reset(q->region);
	buf_clear(&s->out);
	q->watching = true;
	(void)evaluate(s, q);
	watch_park(s->watch, s->late.stream, q);
	s->late.stream = NULL;
}

static void
read_serve(struct sim *s, struct ipc_stream *stream, enum question_kind kind, struct bytes args)
{
	struct query *q = &s->query;

	if (query_open(q, &asked[kind].endpoint, args) == -1)
		fail(s, "%s: %s", asked[kind].endpoint.method, q->error);
	region_reset(q->region);
	buf_clear(&s->out);
	q->watching = q->min_index > 0;
	(void)evaluate(s, q);
	if (q->min_index > 0 && q->index <= q->min_index) {
		if (watch_planted == EVALUATED_EARLY && s->late.stream == NULL)
			park_late(s, stream, kind, args);
		else
			watch_park(s->watch, stream, q);
		return;
	}
	query_finish(q, q->index);
	ipc_reply(stream, buf_bytes(&s->out));
}

/* One handler for each kind: a handler is not told its method. */
#define HANDLER(kind)                                                                                                  \
	static void handle_##kind(struct ipc_stream *stream, struct bytes args, void *ctx)                             \
	{                                                                                                              \
		read_serve(ctx, stream, kind, args);                                                                   \
	}
HANDLER(ASK_KEY)
HANDLER(ASK_LIST)
HANDLER(ASK_KEYS)
HANDLER(ASK_SESSION)
HANDLER(ASK_SESSIONS)
HANDLER(ASK_NODE_SESSIONS)
HANDLER(ASK_NODES)
HANDLER(ASK_SERVICES)
HANDLER(ASK_SERVICE)
HANDLER(ASK_NODE)
HANDLER(ASK_HEALTH)
HANDLER(ASK_NODE_CHECKS)
HANDLER(ASK_SERVICE_CHECKS)
HANDLER(ASK_STATE)

static void
handle_subscribe(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct sim *s = ctx;

	(void)args;
	watch_subscribe(s->watch, stream);
}

#define ROW(kind, name)                                                                                                \
	{                                                                                                              \
		name, handle_##kind                                                                                    \
	}
static const struct ipc_method methods[] = {ROW(ASK_KEY, "KVS.Get"), ROW(ASK_LIST, "KVS.List"),
    ROW(ASK_KEYS, "KVS.ListKeys"), ROW(ASK_SESSION, "Session.Get"), ROW(ASK_SESSIONS, "Session.List"),
    ROW(ASK_NODE_SESSIONS, "Session.NodeSessions"), ROW(ASK_NODES, "Catalog.ListNodes"),
    ROW(ASK_SERVICES, "Catalog.ListServices"), ROW(ASK_SERVICE, "Catalog.ServiceNodes"),
    ROW(ASK_NODE, "Catalog.NodeServices"), ROW(ASK_HEALTH, "Health.ServiceNodes"),
    ROW(ASK_NODE_CHECKS, "Health.NodeChecks"), ROW(ASK_SERVICE_CHECKS, "Health.ServiceChecks"),
    ROW(ASK_STATE, "Health.ChecksInState"), {"Subscribe", handle_subscribe}};

static void
verify(void *ctx)
{
	struct sim *s = ctx;

	if (s->question_open)
		fail(s, "a second verification is asked for while the first is under way");
	s->question_open = s->question_new = true;
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];

		w->in_round = w->state == ASKED && w->consistent;
		if (!w->in_round)
			continue;
		w->round_due = w->due;
		w->due = (struct due){false, false, false};
	}
}

static bool
lease_holds(void *ctx)
{
	(void)ctx;
	return true;
}

/* Whoever it goes to has no leader either. */
static void
go_nowhere(void *ctx, struct ipc_stream *stream, const struct endpoint *endpoint, struct bytes args)
{
	(void)ctx, (void)endpoint, (void)args;
	ipc_fail(stream, 0, "No cluster leader");
}

static void
server_start(struct sim *s)
{
	static const struct watch_leader leader = {.lease_holds = lease_holds, .verify = verify, .goes = go_nowhere};
	static struct ipc_service service = {methods, COUNTOF(methods), NULL};
	int fds[2];

	service.ctx = s;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1)
		fail(s, "socketpair");
	s->server = ipc_new(s->loop, "server");
	s->client = ipc_new(s->loop, "client");
	if (ipc_peer_from_fd(s->server, fds[0], false, &service) == NULL)
		fail(s, "no connection");
	s->peer = ipc_peer_from_fd(s->client, fds[1], true, NULL);
	s->watch = watch_new(s->loop, run, s);
	watch_lead_by(s->watch, &leader, s);
	watch_query(s->watch)->datacenter = "dc1";
	watch_query(s->watch)->node_name = "self";
	watch_query(s->watch)->consistency = "leader";
	s->apply.watch = s->watch;
	s->question_open = false;
}

static void
server_stop(struct sim *s)
{
	ipc_free(s->client);
	ipc_free(s->server);
	watch_free(s->watch);
	s->late.stream = NULL;
}

static void
store_start(struct sim *s)
{
	char error[STORE_ERROR_MAX];

	if (store_open(&(struct store_options){.directory = s->dir, .map_bytes = UINT64_C(1) << 27}, &s->store,
		error) != STORE_OPENED)
		fail(s, "the store can not be opened: %s", error);
	store_started(s->store);
}

static struct store_txn *
batch_begin(struct sim *s)
{
	char error[STORE_ERROR_MAX];
	struct store_txn *t;

	store_read_end(s->store);
	if (watch_planted == OLD_EVALUATION)
		s->query.txn = store_read(s->store);
	t = store_write(s->store, error);
	if (t == NULL)
		fail(s, "no transaction: %s", error);
	return s->apply.txn = t;
}

static void
batch_commit(struct sim *s)
{
	char error[STORE_ERROR_MAX];

	if (s->apply.index > 0)
		store_set_applied(s->apply.txn, s->apply.index, 1);
	if (store_commit(s->apply.txn, error) != STORE_DONE)
		fail(s, "commit: %s", error);
	if (watch_planted != OLD_EVALUATION)
		store_read_end(s->store);
}

static void
entry_apply(struct sim *s, const struct entry *e)
{
	struct apply_entry entry = {
	    .type = (uint8_t)e->type, .version = APPLY_VERSION, .time_ns = e->time_ns, .body = buf_bytes(&e->body)};
	enum apply_status status;

	s->apply.index = e->index;
	status = apply_entry(&s->apply, &entry);
	if (status != APPLY_DONE && status != APPLY_REFUSED)
		fail(s, "an entry can not be applied");
}

/* The store is thrown away and made again from all entries, as after a power cut. */
static void
store_rebuild(struct sim *s)
{
	store_close(s->store, false);
	if (store_erase(s->dir) == -1)
		fail(s, "the store can not be removed");
	store_start(s);
	s->apply.watch = NULL;
	for (size_t i = 0; i < s->entry_count;) {
		(void)batch_begin(s);
		for (size_t n = 1 + roll(&s->random, 40); n > 0 && i < s->entry_count; n--, i++)
			entry_apply(s, &s->entries[i]);
		batch_commit(s);
	}
	s->apply.watch = s->watch;
}

#endif

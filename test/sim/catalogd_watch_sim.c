/*
 * catalogd_watch_sim.c - what watchers see: blocking queries and subscriptions over the real apply, store, queries and watch layer, beside a model
 *
 * A seed decides everything: batches of entries (catalogd_history.h), who asks what with which index and wait, who goes away, how much
 * credit a subscriber has, when time passes, when the process is started again with its store or with one that is made again.
 * Time is virtual (the clock that libev reads), requests go over a socketpair in the same loop.
 *
 * Checked against the model (catalogd_model.h) for every watcher at every step:
 *	- a change of what it watches wakes it at once (no lost wake-up, equal parked queries all), unless the index that the spec
 *	  gives to the answer is not above its own;
 *	- nothing else wakes it, except where the spec allows it (counted);
 *	- answer and index are those of the model at that moment; an index never goes back for a watcher, except that of a prefix
 *	  (http-api-kv-session.md 1.7; counted);
 *	- a wait ends at its time, within its sixteenth, with the index of the last evaluation;
 *	- who has gone is not answered; a consistent query is answered only behind a verification begun after the wake-up, and refused
 *	  if that fails;
 *	- a subscription begins with "reset", then has one element for each batch with exactly the names that have changed, in order,
 *	  and "reset" again for what found no credit: a copy that follows it equals the state.
 *
 * Usage: catalogd_watch_sim [seed]   without: SEEDS seeds or SECONDS of wall time, whichever ends first. A failure prints its seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "catalogd_model.h"
#include "endpoint.h"
#include "ipc.h"
#include "watch.h"

#define SEEDS 4000
#define SEEDS_MIN 20
#define SECONDS 18
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
	va_list args;

	printf("not ok 1 - seed %" PRIu64 ": index %" PRIu64 ": ", s->seed, s->model->index);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static const char *
question_text(struct question q)
{
	static const char *const kinds[QUESTION_KINDS] = {"key", "list", "keys", "session", "sessions", "sessions of",
	    "nodes", "services", "service", "node", "health", "checks of node", "checks of service", "state"};
	static char text[256];
	const char *what = "";
	char id[40];

	if (q.kind == ASK_KEY)
		what = key_names[q.what];
	else if (q.kind == ASK_LIST || q.kind == ASK_KEYS)
		what = prefix_names[q.what];
	else if (q.kind == ASK_SESSION)
		what = session_text(q.what, id);
	else if (q.kind == ASK_NODE || q.kind == ASK_NODE_SESSIONS || q.kind == ASK_NODE_CHECKS)
		what = node_names[q.what];
	else if (q.kind == ASK_SERVICE || q.kind == ASK_HEALTH || q.kind == ASK_SERVICE_CHECKS)
		what = asked_names[q.what];
	else if (q.kind == ASK_STATE)
		what = q.what == 3 ? "any" : statuses[q.what];
	snprintf(text, sizeof text, "%s \"%.60s\"", kinds[q.kind], what);
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

static void
server_start(struct sim *s)
{
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
	watch_verify_by(s->watch, verify, s);
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

/* ---- the client's side ---- */

static void
on_answer(void *ctx, const struct ipc_answer *a)
{
	struct watcher *w = ctx;

	if (w->state == GONE)
		fail(w->sim, "%s: answered although it has gone", question_text(w->q));
	w->answers++;
	w->call = NULL;
	w->failed = a->status != IPC_OK;
	if (bytes_to_str(a->error, w->error, sizeof w->error) == -1)
		w->error[0] = '\0';
	buf_clear(&w->body);
	buf_put_bytes(&w->body, a->body);
	w->sim->delivered = true;
}

static void
settle(struct sim *s)
{
	for (int quiet = 0; quiet < 6; quiet++) {
		s->delivered = false;
		ev_run(s->loop, EVRUN_NOWAIT);
		if (s->delivered)
			quiet = 0;
	}
}

static void
put_args(const struct watcher *w, struct buf *args)
{
	char id[40];
	struct question q = w->q;
	const char *what = "";

	if (q.kind == ASK_KEY)
		what = key_names[q.what];
	else if (q.kind == ASK_LIST || q.kind == ASK_KEYS)
		what = prefix_names[q.what];
	else if (q.kind == ASK_SESSION)
		what = session_text(q.what, id);
	else if (q.kind == ASK_NODE || q.kind == ASK_NODE_SESSIONS || q.kind == ASK_NODE_CHECKS)
		what = node_names[q.what];
	else if (q.kind == ASK_SERVICE || q.kind == ASK_HEALTH || q.kind == ASK_SERVICE_CHECKS)
		what = asked_names[q.what];
	else if (q.kind == ASK_STATE)
		what = q.what == 3 ? "any" : statuses[q.what];
	mp_put_map(args, 5);
	mp_put_kv_cstr(args, asked[q.kind].name != NULL ? asked[q.kind].name : "Token", what);
	mp_put_kv_cstr(args, "Seperator", q.kind == ASK_KEYS ? "/" : "");
	mp_put_kv_uint(args, "MinQueryIndex", w->min_index);
	mp_put_kv_int(args, "MaxQueryTime", w->wait_ns);
	mp_put_kv_bool(args, "RequireConsistent", w->consistent);
}

/* ---- an answer as the model writes it ---- */

#define TEXT(run) (int)(run).size, (const char *)(run).data

static void
decode_record(const char *first, struct bytes second, struct bytes r, uint64_t text, struct buf *out)
{
	buf_printf(out, "%s %.*s %llu %llu %llu\n", first, TEXT(second), (unsigned long long)text,
	    (unsigned long long)mp_find_uint(r, "CreateIndex"), (unsigned long long)mp_find_uint(r, "ModifyIndex"));
}

static uint64_t
digit_of(struct bytes text)
{
	return text.size == 1 ? (uint64_t)text.data[0] - '0' : UINT64_MAX;
}

static void
decode_node(struct bytes r, struct buf *out)
{
	struct bytes address = mp_find_str(r, "Address");

	if (address.size == 0)
		address = bytes_str("?");
	decode_record("node", mp_find_str(r, "Node"), r, digit_of(bytes_of(address.data + address.size - 1, 1)), out);
}

static void
decode_service(struct bytes r, struct buf *out)
{
	decode_record("service", mp_find_str(r, "ID"), r, mp_find_uint(r, "Port"), out);
}

static void
decode_check(struct bytes r, struct buf *out)
{
	struct bytes service = mp_find_str(r, "ServiceID"), name = mp_find_str(r, "ServiceName");
	struct bytes output = mp_find_str(r, "Output");

	if (service.size == 0)
		service = name = bytes_str("-");
	buf_printf(out, "%.*s %.*s %.*s %.*s %.*s ", TEXT(mp_find_str(r, "Node")), TEXT(mp_find_str(r, "CheckID")),
	    TEXT(mp_find_str(r, "Status")), TEXT(service), TEXT(name));
	decode_record("check", bytes_str(""), r, digit_of(output), out);
}

static void
decode_element(enum question_kind kind, struct bytes r, struct buf *out)
{
	struct bytes value;
	struct mp checks;

	switch (kind) {
	case ASK_KEY:
	case ASK_LIST:
		value = mp_find_str(r, "Value");
		buf_printf(out, "%.*s=%.*s %llu %llu %.*s %llu %llu\n", TEXT(mp_find_str(r, "Key")), TEXT(value),
		    (unsigned long long)mp_find_uint(r, "Flags"), (unsigned long long)mp_find_uint(r, "LockIndex"),
		    TEXT(mp_find_str(r, "Session")), (unsigned long long)mp_find_uint(r, "CreateIndex"),
		    (unsigned long long)mp_find_uint(r, "ModifyIndex"));
		return;
	case ASK_SESSION:
	case ASK_SESSIONS:
	case ASK_NODE_SESSIONS:
		buf_printf(out, "%.*s %.*s %.*s %lld %llu\n", TEXT(mp_find_str(r, "ID")), TEXT(mp_find_str(r, "Node")),
		    TEXT(mp_find_str(r, "Behavior")), (long long)mp_find_int(r, "LockDelay"),
		    (unsigned long long)mp_find_uint(r, "CreateIndex"));
		return;
	case ASK_NODES:
		decode_node(r, out);
		return;
	case ASK_SERVICE:
		buf_printf(out, "%.*s %.*s ", TEXT(mp_find_str(r, "Node")), TEXT(mp_find_str(r, "Address")));
		decode_record("service", mp_find_str(r, "ServiceID"), r, mp_find_uint(r, "ServicePort"), out);
		return;
	case ASK_HEALTH:
		decode_node(mp_find_raw(r, "Node"), out);
		decode_service(mp_find_raw(r, "Service"), out);
		checks = mp_of(mp_find_raw(r, "Checks"));
		for (uint32_t n = mp_array(&checks); n > 0; n--)
			decode_check(mp_raw(&checks), out);
		return;
	default:
		decode_check(r, out);
		return;
	}
}

static const char *const members[QUESTION_KINDS] = {"Entries", "Entries", "Keys", "Sessions", "Sessions", "Sessions",
    "Nodes", "Services", "ServiceNodes", "NodeServices", "Nodes", "HealthChecks", "HealthChecks", "HealthChecks"};

static void
decode(enum question_kind kind, struct bytes body, struct buf *out)
{
	struct mp data = mp_of(mp_find_raw(body, members[kind]));
	struct bytes whole = mp_find_raw(body, members[kind]);
	uint32_t n;

	if (mp_peek(&data) == MP_NIL || mp_peek(&data) == MP_END)
		return;
	if (kind == ASK_NODE) {
		decode_node(mp_find_raw(whole, "Node"), out);
		data = mp_of(mp_find_raw(whole, "Services"));
		for (n = mp_map(&data); n > 0; n--) {
			mp_skip(&data);
			decode_service(mp_raw(&data), out);
		}
		return;
	}
	if (kind == ASK_SERVICES) {
		for (n = mp_map(&data); n > 0; n--) {
			struct bytes name = mp_str(&data);

			buf_printf(out, "%.*s\n", TEXT(name));
			mp_skip(&data);
		}
		return;
	}
	for (n = mp_array(&data); n > 0; n--) {
		struct bytes element = mp_raw(&data);

		if (kind == ASK_KEYS) {
			struct mp name = mp_of(element);
			struct bytes text = mp_str(&name);

			buf_printf(out, "%.*s\n", TEXT(text));
		} else {
			decode_element(kind, element, out);
		}
	}
}

/* ---- judging watchers ---- */

static void
judge_content(struct sim *s, struct watcher *w)
{
	struct buf got = BUF_INIT(1u << 24), expected = BUF_INIT(1u << 24);

	decode(w->q.kind, buf_bytes(&w->body), &got);
	model_answer(s->model, w->q, &expected);
	if (!bytes_equal(buf_bytes(&got), buf_bytes(&expected)))
		fail(s, "%s: the answer is\n%.*s\ninstead of\n%.*s", question_text(w->q), TEXT(buf_bytes(&got)),
		    TEXT(buf_bytes(&expected)));
	buf_free(&got);
	buf_free(&expected);
}

/* The answer has come: its content is the state's; its index, in this range. */
static void
judge_answer(struct sim *s, struct watcher *w, uint64_t index_min, uint64_t index_max)
{
	uint64_t index = mp_find_uint(buf_bytes(&w->body), "Index");

	if (w->failed)
		fail(s, "%s: failed: %s", question_text(w->q), w->error);
	if (index < index_min || index > index_max)
		fail(s, "%s: asked with index %" PRIu64 ", answered with %" PRIu64 ", not %" PRIu64,
		    question_text(w->q), w->min_index, index, index_min);
	judge_content(s, w);
	if (index < w->seen) {
		if (w->q.kind != ASK_LIST && w->q.kind != ASK_KEYS)
			fail(s, "%s: the index went back from %" PRIu64 " to %" PRIu64, question_text(w->q), w->seen,
			    index);
		totals->went_back++;
	}
	w->seen = index;
	w->state = IDLE;
	w->answers = 0;
}

/* It may have been evaluated. */
static void
widen_last_index(struct sim *s, struct watcher *w)
{
	uint64_t index = model_index(s->model, w->q);

	w->last_index = MIN(w->last_index, index);
	w->last_index_max = MAX(w->last_index_max, index);
}

/* It was evaluated and not answered. */
static void
watcher_evaluated(struct sim *s, struct watcher *w)
{
	if (w->due.must)
		w->last_index = w->last_index_max = model_index(s->model, w->q);
	else
		widen_last_index(s, w);
	w->not_found = model_not_found(s->model, w->q);
}

/* What was touched since has been evaluated now, all: whatever the index. */
static void
judge_wake(struct sim *s, struct watcher *w, bool all)
{
	uint64_t index = model_index(s->model, w->q);
	bool still_nothing = w->not_found && model_not_found(s->model, w->q);
	bool due = all || (index > w->min_index && !still_nothing);

	if (w->answers > 1)
		fail(s, "%s: answered twice", question_text(w->q));
	if (w->due.must && due && w->answers == 0)
		fail(s, "%s%s: a wake-up is lost: it waits with index %" PRIu64 ", the state has %" PRIu64,
		    w->consistent ? "consistent " : "", question_text(w->q), w->min_index, index);
	if (w->answers == 1 && !w->due.must && !w->due.may)
		fail(s, "%s: woken although nothing that it watches has changed", question_text(w->q));
	if (w->answers == 1 && !due)
		fail(s, "%s: woken although its answer has the index %" PRIu64 ", and it asked for more than %" PRIu64,
		    question_text(w->q), index, w->min_index);
	if (w->answers == 1) {
		totals->woken++;
		totals->allowed += !w->due.must;
		judge_answer(s, w, index, index);
	} else if (w->due.must || w->due.may) {
		totals->slept += w->due.must;
		watcher_evaluated(s, w);
	}
	w->due.must = w->due.may = w->due.replaced = false;
}

/* After a batch: the others are judged at once, the consistent ones when their verification is over. */
static void
judge_batch(struct sim *s, bool replaced)
{
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];
		enum concern concern;
		struct due *due;

		if (w->state != ASKED)
			continue;
		concern = model_concern(s->model, w->q);
		due = w->in_round && s->question_new ? &w->round_due : &w->due;
		due->must |= concern == MUST_WAKE;
		due->may |= concern == MAY_WAKE;
		if (!w->consistent)
			judge_wake(s, w, replaced);
		else if (w->answers > 0)
			fail(s, "%s: consistent, and answered without a verification", question_text(w->q));
		else
			due->replaced |= replaced;
	}
}

/* ---- watchers ---- */

static struct question
question_random(struct sim *s)
{
	struct question q = {.kind = (enum question_kind)roll(&s->random, QUESTION_KINDS)};

	switch (q.kind) {
	case ASK_KEY:
		q.what = roll(&s->random, KEYS);
		break;
	case ASK_LIST:
	case ASK_KEYS:
		q.what = roll(&s->random, PREFIXES);
		break;
	case ASK_SESSION:
		q.what = up_to(&s->random, MIN(s->sessions, 5u));
		q.what = s->sessions - q.what + roll(&s->random, 2);
		break;
	case ASK_NODE_SESSIONS:
	case ASK_NODE:
	case ASK_NODE_CHECKS:
		q.what = roll(&s->random, NODES);
		break;
	case ASK_SERVICE:
	case ASK_HEALTH:
	case ASK_SERVICE_CHECKS:
		q.what = roll(&s->random, NAMES);
		break;
	case ASK_STATE:
		q.what = roll(&s->random, 4);
		break;
	default:
		break;
	}
	return q;
}

/* Another consistent watcher of the same thing is to be evaluated: this one then may be, too. */
static bool
group_is_pending(const struct sim *s, const struct watcher *w)
{
	for (size_t i = 0; i < WATCHERS; i++) {
		const struct watcher *o = &s->watchers[i];

		if (o != w && o->state == ASKED && o->consistent && (o->due.must || o->due.may) &&
		    o->q.kind == w->q.kind && o->q.what == w->q.what)
			return true;
	}
	return false;
}

/* Sends w's question. */
static void
watcher_ask(struct sim *s, struct watcher *w)
{
	struct buf args = BUF_INIT(4096);
	uint64_t index = model_index(s->model, w->q);

	put_args(w, &args);
	w->state = ASKED;
	w->answers = 0;
	w->asked_at_ns = virtual_ns;
	w->due = (struct due){false, false, false};
	w->due.may = w->consistent && group_is_pending(s, w);
	w->in_round = false;
	w->call = ipc_call(s->peer, asked[w->q.kind].endpoint.method, buf_bytes(&args), NULL, on_answer, w);
	buf_free(&args);
	settle(s);
	totals->asked++;
	w->not_found = model_not_found(s->model, w->q);
	w->last_index = w->last_index_max = index;
	if (w->min_index == 0 || index > w->min_index) {
		if (w->answers != 1)
			fail(s, "%s: not answered at once", question_text(w->q));
		totals->at_once++;
		judge_answer(s, w, index, index);
	} else if (w->answers != 0) {
		fail(s, "%s: answered at once although it asked for more than %" PRIu64, question_text(w->q),
		    w->min_index);
	}
}

static void
watchers_ask(struct sim *s)
{
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];

		if (w->state == GONE)
			w->state = IDLE;
		if (w->state != IDLE || roll(&s->random, 3) == 0)
			continue;
		/* Most clients go on with what they had; some ask what their neighbour asks. */
		if (w->seen == 0 || roll(&s->random, 6) == 0) {
			w->q = i > 0 && roll(&s->random, 3) == 0 ? s->watchers[i - 1].q : question_random(s);
			w->seen = 0;
		}
		w->min_index = w->seen;
		if (roll(&s->random, 8) == 0)
			w->min_index = model_index(s->model, w->q) + roll(&s->random, 12);
		w->consistent = roll(&s->random, 5) == 0;
		w->wait_ns = roll(&s->random, 3) == 0 ? (int64_t)(1 + roll(&s->random, 20)) * NS_PER_S : 0;
		watcher_ask(s, w);
	}
}

static void
watchers_leave(struct sim *s)
{
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];

		if (w->state != ASKED || roll(&s->random, 40) != 0)
			continue;
		ipc_cancel(w->call);
		w->call = NULL;
		w->state = GONE;
		totals->cancelled++;
	}
	settle(s);
}

/* How long w waits at least; it was told nothing else than 0 (the default) or a time under the cap. */
static int64_t
wait_of(const struct watcher *w)
{
	return w->wait_ns > 0 ? w->wait_ns : 300 * NS_PER_S;
}

static void
time_passes(struct sim *s)
{
	int64_t step = (int64_t)roll(&s->random, 3000) * NS_PER_MS;

	if (roll(&s->random, 30) == 0)
		step = 100 * NS_PER_S;
	virtual_ns += step;
	settle(s);
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];
		int64_t waited = virtual_ns - w->asked_at_ns, wait = wait_of(w);

		if (w->state != ASKED)
			continue;
		if (w->consistent) {
			if (w->answers > 0)
				fail(s, "%s: consistent, and answered without a verification", question_text(w->q));
			continue;
		}
		if (w->answers > 0 && waited < wait)
			fail(s, "%s: answered before its time is over", question_text(w->q));
		if (w->answers == 0 && waited > wait + wait / 16 + NS_PER_MS)
			fail(s, "%s: not answered at the end of its time", question_text(w->q));
		if (w->answers > 0) {
			totals->timeouts++;
			judge_answer(s, w, w->last_index, w->last_index_max);
		}
	}
}

/* w was there when the verification that is over began. */
static void
judge_verified(struct sim *s, struct watcher *w, struct due due, bool leads)
{
	bool expired = virtual_ns - w->asked_at_ns >= wait_of(w);
	struct due later = w->due;

	w->due = due;
	if (!leads) {
		if (w->answers > 0 && !(w->failed && strcmp(w->error, "No cluster leader") == 0))
			fail(s, "%s: consistent, and answered by one that does not lead", question_text(w->q));
		if (w->answers == 0 && due.must)
			fail(s, "%s: consistent, and not refused by one that does not lead", question_text(w->q));
		totals->refused += w->answers;
		w->state = w->answers > 0 ? IDLE : ASKED;
		w->answers = 0;
	} else if (w->answers > 0 && expired) {
		/* It may have been run for a touch first, and then ended with the index of that run. */
		totals->timeouts++;
		if (due.must || due.may)
			widen_last_index(s, w);
		judge_answer(s, w, w->last_index, w->last_index_max);
	} else {
		w->due.may |= expired;
		judge_wake(s, w, due.replaced);
	}
	w->due = later;
}

/* The answer to a verification: leads or not. */
static void
verification_ends(struct sim *s)
{
	struct due due[WATCHERS];
	bool round[WATCHERS], replaced[WATCHERS], leads = roll(&s->random, 6) != 0;

	if (!s->question_open || roll(&s->random, 3) == 0)
		return;
	for (size_t i = 0; i < WATCHERS; i++) {
		round[i] = s->watchers[i].in_round;
		due[i] = s->watchers[i].round_due;
		replaced[i] = s->watchers[i].due.replaced;
		s->watchers[i].in_round = false;
	}
	s->question_open = false;
	watch_verified(s->watch, leads);
	settle(s);
	totals->verified++;
	for (size_t i = 0; i < WATCHERS; i++) {
		struct watcher *w = &s->watchers[i];

		if (w->state != ASKED || !w->consistent)
			continue;
		/* A replacement during the verification is seen by the run behind it. */
		due[i].replaced |= replaced[i] && w->answers > 0;
		if (round[i])
			judge_verified(s, w, due[i], leads);
		else if (w->answers > 0)
			fail(s, "%s: answered by a verification begun before it was parked", question_text(w->q));
	}
}

/* ---- subscribers ---- */

static void
on_element(void *ctx, const struct ipc_answer *a)
{
	struct follower *b = ctx;
	struct sim *s = b->sim;
	struct mp in = mp_of(a->body);

	if (!a->more)
		fail(s, "a subscription ended");
	b->elements++;
	s->delivered = true;
	for (uint32_t n = mp_array(&in); n > 0; n--) {
		struct bytes kind, name;
		bool known = false;

		if (mp_array(&in) != 2)
			fail(s, "a subscription's element is not a list of pairs");
		kind = mp_str(&in);
		name = mp_str(&in);
		if (bytes_is(kind, "reset")) {
			b->reset = known = true;
			totals->resets++;
		}
		for (unsigned i = 0; i < NODES && bytes_is(kind, "node"); i++)
			if (bytes_equal_fold(name, bytes_str(node_names[i]))) {
				if (b->nodes[i])
					fail(s, "a subscription has a node twice");
				b->nodes[i] = known = true;
			}
		for (unsigned i = 0; i < NAMES && bytes_is(kind, "service"); i++)
			if (bytes_is(name, asked_names[i])) {
				if (b->healths[i])
					fail(s, "a subscription has a service twice");
				b->healths[i] = known = true;
			}
		if (!known)
			fail(s, "a subscription has %.*s %.*s", TEXT(kind), TEXT(name));
	}
}

/* The copy that b would have: refreshed where it was told to. */
static void
copy_refresh(struct sim *s, struct buf *copy, struct question q, bool told, bool judged)
{
	struct buf now = BUF_INIT(1u << 20);

	model_answer(s->model, q, &now);
	if (told) {
		buf_clear(copy);
		buf_put_bytes(copy, buf_bytes(&now));
	} else if (judged && !bytes_equal(buf_bytes(copy), buf_bytes(&now))) {
		fail(s, "a subscriber was not told of a change of %s", question_text(q));
	}
	buf_free(&now);
}

static void
judge_subscriber(struct sim *s, struct follower *b)
{
	const struct model_touched *t = &s->model->touched;
	bool exact =
	    memcmp(b->nodes, t->nodes, sizeof b->nodes) == 0 && memcmp(b->healths, t->healths, sizeof b->healths) == 0;
	bool any = t->all;

	for (unsigned i = 0; i < NODES; i++)
		any |= t->nodes[i];
	for (unsigned i = 0; i < NAMES; i++)
		any |= t->healths[i];
	if (b->elements > 1)
		fail(s, "a subscription has %u elements for one batch", b->elements);
	if (b->elements == 0 && any && !b->slow)
		fail(s, "a subscription has no element for a batch");
	if (b->elements == 1 && !any)
		fail(s, "a subscription has an element for nothing");
	if (b->elements == 1 && b->reset && !t->all && !b->behind)
		fail(s, "a subscription was reset for no reason");
	if (b->elements == 1 && !b->reset && (t->all || b->behind))
		fail(s, "a subscription goes on although it is behind");
	if (b->elements == 1 && !b->reset && !exact)
		fail(s, "a subscription's names are not those that have changed");
	b->behind = b->elements == 0 ? b->behind || any : false;
	for (unsigned i = 0; i < NODES; i++)
		copy_refresh(
		    s, &b->node_copies[i], (struct question){ASK_NODE, i}, b->reset || b->nodes[i], !b->behind);
	for (unsigned i = 0; i < NAMES; i++)
		copy_refresh(
		    s, &b->health_copies[i], (struct question){ASK_HEALTH, i}, b->reset || b->healths[i], !b->behind);
	totals->elements += b->elements;
	b->elements = 0;
	b->reset = false;
	memset(b->nodes, 0, sizeof b->nodes);
	memset(b->healths, 0, sizeof b->healths);
}

static void
subscribers_start(struct sim *s)
{
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		struct follower *b = &s->subscribers[i];

		b->sim = s;
		b->slow = i % 2 == 1;
		b->behind = true;
		b->call = ipc_call(s->peer, "Subscribe", bytes_of(NULL, 0),
		    &(struct ipc_call_options){.credit = b->slow ? 0 : 1u << 30}, on_element, b);
		settle(s);
		if (!b->slow && !(b->elements == 1 && b->reset))
			fail(s, "a subscription does not begin with \"reset\"");
		judge_subscriber(s, b);
	}
}

/* Slow ones get credit now and then: a little, which may not be enough, or much. */
static void
subscribers_read(struct sim *s)
{
	memset(&s->model->touched, 0, sizeof s->model->touched);
	s->model->touched.all = true; /* an element now can only be "reset" */
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		struct follower *b = &s->subscribers[i];
		bool was_behind = b->behind;
		uint32_t credit = roll(&s->random, 3) == 0 ? 300 : roll(&s->random, 24);

		if (!b->slow || roll(&s->random, 3) != 0)
			continue;
		ipc_grant(b->call, credit);
		settle(s);
		if (!was_behind && b->elements > 0)
			fail(s, "credit alone brought an element");
		if (was_behind && credit == 300 && b->elements == 0)
			fail(s, "a subscriber that has credit again is not reset");
		if (b->elements > 0)
			judge_subscriber(s, b);
	}
	memset(&s->model->touched, 0, sizeof s->model->touched);
}

/* ---- steps ---- */

/* NULL: the leader refuses it. */
static struct entry *
entry_new(struct sim *s, struct op *o)
{
	struct entry *e = &s->entries[s->entry_count];
	uint64_t modify[KEYS];

	for (unsigned i = 0; i < KEYS; i++)
		modify[i] = s->model->keys[i].there ? s->model->keys[i].modify : 0;
	*o = op_random(&s->random, &s->sessions, modify, s->model->index, &s->entry_time_ns);
	*e = (struct entry){.time_ns = o->time_ns, .index = s->model->index + 1, .body = BUF_INIT(1u << 20)};
	e->type = history_encode(o, s->apply.txn, &e->body);
	if (e->type == 0) {
		buf_free(&e->body);
		return NULL;
	}
	s->entry_count++;
	return e;
}

static void
step_batch(struct sim *s)
{
	unsigned count = 1 + (roll(&s->random, 3) == 0 ? roll(&s->random, BATCH_MAX) : 0);
	struct op o;

	memset(&s->model->touched, 0, sizeof s->model->touched);
	(void)batch_begin(s);
	for (; count > 0; count--) {
		const struct entry *e = entry_new(s, &o);

		if (e == NULL)
			continue;
		entry_apply(s, e);
		model_apply(s->model, &o, e->index);
		totals->entries++;
	}
	batch_commit(s);
	s->question_new = false;
	watch_wake(s->watch);
	park_now(s);
	settle(s);
	totals->batches++;
	judge_batch(s, false);
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		judge_subscriber(s, &s->subscribers[i]);
}

/* The state is made again under the watchers. */
static void
step_replace(struct sim *s)
{
	memset(&s->model->touched, 0, sizeof s->model->touched);
	s->model->touched.all = true;
	store_rebuild(s);
	watch_touch(s->watch, WATCH_ALL, bytes_of(NULL, 0));
	s->question_new = false;
	watch_wake(s->watch);
	settle(s);
	judge_batch(s, true);
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		judge_subscriber(s, &s->subscribers[i]);
	memset(&s->model->touched, 0, sizeof s->model->touched);
	totals->replaced++;
}

static void
step_restart(struct sim *s)
{
	server_stop(s);
	if (roll(&s->random, 2) == 0) {
		store_rebuild(s);
		totals->rebuilds++;
	} else {
		store_close(s->store, roll(&s->random, 2) == 0);
		store_start(s);
		totals->restarts++;
	}
	server_start(s);
	for (size_t i = 0; i < WATCHERS; i++)
		if (s->watchers[i].state != IDLE) {
			s->watchers[i].state = IDLE;
			s->watchers[i].answers = 0;
		}
	memset(&s->model->touched, 0, sizeof s->model->touched);
	s->model->touched.all = true;
	subscribers_start(s);
	/* Clients ask again, with the index that they have. */
	memset(&s->model->touched, 0, sizeof s->model->touched);
}

static void
sim_start(struct sim *s, uint64_t seed)
{
	s->seed = seed;
	rng_seed(&s->random, seed);
	rng_seed(&chance, seed + 1);
	s->model = xcalloc(1, sizeof *s->model);
	model_init(s->model);
	s->entries = xcalloc(ENTRIES_MAX, sizeof *s->entries);
	s->entry_time_ns = START_NS;
	s->model->index = 10;
	snprintf(
	    s->dir, sizeof s->dir, "%s/catalogd_watch_sim.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(s->dir) == NULL)
		fail(s, "mkdtemp");
	s->loop = ev_loop_new(EVFLAG_AUTO);
	buf_init(&s->reply, 1u << 24);
	buf_init(&s->out, 1u << 26);
	buf_init(&s->late.args, 1u << 16);
	apply_init(&s->apply);
	s->apply.reply = &s->reply;
	s->query = (struct query){.region = region_new(), .out = &s->out, .datacenter = "dc1", .node_name = "self"};
	for (size_t i = 0; i < WATCHERS; i++) {
		s->watchers[i].sim = s;
		buf_init(&s->watchers[i].body, 1u << 26);
	}
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		for (size_t k = 0; k < NODES; k++)
			buf_init(&s->subscribers[i].node_copies[k], 1u << 20);
		for (size_t k = 0; k < NAMES; k++)
			buf_init(&s->subscribers[i].health_copies[k], 1u << 20);
	}
	store_start(s);
	server_start(s);
	s->model->touched.all = true;
	subscribers_start(s);
}

static void
sim_end(struct sim *s)
{
	server_stop(s);
	store_close(s->store, false);
	apply_free(&s->apply);
	buf_free(&s->reply);
	buf_free(&s->out);
	buf_free(&s->late.args);
	region_free(s->query.region);
	for (size_t i = 0; i < WATCHERS; i++)
		buf_free(&s->watchers[i].body);
	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		for (size_t k = 0; k < NODES; k++)
			buf_free(&s->subscribers[i].node_copies[k]);
		for (size_t k = 0; k < NAMES; k++)
			buf_free(&s->subscribers[i].health_copies[k]);
	}
	for (size_t i = 0; i < s->entry_count; i++)
		buf_free(&s->entries[i].body);
	free(s->entries);
	free(s->model);
	ev_loop_destroy(s->loop);
}

static void
run_steps(struct sim *s)
{
	for (int step = 0; step < STEPS; step++) {
		watchers_ask(s);
		watchers_leave(s);
		step_batch(s);
		verification_ends(s);
		subscribers_read(s);
		time_passes(s);
		if (roll(&s->random, 60) == 0)
			step_replace(s);
		if (roll(&s->random, 60) == 0)
			step_restart(s);
	}
	totals->seeds++;
}

/* Each seed in a process of its own, so that one alone goes as it went among others. true: it passed. */
static bool
run_seed(uint64_t seed)
{
	struct sim *s = xcalloc(1, sizeof *s);
	char *dir = mmap(NULL, sizeof s->dir, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	fflush(stdout);
	if (dir == MAP_FAILED || (pid = fork()) == -1) {
		perror("catalogd_watch_sim");
		exit(1);
	}
	if (pid == 0) {
		sim_start(s, seed);
		memcpy(dir, s->dir, sizeof s->dir);
		run_steps(s);
		sim_end(s);
		fflush(stdout);
		_exit(0);
	}
	free(s);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (store_erase(dir) == -1 || rmdir(dir) == -1)
		perror(dir);
	(void)munmap(dir, sizeof s->dir);
	if (WIFSIGNALED(status))
		printf("not ok 1 - seed %" PRIu64 ": died by signal %d\n", seed, WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
totals_start(void)
{
	totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (totals == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	history_init();
}

#ifndef SIM_PLANTED
static int64_t
wall_ns(void)
{
	struct timespec now;

	(void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int
main(int argc, char **argv)
{
	int64_t start_ns = wall_ns();
	bool good = true;

	totals_start();
	if (argc > 1)
		good = run_seed(strtoull(argv[1], NULL, 10));
	else
		for (uint64_t seed = 1;
		     good && seed <= SEEDS && (seed <= SEEDS_MIN || wall_ns() - start_ns < SECONDS * NS_PER_S); seed++)
			good = run_seed(seed);
	if (!good)
		return 1;
	printf("ok 1 - %" PRIu64 " seeds, %" PRIu64 " entries in %" PRIu64 " batches: %" PRIu64 " questions, %" PRIu64
	       " answered at once, %" PRIu64 " woken (%" PRIu64 " without a change, as the spec allows), %" PRIu64
	       " slept on below their index, %" PRIu64 " timeouts, %" PRIu64 " cancelled, %" PRIu64
	       " verifications, %" PRIu64 " refused by them, %" PRIu64 " indexes of prefixes gone back, %" PRIu64
	       " notices, %" PRIu64 " resets, %" PRIu64 " restarts, %" PRIu64 " with a store made again, %" PRIu64
	       " states replaced\n",
	    totals->seeds, totals->entries, totals->batches, totals->asked, totals->at_once, totals->woken,
	    totals->allowed, totals->slept, totals->timeouts, totals->cancelled, totals->verified, totals->refused,
	    totals->went_back, totals->elements, totals->resets, totals->restarts, totals->rebuilds, totals->replaced);
	return 0;
}
#endif

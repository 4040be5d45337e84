/*
 * ask.c - questions to the neighbours, and their indexed answers as JSON (contract: ask.h; callers: api_*.c)
 *
 * An answer is gone over once: the data stands before the metadata, so the JSON is written while the map is walked, and the headers, which go
 * out first, are made from what stood behind it.
 */
#include "ask.h"

#include "copies.h"
#include "duration.h"
#include "json.h"
#include "log.h"
#include "reply.h"

#define WRITE_TIMEOUT_MS 60000
#define SLACK_MS 10000 /* for the neighbour's own deadlines to come first */

struct buf *
ask_args(void)
{
	static struct buf args = {.max = 8u * 1024 * 1024};

	if (args.size > 256u * 1024)
		buf_free(&args);
	buf_clear(&args);
	return &args;
}

int
ask_list(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	return schema_list_to_json(form->schema, in, out, reply_json_flags(x)) == -1 ? -1 : 200;
}

int
ask_map(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	return schema_map_to_json(form->schema, in, out, reply_json_flags(x)) == -1 ? -1 : 200;
}

int
ask_one(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	if (mp_nil(in)) {
		buf_put_str(out, "null");
		return 200;
	}
	return schema_to_json(form->schema, in, out, reply_json_flags(x)) == -1 ? -1 : 200;
}

int
ask_any(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	(void)form;
	return json_from_mp(in, out, reply_json_flags(x)) == -1 ? -1 : 200;
}

static void
meta_field(struct exchange *x, struct query_meta *m, struct bytes key, struct mp *in)
{
	if (bytes_is(key, "Index"))
		m->index = mp_uint(in);
	else if (bytes_is(key, "LastContact"))
		m->last_contact = mp_int(in);
	else if (bytes_is(key, "KnownLeader"))
		m->known_leader = mp_bool(in);
	else if (bytes_is(key, "ConsistencyLevel"))
		m->consistency_level = mp_str(in);
	else if (bytes_is(key, "ResultsFilteredByACLs"))
		m->results_filtered_by_acls = mp_bool(in);
	else if (bytes_is(key, "Versions"))
		copies_claim(x, in);
	else
		mp_skip(in);
}

static void
formed_ok(struct exchange *x, const struct ipc_answer *a)
{
	const struct ask_form *form = x->form;
	struct query_meta meta = {.index = 0};
	struct mp in = mp_of(a->body);
	struct buf *out = reply_body();
	int status = -1;

	if (form->key == NULL) {
		status = form->encode(x, form, &in, out);
	} else {
		uint32_t pairs = mp_map(&in);

		for (uint32_t i = 0; i < pairs && mp_ok(&in); i++) {
			struct bytes key = mp_str(&in);

			if (!bytes_is(key, form->key)) {
				meta_field(x, &meta, key, &in);
				continue;
			}
			status = form->encode(x, form, &in, out);
			if (status == -1)
				break;
		}
	}
	if (status == -1 || !mp_ok(&in)) {
		log_errorx(
		    "agent.http", "an answer could not be read: route=%s", x->route == NULL ? "" : x->route->path);
		reply_error(x, 500, "rpc error: malformed answer");
		return;
	}
	if (meta.consistency_level.size == 0) /* servers of the reference leave it to who asks */
		meta.consistency_level = bytes_str((x->flags & REPLY_STALE) != 0        ? "stale"
						   : (x->flags & REPLY_CONSISTENT) != 0 ? "consistent"
											: "leader");
	if (form->key != NULL && status != ASK_GONE)
		reply_meta(&meta, (x->route->flags & ROUTE_CONSISTENCY) != 0);
	if (status == 404 || status == ASK_GONE)
		reply_send(x, 404, NULL, bytes_of(NULL, 0));
	else if ((x->flags & REPLY_RAW) != 0)
		reply_send(x, 200, "text/plain", buf_bytes(out));
	else
		reply_json(x, (unsigned)status);
}

void
ask_formed(struct exchange *x, const struct ipc_answer *a)
{
	static const struct query_meta NONE = {.index = 1};

	if (a->status == IPC_OK) {
		if (!reply_shared(x, a))
			formed_ok(x, a);
		return;
	}
	if ((x->route->flags & ROUTE_META_ALWAYS) != 0)
		reply_meta(&NONE, false);
	reply_failure(x, a);
}

/* The one callback of all calls. */
static void
on_answer(void *ctx, const struct ipc_answer *a)
{
	struct exchange *x = ctx;

	if (!a->more)
		x->call = NULL;
	x->answer(x, a);
}

static void
ask(struct exchange *x, const char *peer, const char *method, struct bytes args, unsigned flags, int64_t timeout_ms,
    void (*answer)(struct exchange *, const struct ipc_answer *))
{
	struct ipc_peer *p = daemon_peer(config.daemon, peer);
	struct ipc_call_options options = {.timeout_ms = timeout_ms, .flags = flags, .fd = -1};

	/* A neighbour that is not there is awaited as long as a leader would be, not as long as an answer. */
	if (!ipc_peer_connected(p) && !x->waits)
		options.timeout_ms = config.rpc_hold_ns / NS_PER_MS;
	x->answer = answer;
	x->call = ipc_call(p, method, args, &options, on_answer, x);
}

void
ask_once(struct exchange *x, const char *peer, const char *method, struct bytes args,
    void (*answer)(struct exchange *x, const struct ipc_answer *a))
{
	ask(x, peer, method, args, 0, WRITE_TIMEOUT_MS, answer);
}

void
ask_again(struct exchange *x, const char *peer, const char *method, struct bytes args, int64_t wait_ns,
    void (*answer)(struct exchange *x, const struct ipc_answer *a))
{
	int64_t timeout_ms = config.rpc_hold_ns / NS_PER_MS + SLACK_MS;

	if (wait_ns > 0) {
		x->waits = true;
		timeout_ms += (wait_ns + wait_ns / 16) / NS_PER_MS;
	}
	ask(x, peer, method, args, IPC_RESEND, timeout_ms, answer);
}

void
ask_stream(struct exchange *x, const char *peer, const char *method, struct bytes args, uint32_t credit,
    void (*answer)(struct exchange *x, const struct ipc_answer *a))
{
	struct ipc_call_options options = {.credit = credit, .fd = -1};

	x->answer = answer;
	x->call = ipc_call(daemon_peer(config.daemon, peer), method, args, &options, on_answer, x);
}

/* How long the servers hold this read; 0: it is answered at once. */
static int64_t
held_ns(const struct query *q)
{
	if (q->index == 0)
		return 0;
	if (q->wait_ns <= 0)
		return config.default_query_ns;
	return MIN(q->wait_ns, config.max_query_ns);
}

#define CACHED_ENTRIES 4096 /* a power of two */
#define CACHED_LIFE_NS (72 * 3600 * NS_PER_S)

void
ask_cached(struct exchange *x, const char *method, struct bytes args, bool refresh)
{
	static struct {
		uint64_t hash;
		int64_t used_ns;
	} seen[CACHED_ENTRIES];
	int64_t now = monotime_now().ns;
	uint64_t h = UINT64_C(14695981039346656037);
	size_t at;

	for (const char *p = method; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
	for (size_t i = 0; i < args.size; i++)
		h = (h ^ args.data[i]) * UINT64_C(1099511628211);
	at = (size_t)(h ^ h >> 32) & (CACHED_ENTRIES - 1);
	x->flags |= seen[at].hash == h && now - seen[at].used_ns < CACHED_LIFE_NS && !refresh ? REPLY_HIT : REPLY_MISS;
	seen[at].hash = h;
	seen[at].used_ns = now;
}

/* The arguments as they would be without index and wait. */
static void
note_cached(struct request *r, const char *method, const struct schema *s, const void *args)
{
	static uint8_t plain[1024];
	const struct field *index = schema_field(s, "MinQueryIndex"), *wait = schema_field(s, "MaxQueryTime");
	struct buf *b = ask_args();

	if (s->size > sizeof plain || index == NULL || wait == NULL)
		return;
	memcpy(plain, args, s->size);
	memset(plain + index->offset, 0, sizeof(uint64_t));
	memset(plain + wait->offset, 0, sizeof(int64_t));
	schema_encode(s, plain, b);
	ask_cached(r->x, method, buf_bytes(b), false);
}

void
ask_read(struct request *r, const char *peer, const char *method, const struct schema *s, const void *args,
    const struct ask_form *form)
{
	struct buf *b;

	if (r->query.cached && (r->route->flags & ROUTE_CACHED) != 0)
		note_cached(r, method, s, args);
	b = ask_args();
	schema_encode(s, args, b);
	r->x->form = form;
	ask_again(r->x, peer, method, buf_bytes(b), held_ns(&r->query), ask_formed);
}

void
ask_done(struct exchange *x, const struct ipc_answer *a)
{
	if (a->status == IPC_OK)
		reply_done(x);
	else
		reply_failure(x, a);
}

void
ask_true(struct exchange *x, const struct ipc_answer *a)
{
	if (a->status == IPC_OK) {
		buf_put_str(reply_body(), "true");
		reply_json(x, 200);
	} else
		reply_failure(x, a);
}

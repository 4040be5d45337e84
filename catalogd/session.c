/*
 * session.c - sessions (facts: http-api-kv-session.md 2; callers: the endpoint and apply tables, nodes.c)
 *
 * A session never changes: it is created and it ends. What ends it (a destroy entry, a check, a node) ends it within that entry, with
 * all that follows: its keys are released or deleted, lock-delays begin, checks of type "session" become critical.
 *
 * Counter: "sessions". Watched: table "sessions" for lists, the ID for one session.
 */
#include "session.h"

#include <stdio.h>
#include <string.h>

#include "duration.h"
#include "frame.h"
#include "kv.h"
#include "nodes.h"
#include "query.h"
#include "structs.h"
#include "uuid.h"

#define TTL_MAX_NS (24 * 3600 * NS_PER_S)
#define CHECKS_MAX 1024
#define TEXT_SHOWN_MAX 200

static bool
session_find(struct store_txn *t, struct bytes id, struct session *out, struct bytes *record)
{
	const char *error;

	return id.size > 0 && store_get(t, STORE_SESSIONS, id, record) &&
	       schema_decode(&session_schema, *record, out, &error) == 0;
}

/* The check IDs that session is bound to, all kinds. -1: too many, or not lists. */
static int
bound_checks(const struct session *session, struct bytes *ids, size_t *count)
{
	const struct bytes lists[] = {session->checks, session->node_checks};
	struct mp in;

	*count = 0;
	for (size_t i = 0; i < COUNTOF(lists); i++) {
		in = mp_of(lists[i]);
		for (uint32_t n = lists[i].size == 0 ? 0 : mp_array(&in); n > 0; n--) {
			if (*count == CHECKS_MAX)
				return -1;
			ids[(*count)++] = mp_str(&in);
		}
		if (!mp_ok(&in))
			return -1;
	}
	in = mp_of(session->service_checks);
	for (uint32_t n = session->service_checks.size == 0 ? 0 : mp_array(&in); n > 0; n--) {
		if (*count == CHECKS_MAX)
			return -1;
		ids[(*count)++] = mp_find_str(mp_raw(&in), "ID");
	}
	return mp_ok(&in) ? 0 : -1;
}

static void
touch(struct apply *a, struct bytes id)
{
	store_index_set(a->txn, bytes_str("sessions"), a->index);
	apply_touch(a, WATCH_TABLE, bytes_str("sessions"));
	apply_touch(a, WATCH_SESSION, id);
}

static int
shown(struct bytes text)
{
	return (int)MIN(text.size, (size_t)TEXT_SHOWN_MAX);
}

/* ---- creating ---- */

static int
checks_judge(struct apply *a, const struct session *session, const struct bytes *ids, size_t count)
{
	struct health_check check;

	for (size_t i = 0; i < count; i++) {
		if (ids[i].size == 0)
			return apply_refuse(
			    a, 0, "failed check lookup: index error: object is missing a value for this index");
		if (!nodes_find_check(a->txn, session->node, ids[i], &check))
			return apply_refuse(
			    a, 0, "Missing check '%.*s' registration", shown(ids[i]), (const char *)ids[i].data);
		if (bytes_is(check.status, "critical") && !bytes_is(check.type, "session"))
			return apply_refuse(
			    a, 0, "Check '%.*s' is in critical state", shown(ids[i]), (const char *)ids[i].data);
	}
	return 0;
}

static int
apply_create(struct apply *a, struct session *session)
{
	struct bytes ids[CHECKS_MAX], node;
	struct buf record = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct node found;
	size_t count;

	if (session->id.size == 0)
		return apply_refuse(a, 0, "missing session ID");
	if (!nodes_find(a->txn, session->node, &found))
		return apply_refuse(a, 0, "Missing node registration");
	if (bound_checks(session, ids, &count) == -1)
		return apply_refuse(a, 0, "more than %d checks", CHECKS_MAX);
	if (checks_judge(a, session, ids, count) == -1)
		return -1;
	node = nodes_fold(a->region, session->node);
	session->create_index = session->modify_index = a->index;
	schema_encode(&session_schema, session, &record);
	store_put(a->txn, STORE_SESSIONS, session->id, buf_bytes(&record));
	buf_free(&record);
	store_put(a->txn, STORE_SESSION_NODES, STORE_KEY(apply_key(a, 0), node, session->id), bytes_of(NULL, 0));
	for (size_t i = 0; i < count; i++)
		store_put(a->txn, STORE_SESSION_CHECKS,
		    STORE_KEY(apply_key(a, 0), node, nodes_fold(a->region, ids[i]), session->id), bytes_of(NULL, 0));
	touch(a, session->id);
	if (session->name.size > 0)
		nodes_session_checks(a, session->node, session->name, "passing",
		    region_printf(
			a->region, "Session '%.*s' in force", shown(session->id), (const char *)session->id.data));
	mp_put_bytes(a->reply, session->id);
	return 0;
}

/* ---- ending ---- */

static void
checks_unbind(struct apply *a, const struct session *session, struct bytes node)
{
	struct bytes ids[CHECKS_MAX];
	size_t count;

	if (bound_checks(session, ids, &count) == -1)
		return;
	for (size_t i = 0; i < count; i++)
		store_delete(a->txn, STORE_SESSION_CHECKS,
		    STORE_KEY(apply_key(a, 0), node, nodes_fold(a->region, ids[i]), session->id));
}

static void
keys_end(struct apply *a, const struct session *session)
{
	struct bytes prefix = region_copy(a->region, STORE_KEY(apply_key(a, 0), session->id));
	bool remove = bytes_is(session->behavior, "delete");
	struct buf list = BUF_INIT(UINT32_MAX);
	struct store_cursor c;
	struct mp in;

	for (store_scan(&c, a->txn, STORE_SESSION_KEYS, prefix); store_next(&c);) {
		struct bytes key = c.key;
		struct buf *part = apply_key(a, 1);

		buf_clear(part);
		if (store_key_take(&key, NULL) && store_key_take(&key, part))
			mp_put_bytes(&list, buf_bytes(part));
	}
	store_scan_end(&c);
	in = mp_of(buf_bytes(&list));
	while (mp_peek(&in) == MP_STR) {
		struct bytes key = mp_str(&in);

		kv_session_ended(a, key, remove, session->lock_delay);
		/* Normally gone with the holder; but no session may leave rows behind. */
		store_delete(a->txn, STORE_SESSION_KEYS, STORE_KEY(apply_key(a, 1), session->id, key));
	}
	buf_free(&list);
}

/* Ends the session called id, if there is one. */
static void
session_end(struct apply *a, struct bytes id)
{
	struct session session;
	struct bytes record, node;
	const char *error;

	if (!session_find(a->txn, id, &session, &record))
		return;
	/* The record lives in the map only until the first write. */
	if (schema_decode(&session_schema, region_copy(a->region, record), &session, &error) == -1)
		return;
	node = nodes_fold(a->region, session.node);
	store_delete(a->txn, STORE_SESSIONS, session.id);
	store_delete(a->txn, STORE_SESSION_NODES, STORE_KEY(apply_key(a, 0), node, session.id));
	checks_unbind(a, &session, node);
	keys_end(a, &session);
	touch(a, session.id);
	if (session.name.size > 0)
		nodes_session_checks(a, session.node, session.name, "critical",
		    region_printf(
			a->region, "Session '%.*s' is invalid", shown(session.id), (const char *)session.id.data));
}

/* Ends all sessions whose row in table begins with prefix; the ID is the last part of the row's key. */
static void
sessions_end(struct apply *a, enum store_table table, struct bytes prefix, size_t parts_before)
{
	struct buf list = BUF_INIT(UINT32_MAX);
	struct store_cursor c;
	struct mp in;

	for (store_scan(&c, a->txn, table, prefix); store_next(&c);) {
		struct bytes key = c.key;
		struct buf *part = apply_key(a, 1);
		bool good = true;

		for (size_t i = 0; good && i < parts_before; i++)
			good = store_key_take(&key, NULL);
		buf_clear(part);
		if (good && store_key_take(&key, part))
			mp_put_bytes(&list, buf_bytes(part));
	}
	store_scan_end(&c);
	in = mp_of(buf_bytes(&list));
	while (mp_peek(&in) == MP_STR)
		session_end(a, mp_str(&in));
	buf_free(&list);
}

void
session_check_removed(struct apply *a, struct bytes node, struct bytes check_id)
{
	struct bytes key = STORE_KEY(apply_key(a, 0), nodes_fold(a->region, node), nodes_fold(a->region, check_id));

	sessions_end(a, STORE_SESSION_CHECKS, region_copy(a->region, key), 2);
}

void
session_check_critical(struct apply *a, struct bytes node, struct bytes check_id)
{
	session_check_removed(a, node, check_id);
}

void
session_node_removed(struct apply *a, struct bytes node)
{
	struct bytes key = STORE_KEY(apply_key(a, 0), nodes_fold(a->region, node));

	sessions_end(a, STORE_SESSION_NODES, region_copy(a->region, key), 1);
}

int
session_apply(struct apply *a, struct bytes body)
{
	struct session_request request;
	struct session session;
	const char *error;

	if (schema_decode(&session_request_schema, body, &request, &error) == -1 ||
	    schema_decode(&session_schema, request.session, &session, &error) == -1)
		return apply_refuse(a, 0, "bad entry: %s", error);
	if (bytes_is(request.op, "create"))
		return apply_create(a, &session);
	session_end(a, region_copy(a->region, session.id));
	mp_put_cstr(a->reply, "");
	return 0;
}

/* ---- writing ---- */

static int
ttl_judge(struct write *w, struct bytes text)
{
	char error[256], low[DURATION_TEXT_MAX], high[DURATION_TEXT_MAX];
	enum duration_error bad;
	int64_t ttl_ns;

	if (text.size == 0)
		return 0;
	bad = duration_parse(text, &ttl_ns);
	if (bad != DURATION_OK) {
		duration_error_text(bad, text, error, sizeof error);
		return write_fail(w, 0, "Session TTL '%.*s' invalid: %s", shown(text), (const char *)text.data, error);
	}
	if (ttl_ns != 0 && (ttl_ns < w->session_ttl_min_ns || ttl_ns > TTL_MAX_NS))
		return write_fail(w, 0, "Invalid Session TTL '%lld', must be between [%s=%s]", (long long)ttl_ns,
		    duration_format(w->session_ttl_min_ns, low), duration_format(TTL_MAX_NS, high));
	return 0;
}

static int
create_judge(struct write *w, struct session *session)
{
	char id[UUID_TEXT_SIZE];

	if (session->node.size == 0)
		return write_fail(w, 0, "Must provide Node");
	if (session->behavior.size == 0)
		session->behavior = bytes_str("release");
	else if (!bytes_is(session->behavior, "release") && !bytes_is(session->behavior, "delete"))
		return write_fail(w, 0, "Invalid Behavior setting '%.*s'", shown(session->behavior),
		    (const char *)session->behavior.data);
	if (ttl_judge(w, session->ttl) == -1)
		return -1;
	do
		uuid_new(id);
	while (store_has(w->txn, STORE_SESSIONS, bytes_str(id)));
	session->id = bytes_str(region_strndup(w->region, id, strlen(id)));
	return 0;
}

int
session_write(struct write *w)
{
	struct session_request request;
	struct session session;
	struct buf encoded = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	const char *error;

	if (write_args(w, &session_request_schema, &request) == -1)
		return -1;
	if (schema_decode(&session_schema, request.session, &session, &error) == -1)
		return write_fail(w, 400, "rpc: bad arguments: %s", error);
	if (bytes_is(request.op, "destroy")) {
		struct bytes id = session.id;

		if (id.size == 0)
			return write_fail(w, 0, "Must provide ID");
		session = (struct session){.id = id};
	} else if (bytes_is(request.op, "create")) {
		if (create_judge(w, &session) == -1)
			return -1;
	} else
		return write_fail(
		    w, 0, "Invalid session operation \"%.*s\"", shown(request.op), (const char *)request.op.data);
	schema_encode(&session_schema, &session, &encoded);
	request.session = buf_bytes(&encoded);
	request.token = bytes_of(NULL, 0);
	request.datacenter = bytes_of(NULL, 0);
	schema_encode(&session_request_schema, &request, w->body);
	buf_free(&encoded);
	w->type = APPLY_TYPE_SESSION;
	w->error_prefix = "apply failed: ";
	return 0;
}

/* ---- reading ---- */

static void
begin(struct query *q)
{
	query_index(q, MAX(store_index(q->txn, bytes_str("sessions")), 1));
	query_begin(q, 1);
	mp_put_cstr(q->out, "Sessions");
}

int
session_get(struct query *q)
{
	struct bytes id = mp_find_str(q->args, "SessionID"), record;

	if (id.size == 0)
		id = mp_find_str(q->args, "Session"); /* of agents before 1.8 */
	query_watch(q, WATCH_SESSION, id);
	begin(q);
	if (id.size > 0 && store_get(q->txn, STORE_SESSIONS, id, &record)) {
		mp_put_array(q->out, 1);
		buf_put_bytes(q->out, record);
	} else {
		mp_put_array(q->out, 0);
		q->not_found = true;
	}
	return 0;
}

int
session_list(struct query *q)
{
	struct store_cursor c;
	uint32_t count = 0;
	size_t place;

	query_watch(q, WATCH_TABLE, bytes_str("sessions"));
	begin(q);
	place = mp_open_array(q->out);
	for (store_scan(&c, q->txn, STORE_SESSIONS, bytes_of(NULL, 0)); store_next(&c); count++)
		buf_put_bytes(q->out, c.value);
	store_scan_end(&c);
	mp_close(q->out, place, count);
	return 0;
}

int
session_node_sessions(struct query *q)
{
	struct bytes node = mp_find_str(q->args, "Node"), record;
	struct store_cursor c;
	struct buf *id = query_key(q, 1);
	uint32_t count = 0;
	size_t place;

	query_watch(q, WATCH_TABLE, bytes_str("sessions"));
	begin(q);
	place = mp_open_array(q->out);
	for (store_scan(&c, q->txn, STORE_SESSION_NODES, STORE_KEY(query_key(q, 0), nodes_fold(q->region, node)));
	     store_next(&c);) {
		struct bytes key = c.key;

		buf_clear(id);
		if (!store_key_take(&key, NULL) || !store_key_take(&key, id) ||
		    !store_get(q->txn, STORE_SESSIONS, buf_bytes(id), &record))
			continue;
		buf_put_bytes(q->out, record);
		count++;
	}
	store_scan_end(&c);
	mp_close(q->out, place, count);
	return 0;
}

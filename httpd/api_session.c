/*
 * api_session.c - /v1/session (http-api-kv-session.md 2)
 */
#include "api.h"
#include "ask.h"
#include "duration.h"
#include "json.h"
#include "reply.h"

#include <stdlib.h>

#define LOCK_DELAY_DEFAULT_NS (15 * NS_PER_S)
#define LOCK_DELAY_SECONDS_BELOW                                                                                       \
	1000 /* smaller numbers are seconds, larger ones nanoseconds; so are parsed texts (sic) */

/* What a client may send; unknown keys are ignored. LockDelay takes several types. */
#define SESSION_BODY_FIELDS(F)                                                                                         \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(STR, "Node", node, 0, NULL, NULL, "default: the agent's node")                                               \
	F(ANY, "LockDelay", lock_delay, 0, NULL, NULL, "text, or a number of seconds below 1000, else of ns")          \
	F(STR, "Behavior", behavior, 0, NULL, NULL, "release or delete")                                               \
	F(STR, "TTL", ttl, 0, NULL, NULL, "")                                                                          \
	F(STRLIST, "NodeChecks", node_checks, 0, NULL, NULL, "default: serfHealth")                                    \
	F(LIST, "ServiceChecks", service_checks, 0, &service_check_schema, NULL, "")                                   \
	F(STRLIST, "Checks", checks, 0, NULL, NULL, "the form before 1.7")
SCHEMA_DECLARE(session_body, SESSION_BODY_FIELDS)
SCHEMA_DEFINE(session_body, "Session", SESSION_BODY_FIELDS, SCHEMA_ALIAS | SCHEMA_OPEN)

static const struct ask_form SESSIONS = {"Sessions", ask_list, &session_schema};

/* [ "serfHealth" ] */
static const uint8_t SERF_HEALTH[] = {0x91, 0xaa, 's', 'e', 'r', 'f', 'H', 'e', 'a', 'l', 't', 'h'};
static const uint8_t EMPTY_LIST[] = {0x90};

/* Which of the keys that have defaults are there at all (null counts): the body as a free-form value tells, the table does not. */
struct given {
	bool node, lock_delay, node_checks, checks;
};

static void
find_given(struct bytes body, struct given *g)
{
	struct buf b = BUF_INIT(REQUEST_BODY_BYTES_MAX * 2);
	struct json_error error;
	struct mp in;
	uint32_t pairs;

	memset(g, 0, sizeof *g);
	if (json_to_mp(body, &b, &error) == 0) {
		in = mp_of(buf_bytes(&b));
		pairs = mp_peek(&in) == MP_MAP ? mp_map(&in) : 0;
		for (; pairs > 0 && mp_ok(&in); pairs--) {
			struct bytes key = mp_str(&in);

			g->node |= bytes_equal_fold(key, bytes_str("Node")) && mp_peek(&in) != MP_NIL;
			g->lock_delay |= bytes_equal_fold(key, bytes_str("LockDelay"));
			g->node_checks |= bytes_equal_fold(key, bytes_str("NodeChecks"));
			g->checks |= bytes_equal_fold(key, bytes_str("Checks"));
			mp_skip(&in);
		}
	}
	buf_free(&b);
}

/* false: refused. */
static bool
lock_delay_of(struct request *r, struct bytes value, int64_t *ns)
{
	struct mp in = mp_of(value);
	struct bytes text;
	enum duration_error e;

	*ns = 0;
	switch (mp_peek(&in)) {
	case MP_NIL:
	case MP_END:
		*ns = LOCK_DELAY_DEFAULT_NS;
		return true;
	case MP_STR:
		text = mp_str(&in);
		e = duration_parse(text, ns);
		if (e != DURATION_OK) {
			char why[256];

			duration_error_text(e, text, why, sizeof why);
			reply_error(r->x, 400, "Request decode failed: %s", why);
			return false;
		}
		break;
	case MP_UINT:
	case MP_INT:
		*ns = mp_int(&in);
		break;
	case MP_FLOAT: {
		double number = mp_float(&in);

		*ns = number > -9e18 && number < 9e18 ? (int64_t)number : 0;
		break;
	}
	default:
		return true;
	}
	if (*ns < LOCK_DELAY_SECONDS_BELOW)
		*ns = *ns > -9000000000 ? *ns * NS_PER_S : INT64_MIN;
	return true;
}

static uint32_t
list_count(struct bytes list)
{
	struct mp in = mp_of(list);

	return list.size == 0 || mp_peek(&in) != MP_ARRAY ? 0 : mp_array(&in);
}

/* The three rules for the legacy list, in this order. */
static void
normalise_checks(struct session *s, const struct given *g)
{
	if (!g->node_checks)
		s->node_checks = bytes_of(SERF_HEALTH, sizeof SERF_HEALTH);
	if (g->checks && list_count(s->checks) == 0) {
		s->checks = bytes_of(NULL, 0);
		s->node_checks = bytes_of(EMPTY_LIST, sizeof EMPTY_LIST);
	} else if (!g->checks || bytes_equal(s->checks, bytes_of(SERF_HEALTH, sizeof SERF_HEALTH)) ||
		   list_count(s->node_checks) == 0)
		s->checks = bytes_of(NULL, 0);
	if (g->node_checks && list_count(s->node_checks) == 0)
		s->node_checks = bytes_of(EMPTY_LIST, sizeof EMPTY_LIST);
}

static void
answer_id(struct exchange *x, const struct ipc_answer *a)
{
	struct mp in = mp_of(a->body);
	struct buf *b = reply_body();

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	if (reply_json_flags(x) != 0)
		buf_put_str(b, "{\n    \"ID\": ");
	else
		buf_put_str(b, "{\"ID\":");
	json_put_str(b, mp_str(&in));
	buf_put_str(b, reply_json_flags(x) != 0 ? "\n}" : "}");
	reply_json(x, 200);
}

/* Session.Apply with op and s. */
static void
apply(struct request *r, const char *op, const struct session *s,
    void (*answer)(struct exchange *, const struct ipc_answer *))
{
	struct session_request args = {.datacenter = r->dc, .op = bytes_str(op), .token = r->token};
	struct buf nested = BUF_INIT(REQUEST_BODY_BYTES_MAX * 2), *b = ask_args();

	schema_encode(&session_schema, s, &nested);
	args.session = buf_bytes(&nested);
	schema_encode(&session_request_schema, &args, b);
	buf_free(&nested);
	ask_once(r->x, "catalogd", "Session.Apply", buf_bytes(b), answer);
}

void
session_create(struct request *r)
{
	struct session s = {.behavior = bytes_str("release")};
	struct session_body body = {.name = bytes_of(NULL, 0)};
	struct buf decoded = BUF_INIT(REQUEST_BODY_BYTES_MAX * 4);
	struct given given = {.node = false};
	const char *error;
	bool has_body = r->head->has_length && r->head->length > 0;

	if (has_body) {
		if (!request_decode(r, &session_body_schema, &decoded))
			goto done;
		if (schema_decode(&session_body_schema, buf_bytes(&decoded), &body, &error) == -1) {
			reply_error(r->x, 400, "Request decode failed: %s", error);
			goto done;
		}
		find_given(r->body, &given);
	}
	s.name = body.name;
	s.node = given.node ? body.node : bytes_str(config.node_name);
	if (body.behavior.size > 0)
		s.behavior = body.behavior;
	s.ttl = body.ttl;
	s.node_checks = body.node_checks;
	s.service_checks = body.service_checks;
	s.checks = body.checks;
	if (!lock_delay_of(r, body.lock_delay, &s.lock_delay))
		goto done;
	normalise_checks(&s, &given);
	apply(r, "create", &s, answer_id);
done:
	buf_free(&decoded);
}

static bool
missing_session(struct request *r)
{
	if (r->arg.size > 0)
		return false;
	reply_error(r->x, 400, "Missing session");
	return true;
}

void
session_destroy(struct request *r)
{
	struct session s = {.id = r->arg};

	if (!missing_session(r))
		apply(r, "destroy", &s, ask_true);
}

/* The renewed session as a list of one. The ID for the 404 is not in the answer, so it is kept in the exchange. */
static void
answer_renewed(struct exchange *x, const struct ipc_answer *a)
{
	struct mp map = mp_of(a->body), list;
	struct buf *b = reply_body();

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	if (!mp_find(map, "Sessions", &list) || mp_nil(&list)) {
		reply_error(x, 404, "Session id '%s' not found", (const char *)x->more);
		return;
	}
	struct mp count = list;

	if (mp_array(&count) == 0)
		reply_error(x, 404, "Session id '%s' not found", (const char *)x->more);
	else if (schema_list_to_json(&session_schema, &list, b, reply_json_flags(x)) == -1)
		reply_error(x, 500, "rpc error: malformed answer");
	else
		reply_json(x, 200);
}

static void
free_more(struct exchange *x)
{
	free(x->more);
}

static struct session_specific_request
specific(struct request *r)
{
	struct session_specific_request args = {.session_id = r->arg, .session = r->arg};

	REQUEST_OPTIONS(r, &args);
	return args;
}

void
session_renew(struct request *r)
{
	struct session_specific_request args;
	struct buf *b = ask_args();

	if (missing_session(r))
		return;
	args = specific(r);
	args.min_query_index = 0;
	schema_encode(&session_specific_request_schema, &args, b);
	r->x->more = bytes_dup(r->arg);
	r->x->ended = free_more;
	ask_once(r->x, "catalogd", "Session.Renew", buf_bytes(b), answer_renewed);
}

void
session_info(struct request *r)
{
	struct session_specific_request args;

	if (missing_session(r))
		return;
	args = specific(r);
	ask_read(r, "catalogd", "Session.Get", &session_specific_request_schema, &args, &SESSIONS);
}

void
session_node(struct request *r)
{
	struct node_request args = {.node = r->arg};

	if (r->arg.size == 0) {
		reply_error(r->x, 400, "Missing node name");
		return;
	}
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Session.NodeSessions", &node_request_schema, &args, &SESSIONS);
}

void
session_list(struct request *r)
{
	struct dc_request args = {.datacenter = r->dc};

	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Session.List", &dc_request_schema, &args, &SESSIONS);
}

/*
 * later.c - endpoints of capabilities that this version does not have (contract: later.h; caller: request.c)
 *
 * Nothing is pretended: what is asked for is refused with a text that names it. A body that is not JSON at all, or that is of
 * the wrong kind or size, is refused for that reason first, so that a client's mistake shows itself now and not with the upgrade.
 */
#include "later.h"

#include "json.h"
#include "reply.h"

static const struct {
	const char *path;
	enum http1_method method;
	unsigned status;
	const char *prefix;
	const char *type; /* the reference's name of what the body should be */
	enum mp_type kind;
} BODIES[] = {
    {"/v1/txn", HTTP1_PUT, 400, "Failed to parse body: ", "api.TxnOps", MP_ARRAY},
    {"/v1/query", HTTP1_POST, 400, "Request decode failed: ", "structs.PreparedQuery", MP_MAP},
    {"/v1/query/", HTTP1_PUT, 400, "Request decode failed: ", "structs.PreparedQuery", MP_MAP},
    {"/v1/config", HTTP1_PUT, 400, "Request decoding failed: ", "structs.ConfigEntry", MP_MAP},
    {"/v1/connect/intentions", HTTP1_POST, 500, "Failed to decode request body: ", "structs.Intention", MP_MAP},
    {"/v1/connect/intentions/exact", HTTP1_PUT, 400, "Request decode failed: ", "structs.Intention", MP_MAP},
    {"/v1/connect/ca/configuration", HTTP1_PUT, 400, "Request decode failed: ", "structs.CAConfiguration", MP_MAP},
    {"/v1/agent/connect/authorize", HTTP1_POST, 400, "Request decode failed: ", "structs.ConnectAuthorizeRequest",
	MP_MAP},
    {"/v1/peering/token", HTTP1_POST, 400, "Body decoding failed: ", "pbpeering.GenerateTokenRequest", MP_MAP},
    {"/v1/peering/establish", HTTP1_POST, 400, "Body decoding failed: ", "pbpeering.EstablishRequest", MP_MAP},
};

static const char *
kind_name(enum mp_type kind)
{
	switch (kind) {
	case MP_STR:
		return "string";
	case MP_ARRAY:
		return "array";
	case MP_MAP:
		return "object";
	case MP_BOOL:
		return "bool";
	default:
		return "number";
	}
}

/* true: the body is wrong and the request has been refused. */
static bool
refuses_body(struct request *r, size_t row)
{
	struct buf b = BUF_INIT(CONN_BODY_BYTES_MAX * 2);
	struct json_error error;
	bool refused = true;

	if (json_to_mp(r->body, &b, &error) == -1) {
		reply_error(r->x, BODIES[row].status, "%s%s", BODIES[row].prefix, error.text);
	} else {
		struct mp in = mp_of(buf_bytes(&b));
		enum mp_type kind = mp_peek(&in);

		refused = kind != BODIES[row].kind && kind != MP_NIL;
		if (refused)
			reply_error(r->x, BODIES[row].status, "%sjson: cannot unmarshal %s into Go value of type %s",
			    BODIES[row].prefix, kind_name(kind), BODIES[row].type);
	}
	buf_free(&b);
	return refused;
}

void
later_answer(struct request *r)
{
	if ((r->route->flags & ROUTE_BODY_TXN) != 0 &&
	    (r->too_large || r->body_size > (uint64_t)config.txn_bytes_max)) {
		reply_error(r->x, 413,
		    "Request body(%llu bytes) too large, max size: %lld bytes. See "
		    "https://developer.hashicorp.com/docs/agent/config/config-files#txn_max_req_len.",
		    (unsigned long long)r->body_size, (long long)config.txn_bytes_max);
		return;
	}
	for (size_t i = 0; i < COUNTOF(BODIES); i++)
		if (BODIES[i].method == r->method && strcmp(BODIES[i].path, r->route->path) == 0 && refuses_body(r, i))
			return;
	reply_error(r->x, 500, "not supported by this version of consuld: %s", r->route->what);
}

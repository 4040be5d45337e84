/*
 * api_kv.c - /v1/kv (http-api-kv-session.md 1)
 */
#include "api.h"
#include "ask.h"
#include "json.h"
#include "reply.h"

/* One key: a list of one entry, or its value alone. */
static int
encode_entry(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	struct dir_entry entry;
	const char *error;

	if (mp_peek(in) == MP_NIL) {
		(void)mp_nil(in);
		return 404;
	}
	if ((x->flags & REPLY_RAW) == 0) {
		struct mp list = *in;

		if (mp_array(&list) == 0) {
			*in = list;
			return mp_ok(in) ? 404 : -1;
		}
		return ask_list(x, form, in, out);
	}
	if (mp_array(in) == 0)
		return mp_ok(in) ? 404 : -1;
	if (schema_decode_at(&dir_entry_schema, in, &entry, &error) == -1)
		return -1;
	buf_put_bytes(out, entry.value);
	reply_header("X-Content-Type-Options", "nosniff");
	reply_header("Content-Security-Policy", "sandbox");
	return 200;
}

static int
encode_keys(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	struct mp list = *in;
	uint32_t count = mp_nil(&list) ? 0 : mp_array(&list);

	if (count > 0)
		return ask_any(x, form, in, out);
	*in = list;
	if (!mp_ok(in))
		return -1;
	buf_put_str(out, "[]");
	return 200;
}

/* Keys below a prefix that is not empty: none is a 404. */
static int
encode_keys_below(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	struct mp list = *in;

	if (!mp_nil(&list) && mp_array(&list) > 0)
		return ask_any(x, form, in, out);
	*in = list;
	return mp_ok(in) ? 404 : -1;
}

static const struct ask_form ENTRY = {"Entries", encode_entry, &dir_entry_schema};
static const struct ask_form KEYS = {"Keys", encode_keys, NULL};
static const struct ask_form KEYS_BELOW = {"Keys", encode_keys_below, NULL};

static bool
missing_key(struct request *r)
{
	if (r->arg.size > 0)
		return false;
	reply_error(r->x, 400, "Missing key name");
	return true;
}

static void
kv_get(struct request *r)
{
	bool keys = request_has(r, "keys"), recurse = request_has(r, "recurse");

	if (!keys && !recurse && missing_key(r))
		return;
	if (request_refuses_enterprise(r, false))
		return;
	if (keys) {
		struct key_list_request args = {.prefix = r->arg};

		args.separator = request_value(r, request_has(r, "separator") ? "separator" : "seperator");
		REQUEST_OPTIONS(r, &args);
		ask_read(r, "catalogd", "KVS.ListKeys", &key_list_request_schema, &args,
		    r->arg.size == 0 ? &KEYS : &KEYS_BELOW);
		return;
	}
	struct key_request args = {.key = r->arg};

	REQUEST_OPTIONS(r, &args);
	if (!recurse && request_has(r, "raw"))
		r->x->flags |= REPLY_RAW;
	ask_read(r, "catalogd", recurse ? "KVS.List" : "KVS.Get", &key_request_schema, &args, &ENTRY);
}

/* More than one of the conditions (n of them) is given: refused. */
static bool
conflicting(struct request *r, const char *const *keys, size_t n)
{
	size_t given = 0;
	struct bytes query;

	for (size_t i = 0; i < n; i++)
		given += request_has(r, keys[i]);
	if (given < 2)
		return false;
	query = params_encode(&r->params, r->region);
	reply_error(r->x, 400, "Conflicting flags: %.*s\n", (int)query.size, (const char *)query.data);
	return true;
}

static void
answer_bool(struct exchange *x, const struct ipc_answer *a)
{
	struct mp in = mp_of(a->body);

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	buf_put_str(reply_body(), mp_bool(&in) ? "true" : "false");
	reply_json(x, 200);
}

static void
apply(struct request *r, struct kvs_request *args, struct dir_entry *entry, bool conditional)
{
	static struct buf nested = {.max = CONN_BODY_BYTES_MAX + 4096};
	struct buf *b = ask_args();

	if (nested.size > 64u * 1024)
		buf_free(&nested);
	buf_clear(&nested);
	schema_encode(&dir_entry_schema, entry, &nested);
	args->datacenter = r->dc;
	args->token = r->token;
	args->dir_ent = buf_bytes(&nested);
	schema_encode(&kvs_request_schema, args, b);
	ask_once(r->x, "catalogd", "KVS.Apply", buf_bytes(b), conditional ? answer_bool : ask_true);
}

static void
kv_put(struct request *r)
{
	static const char *const CONDITIONS[] = {"cas", "acquire", "release"};
	struct kvs_request args = {.op = bytes_str("set")};
	struct dir_entry entry = {.key = r->arg, .value = r->body};
	bool conditional = true;

	if (missing_key(r) || request_refuses_enterprise(r, false) || conflicting(r, CONDITIONS, COUNTOF(CONDITIONS)))
		return;
	if (request_has(r, "flags") && !request_uint(r, "flags", &entry.flags))
		return;
	if (request_has(r, "cas")) {
		if (!request_uint(r, "cas", &entry.modify_index))
			return;
		args.op = bytes_str("cas");
	} else if (request_has(r, "acquire")) {
		entry.session = request_value(r, "acquire");
		args.op = bytes_str("lock");
	} else if (request_has(r, "release")) {
		entry.session = request_value(r, "release");
		args.op = bytes_str("unlock");
	} else
		conditional = false;
	if (r->too_large || r->body_size > (uint64_t)config.kv_value_max) {
		reply_error(r->x, 413,
		    "Request body(%llu bytes) too large, max size: %lld bytes. See "
		    "https://developer.hashicorp.com/docs/agent/config/config-files#kv_max_value_size.",
		    (unsigned long long)r->body_size, (long long)config.kv_value_max);
		return;
	}
	apply(r, &args, &entry, conditional);
}

static void
kv_delete(struct request *r)
{
	static const char *const CONDITIONS[] = {"recurse", "cas"};
	struct kvs_request args = {.op = bytes_str("delete")};
	struct dir_entry entry = {.key = r->arg};
	bool conditional = false;

	if ((!request_has(r, "recurse") && missing_key(r)) || request_refuses_enterprise(r, false) ||
	    conflicting(r, CONDITIONS, COUNTOF(CONDITIONS)))
		return;
	if (request_has(r, "recurse"))
		args.op = bytes_str("delete-tree");
	if (request_has(r, "cas")) {
		if (!request_uint(r, "cas", &entry.modify_index))
			return;
		args.op = bytes_str("delete-cas");
		conditional = true;
	}
	apply(r, &args, &entry, conditional);
}

void
kv_endpoint(struct request *r)
{
	switch (r->method) {
	case HTTP1_PUT:
		kv_put(r);
		break;
	case HTTP1_DELETE:
		kv_delete(r);
		break;
	default:
		kv_get(r);
	}
}

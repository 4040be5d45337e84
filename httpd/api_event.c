/*
 * api_event.c - /v1/event and /v1/operator/keyring: what is done in the gossip pools (http-api.md 15, 17.4)
 */
#include "api.h"
#include "ask.h"
#include "duration.h"
#include "reply.h"
#include "structs_gossip.h"

#include <string.h>

#define LIST_WAIT_MAX_NS (600 * NS_PER_S)
#define RELAY_FACTOR_MAX 5

/* ---- events ---- */

static void
fired(struct exchange *x, const struct ipc_answer *a)
{
	struct buf *b = reply_body();
	struct mp in;

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	in = mp_of(a->body);
	if (schema_to_json(&user_event_schema, &in, b, reply_json_flags(x)) == -1)
		reply_error(x, 500, "rpc error: malformed answer");
	else
		reply_json(x, 200);
}

void
event_fire(struct request *r)
{
	struct user_event e = {
	    .name = r->arg,
	    .payload = r->head->chunked ? (struct bytes){NULL, 0} : r->body,
	    .node_filter = request_value(r, "node"),
	    .service_filter = request_value(r, "service"),
	    .tag_filter = request_value(r, "tag"),
	};
	struct buf *b = ask_args();

	if (r->arg.size == 0) {
		reply_error(r->x, 400, "Missing name");
		return;
	}
	if (r->dc.size > 0 && !bytes_is(r->dc, config.datacenter)) {
		reply_error(r->x, 500, "No path to datacenter");
		return;
	}
	schema_encode(&user_event_schema, &e, b);
	ask_once(r->x, "gossipd", "Gossip.EventFire", buf_bytes(b), fired);
}

static void
listed(struct exchange *x, const struct ipc_answer *a)
{
	struct buf *b = reply_body();
	struct mp list;

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	if (!mp_find(mp_of(a->body), "Events", &list) ||
	    schema_list_to_json(&user_event_schema, &list, b, reply_json_flags(x)) == -1) {
		reply_error(x, 500, "rpc error: malformed answer");
		return;
	}
	reply_header("X-Consul-Index", "%llu", (unsigned long long)mp_find_uint(a->body, "Index"));
	reply_json(x, 200);
}

void
event_list(struct request *r)
{
	int64_t wait = r->query.wait_ns > 0 ? MIN(r->query.wait_ns, LIST_WAIT_MAX_NS) : LIST_WAIT_MAX_NS;
	struct gossip_event_list_request args = {
	    .name = request_value(r, "name"), .index = r->query.index, .max_query_time = wait};
	struct buf *b = ask_args();

	schema_encode(&gossip_event_list_request_schema, &args, b);
	ask_again(r->x, "gossipd", "Gossip.EventList", buf_bytes(b), r->query.index > 0 ? wait : 0, listed);
}

/* ---- keyring ---- */

#define KEY_BODY_FIELDS(F) F(STR, "Key", key, 0, NULL, NULL, "base64 of 16, 24 or 32 bytes")
SCHEMA_DECLARE(key_body, KEY_BODY_FIELDS)
SCHEMA_DEFINE(key_body, "agent.keyringArgs", KEY_BODY_FIELDS, 0)

/* Appends what a pool and its members complain of. Returns how many lines that is. */
static unsigned
put_complaints(const struct keyring_response *k, struct buf *out)
{
	struct mp in = mp_of(k->messages);
	unsigned count = 1;

	if (k->error.size == 0)
		return 0;
	if (k->wan)
		buf_printf(out, "\t* WAN error: ");
	else
		buf_printf(out, "\t* %.*s (LAN) error: ", (int)k->datacenter.size, (const char *)k->datacenter.data);
	buf_put_bytes(out, k->error);
	buf_put_u8(out, '\n');
	for (uint32_t n = k->messages.size > 0 && mp_peek(&in) == MP_MAP ? mp_map(&in) : 0; n > 0 && mp_ok(&in); n--) {
		struct bytes node = mp_str(&in), text = mp_str(&in);

		buf_put_str(out, "\t* ");
		buf_put_bytes(out, node);
		buf_put_str(out, ": ");
		buf_put_bytes(out, text);
		buf_put_u8(out, '\n');
		count++;
	}
	return count;
}

/* true: a pool or a member refused, and the request is answered with what they say. */
static bool
keyring_refused(struct exchange *x, struct mp list)
{
	struct buf text = BUF_INIT(REPLY_BODY_BYTES_MAX);
	struct keyring_response k;
	const char *error;
	unsigned count = 0;

	for (uint32_t n = mp_array(&list); n > 0; n--)
		if (schema_decode_at(&keyring_response_schema, &list, &k, &error) == 0)
			count += put_complaints(&k, &text);
	if (count > 0)
		reply_error(x, 500, "%u error%s occurred:\n%.*s\n", count, count == 1 ? "" : "s", (int)text.used,
		    (const char *)text.data);
	buf_free(&text);
	return count > 0;
}

static void
keyring_answer(struct exchange *x, const struct ipc_answer *a, bool lists)
{
	struct buf *b;
	struct mp list;

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	if (!mp_find(mp_of(a->body), "Responses", &list)) {
		reply_error(x, 500, "rpc error: malformed answer");
		return;
	}
	if (keyring_refused(x, list))
		return;
	if (!lists) {
		reply_done(x);
		return;
	}
	b = reply_body();
	if (schema_list_to_json(&keyring_response_schema, &list, b, reply_json_flags(x)) == -1)
		reply_error(x, 500, "rpc error: malformed answer");
	else
		reply_json(x, 200);
}

static void
keys_listed(struct exchange *x, const struct ipc_answer *a)
{
	keyring_answer(x, a, true);
}

static void
keys_changed(struct exchange *x, const struct ipc_answer *a)
{
	keyring_answer(x, a, false);
}

/* -1: refused. */
static int
relay_factor(struct request *r, uint64_t *out)
{
	struct bytes text = request_value(r, "relay-factor"), digits = text;
	bool negative = text.size > 0 && text.data[0] == '-';

	*out = 0;
	if (text.size == 0)
		return 0;
	if (negative || text.data[0] == '+')
		digits = bytes_of(text.data + 1, text.size - 1);
	if (bytes_to_u64(digits, out) == -1) {
		reply_error(r->x, 400, "Error parsing relay factor: strconv.Atoi: parsing \"%.*s\": invalid syntax",
		    (int)text.size, (const char *)text.data);
		return -1;
	}
	if (*out > RELAY_FACTOR_MAX || (negative && *out > 0)) {
		reply_error(
		    r->x, 400, "Invalid relay-factor: Relay factor must be in range: [0, %d]", RELAY_FACTOR_MAX);
		return -1;
	}
	return 0;
}

static int
local_only(struct request *r, bool *out)
{
	struct bytes text = request_value(r, "local-only");

	*out = false;
	if (text.size == 0)
		return 0;
	if (request_parse_bool(text, out) == -1) {
		reply_error(r->x, 400, "Error parsing local-only: strconv.ParseBool: parsing \"%.*s\": invalid syntax",
		    (int)text.size, (const char *)text.data);
		return -1;
	}
	if (*out && r->method != HTTP1_GET) {
		reply_error(r->x, 400, "Invalid use of local-only: local-only can only be set for list requests");
		return -1;
	}
	return 0;
}

void
operator_keyring(struct request *r)
{
	const char *operation = r->method == HTTP1_GET    ? "list"
				: r->method == HTTP1_POST ? "install"
				: r->method == HTTP1_PUT  ? "use"
							  : "remove";
	struct keyring_request args = {.operation = bytes_str(operation), .token = r->token};
	struct buf body = BUF_INIT(REQUEST_BODY_BYTES_MAX * 2), *b;
	struct key_body key;
	const char *error;

	if (relay_factor(r, &args.relay_factor) == -1 || local_only(r, &args.local_only) == -1)
		return;
	if (r->method != HTTP1_GET) {
		if (!request_decode(r, &key_body_schema, &body)) {
			buf_free(&body);
			return;
		}
		if (schema_decode(&key_body_schema, buf_bytes(&body), &key, &error) == 0)
			args.key = key.key;
	}
	b = ask_args();
	schema_encode(&keyring_request_schema, &args, b);
	if (body.size > 0)
		explicit_bzero(body.data, body.size);
	buf_free(&body);
	ask_once(r->x, "catalogd", "Internal.KeyringOperation", buf_bytes(b),
	    r->method == HTTP1_GET ? keys_listed : keys_changed);
}

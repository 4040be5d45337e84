/*
 * api_local.c - /v1/agent: services and checks registered on this node (http-api.md 11.9, 11.13-11.22); checkd answers
 */
#include "api.h"
#include "ask.h"
#include "duration.h"
#include "json.h"
#include "reply.h"
#include "structs_agent.h"

#define HOLD_DEFAULT_NS (300 * NS_PER_S)
#define HOLD_MAX_NS (600 * NS_PER_S)

static const struct ask_form SERVICES = {NULL, ask_map, &agent_service_schema};
static const struct ask_form CHECKS = {NULL, ask_map, &health_check_schema};

static void
list(struct request *r, const char *method, const struct ask_form *form)
{
	struct agent_query_request args = {.token = r->token, .filter = request_value(r, "filter")};
	struct buf *b = ask_args();

	schema_encode(&agent_query_request_schema, &args, b);
	r->x->form = form;
	ask_again(r->x, "checkd", method, buf_bytes(b), 0, ask_formed);
}

void
agent_services(struct request *r)
{
	list(r, "Agent.Services", &SERVICES);
}

void
agent_checks(struct request *r)
{
	list(r, "Agent.Checks", &CHECKS);
}

static void
service_answer(struct exchange *x, const struct ipc_answer *a)
{
	struct mp in = mp_of(a->body);
	struct bytes hash;

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	hash = mp_find_str(a->body, "ContentHash");
	if (schema_to_json(&agent_service_schema, &in, reply_body(), reply_json_flags(x)) == -1) {
		reply_error(x, 500, "rpc error: malformed answer");
		return;
	}
	reply_header("X-Consul-Contenthash", "%.*s", (int)MIN(hash.size, (size_t)64), (const char *)hash.data);
	reply_json(x, 200);
}

void
agent_service(struct request *r)
{
	struct agent_service_request args = {
	    .token = r->token,
	    .service_id = r->arg,
	    .hash = request_value(r, "hash"),
	    .max_query_time = r->query.wait_ns,
	};
	struct buf *b = ask_args();
	int64_t hold = 0;

	if (args.hash.size > 0)
		hold = r->query.wait_ns <= 0 ? HOLD_DEFAULT_NS : MIN(r->query.wait_ns, HOLD_MAX_NS);
	schema_encode(&agent_service_request_schema, &args, b);
	ask_again(r->x, "checkd", "Agent.Service", buf_bytes(b), hold, service_answer);
}

/* ---- health ---- */

#define HEALTH_TEXT (1u << 16) /* exchange.flags: the status as text */
#define HEALTH_BY_NAME (1u << 17)

static void
health_answer(struct exchange *x, const struct ipc_answer *a)
{
	struct agent_health_answer answer;
	struct mp in;
	const char *error;
	int ok;

	if (a->status != IPC_OK) {
		reply_failure(x, a);
		return;
	}
	if (schema_decode(&agent_health_answer_schema, a->body, &answer, &error) == -1) {
		reply_error(x, 500, "rpc error: malformed answer");
		return;
	}
	reply_header(
	    "X-Consul-Reason", "%.*s", (int)MIN(answer.reason.size, (size_t)1024), (const char *)answer.reason.data);
	if ((x->flags & HEALTH_TEXT) != 0) {
		reply_send(x, (unsigned)answer.code, "text/plain", answer.reason);
		return;
	}
	in = mp_of(answer.instances);
	if ((x->flags & HEALTH_BY_NAME) != 0)
		ok = schema_list_to_json(&agent_service_health_schema, &in, reply_body(), reply_json_flags(x));
	else
		ok = mp_array(&in) == 1
			 ? schema_to_json(&agent_service_health_schema, &in, reply_body(), reply_json_flags(x))
			 : -1;
	if (ok == -1) {
		reply_error(x, 500, "rpc error: malformed answer");
		return;
	}
	reply_json(x, (unsigned)answer.code);
}

static void
health(struct request *r, bool by_name)
{
	struct agent_health_request args = {.token = r->token, .by_name = by_name, .service = r->arg};
	struct buf *b = ask_args();

	if (r->arg.size == 0) {
		reply_error(r->x, 500, by_name ? "Missing service Name" : "Missing serviceID");
		return;
	}
	if (bytes_is(request_value(r, "format"), "text") ||
	    bytes_has_prefix(r->head->field[HTTP1_ACCEPT], bytes_str("text/plain")))
		r->x->flags |= HEALTH_TEXT;
	if (by_name)
		r->x->flags |= HEALTH_BY_NAME;
	schema_encode(&agent_health_request_schema, &args, b);
	ask_again(r->x, "checkd", "Agent.HealthService", buf_bytes(b), 0, health_answer);
}

void
agent_health_id(struct request *r)
{
	health(r, false);
}

void
agent_health_name(struct request *r)
{
	health(r, true);
}

/* ---- registration ---- */

void
agent_service_register(struct request *r)
{
	struct agent_register_service_request args = {.token = r->token};
	struct buf body = BUF_INIT(CONN_BODY_BYTES_MAX), *b;
	struct bytes replace = request_value(r, "replace-existing-checks");

	args.replace_existing_checks =
	    request_has(r, "replace-existing-checks") && (replace.size == 0 || bytes_is(replace, "true"));
	if (request_decode(r, &service_definition_schema, &body)) {
		args.service = buf_bytes(&body);
		b = ask_args();
		schema_encode(&agent_register_service_request_schema, &args, b);
		ask_once(r->x, "checkd", "Agent.RegisterService", buf_bytes(b), ask_done);
	}
	buf_free(&body);
}

void
agent_check_register(struct request *r)
{
	struct agent_register_check_request args = {.token = r->token};
	struct buf body = BUF_INIT(CONN_BODY_BYTES_MAX), *b;

	if (request_decode(r, &check_definition_request_schema, &body)) {
		args.check = buf_bytes(&body);
		b = ask_args();
		schema_encode(&agent_register_check_request_schema, &args, b);
		ask_once(r->x, "checkd", "Agent.RegisterCheck", buf_bytes(b), ask_done);
	}
	buf_free(&body);
}

static void
deregister(struct request *r, const char *method)
{
	struct agent_deregister_request args = {.token = r->token, .id = r->arg};
	struct buf *b = ask_args();

	schema_encode(&agent_deregister_request_schema, &args, b);
	ask_once(r->x, "checkd", method, buf_bytes(b), ask_done);
}

void
agent_service_deregister(struct request *r)
{
	deregister(r, "Agent.DeregisterService");
}

void
agent_check_deregister(struct request *r)
{
	deregister(r, "Agent.DeregisterCheck");
}

/* ---- TTL checks ---- */

static void
update(struct request *r, struct bytes status, struct bytes output)
{
	struct agent_update_check_request args = {
	    .token = r->token, .check_id = r->arg, .status = status, .output = output};
	struct buf *b = ask_args();

	schema_encode(&agent_update_check_request_schema, &args, b);
	ask_once(r->x, "checkd", "Agent.UpdateCheck", buf_bytes(b), ask_done);
}

void
agent_check_pass(struct request *r)
{
	update(r, bytes_str("passing"), request_value(r, "note"));
}

void
agent_check_warn(struct request *r)
{
	update(r, bytes_str("warning"), request_value(r, "note"));
}

void
agent_check_fail(struct request *r)
{
	update(r, bytes_str("critical"), request_value(r, "note"));
}

void
agent_check_update(struct request *r)
{
	struct buf decoded = BUF_INIT(CONN_BODY_BYTES_MAX);
	struct check_update body;
	const char *error;

	if (request_decode(r, &check_update_schema, &decoded)) {
		if (schema_decode(&check_update_schema, buf_bytes(&decoded), &body, &error) == -1)
			reply_error(r->x, 400, "Request decode failed: %s", error);
		else
			update(r, body.status, body.output);
	}
	buf_free(&decoded);
}

/* ---- maintenance ---- */

static void
maintenance(struct request *r, const char *method)
{
	struct agent_maintenance_request args = {
	    .token = r->token, .service_id = r->arg, .reason = request_value(r, "reason")};
	struct bytes enable = request_value(r, "enable");
	struct buf *b = ask_args();

	if (enable.size == 0 && !request_has(r, "enable")) {
		reply_error(r->x, 400, "Missing value for enable");
		return;
	}
	if (request_parse_bool(enable, &args.enable) == -1) {
		reply_error(r->x, 400, "Invalid value for enable: \"%.*s\"", (int)MIN(enable.size, (size_t)256),
		    (const char *)enable.data);
		return;
	}
	schema_encode(&agent_maintenance_request_schema, &args, b);
	ask_once(r->x, "checkd", method, buf_bytes(b), ask_done);
}

void
agent_maintenance(struct request *r)
{
	maintenance(r, "Agent.NodeMaintenance");
}

void
agent_service_maintenance(struct request *r)
{
	if (r->arg.size == 0)
		reply_error(r->x, 400, "Missing service ID");
	else
		maintenance(r, "Agent.ServiceMaintenance");
}

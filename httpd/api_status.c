/*
 * api_status.c - /v1/status, /v1/operator, /v1/internal/ui and the endpoints of capabilities that are switched off (http-api.md 14, 17, 19)
 */
#include "api.h"
#include "ask.h"
#include "reply.h"

static const struct ask_form ANY = {NULL, ask_any, NULL};

static void
ask_status(struct request *r, const char *method)
{
	struct buf *b = ask_args();

	mp_put_map(b, 1);
	mp_put_kv_str(b, "Datacenter", r->dc);
	r->x->form = &ANY;
	ask_again(r->x, "catalogd", method, buf_bytes(b), 0, ask_formed);
}

void
status_leader(struct request *r)
{
	ask_status(r, "Status.Leader");
}

void
status_peers(struct request *r)
{
	ask_status(r, "Status.Peers");
}

void
operator_raft_configuration(struct request *r)
{
	struct dc_request args = {.allow_stale = r->query.stale};

	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Operator.RaftGetConfiguration", &dc_request_schema, &args, &ANY);
}

static const struct ask_form DUMP = {"Dump", ask_list, &node_info_schema};

void
ui_nodes(struct request *r)
{
	struct dc_request args = {.node_meta_filters = request_node_meta(r), .source = request_source(r)};

	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Internal.NodeDump", &dc_request_schema, &args, &DUMP);
}

/* The first of the list; an unknown node is a 404 without a body. */
static int
encode_first(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	uint32_t count = mp_nil(in) ? 0 : mp_array(in);

	if (count == 0)
		return mp_ok(in) ? ASK_GONE : -1;
	if (schema_to_json(form->schema, in, out, reply_json_flags(x)) == -1)
		return -1;
	while (--count > 0)
		mp_skip(in);
	return 200;
}

static const struct ask_form FIRST = {"Dump", encode_first, &node_info_schema};

void
ui_node(struct request *r)
{
	struct node_request args = {.node = r->arg};

	if (r->arg.size == 0) {
		reply_error(r->x, 400, "Missing node name");
		return;
	}
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Internal.NodeInfo", &node_request_schema, &args, &FIRST);
}

void
acl_disabled(struct request *r)
{
	if (config.acl)
		reply_error(r->x, 500, "not supported by this version of consuld: access control lists");
	else
		reply_error(r->x, 401, "ACL support disabled");
}

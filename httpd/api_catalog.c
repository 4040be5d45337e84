/*
 * api_catalog.c - /v1/catalog (http-api.md 12)
 */
#include "api.h"
#include "ask.h"
#include "reply.h"

static const struct ask_form NODES = {"Nodes", ask_list, &node_schema};
static const struct ask_form SERVICE_NODES = {"ServiceNodes", ask_list, &service_node_schema};
static const struct ask_form NODE_SERVICES = {"NodeServices", ask_one, &node_services_schema};

/* A map of lists of text. An absent one is {}. */
static int
encode_services(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	if (mp_nil(in)) {
		buf_put_str(out, "{}");
		return 200;
	}
	return ask_any(x, form, in, out);
}

static const struct ask_form SERVICES = {"Services", encode_services, NULL};

/* A node that is not there is an object with two nulls here. */
static int
encode_node_service_list(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	if (mp_nil(in)) {
		buf_put_str(out, reply_json_flags(x) != 0 ? "{\n    \"Node\": null,\n    \"Services\": null\n}"
							  : "{\"Node\":null,\"Services\":null}");
		return 200;
	}
	return schema_to_json(form->schema, in, out, reply_json_flags(x)) == -1 ? -1 : 200;
}

static const struct ask_form NODE_SERVICE_LIST = {"NodeServices", encode_node_service_list, &node_service_list_schema};

static bool
missing(struct request *r, const char *what)
{
	if (r->arg.size > 0)
		return false;
	reply_error(r->x, 400, "Missing %s", what);
	return true;
}

/* The body with the request's token. token and datacenter are members of form, the C form of s. */
static void
write_request(struct request *r, const struct schema *s, const char *method, void *form, struct bytes *token,
    struct bytes *datacenter)
{
	struct buf decoded = BUF_INIT(CONN_BODY_BYTES_MAX), *b;
	const char *error;

	if (!request_decode(r, s, &decoded))
		goto done;
	if (schema_decode(s, buf_bytes(&decoded), form, &error) == -1) {
		reply_error(r->x, 400, "Request decode failed: %s", error);
		goto done;
	}
	*token = r->token;
	if (datacenter->size == 0)
		*datacenter = bytes_str(config.datacenter);
	b = ask_args();
	schema_encode(s, form, b);
	if (b->overflow)
		reply_error(r->x, 413, "Request body(%llu bytes) too large.", (unsigned long long)r->body_size);
	else
		ask_once(r->x, "catalogd", method, buf_bytes(b), ask_true);
done:
	buf_free(&decoded);
}

void
catalog_register(struct request *r)
{
	struct register_request args;

	write_request(r, &register_request_schema, "Catalog.Register", &args, &args.token, &args.datacenter);
}

void
catalog_deregister(struct request *r)
{
	struct deregister_request args;

	write_request(r, &deregister_request_schema, "Catalog.Deregister", &args, &args.token, &args.datacenter);
}

static const struct ask_form ANY = {NULL, ask_any, NULL};

void
catalog_datacenters(struct request *r)
{
	if (config.use_cache && request_has(r, "cached"))
		ask_cached(r->x, "Catalog.ListDatacenters", bytes_of(NULL, 0),
		    memmem(r->head->field[HTTP1_CACHE_CONTROL].data, r->head->field[HTTP1_CACHE_CONTROL].size,
			"max-age=0", 9) != NULL);
	r->x->form = &ANY;
	ask_again(r->x, "catalogd", "Catalog.ListDatacenters", bytes_of(NULL, 0), 0, ask_formed);
}

void
catalog_nodes(struct request *r)
{
	struct dc_request args = {.node_meta_filters = request_node_meta(r), .source = request_source(r)};

	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Catalog.ListNodes", &dc_request_schema, &args, &NODES);
}

void
catalog_services(struct request *r)
{
	struct dc_request args = {.node_meta_filters = request_node_meta(r)};

	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Catalog.ListServices", &dc_request_schema, &args, &SERVICES);
}

static void
service_nodes(struct request *r, bool connect)
{
	struct service_request args = {
	    .peer_name = request_value(r, "peer"),
	    .node_meta_filters = request_node_meta(r),
	    .service_name = r->arg,
	    .source = request_source(r),
	    .connect = connect,
	    .merge_central_config = request_has(r, "merge-central-config"),
	};

	if (missing(r, "service name"))
		return;
	if (!connect && request_has(r, "tag")) {
		args.service_tags = request_tags(r);
		args.tag_filter = true;
	}
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Catalog.ServiceNodes", &service_request_schema, &args, &SERVICE_NODES);
}

void
catalog_service(struct request *r)
{
	service_nodes(r, false);
}

void
catalog_connect(struct request *r)
{
	service_nodes(r, true);
}

static void
node_services(struct request *r, const char *method, const struct ask_form *form)
{
	struct node_request args = {.node = r->arg, .merge_central_config = request_has(r, "merge-central-config")};

	if (missing(r, "node name"))
		return;
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", method, &node_request_schema, &args, form);
}

void
catalog_node(struct request *r)
{
	node_services(r, "Catalog.NodeServices", &NODE_SERVICES);
}

void
catalog_node_services(struct request *r)
{
	node_services(r, "Catalog.NodeServiceList", &NODE_SERVICE_LIST);
}

/*
 * api_health.c - /v1/health (http-api.md 13)
 */
#include "api.h"
#include "ask.h"
#include "reply.h"

static const struct ask_form CHECKS = {"HealthChecks", ask_list, &health_check_schema};
static const struct ask_form NODES = {"Nodes", ask_list, &check_service_node_schema};

#define ONLY_PASSING 2 /* health_filter_type: DNS's name for the same thing */

static bool
missing(struct request *r, const char *what)
{
	if (r->arg.size > 0)
		return false;
	reply_error(r->x, 400, "Missing %s", what);
	return true;
}

void
health_node(struct request *r)
{
	struct node_request args = {.node = r->arg};

	if (missing(r, "node name"))
		return;
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Health.NodeChecks", &node_request_schema, &args, &CHECKS);
}

void
health_checks(struct request *r)
{
	struct service_request args = {
	    .node_meta_filters = request_node_meta(r), .service_name = r->arg, .source = request_source(r)};

	if (missing(r, "service name"))
		return;
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Health.ServiceChecks", &service_request_schema, &args, &CHECKS);
}

void
health_state(struct request *r)
{
	struct state_request args = {
	    .node_meta_filters = request_node_meta(r), .state = r->arg, .source = request_source(r)};

	if (missing(r, "check state"))
		return;
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Health.ChecksInState", &state_request_schema, &args, &CHECKS);
}

static void
service_nodes(struct request *r, bool connect, bool ingress)
{
	struct service_request args = {
	    .peer_name = request_value(r, "peer"),
	    .node_meta_filters = request_node_meta(r),
	    .service_name = r->arg,
	    .source = request_source(r),
	    .connect = connect,
	    .ingress = ingress,
	    .merge_central_config = request_has(r, "merge-central-config"),
	};
	struct bytes passing = request_value(r, "passing"),
		     group = request_value(r, request_has(r, "sg") ? "sg" : "sameness-group");
	bool only_passing = request_has(r, "passing");

	if (group.size > 0) {
		if (args.peer_name.size > 0)
			reply_error(r->x, 400, "peer-name and sameness-group are mutually exclusive");
		else
			reply_error(r->x, 500, "sameness groups are not supported in consul CE");
		return;
	}
	if (missing(r, "service name"))
		return;
	if (passing.size > 0 && request_parse_bool(passing, &only_passing) == -1) {
		reply_error(r->x, 400, "Invalid value for ?passing");
		return;
	}
	if (only_passing)
		args.health_filter_type = ONLY_PASSING;
	if (!connect && !ingress && request_has(r, "tag")) {
		args.service_tags = request_tags(r);
		args.tag_filter = true;
	}
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Health.ServiceNodes", &service_request_schema, &args, &NODES);
}

void
health_service(struct request *r)
{
	service_nodes(r, false, false);
}

void
health_connect(struct request *r)
{
	service_nodes(r, true, false);
}

void
health_ingress(struct request *r)
{
	service_nodes(r, false, true);
}

/*
 * cmd_services.c - services register, services deregister (cli.md 8.7)
 *
 * Files are configuration files: consuld reads them and gives the definitions in the form of the HTTP API, which go to the agent as
 * they are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "consuld.h"
#include "json.h"
#include "net.h"
#include "output.h"

#define DEFINITIONS_MAX (64u << 20)

/* ---- definitions from files ---- */

typedef int on_service(struct invocation *in, struct api *api, struct mp definition);

/* Calls each for every service of the file. 0, or 1 having told. */
static int
each_in_file(struct invocation *in, struct api *api, const char *path, on_service *each)
{
	struct buf text = BUF_INIT(DEFINITIONS_MAX), tape = BUF_INIT(JSON_TAPE_FACTOR * DEFINITIONS_MAX);
	struct json_error error;
	struct mp root, at;
	char why[4096];
	int result = 1;

	if (consuld_definitions(path, &text, why, sizeof why) == -1) {
		command_fail("Error: %s", why);
		goto out;
	}
	if (json_parse(buf_bytes(&text), &tape, &error) == -1) {
		command_fail("Error: %s", error.text);
		goto out;
	}
	root = mp_of(buf_bytes(&tape));
	result = 0;
	for (uint32_t n = json_elements(json_member(root, "Services"), &at); n > 0 && result == 0; n--, mp_skip(&at))
		result = each(in, api, at);
out:
	buf_free(&text);
	buf_free(&tape);
	return result;
}

static int
register_body(struct invocation *in, struct api *api, struct bytes body, struct bytes name)
{
	struct response response;
	struct request r;
	int result = 0;

	request_init(&r, in->region, "PUT", "/v1/agent/service/register");
	request_body(&r, body, "application/json");
	if (api_get(api, &r, &response) == -1)
		result = command_fail("Error registering service \"%.*s\": %s", (int)name.size,
		    name.size == 0 ? "" : (const char *)name.data, response.error);
	else
		output_line("Registered service: %.*s", (int)name.size, name.size == 0 ? "" : (const char *)name.data);
	response_free(&response);
	return result;
}

static int
register_one(struct invocation *in, struct api *api, struct mp definition)
{
	struct buf body = BUF_INIT(DEFINITIONS_MAX);
	int result;

	json_render(definition, "", &body);
	result = register_body(in, api, buf_bytes(&body), json_member_text(definition, "Name"));
	buf_free(&body);
	return result;
}

/* ---- a definition from flags ---- */

static void
put_pairs(const struct flags *flags, const char *flag, const char *member, struct buf *out)
{
	if (!flags_given(flags, flag))
		return;
	buf_printf(out, ",\"%s\":{", member);
	for (size_t i = 0; i < flags_count(flags, flag); i++) {
		const char *pair = flags_at(flags, flag, i), *equals = strchr(pair, '=');

		if (i > 0)
			buf_put_u8(out, ',');
		json_put_str(out, bytes_of(pair, (size_t)(equals - pair)));
		buf_put_u8(out, ':');
		json_put_cstr(out, equals + 1);
	}
	buf_put_u8(out, '}');
}

/* -1: told. */
static int
put_tagged_addresses(const struct flags *flags, struct buf *out)
{
	if (!flags_given(flags, "tagged-address"))
		return 0;
	buf_put_str(out, ",\"TaggedAddresses\":{");
	for (size_t i = 0; i < flags_count(flags, "tagged-address"); i++) {
		const char *pair = flags_at(flags, "tagged-address", i), *equals = strchr(pair, '=');
		char host[512];
		uint16_t port;

		if (net_split_port(equals + 1, host, sizeof host, &port) == -1) {
			command_fail("Invalid Tagged address: address %s: missing port in address", equals + 1);
			return -1;
		}
		if (i > 0)
			buf_put_u8(out, ',');
		json_put_str(out, bytes_of(pair, (size_t)(equals - pair)));
		buf_put_str(out, ":{\"Address\":");
		json_put_cstr(out, host);
		buf_printf(out, ",\"Port\":%u}", port);
	}
	buf_put_u8(out, '}');
	return 0;
}

static void
put_text(const struct flags *flags, const char *flag, const char *member, struct buf *out)
{
	if (!flags_given(flags, flag))
		return;
	buf_printf(out, ",\"%s\":", member);
	json_put_cstr(out, flags_text(flags, flag, ""));
}

static int
put_definition(const struct flags *flags, struct buf *out)
{
	const char *address = flags_text(flags, "address", "");
	char host[512];
	uint16_t port;

	if (*address != '\0' && net_split_port(address, host, sizeof host, &port) == 0) {
		command_fail("Invalid Service address when using CLI flags. Use -port flag instead: address should not "
			     "contain port");
		return -1;
	}
	buf_put_str(out, "{\"Name\":");
	json_put_cstr(out, flags_text(flags, "name", ""));
	put_text(flags, "id", "ID", out);
	put_text(flags, "address", "Address", out);
	put_text(flags, "kind", "Kind", out);
	put_text(flags, "socket", "SocketPath", out);
	if (flags_given(flags, "port"))
		buf_printf(out, ",\"Port\":%jd", (intmax_t)flags_int(flags, "port", 0));
	if (flags_given(flags, "tag"))
		buf_put_str(out, ",\"Tags\":[");
	for (size_t i = 0; i < flags_count(flags, "tag"); i++) {
		if (i > 0)
			buf_put_u8(out, ',');
		json_put_cstr(out, flags_at(flags, "tag", i));
	}
	if (flags_given(flags, "tag"))
		buf_put_u8(out, ']');
	put_pairs(flags, "meta", "Meta", out);
	if (put_tagged_addresses(flags, out) == -1)
		return -1;
	buf_put_u8(out, '}');
	return 0;
}

static int
register_run(struct invocation *in)
{
	struct buf body = BUF_INIT(DEFINITIONS_MAX);
	const char *name = flags_text(in->flags, "name", "");
	struct api *api = NULL;
	int result = 1;

	if (in->argc > 0 && *name != '\0')
		return command_fail("Service registration requires arguments or -id, not both.");
	if (in->argc == 0 && *name == '\0')
		return command_fail("Service registration requires at least one argument or flags.");
	if (in->argc == 0 && put_definition(in->flags, &body) == -1)
		goto out;
	api = api_connect(in);
	if (api == NULL)
		goto out;
	result = 0;
	if (in->argc == 0)
		result = register_body(in, api, buf_bytes(&body), bytes_str(name));
	for (int i = 0; i < in->argc && result == 0; i++)
		result = each_in_file(in, api, in->argv[i], register_one);
out:
	buf_free(&body);
	api_free(api);
	return result;
}

/* ---- deregister ---- */

static int
deregister(struct invocation *in, struct api *api, const char *id, struct bytes name)
{
	struct response response;
	struct request r;
	int result = 0;

	request_init(&r, in->region, "PUT", "/v1/agent/service/deregister/");
	request_path(&r, id, false);
	if (api_get(api, &r, &response) == -1)
		result = command_fail("Error deregistering service \"%.*s\": %s", (int)name.size,
		    name.size == 0 ? "" : (const char *)name.data, response.error);
	else
		output_line("Deregistered service: %s", id);
	response_free(&response);
	return result;
}

static int
deregister_one(struct invocation *in, struct api *api, struct mp definition)
{
	struct bytes name = json_member_text(definition, "Name"), id = json_member_text(definition, "ID");

	if (id.size == 0)
		id = name;
	return deregister(in, api, region_strndup(in->region, id.data, id.size), name);
}

static int
deregister_run(struct invocation *in)
{
	const char *id = flags_text(in->flags, "id", "");
	struct api *api;
	int result = 0;

	if (in->argc == 0 && *id == '\0')
		return command_fail("Service deregistration requires at least one argument or -id.");
	if (in->argc > 0 && *id != '\0')
		return command_fail("Service deregistration requires arguments or -id, not both.");
	api = api_connect(in);
	if (api == NULL)
		return 1;
	if (*id != '\0')
		result = deregister(in, api, id, bytes_of(NULL, 0));
	for (int i = 0; i < in->argc && result == 0; i++)
		result = each_in_file(in, api, in->argv[i], deregister_one);
	api_free(api);
	return result;
}

/* ---- maint ---- */

static void
print_maintenance(struct mp check)
{
	static const char prefix[] = "_service_maintenance:";
	struct bytes id = json_member_text(check, "CheckID"), name = json_member_text(check, "Node");
	struct bytes reason = json_member_text(check, "Notes");

	if (bytes_is(id, "_node_maintenance")) {
		output_line("Node:\n  Name:   %.*s", (int)name.size, (const char *)name.data);
	} else if (bytes_has_prefix(id, bytes_str(prefix))) {
		output_line("Service:\n  ID:     %.*s", (int)(id.size - strlen(prefix)),
		    (const char *)id.data + strlen(prefix));
	} else {
		return;
	}
	output_line("  Reason: %.*s\n", (int)reason.size, reason.size == 0 ? "" : (const char *)reason.data);
}

static int
list_maintenance(struct api *api)
{
	struct response response;
	struct mp at;
	int result = 0;

	if (api_json_of(api, "/v1/agent/checks", &response) == -1)
		result = command_fail("Error getting checks: %s", response.error);
	else
		for (uint32_t n = json_members(response.json, &at); n > 0; n--, mp_skip(&at)) {
			mp_skip(&at);
			print_maintenance(at);
		}
	response_free(&response);
	return result;
}

static int
change_maintenance(struct invocation *in, struct api *api, bool enable)
{
	const char *service = flags_text(in->flags, "service", "");
	struct response response;
	struct request r;
	int result = 0;

	request_init(
	    &r, in->region, "PUT", *service == '\0' ? "/v1/agent/maintenance" : "/v1/agent/service/maintenance/");
	if (*service != '\0')
		request_path(&r, service, false);
	request_param(&r, "enable", enable ? "true" : "false");
	if (enable)
		request_param(&r, "reason", flags_text(in->flags, "reason", ""));
	if (api_get(api, &r, &response) == -1)
		result = command_fail("Error %s %s maintenance: %s", enable ? "enabling" : "disabling",
		    *service == '\0' ? "node" : "service", response.error);
	else if (*service == '\0')
		output_line("Node maintenance is now %s", enable ? "enabled" : "disabled");
	else
		output_line("Service maintenance is now %s for \"%s\"", enable ? "enabled" : "disabled", service);
	response_free(&response);
	return result;
}

static int
maint_run(struct invocation *in)
{
	bool enable = flags_bool(in->flags, "enable"), disable = flags_bool(in->flags, "disable");
	struct api *api;
	int result;

	if (enable && disable)
		return command_fail("Only one of -enable or -disable may be provided");
	if (!enable && *flags_text(in->flags, "reason", "") != '\0')
		return command_fail("Reason may only be provided with -enable");
	if (!enable && !disable && *flags_text(in->flags, "service", "") != '\0')
		return command_fail("Service requires either -enable or -disable");
	api = api_connect(in);
	if (api == NULL)
		return 1;
	result = enable || disable ? change_maintenance(in, api, enable) : list_maintenance(api);
	api_free(api);
	return result;
}

static const struct flag register_flags[] = {
    {"id", FLAG_STRING, "ID of the instance. The default is its name."},
    {"name", FLAG_STRING, "Name of the service."},
    {"address", FLAG_STRING, "Address of the instance. The default is that of the node."},
    {"port", FLAG_INT, "Port of the instance."},
    {"socket", FLAG_STRING, "Path of the instance's unix socket."},
    {"meta", FLAG_MAP, "Metadata of the instance. May be repeated."},
    {"tag", FLAG_LIST, "Tag of the instance. May be repeated."},
    {"tagged-address", FLAG_MAP, "Further address, tag=address:port. May be repeated."},
    {"kind", FLAG_STRING, "Kind of the service."},
    {NULL},
};
static const struct flag deregister_flags[] = {
    {"id", FLAG_STRING, "ID of the instance."},
    {NULL},
};
static const struct flag maint_flags[] = {
    {"enable", FLAG_BOOL, "Begin maintenance."},
    {"disable", FLAG_BOOL, "End maintenance."},
    {"reason", FLAG_STRING, "Why maintenance begins, for those who look."},
    {"service", FLAG_STRING, "ID of the service instance. Without it the whole node is meant."},
    {NULL},
};

#define SERVICES_OPTIONS (COMMAND_CLIENT | COMMAND_SERVER | COMMAND_TENANCY)

const struct command services_commands[] = {
    {"services", "Interact with services", NULL,
	"Registers services with the agent and takes them off again.\n\n  $ consul services register web.json\n  $ "
	"consul services "
	"deregister -id web"},
    {"services register", "Register services with the local agent", "[options] [FILE...]",
	"Registers the services of configuration files, or the one that the flags\ndescribe.", SERVICES_OPTIONS,
	register_flags, register_run},
    {"services deregister", "Deregister services with the local agent", "[options] [FILE...]",
	"Takes off the services of configuration files, or the one with the given ID.", SERVICES_OPTIONS,
	deregister_flags, deregister_run},
    {"maint", "Controls node or service maintenance mode", "[options]",
	"Shows what is in maintenance, or begins or ends the maintenance of the node\nor of a service. What is in "
	"maintenance has a "
	"critical check.",
	COMMAND_CLIENT, maint_flags, maint_run},
    {NULL},
};

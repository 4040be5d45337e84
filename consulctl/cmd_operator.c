/*
 * cmd_operator.c - operator raft and operator autopilot (cli.md 8.18)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "json.h"
#include "output.h"

static struct api *
operator_api(const struct invocation *in)
{
	const char *error;
	struct api *api = api_new(in, &error);

	if (api == NULL)
		command_fail("Error initializing client: %s", error);
	return api;
}

/* ---- raft ---- */

/* "-" for the leader, else how far behind it is. */
static void
trail_cell(struct table *t, bool leader, uint64_t last, uint64_t leader_last)
{
	uint64_t behind = leader_last > last ? leader_last - last : 0;

	if (leader)
		table_cell(t, "-");
	else
		table_cell(t, "%ju commit%s", (uintmax_t)behind, behind == 1 ? "" : "s");
}

static void
peer_row(struct table *t, struct mp server, uint64_t leader_last)
{
	struct bytes name = json_member_text(server, "Node"), protocol = json_member_text(server, "ProtocolVersion");
	bool leader = json_member_bool(server, "Leader");
	uint64_t last = json_member_uint(server, "LastIndex");

	table_cell_bytes(t, name.size == 0 ? bytes_str("(unknown)") : name);
	table_cell_bytes(t, json_member_text(server, "ID"));
	table_cell_bytes(t, json_member_text(server, "Address"));
	table_cell(t, leader ? "leader" : "follower");
	table_cell(t, json_member_bool(server, "Voter") ? "true" : "false");
	table_cell_bytes(t, protocol.size == 0 ? bytes_str("<=1") : protocol);
	table_cell(t, "%ju", (uintmax_t)last);
	trail_cell(t, leader, last, leader_last);
	table_end_row(t);
}

static int
list_peers_run(struct invocation *in)
{
	static const char *const names[] = {
	    "Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By"};
	struct table *t = table_new(in->region);
	struct response response;
	struct api *api = operator_api(in);
	struct mp at;
	uint64_t leader_last = 0;
	int result = 0;

	if (api == NULL)
		return 1;
	if (api_json_of(api, "/v1/operator/raft/configuration", &response) == -1) {
		result = command_fail("Error getting peers: Failed to retrieve raft configuration: %s", response.error);
		goto out;
	}
	for (size_t i = 0; i < COUNTOF(names); i++)
		table_cell(t, "%s", names[i]);
	table_end_row(t);
	for (uint32_t n = json_elements(json_member(response.json, "Servers"), &at); n > 0; n--, mp_skip(&at))
		if (json_member_bool(at, "Leader"))
			leader_last = json_member_uint(at, "LastIndex");
	for (uint32_t n = json_elements(json_member(response.json, "Servers"), &at); n > 0; n--, mp_skip(&at))
		peer_row(t, at, leader_last);
	output_columns(t);
out:
	response_free(&response);
	api_free(api);
	return result;
}

static int
remove_peer_run(struct invocation *in)
{
	const char *address = flags_text(in->flags, "address", ""), *id = flags_text(in->flags, "id", "");
	struct response response;
	struct request r;
	struct api *api;
	int result = 0;

	if (*address == '\0' && *id == '\0')
		return command_fail("Error removing peer: an address or id is required for the peer to remove");
	if (*address != '\0' && *id != '\0')
		return command_fail("Error removing peer: cannot give both an address and id");
	api = operator_api(in);
	if (api == NULL)
		return 1;
	request_init(&r, in->region, "DELETE", "/v1/operator/raft/peer");
	request_param(&r, *id == '\0' ? "address" : "id", *id == '\0' ? address : id);
	if (api_get(api, &r, &response) == -1)
		result = command_fail("Error removing peer: %s", response.error);
	else
		output_line("Removed peer with %s \"%s\"", *id == '\0' ? "address" : "id", *id == '\0' ? address : id);
	response_free(&response);
	api_free(api);
	return result;
}

static int
transfer_leader_run(struct invocation *in)
{
	struct response response;
	struct request r;
	struct api *api = operator_api(in);
	int result = 0;

	if (api == NULL)
		return 1;
	request_init(&r, in->region, "POST", "/v1/operator/raft/transfer-leader");
	if (flags_given(in->flags, "id"))
		request_param(&r, "id", flags_text(in->flags, "id", ""));
	if (api_get(api, &r, &response) == -1)
		result = command_fail("Error transfering leadership: Failed to transfer leadership %s", response.error);
	else
		output_line("Success");
	response_free(&response);
	api_free(api);
	return result;
}

/* ---- autopilot ---- */

static void
print_setting(struct mp settings, const char *name)
{
	struct mp value = json_member(settings, name);
	struct bytes text;

	if (mp_peek(&value) == MP_BOOL) {
		output_line("%s = %s", name, json_bool(value) ? "true" : "false");
		return;
	}
	text = json_text(value);
	output_line(strcmp(name, "RedundancyZoneTag") == 0 || strcmp(name, "UpgradeVersionTag") == 0 ? "%s = \"%.*s\""
												     : "%s = %.*s",
	    name, (int)text.size, text.size == 0 ? "" : (const char *)text.data);
}

static int
get_config_run(struct invocation *in)
{
	static const char *const names[] = {"CleanupDeadServers", "LastContactThreshold", "MaxTrailingLogs",
	    "MinQuorum", "ServerStabilizationTime", "RedundancyZoneTag", "DisableUpgradeMigration",
	    "UpgradeVersionTag"};
	struct response response;
	struct api *api = operator_api(in);
	int result = 0;

	if (api == NULL)
		return 1;
	if (api_json_of(api, "/v1/operator/autopilot/configuration", &response) == -1)
		result = command_fail("Error querying Autopilot configuration: %s", response.error);
	else
		for (size_t i = 0; i < COUNTOF(names); i++)
			print_setting(response.json, names[i]);
	response_free(&response);
	api_free(api);
	return result;
}

/* Flags of set-config and what they set. */
static const struct setting {
	const char *flag, *name;
	enum { SETTING_BOOL, SETTING_NUMBER, SETTING_TEXT } kind;
} settings[] = {
    {"cleanup-dead-servers", "CleanupDeadServers", SETTING_BOOL},
    {"last-contact-threshold", "LastContactThreshold", SETTING_TEXT},
    {"max-trailing-logs", "MaxTrailingLogs", SETTING_NUMBER},
    {"min-quorum", "MinQuorum", SETTING_NUMBER},
    {"server-stabilization-time", "ServerStabilizationTime", SETTING_TEXT},
    {"redundancy-zone-tag", "RedundancyZoneTag", SETTING_TEXT},
    {"disable-upgrade-migration", "DisableUpgradeMigration", SETTING_BOOL},
    {"upgrade-version-tag", "UpgradeVersionTag", SETTING_TEXT},
};

/* The settings as they are, but for what flags say. */
static void
merged_settings(const struct invocation *in, struct mp old, struct buf *out)
{
	struct json_writer w;

	json_begin(&w, out, 0);
	json_open(&w, '{');
	for (size_t i = 0; i < COUNTOF(settings); i++) {
		const struct setting *s = &settings[i];
		bool given = flags_given(in->flags, s->flag);

		json_plain_key(&w, s->name, strlen(s->name));
		switch (s->kind) {
		case SETTING_BOOL:
			buf_put_str(out, (given ? flags_bool(in->flags, s->flag) : json_member_bool(old, s->name))
					     ? "true"
					     : "false");
			break;
		case SETTING_NUMBER:
			json_put_uint(out, given ? flags_uint(in->flags, s->flag, 0) : json_member_uint(old, s->name));
			break;
		case SETTING_TEXT:
			json_put_str(out,
			    given ? bytes_str(flags_text(in->flags, s->flag, "")) : json_member_text(old, s->name));
			break;
		}
	}
	json_close(&w, '}');
}

static int
set_config_run(struct invocation *in)
{
	static const char path[] = "/v1/operator/autopilot/configuration";
	struct response old = {0}, response = {0};
	struct buf body = BUF_INIT(OUTPUT_MAX);
	struct request r;
	struct api *api = operator_api(in);
	int result = 0;

	if (api == NULL)
		return 1;
	if (api_json_of(api, path, &old) == -1) {
		result = command_fail("Error querying Autopilot configuration: %s", old.error);
		goto out;
	}
	merged_settings(in, old.json, &body);
	request_init(&r, in->region, "PUT", path);
	request_param(
	    &r, "cas", region_printf(in->region, "%ju", (uintmax_t)json_member_uint(old.json, "ModifyIndex")));
	request_body(&r, buf_bytes(&body), "application/json");
	if (api_json(api, &r, &response) == -1) {
		result = command_fail("Error setting Autopilot configuration: %s", response.error);
	} else if (json_bool(response.json)) {
		output_line("Configuration updated!");
	} else {
		output_line("Configuration could not be atomically updated, please try again");
		result = 1;
	}
out:
	buf_free(&body);
	response_free(&old);
	response_free(&response);
	api_free(api);
	return result;
}

static void
print_field(const char *label, struct mp object, const char *name)
{
	struct mp value = json_member(object, name);
	struct bytes text = json_text(value);

	if (mp_peek(&value) == MP_BOOL)
		text = bytes_str(json_bool(value) ? "true" : "false");
	output_line("%s%.*s", label, (int)text.size, text.size == 0 ? "" : (const char *)text.data);
}

static void
print_server(struct mp server)
{
	struct mp at;
	uint32_t n = json_members(json_member(server, "Meta"), &at);

	print_field("      Name:            ", server, "Name");
	print_field("      Address:         ", server, "Address");
	print_field("      Version:         ", server, "Version");
	print_field("      Status:          ", server, "Status");
	print_field("      Node Type:       ", server, "NodeType");
	print_field("      Node Status:     ", server, "NodeStatus");
	print_field("      Healthy:         ", server, "Healthy");
	print_field("      Last Contact:    ", server, "LastContact");
	print_field("      Last Term:       ", server, "LastTerm");
	print_field("      Last Index:      ", server, "LastIndex");
	if (n > 0)
		output_line("      Meta");
	for (; n > 0; n--, mp_skip(&at)) {
		struct bytes key = mp_str(&at), value = json_text(at);

		output_line("         \"%.*s\": \"%.*s\"", (int)key.size, (const char *)key.data, (int)value.size,
		    value.size == 0 ? "" : (const char *)value.data);
	}
}

static void
print_state(struct mp state)
{
	struct mp at;

	print_field("Healthy:                      ", state, "Healthy");
	print_field("Failure Tolerance:            ", state, "FailureTolerance");
	print_field("Optimistic Failure Tolerance: ", state, "OptimisticFailureTolerance");
	print_field("Leader:                       ", state, "Leader");
	output_line("Voters:");
	for (uint32_t n = json_elements(json_member(state, "Voters"), &at); n > 0; n--, mp_skip(&at)) {
		struct bytes id = json_text(at);

		output_line("   %.*s", (int)id.size, (const char *)id.data);
	}
	output_line("Servers:");
	for (uint32_t n = json_members(json_member(state, "Servers"), &at); n > 0; n--, mp_skip(&at)) {
		struct bytes id = mp_str(&at);

		output_line("   %.*s", (int)id.size, (const char *)id.data);
		print_server(at);
	}
	output_line("%s", "");
}

static int
state_run(struct invocation *in)
{
	const char *format = flags_text(in->flags, "format", "pretty");
	struct buf text = BUF_INIT(OUTPUT_MAX);
	struct response response;
	struct api *api;
	int result = 0;

	if (strcmp(format, "pretty") != 0 && strcmp(format, "json") != 0)
		return command_fail("Unknown format: %s", format);
	api = operator_api(in);
	if (api == NULL)
		return 1;
	if (api_json_of(api, "/v1/operator/autopilot/state", &response) == -1) {
		result = command_fail("Error querying Autopilot state: %s", response.error);
	} else if (strcmp(format, "json") == 0) {
		json_render(response.json, "    ", &text);
		output_bytes_line(buf_bytes(&text));
	} else {
		print_state(response.json);
	}
	buf_free(&text);
	response_free(&response);
	api_free(api);
	return result;
}

static const struct flag remove_peer_flags[] = {
    {"address", FLAG_STRING, "Address of the server to remove, with its port."},
    {"id", FLAG_STRING, "ID of the server to remove."},
    {NULL},
};
static const struct flag transfer_flags[] = {
    {"id", FLAG_STRING, "ID of the server that becomes leader. Without it the cluster chooses."},
    {NULL},
};
static const struct flag set_config_flags[] = {
    {"cleanup-dead-servers", FLAG_TRISTATE, "Whether failed servers are removed from the cluster."},
    {"max-trailing-logs", FLAG_STRICT_UINT, "How many entries a healthy server may be behind the leader."},
    {"min-quorum", FLAG_STRICT_UINT, "How many voters are kept, even dead ones."},
    {"last-contact-threshold", FLAG_STRICT_DURATION, "How long a healthy server may be silent."},
    {"server-stabilization-time", FLAG_STRICT_DURATION, "How long a new server must be healthy before it gets a vote."},
    {"redundancy-zone-tag", FLAG_STRING, "Stored, without effect."},
    {"disable-upgrade-migration", FLAG_TRISTATE, "Stored, without effect."},
    {"upgrade-version-tag", FLAG_STRING, "Stored, without effect."},
    {NULL},
};
static const struct flag state_flags[] = {
    {"format", FLAG_STRING, "pretty or json. The default is pretty."},
    {NULL},
};

#define OPERATOR_OPTIONS (COMMAND_CLIENT | COMMAND_SERVER)

const struct command operator_commands[] = {
    {"operator", "Provides cluster-level tools for Consul operators", NULL, "Tools for those who run a cluster."},
    {"operator raft", "Provides tools for working with Raft", NULL, "Shows and changes the servers that hold the log."},
    {"operator raft list-peers", "Display the current Raft peer configuration", "[options]",
	"Shows the servers that hold the log.", OPERATOR_OPTIONS, NULL, list_peers_run},
    {"operator raft remove-peer", "Remove a Consul server from the Raft configuration", "[options]",
	"Takes a server that is gone for good out of the configuration.", OPERATOR_OPTIONS, remove_peer_flags,
	remove_peer_run},
    {"operator raft transfer-leader", "Transfer raft leadership to another node", "[options]",
	"Makes another server the leader.", OPERATOR_OPTIONS, transfer_flags, transfer_leader_run},
    {"operator autopilot", "Provides tools for modifying Autopilot configuration", NULL,
	"Shows how the cluster looks after its servers by itself."},
    {"operator autopilot get-config", "Display the current Autopilot configuration", "[options]",
	"Shows the settings of autopilot.", OPERATOR_OPTIONS, NULL, get_config_run},
    {"operator autopilot set-config", "Modify the current Autopilot configuration", "[options]",
	"Changes the settings that are named, and no others.", OPERATOR_OPTIONS, set_config_flags, set_config_run},
    {"operator autopilot state", "Display the current Autopilot state", "[options]",
	"Shows what autopilot thinks of the servers.", OPERATOR_OPTIONS, state_flags, state_run},
    {NULL},
};

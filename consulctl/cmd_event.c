/*
 * cmd_event.c - event, rtt (cli.md 8.12, 8.16)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api.h"
#include "coordinate_point.h"
#include "filter_regex.h"
#include "output.h"

/* ---- event ---- */

/* -1: told. */
static int
check_regexp(const struct invocation *in, const char *flag)
{
	char why[512];
	struct filter_regex *regex = filter_regex_new(bytes_str(flags_text(in->flags, flag, "")), why, sizeof why);

	if (regex == NULL) {
		command_fail("Failed to compile %s filter regexp: error parsing regexp: %s", flag, why);
		return -1;
	}
	filter_regex_free(regex);
	return 0;
}

static int
event_run(struct invocation *in)
{
	static const char *const filters[] = {"node", "service", "tag"};
	struct response response;
	struct request r;
	struct api *api;
	struct bytes id;
	int result = 0;

	if (*flags_text(in->flags, "name", "") == '\0')
		return command_misuse(in, "Event name must be specified");
	if (*flags_text(in->flags, "tag", "") != '\0' && *flags_text(in->flags, "service", "") == '\0')
		return command_fail("Cannot provide tag filter without service filter.");
	for (size_t i = 0; i < COUNTOF(filters); i++)
		if (check_regexp(in, filters[i]) == -1)
			return 1;
	if (in->argc > 1)
		return command_misuse(in, "Too many command line arguments.");
	api = api_connect(in);
	if (api == NULL)
		return 1;
	request_init(&r, in->region, "PUT", "/v1/event/fire/");
	request_path(&r, flags_text(in->flags, "name", ""), false);
	for (size_t i = 0; i < COUNTOF(filters); i++)
		if (*flags_text(in->flags, filters[i], "") != '\0')
			request_param(&r, filters[i], flags_text(in->flags, filters[i], ""));
	if (in->argc == 1)
		request_body(&r, bytes_str(in->argv[0]), NULL);
	if (api_json(api, &r, &response) == -1) {
		result = command_fail("Error firing event: %s", response.error);
	} else {
		id = json_member_text(response.json, "ID");
		output_line("Event ID: %.*s", (int)id.size, id.size == 0 ? "" : (const char *)id.data);
	}
	response_free(&response);
	api_free(api);
	return result;
}

/* ---- rtt ---- */

/* Where a node is: one point for each network segment that it told. */
#define SEGMENTS_MAX 64

struct place {
	size_t count;
	struct {
		struct bytes segment;
		struct coordinate_point point;
	} at[SEGMENTS_MAX];
};

static double
json_double(struct mp value)
{
	double number = 0;

	if (!json_tape_number(&value) || json_number_float(mp_str(&value), &number) == -1)
		return 0;
	return number;
}

static bool
same_name(struct bytes a, const char *name)
{
	return bytes_equal_fold(a, bytes_str(name));
}

/* false: of other dimensions. */
static bool
point_of(struct mp coord, struct coordinate_point *out)
{
	struct mp element;

	*out = (struct coordinate_point){
	    .height = json_double(json_member(coord, "Height")),
	    .adjustment = json_double(json_member(coord, "Adjustment")),
	};
	if (json_elements(json_member(coord, "Vec"), &element) != COORDINATE_DIMENSIONS)
		return false;
	for (int i = 0; i < COORDINATE_DIMENSIONS; i++, mp_skip(&element))
		out->vec[i] = json_double(element);
	return true;
}

/* Of the node among the elements of /v1/coordinate/nodes. */
static bool
find_place(struct mp nodes, const char *name, struct place *out)
{
	struct mp at;

	for (uint32_t n = json_elements(nodes, &at); n > 0; n--, mp_skip(&at))
		if (same_name(json_member_text(at, "Node"), name) && out->count < SEGMENTS_MAX &&
		    point_of(json_member(at, "Coord"), &out->at[out->count].point))
			out->at[out->count++].segment = json_member_text(at, "Segment");
	return out->count > 0;
}

static const struct coordinate_point *
point_in(const struct place *p, struct bytes segment)
{
	for (size_t i = 0; i < p->count; i++)
		if (bytes_equal(p->at[i].segment, segment))
			return &p->at[i].point;
	return NULL;
}

/* Prints the estimate. A node that is in one segment alone decides which of the other's points counts. */
static int
show_distance(const char *const names[2], const struct place places[2], const char *pool)
{
	const struct coordinate_point *points[2];
	struct bytes segment = bytes_str("");

	for (int i = 0; i < 2; i++)
		if (places[i].count == 1)
			segment = places[i].at[0].segment;
	for (int i = 0; i < 2; i++) {
		points[i] = point_in(&places[i], segment);
		if (points[i] == NULL)
			return command_fail("Could not find a coordinate for node \"%s\"", names[i]);
	}
	output_line("Estimated %s <-> %s rtt: %.3f ms (using %s coordinates)", names[0], names[1],
	    coordinate_point_distance(points[0], points[1]) * 1000, pool);
	return 0;
}

/* The agent's own node. NULL: told. */
static const char *
own_name(struct invocation *in, struct api *api)
{
	struct response response;
	const char *name = NULL;
	struct bytes text;

	if (api_json_of(api, "/v1/agent/self", &response) == -1) {
		command_fail("Unable to look up local node name: %s", response.error);
	} else {
		text = json_member_text(json_member(response.json, "Config"), "NodeName");
		name = region_strndup(in->region, text.data, text.size);
	}
	response_free(&response);
	return name;
}

static int
lan_rtt(struct invocation *in, struct api *api)
{
	const char *names[2] = {in->argv[0], in->argc == 2 ? in->argv[1] : own_name(in, api)};
	struct place places[2] = {{.count = 0}};
	struct response response;
	int result = 0;

	if (names[1] == NULL)
		return 1;
	if (api_json_of(api, "/v1/coordinate/nodes", &response) == -1)
		result = command_fail("Error getting coordinates: %s", response.error);
	for (int i = 0; result == 0 && i < 2; i++)
		if (!find_place(response.json, names[i], &places[i]))
			result = command_fail("Could not find a coordinate for node \"%s\"", names[i]);
	if (result == 0)
		result = show_distance(names, places, "LAN");
	response_free(&response);
	return result;
}

/* Of "NODE.DATACENTER" among the elements of /v1/coordinate/datacenters. */
static bool
find_wan_place(struct mp datacenters, const char *name, struct place *out)
{
	const char *dot = strrchr(name, '.');
	char node[512];
	struct mp at;

	if (dot == NULL || (size_t)(dot - name) >= sizeof node)
		return false;
	memcpy(node, name, (size_t)(dot - name));
	node[dot - name] = '\0';
	for (uint32_t n = json_elements(datacenters, &at); n > 0; n--, mp_skip(&at))
		if (same_name(json_member_text(at, "Datacenter"), dot + 1))
			return find_place(json_member(at, "Coordinates"), node, out);
	return false;
}

/* The agent's own node in the WAN pool. NULL: told. */
static const char *
own_wan_name(struct invocation *in, struct api *api)
{
	struct response response;
	const char *name = NULL;
	struct bytes node, datacenter;
	struct mp config;

	if (api_json_of(api, "/v1/agent/self", &response) == -1) {
		command_fail("Unable to look up local node name: %s", response.error);
	} else {
		config = json_member(response.json, "Config");
		node = json_member_text(config, "NodeName");
		datacenter = json_member_text(config, "Datacenter");
		name = region_printf(in->region, "%.*s.%.*s", (int)node.size, (const char *)node.data,
		    (int)datacenter.size, (const char *)datacenter.data);
	}
	response_free(&response);
	return name;
}

static int
wan_rtt(struct invocation *in, struct api *api)
{
	const char *names[2] = {in->argv[0], in->argc == 2 ? in->argv[1] : own_wan_name(in, api)};
	struct place places[2] = {{.count = 0}};
	struct response response;
	int result = 0;

	if (names[1] == NULL)
		return 1;
	for (int i = 0; i < 2; i++)
		if (strchr(names[i], '.') == NULL)
			return command_fail("Node names must be specified as <node name>.<datacenter> with -wan");
	if (api_json_of(api, "/v1/coordinate/datacenters", &response) == -1)
		result = command_fail("Error getting coordinates: %s", response.error);
	for (int i = 0; result == 0 && i < 2; i++)
		if (!find_wan_place(response.json, names[i], &places[i]))
			result = command_fail("Could not find a coordinate for node \"%s\"", names[i]);
	if (result == 0)
		result = show_distance(names, places, "WAN");
	response_free(&response);
	return result;
}

static int
rtt_run(struct invocation *in)
{
	struct api *api;
	int result;

	if (in->argc < 1 || in->argc > 2)
		return command_misuse(in, "One or two node names must be specified");
	api = api_connect(in);
	if (api == NULL)
		return 1;
	result = flags_bool(in->flags, "wan") ? wan_rtt(in, api) : lan_rtt(in, api);
	api_free(api);
	return result;
}

static const struct flag event_flags[] = {
    {"name", FLAG_STRING, "Name of the event."},
    {"node", FLAG_STRING, "Only for nodes whose name matches this regular expression."},
    {"service", FLAG_STRING, "Only for nodes with a service whose name matches this regular expression."},
    {"tag", FLAG_STRING, "Only for nodes with such a service and a tag that matches this regular expression."},
    {NULL},
};
static const struct flag rtt_flags[] = {
    {"wan", FLAG_BOOL, "Use the coordinates of servers in the WAN pool; names are then NODE.DATACENTER."},
    {NULL},
};

const struct command event_commands[] = {
    {"event", "Fire a new event", "[options] [PAYLOAD]", "Sends an event to the members of the datacenter.",
	COMMAND_CLIENT | COMMAND_SERVER, event_flags, event_run},
    {"rtt", "Estimates network round trip time between nodes", "[options] NODE1 [NODE2]",
	"Estimates the round trip time between two nodes from their coordinates.\nNODE2 is by default the agent's own.",
	COMMAND_CLIENT, rtt_flags, rtt_run},
    {NULL},
};

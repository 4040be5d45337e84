/*
 * cmd_members.c - members, join, leave, force-leave (cli.md 8.2, 8.3)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "filter_regex.h"
#include "output.h"

/* ---- members ---- */

struct member_view {
	bool detailed;
	const char *segment; /* "" : all */
};

static const char *
status_name(uint64_t status)
{
	static const char *const names[] = {"none", "alive", "leaving", "left", "failed"};

	return status < COUNTOF(names) ? names[status] : "unknown";
}

static char *
address_text(struct region *region, struct mp member)
{
	struct bytes host = json_member_text(member, "Addr");
	const char *text = host.size == 0 ? "" : (const char *)host.data;
	bool v6 = memchr(text, ':', host.size) != NULL;

	return region_printf(region, "%s%.*s%s:%u", v6 ? "[" : "", (int)host.size, text, v6 ? "]" : "",
	    (unsigned)json_member_uint(member, "Port"));
}

static void
tag_row(struct table *t, struct bytes name, struct bytes value)
{
	table_cell(t, "%.*s=%.*s", (int)name.size, (const char *)name.data, (int)value.size,
	    value.size == 0 ? "" : (const char *)value.data);
	table_end_row(t);
}

/* What stands for an empty tag "segment". */
static const char *
segment_name(bool server, const struct member_view *view)
{
	return server && *view->segment == '\0' ? "<all>" : "<default>";
}

/* "k=v,k=v", sorted; partition and segment are there even if the member does not tell them. */
static struct bytes
tags_text(struct region *region, struct mp tags, const struct member_view *view)
{
	struct table *sorted = table_new(region);
	struct buf text = BUF_INIT(1 << 16);
	struct mp at;
	struct bytes out;
	bool server = bytes_is(json_member_text(tags, "role"), "consul");

	for (uint32_t n = json_members(tags, &at); n > 0; n--) {
		struct bytes key = mp_str(&at), value = json_text(at);

		mp_skip(&at);
		if (!bytes_is(key, "segment") && !(bytes_is(key, "ap") && value.size == 0))
			tag_row(sorted, key, value);
	}
	if (json_member_text(tags, "ap").size == 0)
		tag_row(sorted, bytes_str("ap"), bytes_str("default"));
	if (json_member_text(tags, "segment").size == 0 || server)
		tag_row(sorted, bytes_str("segment"), bytes_str(segment_name(server, view)));
	else
		tag_row(sorted, bytes_str("segment"), json_member_text(tags, "segment"));
	table_sort(sorted, 0);
	table_columns(sorted, &text);
	for (size_t i = 0; i < text.used; i++)
		if (text.data[i] == '\n')
			text.data[i] = ',';
	out = region_copy(region, bytes_of(text.data, text.used == 0 ? 0 : text.used - 1));
	buf_free(&text);
	return out;
}

static void
simple_cells(struct table *t, struct mp member, const struct member_view *view, bool server, bool client)
{
	struct mp tags = json_member(member, "Tags");
	struct bytes build = json_member_text(tags, "build"), segment = json_member_text(tags, "segment");
	struct bytes partition = json_member_text(tags, "ap");
	const uint8_t *colon = build.size == 0 ? NULL : memchr(build.data, ':', build.size);

	if (!server && !client) {
		table_cell(t, "unknown");
		for (int i = 0; i < 5; i++)
			table_cell(t, "%s", "");
		return;
	}
	table_cell(t, server ? "server" : "client");
	if (colon != NULL)
		build.size = (size_t)(colon - build.data);
	table_cell_bytes(t, build.size == 0 ? bytes_str("< 0.3") : build);
	table_cell_bytes(t, json_member_text(tags, "vsn"));
	table_cell_bytes(t, json_member_text(tags, "dc"));
	table_cell_bytes(t, partition.size == 0 ? bytes_str("default") : partition);
	if (segment.size == 0 || server)
		table_cell(t, "%s", segment_name(server, view));
	else
		table_cell_bytes(t, segment);
}

static void
member_row(struct table *t, struct region *region, struct mp member, const struct member_view *view)
{
	struct mp tags = json_member(member, "Tags");
	struct bytes role = json_member_text(tags, "role");

	table_cell_bytes(t, json_member_text(member, "Name"));
	table_cell(t, "%s", address_text(region, member));
	table_cell(t, "%s", status_name(json_member_uint(member, "Status")));
	if (view->detailed)
		table_cell_bytes(t, tags_text(region, tags, view));
	else
		simple_cells(t, member, view, bytes_is(role, "consul"), bytes_is(role, "node"));
	table_end_row(t);
}

/* Servers first, then partition (default first), segment, name. */
struct sort_key {
	const char *key;
	struct mp member;
};

static int
compare_keys(const void *left, const void *right)
{
	const struct sort_key *a = left, *b = right;

	return strcmp(a->key, b->key);
}

static const char *
sort_key(struct region *region, struct mp member)
{
	struct mp tags = json_member(member, "Tags");
	struct bytes segment = json_member_text(tags, "segment"), name = json_member_text(member, "Name");
	struct bytes partition = json_member_text(tags, "ap");
	bool server = bytes_is(json_member_text(tags, "role"), "consul");

	if (bytes_is(partition, "default"))
		partition.size = 0;
	return region_printf(region, "%c%.*s\001%.*s\001%.*s", server ? '0' : '1', (int)partition.size,
	    partition.size == 0 ? "" : (const char *)partition.data, server ? 0 : (int)segment.size,
	    segment.size == 0 ? "" : (const char *)segment.data, (int)name.size,
	    name.size == 0 ? "" : (const char *)name.data);
}

/* Rows of the members whose status matches, below the header. */
static void
fill(struct table *t, struct region *region, struct mp members, struct filter_regex *status,
    const struct member_view *view)
{
	struct mp at;
	uint32_t n = json_elements(members, &at), kept = 0;
	struct sort_key *keys = region_alloc(region, (n + 1) * sizeof *keys);

	for (uint32_t i = 0; i < n; i++, mp_skip(&at))
		if (filter_regex_match(status, bytes_str(status_name(json_member_uint(at, "Status")))) == 1)
			keys[kept++] = (struct sort_key){sort_key(region, at), at};
	qsort(keys, kept, sizeof *keys, compare_keys);
	for (uint32_t i = 0; i < kept; i++)
		member_row(t, region, keys[i].member, view);
}

static int
members_run(struct invocation *in)
{
	static const char *const simple[] = {
	    "Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment"};
	static const char *const detailed[] = {"Node", "Address", "Status", "Tags"};
	struct member_view view = {flags_bool(in->flags, "detailed"), flags_text(in->flags, "segment", "")};
	struct table *t = table_new(in->region);
	struct filter_regex *status;
	struct response response;
	struct request r;
	struct api *api;
	char why[512];
	int result = 1;

	status = filter_regex_new(bytes_str(flags_text(in->flags, "status", ".*")), why, sizeof why);
	if (status == NULL)
		return command_fail("Failed to compile status regexp: error parsing regexp: %s", why);
	api = api_connect(in);
	if (api == NULL) {
		filter_regex_free(status);
		return 1;
	}
	request_init(&r, in->region, "GET", "/v1/agent/members");
	request_param(&r, "segment", *view.segment == '\0' ? "_all" : view.segment);
	if (flags_bool(in->flags, "wan"))
		request_param(&r, "wan", "1");
	if (flags_given(in->flags, "filter"))
		request_param(&r, "filter", flags_text(in->flags, "filter", ""));
	if (api_json(api, &r, &response) == -1) {
		command_fail("Error retrieving members: %s", response.error);
		goto out;
	}
	for (size_t i = 0; i < (view.detailed ? COUNTOF(detailed) : COUNTOF(simple)); i++)
		table_cell(t, "%s", view.detailed ? detailed[i] : simple[i]);
	table_end_row(t);
	fill(t, in->region, response.json, status, &view);
	result = 2;
	if (table_rows(t) > 1) {
		output_columns(t);
		result = 0;
	}
out:
	response_free(&response);
	filter_regex_free(status);
	api_free(api);
	return result;
}

/* ---- join, leave, force-leave ---- */

static int
join_run(struct invocation *in)
{
	struct api *api;
	int joined = 0;

	if (in->argc == 0)
		return command_misuse(in, "At least one address to join must be specified.");
	api = api_connect(in);
	if (api == NULL)
		return 1;
	for (int i = 0; i < in->argc; i++) {
		struct response response;
		struct request r;

		request_init(&r, in->region, "PUT", "/v1/agent/join/");
		request_path(&r, in->argv[i], false);
		if (flags_bool(in->flags, "wan"))
			request_param(&r, "wan", "1");
		if (api_get(api, &r, &response) == -1)
			command_fail("Error joining address '%s': %s", in->argv[i], response.error);
		else
			joined++;
		response_free(&response);
	}
	api_free(api);
	if (joined == 0)
		return command_fail("Failed to join any nodes.");
	output_line("Successfully joined cluster by contacting %d nodes.", joined);
	return 0;
}

static int
leave_run(struct invocation *in)
{
	struct response response;
	struct api *api;
	int result = 0;

	if (in->argc > 0) {
		fprintf(stderr, "Error found unexpected args: [");
		for (int i = 0; i < in->argc; i++)
			fprintf(stderr, "%s%s", i == 0 ? "" : " ", in->argv[i]);
		fprintf(stderr, "]\n");
		command_help(in->command, stdout);
		return 1;
	}
	api = api_connect(in);
	if (api == NULL)
		return 1;
	if (api_put(api, "/v1/agent/leave", &response) == -1)
		result = command_fail("Error leaving: %s", response.error);
	else
		output_line("Graceful leave complete");
	response_free(&response);
	api_free(api);
	return result;
}

static int
force_leave_run(struct invocation *in)
{
	struct response response;
	struct request r;
	struct api *api;
	int result = 0;

	if (in->argc != 1)
		return command_misuse(in, "A single node name must be specified to force leave.");
	api = api_connect(in);
	if (api == NULL)
		return 1;
	request_init(&r, in->region, "PUT", "/v1/agent/force-leave/");
	request_path(&r, in->argv[0], false);
	if (flags_bool(in->flags, "prune"))
		request_param(&r, "prune", "1");
	if (flags_bool(in->flags, "wan"))
		request_param(&r, "wan", "1");
	if (api_get(api, &r, &response) == -1)
		result = command_fail("Error force leaving: %s", response.error);
	response_free(&response);
	api_free(api);
	return result;
}

static const struct flag members_flags[] = {
    {"detailed", FLAG_BOOL, "Show all tags of each member instead of the chosen columns."},
    {"wan", FLAG_BOOL, "Show the members of the WAN pool, which are the servers of all datacenters."},
    {"status", FLAG_STRING, "Show only members whose status matches this regular expression. The default is '.*'."},
    {"segment", FLAG_STRING, "Show only members of this network segment."},
    {"filter", FLAG_STRING, "Filter expression that the agent applies to the members."},
    {NULL},
};
static const struct flag join_flags[] = {
    {"wan", FLAG_BOOL, "Join the WAN pool with the servers of another datacenter."},
    {NULL},
};
static const struct flag force_leave_flags[] = {
    {"prune", FLAG_BOOL, "Take the member off the list of members altogether."},
    {"wan", FLAG_BOOL, "Do it in the WAN pool."},
    {NULL},
};

const struct command members_commands[] = {
    {"members", "Lists the members of a Consul cluster", "[options]",
	"Shows the members of the cluster as the agent knows them.", COMMAND_CLIENT | COMMAND_PARTITION, members_flags,
	members_run},
    {"join", "Tell Consul agent to join cluster", "[options] ADDRESS...",
	"Tells a running agent to join the cluster of which one of the given addresses\nis a member.",
	COMMAND_CLIENT | COMMAND_PARTITION, join_flags, join_run},
    {"leave", "Gracefully leaves the Consul cluster and shuts down", "[options]",
	"Makes the agent leave the cluster and end. Other members see it as left,\nnot as failed.", COMMAND_CLIENT,
	NULL, leave_run},
    {"force-leave", "Forces a member of the cluster to enter the \"left\" state", "[options] NAME",
	"Declares a failed member as left. A member that is alive joins again\nby itself.",
	COMMAND_CLIENT | COMMAND_PARTITION, force_leave_flags, force_leave_run},
    {NULL},
};

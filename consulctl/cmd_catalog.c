/*
 * cmd_catalog.c - catalog datacenters, nodes, services (cli.md 8.6)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "output.h"

static bool
has_arguments(const struct invocation *in)
{
	if (in->argc > 0)
		command_fail("Too many arguments (expected 0, got %d)", in->argc);
	return in->argc > 0;
}

/* ---- datacenters ---- */

static int
datacenters_run(struct invocation *in)
{
	struct response response;
	struct api *api;
	struct mp at;
	int result = 0;

	if (has_arguments(in))
		return 1;
	api = api_connect(in);
	if (api == NULL)
		return 1;
	if (api_json_of(api, "/v1/catalog/datacenters", &response) == -1)
		result = command_fail("Error listing datacenters: %s", response.error);
	else
		for (uint32_t n = json_elements(response.json, &at); n > 0; n--, mp_skip(&at))
			output_bytes_line(json_text(at));
	response_free(&response);
	api_free(api);
	return result;
}

/* ---- nodes ---- */

/* "k=v, k=v", sorted by key. */
static struct bytes
pairs_text(struct region *region, struct mp map)
{
	struct table *sorted = table_new(region);
	struct buf text = BUF_INIT(1 << 20);
	struct mp at;
	struct bytes out;
	size_t used = 0;

	for (uint32_t n = json_members(map, &at); n > 0; n--) {
		struct bytes key = mp_str(&at), value = json_text(at);

		mp_skip(&at);
		table_cell(sorted, "%.*s=%.*s", (int)key.size, (const char *)key.data, (int)value.size,
		    value.size == 0 ? "" : (const char *)value.data);
		table_end_row(sorted);
	}
	table_sort(sorted, 0);
	table_columns(sorted, &text);
	out = bytes_of(region_alloc(region, 2 * text.used + 1), 0);
	for (size_t i = 0; i + 1 < text.used; i++) {
		((uint8_t *)out.data)[used++] = text.data[i] == '\n' ? ',' : text.data[i];
		if (text.data[i] == '\n')
			((uint8_t *)out.data)[used++] = ' ';
	}
	out.size = used;
	buf_free(&text);
	return out;
}

/* Also for the elements of /v1/health/service, whose node is a member. */
static void
node_row(struct table *t, struct region *region, struct mp node, bool detailed)
{
	struct bytes id = json_member_text(node, "ID");
	const uint8_t *dash = id.size == 0 ? NULL : memchr(id.data, '-', id.size);

	if (!detailed && dash != NULL)
		id.size = (size_t)(dash - id.data);
	table_cell_bytes(t, json_member_text(node, "Node"));
	table_cell_bytes(t, id);
	table_cell_bytes(t, json_member_text(node, "Address"));
	table_cell_bytes(t, json_member_text(node, "Datacenter"));
	if (detailed) {
		table_cell_bytes(t, pairs_text(region, json_member(node, "TaggedAddresses")));
		table_cell_bytes(t, pairs_text(region, json_member(node, "Meta")));
	}
	table_end_row(t);
}

static void
add_node_meta(struct request *r, const struct flags *flags)
{
	for (size_t i = 0; i < flags_count(flags, "node-meta"); i++) {
		const char *pair = flags_at(flags, "node-meta", i), *equals = strchr(pair, '=');

		request_param(
		    r, "node-meta", region_printf(r->region, "%.*s:%s", (int)(equals - pair), pair, equals + 1));
	}
}

static int
node_request(struct invocation *in, struct request *r, struct buf *filter)
{
	const char *service = flags_text(in->flags, "service", "");
	char why[512];

	request_init(r, in->region, "GET", *service == '\0' ? "/v1/catalog/nodes" : "/v1/health/service/");
	if (*service != '\0')
		request_path(r, service, false);
	if (flags_given(in->flags, "near"))
		request_param(r, "near", flags_text(in->flags, "near", ""));
	add_node_meta(r, in->flags);
	if (flags_given(in->flags, "filter")) {
		if (input_argument(flags_text(in->flags, "filter", ""), filter, why, sizeof why) == -1) {
			command_fail("Could not process filter argument: Failed to read file: %s", why);
			return -1;
		}
		request_param(r, "filter", region_strndup(in->region, filter->data, filter->used));
	}
	return 0;
}

static int
nodes_run(struct invocation *in)
{
	static const char *const names[] = {"Node", "ID", "Address", "DC", "TaggedAddresses", "Meta"};
	bool detailed = flags_bool(in->flags, "detailed"), of_service = *flags_text(in->flags, "service", "") != '\0';
	struct table *t = table_new(in->region);
	struct buf filter = BUF_INIT(1 << 20);
	struct response response;
	struct request r;
	struct api *api = NULL;
	struct mp at;
	int result = 1;

	if (has_arguments(in) || node_request(in, &r, &filter) == -1)
		goto out;
	api = api_connect(in);
	if (api == NULL)
		goto out;
	if (api_json(api, &r, &response) == -1) {
		command_fail("Error listing nodes%s: %s", of_service ? " for service" : "", response.error);
		response_free(&response);
		goto out;
	}
	for (size_t i = 0; i < (detailed ? COUNTOF(names) : 4); i++)
		table_cell(t, "%s", names[i]);
	table_end_row(t);
	for (uint32_t n = json_elements(response.json, &at); n > 0; n--, mp_skip(&at))
		node_row(t, in->region, of_service ? json_member(at, "Node") : at, detailed);
	response_free(&response);
	if (table_rows(t) > 1)
		output_columns(t);
	else
		command_fail("No nodes match the given query - try expanding your search.");
	result = 0;
out:
	buf_free(&filter);
	api_free(api);
	return result;
}

/* ---- services ---- */

/* The tags of all rows with one name, sorted, each once. */
static int
compare_texts(const void *left, const void *right)
{
	return bytes_compare(*(const struct bytes *)left, *(const struct bytes *)right);
}

static void
service_row(struct table *t, struct region *region, struct bytes name, struct mp tags, bool with_tags)
{
	struct mp at;
	uint32_t n = json_elements(tags, &at);
	struct bytes *sorted = region_alloc(region, (n + 1) * sizeof *sorted);
	struct buf text = BUF_INIT(1 << 20);

	table_cell_bytes(t, name);
	if (with_tags) {
		for (uint32_t i = 0; i < n; i++, mp_skip(&at))
			sorted[i] = json_text(at);
		qsort(sorted, n, sizeof *sorted, compare_texts);
		for (uint32_t i = 0; i < n; i++) {
			if (i > 0)
				buf_put_u8(&text, ',');
			buf_put_bytes(&text, sorted[i]);
		}
		table_cell_bytes(t, buf_bytes(&text));
	}
	table_end_row(t);
	buf_free(&text);
}

/* Of a node: a name may come from several instances, whose tags are put together. */
static void
services_of_node(struct table *t, struct region *region, struct mp node, bool with_tags)
{
	struct mp at, other, services = json_member(node, "Services");
	uint32_t n = json_members(services, &at);

	for (uint32_t i = 0; i < n; i++) {
		struct bytes name;
		bool seen = false;
		uint32_t tag_count = 0;
		struct buf tags = BUF_INIT(1 << 20);
		size_t place = mp_open_array(&tags);

		mp_skip(&at);
		name = json_member_text(at, "Service");
		json_members(services, &other);
		for (uint32_t j = 0; j < n; j++) {
			struct mp tag;

			mp_skip(&other);
			if (bytes_equal(json_member_text(other, "Service"), name)) {
				seen = seen || j < i;
				for (uint32_t k = json_elements(json_member(other, "Tags"), &tag); k > 0;
				     k--, tag_count++)
					buf_put_bytes(&tags, mp_raw(&tag));
			}
			mp_skip(&other);
		}
		mp_close(&tags, place, tag_count);
		if (!seen)
			service_row(t, region, name, mp_of(buf_bytes(&tags)), with_tags);
		buf_free(&tags);
		mp_skip(&at);
	}
}

static int
services_run(struct invocation *in)
{
	const char *node = flags_text(in->flags, "node", "");
	bool with_tags = flags_bool(in->flags, "tags");
	struct table *t = table_new(in->region);
	struct response response;
	struct request r;
	struct api *api;
	struct mp at;

	if (has_arguments(in))
		return 1;
	api = api_connect(in);
	if (api == NULL)
		return 1;
	request_init(&r, in->region, "GET", *node == '\0' ? "/v1/catalog/services" : "/v1/catalog/node/");
	if (*node != '\0')
		request_path(&r, node, false);
	add_node_meta(&r, in->flags);
	if (api_json(api, &r, &response) == -1) {
		command_fail("Error listing services%s: %s", *node == '\0' ? "" : " for node", response.error);
		response_free(&response);
		api_free(api);
		return 1;
	}
	if (*node != '\0')
		services_of_node(t, in->region, response.json, with_tags);
	else
		for (uint32_t n = json_members(response.json, &at); n > 0; n--, mp_skip(&at)) {
			struct bytes name = mp_str(&at);

			service_row(t, in->region, name, at, with_tags);
		}
	response_free(&response);
	api_free(api);
	table_sort(t, 0);
	if (table_rows(t) == 0)
		command_fail("No services match the given query - try expanding your search.");
	else
		output_tabs(t);
	return 0;
}

static const struct flag nodes_flags[] = {
    {"detailed", FLAG_BOOL, "Show tagged addresses and metadata too, and the whole ID."},
    {"filter", FLAG_STRING,
	"Filter expression that the agent applies to the nodes; @file reads it from a file, - from standard input."},
    {"near", FLAG_STRING, "Sort by round trip time from this node; _agent is the agent's own."},
    {"node-meta", FLAG_MAP, "Show only nodes with this metadata. May be repeated."},
    {"service", FLAG_STRING, "Show only nodes that have an instance of this service."},
    {NULL},
};
static const struct flag services_flags[] = {
    {"node", FLAG_STRING, "Show only the services of the node with this name or ID."},
    {"node-meta", FLAG_MAP, "Show only services of nodes with this metadata. May be repeated."},
    {"tags", FLAG_BOOL, "Show the tags of each service."},
    {NULL},
};

const struct command catalog_commands[] = {
    {"catalog", "Interact with the catalog", NULL,
	"Shows what is registered in the catalog: datacenters, nodes and services.\n\n  $ consul catalog nodes\n  $ "
	"consul catalog "
	"services -tags"},
    {"catalog datacenters", "Lists all known datacenters for this agent", "[options]",
	"Lists the known datacenters, nearest first.", COMMAND_CLIENT | COMMAND_SERVER, NULL, datacenters_run},
    {"catalog nodes", "Lists all nodes in the given datacenter", "[options]", "Lists the nodes of the datacenter.",
	COMMAND_CLIENT | COMMAND_SERVER | COMMAND_PARTITION, nodes_flags, nodes_run},
    {"catalog services", "Lists all registered services in a datacenter", "[options]",
	"Lists the services of the datacenter.", COMMAND_CLIENT | COMMAND_SERVER | COMMAND_TENANCY, services_flags,
	services_run},
    {NULL},
};

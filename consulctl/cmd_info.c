/*
 * cmd_info.c - info, reload, version, keygen, keyring, rtt (cli.md 8.4, 8.5, 8.16)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "json.h"
#include "output.h"
#include "uuid.h"
#include "version.h"

/* ---- info ---- */

/* Members of an object, sorted by name. */
struct member {
	struct bytes name;
	struct mp value;
};

static int
compare_members(const void *left, const void *right)
{
	const struct member *a = left, *b = right;

	return bytes_compare(a->name, b->name);
}

static struct member *
sorted_members(struct region *region, struct mp object, uint32_t *count)
{
	struct mp at;
	uint32_t n = json_members(object, &at);
	struct member *out = region_alloc(region, (n + 1) * sizeof *out);

	for (uint32_t i = 0; i < n; i++, mp_skip(&at)) {
		out[i].name = mp_str(&at);
		out[i].value = at;
	}
	qsort(out, n, sizeof *out, compare_members);
	*count = n;
	return out;
}

static int
info_run(struct invocation *in)
{
	struct response response;
	struct member *sections, *keys;
	struct api *api = api_connect(in);
	uint32_t n, m;

	if (api == NULL)
		return 1;
	if (api_json_of(api, "/v1/agent/self", &response) == -1) {
		command_fail("Error querying agent: %s", response.error);
		response_free(&response);
		api_free(api);
		return 1;
	}
	sections = sorted_members(in->region, json_member(response.json, "Stats"), &n);
	for (uint32_t i = 0; i < n; i++) {
		output_line("%.*s:", (int)sections[i].name.size, (const char *)sections[i].name.data);
		keys = sorted_members(in->region, sections[i].value, &m);
		for (uint32_t j = 0; j < m; j++) {
			struct bytes value = json_text(keys[j].value);

			output_line("\t%.*s = %.*s", (int)keys[j].name.size, (const char *)keys[j].name.data,
			    (int)value.size, value.size == 0 ? "" : (const char *)value.data);
		}
	}
	response_free(&response);
	api_free(api);
	return 0;
}

static int
reload_run(struct invocation *in)
{
	struct response response;
	struct api *api = api_connect(in);
	int result = 0;

	if (api == NULL)
		return 1;
	if (api_put(api, "/v1/agent/reload", &response) == -1)
		result = command_fail("Error reloading: %s", response.error);
	else
		output_line("Configuration reload triggered");
	response_free(&response);
	api_free(api);
	return result;
}

/* ---- version, keygen ---- */

static int
version_run(struct invocation *in)
{
	const char *format = flags_text(in->flags, "format", "pretty");

	if (strcmp(format, "pretty") == 0) {
		output_line("Consul v" CONSULD_COMPAT_VERSION);
		output_line("consuld " CONSULD_VERSION);
		output_line(
		    "Protocol 2 spoken by default, understands 2 to 3 (agent will automatically use protocol >2 when "
		    "speaking to compatible agents)\n");
		return 0;
	}
	if (strcmp(format, "json") != 0)
		return command_fail("Unknown format: %s", format);
	output_line(
	    "{\n   \"Version\": \"" CONSULD_COMPAT_VERSION "\",\n   \"Revision\": \"\",\n   \"Prerelease\": \"\",\n"
	    "   \"BuildDate\": \"1970-01-01T00:00:01Z\",\n"
	    "   \"RPC\": {\n      \"Default\": 2,\n      \"Min\": 2,\n      \"Max\": 3\n   }\n}");
	return 0;
}

#define GOSSIP_KEY_BYTES 32

static int
keygen_run(struct invocation *in)
{
	struct buf text = BUF_INIT(256);
	uint8_t key[GOSSIP_KEY_BYTES];

	(void)in;
	random_bytes(key, sizeof key);
	base64_encode(bytes_of(key, sizeof key), &text);
	output_bytes_line(buf_bytes(&text));
	explicit_bzero(key, sizeof key);
	explicit_bzero(text.data, text.used);
	buf_free(&text);
	return 0;
}

/* ---- keyring ---- */

static void
print_keys(struct mp ring, const char *member, struct mp *at)
{
	uint32_t nodes = (uint32_t)json_member_uint(ring, "NumNodes");

	for (uint32_t n = json_members(json_member(ring, member), at); n > 0; n--, mp_skip(at)) {
		struct bytes key = mp_str(at);

		output_line("  %.*s [%ju/%u]", (int)key.size, (const char *)key.data, (uintmax_t)json_uint(*at), nodes);
	}
}

static void
print_rings(struct mp rings, const char *member)
{
	struct mp at, inner;

	for (uint32_t n = json_elements(rings, &at); n > 0; n--, mp_skip(&at)) {
		struct bytes datacenter = json_member_text(at, "Datacenter"), segment = json_member_text(at, "Segment");

		if (json_member_bool(at, "WAN"))
			output_line("\nWAN:");
		else if (segment.size > 0)
			output_line("\n%.*s (LAN) [%.*s]:", (int)datacenter.size, (const char *)datacenter.data,
			    (int)segment.size, (const char *)segment.data);
		else
			output_line("\n%.*s (LAN):", (int)datacenter.size,
			    datacenter.size == 0 ? "" : (const char *)datacenter.data);
		for (uint32_t m = json_members(json_member(at, "Messages"), &inner); m > 0; m--, mp_skip(&inner)) {
			struct bytes node = mp_str(&inner), text = json_text(inner);

			output_line("  ===> %.*s: %.*s", (int)node.size, (const char *)node.data, (int)text.size,
			    text.size == 0 ? "" : (const char *)text.data);
		}
		print_keys(at, member, &inner);
	}
}

static const struct action {
	const char *flag;
	const char *method;
	const char *told;
} actions[] = {
    {"list", "GET", "==> Gathering installed encryption keys..."},
    {"list-primary", "GET", "==> Gathering installed primary encryption keys..."},
    {"install", "POST", "==> Installing new gossip encryption key..."},
    {"use", "PUT", "==> Changing primary gossip encryption key..."},
    {"remove", "DELETE", "==> Removing gossip encryption key..."},
};

/* The one that is asked for. NULL: told. */
static const struct action *
keyring_action(const struct invocation *in)
{
	const struct action *found = NULL;

	for (size_t i = 0; i < COUNTOF(actions); i++) {
		if (strcmp(flags_text(in->flags, actions[i].flag, ""), "") == 0)
			continue;
		if (found != NULL) {
			command_fail("Only a single action is allowed");
			return NULL;
		}
		found = &actions[i];
	}
	if (found == NULL)
		command_help(in->command, stderr);
	return found;
}

static int
keyring_run(struct invocation *in)
{
	const struct action *action = keyring_action(in);
	struct buf body = BUF_INIT(1 << 16);
	uint64_t relay = flags_uint(in->flags, "relay-factor", 0);
	struct response response;
	struct request r;
	struct api *api;
	bool list;
	int result = 0;

	if (action == NULL)
		return 1;
	if (relay > 5)
		return command_fail("Error parsing relay factor: Relay factor must be in range: [0, 5]");
	list = strcmp(action->method, "GET") == 0;
	if (flags_bool(in->flags, "local-only") && !list)
		return command_fail("Error validating local-only: local-only can only be set for list requests");
	api = api_connect(in);
	if (api == NULL)
		return 1;
	output_line("%s", action->told);
	request_init(&r, in->region, action->method, "/v1/operator/keyring");
	if (relay > 0)
		request_param(&r, "relay-factor", region_printf(in->region, "%ju", (uintmax_t)relay));
	if (flags_bool(in->flags, "local-only"))
		request_param(&r, "local-only", "true");
	if (!list) {
		buf_put_str(&body, "{\"Key\":");
		json_put_cstr(&body, flags_text(in->flags, action->flag, ""));
		buf_put_str(&body, "}");
		request_body(&r, buf_bytes(&body), "application/json");
	}
	if (api_get(api, &r, &response) == -1 || (list && api_parse(&response) == -1))
		result = command_fail("error: %s", response.error);
	else if (list)
		print_rings(response.json, strcmp(action->flag, "list") == 0 ? "Keys" : "PrimaryKeys");
	response_free(&response);
	buf_free(&body);
	api_free(api);
	return result;
}

static const struct flag version_flags[] = {
    {"format", FLAG_STRING, "pretty or json. The default is pretty."},
    {NULL},
};
static const struct flag keyring_flags[] = {
    {"install", FLAG_STRING, "Add this key to the ring of every member."},
    {"list", FLAG_BOOL, "Show the keys and how many members have each."},
    {"list-primary", FLAG_BOOL, "Show the keys that members encrypt with."},
    {"remove", FLAG_STRING, "Take this key off the rings; it must not be the one in use."},
    {"use", FLAG_STRING, "Encrypt with this key from now on; it must be installed."},
    {"relay-factor", FLAG_INT, "Send answers through this many other members too, 0 to 5. The default is 0."},
    {"local-only", FLAG_BOOL, "List only what the local agent knows, without asking other members."},
    {NULL},
};

const struct command info_commands[] = {
    {"info", "Provides debugging information for operators.", "[options]",
	"Prints the agent's counters and states by section.", COMMAND_CLIENT, NULL, info_run},
    {"reload", "Triggers the agent to reload configuration files", "[options]",
	"Makes the agent read its configuration files again, as SIGHUP does. Faults\nin them are printed and the "
	"running "
	"configuration stays.",
	COMMAND_CLIENT, NULL, reload_run},
    {"version", "Prints the Consul version", "[options]",
	"Prints the version whose behaviour this suite has, and its own.", COMMAND_REPEATS_ERROR, version_flags,
	version_run},
    {"keygen", "Generates a new encryption key", "",
	"Prints a new random key for the encryption of gossip, for the key encrypt.", COMMAND_REPEATS_ERROR, NULL,
	keygen_run},
    {"keyring", "Manages gossip layer encryption keys", "[options]",
	"Lists and changes the keys that members encrypt gossip with.", COMMAND_CLIENT, keyring_flags, keyring_run},
    {NULL},
};

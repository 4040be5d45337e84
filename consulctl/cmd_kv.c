/*
 * cmd_kv.c - kv get, put, delete (cli.md 8.8)
 */
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "cmd_kv.h"
#include "json.h"
#include "output.h"

/* ---- shared with export and import ---- */

void
kv_request(struct request *r, struct region *region, const char *method, const char *key)
{
	request_init(r, region, method, "/v1/kv/");
	request_path(r, key, true);
}

const char *
kv_key_argument(const struct invocation *in)
{
	const char *key = in->argc > 0 ? in->argv[0] : "";

	return *key == '/' ? key + 1 : key;
}

/* ---- get ---- */

static void
put_value(struct bytes encoded, bool as_base64, struct buf *out)
{
	if (as_base64)
		buf_put_bytes(out, encoded);
	else if (base64_decode(encoded, out) == -1)
		buf_put_bytes(out, encoded);
}

/* Name, then the value as the API spells it, for a number or a text. */
static void
detail_row(struct table *t, struct mp pair, const char *name)
{
	table_cell(t, "%s", name);
	table_cell_bytes(t, json_member_text(pair, name));
	table_end_row(t);
}

static void
print_details(struct region *region, struct mp pair, bool as_base64, bool with_value)
{
	struct table *t = table_new(region);
	struct buf text = BUF_INIT(OUTPUT_MAX);
	struct bytes session = json_member_text(pair, "Session");

	detail_row(t, pair, "CreateIndex");
	detail_row(t, pair, "Flags");
	detail_row(t, pair, "Key");
	detail_row(t, pair, "LockIndex");
	detail_row(t, pair, "ModifyIndex");
	table_cell(t, "Session");
	table_cell_bytes(t, session.size == 0 ? bytes_str("-") : session);
	table_end_row(t);
	table_tabs(t, 0, &text);
	if (with_value) {
		buf_put_str(&text, "Value            ");
		put_value(json_member_text(pair, "Value"), as_base64, &text);
		if (json_member_text(pair, "Value").size == 0)
			text.used -= strlen("            ");
		buf_put_u8(&text, '\n');
	}
	output_bytes(buf_bytes(&text));
	buf_free(&text);
}

struct get_options {
	bool base64;
	bool detailed;
	bool keys;
	bool recurse;
};

static void
print_pairs(struct region *region, struct mp pairs, const struct get_options *o)
{
	struct mp at;
	uint32_t n = json_elements(pairs, &at);

	for (uint32_t i = 0; i < n; i++, mp_skip(&at)) {
		struct buf text = BUF_INIT(OUTPUT_MAX);

		if (o->detailed) {
			print_details(region, at, o->base64, !o->keys);
			if (o->keys)
				output_line("%s", "");
			if (i + 1 < n)
				output_line("%s", "");
		} else if (o->keys) {
			output_bytes_line(json_member_text(at, "Key"));
		} else {
			buf_put_bytes(&text, json_member_text(at, "Key"));
			buf_put_u8(&text, ':');
			put_value(json_member_text(at, "Value"), o->base64, &text);
			output_bytes_line(buf_bytes(&text));
		}
		buf_free(&text);
	}
}

static int
print_one(struct region *region, const char *key, const struct response *response, const struct get_options *o)
{
	struct buf text = BUF_INIT(OUTPUT_MAX);
	struct mp pair;

	if (response->status == 404 || json_elements(response->json, &pair) == 0)
		return command_fail("Error! No key exists at: %s", key);
	if (o->detailed) {
		print_details(region, pair, o->base64, true);
		return 0;
	}
	put_value(json_member_text(pair, "Value"), o->base64, &text);
	output_bytes_line(buf_bytes(&text));
	buf_free(&text);
	return 0;
}

static int
get_run(struct invocation *in)
{
	struct get_options o = {flags_bool(in->flags, "base64"), flags_bool(in->flags, "detailed"),
	    flags_bool(in->flags, "keys"), flags_bool(in->flags, "recurse")};
	const char *key = kv_key_argument(in);
	struct response response;
	struct request r;
	struct api *api;
	struct mp at;
	int result = 0;

	if (in->argc > 1)
		return command_fail("Too many arguments (expected 1, got %d)", in->argc);
	if (*key == '\0' && !o.keys && !o.recurse)
		return command_fail("Error! Missing KEY argument");
	api = api_connect(in);
	if (api == NULL)
		return 1;
	kv_request(&r, in->region, "GET", key);
	if (o.recurse) {
		request_param(&r, "recurse", NULL);
	} else if (o.keys) {
		request_param(&r, "keys", NULL);
		if (*flags_text(in->flags, "separator", "/") != '\0')
			request_param(&r, "separator", flags_text(in->flags, "separator", "/"));
	}
	if (api_send(api, &r, &response) == -1 ||
	    (response.status != 404 && response.status != 200 && api_unexpected(&response)) ||
	    (response.status == 200 && api_parse(&response) == -1))
		result = command_fail("Error querying Consul agent: %s", response.error);
	else if (!o.keys && !o.recurse)
		result = print_one(in->region, key, &response, &o);
	else if (response.status == 404)
		result = 0;
	else if (o.recurse)
		print_pairs(in->region, response.json, &o);
	else
		for (uint32_t n = json_elements(response.json, &at); n > 0; n--, mp_skip(&at))
			output_bytes_line(json_text(at));
	response_free(&response);
	api_free(api);
	return result;
}

/* ---- put ---- */

/* The value: literal, @file, - or none, and -base64. -1: told. */
static int
put_data(struct invocation *in, struct buf *out)
{
	struct buf decoded = BUF_INIT(INPUT_MAX);
	char why[512];

	if (in->argc < 2)
		return 0;
	if (input_argument(in->argv[1], out, why, sizeof why) == -1) {
		command_fail("Error! Failed to read file: %s", why);
		return -1;
	}
	if (!flags_bool(in->flags, "base64"))
		return 0;
	if (base64_decode(buf_bytes(out), &decoded) == -1) {
		buf_free(&decoded);
		command_fail("Error! Cannot base 64 decode data: illegal base64 data");
		return -1;
	}
	buf_free(out);
	*out = decoded;
	return 0;
}

static int
tell_put(const struct invocation *in, const char *key, bool written)
{
	uint64_t index = flags_uint(in->flags, "modify-index", 0);

	if (flags_bool(in->flags, "cas")) {
		if (written)
			output_line("Success! Data written to: %s", key);
		else if (index == 0)
			return command_fail(
			    "Error! Did not write to %s: CAS performed with index=0 and key already exists.", key);
		else
			return command_fail("Error! Did not write to %s: CAS failed", key);
	} else if (flags_bool(in->flags, "acquire")) {
		if (!written)
			return command_fail("Error! Did not acquire lock");
		output_line("Success! Lock acquired on: %s", key);
	} else if (flags_bool(in->flags, "release")) {
		if (!written)
			return command_fail("Error! Did not release lock");
		output_line("Success! Lock released on: %s", key);
	} else {
		if (!written)
			return command_fail("Error! Failed writing data: the agent answered false");
		output_line("Success! Data written to: %s", key);
	}
	return 0;
}

static int
put_run(struct invocation *in)
{
	const char *session = flags_text(in->flags, "session", "");
	struct buf data = BUF_INIT(INPUT_MAX);
	struct response response;
	struct request r;
	struct api *api = NULL;
	int result = 1;

	if (in->argc == 0)
		return command_fail("Error! Missing KEY argument");
	if (in->argc > 2)
		return command_fail("Error! Too many arguments (expected 1 or 2, got %d)", in->argc);
	if (*session == '\0' && (flags_bool(in->flags, "acquire") || flags_bool(in->flags, "release")))
		return command_fail("Error! Missing -session (required with -acquire and -release)");
	if (put_data(in, &data) == -1)
		goto out;
	api = api_connect(in);
	if (api == NULL)
		goto out;
	kv_request(&r, in->region, "PUT", in->argv[0]);
	if (flags_uint(in->flags, "flags", 0) != 0)
		request_param(
		    &r, "flags", region_printf(in->region, "%ju", (uintmax_t)flags_uint(in->flags, "flags", 0)));
	if (flags_bool(in->flags, "cas"))
		request_param(
		    &r, "cas", region_printf(in->region, "%ju", (uintmax_t)flags_uint(in->flags, "modify-index", 0)));
	else if (flags_bool(in->flags, "acquire"))
		request_param(&r, "acquire", session);
	else if (flags_bool(in->flags, "release"))
		request_param(&r, "release", session);
	request_body(&r, buf_bytes(&data), NULL);
	if (api_json(api, &r, &response) == -1)
		command_fail("Error! Failed writing data: %s", response.error);
	else
		result = tell_put(in, in->argv[0], json_bool(response.json));
	response_free(&response);
out:
	buf_free(&data);
	api_free(api);
	return result;
}

/* ---- delete ---- */

static int
tell_delete(const char *key, bool recurse, bool deleted)
{
	if (recurse) {
		output_line("Success! Deleted keys with prefix: %s", key);
		return 0;
	}
	if (!deleted)
		return command_fail("Error! Did not delete key %s: CAS failed", key);
	output_line("Success! Deleted key: %s", key);
	return 0;
}

static int
delete_run(struct invocation *in)
{
	bool recurse = flags_bool(in->flags, "recurse"), cas = flags_bool(in->flags, "cas");
	uint64_t index = flags_uint(in->flags, "modify-index", 0);
	const char *key = kv_key_argument(in);
	struct response response;
	struct request r;
	struct api *api;
	int result;

	if (in->argc > 1)
		return command_fail("Too many arguments (expected 1, got %d)", in->argc);
	if (in->argc == 0 && !recurse)
		return command_fail("Error! Missing KEY argument");
	if (cas && index == 0)
		return command_fail(
		    "Cannot delete a key that does not exist. Provide a -modify-index greater than than 0.");
	if (!cas && index != 0)
		return command_fail("Cannot specify -modify-index without -cas!");
	if (cas && recurse)
		return command_fail("Cannot specify both -cas and -recurse!");
	api = api_connect(in);
	if (api == NULL)
		return 1;
	kv_request(&r, in->region, "DELETE", key);
	if (recurse)
		request_param(&r, "recurse", NULL);
	if (cas)
		request_param(&r, "cas", region_printf(in->region, "%ju", (uintmax_t)index));
	if (api_json(api, &r, &response) == -1)
		result = recurse ? command_fail("Error! Did not delete prefix %s: %s", key, response.error)
				 : command_fail("Error deleting key %s: %s", key, response.error);
	else
		result = tell_delete(key, recurse, json_bool(response.json));
	response_free(&response);
	api_free(api);
	return result;
}

static const struct flag get_flags[] = {
    {"base64", FLAG_BOOL, "Print the value in base64. The default is false."},
    {"detailed", FLAG_BOOL, "Print the key's indexes, flags and session too. The default is false."},
    {"keys", FLAG_BOOL, "Print the keys that begin with the given prefix, up to the separator. The default is false."},
    {"recurse", FLAG_BOOL, "Print all pairs whose keys begin with the given prefix. The default is false."},
    {"separator", FLAG_STRING, "Where -keys cuts a key. The default is '/'; an empty text shows whole keys."},
    {NULL},
};
static const struct flag put_flags[] = {
    {"acquire", FLAG_BOOL, "Lock the key with the session of -session. The default is false."},
    {"base64", FLAG_BOOL, "The given data is base64; store what it stands for. The default is false."},
    {"cas", FLAG_BOOL,
	"Write only if the key's ModifyIndex is that of -modify-index; 0: only if there is no such key. The default is "
	"false."},
    {"flags", FLAG_UINT, "Number to keep with the key; it means nothing to Consul. The default is 0."},
    {"modify-index", FLAG_UINT, "Index for -cas. The default is 0."},
    {"release", FLAG_BOOL, "Release the session's lock on the key. The default is false."},
    {"session", FLAG_STRING, "Session for -acquire and -release."},
    {NULL},
};
static const struct flag delete_flags[] = {
    {"cas", FLAG_BOOL, "Delete only if the key's ModifyIndex is that of -modify-index. The default is false."},
    {"modify-index", FLAG_UINT, "Index for -cas. The default is 0."},
    {"recurse", FLAG_BOOL, "Delete all keys that begin with the given prefix. The default is false."},
    {NULL},
};
static const struct flag import_flags[] = {
    {"prefix", FLAG_STRING, "Put this before each key. The default is nothing."},
    {NULL},
};

#define KV_OPTIONS (COMMAND_CLIENT | COMMAND_SERVER | COMMAND_TENANCY)

const struct command kv_commands[] = {
    {"kv", "Interact with the key-value store", NULL,
	"Reads and writes keys and values.\n\n  $ consul kv put redis/connections 5\n  $ consul kv get "
	"redis/connections\n  $ consul "
	"kv delete redis/connections"},
    {"kv get", "Retrieves or lists data from the KV store", "[options] [KEY_OR_PREFIX]",
	"Prints the value of a key, or the keys or pairs below a prefix.", KV_OPTIONS, get_flags, get_run},
    {"kv put", "Sets or updates data in the KV store", "[options] KEY [DATA]",
	"Writes a value. DATA is the value itself, @file to read it from a file, or\n- to read it from standard input; "
	"without it "
	"the value is empty.",
	KV_OPTIONS, put_flags, put_run},
    {"kv delete", "Removes data from the KV store", "[options] KEY_OR_PREFIX",
	"Deletes a key, or all keys below a prefix.", KV_OPTIONS, delete_flags, delete_run},
    {"kv export", "Exports a tree from the KV store as JSON", "[options] [PREFIX]",
	"Prints all pairs below the prefix in the form that kv import reads.", KV_OPTIONS, NULL, kv_export_run},
    {"kv import", "Imports a tree stored as JSON to the KV store", "[options] DATA",
	"Writes the pairs that kv export printed. DATA is the JSON text, @file, or -\nfor standard input.", KV_OPTIONS,
	import_flags, kv_import_run},
    {NULL},
};

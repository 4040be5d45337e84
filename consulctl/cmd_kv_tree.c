/*
 * cmd_kv_tree.c - kv export, kv import (cli.md 8.8)
 */
#include <stdio.h>
#include <string.h>

#include "cmd_kv.h"
#include "json.h"
#include "output.h"

/* ---- export ---- */

static void
export_pair(struct mp pair, struct buf *out)
{
	buf_put_str(out, "\t{\n\t\t\"key\": ");
	json_put_str(out, json_member_text(pair, "Key"));
	buf_put_str(out, ",\n\t\t\"flags\": ");
	buf_put_bytes(out, json_member_text(pair, "Flags"));
	buf_put_str(out, ",\n\t\t\"value\": ");
	json_put_str(out, json_member_text(pair, "Value"));
	buf_put_str(out, "\n\t}");
}

int
kv_export_run(struct invocation *in)
{
	struct buf text = BUF_INIT(OUTPUT_MAX);
	struct response response;
	struct request r;
	struct api *api;
	struct mp at;
	uint32_t n;
	int result = 0;

	if (in->argc > 1)
		return command_fail("Too many arguments (expected 1, got %d)", in->argc);
	api = api_connect(in);
	if (api == NULL)
		return 1;
	kv_request(&r, in->region, "GET", kv_key_argument(in));
	request_param(&r, "recurse", NULL);
	if (api_send(api, &r, &response) == -1 ||
	    (response.status != 404 && response.status != 200 && api_unexpected(&response)) ||
	    (response.status == 200 && api_parse(&response) == -1)) {
		result = command_fail("Error querying Consul agent: %s", response.error);
		goto out;
	}
	n = response.status == 200 ? json_elements(response.json, &at) : 0;
	buf_put_str(&text, n == 0 ? "[" : "[\n");
	for (uint32_t i = 0; i < n; i++, mp_skip(&at)) {
		export_pair(at, &text);
		buf_put_str(&text, i + 1 < n ? ",\n" : "\n");
	}
	buf_put_u8(&text, ']');
	if (text.overflow)
		result = command_fail("Error exporting KV data: more than %u bytes", OUTPUT_MAX);
	else
		output_bytes_line(buf_bytes(&text));
out:
	buf_free(&text);
	response_free(&response);
	api_free(api);
	return result;
}

/* ---- import ---- */

/* prefix/key with empty and dot elements resolved; a trailing slash of the key stays. */
static const char *
join_path(struct region *region, const char *prefix, struct bytes key)
{
	const char *whole =
	    region_printf(region, "%s/%.*s", prefix, (int)key.size, key.size == 0 ? "" : (const char *)key.data);
	char *out = region_alloc(region, strlen(whole) + 2);
	size_t used = 0;

	while (*whole != '\0') {
		size_t size = strcspn(whole, "/");

		if (size == 2 && memcmp(whole, "..", 2) == 0) {
			while (used > 0 && out[used - 1] != '/')
				used--;
			used -= used > 0;
		} else if (size > 0 && !(size == 1 && *whole == '.')) {
			if (used > 0)
				out[used++] = '/';
			memcpy(out + used, whole, size);
			used += size;
		}
		whole += size;
		whole += *whole == '/';
	}
	if (key.size > 0 && key.data[key.size - 1] == '/' && used > 0)
		out[used++] = '/';
	out[used] = '\0';
	return out;
}

/* -1: told. */
static int
import_pair(struct invocation *in, struct api *api, struct mp pair)
{
	struct bytes key = json_member_text(pair, "key");
	struct buf value = BUF_INIT(INPUT_MAX);
	struct response response;
	struct request r;
	const char *path;
	int result = -1;

	if (base64_decode(json_member_text(pair, "value"), &value) == -1) {
		command_fail("Error base 64 decoding value for key %.*s: illegal base64 data", (int)key.size,
		    (const char *)key.data);
		buf_free(&value);
		return -1;
	}
	path = join_path(in->region, flags_text(in->flags, "prefix", ""), key);
	kv_request(&r, in->region, "PUT", path);
	if (json_member_uint(pair, "flags") != 0)
		request_param(
		    &r, "flags", region_printf(in->region, "%ju", (uintmax_t)json_member_uint(pair, "flags")));
	request_body(&r, buf_bytes(&value), NULL);
	if (api_json(api, &r, &response) == -1) {
		command_fail("Error! Failed writing data for key %s: %s", path, response.error);
	} else {
		output_line("Imported: %s", path);
		result = 0;
	}
	response_free(&response);
	buf_free(&value);
	return result;
}

int
kv_import_run(struct invocation *in)
{
	struct buf data = BUF_INIT(INPUT_MAX), tape;
	struct json_error error;
	struct api *api = NULL;
	struct mp at;
	char why[512];
	int result = 1;

	if (in->argc == 0)
		return command_fail("Error! Missing DATA argument");
	if (in->argc > 1)
		return command_fail("Too many arguments (expected 1, got %d)", in->argc);
	if (*in->argv[0] == '\0')
		return command_fail("Error! Empty DATA argument");
	if (input_argument(in->argv[0], &data, why, sizeof why) == -1) {
		buf_free(&data);
		return command_fail("Error! Failed to read file: %s", why);
	}
	tape = BUF_INIT(JSON_TAPE_FACTOR * data.used + 64);
	if (json_parse(buf_bytes(&data), &tape, &error) == -1) {
		command_fail("Cannot unmarshal data: %s", error.text);
		goto out;
	}
	at = mp_of(buf_bytes(&tape));
	if (mp_peek(&at) != MP_ARRAY && mp_peek(&at) != MP_NIL) {
		command_fail(
		    "Cannot unmarshal data: json: cannot unmarshal value into Go value of type []*impexp.Entry");
		goto out;
	}
	api = api_connect(in);
	if (api == NULL)
		goto out;
	result = 0;
	for (uint32_t n = json_elements(at, &at); n > 0 && result == 0; n--, mp_skip(&at))
		result = import_pair(in, api, at) == -1;
out:
	buf_free(&data);
	buf_free(&tape);
	api_free(api);
	return result;
}

/*
 * common_json_fuzz.c - any bytes as a JSON body, by several tables: what is taken can be written and is taken again
 */
#include "json.h"
#include "json_parse.h"
#include "mem.h"
#include "structs.h"
#include "structs_agent.h"

#include <stdio.h>
#include <stdlib.h>

#define OUT_MAX (1 << 22)

static void
check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "common_json_fuzz: %s\n", what);
	abort();
}

static void
by_table(const struct schema *s, struct bytes text)
{
	struct buf mp = BUF_INIT(OUT_MAX), json = BUF_INIT(OUT_MAX);
	struct json_error error = {""};
	uint8_t c_form[2048];
	const char *why;
	struct mp in;

	if (schema_from_json(s, text, &mp, &error) == 0) {
		check(schema_decode(s, buf_bytes(&mp), c_form, &why) == 0, "our own msgpack is refused");
		in = mp_of(buf_bytes(&mp));
		check(schema_to_json(s, &in, &json, 0) == 0, "our own msgpack has no JSON");
		check(mp_peek(&in) == MP_END, "something is left");
		json_syntax_error(buf_bytes(&json), &error);
		check(error.text[0] == '\0' || json.overflow, "our own JSON is bad");
	} else {
		check(error.text[0] != '\0' && memchr(error.text, '\0', sizeof error.text) != NULL, "no text");
	}
	buf_free(&mp);
	buf_free(&json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct schema *const all[] = {&register_request_schema, &deregister_request_schema,
	    &session_schema, &service_definition_schema, &check_definition_request_schema};
	struct bytes text = {data, size};
	struct buf out = BUF_INIT(OUT_MAX);
	struct json_error refused = {""}, syntax = {""};
	int result = json_to_mp(text, &out, &refused);

	/* The scanner for error texts agrees with the parser, but for two blanks that yajl knows and JSON does not. */
	json_syntax_error(text, &syntax);
	if (size > 0 && (memchr(data, '\v', size) != NULL || memchr(data, '\f', size) != NULL))
		;
	else if (result == 0)
		check(syntax.text[0] == '\0', "a good text has an error");
	else
		check(strcmp(refused.text, "invalid JSON") != 0, "a bad text has no error");
	for (size_t i = 0; i < COUNTOF(all); i++)
		by_table(all[i], text);
	buf_free(&out);
	return 0;
}

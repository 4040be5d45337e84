/*
 * common_mp_fuzz.c - any bytes as msgpack: skipped, decoded by tables, written as JSON; what is JSON once reads back
 */
#include "json.h"
#include "mem.h"
#include "structs.h"

#include <stdio.h>
#include <stdlib.h>

#define OUT_MAX (1 << 22)

static void
check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "common_mp_fuzz: %s\n", what);
	abort();
}

/* Decoded, encoded and decoded again, a struct must be the same. */
static void
through_c_form(const struct schema *s, struct bytes message)
{
	uint8_t c_form[2048];
	struct buf first = BUF_INIT(OUT_MAX), second = BUF_INIT(OUT_MAX);
	const char *why;

	if (schema_decode(s, message, c_form, &why) == 0) {
		schema_encode(s, c_form, &first);
		check(schema_decode(s, buf_bytes(&first), c_form, &why) == 0, "cannot read back");
		schema_encode(s, c_form, &second);
		check(bytes_equal(buf_bytes(&first), buf_bytes(&second)), "differs");
	}
	buf_free(&first);
	buf_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct schema *const all[] = {&dir_entry_schema, &kvs_request_schema, &indexed_nodes_schema,
	    &indexed_services_schema, &check_service_node_schema, &register_request_schema, &session_schema};
	struct bytes message = {data, size};
	struct buf out = BUF_INIT(OUT_MAX), back = BUF_INIT(OUT_MAX);
	struct json_error error;
	struct mp in = mp_of(message);

	while (mp_ok(&in) && mp_peek(&in) != MP_END)
		mp_skip(&in);
	in = mp_of(message);
	if (json_from_mp(&in, &out, size % 2 == 0 ? JSON_PRETTY : 0) == 0 && !out.overflow)
		check(json_to_mp(buf_bytes(&out), &back, &error) == 0 || !strcmp(error.text, "exceeded max depth"),
		    "not JSON");
	for (size_t i = 0; i < COUNTOF(all); i++) {
		in = mp_of(message);
		buf_clear(&out);
		if (schema_to_json(all[i], &in, &out, 0) == 0 && !out.overflow) {
			buf_clear(&back);
			check(json_to_mp(buf_bytes(&out), &back, &error) == 0 ||
				  !strcmp(error.text, "exceeded max depth"),
			    "not JSON");
		}
		through_c_form(all[i], message);
	}
	buf_free(&out);
	buf_free(&back);
	return 0;
}

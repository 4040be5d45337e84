/*
 * checkd_definitions_fuzz.c - checkd-definitions.json: any bytes are refused with a text or registered whole
 */
#include <ev.h>
#include <stdlib.h>

#include "log.h"
#include "register.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t
sidecar_port(void *ctx, struct bytes id)
{
	struct registrar *r = ctx;

	return local_sidecar_port(r->local, id, 21000, 21003);
}

/* What was registered has a form for every answer. */
static void
show_all(const struct local *l)
{
	struct buf b = BUF_INIT(64u << 20), json = BUF_INIT(64u << 20);

	for (size_t i = 0; i < local_service_count(l); i++) {
		struct mp in;
		buf_clear(&b);
		buf_clear(&json);
		local_encode_service(l, local_service_at(l, i), true, &b);
		in = mp_of(buf_bytes(&b));
		if (schema_to_json(&agent_service_schema, &in, &json, 0) == -1)
			abort();
		in = mp_of(buf_bytes(&local_service_at(l, i)->message));
		if (schema_to_json(&node_service_schema, &in, &json, 0) == -1)
			abort();
	}
	for (size_t i = 0; i < local_check_count(l); i++) {
		struct mp in;
		buf_clear(&b);
		buf_clear(&json);
		local_encode_check(l, local_check_at(l, i), &b);
		in = mp_of(buf_bytes(&b));
		if (schema_to_json(&health_check_schema, &in, &json, 0) == -1)
			abort();
	}
	buf_free(&b);
	buf_free(&json);
}

static void
on_gone(void *ctx, struct local_check *c)
{
	(void)ctx;
	checks_stop(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ev_loop *loop;
	struct local_settings settings = {.node = "n1", .datacenter = "dc1", .output_max = 4096};
	struct local_events events = {.check_gone = on_gone};
	struct registrar r = {0};
	struct checks_options options = {
	    .datacenter = "dc1", .token = "", .ca_file = "", .cert_file = "", .key_file = ""};
	struct definitions *d;
	struct checkd_error e;

	if (loop == NULL) {
		loop = ev_loop_new(0);
		log_set_level(LOG_ERROR_LEVEL);
	}
	r.local = local_new(&settings, &events);
	options.loop = loop;
	options.local = r.local;
	r.checks = checks_new(&options);
	r.file_env = (struct definition_env){.from_file = true,
	    .scripts_allowed = true,
	    .sidecar_min_port = 21000,
	    .sidecar_max_port = 21003,
	    .sidecar_port = sidecar_port,
	    .ctx = &r};
	d = definitions_read(&r, bytes_of(data, size), &e);
	if (d != NULL) {
		register_definitions(&r, d);
		show_all(r.local);
		register_definitions(&r, d); /* the same again changes nothing */
		definitions_free(d);
		d = definitions_read(&r, bytes_str("{}"), &e);
		if (d == NULL)
			abort();
		register_definitions(&r, d);
		definitions_free(d);
		for (size_t i = 0; i < local_service_count(r.local); i++)
			if (!local_service_at(r.local, i)->deleted)
				abort();
	}
	local_free(r.local);
	checks_free(r.checks);
	return 0;
}

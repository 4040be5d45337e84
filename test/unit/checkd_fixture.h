/*
 * checkd_fixture.h - definitions from JSON for checkd's tests, as httpd and consuld would send them
 */
#ifndef CHECKD_FIXTURE_H
#define CHECKD_FIXTURE_H

#include "definition.h"
#include "mem.h"
#include "structs_agent.h"

/* The message of a JSON text, in the region. */
static inline struct bytes
message_of(struct region *r, const struct schema *s, const char *json)
{
	struct buf b = BUF_INIT(1u << 20);
	struct json_error error;
	struct bytes copy;

	if (schema_from_json(s, bytes_str(json), &b, &error) == -1) {
		fprintf(stderr, "%s: %s\n", json, error.text);
		abort();
	}
	copy = region_copy(r, buf_bytes(&b));
	buf_free(&b);
	return copy;
}

static int64_t
port_of_test(void *ctx, struct bytes id)
{
	(void)ctx, (void)id;
	return 21000;
}

static const struct definition_env env_of_test = {
    .sidecar_min_port = 21000, .sidecar_max_port = 21255, .sidecar_port = port_of_test};

/* 0, or -1 with the refusal in *e. */
static inline int
service_of(
    struct region *r, const char *json, struct service_plan *plan, struct service_plan *sidecar, struct checkd_error *e)
{
	struct service_definition d;
	const char *bad;

	if (schema_decode(&service_definition_schema, message_of(r, &service_definition_schema, json), &d, &bad) == -1)
		abort();
	return definition_service(&d, &env_of_test, r, plan, sidecar, e);
}

static inline int
check_of(struct region *r, const char *json, struct check_plan *plan, struct checkd_error *e)
{
	struct check_definition_request d;
	const char *bad;

	if (schema_decode(&check_definition_request_schema, message_of(r, &check_definition_request_schema, json), &d,
		&bad) == -1)
		abort();
	return definition_check(&d, &env_of_test, r, plan, e);
}

#endif

/*
 * definition.h - from a definition (HTTP body or configuration file) to what is registered
 *
 * Pure: checks everything, fills in defaults, expands a sidecar. Facts: http-api.md 10.1-10.3, 11.16, 11.20, config.md 7-8.
 * All memory comes from the caller's region.
 */
#ifndef CHECKD_DEFINITION_H
#define CHECKD_DEFINITION_H

#include "checkd.h"
#include "mem.h"
#include "structs_agent.h"

/* One check, ready for the registry. Texts may be empty, none is NULL. */
struct check_plan {
	struct bytes id, name, notes, service_id;
	enum status status;   /* initial */
	struct bytes message; /* check_type, all fields */
	struct check_type type;
	struct bytes type_text, interval_text, timeout_text; /* as HealthCheck shows them */
};

struct service_plan {
	struct bytes id, name, token;
	struct bytes message; /* node_service, all fields; indexes 0 */
	struct node_service service;
	struct check_plan *checks;
	size_t check_count;
};

struct definition_env {
	bool
	    from_file; /* configuration file, not HTTP: other prefixes of errors, tokens count, tagged addresses are not checked */
	bool scripts_allowed; /* for this source */
	int64_t sidecar_min_port, sidecar_max_port;
	/* A free port in the range for this sidecar (its present one if it has one), or 0. */
	int64_t (*sidecar_port)(void *ctx, struct bytes sidecar_id);
	void *ctx;
};

/* sidecar: set when there is one, else its id is empty. -1: *e says why. */
MUST_USE int definition_service(const struct service_definition *d, const struct definition_env *env, struct region *r,
    struct service_plan *service, struct service_plan *sidecar, struct checkd_error *e);
/* Does not know whether ServiceID exists. */
MUST_USE int definition_check(const struct check_definition_request *d, const struct definition_env *env,
    struct region *r, struct check_plan *out, struct checkd_error *e);

/* "http", "ttl", ... or "" (behaviour.md 1.1). */
const char *check_type_text(const struct check_type *t);
/* The texts of behaviour.md 1.1, or NULL when the check can run. */
const char *check_type_problem(const struct check_type *t);

#define SIDECAR_SUFFIX "-sidecar-proxy"

#endif

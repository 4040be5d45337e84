/*
 * register.h - registering and removing: registry, runners, files and sync together
 *
 * Every change of what is registered on this node goes through here.
 */
#ifndef CHECKD_REGISTER_H
#define CHECKD_REGISTER_H

#include "check.h"
#include "definition.h"
#include "local.h"
#include "persist.h"
#include "sync.h"

struct registrar {
	struct local *local;
	struct checks *checks;
	struct persist *persist; /* may be NULL */
	struct sync *sync;       /* NULL until it begins */
	unsigned generation;     /* of the files' definitions */
	struct definition_env file_env, api_env;
	struct ev_timer reap_timer;
	struct ev_loop *loop;
};

/* Starts looking for services that were critical for too long. */
void register_init(struct registrar *r, struct ev_loop *loop);
void register_free(struct registrar *r);

/* sidecar->id empty: none. replace: checks of the service that are not in plan go. -1: *e, and nothing is left of what was new. */
MUST_USE int register_service(struct registrar *r, const struct service_plan *plan, const struct service_plan *sidecar,
    struct bytes token, bool replace, struct checkd_error *e);
MUST_USE int register_check(
    struct registrar *r, const struct check_plan *plan, struct bytes token, struct checkd_error *e);
/* With its checks, its sidecar and the files. */
void register_remove_service(struct registrar *r, struct local_service *s);
void register_remove_check(struct registrar *r, struct local_check *c);
/* service NULL: the node. */
MUST_USE int register_maintenance(struct registrar *r, struct local_service *service, bool enable, struct bytes reason,
    struct bytes token, struct checkd_error *e);

/* What the configuration files define, checked and expanded. */
struct definitions;
/* json: checkd-definitions.json. NULL: *e says what is wrong; nothing was changed. */
MUST_USE struct definitions *definitions_read(struct registrar *r, struct bytes json, struct checkd_error *e);
void definitions_free(struct definitions *d);
/* Makes it so: what is new or different is registered, what is no longer there is removed, the rest is not touched. */
void register_definitions(struct registrar *r, const struct definitions *d);
/*
 * At a reload without a state directory: what came by the API goes, as it does in the reference, which loads everything
 * anew and finds no files.
 */
void register_forget(struct registrar *r);
/* At start, after the files' definitions: what came by the API earlier. */
void register_restore(struct registrar *r);

#endif

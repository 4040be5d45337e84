/*
 * persist.h - registrations that came by the API, kept in files (behaviour.md 4)
 *
 *	DIR/services/<sha256 of the ID>		a service
 *	DIR/checks/<sha256 of the ID>		a check
 *	DIR/checks/state/<sha256 of the ID>	last result of a TTL check
 *
 * JSON in the reference's form. A file is replaced by rename; services and checks are on disk when the call returns.
 */
#ifndef CHECKD_PERSIST_H
#define CHECKD_PERSIST_H

#include "local.h"
#include "structs_agent.h"

#define PERSISTED_SERVICE_FIELDS(F)                                                                                    \
	F(STR, "Token", token, 0, NULL, NULL, "")                                                                      \
	F(PTR, "Service", service, 0, &node_service_schema, NULL, "")                                                  \
	F(STR, "Source", source, 0, NULL, NULL, "remote")                                                              \
	F(BOOL, "LocallyRegisteredAsSidecar", sidecar, FIELD_OMIT, NULL, NULL, "")
SCHEMA_DECLARE(persisted_service, PERSISTED_SERVICE_FIELDS)

#define PERSISTED_CHECK_FIELDS(F)                                                                                      \
	F(PTR, "Check", check, 0, &health_check_schema, NULL, "")                                                      \
	F(PTR, "ChkType", type, 0, &check_type_schema, NULL, "null: maintenance")                                      \
	F(STR, "Token", token, 0, NULL, NULL, "")                                                                      \
	F(STR, "Source", source, 0, NULL, NULL, "remote")
SCHEMA_DECLARE(persisted_check, PERSISTED_CHECK_FIELDS)

#define PERSISTED_STATE_FIELDS(F)                                                                                      \
	F(STR, "CheckID", check_id, 0, NULL, NULL, "")                                                                 \
	F(STR, "Output", output, 0, NULL, NULL, "")                                                                    \
	F(STR, "Status", status, 0, NULL, NULL, "")                                                                    \
	F(INT, "Expires", expires, 0, NULL, NULL, "seconds since 1970")
SCHEMA_DECLARE(persisted_state, PERSISTED_STATE_FIELDS)

struct persist;

/* dir is made when it is not there. durable: what is written survives a loss of power, too. NULL with errno. */
MUST_USE struct persist *persist_open(const char *dir, bool durable);
void persist_close(struct persist *p);
/* Removes all files of ours. */
void persist_clear(struct persist *p);

/* p may be NULL in all that follows: nothing is kept. -1 with errno, the old file stays. */
MUST_USE int persist_service(struct persist *p, const struct local_service *s);
MUST_USE int persist_check(struct persist *p, const struct local *l, const struct local_check *c);
/* Logs its failure: a lost result is no loss of a registration. */
void persist_state(struct persist *p, const struct local_check *c, int64_t expires);
void persist_drop_service(struct persist *p, const char *id);
/* With its state. */
void persist_drop_check(struct persist *p, const char *id);

struct persist_loader {
	/* false: not wanted any more, the file goes. */
	bool (*service)(void *ctx, const struct persisted_service *form, const struct node_service *service);
	/* state.status is empty when there is none. */
	bool (*check)(void *ctx, const struct persisted_check *form, const struct health_check *check,
	    const struct persisted_state *state);
	void *ctx;
};
/* All services, then all checks. What can not be read is logged and passed over. */
void persist_load_services(struct persist *p, const struct persist_loader *loader);
void persist_load_checks(struct persist *p, const struct persist_loader *loader);

#endif

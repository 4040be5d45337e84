/*
 * local.h - what is registered on this node: services and checks, and what of it the catalog knows
 *
 * The registry holds state only: it starts no runner, writes no file, sends nothing (register.c, persist.c, sync.c do).
 * What was removed stays as a tombstone (deleted) until sync has told the catalog. Nothing that stays equal loses its
 * in_sync mark. Pointers to elements are good until the element is purged.
 */
#ifndef CHECKD_LOCAL_H
#define CHECKD_LOCAL_H

#include "buf.h"
#include "checkd.h"
#include "definition.h"
#include "duration.h"
#include "structs_agent.h"

#define LOCAL_SERVICES_MAX 65536
#define LOCAL_CHECKS_MAX 262144

enum local_source { LOCAL_FILE, LOCAL_API };

struct local_service {
	char *id;
	char *name;
	char *token; /* "" none */
	enum local_source source;
	bool sidecar; /* generated for the service whose ID it extends */
	bool in_sync;
	bool deleted;
	uint64_t version;    /* grows whenever in_sync is lost */
	unsigned generation; /* register.c: of the files that define it */
	struct buf message;  /* node_service */
	struct buf defined;  /* what was registered, while message has the catalog's tags instead (EnableTagOverride) */
	struct node_service service; /* decoded from it */
	uint64_t hash;               /* of what agent/service/:id shows */
};

struct check_runner; /* check.c */

struct local_check {
	char *id;
	char *name;
	char *notes;
	char *service_id; /* "" a check of the node */
	char *service_name;
	char *token;
	char *type_text, *interval_text, *timeout_text;
	int64_t exposed_port;
	enum local_source source;
	bool in_sync;
	bool deleted;
	uint64_t version;    /* grows whenever in_sync is lost */
	unsigned generation; /* register.c: of the files that define it */
	bool maintenance;    /* has no type to run */
	bool touched;        /* status was set by a run, a client or a saved state since it came */
	struct buf tags;     /* of the service: list of text, or empty */
	struct buf message;  /* check_type; empty for maintenance */
	struct check_type type;
	enum status status;
	struct buf output;
	struct monotime critical_since; /* while status is critical */
	struct check_runner *runner;    /* owned by check.c */
	void *deferral;                 /* owned by sync.c: an output that is held back */
};

struct local_settings {
	const char *node, *datacenter;
	bool discard_output;
	int64_t output_max; /* check_output_max_size */
};

/* What others do when something has changed; any may be NULL. */
struct local_events {
	/* Something is out of sync now. */
	void (*dirty)(void *ctx);
	/* The service is there with another definition, or gone. */
	void (*service)(void *ctx, const char *id);
	/* Another status or output. status: the status changed, not only the output. */
	void (*check)(void *ctx, struct local_check *c, bool status);
	/* The element's memory goes away. */
	void (*check_gone)(void *ctx, struct local_check *c);
	void *ctx;
};

struct local;

/* The settings' texts must live as long as l. */
MUST_USE struct local *local_new(const struct local_settings *settings, const struct local_events *events);
void local_free(struct local *l);
void local_set(struct local *l, const struct local_settings *settings);
const struct local_settings *local_settings(const struct local *l);

/* Sorted by ID, tombstones included. */
size_t local_service_count(const struct local *l);
struct local_service *local_service_at(const struct local *l, size_t i);
size_t local_check_count(const struct local *l);
struct local_check *local_check_at(const struct local *l, size_t i);
/* NULL: not there, or deleted. */
struct local_service *local_service(const struct local *l, struct bytes id);
struct local_check *local_check(const struct local *l, struct bytes id);
/* Also tombstones. */
struct local_service *local_service_any(const struct local *l, struct bytes id);
struct local_check *local_check_any(const struct local *l, struct bytes id);

struct local_origin {
	struct bytes token;
	enum local_source source;
	bool sidecar;
};

/* Puts or replaces; NULL: LOCAL_SERVICES_MAX are there. The checks of the service take over its name and tags. */
struct local_service *local_put_service(
    struct local *l, const struct service_plan *plan, const struct local_origin *origin);
/* plan->service_id, when set, is there. Status and output of a check that is there are kept, else plan->status. NULL: LOCAL_CHECKS_MAX. */
struct local_check *local_put_check(struct local *l, const struct check_plan *plan, const struct local_origin *origin);
/* A maintenance check: critical, never run. service NULL: of the node. */
struct local_check *local_put_maintenance(struct local *l, const struct local_service *service, struct bytes reason,
    struct bytes token, enum local_source source);
/* Marks deleted. */
void local_remove_service(struct local *l, struct local_service *s);
void local_remove_check(struct local *l, struct local_check *c);
/* Frees the element (sync.c: the catalog knows). */
void local_purge_service(struct local *l, struct local_service *s);
void local_purge_check(struct local *l, struct local_check *c);
/* Marks out of sync; nobody is told. */
void local_unsync_service(struct local_service *s);
void local_unsync_check(struct local_check *c);
/* A result; output is cut nowhere here, but dropped when discard_output is set. */
void local_update_check(struct local *l, struct local_check *c, enum status status, struct bytes output);
/* Tags taken over from the catalog (EnableTagOverride). */
void local_set_tags(struct local *l, struct local_service *s, struct bytes tags);

/* The forms that go out. */
void local_encode_check(const struct local *l, const struct local_check *c, struct buf *out); /* health_check */
void local_encode_health_check(
    const struct local *l, const struct local_check *c, struct buf *out); /* agent_health_check */
void local_encode_service(
    const struct local *l, const struct local_service *s, bool with_hash, struct buf *out); /* agent_service */
#define LOCAL_HASH_TEXT_MAX 17
char *local_hash_text(const struct local_service *s, char out[LOCAL_HASH_TEXT_MAX]);

/* passing, warning, critical or maintenance over the checks of the service and those of the node. */
const char *local_health(const struct local *l, const struct local_service *s);
/* Bytes of output that this check keeps. */
size_t local_output_max(const struct local *l, const struct local_check *c);
/* A port of the range that no service has; that of the sidecar if it is there. 0: none. */
int64_t local_sidecar_port(const struct local *l, struct bytes sidecar_id, int64_t min, int64_t max);

#endif

/*
 * check.h - running the checks: when, with which thresholds, and what becomes of a result (behaviour.md 1)
 *
 * A runner belongs to one check of the registry. Periodic kinds run first after a random part of the interval, then one
 * interval after the end of each run; runs of one check never overlap. Results reach local_update_check().
 */
#ifndef CHECKD_CHECK_H
#define CHECKD_CHECK_H

#include <ev.h>

#include "helper.h"
#include "ipc.h"
#include "local.h"
#include "persist.h"

/* ---- thresholds (pure) ---- */

struct check_threshold {
	int64_t passing, warning, critical; /* results in a row that are needed */
	int64_t successes, failures;        /* results in a row that there were */
};

void check_threshold_init(struct check_threshold *t, const struct check_type *type);
/* true: *report is the new status. false: not yet enough of them, status and output stay. */
MUST_USE bool check_threshold_result(struct check_threshold *t, enum status result, enum status *report);

/* ---- the engine ---- */

struct checks;

struct checks_options {
	struct ev_loop *loop;
	struct local *local;
	struct helper *helper;    /* NULL: no scripts, no HTTP (tests) */
	struct ipc_peer *catalog; /* for aliases of other nodes; may be NULL */
	struct persist *persist;  /* for results of TTL checks; may be NULL */
	const char *datacenter, *token;
	const char *ca_file, *cert_file, *key_file; /* "" unless enable_agent_tls_for_checks */
};

/* The options' texts must live as long as the engine. */
MUST_USE struct checks *checks_new(const struct checks_options *options);
void checks_free(struct checks *k);
/* After a reload: the texts of the new configuration. */
void checks_set(struct checks *k, const struct checks_options *options);

/* Makes the runner, or another one when the definition changed or restart is set. Maintenance checks have none. */
void checks_start(struct checks *k, struct local_check *c, bool restart);
void checks_stop(struct local_check *c);
/* A client's word on a TTL check. -1: it has no TTL. */
MUST_USE int checks_ttl_update(struct checks *k, struct local_check *c, enum status status, struct bytes output);
/* A check of the registry has another status, or came, or went: aliases look again. */
void checks_changed(struct checks *k, const struct local_check *c);
/* Another set of services: likewise. */
void checks_services_changed(struct checks *k);
/* Runners of one kind: "ttl", "script". */
size_t checks_count(const struct checks *k, const char *kind);

/* ---- for the kinds (check_net.c, check_alias.c, check_helper.c) ---- */

struct check_runner;

struct check_kind {
	const char *name;
	/* Begins one run; answers with check_done() once, never from within. */
	void (*begin)(struct check_runner *r);
	/* Ends a run without an answer; also called when none is under way. */
	void (*cancel)(struct check_runner *r);
};

struct check_runner {
	struct checks *engine;
	struct local_check *check;
	struct buf message; /* the definition that it runs */
	struct check_type type;
	const struct check_kind *kind;
	struct ev_timer timer;
	struct check_threshold threshold;
	bool running;
	void *probe;                          /* check_net.c, check_alias.c */
	struct ipc_call *call;                /* check_helper.c, check_alias.c */
	struct check_runner *next, *previous; /* of the same engine */
};

/* The end of a run. */
void check_done(struct check_runner *r, enum status result, struct bytes output);
/* The end of a run whose result was reported before. */
void check_over(struct check_runner *r);
/* A result at once and past the thresholds; the run goes on. */
void check_report(struct check_runner *r, enum status result, struct bytes output);
/* The run came to no result that says something about what is checked: status stays, it is run again. */
void check_void(struct check_runner *r);
int64_t check_timeout_ns(const struct check_runner *r);
size_t check_output_max(const struct check_runner *r);
const struct checks_options *check_options(const struct check_runner *r);
struct check_runner *checks_first(const struct checks *k);

extern const struct check_kind check_kind_tcp, check_kind_udp;      /* check_net.c */
extern const struct check_kind check_kind_alias;                    /* check_alias.c */
extern const struct check_kind check_kind_script, check_kind_probe; /* check_helper.c */
void check_alias_look(struct check_runner *r);                      /* what it follows has changed */
bool check_alias_is_here(const struct check_runner *r);             /* it follows something of this node */
void check_helper_cancel(struct check_runner *r);

#endif

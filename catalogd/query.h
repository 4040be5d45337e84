/*
 * query.h - endpoints: functions that answer reads and prepare writes
 *
 * A read endpoint is a function of the arguments and one short read transaction. It writes the data pairs of the Indexed* reply, sets
 * the result's index and declares what it depends on. Leadership, waiting for MinQueryIndex, grouping, deadlines and QueryMeta are
 * all done around it (serve.c, watch.c): endpoint code never parks, keeps a stream or sees the clock. It may be run again at any time.
 *
 *	int
 *	health_node_checks(struct query *q)
 *	{
 *		struct node_request args;
 *
 *		if (query_args(q, &node_request_schema, &args) == -1)
 *			return -1;
 *		query_index(q, store_index(q->txn, bytes_str("checks")));
 *		query_watch(q, WATCH_NODE_CHECKS, folded_name);
 *		query_begin(q, 1);
 *		mp_put_cstr(q->out, "HealthChecks");
 *		...
 *		return 0;
 *	}
 */
#ifndef CATALOGD_QUERY_H
#define CATALOGD_QUERY_H

#include <stdbool.h>

#include "apply.h"
#include "buf.h"
#include "cdefs.h"
#include "mem.h"
#include "read_place.h"
#include "schema.h"
#include "store.h"
#include "watch.h"

#define QUERY_ERROR_MAX 1024
#define QUERY_WATCHES_MAX                                                                                              \
	64 /* more: the query waits for the whole table "nodes" "services" "checks" instead (WATCH_TABLE of each) */
#define QUERY_META_PAIRS 5

struct publish;
struct ipc_stream;

struct query_name {
	enum watch_kind kind;
	struct bytes name; /* in region */
};

struct query {
	struct store_txn *txn;
	struct bytes args;     /* raw msgpack map */
	struct region *region; /* memory of this run; freed behind it */
	struct buf *out;
	const struct endpoint *endpoint;
	const char *datacenter; /* ours */
	const char *node_name;  /* ours */
	/* the result */
	uint64_t index;
	bool not_found; /* a single thing that is not there: a parked query that stays so is not answered */
	bool filtered_by_acls;
	unsigned status; /* with an error */
	char error[QUERY_ERROR_MAX];
	/* QueryMeta */
	const char *consistency; /* "leader", "stale", "consistent" */
	int64_t last_contact_ns;
	bool known_leader;
	/* how it was asked */
	uint64_t min_index;
	int64_t max_time_ns;
	int64_t max_stale_ns;    /* of a stale query: an older state is not good enough; 0: any is */
	bool watching;           /* query_watch has a use; else it does nothing */
	bool versions;           /* asked for: the reply names what it depends on */
	struct publish *publish; /* of what the answer depends on; NULL: nobody asks */
	size_t watch_count;
	struct query_name watches[QUERY_WATCHES_MAX];
};

/* 0 or -1 after query_fail. */
typedef int query_fn(struct query *q);

/* return query_fail(q, 400, "..."): status 0: the front end's table decides. Returns -1. */
int query_fail(struct query *q, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Decodes q->args; a wrong type is answered. 0 or -1 (query_fail was called). */
MUST_USE int query_args(struct query *q, const struct schema *s, void *out);
/* The result's index; the highest of several calls counts. */
void query_index(struct query *q, uint64_t index);
/* The answer depends on this name. Copied. Call it also for what was not found. */
void query_watch(struct query *q, enum watch_kind kind, struct bytes name);
/* It depends on this name for more than what wakes it: an answer that is kept (publish.h) must not outlive its change. */
void query_depend(struct query *q, enum watch_kind kind, struct bytes name);
/* Begins the reply map: data_pairs pairs of the endpoint's, which it writes next; the QueryMeta pairs are put behind them by serve.c. */
void query_begin(struct query *q, uint32_t data_pairs);
/* A scratch buffer for keys, cleared by each store_key; four of them, by number. */
struct buf *query_key(struct query *q, unsigned which);

/* ---- around endpoints (serve.c, watch.c) ---- */

/* The request's part that is common to all reads, taken from its arguments; the endpoint decodes them again. 0, or -1: q->error. */
MUST_USE int query_open(struct query *q, const struct endpoint *endpoint, struct bytes args);
/* As q->consistency says. */
enum read_mode query_mode(const struct query *q);
/* Puts QueryMeta behind the data, with index (0 is written as 1), and Versions, if asked for. */
void query_finish(struct query *q, uint64_t index);

/*
 * A write endpoint judges the arguments against the state as it is, on the leader, and says what to propose: the place to refuse what is
 * malformed, and to stamp IDs (apply must not). The final word is apply's.
 */
struct write {
	struct bytes args;     /* raw msgpack map */
	struct store_txn *txn; /* read */
	struct region *region;
	const char *datacenter;
	const char *node_name;
	struct catalogd *catalogd; /* for methods that concern this process (timers) */
	int64_t session_ttl_min_ns;
	int64_t time_ns; /* that the entry will carry */
	/* the result */
	enum apply_type type;
	struct buf *body;         /* msgpack body of the entry, without tokens; or with answered the reply */
	bool answered;            /* nothing to propose: body is the answer */
	const char *error_prefix; /* put before an error of apply: "raft apply failed: ", "apply failed: ", or NULL */
	unsigned status;
	char error[QUERY_ERROR_MAX];
};
/* 0 or -1 after write_fail. */
typedef int write_fn(struct write *w);
int write_fail(struct write *w, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
MUST_USE int write_args(struct write *w, const struct schema *s, void *out);

/*
 * All endpoints: R(method, query_fn), W(method, write_fn), and below L. The Datacenter argument is checked before they are called.
 */
#define ENDPOINTS_READ(R)                                                                                              \
	R("KVS.Get", kv_get)                                                                                           \
	R("KVS.List", kv_list)                                                                                         \
	R("KVS.ListKeys", kv_list_keys)                                                                                \
	R("Session.Get", session_get)                                                                                  \
	R("Session.List", session_list)                                                                                \
	R("Session.NodeSessions", session_node_sessions)                                                               \
	R("Catalog.ListNodes", catalog_list_nodes)                                                                     \
	R("Catalog.ListServices", catalog_list_services)                                                               \
	R("Catalog.ServiceList", catalog_service_list)                                                                 \
	R("Catalog.ServiceNodes", catalog_service_nodes)                                                               \
	R("Catalog.NodeServices", catalog_node_services)                                                               \
	R("Catalog.NodeServiceList", catalog_node_service_list)                                                        \
	R("Health.ServiceNodes", health_service_nodes)                                                                 \
	R("Health.NodeChecks", health_node_checks)                                                                     \
	R("Health.ServiceChecks", health_service_checks)                                                               \
	R("Health.ChecksInState", health_checks_in_state)                                                              \
	R("Coordinate.ListNodes", coordinate_list_nodes)                                                               \
	R("Coordinate.Node", coordinate_node)                                                                          \
	R("Internal.NodeInfo", internal_node_info)                                                                     \
	R("Internal.NodeDump", internal_node_dump)                                                                     \
	R("Internal.ServiceDump", internal_service_dump)                                                               \
	R("Operator.AutopilotGetConfiguration", autopilot_config_get)

#define ENDPOINTS_WRITE(W)                                                                                             \
	W("KVS.Apply", kv_write)                                                                                       \
	W("Session.Apply", session_write)                                                                              \
	W("Session.Renew", session_renew_write)                                                                        \
	W("Catalog.Register", nodes_register_write)                                                                    \
	W("Catalog.Deregister", nodes_deregister_write)                                                                \
	W("Coordinate.Update", coordinate_update_write)                                                                \
	W("Operator.AutopilotSetConfiguration", autopilot_config_write)

/*
 * A method that the leader answers from what it knows besides the store, or asks others for: the handler has the stream and answers it, now or
 * later. It is called on the leader alone (on any server where the rows say so); until there is one the request waits, as others do.
 */
struct catalogd;
typedef void leader_fn(struct catalogd *c, struct ipc_stream *s, struct bytes args);

/* L(method, leader_fn, repeatable, stale): see struct endpoint */
#define ENDPOINTS_LEADER(L)                                                                                            \
	L("Operator.RaftGetConfiguration", operator_raft_configuration, true, true)                                    \
	L("Operator.RaftRemovePeerByID", operator_remove_peer_by_id, false, false)                                     \
	L("Operator.RaftRemovePeerByAddress", operator_remove_peer_by_address, false, false)                           \
	L("Operator.TransferLeader", operator_transfer_leader, false, false)                                           \
	L("Operator.ServerHealth", operator_server_health, true, false)                                                \
	L("Operator.AutopilotState", operator_autopilot_state, true, false)

#define ENDPOINT_LEADER_PROTOTYPE(method, function, repeatable, stale) leader_fn function;
ENDPOINTS_LEADER(ENDPOINT_LEADER_PROTOTYPE)
#define ENDPOINT_READ_PROTOTYPE(method, function) query_fn function;
#define ENDPOINT_WRITE_PROTOTYPE(method, function) write_fn function;
ENDPOINTS_READ(ENDPOINT_READ_PROTOTYPE)
ENDPOINTS_WRITE(ENDPOINT_WRITE_PROTOTYPE)

#endif

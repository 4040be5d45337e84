/*
 * catalogd_history.h - random histories of log entries over a small world, from a seed, for the simulations of catalogd
 *
 * A step is an operation in plain terms (struct op), which a model can follow; history_encode makes it the entry that the leader would have
 * proposed. The world is small so that operations meet: 12 keys (nested, and two too long to be stored as they are), 3 nodes, 3
 * service instances and 5 checks a node, sessions whose IDs are never used again.
 */
#ifndef TEST_CATALOGD_HISTORY_H
#define TEST_CATALOGD_HISTORY_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "coordinate_point.h"
#include "duration.h"
#include "log.h"
#include "query.h"
#include "seeded.h"
#include "structs.h"

#define KEYS 12
#define PREFIXES 8
#define NODES 3
#define SERVICES 3
#define CHECKS 5
#define SESSIONS_MAX 2000
#define LONG_TAIL 520
#define NO_SESSION UINT32_MAX
#define NODE_LEVEL UINT32_MAX

/* Ascending. */
static char long_keys[2][LONG_TAIL + 8];
static const char *const key_names[KEYS] = {
    "a", "a/", "a/b/", "a/b/x", "a/b/y", "a/x", "a/y", "ab", "b", "b/x", long_keys[0], long_keys[1]};
static const char *const prefix_names[PREFIXES] = {"", "a", "a/", "a/b/", "b", "b/x", "l/", "zz"};
static const char *const node_names[NODES] = {"n0", "n1", "N2"};
static const char *const service_ids[SERVICES] = {"db1", "web1", "web2"};
static const char *const service_names[SERVICES] = {"db", "web", "web"};
static const char *const check_ids[CHECKS] = {"c0", "c1", "c2", "c3", "c4"};
static const unsigned check_services[CHECKS] = {NODE_LEVEL, 1, 2, 0, NODE_LEVEL};
static const char *const statuses[3] = {"passing", "warning", "critical"};

enum op_kind {
	DO_SET,
	DO_CAS,
	DO_DELETE,
	DO_DELETE_CAS,
	DO_TREE,
	DO_LOCK,
	DO_UNLOCK,
	DO_REAP,
	DO_CREATE,
	DO_DESTROY,
	DO_NODE,
	DO_SERVICE,
	DO_CHECK,
	DO_DROP_NODE,
	DO_DROP_SERVICE,
	DO_DROP_CHECK,
	DO_COORDINATES,
	DO_KINDS
};

struct op {
	enum op_kind kind;
	int64_t time_ns;
	unsigned key, prefix, value;
	uint64_t flags, index; /* index: of cas and reap */
	uint32_t session;
	unsigned node, service, check;
	unsigned address, text, status;
	bool deletes; /* the session's behaviour */
	bool bound;   /* to check c0 */
	int64_t delay_ns;
};

/* ---- random numbers ---- */

struct rng {
	uint64_t state;
};

static inline uint64_t
rng_next(struct rng *r)
{
	return seeded_next(&r->state);
}

/* Neighbouring seeds must not give one sequence that is only shifted. */
static inline void
rng_seed(struct rng *r, uint64_t seed)
{
	r->state = seed ^ UINT64_C(0x5851f42d4c957f2d);
	r->state = rng_next(r) * UINT64_C(0xd1342543de82ef95);
	r->state = rng_next(r);
}

static inline unsigned
roll(struct rng *r, unsigned sides)
{
	return (unsigned)(rng_next(r) % sides);
}

/* 0 to most. */
static inline unsigned
up_to(struct rng *r, unsigned most)
{
	return roll(r, most + 1);
}

/* ---- operations ---- */

static inline void
history_init(void)
{
	for (int i = 0; i < 2; i++) {
		memset(long_keys[i], 'k', sizeof long_keys[i] - 1);
		memcpy(long_keys[i], "l/", 2);
		long_keys[i][sizeof long_keys[i] - 2] = (char)('1' + i);
		long_keys[i][sizeof long_keys[i] - 1] = '\0';
	}
}

static inline const char *
session_text(uint32_t session, char out[40])
{
	snprintf(out, 40, "5e551011-0000-4000-8000-%012u", session);
	return out;
}

/* A value is known by its number; some are long. */
static inline void
value_put(struct buf *out, unsigned value)
{
	if (value == 0)
		return;
	buf_printf(out, "value %u", value);
	for (unsigned i = 0; i < (value % 7 == 0 ? 40u : 0u); i++)
		buf_printf(out, " and %u", value + i);
}

/*
 * The next operation. sessions: how many were created so far (one more if this one creates). modify: ModifyIndexes of the keys, or NULL.
 * last: index of the last entry. now_ns moves on.
 */
static inline struct op
op_random(struct rng *r, uint32_t *sessions, const uint64_t *modify, uint64_t last, int64_t *now_ns)
{
	static const uint8_t weights[DO_KINDS] = {
	    [DO_SET] = 20,
	    [DO_CAS] = 6,
	    [DO_DELETE] = 6,
	    [DO_DELETE_CAS] = 3,
	    [DO_TREE] = 2,
	    [DO_LOCK] = 16,
	    [DO_UNLOCK] = 4,
	    [DO_REAP] = 1,
	    [DO_CREATE] = 12,
	    [DO_DESTROY] = 9,
	    [DO_NODE] = 5,
	    [DO_SERVICE] = 9,
	    [DO_CHECK] = 12,
	    [DO_DROP_NODE] = 1,
	    [DO_DROP_SERVICE] = 4,
	    [DO_DROP_CHECK] = 4,
	    [DO_COORDINATES] = 3,
	};
	struct op o = {.kind = DO_SET};
	unsigned total = 0, at;

	for (int i = 0; i < DO_KINDS; i++)
		total += weights[i];
	for (at = roll(r, total); at >= weights[o.kind]; o.kind++)
		at -= weights[o.kind];
	*now_ns += (int64_t)(rng_next(r) % NS_PER_S);
	o.time_ns = *now_ns;
	o.key = roll(r, KEYS);
	o.prefix = roll(r, 40) == 0 ? 0 : 1 + roll(r, PREFIXES - 1);
	o.value = roll(r, 9);
	o.flags = roll(r, 4) == 0 ? UINT64_MAX : 0;
	o.index = roll(r, 4) == 0 ? rng_next(r) % (last + 1) : modify != NULL ? modify[o.key] : 0;
	if (o.kind == DO_REAP)
		o.index = last - up_to(r, (unsigned)MIN(last, 60u));
	/* Mostly one of the last few. */
	o.session = *sessions == 0 ? 0 : *sessions - 1 - up_to(r, MIN(*sessions - 1, 4u));
	if (o.kind == DO_CREATE)
		o.session = (*sessions)++;
	o.node = roll(r, NODES);
	o.service = roll(r, SERVICES);
	o.check = roll(r, CHECKS);
	o.address = roll(r, 6) == 0;
	o.text = roll(r, 2);
	o.status = roll(r, 3);
	o.deletes = roll(r, 2) == 0;
	o.bound = roll(r, 4) == 0;
	o.delay_ns = (int64_t)roll(r, 3) * 7 * NS_PER_S;
	return o;
}

/* ---- entries ---- */

static inline void
put_kv(struct buf *body, const struct op *o, const char *name)
{
	const char *key = o->kind == DO_TREE ? prefix_names[o->prefix] : key_names[o->key];
	struct buf value = BUF_INIT(4096);
	char id[40];

	value_put(&value, o->value);
	mp_put_map(body, 2);
	mp_put_kv_cstr(body, "Op", name);
	mp_put_cstr(body, "DirEnt");
	mp_put_map(body, 5);
	mp_put_kv_cstr(body, "Key", key);
	mp_put_kv_str(body, "Value", buf_bytes(&value));
	mp_put_kv_uint(body, "Flags", o->flags);
	mp_put_kv_uint(body, "ModifyIndex", o->kind == DO_CAS || o->kind == DO_DELETE_CAS ? o->index : 0);
	mp_put_kv_cstr(body, "Session", o->kind == DO_LOCK || o->kind == DO_UNLOCK ? session_text(o->session, id) : "");
	buf_free(&value);
}

static inline void
put_session(struct buf *body, const struct op *o)
{
	char id[40];

	mp_put_map(body, 2);
	mp_put_kv_cstr(body, "Op", o->kind == DO_CREATE ? "create" : "destroy");
	mp_put_cstr(body, "Session");
	mp_put_map(body, o->kind == DO_CREATE ? 5 : 1);
	mp_put_kv_cstr(body, "ID", session_text(o->session, id));
	if (o->kind != DO_CREATE)
		return;
	mp_put_kv_cstr(body, "Node", node_names[o->node]);
	mp_put_kv_cstr(body, "Behavior", o->deletes ? "delete" : "release");
	mp_put_kv_int(body, "LockDelay", o->delay_ns);
	mp_put_cstr(body, "NodeChecks");
	mp_put_array(body, o->bound);
	if (o->bound)
		mp_put_cstr(body, check_ids[0]);
}

/* As the endpoint makes it: canonical. false: it refuses a check of an instance that is not there. */
static inline bool
put_registration(struct buf *body, const struct op *o, struct store_txn *t)
{
	struct buf json = BUF_INIT(4096), args = BUF_INIT(65536);
	struct json_error error;
	bool refused;
	struct write w = {.txn = t, .region = region_new(), .datacenter = "dc1", .node_name = "self", .body = body};

	buf_printf(&json, "{\"Node\":\"%s\",\"ID\":\"40e4a748-2192-161a-0510-9bf59fe950b%u\",\"Address\":\"10.0.0.%u\"",
	    node_names[o->node], o->node, o->address);
	if (o->kind == DO_SERVICE)
		buf_printf(&json, ",\"Service\":{\"ID\":\"%s\",\"Service\":\"%s\",\"Port\":%u%s}",
		    service_ids[o->service], service_names[o->service], 1 + o->text,
		    o->service == 0 ? ",\"Connect\":{\"Native\":true}" : "");
	if (o->kind == DO_CHECK)
		buf_printf(&json,
		    ",\"Check\":{\"CheckID\":\"%s\",\"Status\":\"%s\",\"Output\":\"%u\",\"ServiceID\":\"%s\"}",
		    check_ids[o->check], statuses[o->status], o->text,
		    check_services[o->check] == NODE_LEVEL ? "" : service_ids[check_services[o->check]]);
	buf_put_str(&json, "}");
	if (schema_from_json(&register_request_schema, buf_bytes(&json), &args, &error) == -1)
		panic("history: %s", error.text);
	w.args = buf_bytes(&args);
	refused = nodes_register_write(&w) == -1;
	if (refused && o->kind != DO_CHECK)
		panic("history: %s", w.error);
	region_free(w.region);
	buf_free(&json);
	buf_free(&args);
	return !refused;
}

static inline void
put_deregistration(struct buf *body, const struct op *o)
{
	mp_put_map(body, 3);
	mp_put_kv_cstr(body, "Node", node_names[o->node]);
	mp_put_kv_cstr(body, "ServiceID", o->kind == DO_DROP_SERVICE ? service_ids[o->service] : "");
	mp_put_kv_cstr(body, "CheckID", o->kind == DO_DROP_CHECK ? check_ids[o->check] : "");
}

/* Where a node is in a network segment, and where the next one is in the other. */
static inline void
put_coordinates(struct buf *body, const struct op *o)
{
	mp_put_map(body, 1);
	mp_put_cstr(body, "Updates");
	mp_put_array(body, 2);
	for (unsigned i = 0; i < 2; i++) {
		struct coordinate_point point = {.vec = {o->value}, .height = 1};
		struct buf coord = BUF_INIT(4096);
		struct node_coordinate c = {.node = bytes_str(node_names[(o->node + i) % NODES]),
		    .segment = bytes_str((o->text + i) % 2 == 0 ? "" : "alpha")};

		coordinate_point_put(&point, &coord);
		c.coord = buf_bytes(&coord);
		schema_encode(&node_coordinate_schema, &c, body);
		buf_free(&coord);
	}
}

/* Appends the entry's body; its type, 0: the leader proposes nothing. t: any transaction of the store. */
static inline unsigned
history_encode(const struct op *o, struct store_txn *t, struct buf *body)
{
	static const char *const names[] = {"set", "cas", "delete", "delete-cas", "delete-tree", "lock", "unlock"};

	switch (o->kind) {
	case DO_REAP:
		mp_put_map(body, 1);
		mp_put_kv_uint(body, "Index", o->index);
		return APPLY_TYPE_TOMBSTONE_REAP;
	case DO_CREATE:
	case DO_DESTROY:
		put_session(body, o);
		return APPLY_TYPE_SESSION;
	case DO_NODE:
	case DO_SERVICE:
	case DO_CHECK:
		return put_registration(body, o, t) ? APPLY_TYPE_REGISTER : 0;
	case DO_DROP_NODE:
	case DO_DROP_SERVICE:
	case DO_DROP_CHECK:
		put_deregistration(body, o);
		return APPLY_TYPE_DEREGISTER;
	case DO_COORDINATES:
		put_coordinates(body, o);
		return APPLY_TYPE_COORDINATES;
	default:
		put_kv(body, o, names[o->kind]);
		return APPLY_TYPE_KVS;
	}
}

#endif

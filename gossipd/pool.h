/*
 * pool.h - this node in one pool: the SWIM and serf cores, coordinates, keys, sockets and memory, tied to the loop
 */
#ifndef GOSSIPD_POOL_H
#define GOSSIPD_POOL_H

#include <stdbool.h>

#include "coordinate.h"
#include "daemon.h"
#include "keyring.h"
#include "member.h"
#include "serf.h"
#include "swim.h"
#include "transport.h"

struct pool;

/* What a pool tells. */
struct pool_watch {
	void (*member)(void *ctx, struct pool *p, enum serf_change change, const struct serf_member *m);
	void (*event)(void *ctx, struct pool *p, uint64_t ltime, struct bytes name, struct bytes payload);
	/* Another node has our name, and the others know it under that one. */
	void (*name_lost)(void *ctx, struct pool *p);
	void *ctx;
};

/* Opens sockets, keys and memory; NULL: logged. The node is no member before pool_start(). */
MUST_USE struct pool *pool_new(struct daemon *d, bool wan, const struct pool_watch *watch);
/* Becomes a member, alone at first. */
void pool_start(struct pool *p);
/* Without leaving: the others will see us fail. p may be NULL. */
void pool_free(struct pool *p);

/* After a reload; what changes in our tags is told to all. */
void pool_configure(struct pool *p, const struct conf *c);

bool pool_is_wan(const struct pool *p);
const struct self *pool_self(const struct pool *p);
const struct serf *pool_serf(const struct pool *p);
const struct swim *pool_swim(const struct pool *p);
const struct coordinates *pool_coordinates(const struct pool *p);
bool pool_encrypted(const struct pool *p);
const char *pool_serf_module(const struct pool *p); /* of log lines */
const char *pool_module(const struct pool *p);

/* Nodes that were there when we were last; each is "name/address:port". */
size_t pool_past_count(const struct pool *p);
const char *pool_past_at(const struct pool *p, size_t i);

/* Exchanges states with a node, as a join. error NULL: done. Called once, later from the loop. */
typedef void pool_contacted(void *ctx, const char *error);
struct contact;
/* NULL: too many are under way. */
MUST_USE struct contact *pool_contact(struct pool *p, const struct swim_address *to, pool_contacted *done, void *ctx);
void pool_contact_cancel(struct contact *c);
/* A join by hand or from the configuration has reached somebody: tells all. */
void pool_joined(struct pool *p);

/* serf.h, at the present time. */
void pool_leave(struct pool *p, void (*done)(void *ctx), void *ctx);
bool pool_has_left(const struct pool *p);
MUST_USE int pool_force_leave(struct pool *p, struct bytes name, bool prune, serf_told *done, void *ctx);
MUST_USE int pool_event_send(struct pool *p, struct bytes name, struct bytes payload, char error[SERF_ERROR_MAX]);
MUST_USE struct serf_question *pool_query_send(struct pool *p, struct bytes name, struct bytes payload,
    const struct serf_asking *asking, char error[SERF_ERROR_MAX]);
void pool_query_forget(struct pool *p, struct serf_question *q);

#endif

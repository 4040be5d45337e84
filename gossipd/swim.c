/*
 * swim.c - members and the rules that change them (contract: swim.h; callers: pool.c, the simulator)
 *
 * One list of nodes, in the random order in which they are probed, and a table by name. What is said of a node counts by its
 * incarnation. Of ourselves only we know: other news are refuted by a higher incarnation, unless we are leaving.
 */
#include "swim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "swim_internal.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)

struct swim_config
swim_config_lan(void)
{
	return (struct swim_config){
	    .probe_interval = S,
	    .probe_timeout = 500 * MS,
	    .gossip_interval = 200 * MS,
	    .push_pull_interval = 30 * S,
	    .gossip_to_the_dead = 30 * S,
	    .dead_reclaim = 30 * S,
	    .gossip_nodes = 3,
	    .indirect_checks = 3,
	    .retransmit_mult = 4,
	    .suspicion_mult = 4,
	    .suspicion_max_mult = 6,
	    .awareness_max = 8,
	    .port = 8301,
	    .stream_pings = true,
	};
}

struct swim_config
swim_config_wan(void)
{
	struct swim_config c = swim_config_lan();

	c.probe_interval = 5 * S;
	c.probe_timeout = 3 * S;
	c.gossip_interval = 500 * MS;
	c.push_pull_interval = 60 * S;
	c.gossip_to_the_dead = 60 * S;
	c.suspicion_mult = 6;
	c.port = 8302;
	return c;
}

void
swim_say(const struct swim *s, enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	s->ops->say(s->ctx, level, fmt, args);
	va_end(args);
}

/* ---- the nodes ---- */

struct swim_node *
node_find(const struct swim *s, struct bytes name)
{
	for (struct hash_node *h = hash_first(&s->names, hash_bytes(0, name)); h != NULL; h = hash_next(h)) {
		struct swim_node *n = RING_ENTRY(h, struct swim_node, by_name);

		if (bytes_is(name, n->member.card->name))
			return n;
	}
	return NULL;
}

static void
node_place(struct swim *s, struct swim_node *n, size_t place)
{
	s->nodes[place] = n;
	n->place = place;
}

static void
nodes_swap(struct swim *s, size_t a, size_t b)
{
	struct swim_node *n = s->nodes[a];

	node_place(s, s->nodes[b], a);
	node_place(s, n, b);
}

/* It says this of itself now, under the name that it has. */
static void
node_card_set(struct swim_node *n, const struct swim_card *says)
{
	const struct swim_card *before = n->member.card;

	n->member.card = swim_card_take(says);
	swim_card_release(before);
}

/* At a random place of the list. The name has been checked. */
static struct swim_node *
node_add(struct swim *s, const struct swim_card *says)
{
	struct swim_node *n = xcalloc(1, sizeof *n);

	n->member.card = swim_card_take(says);
	n->member.state = GOSSIP_STATE_DEAD;
	n->by_name.hash = hash_bytes(0, bytes_str(says->name));
	hash_insert(&s->names, &n->by_name);
	if (s->count == s->size) {
		s->size = s->size == 0 ? 8 : s->size * 2;
		s->nodes = xreallocarray(s->nodes, s->size, sizeof(struct swim_node *));
	}
	node_place(s, n, s->count++);
	nodes_swap(s, n->place, (size_t)s->ops->random(s->ctx, s->count));
	return n;
}

static void
node_free(struct swim_node *n)
{
	swim_card_release(n->member.card);
	free(n);
}

static void
node_remove(struct swim *s, struct swim_node *n)
{
	s->ops->forgotten(s->ctx, &n->member);
	suspicion_stop(s, n);
	hash_remove(&s->names, &n->by_name);
	s->count--;
	if (n->place != s->count)
		node_place(s, s->nodes[s->count], n->place);
	node_free(n);
}

static bool
is_gone(const struct swim_member *m)
{
	return m->state == GOSSIP_STATE_DEAD || m->state == GOSSIP_STATE_LEFT;
}

void
nodes_sweep(struct swim *s, uint64_t now)
{
	for (size_t i = 0; i < s->count;) {
		struct swim_node *n = s->nodes[i];

		if (n != s->self && is_gone(&n->member) && now - n->member.since > s->config.gossip_to_the_dead)
			node_remove(s, n);
		else
			i++;
	}
	for (size_t i = s->count; i > 1; i--)
		nodes_swap(s, i - 1, (size_t)s->ops->random(s->ctx, i));
}

static void
state_set(struct swim_node *n, enum gossip_state state, uint64_t now)
{
	if (n->member.state != state)
		n->member.since = now;
	n->member.state = state;
}

/* The ticks rest while we are alone. */
static void
ticks_wake(struct swim *s, uint64_t now)
{
	if (!s->running || s->count < 2)
		return;
	probe_wake(s, now);
	spread_wake(s, now);
}

/* ---- ourselves ---- */

static struct gossip_alive
alive_of(const struct swim_node *n)
{
	return (struct gossip_alive){
	    .addr = swim_ip_bytes(&n->member.card->address),
	    .incarnation = n->member.incarnation,
	    .meta = n->member.card->meta,
	    .node = bytes_str(n->member.card->name),
	    .port = n->member.card->address.port,
	    .vsn = bytes_of(n->member.card->vsn, GOSSIP_VSN_BYTES),
	};
}

static void
self_announce(struct swim *s)
{
	struct gossip_alive a = alive_of(s->self);

	spread(s, a.node, GOSSIP_ALIVE, &gossip_alive_schema, &a, NULL);
}

/* Somebody says of us, with this incarnation, what is not so. */
static void
refute(struct swim *s, uint64_t accused)
{
	s->incarnation++;
	if (accused >= s->incarnation)
		s->incarnation = (uint32_t)accused + 1;
	s->self->member.incarnation = s->incarnation;
	score_add(s, 1);
	self_announce(s);
}

/* ---- alive ---- */

static bool
alive_is_sane(const struct swim *s, const struct gossip_alive *a)
{
	if (a->vsn.size < GOSSIP_VSN_BYTES || a->vsn.data[0] == 0 || a->vsn.data[1] == 0 ||
	    a->vsn.data[0] > a->vsn.data[1])
		return false;
	if (!swim_is_name(a->node) || a->meta.size > GOSSIP_META_MAX || a->incarnation > UINT32_MAX ||
	    a->port > UINT16_MAX)
		return false;
	if (a->addr.size != 4 && a->addr.size != 16) {
		swim_say(s, LOG_WARN_LEVEL, "ignoring alive message with an address of %zu bytes: node=%.*s",
		    a->addr.size, (int)a->node.size, (const char *)a->node.data);
		return false;
	}
	return true;
}

static bool
may_take_over(const struct swim *s, const struct swim_node *n, uint64_t now)
{
	return n->member.state == GOSSIP_STATE_LEFT ||
	       (n->member.state == GOSSIP_STATE_DEAD && s->config.dead_reclaim > 0 &&
		   now - n->member.since > s->config.dead_reclaim);
}

static void
alive_of_self(struct swim *s, const struct gossip_alive *a)
{
	const struct swim_member *m = &s->self->member;

	if (a->incarnation < m->incarnation ||
	    (a->incarnation == m->incarnation && bytes_equal(a->meta, m->card->meta) &&
		memcmp(a->vsn.data, m->card->vsn, GOSSIP_VSN_BYTES) == 0))
		return;
	swim_say(s, LOG_WARN_LEVEL, "Refuting an alive message for '%s' (%s): meta or versions are not ours",
	    m->card->name, m->card->name);
	refute(s, a->incarnation);
}

static void
alive_of_other(
    struct swim *s, struct swim_node *n, const struct gossip_alive *a, const struct swim_card *says, uint64_t now)
{
	bool was_gone = is_gone(&n->member), new_meta = !bytes_equal(n->member.card->meta, a->meta);

	suspicion_stop(s, n);
	n->member.incarnation = (uint32_t)a->incarnation;
	node_card_set(n, says);
	state_set(n, GOSSIP_STATE_ALIVE, now);
	spread(s, a->node, GOSSIP_ALIVE, &gossip_alive_schema, a, NULL);
	if (was_gone)
		s->ops->changed(s->ctx, SWIM_JOIN, &n->member, now);
	else if (new_meta)
		s->ops->changed(s->ctx, SWIM_UPDATE, &n->member, now);
}

void
swim_alive(struct swim *s, const struct gossip_alive *a, uint64_t now)
{
	struct swim_node *n = node_find(s, a->node);
	char name[SWIM_NAME_MAX];
	struct swim_card says = {.name = name, .meta = a->meta};
	struct swim_member claimed = {.card = &says, .incarnation = (uint32_t)a->incarnation};
	const char *reason;
	bool moved, takeover = false;

	if (!alive_is_sane(s, a) || bytes_to_str(a->node, name, sizeof name) == -1 || (n == s->self && s->leaving))
		return;
	swim_address_of(a->addr, a->port, s->config.port, &says.address);
	memcpy(says.vsn, a->vsn.data, sizeof says.vsn);
	reason = s->ops->allowed(s->ctx, &claimed);
	if (reason != NULL) {
		swim_say(s, LOG_WARN_LEVEL, "ignoring alive message for '%s': %s", name, reason);
		return;
	}
	if (n != NULL) {
		moved = !swim_address_equal(&n->member.card->address, &says.address);
		takeover = moved && may_take_over(s, n, now);
		if (moved && !takeover) {
			s->ops->conflict(s->ctx, &n->member, &says.address);
			return;
		}
		if (n == s->self) {
			alive_of_self(s, a);
			return;
		}
		if (a->incarnation <= n->member.incarnation && !takeover)
			return;
		if (moved)
			swim_say(s, LOG_INFO_LEVEL, "Updating address for left or failed node %s", name);
	} else {
		if (s->count >= SWIM_MEMBERS_MAX) {
			swim_say(
			    s, LOG_ERROR_LEVEL, "%s is not taken: the pool has %u members", name, SWIM_MEMBERS_MAX);
			return;
		}
		n = node_add(s, &says);
		n->member.since = now;
		ticks_wake(s, now);
	}
	alive_of_other(s, n, a, &says, now);
}

/* ---- suspect, dead ---- */

void
swim_suspect(struct swim *s, const struct gossip_accusation *a, uint64_t now)
{
	struct swim_node *n = node_find(s, a->node);

	if (n == NULL || a->incarnation < n->member.incarnation || a->incarnation > UINT32_MAX)
		return;
	if (n->member.state == GOSSIP_STATE_SUSPECT) {
		if (suspicion_confirm(s, n, a->from, now))
			spread(s, a->node, GOSSIP_SUSPECT, &gossip_accusation_schema, a, NULL);
		return;
	}
	if (n->member.state != GOSSIP_STATE_ALIVE)
		return;
	if (n == s->self) {
		if (s->leaving)
			return;
		swim_say(s, LOG_WARN_LEVEL, "Refuting a suspect message (from: %.*s)", (int)a->from.size,
		    (const char *)a->from.data);
		refute(s, a->incarnation);
		return;
	}
	spread(s, a->node, GOSSIP_SUSPECT, &gossip_accusation_schema, a, NULL);
	n->member.incarnation = (uint32_t)a->incarnation;
	state_set(n, GOSSIP_STATE_SUSPECT, now);
	suspicion_start(s, n, a->from, now);
}

static void
on_leave_spread(void *ctx, bool all)
{
	struct swim *s = ctx;

	(void)all;
	s->left = true;
	s->ops->left(s->ctx);
}

void
swim_dead(struct swim *s, const struct gossip_accusation *a, uint64_t now)
{
	struct swim_node *n = node_find(s, a->node);

	if (n == NULL || a->incarnation < n->member.incarnation || a->incarnation > UINT32_MAX)
		return;
	if (is_gone(&n->member))
		return;
	if (n == s->self && !s->leaving) {
		swim_say(s, LOG_WARN_LEVEL, "Refuting a dead message (from: %.*s)", (int)a->from.size,
		    (const char *)a->from.data);
		refute(s, a->incarnation);
		return;
	}
	suspicion_stop(s, n);
	spread(s, a->node, GOSSIP_DEAD, &gossip_accusation_schema, a, n == s->self ? on_leave_spread : NULL);
	n->member.incarnation = (uint32_t)a->incarnation;
	state_set(n, bytes_equal(a->from, a->node) ? GOSSIP_STATE_LEFT : GOSSIP_STATE_DEAD, now);
	s->ops->changed(s->ctx, SWIM_LEAVE, &n->member, now);
}

/* ---- messages ---- */

void
swim_message(struct swim *s, const struct swim_address *from, struct bytes message, uint64_t now)
{
	struct bytes body = {message.data + 1, message.size - 1};
	struct gossip_alive a;
	struct gossip_accusation c;
	const char *error = NULL;

	if (message.size == 0)
		return;
	switch (message.data[0]) {
	case GOSSIP_PING:
		probe_ping(s, from, body);
		break;
	case GOSSIP_INDIRECT_PING:
		probe_indirect_ping(s, from, body, now);
		break;
	case GOSSIP_ACK:
		probe_ack(s, body, now);
		break;
	case GOSSIP_NACK:
		probe_nack(s, body);
		break;
	case GOSSIP_ALIVE:
		if (schema_decode(&gossip_alive_schema, body, &a, &error) == 0)
			swim_alive(s, &a, now);
		break;
	case GOSSIP_SUSPECT:
		if (schema_decode(&gossip_accusation_schema, body, &c, &error) == 0)
			swim_suspect(s, &c, now);
		break;
	case GOSSIP_DEAD:
		if (schema_decode(&gossip_accusation_schema, body, &c, &error) == 0)
			swim_dead(s, &c, now);
		break;
	case GOSSIP_USER:
		s->ops->user(s->ctx, body, now);
		break;
	default:
		swim_say(s, LOG_DEBUG_LEVEL, "msg type (%u) not supported", message.data[0]);
	}
	if (error != NULL)
		swim_say(s, LOG_DEBUG_LEVEL, "Failed to decode message: %s", error);
}

/* ---- life ---- */

struct swim *
swim_new(const struct swim_config *config, const struct swim_ops *ops, void *ctx, struct timers *timers,
    const char *name, const struct swim_address *address, struct bytes meta, const uint8_t vsn[GOSSIP_VSN_BYTES])
{
	struct swim_card says = {.name = name, .meta = meta, .address = *address};
	struct swim *s = xcalloc(1, sizeof *s);

	memcpy(says.vsn, vsn, sizeof says.vsn);
	s->config = *config;
	s->ops = ops;
	s->ctx = ctx;
	s->timers = timers;
	s->queue = broadcasts_new(config->retransmit_mult, &s->count);
	s->self = node_add(s, &says);
	return s;
}

void
swim_free(struct swim *s)
{
	if (s == NULL)
		return;
	swim_stop(s);
	probe_free(s);
	for (size_t i = 0; i < s->count; i++) {
		suspicion_stop(s, s->nodes[i]);
		node_free(s->nodes[i]);
	}
	free(s->nodes);
	hash_free(&s->names);
	broadcasts_free(s->queue);
	free(s);
}

void
swim_start(struct swim *s, uint64_t now)
{
	s->running = true;
	s->self->member.incarnation = ++s->incarnation;
	s->self->member.since = now;
	s->self->member.state = GOSSIP_STATE_ALIVE;
	self_announce(s);
	s->ops->changed(s->ctx, SWIM_JOIN, &s->self->member, now);
	probe_init(s);
	spread_init(s);
	ticks_wake(s, now);
}

void
swim_stop(struct swim *s)
{
	s->running = false;
	probe_stop(s);
	spread_stop(s);
}

void
swim_update(struct swim *s, struct bytes meta, uint64_t now)
{
	struct swim_card says = *s->self->member.card;

	says.meta = meta;
	node_card_set(s->self, &says);
	s->self->member.incarnation = ++s->incarnation;
	self_announce(s);
	s->ops->changed(s->ctx, SWIM_UPDATE, &s->self->member, now);
}

void
swim_leave(struct swim *s, uint64_t now)
{
	struct bytes name = bytes_str(s->self->member.card->name);
	struct gossip_accusation gone = {.from = name, .incarnation = s->self->member.incarnation, .node = name};

	if (s->leaving)
		return;
	s->leaving = true;
	swim_dead(s, &gone, now);
	if (swim_alive_count(s) == 0)
		on_leave_spread(s, true);
}

bool
swim_left(const struct swim *s)
{
	return s->left;
}

/* ---- state ---- */

struct swim_member *
swim_find(const struct swim *s, const char *name, size_t name_size)
{
	struct swim_node *n = node_find(s, bytes_of(name, name_size));

	return n == NULL ? NULL : &n->member;
}

const struct swim_member *
swim_self(const struct swim *s)
{
	return &s->self->member;
}

size_t
swim_count(const struct swim *s)
{
	return s->count;
}

const size_t *
swim_count_pointer(const struct swim *s)
{
	return &s->count;
}

struct swim_member *
swim_at(const struct swim *s, size_t i)
{
	return &s->nodes[i]->member;
}

size_t
swim_alive_count(const struct swim *s)
{
	size_t count = 0;

	for (size_t i = 0; i < s->count; i++)
		count += !is_gone(&s->nodes[i]->member);
	return count;
}

unsigned
swim_score(const struct swim *s)
{
	return s->score;
}

size_t
swim_queued(const struct swim *s)
{
	return broadcasts_count(s->queue);
}

size_t
swim_choose(struct swim *s, size_t count, bool (*fits)(const struct swim_member *m, void *ctx), void *ctx,
    struct swim_member **out)
{
	size_t chosen = 0;

	/* draws first; in a small pool where draws miss, all are looked at from a random place on */
	for (size_t draws = 0; chosen < count && draws < 3 * s->count; draws++) {
		struct swim_node *n = s->nodes[s->ops->random(s->ctx, s->count)];
		size_t i = 0;

		if (n == s->self || !fits(&n->member, ctx))
			continue;
		while (i < chosen && out[i] != &n->member)
			i++;
		if (i == chosen)
			out[chosen++] = &n->member;
	}
	return chosen;
}

/*
 * swim_state.c - the state that members compare: all members they know, taken over member by member (contract: swim.h)
 */
#include "swim_internal.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"

void
swim_state_put(const struct swim *s, bool join, struct bytes user_state, struct buf *out)
{
	struct gossip_push_pull head = {.join = join, .nodes = s->count, .user_state_bytes = user_state.size};

	gossip_message_put(out, GOSSIP_PUSH_PULL, &gossip_push_pull_schema, &head);
	for (size_t i = 0; i < s->count; i++) {
		const struct swim_member *m = &s->nodes[i]->member;
		struct gossip_node node = {
		    .addr = swim_ip_bytes(&m->card->address),
		    .incarnation = m->incarnation,
		    .meta = m->card->meta,
		    .name = bytes_str(m->card->name),
		    .port = m->card->address.port,
		    .state = m->state,
		    .vsn = bytes_of(m->card->vsn, GOSSIP_VSN_BYTES),
		};

		schema_encode(&gossip_node_schema, &node, out);
	}
	buf_put_bytes(out, user_state);
}

/* No node's map is larger, with room for fields of the future. */
#define NODE_BYTES_MAX 8192

static int
node_scan(struct bytes body, size_t *at)
{
	struct mp in = {.at = body.data + *at, .end = body.data + body.size};

	mp_skip(&in);
	if (!mp_ok(&in) || in.at == body.data + *at)
		return body.size - *at > NODE_BYTES_MAX ? -1 : 0;
	*at = (size_t)(in.at - body.data);
	return 1;
}

int
swim_state_scan(struct swim_state_progress *p, struct bytes body, size_t *size)
{
	struct gossip_push_pull head;
	const char *error;
	int n;

	if (!p->head) {
		struct mp in = mp_of(body);

		n = node_scan(body, &p->at);
		if (n != 1)
			return n;
		if (schema_decode_at(&gossip_push_pull_schema, &in, &head, &error) == -1 ||
		    head.nodes > GOSSIP_NODES_MAX || head.user_state_bytes > GOSSIP_STREAM_MAX)
			return -1;
		p->nodes = head.nodes;
		p->user_state = head.user_state_bytes;
		p->head = true;
	}
	for (; p->nodes > 0; p->nodes--) {
		n = node_scan(body, &p->at);
		if (n != 1)
			return n;
	}
	if (body.size - p->at < p->user_state)
		return 0;
	*size = p->at + p->user_state;
	return 1;
}

/* Whether all nodes, theirs and ours, speak versions that all of them understand. */
struct versions {
	uint8_t pmin, pmax, dmin, dmax;
};

static void
versions_narrow(struct versions *v, const uint8_t vsn[GOSSIP_VSN_BYTES])
{
	v->pmin = MAX(v->pmin, vsn[0]);
	v->pmax = MIN(v->pmax, vsn[1]);
	v->dmin = MAX(v->dmin, vsn[3]);
	v->dmax = MIN(v->dmax, vsn[4]);
}

static int
versions_check(const struct versions *v, const char *name, const uint8_t vsn[GOSSIP_VSN_BYTES], char *error)
{
	if (vsn[2] < v->pmin || vsn[2] > v->pmax) {
		snprintf(error, SWIM_ERROR_MAX, "Node '%s' protocol version (%u) is incompatible: [%u, %u]", name,
		    vsn[2], v->pmin, v->pmax);
		return -1;
	}
	if (vsn[5] < v->dmin || vsn[5] > v->dmax) {
		snprintf(error, SWIM_ERROR_MAX, "Node '%s' delegate protocol version (%u) is incompatible: [%u, %u]",
		    name, vsn[5], v->dmin, v->dmax);
		return -1;
	}
	return 0;
}

static int
versions_verify(const struct swim *s, const struct swim_member *theirs, size_t count, char *error)
{
	struct versions v = {0, UINT8_MAX, 0, UINT8_MAX};

	for (size_t i = 0; i < count; i++)
		if (theirs[i].state == GOSSIP_STATE_ALIVE && theirs[i].card->vsn[1] != 0)
			versions_narrow(&v, theirs[i].card->vsn);
	for (size_t i = 0; i < s->count; i++)
		if (s->nodes[i]->member.state == GOSSIP_STATE_ALIVE)
			versions_narrow(&v, s->nodes[i]->member.card->vsn);
	for (size_t i = 0; i < count; i++)
		if (versions_check(&v, theirs[i].card->name, theirs[i].card->vsn, error) == -1)
			return -1;
	for (size_t i = 0; i < s->count; i++)
		if (versions_check(&v, s->nodes[i]->member.card->name, s->nodes[i]->member.card->vsn, error) == -1)
			return -1;
	return 0;
}

static int
member_take(struct region *region, uint16_t port, const struct gossip_node *n, struct swim_member *out)
{
	struct swim_card *says;

	if (!swim_is_name(n->name) || n->incarnation > UINT32_MAX || n->port > UINT16_MAX ||
	    n->state > GOSSIP_STATE_LEFT || n->meta.size > GOSSIP_META_MAX)
		return -1;
	says = region_alloc(region, sizeof *says);
	*says = (struct swim_card){
	    .name = region_strndup(region, n->name.data, n->name.size),
	    .meta = n->meta,
	};
	swim_address_of(n->addr, n->port, port, &says->address);
	if (n->vsn.size > 0)
		memcpy(says->vsn, n->vsn.data, MIN(n->vsn.size, sizeof says->vsn));
	*out = (struct swim_member){
	    .card = says,
	    .incarnation = (uint32_t)n->incarnation,
	    .state = (enum gossip_state)n->state,
	};
	return 0;
}

static void
member_merge(struct swim *s, const struct swim_member *m, uint64_t now)
{
	struct gossip_accusation accusation = {.from = bytes_str(s->self->member.card->name),
	    .incarnation = m->incarnation,
	    .node = bytes_str(m->card->name)};
	struct gossip_alive a = {
	    .addr = swim_ip_bytes(&m->card->address),
	    .incarnation = m->incarnation,
	    .meta = m->card->meta,
	    .node = bytes_str(m->card->name),
	    .port = m->card->address.port,
	    .vsn = bytes_of(m->card->vsn, GOSSIP_VSN_BYTES),
	};

	switch (m->state) {
	case GOSSIP_STATE_ALIVE:
		swim_alive(s, &a, now);
		break;
	case GOSSIP_STATE_LEFT:
		accusation.from = accusation.node;
		swim_dead(s, &accusation, now);
		break;
	case GOSSIP_STATE_DEAD: /* never at once: it may refute */
	case GOSSIP_STATE_SUSPECT:
		swim_suspect(s, &accusation, now);
		break;
	}
}

static int
state_merge(struct swim *s, struct mp *in, const struct gossip_push_pull *head, struct region *region,
    char error[SWIM_ERROR_MAX], uint64_t now)
{
	/* a node has some 40 bytes at least: what they announce is bounded by what has come */
	struct swim_member *members = region_alloc(region, (head->nodes + 1) * sizeof *members);
	int refused;

	for (uint64_t i = 0; i < head->nodes; i++) {
		struct gossip_node n;
		const char *why;

		if (schema_decode_at(&gossip_node_schema, in, &n, &why) == -1 ||
		    member_take(region, s->config.port, &n, &members[i]) == -1) {
			snprintf(error, SWIM_ERROR_MAX, "Failed to decode a node's state");
			return -1;
		}
	}
	if (versions_verify(s, members, head->nodes, error) == -1)
		return -1;
	refused = head->join ? s->ops->merge_allowed(s->ctx, members, head->nodes, error) : 0;
	if (refused != 0)
		return refused;
	for (uint64_t i = 0; i < head->nodes; i++)
		member_merge(s, &members[i], now);
	return 0;
}

int
swim_merge(
    struct swim *s, struct bytes body, bool *join, struct bytes *user_state, char error[SWIM_ERROR_MAX], uint64_t now)
{
	struct gossip_push_pull head;
	struct region *region;
	struct mp in = mp_of(body);
	const char *why;
	int result;

	if (schema_decode_at(&gossip_push_pull_schema, &in, &head, &why) == -1 || head.nodes > GOSSIP_NODES_MAX ||
	    head.nodes > body.size) {
		snprintf(error, SWIM_ERROR_MAX, "Failed to decode the state's head");
		return -1;
	}
	region = region_new();
	result = state_merge(s, &in, &head, region, error, now);
	region_free(region);
	if (result != 0)
		return result;
	if ((size_t)(in.end - in.at) < head.user_state_bytes) {
		snprintf(error, SWIM_ERROR_MAX, "Failed to read all of the user state");
		return -1;
	}
	*join = head.join;
	*user_state = bytes_of(in.at, head.user_state_bytes);
	return 0;
}

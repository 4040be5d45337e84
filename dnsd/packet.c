/*
 * packet.c - an answer in wire form whose records can be given in any order (contract: packet.h; called by resolve.c and server.c)
 *
 * Each answer record and what belongs to it in the additional section is a group. Owners of answers are pointers to the question; owners in the additional section
 * are pointers into the SRV target of their own group, made when the place of the group is known. Targets end in the zone, which is written in the
 * letter case asked. Choosing k of n groups is the first k steps of a Fisher-Yates shuffle of the groups in place: any order they are in is as good a
 * start as another, so a large service costs what its answer holds and not what it has.
 */
#include "packet.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "uuid.h"

#define POINTER_LIMIT 0x4000
#define RECORD_HEAD 12 /* owner as pointer, type, class, TTL, length */
#define TARGET_AT (RECORD_HEAD + 6)
#define PACKET_BYTES_MAX (8u * 1024 * 1024)
#define SLACK_GROUPS_MAX 256 /* larger answers do not fit with all their TXT records anyway */

struct group {
	uint32_t at;   /* its octets: answer record, address record without owner, TXT records */
	uint32_t same; /* groups that count as one answer have the same number */
	uint16_t answer_size, address_size;
	uint16_t txts_size; /* with two octets of length before each */
	uint16_t txts;
	uint8_t target_size;             /* 0: no SRV record */
	uint8_t datacenter_at;           /* in the target */
	uint8_t owner_size, owner_joins; /* TXT owner: labels before those octets of the target that it ends in */
};

struct packet {
	struct group *groups;
	size_t count, distinct;
	uint32_t *given, turn;      /* by same: the turn in which it was given last; NULL: all differ */
	bool shuffle, srv, limited; /* limited: by a_record_limit */
	bool authoritative, recursion_available;
	uint8_t zone_size;
	size_t slack; /* octets by which answer_write writes the whole answer shorter */
	struct buf data;
};

/* ---- making ---- */

static void
put_record(struct buf *b, const struct dns_record *r)
{
	static uint8_t record[DNS_MESSAGE_MAX];
	size_t size = dns_record_write(r, record, sizeof record);

	if (size == 0)
		b->overflow = true; /* no message could hold it */
	buf_put(b, record, size);
}

/* Where in target the longest common ending of both begins, and in owner. false: they have none but the root. */
static bool
common_ending(const struct name *owner, const struct name *target, size_t *in_owner, size_t *in_target)
{
	for (size_t o = 0; owner->wire[o] != 0; o += (size_t)owner->wire[o] + 1)
		for (size_t t = 0; target->wire[t] != 0; t += (size_t)target->wire[t] + 1)
			if (owner->size - o == target->size - t &&
			    memcmp(owner->wire + o, target->wire + t, owner->size - o) == 0) {
				*in_owner = o;
				*in_target = t;
				return true;
			}
	return false;
}

static bool
ends_in(const struct name *n, const struct name *zone)
{
	return n->size > zone->size && memcmp(n->wire + n->size - zone->size, zone->wire, zone->size) == 0;
}

/* TXT records behind additional[at], all of one owner, with the target's own address before them. Returns where the next group begins; SIZE_MAX: not for keeping. */
static size_t
add_related(struct packet *p, struct group *g, const struct dns_section *all, size_t at, const struct name *base)
{
	const struct name *owner = NULL;
	size_t start, in_owner = 0, in_base = 0;

	if (g->target_size > 0) {
		if (at == all->count || all->records[at].owner != base ||
		    (all->records[at].type != DNS_A && all->records[at].type != DNS_AAAA))
			return SIZE_MAX;
		start = p->data.used;
		put_record(&p->data, &all->records[at++]);
		g->address_size = (uint16_t)(p->data.used - start);
	}
	start = p->data.used;
	for (; at < all->count && all->records[at].type == DNS_TXT; at++) {
		const struct dns_record *r = &all->records[at];
		size_t length_at, length;

		if (owner == NULL) {
			owner = r->owner;
			if (!common_ending(owner, base, &in_owner, &in_base) ||
			    (g->target_size > 0 && in_base > g->datacenter_at))
				return SIZE_MAX;
		} else if (!name_equal_exact(owner, r->owner)) {
			return SIZE_MAX;
		}
		if (g->txts == 0 && in_owner > 0)
			buf_put(&p->data, owner->wire, in_owner);
		length_at = p->data.used;
		buf_put_be16(&p->data, 0);
		put_record(&p->data, r);
		length = p->data.used - length_at - 2;
		if (p->data.overflow || length > UINT16_MAX)
			return SIZE_MAX;
		p->data.data[length_at] = (uint8_t)(length >> 8);
		p->data.data[length_at + 1] = (uint8_t)length;
		g->txts++;
	}
	if (p->data.used - start - in_owner > UINT16_MAX)
		return SIZE_MAX;
	g->txts_size = (uint16_t)(p->data.used - start - in_owner);
	g->owner_size = (uint8_t)in_owner;
	g->owner_joins = (uint8_t)in_base;
	return at;
}

static int
add_target(struct packet *p, const struct answer_context *c, const struct dns_record *r, struct group *g)
{
	const struct name *target = r->srv.target;
	unsigned labels = name_label_count(target), zone = name_label_count(&c->zone);

	if (!ends_in(target, &c->zone) || labels < zone + 2)
		return -1;
	g->target_size = target->size;
	g->datacenter_at = (uint8_t)name_label_offset(target, labels - zone - 1);
	if (p->count > 0) { /* what lies too far behind to be pointed at ends in the first target's datacenter */
		const struct group *first = &p->groups[0];
		size_t tail = (size_t)g->target_size - g->datacenter_at;

		if (tail != (size_t)first->target_size - first->datacenter_at ||
		    memcmp(p->data.data + first->at + TARGET_AT + first->datacenter_at, target->wire + g->datacenter_at,
			tail) != 0)
			return -1;
	}
	return 0;
}

static bool
can_be_kept(const struct answer_context *c, const struct dns_answer *a)
{
	if (!c->settings->compress || a->rcode != DNS_NOERROR || a->answer.count == 0 || a->authority.count > 0 ||
	    c->wanted_count > 0 || c->extra_count > 0)
		return false;
	for (size_t i = 0; i < a->answer.count; i++) {
		const struct dns_record *r = &a->answer.records[i];

		if ((r->type != DNS_A && r->type != DNS_AAAA && r->type != DNS_TXT && r->type != DNS_SRV) ||
		    (r->type == DNS_SRV) != (a->answer.records[0].type == DNS_SRV) ||
		    !name_equal_exact(r->owner, &c->query->name))
			return false;
	}
	return true;
}

/* All groups of a. same: NULL, or a number for each answer record. -1: not for keeping. */
static int
add_groups(struct packet *p, const struct answer_context *c, const struct dns_answer *a, const uint32_t *same)
{
	size_t related = 0;

	for (size_t i = 0; i < a->answer.count; i++) {
		const struct dns_record *r = &a->answer.records[i];
		struct group *g = &p->groups[p->count];
		size_t size;

		g->at = (uint32_t)p->data.used;
		g->same = same == NULL ? (uint32_t)i : same[i];
		p->distinct += g->same == i;
		if (r->type == DNS_SRV && add_target(p, c, r, g) == -1)
			return -1;
		buf_put_be16(&p->data, 0xc000 | DNS_HEADER_BYTES);
		put_record(&p->data, r);
		size = p->data.used - g->at;
		if (p->data.overflow || size > UINT16_MAX)
			return -1;
		g->answer_size = (uint16_t)size;
		if (r->type == DNS_SRV || i == 0)
			related = add_related(
			    p, g, &a->additional, related, r->type == DNS_SRV ? r->srv.target : &c->query->name);
		if (related == SIZE_MAX)
			return -1;
		p->count++;
	}
	return related == a->additional.count && !p->data.overflow ? 0 : -1;
}

static struct packet *
packet_new(const struct answer_context *c, const struct dns_answer *a, const uint32_t *same)
{
	struct packet *p;

	if (!can_be_kept(c, a))
		return NULL;
	p = xcalloc(1, sizeof *p);
	p->data = BUF_INIT(PACKET_BYTES_MAX);
	p->groups = xcalloc(a->answer.count, sizeof *p->groups);
	p->authoritative = a->authoritative;
	p->recursion_available = a->recursion_available;
	p->srv = a->answer.records[0].type == DNS_SRV;
	p->zone_size = c->zone.size;
	if (add_groups(p, c, a, same) == -1) {
		packet_free(p);
		return NULL;
	}
	if (p->distinct < p->count)
		p->given = xcalloc(p->count, sizeof *p->given);
	if (p->data.used > 0)
		p->data.data = xreallocarray(p->data.data, p->data.used, 1);
	p->data.size = p->data.used;
	return p;
}

struct packet *
packet_of_answer(const struct answer_context *c, const struct dns_answer *a)
{
	return packet_new(c, a, NULL);
}

void
packet_free(struct packet *p)
{
	if (p == NULL)
		return;
	free(p->groups);
	free(p->given);
	buf_free(&p->data);
	free(p);
}

size_t
packet_bytes(const struct packet *p)
{
	return sizeof *p + p->count * (sizeof *p->groups + (p->given != NULL ? sizeof *p->given : 0)) + p->data.size;
}

/* ---- choosing ---- */

/* The next group, moved to place chosen; *next: groups before it were drawn already. There is one, the caller knows. */
static const struct group *
draw(struct packet *p, size_t chosen, size_t *next)
{
	for (;;) {
		size_t at = *next;
		struct group drawn;

		if (p->shuffle && p->count - at > 1)
			at += (size_t)random_below(p->count - at);
		drawn = p->groups[at];
		p->groups[at] = p->groups[*next];
		p->groups[*next] = p->groups[chosen];
		p->groups[chosen] = drawn;
		++*next;
		if (p->given == NULL)
			return &p->groups[chosen];
		if (p->given[drawn.same] != p->turn) {
			p->given[drawn.same] = p->turn;
			return &p->groups[chosen];
		}
	}
}

/* Octets of an owner that ends in the target's, written in full at target_at, from `from` on. */
static size_t
owner_bytes(const struct group *g, size_t target_at, size_t from)
{
	return 2 + (target_at + from < POINTER_LIMIT ? 0 : g->datacenter_at - from);
}

/* TXT records of a group with their owners; one with labels of its own is written once and pointed at by the others. */
static size_t
txt_bytes(const struct group *g, size_t target_at)
{
	size_t owner = owner_bytes(g, target_at, g->owner_joins);

	if (g->txts == 0)
		return 0;
	return g->owner_size + owner + (g->txts - 1u) * (g->owner_size > 0 ? 2 : owner) + g->txts_size - 2u * g->txts;
}

struct choice {
	size_t count; /* groups at the front */
	bool whole;   /* with their TXT records */
	bool cut;
	size_t bytes_max; /* of the message without OPT */
};

/* false: answer_write may do better. */
static bool
choose(struct packet *p, const struct settings *settings, const struct dns_query *q, bool udp, struct choice *out)
{
	struct answer_limits limits = answer_limits(settings, q, udp, p->srv);
	size_t base = DNS_HEADER_BYTES + (size_t)q->name.size + 4, at = base, small = base, large = base, next = 0;
	size_t total = p->distinct;
	bool plain;

	if (p->limited && settings->a_record_limit > 0)
		total = MIN(total, (size_t)settings->a_record_limit);
	*out =
	    (struct choice){.cut = total > limits.answers, .whole = total <= limits.answers, .bytes_max = limits.bytes};
	total = MIN(total, limits.answers);
	plain = out->cut && udp; /* lengths count uncompressed */
	p->turn++;
	if (p->turn == 0 && p->given != NULL) {
		memset(p->given, 0, p->count * sizeof *p->given);
		p->turn = 1;
	}
	while (out->count < total) {
		const struct group *g = draw(p, out->count, &next);
		size_t target_at = g->target_size > 0 ? at + TARGET_AT : DNS_HEADER_BYTES;
		size_t answer = g->answer_size + (plain ? q->name.size - 2u : 0);

		if (g->address_size > 0)
			answer += g->address_size + (plain ? g->target_size : owner_bytes(g, target_at, 0));
		if (out->count > 0 && small + answer > limits.bytes) {
			*out = (struct choice){.cut = true, .count = out->count};
			return true;
		}
		at += g->answer_size;
		small += answer;
		large += answer + txt_bytes(g, target_at);
		out->count++;
	}
	if (out->whole && large > limits.bytes && out->count > 1) {
		if (p->srv && large - MIN(large, p->slack) <= limits.bytes)
			return false;
		*out = (struct choice){.cut = true, .count = out->count - 1};
	}
	return true;
}

/* ---- writing ---- */

struct sink {
	uint8_t *out;
	size_t used, size;
	bool full;
};

static void
copy(struct sink *s, const void *data, size_t size)
{
	if (s->size - s->used < size) {
		s->full = true;
		return;
	}
	memcpy(s->out + s->used, data, size);
	s->used += size;
}

static void
point(struct sink *s, size_t at)
{
	uint8_t p[2] = {(uint8_t)(0xc0 | at >> 8), (uint8_t)at};

	copy(s, p, sizeof p);
}

/* target: of the group, as kept. shared: where the first target's datacenter was written. */
static void
put_owner(struct sink *s, const struct group *g, const uint8_t *target, size_t target_at, size_t from, size_t shared)
{
	if (target_at + from < POINTER_LIMIT) {
		point(s, target_at + from);
		return;
	}
	copy(s, target + from, (size_t)g->datacenter_at - from);
	point(s, shared);
}

static void
put_txts(struct sink *s, const struct group *g, const uint8_t *octets, size_t target_at, size_t shared)
{
	const uint8_t *owner = octets + g->answer_size + g->address_size, *txt = owner + g->owner_size;
	size_t first_at = s->used;

	for (unsigned i = 0; i < g->txts; i++) {
		size_t length = be16_at(txt);

		if (i > 0 && g->owner_size > 0 && first_at < POINTER_LIMIT) {
			point(s, first_at);
		} else {
			copy(s, owner, g->owner_size);
			put_owner(s, g, octets + TARGET_AT, target_at, g->owner_joins, shared);
		}
		copy(s, txt + 2, length);
		txt += 2 + length;
	}
}

/* Records of the additional section for the groups chosen. */
static size_t
count_additional(const struct packet *p, const struct choice *choice)
{
	size_t count = 0;

	for (size_t i = 0; i < choice->count; i++)
		count += (p->groups[i].address_size > 0) + (choice->whole ? p->groups[i].txts : 0u);
	return count;
}

size_t
packet_write(
    struct packet *p, const struct settings *settings, const struct dns_query *q, bool udp, uint8_t *out, size_t size)
{
	struct dns_answer head = {.authoritative = p->authoritative, .recursion_available = p->recursion_available};
	const uint8_t *zone = q->name.wire + q->name.size - p->zone_size;
	struct sink s = {.out = out, .size = size};
	struct choice choice;
	size_t at, shared;

	if (!choose(p, settings, q, udp, &choice))
		return 0;
	head.truncated = choice.cut && settings->enable_truncate;
	head.answer.count = choice.count;
	head.additional.count = count_additional(p, &choice);
	s.used = dns_head_write(q, &head, out, size);
	if (s.used == 0)
		return 0;
	at = s.used;
	for (size_t i = 0; i < choice.count; i++) {
		const struct group *g = &p->groups[i];

		copy(&s, p->data.data + g->at, g->answer_size);
		if (g->target_size > 0 && !s.full)
			memcpy(out + s.used - p->zone_size, zone, p->zone_size);
	}
	shared = at + TARGET_AT + (choice.count > 0 ? p->groups[0].datacenter_at : 0u);
	for (size_t i = 0; i < choice.count && head.additional.count > 0; i++) {
		const struct group *g = &p->groups[i];
		const uint8_t *octets = p->data.data + g->at;
		size_t target_at = g->target_size > 0 ? at + TARGET_AT : DNS_HEADER_BYTES;

		if (g->address_size > 0) {
			put_owner(&s, g, octets + TARGET_AT, target_at, 0, shared);
			copy(&s, octets + g->answer_size, g->address_size);
		}
		if (choice.whole)
			put_txts(&s, g, octets, target_at, shared);
		at += g->answer_size;
	}
	/* TXT owners that lie too far behind to be pointed at took more than was counted */
	if (s.full || (choice.whole && choice.count > 1 && s.used > choice.bytes_max))
		return 0;
	if (q->edns) {
		size_t opt = dns_opt_write(q, 0, out + s.used, size - s.used);

		return opt == 0 ? 0 : s.used + opt;
	}
	return s.used;
}

/* ---- services ---- */

/* How much longer packets with all records are than what answer_write makes of them: it shares more of the owners of TXT records. */
static size_t
find_slack(struct packet *p, const struct answer_context *c, const struct dns_answer *a)
{
	static uint8_t scratch[DNS_MESSAGE_MAX];
	size_t ours = DNS_HEADER_BYTES + (size_t)c->query->name.size + 4, at = ours, shared;

	if (p->count > SLACK_GROUPS_MAX)
		return 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct group *g = &p->groups[i];

		ours += g->answer_size +
			(g->address_size > 0 ? g->address_size + owner_bytes(g, at + TARGET_AT, 0) : 0) +
			txt_bytes(g, at + TARGET_AT);
		at += g->answer_size;
	}
	shared = dns_answer_write(c->query, a, true, scratch, sizeof scratch);
	if (shared == 0)
		return 0;
	shared -= dns_opt_bytes(c->query);
	return ours > shared ? ours - shared : 0;
}

struct packet *
packet_of_service(struct answer_context *c, const struct service_set *set)
{
	struct dns_answer a;
	uint32_t *same;
	struct packet *p;

	if (!answer_all(c, set, &a, &same))
		return NULL;
	p = packet_new(c, &a, same);
	if (p == NULL)
		return NULL;
	p->shuffle = true;
	p->limited = !p->srv;
	if (p->srv)
		p->slack = find_slack(p, c, &a);
	return p;
}

/*
 * limit.c - cuts an answer until it fits its transport, and writes it (contract: answer_write in answer.h)
 *
 * The reference drops the OPT record and measures with a margin of 8 octets when it cuts. We keep OPT (RFC 6891 7) and reserve its
 * size where it is larger than that margin; the counts come out the same.
 */
#include "answer.h"

#include <string.h>

#define UDP_LIMIT_MAX 65467
#define TCP_LIMIT 65523
#define TCP_ANSWERS_MAX 4096
#define TCP_SRV_MAX 1024
#define UDP_ANSWERS_MAX 8
#define MARGIN 8

/* The first additional record of this owner, from the whole additional section. */
static const struct dns_record *
owned_by(const struct dns_section *s, const struct name *owner)
{
	for (size_t i = 0; i < s->count; i++)
		if (name_equal_exact(s->records[i].owner, owner))
			return &s->records[i];
	return NULL;
}

/*
 * What belongs to the first count answers: for each SRV the first record of its target, following CNAMEs. The instances' records stand in the same order as
 * their SRV records, so the search starts where the last one ended.
 */
static struct dns_section
related(struct region *region, const struct dns_section *answer, size_t count, const struct dns_section *all)
{
	struct dns_section out = {NULL, 0};
	size_t from = 0;

	if (all->count == 0)
		return out;
	out.records = region_alloc(region, (count + all->count) * sizeof *out.records);
	for (size_t i = 0; i < count; i++) {
		const struct dns_record *srv = &answer->records[i], *r;
		struct dns_section rest = {all->records + from, all->count - from};

		if (srv->type != DNS_SRV)
			continue;
		r = owned_by(&rest, srv->srv.target);
		if (r == NULL)
			r = owned_by(all, srv->srv.target);
		else
			from = (size_t)(r - all->records);
		for (unsigned hops = 0; r != NULL && hops < UDP_ANSWERS_MAX && out.count < count + all->count; hops++) {
			out.records[out.count++] = *r;
			r = r->type == DNS_CNAME ? owned_by(all, r->name) : NULL;
		}
	}
	return out;
}

struct cutter {
	struct answer_context *c;
	const struct dns_answer *whole;
	size_t limit; /* without OPT */
	bool compress;
	uint8_t *out;
	size_t size;
};

static void
cut_to(const struct cutter *k, size_t count, struct dns_answer *a)
{
	*a = *k->whole;
	a->answer.count = count;
	a->authority.count = 0;
	a->additional = related(k->c->region, &k->whole->answer, count, &k->whole->additional);
}

static bool
fits(const struct cutter *k, const struct dns_answer *a)
{
	size_t size = dns_answer_write(k->c->query, a, k->compress, k->out, k->size);

	return size != 0 && size - dns_opt_bytes(k->c->query) <= k->limit;
}

struct answer_limits
answer_limits(const struct settings *settings, const struct dns_query *q, bool udp, bool srv)
{
	size_t bytes = q->edns && q->edns_size > DNS_UDP_DEFAULT ? MIN((size_t)q->edns_size, (size_t)UDP_LIMIT_MAX)
								 : DNS_UDP_DEFAULT;

	if (!udp)
		return (struct answer_limits){.answers = srv ? TCP_SRV_MAX : TCP_ANSWERS_MAX, .bytes = TCP_LIMIT};
	return (struct answer_limits){.answers = bytes == DNS_UDP_DEFAULT
						     ? MIN((size_t)UDP_ANSWERS_MAX, (size_t)settings->udp_answer_limit)
						     : SIZE_MAX,
	    .bytes = bytes - MAX((size_t)MARGIN, dns_opt_bytes(q))};
}

size_t
answer_write(struct answer_context *c, struct dns_answer *a, bool udp, uint8_t *out, size_t size)
{
	const struct dns_query *q = c->query;
	struct dns_answer whole = *a;
	bool srv = a->answer.count > 0 && a->answer.records[0].type == DNS_SRV, cut = false;
	struct answer_limits limits = answer_limits(c->settings, q, udp, srv);
	size_t answers = a->answer.count;
	struct cutter k = {c, &whole, limits.bytes, c->settings->compress, out, size};

	if (answers > limits.answers) {
		answers = limits.answers;
		cut = true;
		if (udp)
			k.compress = false; /* from here on lengths count uncompressed */
		cut_to(&k, answers, a);
	}
	if (answers > 1 && !fits(&k, a)) {
		size_t low = 1,
		       high = answers - 1; /* the largest count that fits is in [low, high]; one is never dropped */

		while (low < high) {
			size_t middle = (low + high + 1) / 2;

			cut_to(&k, middle, a);
			if (fits(&k, a))
				low = middle;
			else
				high = middle - 1;
		}
		cut_to(&k, low, a);
		cut = true;
	}
	a->truncated = cut && c->settings->enable_truncate;
	return dns_answer_write(q, a, c->settings->compress, out, size);
}

/*
 * resolve.c - from a query to its answer (contract: resolve.h)
 *
 * One function, step(), tries to answer from what the cache and the request's own findings hold, and says what is missing if it can not. resolve_now() calls it once;
 * a waiting request calls it again after each finding, so there is one way to an answer and not two.
 */
#include "resolve.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "log.h"
#include "mp.h"
#include "recursor.h"
#include "structs.h"
#include "uuid.h"

#define DEPTH_MAX 3 /* levels of host names inside our zones */
#define STEPS_MAX 12

struct resolver {
	struct daemon *daemon;
	struct settings *settings;
	struct cache *cache;
	struct name arpa;
	struct region *scratch; /* of resolve_now */
	size_t waiting;
};

/* What a request found out for itself: host names, and the target of a reverse name. */
struct findings {
	struct extra extras[WANTED_MAX];
	size_t extra_count;
	bool reverse_done, reverse_failed;
	struct name reverse;        /* size 0: unknown name */
	enum cache_outcome outcome; /* of the last lookup */
	bool looked_up;
};

enum step_result { STEP_DONE, STEP_LOOKUP, STEP_EXTRAS, STEP_REVERSE, STEP_RECURSE };

struct need {
	enum cache_kind kind;
	const char *name, *tag;
};

struct request {
	struct resolver *resolver;
	struct settings *settings;
	struct dns_query query;
	struct bytes message; /* our copy; NULL for inner questions */
	bool udp;
	unsigned depth, steps;
	struct region *found_region, *region; /* of findings; of the answer under construction */
	struct findings findings;
	struct question question;
	struct cache_wait *wait;
	struct ipc_call *call;
	struct recursion *recursion;
	struct request *child; /* an inner question */
	resolve_cb *cb;
	void *ctx;
};

static void advance(struct request *q);

/* ---- zones ---- */

/* The zone of ours that the name is in: the number of labels before it, or -1. The longer zone wins. */
static int
our_zone(const struct settings *s, const struct name *n)
{
	int domain = name_in_zone(n, &s->domain), alt = s->has_alt_domain ? name_in_zone(n, &s->alt_domain) : -1;

	if (domain == -1 || alt == -1)
		return MAX(domain, alt);
	return MIN(domain, alt);
}

/* A question that can not be looked up: what it is answered at once. false: it has to be looked up. */
static bool
answer_at_once(const struct question *p, struct resolution *out)
{
	const struct settings *s = out->context.settings;
	uint16_t type = out->context.query->type;
	char text[NAME_TEXT_MAX];
	bool foreign = p->datacenter[0] != '\0' && strcmp(p->datacenter, s->datacenter) != 0;

	switch (p->kind) {
	case QUESTION_INVALID:
		log_warnx(
		    "agent.dns", "QName invalid: qname=%s", log_quote(name_text(&out->context.query->name, text)));
		answer_negative(&out->context, DNS_NXDOMAIN, &out->answer);
		return true;
	case QUESTION_EMPTY:
		answer_init(&out->context, DNS_SERVFAIL, &out->answer);
		return true;
	case QUESTION_ADDRESS:
		answer_address(&out->context, p->name, &out->answer);
		return true;
	case QUESTION_VIRTUAL: /* services have no virtual addresses: NOERROR without records */
		answer_init(&out->context, DNS_NOERROR, &out->answer);
		return true;
	case QUESTION_QUERY: /* there are no prepared queries: unknown ones */
		answer_negative(&out->context, DNS_NXDOMAIN, &out->answer);
		return true;
	case QUESTION_NODE:
		if (type != DNS_A && type != DNS_AAAA && type != DNS_ANY && type != DNS_TXT) {
			answer_init(&out->context, DNS_NOERROR, &out->answer);
			return true;
		}
		break;
	case QUESTION_SERVICE:
	case QUESTION_CONNECT:
	case QUESTION_INGRESS:
		break;
	}
	/* there is one datacenter, and no peer */
	if (foreign || p->peer[0] != '\0') {
		answer_negative(&out->context, DNS_NXDOMAIN, &out->answer);
		return true;
	}
	return false;
}

static enum cache_kind
cache_kind_of(enum question_kind kind)
{
	switch (kind) {
	case QUESTION_CONNECT:
		return CACHE_CONNECT;
	case QUESTION_INGRESS:
		return CACHE_INGRESS;
	case QUESTION_NODE:
		return CACHE_NODE;
	default:
		return CACHE_SERVICE;
	}
}

/* From a fresh entry. STEP_EXTRAS: host names are missing. */
static enum step_result
answer_from(struct cache_entry *e, const struct question *p, bool may_ask, struct resolution *out)
{
	if (p->kind == QUESTION_NODE) {
		const struct node_record *node = cache_node(e);

		if (node == NULL)
			answer_negative(&out->context, DNS_NXDOMAIN, &out->answer);
		else
			answer_node(&out->context, node, &out->answer);
	} else {
		out->context.service = p->name;
		answer_service(&out->context, cache_set(e), true, &out->answer);
	}
	if (out->context.wanted_count > 0 && may_ask)
		return STEP_EXTRAS;
	/* the SOA's serial is the time of the answer: not for keeping */
	if (out->context.extra_count == 0 && out->context.wanted_count == 0 && out->answer.rcode == DNS_NOERROR &&
	    out->answer.authority.count == 0)
		out->entry = e;
	return STEP_DONE;
}

/* A lookup that failed: NXDOMAIN for an unknown datacenter, else SERVFAIL. */
static void
answer_failure(const struct findings *f, struct resolution *out)
{
	if (f->outcome == CACHE_NO_PATH)
		answer_negative(&out->context, DNS_NXDOMAIN, &out->answer);
	else
		answer_init(&out->context, DNS_SERVFAIL, &out->answer);
}

static enum step_result
step_zone(struct resolver *r, const struct findings *f, struct need *need, struct resolution *out)
{
	struct cache_entry *e = cache_find(r->cache, CACHE_SERVICE, "consul", "");
	static const struct service_set nobody;

	if (e == NULL && !f->looked_up) {
		*need = (struct need){CACHE_SERVICE, "consul", ""};
		return STEP_LOOKUP;
	}
	if (e == NULL)
		log_errorx("agent.dns", "no servers found");
	answer_zone(&out->context, e == NULL ? &nobody : cache_set(e), true, &out->answer);
	return STEP_DONE;
}

static enum step_result
step_ours(struct resolver *r, const struct findings *f, int zone, bool may_ask, struct question *p, struct need *need,
    struct resolution *out)
{
	const struct dns_query *q = out->context.query;
	struct cache_entry *e;

	name_suffix(&q->name, (unsigned)zone, &out->context.zone);
	if (q->type == DNS_AXFR) {
		answer_init(&out->context, DNS_NOTIMP, &out->answer);
		return STEP_DONE;
	}
	if (q->type == DNS_SOA || q->type == DNS_NS)
		return step_zone(r, f, need, out);
	question_parse(&q->name, (unsigned)zone, q->type == DNS_SRV, p);
	if (answer_at_once(p, out))
		return STEP_DONE;
	*need = (struct need){cache_kind_of(p->kind), p->name, p->tag};
	e = cache_find(r->cache, need->kind, need->name, need->tag);
	if (e != NULL)
		return answer_from(e, p, may_ask, out);
	if (!f->looked_up || f->outcome == CACHE_FOUND)
		return STEP_LOOKUP;
	answer_failure(f, out);
	return STEP_DONE;
}

static enum step_result
step_reverse(const struct findings *f, struct resolution *out)
{
	out->context.zone = out->context.settings->domain;
	if (!f->reverse_done)
		return STEP_REVERSE;
	if (f->reverse.size > 0)
		answer_reverse(&out->context, &f->reverse, &out->answer);
	else if (out->context.settings->recursor_count > 0)
		return STEP_RECURSE;
	else if (f->reverse_failed) /* resolvers would keep an NXDOMAIN */
		answer_init(&out->context, DNS_SERVFAIL, &out->answer);
	else {
		answer_negative(&out->context, DNS_NXDOMAIN, &out->answer);
		if (out->context.query->type == DNS_SOA) { /* an unknown name has it twice */
			struct dns_section *s = &out->answer.authority;
			struct dns_record *twice = region_alloc(out->context.region, 2 * sizeof *twice);

			twice[0] = twice[1] = s->records[0];
			*s = (struct dns_section){twice, 2};
		}
	}
	return STEP_DONE;
}

/* Answers, or says what is missing. may_ask: host names may still be looked up. */
static enum step_result
step(struct resolver *r, const struct settings *s, const struct dns_query *q, struct region *region,
    const struct findings *f, bool may_ask, struct question *p, struct need *need, struct resolution *out)
{
	int zone = our_zone(s, &q->name);

	memset(out, 0, offsetof(struct resolution, context.wanted));
	out->context.wanted_count = 0;
	out->recursed = bytes_of(NULL, 0);
	out->entry = NULL;
	out->context.region = region;
	out->context.settings = s;
	out->context.query = q;
	out->context.extras = f->extras;
	out->context.extra_count = f->extra_count;
	out->context.serial = (uint32_t)(walltime_ns() / NS_PER_S);
	if (zone != -1)
		return step_ours(r, f, zone, may_ask, p, need, out);
	if (name_in_zone(&q->name, &r->arpa) != -1)
		return step_reverse(f, out);
	if (s->recursor_count > 0)
		return STEP_RECURSE;
	answer_init(&out->context, DNS_REFUSED, &out->answer);
	out->answer.authoritative = false;
	return STEP_DONE;
}

bool
resolve_now(struct resolver *r, const struct dns_query *q, struct resolution *out)
{
	static struct question question;
	struct findings nothing;
	struct need need;

	nothing.extra_count = 0;
	nothing.reverse_done = nothing.looked_up = false;
	region_reset(r->scratch);
	return step(r, r->settings, q, r->scratch, &nothing, true, &question, &need, out) == STEP_DONE;
}

struct packet *
resolution_packet(struct resolution *r)
{
	if (r->entry == NULL)
		return NULL;
	return r->context.service != NULL ? packet_of_service(&r->context, cache_set(r->entry))
					  : packet_of_answer(&r->context, &r->answer);
}

/* ---- requests that wait ---- */

static void
request_free(struct request *q)
{
	if (q->wait != NULL)
		cache_cancel(q->wait);
	if (q->call != NULL)
		ipc_cancel(q->call);
	if (q->recursion != NULL)
		recursion_cancel(q->recursion);
	if (q->child != NULL)
		request_free(q->child);
	q->resolver->waiting--;
	settings_unref(q->settings);
	region_free(q->found_region);
	region_free(q->region);
	free((void *)(uintptr_t)q->message.data);
	free(q);
}

static void
request_finish(struct request *q, struct resolution *result)
{
	q->cb(q->ctx, &q->query, result);
	request_free(q);
}

static void
on_lookup(void *ctx, enum cache_outcome outcome)
{
	struct request *q = ctx;

	q->wait = NULL;
	q->findings.outcome = outcome;
	q->findings.looked_up = true;
	advance(q);
}

static struct name *
found_name(struct request *q, const struct name *n)
{
	struct name *copy = region_alloc(q->found_region, sizeof *copy);

	*copy = *n;
	return copy;
}

/* Keeps what a host name resolved to; even nothing, so that it is not asked again. */
static void
found_extra(struct request *q, const struct name *n, const struct dns_section *records)
{
	struct extra *e;

	if (q->findings.extra_count == WANTED_MAX)
		return;
	e = &q->findings.extras[q->findings.extra_count++];
	e->name = *n;
	e->count = records->count;
	e->records = region_alloc(q->found_region, (records->count + 1) * sizeof *e->records);
	for (size_t i = 0; i < records->count; i++) {
		struct dns_record *r = &e->records[i];

		*r = records->records[i];
		r->owner = found_name(q, r->owner);
		if (r->type == DNS_CNAME)
			r->name = found_name(q, r->name);
		else if (r->type == DNS_SRV)
			r->srv.target = found_name(q, r->srv.target);
		else if (r->type == DNS_TXT)
			r->txt = region_copy(q->found_region, r->txt);
	}
}

/* Of an upstream's answer section: addresses and aliases. */
static void
read_records(struct request *q, struct bytes message, struct dns_section *out)
{
	struct name owner;
	size_t at, answers;

	out->count = 0;
	out->records = NULL;
	if (message.size < DNS_HEADER_BYTES || be16_at(message.data + 4) != 1)
		return;
	answers = MIN((size_t)be16_at(message.data + 6), (size_t)64);
	at = name_read(message, DNS_HEADER_BYTES, &owner);
	if (at == 0 || message.size - at < 4)
		return;
	at += 4;
	out->records = region_alloc(q->found_region, (answers + 1) * sizeof *out->records);
	while (answers-- > 0) {
		struct dns_record *r = &out->records[out->count];
		struct name target;
		size_t length;

		at = name_read(message, at, &owner);
		if (at == 0 || message.size - at < 10)
			return;
		r->owner = found_name(q, &owner);
		r->type = be16_at(message.data + at);
		r->ttl = be32_at(message.data + at + 4);
		length = be16_at(message.data + at + 8);
		at += 10;
		if (length > message.size - at)
			return;
		if ((r->type == DNS_A && length == 4) || (r->type == DNS_AAAA && length == 16)) {
			memcpy(r->aaaa, message.data + at, length);
			out->count++;
		} else if (r->type == DNS_CNAME && name_read(message, at, &target) != 0) {
			r->name = found_name(q, &target);
			out->count++;
		}
		at += length;
	}
}

static void
on_extra_recursed(void *ctx, struct bytes message)
{
	struct request *q = ctx;
	struct dns_section records;
	struct name asked;

	q->recursion = NULL;
	read_records(q, message, &records);
	if (message.size > 0 && name_read(message, DNS_HEADER_BYTES, &asked) != 0)
		found_extra(q, &asked, &records);
	else
		q->findings.extra_count = WANTED_MAX; /* nobody answers: no further names */
	advance(q);
}

static void
on_extra_inner(void *ctx, const struct dns_query *inner, struct resolution *result)
{
	struct request *q = ctx;

	q->child = NULL;
	found_extra(q, &inner->name, &result->answer.answer);
	advance(q);
}

static struct request *
request_new(struct resolver *r, struct settings *s, const struct dns_query *query, struct bytes message, bool udp,
    resolve_cb *cb, void *ctx)
{
	struct request *q;

	if (r->waiting == REQUESTS_MAX)
		return NULL;
	q = xcalloc(1, sizeof *q);
	r->waiting++;
	q->resolver = r;
	q->settings = settings_ref(s);
	q->query = *query;
	q->message = bytes_of(xstrndup(message.data, message.size), message.size);
	q->udp = udp;
	q->found_region = region_new();
	q->region = region_new();
	q->cb = cb;
	q->ctx = ctx;
	return q;
}

/* One host name at a time: ANY inside our zones, A at the recursors elsewhere. false: it can not be resolved. */
static bool
ask_extra(struct request *q, const struct name *n)
{
	struct dns_query inner = {.name = *n, .type = DNS_ANY, .class = 1, .flags = DNS_FLAG_RD};

	if (our_zone(q->settings, n) != -1) {
		if (q->depth + 1 >= DEPTH_MAX) {
			log_errorx(
			    "agent.dns", "Infinite recursion detected for name, won't perform any CNAME resolution.");
			return false;
		}
		q->child = request_new(q->resolver, q->settings, &inner, bytes_of(NULL, 0), q->udp, on_extra_inner, q);
		if (q->child == NULL)
			return false;
		q->child->depth = q->depth + 1;
		advance(q->child);
		return true;
	} else {
		uint8_t message[DNS_HEADER_BYTES + NAME_WIRE_MAX + 4];
		struct buf b = BUF_INIT(sizeof message);

		buf_put_be16(&b, (uint16_t)random_below(65536));
		buf_put_be16(&b, DNS_FLAG_RD);
		buf_put_be16(&b, 1);
		buf_put(&b, "\0\0\0\0\0\0", 6);
		buf_put(&b, n->wire, n->size);
		buf_put_be16(&b, DNS_A);
		buf_put_be16(&b, 1);
		q->recursion = recursion_start(
		    daemon_loop(q->resolver->daemon), q->settings, buf_bytes(&b), true, true, on_extra_recursed, q);
		buf_free(&b);
		return q->recursion != NULL;
	}
}

/* ---- reverse names ---- */

static void
on_reverse_services(void *ctx, const struct ipc_answer *answer)
{
	struct request *q = ctx;
	struct bytes list = mp_find_raw(answer->body, "ServiceNodes");
	struct mp in = mp_of(list);
	struct service_node s;
	const char *error;

	q->call = NULL;
	q->findings.reverse_done = true;
	if (answer->status != IPC_OK)
		q->findings.reverse_failed = true;
	else if (list.size > 0 && mp_array(&in) > 0 && schema_decode_at(&service_node_schema, &in, &s, &error) == 0 &&
		 answer_node_name(
		     s.service_name, s.datacenter, &q->settings->domain, "service", &q->findings.reverse) == -1)
		q->findings.reverse.size = 0;
	advance(q);
}

static struct ipc_call_options
read_options(const struct request *q)
{
	return (struct ipc_call_options){.timeout_ms = q->settings->hold_ns / 1000000 + 500, .flags = IPC_RESEND};
}

static void
reverse_services(struct request *q)
{
	struct ipc_call_options options = read_options(q);
	struct service_request r = {0};
	struct buf args = BUF_INIT(4096);
	char ip[64];

	if (answer_reverse_ip(&q->query.name, ip, sizeof ip) == -1) {
		q->findings.reverse_done = true;
		advance(q);
		return;
	}
	r.datacenter = bytes_str(q->settings->datacenter);
	r.service_address = bytes_str(ip);
	r.allow_stale = q->settings->allow_stale;
	schema_encode(&service_request_schema, &r, &args);
	q->call = ipc_call(daemon_peer(q->resolver->daemon, "catalogd"), "Catalog.ServiceNodes", buf_bytes(&args),
	    &options, on_reverse_services, q);
	buf_free(&args);
}

/* Does this address, reversed, equal the name? Compared as addresses, so that every spelling of an IPv6 address does. */
static bool
is_reversed(struct bytes address, const char *ip)
{
	uint8_t a[16], b[16];
	unsigned fa, fb;

	return answer_ip(address, &fa, a) && answer_ip(bytes_str(ip), &fb, b) && fa == fb &&
	       memcmp(a, b, fa == 4 ? 4 : 16) == 0;
}

static void
on_reverse_nodes(void *ctx, const struct ipc_answer *answer)
{
	struct request *q = ctx;
	struct bytes list = mp_find_raw(answer->body, "Nodes");
	struct mp in = mp_of(list);
	uint32_t count = answer->status == IPC_OK && list.size > 0 ? mp_array(&in) : 0;
	char ip[64];

	q->call = NULL;
	if (answer->status != IPC_OK) {
		q->findings.reverse_done = q->findings.reverse_failed = true;
		advance(q);
		return;
	}
	if (answer_reverse_ip(&q->query.name, ip, sizeof ip) == -1)
		count = 0;
	while (count-- > 0) {
		struct node n;
		const char *error;

		if (schema_decode_at(&node_schema, &in, &n, &error) == -1)
			break;
		if (is_reversed(n.address, ip) &&
		    answer_node_name(n.node, n.datacenter, &q->settings->domain, "node", &q->findings.reverse) == 0) {
			q->findings.reverse_done = true;
			advance(q);
			return;
		}
		q->findings.reverse.size = 0;
	}
	reverse_services(q);
}

static void
reverse_nodes(struct request *q)
{
	struct ipc_call_options options = read_options(q);
	struct dc_request r = {0};
	struct buf args = BUF_INIT(4096);

	r.datacenter = bytes_str(q->settings->datacenter);
	r.allow_stale = q->settings->allow_stale;
	schema_encode(&dc_request_schema, &r, &args);
	q->call = ipc_call(daemon_peer(q->resolver->daemon, "catalogd"), "Catalog.ListNodes", buf_bytes(&args),
	    &options, on_reverse_nodes, q);
	buf_free(&args);
}

/* ---- the way through ---- */

static void
fail(struct request *q, struct resolution *result)
{
	answer_init(&result->context, DNS_SERVFAIL, &result->answer);
	request_finish(q, result);
}

static void
on_recursed(void *ctx, struct bytes message)
{
	struct request *q = ctx;
	struct resolution result;
	static const struct findings nothing;
	struct need need;

	q->recursion = NULL;
	(void)step(q->resolver, q->settings, &q->query, q->region, &nothing, false, &q->question, &need, &result);
	result.recursed = message;
	answer_init(&result.context, DNS_SERVFAIL, &result.answer);
	result.answer.authoritative = false;
	result.answer.recursion_available = true;
	request_finish(q, &result);
}

static void
advance(struct request *q)
{
	struct resolution result;
	struct need need = {CACHE_SERVICE, "", ""};
	bool may_ask = q->findings.extra_count < WANTED_MAX && q->steps < STEPS_MAX;

	region_reset(q->region);
	if (q->steps++ > 2 * STEPS_MAX) { /* the catalog changes faster than we ask */
		static const struct findings nothing;

		(void)step(
		    q->resolver, q->settings, &q->query, q->region, &nothing, false, &q->question, &need, &result);
		fail(q, &result);
		return;
	}
	switch (
	    step(q->resolver, q->settings, &q->query, q->region, &q->findings, may_ask, &q->question, &need, &result)) {
	case STEP_DONE:
		request_finish(q, &result);
		return;
	case STEP_LOOKUP:
		q->wait = cache_lookup(
		    q->resolver->cache, need.kind, need.name, need.tag, q->settings->datacenter, on_lookup, q);
		if (q->wait == NULL)
			fail(q, &result);
		return;
	case STEP_EXTRAS:
		if (!ask_extra(q, &result.context.wanted[0])) {
			struct dns_section none = {NULL, 0};

			found_extra(q, &result.context.wanted[0], &none);
			advance(q);
		}
		return;
	case STEP_REVERSE:
		reverse_nodes(q);
		return;
	case STEP_RECURSE:
		q->recursion = recursion_start(
		    daemon_loop(q->resolver->daemon), q->settings, q->message, q->udp, false, on_recursed, q);
		if (q->recursion == NULL)
			fail(q, &result);
		return;
	}
}

int
resolve_start(
    struct resolver *r, const struct dns_query *query, struct bytes message, bool udp, resolve_cb *cb, void *ctx)
{
	struct request *q = request_new(r, r->settings, query, message, udp, cb, ctx);

	if (q == NULL)
		return -1;
	advance(q);
	return 0;
}

struct resolver *
resolver_new(struct daemon *d, struct settings *settings)
{
	struct resolver *r = xcalloc(1, sizeof *r);

	r->daemon = d;
	r->settings = settings_ref(settings);
	r->cache = cache_new(d, settings);
	r->scratch = region_new();
	if (name_from_text(bytes_str("arpa"), &r->arpa) == -1)
		panic("dnsd: arpa");
	return r;
}

void
resolver_free(struct resolver *r)
{
	cache_free(r->cache);
	settings_unref(r->settings);
	region_free(r->scratch);
	free(r);
}

void
resolver_reload(struct resolver *r, struct settings *settings)
{
	cache_reload(r->cache, settings);
	settings_unref(r->settings);
	r->settings = settings_ref(settings);
}

struct cache *
resolver_cache(const struct resolver *r)
{
	return r->cache;
}

const struct settings *
resolver_settings(const struct resolver *r)
{
	return r->settings;
}

/*
 * api_ui.c - /v1/internal/ui: what the web UI lists (http-api.md 19.1 and 19.2)
 *
 * Summaries of services are made here from the instances with their checks, as catalogd gives them: they are a view of the front, nothing
 * that is stored.
 */
#include "api.h"
#include "ask.h"
#include "reply.h"

#include <stdlib.h>

static const struct ask_form DUMP = {"Dump", ask_list, &node_info_schema};

void
ui_nodes(struct request *r)
{
	struct dc_request args = {.node_meta_filters = request_node_meta(r), .source = request_source(r)};

	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Internal.NodeDump", &dc_request_schema, &args, &DUMP);
}

/* The first of the list; an unknown node is a 404 without a body. */
static int
encode_first(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	uint32_t count = mp_nil(in) ? 0 : mp_array(in);

	if (count == 0)
		return mp_ok(in) ? ASK_GONE : -1;
	if (schema_to_json(form->schema, in, out, reply_json_flags(x)) == -1)
		return -1;
	while (--count > 0)
		mp_skip(in);
	return 200;
}

static const struct ask_form FIRST = {"Dump", encode_first, &node_info_schema};

void
ui_node(struct request *r)
{
	struct node_request args = {.node = r->arg};

	if (r->arg.size == 0) {
		reply_error(r->x, 400, "Missing node name");
		return;
	}
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Internal.NodeInfo", &node_request_schema, &args, &FIRST);
}

/* ---- summaries ---- */

#define GATEWAY_CONFIG_FIELDS(F)                                                                                       \
	F(INT, "AssociatedServiceCount", associated_service_count, FIELD_OMIT, NULL, NULL, "")                         \
	F(STRLIST, "Addresses", addresses, FIELD_OMIT, NULL, NULL, "")
SCHEMA_DECLARE(gateway_config, GATEWAY_CONFIG_FIELDS)
SCHEMA_DEFINE(gateway_config, "GatewayConfig", GATEWAY_CONFIG_FIELDS, 0)

#define SERVICE_SUMMARY_FIELDS(F)                                                                                      \
	F(STR, "Kind", kind, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STRLIST, "Tags", tags, 0, NULL, NULL, "of all instances")                                                    \
	F(STRLIST, "Nodes", nodes, 0, NULL, NULL, "")                                                                  \
	F(STRLIST, "ExternalSources", external_sources, 0, NULL, NULL, "values of the Meta key external-source")       \
	F(INT, "InstanceCount", instance_count, 0, NULL, NULL, "")                                                     \
	F(INT, "ChecksPassing", checks_passing, 0, NULL, NULL, "")                                                     \
	F(INT, "ChecksWarning", checks_warning, 0, NULL, NULL, "")                                                     \
	F(INT, "ChecksCritical", checks_critical, 0, NULL, NULL, "")                                                   \
	F(STRUCT, "GatewayConfig", gateway_config, 0, &gateway_config_schema, NULL, "")                                \
	F(BOOL, "TransparentProxy", transparent_proxy, 0, NULL, NULL, "")                                              \
	F(BOOL, "ConnectNative", connect_native, 0, NULL, NULL, "")                                                    \
	F(STR, "PeerName", peer_name, FIELD_OMIT, NULL, NULL, "")                                                      \
	F(BOOL, "ConnectedWithProxy", connected_with_proxy, 0, NULL, NULL, "")                                         \
	F(BOOL, "ConnectedWithGateway", connected_with_gateway, 0, NULL, NULL, "")
SCHEMA_DECLARE(service_summary, SERVICE_SUMMARY_FIELDS)
SCHEMA_DEFINE(service_summary, "ServiceSummary", SERVICE_SUMMARY_FIELDS, 0)

/* One fact about a service; facts are gathered in any order, sorted, and counted without repetition. */
enum fact_kind { FACT_INSTANCE, FACT_TAG, FACT_NODE, FACT_SOURCE, FACT_CHECK, FACT_PROXY };

struct fact {
	struct bytes service;
	enum fact_kind kind;
	struct bytes text; /* tag, node, source; of a check its node; of an instance its kind; of a proxy its mode */
	struct bytes more; /* of a check its ID; of an instance its datacenter */
	struct bytes status;
	bool native;
};

struct facts {
	struct fact *at;
	size_t count, size;
};

static struct fact *
add(struct facts *f, struct bytes service, enum fact_kind kind, struct bytes text)
{
	if (f->count == f->size) {
		f->size = f->size == 0 ? 256 : f->size * 2;
		f->at = xreallocarray(f->at, f->size, sizeof *f->at);
	}
	f->at[f->count] = (struct fact){.service = service, .kind = kind, .text = text};
	return &f->at[f->count++];
}

static int
by_fact(const void *a, const void *b)
{
	const struct fact *x = a, *y = b;
	int order = bytes_compare(x->service, y->service);

	if (order == 0)
		order = (x->kind > y->kind) - (x->kind < y->kind);
	if (order == 0)
		order = bytes_compare(x->text, y->text);
	return order != 0 ? order : bytes_compare(x->more, y->more);
}

static void
add_checks(struct facts *f, struct bytes service, struct bytes checks)
{
	struct mp in = mp_of(checks);
	uint32_t count = checks.size == 0 || mp_nil(&in) ? 0 : mp_array(&in);

	while (count-- > 0 && mp_ok(&in)) {
		struct bytes check = mp_raw(&in);
		struct fact *fact = add(f, service, FACT_CHECK, mp_find_str(check, "Node"));

		fact->more = mp_find_str(check, "CheckID");
		fact->status = mp_find_str(check, "Status");
	}
}

/* One element of the dump. -1: malformed. */
static int
gather(struct facts *f, struct mp *in)
{
	static const char PROXY[] = "connect-proxy";
	struct check_service_node element;
	struct node node;
	struct node_service service;
	struct proxy proxy;
	struct fact *fact;
	const char *error;
	struct mp tags;
	struct bytes source;

	if (schema_decode_at(&check_service_node_schema, in, &element, &error) == -1 ||
	    schema_decode(&node_schema, element.node, &node, &error) == -1 ||
	    schema_decode(&node_service_schema, element.service, &service, &error) == -1)
		return -1;
	fact = add(f, service.service, FACT_INSTANCE, service.kind);
	fact->more = node.datacenter;
	fact->native = mp_find_bool(service.connect, "Native");
	add(f, service.service, FACT_NODE, node.node);
	tags = mp_of(service.tags);
	for (uint32_t n = service.tags.size == 0 || mp_nil(&tags) ? 0 : mp_array(&tags); n > 0 && mp_ok(&tags); n--)
		add(f, service.service, FACT_TAG, mp_str(&tags));
	source = service.meta.size == 0 ? service.meta : mp_find_str(service.meta, "external-source");
	if (source.size > 0)
		add(f, service.service, FACT_SOURCE, source);
	add_checks(f, service.service, element.checks);
	if (bytes_is(service.kind, PROXY) && schema_decode(&proxy_schema, service.proxy, &proxy, &error) == 0) {
		add(f, proxy.destination_service_name, FACT_PROXY, proxy.mode);
		add_checks(f, proxy.destination_service_name, element.checks);
	}
	return 0;
}

/* The texts of one kind among the facts [at, end), each once; none: absent. */
static struct bytes
texts(const struct fact *at, const struct fact *end, enum fact_kind kind, struct buf *b)
{
	size_t place;
	uint32_t count = 0;
	const struct fact *last = NULL;

	buf_clear(b);
	place = mp_open_array(b);
	for (; at < end; at++)
		if (at->kind == kind && (last == NULL || !bytes_equal(last->text, at->text))) {
			mp_put_bytes(b, at->text);
			last = at;
			count++;
		}
	mp_close(b, place, count);
	return count == 0 ? bytes_of(NULL, 0) : buf_bytes(b);
}

static void
count_fact(struct service_summary *s, const struct fact *at, const struct fact *last)
{
	switch (at->kind) {
	case FACT_INSTANCE:
		s->kind = at->text;
		s->datacenter = at->more;
		s->instance_count++;
		s->connect_native |= at->native;
		break;
	case FACT_CHECK:
		if (last != NULL && by_fact(last, at) == 0)
			break;
		s->checks_passing += bytes_is(at->status, "passing");
		s->checks_warning += bytes_is(at->status, "warning");
		s->checks_critical += bytes_is(at->status, "critical");
		break;
	case FACT_PROXY:
		/* The service counts as transparent only if all of its proxies are. */
		s->transparent_proxy =
		    (s->transparent_proxy || !s->connected_with_proxy) && bytes_is(at->text, "transparent");
		s->connected_with_proxy = true;
		break;
	default:
		break;
	}
}

/* Appends the summary of the facts [at, end), all of one service, to out. false: it has no instance. */
static bool
put_summary(const struct fact *at, const struct fact *end, struct buf *out)
{
	static struct buf tags = {.max = 8u << 20}, nodes = {.max = 64u << 20}, sources = {.max = 1u << 20};
	struct service_summary s = {.name = at->service};

	for (const struct fact *f = at; f < end; f++)
		count_fact(&s, f, f > at ? f - 1 : NULL);
	if (s.instance_count == 0)
		return false;
	s.tags = texts(at, end, FACT_TAG, &tags);
	s.nodes = texts(at, end, FACT_NODE, &nodes);
	s.external_sources = texts(at, end, FACT_SOURCE, &sources);
	schema_encode(&service_summary_schema, &s, out);
	return true;
}

static int
encode_summaries(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	struct facts facts = {NULL, 0, 0};
	struct buf list = BUF_INIT(REPLY_BODY_BYTES_MAX);
	uint32_t count = mp_nil(in) ? 0 : mp_array(in), summaries = 0;
	size_t place = mp_open_array(&list);
	struct mp all;
	int status = 200;

	while (count-- > 0 && status == 200)
		if (gather(&facts, in) == -1)
			status = -1;
	if (facts.count > 0)
		qsort(facts.at, facts.count, sizeof *facts.at, by_fact);
	for (size_t i = 0, end; i < facts.count && status == 200; i = end) {
		for (end = i + 1; end < facts.count && bytes_equal(facts.at[end].service, facts.at[i].service); end++)
			;
		summaries += put_summary(&facts.at[i], &facts.at[end], &list);
	}
	mp_close(&list, place, summaries);
	all = mp_of(buf_bytes(&list));
	if (status == 200 && (list.overflow || schema_list_to_json(form->schema, &all, out, reply_json_flags(x)) == -1))
		status = -1;
	free(facts.at);
	buf_free(&list);
	return status;
}

static const struct ask_form SUMMARIES = {"Nodes", encode_summaries, &service_summary_schema};

void
ui_services(struct request *r)
{
	struct service_dump_request args = {.source = request_source(r), .peer_name = request_value(r, "peer")};

	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Internal.ServiceDump", &service_dump_request_schema, &args, &SUMMARIES);
}

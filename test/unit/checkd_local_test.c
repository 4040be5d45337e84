/*
 * checkd_local_test.c - definitions and the registry (definition.h, validate.h, local.h)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "checkd_fixture.h"
#include "local.h"

static const struct local_settings settings = {.node = "n1", .datacenter = "dc1", .output_max = 4096};
static const struct local_origin by_api = {.source = LOCAL_API};

struct world {
	struct region *r;
	struct local *l;
	unsigned dirty, services, checks, statuses;
};

static void
on_dirty(void *ctx)
{
	((struct world *)ctx)->dirty++;
}

static void
on_service(void *ctx, const char *id)
{
	(void)id;
	((struct world *)ctx)->services++;
}

static void
on_check(void *ctx, struct local_check *c, bool status)
{
	struct world *w = ctx;

	(void)c;
	w->checks++;
	w->statuses += status;
}

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);
	struct local_events events = {on_dirty, on_service, on_check, NULL, w};

	w->r = region_new();
	w->l = local_new(&settings, &events);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	local_free(w->l);
	region_free(w->r);
	free(w);
	return 0;
}

static struct local_service *
put(struct world *w, const char *json)
{
	struct service_plan plan, sidecar;
	struct checkd_error e;
	struct local_service *s;

	if (service_of(w->r, json, &plan, &sidecar, &e) == -1)
		fail_msg("%s: %s", json, e.text);
	s = local_put_service(w->l, &plan, &by_api);
	for (size_t i = 0; i < plan.check_count; i++)
		assert_non_null(local_put_check(w->l, &plan.checks[i], &by_api));
	return s;
}

static void
put_loose_check(struct world *w, const char *json)
{
	struct check_plan plan;
	struct checkd_error e;

	if (check_of(w->r, json, &plan, &e) == -1)
		fail_msg("%s: %s", json, e.text);
	assert_non_null(local_put_check(w->l, &plan, &by_api));
}

static void
assert_json(struct bytes message, const struct schema *schema, const char *want)
{
	struct buf json = BUF_INIT(1u << 20);
	struct mp in = mp_of(message);

	assert_int_equal(schema_to_json(schema, &in, &json, 0), 0);
	buf_put_u8(&json, '\0');
	assert_string_equal((char *)json.data, want);
	buf_free(&json);
}

static void
assert_service_json(struct world *w, const struct local_service *s, const char *want)
{
	struct buf b = BUF_INIT(1u << 20);

	local_encode_service(w->l, s, false, &b);
	assert_json(buf_bytes(&b), &agent_service_schema, want);
	buf_free(&b);
}

/* ---- refusals ---- */

static void
test_service_refusals(void **state)
{
	static const struct {
		const char *json, *text;
		unsigned code;
	} cases[] = {
	    {"{}", "Missing service name", 400},
	    {"{\"Name\":\"a\",\"Address\":\"[::]\"}", "Invalid service address", 400},
	    {"{\"Name\":\"a\",\"Weights\":{\"Passing\":1,\"Warning\":-1}}",
		"Invalid Weights: Warning must be greater or equal than 0", 400},
	    {"{\"Name\":\"a\",\"Meta\":{\"\":\"x\"}}",
		"Invalid Service Meta: Couldn't load metadata pair ('', 'x'): Key cannot be blank", 400},
	    {"{\"Name\":\"a\",\"Check\":{\"Interval\":\"10s\"}}", "Invalid check: TTL must be > 0 for TTL checks", 400},
	    {"{\"Name\":\"a\",\"Checks\":[{}]}", "Invalid check: TTL must be > 0 for TTL checks", 400},
	    {"{\"Name\":\"a\",\"Check\":{\"TTL\":\"1s\",\"Status\":\"fine\"}}",
		"Status for checks must 'passing', 'warning', 'critical'", 400},
	    {"{\"Name\":\"a\",\"Check\":{\"Args\":[\"x\"],\"Interval\":\"1s\"}}",
		"Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to "
		"true",
		500},
	    {"{\"Name\":\"a\",\"Check\":{\"OSService\":\"x\",\"Interval\":\"1s\"}}", "not implemented", 500},
	    {"{\"Name\":\"a\",\"TaggedAddresses\":{\"lan_ipv4\":{\"Address\":\"::1\",\"Port\":1}}}",
		"Service tagged address \"lan_ipv4\" must be a valid ipv4 address", 500},
	    {"{\"Name\":\"a\",\"TaggedAddresses\":{\"wan_ipv6\":{\"Address\":\"1.1.1.1\",\"Port\":1}}}",
		"Service tagged address \"wan_ipv6\" must be a valid ipv6 address", 500},
	    {"{\"Name\":\"a\",\"Kind\":\"connect-proxy\"}",
		"Validation failed: 2 errors occurred:\n\t* Port or SocketPath must be set for a connect-proxy\n\t* "
		"Proxy.DestinationServiceName must be non-empty for Connect proxy services\n\n",
		400},
	    {"{\"Name\":\"a\",\"Port\":1,\"Connect\":{\"SidecarService\":{\"Connect\":{\"SidecarService\":{}}}}}",
		"Validation failed: 1 error occurred:\n\t* A SidecarService cannot have a nested SidecarService\n\n",
		400},
	    {"{\"Name\":\"a\",\"Kind\":\"mesh-gateway\"}",
		"Validation failed: 1 error occurred:\n\t* Port must be non-zero for a mesh-gateway\n\n", 400},
	    {"{\"Name\":\"a\",\"Port\":1,\"Kind\":\"connect-proxy\",\"Proxy\":{\"DestinationServiceName\":\"b\","
	     "\"Upstreams\":["
	     "{\"DestinationName\":\"u\",\"LocalBindPort\":9},{\"DestinationName\":\"u\",\"LocalBindPort\":8},"
	     "{\"DestinationName\":\"v\",\"LocalBindPort\":9}]}}",
		"Validation failed: 2 errors occurred:\n\t* upstreams cannot contain duplicates of [type=\"service\", "
		"name=\"u\", "
		"partition=\"\", namespace=\"\", peer=\"\", datacenter=\"\"]\n\t* upstreams cannot contain duplicates "
		"by local bind "
		"address and port or unix path; \"127.0.0.1:9\" is specified twice\n\n",
		400},
	    {"{\"Name\":\"a\",\"Port\":1,\"Connect\":{\"SidecarService\":{\"Check\":{\"Interval\":\"1s\"}}}}",
		"Invalid check in sidecar_service: TTL must be > 0 for TTL checks", 400},
	};
	struct world *w = *state;

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct service_plan plan, sidecar;
		struct checkd_error e = {0};
		assert_int_equal(service_of(w->r, cases[i].json, &plan, &sidecar, &e), -1);
		assert_string_equal(e.text, cases[i].text);
		assert_int_equal(e.code, cases[i].code);
	}
}

static void
test_check_refusals(void **state)
{
	static const struct {
		const char *json, *text;
	} cases[] = {
	    {"{}", "Missing check name"},
	    {"{\"TTL\":\"10s\"}", "Missing check name"},
	    {"{\"Name\":\"c\",\"TTL\":\"10s\",\"Status\":\"great\"}", "Bad check status"},
	    {"{\"Name\":\"c\"}", "Invalid check: TTL must be > 0 for TTL checks"},
	    {"{\"Name\":\"c\",\"H2PING\":\"x:1\",\"Interval\":\"1s\",\"H2PingUseTLS\":\"no\"}",
		"Request decode failed: json: cannot unmarshal string into Go struct field .Alias.H2PingUseTLS of type "
		"bool"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct check_plan plan;
		struct checkd_error e = {0};
		assert_int_equal(check_of(w->r, cases[i].json, &plan, &e), -1);
		assert_string_equal(e.text, cases[i].text);
		assert_int_equal(e.code, 400);
	}
}

/* ---- what is filled in ---- */

static void
test_defaults(void **state)
{
	struct world *w = *state;
	struct local_service *s = put(w, "{\"Name\":\"web\",\"Address\":\"10.0.0.1\",\"Port\":80,\"Check\":{},"
					 "\"Checks\":[{\"TTL\":\"1m\"},{\"CheckID\":\"own\",\"Name\":\"n\",\"TTL\":"
					 "\"1m\",\"Status\":\"warning\"}]}");
	const struct local_check *one = local_check(w->l, bytes_str("service:web:1")),
				 *own = local_check(w->l, bytes_str("own"));

	assert_string_equal(s->id, "web");
	assert_service_json(w, s,
	    "{\"ID\":\"web\",\"Service\":\"web\",\"Tags\":[],\"Meta\":{},\"Port\":80,\"Address\":\"10.0.0.1\","
	    "\"TaggedAddresses\":{"
	    "\"lan_ipv4\":{\"Address\":\"10.0.0.1\",\"Port\":80},\"wan_ipv4\":{\"Address\":\"10.0.0.1\",\"Port\":80}},"
	    "\"Weights\":{\"Passing\":1,\"Warning\":1},\"EnableTagOverride\":false,\"Datacenter\":\"dc1\"}");
	assert_non_null(one);
	assert_string_equal(one->name, "Service 'web' check");
	assert_string_equal(one->interval_text, "");
	assert_int_equal(one->status, STATUS_CRITICAL);
	assert_int_equal(own->status, STATUS_WARNING);
	assert_string_equal(own->service_name, "web");
	put(w, "{\"Name\":\"six\",\"Address\":\"fd00::1\",\"Port\":1,\"Check\":{\"TTL\":\"1m\"}}");
	assert_true(mp_find_raw(local_service(w->l, bytes_str("six"))->service.tagged_addresses, "lan_ipv6").size > 1);
	assert_non_null(local_check(w->l, bytes_str("service:six")));
}

static void
test_texts_of_a_check_of_its_own(void **state)
{
	struct world *w = *state;
	const struct local_check *c;

	put_loose_check(w, "{\"Name\":\"c\",\"HTTP\":\"http://x\",\"Interval\":\"100ms\"}");
	c = local_check(w->l, bytes_str("c"));
	assert_string_equal(c->interval_text, "100ms");
	assert_string_equal(c->timeout_text, "0s");
	assert_string_equal(c->type_text, "http");
}

static void
test_sidecar(void **state)
{
	struct world *w = *state;
	struct service_plan plan, sidecar;
	struct checkd_error e;

	assert_int_equal(service_of(w->r,
			     "{\"Name\":\"shop\",\"ID\":\"s1\",\"Port\":7,\"Tags\":[\"a\"],\"Meta\":{\"k\":\"v\"},"
			     "\"Connect\":{\"SidecarService\":{}}}",
			     &plan, &sidecar, &e),
	    0);
	assert_true(bytes_is(sidecar.id, "s1-sidecar-proxy"));
	assert_true(bytes_is(sidecar.name, "shop-sidecar-proxy"));
	assert_int_equal(sidecar.service.port, 21000);
	assert_int_equal(sidecar.check_count, 2);
	assert_true(bytes_is(sidecar.checks[0].name, "Connect Sidecar Listening"));
	assert_true(bytes_is(sidecar.checks[0].type.tcp, "127.0.0.1:21000"));
	assert_true(bytes_is(sidecar.checks[0].id, "service:s1-sidecar-proxy:1"));
	assert_true(bytes_is(sidecar.checks[1].type.alias_service, "s1"));
	assert_json(sidecar.service.proxy, &agent_proxy_schema,
	    "{\"DestinationServiceName\":\"shop\",\"DestinationServiceID\":\"s1\",\"LocalServiceAddress\":\"127.0.0."
	    "1\","
	    "\"LocalServicePort\":7,\"MeshGateway\":{},\"Expose\":{}}");
	assert_json(sidecar.message, &node_service_schema,
	    "{\"Kind\":\"connect-proxy\",\"ID\":\"s1-sidecar-proxy\",\"Service\":\"shop-sidecar-proxy\",\"Tags\":["
	    "\"a\"],"
	    "\"Address\":\"\",\"Meta\":{\"k\":\"v\"},\"Port\":21000,\"Weights\":{\"Passing\":1,\"Warning\":1},"
	    "\"EnableTagOverride\":false,\"Proxy\":{\"DestinationServiceName\":\"shop\",\"DestinationServiceID\":"
	    "\"s1\","
	    "\"LocalServiceAddress\":\"127.0.0.1\",\"LocalServicePort\":7,\"Mode\":\"\",\"MeshGateway\":{},\"Expose\":{"
	    "}},"
	    "\"Connect\":{},\"PeerName\":\"\",\"CreateIndex\":0,\"ModifyIndex\":0}");
}

static void
test_sidecar_ports(void **state)
{
	struct world *w = *state;

	put(w, "{\"Name\":\"a\",\"Port\":21000}");
	put(w, "{\"Name\":\"b\",\"Port\":21001}");
	assert_int_equal(local_sidecar_port(w->l, bytes_str("c"), 21000, 21003), 21002);
	assert_int_equal(local_sidecar_port(w->l, bytes_str("b"), 21000, 21003), 21001); /* keeps its own */
	assert_int_equal(local_sidecar_port(w->l, bytes_str("c"), 21000, 21001), 0);
	local_remove_service(w->l, local_service(w->l, bytes_str("a")));
	assert_int_equal(local_sidecar_port(w->l, bytes_str("c"), 21000, 21001), 21000);
}

/* ---- registering again ---- */

static void
test_same_again_stays_in_sync(void **state)
{
	static const char json[] =
	    "{\"Name\":\"web\",\"Tags\":[\"x\"],\"Port\":1,\"Check\":{\"TTL\":\"1m\",\"Status\":\"passing\"}}";
	struct world *w = *state;
	struct local_service *s = put(w, json);
	struct local_check *c = local_check(w->l, bytes_str("service:web"));
	uint64_t hash = s->hash;
	unsigned dirty;

	assert_false(s->in_sync);
	s->in_sync = c->in_sync = true;
	dirty = w->dirty;
	assert_ptr_equal(put(w, json), s);
	assert_true(s->in_sync);
	assert_true(c->in_sync);
	assert_int_equal(w->dirty, dirty);
	put(w, "{\"Name\":\"web\",\"Tags\":[\"y\"],\"Port\":1,\"Check\":{\"TTL\":\"1m\",\"Status\":\"passing\"}}");
	assert_false(s->in_sync);
	assert_false(c->in_sync); /* its tags are the service's */
	assert_true(s->hash != hash);
	assert_int_equal(w->services, 2);
}

static void
test_check_keeps_status_and_output(void **state)
{
	struct world *w = *state;
	struct local_check *c;

	put(w, "{\"Name\":\"web\",\"Check\":{\"TTL\":\"1m\"}}");
	c = local_check(w->l, bytes_str("service:web"));
	local_update_check(w->l, c, STATUS_WARNING, bytes_str("low"));
	put(w, "{\"Name\":\"web\",\"Check\":{\"TTL\":\"2m\",\"Status\":\"passing\"}}");
	assert_int_equal(c->status, STATUS_WARNING);
	assert_true(bytes_is(buf_bytes(&c->output), "low"));
	assert_int_equal(c->type.ttl, 120 * NS_PER_S);
	/* but not over its removal */
	local_remove_check(w->l, c);
	assert_null(local_check(w->l, bytes_str("service:web")));
	put(w, "{\"Name\":\"web\",\"Check\":{\"TTL\":\"2m\",\"Status\":\"passing\"}}");
	assert_int_equal(c->status, STATUS_PASSING);
	assert_int_equal(c->output.used, 0);
}

static void
test_update_events(void **state)
{
	struct world *w = *state;
	struct local_check *c;

	put_loose_check(w, "{\"Name\":\"c\",\"TTL\":\"1m\"}");
	c = local_check(w->l, bytes_str("c"));
	w->checks = w->statuses = 0;
	local_update_check(w->l, c, STATUS_CRITICAL, bytes_str("")); /* nothing new */
	assert_int_equal(w->checks, 0);
	local_update_check(w->l, c, STATUS_CRITICAL, bytes_str("x"));
	assert_int_equal(w->checks, 1);
	assert_int_equal(w->statuses, 0);
	local_update_check(w->l, c, STATUS_PASSING, bytes_str("x"));
	assert_int_equal(w->statuses, 1);
}

static void
test_discarded_output(void **state)
{
	struct world *w = *state;
	struct local_settings other = settings;
	struct local_check *c;

	other.discard_output = true;
	local_set(w->l, &other);
	put_loose_check(w, "{\"Name\":\"c\",\"TTL\":\"1m\"}");
	c = local_check(w->l, bytes_str("c"));
	local_update_check(w->l, c, STATUS_PASSING, bytes_str("secret"));
	assert_int_equal(c->output.used, 0);
}

/* ---- health ---- */

static void
test_health(void **state)
{
	struct world *w = *state;
	struct local_service *s = put(w, "{\"Name\":\"web\",\"Check\":{\"TTL\":\"1m\",\"Status\":\"passing\"}}");

	put(w, "{\"Name\":\"other\",\"Check\":{\"TTL\":\"1m\",\"Status\":\"critical\"}}");
	assert_string_equal(local_health(w->l, s), "passing");
	put_loose_check(w, "{\"Name\":\"disk\",\"TTL\":\"1m\",\"Status\":\"warning\"}");
	assert_string_equal(local_health(w->l, s), "warning"); /* the node's checks count */
	local_update_check(w->l, local_check(w->l, bytes_str("service:web")), STATUS_CRITICAL, bytes_str(""));
	assert_string_equal(local_health(w->l, s), "critical");
	assert_non_null(local_put_maintenance(w->l, NULL, bytes_str(""), bytes_str(""), LOCAL_API));
	assert_string_equal(local_health(w->l, s), "maintenance");
	assert_string_equal(local_check(w->l, bytes_str("_node_maintenance"))->notes,
	    "Maintenance mode is enabled for this node, but no reason was provided. This is a default message.");
}

/* Elements stay sorted and can be found through many insertions and purges. */
static void
test_many(void **state)
{
	struct world *w = *state;
	char json[64], id[16];

	for (unsigned i = 0; i < 500; i++) {
		snprintf(json, sizeof json, "{\"Name\":\"s%u\"}", i * 7919 % 500);
		put(w, json);
	}
	assert_int_equal(local_service_count(w->l), 500);
	for (unsigned i = 0; i < 500; i += 2) {
		snprintf(id, sizeof id, "s%u", i);
		local_purge_service(w->l, local_service(w->l, bytes_str(id)));
	}
	for (unsigned i = 0; i < 500; i++) {
		snprintf(id, sizeof id, "s%u", i);
		assert_int_equal(local_service(w->l, bytes_str(id)) != NULL, i % 2 == 1);
	}
	for (size_t i = 1; i < local_service_count(w->l); i++)
		assert_true(strcmp(local_service_at(w->l, i - 1)->id, local_service_at(w->l, i)->id) < 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_service_refusals),
	    TEST(test_check_refusals),
	    TEST(test_defaults),
	    TEST(test_texts_of_a_check_of_its_own),
	    TEST(test_sidecar),
	    TEST(test_sidecar_ports),
	    TEST(test_same_again_stays_in_sync),
	    TEST(test_check_keeps_status_and_output),
	    TEST(test_update_events),
	    TEST(test_discarded_output),
	    TEST(test_health),
	    TEST(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * dnsd_cache_test.c - entries and packets over a catalogd played by this test: bounded, evicted by use, dropped by notices
 *
 * Both ends live in this process, on one loop each turn of which is run by hand until a condition holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache.h"
#include "ipc.h"
#include "log.h"
#include "mem.h"
#include "mp.h"
#include "net.h"
#include "structs.h"

#define LARGE 1000 /* instances of a service whose name does not begin with "small" */
#define TURNS_MAX 10000

static struct ev_loop *loop;
static struct ipc *dns_ipc, *catalog_ipc;
static struct ipc_peer *catalog;
static struct ipc_stream *subscriber;
static struct cache *cache;
static struct settings settings;
static char directory[64];
static struct buf large, small; /* replies */
static unsigned asked, found;

/* What common/daemon.c has in a daemon. */
struct ipc_peer *
daemon_peer(struct daemon *d, const char *name)
{
	(void)d, (void)name;
	return catalog;
}

/* ---- the played catalogd ---- */

static void
put_reply(struct buf *b, unsigned count)
{
	struct indexed_check_service_nodes reply = {.index = 12, .known_leader = true};
	struct buf list = BUF_INIT(1u << 24);

	mp_put_array(&list, count);
	for (unsigned i = 0; i < count; i++) {
		struct check_service_node e;
		struct buf node = BUF_INIT(4096), service = BUF_INIT(4096), checks = BUF_INIT(64);
		char name[32], address[32];
		struct node n = {.datacenter = bytes_str("dc1")};
		struct node_service s = {.service = bytes_str("service"), .port = 80};

		snprintf(name, sizeof name, "node-%u", i);
		snprintf(address, sizeof address, "10.0.%u.%u", i >> 8, i & 255);
		n.node = bytes_str(name);
		n.address = bytes_str(address);
		mp_put_array(&checks, 0);
		schema_encode(&node_schema, &n, &node);
		schema_encode(&node_service_schema, &s, &service);
		e = (struct check_service_node){buf_bytes(&node), buf_bytes(&service), buf_bytes(&checks)};
		schema_encode(&check_service_node_schema, &e, &list);
		buf_free(&node);
		buf_free(&service);
		buf_free(&checks);
	}
	reply.nodes = buf_bytes(&list);
	schema_encode(&indexed_check_service_nodes_schema, &reply, b);
	assert_false(b->overflow);
	buf_free(&list);
}

static void
service_nodes(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct service_request r;
	const char *error;

	(void)ctx;
	assert_int_equal(schema_decode(&service_request_schema, args, &r, &error), 0);
	asked++;
	ipc_reply(s, buf_bytes(bytes_has_prefix(r.service_name, bytes_str("small")) ? &small : &large));
}

static void
subscribe(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)args, (void)ctx;
	subscriber = s;
}

static const struct ipc_method METHODS[] = {{"Health.ServiceNodes", service_nodes}, {"Subscribe", subscribe}};
static const struct ipc_service SERVICE = {METHODS, COUNTOF(METHODS), NULL};

/* ---- fixture ---- */

static void
until(bool (*condition)(void))
{
	for (unsigned i = 0; i < TURNS_MAX && !condition(); i++)
		ev_run(loop, EVRUN_ONCE);
	assert_true(condition());
}

static bool
is_subscribed(void)
{
	return subscriber != NULL;
}

static int
setup(void **state)
{
	char path[128];
	int fd;

	(void)state;
	log_init("dnsd", LOG_ERROR_LEVEL);
	memset(&settings, 0, sizeof settings);
	settings.hold_ns = 7000000000;
	settings.allow_stale = settings.compress = true;
	settings.udp_answer_limit = 3;
	assert_int_equal(name_from_text(bytes_str("consul"), &settings.domain), 0);
	snprintf(directory, sizeof directory, "/tmp/dnsd-test.XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/catalogd.sock", directory);
	large = BUF_INIT(1u << 24);
	small = BUF_INIT(1u << 24);
	put_reply(&large, LARGE);
	put_reply(&small, 3);
	loop = ev_loop_new(0);
	catalog_ipc = ipc_new(loop, "catalogd");
	fd = net_listen_unix(path, 0600);
	assert_int_not_equal(fd, -1);
	subscriber = NULL;
	asked = 0;
	assert_non_null(ipc_listen(catalog_ipc, fd, &SERVICE));
	dns_ipc = ipc_new(loop, "dnsd");
	catalog = ipc_peer_new(dns_ipc, path, NULL);
	cache = cache_new(NULL, &settings);
	until(is_subscribed);
	return 0;
}

static int
teardown(void **state)
{
	char path[128];

	(void)state;
	cache_free(cache);
	ipc_free(dns_ipc);
	ipc_free(catalog_ipc);
	ev_loop_destroy(loop);
	buf_free(&large);
	buf_free(&small);
	snprintf(path, sizeof path, "%s/catalogd.sock", directory);
	unlink(path);
	rmdir(directory);
	return 0;
}

static void
on_found(void *ctx, enum cache_outcome outcome)
{
	(void)ctx;
	assert_int_equal(outcome, CACHE_FOUND);
	found++;
}

static bool
is_found(void)
{
	return found > 0;
}

static struct cache_entry *
entry(const char *service)
{
	return cache_find(cache, CACHE_SERVICE, service, "");
}

static struct cache_entry *
fetch(const char *service)
{
	found = 0;
	assert_non_null(cache_lookup(cache, CACHE_SERVICE, service, "", "dc1", on_found, NULL));
	until(is_found);
	return entry(service);
}

static void
question(const char *service, struct dns_query *q)
{
	char text[128];

	memset(q, 0, sizeof *q);
	snprintf(text, sizeof text, "%s.service.consul", service);
	assert_int_equal(name_from_text(bytes_str(text), &q->name), 0);
	q->type = DNS_A;
	q->class = 1;
}

/* Keeps a packet for A questions. */
static void
keep(struct cache_entry *e, const char *service)
{
	static struct answer_context context;
	struct dns_query q;
	struct packet *p;

	question(service, &q);
	memset(&context, 0, sizeof context);
	context.region = region_new();
	context.settings = &settings;
	context.query = &q;
	context.zone = settings.domain;
	context.service = service;
	p = packet_of_service(&context, cache_set(e));
	assert_non_null(p);
	cache_keep_packet(cache, e, &q.name, q.type, p);
	region_free(context.region);
}

static struct packet *
packet(const char *service)
{
	struct dns_query q;

	question(service, &q);
	return cache_packet(cache, &q.name, q.type);
}

/* ---- tests ---- */

/*
 * Twice as many large services as fit: each is answered, the bytes stay below the bound, what is asked for all the time stays, what
 * nobody asked for again is gone.
 */
static void
test_full(void **state)
{
	/* of each instance: the record, its texts, its group and its address record */
	size_t least = LARGE * (sizeof(struct instance) + 10 + 16), rounds = 2 * CACHE_BYTES_MAX / least, kept = 0;
	char name[32];

	(void)state;
	keep(fetch("small-hot"), "small-hot");
	for (size_t i = 0; i < rounds; i++) {
		struct cache_entry *e;

		snprintf(name, sizeof name, "large-%zu", i);
		e = fetch(name);
		assert_non_null(e);
		assert_int_equal(cache_set(e)->count, LARGE);
		keep(e, name);
		assert_non_null(packet("small-hot"));
	}
	assert_int_equal(asked, rounds + 1);
	for (size_t i = 0; i < rounds; i++) {
		bool there;

		snprintf(name, sizeof name, "large-%zu", i);
		there = entry(name) != NULL;
		assert_int_equal(there, packet(name) != NULL);
		kept += there;
		if (i < rounds / 4)
			assert_false(there);
	}
	assert_in_range(kept, 10, CACHE_BYTES_MAX / least);
	/* what is gone is asked for again */
	assert_non_null(fetch("large-0"));
	assert_int_equal(cache_set(entry("large-0"))->count, LARGE);
}

/* Texts of an entry are its own: nothing of the frame they came in. */
static void
test_entry_holds_its_texts(void **state)
{
	const struct service_set *set = cache_set(fetch("small"));

	(void)state;
	fetch("large"); /* overwrites what the connection had read */
	assert_int_equal(set->count, 3);
	for (size_t i = 0; i < 3; i++) {
		char name[32], address[32];

		snprintf(name, sizeof name, "node-%zu", i);
		snprintf(address, sizeof address, "10.0.0.%zu", i);
		assert_true(bytes_is(set->instances[i].node, name));
		assert_true(bytes_is(set->instances[i].datacenter, "dc1"));
		assert_true(bytes_is(set->instances[i].node_address.plain, address));
		assert_int_equal(set->instances[i].port, 80);
	}
}

static bool
is_dropped(void)
{
	return packet("small-a") == NULL;
}

/* A change notice drops entry and packets of the service named, and no others. */
static void
test_notice(void **state)
{
	struct buf notice = BUF_INIT(256);

	(void)state;
	keep(fetch("small-a"), "small-a");
	keep(fetch("small-b"), "small-b");
	mp_put_array(&notice, 1);
	mp_put_array(&notice, 2);
	mp_put_cstr(&notice, "service");
	mp_put_cstr(&notice, "Small-A");
	assert_true(ipc_push(subscriber, buf_bytes(&notice)));
	until(is_dropped);
	assert_null(entry("small-a"));
	assert_non_null(entry("small-b"));
	assert_non_null(packet("small-b"));
	buf_free(&notice);
}

/* One packet for every spelling of the name; other types have their own. */
static void
test_packet_key(void **state)
{
	struct dns_query q;

	(void)state;
	keep(fetch("small"), "small");
	question("sMaLL", &q);
	assert_non_null(cache_packet(cache, &q.name, DNS_A));
	assert_null(cache_packet(cache, &q.name, DNS_AAAA));
	question("smal", &q);
	assert_null(cache_packet(cache, &q.name, DNS_A));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_full),
	    TEST(test_entry_holds_its_texts),
	    TEST(test_notice),
	    TEST(test_packet_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

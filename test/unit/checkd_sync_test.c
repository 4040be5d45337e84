/*
 * checkd_sync_test.c - anti-entropy against a played catalog (sync.h)
 *
 * The catalog is a real neighbour on a socket that keeps what is registered and writes down what was asked of it, so that a test
 * reads: this changed here, that was pushed, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

#include "checkd_fixture.h"
#include "net.h"
#include "sync.h"

#define ENTRIES_MAX 32

struct entry {
	char id[64];
	struct buf message;
};

struct world {
	struct ev_loop *loop;
	struct ipc *client, *server;
	struct ipc_peer *catalog;
	char dir[64], path[96];
	struct region *r;
	struct local *l;
	struct sync *sync;
	struct sync_options options;
	struct buf addresses, meta;
	unsigned rounds, waits;
	/* the catalog */
	struct entry services[ENTRIES_MAX], checks[ENTRIES_MAX];
	struct buf node; /* register request that made it */
	char log[4096];  /* what was pushed, one word each */
	const char *refusal;
	const char *unread; /* reads are refused with it */
	unsigned reads;
	bool mute; /* applies, but does not answer */
	unsigned unanswered;
	struct ipc_stream *held; /* the last one that was not answered */
};

/* ---- the played catalog ---- */

static void
note(struct world *w, const char *fmt, ...)
{
	size_t used = strlen(w->log);
	va_list args;

	va_start(args, fmt);
	vsnprintf(w->log + used, sizeof w->log - used, fmt, args);
	va_end(args);
}

static struct entry *
entry(struct entry *entries, struct bytes id)
{
	struct entry *unused = NULL;

	for (size_t i = 0; i < ENTRIES_MAX; i++) {
		if (entries[i].id[0] != '\0' && bytes_is(id, entries[i].id))
			return &entries[i];
		if (entries[i].id[0] == '\0' && unused == NULL)
			unused = &entries[i];
	}
	return unused;
}

static void
keep(struct entry *entries, struct bytes id, struct bytes message)
{
	struct entry *e = entry(entries, id);

	assert_int_equal(bytes_to_str(id, e->id, sizeof e->id), 0);
	buf_free(&e->message);
	buf_init(&e->message, 1u << 20);
	buf_put_bytes(&e->message, message);
}

static void
forget(struct entry *e)
{
	e->id[0] = '\0';
	buf_free(&e->message);
}

static void
keep_check(struct world *w, struct bytes message)
{
	struct health_check c;
	const char *bad;

	assert_int_equal(schema_decode(&health_check_schema, message, &c, &bad), 0);
	note(w, " %.*s=%.*s", (int)c.check_id.size, (const char *)c.check_id.data, (int)c.status.size,
	    (const char *)c.status.data);
	keep(w->checks, c.check_id, message);
}

static void
apply_register(struct world *w, const struct register_request *q)
{
	if (q->check.size != 0)
		keep_check(w, q->check);
	if (q->checks.size != 0) {
		struct mp in = mp_of(q->checks);
		for (uint32_t count = mp_array(&in); count > 0; count--)
			keep_check(w, mp_raw(&in));
	}
}

static void
catalog_register(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct world *w = ctx;
	struct register_request q;
	const char *bad;

	assert_int_equal(schema_decode(&register_request_schema, args, &q, &bad), 0);
	if (w->refusal != NULL) {
		ipc_fail(s, 0, "%s", w->refusal);
		note(w, " refused;");
		return;
	}
	if (!q.skip_node_update) {
		note(w, " node");
		buf_clear(&w->node);
		buf_put_bytes(&w->node, args);
	}
	if (q.service.size != 0) {
		struct bytes id = mp_find_str(q.service, "ID");
		note(w, " [%.*s]", (int)id.size, (const char *)id.data);
		keep(w->services, id, q.service);
	}
	apply_register(w, &q);
	note(w, ";");
	if (w->mute) {
		w->unanswered++;
		w->held = s;
	} else
		ipc_reply(s, (struct bytes){NULL, 0});
}

static void
catalog_deregister(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct world *w = ctx;
	struct deregister_request q;
	const char *bad;

	assert_int_equal(schema_decode(&deregister_request_schema, args, &q, &bad), 0);
	if (q.service_id.size != 0) {
		note(w, " -[%.*s];", (int)q.service_id.size, (const char *)q.service_id.data);
		for (size_t i = 0; i < ENTRIES_MAX; i++)
			if (w->checks[i].id[0] != '\0' &&
			    bytes_equal(mp_find_str(buf_bytes(&w->checks[i].message), "ServiceID"), q.service_id))
				forget(&w->checks[i]);
		forget(entry(w->services, q.service_id));
	} else {
		note(w, " -%.*s;", (int)q.check_id.size, (const char *)q.check_id.data);
		forget(entry(w->checks, q.check_id));
	}
	ipc_reply(s, (struct bytes){NULL, 0});
}

static void
put_entries(struct buf *b, struct entry *entries)
{
	size_t place = mp_open_array(b);
	uint32_t count = 0;

	for (size_t i = 0; i < ENTRIES_MAX; i++)
		if (entries[i].id[0] != '\0') {
			buf_put_bytes(b, buf_bytes(&entries[i].message));
			count++;
		}
	mp_close(b, place, count);
}

static void
catalog_services(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct world *w = ctx;
	struct buf services = BUF_INIT(1u << 20), node = BUF_INIT(1u << 20), list = BUF_INIT(1u << 20),
		   out = BUF_INIT(1u << 20);
	struct node_service_list inner = {0};
	struct indexed_node_service_list answer = {.index = 1};
	struct register_request q;
	const char *bad;

	assert_true(bytes_is(mp_find_str(args, "Node"), "n1"));
	w->reads++;
	if (w->unread != NULL) {
		ipc_fail(s, 0, "%s", w->unread);
		return;
	}
	if (w->node.used != 0) {
		assert_int_equal(schema_decode(&register_request_schema, buf_bytes(&w->node), &q, &bad), 0);
		struct node form = {.id = q.id,
		    .node = q.node,
		    .address = q.address,
		    .tagged_addresses = q.tagged_addresses,
		    .meta = q.node_meta};
		schema_encode(&node_schema, &form, &node);
		inner.node = buf_bytes(&node);
		put_entries(&services, w->services);
		inner.services = buf_bytes(&services);
	}
	schema_encode(&node_service_list_schema, &inner, &list);
	answer.node_services = buf_bytes(&list);
	schema_encode(&indexed_node_service_list_schema, &answer, &out);
	ipc_reply(s, buf_bytes(&out));
	buf_free(&services);
	buf_free(&node);
	buf_free(&list);
	buf_free(&out);
}

static void
catalog_checks(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct world *w = ctx;
	struct buf checks = BUF_INIT(1u << 20), out = BUF_INIT(1u << 20);
	struct indexed_health_checks answer = {.index = 1};

	(void)args;
	put_entries(&checks, w->checks);
	answer.health_checks = buf_bytes(&checks);
	schema_encode(&indexed_health_checks_schema, &answer, &out);
	ipc_reply(s, buf_bytes(&out));
	buf_free(&checks);
	buf_free(&out);
}

static const struct ipc_method methods[] = {
    {"Catalog.Register", catalog_register},
    {"Catalog.Deregister", catalog_deregister},
    {"Catalog.NodeServiceList", catalog_services},
    {"Health.NodeChecks", catalog_checks},
};
static struct ipc_service service = {methods, COUNTOF(methods), NULL};

static void
open_catalog(struct world *w)
{
	int fd = net_listen_unix(w->path, 0600);

	assert_int_not_equal(fd, -1);
	service.ctx = w;
	w->server = ipc_new(w->loop, "catalogd");
	assert_non_null(ipc_listen(w->server, fd, &service));
}

/* ---- this side ---- */

static void
round_ended(void *ctx)
{
	((struct world *)ctx)->rounds++;
}

static void
on_dirty(void *ctx)
{
	struct world *w = ctx;

	if (w->sync != NULL)
		sync_dirty(w->sync);
}

static void
on_check(void *ctx, struct local_check *c, bool status)
{
	struct world *w = ctx;

	if (w->sync != NULL)
		sync_check(w->sync, c, status);
}

static void
on_gone(void *ctx, struct local_check *c)
{
	struct world *w = ctx;

	if (w->sync != NULL)
		sync_check_gone(w->sync, c);
}

static int
setup(void **state)
{
	static const struct local_settings settings = {.node = "n1", .datacenter = "dc1", .output_max = 4096};
	struct world *w = xcalloc(1, sizeof *w);
	struct local_events events = {on_dirty, NULL, on_check, on_gone, w};

	alarm(30); /* a test that waits for what does not come ends */
	snprintf(w->dir, sizeof w->dir, "/tmp/checkd-sync.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof w->path, "%s/catalogd.sock", w->dir);
	w->loop = ev_loop_new(0);
	open_catalog(w);
	w->client = ipc_new(w->loop, "checkd");
	w->catalog = ipc_peer_new(w->client, w->path, NULL);
	w->r = region_new();
	w->l = local_new(&settings, &events);
	buf_init(&w->node, 1u << 20);
	buf_init(&w->addresses, 4096);
	buf_init(&w->meta, 4096);
	mp_put_map(&w->addresses, 1);
	mp_put_kv_cstr(&w->addresses, "lan", "10.0.0.1");
	mp_put_map(&w->meta, 1);
	mp_put_kv_cstr(&w->meta, "consul-network-segment", "");
	w->options = (struct sync_options){
	    .loop = w->loop,
	    .local = w->l,
	    .catalog = w->catalog,
	    .node_id = "1b0d4b1a-0000-0000-0000-000000000001",
	    .node = "n1",
	    .address = "10.0.0.1",
	    .datacenter = "dc1",
	    .tagged_addresses = buf_bytes(&w->addresses),
	    .node_meta = buf_bytes(&w->meta),
	    .default_token = "",
	    .agent_token = "",
	    .file_token = "",
	    .check_update_interval = 300 * NS_PER_S,
	    .round_ended = round_ended,
	    .ctx = w,
	};
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	sync_free(w->sync);
	w->sync = NULL;
	local_free(w->l);
	ipc_free(w->client);
	ipc_free(w->server);
	ev_loop_destroy(w->loop);
	for (size_t i = 0; i < ENTRIES_MAX; i++) {
		buf_free(&w->services[i].message);
		buf_free(&w->checks[i].message);
	}
	buf_free(&w->node);
	buf_free(&w->addresses);
	buf_free(&w->meta);
	region_free(w->r);
	unlink(w->path);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void
run_rounds(struct world *w, unsigned count)
{
	for (unsigned goal = w->rounds + count; w->rounds < goal;)
		ev_run(w->loop, EVRUN_ONCE);
}

/* Turns of the loop in which nothing is to happen. */
static void
run_idle(struct world *w)
{
	for (int i = 0; i < 10; i++)
		ev_run(w->loop, EVRUN_NOWAIT);
}

static void
begin(struct world *w)
{
	w->sync = sync_new(&w->options);
	run_rounds(w, 1);
}

/* A new process over the same registry: the full comparison again. */
static void
begin_again(struct world *w)
{
	sync_free(w->sync);
	w->log[0] = '\0';
	begin(w);
}

static void
expect(struct world *w, const char *log)
{
	assert_string_equal(w->log, log);
	w->log[0] = '\0';
}

static const struct local_origin by_api = {.source = LOCAL_API};

static struct local_service *
put(struct world *w, const char *json)
{
	struct service_plan plan, sidecar;
	struct checkd_error e;
	struct local_service *s;

	assert_int_equal(service_of(w->r, json, &plan, &sidecar, &e), 0);
	s = local_put_service(w->l, &plan, &by_api);
	for (size_t i = 0; i < plan.check_count; i++)
		assert_non_null(local_put_check(w->l, &plan.checks[i], &by_api));
	return s;
}

static struct local_check *
put_check(struct world *w, const char *json)
{
	struct check_plan plan;
	struct checkd_error e;

	assert_int_equal(check_of(w->r, json, &plan, &e), 0);
	return local_put_check(w->l, &plan, &by_api);
}

/* ---- tests ---- */

static void
test_first_sync_brings_all_once(void **state)
{
	struct world *w = *state;

	put(w, "{\"Name\":\"web\",\"Checks\":[{\"CheckID\":\"a\",\"TTL\":\"1m\"},{\"CheckID\":\"b\",\"TTL\":\"1m\","
	       "\"Status\":\"passing\"}]}");
	put_check(w, "{\"Name\":\"disk\",\"TTL\":\"1m\",\"Status\":\"warning\"}");
	begin(w);
	expect(w, " node; [web] a=critical b=passing; disk=warning;");
	sync_dirty(w->sync);
	run_rounds(w, 1);
	expect(w, "");
	begin_again(w);
	expect(w, "");
}

static void
test_change_is_pushed_alone(void **state)
{
	struct world *w = *state;

	put(w, "{\"Name\":\"web\",\"Check\":{\"TTL\":\"1m\"}}");
	put(w, "{\"Name\":\"db\"}");
	begin(w);
	w->log[0] = '\0';
	put(w, "{\"Name\":\"db\",\"Port\":5}");
	run_rounds(w, 1);
	expect(w, " [db];");
	local_update_check(w->l, local_check(w->l, bytes_str("service:web")), STATUS_PASSING, bytes_str("ok"));
	run_rounds(w, 1);
	expect(w, " service:web=passing;");
	put(w, "{\"Name\":\"db\",\"Port\":5}"); /* the same again */
	run_idle(w);
	expect(w, "");
}

static void
test_service_takes_its_checks_along(void **state)
{
	struct world *w = *state;

	put(w, "{\"Name\":\"web\",\"Check\":{\"TTL\":\"1m\"}}");
	begin(w);
	w->log[0] = '\0';
	local_remove_check(w->l, local_check(w->l, bytes_str("service:web")));
	local_remove_service(w->l, local_service(w->l, bytes_str("web")));
	run_rounds(w, 1);
	expect(w, " -[web];");
	assert_int_equal(local_service_count(w->l), 0);
	assert_int_equal(local_check_count(w->l), 0);
}

static void
test_strangers_are_removed(void **state)
{
	struct world *w = *state;
	struct node_service alien = {.id = bytes_str("alien"), .service = bytes_str("alien")};
	struct node_service consul = {.id = bytes_str("consul"), .service = bytes_str("consul")};
	struct health_check serf = {
	    .node = bytes_str("n1"), .check_id = bytes_str("serfHealth"), .status = bytes_str("passing")};
	struct health_check of_alien = {
	    .node = bytes_str("n1"), .check_id = bytes_str("oa"), .service_id = bytes_str("alien")};
	struct health_check loose = {.node = bytes_str("n1"), .check_id = bytes_str("loose")};
	struct buf b = BUF_INIT(65536);

	begin(w);
	expect(w, " node;");
#define KEEP(entries, schema, form, id)                                                                                \
	do {                                                                                                           \
		buf_clear(&b);                                                                                         \
		schema_encode(&schema, &form, &b);                                                                     \
		keep(entries, id, buf_bytes(&b));                                                                      \
	} while (0)
	KEEP(w->services, node_service_schema, alien, alien.id);
	KEEP(w->services, node_service_schema, consul, consul.id);
	KEEP(w->checks, health_check_schema, serf, serf.check_id);
	KEEP(w->checks, health_check_schema, of_alien, of_alien.check_id);
	KEEP(w->checks, health_check_schema, loose, loose.check_id);
	buf_free(&b);
	begin_again(w);
	expect(w, " -[alien]; -loose;");
	begin_again(w);
	expect(w, "");
}

/* Tags belong to the catalog under EnableTagOverride, everything else to the agent. */
static void
test_tag_override(void **state)
{
	struct world *w = *state;
	struct local_service *s =
	    put(w, "{\"Name\":\"web\",\"Tags\":[\"mine\"],\"Port\":1,\"EnableTagOverride\":true}");
	struct node_service form = s->service;
	struct buf b = BUF_INIT(65536);

	begin(w);
	w->log[0] = '\0';
	form.tags = bytes_str("\x91\xa6theirs");
	schema_encode(&node_service_schema, &form, &b);
	keep(w->services, form.id, buf_bytes(&b));
	begin_again(w);
	expect(w, "");
	assert_true(bytes_is(s->service.tags, "\x91\xa6theirs"));
	form = s->service;
	form.port = 99;
	buf_clear(&b);
	schema_encode(&node_service_schema, &form, &b);
	keep(w->services, form.id, buf_bytes(&b));
	begin_again(w);
	expect(w, " [web];");
	assert_int_equal(mp_find_int(buf_bytes(&entry(w->services, bytes_str("web"))->message), "Port"), 1);
	buf_free(&b);
}

static void
test_output_alone_is_held_back(void **state)
{
	struct world *w = *state;
	struct local_check *c = put_check(w, "{\"Name\":\"c\",\"TTL\":\"1m\",\"Status\":\"passing\"}");

	begin(w);
	w->log[0] = '\0';
	local_update_check(w->l, c, STATUS_PASSING, bytes_str("one"));
	run_idle(w);
	expect(w, "");
	begin_again(w); /* but what a comparison sees is brought */
	expect(w, " c=passing;");
	local_update_check(w->l, c, STATUS_PASSING, bytes_str("two"));
	local_update_check(w->l, c, STATUS_WARNING, bytes_str("three"));
	run_rounds(w, 1);
	expect(w, " c=warning;");
	assert_true(bytes_is(mp_find_str(buf_bytes(&entry(w->checks, bytes_str("c"))->message), "Output"), "three"));
	w->options.check_update_interval = 0;
	sync_set(w->sync, &w->options);
	local_update_check(w->l, c, STATUS_WARNING, bytes_str("four"));
	run_rounds(w, 1);
	expect(w, " c=warning;");
}

static void
test_refusals(void **state)
{
	struct world *w = *state;
	struct local_service *s;

	begin(w);
	w->log[0] = '\0';
	w->refusal = "Permission denied: token lacks permission";
	s = put(w, "{\"Name\":\"web\"}");
	run_rounds(w, 1);
	expect(w, " refused;");
	assert_true(s->in_sync); /* until the next comparison */
	w->refusal = "No cluster leader";
	s = put(w, "{\"Name\":\"web\",\"Port\":2}");
	run_rounds(w, 1);
	expect(w, " refused;");
	assert_false(s->in_sync);
	w->refusal = NULL;
	put(w, "{\"Name\":\"db\"}"); /* any change tries the rest again */
	run_rounds(w, 1);
	expect(w, " [db]; [web];");
}

static void
waited(void *ctx)
{
	((struct world *)ctx)->waits++;
}

static void
test_waiting_for_a_push(void **state)
{
	struct world *w = *state;

	begin(w);
	w->log[0] = '\0';
	put(w, "{\"Name\":\"web\"}");
	(void)sync_wait(w->sync, 10 * NS_PER_S, waited, w);
	assert_int_equal(w->waits, 0);
	run_rounds(w, 1);
	assert_int_equal(w->waits, 1);
	expect(w, " [web];");
	sync_wait_cancel(sync_wait(w->sync, 10 * NS_PER_S, waited, w));
	run_rounds(w, 1);
	assert_int_equal(w->waits, 1);
	sync_pause(w->sync); /* nothing moves: time ends it */
	(void)sync_wait(w->sync, NS_PER_MS, waited, w);
	while (w->waits < 2)
		ev_run(w->loop, EVRUN_ONCE);
}

static void
test_pause(void **state)
{
	struct world *w = *state;

	begin(w);
	w->log[0] = '\0';
	sync_pause(w->sync);
	put(w, "{\"Name\":\"web\"}");
	run_idle(w);
	expect(w, "");
	sync_resume(w->sync);
	run_rounds(w, 1);
	expect(w, " [web];");
}

/* checkd alone came back: its checks are what the catalog has, until they have run. */
static void
test_restart_does_not_flap(void **state)
{
	struct world *w = *state;
	struct local_check *c = put_check(w, "{\"Name\":\"c\",\"TTL\":\"1m\"}");

	begin(w);
	local_update_check(w->l, c, STATUS_PASSING, bytes_str("fine"));
	run_rounds(w, 1);
	local_purge_check(w->l, c);
	c = put_check(w, "{\"Name\":\"c\",\"TTL\":\"1m\"}");
	assert_int_equal(c->status, STATUS_CRITICAL);
	w->options.resume = true;
	begin_again(w);
	expect(w, "");
	assert_int_equal(c->status, STATUS_PASSING);
	assert_true(bytes_is(buf_bytes(&c->output), "fine"));
	/* without it the check starts critical, as after a restart of the whole suite */
	local_purge_check(w->l, c);
	put_check(w, "{\"Name\":\"c\",\"TTL\":\"1m\"}");
	w->options.resume = false;
	begin_again(w);
	expect(w, " c=critical;");
}

/* A push that was applied, but whose answer was lost, is compared before it is sent again. */
static void
test_lost_answer(void **state)
{
	struct world *w = *state;
	struct local_service *s;

	begin(w);
	w->log[0] = '\0';
	w->mute = true;
	s = put(w, "{\"Name\":\"web\"}");
	while (w->unanswered == 0)
		ev_run(w->loop, EVRUN_ONCE);
	w->mute = false;
	ipc_free(w->server);
	open_catalog(w);
	run_rounds(w, 1);
	assert_false(s->in_sync);
	while (!s->in_sync)
		ev_run(w->loop, EVRUN_ONCE);
	expect(w, " [web];");
}

/* A catalog that can not be read is not asked again at once, however quickly it says so; what came meanwhile is pushed when it can. */
static void
test_unreadable_catalog(void **state)
{
	struct world *w = *state;
	struct local_service *s;

	w->unread = "No known Consul servers";
	begin(w);
	run_idle(w);
	assert_int_equal(w->reads, 1);
	s = put(w, "{\"Name\":\"web\"}");
	w->unread = NULL;
	while (!s->in_sync)
		ev_run(w->loop, EVRUN_ONCE);
	expect(w, " node; [web];");
}

/* What changes while its push is under way is not taken for pushed. */
static void
test_change_during_a_push(void **state)
{
	struct world *w = *state;
	struct local_service *s;

	begin(w);
	w->log[0] = '\0';
	w->mute = true;
	put(w, "{\"Name\":\"web\",\"Port\":1}");
	while (w->unanswered == 0)
		ev_run(w->loop, EVRUN_ONCE);
	w->mute = false;
	s = put(w, "{\"Name\":\"web\",\"Port\":2}");
	ipc_reply(w->held, (struct bytes){NULL, 0});
	run_rounds(w, 1);
	assert_false(s->in_sync);
	run_rounds(w, 1);
	assert_true(s->in_sync);
	expect(w, " [web]; [web];");
	assert_int_equal(mp_find_int(buf_bytes(&entry(w->services, bytes_str("web"))->message), "Port"), 2);
}

static void
test_nothing_after_stop(void **state)
{
	struct world *w = *state;

	begin(w);
	w->log[0] = '\0';
	put(w, "{\"Name\":\"web\"}");
	(void)sync_wait(w->sync, 10 * NS_PER_S, waited, w);
	sync_stop(w->sync);
	put(w, "{\"Name\":\"db\"}");
	run_idle(w);
	expect(w, "");
	assert_int_equal(w->waits, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_first_sync_brings_all_once),
	    TEST(test_change_is_pushed_alone),
	    TEST(test_service_takes_its_checks_along),
	    TEST(test_strangers_are_removed),
	    TEST(test_tag_override),
	    TEST(test_output_alone_is_held_back),
	    TEST(test_refusals),
	    TEST(test_waiting_for_a_push),
	    TEST(test_pause),
	    TEST(test_restart_does_not_flap),
	    TEST(test_unreadable_catalog),
	    TEST(test_lost_answer),
	    TEST(test_change_during_a_push),
	    TEST(test_nothing_after_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

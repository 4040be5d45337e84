/*
 * checkd_register_test.c - registering, reload and restart (register.h): what goes, what stays, what is not touched
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "checkd_fixture.h"
#include "register.h"

struct world {
	struct ev_loop *loop;
	struct region *region;
	struct registrar r;
	char dir[64];
};

static void
on_gone(void *ctx, struct local_check *c)
{
	(void)ctx;
	checks_stop(c);
}

static void
start(struct world *w)
{
	static const struct local_settings settings = {.node = "n1", .datacenter = "dc1", .output_max = 4096};
	struct local_events events = {.check_gone = on_gone};
	struct checks_options options = {
	    .loop = w->loop, .datacenter = "dc1", .token = "", .ca_file = "", .cert_file = "", .key_file = ""};

	w->r = (struct registrar){.api_env = env_of_test, .file_env = env_of_test};
	w->r.file_env.from_file = true;
	w->r.file_env.scripts_allowed = true;
	w->r.local = local_new(&settings, &events);
	w->r.persist = persist_open(w->dir, false);
	assert_non_null(w->r.persist);
	options.local = w->r.local;
	options.persist = w->r.persist;
	w->r.checks = checks_new(&options);
	register_init(&w->r, w->loop);
}

static void
end(struct world *w)
{
	register_free(&w->r);
	local_free(w->r.local);
	checks_free(w->r.checks);
	persist_close(w->r.persist);
}

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);

	w->loop = ev_loop_new(0);
	w->region = region_new();
	snprintf(w->dir, sizeof w->dir, "/tmp/checkd-register.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	start(w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	char command[128];

	end(w);
	region_free(w->region);
	ev_loop_destroy(w->loop);
	snprintf(command, sizeof command, "rm -r %s", w->dir);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

/* A registration by the API. */
static void
api(struct world *w, const char *json, bool replace)
{
	struct service_plan plan, sidecar;
	struct checkd_error e;

	if (service_of(w->region, json, &plan, &sidecar, &e) == -1 ||
	    register_service(&w->r, &plan, &sidecar, bytes_str("t"), replace, &e) == -1)
		fail_msg("%s", e.text);
}

static void
files(struct world *w, const char *json)
{
	struct checkd_error e;
	struct definitions *d = definitions_read(&w->r, bytes_str(json), &e);

	if (d == NULL)
		fail_msg("%s", e.text);
	register_definitions(&w->r, d);
	definitions_free(d);
}

static struct local_service *
service(struct world *w, const char *id)
{
	return local_service(w->r.local, bytes_str(id));
}

static struct local_check *
check(struct world *w, const char *id)
{
	return local_check(w->r.local, bytes_str(id));
}

/* As sync would when the catalog has it all. */
static void
all_in_sync(struct world *w)
{
	for (size_t i = 0; i < local_service_count(w->r.local); i++)
		local_service_at(w->r.local, i)->in_sync = true;
	for (size_t i = 0; i < local_check_count(w->r.local); i++)
		local_check_at(w->r.local, i)->in_sync = true;
}

static void
test_old_checks_stay_unless_replaced(void **state)
{
	struct world *w = *state;

	api(w, "{\"Name\":\"web\",\"Checks\":[{\"CheckID\":\"a\",\"TTL\":\"1m\"},{\"CheckID\":\"b\",\"TTL\":\"1m\"}]}",
	    false);
	api(w, "{\"Name\":\"web\",\"Port\":1}", false);
	assert_non_null(check(w, "a"));
	api(w, "{\"Name\":\"web\",\"Check\":{\"CheckID\":\"b\",\"TTL\":\"1m\"}}", true);
	assert_null(check(w, "a"));
	assert_non_null(check(w, "b"));
}

static void
test_sidecar_goes_with_its_service(void **state)
{
	struct world *w = *state;

	api(w, "{\"Name\":\"web\",\"Port\":1,\"Connect\":{\"SidecarService\":{}}}", false);
	api(w, "{\"Name\":\"other-sidecar-proxy\"}", false);
	api(w, "{\"Name\":\"other\"}", false);
	assert_non_null(service(w, "web-sidecar-proxy"));
	assert_non_null(check(w, "service:web-sidecar-proxy:2"));
	register_remove_service(&w->r, service(w, "web"));
	assert_null(service(w, "web-sidecar-proxy"));
	assert_null(check(w, "service:web-sidecar-proxy:2"));
	register_remove_service(&w->r, service(w, "other"));
	assert_non_null(service(w, "other-sidecar-proxy")); /* named so, but nobody's */
}

static const char first_files[] =
    "{\"Services\":[{\"Name\":\"web\",\"Port\":1,\"Check\":{\"CheckID\":\"w\",\"TTL\":\"1m\"}},{\"Name\":\"db\"}],"
    "\"Checks\":[{\"ID\":\"mem\",\"Name\":\"mem\",\"TTL\":\"1m\"},{\"Name\":\"of-db\",\"ServiceID\":\"db\",\"TTL\":"
    "\"1m\"}]}";

static void
test_reload_touches_only_what_changed(void **state)
{
	struct world *w = *state;
	struct check_runner *runner;

	files(w, first_files);
	api(w, "{\"Name\":\"api\",\"Check\":{\"TTL\":\"1m\"}}", false);
	assert_int_equal(checks_ttl_update(w->r.checks, check(w, "w"), STATUS_PASSING, bytes_str("fine")), 0);
	all_in_sync(w);
	runner = check(w, "w")->runner;
	files(w, first_files);
	assert_true(service(w, "web")->in_sync && service(w, "db")->in_sync && service(w, "api")->in_sync);
	assert_true(check(w, "w")->in_sync && check(w, "mem")->in_sync);
	assert_ptr_equal(check(w, "w")->runner, runner);

	files(w, "{\"Services\":[{\"Name\":\"web\",\"Port\":2,\"Check\":{\"CheckID\":\"w\",\"TTL\":\"2m\"}}],"
		 "\"Checks\":[{\"ID\":\"new\",\"Name\":\"new\",\"TTL\":\"1m\"}]}");
	assert_false(service(w, "web")->in_sync);
	assert_int_equal(check(w, "w")->status, STATUS_PASSING);
	assert_true(bytes_is(buf_bytes(&check(w, "w")->output), "fine"));
	assert_null(service(w, "db"));
	assert_null(check(w, "of-db"));
	assert_null(check(w, "mem"));
	assert_non_null(check(w, "new"));
	assert_true(service(w, "api")->in_sync);
	register_forget(&w->r);
	assert_null(service(w, "api"));
	assert_non_null(service(w, "web"));
}

static void
test_bad_files_change_nothing(void **state)
{
	static const struct {
		const char *json, *text;
	} cases[] = {
	    {"{\"Services\":[{\"Name\":\"n\"},{\"Name\":\"zz\",\"Check\":{\"Name\":\"x\",\"HTTP\":\"a\"}}]}",
		"service \"zz\": check \"x\": Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService "
		"checks"},
	    {"{\"Services\":[{\"Port\":1}]}", "Service name missing"},
	    {"{\"Checks\":[{\"Name\":\"c\"}]}", "check \"c\": TTL must be > 0 for TTL checks"},
	    {"{\"Checks\":[{\"Name\":\"c\",\"TTL\":\"1m\",\"ServiceID\":\"gone\"}]}",
		"Failed to register check 'c': ServiceID \"gone\" does not exist"},
	    {"{\"Services\":[{\"Name\":\"w\",\"Locality\":{\"Zone\":\"z\"}}]}",
		"service \"w\": 1 error occurred:\n\t* zone cannot be set without region\n\n"},
	    {"{\"Services\":7}", NULL},
	};
	struct world *w = *state;

	files(w, first_files);
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct checkd_error e;
		assert_null(definitions_read(&w->r, bytes_str(cases[i].json), &e));
		if (cases[i].text != NULL)
			assert_string_equal(e.text, cases[i].text);
		assert_non_null(service(w, "web"));
		assert_null(service(w, "n"));
	}
}

static void
restart(struct world *w, const char *json)
{
	end(w);
	start(w);
	files(w, json);
	register_restore(&w->r);
}

static void
test_restart_restores_what_came_by_the_api(void **state)
{
	struct world *w = *state;
	struct checkd_error e;

	files(w, first_files);
	api(w,
	    "{\"Name\":\"api\",\"Port\":9,\"Checks\":[{\"CheckID\":\"live\",\"TTL\":\"1h\",\"Status\":\"passing\"},"
	    "{\"CheckID\":\"silent\",\"TTL\":\"1h\",\"Status\":\"passing\"}]}",
	    false);
	assert_int_equal(checks_ttl_update(w->r.checks, check(w, "live"), STATUS_WARNING, bytes_str("hm")), 0);
	assert_int_equal(register_maintenance(&w->r, service(w, "api"), true, bytes_str("why"), bytes_str(""), &e), 0);
	restart(w, first_files);
	assert_int_equal(service(w, "api")->service.port, 9);
	assert_string_equal(service(w, "api")->token, "t");
	assert_int_equal(service(w, "api")->source, LOCAL_API);
	assert_int_equal(check(w, "live")->status, STATUS_WARNING);
	assert_true(bytes_is(buf_bytes(&check(w, "live")->output), "hm"));
	assert_int_equal(check(w, "silent")->status, STATUS_CRITICAL); /* nobody has said anything since */
	assert_true(check(w, "_service_maintenance:api")->maintenance);
	assert_string_equal(check(w, "_service_maintenance:api")->notes, "why");
	assert_non_null(check(w, "live")->runner);
	assert_null(check(w, "_service_maintenance:api")->runner);
	assert_string_equal(local_health(w->r.local, service(w, "api")), "maintenance");
	register_remove_service(&w->r, service(w, "api"));
	restart(w, first_files);
	assert_null(service(w, "api"));
	assert_null(check(w, "live"));
}

static void
test_files_win_over_the_api(void **state)
{
	struct world *w = *state;

	api(w, "{\"Name\":\"web\",\"Port\":9}", false);
	restart(w, first_files);
	assert_int_equal(service(w, "web")->service.port, 1);
	assert_int_equal(service(w, "web")->source, LOCAL_FILE);
	restart(w, "{}"); /* its file is gone, too */
	assert_null(service(w, "web"));
}

static void
test_check_of_a_service_that_is_not_there(void **state)
{
	struct world *w = *state;
	struct check_plan plan;
	struct checkd_error e;

	assert_int_equal(check_of(w->region, "{\"Name\":\"c\",\"TTL\":\"1m\",\"ServiceID\":\"nope\"}", &plan, &e), 0);
	assert_int_equal(register_check(&w->r, &plan, bytes_str(""), &e), -1);
	assert_string_equal(e.text, "ServiceID \"nope\" does not exist");
	assert_int_equal(e.code, 404);
}

/* Tags that the catalog has set stay over a reload of the same definition. */
static void
test_tags_of_the_catalog_survive_a_reload(void **state)
{
	static const char json[] = "{\"Services\":[{\"Name\":\"web\",\"Tags\":[\"mine\"],\"EnableTagOverride\":true}]}";
	struct world *w = *state;

	files(w, json);
	local_set_tags(w->r.local, service(w, "web"), bytes_str("\x91\xa6theirs"));
	all_in_sync(w);
	files(w, json);
	assert_true(service(w, "web")->in_sync);
	assert_true(bytes_is(service(w, "web")->service.tags, "\x91\xa6theirs"));
	files(w, "{\"Services\":[{\"Name\":\"web\",\"Tags\":[\"other\"],\"EnableTagOverride\":true}]}");
	assert_false(service(w, "web")->in_sync);
	assert_true(bytes_is(service(w, "web")->service.tags, "\x91\xa5other"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_old_checks_stay_unless_replaced),
	    TEST(test_sidecar_goes_with_its_service),
	    TEST(test_reload_touches_only_what_changed),
	    TEST(test_bad_files_change_nothing),
	    TEST(test_restart_restores_what_came_by_the_api),
	    TEST(test_files_win_over_the_api),
	    TEST(test_check_of_a_service_that_is_not_there),
	    TEST(test_tags_of_the_catalog_survive_a_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

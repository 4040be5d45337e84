/*
 * checkd_persist_test.c - registrations in files (persist.h): what comes back, and what is passed over
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkd_fixture.h"
#include "compare.h"
#include "persist.h"
#include "sha256.h"

static const struct local_settings settings = {.node = "n1", .datacenter = "dc1", .output_max = 4096};
static const struct local_origin by_api = {.token = {(const uint8_t *)"tok", 3}, .source = LOCAL_API, .sidecar = true};

struct world {
	struct region *r;
	struct local *l;
	struct persist *p;
	char dir[64];
	/* what the last load brought */
	unsigned services, checks;
	bool keep;
	char service[64], token[64], check[64], status[64], output[64];
	int64_t ttl, expires;
	bool sidecar;
	struct bytes message; /* of the service */
};

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);

	w->r = region_new();
	w->l = local_new(&settings, NULL);
	w->keep = true;
	snprintf(w->dir, sizeof w->dir, "/tmp/checkd-persist.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->p = persist_open(w->dir, true);
	assert_non_null(w->p);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	char command[128];

	persist_close(w->p);
	local_free(w->l);
	region_free(w->r);
	snprintf(command, sizeof command, "rm -r %s", w->dir);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

static void
copy(char *out, size_t size, struct bytes text)
{
	assert_int_equal(bytes_to_str(text, out, size), 0);
}

static bool
got_service(void *ctx, const struct persisted_service *form, const struct node_service *service)
{
	struct world *w = ctx;

	w->services++;
	copy(w->service, sizeof w->service, service->id);
	copy(w->token, sizeof w->token, form->token);
	w->sidecar = form->sidecar;
	w->message = region_copy(w->r, form->service);
	return w->keep;
}

static bool
got_check(void *ctx, const struct persisted_check *form, const struct health_check *check,
    const struct persisted_state *state)
{
	struct world *w = ctx;
	struct check_type type;
	const char *bad;

	w->checks++;
	copy(w->check, sizeof w->check, check->check_id);
	copy(w->status, sizeof w->status, state->status);
	copy(w->output, sizeof w->output, state->output);
	w->expires = state->expires;
	w->ttl = 0;
	if (form->type.size != 0) {
		assert_int_equal(schema_decode(&check_type_schema, form->type, &type, &bad), 0);
		w->ttl = type.ttl;
	}
	return w->keep;
}

static void
load(struct world *w)
{
	struct persist_loader loader = {got_service, got_check, w};

	w->services = w->checks = 0;
	persist_load_services(w->p, &loader);
	persist_load_checks(w->p, &loader);
}

static struct local_service *
put(struct world *w, const char *json)
{
	struct service_plan plan, sidecar;
	struct checkd_error e;

	assert_int_equal(service_of(w->r, json, &plan, &sidecar, &e), 0);
	for (size_t i = 0; i < plan.check_count; i++)
		assert_non_null(local_put_check(w->l, &plan.checks[i], &by_api));
	return local_put_service(w->l, &plan, &by_api);
}

static void
write_file(struct world *w, const char *name, const char *content)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/%s", w->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
}

static bool
exists(struct world *w, const char *place, const char *id)
{
	char path[256], name[SHA256_TEXT_MAX];

	snprintf(path, sizeof path, "%s/%s/%s", w->dir, place, sha256_text(bytes_str(id), name));
	return access(path, F_OK) == 0;
}

static void
test_comes_back_as_it_was(void **state)
{
	struct world *w = *state;
	struct local_service *s =
	    put(w, "{\"Name\":\"web\",\"ID\":\"w "
		   "1\",\"Tags\":[\"a\"],\"Meta\":{\"k\":\"v\"},\"Port\":80,\"Check\":{\"TTL\":\"90s\"}}");
	struct local_check *c = local_check(w->l, bytes_str("service:w 1"));

	local_update_check(w->l, c, STATUS_WARNING, bytes_str("so so"));
	assert_int_equal(persist_service(w->p, s), 0);
	assert_int_equal(persist_check(w->p, w->l, c), 0);
	persist_state(w->p, c, 1234567890);
	assert_true(exists(w, "services", "w 1"));
	load(w);
	assert_int_equal(w->services, 1);
	assert_int_equal(w->checks, 1);
	assert_string_equal(w->service, "w 1");
	assert_string_equal(w->token, "tok");
	assert_true(w->sidecar);
	assert_true(compare_forms(&node_service_schema, w->message, buf_bytes(&s->message)));
	assert_int_equal(w->ttl, 90 * NS_PER_S);
	assert_string_equal(w->status, "warning");
	assert_string_equal(w->output, "so so");
	assert_int_equal(w->expires, 1234567890);
}

static void
test_what_is_not_wanted_goes(void **state)
{
	struct world *w = *state;
	struct local_service *s = put(w, "{\"Name\":\"web\",\"Check\":{\"TTL\":\"90s\"}}");
	struct local_check *c = local_check(w->l, bytes_str("service:web"));

	assert_int_equal(persist_service(w->p, s), 0);
	assert_int_equal(persist_check(w->p, w->l, c), 0);
	persist_state(w->p, c, 1);
	w->keep = false;
	load(w);
	assert_int_equal(w->services, 1);
	assert_false(exists(w, "services", "web"));
	assert_false(exists(w, "checks", "service:web"));
	assert_false(exists(w, "checks/state", "service:web"));
	load(w);
	assert_int_equal(w->services + w->checks, 0);
}

/* The reference's own files: durations as numbers, names of older releases, and keys that we do not have. */
static void
test_files_of_the_reference(void **state)
{
	struct world *w = *state;

	write_file(w, "services/0cc175b9c0f1b6a831c399e269772661",
	    "{\"Token\":\"\",\"Service\":{\"ID\":\"a\",\"Service\":\"a\",\"Tags\":[\"x\"],\"Address\":\"\",\"Meta\":"
	    "null,\"Port\":1,"
	    "\"Weights\":{\"Passing\":1,\"Warning\":1},\"EnableTagOverride\":false,\"Proxy\":{\"MeshGateway\":{},"
	    "\"Expose\":{}},"
	    "\"Connect\":{},\"PeerName\":\"\",\"CreateIndex\":0,\"ModifyIndex\":0},\"Source\":\"remote\",\"Later\":{"
	    "\"x\":[]}}");
	write_file(w, "checks/0cc175b9c0f1b6a831c399e269772661",
	    "{\"Check\":{\"Node\":\"n1\",\"CheckID\":\"c\",\"Name\":\"c\",\"Status\":\"critical\",\"Notes\":\"\","
	    "\"Output\":\"\","
	    "\"ServiceID\":\"\",\"ServiceName\":\"\",\"ServiceTags\":[],\"Type\":\"ttl\",\"Interval\":\"\",\"Timeout\":"
	    "\"\","
	    "\"ExposedPort\":0,\"Definition\":{},\"CreateIndex\":0,\"ModifyIndex\":0},\"ChkType\":{\"CheckID\":\"c\","
	    "\"Name\":\"c\","
	    "\"TTL\":1800000000000,\"Interval\":0},\"Token\":\"\",\"Source\":\"remote\"}");
	load(w);
	assert_int_equal(w->services, 1);
	assert_int_equal(w->checks, 1);
	assert_int_equal(w->ttl, 1800 * NS_PER_S);
	assert_true(exists(w, "services", "a"));
	assert_true(exists(w, "checks", "c"));
}

static void
test_rubbish_is_passed_over_and_kept(void **state)
{
	struct world *w = *state;
	char path[128];

	write_file(w, "services/aaaa", "{\"Token\":");
	write_file(w, "services/bbbb", "");
	write_file(w, "services/cccc", "{\"Service\":null}");
	write_file(w, "services/dddd.tmp", "{}");
	write_file(w, "checks/eeee", "[1,2]");
	load(w);
	assert_int_equal(w->services + w->checks, 0);
	snprintf(path, sizeof path, "%s/services/aaaa", w->dir);
	assert_int_equal(access(path, F_OK), 0);
}

static void
test_replacing_and_dropping(void **state)
{
	struct world *w = *state;
	struct stat st;
	char path[256], name[SHA256_TEXT_MAX];

	assert_int_equal(persist_service(w->p, put(w, "{\"Name\":\"a\",\"Port\":1}")), 0);
	assert_int_equal(persist_service(w->p, put(w, "{\"Name\":\"a\",\"Port\":2}")), 0);
	load(w);
	assert_int_equal(w->services, 1);
	assert_int_equal(mp_find_int(w->message, "Port"), 2);
	snprintf(path, sizeof path, "%s/services/%s", w->dir, sha256_text(bytes_str("a"), name));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	persist_drop_service(w->p, "a");
	persist_drop_service(w->p, "a"); /* is not there: fine */
	load(w);
	assert_int_equal(w->services, 0);
	persist_drop_service(NULL, "a");
	assert_int_equal(persist_service(NULL, local_service(w->l, bytes_str("a"))), 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_comes_back_as_it_was),
	    TEST(test_what_is_not_wanted_goes),
	    TEST(test_files_of_the_reference),
	    TEST(test_rubbish_is_passed_over_and_kept),
	    TEST(test_replacing_and_dropping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

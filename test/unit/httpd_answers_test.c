/*
 * httpd_answers_test.c - answers of the reference's servers, as they came by the port between nodes, make the bodies that the reference's HTTP gave
 *
 * Its maps have their keys in alphabetical order, all fields are there, and the mode of the read is left to who asks.
 */
#include "httpd_fixture.h"

#include "catalogd_rpc_fixture.h"

static struct buf captured; /* what the played catalogd answers */

static void
give(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)args, (void)ctx;
	ipc_reply(s, buf_bytes(&captured));
}

static const struct ipc_method METHODS[] = {{"Catalog.ListNodes", give}, {"Catalog.ServiceNodes", give},
    {"Catalog.NodeServices", give}, {"Catalog.ListServices", give}, {"Health.ServiceNodes", give},
    {"Health.NodeChecks", give}, {"KVS.List", give}, {"Session.List", give}};
static const struct ipc_service SERVICE = {METHODS, COUNTOF(METHODS), NULL};

static int
setup(void **state)
{
	(void)state;
	buf_init(&captured, 1u << 20);
	front_start(&SERVICE);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	front_stop();
	buf_free(&captured);
	return 0;
}

/* option: of the question; mode: what the header says about it, of the answers that have it. */
static void
check_answer(const char *path, const char *option, const char *mode, const char *body)
{
	bool has_mode = strstr(path, "/v1/kv") == NULL && strstr(path, "/v1/session") == NULL;
	char *request = xasprintf(
		 "GET %s%s%s HTTP/1.1\r\nHost: x\r\n\r\n", path, strchr(path, '?') == NULL ? "?" : "&", option),
	     *header = xasprintf("X-Consul-Effective-Consistency: %s\r\n", mode), *end = xasprintf("\r\n\r\n%s", body);

	exchange(request, (const char *const[]){"HTTP/1.1 200 OK\r\n", "X-Consul-Knownleader: true\r\n", end, NULL});
	assert_int_equal(count_of(header), has_mode);
	assert_int_equal(count_of("Effective-Consistency"), has_mode);
	assert_true(
	    answer.used > strlen(body) && memcmp(answer.data + answer.used - strlen(body), body, strlen(body)) == 0);
	free(request);
	free(header);
	free(end);
}

static void
test_captured_answers(void **state)
{
	FILE *f = fopen(TEST_DATA "/rpc-answers.txt", "r");
	char *line = NULL, *rest;
	size_t size = 0, lines = 0;

	(void)state;
	assert_non_null(f);
	while (getline(&line, &size, f) != -1) {
		const char *path, *hex;

		if (line[0] == '#')
			continue;
		path = strtok_r(line, " ", &rest);
		(void)strtok_r(NULL, " ", &rest); /* the method: route.c knows it */
		hex = strtok_r(NULL, " ", &rest);
		rest[strcspn(rest, "\n")] = '\0';
		buf_clear(&captured);
		put_hex(&captured, hex);
		check_answer(path, "leader", "leader", rest);
		check_answer(path, "stale", "stale", rest);
		check_answer(path, "consistent", "consistent", rest);
		lines++;
	}
	assert_int_equal(lines, 8);
	free(line);
	fclose(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_captured_answers, setup, teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

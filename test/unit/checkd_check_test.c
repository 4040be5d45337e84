/*
 * checkd_check_test.c - thresholds, kinds, texts and the pieces that keep output (check.h, definition.h, tail.h, sha256.h)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "check.h"
#include "check_text.h"
#include "definition.h"
#include "mem.h"
#include "sha256.h"
#include "tail.h"

/* A run's results by letter (p w c), and after each what is reported; '-' is nothing. */
static void
play(int64_t passing, int64_t warning, int64_t critical, const char *results, const char *reports)
{
	static const char letters[] = "pwc";
	struct check_type type = {.success_before_passing = passing,
	    .failures_before_warning = warning,
	    .failures_before_critical = critical};
	struct check_threshold t;

	check_threshold_init(&t, &type);
	for (size_t i = 0; results[i] != '\0'; i++) {
		enum status report = STATUS_PASSING;
		enum status result = (enum status)(strchr(letters, results[i]) - letters);
		char got = check_threshold_result(&t, result, &report) ? letters[report] : '-';
		if (got != reports[i])
			fail_msg("%s: result %zu: want %c, got %c", results, i, reports[i], got);
	}
}

static void
test_thresholds(void **state)
{
	(void)state;
	play(0, 0, 0, "pcwcp", "pcwcp");
	play(3, 0, 3, "pcccppp", "p--c--p"); /* the first counts at once, then three in a row are needed */
	play(3, 0, 3, "pccpccp", "p------"); /* neither side gets three in a row */
	play(4, 2, 4, "pccccpppp", "p-wwc---p");
	play(0, 2, 4, "pcwccc", "p-w-ww");
	play(3, 0, 0, "cpppc", "c--pc");
	play(0, 0, 2, "cc", "cc");
}

static void
test_kinds(void **state)
{
	struct check_type t = {0};

	(void)state;
	assert_string_equal(check_type_text(&t), "");
	t.interval = NS_PER_S;
	t.h2ping = bytes_str("x:1");
	assert_string_equal(check_type_text(&t), "h2ping");
	t.script_args = bytes_str("\x91\xa1x"); /* msgpack ["x"] */
	assert_string_equal(check_type_text(&t), "script");
	t.docker_container_id = bytes_str("c");
	assert_string_equal(check_type_text(&t), "docker");
	t.alias_service = bytes_str("web");
	assert_string_equal(check_type_text(&t), "alias");
	t.udp = bytes_str("x:1");
	assert_string_equal(check_type_text(&t), "udp");
	t.tcp = bytes_str("x:1");
	assert_string_equal(check_type_text(&t), "tcp");
	t.ttl = NS_PER_S;
	assert_string_equal(check_type_text(&t), "ttl");
	t.http = bytes_str("http://x");
	assert_string_equal(check_type_text(&t), "http");
	t.grpc = bytes_str("x:1");
	assert_string_equal(check_type_text(&t), "grpc");
	t.interval = 0;
	assert_string_equal(check_type_text(&t), "ttl");
}

static void
test_problems(void **state)
{
	const struct {
		struct check_type t;
		const char *problem;
	} cases[] = {
	    {{.interval = 1, .ttl = 1}, "Interval and TTL cannot both be specified"},
	    {{.http = bytes_str("x")}, "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"},
	    {{.tcp = bytes_str("x"), .interval = 1, .alias_service = bytes_str("a")},
		"Interval cannot be set for Alias checks"},
	    {{.ttl = 1, .alias_node = bytes_str("a")}, "TTL must be not be set for Alias checks"},
	    {{.ttl = 0}, "TTL must be > 0 for TTL checks"},
	    {{.ttl = -1}, "TTL must be > 0 for TTL checks"},
	    {{.ttl = 1, .output_max_size = -1}, "MaxOutputMaxSize must be positive"},
	    {{.ttl = 1, .failures_before_warning = 2, .failures_before_critical = 1},
		"FailuresBeforeWarning can't be higher than FailuresBeforeCritical"},
	    {{.alias_service = bytes_str("a"), .interval = 1}, NULL},
	    {{.http = bytes_str("x"), .interval = 1}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		const char *got = check_type_problem(&cases[i].t);
		if (cases[i].problem == NULL)
			assert_null(got);
		else
			assert_string_equal(got, cases[i].problem);
	}
}

/* Whatever the sizes of the pieces, what is kept are the last bytes of all of them. */
static void
test_tail_is_the_end_of_the_stream(void **state)
{
	char all[1000];

	(void)state;
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (char)(i * 7 + i / 251);
	for (size_t keep = 1; keep < 40; keep += 3)
		for (size_t piece = 1; piece < 100; piece += 7) {
			struct tail t;
			size_t at = 0;
			tail_init(&t, keep);
			while (at < sizeof all) {
				size_t n = MIN(piece, sizeof all - at), have;
				tail_put(&t, all + at, n);
				at += n;
				have = MIN(keep, at);
				assert_int_equal(tail_bytes(&t).size, have);
				assert_memory_equal(tail_bytes(&t).data, all + at - have, have);
			}
			assert_int_equal(tail_total(&t), sizeof all);
			assert_false(t.b.overflow);
			tail_free(&t);
		}
}

/* FIPS 180-4's examples, and lengths around the block's end against the digest of sha256sum(1). */
static void
test_sha256(void **state)
{
	char text[SHA256_TEXT_MAX], as[64];

	(void)state;
	assert_string_equal(
	    sha256_text(bytes_str("abc"), text), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(
	    sha256_text(bytes_str(""), text), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_string_equal(sha256_text(bytes_str("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), text),
	    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(as, 'a', sizeof as);
	assert_string_equal(
	    sha256_text(bytes_of(as, 55), text), "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
	assert_string_equal(
	    sha256_text(bytes_of(as, 64), text), "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

static void
test_errno_text(void **state)
{
	char text[128];

	(void)state;
	assert_string_equal(check_text_errno(111, text, sizeof text), "connection refused");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_thresholds),
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_problems),
	    cmocka_unit_test(test_tail_is_the_end_of_the_stream),
	    cmocka_unit_test(test_sha256),
	    cmocka_unit_test(test_errno_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * consuld_logline_test.c - log lines taken apart, and as JSON
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "logline.h"

#include <string.h>

#include "mem.h"

static void
assert_json(const char *line, const char *json)
{
	struct buf out = BUF_INIT(16384);
	struct logline l;

	logline_parse(bytes_str(line), &l);
	logline_json(&l, INT64_C(1795157790170112233), &out);
	buf_put_u8(&out, '\0');
	assert_string_equal((const char *)out.data, json);
	buf_free(&out);
}

static void
test_parts(void **state)
{
	struct logline l;
	struct bytes pairs, message;

	(void)state;
	logline_parse(bytes_str("2026-11-20T06:56:02.939Z [WARN]  agent.server.raft: entering follower state: "
				"follower=\"Node at x\" leader="),
	    &l);
	assert_int_equal(l.level, LOG_WARN_LEVEL);
	assert_true(bytes_is(l.module, "agent.server.raft"));
	message = logline_message(&l, &pairs);
	assert_true(bytes_is(message, "entering follower state"));
	assert_true(bytes_is(pairs, "follower=\"Node at x\" leader="));
	logline_parse(bytes_str("2026-11-20T06:56:02.939+0800 [ERROR] agent: no pairs: here"), &l);
	assert_int_equal(l.level, LOG_ERROR_LEVEL);
	assert_true(bytes_is(l.time, "2026-11-20T06:56:02.939+0800"));
	assert_true(bytes_is(logline_message(&l, &pairs), "no pairs: here"));
	assert_int_equal(pairs.size, 0);
}

/* What has not our layout counts as an error and is kept whole. */
static void
test_foreign_lines(void **state)
{
	static const char *const lines[] = {
	    "raftd: assertion failed",
	    "",
	    "2026-11-20T06:56:02.939Z",
	    "2026-11-20T06:56:02.939Z [",
	    "2026-11-20T06:56:02.939Z [BOGUS] agent: x",
	    "2026-11-20T06:56:02.939X [INFO]  agent: x",
	    "2026-11-2aT06:56:02.939Z [INFO]  agent: x",
	};
	struct logline l;

	(void)state;
	for (size_t i = 0; i < COUNTOF(lines); i++) {
		logline_parse(bytes_str(lines[i]), &l);
		assert_int_equal(l.level, LOG_ERROR_LEVEL);
		assert_int_equal(l.time.size, 0);
		assert_true(bytes_is(l.text, lines[i]));
	}
}

static void
test_json(void **state)
{
	(void)state;
	assert_json("2026-11-20T06:56:02.944Z [INFO]  agent: Consul agent running!",
	    "{\"@level\":\"info\",\"@message\":\"Consul agent "
	    "running!\",\"@module\":\"agent\",\"@timestamp\":\"2026-11-20T06:56:02."
	    "944000Z\"}");
	assert_json("2026-11-20T06:56:02.944+0530 [DEBUG] agent.http: Request finished: method=GET url=/v1/kv/x?a=b "
		    "latency=\"1 ms\"",
	    "{\"@level\":\"debug\",\"@message\":\"Request "
	    "finished\",\"@module\":\"agent.http\",\"@timestamp\":\"2026-11-20T06:56:02."
	    "944000+05:30\",\"method\":\"GET\",\"url\":\"/v1/kv/x?a=b\",\"latency\":\"1 ms\"}");
	assert_json("2026-11-20T06:56:02.944Z [ERROR] agent: failed: error=\"a\\n\\t\\\"b\\\" \\x01\" empty= n=1",
	    "{\"@level\":\"error\",\"@message\":\"failed\",\"@module\":\"agent\",\"@timestamp\":\"2026-11-20T06:56:02."
	    "944000Z\",\"error\":"
	    "\"a\\n\\t\\\"b\\\" \\u0001\",\"empty\":\"\",\"n\":\"1\"}");
	/* A colon in front that does not begin pairs. */
	assert_json("2026-11-20T06:56:02.944Z [INFO]  agent.server.serf.lan: serf: EventMemberJoin: s1 127.0.0.1",
	    "{\"@level\":\"info\",\"@message\":\"serf: EventMemberJoin: s1 "
	    "127.0.0.1\",\"@module\":\"agent.server.serf.lan\","
	    "\"@timestamp\":\"2026-11-20T06:56:02.944000Z\"}");
	assert_json("panic \"x\"", "{\"@level\":\"error\",\"@message\":\"panic "
				   "\\\"x\\\"\",\"@module\":\"agent\",\"@timestamp\":\"2026-11-20T06:56:30.170112Z\"}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_foreign_lines),
	    cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * common_metrics_test.c - metrics by intervals
 */
#include "metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"

#define SECOND(s) ((int64_t)(s)*NS_PER_S)

static struct buf snapshot, text;

static int
reset(void **state)
{
	(void)state;
	metrics_reset();
	buf_free(&snapshot);
	buf_free(&text);
	buf_init(&snapshot, 1 << 22);
	buf_init(&text, 1 << 22);
	return 0;
}

static const char *
as_json(void)
{
	struct mp in;

	buf_clear(&snapshot);
	buf_clear(&text);
	metrics_snapshot(&snapshot);
	in = mp_of(buf_bytes(&snapshot));
	assert_int_equal(schema_to_json(&metrics_snapshot_schema, &in, &text, 0), 0);
	buf_put_u8(&text, '\0');
	return (const char *)text.data;
}

static void
test_last_finished_interval_is_shown(void **state)
{
	METRIC_DEFINE(requests, METRIC_COUNTER, "rpc.request");
	METRIC_DEFINE(members, METRIC_GAUGE, "members");

	(void)state;
	metrics_register(&requests);
	metrics_register(&requests);
	metrics_register(&members);
	metrics_tick(SECOND(1000000000));
	metric_count(&requests, 1);
	metric_count(&requests, 3);
	metric_set(&members, 2.5);
	/* Still running: its numbers are not shown. */
	metrics_tick(SECOND(1000000009));
	assert_string_equal(as_json(), "{\"Timestamp\":\"2001-09-09 01:46:40 +0000 "
				       "UTC\",\"Gauges\":[{\"Name\":\"members\",\"Value\":2.5,\"Labels\":{}}],"
				       "\"Points\":[],\"Counters\":[{\"Name\":\"rpc.request\",\"Count\":0,\"Rate\":0,"
				       "\"Sum\":0,\"Min\":0,\"Max\":0,\"Mean\":0,"
				       "\"Stddev\":0,\"Labels\":{}}],\"Samples\":[]}");
	metrics_tick(SECOND(1000000010));
	assert_non_null(strstr(as_json(), "\"2001-09-09 01:46:40 +0000 UTC\""));
	assert_non_null(strstr(as_json(),
	    "{\"Name\":\"rpc.request\",\"Count\":2,\"Rate\":0.4,\"Sum\":4,\"Min\":1,\"Max\":3,\"Mean\":2,"
	    "\"Stddev\":1.4142135623730951,\"Labels\":{}}"));
	/* The next interval was empty; totals stay. */
	metrics_tick(SECOND(1000000020));
	assert_non_null(strstr(as_json(), "\"Count\":0"));
	assert_non_null(strstr(as_json(), "\"Value\":2.5"));
	assert_int_equal(requests.total_count, 2);
	assert_true(requests.total_sum == 4);
}

static void
test_labels(void **state)
{
	struct metric *get = metrics_labelled(METRIC_SAMPLE, "api.http", "method=GET,path=v1_kv");

	(void)state;
	assert_ptr_equal(metrics_labelled(METRIC_SAMPLE, "api.http", "method=GET,path=v1_kv"), get);
	assert_ptr_not_equal(metrics_labelled(METRIC_SAMPLE, "api.http", "method=PUT,path=v1_kv"), get);
	assert_non_null(strstr(as_json(), "\"Labels\":{\"method\":\"GET\",\"path\":\"v1_kv\"}"));
}

/* Estimates are off by half an octave at most, and never beyond what occurred. */
static void
test_quantiles(void **state)
{
	METRIC_DEFINE(times, METRIC_SAMPLE, "kvs.apply");

	(void)state;
	metrics_register(&times);
	assert_true(isnan(times.quantiles[0]));
	metrics_tick(SECOND(10));
	for (int i = 1; i <= 1000; i++)
		metric_sample(&times, i / 10.0);
	metrics_tick(SECOND(20));
	assert_true(times.quantiles[0] >= 50 && times.quantiles[0] <= 50 * M_SQRT2);
	assert_true(times.quantiles[1] >= 90 && times.quantiles[1] <= 100);
	assert_true(times.quantiles[2] >= 99 && times.quantiles[2] <= 100);
	metrics_tick(SECOND(30));
	assert_true(isnan(times.quantiles[0]));
	/* Extremes have a bucket, too. */
	metric_sample(&times, 0);
	metric_sample(&times, -1);
	metric_sample(&times, 1e300);
	metrics_tick(SECOND(40));
	assert_true(times.quantiles[2] <= 1e300 && times.quantiles[0] >= -1);
}

static void
test_registry_is_bounded(void **state)
{
	char labels[32];

	(void)state;
	for (int i = 0; i < METRICS_MAX + 10; i++) {
		snprintf(labels, sizeof labels, "n=%d", i);
		metric_count(metrics_labelled(METRIC_COUNTER, "x", labels), 1);
	}
	assert_ptr_equal(metrics_labelled(METRIC_COUNTER, "x", "n=a"), metrics_labelled(METRIC_COUNTER, "x", "n=b"));
	assert_null(strstr(as_json(), "\"1024\""));
	assert_non_null(strstr(as_json(), "\"1023\""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_last_finished_interval_is_shown, reset),
	    cmocka_unit_test_setup(test_labels, reset),
	    cmocka_unit_test_setup(test_quantiles, reset),
	    cmocka_unit_test_setup_teardown(test_registry_is_bounded, reset, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * gossipd_coordinate_test.c - network coordinates step by step beside those that the reference's library computed
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinate.h"
#include "mem.h"

static uint64_t
no_random(void *ctx, uint64_t below)
{
	(void)ctx;
	(void)below;
	fail_msg("no step of the vectors needs a random direction");
	return 0;
}

/* -1: the line ends before. */
static int
point_read(char **text, struct coordinate_point *out)
{
	double v[COORDINATE_DIMENSIONS + 3];

	for (size_t i = 0; i < COUNTOF(v); i++) {
		char *end;

		v[i] = strtod(*text, &end);
		if (end == *text)
			return -1;
		*text = end;
	}
	memcpy(out->vec, v, sizeof out->vec);
	out->error = v[COORDINATE_DIMENSIONS];
	out->adjustment = v[COORDINATE_DIMENSIONS + 1];
	out->height = v[COORDINATE_DIMENSIONS + 2];
	return 0;
}

static void
assert_points_equal(const struct coordinate_point *a, const struct coordinate_point *b)
{
	for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
		assert_true(a->vec[i] == b->vec[i]);
	assert_true(a->error == b->error);
	assert_true(a->adjustment == b->adjustment);
	assert_true(a->height == b->height);
}

static void
test_vectors(void **state)
{
	FILE *f = fopen(TEST_DATA "/coordinate-vectors.txt", "re");
	struct coordinates c;
	unsigned steps = 0, refused = 0;
	char line[1024];

	(void)state;
	assert_non_null(f);
	coordinates_init(&c, no_random, NULL);
	while (fgets(line, sizeof line, f) != NULL) {
		struct coordinate_point other, result, before = c.own;
		char node[16], *at;
		long long rtt;
		int n;

		if (line[0] == '#')
			continue;
		assert_int_equal(sscanf(line, "%15s %lld %n", node, &rtt, &n), 2);
		at = line + n;
		assert_int_equal(point_read(&at, &other), 0);
		if (strcmp(node, "start") == 0) {
			c.own = other;
			continue;
		}
		steps++;
		if (point_read(&at, &result) == 0) {
			assert_null(coordinates_update(&c, bytes_str(node), &other, rtt));
			assert_points_equal(&c.own, &result);
		} else {
			assert_non_null(coordinates_update(&c, bytes_str(node), &other, rtt));
			assert_points_equal(&c.own, &before);
			refused++;
		}
	}
	(void)fclose(f);
	assert_int_equal(steps, 9);
	assert_int_equal(refused, 1);
	coordinates_free(&c);
}

static uint64_t
half(void *ctx, uint64_t below)
{
	unsigned *calls = ctx;

	return (*calls)++ % 2 == 0 ? below / 4 : below / 2;
}

/* Rubbish is refused; a node that was forgotten is unknown; a payload comes back as it was. */
static void
test_peers(void **state)
{
	struct coordinate_point other, got;
	struct buf payload = BUF_INIT(1024);
	struct coordinates c;
	unsigned calls = 0;

	(void)state;
	coordinates_init(&c, half, &calls);
	coordinate_origin(&other);
	assert_false(coordinates_find(&c, bytes_str("a"), &got));
	assert_null(coordinates_update(&c, bytes_str("a"), &other, 10000000)); /* same place: a random direction */
	assert_true(calls >= COORDINATE_DIMENSIONS);
	assert_true(coordinates_find(&c, bytes_str("a"), &got));
	assert_points_equal(&got, &other);
	coordinate_payload_put(&c.own, &payload);
	assert_int_equal(payload.used, 130);
	assert_int_equal(coordinate_payload_get(buf_bytes(&payload), &got), 0);
	assert_points_equal(&got, &c.own);
	payload.data[0] = 2;
	assert_int_equal(coordinate_payload_get(buf_bytes(&payload), &got), -1);
	other.vec[3] = 1.0 / 0.0;
	assert_string_equal(coordinates_update(&c, bytes_str("a"), &other, 1), "coordinate is invalid");
	coordinates_forget(&c, bytes_str("a"));
	assert_false(coordinates_find(&c, bytes_str("a"), &got));
	coordinates_free(&c);
	buf_free(&payload);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vectors),
	    cmocka_unit_test(test_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

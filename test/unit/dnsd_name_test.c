/*
 * dnsd_name_test.c - names in wire form, zones, the grammar of questions
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "mem.h"
#include "name.h"

static struct name
text(const char *t)
{
	struct name n;

	assert_int_equal(name_from_text(bytes_str(t), &n), 0);
	return n;
}

static void
test_text_and_wire(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} cases[] = {
	    {"consul", "consul."},
	    {"consul.", "consul."},
	    {"", "."},
	    {"a..b", NULL},
	    {"trail..", NULL},
	    {".x", NULL},
	    {"a b", "a\\ b."},
	    {"back\\slash", "backslash."},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct name n;
		char shown[NAME_TEXT_MAX];
		int got = name_from_text(bytes_str(cases[i].in), &n);

		assert_int_equal(got, cases[i].out == NULL ? -1 : 0);
		if (got == 0)
			assert_string_equal(name_text(&n, shown), cases[i].out);
	}
}

/* Over 255 octets: by text, by joining, and from a message. */
static void
test_length_limit(void **state)
{
	char long_text[300];
	struct name n, half, whole;
	uint8_t message[300];
	size_t used = 0;

	(void)state;
	memset(long_text, 'a', sizeof long_text);
	for (size_t i = 50; i < sizeof long_text; i += 51)
		long_text[i] = '.';
	long_text[299] = '\0';
	assert_int_equal(name_from_text(bytes_str(long_text), &n), -1);
	long_text[200] = '\0';
	half = text(long_text);
	assert_int_equal(name_join(&half, &half, &whole), -1);
	while (used + 51 < 260) {
		message[used] = 50;
		memset(message + used + 1, 'b', 50);
		used += 51;
	}
	message[used++] = 0;
	assert_int_equal(name_read(bytes_of(message, used), 0, &n), 0);
}

static void
test_compression(void **state)
{
	/* 0: consul, 8: web -> 0, 14: a pointer to itself, 16: a pointer ahead */
	static const uint8_t m[] = {
	    6, 'c', 'o', 'n', 's', 'u', 'l', 0, 3, 'w', 'e', 'b', 0xc0, 0, 0xc0, 14, 0xc0, 18, 0};
	struct name n, expect = text("web.consul");

	(void)state;
	assert_int_equal(name_read(bytes_of(m, sizeof m), 8, &n), 14);
	assert_true(name_equal_exact(&n, &expect));
	assert_int_equal(name_read(bytes_of(m, sizeof m), 14, &n), 0);
	assert_int_equal(name_read(bytes_of(m, sizeof m), 16, &n), 0);
	/* cut anywhere, nothing is read */
	for (size_t size = 9; size < 14; size++)
		assert_int_equal(name_read(bytes_of(m, size), 8, &n), 0);
}

static void
test_zones(void **state)
{
	struct name consul = text("consul"), root = text(""), n = text("Web.Service.CONSUL"), other = text("xconsul"),
		    foo = text("fooconsul.");

	(void)state;
	assert_int_equal(name_in_zone(&n, &consul), 2);
	assert_int_equal(name_in_zone(&consul, &consul), 0);
	assert_int_equal(name_in_zone(&other, &consul), -1);
	assert_int_equal(name_in_zone(&foo, &consul), -1);
	assert_int_equal(name_in_zone(&n, &root), 3);
}

static void
test_grammar(void **state)
{
	static const struct {
		const char *name;
		bool srv;
		enum question_kind kind;
		const char *what, *tag, *dc, *peer;
	} cases[] = {
	    {"web.service", false, QUESTION_SERVICE, "web", "", "", ""},
	    {"UPPER.DOT.service", false, QUESTION_SERVICE, "dot", "upper", "", ""},
	    {"a.b.c.web.service.dc1", false, QUESTION_SERVICE, "web", "a.b.c", "dc1", ""},
	    {"web.service.dc2.dc", false, QUESTION_SERVICE, "web", "", "dc2", ""},
	    {"web.service.east.peer", false, QUESTION_SERVICE, "web", "", "", "east"},
	    {"web.service.dc1.dc.east.peer", false, QUESTION_INVALID, "", "", "", ""},
	    {"web.service.service", false, QUESTION_SERVICE, "service", "web", "", ""},
	    {"node.service", false, QUESTION_SERVICE, "node", "", "", ""},
	    {"query.web.service", false, QUESTION_SERVICE, "web", "query", "", ""},
	    {"service", false, QUESTION_INVALID, "", "", "", ""},
	    {"", false, QUESTION_INVALID, "", "", "", ""},
	    {"web", false, QUESTION_INVALID, "", "", "", ""},
	    {"web.service.a.b", false, QUESTION_INVALID, "", "", "", ""},
	    {"_web._tcp.service", false, QUESTION_SERVICE, "web", "", "", ""},
	    {"_web._v1.service.dc1", false, QUESTION_SERVICE, "web", "v1", "dc1", ""},
	    {"_web._tcp", true, QUESTION_SERVICE, "web", "", "", ""},
	    {"_web._tcp", false, QUESTION_INVALID, "", "", "", ""},
	    {"_web._tcp.dc1", true, QUESTION_SERVICE, "web", "", "dc1", ""},
	    {"_._tcp.service", false, QUESTION_EMPTY, "", "", "", ""},
	    {"_.service", false, QUESTION_SERVICE, "_", "", "", ""},
	    {"a.b.node", false, QUESTION_NODE, "a.b", "", "", ""},
	    {"n1.node.dc1", false, QUESTION_NODE, "n1", "", "dc1", ""},
	    {"geo.db.query", false, QUESTION_QUERY, "geo.db", "", "", ""},
	    {"_geo.db._tcp.query", false, QUESTION_QUERY, "geo.db", "", "", ""},
	    {"_._x.query", false, QUESTION_EMPTY, "", "", "", ""},
	    {"x.query.a.b", false, QUESTION_INVALID, "", "", "", ""},
	    {"web.virtual.dc1", false, QUESTION_VIRTUAL, "web", "", "", "dc1"},
	    {"any.web.connect", false, QUESTION_CONNECT, "web", "", "", ""},
	    {"C0A80102.addr.any.thing.at.all", false, QUESTION_ADDRESS, "c0a80102", "", "", ""},
	    {"a.c0a80102.addr", false, QUESTION_INVALID, "", "", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct name prefix = text(cases[i].name), zone = text("consul"), whole;
		struct question q;

		assert_int_equal(name_join(&prefix, &zone, &whole), 0);
		question_parse(&whole, name_label_count(&prefix), cases[i].srv, &q);
		if (q.kind != cases[i].kind)
			fail_msg("%s: kind %d, want %d", cases[i].name, q.kind, cases[i].kind);
		if (q.kind == QUESTION_INVALID || q.kind == QUESTION_EMPTY)
			continue;
		assert_string_equal(q.name, cases[i].what);
		assert_string_equal(q.tag, cases[i].tag);
		assert_string_equal(q.datacenter, cases[i].dc);
		assert_string_equal(q.peer, cases[i].peer);
	}
}

/* A dot inside a label is not a separator: no registered name is meant. */
static void
test_escapes(void **state)
{
	struct name n = {
	    .size = 17, .wire = {3, 'a', '.', 'b', 4, 'n', 'o', 'd', 'e', 6, 'c', 'o', 'n', 's', 'u', 'l', 0}};
	struct question q;

	(void)state;
	question_parse(&n, 2, false, &q);
	assert_int_equal(q.kind, QUESTION_NODE);
	assert_string_equal(q.name, "a\\.b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text_and_wire),
	    cmocka_unit_test(test_length_limit),
	    cmocka_unit_test(test_compression),
	    cmocka_unit_test(test_zones),
	    cmocka_unit_test(test_grammar),
	    cmocka_unit_test(test_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

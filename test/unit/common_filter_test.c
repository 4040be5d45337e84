/*
 * common_filter_test.c - the filter language: syntax, selectors, operators, error texts
 */
#include "filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "structs.h"

#define GOSSIP_MEMBER_FIELDS(F)                                                                                        \
	F(STR, "Addr", addr, FIELD_IP, NULL, NULL, "")                                                                 \
	F(UINT, "Port", port, FIELD_BITS16, NULL, NULL, "")                                                            \
	F(UINT, "ProtocolCur", protocol_cur, FIELD_BITS8, NULL, NULL, "")                                              \
	F(FLOAT, "Height", height, 0, NULL, NULL, "")                                                                  \
	F(STRLISTMAP, "Lists", lists, 0, NULL, NULL, "")
SCHEMA_DECLARE(test_member, GOSSIP_MEMBER_FIELDS)
SCHEMA_DEFINE(test_member, "Member", GOSSIP_MEMBER_FIELDS, 0)

static struct buf nodes[3], instances[3], services[3], checks[3], member;

static struct buf
element(const struct schema *s, const char *json)
{
	struct buf out = BUF_INIT(1 << 20);
	struct json_error error = {"none"};

	if (schema_from_json(s, bytes_str(json), &out, &error) == -1)
		fail_msg("%s", error.text);
	return out;
}

static int
make_elements(void **state)
{
	static const char *const node_json[] = {
	    "{\"Node\":\"f1\",\"Address\":\"10.0.3.1\",\"Datacenter\":\"dc1\",\"Meta\":{\"os\":\"linux\",\"v\":\"1.2\","
	    "\"a-b\":\"dash\"},"
	    "\"TaggedAddresses\":{\"lan\":\"10.0.3.1\",\"wan\":\"192.0.2.1\"}}",
	    "{\"Node\":\"f2\",\"Address\":\"10.0.3.2\",\"Datacenter\":\"dc1\",\"Meta\":{\"os\":\"bsd\"}}",
	    "{\"Node\":\"f3\",\"Address\":\"10.0.3.3\",\"Datacenter\":\"dc1\"}",
	};
	static const char *const service_json[] = {
	    "{\"ServiceID\":\"s1\",\"ServiceName\":\"api\",\"ServiceTags\":[\"prod\",\"v1\",\"a-b\"],\"ServicePort\":"
	    "80,"
	    "\"ServiceMeta\":{\"team\":\"red\"},\"ServiceWeights\":{\"Passing\":3,\"Warning\":1},\"NodeMeta\":{\"v\":"
	    "\"1.2\"},"
	    "\"ServiceTaggedAddresses\":{\"lan\":{\"Address\":\"1.1.1.1\",\"Port\":8}}}",
	    "{\"ServiceID\":\"s2\",\"ServiceName\":\"api\",\"ServiceTags\":[],\"ServicePort\":8080,\"ServiceMeta\":{},"
	    "\"ServiceEnableTagOverride\":true}",
	    "{\"ServiceID\":\"s3\",\"ServiceName\":\"api\",\"ServiceTags\":[\"v2\"],\"ServicePort\":443,"
	    "\"ServiceAddress\":\"10.0.9.3\",\"ServiceMeta\":{\"team\":\"blue\"}}",
	};
	static const char *const instance_json[] = {
	    "{\"Node\":{\"Node\":\"f1\"},\"Service\":{\"ID\":\"s1\",\"Service\":\"api\",\"Tags\":[\"prod\",\"v1\"],"
	    "\"Port\":80,"
	    "\"Meta\":{\"team\":\"red\"},\"Weights\":{\"Passing\":3,\"Warning\":1}},"
	    "\"Checks\":[{\"CheckID\":\"a\",\"Status\":\"passing\"},{\"CheckID\":\"c1\",\"Status\":\"critical\","
	    "\"Output\":\"timed out\","
	    "\"ServiceTags\":[\"x\"]}]}",
	    "{\"Node\":{\"Node\":\"f2\",\"Meta\":{\"os\":\"bsd\"}},\"Service\":{\"ID\":\"s2\",\"Port\":8080,"
	    "\"EnableTagOverride\":true},"
	    "\"Checks\":[{\"CheckID\":\"b\",\"Status\":\"passing\"}]}",
	    "{\"Service\":{\"ID\":\"s3\",\"Port\":443},\"Checks\":[]}",
	};
	static const char *const check_json[] = {
	    "{\"CheckID\":\"c1\",\"Name\":\"check one\",\"Status\":\"passing\",\"ServiceID\":\"s1\",\"Output\":\"all "
	    "good\"}",
	    "{\"CheckID\":\"c2\",\"Name\":\"check "
	    "two\",\"Status\":\"critical\",\"ServiceID\":\"s2\",\"Output\":\"timed out\"}",
	    "{\"CheckID\":\"c3\",\"Name\":\"node check\",\"Status\":\"warning\"}",
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		nodes[i] = element(&node_schema, node_json[i]);
		services[i] = element(&service_node_schema, service_json[i]);
		instances[i] = element(&check_service_node_schema, instance_json[i]);
		checks[i] = element(&health_check_schema, check_json[i]);
	}
	member = element(&test_member_schema,
	    "{\"Addr\":\"127.0.11.1\",\"Port\":8301,\"ProtocolCur\":2,\"Height\":1.5,\"Lists\":{\"k\":[\"a\",\"b\"]}}");
	return 0;
}

static int
free_elements(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		buf_free(&nodes[i]);
		buf_free(&services[i]);
		buf_free(&instances[i]);
		buf_free(&checks[i]);
	}
	buf_free(&member);
	return 0;
}

/* Which of the elements pass ("13": the first and the third), or the error without its prefix. */
static const char *
run(const char *expression, const struct schema *s, const struct buf elements[], size_t count)
{
	static char result[FILTER_ERROR_MAX];
	struct filter_error error = {.text = "none"};
	struct filter *f;
	size_t used = 0;

	if (filter_compile(bytes_str(expression), s, &f, &error) == -1) {
		assert_memory_equal(error.text, FILTER_ERROR_PREFIX, strlen(FILTER_ERROR_PREFIX));
		strcpy(result, error.text + strlen(FILTER_ERROR_PREFIX));
		return result;
	}
	for (size_t i = 0; i < count; i++) {
		int fits = filter_match(f, mp_of(buf_bytes(&elements[i])));

		if (fits == -1)
			used += (size_t)sprintf(result + used, "!");
		else if (fits == 1)
			used += (size_t)sprintf(result + used, "%zu", i + 1);
	}
	result[used] = '\0';
	filter_free(f);
	return result;
}

struct filter_case {
	const char *expression;
	const char *expected;
};

static void
run_cases(const struct filter_case *cases, size_t count, const struct schema *s, const struct buf elements[],
    size_t elements_count)
{
	for (size_t i = 0; i < count; i++) {
		const char *result = run(cases[i].expression, s, elements, elements_count);

		if (strcmp(result, cases[i].expected) != 0)
			fail_msg("%s\n\twant %s\n\tgot  %s", cases[i].expression, cases[i].expected, result);
	}
}
#define RUN(cases, schema, elements) run_cases(cases, COUNTOF(cases), schema, elements, COUNTOF(elements))

static void
test_nodes(void **state)
{
	static const struct filter_case cases[] = {
	    {"", "123"},
	    {"Node == \"f1\"", "1"},
	    {"Node==\"f1\"", "1"},
	    {"Node != \"f1\"", "23"},
	    {"Node == f1", "1"},
	    {"Node == `f1`", "1"},
	    {"  Node == f1\t\r\n", "1"},
	    {"Node == not", ""},
	    {"Meta.os == \"linux\"", "1"},
	    {"Meta.os != \"linux\"", "23"},
	    {"\"linux\" in Meta.os", "1"},
	    {"in in Meta.os", "1"},
	    {"Meta.os contains inu", "1"},
	    {"Meta contains \"os\"", "12"},
	    {"\"os\" in Meta", "12"},
	    {"\"os\" not in Meta", "3"},
	    {"Meta not contains os", "3"},
	    {"Meta is empty", "3"},
	    {"Meta is not empty", "12"},
	    {"Meta[\"os\"] == \"bsd\"", "2"},
	    {"Meta[ \"os\" ] == \"bsd\"", "2"},
	    {"Meta[`a-b`] == dash", "1"},
	    {"Node matches \"^f[12]$\"", "12"},
	    {"Node not matches \"^f\"", ""},
	    {"Node matches `\\d`", "123"},
	    {"Node matches \"(?i)^F1\"", "1"},
	    {"Node matches \"\"", "123"},
	    {"Address == \"10.0.3.2\" or Address == \"10.0.3.3\"", "23"},
	    {"not Node == \"f1\" and Node matches \"^f\"", "23"},
	    {"not not Node == f1", "1"},
	    {"TaggedAddresses.wan == \"192.0.2.1\"", "1"},
	    {"Datacenter == \"dc1\" and Node == \"f2\"", "2"},
	    {"(Node == f1 or Node == f2) and Meta.os == linux", "1"},
	    {"((Node == f1))", "1"},
	    {"( Node == f1 )", "1"},
	    {"not (Node == f1 or Node == f2)", "3"},
	    {"Node == f3 or Node == f1 and Meta.os == bsd", "3"},
	    {"Partition == \"\"", "123"},
	    {"Node == \"\\x66\\061\"", "1"},
	    {"Node == \"\\u0066\\U00000031\"", "1"},
	    {"Address contains \"\"", "123"},
	    {"Address contains \"0.3.2\"", "2"},
	    /* A key that is not there. */
	    {"Meta.v == \"\"", ""},
	    {"Meta.v != 1", "123"},
	    {"\"\" in Meta.v", "1"},
	    {"x not in Meta.v", "123"},
	    {"Meta.v matches x", "23"},
	    {"Meta.v not matches x", "123"},
	};

	(void)state;
	RUN(cases, &node_schema, nodes);
}

static void
test_services(void **state)
{
	static const struct filter_case cases[] = {
	    {"ServicePort == 80", "1"},
	    {"ServicePort != 80", "23"},
	    {"ServicePort == \"0x50\"", "1"},
	    {"ServicePort == \"0b1010000\"", "1"},
	    {"ServicePort == \"0120\"", "1"},
	    {"ServicePort == \"0o120\"", "1"},
	    {"ServicePort == \"8_0\"", "1"},
	    {"ServicePort == \"+80\"", "1"},
	    {"ServicePort == -80", ""},
	    {"ServiceTags is empty", "2"},
	    {"ServiceTags is not empty", "13"},
	    {"\"prod\" in ServiceTags", "1"},
	    {"prod in ServiceTags", "1"},
	    {"\"a-b\" in ServiceTags", "1"},
	    {"pro in ServiceTags", ""},
	    {"\"prod\" not in ServiceTags", "23"},
	    {"ServiceTags contains \"v2\"", "3"},
	    {"ServiceTags not contains \"v2\"", "12"},
	    {"ServiceMeta.team == \"red\"", "1"},
	    {"ServiceMeta.missing == \"\"", ""},
	    {"ServiceMeta.missing != \"x\"", "123"},
	    {"ServiceEnableTagOverride == true", "2"},
	    {"ServiceEnableTagOverride == \"1\"", "2"},
	    {"ServiceEnableTagOverride != T", "13"},
	    {"ServiceWeights.Passing == 3", "1"},
	    {"ServiceAddress == \"\"", "12"},
	    {"NodeMeta.v == \"1.2\"", "1"},
	    {"NodeMeta.v == 1.2", "1"},
	    {"ServiceMeta is empty", "2"},
	    {"ServiceName == api", "123"},
	    {"ServiceTaggedAddresses.lan.Port == 8", "1"},
	    {"ServiceTaggedAddresses.lan.Port != 8", "23"},
	    {"lan in ServiceTaggedAddresses", "1"},
	    {"ServiceProxy.Mode == \"\"", "123"},
	    {"ServiceProxy.Upstreams is empty", "123"},
	    {"ServiceProxy.Upstreams.DestinationName != x", ""},
	    {"not ServiceProxy.Upstreams.DestinationName == x", "123"},
	};

	(void)state;
	RUN(cases, &service_node_schema, services);
}

static void
test_instances_and_checks(void **state)
{
	static const struct filter_case instance_cases[] = {
	    {"Service.Port == 8080", "2"},
	    {"Node.Meta.os == \"bsd\"", "2"},
	    {"Node.Node == f1", "1"},
	    {"Node.Node == \"\"", "3"},
	    {"Checks.Status == \"critical\"", "1"},
	    {"Checks.Status != \"critical\"", "12"},
	    {"not Checks.Status == critical", "23"},
	    {"Checks is empty", "3"},
	    {"Checks is not empty", "12"},
	    {"x in Checks.ServiceTags", "1"},
	    {"x not in Checks.ServiceTags", "12"},
	    {"\"v1\" in Service.Tags", "1"},
	    {"Service.Weights.Passing == 3", "1"},
	    {"Service.Weights.Passing == 0", "23"},
	    {"Checks.Output matches \"timed\"", "1"},
	    {"Service.EnableTagOverride == true", "2"},
	    {"Service.Meta.team == red or Service.Port == 443", "13"},
	    {"Checks.Definition.HTTP == x", "Selector \"Checks.Definition\" is not valid"},
	    {"Service.Proxy.Config == x", "Selector \"Service.Proxy.Config\" is not valid"},
	    {"Service == x", "Invalid match operator \"Equal\" for selector \"Service\""},
	    {"Checks == x", "Invalid match operator \"Equal\" for selector \"Checks\""},
	    {"x in Checks", "Invalid match operator \"In\" for selector \"Checks\""},
	    {"Node.Foo.X == 1", "Selector \"Node.Foo\" is not valid"},
	    {"Checks.Status.x == 1", "Selector \"Checks.Status.x\" is not valid"},
	};
	static const struct filter_case check_cases[] = {
	    {"Status == \"warning\"", "3"},
	    {"ServiceID == \"\"", "3"},
	    {"ServiceID != \"\" and Status != \"passing\"", "2"},
	    {"Name matches \"^check\"", "12"},
	    {"CheckID == c1", "1"},
	};

	(void)state;
	RUN(instance_cases, &check_service_node_schema, instances);
	RUN(check_cases, &health_check_schema, checks);
}

static void
test_member_rules(void **state)
{
	static const struct filter_case cases[] = {
	    {"Addr contains 127", "1"},
	    {"11 in Addr", "1"},
	    {"12 not in Addr", "1"},
	    {"Addr is not empty", "1"},
	    {"Addr == \"127.0.11.1\"", "Invalid match operator \"Equal\" for selector \"Addr\""},
	    {"Addr contains 256", "Failed to coerce value \"256\" for selector \"Addr\": strconv.ParseUint: parsing "
				  "\"256\": value out of range"},
	    {"Port == 8301", "1"},
	    {"Port == 65536", "Failed to coerce value \"65536\" for selector \"Port\": strconv.ParseUint: parsing "
			      "\"65536\": value out of range"},
	    {"Port == -1", "Failed to coerce value \"-1\" for selector \"Port\": strconv.ParseUint: parsing \"-1\": "
			   "invalid syntax"},
	    {"Port == \"+1\"", "Failed to coerce value \"+1\" for selector \"Port\": strconv.ParseUint: parsing "
			       "\"+1\": invalid syntax"},
	    {"ProtocolCur == 256", "Failed to coerce value \"256\" for selector \"ProtocolCur\": strconv.ParseUint: "
				   "parsing \"256\": value out of range"},
	    {"Height == 1.5", "1"},
	    {"Height != \"15e-1\"", ""},
	    {"Height == x", "Failed to coerce value \"x\" for selector \"Height\": strconv.ParseFloat: parsing \"x\": "
			    "invalid syntax"},
	    {"b in Lists.k", "1"},
	    {"Lists.nokey is empty", "1"},
	};

	(void)state;
	run_cases(cases, COUNTOF(cases), &test_member_schema, &member, 1);
}

#define VALUE_DUE "no match found, expected: \"-\", \"0\", \"\\\"\", \"`\", [ \\t\\r\\n], [1-9] or [a-zA-Z]"
#define EXPRESSION_DUE                                                                                                 \
	"no match found, expected: \"(\", \"-\", \"0\", \"\\\"\", \"`\", \"not\", [ \\t\\r\\n], [1-9] or [a-zA-Z]"
#define AFTER_NAME "no match found, expected: \"!=\", \".\", \"==\", \"[\", [ \\t\\r\\n] or [a-zA-Z0-9_]"
#define OPERATOR_DUE                                                                                                   \
	"no match found, expected: \"!=\", \"==\", \"contains\", \"in\", \"is\", \"matches\", \"not\" or [ \\t\\r\\n]"

static void
test_syntax_errors(void **state)
{
	static const struct filter_case cases[] = {
	    {" ", "1:2 (1): " EXPRESSION_DUE},
	    {"and", "1:4 (3): " AFTER_NAME},
	    {"Node", "1:5 (4): " AFTER_NAME},
	    {"not Node", "1:9 (8): " AFTER_NAME},
	    {"Node == ", "1:9 (8): " VALUE_DUE},
	    {"Node ==", "1:8 (7): " VALUE_DUE},
	    {"Node === \"f1\"", "1:8 (7): " VALUE_DUE},
	    {"Node = \"f1\"", "1:6 (5): " OPERATOR_DUE},
	    {"Address > \"1\"", "1:9 (8): " OPERATOR_DUE},
	    {"Node == \"f1\" and", "1:17 (16): no match found, expected: [ \\t\\r\\n]"},
	    {"Node == \"f1\" and ", "1:18 (17): " EXPRESSION_DUE},
	    {"Node == \"f1\")", "1:13 (12): no match found, expected: [ \\t\\r\\n] or EOF"},
	    {"Node == f1 x", "1:12 (11): no match found, expected: \"and\", \"or\", [ \\t\\r\\n] or EOF"},
	    {"Node.", "1:6 (5): no match found, expected: [a-zA-Z]"},
	    {"Node == 'f1'", "1:9 (8): " VALUE_DUE},
	    {"(Node == \"f1\"", "1:14 (13): rule \"grouping\": Unmatched parentheses"},
	    {"Node == \"unterminated", "1:22 (21): rule \"string\": Unterminated string literal"},
	    {"Node == `unterminated", "1:22 (21): rule \"string\": Unterminated string literal"},
	    {"Node == \"a\\\"b\"", "1:9 (8): rule \"string\": invalid syntax"},
	    {"Node == \"\\q\"", "1:9 (8): rule \"string\": invalid syntax"},
	    {"Node == \"\\xg0\"", "1:9 (8): rule \"string\": invalid syntax"},
	    {"Node == \"\\400\"", "1:9 (8): rule \"string\": invalid syntax"},
	    {"Node == \"\\ud800\"", "1:9 (8): rule \"string\": invalid syntax"},
	    {"Node == \"a\nb\"", "1:9 (8): rule \"string\": invalid syntax"},
	    {"Meta[foo] == x", "1:6 (5): rule \"index\": Invalid index"},
	    {"Meta[\"k\" == x", "1:10 (9): rule \"index\": Unclosed index expression"},
	    {"Meta[\"k\"", "1:9 (8): rule \"index\": Unclosed index expression"},
	    {"Port == 1x", "1:10 (9): rule \"number\": Invalid number literal"},
	    {"Port == 01", "1:10 (9): rule \"number\": Invalid number literal"},
	    {"Address == 127.0.0.1", "1:17 (16): rule \"number\": Invalid number literal"},
	    {"Port in \"80\"", "1:9 (8): rule \"match\": Invalid selector"},
	    {"x in [\"a\"]", "1:6 (5): rule \"match\": Invalid selector"},
	    {"x not in 5", "1:10 (9): rule \"match\": Invalid selector"},
	    {"ServiceID in [\"s1\"]", "1:14 (13): rule \"match\": Invalid selector"},
	    /* Places in characters and in bytes, and on another line. */
	    {"Node == \"\xc3\xa9\" x", "1:13 (13): no match found, expected: \"and\", \"or\", [ \\t\\r\\n] or EOF"},
	    {"Node == `a\nb`\n x", "3:2 (15): no match found, expected: \"and\", \"or\", [ \\t\\r\\n] or EOF"},
	    {"Node == \xff", "invalid encoding"},
	};

	(void)state;
	RUN(cases, &node_schema, nodes);
}

static void
test_meaning_errors(void **state)
{
	static const struct filter_case cases[] = {
	    {"Nope == \"x\"", "Selector \"Nope\" is not valid"},
	    {"node == x", "Selector \"node\" is not valid"},
	    {"Foo.Bar == 1", "Selector \"Foo\" is not valid"},
	    {"CreateIndex == 1", "Selector \"CreateIndex\" is not valid"},
	    {"Meta.a.b == 1", "Selector \"Meta.a.b\" is not valid"},
	    {"Meta[\"a\"][\"b\"] == 1", "Selector \"Meta.a.b\" is not valid"},
	    {"Node is empty", "Invalid match operator \"Is Empty\" for selector \"Node\""},
	    {"Node is not empty", "Invalid match operator \"Is Not Empty\" for selector \"Node\""},
	    {"Meta == x", "Invalid match operator \"Equal\" for selector \"Meta\""},
	    {"Meta != x", "Invalid match operator \"Not Equal\" for selector \"Meta\""},
	    {"Meta matches x", "Invalid match operator \"Matches\" for selector \"Meta\""},
	    {"Meta not matches x", "Invalid match operator \"Not Matches\" for selector \"Meta\""},
	    {"Node == f1 or Nope == 1 or Meta == x", "Selector \"Nope\" is not valid"},
	    {"Nope == 1 and", "1:14 (13): no match found, expected: [ \\t\\r\\n]"},
	};
	static const struct filter_case service_cases[] = {
	    {"ServicePort == \"eighty\"", "Failed to coerce value \"eighty\" for selector \"ServicePort\": "
					  "strconv.ParseInt: parsing \"eighty\": invalid syntax"},
	    {"ServicePort == 80.5", "Failed to coerce value \"80.5\" for selector \"ServicePort\": strconv.ParseInt: "
				    "parsing \"80.5\": invalid syntax"},
	    {"ServicePort == \"\"", "Failed to coerce value \"\" for selector \"ServicePort\": strconv.ParseInt: "
				    "parsing \"\": invalid syntax"},
	    {"ServicePort == \"0x\"", "Failed to coerce value \"0x\" for selector \"ServicePort\": strconv.ParseInt: "
				      "parsing \"0x\": invalid syntax"},
	    {"ServicePort == \"1__0\"", "Failed to coerce value \"1__0\" for selector \"ServicePort\": "
					"strconv.ParseInt: parsing \"1__0\": invalid syntax"},
	    {"ServicePort == 9223372036854775808",
		"Failed to coerce value \"9223372036854775808\" for selector \"ServicePort\": strconv.ParseInt: "
		"parsing \"9223372036854775808\": value out of range"},
	    {"ServicePort == -9223372036854775808", ""},
	    {"ServiceEnableTagOverride == yes",
		"Failed to coerce value \"yes\" for selector \"ServiceEnableTagOverride\": strconv.ParseBool: parsing "
		"\"yes\": invalid syntax"},
	    {"ServicePort == \"a\\nb\"", "Failed to coerce value \"a\\nb\" for selector \"ServicePort\": "
					 "strconv.ParseInt: parsing \"a\\nb\": invalid syntax"},
	    {"ServiceTags == \"prod\"", "Invalid match operator \"Equal\" for selector \"ServiceTags\""},
	    {"ServicePort matches \"8\"", "Invalid match operator \"Matches\" for selector \"ServicePort\""},
	    {"ServicePort is empty", "Invalid match operator \"Is Empty\" for selector \"ServicePort\""},
	};

	(void)state;
	RUN(cases, &node_schema, nodes);
	RUN(service_cases, &service_node_schema, services);
}

/* RE2's language: what PCRE2 has beyond it is refused. */
static void
test_regular_expressions(void **state)
{
#define BAD(pattern) "Failed to compile regular expression \"" pattern "\": error parsing regexp: "
	static const struct filter_case cases[] = {
	    {"Node matches \"(\"", BAD("(") "missing closing ): `(`"},
	    {"Node matches \")\"", BAD(")") "unexpected ): `)`"},
	    {"Node matches \"[a\"", BAD("[a") "missing closing ]: `[a`"},
	    {"Node matches \"*\"", BAD("*") "missing argument to repetition operator: `*`"},
	    {"Node matches `(f)\\1`", BAD("(f)\\\\1") "invalid escape sequence: `\\1`"},
	    {"Node matches \"(?=f)\"", BAD("(?=f)") "invalid or unsupported Perl syntax: `(?=`"},
	    {"Node matches \"(?<!f)\"", BAD("(?<!f)") "invalid or unsupported Perl syntax: `(?<`"},
	    {"Node matches \"(?>f)\"", BAD("(?>f)") "invalid or unsupported Perl syntax: `(?>`"},
	    {"Node matches \"(*UCP)f\"", BAD("(*UCP)f") "invalid or unsupported Perl syntax: `(*U`"},
	    {"Node matches \"f++\"", BAD("f++") "invalid nested repetition operator: `++`"},
	    {"Node matches \"(?P<n>f)1\"", "1"},
	    {"Node matches \"(?<n>f)1\"", "1"},
	    {"Node matches \"(?i:F)1\"", "1"},
	    {"Node matches \"(?s-m)f.$\"", "123"},
	    {"Node matches `[()?=\\]]|f\\x31`", "1"},
	    {"Node matches `[[:alpha:]]1`", "1"},
	    {"Node matches `\\Q(?=\\E|f1`", "1"},
	    {"Node matches `^f1\\z`", "1"},
	    {"Node matches `\\pLx?1\\b`", "1"},
	    {"Node matches \"f{1,2}2\"", "2"},
	};
	struct buf slow[1] = {
	    element(&node_schema, "{\"Node\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"}")};

	(void)state;
	RUN(cases, &node_schema, nodes);
	/* Exponential for one who goes back: ends, and says so. */
	assert_string_equal(run("Node matches \"^(a+)+$\"", &node_schema, slow, 1), "!");
	buf_free(&slow[0]);
}

static const char *
repeated(const char *head, const char *part, size_t count, const char *tail)
{
	static char text[FILTER_BYTES_MAX + 64];
	size_t used = (size_t)sprintf(text, "%s", head);

	for (size_t i = 0; i < count; i++)
		used += (size_t)sprintf(text + used, "%s", part);
	sprintf(text + used, "%s", tail);
	return text;
}

static void
test_limits(void **state)
{
	(void)state;
	assert_string_equal(run(repeated("Node == f1", " or Node == x", 4000, ""), &node_schema, nodes, 3), "1");
	assert_string_equal(
	    run(repeated("Node == f1", " or Node == x", 4096, ""), &node_schema, nodes, 3), "more than 4096 terms");
	assert_string_equal(run(repeated("", "not ", FILTER_DEPTH_MAX, "Node == f1"), &node_schema, nodes, 3), "1");
	assert_string_equal(run(repeated("", "not ", FILTER_DEPTH_MAX + 1, "Node == f1"), &node_schema, nodes, 3),
	    "nested deeper than 100");
	/* Without a closing end: no time is lost on alternatives. */
	assert_string_equal(
	    run(repeated("", "(", 60000, "Node == f1"), &node_schema, nodes, 3), "nested deeper than 100");
	assert_string_equal(run(repeated("", "(", 90, "Node == f1"), &node_schema, nodes, 3),
	    "1:101 (100): rule \"grouping\": Unmatched parentheses");
	assert_string_equal(run(repeated("Node == \"", "x", FILTER_BYTES_MAX, "\""), &node_schema, nodes, 3),
	    "longer than 65536 bytes");
}

/* Elements that are not what the table says pass or do not, but are never read beyond their end. */
static void
test_bad_elements(void **state)
{
	struct filter_error error;
	struct filter *f;

	(void)state;
	assert_int_equal(
	    filter_compile(bytes_str("Checks.Status == critical or Service.Port == 8080 or x in Service.Tags"),
		&check_service_node_schema, &f, &error),
	    0);
	for (size_t i = 0; i < 3; i++) {
		for (size_t size = 0; size < instances[i].used; size++) {
			uint8_t *cut = xmalloc(size + 1); /* so that a sanitizer sees the end */

			memcpy(cut, instances[i].data, size);
			(void)!filter_match(f, mp_of(bytes_of(cut, size)));
			free(cut);
		}
	}
	filter_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nodes),
	    cmocka_unit_test(test_services),
	    cmocka_unit_test(test_instances_and_checks),
	    cmocka_unit_test(test_member_rules),
	    cmocka_unit_test(test_syntax_errors),
	    cmocka_unit_test(test_meaning_errors),
	    cmocka_unit_test(test_regular_expressions),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_bad_elements),
	};

	return cmocka_run_group_tests(tests, make_elements, free_elements);
}

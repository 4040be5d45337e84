/*
 * dnsd_answer_test.c - records made of instances and nodes, limits, messages as they leave
 */
#include "dnsd_answer_fixture.h"

static int
setup(void **state)
{
	(void)state;
	context_start();
	name_set(&settings.alt_domain, "alt.example");
	mp_put_map(&meta, 1);
	mp_put_kv_cstr(&meta, "i", "01");
	return 0;
}

/* As the contract's example: nodes many-01 ... with addresses of their own, one entry of metadata, no service address. */
static struct service_set
many(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct instance *n = &instances[i];

		snprintf(node_names[i], sizeof node_names[i], "many-%02zu", i + 1);
		snprintf(addresses[i], sizeof addresses[i], "10.55.%zu.%zu", i / 250, i % 250 + 1);
		n->node = bytes_str(node_names[i]);
		n->datacenter = bytes_str("dc1");
		n->node_address.plain = bytes_str(addresses[i]);
		n->node_meta = buf_bytes(&meta);
		n->port = 80;
		n->weight = 1;
	}
	return (struct service_set){instances, count};
}

struct sizes {
	uint16_t type;
	size_t count;
	uint16_t edns; /* 0: none */
	bool udp;
	unsigned answers, additional;
	size_t size; /* 0: not compared */
};

/* Sections and sizes of the contract's table; with EDNS the OPT record (11 octets, one additional record) is kept. */
static void
test_limits(void **state)
{
	static const struct sizes cases[] = {
	    {DNS_A, 70, 0, true, 3, 0, 85}, {DNS_SRV, 70, 0, true, 3, 3, 214}, {DNS_A, 70, 400, true, 3, 1, 96},
	    {DNS_A, 70, 513, true, 29, 1, 512}, {DNS_A, 70, 600, true, 34, 1, 592},
	    {DNS_A, 70, 1232, true, 70, 1, 1168}, {DNS_SRV, 70, 600, true, 9, 10, 579},
	    {DNS_SRV, 70, 1232, true, 20, 21, 1228}, {DNS_SRV, 70, 4096, true, 68, 69, 4060},
	    {DNS_SRV, 70, 65535, true, 70, 141, 5368}, {DNS_A, 70, 0, false, 70, 0, 1157},
	    {DNS_SRV, 70, 0, false, 70, 140, 5357}, {DNS_A, 2, 0, true, 2, 0, 69}, {DNS_A, 3000, 0, false, 3000, 0, 0},
	    {DNS_SRV, 3000, 0, false, 0, 0, 0}, /* as many as fit, checked below */
	};

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		const struct sizes *t = &cases[i];
		struct service_set set;
		struct dns_answer a;
		size_t size;

		teardown(state);
		setup(state);
		set = many(t->count);
		query.type = t->type;
		query.edns = t->edns != 0;
		query.edns_size = t->edns;
		answer_service(&context, &set, false, &a);
		size = answer_write(&context, &a, t->udp, out, sizeof out);
		if (t->answers == 0) {
			assert_in_range(be16_at(out + 6), 900, 1024);
			assert_in_range(size, 50000, 65535);
			continue;
		}
		if (be16_at(out + 6) != t->answers || be16_at(out + 10) != t->additional ||
		    (t->size != 0 && size != t->size))
			fail_msg("case %zu: %u answers, %u additional, %zu octets", i, be16_at(out + 6),
			    be16_at(out + 10), size);
		assert_int_equal(be16_at(out + 2) & DNS_FLAG_TC, 0);
	}
}

static void
test_truncation_is_told_when_wanted(void **state)
{
	struct service_set set = many(70);
	struct dns_answer a;

	(void)state;
	settings.enable_truncate = true;
	settings.udp_answer_limit = 20;
	query.type = DNS_SRV;
	answer_service(&context, &set, false, &a);
	assert_int_equal(answer_write(&context, &a, true, out, sizeof out), 273);
	assert_int_equal(be16_at(out + 6), 4);
	assert_int_not_equal(be16_at(out + 2) & DNS_FLAG_TC, 0);
}

static void
test_record_limit(void **state)
{
	struct service_set set = many(70);
	struct dns_answer a;

	(void)state;
	settings.a_record_limit = 5;
	answer_service(&context, &set, false, &a);
	assert_int_equal(a.answer.count, 5);
}

/* 3 instances: each of the 6 orders comes. */
static void
test_all_orders_come(void **state)
{
	struct service_set set = many(3);
	unsigned seen = 0;

	for (unsigned i = 0; i < 1000; i++) {
		struct dns_answer a;
		unsigned order = 0;

		answer_service(&context, &set, true, &a);
		for (unsigned k = 0; k < 2; k++)
			order = order * 3 + a.answer.records[k].a[3] - 1;
		seen |= 1u << order;
		region_reset(context.region);
	}
	(void)state;
	/* 01 02 10 12 20 21 in base 3 */
	assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7);
}

/* Every name of a message that we write can be read again. */
static void
test_messages_read_back(void **state)
{
	struct service_set set = many(70);
	struct dns_answer a;
	size_t size, at;
	struct name n;

	(void)state;
	query.type = DNS_SRV;
	answer_service(&context, &set, false, &a);
	size = answer_write(&context, &a, false, out, sizeof out);
	at = name_read(bytes_of(out, size), DNS_HEADER_BYTES, &n);
	assert_true(name_equal_exact(&n, &query.name));
	at += 4;
	for (unsigned i = 0; i < 70u + 140; i++) {
		struct name target, expect;
		char text[64];
		size_t rdata;

		at = name_read(bytes_of(out, size), at, &n);
		assert_int_not_equal(at, 0);
		rdata = be16_at(out + at + 8);
		at += 10;
		if (i < 70) {
			assert_true(name_equal_exact(&n, &query.name));
			assert_int_equal(name_read(bytes_of(out, size), at + 6, &target), at + rdata);
			snprintf(text, sizeof text, "many-%02u.node.dc1.consul", i + 1);
			name_set(&expect, text);
			assert_true(name_equal_exact(&target, &expect));
		}
		at += rdata;
	}
	assert_int_equal(at, size);
}

static void
test_nobody_and_no_data(void **state)
{
	struct service_set set = many(1);
	struct service_set nobody = {NULL, 0};
	struct dns_answer a;

	(void)state;
	answer_service(&context, &nobody, false, &a);
	assert_int_equal(a.rcode, DNS_NXDOMAIN);
	assert_int_equal(a.authority.count, 1);
	query.type = DNS_AAAA;
	answer_service(&context, &set, false, &a);
	assert_int_equal(a.rcode, DNS_NOERROR);
	assert_int_equal(a.answer.count, 0);
	assert_int_equal(a.authority.count, 1);
	query.type = DNS_MX;
	answer_service(&context, &set, false, &a);
	assert_int_equal(a.answer.count, 0);
	assert_int_equal(a.authority.count, 1);
}

/* A service with an address of its own, one with tagged addresses, one with a host name. */
static void
test_address_choice(void **state)
{
	struct service_set set = many(1);
	struct dns_answer a;
	struct name target;

	(void)state;
	instances[0].service_address.plain = bytes_str("192.168.1.2");
	instances[0].service_address.v4 = bytes_str("192.168.1.2");
	query.type = DNS_SRV;
	answer_service(&context, &set, false, &a);
	name_set(&target, "c0a80102.addr.dc1.consul");
	assert_true(name_equal_exact(a.answer.records[0].srv.target, &target));
	assert_int_equal(a.additional.records[0].type, DNS_A);

	instances[0].service_address.v6 = bytes_str("2001:db8:1:2:cafe::1337");
	answer_service(&context, &set, false, &a);
	name_set(&target, "20010db800010002cafe000000001337.addr.dc1.consul");
	assert_true(name_equal_exact(a.answer.records[0].srv.target, &target));
	assert_int_equal(a.additional.records[0].type, DNS_AAAA);
	query.type = DNS_A;
	answer_service(&context, &set, false, &a);
	assert_int_equal(a.answer.records[0].a[3], 2);

	instances[0].service_address = (struct address_choice){.plain = bytes_str("db.example.com")};
	answer_service(&context, &set, false, &a);
	assert_int_equal(a.answer.records[0].type, DNS_CNAME);
	assert_int_equal(context.wanted_count, 1);
	name_set(&target, "db.example.com");
	assert_true(name_equal_exact(a.answer.records[0].name, &target));
}

static void
test_node(void **state)
{
	struct node_record node = {.node = bytes_str("n1"), .datacenter = bytes_str("dc1")};
	struct dns_answer a;

	(void)state;
	node.meta = buf_bytes(&meta);
	node.address.plain = bytes_str("10.0.0.1");
	name_set(&query.name, "n1.node.consul");
	answer_node(&context, &node, &a);
	assert_int_equal(a.answer.count, 1);
	assert_int_equal(a.additional.count, 1);
	assert_int_equal(a.additional.records[0].txt.size, 4);
	assert_memory_equal(a.additional.records[0].txt.data, "i=01", 4);
	query.type = DNS_AAAA;
	answer_node(&context, &node, &a);
	assert_int_equal(a.rcode, DNS_NOERROR);
	assert_int_equal(a.answer.count + a.authority.count, 0);
	query.type = DNS_ANY;
	answer_node(&context, &node, &a);
	assert_int_equal(a.answer.count, 2);
}

static void
test_txt_quoting(void **state)
{
	struct node_record node = {.node = bytes_str("n1"), .datacenter = bytes_str("dc1")};
	struct dns_answer a;

	(void)state;
	buf_clear(&meta);
	mp_put_map(&meta, 3);
	mp_put_kv_cstr(&meta, "tick", "x`y=z`");
	mp_put_kv_cstr(&meta, " a=b ", "");
	mp_put_kv_cstr(&meta, "RFC1035-any", "bare");
	node.meta = buf_bytes(&meta);
	query.type = DNS_TXT;
	answer_node(&context, &node, &a);
	assert_int_equal(a.answer.count, 3);
	assert_memory_equal(a.answer.records[0].txt.data, "tick=x``y=z``", 13);
	assert_memory_equal(a.answer.records[1].txt.data, "` a`=b` =", 9);
	assert_memory_equal(a.answer.records[2].txt.data, "bare", 4);
}

static void
test_long_txt_is_cut_into_strings(void **state)
{
	struct node_record node = {.node = bytes_str("n1"), .datacenter = bytes_str("dc1")};
	char value[600];
	struct dns_answer a;
	size_t size;

	(void)state;
	memset(value, 'v', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	buf_free(&meta);
	meta = BUF_INIT(2048);
	mp_put_map(&meta, 1);
	mp_put_kv_cstr(&meta, "k", value);
	node.meta = buf_bytes(&meta);
	query.type = DNS_TXT;
	name_set(&query.name, "n1.node.consul");
	answer_node(&context, &node, &a);
	size = answer_write(&context, &a, false, out, sizeof out);
	/* header, question, pointer, type to rdlength, 601 octets in three strings */
	assert_int_equal(size, 12 + 16 + 4 + 2 + 10 + 601 + 3);
}

static void
test_reverse(void **state)
{
	static const struct {
		const char *name, *ip; /* NULL: none */
	} cases[] = {
	    {"4.3.2.1.in-addr.arpa", "1.2.3.4"},
	    {"256.3.2.1.in-addr.arpa", NULL},
	    {"3.2.1.in-addr.arpa", NULL},
	    {"x.3.2.1.in-addr.arpa", NULL},
	    {"7.3.3.1.0.0.0.0.0.0.0.0.e.f.a.c.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8:1:2:cafe::1337"},
	    {"1.ip6.arpa", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct name n;
		char ip[64];
		int got;

		name_set(&n, cases[i].name);
		got = answer_reverse_ip(&n, ip, sizeof ip);
		assert_int_equal(got, cases[i].ip == NULL ? -1 : 0);
		if (got == 0)
			assert_string_equal(ip, cases[i].ip);
	}
}

static void
test_service_ttl(void **state)
{
	static char web[] = "web", we[] = "we", all[] = "";
	static const struct {
		const char *service;
		uint32_t ttl;
	} cases[] = {{"web", 5}, {"web2", 10}, {"db", 15}};

	(void)state;
	settings.service_ttls = xcalloc(3, sizeof *settings.service_ttls);
	settings.service_ttls[settings.service_ttl_count++] = (struct service_ttl){all, true, 15};
	settings.service_ttls[settings.service_ttl_count++] = (struct service_ttl){we, true, 10};
	settings.service_ttls[settings.service_ttl_count++] = (struct service_ttl){web, false, 5};
	for (size_t i = 0; i < COUNTOF(cases); i++)
		assert_int_equal(settings_service_ttl(&settings, cases[i].service), cases[i].ttl);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_limits),
	    TEST(test_truncation_is_told_when_wanted),
	    TEST(test_record_limit),
	    TEST(test_all_orders_come),
	    TEST(test_messages_read_back),
	    TEST(test_nobody_and_no_data),
	    TEST(test_address_choice),
	    TEST(test_node),
	    TEST(test_txt_quoting),
	    TEST(test_long_txt_is_cut_into_strings),
	    TEST(test_reverse),
	    TEST(test_service_ttl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

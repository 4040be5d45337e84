/*
 * dnsd_packet_test.c - kept packets: the same answers as answer_write gives, in every order, cut where they must be
 */
#include "dnsd_answer_fixture.h"

#include <limits.h>

#include "packet.h"

static uint8_t expected[DNS_MESSAGE_MAX];

static int
setup(void **state)
{
	(void)state;
	context_start();
	query.id = 0x1234;
	mp_put_map(&meta, 2);
	mp_put_kv_cstr(&meta, "i", "01");
	mp_put_kv_cstr(&meta, "rack", "r1");
	return 0;
}

/* Instance i on node i with address 10.x.y.z; own: the address is the service's, the nodes' is another. */
static struct service_set
many(size_t count, bool own)
{
	for (size_t i = 0; i < count; i++) {
		struct instance *n = &instances[i];

		memset(n, 0, sizeof *n);
		snprintf(node_names[i], sizeof node_names[i], "many-%04zu", i);
		snprintf(addresses[i], sizeof addresses[i], "10.55.%zu.%zu", i >> 8, i & 255);
		n->node = bytes_str(node_names[i]);
		n->datacenter = bytes_str("dc1");
		n->node_address.plain = bytes_str(own ? "10.99.9.9" : addresses[i]);
		if (own)
			n->service_address.plain = bytes_str(addresses[i]);
		n->node_meta = buf_bytes(&meta);
		n->port = 80;
		n->weight = 1;
	}
	return (struct service_set){instances, count};
}

static void
edns(uint16_t size)
{
	query.edns = size > 0;
	query.edns_size = size;
}

struct message {
	unsigned answers, additional;
	bool truncated;
	size_t at[3][INSTANCES_MAX]; /* where the owner of record i of each section begins */
};

/* Reads a message to its end: every name and every record. */
static void
parse(const uint8_t *data, size_t size, struct message *m)
{
	struct name n;
	size_t at = name_read(bytes_of(data, size), DNS_HEADER_BYTES, &n);

	assert_int_equal(be16_at(data), 0x1234);
	assert_int_equal(be16_at(data + 4), 1);
	assert_int_equal(be16_at(data + 8), 0);
	assert_true(name_equal_exact(&n, &query.name));
	m->answers = be16_at(data + 6);
	m->additional = be16_at(data + 10);
	m->truncated = (be16_at(data + 2) & DNS_FLAG_TC) != 0;
	at += 4;
	for (unsigned i = 0; i < m->answers + m->additional; i++) {
		if (i < m->answers)
			m->at[0][i] = at;
		else if (i - m->answers < INSTANCES_MAX)
			m->at[2][i - m->answers] = at;
		at = name_read(bytes_of(data, size), at, &n);
		assert_int_not_equal(at, 0);
		assert_in_range(at + 10, 0, size);
		if (i < m->answers)
			assert_true(name_equal_exact(&n, &query.name));
		at += 10 + be16_at(data + at + 8);
	}
	assert_int_equal(at, size);
}

/* A record as text-free octets: its owner and target in full, for comparing without regard to order and compression. */
static size_t
expand(const uint8_t *data, size_t size, size_t at, uint8_t record[1024])
{
	struct name n;
	size_t used, length;

	at = name_read(bytes_of(data, size), at, &n);
	memset(record, 0, 1024);
	memcpy(record, n.wire, n.size);
	used = n.size;
	length = be16_at(data + at + 8);
	memcpy(record + used, data + at, 8);
	used += 8;
	assert_in_range(used + length, 0, 1024);
	if (be16_at(data + at) == DNS_SRV) {
		memcpy(record + used, data + at + 10, 6);
		assert_int_equal(name_read(bytes_of(data, size), at + 16, &n), at + 10 + length);
		memcpy(record + used + 6, n.wire, n.size);
		return used + 6 + n.size;
	}
	memcpy(record + used, data + at + 10, length);
	return used + length;
}

static int
by_octets(const void *a, const void *b)
{
	return memcmp(a, b, 1024);
}

static size_t
records_sorted(const uint8_t *data, size_t size, const struct message *m, uint8_t records[][1024])
{
	size_t count = 0;

	for (unsigned i = 0; i < m->answers; i++)
		expand(data, size, m->at[0][i], records[count++]);
	for (unsigned i = 0; i < m->additional; i++)
		expand(data, size, m->at[2][i], records[count++]);
	qsort(records, count, 1024, by_octets);
	return count;
}

/* Whole answers hold the same records as those of answer_write. */
static void
test_same_records(void **state)
{
	static uint8_t ours[400][1024], theirs[400][1024];
	static struct message m, reference;
	static const uint16_t types[] = {DNS_A, DNS_AAAA, DNS_ANY, DNS_TXT, DNS_SRV};

	(void)state;
	for (unsigned round = 0; round < 4 * COUNTOF(types); round++) {
		bool own = (round & 1) != 0;
		struct service_set set = many(60, own);
		struct dns_answer a;
		struct packet *p;
		size_t size, count;

		edns((round & 2) != 0 ? 65535 : 0);
		query.type = types[round / 4];
		region_reset(context.region);
		p = packet_of_service(&context, &set);
		if (query.type == DNS_AAAA) {
			assert_null(p); /* no data: with an SOA record */
			continue;
		}
		assert_non_null(p);
		size = packet_write(p, &settings, &query, false, out, sizeof out);
		parse(out, size, &m);
		answer_service(&context, &set, false, &a);
		size = answer_write(&context, &a, false, expected, sizeof expected);
		parse(expected, size, &reference);
		count = records_sorted(expected, size, &reference, theirs);
		size = packet_write(p, &settings, &query, false, out, sizeof out);
		parse(out, size, &m);
		assert_int_equal(records_sorted(out, size, &m, ours), count);
		assert_memory_equal(ours, theirs, count * 1024);
		assert_int_equal(be16_at(out + 2), be16_at(expected + 2));
		packet_free(p);
	}
}

/* Counts and sizes of cut answers are those of answer_write. */
static void
test_same_limits(void **state)
{
	static const uint16_t sizes[] = {0, 400, 512, 513, 600, 1232, 4096, 65535};
	static struct message m, reference;

	(void)state;
	settings.enable_truncate = true;
	for (unsigned round = 0; round < 3 * 2 * COUNTOF(sizes) * 4; round++) {
		static const size_t counts[] = {1, 3, 9, 70};
		bool udp = round % 3 != 2, own = round / 3 % 2;
		struct service_set set = many(counts[round / 6 % 4], own);
		struct dns_answer a;
		struct packet *p;
		size_t size, reference_size;

		query.type = round % 3 == 0 ? DNS_A : DNS_SRV;
		edns(sizes[round / 24]);
		region_reset(context.region);
		p = packet_of_service(&context, &set);
		assert_non_null(p);
		size = packet_write(p, &settings, &query, udp, out, sizeof out);
		answer_service(&context, &set, false, &a);
		reference_size = answer_write(&context, &a, udp, expected, sizeof expected);
		parse(expected, reference_size, &reference);
		packet_free(p);
		if (size == 0) /* answer_write finds room for all */
			continue;
		parse(out, size, &m);
		if (m.answers != reference.answers || m.additional != reference.additional ||
		    m.truncated != reference.truncated)
			fail_msg("round %u: %u answers, %u additional, %zu octets; expected %u, %u, %zu", round,
			    m.answers, m.additional, size, reference.answers, reference.additional, reference_size);
	}
}

/* 5,000 instances: TCP gives as many as a message may have, UDP the few that fit, the TC bit as configured. */
static void
test_large_service(void **state)
{
	static const struct {
		uint16_t type, edns;
		bool udp;
		unsigned least, most;
		size_t size_max;
	} cases[] = {
	    {DNS_A, 0, false, 4080, 4096, 65535},
	    {DNS_SRV, 0, false, 900, 1024, 65535},
	    {DNS_A, 0, true, 3, 3, 512},
	    {DNS_SRV, 0, true, 3, 3, 512},
	    {DNS_A, 1232, true, 73, 76, 1232},
	    {DNS_SRV, 1232, true, 15, 25, 1232},
	    {DNS_SRV, 65535, true, 900, 1100, 65535},
	};
	static struct message m;

	(void)state;
	for (size_t i = 0; i < 2 * COUNTOF(cases); i++) {
		struct service_set set = many(INSTANCES_MAX, false);
		struct packet *p;
		size_t size;

		settings.enable_truncate = i >= COUNTOF(cases);
		query.type = cases[i % COUNTOF(cases)].type;
		edns(cases[i % COUNTOF(cases)].edns);
		region_reset(context.region);
		p = packet_of_service(&context, &set);
		assert_non_null(p);
		size = packet_write(p, &settings, &query, cases[i % COUNTOF(cases)].udp, out, sizeof out);
		assert_in_range(size, 12, cases[i % COUNTOF(cases)].size_max);
		parse(out, size, &m);
		assert_in_range(m.answers, cases[i % COUNTOF(cases)].least, cases[i % COUNTOF(cases)].most);
		assert_int_equal(m.truncated, settings.enable_truncate);
		if (query.type == DNS_SRV) /* each with its own address, pointed at or not */
			for (unsigned k = 0; k < m.answers; k++) {
				struct name target, owner;
				size_t at = name_read(bytes_of(out, size), m.at[0][k], &owner);

				assert_int_not_equal(name_read(bytes_of(out, size), at + 16, &target), 0);
				assert_int_not_equal(name_read(bytes_of(out, size), m.at[2][k], &owner), 0);
				assert_true(name_equal_exact(&owner, &target));
			}
		packet_free(p);
	}
}

/* A few of many at a time: everyone comes, and nobody much more often than others. */
static void
test_every_instance_appears(void **state)
{
	static unsigned given[INSTANCES_MAX];
	static struct message m;
	struct service_set set = many(INSTANCES_MAX, false);
	struct packet *p = packet_of_service(&context, &set);
	unsigned least = UINT_MAX, most = 0;

	(void)state;
	assert_non_null(p);
	memset(given, 0, sizeof given);
	for (unsigned i = 0; i < 50000; i++) {
		size_t size = packet_write(p, &settings, &query, true, out, sizeof out);

		parse(out, size, &m);
		assert_int_equal(m.answers, 3);
		for (unsigned k = 0; k < 3; k++) {
			size_t rdata = m.at[0][k] + 12;
			unsigned index = (unsigned)out[rdata + 2] << 8 | out[rdata + 3];

			assert_in_range(index, 0, INSTANCES_MAX - 1);
			given[index]++;
		}
	}
	for (unsigned i = 0; i < INSTANCES_MAX; i++) {
		least = MIN(least, given[i]);
		most = MAX(most, given[i]);
	}
	/* 30 on average, with a deviation of 5.5: eight of them away is a fault */
	assert_in_range(least, 1, 30);
	assert_in_range(most, 30, 75);
	packet_free(p);
}

static void
test_all_orders_come(void **state)
{
	struct service_set set = many(3, true);
	unsigned seen = 0;
	struct packet *p;

	(void)state;
	query.type = DNS_SRV;
	p = packet_of_service(&context, &set);
	for (unsigned i = 0; i < 1000; i++) {
		static struct message m;
		unsigned order = 0;

		edns(4096);
		parse(out, packet_write(p, &settings, &query, true, out, sizeof out), &m);
		assert_int_equal(m.answers, 3);
		for (unsigned k = 0; k < 2; k++) /* the target begins with the address in hex */
			order = order * 3 + (unsigned)(out[m.at[0][k] + 18 + 8] - '0');
		seen |= 1u << order;
	}
	assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7);
	packet_free(p);
}

/* Instances that share an address are one answer, which comes first as often as they are many. */
static void
test_equal_answers_are_one(void **state)
{
	struct service_set set = many(10, true);
	unsigned first = 0;
	struct packet *p;

	(void)state;
	for (unsigned i = 1; i < 10; i++) {
		instances[i].service_address.plain = bytes_str("10.0.0.1");
		instances[i].port = (uint16_t)(80 + i);
	}
	p = packet_of_service(&context, &set);
	assert_non_null(p);
	for (unsigned i = 0; i < 2000; i++) {
		static struct message m;

		parse(out, packet_write(p, &settings, &query, true, out, sizeof out), &m);
		assert_int_equal(m.answers, 2);
		first += out[m.at[0][0] + 15] == 1;
	}
	assert_in_range(first, 1650, 1950);
	settings.a_record_limit = 1;
	for (unsigned i = 0; i < 20; i++) {
		static struct message m;

		parse(out, packet_write(p, &settings, &query, false, out, sizeof out), &m);
		assert_int_equal(m.answers, 1);
		assert_false(m.truncated);
	}
	packet_free(p);
}

/* One packet serves every spelling: question, owners and the zone of the targets come as asked. */
static void
test_letter_case(void **state)
{
	struct service_set set = many(3, false);
	static struct message m;
	struct packet *p;
	struct name target;

	(void)state;
	query.type = DNS_SRV;
	p = packet_of_service(&context, &set);
	name_set(&query.name, "mAny.serVice.CoNsul");
	edns(4096);
	parse(out, packet_write(p, &settings, &query, true, out, sizeof out), &m);
	assert_int_not_equal(name_read(bytes_of(out, sizeof out), m.at[0][0] + 18, &target), 0);
	assert_memory_equal(target.wire + target.size - 8, "\6CoNsul", 8);
	name_set(&query.name, "many.service.consul");
	parse(out, packet_write(p, &settings, &query, true, out, sizeof out), &m);
	assert_int_not_equal(name_read(bytes_of(out, sizeof out), m.at[0][0] + 18, &target), 0);
	assert_memory_equal(target.wire + target.size - 8, "\6consul", 8);
	packet_free(p);
}

/* What cannot be given in any order, or needs more than the entry, is not kept. */
static void
test_not_for_keeping(void **state)
{
	struct service_set set = many(3, false), nobody = {NULL, 0};

	(void)state;
	assert_null(packet_of_service(&context, &nobody));
	settings.compress = false;
	assert_null(packet_of_service(&context, &set));
	settings.compress = true;
	instances[1].service_address.plain = bytes_str("db.example.com");
	assert_null(packet_of_service(&context, &set));
	query.type = DNS_SRV;
	assert_null(packet_of_service(&context, &set));
}

static void
test_node(void **state)
{
	struct node_record node = {.node = bytes_str("n1"), .datacenter = bytes_str("dc1")};
	static const uint16_t types[] = {DNS_A, DNS_TXT, DNS_ANY};

	(void)state;
	node.meta = buf_bytes(&meta);
	node.address.plain = bytes_str("10.0.0.1");
	name_set(&query.name, "n1.node.consul");
	context.service = NULL;
	for (size_t i = 0; i < COUNTOF(types); i++) {
		struct dns_answer a;
		struct packet *p;
		size_t size;

		query.type = types[i];
		answer_node(&context, &node, &a);
		p = packet_of_answer(&context, &a);
		assert_non_null(p);
		size = answer_write(&context, &a, true, expected, sizeof expected);
		assert_int_equal(packet_write(p, &settings, &query, true, out, sizeof out), size);
		assert_memory_equal(out, expected, size);
		packet_free(p);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_same_records),
	    TEST(test_same_limits),
	    TEST(test_large_service),
	    TEST(test_every_instance_appears),
	    TEST(test_all_orders_come),
	    TEST(test_equal_answers_are_one),
	    TEST(test_letter_case),
	    TEST(test_not_for_keeping),
	    TEST(test_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

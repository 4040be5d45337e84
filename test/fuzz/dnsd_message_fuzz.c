/*
 * dnsd_message_fuzz.c - DNS queries: read, parse the question, write an answer with it, from records and from a packet
 */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "mem.h"
#include "name.h"
#include "packet.h"
#include "wire.h"

/* Every record of an answer can be read, and nothing is behind the last one. */
static void
read_back(struct bytes message)
{
	struct name n;
	size_t at = name_read(message, DNS_HEADER_BYTES, &n) + 4;
	unsigned records = be16_at(message.data + 6) + be16_at(message.data + 8) + be16_at(message.data + 10);

	while (records-- > 0) {
		at = name_read(message, at, &n);
		if (at == 0 || message.size - at < 10 || message.size - at - 10 < be16_at(message.data + at + 8))
			abort();
		at += 10u + be16_at(message.data + at + 8);
	}
	if (at != message.size)
		abort();
}

/* Three instances on two nodes, one with an address of its own: what is kept for the question gives an answer over both transports. */
static void
write_packet(const struct dns_query *q, unsigned labels)
{
	static const uint8_t META[] = {0x81, 0xa1, 'k', 0xa1, 'v'};
	static struct settings settings = {.compress = true, .node_meta_txt = true, .udp_answer_limit = 3};
	static uint8_t out[DNS_MESSAGE_MAX];
	static struct answer_context context;
	struct instance instances[3];
	struct service_set set = {instances, COUNTOF(instances)};
	struct packet *p;

	for (size_t i = 0; i < COUNTOF(instances); i++)
		instances[i] = (struct instance){.node = bytes_str(i == 0 ? "n1" : "n2"),
		    .datacenter = bytes_str("dc1"),
		    .node_address = {.plain = bytes_str(i == 0 ? "10.0.0.1" : "2001:db8::1")},
		    .service_address = {.plain = bytes_str(i == 2 ? "10.0.0.3" : "")},
		    .node_meta = bytes_of(META, sizeof META),
		    .port = (uint16_t)i};
	memset(&context, 0, sizeof context);
	context.region = region_new();
	context.settings = &settings;
	context.query = q;
	context.service = "web";
	name_suffix(&q->name, labels, &context.zone);
	p = packet_of_service(&context, &set);
	for (int udp = 0; p != NULL && udp < 2; udp++) {
		size_t size = packet_write(p, &settings, q, udp != 0, out, sizeof out);

		if (size > 0)
			read_back(bytes_of(out, size));
	}
	packet_free(p);
	region_free(context.region);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[DNS_MESSAGE_MAX];
	struct dns_query q;
	struct question question;
	enum dns_rcode rcode;
	struct name zone;
	struct dns_record record = {.type = DNS_A, .ttl = 1};
	struct dns_answer answer = {.answer = {&record, 1}, .authoritative = true};
	enum dns_verdict verdict = dns_query_read((struct bytes){data, size}, &q, &rcode);
	char text[NAME_TEXT_MAX];
	int labels;

	if (verdict == DNS_DROP)
		return 0;
	if (verdict != DNS_ACCEPT) {
		if (dns_reject_write(&q, verdict, rcode, out, sizeof out) == 0)
			abort();
		return 0;
	}
	if (q.name.size == 0 || strlen(name_text(&q.name, text)) == 0)
		abort();
	if (name_from_text((struct bytes){(const uint8_t *)"consul", 6}, &zone) == -1)
		abort();
	labels = name_in_zone(&q.name, &zone);
	if (labels != -1) {
		question_parse(&q.name, (unsigned)labels, q.type == DNS_SRV, &question);
		write_packet(&q, (unsigned)labels);
	}
	record.owner = &q.name;
	if (dns_answer_write(&q, &answer, true, out, sizeof out) == 0)
		abort();
	return 0;
}

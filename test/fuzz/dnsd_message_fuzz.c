/*
 * dnsd_message_fuzz.c - DNS queries: read, parse the question, write an answer with it
 */
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "wire.h"

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
	if (labels != -1)
		question_parse(&q.name, (unsigned)labels, q.type == DNS_SRV, &question);
	record.owner = &q.name;
	if (dns_answer_write(&q, &answer, true, out, sizeof out) == 0)
		abort();
	return 0;
}

/*
 * wire.c - DNS messages (contract: wire.h)
 *
 * The writer remembers where each suffix of each name it wrote begins, in a hash of offsets: an answer of thousands of records
 * stays linear. Only offsets below 0x4000 can be pointed at.
 */
#include "wire.h"

#include <string.h>

#include "buf.h"
#include "log.h"
#include "mem.h"

/* ---- reading ---- */

#define OPTION_ECS 8

static enum dns_verdict
reject(enum dns_verdict verdict, enum dns_rcode code, enum dns_rcode *rcode)
{
	*rcode = code;
	return verdict;
}

/* RFC 7871 6; 0 or -1. */
static int
read_ecs(struct bytes data, struct dns_query *q)
{
	struct dns_ecs *e = &q->ecs;
	unsigned bits;
	size_t octets;

	if (data.size < 4)
		return -1;
	memset(e, 0, sizeof *e);
	e->family = be16_at(data.data);
	e->source_prefix = data.data[2];
	bits = e->family == 1 ? 32 : e->family == 2 ? 128 : 0;
	if (e->family > 2 || e->source_prefix > bits)
		return -1;
	octets = ((size_t)e->source_prefix + 7) / 8;
	memcpy(e->address, data.data + 4, MIN(octets, data.size - 4));
	if (e->source_prefix % 8 != 0)
		e->address[octets - 1] &= (uint8_t)(0xff << (8 - e->source_prefix % 8));
	q->has_ecs = true;
	return 0;
}

static int
read_options(struct bytes data, struct dns_query *q)
{
	while (data.size > 0) {
		size_t length;

		if (data.size < 4)
			return -1;
		length = be16_at(data.data + 2);
		if (length > data.size - 4)
			return -1;
		if (be16_at(data.data) == OPTION_ECS && read_ecs(bytes_of(data.data + 4, length), q) == -1)
			return -1;
		data.data += 4 + length;
		data.size -= 4 + length;
	}
	return 0;
}

/* One record behind the question. Returns the offset behind it, 0 if it can not be parsed. */
static size_t
read_record(struct bytes message, size_t at, struct dns_query *q)
{
	struct name owner;
	uint16_t type;
	size_t length;

	at = name_read(message, at, &owner);
	if (at == 0 || message.size - at < 10)
		return 0;
	type = be16_at(message.data + at);
	length = be16_at(message.data + at + 8);
	if (length > message.size - at - 10)
		return 0;
	if (type == DNS_OPT) {
		q->edns = true;
		q->edns_size = be16_at(message.data + at + 2);
		if (read_options(bytes_of(message.data + at + 10, length), q) == -1)
			return 0;
	}
	return at + 10 + length;
}

/* The root: a rejected query is logged by its name, too, and half a name is none. */
static void
name_clear(struct name *n)
{
	n->wire[0] = 0;
	n->size = 1;
}

enum dns_verdict
dns_query_read(struct bytes message, struct dns_query *out, enum dns_rcode *rcode)
{
	const uint8_t *p = message.data;
	unsigned records;
	size_t at;

	memset(out, 0, offsetof(struct dns_query, name));
	out->edns = out->has_ecs = false;
	out->edns_size = 0;
	name_clear(&out->name);
	if (message.size < DNS_HEADER_BYTES)
		return DNS_DROP;
	out->id = be16_at(p);
	out->flags = be16_at(p + 2);
	out->opcode = out->flags >> 11 & 15;
	if ((out->flags & DNS_FLAG_QR) != 0)
		return DNS_DROP;
	if (out->opcode != DNS_OPCODE_QUERY && out->opcode != DNS_OPCODE_NOTIFY)
		return reject(DNS_REJECT_HEADER, DNS_NOTIMP, rcode);
	if (be16_at(p + 4) != 1 || be16_at(p + 6) > 1 || be16_at(p + 8) > 1 || be16_at(p + 10) > 2)
		return reject(DNS_REJECT_HEADER, DNS_FORMERR, rcode);
	if (message.size == DNS_HEADER_BYTES)
		return reject(DNS_REJECT_HEADER, DNS_REFUSED, rcode);
	at = name_read(message, DNS_HEADER_BYTES, &out->name);
	if (at == 0)
		name_clear(&out->name);
	if (at == 0 || (message.size > at && message.size - at < 2) || message.size - at == 3)
		return reject(DNS_REJECT_HEADER, DNS_FORMERR, rcode);
	out->type = 0;
	out->class = 1;
	if (message.size > at) {
		out->type = be16_at(p + at);
		at += 2;
	}
	if (message.size > at) {
		out->class = be16_at(p + at);
		at += 2;
	}
	records = (unsigned)be16_at(p + 6) + be16_at(p + 8) + be16_at(p + 10);
	/* a message that ends here although records were promised is tolerated, and so is what follows the last one */
	if (at == message.size)
		return DNS_ACCEPT;
	while (records-- > 0) {
		at = read_record(message, at, out);
		if (at == 0)
			return reject(DNS_REJECT_QUESTION, DNS_FORMERR, rcode);
	}
	return DNS_ACCEPT;
}

/* ---- writing ---- */

#define SUFFIX_SLOTS 4096
#define POINTER_LIMIT 0x4000

struct writer {
	uint8_t *out;
	size_t size, used;
	bool full;
	bool compress;
	unsigned slots;                /* in use */
	uint16_t suffix[SUFFIX_SLOTS]; /* offset of a suffix written in full, 0: free */
};

/* One at a time: the process has one thread. Large, so not on the stack; only the used part of suffix is cleared again. */
static struct writer the_writer;
static uint16_t touched[SUFFIX_SLOTS];

static void
writer_begin(struct writer *w, uint8_t *out, size_t size, bool compress)
{
	for (unsigned i = 0; i < w->slots; i++)
		w->suffix[touched[i]] = 0;
	w->out = out;
	w->size = size;
	w->used = 0;
	w->full = false;
	w->compress = compress;
	w->slots = 0;
}

static void
put(struct writer *w, const void *data, size_t size)
{
	if (w->full || w->size - w->used < size) {
		w->full = true;
		return;
	}
	memcpy(w->out + w->used, data, size);
	w->used += size;
}

static void
put16(struct writer *w, unsigned value)
{
	uint8_t p[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	put(w, p, sizeof p);
}

static void
put32(struct writer *w, uint32_t value)
{
	put16(w, value >> 16);
	put16(w, value & 0xffff);
}

static uint32_t
suffix_hash(const uint8_t *wire, size_t size)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < size; i++)
		h = (h ^ wire[i]) * 16777619u;
	return h;
}

/* Does the name at offset at of what is written so far equal this one, octet for octet? */
static bool
written_equals(const struct writer *w, size_t at, const uint8_t *wire)
{
	for (;;) {
		uint8_t length;

		if (at >= w->used)
			return false; /* the name that is being written: it is no shorter suffix of itself */
		length = w->out[at];
		if ((length & 0xc0) == 0xc0) {
			at = (size_t)(length & 0x3f) << 8 | w->out[at + 1];
			continue;
		}
		if (w->used - at < (size_t)length + 1 || memcmp(w->out + at, wire, (size_t)length + 1) != 0)
			return false;
		if (length == 0)
			return true;
		at += (size_t)length + 1;
		wire += (size_t)length + 1;
	}
}

/* The slot of this suffix: its offset is there, or the slot is free. NULL: the table is as full as it may get. */
static uint16_t *
suffix_slot(struct writer *w, const uint8_t *wire, size_t size)
{
	uint32_t at = suffix_hash(wire, size) & (SUFFIX_SLOTS - 1);

	if (w->slots > SUFFIX_SLOTS * 3 / 4)
		return NULL;
	while (w->suffix[at] != 0 && !written_equals(w, w->suffix[at], wire))
		at = (at + 1) & (SUFFIX_SLOTS - 1);
	return &w->suffix[at];
}

/* point: earlier suffixes may be pointed at. */
static void
put_name(struct writer *w, const struct name *n, bool point)
{
	size_t at = 0;

	while (n->wire[at] != 0) {
		uint16_t *slot = w->compress ? suffix_slot(w, n->wire + at, (size_t)n->size - at) : NULL;

		if (slot != NULL && *slot != 0 && point) {
			put16(w, 0xc000u | *slot);
			return;
		}
		if (slot != NULL && *slot == 0 && w->used < POINTER_LIMIT) {
			*slot = (uint16_t)w->used;
			touched[w->slots++] = (uint16_t)(slot - w->suffix);
			/* what follows is written before anybody compares with it; a full buffer ends the message anyway */
		}
		put(w, n->wire + at, (size_t)n->wire[at] + 1);
		if (w->full)
			return;
		at += (size_t)n->wire[at] + 1;
	}
	put(w, "", 1);
}

static void
put_txt(struct writer *w, struct bytes text)
{
	do {
		uint8_t length = (uint8_t)MIN(text.size, (size_t)255);

		put(w, &length, 1);
		put(w, text.data, length);
		text.data += length;
		text.size -= length;
	} while (text.size > 0);
}

static void
put_rdata(struct writer *w, const struct dns_record *r)
{
	switch (r->type) {
	case DNS_A:
		put(w, r->a, sizeof r->a);
		break;
	case DNS_AAAA:
		put(w, r->aaaa, sizeof r->aaaa);
		break;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		put_name(w, r->name, true);
		break;
	case DNS_SRV:
		put16(w, r->srv.priority);
		put16(w, r->srv.weight);
		put16(w, r->srv.port);
		put_name(w, r->srv.target, false);
		break;
	case DNS_TXT:
		put_txt(w, r->txt);
		break;
	case DNS_SOA:
		put_name(w, r->soa.mname, true);
		put_name(w, r->soa.rname, true);
		put32(w, r->soa.serial);
		put32(w, r->soa.refresh);
		put32(w, r->soa.retry);
		put32(w, r->soa.expire);
		put32(w, r->soa.minimum);
		break;
	default:
		put(w, r->raw.data, r->raw.size);
	}
}

/* Type to rdata. */
static void
put_record(struct writer *w, const struct dns_record *r)
{
	size_t length_at, length;

	put16(w, r->type);
	put16(w, 1);
	put32(w, r->ttl);
	length_at = w->used;
	put16(w, 0);
	put_rdata(w, r);
	if (w->full)
		return;
	length = w->used - length_at - 2;
	w->out[length_at] = (uint8_t)(length >> 8);
	w->out[length_at + 1] = (uint8_t)length;
}

static void
put_section(struct writer *w, const struct dns_section *s)
{
	for (size_t i = 0; i < s->count && !w->full; i++) {
		put_name(w, s->records[i].owner, true);
		put_record(w, &s->records[i]);
	}
}

static size_t
ecs_bytes(const struct dns_query *q)
{
	return q->has_ecs ? 8 + ((size_t)q->ecs.source_prefix + 7) / 8 : 0;
}

size_t
dns_opt_bytes(const struct dns_query *q)
{
	return q->edns ? 11 + ecs_bytes(q) : 0;
}

static void
put_opt(struct writer *w, const struct dns_query *q, uint8_t scope)
{
	size_t octets = ((size_t)q->ecs.source_prefix + 7) / 8;
	uint8_t prefix[2] = {q->ecs.source_prefix, scope};

	put(w, "", 1);
	put16(w, DNS_OPT);
	put16(w, q->edns_size);
	put32(w, 0);
	put16(w, (unsigned)ecs_bytes(q));
	if (!q->has_ecs)
		return;
	put16(w, OPTION_ECS);
	put16(w, (unsigned)(4 + octets));
	put16(w, q->ecs.family);
	put(w, prefix, sizeof prefix);
	put(w, q->ecs.address, octets);
}

static unsigned
answer_flags(const struct dns_query *q, const struct dns_answer *a)
{
	unsigned flags = DNS_FLAG_QR | q->opcode << 11 | (unsigned)a->rcode;

	if (a->authoritative)
		flags |= DNS_FLAG_AA;
	if (a->truncated)
		flags |= DNS_FLAG_TC;
	if (a->recursion_available)
		flags |= DNS_FLAG_RA;
	if (q->opcode == DNS_OPCODE_QUERY)
		flags |= q->flags & (DNS_FLAG_RD | DNS_FLAG_CD);
	return flags;
}

static void
put_header(struct writer *w, unsigned id, unsigned flags, size_t questions, size_t answers, size_t authorities,
    size_t additionals)
{
	put16(w, id);
	put16(w, flags);
	put16(w, (unsigned)questions);
	put16(w, (unsigned)answers);
	put16(w, (unsigned)authorities);
	put16(w, (unsigned)additionals);
}

static void
put_question(struct writer *w, const struct dns_query *q)
{
	put_name(w, &q->name, true);
	put16(w, q->type);
	put16(w, q->class);
}

static bool
counts_fit(const struct dns_answer *a)
{
	return a->answer.count <= UINT16_MAX && a->authority.count <= UINT16_MAX && a->additional.count < UINT16_MAX;
}

static void
put_head(struct writer *w, const struct dns_query *q, const struct dns_answer *a)
{
	put_header(w, q->id, answer_flags(q, a), 1, a->answer.count, a->authority.count, a->additional.count + q->edns);
	put_question(w, q);
}

size_t
dns_head_write(const struct dns_query *q, const struct dns_answer *a, uint8_t *out, size_t size)
{
	struct writer *w = &the_writer;

	if (!counts_fit(a))
		return 0;
	writer_begin(w, out, size, false);
	put_head(w, q, a);
	return w->full ? 0 : w->used;
}

size_t
dns_record_write(const struct dns_record *r, uint8_t *out, size_t size)
{
	struct writer *w = &the_writer;

	writer_begin(w, out, size, false);
	put_record(w, r);
	return w->full ? 0 : w->used;
}

size_t
dns_opt_write(const struct dns_query *q, uint8_t ecs_scope, uint8_t *out, size_t size)
{
	struct writer *w = &the_writer;

	writer_begin(w, out, size, false);
	put_opt(w, q, ecs_scope);
	return w->full ? 0 : w->used;
}

size_t
dns_answer_write(const struct dns_query *q, const struct dns_answer *a, bool compress, uint8_t *out, size_t size)
{
	struct writer *w = &the_writer;

	if (!counts_fit(a))
		return 0;
	writer_begin(w, out, size, compress);
	put_head(w, q, a);
	put_section(w, &a->answer);
	put_section(w, &a->authority);
	put_section(w, &a->additional);
	if (q->edns)
		put_opt(w, q, a->ecs_scope);
	return w->full ? 0 : w->used;
}

size_t
dns_reject_write(const struct dns_query *q, enum dns_verdict verdict, enum dns_rcode rcode, uint8_t *out, size_t size)
{
	struct writer *w = &the_writer;
	unsigned flags = DNS_FLAG_QR | (q->flags & DNS_FLAG_RD) | (unsigned)rcode;

	writer_begin(w, out, size, true);
	if (rcode == DNS_NOTIMP)
		flags |= q->opcode << 11;
	put_header(w, q->id, flags, verdict == DNS_REJECT_QUESTION, 0, 0, 0);
	if (verdict == DNS_REJECT_QUESTION)
		put_question(w, q);
	return w->full ? 0 : w->used;
}

/*
 * wire.h - DNS messages: reading a query, writing an answer (RFC 1035, 6891, 7871)
 *
 * Reading is bounded and allocates nothing. Writing compresses as the reference does: every name but SRV targets, which are written in full (RFC 2782)
 * and may be pointed at by later names; suffixes match with letter case.
 */
#ifndef DNSD_WIRE_H
#define DNSD_WIRE_H

#include <stdbool.h>

#include "cdefs.h"
#include "name.h"

#define DNS_HEADER_BYTES 12
#define DNS_MESSAGE_MAX 65535
#define DNS_UDP_DEFAULT 512

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_OPT = 41,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_ANY = 255,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5
};

#define DNS_FLAG_QR 0x8000u
#define DNS_FLAG_AA 0x0400u
#define DNS_FLAG_TC 0x0200u
#define DNS_FLAG_RD 0x0100u
#define DNS_FLAG_RA 0x0080u
#define DNS_FLAG_CD 0x0010u

#define DNS_OPCODE_QUERY 0
#define DNS_OPCODE_NOTIFY 4

/* EDNS client subnet, RFC 7871: as asked, the address masked to the prefix. */
struct dns_ecs {
	uint16_t family; /* 1 IPv4, 2 IPv6, 0 none given */
	uint8_t source_prefix;
	uint8_t address[16];
};

struct dns_query {
	uint16_t id;
	uint16_t flags; /* as received */
	unsigned opcode;
	struct name name;
	uint16_t type, class;
	bool edns;
	uint16_t edns_size;
	bool has_ecs;
	struct dns_ecs ecs;
};

enum dns_verdict {
	DNS_ACCEPT,
	DNS_DROP,            /* no answer */
	DNS_REJECT_HEADER,   /* the header alone, with *rcode */
	DNS_REJECT_QUESTION, /* header and question, with *rcode, no OPT */
};

/* dns.md section 1. *out is set as far as the verdict needs it. */
MUST_USE enum dns_verdict dns_query_read(struct bytes message, struct dns_query *out, enum dns_rcode *rcode);

/* One record of an answer. Names and texts are owned by the answer's region. */
struct dns_record {
	const struct name *owner;
	uint16_t type;
	uint32_t ttl;
	union {
		uint8_t a[4];
		uint8_t aaaa[16];
		const struct name *name; /* NS, CNAME, PTR */
		struct {
			uint16_t priority, weight, port;
			const struct name *target;
		} srv;
		struct bytes txt; /* cut into strings of at most 255 octets */
		struct {
			const struct name *mname, *rname;
			uint32_t serial, refresh, retry, expire, minimum;
		} soa;
		struct bytes raw; /* rdata of a type not listed here, without compression */
	};
};

struct dns_section {
	struct dns_record *records;
	size_t count;
};

struct dns_answer {
	enum dns_rcode rcode;
	bool authoritative, recursion_available, truncated;
	struct dns_section answer, authority, additional;
	uint8_t ecs_scope;
};

/*
 * Writes the answer to q into out. compress: false writes every name in full. Returns the size, or 0 if it does not fit into size.
 * Of q's flags RD and CD are copied (not for NOTIFY).
 */
MUST_USE size_t dns_answer_write(
    const struct dns_query *q, const struct dns_answer *a, bool compress, uint8_t *out, size_t size);
/*
 * The parts of a message, for who puts it together from ready pieces; each returns what it wrote, or 0 if that does not fit into size. The
 * head is the header, with the counts of a's sections, and q's question; a record has neither owner nor pointers.
 */
MUST_USE size_t dns_head_write(const struct dns_query *q, const struct dns_answer *a, uint8_t *out, size_t size);
MUST_USE size_t dns_record_write(const struct dns_record *r, uint8_t *out, size_t size);
MUST_USE size_t dns_opt_write(const struct dns_query *q, uint8_t ecs_scope, uint8_t *out, size_t size);
/* Size that OPT takes in an answer to q; 0 without EDNS. */
size_t dns_opt_bytes(const struct dns_query *q);
/* The short forms of dns_query_read's rejections. */
MUST_USE size_t dns_reject_write(
    const struct dns_query *q, enum dns_verdict verdict, enum dns_rcode rcode, uint8_t *out, size_t size);

#endif

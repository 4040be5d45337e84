/*
 * answer.h - from instances and nodes to the records of an answer (pure: no clock but the serial given, no I/O)
 *
 * Rules: sections 3, 5, 6, 8 to 11 of the DNS contract (dnsd(8) describes them for users). Everything an answer points at
 * lives in the context's region or in the sets it was made from.
 */
#ifndef DNSD_ANSWER_H
#define DNSD_ANSWER_H

#include <stdbool.h>

#include "cdefs.h"
#include "conf.h"
#include "mem.h"
#include "name.h"
#include "wire.h"

/* What dnsd takes from its configuration; made anew at each reload. */
struct settings {
	unsigned refs;
	struct name domain, alt_domain; /* lower case */
	bool has_alt_domain;
	char datacenter[NAME_LABEL_MAX + 1];
	uint32_t node_ttl;
	struct service_ttl {
		char *name; /* without the '*' of a prefix */
		bool prefix;
		uint32_t ttl;
	} * service_ttls;
	size_t service_ttl_count;
	bool allow_stale, only_passing, enable_truncate, node_meta_txt, compress;
	int64_t max_stale_ns, hold_ns;
	unsigned udp_answer_limit, a_record_limit;
	uint32_t soa_refresh, soa_retry, soa_expire, soa_min_ttl;
	char **recursors; /* "ip:port" */
	size_t recursor_count;
	bool recursor_random;
	int64_t recursor_timeout_ns;
};

/* One reference for the caller. NULL: error says which key is not usable. */
MUST_USE struct settings *settings_new(const struct conf *conf, char error[CONF_ERROR_MAX]);
/* What is under way keeps the settings it began with. */
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s); /* s may be NULL */
/* TTL of answers for this service (lower case): exact name, else the longest prefix, else 0. */
uint32_t settings_service_ttl(const struct settings *s, const char *service);

/* An address to choose from (section 8.1): texts may be empty, and any of them may be a host name. */
struct address_choice {
	struct bytes plain, v4, v6;
};

struct instance {
	struct bytes node, datacenter;
	struct address_choice node_address, service_address;
	struct bytes node_meta; /* msgpack map text to text */
	uint16_t port, weight;
};

/* Instances of a service, in the catalog's order. */
struct service_set {
	struct instance *instances;
	size_t count;
};

/* One node. */
struct node_record {
	struct bytes node, datacenter, meta;
	struct address_choice address;
};

/* What a host name that stands for an address resolved to. */
struct extra {
	struct name name;
	struct dns_record *records;
	size_t count;
};

#define WANTED_MAX 16

struct answer_context {
	struct region *region;
	const struct settings *settings;
	const struct dns_query *query;
	struct name zone;    /* of the question, in the letter case asked */
	const char *service; /* lower case, for the TTL; NULL for nodes */
	const struct extra *extras;
	size_t extra_count;
	uint32_t serial; /* of the SOA */
	/* Host names that would have to be resolved for a complete answer, filled in while building. */
	struct name wanted[WANTED_MAX];
	size_t wanted_count;
};

/* An empty answer with the flags of our zones. */
void answer_init(const struct answer_context *c, enum dns_rcode rcode, struct dns_answer *out);
/* The same with the SOA in the authority section. */
void answer_negative(const struct answer_context *c, enum dns_rcode rcode, struct dns_answer *out);

/* shuffle: false keeps the set's order (tests). */
void answer_service(struct answer_context *c, const struct service_set *set, bool shuffle, struct dns_answer *out);
/*
 * For packets: the records of every instance in the set's order, equal ones too and a_record_limit aside. (*same)[i] is the first answer record
 * that counts as the same answer as record i. false: host names are in play, or there is no record.
 */
MUST_USE bool answer_all(
    struct answer_context *c, const struct service_set *set, struct dns_answer *out, uint32_t **same);
void answer_node(struct answer_context *c, const struct node_record *node, struct dns_answer *out);
/* SOA and NS questions; servers: instances of the service consul. */
void answer_zone(struct answer_context *c, const struct service_set *servers, bool shuffle, struct dns_answer *out);
/* <hex>.addr: digits in lower case. */
void answer_address(struct answer_context *c, const char *digits, struct dns_answer *out);
/* PTR to target. */
void answer_reverse(struct answer_context *c, const struct name *target, struct dns_answer *out);
/* node.node.<dc>.<zone>. -1: such a name can not be written. */
MUST_USE int answer_node_name(
    struct bytes node, struct bytes datacenter, const struct name *zone, const char *kind, struct name *out);
/* The IP that an .arpa name stands for, as text. -1: it does not stand for one. */
MUST_USE int answer_reverse_ip(const struct name *name, char *out, size_t size);
/* Is it an IP in the strict sense of section 8.1? family: 4 or 6, octets in out. */
bool answer_ip(struct bytes text, unsigned *family, uint8_t out[16]);

/* Section 11: what a message may hold, OPT not counted. srv: SRV was asked and is answered. */
struct answer_limits {
	size_t answers, bytes;
};
struct answer_limits answer_limits(const struct settings *settings, const struct dns_query *q, bool udp, bool srv);
/*
 * Section 11: cuts the answer until it fits and writes it. udp: the client's transport. Returns the size; 0: not even the question fits (can not
 * happen with size >= 512).
 */
MUST_USE size_t answer_write(struct answer_context *c, struct dns_answer *a, bool udp, uint8_t *out, size_t size);

#endif

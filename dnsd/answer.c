/*
 * answer.c - from instances and nodes to the records of an answer (contract: answer.h; cutting and writing: limit.c)
 *
 * Sections grow in the request's region by doubling; old halves stay there until the request is done, which is at most
 * as much again. A record whose name can not be written is left out, the others are answered.
 */
#include "answer.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "mp.h"
#include "uuid.h"

#define NS_MAX 3
#define EXTRA_WITHOUT_EDNS 5

/* ---- records and sections ---- */

static struct dns_record *
section_add(struct region *r, struct dns_section *s)
{
	/* room for powers of two: full exactly when count is one */
	if (s->count == 0 || (s->count >= 4 && (s->count & (s->count - 1)) == 0)) {
		struct dns_record *bigger = region_alloc(r, MAX(s->count * 2, (size_t)4) * sizeof *bigger);

		if (s->count > 0)
			memcpy(bigger, s->records, s->count * sizeof *bigger);
		s->records = bigger;
	}
	return &s->records[s->count++];
}

static struct name *
keep_name(struct region *r, const struct name *n)
{
	struct name *copy = region_alloc(r, offsetof(struct name, wire) + n->size);

	memcpy(copy, n, offsetof(struct name, wire) + n->size);
	return copy;
}

static void
add_ip(struct answer_context *c, struct dns_section *s, const struct name *owner, uint32_t ttl, unsigned family,
    const uint8_t octets[16])
{
	struct dns_record *r = section_add(c->region, s);

	r->owner = owner;
	r->ttl = ttl;
	r->type = family == 4 ? DNS_A : DNS_AAAA;
	memcpy(r->aaaa, octets, family == 4 ? 4 : 16);
}

static void
add_name(struct answer_context *c, struct dns_section *s, const struct name *owner, enum dns_type type, uint32_t ttl,
    const struct name *target)
{
	struct dns_record *r = section_add(c->region, s);

	r->owner = owner;
	r->ttl = ttl;
	r->type = (uint16_t)type;
	r->name = keep_name(c->region, target);
}

bool
answer_ip(struct bytes text, unsigned *family, uint8_t out[16])
{
	char copy[INET6_ADDRSTRLEN];

	if (bytes_to_str(text, copy, sizeof copy) == -1)
		return false;
	if (inet_pton(AF_INET, copy, out) == 1) {
		*family = 4;
		return true;
	}
	if (inet_pton(AF_INET6, copy, out) != 1)
		return false;
	*family = 6;
	if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)out)) {
		*family = 4;
		memmove(out, out + 12, 4);
	}
	return true;
}

/* ---- which address is given (section 8.1) ---- */

static bool
wants(uint16_t type, unsigned family)
{
	if (type == DNS_A)
		return family == 4;
	if (type == DNS_AAAA)
		return family == 6;
	return true;
}

static struct bytes
choose(const struct address_choice *c, uint16_t type)
{
	if (wants(type, 6) && c->v6.size > 0)
		return c->v6;
	if (wants(type, 4) && c->v4.size > 0)
		return c->v4;
	return c->plain;
}

/* The address of an instance; *of_node: it is its node's. */
static struct bytes
choose_instance(const struct instance *i, uint16_t type, bool *of_node)
{
	struct bytes a = choose(&i->service_address, type);

	*of_node = a.size == 0;
	return *of_node ? choose(&i->node_address, type) : a;
}

/* Is the address the question's own name, byte for byte? Then the node's address is meant. */
static bool
is_question(const struct answer_context *c, struct bytes address)
{
	struct name n;

	return name_from_text(address, &n) == 0 && name_equal_exact(&n, &c->query->name);
}

static const struct extra *
find_extra(struct answer_context *c, const struct name *n)
{
	for (size_t i = 0; i < c->extra_count; i++)
		if (name_equal(&c->extras[i].name, n))
			return &c->extras[i];
	for (size_t i = 0; i < c->wanted_count; i++)
		if (name_equal(&c->wanted[i], n))
			return NULL;
	if (c->wanted_count < WANTED_MAX)
		c->wanted[c->wanted_count++] = *n;
	return NULL;
}

/* ---- TXT records of node metadata ---- */

/* RFC 1464: in the key ` and = are quoted, and blanks at its ends; in the value ` is doubled. */
static struct bytes
txt_of(struct region *r, struct bytes key, struct bytes value)
{
	static const char bare[] = "rfc1035-";
	char *out;
	size_t used = 0, first = 0, last = key.size;

	if (key.size >= sizeof bare - 1 && bytes_equal_fold(bytes_of(key.data, sizeof bare - 1), bytes_str(bare)))
		return value;
	out = region_alloc(r, 2 * (key.size + value.size) + 1);
	while (first < key.size && key.data[first] == ' ')
		first++;
	while (last > first && key.data[last - 1] == ' ')
		last--;
	for (size_t i = 0; i < key.size; i++) {
		if (key.data[i] == '`' || key.data[i] == '=' || i < first || i >= last)
			out[used++] = '`';
		out[used++] = (char)key.data[i];
	}
	out[used++] = '=';
	for (size_t i = 0; i < value.size; i++) {
		if (value.data[i] == '`')
			out[used++] = '`';
		out[used++] = (char)value.data[i];
	}
	return bytes_of(out, used);
}

static void
add_meta(struct answer_context *c, struct dns_section *s, const struct name *owner, uint32_t ttl, struct bytes meta)
{
	struct mp in = mp_of(meta);
	uint32_t pairs = meta.size == 0 ? 0 : mp_map(&in);

	while (pairs-- > 0) {
		struct bytes key = mp_str(&in), value = mp_str(&in);
		struct dns_record *r;

		if (!mp_ok(&in))
			return;
		r = section_add(c->region, s);
		r->owner = owner;
		r->type = DNS_TXT;
		r->ttl = ttl;
		r->txt = txt_of(c->region, key, value);
	}
}

/* ---- names of ours ---- */

int
answer_node_name(
    struct bytes node, struct bytes datacenter, const struct name *zone, const char *kind, struct name *out)
{
	struct name head, middle, tail;

	/* a name of several labels is written as such: a.b.node.dc1.consul asks for node a.b */
	if (name_from_text(node, &head) == -1 || name_from_text(bytes_str(kind), &middle) == -1 ||
	    name_join(&head, &middle, &tail) == -1 || name_from_text(datacenter, &middle) == -1 ||
	    name_join(&tail, &middle, &head) == -1)
		return -1;
	return name_join(&head, zone, out);
}

static int
address_name(const uint8_t *octets, unsigned family, struct bytes datacenter, const struct name *zone, struct name *out)
{
	char digits[33];
	size_t count = family == 4 ? 4 : 16;

	for (size_t i = 0; i < count; i++)
		snprintf(digits + 2 * i, 3, "%02x", octets[i]);
	return answer_node_name(bytes_of(digits, count * 2), datacenter, zone, "addr", out);
}

/* ---- SOA, NS ---- */

/* The zone that SOA records name: the alternative one only for names below it, asked in lower case. */
static const struct name *
soa_zone(const struct answer_context *c)
{
	if (c->settings->has_alt_domain && name_equal_exact(&c->zone, &c->settings->alt_domain) &&
	    c->query->name.size > c->zone.size)
		return &c->settings->alt_domain;
	return &c->settings->domain;
}

static void
add_soa(const struct answer_context *c, struct dns_section *s)
{
	const struct name *zone = soa_zone(c);
	struct dns_record *r = section_add(c->region, s);
	struct name label, whole;

	memset(r, 0, sizeof *r);
	r->owner = zone;
	r->type = DNS_SOA;
	r->ttl = c->settings->soa_min_ttl;
	if (name_from_text(bytes_str("ns"), &label) == -1 || name_join(&label, zone, &whole) == -1)
		whole = *zone;
	r->soa.mname = keep_name(c->region, &whole);
	if (name_from_text(bytes_str("hostmaster"), &label) == -1 || name_join(&label, zone, &whole) == -1)
		whole = *zone;
	r->soa.rname = keep_name(c->region, &whole);
	r->soa.serial = c->serial;
	r->soa.refresh = c->settings->soa_refresh;
	r->soa.retry = c->settings->soa_retry;
	r->soa.expire = c->settings->soa_expire;
	r->soa.minimum = c->settings->soa_min_ttl;
}

void
answer_init(const struct answer_context *c, enum dns_rcode rcode, struct dns_answer *out)
{
	memset(out, 0, sizeof *out);
	out->rcode = rcode;
	out->authoritative = true;
	out->recursion_available = c->settings->recursor_count > 0;
}

void
answer_negative(const struct answer_context *c, enum dns_rcode rcode, struct dns_answer *out)
{
	answer_init(c, rcode, out);
	add_soa(c, &out->authority);
}

static void
shuffled(size_t *order, size_t count, bool shuffle)
{
	for (size_t i = 0; i < count; i++)
		order[i] = i;
	for (size_t i = count; shuffle && i > 1; i--) {
		size_t other = (size_t)random_below(i), keep = order[i - 1];

		order[i - 1] = order[other];
		order[other] = keep;
	}
}

static bool
is_host_name(struct bytes node)
{
	for (size_t i = 0; i < node.size; i++)
		if (!isalnum(node.data[i]) && node.data[i] != '-' && node.data[i] != '\\')
			return false;
	return node.size > 0;
}

void
answer_zone(struct answer_context *c, const struct service_set *servers, bool shuffle, struct dns_answer *out)
{
	struct dns_section *ns = &out->answer;
	size_t *order = region_alloc(c->region, (servers->count + 1) * sizeof *order);
	const struct name *owner = keep_name(c->region, &c->zone);

	answer_init(c, DNS_NOERROR, out);
	if (c->query->type == DNS_SOA) {
		add_soa(c, &out->answer);
		ns = &out->authority;
	}
	shuffled(order, servers->count, shuffle);
	for (size_t i = 0; i < servers->count && ns->count < NS_MAX; i++) {
		const struct instance *server = &servers->instances[order[i]];
		struct name target;
		const struct name *kept;
		uint8_t octets[16];
		unsigned family;

		if (!is_host_name(server->node) ||
		    answer_node_name(server->node, server->datacenter, &c->zone, "node", &target) == -1)
			continue;
		name_lower(&target);
		add_name(c, ns, owner, DNS_NS, c->settings->node_ttl, &target);
		kept = ns->records[ns->count - 1].name;
		if (answer_ip(choose(&server->node_address, DNS_ANY), &family, octets))
			add_ip(c, &out->additional, kept, c->settings->node_ttl, family, octets);
	}
}

/* ---- nodes ---- */

/* A node's host name: a CNAME and what it resolved to, with the TTLs that came with it. */
static void
add_node_alias(struct answer_context *c, const struct node_record *node, struct dns_answer *out)
{
	const struct extra *extra;
	struct name target;

	if (name_from_text(node->address.plain, &target) == -1)
		return;
	add_name(c, &out->answer, &c->query->name, DNS_CNAME, c->settings->node_ttl, &target);
	extra = find_extra(c, &target);
	for (size_t i = 0; extra != NULL && i < extra->count; i++)
		*section_add(c->region, &out->answer) = extra->records[i];
}

void
answer_node(struct answer_context *c, const struct node_record *node, struct dns_answer *out)
{
	uint16_t type = c->query->type;
	struct bytes address = choose(&node->address, type);
	uint8_t octets[16];
	unsigned family;
	bool is_ip = answer_ip(address, &family, octets);

	answer_init(c, DNS_NOERROR, out);
	if (type != DNS_TXT) {
		if (is_ip && wants(type, family))
			add_ip(c, &out->answer, &c->query->name, c->settings->node_ttl, family, octets);
		else if (!is_ip && address.size > 0)
			add_node_alias(c, node, out);
	}
	if (type == DNS_TXT || type == DNS_ANY)
		add_meta(c, &out->answer, &c->query->name, c->settings->node_ttl, node->meta);
	else if (c->settings->node_meta_txt)
		add_meta(c, &out->additional, &c->query->name, c->settings->node_ttl, node->meta);
}

/* ---- services ---- */

/* Which answers were given already: by hash, so that thousands of instances stay linear. */
struct seen {
	struct {
		uint64_t key; /* 0: free */
		size_t record;
	} * slots;
	size_t mask;
};

static void
seen_init(struct seen *s, struct region *r, size_t count)
{
	size_t size = 16;

	while (size < count * 2)
		size *= 2;
	s->slots = region_alloc(r, size * sizeof *s->slots);
	memset(s->slots, 0, size * sizeof *s->slots);
	s->mask = size - 1;
}

static uint64_t
hash_bytes(uint64_t h, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return (h ^ size) * UINT64_C(1099511628211);
}

/* The record that was noted with this key first; record, if it is new. 64 bits tell apart what one service can hold. */
static size_t
seen_first(struct seen *s, uint64_t key, size_t record)
{
	size_t at = key & s->mask;

	key |= 1;
	for (; s->slots[at].key != 0; at = (at + 1) & s->mask)
		if (s->slots[at].key == key)
			return s->slots[at].record;
	s->slots[at].key = key;
	s->slots[at].record = record;
	return record;
}

#define HASH_START UINT64_C(14695981039346656037)

static bool
follows_alias(const struct dns_record *r)
{
	return r->type == DNS_A || r->type == DNS_AAAA || r->type == DNS_CNAME;
}

/* What a host name of a service resolved to, with the service's TTL; without EDNS only the first few. */
static void
add_extra(struct answer_context *c, const struct name *target, uint32_t ttl, struct dns_section *s)
{
	const struct extra *extra = find_extra(c, target);
	size_t given = 0;

	for (size_t i = 0; extra != NULL && i < extra->count; i++) {
		struct dns_record *r;

		if (!follows_alias(&extra->records[i]) || (!c->query->edns && given == EXTRA_WITHOUT_EDNS))
			continue;
		r = section_add(c->region, s);
		*r = extra->records[i];
		r->ttl = ttl;
		given++;
	}
}

/* The address that counts for an instance, the node's if the service's is the question itself. */
static struct bytes
effective_address(const struct answer_context *c, const struct instance *i, bool *of_node)
{
	struct bytes address = choose_instance(i, c->query->type, of_node);
	uint8_t octets[16];
	unsigned family;

	if (!*of_node && !answer_ip(address, &family, octets) && is_question(c, address)) {
		struct bytes node = choose(&i->node_address, c->query->type);

		if (answer_ip(node, &family, octets)) {
			*of_node = true;
			return node;
		}
	}
	return address;
}

/*
 * same: NULL, or where to note which record each one repeats: then repeated ones are added, too, and there is no limit. Returns false if
 * a host name is among the addresses.
 */
static bool
add_addresses(struct answer_context *c, const struct service_set *set, const size_t *order, uint32_t ttl,
    struct dns_answer *out, uint32_t *same)
{
	struct bytes alias = {NULL, 0};
	struct seen seen;

	seen_init(&seen, c->region, set->count);
	for (size_t i = 0; i < set->count; i++) {
		uint8_t octets[16];
		unsigned family;
		size_t first;
		bool of_node;
		struct bytes address = effective_address(c, &set->instances[order[i]], &of_node);

		if (!answer_ip(address, &family, octets)) {
			if (alias.size == 0)
				alias = address;
			continue;
		}
		/* for types that are not addresses, IP addresses give nothing; TXT gives them, and so does ANY */
		if (!wants(c->query->type, family) || (c->query->type != DNS_A && c->query->type != DNS_AAAA &&
							  c->query->type != DNS_ANY && c->query->type != DNS_TXT))
			continue;
		first = seen_first(&seen, hash_bytes(HASH_START, octets, family == 4 ? 4 : 16), out->answer.count);
		if (same != NULL)
			same[out->answer.count] = (uint32_t)first;
		else if (first != out->answer.count)
			continue;
		add_ip(c, &out->answer, &c->query->name, ttl, family, octets);
		if (same == NULL && c->settings->a_record_limit > 0 && out->answer.count == c->settings->a_record_limit)
			break;
	}
	if (out->answer.count == 0 && alias.size > 0) {
		struct name target;

		if (name_from_text(alias, &target) == -1)
			return false;
		add_name(c, &out->answer, &c->query->name, DNS_CNAME, ttl, &target);
		add_extra(c, &target, ttl, &out->answer);
	}
	return alias.size == 0;
}

/* One SRV record with what belongs to it in the additional section. */
static void
add_srv(struct answer_context *c, const struct instance *i, uint32_t ttl, struct dns_answer *out)
{
	bool of_node;
	struct bytes address = effective_address(c, i, &of_node);
	struct name target, node_name;
	const struct name *kept;
	struct dns_record *r;
	uint8_t octets[16];
	unsigned family;
	bool is_ip = answer_ip(address, &family, octets);
	int named;

	if (!is_ip)
		named = name_from_text(address, &target);
	else if (of_node && bytes_equal(address, i->node_address.plain))
		named = answer_node_name(i->node, i->datacenter, &c->zone, "node", &target);
	else
		named = address_name(octets, family, i->datacenter, &c->zone, &target);
	if (named == -1)
		return;
	kept = keep_name(c->region, &target);
	r = section_add(c->region, &out->answer);
	r->owner = &c->query->name;
	r->type = DNS_SRV;
	r->ttl = ttl;
	r->srv.priority = 1;
	r->srv.weight = i->weight;
	r->srv.port = i->port;
	r->srv.target = kept;
	if (is_ip)
		add_ip(c, &out->additional, kept, ttl, family, octets);
	else
		add_extra(c, kept, ttl, &out->additional);
	if (c->settings->node_meta_txt && answer_node_name(i->node, i->datacenter, &c->zone, "node", &node_name) == 0)
		add_meta(c, &out->additional, keep_name(c->region, &node_name), ttl, i->node_meta);
}

/* same: as for add_addresses. */
static void
add_services(struct answer_context *c, const struct service_set *set, const size_t *order, uint32_t ttl,
    struct dns_answer *out, uint32_t *same)
{
	struct seen seen;

	seen_init(&seen, c->region, set->count);
	for (size_t n = 0; n < set->count; n++) {
		const struct instance *i = &set->instances[order[n]];
		uint64_t key = hash_bytes(HASH_START, i->node.data, i->node.size);
		size_t first, count = out->answer.count;

		key = hash_bytes(key, i->service_address.plain.data, i->service_address.plain.size);
		first = seen_first(&seen, hash_bytes(key, &i->port, sizeof i->port), count);
		if (same != NULL)
			same[count] = (uint32_t)first;
		else if (first != count)
			continue;
		add_srv(c, i, ttl, out);
	}
}

void
answer_service(struct answer_context *c, const struct service_set *set, bool shuffle, struct dns_answer *out)
{
	uint32_t ttl = settings_service_ttl(c->settings, c->service);
	size_t *order;

	if (set->count == 0) {
		answer_negative(c, DNS_NXDOMAIN, out);
		return;
	}
	order = region_alloc(c->region, set->count * sizeof *order);
	shuffled(order, set->count, shuffle);
	answer_init(c, DNS_NOERROR, out);
	if (c->query->type == DNS_SRV)
		add_services(c, set, order, ttl, out, NULL);
	else
		(void)add_addresses(c, set, order, ttl, out, NULL);
	if (out->answer.count == 0)
		add_soa(c, &out->authority);
}

bool
answer_all(struct answer_context *c, const struct service_set *set, struct dns_answer *out, uint32_t **same)
{
	uint32_t ttl = settings_service_ttl(c->settings, c->service);
	size_t *order;
	bool plain = true;

	if (set->count == 0 || set->count > UINT32_MAX)
		return false;
	*same = region_alloc(c->region, set->count * sizeof **same);
	order = region_alloc(c->region, set->count * sizeof *order);
	shuffled(order, set->count, false);
	answer_init(c, DNS_NOERROR, out);
	if (c->query->type == DNS_SRV)
		add_services(c, set, order, ttl, out, *same);
	else
		plain = add_addresses(c, set, order, ttl, out, *same);
	return plain && c->wanted_count == 0 && out->answer.count > 0;
}

/* ---- addresses in the name, reverse names ---- */

static int
hex_octets(const char *digits, uint8_t out[16], size_t *count)
{
	size_t length = strlen(digits);

	for (size_t i = 0; i < length; i++) {
		int c = (unsigned char)digits[i], value;

		if (!isxdigit(c) || i / 2 >= 16)
			return -1;
		value = isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
		out[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : out[i / 2] | value);
	}
	*count = length / 2;
	return length % 2 == 0 ? 0 : -1;
}

void
answer_address(struct answer_context *c, const char *digits, struct dns_answer *out)
{
	uint8_t octets[16];
	size_t count;
	struct name *owner;
	unsigned family;

	if (hex_octets(digits, octets, &count) == -1 || (count != 4 && count != 16)) {
		answer_negative(c, DNS_NXDOMAIN, out);
		return;
	}
	family = count == 4 ? 4 : 6;
	answer_init(c, DNS_NOERROR, out);
	/* the owner is in lower case, its domain part as asked */
	owner = keep_name(c->region, &c->query->name);
	for (size_t i = 0; i < (size_t)owner->size - c->zone.size; i++)
		owner->wire[i] = (uint8_t)tolower(owner->wire[i]);
	if (c->query->type == DNS_ANY || c->query->type == (family == 4 ? DNS_A : DNS_AAAA))
		add_ip(c, &out->answer, owner, c->settings->node_ttl, family, octets);
	else
		add_ip(c, &out->additional, owner, c->settings->node_ttl, family, octets);
}

void
answer_reverse(struct answer_context *c, const struct name *target, struct dns_answer *out)
{
	answer_init(c, DNS_NOERROR, out);
	add_name(c, &out->answer, &c->query->name, DNS_PTR, 0, target);
	if (c->query->type == DNS_SOA)
		add_soa(c, &out->authority);
}

static int
reverse_v4(const struct name *n, char *out, size_t size)
{
	unsigned octets[4];

	for (unsigned i = 0; i < 4; i++) {
		uint64_t value;

		if (bytes_to_u64(name_label(n, i), &value) == -1 || value > 255)
			return -1;
		octets[i] = (unsigned)value;
	}
	return snprintf(out, size, "%u.%u.%u.%u", octets[3], octets[2], octets[1], octets[0]) < (int)size ? 0 : -1;
}

static int
reverse_v6(const struct name *n, char *out, size_t size)
{
	char digits[33];
	uint8_t octets[16];
	size_t count;

	for (unsigned i = 0; i < 32; i++) {
		struct bytes label = name_label(n, i);

		if (label.size != 1)
			return -1;
		digits[31 - i] = (char)label.data[0];
	}
	digits[32] = '\0';
	if (hex_octets(digits, octets, &count) == -1 || count != 16)
		return -1;
	return inet_ntop(AF_INET6, octets, out, (socklen_t)size) == NULL ? -1 : 0;
}

int
answer_reverse_ip(const struct name *name, char *out, size_t size)
{
	unsigned count = name_label_count(name);
	bool v4 = count == 6 && bytes_equal_fold(name_label(name, 4), bytes_str("in-addr"));
	bool v6 = count == 34 && bytes_equal_fold(name_label(name, 32), bytes_str("ip6"));

	if ((!v4 && !v6) || !bytes_equal_fold(name_label(name, count - 1), bytes_str("arpa")))
		return -1;
	return v4 ? reverse_v4(name, out, size) : reverse_v6(name, out, size);
}

/*
 * cache.c - what the catalog says, kept fresh by change notices, and the packets made from it (contract: cache.h)
 *
 * Entries hang in a hash by kind class and name alone, so that a notice finds all tags of a service in one chain. Packets hang in a second
 * hash by question, and in a list of their entry. Dropping an entry drops its packets.
 */
#include "cache.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mp.h"
#include "structs.h"
#include "uuid.h"

#define BUCKETS 16384
#define INSTANCE_BYTES_MIN 16 /* of an instance in catalogd's answer: the names of its members */
#define SUBSCRIBE_CREDIT (1u << 20)

/* A packet under its question. */
struct kept {
	struct kept *next_bucket, *next_of_entry;
	struct cache_entry *entry;
	struct packet *packet;
	uint64_t hash;
	size_t bytes;
	uint16_t type;
	uint8_t name_size;
	uint8_t name[]; /* wire form, lower case */
};

struct cache_wait {
	struct cache_wait *next;
	struct cache_entry *entry;
	cache_cb *cb; /* NULL: cancelled */
	void *ctx;
};

struct cache_entry {
	struct cache_entry *next;          /* in its bucket */
	struct cache_entry *newer, *older; /* by use */
	struct cache *cache;
	enum cache_kind kind;
	uint64_t hash;
	char *name, *tag, *datacenter;
	void *block; /* what the next two point into; NULL: not fetched yet or dropped */
	struct service_set set;
	struct node_record node;
	bool has_node;
	size_t bytes;
	struct kept *packets;
	uint64_t touched; /* additions when it last moved to the new end */
	struct ipc_call *call;
	struct cache_wait *waits;
};

struct cache {
	struct daemon *daemon;
	const struct settings *settings;
	struct ipc_peer *catalogd;
	struct ipc_call *subscription;
	bool away; /* catalogd is: nothing tells of changes */
	struct cache_entry *entries[BUCKETS];
	struct kept *packets[BUCKETS];
	struct cache_entry *newest, *oldest;
	size_t count, bytes, lookups;
	size_t mesh;        /* entries of the mesh kinds */
	uint64_t additions; /* answers and packets, until now */
};

static uint64_t
hash_bytes(uint64_t h, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return h;
}

#define HASH_START UINT64_C(14695981039346656037)

/* Services under any kind share a chain with their name; nodes have chains of their own. */
static uint64_t
name_hash(enum cache_kind kind, const char *name)
{
	uint64_t h = hash_bytes(HASH_START, name, strlen(name));

	h = (h ^ (kind == CACHE_NODE)) * UINT64_C(1099511628211);
	return h ^ h >> 29;
}

/* ---- entries ---- */

static bool
is_mesh(enum cache_kind kind)
{
	return kind == CACHE_CONNECT || kind == CACHE_INGRESS;
}

static void
unlink_use(struct cache *c, struct cache_entry *e)
{
	*(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
	*(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void
link_newest(struct cache *c, struct cache_entry *e)
{
	e->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

static void
kept_free(struct cache *c, struct kept *k)
{
	struct kept **at = &c->packets[k->hash % BUCKETS];

	while (*at != k)
		at = &(*at)->next_bucket;
	*at = k->next_bucket;
	c->bytes -= k->bytes;
	packet_free(k->packet);
	free(k);
}

/* What the entry holds is no longer true. */
static void
entry_drop(struct cache *c, struct cache_entry *e)
{
	while (e->packets != NULL) {
		struct kept *k = e->packets;

		e->packets = k->next_of_entry;
		kept_free(c, k);
	}
	free(e->block);
	e->block = NULL;
	e->set.count = 0;
	c->bytes -= e->bytes;
	e->bytes = 0;
}

static void
entry_free(struct cache *c, struct cache_entry *e)
{
	struct cache_entry **at = &c->entries[e->hash % BUCKETS];

	entry_drop(c, e);
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	unlink_use(c, e);
	c->count--;
	c->mesh -= is_mesh(e->kind);
	free(e->name);
	free(e->tag);
	free(e->datacenter);
	free(e);
}

static struct cache_entry *
entry_find(struct cache *c, enum cache_kind kind, const char *name, const char *tag)
{
	uint64_t hash = name_hash(kind, name);

	for (struct cache_entry *e = c->entries[hash % BUCKETS]; e != NULL; e = e->next)
		if (e->hash == hash && e->kind == kind && strcmp(e->name, name) == 0 && strcmp(e->tag, tag) == 0)
			return e;
	return NULL;
}

/*
 * Used: as of now the newest. Nothing is evicted but when something is added, so an entry moves once between two additions, however often it is
 * asked for.
 */
static void
touch(struct cache *c, struct cache_entry *e)
{
	if (e->touched == c->additions)
		return;
	e->touched = c->additions;
	if (e != c->newest) {
		unlink_use(c, e);
		link_newest(c, e);
	}
}

/* Makes room. Entries that somebody waits for stay, and so does the newest: one answer is kept however large it is. */
static void
evict(struct cache *c)
{
	struct cache_entry *e = c->oldest;

	while (e != NULL && (c->count > CACHE_ENTRIES_MAX || c->bytes > CACHE_BYTES_MAX)) {
		struct cache_entry *newer = e->newer;

		if (e->call == NULL && e != c->newest)
			entry_free(c, e);
		e = newer;
	}
}

static void
drop_all(struct cache *c)
{
	struct cache_entry *e = c->oldest;

	while (e != NULL) {
		struct cache_entry *newer = e->newer;

		if (e->call == NULL)
			entry_free(c, e);
		else
			entry_drop(c, e);
		e = newer;
	}
}

struct cache_entry *
cache_find(struct cache *c, enum cache_kind kind, const char *name, const char *tag)
{
	struct cache_entry *e = entry_find(c, kind, name, tag);

	if (e == NULL || e->block == NULL || (c->away && !c->settings->allow_stale))
		return NULL;
	touch(c, e);
	return e;
}

const struct service_set *
cache_set(const struct cache_entry *e)
{
	return &e->set;
}

const struct node_record *
cache_node(const struct cache_entry *e)
{
	return e->has_node ? &e->node : NULL;
}

/* ---- decoding catalogd's answers ---- */

/* Decoded records point into the answer; pack_*() moves them into the entry's own block. */

/* The address texts of a node: TaggedAddresses {text: text}. */
static struct address_choice
node_address(struct bytes plain, struct bytes tagged)
{
	return (struct address_choice){plain, mp_find_str(tagged, "lan_ipv4"), mp_find_str(tagged, "lan_ipv6")};
}

static struct bytes
tagged_address(struct bytes map, const char *key)
{
	return mp_find_str(mp_find_raw(map, key), "Address");
}

/* Texts of a record, counted or moved. */
struct pack {
	bool move;
	uint8_t *to;
	size_t bytes;
};

static void
pack_text(struct pack *p, struct bytes *text)
{
	if (p->move && text->size > 0) {
		memcpy(p->to + p->bytes, text->data, text->size);
		text->data = p->to + p->bytes;
	}
	p->bytes += text->size;
}

static void
pack_address(struct pack *p, struct address_choice *a)
{
	pack_text(p, &a->plain);
	pack_text(p, &a->v4);
	pack_text(p, &a->v6);
}

static void
pack_instance(struct pack *p, struct instance *i)
{
	pack_text(p, &i->node);
	pack_text(p, &i->datacenter);
	pack_text(p, &i->node_meta);
	pack_address(p, &i->node_address);
	pack_address(p, &i->service_address);
}

static void
pack_node(struct pack *p, struct node_record *n)
{
	pack_text(p, &n->node);
	pack_text(p, &n->datacenter);
	pack_text(p, &n->meta);
	pack_address(p, &n->address);
}

/* SRV weight by the states of the checks that count: the node's and the service's. */
static uint16_t
weight_of(struct bytes checks, const struct node_service *service)
{
	struct mp in = mp_of(checks);
	uint32_t count = checks.size == 0 ? 0 : mp_array(&in);
	struct weights w = {.passing = 1, .warning = 1};
	const char *error;
	bool warning = false, unknown = false;

	if (service->weights.size > 0 && schema_decode(&weights_schema, service->weights, &w, &error) == -1)
		w = (struct weights){.passing = 1, .warning = 1};
	while (count-- > 0) {
		struct health_check check;

		if (schema_decode_at(&health_check_schema, &in, &check, &error) == -1)
			break;
		if (check.service_id.size > 0 && !bytes_equal_fold(check.service_name, service->service))
			continue;
		if (bytes_is(check.status, "warning"))
			warning = true;
		else if (!bytes_is(check.status, "passing"))
			unknown = true;
	}
	if (unknown)
		return 1;
	return (uint16_t)(warning ? w.warning : w.passing);
}

static int
decode_instance(struct mp *in, struct instance *out)
{
	struct check_service_node csn;
	struct node node;
	struct node_service service;
	const char *error;

	if (schema_decode_at(&check_service_node_schema, in, &csn, &error) == -1 ||
	    schema_decode(&node_schema, csn.node, &node, &error) == -1 ||
	    schema_decode(&node_service_schema, csn.service, &service, &error) == -1)
		return -1;
	*out = (struct instance){.node = node.node,
	    .datacenter = node.datacenter,
	    .node_address = node_address(node.address, node.tagged_addresses),
	    .node_meta = node.meta,
	    .service_address = {service.address, tagged_address(service.tagged_addresses, "lan_ipv4"),
		tagged_address(service.tagged_addresses, "lan_ipv6")},
	    .port = (uint16_t)service.port,
	    .weight = weight_of(csn.checks, &service)};
	return 0;
}

/* Makes the block and returns its bytes. Without a block the answer was not understood. */
static size_t
decode_set(struct cache_entry *e, struct bytes body)
{
	struct bytes list = mp_find_raw(body, "Nodes");
	struct mp in = mp_of(list);
	size_t count = list.size == 0 ? 0 : mp_array(&in), records;
	struct instance *instances;
	struct pack pack = {.move = false};

	if (count > list.size / INSTANCE_BYTES_MIN)
		return 0;
	instances = xcalloc(count, sizeof *instances);
	for (size_t i = 0; i < count; i++) {
		if (decode_instance(&in, &instances[i]) == -1) {
			free(instances);
			return 0;
		}
		pack_instance(&pack, &instances[i]);
	}
	if (!mp_ok(&in)) {
		free(instances);
		return 0;
	}
	records = count * sizeof *instances;
	instances = xreallocarray(instances, 1, records + pack.bytes);
	pack = (struct pack){.move = true, .to = (uint8_t *)instances + records};
	for (size_t i = 0; i < count; i++)
		pack_instance(&pack, &instances[i]);
	e->block = instances;
	e->set = (struct service_set){instances, count};
	return records + pack.bytes;
}

static size_t
decode_node(struct cache_entry *e, struct bytes body)
{
	struct bytes services = mp_find_raw(body, "NodeServices"), raw;
	struct pack pack = {.move = false};
	struct node node;
	const char *error;

	e->has_node = false;
	raw = services.size <= 1 ? services : mp_find_raw(services, "Node");
	if (raw.size > 1) { /* else nil: no such node */
		if (schema_decode(&node_schema, raw, &node, &error) == -1)
			return 0;
		e->has_node = true;
		e->node = (struct node_record){
		    node.node, node.datacenter, node.meta, node_address(node.address, node.tagged_addresses)};
		pack_node(&pack, &e->node);
	}
	e->block = xmalloc(pack.bytes + 1);
	pack = (struct pack){.move = true, .to = e->block};
	if (e->has_node)
		pack_node(&pack, &e->node);
	return pack.bytes + 1;
}

/* ---- lookups ---- */

static void
finish(struct cache *c, struct cache_entry *e, enum cache_outcome outcome)
{
	struct cache_wait *w = e->waits, *next;

	e->call = NULL;
	e->waits = NULL;
	c->lookups--;
	for (; w != NULL; w = next) {
		next = w->next;
		if (w->cb != NULL)
			w->cb(w->ctx, outcome);
		free(w);
	}
}

static void
on_answer(void *ctx, const struct ipc_answer *answer)
{
	struct cache_entry *e = ctx;
	struct cache *c = e->cache;
	enum cache_outcome outcome = CACHE_FOUND;

	if (answer->status != IPC_OK) {
		char text[256];

		if (bytes_to_str(answer->error, text, sizeof text) == 0 &&
		    strstr(text, "No path to datacenter") != NULL)
			outcome = CACHE_NO_PATH;
		else
			outcome = CACHE_FAILED;
		log_errorx(
		    "agent.dns", "rpc error: name=%s error=%s", log_quote(e->name), log_quote_bytes(answer->error));
	} else {
		entry_drop(c, e);
		e->bytes = sizeof *e;
		e->bytes += e->kind == CACHE_NODE ? decode_node(e, answer->body) : decode_set(e, answer->body);
		c->bytes += e->bytes;
		c->additions++;
		touch(c, e);
		if (e->block == NULL) {
			log_errorx("agent.dns", "catalogd's answer is not understood: name=%s", log_quote(e->name));
			outcome = CACHE_FAILED;
		}
	}
	finish(c, e, outcome);
	evict(c);
}

static struct ipc_call *
ask(struct cache *c, struct cache_entry *e)
{
	struct ipc_call_options options = {.timeout_ms = c->settings->hold_ns / 1000000 + 500, .flags = IPC_RESEND};
	struct buf args = BUF_INIT(16384);
	struct ipc_call *call;

	if (e->kind == CACHE_NODE) {
		struct node_request r = {0};

		r.datacenter = bytes_str(e->datacenter);
		r.node = bytes_str(e->name);
		r.allow_stale = c->settings->allow_stale;
		r.max_stale_duration = c->settings->max_stale_ns;
		schema_encode(&node_request_schema, &r, &args);
		call = ipc_call(c->catalogd, "Catalog.NodeServices", buf_bytes(&args), &options, on_answer, e);
	} else {
		struct service_request r = {0};
		struct buf tags = BUF_INIT(4096);

		r.datacenter = bytes_str(e->datacenter);
		r.service_name = bytes_str(e->name);
		if (e->tag[0] != '\0') {
			mp_put_array(&tags, 1);
			mp_put_cstr(&tags, e->tag);
			r.tag_filter = true;
			r.service_tags = buf_bytes(&tags);
		}
		r.connect = e->kind == CACHE_CONNECT;
		r.ingress = e->kind == CACHE_INGRESS;
		r.health_filter_type = c->settings->only_passing ? 2 : 1;
		r.allow_stale = c->settings->allow_stale;
		r.max_stale_duration = c->settings->max_stale_ns;
		schema_encode(&service_request_schema, &r, &args);
		call = ipc_call(c->catalogd, "Health.ServiceNodes", buf_bytes(&args), &options, on_answer, e);
		buf_free(&tags);
	}
	buf_free(&args);
	return call;
}

struct cache_wait *
cache_lookup(struct cache *c, enum cache_kind kind, const char *name, const char *tag, const char *datacenter,
    cache_cb *cb, void *ctx)
{
	struct cache_entry *e = entry_find(c, kind, name, tag);
	struct cache_wait *w;

	if ((e == NULL || e->call == NULL) && c->lookups == CACHE_LOOKUPS_MAX)
		return NULL;
	if (e == NULL) {
		e = xcalloc(1, sizeof *e);
		e->cache = c;
		e->kind = kind;
		e->hash = name_hash(kind, name);
		e->name = xstrdup(name);
		e->tag = xstrdup(tag);
		e->datacenter = xstrdup(datacenter);
		e->next = c->entries[e->hash % BUCKETS];
		c->entries[e->hash % BUCKETS] = e;
		link_newest(c, e);
		c->count++;
		c->mesh += is_mesh(kind);
	}
	w = xcalloc(1, sizeof *w);
	w->entry = e;
	w->cb = cb;
	w->ctx = ctx;
	w->next = e->waits;
	e->waits = w;
	if (e->call == NULL) {
		c->lookups++;
		e->call = ask(c, e);
	}
	return w;
}

void
cache_cancel(struct cache_wait *w)
{
	w->cb = NULL; /* freed when the answer comes, or the deadline */
}

/* ---- packets ---- */

static uint64_t
question_hash(const struct name *lower, uint16_t type)
{
	uint64_t h = (hash_bytes(HASH_START, lower->wire, lower->size) ^ type) * UINT64_C(1099511628211);

	return h ^ h >> 29;
}

static struct kept *
kept_find(struct cache *c, const struct name *lower, uint16_t type, uint64_t hash)
{
	for (struct kept *k = c->packets[hash % BUCKETS]; k != NULL; k = k->next_bucket)
		if (k->hash == hash && k->type == type && k->name_size == lower->size &&
		    memcmp(k->name, lower->wire, lower->size) == 0)
			return k;
	return NULL;
}

static void
lower_name(const struct name *n, struct name *out)
{
	out->size = n->size;
	memcpy(out->wire, n->wire, n->size);
	name_lower(out);
}

struct packet *
cache_packet(struct cache *c, const struct name *name, uint16_t type)
{
	struct name lower;
	struct kept *k;

	lower_name(name, &lower);
	k = kept_find(c, &lower, type, question_hash(&lower, type));
	if (k == NULL || (c->away && !c->settings->allow_stale))
		return NULL;
	touch(c, k->entry);
	return k->packet;
}

void
cache_keep_packet(struct cache *c, struct cache_entry *e, const struct name *name, uint16_t type, struct packet *packet)
{
	struct name lower;
	struct kept *k;
	uint64_t hash;

	lower_name(name, &lower);
	hash = question_hash(&lower, type);
	if (e->block == NULL || kept_find(c, &lower, type, hash) != NULL) {
		packet_free(packet);
		return;
	}
	k = xmalloc(sizeof *k + lower.size);
	*k = (struct kept){.entry = e,
	    .packet = packet,
	    .hash = hash,
	    .bytes = sizeof *k + lower.size + packet_bytes(packet),
	    .type = type,
	    .name_size = lower.size,
	    .next_bucket = c->packets[hash % BUCKETS],
	    .next_of_entry = e->packets};
	memcpy(k->name, lower.wire, lower.size);
	c->packets[hash % BUCKETS] = k;
	e->packets = k;
	c->additions++;
	touch(c, e);
	c->bytes += k->bytes;
	evict(c);
}

/* ---- change notices ---- */

static void
drop_named(struct cache *c, enum cache_kind kind, const char *name)
{
	uint64_t hash = name_hash(kind, name);

	for (struct cache_entry *e = c->entries[hash % BUCKETS], *next; e != NULL; e = next) {
		next = e->next;
		if (e->hash != hash || (e->kind == CACHE_NODE) != (kind == CACHE_NODE) || strcmp(e->name, name) != 0)
			continue;
		if (e->call == NULL)
			entry_free(c, e);
		else
			entry_drop(c, e);
	}
}

/* The names of questions are in lower case and escaped; a registered name that needs escapes can not be asked for. */
static void
lower(char *text)
{
	for (; *text != '\0'; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text |= 0x20;
}

/* A proxy's change concerns its destination's mesh endpoints under another name: those are few, drop them all. */
static void
drop_mesh(struct cache *c)
{
	for (struct cache_entry *e = c->oldest, *newer; e != NULL && c->mesh > 0; e = newer) {
		newer = e->newer;
		if (is_mesh(e->kind) && e->call == NULL)
			entry_free(c, e);
		else if (is_mesh(e->kind))
			entry_drop(c, e);
	}
}

/* One [Kind, Name] of a notice. */
static void
drop_noticed(struct cache *c, struct mp *in)
{
	struct bytes kind;
	char name[QUESTION_TEXT_MAX];

	if (mp_array(in) != 2) {
		drop_all(c); /* not understood: nothing can be trusted */
		return;
	}
	kind = mp_str(in);
	if (bytes_to_str(mp_str(in), name, sizeof name) == -1)
		return; /* longer than any question */
	lower(name);
	if (bytes_is(kind, "service")) {
		drop_named(c, CACHE_SERVICE, name);
		drop_mesh(c);
	} else if (bytes_is(kind, "node")) {
		drop_named(c, CACHE_NODE, name);
	} else {
		drop_all(c); /* "reset", and what later versions may tell */
	}
}

static void
on_notice(void *ctx, const struct ipc_answer *answer)
{
	struct cache *c = ctx;
	struct mp in = mp_of(answer->body);
	uint32_t count;

	if (!answer->more) { /* lost or refused: entries are of unknown age */
		c->subscription = NULL;
		if (answer->status == IPC_ERROR)
			log_warnx("agent.dns", "no change notices: error=%s", log_quote_bytes(answer->error));
		c->away = true;
		return;
	}
	ipc_grant(c->subscription, (uint32_t)answer->body.size);
	for (count = mp_array(&in); count > 0 && mp_ok(&in); count--)
		drop_noticed(c, &in);
}

/* First on the new connection, so that no answer comes by it without notices behind. */
static void
subscribe(struct cache *c)
{
	struct ipc_call_options options = {.credit = SUBSCRIBE_CREDIT};

	drop_all(c);
	c->away = false;
	if (c->subscription == NULL)
		c->subscription = ipc_call(c->catalogd, "Subscribe", bytes_of(NULL, 0), &options, on_notice, c);
}

static void
on_up(void *ctx)
{
	subscribe(ctx);
}

static void
on_down(void *ctx)
{
	struct cache *c = ctx;

	c->away = true;
}

struct cache *
cache_new(struct daemon *d, const struct settings *settings)
{
	struct cache *c = xcalloc(1, sizeof *c);

	c->daemon = d;
	c->settings = settings;
	c->away = true;
	c->catalogd = daemon_peer(d, "catalogd");
	ipc_peer_watch(c->catalogd, on_up, on_down, c);
	if (ipc_peer_connected(c->catalogd))
		subscribe(c);
	return c;
}

void
cache_free(struct cache *c)
{
	for (struct cache_entry *e = c->oldest, *newer; e != NULL; e = newer) {
		newer = e->newer;
		while (e->waits != NULL) {
			struct cache_wait *w = e->waits;

			e->waits = w->next;
			free(w);
		}
		if (e->call != NULL)
			ipc_cancel(e->call);
		entry_free(c, e);
	}
	if (c->subscription != NULL)
		ipc_cancel(c->subscription);
	ipc_peer_watch(c->catalogd, NULL, NULL, NULL);
	free(c);
}

void
cache_reload(struct cache *c, const struct settings *settings)
{
	c->settings = settings;
	drop_all(c);
}
